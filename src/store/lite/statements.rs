//! Statements on a connection to SQLite: what they bind, how they run, and the table that comes of them.

use std::sync::Arc;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};

use super::aside;
use crate::store::sql::Arg;
use crate::store::{Error, Result};

/// A batch with more cells than this may take long.
const MANY: usize = 100_000;

/// The values of a statement: those that stay, which are its first, then rows, so many cells of which are bound for one run.
#[derive(Debug, Default)]
pub(in crate::store) struct Bound {
    pub(in crate::store) fixed: Vec<Arg>,
    pub(in crate::store) cells: Vec<Arg>,
    pub(in crate::store) together: usize,
    /// Whether it takes long whatever it binds.
    pub(in crate::store) long: bool,
}

impl Bound {
    /// For a statement without rows.
    pub(in crate::store) fn once(fixed: Vec<Arg>) -> Bound {
        Bound { fixed, ..Bound::default() }
    }

    fn is_long(&self) -> bool {
        self.long || self.cells.len() > MANY
    }

    /// The values of each run.
    fn runs(&self) -> impl Iterator<Item = &[Arg]> {
        let none: &[Arg] = &[];
        self.cells.is_empty().then_some(none).into_iter().chain(self.cells.chunks(self.together.max(1)))
    }
}

/// Statements on a connection. What may take long leaves the other tasks of its thread to others.
pub(in crate::store) trait Statements {
    /// Runs a statement; the number of rows it changed.
    fn run(&self, sql: &str, bound: &Bound) -> Result<u64>;

    /// Runs a statement that returns rows.
    fn query(&self, sql: &str, bound: &Bound) -> Result<Arc<Table>>;
}

impl Statements for Connection {
    fn run(&self, sql: &str, bound: &Bound) -> Result<u64> {
        if bound.is_long() { aside(|| run(self, sql, bound)) } else { run(self, sql, bound) }
    }

    fn query(&self, sql: &str, bound: &Bound) -> Result<Arc<Table>> {
        if bound.is_long() { aside(|| query(self, sql, bound)) } else { query(self, sql, bound) }
    }
}

fn run(conn: &Connection, sql: &str, bound: &Bound) -> Result<u64> {
    let mut statement = conn.prepare_cached(sql)?;
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

fn query(conn: &Connection, sql: &str, bound: &Bound) -> Result<Arc<Table>> {
    let mut statement = conn.prepare_cached(sql)?;
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
pub(in crate::store) struct Table {
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
    pub(in crate::store) fn rows(self: Arc<Table>) -> impl Iterator<Item = LiteRow> {
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

    pub(in crate::store) fn integer(&self, column: usize) -> Result<Option<i64>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Integer(n) => Ok(Some(n)),
            _ => Err(unreadable("a number was expected")),
        }
    }

    pub(in crate::store) fn text(&self, column: usize) -> Result<Option<&str>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Text { from, to } => std::str::from_utf8(self.slice(from, to))
                .map(Some)
                .map_err(|_| unreadable("a text is no UTF-8")),
            _ => Err(unreadable("a text was expected")),
        }
    }

    pub(in crate::store) fn bytes(&self, column: usize) -> Result<Option<&[u8]>> {
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

    #[test]
    fn values_come_back_as_they_went_in() {
        let conn = Connection::open_in_memory().expect("it opens");
        conn.run("CREATE TABLE t (a BIGINT, b TEXT, c BLOB)", &Bound::default()).expect("made");
        let rows = vec![
            Arg::I64(i64::MIN),
            Arg::from("Zoë\0\u{1f600}"),
            Arg::Blob(vec![0, 255]),
            Arg::NoI64,
            Arg::from(""),
            Arg::NoBlob,
        ];
        let bound = Bound { cells: rows, together: 3, ..Bound::default() };
        assert_eq!(conn.run("INSERT INTO t VALUES (?1, ?2, ?3)", &bound).expect("both"), 2);
        let found = conn.query("SELECT a, b, c FROM t ORDER BY a", &Bound::default()).expect("read");
        let rows: Vec<LiteRow> = found.rows().collect();
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
    }
}
