//! Who has logged in to the pages.

use axum::Router;

use super::Doors;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new()
}
