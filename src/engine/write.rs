//! The end of a call that succeeded: what it did is written into the world and into the changes.

use std::collections::{BTreeMap, BTreeSet};

use super::contact::Call;
use super::facts::Effects;
use super::program::Word;
use super::world::{
    Begin, Changes, ConsentChange, Delivery, Enrollment, EnrollmentChange, Past, Permissions, Standing,
    StandingChange, World,
};
use super::{interests, waits_for, wake_at};
use crate::id::EnrollmentId;
use crate::time::Timestamp;

impl Call<'_, '_> {
    /// What has become of all that it touched.
    pub(super) fn finish(self) -> Done {
        let facts = self.turn.facts;
        let (mut enrollments, mut cancel) = (Vec::new(), Vec::new());
        for (id, mut moving) in self.moved {
            if moving.interrupted {
                cancel.push(id);
            }
            let before = facts.world.enrollments.get(&id);
            let after = &mut moving.enrollment;
            clear_orders(after);
            let wake = wake_at(&after.program, &after.state, facts, self.turn.effects);
            after.wake_at = wake.unwrap_or(Timestamp::NEVER);
            // Program and key of an enrollment never change.
            let same =
                before.is_some_and(|before| before.wake_at == after.wake_at && before.state == after.state);
            if same && wake.is_some() {
                continue;
            }
            let catalog = facts.catalog;
            enrollments.push(EnrollmentChange {
                woke_at: before.map(|before| before.wake_at),
                begins: moving.begins.map(|entered_at| Begin {
                    entered_at,
                    arguments: moving.arguments,
                    interests: interests(catalog, &after.program),
                }),
                ends: moving.ends,
                waits_for: waits_for(catalog, &after.program, &after.state),
                waited_for: before.map_or_else(Vec::new, |b| waits_for(catalog, &b.program, &b.state)),
                gone: wake.is_none(),
                after: moving.enrollment,
            });
        }
        Done { enrollments, cancel, standing: self.standing, first: self.first, now: facts.now }
    }
}

/// The order of arming means something within one call only.
fn clear_orders(enrollment: &mut Enrollment) {
    enrollment.state.rest.order = 0;
    if let Some(suspended) = &mut enrollment.state.suspended {
        suspended.rest.order = 0;
    }
}

/// What a call has done, ready to be written.
pub(super) struct Done {
    enrollments: Vec<EnrollmentChange>,
    cancel: Vec<EnrollmentId>,
    standing: BTreeMap<(Word, u16), Standing>,
    first: BTreeSet<Word>,
    now: Timestamp,
}

impl Done {
    pub(super) fn write(self, world: &mut World, changes: &mut Changes, effects: Effects) {
        if !effects.attributes.is_empty() {
            for (name, value) in effects.attributes {
                match value.is_known() {
                    true => world.attributes.insert(name, value),
                    false => world.attributes.remove(&name),
                };
            }
            changes.attributes = Some(world.attributes.clone());
        }
        for event in &effects.events {
            if let Some(history) = world.history.get_mut(&event.name) {
                let place = history
                    .events
                    .partition_point(|e| (e.occurred_at, e.id) <= (event.occurred_at, event.id));
                history.events.insert(place, event.clone());
            }
        }
        for name in self.first {
            world.ever.insert(name, true);
        }
        if let Some(permissions) = &mut world.permissions {
            remember(permissions, &effects.consents, &effects.pauses, &effects.slots);
            for row in &effects.suppressions {
                permissions.suppressed.insert((row.channel.clone(), row.address.clone()));
            }
        }
        if let Some(errands) = &mut world.errands {
            errands.extend(effects.errands.iter().map(|errand| (errand.id, errand.clone())));
            for (_, id) in &effects.errands_done {
                errands.remove(id);
            }
        }
        for spend in &effects.spends {
            world.budgets.entry(spend.journey.clone()).or_default().spend(spend.amount);
        }
        for (key, after) in self.standing {
            let woke_at = match &mut world.standing {
                Some(standing) => standing.insert(key, after.clone()).map(|before| before.wake_at),
                None => None,
            };
            changes.add_standing(StandingChange { after, woke_at });
        }
        for change in self.enrollments {
            remember_past(world, &change, self.now);
            match change.gone {
                true => {
                    world.enrollments.remove(&change.after.id);
                    world.gone.insert(change.after.id);
                }
                false => {
                    world.enrollments.insert(change.after.id, change.after.clone());
                }
            }
            changes.add_enrollment(change);
        }
        let is_last = |delivery: &&Delivery| self.cancel.contains(&delivery.enrollment);
        changes.kept.extend(effects.deliveries.iter().filter(is_last).map(|delivery| delivery.id));
        changes.cancel.extend(self.cancel);
        changes.events.extend(effects.events);
        changes.deliveries.extend(effects.deliveries);
        changes.tasks.extend(effects.tasks);
        changes.requests.extend(effects.requests);
        changes.consents.extend(effects.consents);
        changes.suppressions.extend(effects.suppressions);
        changes.pauses.extend(effects.pauses);
        changes.slots.extend(effects.slots);
        changes.places.extend(effects.places);
        changes.errands.extend(effects.errands);
        changes.errands_done.extend(effects.errands_done);
        changes.history.extend(effects.notes);
    }
}

fn remember(
    permissions: &mut Permissions,
    consents: &[ConsentChange],
    pauses: &BTreeMap<Word, Timestamp>,
    slots: &[(Timestamp, Word, Word, crate::id::DeliveryId)],
) {
    for row in consents {
        let key = (row.purpose.clone(), row.channel.clone());
        permissions.consents.insert(key, (row.permit, row.at));
    }
    for (purpose, until) in pauses {
        let end = permissions.pauses.entry(purpose.clone()).or_insert(*until);
        *end = (*end).max(*until);
    }
    permissions
        .slots
        .extend(slots.iter().map(|(at, channel, purpose, _)| (*at, channel.clone(), purpose.clone())));
}

fn remember_past(world: &mut World, change: &EnrollmentChange, now: Timestamp) {
    let after = &change.after;
    let Some(past) = world.past.get_mut(&after.program.journey) else { return };
    if let Some(begin) = &change.begins {
        let (id, key, entered_at) = (after.id, after.key.clone(), begin.entered_at);
        past.push(Past { id, key, entered_at, ended_at: None });
    }
    if change.ends.is_some()
        && let Some(row) = past.iter_mut().find(|row| row.id == after.id)
    {
        row.ended_at = Some(now);
    }
}

impl Changes {
    /// Joins a change of an enrollment with a former one of the same: its last state counts, its first timer is the one to
    /// be removed.
    fn add_enrollment(&mut self, change: EnrollmentChange) {
        match self.enrollments.iter_mut().find(|former| former.after.id == change.after.id) {
            Some(former) => {
                former.after = change.after;
                former.begins = former.begins.take().or(change.begins);
                former.ends = former.ends.take().or(change.ends);
                former.waits_for = change.waits_for;
                former.gone = change.gone;
            }
            None => self.enrollments.push(change),
        }
    }

    fn add_standing(&mut self, change: StandingChange) {
        match self.standing.iter_mut().find(|former| former.after.id == change.after.id) {
            Some(former) => former.after = change.after,
            None => self.standing.push(change),
        }
    }
}
