//! Fields and types as they are declared: of events, answers, arguments, returns.

use std::collections::HashMap;

use super::findings::{Findings, finding, twice};
use crate::diagnostic::{Code, Span};
use crate::lang::ast::{self, Field};
use crate::lang::types;
use crate::value::{FieldType, Type};

/// Words that results use, so that no event field may have them.
const OUTCOME_WORDS: [&str; 18] = [
    "happened",
    "missed",
    "event",
    "late",
    "sent",
    "delivered",
    "opened",
    "clicked",
    "bounced",
    "complained",
    "replied",
    "failed",
    "skipped",
    "unreachable",
    "answered",
    "outcome",
    "exit",
    "number",
];

/// A type as written, or E0102, E0103, E0113 for what makes no sense.
pub(super) fn field_type(out: &mut Findings, ty: &ast::Type) -> Option<Type> {
    if let ast::TypeKind::OneOf(names) = &ty.kind {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for name in names {
            if let Some(first) = seen.insert(&name.text, name.span) {
                out.push(twice("the value", name, first));
            }
        }
    }
    if let ast::TypeKind::Base { name, range: Some((low, high)) } = &ty.kind {
        if !matches!(name.as_str(), "number" | "decimal") {
            let message = format!("only numbers have a range, not {name}");
            out.push(finding(Code::E0103, low.span.to(high.span), message).label("no range here"));
            return None;
        }
        if low.value > high.value {
            out.push(
                finding(Code::E0113, low.span.to(high.span), "this range is empty: it begins above its end")
                    .label("from the smaller to the larger"),
            );
            return None;
        }
    }
    if let ast::TypeKind::Record(fields) = &ty.kind {
        fields_of(out, fields, false);
    }
    if let ast::TypeKind::List(inner) = &ty.kind {
        field_type(out, inner)?;
    }
    type_quietly(ty)
}

/// The fields of an event, of answers, of what a request returns.
pub(super) fn fields_of(out: &mut Findings, fields: &[Field], of_event: bool) -> Vec<FieldType> {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    let mut read = Vec::new();
    for field in fields {
        if let Some(first) = seen.insert(&field.name.text, field.name.span) {
            out.push(twice("the field", &field.name, first));
            continue;
        }
        if of_event && OUTCOME_WORDS.contains(&field.name.text.as_str()) {
            let message = format!("`{}` is what the result of a step is asked for", field.name.text);
            out.push(
                finding(Code::E0112, field.name.span, message)
                    .label("no name for a field")
                    .help(format!("call it `{}_on` or `{}_by`, say", field.name.text, field.name.text)),
            );
            continue;
        }
        if of_event && matches!(field.name.text.as_str(), "id" | "at") {
            let message = format!("every event has `{}` by itself", field.name.text);
            out.push(
                finding(Code::E0102, field.name.span, message)
                    .label("declared by the language")
                    .help(format!("call it `event_{}`, say", field.name.text)),
            );
            continue;
        }
        if let Some(default) = &field.default {
            out.push(
                finding(Code::E0103, default.span, "only attributes of the contact have defaults")
                    .label("not here")
                    .help("make the field optional, and use `otherwise` where it is read"),
            );
        }
        if let Some(ty) = field_type(out, &field.ty) {
            read.push(FieldType { name: field.name.text.as_str().into(), ty });
        }
    }
    read
}

/// The type as written, without a word about what is wrong with it.
pub(super) fn type_quietly(ty: &ast::Type) -> Option<Type> {
    let read = match &ty.kind {
        ast::TypeKind::Base { name, range } => match (name.as_str(), range) {
            ("text", _) => Type::Text,
            ("email", _) => Type::Email,
            ("phone", _) => Type::Phone,
            ("id", _) => Type::Id,
            ("locale", _) => Type::Locale,
            ("timezone", _) => Type::Timezone,
            ("address", _) => Type::Address,
            ("number", range) => {
                Type::Number(range.map(|(low, high)| (low.value.trunc(), high.value.trunc())))
            }
            ("decimal", range) => Type::Decimal(range.map(|(low, high)| (low.value, high.value))),
            ("percent", _) => Type::Percent,
            ("yesno", _) => Type::YesNo,
            ("date", _) => Type::Date,
            ("time", _) => Type::Time,
            ("moment", _) => Type::Moment,
            ("duration", _) => Type::Duration,
            _ => return None,
        },
        ast::TypeKind::OneOf(names) => types::one_of(names.iter().map(|name| &name.text)),
        ast::TypeKind::List(inner) => Type::List(type_quietly(inner)?.into()),
        ast::TypeKind::Record(fields) => Type::Record(fields_quietly(fields).into()),
        ast::TypeKind::Error => return None,
    };
    Some(if ty.optional { read.optional() } else { read })
}

/// The fields as written, without a word about what is wrong with them.
pub(super) fn fields_quietly(fields: &[Field]) -> Vec<FieldType> {
    let read = |field: &Field| {
        Some(FieldType { name: field.name.text.as_str().into(), ty: type_quietly(&field.ty)? })
    };
    fields.iter().filter_map(read).collect()
}
