//! `POST /v1/receipts/{provider}`: what providers report of messages, and what people answer to them.
//!
//! Who reports shows that it knows a secret, by a signature over what it sends:
//!
//! ```text
//! generic  X-Fahrplan-Timestamp: unix seconds      at most 300 s away from now
//!          X-Fahrplan-Signature: sha256=HEX         HMAC-SHA256 of "TIMESTAMP.BODY" under the secret `receipts`
//!          { "id": "dl_…", "outcome": "delivered" | "failed" | "bounced" | "complained", "reason": "…" }
//!          { "outcome": "replied", "from": "+49…", "text": "…", "message_id": "…", "id": "dl_…", "channel": "sms" }
//!          one of them or a list; `id` is ours, or what the gateway called it in its answer
//! twilio   X-Twilio-Signature                      HMAC-SHA1 of the URL and the sorted form under the account's token
//! ```
//!
//! Gateways with words of their own: see [`super::gateways`].
//!
//! A signature that was sent before has no second effect: reports and replies are taken once.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::json;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::Doors;
use super::gateways;
use super::problem::Problem;
use super::responses::one_or_many;
use crate::clock::machine_now;
use crate::engine::program::{Catalog, Word};
use crate::id::DeliveryId;
use crate::store::gateway_ids;
use crate::store::receipts::{self, Reply, Said, Told};
use crate::time::SECOND;

/// How far the clock of whoever signs may be off.
const TOLERANCE: i64 = 300 * SECOND;
/// The secret under which generic reports are signed.
const SECRET: &str = "receipts";
/// Errors of Twilio at which the number is at fault: nobody has it, or it takes no texts.
const BAD_NUMBER: [&str; 3] = ["30005", "30006", "21610"];
/// The most reports of one call.
const MOST: usize = 2_000;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new().route("/v1/receipts/{provider}", post(receive))
}

async fn receive(
    State(doors): State<Doors>,
    Path(provider): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    match provider.as_str() {
        "generic" => generic(&doors, &headers, &body).await,
        "twilio" => {
            twilio(&doors, uri.path_and_query().map_or("", |path| path.as_str()), &headers, &body).await
        }
        channel => match doors.settings.gateways.get(channel) {
            Some(gateway) => gateways::receive(&doors, channel, gateway, &headers, &body)
                .await
                .map(|told| told.into_response()),
            None => Err(Problem::not_found("provider")),
        },
    }
}

fn unsigned() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "wrong-signature",
        "the signature is missing, old, or not that of this body",
    )
}

fn of_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

// ---------------------------------------------------------------- generic

/// A report, or what somebody answered.
#[derive(Deserialize)]
struct Item {
    outcome: String,
    id: Option<String>,
    reason: Option<String>,
    from: Option<String>,
    text: Option<String>,
    message_id: Option<String>,
    channel: Option<String>,
}

async fn generic(doors: &Doors, headers: &HeaderMap, body: &[u8]) -> Result<Response, Problem> {
    let secret = doors.secrets.get(SECRET).map_err(|_| Problem::not_found("provider"))?;
    if !is_signed(secret.reveal(), headers, body, machine_now().0) {
        return Err(unsigned());
    }
    let items = one_or_many::<Item>(body)?;
    if items.len() > MOST {
        return Err(Problem::bad("too-many", format!("a call brings at most {MOST} reports")));
    }
    let (mut taken, mut repeated, mut unknown) = (0, 0, 0);
    for item in &items {
        let Some(item) = item else {
            unknown += 1;
            continue;
        };
        match take(doors, item).await? {
            Told::Taken => taken += 1,
            Told::Repeated => repeated += 1,
            Told::Unknown => unknown += 1,
        }
    }
    Ok(axum::Json(json!({ "accepted": taken, "repeated": repeated, "unknown": unknown })).into_response())
}

fn is_signed(secret: &str, headers: &HeaderMap, body: &[u8], now: i64) -> bool {
    let timestamp = of_header(headers, "x-fahrplan-timestamp").unwrap_or_default();
    let signature = of_header(headers, "x-fahrplan-signature").unwrap_or_default();
    let at = timestamp.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(SECOND));
    let is_fresh = at.is_some_and(|at| at.abs_diff(now) <= TOLERANCE.unsigned_abs());
    if !is_fresh || secret.is_empty() {
        return false;
    }
    signature.as_bytes().ct_eq(self::signature(secret, timestamp, body).as_bytes()).into()
}

/// How a generic gateway signs what it sends at that moment, in unix seconds.
pub fn signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length will do");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

async fn take(doors: &Doors, item: &Item) -> Result<Told, Problem> {
    let now = doors.clock.now();
    let mut channels = by_gateway(&doors.deployed().await?.catalog);
    channels.retain(|channel| item.channel.as_ref().is_none_or(|own| **own == **channel));
    let delivery = match item.id.as_deref() {
        Some(id) => match id.parse::<DeliveryId>() {
            Ok(delivery) => Some(delivery),
            // The gateway's own name for it.
            Err(_) => gateway_ids::find(&mut doors.store.read().await?, &channels, id).await?,
        },
        None => None,
    };
    if let (Some(said), Some(delivery)) = (Said::of(&item.outcome), delivery) {
        let told = receipts::report(&doors.store, delivery, said, item.reason.as_deref(), now).await?;
        return Ok(counted(&item.outcome, told));
    }
    let (true, Some(text)) = (item.outcome == "replied", &item.text) else { return Ok(Told::Unknown) };
    // Without a name of its own a reply is known by what it says.
    let from = item.from.as_deref().unwrap_or_default();
    let own = || blake3::hash(format!("{from}\0{text}\0{delivery:?}").as_bytes()).to_hex()[..32].to_owned();
    let id = item.message_id.clone().unwrap_or_else(own);
    let id = format!("generic {id}");
    let reply = Reply { id: &id, channels: &channels, from, text, refers_to: delivery };
    Ok(counted("replied", receipts::reply(&doors.store, reply, now).await?))
}

/// Channels that leave by gateways.
fn by_gateway(catalog: &Catalog) -> Vec<Word> {
    let channels = catalog.channels.iter().filter(|(_, channel)| channel.is_by_gateway());
    channels.map(|(name, _)| name.clone()).collect()
}

pub(super) fn counted(outcome: &str, told: Told) -> Told {
    let result = match told {
        Told::Taken => "taken",
        Told::Repeated => "repeated",
        Told::Unknown => "unknown",
    };
    let labels = [("outcome", outcome.to_owned()), ("result", result.to_owned())];
    metrics::counter!("fahrplan_receipts_total", &labels).increment(1);
    told
}

// ---------------------------------------------------------------- twilio

async fn twilio(doors: &Doors, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Response, Problem> {
    let form = pairs(&String::from_utf8_lossy(body));
    let catalog = doors.deployed().await?.catalog.clone();
    let url = format!("{}{path}", doors.public_url);
    let given = of_header(headers, "x-twilio-signature").unwrap_or_default();
    let mut channels = Vec::new();
    for channel in by_gateway(&catalog) {
        let secret = doors.secrets.resolve(&catalog.channels[&channel].sends);
        let token = secret.ok().and_then(|secret| token(secret.reveal()));
        channels.extend(token.is_some_and(|token| is_twilios(&token, &url, &form, given)).then_some(channel));
    }
    if channels.is_empty() {
        return Err(unsigned());
    }
    let field = |name: &str| form.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.as_str());
    let now = doors.clock.now();
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let delivery = pairs(query).into_iter().find(|(name, _)| name == "delivery");
    match delivery.and_then(|(_, id)| id.parse::<DeliveryId>().ok()) {
        Some(delivery) => {
            let error = field("ErrorCode");
            let said = match field("MessageStatus") {
                "delivered" | "read" => Some(Said::Delivered),
                "undelivered" | "failed" if BAD_NUMBER.contains(&error) => Some(Said::Bounced),
                "undelivered" | "failed" => Some(Said::Failed),
                // On its way.
                _ => None,
            };
            if let Some(said) = said {
                let reason = Some(format!("error {error}")).filter(|_| !error.is_empty());
                let told = receipts::report(&doors.store, delivery, said, reason.as_deref(), now).await?;
                counted(said.outcome(), told);
            }
        }
        None => {
            let id = format!("twilio {}", field("MessageSid"));
            let reply = Reply {
                id: &id,
                channels: &channels,
                from: field("From"),
                text: field("Body"),
                refers_to: None,
            };
            counted("replied", receipts::reply(&doors.store, reply, now).await?);
        }
    }
    // An empty answer in their markup: nothing is said back.
    Ok(([(header::CONTENT_TYPE, "text/xml")], "<Response/>").into_response())
}

/// The token in `twilio://SID:TOKEN@host`.
fn token(secret: &str) -> Option<String> {
    let url = reqwest::Url::parse(secret.trim()).ok().filter(|url| url.scheme() == "twilio")?;
    url.password().filter(|token| !token.is_empty()).map(str::to_owned)
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("form:?{text}"));
    url.map_or_else(|_| Vec::new(), |url| url.query_pairs().into_owned().collect())
}

/// Twilio signs the whole address, followed by all fields in the order of their names, without anything between.
fn is_twilios(token: &str, url: &str, form: &[(String, String)], given: &str) -> bool {
    let mut sorted: Vec<&(String, String)> = form.iter().collect();
    sorted.sort();
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("a key of any length will do");
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let own = STANDARD.encode(mac.finalize().into_bytes());
    given.as_bytes().ct_eq(own.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twilio_signs_as_its_documentation_says() {
        // The example of their page on validating requests.
        let form = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
        let (url, given) = ("https://mycompany.com/myapp.php?foo=1&bar=2", "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        assert!(is_twilios("12345", url, &pairs(form), given));
        assert!(!is_twilios("12346", url, &pairs(form), given));
        assert!(!is_twilios("12345", "https://mycompany.com/myapp.php?foo=1", &pairs(form), given));
        assert_eq!(token("twilio://AC1:t%2Fx@api.twilio.com?from=1").as_deref(), Some("t%2Fx"));
        assert_eq!(token("https://AC1:t@x"), None);
    }

    #[test]
    fn a_signature_is_of_this_body_and_of_now() {
        let now = 1_800_000_000_000;
        let signed = |secret: &str, seconds: i64, body: &str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
            mac.update(format!("{seconds}.{body}").as_bytes());
            let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            let mut headers = HeaderMap::new();
            headers.insert("x-fahrplan-timestamp", seconds.into());
            headers.insert("x-fahrplan-signature", format!("sha256={hex}").parse().expect("a value"));
            headers
        };
        let at = now / 1_000;
        assert!(is_signed("s", &signed("s", at, "{}"), b"{}", now));
        assert!(is_signed("s", &signed("s", at - 300, "{}"), b"{}", now));
        assert!(!is_signed("s", &signed("s", at - 301, "{}"), b"{}", now));
        assert!(!is_signed("s", &signed("s", at + 301, "{}"), b"{}", now));
        assert!(!is_signed("s", &signed("x", at, "{}"), b"{}", now));
        assert!(!is_signed("s", &signed("s", at, "{}"), b"{ }", now));
        assert!(!is_signed("", &signed("", at, "{}"), b"{}", now));
        assert!(!is_signed("s", &HeaderMap::new(), b"{}", now));
    }
}
