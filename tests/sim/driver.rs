//! Runs a seed: one worker at a time, until his next stop.
//!
//! Whoever stands at a stop (see [`crate::gate`]) is told to go on, or that the database failed, or is killed with his whole process; or
//! time passes while he stands. Two who want to write at once are not both let in: SQLite has one writer, and on PostgreSQL a worker
//! that waits for another would stand where nobody sees him.
//!
//! - here: who does what next; `course`: how time moves on
//! - `workers`: what one does from stop to stop; `fates`: what befalls him

mod course;
mod fates;
mod workers;

use std::sync::{Arc, Mutex};

use fahrplan::clock;
use fahrplan::daemon::Outlet;
use fahrplan::id::DeliveryId;
use fahrplan::store::boundary::Point;
use fahrplan::store::deliveries::Decision;
use fahrplan::store::{Conn, Store};
use fahrplan::time::{MINUTE, SECOND, Timestamp};
use tokio::sync::mpsc;

use crate::client::Client;
use crate::gate::{Arrival, Gate, Stop, Verdict};
use crate::ledger::Ledger;
use crate::place::{self, Place};
use crate::plan::{Faults, Plan};
use crate::random::{Random, Trace};
use crate::work::{Job, Work};

/// A law was broken, or something never ended.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) step: usize,
    pub(crate) why: String,
}

/// A running daemon, or where one was.
struct Process {
    store: Option<Store>,
    gate: Gate,
    outlet: Arc<Outlet>,
    skew: i64,
}

/// Somebody who does one thing at a time in a process.
struct Worker {
    process: usize,
    doing: Option<Doing>,
}

struct Doing {
    work: Work,
    job: Job,
    stop: Option<Arrival>,
    not_before: Timestamp,
    /// When he knew what he had claimed.
    claimed_at: Timestamp,
    /// What he is told when he goes on; decided when he came, for mails.
    verdict: Option<Verdict>,
    /// His mail leaves only when he goes on, since he was held up right before.
    frozen: Option<String>,
}

pub(crate) struct Driver<'p> {
    pub(crate) plan: &'p Plan,
    random: Random,
    pub(crate) trace: Trace,
    url: String,
    pub(crate) machine: Timestamp,
    pub(crate) journey: Timestamp,
    processes: Vec<Process>,
    workers: Vec<Worker>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    arriving: mpsc::UnboundedSender<Arrival>,
    /// Who may be inside a transaction that writes.
    writer: Option<usize>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) client: Client,
    pub(crate) watcher: Store,
    pub(crate) step: usize,
    /// The latest that the machine's clock has shown.
    latest: Timestamp,
    /// No more faults.
    ends: bool,
}

/// What there is to do in the database.
#[derive(Debug, Default)]
struct Needs {
    /// Buckets with something due.
    buckets: Vec<i64>,
    queued: Option<Timestamp>,
    again: Option<Timestamp>,
    wakes: Option<Timestamp>,
    /// Nobody knows whether it has left, and somebody has to decide.
    unknown: Option<DeliveryId>,
}

impl<'p> Driver<'p> {
    pub(crate) async fn start(plan: &'p Plan, place: &mut Place, told: bool) -> Driver<'p> {
        let url = place.fresh(plan.theme, plan.buckets).await;
        clock::stand_at(Some(plan.machine));
        let watcher = place::watch(&url).await;
        let (arriving, arrivals) = mpsc::unbounded_channel();
        let mut driver = Driver {
            plan,
            random: Random::new(plan.seed ^ 0xfeed),
            trace: Trace::new(told),
            url,
            machine: plan.machine,
            journey: plan.start,
            processes: Vec::new(),
            workers: Vec::new(),
            arrivals,
            arriving,
            writer: None,
            ledger: Arc::default(),
            client: Client::new(plan),
            watcher,
            step: 0,
            latest: plan.machine,
            ends: false,
        };
        for _ in 0..plan.processes {
            let process = driver.process(0).await;
            driver.processes.push(process);
        }
        for worker in 0..plan.workers {
            driver.workers.push(Worker { process: worker % plan.processes, doing: None });
        }
        // The last one is the client.
        driver.workers.push(Worker { process: 0, doing: None });
        driver
    }

    pub(crate) async fn close(self) {
        let Driver { workers, processes, watcher, .. } = self;
        for process in &processes {
            process.gate.die();
        }
        drop(workers);
        for process in processes {
            if let Some(store) = process.store {
                store.close().await;
            }
        }
        watcher.close().await;
        clock::stand_at(None);
    }

    pub(crate) fn broken(&self, why: impl Into<String>) -> Broken {
        Broken { step: self.step, why: why.into() }
    }

    /// The same, with who stands where: whoever hangs may wait for one of them.
    pub(crate) fn stuck(&self, why: &str) -> Broken {
        let stands = |number: usize, worker: &Worker| {
            let Doing { job, stop, .. } = worker.doing.as_ref()?;
            let place =
                stop.as_ref().map_or("on his way".to_owned(), |arrival| format!("at {:?}", arrival.stop));
            Some(format!("{number} is {place} in {job:?}"))
        };
        let all: Vec<String> =
            self.workers.iter().enumerate().filter_map(|(number, worker)| stands(number, worker)).collect();
        self.broken(format!("{why}: {}", all.join("; ")))
    }

    fn pass(&mut self, to: Timestamp) {
        self.machine = self.machine.max(to);
        self.latest = self.latest.max(self.machine);
        if !self.plan.exact {
            self.journey = self.machine;
        }
    }

    // -------------------------------------------------------------- one step

    /// Lets somebody do something; false when there is nothing to do now.
    async fn tick(&mut self, wild: bool) -> Result<bool, Broken> {
        if wild && self.random.chance(self.faults().jump) {
            self.jump();
        }
        self.revive().await;
        let ready: Vec<usize> = (0..self.workers.len()).filter(|w| self.is_ready(*w)).collect();
        if !ready.is_empty() && (!wild || self.random.chance(60)) {
            let worker = self.random.pick(&ready);
            self.go_on(worker, wild).await?;
            return Ok(true);
        }
        if self.client.has_work(self.machine) && self.is_idle(self.plan.workers) {
            self.client_tick(wild).await?;
            return Ok(true);
        }
        let needs = self.look().await?;
        if let Some((worker, job)) = self.choose(&needs) {
            self.begin(worker, job, wild).await?;
            return Ok(true);
        }
        if !ready.is_empty() {
            let worker = self.random.pick(&ready);
            self.go_on(worker, wild).await?;
            return Ok(true);
        }
        if let Some(id) = needs.unknown.filter(|_| self.is_idle(self.plan.workers)) {
            self.decide(id, wild).await?;
            return Ok(true);
        }
        // Everybody stands or there is nothing to do: time passes until somebody may go on.
        let stands = self.workers.iter().filter_map(|worker| worker.doing.as_ref());
        let wakes: Vec<Timestamp> = stands.map(|doing| doing.not_before).collect();
        let is_done = needs.buckets.is_empty() && needs.queued.is_none_or(|at| at > self.journey);
        let waits = self.plan.exact || self.ends;
        let again = needs.again.filter(|at| waits || *at <= self.machine);
        // What was held at the send point is queued until then; in an exact run there is no such thing.
        let queued = needs.queued.filter(|_| self.ends && !self.plan.exact);
        let next = wakes.iter().copied().chain(again).chain(queued).filter(|at| *at > self.machine).min();
        let rests = is_done && again.is_none() && queued.is_none();
        if rests && !self.advances() && (self.plan.exact || wakes.is_empty()) {
            return Ok(false);
        }
        match next {
            Some(next) => self.pass(next),
            None if wakes.is_empty() && again.is_none() => self.pass(self.machine.plus_ms(SECOND)),
            None => self.pass(self.machine.plus_ms(MINUTE)),
        }
        Ok(true)
    }

    /// An operator looks where nobody knows whether a mail has left: if the relay has it, it counts as sent, else it is sent again.
    async fn decide(&mut self, id: DeliveryId, wild: bool) -> Result<(), Broken> {
        let (operator, alive) = (self.plan.workers, self.alive());
        if alive.is_empty() {
            return Ok(());
        }
        let decision = match self.ledger.lock().expect("whole").decided(id) {
            true => Decision::Settle,
            false => Decision::Resend,
        };
        self.workers[operator].process = self.random.pick(&alive);
        self.begin(operator, Job::Decide { id, decision }, wild).await
    }

    /// The client alone does something.
    async fn client_tick(&mut self, wild: bool) -> Result<(), Broken> {
        self.revive().await;
        let client = self.plan.workers;
        match &self.workers[client].doing {
            Some(doing) if doing.not_before > self.machine => self.pass(doing.not_before),
            Some(_) if !self.is_ready(client) => {
                // Somebody else writes: he goes on first.
                let writer = self.writer.take().expect("somebody writes");
                self.trace.note(|| format!("the client waits for {writer}"));
                if let Some(until) = self.workers[writer].doing.as_ref().map(|doing| doing.not_before) {
                    self.writer = Some(writer);
                    self.pass(until);
                    self.go_on(writer, false).await?;
                }
            }
            Some(_) => self.go_on(client, wild).await?,
            None => {
                let alive: Vec<usize> = self.alive();
                let Some(items) = self.client.take(&mut self.random, self.machine) else { return Ok(()) };
                self.workers[client].process = self.random.pick(&alive);
                let job = Job::Accept { items };
                self.begin(client, job, wild).await?;
            }
        }
        Ok(())
    }

    fn alive(&self) -> Vec<usize> {
        (0..self.processes.len()).filter(|p| self.processes[*p].store.is_some()).collect()
    }

    fn faults(&self) -> Faults {
        self.plan.faults
    }

    fn is_idle(&self, worker: usize) -> bool {
        let Worker { process, doing } = &self.workers[worker];
        doing.is_none() && (worker == self.plan.workers || self.processes[*process].store.is_some())
    }

    /// He stands, his time has come, and nobody is in his way.
    fn is_ready(&self, worker: usize) -> bool {
        let Some(doing) = &self.workers[worker].doing else { return false };
        let waits = matches!(&doing.stop, Some(Arrival { stop: Stop::Store(Point::Begin), .. }))
            && self.writer.is_some_and(|writer| writer != worker);
        !waits && doing.not_before <= self.machine
    }

    /// Somebody is on his way through the corridor.
    fn advances(&self) -> bool {
        let doing = self.workers.iter().filter_map(|worker| worker.doing.as_ref());
        doing
            .into_iter()
            .any(|doing| matches!(doing.job, Job::Advance { .. } | Job::Accept { .. } | Job::Decide { .. }))
    }

    /// What an idle worker does next, if there is something.
    fn choose(&mut self, needs: &Needs) -> Option<(usize, Job)> {
        let idle: Vec<usize> = (0..self.plan.workers).filter(|w| self.is_idle(*w)).collect();
        if idle.is_empty() {
            return None;
        }
        let worker = self.random.pick(&idle);
        let owed = needs.queued.is_some_and(|at| at <= self.journey)
            || needs.again.is_some_and(|at| at <= self.machine);
        let process = self.workers[worker].process;
        let colleagues = self.workers.iter().filter(|other| other.process == process);
        let advancing = colleagues
            .filter(|other| other.doing.as_ref().is_some_and(|d| matches!(d.job, Job::Advance { .. })))
            .count();
        if owed && (needs.buckets.is_empty() || self.random.chance(50)) {
            return Some((worker, Job::Deliver { limit: self.random.pick(&[1, 2, 8]) }));
        }
        // A process keeps three connections for reading; two may stand with one in their hands.
        if needs.buckets.is_empty() || advancing >= 2 {
            return None;
        }
        let limit = self.random.pick(&[1, 2, 50, 50]);
        Some((worker, Job::Advance { bucket: self.random.pick(&needs.buckets), limit }))
    }

    async fn look(&mut self) -> Result<Needs, Broken> {
        const LOOK: &str = "SELECT CAST(0 AS BIGINT), bucket FROM inbox UNION SELECT 1, bucket FROM timers WHERE wake_at <= $1 \
            UNION SELECT 2, MIN(due_at) FROM deliveries WHERE state = 'queued' \
            UNION SELECT 3, MIN(again_at) FROM deliveries WHERE again_at IS NOT NULL \
            UNION SELECT 4, MIN(wake_at) FROM timers \
            UNION SELECT 5, MIN(id) FROM deliveries WHERE state = 'unknown' ORDER BY 1, 2";
        let looked = async {
            let mut conn: Conn = self.watcher.read().await?;
            conn.fetch(LOOK, vec![self.journey.into()]).await
        };
        let rows = looked.await.map_err(|error| self.broken(format!("it cannot be looked at: {error}")))?;
        let mut needs = Needs::default();
        for row in rows {
            let (kind, value) = (row.i64(0).expect("a kind"), row.opt_i64(1).expect("a value"));
            match (kind, value) {
                (0 | 1, Some(bucket)) => needs.buckets.push(bucket),
                (2, value) => needs.queued = value.map(Timestamp),
                (3, value) => needs.again = value.map(Timestamp),
                (5, value) => needs.unknown = value.map(DeliveryId),
                (_, value) => needs.wakes = value.map(Timestamp).filter(|at| *at != Timestamp::NEVER),
            }
        }
        needs.buckets.sort_unstable();
        needs.buckets.dedup();
        Ok(needs)
    }
}
