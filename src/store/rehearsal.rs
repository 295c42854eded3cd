//! Answers for rehearsals: open tasks get the first outcome that they declare, with a sample of each answer, as if somebody had done them
//! at once.

use std::collections::HashMap;

use super::sql::args;
use super::{Conn, Result, Rows, Store, fields, inbox, journeys, surveys, tasks};
use crate::engine::world::{Fields, Input, Outcome};
use crate::intake::samples::sample;
use crate::time::Timestamp;

/// Who is said to have done them.
const NOBODY: &str = "rehearsal";

/// The number of what one process at a time does. Any will do that nothing else has.
const REHEARSING: i64 = 7_022;

/// Tasks answered by one call.
const TOGETHER: u32 = 2_000;

/// Answers tasks that are due; how many.
pub async fn answer_tasks(store: &Store, now: Timestamp) -> Result<usize> {
    if tasks::list_open(&mut store.read().await?, None, now, 1).await?.is_empty() {
        return Ok(0);
    }
    let mut tx = store.write().await?;
    // What several processes answer at once is done twice, and counts once.
    tx.alone(REHEARSING).await?;
    let open = tasks::list_open(&mut tx, None, now, TOGETHER).await?;
    let answered = answer(&mut tx, &open, now).await?;
    tx.commit_unannounced().await?;
    Ok(answered)
}

async fn answer(tx: &mut Conn, open: &[tasks::Task], now: Timestamp) -> Result<usize> {
    let deployed = journeys::deployed(tx).await?;
    let (mut rows, mut told) = (Rows::with_capacity(open.len() * 4), HashMap::with_capacity(open.len()));
    for task in open {
        let Some(declared) = tasks::declared(&deployed.catalog, &task.work) else { continue };
        let Some(outcome) = declared.outcomes.first() else { continue };
        let answers: Fields = declared
            .answers
            .iter()
            .map(|answer| (answer.name.clone(), sample(&answer.name, &answer.ty)))
            .collect();
        let text = fields::to_text(&answers);
        rows.push([task.bucket.into(), task.work.id.0.into(), outcome.to_string().into(), text.into()]);
        let outcome = Outcome {
            enrollment: task.work.enrollment,
            step: task.work.step.clone(),
            round: task.work.round,
            outcome: outcome.clone(),
            at: now,
            fields: answers,
        };
        told.insert(task.work.id.0, (task, outcome));
    }
    const SETTLE: &str = "WITH n(bucket, id, outcome, answers) AS ({IITT}) \
        UPDATE tasks SET state = 'done', outcome = n.outcome, answers = n.answers, settled_at = $1 FROM n \
        WHERE tasks.bucket = n.bucket AND tasks.id = n.id AND tasks.state = 'open' RETURNING tasks.id";
    let mut inputs = Vec::with_capacity(told.len());
    // Somebody may have done one meanwhile, and tells of it.
    for row in tx.fetch_rows(SETTLE, rows, &args![now]).await? {
        let Some((task, outcome)) = told.remove(&row.i64(0)?) else { continue };
        if task.is_survey() {
            surveys::insert(tx, surveys::New::of_task(task, NOBODY, &outcome.fields), now).await?;
        }
        inputs.push((task.contact, Input::Outcome(outcome)));
    }
    let answered = inputs.len();
    inbox::enqueue(tx, inputs, now).await?;
    Ok(answered)
}
