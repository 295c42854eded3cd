//! Values that a test writes, as the engine wants them.

use super::matching::shown;
use super::script::instant;
use super::stage::Stage;
use crate::engine::program::{Attribute, Expr, Word};
use crate::engine::world::Fields;
use crate::lang::Compilation;
use crate::lang::ast::{self, ExprKind};
use crate::lang::types::calendar;
use crate::time::{Date, TimeOfDay, Zone};
use crate::value::{Decimal, FieldType, Type, Value};

impl<'s, 't> Stage<'s, 't> {
    pub(super) fn attributes(&self, record: &ast::Record) -> Fields {
        let attributes = &self.compilation.catalog.attributes;
        let field =
            |attribute: &Attribute| FieldType { name: attribute.name.clone(), ty: attribute.ty.clone() };
        let types: Vec<FieldType> = attributes.iter().map(field).collect();
        self.fields(Some(record), &types)
    }

    /// The event by its own name, whatever it is called outside, with its fields.
    pub(super) fn event(&self, path: &ast::Path, with: Option<&ast::Record>) -> (Word, Fields) {
        let written = path.joined();
        match self.compilation.catalog.event_named(&written) {
            Some((name, event)) => (name.clone(), self.fields(with, &event.fields)),
            None => (written.as_str().into(), self.fields(with, &[])),
        }
    }

    pub(super) fn fields(&self, record: Option<&ast::Record>, types: &[FieldType]) -> Fields {
        let pairs = record.map(|record| record.pairs.as_slice()).unwrap_or_default();
        let read = |(name, value): &(ast::Name, ast::Expr)| {
            let ty = types.iter().find(|field| *field.name == *name.text).map(|field| &field.ty);
            (Word::from(name.text.as_str()), typed(self.constant(value), ty))
        };
        pairs.iter().map(read).collect()
    }
}

/// The value of a literal: as the checker elaborated it, or as it is written.
pub(super) fn constant(compilation: &Compilation, zone: &Zone, expr: &ast::Expr) -> Value {
    let checked = compilation.checked.exprs.get(&expr.span).and_then(|typed| folded(&typed.expr));
    checked.unwrap_or_else(|| literal(zone, expr))
}

fn folded(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::Const(value) => Some(value.clone()),
        Expr::ToDecimal(inner) => Some(typed(folded(inner)?, Some(&Type::Decimal(None)))),
        Expr::List(items) => items.iter().map(folded).collect::<Option<_>>().map(Value::List),
        Expr::Record(pairs) => {
            let pair = |(name, value): &(Word, Expr)| Some((name.clone(), folded(value)?));
            pairs.iter().map(pair).collect::<Option<_>>().map(Value::Record)
        }
        _ => None,
    }
}

fn literal(zone: &Zone, expr: &ast::Expr) -> Value {
    let number = |number: &ast::Number| match number.has_point {
        true => Value::Decimal(number.value),
        false => Value::Number(number.value.trunc()),
    };
    match &expr.kind {
        ExprKind::Text(text) => Value::text(text),
        ExprKind::Number(written) => number(written),
        ExprKind::Percent(written) => Value::Percent(written.value),
        ExprKind::Bool(yes) => Value::Bool(*yes),
        ExprKind::Date(date) => {
            Date::new(date.year, date.month, date.day).map_or(Value::Unknown, Value::Date)
        }
        ExprKind::Time(time) => {
            TimeOfDay::new(time.hour, time.minute, time.second).map_or(Value::Unknown, Value::Time)
        }
        ExprKind::Moment(date, time) => instant(date, time, zone).map_or(Value::Unknown, Value::Moment),
        ExprKind::Duration(duration) => Value::Duration(calendar(duration)),
        ExprKind::Path(path) => Value::text(&path.joined()),
        ExprKind::List(items) => Value::List(items.iter().map(|item| literal(zone, item)).collect()),
        ExprKind::Record(record) => {
            let pair = |(name, value): &(ast::Name, ast::Expr)| {
                (Word::from(name.text.as_str()), literal(zone, value))
            };
            Value::Record(record.pairs.iter().map(pair).collect())
        }
        ExprKind::Negate(inner) => match literal(zone, inner) {
            Value::Number(n) => Value::Number(n.saturating_neg()),
            Value::Decimal(d) => Value::Decimal(Decimal(d.0.saturating_neg())),
            other => other,
        },
        _ => Value::Unknown,
    }
}

/// The value as its declared type has it: whole numbers become decimals where money is meant.
pub(super) fn typed(value: Value, ty: Option<&Type>) -> Value {
    match (value, ty.map(Type::required)) {
        (Value::Number(n), Some(Type::Decimal(_))) => Value::Decimal(Decimal::from_int(n)),
        (Value::List(items), Some(Type::List(inner))) => {
            Value::List(items.into_iter().map(|item| typed(item, Some(inner))).collect())
        }
        (Value::Record(pairs), Some(Type::Record(fields))) => {
            let of = |name: &Word| fields.iter().find(|field| field.name == *name).map(|field| &field.ty);
            let pair = |(name, value): (Word, Value)| {
                let value = typed(value, of(&name));
                (name, value)
            };
            Value::Record(pairs.into_iter().map(pair).collect())
        }
        (value, _) => value,
    }
}

/// ` { source: "web" }` in the order of the text, or nothing.
pub(super) fn with_words(fields: &Fields, written: Option<&ast::Record>, zone: &Zone) -> String {
    let pairs = written.map(|record| record.pairs.as_slice()).unwrap_or_default();
    let pair = |(name, _): &(ast::Name, ast::Expr)| {
        let value = fields.get(name.text.as_str()).map_or_else(String::new, |value| shown(value, zone));
        format!("{}: {value}", name.text)
    };
    match pairs {
        [] => String::new(),
        pairs => format!(" {{ {} }}", pairs.iter().map(pair).collect::<Vec<_>>().join(", ")),
    }
}
