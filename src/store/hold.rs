//! What a batch holds of its bucket while it is advanced.
//!
//! On PostgreSQL: the lock of the bucket, from the beginning. On SQLite the lock is the one connection that writes, and whoever accepts
//! events, claims or records waits for it. So there a batch is read and advanced on a connection that reads, and takes the lock only
//! when it has something to write. What it did is good if nothing that it read has changed by then; else it begins again, with the
//! lock from the beginning. That nothing has changed is known from three things, looked at when the lock is held:
//!
//! - Transactions of this process announce themselves before they commit ([`Announced`]), and say whether they concern one bucket or
//!   all ([`Reach`]): two batches of two buckets are no news to each other. Three kinds do not announce, since what they change is no
//!   fact for a batch: those that accept (rows of the inbox), claim and record (deliveries).
//! - A commit of another process changes the `data_version` of the connection that writes.
//! - The rows that were taken are deleted as the range they were read as, and must be as many.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::inbox::{self, Taken};
use super::sql::args;
use super::timers::{self, Timer};
use super::{Conn, Dialect, Error, Result, Store};
use crate::id::EnrollmentId;
use crate::time::Timestamp;

/// What a commit may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Rows of one bucket, and nothing that another bucket reads.
    Bucket(i64),
    Everything,
}

/// Buckets that share a place are news to each other, which costs time and does no harm.
const PLACES: usize = 32;

/// Commits of this process that change what a batch reads.
#[derive(Debug, Default)]
pub(super) struct Commits {
    everything: Count,
    buckets: [Count; PLACES],
    /// The `data_version` that was seen last.
    version: AtomicI64,
}

#[derive(Debug, Default)]
struct Count {
    announced: AtomicU64,
    ended: AtomicU64,
}

impl Commits {
    /// Says that a commit is about to happen; over when the result is dropped.
    pub(super) fn announce(&self, reach: Reach) -> Announced<'_> {
        let count = match reach {
            Reach::Bucket(bucket) => self.of(bucket),
            Reach::Everything => &self.everything,
        };
        count.announced.fetch_add(1, Ordering::SeqCst);
        Announced(count)
    }

    /// How many there were that concern this bucket, if none is under way.
    fn at_rest(&self, bucket: i64) -> Option<u64> {
        // Both only grow, so their sum is the same only where both are.
        Some(self.everything.at_rest()? + self.of(bucket).at_rest()?)
    }

    fn of(&self, bucket: i64) -> &Count {
        &self.buckets[usize::try_from(bucket).unwrap_or(0) % PLACES]
    }
}

impl Count {
    fn at_rest(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::SeqCst);
        (self.announced.load(Ordering::SeqCst) == ended).then_some(ended)
    }
}

/// A commit under way.
pub(super) struct Announced<'a>(&'a Count);

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// See the head of this room.
pub(super) struct Hold<'a> {
    store: &'a Store,
    bucket: i64,
    /// Reads, while there is `ahead`; then the transaction.
    conn: Conn,
    ahead: Option<Ahead>,
}

/// What has to be found unchanged.
struct Ahead {
    commits: u64,
    /// First and last row of the inbox that was taken, and how many.
    inbox: Option<(i64, i64, usize)>,
    /// The last timer that was taken, and how many.
    timers: Option<(Timestamp, EnrollmentId, usize)>,
}

impl<'a> Hold<'a> {
    /// Takes the lock; `None`: somebody else has it.
    pub(super) async fn lock(store: &'a Store, bucket: i64) -> Result<Option<Hold<'a>>> {
        let mut conn = store.write().await?;
        const LOCK: &str = "SELECT bucket FROM buckets WHERE bucket = $1 {skip locked}";
        let held = conn.fetch_first(LOCK, args![bucket]).await?.is_some();
        Ok(held.then_some(Hold { store, bucket, conn, ahead: None }))
    }

    /// Begins without the lock, where that is of use.
    pub(super) async fn ahead(store: &'a Store, bucket: i64) -> Result<Option<Hold<'a>>> {
        let commits = match store.dialect() {
            Dialect::Sqlite => store.core.commits.at_rest(bucket),
            Dialect::Postgres => None,
        };
        let Some(commits) = commits else { return Ok(None) };
        let ahead = Some(Ahead { commits, inbox: None, timers: None });
        Ok(Some(Hold { store, bucket, conn: store.read().await?, ahead }))
    }

    /// For looking.
    pub(super) fn read(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// For changing: takes the lock, if that has not happened yet. [`Error::Moved`]: what was read is no longer true.
    pub(super) async fn write(&mut self) -> Result<&mut Conn> {
        if let Some(ahead) = self.ahead.take() {
            let mut tx = self.store.write().await?;
            if !ahead.is_true(&mut tx, self.store, self.bucket).await? {
                return Err(Error::Moved);
            }
            tx.run_noted(&mut self.conn).await?;
            self.conn = tx;
        }
        Ok(&mut self.conn)
    }

    /// For changes that ask for no rows: as long as the lock is not taken they are noted down, with all their values, so that whoever
    /// waits for the lock does not wait for that too. [`Hold::write`] runs them.
    pub(super) fn note(&mut self) -> &mut Conn {
        if self.ahead.is_some() {
            self.conn.note();
        }
        &mut self.conn
    }

    /// Commits what was written.
    pub(super) async fn commit(mut self, reach: Reach) -> Result<()> {
        self.write().await?;
        self.conn.end(Some(reach)).await?.behind().await
    }

    /// Takes the oldest rows of the inbox.
    pub(super) async fn take_inbox(&mut self, limit: i64) -> Result<Vec<Taken>> {
        let Some(ahead) = &mut self.ahead else {
            return inbox::take(&mut self.conn, self.bucket, limit).await;
        };
        let taken = inbox::oldest(&mut self.conn, self.bucket, limit).await?;
        ahead.inbox = taken.first().zip(taken.last()).map(|(first, last)| (first.id, last.id, taken.len()));
        Ok(taken)
    }

    /// Takes the timers that are due, oldest first.
    pub(super) async fn take_timers(&mut self, until: Timestamp, limit: i64) -> Result<Vec<Timer>> {
        let Some(ahead) = &mut self.ahead else {
            return timers::take(&mut self.conn, self.bucket, until, limit).await;
        };
        let due = timers::due(&mut self.conn, self.bucket, until, limit).await?;
        ahead.timers = due.last().map(|last| (last.wake_at, last.id, due.len()));
        Ok(due)
    }
}

impl Ahead {
    /// Removes what was taken; false when that, or a fact, has changed since it was read.
    async fn is_true(&self, tx: &mut Conn, store: &Store, bucket: i64) -> Result<bool> {
        let commits = &store.core.commits;
        let version = tx.fetch_number("PRAGMA data_version", Vec::new()).await?;
        let known = commits.version.swap(version, Ordering::SeqCst);
        if known != version {
            // Whoever else is reading ahead in this process has to begin again too.
            drop(commits.announce(Reach::Everything));
            return Ok(false);
        }
        if commits.at_rest(bucket) != Some(self.commits) {
            return Ok(false);
        }
        if let Some((first, last, count)) = self.inbox
            && inbox::remove(tx, bucket, first, last).await? != count as u64
        {
            return Ok(false);
        }
        let Some((wake_at, id, count)) = self.timers else { return Ok(true) };
        Ok(timers::remove_until(tx, bucket, wake_at, id).await? == count as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_news_to_whom_it_reaches_alone() {
        let commits = Commits::default();
        let before = [1, 2].map(|bucket| commits.at_rest(bucket).expect("at rest"));
        let under_way = commits.announce(Reach::Bucket(1));
        assert_eq!((commits.at_rest(1), commits.at_rest(2)), (None, Some(before[1])));
        drop(under_way);
        assert!(commits.at_rest(1) > Some(before[0]));
        assert_eq!(commits.at_rest(2), Some(before[1]));
        let under_way = commits.announce(Reach::Everything);
        assert_eq!((commits.at_rest(1), commits.at_rest(2)), (None, None));
        drop(under_way);
        assert!(commits.at_rest(2) > Some(before[1]));
    }
}
