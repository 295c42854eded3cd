//! Items that could not be read, for programs: `GET /v1/rejected`.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Doors;
use super::auth::MayRead;
use super::problem::Problem;
use crate::store::rejected::{self, Rejected};

/// The most of one answer.
const MOST: u32 = 1_000;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new().route("/v1/rejected", get(list))
}

/// Which part of the list: those that came before one, and how many.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub(super) before: Option<i64>,
    limit: Option<u32>,
}

impl Part {
    /// How many are wanted, 100 if nobody says.
    pub(super) fn limit(&self) -> u32 {
        self.limit.unwrap_or(100).clamp(1, MOST)
    }

    /// That part of a list of so many: items with their ids, and where it goes on.
    pub(super) fn answer(&self, count: i64, items: Vec<(i64, Value)>) -> Value {
        let is_full = u32::try_from(items.len()).is_ok_and(|found| found == self.limit());
        let next = items.last().filter(|_| is_full).map(|(id, _)| id.to_string());
        let items: Vec<Value> = items.into_iter().map(|(_, item)| item).collect();
        json!({ "count": count, "items": items, "next": next })
    }
}

async fn list(
    _key: MayRead,
    State(doors): State<Doors>,
    Query(part): Query<Part>,
) -> Result<Json<Value>, Problem> {
    let limit = part.limit();
    let mut conn = doors.store.read().await?;
    let count = rejected::count(&mut conn).await?;
    let items = rejected::list(&mut conn, part.before, limit).await?;
    Ok(Json(part.answer(count, items.iter().map(|item| (item.id, as_json(item))).collect())))
}

/// An item as programs read it.
pub fn as_json(item: &Rejected) -> Value {
    // A body that was cut, or was never JSON, is shown as the text that it is.
    let body = serde_json::from_str(&item.body).unwrap_or_else(|_| Value::from(item.body.as_str()));
    json!({
        "id": item.id.to_string(),
        "rejected_at": item.rejected_at.to_string(),
        "source": item.source,
        "code": item.code,
        "reason": item.reason,
        "body": body,
        "can_be_retried": item.replay().is_some(),
    })
}
