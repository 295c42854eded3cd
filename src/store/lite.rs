//! The driver of SQLite: one connection that writes, a few that read, and statements that run in the thread that asks.
//!
//! SQLite is a library, and most statements of a batch take it microseconds. A driver that gives each connection a thread of its own
//! pays two hand-overs for every statement, and one that returns rows as lists of values an allocation for every value: on two
//! busy cores that was a seventh of the work of the daemon and nine of ten of its switches between threads. So a statement runs where
//! it is asked for, and a result is one table of numbers beside one run of bytes. What may take long leaves the other tasks of its
//! thread to others first ([`aside`]).
//!
//! Nor does whoever writes wait for the disk with the lock in his hands. A commit puts its pages into the log of writes and lets the next
//! one begin; then it waits for a sync of the log, which is one for all that have come that far ([`Committed::durable`]). The log
//! is read from its beginning to the first page that is not whole, so nothing can outlast a power cut that a commit before it did not: what
//! others see before it is synced is lost with what they did of it, and nobody outside is told before. SQLite itself is set to sync the log
//! before it is folded into the database, and the database after that.
//!
//! Nor for the log to be folded, where it may grow to its full length: that takes as long as fifty commits, so another connection does it
//! while others write, again for what came meanwhile, and the little that is left in the end keeps the lock for a moment
//! ([`fold`]).
//!
//! Nobody waits inside SQLite: where another process has the lock, the task sleeps and asks again.

mod fold;
mod statements;

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use self::fold::Fold;
pub(super) use self::statements::{Bound, LiteRow, Statements, Table};
use super::room::log_of;
use super::{Error, Result, Synchronous};

/// Connections that only read.
const READERS: usize = 3;
/// Prepared statements kept a connection: about a hundred texts, some of them in five sizes.
const STATEMENTS: usize = 600;
/// How long somebody waits for a lock that another process has, and how long at most between two looks.
const LOCKED: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(25);

/// The connections to one file.
#[derive(Debug)]
pub(super) struct Lite {
    path: PathBuf,
    synchronous: Synchronous,
    patience: Duration,
    /// `None`: it is opened when it is next wanted.
    writer: Arc<AsyncMutex<Option<Alone>>>,
    readers: Mutex<Vec<Alone>>,
    places: Arc<Semaphore>,
    /// Pages in the log before it is folded into the database.
    log: AtomicI64,
    fold: Fold,
    /// Commits so far.
    committed: AtomicU64,
    /// How many of them are synced; held by whoever syncs.
    synced: AsyncMutex<u64>,
    /// Whether a sync failed: then nobody knows what of the log is on the disk.
    unsynced: AtomicBool,
    closed: AtomicBool,
}

/// A connection that one task at a time has; the lock is never taken, and lets tasks that have one move between threads.
#[derive(Debug)]
struct Alone(Mutex<Connection>);

impl Alone {
    fn conn(&mut self) -> &mut Connection {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lite {
    /// Opens the connection that writes; the file is made if it is not there.
    pub(super) async fn open(
        path: &Path,
        synchronous: Synchronous,
        patience: Duration,
        log: i64,
    ) -> Result<Lite> {
        let lite = Lite {
            path: path.to_owned(),
            synchronous,
            patience,
            writer: Arc::default(),
            readers: Mutex::default(),
            places: Arc::new(Semaphore::new(READERS)),
            log: AtomicI64::new(log),
            fold: Fold::default(),
            committed: AtomicU64::new(0),
            synced: AsyncMutex::new(0),
            unsynced: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        };
        // Several processes may create the file at once, and the change to a log of writes waits for nobody.
        let opened = patiently(|| lite.connect(true)).await?;
        *lite.writer.lock().await = Some(opened);
        Ok(lite)
    }

    fn connect(&self, writes: bool) -> Result<Alone> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        conn.busy_timeout(Duration::ZERO)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        // Whoever writes syncs by himself.
        let synchronous = match self.synchronous {
            Synchronous::Full if !writes => "FULL",
            _ => "NORMAL",
        };
        conn.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = OFF; \
             PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 268435456"
        ))?;
        // Negative sizes are KiB.
        if writes {
            conn.execute_batch("PRAGMA cache_size = -32768")?;
            limit_log(&conn, self.log.load(Ordering::Relaxed))?;
        } else {
            conn.execute_batch("PRAGMA cache_size = -5120; PRAGMA query_only = ON")?;
        }
        Ok(Alone(Mutex::new(conn)))
    }

    /// A connection for reading; what it sees may be a moment old.
    pub(super) async fn read(self: &Arc<Lite>) -> Result<Session> {
        let place = timeout(self.patience, self.places.clone().acquire_owned()).await;
        let place = place.map_err(|_| Error::NoConnection)?.map_err(|_| Error::Closed)?;
        let free = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match free {
            Some(conn) => conn,
            None => patiently(|| self.connect(false)).await?,
        };
        Ok(Session::Reading(Reader { conn: Some(conn), lite: self.clone(), _place: place }))
    }

    /// A transaction. It takes the write lock at once, so that it cannot fail half-way for having read first.
    pub(super) async fn write(self: &Arc<Lite>) -> Result<Session> {
        let taken = timeout(self.patience, self.writer.clone().lock_owned()).await;
        let mut writer = Writer { taken: taken.map_err(|_| Error::NoConnection)?, lite: self.clone() };
        if self.unsynced.load(Ordering::Relaxed) {
            return Err(Error::Unsynced);
        }
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        if writer.taken.is_none() {
            *writer.taken = Some(patiently(|| self.connect(true)).await?);
        }
        patiently(|| writer.conn().run("BEGIN IMMEDIATE", &Bound::default())).await?;
        Ok(Session::Writing(writer))
    }

    /// From now on the log is folded into the database when it has so many pages; how many it was before.
    pub(super) async fn limit_log(&self, pages: i64) -> Result<i64> {
        let before = self.log.swap(pages, Ordering::Relaxed);
        if before != pages
            && let Some(writer) = &mut *self.writer.lock().await
        {
            limit_log(writer.conn(), pages)?;
        }
        Ok(before)
    }

    /// Closes all connections; SQLite folds its log into the database when the last one goes.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.fold.ended().await;
        // Whoever reads at this moment finishes first.
        let everybody = u32::try_from(READERS).expect("a few");
        drop(self.places.acquire_many(everybody).await);
        self.places.close();
        let readers = std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner));
        let writer = self.writer.lock().await.take();
        aside(|| drop((readers, writer)));
    }
}

/// Sets when a commit folds the log. No placeholder can stand in a pragma; the number is ours.
fn limit_log(conn: &Connection, pages: i64) -> Result<()> {
    Ok(conn.execute_batch(&format!("PRAGMA wal_autocheckpoint = {}", fold::at_the_latest(pages)))?)
}

/// A connection that somebody has for a while.
#[derive(Debug)]
pub(super) enum Session {
    Reading(Reader),
    Writing(Writer),
}

impl Session {
    /// The connection, as long as its transaction stands.
    fn conn(&mut self) -> Result<&Connection> {
        match self {
            Session::Reading(reader) => Ok(reader.conn()),
            Session::Writing(writer) => writer.within(),
        }
    }

    /// Runs a statement; the number of rows it changed.
    pub(super) fn run(&mut self, sql: &str, bound: &Bound) -> Result<u64> {
        self.conn()?.run(sql, bound)
    }

    /// Runs a statement that returns rows.
    pub(super) async fn query(&mut self, sql: &str, bound: &Bound) -> Result<Arc<Table>> {
        match self {
            Session::Writing(writer) => writer.within()?.query(sql, bound),
            Session::Reading(reader) => {
                let found = patiently(|| reader.conn().query(sql, bound)).await?;
                // A batch asks a dozen questions one after another; whoever else has something to do goes first.
                tokio::task::consume_budget().await;
                Ok(found)
            }
        }
    }

    /// Runs several statements, without values.
    pub(super) fn script(&mut self, sql: &str) -> Result<()> {
        let conn = self.conn()?;
        Ok(aside(|| conn.execute_batch(sql))?)
    }

    /// Ends the transaction: others see what it did, and begin theirs. Nothing to do after mere reading.
    pub(super) fn commit(self) -> Result<Option<Committed>> {
        match self {
            Session::Reading(_) => Ok(None),
            Session::Writing(writer) => writer.commit().map(Some),
        }
    }
}

/// A connection that only reads.
#[derive(Debug)]
pub(super) struct Reader {
    conn: Option<Alone>,
    lite: Arc<Lite>,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    fn conn(&mut self) -> &Connection {
        self.conn.as_mut().expect("it is taken when this is dropped").conn()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // While another process makes the log anew, a connection may be of no use any more: it is not kept in the midst of anything.
        if let Some(mut conn) = self.conn.take()
            && conn.conn().is_autocommit()
        {
            self.lite.readers.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
    }
}

/// The connection that writes, in a transaction. Dropping it without [`Writer::commit`] rolls back.
#[derive(Debug)]
pub(super) struct Writer {
    taken: OwnedMutexGuard<Option<Alone>>,
    lite: Arc<Lite>,
}

impl Writer {
    fn conn(&mut self) -> &Connection {
        self.taken.as_mut().expect("it was opened before the transaction began").conn()
    }

    /// The connection, as long as the transaction stands: a full disk makes SQLite roll back by itself, and what came after would be
    /// written outside of it.
    fn within(&mut self) -> Result<&Connection> {
        let conn = self.conn();
        if conn.is_autocommit() { Err(Error::RolledBack) } else { Ok(conn) }
    }

    fn commit(mut self) -> Result<Committed> {
        self.within()?.run("COMMIT", &Bound::default())?;
        let number = self.lite.committed.fetch_add(1, Ordering::SeqCst) + 1;
        let lite = self.lite.clone();
        fold::look(&lite, self.conn());
        Ok(Committed { lite, number })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(conn) = self.taken.as_mut().map(Alone::conn) else { return };
        if !conn.is_autocommit()
            && let Err(error) = conn.run("ROLLBACK", &Bound::default())
            && !conn.is_autocommit()
        {
            tracing::warn!(%error, "a transaction cannot be rolled back; its connection is replaced");
            self.taken.take();
        }
    }
}

/// A transaction that has ended, and may be lost if the power fails.
#[derive(Debug)]
pub(super) struct Committed {
    lite: Arc<Lite>,
    number: u64,
}

impl Committed {
    /// Waits until it is on the disk.
    pub(super) async fn durable(self) -> Result<()> {
        let lite = &self.lite;
        if lite.synchronous == Synchronous::Normal {
            return Ok(());
        }
        let mut synced = lite.synced.lock().await;
        if *synced >= self.number {
            return Ok(());
        }
        if lite.unsynced.load(Ordering::Relaxed) {
            return Err(Error::Unsynced);
        }
        let all = lite.committed.load(Ordering::SeqCst);
        let log = log_of(&lite.path);
        let sync = tokio::task::spawn_blocking(move || match File::open(log) {
            Ok(log) => log.sync_data(),
            // Folded into the database, which was synced, by whoever closed it last.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        });
        match sync.await {
            Ok(Ok(())) => {
                *synced = all;
                Ok(())
            }
            // Asking once more would be told that all is well, whatever was lost.
            failed => {
                tracing::error!(?failed, "the log of writes cannot be synced: nothing is written any more");
                lite.unsynced.store(true, Ordering::Relaxed);
                Err(Error::Unsynced)
            }
        }
    }
}

/// Does something that may take long; the other tasks of this thread go on elsewhere meanwhile, if there are other threads.
pub(super) fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Tries until no other process has the lock.
pub(super) async fn patiently<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let (begun, mut pause) = (Instant::now(), Duration::from_millis(1));
    loop {
        match attempt() {
            Err(Error::Sqlite(error)) if is_locked(&error) && begun.elapsed() < LOCKED => {
                sleep(pause).await;
                pause = LOOK.min(pause * 2);
            }
            done => return done,
        }
    }
}

fn is_locked(error: &rusqlite::Error) -> bool {
    matches!(kind(error), Some(5 | 6))
}

/// The primary code that SQLite gives an error.
pub(super) fn kind(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    async fn open(folder: &tempfile::TempDir) -> Arc<Lite> {
        let path = folder.path().join("lite.db");
        Arc::new(Lite::open(&path, Synchronous::Normal, PATIENCE, 1_000).await.expect("it opens"))
    }

    async fn read(lite: &Arc<Lite>) -> Session {
        lite.read().await.expect("free")
    }

    async fn write(lite: &Arc<Lite>) -> Session {
        lite.write().await.expect("free")
    }

    fn run(session: &mut Session, sql: &str) -> Result<u64> {
        session.run(sql, &Bound::default())
    }

    fn commit(session: Session) -> Committed {
        session.commit().expect("it ends").expect("it wrote")
    }

    #[tokio::test]
    async fn who_finds_the_lock_taken_elsewhere_waits_and_lets_others_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let lite = open(&folder).await;
        let other = Connection::open(folder.path().join("lite.db")).expect("it opens");
        other.execute_batch("BEGIN IMMEDIATE; CREATE TABLE t (a)").expect("the lock is free");
        // On one thread: whoever waited inside SQLite would wait for ever.
        let (mut writer, ()) = tokio::join!(write(&lite), async {
            tokio::task::yield_now().await;
            other.execute_batch("COMMIT").expect("it ends");
        });
        run(&mut writer, "INSERT INTO t VALUES (1)").expect("the table is there");
        commit(writer).durable().await.expect("on the disk");
        assert_eq!(run(&mut read(&lite).await, "SELECT a FROM t").expect("read"), 1);
    }

    #[tokio::test]
    async fn a_transaction_that_is_dropped_never_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let lite = open(&folder).await;
        let mut writer = write(&lite).await;
        run(&mut writer, "CREATE TABLE t (a)").expect("made");
        drop(writer);
        run(&mut read(&lite).await, "SELECT a FROM t").expect_err("the table was never there");
        run(&mut write(&lite).await, "CREATE TABLE t (a)").expect("it can be made");
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_takes_nothing_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let lite = open(&folder).await;
        let mut writer = write(&lite).await;
        run(&mut writer, "CREATE TABLE t (a UNIQUE)").expect("made");
        run(&mut writer, "INSERT INTO t VALUES (1)").expect("the first");
        // As a full disk does.
        run(&mut writer, "INSERT OR ROLLBACK INTO t VALUES (1)").expect_err("there already");
        let after = run(&mut writer, "CREATE TABLE u (a)");
        assert!(matches!(after, Err(Error::RolledBack)), "{after:?}");
        assert!(matches!(writer.commit(), Err(Error::RolledBack)));
        commit(write(&lite).await).durable().await.expect("on the disk");
    }

    #[tokio::test]
    async fn one_sync_serves_all_that_have_come_so_far() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lite.db");
        let lite = Arc::new(Lite::open(&path, Synchronous::Full, PATIENCE, 1_000).await.expect("it opens"));
        let mut ended = Vec::new();
        for n in 0..3 {
            let mut writer = lite.write().await.expect("nobody waits for a sync with the lock in his hands");
            run(&mut writer, &format!("CREATE TABLE t{n} (a)")).expect("made");
            ended.push(commit(writer));
        }
        ended.remove(0).durable().await.expect("on the disk");
        assert_eq!((*lite.synced.lock().await, lite.committed.load(Ordering::SeqCst)), (3, 3));
        for one in ended {
            one.durable().await.expect("on the disk by now");
        }
        // Whatever cannot be synced any more cannot be added to either.
        lite.unsynced.store(true, Ordering::Relaxed);
        assert!(matches!(lite.write().await, Err(Error::Unsynced)));
    }
}
