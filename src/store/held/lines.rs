//! What is held, in lines: one truth for the command and the page.

use serde_json::{Map, Value as Json};

use super::Held;
use crate::engine::world::{Event, Fields, Note};
use crate::store::permissions::LedgerLine;
use crate::store::{deliveries, enrollments, letters, members, surveys, tasks};
use crate::time::Timestamp;
use crate::value::Value;

/// A heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Identities,
    Attributes,
    Consents,
    Rests,
    Suppressed,
    Slots,
    Enrollments,
    Deliveries,
    Letters,
    Tasks,
    Audiences,
    Answers,
    Replies,
    Codes,
    Events,
    History,
}

impl Part {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Part; 16] = [
        Part::Identities,
        Part::Attributes,
        Part::Consents,
        Part::Rests,
        Part::Suppressed,
        Part::Slots,
        Part::Enrollments,
        Part::Deliveries,
        Part::Letters,
        Part::Tasks,
        Part::Audiences,
        Part::Answers,
        Part::Replies,
        Part::Codes,
        Part::Events,
        Part::History,
    ];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Part::Identities => "identities",
            Part::Attributes => "attributes",
            Part::Consents => "consents",
            Part::Rests => "rests",
            Part::Suppressed => "addresses not used",
            Part::Slots => "counted by limits",
            Part::Enrollments => "enrollments",
            Part::Deliveries => "deliveries",
            Part::Letters => "letters",
            Part::Tasks => "tasks",
            Part::Audiences => "audiences",
            Part::Answers => "answers",
            Part::Replies => "replies that fit no message",
            Part::Codes => "codes",
            Part::Events => "events",
            Part::History => "history",
        }
    }
}

/// A line under a heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub at: Option<Timestamp>,
    /// Ours, of what has one.
    pub id: Option<String>,
    /// What it is about, such as the kind of an identity or the name of an event.
    pub name: String,
    pub text: String,
    /// Of an event, an answer, a code.
    pub fields: Option<Map<String, Json>>,
}

/// How a moment is told.
type Moment<'m> = &'m dyn Fn(Timestamp) -> String;

impl Line {
    fn at(at: Timestamp, text: String) -> Line {
        Line { at: Some(at), text, ..Line::default() }
    }

    fn named(name: &str, text: String) -> Line {
        Line { name: name.to_owned(), text, ..Line::default() }
    }

    fn with_fields(at: Timestamp, name: String, fields: &Fields, moment: Moment<'_>) -> Line {
        let known = fields.iter().filter(|(_, value)| value.is_known());
        let fields = known.map(|(name, value)| (name.to_string(), told(value, moment))).collect();
        Line { at: Some(at), name, fields: Some(fields), ..Line::default() }
    }
}

impl Held {
    /// What stands under a heading, oldest first, with moments told in that way.
    pub fn lines(&self, part: Part, moment: Moment<'_>) -> Vec<Line> {
        match part {
            Part::Identities => {
                let all = self.contact.identities.iter();
                all.map(|(kind, value)| Line::named(kind.as_str(), value.clone())).collect()
            }
            Part::Attributes => {
                let all = self.contact.attributes.iter();
                all.map(|(name, value)| Line::named(name, shown(&told(value, moment)))).collect()
            }
            Part::Consents => self.consents.iter().map(consent).collect(),
            Part::Rests => {
                let until = |until: Timestamp| format!("until {}", moment(until));
                self.pauses.iter().map(|(purpose, end)| Line::named(purpose, until(*end))).collect()
            }
            Part::Suppressed => {
                let all = self.teller.suppressed.iter();
                all.map(|(channel, (reason, at))| Line::at(*at, format!("{channel}: {reason}"))).collect()
            }
            Part::Slots => {
                let all = self.slots.iter();
                all.map(|(at, channel, purpose)| Line::at(*at, format!("{purpose} by {channel}"))).collect()
            }
            Part::Enrollments => self.enrollments.iter().map(|line| self.enrollment(line, moment)).collect(),
            Part::Deliveries => self.deliveries.iter().map(delivery).collect(),
            Part::Letters => self.letters.iter().map(|line| letter(line, moment)).collect(),
            Part::Tasks => self.tasks.iter().map(|one| task(one, moment)).collect(),
            Part::Audiences => self.audiences.iter().map(membership).collect(),
            Part::Answers => self.answers.iter().map(|line| answer(line, moment)).collect(),
            Part::Replies => {
                let all = self.apart.iter();
                all.map(|one| Line { name: one.sender.clone(), ..Line::at(one.came_at, one.text.clone()) })
                    .collect()
            }
            Part::Codes => {
                let all = self.codes.iter();
                all.map(|code| Line::with_fields(code.at, code.pool.clone(), &code.fields, moment)).collect()
            }
            Part::Events => self.events.iter().map(|one| event(one, moment)).collect(),
            Part::History => self.history.iter().map(|note| self.note(note)).collect(),
        }
    }

    fn enrollment(&self, line: &enrollments::Line, moment: Moment<'_>) -> Line {
        let end = match (line.ended_at, &line.reason) {
            (Some(at), Some(reason)) => format!("left as {reason} {}", moment(at)),
            (Some(at), None) => format!("left {}", moment(at)),
            (None, _) => "inside".to_owned(),
        };
        let key = if line.key.is_empty() { String::new() } else { format!("  {}", line.key) };
        let mut text = format!("{end}{key}");
        let place = self.places.get(&line.id);
        if let Some(place) = place {
            text.push_str(&format!("  (version {})", place.version));
        }
        if let Some(standing) = place.and_then(|place| place.standing.as_ref()) {
            text.push_str(&format!(", at {} since {}", standing.step, moment(standing.since)));
            if let Some(what) = &standing.waits_for {
                text.push_str(&format!(", waits for {what}"));
            }
            if let Some(until) = standing.until {
                text.push_str(&format!(", at most until {}", moment(until)));
            }
        }
        let id = Some(line.id.to_string());
        Line { id, name: line.journey.to_string(), ..Line::at(line.entered_at, text) }
    }

    fn note(&self, note: &Note) -> Line {
        let place = match (&note.journey, &note.step) {
            (Some(journey), Some(step)) => format!("{journey}.{step}"),
            (Some(journey), None) => journey.to_string(),
            (None, _) => String::new(),
        };
        let round = if note.round > 0 { format!(" (round {})", note.round) } else { String::new() };
        let text = self.teller.note(note).unwrap_or_else(|| "done".to_owned());
        Line { name: format!("{place}{round}"), ..Line::at(note.at, text) }
    }
}

fn membership(line: &members::Membership) -> Line {
    let told = if line.is_told { "the network knows" } else { "not told to the network yet" };
    Line { name: line.audience.clone(), ..Line::at(line.since, told.to_owned()) }
}

fn consent(line: &LedgerLine) -> Line {
    let change = &line.change;
    let word = if change.permit { "granted" } else { "withdrawn" };
    let evidence = change.evidence.as_deref().map_or(String::new(), |evidence| format!("  {evidence}"));
    let text = format!("{} on {}  by {}{evidence}", change.purpose, change.channel, change.source);
    Line { name: format!("{word:<9}"), ..Line::at(change.at, text) }
}

fn delivery(line: &deliveries::Line) -> Line {
    let mut text = format!("{} on {}: {}", line.template, line.channel, line.state);
    if line.attempts > 1 {
        text.push_str(&format!(", {} tries", line.attempts));
    }
    if line.maybe_duplicate {
        text.push_str(", perhaps more than once");
    }
    if line.clicked_at.is_some() {
        text.push_str(", clicked");
    }
    if let Some(result) = &line.result {
        text.push_str(&format!("  ({result})"));
    }
    let (id, name) = (Some(line.id.to_string()), format!("{}.{}", line.journey, line.step));
    Line { id, name, ..Line::at(line.due_at, text) }
}

fn letter(line: &letters::Line, moment: Moment<'_>) -> Line {
    let mut text = match &line.batch {
        Some(batch) => format!("in {batch}"),
        None => "waits for its batch".to_owned(),
    };
    if let Some(code) = &line.code {
        text.push_str(&format!(", code {code}"));
    }
    if let Some(at) = line.answered_at {
        text.push_str(&format!(", answered {}", moment(at)));
    }
    Line { id: Some(line.delivery.to_string()), ..Line::at(line.due_at, text) }
}

fn task(task: &tasks::Task, moment: Moment<'_>) -> Line {
    let work = &task.work;
    let outcome = task.outcome.as_deref().map_or(String::new(), |outcome| format!(", {outcome}"));
    let mut text = format!("{} {} by {}: {}{outcome}", work.verb, work.task, work.team, task.state);
    for attempt in &task.hand.told {
        let what = match (attempt.until, &attempt.outcome) {
            (Some(until), _) => format!("put off until {}", moment(until)),
            (None, Some(outcome)) => outcome.clone(),
            (None, None) => "tried".to_owned(),
        };
        let note = attempt.note.as_deref().map_or(String::new(), |note| format!(": {note}"));
        text.push_str(&format!("; {} by {}, {what}{note}", moment(attempt.at), attempt.who));
    }
    Line { id: Some(work.id.to_string()), ..Line::at(work.due_at, text) }
}

fn answer(line: &surveys::Line, moment: Moment<'_>) -> Line {
    Line::with_fields(line.at, format!("{} by {}", line.survey, line.way), &line.fields, moment)
}

fn event(event: &Event, moment: Moment<'_>) -> Line {
    Line::with_fields(event.occurred_at, event.name.to_string(), &event.fields, moment)
}

/// A value, with its moments told.
fn told(value: &Value, moment: Moment<'_>) -> Json {
    match value {
        Value::Moment(at) => moment(*at).into(),
        Value::List(all) => all.iter().map(|one| told(one, moment)).collect(),
        other => other.to_json(),
    }
}

/// A value on one line: texts without quotes.
fn shown(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}
