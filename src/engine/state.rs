//! Where an enrollment stands. Small when serialized, see [`super::codec`]; stored in its timer row.

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
    /// How far back `since entry` reaches: to the occurrence of the entering event, if that was before it was accepted.
    pub since: Timestamp,
    /// The logical time of the last transition: what the next wait counts from.
    pub clock: Timestamp,
    /// The wait or hold in progress.
    pub rest: Rest,
    /// When a live exit condition may become true by time alone.
    pub recheck_at: Timestamp,
    /// What lives in each slot, as far as something reads it.
    pub slots: Vec<Value>,
    /// When the step of each slot was done, where something asks; 0 for never.
    pub moments: Vec<Timestamp>,
    /// Rounds of each loop.
    pub loops: Vec<u32>,
    /// How often control went back by `go to` or into a handler; part of the round of steps that can run again.
    pub jumps: u32,
    /// Bits of goals reached.
    pub goals: u64,
    /// The main line, suspended while a handler runs.
    pub suspended: Option<Box<Suspended>>,
    /// Handler calls that wait their turn: (handler, its event).
    pub queue: Vec<(u16, Value)>,
    /// Additions to undo at the exit: (attribute, value).
    pub undo: Vec<(std::sync::Arc<str>, Value)>,
    /// It has ended and only goals still count.
    pub ended: bool,
    /// Who waits for the exit of this one (`run journey`): the enrollment, its step and round.
    pub parent: Option<(crate::id::EnrollmentId, std::sync::Arc<str>, u32)>,
    /// What it ends with besides its steps.
    pub stays: Stays,
}

/// Whether an enrollment lasts only as long as its contact is in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stays {
    /// It came in by an event, a date, a start or the like.
    #[default]
    Freely,
    /// It came in by this entry of its journey, an `enter while`.
    While(u16),
    /// It was written when that was not kept: it ends with any.
    Unsaid,
}

/// The wait or hold in progress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rest {
    pub armed_at: Timestamp,
    /// When it ends by itself; `NEVER` for none.
    pub due_at: Timestamp,
    /// When a live condition may change by time alone.
    pub recheck_at: Timestamp,
    /// The round of the resting step, as it was when the rest began.
    pub round: u32,
    /// It was computed anew once because the contact's zone changed.
    pub moved: bool,
    /// The place of the arming among what was recorded within one call, so that a wait never matches what was recorded before it.
    #[serde(skip)]
    pub order: u32,
    pub kind: RestKind,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum RestKind {
    /// A timer or an event wait, as the step says.
    #[default]
    Waiting,
    /// The second half of `then until`: the arm or outcome that ended the first.
    ThenUntil { next: StepIx },
    /// The gate holds a message: by which kind of rule and since when, for `then wait up to`; `done` has a bit for each channel
    /// of an `and` that is through.
    Held { since: Timestamp, by: HeldBy, done: u32 },
    /// A task, request or child is out.
    Out,
}

/// What kind of rule holds a message back. The limit of one is not used up by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HeldBy {
    Quiet,
    Cap,
    /// The channel's own hours.
    Hours,
    /// The budget of the journey.
    Budget,
}

impl HeldBy {
    /// The word under which it is told: the channel's own hours are quiet hours too.
    pub fn why(self) -> &'static str {
        match self {
            HeldBy::Cap => "cap",
            HeldBy::Quiet | HeldBy::Hours => "quiet",
            HeldBy::Budget => "budget",
        }
    }
}

/// The main line while a handler runs: timers keep their due times, and an event that the wait asked for is not lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Suspended {
    pub step: StepIx,
    pub clock: Timestamp,
    pub rest: Rest,
    /// What it waited for came meanwhile: where it goes on.
    pub decided: Option<StepIx>,
}
