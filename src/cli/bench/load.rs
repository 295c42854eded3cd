//! The load: events over HTTP, in batches of 100 on a few connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::super::Failure;
use super::engine::Engine;

/// Items of a request, and connections.
const BATCH: u64 = 100;
const CONNECTIONS: u64 = 16;

/// When the load begins, and the moment that everybody waits for.
pub(super) const BEGINNING: &str = "2030-01-02T10:00:00Z";
/// See [`BEGINNING`].
pub(super) const SAME_MOMENT: &str = "2030-01-02T11:00:00Z";

/// Posts one event of that name for each contact.
pub(super) async fn events(engine: &Engine, name: &'static str, contacts: u64) -> Result<(), Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (next, door) = (next.clone(), engine.door());
        senders.spawn(async move {
            loop {
                let from = next.fetch_add(BATCH, Ordering::Relaxed);
                if from >= contacts {
                    return Ok(());
                }
                let items: Vec<Value> = (from..contacts.min(from + BATCH)).map(|n| item(name, n)).collect();
                door.post(&json!({ "batch": items })).await?;
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender.map_err(|error| Failure::world(format!("the load maker broke: {error}")))??;
    }
    Ok(())
}

/// One event of contact `n`.
pub(super) fn item(name: &str, n: u64) -> Value {
    let properties = match name {
        "purchase" => json!({ "value": "19.90" }),
        _ => json!({ "source": "bench" }),
    };
    json!({ "type": "track", "messageId": format!("{name}-{n}"), "userId": format!("u{n}"), "event": name, "properties": properties })
}

/// The contacts as CSV.
pub(super) fn contacts(count: u64) -> String {
    let mut csv = String::from(
        "user_id,email,vip,first_name,last_name,city,plan,points,spent,birthday,consent_marketing_email,consent_marketing_email_at\n",
    );
    for n in 0..count {
        let (vip, plan) = (n % 2 == 0, ["free", "pro", "team"][usize::try_from(n % 3).unwrap_or(0)]);
        csv.push_str(&format!(
            "u{n},u{n}@example.org,{vip},First{n},Last{n},City{c},{plan},{n},{s}.50,1980-01-{d:02},yes,2029-01-01T00:00:00Z\n",
            c = n % 100,
            s = n % 500,
            d = n % 28 + 1,
        ));
    }
    csv
}
