//! The budgets of journeys, exact over all workers: what is spent is never more than the budget.
//!
//! Each bucket has a share of its own, so that two batches of a journey do not wait for each other. A batch takes money into its share in
//! slices, from the row of the journey, and smaller ones as less is left; what nobody has spent yet is taken back from other shares
//! before a budget counts as spent. What a batch spends is written in the transaction that queues it.

use std::collections::BTreeMap;

use super::sql::args;
use super::{Conn, Result, Rows};
use crate::engine::budget::Purse;
use crate::engine::program::{Budget, Catalog, Word};
use crate::time::Timestamp;
use crate::value::Decimal;

/// A slice of what is left is divided among all buckets, so often.
const PARTS: i64 = 4;

/// The purses of a batch.
#[derive(Debug, Default)]
pub(super) struct Purses {
    pub(super) by_journey: BTreeMap<Word, Purse>,
}

impl Purses {
    /// Purses that are never empty, for who only looks what would happen.
    pub(super) fn pretend(&mut self, wanted: BTreeMap<Word, i64>) {
        let endless = Purse { left: Decimal(i64::MAX), last: true, ..Purse::default() };
        self.by_journey.extend(wanted.into_keys().map(|journey| (journey, endless)));
    }

    /// Fills the purses, so that there is so much in each, or all that is left.
    pub(super) async fn fill(
        &mut self,
        tx: &mut Conn,
        (bucket, buckets): (i64, i64),
        wanted: BTreeMap<Word, i64>,
        catalog: &Catalog,
        now: Timestamp,
    ) -> Result<()> {
        self.write(tx, bucket, catalog, now).await?;
        // In the order of their names, so that no two transactions wait for each other.
        for (journey, wanted) in wanted {
            let Some(budget) = catalog.budgets.get(&journey) else { continue };
            let since = catalog.budget_since(&journey, now).unwrap_or_default();
            let place = Place { bucket, buckets, journey: &journey, since };
            let free = place.fill(tx, budget, wanted).await?;
            let purse = Purse { left: Decimal(free), spent: Decimal(0), last: free < wanted };
            self.by_journey.insert(journey, purse);
        }
        Ok(())
    }

    /// Writes what was spent since they were filled.
    pub(super) async fn write(
        &mut self,
        tx: &mut Conn,
        bucket: i64,
        catalog: &Catalog,
        now: Timestamp,
    ) -> Result<()> {
        const SPEND: &str = "UPDATE budget_shares SET free = free - $1, spent = spent + $1 \
            WHERE bucket = $2 AND journey = $3 AND since = $4";
        for (journey, purse) in &mut self.by_journey {
            let spent = std::mem::take(&mut purse.spent);
            if spent.0 > 0 {
                let since = catalog.budget_since(journey, now).unwrap_or_default();
                tx.exec(SPEND, args![spent.0, bucket, journey, since]).await?;
            }
        }
        Ok(())
    }
}

/// The share of a bucket.
struct Place<'a> {
    bucket: i64,
    buckets: i64,
    journey: &'a Word,
    since: Timestamp,
}

impl Place<'_> {
    /// Takes what is missing from the row of the journey; how much there is to spend then.
    async fn fill(&self, tx: &mut Conn, budget: &Budget, wanted: i64) -> Result<i64> {
        const FIRST: &str = "INSERT INTO budget_shares (bucket, journey, since, most, free, spent) \
            VALUES ($1, $2, $3, $4, 0, 0) ON CONFLICT DO NOTHING";
        const OWN: &str = "SELECT most, free FROM budget_shares \
            WHERE bucket = $1 AND journey = $2 AND since = $3 {lock}";
        const KEEP: &str = "UPDATE budget_shares SET most = $1, free = $2 \
            WHERE bucket = $3 AND journey = $4 AND since = $5";
        let most = budget.most.0;
        let own = || args![self.bucket, self.journey, self.since];
        let mut row = tx.fetch_first(OWN, own()).await?;
        if row.is_none() {
            tx.exec(FIRST, args![self.bucket, self.journey, self.since, most]).await?;
            row = tx.fetch_first(OWN, own()).await?;
        }
        let (known, free) = match &row {
            Some(row) => (row.i64(0)?, row.i64(1)?),
            None => (most, 0),
        };
        // What was taken of a budget that has been changed since goes back first.
        if free >= wanted && known == most {
            return Ok(free);
        }
        let kept = if known == most { free } else { 0 };
        let free = kept + self.take(tx, most, wanted - kept, free - kept).await?;
        tx.exec(KEEP, args![most, free, self.bucket, self.journey, self.since]).await?;
        Ok(free)
    }

    /// Gives `back` to the row of the journey, and takes a slice: what is missing, or more where there is plenty.
    async fn take(&self, tx: &mut Conn, most: i64, missing: i64, back: i64) -> Result<i64> {
        const FIRST: &str =
            "INSERT INTO budgets (journey, since, taken) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";
        const TAKEN: &str = "SELECT taken FROM budgets WHERE journey = $1 AND since = $2 {lock}";
        const TAKE: &str = "UPDATE budgets SET taken = $1 WHERE journey = $2 AND since = $3";
        let mut row = tx.fetch_first(TAKEN, args![self.journey, self.since]).await?;
        if row.is_none() {
            tx.exec(FIRST, args![self.journey, self.since]).await?;
            row = tx.fetch_first(TAKEN, args![self.journey, self.since]).await?;
        }
        let mut taken = row.map_or(Ok(0), |row| row.i64(0))? - back;
        if most - taken < missing {
            taken -= self.collect(tx).await?;
        }
        let left = (most - taken).max(0);
        let slice = missing.max(left / (PARTS * self.buckets.max(1))).min(left);
        tx.exec(TAKE, args![taken + slice, self.journey, self.since]).await?;
        Ok(slice)
    }

    /// Takes back what other buckets have not spent; how much it is. What a batch has in hand in this moment stays with it.
    async fn collect(&self, tx: &mut Conn) -> Result<i64> {
        const OTHERS: &str = "SELECT bucket, free FROM budget_shares \
            WHERE journey = $1 AND since = $2 AND free > 0 AND bucket <> $3 {skip locked}";
        const EMPTY: &str = "WITH n(bucket) AS ({I}) UPDATE budget_shares SET free = 0 FROM n \
            WHERE budget_shares.bucket = n.bucket AND budget_shares.journey = $1 AND budget_shares.since = $2";
        let (mut rows, mut free) = (Rows::default(), 0);
        for row in &tx.fetch(OTHERS, args![self.journey, self.since, self.bucket]).await? {
            rows.push([row.i64(0)?.into()]);
            free += row.i64(1)?;
        }
        tx.exec_rows(EMPTY, rows, &args![self.journey, self.since]).await?;
        Ok(free)
    }
}

/// What was spent of the budget of each journey that has one, in the window of that moment.
pub(super) async fn spent(
    conn: &mut Conn,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<BTreeMap<Word, Decimal>> {
    const SPENT: &str = "SELECT CAST(COALESCE(SUM(spent), 0) AS BIGINT) FROM budget_shares \
        WHERE journey = $1 AND since = $2";
    let mut all = BTreeMap::new();
    for journey in catalog.budgets.keys() {
        let since = catalog.budget_since(journey, now).unwrap_or_default();
        let spent = conn.fetch_number(SPENT, args![journey, since]).await?;
        all.insert(journey.clone(), Decimal(spent));
    }
    Ok(all)
}
