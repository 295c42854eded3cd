//! What the driver of PostgreSQL is told: statements and their values, and new rows as a stream. How it is opened stands in `dialect`.

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, AssertSqlSafe, PgConnection, Postgres, Transaction};

use super::Result;
use super::sql::{Arg, Row, Rows};

/// Bytes of a stream that are sent together.
const PIECE: usize = 256 * 1_024;

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

    /// Adds rows of so many cells as a stream, as that COPY says.
    pub(super) async fn copy(&mut self, copy: &'static str, rows: &Rows, width: usize) -> Result<()> {
        let mut into = self.conn().copy_in_raw(copy).await?;
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

    /// Ends the transaction, durably; nothing to do after mere reading.
    pub(super) async fn commit(self) -> Result<()> {
        match self {
            Session::Reading(_) => Ok(()),
            Session::Writing(tx) => Ok(tx.commit().await?),
        }
    }
}

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
pub(super) fn columns(cells: impl Iterator<Item = Arg>, columns: &[u8], fixed: &[Arg]) -> PgArguments {
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
