//! Those who send events: at least once each, again when no answer came, and sometimes again for no reason.

use std::collections::{BTreeMap, BTreeSet};

use fahrplan::id::ContactId;
use fahrplan::store::inbox::Accepted;
use fahrplan::time::{DAY, HOUR, MINUTE, Timestamp};

use crate::plan::Plan;
use crate::random::Random;

/// For how long a message id is remembered, at the least.
const REMEMBERED: i64 = 7 * DAY;

/// What is sent, and what is known of it.
#[derive(Debug)]
pub(crate) struct Client {
    /// When each item is sent first.
    times: Vec<(Timestamp, usize)>,
    /// The first that was not opened.
    next: usize,
    /// Items that wait to be sent.
    open: Vec<usize>,
    /// Items to be sent again, on the machine's clock.
    repeats: Vec<(Timestamp, usize)>,
    /// Items to be sent again after days.
    late: Vec<(Timestamp, usize)>,
    /// Items that were sent and nobody knows what became of them.
    doubtful: BTreeSet<usize>,
    /// When they were accepted, on the machine's clock.
    accepted: BTreeMap<usize, Timestamp>,
    pub(crate) contacts: BTreeMap<usize, ContactId>,
    people: Vec<usize>,
    repeat: u64,
    exact: bool,
}

impl Client {
    pub(crate) fn new(plan: &Plan) -> Client {
        Client {
            times: plan.items.iter().map(|item| item.at).zip(0..).collect(),
            next: 0,
            open: Vec::new(),
            repeats: Vec::new(),
            late: Vec::new(),
            doubtful: BTreeSet::new(),
            accepted: BTreeMap::new(),
            contacts: BTreeMap::new(),
            people: plan.items.iter().map(|item| item.who).collect(),
            repeat: plan.faults.repeat,
            exact: plan.exact,
        }
    }

    /// When something new is sent next.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.times.get(self.next).map(|(at, _)| *at)
    }

    /// What is to be sent up to that moment may be sent.
    pub(crate) fn open_until(&mut self, now: Timestamp) {
        while let Some((_, item)) = self.times.get(self.next).filter(|(at, _)| *at <= now) {
            self.open.push(*item);
            self.next += 1;
        }
    }

    pub(crate) fn has_work(&self, machine: Timestamp) -> bool {
        !self.open.is_empty() || self.repeats.iter().any(|(at, _)| *at <= machine)
    }

    /// What goes into the next call.
    pub(crate) fn take(&mut self, random: &mut Random, machine: Timestamp) -> Option<Vec<usize>> {
        let mut items = Vec::new();
        let count = random.pick(&[1, 2, 6]);
        while items.len() < count && !self.open.is_empty() {
            // Not always in order; but where results are compared, those of one contact are.
            let place = match self.exact {
                true => 0,
                false => random.below(self.open.len().min(3)),
            };
            items.push(self.open.remove(place));
        }
        while items.len() < count
            && let Some(place) = self.repeats.iter().position(|(at, _)| *at <= machine)
        {
            items.push(self.repeats.remove(place).1);
        }
        (!items.is_empty()).then_some(items)
    }

    /// When the next of those that come days later comes; it is opened.
    pub(crate) fn late_repeat(&mut self) -> Option<Timestamp> {
        self.late.sort_unstable();
        let (at, item) = (!self.late.is_empty()).then(|| self.late.remove(0))?;
        self.repeats.push((at, item));
        Some(at)
    }

    /// Nobody knows what became of a call.
    pub(crate) fn failed(&mut self, items: &[usize]) {
        for item in items.iter().rev() {
            self.doubtful.insert(*item);
            if !self.accepted.contains_key(item) {
                self.open.insert(0, *item);
            }
        }
    }

    /// A call was answered, or failed with an error.
    pub(crate) fn answered(
        &mut self,
        items: &[usize],
        answer: Option<Vec<Accepted>>,
        machine: Timestamp,
        random: &mut Random,
    ) -> Result<(), String> {
        let Some(answer) = answer else {
            self.failed(items);
            return Ok(());
        };
        for (item, accepted) in items.iter().zip(answer) {
            self.one(*item, accepted, machine, random)?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        item: usize,
        accepted: Accepted,
        machine: Timestamp,
        random: &mut Random,
    ) -> Result<(), String> {
        let before = self.accepted.get(&item).copied();
        match accepted {
            Accepted::Taken(contact) => {
                if let Some(before) = before.filter(|before| machine.0 - before.0 < REMEMBERED - 10 * MINUTE)
                {
                    return Err(format!("item {item} was taken at {machine} again after {before}"));
                }
                let known = *self.contacts.entry(self.people[item]).or_insert(contact);
                if known != contact {
                    return Err(format!("contact {} became two: {known} and {contact}", self.people[item]));
                }
            }
            Accepted::Repeated if before.is_none() && !self.doubtful.contains(&item) => {
                return Err(format!("item {item} is called a repeat and was never sent before"));
            }
            Accepted::Repeated => {}
            Accepted::Nobody | Accepted::TwoPeople => {
                return Err(format!("item {item} is said to be for nobody"));
            }
        }
        if before.is_none() {
            self.accepted.insert(item, machine);
            if random.chance(self.repeat) {
                let after = random.pick(&[0, 0, MINUTE, HOUR]);
                self.repeats.push((machine.plus_ms(after), item));
            }
            if self.exact && random.chance(self.repeat / 2) {
                let after = random.between(1, 6) * DAY + random.between(0, 23) * HOUR;
                self.late.push((machine.plus_ms(after), item));
            }
        }
        Ok(())
    }
}
