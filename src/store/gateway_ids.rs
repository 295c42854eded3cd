//! The names that gateways have for messages of ours: they report by them, and know ours not.
//!
//! Noted as soon as a gateway has said it, before the message counts as sent, so that no report comes too early.

use super::sql::args;
use super::{Conn, Result, Store};
use crate::engine::program::Word;
use crate::id::DeliveryId;
use crate::time::{DAY, Timestamp};

/// Reports come within days.
const KEPT_FOR: i64 = 60 * DAY;

/// Two gateways may give the same name.
fn name(channel: &str, id: &str) -> String {
    format!("{channel} {id}")
}

/// Notes the name that the gateway of a channel has for a message; the first stays.
pub async fn note(
    store: &Store,
    channel: &str,
    id: &str,
    delivery: DeliveryId,
    now: Timestamp,
) -> Result<()> {
    const NOTE: &str =
        "INSERT INTO gateway_ids (name, delivery, noted_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let mut tx = store.write().await?;
    tx.exec(NOTE, args![name(channel, id), delivery, now]).await?;
    tx.commit_unannounced().await
}

/// The message that the gateway of one of these channels calls so.
pub async fn find(conn: &mut Conn, channels: &[Word], id: &str) -> Result<Option<DeliveryId>> {
    const FIND: &str = "SELECT delivery FROM gateway_ids WHERE name = $1";
    for channel in channels {
        if let Some(row) = conn.fetch_first(FIND, args![name(channel, id)]).await? {
            return Ok(Some(DeliveryId(row.i64(0)?)));
        }
    }
    Ok(None)
}

/// Forgets what is old; for upkeep.
pub async fn forget(store: &Store, now: Timestamp) -> Result<()> {
    const OLD: &str = "DELETE FROM gateway_ids WHERE noted_at < $1";
    let mut tx = store.write().await?;
    tx.exec(OLD, args![now.plus_ms(-KEPT_FOR)]).await?;
    tx.commit_unannounced().await
}
