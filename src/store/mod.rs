//! The store: one project in one database, SQLite or PostgreSQL, written once for both.
//!
//! [`Store::open`] brings the schema up to date and leases a worker number for making ids. Functions stand in the file of the noun
//! they change, one for each query, and take a [`Conn`]: from [`Store::read`] to look, from [`Store::write`] for a transaction.
//! Everything that belongs to a contact carries its bucket, which leads every key, so a hot statement names exactly one.
//!
//! - `sql`, `dialect`: values in, rows out; all in which the two databases differ; `lite`, `postgres`: their drivers
//! - `error`: what goes wrong, and whether it passes by
//! - `reach`, `migrate`, `room`: whether the database is there; its schema, brought up to date at opening; whether its disk has room
//! - `checkup`: whether all of it is as it should be
//! - `copy`, `home`: a copy while it is in use; whether this is one
//! - `names`, `fields`: names as small integers, values as text
//! - `inbox`, `seen`, `identities`, `contacts`: what comes in, and whether it came before, and for whom
//! - `journeys`, `jobs`: what is deployed, and work over all contacts; `audience`: firings that would reach too many; `members`, `exports`: audiences of networks
//! - `folders`: who works on a batch of letters, or of changes of an audience, that becomes a folder
//! - `events`, `permissions`, `consents`, `enrollments`, `timers`, `memberships`: what is known of contacts, loaded and written by the batch
//! - `corridor`, `batch`: the one transaction that advances contacts; `merge`, `outbox`: what else it does
//! - `history`, `counts`: what was decided, and how often; `reconcile`: whether that adds up
//! - `held`, `why`: all that is kept on one contact, read at once; why they got something or did not
//! - `workers`: numbers of processes, for their ids; `skew`: whose clock differs from the database's
//! - `listen`, `tidy`: words of other processes, and what the databases want done now and then
//! - `boundary`: fault points, for simulations
//! - `deliveries`, `tasks`: the outbox; `pools`: codes, each for one contact; `brakes`, `rates`: what is paused, and how fast it may go; `keys`: who may come in; `rejected`: what could not be read; `receipts`,
//!   `mail`, `replies`, `gateway_ids`: what comes back of messages, by texts, by mail, and from people whom nobody knows

pub mod audience;
pub mod backlog;
mod batch;
pub mod boundary;
pub mod brakes;
mod budgets;
pub mod checkup;
pub mod consents;
pub mod contacts;
pub mod copy;
mod corridor;
pub mod counts;
pub mod deliveries;
mod dialect;
pub mod enrollments;
mod error;
pub mod events;
pub mod exports;
mod fields;
pub mod folders;
pub mod gateway_ids;
pub mod held;
pub mod history;
mod hold;
pub mod home;
pub mod identities;
pub mod import;
pub mod inbox;
pub mod jobs;
pub mod journeys;
pub mod keys;
pub mod letters;
pub mod listen;
mod lite;
pub mod mail;
pub mod members;
pub mod memberships;
mod merge;
pub mod migrate;
pub mod names;
mod outbox;
pub mod permissions;
pub mod pools;
mod postgres;
pub mod rates;
mod reach;
pub mod receipts;
pub mod reconcile;
pub mod rehearsal;
pub mod rejected;
pub mod replies;
mod room;
pub mod schedules;
pub mod seen;
pub mod settings;
pub mod skew;
mod sql;
pub mod status;
mod stream;
pub mod suppressions;
pub mod surveys;
pub mod tasks;
pub mod templates;
pub mod tidy;
pub mod timers;
pub mod why;
pub mod workers;

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

pub use self::corridor::{Advanced, advance_bucket};
pub use self::dialect::Dialect;
pub use self::error::{Error, Result};
pub use self::settings::Settings;
pub use self::sql::{Arg, Conn, Row, Rows};
use crate::clock::machine_now;
use crate::id::{ContactId, Ids};

use self::dialect::{Pools, Texts};

/// A handle on the database; cheap to clone. The connections close when the last clone is gone.
#[derive(Clone)]
pub struct Store {
    core: Arc<Core>,
    acceptor: Arc<inbox::Acceptor>,
}

/// What all clones of a store, its connections and its background tasks share.
pub(crate) struct Core {
    pools: Pools,
    /// With the password, so it is told to nobody; `place` is what people read.
    url: String,
    place: String,
    boundary: Option<Arc<dyn boundary::Boundary>>,
    texts: Arc<Texts>,
    names: names::Names,
    loaded: journeys::Loaded,
    commits: hold::Commits,
    /// Message ids, on SQLite.
    seen: tokio::sync::Mutex<seen::Runs>,
    /// Set once, when the schema is up to date.
    settings: OnceLock<Settings>,
    /// Makes all ids of this process; held for the blink that takes.
    ids: Mutex<Ids>,
    /// Keys that this process has revoked.
    keys_revoked: AtomicU64,
    lease: Arc<workers::Lease>,
    room: Arc<room::Room>,
    /// Counts up when a bucket may have something to do: the advancing loop watches it.
    due: watch::Sender<u64>,
    /// Which buckets, since the advancing loop asked last.
    due_buckets: Mutex<BTreeSet<i64>>,
    /// Counts up when a delivery was queued or fell free: the delivering loop watches it.
    owed: watch::Sender<u64>,
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is wanted of it.
    pub access: Access,
    /// How much SQLite syncs.
    pub synchronous: Synchronous,
    /// Buckets of a database that is created here; `None`: 1 on SQLite, 16 on PostgreSQL. Fixed for life.
    pub buckets: Option<u16>,
    /// The most connections to PostgreSQL.
    pub connections: u32,
    /// How long to wait for a free connection.
    pub patience: Duration,
    /// Who is asked before and after each commit; nobody, but in a simulation.
    pub boundary: Option<Arc<dyn boundary::Boundary>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            access: Access::Create,
            synchronous: Synchronous::Full,
            buckets: None,
            connections: 10,
            patience: Duration::from_secs(30),
            boundary: None,
        }
    }
}

/// What is wanted of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// To look: nothing is created, brought up to date or written.
    Look,
    /// To change what is there; a database that is not there is not made.
    Existing,
    /// To have one, new if need be.
    #[default]
    Create,
}

/// How much SQLite syncs: at every commit, or only when the log is folded into the database (a power cut may then lose the
/// last commits, a crash of the process none).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    #[default]
    Full,
    Normal,
}

impl Store {
    /// Opens the database of that URL, `sqlite:PATH` or `postgres://…`, and brings its schema up to date; a new one is made.
    pub async fn open(url: &str) -> Result<Store> {
        Store::open_with(url, Options::default()).await
    }

    /// See [`Store::open`].
    pub async fn open_with(url: &str, options: Options) -> Result<Store> {
        let place = reach::place(url)?;
        Store::open_at(url, place.clone(), options).await.map_err(|error| error.at(&place))
    }

    async fn open_at(url: &str, place: String, options: Options) -> Result<Store> {
        let store = Store::connect(url, place, &options).await?;
        migrate::run(&store, options.access).await?;
        let settings = settings::load(&store, &options).await?;
        store.core.settings.set(settings).expect("nobody else has the store yet");
        if options.access != Access::Look {
            match workers::lease(&store.core).await {
                Err(error) if room::is_made(&store.core, &error).await => workers::lease(&store.core).await?,
                leased => leased?,
            }
            room::watch(&store.core);
        }
        Ok(store)
    }

    /// Connects, whatever schema there is.
    async fn connect(url: &str, place: String, options: &Options) -> Result<Store> {
        reach::reach(url, options.access).await?;
        let pools = Pools::open(url, options).await?;
        let texts = Arc::new(Texts::new(pools.dialect()));
        let core = Arc::new(Core {
            pools,
            url: url.to_owned(),
            place,
            boundary: options.boundary.clone(),
            texts,
            names: names::Names::default(),
            loaded: journeys::Loaded::default(),
            commits: hold::Commits::default(),
            seen: tokio::sync::Mutex::default(),
            settings: OnceLock::new(),
            ids: Mutex::new(Ids::new(0)),
            keys_revoked: AtomicU64::new(0),
            lease: Arc::default(),
            room: Arc::default(),
            due: watch::Sender::new(0),
            due_buckets: Mutex::default(),
            owed: watch::Sender::new(0),
        });
        let acceptor = Arc::new(inbox::Acceptor::start(&core));
        Ok(Store { core, acceptor })
    }

    /// A connection for reading; what it sees may be a moment old.
    pub async fn read(&self) -> Result<Conn> {
        self.core.read().await
    }

    /// A transaction; without [`Conn::commit`] it never happened.
    pub async fn write(&self) -> Result<Conn> {
        self.core.write().await
    }

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        self.core.pools.dialect()
    }

    /// What was fixed when the database was created.
    pub fn settings(&self) -> &Settings {
        self.core.settings()
    }

    /// All buckets.
    pub fn buckets(&self) -> impl Iterator<Item = i64> + use<> {
        0..self.settings().buckets
    }

    /// Changes when a bucket may have something to do. Only a hint: look every few seconds as well.
    pub fn due(&self) -> watch::Receiver<u64> {
        self.core.due.subscribe()
    }

    /// The buckets that may have something to do, since this was asked last.
    pub fn take_due(&self) -> BTreeSet<i64> {
        std::mem::take(&mut *self.core.due_buckets.lock().expect("nothing panics while holding it"))
    }

    /// Changes when a delivery was queued or fell free. Only a hint, as [`Store::due`].
    pub fn owed(&self) -> watch::Receiver<u64> {
        self.core.owed.subscribe()
    }

    /// Wakes the loops of this process, after a commit that gave them something to do.
    pub fn wake(&self) {
        self.core.wake_due();
    }

    /// A new id.
    pub fn new_id(&self) -> i64 {
        self.core.new_id()
    }

    /// Whether this process made that id after another one of its own.
    pub fn made_since(&self, mark: i64, id: i64) -> bool {
        id > mark && crate::id::worker_of(id) == self.worker()
    }

    /// The number of this process among the workers of the database.
    pub fn worker(&self) -> i64 {
        self.core.worker()
    }

    /// Makes this process the one daemon of a SQLite database for as long as the result lives, also after a crash of a former one.
    /// PostgreSQL takes any number.
    pub fn claim_daemon(&self) -> Result<Option<DaemonLock>> {
        let Pools::Sqlite { path, .. } = &self.core.pools else { return Ok(None) };
        // By whatever name it was opened, it is one database.
        let path = path.canonicalize().map_err(Error::File)?;
        if path.metadata().map_err(Error::File)?.nlink() > 1 {
            return Err(Error::Linked(path.display().to_string()));
        }
        let mut name = path.clone().into_os_string();
        name.push("-daemon");
        let file = File::create(&name).map_err(Error::File)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(DaemonLock { _file: file })),
            Err(std::fs::TryLockError::WouldBlock) => Err(Error::SecondDaemon(path.display().to_string())),
            Err(std::fs::TryLockError::Error(error)) => Err(Error::File(error)),
        }
    }

    /// The texts of all statements that were run so far, for looking at their plans.
    pub fn statements(&self) -> Vec<Arc<str>> {
        self.core.texts.all()
    }

    /// Those of them that inserted rows of several buckets; only known in builds with assertions.
    pub fn scattered(&self) -> Vec<&'static str> {
        self.core.texts.scattered()
    }

    /// A transaction that makes no ids, and may be written whatever the clock shows: for pauses, which must never fail for it.
    pub async fn write_at_any_time(&self) -> Result<Conn> {
        self.core.write_unleased().await
    }

    /// Closes all connections, and gives the worker number back. Dropping the last clone closes them too, but later.
    pub async fn close(self) {
        workers::give_back(&self.core).await;
        self.core.pools.close().await;
    }
}

/// Held by the one daemon of a SQLite database. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct DaemonLock {
    _file: File,
}

impl Core {
    pub(crate) fn settings(&self) -> &Settings {
        self.settings.get().expect("settings are loaded before the store is handed out")
    }

    pub(crate) fn new_id(&self) -> i64 {
        self.ids.lock().expect("nothing panics while holding it").next(machine_now())
    }

    pub(crate) fn worker(&self) -> i64 {
        self.ids.lock().expect("nothing panics while holding it").worker()
    }

    async fn read(self: &Arc<Core>) -> Result<Conn> {
        Ok(Conn::new(self.pools.read().await?, self))
    }

    async fn write(self: &Arc<Core>) -> Result<Conn> {
        self.pass(boundary::Point::Begin).await?;
        // A simulation has a clock of its own, which the lease does not know.
        let begun = self.boundary.is_none().then(|| self.lease.begin());
        Ok(Conn::new(self.pools.write().await?, self).leased(begun))
    }

    /// A transaction that makes no ids, and so needs no lease.
    async fn write_unleased(self: &Arc<Core>) -> Result<Conn> {
        Ok(Conn::new(self.pools.write().await?, self))
    }

    /// The bucket of a contact, for life.
    pub(crate) fn bucket_of(&self, contact: ContactId) -> i64 {
        bucket_of(contact, self.settings().buckets)
    }

    /// All buckets may have something to do.
    pub(crate) fn wake_due(&self) {
        self.wake_buckets(0..self.settings().buckets);
    }

    /// These buckets may have something to do.
    pub(crate) fn wake_buckets(&self, buckets: impl IntoIterator<Item = i64>) {
        self.due_buckets.lock().expect("nothing panics while holding it").extend(buckets);
        self.due.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn wake_owed(&self) {
        self.owed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// The bucket of a contact among so many. Ids grow with time, so their bits are mixed first.
pub fn bucket_of(contact: ContactId, buckets: i64) -> i64 {
    let mut bits = contact.0.cast_unsigned();
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (bits % buckets.cast_unsigned()).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_contacts_spread_over_the_buckets() {
        let mut counts = [0; 16];
        for id in 0..16_000 {
            let bucket = bucket_of(ContactId(id << 22), 16);
            counts[usize::try_from(bucket).expect("a bucket is not negative")] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}
