//! `fahrplan doctor`: looks whether database, configuration and clocks are as they should be; each finding says what it means and what
//! to do about it.

mod project;

pub(super) use self::project::{Dangers, dangers};

use std::fmt::Write as _;

use serde::Serialize;

use super::load::Project;
use super::{DoctorArgs, Exit, Failure, Outcome, OutputFormat, block_on, color, open, print, world};
use crate::cli::check::counted;
use crate::cli::deploy::templates;
use crate::clock::machine_now;
use crate::store::checkup::{self, Finding, Level};
use crate::store::{Access, Store, exports, journeys, letters};
use crate::time::{HOUR, Timestamp};

/// Runs the command.
pub fn run(args: &DoctorArgs) -> Outcome {
    block_on(examine(args))
}

async fn examine(args: &DoctorArgs) -> Outcome {
    let project = Project::of(&[])?;
    let mut findings = project::look(&project).await;
    let opened = open(&project, Access::Look).await;
    let away = opened.as_ref().err().is_some_and(|failure| failure.exit == Exit::World);
    match opened {
        Ok(store) => {
            findings.extend(checkup::look(&store, machine_now(), !args.quick).await);
            findings.extend(not_deployed(&store, &project).await?);
            findings.extend(unfinished(&store).await);
            store.close().await;
        }
        Err(Failure { message, help, .. }) => {
            let finding = Finding::error("database", message)
                .means("nothing runs without it; the rest of it was not looked at");
            findings.push(match help {
                Some(help) => finding.help(help),
                None => finding,
            });
        }
    }
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Fine);
    match args.format {
        OutputFormat::Human => print(&in_words(&findings))?,
        OutputFormat::Json => {
            let json = serde_json::to_string_pretty(&Report { worst, findings: &findings }).map_err(world)?;
            print(&format!("{json}\n"))?;
        }
    }
    Ok(match worst {
        _ if away => Exit::World,
        Level::Fine => Exit::Fine,
        Level::Warning | Level::Error => Exit::Findings,
    })
}

/// What machines read.
#[derive(Serialize)]
struct Report<'a> {
    worst: Level,
    findings: &'a [Finding],
}

/// Templates that were edited and not deployed.
async fn not_deployed(store: &Store, project: &Project) -> Result<Option<Finding>, Failure> {
    let deployed = journeys::deployed(&mut store.read().await.map_err(world)?).await;
    // What cannot be read was found already.
    let Ok(deployed) = deployed else { return Ok(None) };
    let changes = deployed.templates.changes(&templates(project).manifest());
    if deployed.generation == 0 || changes.is_empty() {
        return Ok(None);
    }
    let message = format!(
        "what mails are made of differs from what is deployed, in {}",
        counted(changes.len(), "place")
    );
    Ok(Some(
        Finding::warning("templates", message)
            .means("mail is written as it was deployed")
            .help("`fahrplan status` lists them, `fahrplan deploy` takes them over"),
    ))
}

/// Batches of letters that should have been done long ago.
async fn unfinished(store: &Store) -> Vec<Finding> {
    let batches = match store.read().await {
        Ok(mut conn) => letters::unfinished(&mut conn).await,
        Err(error) => Err(error),
    };
    // What cannot be read was found already.
    let late = machine_now().plus_ms(-HOUR);
    let batches = batches.unwrap_or_default().into_iter().filter(|batch| batch.held_until < late);
    let told = |batch: letters::Batch| {
        let name = &batch.name;
        Finding::warning("letters", format!("the batch `{name}` with {} letters is not done", batch.letters))
            .means("these letters were cut, and nobody works on their folder")
            .help("`fahrplan serve` finishes it, or `fahrplan letters cut`; the log says what keeps it")
    };
    batches.map(told).chain(untold(store, late).await).collect()
}

/// The same of audiences.
async fn untold(store: &Store, late: Timestamp) -> Vec<Finding> {
    let batches = match store.read().await {
        Ok(mut conn) => exports::unfinished(&mut conn).await,
        Err(error) => Err(error),
    };
    let batches = batches.unwrap_or_default().into_iter().filter(|batch| batch.cut_at < late);
    let told = |batch: exports::Batch| {
        let changes = batch.added + batch.removed;
        let trouble = batch.trouble.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        Finding::warning(
            "audiences",
            format!("the batch `{}` with {changes} changes is not done{trouble}", batch.name),
        )
        .means("a network still shows advertisements to people who left, or not to those who came")
        .help("`fahrplan serve` finishes it, or `fahrplan audiences cut`; the log says what keeps it")
    };
    batches.map(told).collect()
}

fn in_words(findings: &[Finding]) -> String {
    let color = color();
    let mut text = String::new();
    for finding in findings {
        let (word, paint) = match finding.level {
            Level::Fine => ("fine", "32"),
            Level::Warning => ("warning", "1;33"),
            Level::Error => ("error", "1;31"),
        };
        let word = format!("{word:<8}");
        let word = if color { format!("\u{1b}[{paint}m{word}\u{1b}[0m") } else { word };
        let _ = writeln!(text, "{word} {:<18} {}", finding.check, finding.message);
        for (head, part) in [("means", &finding.means), ("do", &finding.help)] {
            if let Some(part) = part {
                let _ = writeln!(text, "{:<9}{:<18} {head}: {part}", "", "");
            }
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let _ = match (count(Level::Error), count(Level::Warning)) {
        (0, 0) => writeln!(text, "\nAll is well."),
        (errors, warnings) => {
            writeln!(text, "\n{}, {}.", counted(errors, "error"), counted(warnings, "warning"))
        }
    };
    text
}
