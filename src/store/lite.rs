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
//! Nobody waits inside SQLite: where another process has the lock, the task sleeps and asks again.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::room::log_of;
use super::sql::Arg;
use super::{Error, Result, Synchronous};

/// Connections that only read.
const READERS: usize = 3;
/// Prepared statements kept a connection: about a hundred texts, some of them in five sizes.
const STATEMENTS: usize = 600;
/// How long somebody waits for a lock that another process has, and how long at most between two looks.
const LOCKED: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(25);
/// A batch with more cells than this may take long.
const MANY: usize = 100_000;

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
    /// Pages in the log before a commit folds it into the database.
    log: AtomicI64,
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
            conn.execute_batch("PRAGMA cache_size = -8192; PRAGMA query_only = ON")?;
        }
        Ok(Alone(Mutex::new(conn)))
    }

    /// A connection for reading; what it sees may be a moment old.
    pub(super) async fn read(self: &Arc<Lite>) -> Result<Reader> {
        let place = timeout(self.patience, self.places.clone().acquire_owned()).await;
        let place = place.map_err(|_| Error::NoConnection)?.map_err(|_| Error::Closed)?;
        let free = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match free {
            Some(conn) => conn,
            None => patiently(|| self.connect(false)).await?,
        };
        Ok(Reader { conn: Some(conn), lite: self.clone(), _place: place })
    }

    /// A transaction. It takes the write lock at once, so that it cannot fail half-way for having read first.
    pub(super) async fn write(self: &Arc<Lite>) -> Result<Writer> {
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
        Ok(writer)
    }

    /// From now on a commit folds the log into the database when it has so many pages; how many it was before.
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
        // Whoever reads at this moment finishes first.
        let everybody = u32::try_from(READERS).expect("a few");
        drop(self.places.acquire_many(everybody).await);
        self.places.close();
        let readers = std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner));
        let writer = self.writer.lock().await.take();
        aside(|| drop((readers, writer)));
    }
}

/// No placeholder can stand in a pragma; the number is ours.
fn limit_log(conn: &Connection, pages: i64) -> Result<()> {
    Ok(conn.execute_batch(&format!("PRAGMA wal_autocheckpoint = {pages}"))?)
}

/// A connection that only reads, for a while.
#[derive(Debug)]
pub(super) struct Reader {
    conn: Option<Alone>,
    lite: Arc<Lite>,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    /// Runs a statement that changes nothing in the database; the number of its rows.
    pub(super) fn run(&mut self, sql: &str, bound: &Bound) -> Result<u64> {
        self.conn().run(sql, bound)
    }

    /// Runs a statement that returns rows.
    pub(super) fn query(&mut self, sql: &str, bound: &Bound) -> Result<Arc<Table>> {
        let conn = self.conn();
        if bound.is_long() { aside(|| conn.query(sql, bound)) } else { conn.query(sql, bound) }
    }

    pub(super) fn conn(&mut self) -> &Connection {
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
    pub(super) fn conn(&mut self) -> &Connection {
        self.taken.as_mut().expect("it was opened before the transaction began").conn()
    }

    /// Runs a statement; the number of rows it changed.
    pub(super) fn run(&mut self, sql: &str, bound: &Bound) -> Result<u64> {
        let conn = self.within()?;
        if bound.is_long() { aside(|| conn.run(sql, bound)) } else { conn.run(sql, bound) }
    }

    /// Runs a statement that returns rows.
    pub(super) fn query(&mut self, sql: &str, bound: &Bound) -> Result<Arc<Table>> {
        let conn = self.within()?;
        if bound.is_long() { aside(|| conn.query(sql, bound)) } else { conn.query(sql, bound) }
    }

    /// The connection, as long as the transaction stands: a full disk makes SQLite roll back by itself, and what came after would be
    /// written outside of it.
    fn within(&mut self) -> Result<&Connection> {
        let conn = self.conn();
        if conn.is_autocommit() { Err(Error::RolledBack) } else { Ok(conn) }
    }

    /// Ends the transaction: others see what it did, and begin theirs.
    pub(super) fn commit(mut self) -> Result<Committed> {
        self.within()?.run("COMMIT", &Bound::default())?;
        let number = self.lite.committed.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(Committed { lite: self.lite.clone(), number })
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

/// The values of a statement: those that stay, which are its first, then rows, so many cells of which are bound for one run.
#[derive(Debug, Default)]
pub(super) struct Bound {
    pub(super) fixed: Vec<Arg>,
    pub(super) cells: Vec<Arg>,
    pub(super) together: usize,
    /// Whether it takes long whatever it binds.
    pub(super) long: bool,
}

impl Bound {
    /// For a statement without rows.
    pub(super) fn once(fixed: Vec<Arg>) -> Bound {
        Bound { fixed, ..Bound::default() }
    }

    /// Whether it may take long.
    pub(super) fn is_long(&self) -> bool {
        self.long || self.cells.len() > MANY
    }

    /// The values of each run.
    fn runs(&self) -> impl Iterator<Item = &[Arg]> {
        let none: &[Arg] = &[];
        self.cells.is_empty().then_some(none).into_iter().chain(self.cells.chunks(self.together.max(1)))
    }
}

/// Statements on a connection.
pub(super) trait Statements {
    /// Runs a statement; the number of rows it changed.
    fn run(&self, sql: &str, bound: &Bound) -> Result<u64>;

    /// Runs a statement that returns rows.
    fn query(&self, sql: &str, bound: &Bound) -> Result<Arc<Table>>;
}

impl Statements for Connection {
    fn run(&self, sql: &str, bound: &Bound) -> Result<u64> {
        let mut statement = self.prepare_cached(sql)?;
        bind(&mut statement, &bound.fixed, 0)?;
        let mut changed = 0;
        for cells in bound.runs() {
            bind(&mut statement, cells, bound.fixed.len())?;
            if statement.column_count() == 0 {
                changed += statement.raw_execute()? as u64;
            } else {
                let mut rows = statement.raw_query();
                while rows.next()?.is_some() {
                    changed += 1;
                }
            }
        }
        Ok(changed)
    }

    fn query(&self, sql: &str, bound: &Bound) -> Result<Arc<Table>> {
        let mut statement = self.prepare_cached(sql)?;
        let mut table = Table { width: statement.column_count(), ..Table::default() };
        bind(&mut statement, &bound.fixed, 0)?;
        for cells in bound.runs() {
            bind(&mut statement, cells, bound.fixed.len())?;
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                for place in 0..table.width {
                    table.add(row.get_ref(place)?)?;
                }
                table.rows += 1;
            }
        }
        Ok(Arc::new(table))
    }
}

fn bind(statement: &mut CachedStatement<'_>, values: &[Arg], before: usize) -> Result<()> {
    for (place, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(before + place + 1, value)?;
    }
    Ok(())
}

impl ToSql for Arg {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Arg::I64(n) => ValueRef::Integer(*n),
            Arg::Text(text) => ValueRef::Text(text.as_bytes()),
            Arg::Word(text) => ValueRef::Text(text.as_bytes()),
            Arg::Blob(bytes) => ValueRef::Blob(bytes),
            Arg::NoI64 | Arg::NoText | Arg::NoBlob => ValueRef::Null,
        }))
    }
}

/// A result.
#[derive(Debug, Default)]
pub(super) struct Table {
    width: usize,
    rows: usize,
    cells: Vec<Cell>,
    /// The texts and bytes of all cells.
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Cell {
    Null,
    Integer(i64),
    Text { from: u32, to: u32 },
    Blob { from: u32, to: u32 },
}

impl Table {
    fn add(&mut self, value: ValueRef<'_>) -> Result<()> {
        let cell = match value {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(n) => Cell::Integer(n),
            // Nothing that we store has a fraction; what a statement works out is wanted whole.
            #[expect(clippy::cast_possible_truncation, reason = "rounded towards zero, as SQLite casts")]
            ValueRef::Real(x) => Cell::Integer(x as i64),
            ValueRef::Text(bytes) => {
                let (from, to) = self.keep(bytes)?;
                Cell::Text { from, to }
            }
            ValueRef::Blob(bytes) => {
                let (from, to) = self.keep(bytes)?;
                Cell::Blob { from, to }
            }
        };
        self.cells.push(cell);
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(u32, u32)> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let place = |at: usize| u32::try_from(at).map_err(|_| unreadable("a result has more than 4 GiB"));
        Ok((place(from)?, place(self.bytes.len())?))
    }

    /// Its rows.
    pub(super) fn rows(self: Arc<Table>) -> impl Iterator<Item = LiteRow> {
        (0..self.rows).map(move |row| LiteRow { table: self.clone(), at: row * self.width })
    }
}

/// One row of a result.
#[derive(Clone, Debug)]
pub struct LiteRow {
    table: Arc<Table>,
    /// Its first cell.
    at: usize,
}

impl LiteRow {
    fn cell(&self, column: usize) -> Result<Cell> {
        let cell = (column < self.table.width).then(|| self.table.cells[self.at + column]);
        cell.ok_or_else(|| unreadable("a row has fewer columns"))
    }

    fn slice(&self, from: u32, to: u32) -> &[u8] {
        &self.table.bytes[from as usize..to as usize]
    }

    pub(super) fn integer(&self, column: usize) -> Result<Option<i64>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Integer(n) => Ok(Some(n)),
            _ => Err(unreadable("a number was expected")),
        }
    }

    pub(super) fn text(&self, column: usize) -> Result<Option<&str>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Text { from, to } => std::str::from_utf8(self.slice(from, to))
                .map(Some)
                .map_err(|_| unreadable("a text is no UTF-8")),
            _ => Err(unreadable("a text was expected")),
        }
    }

    pub(super) fn bytes(&self, column: usize) -> Result<Option<&[u8]>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Blob { from, to } => Ok(Some(self.slice(from, to))),
            _ => Err(unreadable("bytes were expected")),
        }
    }
}

fn unreadable(why: &str) -> Error {
    Error::Unreadable { what: "value", why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    async fn open(folder: &tempfile::TempDir) -> Arc<Lite> {
        let path = folder.path().join("lite.db");
        Arc::new(Lite::open(&path, Synchronous::Normal, PATIENCE, 1_000).await.expect("it opens"))
    }

    fn once(fixed: Vec<Arg>) -> Bound {
        Bound::once(fixed)
    }

    #[tokio::test]
    async fn who_finds_the_lock_taken_elsewhere_waits_and_lets_others_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let lite = open(&folder).await;
        let other = Connection::open(folder.path().join("lite.db")).expect("it opens");
        other.execute_batch("BEGIN IMMEDIATE; CREATE TABLE t (a)").expect("the lock is free");
        // On one thread: whoever waited inside SQLite would wait for ever.
        let (mut writer, ()) = tokio::join!(async { lite.write().await.expect("its turn comes") }, async {
            tokio::task::yield_now().await;
            other.execute_batch("COMMIT").expect("it ends");
        });
        writer.run("INSERT INTO t VALUES (1)", &once(Vec::new())).expect("the table is there");
        writer.commit().expect("it ends").durable().await.expect("on the disk");
        assert_eq!(
            lite.read().await.expect("free").run("SELECT a FROM t", &once(Vec::new())).expect("read"),
            1
        );
    }

    #[tokio::test]
    async fn values_come_back_as_they_went_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let lite = open(&folder).await;
        let mut writer = lite.write().await.expect("free");
        writer.run("CREATE TABLE t (a BIGINT, b TEXT, c BLOB)", &once(Vec::new())).expect("made");
        let rows = vec![
            Arg::I64(i64::MIN),
            Arg::from("Zoë\0\u{1f600}"),
            Arg::Blob(vec![0, 255]),
            Arg::NoI64,
            Arg::from(""),
            Arg::NoBlob,
        ];
        let bound = Bound { cells: rows, together: 3, ..Bound::default() };
        assert_eq!(writer.run("INSERT INTO t VALUES (?1, ?2, ?3)", &bound).expect("both"), 2);
        let rows: Vec<LiteRow> = writer
            .query("SELECT a, b, c FROM t ORDER BY a", &once(Vec::new()))
            .expect("read")
            .rows()
            .collect();
        assert_eq!(
            (rows[0].integer(0).expect("nothing"), rows[1].integer(0).expect("a number")),
            (None, Some(i64::MIN))
        );
        assert_eq!(
            (rows[0].text(1).expect("a text"), rows[1].text(1).expect("a text")),
            (Some(""), Some("Zoë\0\u{1f600}"))
        );
        assert_eq!(
            (rows[0].bytes(2).expect("nothing"), rows[1].bytes(2).expect("bytes")),
            (None, Some(&[0, 255][..]))
        );
        assert!(
            rows[0].text(0).is_ok_and(|text| text.is_none())
                && rows[1].text(0).is_err()
                && rows[1].integer(3).is_err()
        );
        // Dropped without a commit.
        drop(writer);
        let mut reader = lite.read().await.expect("free");
        assert!(reader.query("SELECT a FROM t", &once(Vec::new())).is_err(), "the table was never there");
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_takes_nothing_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let lite = open(&folder).await;
        let mut writer = lite.write().await.expect("free");
        writer.run("CREATE TABLE t (a UNIQUE)", &once(Vec::new())).expect("made");
        writer.run("INSERT INTO t VALUES (1)", &once(Vec::new())).expect("the first");
        // As a full disk does.
        writer.run("INSERT OR ROLLBACK INTO t VALUES (1)", &once(Vec::new())).expect_err("there already");
        let after = writer.run("CREATE TABLE u (a)", &once(Vec::new()));
        assert!(matches!(after, Err(Error::RolledBack)), "{after:?}");
        assert!(matches!(writer.commit(), Err(Error::RolledBack)));
        lite.write()
            .await
            .expect("the next one begins")
            .commit()
            .expect("it ends")
            .durable()
            .await
            .expect("on the disk");
    }

    #[tokio::test]
    async fn one_sync_serves_all_that_have_come_so_far() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lite.db");
        let lite = Arc::new(Lite::open(&path, Synchronous::Full, PATIENCE, 1_000).await.expect("it opens"));
        let mut ended = Vec::new();
        for n in 0..3 {
            let mut writer = lite.write().await.expect("nobody waits for a sync with the lock in his hands");
            writer.run(&format!("CREATE TABLE t{n} (a)"), &once(Vec::new())).expect("made");
            ended.push(writer.commit().expect("it ends"));
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
