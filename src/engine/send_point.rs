//! What may still withdraw permission when a message is about to leave. Caps are not read again: they were decided, and their slot
//! taken, in the transition.

use super::policy::{is_transactional, quiet_for};
use super::program::{Catalog, Word, ZoneRef};
use super::wait;
use super::world::Permissions;
use crate::time::{Timestamp, Zone};

/// What the send point looks at.
#[derive(Clone, Copy, Debug)]
pub struct SendPoint<'a> {
    pub catalog: &'a Catalog,
    /// As read in the transaction that leased the delivery.
    pub permissions: &'a Permissions,
    pub purpose: &'a Word,
    pub channel: &'a Word,
    pub address: &'a str,
    /// The message skips consent and pause.
    pub transactional: bool,
    pub before: Option<Timestamp>,
    /// The contact's zone.
    pub zone: &'a Zone,
    pub now: Timestamp,
}

/// Whether the message may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    Go,
    /// Not before then: quiet hours.
    Hold(Timestamp),
    /// Never: `late`, `suppressed`, `consent`, `paused`.
    Cancel(&'static str),
}

impl SendPoint<'_> {
    /// The decision.
    pub fn decide(&self) -> Leave {
        if self.before.is_some_and(|before| self.now > before) {
            return Leave::Cancel("late");
        }
        if self
            .permissions
            .suppressed
            .iter()
            .any(|(channel, address)| channel == self.channel && **address == *self.address)
        {
            return Leave::Cancel("suppressed");
        }
        let exempt = self.transactional || is_transactional(self.catalog, self.purpose);
        if !exempt && self.denied() {
            return Leave::Cancel("consent");
        }
        if !exempt && self.is_paused() {
            return Leave::Cancel("paused");
        }
        self.quiet_until().map_or(Leave::Go, Leave::Hold)
    }

    /// A denial anywhere in the purpose's lineage that is newer than the permission below it.
    fn denied(&self) -> bool {
        let needed = super::policy::needs_consent(self.catalog, self.purpose, self.channel);
        let mut granted: Option<Timestamp> = None;
        for purpose in self.catalog.lineage(self.purpose) {
            let state = self.permissions.consents.get(&(purpose.clone(), self.channel.clone()));
            match (granted, state) {
                (None, Some((false, _))) => return true,
                (None, Some((true, since))) => granted = Some(*since),
                (Some(since), Some((false, denied))) if *denied > since => return true,
                _ => {}
            }
        }
        needed && granted.is_none()
    }

    fn is_paused(&self) -> bool {
        let until = |purpose: &Word| self.permissions.pauses.get(purpose);
        self.catalog
            .lineage(self.purpose)
            .any(|purpose| until(purpose).is_some_and(|until| *until > self.now))
    }

    fn quiet_until(&self) -> Option<Timestamp> {
        let catalog = self.catalog;
        let concerned = catalog.policy.quiet.iter().filter(|rule| {
            (rule.channels.is_empty() || rule.channels.contains(self.channel))
                && quiet_for(catalog, rule, self.purpose)
        });
        let ends = concerned.filter_map(|rule| {
            let zone = match &rule.zone {
                ZoneRef::Contact => self.zone.clone(),
                ZoneRef::Project => Zone::named(&catalog.zone).unwrap_or_else(Zone::utc),
                ZoneRef::Named(name) => Zone::named(name).unwrap_or_else(Zone::utc),
            };
            wait::closes(wait::EVERY_DAY, rule.from, rule.to, self.now, &zone, &catalog.holidays)
        });
        ends.max()
    }
}
