//! What transitions want done in the world, written in the transaction that decided it: messages, requests, codes, tasks.

use super::{Conn, Result, deliveries, pools, tasks};
use crate::engine::world::Changes;
use crate::id::ContactId;
use crate::time::Timestamp;

/// Queues what is new, and cancels what enrollments that were cut off still have in the queue: but not what the very input that cut
/// them off has sent, since a last message is meant to go out.
pub(super) async fn write(
    tx: &mut Conn,
    bucket: i64,
    changed: &[(ContactId, Changes)],
    now: Timestamp,
) -> Result<()> {
    let messages = changed.iter().flat_map(|(who, c)| c.deliveries.iter().map(move |d| (*who, c, d)));
    let (last, earlier): (Vec<_>, Vec<_>) =
        messages.partition(|(_, changes, delivery)| changes.kept.contains(&delivery.id));
    deliveries::insert(tx, bucket, &plain(earlier)).await?;
    let requests = changed.iter().flat_map(|(who, c)| c.requests.iter().map(move |r| (*who, c, r)));
    let (takes, requests): (Vec<_>, Vec<_>) = requests.partition(|(_, _, request)| request.pool().is_some());
    // Nobody takes a code into a journey that they leave.
    let stays = takes.into_iter().filter(|(_, changes, take)| !changes.cancel.contains(&take.enrollment));
    pools::take(tx, &plain(stays.collect()), now).await?;
    deliveries::insert_requests(tx, bucket, &plain(requests)).await?;
    let new: Vec<_> = changed.iter().flat_map(|(who, c)| c.tasks.iter().map(|t| (*who, t))).collect();
    tasks::insert(tx, bucket, &new).await?;
    let ended: Vec<_> = changed.iter().flat_map(|(who, c)| c.cancel.iter().map(|id| (*who, *id))).collect();
    deliveries::cancel(tx, bucket, &ended, now).await?;
    deliveries::insert(tx, bucket, &plain(last)).await?;
    tasks::cancel(tx, bucket, &ended, now).await?;
    Ok(())
}

fn plain<'a, T>(owed: Vec<(ContactId, &'a Changes, &'a T)>) -> Vec<(ContactId, &'a T)> {
    owed.into_iter().map(|(who, _, one)| (who, one)).collect()
}
