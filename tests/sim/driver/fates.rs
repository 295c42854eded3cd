//! What befalls workers and processes: death and return, clocks that jump, and a relay that answers as it likes.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fahrplan::channels::message::read_mailbox;
use fahrplan::channels::smtp::{Phase, Relay as Address, Reply, SendResult, SmtpConfig, SmtpSender};
use fahrplan::channels::{Channel, email::Email};
use fahrplan::clock;
use fahrplan::daemon::{Brakes, Composer, Others, Outlet, Rates, Shelf, Way};
use fahrplan::id::DeliveryId;
use fahrplan::link::LinkKey;
use fahrplan::store::{Error, deliveries};
use fahrplan::time::{MINUTE, SECOND};

use super::{Broken, Driver, Process};
use crate::gate::{Gate, Relay, Verdict};
use crate::place;
use crate::plan::Faults;
use crate::shop::REFUSED;
use crate::work::Job;

impl Driver<'_> {
    // -------------------------------------------------------------- processes

    pub(super) async fn process(&self, skew: i64) -> Process {
        let gate = Gate::new(self.arriving.clone());
        clock::stand_at(Some(self.machine.plus_ms(skew)));
        gate.open(true);
        let store = place::open(&self.url, gate.clone()).await;
        if self.plan.processes == 1 {
            // What a daemon does first.
            deliveries::release_former(&store).await.expect("released");
        }
        gate.open(false);
        let outlet = outlet(gate.clone());
        Process { store: Some(store), gate, outlet, skew }
    }

    /// The process is gone at once, with everything it had in memory.
    pub(super) fn kill(&mut self, process: usize) {
        self.processes[process].gate.die();
        for worker in 0..self.workers.len() {
            if self.workers[worker].process != process {
                continue;
            }
            if let Some(doing) = self.workers[worker].doing.take() {
                if let Job::Accept { items } = &doing.job {
                    self.client.failed(items);
                }
                drop(doing);
                self.ledger.lock().expect("whole").lose(worker);
                if self.writer == Some(worker) {
                    self.writer = None;
                }
            }
        }
        self.processes[process].store = None;
    }

    /// Starts what was killed, when nobody writes.
    pub(super) async fn revive(&mut self) {
        for number in 0..self.processes.len() {
            if self.processes[number].store.is_none() && self.writer.is_none() {
                self.trace.note(|| format!("process {number} starts again"));
                let skew = self.processes[number].skew;
                self.processes[number] = self.process(skew).await;
            }
        }
    }

    /// The clock of a process, or of the whole machine, is set.
    pub(super) fn jump(&mut self) {
        let process = self.random.below(self.processes.len());
        match self.random.below(3) {
            0 => {
                self.processes[process].skew =
                    self.random.between(-10, if self.plan.exact { 10 } else { 0 }) * SECOND
            }
            1 => {
                let seconds = self.random.pick(&[20, 90, 800]);
                self.pass(self.machine.plus_ms(seconds * SECOND));
            }
            _ if self.plan.exact => {
                self.machine = self.machine.plus_ms(-self.random.between(1, 300) * SECOND);
                self.ledger.lock().expect("whole").clocks_went_back();
            }
            _ => {}
        }
    }

    // -------------------------------------------------------------- the relay

    /// A withdrawal holds from its commit on; right after the claim, from the claim on.
    pub(super) async fn permitted(&mut self, worker: usize, message_id: &str) -> Result<(), Broken> {
        const DENIED: &str = "SELECT COUNT(*) FROM deliveries d \
            JOIN consent_states s ON s.bucket = d.bucket AND s.contact = d.contact \
            WHERE d.id = $1 AND d.transactional = 0 AND s.permit = 0";
        let id: DeliveryId = message_id.parse().map_err(|_| self.broken("no Message-ID of ours"))?;
        let looked = async {
            let mut conn = self.watcher.read().await?;
            let rows = conn.fetch(DENIED, vec![id.into()]).await?;
            rows[0].i64(0)
        };
        let denied = looked.await.map_err(|error| self.broken(format!("it cannot be looked at: {error}")))?;
        let claimed_at = self.doing(worker).claimed_at;
        match denied > 0 && self.machine.0 - claimed_at.0 >= SECOND {
            true => Err(self.broken(format!("{message_id} leaves after its contact has withdrawn"))),
            false => Ok(()),
        }
    }

    /// Nothing is done outside before the commit that says who does it.
    pub(super) async fn has_committed(&mut self, worker: usize) -> Result<(), Broken> {
        let looked = async {
            let mut conn = self.watcher.read().await?;
            let rows = conn.fetch("SELECT id, epoch FROM deliveries", Vec::new()).await?;
            rows.iter().map(|row| Ok((DeliveryId(row.i64(0)?), row.i64(1)?))).collect()
        };
        let there: Result<BTreeMap<_, _>, Error> = looked.await;
        let there = there.map_err(|error| self.broken(format!("it cannot be looked at: {error}")))?;
        let law = self.ledger.lock().expect("whole").are_committed(worker, &there);
        law.map_err(|why| self.broken(why))
    }

    /// What the relay does with a mail.
    pub(super) fn mail(
        &mut self,
        worker: usize,
        message_id: String,
        left: Duration,
        faults: Faults,
    ) -> Result<(), Broken> {
        let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
        let deferred = |reason: &str| {
            Verdict::Sent(SendResult::Deferred {
                phase: Phase::Mail,
                reason: reason.to_owned(),
                reply: None,
                slow_down: false,
            })
        };
        let unknown = || Verdict::Sent(SendResult::Unknown { reason: "no reply".to_owned() });
        if left_ms <= 0 {
            self.doing(worker).verdict = Some(deferred("no time is left"));
            return Ok(());
        }
        let is_odd = self.random.chance(faults.relay);
        let what = if is_odd { self.random.below(4) } else { 9 };
        if what == 0 {
            self.doing(worker).verdict = Some(deferred("450 later"));
            return Ok(());
        }
        if self.is_refused(&message_id) {
            let text = "550 no".to_owned();
            let refused = SendResult::Refused { code: 550, enhanced: None, text, bad_address: false };
            self.doing(worker).verdict = Some(Verdict::Sent(refused));
            return Ok(());
        }
        // Up to ten minutes for the reply to the final dot, as RFC 5321 has it.
        let takes = match what {
            1 | 2 => self.random.pick(&[30, 240, 590]) * SECOND,
            _ => 0,
        };
        let ends_at = self.machine.plus_ms(takes.min(left_ms));
        if faults.freeze > 0 && what == 3 {
            // He is held up after the last look at the clock.
            let until = self.machine.plus_ms(self.random.pick(&[1, 14, 30]) * MINUTE);
            self.ledger.lock().expect("whole").oversleep(worker, until);
            let doing = self.doing(worker);
            (doing.not_before, doing.frozen) = (until, Some(message_id));
            doing.verdict = Some(accepted());
            return Ok(());
        }
        let now = self.machine;
        let leaves = self.ledger.lock().expect("whole").leaves(worker, &message_id, now, ends_at, false);
        leaves.map_err(|why| self.broken(why))?;
        let lost = takes > left_ms || (what == 2 && self.random.chance(50));
        let doing = self.doing(worker);
        doing.not_before = ends_at;
        doing.verdict = Some(if lost { unknown() } else { accepted() });
        Ok(())
    }

    fn is_refused(&self, message_id: &str) -> bool {
        self.ledger.lock().expect("whole").template(message_id) == Some(REFUSED)
    }
}

fn accepted() -> Verdict {
    Verdict::Sent(SendResult::Accepted { reply: Reply::new(250, "2.0.0 ok") })
}

/// Where mails leave: written as always, taken over by us.
fn outlet(gate: Gate) -> Arc<Outlet> {
    static EMAIL: OnceLock<Email> = OnceLock::new();
    let email = EMAIL.get_or_init(|| {
        let config = SmtpConfig::new(Address::parse("smtp://127.0.0.1:25").expect("an address"));
        let config = SmtpConfig { hello: Some("sim.example.org".to_owned()), ..config };
        let sender = SmtpSender::new(config).expect("a sender");
        Email::new(sender, read_mailbox("Shop <news@example.org>").expect("an address"))
    });
    let composer = Composer {
        link_key: LinkKey::new([7; 32]),
        public_url: "https://shop.example".to_owned(),
        project: "sim".to_owned(),
    };
    let way = Way::Channel(Channel::StandIn(Box::new(email.clone()), Arc::new(Relay(gate))));
    Arc::new(Outlet {
        way,
        composer,
        shelf: Shelf::default(),
        parallel: 8,
        brakes: Brakes::default(),
        rates: Rates::default(),
        others: Others::default(),
    })
}
