//! A model of the store: plain tables that load only what is asked for and know only what changes say. What runs on it must do
//! the same as in memory, where everything is loaded.

use std::collections::{BTreeMap, BTreeSet};

use fahrplan::engine::program::{Catalog, Word};
use fahrplan::engine::world::*;
use fahrplan::engine::{Programs, advance};
use fahrplan::id::{ContactId, EnrollmentId};
use fahrplan::time::Timestamp;

#[derive(Default)]
pub(super) struct Tables {
    attributes: Fields,
    events: Vec<Event>,
    permissions: Permissions,
    enrollments: BTreeMap<EnrollmentId, Enrollment>,
    interests: BTreeSet<(Word, EnrollmentId)>,
    waiters: BTreeSet<(Word, EnrollmentId)>,
    past: BTreeMap<Word, Vec<Past>>,
    standing: BTreeMap<(Word, u16), Standing>,
    errands: BTreeMap<EnrollmentId, Errand>,
    pub(super) timers: BTreeSet<(Timestamp, EnrollmentId)>,
    last_id: i64,
    /// How often something was asked for.
    pub(super) needs: BTreeMap<&'static str, usize>,
}

impl Tables {
    pub(super) fn new(attributes: Fields, last_id: i64) -> Tables {
        Tables { attributes, last_id, ..Tables::default() }
    }

    pub(super) fn permit(&mut self, purpose: &str, channel: &str, at: Timestamp) {
        self.permissions.consents.insert((purpose.into(), channel.into()), (true, at));
    }

    pub(super) fn new_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn states(&self) -> impl Iterator<Item = (&Enrollment, bool)> {
        self.enrollments.values().map(|enrollment| {
            let id = enrollment.id;
            let listens = self.interests.iter().chain(&self.waiters).any(|(_, of)| *of == id);
            (enrollment, listens)
        })
    }

    /// One input, with as little loaded as possible.
    pub(super) fn take(
        &mut self,
        catalog: &Catalog,
        programs: &Programs,
        contact: ContactId,
        input: &Input,
        now: Timestamp,
    ) -> Changes {
        let mut world = World { contact, attributes: self.attributes.clone(), ..World::default() };
        if let Input::Due { id, .. } = input
            && let Some(enrollment) = self.enrollments.get(id)
        {
            world.enrollments.insert(*id, enrollment.clone());
        }
        let mut changes = Changes::default();
        loop {
            // A call that has to be repeated begins with the same ids again.
            let mut last_id = self.last_id;
            let mut ids = || {
                last_id += 1;
                last_id
            };
            let before = (world.clone(), changes.clone());
            match advance(catalog, programs, &mut world, input, now, &mut ids, &mut changes) {
                Ok(()) => {
                    self.last_id = last_id;
                    break;
                }
                Err(need) => {
                    assert!(before == (world.clone(), changes.clone()), "{need:?} left something changed");
                    self.load(&mut world, need);
                }
            }
        }
        self.apply(&changes, now);
        changes
    }

    fn load(&mut self, world: &mut World, need: Need) {
        let mut count = |name| *self.needs.entry(name).or_insert(0) += 1;
        match need {
            Need::History { name, since } => {
                count("history");
                let wanted = |event: &&Event| event.name == name && event.occurred_at >= since;
                let mut events: Vec<Event> = self.events.iter().filter(wanted).cloned().collect();
                events.sort_by_key(|event| (event.occurred_at, event.id));
                world.history.insert(name, History { events, since, truncated: false });
            }
            Need::Permissions => {
                count("permissions");
                world.permissions = Some(self.permissions.clone());
            }
            Need::Listeners(signal) => {
                count("listeners");
                let all = self.interests.iter().chain(&self.waiters);
                for (_, id) in all.filter(|(of, _)| *of == signal) {
                    world.enrollments.insert(*id, self.enrollments[id].clone());
                }
                world.listening.insert(signal);
            }
            Need::Enrollment(id) => {
                count("enrollment");
                match self.enrollments.get(&id) {
                    Some(enrollment) => drop(world.enrollments.insert(id, enrollment.clone())),
                    None => drop(world.gone.insert(id)),
                }
            }
            Need::AllEnrollments => {
                count("all");
                world.enrollments.extend(self.enrollments.clone());
                world.all_enrollments = true;
            }
            Need::Past(journey) => {
                count("past");
                let past = self.past.get(&journey).cloned().unwrap_or_default();
                world.past.insert(journey, past);
            }
            Need::Standing => {
                count("standing");
                world.standing = Some(self.standing.clone());
            }
            Need::Errands => {
                count("errands");
                world.errands = Some(self.errands.clone());
            }
            Need::Ever(name) => {
                count("ever");
                let ever = self.events.iter().any(|event| event.name == name);
                world.ever.insert(name, ever);
            }
            Need::Budget { journey, .. } => {
                count("budget");
                world.budgets.entry(journey).or_default().last = true;
            }
        }
    }

    fn apply(&mut self, changes: &Changes, now: Timestamp) {
        if let Some(attributes) = &changes.attributes {
            self.attributes = attributes.clone();
        }
        self.events.extend(changes.events.iter().cloned());
        for change in &changes.enrollments {
            self.enrollment(change, now);
        }
        for StandingChange { after, woke_at } in &changes.standing {
            self.rearm(after.id, *woke_at, after.wake_at);
            self.standing.insert((after.journey.clone(), after.entry), after.clone());
        }
        for errand in &changes.errands {
            self.rearm(errand.id, None, errand.wake_at);
            self.errands.insert(errand.id, errand.clone());
        }
        for (wake_at, id) in &changes.errands_done {
            assert!(self.timers.remove(&(*wake_at, *id)), "an errand that had no timer");
            self.errands.remove(id);
        }
        for row in &changes.consents {
            let key = (row.purpose.clone(), row.channel.clone());
            self.permissions.consents.insert(key, (row.permit, row.at));
        }
        for row in &changes.suppressions {
            self.permissions.suppressed.insert((row.channel.clone(), row.address.clone()));
        }
        for (purpose, until) in &changes.pauses {
            let end = self.permissions.pauses.entry(purpose.clone()).or_insert(*until);
            *end = (*end).max(*until);
        }
        let slots = changes.slots.iter();
        self.permissions
            .slots
            .extend(slots.map(|(at, channel, purpose, _)| (*at, channel.clone(), purpose.clone())));
    }

    fn enrollment(&mut self, change: &EnrollmentChange, now: Timestamp) {
        let after = &change.after;
        let journey = after.program.journey.clone();
        if let Some(begin) = &change.begins {
            assert!(
                change.woke_at.is_none() && !self.enrollments.contains_key(&after.id),
                "it was there before"
            );
            let interests = begin.interests.iter().map(|signal| (signal.clone(), after.id));
            self.interests.extend(interests);
            let (id, key, entered_at) = (after.id, after.key.clone(), begin.entered_at);
            self.past.entry(journey.clone()).or_default().push(Past { id, key, entered_at, ended_at: None });
        } else {
            assert!(self.enrollments.contains_key(&after.id), "{} moves and never began", after.id);
        }
        if change.ends.is_some() {
            let rows = self.past.get_mut(&journey).expect("it began");
            let row = rows.iter_mut().find(|past| past.id == after.id).expect("it began");
            assert_eq!(row.ended_at, None, "it ends twice");
            row.ended_at = Some(now);
        }
        for signal in &change.waited_for {
            assert!(self.waiters.remove(&(signal.clone(), after.id)), "{signal} was not waited for");
        }
        self.waiters.extend(change.waits_for.iter().map(|signal| (signal.clone(), after.id)));
        let wake_at = if change.gone { Timestamp::NEVER } else { after.wake_at };
        self.rearm(after.id, change.woke_at, wake_at);
        if change.gone {
            assert!(change.waits_for.is_empty(), "it is gone and still waits");
            self.enrollments.remove(&after.id);
            self.interests.retain(|(_, id)| *id != after.id);
        } else {
            self.enrollments.insert(after.id, after.clone());
        }
    }

    fn rearm(&mut self, id: EnrollmentId, before: Option<Timestamp>, after: Timestamp) {
        if let Some(before) = before.filter(|before| *before != Timestamp::NEVER) {
            assert!(self.timers.remove(&(before, id)), "the timer of {id} at {before} was not there");
        }
        if after != Timestamp::NEVER {
            assert!(self.timers.insert((after, id)), "two timers of one enrollment");
        }
    }
}
