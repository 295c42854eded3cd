//! Fields as text: attributes of contacts, properties of events, values given to messages.
//!
//! Plain JSON where JSON has the type, so that people can read the tables; what it lacks is an object with one key that no field
//! can have, such as `{"$date": "2026-12-24"}`. It needs no schema to be read back, so a changed schema loses nothing.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Error, Result};
use crate::engine::world::Fields;
use crate::time::{Calendar, TimeOfDay, Timestamp};
use crate::value::{Decimal, Value};

/// The text of some fields.
pub(super) fn to_text(fields: &Fields) -> String {
    serde_json::to_string(&PlainFields(fields)).expect("fields have no keys but texts")
}

/// The fields of a text.
pub(super) fn from_text(text: &str) -> Result<Fields> {
    let OwnedFields(fields) = serde_json::from_str(text)
        .map_err(|error| Error::Unreadable { what: "record", why: error.to_string() })?;
    Ok(fields)
}

struct PlainFields<'a>(&'a Fields);

impl Serialize for PlainFields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &Plain(value))?;
        }
        map.end()
    }
}

struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Unknown => to.serialize_unit(),
            Value::Text(text) => to.serialize_str(text),
            Value::Number(n) => to.serialize_i64(*n),
            Value::Bool(yes) => to.serialize_bool(*yes),
            Value::Decimal(decimal) => tagged(to, "$decimal", &decimal.0),
            Value::Percent(share) => tagged(to, "$percent", &share.0),
            Value::Date(date) => tagged(to, "$date", &date.to_string()),
            Value::Time(time) => tagged(to, "$time", &time.0),
            Value::Moment(at) => tagged(to, "$moment", &at.0),
            Value::Duration(span) => {
                tagged(to, "$duration", &(span.months, span.days, span.working_days, span.ms))
            }
            Value::List(items) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Plain(item))?;
                }
                list.end()
            }
            Value::Record(fields) => PlainFields(fields).serialize(to),
        }
    }
}

fn tagged<S: Serializer>(to: S, tag: &'static str, value: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(1))?;
    map.serialize_entry(tag, value)?;
    map.end()
}

struct OwnedFields(Fields);

impl<'de> Deserialize<'de> for OwnedFields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<OwnedFields, D::Error> {
        struct FieldsReader;
        impl<'de> Visitor<'de> for FieldsReader {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("stored fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::new();
                while let Some((Name(name), Owned(value))) = map.next_entry()? {
                    fields.insert(name, value);
                }
                Ok(fields)
            }
        }
        from.deserialize_map(FieldsReader).map(OwnedFields)
    }
}

/// The name of a field. A project has few of them, and each is in every record: they are shared.
struct Name(Arc<str>);

/// Names shared by a thread at most; what somebody sends who makes up names must not stay for ever.
const SHARED_NAMES: usize = 1_024;

thread_local! {
    static NAMES: RefCell<HashSet<Arc<str>, foldhash::fast::FixedState>> = RefCell::default();
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Name, D::Error> {
        struct NameReader;
        impl Visitor<'_> for NameReader {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name(shared(name)))
            }
        }
        from.deserialize_str(NameReader)
    }
}

fn shared(name: &str) -> Arc<str> {
    NAMES.with_borrow_mut(|names| {
        if let Some(known) = names.get(name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        if names.len() < SHARED_NAMES {
            names.insert(new.clone());
        }
        new
    })
}

struct Owned(Value);

impl<'de> Deserialize<'de> for Owned {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Owned, D::Error> {
        from.deserialize_any(Reader).map(Owned)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stored value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Unknown)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Bool(yes))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Number(n))
    }

    fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Value, E> {
        i64::try_from(n).map(Value::Number).map_err(|_| E::custom("a number beyond 64 bits"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Owned(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Fields::new();
        while let Some(Name(name)) = map.next_key()? {
            if name.starts_with('$') {
                return read_tagged(&name, &mut map);
            }
            fields.insert(name, map.next_value::<Owned>()?.0);
        }
        Ok(Value::Record(fields))
    }
}

fn read_tagged<'de, A: MapAccess<'de>>(tag: &str, map: &mut A) -> Result<Value, A::Error> {
    Ok(match tag {
        "$decimal" => Value::Decimal(Decimal(map.next_value()?)),
        "$percent" => Value::Percent(Decimal(map.next_value()?)),
        "$date" => {
            let text: String = map.next_value()?;
            Value::Date(text.parse().map_err(|_| A::Error::custom("no date"))?)
        }
        "$time" => Value::Time(TimeOfDay(map.next_value()?)),
        "$moment" => Value::Moment(Timestamp(map.next_value()?)),
        "$duration" => {
            let (months, days, working_days, ms) = map.next_value()?;
            Value::Duration(Calendar { months, days, working_days, ms })
        }
        other => return Err(A::Error::custom(format!("unknown kind of value {other}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Date;

    #[test]
    fn every_kind_of_value_comes_back_as_it_was() {
        let record = Fields::from([
            ("sku".into(), Value::text("a\"1")),
            ("price".into(), Value::Decimal(Decimal(15_000))),
        ]);
        let values = [
            Value::Unknown,
            Value::text("Grüße\n"),
            Value::Number(i64::MIN),
            Value::Decimal(Decimal(-898_901)),
            Value::Percent(Decimal(105_000)),
            Value::Bool(true),
            Value::Date(Date::new(2026, 12, 24).expect("a date")),
            Value::Time(TimeOfDay(3_661)),
            Value::Moment(Timestamp(1_800_000_000_123)),
            Value::Duration(Calendar { months: 1, days: -2, working_days: 3, ms: 4 }),
            Value::List(vec![Value::Number(1), Value::List(Vec::new())]),
            Value::Record(record),
            Value::Record(Fields::new()),
        ];
        let fields: Fields =
            values.into_iter().enumerate().map(|(i, v)| (format!("f{i}").into(), v)).collect();
        let text = to_text(&fields);
        assert!(text.contains(r#""f3":{"$decimal":-898901}"#), "{text}");
        assert_eq!(from_text(&text).expect("read back"), fields);
    }

    #[test]
    fn what_nobody_wrote_is_refused() {
        for bad in ["", "[]", r#"{"a":1.5}"#, r#"{"a":{"$later":1}}"#] {
            assert!(from_text(bad).is_err(), "{bad}");
        }
    }
}
