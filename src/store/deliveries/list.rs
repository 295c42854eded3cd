//! Deliveries as people look at them.

use std::collections::BTreeSet;

use super::Kind;
use crate::engine::program::Word;
use crate::id::{ContactId, DeliveryId};
use crate::store::names::{self, spelled};
use crate::store::sql::args;
use crate::store::{Conn, Result, Row};
use crate::time::Timestamp;

/// One delivery of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub id: DeliveryId,
    pub kind: Kind,
    pub journey: Word,
    pub step: Word,
    pub channel: Word,
    /// Of a request, its endpoint.
    pub template: Word,
    pub purpose: Word,
    /// On the journey clock.
    pub due_at: Timestamp,
    /// `queued leased deferred accepted refused cancelled unknown`.
    pub state: String,
    pub attempts: i64,
    /// It may have left more than once.
    pub maybe_duplicate: bool,
    /// The last reply or reason.
    pub result: Option<String>,
    pub settled_at: Option<Timestamp>,
    pub clicked_at: Option<Timestamp>,
}

/// All deliveries of a contact, oldest first.
pub async fn of_contact(conn: &mut Conn, contact: ContactId) -> Result<Vec<Line>> {
    const OF: &str = "SELECT id, kind, journey, step, channel, template, purpose, due_at, state, attempts, doubtful, \
        result, settled_at, clicked_at FROM deliveries WHERE bucket = $1 AND contact = $2 ORDER BY id";
    let bucket = conn.core.bucket_of(contact);
    let rows = conn.fetch(OF, args![bucket, contact]).await?;
    let mut numbers = BTreeSet::new();
    for row in &rows {
        for column in 2..=6 {
            numbers.insert(row.i64(column)?);
        }
    }
    let words = names::spell(conn, numbers).await?;
    let line = |row: &Row| {
        let word = |column: usize| spelled(&words, row.i64(column)?);
        Ok(Line {
            id: DeliveryId(row.i64(0)?),
            kind: Kind::of(row.i64(1)?),
            journey: word(2)?,
            step: word(3)?,
            channel: word(4)?,
            template: word(5)?,
            purpose: word(6)?,
            due_at: row.at(7)?,
            state: row.text(8)?.to_owned(),
            attempts: row.i64(9)?,
            maybe_duplicate: row.i64(10)? > 0,
            result: row.opt_text(11)?.map(str::to_owned),
            settled_at: row.opt_at(12)?,
            clicked_at: row.opt_at(13)?,
        })
    };
    rows.iter().map(line).collect()
}
