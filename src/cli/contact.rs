//! `fahrplan contact show`: everything we hold on one person.

use serde_json::Value as Json;

use super::load::Project;
use super::{
    ContactArgs, ContactCommand, Exit, Failure, Outcome, OutputFormat, block_on, open, print, world,
};
use crate::clock::machine_now;
use crate::engine::world::{Event, Note};
use crate::store::held::{Held, plain};
use crate::store::permissions::LedgerLine;
use crate::store::{Access, deliveries, enrollments, surveys, tasks};
use crate::story::Teller;
use crate::time::Timestamp;

/// Runs the command.
pub fn run(args: &ContactArgs) -> Outcome {
    let ContactCommand::Show { key, format } = &args.command;
    block_on(async {
        let store = open(&Project::of(&[])?, Access::Look).await?;
        let held =
            Held::find(&mut store.read().await.map_err(world)?, key, machine_now()).await.map_err(world)?;
        store.close().await;
        let held = held.ok_or_else(|| nobody(key))?;
        match format {
            OutputFormat::Human => print(&in_words(&held))?,
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

fn in_words(held: &Held) -> String {
    let contact = &held.contact;
    let mut text = format!("{}  since {}\n", contact.id, minute(contact.created_at));
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            lines.iter().for_each(|line| text.push_str(&format!("  {}\n", tame(line.trim_end()))));
        }
    };
    let identities = contact.identities.iter();
    section("identities", identities.map(|(kind, value)| format!("{:<14}{value}", kind.as_str())).collect());
    let attributes = contact.attributes.iter();
    section(
        "attributes",
        attributes.map(|(name, value)| format!("{name:<20}  {}", shown(&value.to_json()))).collect(),
    );
    section("consents", held.consents.iter().map(consent_in_words).collect());
    let rests = held.pauses.iter().map(|(purpose, until)| format!("{purpose} until {}", minute(*until)));
    section("rests", rests.collect());
    let suppressed = held.teller.suppressed.iter();
    section(
        "addresses not used",
        suppressed.map(|(channel, (reason, at))| format!("{}  {channel}: {reason}", minute(*at))).collect(),
    );
    let slots =
        held.slots.iter().map(|(at, channel, purpose)| format!("{}  {purpose} by {channel}", minute(*at)));
    section("counted by limits", slots.collect());
    section("enrollments", held.enrollments.iter().map(enrollment_in_words).collect());
    section("deliveries", held.deliveries.iter().map(delivery_in_words).collect());
    section("tasks", held.tasks.iter().map(task_in_words).collect());
    section("answers", held.answers.iter().map(answer_in_words).collect());
    section("events", held.events.iter().map(event_in_words).collect());
    section("history", held.history.iter().map(|note| note_in_words(&held.teller, note)).collect());
    text
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

fn answer_in_words(line: &surveys::Line) -> String {
    format!("{}  {} by {}  {}", minute(line.at), line.survey, line.way, Json::Object(plain(&line.fields)))
}

fn event_in_words(event: &Event) -> String {
    let fields = if event.fields.is_empty() { String::new() } else { shown(&plain(&event.fields).into()) };
    format!("{}  {}  {fields}", minute(event.occurred_at), event.name)
}

fn note_in_words(teller: &Teller, note: &Note) -> String {
    let place = match (&note.journey, &note.step) {
        (Some(journey), Some(step)) => format!("{journey}.{step}"),
        (Some(journey), None) => journey.to_string(),
        (None, _) => String::new(),
    };
    let round = if note.round > 0 { format!(" (round {})", note.round) } else { String::new() };
    let text = teller.note(note).unwrap_or_else(|| "done".to_owned());
    format!("{}  {place}{round}  {}", minute(note.at), text)
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
