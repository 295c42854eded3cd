//! `fahrplan contact show`: everything we hold on one person.

use serde_json::Value as Json;

use super::load::Project;
use super::{
    ContactArgs, ContactCommand, Exit, Failure, Outcome, OutputFormat, block_on, open, print, world,
};
use crate::clock::machine_now;
use crate::store::Access;
use crate::store::held::{Held, Line, Part};
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
    let moment = |at| held.teller.moment(at);
    let mut text = format!(
        "{}  since {}; times are in {}\n",
        contact.id,
        moment(contact.created_at),
        held.teller.zone().name()
    );
    for part in Part::ALL {
        let lines = held.lines(part, &moment);
        if lines.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{}\n", part.title()));
        for line in lines {
            text.push_str(&format!("  {}\n", tame(in_line(part, &line, &moment).trim_end())));
        }
    }
    text
}

fn in_line(part: Part, line: &Line, moment: &dyn Fn(Timestamp) -> String) -> String {
    let Line { at, id, name, text, fields } = line;
    match part {
        Part::Identities => return format!("{name:<14}{text}"),
        Part::Attributes => return format!("{name:<20}  {text}"),
        Part::Rests => return format!("{name} {text}"),
        _ => {}
    }
    // As wide as a moment is: `Tue 24 Mar 2026, 10:00`.
    let mut parts = vec![at.map_or_else(String::new, |at| format!("{:<22}", moment(at)))];
    parts.extend(id.clone());
    parts.extend([name, text].into_iter().filter(|part| !part.is_empty()).cloned());
    parts.extend(
        fields
            .iter()
            .filter(|fields| !fields.is_empty())
            .map(|fields| Json::Object(fields.clone()).to_string()),
    );
    parts.join("  ")
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
    }
}
