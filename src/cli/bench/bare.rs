//! The bare batch: what the database itself does of the work of a transition, through the same driver and in the same run. The figure
//! that counts of an engine on this machine is its ratio to this one.
//!
//! Each row is taken in the order of waking from a bucket that is locked, deleted, set again later, noted in a history, and every second
//! one puts a row into an outbox: one transaction a batch, six times a row.

use std::time::Instant;

use tokio::task::JoinSet;

use super::super::{Failure, world};
use crate::store::{Arg, Conn, Dialect, Result, Rows as Batch, Store};

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
        let mut rows = Batch::with_capacity(ids.len() * 5);
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
    let (mut set, mut history, mut outbox) = (Batch::default(), Batch::default(), Batch::default());
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

/// Rows that are only inserted, into the tables and indexes where the engine has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// An event as it waits to be taken, and its message id, on SQLite as one of many in a row, and not made into a run later.
    Events,
    /// A contact with its attributes, two identities, a consent and what holds by it.
    Contacts,
}

/// What an event is as it waits, and what attributes are.
const EVENT: &str = "{\"input\":{\"Event\":{\"id\":0,\"name\":\"purchase\",\"occurred_at\":1893578400000,\"accepted_at\":1893578400000,\
    \"fields\":{\"value\":\"19.90\"},\"quiet\":false}}}";
const ATTRIBUTES: &str = "{\"email\":\"u12345@example.org\",\"vip\":true,\"first_name\":\"First12345\",\"last_name\":\"Last12345\",\
    \"city\":\"City45\",\"plan\":\"free\",\"points\":12345,\"spent\":\"345.50\",\"birthday\":\"1980-01-26\"}";

/// Inserts so many with nothing else to do, as many in one transaction as the engine puts into one; how many of them a second.
pub(super) async fn inserts_per_second(url: &str, what: Rows, count: u64) -> Result<f64, Failure> {
    let store = Store::open(url).await.map_err(world)?;
    let numbers: Vec<i64> = (0..i64::try_from(count).unwrap_or(i64::MAX)).collect();
    let begun = Instant::now();
    for numbers in numbers.chunks(BATCH) {
        let mut tx = store.write().await.map_err(world)?;
        let inserted = async {
            match what {
                Rows::Events => insert_events(&mut tx, &store, numbers).await?,
                Rows::Contacts => insert_contacts(&mut tx, &store, numbers).await?,
            }
            tx.commit().await
        };
        inserted.await.map_err(world)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    store.close().await;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let figure = count as f64 / seconds;
    Ok(figure)
}

async fn insert_events(tx: &mut Conn, store: &Store, numbers: &[i64]) -> Result<()> {
    const NOTE: &str = "INSERT INTO seen (bucket, week, hash) {IIB}";
    const NOTE_ALL: &str = "INSERT INTO seen_log (week, hashes) VALUES ($1, $2)";
    const INSERT: &str = "INSERT INTO inbox (bucket, id, contact, accepted_at, input) {IIIIT}";
    let buckets = store.settings().buckets;
    let (mut seen, mut all_seen, mut inbox) = (Batch::default(), Vec::new(), Batch::default());
    for number in numbers {
        let bucket = number % buckets;
        let hash = blake3::hash(&number.to_be_bytes());
        let hash = &hash.as_bytes()[..16];
        match store.dialect() {
            Dialect::Sqlite => all_seen.extend_from_slice(hash),
            Dialect::Postgres => seen.push([bucket.into(), Arg::I64(1), hash.to_vec().into()]),
        }
        inbox.push([bucket.into(), store.new_id().into(), (*number).into(), Arg::I64(1), EVENT.into()]);
    }
    match store.dialect() {
        Dialect::Sqlite => tx.exec(NOTE_ALL, vec![Arg::I64(1), all_seen.into()]).await?,
        Dialect::Postgres => tx.exec_rows(NOTE, seen, &[]).await?,
    };
    tx.exec_rows(INSERT, inbox, &[]).await.map(drop)
}

async fn insert_contacts(tx: &mut Conn, store: &Store, numbers: &[i64]) -> Result<()> {
    const CONTACT: &str = "INSERT INTO contacts (bucket, id, created_at, attributes) {IIIT}";
    const IDENTITY: &str = "INSERT INTO identities (kind, value, holder, bucket, contact) {ITIII}";
    const CONSENT: &str = "INSERT INTO consents (bucket, id, contact, purpose, channel, permit, at, source, evidence) {IIIIIIITT}";
    const HOLDS: &str = "INSERT INTO consent_states (bucket, contact, purpose, channel, permit, at) {IIIIII}";
    let buckets = store.settings().buckets;
    let (mut contacts, mut identities) = (Batch::default(), Batch::default());
    let (mut consents, mut states) = (Batch::default(), Batch::default());
    let one = || Arg::I64(1);
    let mut names = Vec::with_capacity(2 * numbers.len());
    for number in numbers {
        let (bucket, id) = (number % buckets, store.new_id());
        contacts.push([bucket.into(), id.into(), one(), ATTRIBUTES.into()]);
        names.push((1, format!("u{number}"), bucket, id));
        names.push((3, format!("u{number}@example.org"), bucket, id));
        let (line, none) = (store.new_id().into(), Arg::NoText);
        consents.push([bucket.into(), line, id.into(), one(), one(), one(), one(), "import".into(), none]);
        states.push([bucket.into(), id.into(), one(), one(), one(), one()]);
    }
    names.sort_unstable();
    for (kind, name, bucket, id) in names {
        identities.push([Arg::I64(kind), name.into(), Arg::I64(0), bucket.into(), id.into()]);
    }
    tx.exec_rows(CONTACT, contacts, &[]).await?;
    tx.exec_rows(IDENTITY, identities, &[]).await?;
    tx.exec_rows(CONSENT, consents, &[]).await?;
    tx.exec_rows(HOLDS, states, &[]).await.map(drop)
}
