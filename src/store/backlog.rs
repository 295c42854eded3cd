//! What is left to do at this moment, cheaply: for `/metrics`, readiness and rehearsals.

use super::sql::args;
use super::{Conn, Result, deliveries, inbox, timers};
use crate::time::Timestamp;

/// How much waits where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Accepted and not yet taken.
    pub inbox: i64,
    /// Timers that are due.
    pub due: i64,
    /// Deliveries that may leave.
    pub queued: i64,
    /// Deliveries on their way, or to be tried again.
    pub leased: i64,
    /// When something falls due next; `None`: never.
    pub next_due: Option<Timestamp>,
    /// When the next timer does, and when the next message may leave.
    pub next_timer: Option<Timestamp>,
    pub next_message: Option<Timestamp>,
}

/// Counts it at that moment of the journey clock.
pub async fn backlog(conn: &mut Conn, now: Timestamp) -> Result<Backlog> {
    const QUEUED: &str =
        "SELECT COUNT(*) FROM deliveries WHERE bucket = $1 AND state = 'queued' AND due_at <= $2";
    const LEASED: &str = "SELECT COUNT(*) FROM deliveries WHERE bucket = $1 AND again_at IS NOT NULL";
    let mut backlog = Backlog::default();
    let mut next = Timestamp::NEVER;
    for bucket in 0..conn.core.settings().buckets {
        backlog.inbox += inbox::waiting(conn, bucket).await?;
        backlog.due += timers::count_due(conn, bucket, now).await?;
        backlog.queued += conn.fetch_number(QUEUED, args![bucket, now]).await?;
        backlog.leased += conn.fetch_number(LEASED, args![bucket]).await?;
        next = next.min(timers::next_due(conn, bucket).await?);
    }
    backlog.next_timer = (next != Timestamp::NEVER).then_some(next);
    backlog.next_message = deliveries::next(conn).await?.due_at;
    next = next.min(backlog.next_message.unwrap_or(Timestamp::NEVER));
    backlog.next_due = (next != Timestamp::NEVER).then_some(next);
    Ok(backlog)
}

/// Whether nothing is left to do at that moment, found without counting.
pub async fn is_idle(conn: &mut Conn, now: Timestamp) -> Result<bool> {
    const BUSY: &str = "WITH n(bucket) AS ({I}) SELECT n.bucket FROM n WHERE \
        EXISTS (SELECT 1 FROM inbox WHERE inbox.bucket = n.bucket) \
        OR EXISTS (SELECT 1 FROM timers WHERE timers.bucket = n.bucket AND timers.wake_at <= $1) \
        OR EXISTS (SELECT 1 FROM deliveries WHERE deliveries.bucket = n.bucket AND state = 'queued' AND due_at <= $2) \
        OR EXISTS (SELECT 1 FROM deliveries WHERE deliveries.bucket = n.bucket AND again_at IS NOT NULL) \
        OR EXISTS (SELECT 1 FROM tasks WHERE tasks.bucket = n.bucket AND state = 'open' AND due_at <= $3) \
        OR EXISTS (SELECT 1 FROM jobs WHERE jobs.bucket = n.bucket AND ended_at IS NULL) LIMIT 1";
    let rows = conn.all_buckets();
    Ok(conn.fetch_rows(BUSY, rows, &args![now, now, now]).await?.is_empty())
}
