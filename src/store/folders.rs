//! Who works on a batch that becomes a folder, of letters or of changes of an audience: one process at a time, for as long as it says.

use super::sql::args;
use super::{Dialect, Result, Store};
use crate::time::Timestamp;

/// Whose batches.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    Letters,
    Audiences,
}

/// What is asked of either table, where its statements, its `Batch` and its `read` are: what a batch is of stands in the column `$of`,
/// and what only batches of this kind have comes last.
macro_rules! batches {
    ($table:literal, $of:literal, $own:literal) => {
        macro_rules! select {
            ($how:expr) => {
                concat!(
                    "SELECT id, name, ",
                    $of,
                    ", cut_at, closed_at, recorded_at, owner, held_until, ",
                    $own,
                    " FROM ",
                    $table,
                    $how
                )
            };
        }

        /// The one that still fills, locked; who holds it, and until when.
        async fn open(tx: &mut Conn, of: &Word) -> Result<Option<(Batch, i64, Timestamp)>> {
            const OPEN: &str = select!(concat!(
                " WHERE ",
                $of,
                " = $1 AND recorded_at IS NULL AND closed_at IS NULL ORDER BY id LIMIT 1 {lock}"
            ));
            let row = tx.fetch_first(OPEN, args![of]).await?;
            row.map(|row| Ok((read(&row)?, row.i64(6)?, row.at(7)?))).transpose()
        }

        /// Batches that are not done yet, oldest first.
        pub async fn unfinished(conn: &mut Conn) -> Result<Vec<Batch>> {
            const UNFINISHED: &str = select!(" WHERE recorded_at IS NULL ORDER BY id");
            conn.fetch(UNFINISHED, Vec::new()).await?.iter().map(read).collect()
        }

        /// The newest batches, newest first.
        pub async fn newest(conn: &mut Conn, limit: u32) -> Result<Vec<Batch>> {
            const NEWEST: &str = select!(" ORDER BY id DESC LIMIT $1");
            conn.fetch(NEWEST, args![limit]).await?.iter().map(read).collect()
        }

        /// The batch of that name.
        pub async fn named(conn: &mut Conn, name: &str) -> Result<Option<Batch>> {
            const NAMED: &str = select!(" WHERE name = $1");
            conn.fetch_first(NAMED, args![name]).await?.as_ref().map(read).transpose()
        }
    };
}
pub(super) use batches;

/// A statement about their table.
macro_rules! about {
    ($of:expr, $before:literal, $after:literal) => {
        match $of {
            Of::Letters => concat!($before, "letter_batches", $after),
            Of::Audiences => concat!($before, "audience_batches", $after),
        }
    };
}

/// Holds a batch that is not done until then; whether it is ours.
pub async fn hold(
    store: &Store,
    of: Of,
    batch: i64,
    owner: i64,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool> {
    let sql = about!(
        of,
        "UPDATE ",
        " SET owner = $1, held_until = $2 WHERE id = $3 AND recorded_at IS NULL AND (owner = $1 OR held_until <= $4)"
    );
    let mut tx = store.write().await?;
    let held = tx.exec(sql, args![owner, until, batch, now]).await?;
    tx.commit_unannounced().await?;
    Ok(held == 1)
}

/// Holds a batch no longer: it could not be made, and whoever tries next may.
pub async fn let_go(store: &Store, of: Of, batch: i64, owner: i64) -> Result<()> {
    let sql = about!(of, "UPDATE ", " SET held_until = 0 WHERE id = $1 AND owner = $2");
    let mut tx = store.write().await?;
    tx.exec(sql, args![batch, owner]).await?;
    tx.commit_unannounced().await
}

/// What a former daemon held is free at once. Only for a store of which this process is the one daemon; elsewhere holds end by
/// themselves.
pub async fn release_former(store: &Store, of: Of) -> Result<()> {
    if store.dialect() == Dialect::Postgres {
        return Ok(());
    }
    let sql = about!(of, "UPDATE ", " SET held_until = 0 WHERE recorded_at IS NULL");
    let mut tx = store.write().await?;
    tx.exec(sql, Vec::new()).await?;
    tx.commit_unannounced().await
}
