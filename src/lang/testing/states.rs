//! Where people are in a play: which steps they wait at, and what holds of them.

use super::matching::shown_as;
use super::stage::{LONGEST, Stage};
use super::timeline::moment_words;
use super::watching::{one_line, readable};
use crate::engine::eval::Scope;
use crate::engine::facts::{Effects, Facts};
use crate::engine::program::{Expr, Word};
use crate::id::{ContactId, EnrollmentId};
use crate::lang::ast::{self, Expect};
use crate::lang::lower::whole;
use crate::time::Timestamp;
use crate::value::Value;

impl<'s, 't> Stage<'s, 't> {
    /// Goes on until everybody who is inside now is out; gives the time of the end.
    pub(super) fn play_out(&mut self, from: Timestamp) -> Timestamp {
        let limit = LONGEST.after(from, &self.cast.zone, self.cast.holidays);
        let inside = self.inside();
        while self.inside().iter().any(|id| inside.contains(id)) {
            match self.memory.next_wake().filter(|next| *next <= limit) {
                Some(next) => {
                    self.memory.advance_to(next);
                    self.look();
                }
                None => break,
            }
        }
        self.memory.now().max(from)
    }

    fn inside(&self) -> Vec<EnrollmentId> {
        let worlds = self.contacts.iter().filter_map(|contact| self.memory.world(*contact));
        let enrollments = worlds.flat_map(|world| world.enrollments.values());
        enrollments.filter(|enrollment| !enrollment.state.ended).map(|enrollment| enrollment.id).collect()
    }

    /// The answer to an expectation that looks at how things are now; `None` for those that look at what happened.
    pub(super) fn state_of(&self, expect: &Expect, person: Option<usize>) -> Option<Result<(), String>> {
        match expect {
            Expect::Holds(condition) => Some(self.holds(condition, self.contacts[person.unwrap_or(0)])),
            Expect::WaitingAt { step } => Some(self.waits_at(&step.text, person)),
            Expect::Member { audience, is_in } => {
                Some(self.is_member(&audience.text, *is_in, self.contacts[person.unwrap_or(0)]))
            }
            _ => None,
        }
    }

    /// Where everybody is now: `it waits at `look` until Tue 7 Apr 12:00`.
    pub(super) fn standing(&self) -> String {
        let mut places = Vec::new();
        for (person, contact) in self.contacts.iter().enumerate() {
            let Some(world) = self.memory.world(*contact) else { continue };
            for enrollment in world.enrollments.values().filter(|enrollment| !enrollment.state.ended) {
                let state = &enrollment.state;
                let Some(step) = enrollment.program.steps.get(usize::from(state.step)) else { continue };
                let own = enrollment.program.journey == self.cast.journey.journey;
                let journey = if own { String::new() } else { format!(" in {}", enrollment.program.journey) };
                let until = match state.rest.due_at {
                    Timestamp::NEVER => String::new(),
                    due => format!(" until {}", moment_words(&self.zone_of(person), due)),
                };
                let who = match self.script.people[person].name {
                    "" => "it",
                    name => name,
                };
                places.push(format!("{who} waits at `{}`{journey}{until}", readable(&step.id)));
            }
        }
        match places.as_slice() {
            [] => "nobody is inside at this moment".to_owned(),
            places => places.join(", "),
        }
    }

    fn waits_at(&self, step: &str, person: Option<usize>) -> Result<(), String> {
        let whose =
            self.contacts.iter().enumerate().filter(|(n, _)| person.is_none_or(|person| person == *n));
        let resting: Vec<Word> = whose
            .flat_map(|(_, contact)| self.memory.resting(*contact))
            .filter(|(journey, _)| *journey == self.cast.journey.journey)
            .map(|(_, step)| step)
            .collect();
        match resting.as_slice() {
            found if found.iter().any(|at| *whole(at) == *step) => Ok(()),
            [] => Err(format!("nobody waits at `{step}`: nobody is in the journey at this moment")),
            [other] => Err(format!("it does not wait at `{step}` but at `{}`", whole(other))),
            many => {
                let many: Vec<&str> = many.iter().map(|at| whole(at)).collect();
                Err(format!("nobody waits at `{step}`, but at {}", many.join(", ")))
            }
        }
    }

    fn is_member(&self, audience: &str, is_in: bool, contact: ContactId) -> Result<(), String> {
        let all = self.memory.audiences(contact);
        match (all.contains(audience), is_in) {
            (found, wanted) if found == wanted => Ok(()),
            (true, _) => Err(format!("the contact is in the audience `{audience}`")),
            (false, _) if all.is_empty() => Err("the contact is in no audience".to_owned()),
            (false, _) => {
                let all: Vec<&str> = all.iter().map(|name| &**name).collect();
                Err(format!("the contact is not in the audience `{audience}`, but in {}", all.join(", ")))
            }
        }
    }

    fn holds(&self, condition: &ast::Expr, contact: ContactId) -> Result<(), String> {
        let text = one_line(self.sources.slice(condition.span));
        let (Some(checked), Some(world)) =
            (self.compilation.checked.exprs.get(&condition.span), self.memory.world(contact))
        else {
            return Err(format!("`{text}` cannot be asked here"));
        };
        let facts = Facts::new(&self.compilation.catalog, &self.programs, world, self.memory.now());
        let effects = Effects::default();
        let scope = Scope::contact(&facts, &effects);
        if scope.holds(&checked.expr).unwrap_or(false) {
            return Ok(());
        }
        let left = match (&checked.expr, &condition.kind) {
            (Expr::Binary(_, left, _), ast::ExprKind::Binary { left: written, .. }) => Some((left, written)),
            _ => None,
        };
        let found = left.and_then(|(left, written)| {
            let value = scope.eval(left).ok().filter(|value| !matches!(value, Value::Bool(_)))?;
            let ty = match left.as_ref() {
                Expr::Attribute(name) => self.compilation.catalog.attribute(name).map(|a| &a.ty),
                _ => None,
            };
            Some(format!(
                ": {} is {}",
                one_line(self.sources.slice(written.span)),
                shown_as(&value, ty, &self.cast.zone)
            ))
        });
        Err(format!("`{text}` is not true{}", found.unwrap_or_default()))
    }
}
