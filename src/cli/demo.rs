//! Plays the built-in shop in fast motion, with real mail into a built-in mailbox.

use super::{DemoArgs, Failure, Outcome};

/// Refuses, since it is not built yet.
pub fn run(_: &DemoArgs) -> Outcome {
    Err(Failure::not_available("`demo`"))
}
