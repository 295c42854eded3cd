//! What a worker does from one stop to the next.

use std::pin::Pin;
use std::time::Duration;

use fahrplan::clock::{self, JourneyClock};
use fahrplan::store::Advanced;
use fahrplan::store::boundary::Point;
use fahrplan::time::{MINUTE, SECOND};

use super::{Broken, Doing, Driver};
use crate::gate::{Arrival, Stop, Verdict};
use crate::plan::Faults;
use crate::work::{Done, Job, Tools};

/// How long a worker may take to his next stop, on the real clock; shorter than [`crate::place::PATIENCE`].
const HUNG: Duration = Duration::from_secs(30);

impl Driver<'_> {
    pub(super) async fn begin(&mut self, worker: usize, job: Job, wild: bool) -> Result<(), Broken> {
        let process = &self.processes[self.workers[worker].process];
        let clock = match self.plan.exact {
            true => JourneyClock::Scaled { journey: self.journey, machine: self.machine, speed: 0 },
            false => JourneyClock::Machine,
        };
        let tools = Tools {
            store: process.store.clone().expect("only who lives begins"),
            gate: process.gate.clone(),
            outlet: process.outlet.clone(),
            ledger: self.ledger.clone(),
            clock,
            worker,
        };
        self.trace.note(|| format!("{worker} begins {job:?}"));
        let work = tools.work(job.clone(), self.plan);
        let doing = Doing {
            work,
            job,
            stop: None,
            not_before: self.machine,
            claimed_at: self.machine,
            verdict: None,
            frozen: None,
        };
        self.workers[worker].doing = Some(doing);
        self.run_to_stop(worker, wild).await
    }

    /// Tells somebody who stands to go on, and what; faults are decided here.
    pub(super) async fn go_on(&mut self, worker: usize, wild: bool) -> Result<(), Broken> {
        let faults = if wild { self.faults() } else { Faults::default() };
        let Some(doing) = &mut self.workers[worker].doing else { return Ok(()) };
        let Some(Arrival { stop, tell }) = doing.stop.take() else {
            return Err(self.broken("nobody stands there"));
        };
        self.ledger.lock().expect("whole").oversleep(worker, self.machine);
        if self.random.chance(faults.kill) {
            self.trace.note(|| format!("{worker} dies at {stop:?}"));
            drop(tell);
            self.kill(self.workers[worker].process);
            return Ok(());
        }
        let doing = self.workers[worker].doing.as_mut().expect("he stands");
        let mut verdict = doing.verdict.take().unwrap_or(Verdict::Go);
        if let Some(message_id) = doing.frozen.take() {
            let left = self.ledger.lock().expect("whole").leaves(
                worker,
                &message_id,
                self.machine,
                self.machine,
                true,
            );
            left.map_err(|why| self.broken(why))?;
        }
        if matches!(stop, Stop::Store(_)) && self.random.chance(faults.fail) {
            verdict = Verdict::Fail;
        }
        self.trace.note(|| format!("{worker} goes on from {stop:?}: {verdict:?}"));
        if stop == Stop::Store(Point::Begin) && matches!(verdict, Verdict::Go) {
            self.writer = Some(worker);
        }
        let _ = tell.send(verdict);
        self.run_to_stop(worker, wild).await
    }

    /// Runs one worker until he stands again or is done.
    async fn run_to_stop(&mut self, worker: usize, wild: bool) -> Result<(), Broken> {
        loop {
            self.step += 1;
            let skew = self.processes[self.workers[worker].process].skew;
            clock::stand_at(Some(self.machine.plus_ms(skew)));
            let doing = self.workers[worker].doing.as_mut().expect("he does something");
            let work: Pin<&mut _> = doing.work.as_mut();
            let arrival = tokio::select! {
                biased;
                done = work => return self.done(worker, done),
                arrival = self.arrivals.recv() => arrival.expect("we hold a sender"),
                () = tokio::time::sleep(HUNG) => return Err(self.stuck(&format!("worker {worker} hangs"))),
            };
            self.arrived(worker, arrival, wild).await?;
            let calm = !wild || !self.random.chance(self.faults().interleave);
            let doing = self.workers[worker].doing.as_mut().expect("he stands");
            if !calm || doing.not_before > self.machine || !self.is_ready(worker) {
                return Ok(());
            }
            // He goes on at once, unless something befalls him; that is for the next step to say.
            if wild {
                let faults = self.faults();
                if self.random.chance(faults.kill + faults.fail) {
                    return Ok(());
                }
            }
            let doing = self.workers[worker].doing.as_mut().expect("he stands");
            let Some(Arrival { stop, tell }) = doing.stop.take() else { return Ok(()) };
            if stop == Stop::Store(Point::Begin) {
                self.writer = Some(worker);
            }
            let doing = self.workers[worker].doing.as_mut().expect("he stands");
            let _ = tell.send(doing.verdict.take().unwrap_or(Verdict::Go));
        }
    }

    async fn arrived(&mut self, worker: usize, arrival: Arrival, wild: bool) -> Result<(), Broken> {
        self.trace.note(|| format!("{worker} stands at {:?}", arrival.stop));
        if arrival.stop != Stop::Store(Point::Begin)
            && arrival.stop != Stop::Store(Point::Commit)
            && arrival.stop != Stop::Store(Point::Write)
            && self.writer == Some(worker)
        {
            self.writer = None;
        }
        if arrival.stop == Stop::Store(Point::Committed) {
            self.ledger.lock().expect("whole").committed(worker);
        }
        let faults = if wild { self.faults() } else { Faults::default() };
        if arrival.stop == Stop::Gap("claimed") {
            self.has_committed(worker).await?;
            self.doing(worker).claimed_at = self.machine;
        }
        if let Stop::Send { message_id, left } = &arrival.stop {
            let (message_id, left) = (message_id.clone(), *left);
            self.permitted(worker, &message_id).await?;
            self.mail(worker, message_id, left, faults)?;
        } else if self.random.chance(faults.freeze) {
            let asleep = self.random.pick(&[1, 5, 13, 25]) * MINUTE;
            self.trace.note(|| format!("{worker} freezes for {asleep} ms"));
            self.doing(worker).not_before = self.machine.plus_ms(asleep);
        }
        self.doing(worker).stop = Some(arrival);
        Ok(())
    }

    pub(super) fn doing(&mut self, worker: usize) -> &mut Doing {
        self.workers[worker].doing.as_mut().expect("he does something")
    }

    fn done(&mut self, worker: usize, done: Done) -> Result<(), Broken> {
        self.trace.note(|| format!("{worker} is done: {}", done.told()));
        if self.writer == Some(worker) {
            self.writer = None;
        }
        self.workers[worker].doing = None;
        match done {
            Done::Broken(why) => Err(self.broken(why)),
            Done::Accepted { items, answer } => {
                let now = self.machine;
                self.client.answered(&items, answer, now, &mut self.random).map_err(|why| self.broken(why))
            }
            // His clock is behind: it is not due yet, as he sees it.
            Done::Advanced(Advanced { taken: 0, .. }) | Done::Delivered(0) => {
                self.pass(self.machine.plus_ms(SECOND));
                Ok(())
            }
            Done::Advanced(_) | Done::Delivered(_) | Done::Decided | Done::Failed => Ok(()),
        }
    }
}
