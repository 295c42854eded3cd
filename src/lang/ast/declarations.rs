//! Fields, types and declarations of the schema.

use super::{Clock, Duration, Expr, ExprKind, Name, Number, Text, Weekday, Zone};
use crate::diagnostic::Span;

/// `name: type = default unique pii dedupe "question"`
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: Name,
    pub ty: Type,
    pub default: Option<Expr>,
    pub modifiers: Vec<Name>,
    pub title: Option<Text>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    pub kind: TypeKind,
    /// Written with `?`.
    pub optional: bool,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// `text`, `number`, `email` … as written, with `from a to b` where given.
    Base {
        name: String,
        range: Option<(Number, Number)>,
    },
    /// `one of [a, b]`
    OneOf(Vec<Name>),
    List(Box<Type>),
    Record(Vec<Field>),
    Error,
}

#[derive(Clone, Debug, PartialEq)]
pub struct EventDecl {
    pub name: Name,
    pub title: Option<Text>,
    /// Names the event has outside: `from "Order Completed", "order_completed"`.
    pub aliases: Vec<Text>,
    pub keep: Option<Duration>,
    pub late_after: Option<Duration>,
    pub fields: Vec<Field>,
}

/// Channel, task, team, audience: a name and a block of properties.
#[derive(Clone, Debug, PartialEq)]
pub struct PropsDecl {
    pub name: Name,
    pub title: Option<Text>,
    pub props: Vec<Prop>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Prop {
    pub name: Name,
    pub value: PropValue,
    pub span: Span,
}

impl Prop {
    /// The text in quotes that it holds, and where; nothing where it has another name or holds something else.
    pub fn text(&self, name: &str) -> Option<(&str, Span)> {
        match &self.value {
            PropValue::Expr(Expr { kind: ExprKind::Text(text), span }) if self.name.text == name => {
                Some((text, *span))
            }
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum PropValue {
    Expr(Expr),
    Fields(Vec<Field>),
    Hours(Hours),
}

/// `monday to friday 09:00 to 18:00 project time`
#[derive(Clone, Debug, PartialEq)]
pub struct Hours {
    pub from_day: (Weekday, Span),
    pub to_day: Option<(Weekday, Span)>,
    pub from: Clock,
    pub to: Clock,
    pub zone: Option<Zone>,
    pub span: Span,
}

/// Segment or score.
#[derive(Clone, Debug, PartialEq)]
pub struct ExprDecl {
    pub name: Name,
    pub title: Option<Text>,
    pub expr: Expr,
}
