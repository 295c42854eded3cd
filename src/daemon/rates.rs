//! The rates of policies, as this worker keeps to them: it sends what it has a moment for, and leaves the rest in the queue.
//!
//! Moments are taken from the database a slice at a time, about a second's, when a message is due that needs one; a worker that uses all of a slice gets
//! a larger one next. What a rule has no moment for now is closed like something paused, so it is not claimed; what is claimed gets its
//! moments before others, transactional messages first, and waits the last of it at the send point.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::machine_now;
use crate::engine::pace::{Pace, SECOND, Slice};
use crate::engine::program::{Catalog, Channel, Rate, Word};
use crate::engine::world::Delivery;
use crate::store::deliveries::{self, Closed, Kept, REQUEST};
use crate::store::{Result, Store, rates};
use crate::time::Timestamp;

/// A message may be claimed so long before its moment.
const EARLY: Duration = Duration::from_millis(50);
/// A rule of which nothing was used is not asked for again before.
const RARELY: Duration = Duration::from_secs(1);
/// While nothing can leave, it is looked so rarely for what is on other channels.
const LOOK: Duration = Duration::from_secs(1);
/// The most moments of a slice.
const MOST: i64 = 2_000;

/// One beginning of a send: not before, and not later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) from: Instant,
    pub(super) until: Instant,
    /// By the database's clock.
    at: i64,
}

/// What this worker has of each rule.
#[derive(Default)]
pub struct Rates {
    held: Mutex<BTreeMap<Rule, Held>>,
    looked: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Held {
    moments: VecDeque<Moment>,
    slice: Option<Slice>,
    /// How many to ask for next.
    most: i64,
    /// Some of the last slice were used.
    used: bool,
    /// Not to be asked for before.
    rest: Option<Instant>,
}

/// What may be claimed now.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Rules that have no moment now.
    pub(super) closed: Closed,
    /// No more than so many, where a rule is for everything on a channel.
    pub(super) most: Option<usize>,
    /// When to look again.
    pub(super) again: Option<Instant>,
    /// Nothing that could leave may.
    pub(super) shut: bool,
}

/// A rule among those of all deploys: whatever its number is, its beginnings go on from where they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    channel: Word,
    purpose: Option<Word>,
    window_ms: i64,
}

impl Rule {
    fn of(rate: &Rate) -> Rule {
        Rule { channel: rate.channel.clone(), purpose: rate.purpose.clone(), window_ms: rate.window_ms }
    }

    /// As the database knows it.
    fn name(&self) -> String {
        format!("{} {} {}", self.channel, self.purpose.as_deref().unwrap_or("*"), self.window_ms)
    }
}

fn pace(rate: &Rate) -> Pace {
    Pace::new(rate.number, rate.window_ms.saturating_mul(SECOND / 1_000))
}

fn counts(catalog: &Catalog, rate: &Rate, delivery: &Delivery) -> bool {
    rate.channel == delivery.channel
        && rate
            .purpose
            .as_ref()
            .is_none_or(|purpose| catalog.lineage(&delivery.purpose).any(|p| p == purpose))
}

impl Rates {
    /// What may be claimed now of what is not paused; asks the database for more where a rule has nothing left and a message is due.
    pub(super) async fn open(
        &self,
        store: &Store,
        catalog: &Catalog,
        paused: &Closed,
        journey_now: Timestamp,
    ) -> Result<Open> {
        let mut open = Open::default();
        let mut wide = BTreeSet::new();
        for rate in &catalog.policy.rates {
            let rule = Rule::of(rate);
            if self.with(&rule, |held| held.is_empty(Instant::now())) {
                if !is_due(store, catalog, rate, paused, journey_now).await? {
                    continue;
                }
                if let Some(most) = self.with(&rule, |held| held.ask(Instant::now())) {
                    let lease = rates::lease(store, &rule.name(), pace(rate), most).await?;
                    self.with(&rule, |held| held.take(&lease, pace(rate)));
                }
            }
            let (ready, next) = self.with(&rule, |held| held.ready(Instant::now()));
            match ready {
                0 => {
                    open.again = Some(open.again.map_or(next, |again| again.min(next)));
                    close(&mut open.closed, store, catalog, rate).await?;
                    wide.extend(rate.purpose.is_none().then_some(&rate.channel));
                }
                ready if rate.purpose.is_none() => {
                    open.most = Some(open.most.map_or(ready, |most| most.min(ready)));
                }
                _ => {}
            }
        }
        // What cannot leave anyway is not looked for behind a long queue of what may not.
        let leaves = |channel: &Channel| channel.is_by_mail() || channel.is_by_gateway();
        let leave = |(name, channel): (&Word, &Channel)| !leaves(channel) || wide.contains(name);
        if !wide.is_empty() && catalog.channels.iter().all(leave) {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            open.shut = looked.is_some_and(|looked| looked.elapsed() < LOOK);
            if !open.shut {
                *looked = Some(Instant::now());
            }
        }
        Ok(open)
    }

    /// A moment for that message of each rule that counts it; `None`: there is none now. The last of them to come counts.
    pub(super) fn moment(&self, catalog: &Catalog, delivery: &Delivery) -> Option<Option<Moment>> {
        let counting = catalog.policy.rates.iter().filter(|rate| counts(catalog, rate, delivery));
        let rules: Vec<Rule> = counting.map(Rule::of).collect();
        if rules.is_empty() {
            return Some(None);
        }
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let has_one = |rule: &Rule| all.get(rule).is_some_and(|held| held.count_ready(now) > 0);
        if !rules.iter().all(has_one) {
            return None;
        }
        let mut moment: Option<Moment> = None;
        for rule in &rules {
            let own = all.get_mut(rule)?.pop(now)?;
            moment = Some(match moment {
                None => own,
                Some(other) => {
                    Moment { from: own.from.max(other.from), until: own.until.min(other.until), at: own.at }
                }
            });
        }
        Some(moment)
    }

    /// Gives back what was not used; for the end.
    pub(super) async fn give_back(&self, store: &Store) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        for (rule, held) in held {
            if let (Some(slice), Some(first)) = (held.slice, held.moments.front())
                && let Err(error) = rates::give_back(store, &rule.name(), slice, first.at).await
            {
                tracing::debug!(%error, "the rest of a rate was not given back");
            }
        }
    }

    fn with<T>(&self, rule: &Rule, work: impl FnOnce(&mut Held) -> T) -> T {
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(rule.clone()).or_default())
    }
}

impl Held {
    /// Whether there is no moment left.
    fn is_empty(&mut self, now: Instant) -> bool {
        while self.moments.front().is_some_and(|moment| moment.until <= now) {
            self.moments.pop_front();
        }
        self.moments.is_empty()
    }

    /// How many to ask for, if it is time.
    fn ask(&mut self, now: Instant) -> Option<i64> {
        if !self.is_empty(now) || self.rest.is_some_and(|rest| rest > now) {
            return None;
        }
        self.most = if self.used { (self.most * 4).min(MOST) } else { 1 };
        Some(self.most.max(1))
    }

    fn take(&mut self, lease: &rates::Lease, pace: Pace) {
        let slice = lease.slice;
        let moment = |n: i64| {
            let at = slice.first + n * pace.spacing;
            let (from, until) = lease.span(at, pace);
            Moment { from, until, at }
        };
        self.moments = (0..slice.count).map(moment).filter(|moment| moment.from < moment.until).collect();
        self.slice = Some(slice);
        // Where nothing of it is used, the next one comes a while after its end.
        self.rest = self.moments.back().map(|last| last.until + RARELY);
        self.used = false;
    }

    fn count_ready(&self, now: Instant) -> usize {
        let is_ready = |moment: &&Moment| moment.from <= now + EARLY && moment.until > now;
        self.moments.iter().filter(is_ready).count()
    }

    /// How many may be claimed for, and when there are more.
    fn ready(&self, now: Instant) -> (usize, Instant) {
        let later = self.moments.iter().find(|moment| moment.from > now + EARLY);
        let next = match (later, self.rest) {
            (Some(moment), _) => moment.from - EARLY,
            (None, Some(rest)) => rest,
            (None, None) => now,
        };
        (self.count_ready(now), next)
    }

    fn pop(&mut self, now: Instant) -> Option<Moment> {
        while let Some(moment) = self.moments.pop_front() {
            if moment.until > now {
                self.used = true;
                self.rest = None;
                return Some(moment);
            }
        }
        None
    }
}

/// Whether a message is due that the rule counts.
async fn is_due(
    store: &Store,
    catalog: &Catalog,
    rate: &Rate,
    paused: &Closed,
    journey_now: Timestamp,
) -> Result<bool> {
    let mut conn = store.read().await?;
    let mut others = paused.clone();
    let (request, names) = (Word::from(REQUEST), catalog.purpose_names());
    let channels = catalog.channels.keys().chain([&request]).filter(|channel| **channel != rate.channel);
    for channel in channels {
        others.close(&mut conn, Kept { channel: Some(channel), ..Kept::default() }).await?;
    }
    for name in names.into_iter().map(Word::from) {
        if rate.purpose.as_ref().is_some_and(|purpose| catalog.lineage(&name).all(|above| above != purpose)) {
            others.close(&mut conn, Kept { purpose: Some(&name), ..Kept::default() }).await?;
        }
    }
    let next = deliveries::next_open(&mut conn, &others).await?;
    Ok(next.due_at.is_some_and(|at| at <= journey_now) || next.again_at.is_some_and(|at| at <= machine_now()))
}

/// Closes what the rule counts: its purpose and those refined under it.
async fn close(closed: &mut Closed, store: &Store, catalog: &Catalog, rate: &Rate) -> Result<()> {
    let mut conn = store.read().await?;
    let channel = Some(&rate.channel);
    let Some(purpose) = &rate.purpose else {
        return closed.close(&mut conn, Kept { channel, ..Kept::default() }).await;
    };
    for name in catalog.purpose_names() {
        let name = Arc::from(name);
        if catalog.lineage(&name).any(|above| above == purpose) {
            closed.close(&mut conn, Kept { channel, purpose: Some(&name), ..Kept::default() }).await?;
        }
    }
    Ok(())
}
