//! The built-in people of the teams: they take what is to be done in hand and tell what came of it, over the same doors as any agent.
//!
//! What is told is drawn from what the task allows: its outcomes, the first more often than the others, and its answers by their types.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Stage;
use super::people::chance;
use crate::time::{MINUTE, Timestamp};

/// How long after the last look the list is looked at again, in journey time.
const PAUSE: i64 = 45 * MINUTE;
/// Tasks that are done in one go.
const TOGETHER: usize = 25;
/// Who works is ill now and then: so many tasks in a thousand are left to expire.
const LEFT: u64 = 40;
/// Of so many people who are asked in person one does not want to answer.
const DECLINED: u64 = 6;

/// A team at work, and what it has told by task and outcome.
#[derive(Default)]
pub(super) struct Desk {
    next: Option<Timestamp>,
    pub told: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Desk {
    /// Does what is on the list, if it is time to look.
    pub(super) async fn work(&mut self, stage: &Stage, now: Timestamp) {
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        self.next = Some(now.plus_ms(PAUSE));
        let Ok(list) = stage.ask("/v1/tasks?limit=100").await else { return };
        let open = list["tasks"].as_array().map_or(&[][..], Vec::as_slice);
        let doable = open.iter().filter(|task| draw(stage, task, "left") % 1_000 >= LEFT);
        for task in doable.take(TOGETHER) {
            self.one(stage, task).await;
        }
    }

    async fn one(&mut self, stage: &Stage, task: &Value) {
        let Some(id) = task["id"].as_str() else { return };
        let (outcome, answers) = report(stage, task);
        let report = json!({ "outcome": outcome, "answers": answers });
        let done = async {
            stage.post(&format!("/v1/tasks/{id}/take"), &json!({})).await?;
            stage.post(&format!("/v1/tasks/{id}/outcome"), &report).await
        };
        match done.await {
            Ok(_) => {
                let task = task["task"].as_str().unwrap_or_default().to_owned();
                *self.told.entry(task).or_default().entry(outcome).or_default() += 1;
            }
            // It may have expired just now.
            Err(error) => tracing::debug!(error = %error, "a task of the demo was not done"),
        }
    }
}

/// A number for this task, the same in each run.
fn draw(stage: &Stage, task: &Value, what: &str) -> u64 {
    let part = |name: &str| task[name].as_str().unwrap_or_default();
    let person = task["contact"]["name"].as_str().or(task["contact"]["phone"].as_str()).unwrap_or_default();
    // Who is asked a survey is asked once; other work comes again on another day.
    let day = if part("verb") == "ask" { "" } else { part("due_at") };
    chance(stage.seed, &[person, part("journey"), part("step"), day, what])
}

fn report(stage: &Stage, task: &Value) -> (String, Map<String, Value>) {
    let outcomes: Vec<&str> =
        task["outcomes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let n = draw(stage, task, "outcome");
    let outcome = match outcomes.as_slice() {
        [] => "",
        [only] => only,
        [first, ..] if task["verb"] == "ask" && !n.is_multiple_of(DECLINED) => first,
        // The first of them as often as all the others.
        [first, ..] if n.is_multiple_of(2) => first,
        [_, others @ ..] => others[usize::try_from(n / 2).unwrap_or(0) % others.len()],
    };
    let fields = task["answers"].as_array().into_iter().flatten();
    let answers = fields.filter_map(|field| {
        let name = field["name"].as_str()?;
        Some((name.to_owned(), answer(field, draw(stage, task, name))?))
    });
    (outcome.to_owned(), answers.collect())
}

/// An answer of the type that the field has; `None` where none is given.
pub(super) fn answer(field: &Value, n: u64) -> Option<Value> {
    if field["optional"].as_bool() == Some(true) && n.is_multiple_of(3) {
        return None;
    }
    let (n, ty) = (n / 3, field["type"].as_str()?);
    if let Some(values) = field["values"].as_array().filter(|values| !values.is_empty()) {
        return values.get(usize::try_from(n).unwrap_or(0) % values.len()).cloned();
    }
    let bound = |name: &str, unless: u64| field[name].as_u64().unwrap_or(unless);
    match ty.split(' ').next()? {
        // Two draws, the better one: people are rather content. Bounds of decimals come as text: a small amount will do.
        "number" | "decimal" => {
            let (low, high) = (bound("from", 1), bound("to", 9));
            let width = high.saturating_sub(low) + 1;
            Some(json!(low + (n % width).max(n / width % width)))
        }
        "yesno" => Some(json!(n % 4 != 0)),
        "text" => Some(json!(SAID[usize::try_from(n).unwrap_or(0) % SAID.len()])),
        _ => None,
    }
}

const SAID: [&str; 5] = [
    "Could be ground a little finer.",
    "A smaller bag to try would be nice.",
    "The parcel stood in the rain.",
    "Would like to hear about decaf again.",
    "Loves the smell when opening the bag.",
];
