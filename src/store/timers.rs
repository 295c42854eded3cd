//! Timers: everything that has a next time, in the order of waking.
//!
//! The hot table. What is due lies together at its beginning, so a batch reads and deletes a run of neighbours, and speed does not
//! depend on how many wait. An enrollment lives in its timer, with its state; standing entries and errands have their own rows
//! and are only called from here.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::journeys::Deployed;
use super::sql::args;
use super::{Arg, Conn, Error, Result, Row, Rows};
use crate::engine::codec;
use crate::engine::program::StepIx;
use crate::engine::state::RestKind;
use crate::engine::world::Enrollment;
use crate::id::{ContactId, EnrollmentId};
use crate::time::Timestamp;

/// What a timer calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Enrollment = 0,
    Standing = 1,
    Errand = 2,
}

/// A timer as stored.
#[derive(Debug)]
pub(super) struct Timer {
    pub(super) wake_at: Timestamp,
    pub(super) id: EnrollmentId,
    pub(super) contact: ContactId,
    kind: i64,
    program: i64,
    state: Vec<u8>,
}

/// What the store has to remember of an enrollment beside what the engine knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Its row in `enrollments` knows when it wakes, since something may ask for it by id.
    pub(super) tracked: bool,
    /// A task, request or child is out, so that a listener without a name leads to it.
    pub(super) out: bool,
    /// Where it is counted as resting.
    pub(super) step: Option<StepIx>,
}

impl Place {
    /// Where an enrollment stands after a transition.
    pub(super) fn of(enrollment: &Enrollment, tracked: bool) -> Place {
        let state = &enrollment.state;
        let out = state.rest.kind == RestKind::Out
            || state.suspended.as_ref().is_some_and(|main| main.rest.kind == RestKind::Out);
        Place { tracked, out: out && !tracked, step: (!state.ended).then_some(state.step) }
    }
}

impl Timer {
    /// Whether an enrollment lives here.
    pub(super) fn is_enrollment(&self) -> bool {
        self.kind == Kind::Enrollment as i64
    }

    /// The enrollment that lives here.
    pub(super) fn enrollment(&self, deployed: &Deployed) -> Result<(Enrollment, Place)> {
        let unreadable = |why| Error::Unreadable { what: "enrollment", why: format!("{} {why}", self.id) };
        let ((tracked, key), state) = postcard::take_from_bytes::<(bool, Arc<str>)>(&self.state)
            .map_err(|_| unreadable("has no beginning"))?;
        let state = codec::decode(state).map_err(|_| unreadable("was written by another release"))?;
        let program = deployed.program(self.program).ok_or_else(|| unreadable("has no program"))?.clone();
        let enrollment = Enrollment { id: self.id, program, key, state, wake_at: self.wake_at };
        let place = Place::of(&enrollment, tracked);
        Ok((enrollment, place))
    }

    pub(super) fn read(row: &Row) -> Result<Timer> {
        Ok(Timer {
            wake_at: row.at(0)?,
            id: EnrollmentId(row.i64(1)?),
            contact: ContactId(row.i64(2)?),
            kind: row.i64(3)?,
            program: row.i64(4)?,
            state: row.blob(5)?.to_vec(),
        })
    }
}

/// Takes the timers of a bucket that are due, oldest first. Nobody else touches them while the bucket is locked.
pub(super) async fn take(tx: &mut Conn, bucket: i64, until: Timestamp, limit: i64) -> Result<Vec<Timer>> {
    let due = due(tx, bucket, until, limit).await?;
    if let Some(last) = due.last() {
        remove_until(tx, bucket, last.wake_at, last.id).await?;
    }
    Ok(due)
}

/// The timers of a bucket that are due, oldest first.
pub(super) async fn due(conn: &mut Conn, bucket: i64, until: Timestamp, limit: i64) -> Result<Vec<Timer>> {
    const DUE: &str = "SELECT wake_at, id, contact, kind, program, state FROM timers \
        WHERE bucket = $1 AND wake_at <= $2 ORDER BY wake_at, id LIMIT $3";
    let rows = conn.fetch(DUE, args![bucket, until, limit]).await?;
    rows.iter().map(Timer::read).collect()
}

/// Removes timers up to that one; how many.
pub(super) async fn remove_until(
    tx: &mut Conn,
    bucket: i64,
    wake_at: Timestamp,
    id: EnrollmentId,
) -> Result<u64> {
    const DELETE: &str =
        "DELETE FROM timers WHERE bucket = $1 AND wake_at <= $2 AND (wake_at, id) <= ($3, $4)";
    tx.exec(DELETE, args![bucket, wake_at, wake_at, id]).await
}

/// How many timers of a bucket are due.
pub(super) async fn count_due(conn: &mut Conn, bucket: i64, now: Timestamp) -> Result<i64> {
    const COUNT: &str = "SELECT COUNT(*) FROM timers WHERE bucket = $1 AND wake_at <= $2";
    conn.fetch_number(COUNT, args![bucket, now]).await
}

/// When the next timer of a bucket is due.
pub async fn next_due(conn: &mut Conn, bucket: i64) -> Result<Timestamp> {
    const NEXT: &str = "SELECT wake_at FROM timers WHERE bucket = $1 ORDER BY wake_at, id LIMIT 1";
    let row = conn.fetch_first(NEXT, args![bucket]).await?;
    row.map_or(Ok(Timestamp::NEVER), |row| row.at(0))
}

/// Where the timer of an enrollment is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pointer {
    pub(super) contact: ContactId,
    pub(super) id: EnrollmentId,
    /// When it wakes; unknown: its row or a listener says so.
    pub(super) wake_at: Option<Timestamp>,
}

/// Loads timers of enrollments without taking them. What is not found is no more.
pub(super) async fn load(tx: &mut Conn, bucket: i64, pointers: &[Pointer]) -> Result<Vec<Timer>> {
    const LOAD: &str = "WITH n(contact, id, wake_at) AS ({III}) \
        SELECT timers.wake_at, timers.id, timers.contact, timers.kind, timers.program, timers.state \
        FROM n CROSS JOIN timers WHERE timers.bucket = $1 AND timers.id = n.id AND timers.wake_at = COALESCE(n.wake_at, \
        (SELECT e.wake_at FROM enrollments e WHERE e.bucket = $2 AND e.contact = n.contact AND e.id = n.id \
         AND e.tracked = 1), \
        (SELECT l.wake_at FROM listeners l WHERE l.bucket = $3 AND l.contact = n.contact AND l.id = n.id \
         AND l.kind = 1 LIMIT 1))";
    let mut rows = Rows::with_capacity(pointers.len() * 3);
    for pointer in pointers {
        rows.push([pointer.contact.into(), pointer.id.into(), pointer.wake_at.into()]);
    }
    let found = tx.fetch_rows(LOAD, rows, &args![bucket, bucket, bucket]).await?;
    found.iter().map(Timer::read).collect()
}

/// Loads all enrollments of contacts to whom nothing points: those that only wait for time. Reads the whole bucket once, so it is
/// for what happens rarely: somebody is taken out by hand, or lives in another zone now.
pub(super) async fn search(tx: &mut Conn, bucket: i64, contacts: &BTreeSet<ContactId>) -> Result<Vec<Timer>> {
    const SEARCH: &str = "WITH n(contact) AS ({I}) SELECT wake_at, id, contact, kind, program, state FROM timers \
        WHERE bucket = $1 AND kind = 0 AND contact IN (SELECT n.contact FROM n)";
    let mut rows = Rows::with_capacity(contacts.len());
    for contact in contacts {
        rows.push([(*contact).into()]);
    }
    let found = tx.fetch_rows(SEARCH, rows, &args![bucket]).await?;
    found.iter().map(Timer::read).collect()
}

/// The timers that a batch of transitions removes and sets.
#[derive(Default)]
pub(super) struct Writes {
    removed: Vec<(Timestamp, EnrollmentId)>,
    set: Vec<(Timestamp, EnrollmentId, [Arg; 4])>,
}

impl Writes {
    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.set.is_empty()
    }

    /// Removes one.
    pub(super) fn remove(&mut self, wake_at: Timestamp, id: EnrollmentId) {
        self.removed.push((wake_at, id));
    }

    /// Sets the timer of an enrollment, with all that the enrollment is.
    pub(super) fn set_enrollment(
        &mut self,
        contact: ContactId,
        enrollment: &Enrollment,
        program: i64,
        tracked: bool,
    ) {
        let mut state =
            postcard::to_allocvec(&(tracked, &*enrollment.key)).expect("a flag and a text can be written");
        state.extend(codec::encode(&enrollment.state));
        let rest = [contact.into(), Arg::I64(Kind::Enrollment as i64), program.into(), state.into()];
        self.set.push((enrollment.wake_at, enrollment.id, rest));
    }

    /// Puts a timer that nobody can read where it never wakes, for people to look at.
    pub(super) fn park(&mut self, timer: &Timer) {
        let rest =
            [timer.contact.into(), Arg::I64(timer.kind), timer.program.into(), timer.state.clone().into()];
        self.set.push((Timestamp::NEVER, timer.id, rest));
    }

    /// Sets the timer of a standing entry or an errand; none for what never wakes.
    pub(super) fn set(&mut self, kind: Kind, contact: ContactId, id: EnrollmentId, wake_at: Timestamp) {
        if wake_at != Timestamp::NEVER {
            let rest = [contact.into(), Arg::I64(kind as i64), Arg::I64(0), Vec::new().into()];
            self.set.push((wake_at, id, rest));
        }
    }

    /// Writes them, in the order of the key.
    pub(super) async fn write(mut self, tx: &mut Conn, bucket: i64) -> Result<()> {
        const REMOVE: &str = "WITH n(wake_at, id) AS ({II}) DELETE FROM timers WHERE bucket = $1 \
            AND (wake_at, id) IN (SELECT n.wake_at, n.id FROM n)";
        const SET: &str = "INSERT INTO timers (bucket, wake_at, id, contact, kind, program, state) {IIIIIIB} \
            ON CONFLICT (bucket, wake_at, id) DO UPDATE SET state = excluded.state";
        self.removed.sort_unstable();
        let mut removed = Rows::with_capacity(self.removed.len() * 2);
        for (wake_at, id) in self.removed {
            removed.push([wake_at.into(), id.into()]);
        }
        tx.exec_rows(REMOVE, removed, &args![bucket]).await?;
        self.set.sort_unstable_by_key(|(wake_at, id, _)| (*wake_at, *id));
        let mut set = Rows::with_capacity(self.set.len() * 7);
        for (wake_at, id, [contact, kind, program, state]) in self.set {
            set.push([bucket.into(), wake_at.into(), id.into(), contact, kind, program, state]);
        }
        tx.exec_rows(SET, set, &[]).await?;
        Ok(())
    }
}
