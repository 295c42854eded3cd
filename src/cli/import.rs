//! Reads contacts and events from files.

use super::{Failure, ImportArgs, Outcome};

/// Refuses, since it is not built yet.
pub fn run(_: &ImportArgs) -> Outcome {
    Err(Failure::not_available("`import`"))
}
