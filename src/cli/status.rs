//! `fahrplan status`: what runs.

use super::deploy::templates;
use super::load::Project;
use super::{Exit, Failure, Outcome, OutputFormat, StatusArgs, block_on, open, print, world};
use crate::clock::machine_now;
use crate::store::Access;
use crate::store::journeys;
use crate::store::status::{self, Journey, Status};

/// Runs the command.
pub fn run(args: &StatusArgs) -> Outcome {
    block_on(show(args))
}

async fn show(args: &StatusArgs) -> Outcome {
    let project = Project::of(&[])?;
    let store = open(&project, Access::Look).await?;
    let mut status = status::read(&store, machine_now()).await.map_err(world)?;
    let deployed = journeys::deployed(&mut store.read().await.map_err(world)?).await.map_err(world)?;
    if deployed.generation > 0 {
        status.not_deployed = deployed.templates.changes(&templates(&project).manifest());
    }
    let switch = project.switch();
    status.stopped_by = switch.symlink_metadata().is_ok().then(|| switch.display().to_string());
    store.close().await;
    match args.format {
        OutputFormat::Human => print(&in_words(&status))?,
        OutputFormat::Json => {
            let json =
                serde_json::to_string_pretty(&status).map_err(|error| Failure::world(error.to_string()))?;
            print(&format!("{json}\n"))?;
        }
    }
    Ok(Exit::Fine)
}

/// The status as people read it; the summary of the demo too.
pub(super) fn in_words(status: &Status) -> String {
    let mut text = String::new();
    if status.deployment == 0 {
        text.push_str("Nothing is deployed yet: `fahrplan deploy` does it.\n");
    }
    if !status.not_deployed.is_empty() {
        text.push_str("Changed here, and not deployed: mail is written as it was until `fahrplan deploy`.\n");
        for change in &status.not_deployed {
            text.push_str(&format!("    {change}\n"));
        }
        text.push('\n');
    }
    for journey in &status.journeys {
        text.push_str(&journey_in_words(journey));
    }
    if let Some(file) = &status.stopped_by {
        text.push_str(&format!("stopped     nothing leaves this machine while {file} is there\n"));
    }
    for held in &status.held {
        let why = match held.before {
            Some(before) => format!("the one before took in {before}, and {} are no surprise", held.most),
            None => format!("the policy allows {}", held.most),
        };
        text.push_str(&format!(
            "held        `{0}` of {1} would take in {2} people at once, and {why}: `fahrplan resume audience {0}` lets it\n",
            held.journey, held.at, held.count
        ));
    }
    for paused in &status.paused {
        let what = if paused.what == "all" {
            "everything".to_owned()
        } else {
            format!("{} `{}`", paused.what, paused.name)
        };
        text.push_str(&format!("paused      {what}, since {} by {}\n", paused.since, paused.by));
    }
    let list = |counts: &std::collections::BTreeMap<String, i64>| {
        counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    };
    text.push_str(&format!("contacts    {}\n", status.contacts));
    if !status.deliveries.is_empty() {
        text.push_str(&format!("deliveries  {}; {} clicked\n", list(&status.deliveries), status.clicked));
    }
    if !status.sent.is_empty() {
        text.push_str(&format!("sent        {}\n", list(&status.sent)));
        text.push_str(&format!("by channel  {}\n", list(&status.by_channel)));
    }
    let unknown = status.deliveries.get("unknown").copied().unwrap_or_default();
    if unknown > 0 {
        text.push_str(&format!(
            "in doubt    {unknown} messages may have left or not: `fahrplan deliveries list` shows them\n"
        ));
    }
    if status.rejected > 0 {
        text.push_str(&format!("rejected    {} items, or parts of them, could not be read: `fahrplan events rejected` shows them\n", status.rejected));
    }
    let waiting = &status.backlog;
    let late = if waiting.lateness_ms > 0 {
        format!(", {} s late", waiting.lateness_ms / 1_000)
    } else {
        String::new()
    };
    text.push_str(&format!(
        "to do       {} inputs, {} timers{late}, {} messages, {} under way; next due {}\n",
        waiting.inbox,
        waiting.due,
        waiting.queued,
        waiting.under_way,
        waiting.next_due.as_deref().unwrap_or("never"),
    ));
    text
}

fn journey_in_words(journey: &Journey) -> String {
    let version = journey.version.as_deref().unwrap_or("retired");
    let mut text =
        format!("{}  ({version})  {} inside, {} entered\n", journey.name, journey.active, journey.entered);
    if let Some(budget) = &journey.budget {
        let per = budget.per.map_or_else(String::new, |per| format!(" per {per}"));
        let share = budget.share / 10;
        let rest = match share {
            100.. => ": what costs more than is left does not leave",
            80.. => ": it is nearly spent",
            _ => "",
        };
        text.push_str(&format!(
            "    budget     {} of {}{per} spent, {share} %{rest}\n",
            budget.spent, budget.most
        ));
    }
    let mut part = |title: &str, counts: &std::collections::BTreeMap<String, i64>| {
        for (name, count) in counts {
            text.push_str(&format!("    {title:<10} {name:<28} {count:>8}\n"));
        }
    };
    part("waits at", &journey.waiting);
    part("left as", &journey.exits);
    part("reached", &journey.goals);
    text.push('\n');
    text
}
