//! Looking at contacts and journeys over HTTP, with a key of scope `read`.

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value as Json_, json};

use super::Doors;
use super::auth::MayRead;
use super::overview::newest;
use super::problem::Problem;
use crate::engine::program::{Program, Step, StepIx, StepKind, pool_of};
use crate::store::held::{Held, plain};
use crate::store::status;
use crate::story::steps::{self, Edge};
use crate::time::Timestamp;

/// No identity is longer, in bytes.
const LONGEST_KEY: usize = 256;

/// Lines of a timeline: as many as nobody asks otherwise, and at most.
const LINES: usize = 100;
const MOST_LINES: usize = 1_000;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new()
        .route("/v1/contacts/{key}", get(contact))
        .route("/v1/contacts/{key}/timeline", get(timeline))
        .route("/v1/journeys", get(journeys))
        .route("/v1/journeys/{name}", get(journey))
        .route("/v1/journeys/{name}/graph", get(graph))
}

/// Whether somebody may be known by that.
pub(super) fn is_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= LONGEST_KEY && !key.chars().any(char::is_control)
}

async fn held(doors: &Doors, key: &str) -> Result<Held, Problem> {
    if !is_key(key) {
        return Err(Problem::not_found("contact"));
    }
    let mut conn = doors.store.read().await?;
    let held = Held::find(&mut conn, key, doors.clock.now()).await?;
    held.ok_or_else(|| Problem::not_found("contact"))
}

/// Everything but what happened, which is the timeline.
async fn contact(
    _key: MayRead,
    State(doors): State<Doors>,
    Path(key): Path<String>,
) -> Result<Json<Json_>, Problem> {
    let mut json = held(&doors, &key).await?.as_json();
    if let Some(fields) = json.as_object_mut() {
        fields.remove("events");
        fields.remove("history");
    }
    Ok(Json(json))
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
    /// Only what is older than this moment.
    before: Option<String>,
}

/// What happened, newest first: events, and what was decided, in words.
async fn timeline(
    _key: MayRead,
    State(doors): State<Doors>,
    Path(key): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Json_>, Problem> {
    let before = match page.before.as_deref().map(str::parse::<Timestamp>) {
        None => Timestamp::NEVER,
        Some(Ok(before)) => before,
        Some(Err(_)) => {
            return Err(Problem::bad("no-moment", "`before` is no moment such as 2027-01-31T18:00:00Z"));
        }
    };
    let held = held(&doors, &key).await?;
    let mut lines: Vec<(Timestamp, Json_)> = Vec::new();
    for event in &held.events {
        let line = json!({
            "at": event.occurred_at.to_string(), "kind": "event", "name": event.name, "fields": plain(&event.fields),
        });
        lines.push((event.occurred_at, line));
    }
    for note in &held.history {
        let Some(text) = held.teller.note(note) else { continue };
        let line = json!({
            "at": note.at.to_string(), "kind": "decision", "journey": note.journey, "step": note.step, "text": text,
        });
        lines.push((note.at, line));
    }
    lines.retain(|(at, _)| *at < before);
    lines.sort_by_key(|(at, _)| *at);
    let limit = page.limit.unwrap_or(LINES).clamp(1, MOST_LINES);
    let lines: Vec<Json_> = lines.into_iter().rev().take(limit).map(|(_, line)| line).collect();
    Ok(Json(json!({ "contact": held.contact.id.to_string(), "timeline": lines })))
}

/// All journeys with their people, as `status` shows them.
async fn journeys(_key: MayRead, State(doors): State<Doors>) -> Result<Json<Json_>, Problem> {
    let status = status::overview(&mut doors.store.read().await?, doors.clock.now()).await?;
    Ok(Json(json!({ "deployment": status.deployment, "paused": status.paused, "journeys": status.journeys })))
}

/// One journey, with the steps of the version that takes people in.
async fn journey(
    _key: MayRead,
    State(doors): State<Doors>,
    Path(name): Path<String>,
) -> Result<Json<Json_>, Problem> {
    let status = status::overview(&mut doors.store.read().await?, doors.clock.now()).await?;
    let found = status.journeys.into_iter().find(|journey| journey.name == name);
    let mut json = json!(found.ok_or_else(|| Problem::not_found("journey"))?);
    if let (Some(program), Some(fields)) =
        (doors.deployed().await?.current.get(name.as_str()), json.as_object_mut())
    {
        fields.insert("purpose".to_owned(), json!(program.purpose));
        fields.insert("channels".to_owned(), json!(program.channels));
        fields.insert("steps".to_owned(), steps(program));
    }
    Ok(Json(json))
}

/// One journey as a graph: the steps of its newest version, the ways between them, and how many people rest at each.
async fn graph(
    _key: MayRead,
    State(doors): State<Doors>,
    Path(name): Path<String>,
) -> Result<Json<Json_>, Problem> {
    let status = status::overview(&mut doors.store.read().await?, doors.clock.now()).await?;
    let deployed = doors.deployed().await?;
    let found =
        status.journeys.into_iter().find(|journey| journey.name == name).zip(newest(&deployed, &name));
    let (journey, program) = found.ok_or_else(|| Problem::not_found("journey"))?;
    let id = |number: StepIx| program.steps.get(usize::from(number)).map(|step| &step.id);
    let mut waiting = journey.waiting;
    let numbered = (0..=StepIx::MAX).zip(&program.steps);
    let steps: Vec<Json_> = numbered
        .map(|(number, step)| {
            let (kind, what) = kind(step);
            let text = steps::line(&program, number).map(|line| line.text);
            let resting = waiting.remove(&*step.id).unwrap_or(0);
            json!({ "id": step.id, "kind": kind, "what": what, "text": text, "waiting": resting })
        })
        .collect();
    let edge = |edge: &Edge| {
        let when = Some(&edge.when).filter(|when| !when.is_empty());
        json!({ "from": id(edge.from), "to": id(edge.to), "when": when })
    };
    let handler = |(on, first): &(String, StepIx)| json!({ "on": on, "to": id(*first) });
    Ok(Json(json!({
        "journey": journey.name, "title": journey.title, "version": journey.version, "state": journey.state,
        "active": journey.active, "start": id(0), "steps": steps,
        "edges": steps::edges(&program).iter().map(edge).collect::<Vec<_>>(),
        "handlers": steps::heard_inside(&program).iter().map(handler).collect::<Vec<_>>(),
        // At steps that only earlier versions have.
        "elsewhere": waiting,
    })))
}

/// What a step is, and of what.
fn kind(step: &Step) -> (&'static str, Option<&str>) {
    match &step.kind {
        StepKind::Send(send) => ("send", Some(&*send.template)),
        StepKind::Work(work) => ("work", Some(&*work.task)),
        StepKind::Request { endpoint, .. } => match pool_of(endpoint) {
            Some(pool) => ("take", Some(pool)),
            None => ("request", Some(&**endpoint)),
        },
        StepKind::RunJourney { journey, .. } => ("journey", Some(&**journey)),
        StepKind::Exit { reason } => ("exit", Some(&**reason)),
        StepKind::WaitEvent(_) => ("wait", None),
        _ => ("other", None),
    }
}

fn steps(program: &Program) -> Json_ {
    let step = |step: &Step| {
        let (kind, what) = kind(step);
        json!({ "id": step.id, "kind": kind, "what": what })
    };
    Json_::Array(program.steps.iter().map(step).collect())
}
