//! A batch of contacts on their way through the corridor: their worlds, what they need, what became of them.
//!
//! Each contact takes its inputs one after another until a fact is missing. Missing facts are loaded for all contacts together, then
//! all go on. A contact that has changes already and needs something is written first, so that what is loaded is never older than
//! what it did.

mod needs;
mod rehearse;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use self::needs::Needs;
use super::boundary::Point;
use super::budgets::Purses;
use super::counts::Counts;
use super::enrollments::{self, Moved};
use super::hold::{Hold, Reach};
use super::journeys::Deployed;
use super::timers::{self, Place, Pointer, Timer};
use super::{
    Conn, Core, Result, contacts, events, history, identities, members, memberships, merge, outbox,
    permissions, suppressions,
};
use crate::engine;
use crate::engine::program::{Catalog, Word};
use crate::engine::world::{Changes, EnrollmentChange, Fields, Input, Need, StandingChange, What, World};
use crate::id::{ContactId, EnrollmentId};
use crate::time::{MINUTE, Timestamp};
use crate::value::Value;

/// The attributes that are identities too.
const CALLED: [&str; 2] = ["email", "phone"];

/// Rounds of loading that a batch may take; a contact with many inputs takes a few for each of a kind it has not had.
const ROUNDS: usize = 1_000;

/// What waits for a contact.
#[derive(Debug)]
pub(super) enum Queued {
    /// With the id under which it was accepted.
    Input(Option<i64>, Input),
    Timer(Timer),
}

/// What a batch did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) transitions: usize,
    pub(super) owed: usize,
    pub(super) reach: Reach,
}

/// The contacts of a batch, all of one bucket.
pub(super) struct Batch {
    pub(super) bucket: i64,
    pub(super) now: Timestamp,
    /// Contacts that turned out to be others: who, and who takes over.
    pub(super) merges: Vec<(ContactId, ContactId)>,
    deployed: Arc<Deployed>,
    contacts: BTreeMap<ContactId, Member>,
    /// Timers that were deleted when they were taken and not set again since.
    taken: HashSet<(Timestamp, EnrollmentId)>,
    timers: timers::Writes,
    counts: Counts,
    purses: Purses,
    done: Done,
}

/// One contact of a batch.
#[derive(Default)]
struct Member {
    world: World,
    /// What it does next, first first.
    inputs: VecDeque<(Option<i64>, Input)>,
    changes: Changes,
    places: HashMap<EnrollmentId, Place>,
    /// Its address and number before, since they are identities too.
    called: [Option<Arc<str>>; 2],
    /// Timers that were taken for it.
    due: Vec<(Timestamp, EnrollmentId)>,
}

impl Batch {
    pub(super) fn new(bucket: i64, now: Timestamp, deployed: Arc<Deployed>) -> Batch {
        Batch {
            bucket,
            now,
            merges: Vec::new(),
            deployed,
            contacts: BTreeMap::new(),
            taken: HashSet::new(),
            timers: timers::Writes::default(),
            counts: Counts::default(),
            purses: Purses::default(),
            done: Done { transitions: 0, owed: 0, reach: Reach::Bucket(bucket) },
        }
    }

    /// It changes what other buckets read too.
    pub(super) fn reaches_far(&mut self) {
        self.done.reach = Reach::Everything;
    }

    /// A contact joins the batch; one that is new has nothing yet that would have to be loaded.
    pub(super) fn begin(&mut self, contact: ContactId, new: bool) {
        let member = self.contacts.entry(contact).or_default();
        member.world.contact = contact;
        if new {
            member.world.all_enrollments = true;
            member.world.standing = Some(BTreeMap::new());
            member.world.errands = Some(BTreeMap::new());
        }
    }

    /// Gives a contact its attributes and what waits for it.
    pub(super) fn give(&mut self, contact: ContactId, attributes: Fields, queue: VecDeque<Queued>) {
        let Some(member) = self.contacts.get_mut(&contact) else { return };
        member.called = called(&attributes);
        member.world.attributes = attributes;
        for queued in queue {
            match queued {
                Queued::Input(came, input) => member.inputs.push_back((came, input)),
                Queued::Timer(timer) => {
                    let (id, wake_at) = (timer.id, timer.wake_at);
                    if timer.is_enrollment() && !member.take_in(&timer, &self.deployed) {
                        self.timers.park(&timer);
                        continue;
                    }
                    self.taken.insert((wake_at, id));
                    member.due.push((wake_at, id));
                    member.inputs.push_back((None, Input::Due { id, wake_at }));
                }
            }
        }
    }

    /// Advances all, writes all.
    pub(super) async fn run(&mut self, hold: &mut Hold<'_>) -> Result<Done> {
        let core = hold.read().core.clone();
        let mut rounds = 0;
        loop {
            let (mut needs, waiting) = self.advance_all(&core);
            if waiting.is_empty() {
                break;
            }
            rounds += 1;
            if rounds > ROUNDS {
                self.give_up(&waiting);
                continue;
            }
            if self.has_changes(&waiting) {
                self.flush(hold.write().await?, &waiting).await?;
            }
            let budgets = std::mem::take(&mut needs.budgets);
            if !budgets.is_empty() {
                let (place, deployed) = ((self.bucket, core.settings().buckets), self.deployed.clone());
                self.purses.fill(hold.write().await?, place, budgets, &deployed.catalog, self.now).await?;
            }
            self.load(hold.read(), needs).await?;
        }
        self.keep_unmoved();
        let all: Vec<ContactId> = self.contacts.keys().copied().collect();
        let asks = self.asks_for_rows();
        if asks {
            core.pass(Point::Write).await?;
        }
        let tx = if asks { hold.write().await? } else { hold.note() };
        self.flush(tx, &all).await?;
        std::mem::take(&mut self.counts).write(tx, self.bucket).await?;
        self.purses.write(tx, self.bucket, &self.deployed.catalog, self.now).await?;
        if !self.merges.is_empty() {
            self.reaches_far();
        }
        merge::run(tx, self.bucket, &self.merges, &self.deployed, self.now).await?;
        if !asks {
            core.pass(Point::Write).await?;
            hold.write().await?;
        }
        Ok(self.done)
    }

    /// Whether writing the changes asks the database something too: who may have an address, what is still in the queue or in a pool.
    fn asks_for_rows(&self) -> bool {
        let asks = |member: &Member| {
            let renamed = member.changes.attributes.as_ref().is_some_and(|now| called(now) != member.called);
            let takes = member.changes.requests.iter().any(|request| request.pool().is_some());
            renamed || takes || !member.changes.cancel.is_empty()
        };
        !self.merges.is_empty() || self.contacts.values().any(asks)
    }

    /// An input that asks for facts again and again would hold everybody up: it is dropped, and the log says whose.
    fn give_up(&mut self, waiting: &[ContactId]) {
        for contact in waiting {
            tracing::error!(%contact, "an input was given up: it asked for too many facts");
            self.member(*contact).inputs.pop_front();
        }
    }

    /// Lets every contact go on as far as it can; what they need, and who waits.
    fn advance_all(&mut self, core: &Core) -> (Needs, Vec<ContactId>) {
        let (mut needs, mut waiting) = (Needs::default(), Vec::new());
        for (contact, member) in &mut self.contacts {
            if let Some(need) = member.advance(&self.deployed, self.now, core, &mut self.purses) {
                needs.add(*contact, need);
                waiting.push(*contact);
            }
        }
        (needs, waiting)
    }

    /// Timers that were taken and moved nothing are set again, a little later, so that they neither vanish nor spin.
    fn keep_unmoved(&mut self) {
        let later = self.now.plus_ms(MINUTE);
        for member in self.contacts.values_mut() {
            for (wake_at, id) in &std::mem::take(&mut member.due) {
                if !self.taken.contains(&(*wake_at, *id)) {
                    continue;
                }
                if let Some(change) = member.keep_enrollment(&self.deployed.catalog, *id, *wake_at, later) {
                    member.changes.enrollments.push(change);
                } else if let Some(change) = member.keep_standing(*id, *wake_at, later) {
                    member.changes.standing.push(change);
                }
            }
        }
    }

    // -------------------------------------------------------------- loading

    async fn load(&mut self, tx: &mut Conn, needs: Needs) -> Result<()> {
        let bucket = self.bucket;
        self.purses.pretend(needs.budgets);
        for ((contact, name), history) in events::histories(tx, bucket, needs.histories).await? {
            self.member(contact).world.history.insert(name, history);
        }
        let past = enrollments::past(tx, bucket, &needs.past).await?;
        for ((contact, journey), past) in past {
            self.member(contact).world.past.insert(journey, past);
        }
        for (contact, standing) in memberships::standing(tx, bucket, &needs.standing).await? {
            self.member(contact).world.standing = Some(standing);
        }
        for (contact, errands) in memberships::errands(tx, bucket, &needs.errands).await? {
            self.member(contact).world.errands = Some(errands);
        }
        let ever = events::ever(tx, bucket, &needs.ever).await?;
        for (contact, name) in needs.ever {
            let had = ever.contains(&(contact, name.clone()));
            self.member(contact).world.ever.insert(name, had);
        }
        self.load_permissions(tx, needs.permissions).await?;
        self.load_enrollments(tx, needs.listeners, needs.enrollments).await?;
        self.load_everything(tx, needs.everything).await
    }

    async fn load_permissions(&mut self, tx: &mut Conn, wanted: BTreeSet<ContactId>) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let attributes =
            wanted.iter().map(|contact| (*contact, &self.contacts[contact].world.attributes)).collect();
        let catalog = &self.deployed.catalog;
        let found = permissions::load(tx, self.bucket, catalog, &attributes, self.now).await?;
        for (contact, permissions) in found {
            self.member(contact).world.permissions = Some(permissions);
        }
        Ok(())
    }

    async fn load_enrollments(
        &mut self,
        tx: &mut Conn,
        listeners: BTreeSet<(ContactId, Word)>,
        wanted: BTreeSet<(ContactId, EnrollmentId)>,
    ) -> Result<()> {
        let mut pointers = enrollments::listeners(tx, self.bucket, &listeners).await?;
        pointers.extend(wanted.iter().map(|(contact, id)| Pointer {
            contact: *contact,
            id: *id,
            wake_at: None,
        }));
        pointers.retain(|pointer| !self.contacts[&pointer.contact].knows(pointer.id));
        let pointers: Vec<Pointer> = pointers.into_iter().collect();
        let found = timers::load(tx, self.bucket, &pointers).await?;
        self.take_in(found);
        for (contact, signal) in listeners {
            self.member(contact).world.listening.insert(signal);
        }
        for (contact, id) in wanted {
            let member = self.member(contact);
            if !member.knows(id) {
                member.world.gone.insert(id);
            }
        }
        Ok(())
    }

    async fn load_everything(&mut self, tx: &mut Conn, wanted: Vec<ContactId>) -> Result<()> {
        let found = enrollments::all(tx, self.bucket, &wanted).await?;
        self.take_in(found);
        for contact in wanted {
            self.member(contact).world.all_enrollments = true;
        }
        Ok(())
    }

    /// Enrollments that were loaded join the worlds of their contacts; what cannot be read stays where it is.
    fn take_in(&mut self, found: Vec<Timer>) {
        let deployed = self.deployed.clone();
        for timer in found {
            let member = self.member(timer.contact);
            if !member.knows(timer.id) {
                member.take_in(&timer, &deployed);
            }
        }
    }

    fn member(&mut self, contact: ContactId) -> &mut Member {
        self.contacts.entry(contact).or_default()
    }

    // -------------------------------------------------------------- writing

    fn has_changes(&self, who: &[ContactId]) -> bool {
        let none = Changes::default();
        !self.timers.is_empty() || who.iter().any(|contact| self.contacts[contact].changes != none)
    }

    /// Writes the changes of these contacts, and forgets that they are changes.
    async fn flush(&mut self, tx: &mut Conn, who: &[ContactId]) -> Result<()> {
        let mut changed: Vec<(ContactId, Changes)> = Vec::with_capacity(who.len());
        for contact in who {
            let changes = std::mem::take(&mut self.member(*contact).changes);
            if changes != Changes::default() {
                changed.push((*contact, changes));
            }
        }
        if changed.is_empty() && self.timers.is_empty() {
            return Ok(());
        }
        self.count(&changed);
        self.write_facts(tx, &changed).await?;
        self.write_enrollments(tx, &changed).await?;
        self.write_standing(tx, &changed).await?;
        std::mem::take(&mut self.timers).write(tx, self.bucket).await?;
        outbox::write(tx, self.bucket, &changed, self.now).await?;
        let decided: Vec<_> = changed
            .iter()
            .filter(|(_, changes)| !changes.history.is_empty())
            .map(|(contact, changes)| (*contact, changes.history.as_slice()))
            .collect();
        history::append(tx, self.bucket, &decided, self.now).await
    }

    fn count(&mut self, changed: &[(ContactId, Changes)]) {
        for (_, changes) in changed {
            let is_step =
                |what: &What| matches!(what, What::Done { .. } | What::Rests { .. } | What::Took { .. });
            self.done.transitions += changes.history.iter().filter(|note| is_step(&note.what)).count();
            self.done.owed += changes.deliveries.len() + changes.requests.len() + changes.tasks.len();
        }
    }

    async fn write_facts(&mut self, tx: &mut Conn, changed: &[(ContactId, Changes)]) -> Result<()> {
        let bucket = self.bucket;
        let mut attributes: Vec<(ContactId, Cow<'_, Fields>)> = Vec::new();
        let mut renamed = false;
        for (contact, changes) in changed {
            let Some(values) = &changes.attributes else { continue };
            let (mut values, now_called) = (Cow::Borrowed(values), called(values));
            let member = self.member(*contact);
            let before = std::mem::replace(&mut member.called, now_called.clone());
            if before != now_called {
                renamed = true;
                let refused = identities::rename(tx, *contact, &before, &now_called).await?;
                if refused.contains(&true) {
                    values = Cow::Owned(member.keep_called(&values, before, refused));
                }
            }
            attributes.push((*contact, values));
        }
        let attributes: Vec<_> = attributes.iter().map(|(contact, values)| (*contact, &**values)).collect();
        contacts::set_attributes(tx, bucket, &attributes).await?;
        events::insert(tx, bucket, &self.deployed.catalog, &all(changed, |c| &c.events)).await?;
        permissions::record_consents(tx, bucket, &all(changed, |c| &c.consents)).await?;
        let suppressed: Vec<_> = all(changed, |c| &c.suppressions).into_iter().map(|(_, s)| s).collect();
        // Addresses are everybody's.
        if renamed || !suppressed.is_empty() {
            self.reaches_far();
        }
        suppressions::suppress(tx, &suppressed).await?;
        members::write(tx, bucket, &all(changed, |c| &c.places)).await?;
        permissions::pause(tx, bucket, &all(changed, |c| &c.pauses)).await?;
        permissions::take_slots(tx, bucket, &all(changed, |c| &c.slots)).await
    }

    async fn write_enrollments(&mut self, tx: &mut Conn, changed: &[(ContactId, Changes)]) -> Result<()> {
        let mut moved = Vec::new();
        for (contact, change) in all(changed, |c| &c.enrollments) {
            let id = change.after.id;
            let before = self.contacts[&contact].places.get(&id).copied();
            let timer_taken = change.woke_at.is_some_and(|woke_at| self.taken.remove(&(woke_at, id)));
            moved.push(Moved { contact, change, before, timer_taken });
        }
        let deployed = self.deployed.clone();
        let places =
            enrollments::write(tx, self.bucket, &deployed, &moved, &mut self.timers, &mut self.counts)
                .await?;
        for one in moved {
            let id = one.change.after.id;
            self.member(one.contact).places.insert(id, places[&id]);
        }
        for (_, changes) in changed {
            self.count_goals(tx, changes).await?;
        }
        Ok(())
    }

    async fn count_goals(&mut self, tx: &mut Conn, changes: &Changes) -> Result<()> {
        for note in &changes.history {
            let (What::Goal { name }, Some(id)) = (&note.what, note.enrollment) else { continue };
            let change = changes.enrollments.iter().find(|change| change.after.id == id);
            let number = change.and_then(|change| self.deployed.number_of(&change.after.program));
            if let Some(number) = number {
                let name = super::names::intern(tx, name).await?;
                self.counts.goal(number, name);
            }
        }
        Ok(())
    }

    async fn write_standing(&mut self, tx: &mut Conn, changed: &[(ContactId, Changes)]) -> Result<()> {
        let standing = all(changed, |c| &c.standing);
        let taken = &mut self.taken;
        let (bucket, timers) = (self.bucket, &mut self.timers);
        memberships::write_standing(tx, bucket, &standing, timers, |at, id| taken.remove(&(at, id))).await?;
        let done: Vec<_> = all(changed, |c| &c.errands_done).into_iter().map(|(c, key)| (c, *key)).collect();
        let new = all(changed, |c| &c.errands);
        memberships::write_errands(tx, bucket, &new, &done, timers, |at, id| taken.remove(&(at, id))).await
    }
}

/// One kind of change of all contacts.
fn all<'a, T>(
    changed: &'a [(ContactId, Changes)],
    kind: impl Fn(&'a Changes) -> &'a Vec<T>,
) -> Vec<(ContactId, &'a T)> {
    changed
        .iter()
        .flat_map(|(contact, changes)| kind(changes).iter().map(move |one| (*contact, one)))
        .collect()
}

/// The attributes that are identities too.
fn called(attributes: &Fields) -> [Option<Arc<str>>; 2] {
    CALLED.map(|name| attributes.get(name).and_then(|value| value.as_text()).map(Arc::from))
}

impl Member {
    /// Attributes without what may not change, since it belongs to another contact: that stays as it was before.
    fn keep_called(&mut self, values: &Fields, before: [Option<Arc<str>>; 2], refused: [bool; 2]) -> Fields {
        let mut values = values.clone();
        for ((name, before), refused) in CALLED.into_iter().zip(before).zip(refused) {
            if !refused {
                continue;
            }
            for fields in [&mut values, &mut self.world.attributes] {
                match &before {
                    Some(text) => fields.insert(name.into(), Value::Text(text.clone())),
                    None => fields.remove(name),
                };
            }
        }
        self.called = called(&values);
        values
    }

    /// Takes inputs until there are none or a fact is missing.
    fn advance(
        &mut self,
        deployed: &Deployed,
        now: Timestamp,
        core: &Core,
        purses: &mut Purses,
    ) -> Option<Need> {
        while let Some((came, input)) = self.inputs.front() {
            self.world.came = *came;
            // The purses are those of all contacts of the batch, one after another.
            std::mem::swap(&mut self.world.budgets, &mut purses.by_journey);
            let (world, changes) = (&mut self.world, &mut self.changes);
            let mut ids = || core.new_id();
            let (catalog, programs) = (&deployed.catalog, &deployed.engine);
            let call = || engine::advance(catalog, programs, world, input, now, &mut ids, changes);
            let ended = catch_unwind(AssertUnwindSafe(call));
            std::mem::swap(&mut self.world.budgets, &mut purses.by_journey);
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(need)) => return Some(need),
                // A bug must not stop the others of the bucket: this input is given up, and the log says which.
                Err(_) => tracing::error!(contact = %self.world.contact, "the engine panicked on an input"),
            }
            self.inputs.pop_front();
        }
        None
    }

    fn knows(&self, id: EnrollmentId) -> bool {
        self.world.enrollments.contains_key(&id) || self.world.gone.contains(&id)
    }

    /// An enrollment joins the world; false when its bytes cannot be read.
    fn take_in(&mut self, timer: &Timer, deployed: &Deployed) -> bool {
        match timer.enrollment(deployed) {
            Ok((enrollment, place)) => {
                self.places.insert(enrollment.id, place);
                self.world.enrollments.insert(enrollment.id, enrollment);
                true
            }
            Err(error) => {
                tracing::error!(%error, "an enrollment cannot be read");
                false
            }
        }
    }

    fn keep_enrollment(
        &mut self,
        catalog: &Catalog,
        id: EnrollmentId,
        woke_at: Timestamp,
        later: Timestamp,
    ) -> Option<EnrollmentChange> {
        let changed = self.changes.enrollments.iter().any(|change| change.after.id == id);
        let enrollment = self.world.enrollments.get_mut(&id).filter(|_| !changed)?;
        enrollment.wake_at = enrollment.wake_at.max(later);
        let waits = engine::waits_for(catalog, &enrollment.program, &enrollment.state);
        Some(EnrollmentChange {
            after: enrollment.clone(),
            woke_at: Some(woke_at),
            begins: None,
            ends: None,
            waits_for: waits.clone(),
            waited_for: waits,
            gone: false,
        })
    }

    fn keep_standing(
        &mut self,
        id: EnrollmentId,
        woke_at: Timestamp,
        later: Timestamp,
    ) -> Option<StandingChange> {
        let changed = self.changes.standing.iter().any(|change| change.after.id == id);
        let standing = self.world.standing.as_mut().filter(|_| !changed)?;
        let standing =
            standing.values_mut().find(|standing| standing.id == id && standing.wake_at == woke_at)?;
        standing.wake_at = later;
        Some(StandingChange { after: standing.clone(), woke_at: Some(woke_at) })
    }
}
