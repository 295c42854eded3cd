//! What people said that fits no message: kept apart, listed, and tried again when somebody is reached where it came from.
//!
//! Of what was taken the name alone is kept, for mails: a mailbox is read again and again, and what is in it must not count twice, however
//! long ago it was read. The keeping of the rest is bounded, since anybody can write to an address.

use serde_json::{Value as Json, json};

use super::receipts::{self, Reply, Told};
use super::sql::args;
use super::{Arg, Conn, Result, Row, Store, identities};
use crate::engine::program::Word;
use crate::id::DeliveryId;
use crate::time::{DAY, Timestamp};

/// The longest text and subject that are kept, in characters.
const LONGEST: usize = 4_000;
const LONGEST_SUBJECT: usize = 500;
/// What fits no message is kept for so long, and no more than so many; names of what was taken for longer.
const KEPT_FOR: i64 = 90 * DAY;
const KEPT: i64 = 100_000;
const NAMES_KEPT_FOR: i64 = 400 * DAY;
/// Of what was taken there is no sender.
const NOBODY: &str = "";

/// Why something was kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It answers none of our messages, or none that was sent to whoever says it.
    NoMessage,
    /// It answers a message, and comes from an address to which that was not sent.
    NotRecipient,
}

impl Why {
    /// As it is stored, and told to programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::NoMessage => "no-message",
            Why::NotRecipient => "not-the-recipient",
        }
    }

    /// As people are told.
    pub fn in_words(self) -> &'static str {
        match self {
            Why::NoMessage => "it answers no message of the last 30 days to that address or number",
            Why::NotRecipient => "the message that it answers went to another address",
        }
    }

    fn of(text: &str) -> Why {
        if text == Why::NotRecipient.as_str() { Why::NotRecipient } else { Why::NoMessage }
    }
}

/// Something to keep.
pub(super) struct Said<'a> {
    pub(super) name: &'a str,
    /// Of a mail.
    pub(super) subject: Option<&'a str>,
    pub(super) why: Why,
    pub(super) reply: &'a Reply<'a>,
}

/// Something that was kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    pub id: i64,
    pub came_at: Timestamp,
    /// An address or a number.
    pub sender: String,
    /// Somebody is reached there.
    pub is_known: bool,
    pub why: Why,
    /// The channels on which it may be an answer.
    pub channels: Vec<Word>,
    /// The message that it says it answers.
    pub delivery: Option<DeliveryId>,
    /// Of a mail.
    pub subject: Option<String>,
    pub text: String,
    name: String,
}

impl Apart {
    /// As people and programs see it.
    pub fn as_json(&self) -> Json {
        json!({
            "id": self.id.to_string(),
            "came_at": self.came_at.to_string(),
            "from": self.sender,
            "is_known": self.is_known,
            "reason": self.why.as_str(),
            "channels": self.channels,
            "delivery": self.delivery.map(|id| id.to_string()),
            "subject": self.subject,
            "text": self.text,
        })
    }
}

/// An address or a number as identities have it.
pub(super) fn normal(sender: &str) -> String {
    let kind = if sender.contains('@') { identities::Kind::Email } else { identities::Kind::Phone };
    let digits = sender.strip_prefix("00").map(|rest| format!("+{rest}"));
    identities::normal(kind, digits.as_deref().filter(|_| kind == identities::Kind::Phone).unwrap_or(sender))
}

/// What is stored of a text: PostgreSQL keeps no NUL.
fn clipped(text: &str, longest: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(longest).collect()
}

/// Whether a mail of that name was taken, or is kept.
pub(super) async fn is_known(conn: &mut Conn, sender: &str, name: &str) -> Result<bool> {
    const KNOWN: &str = "SELECT COUNT(*) FROM replies WHERE sender = $1 AND name = $2";
    for sender in [NOBODY.to_owned(), normal(sender)] {
        if conn.fetch_number(KNOWN, args![sender, name]).await? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Notes that a mail was taken.
pub(super) async fn note(store: &Store, name: &str, now: Timestamp) -> Result<()> {
    let mut tx = store.write().await?;
    note_in(&mut tx, name, now).await?;
    tx.commit().await
}

async fn note_in(tx: &mut Conn, name: &str, now: Timestamp) -> Result<()> {
    const NOTE: &str = "INSERT INTO replies (sender, name, id, came_at, state) VALUES ($1, $2, $3, $4, 'taken') \
        ON CONFLICT DO NOTHING";
    let id = tx.core.new_id();
    tx.exec(NOTE, args![NOBODY, name, id, now]).await?;
    Ok(())
}

/// Keeps what fits no message; whether it was not kept before.
pub(super) async fn keep(store: &Store, said: Said<'_>, now: Timestamp) -> Result<bool> {
    const KEEP: &str = "INSERT INTO replies (sender, name, id, came_at, state, why, channels, delivery, subject, body) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    let Said { name, subject, why, reply } = said;
    let mut tx = store.write().await?;
    let known = !identities::with_address(&mut tx, reply.from).await?.is_empty();
    let delivery: Arg = reply.refers_to.map_or(Arg::NoI64, Arg::from);
    let channels: Vec<&str> = reply.channels.iter().map(|channel| &**channel).collect();
    let id = tx.core.new_id();
    let mut row = args![normal(&clipped(reply.from, 254)), clipped(name, 254), id, now];
    row.extend(args![if known { "apart" } else { "strange" }, why.as_str(), channels.join(" ")]);
    row.push(delivery);
    row.extend(args![subject.map(|subject| clipped(subject, LONGEST_SUBJECT)), clipped(reply.text, LONGEST)]);
    let kept = tx.exec(KEEP, row).await? == 1;
    tx.commit().await?;
    Ok(kept)
}

/// The columns of what is kept apart.
macro_rules! apart {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.came_at, r.sender, r.state, r.why, r.channels, r.delivery, r.subject, r.body, r.name \
            FROM replies r ",
            $rest
        )
    };
}

fn read(row: &Row) -> Result<Apart> {
    Ok(Apart {
        id: row.i64(0)?,
        came_at: row.at(1)?,
        sender: row.text(2)?.to_owned(),
        is_known: row.text(3)? == "apart",
        why: Why::of(row.opt_text(4)?.unwrap_or_default()),
        channels: row.opt_text(5)?.unwrap_or_default().split_whitespace().map(Word::from).collect(),
        delivery: row.opt_i64(6)?.map(DeliveryId),
        subject: row.opt_text(7)?.map(str::to_owned),
        text: row.opt_text(8)?.unwrap_or_default().to_owned(),
        name: row.text(9)?.to_owned(),
    })
}

/// The newest that are kept apart, those before `before` if it is given.
pub async fn list(conn: &mut Conn, before: Option<i64>, limit: u32) -> Result<Vec<Apart>> {
    const LIST: &str = apart!("WHERE r.state <> 'taken' AND r.id < $1 ORDER BY r.id DESC LIMIT $2");
    conn.fetch(LIST, args![before.unwrap_or(i64::MAX), limit]).await?.iter().map(read).collect()
}

/// Those that came from an address or a number, oldest first.
pub(super) async fn of_sender(conn: &mut Conn, sender: &str) -> Result<Vec<Apart>> {
    const OF: &str = apart!("WHERE r.sender = $1 AND r.state <> 'taken' ORDER BY r.id");
    conn.fetch(OF, args![sender]).await?.iter().map(read).collect()
}

/// How many are kept apart.
pub async fn count(conn: &mut Conn) -> Result<i64> {
    conn.fetch_number("SELECT COUNT(*) FROM replies WHERE state <> 'taken'", Vec::new()).await
}

/// Tries everything again that is kept apart, oldest first; how many were taken now, and how many still fit no message.
pub async fn retry(store: &Store, now: Timestamp) -> Result<(usize, usize)> {
    const OLDEST: &str = apart!("WHERE r.state <> 'taken' AND r.id > $1 ORDER BY r.id LIMIT 200");
    let (mut taken, mut left, mut after) = (0, 0, 0);
    loop {
        let rows = store.read().await?.fetch(OLDEST, args![after]).await?;
        for row in &rows {
            let apart = read(row)?;
            after = apart.id;
            if again(store, &apart, now).await? { taken += 1 } else { left += 1 }
        }
        if rows.is_empty() {
            return Ok((taken, left));
        }
    }
}

/// Tries again what came from where nobody was reached then, and somebody is now; for upkeep, a part of them at a time: after which it
/// goes on next time.
pub async fn retry_known(store: &Store, after: i64, now: Timestamp) -> Result<i64> {
    const PART: i64 = 2_000;
    const PAGE: &str =
        "SELECT id FROM replies WHERE state <> 'taken' AND id > $1 ORDER BY id LIMIT 1 OFFSET $2";
    // `CROSS` tells SQLite where to begin: else it looks at each address there is, where it knows how many these are and not that nothing
    // is apart.
    const KNOWN: &str = apart!(
        "CROSS JOIN identities i WHERE i.value = r.sender AND i.kind IN (3, 4) \
        AND r.state <> 'taken' AND r.state = 'strange' AND r.id > $1 AND r.id <= $2 ORDER BY r.id LIMIT 100"
    );
    let mut conn = store.read().await?;
    let end = conn.fetch_first(PAGE, args![after, PART]).await?;
    let end = end.map_or(Ok(i64::MAX), |row| row.i64(0))?;
    let rows = conn.fetch(KNOWN, args![after, end]).await?;
    drop(conn);
    let mut seen = 0;
    for row in &rows {
        let apart = read(row)?;
        if seen != apart.id {
            seen = apart.id;
            again(store, &apart, now).await?;
        }
    }
    // The same part once more as long as there is something in it; from the beginning after the last one.
    Ok(match (rows.is_empty(), end) {
        (false, _) => after,
        (true, i64::MAX) => 0,
        (true, end) => end,
    })
}

/// Tries one again. What still fits no message, although somebody is reached there, waits for nothing any more.
async fn again(store: &Store, apart: &Apart, now: Timestamp) -> Result<bool> {
    const GONE: &str = "DELETE FROM replies WHERE sender = $1 AND name = $2";
    const APART: &str =
        "UPDATE replies SET state = 'apart' WHERE sender = $1 AND name = $2 AND state = 'strange'";
    let mut conn = store.read().await?;
    let known = identities::with_address(&mut conn, &apart.sender).await?;
    let is_theirs = match apart.delivery {
        Some(delivery) => receipts::is_to(&mut conn, delivery, &apart.sender).await?,
        None => true,
    };
    drop(conn);
    let reply = Reply {
        id: &apart.name,
        channels: &apart.channels,
        from: &apart.sender,
        text: &apart.text,
        refers_to: apart.delivery,
    };
    let told = match is_theirs {
        true => receipts::reply_of(store, reply, apart.came_at, now).await?,
        false => Told::Unknown,
    };
    if told == Told::Unknown {
        if !known.is_empty() {
            let mut tx = store.write().await?;
            tx.exec(APART, args![apart.sender.as_str(), apart.name.as_str()]).await?;
            tx.commit().await?;
        }
        return Ok(false);
    }
    // Whoever dies before this tries once more, and finds it taken.
    let mut tx = store.write().await?;
    note_in(&mut tx, &apart.name, now).await?;
    tx.exec(GONE, args![apart.sender.as_str(), apart.name.as_str()]).await?;
    tx.commit().await?;
    Ok(true)
}

/// Forgets what is too old or too much; for upkeep.
pub async fn forget(store: &Store, now: Timestamp) -> Result<u64> {
    const OLD: &str = "DELETE FROM replies WHERE came_at < $1 AND (state <> 'taken' OR came_at < $2)";
    const MUCH: &str = "DELETE FROM replies WHERE state <> 'taken' AND id <= COALESCE(( \
        SELECT id FROM replies WHERE state <> 'taken' ORDER BY id DESC LIMIT 1 OFFSET $1), 0)";
    let mut tx = store.write().await?;
    let old = tx.exec(OLD, args![now.plus_ms(-KEPT_FOR), now.plus_ms(-NAMES_KEPT_FOR)]).await?;
    let much = tx.exec(MUCH, args![KEPT]).await?;
    tx.commit().await?;
    Ok(old + much)
}
