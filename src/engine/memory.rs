//! A store in memory with virtual time: what `test` blocks, simulations and the tests of the engine run on.
//!
//! It keeps one fully loaded [`World`] for each contact, calls [`advance`] for every input, and runs timers in order of time.
//! What happens is written into a log. Messages are reported as `sent` at once unless told otherwise.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::advance;
use super::budget::Purse;
use super::program::{Catalog, EntryHow, Program, StepKind, Word};
use super::programs::Programs;
use super::schedule;
use super::world::{
    Cause, Changes, Delivery, Event, Fields, History, Input, Need, NewRequest, NewTask, Note, Outcome,
    Permissions, What, World,
};
use crate::id::{ContactId, EnrollmentId};
use crate::time::Timestamp;
use crate::value::Value;

/// Timers of one contact at one instant before it is called a storm: those that are left are dropped with a note.
const AT_ONCE: usize = 1_000;

/// Reports of messages that one input may bring about before those that are left are dropped with a note: a journey that
/// enters on `message_sent` and sends.
const ECHOES: usize = 200;

/// Contacts, journeys and a clock that only moves when told.
#[derive(Debug)]
pub struct Memory {
    catalog: Arc<Catalog>,
    programs: Programs,
    now: Timestamp,
    contacts: BTreeMap<ContactId, Person>,
    timers: BTreeSet<(Timestamp, ContactId, EnrollmentId)>,
    /// When each schedule that is one for all fires next.
    fires: BTreeMap<(Word, u16), Timestamp>,
    last_id: i64,
    log: Vec<Logged>,
    /// What is left of the budgets of journeys, each with the beginning of its window.
    purses: BTreeMap<Word, (Timestamp, Purse)>,
    /// Outcomes that every message gets at once.
    reports: Vec<Word>,
    reports_of: BTreeMap<Word, Vec<Word>>,
    /// What the latest inputs changed, kept where somebody wants to look.
    changes: Option<Vec<Changes>>,
}

#[derive(Debug)]
struct Person {
    world: World,
    /// Places in audiences.
    places: BTreeSet<(Word, EnrollmentId)>,
    /// Values of `dedupe` fields that came already.
    seen: BTreeSet<(Word, String)>,
}

/// Something that happened, at its virtual time.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    pub at: Timestamp,
    pub contact: ContactId,
    pub what: Happened,
}

/// See [`Logged`].
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    Note(Note),
    Send(Box<Delivery>),
    Task(Box<NewTask>),
    Request(Box<NewRequest>),
    /// What a journey was started with, for the one that began.
    Start(EnrollmentId, Fields),
    /// What a `record` step of that journey wrote.
    Record(Word, Box<Event>),
    /// What the enrollment had queued was withdrawn.
    Withdrawn(EnrollmentId),
}

impl Memory {
    /// No contacts yet; the clock stands at `now`.
    pub fn new(catalog: Catalog, programs: impl IntoIterator<Item = Arc<Program>>, now: Timestamp) -> Memory {
        let programs = Programs::new(&catalog, programs, &[]);
        let mut memory = Memory {
            catalog: Arc::new(catalog),
            programs,
            now,
            contacts: BTreeMap::new(),
            timers: BTreeSet::new(),
            fires: BTreeMap::new(),
            last_id: 1 << 40,
            log: Vec::new(),
            purses: BTreeMap::new(),
            reports: vec!["sent".into()],
            reports_of: BTreeMap::new(),
            changes: None,
        };
        memory.schedule(now.plus_ms(-1));
        memory
    }

    /// The outcomes that every message gets at once; `sent` unless set.
    pub fn report(&mut self, outcomes: &[&str]) {
        self.reports = outcomes.iter().map(|outcome| Word::from(*outcome)).collect();
    }

    /// The outcomes that messages made of that template get, in place of those of all others.
    pub fn report_of(&mut self, template: &str, outcomes: &[&str]) {
        let outcomes = outcomes.iter().map(|outcome| Word::from(*outcome)).collect();
        self.reports_of.insert(template.into(), outcomes);
    }

    /// From now on that split gives that variant to everybody.
    pub fn force_variant(&mut self, split: &str, variant: &str) {
        self.programs.force_variant(split.into(), variant.into());
    }

    /// Keeps all changes from now on for [`Memory::take_changes`].
    pub fn keep_changes(&mut self) {
        self.changes = Some(Vec::new());
    }

    /// The changes of each input since the last call.
    pub fn take_changes(&mut self) -> Vec<Changes> {
        self.changes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// A contact that has been there: what is true of it enters nobody. Call [`Memory::settle`] when its past is complete.
    pub fn add_contact(&mut self, contact: ContactId, attributes: Fields) {
        let ever = self.catalog.events.keys().map(|name| (name.clone(), false)).collect();
        let past = self.programs.iter().map(|program| (program.journey.clone(), Vec::new())).collect();
        let world = World {
            contact,
            attributes,
            past,
            permissions: Some(Permissions::default()),
            all_enrollments: true,
            standing: Some(BTreeMap::new()),
            errands: Some(BTreeMap::new()),
            ever,
            ..World::default()
        };
        self.contacts.insert(contact, Person { world, places: BTreeSet::new(), seen: BTreeSet::new() });
    }

    /// An event of the past: history only.
    pub fn add_past_event(&mut self, contact: ContactId, name: &str, fields: Fields, at: Timestamp) {
        let id = self.new_id();
        let Some(person) = self.contacts.get_mut(&contact) else { return };
        let event = Event { id, name: name.into(), occurred_at: at, accepted_at: at, fields, quiet: true };
        person.world.ever.insert(event.name.clone(), true);
        let history = person.world.history.entry(event.name.clone()).or_insert_with(whole_history);
        history.events.push(event);
        history.events.sort_by_key(|event| (event.occurred_at, event.id));
    }

    /// A consent of the past.
    pub fn add_consent(&mut self, contact: ContactId, purpose: &str, channel: &str, permit: bool) {
        let at = self.now;
        if let Some(permissions) = self.contacts.get_mut(&contact).and_then(|p| p.world.permissions.as_mut())
        {
            permissions.consents.insert((purpose.into(), channel.into()), (permit, at));
        }
    }

    /// Sets up the standing entries of a contact.
    pub fn settle(&mut self, contact: ContactId, cause: Cause) {
        self.apply(contact, &Input::Settle { cause });
    }

    /// Runs the clock to just before `at`, then gives the contact an input: what is accepted at a deadline comes before it.
    pub fn input(&mut self, contact: ContactId, input: &Input, at: Timestamp) {
        self.run(at.plus_ms(-1));
        self.now = self.now.max(at);
        self.apply(contact, input);
    }

    /// Gives a contact an input now, whatever timers are overdue.
    pub fn take_raw(&mut self, contact: ContactId, input: &Input) {
        self.apply(contact, input);
    }

    /// An event that occurs and is accepted at that moment. Gives its id.
    pub fn event(&mut self, contact: ContactId, name: &str, fields: Fields, at: Timestamp) -> i64 {
        let id = self.new_id();
        let event = Event { id, name: name.into(), occurred_at: at, accepted_at: at, fields, quiet: false };
        self.input(contact, &Input::Event(event), at);
        id
    }

    /// What became of the latest message, task or request of that step for that contact. `false` if there was none.
    pub fn outcome(
        &mut self,
        contact: ContactId,
        step: &str,
        outcome: &str,
        fields: Fields,
        at: Timestamp,
    ) -> bool {
        self.run(at.plus_ms(-1));
        let of = |logged: &&Logged| logged.contact == contact;
        let latest = self.log.iter().rev().filter(of).find_map(|logged| match &logged.what {
            Happened::Send(d) if &*d.step == step => Some((d.enrollment, d.round, message_fields(d))),
            Happened::Task(t) if &*t.step == step => Some((t.enrollment, t.round, Fields::new())),
            Happened::Request(r) if &*r.step == step => Some((r.enrollment, r.round, Fields::new())),
            _ => None,
        });
        let Some((enrollment, round, mut all)) = latest else { return false };
        all.extend(fields);
        let (step, outcome) = (step.into(), outcome.into());
        let outcome = Outcome { enrollment, step, round, outcome, at, fields: all };
        self.input(contact, &Input::Outcome(outcome), at);
        true
    }

    /// Runs everything that is due up to that moment, and puts the clock there.
    pub fn advance_to(&mut self, to: Timestamp) {
        self.run(to);
        self.now = self.now.max(to);
    }

    /// The clock goes on without anybody looking at it: what was due meanwhile is overdue afterwards.
    pub fn sleep_to(&mut self, to: Timestamp) {
        self.now = self.now.max(to);
    }

    /// When something happens by itself next.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _, _)| *at);
        let fire = self.fires.values().min().copied();
        timer.into_iter().chain(fire).min()
    }

    /// The time on the clock.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// All that happened so far, in order.
    pub fn log(&self) -> &[Logged] {
        &self.log
    }

    /// What is known of a contact.
    pub fn world(&self, contact: ContactId) -> Option<&World> {
        self.contacts.get(&contact).map(|person| &person.world)
    }

    /// An attribute as the contact has it now.
    pub fn attribute(&self, contact: ContactId, name: &str) -> Value {
        let set = self.world(contact).and_then(|world| world.attributes.get(name));
        let default = || self.catalog.attribute(name).map(|attribute| attribute.default.clone());
        set.cloned().or_else(default).unwrap_or_default()
    }

    /// The audiences that the contact is in.
    pub fn audiences(&self, contact: ContactId) -> BTreeSet<Word> {
        let places = self.contacts.get(&contact).into_iter().flat_map(|person| &person.places);
        places.map(|(audience, _)| audience.clone()).collect()
    }

    /// Where the running enrollments of a contact rest: journey, and the identity of the step.
    pub fn resting(&self, contact: ContactId) -> Vec<(Word, Word)> {
        let enrollments = self.world(contact).into_iter().flat_map(|world| world.enrollments.values());
        let running = enrollments.filter(|enrollment| !enrollment.state.ended);
        running
            .filter_map(|e| {
                let step = e.program.steps.get(usize::from(e.state.step))?;
                Some((e.program.journey.clone(), step.id.clone()))
            })
            .collect()
    }

    // -------------------------------------------------------------- running

    fn run(&mut self, to: Timestamp) {
        let (mut instant, mut at_once) = (Timestamp(i64::MIN), BTreeMap::new());
        while let Some(next) = self.next_wake().filter(|next| *next <= to) {
            self.now = self.now.max(next);
            if instant != self.now {
                instant = self.now;
                at_once.clear();
            }
            let Some((wake_at, contact, id)) = self.timers.first().copied().filter(|(at, _, _)| *at == next)
            else {
                self.fire(next);
                continue;
            };
            self.timers.remove(&(wake_at, contact, id));
            let timers: &mut usize = at_once.entry(contact).or_default();
            *timers += 1;
            match (*timers).cmp(&AT_ONCE) {
                Ordering::Less => self.apply(contact, &Input::Due { id, wake_at }),
                Ordering::Equal => {
                    self.odd(contact, "timers without end at one instant: the rest of them was dropped")
                }
                Ordering::Greater => {}
            }
        }
    }

    /// Fires the schedules of that moment for everybody.
    fn fire(&mut self, at: Timestamp) {
        let due: Vec<(Word, u16)> =
            self.fires.iter().filter(|(_, fire)| **fire <= at).map(|(key, _)| key.clone()).collect();
        let contacts: Vec<ContactId> = self.contacts.keys().copied().collect();
        self.schedule(at);
        for (journey, entry) in due {
            for contact in &contacts {
                self.apply(*contact, &Input::Fire { journey: journey.clone(), entry, at });
            }
        }
    }

    fn schedule(&mut self, after: Timestamp) {
        self.fires.clear();
        for program in self.programs.iter() {
            for (number, entry) in (0_u16..).zip(&program.entries) {
                if matches!(entry.how, EntryHow::Start { .. }) {
                    continue;
                }
                if let Some(at) = schedule::next_fire(&self.catalog, entry, after) {
                    self.fires.insert((program.journey.clone(), number), at);
                }
            }
        }
    }

    /// One input, and the reports of what it sent.
    fn apply(&mut self, contact: ContactId, input: &Input) {
        if let Input::Event(event) = input
            && !self.accepts(contact, event)
        {
            return;
        }
        let mut open = VecDeque::from([input.clone()]);
        for _ in 0..ECHOES {
            let Some(input) = open.pop_front() else { return };
            let Some(changes) = self.advance(contact, &input) else { return };
            for delivery in &changes.deliveries {
                let reports = self.reports_of.get(&delivery.template).unwrap_or(&self.reports);
                open.extend(reports.iter().map(|outcome| Input::Outcome(self.reported(delivery, outcome))));
            }
            self.write(contact, &input, changes);
        }
        if !open.is_empty() {
            let why = "messages brought about messages without end: the rest of their reports was dropped";
            self.odd(contact, why);
        }
    }

    fn odd(&mut self, contact: ContactId, why: &str) {
        let what = What::Odd { why: why.into() };
        let note = Note { at: self.now, enrollment: None, journey: None, step: None, round: 0, what };
        self.log.push(Logged { at: self.now, contact, what: Happened::Note(note) });
    }

    fn reported(&self, delivery: &Delivery, outcome: &Word) -> Outcome {
        Outcome {
            enrollment: delivery.enrollment,
            step: delivery.step.clone(),
            round: delivery.round,
            outcome: outcome.clone(),
            at: self.now,
            fields: message_fields(delivery),
        }
    }

    /// Whether the event is new: a duplicate is no event.
    fn accepts(&mut self, contact: ContactId, event: &Event) -> bool {
        let Some(person) = self.contacts.get_mut(&contact) else { return false };
        let field = self.catalog.events.get(&event.name).and_then(|kind| kind.dedupe.as_ref());
        match field.and_then(|field| event.fields.get(field)).filter(|value| value.is_known()) {
            Some(value) => person.seen.insert((event.name.clone(), value.to_json().to_string())),
            None => true,
        }
    }

    fn advance(&mut self, contact: ContactId, input: &Input) -> Option<Changes> {
        let person = self.contacts.get_mut(&contact)?;
        let mut changes = Changes::default();
        for (journey, budget) in &self.catalog.budgets {
            let since = self.catalog.budget_since(journey, self.now).unwrap_or_default();
            let whole = (since, Purse { left: budget.most, last: true, ..Purse::default() });
            let known = self.purses.entry(journey.clone()).or_insert(whole);
            if known.0 != since {
                *known = whole;
            }
            person.world.budgets.insert(journey.clone(), known.1);
        }
        loop {
            // A call that is repeated begins with the same ids again.
            let mut last_id = self.last_id;
            let mut ids = || {
                last_id += 1;
                last_id
            };
            let world = &mut person.world;
            let done = advance(&self.catalog, &self.programs, world, input, self.now, &mut ids, &mut changes);
            match done {
                Ok(()) => {
                    self.last_id = last_id;
                    for (journey, purse) in std::mem::take(&mut world.budgets) {
                        self.purses.entry(journey).and_modify(|(_, known)| *known = purse);
                    }
                    for event in &changes.events {
                        let whole = || History { events: vec![event.clone()], ..whole_history() };
                        world.history.entry(event.name.clone()).or_insert_with(whole);
                    }
                    return Some(changes);
                }
                Err(need) => fill(&mut person.world, need),
            }
        }
    }

    fn write(&mut self, contact: ContactId, input: &Input, changes: Changes) {
        for change in &changes.enrollments {
            let id = change.after.id;
            let wake_at = if change.gone { Timestamp::NEVER } else { change.after.wake_at };
            self.rearm(contact, id, change.woke_at, wake_at);
        }
        for change in &changes.standing {
            self.rearm(contact, change.after.id, change.woke_at, change.after.wake_at);
        }
        for errand in &changes.errands {
            self.rearm(contact, errand.id, None, errand.wake_at);
        }
        for (wake_at, id) in &changes.errands_done {
            self.timers.remove(&(*wake_at, contact, *id));
        }
        if let Some(person) = self.contacts.get_mut(&contact) {
            changes.places.iter().for_each(|place| place.apply(&mut person.places));
        }
        let at = self.now;
        let mut log = |what| self.log.push(Logged { at, contact, what });
        let heard = |event: &&Event| matches!(input, Input::Event(heard) if heard.id == event.id);
        let mut recorded: Vec<&Event> = changes.events.iter().filter(|event| !heard(event)).collect();
        for note in &changes.history {
            let place = (note.enrollment, note.step.as_ref(), note.round);
            match &note.what {
                What::Queued { delivery, .. } => {
                    let sent = changes.deliveries.iter().find(|d| d.id == *delivery);
                    sent.into_iter().for_each(|d| log(Happened::Send(Box::new(d.clone()))));
                }
                What::Rests { .. } => {
                    let task =
                        changes.tasks.iter().find(|t| place == (Some(t.enrollment), Some(&t.step), t.round));
                    task.into_iter().for_each(|t| log(Happened::Task(Box::new(t.clone()))));
                    let request = changes
                        .requests
                        .iter()
                        .find(|r| place == (Some(r.enrollment), Some(&r.step), r.round));
                    request.into_iter().for_each(|r| log(Happened::Request(Box::new(r.clone()))));
                }
                What::Entered => {
                    let began = changes.enrollments.iter().find(|c| Some(c.after.id) == note.enrollment);
                    let begin = began.and_then(|change| Some((change.after.id, change.begins.as_ref()?)));
                    begin
                        .into_iter()
                        .for_each(|(id, begin)| log(Happened::Start(id, begin.arguments.clone())));
                }
                What::Done { .. } => {
                    let name = recorded_by(note, &changes);
                    let place = recorded.iter().position(|event| Some(&event.name) == name);
                    if let (Some(place), Some(journey)) = (place, &note.journey) {
                        log(Happened::Record(journey.clone(), Box::new(recorded.remove(place).clone())));
                    }
                }
                _ => {}
            }
            log(Happened::Note(note.clone()));
        }
        changes.cancel.iter().for_each(|id| log(Happened::Withdrawn(*id)));
        if let Some(kept) = &mut self.changes {
            kept.push(changes);
        }
    }

    fn rearm(&mut self, contact: ContactId, id: EnrollmentId, before: Option<Timestamp>, after: Timestamp) {
        if let Some(before) = before {
            self.timers.remove(&(before, contact, id));
        }
        if after != Timestamp::NEVER {
            self.timers.insert((after, contact, id));
        }
    }

    /// Ids made from now on are larger than this one.
    pub fn set_last_id(&mut self, id: i64) {
        self.last_id = self.last_id.max(id);
    }

    /// A new id, for an event that comes in.
    pub fn new_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }
}

/// Everything there is of one event name.
fn whole_history() -> History {
    History { events: Vec::new(), since: Timestamp(i64::MIN), truncated: false }
}

/// A world in memory is whole: what is asked for and not there does not exist.
fn fill(world: &mut World, need: Need) {
    match need {
        Need::History { name, .. } => {
            world.history.entry(name).or_insert_with(whole_history).since = Timestamp(i64::MIN);
        }
        Need::Permissions => world.permissions = Some(Permissions::default()),
        Need::Listeners(_) | Need::AllEnrollments => world.all_enrollments = true,
        Need::Enrollment(id) => {
            world.gone.insert(id);
        }
        Need::Past(journey) => {
            world.past.entry(journey).or_default();
        }
        Need::Standing => world.standing = Some(BTreeMap::new()),
        Need::Errands => world.errands = Some(BTreeMap::new()),
        Need::Ever(name) => {
            world.ever.insert(name, false);
        }
        Need::Budget { journey, .. } => {
            world.budgets.entry(journey).or_default().last = true;
        }
    }
}

/// The event that the step of a note writes, if it is a `record`.
fn recorded_by<'c>(note: &Note, changes: &'c Changes) -> Option<&'c Word> {
    let moved = changes.enrollments.iter().find(|change| Some(change.after.id) == note.enrollment)?;
    let step = moved.after.program.steps.iter().find(|step| Some(&step.id) == note.step.as_ref())?;
    match &step.kind {
        StepKind::Record { event, .. } => Some(event),
        _ => None,
    }
}

fn message_fields(delivery: &Delivery) -> Fields {
    let text = |word: &Word| Value::Text(word.clone());
    [
        ("channel".into(), text(&delivery.channel)),
        ("template".into(), text(&delivery.template)),
        ("journey".into(), text(&delivery.journey)),
        ("purpose".into(), text(&delivery.purpose)),
    ]
    .into()
}
