//! Facts that the contacts of a batch wait for.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::engine::program::Word;
use crate::engine::world::Need;
use crate::id::{ContactId, EnrollmentId};
use crate::store::events;

/// Facts that contacts wait for, by kind.
#[derive(Default)]
pub(super) struct Needs {
    pub(super) histories: events::Wanted,
    pub(super) permissions: BTreeSet<ContactId>,
    pub(super) listeners: BTreeSet<(ContactId, Word)>,
    pub(super) enrollments: BTreeSet<(ContactId, EnrollmentId)>,
    pub(super) everything: Vec<ContactId>,
    pub(super) past: BTreeSet<(ContactId, Word)>,
    pub(super) standing: Vec<ContactId>,
    pub(super) errands: Vec<ContactId>,
    pub(super) ever: HashSet<(ContactId, Word)>,
    /// Of each budget what all of them want to spend together.
    pub(super) budgets: BTreeMap<Word, i64>,
}

impl Needs {
    /// One more.
    pub(super) fn add(&mut self, contact: ContactId, need: Need) {
        match need {
            Need::History { name, since } => {
                let earliest = self.histories.entry((contact, name)).or_insert(since);
                *earliest = since.min(*earliest);
            }
            Need::Permissions => _ = self.permissions.insert(contact),
            Need::Listeners(signal) => _ = self.listeners.insert((contact, signal)),
            Need::Enrollment(id) => _ = self.enrollments.insert((contact, id)),
            Need::AllEnrollments => self.everything.push(contact),
            Need::Past(journey) => _ = self.past.insert((contact, journey)),
            Need::Standing => self.standing.push(contact),
            Need::Errands => self.errands.push(contact),
            Need::Ever(name) => _ = self.ever.insert((contact, name)),
            Need::Budget { journey, amount } => {
                let wanted = self.budgets.entry(journey).or_default();
                *wanted = wanted.saturating_add(amount.0);
            }
        }
    }
}
