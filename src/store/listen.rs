//! Hearing what other processes have put into a PostgreSQL database, so that its loops need not wait for their next look.
//!
//! Only a hint: a word that is lost costs a few seconds, since each loop looks by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use super::dialect::Pools;
use super::{Core, Result, Store};

/// What [`super::Conn::hint_due`] calls.
pub(super) const DUE: &str = "fahrplan_due";

/// Buckets that a word names; one with more to name names all.
const NAMED: usize = 500;

/// The pause after the connection was lost.
const PAUSE: Duration = Duration::from_secs(1);

/// Wakes the loops of this process whenever another one has committed something for them, until stopped. On SQLite there is nobody to
/// listen to but commands, whose words are found at the next look.
pub async fn run(store: Store, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let lost = tokio::select! {
            () = stop.cancelled() => return,
            lost = listen(&store) => lost,
        };
        match lost {
            Ok(()) => return stop.cancelled().await,
            Err(error) => tracing::debug!(%error, "nobody listens to the database; again in a moment"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Listens until the connection breaks; returns at once where there is nothing to listen to.
async fn listen(store: &Store) -> Result<()> {
    let Pools::Postgres(pool) = &store.core.pools else { return Ok(()) };
    // A connection of its own: it is held for ever, and the others are counted.
    let options = PoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let own = options.connect_lazy_with((*pool.connect_options()).clone());
    let mut listener = PgListener::connect_with(&own).await?;
    listener.eager_reconnect(false);
    listener.listen(DUE).await?;
    // Something may have come while nobody listened.
    store.wake();
    while let Some(word) = listener.try_recv().await? {
        hear(&store.core, word.payload());
    }
    Err(sqlx::Error::WorkerCrashed.into())
}

/// What a process says: its number, and the buckets that may have something to do; none for all.
pub(super) fn word(worker: i64, buckets: &BTreeSet<i64>) -> String {
    let mut word = worker.to_string();
    for bucket in buckets.iter().filter(|_| buckets.len() <= NAMED) {
        word.push_str(&format!(" {bucket}"));
    }
    word
}

fn hear(core: &Core, word: &str) {
    let mut numbers = word.split(' ').map(str::parse);
    // Our own words come back to us. What cannot be read may concern every bucket.
    match numbers.next() {
        Some(Ok(worker)) if worker == core.worker() => return,
        _ => {}
    }
    match numbers.collect::<std::result::Result<Vec<i64>, _>>() {
        Ok(buckets) if !buckets.is_empty() => core.wake_buckets(buckets),
        _ => core.wake_due(),
    }
}
