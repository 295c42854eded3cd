//! The daemon: scheduler, deliveries, HTTP.

use super::{Failure, Outcome, ServeArgs};

/// Refuses, since it is not built yet.
pub fn run(_: &ServeArgs) -> Outcome {
    Err(Failure::not_available("`serve`"))
}
