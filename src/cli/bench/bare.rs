//! The bare batch: what the database itself does of the work of a transition, through the same driver and in the same run. The figure
//! that counts of an engine on this machine is its ratio to this one.
//!
//! Each row is taken in the order of waking from a bucket that is locked, deleted, set again later, noted in a history, and every second
//! one puts a row into an outbox: one transaction a batch, six times a row.

use std::time::Instant;

use tokio::task::JoinSet;

use super::super::{Failure, world};
use crate::store::{Arg, Dialect, Result, Rows, Store};

/// Rows a batch, as the engine takes them.
const BATCH: usize = 2_000;
/// How often each row is moved.
const ROUNDS: i64 = 6;
/// What a waiting enrollment carries, and a line of history.
const STATE: &str = "0123456789abcdef0123456789abcdef";
const NOTE: &str = "[[1800000000000,123456789,\"j\",\"hello\",1,{\"Queued\":{\"channel\":\"email\",\"template\":\"hello\"}}]]";

const SQLITE: [&str; 3] = [
    "CREATE TABLE bare_timers (bucket BIGINT NOT NULL, wake_at BIGINT NOT NULL, id BIGINT NOT NULL, contact BIGINT NOT NULL, \
     state TEXT NOT NULL, PRIMARY KEY (bucket, wake_at, id)) WITHOUT ROWID",
    "CREATE TABLE bare_history (bucket BIGINT NOT NULL, id BIGINT NOT NULL, contact BIGINT NOT NULL, notes TEXT NOT NULL, \
     PRIMARY KEY (bucket, id)) WITHOUT ROWID",
    "CREATE TABLE bare_outbox (bucket BIGINT NOT NULL, id BIGINT NOT NULL, contact BIGINT NOT NULL, given TEXT NOT NULL, \
     PRIMARY KEY (bucket, id)) WITHOUT ROWID",
];
const POSTGRES: [&str; 3] = [
    "CREATE TABLE bare_timers (bucket BIGINT NOT NULL, wake_at BIGINT NOT NULL, id BIGINT NOT NULL, contact BIGINT NOT NULL, \
     state TEXT NOT NULL, PRIMARY KEY (bucket, wake_at, id))",
    "CREATE TABLE bare_history (bucket BIGINT NOT NULL, id BIGINT NOT NULL, contact BIGINT NOT NULL, notes TEXT NOT NULL, \
     PRIMARY KEY (bucket, id))",
    "CREATE TABLE bare_outbox (bucket BIGINT NOT NULL, id BIGINT NOT NULL, contact BIGINT NOT NULL, given TEXT NOT NULL, \
     PRIMARY KEY (bucket, id))",
];

const SET: &str = "INSERT INTO bare_timers (bucket, wake_at, id, contact, state) {IIIIT}";

/// Moves so many rows with so many workers; rows a second.
pub(super) async fn rows_per_second(url: &str, rows: u64, workers: usize) -> Result<f64, Failure> {
    let store = Store::open(url).await.map_err(world)?;
    fill(&store, rows).await.map_err(world)?;
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..workers {
        running.spawn(work(store.clone(), number));
    }
    let mut moved = 0;
    while let Some(worker) = running.join_next().await {
        moved += worker.map_err(world)?.map_err(world)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    store.close().await;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let figure = moved as f64 / seconds;
    Ok(figure)
}

async fn fill(store: &Store, count: u64) -> Result<()> {
    let mut tx = store.write().await?;
    let tables = match store.dialect() {
        Dialect::Sqlite => SQLITE,
        Dialect::Postgres => POSTGRES,
    };
    for table in tables {
        tx.exec(table, Vec::new()).await?;
    }
    let buckets = store.settings().buckets;
    let ids: Vec<i64> = (0..i64::try_from(count).unwrap_or(i64::MAX)).collect();
    for ids in ids.chunks(10_000) {
        let mut rows = Rows::with_capacity(ids.len() * 5);
        for id in ids {
            rows.push([Arg::I64(id % buckets), Arg::I64(0), Arg::I64(*id), Arg::I64(-id), STATE.into()]);
        }
        tx.exec_rows(SET, rows, &[]).await?;
    }
    tx.commit().await?;
    if store.dialect() == Dialect::Postgres {
        let mut tx = store.write().await?;
        tx.exec("ANALYZE bare_timers", Vec::new()).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Moves rows until none is left to move.
async fn work(store: Store, number: usize) -> Result<usize> {
    let mut buckets: Vec<i64> = store.buckets().collect();
    let count = buckets.len();
    buckets.rotate_left(number * count / 2 % count);
    let (mut moved, mut left) = (0, true);
    while left {
        left = false;
        for bucket in &buckets {
            let taken = batch(&store, *bucket).await?;
            moved += taken.unwrap_or(0);
            left |= taken != Some(0);
        }
    }
    Ok(moved)
}

/// One batch of a bucket; `None`: somebody else has it.
async fn batch(store: &Store, bucket: i64) -> Result<Option<usize>> {
    const LOCK: &str = "SELECT bucket FROM buckets WHERE bucket = $1 {skip locked}";
    const DUE: &str = "SELECT wake_at, id, contact, state FROM bare_timers \
        WHERE bucket = $1 AND wake_at < $2 ORDER BY wake_at, id LIMIT $3";
    const TAKE: &str =
        "DELETE FROM bare_timers WHERE bucket = $1 AND wake_at <= $2 AND (wake_at, id) <= ($3, $4)";
    const APPEND: &str = "INSERT INTO bare_history (bucket, id, contact, notes) {IIIT}";
    const QUEUE: &str = "INSERT INTO bare_outbox (bucket, id, contact, given) {IIIT}";
    let mut tx = store.write().await?;
    if tx.fetch_first(LOCK, vec![bucket.into()]).await?.is_none() {
        return Ok(None);
    }
    let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
    let due = tx.fetch(DUE, vec![bucket.into(), ROUNDS.into(), limit.into()]).await?;
    let Some(last) = due.last() else { return Ok(Some(0)) };
    let (wake_at, id) = (last.i64(0)?, last.i64(1)?);
    tx.exec(TAKE, vec![bucket.into(), wake_at.into(), wake_at.into(), id.into()]).await?;
    let (mut set, mut history, mut outbox) = (Rows::default(), Rows::default(), Rows::default());
    for (row, place) in due.iter().zip(0..) {
        let contact = row.i64(2)?;
        set.push([
            bucket.into(),
            (row.i64(0)? + 1).into(),
            row.i64(1)?.into(),
            contact.into(),
            row.text(3)?.into(),
        ]);
        history.push([bucket.into(), store.new_id().into(), contact.into(), NOTE.into()]);
        if place % 2 == 0 {
            outbox.push([bucket.into(), store.new_id().into(), contact.into(), STATE.into()]);
        }
    }
    tx.exec_rows(SET, set, &[]).await?;
    tx.exec_rows(APPEND, history, &[]).await?;
    tx.exec_rows(QUEUE, outbox, &[]).await?;
    tx.commit().await?;
    Ok(Some(due.len()))
}
