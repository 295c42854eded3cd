//! What an enrollment hears: exits before handlers before waits, and goals always.

use super::eval::{self, Heard, Scope};
use super::program::{Match, Program, Signal, SlotIx, SlotKind, StepIx, StepKind, Trigger, Word};
use super::recheck;
use super::run::{Flow, Next, Walk, word};
use super::state::{Rest, RestKind, State, Suspended};
use super::world::{Fields, Need, Outcome, What};
use crate::time::Timestamp;
use crate::value::Value;

/// Handler calls that may wait in line for one enrollment.
const QUEUE: usize = 100;

/// An event or outcome as it comes to an enrollment.
#[derive(Clone, Copy)]
pub struct Incoming<'e> {
    pub heard: Heard<'e>,
    /// The slot of the message or task whose outcome it is.
    pub slot: Option<SlotIx>,
    /// The signal under which live conditions watch it.
    pub signal: &'e Word,
    /// Its place among what was recorded and armed within this call; 0 came from outside.
    pub order: u32,
    /// Late events count for goals and conditions, but start and match nothing.
    pub late: bool,
    /// The logical time of a transition that it causes.
    pub at: Timestamp,
}

fn goal_bit(number: usize) -> u64 {
    1 << number.min(63)
}

/// Until when goals of an ended enrollment still count; `None` when none is left.
pub(super) fn goals_until(scope: &Scope, program: &Program, state: &State) -> Option<Timestamp> {
    let open = program.goals.iter().enumerate().filter(|(number, _)| goal_bit(*number) & state.goals == 0);
    open.filter_map(|(_, goal)| goal.within).map(|within| scope.later(state.entered_at, within)).max()
}

impl Match {
    /// The events that it listens to.
    pub fn events(&self) -> impl Iterator<Item = &Word> {
        self.signals.iter().filter_map(|signal| match signal {
            Signal::Event(name) => Some(name),
            Signal::Outcome { .. } => None,
        })
    }
}

impl Walk<'_, '_, '_> {
    /// Whether the match takes what is heard: one of its signals, `same` fields, `where`.
    pub(super) fn matches(&self, on: &Match, heard: &Heard, slot: Option<SlotIx>) -> Result<bool, Need> {
        let named = on.signals.iter().any(|signal| match (signal, slot) {
            (Signal::Event(name), None) => name == heard.name,
            (Signal::Outcome { slot: of, outcome }, Some(slot)) => *of == slot && outcome == heard.name,
            _ => false,
        });
        if !named {
            return Ok(false);
        }
        let entry = match self.state.slot(0) {
            Value::Record(fields) => Some(fields),
            _ => None,
        };
        let same = |field: &Word| {
            let of_entry = entry.and_then(|entry| entry.get(field));
            of_entry.is_some_and(|value| eval::same(value, &heard.field(field)))
        };
        if !on.same.iter().all(same) {
            return Ok(false);
        }
        match &on.filter {
            Some(filter) => self.scope().hearing(on.slot, *heard).holds(filter),
            None => Ok(true),
        }
    }

    /// Shows an event or outcome to the enrollment.
    pub(super) fn hear(&mut self, incoming: &Incoming) -> Result<Flow, Need> {
        let goals = self.goals(incoming)?;
        let flow = if self.state.ended {
            Flow::Unmoved
        } else if let Some(reason) = self.exit_by(incoming, &goals)? {
            self.begin(incoming.at);
            self.end(reason)
        } else if incoming.late {
            self.conditions(incoming.signal, incoming.at)?
        } else {
            match self.handler_by(incoming)? {
                Some(flow) => flow,
                None => self.wait_by(incoming)?,
            }
        };
        for goal in goals {
            self.reach(goal);
        }
        self.note_odd(None);
        Ok(flow)
    }

    /// A transition begins at that logical time.
    pub(super) fn begin(&mut self, at: Timestamp) {
        self.state.clock = self.state.clock.max(at);
    }

    // -------------------------------------------------------------- goals

    /// The goals that are reached by it and were not before.
    fn goals(&self, incoming: &Incoming) -> Result<Vec<usize>, Need> {
        let mut reached = Vec::new();
        for (number, goal) in self.program.goals.iter().enumerate() {
            let counts = goal_bit(number) & self.state.goals == 0
                && incoming.heard.occurred_at >= self.state.since
                && match goal.within {
                    Some(within) => {
                        incoming.heard.occurred_at <= self.scope().later(self.state.entered_at, within)
                    }
                    None => !self.state.ended,
                };
            if counts && self.matches(&goal.on, &incoming.heard, incoming.slot)? {
                reached.push(number);
            }
        }
        Ok(reached)
    }

    fn reach(&mut self, number: usize) {
        self.state.goals |= goal_bit(number);
        let name = self.program.goals[number].name.clone();
        self.note(None, What::Goal { name });
    }

    // -------------------------------------------------------------- exits

    /// The reason with which it ends: of an exit rule, in the order written, or of a goal with `then exit`.
    fn exit_by(&mut self, incoming: &Incoming, goals: &[usize]) -> Result<Option<Word>, Need> {
        let program = self.program;
        let mut looked = false;
        for exit in &program.exits {
            let ends = match &exit.trigger {
                Trigger::Event(on) => !incoming.late && self.matches(on, &incoming.heard, incoming.slot)?,
                Trigger::Condition { condition, watch } => {
                    let concerned =
                        recheck::concerns(self.turn.facts.catalog, condition, watch, incoming.signal);
                    looked |= concerned;
                    concerned && self.scope().holds(condition)?
                }
            };
            if ends {
                if let Trigger::Event(Match { slot: Some(slot), .. }) = &exit.trigger {
                    self.write_event(*slot, &incoming.heard);
                }
                return Ok(Some(exit.reason.clone()));
            }
        }
        if looked {
            self.state.recheck_at = self.exits_change()?;
        }
        let goal = goals.iter().map(|number| &program.goals[*number]).find(|goal| goal.then_exit);
        Ok(goal.filter(|_| !incoming.late).map(|goal| goal.name.clone()))
    }

    /// The reason of the first live exit condition that holds.
    pub(super) fn live_exit(&mut self, signal: Option<&Word>) -> Result<Option<Word>, Need> {
        let program = self.program;
        let mut looked = false;
        for exit in &program.exits {
            let Trigger::Condition { condition, watch } = &exit.trigger else { continue };
            let catalog = self.turn.facts.catalog;
            if signal.is_none_or(|signal| recheck::concerns(catalog, condition, watch, signal)) {
                looked = true;
                if self.scope().holds(condition)? {
                    return Ok(Some(exit.reason.clone()));
                }
            }
        }
        if looked {
            self.state.recheck_at = self.exits_change()?;
        }
        Ok(None)
    }

    /// When a live exit condition may change by time alone.
    pub(super) fn exits_change(&self) -> Result<Timestamp, Need> {
        let mut earliest = Timestamp::NEVER;
        for exit in &self.program.exits {
            if let Trigger::Condition { condition, .. } = &exit.trigger {
                earliest = earliest.min(recheck::next_change(&self.scope(), condition)?);
            }
        }
        Ok(earliest)
    }

    /// Something changed under that signal: live exits, then the conditions of the present wait.
    pub(super) fn conditions(&mut self, signal: &Word, at: Timestamp) -> Result<Flow, Need> {
        if self.state.ended {
            return Ok(Flow::Unmoved);
        }
        if let Some(reason) = self.live_exit(Some(signal))? {
            self.begin(at);
            return Ok(self.end(reason));
        }
        let clock = self.state.clock;
        self.begin(at);
        match self.look_at_arms(Some(signal))? {
            Some(next) => self.proceed(next),
            None => {
                self.state.clock = clock;
                Ok(Flow::Unmoved)
            }
        }
    }

    // -------------------------------------------------------------- handlers

    fn handler_by(&mut self, incoming: &Incoming) -> Result<Option<Flow>, Need> {
        for (number, handler) in (0_u16..).zip(&self.program.handlers) {
            if !self.matches(&handler.on, &incoming.heard, incoming.slot)? {
                continue;
            }
            let value = match (handler.on.slot, incoming.heard.record()) {
                (Some(slot), Value::Record(fields)) => Value::Record(self.used(slot, fields)),
                _ => Value::Unknown,
            };
            if self.state.suspended.is_none() {
                self.begin(incoming.at);
                return self.interrupt(number, value).map(Some);
            }
            if self.state.queue.len() < QUEUE {
                self.state.queue.push((number, value));
            } else {
                self.turn.facts.odd(format!("more than {QUEUE} events wait for a handler: one was dropped"));
            }
            return Ok(Some(Flow::Unmoved));
        }
        Ok(None)
    }

    /// Suspends the main line and begins the handler.
    pub(super) fn interrupt(&mut self, number: u16, value: Value) -> Result<Flow, Need> {
        let rest = std::mem::replace(
            &mut self.state.rest,
            Rest { due_at: Timestamp::NEVER, recheck_at: Timestamp::NEVER, ..Rest::default() },
        );
        let (step, clock) = (self.state.step, self.state.clock);
        self.state.suspended = Some(Box::new(Suspended { step, clock, rest, decided: None }));
        self.handle(number, value)
    }

    fn handle(&mut self, number: u16, value: Value) -> Result<Flow, Need> {
        let program = self.program;
        let Some(handler) = program.handlers.get(usize::from(number)) else {
            self.turn.facts.odd("the program has no such handler");
            return Ok(self.end(word!("failed")));
        };
        if let Some(slot) = handler.on.slot {
            self.state.put(slot, value);
        }
        self.round_of_rest = None;
        self.state.jumps = self.state.jumps.saturating_add(1);
        self.run(handler.first)
    }

    /// `resume`: the next handler in line, or the main line where it stood. A deadline that passed meanwhile counts now.
    pub(super) fn resume(&mut self) -> Result<Next, Need> {
        let program = self.program;
        if self.state.suspended.is_some() && !self.state.queue.is_empty() {
            let (number, value) = self.state.queue.remove(0);
            if let Some(handler) = program.handlers.get(usize::from(number)) {
                if let Some(slot) = handler.on.slot {
                    self.state.put(slot, value);
                }
                self.state.jumps = self.state.jumps.saturating_add(1);
                return Ok(Next::To(handler.first));
            }
        }
        let Some(suspended) = self.state.suspended.take() else {
            self.turn.facts.odd("`resume` outside a handler");
            return Ok(Next::End(word!("failed")));
        };
        let now = self.state.clock;
        self.state.step = suspended.step;
        self.state.rest = suspended.rest;
        self.round_of_rest = Some((self.state.step, self.state.rest.round));
        if let Some(next) = suspended.decided {
            return self.decided(suspended.step, next);
        }
        if self.state.rest.due_at <= now {
            return self.rest_ends();
        }
        let follows =
            program.steps.get(usize::from(suspended.step)).is_some_and(|step| step.kind.follows().is_some());
        let looked = match self.look_at_arms(None)? {
            None if follows => self.rearm(false)?,
            looked => looked,
        };
        Ok(looked.unwrap_or(Next::Rest))
    }

    /// What the suspended wait waited for came while the handler ran.
    fn decided(&mut self, here: StepIx, next: StepIx) -> Result<Next, Need> {
        let program = self.program;
        let Some(step) = program.steps.get(usize::from(here)) else { return Ok(Next::To(next)) };
        match &step.kind {
            StepKind::WaitEvent(wait) => self.wait_over(here, step, wait, word!("resumed"), next),
            _ => Ok(Next::To(next)),
        }
    }

    // -------------------------------------------------------------- waits

    fn wait_by(&mut self, incoming: &Incoming) -> Result<Flow, Need> {
        let rest = &self.state.rest;
        let armed_before = incoming.order == 0 || rest.order < incoming.order;
        let in_time = incoming.heard.accepted_at <= rest.due_at;
        if armed_before && in_time && rest.kind == RestKind::Waiting {
            let clock = self.state.clock;
            self.begin(incoming.at);
            if let Some(next) = self.arms_hear(incoming)? {
                return self.proceed(next);
            }
            self.state.clock = clock;
        }
        self.suspended_hears(incoming)?;
        Ok(Flow::Unmoved)
    }

    /// The first arm in the order written that takes it, or whose condition holds because of it.
    fn arms_hear(&mut self, incoming: &Incoming) -> Result<Option<Next>, Need> {
        let (program, here) = (self.program, self.state.step);
        let Some(step) = program.steps.get(usize::from(here)) else { return Ok(None) };
        let StepKind::WaitEvent(wait) = &step.kind else { return Ok(None) };
        let catalog = self.turn.facts.catalog;
        let mut looked = false;
        for arm in &wait.arms {
            let heard = match &arm.on {
                Trigger::Event(on) => {
                    self.matches(on, &incoming.heard, incoming.slot)?.then_some(Some(incoming.heard))
                }
                Trigger::Condition { condition, watch } => {
                    let concerned = recheck::concerns(catalog, condition, watch, incoming.signal);
                    looked |= concerned;
                    (concerned && self.scope().holds(condition)?).then_some(None)
                }
            };
            if let Some(heard) = heard {
                self.round_of_rest = Some((self.state.step, self.state.rest.round));
                return self.arm_came(here, step, wait, arm, heard).map(Some);
            }
        }
        if looked {
            self.state.rest.recheck_at = self.arms_change(wait)?;
        }
        Ok(None)
    }

    /// The wait of the suspended main line is still armed: what it waits for is written down and counts at `resume`.
    fn suspended_hears(&mut self, incoming: &Incoming) -> Result<(), Need> {
        let program = self.program;
        let Some(suspended) = &self.state.suspended else { return Ok(()) };
        let open = suspended.decided.is_none()
            && suspended.rest.kind == RestKind::Waiting
            && incoming.heard.accepted_at <= suspended.rest.due_at
            && (incoming.order == 0 || suspended.rest.order < incoming.order);
        let Some(step) = program.steps.get(usize::from(suspended.step)).filter(|_| open) else {
            return Ok(());
        };
        let StepKind::WaitEvent(wait) = &step.kind else { return Ok(()) };
        for arm in &wait.arms {
            let Trigger::Event(on) = &arm.on else { continue };
            if self.matches(on, &incoming.heard, incoming.slot)? {
                self.write_arm(step, arm, Some(incoming.heard));
                if let Some(suspended) = &mut self.state.suspended {
                    suspended.decided = Some(arm.next);
                }
                return Ok(());
            }
        }
        Ok(())
    }

    fn write_event(&mut self, slot: SlotIx, heard: &Heard) {
        if let Value::Record(fields) = heard.record() {
            self.keep(slot, fields);
        }
    }

    // -------------------------------------------------------------- outcomes

    /// What became of a message, task, request or child of this enrollment.
    pub(super) fn outcome(&mut self, outcome: &Outcome, order: u32, at: Timestamp) -> Result<Flow, Need> {
        if let Some(flow) = self.came_back(outcome, at)? {
            return Ok(flow);
        }
        let Some(slot) = self.slot_of(&outcome.step) else { return Ok(Flow::Unmoved) };
        let Some(named) = self.program.slots.get(usize::from(slot)) else { return Ok(Flow::Unmoved) };
        let is_message = named.kind == SlotKind::Message;
        let stored = match self.state.slot(slot) {
            Value::Record(fields) => fields.get("#round").and_then(|round| match round {
                Value::Number(n) => u32::try_from(*n).ok(),
                _ => None,
            }),
            _ => None,
        };
        let same_round = stored.unwrap_or(0) == outcome.round;
        if is_message && same_round {
            self.keep_more(slot, message_flags(outcome));
        }
        let signal: Word = format!("step.{}", named.name).into();
        let heard = Heard {
            id: 0,
            name: &outcome.outcome,
            occurred_at: outcome.at,
            accepted_at: outcome.at,
            fields: &outcome.fields,
        };
        if !same_round {
            // Of an earlier round: goals count, nothing waits for it any more.
            let incoming = Incoming { heard, slot: Some(slot), signal: &signal, order, late: true, at };
            return self.hear(&incoming);
        }
        self.hear(&Incoming { heard, slot: Some(slot), signal: &signal, order, late: false, at })
    }

    fn slot_of(&self, id: &Word) -> Option<SlotIx> {
        self.program.steps.iter().find(|step| step.id == *id)?.slot
    }

    /// The task, request or child that the enrollment rests for is done.
    fn came_back(&mut self, outcome: &Outcome, at: Timestamp) -> Result<Option<Flow>, Need> {
        let program = self.program;
        let is = |step: StepIx, rest: &Rest| {
            rest.kind == RestKind::Out
                && rest.round == outcome.round
                && program.steps.get(usize::from(step)).is_some_and(|step| step.id == outcome.step)
        };
        if !self.state.ended && is(self.state.step, &self.state.rest) {
            self.begin(at);
            let here = self.state.step;
            self.round_of_rest = Some((here, outcome.round));
            let next = self.returned(here, outcome.outcome.clone(), outcome.fields.clone());
            return self.proceed(next).map(Some);
        }
        let suspended = self.state.suspended.as_ref().filter(|s| s.decided.is_none() && is(s.step, &s.rest));
        let Some(here) = suspended.map(|suspended| suspended.step) else { return Ok(None) };
        self.round_of_rest = Some((here, outcome.round));
        if let Next::To(next) = self.returned(here, outcome.outcome.clone(), outcome.fields.clone())
            && let Some(suspended) = &mut self.state.suspended
        {
            suspended.decided = Some(next);
        }
        Ok(Some(Flow::Unmoved))
    }
}

/// The flags that an outcome sets: what was withdrawn at the send point was skipped, with its reason.
fn message_flags(outcome: &Outcome) -> Fields {
    if &*outcome.outcome == "cancelled" {
        let reason = outcome.fields.get("reason").cloned().unwrap_or_else(|| Value::text("consent"));
        return [(word!("skipped"), Value::Bool(true)), (word!("reason"), reason)].into();
    }
    [(outcome.outcome.clone(), Value::Bool(true))].into()
}
