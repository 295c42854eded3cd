//! A message as those mean it who speak of it later: providers with their reports, people with their answers.

use std::sync::Arc;

use super::record::message_fields;
use super::whereabouts;
use crate::engine::program::Word;
use crate::engine::world::Fields;
use crate::id::{ContactId, DeliveryId, EnrollmentId};
use crate::store::names::{self, spelled};
use crate::store::sql::args;
use crate::store::{Conn, Result, Row};
use crate::time::Timestamp;

/// What is needed to tell of a message.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) struct Receipt {
    pub(in crate::store) id: DeliveryId,
    pub(in crate::store) bucket: i64,
    pub(in crate::store) contact: ContactId,
    pub(in crate::store) enrollment: EnrollmentId,
    pub(in crate::store) step: Word,
    pub(in crate::store) round: u32,
    pub(in crate::store) channel: Word,
    pub(in crate::store) address: Option<Arc<str>>,
    pub(in crate::store) due_at: Timestamp,
    pub(in crate::store) wants_outcome: bool,
    /// What every outcome of it says.
    pub(in crate::store) fields: Fields,
}

impl Receipt {
    /// What its template is called; a survey's, if it asks one.
    pub(in crate::store) fn template(&self) -> Option<&str> {
        self.fields.get("template")?.as_text()
    }

    /// What it was sent for.
    pub(in crate::store) fn purpose(&self) -> Word {
        self.fields.get("purpose").and_then(|name| name.as_text()).unwrap_or_default().into()
    }

    /// The journey that sent it.
    pub(in crate::store) fn journey(&self) -> Word {
        self.fields.get("journey").and_then(|name| name.as_text()).unwrap_or_default().into()
    }
}

/// What is read of a row.
macro_rules! receipts {
    ($where:literal) => {
        concat!(
            "SELECT id, contact, enrollment, journey, step, round, channel, template, purpose, wants_outcome, address, \
            due_at FROM deliveries WHERE ",
            $where
        )
    };
}

/// The message of that id, wherever its contact lives by now.
pub(in crate::store) async fn receipt(conn: &mut Conn, id: DeliveryId) -> Result<Option<Receipt>> {
    const OF: &str = receipts!("bucket = $1 AND id = $2 AND kind = 0");
    let Some((_, bucket)) = whereabouts(conn, [id].into_iter()).await?.pop() else { return Ok(None) };
    match conn.fetch_first(OF, args![bucket, id]).await? {
        Some(row) => read(conn, &row, bucket).await.map(Some),
        None => Ok(None),
    }
}

/// As [`receipt`], for a change that follows: until it is committed, the contact is not merged into another.
pub(in crate::store) async fn receipt_locked(tx: &mut Conn, id: DeliveryId) -> Result<Option<Receipt>> {
    const OF: &str = receipts!("bucket = $1 AND id = $2 AND kind = 0 {lock}");
    // It may move between the two looks; nobody is merged twice in that moment.
    for _ in 0..3 {
        let Some((_, bucket)) = whereabouts(tx, [id].into_iter()).await?.pop() else { return Ok(None) };
        if let Some(row) = tx.fetch_first(OF, args![bucket, id]).await? {
            return read(tx, &row, bucket).await.map(Some);
        }
    }
    Ok(None)
}

/// The newest message to a contact on a channel that has left, or may have, and was due between those moments.
pub(in crate::store) async fn newest_to(
    conn: &mut Conn,
    contact: ContactId,
    channel: &Word,
    (after, before): (Timestamp, Timestamp),
) -> Result<Option<Receipt>> {
    const NEWEST: &str = receipts!(
        "bucket = $1 AND contact = $2 AND channel = $3 AND kind = 0 AND due_at > $4 AND due_at <= $5 AND state IN ('accepted', 'unknown', 'leased') \
        ORDER BY due_at DESC, id DESC LIMIT 1"
    );
    let Some(channel) = names::find(conn, channel).await? else { return Ok(None) };
    let bucket = conn.core.bucket_of(contact);
    match conn.fetch_first(NEWEST, args![bucket, contact, channel, after, before]).await? {
        Some(row) => read(conn, &row, bucket).await.map(Some),
        None => Ok(None),
    }
}

async fn read(conn: &mut Conn, row: &Row, bucket: i64) -> Result<Receipt> {
    let numbers = [row.i64(3)?, row.i64(4)?, row.i64(6)?, row.i64(7)?, row.i64(8)?];
    let words = names::spell(conn, numbers).await?;
    Ok(Receipt {
        id: DeliveryId(row.i64(0)?),
        bucket,
        contact: ContactId(row.i64(1)?),
        enrollment: EnrollmentId(row.i64(2)?),
        step: spelled(&words, row.i64(4)?)?,
        round: u32::try_from(row.i64(5)?).unwrap_or(u32::MAX),
        channel: spelled(&words, row.i64(6)?)?,
        address: row.opt_text(10)?.map(Arc::from),
        due_at: row.at(11)?,
        wants_outcome: row.i64(9)? != 0,
        fields: message_fields(row, [6, 7, 3, 8], &words)?,
    })
}
