//! The engine: program x state x input x facts -> effects. Pure, total, deterministic.
//!
//! # What a journey means, on one page
//!
//! **An enrollment** is one contact's way through one [`program::Program`]. Its [`state::State`] says at which step it rests,
//! until when, and what later expressions need. Nothing else is remembered, nothing is replayed.
//!
//! **A transition** is one call of [`step`]: an input comes, the enrollment runs from its resting step to the next rest or to
//! its end, and what it did lies in [`facts::Effects`]. It sees its own changes, calls nobody, reads no clock, and always ends:
//! after 5,000 steps without a rest it is stopped with the exit `failed`. Every oddity (a value that vanished, arithmetic out
//! of range, more than 1,000 events) has a stated result and a note.
//!
//! **One contact at a time.** [`contact::advance`] takes one input of one contact. Enrollments look first, in the order in
//! which they began: exit rules, then handlers, then the wait; goals are always counted. Then standing entries and entries
//! look, and see the result. What all this causes (recorded events, changed attributes, consent, started journeys, exits of
//! children) is worked off in order within the same call, at most [`contact::STORM`] times.
//!
//! **Time.** The journey clock of an enrollment is the logical time of its last transition: the due time of a timer, the
//! acceptance of an event, but never earlier than one hour before now, so that days do not pile up into one minute after an
//! outage. Waits count from it. Conditions, quiet hours and caps look at now.
//!
//! **Deadlines.** An event accepted at the deadline or before wins, whichever row is processed first: before an event is shown
//! to an enrollment, timers that were due before its acceptance fire. A wait never takes what was recorded before it was
//! armed. An outcome belongs to the step and round that caused it.
//!
//! **Late events** (older than the event's `late after`) update history, memberships and goals, and live conditions are looked
//! at again, since these speak of facts; they start nothing and match nothing. **Quiet events** (import) only update history
//! and memberships.
//!
//! **The gate** ([`policy::decide`]) answers within the transition: go, hold until, skip, or exit. A held message rests at its
//! step and asks the whole gate again. The limit of one rule (`then wait up to 3 days`) is not used up by another.
//!
//! **Rounds.** A step in a `repeat` has the number of the round as its round (nested loops multiply); a step that `go to` or a
//! handler can reach again has the number of jumps made so far. So (enrollment, step, round) never repeats.
//!
//! # Rooms
//!
//! | room | what |
//! |---|---|
//! | [`program`], [`index`], [`programs`] | the instruction set; what follows from a program; all that are deployed |
//! | [`state`], [`codec`] | where an enrollment stands, and its bytes |
//! | [`world`], [`facts`] | one contact: inputs, facts, needs, changes; the view during a call |
//! | `run`, `send`, `rest`, `hear` | the interpreter: steps; what goes out; waits; events |
//! | [`eval`], `aggregate`, [`recheck`] | expressions; history; when a live condition may change by itself |
//! | [`wait`], [`cron`], [`schedule`] | moments; cron text; when entries fire |
//! | [`policy`], [`budget`], [`split`], [`audiences`] | the gate; money; stable chance; who is in an audience |
//! | [`contact`], `entry`, `standing`, `changed`, `write` | one input through a contact; who enters; memberships and dates; changed attributes and consent; the end of a call |
//! | [`explain`], [`spell`] | afterwards: why somebody never came in; expressions as authors write them |
//! | [`memory`] | all of it in memory with virtual time, for tests and simulations |

mod aggregate;
pub mod audiences;
pub mod budget;
mod changed;
pub mod codec;
pub mod contact;
pub mod cron;
mod entry;
pub mod eval;
pub mod explain;
pub mod facts;
pub mod hash;
pub mod hear;
pub mod index;
pub mod memory;
pub mod pace;
pub mod policy;
pub mod program;
pub mod programs;
pub mod recheck;
mod rest;
mod run;
pub mod schedule;
mod send;
pub mod send_point;
pub mod spell;
pub mod split;
mod standing;
pub mod state;
pub mod wait;
pub mod world;
mod write;

pub use contact::advance;
pub use programs::Programs;
pub use run::Flow;

use facts::{Facts, Turn};
use hear::Incoming;
use program::{Catalog, Program, Step, StepKind, Trigger, Word};
use run::{Walk, word};
use state::{Rest, RestKind, State};
use world::{Need, Outcome, signal};

use crate::id::EnrollmentId;
use crate::time::{HOUR, Timestamp};

/// What comes to one enrollment.
#[derive(Clone, Copy)]
pub enum StepInput<'i> {
    /// It begins.
    Enter,
    /// The earliest of its timers is due.
    Due,
    Hear(Incoming<'i>),
    Outcome {
        outcome: &'i Outcome,
        order: u32,
        at: Timestamp,
    },
    /// An attribute, a consent or another watched thing changed.
    Changed {
        signal: &'i Word,
        at: Timestamp,
    },
    /// The contact lives in another zone now.
    Moved {
        at: Timestamp,
    },
    /// It ends from outside: consent withdrawn, left the segment, restarted, taken out.
    Leave {
        reason: &'i Word,
        at: Timestamp,
    },
}

/// One enrollment's transition: runs to the next rest or to the end. On a [`Need`] state and effects are not to be used.
pub fn step(
    program: &Program,
    id: EnrollmentId,
    state: &mut State,
    input: StepInput,
    turn: &mut Turn,
) -> Result<Flow, Need> {
    let mut walk = Walk { turn, program, id, state, round_of_rest: None };
    match input {
        StepInput::Enter => walk.enter(),
        StepInput::Due => walk.due(),
        StepInput::Hear(incoming) => walk.hear(&incoming),
        StepInput::Outcome { outcome, order, at } => walk.outcome(outcome, order, at),
        StepInput::Changed { signal, at } => walk.changed(signal, at),
        StepInput::Moved { at } => {
            walk.rearm_suspended()?;
            walk.rearmed(true, at)
        }
        StepInput::Leave { .. } if walk.state.ended => Ok(Flow::Unmoved),
        StepInput::Leave { reason, at } => {
            walk.begin(at);
            Ok(walk.end(reason.clone()))
        }
    }
}

/// The logical time of a transition that was due at that moment: not earlier than one hour before now.
pub fn logical(due: Timestamp, now: Timestamp) -> Timestamp {
    due.max(now.plus_ms(-HOUR)).min(now)
}

/// When the enrollment is to be looked at next by itself; `None` when nothing is left to happen and it can be forgotten.
pub fn wake_at(
    program: &Program,
    state: &State,
    facts: &Facts,
    effects: &facts::Effects,
) -> Option<Timestamp> {
    let scope = eval::Scope::of(facts, effects, program, state);
    if state.ended {
        let until = hear::goals_until(&scope, program, state)?;
        return Some(until.plus_ms(1)).filter(|until| *until > facts.now);
    }
    let lasts = lasts_until(&scope, program, state);
    Some(state.rest.due_at.min(state.rest.recheck_at).min(state.recheck_at).min(lasts))
}

fn lasts_until(scope: &eval::Scope, program: &Program, state: &State) -> Timestamp {
    program.lasts.map_or(Timestamp::NEVER, |lasts| scope.later(state.entered_at, lasts))
}

/// The steps at which it rests, that of a suspended main line too.
fn rests<'p>(program: &'p Program, state: &'p State) -> impl Iterator<Item = (&'p Step, &'p Rest)> {
    let suspended = state.suspended.as_ref().map(|suspended| (suspended.step, &suspended.rest));
    let all = suspended.into_iter().chain([(state.step, &state.rest)]).filter(|_| !state.ended);
    all.filter_map(|(step, rest)| Some((program.steps.get(usize::from(step))?, rest)))
}

/// The signals that the present wait listens to, that of a suspended main line too.
pub fn waits_for(catalog: &Catalog, program: &Program, state: &State) -> Vec<Word> {
    let mut signals = Vec::new();
    for (step, rest) in rests(program, state) {
        let waiting = matches!(rest.kind, RestKind::Waiting);
        if let (StepKind::WaitEvent(wait), true) = (&step.kind, waiting) {
            for arm in &wait.arms {
                match &arm.on {
                    Trigger::Event(on) => signals.extend(on.events().cloned()),
                    Trigger::Condition { condition, watch } => {
                        signals.extend(programs::signals(catalog, condition, watch));
                    }
                }
            }
        }
        if matches!(rest.kind, RestKind::Waiting | RestKind::ThenUntil { .. }) {
            signals.extend(step.kind.follows().map(|attribute| signal::attribute(attribute)));
        }
    }
    signals.sort();
    signals.dedup();
    signals
}

/// Whether it listens to the signal, by its rules or in its present wait: one of [`interests`] or [`waits_for`].
fn listens(catalog: &Catalog, program: &Program, state: &State, signal: &Word) -> bool {
    let concerns = |trigger: &Trigger| match trigger {
        Trigger::Event(on) => on.events().any(|event| event == signal),
        Trigger::Condition { condition, watch } => recheck::concerns(catalog, condition, watch, signal),
    };
    program.tables().interests.binary_search(signal).is_ok()
        || program.exits.iter().any(|exit| concerns(&exit.trigger))
        || rests(program, state).any(|(step, rest)| match (&rest.kind, &step.kind) {
            (RestKind::Waiting, StepKind::WaitEvent(wait))
                if wait.arms.iter().any(|arm| concerns(&arm.on)) =>
            {
                true
            }
            (RestKind::Waiting | RestKind::ThenUntil { .. }, kind) => {
                kind.follows().is_some_and(|name| signal::is_attribute(signal, name))
            }
            _ => false,
        })
}

/// The signals that exits, handlers and goals listen to for the whole life of an enrollment.
pub fn interests(catalog: &Catalog, program: &Program) -> Vec<Word> {
    let mut all = program.tables().interests.clone();
    for exit in &program.exits {
        if let Trigger::Condition { condition, watch } = &exit.trigger {
            all.extend(programs::signals(catalog, condition, watch));
        }
    }
    all.sort();
    all.dedup();
    all
}

impl Walk<'_, '_, '_> {
    /// Live exits that hold already end it at once; otherwise it runs from the first step.
    fn enter(&mut self) -> Result<Flow, Need> {
        if let Some(reason) = self.live_exit(None)? {
            return Ok(self.end(reason));
        }
        self.run(0)
    }

    /// What is due first: live exits, then conditions of the wait, then the wait's own end, then `lasts`.
    fn due(&mut self) -> Result<Flow, Need> {
        let now = self.turn.facts.now;
        let lasts = lasts_until(&self.scope(), self.program, self.state);
        let rest = &self.state.rest;
        let times = [self.state.recheck_at, rest.recheck_at, rest.due_at, lasts];
        let first = times.into_iter().min().unwrap_or(Timestamp::NEVER);
        if self.state.ended || first > now {
            return Ok(Flow::Unmoved);
        }
        let clock = self.state.clock;
        self.begin(logical(first, now));
        if self.state.recheck_at == first {
            if let Some(reason) = self.live_exit(None)? {
                return Ok(self.end(reason));
            }
            self.state.recheck_at = self.state.recheck_at.max(now.plus_ms(1));
        } else if self.state.rest.recheck_at == first {
            if let Some(next) = self.look_at_arms(None)? {
                return self.proceed(next);
            }
            // INVARIANT: a re-check that moved nothing lies in the future, or it would come again and again.
            self.state.rest.recheck_at = self.state.rest.recheck_at.max(now.plus_ms(1));
        } else if self.state.rest.due_at == first {
            return self.rest_over();
        } else {
            return Ok(self.end(word!("expired")));
        }
        self.state.clock = clock;
        Ok(Flow::Unmoved)
    }

    /// Something watched changed: live exits, conditions of the wait, then anchors that follow it.
    fn changed(&mut self, signal: &Word, at: Timestamp) -> Result<Flow, Need> {
        let flow = self.conditions(signal, at)?;
        let follows =
            self.program.steps.get(usize::from(self.state.step)).and_then(|step| step.kind.follows());
        match (flow, follows) {
            (Flow::Unmoved, Some(attribute)) if signal::is_attribute(signal, attribute) => {
                self.rearmed(false, at)
            }
            (flow, _) => Ok(flow),
        }
    }

    fn rearmed(&mut self, zone: bool, at: Timestamp) -> Result<Flow, Need> {
        if self.state.ended {
            return Ok(Flow::Unmoved);
        }
        let clock = self.state.clock;
        self.begin(at);
        match self.rearm(zone)? {
            Some(next) => self.proceed(next),
            None => {
                self.state.clock = clock;
                Ok(Flow::Unmoved)
            }
        }
    }
}
