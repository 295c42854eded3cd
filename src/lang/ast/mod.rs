//! The syntax tree: what the author wrote, with a span on every node.
//!
//! It knows nothing of pest and nothing of meaning: names are text, types are words. Statements and expressions that could
//! not be read stand in the tree as `Error`, so that later phases stay silent about them. `PartialEq` compares spans too;
//! the formatter compares trees without their spans.

mod declarations;
mod exprs;
mod journeys;
mod policies;
mod scenes;
mod statements;
mod time;

use crate::diagnostic::Span;
pub use crate::engine::program::{AggregateFn, BinaryOp as Op};
use crate::value::Decimal;

pub use declarations::*;
pub use exprs::*;
pub use journeys::*;
pub use policies::*;
pub use scenes::*;
pub use statements::*;
pub use time::*;

/// A name as written, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// A dotted path such as `contact.plan` or `order.value`; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    pub parts: Vec<Name>,
    pub span: Span,
}

impl Path {
    /// The same as one word: `voucher.issue`.
    pub fn joined(&self) -> String {
        self.parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".")
    }
}

/// A string literal without its quotes and with its escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub value: String,
    pub span: Span,
}

/// One source file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    pub items: Vec<Item>,
    /// Every comment in order of appearance, suppressions (`# allow W0404: why`) and `# TODO:` among them.
    pub comments: Vec<Comment>,
}

/// A comment from `#` to the end of its line.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    /// The text with its `#` or `##`, without trailing blanks.
    pub text: String,
    pub span: Span,
    /// Nothing but blanks stands before it on its line.
    pub own_line: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub kind: ItemKind,
    pub span: Span,
    /// The `##` lines directly above, joined by line ends; shown by hover and `graph`.
    pub doc: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    Import(Text),
    Contact(Vec<Field>),
    Event(EventDecl),
    /// `purpose lapsing under marketing "…"`
    Purpose {
        name: Name,
        parent: Name,
        title: Option<Text>,
    },
    Channel(PropsDecl),
    Segment(ExprDecl),
    Score(ExprDecl),
    Task(PropsDecl),
    Team(PropsDecl),
    Audience(PropsDecl),
    /// `endpoint voucher.issue { … }`
    Endpoint {
        path: Path,
        title: Option<Text>,
        props: Vec<Prop>,
    },
    Survey {
        name: Name,
        title: Option<Text>,
        fields: Vec<Field>,
    },
    Pool {
        name: Name,
        title: Option<Text>,
        fields: Vec<Field>,
    },
    /// `template confirm_optin transactional because "double opt-in"`
    Template {
        name: Path,
        class: Name,
        because: Option<Text>,
    },
    Policy {
        name: Name,
        rules: Vec<Rule>,
    },
    Journey(Box<Journey>),
    Test(Test),
    /// Text that no item rule could read; reported already.
    Error,
}

/// A number as written: sign, exact value in ten-thousandths, and whether a decimal point stood in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    pub value: Decimal,
    pub has_point: bool,
    pub span: Span,
}
