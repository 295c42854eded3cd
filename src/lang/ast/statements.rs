//! Steps, and the blocks they stand in.

use super::{ConsentOf, Duration, EventMatch, Expr, Moment, Name, Number, Path, Record};
use crate::diagnostic::Span;
use crate::engine::program::Doubt;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub stmts: Vec<Stmt>,
    /// From the opening to the closing brace.
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    Send(Box<Send>),
    Ask(Box<Ask>),
    Call(Box<Work>),
    Assign(Box<Work>),
    Request(Box<Request>),
    Take {
        what: Name,
        pool: Name,
        name: Option<Name>,
        otherwise: Option<Block>,
    },
    Record {
        event: Path,
        with: Option<Record>,
    },
    Set {
        path: Path,
        value: Expr,
    },
    Add {
        value: Expr,
        to: Path,
        duration: Option<Duration>,
        until_exit: Option<Span>,
    },
    /// `add contact to lookalike`
    AddContact {
        audience: Name,
    },
    Remove {
        value: Expr,
        from: Path,
    },
    RemoveContact {
        audience: Name,
    },
    Let {
        name: Name,
        value: Expr,
    },
    Grant {
        consent: ConsentOf,
        evidence: Option<Name>,
    },
    Withdraw {
        consent: ConsentOf,
    },
    Wait(Box<Wait>),
    If(Box<If>),
    Switch(Box<Switch>),
    Split {
        name: Name,
        variants: Vec<Variant>,
    },
    Repeat {
        times: Number,
        name: Option<Name>,
        until: Option<Expr>,
        body: Block,
    },
    StartJourney {
        journey: Name,
        with: Option<Record>,
    },
    RunJourney {
        journey: Name,
        with: Option<Record>,
        limit: Option<Duration>,
        name: Option<Name>,
    },
    GoTo(Name),
    Resume,
    Pause {
        purpose: Name,
        how: Pause,
    },
    /// `exit as done`; a bare `exit` has no reason and is reported by the checker (E0301's rule: every exit is named).
    Exit {
        reason: Option<Name>,
    },
    /// Reported by the parser; later phases skip it and say nothing that depends on it.
    Error,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ChannelChoice {
    One(Name),
    /// Each reachable one.
    And(Vec<Name>),
    /// The first on which the contact may and can be reached.
    Else(Vec<Name>),
    /// `cheapest of [email, sms]`
    Cheapest(Vec<Name>),
    /// `preferred of [email, sms]`
    Preferred(Vec<Name>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Send {
    pub channels: ChannelChoice,
    pub template: Path,
    pub to: Option<Expr>,
    pub with: Option<Record>,
    pub purpose: Option<Name>,
    pub before: Option<Moment>,
    /// `in doubt retry`
    pub doubt: Option<Doubt>,
    pub name: Option<Name>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub survey: Path,
    pub channels: ChannelChoice,
    pub with: Option<Record>,
    pub purpose: Option<Name>,
    pub limit: Option<Duration>,
    pub name: Option<Name>,
}

/// `call … by team` and `assign … to team`.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    pub task: Path,
    pub team: Option<Expr>,
    pub with: Option<Record>,
    pub limit: Option<Duration>,
    pub name: Option<Name>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub endpoint: Path,
    pub with: Option<Record>,
    pub name: Option<Name>,
    pub otherwise: Option<Block>,
}

#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it stands in a box wherever it is used")]
pub enum Wait {
    /// `wait 3 days`, `wait 1 hour to 5 hours as p`, `wait 3 days then until …`
    For { duration: Duration, longest: Option<Duration>, then_until: Option<Moment>, name: Option<Name> },
    /// `wait until MOMENT as x { … }`
    Until { moment: Moment, name: Option<Name>, body: Option<Block> },
    /// `wait up to D for events`
    Event { patience: Patience, event: EventMatch, look_back: Option<Duration>, then_until: Option<Moment> },
    /// `wait up to D until condition as x`
    Condition { patience: Patience, condition: Expr, name: Option<Name> },
    /// `wait up to D as x { when … on timeout … }`
    Race { patience: Patience, name: Option<Name>, arms: Vec<Arm>, timeout: Option<Block> },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Patience {
    UpTo(Duration),
    Forever(Span),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    pub when: ArmWhen,
    pub body: Block,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ArmWhen {
    Event(EventMatch),
    Condition { expr: Expr, name: Option<Name> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct If {
    /// The condition and block of `if` and of each `else if`, in order; at least one.
    pub branches: Vec<(Expr, Block)>,
    pub otherwise: Option<Block>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Switch {
    pub subject: Expr,
    pub cases: Vec<Case>,
    pub otherwise: Option<Block>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub values: Vec<Expr>,
    pub body: Block,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    pub name: Name,
    pub share: Number,
    pub body: Block,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Pause {
    For(Duration),
    Until(Moment),
    Forever,
}
