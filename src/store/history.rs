//! What was decided for each contact, and why: append-only.
//!
//! One row holds what one transaction decided for one contact, as a list of lines, so that a transition costs one row. Rows lie in
//! the order of writing, which keeps retention a range, and are found by contact through an index.

use serde::Deserialize;

use super::sql::args;
use super::{Conn, Error, Result, Rows};
use crate::engine::program::Word;
use crate::engine::world::{Note, What};
use crate::id::{ContactId, EnrollmentId};
use crate::time::Timestamp;

/// A line as stored, short because there are so many: when, enrollment, journey, step, round, what.
type Line<'a> = (Timestamp, Option<EnrollmentId>, &'a Option<Word>, &'a Option<Word>, u32, &'a What);

#[derive(Deserialize)]
struct OwnedLine(Timestamp, Option<EnrollmentId>, Option<Word>, Option<Word>, u32, What);

/// Writes what was decided.
pub(super) async fn append(
    tx: &mut Conn,
    bucket: i64,
    decided: &[(ContactId, &[Note])],
    now: Timestamp,
) -> Result<()> {
    const APPEND: &str = "INSERT INTO history (bucket, id, contact, at, notes) {IIIIT}";
    let mut rows = Rows::with_capacity(decided.len() * 5);
    for (contact, notes) in decided {
        let id = tx.core.new_id();
        rows.push([bucket.into(), id.into(), (*contact).into(), now.into(), to_text(notes).into()]);
    }
    tx.exec_rows(APPEND, rows, &[]).await?;
    Ok(())
}

fn to_text(notes: &[Note]) -> String {
    let lines: Vec<Line> = notes
        .iter()
        .map(|note| (note.at, note.enrollment, &note.journey, &note.step, note.round, &note.what))
        .collect();
    serde_json::to_string(&lines).expect("notes have no keys but texts")
}

/// Whether that is what we write.
pub(super) fn is_readable(text: &str) -> bool {
    from_text(text).is_ok()
}

fn from_text(text: &str) -> Result<Vec<Note>> {
    let lines: Vec<OwnedLine> = serde_json::from_str(text)
        .map_err(|error| Error::Unreadable { what: "history", why: error.to_string() })?;
    let note = |OwnedLine(at, enrollment, journey, step, round, what): OwnedLine| Note {
        at,
        enrollment,
        journey,
        step,
        round,
        what,
    };
    Ok(lines.into_iter().map(note).collect())
}

/// All that was decided for a contact, in order. Ids alone would mix what two processes wrote within a millisecond.
pub async fn of_contact(conn: &mut Conn, contact: ContactId) -> Result<Vec<Note>> {
    const OF: &str = "SELECT notes FROM history WHERE bucket = $1 AND contact = $2 ORDER BY at, id";
    let bucket = conn.core.bucket_of(contact);
    let mut notes = Vec::new();
    for row in conn.fetch(OF, args![bucket, contact]).await? {
        notes.extend(from_text(row.text(0)?)?);
    }
    Ok(notes)
}

/// Whether there is anything that was decided before a row; ids grow with time.
pub async fn goes_back_behind(conn: &mut Conn, bucket: i64, before: i64) -> Result<bool> {
    const OLD: &str = "SELECT id FROM history WHERE {by id}bucket = $1 AND id < $2 ORDER BY id LIMIT 1";
    Ok(conn.fetch_first(OLD, args![bucket, before]).await?.is_some())
}

/// Forgets what was decided before a row. Deletes at most so many rows and says how many.
pub async fn forget(tx: &mut Conn, bucket: i64, before: i64, limit: i64) -> Result<u64> {
    const FORGET: &str = "DELETE FROM history WHERE {by id}bucket = $1 AND id IN ( \
        SELECT id FROM history WHERE {by id}bucket = $2 AND id < $3 ORDER BY id LIMIT $4)";
    tx.exec(FORGET, args![bucket, bucket, before, limit]).await
}
