//! Where an enrollment stands. A few dozen bytes when serialized by postcard; stored in its timer row.

use serde::{Deserialize, Serialize};

use super::program::StepIx;
use crate::time::Timestamp;
use crate::value::Value;

/// The state of one enrollment between two transitions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The resting step.
    pub step: StepIx,
    pub entered_at: Timestamp,
    /// The logical time of the last transition: what the next wait counts from.
    pub clock: Timestamp,
    /// The wait or hold in progress.
    pub rest: Rest,
    /// What lives in each slot, as far as something reads it.
    pub slots: Vec<Value>,
    /// When the step of each slot was done, where something asks; 0 for never.
    pub moments: Vec<Timestamp>,
    /// Rounds of each loop.
    pub loops: Vec<u32>,
    /// Bits of goals reached.
    pub goals: u32,
    /// The main line, suspended while a handler runs.
    pub suspended: Option<Box<Suspended>>,
    /// Handler calls that wait their turn: (handler, its event).
    pub queue: Vec<(u16, Value)>,
    /// Additions to undo at the exit: (attribute, value).
    pub undo: Vec<(std::sync::Arc<str>, Value)>,
    /// It has ended and only goals still count.
    pub ended: bool,
    /// The child that `run journey` waits for, or the parent that waits for this one.
    pub parent: Option<(crate::id::EnrollmentId, std::sync::Arc<str>, u32)>,
}

/// The wait or hold in progress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rest {
    pub armed_at: Timestamp,
    /// When it ends by itself; `NEVER` for none.
    pub due_at: Timestamp,
    /// When a live condition may change by time alone.
    pub recheck_at: Timestamp,
    pub kind: RestKind,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum RestKind {
    /// A timer or an event wait, as the step says.
    #[default]
    Waiting,
    /// The second half of `then until`: the arm or outcome that ended the first.
    ThenUntil { next: StepIx },
    /// The gate holds a message; since when, for `then wait up to`.
    Held { since: Timestamp },
    /// A task, request or child is out.
    Out,
}

/// The main line while a handler runs: timers keep their due times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Suspended {
    pub step: StepIx,
    pub clock: Timestamp,
    pub rest: Rest,
}
