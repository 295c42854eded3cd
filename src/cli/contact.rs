//! Everything we hold on one person.

use super::{ContactArgs, Failure, Outcome};

/// Refuses, since it is not built yet.
pub fn run(_: &ContactArgs) -> Outcome {
    Err(Failure::not_available("`contact`"))
}
