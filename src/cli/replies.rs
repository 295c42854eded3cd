//! `fahrplan replies`: what people said that fits no message of ours; and trying it again.

use serde_json::{Value as Json, json};

use super::load::Project;
use super::{
    Exit, ListArgs, Outcome, OutputFormat, RepliesArgs, RepliesCommand, block_on, open, print, world,
};
use crate::clock::machine_now;
use crate::store::Access;
use crate::store::replies::{self, Apart};

/// Runs the command.
pub fn run(args: &RepliesArgs) -> Outcome {
    let RepliesCommand::List { list: ListArgs { limit, format }, retry } = &args.command;
    block_on(async {
        let access = if *retry { Access::Existing } else { Access::Look };
        let store = open(&Project::of(&[])?, access).await?;
        if *retry {
            let (taken, left) = replies::retry(&store, machine_now()).await.map_err(world)?;
            store.close().await;
            print(&match format {
                OutputFormat::Human => tried(taken, left),
                OutputFormat::Json => format!("{:#}\n", json!({ "taken": taken, "left": left })),
            })?;
            return Ok(Exit::Fine);
        }
        let mut conn = store.read().await.map_err(world)?;
        let count = replies::count(&mut conn).await.map_err(world)?;
        let items = replies::list(&mut conn, None, *limit).await.map_err(world)?;
        drop(conn);
        store.close().await;
        match format {
            OutputFormat::Human => print(&in_words(&items, count))?,
            OutputFormat::Json => {
                print(&format!("{:#}\n", Json::from_iter(items.iter().map(Apart::as_json))))?
            }
        }
        Ok(Exit::Fine)
    })
}

fn tried(taken: usize, left: usize) -> String {
    let mut text = String::new();
    for (count, what) in [(taken, "taken"), (left, "left, since no message fits")] {
        if count > 0 {
            text.push_str(&format!("{count} {what}\n"));
        }
    }
    if text.is_empty() { "There is nothing to try again.\n".to_owned() } else { text }
}

fn in_words(items: &[Apart], count: i64) -> String {
    if items.is_empty() {
        return "Nobody said anything in the last 90 days that fits no message.\n".to_owned();
    }
    let mut text = String::new();
    for item in items {
        let known = if item.is_known { "" } else { ", and nobody is known to be reached there" };
        let subject = item.subject.as_ref().map_or(String::new(), |subject| format!("{}: ", plain(subject)));
        text.push_str(&format!(
            "{}  {}  {}{known}\n    {subject}{}\n",
            item.came_at,
            plain(&item.sender),
            item.why.in_words(),
            plain(&item.text)
        ));
    }
    if usize::try_from(count).is_ok_and(|count| count > items.len()) {
        text.push_str(&format!("These are the newest {} of {count}; --limit shows more.\n", items.len()));
    }
    text
}

/// What a stranger wrote, on one line and without signs that a terminal obeys.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
