//! What people said that fits no message, for programs: `GET /v1/replies`.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Doors;
use super::auth::MayRead;
use super::problem::Problem;
use crate::store::replies::{self, Apart};

/// The most of one answer.
const MOST: u32 = 1_000;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new().route("/v1/replies", get(list))
}

/// Which part of the list: those that came before one, and how many.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    before: Option<i64>,
    limit: Option<u32>,
}

async fn list(
    _key: MayRead,
    State(doors): State<Doors>,
    Query(part): Query<Part>,
) -> Result<Json<Value>, Problem> {
    let limit = part.limit.unwrap_or(100).clamp(1, MOST);
    let mut conn = doors.store.read().await?;
    let count = replies::count(&mut conn).await?;
    let items = replies::list(&mut conn, part.before, limit).await?;
    let is_full = u32::try_from(items.len()).is_ok_and(|found| found == limit);
    let next = items.last().filter(|_| is_full).map(|item| item.id.to_string());
    let items: Vec<Value> = items.iter().map(Apart::as_json).collect();
    Ok(Json(json!({ "count": count, "items": items, "next": next })))
}
