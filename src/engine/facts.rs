//! What one call looks at and what it has done so far.
//!
//! [`Facts`] are read only: the catalog, the programs and the world as loaded. [`Effects`] are all that the call has done,
//! and whoever looks asks them first: so a transition sees its own changes, and a call that has to be repeated has changed
//! nothing.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::program::{Catalog, Word};
use super::programs::Programs;
use super::state::State;
use super::world::{
    ConsentChange, Delivery, Errand, Event, Fields, History, Need, NewRequest, NewTask, Note, Outcome,
    Permissions, Place, Spend, Suppression, World,
};
use crate::id::{DeliveryId, EnrollmentId};
use crate::time::{Timestamp, Zone};
use crate::value::{Type, Value};

/// What may be looked at.
pub struct Facts<'a> {
    pub catalog: &'a Catalog,
    pub programs: &'a Programs,
    pub world: &'a World,
    pub now: Timestamp,
    loaded_zone: OnceCell<Zone>,
    project_zone: OnceCell<Zone>,
    /// What was not as checked, since the last look: collected here because evaluation changes nothing else.
    odd: RefCell<Vec<Arc<str>>>,
}

impl<'a> Facts<'a> {
    /// The facts of one call at that moment.
    pub fn new(catalog: &'a Catalog, programs: &'a Programs, world: &'a World, now: Timestamp) -> Facts<'a> {
        Facts {
            catalog,
            programs,
            world,
            now,
            loaded_zone: OnceCell::new(),
            project_zone: OnceCell::new(),
            odd: RefCell::new(Vec::new()),
        }
    }

    /// The zone in which the project lives; UTC should its name be unknown.
    pub fn project_zone(&self) -> &Zone {
        self.project_zone.get_or_init(|| Zone::named(&self.catalog.zone).unwrap_or_else(Zone::utc))
    }

    /// The contact's zone; the project's where it is missing or unknown.
    pub fn contact_zone(&self, effects: &Effects) -> Zone {
        let Some(name) = self.catalog.zone_attribute() else { return self.project_zone().clone() };
        let own = |value: &Value| value.as_text().and_then(Zone::named);
        match effects.attributes.get(name) {
            Some(changed) => own(changed).unwrap_or_else(|| self.project_zone().clone()),
            None => {
                let find =
                    || own(&self.attribute(effects, name)).unwrap_or_else(|| self.project_zone().clone());
                self.loaded_zone.get_or_init(find).clone()
            }
        }
    }

    /// An attribute as it is now, its default where it was never set.
    pub fn attribute(&self, effects: &Effects, name: &str) -> Value {
        let set = effects.attributes.get(name).or_else(|| self.world.attributes.get(name));
        match set {
            Some(value) if value.is_known() => value.clone(),
            _ => self.catalog.attribute(name).map_or(Value::Unknown, |attribute| attribute.default.clone()),
        }
    }

    /// The loaded events of that name, if they reach back to the moment.
    pub fn history(&self, name: &Word, since: Timestamp) -> Result<&'a History, Need> {
        match self.world.history.get(name) {
            Some(history) if history.since <= since => Ok(history),
            _ => Err(Need::History { name: name.clone(), since }),
        }
    }

    /// What the gate looks at.
    pub fn permissions(&self) -> Result<&'a Permissions, Need> {
        self.world.permissions.as_ref().ok_or(Need::Permissions)
    }

    /// Notes that something was not as checked.
    pub fn odd(&self, why: impl Into<Arc<str>>) {
        self.odd.borrow_mut().push(why.into());
    }

    /// Looks at something once more: what is odd about it was noted the first time.
    pub(super) fn once_more<T>(&self, look: impl FnOnce() -> T) -> T {
        let noted = self.odd.borrow().len();
        let found = look();
        self.odd.borrow_mut().truncate(noted);
        found
    }

    /// What was noted since the last time.
    pub fn take_odd(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut *self.odd.borrow_mut())
    }
}

impl Catalog {
    /// The attribute that holds the contact's zone: the first of type timezone.
    pub fn zone_attribute(&self) -> Option<&Word> {
        let is_zone = |ty: &Type| *ty.required() == Type::Timezone;
        self.attributes.iter().find(|attribute| is_zone(&attribute.ty)).map(|attribute| &attribute.name)
    }
}

/// What a call works with: facts to look at, effects to add to, and a source of new ids.
pub struct Turn<'t, 'a> {
    pub facts: &'t Facts<'a>,
    pub effects: &'t mut Effects,
    pub ids: &'t mut dyn FnMut() -> i64,
}

/// What a call has done so far: plain data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// Attributes that changed; `Unknown` clears one.
    pub attributes: Fields,
    pub events: Vec<Event>,
    pub deliveries: Vec<Delivery>,
    pub tasks: Vec<NewTask>,
    pub requests: Vec<NewRequest>,
    pub consents: Vec<ConsentChange>,
    pub suppressions: Vec<Suppression>,
    pub pauses: BTreeMap<Word, Timestamp>,
    pub slots: Vec<(Timestamp, Word, Word, DeliveryId)>,
    pub spends: Vec<Spend>,
    pub places: Vec<Place>,
    pub errands: Vec<Errand>,
    pub errands_done: Vec<(Timestamp, EnrollmentId)>,
    pub notes: Vec<Note>,
    /// What the done things cause, in order; worked off within the same call.
    pub caused: VecDeque<Caused>,
    /// How many steps the call has run through.
    pub steps: u32,
    /// Counts what is recorded and what is armed, see [`super::state::Rest::order`].
    pub order: u32,
}

/// An input that the call itself brought about.
#[derive(Clone, Debug, PartialEq)]
pub enum Caused {
    /// The event in [`Effects::events`] of that number, recorded at that place in the order.
    Recorded {
        event: usize,
        order: u32,
    },
    Changed {
        attribute: Word,
        old: Value,
        new: Value,
    },
    Consent {
        purpose: Word,
        permit: bool,
    },
    Start {
        journey: Word,
        arguments: Fields,
        at: Timestamp,
        parent: Option<(EnrollmentId, Word, u32)>,
    },
    /// A child's exit, or that it could not begin.
    Child(Outcome),
}

impl Effects {
    /// The next place in the order of what is recorded and armed.
    pub fn next_order(&mut self) -> u32 {
        self.order = self.order.saturating_add(1);
        self.order
    }

    /// Writes an event into the history and queues what it causes.
    pub fn record(&mut self, event: Event) {
        let order = self.next_order();
        self.caused.push_back(Caused::Recorded { event: self.events.len(), order });
        self.events.push(event);
    }

    /// Gives an attribute a value and queues what the change causes; nothing happens when it has that value already.
    pub fn set(&mut self, facts: &Facts, name: &Word, value: Value) {
        let old = facts.attribute(self, name);
        self.attributes.insert(name.clone(), value);
        let new = facts.attribute(self, name);
        if old != new {
            self.caused.push_back(Caused::Changed { attribute: name.clone(), old, new });
        }
    }

    /// Errands of the contact as they are now.
    pub fn errands_now<'e>(&'e self, facts: &Facts<'e>) -> Result<Vec<&'e Errand>, Need> {
        let loaded = facts.world.errands.as_ref().ok_or(Need::Errands)?;
        let done: BTreeSet<_> = self.errands_done.iter().collect();
        let open = |errand: &&Errand| !done.contains(&(errand.wake_at, errand.id));
        Ok(loaded.values().chain(&self.errands).filter(open).collect())
    }
}

/// The slots and moments of a state, which have as many places as the program has slots.
impl State {
    /// What is in a slot.
    pub fn slot(&self, slot: u16) -> &Value {
        static UNKNOWN: Value = Value::Unknown;
        self.slots.get(usize::from(slot)).unwrap_or(&UNKNOWN)
    }

    /// Puts a value into a slot.
    pub fn put(&mut self, slot: u16, value: Value) {
        let slot = usize::from(slot);
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, Value::Unknown);
        }
        self.slots[slot] = value;
    }

    /// When the step of a slot was done.
    pub fn moment(&self, slot: u16) -> Option<Timestamp> {
        match slot {
            0 => Some(self.entered_at),
            _ => self.moments.get(usize::from(slot)).copied().filter(|at| at.0 != 0),
        }
    }

    /// Remembers when the step of a slot was done.
    pub fn mark(&mut self, slot: u16, at: Timestamp) {
        let slot = usize::from(slot);
        if self.moments.len() <= slot {
            self.moments.resize(slot + 1, Timestamp::default());
        }
        self.moments[slot] = at;
    }
}
