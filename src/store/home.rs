//! Where the database is at home: whether it is the one that it was, or a copy of it.
//!
//! A copy does not know what was sent after it was made, so where one is served sending starts paused. It is told by the place that the
//! database remembers as its own, in the setting `home`: on SQLite the birth of the file, on PostgreSQL the server, the database and the
//! table of settings, which all are others after a restore. A copy that `backup` made of SQLite remembers that it is one.
//!
//! What is the same to the last byte cannot be told apart: a snapshot of a disk, a server that went back to an earlier moment. Who
//! restores so pauses first.

use std::time::UNIX_EPOCH;

use super::brakes::{self, Brake};
use super::dialect::Pools;
use super::sql::args;
use super::{Conn, Result, Store, deliveries, inbox, settings, timers};
use crate::clock::machine_now;
use crate::time::Timestamp;

/// The setting.
pub(super) const KEY: &str = "home";

/// Who pauses, as `status` shows it.
const AUTHOR: &str = "fahrplan, since this database is a copy";

/// What a copy remembers, before when it was made.
const COPY: &str = "copy ";

/// The mark of a copy that was made at that moment.
pub(super) fn copied_at(now: Timestamp) -> String {
    format!("{COPY}{}", now.0)
}

/// A database that is a copy, and what may happen twice by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// When the copy was made, where it remembers.
    pub copied_at: Option<Timestamp>,
    /// Messages that were not sent when it was made, and may be by now.
    pub unsent: i64,
    /// Inputs that nobody had read yet, such as events: what follows from them may have happened already.
    pub inputs: i64,
    /// Timers that have fallen due since: what they do may be done already.
    pub due: i64,
}

/// Whether this database is a copy that nobody has served yet.
pub async fn look(store: &Store, now: Timestamp) -> Result<Option<Restored>> {
    let here = here(store).await?;
    let mut conn = store.read().await?;
    let Some(home) = settings::get(&mut conn, KEY).await? else { return Ok(None) };
    if is_home(&home, here.as_deref()) { Ok(None) } else { restored(&mut conn, &home, now).await.map(Some) }
}

/// Makes this place its home. If that was another one, sending is paused in the same transaction.
pub async fn settle(store: &Store, now: Timestamp) -> Result<Option<Restored>> {
    let here = here(store).await?;
    let mut tx = store.write().await?;
    const HOME: &str = "SELECT value FROM settings WHERE key = $1 {lock}";
    let found =
        tx.fetch_first(HOME, args![KEY]).await?.map(|row| row.text(0).map(str::to_owned)).transpose()?;
    if found.as_deref().is_some_and(|home| is_home(home, here.as_deref())) {
        return Ok(None);
    }
    settings::set(&mut tx, KEY, here.as_deref().unwrap_or_default()).await?;
    let Some(home) = found else {
        tx.commit().await?;
        return Ok(None);
    };
    let restored = restored(&mut tx, &home, now).await?;
    brakes::pause(&mut tx, &Brake::All, AUTHOR, machine_now()).await?;
    tx.commit().await?;
    Ok(Some(restored))
}

/// Whether that is here; where nobody can tell, it is, unless it says that it is a copy.
fn is_home(home: &str, here: Option<&str>) -> bool {
    !home.starts_with(COPY) && (home.is_empty() || here.is_none_or(|here| here == home))
}

async fn restored(conn: &mut Conn, home: &str, now: Timestamp) -> Result<Restored> {
    let copied_at = home.strip_prefix(COPY).and_then(|ms| ms.parse().ok()).map(Timestamp);
    let unsent = deliveries::counts(conn).await?;
    let unsent = unsent.iter().filter(|count| {
        ["queued", "leased", "deferred", "waiting", "batched"].contains(&count.state.as_str())
    });
    let mut restored =
        Restored { copied_at, unsent: unsent.map(|count| count.count).sum(), ..Restored::default() };
    for bucket in 0..conn.core.settings().buckets {
        restored.inputs += inbox::waiting(conn, bucket).await?;
        restored.due += timers::count_due(conn, bucket, now).await?;
    }
    Ok(restored)
}

/// What is said of this place; `None`: nothing can be.
async fn here(store: &Store) -> Result<Option<String>> {
    match &store.core.pools {
        Pools::Sqlite { path, .. } => {
            let born = std::fs::metadata(path).and_then(|file| file.created()).ok();
            let born = born.and_then(|born| born.duration_since(UNIX_EPOCH).ok());
            Ok(born.map(|born| format!("file {}", born.as_nanos())))
        }
        Pools::Postgres(_) => {
            let mut conn = store.read().await?;
            const PLACE: &str = "SELECT CAST('settings'::regclass::oid AS BIGINT), \
                CAST((SELECT oid FROM pg_database WHERE datname = current_database()) AS BIGINT), \
                CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE') \
                THEN (SELECT system_identifier FROM pg_control_system()) ELSE 0 END";
            let row = conn.fetch_first(PLACE, Vec::new()).await?;
            row.map(|row| Ok(format!("server {} {} {}", row.i64(2)?, row.i64(1)?, row.i64(0)?))).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_is_at_home_unless_it_says_otherwise() {
        assert!(is_home("file 1", Some("file 1")) && !is_home("file 1", Some("file 2")));
        assert!(is_home("file 1", None) && is_home("", Some("file 2")));
        assert!(
            !is_home(&copied_at(Timestamp(5)), Some("file 1")) && !is_home(&copied_at(Timestamp(5)), None)
        );
    }
}
