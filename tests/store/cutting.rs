//! PostgreSQL cuts off a worker that does not go on: it hears of it, nothing of what it held is written, and others go on meanwhile.

use std::time::Duration;

use fahrplan::store::{Conn, Dialect, Store, advance_bucket};

use super::advancing::{accept, event, open, welcome};
use super::on_all;
use crate::engine::build::*;

async fn setting(conn: &mut Conn, sql: &'static str) -> String {
    conn.fetch_first(sql, Vec::new()).await.expect("read").expect("there").text(0).expect("a text").to_owned()
}

/// Takes the lock of a bucket, as a worker that advances it, and writes something.
async fn hold(store: &Store, bucket: i64) -> Conn {
    let mut held = store.write().await.expect("a transaction");
    // The real ones are seconds, which is long for a test.
    held.exec("SET LOCAL idle_in_transaction_session_timeout = 200", Vec::new()).await.expect("set");
    const LOCK: &str = "SELECT bucket FROM buckets WHERE bucket = $1 FOR UPDATE";
    held.fetch(LOCK, vec![bucket.into()]).await.expect("locked");
    held.exec("INSERT INTO names (id, name) VALUES (999, 'never')", Vec::new()).await.expect("written");
    held
}

#[test]
fn a_worker_that_freezes_in_a_transaction_is_cut_off_and_others_go_on() {
    on_all(async |database| {
        let now = at("2026-05-01T10:00");
        let store = open(&database, &catalog(), &[&welcome()], now).await;
        if store.dialect() == Dialect::Sqlite {
            return;
        }
        let ada = accept(&store, "ada", event("signed_up", now, &[]), now).await;
        let bucket = fahrplan::store::bucket_of(ada, store.settings().buckets);
        let held = hold(&store, bucket).await;
        let locked = advance_bucket(&store, bucket, now, 100).await.expect("looked");
        assert!(locked.locked && locked.taken == 0 && !locked.more, "{locked:?}");

        tokio::time::sleep(Duration::from_millis(500)).await;
        let error = held.commit().await.expect_err("the server has cut it off");
        assert!(error.is_passing(), "a daemon that ends by this would have to be started by hand: {error:?}");
        let done = advance_bucket(&store, bucket, now, 100).await.expect("somebody else goes on");
        assert_eq!((done.taken, done.locked), (1, false));
        let mut conn = store.read().await.expect("a connection");
        let never = conn.fetch("SELECT id FROM names WHERE id = 999", Vec::new()).await.expect("read");
        assert!(never.is_empty(), "nothing of it was written");
    });
}

#[test]
fn a_connection_that_was_cut_is_replaced_before_it_is_used() {
    on_all(async |database| {
        let store = database.open().await;
        if store.dialect() == Dialect::Sqlite {
            return;
        }
        // All connections of the pool, then idle.
        let (mut all, mut pids) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let mut conn = store.read().await.expect("a connection");
            let row = conn.fetch_first("SELECT CAST(pg_backend_pid() AS BIGINT)", Vec::new()).await;
            pids.push(row.expect("asked").expect("there").i64(0).expect("a number"));
            all.push(conn);
        }
        drop(all);
        tokio::time::sleep(Duration::from_millis(700)).await;
        let other = database.open().await;
        let mut conn = other.read().await.expect("a connection");
        for pid in pids {
            const CUT: &str = "SELECT CAST(pg_terminate_backend(CAST($1 AS INT)) AS TEXT)";
            conn.fetch(CUT, vec![pid.into()]).await.expect("cut");
        }
        for _ in 0..4 {
            let mut conn = store.read().await.expect("a connection");
            conn.fetch("SELECT key FROM settings", Vec::new()).await.expect("it stands");
        }
    });
}

#[test]
fn sessions_of_postgresql_give_up_what_hangs() {
    on_all(async |database| {
        let store = database.open().await;
        if store.dialect() == Dialect::Sqlite {
            return;
        }
        let mut conn = store.read().await.expect("a connection");
        assert_eq!(setting(&mut conn, "SHOW idle_in_transaction_session_timeout").await, "5s");
        assert_eq!(setting(&mut conn, "SHOW statement_timeout").await, "1min");
        assert_eq!(setting(&mut conn, "SHOW tcp_keepalives_idle").await, "5");
        assert_eq!(setting(&mut conn, "SHOW tcp_user_timeout").await, "10000");
    });
}
