//! The due loop: lock a bucket, take what is due, advance, commit; again while there is more.
//!
//! Woken by commits (accepted events, recorded results), which say which buckets they concern, by words of other processes, and by the
//! next due time of each bucket, which the advancing transaction returns. Each bucket is looked at every few seconds all the same:
//! wake-ups are hints, the tables are the truth. See [`Agenda`].
//!
//! On SQLite two buckets are advanced at a time: while one batch writes, the other one thinks. On PostgreSQL it is one, since the server
//! works on it meanwhile, and several processes share the buckets. A bucket that another process holds is left alone for a moment; who
//! holds it does what is in it.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::agenda::{Agenda, LOOK};
use crate::clock::JourneyClock;
use crate::store::{self, Advanced, Dialect, Store};

/// The pause after the database failed, doubled up to [`LOOK`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Inputs and timers taken by one transaction.
const BATCH: i64 = 2_000;

/// How many buckets are advanced at a time. Two on PostgreSQL make smaller batches, and those cost the server and us a tenth more.
fn width(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Sqlite => 2,
        Dialect::Postgres => 1,
    }
}

/// What became of one look at a bucket.
type Look = (i64, store::Result<Advanced>);

/// Runs until stopped; batches that were begun are ended.
pub(super) async fn run(store: Store, clock: JourneyClock, stop: CancellationToken) -> Result<(), Error> {
    let mut agenda = Agenda::new(store.buckets(), store.worker());
    let mut due = store.due();
    let mut looks: JoinSet<Look> = JoinSet::new();
    let mut pause = FIRST_PAUSE;
    let width = width(store.dialect());
    loop {
        // A worker whose clock is wrong does nothing by it.
        tokio::select! {
            () = stop.cancelled() => {}
            () = store.on_time() => {}
        }
        due.mark_unchanged();
        agenda.hear(store.take_due());
        while looks.len() < width && !stop.is_cancelled() {
            let Some(bucket) = agenda.take(clock.now(), Instant::now()) else { break };
            let (store, now) = (store.clone(), clock.now());
            looks.spawn(async move { (bucket, store::advance_bucket(&store, bucket, now, BATCH).await) });
        }
        if stop.is_cancelled() && looks.is_empty() {
            return Ok(());
        }
        let has_room = looks.len() < width && !stop.is_cancelled();
        tokio::select! {
            Some(look) = looks.join_next() => {
                let (bucket, advanced) = look.map_err(|_| Error::Panicked("advancing"))?;
                match advanced {
                    Ok(advanced) => {
                        pause = FIRST_PAUSE;
                        count(&advanced);
                        agenda.put_back(bucket, &advanced, Instant::now());
                    }
                    Err(error) if error.is_passing() => {
                        tracing::warn!(%error, "the database is away; trying again");
                        metrics::counter!("fahrplan_advance_failures_total").increment(1);
                        agenda.put_back_failed(bucket);
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = tokio::time::sleep(pause) => {}
                        }
                        pause = (pause * 2).min(LOOK);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            () = stop.cancelled(), if has_room => {}
            _ = due.changed(), if has_room => {}
            () = tokio::time::sleep(agenda.pause(&clock, Instant::now())), if has_room => {}
        }
    }
}

fn count(advanced: &Advanced) {
    if advanced.taken > 0 {
        metrics::counter!("fahrplan_inputs_total").increment(advanced.taken as u64);
        metrics::counter!("fahrplan_transitions_total").increment(advanced.transitions as u64);
    }
    if advanced.locked {
        metrics::counter!("fahrplan_buckets_locked_total").increment(1);
    }
}
