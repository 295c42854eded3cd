//! What has to be done now and then: schedules that fire for everybody, jobs over all contacts, forgetting what is old, and what the
//! database and the mail server want done.
//!
//! Every step of it may be done twice, by two daemons too: firings and jobs have keys and remember how far they came.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gauges::Gauges;
use super::retention::Retention;
use super::{Error, Outlet};
use crate::clock::JourneyClock;
use crate::store::deliveries::{self, Released};
use crate::store::schedules::Fired;
use crate::store::{self, Dialect, Result, Store, jobs, schedules, tidy};
use crate::time::Timestamp;

/// How often it looks, in the machine's time.
const LOOK: Duration = Duration::from_millis(250);
/// How often workers are looked for that died.
const BURY: Duration = Duration::from_secs(2);
/// How often old rows are forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// How often the database is tidied.
const TIDY_SQLITE: Duration = Duration::from_secs(30);
const TIDY_POSTGRES: Duration = Duration::from_secs(5);

/// Runs until stopped.
pub(super) async fn run(
    store: Store,
    clock: JourneyClock,
    outlet: Arc<Outlet>,
    stop: CancellationToken,
) -> std::result::Result<(), Error> {
    let (mut forgotten, mut tidied, mut buried) = (Instant::now(), Instant::now(), Instant::now());
    let mut released = Released::default();
    let mut gauges = Gauges::default();
    let (mut retention, mut tidying) = (Retention::default(), tidy::Tidying::default());
    let pause = match store.dialect() {
        Dialect::Sqlite => TIDY_SQLITE,
        Dialect::Postgres => TIDY_POSTGRES,
    };
    while !stop.is_cancelled() {
        let mut next = Timestamp::NEVER;
        match tokio::join!(look(&store, &clock, &stop), outlet.close_idle()).0 {
            // A worker whose clock is wrong does nothing by it; `gauges` says so.
            Err(store::Error::Clock { .. }) => {}
            Ok(soonest) => next = soonest,
            Err(error) if error.is_passing() => {
                tracing::warn!(error = %error, "upkeep could not reach the database")
            }
            Err(error) => return Err(error.into()),
        }
        gauges.work(&store).await;
        if buried.elapsed() > BURY {
            buried = Instant::now();
            bury(&store, &mut released).await;
        }
        if forgotten.elapsed() > FORGET && store.clock_error().is_none() {
            forgotten = Instant::now();
            if let Err(error) = retention.work(&store, clock.now()).await {
                tracing::warn!(error = %error, "old rows could not be forgotten");
            }
        }
        if tidied.elapsed() > pause {
            tidied = Instant::now();
            if let Err(error) = tidying.work(&store).await {
                tracing::warn!(error = %error, "the database could not be tidied");
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(clock.until(next, LOOK)) => {}
        }
    }
    Ok(())
}

/// Lets go of what workers had under way that died. After an outage of the database everybody's lease is over, and whoever is first back
/// must not take the others for dead.
async fn bury(store: &Store, released: &mut Released) {
    if !store.has_kept_its_lease() {
        return;
    }
    match deliveries::release_of_the_dead(store, released).await {
        Ok(0) => {}
        Ok(messages) => {
            tracing::warn!(messages, "a worker died; what it was sending is taken up by others, as doubtful");
        }
        Err(store::Error::Clock { .. }) => {}
        Err(error) => tracing::warn!(%error, "nobody could look for workers that died"),
    }
}

/// Fires what is due, works on jobs; when the next schedule fires.
async fn look(store: &Store, clock: &JourneyClock, stop: &CancellationToken) -> Result<Timestamp> {
    if let Some(ahead_ms) = store.clock_error() {
        return Err(store::Error::Clock { ahead_ms });
    }
    let next = fire(store, clock.now()).await?;
    for bucket in jobs::unfinished_buckets(store).await? {
        while !stop.is_cancelled() && jobs::work(store, bucket, clock.now()).await?.is_some() {}
    }
    Ok(next)
}

async fn fire(store: &Store, now: Timestamp) -> Result<Timestamp> {
    let schedule = schedules::look(store, now).await?;
    for firing in &schedule.due {
        let fired = schedules::fire(store, firing, now).await?;
        let started = fired == Fired::Started;
        if let Fired::Held(held) = &fired {
            tracing::warn!(
                journey = &*held.journey,
                count = held.count,
                allowed = held.most,
                before = held.before,
                "a firing is held: it would take in more people than the policy allows, or far more than the one before"
            );
            continue;
        }
        if firing.missed > 1 || !started {
            tracing::warn!(
                journey = &*firing.journey, missed = firing.missed, at = %firing.at, started,
                "firings of a schedule were missed while nobody ran"
            );
        }
    }
    Ok(schedule.next)
}
