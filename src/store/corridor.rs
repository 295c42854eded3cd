//! The corridor: one short transaction that advances a batch of contacts of one bucket.
//!
//! ```text
//! lock the bucket -> take inbox rows and due timers -> for each contact: advance, load what it needs, again -> write -> commit
//! ```
//!
//! - *lock*: who holds the row of the bucket is alone with its contacts; others go elsewhere. A crash gives it back. On SQLite a batch
//!   is read and advanced before the lock is taken, as far as it has nothing to write: see [`super::hold`].
//! - *take*: the oldest rows of the inbox, and timers only as far as the inbox was drained, so that an event accepted by a deadline
//!   comes before it. What is taken is deleted in the same transaction.
//! - *advance*: pure. It says which fact is missing; facts are loaded for all contacts in one statement a kind.
//! - *write*: everything at once, sorted by key. Before the commit nothing has happened.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use super::batch::{Batch, Queued};
use super::contacts::Found;
use super::hold::Hold;
use super::inbox::{self, Parcel, Taken};
use super::journeys::{self, Deployed};
use super::sql::args;
use super::{Conn, Error, Result, Store, contacts, events, timers};
use crate::engine::world::{Cause, Event, Input};
use crate::id::ContactId;
use crate::intake::CLOCK_SKEW;
use crate::time::Timestamp;

/// What one call did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advanced {
    /// Rows of the inbox and timers that were taken.
    pub taken: usize,
    /// Steps that were done or begun: lines of the history.
    pub transitions: usize,
    /// Deliveries, requests and tasks that came of it.
    pub owed: usize,
    /// There may be more at once.
    pub more: bool,
    /// Somebody else holds the bucket.
    pub locked: bool,
    /// When the next timer of the bucket is due.
    pub next_due: Timestamp,
}

/// Advances one bucket at that moment of the journey clock: at most `limit` rows of the inbox and as many timers.
pub async fn advance_bucket(store: &Store, bucket: i64, now: Timestamp, limit: i64) -> Result<Advanced> {
    let idle = Advanced { next_due: next_look(store, bucket, now).await?, ..Advanced::default() };
    if idle.next_due > now {
        return Ok(idle);
    }
    if let Some(hold) = Hold::ahead(store, bucket).await? {
        match advance(store, hold, bucket, now, limit).await {
            Err(Error::Moved) => {}
            advanced => return advanced,
        }
    }
    match Hold::lock(store, bucket).await? {
        Some(hold) => advance(store, hold, bucket, now, limit).await,
        None => Ok(Advanced { locked: true, ..idle }),
    }
}

async fn advance(
    store: &Store,
    mut hold: Hold<'_>,
    bucket: i64,
    now: Timestamp,
    limit: i64,
) -> Result<Advanced> {
    // Not in the statement that locks: what PostgreSQL reads in it may be older than the lock.
    let deployed = journeys::deployed(hold.read()).await?;
    let taken = hold.take_inbox(limit).await?;
    let drained = taken.len() < usize::try_from(limit).unwrap_or(usize::MAX);
    let until = match taken.last() {
        Some(last) if !drained => now.min(last.accepted_at.plus_ms(-1)),
        _ => now,
    };
    let due = hold.take_timers(until, limit).await?;
    let counted = taken.len() + due.len();
    let more = !drained || due.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let mut batch = Batch::new(bucket, now, deployed.clone());
    sort_in(&mut hold, &mut batch, &deployed, taken, due).await?;
    let done = batch.run(&mut hold).await?;
    let next_due = timers::next_due(hold.write().await?, bucket).await?;
    hold.commit(done.reach).await?;
    // Thousands of worlds: taken apart only now that nobody waits for the bucket.
    drop(batch);
    if done.owed > 0 {
        store.core.wake_owed();
    }
    Ok(Advanced {
        taken: counted,
        transitions: done.transitions,
        owed: done.owed,
        more,
        locked: false,
        next_due,
    })
}

/// When the bucket has to be looked at: now if something is in the inbox. Looks without a lock.
async fn next_look(store: &Store, bucket: i64, now: Timestamp) -> Result<Timestamp> {
    let mut conn = store.read().await?;
    const LOOK: &str = "SELECT (SELECT id FROM inbox WHERE bucket = $1 ORDER BY id LIMIT 1), \
        (SELECT wake_at FROM timers WHERE bucket = $2 ORDER BY wake_at, id LIMIT 1)";
    let Some(row) = conn.fetch_first(LOOK, args![bucket, bucket]).await? else { return Ok(Timestamp::NEVER) };
    Ok(match row.opt_i64(0)? {
        Some(_) => now,
        None => row.opt_at(1)?.unwrap_or(Timestamp::NEVER),
    })
}

/// What a row of the inbox brings: when it was accepted, and under which id.
type Row = (Timestamp, (i64, Vec<Input>));

/// Gives each contact of the batch its inputs, in order; sets aside what is for somebody else or cannot be read.
async fn sort_in(
    hold: &mut Hold<'_>,
    batch: &mut Batch,
    deployed: &Deployed,
    taken: Vec<Taken>,
    due: Vec<timers::Timer>,
) -> Result<()> {
    let mut ids: BTreeMap<ContactId, bool> = due.iter().map(|timer| (timer.contact, false)).collect();
    let opened = taken.into_iter().map(|row| (row.open(), row));
    let taken: Vec<(Result<Parcel, String>, Taken)> = opened.collect();
    for (parcel, row) in &taken {
        *ids.entry(row.contact).or_default() |= matches!(parcel, Ok(Parcel::First(_)));
    }
    let mut known = contacts::of_batch(hold.read(), batch.bucket, ids.into_iter()).await?;
    let mut rows: BTreeMap<ContactId, VecDeque<Row>> = BTreeMap::new();
    let (mut forwarded, mut unsettled) = (Vec::new(), BTreeSet::new());
    let is_early = |row: &Taken| deployed.engine.opened_after(row.id);
    for (parcel, row) in taken {
        let Some(Found { merged_into, is_blank, .. }) = known.get(&row.contact) else { continue };
        // Word of a merge is for the one who was merged; everything else goes on to who took over.
        if let (Some(winner), false) = (merged_into, matches!(parcel, Ok(Parcel::Merge(_)))) {
            forwarded.push((*winner, row));
            continue;
        }
        let inputs = match parcel {
            Ok(Parcel::Merge(winner)) => {
                batch.merges.push((row.contact, winner));
                continue;
            }
            Ok(Parcel::First(input)) => {
                // What came through another process, whose clock is behind, may have begun something before.
                batch.begin(row.contact, *is_blank);
                let inputs = (row.id, vec![Input::Settle { cause: Cause::New }, accepted(input, &row)]);
                if is_early(&row) {
                    unsettled.insert(row.contact);
                }
                // Before all else: ids made by two processes within a millisecond do not say which was earlier.
                rows.entry(row.contact).or_default().push_front((row.accepted_at, inputs));
                continue;
            }
            Ok(Parcel::Input(input)) => {
                if matches!(input, Input::Settle { cause: Cause::Import }) && is_early(&row) {
                    unsettled.insert(row.contact);
                }
                (row.id, vec![accepted(input, &row)])
            }
            Err(reason) => {
                tracing::error!(contact = %row.contact, id = row.id, %reason, "an input cannot be read");
                inbox::set_aside(hold.write().await?, &row.text, &reason, batch.now).await?;
                continue;
            }
        };
        rows.entry(row.contact).or_default().push_back((row.accepted_at, inputs));
    }
    if !forwarded.is_empty() {
        inbox::forward(hold.write().await?, forwarded).await?;
        batch.reaches_far();
    }
    settle_behind(hold, unsettled, batch.now).await?;
    drop_repeats(hold.read(), batch.bucket, deployed, &mut rows).await?;

    let mut waiting: BTreeMap<ContactId, VecDeque<timers::Timer>> = BTreeMap::new();
    for timer in due.into_iter().filter(|timer| known.contains_key(&timer.contact)) {
        waiting.entry(timer.contact).or_default().push_back(timer);
    }
    let all: BTreeSet<ContactId> = rows.keys().chain(waiting.keys()).copied().collect();
    for contact in all {
        batch.begin(contact, false);
        let attributes = known.remove(&contact).map(|found| found.attributes).unwrap_or_default();
        let queue =
            in_order(rows.remove(&contact).unwrap_or_default(), waiting.remove(&contact).unwrap_or_default());
        batch.give(contact, attributes, queue);
    }
    Ok(())
}

/// Lets the look of a deploy come after all that was accepted before it, for contacts whom a journey that has opened since waits for.
/// Its job may have missed them: on PostgreSQL it does not see who is created in a transaction that is not yet committed.
async fn settle_behind(hold: &mut Hold<'_>, contacts: BTreeSet<ContactId>, now: Timestamp) -> Result<()> {
    if contacts.is_empty() {
        return Ok(());
    }
    let settle = |contact| (contact, Input::Settle { cause: Cause::Deploy });
    inbox::enqueue(hold.write().await?, contacts.into_iter().map(settle).collect(), now).await
}

/// An event gets its id and its moment of acceptance from the row that brought it.
fn accepted(input: Input, row: &Taken) -> Input {
    match input {
        Input::Event(event) => Input::Event(Event {
            id: row.id,
            accepted_at: row.accepted_at,
            occurred_at: event.occurred_at.min(row.accepted_at.plus_ms(CLOCK_SKEW)),
            ..event
        }),
        other => other,
    }
}

/// Drops events whose dedupe value their contact had before.
async fn drop_repeats(
    tx: &mut Conn,
    bucket: i64,
    deployed: &Deployed,
    rows: &mut BTreeMap<ContactId, VecDeque<Row>>,
) -> Result<()> {
    let value = |contact: ContactId, input: &Input| match input {
        Input::Event(event) => {
            let value = events::dedupe_value(&deployed.catalog, event)?;
            Some((contact, event.name.clone(), value))
        }
        _ => None,
    };
    let inputs = rows.iter().flat_map(|(contact, rows)| rows.iter().map(move |(_, row)| (*contact, &row.1)));
    let wanted: HashSet<_> =
        inputs.flat_map(|(contact, inputs)| inputs.iter().filter_map(move |i| value(contact, i))).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut seen = events::known(tx, bucket, &wanted).await?;
    for (contact, rows) in rows.iter_mut() {
        for (_, (_, inputs)) in rows.iter_mut() {
            inputs.retain(|input| value(*contact, input).is_none_or(|key| seen.insert(key)));
        }
    }
    Ok(())
}

/// Inputs and timers of one contact in the order in which they count: what was accepted at a deadline comes before it.
fn in_order(mut rows: VecDeque<Row>, mut timers: VecDeque<timers::Timer>) -> VecDeque<Queued> {
    let mut queue = VecDeque::with_capacity(rows.len() + timers.len());
    loop {
        let timer_first = match (rows.front(), timers.front()) {
            (None, None) => return queue,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (Some((accepted_at, _)), Some(timer)) => timer.wake_at < *accepted_at,
        };
        if timer_first {
            queue.extend(timers.pop_front().map(Queued::Timer));
        } else if let Some((_, (id, inputs))) = rows.pop_front() {
            queue.extend(inputs.into_iter().map(|input| Queued::Input(Some(id), input)));
        }
    }
}
