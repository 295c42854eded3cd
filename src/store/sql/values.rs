//! Values in, rows out: what a statement is given, and what it gives back.

use std::sync::Arc;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::id::{ContactId, DeliveryId, EnrollmentId, TaskId};
use crate::store::lite::LiteRow;
use crate::store::{Error, Result};
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
    pub(in crate::store) cells: Vec<Arg>,
}

impl Rows {
    /// No rows, with room for so many cells.
    pub fn with_capacity(cells: usize) -> Rows {
        Rows { cells: Vec::with_capacity(cells) }
    }

    /// Adds one row, or a part of one whose rest comes next.
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
