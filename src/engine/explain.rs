//! Why a contact is not in a journey: its entries looked at once more, afterwards, with what is known by now.
//!
//! What the engine refuses at the door it notes; what never came to the door it does not, since that happens with every event to
//! nearly every journey. So it is found here when somebody asks. Pure: facts in, obstacles out; missing facts are asked for as everywhere.
//!
//! And what the condition of a branch looked at, while it does: that nobody could find out later.

use super::eval::{Heard, Scope};
use super::facts::{Effects, Facts};
use super::program::{BinaryOp, Entry, EntryHow, Expr, Program, Word};
use super::spell;
use super::state::State;
use super::world::{Because, Event, Need};
use crate::time::Timestamp;
use crate::value::Value;

/// What kept the contact out at one entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Obstacle {
    /// None of these events ever came.
    NoEvent { events: Vec<Word> },
    /// The newest one came before the journey took anybody in.
    TooEarly { event: Word, at: Timestamp, opened: Timestamp },
    /// It came so long after it had happened that it starts nothing.
    Late { event: Word, at: Timestamp, accepted_at: Timestamp },
    /// It was not the first of its name.
    NotFirst { event: Word, first: Timestamp },
    /// The journey takes people in until then, and it came later, or nobody would enter now.
    Over { until: Timestamp },
    /// The journey takes people in from then on.
    NotYet { from: Timestamp },
    /// Parts of the condition do not hold.
    False { event: Option<(Word, Timestamp)>, parts: Vec<Part> },
    /// The attribute with the date has no value.
    NoDate { attribute: Word },
    /// The attribute has not changed while anybody looked.
    NoChange { attribute: Word },
    /// It has a schedule, and nothing stands in the way.
    Scheduled,
    /// The condition holds, and nothing stands in the way but that it held already when the journey opened, as far as is known.
    Holds,
    /// The condition holds, and would have brought them in; nobody has looked since.
    Unseen,
    /// The condition holds, and became so in a way that brings nobody in.
    Quiet,
    /// Only by hand, or by another journey.
    ByHand,
    /// Nothing is seen that kept the newest event out: it was imported, which is not kept with it, or something was different then.
    Nothing { event: Word, at: Timestamp },
}

/// One part of a condition that does not hold, with what it is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// As an author would write it.
    pub text: String,
    pub values: Vec<(String, Value)>,
}

/// What kept the contact out, one for each entry of the program. `opened` is when the program began to take people in.
pub fn absence(facts: &Facts, program: &Program, opened: Option<Timestamp>) -> Result<Vec<Obstacle>, Need> {
    let look = Look { facts, effects: &Effects::default(), program, opened };
    (0..).zip(&program.entries).map(|(number, entry)| look.entry(number, entry)).collect()
}

/// The newest event of an entry that anybody could have come in by, if there is one: when it was accepted.
pub fn newest_knock(facts: &Facts, program: &Program) -> Result<Option<Timestamp>, Need> {
    let look = Look { facts, effects: &Effects::default(), program, opened: None };
    let mut newest = None;
    for entry in &program.entries {
        if let EntryHow::Event(names) | EntryHow::FirstEvent(names) = &entry.how {
            newest = newest.max(look.newest(names)?.map(|event| event.accepted_at));
        }
    }
    Ok(newest)
}

struct Look<'l, 'a> {
    facts: &'l Facts<'a>,
    effects: &'l Effects,
    program: &'l Program,
    opened: Option<Timestamp>,
}

impl Look<'_, '_> {
    fn entry(&self, number: u16, entry: &Entry) -> Result<Obstacle, Need> {
        let now = self.facts.now;
        match &entry.how {
            EntryHow::Event(names) => self.by_event(entry, names, false),
            EntryHow::FirstEvent(names) => self.by_event(entry, names, true),
            EntryHow::Start { .. } => Ok(self.closed(now).unwrap_or(Obstacle::ByHand)),
            EntryHow::When { condition, .. } | EntryHow::While { condition, .. } => {
                if let Some(closed) = self.closed(now) {
                    return Ok(closed);
                }
                let state = State::begin(self.program, now);
                let mut parts = self.parts(condition, &state)?;
                parts.extend(self.uninvited(entry, &state)?);
                match parts.is_empty() {
                    true => self.holds(number, entry),
                    false => Ok(Obstacle::False { event: None, parts }),
                }
            }
            EntryHow::Change { attribute } => {
                Ok(self.closed(now).unwrap_or_else(|| Obstacle::NoChange { attribute: attribute.clone() }))
            }
            EntryHow::Anniversary { attribute, .. } | EntryHow::Offset { attribute, .. }
                if !self.facts.attribute(self.effects, attribute).is_known() =>
            {
                Ok(Obstacle::NoDate { attribute: attribute.clone() })
            }
            EntryHow::At { .. }
            | EntryHow::Weekday { .. }
            | EntryHow::Anniversary { .. }
            | EntryHow::Offset { .. }
            | EntryHow::Cron { .. } => {
                if let Some(closed) = self.closed(now) {
                    return Ok(closed);
                }
                let parts = self.uninvited(entry, &State::begin(self.program, now))?;
                Ok(if parts.is_empty() {
                    Obstacle::Scheduled
                } else {
                    Obstacle::False { event: None, parts }
                })
            }
        }
    }

    /// Why a condition that holds has brought nobody in.
    fn holds(&self, number: u16, entry: &Entry) -> Result<Obstacle, Need> {
        if !entry.takes_existing() {
            return Ok(Obstacle::Holds);
        }
        let standing = self.facts.world.standing.as_ref().ok_or(Need::Standing)?;
        let row = standing.get(&(self.program.journey.clone(), number));
        Ok(if row.is_some_and(|row| row.member) { Obstacle::Quiet } else { Obstacle::Unseen })
    }

    fn closed(&self, at: Timestamp) -> Option<Obstacle> {
        let runs = self.program.runs.filter(|runs| !runs.contains(at))?;
        match (runs.from, runs.until) {
            (Some(from), _) if at < from => Some(Obstacle::NotYet { from }),
            (_, Some(until)) => Some(Obstacle::Over { until }),
            _ => None,
        }
    }

    fn by_event(&self, entry: &Entry, names: &[Word], only_first: bool) -> Result<Obstacle, Need> {
        let Some(event) = self.newest(names)? else {
            return Ok(Obstacle::NoEvent { events: names.to_vec() });
        };
        let (name, at) = (event.name.clone(), event.occurred_at);
        if let Some(opened) = self.opened.filter(|opened| event.accepted_at < *opened) {
            return Ok(Obstacle::TooEarly { event: name, at, opened });
        }
        if self.is_late(event) {
            return Ok(Obstacle::Late { event: name, at, accepted_at: event.accepted_at });
        }
        if let Some(closed) = self.closed(event.accepted_at) {
            return Ok(closed);
        }
        if only_first
            && let Some(first) = self.all(&event.name)?.first()
            && first.id != event.id
        {
            return Ok(Obstacle::NotFirst { event: name, first: first.occurred_at });
        }
        let mut state = State::begin(self.program, event.accepted_at);
        state.put(0, Heard::event(event).record());
        let parts = self.uninvited(entry, &state)?;
        Ok(match parts.is_empty() {
            true => Obstacle::Nothing { event: name, at },
            false => Obstacle::False { event: Some((name, at)), parts },
        })
    }

    fn all(&self, name: &Word) -> Result<&[Event], Need> {
        Ok(&self.facts.history(name, Timestamp(0))?.events)
    }

    fn newest(&self, names: &[Word]) -> Result<Option<&Event>, Need> {
        let mut newest: Option<&Event> = None;
        for name in names {
            let last = self.all(name)?.last();
            if let Some(last) =
                last.filter(|last| newest.is_none_or(|one| one.occurred_at < last.occurred_at))
            {
                newest = Some(last);
            }
        }
        Ok(newest)
    }

    fn is_late(&self, event: &Event) -> bool {
        let Some(kind) = self.facts.catalog.events.get(&event.name) else { return false };
        let zone = self.facts.contact_zone(self.effects);
        kind.late_after.after(event.occurred_at, &zone, &self.facts.catalog.holidays) < event.accepted_at
    }

    /// The parts of `where` and `for SEGMENT` that do not hold.
    fn uninvited(&self, entry: &Entry, state: &State) -> Result<Vec<Part>, Need> {
        let mut parts = Vec::new();
        for condition in entry.filter.iter().chain(&entry.audience) {
            parts.extend(self.parts(condition, state)?);
        }
        Ok(parts)
    }

    fn parts(&self, condition: &Expr, state: &State) -> Result<Vec<Part>, Need> {
        let scope = Scope::of(self.facts, self.effects, self.program, state);
        if scope.holds(condition)? {
            return Ok(Vec::new());
        }
        if let Expr::Binary(BinaryOp::And, left, right) = condition {
            let mut parts = self.parts(left, state)?;
            parts.extend(self.parts(right, state)?);
            return Ok(parts);
        }
        let mut values = Vec::new();
        self.values(&scope, condition, &mut values, 0)?;
        Ok(vec![Part { text: spell::spell(condition, Some(self.program)), values }])
    }

    /// What a condition is made of, with its values; a segment is told with what it is made of in its turn.
    fn values(
        &self,
        scope: &Scope,
        condition: &Expr,
        values: &mut Vec<(String, Value)>,
        depth: u8,
    ) -> Result<(), Need> {
        let mut leaves = Vec::new();
        spell::leaves(condition, &mut leaves);
        for leaf in leaves {
            let one = (spell::spell(leaf, Some(self.program)), scope.eval(leaf)?);
            let new = !values.contains(&one);
            if new {
                values.push(one);
            }
            if let (Expr::Segment(name), true, true) = (leaf, new, depth < 4)
                && let Some(segment) = self.facts.catalog.segments.get(name)
            {
                self.values(scope, &segment.condition, values, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// The most values that a history keeps of one condition, and the longest text among them.
const MOST: usize = 8;
const LONGEST: usize = 40;

/// What a condition looked at that is made of several things, as far as a history keeps it: a few short values, and none that tells who
/// somebody is. How it came out says it all of one that is a single yes or no.
pub(super) fn looked_at(scope: &Scope, facts: &Facts, program: &Program, condition: &Expr) -> Because {
    let mut leaves = Vec::new();
    spell::leaves(condition, &mut leaves);
    let is_bare = |leaf: &&Expr| match condition {
        Expr::Not(inner) => **inner == **leaf,
        other => *other == **leaf,
    };
    if leaves.first().is_some_and(is_bare) {
        return Because::new();
    }
    let tells_who = |leaf: &Expr| match leaf {
        Expr::Attribute(name) => facts.catalog.attribute(name).is_some_and(|attribute| attribute.pii),
        _ => false,
    };
    let is_short = |value: &Value| match value {
        Value::Text(text) => text.len() <= LONGEST,
        Value::List(_) | Value::Record(_) => false,
        _ => true,
    };
    let mut kept = Because::new();
    for leaf in leaves.into_iter().filter(|leaf| !tells_who(leaf)).take(MOST) {
        // What is not loaded was not asked for: the rest of the condition had decided.
        match facts.once_more(|| scope.eval(leaf)) {
            Ok(value) if is_short(&value) => kept.push((spell::spell(leaf, Some(program)).into(), value)),
            _ => {}
        }
    }
    kept
}
