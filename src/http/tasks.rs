//! Work for people over HTTP.

use axum::Router;

use super::Doors;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new()
}
