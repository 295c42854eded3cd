//! What comes in: accepted here, answered only after the commit, and taken by the transaction that advances its bucket.
//!
//! Accepting takes no lock on a bucket. All calls that arrive while one transaction runs go into the next one together, so that a
//! sync of the disk serves many. A repeated message id within a week is dropped; a contact nobody knows is created; two contacts
//! that turn out to be one are merged by the advancing transaction, told so through the inbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::{mpsc, oneshot};

use super::hold::Reach;
use super::identities::{Resolved, Resolver};
use super::seen::{self, MessageId};
use super::sql::{Ended, args};
use super::{Arg, Conn, Core, Error, Result, Row, Rows, Store};
use crate::engine::world::Input;
use crate::id::ContactId;
use crate::intake::Who;
use crate::time::Timestamp;

/// Calls that may wait to be accepted, and items in them; beyond that the caller is told to come back later.
const CALLS: usize = 4_096;
const ITEMS: usize = 24_000;

/// Items that share a transaction, so that none waits long for its commit.
const TOGETHER: usize = 4_000;

/// Something that comes in for a contact.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    pub to: To,
    /// A repeat with the same id within a week does nothing.
    pub message_id: Option<String>,
    /// What happens. An event gets its id and moment of acceptance here.
    pub input: Input,
}

/// Whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    Contact(ContactId),
    /// Whoever has these identities; nobody yet: a new contact.
    Who(Who),
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is in the inbox of this contact.
    Taken(ContactId),
    /// Its message id was seen before.
    Repeated,
    /// It says nobody, or its contact does not exist.
    Nobody,
    /// It says that two people are one, who are known apart.
    TwoPeople,
}

/// What a row of the inbox holds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Parcel {
    Input(Input),
    /// The contact was created for this: its standing entries are set up first.
    First(Input),
    /// This contact is another one, who takes over what it has.
    Merge(ContactId),
}

/// A [`Parcel`] that is written, of an input that is text already.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum ParcelRef<'a> {
    Input(&'a RawValue),
    First(&'a RawValue),
    Merge(ContactId),
}

impl ParcelRef<'_> {
    fn to_text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers alone")
    }
}

fn to_text(input: &Input) -> Box<RawValue> {
    to_raw_value(input).expect("inputs have no keys but texts")
}

/// An item, as far as it is made ready by whoever brings it, before its turn comes.
struct Prepared {
    item: Incoming,
    now: Timestamp,
    message_id: Option<MessageId>,
    /// The input.
    text: Box<RawValue>,
}

impl Prepared {
    fn new(item: Incoming, now: Timestamp) -> Prepared {
        let message_id = item.message_id.as_deref().map(MessageId::new);
        Prepared { message_id, text: to_text(&item.input), item, now }
    }
}

/// The way to the acceptor, and how much waits there.
pub(super) struct Acceptor {
    calls: mpsc::Sender<Call>,
    waiting: Arc<AtomicUsize>,
}

struct Call {
    items: Vec<Prepared>,
    answer: oneshot::Sender<Result<Vec<Accepted>>>,
}

impl Acceptor {
    /// Starts the task that accepts; it ends when the store is gone.
    pub(super) fn start(core: &Arc<Core>) -> Acceptor {
        let (calls, waiting_calls) = mpsc::channel(CALLS);
        let waiting = Arc::new(AtomicUsize::new(0));
        tokio::spawn(accept_all(core.clone(), waiting_calls, waiting.clone()));
        Acceptor { calls, waiting }
    }
}

impl Store {
    /// Whether more may wait to be accepted now: who asks before he reads what came spares the work.
    pub fn has_room(&self) -> bool {
        self.acceptor.waiting.load(Ordering::Relaxed) <= ITEMS
    }

    /// Accepts items at that moment of the journey clock. The answer, one an item, comes after the commit: then nothing can lose
    /// them any more. Fails as [`Error::Busy`] when too much is waiting.
    pub async fn accept(&self, items: Vec<Incoming>, now: Timestamp) -> Result<Vec<Accepted>> {
        let count = items.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        if !self.has_room() {
            return Err(Error::Busy);
        }
        let mut items: Vec<Prepared> = items.into_iter().map(|item| Prepared::new(item, now)).collect();
        let message_ids = items.iter_mut().filter_map(|one| one.message_id.as_mut());
        if let Err(error) = seen::look_ahead(self, message_ids).await {
            tracing::debug!(%error, "message ids are looked for with the lock");
        }
        let acceptor = &self.acceptor;
        if acceptor.waiting.fetch_add(count, Ordering::Relaxed) > ITEMS {
            acceptor.waiting.fetch_sub(count, Ordering::Relaxed);
            return Err(Error::Busy);
        }
        let (answer, answered) = oneshot::channel();
        if acceptor.calls.try_send(Call { items, answer }).is_err() {
            acceptor.waiting.fetch_sub(count, Ordering::Relaxed);
            return Err(Error::Busy);
        }
        answered.await.unwrap_or(Err(Error::Busy))
    }
}

/// Takes the calls that wait, together, again and again.
async fn accept_all(core: Arc<Core>, mut calls: mpsc::Receiver<Call>, waiting: Arc<AtomicUsize>) {
    while let Some(first) = calls.recv().await {
        // What arrives while we wait for our turn to write goes along.
        let turn = core.write().await;
        let mut together = vec![first];
        let mut count = together[0].items.len();
        while count < TOGETHER {
            let Ok(next) = calls.try_recv() else { break };
            count += next.items.len();
            together.push(next);
        }
        let mut items = Vec::with_capacity(count);
        let mut shares = Vec::with_capacity(together.len());
        for call in together {
            shares.push((call.items.len(), call.answer));
            items.extend(call.items);
        }
        let done = match turn {
            Ok(tx) => accept_together(tx, &items).await,
            Err(error) => Err(error),
        };
        let waiting = waiting.clone();
        // The next ones are taken while these wait for the disk.
        tokio::spawn(async move {
            let accepted = match done {
                Ok((accepted, ended)) => ended.durable().await.map(|()| accepted),
                Err(error) => Err(error),
            };
            waiting.fetch_sub(count, Ordering::Relaxed);
            answer_all(accepted, shares);
        });
    }
}

fn answer_all(accepted: Result<Vec<Accepted>>, shares: Vec<(usize, oneshot::Sender<Result<Vec<Accepted>>>)>) {
    match accepted {
        Ok(all) => {
            let mut all = all.into_iter();
            for (count, answer) in shares {
                // Nobody listens any more when the client hung up; what it sent is kept all the same.
                _ = answer.send(Ok(all.by_ref().take(count).collect()));
            }
        }
        Err(error) => {
            tracing::error!(%error, "nothing was accepted");
            let told = || match error {
                Error::Busy | Error::Moved => Error::Busy,
                Error::Clock { ahead_ms } => Error::Clock { ahead_ms },
                _ => Error::Database(sqlx::Error::WorkerCrashed),
            };
            for (_, answer) in shares {
                _ = answer.send(Err(told()));
            }
        }
    }
}

/// Accepts items in one transaction, which everybody sees then; once more when another process came first with the same identity or
/// message id.
async fn accept_together(mut tx: Conn, items: &[Prepared]) -> Result<(Vec<Accepted>, Ended)> {
    let core = tx.core.clone();
    for _ in 0..5 {
        if let Some((accepted, aside)) = accept_in(&mut tx, items).await? {
            tx.hint_due().await?;
            let ended = tx.end((!aside).then_some(Reach::Everything)).await?;
            return Ok((accepted, ended));
        }
        drop(tx);
        tx = core.write().await?;
    }
    Err(Error::Busy)
}

/// Accepts items in a transaction, and says whether nobody's facts are changed by that; `None` when it must begin anew.
async fn accept_in(tx: &mut Conn, items: &[Prepared]) -> Result<Option<(Vec<Accepted>, bool)>> {
    let message_ids = items.iter().map(|one| one.message_id.as_ref());
    let Some(repeated) = seen::note(tx, message_ids).await? else { return Ok(None) };
    let fresh = || items.iter().zip(&repeated).filter(|(_, repeated)| !**repeated).map(|(one, _)| &one.item);
    let mut resolver = Resolver::load(tx, fresh()).await?;
    let mut accepted = Vec::with_capacity(items.len());
    let mut rows = Rows::with_capacity(items.len() * 5);
    for (Prepared { item, now, text, .. }, repeated) in items.iter().zip(repeated) {
        if repeated {
            accepted.push(Accepted::Repeated);
            continue;
        }
        if resolver.are_two(tx, &item.to).await? {
            accepted.push(Accepted::TwoPeople);
            continue;
        }
        let Some(resolved) = resolver.resolve(tx, &item.to, *now).await? else {
            accepted.push(Accepted::Nobody);
            continue;
        };
        let Resolved { contact, new, merged, without_address } = resolved;
        for loser in merged {
            push(&mut rows, &tx.core, loser, *now, ParcelRef::Merge(contact).to_text());
        }
        let without = without_address.then(|| without(&item.input, "email"));
        let text = without.as_deref().unwrap_or(text);
        let parcel = if new { ParcelRef::First(text) } else { ParcelRef::Input(text) };
        push(&mut rows, &tx.core, contact, *now, parcel.to_text());
        accepted.push(Accepted::Taken(contact));
    }
    let aside = resolver.only_creates();
    if !resolver.write(tx).await? {
        return Ok(None);
    }
    insert(tx, rows).await?;
    Ok(Some((accepted, aside)))
}

/// The input without an attribute that may not be set.
fn without(input: &Input, attribute: &str) -> Box<RawValue> {
    match input {
        Input::Attributes { values, at } => {
            let mut values = values.clone();
            values.remove(attribute);
            to_text(&Input::Attributes { values, at: *at })
        }
        other => to_text(other),
    }
}

/// Puts inputs into the inboxes of contacts that are known, inside a transaction that does more. Its commit wakes the advancing loop.
pub async fn enqueue(tx: &mut Conn, inputs: Vec<(ContactId, Input)>, now: Timestamp) -> Result<()> {
    let mut rows = Rows::with_capacity(inputs.len() * 5);
    for (contact, input) in inputs {
        push(&mut rows, &tx.core, contact, now, ParcelRef::Input(&to_text(&input)).to_text());
    }
    insert(tx, rows).await?;
    tx.hint_due().await
}

fn push(rows: &mut Rows, core: &Core, contact: ContactId, now: Timestamp, text: String) {
    rows.push([
        core.bucket_of(contact).into(),
        core.new_id().into(),
        contact.into(),
        now.into(),
        text.into(),
    ]);
}

async fn insert(tx: &mut Conn, rows: Rows) -> Result<()> {
    for row in rows.cells.chunks(5) {
        if let [Arg::I64(bucket), ..] = row {
            tx.note_due(*bucket);
        }
    }
    const INSERT: &str = "INSERT INTO inbox (bucket, id, contact, accepted_at, input) {IIIIT}";
    tx.exec_rows(INSERT, rows, &[]).await?;
    Ok(())
}

/// A row of the inbox, taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: i64,
    pub(super) contact: ContactId,
    pub(super) accepted_at: Timestamp,
    pub(super) text: String,
}

impl Taken {
    /// What is in it. A text that cannot be read must not stop the others of its bucket: the caller sets it aside.
    pub(super) fn open(&self) -> Result<Parcel, String> {
        serde_json::from_str(&self.text).map_err(|error| error.to_string())
    }
}

/// Takes the oldest rows of a bucket out of the inbox, in order. One statement finds and deletes them, so that a row that is
/// committed meanwhile can neither be missed nor lost.
pub(super) async fn take(tx: &mut Conn, bucket: i64, limit: i64) -> Result<Vec<Taken>> {
    const TAKE: &str = "DELETE FROM inbox WHERE bucket = $1 AND id <= ( \
        SELECT MAX(id) FROM (SELECT id FROM inbox WHERE bucket = $2 ORDER BY id LIMIT $3) AS oldest) \
        RETURNING id, contact, accepted_at, input";
    taken(tx.fetch(TAKE, args![bucket, bucket, limit]).await?)
}

/// The oldest rows of the inbox of a bucket, in order.
pub(super) async fn oldest(conn: &mut Conn, bucket: i64, limit: i64) -> Result<Vec<Taken>> {
    const OLDEST: &str =
        "SELECT id, contact, accepted_at, input FROM inbox WHERE bucket = $1 ORDER BY id LIMIT $2";
    taken(conn.fetch(OLDEST, args![bucket, limit]).await?)
}

fn taken(rows: Vec<Row>) -> Result<Vec<Taken>> {
    let read = |row: Row| {
        Ok(Taken {
            id: row.i64(0)?,
            contact: ContactId(row.i64(1)?),
            accepted_at: row.at(2)?,
            text: row.text(3)?.to_owned(),
        })
    };
    let mut taken: Vec<Taken> = rows.into_iter().map(read).collect::<Result<_>>()?;
    taken.sort_unstable_by_key(|taken| taken.id);
    Ok(taken)
}

/// Removes the rows of the inbox of a bucket from one to another; how many.
pub(super) async fn remove(tx: &mut Conn, bucket: i64, first: i64, last: i64) -> Result<u64> {
    const REMOVE: &str = "DELETE FROM inbox WHERE bucket = $1 AND id >= $2 AND id <= $3";
    tx.exec(REMOVE, args![bucket, first, last]).await
}

/// Puts rows that came for a contact who was merged into the inbox of the one who took over.
pub(super) async fn forward(tx: &mut Conn, rows: Vec<(ContactId, Taken)>) -> Result<()> {
    let mut forwarded = Rows::default();
    for (contact, taken) in rows {
        push(&mut forwarded, &tx.core, contact, taken.accepted_at, taken.text);
    }
    insert(tx, forwarded).await
}

/// Tells losers, by their inbox, who takes over from them.
pub(super) async fn tell_of_merges(
    tx: &mut Conn,
    merges: Vec<(ContactId, ContactId)>,
    now: Timestamp,
) -> Result<()> {
    let mut rows = Rows::default();
    for (loser, winner) in merges {
        push(&mut rows, &tx.core, loser, now, ParcelRef::Merge(winner).to_text());
    }
    insert(tx, rows).await
}

/// Keeps a text that cannot be read among the rejected items, for people to look at.
pub(super) async fn set_aside(tx: &mut Conn, text: &str, reason: &str, now: Timestamp) -> Result<()> {
    const SET_ASIDE: &str = "INSERT INTO rejected_events (id, rejected_at, source, code, reason, body) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    let id = tx.core.new_id();
    tx.exec(SET_ASIDE, args![id, now, "inbox", "unreadable", reason, text]).await?;
    Ok(())
}

/// How many rows wait in the inbox of a bucket.
pub async fn waiting(conn: &mut Conn, bucket: i64) -> Result<i64> {
    conn.fetch_number("SELECT COUNT(*) FROM inbox WHERE bucket = $1", args![bucket]).await
}
