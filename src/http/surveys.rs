//! Surveys: the page that a link in a message leads to, and the answers for whoever evaluates them.
//!
//! `GET /s/{token}` shows the questions and does nothing: scanners follow links. `POST /s/{token}` takes the answers, once; what cannot
//! be read is said beside its question, and nothing of what was typed is lost.

use std::collections::BTreeMap;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value as Json_, json};

use super::auth::MayRead;
use super::pages::{self, Language};
use super::problem::Problem;
use super::{Doors, links};
use crate::clock::machine_now;
use crate::engine::program::{Catalog, Question, Survey, Word};
use crate::id::{self, DeliveryId};
use crate::intake::answers::{LONGEST, Wrong, read_form, scale};
use crate::link::{Kind, Link};
use crate::store::contacts;
use crate::store::deliveries::Person;
use crate::store::surveys::{self, Refused, Standing, Way};
use crate::time::Zone;
use crate::value::Type;

/// The most answers that one call lists, and how many it does unless told.
const MOST: u32 = 1_000;
const USUAL: u32 = 100;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new().route("/s/{token}", get(show).post(take)).route("/v1/surveys/{name}/answers", get(list))
}

// ---------------------------------------------------------------- the page

/// What a link leads to.
struct Asked {
    delivery: DeliveryId,
    language: Language,
    survey: Survey,
    standing: Standing,
    zone: Zone,
}

/// What was typed, and what is wrong with it.
#[derive(Default)]
struct Typed {
    given: BTreeMap<String, String>,
    wrong: BTreeMap<Word, Wrong>,
}

type Answered = Result<Response, Problem>;

async fn show(State(doors): State<Doors>, Path(token): Path<String>, headers: HeaderMap) -> Answered {
    let Some(asked) = find(&doors, &token).await? else {
        return Ok(links::dead(&doors, links::language(&headers)));
    };
    Ok(match asked.standing {
        Standing::Open => form(&doors, &asked, &Typed::default(), StatusCode::OK),
        Standing::Answered(_) => answered(&doors, asked.language, StatusCode::OK),
        Standing::Over => over(&doors, asked.language, StatusCode::OK),
    })
}

async fn take(
    State(doors): State<Doors>,
    Path(token): Path<String>,
    headers: HeaderMap,
    fields: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Answered {
    let Some(asked) = find(&doors, &token).await? else {
        return Ok(links::dead(&doors, links::language(&headers)));
    };
    let fields = fields.map(|Form(fields)| fields).unwrap_or_default();
    // Names of ours have a prefix, so that a survey may ask for anything.
    let own = fields.into_iter().filter_map(|(name, text)| Some((name.strip_prefix("a.")?.to_owned(), text)));
    let given: BTreeMap<String, String> = own.collect();
    let fields = match read_form(&asked.survey, &given, &asked.zone) {
        Ok(fields) => fields,
        Err(_) if asked.standing != Standing::Open => Default::default(),
        Err(wrong) => {
            let typed = Typed { given, wrong };
            return Ok(form(&doors, &asked, &typed, StatusCode::UNPROCESSABLE_ENTITY));
        }
    };
    let now = doors.clock.now();
    let language = asked.language;
    Ok(match surveys::answer(&doors.store, asked.delivery, Way::Page, None, fields, now).await? {
        Ok(()) => said(
            &doors,
            language,
            language.pick("Danke!", "Thank you!"),
            language.pick("Deine Antwort ist angekommen.", "Your answer has arrived."),
            StatusCode::OK,
        ),
        Err(Refused::Answered(_)) => answered(&doors, language, StatusCode::CONFLICT),
        Err(Refused::Over | Refused::Unknown) => over(&doors, language, StatusCode::CONFLICT),
    })
}

/// The question behind a link; `None` where the link is worth nothing.
async fn find(doors: &Doors, token: &str) -> Result<Option<Asked>, Problem> {
    let Ok(Link { kind: Kind::Survey, delivery, .. }) = doors.link_key.verify(token, machine_now()) else {
        return Ok(None);
    };
    let deployed = doors.deployed().await?;
    let catalog = &deployed.catalog;
    let mut conn = doors.store.read().await?;
    let Some(question) = surveys::question(&mut conn, delivery, doors.clock.now()).await? else {
        return Ok(None);
    };
    let contact = contacts::load(&mut conn, question.contact).await?;
    drop(conn);
    let Some(survey) = catalog.surveys.get(&question.survey).cloned() else { return Ok(None) };
    let attributes = contact.map(|contact| contact.attributes).unwrap_or_default();
    let person = Person { attributes, ..Person::default() };
    let language = Language::of(&person.locale(catalog));
    let zone = zone(catalog, &person);
    Ok(Some(Asked { delivery, language, survey, standing: question.standing, zone }))
}

fn zone(catalog: &Catalog, person: &Person) -> Zone {
    Zone::named(&person.zone(catalog)).or_else(|| Zone::named(&catalog.zone)).unwrap_or_else(Zone::utc)
}

fn said(doors: &Doors, language: Language, title: &str, text: &str, status: StatusCode) -> Response {
    pages::answer(language, title, &doors.sender, &html! { p { (text) } }, status)
}

fn answered(doors: &Doors, language: Language, status: StatusCode) -> Response {
    let title =
        language.pick("Danke, wir haben deine Antwort schon", "Thank you, we have your answer already");
    let text =
        language.pick("Sie ist gespeichert; es bleibt bei der ersten.", "It is kept; the first one counts.");
    said(doors, language, title, text, status)
}

fn over(doors: &Doors, language: Language, status: StatusCode) -> Response {
    let title = language.pick("Diese Umfrage ist vorbei", "This survey is over");
    let text = language.pick(
        "Danke, dass du antworten wolltest. Wir nehmen hier keine Antworten mehr an.",
        "Thank you for wanting to answer. Answers are not taken here any more.",
    );
    said(doors, language, title, text, status)
}

fn form(doors: &Doors, asked: &Asked, typed: &Typed, status: StatusCode) -> Response {
    let language = asked.language;
    let body = html! {
        @if !typed.wrong.is_empty() {
            p.wrong.summary role="alert" {
                (language.pick("Da fehlt noch etwas. Sieh bitte die markierten Fragen an.", "Something is missing yet. Please look at the marked questions."))
            }
        }
        form.survey method="post" novalidate[!typed.wrong.is_empty()] {
            @for question in &asked.survey.questions { (asking(question, typed, language)) }
            button type="submit" { (language.pick("Antwort senden", "Send the answer")) }
        }
    };
    pages::answer(language, &asked.survey.title, &doors.sender, &body, status)
}

/// One question, with a way to answer that fits its type.
fn asking(question: &Question, typed: &Typed, language: Language) -> Markup {
    let name = format!("a.{}", question.field.name);
    let ty = &question.field.ty;
    let value = typed.given.get(&*question.field.name).map_or("", String::as_str);
    let wrong = typed.wrong.get(&question.field.name);
    let needed = !ty.is_optional();
    let hint = format!("{name}.wrong");
    let described = wrong.map(|_| hint.as_str());
    let words = html! {
        (question.text)
        @if !needed { " " small { "(" (language.pick("freiwillig", "optional")) ")" } }
    };
    let told =
        html! { @if let Some(wrong) = wrong { p.wrong id=(hint) { (in_words(*wrong, ty, language)) } } };
    let radio = |class: &str, key: &str, shown: &str| {
        html! { label class=(class) {
            input type="radio" name=(name) value=(key) required[needed] checked[value == key] aria-describedby=[described];
            span { (shown) }
        } }
    };
    let group = |class: &str, steps: Markup| {
        html! { fieldset.question {
            legend.asked { (words) }
            div class=(class) { (steps) }
            (told)
        } }
    };
    let nothing =
        || html! { @if !needed { (radio("choice", "", language.pick("keine Angabe", "no answer"))) } };
    if let Some((low, high)) = scale(ty) {
        let steps = html! {
            @for step in low..=high { (radio("step", &step.to_string(), &step.to_string())) }
            @if !needed { (radio("step", "", "–")) }
        };
        return group("scale", steps);
    }
    match ty.required() {
        Type::YesNo => group(
            "choices",
            html! {
                (radio("choice", "yes", language.pick("ja", "yes")))
                (radio("choice", "no", language.pick("nein", "no")))
                (nothing())
            },
        ),
        Type::OneOf(values) => group(
            "choices",
            html! {
                @for one in values.iter() { (radio("choice", one, &one.replace('_', " "))) }
                (nothing())
            },
        ),
        _ => html! { div.question {
            label.asked for=(name) { (words) }
            (field(&name, ty, value, needed, described))
            (told)
        } },
    }
}

fn field(name: &str, ty: &Type, value: &str, needed: bool, described: Option<&str>) -> Markup {
    let invalid = described.map(|_| "true");
    let input = |kind: &str, mode: &str, step: Option<&str>, bounds: Option<(i64, i64)>| {
        html! {
            input.field id=(name) name=(name) type=(kind) inputmode=(mode) value=(value) required[needed] step=[step]
                min=[bounds.map(|(low, _)| low)] max=[bounds.map(|(_, high)| high)]
                aria-describedby=[described] aria-invalid=[invalid];
        }
    };
    match ty.required() {
        Type::Text | Type::Address => html! {
            textarea.field id=(name) name=(name) rows="4" maxlength=(LONGEST) required[needed]
                aria-describedby=[described] aria-invalid=[invalid] { (value) }
        },
        Type::Number(bounds) => input("number", "numeric", Some("1"), *bounds),
        Type::Decimal(_) | Type::Percent => input("text", "decimal", None, None),
        Type::Date => input("date", "text", None, None),
        Type::Time => input("time", "text", None, None),
        Type::Moment => input("datetime-local", "text", None, None),
        Type::Email => input("email", "email", None, None),
        Type::Phone => input("tel", "tel", None, None),
        _ => input("text", "text", None, None),
    }
}

/// What is wrong with an answer, and what would be right.
fn in_words(wrong: Wrong, ty: &Type, language: Language) -> String {
    let is_chosen = scale(ty).is_some() || matches!(ty.required(), Type::YesNo | Type::OneOf(_));
    match (wrong, ty.required()) {
        (Wrong::Missing, _) if is_chosen => {
            language.pick("Bitte wähle eine Antwort.", "Please choose an answer.").to_owned()
        }
        (Wrong::Missing, _) => {
            language.pick("Bitte beantworte diese Frage.", "Please answer this question.").to_owned()
        }
        (Wrong::TooLong, _) => {
            let text =
                language.pick("Das ist zu lang. Zeichen höchstens:", "This is too long. Characters at most:");
            format!("{text} {LONGEST}")
        }
        (Wrong::Misfit, Type::Number(Some((low, high)))) => match language {
            Language::De => format!("Bitte gib eine ganze Zahl von {low} bis {high} an."),
            Language::En => format!("Please give a whole number from {low} to {high}."),
        },
        (Wrong::Misfit, Type::Number(None)) => {
            language.pick("Bitte gib eine ganze Zahl an.", "Please give a whole number.").to_owned()
        }
        (Wrong::Misfit, Type::Decimal(Some((low, high)))) => match language {
            Language::De => format!("Bitte gib eine Zahl von {low} bis {high} an."),
            Language::En => format!("Please give a number from {low} to {high}."),
        },
        (Wrong::Misfit, Type::Decimal(None) | Type::Percent) => {
            language.pick("Bitte gib eine Zahl an.", "Please give a number.").to_owned()
        }
        (Wrong::Misfit, Type::Date) => language
            .pick("Bitte gib ein Datum an, etwa 24.12.2026.", "Please give a date such as 2026-12-24.")
            .to_owned(),
        (Wrong::Misfit, Type::Time) => language
            .pick("Bitte gib eine Uhrzeit an, etwa 09:30.", "Please give a time such as 09:30.")
            .to_owned(),
        (Wrong::Misfit, Type::Email) => {
            language.pick("Bitte gib eine E-Mail-Adresse an.", "Please give an e-mail address.").to_owned()
        }
        (Wrong::Misfit, Type::Phone) => {
            language.pick("Bitte gib eine Telefonnummer an.", "Please give a phone number.").to_owned()
        }
        (Wrong::Misfit, _) if is_chosen => {
            language.pick("Bitte wähle eine der Antworten.", "Please choose one of the answers.").to_owned()
        }
        (Wrong::Misfit, _) => {
            language.pick("Das können wir so nicht lesen.", "We cannot read this.").to_owned()
        }
    }
}

// ---------------------------------------------------------------- what was answered

#[derive(Deserialize)]
struct Wanted {
    limit: Option<u32>,
    /// Only those before this id.
    before: Option<String>,
}

/// `GET /v1/surveys/{name}/answers`: newest first, whichever way they came.
async fn list(
    _key: MayRead,
    State(doors): State<Doors>,
    Path(name): Path<String>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Json_>, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::bad("unreadable", error.body_text()))?;
    let before = match wanted.before.as_deref().map(id::from_base32) {
        None => None,
        Some(Ok(before)) => Some(before),
        Some(Err(_)) => return Err(Problem::bad("no-id", "`before` is no id of an answer")),
    };
    let deployed = doors.deployed().await?;
    let limit = wanted.limit.unwrap_or(USUAL).clamp(1, MOST);
    let found =
        surveys::of_survey(&mut doors.store.read().await?, &name, before, limit).await?.unwrap_or_default();
    let survey = deployed.catalog.surveys.get(name.as_str());
    // Answers to what is not asked any more can still be read.
    if survey.is_none() && found.is_empty() {
        return Err(Problem::not_found("survey"));
    }
    let next = found.last().filter(|_| found.len() == limit as usize).map(|line| id::to_base32(line.id));
    let questions = survey.map_or(&[][..], |survey| &survey.questions);
    let question = |question: &Question| {
        let field = &question.field;
        json!({
            "name": field.name, "text": question.text, "type": field.ty.required().to_string(), "optional": field.ty.is_optional(),
        })
    };
    Ok(Json(json!({
        "survey": name, "title": survey.map(|survey| &survey.title),
        "questions": questions.iter().map(question).collect::<Vec<_>>(),
        "answers": found.iter().map(surveys::Line::as_json).collect::<Vec<_>>(), "next": next,
    })))
}
