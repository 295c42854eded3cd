//! Test blocks.

use super::{Clock, ConsentOf, Date, Duration, Expr, Name, Number, Path, Record, Text, Zone};
use crate::diagnostic::Span;

#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    pub title: Text,
    pub journey: Name,
    pub lines: Vec<TestLine>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TestLine {
    pub kind: TestLineKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TestLineKind {
    Given(Given),
    At { at: TestTime, person: Option<Name>, what: Option<AtWhat> },
    Expect { person: Option<Name>, expect: Expect },
    Error,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// `given contact ada { … }`
    Contact {
        person: Option<Name>,
        record: Record,
    },
    /// `given ada event order_placed { … } at 2026-01-10T12:00`
    Event {
        person: Option<Name>,
        event: Path,
        with: Option<Record>,
        date: Date,
        time: Clock,
    },
    Seed(Number),
    Consent {
        person: Option<Name>,
        consent: ConsentOf,
    },
    Loose,
    Variant {
        split: Name,
        variant: Name,
    },
    RequestFails {
        endpoint: Path,
    },
    RequestReturns {
        endpoint: Path,
        record: Record,
    },
    PoolEmpty {
        pool: Name,
    },
    Pool {
        pool: Name,
        items: Vec<Expr>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum TestTime {
    /// The absolute clock; in project time unless a zone is said.
    Moment(Date, Clock, Option<Zone>),
    /// From the first absolute `at`.
    Plus(Duration),
}

#[derive(Clone, Debug, PartialEq)]
pub enum AtWhat {
    Event {
        event: Path,
        with: Option<Record>,
    },
    Set {
        path: Path,
        value: Expr,
    },
    /// `call winback_call returns voicemail { note: "…" }`; `assign` too.
    WorkReturns {
        task: Path,
        outcome: Name,
        with: Option<Record>,
    },
    /// `ask fan_scan returns { … }`, or `ask fan_scan returns declined`.
    AskReturns {
        survey: Path,
        answers: AskAnswers,
    },
    Start {
        with: Option<Record>,
    },
    Grant(ConsentOf),
    Withdraw(ConsentOf),
    Given(Given),
    Expect(Expect),
}

/// What becomes of an `ask` in a test.
#[derive(Clone, Debug, PartialEq)]
pub enum AskAnswers {
    Record(Record),
    /// `declined`, `expired`, `unreadable`.
    Outcome(Name),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    Send {
        channel: Name,
        template: Path,
        to: Option<Expr>,
        with: Option<Record>,
        at: Option<Clock>,
    },
    NoMoreSend,
    /// `expect no send NAME`; `verb` is `send`, `call` or `ask`.
    No {
        verb: Name,
        name: Option<Path>,
    },
    Exit {
        reason: Name,
    },
    Goal {
        name: Name,
    },
    Start {
        journey: Name,
        with: Option<Record>,
    },
    /// `expect call x`, `assign`, `ask`, `request`, `record`, each perhaps `with { … }`.
    Did {
        verb: Name,
        name: Path,
        with: Option<Record>,
    },
    WaitingAt {
        step: Name,
    },
    /// `expect contact in audience sleepers`, `not in`.
    Member {
        audience: Name,
        is_in: bool,
    },
    /// `expect contact.tags has "x"`
    Holds(Expr),
}
