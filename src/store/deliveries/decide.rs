//! What people decide about deliveries that may have left, or were refused: send again, or count as sent.
//!
//! Each decision is noted in the history of its contact, with who made it. Sent again, a message keeps its identity, so the same
//! Message-ID, and one that may have left is the same mail, byte for byte; its permission is looked at as at any try.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::record::{self, Told, told};
use super::{Counts, SendResult, whereabouts};
use crate::engine::world::{Note, What};
use crate::id::{ContactId, DeliveryId};
use crate::store::sql::args;
use crate::store::{Conn, Result, Row, Rows, Store, history, journeys};
use crate::time::Timestamp;

/// What is decided about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// One that may have left, or was refused, is queued again.
    Resend,
    /// One that may have left counts as sent.
    Settle,
}

macro_rules! change {
    ($set:literal, $from:literal) => {
        concat!(
            "WITH n(id) AS ({I}) UPDATE deliveries SET doubts_seen = doubtful, ",
            $set,
            " FROM n WHERE deliveries.bucket = $1 AND deliveries.id = n.id AND deliveries.state = '",
            $from,
            "' RETURNING ",
            told!()
        )
    };
}

/// Decides about these deliveries, at that moment of the journey clock; those about which there was something to decide.
pub async fn decide(
    store: &Store,
    decision: Decision,
    ids: &[DeliveryId],
    author: &str,
    now: Timestamp,
) -> Result<BTreeSet<DeliveryId>> {
    let mut tx = store.write().await?;
    let mut buckets: BTreeMap<i64, Rows> = BTreeMap::new();
    for (id, bucket) in whereabouts(&mut tx, ids.iter().copied()).await? {
        buckets.entry(bucket).or_default().push([id.into()]);
    }
    let mut decided = BTreeSet::new();
    for (bucket, list) in buckets {
        let rows = match decision {
            Decision::Resend => resend(&mut tx, bucket, list).await?,
            Decision::Settle => settle(&mut tx, bucket, list, author, now).await?,
        };
        let all = Told::read_all(&mut tx, &rows).await?;
        note(&mut tx, bucket, &all, (decision, author), now).await?;
        if decision == Decision::Settle {
            tell(&mut tx, &all, now).await?;
        }
        decided.extend(all.iter().map(|told| told.id));
    }
    tx.hint_due().await?;
    tx.commit().await?;
    store.wake();
    Ok(decided)
}

async fn resend(tx: &mut Conn, bucket: i64, list: Rows) -> Result<Vec<Row>> {
    const UNKNOWN: &str = change!("state = 'queued'", "unknown");
    // Nothing of it has arrived: it is made anew.
    const REFUSED: &str = change!(
        "state = CASE WHEN batch IS NULL THEN 'queued' ELSE 'waiting' END, \
        batch = CASE WHEN batch IS NULL THEN NULL ELSE 0 END, frozen = NULL, \
        attempts = 0, first_tried_at = NULL, generation = NULL, settled_at = NULL",
        "refused"
    );
    let mut counts = Counts::default();
    let mut rows = tx.fetch_rows(REFUSED, list.clone(), &args![bucket]).await?;
    for row in &rows {
        counts.take_back(bucket, row.i64(3)?, row.i64(7)?, row.i64(8)?, "refused");
    }
    counts.write(tx).await?;
    rows.extend(tx.fetch_rows(UNKNOWN, list, &args![bucket]).await?);
    Ok(rows)
}

async fn settle(tx: &mut Conn, bucket: i64, list: Rows, author: &str, now: Timestamp) -> Result<Vec<Row>> {
    const SETTLE: &str =
        change!("state = 'accepted', result = $2, settled_at = $3, frozen = NULL", "unknown");
    let rows =
        tx.fetch_rows(SETTLE, list, &args![bucket, format!("counted as sent by {author}"), now]).await?;
    let mut counts = Counts::default();
    for row in &rows {
        counts.add(bucket, row.i64(3)?, row.i64(7)?, row.i64(8)?, "accepted");
    }
    counts.write(tx).await?;
    Ok(rows)
}

async fn note(
    tx: &mut Conn,
    bucket: i64,
    all: &[Told],
    (decision, author): (Decision, &str),
    now: Timestamp,
) -> Result<()> {
    let decision: Arc<str> = match decision {
        Decision::Resend => "resend".into(),
        Decision::Settle => "settle".into(),
    };
    let note = |told: &Told| Note {
        at: now,
        enrollment: Some(told.enrollment),
        journey: Some(told.journey.clone()),
        step: Some(told.step.clone()),
        round: told.round,
        what: What::Decided { delivery: told.id, decision: decision.clone(), by: author.into() },
    };
    let notes: Vec<(ContactId, [Note; 1])> = all.iter().map(|told| (told.contact, [note(told)])).collect();
    let decided: Vec<(ContactId, &[Note])> =
        notes.iter().map(|(contact, note)| (*contact, note.as_slice())).collect();
    history::append(tx, bucket, &decided, now).await
}

/// Enrollments and journeys hear that it was sent, if they want to.
async fn tell(tx: &mut Conn, all: &[Told], now: Timestamp) -> Result<()> {
    let deployed = journeys::deployed(tx).await?;
    let mut inputs = Vec::new();
    for told in all {
        record::tell(told, &SendResult::Accepted { reply: None }, &deployed, now, &mut inputs);
    }
    record::pass_on(tx, inputs, now).await
}
