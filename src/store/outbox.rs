//! What transitions want done in the world, written in the transaction that decided it: messages, requests, tasks.

use super::{Conn, Result, deliveries, tasks};
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
    let plain = |messages: Vec<(ContactId, _, _)>| {
        messages.into_iter().map(|(who, _, d)| (who, d)).collect::<Vec<_>>()
    };
    deliveries::insert(tx, bucket, &plain(earlier)).await?;
    let requests: Vec<_> = changed.iter().flat_map(|(who, c)| c.requests.iter().map(|r| (*who, r))).collect();
    deliveries::insert_requests(tx, bucket, &requests).await?;
    let new: Vec<_> = changed.iter().flat_map(|(who, c)| c.tasks.iter().map(|t| (*who, t))).collect();
    tasks::insert(tx, bucket, &new).await?;
    let ended: Vec<_> = changed.iter().flat_map(|(who, c)| c.cancel.iter().map(|id| (*who, *id))).collect();
    deliveries::cancel(tx, bucket, &ended, now).await?;
    deliveries::insert(tx, bucket, &plain(last)).await?;
    tasks::cancel(tx, bucket, &ended, now).await?;
    Ok(())
}
