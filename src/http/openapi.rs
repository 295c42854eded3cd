//! What the doors are, for programs: `/openapi.json`, kept by hand beside this file.

use axum::Router;
use axum::http::header;
use axum::routing::get;

use super::Doors;

/// The document.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new().route("/openapi.json", get(([(header::CONTENT_TYPE, "application/json")], DOCUMENT)))
}
