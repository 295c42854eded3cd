//! A worker on PostgreSQL whose clock is wrong: it does nothing by it, says so, and goes on when it is right.

use std::time::Duration;

use fahrplan::clock::{machine_now, stand_at};
use fahrplan::engine::world::Delivery;
use fahrplan::store::{Error, Store, brakes};
use fahrplan::time::{DAY, MINUTE};

use crate::daemon::{Running, until};
use crate::store::on_postgres_by_clock;

async fn write(store: &Store) -> Result<(), Error> {
    let mut tx = store.write().await?;
    tx.exec("INSERT INTO names (id, name) VALUES (7, 'x') ON CONFLICT DO NOTHING", Vec::new()).await?;
    tx.commit().await
}

#[test]
fn a_process_whose_clock_is_wrong_writes_nothing_but_pauses_until_it_is_right() {
    on_postgres_by_clock(async |database| {
        let store = database.open().await;
        write(&store).await.expect("written");
        for wrong in [3 * DAY, -6_000] {
            // The clock jumps while it runs.
            stand_at(Some(machine_now().plus_ms(wrong)));
            assert!(store.clock_error().is_some_and(|ahead| (ahead - wrong).abs() < 1_000));
            let refused = write(&store).await.expect_err("acting by that clock is too early, or too late");
            assert!(matches!(refused, Error::Clock { .. }) && refused.is_passing(), "{refused}");
            assert!(refused.to_string().contains("chronyd"), "{refused}");
            let mut tx = store.write_at_any_time().await.expect("a transaction");
            brakes::pause(&mut tx, &brakes::Brake::All, "op@desk", machine_now()).await.expect("paused");
            tx.commit().await.expect("a pause is written whatever the clock shows");
            // One that starts with it has the same answer.
            let other = database.open().await;
            assert!(matches!(write(&other).await, Err(Error::Clock { .. })));
            stand_at(None);
            tokio::time::timeout(Duration::from_secs(20), store.on_time()).await.expect("right again");
            until("it writes again", async || write(&store).await.is_ok()).await;
            other.close().await;
        }
        // What is within the bound is nobody's business but the doctor's.
        stand_at(Some(machine_now().plus_ms(2_000)));
        write(&store).await.expect("written");
        stand_at(None);
    });
}

#[test]
fn a_daemon_whose_clock_is_wrong_sends_nothing_and_says_so() {
    on_postgres_by_clock(async |database| {
        let running = Running::start(&database, |_| {}).await;
        running.import("ada", "ada@example.com", &[]).await;
        running.import("ben", "ben@example.com", &[]).await;
        running.queue_hello(&["ada"]).await;
        until("a mail", async || running.states().await == ["accepted 1"]).await;
        // Due in an hour, and by the clock as it is from now on long ago.
        let later = Delivery { due_at: machine_now().plus_ms(60 * MINUTE), ..running.hello() };
        running.queue_mail("ben", &later).await;
        stand_at(Some(machine_now().plus_ms(DAY)));
        let ready = async || running.get("/readyz").await;
        until("it is not ready", async || ready().await.contains("clock-wrong")).await;
        until("the metric", async || running.get("/metrics").await.contains("fahrplan_clock_wrong 1")).await;
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(running.mailbox.messages().len(), 1, "a mail left a day early");
        assert_eq!(running.states().await, ["accepted 1", "queued 1"]);
        stand_at(None);
        until("it is ready again", async || ready().await.contains("200 OK")).await;
        running.queue_hello(&["ada"]).await;
        until("it goes on", async || running.states().await == ["accepted 2", "queued 1"]).await;
        assert_eq!(running.mailbox.messages().len(), 2);
        running.stop().await;
    });
}
