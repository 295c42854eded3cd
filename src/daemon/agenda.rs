//! Which bucket is looked at next: what this process knows of when each of them has something to do.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::JourneyClock;
use crate::store::Advanced;
use crate::time::Timestamp;

/// Every bucket is looked at at least so often.
pub(super) const LOOK: Duration = Duration::from_secs(5);
/// For how long a bucket is left alone that another process holds, doubled each time in a row up to the longest.
const FIRST_REST: Duration = Duration::from_millis(4);
const LONGEST_REST: Duration = Duration::from_millis(250);

/// Before every moment of the journey clock: look at once.
const NOW: Timestamp = Timestamp(i64::MIN);

/// See the head of this room.
pub(super) struct Agenda {
    entries: Vec<Entry>,
    /// Where this process begins when it has the choice, so that several do not all begin with the same bucket.
    first: usize,
}

struct Entry {
    bucket: i64,
    /// When something falls due, as far as we know.
    due: Timestamp,
    /// When it was last begun with; never yet.
    looked: Option<Instant>,
    /// A batch of it is under way here.
    is_out: bool,
    /// Word came for it while the batch was under way, which may have missed it.
    again: bool,
    /// Another process holds it: not before this moment.
    rests_until: Option<Instant>,
    rest: Duration,
}

impl Agenda {
    /// All buckets are looked at once in the beginning.
    pub(super) fn new(buckets: impl Iterator<Item = i64>, worker: i64) -> Agenda {
        let entry = |bucket| Entry {
            bucket,
            due: NOW,
            looked: None,
            is_out: false,
            again: false,
            rests_until: None,
            rest: FIRST_REST,
        };
        let entries: Vec<Entry> = buckets.map(entry).collect();
        // Neighbouring numbers begin far apart.
        let half = entries.len() / 2 + 1;
        let first = usize::try_from(worker).unwrap_or(0).wrapping_mul(half) % entries.len().max(1);
        Agenda { entries, first }
    }

    /// Word came that these buckets have something to do.
    pub(super) fn hear(&mut self, buckets: impl IntoIterator<Item = i64>) {
        for bucket in buckets {
            if let Some(entry) = self.entry(bucket) {
                entry.due = NOW;
                entry.again = entry.is_out;
            }
        }
    }

    /// A bucket to look at now: the one whose turn was longest ago.
    pub(super) fn take(&mut self, now: Timestamp, moment: Instant) -> Option<i64> {
        let (first, count) = (self.first, self.entries.len());
        let open = self.entries.iter_mut().enumerate().filter(|(_, entry)| {
            let is_due = entry.due <= now || entry.looked.is_none_or(|at| moment.duration_since(at) >= LOOK);
            is_due && !entry.is_out && entry.rests_until.is_none_or(|until| until <= moment)
        });
        let (_, entry) = open.min_by_key(|(place, entry)| (entry.looked, (place + count - first) % count))?;
        entry.is_out = true;
        entry.again = false;
        entry.looked = Some(moment);
        Some(entry.bucket)
    }

    /// A batch has ended.
    pub(super) fn put_back(&mut self, bucket: i64, advanced: &Advanced, moment: Instant) {
        let Some(entry) = self.entry(bucket) else { return };
        entry.is_out = false;
        if advanced.locked {
            entry.rests_until = Some(moment + entry.rest);
            entry.rest = (entry.rest * 2).min(LONGEST_REST);
            entry.due = NOW;
            return;
        }
        entry.rests_until = None;
        entry.rest = FIRST_REST;
        entry.due = if advanced.more || entry.again { NOW } else { advanced.next_due };
    }

    /// A batch has failed, and has changed nothing.
    pub(super) fn put_back_failed(&mut self, bucket: i64) {
        if let Some(entry) = self.entry(bucket) {
            entry.is_out = false;
            entry.due = NOW;
        }
    }

    /// How long until a bucket has to be looked at.
    pub(super) fn pause(&self, clock: &JourneyClock, moment: Instant) -> Duration {
        let open = || self.entries.iter().filter(|entry| !entry.is_out);
        let resting = |entry: &&Entry| entry.rests_until.is_some_and(|until| until > moment);
        let due = open().filter(|entry| !resting(entry)).map(|entry| entry.due).min();
        let due = due.map_or(LOOK, |due| clock.until(due, LOOK));
        let rested = open().filter_map(|entry| entry.rests_until).filter(|until| *until > moment).min();
        let rested = rested.map_or(LOOK, |until| until.duration_since(moment));
        let looked = open().map(|entry| entry.looked.map_or(moment, |at| at + LOOK)).min();
        let look = looked.map_or(LOOK, |at| at.saturating_duration_since(moment));
        due.min(rested).min(look.max(Duration::from_millis(1)))
    }

    fn entry(&mut self, bucket: i64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.bucket == bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Timestamp = Timestamp(1 << 60);

    fn idle(next_due: Timestamp) -> Advanced {
        Advanced { next_due, ..Advanced::default() }
    }

    /// An agenda of four buckets in which nothing is due before [`LATER`].
    fn at_rest(moment: Instant) -> Agenda {
        let mut agenda = Agenda::new(0..4, 0);
        while let Some(bucket) = agenda.take(Timestamp(0), moment) {
            agenda.put_back(bucket, &idle(LATER), moment);
        }
        agenda
    }

    #[test]
    fn each_bucket_is_looked_at_once_in_the_beginning_and_then_when_it_is_due() {
        let moment = Instant::now();
        let mut agenda = at_rest(moment);
        assert_eq!(agenda.take(Timestamp(999_999), moment), None);
        let mut due = [0; 4].map(|_| agenda.take(LATER, moment).expect("due"));
        due.sort_unstable();
        assert_eq!(due, [0, 1, 2, 3]);
        assert_eq!(agenda.take(LATER, moment), None, "all are under way");
    }

    #[test]
    fn processes_begin_with_different_buckets() {
        let first = |worker| Agenda::new(0..16, worker).take(Timestamp(0), Instant::now());
        let mut firsts: Vec<_> = (0..16).map(first).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert!(firsts.len() >= 8, "{firsts:?}");
    }

    #[test]
    fn every_bucket_is_looked_at_now_and_then_though_nothing_is_known_to_be_due() {
        let moment = Instant::now();
        let mut agenda = at_rest(moment);
        assert_eq!(agenda.take(Timestamp(0), moment + LOOK - Duration::from_millis(1)), None);
        assert!(agenda.take(Timestamp(0), moment + LOOK).is_some());
    }

    #[test]
    fn word_that_comes_while_a_batch_is_under_way_is_not_lost() {
        let moment = Instant::now();
        let mut agenda = at_rest(moment);
        agenda.hear([2]);
        assert_eq!(agenda.take(Timestamp(0), moment), Some(2));
        agenda.hear([2]);
        assert_eq!(agenda.take(Timestamp(0), moment), None, "it is under way");
        agenda.put_back(2, &idle(LATER), moment);
        assert_eq!(agenda.take(Timestamp(0), moment), Some(2));
        agenda.put_back(2, &idle(LATER), moment);
        assert_eq!(agenda.take(Timestamp(0), moment), None);
    }

    #[test]
    fn a_bucket_that_another_process_holds_is_not_asked_for_all_the_time() {
        let begun = Instant::now();
        let (mut moment, mut agenda) = (begun, at_rest(begun));
        let mut tries = 0;
        while moment < begun + Duration::from_secs(2) {
            agenda.hear([1]);
            if let Some(bucket) = agenda.take(Timestamp(0), moment) {
                assert_eq!(bucket, 1);
                tries += 1;
                agenda.put_back(bucket, &Advanced { locked: true, ..idle(Timestamp(0)) }, moment);
            }
            let pause = agenda.pause(&JourneyClock::Machine, moment);
            assert!(pause > Duration::ZERO, "spinning");
            moment += pause;
        }
        assert!((5..20).contains(&tries), "{tries} tries in two seconds");
    }
}
