//! Brings the schema up to date when a store is opened: every migration that the database has not seen, each in its own transaction.
//!
//! Migrations only add, and a released one is never edited. A database with a migration that this binary does not know was written
//! by a newer one and is refused.

use super::sql::args;
use super::{Access, Conn, Dialect, Error, Result, Store};
use crate::clock::machine_now;

/// A step of the schema, in the words of both databases.
struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
        }),*]
    };
}

/// All of them, oldest first.
const MIGRATIONS: &[Migration] = migrations![1 "0001_first", 2 "0002_outbox", 3 "0003_brakes"];

/// Runs what is missing, if that is wanted.
pub(super) async fn run(store: &Store, access: Access) -> Result<()> {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    match (found(store).await?, access) {
        (Some(found), _) if found == known => return Ok(()),
        (None | Some(0), Access::Look | Access::Existing) => {
            return Err(Error::Missing(store.place().to_owned()));
        }
        (Some(found), Access::Look) if found < known => return Err(Error::OlderSchema { found, known }),
        _ => {}
    }
    loop {
        let mut tx = store.write().await?;
        tx.lock_schema().await?;
        tx.script(
            "CREATE TABLE IF NOT EXISTS schema_versions (\
             version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)",
        )
        .await?;
        let found = version(&mut tx).await?;
        if found > known {
            return Err(Error::NewerSchema { found, known });
        }
        let Some(next) = MIGRATIONS.iter().find(|migration| migration.version > found) else {
            return tx.commit().await;
        };
        let script = match tx.dialect() {
            Dialect::Sqlite => next.sqlite,
            Dialect::Postgres => next.postgres,
        };
        tx.script(script).await?;
        const RECORD: &str = "INSERT INTO schema_versions (version, name, applied_at) VALUES ($1, $2, $3)";
        tx.exec(RECORD, args![next.version, next.name, machine_now()]).await?;
        tx.commit().await?;
    }
}

/// Looks without a lock first, so that a command beside a busy daemon need not wait for it. `None`: a new database.
async fn found(store: &Store) -> Result<Option<i64>> {
    let mut conn = store.read().await?;
    match version(&mut conn).await {
        Ok(found) => Ok(Some(found)),
        Err(Error::Database(sqlx::Error::Database(error))) if is_no_table(&*error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_no_table(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().as_deref() == Some("42P01") || error.message().starts_with("no such table")
}

async fn version(conn: &mut Conn) -> Result<i64> {
    const VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM schema_versions";
    conn.fetch_first(VERSION, Vec::new()).await?.map_or(Ok(0), |row| row.i64(0))
}
