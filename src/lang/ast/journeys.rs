//! What stands directly in a journey.

use super::{
    Block, Clock, Date, Duration, Expr, Field, Name, Number, Path, Side, Stmt, Text, Then, TimeOfDay, Unit,
    Weekday, Zone,
};
use crate::diagnostic::Span;

#[derive(Clone, Debug, PartialEq)]
pub struct Journey {
    pub name: Name,
    pub title: Option<Text>,
    pub version: Option<Number>,
    pub items: Vec<JourneyItem>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct JourneyItem {
    pub kind: JourneyItemKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum JourneyItemKind {
    Purpose { name: Name, because: Option<Text> },
    Runs { from: Option<Day>, to: Option<Day>, zone: Option<Zone> },
    Enter(Box<Enter>),
    Reenter(Reenter),
    ExitRule { reason: Name, trigger: ExitTrigger },
    Goal(Box<Goal>),
    Lasts(Duration),
    Budget(Budget),
    OnDeploy(OnDeploy),
    Handler { event: EventMatch, body: Block },
    Stage { name: Name, body: Block },
    Migrate { version: Number, lines: Vec<MigrateLine> },
    Stmt(Stmt),
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Day {
    pub date: Date,
    pub time: Option<Clock>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Enter {
    pub how: EnterHow,
    pub filter: Option<Expr>,
    /// `for SEGMENT`
    pub audience: Option<Expr>,
    /// `per cart.cart_id`
    pub per: Vec<Path>,
    pub ramp: Option<Ramp>,
    /// `including existing`
    pub including_existing: Option<Span>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum EnterHow {
    On(EventMatch),
    OnFirst(EventMatch),
    OnChange {
        path: Path,
        name: Option<Name>,
    },
    When(Expr),
    While(Expr),
    At {
        date: Date,
        time: Clock,
        zone: Option<Zone>,
    },
    Cron {
        text: Text,
        zone: Option<Zone>,
    },
    EveryWeekday {
        day: Weekday,
        at: TimeOfDay,
        zone: Option<Zone>,
    },
    Anniversary {
        path: Path,
        at: Option<TimeOfDay>,
        zone: Option<Zone>,
    },
    /// `30 days before contact.card_expires at 09:00 contact time`
    Offset {
        offset: Duration,
        side: Side,
        path: Path,
        at: Option<TimeOfDay>,
        zone: Option<Zone>,
    },
    /// `by start with { percent: number }`
    ByStart(Vec<Field>),
    Error,
}

/// `limit 1_000 per day then wait`
#[derive(Clone, Debug, PartialEq)]
pub struct Ramp {
    pub number: Number,
    pub per: Unit,
    /// `wait`, `skip`, or nothing written.
    pub then: Option<Name>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Reenter {
    Never,
    Always,
    Restart,
    WhenFinished,
    AfterEntry(Duration),
    AfterExit(Duration),
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExitTrigger {
    On(EventMatch),
    When(Expr),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    pub name: Name,
    pub event: EventMatch,
    pub within: Option<Duration>,
    pub target: Option<Number>,
    pub then_exit: Option<Span>,
}

/// `budget 500.00 per calendar month then skip`
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    pub most: Number,
    pub window: Option<BudgetWindow>,
    pub then: Option<Then>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum BudgetWindow {
    Calendar(Unit, Span),
    /// `7 days`, or `month` alone.
    Other(Span),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDeploy {
    Migrate,
    FinishOld,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MigrateLine {
    pub kind: MigrateKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MigrateKind {
    Moved { from: Name, to: Name },
    RemovedGoTo { step: Name, stage: Name },
    RemovedExit { step: Name, reason: Name },
    KeepTimers,
    Let { name: Name, value: Expr },
    Error,
}

/// `order_placed, order_canceled as change same cart_id where …`; the paths are events or outcomes (`reminder.clicked`).
#[derive(Clone, Debug, PartialEq)]
pub struct EventMatch {
    pub events: Vec<Path>,
    pub name: Option<Name>,
    pub same: Vec<Name>,
    pub filter: Option<Expr>,
    pub span: Span,
}
