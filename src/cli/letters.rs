//! `fahrplan letters`: batches for the print shop.

use std::fmt::Write as _;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::batches::{failed, in_hand, not_done, outlet_of, paused, place, state, unknown};
use super::check::counted;
use super::load::Project;
use super::{
    Exit, LettersArgs, LettersCommand, ListArgs, Outcome, OutputFormat, block_on, open, print, world,
};
use crate::clock::JourneyClock;
use crate::daemon::letters::{Made, Press};
use crate::store::letters::{self, Batch};
use crate::store::{Access, Store};

/// What it is about.
const OF: &str = "letters";

/// Runs the command.
pub fn run(args: &LettersArgs) -> Outcome {
    block_on(async {
        let project = Project::of(&[])?;
        let store = open(&project, Access::Existing).await?;
        let outcome = match &args.command {
            LettersCommand::List(args) => list(&store, *args).await,
            LettersCommand::Cut => cut(&project, &store).await,
            LettersCommand::Again { batch } => again(&project, &store, batch).await,
        };
        store.close().await;
        outcome
    })
}

/// What machines read.
#[derive(Serialize)]
struct Listed<'a> {
    waiting: i64,
    batches: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    channel: &'a str,
    cut_at: String,
    letters: i64,
    state: &'static str,
}

async fn list(store: &Store, args: ListArgs) -> Outcome {
    let mut conn = store.read().await.map_err(world)?;
    let batches = letters::newest(&mut conn, args.limit).await.map_err(world)?;
    let waiting = letters::waiting(&mut conn).await.map_err(world)?;
    drop(conn);
    let line = |batch| {
        let Batch { name, channel, cut_at, letters, .. }: &Batch = batch;
        Line {
            name,
            channel,
            cut_at: cut_at.to_string(),
            letters: *letters,
            state: state(batch.recorded_at, batch.is_closed, "to be written"),
        }
    };
    let listed = Listed { waiting, batches: batches.iter().map(line).collect() };
    print(&match args.format {
        OutputFormat::Human => in_words(&listed),
        OutputFormat::Json => serde_json::to_string_pretty(&listed).map_err(world)? + "\n",
    })?;
    Ok(Exit::Fine)
}

fn in_words(listed: &Listed<'_>) -> String {
    let mut text = String::new();
    for Line { name, cut_at, letters, state, .. } in &listed.batches {
        let _ = writeln!(text, "{name:<32} {cut_at}  {letters:>7} letters  {state}");
    }
    let waiting = usize::try_from(listed.waiting).unwrap_or_default();
    let _ = match waiting {
        0 => writeln!(text, "No letter waits for a batch."),
        1 => writeln!(text, "One letter waits for the next batch."),
        n => writeln!(text, "{n} letters wait for the next batch."),
    };
    text
}

async fn cut(project: &Project, store: &Store) -> Outcome {
    let outlet = outlet_of(project, store)?;
    let press = Press { store, clock: &JourneyClock::Machine, outlet: &outlet };
    if press.is_paused().await.map_err(failed(OF))? {
        return Err(paused(OF));
    }
    press.cut().await.map_err(failed(OF))?;
    let made = press.make_all(&CancellationToken::new()).await.map_err(failed(OF))?;
    for made in &made {
        print(&told(made))?;
    }
    let left = letters::unfinished(&mut store.read().await.map_err(world)?).await.map_err(world)?;
    if let Some(batch) = left.first() {
        return Err(in_hand(&batch.name, OF));
    }
    if made.is_empty() {
        print("No letter is due.\n")?;
    }
    Ok(Exit::Fine)
}

async fn again(project: &Project, store: &Store, name: &str) -> Outcome {
    let outlet = outlet_of(project, store)?;
    let batch = letters::named(&mut store.read().await.map_err(world)?, name).await.map_err(world)?;
    let batch = batch.ok_or_else(|| unknown(name, OF))?;
    if batch.recorded_at.is_none() {
        return Err(not_done(name, OF));
    }
    let press = Press { store, clock: &JourneyClock::Machine, outlet: &outlet };
    let written = press.write(&batch, &CancellationToken::new()).await.map_err(failed(OF))?;
    print(&told(&written.made))?;
    Ok(Exit::Fine)
}

fn told(made: &Made) -> String {
    let Made { name, folder, printed, refused, was_there } = made;
    let letters = counted(*printed, "letter");
    let place = place(folder.as_deref(), *was_there);
    let rest = match refused {
        0 => String::new(),
        n => format!("; {n} could not be written: `fahrplan deliveries list --state failed` says why"),
    };
    format!("{name}: {letters}{place}{rest}\n")
}
