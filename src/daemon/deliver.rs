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

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::brakes::{Brakes, Standing};
use super::compose::{Composer, Refusal};
use super::rates::{Moment, Open, Rates};
use super::shelf::{Shelf, Writing};
use super::ways::{Others, gateway, request};
use crate::channels::{Channel, Prepared, smtp};
use crate::clock::{JourneyClock, machine_now};
use crate::engine::program::{Catalog, Word};
use crate::engine::send_point::{Leave, SendPoint};
use crate::id::DeliveryId;
use crate::store::deliveries::{
    self, Claim, Claimed, Finished, Kind, Recorded, SendResult as Outcome, Tried,
};
use crate::store::{Store, journeys, rehearsal};
use crate::time::{MINUTE, Timestamp, Zone};

/// How long a delivery is ours: longer than the longest wait for a reply to the final dot (600 s, RFC 5321 4.5.3.2.6).
const LEASE_MS: i64 = 12 * MINUTE;
/// The outbox is looked at at least so often.
const LOOK: Duration = Duration::from_secs(5);
/// The pause after the database failed.
const PAUSE: Duration = Duration::from_millis(250);
/// The shortest wait for a rate: what comes sooner leaves together.
const SHORTEST: Duration = Duration::from_millis(2);
/// While something is paused it is looked so often whether it still is.
const PAUSED: Duration = Duration::from_millis(500);
/// For how many milliseconds the facts that came with the claim are good.
const FRESH_MS: i64 = 250;
/// Lists of results that may wait to be recorded.
const RESULTS: usize = 16;
/// Results that share a transaction.
const RECORD: usize = 2_048;

/// The lease in milliseconds. Tests of the whole program shorten it by a variable, to see leases end within seconds; nobody else should:
/// a mail whose sending takes longer is given up.
static LEASE: LazyLock<i64> = LazyLock::new(|| {
    let shorter = std::env::var("FAHRPLAN_TEST_LEASE_MS").ok().and_then(|text| text.parse().ok());
    shorter.filter(|ms| (1..LEASE_MS).contains(ms)).unwrap_or(LEASE_MS)
});

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

/// Where the deliveries of one claim are looked after. The loop above takes these steps side by side, a simulation one by one.
pub struct Desk {
    store: Store,
    clock: JourneyClock,
    outlet: Arc<Outlet>,
    catalog: Arc<Catalog>,
    standing: Arc<Standing>,
    open: Arc<Open>,
    /// The moments at which those may begin that a rate counts.
    moments: Mutex<HashMap<DeliveryId, Moment>>,
    /// When they were claimed, on both clocks.
    since: Timestamp,
    now: Timestamp,
}

impl Desk {
    /// Claims at most so many of what is not paused, and for what the rates have room.
    pub async fn claim(
        store: &Store,
        clock: &JourneyClock,
        outlet: &Arc<Outlet>,
        limit: usize,
    ) -> Result<(Desk, Vec<Claimed>), crate::store::Error> {
        let deployed = journeys::deployed(&mut store.read().await?).await?;
        let standing = outlet.brakes.now(store).await?;
        let open = match standing.all {
            true => Open::default(),
            false => outlet.rates.open(store, &deployed.catalog, &standing.closed, clock.now()).await?,
        };
        let claim = Claim {
            owner: store.worker(),
            limit: open.most.map_or(limit, |most| most.min(limit)),
            now: machine_now(),
            journey_now: clock.now(),
            lease_ms: *LEASE,
        };
        let claimed = match standing.all || open.shut {
            true => Vec::new(),
            false => deliveries::claim_open(store, claim, &standing.closed.and(&open.closed)).await?,
        };
        let open = Arc::new(open);
        let (store, outlet, catalog) = (store.clone(), outlet.clone(), deployed.catalog.clone());
        let (since, now) = (machine_now(), clock.now());
        let (clock, moments) = (clock.clone(), Mutex::default());
        Ok((Desk { store, clock, outlet, catalog, standing, open, moments, since, now }, claimed))
    }

    /// The result of what shall not leave, or not now.
    pub fn decided(&self, claimed: &Claimed) -> Option<Finished> {
        let deciding = AssertUnwindSafe(|| self.decide(claimed));
        let decided = catch_unwind(deciding).unwrap_or_else(|_| Some(panicked(claimed.delivery.id)));
        let result = decided.or_else(|| self.has_no_moment(claimed).then_some(Outcome::GivenBack))?;
        Some(finished(claimed, result, None))
    }

    /// Takes the moment at which it may begin, if a rate counts it; whether there is none.
    fn has_no_moment(&self, claimed: &Claimed) -> bool {
        match self.outlet.rates.moment(&self.catalog, &claimed.delivery) {
            Some(Some(moment)) => {
                let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
                moments.insert(claimed.delivery.id, moment);
                false
            }
            Some(None) => false,
            None => true,
        }
    }

    /// Sends what shall leave; its result.
    pub async fn delivered(&self, claimed: &Claimed) -> Finished {
        let mut tried = None;
        let sent = AssertUnwindSafe(self.deliver(claimed, &mut tried)).catch_unwind().await;
        let result = sent.unwrap_or_else(|_| panicked(claimed.delivery.id));
        finished(claimed, result, tried)
    }

    /// The decision from facts; `None`: the message shall leave.
    fn decide(&self, claimed: &Claimed) -> Option<Outcome> {
        if matches!(self.outlet.way, Way::Channel(_)) && claimed.undecided && !may_repeat(claimed) {
            return Some(Outcome::Undecided {
                reason: "its sending began, and no result was recorded".to_owned(),
            });
        }
        if claimed.cut_off {
            return Some(Outcome::Cancelled { reason: "left".into() });
        }
        if claimed.kind == Kind::Message
            && let Some(withdrawn) = withdrawn(&self.catalog, claimed, self.now)
        {
            return Some(withdrawn);
        }
        let name = &claimed.delivery.channel;
        let sends = self.catalog.channels.get(name).map(|channel| &*channel.sends);
        let is_gateway = gateway::serves(&self.catalog, name);
        match (&self.outlet.way, claimed.kind) {
            (Way::Channel(_), Kind::Request) if self.outlet.others.rehearse => {
                Some(request::rehearsed(&self.catalog, claimed))
            }
            (Way::Channel(_), Kind::Message) if self.outlet.others.rehearse && is_gateway => {
                Some(Outcome::Accepted { reply: None })
            }
            (Way::Rehearse, Kind::Request) => Some(request::rehearsed(&self.catalog, claimed)),
            (Way::Rehearse, Kind::Message) => Some(Outcome::Accepted { reply: None }),
            (Way::Channel(_), Kind::Request) => None,
            (Way::Channel(_), Kind::Message) if sends == Some("smtp") => None,
            (Way::Channel(_), Kind::Message) if is_gateway => gateway::late(claimed, self.now),
            (Way::Channel(_), Kind::Message) => {
                Some(refused(format!("nothing leaves on the channel `{name}`")))
            }
        }
    }

    /// The act.
    async fn deliver(&self, claimed: &Claimed, tried: &mut Option<Tried>) -> Outcome {
        let outlet = &self.outlet;
        let Way::Channel(channel) = &outlet.way else { return Outcome::GivenBack };
        if claimed.kind == Kind::Request {
            return request::hand_over(self, claimed).await;
        }
        let writing = match self.writing(claimed).await {
            Ok(writing) => writing,
            Err(outcome) => return outcome,
        };
        if gateway::serves(&self.catalog, &claimed.delivery.channel) {
            return match outlet.composer.render(&self.catalog, &writing, claimed) {
                Ok(rendered) => gateway::hand_over(self, claimed, &rendered, tried).await,
                Err(refusal) => unmade(claimed, refusal),
            };
        }
        let prepared = match outlet.composer.compose(channel, &self.catalog, &writing, claimed) {
            Ok(prepared) => prepared,
            Err(refusal) => return unmade(claimed, refusal),
        };
        let hash = blake3::Hash::from_bytes(prepared.hash()).to_hex()[..32].to_owned();
        if claimed.tried.as_ref().is_some_and(|tried| *tried != hash) {
            return refused("it may have arrived already, and would not come out the same");
        }
        *tried = address(claimed).map(|address| Tried { address, hash });
        self.send(channel, &prepared, claimed).await
    }

    /// What the message is written with. A template that nobody has deployed may come yet.
    async fn writing(&self, claimed: &Claimed) -> Result<Arc<Writing>, Outcome> {
        let Claimed { delivery, generation, .. } = claimed;
        let shelf = &self.outlet.shelf;
        match shelf.find(&self.store, *generation, &delivery.template, &delivery.channel).await {
            Ok(Some(writing)) => Ok(writing),
            Ok(None) => {
                let reason = format!("no template `{}` has been deployed", delivery.template);
                tracing::warn!(delivery = %delivery.id, template = &*delivery.template, "a template is missing");
                Err(later(claimed, reason))
            }
            Err(error) => {
                tracing::warn!(%error, "a delivery is put off: its templates cannot be read");
                Err(Outcome::GivenBack)
            }
        }
    }

    async fn send(&self, channel: &Channel, prepared: &Prepared, claimed: &Claimed) -> Outcome {
        // The send must not outlive the lease, or somebody else may send it too.
        let left = JourneyClock::Machine.until(claimed.leased_until, Duration::from_secs(3_600));
        let moment = self.moments.lock().unwrap_or_else(PoisonError::into_inner).remove(&claimed.delivery.id);
        let mut withdrawn = None;
        let still = async {
            withdrawn = self.stopped_at(claimed, moment).await;
            withdrawn.is_none()
        };
        match channel.send_if(prepared, Instant::now() + left, still).await {
            Some(result) => outcome(result, claimed),
            None => withdrawn.unwrap_or(Outcome::GivenBack),
        }
    }

    /// What keeps it from leaving, right before it would; for ways on which nothing is to be prepared between this and the leaving.
    pub(super) async fn stopped(&self, claimed: &Claimed) -> Option<Outcome> {
        let moment = self.moments.lock().unwrap_or_else(PoisonError::into_inner).remove(&claimed.delivery.id);
        self.stopped_at(claimed, moment).await
    }

    async fn stopped_at(&self, claimed: &Claimed, moment: Option<Moment>) -> Option<Outcome> {
        if let Some(moment) = moment {
            tokio::time::sleep_until(moment.from).await;
        }
        let withdrawn = self.look_again(claimed).await;
        // The pauses last: nothing lies between them and the sending.
        let paused = withdrawn.is_none() && self.is_paused(claimed).await;
        // Later it might be one too many.
        let late = || moment.is_some_and(|moment| Instant::now() > moment.until);
        withdrawn.or_else(|| (paused || late()).then_some(Outcome::GivenBack))
    }

    /// How long it is ours yet.
    pub(super) fn time_left(&self, claimed: &Claimed) -> Duration {
        JourneyClock::Machine.until(claimed.leased_until, Duration::from_secs(3_600))
    }

    /// Where gateways report to, without the provider's name.
    pub(super) fn receipts(&self) -> String {
        format!("{}/v1/receipts", self.outlet.composer.public_url)
    }

    /// Whoever waits for another program makes room for mail.
    fn aside(&self, claimed: &Claimed, permit: OwnedSemaphorePermit) -> OwnedSemaphorePermit {
        match claimed.kind == Kind::Request || gateway::serves(&self.catalog, &claimed.delivery.channel) {
            true => self.outlet.others.aside(permit),
            false => permit,
        }
    }

    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(super) fn others(&self) -> &Others {
        &self.outlet.others
    }

    /// Whether it has to stay. Where nobody can tell, it stays.
    async fn is_paused(&self, claimed: &Claimed) -> bool {
        match self.outlet.brakes.now(&self.store).await {
            Ok(standing) => standing.stops(&claimed.delivery),
            Err(error) => {
                tracing::warn!(%error, "a delivery is put off: nobody can tell whether it is paused");
                true
            }
        }
    }

    /// What has withdrawn permission since the claim, if that is a while ago.
    async fn look_again(&self, claimed: &Claimed) -> Option<Outcome> {
        if claimed.kind == Kind::Request || (0..FRESH_MS).contains(&(machine_now().0 - self.since.0)) {
            return None;
        }
        let mut again = [claimed.clone()];
        let looked = async {
            let mut conn = self.store.read().await?;
            deliveries::look_again(&mut conn, &mut again).await?;
            journeys::deployed(&mut conn).await
        };
        match looked.await {
            Ok(deployed) => {
                let [again] = again;
                // Nothing was tried yet: somebody with another address by now gets a message made anew.
                let moved =
                    again.attempts == 1 && again.person.as_ref().is_some_and(|person| person.has_moved);
                withdrawn(&deployed.catalog, &again, self.clock.now()).or(moved.then_some(Outcome::GivenBack))
            }
            Err(error) => {
                tracing::warn!(%error, "a delivery is put off: nobody can tell whether it may leave");
                Some(Outcome::GivenBack)
            }
        }
    }
}

fn finished(claimed: &Claimed, result: Outcome, tried: Option<Tried>) -> Finished {
    count(&claimed.delivery.channel, &result);
    let Claimed { bucket, epoch, delivery, .. } = claimed;
    Finished { id: delivery.id, bucket: *bucket, epoch: *epoch, result, tried }
}

fn address(claimed: &Claimed) -> Option<Arc<str>> {
    claimed.person.as_ref().and_then(|person| person.address.clone())
}

/// A message that nobody can write.
fn unmade(claimed: &Claimed, Refusal { text, bad_address }: Refusal) -> Outcome {
    let Claimed { delivery, .. } = claimed;
    tracing::warn!(delivery = %delivery.id, template = &*delivery.template, why = text, "a message cannot be made");
    Outcome::Refused { code: None, text, bad_address: address(claimed).filter(|_| bad_address) }
}

/// What became of a message that was handed over.
fn outcome(result: smtp::SendResult, claimed: &Claimed) -> Outcome {
    match result {
        smtp::SendResult::Accepted { reply } => Outcome::Accepted { reply: Some(reply.text) },
        smtp::SendResult::Refused { code, text, bad_address, .. } => {
            let bad_address = address(claimed).filter(|_| bad_address);
            Outcome::Refused { code: Some(code), text, bad_address }
        }
        smtp::SendResult::Deferred { reason, .. } => later(claimed, reason),
        smtp::SendResult::Unknown { reason } => {
            Outcome::Unknown { retry_at: again(claimed).filter(|_| may_repeat(claimed)), reason }
        }
    }
}

/// Whether a message that may have left is sent again by itself, with the same Message-ID: what is transactional is worth a repeat.
pub(super) fn may_repeat(claimed: &Claimed) -> bool {
    claimed.delivery.transactional
}

/// When it is tried again, if it is.
fn again(claimed: &Claimed) -> Option<Timestamp> {
    again_at(claimed, None)
}

fn again_at(claimed: &Claimed, asked: Option<Timestamp>) -> Option<Timestamp> {
    let Claimed { delivery, attempts, first_tried_at, .. } = claimed;
    deliveries::next_try(delivery.id, *attempts, *first_tried_at, machine_now(), asked)
}

/// Not now.
fn later(claimed: &Claimed, reason: String) -> Outcome {
    later_at(claimed, reason, None)
}

/// Not now, and not before the moment that the other side named.
pub(super) fn later_at(claimed: &Claimed, reason: String, asked: Option<Timestamp>) -> Outcome {
    match again_at(claimed, asked) {
        Some(retry_at) => Outcome::Deferred { retry_at, reason },
        None => refused(format!("given up after five days: {reason}")),
    }
}

fn panicked(id: DeliveryId) -> Outcome {
    tracing::error!(delivery = %id, "a delivery panicked; this is a bug");
    refused("the message could not be made")
}

fn count(channel: &Word, result: &Outcome) {
    let labels = [("channel", channel.to_string()), ("result", word(result).to_owned())];
    metrics::counter!("fahrplan_deliveries_total", &labels).increment(1);
}

/// What became of a delivery, in a word, for the metrics.
fn word(result: &Outcome) -> &'static str {
    match result {
        Outcome::Accepted { .. } | Outcome::Answered { .. } => "accepted",
        Outcome::Refused { .. } => "refused",
        Outcome::Deferred { .. } => "deferred",
        Outcome::Unknown { .. } | Outcome::Undecided { .. } => "unknown",
        Outcome::Cancelled { .. } => "cancelled",
        Outcome::Held { .. } => "held",
        Outcome::GivenBack => "given_back",
    }
}

/// Refused by ourselves, for good.
pub(super) fn refused(text: impl Into<String>) -> Outcome {
    Outcome::Refused { code: None, text: text.into(), bad_address: None }
}

/// What withdraws permission at the send point, if anything does.
fn withdrawn(catalog: &Catalog, claimed: &Claimed, now: Timestamp) -> Option<Outcome> {
    let delivery = &claimed.delivery;
    let cancelled = |reason: &str| Some(Outcome::Cancelled { reason: reason.into() });
    let Some(person) = &claimed.person else { return cancelled("gone") };
    let Some(address) = &person.address else { return cancelled("unreachable") };
    // Whoever has it now is not meant.
    if person.is_anothers && claimed.attempts > 1 {
        return cancelled("moved");
    }
    let zone =
        Zone::named(&person.zone(catalog)).or_else(|| Zone::named(&catalog.zone)).unwrap_or_else(Zone::utc);
    let point = SendPoint {
        catalog,
        permissions: &person.permissions,
        purpose: &delivery.purpose,
        channel: &delivery.channel,
        address,
        transactional: delivery.transactional,
        before: delivery.before,
        zone: &zone,
        now,
    };
    match point.decide() {
        Leave::Go => None,
        Leave::Hold(until) => Some(Outcome::Held { until }),
        Leave::Cancel(reason) => cancelled(reason),
    }
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
