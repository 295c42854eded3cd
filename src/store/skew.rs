//! The database's clock, and by how much this machine's differs from it.
//!
//! A worker whose clock is wrong would fire timers early for everybody. So the difference is measured when a store is opened and at each
//! renewal of its lease, and carried on from there by a clock that cannot be set, so that a jump shows at once. While it is beyond a
//! bound nothing of this process commits: [`super::Error::Clock`] is passing, and others do the work meanwhile. A pause is written all the same.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Conn, Core, Dialect, Result, Store};
use crate::clock::machine_now;
use crate::time::{SECOND, Timestamp};

/// Clocks that differ by more make mail leave at the wrong time.
pub const MOST_MS: i64 = 500;
/// Beyond this nothing is done by that clock.
pub const BOUND_MS: i64 = 5 * SECOND;

/// How often somebody who waits for the clock looks.
const LOOK: Duration = Duration::from_millis(500);

/// What was measured last.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Option<Measured>>);

#[derive(Clone, Copy, Debug)]
struct Measured {
    ahead_ms: i64,
    /// How much of it may be the way there and back.
    slack_ms: i64,
    /// The moment of it, on a clock that cannot be set and on the one that can.
    moment: Instant,
    machine: Timestamp,
}

impl Watch {
    fn measured(&self, ahead_ms: i64, slack_ms: i64) {
        let new = Measured { ahead_ms, slack_ms, moment: Instant::now(), machine: machine_now() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(new);
    }

    /// By how much this machine is ahead now, as far as can be told without asking, and how much of it is not sure.
    fn ahead(&self) -> (i64, i64) {
        let Some(last) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else { return (0, 0) };
        let passed = i64::try_from(last.moment.elapsed().as_millis()).unwrap_or(i64::MAX);
        (last.ahead_ms + (machine_now().0 - last.machine.0).saturating_sub(passed), last.slack_ms)
    }

    /// What the database's clock shows now.
    pub(super) fn there(&self) -> Timestamp {
        machine_now().plus_ms(-self.ahead().0)
    }

    /// By how much this machine is ahead, if that is more than may be.
    pub(super) fn error(&self) -> Option<i64> {
        let (ahead, slack) = self.ahead();
        (ahead.abs().saturating_sub(slack) > BOUND_MS).then_some(ahead)
    }
}

impl Store {
    /// By how many milliseconds this machine's clock is ahead of the database's, where that is too much to do anything by it.
    pub fn clock_error(&self) -> Option<i64> {
        self.core.lease.skew.error()
    }

    /// Waits until this machine's clock is right; hardly ever.
    pub async fn on_time(&self) {
        while self.clock_error().is_some() {
            // What cannot be set may have stood still, as while a machine sleeps: it is measured again.
            self.core.lease.ask_for_renewal();
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// By how many milliseconds this machine is ahead of the database, half the way there and back allowed for; SQLite is on it.
pub(super) async fn measure(core: &Arc<Core>) -> Result<i64> {
    if core.pools.dialect() == Dialect::Sqlite {
        return Ok(0);
    }
    let mut conn = core.read().await?;
    // The first call prepares the statement.
    micros(&mut conn).await?;
    let (began, before) = (Instant::now(), machine_now());
    let there = micros(&mut conn).await? / 1_000;
    let half = i64::try_from(began.elapsed().as_millis() / 2).unwrap_or(0);
    let ahead = before.0 + half - there;
    core.lease.skew.measured(ahead, half);
    Ok(ahead)
}

/// The database's clock, in microseconds. SQLite has none of its own, and one daemon.
pub(super) async fn micros(conn: &mut Conn) -> Result<i64> {
    const NOW: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";
    match conn.dialect() {
        Dialect::Sqlite => Ok(machine_now().0 * 1_000),
        Dialect::Postgres => conn.fetch_number(NOW, Vec::new()).await,
    }
}

/// The difference in words: `3 s ahead of`, `2 days behind`.
pub fn in_words(ahead_ms: i64) -> String {
    let seconds = (ahead_ms.abs() + 999) / 1_000;
    let length = match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    format!("{length} {}", if ahead_ms < 0 { "behind" } else { "ahead of" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_an_error_beyond_the_bound_and_what_the_way_may_have_taken() {
        let watch = Watch::default();
        assert_eq!(watch.error(), None, "nothing was measured");
        for (ahead, slack, is_error) in [
            (4_900, 0, false),
            (-4_900, 0, false),
            (5_200, 0, true),
            (-5_200, 0, true),
            (5_200, 400, false),
            (86_400_000, 2_000, true),
        ] {
            watch.measured(ahead, slack);
            assert_eq!(watch.error().is_some(), is_error, "{ahead} {slack}");
        }
    }

    #[test]
    fn a_clock_that_jumps_is_noticed_without_asking() {
        let watch = Watch::default();
        watch.measured(0, 0);
        assert_eq!(watch.error(), None);
        let right = machine_now();
        crate::clock::stand_at(Some(right.plus_ms(-60_000)));
        assert!(watch.error().is_some_and(|ahead| ahead < -59_000));
        assert!((watch.there().0 - right.0).abs() < 1_000, "the database's is known all the same");
        crate::clock::stand_at(None);
        assert_eq!(watch.error(), None);
    }

    #[test]
    fn differences_are_told_in_words() {
        let words = [800, -5_200, 600_000, -9_000_000, 300_000_000].map(in_words);
        assert_eq!(words, ["1 s ahead of", "6 s behind", "10 min ahead of", "2 h behind", "3 days ahead of"]);
    }
}
