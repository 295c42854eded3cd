//! The conformance suite of the store: every function on SQLite, and on PostgreSQL at the address in `FAHRPLAN_TEST_POSTGRES`.
//!
//! Each test gets an empty database of its own: a file, or a schema. Without the variable the PostgreSQL half fails, so that it
//! cannot be forgotten; `FAHRPLAN_TEST_POSTGRES=skip` leaves it out on purpose.

mod accepting;
mod advancing;
mod ahead;
mod buckets;
mod budgets;
mod calling;
mod caps;
mod codes;
mod copying;
mod cutting;
mod deploying;
mod examining;
mod importing;
mod keeping;
mod opening;
mod outbox;
mod plans;
mod queueing;
mod schema;
mod streaming;
mod upkeep;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fahrplan::store::{Dialect, Options, Store};

pub(crate) use self::advancing::{accept, advance, event, open, story, who};

/// An empty database that a test may open as often as it likes.
pub(crate) struct Database {
    url: String,
    /// The buckets it is created with.
    buckets: u16,
    /// The directory of the SQLite file, deleted with it.
    _directory: Option<tempfile::TempDir>,
}

impl Database {
    /// Opens it, creating the schema the first time.
    pub(crate) async fn open(&self) -> Store {
        self.try_open().await.expect("the database opens")
    }

    /// Where it is, for the program itself.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    pub(crate) async fn try_open(&self) -> Result<Store, fahrplan::store::Error> {
        let options = Options { buckets: Some(self.buckets), connections: 4, ..Options::default() };
        Store::open_with(&self.url, options).await
    }
}

/// Asserts that what ran since then names one bucket, and finds its rows by a key; plans only where small tables have them too.
pub(crate) async fn assert_in_place(store: &Store, before: &[Arc<str>]) {
    let astray = buckets::astray(store, before);
    assert!(astray.is_empty(), "{}", astray.join("\n"));
    if store.dialect() == Dialect::Sqlite {
        let mut statements = store.statements();
        statements.retain(|sql| !before.contains(sql) && buckets::is_own(sql));
        let wrong = plans::wrong(store, &statements).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Runs a test on SQLite with one bucket and with eight, and on PostgreSQL with eight.
pub(crate) fn on_all<F: Future<Output = ()>>(test: impl Fn(Database) -> F) {
    on_these(&[1, 8], test);
}

/// Runs a test that starts the program itself: on SQLite, and on PostgreSQL.
pub(crate) fn on_both<F: Future<Output = ()>>(test: impl Fn(Database) -> F) {
    on_these(&[1], test);
}

fn on_these<F: Future<Output = ()>>(sqlite: &[u16], test: impl Fn(Database) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts");
    for buckets in sqlite.iter().copied() {
        let directory = tempfile::tempdir().expect("a directory for the database");
        let url = format!("sqlite:{}", directory.path().join("test.db").display());
        runtime.block_on(test(Database { url, buckets, _directory: Some(directory) }));
    }
    let server = std::env::var("FAHRPLAN_TEST_POSTGRES").expect(
        "FAHRPLAN_TEST_POSTGRES holds the URL of a PostgreSQL database for tests, or `skip` to leave it out",
    );
    if server != "skip" {
        runtime.block_on(on_postgres(&server, test));
    }
}

/// Runs a test on PostgreSQL alone and on one thread, so that it may set the machine's clock: see `clock::stand_at`.
pub(crate) fn on_postgres_by_clock<F: Future<Output = ()>>(test: impl Fn(Database) -> F) {
    let server = std::env::var("FAHRPLAN_TEST_POSTGRES").expect("as for the others");
    if server != "skip" {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime starts").block_on(on_postgres(&server, test));
    }
}

async fn on_postgres<F: Future<Output = ()>>(server: &str, test: impl Fn(Database) -> F) {
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let schema = format!("test_{}_{}", std::process::id(), SCHEMAS.fetch_add(1, Ordering::Relaxed));
    run(server, &format!("CREATE SCHEMA {schema}")).await;
    let mark = if server.contains('?') { '&' } else { '?' };
    let url = format!("{server}{mark}options=-c%20search_path%3D{schema}");
    test(Database { url, buckets: 8, _directory: None }).await;
    run(server, &format!("DROP SCHEMA {schema} CASCADE")).await;
}

/// Runs a statement on the server, apart from the store.
pub(crate) async fn run(server: &str, sql: &str) {
    use sqlx::{AssertSqlSafe, Connection};
    let mut conn =
        sqlx::PgConnection::connect(server).await.expect("the PostgreSQL server for tests answers");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await.expect("the statement runs");
    conn.close().await.expect("the connection closes");
}

/// The plan of a statement, line by line.
async fn explain(store: &Store, sql: &str) -> Vec<String> {
    let mut conn = store.write().await.expect("a connection");
    match store.dialect() {
        fahrplan::store::Dialect::Sqlite => {
            // A test may leak a few texts: statements are constants, and this one is made of one.
            let sql: &'static str = Box::leak(format!("EXPLAIN QUERY PLAN {sql}").into_boxed_str());
            let rows = conn.fetch(sql, Vec::new()).await.expect(sql);
            rows.iter().map(|row| row.text(3).expect("a text").to_owned()).collect()
        }
        fahrplan::store::Dialect::Postgres => {
            if sql.contains("pg_") {
                return Vec::new();
            }
            let places = (1..40).take_while(|n| sql.contains(&format!("${n}"))).count();
            let nulls = match places {
                0 => String::new(),
                n => format!("({})", vec!["NULL"; n].join(", ")),
            };
            let prepare: &'static str = Box::leak(format!("PREPARE looked_at AS {sql}").into_boxed_str());
            let explain: &'static str =
                Box::leak(format!("EXPLAIN EXECUTE looked_at{nulls}").into_boxed_str());
            for sql in ["SET LOCAL enable_seqscan = off", "SET LOCAL plan_cache_mode = force_generic_plan"] {
                conn.exec(sql, Vec::new()).await.expect(sql);
            }
            conn.exec(prepare, Vec::new()).await.expect(prepare);
            let rows = conn.fetch(explain, Vec::new()).await.expect(explain);
            conn.exec("DEALLOCATE looked_at", Vec::new()).await.expect("forgotten");
            rows.iter().map(|row| row.text(0).expect("a text").to_owned()).collect()
        }
    }
}
