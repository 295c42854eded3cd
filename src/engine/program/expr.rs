//! Expressions, and the moments that are made of them.

use serde::{Deserialize, Serialize};

use super::{SlotIx, Word};
use crate::time::{Calendar, Date};
use crate::value::Value;

/// A typed expression; the checker has proved that it cannot go wrong but by a value that vanished since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Expr {
    Const(Value),
    /// An attribute of the contact, its default where unset.
    Attribute(Word),
    /// `contact.id` as text.
    ContactId,
    /// What is in a slot: the value of a `let`, the record of an event or result.
    Slot(SlotIx),
    /// A field of a record; missing gives `Unknown`. Results have the fields of section 2.2 of the language (`happened`, …).
    Field(Box<Expr>, Word),
    /// The event under test inside an aggregate's `where`.
    Row,
    /// When the step in that slot was done, slot 0: entry.
    MomentOf(SlotIx),
    Consent {
        purpose: Word,
        channels: Vec<Word>,
    },
    DayTest {
        negated: bool,
        days: Days,
        window: Option<Box<(Expr, Expr)>>,
        zone: ZoneRef,
    },
    Aggregate(Box<Aggregate>),
    /// Segments and scores are inlined by name, so that a change of one reaches conditions at once.
    Segment(Word),
    Score(Word),
    Call(Function, Vec<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    /// `x is known`
    Known(Box<Expr>),
    /// `x is empty`
    Empty(Box<Expr>),
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    Record(Vec<(Word, Expr)>),
    /// A number where a decimal is wanted.
    ToDecimal(Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BinaryOp {
    Mul,
    Div,
    Add,
    Sub,
    Otherwise,
    Lt,
    Le,
    Gt,
    Ge,
    Is,
    IsNot,
    In,
    NotIn,
    Has,
    HasAnyOf,
    HasAllOf,
    And,
    Or,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    Now,
    Today,
    Year,
    Month,
    Day,
    DaysBetween,
    Round,
    Lower,
    Length,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    pub function: AggregateFn,
    /// `last 3(…)`
    pub newest: Option<u32>,
    pub event: Word,
    pub field: Option<Word>,
    /// Over [`Expr::Row`].
    pub filter: Option<Expr>,
    pub reach: Reach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AggregateFn {
    Count,
    Sum,
    Average,
    Highest,
    Lowest,
    Last,
    First,
    Any,
    None,
}

impl AggregateFn {
    /// The word of the language for it.
    pub fn word(self) -> &'static str {
        match self {
            AggregateFn::Count => "count",
            AggregateFn::Sum => "sum",
            AggregateFn::Average => "average",
            AggregateFn::Highest => "highest",
            AggregateFn::Lowest => "lowest",
            AggregateFn::Last => "last",
            AggregateFn::First => "first",
            AggregateFn::Any => "any",
            AggregateFn::None => "none",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reach {
    Within(Calendar),
    Since(SlotIx),
    Ever,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days {
    /// Bit 0 is Monday.
    pub mask: u8,
    /// Holidays do not count.
    pub working: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZoneRef {
    Contact,
    Project,
    Named(Word),
}

/// What stands after `until` and `before`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    pub kind: MomentKind,
    pub zone: ZoneRef,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MomentKind {
    /// Now or later; without a clock time, that of the beginning of the wait.
    Weekday { days: Days, at: Option<Expr> },
    /// Inside the window it is satisfied, otherwise its next opening. Includes `from`, excludes `to`; may cross midnight.
    Window { days: Days, from: Expr, to: Expr },
    /// The next time the clock shows it; satisfied at exactly that time.
    Time(Expr),
    /// An instant or a date (then the clock time, or the start of the day).
    Fixed { date: Date, at: Option<Expr> },
    /// The value of `anchor` (a moment or a date), moved by the offset, at the clock time if one is given. `follows` names the
    /// attribute whose change re-arms the wait.
    Anchor { anchor: Expr, offset: Calendar, at: Option<Expr>, follows: Option<Word> },
}
