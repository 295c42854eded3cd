//! What the compiler makes and the engine runs: a [`Program`] for each journey, and one [`Catalog`] of what all journeys share.
//!
//! Both are plain data: serialized with fixed field order and no floats, hashed into a version, stored once for each content
//! hash and never changed. Source places are no part of them, so comments and layout never make a new version.

mod catalog;
mod expr;
mod step;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use catalog::*;
pub use expr::*;
pub use step::*;

use super::index::Index;
use crate::time::{Calendar, Date, TimeOfDay, Timestamp};
use crate::value::{Decimal, FieldType};

/// A name that authors gave: of a journey, event, attribute, channel, template, purpose.
pub type Word = Arc<str>;

/// Index into [`Program::steps`].
pub type StepIx = u16;

/// Index into [`Program::slots`]: where the entering event, results of named steps and `let` values live. Slot 0 is the entry.
pub type SlotIx = u16;

/// The format of stored programs; an engine refuses what it does not know.
pub const FORMAT: u16 = 1;

/// One compiled journey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    pub format: u16,
    pub journey: Word,
    pub title: Option<Arc<str>>,
    /// The number written after `version`, if any.
    pub version: Option<u32>,
    pub purpose: Word,
    /// The reason of a transactional journey.
    pub because: Option<Arc<str>>,
    pub entries: Vec<Entry>,
    /// The fields of the entry that make the instance key; empty: one enrollment a contact.
    pub per: Vec<Word>,
    pub reenter: Reenter,
    pub runs: Option<Runs>,
    pub lasts: Option<Calendar>,
    pub exits: Vec<ExitRule>,
    pub goals: Vec<Goal>,
    pub handlers: Vec<Handler>,
    pub slots: Vec<Slot>,
    /// How many loops there are; each has a counter in the state.
    pub loops: u16,
    /// Step 0 is where an enrollment begins.
    pub steps: Vec<Step>,
    /// All reasons with which an enrollment can end, for reports and coverage: written ones and `expired`, … where possible.
    pub reasons: Vec<Word>,
    /// Channels on which the journey sends; with the purpose they decide consent at entry.
    pub channels: Vec<Word>,
    /// `on deploy finish old`.
    pub pinned: bool,
    /// Computed from the rest when first asked for, never stored; begin with `Index::default()`.
    #[serde(skip)]
    pub index: Index,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    pub name: Word,
    pub kind: SlotKind,
    /// Fields that some expression reads; the engine stores no others.
    pub used: Vec<Word>,
    /// Some expression uses the step's name as a moment, or as the start of a reach.
    pub moment_used: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotKind {
    /// The entering event, change or arguments.
    Entry,
    /// An event named inside an exit rule, goal, handler or wait arm.
    Event,
    Let,
    Message,
    Wait,
    Task,
    Request,
    Loop,
    Child,
    /// The answers of an `ask`, and whether there are any.
    Survey,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub how: EntryHow,
    /// `where`, over the entering event (slot 0) and the contact.
    pub filter: Option<Expr>,
    /// `for SEGMENT`, evaluated when the entry fires.
    pub audience: Option<Expr>,
    pub including_existing: bool,
}

impl Entry {
    /// Whether it watches a condition, so that each contact is a member or not.
    pub fn is_membership(&self) -> bool {
        matches!(self.how, EntryHow::When { .. } | EntryHow::While { .. })
    }

    /// Whether it takes in who is a member already when the journey opens.
    pub fn takes_existing(&self) -> bool {
        match self.how {
            EntryHow::While { .. } => true,
            EntryHow::When { .. } => self.including_existing,
            _ => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EntryHow {
    Event(Vec<Word>),
    FirstEvent(Vec<Word>),
    Change {
        attribute: Word,
    },
    When {
        condition: Expr,
        watch: Watch,
    },
    While {
        condition: Expr,
        watch: Watch,
    },
    At {
        date: Date,
        time: TimeOfDay,
        zone: ZoneRef,
    },
    Weekday {
        days: Days,
        at: TimeOfDay,
        zone: ZoneRef,
    },
    Anniversary {
        attribute: Word,
        at: TimeOfDay,
        zone: ZoneRef,
    },
    /// Before the date or moment in the attribute when the offset is negative.
    Offset {
        attribute: Word,
        offset: Calendar,
        at: Option<TimeOfDay>,
        zone: ZoneRef,
    },
    /// Five POSIX fields, checked by the compiler.
    Cron {
        text: Arc<str>,
        zone: ZoneRef,
    },
    Start {
        arguments: Vec<FieldType>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reenter {
    Never,
    Always,
    Restart,
    WhenFinished,
    AfterEntry(Calendar),
    AfterExit(Calendar),
}

/// The inclusive span in which the journey takes people in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Runs {
    pub from: Option<Timestamp>,
    /// Exclusive: the first instant at which nobody enters any more.
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExitRule {
    pub reason: Word,
    pub trigger: Trigger,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Trigger {
    Event(Match),
    Condition { condition: Expr, watch: Watch },
}

/// An event that is waited for or listened to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Match {
    /// Any of these signals: event names, or outcomes of own steps such as `reminder.clicked`.
    pub signals: Vec<Signal>,
    /// `same cart_id`: equal to the entering event's field; a missing field never matches.
    pub same: Vec<Word>,
    /// `where`, with the event in its slot.
    pub filter: Option<Expr>,
    /// Where the event is put while the filter runs, and kept where an expression needs it later.
    pub slot: Option<SlotIx>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Signal {
    Event(Word),
    /// An outcome (`clicked`, `sent`, …) of the message or task in that slot, of this enrollment.
    Outcome {
        slot: SlotIx,
        outcome: Word,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    pub name: Word,
    pub on: Match,
    pub within: Option<Calendar>,
    pub target: Option<Decimal>,
    pub then_exit: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handler {
    pub on: Match,
    pub first: StepIx,
}
