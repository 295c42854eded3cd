//! Opening, the schema, worker numbers, names.

use std::sync::Arc;

use fahrplan::store::{Arg, Error, Store, names};

use super::{on_all, on_both};

#[test]
fn a_database_is_created_once_and_keeps_its_settings() {
    on_all(async |database| {
        let first = database.open().await;
        let settings = first.settings().clone();
        assert_eq!(settings.link_secret.len(), 32);
        first.close().await;
        assert_eq!(*database.open().await.settings(), settings);
    });
}

#[test]
fn several_processes_may_open_a_new_database_at_once() {
    on_all(async |database| {
        let (a, b, c) = tokio::join!(database.try_open(), database.try_open(), database.try_open());
        let stores = [a, b, c].map(|store| store.expect("opens"));
        let mut ids: Vec<i64> = stores.iter().map(|store| store.new_id()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 3, "each has a worker number of its own");
    });
}

#[test]
fn a_newer_schema_is_refused() {
    on_all(async |database| {
        let store = database.open().await;
        let mut tx = store.write().await.expect("a transaction");
        const NEWER: &str = "INSERT INTO schema_versions (version, name, applied_at) VALUES ($1, $2, 0)";
        tx.exec(NEWER, vec![Arg::I64(9_999), Arg::from("9999_future")]).await.expect("inserted");
        tx.commit().await.expect("committed");
        let refused = database.try_open().await.err().expect("refused");
        assert!(matches!(refused, Error::NewerSchema { found: 9_999, .. }), "{refused}");
    });
}

#[test]
fn an_unknown_kind_of_database_is_refused_with_the_way_out() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let error = runtime.block_on(Store::open("mysql://secret@host/db")).err().expect("refused");
    assert_eq!(
        error.to_string(),
        "`mysql` is no database: write `sqlite:PATH` or `postgres://HOST/DATABASE`"
    );
}

#[test]
fn a_sqlite_database_takes_one_daemon_and_lets_go_with_it() {
    on_all(async |database| {
        let (first, second) = (database.open().await, database.open().await);
        let lock = first.claim_daemon().expect("the first daemon starts");
        if lock.is_some() {
            assert!(matches!(second.claim_daemon(), Err(Error::SecondDaemon(_))));
        }
        drop(lock);
        second.claim_daemon().expect("free again");
    });
}

#[tokio::test]
async fn a_sqlite_database_takes_one_daemon_whatever_name_it_is_opened_by() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, link) = (directory.path().join("one.db"), directory.path().join("other.db"));
    let open = async |path: &std::path::Path| {
        Store::open(&format!("sqlite:{}", path.display())).await.expect("the database opens")
    };
    let first = open(&file).await;
    std::os::unix::fs::symlink(&file, &link).expect("linked");
    let second = open(&link).await;
    let lock = first.claim_daemon().expect("the first daemon starts");
    assert!(matches!(second.claim_daemon(), Err(Error::SecondDaemon(_))));
    drop(lock);
    second.claim_daemon().expect("free again");
    // A second name in earnest would have a log of its own.
    std::fs::hard_link(&file, directory.path().join("third.db")).expect("linked");
    assert!(matches!(first.claim_daemon(), Err(Error::Linked(_))));
}

#[test]
fn a_dropped_transaction_never_happened() {
    on_all(async |database| {
        let store = database.open().await;
        let name: Arc<str> = "order_placed".into();
        let mut tx = store.write().await.expect("a transaction");
        names::intern(&mut tx, &name).await.expect("interned");
        drop(tx);
        let mut conn = store.write().await.expect("a connection");
        assert_eq!(names::find(&mut conn, &name).await.expect("looked up"), None);
    });
}

#[test]
fn a_name_gets_one_number_for_ever_and_is_spelled_back() {
    on_all(async |database| {
        let store = database.open().await;
        let words: Vec<Arc<str>> = (0..40).map(|n| format!("event_{n}").into()).collect();
        let mut tx = store.write().await.expect("a transaction");
        let mut ids = Vec::new();
        for word in &words {
            ids.push(names::intern(&mut tx, word).await.expect("interned"));
        }
        tx.commit().await.expect("committed");
        // Another process, which has met none of them.
        let other = database.open().await;
        let mut conn = other.read().await.expect("a connection");
        let spelled = names::spell(&mut conn, ids.iter().copied()).await.expect("spelled");
        for (word, id) in words.iter().zip(&ids) {
            assert_eq!(spelled.get(id), Some(word));
            assert_eq!(names::find(&mut conn, word).await.expect("found"), Some(*id));
        }
    });
}

/// How large the disk is, for the connection that writes.
async fn set(store: &Store, pragma: &'static str) -> Result<(), Error> {
    let mut tx = store.write().await?;
    tx.exec(pragma, Vec::new()).await?;
    tx.commit().await
}

/// Writes what takes a few pages.
async fn fill(store: &Store, n: i64) -> Result<(), Error> {
    const FILL: &str =
        "INSERT INTO suppressions (address, channel, purpose, reason, at) VALUES ($1, $2, 0, $3, 0)";
    let mut tx = store.write().await?;
    tx.exec(FILL, vec![n.to_string().into(), n.into(), "x".repeat(9_000).into()]).await?;
    tx.commit().await
}

#[test]
fn a_full_disk_passes_by() {
    on_all(async |database| {
        let store = database.open().await;
        if store.dialect() != fahrplan::store::Dialect::Sqlite {
            return;
        }
        set(&store, "PRAGMA max_page_count = 80").await.expect("a small disk");
        let mut full = None;
        for n in 0..200 {
            full = full.or(fill(&store, n).await.err());
        }
        assert!(full.expect("the disk is full").is_passing());
        // A connection that was replaced has no limit any more; one that was not is given room.
        _ = set(&store, "PRAGMA max_page_count = 1000000").await;
        fill(&store, 1_000).await.expect("there is room again");
    });
}

#[test]
fn a_write_that_finds_no_room_has_the_log_folded() {
    on_both(async |database| {
        if database.is_postgres() {
            return;
        }
        let store = database.open().await;
        // Held open, so that no replaced connection is the last one, which folds the log when it goes.
        let mut reader = store.read().await.expect("a connection");
        reader.fetch("SELECT 1", Vec::new()).await.expect("read");
        let file = database.url().strip_prefix("sqlite:").expect("a file");
        let length = || std::fs::metadata(file).expect("there").len();
        let before = length();
        for n in 0..10 {
            fill(&store, n).await.expect("there is room");
        }
        assert_eq!(length(), before, "so little is in the log alone");
        // No more pages than there are.
        set(&store, "PRAGMA max_page_count = 1").await.expect("a full disk");
        for n in 10.. {
            if fill(&store, n).await.is_err() {
                break;
            }
        }
        assert!(store.refuses_writes().is_some());
        let pages =
            reader.fetch("PRAGMA page_count", Vec::new()).await.expect("read")[0].i64(0).expect("a number");
        for _ in 0..3_000 {
            if length() >= pages.unsigned_abs() * 4_096 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the log is not folded: {} bytes, {pages} pages", length());
    });
}
