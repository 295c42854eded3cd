//! What is counted and measured, for `/metrics`: each name with what it says, and what has to be looked up now and then.
//!
//! What is looked up reads counters and the little that is unfinished, never a large table, and is of this moment for fifteen seconds.

use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::time::Instant;

use crate::clock::machine_now;
use crate::store::reconcile::{self, Differences};
use crate::store::{Result, Store, letters, skew};
use crate::time::{MINUTE, SECOND, Timestamp};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(15);

/// A clock that runs is put right by less than this.
const JUMP_MS: i64 = SECOND;
/// A jump beyond this makes people late, or early, for much.
const LEAP_MS: i64 = 5 * MINUTE;

/// All counters: name and what it says.
const COUNTERS: [(&str, &str); 12] = [
    ("fahrplan_advance_failures_total", "Times a batch could not be advanced because the database was away"),
    ("fahrplan_clicks_total", "Links in mails that were followed"),
    ("fahrplan_clock_jumps_total", "Times the machine's clock jumped by more than a second"),
    ("fahrplan_deliveries_total", "Tries to send by this process, by channel and result"),
    ("fahrplan_http_requests_total", "Answers of the doors, by status"),
    ("fahrplan_inputs_total", "Inputs and timers that this process took"),
    ("fahrplan_audience_batches_total", "Batches of audiences that this process made"),
    ("fahrplan_letter_batches_total", "Batches of letters that this process made"),
    ("fahrplan_stale_results_total", "Results that came after their lease had ended, and were not believed"),
    ("fahrplan_transitions_total", "Steps of enrollments that this process made"),
    ("fahrplan_unsubscribes_total", "Unsubscribe links that were acted on"),
    ("fahrplan_upkeep_failures_total", "Looks of this table that failed because the database was away"),
];

/// All gauges.
const GAUGES: [(&str, &str); 16] = [
    (
        "fahrplan_backlog",
        "What waits: inbox, due timers, queued and leased messages, jobs, firings of schedules",
    ),
    ("fahrplan_clock_skew_seconds", "By how much this machine's clock is ahead of the database's"),
    (
        "fahrplan_clock_wrong",
        "1 while this machine's clock is so far from the database's that nothing is done by it",
    ),
    ("fahrplan_database_up", "1 while the database answers"),
    ("fahrplan_in_flight", "Messages that this process is sending at this moment"),
    ("fahrplan_journey_time_ms", "The journey clock, in milliseconds since 1970"),
    ("fahrplan_letters_waiting", "Letters that wait for their batch"),
    ("fahrplan_lateness_seconds", "How late the latest due timer is"),
    ("fahrplan_next_due_ms", "When something falls due next on the journey clock; 0: never"),
    ("fahrplan_oldest_queued_seconds", "For how long the oldest message that may leave has waited"),
    (
        "fahrplan_reconcile_difference",
        "Enrollments and messages that are lost or doubled: entered or queued, less all that became of them; not 0 is a bug or damage",
    ),
    ("fahrplan_paused", "1 while something is paused, in the database or by a file on this machine"),
    ("fahrplan_rejected", "Items that could not be read, kept for thirty days"),
    ("fahrplan_relay_up", "1 while the mail server takes connections"),
    ("fahrplan_workers_alive", "Processes that have the database open to work on it"),
    ("fahrplan_info", "The version of the program, always 1"),
];

/// The recorder, which knows what each name says.
pub(super) fn recorder() -> PrometheusHandle {
    let installed = PrometheusBuilder::new().install_recorder();
    let handle = installed.unwrap_or_else(|_| PrometheusBuilder::new().build_recorder().handle());
    for (name, text) in COUNTERS {
        metrics::describe_counter!(name, text);
    }
    for (name, text) in GAUGES {
        metrics::describe_gauge!(name, text);
    }
    metrics::gauge!("fahrplan_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    handle
}

/// What was looked up lately.
#[derive(Default)]
pub(super) struct Gauges {
    looked: Option<Instant>,
    /// The same moment on a clock that cannot be set and on the one that can.
    since: Option<(Instant, Timestamp)>,
    /// Whether the clock was too far from the database's for anything to be done.
    was_wrong: bool,
}

impl Gauges {
    /// Looks, if it is time to.
    pub(super) async fn work(&mut self, store: &Store) {
        self.watch_the_clock();
        self.compare_the_clock(store);
        if self.looked.is_some_and(|looked| looked.elapsed() < EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        if let Err(error) = look(store).await {
            tracing::warn!(%error, "the figures for /metrics cannot be read");
            metrics::counter!("fahrplan_upkeep_failures_total").increment(1);
        }
    }

    /// Tells when the clock has become wrong, and when it is right again.
    fn compare_the_clock(&mut self, store: &Store) {
        let error = store.clock_error();
        metrics::gauge!("fahrplan_clock_wrong").set(if error.is_some() { 1.0 } else { 0.0 });
        match error {
            Some(ahead_ms) if !self.was_wrong => tracing::error!(
                ahead_ms,
                "the clock of this machine is {} the database's: this worker does nothing until it is right; \
                 `chronyd` or `systemd-timesyncd` sets it",
                skew::in_words(ahead_ms)
            ),
            None if self.was_wrong => {
                tracing::info!("the clock of this machine is right again; this worker goes on");
            }
            _ => {}
        }
        self.was_wrong = error.is_some();
    }

    /// Notices when the machine's clock is set.
    fn watch_the_clock(&mut self) {
        let now = (Instant::now(), machine_now());
        let Some((since, was)) = self.since.replace(now) else { return };
        let passed = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
        let jump = now.1.0 - was.0 - passed;
        if jump.abs() <= JUMP_MS {
            return;
        }
        metrics::counter!("fahrplan_clock_jumps_total").increment(1);
        if jump.abs() > LEAP_MS {
            tracing::error!(
                jump_ms = jump,
                "the clock of this machine was set by more than five minutes: what fell due meanwhile is done now, and if the \
                 clock is wrong, too early; \"Clocks\" in README says more"
            );
        } else {
            tracing::warn!(jump_ms = jump, "the clock of this machine was set");
        }
    }
}

async fn look(store: &Store) -> Result<()> {
    let figures = reconcile::figures(store).await?;
    let Differences { enrollments, deliveries } = figures.differences;
    for (what, difference) in [("enrollments", enrollments), ("deliveries", deliveries)] {
        metrics::gauge!("fahrplan_reconcile_difference", "what" => what).set(as_f64(difference));
        if difference != 0 {
            tracing::error!(
                what,
                difference,
                "what came in is not what became of it; `fahrplan doctor` looks closer"
            );
        }
    }
    let waiting = letters::waiting(&mut store.read().await?).await?;
    metrics::gauge!("fahrplan_letters_waiting").set(as_f64(waiting));
    metrics::gauge!("fahrplan_rejected").set(as_f64(figures.rejected));
    metrics::gauge!("fahrplan_workers_alive").set(as_f64(figures.workers));
    if figures.skew_ms.abs() > skew::MOST_MS {
        tracing::warn!(skew_ms = figures.skew_ms, "this machine and the database disagree about the time");
    }
    metrics::gauge!("fahrplan_clock_skew_seconds").set(as_f64(figures.skew_ms) / 1_000.0);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; 53 bits hold every count we have")]
fn as_f64(n: i64) -> f64 {
    n as f64
}
