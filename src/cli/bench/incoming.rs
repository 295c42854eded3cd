//! What comes in: `--ingest` measures events over HTTP, `--import` contacts from a file; each beside the bare insert of the like rows, in
//! the same run.
//!
//! Events come in batches of 100 for contacts that are there, and count when they are acknowledged, which is after the commit. Meanwhile
//! the engine takes them into the contacts' history; until the last one is there is a figure of its own.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::{BenchArgs, Failure, deploy, import, progress, world};
use super::engine::{Engine, Usage, moment, percentile_ms, write_project};
use super::folder::Folder;
use super::load::{self, Contacts, Crowd};
use super::server::Server;
use super::{Workload, bare};
use crate::cli::load::Project;
use crate::store::Store;

/// Events of each contact.
const EVENTS_EACH: u64 = 3;
/// Runs of an import: the figure is that in the middle.
const RUNS: usize = 3;

/// Events a second.
pub(super) async fn ingest_figures(args: &BenchArgs) -> Result<Value, Failure> {
    let events = args.contacts * EVENTS_EACH;
    let bare = bare_figure(args, bare::Rows::Events, events).await?;
    let mut engine = Engine::start(Workload::J, args).await?;
    engine.import_moving().await?;
    progress(&format!("{events} events come in"));
    let bodies = load::bodies("purchase", events, args.contacts);
    let (before, begun) = (engine.usage(), Instant::now());
    let times = load::post_all(&engine, bodies).await?;
    let acknowledged = begun.elapsed();
    let after = engine.usage();
    engine.until_idle().await?;
    let taken = begun.elapsed();
    engine.stop().await?;
    let per_second = rate(events, acknowledged);
    Ok(json!({
        "workload": "ingest",
        "events": events,
        "batch": load::BATCH,
        "acknowledged_per_second": per_second.round(),
        "taken_per_second": rate(events, taken).round(),
        "bare_rows_per_second": bare.round(),
        "ratio_to_bare": hundredths(per_second / bare),
        "cpu_us_per_event": each(before, after, events),
        "batch_ms": { "p50": percentile_ms(&times, 50), "p99": percentile_ms(&times, 99) },
    }))
}

/// Contacts a second from a file, each with ten attributes, an address and a consent.
pub(super) async fn import_figures(args: &BenchArgs) -> Result<Value, Failure> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let bare = bare_figure(args, bare::Rows::Contacts, args.contacts).await?;
        progress(&format!("{} contacts are imported", args.contacts));
        runs.push((import_once(args).await?, bare));
    }
    runs.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (per_second, bare) = runs[RUNS / 2];
    Ok(json!({
        "workload": "import",
        "contacts": args.contacts,
        "contacts_per_second": per_second.round(),
        "all_runs": runs.iter().map(|(figure, _)| figure.round()).collect::<Vec<_>>(),
        "bare_contacts_per_second": bare.round(),
        "ratio_to_bare": hundredths(per_second / bare),
    }))
}

async fn import_once(args: &BenchArgs) -> Result<f64, Failure> {
    let (folder, server) = (Folder::new("import")?, prepare(args).await?);
    let file = || format!("sqlite:{}", folder.join("bench.db").display());
    let database = server.as_ref().map_or_else(file, Server::url);
    write_project(&folder, Workload::J, false).map_err(world)?;
    let project = Project::at(folder.to_path_buf())?;
    let store = Store::open(&database).await.map_err(world)?;
    let now = moment(load::BEGINNING);
    deploy::deploy_project(&store, &project, now).await?;
    let begun = Instant::now();
    import::contacts_from(&store, Contacts::new(Crowd::Moving, args.contacts), now).await?;
    let taken = begun.elapsed();
    store.close().await;
    if let Some(server) = server {
        server.remove().await?;
    }
    Ok(rate(args.contacts, taken))
}

/// The like rows without an engine, on a database of the same kind.
async fn bare_figure(args: &BenchArgs, what: bare::Rows, count: u64) -> Result<f64, Failure> {
    progress("the bare insert");
    let (folder, server) = (Folder::new("bare")?, prepare(args).await?);
    let file = || format!("sqlite:{}", folder.join("bare.db").display());
    let url = server.as_ref().map_or_else(file, Server::url);
    let figure = bare::inserts_per_second(&url, what, count).await;
    if let Some(server) = server {
        server.remove().await?;
    }
    figure
}

async fn prepare(args: &BenchArgs) -> Result<Option<Server>, Failure> {
    match &args.database {
        Some(url) => Server::prepare(url).await,
        None => Ok(None),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(count: u64, taken: Duration) -> f64 {
    count as f64 / taken.as_secs_f64()
}

pub(super) fn hundredths(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn each(before: Usage, after: Usage, count: u64) -> f64 {
    hundredths((after.cpu_ms - before.cpu_ms) as f64 * 1_000.0 / count as f64)
}
