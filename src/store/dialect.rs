//! Everything in which SQLite and PostgreSQL differ: how they are opened, how a transaction begins, how a list of rows is
//! written, and the clauses that lock rows or skip those which somebody else holds, or order texts by their bytes.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Postgres};

use super::lite::{Bound, Lite};
use super::sql::{Arg, Held, Piece, Rows};
use super::{Error, Options, Result, postgres, reach, room};

/// The two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

/// The oldest SQLite that does not lose commits when a checkpoint races a write in WAL mode.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// Prepared statements kept a connection of PostgreSQL.
const STATEMENTS: usize = 600;

/// Rows a statement on SQLite, largest first. Few sizes keep few statements prepared; a factor of four between them means that no
/// remainder takes more than a dozen statements.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// The pools of connections: on SQLite one connection writes and a few read; PostgreSQL needs no such distinction.
pub(super) enum Pools {
    Sqlite { lite: Arc<Lite>, path: PathBuf },
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
            Pools::Sqlite { lite, .. } => Held::Sqlite(lite.read().await?),
            Pools::Postgres(pool) => Held::Postgres(postgres::Session::Reading(pool.acquire().await?)),
        })
    }

    /// A transaction.
    pub(super) async fn write(&self) -> Result<Held> {
        Ok(match self {
            Pools::Sqlite { lite, .. } => Held::Sqlite(lite.write().await?),
            Pools::Postgres(pool) => Held::Postgres(postgres::Session::Writing(pool.begin().await?)),
        })
    }

    /// From now on a commit folds the log into the database when it has so many pages; how many it was before.
    pub(super) async fn limit_log(&self, pages: i64) -> Result<i64> {
        match self {
            Pools::Sqlite { lite, .. } => lite.limit_log(pages).await,
            Pools::Postgres(_) => Ok(pages),
        }
    }

    /// Closes all connections.
    pub(super) async fn close(&self) {
        match self {
            Pools::Sqlite { lite, .. } => lite.close().await,
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

async fn open_sqlite(path: &Path, options: &Options) -> Result<Pools> {
    // A simulation fills no disk, and nobody looks at it.
    let log = if options.boundary.is_some() { room::MOST } else { room::FIRST };
    let lite = Lite::open(path, options.synchronous, options.patience, log).await?;
    let lite = Arc::new(lite);
    let version = lite.read().await?.query("SELECT sqlite_version()", &Bound::default()).await?;
    let version = version
        .rows()
        .next()
        .map_or(Ok(String::new()), |row| row.text(0).map(|text| text.unwrap_or_default().to_owned()))?;
    if !is_new_enough(&version) {
        return Err(Error::OldSqlite(version));
    }
    Ok(Pools::Sqlite { lite, path: path.to_owned() })
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

    /// A batch statement cut into pieces, each with its values. PostgreSQL takes an array a column, so that one prepared statement serves
    /// any number of rows. SQLite runs an insert once for each row, which spares it the journal by which it could undo one
    /// of many, and takes rows of placeholders, in few sizes, where the list of rows is a table that something is done with.
    pub(super) fn pieces<'a>(&'a self, sql: &'static str, rows: Rows, fixed: &'a [Arg]) -> Pieces<'a> {
        let (before, columns, _) = hole(sql).expect("a batch statement has a hole for its rows");
        let left = rows.cells.len() / columns.len();
        let each = !before.ends_with('(');
        Pieces { texts: self, sql, columns, each, fixed, left, cells: rows.cells.into_iter() }
    }

    /// The stream that takes the place of a batch statement which only inserts, where the database knows such a thing.
    pub(super) fn stream(&self, sql: &'static str) -> Option<String> {
        let (before, _, after) = hole(sql).filter(|_| self.dialect == Dialect::Postgres)?;
        let into = before.strip_prefix("INSERT INTO ").filter(|_| after.is_empty())?;
        Some(format!("COPY {into}FROM STDIN (FORMAT binary)"))
    }

    /// All that were made so far, with our own sign for placeholders.
    pub(super) fn all(&self) -> Vec<Arc<str>> {
        let made = self.made.read().expect("nothing panics while holding it");
        made.values().map(|sql| sql.replace('?', "$").into()).collect()
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
        // On SQLite a transaction that writes is alone from its beginning; and a table that lies there in the order of ids alone would be
        // read whole in the order of an index that begins with the bucket, if the plus did not hide it.
        let [lock, skip, bytes, by_id] = match self.dialect {
            Dialect::Sqlite => ["", "", "", "+"],
            Dialect::Postgres => ["FOR UPDATE", "FOR UPDATE SKIP LOCKED", "COLLATE \"C\"", ""],
        };
        let sql = sql.replace("{lock}", lock).replace("{skip locked}", skip).replace("{in bytes}", bytes);
        let sql = sql.replace("{by id}", by_id);
        match (self.dialect, hole(&sql)) {
            (Dialect::Sqlite, None) => renumber(&sql, '?', 0),
            (Dialect::Postgres, None) => sql,
            // The numbers of the rows come last, since SQLite looks for each that is not higher than all before it.
            (Dialect::Sqlite, Some((before, columns, after))) => {
                let fixed = numbers(before).chain(numbers(after)).max().unwrap_or(0);
                let list = lists(rows, columns.len(), fixed);
                format!("{}VALUES {list}{}", renumber(before, '?', 0), renumber(after, '?', 0))
            }
            (Dialect::Postgres, Some((before, columns, after))) => {
                let (list, taken) = (arrays(columns), columns.len());
                let (before, after) = (renumber(before, '$', taken), renumber(after, '$', taken));
                format!("{before}SELECT * FROM unnest({list}){after}")
            }
        }
    }
}

/// The pieces of a batch, each made when it is asked for: while the database works on one, the next is written.
pub(super) struct Pieces<'a> {
    texts: &'a Texts,
    sql: &'static str,
    /// The letters of the hole.
    columns: &'static str,
    /// Whether SQLite runs it once for each row.
    each: bool,
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
                let args = postgres::columns(self.cells.as_slice(), self.columns.as_bytes(), self.fixed);
                Some((self.texts.text(self.sql, 1), Piece::Postgres(args)))
            }
            Dialect::Sqlite => {
                let size = match SIZES.iter().find(|size| **size <= self.left) {
                    Some(size) if !self.each => *size,
                    _ => self.left,
                };
                self.left -= size;
                let cells = self.cells.by_ref().take(size * self.columns.len()).collect();
                let rows = if self.each { 1 } else { size };
                let (fixed, together) = (self.fixed.to_vec(), rows * self.columns.len());
                let bound = Bound { fixed, cells, together, long: false };
                Some((self.texts.text(self.sql, rows), Piece::Sqlite(bound)))
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

/// So many rows of placeholders, with the numbers after that.
fn lists(rows: usize, width: usize, after: usize) -> String {
    let row = |row: usize| {
        let places = (1..=width).map(|place| format!("?{}", after + row * width + place));
        format!("({})", places.collect::<Vec<_>>().join(","))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(",")
}

/// The numbers of placeholders.
fn numbers(sql: &str) -> impl Iterator<Item = usize> {
    sql.split('$').skip(1).filter_map(|part| digits(part).parse().ok())
}

fn digits(text: &str) -> &str {
    &text[..text.bytes().take_while(u8::is_ascii_digit).count()]
}

/// Writes placeholders with that sign, and moves their numbers. SQLite takes `$1` for a name.
fn renumber(sql: &str, sign: char, by: usize) -> String {
    let mut written = String::with_capacity(sql.len() + 8);
    let mut parts = sql.split('$');
    written.push_str(parts.next().unwrap_or(""));
    for part in parts {
        match digits(part) {
            // A dollar sign in a text.
            "" => written.extend(['$']),
            number => written.push_str(&format!("{sign}{}", number.parse::<usize>().unwrap_or(0) + by)),
        }
        written.push_str(&part[digits(part).len()..]);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: &str = "WITH n(a, b) AS ({IT}) SELECT 1 FROM n WHERE a = $1 AND b = $2 {skip locked}";

    #[test]
    fn a_batch_is_written_in_the_way_of_each_database() {
        assert_eq!(
            Texts::new(Dialect::Sqlite).text(BATCH, 4).as_ref(),
            "WITH n(a, b) AS (VALUES (?3,?4),(?5,?6),(?7,?8),(?9,?10)) SELECT 1 FROM n WHERE a = ?1 AND b = ?2 "
        );
        assert_eq!(
            Texts::new(Dialect::Postgres).text(BATCH, 1).as_ref(),
            "WITH n(a, b) AS (SELECT * FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS TEXT[]))) \
             SELECT 1 FROM n WHERE a = $3 AND b = $4 FOR UPDATE SKIP LOCKED"
        );
        let stream = |dialect, sql| Texts::new(dialect).stream(sql);
        const INSERT: &str = "INSERT INTO t (a, b) {IT}";
        let copy = Some("COPY t (a, b) FROM STDIN (FORMAT binary)".to_owned());
        assert_eq!([stream(Dialect::Postgres, INSERT), stream(Dialect::Sqlite, INSERT)], [copy, None]);
        assert_eq!(stream(Dialect::Postgres, "INSERT INTO t (a, b) {IT} ON CONFLICT DO NOTHING"), None);
    }

    #[test]
    fn any_number_of_rows_is_cut_into_the_few_sizes() {
        let mut rows = Rows::default();
        for n in 0..(256 + 64 + 64 + 3) {
            rows.push([Arg::I64(n), Arg::NoText]);
        }
        let (texts, fixed) = (Texts::new(Dialect::Sqlite), [Arg::I64(0), Arg::NoText]);
        let pieces = texts.pieces(BATCH, rows, &fixed);
        let marks: Vec<usize> = pieces.map(|(text, _)| text.matches("(?").count()).collect();
        assert_eq!(marks, [256, 64, 64, 1, 1, 1]);
        const EACH: &str = "INSERT INTO t (a, b) {IT} ON CONFLICT (a) DO UPDATE SET b = $1";
        let mut rows = Rows::default();
        (0..100).for_each(|n| rows.push([Arg::I64(n), Arg::NoText]));
        let pieces: Vec<_> = texts.pieces(EACH, rows, &fixed[..1]).collect();
        let [(text, Piece::Sqlite(bound))] = &pieces[..] else {
            panic!("one run for each row: {}", pieces.len())
        };
        assert_eq!(text.as_ref(), "INSERT INTO t (a, b) VALUES (?2,?3) ON CONFLICT (a) DO UPDATE SET b = ?1");
        assert_eq!((bound.cells.len(), bound.together), (200, 2));
    }

    #[test]
    fn a_sqlite_that_loses_commits_is_refused() {
        assert!(is_new_enough("3.51.3") && is_new_enough("3.52.0") && is_new_enough("4.0"));
        assert!(!is_new_enough("3.51.2") && !is_new_enough("3.45.1"));
    }
}
