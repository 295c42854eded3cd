//! Work for people over HTTP: what a team has to do, taking it in hand, and what came of it.
//!
//! A task is done by one: who takes it has it for half an hour, and its outcome is told once. Whatever somebody may not do is answered
//! 409 with who has it or how it ended, and changes nothing.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json_, json};

use super::Doors;
use super::auth::MayTasks;
use super::problem::Problem;
use crate::engine::program::{Catalog, Task as Declared};
use crate::engine::world::{Event, Fields, NewTask};
use crate::id::{ContactId, TaskId};
use crate::store::held::plain;
use crate::store::keys::Key;
use crate::store::tasks::{self, Now, Refused, Report, Task};
use crate::store::{self, Conn, events};
use crate::time::Timestamp;
use crate::value::{FieldType, Type, Value};

/// The most tasks that one answer lists, and how many it does unless told.
const MOST: u32 = 500;
const USUAL: u32 = 100;
/// Events of the contact that stand beside a task.
const EVENTS: usize = 5;
/// The longest note, in bytes.
pub(super) const LONGEST_NOTE: usize = 2_000;

/// Fills in the script of a task for its contact: HTML that is safe to show, or nothing where there is no script.
pub trait Scripts: Send + Sync {
    /// The script, with these attributes of the contact.
    fn script<'a>(
        &'a self,
        task: &'a Task,
        attributes: Fields,
    ) -> Pin<Box<dyn Future<Output = Result<Option<String>, store::Error>> + Send + 'a>>;
}

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new()
        .route("/v1/tasks", get(list))
        .route("/v1/tasks/{id}", get(show))
        .route("/v1/tasks/{id}/take", post(take))
        .route("/v1/tasks/{id}/postpone", post(postpone))
        .route("/v1/tasks/{id}/release", post(release))
        .route("/v1/tasks/{id}/outcome", post(outcome))
}

#[derive(Deserialize)]
struct Asked {
    team: Option<String>,
    limit: Option<u32>,
}

/// `GET /v1/tasks?team=…`: what the key's holder may do now, late ones first, and what is in the holder's hands.
async fn list(
    MayTasks(key): MayTasks,
    State(doors): State<Doors>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Json_>, Problem> {
    let Query(asked) = asked.map_err(|error| Problem::bad("unreadable", error.body_text()))?;
    let deployed = doors.deployed().await?;
    if let Some(team) = &asked.team {
        must_see(&key, team)?;
        if !deployed.catalog.teams.contains_key(team.as_str()) {
            return Err(Problem::not_found("team"));
        }
    }
    let now = Now::at(doors.clock.now());
    let limit = asked.limit.unwrap_or(USUAL).clamp(1, MOST);
    let mut conn = doors.store.read().await?;
    let found = queue(&mut conn, &key, asked.team.as_deref(), now, limit).await?;
    let people = tasks::people(&mut conn, &found).await?;
    let shown = |task: &Task| {
        let person = Person::new(&deployed.catalog, task.contact, people.get(&task.contact));
        as_json(&deployed.catalog, task, &person, now)
    };
    Ok(Json(json!({ "tasks": found.iter().map(shown).collect::<Vec<_>>() })))
}

/// What the holder of a key may do now: what is in hand or promised first, then what is late, then the rest.
pub(super) async fn queue(
    conn: &mut Conn,
    key: &Key,
    team: Option<&str>,
    now: Now,
    limit: u32,
) -> Result<Vec<Task>, Problem> {
    let who = key.holder();
    let wanted = |task: &Task| match team {
        Some(team) => *task.work.team == *team,
        None => key.may_see(&task.work.team),
    };
    let mut found = tasks::in_hand(conn, who, now).await?;
    found.retain(wanted);
    let mut open = Vec::new();
    match team {
        Some(team) => open = tasks::queue(conn, Some(team), who, now, limit).await?,
        None if key.teams.is_empty() => open = tasks::queue(conn, None, who, now, limit).await?,
        None => {
            for team in &key.teams {
                open.extend(tasks::queue(conn, Some(team), who, now, limit).await?);
            }
        }
    }
    open.retain(|task| found.iter().all(|other| other.work.id != task.work.id));
    open.sort_by_key(|task| (!task.is_overdue(now), task.work.expires_at, task.work.due_at, task.work.id));
    found.extend(open);
    found.truncate(limit as usize);
    Ok(found)
}

/// What a request about one task comes with: whose key it is, and the task, if that key may see it.
struct OneTask {
    key: Key,
    task: Task,
    now: Now,
}

impl FromRequestParts<Doors> for OneTask {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, doors: &Doors) -> Result<OneTask, Problem> {
        let MayTasks(key) = MayTasks::from_request_parts(parts, doors).await?;
        let id = Path::<String>::from_request_parts(parts, doors).await;
        let Path(id) = id.map_err(|_| Problem::not_found("task"))?;
        let now = Now::at(doors.clock.now());
        Ok(OneTask { task: seen(doors, &key, &id).await?, key, now })
    }
}

impl OneTask {
    /// The task as it is now, with everything that its script needs.
    async fn answer(&self, doors: &Doors, task: &Task) -> Result<Json<Json_>, Problem> {
        let beside = beside(doors, task).await?;
        let mut shown = as_json(&beside.catalog, task, &beside.person, self.now);
        if let Json_::Object(shown) = &mut shown {
            let event = |event: &Event| json!({ "name": event.name, "at": event.occurred_at.to_string(), "fields": plain(&event.fields) });
            shown.insert("events".to_owned(), beside.events.iter().map(event).collect());
            shown.insert("script_html".to_owned(), beside.script.into());
        }
        Ok(Json(shown))
    }
}

/// `GET /v1/tasks/{id}`: one task with what its script needs, and the contact's last events.
async fn show(State(doors): State<Doors>, asked: OneTask) -> Result<Json<Json_>, Problem> {
    asked.answer(&doors, &asked.task).await
}

/// `POST /v1/tasks/{id}/take`
async fn take(State(doors): State<Doors>, asked: OneTask) -> Result<Json<Json_>, Problem> {
    let taken = tasks::take(&doors.store, asked.task.work.id, asked.key.holder(), asked.now).await?;
    asked.answer(&doors, &taken.map_err(refused)?).await
}

/// `POST /v1/tasks/{id}/release`
async fn release(State(doors): State<Doors>, asked: OneTask) -> Result<Json<Json_>, Problem> {
    let released = tasks::release(&doors.store, asked.task.work.id, asked.key.holder(), asked.now).await?;
    asked.answer(&doors, &released.map_err(refused)?).await
}

#[derive(Deserialize)]
struct Postponed {
    until: String,
    note: Option<String>,
}

/// `POST /v1/tasks/{id}/postpone`: tried in vain, or another time was agreed on.
async fn postpone(State(doors): State<Doors>, asked: OneTask, body: Bytes) -> Result<Json<Json_>, Problem> {
    let postponed: Postponed = read(&body)?;
    let until: Timestamp = postponed.until.parse().map_err(|_| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "wrong-time",
            "`until` is a moment such as 2026-12-24T10:00:00+01:00",
        )
    })?;
    let note = short(postponed.note)?;
    let (id, who) = (asked.task.work.id, asked.key.holder());
    let task = tasks::postpone(&doors.store, id, who, until, note.as_deref(), asked.now).await?;
    asked.answer(&doors, &task.map_err(refused)?).await
}

#[derive(Deserialize)]
struct Told {
    outcome: String,
    #[serde(default)]
    answers: BTreeMap<String, Json_>,
    note: Option<String>,
}

/// `POST /v1/tasks/{id}/outcome`
async fn outcome(
    State(doors): State<Doors>,
    OneTask { key, task, now }: OneTask,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Json_>, Problem> {
    let told: Told = read(&body)?;
    let note = short(told.note)?;
    let report =
        Report { who: key.holder(), outcome: &told.outcome, answers: &told.answers, note: note.as_deref() };
    if let Err(why) = tasks::outcome(&doors.store, task.work.id, report, now).await? {
        // Who lost the answer says the same again, and is told the same.
        let asks_again = headers.contains_key("idempotency-key") && matches!(why, Refused::Settled(_));
        if !asks_again || !tasks::was_told(&mut doors.store.read().await?, task.work.id, report).await? {
            return Err(refused(why));
        }
    }
    Ok(Json(json!({ "id": task.work.id.to_string(), "state": "done", "outcome": told.outcome })))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::bad("not-json", format!("the body cannot be read: {error}")))
}

/// A note that is neither empty nor too long.
pub(super) fn short(note: Option<String>) -> Result<Option<String>, Problem> {
    match note {
        Some(note) if note.len() > LONGEST_NOTE => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "long-note",
            format!("a note has at most {LONGEST_NOTE} bytes"),
        )),
        note => Ok(note.filter(|note| !note.trim().is_empty())),
    }
}

fn must_see(key: &Key, team: &str) -> Result<(), Problem> {
    if key.may_see(team) {
        return Ok(());
    }
    let detail = format!("this key does not see tasks of the team `{team}`");
    Err(Problem::new(StatusCode::FORBIDDEN, "wrong-team", detail))
}

/// The task of that id, if the key may see it.
pub(super) async fn seen(doors: &Doors, key: &Key, id: &str) -> Result<Task, Problem> {
    let id: TaskId = id.parse().map_err(|_| Problem::not_found("task"))?;
    let task = tasks::find(&mut doors.store.read().await?, id).await?;
    let task = task.ok_or_else(|| Problem::not_found("task"))?;
    must_see(key, &task.work.team)?;
    Ok(task)
}

/// A refusal as clients are told.
pub(super) fn refused(why: Refused) -> Problem {
    let conflict = |code, detail: String| Problem::new(StatusCode::CONFLICT, code, detail);
    let wrong = |code, detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
    match why {
        Refused::Unknown => Problem::not_found("task"),
        Refused::Taken(who) => conflict("taken", format!("{who} has it in hand")),
        Refused::Settled(state) => conflict("settled", format!("it is {state} already; nothing was changed")),
        Refused::WrongOutcome(known) => {
            let known: Vec<String> = known.iter().map(|outcome| format!("`{outcome}`")).collect();
            wrong("wrong-outcome", format!("the outcomes of this task are {}", known.join(", ")))
        }
        Refused::WrongAnswer(name, why) => wrong("wrong-answer", format!("`{name}`: {why}")),
        Refused::WrongTime => {
            wrong("wrong-time", "it can be tried again after now, and before it expires".to_owned())
        }
    }
}

// ---------------------------------------------------------------- as clients see it

/// For whom a task is, as those who do it need it.
pub(super) struct Person {
    pub id: ContactId,
    pub name: Option<String>,
    pub phone: Option<String>,
    pub address: Option<String>,
}

impl Person {
    /// Reads the attributes: the name from those that look like one, phone and address from those of that type.
    pub(super) fn new(catalog: &Catalog, id: ContactId, attributes: Option<&Fields>) -> Person {
        let text = |name: &str| {
            let value = attributes?.get(name)?.as_text()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let typed = |wanted: &Type| {
            let mut fitting = catalog.attributes.iter().filter(|attribute| attribute.ty.required() == wanted);
            fitting.find_map(|attribute| text(&attribute.name))
        };
        let names: Vec<String> = ["first_name", "last_name"].into_iter().filter_map(text).collect();
        let name = if names.is_empty() { text("name") } else { Some(names.join(" ")) };
        let channel = catalog.channels.get("phone").and_then(|channel| channel.address.as_deref());
        let phone = channel.map_or_else(|| typed(&Type::Phone), text);
        Person { id, name, phone, address: typed(&Type::Address) }
    }

    /// The name, or the id of somebody without one.
    pub(super) fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.to_string())
    }
}

/// What stands beside a task for whoever does it.
pub(super) struct Beside {
    pub catalog: Arc<Catalog>,
    pub person: Person,
    /// The contact's last events, newest first.
    pub events: Vec<Event>,
    /// HTML that is safe to show.
    pub script: Option<String>,
}

/// Loads what stands beside a task.
pub(super) async fn beside(doors: &Doors, task: &Task) -> Result<Beside, Problem> {
    let catalog = doors.deployed().await?.catalog.clone();
    let mut conn = doors.store.read().await?;
    let mut people = tasks::people(&mut conn, std::slice::from_ref(task)).await?;
    let events = events::newest(&mut conn, task.contact, EVENTS).await?;
    drop(conn);
    let attributes = people.remove(&task.contact);
    let person = Person::new(&catalog, task.contact, attributes.as_ref());
    let script = match &doors.scripts {
        Some(scripts) => scripts.script(task, attributes.unwrap_or_default()).await?,
        None => None,
    };
    Ok(Beside { catalog, person, events, script })
}

fn as_json(catalog: &Catalog, task: &Task, person: &Person, now: Now) -> Json_ {
    let (work, hand) = (&task.work, &task.hand);
    let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let declared = tasks::declared(catalog, work);
    let declared = declared.as_ref();
    let answers = declared.map_or(&[][..], |declared| &declared.answers);
    let answer = |field: &FieldType| answer(field, asked(catalog, work, &field.name));
    json!({
        "id": work.id.to_string(), "verb": work.verb, "task": work.task, "team": work.team,
        "journey": work.journey, "step": work.step, "state": task.state, "outcome": task.outcome,
        "contact": {
            "id": person.id.to_string(), "name": person.name, "phone": person.phone, "address": person.address,
        },
        "script": declared.and_then(|declared| declared.script.as_deref()), "with": plain(&work.with),
        "due_at": work.due_at.to_string(), "expires_at": work.expires_at.to_string(),
        "overdue": task.is_overdue(now), "attempts": hand.attempts, "again_at": moment(hand.again_at),
        "taken_by": match &*task.state { "open" => task.holder(now), _ => hand.taken_by.as_deref() },
        "taken_until": moment(hand.taken_until.filter(|_| task.holder(now).is_some())), "note": hand.note,
        "told": hand.told.iter().map(tasks::Attempt::as_json).collect::<Vec<_>>(),
        "outcomes": declared.map(|declared: &Declared| &declared.outcomes),
        "answers": answers.iter().map(answer).collect::<Vec<_>>(),
    })
}

/// How a task asks for an answer: as its survey words it.
pub(super) fn asked<'c>(catalog: &'c Catalog, work: &NewTask, name: &str) -> Option<&'c str> {
    let survey = catalog.surveys.get(&work.task).filter(|_| *work.verb == *tasks::ASK)?;
    survey.questions.iter().find(|question| *question.field.name == *name).map(|question| &*question.text)
}

fn answer(field: &FieldType, text: Option<&str>) -> Json_ {
    let ty = field.ty.required();
    let values = if let Type::OneOf(values) = ty { Some(values) } else { None };
    let (from, to) = match ty {
        Type::Number(Some((low, high))) => (Some(Value::Number(*low)), Some(Value::Number(*high))),
        Type::Decimal(Some((low, high))) => (Some(Value::Decimal(*low)), Some(Value::Decimal(*high))),
        _ => (None, None),
    };
    let bound = |bound: Option<Value>| bound.map(|bound| bound.to_json());
    json!({
        "name": field.name, "type": ty.to_string(), "from": bound(from), "to": bound(to),
        "optional": field.ty.is_optional(), "values": values, "text": text,
    })
}
