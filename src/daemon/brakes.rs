//! What this process knows of the pauses: believed for half a second, and looked at right before each send.
//!
//! Two switches. The pauses in the database hold for every worker; where they cannot be read, nothing begins. A file on this machine
//! holds for its workers, also when the database is away.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::clock::machine_now;
use crate::engine::world::Delivery;
use crate::store::brakes::{self, Brake};
use crate::store::deliveries::{Closed, Kept};
use crate::store::{Error, Result, Store};
use crate::time::Timestamp;

/// For how many milliseconds a look at the pauses is good, counted from its beginning.
const GOOD_MS: i64 = 500;
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// What stands at a moment.
#[derive(Debug, Default)]
pub(super) struct Standing {
    brakes: Vec<Brake>,
    /// What is not to be claimed; nothing is, where everything is paused.
    pub(super) closed: Closed,
    /// Nothing may leave.
    pub(super) all: bool,
}

impl Standing {
    /// Whether that delivery has to stay.
    pub(super) fn stops(&self, delivery: &Delivery) -> bool {
        self.all || self.brakes.iter().any(|brake| brake.stops(delivery))
    }

    /// Whether anything is paused.
    pub(super) fn any(&self) -> bool {
        self.all || !self.brakes.is_empty()
    }
}

/// The two switches, as one process sees them.
#[derive(Default)]
pub struct Brakes {
    /// Nothing leaves this machine while there is a file of that name.
    file: Option<PathBuf>,
    known: Mutex<Option<Known>>,
}

/// What stood, and when it was asked.
type Known = (Timestamp, Arc<Standing>);

impl Brakes {
    /// Brakes of which the one is that file.
    pub fn new(file: PathBuf) -> Brakes {
        Brakes { file: Some(file), known: Mutex::default() }
    }

    /// What stands now, or did at most half a second ago.
    pub(super) async fn now(&self, store: &Store) -> Result<Arc<Standing>> {
        let mut known = self.known.lock().await;
        // A look at a directory entry takes a microsecond: so it is made each time.
        let cut = self.file.as_ref().is_some_and(|file| file.symlink_metadata().is_ok());
        if cut {
            let standing = Arc::new(Standing { all: true, ..Standing::default() });
            self.tell(&mut known, (machine_now(), standing.clone()));
            return Ok(standing);
        }
        if let Some((asked, standing)) = &*known
            && (0..GOOD_MS).contains(&(machine_now().0 - asked.0))
            && (!standing.all || standing.brakes.contains(&Brake::All))
        {
            return Ok(standing.clone());
        }
        let asked = machine_now();
        let read = timeout(PATIENCE, read(store)).await.map_err(|_| Error::Silent(PATIENCE))??;
        let standing = Arc::new(read);
        self.tell(&mut known, (asked, standing.clone()));
        Ok(standing)
    }

    /// Remembers it, and says so where it is news.
    fn tell(&self, known: &mut Option<Known>, new: Known) {
        let before = known.as_ref().map(|(_, standing)| standing);
        let is_news = match before {
            Some(before) => before.all != new.1.all || before.brakes != new.1.brakes,
            None => new.1.any(),
        };
        if is_news {
            let paused: Vec<String> = new.1.brakes.iter().map(ToString::to_string).collect();
            let file = self.file.as_ref().filter(|_| new.1.all && !new.1.brakes.contains(&Brake::All));
            match (file, paused.is_empty()) {
                (Some(file), _) => tracing::warn!(file = %file.display(), "sending is stopped by a file"),
                (None, true) => tracing::info!("nothing is paused any more"),
                (None, false) => tracing::warn!(paused = paused.join(", "), "sending is paused"),
            }
        }
        metrics::gauge!("fahrplan_paused").set(if new.1.any() { 1.0 } else { 0.0 });
        *known = Some(new);
    }
}

async fn read(store: &Store) -> Result<Standing> {
    let mut conn = store.read().await?;
    let paused = brakes::standing(&mut conn).await?;
    let mut standing = Standing::default();
    for brake in paused.into_iter().map(|paused| paused.brake) {
        let kept = match &brake {
            Brake::All => None,
            Brake::Channel(channel) => Some(Kept { channel: Some(channel), ..Kept::default() }),
            Brake::Journey(journey) => Some(Kept { journey: Some(journey), ..Kept::default() }),
            Brake::Step { journey, step } => {
                Some(Kept { journey: Some(journey), step: Some(step), ..Kept::default() })
            }
        };
        match kept {
            Some(kept) => standing.closed.close(&mut conn, kept).await?,
            None => standing.all = true,
        }
        standing.brakes.push(brake);
    }
    Ok(standing)
}
