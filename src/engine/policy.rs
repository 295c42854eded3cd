//! May this be sent now? Facts in, a verdict with its reason out; nothing is done here.
//!
//! The order is fixed: address, suppression, consent, pause, quiet hours and the channel's own hours, caps. What is
//! transactional skips consent, pause and caps, and quiet hours unless the rule names `transactional`. Of several rules that
//! hold a message the strictest answer wins (exit, skip, wait), of several waits the latest end.

mod because;

use std::sync::Arc;

pub(super) use because::{because, no_consent};

use super::eval::Scope;
use super::facts::{Effects, Facts};
use super::program::{CalendarUnit, Cap, CapWindow, Catalog, Hours, Quiet, Send, Then, Word};
use super::state::HeldBy;
use super::wait;
use super::world::Need;
use crate::time::{Date, TimeOfDay, Timestamp, Zone};

/// What the gate says.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Go,
    /// Not before then; then the whole gate is asked again.
    Hold {
        until: Timestamp,
        by: HeldBy,
    },
    /// Not at all, with the reason that `.reason` shows.
    Skip(&'static str),
    /// The enrollment ends, with the rule as its reason.
    Exit(&'static str),
    /// There is no address for the channel.
    Unreachable,
}

/// What asks to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub channel: &'a Word,
    /// `transactional` where the template is.
    pub purpose: &'a Word,
    /// The address, where the channel needs one.
    pub address: Option<&'a Arc<str>>,
    /// The rule that holds it already, and since when.
    pub held: Option<(HeldBy, Timestamp)>,
}

/// The name of the purpose that needs no consent.
pub const TRANSACTIONAL: &str = "transactional";

/// Decides about one message on one channel, now.
pub fn decide(scope: &Scope, ask: Ask) -> Result<Verdict, Need> {
    let (facts, effects) = (scope.facts, scope.effects);
    let needs_address =
        facts.catalog.channels.get(ask.channel).is_some_and(|channel| channel.address.is_some());
    if needs_address && ask.address.is_none() {
        return Ok(Verdict::Unreachable);
    }
    if let Some(address) = ask.address
        && suppressed(facts, effects, ask.channel, address)?
    {
        return Ok(Verdict::Skip("suppressed"));
    }
    let transactional = is_transactional(facts.catalog, ask.purpose);
    if !transactional {
        if needs_consent(facts.catalog, ask.purpose, ask.channel)
            && !permitted(facts, effects, ask.purpose, ask.channel)?
        {
            return Ok(Verdict::Skip("consent"));
        }
        if paused(facts, effects, ask.purpose)? {
            return Ok(Verdict::Skip("paused"));
        }
    }
    let mut rules = Rules { ask, now: facts.now, scope, strictest: None };
    rules.quiet();
    rules.hours();
    if let Some(verdict) = rules.strictest {
        return Ok(verdict);
    }
    if !transactional {
        rules.caps()?;
    }
    Ok(rules.strictest.unwrap_or(Verdict::Go))
}

/// Whether messages of that purpose need no consent: `transactional` and what is refined under it.
pub fn is_transactional(catalog: &Catalog, purpose: &Word) -> bool {
    catalog.lineage(purpose).any(|purpose| &**purpose == TRANSACTIONAL)
}

/// The purpose under which a message passes the gate: that of its template, if the template is transactional.
pub fn purpose_of<'a>(catalog: &Catalog, send: &'a Send, transactional: &'a Word) -> &'a Word {
    match catalog.transactional_templates.contains_key(&send.template) {
        true => transactional,
        false => &send.purpose,
    }
}

/// Whether the policy asks for consent. The nearest line in the purpose's lineage counts, so a refined purpose has its
/// parent's rule unless it has its own.
pub fn needs_consent(catalog: &Catalog, purpose: &Word, channel: &Word) -> bool {
    let line = catalog.lineage(purpose).find_map(|purpose| catalog.policy.consent.get(purpose));
    line.is_some_and(|channels| channels.contains(channel))
}

/// Whether the ledger permits it: the most refined purpose that has an entry decides, and a later denial of a wider purpose
/// takes the permission of a narrower one with it.
pub fn permitted(facts: &Facts, effects: &Effects, purpose: &Word, channel: &Word) -> Result<bool, Need> {
    let mut granted: Option<Timestamp> = None;
    for purpose in facts.catalog.lineage(purpose) {
        match (granted, latest(facts, effects, purpose, channel)?) {
            (None, Some((false, _))) => return Ok(false),
            (None, Some((true, since))) => granted = Some(since),
            (Some(since), Some((false, denied))) if denied > since => return Ok(false),
            _ => {}
        }
    }
    Ok(granted.is_some())
}

/// The latest entry of the ledger for exactly that purpose and channel.
fn latest(
    facts: &Facts,
    effects: &Effects,
    purpose: &Word,
    channel: &Word,
) -> Result<Option<(bool, Timestamp)>, Need> {
    let own = effects.consents.iter().rev().find(|row| row.purpose == *purpose && row.channel == *channel);
    if let Some(row) = own {
        return Ok(Some((row.permit, row.at)));
    }
    let consents = &facts.permissions()?.consents;
    Ok(consents.get(&(purpose.clone(), channel.clone())).copied())
}

fn suppressed(facts: &Facts, effects: &Effects, channel: &Word, address: &Arc<str>) -> Result<bool, Need> {
    let loaded = &facts.permissions()?.suppressed;
    let own = || effects.suppressions.iter().any(|row| row.channel == *channel && row.address == *address);
    Ok((!loaded.is_empty() && loaded.contains(&(channel.clone(), address.clone()))) || own())
}

fn paused(facts: &Facts, effects: &Effects, purpose: &Word) -> Result<bool, Need> {
    let loaded = &facts.permissions()?.pauses;
    // A pause never shortens another.
    let until = |purpose: &Word| effects.pauses.get(purpose).max(loaded.get(purpose));
    Ok(facts.catalog.lineage(purpose).any(|purpose| until(purpose).is_some_and(|until| *until > facts.now)))
}

/// Whether some cap counts messages of that purpose on that channel, so that a slot must be taken.
pub fn is_capped(catalog: &Catalog, purpose: &Word, channel: &Word) -> bool {
    !is_transactional(catalog, purpose)
        && catalog.policy.caps.iter().any(|cap| counts(catalog, cap, purpose, channel))
}

fn counts(catalog: &Catalog, cap: &Cap, purpose: &Word, channel: &Word) -> bool {
    cap.channel.as_ref().is_none_or(|only| only == channel)
        && catalog.lineage(purpose).any(|purpose| *purpose == cap.purpose)
}

/// The rules that may hold a message, and the strictest answer so far.
struct Rules<'s, 'a> {
    ask: Ask<'s>,
    now: Timestamp,
    scope: &'s Scope<'a>,
    strictest: Option<Verdict>,
}

impl Rules<'_, '_> {
    fn quiet(&mut self) {
        let catalog = self.scope.facts.catalog;
        for rule in &catalog.policy.quiet {
            let concerned = rule.channels.is_empty() || rule.channels.contains(self.ask.channel);
            if concerned && quiet_for(catalog, rule, self.ask.purpose) {
                let zone = self.scope.zone(&rule.zone);
                let holidays = &catalog.holidays;
                if let Some(end) =
                    wait::closes(wait::EVERY_DAY, rule.from, rule.to, self.now, &zone, holidays)
                {
                    self.answer(rule.then, end, HeldBy::Quiet, "quiet");
                }
            }
        }
    }

    fn hours(&mut self) {
        let catalog = self.scope.facts.catalog;
        let hours = catalog.channels.get(self.ask.channel).and_then(|channel| channel.hours.as_ref());
        if let Some(hours) = hours {
            let opens = next_opening(self.scope, hours, self.now);
            if opens > self.now {
                self.answer(Then::Wait(None), opens, HeldBy::Hours, "quiet");
            }
        }
    }

    fn caps(&mut self) -> Result<(), Need> {
        let facts = self.scope.facts;
        for cap in &facts.catalog.policy.caps {
            if counts(facts.catalog, cap, self.ask.purpose, self.ask.channel)
                && let Some(free) = self.free_at(cap)?
            {
                self.answer(cap.then, free, HeldBy::Cap, "cap");
            }
        }
        Ok(())
    }

    /// When a slot of the cap becomes free; `None` if one is.
    fn free_at(&self, cap: &Cap) -> Result<Option<Timestamp>, Need> {
        let (facts, effects) = (self.scope.facts, self.scope.effects);
        let loaded = facts.permissions()?.slots.iter().map(|(at, channel, purpose)| (at, channel, purpose));
        let own = effects.slots.iter().map(|(at, channel, purpose, _)| (at, channel, purpose));
        let mut ends: Vec<Timestamp> = loaded
            .chain(own)
            .filter(|(_, channel, purpose)| counts(facts.catalog, cap, purpose, channel))
            .map(|(at, _, _)| self.slot_ends(cap, *at))
            .filter(|end| *end > self.now)
            .collect();
        let number = cap.number as usize;
        if ends.len() < number {
            return Ok(None);
        }
        ends.sort_unstable();
        // A cap of none never has a free slot.
        let Some(last) = ends.len().checked_sub(number).filter(|_| number > 0) else {
            return Ok(Some(Timestamp::NEVER));
        };
        Ok(Some(ends[last]))
    }

    /// Until when a slot taken at that moment counts.
    fn slot_ends(&self, cap: &Cap, taken: Timestamp) -> Timestamp {
        match cap.window {
            CapWindow::Rolling(window) => self.scope.later(taken, window),
            CapWindow::Calendar(unit) => {
                next_unit(unit, taken, &self.scope.facts.contact_zone(self.scope.effects))
            }
        }
    }

    fn answer(&mut self, then: Then, free: Timestamp, by: HeldBy, why: &'static str) {
        let verdict = match then {
            Then::Exit => Verdict::Exit(why),
            Then::Skip => Verdict::Skip(why),
            // What never comes is not waited for.
            Then::Wait(_) if free == Timestamp::NEVER => Verdict::Skip(why),
            Then::Wait(None) => Verdict::Hold { until: free, by },
            Then::Wait(Some(limit)) => {
                let since =
                    self.ask.held.filter(|(held_by, _)| *held_by == by).map_or(self.now, |(_, at)| at);
                match self.scope.later(since, limit) {
                    end if end <= self.now => Verdict::Skip(why),
                    end => Verdict::Hold { until: free.min(end), by },
                }
            }
        };
        self.strictest = Some(match (self.strictest.take(), verdict) {
            (Some(exit @ Verdict::Exit(_)), _) | (_, exit @ Verdict::Exit(_)) => exit,
            (Some(skip @ Verdict::Skip(_)), _) | (_, skip @ Verdict::Skip(_)) => skip,
            (Some(Verdict::Hold { until: a, by: first }), Verdict::Hold { until: b, by: second }) => {
                if b > a {
                    Verdict::Hold { until: b, by: second }
                } else {
                    Verdict::Hold { until: a, by: first }
                }
            }
            (_, verdict) => verdict,
        });
    }
}

/// A rule for `marketing` counts for what is refined under it; for transactional messages only one that names them.
pub(super) fn quiet_for(catalog: &Catalog, rule: &Quiet, purpose: &Word) -> bool {
    catalog.lineage(purpose).any(|purpose| *purpose == rule.purpose)
}

/// When the hours are open: now, or their next opening; now too where no day is ever open.
pub fn next_opening(scope: &Scope, hours: &Hours, now: Timestamp) -> Timestamp {
    let zone = scope.zone(&hours.zone);
    let holidays = &scope.facts.catalog.holidays;
    if wait::within(hours.days, hours.from, hours.to, now, &zone, holidays) {
        return now;
    }
    wait::next_at(hours.days, hours.from, now, &zone, holidays).unwrap_or(now)
}

/// The span of a calendar as authors write it.
pub(super) fn unit_words(unit: CalendarUnit) -> &'static str {
    match unit {
        CalendarUnit::Day => "calendar day",
        CalendarUnit::Week => "calendar week",
        CalendarUnit::Month => "calendar month",
        CalendarUnit::Year => "calendar year",
    }
}

/// The first instant of the next day, week (from Monday), month or year.
pub(super) fn next_unit(unit: CalendarUnit, at: Timestamp, zone: &Zone) -> Timestamp {
    let today = zone.date(at);
    let first = |year: i16, month: i8| {
        let month = u8::try_from(month).unwrap_or(1);
        Date::new(year, month, 1).unwrap_or(today)
    };
    let next = match unit {
        CalendarUnit::Day => today.plus_days(1),
        CalendarUnit::Week => today.plus_days(8 - i32::from(today.weekday())),
        CalendarUnit::Month => first(today.0.year(), today.0.month()).plus_months(1),
        CalendarUnit::Year => first(today.0.year(), 1).plus_months(12),
    };
    zone.at(next, TimeOfDay(0))
}
