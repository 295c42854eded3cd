//! Types and durations as the checker sees them: what fits what, and how it is said.

use std::sync::Arc;

use super::ast;
use crate::engine::program::{Days, ZoneRef};
use crate::time::{Calendar, HOUR, MINUTE, SECOND};
use crate::value::{Decimal, FieldType, Type};

/// The duration that the author wrote. Fractions are exact for elapsed units (`1.5 hours`) and cut off for calendar units,
/// where the checker refuses them.
pub fn calendar(duration: &ast::Duration) -> Calendar {
    let mut sum = Calendar::default();
    for (number, unit) in &duration.parts {
        let whole = number.value.trunc();
        let count = whole.clamp(-(1 << 26), 1 << 26) as i32;
        let elapsed = |ms: i64| {
            let exact = i128::from(number.value.0) * i128::from(ms) / i128::from(Decimal::ONE);
            i64::try_from(exact).unwrap_or(i64::MAX / 4)
        };
        match unit {
            ast::Unit::Second => sum.ms = sum.ms.saturating_add(elapsed(SECOND)),
            ast::Unit::Minute => sum.ms = sum.ms.saturating_add(elapsed(MINUTE)),
            ast::Unit::Hour => sum.ms = sum.ms.saturating_add(elapsed(HOUR)),
            ast::Unit::Day => sum.days = sum.days.saturating_add(count),
            ast::Unit::WorkingDay => sum.working_days = sum.working_days.saturating_add(count),
            ast::Unit::Week => sum.days = sum.days.saturating_add(count.saturating_mul(7)),
            ast::Unit::Month => sum.months = sum.months.saturating_add(count),
            ast::Unit::Year => sum.months = sum.months.saturating_add(count.saturating_mul(12)),
        }
    }
    sum
}

/// A part of a calendar unit in whole ones: `1 day and 12 hours` for 1.5 days. `None` where the unit may have parts.
pub fn whole_duration(value: Decimal, unit: &str) -> Option<String> {
    let counted = |count: i64, unit: &str| {
        (count > 0).then(|| format!("{count} {unit}{}", if count == 1 { "" } else { "s" }))
    };
    let split = |parts: i64, whole: &str, part: &str| {
        let all = (value.0.checked_mul(parts)? + Decimal::ONE / 2) / Decimal::ONE;
        let pieces: Vec<String> =
            [counted(all / parts, whole), counted(all % parts, part)].into_iter().flatten().collect();
        (!pieces.is_empty()).then(|| pieces.join(" and "))
    };
    match unit.trim_end_matches('s') {
        "day" => split(24, "day", "hour"),
        "week" => Some(Decimal(value.0.checked_mul(7)?)).and_then(|days| whole_duration(days, "day")),
        "month" => split(30, "month", "day"),
        "year" => split(12, "year", "month"),
        _ => None,
    }
}

/// The days that a word such as `monday` or `weekday` means.
pub fn days(day: ast::Weekday) -> Days {
    let (mask, working) = match day {
        ast::Weekday::Monday => (0b000_0001, false),
        ast::Weekday::Tuesday => (0b000_0010, false),
        ast::Weekday::Wednesday => (0b000_0100, false),
        ast::Weekday::Thursday => (0b000_1000, false),
        ast::Weekday::Friday => (0b001_0000, false),
        ast::Weekday::Saturday => (0b010_0000, false),
        ast::Weekday::Sunday => (0b100_0000, false),
        ast::Weekday::Weekday => (0b001_1111, false),
        ast::Weekday::Weekend => (0b110_0000, false),
        ast::Weekday::WorkingDay => (0b001_1111, true),
        ast::Weekday::Day => (0b111_1111, false),
    };
    Days { mask, working }
}

/// The zone that is written, or the usual one of the place.
pub fn zone_ref(zone: Option<&ast::Zone>, usual: ZoneRef) -> ZoneRef {
    match zone.map(|zone| &zone.kind) {
        None => usual,
        Some(ast::ZoneKind::Contact) => ZoneRef::Contact,
        Some(ast::ZoneKind::Project) => ZoneRef::Project,
        Some(ast::ZoneKind::Named(name)) => ZoneRef::Named(name.value.as_str().into()),
    }
}

/// Whether a value of one type can stand where the other is wanted, optional or not left aside. E-mail addresses, ids and the
/// like are texts; a text is none of them; a number can stand for a decimal.
pub fn fits(from: &Type, to: &Type) -> bool {
    match (from.required(), to.required()) {
        (Type::Number(_), Type::Number(_) | Type::Decimal(_)) | (Type::Decimal(_), Type::Decimal(_)) => true,
        (Type::OneOf(values), Type::OneOf(all)) => values.iter().all(|value| all.contains(value)),
        (Type::OneOf(_), Type::Text) => true,
        (from, Type::Text) => is_textual(from),
        (Type::List(from), Type::List(to)) => fits(from, to) && from.is_optional() <= to.is_optional(),
        (Type::Record(from), Type::Record(to)) => to.iter().all(|wanted| match field(from, &wanted.name) {
            Some(given) => fits(given, &wanted.ty) && given.is_optional() <= wanted.ty.is_optional(),
            None => wanted.ty.is_optional(),
        }),
        (from, to) => from == to,
    }
}

/// Whether two types can be compared by `is`.
pub fn comparable(a: &Type, b: &Type) -> bool {
    let shared = match (a.required(), b.required()) {
        (Type::OneOf(a), Type::OneOf(b)) => a.iter().any(|value| b.contains(value)),
        _ => false,
    };
    shared || fits(a, b) || fits(b, a)
}

/// Whether `<` and its kin mean something for the type.
pub fn is_ordered(ty: &Type) -> bool {
    matches!(ty.required(), Type::Date | Type::Time | Type::Moment | Type::Duration | Type::Percent)
        || is_numeric(ty)
}

/// Numbers and decimals.
pub fn is_numeric(ty: &Type) -> bool {
    matches!(ty.required(), Type::Number(_) | Type::Decimal(_))
}

/// Text and everything that is written as text.
pub fn is_textual(ty: &Type) -> bool {
    matches!(
        ty.required(),
        Type::Text | Type::Email | Type::Phone | Type::Id | Type::Locale | Type::Timezone | Type::Address
    )
}

/// The type of a field in a list of fields.
pub fn field<'a>(fields: &'a [FieldType], name: &str) -> Option<&'a Type> {
    fields.iter().find(|field| &*field.name == name).map(|field| &field.ty)
}

/// The fields that all the lists have, with equal types; optional where one of them is.
pub fn common(lists: &[&[FieldType]]) -> Vec<FieldType> {
    let Some((first, rest)) = lists.split_first() else { return Vec::new() };
    let shared = first.iter().filter_map(|wanted| {
        let mut ty = wanted.ty.clone();
        for list in rest {
            let other = field(list, &wanted.name)?;
            if other.required() != ty.required() {
                return None;
            }
            ty = if other.is_optional() { ty.optional() } else { ty };
        }
        Some(FieldType { name: wanted.name.clone(), ty })
    });
    shared.collect()
}

/// The type as a noun with its article: `a date`, `text`, `a list of text`.
pub fn noun(ty: &Type) -> String {
    match ty.required() {
        Type::Text => "text".to_owned(),
        Type::YesNo => "yes or no".to_owned(),
        Type::Percent => "a percentage".to_owned(),
        Type::OneOf(values) => format!("one of {}", some_of(values.iter().map(|value| &**value))),
        Type::Record(_) => "a record".to_owned(),
        Type::Email => "an e-mail address".to_owned(),
        Type::Phone => "a phone number".to_owned(),
        Type::Time => "a clock time".to_owned(),
        Type::Timezone => "a time zone".to_owned(),
        Type::Id | Type::Address => format!("an {}", ty.required()),
        Type::Number(_)
        | Type::Decimal(_)
        | Type::Date
        | Type::Moment
        | Type::Duration
        | Type::Locale
        | Type::List(_) => format!("a {}", ty.required()),
        Type::Optional(inner) => noun(inner),
    }
}

/// Up to eight names, separated by commas.
pub fn some_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.len() {
        0..=8 => names.join(", "),
        _ => format!("{}, …", names[..8].join(", ")),
    }
}

/// A listed type of these names.
pub fn one_of<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Type {
    let names: Vec<Arc<str>> = names.into_iter().map(|name| Arc::from(name.as_ref())).collect();
    Type::OneOf(names.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_address_is_text_but_text_is_no_mail_address() {
        assert!(fits(&Type::Email, &Type::Text) && !fits(&Type::Text, &Type::Email));
        assert!(comparable(&Type::Text, &Type::Email));
        assert!(!comparable(&Type::Id, &Type::Email));
        assert!(
            fits(&Type::Number(None), &Type::Decimal(None))
                && !fits(&Type::Decimal(None), &Type::Number(None))
        );
        assert!(fits(&one_of(["a"]), &one_of(["a", "b"])) && !fits(&one_of(["a", "c"]), &one_of(["a", "b"])));
    }

    #[test]
    fn events_share_the_fields_with_equal_types() {
        let id = |ty| FieldType { name: "id".into(), ty };
        let value = FieldType { name: "value".into(), ty: Type::Decimal(None) };
        let a = [id(Type::Id), value.clone()];
        let b = [id(Type::Id.optional()), FieldType { name: "value".into(), ty: Type::Text }];
        assert_eq!(common(&[&a, &b]), [id(Type::Id.optional())]);
        assert_eq!(common(&[&a]), a);
    }
}
