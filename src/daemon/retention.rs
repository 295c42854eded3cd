//! Forgetting what is kept no longer, a little at a time: a pass over all contacts may take hours, and nobody notices it.
//!
//! What holds for how long: events as the schema says (`keep`), decisions 400 days, answers to surveys three years, rejected items and
//! message ids as their files say.
//! Open tasks that nobody did in time are taken off the list here too, and what somebody said who was not known then is tried again.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::machine_now;
use crate::id::{self, ContactId};
use crate::store::{
    Result, Store, events, exports, gateway_ids, history, journeys, letters, rejected, replies, seen,
    surveys, tasks,
};
use crate::time::{DAY, Timestamp};

/// How long decisions are kept, on the machine's clock.
const DECISIONS: i64 = 400 * DAY;
/// How long answers to surveys are kept.
const ANSWERS: i64 = 3 * 366 * DAY;
/// Slices of a bucket that one call works on, so that a call is short.
const SLICES: usize = 10;
/// Decisions or answers a slice.
const ROWS: i64 = 1_000;
/// From the beginning of one pass over the events of all contacts to that of the next, unless it takes longer.
const PASS: Duration = Duration::from_secs(24 * 3_600);

/// How far forgetting has come.
#[derive(Debug, Default)]
pub struct Retention {
    /// In each bucket the contact after which the pass goes on; `None` where it is through.
    places: Vec<Option<ContactId>>,
    began: Option<Instant>,
    /// What people said whom nobody knew is tried again from there on.
    replies_after: i64,
}

impl Retention {
    /// Forgets the next part of what is old, at that moment of the journey clock.
    pub async fn work(&mut self, store: &Store, now: Timestamp) -> Result<()> {
        rejected::forget(store, now).await?;
        replies::forget(store, now).await?;
        gateway_ids::forget(store, machine_now()).await?;
        self.replies_after = replies::retry_known(store, self.replies_after, now).await?;
        tasks::expire(store, now).await?;
        letters::forget(store, machine_now()).await?;
        exports::forget(store, machine_now()).await?;
        let is_through = self.places.iter().all(Option::is_none);
        if is_through && self.began.is_none_or(|began| began.elapsed() >= PASS) {
            self.began = Some(Instant::now());
            self.places = store.buckets().map(|_| Some(ContactId(0))).collect();
        }
        seen::forget(store).await?;
        for bucket in store.buckets() {
            forget_decisions(store, bucket).await?;
            forget_answers(store, bucket).await?;
        }
        self.forget_events(store, now).await
    }

    async fn forget_events(&mut self, store: &Store, now: Timestamp) -> Result<()> {
        let deployed = journeys::deployed(&mut store.read().await?).await?;
        for (bucket, place) in store.buckets().zip(&mut self.places) {
            for _ in 0..SLICES {
                let Some(after) = *place else { break };
                *place = events::forget(store, bucket, &deployed.catalog, after, now).await?;
            }
        }
        Ok(())
    }
}

async fn forget_decisions(store: &Store, bucket: i64) -> Result<()> {
    let before = id::at(machine_now().plus_ms(-DECISIONS));
    for _ in 0..SLICES {
        if !history::goes_back_behind(&mut store.read().await?, bucket, before).await? {
            break;
        }
        let mut tx = store.write().await?;
        let forgotten = history::forget(&mut tx, bucket, before, ROWS).await?;
        tx.commit().await?;
        if forgotten < ROWS.unsigned_abs() {
            break;
        }
    }
    Ok(())
}

async fn forget_answers(store: &Store, bucket: i64) -> Result<()> {
    let before = id::at(machine_now().plus_ms(-ANSWERS));
    for _ in 0..SLICES {
        let mut tx = store.write().await?;
        let forgotten = surveys::forget(&mut tx, bucket, before, ROWS).await?;
        tx.commit().await?;
        if forgotten < ROWS.unsigned_abs() {
            break;
        }
    }
    Ok(())
}
