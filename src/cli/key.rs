//! Keys for the HTTP interface.

use super::{Failure, KeyArgs, Outcome};

/// Refuses, since it is not built yet.
pub fn run(_: &KeyArgs) -> Outcome {
    Err(Failure::not_available("`key`"))
}
