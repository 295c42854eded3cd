//! Mails that come in: `POST /v1/mail`, the whole message as `message/rfc822`, or what a provider made of it as JSON:
//!
//! ```text
//! { "raw": "From: …\r\n…" }                                                 the message, as text
//! { "from", "to", "subject", "text", "message_id", "in_reply_to", "references", "headers": { … } }
//! ```
//!
//! The answer says what it was taken for. Whoever has a key that may send events may send mails; whose mail it is, the mail shows by
//! itself.

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::Doors;
use super::auth::MayIngest;
use super::problem::Problem;
use crate::intake::mail;
use crate::store::mail::{self as mails, Became};

/// The largest mail.
const MAIL_BYTES: usize = 25 << 20;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new().route("/v1/mail", post(came).layer(DefaultBodyLimit::max(MAIL_BYTES)))
}

/// A mail as JSON. What it has beside these fields is not looked at: each provider has others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Parts {
    raw: Option<String>,
    from: String,
    to: Addresses,
    subject: String,
    text: String,
    message_id: Option<String>,
    in_reply_to: Option<String>,
    references: Option<String>,
    headers: BTreeMap<String, String>,
}

/// One address or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Addresses {
    One(String),
    Many(Vec<String>),
}

impl Default for Addresses {
    fn default() -> Addresses {
        Addresses::Many(Vec::new())
    }
}

impl Parts {
    /// The message that they are the parts of.
    fn message(self) -> Vec<u8> {
        if let Some(raw) = self.raw {
            return raw.into_bytes();
        }
        let to = match self.to {
            Addresses::One(to) => to,
            Addresses::Many(to) => to.join(", "),
        };
        let id = |id: Option<String>| id.unwrap_or_default();
        let own = [
            ("From", self.from),
            ("To", to),
            ("Subject", self.subject),
            ("Message-ID", angled(&id(self.message_id))),
            ("In-Reply-To", angled(&id(self.in_reply_to))),
            ("References", angled(&id(self.references))),
            ("Content-Type", "text/plain; charset=utf-8".to_owned()),
            ("Content-Transfer-Encoding", "8bit".to_owned()),
        ];
        let is_own =
            |name: &str| own.iter().any(|(own, value)| !value.is_empty() && own.eq_ignore_ascii_case(name));
        let more = self.headers.iter().filter(|(name, _)| {
            // The text is plain by now, whatever the parts of the mail were.
            !is_own(name) && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
        });
        let mut message = String::new();
        let more = more.map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.iter().map(|(name, value)| (*name, value.as_str())).chain(more) {
            let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            if !value.trim().is_empty() {
                message.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        message.push_str("\r\n");
        message.push_str(&self.text);
        message.into_bytes()
    }
}

/// Ids with angle brackets around each, as some leave them out.
fn angled(ids: &str) -> String {
    let ids = ids.split_whitespace().map(|id| format!("<{}>", id.trim_matches(['<', '>', ','])));
    ids.collect::<Vec<_>>().join(" ")
}

async fn came(
    MayIngest(key): MayIngest,
    State(doors): State<Doors>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    doors.settings.limits.take_items(&key.prefix, 1)?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let message = match kind.split(';').next().unwrap_or_default().trim() {
        "message/rfc822" | "application/octet-stream" | "text/plain" => body.to_vec(),
        "application/json" | "" => {
            let parts: Parts = serde_json::from_slice(&body).map_err(|error| {
                Problem::bad("not-json", format!("the body cannot be read as a mail: {error}"))
            })?;
            parts.message()
        }
        _ => {
            let detail = "send a mail as `message/rfc822`, or its parts as `application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", detail));
        }
    };
    let Some(mail) = mail::read(&message) else {
        return Err(Problem::bad("not-a-mail", "the body is no mail: it has no header that one would have"));
    };
    let became = mails::take(&doors.store, &doors.link_key, &mail, doors.clock.now()).await?;
    metrics::counter!("fahrplan_mails_total", "result" => became.as_str()).increment(1);
    Ok(Json(as_json(became)))
}

/// What became of a mail, as programs read it.
fn as_json(became: Became) -> Value {
    match became {
        Became::Apart(why) => json!({ "result": became.as_str(), "reason": why.as_str() }),
        Became::Automatic(how) => json!({ "result": became.as_str(), "reason": how }),
        _ => json!({ "result": became.as_str() }),
    }
}
