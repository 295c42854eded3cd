//! Permissions given or withdrawn elsewhere: `POST /v1/consents`.
//!
//! One or a list. Each is taken or refused alone, with 422 and a reason, and kept like any item that could not be read: a withdrawal
//! that is lost is the worst that can happen here.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Doors;
use super::auth::MayIngest;
use super::events::two_people;
use super::problem::Problem;
use crate::engine::program::Catalog;
use crate::engine::world::Input;
use crate::intake::{self, Consent, Rejected, Whom};
use crate::store::inbox::{Accepted, Incoming, To};
use crate::store::rejected::{self, Bad, Replay};
use crate::store::{Conn, contacts};
use crate::time::Timestamp;

/// The most of one request.
const MOST: usize = 2_000;
/// How a kept one is called.
pub const KIND: &str = "consent";

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new().route("/v1/consents", post(consents))
}

async fn consents(key: MayIngest, State(doors): State<Doors>, body: Bytes) -> Result<Response, Problem> {
    let body: Value = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad("not-json", format!("the body cannot be read as JSON: {error}")))?;
    let (items, is_list) = match body {
        Value::Array(items) => (items, true),
        item => (vec![item], false),
    };
    if items.len() > MOST {
        let detail = format!("a request has at most {MOST} consents; send more requests");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "batch-too-long", detail));
    }
    doors.settings.limits.take_items(&key.0.prefix, items.len())?;
    let now = doors.clock.now();
    let became = take(&doors, &items, now).await?;
    if let ([Err(why)], false) = (&became[..], is_list) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why.code, why.reason.clone()));
    }
    let count = |which: fn(&Result<bool, Rejected>) -> bool| became.iter().filter(|one| which(one)).count();
    let rejections: Vec<Value> = became.iter().enumerate().filter_map(rejection).collect();
    let answer = json!({
        "accepted": count(|one| *one == Ok(true)),
        "duplicates": count(|one| *one == Ok(false)),
        "rejected": rejections.len(),
        "rejections": rejections,
    });
    Ok(Json(answer).into_response())
}

fn rejection((index, one): (usize, &Result<bool, Rejected>)) -> Option<Value> {
    let why = one.as_ref().err()?;
    Some(json!({ "index": index, "status": 422, "code": why.code, "reason": why.reason }))
}

/// What became of each: taken, seen before (`false`), or refused.
async fn take(
    doors: &Doors,
    items: &[Value],
    now: Timestamp,
) -> Result<Vec<Result<bool, Rejected>>, Problem> {
    let deployed = doors.deployed().await?;
    let mut became = Vec::with_capacity(items.len());
    let (mut incoming, mut places) = (Vec::new(), Vec::new());
    let mut conn = doors.store.read().await?;
    for (place, item) in items.iter().enumerate() {
        let read = match incoming_of(&mut conn, &deployed.catalog, item, now).await? {
            Ok(one) => {
                incoming.push(one);
                places.push(place);
                Ok(true)
            }
            Err(why) => Err(why),
        };
        became.push(read);
    }
    drop(conn);
    for (place, accepted) in places.into_iter().zip(doors.store.accept(incoming, now).await?) {
        became[place] = match accepted {
            Accepted::Taken(_) => Ok(true),
            Accepted::Repeated => Ok(false),
            Accepted::Nobody => Err(unknown()),
            Accepted::TwoPeople => Err(two_people()),
        };
    }
    let replay = Replay { kind: KIND.to_owned(), sent_at: None, part: None };
    let bad = items.iter().zip(&became).filter_map(|(item, one)| {
        let why = one.as_ref().err()?.clone();
        Some(Bad { body: item.to_string(), why, replay: Some(replay.clone()) })
    });
    rejected::keep_all(&doors.store, "http", bad.collect(), now).await?;
    Ok(became)
}

/// What the inbox takes for a consent; none for somebody we do not know.
pub async fn incoming_of(
    conn: &mut Conn,
    catalog: &Catalog,
    item: &Value,
    now: Timestamp,
) -> Result<Result<Incoming, Rejected>, crate::store::Error> {
    let Consent { whom, message_id, change } = match intake::read_consent(catalog, item, now) {
        Ok(consent) => consent,
        Err(why) => return Ok(Err(why)),
    };
    let to = match whom {
        Whom::Who(who) => To::Who(who),
        Whom::Known(key) => match contacts::by_key(conn, &key).await? {
            Some(contact) => To::Contact(contact.id),
            None => return Ok(Err(unknown())),
        },
    };
    let message_id = message_id.map(|id| format!("consent {id}"));
    Ok(Ok(Incoming { to, message_id, input: Input::Consent(change) }))
}

fn unknown() -> Rejected {
    Rejected::new("unknown-contact", "nobody is known by that; send `identify` first, or name a `user_id`")
}
