//! What one sees while the demo plays: where the people are, what they have answered, and the built-in mailbox and gateway.
//!
//! Rendered here; a few lines of script only fetch the moving parts anew. Mails are shown in a sandboxed frame of their own.

use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use super::Stage;
use super::answers::{self, Answered, door};
use super::texts::{self, Text};
use crate::channels::mailbox::{Stored, decoded_words};
use crate::value::Value as Answer;

/// The newest mails that the first page lists.
const NEWEST: usize = 40;
/// The newest answers to each survey.
const ANSWERS: usize = 4;

const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; \
                           img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const MAIL_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'";

/// The routes of the demo's pages.
pub(super) fn router(stage: Stage) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/demo/people", get(people_part))
        .route("/demo/mails", get(mails_part))
        .route("/demo/answers", get(answers_part))
        .route("/demo/texts", get(texts_page).post(take_text))
        .route("/demo/style.css", get(|| async { asset("text/css; charset=utf-8", STYLE) }))
        .route("/demo/app.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/mailbox", get(mailbox))
        .route("/mailbox/{number}", get(mail))
        .route("/mailbox/{number}/html", get(mail_html))
        .with_state(stage)
}

async fn overview(State(stage): State<Stage>) -> Response {
    let body = html! {
        div.columns {
            section aria-label="Journeys" { div #people data-part="/demo/people" { (people(&stage).await) } }
            section aria-label="What comes and goes" {
                div #answers data-part="/demo/answers" { (answered(&stage).await) }
                h2 { a href="/mailbox" { "Mailbox" } }
                div #mails data-part="/demo/mails" { (mails(&stage, NEWEST)) }
            }
        }
    };
    page("Fahrplan demo", &body, true)
}

async fn people_part(State(stage): State<Stage>) -> Response {
    part(people(&stage).await)
}

async fn mails_part(State(stage): State<Stage>) -> Response {
    part(mails(&stage, NEWEST))
}

async fn answers_part(State(stage): State<Stage>) -> Response {
    part(answered(&stage).await)
}

/// The gateway's door.
async fn take_text(State(stage): State<Stage>, Json(text): Json<Text>) -> Json<Value> {
    Json(texts::taken(&stage.gateway.take(text)))
}

async fn texts_page(State(stage): State<Stage>) -> Response {
    let all = stage.gateway.since(0);
    let body = html! {
        p { a href="/" { "← Journeys" } }
        h2 { "Text messages" }
        @if all.is_empty() { p.empty { "None has come to the gateway yet." } }
        ol.answers {
            @for text in all.iter().rev() { li { (text.text) " " span.to { (text.to) } } }
        }
    };
    page("Text messages", &body, false)
}

async fn mailbox(State(stage): State<Stage>) -> Response {
    let body = html! {
        p { a href="/" { "← Journeys" } }
        h2 { "Mailbox" }
        div #mails data-part="/demo/mails" { (mails(&stage, 400)) }
    };
    page("Mailbox", &body, false)
}

async fn mail(State(stage): State<Stage>, Path(number): Path<u64>) -> Response {
    let Some(stored) = stage.mailbox.message(number) else { return gone() };
    let letter = &stored.letter;
    let header = |name: &str| decoded_words(letter.header(name).unwrap_or_default());
    let body = html! {
        p { a href="/mailbox" { "← Mailbox" } }
        h2 { (letter.subject) }
        dl.headers {
            @for name in ["From", "To", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post"] {
                @if !header(name).is_empty() { dt { (name) } dd { (header(name)) } }
            }
        }
        iframe title="The mail as sent" sandbox="" src={ "/mailbox/" (number) "/html" } {}
        h3 { "As plain text" }
        pre { (letter.text) }
    };
    page(&letter.subject, &body, false)
}

async fn mail_html(State(stage): State<Stage>, Path(number): Path<u64>) -> Response {
    let Some(stored) = stage.mailbox.message(number) else { return gone() };
    with_policy(Html(stored.letter.html.clone()).into_response(), MAIL_POLICY)
}

async fn people(stage: &Stage) -> Markup {
    let Some(view) = stage.view().await else {
        return html! { p { "The database does not answer just now." } };
    };
    html! {
        div.clock {
            strong { "Day " (view.day) " of " (view.days) }
            span { (view.time) }
            progress max=(view.days) value=(view.day) { (view.day) }
        }
        ul.figures {
            li { strong { (view.contacts) } " contacts" }
            li { strong { (view.inside) } " under way" }
            li { strong { (view.mails) } " mails" }
            li { a href="/demo/texts" { strong { (view.texts) } " text messages" } }
        }
        @for journey in &view.journeys {
            article {
                h2 { (journey.title) small { (journey.name) } }
                p.sums { (journey.entered) " entered · " (journey.inside) " inside" }
                @if !journey.steps.is_empty() { (bars("steps", "waiting at", &journey.steps)) }
                @if !journey.exits.is_empty() { (bars("exits", "left as", &journey.exits)) }
                @if !journey.goals.is_empty() { (bars("goals", "reached", &journey.goals)) }
            }
        }
    }
}

/// What people have answered, by whichever door, in one place.
async fn answered(stage: &Stage) -> Markup {
    let all = answers::read(stage).await.unwrap_or_default();
    html! {
        @if !all.is_empty() { h2 { "Answers" } }
        @for answered in &all { (survey(answered)) }
    }
}

fn survey(answered: &Answered) -> Markup {
    html! {
        article {
            h2 { (answered.title) small { (answered.survey) } }
            p.sums { (answered.in_words()) }
            ol.answers {
                @for line in answered.lines.iter().take(ANSWERS) {
                    @let said: Vec<String> =
                        line.fields.iter().map(|(name, value)| format!("{name} {}", shown(value))).collect();
                    li { (said.join(", ")) " " span.to { (door(line)) } }
                }
            }
        }
    }
}

/// An answer as it was given.
fn shown(value: &Answer) -> String {
    match value.to_json() {
        Value::String(text) => format!("“{text}”"),
        json => json.to_string(),
    }
}

fn bars(class: &str, caption: &str, rows: &[(String, i64)]) -> Markup {
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    html! {
        table class=(class) {
            caption { (caption) }
            tbody {
                @for (name, count) in rows {
                    tr {
                        th scope="row" { (name) }
                        td.number { (count) }
                        td.bar { meter min="0" max=(most) value=(count) { (count) } }
                    }
                }
            }
        }
    }
}

fn mails(stage: &Stage, most: usize) -> Markup {
    let messages = stage.mailbox.messages();
    html! {
        @if messages.is_empty() { p.empty { "The first mails appear within a minute." } }
        ol.mails {
            @for stored in messages.iter().rev().take(most) { (line(stored)) }
        }
    }
}

fn line(stored: &Stored) -> Markup {
    let letter = &stored.letter;
    html! {
        li {
            a href={ "/mailbox/" (stored.number) } {
                span.subject { (letter.subject) }
                span.to { (stored.to) }
                time { (letter.header("Date").unwrap_or_default()) }
            }
        }
    }
}

fn page(title: &str, body: &Markup, moving: bool) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/demo/style.css";
                title { (title) }
                @if moving { script src="/demo/app.js" defer {} }
            }
            body {
                header { a href="/" { "Fahrplan" } span { "demo: a coffee shop, ninety days in three minutes" } }
                main { (body) }
            }
        }
    };
    with_policy(Html(markup.into_string()).into_response(), PAGE_POLICY)
}

fn part(markup: Markup) -> Response {
    with_policy(Html(markup.into_string()).into_response(), PAGE_POLICY)
}

fn gone() -> Response {
    let body = html! { p { "This mail is no longer kept." } p { a href="/mailbox" { "← Mailbox" } } };
    let mut response = page("Gone", &body, false);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn with_policy(mut response: Response, policy: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const SCRIPT: &str = r#""use strict";
async function renew(part) {
  const answer = await fetch(part.dataset.part);
  if (answer.ok) part.innerHTML = await answer.text();
}
async function loop() {
  try {
    if (!document.hidden) for (const part of document.querySelectorAll("[data-part]")) await renew(part);
  } catch {
    document.body.classList.add("over");
    return;
  }
  setTimeout(loop, 1000);
}
setTimeout(loop, 1000);
"#;

const STYLE: &str = r":root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 15%, transparent);
  --soft: color-mix(in srgb, currentColor 60%, transparent); --accent: #1f6f54; }
@media (prefers-color-scheme: dark) { :root { --accent: #6cc7a3; } }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.45 system-ui, sans-serif; }
body.over::after { content: 'The demo has ended; its summary stands in the terminal.'; position: fixed; inset: auto 0 0 0;
  padding: .75rem 1rem; background: var(--accent); color: Canvas; text-align: center; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; padding: .8rem 1rem; border-bottom: 1px solid var(--line); }
header a { font-weight: 700; font-size: 1.15rem; color: inherit; text-decoration: none; }
header span, small, .to, time, .sums, caption, dt { color: var(--soft); }
main { max-width: 76rem; margin: 0 auto; padding: 1rem; }
.columns { display: grid; gap: 1.5rem 2.5rem; }
@media (min-width: 56rem) { .columns { grid-template-columns: minmax(0, 1.1fr) minmax(0, 1fr); } }
h2 { font-size: 1.1rem; margin: 0 0 .5rem; } h2 a { color: inherit; } h2 small { font-weight: 400; font-size: .85rem; margin-left: .6rem; }
.clock { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; } .clock progress { grid-column: 1 / -1; width: 100%; height: .5rem; accent-color: var(--accent); }
.figures { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; padding: 0; margin: .75rem 0 1.25rem; list-style: none; }
article { border-top: 1px solid var(--line); padding: 1rem 0; }
.sums { margin: 0 0 .5rem; }
table { width: 100%; border-collapse: collapse; margin: .5rem 0; table-layout: fixed; }
caption { text-align: left; font-size: .85rem; }
th { text-align: left; font-weight: 400; width: 50%; overflow-wrap: anywhere; padding: .1rem .5rem .1rem 0; }
td.number { width: 4rem; text-align: right; font-variant-numeric: tabular-nums; padding-right: .75rem; }
meter { width: 100%; height: .8rem; }
.mails, .answers { list-style: none; margin: 0; padding: 0; } .answers li { padding: .15rem 0; overflow-wrap: anywhere; } .figures a { color: inherit; }
.mails a { display: grid; grid-template-columns: 1fr auto; gap: 0 .75rem; padding: .5rem 0; border-bottom: 1px solid var(--line); color: inherit; text-decoration: none; }
.mails a:hover .subject { text-decoration: underline; }
.subject { grid-column: 1 / -1; font-weight: 600; } .subject, .to { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; }
.to, time { font-size: .85rem; }
.headers { display: grid; grid-template-columns: auto 1fr; gap: .1rem 1rem; margin: 0 0 1rem; font-size: .9rem; } .headers dd { margin: 0; overflow-wrap: anywhere; }
iframe { width: 100%; height: 36rem; border: 1px solid var(--line); border-radius: .4rem; background: #fff; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line); border-radius: .4rem; padding: 1rem; }
";
