//! `fahrplan migrate`: brings the schema of the database up to date, or shows what that would do. `serve` and `deploy` do it too; this
//! is for who wants to see it, or to have it done before the first new daemon starts.

use super::load::Project;
use super::{Exit, MigrateArgs, Outcome, block_on, not_open, open, print, progress};
use crate::store::migrate::{self, Schema};
use crate::store::{Access, Error};

/// Runs the command.
pub fn run(args: &MigrateArgs) -> Outcome {
    block_on(bring_up(args))
}

async fn bring_up(args: &MigrateArgs) -> Outcome {
    let project = Project::of(&[])?;
    let url = project.database_url();
    let schema = migrate::look(&url).await.map_err(not_migrated)?;
    print(&in_words(&schema))?;
    if args.dry_run {
        print(&scripts(&schema))?;
        return Ok(Exit::Fine);
    }
    for step in &schema.missing {
        progress(&format!("{} …", step.name));
        migrate::up_to(&url, step.version).await.map_err(not_migrated)?;
    }
    // Makes what a new database has besides tables.
    open(&project, Access::Create).await?.close().await;
    if !schema.missing.is_empty() {
        print(&format!("Done: it has schema {}.\n", schema.known))?;
    }
    Ok(Exit::Fine)
}

fn not_migrated(error: Error) -> super::Failure {
    match error {
        Error::NewerSchema { .. } => {
            let help = "nothing was changed; use the newer fahrplan here too, or restore a backup from before its migration";
            super::Failure { help: None, ..not_open(error) }.help(help)
        }
        error => not_open(error),
    }
}

fn in_words(schema: &Schema) -> String {
    let Schema { place, found, known, missing } = schema;
    let mut text = match (found, missing.as_slice()) {
        (_, []) => return format!("{place} has schema {found}: nothing to do.\n"),
        (0, _) => format!("{place} is new; it gets schema {known}:\n"),
        _ => format!("{place} has schema {found}; it gets schema {known}:\n"),
    };
    for step in missing {
        text.push_str(&format!("  {}\n", step.name));
    }
    text
}

/// All that would be run, as it would be run.
fn scripts(schema: &Schema) -> String {
    if schema.missing.is_empty() {
        return String::new();
    }
    let mut text =
        "Nothing was changed. Without --dry-run these run, each in a transaction of its own:\n".to_owned();
    for step in &schema.missing {
        text.push_str(&format!("\n-- ================ {}\n{}", step.name, step.script));
    }
    text
}
