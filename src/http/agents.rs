//! The pages of the people who call and visit.

use axum::Router;

use super::Doors;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new()
}
