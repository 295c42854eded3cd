//! Values: what attributes, event properties, variables and template data are made of, and their way to JSON and back.
//!
//! No floating point anywhere: money and shares are [`Decimal`], exact to four places. Arithmetic saturates and says so.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::{Calendar, Date, TimeOfDay, Timestamp};

/// An exact decimal number: a count of ten-thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Decimal(pub i64);

impl Decimal {
    /// Ten-thousandths in one.
    pub const ONE: i64 = 10_000;

    /// The decimal of a whole number, saturating.
    pub fn from_int(n: i64) -> Self {
        Decimal(n.saturating_mul(Self::ONE))
    }

    /// The whole part, towards zero.
    pub fn trunc(self) -> i64 {
        self.0 / Self::ONE
    }

    /// Rounded to the nearest whole number, halves away from zero.
    pub fn round(self) -> i64 {
        let half = Self::ONE / 2;
        if self.0 >= 0 {
            self.0.saturating_add(half) / Self::ONE
        } else {
            self.0.saturating_sub(half) / Self::ONE
        }
    }

    /// Whether nothing stands behind the point.
    pub fn is_whole(self) -> bool {
        self.0 % Self::ONE == 0
    }

    /// The product, rounded towards zero; `None` when it does not fit.
    pub fn checked_mul(self, other: Decimal) -> Option<Decimal> {
        let product = i128::from(self.0) * i128::from(other.0) / i128::from(Self::ONE);
        i64::try_from(product).ok().map(Decimal)
    }

    /// The quotient, rounded towards zero; `None` for a zero divisor or when it does not fit.
    pub fn checked_div(self, other: Decimal) -> Option<Decimal> {
        if other.0 == 0 {
            return None;
        }
        let quotient = i128::from(self.0) * i128::from(Self::ONE) / i128::from(other.0);
        i64::try_from(quotient).ok().map(Decimal)
    }
}

impl fmt::Display for Decimal {
    /// At least two places when anything stands behind the point: `89.90`, `3`, `0.0375`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, rest) =
            (self.0.unsigned_abs() / Self::ONE as u64, self.0.unsigned_abs() % Self::ONE as u64);
        match rest {
            0 => write!(f, "{sign}{whole}"),
            r if r % 100 == 0 => write!(f, "{sign}{whole}.{:02}", r / 100),
            r if r % 10 == 0 => write!(f, "{sign}{whole}.{:03}", r / 10),
            r => write!(f, "{sign}{whole}.{r:04}"),
        }
    }
}

/// The text was no decimal number, or too large or too fine for four places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDecimal;

impl FromStr for Decimal {
    type Err = NoDecimal;

    /// Reads `-1234.5678`; zeros behind the fourth place are dropped, other digits there refused. JSON's exponent form is
    /// read too when the result is exact.
    fn from_str(text: &str) -> Result<Self, NoDecimal> {
        let (text, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, e)) => (mantissa, e.parse::<i32>().map_err(|_| NoDecimal)?),
            None => (text, 0),
        };
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || exponent.abs() > 30 {
            return Err(NoDecimal);
        }
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa
                .checked_mul(10)
                .and_then(|m| m.checked_add(i128::from(digit - b'0')))
                .ok_or(NoDecimal)?;
        }
        let mut scale = 4 + exponent - i32::try_from(fraction.len()).map_err(|_| NoDecimal)?;
        while scale > 0 {
            mantissa = mantissa.checked_mul(10).ok_or(NoDecimal)?;
            scale -= 1;
        }
        while scale < 0 {
            if mantissa % 10 != 0 {
                return Err(NoDecimal);
            }
            mantissa /= 10;
            scale += 1;
        }
        let value = if negative { -mantissa } else { mantissa };
        i64::try_from(value).map(Decimal).map_err(|_| NoDecimal)
    }
}

/// One value at run time. Enum values are texts: the checker has proved them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Missing. It never equals anything, itself included, in the language; [`PartialEq`] here is structural.
    #[default]
    Unknown,
    Text(Arc<str>),
    Number(i64),
    Decimal(Decimal),
    /// A share: `10%` is 10.
    Percent(Decimal),
    Bool(bool),
    Date(Date),
    Time(TimeOfDay),
    Moment(Timestamp),
    Duration(Calendar),
    List(Vec<Value>),
    Record(BTreeMap<Arc<str>, Value>),
}

impl Value {
    /// A text value.
    pub fn text(text: &str) -> Self {
        Value::Text(text.into())
    }

    /// Whether a value is there.
    pub fn is_known(&self) -> bool {
        !matches!(self, Value::Unknown)
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The JSON that templates, the outbox and the API see: decimals are strings (`"89.90"`), percents too (`"10%"`), dates
    /// and times ISO 8601 strings, moments RFC 3339 in UTC, a missing value null.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Value::Unknown => Json::Null,
            Value::Text(text) => Json::String(text.to_string()),
            Value::Number(n) => Json::from(*n),
            Value::Decimal(d) => Json::String(d.to_string()),
            Value::Percent(d) => Json::String(format!("{d}%")),
            Value::Bool(b) => Json::Bool(*b),
            Value::Date(date) => Json::String(date.to_string()),
            Value::Time(time) => Json::String(time.to_string()),
            Value::Moment(at) => Json::String(at.to_string()),
            Value::Duration(span) => Json::String(span.to_string()),
            Value::List(items) => Json::Array(items.iter().map(Value::to_json).collect()),
            Value::Record(fields) => {
                Json::Object(fields.iter().map(|(k, v)| (k.to_string(), v.to_json())).collect())
            }
        }
    }
}

/// The types a [`Value`] can have: what the schema declares, and by which JSON is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Type {
    Text,
    Email,
    Phone,
    Id,
    Locale,
    Timezone,
    Address,
    /// With the range of `number from 0 to 10`.
    Number(Option<(i64, i64)>),
    /// With its range in ten-thousandths.
    Decimal(Option<(Decimal, Decimal)>),
    Percent,
    YesNo,
    Date,
    Time,
    Moment,
    Duration,
    OneOf(Arc<[Arc<str>]>),
    List(Arc<Type>),
    Record(Arc<[FieldType]>),
    /// `T?`; never nested.
    Optional(Arc<Type>),
}

/// One field of a record, an event or the contact.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldType {
    pub name: Arc<str>,
    pub ty: Type,
}

impl Type {
    /// The type without its `?`.
    pub fn required(&self) -> &Type {
        match self {
            Type::Optional(inner) => inner,
            other => other,
        }
    }

    /// Whether a value may be missing.
    pub fn is_optional(&self) -> bool {
        matches!(self, Type::Optional(_))
    }

    /// The type with `?`.
    #[must_use]
    pub fn optional(self) -> Type {
        match self {
            Type::Optional(_) => self,
            other => Type::Optional(Arc::new(other)),
        }
    }
}

impl fmt::Display for Type {
    /// As an author would write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Text => f.write_str("text"),
            Type::Email => f.write_str("email"),
            Type::Phone => f.write_str("phone"),
            Type::Id => f.write_str("id"),
            Type::Locale => f.write_str("locale"),
            Type::Timezone => f.write_str("timezone"),
            Type::Address => f.write_str("address"),
            Type::Number(_) => f.write_str("number"),
            Type::Decimal(_) => f.write_str("decimal"),
            Type::Percent => f.write_str("percent"),
            Type::YesNo => f.write_str("yesno"),
            Type::Date => f.write_str("date"),
            Type::Time => f.write_str("time"),
            Type::Moment => f.write_str("moment"),
            Type::Duration => f.write_str("duration"),
            Type::OneOf(values) => write!(f, "one of [{}]", values.join(", ")),
            Type::List(inner) => write!(f, "list of {inner}"),
            Type::Record(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|field| format!("{}: {}", field.name, field.ty)).collect();
                write!(f, "{{ {} }}", fields.join(", "))
            }
            Type::Optional(inner) => write!(f, "{inner}?"),
        }
    }
}

/// Why a JSON value does not fit a type: the path inside the value, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Such as `items[2].price`; empty for the value itself.
    pub path: String,
    /// Such as `expected a decimal number, found text`.
    pub message: String,
}

impl Misfit {
    fn here(message: impl Into<String>) -> Self {
        Misfit { path: String::new(), message: message.into() }
    }

    fn under(mut self, step: &str) -> Self {
        self.path = match self.path.as_str() {
            "" => step.to_owned(),
            path if path.starts_with('[') => format!("{step}{path}"),
            path => format!("{step}.{path}"),
        };
        self
    }
}

/// Reads a JSON value as a type. Numbers may come as JSON numbers or as texts (CSV, clients that quote money); a missing or
/// null value fits only an optional type; unknown record fields are ignored.
pub fn from_json(ty: &Type, json: &serde_json::Value) -> Result<Value, Misfit> {
    use serde_json::Value as Json;
    let mismatch = || Misfit::here(format!("expected {ty}, found {}", describe(json)));
    match (ty, json) {
        (Type::Optional(_), Json::Null) => Ok(Value::Unknown),
        (Type::Optional(inner), Json::String(text)) if text.is_empty() && **inner != Type::Text => {
            Ok(Value::Unknown)
        }
        (Type::Optional(inner), _) => from_json(inner, json),
        (Type::YesNo, Json::Bool(b)) => Ok(Value::Bool(*b)),
        (Type::List(inner), Json::Array(items)) => {
            let read = |(i, item)| from_json(inner, item).map_err(|m: Misfit| m.under(&format!("[{i}]")));
            items.iter().enumerate().map(read).collect::<Result<_, _>>().map(Value::List)
        }
        (Type::Record(fields), Json::Object(map)) => {
            let mut record = BTreeMap::new();
            for field in fields.iter() {
                let json = map.get(&*field.name).unwrap_or(&Json::Null);
                let value = from_json(&field.ty, json).map_err(|m| m.under(&field.name))?;
                record.insert(field.name.clone(), value);
            }
            Ok(Value::Record(record))
        }
        (_, Json::String(text)) => from_text(ty, text),
        (Type::Number(_) | Type::Decimal(_) | Type::Text | Type::Id, Json::Number(n)) => {
            from_text(ty, &n.to_string())
        }
        _ => Err(mismatch()),
    }
}

/// Reads a text (a CSV cell, a JSON string) as a type.
pub fn from_text(ty: &Type, text: &str) -> Result<Value, Misfit> {
    let bad = |what: &str| Err(Misfit::here(format!("expected {what}, found \"{}\"", shorten(text))));
    match ty {
        Type::Optional(_) if text.is_empty() => Ok(Value::Unknown),
        Type::Optional(inner) => from_text(inner, text),
        Type::Text | Type::Address => Ok(Value::text(text)),
        Type::Id if text.is_empty() => bad("an id"),
        Type::Id => Ok(Value::text(text)),
        Type::Email if is_email(text) => Ok(Value::text(text)),
        Type::Email => bad("an e-mail address"),
        Type::Phone if is_phone(text) => Ok(Value::text(text)),
        Type::Phone => bad("a phone number such as +4930123456"),
        Type::Locale if is_locale(text) => Ok(Value::text(text)),
        Type::Locale => bad("a locale such as de or de-AT"),
        Type::Timezone if crate::time::Zone::named(text).is_some() => Ok(Value::text(text)),
        Type::Timezone => bad("a time zone such as Europe/Berlin"),
        Type::Number(range) => match text.parse::<Decimal>() {
            Ok(d) if d.is_whole() => match range {
                Some((low, high)) if !(*low..=*high).contains(&d.trunc()) => {
                    bad(&format!("a number from {low} to {high}"))
                }
                _ => Ok(Value::Number(d.trunc())),
            },
            Err(_) if text.parse::<i64>().is_ok() && range.is_none() => {
                Ok(Value::Number(text.parse().map_err(|_| Misfit::here("expected a number"))?))
            }
            _ => bad("a whole number"),
        },
        Type::Decimal(range) => match (text.parse::<Decimal>(), range) {
            (Ok(d), Some((low, high))) if d < *low || d > *high => {
                bad(&format!("a decimal from {low} to {high}"))
            }
            (Ok(d), _) => Ok(Value::Decimal(d)),
            _ => bad("a decimal number with at most four places"),
        },
        Type::Percent => match text.strip_suffix('%').unwrap_or(text).parse() {
            Ok(d) => Ok(Value::Percent(d)),
            Err(_) => bad("a percentage such as 10%"),
        },
        Type::YesNo => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Ok(Value::Bool(true)),
            "false" | "no" | "0" => Ok(Value::Bool(false)),
            _ => bad("yes or no"),
        },
        Type::Date => match text.parse() {
            Ok(date) => Ok(Value::Date(date)),
            Err(_) => bad("a date such as 2026-12-24"),
        },
        Type::Time => match text.parse() {
            Ok(time) => Ok(Value::Time(time)),
            Err(_) => bad("a clock time such as 09:00"),
        },
        Type::Moment => match text.parse() {
            Ok(at) => Ok(Value::Moment(at)),
            Err(_) => bad("a moment such as 2026-12-24T10:00:00Z"),
        },
        Type::OneOf(values) => match values.iter().find(|value| &***value == text) {
            Some(value) => Ok(Value::Text(value.clone())),
            None => bad(&format!("one of {}", values.join(", "))),
        },
        Type::Duration | Type::List(_) | Type::Record(_) => bad(&ty.to_string()),
    }
}

/// Whether a text has the shape of an e-mail address: one `@`, no blanks or controls, something on both sides.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let clean = |s: &str| {
        !s.is_empty() && !s.chars().any(|c| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c))
    };
    text.len() <= 254
        && clean(local)
        && clean(domain)
        && !local.contains('@')
        && !domain.starts_with(['.', '-'])
        && !domain.ends_with(['.', '-'])
        && !domain.contains("..")
}

/// Whether a text has the shape of a phone number: digits, at least four, with the usual separators.
pub fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    (4..=20).contains(&digits) && text.chars().all(|c| c.is_ascii_digit() || "+ -/().".contains(c))
}

fn is_locale(text: &str) -> bool {
    (2..=16).contains(&text.len())
        && text.split(['-', '_']).all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn describe(json: &serde_json::Value) -> &'static str {
    use serde_json::Value as Json;
    match json {
        Json::Null => "nothing",
        Json::Bool(_) => "yes or no",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a record",
    }
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    if text.chars().count() > 40 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_print_as_money() {
        for (text, shown) in
            [("89.9", "89.90"), ("3", "3"), ("-0.5", "-0.50"), ("1e2", "100"), ("0.0375", "0.0375")]
        {
            assert_eq!(text.parse::<Decimal>().map(|d| d.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for bad in ["", "abc", "1.23456", "1e40", "99999999999999999999", "1.", ".5"] {
            let read = bad.parse::<Decimal>();
            assert!(read.is_err() || bad == "1.", "{bad} gave {read:?}");
        }
    }

    #[test]
    fn json_is_read_by_type_and_says_where_it_does_not_fit() {
        let item = Type::Record(vec![FieldType { name: "price".into(), ty: Type::Decimal(None) }].into());
        let items = Type::List(Arc::new(item));
        let good = serde_json::json!([{ "price": 1.5 }, { "price": "2.25" }]);
        assert!(from_json(&items, &good).is_ok());
        let bad = serde_json::json!([{ "price": 1.5 }, { "price": "x" }]);
        let misfit = from_json(&items, &bad).expect_err("x is no price");
        assert_eq!(misfit.path, "[1].price");
    }
}
