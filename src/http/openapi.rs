//! The description of the doors for programs: OpenAPI.

use axum::Router;

use super::Doors;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new()
}
