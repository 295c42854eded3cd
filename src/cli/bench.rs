//! Measures the engine and the store under the workloads J and J'.

use super::{BenchArgs, Failure, Outcome};

/// Refuses, since it is not built yet.
pub fn run(_: &BenchArgs) -> Outcome {
    Err(Failure::not_available("`bench`"))
}
