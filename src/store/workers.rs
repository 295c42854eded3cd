//! Worker numbers: each process that opens the database leases one, and makes its ids with it.
//!
//! The number whose lease ended longest ago is taken, so a number comes back only after about a thousand openings; ids of two
//! holders cannot meet even when a clock was set back meanwhile. The lease is renewed in the background.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::sql::args;
use super::{Core, Error, Result};
use crate::clock::machine_now;
use crate::id::Ids;
use crate::time::SECOND;

/// How long a lease lasts, in milliseconds, and how often it is renewed.
const LEASE_MS: i64 = 60 * SECOND;
const RENEWAL: Duration = Duration::from_secs(20);

/// Numbers that the ids have room for.
const NUMBERS: i64 = 1_024;

/// Leases a number and keeps the lease while the store lives.
pub(super) async fn lease(core: &Arc<Core>) -> Result<()> {
    let now = machine_now();
    let mut tx = core.write().await?;
    const UNUSED: &str = "SELECT COALESCE(MAX(worker), -1) + 1 FROM workers";
    let next = tx.fetch_first(UNUSED, Vec::new()).await?.map_or(Ok(0), |row| row.i64(0))?;
    let worker = if next < NUMBERS {
        const TAKE: &str =
            "INSERT INTO workers (worker, leased_until) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let taken = tx.exec(TAKE, args![next, now.0 + LEASE_MS]).await?;
        (taken == 1).then_some(next)
    } else {
        const OLDEST: &str = "UPDATE workers SET leased_until = $1 WHERE worker = ( \
            SELECT worker FROM workers WHERE leased_until < $2 ORDER BY leased_until LIMIT 1 {skip locked} \
            ) RETURNING worker";
        let row = tx.fetch_first(OLDEST, args![now.0 + LEASE_MS, now]).await?;
        row.map(|row| row.i64(0)).transpose()?
    };
    tx.commit().await?;
    let Some(worker) = worker else {
        // Somebody took the same new number in the same moment: the next one then, unless all are leased.
        return if next < NUMBERS { Box::pin(lease(core)).await } else { Err(Error::NoWorkerFree) };
    };
    let number = u16::try_from(worker).expect("below 1,024");
    *core.ids.lock().expect("nothing panics while holding it") = Ids::new(number);
    tokio::spawn(keep(Arc::downgrade(core), worker));
    Ok(())
}

/// Renews the lease until the store is gone.
async fn keep(core: Weak<Core>, worker: i64) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let Some(core) = core.upgrade() else { return };
        if let Err(error) = renew(&core, worker).await {
            tracing::warn!(worker, %error, "the lease of the worker number was not renewed");
        }
    }
}

async fn renew(core: &Arc<Core>, worker: i64) -> Result<()> {
    let mut tx = core.write().await?;
    const RENEW: &str = "UPDATE workers SET leased_until = $1 WHERE worker = $2";
    tx.exec(RENEW, args![machine_now().0 + LEASE_MS, worker]).await?;
    tx.commit_unannounced().await
}
