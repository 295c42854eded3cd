//! `fahrplan audiences`: who is in which, and what networks are told.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::batches::{failed, in_hand, not_done, outlet_of, paused, place, state, unknown};
use super::check::counted;
use super::load::Project;
use super::put::put;
use super::{
    AudiencesArgs, AudiencesCommand, Exit, Failure, ListArgs, Outcome, OutputFormat, block_on, open, print,
    world,
};
use crate::channels::audience::{file, is_file};
use crate::clock::JourneyClock;
use crate::daemon::audiences::{Made, Teller};
use crate::store::exports::{self, Batch};
use crate::store::{Access, Store, journeys, members};

/// What it is about.
const OF: &str = "audiences";

/// Runs the command.
pub fn run(args: &AudiencesArgs) -> Outcome {
    block_on(async {
        let project = Project::of(&[])?;
        let store = open(&project, Access::Existing).await?;
        let outcome = match &args.command {
            AudiencesCommand::List(args) => list(&store, *args).await,
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
    /// By what it was told before, and how many lines stay there.
    left_behind: Option<LeftBehind>,
}

#[derive(Serialize)]
struct LeftBehind {
    sends: String,
    lines: i64,
}

#[derive(Serialize)]
struct BatchLine {
    name: String,
    audience: String,
    cut_at: String,
    added: i64,
    removed: i64,
    /// `file`, or the secret that names the network.
    sends: String,
    state: &'static str,
    /// Calls that the network has taken.
    calls: i64,
    /// Why it is not done, and when it is tried again.
    trouble: Option<String>,
    again_at: Option<String>,
}

async fn list(store: &Store, args: ListArgs) -> Outcome {
    let mut conn = store.read().await.map_err(world)?;
    let catalog = journeys::deployed(&mut conn).await.map_err(world)?.catalog.clone();
    let mut audiences = Vec::new();
    for (name, audience) in &catalog.audiences {
        let members = members::count(&mut conn, name).await.map_err(world)?;
        let told = exports::told_of(&mut conn, name).await.map_err(world)?;
        let left_behind = exports::left_behind(&mut conn, name, &audience.sends).await.map_err(world)?;
        let left_behind = left_behind.map(|(sends, lines)| LeftBehind { sends, lines });
        audiences.push(Line { name: name.to_string(), members, told, left_behind });
    }
    let batches = exports::newest(&mut conn, args.limit).await.map_err(world)?;
    drop(conn);
    let line = |batch: &Batch| BatchLine {
        name: batch.name.clone(),
        audience: batch.audience.to_string(),
        cut_at: batch.cut_at.to_string(),
        added: batch.added,
        removed: batch.removed,
        sends: batch.sends.clone(),
        state: state(
            batch.recorded_at,
            batch.is_closed,
            if batch.is_called() { "to be told" } else { "to be written" },
        ),
        calls: batch.told,
        trouble: batch.trouble.clone(),
        again_at: batch.again_at.map(|at| at.to_string()),
    };
    let listed = Listed { audiences, batches: batches.iter().map(line).collect() };
    print(&match args.format {
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
    for Line { name, members, told, left_behind } in &listed.audiences {
        let _ = writeln!(text, "{name:<24} {members:>9} members  {told:>9} told");
        if let Some(LeftBehind { sends, lines }) = left_behind {
            let _ = writeln!(
                text,
                "{:<24} {} told {} before {} there, also of people who withdraw: have that list deleted. An audience that moves gets \
                 another name, and its next batch empties it under the old one",
                "",
                counted(usize::try_from(*lines).unwrap_or(0), "line"),
                way(sends),
                if *lines == 1 { "stays" } else { "stay" },
            );
        }
    }
    for BatchLine { name, cut_at, added, removed, state, trouble, again_at, .. } in &listed.batches {
        let _ = writeln!(text, "{name:<40} {cut_at}  +{added} -{removed}  {state}");
        if let (Some(trouble), Some(again_at)) = (trouble, again_at) {
            let _ = writeln!(text, "{:<40} {trouble}; tried again at {again_at}", "");
        }
    }
    text
}

async fn cut(project: &Project, store: &Store) -> Outcome {
    let outlet = outlet_of(project, store)?;
    let teller = Teller { store, clock: &JourneyClock::Machine, outlet: &outlet };
    if teller.is_paused().await.map_err(failed(OF))? {
        return Err(paused(OF));
    }
    teller.cut().await.map_err(failed(OF))?;
    let made = teller.make_all(&CancellationToken::new()).await.map_err(failed(OF))?;
    for made in &made {
        print(&told(made))?;
    }
    let left = exports::unfinished(&mut store.read().await.map_err(world)?).await.map_err(world)?;
    if let Some(batch) = left.first() {
        return Err(match &batch.trouble {
            Some(why) => Failure::world(format!("`{}` was not taken by its network: {why}", batch.name))
                .help(
                    "the daemon tries it again, or `fahrplan audiences cut`; what came later waits behind it",
                ),
            None => in_hand(&batch.name, OF),
        });
    }
    if made.is_empty() {
        print("Nothing has changed.\n")?;
    }
    Ok(Exit::Fine)
}

async fn again(project: &Project, store: &Store, name: &str) -> Outcome {
    let outlet = outlet_of(project, store)?;
    let batch = exports::named(&mut store.read().await.map_err(world)?, name).await.map_err(world)?;
    let batch = batch.ok_or_else(|| unknown(name, OF))?;
    if batch.recorded_at.is_none() {
        return Err(not_done(name, OF));
    }
    // A network that has forgotten the key would take up again whoever has left since.
    if batch.is_called()
        && exports::is_followed(&mut store.read().await.map_err(world)?, &batch).await.map_err(world)?
    {
        return Err(Failure::usage(format!("the network was told more since the batch {name}"))
            .help("only the newest batch of an audience can be told again; `fahrplan audiences export` writes all that it should have"));
    }
    let teller = Teller { store, clock: &JourneyClock::Machine, outlet: &outlet };
    print(&told(&teller.again(&batch, &CancellationToken::new()).await.map_err(failed(OF))?))?;
    Ok(Exit::Fine)
}

/// All that the network should have, as one file: for a list that is replaced as a whole, and a file that is written every day.
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
    put(path, 0o600, text.as_bytes(), is_file)?;
    print(&format!("{}: {}\n", path.display(), counted(lines.len(), "line")))?;
    Ok(Exit::Fine)
}

/// How a network is told.
pub(super) fn way(sends: &str) -> String {
    if sends == exports::FILE { "by files".to_owned() } else { format!("by `{sends}`") }
}

fn told(made: &Made) -> String {
    let Made { name, folder, calls, added, removed, was_there } = made;
    let place = match calls {
        0 => place(folder.as_deref(), *was_there),
        _ => format!(", told by {}", counted(*calls, "call")),
    };
    format!("{name}: {added} to add, {removed} to remove{place}\n")
}
