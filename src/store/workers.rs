//! Worker numbers: each process that opens the database leases one, and makes its ids with it.
//!
//! The number whose lease ended longest ago is taken, so a number comes back only after about a thousand openings; ids of two
//! holders cannot meet even when a clock was set back meanwhile. The lease is renewed in the background.
//!
//! A process that was frozen for longer than its lease may find its number with another one. Until it has renewed the lease, or leased
//! another number, none of its transactions commits: [`Error::Lapsed`] is passing, and what failed is done again with new ids.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::sql::args;
use super::{Conn, Core, Error, Result};
use crate::clock::machine_now;
use crate::time::{SECOND, Timestamp};

/// How long a lease lasts.
pub(super) const LEASE_MS: i64 = 60 * SECOND;
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(20);
/// The pause after a renewal that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Numbers that the ids have room for.
const NUMBERS: i64 = 1_024;

/// What the process knows of its lease.
#[derive(Debug)]
pub(super) struct Lease {
    until: AtomicI64,
    /// Counts the numbers that this process has had: an id belongs to the one under which its transaction began.
    number: AtomicU64,
    wanted: Notify,
}

impl Default for Lease {
    /// Who only looks makes no ids, and needs no lease.
    fn default() -> Lease {
        Lease { until: AtomicI64::new(i64::MAX), number: AtomicU64::new(0), wanted: Notify::new() }
    }
}

impl Lease {
    /// For a transaction that begins now.
    pub(super) fn begin(&self) -> u64 {
        self.number.load(Ordering::SeqCst)
    }

    /// Whether ids that a transaction has made since it began may be written.
    pub(super) fn is_good(&self, begun: u64) -> bool {
        let holds = machine_now().0 <= self.until.load(Ordering::SeqCst);
        if !holds {
            self.wanted.notify_one();
        }
        holds && self.number.load(Ordering::SeqCst) == begun
    }
}

/// Leases a number and keeps the lease while the store lives.
pub(super) async fn lease(core: &Arc<Core>) -> Result<()> {
    take(core).await?;
    tokio::spawn(keep(Arc::downgrade(core), core.lease.clone()));
    Ok(())
}

/// Leases a number.
async fn take(core: &Arc<Core>) -> Result<()> {
    loop {
        let now = machine_now();
        let until = now.0 + LEASE_MS;
        let mut tx = core.write_unleased().await?;
        const UNUSED: &str = "SELECT COALESCE(MAX(worker), -1) + 1 FROM workers";
        let next = tx.fetch_number(UNUSED, Vec::new()).await?;
        let worker = if next < NUMBERS {
            const TAKE: &str =
                "INSERT INTO workers (worker, leased_until) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            let taken = tx.exec(TAKE, args![next, until]).await?;
            (taken == 1).then_some(next)
        } else {
            const OLDEST: &str = "UPDATE workers SET leased_until = $1 WHERE worker = ( \
                SELECT worker FROM workers WHERE leased_until < $2 ORDER BY leased_until LIMIT 1 {skip locked} \
                ) RETURNING worker";
            let row = tx.fetch_first(OLDEST, args![until, now]).await?;
            row.map(|row| row.i64(0)).transpose()?
        };
        tx.commit_unannounced().await?;
        match worker {
            Some(worker) => {
                let number = u16::try_from(worker).expect("below 1,024");
                core.ids.lock().expect("nothing panics while holding it").renumber(number);
                core.lease.number.fetch_add(1, Ordering::SeqCst);
                core.lease.until.store(until, Ordering::SeqCst);
                return Ok(());
            }
            // Somebody took the same new number in the same moment: the next one then, unless all are leased.
            None if next < NUMBERS => {}
            None => return Err(Error::NoWorkerFree),
        }
    }
}

/// Renews the lease until the store is gone: now and then, and when a transaction has found it over.
async fn keep(core: Weak<Core>, lease: Arc<Lease>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(RENEWAL) => {}
            () = lease.wanted.notified() => {}
        }
        loop {
            let Some(core) = core.upgrade() else { return };
            let Err(error) = renew(&core).await else { break };
            tracing::warn!(worker = core.worker(), %error, "the lease of the worker number was not renewed");
            drop(core);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Renews the lease, or takes another number when this one has gone to somebody else.
async fn renew(core: &Arc<Core>) -> Result<()> {
    let (mine, until) = (core.lease.until.load(Ordering::SeqCst), machine_now().0 + LEASE_MS);
    let mut tx = core.write_unleased().await?;
    const RENEW: &str = "UPDATE workers SET leased_until = $1 WHERE worker = $2 AND leased_until = $3";
    let renewed = tx.exec(RENEW, args![until, core.worker(), mine]).await?;
    tx.commit_unannounced().await?;
    if renewed == 1 {
        core.lease.until.store(until, Ordering::SeqCst);
        return Ok(());
    }
    tracing::warn!(worker = core.worker(), "the worker number went to another process; taking a new one");
    take(core).await
}

/// How many processes hold a number at that moment.
pub(super) async fn alive(conn: &mut Conn, now: Timestamp) -> Result<i64> {
    const ALIVE: &str = "SELECT COUNT(*) FROM workers WHERE leased_until > $1";
    conn.fetch_number(ALIVE, args![now]).await
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    async fn commit(store: &Store) -> Result<()> {
        let mut tx = store.write().await?;
        tx.exec("INSERT INTO names (id, name) VALUES (7, 'x') ON CONFLICT DO NOTHING", Vec::new()).await?;
        tx.commit().await
    }

    /// What a process finds that was frozen until its lease was over, and `taken` by another one meanwhile.
    async fn thaw(store: &Store, taken: bool) -> Result<()> {
        let over = machine_now().0 - 1;
        let stored = if taken { over + LEASE_MS } else { over };
        let mut tx = store.core.write_unleased().await?;
        const STORED: &str = "UPDATE workers SET leased_until = $1 WHERE worker = $2";
        assert_eq!(tx.exec(STORED, args![stored, store.worker()]).await?, 1);
        tx.commit_unannounced().await?;
        store.core.lease.until.store(over, Ordering::SeqCst);
        commit(store).await
    }

    async fn until_it_commits(store: &Store) {
        for _ in 0..500 {
            match commit(store).await {
                Ok(()) => return,
                Err(error) => assert!(error.is_passing(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it never commits again");
    }

    #[tokio::test]
    async fn a_process_whose_number_went_to_another_one_takes_a_new_one_before_it_writes() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("test.db").display());
        let store = Store::open(&url).await.expect("opened");
        commit(&store).await.expect("committed");
        let (number, last) = (store.worker(), store.new_id());

        let refused = thaw(&store, true).await.expect_err("ids of this number are another one's by now");
        assert!(matches!(refused, Error::Lapsed) && refused.is_passing(), "{refused}");
        until_it_commits(&store).await;
        assert_ne!(store.worker(), number);
        assert!(store.new_id() >> 22 >= last >> 22, "ids still grow with time");
    }

    #[tokio::test]
    async fn a_process_that_was_frozen_goes_on_with_its_number_if_nobody_took_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("test.db").display());
        let store = Store::open(&url).await.expect("opened");
        commit(&store).await.expect("committed");
        let number = store.worker();
        assert!(matches!(thaw(&store, false).await, Err(Error::Lapsed)));
        until_it_commits(&store).await;
        assert_eq!(store.worker(), number);
    }
}
