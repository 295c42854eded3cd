//! Work for people: calls and other tasks that journeys queued, and the outcomes that people report.
//!
//! A task is open until it has an outcome, expires, or its enrollment ends. When it expires is also a timer of the enrollment, which
//! goes on by itself; here the task only leaves the list.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::journeys;
use super::names::{self, spelled};
use super::sql::args;
use super::{Conn, Result, Row, Rows, Store, fields, inbox};
use crate::engine::program::{Task as Declared, Word};
use crate::engine::world::{Fields, Input, NewTask, Outcome};
use crate::id::{ContactId, EnrollmentId, TaskId};
use crate::time::Timestamp;
use crate::value;

/// A task as stored: the work, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub bucket: i64,
    pub contact: ContactId,
    pub work: NewTask,
    /// `open done expired cancelled`.
    pub state: String,
    pub outcome: Option<String>,
}

/// Queues tasks, inside the transaction that decided it.
pub async fn insert(tx: &mut Conn, bucket: i64, tasks: &[(ContactId, &NewTask)]) -> Result<()> {
    const INSERT: &str = "INSERT INTO tasks (id, bucket, contact, enrollment, journey, step, round, verb, task, team, \
        given, due_at, expires_at, state) \
        WITH n(id, contact, enrollment, journey, step, round, verb, task, team, given, due_at, expires_at) \
        AS ({IIIIIIIIITII}) \
        SELECT n.id, $1, n.contact, n.enrollment, n.journey, n.step, n.round, n.verb, n.task, n.team, \
        n.given, n.due_at, n.expires_at, 'open' FROM n";
    let mut rows = Rows::with_capacity(tasks.len() * 12);
    for (contact, task) in tasks {
        rows.push([
            task.id.into(),
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
        ]);
    }
    tx.exec_rows(INSERT, rows, &args![bucket]).await?;
    Ok(())
}

/// Takes the open tasks of enrollments that ended off the list; how many there were.
pub async fn cancel(
    tx: &mut Conn,
    bucket: i64,
    ended: &[(ContactId, EnrollmentId)],
    now: Timestamp,
) -> Result<u64> {
    const CANCEL: &str = "WITH n(contact, enrollment) AS ({II}) \
        UPDATE tasks SET state = 'cancelled', settled_at = $1 FROM n \
        WHERE tasks.bucket = $2 AND tasks.contact = n.contact AND tasks.enrollment = n.enrollment \
        AND tasks.state = 'open'";
    let mut rows = Rows::with_capacity(ended.len() * 2);
    for (contact, enrollment) in ended {
        rows.push([(*contact).into(), (*enrollment).into()]);
    }
    tx.exec_rows(CANCEL, rows, &args![now, bucket]).await
}

/// Takes tasks that nobody did in time off the list; for upkeep.
pub async fn expire(store: &Store, now: Timestamp) -> Result<u64> {
    const EXPIRE: &str =
        "UPDATE tasks SET state = 'expired', settled_at = $1 WHERE state = 'open' AND expires_at <= $2";
    let mut tx = store.write().await?;
    let expired = tx.exec(EXPIRE, args![now, now]).await?;
    tx.commit().await?;
    Ok(expired)
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, tasks.bucket, contact, enrollment, journey, step, round, verb, task, team, given, \
            due_at, expires_at, state, outcome FROM ",
            $rest
        )
    };
}

/// Tasks to be done now, of one team or of all; the ones that were due first come first.
pub async fn list_open(conn: &mut Conn, team: Option<&str>, now: Timestamp, limit: u32) -> Result<Vec<Task>> {
    const OF_TEAM: &str = select!(
        "tasks WHERE state = 'open' AND team = $1 AND due_at <= $2 AND expires_at > $3 ORDER BY due_at, id LIMIT $4"
    );
    const OF_ALL: &str = select!(
        "tasks WHERE state = 'open' AND due_at <= $1 AND expires_at > $2 ORDER BY due_at, id LIMIT $3"
    );
    let rows = match team {
        None => conn.fetch(OF_ALL, args![now, now, limit]).await?,
        Some(team) => match names::find(conn, team).await? {
            Some(team) => conn.fetch(OF_TEAM, args![team, now, now, limit]).await?,
            None => Vec::new(),
        },
    };
    read(conn, rows).await
}

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
    let mut rows = Rows::default();
    for bucket in 0..conn.core.settings().buckets {
        rows.push([bucket.into()]);
    }
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
        })
    };
    rows.iter().map(task).collect()
}

// ---------------------------------------------------------------- outcomes

/// Why an outcome was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such task.
    Unknown,
    /// It is `done`, `expired` or `cancelled` already.
    Settled(String),
    /// The schema knows other outcomes of this task.
    WrongOutcome(Vec<Word>),
    /// An answer does not fit its declaration, or one is missing: the name, and why.
    WrongAnswer(Word, String),
}

/// Takes the outcome that somebody reports, with the answers that the task declares, and tells the enrollment.
pub async fn outcome(
    store: &Store,
    id: TaskId,
    outcome: &str,
    answers: &BTreeMap<String, Json>,
    now: Timestamp,
) -> Result<Result<(), Refused>> {
    const SETTLE: &str = "UPDATE tasks SET state = 'done', outcome = $1, answers = $2, settled_at = $3 \
        WHERE bucket = $4 AND id = $5 AND state = 'open'";
    let mut tx = store.write().await?;
    let Some(task) = find(&mut tx, id).await? else { return Ok(Err(Refused::Unknown)) };
    let state = if task.work.expires_at <= now { "expired".to_owned() } else { task.state.clone() };
    if state != "open" {
        return Ok(Err(Refused::Settled(state)));
    }
    let deployed = journeys::deployed(&mut tx).await?;
    let fields =
        match deployed.catalog.tasks.get(&task.work.task).map(|declared| check(declared, outcome, answers)) {
            Some(Ok(fields)) => fields,
            Some(Err(refused)) => return Ok(Err(refused)),
            None => Fields::new(),
        };
    let settled = tx.exec(SETTLE, args![outcome, fields::to_text(&fields), now, task.bucket, id]).await?;
    if settled == 0 {
        // Somebody else was faster, on another connection.
        return Ok(Err(Refused::Settled("done".to_owned())));
    }
    let told = Outcome {
        enrollment: task.work.enrollment,
        step: task.work.step,
        round: task.work.round,
        outcome: outcome.into(),
        at: now,
        fields,
    };
    inbox::enqueue(&mut tx, vec![(task.contact, Input::Outcome(told))], now).await?;
    tx.commit().await?;
    store.wake();
    Ok(Ok(()))
}

/// The answers as the task declares them.
fn check(declared: &Declared, outcome: &str, answers: &BTreeMap<String, Json>) -> Result<Fields, Refused> {
    if declared.outcomes.iter().all(|known| &**known != outcome) {
        return Err(Refused::WrongOutcome(declared.outcomes.clone()));
    }
    let mut fields = Fields::new();
    for answer in &declared.answers {
        let json = answers.get(&*answer.name).unwrap_or(&Json::Null);
        let read = value::from_json(&answer.ty, json)
            .map_err(|misfit| Refused::WrongAnswer(answer.name.clone(), misfit.message))?;
        if read.is_known() {
            fields.insert(answer.name.clone(), read);
        }
    }
    Ok(fields)
}
