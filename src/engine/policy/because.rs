//! What the gate looked at when it said no: for the note that tells it, so that the reason can be told when the facts have changed.
//! Computed only where something is held or refused.

use super::{Ask, Rules, counts, latest, quiet_for};
use crate::engine::eval::Scope;
use crate::engine::program::{CapWindow, Word};
use crate::engine::run::word;
use crate::engine::wait;
use crate::engine::world::{Because, Need};
use crate::time::Timestamp;
use crate::value::Value;

/// The inputs of a verdict of [`super::decide`] with that reason, asked again in the same moment.
pub(in crate::engine) fn because(scope: &Scope, ask: Ask, why: &str) -> Result<Because, Need> {
    let rules = Rules { ask, now: scope.facts.now, scope, strictest: None };
    Ok(match why {
        "unreachable" => {
            let channel = scope.facts.catalog.channels.get(ask.channel);
            let address = channel.and_then(|channel| channel.address.clone());
            address.map(|address| (word!("attribute"), Value::Text(address))).into_iter().collect()
        }
        "consent" => rules.consent()?,
        "paused" => rules.pause()?,
        "quiet" => rules.closed(),
        "cap" => rules.full()?,
        _ => Because::new(),
    })
}

/// What a refusal at the door looked at: the ledger for each channel of the journey.
pub(in crate::engine) fn no_consent(
    scope: &Scope,
    purpose: &Word,
    channels: &[Word],
) -> Result<Because, Need> {
    let mut because = Because::new();
    for channel in
        channels.iter().filter(|channel| super::needs_consent(scope.facts.catalog, purpose, channel))
    {
        let ask = Ask { channel, purpose, address: None, held: None };
        let row = Rules { ask, now: scope.facts.now, scope, strictest: None }.consent()?;
        because.push((channel.clone(), Value::Record(row.into_iter().collect())));
    }
    because.insert(0, (word!("purpose"), Value::Text(purpose.clone())));
    Ok(because)
}

impl Rules<'_, '_> {
    /// The row of the ledger that denies it; none where there never was one.
    fn consent(&self) -> Result<Because, Need> {
        let (facts, effects) = (self.scope.facts, self.scope.effects);
        let mut because = vec![(word!("purpose"), Value::Text(self.ask.purpose.clone()))];
        for purpose in facts.catalog.lineage(self.ask.purpose) {
            if let Some((false, at)) = latest(facts, effects, purpose, self.ask.channel)? {
                because.push((word!("withdrawn"), Value::Moment(at)));
                if purpose != self.ask.purpose {
                    because.push((word!("of"), Value::Text(purpose.clone())));
                }
                break;
            }
        }
        Ok(because)
    }

    fn pause(&self) -> Result<Because, Need> {
        let (facts, effects) = (self.scope.facts, self.scope.effects);
        let loaded = &facts.permissions()?.pauses;
        let until = |purpose: &Word| effects.pauses.get(purpose).max(loaded.get(purpose)).copied();
        let lineage = facts.catalog.lineage(self.ask.purpose);
        let longest = lineage.filter_map(|purpose| Some((until(purpose)?, purpose))).max();
        Ok(longest.map_or_else(Because::new, |(until, purpose)| {
            vec![(word!("purpose"), Value::Text(purpose.clone())), (word!("until"), Value::Moment(until))]
        }))
    }

    /// The quiet hours, or else the hours of the channel, that are closed now.
    fn closed(&self) -> Because {
        let catalog = self.scope.facts.catalog;
        let hours = |from, to, until| {
            vec![
                (word!("from"), Value::Time(from)),
                (word!("to"), Value::Time(to)),
                (word!("until"), Value::Moment(until)),
            ]
        };
        for rule in &catalog.policy.quiet {
            let concerned = rule.channels.is_empty() || rule.channels.contains(self.ask.channel);
            let zone = self.scope.zone(&rule.zone);
            let holidays = &catalog.holidays;
            if concerned
                && quiet_for(catalog, rule, self.ask.purpose)
                && let Some(end) =
                    wait::closes(wait::EVERY_DAY, rule.from, rule.to, self.now, &zone, holidays)
            {
                return hours(rule.from, rule.to, end);
            }
        }
        let open = catalog.channels.get(self.ask.channel).and_then(|channel| channel.hours.as_ref());
        open.map_or_else(Because::new, |open| {
            let mut because = hours(open.from, open.to, super::next_opening(self.scope, open, self.now));
            because.insert(0, (word!("open"), Value::Bool(true)));
            because
        })
    }

    /// The first limit that is used up, and what uses it.
    fn full(&self) -> Result<Because, Need> {
        let (facts, effects) = (self.scope.facts, self.scope.effects);
        for cap in &facts.catalog.policy.caps {
            if !counts(facts.catalog, cap, self.ask.purpose, self.ask.channel) {
                continue;
            }
            let Some(free) = self.free_at(cap)? else { continue };
            let loaded =
                facts.permissions()?.slots.iter().map(|(at, channel, purpose)| (at, channel, purpose));
            let own = effects.slots.iter().map(|(at, channel, purpose, _)| (at, channel, purpose));
            let counted = loaded.chain(own).filter(|(at, channel, purpose)| {
                counts(facts.catalog, cap, purpose, channel) && self.slot_ends(cap, **at) > self.now
            });
            let mut taken: Vec<Timestamp> = counted.map(|(at, ..)| *at).collect();
            taken.sort_unstable();
            let window = match cap.window {
                CapWindow::Rolling(span) => Value::Duration(span),
                CapWindow::Calendar(unit) => Value::text(super::unit_words(unit)),
            };
            let mut because = vec![
                (word!("number"), Value::Number(i64::from(cap.number))),
                (word!("window"), window),
                (word!("purpose"), Value::Text(cap.purpose.clone())),
                (word!("taken"), Value::List(taken.into_iter().map(Value::Moment).collect())),
            ];
            because.extend(cap.channel.clone().map(|channel| (word!("channel"), Value::Text(channel))));
            if free != Timestamp::NEVER {
                because.push((word!("free"), Value::Moment(free)));
            }
            return Ok(because);
        }
        Ok(Because::new())
    }
}
