//! Audiences: now and then what has changed is cut into a batch for each of them, and the batch becomes a folder that a network takes,
//! or calls to it.
//!
//! ```text
//! cut      a transaction a bucket: members are compared with what was told; consent is looked at for the last time; then it is closed
//! write    audiences/NAME/add.csv and remove.csv, hashes alone: a page at a time into a folder beside it, synced, renamed
//! tell     or: a part of the batch a call, each taken (2xx) and noted before the next
//! record   it is done
//! ```
//!
//! Killed between any two, the next start goes on with the same batch and makes the same bytes; a call is repeated under the same key.
//! What a network does not take is tried again for ever, and later batches of that audience wait behind it: somebody who has withdrawn
//! consent must not stay in its list for want of an answer.

mod calls;
mod files;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Outlet;
pub use super::batches::Error;
use super::batches::{HOLD, Halt, LOOK, UNFINISHED, pause_after};
use crate::channels::audience::lines;
use crate::clock::{JourneyClock, machine_now};
use crate::store::exports::{self, Batch, Cut, Lines};
use crate::store::folders::{self, Of};
use crate::store::{Store, journeys, settings};
use crate::time::{Timestamp, Zone};

/// The setting that says up to which moment batches were cut.
const HANDLED: &str = "audiences_cut";

static HALT: Halt = Halt::new(|| std::env::var("FAHRPLAN_TEST_AUDIENCES_HALT").ok());

/// Where audiences go, and how often.
#[derive(Clone, Debug)]
pub struct Audiences {
    /// The folder of the batches. `None`: they count as told, and nothing is written.
    pub folder: Option<PathBuf>,
    pub every_ms: i64,
}

impl Default for Audiences {
    fn default() -> Audiences {
        Audiences { folder: None, every_ms: crate::config::Audiences::default().every_ms() }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub name: String,
    /// Where it is; `None` where nothing was written.
    pub folder: Option<PathBuf>,
    /// Calls that the network took.
    pub calls: usize,
    pub added: usize,
    pub removed: usize,
    /// The folder was there already, with the same bytes.
    pub was_there: bool,
}

impl Made {
    /// Of a batch of which nothing was written or told yet.
    fn nothing_yet(batch: &Batch, added: usize, removed: usize) -> Made {
        Made { name: batch.name.clone(), folder: None, calls: 0, added, removed, was_there: false }
    }
}

/// Tells networks of changes.
pub struct Teller<'a> {
    pub store: &'a Store,
    pub clock: &'a JourneyClock,
    pub outlet: &'a Outlet,
}

/// Runs until stopped.
pub(super) async fn run(
    store: Store,
    clock: JourneyClock,
    outlet: Arc<Outlet>,
    stop: CancellationToken,
) -> Result<(), super::Error> {
    folders::release_former(&store, Of::Audiences).await?;
    let teller = Teller { store: &store, clock: &clock, outlet: &outlet };
    let (mut handled, mut looked) = (None, None);
    while !stop.is_cancelled() {
        let pause = match teller.round(&mut handled, &mut looked, &stop).await {
            Ok(()) => LOOK,
            Err(error) => pause_after(error, "audiences")?,
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(())
}

impl Teller<'_> {
    /// Cuts if it is time, and makes what is not done.
    async fn round(
        &self,
        handled: &mut Option<Timestamp>,
        looked: &mut Option<Instant>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        if self.is_paused().await? {
            return Ok(());
        }
        let every = self.outlet.others.audiences.every_ms;
        let due = Timestamp(now.0 - now.0.rem_euclid(every));
        if self.is_time(handled, due).await? {
            self.cut().await?;
            let mut tx = self.store.write().await?;
            settings::set(&mut tx, HANDLED, &due.0.to_string()).await?;
            tx.commit().await?;
            *handled = Some(due);
            *looked = None;
        }
        if looked.is_none_or(|looked| looked.elapsed() >= UNFINISHED) {
            let now = machine_now();
            let made = self.make_those(stop, |batch| batch.again_at.is_none_or(|at| at <= now)).await;
            *looked = Some(Instant::now());
            made?;
        }
        Ok(())
    }

    async fn is_time(&self, handled: &mut Option<Timestamp>, due: Timestamp) -> Result<bool, Error> {
        if handled.is_none() {
            let known = settings::get(&mut self.store.read().await?, HANDLED).await?;
            *handled = known.and_then(|text| text.parse().ok().map(Timestamp));
        }
        Ok(handled.is_none_or(|handled| handled < due))
    }

    /// Whether all sending is paused, and this with it.
    pub async fn is_paused(&self) -> Result<bool, Error> {
        Ok(self.outlet.brakes.now(self.store).await?.all)
    }

    /// Cuts a batch of what has changed in each audience.
    pub async fn cut(&self) -> Result<(), Error> {
        let owner = self.store.worker();
        // What a process that is gone has begun is a batch by itself.
        exports::close(self.store, owner, machine_now()).await?;
        let catalog = journeys::deployed(&mut self.store.read().await?).await?.catalog.clone();
        let zone = Zone::named(&catalog.zone).unwrap_or_else(Zone::utc);
        let at = self.clock.now();
        let minutes = zone.time(at).0 / 60;
        let stamp = format!("{}-{:02}{:02}", zone.date(at), minutes / 60, minutes % 60);
        for bucket in self.store.buckets() {
            let now = machine_now();
            let cut = Cut {
                owner,
                now,
                held_until: now.plus_ms(*HOLD),
                at,
                name: &|audience| format!("{audience}-{stamp}"),
                lines: &lines,
            };
            if !exports::cut(self.store, bucket, &cut).await? {
                return Err(Error::Elsewhere);
            }
        }
        HALT.at("cut").await;
        exports::close(self.store, owner, machine_now()).await?;
        HALT.at("closed").await;
        Ok(())
    }

    /// Makes all batches that are not done, whenever they were to be tried again.
    pub async fn make_all(&self, stop: &CancellationToken) -> Result<Vec<Made>, Error> {
        self.make_those(stop, |_| true).await
    }

    /// Makes those that are due, and of each audience only what nothing older stands before.
    async fn make_those(
        &self,
        stop: &CancellationToken,
        is_due: impl Fn(&Batch) -> bool,
    ) -> Result<Vec<Made>, Error> {
        let (mut all, mut behind, mut broken) = (Vec::new(), BTreeSet::new(), None);
        for batch in exports::unfinished(&mut self.store.read().await?).await? {
            if behind.contains(&batch.audience) || !is_due(&batch) || !self.hold(&batch).await? {
                behind.insert(batch.audience);
                continue;
            }
            // The list is as old as the batches before this one took: another process may have told a part of it meanwhile.
            let batch = exports::named(&mut self.store.read().await?, &batch.name).await?.unwrap_or(batch);
            match self.make(&batch, stop).await {
                Ok(made) => {
                    let folder = made.folder.as_ref().map(|path| path.display().to_string());
                    let (added, removed, calls) = (made.added, made.removed, made.calls);
                    tracing::info!(
                        batch = made.name,
                        added,
                        removed,
                        folder,
                        calls,
                        "a batch of an audience is done"
                    );
                    all.push(made);
                }
                Err(error) => {
                    folders::let_go(self.store, Of::Audiences, batch.id, self.store.worker()).await?;
                    match error {
                        Error::NotTaken(why, wait) => self.put_off(&batch, &why, wait).await?,
                        error => broken = Some(error),
                    }
                    behind.insert(batch.audience);
                }
            }
        }
        broken.map_or(Ok(all), Err)
    }

    async fn hold(&self, batch: &Batch) -> Result<bool, Error> {
        let (owner, now) = (self.store.worker(), machine_now());
        Ok(folders::hold(self.store, Of::Audiences, batch.id, owner, now, now.plus_ms(*HOLD)).await?)
    }

    /// Makes a batch that is ours.
    async fn make(&self, batch: &Batch, stop: &CancellationToken) -> Result<Made, Error> {
        if !batch.is_closed {
            exports::close(self.store, self.store.worker(), machine_now()).await?;
        }
        let made =
            if batch.is_called() { self.tell(batch, stop).await? } else { self.write(batch, stop).await? };
        HALT.at("renamed").await;
        exports::finish(self.store, batch.id, machine_now()).await?;
        metrics::counter!("fahrplan_audience_batches_total").increment(1);
        Ok(made)
    }

    /// Makes a batch that was done once more: the same folder, or the same calls under the same keys.
    pub async fn again(&self, batch: &Batch, stop: &CancellationToken) -> Result<Made, Error> {
        match batch.is_called() {
            true => self.tell(&Batch { told: 0, ..batch.clone() }, stop).await,
            false => self.write(batch, stop).await,
        }
    }

    /// The next lines, those who go and those who come: few are in memory, however large the audience.
    async fn page(&self, lines: &mut Lines, most: usize) -> Result<[Vec<String>; 2], Error> {
        let mut conn = self.store.read().await?;
        let [mut remove, mut add] = [Vec::new(), Vec::new()];
        while remove.len() + add.len() < most {
            let Some(line) = lines.next(&mut conn).await? else { break };
            if line.comes { &mut add } else { &mut remove }.push(line.text);
        }
        Ok([remove, add])
    }
}
