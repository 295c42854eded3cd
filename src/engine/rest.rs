//! Waits: how they are armed, what ends them, and what happens when a deadline comes.

use super::eval::{ANSWERED, Heard};
use super::program::{Arm, Moment, SlotKind, Step, StepIx, StepKind, Trigger, WaitEvent, Word};
use super::recheck;
use super::run::{Flow, Next, Walk, word};
use super::send::Held;
use super::split;
use super::state::{Rest, RestKind};
use super::wait::{self, Due};
use super::world::{Event, Fields, Need};
use crate::time::{DAY, Timestamp};
use crate::value::Value;

/// When a timer ends, and whether its anchor was past.
struct Armed {
    due_at: Timestamp,
    late: bool,
}

impl Walk<'_, '_, '_> {
    /// `wait 3 days`, `wait until …`.
    pub(super) fn wait_timer(&mut self, here: StepIx, step: &Step) -> Result<Next, Need> {
        if let Some(slot) = step.slot {
            self.state.put(slot, Value::Unknown);
        }
        let armed = self.timer(here, step, self.state.clock)?;
        if armed.late {
            return Ok(self.late(here, step, armed.due_at));
        }
        if armed.due_at <= self.state.clock {
            return Ok(self.timer_over(here, step));
        }
        self.rest(here, armed.due_at, Timestamp::NEVER, RestKind::Waiting);
        Ok(Next::Rest)
    }

    /// When a timer that began at `base` ends.
    fn timer(&self, here: StepIx, step: &Step, base: Timestamp) -> Result<Armed, Need> {
        let scope = self.scope();
        match &step.kind {
            StepKind::WaitFor { duration, longest, then_until, .. } => {
                let mut due_at = scope.later(base, *duration);
                if let Some(longest) = longest {
                    let span = scope.later(base, *longest).0.saturating_sub(due_at.0);
                    due_at = due_at.plus_ms(split::pick(self.id, &step.id, self.round(here), span));
                }
                self.then_until(then_until.as_ref(), due_at)
            }
            StepKind::WaitUntil { moment, .. } => self.then_until(Some(moment), base),
            _ => Ok(Armed { due_at: base, late: false }),
        }
    }

    /// `then until …` from that moment on. What is past or gone does not wait any longer.
    fn then_until(&self, moment: Option<&Moment>, from: Timestamp) -> Result<Armed, Need> {
        let Some(moment) = moment else { return Ok(Armed { due_at: from, late: false }) };
        Ok(match wait::due(&self.scope(), moment, from)? {
            Due::At(due_at) => Armed { due_at, late: false },
            Due::Past(_) => Armed { due_at: from, late: true },
            Due::Missing => {
                self.turn.facts.odd("the moment that is waited for is missing");
                Armed { due_at: from, late: true }
            }
        })
    }

    /// The anchor is past: `until` goes on at once, behind its block if it has one; after a duration the wait itself still
    /// takes place.
    fn late(&mut self, here: StepIx, step: &Step, due_at: Timestamp) -> Next {
        if let Some(slot) = step.slot {
            self.keep(slot, [(word!("late"), Value::Bool(true))].into());
        }
        match &step.kind {
            StepKind::WaitUntil { past, .. } => {
                self.mark_done(step);
                self.done(here, Some(word!("late")));
                Next::To(*past)
            }
            _ if due_at <= self.state.clock => self.timer_over(here, step),
            _ => {
                self.rest(here, due_at, Timestamp::NEVER, RestKind::Waiting);
                Next::Rest
            }
        }
    }

    fn timer_over(&mut self, here: StepIx, step: &Step) -> Next {
        if let Some(slot) = step.slot {
            self.keep_more(slot, [(word!("happened"), Value::Bool(true))].into());
        }
        self.mark_done(step);
        self.done(here, None);
        match &step.kind {
            StepKind::WaitFor { next, .. } | StepKind::WaitUntil { next, .. } => Next::To(*next),
            _ => Next::End(word!("failed")),
        }
    }

    fn done(&mut self, here: StepIx, outcome: Option<Word>) {
        self.note(Some(here), super::world::What::Done { outcome });
    }

    // -------------------------------------------------------------- waits for something

    /// `wait up to …`: what is true already or lies in the look-back ends it at once, otherwise it is armed.
    pub(super) fn wait_event(&mut self, here: StepIx, step: &Step, wait: &WaitEvent) -> Result<Next, Need> {
        if let Some(slot) = step.slot {
            self.state.put(slot, Value::Unknown);
        }
        for arm in &wait.arms {
            if let Trigger::Condition { condition, .. } = &arm.on
                && self.scope().holds(condition)?
            {
                return self.arm_came(here, step, wait, arm, None);
            }
        }
        if let Some((event, arm)) = self.looked_back(wait)? {
            return self.arm_came(here, step, wait, arm, Some(Heard::event(&event)));
        }
        let due_at = match wait.limit {
            Some(limit) => self.scope().later(self.state.clock, limit),
            None => Timestamp::NEVER,
        };
        if due_at <= self.state.clock {
            return self.timed_out(here, step, wait);
        }
        let recheck_at = self.arms_change(wait)?;
        self.rest(here, due_at, recheck_at, RestKind::Waiting);
        Ok(Next::Rest)
    }

    /// The first event in sequence order within `including last …` that one of the arms takes.
    fn looked_back<'w>(&self, wait: &'w WaitEvent) -> Result<Option<(Event, &'w Arm)>, Need> {
        let Some(window) = wait.look_back else { return Ok(None) };
        let facts = self.turn.facts;
        let zone = facts.contact_zone(self.turn.effects);
        let since = window.before(facts.now, &zone, &facts.catalog.holidays);
        let mut first: Option<(Event, &Arm)> = None;
        for arm in &wait.arms {
            let Trigger::Event(on) = &arm.on else { continue };
            for name in on.events() {
                let loaded = facts.history(name, since)?;
                let own = self.turn.effects.events.iter().filter(|event| event.name == *name);
                for event in loaded.events.iter().chain(own) {
                    let inside = event.occurred_at > since;
                    let earlier = first.as_ref().is_none_or(|(best, _)| event.id < best.id);
                    if inside && earlier && self.matches(on, &Heard::event(event), None)? {
                        first = Some((event.clone(), arm));
                    }
                }
            }
        }
        Ok(first)
    }

    /// An arm took the event, or its condition holds.
    pub(super) fn arm_came(
        &mut self,
        here: StepIx,
        step: &Step,
        wait: &WaitEvent,
        arm: &Arm,
        heard: Option<Heard>,
    ) -> Result<Next, Need> {
        let outcome = self.write_arm(step, arm, heard);
        self.wait_over(here, step, wait, outcome, arm.next)
    }

    /// Writes what came into the slots of the wait and of the arm.
    pub(super) fn write_arm(&mut self, step: &Step, arm: &Arm, heard: Option<Heard>) -> Word {
        let name = heard.map_or_else(|| word!("true"), |heard| heard.name.clone());
        let fields = match heard.map(|heard| heard.record()) {
            Some(Value::Record(fields)) => fields,
            _ => Fields::new(),
        };
        let own = match &arm.on {
            Trigger::Event(on) => on.slot.filter(|slot| Some(*slot) != step.slot),
            Trigger::Condition { .. } => None,
        };
        if let Some(slot) = own {
            self.keep(slot, fields.clone());
        }
        if self.keep_answers(step, &name, heard.map(|heard| heard.fields)) {
            return name;
        }
        if let Some(slot) = step.slot {
            let mut fields = fields;
            fields.insert(word!("happened"), Value::Bool(true));
            fields.insert(word!("event"), Value::Text(name.clone()));
            self.keep(slot, fields);
        }
        name
    }

    /// The result of an `ask`: its answers, or only that there are none. False for every other step.
    pub(super) fn keep_answers(&mut self, step: &Step, outcome: &str, answers: Option<&Fields>) -> bool {
        let Some(slot) = step.slot.filter(|slot| {
            let kind = self.program.slots.get(usize::from(*slot)).map(|slot| slot.kind);
            kind == Some(SlotKind::Survey)
        }) else {
            return false;
        };
        let answered = outcome == ANSWERED;
        let mut fields = answers.filter(|_| answered).cloned().unwrap_or_default();
        fields.insert(word!("answered"), Value::Bool(answered));
        self.keep(slot, fields);
        true
    }

    fn timed_out(&mut self, here: StepIx, step: &Step, wait: &WaitEvent) -> Result<Next, Need> {
        if !self.keep_answers(step, "timeout", None)
            && let Some(slot) = step.slot
        {
            self.keep(slot, [(word!("missed"), Value::Bool(true))].into());
        }
        self.wait_over(here, step, wait, word!("timeout"), wait.timeout)
    }

    /// The wait is decided; `then until` may hold it a while longer.
    pub(super) fn wait_over(
        &mut self,
        here: StepIx,
        step: &Step,
        wait: &WaitEvent,
        outcome: Word,
        next: StepIx,
    ) -> Result<Next, Need> {
        let armed = self.then_until(wait.then_until.as_ref(), self.state.clock)?;
        if let (true, Some(slot)) = (armed.late, step.slot) {
            self.keep_more(slot, [(word!("late"), Value::Bool(true))].into());
        }
        if armed.due_at > self.state.clock {
            self.rest(here, armed.due_at, Timestamp::NEVER, RestKind::ThenUntil { next });
            return Ok(Next::Rest);
        }
        self.mark_done(step);
        self.done(here, Some(outcome));
        Ok(Next::To(next))
    }

    /// When a condition among the arms may change by time alone.
    pub(super) fn arms_change(&self, wait: &WaitEvent) -> Result<Timestamp, Need> {
        let mut earliest = Timestamp::NEVER;
        for arm in &wait.arms {
            if let Trigger::Condition { condition, .. } = &arm.on {
                earliest = earliest.min(recheck::next_change(&self.scope(), condition)?);
            }
        }
        Ok(earliest)
    }

    // -------------------------------------------------------------- deadlines

    /// The rest has come to its end by itself.
    pub(super) fn rest_over(&mut self) -> Result<Flow, Need> {
        let next = self.rest_ends()?;
        self.proceed(next)
    }

    pub(super) fn rest_ends(&mut self) -> Result<Next, Need> {
        let (program, here) = (self.program, self.state.step);
        let Some(step) = program.steps.get(usize::from(here)) else { return Ok(Next::End(word!("failed"))) };
        let rest = self.state.rest.clone();
        self.round_of_rest = Some((here, rest.round));
        match (&rest.kind, &step.kind) {
            (RestKind::Waiting, StepKind::WaitEvent(wait)) => self.timed_out(here, step, wait),
            (RestKind::Waiting, _) => Ok(self.timer_over(here, step)),
            (RestKind::ThenUntil { next }, _) => {
                self.mark_done(step);
                self.done(here, None);
                Ok(Next::To(*next))
            }
            (RestKind::Held { since, by, done }, kind) => {
                let held = Some(Held { by: *by, since: *since, done: *done, armed_at: rest.armed_at });
                match kind {
                    StepKind::Send(send) => self.send(here, step, send, held),
                    StepKind::Work(work) => self.work(here, step, work, held),
                    _ => Ok(Next::End(word!("failed"))),
                }
            }
            (RestKind::Out, _) => Ok(self.returned(here, word!("expired"), Fields::new())),
        }
    }

    /// A live condition of the present wait may have changed: `None` if none holds.
    pub(super) fn look_at_arms(&mut self, signal: Option<&Word>) -> Result<Option<Next>, Need> {
        let (program, here) = (self.program, self.state.step);
        let Some(step) = program.steps.get(usize::from(here)) else { return Ok(None) };
        let (StepKind::WaitEvent(wait), RestKind::Waiting) = (&step.kind, &self.state.rest.kind) else {
            return Ok(None);
        };
        let mut looked = false;
        for arm in &wait.arms {
            let Trigger::Condition { condition, watch } = &arm.on else { continue };
            let catalog = self.turn.facts.catalog;
            if signal.is_none_or(|signal| recheck::concerns(catalog, condition, watch, signal)) {
                looked = true;
                if self.scope().holds(condition)? {
                    self.round_of_rest = Some((self.state.step, self.state.rest.round));
                    return self.arm_came(here, step, wait, arm, None).map(Some);
                }
            }
        }
        if looked {
            self.state.rest.recheck_at = self.arms_change(wait)?;
        }
        Ok(None)
    }

    /// The anchor's attribute changed, or the contact moved to another zone: the timer is computed anew from when it began.
    /// A changed zone moves only waits longer than a day, and each at most once.
    pub(super) fn rearm(&mut self, zone_changed: bool) -> Result<Option<Next>, Need> {
        let (program, here) = (self.program, self.state.step);
        let Some(step) = program.steps.get(usize::from(here)) else { return Ok(None) };
        let rest = self.state.rest.clone();
        if zone_changed && !may_move(&rest) {
            return Ok(None);
        }
        let Some(armed) = self.anew(here, step, &rest)? else { return Ok(None) };
        let past_anchor = armed.late || (!zone_changed && armed.due_at < self.state.clock);
        if past_anchor && matches!(step.kind, StepKind::WaitUntil { .. }) {
            self.round_of_rest = Some((here, rest.round));
            return Ok(Some(self.late(here, step, armed.due_at)));
        }
        if armed.due_at != rest.due_at {
            self.state.rest.due_at = armed.due_at;
            self.state.rest.moved |= zone_changed;
        }
        Ok(None)
    }

    /// The contact moved while a handler runs: the timer of the main line goes by the clocks of the new zone.
    pub(super) fn rearm_suspended(&mut self) -> Result<(), Need> {
        let program = self.program;
        let Some(main) = self.state.suspended.take() else { return Ok(()) };
        let mut main = *main;
        if let (Some(step), true) = (program.steps.get(usize::from(main.step)), may_move(&main.rest))
            && let Some(armed) = self.anew(main.step, step, &main.rest)?
            && !armed.late
            && armed.due_at != main.rest.due_at
        {
            main.rest.due_at = armed.due_at;
            main.rest.moved = true;
        }
        self.state.suspended = Some(Box::new(main));
        Ok(())
    }

    /// When a rest that hangs on the calendar ends, computed from when it began; `None` for what does not.
    fn anew(&mut self, here: StepIx, step: &Step, rest: &Rest) -> Result<Option<Armed>, Need> {
        self.round_of_rest = Some((here, rest.round));
        let armed = match (&rest.kind, &step.kind) {
            (RestKind::Waiting, StepKind::WaitEvent(wait)) => wait
                .limit
                .map(|limit| Armed { due_at: self.scope().later(rest.armed_at, limit), late: false }),
            (RestKind::Waiting, _) => Some(self.timer(here, step, rest.armed_at)?),
            (RestKind::ThenUntil { .. }, StepKind::WaitEvent(wait)) => {
                Some(self.then_until(wait.then_until.as_ref(), rest.armed_at)?)
            }
            _ => None,
        };
        self.round_of_rest = None;
        Ok(armed)
    }
}

/// Whether a changed zone moves the end of the rest: it is longer than a day and was not moved before.
fn may_move(rest: &Rest) -> bool {
    let long = rest.due_at != Timestamp::NEVER && rest.due_at.0.saturating_sub(rest.armed_at.0) > DAY;
    long && !rest.moved
}
