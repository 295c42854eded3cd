//! Permissions given or withdrawn elsewhere, with what proves them.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::segment::{key, message_id};
use super::{CLOCK_SKEW, Rejected, Who};
use crate::engine::program::{Catalog, Word};
use crate::engine::world::ConsentChange;
use crate::time::Timestamp;

/// The longest proof, in bytes as JSON.
const LONGEST_EVIDENCE: usize = 4_096;

/// A change of a permission that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Consent {
    pub whom: Whom,
    pub message_id: Option<String>,
    pub change: ConsentChange,
}

/// Whose permission it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Whoever has that user id or anonymous id; nobody yet: a new contact.
    Who(Who),
    /// Somebody whom we know by an id of ours, an address or a number.
    Known(String),
}

/// Reads one item of `POST /v1/consents`.
///
/// A grant says when it was given: one without a moment, sent again after the person has withdrawn, would undo that.
pub fn read_consent(catalog: &Catalog, json: &Json, now: Timestamp) -> Result<Consent, Rejected> {
    let Json::Object(item) = json else {
        return Err(Rejected::new("not-an-object", "a consent is a JSON object"));
    };
    let whom = whom(item)?;
    let message_id = match message_id(item, "message_id")? {
        None => message_id(item, "messageId")?,
        found => found,
    };
    let text = |name: &str| match item.get(name).and_then(Json::as_str) {
        Some(text) => Ok(text),
        None => Err(Rejected::new("missing-field", format!("`{name}` is missing, or is no text"))),
    };
    let purpose = text("purpose")?;
    if !catalog.is_purpose(purpose) {
        let reason = format!("there is no such purpose; there are {}", catalog.purpose_names().join(", "));
        return Err(Rejected::new("unknown-purpose", reason));
    }
    let channel = text("channel")?;
    if !catalog.channels.contains_key(channel) {
        let names: Vec<&str> = catalog.channels.keys().map(|name| &**name).collect();
        let reason = format!("there is no such channel; there are {}", names.join(", "));
        return Err(Rejected::new("unknown-channel", reason));
    }
    let Some(permit) = item.get("permit").and_then(Json::as_bool) else {
        return Err(Rejected::new("missing-field", "`permit` is true (granted) or false (withdrawn)"));
    };
    let at = match item.get("at") {
        None | Some(Json::Null) if permit => {
            return Err(Rejected::new("no-time", "a grant says when it was given: `at`"));
        }
        None | Some(Json::Null) => now,
        Some(at) => moment(at, now)?,
    };
    let evidence = evidence(
        item.get("text").and_then(Json::as_str),
        item.get("source").and_then(Json::as_str),
        item.get("evidence").filter(|evidence| !evidence.is_null()),
    )?;
    let change = ConsentChange {
        purpose: Word::from(purpose),
        channel: Word::from(channel),
        permit,
        at,
        source: "api".into(),
        evidence,
    };
    Ok(Consent { whom, message_id, change })
}

fn whom(item: &Map<String, Json>) -> Result<Whom, Rejected> {
    let either = |own: &str, clients: &str| match key(item, own)? {
        None => key(item, clients),
        found => Ok(found),
    };
    let (user_id, anonymous_id) = (either("user_id", "userId")?, either("anonymous_id", "anonymousId")?);
    if user_id.is_some() || anonymous_id.is_some() {
        return Ok(Whom::Who(Who { user_id, anonymous_id, ..Who::default() }));
    }
    for name in ["contact", "email", "phone"] {
        if let Some(known) = key(item, name)? {
            return Ok(Whom::Known(known));
        }
    }
    Err(Rejected::new(
        "no-identity",
        "say whose it is: `user_id`, `anonymous_id`, `contact`, `email` or `phone`",
    ))
}

fn moment(json: &Json, now: Timestamp) -> Result<Timestamp, Rejected> {
    let Some(at) = json.as_str().and_then(|text| text.parse::<Timestamp>().ok()) else {
        return Err(Rejected::new("wrong-type", "`at` is a moment such as 2026-12-24T10:00:00Z"));
    };
    // The newest decision holds, so one of tomorrow would outlast a withdrawal of today.
    match at > now.plus_ms(CLOCK_SKEW) {
        true => Err(Rejected::new("in-the-future", format!("`at`: {at} lies in the future"))),
        false => Ok(at),
    }
}

/// What proves a consent, as the ledger keeps it: the id of the text that was shown, where that was, and whatever else there is.
pub fn evidence(
    text: Option<&str>,
    source: Option<&str>,
    more: Option<&Json>,
) -> Result<Option<Arc<str>>, Rejected> {
    let mut proof = Map::new();
    for (name, value) in [("text", text), ("source", source)] {
        if let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) {
            proof.insert(name.to_owned(), value.into());
        }
    }
    if let Some(more) = more {
        proof.insert("evidence".to_owned(), more.clone());
    }
    if proof.is_empty() {
        return Ok(None);
    }
    let proof = Json::Object(proof).to_string();
    if proof.len() > LONGEST_EVIDENCE {
        let reason = format!(
            "the evidence is longer than {LONGEST_EVIDENCE} bytes; keep it where it is, and send its address"
        );
        return Err(Rejected::new("too-long", reason));
    }
    if proof.contains("\\u0000") {
        return Err(Rejected::new("bad-text", "the evidence contains a zero byte"));
    }
    Ok(Some(proof.into()))
}
