//! The schema: brought up to date when a store is opened, or beforehand by `fahrplan migrate`, by every migration that the database has
//! not seen, each in its own transaction.
//!
//! Migrations only add, and a released one is never edited; so a daemon of the version before goes on while a newer one begins. A
//! database with a migration that this binary does not know was written by a newer one and is refused. Several processes may do this
//! at once: one does it, the others wait and find it done. One that was killed half-way has done nothing of the step it was at.

use std::collections::BTreeSet;
use std::time::Duration;

use super::sql::args;
use super::{Access, Conn, Dialect, Error, Options, Result, Store, reach};
use crate::clock::machine_now;

/// A step of the schema, in the words of both databases.
struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

impl Migration {
    fn script(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Sqlite => self.sqlite,
            Dialect::Postgres => self.postgres,
        }
    }
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
const MIGRATIONS: &[Migration] = migrations![
    1 "0001_first",
    2 "0002_outbox",
    3 "0003_brakes",
    4 "0004_made",
    5 "0005_work",
    6 "0006_codes",
    7 "0007_letters",
    8 "0008_surveys",
    9 "0009_doors",
    10 "0010_letters",
    11 "0011_surveys",
    12 "0012_audiences",
    13 "0013_replies",
    14 "0014_budgets",
    15 "0015_pages",
    16 "0016_gateways",
    17 "0017_calls",
    18 "0018_workers",
    19 "0019_audience_lines",
    20 "0020_room",
    21 "0021_opened",
    22 "0022_seen",
];

/// How long a migration waits on PostgreSQL for a table that is in use, while everybody else waits behind it; then it lets them
/// through and tries again, so often and after such a pause.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// What `lock_timeout` ends a statement with.
const LOCKED: &str = "55P03";

/// The schema that this program has.
pub fn known() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// The schema of a database, beside the one that this program has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Where the database is, for people.
    pub place: String,
    /// 0: there is nothing of ours in it yet, or no database.
    pub found: i64,
    pub known: i64,
    /// What is to be done, in this order.
    pub missing: Vec<Step>,
}

/// A migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub version: i64,
    pub name: &'static str,
    /// Its statements, for this database.
    pub script: &'static str,
}

/// Looks at the schema of the database of that URL, and changes nothing. One that is newer than this program is an error.
pub async fn look(url: &str) -> Result<Schema> {
    let place = reach::place(url)?;
    let options = Options { access: Access::Look, ..Options::default() };
    let (applied, dialect) = match Store::connect(url, place.clone(), &options).await {
        Ok(store) => {
            let applied = applied(&store).await.map_err(|error| error.at(&place))?.unwrap_or_default();
            let dialect = store.dialect();
            store.close().await;
            (applied, dialect)
        }
        Err(Error::Missing(_)) => (Applied::new(), Dialect::Sqlite),
        Err(error) => return Err(error.at(&place)),
    };
    let (found, known) = (not_newer(&applied)?, known());
    let missing = MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version));
    let step = |migration: &Migration| Step {
        version: migration.version,
        name: migration.name,
        script: migration.script(dialect),
    };
    Ok(Schema { place, found, known, missing: missing.map(step).collect() })
}

/// Runs what is missing up to that version, creating the database if need be.
pub async fn up_to(url: &str, version: i64) -> Result<()> {
    let place = reach::place(url)?;
    let done = async {
        let store = Store::connect(url, place.clone(), &Options::default()).await?;
        let done = advance(&store, version).await;
        store.close().await;
        done
    };
    done.await.map_err(|error| error.at(&place))
}

/// Runs what is missing, if that is wanted.
pub(super) async fn run(store: &Store, access: Access) -> Result<()> {
    // Looks without a lock first, so that a command beside a busy daemon need not wait for it.
    let applied = applied(store).await?.unwrap_or_default();
    let (found, known) = (not_newer(&applied)?, known());
    if MIGRATIONS.iter().all(|migration| applied.contains(&migration.version)) {
        return Ok(());
    }
    match (found, access) {
        (0, Access::Look | Access::Existing) => Err(Error::Missing(store.place().to_owned())),
        (_, Access::Look) => Err(Error::OlderSchema { found, known }),
        _ => advance(store, known).await,
    }
}

/// Runs migrations until the schema is at least that.
async fn advance(store: &Store, version: i64) -> Result<()> {
    let mut tries = 0;
    loop {
        match next(store, version).await {
            Ok(true) => return Ok(()),
            Ok(false) => tries = 0,
            Err(Error::Database(sqlx::Error::Database(error)))
                if error.code().as_deref() == Some(LOCKED) && tries < TRIES =>
            {
                tries += 1;
                tracing::warn!(tries, "a migration waits for a table that is in use");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Runs the next migration; whether there was none left.
async fn next(store: &Store, version: i64) -> Result<bool> {
    let mut tx = store.write().await?;
    tx.lock_schema().await?;
    tx.script(
        "CREATE TABLE IF NOT EXISTS schema_versions (\
         version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)",
    )
    .await?;
    let applied = versions(&mut tx).await?;
    not_newer(&applied)?;
    let wanted =
        |migration: &&Migration| migration.version <= version && !applied.contains(&migration.version);
    let Some(migration) = MIGRATIONS.iter().find(wanted) else {
        tx.commit().await?;
        return Ok(true);
    };
    if tx.dialect() == Dialect::Postgres {
        tx.script(LOCK_TIMEOUT).await?;
    }
    let script = migration.script(tx.dialect());
    tx.script(script).await?;
    const RECORD: &str = "INSERT INTO schema_versions (version, name, applied_at) VALUES ($1, $2, $3)";
    tx.exec(RECORD, args![migration.version, migration.name, machine_now()]).await?;
    tx.commit().await?;
    Ok(false)
}

/// What a database has seen.
type Applied = BTreeSet<i64>;

/// The newest of them; an error if we do not know it.
fn not_newer(applied: &Applied) -> Result<i64> {
    let (found, known) = (applied.last().copied().unwrap_or(0), known());
    if found > known { Err(Error::NewerSchema { found, known }) } else { Ok(found) }
}

/// `None`: a new database.
async fn applied(store: &Store) -> Result<Option<Applied>> {
    let mut conn = store.read().await?;
    match versions(&mut conn).await {
        Ok(applied) => Ok(Some(applied)),
        Err(error) if is_no_table(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_no_table(error: &Error) -> bool {
    match error {
        Error::Database(sqlx::Error::Database(error)) => error.code().as_deref() == Some("42P01"),
        Error::Sqlite(error) => error.to_string().starts_with("no such table"),
        _ => false,
    }
}

async fn versions(conn: &mut Conn) -> Result<Applied> {
    let rows = conn.fetch("SELECT version FROM schema_versions", Vec::new()).await?;
    rows.iter().map(|row| row.i64(0)).collect()
}
