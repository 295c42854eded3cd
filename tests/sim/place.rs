//! Databases for simulations: made and deployed to once for each theme, and as good as new for each seed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fahrplan::clock;
use fahrplan::store::boundary::Boundary;
use fahrplan::store::journeys::{self, Release};
use fahrplan::store::{Access, Options, Store, Synchronous};
use fahrplan::time::Timestamp;
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

use crate::gate::Gate;
use crate::shop::Shop;

/// How long a process waits for its own connection that writes, on the real clock. Only one who stands with a transaction in his hands
/// keeps it so long: then whoever waits is to hang, and not to be told that the database failed for a while.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// When everything was deployed.
const DEPLOYED: Timestamp = Timestamp(1_767_225_600_000);

/// Everything that a seed leaves behind.
const TABLES: [&str; 22] = [
    "workers",
    "step_counts",
    "jobs",
    "contacts",
    "identities",
    "consents",
    "consent_states",
    "suppressions",
    "contact_pauses",
    "cap_slots",
    "inbox",
    "events",
    "firsts",
    "seen",
    "enrollments",
    "timers",
    "listeners",
    "memberships",
    "errands",
    "history",
    "deliveries",
    "delivery_counts",
];

/// Where the databases of one thread are.
pub(crate) enum Place {
    Files { directory: TempDir, made: BTreeMap<(usize, u16), PathBuf> },
    Schemas { server: String, made: BTreeMap<(usize, u16), String>, tag: String },
}

impl Place {
    /// SQLite in files; in memory where the system has such a directory.
    pub(crate) fn files() -> Place {
        let shared = Path::new("/dev/shm");
        let directory = match shared.is_dir() {
            true => TempDir::with_prefix_in("fahrplan-sim-", shared),
            false => TempDir::with_prefix("fahrplan-sim-"),
        };
        Place::Files { directory: directory.expect("a directory for databases"), made: BTreeMap::new() }
    }

    /// Schemas on a PostgreSQL server.
    pub(crate) fn schemas(server: &str) -> Place {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let tag = format!("sim_{}_{}", std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        Place::Schemas { server: server.to_owned(), made: BTreeMap::new(), tag }
    }

    /// The URL of a database in which only that theme is deployed.
    pub(crate) async fn fresh(&mut self, theme: usize, buckets: u16) -> String {
        match self {
            Place::Files { directory, made } => {
                let template = match made.get(&(theme, buckets)) {
                    Some(template) => template.clone(),
                    None => {
                        let path = directory.path().join(format!("template_{theme}_{buckets}.db"));
                        deploy(&format!("sqlite:{}", path.display()), theme, buckets).await;
                        made.insert((theme, buckets), path.clone());
                        path
                    }
                };
                let path = directory.path().join("seed.db");
                for ending in ["", "-wal", "-shm", "-daemon"] {
                    let _ = fs::remove_file(format!("{}{ending}", path.display()));
                }
                fs::copy(&template, &path).expect("the template is copied");
                format!("sqlite:{}", path.display())
            }
            Place::Schemas { server, made, tag } => {
                if let Some(schema) = made.get(&(theme, buckets)) {
                    let empty = TABLES.map(|table| format!("{schema}.{table}")).join(", ");
                    run(server, &format!("TRUNCATE {empty}")).await;
                    return with_schema(server, schema);
                }
                let schema = format!("{tag}_{theme}_{buckets}");
                run(server, &format!("CREATE SCHEMA {schema}")).await;
                let url = with_schema(server, &schema);
                deploy(&url, theme, buckets).await;
                made.insert((theme, buckets), schema.clone());
                run(
                    server,
                    &format!("TRUNCATE {}", TABLES.map(|table| format!("{schema}.{table}")).join(", ")),
                )
                .await;
                url
            }
        }
    }

    /// Removes what it made elsewhere.
    pub(crate) async fn leave(self) {
        if let Place::Schemas { server, made, .. } = self {
            for schema in made.into_values() {
                run(&server, &format!("DROP SCHEMA {schema} CASCADE")).await;
            }
        }
    }
}

fn with_schema(server: &str, schema: &str) -> String {
    let mark = if server.contains('?') { '&' } else { '?' };
    format!("{server}{mark}options=-c%20search_path%3D{schema}")
}

/// Runs a statement on the server, apart from the store.
async fn run(server: &str, sql: &str) {
    let mut conn = sqlx::PgConnection::connect(server).await.expect("the PostgreSQL server answers");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await.expect("the statement runs");
    conn.close().await.expect("the connection closes");
}

async fn deploy(url: &str, theme: usize, buckets: u16) {
    clock::stand_at(Some(DEPLOYED));
    // The clock of a simulation is not that of a server, and a store without a boundary would not write by it.
    let gate = Gate::new(tokio::sync::mpsc::unbounded_channel().0);
    gate.open(true);
    let boundary: Option<std::sync::Arc<dyn Boundary>> = Some(std::sync::Arc::new(gate));
    let options = Options { buckets: Some(buckets), boundary, ..Options::default() };
    let store = Store::open_with(url, options).await.expect("the database opens");
    let shop = Shop::get();
    let programs = shop.programs(theme);
    let release = Release { catalog: &shop.catalog, programs: &programs, templates: &shop.templates };
    journeys::release(&store, release, DEPLOYED).await.expect("deployed");
    store.close().await;
}

/// Opens a database as a process of the simulation does.
pub(crate) async fn open(url: &str, gate: Gate) -> Store {
    let options = Options {
        access: Access::Existing,
        synchronous: Synchronous::Normal,
        connections: 6,
        patience: PATIENCE,
        boundary: Some(std::sync::Arc::new(gate)),
        ..Options::default()
    };
    Store::open_with(url, options).await.expect("the database opens")
}

/// Opens a database to look at it.
pub(crate) async fn watch(url: &str) -> Store {
    let options = Options { access: Access::Look, connections: 2, ..Options::default() };
    Store::open_with(url, options).await.expect("the database opens")
}
