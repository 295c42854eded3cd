//! The daemon: loops that run until they are told to stop.
//!
//! ```text
//! advance   due -> lock bucket, load, advance, commit      woken by commits and by the next due time
//! deliver   outbox -> lease, re-check, render, send, record  woken by queued deliveries
//! upkeep    schedules, jobs over all contacts, retention, statistics
//! audiences what networks are told of them, in batches
//! letters   what waits is cut into batches once a day, and printed
//! listen    words of other processes, on PostgreSQL
//! doors     HTTP
//! ```
//!
//! They share nothing but the store. A crash between any two lines is a rollback: inputs stay in the inbox, timers in their table; only
//! a delivery can be in doubt, when its final dot was written and no result recorded. Its lease ends, and it is sent again with the
//! same Message-ID, counted as `maybe_duplicate`.
//!
//! Stop: the doors close first (requests under way are answered), then the loops finish the batch they hold, deliveries in flight are
//! awaited to their result, leases of what was not begun are given back.

mod advance;
mod agenda;
pub mod audiences;
mod batches;
mod brakes;
mod compose;
mod deliver;
mod folder;
mod gauges;
pub mod letters;
mod notify;
mod rates;
pub mod retention;
pub mod scripts;
mod shelf;
mod upkeep;
mod ways;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::brakes::Brakes;
pub use self::compose::Composer;
pub use self::deliver::{Desk, Outlet, Way, withdrawn};
pub use self::rates::Rates;
pub use self::shelf::Shelf;
pub use self::ways::Others;
use crate::clock::JourneyClock;
use crate::http::{self, Doors, connections};
use crate::store::{self, Store};

/// How long the loops may take to finish what they hold.
const DRAIN: Duration = Duration::from_secs(30);

/// What a daemon runs on.
pub struct Daemon {
    pub store: Store,
    pub clock: JourneyClock,
    /// Where messages leave.
    pub outlet: Arc<Outlet>,
    /// The event that a confirm link records.
    pub confirm_event: Arc<str>,
    /// Who writes the mails, as pages show it.
    pub sender: Arc<str>,
    pub listener: TcpListener,
    /// Pages beside the doors; the demo's.
    pub pages: Option<axum::Router>,
    pub metrics: PrometheusHandle,
    /// What the project says about the doors.
    pub doors: Arc<http::Settings>,
}

/// Why a daemon ended otherwise than asked.
#[derive(Debug)]
pub enum Error {
    Store(store::Error),
    Http(std::io::Error),
    /// A loop ended by a panic: a bug. The process ends, so that whoever watches it starts it again.
    Panicked(&'static str),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Store(error) => write!(f, "{error}"),
            Error::Http(error) => write!(f, "the doors failed: {error}"),
            Error::Panicked(what) => write!(f, "`{what}` ended by a panic; this is a bug"),
        }
    }
}

impl std::error::Error for Error {}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        Error::Store(error)
    }
}

/// The recorder of metrics: one for the process, installed at the first call.
pub fn metrics() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(gauges::recorder).clone()
}

impl Daemon {
    /// Runs until `stop` is cancelled, then drains.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let _only_one = self.store.claim_daemon()?;
        store::deliveries::release_former(&self.store).await?;
        store::seen::warm_up(&self.store).await?;
        if let Way::Channel(_) = &self.outlet.way
            && let Some(copy) = store::home::settle(&self.store, self.clock.now()).await?
        {
            tracing::warn!(
                messages = copy.unsent, inputs = copy.inputs, timers = copy.due, copied_at = ?copy.copied_at.map(|at| at.to_string()),
                "this database is a copy: sending is paused, since so much of it may have happened already; \
                 `fahrplan resume` lets it go on"
            );
        }
        let doors = Doors {
            store: self.store.clone(),
            clock: self.clock.clone(),
            link_key: self.outlet.composer.link_key.clone(),
            gatekeeper: Arc::default(),
            confirm_event: self.confirm_event.clone(),
            sender: self.sender.clone(),
            metrics: self.metrics.clone(),
            public_url: self.outlet.composer.public_url.as_str().into(),
            scripts: Some(Arc::new(scripts::Shelf::new(self.store.clone()))),
            settings: self.doors.clone(),
            secrets: self.outlet.others.secrets.clone(),
        };
        let router = http::router(doors).merge(self.pages.unwrap_or_default());
        tracing::info!(listen = ?self.listener.local_addr().ok(), "serving");

        let mut loops: JoinSet<(&'static str, Result<(), Error>)> = JoinSet::new();
        let (store, clock) = (&self.store, &self.clock);
        let doors_closed = CancellationToken::new();
        let served = connections::serve(self.listener, router, connections::Limits::default(), stop.clone());
        let closed = doors_closed.clone();
        loops.spawn(async move {
            let ended = served.await.map_err(Error::Http);
            closed.cancel();
            ("doors", ended)
        });
        let advance = advance::run(store.clone(), clock.clone(), doors_closed.clone());
        loops.spawn(async move { ("advance", advance.await) });
        let deliver = deliver::run(store.clone(), clock.clone(), self.outlet.clone(), doors_closed.clone());
        loops.spawn(async move { ("deliver", deliver.await) });
        let letters = letters::run(store.clone(), clock.clone(), self.outlet.clone(), doors_closed.clone());
        let audiences =
            audiences::run(store.clone(), clock.clone(), self.outlet.clone(), doors_closed.clone());
        loops.spawn(async move { ("audiences", audiences.await) });
        let upkeep = upkeep::run(store.clone(), clock.clone(), self.outlet, doors_closed.clone());
        loops.spawn(async move { ("upkeep", upkeep.await) });
        loops.spawn(async move { ("letters", letters.await) });
        let listen = store::listen::run(store.clone(), doors_closed.clone());
        loops.spawn(async move {
            listen.await;
            ("listen", Ok(()))
        });

        notify::tell(notify::READY);
        let result = watch_over(&mut loops, &stop).await;
        notify::tell(notify::STOPPING);
        // Whatever ended first, the others are told.
        stop.cancel();
        doors_closed.cancel();
        let drained = tokio::time::timeout(DRAIN, async { while loops.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!("not everything could be finished in time; the rest goes on at the next start");
        }
        result
    }
}

/// How long something is held at a time, in milliseconds. Tests of the whole program shorten it by a variable, to see leases end within
/// seconds; nobody else should: a mail whose sending takes longer is given up.
fn lease_of(longest: i64) -> i64 {
    let shorter = std::env::var("FAHRPLAN_TEST_LEASE_MS").ok().and_then(|text| text.parse().ok());
    shorter.filter(|ms| (1..longest).contains(ms)).unwrap_or(longest)
}

/// Waits until a loop ends by itself or the stop is asked for.
async fn watch_over(
    loops: &mut JoinSet<(&'static str, Result<(), Error>)>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = loops.join_next() => match ended {
            Some(Ok((_, Ok(())))) | None => Ok(()),
            Some(Ok((what, Err(error)))) => {
                tracing::error!(what, error = %error, "a loop ended");
                Err(error)
            }
            Some(Err(_)) => Err(Error::Panicked("a loop")),
        },
    }
}
