//! Answers for rehearsals: open tasks get the first outcome that they declare, as if somebody had done them at once.

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
    store.wake();
    Ok(answered)
}

async fn answer(tx: &mut Conn, open: &[tasks::Task], now: Timestamp) -> Result<usize> {
    let deployed = journeys::deployed(tx).await?;
    let (mut rows, mut inputs) = (Rows::with_capacity(open.len() * 3), Vec::with_capacity(open.len()));
    for task in open {
        let declared = deployed.catalog.tasks.get(&task.work.task);
        let Some(outcome) = declared.and_then(|declared| declared.outcomes.first()) else { continue };
        rows.push([task.bucket.into(), task.work.id.0.into(), outcome.to_string().into()]);
        let told = Outcome {
            enrollment: task.work.enrollment,
            step: task.work.step.clone(),
            round: task.work.round,
            outcome: outcome.clone(),
            at: now,
            fields: Fields::new(),
        };
        inputs.push((task.contact, Input::Outcome(told)));
    }
    const SETTLE: &str = "WITH n(bucket, id, outcome) AS ({IIT}) \
        UPDATE tasks SET state = 'done', outcome = n.outcome, settled_at = $1 FROM n \
        WHERE tasks.bucket = n.bucket AND tasks.id = n.id AND tasks.state = 'open'";
    tx.exec_rows(SETTLE, rows, &args![now]).await?;
    let answered = inputs.len();
    inbox::enqueue(tx, inputs, now).await?;
    Ok(answered)
}
