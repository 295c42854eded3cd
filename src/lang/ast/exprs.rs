//! Expressions.

use super::{AggregateFn, Clock, Date, Duration, Name, Number, Op, Path, Weekday, Window, Zone};
use crate::diagnostic::Span;

#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    Text(String),
    Number(Number),
    Percent(Number),
    Bool(bool),
    Date(Date),
    Time(Clock),
    Moment(Date, Clock),
    Duration(Duration),
    /// `known`, `unknown` or `empty` to the right of `is`.
    Presence(Presence),
    Path(Path),
    List(Vec<Expr>),
    Record(Record),
    /// `consent marketing on email, sms`
    Consent(ConsentOf),
    /// `today is not weekday between 09:00 and 17:00 project time`
    DayTest {
        negated: bool,
        day: Weekday,
        window: Option<Window>,
        zone: Option<Zone>,
    },
    Aggregate(Box<Aggregate>),
    Call {
        function: Name,
        args: Vec<Expr>,
    },
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary {
        op: Op,
        op_span: Span,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Known,
    Unknown,
    Empty,
}

/// `last 3(viewed.sku as v where v.price > 10 within 30 days)`
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    pub function: AggregateFn,
    /// The number in `last 3(…)`.
    pub newest: Option<Number>,
    /// `event` or `event.field`.
    pub of: Path,
    pub name: Option<Name>,
    pub filter: Option<Expr>,
    /// Missing reach is E0415.
    pub reach: Option<Reach>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    Within(Duration),
    /// `since entry`, `since reminder`
    Since(Path),
    Ever,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ConsentOf {
    pub purpose: Name,
    pub channels: Vec<Name>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub pairs: Vec<(Name, Expr)>,
    pub span: Span,
}
