//! The outbox loop: lease, re-check, render, send, record. The only place where the world is touched.
//!
//! ```text
//! queued ──claim──> leased ──result──> accepted | refused | cancelled | unknown
//!    ^                 │
//!    └── deferred, or lease ended without a result
//! ```
//!
//! Of a message whose text was handed over without an answer, or whose lease ended without a result, nobody knows whether it has left.
//! What is transactional is sent again, with the same Message-ID: at least once. Everything else is sent at most once: it is kept as
//! unknown until somebody decides.
//!
//! At the send point only what may withdraw permission is read again, and never caps: the contact is still there, the address is not
//! suppressed, consent stands, no pause began, `before` has not passed, no quiet hours. A delivery withdrawn here is cancelled with its
//! reason, frees its cap slot, and is an outcome. A failure of one delivery is its own: a template that does not render, or a panic,
//! refuses that message, and the others go on.
//!
//! What is paused is not claimed and stays in the queue; what was claimed before is given back, since the pauses are looked at right
//! before each send.
//!
//! The facts are those of the claim. Where the sending begins later than that, since all connections were busy or the relay was
//! slow, they are read once more right before it: a withdrawal holds from its commit on.

mod desk;
mod results;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::desk::{Desk, withdrawn};
pub(super) use self::results::{later_at, may_repeat, refused};
use super::Error;
use super::brakes::{Brakes, Standing};
use super::compose::Composer;
use super::rates::{Open, Rates};
use super::shelf::Shelf;
use super::ways::Others;
use crate::channels::Channel;
use crate::clock::JourneyClock;
use crate::store::deliveries::{self, Finished, Recorded};
use crate::store::{Store, rehearsal};

/// The outbox is looked at at least so often.
const LOOK: Duration = Duration::from_secs(5);
/// The pause after the database failed.
const PAUSE: Duration = Duration::from_millis(250);
/// The shortest wait for a rate: what comes sooner leaves together.
const SHORTEST: Duration = Duration::from_millis(2);
/// While something is paused it is looked so often whether it still is.
const PAUSED: Duration = Duration::from_millis(500);
/// Lists of results that may wait to be recorded.
const RESULTS: usize = 16;
/// Results that share a transaction.
const RECORD: usize = 2_048;

/// Where messages leave.
pub struct Outlet {
    pub way: Way,
    pub composer: Composer,
    pub shelf: Shelf,
    /// How many messages are on their way at once. All of them may have to be repeated after a crash, so no more than needed.
    pub parallel: usize,
    pub brakes: Brakes,
    pub rates: Rates,
    /// Who is asked by requests.
    pub others: Others,
}

/// How messages leave.
pub enum Way {
    Channel(Channel),
    /// Nothing leaves: messages count as accepted and tasks are answered with their first outcome. For rehearsals and `bench`.
    Rehearse,
}

impl Outlet {
    /// Closes connections that have long been idle.
    pub(super) async fn close_idle(&self) {
        if let Way::Channel(channel) = &self.way {
            channel.close_idle().await;
        }
    }
}

/// Runs until stopped; then what is on its way is awaited and recorded.
pub(super) async fn run(
    store: Store,
    clock: JourneyClock,
    outlet: Arc<Outlet>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let room = Arc::new(Semaphore::new(outlet.parallel));
    let (results, finished) = mpsc::channel(RESULTS);
    let recorder = tokio::spawn(record(store.clone(), clock.clone(), finished));
    let mut owed = store.owed();
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => break,
            () = store.on_time() => {}
        }
        owed.mark_unchanged();
        let permit = tokio::select! {
            () = stop.cancelled() => break,
            permit = room.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
        };
        match round(&store, &clock, &outlet, &room, permit, &results).await {
            Ok(Round { any: true, .. }) => {}
            Ok(Round { standing, open, .. }) => {
                let pause = look(&store, &clock, &standing, &open).await;
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = owed.changed() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
            Err(error) if error.is_passing() => {
                tracing::warn!(error = %error, "the outbox cannot be read; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    drop(results);
    // In-flight sends hold a sender each; the recorder ends when the last has reported.
    recorder.await.map_err(|_| Error::Panicked("the recorder of results"))?;
    outlet.rates.give_back(&store).await;
    if let Way::Channel(channel) = &outlet.way {
        channel.close().await;
    }
    Ok(())
}

/// How long until something falls due, on either clock, or a pause may have been lifted, or a rate lets more go.
async fn look(store: &Store, clock: &JourneyClock, standing: &Standing, open: &Open) -> Duration {
    if standing.all {
        return PAUSED;
    }
    let more = open.again.map_or(LOOK, |again| again.duration_since(Instant::now()).max(SHORTEST));
    let longest = if standing.any() { PAUSED.min(more) } else { LOOK.min(more) };
    if open.shut {
        return longest;
    }
    let closed = standing.closed.and(&open.closed);
    let next = async { deliveries::next_open(&mut store.read().await?, &closed).await };
    let Ok(next) = next.await else { return PAUSE };
    let due = next.due_at.map_or(LOOK, |at| clock.until(at, LOOK));
    let again = next.again_at.map_or(LOOK, |at| JourneyClock::Machine.until(at, LOOK));
    due.min(again).min(longest)
}

/// What a look at the outbox found.
struct Round {
    any: bool,
    standing: Arc<Standing>,
    open: Arc<Open>,
}

/// Claims what fits and sends it on its way.
async fn round(
    store: &Store,
    clock: &JourneyClock,
    outlet: &Arc<Outlet>,
    room: &Arc<Semaphore>,
    first: OwnedSemaphorePermit,
    results: &mpsc::Sender<Vec<Finished>>,
) -> Result<Round, crate::store::Error> {
    let answered = match outlet.way {
        Way::Rehearse => rehearsal::answer_tasks(store, clock.now()).await?,
        Way::Channel(_) => 0,
    };
    let mut permits = vec![first];
    while let Ok(permit) = room.clone().try_acquire_owned() {
        permits.push(permit);
    }
    let (desk, claimed) = Desk::claim(store, clock, outlet, permits.len()).await?;
    let any = answered > 0 || !claimed.is_empty();
    let (standing, open) = (desk.standing.clone(), desk.open.clone());
    let desk = Arc::new(desk);
    let mut decided = Vec::new();
    for (claimed, permit) in claimed.into_iter().zip(permits) {
        if let Some(finished) = desk.decided(&claimed) {
            decided.push(finished);
            continue;
        }
        let permit = desk.aside(&claimed, permit);
        let (desk, results) = (desk.clone(), results.clone());
        tokio::spawn(async move {
            let in_flight = metrics::gauge!("fahrplan_in_flight");
            in_flight.increment(1.0);
            let finished = desk.delivered(&claimed).await;
            in_flight.decrement(1.0);
            // The recorder lives as long as anybody holds a sender.
            let _ = results.send(vec![finished]).await;
            drop(permit);
        });
    }
    if !decided.is_empty() {
        let _ = results.send(decided).await;
    }
    Ok(Round { any, standing, open })
}

/// Records results, many in one transaction, and tries until the database takes them: a result that is lost is a mail sent twice.
async fn record(store: Store, clock: JourneyClock, mut finished: mpsc::Receiver<Vec<Finished>>) {
    let mut batch = Vec::new();
    while let Some(first) = finished.recv().await {
        batch.extend(first);
        loop {
            match record_batch(&store, &clock, &mut finished, &mut batch).await {
                Ok(Recorded { stale, .. }) => {
                    if stale > 0 {
                        metrics::counter!("fahrplan_stale_results_total").increment(stale as u64);
                        tracing::warn!(stale, "results came after their lease had ended");
                    }
                    break;
                }
                Err(error) => {
                    tracing::warn!(error = %error, "results cannot be recorded; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        batch.clear();
    }
}

/// Records what is there when it is our turn to write.
async fn record_batch(
    store: &Store,
    clock: &JourneyClock,
    finished: &mut mpsc::Receiver<Vec<Finished>>,
    batch: &mut Vec<Finished>,
) -> Result<Recorded, crate::store::Error> {
    let tx = store.write().await?;
    while batch.len() < RECORD
        && let Ok(next) = finished.try_recv()
    {
        batch.extend(next);
    }
    deliveries::record_in(tx, batch.clone(), clock.now()).await
}
