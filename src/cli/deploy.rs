//! Puts the compiled project into the database.

use super::{DeployArgs, Failure, Outcome};

/// Refuses, since it is not built yet.
pub fn run(_: &DeployArgs) -> Outcome {
    Err(Failure::not_available("`deploy`"))
}
