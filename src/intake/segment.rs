//! Items of the Segment tracking API: `identify`, `track`, `page`, `screen`, `group`, `alias`.
//!
//! `page` and `screen` are events where the schema has one: called, by name or alias, `Viewed NAME Page`, else `page` (`Screen` and
//! `screen` likewise); their name is a field as any other. `group` sets `group_id`, and `group_TRAIT` for each trait of the group:
//! never an attribute of the person by the same name, since the address of a company is nobody's. `alias` says that two ids are one
//! person. What the schema has no place for still says who is who, and is told as ignored.

use serde_json::{Map, Value as Json};

use super::{
    Act, CLOCK_SKEW, Clocks, DEEPEST, Item, LONGEST_KEY, Read, Rejected, Who, check_attribute, check_text,
    clip,
};
use crate::engine::program::{Catalog, Event, Word};
use crate::engine::world::Fields;
use crate::time::Timestamp;
use crate::value::{self, Value};

/// Reads one item (`type` says of which kind; a door that knows passes it as `kind`).
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
    let who = identities(item, kind)?;
    let message_id = message_id(item, "messageId")?;
    let sent_at = item.get("sentAt").and_then(as_time).or(clocks.sent_at);
    let occurred_at = occurred_at(item, Clocks { sent_at, ..clocks })?;
    let (what, rejected) = match kind {
        "track" => (track(catalog, item, occurred_at)?, Vec::new()),
        "page" | "screen" => (view(catalog, item, kind, occurred_at)?, Vec::new()),
        "identify" => identify(catalog, item)?,
        "group" => group(catalog, item)?,
        "alias" => (alias(&who)?, Vec::new()),
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
    let properties = properties(item)?;
    let fields = event_fields(name, event, |field| properties.and_then(|p| p.get(field)))?;
    Ok(Act::Event { name: name.clone(), occurred_at, fields })
}

/// A page or screen that was seen: an event, if the schema has one for it.
fn view(
    catalog: &Catalog,
    item: &Map<String, Json>,
    kind: &str,
    occurred_at: Timestamp,
) -> Result<Act, Rejected> {
    let called = item.get("name").and_then(Json::as_str);
    let own = called.and_then(|called| {
        let kind = if kind == "page" { "Page" } else { "Screen" };
        catalog.event_named(&format!("Viewed {called} {kind}"))
    });
    let Some((name, event)) = own.or_else(|| catalog.event_named(kind)) else { return Ok(Act::Nothing) };
    let properties = properties(item)?;
    let beside = |field: &str| item.get(field).filter(|_| matches!(field, "name" | "category"));
    let fields =
        event_fields(name, event, |field| properties.and_then(|p| p.get(field)).or_else(|| beside(field)))?;
    Ok(Act::Event { name: name.clone(), occurred_at, fields })
}

fn properties(item: &Map<String, Json>) -> Result<Option<&Map<String, Json>>, Rejected> {
    object(item, "properties")
}

/// An object of the item, if it has one; a list of them would be dropped without a word.
fn object<'a>(item: &'a Map<String, Json>, name: &str) -> Result<Option<&'a Map<String, Json>>, Rejected> {
    match item.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Rejected::new("wrong-type", format!("`{name}` is a JSON object"))),
    }
}

fn event_fields<'a>(
    name: &Word,
    event: &Event,
    said: impl Fn(&str) -> Option<&'a Json>,
) -> Result<Fields, Rejected> {
    let none = Json::Null;
    let mut fields = Fields::new();
    for field in &event.fields {
        let json = said(&field.name).unwrap_or(&none);
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
    Ok(fields)
}

/// Attributes that were understood, and those that do not fit, by name.
type Attributes = (Act, Vec<(Word, Rejected)>);

fn identify(catalog: &Catalog, item: &Map<String, Json>) -> Result<Attributes, Rejected> {
    let (mut values, mut rejected) = (Fields::new(), Vec::new());
    for (name, json) in object(item, "traits")?.into_iter().flatten() {
        set(catalog, name, json, &mut values, &mut rejected);
    }
    Ok((Act::Attributes(values), rejected))
}

fn group(catalog: &Catalog, item: &Map<String, Json>) -> Result<Attributes, Rejected> {
    let (mut values, mut rejected) = (Fields::new(), Vec::new());
    let id = item.get("groupId").map(|id| match id {
        Json::Number(number) => Json::from(number.to_string()),
        id => id.clone(),
    });
    if let Some(id) = &id {
        set(catalog, "group_id", id, &mut values, &mut rejected);
    }
    for (name, json) in object(item, "traits")?.into_iter().flatten() {
        set(catalog, &format!("group_{}", snake_case(name)), json, &mut values, &mut rejected);
    }
    let what = if values.is_empty() { Act::Nothing } else { Act::Attributes(values) };
    Ok((what, rejected))
}

fn alias(who: &Who) -> Result<Act, Rejected> {
    match (&who.user_id, &who.previous_id) {
        (None, _) => Err(Rejected::new("no-identity", "an `alias` item says who it is now: `userId`")),
        (_, None) => Err(Rejected::new("no-previous-id", "an `alias` item says who it was: `previousId`")),
        _ => Ok(Act::Nothing),
    }
}

/// Sets the attribute for a trait; traits that the schema does not know are left alone: clients send many of their own.
fn set(
    catalog: &Catalog,
    name: &str,
    json: &Json,
    values: &mut Fields,
    rejected: &mut Vec<(Word, Rejected)>,
) {
    let Some(attribute) = catalog.attribute(name).or_else(|| catalog.attribute(&snake_case(name))) else {
        return;
    };
    let name = &attribute.name;
    let value = match json {
        Json::Null => Ok(Value::Unknown),
        json => value::from_json(&attribute.ty, json)
            .map_err(|misfit| ("wrong-type", misfit.message))
            .and_then(|value| check_attribute(&value).map_err(|reason| ("bad-text", reason)).map(|()| value)),
    };
    match value {
        Ok(value) => drop(values.insert(name.clone(), value)),
        Err((code, why)) => {
            rejected.push((name.clone(), Rejected::new(code, format!("attribute `{name}`: {why}"))));
        }
    }
}

/// An id, an address or a number that says who somebody is.
pub(super) fn key(item: &Map<String, Json>, name: &str) -> Result<Option<String>, Rejected> {
    match item.get(name) {
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
    }
}

fn identities(item: &Map<String, Json>, kind: &str) -> Result<Who, Rejected> {
    let key = |name: &str| key(item, name);
    Ok(Who {
        user_id: key("userId")?,
        anonymous_id: key("anonymousId")?,
        email: if kind == "track" { key("email")? } else { None },
        phone: if kind == "track" { key("phone")? } else { None },
        previous_id: if kind == "alias" { key("previousId")? } else { None },
    })
}

pub(super) fn message_id(item: &Map<String, Json>, name: &str) -> Result<Option<String>, Rejected> {
    match item.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(id)) if id.len() <= LONGEST_KEY => Ok(Some(id.clone()).filter(|id| !id.is_empty())),
        Some(_) => {
            Err(Rejected::new("bad-message-id", format!("`{name}` is a text of at most {LONGEST_KEY} bytes")))
        }
    }
}

pub(super) fn occurred_at(item: &Map<String, Json>, clocks: Clocks) -> Result<Timestamp, Rejected> {
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
        Act::Event { .. } | Act::Nothing => None,
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
