//! Events in: the Segment HTTP tracking API, item by item and in batches.
//!
//! Answered 2xx only after the commit. A bad item never loses the others: it is kept in `rejected_events` with its reason, and the
//! answer is 200 with the counts, because the clients drop a batch that is answered with 400. 4xx is only for a request that
//! cannot be read as a whole.

use std::borrow::Cow;
use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Doors;
use super::auth::MayIngest;
use super::problem::Problem;
use crate::engine::program::Word;
use crate::engine::world::{Event, Fields, Input};
use crate::intake::{self, Act, Clocks, Item, Rejected};
use crate::store::inbox::{Accepted, Incoming, To};
use crate::store::rejected::{self, Bad, Replay};
use crate::time::Timestamp;

/// The most items of one batch.
const BATCH_ITEMS: usize = 2_000;
/// The most rejections that are told one by one; all are kept.
const TOLD: usize = 100;

/// What kind of item a route takes; `batch` items say it themselves.
#[derive(Clone, Copy, Debug)]
pub struct Route(pub Option<&'static str>);

/// `POST /v1/identify`, `/v1/track`, `/v1/page`, `/v1/screen`, `/v1/group`, `/v1/alias` and `/v1/batch`.
pub async fn post(
    key: MayIngest,
    State(doors): State<Doors>,
    Extension(Route(kind)): Extension<Route>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    if !doors.store.has_room() {
        return Err(crate::store::Error::Busy.into());
    }
    let (items, sent_at) = match kind {
        Some(_) => single(&body)?,
        None => batch(&body)?,
    };
    doors.settings.limits.take_items(&key.0.prefix, items.len())?;
    let clocks = Clocks { sent_at, received_at: doors.clock.now() };
    take(&doors, items, kind, clocks).await.map(Json)
}

/// An item as it came, and as it was read.
pub(super) struct Came<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) json: Result<Value, Rejected>,
}

/// An item, or a part of one, that was not taken.
struct Refused {
    index: usize,
    why: Rejected,
    /// The attribute that does not fit, if the rest was stored.
    part: Option<Word>,
}

type Items<'a> = (Vec<Came<'a>>, Option<Timestamp>);

fn single(body: &[u8]) -> Result<Items<'_>, Problem> {
    let json: Value = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    let sent_at = json.get("sentAt").and_then(Value::as_str).and_then(|text| text.parse().ok());
    Ok((vec![Came { text: String::from_utf8_lossy(body), json: Ok(json) }], sent_at))
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::bad("not-json", format!("the body cannot be read as JSON: {error}"))
}

/// A body of `/v1/batch`. Its items are read one by one, so that one that cannot be read does not cost the others: half an emoji, which
/// clients cut off, makes a text that is none.
#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
    #[serde(rename = "sentAt", default)]
    sent_at: Option<&'a RawValue>,
}

fn batch(body: &[u8]) -> Result<Items<'_>, Problem> {
    let read: Batch = serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data if std::str::from_utf8(body).is_ok() => {
            Problem::bad("no-batch", "the body is an object with a list `batch`")
        }
        _ => not_json(&error),
    })?;
    if read.batch.len() > BATCH_ITEMS {
        return Err(Problem::new(
            axum::http::StatusCode::PAYLOAD_TOO_LARGE,
            "batch-too-long",
            format!("a batch has at most {BATCH_ITEMS} items; send more requests"),
        ));
    }
    let sent_at = read.sent_at.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok()?.parse().ok());
    Ok((read.batch.into_iter().map(item).collect(), sent_at))
}

fn item(raw: &RawValue) -> Came<'_> {
    let json = serde_json::from_str(raw.get()).map_err(|error| Rejected {
        code: "not-json",
        reason: format!("the item cannot be read as JSON: {error}"),
    });
    Came { text: Cow::Borrowed(raw.get()), json }
}

pub(super) async fn take(
    doors: &Doors,
    mut items: Vec<Came<'_>>,
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
    let (mut incoming, mut places) = (Vec::new(), Vec::new());
    let mut bad: Vec<Refused> = Vec::new();
    let (mut taken, mut ignored, mut repeated) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, came) in items.iter_mut().enumerate() {
        // Many batches may wait for their turn: what was read of an item takes ten times the room of its text.
        let read = std::mem::replace(&mut came.json, Ok(Value::Null));
        match read.and_then(|json| intake::read_item(catalog, &json, kind, clocks)) {
            Ok(read) => {
                bad.extend(read.rejected.into_iter().map(|(part, why)| Refused {
                    index,
                    why,
                    part: Some(part),
                }));
                if read.item.what == Act::Nothing {
                    ignored.insert(index);
                    if !read.item.who.links() {
                        taken.insert(index);
                        continue;
                    }
                }
                incoming.push(to_incoming(read.item, clocks.received_at));
                places.push(index);
            }
            Err(why) => bad.push(Refused { index, why, part: None }),
        }
    }
    for (index, accepted) in places.into_iter().zip(doors.store.accept(incoming, clocks.received_at).await?) {
        match accepted {
            Accepted::Taken(_) => drop(taken.insert(index)),
            Accepted::Repeated => drop(repeated.insert(index)),
            Accepted::Nobody => {
                let why = Rejected::new("no-identity", "nobody is named");
                bad.push(Refused { index, why, part: None });
            }
            Accepted::TwoPeople => bad.push(Refused { index, why: two_people(), part: None }),
        }
    }
    // What came before was told and kept then.
    bad.retain(|refused| !repeated.contains(&refused.index));
    bad.sort_by_key(|refused| refused.index);
    let kept = bad.iter().map(|Refused { index, why, part }| {
        let replay =
            Replay { kind: kind.unwrap_or_default().to_owned(), sent_at: clocks.sent_at, part: part.clone() };
        Bad { body: items[*index].text.to_string(), why: why.clone(), replay: Some(replay) }
    });
    rejected::keep_all(&doors.store, "http", kept.collect(), clocks.received_at).await?;
    ignored.retain(|index| taken.contains(index));
    Ok(answer(items.len(), &taken, ignored.len(), repeated.len(), &bad))
}

/// Why an alias was not taken.
pub fn two_people() -> Rejected {
    Rejected::new(
        "two-people",
        "both are known as people of their own, each with a user id; two people never become one",
    )
}

/// What the inbox takes for an item.
pub fn to_incoming(item: Item, accepted_at: Timestamp) -> Incoming {
    let input = match item.what {
        Act::Event { name, occurred_at, fields } => {
            Input::Event(Event { id: 0, name, occurred_at, accepted_at, fields, quiet: false })
        }
        Act::Attributes(values) => Input::Attributes { values, at: accepted_at },
        Act::Nothing => Input::Attributes { values: Fields::new(), at: accepted_at },
    };
    Incoming { to: To::Who(item.who), message_id: item.message_id, input }
}

/// What became of the items: each is accepted, a duplicate, or rejected. An accepted one may be so in part: attributes that do not fit
/// are rejected alone, the others are stored, and the rejection says `"stored": "the rest"`. And it may be one for which the schema has
/// no place, such as a page that was seen: that is ignored, but for what it says of who is who.
fn answer(
    items: usize,
    taken: &BTreeSet<usize>,
    ignored: usize,
    duplicates: usize,
    bad: &[Refused],
) -> Value {
    let partial: BTreeSet<usize> =
        bad.iter().map(|refused| refused.index).filter(|index| taken.contains(index)).collect();
    let rejected = items - taken.len() - duplicates;
    let rejection = |Refused { index, why, .. }: &Refused| {
        let stored = if partial.contains(index) { "the rest" } else { "nothing" };
        json!({ "index": index, "code": why.code, "reason": why.reason, "stored": stored })
    };
    let rejections: Vec<Value> = bad.iter().take(TOLD).map(rejection).collect();
    for (name, count) in [
        ("fahrplan_items_accepted_total", taken.len()),
        ("fahrplan_items_partial_total", partial.len()),
        ("fahrplan_items_ignored_total", ignored),
        ("fahrplan_items_duplicate_total", duplicates),
        ("fahrplan_items_rejected_total", rejected),
    ] {
        metrics::counter!(name).increment(count as u64);
    }
    json!({
        "success": true,
        "accepted": taken.len(),
        "partial": partial.len(),
        "ignored": ignored,
        "duplicates": duplicates,
        "rejected": rejected,
        "rejections": rejections,
    })
}
