//! A way out that leads nowhere: it remembers what it was given. For `bench`, `test` and tests of the daemon.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::smtp::{Reply, SendResult};
use super::{Outgoing, Prepared};
use crate::id::DeliveryId;

/// What the channel was given, without the HTML.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The recipient.
    pub address: String,
    /// The purpose it was sent for.
    pub purpose: String,
    /// The subject as rendered.
    pub subject: String,
    /// The text as rendered.
    pub text: String,
}

/// Remembers the last messages and counts all. Clones share what they remember.
#[derive(Clone, Default)]
pub struct Recording {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    capacity: usize,
    count: AtomicU64,
    records: Mutex<Vec<Record>>,
    answer: Option<Answer>,
}

/// Decides what becomes of a message, by its number (0 for the first).
type Answer = Box<dyn Fn(u64) -> SendResult + Send + Sync>;

impl Recording {
    /// Remembers at most so many messages; with 0 it only counts, which is what a benchmark wants.
    pub fn new(capacity: usize) -> Recording {
        Recording { shared: Arc::new(Shared { capacity, ..Shared::default() }) }
    }

    /// Lets `answer` decide what becomes of each message instead of accepting it.
    pub fn answering(
        capacity: usize,
        answer: impl Fn(u64) -> SendResult + Send + Sync + 'static,
    ) -> Recording {
        Recording {
            shared: Arc::new(Shared { capacity, answer: Some(Box::new(answer)), ..Shared::default() }),
        }
    }

    /// How many messages there were.
    pub fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// What is remembered, oldest first.
    pub fn records(&self) -> Vec<Record> {
        self.shared.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn write(&self, outgoing: &Outgoing<'_>) -> Prepared {
        let rendered = outgoing.rendered;
        let record = (self.shared.capacity > 0).then(|| Record {
            delivery: outgoing.delivery,
            address: outgoing.address.to_owned(),
            purpose: outgoing.purpose.to_owned(),
            subject: rendered.subject.clone(),
            text: rendered.text.clone(),
        });
        let html = rendered.html.as_deref().unwrap_or_default();
        let bytes = [&rendered.subject, "\n", &rendered.text, "\n", html].concat().into_bytes();
        Prepared { record, ..Prepared::new(None, bytes) }
    }

    pub(super) fn send(&self, prepared: &Prepared) -> SendResult {
        let number = self.shared.count.fetch_add(1, Ordering::Relaxed);
        if let Some(record) = &prepared.record {
            let mut records = self.shared.records.lock().unwrap_or_else(PoisonError::into_inner);
            if records.len() >= self.shared.capacity {
                records.remove(0);
            }
            records.push(record.clone());
        }
        match &self.shared.answer {
            Some(answer) => answer(number),
            None => SendResult::Accepted { reply: Reply::new(250, "2.0.0 recorded") },
        }
    }
}
