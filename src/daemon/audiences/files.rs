//! Telling a network by files: a batch becomes a folder, whole or not at all, of which a page at a time is in memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Error, HALT, HOLD, Made, Teller};
use crate::channels::audience::{HEAD, rows};
use crate::daemon::Way;
use crate::daemon::folder::{self, Open, Put};
use crate::store::exports::{self, Batch, Lines, Measure};

/// Lines that are written together.
const PAGE: usize = 1_000;

impl Teller<'_> {
    /// Writes the folder of a closed batch, beside one that is there and has other bytes.
    pub async fn write(&self, batch: &Batch, stop: &CancellationToken) -> Result<Made, Error> {
        let folder = self.outlet.others.audiences.folder.clone();
        let Some(folder) = folder.filter(|_| !matches!(self.outlet.way, Way::Rehearse)) else {
            let Measure { added, removed, .. } =
                exports::measure(&mut self.store.read().await?, batch.id, 0).await?;
            return Ok(Made::nothing_yet(batch, added, removed));
        };
        let name = batch.name.clone();
        let mut files = apart(batch, move || Files::begin(&folder, &name)).await?;
        let mut lines = Lines::of(&self.store.read().await?, batch.id, None);
        let mut made = Made::nothing_yet(batch, 0, 0);
        let mut held = Instant::now();
        loop {
            if stop.is_cancelled() {
                return Err(Error::Stopped);
            }
            if batch.recorded_at.is_none() && held.elapsed() > Duration::from_millis(HOLD.unsigned_abs() / 4)
            {
                held = Instant::now();
                if !self.hold(batch).await? {
                    return Err(Error::Elsewhere);
                }
            }
            let [remove, add] = self.page(&mut lines, PAGE).await?;
            if remove.is_empty() && add.is_empty() {
                break;
            }
            made.removed += remove.len();
            made.added += add.len();
            files = apart(batch, move || files.write(&remove, &add)).await?;
            HALT.at("written").await;
        }
        let (target, was_there) = apart(batch, move || files.end()).await?;
        (made.folder, made.was_there) = (Some(target), was_there);
        Ok(made)
    }
}

/// The two files of a batch while they are written.
struct Files {
    put: Put,
    remove: Open,
    add: Open,
}

impl Files {
    fn begin(folder: &Path, name: &str) -> folder::Result<Files> {
        let mut put = Put::begin(folder, name)?.closed();
        let [mut add, mut remove] = [put.open("add.csv")?, put.open("remove.csv")?];
        for file in [&mut add, &mut remove] {
            file.write(format!("{HEAD}\n").as_bytes())?;
        }
        Ok(Files { put, remove, add })
    }

    fn write(mut self, remove: &[String], add: &[String]) -> folder::Result<Files> {
        self.remove.write(rows(remove).as_bytes())?;
        self.add.write(rows(add).as_bytes())?;
        Ok(self)
    }

    /// Where it is, and whether it was there already.
    fn end(self) -> folder::Result<(PathBuf, bool)> {
        let target = self.put.target().to_owned();
        Ok((target, self.put.end()?))
    }
}

/// Does something with files where it keeps nobody waiting.
async fn apart<T: Send + 'static>(
    batch: &Batch,
    work: impl FnOnce() -> folder::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let broke = |error| Error::File(PathBuf::from(&batch.name), std::io::Error::other(error));
    spawn_blocking(work).await.map_err(broke)?.map_err(|(path, error)| Error::File(path, error))
}
