//! Puts one person into a journey that has `enter by start`.

use super::{EnrollArgs, Failure, Outcome};

/// Refuses, since it is not built yet.
pub fn run(_: &EnrollArgs) -> Outcome {
    Err(Failure::not_available("`enroll`"))
}
