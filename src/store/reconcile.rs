//! Whether what came in is what became of it, from what is counted as it happens: cheap, so that it is looked at all the time.
//! `checkup` compares the counters with the rows themselves.

use super::{Conn, Result, Store, rejected, skew, workers};

/// What must be nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Entered, less left, less resting.
    pub enrollments: i64,
    /// Queued ever, less waiting, less sent, failed, or dropped with a reason.
    pub deliveries: i64,
}

/// What is looked at now and then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub differences: Differences,
    /// Items that could not be read, kept.
    pub rejected: i64,
    /// Processes with a leased number.
    pub workers: i64,
    /// By how much this machine is ahead of the database; 0 on SQLite, which is on it.
    pub skew_ms: i64,
}

/// All of them, as they are now.
pub async fn figures(store: &Store) -> Result<Figures> {
    let mut conn = store.read().await?;
    let figures = Figures {
        differences: differences(&mut conn).await?,
        rejected: rejected::count(&mut conn).await?,
        workers: workers::alive(&mut conn).await?,
        skew_ms: 0,
    };
    drop(conn);
    Ok(Figures { skew_ms: skew::measure(&store.core).await?, ..figures })
}

/// The sums, each read at one moment.
pub async fn differences(conn: &mut Conn) -> Result<Differences> {
    // Kinds: 0 resting, 1 entered, 2 left, 3 goals.
    const ENROLLMENTS: &str = "SELECT CAST(COALESCE(SUM( \
        CASE kind WHEN 0 THEN -count WHEN 1 THEN count WHEN 2 THEN -count ELSE 0 END), 0) AS BIGINT) FROM step_counts";
    const DELIVERIES: &str = "SELECT CAST(COALESCE((SELECT SUM( \
        CASE WHEN state = 'made' THEN count WHEN state IN ('clicked', 'unknown') THEN 0 ELSE -count END) FROM delivery_counts), \
        0) AS BIGINT) \
        - (SELECT COUNT(*) FROM deliveries WHERE state = 'unknown') \
        - (SELECT COUNT(*) FROM deliveries WHERE state = 'queued') \
        - (SELECT COUNT(*) FROM deliveries WHERE again_at IS NOT NULL) \
        - (SELECT COUNT(*) FROM deliveries WHERE batch IS NOT NULL AND settled_at IS NULL)";
    Ok(Differences {
        enrollments: conn.fetch_number(ENROLLMENTS, Vec::new()).await?,
        deliveries: conn.fetch_number(DELIVERIES, Vec::new()).await?,
    })
}
