//! Audiences: now and then what has changed is cut into a batch for each of them, and the batch becomes a folder that a network takes.
//!
//! ```text
//! cut      a transaction a bucket: members are compared with what was told; consent is looked at for the last time; then it is closed
//! write    audiences/NAME/add.csv and remove.csv, hashes alone: into a folder beside it, synced, renamed
//! record   it is done
//! ```
//!
//! Killed between any two, the next start goes on with the same batch and makes the same bytes.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::folder::Put;
use super::{Outlet, Way};
use crate::channels::audience::{file, lines};
use crate::clock::{JourneyClock, machine_now};
use crate::store::exports::{self, Batch, Cut};
use crate::store::{self, Store, journeys, settings};
use crate::time::{MINUTE, Timestamp, Zone};

/// How often it is looked whether it is time, and whether a batch was left unfinished.
const LOOK: Duration = Duration::from_millis(500);
const UNFINISHED: Duration = Duration::from_secs(5);
/// The pause after the folder could not be written.
const PAUSE: Duration = Duration::from_secs(30);
/// How long a batch is held at a time.
const HOLD_MS: i64 = MINUTE;
/// The setting that says up to which moment batches were cut.
const HANDLED: &str = "audiences_cut";

/// Tests of the whole program stop it here for good, to kill it between two steps; for nobody else.
async fn halt(step: &str) {
    static STEP: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("FAHRPLAN_TEST_AUDIENCES_HALT").ok());
    if STEP.as_deref() == Some(step) {
        tracing::warn!(step, "halted, as a test asks");
        std::future::pending::<()>().await;
    }
}

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

/// Why a batch could not be made. It is tried again.
#[derive(Debug)]
pub enum Error {
    Store(store::Error),
    File(PathBuf, std::io::Error),
    /// Another process works on it.
    Elsewhere,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Store(error) => write!(f, "{error}"),
            Error::File(path, error) => write!(f, "{}: {error}", path.display()),
            Error::Elsewhere => f.write_str("another process works on this batch"),
        }
    }
}

impl std::error::Error for Error {}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        Error::Store(error)
    }
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub name: String,
    /// Where it is; `None` where nothing was written.
    pub folder: Option<PathBuf>,
    pub added: usize,
    pub removed: usize,
    /// The folder was there already, with the same bytes.
    pub was_there: bool,
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
    exports::release_former(&store).await?;
    let teller = Teller { store: &store, clock: &clock, outlet: &outlet };
    let (mut handled, mut looked) = (None, None);
    while !stop.is_cancelled() {
        let mut pause = LOOK;
        match teller.round(&mut handled, &mut looked).await {
            Ok(()) => {}
            Err(Error::Store(error)) if !error.is_passing() => return Err(error.into()),
            Err(Error::Store(error)) => {
                tracing::warn!(%error, "audiences could not reach the database; trying again");
            }
            Err(error @ Error::Elsewhere) => tracing::debug!(%error, "a batch of an audience is not done"),
            Err(error) => {
                tracing::error!(%error, "a batch of an audience cannot be made; trying again");
                pause = PAUSE;
            }
        }
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
            for made in self.make_all().await? {
                let folder = made.folder.as_ref().map(|path| path.display().to_string());
                let (added, removed) = (made.added, made.removed);
                tracing::info!(batch = made.name, added, removed, folder, "a batch of an audience is ready");
            }
            *looked = Some(Instant::now());
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
                held_until: now.plus_ms(HOLD_MS),
                at,
                name: &|audience| format!("{audience}-{stamp}"),
                lines: &lines,
            };
            if !exports::cut(self.store, bucket, &cut).await? {
                return Err(Error::Elsewhere);
            }
        }
        halt("cut").await;
        exports::close(self.store, owner, machine_now()).await?;
        halt("closed").await;
        Ok(())
    }

    /// Makes all batches that are not done.
    pub async fn make_all(&self) -> Result<Vec<Made>, Error> {
        let mut all = Vec::new();
        for batch in exports::unfinished(&mut self.store.read().await?).await? {
            let (owner, now) = (self.store.worker(), machine_now());
            if !exports::hold(self.store, batch.id, owner, now, now.plus_ms(HOLD_MS)).await? {
                continue;
            }
            if !batch.is_closed {
                exports::close(self.store, owner, now).await?;
            }
            let made = self.write(&batch).await?;
            halt("renamed").await;
            exports::finish(self.store, batch.id, machine_now()).await?;
            metrics::counter!("fahrplan_audience_batches_total").increment(1);
            all.push(made);
        }
        Ok(all)
    }

    /// Writes the folder of a closed batch, beside one that is there and has other bytes.
    pub async fn write(&self, batch: &Batch) -> Result<Made, Error> {
        let [added, removed] = exports::lines(&mut self.store.read().await?, batch.id).await?;
        let mut made = Made {
            name: batch.name.clone(),
            folder: None,
            added: added.len(),
            removed: removed.len(),
            was_there: false,
        };
        let folder = self.outlet.others.audiences.folder.clone();
        let Some(folder) = folder.filter(|_| !matches!(self.outlet.way, Way::Rehearse)) else {
            return Ok(made);
        };
        let name = batch.name.clone();
        let put = move || {
            let mut put = Put::begin(&folder, &name)?.closed();
            let target = put.target().to_owned();
            put.add("add.csv", file(&added).as_bytes())?;
            put.add("remove.csv", file(&removed).as_bytes())?;
            Ok((target, put.end()?))
        };
        let broke = |error| Error::File(PathBuf::from(&batch.name), std::io::Error::other(error));
        let put = tokio::task::spawn_blocking(put).await.map_err(broke)?;
        let (target, was_there) = put.map_err(|(path, error)| Error::File(path, error))?;
        (made.folder, made.was_there) = (Some(target), was_there);
        Ok(made)
    }
}
