//! Telling a network by calls: a batch in parts, each under a key of its own, and the next only when the one before was taken.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Error, HALT, Made, Teller};
use crate::channels::audience::{PART, Part, call, network};
use crate::channels::guard::{Failed, Told};
use crate::clock::machine_now;
use crate::daemon::Way;
use crate::store::exports::{self, Batch, Lines, Measure};
use crate::time::{DAY, HOUR, SECOND};

/// The pause after the first try in vain; it doubles with each, up to the longest.
const FIRST: i64 = 10 * SECOND;
const LONGEST: i64 = HOUR;

impl Teller<'_> {
    /// Tells the network what it does not know of a closed batch.
    pub(super) async fn tell(&self, batch: &Batch, stop: &CancellationToken) -> Result<Made, Error> {
        let told = usize::try_from(batch.told).unwrap_or(0);
        let mut conn = self.store.read().await?;
        let Measure { added, removed, after } =
            exports::measure(&mut conn, batch.id, told.saturating_mul(PART)).await?;
        let mut lines = Lines::of(&conn, batch.id, after.as_ref());
        drop(conn);
        let mut made = Made::nothing_yet(batch, added, removed);
        let others = &self.outlet.others;
        if others.rehearse || matches!(self.outlet.way, Way::Rehearse) {
            return Ok(made);
        }
        let secret = others.secrets.resolve(&batch.sends);
        let secret =
            secret.map_err(|why| not_taken(format!("the secret that names it cannot be had: {why}")))?;
        let url = network(secret.reveal())
            .map_err(|why| not_taken(format!("the secret that names it cannot be used: {why}")))?;
        let of = (added + removed).div_ceil(PART);
        for number in told + 1..=of {
            if stop.is_cancelled() || self.is_paused().await? {
                return Err(Error::Stopped);
            }
            if batch.recorded_at.is_none() && !self.hold(batch).await? {
                return Err(Error::Elsewhere);
            }
            let [remove, add] = self.page(&mut lines, PART).await?;
            let part = Part { number, of, remove, add };
            let call = call(&url, (&batch.audience, &batch.name), &part);
            is_taken(others.guard.tell(call).await)?;
            HALT.at("taken").await;
            exports::taken(self.store, batch.id, part.number).await?;
            made.calls += 1;
            HALT.at("noted").await;
        }
        Ok(made)
    }

    /// Notes that a batch is tried again, and when.
    pub(super) async fn put_off(
        &self,
        batch: &Batch,
        why: &str,
        wait: Option<Duration>,
    ) -> Result<(), Error> {
        let doubled = FIRST.saturating_mul(1 << batch.attempts.clamp(0, 20)).min(LONGEST);
        let asked = wait.map_or(0, |wait| i64::try_from(wait.as_millis()).unwrap_or(DAY).min(DAY));
        let again_at = machine_now().plus_ms(doubled.max(asked));
        tracing::warn!(
            batch = batch.name, why, again_at = %again_at,
            "a network did not take a batch of an audience; trying again"
        );
        Ok(exports::put_off(self.store, batch.id, again_at, why).await?)
    }
}

fn not_taken(why: String) -> Error {
    Error::NotTaken(why, None)
}

/// Whether a call was taken. Only 2xx says so; all else may change, if only because somebody has mended something.
fn is_taken(told: Result<Told, Failed>) -> Result<(), Error> {
    let Told { status, retry_after } = told.map_err(|failed| not_taken(failed.to_string()))?;
    let why = match status {
        200..=299 => return Ok(()),
        300..=399 => format!("{status}: it leads elsewhere, which is not followed"),
        401 | 403 | 404 | 407 => format!("it answered {status}: look at the secret that names it"),
        _ => format!("it answered {status}"),
    };
    Err(Error::NotTaken(why, retry_after))
}
