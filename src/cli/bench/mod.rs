//! `fahrplan bench`: workloads J and J' against the real compiler, engine, store and doors; figures as JSON.
//!
//! N contacts, every other one `vip`, enter one journey by an event: mail, a wait that is due at the same instant for all, a branch and
//! a mail, a wait for an event, which comes, a call, exit: six durable transitions a contact. J' adds an `exit … on`, a goal, a cap,
//! consent and quiet hours, ten attributes a contact and two more journeys.
//!
//! The daemon is another process, started as `serve --rehearse --clock FILE`, so that its memory and CPU are its own; messages are
//! recorded, not sent. On PostgreSQL two of them share the server. Before, the same run measures the bare batch: see [`bare`]. This process makes the load over HTTP in batches of 100. Waiting that is part of the journey is not counted:
//! the clock stands until a phase is through, then it is set forward.
//!
//! `--ingest` and `--import` measure what comes in: see [`incoming`].
//!
//! `--park` only lets contacts enter and wait; `--parked N` measures J while N others wait in a journey of their own, which says whether
//! speed depends on how many wait. Parking them is a figure of its own and in none of those of J.

mod bare;
mod engine;
mod folder;
mod incoming;
mod load;
mod server;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use self::engine::{Engine, Usage};
use self::folder::Folder;
use self::server::Server;
use super::{BenchArgs, Exit, Outcome};

/// Transitions a contact makes in J and J'.
const TRANSITIONS: u64 = 6;
/// How long the engine may tidy up after the last contact was parked (less where there are few), and how long it is watched at rest.
const SETTLING: Duration = Duration::from_secs(40);
const RESTING: Duration = Duration::from_secs(10);
/// Single events measured for the latency.
const SINGLES: u64 = 300;

/// The two workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Workload {
    J,
    JPrime,
}

impl Workload {
    fn name(self) -> &'static str {
        match self {
            Workload::J => "J",
            Workload::JPrime => "J'",
        }
    }
}

/// Runs the command.
pub fn run(args: &BenchArgs) -> Outcome {
    super::block_on(async {
        tokio::select! {
            outcome = measure(args) => outcome,
            // What was begun ends here too: the daemon and its database go with what is dropped.
            () = told_to_stop() => Err(super::Failure::world("stopped before the end")),
        }
    })
}

async fn told_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// How many processes serve the database.
fn workers(args: &BenchArgs) -> usize {
    let several = args.database.as_ref().is_some_and(|url| url.starts_with("postgres"));
    if several { usize::from(args.workers.unwrap_or(2)).max(1) } else { 1 }
}

/// The bare batch, on a database like that of the workloads.
async fn bare_figure(args: &BenchArgs) -> Result<f64, super::Failure> {
    super::progress("the bare batch");
    let folder = Folder::new("bare")?;
    let server = match &args.database {
        Some(url) => Server::prepare(url).await?,
        None => None,
    };
    // A database file that somebody names is not for rows of this kind.
    let url =
        server.as_ref().map_or_else(|| format!("sqlite:{}", folder.join("bare.db").display()), Server::url);
    let figure = bare::rows_per_second(&url, args.contacts, workers(args)).await;
    if let Some(server) = server {
        server.remove().await?;
    }
    figure
}

async fn measure(args: &BenchArgs) -> Outcome {
    let mut results = Vec::new();
    let mut bare = None;
    if args.park {
        results.push(parking_figures(args).await?);
    } else if args.ingest {
        results.push(incoming::ingest_figures(args).await?);
    } else if args.import {
        results.push(incoming::import_figures(args).await?);
    } else {
        let figure = bare_figure(args).await?;
        let both = [Workload::J, Workload::JPrime];
        for workload in if args.parked.is_some() { &both[..1] } else { &both[..] } {
            results.push(workload_figures(*workload, args, figure).await?);
        }
        bare = Some(figure.round());
    }
    let report = json!({
        "contacts": args.contacts,
        "database": args.database.as_deref().map_or("sqlite", |url| url.split(':').next().unwrap_or("?")),
        "workers": workers(args),
        "bare_rows_per_second": bare,
        "workloads": results,
    });
    super::print(&format!("{report:#}\n"))?;
    Ok(Exit::Fine)
}

async fn workload_figures(workload: Workload, args: &BenchArgs, bare: f64) -> Result<Value, super::Failure> {
    let mut engine = Engine::start(workload, args).await?;
    let n = args.contacts;
    let (beside, parking) = match args.parked {
        Some(count) => park(&engine, count).await?,
        None => (0, Value::Null),
    };
    super::progress(&format!("{}: {n} contacts enter", workload.name()));
    engine.forget_peak();
    let before = engine.usage();
    let enter = engine.events("signed_up", n).await?;
    let parked = engine.usage();
    super::progress(&format!("{}: everybody is due at once", workload.name()));
    let due = engine.forward(load::SAME_MOMENT).await?;
    let buy = engine.events("purchase", n).await?;
    let after = engine.usage();
    let seconds = enter + due + buy;
    let transitions = n * TRANSITIONS;
    super::progress(&format!("{}: single events", workload.name()));
    let latency = engine.singles(SINGLES).await?;
    let size = engine.database_bytes().await?.saturating_sub(beside);
    engine.stop().await?;
    let server_cpu = after.server_cpu_ms.zip(before.server_cpu_ms).map(|(after, before)| after - before);
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let each = |cpu_ms: u64| (cpu_ms as f64 * 1_000.0 / transitions as f64 * 10.0).round() / 10.0;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let per_second = transitions as f64 / seconds;
    let mut figures = json!({
        "workload": workload.name(),
        "transitions": transitions,
        "seconds": { "enter": enter, "same_instant": due, "purchase_call_exit": buy, "all": seconds },
        "transitions_per_second": per_second.round(),
        "ratio_to_bare": (per_second / bare * 100.0).round() / 100.0,
        "cpu_us_per_transition": each(after.cpu_ms - before.cpu_ms),
        "server_cpu_us_per_transition": server_cpu.map(each),
        "single_event_to_channel_ms": latency,
        "parked_rss_mib": parked.rss_mib,
        "peak_rss_mib": after.peak_mib,
        "database_bytes_per_contact": size / n.max(1),
    });
    if !parking.is_null() {
        figures["parked"] = parking;
    }
    Ok(figures)
}

/// Lets so many contacts enter a journey of their own and wait there: the bytes they take, and what it took.
async fn park(engine: &Engine, n: u64) -> Result<(u64, Value), super::Failure> {
    super::progress(&format!("{n} contacts are parked"));
    let before = engine.database_bytes().await?;
    let seconds = engine.events(load::STORED, n).await?;
    let waiting = engine.waiting().await?;
    if waiting != n {
        return Err(super::Failure::world(format!("{n} contacts were to be parked, and {waiting} wait")));
    }
    let bytes = engine.database_bytes().await?.saturating_sub(before);
    let (after, idle) = at_rest(engine, n).await;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let per_second = (n as f64 / seconds).round();
    let figures = json!({
        "contacts": n,
        "import_seconds": engine.parked.seconds,
        "seconds": seconds,
        "contacts_per_second": per_second,
        "database_bytes_per_contact": { "imported": engine.parked.bytes / n.max(1), "parked": bytes / n.max(1) },
        "rss_mib": after.rss_mib,
        "peak_rss_mib": after.peak_mib,
        "idle_cpu_percent": idle,
    });
    Ok((engine.parked.bytes + bytes, figures))
}

/// Lets the engine tidy up and looks at it while nothing happens: what it has used, and how many percent of a CPU it uses at rest.
async fn at_rest(engine: &Engine, waiting: u64) -> (Usage, f64) {
    tokio::time::sleep(SETTLING.min(Duration::from_millis(waiting))).await;
    super::progress("nothing happens for a while");
    let before = engine.usage();
    tokio::time::sleep(RESTING).await;
    let after = engine.usage();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let percent = (after.cpu_ms - before.cpu_ms) as f64 / RESTING.as_millis() as f64 * 100.0;
    (after, percent)
}

/// What it takes to let contacts wait, and what it takes to keep them waiting.
async fn parking_figures(args: &BenchArgs) -> Result<Value, super::Failure> {
    let mut engine = Engine::start(Workload::J, args).await?;
    let n = args.contacts;
    super::progress(&format!("{n} contacts enter and wait"));
    let seconds = engine.events("signed_up", n).await?;
    let entered = engine.usage();
    let (after, idle) = at_rest(&engine, n).await;
    let size = engine.database_bytes().await?;
    engine.stop().await?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let figures = json!({
        "workload": "J, parked",
        "seconds": seconds,
        "contacts_per_second": (n as f64 / seconds).round(),
        "entered_rss_mib": entered.rss_mib,
        "rss_mib": after.rss_mib,
        "peak_rss_mib": after.peak_mib,
        "idle_cpu_percent": idle,
        "database_bytes_per_contact": size / n.max(1),
    });
    Ok(figures)
}
