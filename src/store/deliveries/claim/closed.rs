//! Claiming around what may not leave now: what is paused, or has used up its rate, stays where it is in the queue.
//!
//! The statements are those of `claim` with one condition more. What is closed may be long and lie at the head of the queue, so each
//! bucket is looked at without a lock first, and the claim begins where the look has found something.

use super::Head;
use crate::engine::program::Word;
use crate::store::sql::args;
use crate::store::{Conn, Result, Rows, names};

/// Which deliveries are not to be claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Numbers of channel, purpose, journey and step; 0 stands for each of them.
    rows: Vec<[i64; 4]>,
}

/// What deliveries have in common that are not to be claimed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept<'a> {
    pub channel: Option<&'a Word>,
    pub purpose: Option<&'a Word>,
    pub journey: Option<&'a Word>,
    pub step: Option<&'a Word>,
}

/// The rows of a statement: as many as one piece holds, so that it is one statement.
const SIZES: [usize; 4] = [4, 16, 64, 256];

macro_rules! open {
    () => {
        "NOT EXISTS (SELECT 1 FROM closed WHERE closed.channel IN (0, deliveries.channel) \
            AND closed.purpose IN (0, deliveries.purpose) AND closed.journey IN (0, deliveries.journey) \
            AND closed.step IN (0, deliveries.step))"
    };
}

macro_rules! lease_open {
    ($due:literal, $at:literal) => {
        lease!(
            "closed(channel, purpose, journey, step) AS ({IIII}), ",
            concat!("bucket = $1 AND ", $due, " AND ", $at, " >= $8 AND ", $at, " <= $6 AND ", open!()),
            $at
        )
    };
}

impl Closed {
    /// Leases what is due and not closed, from the moment `$8` on: transactional messages, those to be tried again, others.
    pub(super) const LEASE: [&str; 3] = [
        lease_open!("state = 'queued' AND transactional = 1", "due_at"),
        lease_open!("again_at IS NOT NULL", "again_at"),
        lease_open!("state = 'queued' AND transactional = 0", "due_at"),
    ];

    /// Leases letters on the channel `$8` that wait and are not closed.
    pub(super) const LETTERS: &str = lease!(
        "closed(channel, purpose, journey, step) AS ({IIII}), ",
        concat!(
            "bucket = $1 AND batch = 0 AND settled_at IS NULL AND state = 'waiting' \
            AND due_at <= $6 AND channel = $8 AND ",
            open!()
        ),
        "due_at"
    );

    /// Whether everything may be claimed.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Closes one more kind of delivery. A name that was never written names none.
    pub async fn close(&mut self, conn: &mut Conn, kept: Kept<'_>) -> Result<()> {
        let mut row = [0; 4];
        let words = [kept.channel, kept.purpose, kept.journey, kept.step];
        for (number, word) in row.iter_mut().zip(words) {
            if let Some(word) = word {
                let Some(known) = names::find(conn, word).await? else { return Ok(()) };
                *number = known;
            }
        }
        if !self.rows.contains(&row) {
            self.rows.push(row);
        }
        Ok(())
    }

    /// Both together.
    pub fn and(&self, other: &Closed) -> Closed {
        let mut rows = self.rows.clone();
        rows.extend(other.rows.iter().filter(|row| !self.rows.contains(row)));
        Closed { rows }
    }

    /// Filled up with repeats. More than fit are left out: the send point knows them too.
    pub(super) fn list(&self) -> Rows {
        let size = *SIZES.iter().find(|size| **size >= self.rows.len()).unwrap_or(&256);
        let mut list = Rows::with_capacity(size * 4);
        for row in self.rows.iter().cycle().take(size) {
            list.push(row.map(Into::into));
        }
        list
    }

    /// As [`Closed::list`], with a row that closes nothing where there is none.
    pub(super) fn list_of_any(&self) -> Rows {
        if self.rows.is_empty() { Closed { rows: vec![[-1; 4]] }.list() } else { self.list() }
    }

    pub(super) async fn heads(&self, conn: &mut Conn) -> Result<(Vec<Head>, i64)> {
        const HEADS: &str = concat!(
            "WITH closed(channel, purpose, journey, step) AS ({IIII}) SELECT \
            (SELECT due_at FROM deliveries WHERE bucket = $1 AND state = 'queued' AND transactional = 1 AND ",
            open!(),
            " ORDER BY due_at LIMIT 1), \
            (SELECT due_at FROM deliveries WHERE bucket = $1 AND state = 'queued' AND transactional = 0 AND ",
            open!(),
            " ORDER BY due_at LIMIT 1), \
            (SELECT again_at FROM deliveries WHERE bucket = $1 AND again_at IS NOT NULL AND ",
            open!(),
            " ORDER BY again_at LIMIT 1), (SELECT MAX(generation) FROM deployments)"
        );
        let (mut heads, mut generation) = (Vec::new(), 0);
        for bucket in 0..conn.core.settings().buckets {
            for row in conn.fetch_rows(HEADS, self.list(), &args![bucket]).await? {
                let (transactional, other, again) = (row.opt_at(0)?, row.opt_at(1)?, row.opt_at(2)?);
                generation = row.opt_i64(3)?.unwrap_or(0);
                heads.push(Head { bucket, transactional, other, again });
            }
        }
        Ok((heads, generation))
    }
}
