//! Questions that journeys ask, and the answers of people: typed, in one table, whichever way they came.
//!
//! A message whose template is a survey of the schema is a question. It is open while its enrollment rests at a wait for `answered`;
//! the same may have been asked again by another message, and then an answer to either is one to the last. The first answer counts:
//! its row and the word to the enrollment are written together, and a second one says so and changes nothing.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::deliveries::{self, Receipt};
use super::held::plain;
use super::names::{self, spelled};
use super::sql::args;
use super::tasks::Task;
use super::timers::{self, Pointer};
use super::{Arg, Conn, Result, Row, Store, fields, inbox, journeys};
use crate::engine::eval::ANSWERED;
use crate::engine::program::{Program, Signal, SlotIx, Step, StepKind, Survey, Trigger, WaitEvent, Word};
use crate::engine::state::{RestKind, State};
use crate::engine::world::{Fields, Input, Outcome};
use crate::id::{ContactId, DeliveryId, EnrollmentId, TaskId};
use crate::time::Timestamp;
use crate::value::Value;

/// The way an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The page that a link leads to.
    Page,
    /// A reply to a message.
    Text,
    /// Somebody asked in person.
    Phone,
}

impl Way {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Way::Page => "page",
            Way::Text => "text",
            Way::Phone => "phone",
        }
    }
}

/// How a question stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Open,
    /// It was answered before; with the name under which that was told.
    Answered(Option<String>),
    /// Nobody waits for an answer any more.
    Over,
}

/// A question as whoever answers needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub contact: ContactId,
    /// The name of the survey.
    pub survey: Word,
    pub standing: Standing,
}

/// Why an answer was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such message, or it asks nothing.
    Unknown,
    /// See [`Standing::Answered`].
    Answered(Option<String>),
    /// See [`Standing::Over`].
    Over,
}

/// An answer as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub id: i64,
    pub contact: ContactId,
    pub survey: Word,
    pub journey: Word,
    pub step: Word,
    pub round: u32,
    pub delivery: Option<DeliveryId>,
    pub task: Option<TaskId>,
    pub at: Timestamp,
    /// `page`, `text` or `phone`.
    pub way: String,
    pub told_by: Option<String>,
    pub fields: Fields,
}

impl Line {
    /// As people and programs see it.
    pub fn as_json(&self) -> Json {
        json!({
            "id": crate::id::to_base32(self.id), "contact": self.contact.to_string(), "survey": self.survey,
            "journey": self.journey, "step": self.step, "round": self.round,
            "delivery": self.delivery.map(|id| id.to_string()), "task": self.task.map(|id| id.to_string()),
            "at": self.at.to_string(), "way": self.way, "fields": plain(&self.fields),
        })
    }
}

// ---------------------------------------------------------------- asking

/// The question that a message asks, and how it stands at that moment of the journey clock; `None` where it asks nothing.
pub async fn question(conn: &mut Conn, delivery: DeliveryId, now: Timestamp) -> Result<Option<Question>> {
    let deployed = journeys::deployed(conn).await?;
    let Some(receipt) = deliveries::receipt(conn, delivery).await? else { return Ok(None) };
    let Some(survey) = receipt.template().filter(|name| deployed.catalog.surveys.contains_key(*name)) else {
        return Ok(None);
    };
    let survey: Word = survey.into();
    let standing = match former(conn, &receipt, &survey).await? {
        Some(told_by) => Standing::Answered(told_by),
        None if place(conn, &deployed, &receipt, &survey, now).await?.is_some() => Standing::Open,
        None => Standing::Over,
    };
    Ok(Some(Question { contact: receipt.contact, survey, standing }))
}

/// Takes an answer to the question of a message, and tells the enrollment.
pub async fn answer(
    store: &Store,
    delivery: DeliveryId,
    way: Way,
    told_by: Option<&str>,
    fields: Fields,
    now: Timestamp,
) -> Result<std::result::Result<(), Refused>> {
    let mut tx = store.write().await?;
    let deployed = journeys::deployed(&mut tx).await?;
    let Some(receipt) = deliveries::receipt_locked(&mut tx, delivery).await? else {
        return Ok(Err(Refused::Unknown));
    };
    let survey = receipt.template().filter(|name| deployed.catalog.surveys.contains_key(*name));
    let Some(survey) = survey.map(Word::from) else { return Ok(Err(Refused::Unknown)) };
    if let Some(told_by) = former(&mut tx, &receipt, &survey).await? {
        return Ok(Err(Refused::Answered(told_by)));
    }
    let Some(Place { step, round, .. }) = place(&mut tx, &deployed, &receipt, &survey, now).await? else {
        return Ok(Err(Refused::Over));
    };
    let new = New {
        bucket: receipt.bucket,
        contact: receipt.contact,
        enrollment: receipt.enrollment,
        journey: &receipt.journey(),
        step: &step,
        round,
        survey: &survey,
        of: Of::Delivery(receipt.id),
        way,
        told_by,
        fields: &fields,
    };
    if !insert(&mut tx, new, now).await? {
        // Somebody was faster, on another connection.
        return Ok(Err(Refused::Answered(None)));
    }
    let outcome = ANSWERED.into();
    let told = Outcome { enrollment: receipt.enrollment, step, round, outcome, at: now, fields };
    inbox::enqueue(&mut tx, vec![(receipt.contact, Input::Outcome(told))], now).await?;
    tx.commit().await?;
    store.wake();
    Ok(Ok(()))
}

/// What a reply to a message is to be read as, if the message asks a survey.
pub(super) struct Open {
    pub(super) survey: Survey,
    /// How its enrollment hears of an answer; `None`: nobody waits for one.
    pub(super) place: Option<Place>,
}

/// Where an enrollment waits for an answer.
pub(super) struct Place {
    /// The message as the enrollment knows it, the first where it was asked again.
    pub(super) step: Word,
    pub(super) round: u32,
    /// The wait itself.
    pub(super) wait: Word,
}

/// The question that a message asks, for a reply to it.
pub(super) async fn open(conn: &mut Conn, receipt: &Receipt, now: Timestamp) -> Result<Option<Open>> {
    let deployed = journeys::deployed(conn).await?;
    let name = receipt.template().and_then(|name| deployed.catalog.surveys.get_key_value(name));
    let Some((name, survey)) = name else { return Ok(None) };
    let place = place(conn, &deployed, receipt, name, now).await?;
    Ok(Some(Open { survey: survey.clone(), place }))
}

/// What an answer belongs to.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Delivery(DeliveryId),
    Task(TaskId),
}

/// An answer that is to be stored.
pub(super) struct New<'a> {
    pub(super) bucket: i64,
    pub(super) contact: ContactId,
    pub(super) enrollment: EnrollmentId,
    pub(super) journey: &'a Word,
    pub(super) step: &'a Word,
    pub(super) round: u32,
    pub(super) survey: &'a Word,
    pub(super) of: Of,
    pub(super) way: Way,
    pub(super) told_by: Option<&'a str>,
    pub(super) fields: &'a Fields,
}

impl<'a> New<'a> {
    /// The answers that somebody got in person.
    pub(super) fn of_task(task: &'a Task, who: &'a str, fields: &'a Fields) -> New<'a> {
        New {
            bucket: task.bucket,
            contact: task.contact,
            enrollment: task.work.enrollment,
            journey: &task.work.journey,
            step: &task.work.step,
            round: task.work.round,
            survey: &task.work.task,
            of: Of::Task(task.work.id),
            way: Way::Phone,
            told_by: Some(who),
            fields,
        }
    }
}

/// Stores an answer, unless the question has one.
pub(super) async fn insert(tx: &mut Conn, new: New<'_>, now: Timestamp) -> Result<bool> {
    const INSERT: &str = "INSERT INTO answers (bucket, id, contact, survey, journey, enrollment, step, round, \
        delivery, task, at, way, told_by, fields) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING";
    let id = tx.core.new_id();
    let survey = names::intern(tx, new.survey).await?;
    let journey = names::intern(tx, new.journey).await?;
    let step = names::intern(tx, new.step).await?;
    let (delivery, task): (Arg, Arg) = match new.of {
        Of::Delivery(id) => (id.into(), Arg::NoI64),
        Of::Task(id) => (Arg::NoI64, id.into()),
    };
    let mut args = args![new.bucket, id, new.contact, survey, journey, new.enrollment, step, new.round];
    args.extend([delivery, task]);
    args.extend(args![now, new.way.as_str(), new.told_by.map(str::to_owned), fields::to_text(new.fields)]);
    Ok(tx.exec(INSERT, args).await? == 1)
}

/// Whether a question was answered: that of the message, or the same that was asked again for it. With the name of who told it.
async fn former(conn: &mut Conn, receipt: &Receipt, survey: &Word) -> Result<Option<Option<String>>> {
    // Without the order SQLite walks the whole bucket by its primary key.
    const FORMER: &str = "SELECT step, round, delivery, at, told_by FROM answers \
        WHERE bucket = $1 AND enrollment = $2 AND survey = $3 ORDER BY step, round";
    let (Some(survey), Some(step)) =
        (names::find(conn, survey).await?, names::find(conn, &receipt.step).await?)
    else {
        return Ok(None);
    };
    for row in conn.fetch(FORMER, args![receipt.bucket, receipt.enrollment, survey]).await? {
        let is_own = row.opt_i64(2)? == Some(receipt.id.0);
        let is_same = row.i64(0)? == step && row.i64(1)? == i64::from(receipt.round);
        // What was answered since then was asked by a message that says the same.
        if is_own || is_same || row.at(3)? >= receipt.due_at {
            return Ok(Some(row.opt_text(4)?.map(str::to_owned)));
        }
    }
    Ok(None)
}

/// Where the enrollment of a message waits for an answer, if it does.
async fn place(
    conn: &mut Conn,
    deployed: &journeys::Deployed,
    receipt: &Receipt,
    survey: &Word,
    now: Timestamp,
) -> Result<Option<Place>> {
    let pointer = Pointer { contact: receipt.contact, id: receipt.enrollment, wake_at: None };
    let Some(timer) = timers::load(conn, receipt.bucket, &[pointer]).await?.pop() else { return Ok(None) };
    let (enrollment, _) = timer.enrollment(deployed)?;
    Ok(waiting(&enrollment.program, &enrollment.state, survey, now))
}

/// The wait for an answer to that survey. Messages that ask again share their result with the first, or are waited for alone.
fn waiting(program: &Program, state: &State, survey: &Word, now: Timestamp) -> Option<Place> {
    let main = state.suspended.as_ref().map(|main| (main.step, &main.rest));
    let rests = main.into_iter().chain([(state.step, &state.rest)]).filter(|_| !state.ended);
    for (step, _) in rests.filter(|(_, rest)| rest.kind == RestKind::Waiting && rest.due_at >= now) {
        let Some(step) = program.steps.get(usize::from(step)) else { continue };
        let StepKind::WaitEvent(wait) = &step.kind else { continue };
        let slots = slots_of(wait);
        let asks = |ask: &&Step| {
            let is_waited_for = ask.slot.is_some_and(|slot| slots.contains(&slot));
            is_waited_for && matches!(&ask.kind, StepKind::Send(send) if send.template == *survey)
        };
        if let Some(ask) = program.steps.iter().find(asks) {
            let round = ask.slot.map_or(0, |slot| round_of(state, slot));
            return Some(Place { step: ask.id.clone(), round, wait: step.id.clone() });
        }
    }
    None
}

/// The messages whose answers a wait is for.
fn slots_of(wait: &WaitEvent) -> BTreeSet<SlotIx> {
    let events = wait.arms.iter().filter_map(|arm| match &arm.on {
        Trigger::Event(on) => Some(&on.signals),
        Trigger::Condition { .. } => None,
    });
    let slot = |signal: &Signal| match signal {
        Signal::Outcome { slot, outcome } if **outcome == *ANSWERED => Some(*slot),
        _ => None,
    };
    events.flatten().filter_map(slot).collect()
}

/// The round of the message whose result lives in that slot.
fn round_of(state: &State, slot: SlotIx) -> u32 {
    let Some(Value::Record(result)) = state.slots.get(usize::from(slot)) else { return 0 };
    match result.get("#round") {
        Some(Value::Number(round)) => u32::try_from(*round).unwrap_or(0),
        _ => 0,
    }
}

// ---------------------------------------------------------------- reading

macro_rules! lines {
    ($rest:literal) => {
        concat!(
            "SELECT id, contact, survey, journey, step, round, delivery, task, at, way, told_by, fields FROM answers ",
            $rest
        )
    };
}

/// Answers to a survey, newest first: those before that id, at most so many. `None`: no answer was ever given to one of that name.
pub async fn of_survey(
    conn: &mut Conn,
    survey: &str,
    before: Option<i64>,
    limit: u32,
) -> Result<Option<Vec<Line>>> {
    const OF: &str = lines!("WHERE bucket = $1 AND survey = $2 AND id < $3 ORDER BY id DESC LIMIT $4");
    let Some(name) = names::find(conn, survey).await? else { return Ok(None) };
    let before = before.unwrap_or(i64::MAX);
    let mut rows = Vec::new();
    for bucket in 0..conn.core.settings().buckets {
        rows.extend(conn.fetch(OF, args![bucket, name, before, i64::from(limit)]).await?);
    }
    let mut lines = read(conn, rows).await?;
    lines.sort_by_key(|line| std::cmp::Reverse(line.id));
    lines.truncate(limit as usize);
    Ok(Some(lines))
}

/// All answers of a contact, oldest first.
pub async fn of_contact(conn: &mut Conn, contact: ContactId) -> Result<Vec<Line>> {
    const OF: &str = lines!("WHERE bucket = $1 AND contact = $2 ORDER BY id");
    let bucket = conn.core.bucket_of(contact);
    let rows = conn.fetch(OF, args![bucket, contact]).await?;
    read(conn, rows).await
}

async fn read(conn: &mut Conn, rows: Vec<Row>) -> Result<Vec<Line>> {
    let mut numbers = Vec::with_capacity(rows.len() * 3);
    for row in &rows {
        numbers.extend([row.i64(2)?, row.i64(3)?, row.i64(4)?]);
    }
    let words = names::spell(conn, numbers).await?;
    let line = |row: &Row| {
        Ok(Line {
            id: row.i64(0)?,
            contact: ContactId(row.i64(1)?),
            survey: spelled(&words, row.i64(2)?)?,
            journey: spelled(&words, row.i64(3)?)?,
            step: spelled(&words, row.i64(4)?)?,
            round: u32::try_from(row.i64(5)?).unwrap_or(u32::MAX),
            delivery: row.opt_i64(6)?.map(DeliveryId),
            task: row.opt_i64(7)?.map(TaskId),
            at: row.at(8)?,
            way: row.text(9)?.to_owned(),
            told_by: row.opt_text(10)?.map(str::to_owned),
            fields: fields::from_text(row.text(11)?)?,
        })
    };
    rows.iter().map(line).collect()
}

/// Forgets answers before an id; ids grow with time. Deletes at most so many rows and says how many.
pub async fn forget(tx: &mut Conn, bucket: i64, before: i64, limit: i64) -> Result<u64> {
    const FORGET: &str = "DELETE FROM answers WHERE bucket = $1 AND id IN ( \
        SELECT id FROM answers WHERE bucket = $2 AND id < $3 ORDER BY id LIMIT $4)";
    tx.exec(FORGET, args![bucket, bucket, before, limit]).await
}
