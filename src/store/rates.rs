//! The rates of policies, shared by all workers: each takes a slice of moments from the row of its rule, and what it takes nobody else
//! gets. A worker that dies takes its slice along, so a crash may lose some of a rate and never exceeds it.

use std::time::Duration;

use tokio::time::Instant;

use super::sql::args;
use super::{Result, Store, skew};
use crate::engine::pace::{Pace, Slice};

/// A slice, and where its moments lie on the clock of this process.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    pub slice: Slice,
    /// By the database's clock, some time between the two instants.
    asked: i64,
    before: Instant,
    after: Instant,
}

impl Lease {
    /// From when on that moment has come for sure, and until when its grace lasts for sure.
    pub fn span(&self, moment: i64, pace: Pace) -> (Instant, Instant) {
        let away = |moment: i64| {
            let micros = u64::try_from((moment - self.asked).max(0)).unwrap_or(0);
            Duration::from_micros(micros)
        };
        (self.after + away(moment), self.before + away(moment + pace.grace))
    }
}

/// Takes the next moments of a rule, at most so many.
pub async fn lease(store: &Store, rule: &str, pace: Pace, most: i64) -> Result<Lease> {
    const FIRST: &str = "INSERT INTO rates (rule, next_at) VALUES ($1, 0) ON CONFLICT DO NOTHING";
    const NEXT: &str = "SELECT next_at FROM rates WHERE rule = $1 {lock}";
    const TAKE: &str = "UPDATE rates SET next_at = $1 WHERE rule = $2";
    let mut tx = store.write().await?;
    let mut row = tx.fetch_first(NEXT, args![rule]).await?;
    if row.is_none() {
        tx.exec(FIRST, args![rule]).await?;
        row = tx.fetch_first(NEXT, args![rule]).await?;
    }
    let next = row.map_or(Ok(0), |row| row.i64(0))?;
    // Behind the lock: who waited for it must not count from before.
    let before = Instant::now();
    let asked = skew::micros(&mut tx).await?;
    let after = Instant::now();
    let slice = pace.slice(next, asked, most);
    tx.exec(TAKE, args![slice.next, rule]).await?;
    tx.commit_unannounced().await?;
    Ok(Lease { slice, asked, before, after })
}

/// Gives the end of a slice back, unless somebody has taken the next one meanwhile.
pub async fn give_back(store: &Store, rule: &str, slice: Slice, from: i64) -> Result<()> {
    const GIVE_BACK: &str = "UPDATE rates SET next_at = $1 WHERE rule = $2 AND next_at = $3";
    let mut tx = store.write().await?;
    tx.exec(GIVE_BACK, args![from, rule, slice.next]).await?;
    tx.commit_unannounced().await
}
