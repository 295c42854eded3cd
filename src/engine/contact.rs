//! One input through one contact: enrollments first, then standing entries and entries, then what all that caused.
//!
//! [`advance`] never changes anything before it has succeeded: it looks at the world, collects what is done in
//! [`Effects`] and copies of the touched enrollments, and only then writes world and changes.

use std::collections::{BTreeMap, BTreeSet};

use super::eval::Heard;
use super::facts::{Caused, Effects, Facts, Turn};
use super::hear::Incoming;
use super::policy;
use super::program::{Catalog, EntryHow, StepKind, Word};
use super::programs::Programs;
use super::run::{take_out, word};
use super::world::{
    Begin, Changes, ConsentChange, Delivery, Enrollment, EnrollmentChange, ErrandKind, Event, Fields, Input,
    Need, Note, Outcome, Past, Permissions, Standing, StandingChange, What, World, signal,
};
use super::{Flow, StepInput, interests, listens, logical, step, waits_for, wake_at};
use crate::id::EnrollmentId;
use crate::time::Timestamp;
use crate::value::Value;

/// The most things that one input may cause before the rest is dropped with a note: journeys that start each other, events that
/// record themselves.
pub const STORM: usize = 200;

/// The most steps that one input may run through in all enrollments together, looked at before each thing it caused.
const STEPS: u32 = 20_000;

/// Overdue timers of one enrollment that fire before an event is shown to it.
const OVERDUE: usize = 100;

/// Outcomes of messages that are events for all journeys.
const MESSAGE_EVENTS: [&str; 7] =
    ["sent", "delivered", "opened", "clicked", "bounced", "complained", "replied"];

/// Takes one input of one contact. `changes` may hold those of former inputs of the same contact; the new ones join them.
///
/// On a [`Need`] neither world nor changes were touched: load it and call again with the same input.
pub fn advance(
    catalog: &Catalog,
    programs: &Programs,
    world: &mut World,
    input: &Input,
    now: Timestamp,
    ids: &mut dyn FnMut() -> i64,
    changes: &mut Changes,
) -> Result<(), Need> {
    let facts = Facts::new(catalog, programs, world, now);
    let mut effects = Effects::default();
    let mut call = Call {
        turn: Turn { facts: &facts, effects: &mut effects, ids },
        moved: BTreeMap::new(),
        standing: BTreeMap::new(),
        first: BTreeSet::new(),
        accepted_at: accepted_at(input).unwrap_or(now),
    };
    call.take(input)?;
    call.work_off()?;
    let done = call.finish();
    done.write(world, changes, effects);
    Ok(())
}

/// An enrollment that this call touched or began.
#[derive(Clone, Debug)]
pub(super) struct Moving {
    pub enrollment: Enrollment,
    pub begins: Option<Timestamp>,
    pub ends: Option<Word>,
    pub interrupted: bool,
}

/// The call under way.
pub(super) struct Call<'t, 'a> {
    pub turn: Turn<'t, 'a>,
    pub moved: BTreeMap<EnrollmentId, Moving>,
    pub standing: BTreeMap<(Word, u16), Standing>,
    /// Events that came for the first time within this call.
    pub first: BTreeSet<Word>,
    /// When the input was accepted: what was due before is over, whichever comes first.
    accepted_at: Timestamp,
}

/// When an input was accepted; `None` for time itself and for what operators do.
fn accepted_at(input: &Input) -> Option<Timestamp> {
    match input {
        Input::Event(event) => Some(event.accepted_at),
        Input::Outcome(outcome) => Some(outcome.at),
        Input::Attributes { at, .. } | Input::Start { at, .. } => Some(*at),
        Input::Consent(change) => Some(change.at),
        Input::Due { .. }
        | Input::Fire { .. }
        | Input::Leave { .. }
        | Input::Settle { .. }
        | Input::Suppress(_) => None,
    }
}

impl<'a> Call<'_, 'a> {
    fn take(&mut self, input: &Input) -> Result<(), Need> {
        let now = self.turn.facts.now;
        match input {
            Input::Event(event) => {
                let number = self.turn.effects.events.len();
                self.turn.effects.events.push(event.clone());
                self.event(number, 0)
            }
            Input::Due { id, wake_at } => self.due(*id, *wake_at),
            Input::Outcome(outcome) => self.outcome(outcome),
            Input::Attributes { values, .. } => {
                for (name, value) in values {
                    self.turn.effects.set(self.turn.facts, name, value.clone());
                }
                Ok(())
            }
            Input::Consent(change) => {
                self.consent(change.clone());
                Ok(())
            }
            Input::Suppress(suppression) => {
                self.turn.effects.suppressions.push(suppression.clone());
                Ok(())
            }
            Input::Start { journey, arguments, at } => {
                self.start(journey, arguments, logical(*at, now), None).map(|_| ())
            }
            Input::Fire { journey, entry, at } => self.fire(&(journey.clone(), *entry), *at),
            Input::Settle { cause } => self.settle(*cause),
            Input::Leave { journey, reason } => self.leave_journey(journey, reason, now),
        }
    }

    /// What the input caused, in order, and what that causes.
    fn work_off(&mut self) -> Result<(), Need> {
        for _ in 0..STORM {
            if self.turn.effects.steps > STEPS {
                break;
            }
            let Some(caused) = self.turn.effects.caused.pop_front() else { return Ok(()) };
            match caused {
                Caused::Recorded { event, order } => self.event(event, order)?,
                Caused::Changed { attribute, old, new } => self.changed(&attribute, old, new)?,
                Caused::Consent { purpose, permit } => self.consent_changed(&purpose, permit)?,
                Caused::Start { journey, arguments, at, parent } => {
                    self.start(&journey, &arguments, at, parent)?;
                }
                Caused::Child(outcome) => self.child(&outcome)?,
            }
        }
        if !self.turn.effects.caused.is_empty() {
            self.turn.effects.caused.clear();
            self.note(
                None,
                What::Odd {
                    why: format!(
                        "one input caused more than {STORM} others, or too many steps: the rest was dropped"
                    )
                    .into(),
                },
            );
        }
        Ok(())
    }

    // -------------------------------------------------------------- enrollments

    /// An enrollment as it is now.
    pub(super) fn enrollment(&self, id: EnrollmentId) -> Option<&Enrollment> {
        let moved = self.moved.get(&id).map(|moving| &moving.enrollment);
        moved.or_else(|| self.turn.facts.world.enrollments.get(&id))
    }

    /// All that are loaded or began here, the oldest first.
    pub(super) fn ids(&self) -> Vec<EnrollmentId> {
        let loaded = self.turn.facts.world.enrollments.keys();
        if self.moved.is_empty() {
            return loaded.copied().collect();
        }
        loaded.chain(self.moved.keys()).copied().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Gives one enrollment an input.
    pub(super) fn step(&mut self, id: EnrollmentId, input: StepInput) -> Result<Flow, Need> {
        let mut moving = match self.moved.remove(&id) {
            Some(moving) => moving,
            None => match self.turn.facts.world.enrollments.get(&id) {
                Some(enrollment) => {
                    Moving { enrollment: enrollment.clone(), begins: None, ends: None, interrupted: false }
                }
                None => return Ok(Flow::Unmoved),
            },
        };
        let program = moving.enrollment.program.clone();
        let flow = step(&program, id, &mut moving.enrollment.state, input, &mut self.turn)?;
        if let Flow::Ended { reason, interrupted } = &flow {
            moving.ends = Some(reason.clone());
            moving.interrupted = *interrupted;
        }
        let journey = program.journey.clone();
        self.moved.insert(id, moving);
        if matches!(flow, Flow::Ended { .. }) {
            self.ended(&journey)?;
        }
        Ok(flow)
    }

    /// Those that listen to the signal must all be loaded.
    fn listeners(&self, signal: &Word) -> Result<(), Need> {
        let facts = self.turn.facts;
        let known = facts.world.all_enrollments
            || facts.world.listening.contains(signal)
            || !facts.programs.hears(signal);
        if known { Ok(()) } else { Err(Need::Listeners(signal.clone())) }
    }

    /// All active enrollments must be loaded.
    pub(super) fn everybody(&self) -> Result<(), Need> {
        if self.turn.facts.world.all_enrollments { Ok(()) } else { Err(Need::AllEnrollments) }
    }

    fn hears(&self, id: EnrollmentId, signal: &Word) -> bool {
        let catalog = self.turn.facts.catalog;
        self.enrollment(id)
            .is_some_and(|enrollment| listens(catalog, &enrollment.program, &enrollment.state, signal))
    }

    fn wake_at(&self, id: EnrollmentId) -> Timestamp {
        let wake = |enrollment: &Enrollment| {
            wake_at(&enrollment.program, &enrollment.state, self.turn.facts, self.turn.effects)
        };
        self.enrollment(id).and_then(wake).unwrap_or(Timestamp::NEVER)
    }

    /// Timers that were due before that moment fire first: what was accepted after a deadline is too late for it.
    fn catch_up(&mut self, id: EnrollmentId, accepted_at: Timestamp) -> Result<(), Need> {
        for _ in 0..OVERDUE {
            if self.wake_at(id) >= accepted_at.min(self.turn.facts.now) {
                break;
            }
            self.step(id, StepInput::Due)?;
        }
        Ok(())
    }

    // -------------------------------------------------------------- events

    /// Shows an event of [`Effects::events`] to everybody concerned.
    fn event(&mut self, number: usize, order: u32) -> Result<(), Need> {
        let Some(event) = self.turn.effects.events.get(number).cloned() else { return Ok(()) };
        let facts = self.turn.facts;
        let late = facts.catalog.events.get(&event.name).is_some_and(|kind| {
            let zone = facts.contact_zone(self.turn.effects);
            kind.late_after.after(event.occurred_at, &zone, &facts.catalog.holidays) < event.accepted_at
        });
        let first = self.is_first(&event)?;
        if !event.quiet {
            self.listeners(&event.name)?;
            for id in self.ids() {
                if self.hears(id, &event.name) {
                    self.catch_up(id, event.accepted_at)?;
                    let incoming = Incoming {
                        heard: Heard::event(&event),
                        slot: None,
                        signal: &event.name,
                        order,
                        late,
                        at: logical(event.accepted_at, facts.now),
                    };
                    self.step(id, StepInput::Hear(incoming))?;
                }
            }
        }
        self.watchers(&event.name, event.quiet || late)?;
        if !event.quiet && !late {
            self.entries_on(&event, first)?;
        }
        Ok(())
    }

    /// Whether the contact never had such an event. Asked only where an entry asks.
    fn is_first(&mut self, event: &Event) -> Result<bool, Need> {
        let facts = self.turn.facts;
        if !facts.programs.asks_first(&event.name) || self.first.contains(&event.name) {
            return Ok(false);
        }
        let known = facts.world.history.get(&event.name).is_some_and(|history| !history.events.is_empty());
        let before = match facts.world.ever.get(&event.name) {
            _ if known => true,
            Some(before) => *before,
            None => return Err(Need::Ever(event.name.clone())),
        };
        self.first.insert(event.name.clone());
        Ok(!before)
    }

    fn entries_on(&mut self, event: &Event, first: bool) -> Result<(), Need> {
        let mut entered: Vec<&Word> = Vec::new();
        for key in self.turn.facts.programs.on_event(&event.name) {
            let Some((_, entry)) = self.turn.facts.programs.entry(key) else { continue };
            let fires = match entry.how {
                EntryHow::FirstEvent(_) => first,
                _ => true,
            };
            // Several `enter` lines may name one event; it brings in one enrollment all the same.
            if fires && !entered.contains(&&key.0) && self.enter_on(key, event)? {
                entered.push(&key.0);
            }
        }
        Ok(())
    }

    // -------------------------------------------------------------- time

    fn due(&mut self, id: EnrollmentId, due_at: Timestamp) -> Result<(), Need> {
        let (facts, now) = (self.turn.facts, self.turn.facts.now);
        if due_at > now {
            return Ok(());
        }
        if let Some(enrollment) = facts.world.enrollments.get(&id) {
            if enrollment.wake_at == due_at {
                self.step(id, StepInput::Due)?;
            }
            return Ok(());
        }
        if facts.world.gone.contains(&id) {
            return Ok(());
        }
        let standing = facts.world.standing.as_ref().ok_or(Need::Standing)?;
        if let Some((key, _)) = standing.iter().find(|(_, s)| s.id == id && s.wake_at == due_at) {
            return self.standing_due(key);
        }
        let errands = facts.world.errands.as_ref().ok_or(Need::Errands)?;
        if let Some(errand) = errands.get(&id).filter(|errand| errand.wake_at == due_at) {
            let ErrandKind::Undo { attribute, value } = &errand.what;
            self.turn.effects.errands_done.push((due_at, id));
            take_out(&mut self.turn, attribute, value);
        }
        Ok(())
    }

    // -------------------------------------------------------------- outcomes

    fn outcome(&mut self, outcome: &Outcome) -> Result<(), Need> {
        let facts = self.turn.facts;
        let id = outcome.enrollment;
        let known = facts.world.all_enrollments || facts.world.gone.contains(&id);
        if self.enrollment(id).is_none() && !known {
            return Err(Need::Enrollment(id));
        }
        self.message_event(outcome);
        let order = self.turn.effects.next_order();
        self.catch_up(id, outcome.at)?;
        self.step(id, StepInput::Outcome { outcome, order, at: logical(outcome.at, facts.now) })?;
        Ok(())
    }

    /// The same fact for all journeys.
    fn message_event(&mut self, outcome: &Outcome) {
        if !MESSAGE_EVENTS.contains(&&*outcome.outcome) {
            return;
        }
        let program = self.enrollment(outcome.enrollment).map(|enrollment| enrollment.program.clone());
        let step = program.as_ref().and_then(|program| program.steps.iter().find(|s| s.id == outcome.step));
        let mut fields = outcome.fields.clone();
        match (step.map(|step| &step.kind), &program) {
            (Some(StepKind::Send(send)), Some(program)) => {
                let mut add = |name: Word, value: &Word| {
                    fields.entry(name).or_insert_with(|| Value::Text(value.clone()));
                };
                add(word!("journey"), &program.journey);
                add(word!("purpose"), &send.purpose);
                add(word!("template"), &send.template);
            }
            (None, None) if fields.contains_key("template") => {}
            _ => return,
        }
        let id = (self.turn.ids)();
        let name = format!("message_{}", outcome.outcome).into();
        let (occurred_at, accepted_at) = (outcome.at, outcome.at);
        self.turn.effects.record(Event { id, name, occurred_at, accepted_at, fields, quiet: false });
    }

    /// A child journey has ended.
    fn child(&mut self, outcome: &Outcome) -> Result<(), Need> {
        let known =
            self.turn.facts.world.all_enrollments || self.turn.facts.world.gone.contains(&outcome.enrollment);
        if self.enrollment(outcome.enrollment).is_none() && !known {
            return Err(Need::Enrollment(outcome.enrollment));
        }
        let order = self.turn.effects.next_order();
        self.step(outcome.enrollment, StepInput::Outcome { outcome, order, at: outcome.at })?;
        Ok(())
    }

    // -------------------------------------------------------------- attributes and consent

    fn changed(&mut self, attribute: &Word, old: Value, new: Value) -> Result<(), Need> {
        let facts = self.turn.facts;
        let name = signal::attribute(attribute);
        self.listeners(&name)?;
        let zone = facts.catalog.zone_attribute() == Some(attribute);
        if zone {
            self.everybody()?;
        }
        for id in self.ids() {
            self.show_change(id, &name)?;
            if zone {
                self.step(id, StepInput::Moved { at: facts.now })?;
            }
        }
        self.watchers(&name, false)?;
        if zone {
            self.zone_changed(&old)?;
        }
        for key in facts.programs.on_change(attribute) {
            let fields = [(word!("old"), old.clone()), (word!("new"), new.clone())].into();
            self.enter(key, fields, facts.now, None)?;
        }
        Ok(())
    }

    /// Shows an enrollment that something it may watch has changed.
    fn show_change(&mut self, id: EnrollmentId, signal: &Word) -> Result<(), Need> {
        if self.hears(id, signal) {
            self.catch_up(id, self.accepted_at)?;
            let at = logical(self.accepted_at, self.turn.facts.now);
            self.step(id, StepInput::Changed { signal, at })?;
        }
        Ok(())
    }

    fn consent(&mut self, change: ConsentChange) {
        let (purpose, permit) = (change.purpose.clone(), change.permit);
        self.turn.effects.consents.push(change);
        self.turn.effects.caused.push_back(Caused::Consent { purpose, permit });
    }

    /// A withdrawal ends the enrollments that it leaves without any channel they may use.
    fn consent_changed(&mut self, purpose: &Word, permit: bool) -> Result<(), Need> {
        let facts = self.turn.facts;
        if !permit {
            self.everybody()?;
            for id in self.ids() {
                let Some(enrollment) = self.enrollment(id).filter(|e| !e.state.ended) else { continue };
                let program = enrollment.program.clone();
                let concerned = facts.catalog.lineage(&program.purpose).any(|p| p == purpose);
                if concerned && !self.has_consent(&program)? {
                    let reason = &word!("consent_withdrawn");
                    self.step(id, StepInput::Leave { reason, at: facts.now })?;
                }
            }
        }
        let name = signal::consent(purpose);
        self.listeners(&name)?;
        for id in self.ids() {
            self.show_change(id, &name)?;
        }
        self.watchers(&name, false)?;
        if permit { self.retry_members() } else { Ok(()) }
    }

    /// Whether the contact may be in a journey at all, by its purpose and channels.
    pub(super) fn has_consent(&self, program: &super::program::Program) -> Result<bool, Need> {
        let (facts, effects) = (self.turn.facts, &*self.turn.effects);
        let purpose = &program.purpose;
        if policy::is_transactional(facts.catalog, purpose) || program.channels.is_empty() {
            return Ok(true);
        }
        for channel in &program.channels {
            if !policy::needs_consent(facts.catalog, purpose, channel)
                || policy::permitted(facts, effects, purpose, channel)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    // -------------------------------------------------------------- starting and leaving

    pub(super) fn start(
        &mut self,
        journey: &Word,
        arguments: &Fields,
        at: Timestamp,
        parent: Option<(EnrollmentId, Word, u32)>,
    ) -> Result<(), Need> {
        let program = self.turn.facts.programs.get(journey);
        let number = program.and_then(|program| {
            program.entries.iter().position(|entry| matches!(entry.how, EntryHow::Start { .. }))
        });
        let entered = match number.and_then(|number| u16::try_from(number).ok()) {
            Some(number) => self.enter(&(journey.clone(), number), arguments.clone(), at, parent.clone())?,
            None => {
                let why = format!("there is no journey {journey} that can be started").into();
                self.note(Some(journey.clone()), What::Odd { why });
                false
            }
        };
        if let (false, Some((enrollment, step, round))) = (entered, parent) {
            let fields = [(word!("exit"), Value::Text(word!("not_entered")))].into();
            let at = self.turn.facts.now;
            let outcome = Outcome { enrollment, step, round, outcome: word!("exit"), at, fields };
            self.turn.effects.caused.push_back(Caused::Child(outcome));
        }
        Ok(())
    }

    fn leave_journey(&mut self, journey: &Word, reason: &Word, at: Timestamp) -> Result<(), Need> {
        self.everybody()?;
        for id in self.active(journey) {
            self.step(id, StepInput::Leave { reason, at })?;
        }
        Ok(())
    }

    /// Running enrollments of that journey among those loaded.
    pub(super) fn active(&self, journey: &Word) -> Vec<EnrollmentId> {
        let runs = |id: &EnrollmentId| {
            self.enrollment(*id).is_some_and(|e| !e.state.ended && e.program.journey == *journey)
        };
        self.ids().into_iter().filter(runs).collect()
    }

    pub(super) fn note(&mut self, journey: Option<Word>, what: What) {
        let at = self.turn.facts.now;
        self.turn.effects.notes.push(Note { at, enrollment: None, journey, step: None, round: 0, what });
    }

    // -------------------------------------------------------------- the end of the call

    fn finish(self) -> Done {
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
                begins: moving
                    .begins
                    .map(|entered_at| Begin { entered_at, interests: interests(catalog, &after.program) }),
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
struct Done {
    enrollments: Vec<EnrollmentChange>,
    cancel: Vec<EnrollmentId>,
    standing: BTreeMap<(Word, u16), Standing>,
    first: BTreeSet<Word>,
    now: Timestamp,
}

impl Done {
    fn write(self, world: &mut World, changes: &mut Changes, effects: Effects) {
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
