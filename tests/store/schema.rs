//! Bringing the schema up to date: from what former versions left behind, by several at once, and after a kill.

use std::process::{Command, Stdio};
use std::time::Duration;

use fahrplan::store::migrate::{self, Schema};
use fahrplan::store::{Access, Error, Options, Store};

use super::{Database, on_all};
use crate::cli::{fahrplan, project_on};

/// The schema of the first release that people had data in.
const FIRST: i64 = 2;

/// What a project of that time had: a contact, and one message of each state.
const DATA: [&str; 6] = [
    "INSERT INTO settings (key, value) VALUES ('buckets', '1'), \
     ('link_secret', '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff')",
    "INSERT INTO buckets (bucket) VALUES (0)",
    "INSERT INTO names (id, name) VALUES (1, 'email'), (2, 'hello'), (3, 'welcome'), (4, 'marketing')",
    "INSERT INTO contacts (bucket, id, created_at, merged_into, attributes) VALUES (0, 7, 0, NULL, '{}')",
    "INSERT INTO deliveries (bucket, id, contact, enrollment, journey, step, round, arm, kind, channel, template, \
     purpose, transactional, wants_outcome, given, due_at, state, again_at, owner, epoch, attempts, doubtful, settled_at) VALUES \
     (0, 11, 7, 1, 3, 2, 0, 0, 0, 1, 2, 4, 0, 0, '{}', 0, 'accepted', NULL, 0, 1, 1, 0, 0), \
     (0, 12, 7, 1, 3, 2, 1, 0, 0, 1, 2, 4, 0, 0, '{}', 0, 'queued', NULL, 0, 0, 0, 0, NULL), \
     (0, 13, 7, 1, 3, 2, 2, 0, 0, 1, 2, 4, 0, 0, '{}', 0, 'leased', 5, 3, 1, 1, 0, NULL)",
    "INSERT INTO delivery_counts (bucket, journey, channel, template, state, count) VALUES (0, 3, 1, 2, 'accepted', 1)",
];

impl Database {
    /// Leaves it as a process of that version would have, with data in it.
    pub(super) async fn of_first_release(&self) {
        migrate::up_to(&self.url, FIRST).await.expect("the first schema");
        for sql in DATA {
            self.run(sql).await;
        }
    }

    /// Runs a statement beside the store.
    pub(super) async fn run(&self, sql: &'static str) {
        match self.url.strip_prefix("sqlite:") {
            None => super::run(&self.url, sql).await,
            Some(path) => {
                let conn = rusqlite::Connection::open(path).expect("it opens");
                conn.execute_batch(sql).expect("the statement runs");
            }
        }
    }
}

async fn look(database: &Database) -> Schema {
    migrate::look(&database.url).await.expect("looked at")
}

async fn states(store: &Store) -> Vec<(String, i64)> {
    let mut conn = store.read().await.expect("a connection");
    let counts = fahrplan::store::deliveries::counts(&mut conn).await.expect("counted");
    counts.into_iter().map(|count| (count.state, count.count)).collect()
}

#[test]
fn a_database_of_the_first_release_is_brought_up_to_date_with_all_that_is_in_it() {
    on_all(async |database| {
        let new = look(&database).await;
        assert_eq!((new.found, new.missing.last().map(|step| step.version)), (0, Some(migrate::known())));
        database.of_first_release().await;
        let schema = look(&database).await;
        assert_eq!((schema.found, schema.known), (FIRST, migrate::known()));
        let steps: Vec<i64> = schema.missing.iter().map(|step| step.version).collect();
        assert!(steps.is_sorted() && steps.iter().all(|step| *step > FIRST), "{steps:?}");
        assert_eq!(steps.last(), Some(&migrate::known()));
        // Who only looks does not change it, and who needs it newer says so.
        let options = Options { access: Access::Look, ..Options::default() };
        let looked = Store::open_with(&database.url, options).await;
        if schema.missing.is_empty() {
            looked.expect("nothing is missing").close().await;
        } else {
            assert!(matches!(looked, Err(Error::OlderSchema { found: FIRST, .. })));
        }
        assert_eq!(look(&database).await, schema);
        let store = database.open().await;
        assert_eq!(look(&database).await.missing, []);
        let expected =
            [("accepted", 1), ("leased", 1), ("queued", 1)].map(|(state, n)| (state.to_owned(), n));
        assert_eq!(states(&store).await, expected);
        assert_eq!(
            fahrplan::store::contacts::count(&mut store.read().await.expect("a connection"))
                .await
                .expect("counted"),
            1
        );
    });
}

#[test]
fn several_processes_may_bring_it_up_to_date_at_once() {
    on_all(async |database| {
        database.of_first_release().await;
        let (a, b, c, d) =
            tokio::join!(database.try_open(), database.try_open(), database.try_open(), database.try_open());
        for store in [a, b, c, d] {
            store.expect("opens");
        }
        assert_eq!(look(&database).await.missing, []);
    });
}

#[test]
fn a_migration_waits_for_a_table_in_use_and_lets_others_through() {
    on_all(async |database| {
        migrate::up_to(&database.url, 1).await.expect("the first schema");
        if database.url.starts_with("sqlite:") {
            return;
        }
        // Somebody reads the list of versions for a while, and will not be disturbed.
        use sqlx::Connection as _;
        let mut reader = sqlx::PgConnection::connect(&database.url).await.expect("connected");
        let lock = "BEGIN; LOCK TABLE schema_versions IN SHARE MODE";
        sqlx::raw_sql(lock).execute(&mut reader).await.expect("locked");
        let letting_go = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            sqlx::raw_sql("COMMIT").execute(&mut reader).await.expect("let go");
        };
        let (done, ()) = tokio::join!(migrate::up_to(&database.url, 2), letting_go);
        done.expect("done after a while");
        assert_eq!(look(&database).await.found, 2);
    });
}

#[test]
fn one_that_was_killed_is_gone_on_with() {
    on_all(async |database| {
        let dir = project_on(&database.url);
        for wait in 0..8 {
            let mut child = Command::new(env!("CARGO_BIN_EXE_fahrplan"))
                .arg("migrate")
                .current_dir(dir.path())
                .env_clear()
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the binary is built before the tests");
            tokio::time::sleep(Duration::from_millis(10 * wait)).await;
            child.kill().expect("killed");
            child.wait().expect("gone");
        }
        let dry = fahrplan(dir.path(), &["migrate", "--dry-run"]);
        assert_eq!(dry.code, 0, "{}", dry.err);
        let ran = fahrplan(dir.path(), &["migrate"]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert_eq!(look(&database).await.missing, []);
        let again = fahrplan(dir.path(), &["migrate"]);
        assert!(again.code == 0 && again.out.ends_with("nothing to do.\n"), "{}", again.out);
        database.open().await;
    });
}

#[test]
fn a_dry_run_shows_the_statements_and_makes_nothing() {
    let dir = project_on("sqlite:test.db");
    let ran = fahrplan(dir.path(), &["migrate", "--dry-run"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("is new; it gets schema"), "{}", ran.out);
    assert!(
        ran.out.contains("-- ================ 0001_first\n") && ran.out.contains("CREATE TABLE contacts")
    );
    assert!(!dir.path().join("test.db").exists());
    assert_eq!(fahrplan(dir.path(), &["migrate"]).code, 0);
    assert!(fahrplan(dir.path(), &["migrate", "--dry-run"]).out.ends_with("nothing to do.\n"));
    assert_eq!(fahrplan(dir.path(), &["key", "list"]).code, 0);
}

#[test]
fn a_newer_schema_is_refused_with_a_way_out() {
    on_all(async |database| {
        database.open().await.close().await;
        database
            .run("INSERT INTO schema_versions (version, name, applied_at) VALUES (9999, '9999_future', 0)")
            .await;
        let dir = project_on(&database.url);
        for command in [&["migrate"][..], &["migrate", "--dry-run"], &["status"], &["key", "list"]] {
            let ran = fahrplan(dir.path(), command);
            assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{command:?}");
            assert!(
                ran.err.contains("has schema 9999, made by a newer fahrplan") && ran.err.contains("help: "),
                "{}",
                ran.err
            );
        }
    });
}
