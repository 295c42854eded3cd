//! What batches of letters and batches of audiences have in common: why one is not made, and the pause after that.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use crate::store;
use crate::time::MINUTE;

/// How often it is looked whether it is time, and whether a batch was left unfinished.
pub(super) const LOOK: Duration = Duration::from_millis(500);
pub(super) const UNFINISHED: Duration = Duration::from_secs(5);
/// How long a batch is held at a time, in milliseconds.
pub(super) static HOLD: LazyLock<i64> = LazyLock::new(|| super::lease_of(MINUTE));
/// The pause after a folder could not be written.
const PAUSE: Duration = Duration::from_secs(30);

/// Why a batch could not be made. It is tried again.
#[derive(Debug)]
pub enum Error {
    Store(store::Error),
    File(PathBuf, std::io::Error),
    /// Another process works on it.
    Elsewhere,
    /// Letters of it moved while they were looked for.
    Moving,
    /// It was asked to stop, or all sending was paused.
    Stopped,
    /// What it was made of is kept no longer.
    Thawed,
    /// The network did not take a call, and how long it asks to wait.
    NotTaken(String, Option<Duration>),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Store(error) => write!(f, "{error}"),
            Error::File(path, error) => write!(f, "{}: {error}", path.display()),
            Error::Elsewhere => f.write_str("another process works on this batch"),
            Error::Moving => f.write_str("letters of this batch moved; it is tried again"),
            Error::Stopped => f.write_str("stopped before it was done"),
            Error::Thawed => f.write_str("what these letters were made of is kept for thirty days only"),
            Error::NotTaken(why, _) => write!(f, "the network did not take it: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        Error::Store(error)
    }
}

/// How long to wait after a round that ended so; what ends the loop for good.
pub(super) fn pause_after(error: Error, of: &'static str) -> Result<Duration, super::Error> {
    match error {
        Error::Store(error) if !error.is_passing() => return Err(error.into()),
        Error::Store(error) => {
            tracing::warn!(%error, of, "batches could not reach the database; trying again")
        }
        error @ (Error::Elsewhere | Error::Moving | Error::Stopped) => {
            tracing::debug!(%error, of, "a batch is not done");
        }
        error => {
            tracing::error!(%error, of, "a batch cannot be made; trying again");
            return Ok(PAUSE);
        }
    }
    Ok(LOOK)
}

/// The step at which a test of the whole program stops it for good, to kill it between two of them: from that variable of the environment.
pub(super) struct Halt(LazyLock<Option<String>>);

impl Halt {
    pub(super) const fn new(read: fn() -> Option<String>) -> Halt {
        Halt(LazyLock::new(read))
    }

    /// Ends here if a test asks for it; for nobody else.
    pub(super) async fn at(&self, step: &str) {
        if self.0.as_deref() == Some(step) {
            tracing::warn!(step, "halted, as a test asks");
            std::future::pending::<()>().await;
        }
    }
}
