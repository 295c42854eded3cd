//! The pages about what is deployed, for whoever has a key of scope `read`: all journeys, and one with its people beside its steps. The
//! numbers are those of `status`, from counters that are kept as things happen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};

use super::Doors;
use super::frame::Frame;
use super::pages::Language;
use super::problem::Problem;
use super::session::Reader;
use super::shown::{local, zone};
use crate::engine::program::{Catalog, Program, StepIx};
use crate::store::deliveries::REQUEST;
use crate::store::journeys::Deployed;
use crate::store::status::{self, Journey, State as Standing, Status};
use crate::story::steps;
use crate::time::Timestamp;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new().route("/journeys", get(list)).route("/journeys/{name}", get(show))
}

type Answered = Result<Response, Problem>;

// ---------------------------------------------------------------- all of them

async fn list(Reader(reader): Reader, State(doors): State<Doors>) -> Answered {
    let deployed = doors.deployed().await?;
    let status = status::overview(&mut doors.store.read().await?, doors.clock.now()).await?;
    let language = reader.language;
    let title = "Journeys";
    let body = html! {
        h1 { (title) }
        @if status.deployment == 0 {
            p.said { (language.pick("Noch ist nichts ausgerollt.", "Nothing is deployed yet.")) " " code { "fahrplan deploy" } }
        }
        (kept(&status, None, &deployed.catalog, language))
        ul.queue.cards { @for journey in &status.journeys { li { a href={ "/journeys/" (journey.name) } {
            (badge(journey.state, language))
            strong { (journey.title.as_deref().unwrap_or(&journey.name)) }
            span.dim { (journey.name) }
            div { (people(journey, language)) }
        } } } }
        (to_do(&status, &deployed.catalog, language))
    };
    Ok(Frame { language, title, signed_in: Some(&reader), body }.answer(StatusCode::OK))
}

/// How many are inside, came in, left, reached something.
fn people(journey: &Journey, language: Language) -> Markup {
    let left: i64 = journey.exits.values().sum();
    html! {
        (journey.active) " " (language.pick("drin", "inside")) " · "
        (journey.entered) " " (language.pick("eingetreten", "entered")) " · "
        (left) " " (language.pick("ausgetreten", "left"))
        @for (goal, count) in &journey.goals { " · " (count) " " (goal) }
    }
}

fn badge(state: Standing, language: Language) -> Markup {
    let (class, de, en) = match state {
        Standing::Open => ("open", "offen", "open"),
        Standing::Held => ("held", "wartet auf Freigabe", "held"),
        Standing::Paused => ("paused", "angehalten", "paused"),
        Standing::Retired => ("retired", "nimmt niemanden mehr auf", "retired"),
    };
    html! { span class={ "badge " (class) } { (language.pick(de, en)) } }
}

/// What keeps something from happening, of one journey or of all.
fn kept(status: &Status, only: Option<&str>, catalog: &Catalog, language: Language) -> Markup {
    let zone = zone(catalog);
    let shown =
        |at: &str| at.parse::<Timestamp>().map_or_else(|_| at.to_owned(), |at| local(&zone, at, language));
    let concerns = |what: &str, name: &str| {
        only.is_none_or(|only| {
            matches!(what, "all" | "channel") || name == only || name.split('.').next() == Some(only)
        })
    };
    html! {
        @for paused in status.paused.iter().filter(|paused| concerns(paused.what, &paused.name)) {
            p.wrong {
                @if paused.what == "all" { (language.pick("Alles", "Everything")) } @else { (paused.what) " " code { (paused.name) } }
                " " (language.pick("ist angehalten", "is paused")) ", " (language.pick("seit", "since")) " " (shown(&paused.since))
                " " (language.pick("von", "by")) " " (paused.by)
            }
        }
        @for held in status.held.iter().filter(|held| only.is_none_or(|only| held.journey == only)) {
            p.wrong {
                code { (held.journey) } ": " (shown(&held.at)) " – " (held.count) " "
                (language.pick("Personen auf einmal, erlaubt sind", "people at once, allowed are")) " " (held.most)
                @if let Some(before) = held.before {
                    " (" (language.pick("beim letzten Mal waren es", "last time there were")) " " (before) ")"
                }
                ". "
                code { "fahrplan resume audience " (held.journey) }
            }
        }
    }
}

/// What is left to do in the whole house.
fn to_do(status: &Status, catalog: &Catalog, language: Language) -> Markup {
    let waiting = &status.backlog;
    let next = waiting.next_due.as_deref().and_then(|at| at.parse().ok());
    let next = next
        .map_or_else(|| language.pick("nie", "never").to_owned(), |at| local(&zone(catalog), at, language));
    let late = waiting.lateness_ms / 1_000;
    html! { section {
        h2 { (language.pick("Zu tun", "To do")) }
        dl {
            dt { (language.pick("Eingänge", "Inputs")) } dd { (waiting.inbox) }
            dt { (language.pick("Fällige Schritte", "Timers due")) } dd {
                (waiting.due)
                @if late > 0 { " · " span.late { (late) " s " (language.pick("zu spät", "late")) } }
            }
            dt { (language.pick("Nachrichten", "Messages")) } dd { (waiting.queued) }
            dt { (language.pick("Unterwegs", "Under way")) } dd { (waiting.under_way) }
            dt { (language.pick("Als Nächstes fällig", "Next due")) } dd { (next) }
        }
    } }
}

// ---------------------------------------------------------------- one of them

async fn show(Reader(reader): Reader, State(doors): State<Doors>, Path(name): Path<String>) -> Answered {
    let deployed = doors.deployed().await?;
    let language = reader.language;
    let status = status::overview(&mut doors.store.read().await?, doors.clock.now()).await?;
    let program = newest(&deployed, &name);
    let (Some(journey), Some(program)) =
        (status.journeys.iter().find(|journey| journey.name == name), program)
    else {
        let title = language.pick("Diese Journey gibt es nicht", "There is no such journey");
        let text = language
            .pick("Unter diesem Namen war nie eine ausgerollt.", "None was ever deployed under this name.");
        return Ok(Frame::notice(&reader, title, text, "/journeys").answer(StatusCode::NOT_FOUND));
    };
    let title = journey.title.as_deref().unwrap_or(&journey.name);
    let body = html! {
        p { a href="/journeys" { "← Journeys" } }
        h1 { (title) }
        p { (badge(journey.state, language)) span.dim { (journey.name) } }
        (kept(&status, Some(&name), &deployed.catalog, language))
        dl {
            dt { (language.pick("Fassung", "Version")) } dd { (journey.version.as_deref().unwrap_or("–")) }
            dt { (language.pick("Zweck", "Purpose")) } dd { (program.purpose) }
            dt { (language.pick("Kanäle", "Channels")) } dd { (or_none(&program.channels.join(", "))) }
            dt { (language.pick("Drin", "Inside")) } dd { strong { (journey.active) } }
            dt { (language.pick("Eingetreten", "Entered")) } dd { (journey.entered) }
            @if let Some(budget) = &journey.budget {
                dt { "Budget" } dd {
                    (budget.spent) " " (language.pick("von", "of")) " " (budget.most) " (" (budget.share / 10) " %)"
                    @if let Some(per) = budget.per { span.dim lang="en" { " per " (per) } }
                }
            }
        }
        (counted(language.pick("Ausgetreten als", "Left as"), &journey.exits))
        (counted(language.pick("Erreicht", "Reached"), &journey.goals))
        (messages(journey, language))
        (steps_of(&program, journey, language))
    };
    Ok(Frame { language, title, signed_in: Some(&reader), body }.answer(StatusCode::OK))
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

/// The program that takes people in, or the last one that did.
pub(super) fn newest(deployed: &Deployed, name: &str) -> Option<Arc<Program>> {
    let last = || deployed.programs().filter(|program| *program.journey == *name).last();
    deployed.current.get(name).or_else(last).cloned()
}

fn counted(title: &str, counts: &BTreeMap<String, i64>) -> Markup {
    let most = counts.values().copied().max().unwrap_or(1).max(1);
    html! { @if !counts.is_empty() { section {
        h2 { (title) }
        ul.bars { @for (name, count) in counts { li {
            span { (name) } strong { (count) }
            meter min="0" max=(most) value=(count) aria-hidden="true" {}
        } } }
    } } }
}

/// Messages by channel and what came of them.
fn messages(journey: &Journey, language: Language) -> Markup {
    let states: BTreeSet<&str> =
        journey.deliveries.values().flat_map(|counts| counts.keys().map(String::as_str)).collect();
    let channel = |name: &str| {
        if name == REQUEST { language.pick("Anfragen", "requests").to_owned() } else { name.to_owned() }
    };
    html! { @if !states.is_empty() { section {
        h2 { (language.pick("Nachrichten", "Messages")) }
        div.scroll tabindex="0" role="region" aria-label=(language.pick("Nachrichten", "Messages")) { table {
            thead { tr {
                th scope="col" { (language.pick("Kanal", "Channel")) }
                @for state in &states { th.number scope="col" { (result(state, language)) } }
            } }
            tbody { @for (name, counts) in &journey.deliveries { tr {
                th scope="row" { (channel(name)) }
                @for state in &states { td.number { (counts.get(*state).copied().unwrap_or(0)) } }
            } } }
        } }
    } } }
}

fn result(state: &str, language: Language) -> &str {
    match state {
        "accepted" => language.pick("angenommen", "accepted"),
        "cancelled" => language.pick("entfallen", "cancelled"),
        "clicked" => language.pick("angeklickt", "clicked"),
        "open" => language.pick("offen", "open"),
        "refused" => language.pick("abgelehnt", "refused"),
        other => other,
    }
}

/// The steps with who rests at each.
fn steps_of(program: &Program, journey: &Journey, language: Language) -> Markup {
    let numbers = 0..StepIx::try_from(program.steps.len()).unwrap_or(StepIx::MAX);
    let is_known = |name: &&String| program.steps.iter().any(|step| *step.id == ***name);
    let older: BTreeMap<String, i64> = journey
        .waiting
        .iter()
        .filter(|(name, _)| !is_known(name))
        .map(|(name, count)| (name.clone(), *count))
        .collect();
    let row = |number: StepIx| {
        let (step, line) = (program.steps.get(usize::from(number))?, steps::line(program, number)?);
        let count = journey.waiting.get(&*step.id).copied().unwrap_or(0);
        let name = |to: StepIx| program.steps.get(usize::from(to)).map_or("", |step| &*step.id);
        Some(html! { li id={ "step-" (number) } class=[(count > 0).then_some("busy")] {
            span.count { @if count > 0 { strong { (count) } } }
            div lang="en" {
                (line.text)
                div.dim {
                    (step.id)
                    @for (when, to) in &line.ways {
                        " · " @if !when.is_empty() { (when) " " } a href={ "#step-" (to) } { "→ " (name(*to)) }
                    }
                }
            }
        } })
    };
    html! {
        section {
            h2 { (language.pick("Schritte, und wer gerade dort ist", "Steps, and who is there now")) }
            ol.steps { @for row in numbers.filter_map(row) { (row) } }
        }
        (counted(language.pick("In früheren Fassungen", "In earlier versions"), &older))
    }
}
