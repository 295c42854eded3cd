//! A thin layer over the two drivers: values in, rows out, one statement text for both databases.
//!
//! A statement is a `&'static str` with `$n` placeholders. A batch statement has one hole, such as `{IIT}`, where a list of rows
//! goes; the letters are the types of its columns: `I` for integers, `T` for text, `B` for bytes. [`Dialect`] fills the hole.
//! No value ever becomes part of a text.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, AssertSqlSafe, PgConnection, Postgres, Row as _, Transaction};

use super::boundary::Point;
use super::dialect::{Dialect, hole};
use super::hold::Reach;
use super::lite::{Bound, Committed, LiteRow, Reader, Writer, aside, patiently};
use super::{Core, Error, Result};
use crate::id::{ContactId, DeliveryId, EnrollmentId, TaskId};
use crate::time::Timestamp;

/// One value for a statement. Missing values are typed, since PostgreSQL wants to know.
#[derive(Clone, Debug)]
pub enum Arg {
    I64(i64),
    NoI64,
    Text(String),
    Word(Arc<str>),
    NoText,
    Blob(Vec<u8>),
    NoBlob,
}

macro_rules! into_arg {
    ($($from:ty, $some:expr, $none:ident;)*) => {$(
        impl From<$from> for Arg {
            fn from(value: $from) -> Arg {
                $some(value)
            }
        }
        impl From<Option<$from>> for Arg {
            fn from(value: Option<$from>) -> Arg {
                value.map_or(Arg::$none, $some)
            }
        }
    )*};
}

into_arg! {
    i64, Arg::I64, NoI64;
    u32, |n: u32| Arg::I64(i64::from(n)), NoI64;
    Timestamp, |at: Timestamp| Arg::I64(at.0), NoI64;
    ContactId, |id: ContactId| Arg::I64(id.0), NoI64;
    EnrollmentId, |id: EnrollmentId| Arg::I64(id.0), NoI64;
    DeliveryId, |id: DeliveryId| Arg::I64(id.0), NoI64;
    TaskId, |id: TaskId| Arg::I64(id.0), NoI64;
    String, Arg::Text, NoText;
    &str, |text: &str| Arg::Text(text.to_owned()), NoText;
    Arc<str>, Arg::Word, NoText;
    &Arc<str>, |text: &Arc<str>| Arg::Word(text.clone()), NoText;
    Vec<u8>, Arg::Blob, NoBlob;
}

/// The arguments of a statement: `args![bucket, now]`.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::sql::Arg::from($value)),*] };
}
pub(crate) use args;

/// The rows of a batch statement, cell after cell.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    pub(super) cells: Vec<Arg>,
}

impl Rows {
    /// No rows, with room for so many cells.
    pub fn with_capacity(cells: usize) -> Rows {
        Rows { cells: Vec::with_capacity(cells) }
    }

    /// Adds one row.
    pub fn push<const N: usize>(&mut self, row: [Arg; N]) {
        self.cells.extend(row);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

/// One row of a result; columns are counted from 0.
#[derive(Debug)]
pub enum Row {
    Sqlite(LiteRow),
    Postgres(PgRow),
}

/// What must be there.
fn there<T>(value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::Unreadable { what: "value", why: "it is missing".to_owned() })
}

impl Row {
    /// An integer.
    pub fn i64(&self, i: usize) -> Result<i64> {
        match self {
            Row::Sqlite(row) => there(row.integer(i)?),
            Row::Postgres(row) => Ok(row.try_get(i)?),
        }
    }

    /// An integer or nothing.
    pub fn opt_i64(&self, i: usize) -> Result<Option<i64>> {
        match self {
            Row::Sqlite(row) => row.integer(i),
            Row::Postgres(row) => Ok(row.try_get(i)?),
        }
    }

    /// An instant.
    pub fn at(&self, i: usize) -> Result<Timestamp> {
        self.i64(i).map(Timestamp)
    }

    /// An instant or nothing.
    pub fn opt_at(&self, i: usize) -> Result<Option<Timestamp>> {
        Ok(self.opt_i64(i)?.map(Timestamp))
    }

    /// A text.
    pub fn text(&self, i: usize) -> Result<&str> {
        match self {
            Row::Sqlite(row) => there(row.text(i)?),
            Row::Postgres(row) => Ok(row.try_get(i)?),
        }
    }

    /// A text or nothing.
    pub fn opt_text(&self, i: usize) -> Result<Option<&str>> {
        match self {
            Row::Sqlite(row) => row.text(i),
            Row::Postgres(row) => Ok(row.try_get(i)?),
        }
    }

    /// Bytes.
    pub fn blob(&self, i: usize) -> Result<&[u8]> {
        match self {
            Row::Sqlite(row) => there(row.bytes(i)?),
            Row::Postgres(row) => Ok(row.try_get(i)?),
        }
    }
}

/// A connection that was taken for a while: to read, or inside a transaction. Dropping it without [`Conn::commit`] rolls back.
pub struct Conn {
    held: Held,
    pub(super) core: Arc<Core>,
    /// Names that were given a number in this transaction; others may know them after the commit.
    pub(super) fresh_names: Vec<(Arc<str>, i64)>,
    /// Buckets into whose inboxes this transaction has put something.
    due: BTreeSet<i64>,
    /// Under which lease it makes ids, if it may make any.
    lease: Option<u64>,
    /// Statements that are noted down instead of run: see [`Conn::note`].
    noted: Option<Vec<(Arc<str>, Piece)>>,
}

pub(super) enum Held {
    ReadSqlite(Reader),
    ReadPostgres(PoolConnection<Postgres>),
    WriteSqlite(Writer),
    WritePostgres(Transaction<'static, Postgres>),
}

impl Conn {
    pub(super) fn new(held: Held, core: &Arc<Core>) -> Conn {
        Conn {
            held,
            core: core.clone(),
            fresh_names: Vec::new(),
            due: BTreeSet::new(),
            lease: None,
            noted: None,
        }
    }

    /// For a transaction that makes ids.
    pub(super) fn leased(self, begun: Option<u64>) -> Conn {
        Conn { lease: begun, ..self }
    }

    /// Whether ids that were made under that lease may be written.
    pub(super) fn is_under(&self, lease: u64) -> bool {
        // A simulation has none.
        self.lease.is_none_or(|begun| begun == lease)
    }

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        match self.held {
            Held::ReadSqlite(_) | Held::WriteSqlite(_) => Dialect::Sqlite,
            Held::ReadPostgres(_) | Held::WritePostgres(_) => Dialect::Postgres,
        }
    }

    /// Makes the transaction durable; nothing to do after mere reading.
    pub async fn commit(self) -> Result<()> {
        self.commit_within(Reach::Everything).await
    }

    /// As [`Conn::commit`], for a transaction that reaches no farther than that.
    pub(super) async fn commit_within(self, reach: Reach) -> Result<()> {
        self.end(Some(reach)).await?.durable().await
    }

    /// As [`Conn::commit`], for a transaction that changes nothing that a batch reads while it is advanced: see [`super::hold`].
    pub(super) async fn commit_unannounced(self) -> Result<()> {
        self.end(None).await?.durable().await
    }

    /// Commits, so that everybody sees it; durable it is after [`Ended::durable`].
    pub(super) async fn end(self, reach: Option<Reach>) -> Result<Ended> {
        let core = self.core;
        core.pass(Point::Commit).await?;
        if let Some(begun) = self.lease {
            core.lease.check(begun)?;
        }
        let announced = reach.map(|reach| core.commits.announce(reach));
        let committed = match self.held {
            Held::ReadSqlite(_) | Held::ReadPostgres(_) => Ok(None),
            Held::WriteSqlite(tx) => tx.commit().map(Some),
            Held::WritePostgres(tx) => tx.commit().await.map(|()| None).map_err(Error::from),
        };
        drop(announced);
        core.note_room(&committed);
        let committed = committed?;
        core.names.learn(self.fresh_names);
        if !self.due.is_empty() {
            core.wake_buckets(self.due);
        }
        Ok(Ended { core, committed })
    }

    /// Something was put into the inbox of a bucket: after the commit, the advancing loop of this process is told.
    pub(super) fn note_due(&mut self, bucket: i64) {
        self.due.insert(bucket);
    }

    /// From now on statements that only write are noted down, and change no row yet; whatever asks for rows is refused with
    /// [`Error::Moved`].
    pub(super) fn note(&mut self) {
        self.noted.get_or_insert_default();
    }

    /// Runs what another connection has noted down since its [`Conn::note`].
    pub(super) async fn run_noted(&mut self, other: &mut Conn) -> Result<()> {
        self.due.append(&mut other.due);
        for (sql, piece) in other.noted.take().unwrap_or_default() {
            self.run_piece(sql, piece).await?;
        }
        Ok(())
    }

    /// Runs a statement; the number of rows it changed.
    pub async fn exec(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64> {
        let (sql, args) = (self.core.texts.single(sql), self.piece(args));
        if let Some(noted) = &mut self.noted {
            noted.push((sql, args));
            return Ok(0);
        }
        self.run_piece(sql, args).await
    }

    /// Runs a statement that returns rows.
    pub async fn fetch(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>> {
        let (sql, args) = (self.core.texts.single(sql), self.piece(args));
        self.query_piece(sql, args).await
    }

    /// The same for one that takes long on SQLite.
    pub(super) async fn fetch_at_length(&mut self, sql: &'static str) -> Result<Vec<Row>> {
        let sql = self.core.texts.single(sql);
        let piece = match self.piece(Vec::new()) {
            Piece::Sqlite(bound) => Piece::Sqlite(Bound { long: true, ..bound }),
            piece => piece,
        };
        self.query_piece(sql, piece).await
    }

    /// The first row, if there is one.
    pub async fn fetch_first(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Option<Row>> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    /// The one number that a statement tells; 0 where it tells none.
    pub async fn fetch_number(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<i64> {
        self.fetch_first(sql, args).await?.map_or(Ok(0), |row| row.i64(0))
    }

    /// Runs a batch statement over all rows, in pieces where the database wants that; the number of rows changed.
    pub async fn exec_rows(&mut self, sql: &'static str, rows: Rows, fixed: &[Arg]) -> Result<u64> {
        let mut changed = 0;
        let core = self.core.clone();
        core.texts.look_at(sql, &rows);
        let mut pieces = core.texts.pieces(sql, rows, fixed);
        if let Some(noted) = &mut self.noted {
            noted.extend(pieces);
            return Ok(0);
        }
        let mut next = pieces.next();
        while let Some((text, piece)) = next {
            let done;
            (done, next) = join(self.run_piece(text, piece), async { pieces.next() }).await;
            changed += done?;
        }
        Ok(changed)
    }

    /// Adds rows that are new to their table, in the form of a batch statement. PostgreSQL takes them as a stream, which costs it a
    /// fraction; a row that is there already fails there as it does in the statement.
    pub(super) async fn copy(&mut self, copy: &'static str, insert: &'static str, rows: Rows) -> Result<()> {
        let Held::WritePostgres(tx) = &mut self.held else {
            self.exec_rows(insert, rows, &[]).await?;
            return Ok(());
        };
        let width = hole(insert).expect("a batch statement has a hole for its rows").1.len();
        if rows.cells.len() < width * FEW {
            self.exec_rows(insert, rows, &[]).await?;
            return Ok(());
        }
        let mut into = tx.copy_in_raw(copy).await?;
        let mut text = String::with_capacity(PIECE + PIECE / 4);
        for row in rows.cells.chunks(width) {
            for (place, cell) in row.iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "\t" });
                write_cell(&mut text, cell);
            }
            text.push('\n');
            if text.len() >= PIECE {
                into.send(text.as_bytes()).await?;
                text.clear();
            }
        }
        into.send(text.as_bytes()).await?;
        into.finish().await?;
        Ok(())
    }

    /// Runs a batch statement that returns rows. Their order is that of the pieces, not of the batch.
    pub async fn fetch_rows(&mut self, sql: &'static str, rows: Rows, fixed: &[Arg]) -> Result<Vec<Row>> {
        let mut found = Vec::new();
        let keep = |row| {
            found.push(row);
            Ok(())
        };
        self.read_rows(sql, rows, fixed, keep).await?;
        Ok(found)
    }

    /// As [`Conn::fetch_rows`]; each row is read as it comes, those of one piece while the database works on the next.
    pub(super) async fn read_rows(
        &mut self,
        sql: &'static str,
        rows: Rows,
        fixed: &[Arg],
        mut read: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let core = self.core.clone();
        let mut pieces = core.texts.pieces(sql, rows, fixed);
        let (mut next, mut came) = (pieces.next(), Vec::new());
        while let Some((text, piece)) = next {
            let meanwhile = async {
                came.drain(..).try_for_each(&mut read)?;
                Ok::<_, Error>(pieces.next())
            };
            let (rows, made) = join(self.query_piece(text, piece), meanwhile).await;
            (came, next) = (rows?, made?);
        }
        came.into_iter().try_for_each(read)
    }

    /// Runs several statements of a migration, without arguments.
    pub(super) async fn script(&mut self, sql: &'static str) -> Result<()> {
        match &mut self.held {
            Held::ReadSqlite(reader) => aside(|| reader.conn().execute_batch(sql))?,
            Held::WriteSqlite(writer) => aside(|| writer.conn().execute_batch(sql))?,
            Held::ReadPostgres(conn) => sqlx::raw_sql(sql).execute(&mut **conn).await.map(|_| ())?,
            Held::WritePostgres(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Keeps others from changing the schema until this transaction ends; on SQLite no second one can write anyway.
    pub(super) async fn lock_schema(&mut self) -> Result<()> {
        if self.dialect() == Dialect::Postgres {
            // Any number will do, as long as all of us use the same.
            self.fetch("SELECT pg_advisory_xact_lock(7021)::TEXT", Vec::new()).await?;
            // A change of a large table takes as long as it takes.
            self.exec("SET LOCAL statement_timeout = 0", Vec::new()).await?;
        }
        Ok(())
    }

    /// Waits until nobody advances contacts of that bucket, and keeps everybody out until the end of this transaction. Who locks
    /// several begins with the lowest, so that no two wait for each other.
    pub(super) async fn lock(&mut self, bucket: i64) -> Result<()> {
        const LOCK: &str = "SELECT bucket FROM buckets WHERE bucket = $1 {lock}";
        self.fetch(LOCK, args![bucket]).await?;
        Ok(())
    }

    /// The same for all buckets.
    pub(super) async fn lock_all(&mut self) -> Result<()> {
        for bucket in 0..self.core.settings().buckets {
            self.lock(bucket).await?;
        }
        Ok(())
    }

    /// Tells the daemons of other processes, after the commit, which buckets may have something to do: those into whose inboxes this
    /// transaction has put something, or all. Only a hint: one a transaction at most, since notifying commits wait for each other.
    pub(super) async fn hint_due(&mut self) -> Result<()> {
        if self.dialect() == Dialect::Postgres {
            let word = super::listen::word(self.core.worker(), &self.due);
            self.fetch("SELECT pg_notify($1, $2)::TEXT", args![super::listen::DUE, word]).await?;
        }
        Ok(())
    }

    async fn run_piece(&mut self, sql: Arc<str>, piece: Piece) -> Result<u64> {
        let done = match (&mut self.held, piece) {
            (Held::WriteSqlite(writer), Piece::Sqlite(bound)) => writer.run(&sql, &bound),
            (Held::ReadSqlite(reader), Piece::Sqlite(bound)) => reader.run(&sql, &bound),
            (Held::ReadPostgres(conn), Piece::Postgres(args)) => run_postgres(conn, sql, args).await,
            (Held::WritePostgres(tx), Piece::Postgres(args)) => run_postgres(tx, sql, args).await,
            _ => unreachable!("pieces are made for the dialect of the connection"),
        };
        if done.is_err() {
            self.core.note_room(&done);
        }
        done
    }

    async fn query_piece(&mut self, sql: Arc<str>, piece: Piece) -> Result<Vec<Row>> {
        if self.noted.is_some() {
            return Err(Error::Moved);
        }
        let table = match (&mut self.held, piece) {
            (Held::WriteSqlite(writer), Piece::Sqlite(bound)) => writer.query(&sql, &bound)?,
            (Held::ReadSqlite(reader), Piece::Sqlite(bound)) => {
                let found = patiently(|| reader.query(&sql, &bound)).await?;
                // A batch asks a dozen questions one after another; whoever else has something to do goes first.
                tokio::task::consume_budget().await;
                found
            }
            (Held::ReadPostgres(conn), Piece::Postgres(args)) => {
                return query_postgres(conn, sql, args).await;
            }
            (Held::WritePostgres(tx), Piece::Postgres(args)) => return query_postgres(tx, sql, args).await,
            _ => unreachable!("pieces are made for the dialect of the connection"),
        };
        Ok(table.rows().map(Row::Sqlite).collect())
    }

    fn piece(&self, args: Vec<Arg>) -> Piece {
        match self.dialect() {
            Dialect::Sqlite => Piece::Sqlite(Bound::once(args)),
            Dialect::Postgres => Piece::Postgres(postgres_arguments(args)),
        }
    }
}

/// A transaction that everybody sees.
pub(super) struct Ended {
    core: Arc<Core>,
    /// On SQLite it is not synced yet.
    committed: Option<Committed>,
}

impl Ended {
    /// Waits until nothing can lose it any more.
    pub(super) async fn durable(self) -> Result<()> {
        if let Some(committed) = self.committed {
            let durable = committed.durable().await;
            self.core.note_room(&durable);
            durable?;
        }
        self.core.pass(Point::Committed).await
    }

    /// For one that nobody outside is told of: it is synced soon, and nobody waits. Whoever acts on it outside commits something before, a lease
    /// for one, and waits for that, which is durable only with all that came before it.
    pub(super) async fn behind(self) -> Result<()> {
        if let Some(committed) = self.committed {
            let core = self.core.clone();
            tokio::spawn(async move { core.note_room(&committed.durable().await) });
        }
        self.core.pass(Point::Committed).await
    }
}

/// Rows for which a stream is not worth its round trips.
pub(super) const FEW: usize = 500;
/// Bytes of a stream that are sent together.
const PIECE: usize = 256 * 1_024;

/// One cell in the text form of COPY.
fn write_cell(text: &mut String, cell: &Arg) {
    use std::fmt::Write as _;
    match cell {
        Arg::I64(n) => _ = write!(text, "{n}"),
        Arg::Text(value) => escape(text, value),
        Arg::Word(value) => escape(text, value),
        Arg::Blob(bytes) => {
            text.push_str("\\\\x");
            bytes.iter().for_each(|byte| _ = write!(text, "{byte:02x}"));
        }
        Arg::NoI64 | Arg::NoText | Arg::NoBlob => text.push_str("\\N"),
    }
}

fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            c => text.push(c),
        }
    }
}

/// The bound values of a statement, or of one piece of a batch.
pub(super) enum Piece {
    Sqlite(Bound),
    Postgres(PgArguments),
}

// The texts are asserted safe because `Texts` makes them from constants and numbers of placeholders alone.

async fn run_postgres(conn: &mut PgConnection, sql: Arc<str>, args: PgArguments) -> Result<u64> {
    let done = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), args).execute(conn).await?;
    Ok(done.rows_affected())
}

async fn query_postgres(conn: &mut PgConnection, sql: Arc<str>, args: PgArguments) -> Result<Vec<Row>> {
    let rows = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), args).fetch_all(conn).await?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}

/// Adds one value to the arguments of PostgreSQL.
macro_rules! add {
    ($args:expr, $arg:expr) => {
        match $arg {
            Arg::I64(n) => $args.add(n),
            Arg::NoI64 => $args.add(None::<i64>),
            Arg::Text(text) => $args.add(text),
            Arg::Word(text) => $args.add(text),
            Arg::NoText => $args.add(None::<String>),
            Arg::Blob(bytes) => $args.add(bytes),
            Arg::NoBlob => $args.add(None::<Vec<u8>>),
        }
        .expect("integers, texts and bytes below the size limits of requests can be encoded")
    };
}

fn postgres_arguments(values: Vec<Arg>) -> PgArguments {
    let mut args = PgArguments::default();
    for value in values {
        add!(args, value);
    }
    args
}

/// The rows of a batch as one array a column, then the fixed values.
pub(super) fn postgres_columns(
    cells: impl Iterator<Item = Arg>,
    columns: &[u8],
    fixed: &[Arg],
) -> PgArguments {
    let mut lists: Vec<Vec<Arg>> = columns.iter().map(|_| Vec::new()).collect();
    for (i, cell) in cells.enumerate() {
        lists[i % columns.len()].push(cell);
    }
    let mut args = PgArguments::default();
    for (kind, list) in columns.iter().zip(lists) {
        match kind {
            b'I' => args.add(list.into_iter().map(integer).collect::<Vec<_>>()),
            b'B' => args.add(list.into_iter().map(bytes).collect::<Vec<_>>()),
            _ => args.add(list.into_iter().map(text).collect::<Vec<_>>()),
        }
        .expect("lists of integers, texts and bytes below the size limits of requests can be encoded");
    }
    for value in fixed {
        add!(args, value.clone());
    }
    args
}

fn integer(arg: Arg) -> Option<i64> {
    if let Arg::I64(n) = arg { Some(n) } else { None }
}

fn bytes(arg: Arg) -> Option<Vec<u8>> {
    if let Arg::Blob(bytes) = arg { Some(bytes) } else { None }
}

fn text(arg: Arg) -> Option<String> {
    match arg {
        Arg::Text(text) => Some(text),
        Arg::Word(text) => Some(text.to_string()),
        _ => None,
    }
}
