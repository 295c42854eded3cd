//! The instruction set: what a step does, and where it leads.

use serde::{Deserialize, Serialize};

use super::{Expr, Moment, SlotIx, StepIx, Trigger, Word};
use crate::time::Calendar;
use crate::value::{Decimal, Value};

/// One step: its identity, stable over versions, and what it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Stable identity (section 4.2 of the language): the name, or nearest named step + kind + operand + ordinal.
    pub id: Word,
    /// The slot of its result, where an expression or a moment needs one.
    pub slot: Option<SlotIx>,
    /// The counters of the loops around it, outermost first; they make its round. A `LoopNext` with a slot writes the number of
    /// the round into it.
    pub loops: Vec<u16>,
    pub kind: StepKind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StepKind {
    Send(Box<Send>),
    Work(Box<Work>),
    Request {
        endpoint: Word,
        with: Vec<(Word, Expr)>,
        next: StepIx,
        failed: StepIx,
    },
    Record {
        event: Word,
        with: Vec<(Word, Expr)>,
        next: StepIx,
    },
    /// `set`: a value that is missing is not set, and noted.
    Set {
        attribute: Word,
        value: Expr,
        next: StepIx,
    },
    /// To a list (appends what is not in it yet) or a number (adds).
    Add {
        attribute: Word,
        value: Expr,
        undo: Option<Undo>,
        next: StepIx,
    },
    Remove {
        attribute: Word,
        value: Expr,
        next: StepIx,
    },
    Let {
        slot: SlotIx,
        value: Expr,
        next: StepIx,
    },
    /// Evidence is the name of a result or of an event (the latest since entry).
    Grant {
        purpose: Word,
        channels: Vec<Word>,
        evidence: Option<Word>,
        next: StepIx,
    },
    Withdraw {
        purpose: Word,
        channels: Vec<Word>,
        next: StepIx,
    },
    /// `wait 3 days`, `wait 1 hour to 5 hours`, `wait 3 days then until …`; `longest` makes it random, stable per enrollment.
    WaitFor {
        duration: Calendar,
        longest: Option<Calendar>,
        then_until: Option<Moment>,
        next: StepIx,
    },
    /// `past` is where a past anchor goes on: behind the block, or `next` (with `.late`).
    WaitUntil {
        moment: Moment,
        next: StepIx,
        past: StepIx,
    },
    WaitEvent(Box<WaitEvent>),
    Branch {
        condition: Expr,
        yes: StepIx,
        no: StepIx,
    },
    Switch {
        subject: Expr,
        cases: Vec<(Vec<Value>, StepIx)>,
        otherwise: StepIx,
    },
    /// Shares in ten-thousandths of a percent summing to 100 %; the choice is a hash of (contact, split name).
    Split {
        name: Word,
        variants: Vec<(Word, Decimal, StepIx)>,
    },
    /// Counter `counter` starts at zero.
    LoopStart {
        counter: u16,
        next: StepIx,
    },
    /// Tested before each round: counts up and goes to `body`, or to `done` after `times` rounds. `until` is tested after each
    /// round by a Branch.
    LoopNext {
        counter: u16,
        times: u32,
        body: StepIx,
        done: StepIx,
    },
    StartJourney {
        journey: Word,
        with: Vec<(Word, Expr)>,
        next: StepIx,
    },
    RunJourney {
        journey: Word,
        with: Vec<(Word, Expr)>,
        limit: Option<Calendar>,
        next: StepIx,
    },
    Pause {
        purpose: Word,
        until: PauseUntil,
        next: StepIx,
    },
    /// Ends a handler: back to where the main line stood.
    Resume,
    Exit {
        reason: Word,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Send {
    /// In the order written.
    pub channels: Vec<Word>,
    /// `and`: each reachable one; otherwise the first on which the contact may and can be reached.
    pub every: bool,
    pub template: Word,
    pub to: Option<Expr>,
    pub with: Vec<(Word, Expr)>,
    pub purpose: Word,
    pub before: Option<Moment>,
    pub next: StepIx,
}

/// `call` and `assign`, and an `ask` by somebody who speaks with the contact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// `call`, `assign` or `ask`.
    pub verb: Word,
    /// The task; of an `ask` the survey.
    pub task: Word,
    pub team: Word,
    pub with: Vec<(Word, Expr)>,
    pub limit: Calendar,
    pub purpose: Word,
    pub next: StepIx,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Undo {
    After(Calendar),
    AtExit,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PauseUntil {
    For(Calendar),
    Until(Moment),
    Forever,
}

/// `wait up to … for/until`, and the race.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitEvent {
    /// `None`: `wait forever`.
    pub limit: Option<Calendar>,
    pub arms: Vec<Arm>,
    pub timeout: StepIx,
    /// `including last 10 minutes`.
    pub look_back: Option<Calendar>,
    /// `then until …`, after an arm or the time-out.
    pub then_until: Option<Moment>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    pub on: Trigger,
    pub next: StepIx,
}
