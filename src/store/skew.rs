//! The database's clock, and by how much this machine's differs from it.

use tokio::time::Instant;

use super::{Conn, Dialect, Result, Store};
use crate::clock::machine_now;

/// Clocks that differ by more make mail leave at the wrong time.
pub const MOST_MS: i64 = 500;

/// By how many milliseconds this machine is ahead of the database, half the way there and back allowed for; SQLite is on it.
pub(super) async fn measure(store: &Store) -> Result<i64> {
    if store.dialect() == Dialect::Sqlite {
        return Ok(0);
    }
    let mut conn = store.read().await?;
    // The first call prepares the statement.
    micros(&mut conn).await?;
    let (began, before) = (Instant::now(), machine_now());
    let there = micros(&mut conn).await? / 1_000;
    let half = i64::try_from(began.elapsed().as_millis() / 2).unwrap_or(0);
    Ok(before.0 + half - there)
}

/// The database's clock, in microseconds. SQLite has none of its own, and one daemon.
pub(super) async fn micros(conn: &mut Conn) -> Result<i64> {
    const NOW: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";
    match conn.dialect() {
        Dialect::Sqlite => Ok(machine_now().0 * 1_000),
        Dialect::Postgres => conn.fetch_number(NOW, Vec::new()).await,
    }
}
