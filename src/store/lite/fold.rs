//! Folding the log of writes into the database while others write.
//!
//! ```text
//! a commit finds the log long -> another connection folds what there is, and what came meanwhile, as long as that is much
//!                             -> with the lock: the rest, and the next commit begins the log anew
//! ```
//!
//! The log begins anew only when all of it is folded and nobody reads in it. Where somebody does for long, it grows on, and is looked at
//! again when it has grown by a part of its length.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Mutex as AsyncMutex;

use super::{Bound, Lite, Statements};
use crate::store::room::MOST;
use crate::store::{Error, Result};

/// How often what came meanwhile is folded without the lock.
const PASSES: usize = 4;
/// Pages that are few enough to be folded with the lock.
const FEW: i64 = 1_000;
/// How long somebody who reads is waited for with the lock.
const BRIEFLY: Duration = Duration::from_millis(10);
/// The extended code of a sync that failed: `SQLITE_IOERR_FSYNC`.
const SYNC_FAILED: i32 = 1_034;

/// Who folds, and when it is wanted again.
#[derive(Debug, Default)]
pub(super) struct Fold {
    /// Held by whoever folds.
    alone: Arc<AsyncMutex<()>>,
    /// Where the log could not be folded, or not begin anew: its length from which on it is tried again.
    again_at: AtomicI64,
}

impl Fold {
    /// Waits for whoever folds.
    pub(super) async fn ended(&self) {
        drop(self.alone.lock().await);
    }
}

/// Where a commit folds the log itself: at once where room is short, and far beyond its length where others do it.
pub(super) fn at_the_latest(pages: i64) -> i64 {
    if pages < MOST { pages } else { pages * 2 }
}

/// After a commit: has the log folded if it has become long.
pub(super) fn look(lite: &Arc<Lite>, writer: &Connection) {
    let limit = lite.log.load(Ordering::Relaxed);
    if limit < MOST {
        return;
    }
    let Ok(Log { pages, .. }) = fold(writer, "PRAGMA wal_checkpoint(NOOP)") else { return };
    if pages < limit.max(lite.fold.again_at.load(Ordering::Relaxed)) {
        return;
    }
    let Ok(alone) = lite.fold.alone.clone().try_lock_owned() else { return };
    let lite = lite.clone();
    tokio::spawn(async move {
        if let Err(error) = fold_all(&lite).await {
            tracing::warn!(%error, "the log of writes cannot be folded into the database");
            lite.fold.again_at.store(pages + MOST / 8, Ordering::Relaxed);
            let code = |error: &rusqlite::Error| error.sqlite_error().map(|error| error.extended_code);
            if matches!(&error, Error::Sqlite(error) if code(error) == Some(SYNC_FAILED)) {
                lite.unsynced.store(true, Ordering::Relaxed);
            }
        }
        drop(alone);
    });
}

async fn fold_all(lite: &Arc<Lite>) -> Result<()> {
    let beside = lite.clone();
    let folded = tokio::task::spawn_blocking(move || {
        let mut conn = beside.connect(false)?;
        for _ in 0..PASSES {
            let log = fold(conn.conn(), "PRAGMA wal_checkpoint(PASSIVE)")?;
            let now = fold(conn.conn(), "PRAGMA wal_checkpoint(NOOP)")?;
            // Whoever reads what was there before keeps the rest from being folded: that is not waited for here.
            if log.folded < log.pages || now.pages - now.folded < FEW {
                break;
            }
        }
        Ok(())
    });
    folded.await.unwrap_or(Err(Error::Closed))?;
    let mut writer = lite.writer.clone().lock_owned().await;
    // On a thread of its own too: one that serves tasks would have to be replaced meanwhile, and each new one takes memory.
    let rest =
        tokio::task::spawn_blocking(move || writer.as_mut().map_or(Ok(0), |conn| fold_rest(conn.conn())));
    let again_at = rest.await.unwrap_or(Err(Error::Closed))?;
    lite.fold.again_at.store(again_at, Ordering::Relaxed);
    Ok(())
}

/// Folds the rest, while nobody writes; from which length on the log is to be looked at again.
fn fold_rest(writer: &Connection) -> Result<i64> {
    if begin_anew(writer)? {
        return Ok(0);
    }
    Ok(fold(writer, "PRAGMA wal_checkpoint(NOOP)")?.pages + MOST / 8)
}

/// Whether the log begins anew with the next commit.
fn begin_anew(writer: &Connection) -> Result<bool> {
    let log = fold(writer, "PRAGMA wal_checkpoint(PASSIVE)")?;
    if log.folded < log.pages {
        return Ok(false);
    }
    writer.busy_timeout(BRIEFLY)?;
    let begun = fold(writer, "PRAGMA wal_checkpoint(RESTART)");
    writer.busy_timeout(Duration::ZERO)?;
    Ok(!begun?.is_busy)
}

/// The log of writes, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Log {
    is_busy: bool,
    pages: i64,
    folded: i64,
}

fn fold(conn: &Connection, pragma: &'static str) -> Result<Log> {
    let found = conn.query(pragma, &Bound::default())?;
    let row = found.rows().next();
    let number = |column| row.as_ref().map_or(Ok(None), |row| row.integer(column));
    Ok(Log {
        is_busy: number(0)? != Some(0),
        pages: number(1)?.unwrap_or(0),
        folded: number(2)?.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Session, Synchronous};
    use super::*;

    /// A commit of so many pages.
    async fn write(lite: &Arc<Lite>, pages: i64) {
        const ROWS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
            INSERT INTO t SELECT randomblob(4000) FROM n";
        let mut session = lite.write().await.expect("free");
        session.run("CREATE TABLE IF NOT EXISTS t (a)", &Bound::default()).expect("made");
        session.run(ROWS, &Bound::once(vec![pages.into()])).expect("written");
        session.commit().expect("it ends").expect("it wrote").durable().await.expect("on the disk");
    }

    async fn log(lite: &Arc<Lite>) -> Log {
        match lite.write().await.expect("free") {
            Session::Writing(mut writer) => {
                writer.conn().run("ROLLBACK", &Bound::default()).expect("ended");
                fold(writer.conn(), "PRAGMA wal_checkpoint(NOOP)").expect("told")
            }
            Session::Reading(_) => unreachable!("it writes"),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_long_log_is_folded_beside_those_who_write_and_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lite.db");
        let lite =
            Lite::open(&path, Synchronous::Normal, Duration::from_secs(5), MOST).await.expect("it opens");
        let lite = Arc::new(lite);
        write(&lite, MOST - 2_000).await;
        lite.fold.ended().await;
        assert_eq!(log(&lite).await.folded, 0, "it may grow as long as it is shorter");

        // Somebody reads in it: it is folded as far as that goes, and does not begin anew.
        let reader = Connection::open(&path).expect("it opens");
        reader.execute_batch("BEGIN; SELECT COUNT(*) FROM t").expect("read");
        write(&lite, 3_000).await;
        lite.fold.ended().await;
        let grown = log(&lite).await;
        assert!(grown.pages > MOST && grown.folded < grown.pages && grown.folded > 0, "{grown:?}");
        reader.execute_batch("COMMIT").expect("ended");
        write(&lite, 100).await;
        lite.fold.ended().await;
        assert_eq!(log(&lite).await.folded, grown.folded, "again when it has grown by more");

        write(&lite, MOST / 8).await;
        lite.fold.ended().await;
        write(&lite, 10).await;
        let anew = log(&lite).await;
        assert!(anew.pages < 100, "{anew:?}");
    }
}
