//! What is known at a place of a journey: which results are there, which values cannot be missing, which consent is given.
//!
//! [`Facts`] hold on every path to a place. Conditions bring them ([`Reader::facts_if`] in `conditions`), `set`, `grant` and
//! the like make them, joins keep what both sides know.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::program::{SlotIx, Word};

/// Something that facts speak of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    /// `contact.NAME`
    Attribute(Word),
    /// The value of a `let`.
    Value(SlotIx),
    /// A field of a result or an event.
    Field(SlotIx, Word),
    /// A field of the event under test in an aggregate, by the name it has there.
    Row(Word, Word),
    /// A segment.
    Segment(Word),
}

/// One thing that is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Fact {
    /// The step of that slot has run.
    Assigned(SlotIx),
    /// A value is there, or is missing.
    Known(Place, bool),
    /// A yes-or-no value.
    True(Place, bool),
    /// A listed value is one of these.
    Within(Place, BTreeSet<Word>),
    /// Consent for a purpose on a channel is given, or is not.
    Consent(Word, Word, bool),
}

/// Everything that is known at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    assigned: BTreeSet<SlotIx>,
    known: BTreeMap<Place, bool>,
    truth: BTreeMap<Place, bool>,
    values: BTreeMap<Place, BTreeSet<Word>>,
    consent: BTreeMap<(Word, Word), bool>,
    /// Something on the way could not be read, so that what is missing here proves nothing: stay silent.
    pub(super) unsure: bool,
}

impl Facts {
    /// Facts of a place about which nothing may be said.
    pub(super) fn unsure() -> Facts {
        Facts { unsure: true, ..Facts::default() }
    }

    /// Adds a fact. False: it contradicts what is known, so that nobody gets here.
    pub(super) fn learn(&mut self, fact: &Fact) -> bool {
        match fact {
            Fact::Assigned(slot) => {
                self.assigned.insert(*slot);
                true
            }
            Fact::Known(place, known) => {
                self.known.insert(place.clone(), *known).is_none_or(|was| was == *known)
            }
            Fact::True(place, holds) => {
                self.known.insert(place.clone(), true);
                self.truth.insert(place.clone(), *holds).is_none_or(|was| was == *holds)
            }
            Fact::Within(place, values) => {
                self.known.insert(place.clone(), true);
                let now = match self.values.get(place) {
                    Some(was) => was.intersection(values).cloned().collect(),
                    None => values.clone(),
                };
                let possible = !now.is_empty();
                self.values.insert(place.clone(), now);
                possible
            }
            Fact::Consent(purpose, channel, given) => {
                let key = (purpose.clone(), channel.clone());
                self.consent.insert(key, *given).is_none_or(|was| was == *given)
            }
        }
    }

    /// Adds several. False when one contradicts.
    pub(super) fn learn_all<'f>(&mut self, facts: impl IntoIterator<Item = &'f Fact>) -> bool {
        let mut possible = true;
        for fact in facts {
            possible &= self.learn(fact);
        }
        possible
    }

    /// Consent that a step of the journey gives or takes; it does not contradict, it changes.
    pub(super) fn set_consent(&mut self, purpose: &Word, channel: &Word, given: bool) {
        self.consent.insert((purpose.clone(), channel.clone()), given);
    }

    /// Keeps what is known here and there.
    pub(super) fn meet(&mut self, other: &Facts) {
        self.assigned.retain(|slot| other.assigned.contains(slot));
        self.known.retain(|place, known| other.known.get(place) == Some(known));
        self.truth.retain(|place, holds| other.truth.get(place) == Some(holds));
        self.consent.retain(|key, given| other.consent.get(key) == Some(given));
        self.values.retain(|place, values| match other.values.get(place) {
            Some(more) => {
                values.extend(more.iter().cloned());
                true
            }
            None => false,
        });
        self.unsure |= other.unsure;
    }

    /// The step of the slot runs (again): what was known of its former result is gone.
    pub(super) fn assign(&mut self, slot: SlotIx) {
        self.forget(|place| matches!(place, Place::Value(s) | Place::Field(s, _) if *s == slot));
        self.assigned.insert(slot);
    }

    /// The attribute changes.
    pub(super) fn forget_attribute(&mut self, name: &str) {
        self.forget(|place| match place {
            Place::Attribute(attribute) => &**attribute == name,
            Place::Segment(_) => true,
            Place::Value(_) | Place::Field(..) | Place::Row(..) => false,
        });
    }

    /// Time passes: what may have changed meanwhile contradicts nothing any more. Guards keep their force.
    pub(super) fn time_passes(&mut self, live: impl Fn(&Place) -> bool) {
        self.truth.retain(|place, _| !live(place));
        self.values.retain(|place, _| !live(place));
        self.known.retain(|place, known| *known || !live(place));
    }

    fn forget(&mut self, gone: impl Fn(&Place) -> bool) {
        self.known.retain(|place, _| !gone(place));
        self.truth.retain(|place, _| !gone(place));
        self.values.retain(|place, _| !gone(place));
    }

    /// Whether the step of the slot has surely run.
    pub(super) fn is_assigned(&self, slot: SlotIx) -> bool {
        self.unsure || self.assigned.contains(&slot)
    }

    /// Whether the value is surely there.
    pub(super) fn is_known(&self, place: &Place) -> bool {
        self.unsure || self.known.get(place) == Some(&true)
    }

    /// Whether it is known that the value is there or missing.
    pub(super) fn presence(&self, place: &Place) -> Option<bool> {
        self.known.get(place).copied()
    }

    /// What is known of a yes-or-no value.
    pub(super) fn truth(&self, place: &Place) -> Option<bool> {
        self.truth.get(place).copied()
    }

    /// The values that a listed value can still have, where something is known of them.
    pub(super) fn values(&self, place: &Place) -> Option<&BTreeSet<Word>> {
        self.values.get(place)
    }

    /// Whether consent is known to be given or missing.
    pub(super) fn consent(&self, purpose: &Word, channel: &Word) -> Option<bool> {
        self.consent.get(&(purpose.clone(), channel.clone())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone() -> Place {
        Place::Attribute("phone".into())
    }

    #[test]
    fn a_join_keeps_what_both_sides_know() {
        let mut left = Facts::default();
        left.assign(1);
        left.assign(2);
        assert!(left.learn(&Fact::Known(phone(), true)));
        let mut right = Facts::default();
        right.assign(2);
        assert!(right.learn(&Fact::Known(phone(), false)));
        left.meet(&right);
        assert!(!left.is_assigned(1) && left.is_assigned(2) && !left.is_known(&phone()));
    }

    #[test]
    fn a_contradiction_is_noticed_and_a_step_that_runs_again_forgets() {
        let outcome = Place::Field(3, "outcome".into());
        let within = |values: &[&str]| {
            Fact::Within(outcome.clone(), values.iter().map(|value| Word::from(*value)).collect())
        };
        let mut facts = Facts::default();
        assert!(facts.learn(&within(&["reached", "refused"])));
        assert!(!facts.clone().learn(&within(&["voicemail"])));
        facts.assign(3);
        assert!(facts.learn(&within(&["voicemail"])));
    }
}
