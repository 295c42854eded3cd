//! What comes in from outside, read against the schema: items of the Segment tracking API into what the inbox takes.
//!
//! Pure: doors and imports call it with the catalog and the time. A bad item is refused alone, with the place and a reason that
//! names a way out; the others go on.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::diagnostic::suggest::question;
use crate::engine::program::{Catalog, EntryHow, Program, Word};
use crate::engine::world::Fields;
use crate::time::{MINUTE, Timestamp};
use crate::value::{self, Value};

/// How far an event's clock may run ahead of ours before it is set to the moment of acceptance plus this.
pub const CLOCK_SKEW: i64 = 5 * MINUTE;
/// The longest name, id or text of an identity.
const LONGEST_KEY: usize = 256;
/// The longest text in an attribute or property.
const LONGEST_TEXT: usize = 8_192;
/// The deepest nesting of one item.
const DEEPEST: usize = 64;

/// Whom an item speaks of: at least one is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    pub user_id: Option<String>,
    pub anonymous_id: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
}

/// One item that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub who: Who,
    /// Repeats with the same id within seven days are dropped.
    pub message_id: Option<String>,
    pub what: Act,
}

/// What an item does.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Event {
        name: Word,
        occurred_at: Timestamp,
        fields: Fields,
    },
    /// Attributes to set; a value of `Unknown` clears one.
    Attributes(Fields),
}

/// Why an item, or a part of it, was not taken. Kept and listed, so that it can be mended and tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// A stable word for machines: `unknown-event`, `wrong-type`, `no-identity`, …
    pub code: &'static str,
    /// For people: what is wrong and what to do.
    pub reason: String,
}

impl Rejected {
    fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Rejected { code, reason: reason.into() }
    }
}

/// An item that was read; parts that did not fit stand beside what did.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    pub item: Item,
    /// Traits that did not fit their attribute; the others are taken.
    pub rejected: Vec<Rejected>,
}

/// When a request was sent by its client's clock and received by ours, to mend a wrong client clock.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    pub sent_at: Option<Timestamp>,
    pub received_at: Timestamp,
}

/// Reads one item of `identify` or `track` (`type` says which; a door that knows passes it as `kind`).
pub fn read_item(
    catalog: &Catalog,
    json: &Json,
    kind: Option<&str>,
    clocks: Clocks,
) -> Result<Read, Rejected> {
    let Json::Object(item) = json else {
        return Err(Rejected::new("not-an-object", "an item is a JSON object"));
    };
    if depth(json) > DEEPEST {
        return Err(Rejected::new("too-deep", format!("nested deeper than {DEEPEST} levels")));
    }
    let kind = match (kind, item.get("type").and_then(Json::as_str)) {
        (Some(kind), _) | (None, Some(kind)) => kind,
        (None, None) => {
            return Err(Rejected::new("no-type", "the item says no `type`; write `track` or `identify`"));
        }
    };
    let who = identities(item)?;
    let message_id = message_id(item)?;
    let sent_at = item.get("sentAt").and_then(as_time).or(clocks.sent_at);
    let occurred_at = occurred_at(item, Clocks { sent_at, ..clocks })?;
    let (what, rejected) = match kind {
        "track" => (track(catalog, item, occurred_at)?, Vec::new()),
        "identify" => identify(catalog, item),
        "page" | "screen" | "group" | "alias" => {
            return Err(Rejected::new(
                "not-available",
                format!("`{kind}` is not available yet; send `track` or `identify`"),
            ));
        }
        other => {
            return Err(Rejected::new("unknown-type", format!("there is no item type `{}`", clip(other))));
        }
    };
    let who = Who {
        email: who.email.or_else(|| trait_text(&what, "email")),
        phone: who.phone.or_else(|| trait_text(&what, "phone")),
        ..who
    };
    if who == Who::default() {
        return Err(Rejected::new("no-identity", "say whom it speaks of: `userId` or `anonymousId`"));
    }
    Ok(Read { item: Item { who, message_id, what }, rejected })
}

fn track(catalog: &Catalog, item: &Map<String, Json>, occurred_at: Timestamp) -> Result<Act, Rejected> {
    let Some(name) = item.get("event").and_then(Json::as_str) else {
        return Err(Rejected::new("no-event-name", "a `track` item names its `event`"));
    };
    let Some((name, event)) = catalog.event_named(name) else {
        return Err(Rejected::new("unknown-event", unknown_event(catalog, name)));
    };
    let none = Json::Null;
    let properties = item.get("properties").unwrap_or(&none);
    if !matches!(properties, Json::Object(_) | Json::Null) {
        return Err(Rejected::new("wrong-type", "`properties` is a JSON object"));
    }
    let mut fields = BTreeMap::new();
    for field in &event.fields {
        let json = properties.get(&*field.name).unwrap_or(&none);
        let value = value::from_json(&field.ty, json).map_err(|misfit| {
            let path = if misfit.path.is_empty() { String::new() } else { format!(".{}", misfit.path) };
            let missing = json.is_null();
            let code = if missing { "missing-field" } else { "wrong-type" };
            Rejected::new(code, format!("event `{name}`, field `{}{path}`: {}", field.name, misfit.message))
        })?;
        check_text(&value)
            .map_err(|reason| Rejected::new("bad-text", format!("field `{}`: {reason}", field.name)))?;
        if value.is_known() {
            fields.insert(field.name.clone(), value);
        }
    }
    Ok(Act::Event { name: name.clone(), occurred_at, fields })
}

/// Reads the arguments with which a journey is started by hand, against its `enter by start`.
pub fn read_arguments(program: &Program, json: &Json) -> Result<Fields, Rejected> {
    let starts = program.entries.iter().find_map(|entry| match &entry.how {
        EntryHow::Start { arguments } => Some(arguments),
        _ => None,
    });
    let Some(arguments) = starts else {
        let reason =
            format!("nobody can be put into `{}` by hand: it has no `enter by start`", program.journey);
        return Err(Rejected::new("no-start", reason));
    };
    if let Json::Object(given) = json {
        let declared = || arguments.iter().map(|field| &*field.name);
        if let Some(name) = given.keys().find(|name| declared().all(|known| known != name.as_str())) {
            let reason = format!(
                "`{}` takes no argument `{}`{}",
                program.journey,
                clip(name),
                question(name, declared())
            );
            return Err(Rejected::new("unknown-argument", reason));
        }
    }
    let none = Json::Null;
    let mut fields = Fields::new();
    for field in arguments {
        let json = json.get(&*field.name).unwrap_or(&none);
        let value = value::from_json(&field.ty, json).map_err(|misfit| {
            Rejected::new("wrong-type", format!("argument `{}`: {}", field.name, misfit.message))
        })?;
        check_text(&value)
            .map_err(|reason| Rejected::new("bad-text", format!("argument `{}`: {reason}", field.name)))?;
        fields.insert(field.name.clone(), value);
    }
    Ok(fields)
}

fn identify(catalog: &Catalog, item: &Map<String, Json>) -> (Act, Vec<Rejected>) {
    let (mut values, mut rejected) = (Fields::new(), Vec::new());
    if let Some(Json::Object(traits)) = item.get("traits") {
        for (name, json) in traits {
            match attribute(catalog, name, json) {
                Ok(Some((name, value))) => drop(values.insert(name, value)),
                Ok(None) => {}
                Err(reason) => rejected.push(reason),
            }
        }
    }
    (Act::Attributes(values), rejected)
}

/// The attribute for a trait; `None` for traits that the schema does not know: clients send many of their own.
fn attribute(catalog: &Catalog, name: &str, json: &Json) -> Result<Option<(Word, Value)>, Rejected> {
    let Some(attribute) = catalog.attribute(name).or_else(|| catalog.attribute(&snake_case(name))) else {
        return Ok(None);
    };
    if json.is_null() {
        return Ok(Some((attribute.name.clone(), Value::Unknown)));
    }
    let value = value::from_json(&attribute.ty, json).map_err(|misfit| {
        Rejected::new("wrong-type", format!("attribute `{}`: {}", attribute.name, misfit.message))
    })?;
    check_attribute(&value)
        .map_err(|reason| Rejected::new("bad-text", format!("attribute `{}`: {reason}", attribute.name)))?;
    Ok(Some((attribute.name.clone(), value)))
}

/// Refuses what [`check_text`] refuses, and line breaks: a name with a line break must never reach a mail header.
pub fn check_attribute(value: &Value) -> Result<(), String> {
    match value {
        Value::Text(text) if text.contains(['\r', '\n']) => Err("contains a line break".to_owned()),
        value => check_text(value),
    }
}

/// Refuses texts that are too long or carry control characters other than line breaks and tabs.
pub fn check_text(value: &Value) -> Result<(), String> {
    match value {
        Value::Text(text) if text.len() > LONGEST_TEXT => Err(format!("longer than {LONGEST_TEXT} bytes")),
        Value::Text(text) if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t' && c != '\r') => {
            Err("contains control characters".to_owned())
        }
        Value::List(items) => items.iter().try_for_each(check_text),
        Value::Record(fields) => fields.values().try_for_each(check_text),
        _ => Ok(()),
    }
}

fn identities(item: &Map<String, Json>) -> Result<Who, Rejected> {
    let key = |name: &str| match item.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Number(n)) => Ok(Some(n.to_string())),
        Some(Json::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Json::String(text)) if text.len() > LONGEST_KEY || text.chars().any(char::is_control) => {
            Err(Rejected::new(
                "bad-identity",
                format!("`{name}` is longer than {LONGEST_KEY} bytes or contains control characters"),
            ))
        }
        Some(Json::String(text)) => Ok(Some(text.trim().to_owned())),
        Some(_) => Err(Rejected::new("bad-identity", format!("`{name}` is a text"))),
    };
    Ok(Who { user_id: key("userId")?, anonymous_id: key("anonymousId")?, email: None, phone: None })
}

fn message_id(item: &Map<String, Json>) -> Result<Option<String>, Rejected> {
    match item.get("messageId") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(id)) if id.len() <= LONGEST_KEY => Ok(Some(id.clone()).filter(|id| !id.is_empty())),
        Some(_) => Err(Rejected::new(
            "bad-message-id",
            format!("`messageId` is a text of at most {LONGEST_KEY} bytes"),
        )),
    }
}

fn occurred_at(item: &Map<String, Json>, clocks: Clocks) -> Result<Timestamp, Rejected> {
    let Some(json) =
        item.get("timestamp").or_else(|| item.get("originalTimestamp")).filter(|json| !json.is_null())
    else {
        return Ok(clocks.received_at);
    };
    let Some(stated) = as_time(json) else {
        return Err(Rejected::new("wrong-type", "`timestamp` is a moment such as 2026-12-24T10:00:00Z"));
    };
    // A client whose clock is wrong is wrong by as much when it says when it sent.
    let skew = clocks.sent_at.map_or(0, |sent_at| clocks.received_at.0.saturating_sub(sent_at.0));
    let skew = if skew.abs() > CLOCK_SKEW { skew } else { 0 };
    Ok(stated.plus_ms(skew).min(clocks.received_at.plus_ms(CLOCK_SKEW)))
}

fn as_time(json: &Json) -> Option<Timestamp> {
    json.as_str().and_then(|text| text.parse().ok())
}

fn trait_text(what: &Act, name: &str) -> Option<String> {
    match what {
        Act::Attributes(values) => values.get(name).and_then(Value::as_text).map(str::to_owned),
        Act::Event { .. } => None,
    }
}

fn unknown_event(catalog: &Catalog, name: &str) -> String {
    let known = catalog.events.iter().flat_map(|(name, event)| {
        std::iter::once(name.to_string()).chain(event.aliases.iter().map(ToString::to_string))
    });
    let near =
        known.map(|known| (strsim::jaro_winkler(&known, name), known)).filter(|(near, _)| *near > 0.85);
    let near = near.max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = near.map_or(String::new(), |(_, known)| format!("; did you mean `{known}`?"));
    format!("the schema knows no event `{}`{hint}", clip(name))
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(if c == ' ' || c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    snake
}

fn depth(json: &Json) -> usize {
    match json {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::engine::program::{Attribute, Event, FORMAT, Policy};
    use crate::time::{Calendar, Holidays};
    use crate::value::{FieldType, Type};

    fn catalog() -> Catalog {
        let field = |name: &str, ty: Type| FieldType { name: name.into(), ty };
        let event = Event {
            fields: vec![field("order_id", Type::Id), field("value", Type::Decimal(None))],
            dedupe: None,
            aliases: vec!["Order Completed".into()],
            keep: Calendar::days(400),
            late_after: Calendar::days(3),
        };
        let attribute = |name: &str, ty: Type| Attribute {
            name: name.into(),
            ty,
            default: Value::Unknown,
            unique: false,
            pii: false,
        };
        Catalog {
            format: FORMAT,
            zone: "Europe/Berlin".into(),
            locale: "de".into(),
            holidays: Holidays::default(),
            attributes: vec![
                attribute("email", Type::Email.optional()),
                attribute("first_name", Type::Text.optional()),
                attribute("last_name", Type::Text.optional()),
                attribute("age", Type::Optional(Arc::new(Type::Number(None)))),
            ],
            events: [(Word::from("order_placed"), event)].into(),
            purposes: BTreeMap::new(),
            channels: BTreeMap::new(),
            tasks: BTreeMap::new(),
            teams: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            segments: BTreeMap::new(),
            scores: BTreeMap::new(),
            transactional_templates: BTreeMap::new(),
            policy: Policy::default(),
        }
    }

    fn read(json: Json) -> Result<Read, Rejected> {
        let clocks = Clocks { sent_at: None, received_at: Timestamp(1_000_000_000) };
        read_item(&catalog(), &json, None, clocks)
    }

    #[test]
    fn an_event_is_known_by_its_alias_and_its_money_is_exact() {
        let json = json!({ "type": "track", "userId": 7, "event": "Order Completed", "properties": { "order_id": "o", "value": 19.9 } });
        let item = read(json).expect("reads").item;
        assert_eq!(item.who.user_id.as_deref(), Some("7"));
        let Act::Event { name, fields, .. } = item.what else { panic!("an event") };
        assert_eq!((&*name, fields["value"].to_json()), ("order_placed", json!("19.90")));
    }

    #[test]
    fn bad_items_say_what_is_wrong() {
        let cases = [
            (json!([1]), "not-an-object"),
            (json!({ "userId": "a" }), "no-type"),
            (json!({ "type": "track", "event": "order_placed" }), "missing-field"),
            (json!({ "type": "track", "userId": "a", "event": "order_plced" }), "unknown-event"),
            (
                json!({ "type": "track", "userId": "a", "event": "order_placed", "properties": { "order_id": "o", "value": "x" } }),
                "wrong-type",
            ),
            (
                json!({ "type": "track", "event": "order_placed", "properties": { "order_id": "o", "value": 1 } }),
                "no-identity",
            ),
            (json!({ "type": "track", "userId": "a\r\nBcc: x", "event": "order_placed" }), "bad-identity"),
            (json!({ "type": "page", "userId": "a" }), "not-available"),
        ];
        for (json, code) in cases {
            assert_eq!(read(json.clone()).expect_err("is refused").code, code, "{json}");
        }
    }

    #[test]
    fn a_bad_trait_does_not_lose_the_others() {
        let json = json!({ "type": "identify", "anonymousId": "x", "traits":
            { "firstName": "Ada", "last_name": "Love\r\nBcc: x@example.org", "age": "old", "email": "ada@example.org" } });
        let read = read(json).expect("reads");
        assert_eq!(read.rejected.iter().map(|r| r.code).collect::<Vec<_>>(), ["wrong-type", "bad-text"]);
        assert_eq!(read.item.who.email.as_deref(), Some("ada@example.org"));
        let Act::Attributes(values) = read.item.what else { panic!("attributes") };
        assert_eq!(values["first_name"], Value::text("Ada"));
    }

    #[test]
    fn a_client_clock_that_is_wrong_is_mended_and_the_future_is_clamped() {
        let clocks = Clocks { sent_at: Some(Timestamp(0)), received_at: Timestamp(10_000_000) };
        let item = json!({ "timestamp": "1970-01-01T00:00:00Z" });
        assert_eq!(occurred_at(item.as_object().expect("object"), clocks), Ok(Timestamp(10_000_000)));
        let item = json!({ "timestamp": "2070-01-01T00:00:00Z" });
        let clocks = Clocks { sent_at: None, received_at: Timestamp(10_000_000) };
        assert_eq!(occurred_at(item.as_object().expect("object"), clocks), Ok(Timestamp(10_300_000)));
    }
}
