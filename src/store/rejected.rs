//! Items that could not be read as what they say they are: kept with the reason, so that they can be tried again when the schema is
//! mended. One that was taken at last is no longer listed.
//!
//! The keeping is bounded, since anybody with a key can send nonsense all day.

use super::sql::args;
use super::{Conn, Result, Row, Rows, Store};
use crate::engine::program::Word;
use crate::intake;
use crate::time::{DAY, Timestamp};

/// The longest part of an item that is kept, in bytes.
const LONGEST_BODY: usize = 32 << 10;
/// Items are kept for so long, and no more than so many.
const KEPT_FOR: i64 = 30 * DAY;
const KEPT: i64 = 100_000;

/// An item that was not taken, or of which a part was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub id: i64,
    pub rejected_at: Timestamp,
    /// Where it came in: `http`, or the name of an imported file.
    pub source: String,
    pub code: String,
    pub reason: String,
    /// As it came, JSON text; cut if it was very long.
    pub body: String,
    /// What the body alone does not say; `None` for what cannot be tried again.
    replay: Option<Replay>,
}

impl Rejected {
    /// What it takes to try it again, if it can be: its body is whole, and it is known what it was.
    pub fn replay(&self) -> Option<&Replay> {
        self.replay.as_ref()
    }
}

/// What the body of an item does not say, and trying it again needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// What it was taken for: the kind of the door; empty where the item says it itself.
    pub kind: String,
    /// When its client says that it was sent.
    pub sent_at: Option<Timestamp>,
    /// The attribute that did not fit, where the rest of the item was stored.
    pub part: Option<Word>,
}

/// An item to keep.
#[derive(Clone, Debug)]
pub struct Bad {
    /// As it came.
    pub body: String,
    pub why: intake::Rejected,
    pub replay: Option<Replay>,
}

/// Keeps items that cannot be tried again, each as it came and why it was not taken.
pub async fn keep(
    store: &Store,
    source: &str,
    items: Vec<(String, intake::Rejected)>,
    now: Timestamp,
) -> Result<()> {
    let bad = items.into_iter().map(|(body, why)| Bad { body, why, replay: None });
    keep_all(store, source, bad.collect(), now).await
}

/// Keeps items, with what it takes to try them again.
pub async fn keep_all(store: &Store, source: &str, items: Vec<Bad>, now: Timestamp) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    const KEEP: &str = "INSERT INTO rejected_events \
        (id, rejected_at, source, code, reason, body, kind, sent_at, part) {IITTTTTIT}";
    let mut rows = Rows::with_capacity(items.len() * 9);
    for Bad { body, why, replay } in items {
        let (body, is_whole) = clip(body);
        let replay = replay.filter(|_| is_whole);
        let (kind, sent_at, part) = match replay {
            Some(Replay { kind, sent_at, part }) => (Some(kind), sent_at, part),
            None => (None, None, None),
        };
        rows.push([
            store.new_id().into(),
            now.into(),
            source.into(),
            why.code.into(),
            why.reason.into(),
            body.into(),
            kind.into(),
            sent_at.into(),
            part.into(),
        ]);
    }
    let mut tx = store.write().await?;
    tx.exec_rows(KEEP, rows, &[]).await?;
    tx.commit().await
}

/// Cuts a text that is too long, and takes out what PostgreSQL cannot store; whether it is whole.
fn clip(mut body: String) -> (String, bool) {
    let mut is_whole = true;
    if body.len() > LONGEST_BODY {
        is_whole = false;
        body.truncate((0..=LONGEST_BODY).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0));
    }
    match body.contains('\0') {
        true => (body.replace('\0', "\u{fffd}"), false),
        false => (body, is_whole),
    }
}

/// The newest items, those before `before` if it is given.
pub async fn list(conn: &mut Conn, before: Option<i64>, limit: u32) -> Result<Vec<Rejected>> {
    const LIST: &str = "SELECT id, rejected_at, source, code, reason, body, kind, sent_at, part FROM rejected_events \
        WHERE id < $1 AND retried_at IS NULL ORDER BY id DESC LIMIT $2";
    conn.fetch(LIST, args![before.unwrap_or(i64::MAX), limit]).await?.iter().map(read).collect()
}

/// The oldest items after one, in the order in which they came.
pub async fn oldest(conn: &mut Conn, after: i64, limit: u32) -> Result<Vec<Rejected>> {
    const OLDEST: &str = "SELECT id, rejected_at, source, code, reason, body, kind, sent_at, part FROM rejected_events \
        WHERE id > $1 AND retried_at IS NULL ORDER BY id LIMIT $2";
    conn.fetch(OLDEST, args![after, limit]).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Rejected> {
    let sent_at = row.opt_i64(7)?.map(Timestamp);
    let part = row.opt_text(8)?.map(Word::from);
    let replay = row.opt_text(6)?.map(|kind| Replay { kind: kind.to_owned(), sent_at, part });
    Ok(Rejected {
        id: row.i64(0)?,
        rejected_at: row.at(1)?,
        source: row.text(2)?.to_owned(),
        code: row.text(3)?.to_owned(),
        reason: row.text(4)?.to_owned(),
        body: row.text(5)?.to_owned(),
        replay,
    })
}

/// Notes that items were taken at last.
pub async fn settle(store: &Store, taken: &[i64], now: Timestamp) -> Result<()> {
    const SETTLE: &str = "UPDATE rejected_events SET retried_at = $1 WHERE id = $2 AND retried_at IS NULL";
    let mut tx = store.write().await?;
    for id in taken {
        tx.exec(SETTLE, args![now, *id]).await?;
    }
    tx.commit().await
}

/// Which items are thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Junk {
    One(i64),
    /// All of that code, or with that reason.
    All(String),
}

/// Throws items away, for good; how many for each.
pub async fn discard(store: &Store, junk: &[Junk]) -> Result<Vec<u64>> {
    const ONE: &str = "DELETE FROM rejected_events WHERE id = $1 AND retried_at IS NULL";
    const ALL: &str = "DELETE FROM rejected_events WHERE (code = $1 OR reason = $2) AND retried_at IS NULL";
    let mut tx = store.write().await?;
    let mut counts = Vec::with_capacity(junk.len());
    for one in junk {
        counts.push(match one {
            Junk::One(id) => tx.exec(ONE, args![*id]).await?,
            Junk::All(why) => tx.exec(ALL, args![why.as_str(), why.as_str()]).await?,
        });
    }
    tx.commit().await?;
    Ok(counts)
}

/// How many are kept and were not taken since.
pub async fn count(conn: &mut Conn) -> Result<i64> {
    conn.fetch_number("SELECT COUNT(*) FROM rejected_events WHERE retried_at IS NULL", Vec::new()).await
}

/// Forgets what is too old or too much; for upkeep.
pub async fn forget(store: &Store, now: Timestamp) -> Result<u64> {
    const OLD: &str = "DELETE FROM rejected_events WHERE rejected_at < $1";
    const MUCH: &str = "DELETE FROM rejected_events WHERE id <= COALESCE(( \
        SELECT id FROM rejected_events ORDER BY id DESC LIMIT 1 OFFSET $1), 0)";
    let mut tx = store.write().await?;
    let old = tx.exec(OLD, args![now.plus_ms(-KEPT_FOR)]).await?;
    let much = tx.exec(MUCH, args![KEPT]).await?;
    tx.commit().await?;
    Ok(old + much)
}
