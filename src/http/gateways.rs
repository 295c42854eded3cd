//! Reports of gateways in their own words: `POST /v1/receipts/{channel}`, read as `[gateways.CHANNEL]` says.
//!
//! They come signed as those of `[sources]` are, where a secret is named, and with a key that may send events where none is.

use axum::Json;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::Doors;
use super::problem::Problem;
use super::receipts::counted;
use super::sources::{Signed, signed};
use crate::config::Gateway;
use crate::engine::program::Word;
use crate::store::gateway_ids;
use crate::store::keys::Scope;
use crate::store::receipts::{self, Reply, Said, Told};

/// The most reports of one call.
const MOST: usize = 2_000;

/// Takes what the gateway of that channel says.
pub(super) async fn receive(
    doors: &Doors,
    channel: &str,
    gateway: &Gateway,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Json<Value>, Problem> {
    match &gateway.secret {
        Some(secret) => {
            let by = Signed { secret, header: &gateway.header, timestamp: gateway.timestamp.as_deref() };
            signed(&doors.secrets, &format!("gateways.{channel}"), by, headers, body)?;
        }
        None => _ = doors.gatekeeper.admit(&doors.store, headers, Scope::Ingest).await?,
    }
    let said: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::bad("not-json", format!("the body cannot be read as JSON: {error}")))?;
    let place = gateway.reports.as_ref().map_or(Some(&said), |place| said.pointer(place));
    let reports: &[Value] = match place {
        Some(Value::Array(reports)) => reports,
        Some(report) => std::slice::from_ref(report),
        None => &[],
    };
    if reports.len() > MOST {
        return Err(Problem::bad("too-many", format!("a call brings at most {MOST} reports")));
    }
    let (mut accepted, mut repeated, mut unknown, mut ignored) = (0, 0, 0, 0);
    for report in reports {
        match take(doors, channel, gateway, report).await? {
            Some(Told::Taken) => accepted += 1,
            Some(Told::Repeated) => repeated += 1,
            Some(Told::Unknown) => unknown += 1,
            None => ignored += 1,
        }
    }
    Ok(Json(json!({ "accepted": accepted, "repeated": repeated, "unknown": unknown, "ignored": ignored })))
}

/// What stands at a place, as text.
fn text(report: &Value, place: &Option<String>) -> Option<String> {
    match report.pointer(place.as_ref()?)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// One report or reply; `None`: it says nothing that counts.
async fn take(
    doors: &Doors,
    channel: &str,
    gateway: &Gateway,
    report: &Value,
) -> Result<Option<Told>, Problem> {
    let now = doors.clock.now();
    let channels: [Word; 1] = [channel.into()];
    let id = text(report, &gateway.message);
    let delivery = match &id {
        Some(id) => match id.parse() {
            Ok(own) => Some(own),
            Err(_) => gateway_ids::find(&mut doors.store.read().await?, &channels, id).await?,
        },
        None => None,
    };
    let told = text(report, &gateway.outcome);
    let outcome = told.as_ref().and_then(|told| match gateway.outcomes.is_empty() {
        true => Some(told),
        false => gateway.outcomes.get(told),
    });
    if let Some(said) = outcome.and_then(|outcome| Said::of(outcome)) {
        let Some(delivery) = delivery else { return Ok(Some(counted(said.outcome(), Told::Unknown))) };
        let reason = text(report, &gateway.reason);
        let told = receipts::report(&doors.store, delivery, said, reason.as_deref(), now).await?;
        return Ok(Some(counted(said.outcome(), told)));
    }
    if told.is_some() && outcome.is_none_or(|outcome| outcome != "replied") {
        // On its way, or something that the project does not ask for.
        return Ok(None);
    }
    let (Some(from), Some(words)) = (text(report, &gateway.from), text(report, &gateway.text)) else {
        return Ok(None);
    };
    // Without a name of its own a reply is known by what it says.
    let own = || blake3::hash(format!("{from}\0{words}\0{report}").as_bytes()).to_hex()[..32].to_owned();
    let name = format!("{channel} {}", text(report, &gateway.reply).unwrap_or_else(own));
    let reply = Reply { id: &name, channels: &channels, from: &from, text: &words, refers_to: delivery };
    Ok(Some(counted("replied", receipts::reply(&doors.store, reply, now).await?)))
}
