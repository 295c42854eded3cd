//! `fahrplan why`: each decision about one person, with its reason and what it looked at.

use serde_json::json;

use super::load::Project;
use super::{Exit, Failure, Outcome, OutputFormat, WhyArgs, block_on, open, print, world};
use crate::clock::machine_now;
use crate::diagnostic::suggest;
use crate::id::DeliveryId;
use crate::store::held::Held;
use crate::store::why::{self, Story};
use crate::store::{Access, Store, journeys};

/// Runs the command.
pub fn run(args: &WhyArgs) -> Outcome {
    block_on(async {
        let store = open(&Project::of(&[])?, Access::Look).await?;
        let outcome = tell(&store, args).await;
        store.close().await;
        outcome
    })
}

async fn tell(store: &Store, args: &WhyArgs) -> Outcome {
    let now = machine_now();
    let mut conn = store.read().await.map_err(world)?;
    let held = Held::find(&mut conn, &args.key, now).await.map_err(world)?;
    let held = held.ok_or_else(|| super::contact::nobody(&args.key))?;
    let asked = args.what.as_deref();
    let stories = match asked.and_then(|what| what.parse::<DeliveryId>().ok()) {
        Some(id) => {
            let none = || Failure::usage(format!("{} has no message {id}", args.key));
            vec![why::of_delivery(&held, id).ok_or_else(none)?]
        }
        None => why::stories(&mut conn, &held, asked, now).await.map_err(world)?,
    };
    if let (true, Some(what)) = (stories.is_empty(), asked) {
        let deployed = journeys::deployed(&mut conn).await.map_err(world)?;
        let question = suggest::question(what, deployed.current.keys().map(|name| &**name));
        let failure = Failure::usage(format!("there is no journey or message `{what}`{question}"));
        return Err(
            failure.help("`fahrplan status` lists the journeys, `fahrplan contact show` the messages")
        );
    }
    match args.format {
        OutputFormat::Human => print(&in_words(&held, &stories))?,
        OutputFormat::Json => {
            let stories: Vec<_> = stories.iter().map(Story::as_json).collect();
            print(&format!(
                "{:#}\n",
                json!({ "contact": held.contact.id.to_string(), "journeys": stories })
            ))?;
        }
    }
    Ok(Exit::Fine)
}

fn in_words(held: &Held, stories: &[Story]) -> String {
    let mut text = String::new();
    for story in stories {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{}: {}.\n", story.journey, story.answer));
        for told in &story.told {
            text.push_str(&format!("  {}  {}\n", held.teller.moment(told.at), told.text));
        }
    }
    text.push_str(&format!("\nTimes are in {}.\n", held.teller.zone().name()));
    let tame = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    text.chars().map(tame).collect()
}
