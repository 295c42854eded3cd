//! The pages of the people who call and visit: what they have to do, and one task with its outcome. For phones first; no scripts.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Form, FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;
use serde_json::Value as Json;

use super::Doors;
use super::calendar::Appointment;
use super::fields::field;
use super::frame::Frame;
use super::pages::Language;
use super::problem::Problem;
use super::session::{Agent, SignedIn};
use super::shown::{in_words, local, words, zone};
use super::tasks::{Beside, Person, beside, queue, refused, seen};
use crate::engine::program::Catalog;
use crate::engine::world::Event;
use crate::store::held::plain;
use crate::store::tasks::{self, Attempt, Hand, Now, Refused, Report, Task};
use crate::time::{Date, TimeOfDay, Timestamp, Zone};
use crate::value::{FieldType, Type};

/// Tasks on the page.
const TASKS: u32 = 100;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new()
        .route("/agent", get(list))
        .route("/agent/{task}", get(show))
        .route("/agent/{task}/take", post(take))
        .route("/agent/{task}/release", post(release))
        .route("/agent/{task}/postpone", post(postpone))
        .route("/agent/{task}/outcome", post(outcome))
}

type Answered = Result<Response, Problem>;

// ---------------------------------------------------------------- the queue

#[derive(Deserialize)]
struct Said {
    said: Option<String>,
}

async fn list(Agent(agent): Agent, State(doors): State<Doors>, Query(said): Query<Said>) -> Answered {
    let now = Now::at(doors.clock.now());
    let deployed = doors.deployed().await?;
    let mut conn = doors.store.read().await?;
    let found = queue(&mut conn, &agent.key, None, now, TASKS).await?;
    let people = tasks::people(&mut conn, &found).await?;
    drop(conn);
    let who = agent.key.holder();
    let (mine, rest): (Vec<&Task>, Vec<&Task>) = found.iter().partition(|task| task.holder(now) == Some(who));
    let is_promised = |task: &&Task| task.hand.again_at.is_some_and(|at| at > now.journey);
    let (promised, open): (Vec<&Task>, Vec<&Task>) = rest.into_iter().partition(is_promised);
    let language = agent.language;
    let row = |task: &Task| {
        let person = Person::new(&deployed.catalog, task.contact, people.get(&task.contact));
        html! { li { a href={ "/agent/" (task.work.id) } {
            strong { (person.called()) }
            (words(&task.work.task)) " · " (words(&task.work.team))
            div.dim { (when(&deployed.catalog, task, language)) }
            @if task.is_overdue(now) { div.late { (language.pick("Eilt", "Overdue")) } }
        } } }
    };
    let part = |title: &str, tasks: &[&Task]| {
        html! { @if !tasks.is_empty() {
            h2 { (title) }
            ul.queue { @for task in tasks { (row(task)) } }
        } }
    };
    let title = language.pick("Aufgaben", "Tasks");
    let body = html! {
        h1 { (title) }
        @if let Some(said) = said.said { (told(&said, language)) }
        @if found.is_empty() { p.dim { (language.pick("Gerade ist nichts zu tun.", "Nothing to do right now.")) } }
        (part(language.pick("In deiner Hand", "In your hands"), &mine))
        (part(language.pick("Vereinbart", "Agreed for later"), &promised))
        (part(language.pick("Zu tun", "To do"), &open))
    };
    Ok(Frame { language, title, signed_in: Some(&agent), body }.answer(StatusCode::OK))
}

/// What has just been done, by the word in the address.
fn told(said: &str, language: Language) -> Markup {
    let text = match said {
        "done" => language.pick("Das Ergebnis ist notiert.", "The outcome is noted."),
        "later" => language.pick("Die Aufgabe kommt wieder.", "The task comes back."),
        "free" => language.pick("Die Aufgabe ist wieder frei.", "The task is free again."),
        _ => return html! {},
    };
    html! { p.said role="status" { (text) } }
}

/// When a task is to be done, in the project's time.
fn when(catalog: &Catalog, task: &Task, language: Language) -> String {
    let zone = zone(catalog);
    let until = language.pick("bis", "until");
    let mut text = format!("{until} {}", local(&zone, task.work.expires_at, language));
    if let Some(at) = task.hand.again_at {
        text = format!("{} {} · {text}", language.pick("wieder", "again"), local(&zone, at, language));
    }
    if task.hand.attempts > 0 {
        let tried = language.pick("Versuche", "tried");
        text.push_str(&format!(" · {tried}: {}", task.hand.attempts));
    }
    text
}

// ---------------------------------------------------------------- one task

/// What a page about a task says beside the task.
#[derive(Default)]
struct Telling {
    status: StatusCode,
    wrong: Option<String>,
    /// What was chosen and typed in a form that was refused.
    given: BTreeMap<String, String>,
}

async fn show(Agent(agent): Agent, State(doors): State<Doors>, Path(id): Path<String>) -> Answered {
    if let Some(id) = id.strip_suffix(".ics") {
        return appointment(&agent, &doors, id).await;
    }
    let task = seen(&doors, &agent.key, &id).await?;
    page(&doors, &agent, &task, Telling::default()).await
}

async fn page(doors: &Doors, agent: &SignedIn, task: &Task, telling: Telling) -> Answered {
    let now = Now::at(doors.clock.now());
    let Beside { catalog, person, events, script } = beside(doors, task).await?;
    let (catalog, language) = (&*catalog, agent.language);
    let title = person.called();
    let holder = task.holder(now);
    let is_mine = holder == Some(agent.key.holder());
    let is_open = task.state == "open" && task.work.expires_at > now.journey;
    let body = html! {
        p { a href="/agent" { "← " (language.pick("Alle Aufgaben", "All tasks")) } }
        h1 { (title) }
        p { (words(&task.work.task)) " · " (words(&task.work.team)) br; span.dim { (when(catalog, task, language)) } }
        @if task.is_overdue(now) && is_open { p.late { (language.pick("Eilt", "Overdue")) } }
        @if let Some(wrong) = &telling.wrong { p.wrong role="alert" { (wrong) } }
        @if let Some(phone) = &person.phone { a.phone href={ "tel:" (dialed(phone)) } { (phone) } }
        @if let Some(address) = &person.address { p { (address) } }
        @if is_open && (is_mine || holder.is_none()) {
            (hand(agent, task, is_mine))
            p.jump { a href="#outcome" { "↓ " (language.pick("Ergebnis melden", "Tell the outcome")) } }
        }
        (tried(&zone(catalog), task, language))
        (values(task, language))
        (happened(catalog, &events, language))
        @if let Some(script) = &script { section.script { (PreEscaped(script)) } }
        @if !is_open {
            p.said { (settled(task, language)) }
        } @else if let Some(other) = holder.filter(|_| !is_mine) {
            p.said { (other) " " (language.pick("hat diese Aufgabe gerade in der Hand.", "has this task in hand.")) }
        } @else {
            (outcome_form(agent, catalog, task, &telling.given))
            (postpone_form(agent, catalog, task, now, &telling.given))
            @if task.hand.again_at.is_some() {
                p { a href={ "/agent/" (task.work.id) ".ics" } { (language.pick("In den Kalender", "Add to calendar")) } }
            }
        }
    };
    Ok(Frame { language, title: &title, signed_in: Some(agent), body }.answer(telling.status))
}

/// A number as phones dial it.
fn dialed(phone: &str) -> String {
    phone.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()
}

/// What was told of the task so far, newest first.
fn tried(zone: &Zone, task: &Task, language: Language) -> Markup {
    let Hand { told, note, .. } = &task.hand;
    let what = |attempt: &Attempt| match (&attempt.until, &attempt.outcome) {
        (Some(until), _) => {
            format!(
                "{} {}",
                language.pick("auf später gelegt:", "put off until"),
                local(zone, *until, language)
            )
        }
        (None, Some(outcome)) => words(outcome),
        (None, None) => String::new(),
    };
    html! {
        @if told.is_empty() {
            @if let Some(note) = note { p.said { (note) } }
        } @else {
            h2 { (language.pick("Bisher versucht", "Tried so far")) }
            ol.told reversed[told.len() > 1] {
                @for attempt in told.iter().rev() { li {
                    time datetime=(attempt.at) { (local(zone, attempt.at, language)) } " · " (attempt.who)
                    div.dim { (what(attempt)) }
                    @if let Some(note) = &attempt.note { p.note { (note) } }
                } }
            }
        }
    }
}

fn settled(task: &Task, language: Language) -> String {
    match (&*task.state, &task.outcome) {
        ("done", Some(outcome)) => format!("{}: {}", language.pick("Erledigt", "Done"), words(outcome)),
        ("cancelled", _) => {
            language.pick("Diese Aufgabe ist entfallen.", "This task is no longer needed.").to_owned()
        }
        _ => {
            language.pick("Die Zeit für diese Aufgabe ist um.", "The time for this task is over.").to_owned()
        }
    }
}

/// What the journey gives along.
fn values(task: &Task, language: Language) -> Markup {
    let given = plain(&task.work.with);
    html! { @if !given.is_empty() {
        h2 { (language.pick("Worum es geht", "What it is about")) }
        dl { @for (name, value) in &given { dt { (words(name)) } dd { (in_words(value)) } } }
    } }
}

/// The last events, folded: they are looked at when something is unclear, and the script is read at each call.
fn happened(catalog: &Catalog, newest: &[Event], language: Language) -> Markup {
    let zone = zone(catalog);
    html! { @if let Some(last) = newest.first() {
        details {
            summary {
                strong { (language.pick("Zuletzt", "Lately")) } ": " (words(&last.name)) ", " (local(&zone, last.occurred_at, language))
            }
            dl { @for event in newest {
                dt { (local(&zone, event.occurred_at, language)) }
                dd { (words(&event.name)) @for (name, value) in plain(&event.fields) {
                    div.dim { (words(&name)) ": " (told_value(catalog, event, &name, &value)) }
                } }
            } }
        }
    } }
}

/// A value of an event; one of a few as people read it.
fn told_value(catalog: &Catalog, event: &Event, name: &str, value: &Json) -> String {
    let field = catalog
        .events
        .get(&event.name)
        .and_then(|event| event.fields.iter().find(|field| *field.name == *name));
    match (field.map(|field| field.ty.required()), value) {
        (Some(Type::OneOf(_)), Json::String(text)) => words(text),
        _ => in_words(value),
    }
}

// ---------------------------------------------------------------- forms

fn hand(agent: &SignedIn, task: &Task, is_mine: bool) -> Markup {
    let (to, text) = match is_mine {
        true => ("release", agent.language.pick("Zurückgeben", "Give back")),
        false => ("take", agent.language.pick("Übernehmen", "Take it")),
    };
    html! { form.part method="post" action={ "/agent/" (task.work.id) "/" (to) } {
        (agent.token())
        button.second[is_mine] type="submit" { (text) }
    } }
}

fn outcome_form(
    agent: &SignedIn,
    catalog: &Catalog,
    task: &Task,
    given: &BTreeMap<String, String>,
) -> Markup {
    let language = agent.language;
    let Some(declared) = tasks::declared(catalog, &task.work) else { return html! {} };
    let label = |answer: &FieldType| match super::tasks::asked(catalog, &task.work, &answer.name) {
        Some(text) => text.to_owned(),
        None => words(&answer.name),
    };
    // Who declines owes no answer, so nothing can be asked for before the outcome is known.
    let is_survey = task.is_survey();
    let chosen = given.get("outcome").map(String::as_str);
    html! {
        form.outcome id="outcome" method="post" action={ "/agent/" (task.work.id) "/outcome" } {
            (agent.token())
            fieldset {
                legend.title { (language.pick("Ergebnis", "Outcome")) }
                @for outcome in &declared.outcomes {
                    label.choice {
                        input type="radio" name="outcome" value=(outcome) required checked[chosen == Some(&**outcome)];
                        span { (words(outcome)) }
                    }
                }
            }
            @for answer in &declared.answers { (field(answer, &label(answer), !is_survey, given, language)) }
            (note_field("note", given, language))
            button type="submit" { (language.pick("Ergebnis melden", "Tell the outcome")) }
        }
    }
}

fn note_field(id: &str, given: &BTreeMap<String, String>, language: Language) -> Markup {
    html! { div.part {
        label.field for=(id) { (language.pick("Notiz", "Note")) }
        textarea id=(id) name="note" rows="2" maxlength="1000" { (given.get("note").map_or("", String::as_str)) }
    } }
}

fn postpone_form(
    agent: &SignedIn,
    catalog: &Catalog,
    task: &Task,
    now: Now,
    given: &BTreeMap<String, String>,
) -> Markup {
    let language = agent.language;
    let zone = zone(catalog);
    let bound = |at: Timestamp| {
        let (date, time) = zone.local(at);
        format!("{date}T{:02}:{:02}", time.hour(), time.minute())
    };
    html! {
        h2 { (language.pick("Später noch einmal", "Try again later")) }
        form method="post" action={ "/agent/" (task.work.id) "/postpone" } {
            (agent.token())
            div.part {
                label.field for="until" { (language.pick("Wann", "When")) " (" (catalog.zone) ")" }
                input id="until" name="until" type="datetime-local" required
                    min=(bound(now.journey)) max=(bound(task.work.expires_at))
                    value=(given.get("until").map_or("", String::as_str));
            }
            (note_field("why", given, language))
            button.second type="submit" { (language.pick("Auf später legen", "Put off")) }
        }
    }
}

/// A form about one task that one of our pages sent, and who sent it.
struct Sent {
    doors: Doors,
    agent: SignedIn,
    task: Task,
    now: Now,
    fields: BTreeMap<String, String>,
}

impl FromRequest<Doors> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, doors: &Doors) -> Result<Sent, Response> {
        let (mut parts, body) = request.into_parts();
        let Agent(agent) = Agent::from_request_parts(&mut parts, doors).await?;
        let id = Path::<String>::from_request_parts(&mut parts, doors).await;
        let Path(id) = id.map_err(IntoResponse::into_response)?;
        let headers = parts.headers.clone();
        let form = Form::<Vec<(String, String)>>::from_request(Request::from_parts(parts, body), doors).await;
        let Form(fields) = form.map_err(IntoResponse::into_response)?;
        let sent = Sent::of(doors, agent, &id, &headers, fields.into_iter().collect()).await;
        sent.map_err(IntoResponse::into_response)
    }
}

impl Sent {
    async fn of(
        doors: &Doors,
        agent: SignedIn,
        id: &str,
        headers: &HeaderMap,
        fields: BTreeMap<String, String>,
    ) -> Result<Sent, Problem> {
        agent.must_be_ours(doors, headers, fields.get("token").map(String::as_str))?;
        let now = Now::at(doors.clock.now());
        let task = seen(doors, &agent.key, id).await?;
        Ok(Sent { doors: doors.clone(), agent, task, now, fields })
    }

    /// On to the next page, or the same one with what is wrong.
    async fn done(self, result: Result<(), Refused>, next: &str) -> Answered {
        let Err(why) = result else { return Ok(Redirect::to(next).into_response()) };
        let Sent { doors, agent, task, fields: given, .. } = self;
        let task = seen(&doors, &agent.key, &task.work.id.to_string()).await?;
        let wrong = in_language(&why, agent.language);
        let telling = Telling { status: refused(why).status, wrong: Some(wrong), given };
        page(&doors, &agent, &task, telling).await
    }
}

async fn take(sent: Sent) -> Answered {
    let Sent { doors, agent, task, now, .. } = &sent;
    let taken = tasks::take(&doors.store, task.work.id, agent.key.holder(), *now).await?;
    let here = format!("/agent/{}", task.work.id);
    sent.done(taken.map(|_| ()), &here).await
}

async fn release(sent: Sent) -> Answered {
    let Sent { doors, agent, task, now, .. } = &sent;
    let released = tasks::release(&doors.store, task.work.id, agent.key.holder(), *now).await?;
    sent.done(released.map(|_| ()), "/agent?said=free").await
}

async fn postpone(sent: Sent) -> Answered {
    let Sent { doors, agent, task, now, fields } = &sent;
    let deployed = doors.deployed().await?;
    let until = fields.get("until").and_then(|text| moment(text, &zone(&deployed.catalog)));
    let note = fields.get("note").map(|note| note.trim()).filter(|note| !note.is_empty());
    let note = super::tasks::short(note.map(str::to_owned))?;
    let put_off = match until {
        None => Err(Refused::WrongTime),
        Some(until) => {
            let (id, who) = (task.work.id, agent.key.holder());
            tasks::postpone(&doors.store, id, who, until, note.as_deref(), *now).await?.map(|_| ())
        }
    };
    sent.done(put_off, "/agent?said=later").await
}

/// `2026-05-04T10:00` by the clocks of the zone.
fn moment(text: &str, zone: &Zone) -> Option<Timestamp> {
    let (date, time) = text.split_once('T')?;
    let (date, time): (Date, TimeOfDay) = (date.parse().ok()?, time.get(..5)?.parse().ok()?);
    Some(zone.at(date, time))
}

async fn outcome(sent: Sent) -> Answered {
    let Sent { doors, agent, task, now, fields } = &sent;
    let deployed = doors.deployed().await?;
    let declared = tasks::declared(&deployed.catalog, &task.work);
    let answers = declared.map_or_else(BTreeMap::new, |declared| answers(&declared.answers, fields));
    let note = super::tasks::short(fields.get("note").cloned())?;
    let report = Report {
        who: agent.key.holder(),
        outcome: fields.get("outcome").map_or("", String::as_str),
        answers: &answers,
        note: note.as_deref(),
    };
    let told = tasks::outcome(&doors.store, task.work.id, report, *now).await?;
    sent.done(told, "/agent?said=done").await
}

/// What was typed, as the types of the answers want it; what was left empty is unknown.
fn answers(declared: &[FieldType], fields: &BTreeMap<String, String>) -> BTreeMap<String, Json> {
    let mut answers = BTreeMap::new();
    for answer in declared {
        let typed = fields.get(&format!("answer.{}", answer.name)).map(|text| text.trim());
        let Some(text) = typed.filter(|text| !text.is_empty()) else { continue };
        let value = match answer.ty.required() {
            Type::YesNo => Json::Bool(text == "true"),
            // A comma is what many keyboards offer.
            Type::Decimal(_) => Json::String(text.replace(',', ".")),
            _ => Json::String(text.to_owned()),
        };
        answers.insert(answer.name.to_string(), value);
    }
    answers
}

fn in_language(why: &Refused, language: Language) -> String {
    let text = match why {
        Refused::Taken(who) => {
            return format!("{who} {}", language.pick("war schneller.", "was faster."));
        }
        Refused::WrongAnswer(name, why) => return format!("{}: {why}", words(name)),
        Refused::Unknown => language.pick("Diese Aufgabe gibt es nicht.", "There is no such task."),
        Refused::Settled(_) => language.pick(
            "Diese Aufgabe war schon abgeschlossen; es wurde nichts geändert.",
            "This task was settled already; nothing was changed.",
        ),
        Refused::WrongOutcome(_) => language.pick("Wähle ein Ergebnis.", "Choose an outcome."),
        Refused::WrongTime => language.pick(
            "Wähle eine Zeit, die noch kommt und vor dem Ende der Aufgabe liegt.",
            "Choose a time that is still to come and before the task ends.",
        ),
    };
    text.to_owned()
}

/// The time that was agreed on, for a calendar.
async fn appointment(agent: &SignedIn, doors: &Doors, id: &str) -> Answered {
    let task = seen(doors, &agent.key, id).await?;
    let at = task.hand.again_at.ok_or_else(|| Problem::not_found("appointment"))?;
    let deployed = doors.deployed().await?;
    let people = tasks::people(&mut doors.store.read().await?, std::slice::from_ref(&task)).await?;
    let person = Person::new(&deployed.catalog, task.contact, people.get(&task.contact));
    let domain = doors.public_url.split("://").last().and_then(|rest| rest.split([':', '/']).next());
    let link = format!("{}/agent/{}", doors.public_url, task.work.id);
    let text = [task.hand.note.as_deref(), person.phone.as_deref(), Some(&*link)];
    let file = Appointment {
        id: &task.work.id.to_string(),
        domain: domain.unwrap_or("fahrplan"),
        at,
        made_at: doors.clock.now(),
        title: &format!("{}: {}", words(&task.work.task), person.called()),
        place: person.address.as_deref(),
        text: &text.into_iter().flatten().collect::<Vec<_>>().join("\n"),
    };
    let headers = [
        (header::CONTENT_TYPE, "text/calendar; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}.ics\"", task.work.id)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, file.to_text()).into_response())
}
