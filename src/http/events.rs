//! Events in: `identify`, `track` and `batch` of the Segment HTTP tracking API.
//!
//! Answered 2xx only after the commit. A bad item never loses the others: it is kept in `rejected_events` with its reason, and the
//! answer is 200 with the counts, because the clients drop a batch that is answered with 400. 4xx is only for a request that
//! cannot be read as a whole.

use axum::body::Bytes;
use axum::extract::State;
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::Doors;
use super::auth::MayIngest;
use super::problem::Problem;
use crate::engine::world::{Event, Input};
use crate::intake::{self, Act, Clocks, Item, Rejected};
use crate::store::inbox::{Accepted, Incoming, To};
use crate::store::rejected;
use crate::time::Timestamp;

/// The most items of one batch.
const BATCH_ITEMS: usize = 2_000;

/// What kind of item a route takes; `batch` items say it themselves.
#[derive(Clone, Copy, Debug)]
pub struct Route(pub Option<&'static str>);

/// `POST /v1/identify`, `/v1/track`, `/v1/batch` and their kin.
pub async fn post(
    _key: MayIngest,
    State(doors): State<Doors>,
    Extension(Route(kind)): Extension<Route>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let body: Value = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad("not-json", format!("the body cannot be read as JSON: {error}")))?;
    let sent_at = body.get("sentAt").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let items = match kind {
        Some(_) => vec![body],
        None => batch(body)?,
    };
    let clocks = Clocks { sent_at, received_at: doors.clock.now() };
    take(&doors, items, kind, clocks).await.map(Json)
}

fn batch(mut body: Value) -> Result<Vec<Value>, Problem> {
    let Some(Value::Array(items)) = body.get_mut("batch").map(Value::take) else {
        return Err(Problem::bad("no-batch", "the body is an object with a list `batch`"));
    };
    if items.len() > BATCH_ITEMS {
        return Err(Problem::new(
            axum::http::StatusCode::PAYLOAD_TOO_LARGE,
            "batch-too-long",
            format!("a batch has at most {BATCH_ITEMS} items; send more requests"),
        ));
    }
    Ok(items)
}

async fn take(
    doors: &Doors,
    items: Vec<Value>,
    kind: Option<&str>,
    clocks: Clocks,
) -> Result<Value, Problem> {
    let deployed = doors.deployed().await?;
    let catalog = &deployed.catalog;
    if deployed.generation == 0 {
        return Err(Problem::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "nothing-deployed",
            "no schema is deployed yet, so no item can be read; `fahrplan deploy` does it",
        ));
    }
    let (mut incoming, mut places, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    for (index, json) in items.iter().enumerate() {
        match intake::read_item(catalog, json, kind, clocks) {
            Ok(read) => {
                bad.extend(read.rejected.into_iter().map(|reason| (index, reason)));
                incoming.push(to_incoming(read.item, clocks.received_at));
                places.push(index);
            }
            Err(reason) => bad.push((index, reason)),
        }
    }
    let mut duplicates = 0;
    for (index, accepted) in places.into_iter().zip(doors.store.accept(incoming, clocks.received_at).await?) {
        match accepted {
            Accepted::Taken(_) => {}
            Accepted::Repeated => duplicates += 1,
            Accepted::Nobody => {
                bad.push((index, Rejected { code: "no-identity", reason: "nobody is named".to_owned() }))
            }
        }
    }
    bad.sort_by_key(|(index, _)| *index);
    keep(doors, &items, &bad, clocks.received_at).await?;
    Ok(answer(items.len(), duplicates, &bad))
}

/// What the inbox takes for an item.
pub fn to_incoming(item: Item, accepted_at: Timestamp) -> Incoming {
    let input = match item.what {
        Act::Event { name, occurred_at, fields } => {
            Input::Event(Event { id: 0, name, occurred_at, accepted_at, fields, quiet: false })
        }
        Act::Attributes(values) => Input::Attributes { values, at: accepted_at },
    };
    Incoming { to: To::Who(item.who), message_id: item.message_id, input }
}

async fn keep(
    doors: &Doors,
    items: &[Value],
    bad: &[(usize, Rejected)],
    now: Timestamp,
) -> Result<(), Problem> {
    if bad.is_empty() {
        return Ok(());
    }
    let rows = bad.iter().map(|(index, reason)| (items[*index].to_string(), reason.clone())).collect();
    metrics::counter!("fahrplan_items_rejected_total").increment(bad.len() as u64);
    Ok(rejected::keep(&doors.store, "http", rows, now).await?)
}

fn answer(items: usize, duplicates: usize, bad: &[(usize, Rejected)]) -> Value {
    let rejected: std::collections::BTreeSet<usize> = bad.iter().map(|(index, _)| *index).collect();
    let rejections: Vec<Value> = bad
        .iter()
        .take(100)
        .map(|(index, reason)| json!({ "index": index, "code": reason.code, "reason": reason.reason }))
        .collect();
    let accepted = items - duplicates.min(items) - rejected.len().min(items - duplicates.min(items));
    metrics::counter!("fahrplan_items_accepted_total").increment(accepted as u64);
    metrics::counter!("fahrplan_items_duplicate_total").increment(duplicates as u64);
    json!({
        "success": true,
        "accepted": accepted,
        "duplicates": duplicates,
        "rejected": rejected.len(),
        "rejections": rejections,
    })
}
