//! What has to be done now and then: schedules that fire for everybody, jobs over all contacts, and forgetting what is old.
//!
//! Every step of it may be done twice, by two daemons too: firings and jobs have keys and remember how far they came.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Error;
use crate::clock::JourneyClock;
use crate::store::{Result, Store, inbox, jobs, rejected, schedules};
use crate::time::Timestamp;

/// How often it looks, in the machine's time.
const LOOK: Duration = Duration::from_millis(250);
/// How often old rows are forgotten.
const FORGET: Duration = Duration::from_secs(60);

/// Runs until stopped.
pub(super) async fn run(
    store: Store,
    clock: JourneyClock,
    stop: CancellationToken,
) -> std::result::Result<(), Error> {
    let mut forgotten = tokio::time::Instant::now();
    while !stop.is_cancelled() {
        let mut next = Timestamp::NEVER;
        match look(&store, &clock, &stop).await {
            Ok(soonest) => next = soonest,
            Err(error) if error.is_passing() => {
                tracing::warn!(error = %error, "upkeep could not reach the database")
            }
            Err(error) => return Err(error.into()),
        }
        if forgotten.elapsed() > FORGET {
            forgotten = tokio::time::Instant::now();
            if let Err(error) = forget(&store, clock.now()).await {
                tracing::warn!(error = %error, "old rows could not be forgotten");
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(clock.until(next, LOOK)) => {}
        }
    }
    Ok(())
}

/// Fires what is due, works on jobs; when the next schedule fires.
async fn look(store: &Store, clock: &JourneyClock, stop: &CancellationToken) -> Result<Timestamp> {
    let next = fire(store, clock.now()).await?;
    for bucket in store.buckets() {
        while !stop.is_cancelled() && jobs::work(store, bucket, clock.now()).await?.is_some() {}
    }
    Ok(next)
}

async fn fire(store: &Store, now: Timestamp) -> Result<Timestamp> {
    let schedule = schedules::look(store, now).await?;
    for firing in &schedule.due {
        let started = schedules::fire(store, firing, now).await?;
        if firing.missed > 1 || !started {
            tracing::warn!(
                journey = &*firing.journey, missed = firing.missed, at = %firing.at, started,
                "firings of a schedule were missed while nobody ran"
            );
        }
    }
    Ok(schedule.next)
}

async fn forget(store: &Store, now: Timestamp) -> Result<()> {
    rejected::forget(store, now).await?;
    for bucket in store.buckets() {
        let mut tx = store.write().await?;
        inbox::forget_seen(&mut tx, bucket).await?;
        tx.commit().await?;
    }
    Ok(())
}
