//! The two clocks. The machine's clock drives leases, timeouts, backoff, rates and health; the journey clock is what `advance`
//! is told, and may run faster (`demo`) or stand where a file says (rehearsals and tests).
//!
//! This is the only place that reads the machine's clock.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::time::Timestamp;

/// The pauses between looks at a clock in a file.
const SHORTEST: i64 = 20;
const LONGEST: i64 = 250;

thread_local! {
    /// See [`stand_at`].
    static STANDS: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// Lets the machine's clock stand at that moment for this thread, or run again: for simulations, which have all of a process on one
/// thread.
pub fn stand_at(moment: Option<Timestamp>) {
    STANDS.set(moment);
}

/// What the machine's clock shows.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
pub fn machine_now() -> Timestamp {
    if let Some(moment) = STANDS.get() {
        return moment;
    }
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// After how many milliseconds a clock in a file is looked at again: one that was set a moment ago may be set again any moment, one
/// that has long stood may stand for long.
#[expect(clippy::disallowed_methods, reason = "the age of a file is told by the machine's clock")]
fn pause(path: &Path) -> i64 {
    let set = path.metadata().and_then(|file| file.modified());
    let age =
        set.ok().and_then(|set| std::time::SystemTime::now().duration_since(set).ok()).unwrap_or_default();
    (i64::try_from(age.as_millis()).unwrap_or(i64::MAX) / 100).clamp(SHORTEST, LONGEST)
}

/// The time by which journeys live.
#[derive(Clone, Debug, Default)]
pub enum JourneyClock {
    /// The machine's.
    #[default]
    Machine,
    /// Began at `journey` when the machine showed `machine`, and runs `speed` times as fast.
    Scaled { journey: Timestamp, machine: Timestamp, speed: i64 },
    /// Stands at the moment (RFC 3339) that the file says; for rehearsals and tests that must come out the same each time.
    File(PathBuf),
}

impl JourneyClock {
    /// A clock that begins now at `journey` and lets `per_second` pass in each second.
    pub fn scaled(journey: Timestamp, per_second: Duration) -> JourneyClock {
        let speed = i64::try_from(per_second.as_secs()).unwrap_or(1).max(1);
        JourneyClock::Scaled { journey, machine: machine_now(), speed }
    }

    /// What the journey clock shows.
    pub fn now(&self) -> Timestamp {
        match self {
            JourneyClock::Machine => machine_now(),
            JourneyClock::Scaled { journey, machine, speed } => {
                journey.plus_ms((machine_now().0 - machine.0).saturating_mul(*speed))
            }
            // A file that is being replaced, or is gone, holds everything where it is: nothing may move by accident.
            JourneyClock::File(path) => {
                let text = std::fs::read_to_string(path).unwrap_or_default();
                text.trim().parse().unwrap_or(Timestamp(0))
            }
        }
    }

    /// How long the machine has to wait until the journey clock shows `then`; at most `longest`.
    pub fn until(&self, then: Timestamp, longest: Duration) -> Duration {
        let journey_ms = then.0.saturating_sub(self.now().0).max(0);
        let ms = match self {
            JourneyClock::Machine => journey_ms,
            JourneyClock::Scaled { speed, .. } => journey_ms / speed + 1,
            JourneyClock::File(path) if journey_ms > 0 => pause(path),
            JourneyClock::File(_) => 0,
        };
        Duration::from_millis(u64::try_from(ms).unwrap_or(0)).min(longest)
    }
}
