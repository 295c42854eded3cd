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
//! speed depends on how many wait. Parking them is a figure of its own and in none of those of J. Since machines are slow for minutes
//! and quick for others, `--against M` measures J on a second engine with M of them, in turns of a second or less.

mod bare;
mod engine;
mod folder;
mod incoming;
mod load;
mod server;

use std::ops::Range;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use self::engine::{Engine, Usage};
use self::folder::Folder;
use self::incoming::hundredths;
use self::server::Server;
use super::{BenchArgs, Exit, Outcome};

/// Transitions a contact makes in J and J'.
const TRANSITIONS: u64 = 6;
/// How long the engine may tidy up after the last contact was parked (less where there are few), and how long it is watched at rest.
const SETTLING: Duration = Duration::from_secs(40);
const RESTING: Duration = Duration::from_secs(10);
/// Contacts of a turn, where two engines take turns.
const TURN: u64 = 10_000;
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
    let (beside, mut parking) = match args.parked {
        Some(count) => park(&engine, count).await?,
        None => (0, Value::Null),
    };
    let mut other = match args.against {
        Some(few) => Some(start_other(workload, args, few).await?),
        None => None,
    };
    let engines: Vec<&Engine> = [&engine].into_iter().chain(&other).collect();
    for engine in &engines {
        engine.import_moving().await?;
    }
    let runs = run_in_turns(workload, &engines, n).await?;
    super::progress(&format!("{}: single events", workload.name()));
    let latency = engine.singles(SINGLES).await?;
    let size = engine.database_bytes().await?.saturating_sub(beside);
    if let Some(other) = &mut other {
        other.stop().await?;
    }
    if args.parked.is_some() {
        super::progress("the engine is killed, and stopped");
        parking["ready_ms"] = json!({
            "after_kill": engine.restart(true).await?,
            "after_stop": engine.restart(false).await?,
        });
    }
    engine.stop().await?;
    let mut figures = runs[0].figures(n);
    figures["workload"] = workload.name().into();
    figures["ratio_to_bare"] = hundredths(runs[0].per_second(n) / bare).into();
    figures["single_event_to_channel_ms"] = latency;
    figures["database_bytes_per_contact"] = (size / n.max(1)).into();
    if !parking.is_null() {
        figures["parked"] = parking;
    }
    if let (Some(few), [beside_many, beside_few]) = (args.against, &runs[..]) {
        figures["against"] = beside_few.figures(n);
        figures["against"]["parked"] = few.into();
        figures["ratio_to_against"] = hundredths(beside_many.per_second(n) / beside_few.per_second(n)).into();
    }
    Ok(figures)
}

/// Another engine for the same workload, beside which so many wait.
async fn start_other(workload: Workload, args: &BenchArgs, parked: u64) -> Result<Engine, super::Failure> {
    // A file that somebody names has room for one.
    let database = args.database.clone().filter(|url| url.starts_with("postgres"));
    let args = BenchArgs { parked: Some(parked), database, ..args.clone() };
    let engine = Engine::start(workload, &args).await?;
    park(&engine, parked).await?;
    Ok(engine)
}

/// What a workload took on an engine.
#[derive(Debug, Default)]
struct Run {
    /// For each phase.
    seconds: [f64; Phase::ALL.len()],
    cpu_ms: u64,
    server_cpu_ms: Option<u64>,
    /// When all have entered, and in the end.
    entered: Usage,
    ended: Usage,
}

/// A part of a workload.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Enter,
    SameInstant,
    PurchaseCallExit,
}

impl Phase {
    const ALL: [Phase; 3] = [Phase::Enter, Phase::SameInstant, Phase::PurchaseCallExit];

    fn name(self) -> &'static str {
        match self {
            Phase::Enter => "enter",
            Phase::SameInstant => "same_instant",
            Phase::PurchaseCallExit => "purchase_call_exit",
        }
    }
}

/// Runs a workload on each of these engines, phase by phase, in turns of so many contacts.
async fn run_in_turns(workload: Workload, engines: &[&Engine], n: u64) -> Result<Vec<Run>, super::Failure> {
    let size = if engines.len() == 1 { n.max(1) } else { TURN };
    let mut runs: Vec<Run> = engines.iter().map(|_| Run::default()).collect();
    engines.iter().for_each(|engine| engine.forget_peak());
    for phase in Phase::ALL {
        super::progress(&format!("{}: {}, {n} contacts", workload.name(), phase.name()));
        let whole = 0..n;
        let turns: Vec<Range<u64>> = match phase {
            Phase::SameInstant => vec![whole],
            _ => whole
                .step_by(usize::try_from(size).unwrap_or(1))
                .map(|from| from..n.min(from + size))
                .collect(),
        };
        for (number, turn) in turns.into_iter().enumerate() {
            let mut pairs: Vec<_> = engines.iter().zip(&mut runs).collect();
            // Nobody is always the first.
            pairs.rotate_left(number % engines.len());
            for (engine, run) in pairs {
                run.take_turn(engine, phase, turn.clone()).await?;
            }
        }
        for (engine, run) in engines.iter().zip(&mut runs) {
            run.ended = engine.usage();
            if matches!(phase, Phase::Enter) {
                run.entered = run.ended;
            }
        }
    }
    Ok(runs)
}

impl Run {
    async fn take_turn(
        &mut self,
        engine: &Engine,
        phase: Phase,
        contacts: Range<u64>,
    ) -> Result<(), super::Failure> {
        let before = engine.usage();
        self.seconds[phase as usize] += match phase {
            Phase::Enter => engine.events("signed_up", contacts).await?,
            Phase::SameInstant => engine.forward(load::SAME_MOMENT).await?,
            Phase::PurchaseCallExit => engine.events("purchase", contacts).await?,
        };
        let after = engine.usage();
        self.cpu_ms += after.cpu_ms - before.cpu_ms;
        let server = after.server_cpu_ms.zip(before.server_cpu_ms).map(|(after, before)| after - before);
        self.server_cpu_ms = server.map(|ms| ms + self.server_cpu_ms.unwrap_or(0));
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn per_second(&self, contacts: u64) -> f64 {
        (contacts * TRANSITIONS) as f64 / self.seconds.iter().sum::<f64>()
    }

    fn figures(&self, contacts: u64) -> Value {
        let transitions = contacts * TRANSITIONS;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let each = |cpu_ms: u64| (cpu_ms as f64 * 1_000.0 / transitions as f64 * 10.0).round() / 10.0;
        let mut seconds = json!({ "all": self.seconds.iter().sum::<f64>() });
        for phase in Phase::ALL {
            seconds[phase.name()] = self.seconds[phase as usize].into();
        }
        json!({
            "transitions": transitions,
            "seconds": seconds,
            "transitions_per_second": self.per_second(contacts).round(),
            "cpu_us_per_transition": each(self.cpu_ms),
            "server_cpu_us_per_transition": self.server_cpu_ms.map(each),
            "parked_rss_mib": self.entered.rss_mib,
            "peak_rss_mib": self.ended.peak_mib,
        })
    }
}

/// Lets so many contacts enter a journey of their own and wait there: the bytes they take, and what it took.
async fn park(engine: &Engine, n: u64) -> Result<(u64, Value), super::Failure> {
    super::progress(&format!("{n} contacts are parked"));
    let before = engine.database_bytes().await?;
    let seconds = engine.events(load::STORED, 0..n).await?;
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
    engine.import_moving().await?;
    let n = args.contacts;
    super::progress(&format!("{n} contacts enter and wait"));
    let seconds = engine.events("signed_up", 0..n).await?;
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
