//! What came of a task: the outcome, with the answers that the schema declares for it.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::hand::refused;
use super::{Attempt, Now, Refused, Task, find};
use crate::engine::eval::ANSWERED;
use crate::engine::program::{Catalog, Task as Declared};
use crate::engine::world::{Fields, Input, NewTask, Outcome};
use crate::id::TaskId;
use crate::store::sql::args;
use crate::store::{Conn, Result, Store, fields, inbox, journeys, surveys};
use crate::value;

/// What somebody tells of a task.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    pub who: &'a str,
    pub outcome: &'a str,
    /// By name; those that are missing count as unknown.
    pub answers: &'a BTreeMap<String, Json>,
    pub note: Option<&'a str>,
}

/// Takes the outcome that somebody reports, and tells the enrollment. A task has one outcome: a second report changes nothing.
pub async fn outcome(store: &Store, id: TaskId, report: Report<'_>, now: Now) -> Result<Result<(), Refused>> {
    const SETTLE: &str = "UPDATE tasks SET state = 'done', outcome = $1, answers = $2, settled_at = $3, \
        attempts = attempts + 1, taken_by = $4, note = COALESCE($5, note), told = COALESCE(told, '') || $6 \
        WHERE bucket = $7 AND id = $8 AND state = 'open' \
        AND (taken_until IS NULL OR taken_until <= $9 OR taken_by = $10)";
    let mut tx = store.write().await?;
    let Some(task) = find(&mut tx, id).await? else { return Ok(Err(Refused::Unknown)) };
    if let Some(refused) = refused(&task, report.who, now) {
        return Ok(Err(refused));
    }
    let deployed = journeys::deployed(&mut tx).await?;
    let declared = declared(&deployed.catalog, &task.work);
    let owes = owes_answers(&task, report);
    let fields = match declared.as_ref().map(|declared| check(declared, report, owes)) {
        Some(Ok(fields)) => fields,
        Some(Err(refused)) => return Ok(Err(refused)),
        None => Fields::new(),
    };
    let mut args = args![report.outcome, fields::to_text(&fields), now.journey, report.who];
    let attempt = Attempt {
        at: now.journey,
        who: report.who.to_owned(),
        until: None,
        outcome: Some(report.outcome.to_owned()),
        note: report.note.map(str::to_owned),
    };
    args.extend(args![
        report.note.map(str::to_owned),
        attempt.to_line(),
        task.bucket,
        id,
        now.machine,
        report.who
    ]);
    if tx.exec(SETTLE, args).await? == 0 {
        // Somebody else was faster, on another connection.
        let after = find(&mut tx, id).await?;
        let why = after.as_ref().and_then(|task| self::refused(task, report.who, now));
        return Ok(Err(why.unwrap_or_else(|| Refused::Settled("done".to_owned()))));
    }
    if task.is_survey() && report.outcome == ANSWERED {
        surveys::insert(&mut tx, surveys::New::of_task(&task, report.who, &fields), now.journey).await?;
    }
    let told = Outcome {
        enrollment: task.work.enrollment,
        step: task.work.step,
        round: task.work.round,
        outcome: report.outcome.into(),
        at: now.journey,
        fields,
    };
    inbox::enqueue(&mut tx, vec![(task.contact, Input::Outcome(told))], now.journey).await?;
    tx.commit().await?;
    store.wake();
    Ok(Ok(()))
}

/// Whether exactly that was told of a task before, by the same person: then saying it again is no other outcome.
pub async fn was_told(conn: &mut Conn, id: TaskId, report: Report<'_>) -> Result<bool> {
    const ANSWERS: &str = "SELECT answers FROM tasks WHERE bucket = $1 AND id = $2";
    let Some(task) = find(conn, id).await? else { return Ok(false) };
    let is_same = task.state == "done"
        && task.outcome.as_deref() == Some(report.outcome)
        && task.hand.taken_by.as_deref() == Some(report.who);
    if !is_same {
        return Ok(false);
    }
    let deployed = journeys::deployed(conn).await?;
    let given = match declared(&deployed.catalog, &task.work) {
        Some(declared) => check(&declared, report, owes_answers(&task, report)).ok(),
        None => Some(Fields::new()),
    };
    let row = conn.fetch_first(ANSWERS, args![task.bucket, id]).await?;
    let kept = row.and_then(|row| row.opt_text(0).ok().flatten().map(fields::from_text)).transpose()?;
    Ok(given == Some(kept.unwrap_or_default()))
}

/// Whether the answers of a task go with that outcome: who declines a survey owes none.
fn owes_answers(task: &Task, report: Report<'_>) -> bool {
    !task.is_survey() || report.outcome == ANSWERED
}

/// The verb of tasks that ask a survey; such a task is called like it.
pub const ASK: &str = "ask";

/// The outcome of a task whose survey nobody wants to answer.
const DECLINED: &str = "declined";

/// What can come of a task: as the schema declares it, or its survey.
pub fn declared(catalog: &Catalog, work: &NewTask) -> Option<Declared> {
    if *work.verb != *ASK {
        return catalog.tasks.get(&work.task).cloned();
    }
    let survey = catalog.surveys.get(&work.task)?;
    Some(Declared {
        script: None,
        outcomes: vec![ANSWERED.into(), DECLINED.into()],
        answers: survey.questions.iter().map(|question| question.field.clone()).collect(),
    })
}

/// The answers as the task declares them. Who was not asked, or declined, owes none.
fn check(declared: &Declared, report: Report<'_>, owes: bool) -> std::result::Result<Fields, Refused> {
    if declared.outcomes.iter().all(|known| &**known != report.outcome) {
        return Err(Refused::WrongOutcome(declared.outcomes.clone()));
    }
    let is_declared = |name: &String| declared.answers.iter().any(|answer| *answer.name == **name);
    if let Some(name) = report.answers.keys().find(|name| !is_declared(name)) {
        return Err(Refused::WrongAnswer(name.as_str().into(), "the task asks no such thing".to_owned()));
    }
    let mut fields = Fields::new();
    for answer in declared.answers.iter().filter(|_| owes) {
        let json = report.answers.get(&*answer.name).unwrap_or(&Json::Null);
        let read = value::from_json(&answer.ty, json)
            .map_err(|misfit| Refused::WrongAnswer(answer.name.clone(), misfit.message))?;
        if read.is_known() {
            fields.insert(answer.name.clone(), read);
        }
    }
    Ok(fields)
}
