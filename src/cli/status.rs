//! What runs: journeys, enrollments, deliveries.

use super::{Failure, Outcome, StatusArgs};

/// Refuses, since it is not built yet.
pub fn run(_: &StatusArgs) -> Outcome {
    Err(Failure::not_available("`status`"))
}
