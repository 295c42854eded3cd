//! The load: events over HTTP, in batches of 100 on a few connections.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::Failure;
use super::engine::Engine;

/// Items of a request, and connections.
pub(super) const BATCH: u64 = 100;
const CONNECTIONS: u64 = 16;

const HEADER: &str = "user_id,email,vip,first_name,last_name,city,plan,points,spent,birthday,consent_marketing_email,consent_marketing_email_at\n";

/// When the load begins, and the moment that everybody waits for.
pub(super) const BEGINNING: &str = "2030-01-02T10:00:00Z";
/// See [`BEGINNING`].
pub(super) const SAME_MOMENT: &str = "2030-01-02T11:00:00Z";

/// Posts one event of that name for each of these contacts.
pub(super) async fn events(engine: &Engine, name: &'static str, contacts: Range<u64>) -> Result<(), Failure> {
    let Range { start, end } = contacts;
    let next = Arc::new(AtomicU64::new(start));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (next, door) = (next.clone(), engine.door());
        senders.spawn(async move {
            loop {
                let from = next.fetch_add(BATCH, Ordering::Relaxed);
                if from >= end {
                    return Ok(());
                }
                let items: Vec<Value> = (from..end.min(from + BATCH)).map(|n| item(name, n)).collect();
                door.post(&json!({ "batch": items })).await?;
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender.map_err(|error| Failure::world(format!("the load maker broke: {error}")))??;
    }
    Ok(())
}

/// Requests with so many events, spread over so many contacts; written beforehand, so that writing them is not measured.
pub(super) fn bodies(name: &str, events: u64, contacts: u64) -> Vec<String> {
    let one = |n: u64| item_of(name, n % contacts, n);
    let batch = |from: u64| json!({ "batch": (from..events.min(from + BATCH)).map(one).collect::<Vec<_>>() });
    (0..events).step_by(usize::try_from(BATCH).unwrap_or(1)).map(|from| batch(from).to_string()).collect()
}

/// Posts these bodies; how long each took.
pub(super) async fn post_all(engine: &Engine, bodies: Vec<String>) -> Result<Vec<Duration>, Failure> {
    let (next, bodies) = (Arc::new(AtomicUsize::new(0)), Arc::new(bodies));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (next, door, bodies) = (next.clone(), engine.door(), bodies.clone());
        senders.spawn(async move {
            let mut times = Vec::new();
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                let begun = Instant::now();
                door.post_text(body).await?;
                times.push(begun.elapsed());
            }
            Ok::<_, Failure>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(sender) = senders.join_next().await {
        times.extend(sender.map_err(|error| Failure::world(format!("the load maker broke: {error}")))??);
    }
    Ok(times)
}

/// The event with which a contact is parked.
pub(super) const STORED: &str = "stored";

/// One event of contact `n`.
pub(super) fn item(name: &str, n: u64) -> Value {
    item_of(name, n, n)
}

/// The event of contact `n` that has that number.
fn item_of(name: &str, n: u64, number: u64) -> Value {
    let properties = match name {
        "purchase" => json!({ "value": "19.90" }),
        _ => json!({ "source": "bench" }),
    };
    let who = if name == STORED { Crowd::Parked } else { Crowd::Moving }.user_id(n);
    json!({ "type": "track", "messageId": format!("{name}-{number}"), "userId": who, "event": name, "properties": properties })
}

/// Who is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowd {
    /// Those of the workload.
    Moving,
    /// Those who wait beside it.
    Parked,
}

impl Crowd {
    fn user_id(self, n: u64) -> String {
        let letter = if self == Crowd::Moving { 'u' } else { 'p' };
        format!("{letter}{n}")
    }
}

/// So many contacts as CSV, made as they are read: there may be millions.
pub(super) struct Contacts {
    crowd: Crowd,
    next: u64,
    count: u64,
    text: Vec<u8>,
    /// How far the text has been read.
    at: usize,
}

impl Contacts {
    pub(super) fn new(crowd: Crowd, count: u64) -> Contacts {
        Contacts { crowd, next: 0, count, text: HEADER.into(), at: 0 }
    }

    fn row(&self, n: u64) -> String {
        let (vip, plan) = (n.is_multiple_of(2), ["free", "pro", "team"][usize::try_from(n % 3).unwrap_or(0)]);
        format!(
            "{id},{id}@example.org,{vip},First{n},Last{n},City{c},{plan},{n},{s}.50,1980-01-{d:02},yes,2029-01-01T00:00:00Z\n",
            id = self.crowd.user_id(n),
            c = n % 100,
            s = n % 500,
            d = n % 28 + 1,
        )
    }
}

impl Read for Contacts {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() {
            let to = self.count.min(self.next + BATCH);
            self.text = (self.next..to).flat_map(|n| self.row(n).into_bytes()).collect();
            (self.next, self.at) = (to, 0);
        }
        let taken = (&self.text[self.at..]).read(into)?;
        self.at += taken;
        Ok(taken)
    }
}
