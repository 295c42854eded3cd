//! The due loop: lock a bucket, take what is due, advance, commit; again while there is more.
//!
//! Woken by commits (accepted events, recorded results) and by the next due time, which the advancing transaction returns. Each bucket is
//! looked at every few seconds all the same: wake-ups are hints, the tables are the truth.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Error;
use crate::clock::JourneyClock;
use crate::store::{self, Advanced, Store};
use crate::time::Timestamp;

/// Every bucket is looked at at least so often.
const LOOK: Duration = Duration::from_secs(5);
/// The pause after the database failed, doubled up to [`LOOK`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Inputs and timers taken by one transaction.
const BATCH: i64 = 2_000;

/// Runs until stopped.
pub(super) async fn run(store: Store, clock: JourneyClock, stop: CancellationToken) -> Result<(), Error> {
    let mut due = store.due();
    let mut pause = FIRST_PAUSE;
    while !stop.is_cancelled() {
        due.mark_unchanged();
        match round(&store, &clock, &stop).await {
            Ok(Round { more: true, .. }) => pause = FIRST_PAUSE,
            Ok(Round { next_due, .. }) => {
                pause = FIRST_PAUSE;
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = due.changed() => {}
                    () = tokio::time::sleep(clock.until(next_due, LOOK)) => {}
                }
            }
            Err(Error::Store(error)) if error.is_passing() => {
                tracing::warn!(error = %error, "the database is away; trying again");
                metrics::counter!("fahrplan_advance_failures_total").increment(1);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LOOK);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What one look at all buckets found.
struct Round {
    more: bool,
    next_due: Timestamp,
}

async fn round(store: &Store, clock: &JourneyClock, stop: &CancellationToken) -> Result<Round, Error> {
    let mut round = Round { more: false, next_due: Timestamp::NEVER };
    for bucket in store.buckets() {
        if stop.is_cancelled() {
            break;
        }
        let Advanced { taken, transitions, more, next_due, .. } =
            store::advance_bucket(store, bucket, clock.now(), BATCH).await?;
        round.more |= more;
        round.next_due = round.next_due.min(next_due);
        if taken > 0 {
            metrics::counter!("fahrplan_inputs_total").increment(taken as u64);
            metrics::counter!("fahrplan_transitions_total").increment(transitions as u64);
        }
    }
    Ok(round)
}
