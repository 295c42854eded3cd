//! Codes that people bring back from letters: the page `/a/{code}` behind the QR code, `POST /v1/responses` from a shop or a call
//! center, and `POST /v1/receipts/letters` for letters that came back.
//!
//! A code counts once, however it comes back: the outcome `replied` of its letter, with the code as its text.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Doors;
use super::auth::MayIngest;
use super::pages::{Language, Page};
use super::problem::Problem;
use crate::clock::machine_now;
use crate::link::{printed_code, read_code};
use crate::store::letters::{self, Answered, Told};

/// The most of one request.
const MOST: usize = 2_000;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new()
        .route("/a/{code}", get(show).post(press))
        .route("/v1/responses", post(responses))
        .route("/v1/receipts/letters", post(returned))
}

// ---------------------------------------------------------------- the page

/// `GET /a/{code}`: shows a button, and does nothing.
async fn show(
    State(doors): State<Doors>,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let language = language(&headers);
    let Some(code) = read_code(&code) else { return Ok(unknown(&doors, language)) };
    let found = letters::look(&mut doors.store.read().await?, &code, machine_now()).await?;
    Ok(match found {
        Answered::Unknown => unknown(&doors, language),
        Answered::Repeated => thanks(&doors, language),
        Answered::Taken => doors.page(
            language,
            language.pick("Schön, dass du da bist", "Good to see you"),
            &format!(
                "{} {}.",
                language.pick(
                    "Du hast unseren Brief bekommen. Dein Code ist",
                    "You got our letter. Your code is"
                ),
                printed_code(&code)
            ),
            Some(language.pick("Antworten", "Answer")),
        ),
    })
}

/// `POST /a/{code}`: takes the answer, the same any number of times.
async fn press(
    State(doors): State<Doors>,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let language = language(&headers);
    let Some(code) = read_code(&code) else { return Ok(unknown(&doors, language)) };
    Ok(match answer(&doors, &code).await? {
        Answered::Unknown => unknown(&doors, language),
        Answered::Taken | Answered::Repeated => thanks(&doors, language),
    })
}

fn thanks(doors: &Doors, language: Language) -> Response {
    let title = language.pick("Danke!", "Thank you!");
    doors.page(language, title, language.pick("Deine Antwort ist da.", "Your answer has arrived."), None)
}

fn unknown(doors: &Doors, language: Language) -> Response {
    Page {
        language,
        title: language.pick("Diesen Code gibt es nicht", "There is no such code"),
        text: language
            .pick(
                "Er ist abgelaufen oder verschrieben; er hat zwölf Zeichen und keine 0, 1, I, L, O oder U.",
                "It has expired or was misspelled; it has twelve signs and no 0, 1, I, L, O or U.",
            )
            .to_owned(),
        button: None,
        sender: doors.sender.to_string(),
    }
    .answer(StatusCode::NOT_FOUND)
}

fn language(headers: &HeaderMap) -> Language {
    let accepts = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::of(accepts.unwrap_or_default())
}

async fn answer(doors: &Doors, code: &str) -> Result<Answered, Problem> {
    let answered = letters::answer(&doors.store, code, machine_now(), doors.clock.now()).await?;
    let result = match answered {
        Answered::Taken => "taken",
        Answered::Repeated => "repeated",
        Answered::Unknown => "unknown",
    };
    let labels = [("outcome", "replied".to_owned()), ("result", result.to_owned())];
    metrics::counter!("fahrplan_receipts_total", &labels).increment(1);
    Ok(answered)
}

// ---------------------------------------------------------------- other programs

/// A code that somebody gave.
#[derive(Deserialize)]
struct Response_ {
    code: String,
}

/// A letter that came back, by its code or by our id.
#[derive(Deserialize)]
struct Returned {
    code: Option<String>,
    id: Option<String>,
    reason: Option<String>,
}

/// `POST /v1/responses`: one or a list.
async fn responses(key: MayIngest, State(doors): State<Doors>, body: Bytes) -> Result<Response, Problem> {
    let items = items::<Response_>(&doors, &key, &body)?;
    let (mut accepted, mut repeated, mut unknown) = (0, 0, Vec::new());
    for (index, item) in items.iter().enumerate() {
        let answered = match item.as_ref().and_then(|item| read_code(&item.code)) {
            Some(code) => answer(&doors, &code).await?,
            None => Answered::Unknown,
        };
        match answered {
            Answered::Taken => accepted += 1,
            Answered::Repeated => repeated += 1,
            Answered::Unknown => unknown.push(index),
        }
    }
    Ok(Json(json!({ "accepted": accepted, "repeated": repeated, "unknown": unknown })).into_response())
}

/// `POST /v1/receipts/letters`: one or a list.
async fn returned(key: MayIngest, State(doors): State<Doors>, body: Bytes) -> Result<Response, Problem> {
    let items = items::<Returned>(&doors, &key, &body)?;
    let (mut accepted, mut repeated, mut unknown) = (0, 0, Vec::new());
    for (index, item) in items.iter().enumerate() {
        let Some(item) = item else {
            unknown.push(index);
            continue;
        };
        let named = item.id.as_deref().or(item.code.as_deref()).unwrap_or_default();
        match letters::returned(&doors.store, named, item.reason.as_deref(), doors.clock.now()).await? {
            Told::Taken => accepted += 1,
            Told::Repeated => repeated += 1,
            Told::Unknown => unknown.push(index),
        }
    }
    Ok(Json(json!({ "accepted": accepted, "repeated": repeated, "unknown": unknown })).into_response())
}

fn items<T: DeserializeOwned>(
    doors: &Doors,
    key: &MayIngest,
    body: &[u8],
) -> Result<Vec<Option<T>>, Problem> {
    let items = one_or_many(body)?;
    if items.len() > MOST {
        let detail = format!("a request has at most {MOST} of them; send more requests");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "batch-too-long", detail));
    }
    doors.settings.limits.take_items(&key.0.prefix, items.len())?;
    Ok(items)
}

/// What a body brings, one or a list. What cannot be read is `None` and costs the others nothing.
///
/// # Errors
///
/// The body is not JSON, or nothing in it can be read.
pub(super) fn one_or_many<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<Option<T>>, Problem> {
    let unreadable = |error| Problem::bad("not-json", format!("the body cannot be read: {error}"));
    let body: Value = serde_json::from_slice(body).map_err(unreadable)?;
    let items = match body {
        Value::Array(items) => items,
        item => vec![item],
    };
    let (mut read, mut first) = (Vec::with_capacity(items.len()), None);
    for item in items {
        read.push(serde_json::from_value(item).map_err(|error| first.get_or_insert(error)).ok());
    }
    match first {
        Some(error) if read.iter().all(Option::is_none) => Err(unreadable(error)),
        _ => Ok(read),
    }
}
