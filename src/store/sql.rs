//! A thin layer over the two drivers: values in, rows out, one statement text for both databases.
//!
//! A statement is a `&'static str` with `$n` placeholders. A batch statement has one hole, such as `{IIT}`, where a list of rows
//! goes; the letters are the types of its columns: `I` for integers, `T` for text, `B` for bytes. [`Dialect`] fills the hole.
//! No value ever becomes part of a text.

mod values;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join;
use sqlx::postgres::PgArguments;

pub(crate) use self::values::args;
pub use self::values::{Arg, Row, Rows};
use super::boundary::Point;
use super::dialect::Dialect;
use super::hold::Reach;
use super::lite::{self, Bound, Committed};
use super::{Core, Error, Result, postgres, stream};

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

/// What was taken, of the one database or the other.
pub(super) enum Held {
    Sqlite(lite::Session),
    Postgres(postgres::Session),
}

/// The bound values of a statement, or of one piece of a batch.
pub(super) enum Piece {
    Sqlite(Bound),
    Postgres(PgArguments),
}

/// A connection beside the values that were made for it.
enum Ready<'a> {
    Sqlite(&'a mut lite::Session, Bound),
    Postgres(&'a mut postgres::Session, PgArguments),
}

impl Held {
    fn with(&mut self, piece: Piece) -> Ready<'_> {
        match (self, piece) {
            (Held::Sqlite(session), Piece::Sqlite(bound)) => Ready::Sqlite(session, bound),
            (Held::Postgres(session), Piece::Postgres(args)) => Ready::Postgres(session, args),
            _ => unreachable!("pieces are made for the dialect of the connection"),
        }
    }
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
            Held::Sqlite(_) => Dialect::Sqlite,
            Held::Postgres(_) => Dialect::Postgres,
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
            Held::Sqlite(session) => session.commit(),
            Held::Postgres(session) => session.commit().await.map(|()| None),
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

    /// Runs a batch statement over all rows, in pieces where the database wants that; the number of rows changed. PostgreSQL takes as a
    /// stream what an import only adds, which costs it a fraction.
    pub async fn exec_rows(&mut self, sql: &'static str, rows: Rows, fixed: &[Arg]) -> Result<u64> {
        let mut changed = 0;
        let core = self.core.clone();
        core.texts.look_at(sql, &rows);
        if let Held::Postgres(session) = &mut self.held
            && stream::is_worth_it(&rows)
            && let Some(copy) = core.texts.stream(sql)
        {
            return session.copy(&copy, sql, &rows).await;
        }
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
            Held::Sqlite(session) => session.script(sql),
            Held::Postgres(session) => session.script(sql).await,
        }
    }

    /// Keeps others from changing the schema until this transaction ends; on SQLite no second one can write anyway.
    pub(super) async fn lock_schema(&mut self) -> Result<()> {
        // Any number will do, as long as all of us use the same.
        self.alone(7_021).await?;
        if self.dialect() == Dialect::Postgres {
            // A change of a large table takes as long as it takes.
            self.exec("SET LOCAL statement_timeout = 0", Vec::new()).await?;
        }
        Ok(())
    }

    /// A row for each bucket, for a statement that asks all of them at once.
    pub(super) fn all_buckets(&self) -> Rows {
        Rows { cells: (0..self.core.settings().buckets).map(Arg::I64).collect() }
    }

    /// Waits until no other transaction does the work of that number, and keeps everybody from it until the end of this one. On SQLite no
    /// second one writes anyway.
    pub(super) async fn alone(&mut self, work: i64) -> Result<()> {
        if self.dialect() == Dialect::Postgres {
            self.fetch("SELECT pg_advisory_xact_lock($1)::TEXT", args![work]).await?;
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
        let done = match self.held.with(piece) {
            Ready::Sqlite(session, bound) => session.run(&sql, &bound),
            Ready::Postgres(session, args) => session.run(sql, args).await,
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
        match self.held.with(piece) {
            Ready::Sqlite(session, bound) => {
                Ok(session.query(&sql, &bound).await?.rows().map(Row::Sqlite).collect())
            }
            Ready::Postgres(session, args) => session.query(sql, args).await,
        }
    }

    fn piece(&self, args: Vec<Arg>) -> Piece {
        match self.dialect() {
            Dialect::Sqlite => Piece::Sqlite(Bound::once(args)),
            Dialect::Postgres => Piece::Postgres(postgres::arguments(args)),
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
