//! Rows as a stream, the way in which PostgreSQL takes many of them: COPY in its binary form
//! (<https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format").
//!
//! All columns of ours are 64-bit integers, texts or bytes, so what stands in the stream is what stands in the table.

use sqlx::PgConnection;

use super::Result;
use super::dialect::hole;
use super::sql::{Arg, Rows};

/// Fields from which on a stream is worth it: those of an import, and not those of a batch on its way. The driver leaves Nagle's algorithm
/// on, so the end of a stream may wait for the server's delayed acknowledgement, 40 ms on Linux.
const LEAST: usize = 32_000;
/// Bytes that are sent together.
const PIECE: usize = 256 * 1_024;

/// The signature, no flags, no extension of the header.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Stands where the number of fields of a next row would.
const END: i16 = -1;
/// The length of what is missing.
const MISSING: i32 = -1;

/// Whether there are enough of them.
pub(super) fn is_worth_it(rows: &Rows) -> bool {
    rows.cells.len() >= LEAST
}

/// Sends the rows of a batch statement; how many there are. One that is there already fails the transaction, as it does in the statement.
pub(super) async fn copy(conn: &mut PgConnection, copy: &str, sql: &str, rows: &Rows) -> Result<u64> {
    let width = hole(sql).expect("a batch statement has a hole for its rows").1.len();
    let fields = i16::try_from(width).expect("a table has few columns").to_be_bytes();
    let mut into = conn.copy_in_raw(copy).await?;
    let mut bytes = Vec::with_capacity(PIECE + PIECE / 4);
    bytes.extend(HEADER);
    for row in rows.cells.chunks(width) {
        bytes.extend(fields);
        row.iter().for_each(|cell| write_cell(&mut bytes, cell));
        if bytes.len() >= PIECE {
            into.send(&*bytes).await?;
            bytes.clear();
        }
    }
    bytes.extend(END.to_be_bytes());
    into.send(&*bytes).await?;
    Ok(into.finish().await?)
}

/// One field: its length, then what it says.
fn write_cell(into: &mut Vec<u8>, cell: &Arg) {
    let mut write = |value: &[u8]| {
        let length = i32::try_from(value.len()).expect("a value is smaller than a request");
        into.extend(length.to_be_bytes());
        into.extend(value);
    };
    match cell {
        Arg::I64(n) => write(&n.to_be_bytes()),
        Arg::Text(value) => write(value.as_bytes()),
        Arg::Word(value) => write(value.as_bytes()),
        Arg::Blob(value) => write(value),
        Arg::NoI64 | Arg::NoText | Arg::NoBlob => into.extend(MISSING.to_be_bytes()),
    }
}
