//! Work for people: calls and other tasks that journeys queued, and the outcomes that people report.
//!
//! A task is open until it has an outcome, expires, or its enrollment ends. When it expires is also a timer of the enrollment, which
//! goes on by itself; here the task only leaves the list.
//!
//! An open task is in the hands of one person at a time, for half an hour unless it is taken again. When it is due, expires or is
//! tried again is told by the journey's clock; how long it is in hand, by the machine's.
//!
//! - `queue`: what is to be done; `hand`: taking, postponing and giving back; `outcome`: what came of it;
//!   `attempts`: what was told of it on the way

mod attempts;
mod hand;
mod outcome;
mod queue;

pub use self::attempts::Attempt;
pub use self::hand::{IN_HAND, postpone, release, take};
pub use self::outcome::{ASK, Report, declared, outcome, was_told};
pub use self::queue::{in_hand, list_open, people, queue};

use super::names::{self, spelled};
use super::sql::args;
use super::{Conn, Result, Row, Rows, Store, fields, permissions};
use crate::clock::machine_now;
use crate::engine::program::Word;
use crate::engine::world::NewTask;
use crate::id::{ContactId, DeliveryId, EnrollmentId, TaskId};
use crate::time::Timestamp;

/// A task as stored: the work, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub bucket: i64,
    pub contact: ContactId,
    pub work: NewTask,
    /// `open done expired cancelled`.
    pub state: String,
    pub outcome: Option<String>,
    pub hand: Hand,
}

/// What people did with a task before it had an outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hand {
    /// Who has it, had it last, or told the outcome.
    pub taken_by: Option<String>,
    /// Until when nobody else may have it.
    pub taken_until: Option<Timestamp>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again.
    pub again_at: Option<Timestamp>,
    /// The newest note.
    pub note: Option<String>,
    /// Each attempt as it was told, oldest first.
    pub told: Vec<Attempt>,
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The journeys': for due times.
    pub journey: Timestamp,
    /// The machine's: for what is in hand.
    pub machine: Timestamp,
}

impl Now {
    /// That moment of the journey clock, and this one of the machine's.
    pub fn at(journey: Timestamp) -> Now {
        Now { journey, machine: machine_now() }
    }
}

impl Task {
    /// Whether it asks a survey.
    pub fn is_survey(&self) -> bool {
        *self.work.verb == *ASK
    }

    /// Who has it in hand at that moment, if it is not free.
    pub fn holder(&self, now: Now) -> Option<&str> {
        self.hand
            .taken_by
            .as_deref()
            .filter(|_| self.hand.taken_until.is_some_and(|until| until > now.machine))
    }

    /// Whether it is late: it was to be tried again by now, or less than a quarter of its time is left.
    pub fn is_overdue(&self, now: Now) -> bool {
        let left = self.work.expires_at.0.saturating_sub(now.journey.0);
        let whole = self.work.expires_at.0.saturating_sub(self.work.due_at.0);
        self.hand.again_at.is_some_and(|at| at <= now.journey) || left.saturating_mul(4) < whole
    }

    /// `expired` also for one that is still on the list though its time is over.
    fn state_at(&self, now: Now) -> &str {
        match &*self.state {
            "open" if self.work.expires_at <= now.journey => "expired",
            state => state,
        }
    }
}

/// Why something was not done to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such task.
    Unknown,
    /// It is `done`, `expired` or `cancelled` already.
    Settled(String),
    /// Somebody else has it in hand.
    Taken(String),
    /// The schema knows other outcomes of this task.
    WrongOutcome(Vec<Word>),
    /// An answer does not fit its declaration, or one is missing: the name, and why.
    WrongAnswer(Word, String),
    /// It can only be tried again after now, and before it expires.
    WrongTime,
}

/// Queues tasks, inside the transaction that decided it.
pub async fn insert(tx: &mut Conn, bucket: i64, tasks: &[(ContactId, &NewTask)]) -> Result<()> {
    const INSERT: &str = "INSERT INTO tasks (id, bucket, contact, enrollment, journey, step, round, verb, task, team, \
        given, due_at, expires_at, state) {IIIIIIIIIITIIT}";
    let mut rows = Rows::with_capacity(tasks.len() * 14);
    for (contact, task) in tasks {
        rows.push([
            task.id.into(),
            bucket.into(),
            (*contact).into(),
            task.enrollment.into(),
            names::intern(tx, &task.journey).await?.into(),
            names::intern(tx, &task.step).await?.into(),
            task.round.into(),
            names::intern(tx, &task.verb).await?.into(),
            names::intern(tx, &task.task).await?.into(),
            names::intern(tx, &task.team).await?.into(),
            fields::to_text(&task.with).into(),
            task.due_at.into(),
            task.expires_at.into(),
            "open".into(),
        ]);
    }
    tx.exec_rows(INSERT, rows, &[]).await?;
    Ok(())
}

/// Takes the open tasks of enrollments that ended off the list, and frees their cap slots; how many there were.
pub async fn cancel(
    tx: &mut Conn,
    bucket: i64,
    ended: &[(ContactId, EnrollmentId)],
    now: Timestamp,
) -> Result<u64> {
    const CANCEL: &str = "WITH n(contact, enrollment) AS ({II}) \
        UPDATE tasks SET state = 'cancelled', settled_at = $1 FROM n \
        WHERE tasks.bucket = $2 AND tasks.contact = n.contact AND tasks.enrollment = n.enrollment \
        AND tasks.state = 'open' RETURNING tasks.contact, tasks.id";
    let mut rows = Rows::with_capacity(ended.len() * 2);
    for (contact, enrollment) in ended {
        rows.push([(*contact).into(), (*enrollment).into()]);
    }
    let cancelled = tx.fetch_rows(CANCEL, rows, &args![now, bucket]).await?;
    free_slots(tx, bucket, &cancelled).await?;
    Ok(cancelled.len() as u64)
}

/// A call that was never made does not count against a cap. Rows of (contact, id).
async fn free_slots(tx: &mut Conn, bucket: i64, rows: &[Row]) -> Result<()> {
    let mut freed = Vec::with_capacity(rows.len());
    for row in rows {
        freed.push((ContactId(row.i64(0)?), DeliveryId(row.i64(1)?)));
    }
    permissions::free_slots(tx, bucket, &freed).await
}

/// Takes tasks that nobody did in time off the list; for upkeep. Those that nobody even tried free their cap slots.
pub async fn expire(store: &Store, now: Timestamp) -> Result<u64> {
    const DUE: &str =
        "SELECT id FROM tasks WHERE bucket = $1 AND state = 'open' AND expires_at <= $2 LIMIT 1";
    const EXPIRE: &str = "UPDATE tasks SET state = 'expired', settled_at = $1 \
        WHERE bucket = $2 AND state = 'open' AND expires_at <= $3 RETURNING contact, id, attempts";
    let mut expired = 0;
    for bucket in store.buckets() {
        if store.read().await?.fetch_first(DUE, args![bucket, now]).await?.is_none() {
            continue;
        }
        let mut tx = store.write().await?;
        let mut rows = tx.fetch(EXPIRE, args![now, bucket, now]).await?;
        expired += rows.len() as u64;
        let mut untried = Vec::new();
        for row in rows.drain(..) {
            if row.i64(2)? == 0 {
                untried.push(row);
            }
        }
        free_slots(&mut tx, bucket, &untried).await?;
        tx.commit().await?;
    }
    Ok(expired)
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, tasks.bucket, contact, enrollment, journey, step, round, verb, task, team, given, \
            due_at, expires_at, state, outcome, taken_by, taken_until, attempts, again_at, note, told FROM ",
            $rest
        )
    };
}
use select;

/// All tasks of a contact, newest first.
pub async fn of_contact(conn: &mut Conn, contact: ContactId) -> Result<Vec<Task>> {
    const OF: &str = select!("tasks WHERE bucket = $1 AND contact = $2 ORDER BY id DESC");
    let bucket = conn.core.bucket_of(contact);
    let rows = conn.fetch(OF, args![bucket, contact]).await?;
    read(conn, rows).await
}

/// The task of that id, in whatever bucket.
pub async fn find(conn: &mut Conn, id: TaskId) -> Result<Option<Task>> {
    const FIND: &str = select!(
        "(WITH n(bucket) AS ({I}) SELECT bucket FROM n) AS n CROSS JOIN tasks WHERE tasks.bucket = n.bucket AND id = $1"
    );
    let rows = conn.all_buckets();
    let rows = conn.fetch_rows(FIND, rows, &args![id]).await?;
    Ok(read(conn, rows).await?.pop())
}

async fn read(conn: &mut Conn, rows: Vec<Row>) -> Result<Vec<Task>> {
    const WORDS: [usize; 5] = [4, 5, 7, 8, 9];
    let mut numbers = Vec::with_capacity(rows.len() * WORDS.len());
    for row in &rows {
        for column in WORDS {
            numbers.push(row.i64(column)?);
        }
    }
    let words = names::spell(conn, numbers).await?;
    let task = |row: &Row| {
        let word = |column: usize| spelled(&words, row.i64(column)?);
        let work = NewTask {
            id: TaskId(row.i64(0)?),
            enrollment: EnrollmentId(row.i64(3)?),
            journey: word(4)?,
            step: word(5)?,
            round: u32::try_from(row.i64(6)?).unwrap_or(u32::MAX),
            verb: word(7)?,
            task: word(8)?,
            team: word(9)?,
            with: fields::from_text(row.text(10)?)?,
            due_at: row.at(11)?,
            expires_at: row.at(12)?,
        };
        Ok(Task {
            bucket: row.i64(1)?,
            contact: ContactId(row.i64(2)?),
            work,
            state: row.text(13)?.to_owned(),
            outcome: row.opt_text(14)?.map(str::to_owned),
            hand: Hand {
                taken_by: row.opt_text(15)?.map(str::to_owned),
                taken_until: row.opt_at(16)?,
                attempts: u32::try_from(row.i64(17)?).unwrap_or(u32::MAX),
                again_at: row.opt_at(18)?,
                note: row.opt_text(19)?.map(str::to_owned),
                told: attempts::from_text(row.opt_text(20)?.unwrap_or_default())?,
            },
        })
    };
    rows.iter().map(task).collect()
}
