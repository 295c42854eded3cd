//! A value of each type, for what a rehearsal is told.

use crate::time::Calendar;
use crate::value::{self, Type, Value};

/// Some value that the type has.
pub fn sample(ty: &Type) -> Value {
    let read = |text: &str| value::from_text(ty, text).unwrap_or_default();
    match ty {
        Type::Text | Type::Id => read("sample"),
        Type::Email => read("sample@example.org"),
        Type::Phone => read("+4930123456"),
        Type::Locale => read("en"),
        Type::Timezone => read("UTC"),
        Type::Address => read("1 Example Street"),
        Type::Number(range) => {
            Value::Number(range.map_or(1, |(least, most)| 1.clamp(least, most.max(least))))
        }
        Type::Decimal(range) => {
            let one = value::Decimal::from_int(1);
            Value::Decimal(range.map_or(one, |(least, most)| one.clamp(least, most.max(least))))
        }
        Type::Percent => read("10%"),
        Type::YesNo => Value::Bool(true),
        Type::Date => read("2030-01-01"),
        Type::Time => read("12:00"),
        Type::Moment => read("2030-01-01T12:00:00Z"),
        Type::Duration => Value::Duration(Calendar::days(1)),
        Type::OneOf(words) => words.first().map_or(Value::Unknown, |word| Value::Text(word.clone())),
        Type::List(inner) => Value::List(vec![sample(inner)]),
        Type::Record(fields) => {
            Value::Record(fields.iter().map(|field| (field.name.clone(), sample(&field.ty))).collect())
        }
        Type::Optional(inner) => sample(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_value_of_its_type() {
        let one_of = Type::OneOf(["red".into(), "blue".into()].into());
        let all = [
            Type::Text,
            Type::Email,
            Type::Phone,
            Type::Id,
            Type::Locale,
            Type::Timezone,
            Type::Address,
            Type::Number(None),
            Type::Number(Some((5, 9))),
            Type::Number(Some((-9, -5))),
            Type::Decimal(None),
            Type::Percent,
            Type::YesNo,
            Type::Date,
            Type::Time,
            Type::Moment,
            Type::List(Type::Date.into()),
            Type::Number(None).optional(),
            one_of,
        ];
        for ty in all {
            let json = sample(&ty).to_json();
            assert!(!json.is_null(), "{ty}");
            assert!(value::from_json(&ty, &json).is_ok(), "{ty}: {json}");
        }
    }
}
