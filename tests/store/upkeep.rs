//! What the daemon does now and then: forgetting, statistics, the log of SQLite, and hearing what others have committed.

use std::collections::BTreeSet;
use std::time::Duration;

use fahrplan::clock::machine_now;
use fahrplan::daemon::retention::Retention;
use fahrplan::engine::world::NewTask;
use fahrplan::id::{self, EnrollmentId, TaskId};
use fahrplan::store::import::{self, Person};
use fahrplan::store::{Dialect, Store, bucket_of, events, listen, names, tasks, tidy};
use fahrplan::time::{DAY, Timestamp};
use tokio_util::sync::CancellationToken;

use super::advancing::{accept, advance, event, open, story, welcome, who};
use super::on_all;
use crate::engine::build::*;

async fn run(store: &Store, sql: &'static str, args: Vec<fahrplan::store::Arg>) -> u64 {
    let mut tx = store.write().await.expect("a transaction");
    let changed = tx.exec(sql, args).await.expect(sql);
    tx.commit().await.expect("committed");
    changed
}

#[test]
fn what_is_kept_no_longer_is_forgotten_and_the_rest_is_not() {
    on_all(async |database| {
        let start = machine_now();
        let store = open(&database, &catalog(), &[&welcome()], start).await;
        let ada = accept(&store, "ada", event("signed_up", start, &[]), start).await;
        advance(&store, start).await;
        let task = NewTask {
            id: TaskId(store.new_id()),
            enrollment: EnrollmentId(store.new_id()),
            journey: "welcome".into(),
            step: "talk".into(),
            round: 1,
            verb: "call".into(),
            task: "call".into(),
            team: "sales".into(),
            with: Default::default(),
            due_at: start,
            expires_at: start.plus_ms(DAY),
        };
        let bucket = fahrplan::store::bucket_of(ada, store.settings().buckets);
        let mut tx = store.write().await.expect("a transaction");
        tasks::insert(&mut tx, bucket, &[(ada, &task)]).await.expect("there");
        tx.commit().await.expect("committed");
        // A decision of two years ago, beside those of today.
        let old = id::at(machine_now().plus_ms(-730 * DAY));
        const OLD: &str = "INSERT INTO history (bucket, id, contact, at, notes) \
            SELECT bucket, CAST($1 AS BIGINT), contact, at, notes FROM history";
        run(&store, OLD, vec![old.into()]).await;
        let decided = story(&store, ada).await.len();

        let events = async || {
            let mut conn = store.read().await.expect("a connection");
            events::newest(&mut conn, ada, 9).await.expect("read").len()
        };
        let state = async || {
            let mut conn = store.read().await.expect("a connection");
            tasks::of_contact(&mut conn, ada).await.expect("read")[0].state.clone()
        };
        let mut retention = Retention::default();
        retention.work(&store, start).await.expect("forgotten");
        assert_eq!((events().await, state().await.as_str()), (1, "open"));
        assert_eq!(story(&store, ada).await.len() * 2, decided);
        retention.work(&store, start.plus_ms(401 * DAY)).await.expect("forgotten");
        assert_eq!(state().await, "expired");
        // The pass of today is through; the next one begins tomorrow, or with the next daemon.
        assert_eq!(events().await, 1);
        Retention::default().work(&store, start.plus_ms(401 * DAY)).await.expect("forgotten");
        assert_eq!(events().await, 0);
    });
}

#[test]
fn a_pass_goes_on_where_it_stopped() {
    on_all(async |database| {
        let start = at("2026-05-01T10:00");
        let store = open(&database, &catalog(), &[&welcome()], start).await;
        let people: Vec<Person> = (0..6_000)
            .map(|n| Person { who: who(&format!("u{n}")), attributes: fields(&[]), consents: Vec::new() })
            .collect();
        import::contacts(&store, &people, start).await.expect("imported");
        let mut tx = store.write().await.expect("a transaction");
        let name = names::intern(&mut tx, &"optin".into()).await.expect("a name");
        tx.commit().await.expect("committed");
        const EVENTS: &str = "INSERT INTO events (bucket, contact, name, occurred_at, id, accepted_at, dedupe, fields) \
            SELECT bucket, id, CAST($1 AS BIGINT), CAST($2 AS BIGINT), id, CAST($2 AS BIGINT), NULL, '{}' FROM contacts";
        assert_eq!(run(&store, EVENTS, vec![name.into(), start.into()]).await, 6_000);
        let mut retention = Retention::default();
        for _ in 0..2 {
            retention.work(&store, start.plus_ms(500 * DAY)).await.expect("forgotten");
        }
        let mut conn = store.read().await.expect("a connection");
        let left = conn.fetch("SELECT COUNT(*) FROM events", Vec::new()).await.expect("counted");
        assert_eq!(left[0].i64(0).expect("a number"), 0);
    });
}

#[test]
fn statistics_follow_growth_and_an_idle_log_is_folded() {
    on_all(async |database| {
        let store = open(&database, &catalog(), &[&welcome()], Timestamp(1)).await;
        let people: Vec<Person> = (0..3_000)
            .map(|n| Person { who: who(&format!("u{n}")), attributes: fields(&[]), consents: Vec::new() })
            .collect();
        import::contacts(&store, &people, Timestamp(1)).await.expect("imported");
        match store.dialect() {
            Dialect::Postgres => {
                let mut found = Vec::new();
                // What was written is counted a moment later, when the connection that wrote it is idle.
                for _ in 0..50 {
                    found = tidy::Tidying::default().work(&store).await.expect("tidied").analyzed;
                    if found.contains(&"contacts") {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                assert!(found.contains(&"contacts"), "{found:?}");
            }
            Dialect::Sqlite => {
                let mut tidying = tidy::Tidying::default();
                assert_eq!(tidying.work(&store).await.expect("tidied").folded, 0, "it was written just now");
                assert!(tidying.work(&store).await.expect("tidied").folded > 10);
                assert_eq!(tidying.work(&store).await.expect("tidied").folded, 0, "it is done");
                let mut conn = store.read().await.expect("a connection");
                let known = "SELECT COUNT(*) FROM sqlite_stat1 WHERE tbl = 'contacts'";
                let known = conn.fetch(known, Vec::new()).await.expect("statistics are there");
                assert!(known[0].i64(0).expect("a number") > 0);
            }
        }
    });
}

#[test]
fn what_another_process_commits_wakes_the_loops_also_after_a_lost_connection() {
    on_all(async |database| {
        let start = at("2026-05-01T10:00");
        let store = open(&database, &catalog(), &[&welcome()], start).await;
        if store.dialect() == Dialect::Sqlite {
            return;
        }
        let (stop, other) = (CancellationToken::new(), database.open().await);
        let listening = tokio::spawn(listen::run(store.clone(), stop.clone()));
        let mut due = store.due();
        let heard = async |due: &mut tokio::sync::watch::Receiver<u64>| {
            let patience = Duration::from_secs(20);
            tokio::time::timeout(patience, due.changed()).await.expect("heard").expect("the store lives");
        };
        heard(&mut due).await;
        store.take_due();
        let ada = accept(&other, "ada", event("signed_up", start, &[]), start).await;
        heard(&mut due).await;
        let bucket = bucket_of(ada, store.settings().buckets);
        assert_eq!(store.take_due(), BTreeSet::from([bucket]), "it is told which bucket has something to do");
        const CUT: &str =
            "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
        let mut conn = other.read().await.expect("a connection");
        let cut = conn.fetch(CUT, Vec::new()).await.expect("cut")[0].i64(0).expect("a number");
        assert!(cut >= 1);
        drop(conn);
        // It listens again, and looks since it may have missed something.
        heard(&mut due).await;
        accept(&other, "ben", event("signed_up", start, &[]), start).await;
        heard(&mut due).await;
        stop.cancel();
        listening.await.expect("it stops when told");
    });
}
