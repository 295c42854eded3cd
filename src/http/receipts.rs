//! What providers report of messages, and what people answer to them.

use axum::Router;

use super::Doors;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new()
}
