//! The interpreter: from one resting step to the next. Steps that touch the gate or wait for somebody are in
//! [`super::send`], waits in [`super::rest`], what an enrollment hears in [`super::hear`].

use std::sync::Arc;

use super::eval::Scope;
use super::explain;
use super::facts::{Caused, Turn};
use super::program::{Expr, PauseUntil, Program, Step, StepIx, StepKind, Undo, Word, audience_of};
use super::split;
use super::state::{Rest, State};
use super::wait;
use super::world::{Because, ConsentChange, Errand, ErrandKind, Event, Fields, Need, Note, Outcome, What};
use crate::id::EnrollmentId;
use crate::time::{Calendar, Timestamp};
use crate::value::{Decimal, Type, Value};

/// How many steps one transition may run through before it counts as a storm: far more than any journey has between two
/// rests.
const FUEL: u32 = 5_000;

/// How a transition ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Flow {
    /// The input did not concern it; at most a goal or a result was written down.
    Unmoved,
    /// It rests at [`State::step`].
    Rests,
    /// It is over, with that reason. `interrupted`: it did not come to the end of its own way (an exit rule, a handler, consent,
    /// `lasts`), so what it has queued and not yet sent is withdrawn.
    Ended { reason: Word, interrupted: bool },
}

/// Where a step leads.
pub(super) enum Next {
    To(StepIx),
    Rest,
    End(Word),
}

/// One enrollment on its way through one transition.
pub(super) struct Walk<'w, 't, 'a> {
    pub turn: &'w mut Turn<'t, 'a>,
    pub program: &'w Program,
    pub id: EnrollmentId,
    pub state: &'w mut State,
    /// The round of the rest that is being ended: it was fixed when the rest began.
    pub round_of_rest: Option<(StepIx, u32)>,
}

/// A word that the engine itself uses, made once.
macro_rules! word {
    ($text:literal) => {{
        static WORD: std::sync::LazyLock<Word> = std::sync::LazyLock::new(|| $text.into());
        WORD.clone()
    }};
}
pub(super) use word;

impl Walk<'_, '_, '_> {
    /// Goes on from a rest that is over.
    pub(super) fn proceed(&mut self, next: Next) -> Result<Flow, Need> {
        let here = self.state.step;
        self.note_odd(Some(here));
        match next {
            Next::To(next) => {
                let next = self.go(here, next);
                self.run(next)
            }
            Next::Rest => self.rested(),
            Next::End(reason) => Ok(self.finish(reason)),
        }
    }

    /// Runs from that step to the next rest or the end.
    pub(super) fn run(&mut self, from: StepIx) -> Result<Flow, Need> {
        let mut here = from;
        for _ in 0..FUEL {
            self.turn.effects.steps = self.turn.effects.steps.saturating_add(1);
            match self.step(here)? {
                Next::To(next) => here = self.go(here, next),
                Next::Rest => {
                    self.note_odd(Some(self.state.step));
                    return self.rested();
                }
                Next::End(reason) => return Ok(self.finish(reason)),
            }
        }
        self.turn.facts.odd(format!("more than {FUEL} steps without a rest: the journey is stopped here"));
        self.note_odd(Some(here));
        Ok(self.end(word!("failed")))
    }

    /// Handler calls that came while another handler ran begin as soon as the main line rests.
    fn rested(&mut self) -> Result<Flow, Need> {
        self.round_of_rest = None;
        if self.state.suspended.is_none() && !self.state.queue.is_empty() {
            let (handler, value) = self.state.queue.remove(0);
            return self.interrupt(handler, value);
        }
        Ok(Flow::Rests)
    }

    /// The enrollment came to its end by itself; out of a handler it interrupts the main line.
    fn finish(&mut self, reason: Word) -> Flow {
        let interrupted = self.state.suspended.is_some();
        match self.end(reason) {
            Flow::Ended { reason, .. } => Flow::Ended { reason, interrupted },
            other => other,
        }
    }

    /// Ends the enrollment from outside its own way: undoes what was added until the exit, tells a waiting parent.
    pub(super) fn end(&mut self, reason: Word) -> Flow {
        for (attribute, value) in std::mem::take(&mut self.state.undo) {
            if !self.give_back(&attribute) {
                take_out(self.turn, &attribute, &value);
            }
        }
        if let Some((parent, step, round)) = self.state.parent.take() {
            let fields = Fields::from([(word!("exit"), Value::Text(reason.clone()))]);
            let at = self.turn.facts.now;
            let outcome = Outcome { enrollment: parent, step, round, outcome: word!("exit"), at, fields };
            self.turn.effects.caused.push_back(Caused::Child(outcome));
        }
        let step = self.state.step;
        self.state.ended = true;
        self.state.suspended = None;
        self.state.queue.clear();
        self.state.rest = Rest { due_at: Timestamp::NEVER, recheck_at: Timestamp::NEVER, ..Rest::default() };
        self.state.recheck_at = Timestamp::NEVER;
        self.note_odd(Some(step));
        self.note(None, What::Exited { reason: reason.clone() });
        Flow::Ended { reason, interrupted: true }
    }

    /// Follows an edge: backwards it counts as a jump, from a handler into the main line it gives up what was suspended.
    fn go(&mut self, from: StepIx, to: StepIx) -> StepIx {
        self.round_of_rest = None;
        if to <= from {
            self.state.jumps = self.state.jumps.saturating_add(1);
        }
        if self.state.suspended.is_some()
            && self.program.tables().main.get(usize::from(to)).copied().unwrap_or(false)
        {
            self.state.suspended = None;
        }
        to
    }

    fn step(&mut self, here: StepIx) -> Result<Next, Need> {
        let program = self.program;
        let Some(step) = program.steps.get(usize::from(here)) else {
            self.turn.facts.odd("the program has no such step");
            return Ok(Next::End(word!("failed")));
        };
        let next = self.perform(here, step)?;
        if !matches!(next, Next::Rest) {
            self.note_odd(Some(here));
        }
        Ok(next)
    }

    fn perform(&mut self, here: StepIx, step: &Step) -> Result<Next, Need> {
        match &step.kind {
            StepKind::Send(send) => return self.send(here, step, send, None),
            StepKind::Work(work) => return self.work(here, step, work, None),
            StepKind::Request { endpoint, with, .. } => return self.request(here, step, endpoint, with),
            StepKind::RunJourney { journey, with, limit, .. } => {
                return self.run_journey(here, step, journey, with, *limit);
            }
            StepKind::WaitFor { .. } | StepKind::WaitUntil { .. } => return self.wait_timer(here, step),
            StepKind::WaitEvent(wait) => return self.wait_event(here, step, wait),
            StepKind::Branch { condition, yes, no } => {
                let value = self.scope().eval(condition)?;
                if !value.is_known() {
                    self.turn.facts.odd("a value in the condition is missing, so it does not hold");
                }
                let holds = value == Value::Bool(true);
                let choice = if holds { word!("yes") } else { word!("no") };
                let because = explain::looked_at(&self.scope(), self.turn.facts, self.program, condition);
                self.note(Some(here), What::Took { choice, because });
                return Ok(Next::To(if holds { *yes } else { *no }));
            }
            StepKind::Switch { subject, cases, otherwise } => {
                return self.switch(here, subject, cases, *otherwise);
            }
            StepKind::Split { name, variants } => return Ok(self.split(here, name, variants)),
            StepKind::LoopStart { counter, next } => {
                self.count(*counter, |n| *n = 0);
                return Ok(Next::To(*next));
            }
            StepKind::LoopNext { counter, times, body, done } => {
                return Ok(self.next_round(step, *counter, *times, *body, *done));
            }
            StepKind::Resume => return self.resume(),
            StepKind::Exit { reason } => {
                self.state.step = here;
                return Ok(Next::End(reason.clone()));
            }
            StepKind::Record { event, with, .. } => self.record(event, with)?,
            StepKind::Set { attribute, value, .. } => self.set(attribute, value)?,
            StepKind::Add { attribute, value, undo, next } => match audience_of(attribute) {
                Some(audience) if !self.join(here, audience)? => {
                    self.mark_done(step);
                    return Ok(Next::To(*next));
                }
                Some(_) => {}
                None => self.add(attribute, value, undo.as_ref())?,
            },
            StepKind::Remove { attribute, value, .. } => match audience_of(attribute) {
                Some(audience) => self.take_out_of(audience),
                None => {
                    let value = self.scope().eval(value)?;
                    take_out(self.turn, attribute, &value);
                }
            },
            StepKind::Let { slot, value, .. } => {
                let value = self.scope().eval(value)?;
                self.state.put(*slot, value);
            }
            StepKind::Grant { purpose, channels, evidence, .. } => {
                let evidence = self.evidence(evidence.as_ref())?;
                self.consent(purpose, channels, true, evidence);
            }
            StepKind::Withdraw { purpose, channels, .. } => self.consent(purpose, channels, false, None),
            StepKind::StartJourney { journey, with, .. } => {
                let arguments = self.scope().fields(with)?;
                let (journey, at) = (journey.clone(), self.state.clock);
                let start = Caused::Start { journey, arguments, at, parent: None };
                self.turn.effects.caused.push_back(start);
            }
            StepKind::Pause { purpose, until, .. } => self.pause(purpose, until)?,
        }
        self.mark_done(step);
        self.note(Some(here), What::Done { outcome: None });
        let next = step.kind.targets().first().copied();
        Ok(next.map_or(Next::End(word!("failed")), Next::To))
    }

    fn switch(
        &mut self,
        here: StepIx,
        subject: &Expr,
        cases: &[(Vec<Value>, StepIx)],
        otherwise: StepIx,
    ) -> Result<Next, Need> {
        let subject = self.scope().eval(subject)?;
        let taken = cases.iter().find(|(values, _)| values.iter().any(|v| super::eval::same(v, &subject)));
        let choice = match subject {
            Value::Text(text) => text,
            other => format!("{}", other.to_json()).into(),
        };
        self.note(Some(here), What::Took { choice, because: Because::new() });
        Ok(Next::To(taken.map_or(otherwise, |(_, next)| *next)))
    }

    fn split(&mut self, here: StepIx, name: &Word, variants: &[(Word, Decimal, StepIx)]) -> Next {
        let forced = self.turn.facts.programs.forced(name);
        let forced = forced.and_then(|variant| variants.iter().position(|(word, _, _)| word == variant));
        let shares: Vec<Decimal> = variants.iter().map(|(_, share, _)| *share).collect();
        let chosen = forced.or_else(|| split::choose(self.turn.facts.world.contact, name, &shares));
        match chosen.and_then(|number| variants.get(number)).or(variants.first()) {
            Some((choice, _, next)) => {
                self.note(Some(here), What::Took { choice: choice.clone(), because: Because::new() });
                Next::To(*next)
            }
            None => {
                self.turn.facts.odd("a split without variants");
                Next::End(word!("failed"))
            }
        }
    }

    fn next_round(&mut self, step: &Step, counter: u16, times: u32, body: StepIx, done: StepIx) -> Next {
        let so_far = self.state.loops.get(usize::from(counter)).copied().unwrap_or(0);
        if so_far >= times {
            return Next::To(done);
        }
        self.count(counter, |n| *n = n.saturating_add(1));
        if let Some(slot) = step.slot {
            let fields = [(word!("number"), Value::Number(i64::from(so_far) + 1))];
            self.keep(slot, fields.into());
        }
        Next::To(body)
    }

    fn count(&mut self, counter: u16, change: impl Fn(&mut u32)) {
        let counter = usize::from(counter);
        if self.state.loops.len() <= counter {
            self.state.loops.resize(counter + 1, 0);
        }
        change(&mut self.state.loops[counter]);
    }

    fn record(&mut self, name: &Word, with: &[(Word, Expr)]) -> Result<(), Need> {
        let fields = self.scope().fields(with)?;
        let now = self.turn.facts.now;
        let id = (self.turn.ids)();
        let event =
            Event { id, name: name.clone(), occurred_at: now, accepted_at: now, fields, quiet: false };
        self.turn.effects.record(event);
        Ok(())
    }

    fn set(&mut self, attribute: &Word, value: &Expr) -> Result<(), Need> {
        let value = self.scope().eval(value)?;
        if !value.is_known() {
            self.turn.facts.odd(format!("{attribute} was not set: the value is missing"));
            return Ok(());
        }
        let value = self.fitting(attribute, value);
        self.turn.effects.set(self.turn.facts, attribute, value);
        Ok(())
    }

    /// Cuts a number to the range of the attribute.
    fn fitting(&self, attribute: &Word, value: Value) -> Value {
        let ty = self.turn.facts.catalog.attribute(attribute).map(|attribute| attribute.ty.required());
        let fitting = match (ty, &value) {
            (Some(Type::Number(Some((low, high)))), Value::Number(n)) if low <= high => {
                Value::Number(*n.clamp(low, high))
            }
            (Some(Type::Decimal(Some((low, high)))), Value::Decimal(d)) if low <= high => {
                Value::Decimal(*d.clamp(low, high))
            }
            _ => return value,
        };
        if fitting != value {
            self.turn.facts.odd(format!("the value of {attribute} was cut to its range"));
        }
        fitting
    }

    fn add(&mut self, attribute: &Word, value: &Expr, undo: Option<&Undo>) -> Result<(), Need> {
        let value = self.scope().eval(value)?;
        if !value.is_known() {
            self.turn.facts.odd(format!("nothing was added to {attribute}: the value is missing"));
            return Ok(());
        }
        let present = self.turn.facts.attribute(self.turn.effects, attribute);
        let already = matches!(&present, Value::List(items) if items.contains(&value));
        if let Some(Undo::After(span)) = undo {
            self.undo_later(attribute, &value, *span, already)?;
        }
        if already {
            return Ok(());
        }
        let scope = self.scope();
        let sum = match (present, &value) {
            (Value::List(mut items), item) => {
                items.push(item.clone());
                Value::List(items)
            }
            (Value::Unknown, item @ (Value::Number(_) | Value::Decimal(_))) => item.clone(),
            (number, item) => match scope.sum(number, item.clone()) {
                Value::Unknown => return Ok(()),
                sum => sum,
            },
        };
        let sum = self.fitting(attribute, sum);
        self.turn.effects.set(self.turn.facts, attribute, sum);
        if undo == Some(&Undo::AtExit) {
            self.state.undo.push((attribute.clone(), value));
        }
        Ok(())
    }

    /// The end of `add … for`. Adding again extends; what was there without an end stays without one.
    fn undo_later(
        &mut self,
        attribute: &Word,
        value: &Value,
        span: Calendar,
        already: bool,
    ) -> Result<(), Need> {
        let wake_at = self.scope().later(self.state.clock, span);
        let what = ErrandKind::Undo { attribute: attribute.clone(), value: value.clone() };
        if already {
            let effects = &*self.turn.effects;
            let open = effects.errands_now(self.turn.facts)?;
            let Some(former) = open.iter().find(|errand| errand.what == what) else { return Ok(()) };
            if former.wake_at >= wake_at {
                return Ok(());
            }
            let former = (former.wake_at, former.id);
            self.turn.effects.errands_done.push(former);
        }
        let id = EnrollmentId((self.turn.ids)());
        self.turn.effects.errands.push(Errand { id, wake_at, what });
        Ok(())
    }

    fn consent(&mut self, purpose: &Word, channels: &[Word], permit: bool, evidence: Option<Arc<str>>) {
        let catalog = self.turn.facts.catalog;
        let line = || catalog.lineage(purpose).find_map(|purpose| catalog.policy.consent.get(purpose));
        let channels: Vec<Word> = match (channels, line()) {
            ([], Some(line)) => line.clone(),
            ([], None) => catalog.channels.keys().cloned().collect(),
            (said, _) => said.to_vec(),
        };
        let at = self.turn.facts.now;
        for channel in channels {
            let (purpose, evidence) = (purpose.clone(), evidence.clone());
            let row = ConsentChange { purpose, channel, permit, at, source: word!("journey"), evidence };
            self.turn.effects.consents.push(row);
        }
        self.turn.effects.caused.push_back(Caused::Consent { purpose: purpose.clone(), permit });
    }

    /// What proves a grant, as JSON text: the named result, or the latest such event since entry.
    fn evidence(&self, name: Option<&Word>) -> Result<Option<Arc<str>>, Need> {
        let Some(name) = name else { return Ok(None) };
        let slot = self.program.slots.iter().zip(&self.state.slots).find(|(slot, _)| slot.name == *name);
        if let Some((_, value)) = slot
            && value.is_known()
        {
            let json = serde_json::json!({ "result": &**name, "value": value.to_json() });
            return Ok(Some(json.to_string().into()));
        }
        if !self.turn.facts.catalog.events.contains_key(name) {
            return Ok(None);
        }
        let loaded = self.turn.facts.history(name, self.state.since)?;
        let own = self.turn.effects.events.iter().filter(|event| event.name == *name);
        let latest = loaded.events.iter().chain(own).filter(|event| event.occurred_at >= self.state.since);
        let json = latest.max_by_key(|event| (event.occurred_at, event.id)).map(|event| {
            serde_json::json!({
                "event": &*event.name,
                "id": crate::id::to_base32(event.id),
                "at": event.occurred_at.to_string(),
            })
        });
        Ok(json.map(|json| json.to_string().into()))
    }

    fn pause(&mut self, purpose: &Word, until: &PauseUntil) -> Result<(), Need> {
        let clock = self.state.clock;
        let until = match until {
            PauseUntil::For(span) => Some(self.scope().later(clock, *span)),
            PauseUntil::Forever => Some(Timestamp::NEVER),
            PauseUntil::Until(moment) => wait::due(&self.scope(), moment, clock)?.moment(),
        };
        match until {
            Some(until) => {
                let end = self.turn.effects.pauses.entry(purpose.clone()).or_insert(until);
                *end = until.max(*end);
            }
            None => self.turn.facts.odd(format!("{purpose} was not paused: the moment is missing")),
        }
        Ok(())
    }

    // -------------------------------------------------------------- for all kinds of steps

    /// The view of this enrollment.
    pub(super) fn scope(&self) -> Scope<'_> {
        Scope::of(self.turn.facts, self.turn.effects, self.program, self.state)
    }

    /// The step's round: a number that differs each time the step begins.
    pub(super) fn round(&self, step: StepIx) -> u32 {
        if let Some((_, round)) = self.round_of_rest.filter(|(of, _)| *of == step) {
            return round;
        }
        let tables = self.program.tables();
        let step = usize::from(step);
        if tables.again.get(step).copied().unwrap_or(false) {
            return self.state.jumps;
        }
        let loops = self.program.steps.get(step).map_or(&[][..], |step| &step.loops);
        loops.iter().fold(0, |round: u32, counter| {
            let counter = usize::from(*counter);
            let times = tables.times.get(counter).copied().unwrap_or(0).saturating_add(1);
            let now = self.state.loops.get(counter).copied().unwrap_or(0);
            round.wrapping_mul(times).wrapping_add(now)
        })
    }

    /// Puts a result into a slot, only what something reads.
    pub(super) fn keep(&mut self, slot: u16, fields: Fields) {
        self.state.put(slot, Value::Record(self.used(slot, fields)));
    }

    /// Adds to the result in a slot.
    pub(super) fn keep_more(&mut self, slot: u16, more: Fields) {
        let more = self.used(slot, more);
        match self.state.slots.get_mut(usize::from(slot)) {
            Some(Value::Record(fields)) => fields.extend(more),
            _ => self.state.put(slot, Value::Record(more)),
        }
    }

    /// Those fields that some expression reads; names with `#` are the engine's own.
    pub(super) fn used(&self, slot: u16, fields: Fields) -> Fields {
        let used: &[Word] = match slot {
            0 => &self.program.tables().entry_fields,
            _ => self.program.slots.get(usize::from(slot)).map_or(&[], |slot| &slot.used),
        };
        fields.into_iter().filter(|(name, _)| used.contains(name) || name.starts_with('#')).collect()
    }

    /// Remembers when the step was done, where something asks.
    pub(super) fn mark_done(&mut self, step: &Step) {
        if let Some(slot) = step.slot
            && self.program.slots.get(usize::from(slot)).is_some_and(|slot| slot.moment_used)
        {
            self.state.mark(slot, self.state.clock);
        }
    }

    /// Adds a line to the history.
    pub(super) fn note(&mut self, step: Option<StepIx>, what: What) {
        let round = step.map_or(0, |step| self.round(step));
        let named = step.and_then(|step| self.program.steps.get(usize::from(step)));
        self.turn.effects.notes.push(Note {
            at: self.turn.facts.now,
            enrollment: Some(self.id),
            journey: Some(self.program.journey.clone()),
            step: named.map(|step| step.id.clone()),
            round,
            what,
        });
    }

    /// Notes what was not as checked.
    pub(super) fn note_odd(&mut self, step: Option<StepIx>) {
        for why in self.turn.facts.take_odd() {
            self.note(step, What::Odd { why });
        }
    }
}

/// Takes an item out of a list, or a number back.
pub(super) fn take_out(turn: &mut Turn, attribute: &Word, value: &Value) {
    let left = match turn.facts.attribute(turn.effects, attribute) {
        Value::List(items) => Value::List(items.into_iter().filter(|item| item != value).collect()),
        number => match Scope::contact(turn.facts, turn.effects).difference(number, value.clone()) {
            Value::Unknown => return,
            left => left,
        },
    };
    turn.effects.set(turn.facts, attribute, left);
}
