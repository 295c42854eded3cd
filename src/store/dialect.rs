//! Everything in which SQLite and PostgreSQL differ: how they are opened, how a transaction begins, how a list of rows is
//! written, and the clauses that lock rows or skip those which somebody else holds, or order texts by their bytes.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Postgres, Sqlite, SqliteConnection, Transaction};

use super::sql::{Arg, Held, Piece, Rows, postgres_columns, sqlite_arguments};
use super::{Error, Options, Result, Synchronous, reach, room};

/// The two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

/// The oldest SQLite that does not lose commits when a checkpoint races a write in WAL mode.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// Prepared statements kept a connection: about a hundred texts, some of them in five sizes.
const STATEMENTS: usize = 600;

/// Rows a statement on SQLite, largest first. Few sizes keep few statements prepared; a factor of four between them means that no
/// remainder takes more than a dozen statements.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// How often a SQLite file that is locked is opened again, and after how long.
const OPENINGS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that only read, on SQLite.
const READERS: u32 = 3;

/// The pools of connections: on SQLite one connection writes and a few read; PostgreSQL needs no such distinction.
pub(super) enum Pools {
    Sqlite {
        writer: sqlx::Pool<Sqlite>,
        readers: sqlx::Pool<Sqlite>,
        path: PathBuf,
        /// Pages in the log before a commit folds it into the database; each connection that writes is told when it is made.
        log: Arc<AtomicI64>,
    },
    Postgres(sqlx::Pool<Postgres>),
}

impl Pools {
    /// Opens the database, creating a SQLite file that does not exist. The URL is one that [`reach::place`] has read.
    pub(super) async fn open(url: &str, options: &Options) -> Result<Pools> {
        match reach::sqlite_path(url) {
            Some(path) => open_sqlite(Path::new(path), options).await,
            None => open_postgres(url, options).await,
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Pools::Sqlite { .. } => Dialect::Sqlite,
            Pools::Postgres(_) => Dialect::Postgres,
        }
    }

    /// A connection for reading; what it sees may be a moment old.
    pub(super) async fn read(&self) -> Result<Held> {
        Ok(match self {
            Pools::Sqlite { readers, .. } => Held::ReadSqlite(readers.acquire().await?),
            Pools::Postgres(pool) => Held::ReadPostgres(pool.acquire().await?),
        })
    }

    /// A transaction. On SQLite it takes the write lock at once, so that it cannot fail half-way for having read first.
    pub(super) async fn write(&self) -> Result<Held> {
        Ok(match self {
            Pools::Sqlite { writer, .. } => Held::WriteSqlite(begin(writer).await?),
            Pools::Postgres(pool) => Held::WritePostgres(pool.begin().await?),
        })
    }

    /// From now on a commit folds the log into the database when it has so many pages; how many it was before.
    pub(super) async fn limit_log(&self, pages: i64) -> Result<i64> {
        let Pools::Sqlite { writer, log, .. } = self else { return Ok(pages) };
        let before = log.swap(pages, Ordering::Relaxed);
        if before != pages {
            limit_log(&mut *writer.acquire().await?, pages).await?;
        }
        Ok(before)
    }

    /// Closes all connections; SQLite folds its log into the database when the last one goes.
    pub(super) async fn close(&self) {
        match self {
            Pools::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

/// Begins a transaction on the one connection that writes. After a full disk SQLite has rolled back by itself and the connection
/// still counts a transaction as open: such a one is replaced, again and again while the disk is full and others use it in between.
async fn begin(writer: &sqlx::Pool<Sqlite>) -> Result<Transaction<'static, Sqlite>> {
    const BEGIN: &str = "BEGIN IMMEDIATE";
    for _ in 0..REPLACEMENTS {
        match writer.begin_with(BEGIN).await {
            Err(sqlx::Error::InvalidSavePointStatement) => writer.acquire().await?.close().await?,
            begun => return Ok(begun?),
        }
    }
    Ok(writer.begin_with(BEGIN).await?)
}

/// How often a connection that was left in a broken transaction is replaced before its user is sent away for a moment.
const REPLACEMENTS: u32 = 5;

/// No placeholder can stand in a pragma; the number is ours.
async fn limit_log(conn: &mut SqliteConnection, pages: i64) -> Result<(), sqlx::Error> {
    let pragma = format!("PRAGMA wal_autocheckpoint = {pages}");
    sqlx::raw_sql(AssertSqlSafe(pragma)).execute(conn).await.map(drop)
}

async fn open_sqlite(path: &Path, options: &Options) -> Result<Pools> {
    let synchronous = match options.synchronous {
        Synchronous::Full => SqliteSynchronous::Full,
        Synchronous::Normal => SqliteSynchronous::Normal,
    };
    let base = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(false)
        .pragma("temp_store", "MEMORY")
        .pragma("journal_size_limit", "268435456")
        .statement_cache_capacity(STATEMENTS)
        .row_buffer_size(4_096)
        .disable_statement_logging();
    // A simulation fills no disk, and nobody looks at it.
    let pages = if options.boundary.is_some() { room::MOST } else { room::FIRST };
    let log = Arc::new(AtomicI64::new(pages));
    // Negative sizes are KiB.
    let open_writer = || {
        let log = log.clone();
        PoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .acquire_timeout(options.patience)
            .after_connect(move |conn, _| {
                let pages = log.load(Ordering::Relaxed);
                Box::pin(async move { limit_log(conn, pages).await })
            })
            .connect_with(base.clone().pragma("cache_size", "-32768"))
    };
    // Several processes may create the file at once, and the change to a log of writes waits for nobody.
    let mut tries = 0;
    let writer = loop {
        match open_writer().await.map_err(Error::from) {
            Err(error) if error.is_passing() && tries < OPENINGS => tokio::time::sleep(PAUSE).await,
            opened => break opened?,
        }
        tries += 1;
    };
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&writer).await?;
    if !is_new_enough(&version) {
        return Err(Error::OldSqlite(version));
    }
    let readers = PoolOptions::new()
        .max_connections(READERS)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(options.patience)
        .connect_lazy_with(base.pragma("cache_size", "-8192").pragma("query_only", "ON"));
    Ok(Pools::Sqlite { writer, readers, path: path.to_owned(), log })
}

/// What we ask of every session of PostgreSQL, in its units. A process that is frozen, or whose machine is gone, must not hold a bucket:
/// the server cuts its transaction, or its connection. No statement of ours takes long, but those that change the schema.
const SESSION: [(&str, &str); 7] = [
    ("idle_in_transaction_session_timeout", "5s"),
    ("statement_timeout", "60s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
    // Our statements look up a few thousand keys; compiling them costs more than running them.
    ("jit", "off"),
];

/// A connection that was idle for longer is asked whether it still stands before it is used.
const TRUSTED: Duration = Duration::from_millis(500);

async fn open_postgres(url: &str, options: &Options) -> Result<Pools> {
    let connect = PgConnectOptions::from_str(url)?
        .application_name("fahrplan")
        .options(SESSION)
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging();
    let pool = PoolOptions::new()
        .max_connections(options.connections)
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move {
                // After the server was restarted all that are idle are broken; one failure each would be a long time.
                if meta.idle_for > TRUSTED {
                    sqlx::Connection::ping(conn).await?;
                }
                Ok(true)
            })
        })
        .acquire_timeout(options.patience)
        .connect_with(connect)
        .await?;
    Ok(Pools::Postgres(pool))
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next()) >= OLDEST_SQLITE
}

/// The texts of all statements as the database wants them, each made once.
pub(super) struct Texts {
    dialect: Dialect,
    /// By constant (where it lies, which is quicker to hash than what it says) and number of rows. Read at every statement, written
    /// a few hundred times in all.
    made: RwLock<HashMap<(usize, usize), Arc<str>>>,
    /// Those that insert rows of several buckets. Only looked for in builds with assertions, for tests.
    scattered: RwLock<BTreeSet<&'static str>>,
}

impl Texts {
    pub(super) fn new(dialect: Dialect) -> Texts {
        Texts { dialect, made: RwLock::default(), scattered: RwLock::default() }
    }

    /// A statement without a list of rows.
    pub(super) fn single(&self, sql: &'static str) -> Arc<str> {
        self.text(sql, 0)
    }

    /// A batch statement cut into pieces, each with its values. SQLite wants rows of placeholders, in few sizes; PostgreSQL takes an
    /// array a column, so that one prepared statement serves any number of rows.
    pub(super) fn pieces<'a>(&'a self, sql: &'static str, rows: Rows, fixed: &'a [Arg]) -> Pieces<'a> {
        let columns = hole(sql).expect("a batch statement has a hole for its rows").1;
        let left = rows.cells.len() / columns.len();
        Pieces { texts: self, sql, columns, fixed, left, cells: rows.cells.into_iter() }
    }

    /// All that were made so far.
    pub(super) fn all(&self) -> Vec<Arc<str>> {
        self.made.read().expect("nothing panics while holding it").values().cloned().collect()
    }

    /// Notes whether the rows that a statement inserts are of several buckets.
    pub(super) fn look_at(&self, sql: &'static str, rows: &Rows) {
        if !cfg!(debug_assertions) {
            return;
        }
        let Some((_, columns)) = sql.split_once("INSERT INTO ").and_then(|(_, rest)| rest.split_once('('))
        else {
            return;
        };
        let names = columns.split(')').next().unwrap_or_default();
        let (Some(place), Some((_, letters, _))) =
            (names.split(',').position(|name| name.trim() == "bucket"), hole(sql))
        else {
            return;
        };
        // A text whose rows are not its columns gives the bucket for all of them.
        if letters.len() != names.split(',').count() {
            return;
        }
        let mut buckets = rows.cells.chunks(letters.len()).filter_map(|row| match row[place] {
            Arg::I64(bucket) => Some(bucket),
            _ => None,
        });
        let first = buckets.next();
        if buckets.any(|bucket| Some(bucket) != first) {
            self.scattered.write().expect("nothing panics while holding it").insert(sql);
        }
    }

    /// See [`Texts::look_at`].
    pub(super) fn scattered(&self) -> Vec<&'static str> {
        self.scattered.read().expect("nothing panics while holding it").iter().copied().collect()
    }

    fn text(&self, sql: &'static str, rows: usize) -> Arc<str> {
        // A text that lies at two places is made twice.
        let key = (sql.as_ptr().addr(), rows);
        if let Some(text) = self.made.read().expect("nothing panics while holding it").get(&key) {
            return text.clone();
        }
        let text: Arc<str> = self.make(sql, rows).into();
        self.made.write().expect("nothing panics while holding it").insert(key, text.clone());
        text
    }

    fn make(&self, sql: &str, rows: usize) -> String {
        // On SQLite a transaction that writes is alone from its beginning.
        let [lock, skip, bytes] = match self.dialect {
            Dialect::Sqlite => ["", "", ""],
            Dialect::Postgres => ["FOR UPDATE", "FOR UPDATE SKIP LOCKED", "COLLATE \"C\""],
        };
        let sql = sql.replace("{lock}", lock).replace("{skip locked}", skip).replace("{in bytes}", bytes);
        let Some((before, columns, after)) = hole(&sql) else { return sql };
        let (list, taken) = match self.dialect {
            Dialect::Sqlite => {
                let row = format!("({})", vec!["?"; columns.len()].join(","));
                (format!("VALUES {}", vec![row; rows].join(",")), rows * columns.len())
            }
            Dialect::Postgres => (format!("SELECT * FROM unnest({})", arrays(columns)), columns.len()),
        };
        format!("{}{list}{}", shift(before, taken), shift(after, taken))
    }
}

/// The pieces of a batch, each made when it is asked for: while the database works on one, the next is written.
pub(super) struct Pieces<'a> {
    texts: &'a Texts,
    sql: &'static str,
    /// The letters of the hole.
    columns: &'static str,
    fixed: &'a [Arg],
    /// Rows that are not in a piece yet.
    left: usize,
    cells: std::vec::IntoIter<Arg>,
}

impl Iterator for Pieces<'_> {
    type Item = (Arc<str>, Piece);

    fn next(&mut self) -> Option<(Arc<str>, Piece)> {
        if self.left == 0 {
            return None;
        }
        match self.texts.dialect {
            Dialect::Postgres => {
                self.left = 0;
                let args = postgres_columns(self.cells.by_ref(), self.columns.as_bytes(), self.fixed);
                Some((self.texts.text(self.sql, 1), Piece::Postgres(args)))
            }
            Dialect::Sqlite => {
                let size = *SIZES.iter().find(|size| **size <= self.left).expect("the smallest size is 1");
                self.left -= size;
                let cells = self.cells.by_ref().take(size * self.columns.len());
                let args = sqlite_arguments(cells.chain(self.fixed.iter().cloned()));
                Some((self.texts.text(self.sql, size), Piece::Sqlite(args)))
            }
        }
    }
}

/// The hole for the rows of a batch: the text before it, the letters of its columns, the text after it.
pub(super) fn hole(sql: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = sql.split_once('{')?;
    let (columns, after) = rest.split_once('}')?;
    columns.bytes().all(|b| b"ITB".contains(&b)).then_some((before, columns, after))
}

fn arrays(columns: &str) -> String {
    let array = |(i, kind): (usize, u8)| {
        let ty = match kind {
            b'I' => "BIGINT",
            b'B' => "BYTEA",
            _ => "TEXT",
        };
        format!("CAST(${} AS {ty}[])", i + 1)
    };
    columns.bytes().enumerate().map(array).collect::<Vec<_>>().join(", ")
}

/// Moves the numbers of the fixed placeholders behind those that the rows take.
fn shift(sql: &str, by: usize) -> String {
    let mut shifted = String::with_capacity(sql.len() + 8);
    let mut parts = sql.split('$');
    shifted.push_str(parts.next().unwrap_or(""));
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = part[..digits].parse().expect("a placeholder is a dollar sign and a number");
        shifted.push_str(&format!("${}{}", number + by, &part[digits..]));
    }
    shifted
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: &str = "WITH n(a, b) AS ({IT}) SELECT 1 FROM n WHERE a = $1 AND b = $2 {skip locked}";

    #[test]
    fn a_batch_is_written_in_the_way_of_each_database() {
        assert_eq!(
            Texts::new(Dialect::Sqlite).text(BATCH, 4).as_ref(),
            "WITH n(a, b) AS (VALUES (?,?),(?,?),(?,?),(?,?)) SELECT 1 FROM n WHERE a = $9 AND b = $10 "
        );
        assert_eq!(
            Texts::new(Dialect::Postgres).text(BATCH, 1).as_ref(),
            "WITH n(a, b) AS (SELECT * FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS TEXT[]))) \
             SELECT 1 FROM n WHERE a = $3 AND b = $4 FOR UPDATE SKIP LOCKED"
        );
    }

    #[test]
    fn any_number_of_rows_is_cut_into_the_few_sizes() {
        let mut rows = Rows::default();
        for n in 0..(256 + 64 + 64 + 3) {
            rows.push([Arg::I64(n), Arg::NoText]);
        }
        let (texts, fixed) = (Texts::new(Dialect::Sqlite), [Arg::I64(0), Arg::NoText]);
        let pieces = texts.pieces(BATCH, rows, &fixed);
        let marks: Vec<usize> = pieces.map(|(text, _)| text.matches("(?,?)").count()).collect();
        assert_eq!(marks, [256, 64, 64, 1, 1, 1]);
    }

    #[test]
    fn a_sqlite_that_loses_commits_is_refused() {
        assert!(is_new_enough("3.51.3") && is_new_enough("3.52.0") && is_new_enough("4.0"));
        assert!(!is_new_enough("3.51.2") && !is_new_enough("3.45.1"));
    }
}
