//! Answers for rehearsals: open tasks get the first outcome that they declare, as if somebody had done them at once.

use std::collections::HashMap;

use super::sql::args;
use super::{Conn, Result, Rows, Store, inbox, journeys, tasks};
use crate::engine::world::{Fields, Input, Outcome};
use crate::time::Timestamp;

/// Tasks answered by one call.
const TOGETHER: u32 = 2_000;

/// Answers tasks that are due; how many.
pub async fn answer_tasks(store: &Store, now: Timestamp) -> Result<usize> {
    let open = tasks::list_open(&mut store.read().await?, None, now, TOGETHER).await?;
    if open.is_empty() {
        return Ok(0);
    }
    let mut tx = store.write().await?;
    let answered = answer(&mut tx, &open, now).await?;
    tx.commit_unannounced().await?;
    Ok(answered)
}

async fn answer(tx: &mut Conn, open: &[tasks::Task], now: Timestamp) -> Result<usize> {
    let deployed = journeys::deployed(tx).await?;
    let (mut rows, mut told) = (Rows::with_capacity(open.len() * 3), HashMap::with_capacity(open.len()));
    for task in open {
        let declared = deployed.catalog.tasks.get(&task.work.task);
        let Some(outcome) = declared.and_then(|declared| declared.outcomes.first()) else { continue };
        rows.push([task.bucket.into(), task.work.id.0.into(), outcome.to_string().into()]);
        let outcome = Outcome {
            enrollment: task.work.enrollment,
            step: task.work.step.clone(),
            round: task.work.round,
            outcome: outcome.clone(),
            at: now,
            fields: Fields::new(),
        };
        told.insert(task.work.id.0, (task.contact, Input::Outcome(outcome)));
    }
    const SETTLE: &str = "WITH n(bucket, id, outcome) AS ({IIT}) \
        UPDATE tasks SET state = 'done', outcome = n.outcome, settled_at = $1 FROM n \
        WHERE tasks.bucket = n.bucket AND tasks.id = n.id AND tasks.state = 'open' RETURNING tasks.id";
    let mut inputs = Vec::with_capacity(told.len());
    // Another process may answer the same ones: what it has answered is told by it.
    for row in tx.fetch_rows(SETTLE, rows, &args![now]).await? {
        inputs.extend(told.remove(&row.i64(0)?));
    }
    let answered = inputs.len();
    inbox::enqueue(tx, inputs, now).await?;
    Ok(answered)
}
