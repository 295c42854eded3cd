//! The pages about people, for whoever has a key of scope `read`: finding somebody, and everything that is held on one person, with
//! why each journey did or did not take them in. The same truth as `contact show` and `why`.

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use maud::{Markup, html};
use serde::Deserialize;

use super::Doors;
use super::frame::Frame;
use super::pages::Language;
use super::problem::Problem;
use super::read::is_key;
use super::session::{Reader, SignedIn};
use super::shown::{in_words, local, zone};
use super::tasks::Person;
use crate::store::contacts::{self, Contact};
use crate::store::held::{Held, Line, Part};
use crate::store::why::{self, Story};
use crate::store::{Conn, identities};
use crate::time::{Timestamp, Zone};

/// What stands on a page of what happened.
const LINES: usize = 50;
/// What stands under another heading before the rest is folded away.
const NEWEST: usize = 10;
/// What is told of one journey; the rest stands among what happened.
const TOLD: usize = 30;
/// People who share an address, as many as are listed.
const ALIKE: usize = 20;

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new().route("/people", get(search).post(find)).route("/people/{key}", get(show))
}

type Answered = Result<Response, Problem>;

// ---------------------------------------------------------------- finding somebody

async fn search(Reader(reader): Reader) -> Response {
    form(&reader, "", None, &html! {}).answer(StatusCode::OK)
}

fn form<'a>(reader: &'a SignedIn, key: &str, wrong: Option<&str>, below: &Markup) -> Frame<'a> {
    let language = reader.language;
    let title = language.pick("Personen", "People");
    let body = html! {
        h1 { (title) }
        @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
        form role="search" method="post" action="/people" {
            (reader.token())
            div.part {
                label.field for="key" {
                    (language.pick(
                        "Kundennummer, E-Mail-Adresse, Telefonnummer oder Kennung (ct_…)",
                        "User id, e-mail address, phone number or id (ct_…)",
                    ))
                }
                input id="key" name="key" type="search" value=(key) maxlength="256" autocomplete="off" autocapitalize="none"
                    spellcheck="false" required autofocus;
            }
            button type="submit" { (language.pick("Suchen", "Find")) }
        }
        (below)
    };
    Frame { language, title, signed_in: Some(reader), body }
}

#[derive(Deserialize)]
struct Wanted {
    token: Option<String>,
    #[serde(default)]
    key: String,
}

/// Leads to the person by our own id: what was typed stands in no address.
async fn find(
    Reader(reader): Reader,
    State(doors): State<Doors>,
    headers: HeaderMap,
    Form(wanted): Form<Wanted>,
) -> Answered {
    reader.must_be_ours(&doors, &headers, wanted.token.as_deref())?;
    let (key, language) = (wanted.key.trim(), reader.language);
    let found = if is_key(key) { alike(&mut doors.store.read().await?, key).await? } else { Vec::new() };
    match found.as_slice() {
        [] => {
            let wrong = language.pick(
                "Niemand ist unter diesem Namen bekannt. Gesucht wird genau so, wie es hier steht.",
                "Nobody is known by this. It is looked for exactly as it is written.",
            );
            Ok(form(&reader, key, Some(wrong), &html! {}).answer(StatusCode::NOT_FOUND))
        }
        [one] => Ok(Redirect::to(&format!("/people/{}", one.id)).into_response()),
        several => {
            let catalog = doors.deployed().await?.catalog.clone();
            let row = |contact: &Contact| {
                let person = Person::new(&catalog, contact.id, Some(&contact.attributes));
                let since = local(&zone(&catalog), contact.created_at, language);
                html! { li { a href={ "/people/" (contact.id) } {
                    strong { (person.called()) }
                    div.dim { (contact.id) " · " (language.pick("seit", "since")) " " (since) }
                } } }
            };
            let below = html! {
                h2 { (language.pick("Das sind mehrere", "There are several")) }
                ul.queue { @for contact in several { (row(contact)) } }
            };
            Ok(form(&reader, key, None, &below).answer(StatusCode::OK))
        }
    }
}

/// All contacts that go by that text; of those that were merged, who took over.
async fn alike(conn: &mut Conn, key: &str) -> Result<Vec<Contact>, Problem> {
    let mut found: Vec<Contact> = Vec::new();
    for id in identities::find(conn, key).await?.into_iter().take(ALIKE) {
        let contact = contacts::by_key(conn, &id.to_string()).await?;
        found.extend(contact.filter(|contact| found.iter().all(|other| other.id != contact.id)));
    }
    Ok(found)
}

// ---------------------------------------------------------------- one person

#[derive(Deserialize)]
struct Paged {
    /// Of what happened; the newest is the first.
    page: Option<usize>,
}

async fn show(
    Reader(reader): Reader,
    State(doors): State<Doors>,
    Path(key): Path<String>,
    paged: Result<Query<Paged>, QueryRejection>,
) -> Answered {
    let (now, language) = (doors.clock.now(), reader.language);
    let page = paged.ok().and_then(|Query(paged)| paged.page).unwrap_or(1).max(1);
    let mut conn = doors.store.read().await?;
    // What stands on a page is among as many of the newest as fit on it and on those before.
    let newest = page.saturating_mul(LINES);
    let held = if is_key(&key) { Held::recent(&mut conn, &key, now, newest).await? } else { None };
    let Some(held) = held else {
        let title = language.pick("Niemand gefunden", "Nobody found");
        let text = language.pick("Unter dieser Adresse steht niemand.", "There is nobody at this address.");
        return Ok(Frame::notice(&reader, title, text, "/people").answer(StatusCode::NOT_FOUND));
    };
    let stories = if page == 1 { why::stories(&mut conn, &held, None, now).await? } else { Vec::new() };
    drop(conn);
    let catalog = &held.teller.catalog;
    let shown = Shown { held: &held, zone: zone(catalog), language };
    let person = Person::new(catalog, held.contact.id, Some(&held.contact.attributes));
    let title = person.called();
    let body = html! {
        p { a href="/people" { "← " (language.pick("Personen", "People")) } }
        h1 { (title) }
        p.dim { (held.contact.id) " · " (language.pick("seit", "since")) " " (shown.moment(held.contact.created_at)) }
        @if page == 1 {
            (shown.stories(&stories))
            @for part in Part::ALL {
                @if !matches!(part, Part::Events | Part::History) { (shown.part(part)) }
            }
        }
        (shown.happened(page))
    };
    Ok(Frame { language, title: &title, signed_in: Some(&reader), body }.answer(StatusCode::OK))
}

/// A person, and how it is told.
struct Shown<'a> {
    held: &'a Held,
    zone: Zone,
    language: Language,
}

impl Shown<'_> {
    fn moment(&self, at: Timestamp) -> String {
        if at == Timestamp::NEVER {
            return self.language.pick("für immer", "for ever").to_owned();
        }
        local(&self.zone, at, self.language)
    }

    fn lines(&self, part: Part) -> Vec<Line> {
        self.held.lines(part, &|at| self.moment(at))
    }

    /// For each journey why it did, or did not. The sentences are those of `why`, in English.
    fn stories(&self, stories: &[Story]) -> Markup {
        let story = |story: &Story| {
            let left = story.told.len().saturating_sub(TOLD);
            html! { details.story {
                summary { strong { (story.journey) } ": " span lang="en" { (story.answer) "." } }
                @if !story.told.is_empty() {
                    ol.lines lang="en" { @for told in &story.told[left..] {
                        li { time datetime=(told.at) { (self.moment(told.at)) } div { (told.text) } }
                    } }
                }
                p { a href={ "/journeys/" (story.journey) } { (self.language.pick("Zur Journey", "The journey")) } }
            } }
        };
        html! { @if !stories.is_empty() {
            section {
                h2 { (self.language.pick("Warum, und warum nicht", "Why, and why not")) }
                @for one in stories { (story(one)) }
            }
        } }
    }

    fn part(&self, part: Part) -> Markup {
        let mut lines = self.lines(part);
        if lines.is_empty() {
            return html! {};
        }
        if matches!(part, Part::Identities | Part::Attributes | Part::Rests) {
            return html! { section {
                h2 { (title(part, self.language)) }
                dl { @for line in &lines { dt { (line.name) } dd { (line.text) } } }
            } };
        }
        lines.reverse();
        let (newest, older) = lines.split_at(lines.len().min(NEWEST));
        let list = |lines: &[Line]| html! { ol.lines lang="en" { @for line in lines { (self.line(line)) } } };
        html! { section {
            h2 { (title(part, self.language)) }
            (list(newest))
            @if !older.is_empty() {
                details {
                    summary { (self.language.pick("Ältere", "Older")) ": " (older.len()) }
                    (list(older))
                }
            }
        } }
    }

    fn line(&self, line: &Line) -> Markup {
        html! { li {
            @if let Some(at) = line.at { time datetime=(at) { (self.moment(at)) } }
            div {
                @if !line.name.is_empty() { strong { (line.name) } " " }
                (line.text)
                @if let Some(fields) = &line.fields { (in_words(&fields.clone().into())) }
                @if let Some(id) = &line.id { " " span.dim { (id) } }
            }
        } }
    }

    /// Events, and what was decided, newest first.
    fn happened(&self, page: usize) -> Markup {
        let mut lines = self.lines(Part::Events);
        lines.extend(self.lines(Part::History));
        lines.sort_by_key(|line| line.at);
        lines.reverse();
        let unread = self.held.event_count.saturating_sub(self.held.events.len());
        let pages = (lines.len() + unread).div_ceil(LINES).max(1);
        let here = lines.chunks(LINES).nth(page - 1).unwrap_or(&[]);
        let to = |page: usize| format!("/people/{}?page={page}", self.held.contact.id);
        let language = self.language;
        html! { section {
            h2 id="happened" { (language.pick("Was geschah", "What happened")) }
            @if here.is_empty() { p.dim { (language.pick("Hier steht nichts.", "There is nothing here.")) } }
            ol.lines lang="en" { @for line in here { (self.line(line)) } }
            @if pages > 1 {
                nav.turn aria-label=(language.pick("Seiten", "Pages")) {
                    @if page > 1 { a rel="prev" href=(to(page.min(pages + 1) - 1)) { "← " (language.pick("neuer", "newer")) } }
                    span.dim { (page) " / " (pages) }
                    @if page < pages { a rel="next" href=(to(page + 1)) { (language.pick("älter", "older")) " →" } }
                }
            }
        } }
    }
}

fn title(part: Part, language: Language) -> &'static str {
    let (de, en) = match part {
        Part::Identities => ("Bekannt als", "Known as"),
        Part::Attributes => ("Eigenschaften", "Attributes"),
        Part::Consents => ("Einwilligungen", "Consents"),
        Part::Rests => ("Ruht", "Rests"),
        Part::Suppressed => ("Adressen, die nicht benutzt werden", "Addresses not used"),
        Part::Slots => ("Zählt für Obergrenzen", "Counted by limits"),
        Part::Enrollments => ("In Journeys", "In journeys"),
        Part::Deliveries => ("Nachrichten", "Messages"),
        Part::Letters => ("Briefe", "Letters"),
        Part::Tasks => ("Aufgaben", "Tasks"),
        Part::Audiences => ("Zielgruppen", "Audiences"),
        Part::Answers => ("Antworten", "Answers"),
        Part::Replies => ("Antworten, die zu keiner Nachricht passen", "Replies that fit no message"),
        Part::Codes => ("Codes", "Codes"),
        Part::Events => ("Ereignisse", "Events"),
        Part::History => ("Entscheidungen", "Decisions"),
    };
    language.pick(de, en)
}
