//! What the relay saw and what was recorded, attempt by attempt: who may send a mail, and when again.

use std::collections::{BTreeMap, BTreeSet};

use fahrplan::engine::program::Word;
use fahrplan::id::DeliveryId;
use fahrplan::store::deliveries::{Claimed, Finished, Recorded, SendResult};
use fahrplan::time::{MINUTE, Timestamp};

/// Clocks of processes may differ by so much, to and fro.
const SKEW: i64 = MINUTE;

/// One claim of a delivery and what came of it.
#[derive(Debug)]
struct Attempt {
    epoch: i64,
    worker: usize,
    leased_until: Timestamp,
    maybe_duplicate: bool,
    /// The mail left the house.
    left: bool,
    /// When its sender knows what became of it, if he is not held up.
    ends_at: Timestamp,
    /// His process died, or the claim was never told him.
    lost: bool,
    /// He slept while his lease ended.
    overslept: bool,
    result: Option<SendResult>,
    recorded: bool,
}

/// All attempts.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    attempts: BTreeMap<DeliveryId, Vec<Attempt>>,
    templates: BTreeMap<DeliveryId, Word>,
    /// What may be sent more than once: transactional mails, and what an operator has decided about.
    repeatable: BTreeSet<DeliveryId>,
    /// What each worker is about to tell, and how much of it is to be believed.
    recording: BTreeMap<usize, (Vec<(DeliveryId, i64, SendResult)>, usize)>,
    /// Mails that left, and those that left again.
    pub(crate) sent: usize,
    pub(crate) repeated: usize,
    pub(crate) stale: usize,
}

type Law = Result<(), String>;

impl Ledger {
    /// A worker was told that a delivery is his; perhaps long after it was.
    pub(crate) fn claimed(&mut self, worker: usize, claimed: &Claimed, now: Timestamp) -> Law {
        let id = claimed.delivery.id;
        self.templates.insert(id, claimed.delivery.template.clone());
        if claimed.delivery.transactional {
            self.repeatable.insert(id);
        }
        let attempts = self.attempts.entry(id).or_default();
        if attempts.iter().any(|attempt| attempt.epoch == claimed.epoch) {
            return Err(format!("{id}: claimed with epoch {} twice", claimed.epoch));
        }
        attempts.push(Attempt {
            epoch: claimed.epoch,
            worker,
            leased_until: claimed.leased_until,
            maybe_duplicate: claimed.maybe_duplicate,
            left: false,
            ends_at: Timestamp::NEVER,
            lost: false,
            overslept: now.plus_ms(SKEW) > claimed.leased_until,
            result: None,
            recorded: false,
        });
        attempts.sort_by_key(|attempt| attempt.epoch);
        Ok(())
    }

    /// Whoever was told that a delivery is his sends it from now on: by then everybody sees that it is, or a crash loses or doubles it.
    /// `there`: the epochs as everybody sees them.
    pub(crate) fn are_committed(&self, worker: usize, there: &BTreeMap<DeliveryId, i64>) -> Law {
        for (id, attempts) in &self.attempts {
            for mine in attempts.iter().filter(|attempt| attempt.worker == worker) {
                let seen = there.get(id).copied();
                if seen.is_none_or(|seen| seen < mine.epoch) {
                    return Err(format!(
                        "{id}: worker {worker} is about to send it with epoch {}, and what is committed says {seen:?}",
                        mine.epoch
                    ));
                }
            }
        }
        Ok(())
    }

    /// What a mail is made of.
    pub(crate) fn template(&self, message_id: &str) -> Option<&str> {
        self.templates.get(&message_id.parse().ok()?).map(|template| &**template)
    }

    /// An operator decides about it; whether it has left.
    pub(crate) fn decided(&mut self, id: DeliveryId) -> bool {
        self.repeatable.insert(id);
        self.attempts.get(&id).is_some_and(|attempts| attempts.iter().any(|attempt| attempt.left))
    }

    /// Its mail leaves now, and its sender will know by then.
    pub(crate) fn leaves(
        &mut self,
        worker: usize,
        message_id: &str,
        now: Timestamp,
        ends_at: Timestamp,
        frozen: bool,
    ) -> Law {
        let id: DeliveryId = message_id.parse().map_err(|_| format!("{message_id} is no delivery"))?;
        let attempts = self.attempts.entry(id).or_default();
        let is_open = |a: &Attempt| a.worker == worker && !a.lost && a.result.is_none();
        let Some(place) = attempts.iter().rposition(is_open) else {
            return Err(format!("{id}: worker {worker} sends what he has not claimed"));
        };
        let mut mine = attempts.remove(place);
        if !frozen && now > mine.leased_until.plus_ms(SKEW) {
            return Err(format!("{id}: sent after its lease had ended at {}", mine.leased_until));
        }
        for other in attempts.iter().filter(|other| other.left) {
            if !self.repeatable.contains(&id) {
                return Err(format!("{id}: sent again, and it is sent at most once"));
            }
            let allowed = mine.overslept || frozen;
            other.allows_another(now, allowed).map_err(|why| format!("{id}: sent again {why}"))?;
            if other.epoch < mine.epoch && !mine.maybe_duplicate {
                return Err(format!("{id}: sent again, and nobody says that it may be a repeat"));
            }
            self.repeated += 1;
        }
        (mine.left, mine.ends_at) = (true, ends_at);
        attempts.insert(place, mine);
        self.sent += 1;
        Ok(())
    }

    /// A worker is about to tell what became of his deliveries.
    pub(crate) fn recording(&mut self, worker: usize, finished: &[Finished]) {
        let told = finished.iter().map(|one| (one.id(), one.epoch, one.result.clone())).collect();
        self.recording.insert(worker, (told, 0));
    }

    /// What he tells is durable: judged now, since others may go on before he hears of it.
    pub(crate) fn committed(&mut self, worker: usize) {
        let Some((told, ours)) = self.recording.get_mut(&worker) else { return };
        *ours = 0;
        for (id, epoch, result) in told {
            let Some(attempts) = self.attempts.get_mut(id) else { continue };
            let newest = attempts.last().map_or(0, |last| last.epoch);
            let Some(mine) = attempts.iter_mut().find(|attempt| attempt.epoch == *epoch) else { continue };
            mine.result = Some(result.clone());
            if newest == *epoch {
                *ours += 1;
                mine.recorded = true;
            }
        }
    }

    /// He heard how many were believed.
    pub(crate) fn recorded(&mut self, worker: usize, recorded: Recorded) -> Law {
        let Some((told, ours)) = self.recording.remove(&worker) else { return Ok(()) };
        self.stale += recorded.stale;
        match recorded.taken > ours {
            true => Err(format!(
                "{} results were believed, {ours} were of the newest claim: {told:?}",
                recorded.taken
            )),
            false => Ok(()),
        }
    }

    /// All clocks were put back: leases seem longer than they are.
    pub(crate) fn clocks_went_back(&mut self) {
        for attempt in self.attempts.values_mut().flatten().filter(|attempt| !attempt.recorded) {
            attempt.overslept = true;
        }
    }

    /// What was sent has a result that nobody heard of.
    pub(crate) fn lose(&mut self, worker: usize) {
        self.recording.remove(&worker);
        for attempt in self.of(worker) {
            attempt.lost = true;
        }
    }

    /// A worker was held up until then.
    pub(crate) fn oversleep(&mut self, worker: usize, until: Timestamp) {
        for attempt in self.of(worker) {
            attempt.overslept |= until > attempt.leased_until.plus_ms(-SKEW) || until > attempt.ends_at;
        }
    }

    fn of(&mut self, worker: usize) -> impl Iterator<Item = &mut Attempt> {
        self.attempts.values_mut().flatten().filter(move |a| a.worker == worker && !a.recorded)
    }
}

impl Attempt {
    /// A mail that left may leave again only where its sender knows nothing, or is not there to know.
    fn allows_another(&self, now: Timestamp, allowed: bool) -> Law {
        match &self.result {
            Some(SendResult::Unknown { .. } | SendResult::GivenBack) => Ok(()),
            _ if allowed || self.lost || self.overslept => Ok(()),
            Some(_) if !self.recorded => Ok(()),
            None if now.plus_ms(SKEW) >= self.leased_until && now.plus_ms(SKEW) >= self.ends_at => Ok(()),
            None => Err(format!("at {now}, while its sender waits for the reply until {}", self.ends_at)),
            Some(result) => Err(format!("though it had come to {result:?}")),
        }
    }
}
