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
    /// `queued leased deferred waiting batched accepted refused cancelled unknown`.
    pub state: String,
    pub attempts: i64,
    /// It may have left more than once.
    pub maybe_duplicate: bool,
    /// The last reply or reason.
    pub result: Option<String>,
    pub settled_at: Option<Timestamp>,
    pub clicked_at: Option<Timestamp>,
}

/// Which deliveries are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// They may have left: somebody has to decide.
    Unknown,
    /// Refused for good.
    Failed,
    /// On their way, or to be tried again.
    Again,
    Queued,
    /// Letters that wait for their batch, or are in one that is not finished.
    Waiting,
}

/// A delivery in a list over all contacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub contact: ContactId,
    pub line: Line,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, kind, journey, step, channel, template, purpose, due_at, state, attempts, doubtful, \
            result, settled_at, clicked_at, contact FROM deliveries WHERE bucket = $1 AND ",
            $rest
        )
    };
}

/// At most so many of them, oldest first in each bucket.
pub async fn list(conn: &mut Conn, shown: Shown, limit: u32) -> Result<Vec<Listed>> {
    const UNKNOWN: &str = select!("state = 'unknown' ORDER BY id LIMIT $2");
    const FAILED: &str = select!("state = 'refused' ORDER BY id LIMIT $2");
    const AGAIN: &str = select!("again_at IS NOT NULL ORDER BY again_at LIMIT $2");
    const QUEUED: &str = select!("state = 'queued' ORDER BY transactional, due_at LIMIT $2");
    const WAITING: &str = select!("batch IS NOT NULL AND settled_at IS NULL ORDER BY due_at LIMIT $2");
    let sql = match shown {
        Shown::Unknown => UNKNOWN,
        Shown::Failed => FAILED,
        Shown::Again => AGAIN,
        Shown::Queued => QUEUED,
        Shown::Waiting => WAITING,
    };
    let mut all = Vec::new();
    for bucket in 0..conn.core.settings().buckets {
        let room = u32::try_from(all.len()).map_or(0, |len| limit.saturating_sub(len));
        let rows = conn.fetch(sql, args![bucket, room]).await?;
        let lines = lines(conn, &rows).await?;
        for (row, line) in rows.iter().zip(lines) {
            all.push(Listed { contact: ContactId(row.i64(14)?), line });
        }
    }
    Ok(all)
}

/// All deliveries of a contact, oldest first.
pub async fn of_contact(conn: &mut Conn, contact: ContactId) -> Result<Vec<Line>> {
    const OF: &str = select!("contact = $2 ORDER BY id");
    let bucket = conn.core.bucket_of(contact);
    let rows = conn.fetch(OF, args![bucket, contact]).await?;
    lines(conn, &rows).await
}

async fn lines(conn: &mut Conn, rows: &[Row]) -> Result<Vec<Line>> {
    let mut numbers = BTreeSet::new();
    for row in rows {
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
