//! `fahrplan audiences`: who is in which, and what networks are told.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;

use super::check::counted;
use super::load::Project;
use super::serve::{outlet, sender_of};
use super::{
    AudiencesArgs, AudiencesCommand, Exit, Failure, Outcome, OutputFormat, block_on, open, print, world,
};
use crate::channels::audience::file;
use crate::clock::JourneyClock;
use crate::daemon::audiences::{Error, Made, Teller};
use crate::daemon::{Others, Outlet};
use crate::store::exports::{self, Batch};
use crate::store::{Access, Store, journeys, members};

/// Runs the command.
pub fn run(args: &AudiencesArgs) -> Outcome {
    block_on(async {
        let project = Project::of(&[])?;
        let store = open(&project, Access::Existing).await?;
        let outcome = match &args.command {
            AudiencesCommand::List { limit, format } => list(&store, *limit, *format).await,
            AudiencesCommand::Cut => cut(&project, &store).await,
            AudiencesCommand::Again { batch } => again(&project, &store, batch).await,
            AudiencesCommand::Export { audience, to } => export(&store, audience, to.as_deref()).await,
        };
        store.close().await;
        outcome
    })
}

/// What machines read.
#[derive(Serialize)]
struct Listed {
    audiences: Vec<Line>,
    batches: Vec<BatchLine>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    /// In it now.
    members: i64,
    /// People that the network was told of.
    told: i64,
}

#[derive(Serialize)]
struct BatchLine {
    name: String,
    audience: String,
    cut_at: String,
    added: i64,
    removed: i64,
    state: &'static str,
}

fn state(batch: &Batch) -> &'static str {
    match (batch.recorded_at, batch.is_closed) {
        (Some(_), _) => "done",
        (None, true) => "to be written",
        (None, false) => "being cut",
    }
}

async fn list(store: &Store, limit: u32, format: OutputFormat) -> Outcome {
    let mut conn = store.read().await.map_err(world)?;
    let catalog = journeys::deployed(&mut conn).await.map_err(world)?.catalog.clone();
    let mut audiences = Vec::new();
    for name in catalog.audiences.keys() {
        let members = members::count(&mut conn, name).await.map_err(world)?;
        let told = exports::told_of(&mut conn, name).await.map_err(world)?;
        audiences.push(Line { name: name.to_string(), members, told });
    }
    let batches = exports::newest(&mut conn, limit).await.map_err(world)?;
    drop(conn);
    let line = |batch: &Batch| BatchLine {
        name: batch.name.clone(),
        audience: batch.audience.to_string(),
        cut_at: batch.cut_at.to_string(),
        added: batch.added,
        removed: batch.removed,
        state: state(batch),
    };
    let listed = Listed { audiences, batches: batches.iter().map(line).collect() };
    print(&match format {
        OutputFormat::Human => in_words(&listed),
        OutputFormat::Json => serde_json::to_string_pretty(&listed).map_err(world)? + "\n",
    })?;
    Ok(Exit::Fine)
}

fn in_words(listed: &Listed) -> String {
    let mut text = String::new();
    if listed.audiences.is_empty() {
        text.push_str("No audience is deployed.\n");
    }
    for Line { name, members, told } in &listed.audiences {
        let _ = writeln!(text, "{name:<24} {members:>9} members  {told:>9} told");
    }
    for BatchLine { name, cut_at, added, removed, state, .. } in &listed.batches {
        let _ = writeln!(text, "{name:<40} {cut_at}  +{added} -{removed}  {state}");
    }
    text
}

fn outlet_of(project: &Project, store: &Store) -> Result<Outlet, Failure> {
    let mut config = project.config.clone();
    config.brakes.file = project.switch();
    config.audiences.folder = project.audiences();
    outlet(store, &config, Others::default(), sender_of(&config)?, false)
}

fn failed(error: Error) -> Failure {
    match error {
        Error::Store(error) => world(error),
        error @ Error::Elsewhere => Failure::world(error.to_string())
            .help("try again when it is done; `fahrplan audiences list` shows it"),
        error => Failure::world(error.to_string()),
    }
}

async fn cut(project: &Project, store: &Store) -> Outcome {
    let outlet = outlet_of(project, store)?;
    let teller = Teller { store, clock: &JourneyClock::Machine, outlet: &outlet };
    if teller.is_paused().await.map_err(failed)? {
        return Err(
            Failure::usage("sending is paused, and audiences with it").help("`fahrplan resume` ends that")
        );
    }
    teller.cut().await.map_err(failed)?;
    let made = teller.make_all().await.map_err(failed)?;
    if made.is_empty() {
        print("Nothing has changed.\n")?;
    }
    for made in &made {
        print(&told(made))?;
    }
    Ok(Exit::Fine)
}

async fn again(project: &Project, store: &Store, name: &str) -> Outcome {
    let outlet = outlet_of(project, store)?;
    let batch = exports::named(&mut store.read().await.map_err(world)?, name).await.map_err(world)?;
    let Some(batch) = batch else {
        return Err(Failure::usage(format!("no batch is called `{name}`"))
            .help("`fahrplan audiences list` shows them; they are kept for thirty days"));
    };
    if batch.recorded_at.is_none() {
        return Err(Failure::usage(format!("`{name}` is not done yet"))
            .help("the daemon finishes it, or `fahrplan audiences cut`"));
    }
    let teller = Teller { store, clock: &JourneyClock::Machine, outlet: &outlet };
    print(&told(&teller.write(&batch).await.map_err(failed)?))?;
    Ok(Exit::Fine)
}

/// All that the network should have, as one file: for a list that is replaced as a whole.
async fn export(store: &Store, audience: &str, to: Option<&Path>) -> Outcome {
    let mut conn = store.read().await.map_err(world)?;
    let catalog = journeys::deployed(&mut conn).await.map_err(world)?.catalog.clone();
    if !catalog.audiences.contains_key(audience) {
        let all: Vec<&str> = catalog.audiences.keys().map(|name| &**name).collect();
        let all = if all.is_empty() {
            "none is deployed".to_owned()
        } else {
            format!("there are {}", all.join(", "))
        };
        return Err(Failure::usage(format!("no audience is called `{audience}`")).help(all));
    }
    let lines = exports::all_lines(&mut conn, audience).await.map_err(world)?;
    drop(conn);
    let text = file(&lines);
    let Some(path) = to else {
        print(&text)?;
        return Ok(Exit::Fine);
    };
    // Hashes of addresses are nobody else's.
    let written = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = written.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| Failure::world(format!("{}: {error}", path.display())))?;
    print(&format!("{}: {}\n", path.display(), counted(lines.len(), "line")))?;
    Ok(Exit::Fine)
}

fn told(made: &Made) -> String {
    let Made { name, folder, added, removed, was_there } = made;
    let place = match folder {
        Some(folder) if *was_there => format!(", in {}, as they were", folder.display()),
        Some(folder) => format!(", in {}", folder.display()),
        None => String::new(),
    };
    format!("{name}: {added} to add, {removed} to remove{place}\n")
}
