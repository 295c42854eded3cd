//! What the databases want done now and then: statistics after growth, so that statements keep the plans they were written for, and
//! on SQLite the log folded into the database while nothing is written.

use std::time::Duration;

use tokio::time::Instant;

use super::{Conn, Dialect, Result, Store};

/// How often it is looked whether the statistics are out of date. PostgreSQL plans by them alone, and takes a table that has grown since
/// for a small one.
const LOOK_SQLITE: Duration = Duration::from_secs(600);
const LOOK_POSTGRES: Duration = Duration::from_secs(4);

/// What was done lately.
#[derive(Debug, Default)]
pub struct Tidying {
    looked: Option<Instant>,
    /// Pages in the log of SQLite at the last look.
    log: i64,
}

/// What one call did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Tables whose statistics were made anew; unknown on SQLite, which decides itself.
    pub analyzed: Vec<&'static str>,
    /// Pages of the log that were folded into the database.
    pub folded: i64,
}

impl Tidying {
    /// Does what is due. Called twice in a row without a write in between, it finds the database idle.
    pub async fn work(&mut self, store: &Store) -> Result<Tidied> {
        let mut tidied = Tidied::default();
        let pause = match store.dialect() {
            Dialect::Sqlite => LOOK_SQLITE,
            Dialect::Postgres => LOOK_POSTGRES,
        };
        let look = self.looked.is_none_or(|looked| looked.elapsed() >= pause);
        if look {
            self.looked = Some(Instant::now());
        }
        match store.dialect() {
            Dialect::Postgres if look => tidied.analyzed = analyze(store).await?,
            Dialect::Postgres => {}
            Dialect::Sqlite => {
                if look {
                    optimize(store).await?;
                }
                tidied.folded = self.fold(&mut store.read().await?).await?;
            }
        }
        Ok(tidied)
    }

    /// Folds the log into the database, if nothing was written since the last look. Writers need not wait for it.
    async fn fold(&mut self, conn: &mut Conn) -> Result<i64> {
        let (log, done) = checkpoint(conn, "PRAGMA wal_checkpoint(NOOP)").await?;
        let is_idle = std::mem::replace(&mut self.log, log) == log;
        if !is_idle || log <= done {
            return Ok(0);
        }
        let (_, now_done) = checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)").await?;
        Ok(now_done - done)
    }
}

/// Runs that pragma: pages in the log, and how many of them are in the database too.
pub(super) async fn checkpoint(conn: &mut Conn, pragma: &'static str) -> Result<(i64, i64)> {
    let rows = conn.fetch_at_length(pragma).await?;
    rows.first().map_or(Ok((0, 0)), |row| Ok((row.i64(1)?, row.i64(2)?)))
}

/// Lets SQLite look at tables that have grown much since it looked last, at a few hundred rows of each index.
async fn optimize(store: &Store) -> Result<()> {
    // 0x10000: also tables that this connection has not asked since it was opened; 2: analyze where it helps.
    const OPTIMIZE: &str = "PRAGMA optimize(0x10002)";
    let mut tx = store.write().await?;
    tx.fetch("PRAGMA analysis_limit = 400", Vec::new()).await?;
    tx.fetch_at_length(OPTIMIZE).await?;
    tx.commit().await
}

/// The tables that grow, each with its statement.
const TABLES: [(&str, &str); 16] = [
    ("answers", "ANALYZE answers"),
    ("cap_slots", "ANALYZE cap_slots"),
    ("consent_states", "ANALYZE consent_states"),
    ("contacts", "ANALYZE contacts"),
    ("deliveries", "ANALYZE deliveries"),
    ("enrollments", "ANALYZE enrollments"),
    ("errands", "ANALYZE errands"),
    ("events", "ANALYZE events"),
    ("history", "ANALYZE history"),
    ("identities", "ANALYZE identities"),
    ("inbox", "ANALYZE inbox"),
    ("listeners", "ANALYZE listeners"),
    ("memberships", "ANALYZE memberships"),
    ("seen", "ANALYZE seen"),
    ("tasks", "ANALYZE tasks"),
    ("timers", "ANALYZE timers"),
];

/// PostgreSQL does it by itself too, but a minute or more after a table has grown; after an import that is long.
async fn analyze(store: &Store) -> Result<Vec<&'static str>> {
    const GROWN: &str = "SELECT CAST(relname AS TEXT) FROM pg_stat_user_tables WHERE schemaname = current_schema() \
        AND n_mod_since_analyze > 1000 AND n_mod_since_analyze > n_live_tup / 2";
    let mut grown: Vec<(&str, &str)> = Vec::new();
    for row in store.read().await?.fetch(GROWN, Vec::new()).await? {
        let name = row.text(0)?;
        grown.extend(TABLES.into_iter().find(|(table, _)| *table == name));
    }
    for (_, analyze) in &grown {
        let mut tx = store.write().await?;
        // Another process may be at it.
        const ALONE: &str =
            "SELECT CAST(CASE WHEN pg_try_advisory_xact_lock(7022) THEN 1 ELSE 0 END AS BIGINT)";
        if tx.fetch_number(ALONE, Vec::new()).await? == 0 {
            return Ok(Vec::new());
        }
        tx.exec(analyze, Vec::new()).await?;
        tx.commit().await?;
    }
    Ok(grown.into_iter().map(|(table, _)| table).collect())
}
