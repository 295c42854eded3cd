//! `fahrplan contact show`: everything we hold on one person.

use serde_json::{Map, Value as Json, json};

use super::load::Project;
use super::{
    ContactArgs, ContactCommand, Exit, Failure, Outcome, OutputFormat, block_on, open, print, world,
};
use crate::engine::world::{Event, Fields, Note, What};
use crate::store::contacts::{self, Contact};
use crate::store::permissions::LedgerLine;
use crate::store::{self, Access, Conn, deliveries, enrollments, events, history, permissions, tasks};
use crate::time::Timestamp;

/// The most events that are shown, newest first.
const EVENTS: i64 = 1_000;

/// Runs the command.
pub fn run(args: &ContactArgs) -> Outcome {
    let ContactCommand::Show { key, format } = &args.command;
    block_on(async {
        let store = open(&Project::of(&[])?, Access::Look).await?;
        let held = Held::find(&mut store.read().await.map_err(world)?, key).await.map_err(world)?;
        store.close().await;
        let held = held.ok_or_else(|| nobody(key))?;
        match format {
            OutputFormat::Human => print(&held.in_words())?,
            OutputFormat::Json => print(&format!("{:#}\n", held.as_json()))?,
        }
        Ok(Exit::Fine)
    })
}

/// The failure for a key that leads to no contact.
pub(super) fn nobody(key: &str) -> Failure {
    Failure::usage(format!("nobody is known as `{key}`"))
        .help("give a user id, an anonymous id, an e-mail address, a phone number or an id of ours (ct_…)")
}

/// All that is held on one contact.
struct Held {
    contact: Contact,
    consents: Vec<LedgerLine>,
    enrollments: Vec<enrollments::Line>,
    deliveries: Vec<deliveries::Line>,
    tasks: Vec<tasks::Task>,
    /// Oldest first, as all the others.
    events: Vec<Event>,
    history: Vec<Note>,
}

impl Held {
    async fn find(conn: &mut Conn, key: &str) -> store::Result<Option<Held>> {
        let Some(contact) = contacts::by_key(conn, key).await? else { return Ok(None) };
        let id = contact.id;
        let mut events = events::newest(conn, id, EVENTS).await?;
        events.sort_by_key(|event| (event.occurred_at, event.id));
        let mut tasks = tasks::of_contact(conn, id).await?;
        tasks.reverse();
        Ok(Some(Held {
            consents: permissions::ledger(conn, id).await?,
            enrollments: enrollments::of_contact(conn, id).await?,
            deliveries: deliveries::of_contact(conn, id).await?,
            history: history::of_contact(conn, id).await?,
            contact,
            tasks,
            events,
        }))
    }

    // -------------------------------------------------------------- for machines

    fn as_json(&self) -> Json {
        let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let identities = self.contact.identities.iter();
        let consent = |line: &LedgerLine| {
            let change = &line.change;
            json!({
                "purpose": change.purpose, "channel": change.channel, "permit": change.permit,
                "at": change.at.to_string(), "source": change.source, "evidence": change.evidence,
            })
        };
        let enrollment = |line: &enrollments::Line| {
            json!({
                "id": line.id.to_string(), "journey": line.journey, "key": line.key,
                "entered_at": line.entered_at.to_string(), "ended_at": moment(line.ended_at),
                "reason": line.reason,
            })
        };
        let delivery = |line: &deliveries::Line| {
            json!({
                "id": line.id.to_string(), "journey": line.journey, "step": line.step,
                "channel": line.channel, "template": line.template, "purpose": line.purpose,
                "state": line.state, "due_at": line.due_at.to_string(), "attempts": line.attempts,
                "maybe_duplicate": line.maybe_duplicate, "result": line.result,
                "settled_at": moment(line.settled_at), "clicked_at": moment(line.clicked_at),
            })
        };
        let task = |task: &tasks::Task| {
            let work = &task.work;
            json!({
                "id": work.id.to_string(), "journey": work.journey, "step": work.step,
                "verb": work.verb, "task": work.task, "team": work.team, "with": plain(&work.with),
                "state": task.state, "outcome": task.outcome,
                "due_at": work.due_at.to_string(), "expires_at": work.expires_at.to_string(),
            })
        };
        let event = |event: &Event| {
            json!({
                "name": event.name, "at": event.occurred_at.to_string(),
                "accepted_at": event.accepted_at.to_string(), "fields": plain(&event.fields),
            })
        };
        let note = |note: &Note| {
            json!({
                "at": note.at.to_string(), "enrollment": note.enrollment.map(|id| id.to_string()),
                "journey": note.journey, "step": note.step, "round": note.round,
                "what": note.what, "text": said(&note.what),
            })
        };
        json!({
            "id": self.contact.id.to_string(),
            "created_at": self.contact.created_at.to_string(),
            "identities": identities.map(|(kind, value)| json!({ "kind": kind.as_str(), "value": value })).collect::<Vec<_>>(),
            "attributes": plain(&self.contact.attributes),
            "consents": self.consents.iter().map(consent).collect::<Vec<_>>(),
            "enrollments": self.enrollments.iter().map(enrollment).collect::<Vec<_>>(),
            "deliveries": self.deliveries.iter().map(delivery).collect::<Vec<_>>(),
            "tasks": self.tasks.iter().map(task).collect::<Vec<_>>(),
            "events": self.events.iter().map(event).collect::<Vec<_>>(),
            "history": self.history.iter().map(note).collect::<Vec<_>>(),
        })
    }

    // -------------------------------------------------------------- for people

    fn in_words(&self) -> String {
        let contact = &self.contact;
        let mut text = format!("{}  since {}\n", contact.id, minute(contact.created_at));
        let mut section = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                text.push_str(&format!("\n{title}\n"));
                lines.iter().for_each(|line| text.push_str(&format!("  {}\n", tame(line.trim_end()))));
            }
        };
        let identities = contact.identities.iter();
        section(
            "identities",
            identities.map(|(kind, value)| format!("{:<14}{value}", kind.as_str())).collect(),
        );
        let attributes = contact.attributes.iter();
        section(
            "attributes",
            attributes.map(|(name, value)| format!("{name:<20}  {}", shown(&value.to_json()))).collect(),
        );
        section("consents", self.consents.iter().map(consent_in_words).collect());
        section("enrollments", self.enrollments.iter().map(enrollment_in_words).collect());
        section("deliveries", self.deliveries.iter().map(delivery_in_words).collect());
        section("tasks", self.tasks.iter().map(task_in_words).collect());
        section("events", self.events.iter().map(event_in_words).collect());
        section("history", self.history.iter().map(note_in_words).collect());
        text
    }
}

fn consent_in_words(line: &LedgerLine) -> String {
    let change = &line.change;
    let word = if change.permit { "granted" } else { "withdrawn" };
    let evidence = change.evidence.as_deref().map_or(String::new(), |evidence| format!("  {evidence}"));
    format!(
        "{}  {word:<9}  {} on {}  by {}{evidence}",
        minute(change.at),
        change.purpose,
        change.channel,
        change.source
    )
}

fn enrollment_in_words(line: &enrollments::Line) -> String {
    let end = match (line.ended_at, &line.reason) {
        (Some(at), Some(reason)) => format!("left as {reason} {}", minute(at)),
        (Some(at), None) => format!("left {}", minute(at)),
        (None, _) => "inside".to_owned(),
    };
    let key = if line.key.is_empty() { String::new() } else { format!("  {}", line.key) };
    format!("{}  {}  {}  {end}{key}", minute(line.entered_at), line.id, line.journey)
}

fn delivery_in_words(line: &deliveries::Line) -> String {
    let mut text = format!(
        "{}  {}  {}.{}  {} on {}: {}",
        minute(line.due_at),
        line.id,
        line.journey,
        line.step,
        line.template,
        line.channel,
        line.state
    );
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
    text
}

fn task_in_words(task: &tasks::Task) -> String {
    let work = &task.work;
    let outcome = task.outcome.as_deref().map_or(String::new(), |outcome| format!(", {outcome}"));
    let (at, id) = (minute(work.due_at), work.id);
    format!("{at}  {id}  {} {} by {}: {}{outcome}", work.verb, work.task, work.team, task.state)
}

fn event_in_words(event: &Event) -> String {
    let fields = if event.fields.is_empty() { String::new() } else { shown(&plain(&event.fields)) };
    format!("{}  {}  {fields}", minute(event.occurred_at), event.name)
}

fn note_in_words(note: &Note) -> String {
    let place = match (&note.journey, &note.step) {
        (Some(journey), Some(step)) => format!("{journey}.{step}"),
        (Some(journey), None) => journey.to_string(),
        (None, _) => String::new(),
    };
    let round = if note.round > 0 { format!(" (round {})", note.round) } else { String::new() };
    format!("{}  {place}{round}  {}", minute(note.at), said(&note.what))
}

/// What was decided, in words.
fn said(what: &What) -> String {
    match what {
        What::Entered => "entered".to_owned(),
        What::NotEntered { why } => format!("did not enter: {why}"),
        What::Done { outcome: None } => "done".to_owned(),
        What::Done { outcome: Some(outcome) } => format!("done: {outcome}"),
        What::Rests { until } if *until == Timestamp::NEVER => "waits".to_owned(),
        What::Rests { until } => format!("waits until {}", minute(*until)),
        What::Held { until, why } => format!("held back by {why} until {}", minute(*until)),
        What::Queued { delivery, channel, template } => {
            format!("{template} on {channel} is queued as {delivery}")
        }
        What::Skipped { why, channel } => format!("nothing on {channel}: {why}"),
        What::Exited { reason } => format!("left as {reason}"),
        What::Goal { name } => format!("reached the goal {name}"),
        What::Took { choice } => format!("took {choice}"),
        What::Decided { delivery, decision, by } => match &**decision {
            "settle" => format!("{delivery} counts as sent, says {by}"),
            _ => format!("{delivery} is to be sent again, says {by}"),
        },
        What::Odd { why } => format!("odd: {why}"),
    }
}

fn plain(fields: &Fields) -> Json {
    let pairs = fields.iter().map(|(name, value)| (name.to_string(), value.to_json()));
    Json::Object(pairs.collect::<Map<_, _>>())
}

/// A value on one line: texts without quotes.
fn shown(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

/// A moment to the minute, in UTC.
pub(super) fn minute(at: Timestamp) -> String {
    at.to_string().chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// Takes out what would move the cursor of a terminal: the texts came from outside.
fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_outside_do_not_move_the_cursor() {
        assert_eq!(tame("Ada\u{1b}[2J\nGrüße"), "Ada\u{fffd}[2J\u{fffd}Grüße");
        assert_eq!(minute(Timestamp(1_800_000_000_000)), "2027-01-15 08:00");
    }
}
