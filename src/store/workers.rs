//! Worker numbers: each process that opens the database leases one, and makes its ids with it.
//!
//! The number whose lease ended longest ago is taken, so a number comes back only after about a thousand openings; ids of two
//! holders cannot meet even when a clock was set back meanwhile. The lease is renewed in the background.
//!
//! A process that was frozen for longer than its lease may find its number with another one. Until it has renewed the lease, or leased
//! another number, none of its transactions commits: [`Error::Lapsed`] is passing, and what failed is done again with new ids.
//!
//! Leases end by the database's clock, so all workers agree on which of them are dead: what those had under way is let go, see
//! [`super::deliveries::release_of_the_dead`].

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::sql::args;
use super::{Conn, Core, Dialect, Error, Result, Store, skew};
use crate::clock::machine_now;
use crate::time::{SECOND, Timestamp};

/// How long a lease lasts.
pub(super) const LEASE_MS: i64 = 60 * SECOND;
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(20);
/// A renewal that comes later than this after the one before was held up.
const LATE: Duration = Duration::from_secs(25);
/// For how long one's own renewals have to have been on time before others may be taken for dead: all that live renew once meanwhile.
const STEADY: Duration = Duration::from_secs(30);
/// The pause after a renewal that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How long giving a number back may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// For how long a lease has to be over until its holder counts as dead: longer than the clocks of two workers may differ.
const DEAD_MS: i64 = 2 * skew::BOUND_MS;

/// Numbers that the ids have room for.
const NUMBERS: i64 = 1_024;

/// What the process knows of its lease.
#[derive(Debug)]
pub(super) struct Lease {
    /// On this machine's clock.
    until: AtomicI64,
    /// The same moment as the database has it.
    stored: AtomicI64,
    /// Counts the terms of this process, each of one number and without a gap: an id belongs to the one under which its transaction
    /// began.
    number: AtomicU64,
    wanted: Notify,
    pace: Mutex<Pace>,
    pub(super) skew: skew::Watch,
}

/// When the lease was renewed last, and since when no renewal has been late.
#[derive(Clone, Copy, Debug)]
struct Pace {
    last: Instant,
    since: Instant,
}

impl Default for Lease {
    /// Who only looks makes no ids, and needs no lease.
    fn default() -> Lease {
        Lease {
            until: AtomicI64::new(i64::MAX),
            stored: AtomicI64::new(i64::MAX),
            number: AtomicU64::new(0),
            wanted: Notify::new(),
            pace: Mutex::new(Pace { last: Instant::now(), since: Instant::now() }),
            skew: skew::Watch::default(),
        }
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

    /// The same, with the reason if they may not.
    pub(super) fn check(&self, begun: u64) -> Result<()> {
        if let Some(ahead_ms) = self.skew.error() {
            self.wanted.notify_one();
            return Err(Error::Clock { ahead_ms });
        }
        if self.is_good(begun) { Ok(()) } else { Err(Error::Lapsed) }
    }

    /// Has the lease renewed now, and the clock measured.
    pub(super) fn ask_for_renewal(&self) {
        self.wanted.notify_one();
    }

    fn took(&self, until: i64, stored: i64) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *pace = Pace { last: now, since: if now - pace.last > LATE { now } else { pace.since } };
        drop(pace);
        self.stored.store(stored, Ordering::SeqCst);
        self.until.store(until, Ordering::SeqCst);
    }
}

impl Store {
    /// The term of this process: it ends when its lease is over, renewed or not.
    pub fn term(&self) -> u64 {
        self.core.lease.begin()
    }

    /// Whether this process has reached the database all the time for a while now.
    pub fn has_kept_its_lease(&self) -> bool {
        let pace = *self.core.lease.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.last.elapsed() <= LATE && pace.since.elapsed() >= STEADY
    }

    /// Whether that term still runs. Afterwards others may have let go of what was ours.
    pub fn is_in_term(&self, term: u64) -> bool {
        // A simulation has a clock of its own, which the lease does not know.
        self.core.boundary.is_some() || self.core.lease.check(term).is_ok()
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
    let place = place();
    loop {
        let ahead = skew::measure(core).await?;
        let until = machine_now().0 + LEASE_MS;
        let (stored, now) = (until - ahead, until - LEASE_MS - ahead);
        let mut tx = core.write_unleased().await?;
        const UNUSED: &str = "SELECT COALESCE(MAX(worker), -1) + 1 FROM workers";
        let next = tx.fetch_number(UNUSED, Vec::new()).await?;
        let worker = if next < NUMBERS {
            const TAKE: &str = "INSERT INTO workers (worker, leased_until, place, ahead_ms) VALUES ($1, $2, $3, $4) \
                ON CONFLICT DO NOTHING";
            let taken = tx.exec(TAKE, args![next, stored, place.as_str(), ahead]).await?;
            (taken == 1).then_some(next)
        } else {
            const OLDEST: &str = "UPDATE workers SET leased_until = $1, place = $3, ahead_ms = $4 WHERE worker = ( \
                SELECT worker FROM workers WHERE leased_until < $2 ORDER BY leased_until LIMIT 1 {skip locked} \
                ) RETURNING worker";
            let row = tx.fetch_first(OLDEST, args![stored, now, place.as_str(), ahead]).await?;
            row.map(|row| row.i64(0)).transpose()?
        };
        tx.commit_unannounced().await?;
        match worker {
            Some(worker) => {
                let number = u16::try_from(worker).expect("below 1,024");
                core.ids.lock().expect("nothing panics while holding it").renumber(number);
                core.lease.number.fetch_add(1, Ordering::SeqCst);
                core.lease.took(until, stored);
                return Ok(());
            }
            // Somebody took the same new number in the same moment: the next one then, unless all are leased.
            None if next < NUMBERS => {}
            None => return Err(Error::NoWorkerFree),
        }
    }
}

/// This process, for people: machine and process number.
fn place() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), std::process::id())
}

/// Gives the number back, so that this process counts as gone from now on. It may fail: the lease ends by itself.
pub(super) async fn give_back(core: &Arc<Core>) {
    let stored = core.lease.stored.load(Ordering::SeqCst);
    if stored == i64::MAX {
        return;
    }
    let giving = async {
        const GIVE: &str = "UPDATE workers SET leased_until = $1 WHERE worker = $2 AND leased_until = $3";
        let mut tx = core.write_unleased().await?;
        tx.exec(GIVE, args![core.lease.skew.there(), core.worker(), stored]).await?;
        tx.commit_unannounced().await
    };
    if let Ok(Err(error)) = tokio::time::timeout(GOODBYE, giving).await {
        tracing::debug!(%error, "the worker number was not given back");
    }
}

/// Renews the lease until the store is gone: now and then, and when a transaction has found it over.
async fn keep(core: Weak<Core>, lease: Arc<Lease>) {
    loop {
        // A disk that was full is believed to have room when a write works a while after the last that did not.
        let is_full = core.upgrade().is_some_and(|core| core.room.is_full());
        tokio::select! {
            () = tokio::time::sleep(if is_full { PAUSE } else { RENEWAL }) => {}
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
    let ahead = skew::measure(core).await?;
    let mine = core.lease.stored.load(Ordering::SeqCst);
    let until = machine_now().0 + LEASE_MS;
    let mut tx = core.write_unleased().await?;
    const RENEW: &str =
        "UPDATE workers SET leased_until = $1, ahead_ms = $2 WHERE worker = $3 AND leased_until = $4";
    let renewed = tx.exec(RENEW, args![until - ahead, ahead, core.worker(), mine]).await?;
    tx.commit_unannounced().await?;
    if renewed == 1 {
        // Whoever was dead for others begins a new term.
        if until - ahead - LEASE_MS > mine {
            core.lease.number.fetch_add(1, Ordering::SeqCst);
        }
        core.lease.took(until, until - ahead);
        return Ok(());
    }
    tracing::warn!(worker = core.worker(), "the worker number went to another process; taking a new one");
    take(core).await
}

/// How many processes hold a number now.
pub(super) async fn alive(conn: &mut Conn) -> Result<i64> {
    let now = skew::micros(conn).await? / 1_000;
    const ALIVE: &str = "SELECT COUNT(*) FROM workers WHERE leased_until > $1";
    conn.fetch_number(ALIVE, args![now]).await
}

/// A process with a number, as people look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    pub number: i64,
    /// The machine and the process; nothing where an older program took it.
    pub place: String,
    /// By the database's clock.
    pub leased_until: Timestamp,
    /// By how many milliseconds its clock was ahead of the database's.
    pub ahead_ms: i64,
}

/// All that hold a number or once did.
pub(super) async fn all(conn: &mut Conn) -> Result<Vec<Worker>> {
    const ALL: &str = "SELECT worker, place, leased_until, ahead_ms FROM workers ORDER BY worker";
    let rows = conn.fetch(ALL, Vec::new()).await?;
    let read = |row: &super::Row| {
        let (number, place) = (row.i64(0)?, row.text(1)?.to_owned());
        Ok(Worker { number, place, leased_until: row.at(2)?, ahead_ms: row.i64(3)? })
    };
    rows.iter().map(read).collect()
}

/// Those of others that died since that moment of the database's clock: number, and when the lease ended. On SQLite nobody is looked
/// for, since there is one daemon.
pub(super) async fn dead(store: &Store, within_ms: i64) -> Result<Vec<(i64, i64)>> {
    if store.dialect() == Dialect::Sqlite {
        return Ok(Vec::new());
    }
    let mut conn = store.read().await?;
    let now = skew::micros(&mut conn).await? / 1_000;
    const DEAD: &str =
        "SELECT worker, leased_until FROM workers WHERE leased_until BETWEEN $1 AND $2 AND worker <> $3";
    let rows = conn.fetch(DEAD, args![now - within_ms, now - DEAD_MS, store.worker()]).await?;
    rows.iter().map(|row| Ok((row.i64(0)?, row.i64(1)?))).collect()
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
        store.core.lease.took(over, over);
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
        let (number, term) = (store.worker(), store.term());
        assert!(store.is_in_term(term));
        assert!(matches!(thaw(&store, false).await, Err(Error::Lapsed)));
        until_it_commits(&store).await;
        assert_eq!(store.worker(), number);
        assert!(!store.is_in_term(term), "others may have let go of what it had");
    }

    #[tokio::test]
    async fn a_process_that_has_ended_counts_no_more() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("test.db").display());
        let (stays, goes) =
            (Store::open(&url).await.expect("opened"), Store::open(&url).await.expect("opened"));
        let alive = async || alive(&mut stays.read().await.expect("a connection")).await.expect("counted");
        assert_eq!(alive().await, 2);
        goes.close().await;
        assert_eq!(alive().await, 1);
    }
}
