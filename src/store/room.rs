//! Whether what is written has room on the disk of the database, and what is done where it has none.
//!
//! On SQLite the log of writes takes room too. Folding it into the database gives that back, but takes some first: by pages that are
//! new the file of the database grows. On a disk that the log alone has filled nothing can be folded any more.
//!
//! ```text
//! roomy    the log grows to its full length before it is folded, beside those who write; where that does not go, to twice as much
//! tight    it grows to a part of what is free, looked at every few seconds; one that is longer is folded and cut off
//! full     a write found no room: each second the log is folded and cut off, until a write finds some. Where that does not go either,
//!          it is told how much room somebody has to make
//! ```

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::dialect::Pools;
use super::tidy::checkpoint;
use super::{Core, Error, Result, Store, lite};

/// A disk on which nothing more had room is believed to have some when a write works after so long.
const FULL: Duration = Duration::from_secs(2);

/// Pages in the log before it is folded into the database, where there is room: with fewer, scattered writes are written twice too often.
pub(super) const MOST: i64 = 20_000;
/// Before anybody has looked. Most commands end before.
pub(super) const FIRST: i64 = 1_000;
/// With fewer each commit would write twice.
const FEWEST: i64 = 250;
/// Bytes of a page, which nobody ever sets.
const PAGE: u64 = 4_096;
/// What part of the free room the log may take. Folding it may take as much again, and the database wants to grow after that too.
const PART: u64 = 8;

/// When it is looked for the first time, and how often then.
const SOON: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_secs(10);
/// How often folding is tried while nothing has room.
const RETRY: Duration = Duration::from_secs(1);
/// How long `df` may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Cutting the log off keeps writers out while it waits for readers, so it waits no longer than this.
const BRIEFLY: &str = "PRAGMA busy_timeout = 100";
/// What [`super::lite`] gives each connection.
const AS_BEFORE: &str = "PRAGMA busy_timeout = 0";

/// Whether what is written has room, as the last writes found it.
#[derive(Debug, Default)]
pub(super) struct Room {
    is_full: AtomicBool,
    /// When that was found last.
    found: Mutex<Option<Instant>>,
    /// Bytes that somebody has to free before the log can be folded; 0: nobody knows of any.
    wanted: AtomicU64,
    /// Wakes whoever folds. One that was sent while nobody listened is kept.
    noticed: Notify,
}

impl Room {
    /// Whether the last writes found no room.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Notes what became of a write; whether it found the disk full.
    fn note<T>(&self, written: &Result<T>) -> bool {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match written {
            Ok(_) if self.is_full() => {
                if found().is_none_or(|at| at.elapsed() > FULL) {
                    self.is_full.store(false, Ordering::Relaxed);
                    self.wanted.store(0, Ordering::Relaxed);
                    tracing::info!("the database takes again what is written");
                }
                false
            }
            Err(error) if error.is_no_room() => {
                *found() = Some(Instant::now());
                if !self.is_full.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the disk of the database is full or fails: nothing can be written");
                }
                self.noticed.notify_one();
                true
            }
            _ => false,
        }
    }
}

impl Error {
    /// Whether nothing more has room on the disk of the database, or it fails.
    fn is_no_room(&self) -> bool {
        match self {
            Error::Database(sqlx::Error::Database(error)) => error.code().as_deref() == Some("53100"),
            Error::Sqlite(error) => matches!(lite::kind(error), Some(10 | 13)),
            Error::RolledBack | Error::Unsynced => true,
            _ => false,
        }
    }
}

impl Core {
    /// Notes whether a write found room; where it found none, one is tried each second until it does.
    pub(super) fn note_room<T>(&self, written: &Result<T>) {
        if self.room.note(written) {
            self.lease.ask_for_renewal();
        }
    }
}

impl Store {
    /// Why nothing can be written, if the last writes found no room; somebody tries again each second.
    pub fn refuses_writes(&self) -> Option<String> {
        let room = &self.core.room;
        room.is_full().then(|| {
            let how_much = match room.wanted.load(Ordering::Relaxed) {
                0 => String::new(),
                bytes => format!(
                    ", {} MB at least for its log of writes to be folded, or stop and take the database with its `-wal` to a larger disk",
                    megabytes(bytes)
                ),
            };
            format!("the disk of {} is full, or fails: free some room{how_much}", self.place())
        })
    }
}

/// Whole ones, so that who frees as many has freed enough.
fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Looks after the room while the store lives.
pub(super) fn watch(core: &Arc<Core>) {
    if let Pools::Sqlite { path, .. } = &core.pools
        && core.boundary.is_none()
    {
        tokio::spawn(keep(Arc::downgrade(core), core.room.clone(), path.clone()));
    }
}

async fn keep(core: Weak<Core>, room: Arc<Room>, path: PathBuf) {
    let mut pause = SOON;
    loop {
        // While nothing has room each write says so.
        if room.is_full() {
            tokio::time::sleep(pause).await;
        } else {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = room.noticed.notified() => {}
            }
        }
        let is_full = room.is_full();
        // Asking takes a while, and the store may end meanwhile.
        let disk = if is_full { None } else { disk(&path).await };
        let Some(core) = core.upgrade() else { return };
        let done = if is_full { make(&core, &path).await } else { limit(&core, &path, disk).await };
        if let Err(error) = done {
            tracing::debug!(%error, "the log of writes was not looked after");
        }
        pause = if room.is_full() { RETRY } else { LOOK };
    }
}

/// Lets the log grow as far as the room allows, and cuts one off that is far longer.
async fn limit(core: &Arc<Core>, path: &Path, disk: Option<(u64, u64)>) -> Result<()> {
    let log = bytes_of(&log_of(path));
    let pages = disk.map_or(MOST, |(_, free)| pages(free + log));
    let before = core.pools.limit_log(pages).await?;
    if pages < MOST && before >= MOST {
        tracing::info!(pages, "the disk of the database has little room: its log of writes is kept short");
    }
    if pages < MOST && log / PAGE > 2 * pages.unsigned_abs() {
        fold(core).await?;
    }
    Ok(())
}

/// How many pages the log may have where it and what is free are so many bytes together.
fn pages(bytes: u64) -> i64 {
    let pages = i64::try_from(bytes / PART / PAGE).unwrap_or(MOST);
    (pages - pages % FEWEST).clamp(FEWEST, MOST)
}

/// Makes room where writes found none, or finds out how much somebody has to make.
async fn make(core: &Arc<Core>, path: &Path) -> Result<()> {
    let Err(error) = fold(core).await else {
        core.room.wanted.store(0, Ordering::Relaxed);
        return Ok(());
    };
    if error.is_no_room() {
        let wanted = missing(core, path).await?.max(1);
        if core.room.wanted.swap(wanted, Ordering::Relaxed) == 0 {
            tracing::error!(
                free_mb = megabytes(wanted),
                log_mb = megabytes(bytes_of(&log_of(path))),
                "the log of writes cannot be folded into the database, which would have to grow: free so much room at least, or stop and \
                 take the database with its `-wal` to a larger disk"
            );
        }
    }
    Err(error)
}

/// Folds the log into the database and cuts it off, as far as nobody reads what is in it; whether all of it is in the database.
async fn fold(core: &Arc<Core>) -> Result<bool> {
    let mut conn = core.read().await?;
    // Nobody waits for this one.
    let (log, done) = checkpoint(&mut conn, "PRAGMA wal_checkpoint(PASSIVE)").await?;
    if log > done {
        return Ok(false);
    }
    conn.fetch(BRIEFLY, Vec::new()).await?;
    let cut = checkpoint(&mut conn, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    conn.fetch(AS_BEFORE, Vec::new()).await?;
    cut.map(|_| true)
}

/// By how many bytes the file would have to grow.
async fn missing(core: &Arc<Core>, path: &Path) -> Result<u64> {
    let pages = core.read().await?.fetch_number("PRAGMA page_count", Vec::new()).await?;
    Ok((pages.unsigned_abs() * PAGE).saturating_sub(bytes_of(path)))
}

/// Whether an error was for want of room, and there is some now: one who was killed may have left a log that fills the disk.
pub(super) async fn is_made(core: &Arc<Core>, error: &Error) -> bool {
    error.is_no_room() && matches!(core.pools, Pools::Sqlite { .. }) && fold(core).await.unwrap_or(false)
}

/// The log of writes beside that file.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// How long a file is; one that is not there has nothing.
pub(super) fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Bytes of the file system of a file, and free ones, as `df` tells them; `None`: it is not there, or gives no answer.
pub(super) async fn disk(path: &Path) -> Option<(u64, u64)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let asked = tokio::process::Command::new("df").arg("-Pk").arg(folder).kill_on_drop(true).output();
    let told = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    let mut figures =
        text.lines().nth(1)?.split_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok());
    let (all, _, free) = (figures.next()?, figures.next()?, figures.next()?);
    Some((all << 10, free << 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_takes_a_part_of_the_room_and_never_more_than_it_has_use_for() {
        let of_mib = |mib: u64| pages(mib << 20);
        assert_eq!([0, 4, 48, 160, 600].map(of_mib), [250, 250, 1_500, 5_000, 19_000]);
        assert_eq!([625, 1 << 20, u64::MAX >> 20].map(of_mib), [MOST; 3]);
        for mib in [16, 48, 160, 600] {
            let log = of_mib(mib).unsigned_abs() * PAGE;
            assert!(log * PART <= mib << 20, "the log, and as much for folding it, have room in {mib} MiB");
        }
    }
}
