//! One input through one contact: enrollments first, then standing entries and entries, then what all that caused.
//!
//! [`advance`] never changes anything before it has succeeded: it looks at the world, collects what is done in
//! [`Effects`] and copies of the touched enrollments, and only then writes world and changes.

use std::collections::{BTreeMap, BTreeSet};

use super::eval::Heard;
use super::facts::{Caused, Effects, Facts, Turn};
use super::hear::Incoming;
use super::program::{Catalog, EntryHow, StepKind, Word};
use super::programs::Programs;
use super::run::{take_out, word};
use super::world::{
    Changes, Enrollment, ErrandKind, Event, Fields, Input, Need, Note, Outcome, Standing, What, World,
};
use super::{Flow, StepInput, listens, logical, step, wake_at};
use crate::id::EnrollmentId;
use crate::time::{DAY, HOUR, Timestamp};
use crate::value::Value;

/// The most things that one input may cause before the rest is dropped with a note: journeys that start each other, events that
/// record themselves.
pub const STORM: usize = 200;

/// The most steps that one input may run through in all enrollments together, looked at before each thing it caused.
const STEPS: u32 = 20_000;

/// Overdue timers of one enrollment that fire before an event is shown to it.
const OVERDUE: usize = 100;

/// Shorter than every day of every zone.
const FRESH: i64 = 12 * HOUR;

/// Outcomes of messages that are events for all journeys.
const MESSAGE_EVENTS: [&str; 7] =
    ["sent", "delivered", "opened", "clicked", "bounced", "complained", "replied"];

/// Takes one input of one contact. `changes` may hold those of former inputs of the same contact; the new ones join them.
///
/// On a [`Need`] neither world nor changes were touched: load it and call again with the same input.
pub fn advance(
    catalog: &Catalog,
    programs: &Programs,
    world: &mut World,
    input: &Input,
    now: Timestamp,
    ids: &mut dyn FnMut() -> i64,
    changes: &mut Changes,
) -> Result<(), Need> {
    let facts = Facts::new(catalog, programs, world, now);
    let mut effects = Effects::default();
    let mut call = Call {
        turn: Turn { facts: &facts, effects: &mut effects, ids },
        moved: BTreeMap::new(),
        standing: BTreeMap::new(),
        first: BTreeSet::new(),
        accepted_at: accepted_at(input).unwrap_or(now),
    };
    call.take(input)?;
    call.work_off()?;
    let done = call.finish();
    done.write(world, changes, effects);
    Ok(())
}

/// An enrollment that this call touched or began.
#[derive(Clone, Debug)]
pub(super) struct Moving {
    pub enrollment: Enrollment,
    pub begins: Option<Timestamp>,
    /// What it was started with, whole: its state keeps what its program reads.
    pub arguments: Fields,
    pub ends: Option<Word>,
    pub interrupted: bool,
}

/// The call under way.
pub(super) struct Call<'t, 'a> {
    pub turn: Turn<'t, 'a>,
    pub moved: BTreeMap<EnrollmentId, Moving>,
    pub standing: BTreeMap<(Word, u16), Standing>,
    /// Events that came for the first time within this call.
    pub first: BTreeSet<Word>,
    /// When the input was accepted: what was due before is over, whichever comes first.
    pub accepted_at: Timestamp,
}

/// When an input was accepted; `None` for time itself and for what operators do.
fn accepted_at(input: &Input) -> Option<Timestamp> {
    match input {
        Input::Event(event) => Some(event.accepted_at),
        Input::Outcome(outcome) => Some(outcome.at),
        Input::Attributes { at, .. } | Input::Start { at, .. } => Some(*at),
        Input::Consent(change) => Some(change.at),
        Input::Due { .. }
        | Input::Fire { .. }
        | Input::Forget { .. }
        | Input::Leave { .. }
        | Input::Settle { .. }
        | Input::Suppress(_) => None,
    }
}

impl<'a> Call<'_, 'a> {
    fn take(&mut self, input: &Input) -> Result<(), Need> {
        let now = self.turn.facts.now;
        match input {
            Input::Event(event) => {
                let number = self.turn.effects.events.len();
                self.turn.effects.events.push(event.clone());
                self.event(number, 0)
            }
            Input::Due { id, wake_at } => self.due(*id, *wake_at),
            Input::Outcome(outcome) => self.outcome(outcome),
            Input::Attributes { values, .. } => {
                for (name, value) in values {
                    self.turn.effects.set(self.turn.facts, name, value.clone());
                }
                Ok(())
            }
            Input::Forget { attribute, value } => {
                self.forget(attribute, value);
                Ok(())
            }
            Input::Consent(change) => {
                self.consent(change.clone());
                Ok(())
            }
            Input::Suppress(suppression) => {
                self.suppressed(suppression);
                Ok(())
            }
            Input::Start { journey, arguments, at } => {
                self.start(journey, arguments, logical(*at, now), None).map(|_| ())
            }
            Input::Fire { journey, entry, at } => self.fire(&(journey.clone(), *entry), *at),
            Input::Settle { cause } => self.settle(*cause),
            Input::Leave { journey, reason } => self.leave_journey(journey, reason, now),
        }
    }

    fn forget(&mut self, attribute: &Word, value: &Value) {
        let now = self.turn.facts.attribute(self.turn.effects, attribute);
        let as_compared = |value: &Value| value.as_text().map(|text| text.trim().to_lowercase());
        if now.is_known() && as_compared(&now) == as_compared(value) {
            self.turn.effects.set(self.turn.facts, attribute, Value::Unknown);
            let why = format!("`{attribute}` was cleared: another contact was named with it");
            self.note(None, What::Odd { why: why.into() });
        }
    }

    /// What the input caused, in order, and what that causes.
    fn work_off(&mut self) -> Result<(), Need> {
        for _ in 0..STORM {
            if self.turn.effects.steps > STEPS {
                break;
            }
            let Some(caused) = self.turn.effects.caused.pop_front() else { return Ok(()) };
            match caused {
                Caused::Recorded { event, order } => self.event(event, order)?,
                Caused::Changed { attribute, old, new } => self.changed(&attribute, old, new)?,
                Caused::Consent { purpose, permit } => self.consent_changed(&purpose, permit)?,
                Caused::Start { journey, arguments, at, parent } => {
                    self.start(&journey, &arguments, at, parent)?;
                }
                Caused::Child(outcome) => self.child(&outcome)?,
            }
        }
        if !self.turn.effects.caused.is_empty() {
            self.turn.effects.caused.clear();
            self.note(
                None,
                What::Odd {
                    why: format!(
                        "one input caused more than {STORM} others, or too many steps: the rest was dropped"
                    )
                    .into(),
                },
            );
        }
        Ok(())
    }

    // -------------------------------------------------------------- enrollments

    /// An enrollment as it is now.
    pub(super) fn enrollment(&self, id: EnrollmentId) -> Option<&Enrollment> {
        let moved = self.moved.get(&id).map(|moving| &moving.enrollment);
        moved.or_else(|| self.turn.facts.world.enrollments.get(&id))
    }

    /// All that are loaded or began here, the oldest first.
    pub(super) fn ids(&self) -> Vec<EnrollmentId> {
        let loaded = self.turn.facts.world.enrollments.keys();
        if self.moved.is_empty() {
            return loaded.copied().collect();
        }
        loaded.chain(self.moved.keys()).copied().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Gives one enrollment an input.
    pub(super) fn step(&mut self, id: EnrollmentId, input: StepInput) -> Result<Flow, Need> {
        let mut moving = match self.moved.remove(&id) {
            Some(moving) => moving,
            None => match self.turn.facts.world.enrollments.get(&id) {
                Some(enrollment) => {
                    let (enrollment, arguments) = (enrollment.clone(), Fields::new());
                    Moving { enrollment, begins: None, arguments, ends: None, interrupted: false }
                }
                None => return Ok(Flow::Unmoved),
            },
        };
        let program = moving.enrollment.program.clone();
        let flow = step(&program, id, &mut moving.enrollment.state, input, &mut self.turn)?;
        if let Flow::Ended { reason, interrupted } = &flow {
            moving.ends = Some(reason.clone());
            moving.interrupted = *interrupted;
        }
        let journey = program.journey.clone();
        self.moved.insert(id, moving);
        if matches!(flow, Flow::Ended { .. }) {
            self.ended(&journey)?;
        }
        Ok(flow)
    }

    /// Those that listen to the signal must all be loaded.
    pub(super) fn listeners(&self, signal: &Word) -> Result<(), Need> {
        let facts = self.turn.facts;
        let known = facts.world.all_enrollments
            || facts.world.listening.contains(signal)
            || !facts.programs.hears(signal);
        if known { Ok(()) } else { Err(Need::Listeners(signal.clone())) }
    }

    /// All active enrollments must be loaded.
    pub(super) fn everybody(&self) -> Result<(), Need> {
        if self.turn.facts.world.all_enrollments { Ok(()) } else { Err(Need::AllEnrollments) }
    }

    pub(super) fn hears(&self, id: EnrollmentId, signal: &Word) -> bool {
        let catalog = self.turn.facts.catalog;
        self.enrollment(id)
            .is_some_and(|enrollment| listens(catalog, &enrollment.program, &enrollment.state, signal))
    }

    fn wake_at(&self, id: EnrollmentId) -> Timestamp {
        let wake = |enrollment: &Enrollment| {
            wake_at(&enrollment.program, &enrollment.state, self.turn.facts, self.turn.effects)
        };
        self.enrollment(id).and_then(wake).unwrap_or(Timestamp::NEVER)
    }

    /// Timers that were due before that moment fire first: what was accepted after a deadline is too late for it.
    pub(super) fn catch_up(&mut self, id: EnrollmentId, accepted_at: Timestamp) -> Result<(), Need> {
        for _ in 0..OVERDUE {
            if self.wake_at(id) >= accepted_at.min(self.turn.facts.now) {
                break;
            }
            self.step(id, StepInput::Due)?;
        }
        Ok(())
    }

    // -------------------------------------------------------------- events

    /// Shows an event of [`Effects::events`] to everybody concerned.
    fn event(&mut self, number: usize, order: u32) -> Result<(), Need> {
        let Some(event) = self.turn.effects.events.get(number).cloned() else { return Ok(()) };
        let facts = self.turn.facts;
        let late = self.is_late(&event);
        let first = self.is_first(&event)?;
        if !event.quiet {
            self.listeners(&event.name)?;
            for id in self.ids() {
                if self.hears(id, &event.name) {
                    self.catch_up(id, event.accepted_at)?;
                    let incoming = Incoming {
                        heard: Heard::event(&event),
                        slot: None,
                        signal: &event.name,
                        order,
                        late,
                        at: logical(event.accepted_at, facts.now),
                    };
                    self.step(id, StepInput::Hear(incoming))?;
                }
            }
        }
        self.watchers(&event.name, event.quiet || late)?;
        if !event.quiet && !late {
            self.entries_on(&event, first)?;
        }
        Ok(())
    }

    /// Whether it occurred so long before it was accepted that it starts and matches nothing.
    fn is_late(&self, event: &Event) -> bool {
        let facts = self.turn.facts;
        let Some(kind) = facts.catalog.events.get(&event.name) else { return false };
        let age = event.accepted_at.0.saturating_sub(event.occurred_at.0);
        // Most events are fresh, and no day is so short: then the calendar need not be asked.
        if age < FRESH && kind.late_after.ms == 0 && kind.late_after.about_ms() >= DAY {
            return false;
        }
        let zone = facts.contact_zone(self.turn.effects);
        kind.late_after.after(event.occurred_at, &zone, &facts.catalog.holidays) < event.accepted_at
    }

    /// Whether the contact never had such an event. Asked only where an entry asks.
    fn is_first(&mut self, event: &Event) -> Result<bool, Need> {
        let facts = self.turn.facts;
        if !facts.programs.asks_first(&event.name) || self.first.contains(&event.name) {
            return Ok(false);
        }
        let known = facts.world.history.get(&event.name).is_some_and(|history| !history.events.is_empty());
        let before = match facts.world.ever.get(&event.name) {
            _ if known => true,
            Some(before) => *before,
            None => return Err(Need::Ever(event.name.clone())),
        };
        self.first.insert(event.name.clone());
        Ok(!before)
    }

    fn entries_on(&mut self, event: &Event, first: bool) -> Result<(), Need> {
        let mut entered: Vec<&Word> = Vec::new();
        for key in self.turn.facts.programs.on_event(&event.name) {
            let Some((_, entry)) = self.turn.facts.programs.entry(key) else { continue };
            let fires = match entry.how {
                EntryHow::FirstEvent(_) => first,
                _ => true,
            };
            // Several `enter` lines may name one event; it brings in one enrollment all the same.
            if fires && !entered.contains(&&key.0) && self.enter_on(key, event)? {
                entered.push(&key.0);
            }
        }
        Ok(())
    }

    // -------------------------------------------------------------- time

    fn due(&mut self, id: EnrollmentId, due_at: Timestamp) -> Result<(), Need> {
        let (facts, now) = (self.turn.facts, self.turn.facts.now);
        if due_at > now {
            return Ok(());
        }
        if let Some(enrollment) = facts.world.enrollments.get(&id) {
            if enrollment.wake_at == due_at {
                self.step(id, StepInput::Due)?;
            }
            return Ok(());
        }
        if facts.world.gone.contains(&id) {
            return Ok(());
        }
        let standing = facts.world.standing.as_ref().ok_or(Need::Standing)?;
        if let Some((key, _)) = standing.iter().find(|(_, s)| s.id == id && s.wake_at == due_at) {
            return self.standing_due(key);
        }
        let errands = facts.world.errands.as_ref().ok_or(Need::Errands)?;
        if let Some(errand) = errands.get(&id).filter(|errand| errand.wake_at == due_at) {
            let ErrandKind::Undo { attribute, value } = &errand.what;
            self.turn.effects.errands_done.push((due_at, id));
            take_out(&mut self.turn, attribute, value);
        }
        Ok(())
    }

    // -------------------------------------------------------------- outcomes

    fn outcome(&mut self, outcome: &Outcome) -> Result<(), Need> {
        let facts = self.turn.facts;
        let id = outcome.enrollment;
        let known = facts.world.all_enrollments || facts.world.gone.contains(&id);
        if self.enrollment(id).is_none() && !known {
            return Err(Need::Enrollment(id));
        }
        self.message_event(outcome);
        let order = self.turn.effects.next_order();
        self.catch_up(id, outcome.at)?;
        self.step(id, StepInput::Outcome { outcome, order, at: logical(outcome.at, facts.now) })?;
        Ok(())
    }

    /// The same fact for all journeys.
    fn message_event(&mut self, outcome: &Outcome) {
        if !MESSAGE_EVENTS.contains(&&*outcome.outcome) {
            return;
        }
        let program = self.enrollment(outcome.enrollment).map(|enrollment| enrollment.program.clone());
        let step = program.as_ref().and_then(|program| program.steps.iter().find(|s| s.id == outcome.step));
        let mut fields = outcome.fields.clone();
        match (step.map(|step| &step.kind), &program) {
            (Some(StepKind::Send(send)), Some(program)) => {
                let mut add = |name: Word, value: &Word| {
                    fields.entry(name).or_insert_with(|| Value::Text(value.clone()));
                };
                add(word!("journey"), &program.journey);
                add(word!("purpose"), &send.purpose);
                add(word!("template"), &send.template);
            }
            (None, None) if fields.contains_key("template") => {}
            _ => return,
        }
        let id = (self.turn.ids)();
        let name = format!("message_{}", outcome.outcome).into();
        let (occurred_at, accepted_at) = (outcome.at, outcome.at);
        self.turn.effects.record(Event { id, name, occurred_at, accepted_at, fields, quiet: false });
    }

    /// A child journey has ended.
    fn child(&mut self, outcome: &Outcome) -> Result<(), Need> {
        let known =
            self.turn.facts.world.all_enrollments || self.turn.facts.world.gone.contains(&outcome.enrollment);
        if self.enrollment(outcome.enrollment).is_none() && !known {
            return Err(Need::Enrollment(outcome.enrollment));
        }
        let order = self.turn.effects.next_order();
        self.step(outcome.enrollment, StepInput::Outcome { outcome, order, at: outcome.at })?;
        Ok(())
    }

    pub(super) fn note(&mut self, journey: Option<Word>, what: What) {
        let at = self.turn.facts.now;
        self.turn.effects.notes.push(Note { at, enrollment: None, journey, step: None, round: 0, what });
    }
}
