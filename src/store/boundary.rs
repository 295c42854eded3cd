//! Where a transaction can be held up, cut off or lied about: the fault points of the simulator in `tests/sim`.
//!
//! In production there is no [`Boundary`] and nothing happens here. With one, everybody who is about to pass a [`Point`] asks it first and
//! waits for the answer: so a simulation decides who goes on, lets others go on meanwhile, and fails whom it likes.
//!
//! ```text
//! read -> Begin -> (lock, read) -> Write -> (write) -> Commit -> durable -> Committed -> the caller knows
//! ```

use std::fmt::Debug;
use std::pin::Pin;

use super::{Core, Result};

/// Where somebody stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// A transaction that writes is about to begin; what was read before may grow old here.
    Begin,
    /// A batch has read and decided everything and is about to write it.
    Write,
    /// Everything is written and nothing is durable: a failure here is a rollback.
    Commit,
    /// It is durable and the caller does not know: a failure here is a lost reply.
    Committed,
}

/// Who is asked at each point. An error is what the caller gets, as if the database had failed there.
pub trait Boundary: Debug + Send + Sync {
    /// Somebody stands there.
    fn reached(&self, point: Point) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>>;
}

impl Core {
    /// Asks whether it goes on.
    pub(super) async fn pass(&self, point: Point) -> Result<()> {
        match &self.boundary {
            Some(boundary) => boundary.reached(point).await,
            None => Ok(()),
        }
    }
}
