//! The deliveries of one claim: what keeps each from leaving, the act, and what came of it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::results::{address, finished, later, may_repeat, outcome, panicked, refused, unmade};
use super::{Outlet, Way};
use crate::channels::{Channel, Prepared};
use crate::clock::{JourneyClock, machine_now};
use crate::daemon::brakes::Standing;
use crate::daemon::lease_of;
use crate::daemon::rates::{Moment, Open};
use crate::daemon::shelf::Writing;
use crate::daemon::ways::{Others, gateway, request};
use crate::engine::program::Catalog;
use crate::engine::send_point::{Leave, SendPoint};
use crate::id::DeliveryId;
use crate::store::deliveries::{self, Claim, Claimed, Finished, Kind, SendResult as Outcome, Tried};
use crate::store::{Store, journeys};
use crate::time::{Timestamp, Zone};

/// For how many milliseconds the facts that came with the claim are good.
const FRESH_MS: i64 = 250;

/// The lease in milliseconds.
static LEASE: LazyLock<i64> = LazyLock::new(|| lease_of(deliveries::LEASE_MS));

/// Where the deliveries of one claim are looked after. The loop takes these steps side by side, a simulation one by one.
pub struct Desk {
    store: Store,
    clock: JourneyClock,
    outlet: Arc<Outlet>,
    catalog: Arc<Catalog>,
    pub(super) standing: Arc<Standing>,
    pub(super) open: Arc<Open>,
    /// The moments at which those may begin that a rate counts.
    moments: Mutex<HashMap<DeliveryId, Moment>>,
    /// When they were claimed, on both clocks.
    since: Timestamp,
    now: Timestamp,
    /// The term of this process in which they were claimed.
    term: u64,
}

impl Desk {
    /// Claims at most so many of what is not paused, and for what the rates have room.
    pub async fn claim(
        store: &Store,
        clock: &JourneyClock,
        outlet: &Arc<Outlet>,
        limit: usize,
    ) -> Result<(Desk, Vec<Claimed>), crate::store::Error> {
        let term = store.term();
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
        Ok((Desk { store, clock, outlet, catalog, standing, open, moments, since, now, term }, claimed))
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
        if matches!(self.outlet.way, Way::Channel(_))
            && claimed.undecided
            && !may_repeat(&self.catalog, claimed)
        {
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
            // Where days are played in seconds a text message is hours late as soon as it leaves.
            (Way::Channel(_), Kind::Message) if self.outlet.others.rehearse && is_gateway => None,
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
            Some(result) => outcome(result, claimed, &self.catalog),
            None => withdrawn.unwrap_or(Outcome::GivenBack),
        }
    }

    /// What keeps it from leaving, right before it would; for ways on which nothing is to be prepared between this and the leaving.
    pub(in crate::daemon) async fn stopped(&self, claimed: &Claimed) -> Option<Outcome> {
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
        // Later it might be one too many, or let go of by others: a process that was stopped for a while goes on here as if nothing had
        // been.
        let late = || {
            moment.is_some_and(|moment| Instant::now() > moment.until) || !self.store.is_in_term(self.term)
        };
        withdrawn.or_else(|| (paused || late()).then_some(Outcome::GivenBack))
    }

    /// How long it is ours yet.
    pub(in crate::daemon) fn time_left(&self, claimed: &Claimed) -> Duration {
        JourneyClock::Machine.until(claimed.leased_until, Duration::from_secs(3_600))
    }

    /// Where gateways report to, without the provider's name.
    pub(in crate::daemon) fn receipts(&self) -> String {
        format!("{}/v1/receipts", self.outlet.composer.public_url)
    }

    /// Whoever waits for another program makes room for mail.
    pub(super) fn aside(&self, claimed: &Claimed, permit: OwnedSemaphorePermit) -> OwnedSemaphorePermit {
        match claimed.kind == Kind::Request || gateway::serves(&self.catalog, &claimed.delivery.channel) {
            true => self.outlet.others.aside(permit),
            false => permit,
        }
    }

    pub(in crate::daemon) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(in crate::daemon) fn store(&self) -> &Store {
        &self.store
    }

    pub(in crate::daemon) fn others(&self) -> &Others {
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

/// What withdraws permission at the send point, if anything does.
pub fn withdrawn(catalog: &Catalog, claimed: &Claimed, now: Timestamp) -> Option<Outcome> {
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
