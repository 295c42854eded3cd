//! A value of each type: what a rehearsal is told, and what stands in a test message.

use crate::time::Calendar;
use crate::value::{self, FieldType, Type, Value};

/// Something of that type which a reader takes for a sample: a text says in brackets what stands there.
pub fn sample(name: &str, ty: &Type) -> Value {
    let read = |text: &str| value::from_text(ty, text).unwrap_or_default();
    match ty {
        Type::Text | Type::Address => read(&format!("[{name}]")),
        Type::Id => read("sample-1"),
        Type::Email => read("someone@example.com"),
        Type::Phone => read("+49301234567"),
        Type::Locale => read("en"),
        Type::Timezone => read("UTC"),
        Type::Number(range) => {
            Value::Number(range.map_or(3, |(least, most)| 3.clamp(least, most.max(least))))
        }
        Type::Decimal(range) => {
            let usual = value::Decimal(199_000);
            Value::Decimal(range.map_or(usual, |(least, most)| usual.clamp(least, most.max(least))))
        }
        Type::Percent => read("10%"),
        Type::YesNo => Value::Bool(true),
        Type::Date => read("2030-01-01"),
        Type::Time => read("10:00"),
        Type::Moment => read("2030-01-01T10:00:00Z"),
        Type::Duration => Value::Duration(Calendar::days(3)),
        Type::OneOf(words) => words.first().map_or(Value::Unknown, |word| Value::Text(word.clone())),
        Type::List(inner) => Value::List(vec![sample(name, inner), sample(name, inner)]),
        Type::Record(fields) => {
            let of_field = |field: &FieldType| (field.name.clone(), sample(&field.name, &field.ty));
            Value::Record(fields.iter().map(of_field).collect())
        }
        Type::Optional(inner) => sample(name, inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_value_of_its_type() {
        let field = |name: &str, ty: Type| FieldType { name: name.into(), ty };
        let record = Type::Record([field("name", Type::Text), field("price", Type::Decimal(None))].into());
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
            Type::List(record.into()),
            Type::Number(None).optional(),
            one_of,
        ];
        for ty in all {
            let json = sample("thing", &ty).to_json();
            assert!(!json.is_null(), "{ty}");
            assert!(value::from_json(&ty, &json).is_ok(), "{ty}: {json}");
        }
    }
}
