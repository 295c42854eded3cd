//! Programs that call by themselves: `POST /v1/sources/{name}`, declared under `[sources.NAME]` and signed.
//!
//! The signature is an HMAC-SHA256 over the bytes of the body as they came, or over `MOMENT.BODY` where the program says when it
//! sends; then nothing older or newer than five minutes is taken. Its own id of what happened, else its signature, makes a repeat
//! have no effect, however it comes about. A body is told apart and read like a `track` item; one that does not fit is kept.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::Doors;
use super::events::{Came, take};
use super::problem::Problem;
use crate::clock::machine_now;
use crate::config::{Secret, Secrets, Source};
use crate::intake::Clocks;
use crate::time::{MINUTE, SECOND, Timestamp};

/// How far the moment of sending may be from ours.
const TOLERANCE: i64 = 5 * MINUTE;

/// The sources of a project, and where their secrets are.
#[derive(Default)]
pub struct Sources {
    pub declared: BTreeMap<String, Source>,
    pub secrets: Secrets,
}

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new().route("/v1/sources/{name}", post(came))
}

async fn came(
    State(doors): State<Doors>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let Sources { declared, secrets } = &doors.settings.sources;
    let source = declared.get(&name).ok_or_else(|| Problem::not_found("source"))?;
    let by =
        Signed { secret: &source.secret, header: &source.header, timestamp: source.timestamp.as_deref() };
    let signature = signed(secrets, &format!("sources.{name}"), by, &headers, &body)?;
    doors.settings.limits.take_items(&format!("source {name}"), 1)?;
    let said: Value = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad("not-json", format!("the body cannot be read as JSON: {error}")))?;
    let who = who(source, &said);
    let Some(item) = item(source, &name, &said, who.as_ref(), &signature) else {
        return Ok(Json(
            json!({ "success": true, "accepted": 1, "ignored": 1, "duplicates": 0, "rejected": 0 }),
        ));
    };
    let clocks = Clocks { sent_at: None, received_at: doors.clock.now() };
    let came = |item: Value| Came { text: item.to_string().into(), json: Ok(item) };
    if let Some((field @ ("email" | "phone"), value)) = &who
        && doors.deployed().await?.catalog.attribute(field).is_some()
    {
        // Who is known by an address has it as an attribute too, from the beginning.
        let known = json!({ "messageId": format!("{} who", item["messageId"]), "traits": { *field: value } });
        take(&doors, vec![came(known)], Some("identify"), clocks).await?;
    }
    take(&doors, vec![came(item)], Some("track"), clocks).await.map(Json)
}

/// Who it was, as an item says it: the first of the places that hold something.
fn who(source: &Source, said: &Value) -> Option<(&'static str, Value)> {
    let places = [
        ("userId", &source.user),
        ("anonymousId", &source.anonymous),
        ("email", &source.email),
        ("phone", &source.phone),
    ];
    places.into_iter().find_map(|(field, place)| {
        let value = said.pointer(place.as_ref()?)?;
        let is_said = !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty());
        is_said.then(|| (field, value.clone()))
    })
}

/// How somebody signs: under which secret, and in which headers.
#[derive(Clone, Copy)]
pub(super) struct Signed<'a> {
    pub(super) secret: &'a str,
    pub(super) header: &'a str,
    pub(super) timestamp: Option<&'a str>,
}

/// Checks the signature of whoever that section of the configuration declares, and gives it.
pub(super) fn signed(
    secrets: &Secrets,
    section: &str,
    by: Signed<'_>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<u8>, Problem> {
    let unchecked = |missing: &str| {
        tracing::error!(section, missing, "the secret under which somebody signs cannot be had");
        let detail = "the signature cannot be checked now; send it again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no-secret", detail)
    };
    let secret = secrets.resolve(by.secret).map_err(|missing| unchecked(&missing.to_string()))?;
    if secret.reveal().is_empty() {
        // With an empty one everybody can sign.
        return Err(unchecked("it is empty"));
    }
    verify(by, &secret, headers, body, machine_now())
}

/// Checks the signature, and gives it.
fn verify(
    by: Signed<'_>,
    secret: &Secret,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<u8>, Problem> {
    let refused = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "bad-signature", detail);
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let signature = header(by.header)
        .and_then(decode)
        .ok_or_else(|| refused("the signature is missing or no signature"))?;
    let mut hmac =
        Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).expect("HMAC takes a key of any length");
    let sent =
        by.timestamp.map(|name| header(name).ok_or_else(|| refused("it is not said when this was sent")));
    let sent = sent.transpose()?;
    if let Some(sent) = sent {
        hmac.update(sent.as_bytes());
        hmac.update(b".");
    }
    hmac.update(body);
    hmac.verify_slice(&signature).map_err(|_| refused("the signature is not that of this body"))?;
    if let Some(sent) = sent {
        let is_near =
            moment(sent).is_some_and(|sent| (now.0.saturating_sub(sent.0)).saturating_abs() <= TOLERANCE);
        if !is_near {
            return Err(refused("this was not sent within the last five minutes"));
        }
    }
    Ok(signature)
}

/// A signature as hex or base64, with or without its kind before it.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("sha256=").unwrap_or(text);
    let hex = |text: &str| -> Option<Vec<u8>> {
        let digits: Vec<u8> =
            text.bytes().map(|b| char::from(b).to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
        (digits.len() == 64).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
    };
    hex(text).or_else(|| STANDARD.decode(text).ok()).filter(|bytes| bytes.len() == 32)
}

/// A moment as seconds or milliseconds since 1970, or as RFC 3339.
fn moment(text: &str) -> Option<Timestamp> {
    match text.parse::<i64>() {
        Ok(seconds @ 0..100_000_000_000) => Some(Timestamp(seconds * SECOND)),
        Ok(milliseconds) => Some(Timestamp(milliseconds)),
        Err(_) => text.parse().ok(),
    }
}

/// The `track` item that a body means; `None` if its kind is none of those that the project wants.
fn item(
    source: &Source,
    name: &str,
    said: &Value,
    who: Option<&(&'static str, Value)>,
    signature: &[u8],
) -> Option<Value> {
    let event = match source.event.starts_with('/') {
        true => said.pointer(&source.event).cloned(),
        false => Some(Value::from(source.event.as_str())),
    };
    let event = match event {
        Some(Value::String(event)) if !source.events.is_empty() => {
            Some(Value::from(source.events.get(&event)?.as_str()))
        }
        event => event,
    };
    let mut properties = match source.properties.as_ref().map_or(Some(said), |place| said.pointer(place)) {
        Some(Value::Object(properties)) => properties.clone(),
        _ => Map::new(),
    };
    for (field, place) in &source.fields {
        properties.insert(field.clone(), said.pointer(place).cloned().unwrap_or_default());
    }
    let at = |place: &Option<String>| place.as_ref().and_then(|place| said.pointer(place)).cloned();
    let id = at(&source.id).and_then(|id| match id {
        Value::String(id) => Some(id),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    });
    let id = id.unwrap_or_else(|| signature.iter().map(|byte| format!("{byte:02x}")).collect());
    let mut item = json!({ "messageId": format!("source {name} {id}"), "properties": properties });
    let who = who.cloned().map_or(("userId", None), |(field, value)| (field, Some(value)));
    for (field, value) in [("event", event), who, ("timestamp", at(&source.at))] {
        if let Some(value) = value {
            item[field] = value;
        }
    }
    Some(item)
}
