//! `fahrplan events rejected`: items that could not be read, or of which a part could not, with the reason.

use serde_json::{Value as Json, json};

use super::load::Project;
use super::{EventsArgs, EventsCommand, Exit, Failure, Outcome, OutputFormat, block_on, open, print, world};
use crate::store::Access;
use crate::store::rejected::{self, Rejected};

/// Runs the command.
pub fn run(args: &EventsArgs) -> Outcome {
    let EventsCommand::Rejected { format, limit, retry } = &args.command;
    if *retry {
        return Err(Failure::not_available("`--retry`").help("send the mended items again"));
    }
    block_on(async {
        let store = open(&Project::of(&[])?, Access::Look).await?;
        let mut conn = store.read().await.map_err(world)?;
        let count = rejected::count(&mut conn).await.map_err(world)?;
        let items = rejected::list(&mut conn, None, *limit).await.map_err(world)?;
        drop(conn);
        store.close().await;
        match format {
            OutputFormat::Human => print(&in_words(&items, count))?,
            OutputFormat::Json => print(&format!("{:#}\n", Json::from_iter(items.iter().map(as_json))))?,
        }
        Ok(Exit::Fine)
    })
}

fn in_words(items: &[Rejected], count: i64) -> String {
    if items.is_empty() {
        return "Nothing was rejected in the last 30 days.\n".to_owned();
    }
    let mut text = String::new();
    for item in items {
        let Rejected { rejected_at, source, code, reason, body, .. } = item;
        text.push_str(&format!("{rejected_at}  {source}  {code}: {reason}\n    {body}\n"));
    }
    if usize::try_from(count).is_ok_and(|count| count > items.len()) {
        text.push_str(&format!("These are the newest {} of {count}; --limit shows more.\n", items.len()));
    }
    text
}

fn as_json(item: &Rejected) -> Json {
    // A body that was cut, or was never JSON, is shown as the text that it is.
    let body = serde_json::from_str(&item.body).unwrap_or_else(|_| Json::from(item.body.as_str()));
    json!({
        "rejected_at": item.rejected_at.to_string(),
        "source": item.source,
        "code": item.code,
        "reason": item.reason,
        "body": body,
    })
}
