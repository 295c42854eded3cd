//! What people said that fits no message, for programs: `GET /v1/replies`.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use super::Doors;
use super::auth::MayRead;
use super::problem::Problem;
use super::rejected::Part;
use crate::store::replies;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new().route("/v1/replies", get(list))
}

async fn list(
    _key: MayRead,
    State(doors): State<Doors>,
    Query(part): Query<Part>,
) -> Result<Json<Value>, Problem> {
    let limit = part.limit();
    let mut conn = doors.store.read().await?;
    let count = replies::count(&mut conn).await?;
    let items = replies::list(&mut conn, part.before, limit).await?;
    Ok(Json(part.answer(count, items.iter().map(|item| (item.id, item.as_json())).collect())))
}
