//! `POST /v1/journeys/{name}/enroll`: puts one person into a journey that has `enter by start`.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Json, response::IntoResponse, response::Response};
use serde_json::{Value as Json_, json};

use super::Doors;
use super::auth::MayIngest;
use super::problem::Problem;
use crate::engine::world::Input;
use crate::intake;
use crate::store::contacts;
use crate::store::inbox::{Incoming, To};

/// No identity is longer, in bytes.
const LONGEST_KEY: usize = 256;

/// The body: `{ "key": "u1" | "ct_…" | an e-mail address, "with": { … } }`. Answers 202 after the commit; whether the person enters
/// is decided by the journey's own rules when the row is taken.
pub async fn enroll(
    _key: MayIngest,
    State(doors): State<Doors>,
    Path(journey): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let body: Json_ = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad("not-json", format!("the body cannot be read as JSON: {error}")))?;
    let Some(key) = body.get("key").and_then(Json_::as_str) else {
        return Err(Problem::bad(
            "no-key-of-contact",
            "say whom: `key` is a user id, an e-mail address or one of our ids",
        ));
    };
    if key.len() > LONGEST_KEY || key.chars().any(char::is_control) {
        return Err(Problem::not_found("contact"));
    }
    let deployed = doors.deployed().await?;
    let program = deployed.current.get(journey.as_str()).ok_or_else(|| Problem::not_found("journey"))?;
    let none = Json_::Null;
    let arguments = intake::read_arguments(program, body.get("with").unwrap_or(&none))
        .map_err(|rejected| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, rejected.code, rejected.reason))?;
    let mut conn = doors.store.read().await?;
    let contact = contacts::by_key(&mut conn, key).await?.ok_or_else(|| Problem::not_found("contact"))?.id;
    drop(conn);
    let now = doors.clock.now();
    let input = Input::Start { journey: program.journey.clone(), arguments, at: now };
    let once = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let message_id = once.map(|once| format!("enroll {journey} {once}"));
    doors.store.accept(vec![Incoming { to: To::Contact(contact), message_id, input }], now).await?;
    let answer = json!({ "accepted": true, "contact": contact.to_string(), "journey": journey });
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}
