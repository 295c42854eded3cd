//! Deliveries as people look at them.

use std::collections::BTreeSet;

use super::Kind;
use crate::engine::program::Word;
use crate::id::{ContactId, DeliveryId, EnrollmentId};
use crate::store::names::{self, spelled};
use crate::store::sql::args;
use crate::store::workers::{self, Worker};
use crate::store::{Conn, Result, Row, skew};
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
    pub enrollment: EnrollmentId,
    pub round: u32,
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
    /// On their way at this moment.
    Leased,
    /// Letters that wait for their batch, or are in one that is not finished.
    Waiting,
}

/// A delivery in a list over all contacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub contact: ContactId,
    pub line: Line,
    /// Of one that is on its way.
    pub holder: Option<Holder>,
}

/// Who is sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub worker: i64,
    /// Its machine and process.
    pub place: String,
    /// On the machine's clock; known of the first try alone.
    pub since: Option<Timestamp>,
    /// When somebody else may take it: at once where it was let go of.
    pub until: Timestamp,
    /// The worker died, or does not reach the database.
    pub is_gone: bool,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, kind, journey, step, channel, template, purpose, due_at, state, attempts, doubtful, \
            result, settled_at, clicked_at, contact, enrollment, round, owner, again_at, first_tried_at FROM deliveries WHERE bucket = $1 AND ",
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
    const LEASED: &str = select!("again_at IS NOT NULL AND state = 'leased' ORDER BY again_at LIMIT $2");
    const WAITING: &str = select!("batch IS NOT NULL AND settled_at IS NULL ORDER BY due_at LIMIT $2");
    let sql = match shown {
        Shown::Unknown => UNKNOWN,
        Shown::Failed => FAILED,
        Shown::Again => AGAIN,
        Shown::Queued => QUEUED,
        Shown::Leased => LEASED,
        Shown::Waiting => WAITING,
    };
    let holders =
        if matches!(shown, Shown::Leased | Shown::Again) { holders(conn).await? } else { Vec::new() };
    let mut all = Vec::new();
    for bucket in 0..conn.core.settings().buckets {
        let room = u32::try_from(all.len()).map_or(0, |len| limit.saturating_sub(len));
        let rows = conn.fetch(sql, args![bucket, room]).await?;
        let lines = lines(conn, &rows).await?;
        for (row, line) in rows.iter().zip(lines) {
            let holder = if line.state == "leased" { Some(holder(row, &holders)?) } else { None };
            all.push(Listed { contact: ContactId(row.i64(14)?), line, holder });
        }
    }
    Ok(all)
}

/// All workers, and whether each is gone.
async fn holders(conn: &mut Conn) -> Result<Vec<(Worker, bool)>> {
    let now = skew::micros(conn).await? / 1_000;
    let all = workers::all(conn).await?;
    let is_gone = |worker: &Worker| worker.leased_until.0 < now;
    Ok(all.iter().map(|worker| (worker.clone(), is_gone(worker))).collect())
}

fn holder(row: &Row, holders: &[(Worker, bool)]) -> Result<Holder> {
    let (worker, until) = (row.i64(17)?, row.opt_at(18)?.unwrap_or(Timestamp(0)));
    let known = holders.iter().find(|(known, _)| known.number == worker);
    Ok(Holder {
        worker,
        place: known.map_or_else(String::new, |(known, _)| known.place.clone()),
        since: if row.i64(9)? == 1 { row.opt_at(19)? } else { None },
        until,
        is_gone: known.is_none_or(|(_, is_gone)| *is_gone),
    })
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
            enrollment: EnrollmentId(row.i64(15)?),
            round: u32::try_from(row.i64(16)?).unwrap_or(u32::MAX),
        })
    };
    rows.iter().map(line).collect()
}
