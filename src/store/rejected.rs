//! Items that could not be read as what they say they are: kept with the reason, so that they can be mended and tried again.
//!
//! The keeping is bounded, since anybody with a key can send nonsense all day.

use super::sql::args;
use super::{Conn, Result, Row, Rows, Store};
use crate::intake;
use crate::time::{DAY, Timestamp};

/// The longest part of an item that is kept, in bytes.
const LONGEST_BODY: usize = 32 << 10;
/// Items are kept for so long, and no more than so many.
const KEPT_FOR: i64 = 30 * DAY;
const KEPT: i64 = 100_000;

/// An item that was not taken, or of which a part was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub id: i64,
    pub rejected_at: Timestamp,
    /// Where it came in: `http`, or the name of an imported file.
    pub source: String,
    pub code: String,
    pub reason: String,
    /// As it came, JSON text; cut if it was very long.
    pub body: String,
}

/// Keeps items, each as it came and why it was not taken.
pub async fn keep(
    store: &Store,
    source: &str,
    items: Vec<(String, intake::Rejected)>,
    now: Timestamp,
) -> Result<()> {
    const KEEP: &str = "INSERT INTO rejected_events (id, rejected_at, source, code, reason, body) {IITTTT}";
    let mut rows = Rows::with_capacity(items.len() * 6);
    for (body, why) in items {
        let body = clip(body);
        let id = store.new_id();
        rows.push([id.into(), now.into(), source.into(), why.code.into(), why.reason.into(), body.into()]);
    }
    let mut tx = store.write().await?;
    tx.exec_rows(KEEP, rows, &[]).await?;
    tx.commit().await
}

/// Cuts a text that is too long, and takes out what PostgreSQL cannot store.
fn clip(mut body: String) -> String {
    if body.len() > LONGEST_BODY {
        body.truncate((0..=LONGEST_BODY).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0));
    }
    if body.contains('\0') { body.replace('\0', "\u{fffd}") } else { body }
}

/// The newest items, those before `before` if it is given.
pub async fn list(conn: &mut Conn, before: Option<i64>, limit: u32) -> Result<Vec<Rejected>> {
    const LIST: &str = "SELECT id, rejected_at, source, code, reason, body FROM rejected_events \
        WHERE id < $1 ORDER BY id DESC LIMIT $2";
    let read = |row: &Row| {
        Ok(Rejected {
            id: row.i64(0)?,
            rejected_at: row.at(1)?,
            source: row.text(2)?.to_owned(),
            code: row.text(3)?.to_owned(),
            reason: row.text(4)?.to_owned(),
            body: row.text(5)?.to_owned(),
        })
    };
    conn.fetch(LIST, args![before.unwrap_or(i64::MAX), limit]).await?.iter().map(read).collect()
}

/// How many are kept.
pub async fn count(conn: &mut Conn) -> Result<i64> {
    conn.fetch_number("SELECT COUNT(*) FROM rejected_events", Vec::new()).await
}

/// Forgets what is too old or too much; for upkeep.
pub async fn forget(store: &Store, now: Timestamp) -> Result<u64> {
    const OLD: &str = "DELETE FROM rejected_events WHERE rejected_at < $1";
    const MUCH: &str = "DELETE FROM rejected_events WHERE id <= COALESCE(( \
        SELECT id FROM rejected_events ORDER BY id DESC LIMIT 1 OFFSET $1), 0)";
    let mut tx = store.write().await?;
    let old = tx.exec(OLD, args![now.plus_ms(-KEPT_FOR)]).await?;
    let much = tx.exec(MUCH, args![KEPT]).await?;
    tx.commit().await?;
    Ok(old + much)
}
