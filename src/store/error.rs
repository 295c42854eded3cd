//! What goes wrong in the store, in words, and whether it passes by.

use std::fmt;
use std::time::Duration;

use super::{lite, skew};

/// Beginnings of the codes with which PostgreSQL says no for now.
const PASSING: [&str; 8] = ["08", "40", "53", "57014", "57P", "25P02", "25P03", "55P03"];

/// What goes wrong in the store.
#[derive(Debug)]
pub enum Error {
    /// The database said no, or is away.
    Database(sqlx::Error),
    /// The same of SQLite.
    Sqlite(rusqlite::Error),
    /// SQLite has rolled a transaction back by itself, for want of room.
    RolledBack,
    /// What was written to SQLite cannot be synced: nobody knows what of it is on the disk, and only a new start finds out.
    Unsynced,
    /// All connections were in use for too long.
    NoConnection,
    /// The store was closed.
    Closed,
    /// The scheme of the URL is neither `sqlite:` nor `postgres://`.
    Url(String),
    /// The database has migrations that this binary does not know.
    NewerSchema { found: i64, known: i64 },
    /// The database has fewer migrations than this binary needs, and was opened only to look.
    OlderSchema { found: i64, known: i64 },
    /// There is no database at that place, or nothing of ours in it.
    Missing(String),
    /// No answer came for so long.
    Silent(Duration),
    /// A database cannot be opened, or is away; says which.
    Opening { place: String, error: Box<Error> },
    /// The SQLite compiled in is too old to be safe.
    OldSqlite(String),
    /// Another daemon runs on this SQLite database.
    SecondDaemon(String),
    /// The file of a SQLite database has several names, each of which would have a log of its own.
    Linked(String),
    /// All worker numbers are leased.
    NoWorkerFree,
    /// A stored value cannot be read back.
    Unreadable { what: &'static str, why: String },
    /// Too much is waiting to be accepted; try again a little later.
    Busy,
    /// A lock file cannot be made.
    File(std::io::Error),
    /// What was read for a batch has changed since: it begins again.
    Moved,
    /// The lease of the worker number was over: ids that were made may be another one's.
    Lapsed,
    /// This machine's clock is too far from the database's for anything to be done by it.
    Clock { ahead_ms: i64 },
}

/// What store functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Database(error) => write!(f, "the database failed: {error}"),
            Error::Sqlite(error) => write!(f, "the database failed: {error}"),
            Error::RolledBack => f.write_str("the database has rolled back: there was no room"),
            Error::Unsynced => f.write_str(
                "the disk of the database did not keep what was written: nothing more is written until a new start has read what is there",
            ),
            Error::NoConnection => f.write_str("the database gives no connection"),
            Error::Closed => f.write_str("the database was closed"),
            Error::Url(scheme) => {
                write!(f, "`{scheme}` is no database: write `sqlite:PATH` or `postgres://HOST/DATABASE`")
            }
            Error::NewerSchema { found, known } => write!(
                f,
                "the database has schema {found}, made by a newer fahrplan; this one knows schema {known}"
            ),
            Error::OlderSchema { found, known } => {
                write!(f, "the database has schema {found}; this fahrplan reads schema {known}")
            }
            Error::Missing(place) => write!(f, "{place} does not exist yet, or holds nothing of ours"),
            Error::Silent(patience) => write!(f, "no answer within {} s", patience.as_secs_f32()),
            Error::Opening { place, error } => {
                write!(f, "{place} cannot be reached: ")?;
                match &**error {
                    Error::Database(sqlx::Error::Io(error)) | Error::File(error) => error.fmt(f),
                    Error::Database(sqlx::Error::Database(error)) => f.write_str(error.message()),
                    Error::Database(sqlx::Error::PoolTimedOut) => f.write_str("it gives no connection"),
                    Error::Database(error) => error.fmt(f),
                    Error::Sqlite(error) => error.fmt(f),
                    Error::NoConnection => f.write_str("it gives no connection"),
                    error => error.fmt(f),
                }
            }
            Error::Moved => f.write_str("what was read has changed meanwhile"),
            Error::Lapsed => f.write_str("the lease of this process was over; it did not run for a while"),
            Error::Clock { ahead_ms } => write!(
                f,
                "the clock of this machine is {} the database's; nothing is written until it is right: `chronyd` or \
                 `systemd-timesyncd` sets it",
                skew::in_words(*ahead_ms)
            ),
            Error::OldSqlite(version) => {
                write!(f, "SQLite {version} may lose commits; 3.51.3 or newer is needed")
            }
            Error::SecondDaemon(path) => {
                write!(f, "another `fahrplan serve` runs on {path}; one SQLite database takes one daemon")
            }
            Error::Linked(path) => write!(
                f,
                "{path} is a file with a second name (a hard link): served by both it would be damaged; remove the other name, or copy it \
                 with `fahrplan backup`"
            ),
            Error::NoWorkerFree => f.write_str("all 1,024 worker numbers are leased; wait a minute"),
            Error::Unreadable { what, why } => write!(f, "a stored {what} cannot be read: {why}"),
            Error::Busy => f.write_str("too much is waiting to be accepted; try again in a moment"),
            Error::File(error) => write!(f, "the lock file of the database cannot be made: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Database(error) => Some(error),
            Error::Sqlite(error) => Some(error),
            Error::File(error) => Some(error),
            Error::Opening { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Error {
        Error::Database(error)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        Error::Sqlite(error)
    }
}

impl Error {
    /// Whether the same call may succeed a little later: the database is locked, away, or chose another transaction.
    pub fn is_passing(&self) -> bool {
        match self {
            // PostgreSQL: connections, serialization, out of resources, canceled, shutting down, a transaction that was idle
            // for too long or is at its end, a lock that did not come.
            Error::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| PASSING.iter().any(|class| code.starts_with(class)))
            }
            Error::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed) => {
                true
            }
            // Busy, locked, input and output, full: somebody may free space.
            Error::Sqlite(error) => matches!(lite::kind(error), Some(5 | 6 | 10 | 13)),
            Error::RolledBack | Error::NoConnection => true,
            Error::Busy | Error::Silent(_) | Error::Moved | Error::Lapsed | Error::Clock { .. } => true,
            Error::Opening { error, .. } => error.is_passing(),
            _ => false,
        }
    }

    /// Says at which place it happened, where the error itself does not.
    pub(super) fn at(self, place: &str) -> Error {
        match self {
            Error::Database(_)
            | Error::Sqlite(_)
            | Error::NoConnection
            | Error::File(_)
            | Error::Silent(_) => Error::Opening { place: place.to_owned(), error: Box::new(self) },
            error => error,
        }
    }
}
