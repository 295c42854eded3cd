//! What the driver of PostgreSQL is told: statements and their values. How it is opened stands in `dialect`.

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, AssertSqlSafe, PgConnection, Postgres, Transaction};

use super::sql::{Arg, Row, Rows};
use super::{Result, stream};

/// A connection that somebody has for a while. Dropping it rolls back.
pub(super) enum Session {
    Reading(PoolConnection<Postgres>),
    Writing(Transaction<'static, Postgres>),
}

// The texts are asserted safe because `Texts` makes them from constants and numbers of placeholders alone.
impl Session {
    fn conn(&mut self) -> &mut PgConnection {
        match self {
            Session::Reading(conn) => conn,
            Session::Writing(tx) => tx,
        }
    }

    /// Runs a statement; the number of rows it changed.
    pub(super) async fn run(&mut self, sql: Arc<str>, args: PgArguments) -> Result<u64> {
        let query = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), args);
        Ok(query.execute(self.conn()).await?.rows_affected())
    }

    /// Runs a statement that returns rows.
    pub(super) async fn query(&mut self, sql: Arc<str>, args: PgArguments) -> Result<Vec<Row>> {
        let query = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), args);
        Ok(query.fetch_all(self.conn()).await?.into_iter().map(Row::Postgres).collect())
    }

    /// Runs several statements, without values.
    pub(super) async fn script(&mut self, sql: &'static str) -> Result<()> {
        sqlx::raw_sql(sql).execute(self.conn()).await?;
        Ok(())
    }

    /// Adds the rows of a batch statement as a stream, as that COPY says; how many there are.
    pub(super) async fn copy(&mut self, copy: &str, sql: &str, rows: &Rows) -> Result<u64> {
        stream::copy(self.conn(), copy, sql, rows).await
    }

    /// Ends the transaction, durably; nothing to do after mere reading.
    pub(super) async fn commit(self) -> Result<()> {
        match self {
            Session::Reading(_) => Ok(()),
            Session::Writing(tx) => Ok(tx.commit().await?),
        }
    }
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

/// The values of a statement.
pub(super) fn arguments(values: Vec<Arg>) -> PgArguments {
    let mut args = PgArguments::default();
    for value in values {
        add!(args, value);
    }
    args
}

/// The rows of a batch as one array a column, then the fixed values.
pub(super) fn columns(cells: &[Arg], columns: &[u8], fixed: &[Arg]) -> PgArguments {
    let mut args = PgArguments::default();
    for (place, kind) in columns.iter().enumerate() {
        let column = cells.iter().skip(place).step_by(columns.len());
        match kind {
            b'I' => args.add(column.map(Arg::integer).collect::<Vec<_>>()),
            b'B' => args.add(column.map(Arg::bytes).collect::<Vec<_>>()),
            _ => args.add(column.map(Arg::text).collect::<Vec<_>>()),
        }
        .expect("lists of integers, texts and bytes below the size limits of requests can be encoded");
    }
    for value in fixed {
        add!(args, value.clone());
    }
    args
}

impl Arg {
    fn integer(&self) -> Option<i64> {
        if let Arg::I64(n) = self { Some(*n) } else { None }
    }

    fn bytes(&self) -> Option<&[u8]> {
        if let Arg::Blob(bytes) = self { Some(bytes) } else { None }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Arg::Text(text) => Some(text),
            Arg::Word(text) => Some(text),
            _ => None,
        }
    }
}
