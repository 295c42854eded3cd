//! What follows from a condition that holds, or does not: the facts by which narrowing works.

use std::collections::BTreeSet;

use super::names::{Form, Names};
use super::narrow::{Fact, Facts, Place};
use super::schema::Schema;
use crate::engine::eval::ANSWERED;
use crate::engine::program::{SlotIx, Word};
use crate::lang::ast::{self, ExprKind, Op, Presence};

/// Reads conditions without judging them: what cannot be understood brings no facts.
#[derive(Clone, Copy)]
pub(super) struct Conditions<'c, 'a> {
    pub(super) schema: &'c Schema<'a>,
    pub(super) names: &'c Names<'a>,
    /// Names of events under test in the aggregates around.
    pub(super) rows: &'c [Word],
    /// What is known where the condition stands.
    pub(super) facts: &'c Facts,
    /// How many segments are being looked into.
    pub(super) depth: usize,
}

impl<'a> Conditions<'_, 'a> {
    /// The facts of a condition that holds (or does not).
    pub(super) fn facts_if(&self, expr: &ast::Expr, holds: bool) -> Vec<Fact> {
        match &expr.kind {
            ExprKind::Not(inner) => self.facts_if(inner, !holds),
            ExprKind::Binary { op: op @ (Op::And | Op::Or), left, right, .. } => {
                let (left, right) = (self.facts_if(left, holds), self.facts_if(right, holds));
                if (*op == Op::And) == holds {
                    left.into_iter().chain(right).collect()
                } else {
                    either(left, &right)
                }
            }
            ExprKind::Binary { op: op @ (Op::Is | Op::IsNot), left, right, .. } => {
                self.comparison(left, right, (*op == Op::Is) == holds)
            }
            ExprKind::Binary { op: op @ (Op::In | Op::NotIn), left, right, .. } => {
                self.membership(left, right, (*op == Op::In) == holds)
            }
            ExprKind::Binary { op: Op::Otherwise, left, right, .. } => match (&left.kind, &right.kind) {
                (ExprKind::Path(path), ExprKind::Bool(default)) if *default != holds => {
                    self.truth(path, holds)
                }
                _ => Vec::new(),
            },
            ExprKind::Path(path) => self.truth(path, holds),
            ExprKind::Consent(consent) => self.consent(consent, holds),
            _ => Vec::new(),
        }
    }

    /// The facts of a segment that holds, or does not.
    pub(super) fn segment(&self, name: &str, holds: bool) -> Vec<Fact> {
        let mut facts = vec![Fact::True(Place::Segment(name.into()), holds)];
        if let Some(segment) = self.schema.segments.get(name)
            && self.depth < 8
        {
            let empty = Names::empty();
            let none = Facts::default();
            let inner = Conditions {
                schema: self.schema,
                names: &empty,
                rows: &[],
                facts: &none,
                depth: self.depth + 1,
            };
            facts.extend(inner.facts_if(&segment.expr, holds));
        }
        facts
    }

    /// The place that a path means, if facts can speak of it.
    pub(super) fn place(&self, path: &ast::Path) -> Option<Place> {
        let root = &path.parts[0];
        match path.parts.as_slice() {
            [_, field] if self.rows.iter().any(|row| **row == *root.text) => {
                Some(Place::Row(root.text.as_str().into(), field.text.as_str().into()))
            }
            [contact, attribute] if contact.text == "contact" => {
                Some(Place::Attribute(attribute.text.as_str().into()))
            }
            [entry, field] if entry.text == "entry" => Some(Place::Field(0, field.text.as_str().into())),
            [_, field] => {
                let slot = self.find(root)?;
                Some(Place::Field(slot, field.text.as_str().into()))
            }
            [_] => match self.find(root) {
                Some(slot) if matches!(self.names.slot(slot).form, Form::Let) => Some(Place::Value(slot)),
                Some(_) => None,
                None => {
                    let name = self.schema.segments.get_key_value(root.text.as_str())?.0;
                    Some(Place::Segment(name.clone()))
                }
            },
            _ => None,
        }
    }

    /// For conditions that speak of conditions; a circle ends.
    fn deeper(&self) -> Self {
        Conditions { depth: self.depth + 1, ..*self }
    }

    fn find(&self, name: &ast::Name) -> Option<SlotIx> {
        self.names.find(name, |slot| self.facts.is_assigned(slot))
    }

    fn truth(&self, path: &ast::Path, holds: bool) -> Vec<Fact> {
        match self.place(path) {
            Some(Place::Segment(name)) => self.segment(&name, holds),
            Some(Place::Field(slot, field)) => self.outcome(slot, &field, holds),
            Some(place) => vec![Fact::True(place, holds)],
            None => Vec::new(),
        }
    }

    /// Outcomes of steps carry more than themselves: who was reached has an address, an event that came has its fields.
    pub(super) fn outcome(&self, slot: SlotIx, field: &Word, holds: bool) -> Vec<Fact> {
        let place = |name: &str| Place::Field(slot, name.into());
        match (&self.names.slot(slot).form, &**field) {
            (Form::WaitEvent(_) | Form::WaitCondition(_) | Form::Race | Form::Child { .. }, "missed") => {
                self.outcome(slot, &"happened".into(), !holds)
            }
            (Form::Ask, "missed") => self.outcome(slot, &ANSWERED.into(), !holds),
            (Form::WaitEvent(event), "happened") => {
                let mut facts = vec![Fact::True(place("happened"), holds)];
                if let (Some(filter), true, true) = (&event.filter, holds, self.depth < 8) {
                    facts.extend(self.deeper().facts_if(filter, true));
                }
                facts
            }
            (Form::WaitCondition(condition), "happened") => {
                let mut facts = vec![Fact::True(place("happened"), holds)];
                if holds && self.depth < 8 {
                    facts.extend(self.deeper().facts_if(condition, true));
                }
                facts
            }
            (Form::Message { channels, addresses }, outcome) => {
                let mut facts = vec![Fact::True(place(outcome), holds)];
                let reached = matches!(
                    (outcome, holds),
                    ("unreachable", false)
                        | (
                            "sent"
                                | "delivered"
                                | "opened"
                                | "clicked"
                                | "bounced"
                                | "complained"
                                | "replied",
                            true
                        )
                );
                if let ([_], [address], true) = (channels.as_slice(), addresses.as_slice(), reached) {
                    facts.push(Fact::Known(Place::Attribute(address.clone()), true));
                }
                facts
            }
            _ => vec![Fact::True(place(field), holds)],
        }
    }

    fn comparison(&self, left: &ast::Expr, right: &ast::Expr, equal: bool) -> Vec<Fact> {
        match (&left.kind, &right.kind) {
            (ExprKind::Path(path), ExprKind::Presence(presence)) => match (presence, self.place(path)) {
                (Presence::Known, Some(place)) => vec![Fact::Known(place, equal)],
                (Presence::Unknown, Some(place)) => vec![Fact::Known(place, !equal)],
                (Presence::Empty, _) | (_, None) => Vec::new(),
            },
            (ExprKind::Path(path), ExprKind::Bool(value)) | (ExprKind::Bool(value), ExprKind::Path(path)) => {
                self.truth(path, equal == *value)
            }
            (ExprKind::Path(path), ExprKind::Path(word)) if word.parts.len() == 1 => {
                self.listed(path, std::slice::from_ref(&word.parts[0]), equal)
            }
            _ => Vec::new(),
        }
    }

    fn membership(&self, left: &ast::Expr, right: &ast::Expr, inside: bool) -> Vec<Fact> {
        let (ExprKind::Path(path), ExprKind::List(items)) = (&left.kind, &right.kind) else {
            return Vec::new();
        };
        let words: Option<Vec<ast::Name>> = items
            .iter()
            .map(|item| match &item.kind {
                ExprKind::Path(word) if word.parts.len() == 1 => Some(word.parts[0].clone()),
                _ => None,
            })
            .collect();
        words.map_or(Vec::new(), |words| self.listed(path, &words, inside))
    }

    /// A listed value is, or is not, one of some words.
    pub(super) fn listed(&self, path: &ast::Path, words: &[ast::Name], inside: bool) -> Vec<Fact> {
        let Some(place) = self.place(path) else { return Vec::new() };
        let Some(all) = self.possible(&place) else { return Vec::new() };
        if words.iter().any(|word| !all.contains(word.text.as_str())) {
            return Vec::new();
        }
        let is_word = |value: &Word| words.iter().any(|word| *word.text == **value);
        let left: BTreeSet<Word> = all.into_iter().filter(|value| is_word(value) == inside).collect();
        vec![Fact::Within(place, left)]
    }

    /// All values that a listed value can have by its type.
    pub(super) fn possible(&self, place: &Place) -> Option<BTreeSet<Word>> {
        use crate::value::Type;
        let ty = match place {
            Place::Attribute(name) => self.schema.catalog.attribute(name)?.ty.clone(),
            Place::Value(slot) => self.names.slot(*slot).ty.clone()?,
            Place::Field(slot, field) => {
                let info = self.names.slot(*slot);
                match (&info.form, &**field) {
                    (Form::Task { outcomes }, "outcome") => return Some(outcomes.iter().cloned().collect()),
                    (Form::Child { journey, .. }, "exit") => {
                        let journey = self.schema.journeys.get(journey)?;
                        return Some(journey.reasons.iter().cloned().collect());
                    }
                    _ => crate::lang::types::field(info.fields.as_ref()?, field)?.clone(),
                }
            }
            Place::Row(..) | Place::Segment(_) => return None,
        };
        match ty.required() {
            Type::OneOf(values) => Some(values.iter().cloned().collect()),
            _ => None,
        }
    }

    /// Without `on` any channel is enough, which says something only where there is but one.
    fn consent(&self, consent: &ast::ConsentOf, given: bool) -> Vec<Fact> {
        let named = Word::from(consent.purpose.text.as_str());
        let purpose = self.schema.consent_purpose(&named).unwrap_or(named);
        let line = self.schema.catalog.policy.consent.get(&purpose).map_or(&[][..], Vec::as_slice);
        let written: Vec<Word> =
            consent.channels.iter().map(|channel| channel.text.as_str().into()).collect();
        let channels = if written.is_empty() { line } else { &written };
        let all_of_them = written.len() > 1 && given || channels.len() == 1;
        let fact = |channel: &Word| Fact::Consent(purpose.clone(), channel.clone(), given);
        if all_of_them { channels.iter().map(fact).collect() } else { Vec::new() }
    }
}

/// The facts that follow in both cases.
fn either(left: Vec<Fact>, right: &[Fact]) -> Vec<Fact> {
    let shared = left.into_iter().filter_map(|fact| match &fact {
        Fact::Within(place, values) => right.iter().find_map(|other| match other {
            Fact::Within(same, more) if same == place => {
                Some(Fact::Within(place.clone(), values.union(more).cloned().collect()))
            }
            _ => None,
        }),
        Fact::Known(place, true) => right.iter().any(|other| is_there(other, place)).then_some(fact),
        _ => right.contains(&fact).then_some(fact),
    });
    shared.collect()
}

fn is_there(fact: &Fact, place: &Place) -> bool {
    match fact {
        Fact::Known(known, true) | Fact::True(known, _) | Fact::Within(known, _) => known == place,
        Fact::Known(_, false) | Fact::Assigned(_) | Fact::Consent(..) => false,
    }
}
