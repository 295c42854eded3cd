//! Who enters and who is taken out: filters, audience, the re-entry rule per (contact, key), consent by purpose, and the beginning itself.

use std::sync::Arc;

use super::StepInput;
use super::contact::{Call, Moving};
use super::eval::{Heard, Scope};
use super::facts::{Caused, Facts};
use super::policy;
use super::program::{Entry, EntryHow, Program, Reenter, Runs, Word};
use super::run::word;
use super::state::{Rest, State, Stays};
use super::world::{Because, Enrollment, Event, Fields, Need, Note, Outcome, Past, What};
use crate::id::EnrollmentId;
use crate::time::Timestamp;
use crate::value::Value;

impl Runs {
    /// Whether somebody may enter at that moment.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.until.is_none_or(|until| at < until)
    }
}

impl State {
    /// The state of an enrollment that begins at that moment.
    pub fn begin(program: &Program, entered_at: Timestamp) -> State {
        State {
            entered_at,
            since: entered_at,
            clock: entered_at,
            rest: Rest { due_at: Timestamp::NEVER, recheck_at: Timestamp::NEVER, ..Rest::default() },
            recheck_at: Timestamp::NEVER,
            slots: vec![Value::Unknown; program.slots.len()],
            ..State::default()
        }
    }
}

/// Somebody at the door.
struct Visitor {
    program: Arc<Program>,
    key: Arc<str>,
    state: State,
    /// What a start gives along.
    arguments: Fields,
}

impl<'a> Call<'_, 'a> {
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

    pub(super) fn leave_journey(&mut self, journey: &Word, reason: &Word, at: Timestamp) -> Result<(), Need> {
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

    /// An event may bring the contact in.
    pub(super) fn enter_on(&mut self, key: &(Word, u16), event: &Event) -> Result<bool, Need> {
        let at = super::logical(event.accepted_at, self.turn.facts.now);
        let Value::Record(fields) = Heard::event(event).record() else { return Ok(false) };
        self.try_enter(key, fields, at, event.occurred_at, None)
    }

    /// Anything else may bring the contact in.
    pub(super) fn enter(
        &mut self,
        key: &(Word, u16),
        fields: Fields,
        at: Timestamp,
        parent: Option<(EnrollmentId, Word, u32)>,
    ) -> Result<bool, Need> {
        self.try_enter(key, fields, at, at, parent)
    }

    /// A schedule fires for this contact.
    pub(super) fn fire(&mut self, key: &(Word, u16), at: Timestamp) -> Result<(), Need> {
        let fields = [(word!("at"), Value::Moment(at))].into();
        self.enter(key, fields, super::logical(at, self.turn.facts.now), None).map(|_| ())
    }

    fn try_enter(
        &mut self,
        key: &(Word, u16),
        mut fields: Fields,
        at: Timestamp,
        occurred_at: Timestamp,
        parent: Option<(EnrollmentId, Word, u32)>,
    ) -> Result<bool, Need> {
        let facts: &Facts<'a> = self.turn.facts;
        let Some((program, entry)) = facts.programs.entry(key) else { return Ok(false) };
        if program.runs.is_some_and(|runs| !runs.contains(at)) {
            return Ok(false);
        }
        let arguments = match entry.how {
            EntryHow::Start { .. } => fields.clone(),
            _ => Fields::new(),
        };
        fields.entry(word!("at")).or_insert(Value::Moment(occurred_at));
        let instance = instance_key(program, &fields);
        let mut state = State::begin(program, at);
        state.since = at.min(occurred_at);
        state.parent = parent;
        if matches!(entry.how, EntryHow::While { .. }) {
            state.stays = Stays::While(key.1);
        }
        state.put(0, Value::Record(fields));
        if !self.is_invited(program, entry, &state)? {
            return Ok(false);
        }
        let past = self.past(program)?;
        let past: Vec<&Past> = past.iter().filter(|past| past.key == instance).collect();
        if let Some(why) = self.refused(program, &past, at) {
            let because = self.stays(program, &past);
            self.turned_away(program, why, because);
            return Ok(false);
        }
        if !self.has_consent(program)? {
            let scope = Scope::contact(self.turn.facts, self.turn.effects);
            let because = policy::no_consent(&scope, &program.purpose, &program.channels)?;
            self.turned_away(program, "no consent", because);
            return Ok(false);
        }
        if program.reenter == Reenter::Restart {
            self.everybody()?;
            for past in past.iter().filter(|past| past.ended_at.is_none()) {
                self.step(past.id, StepInput::Leave { reason: &word!("restarted"), at })?;
            }
        }
        self.admit(Visitor { program: program.clone(), key: instance, state, arguments })?;
        Ok(true)
    }

    /// `where`, and `for SEGMENT`.
    fn is_invited(&self, program: &Program, entry: &Entry, state: &State) -> Result<bool, Need> {
        let scope = Scope::of(self.turn.facts, self.turn.effects, program, state);
        for condition in entry.filter.iter().chain(&entry.audience) {
            if !scope.holds(condition)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Enrollments of the journey, past and present, as they are now; none where nobody asks.
    pub(super) fn past(&self, program: &Program) -> Result<Vec<Past>, Need> {
        if program.reenter == Reenter::Always {
            return Ok(Vec::new());
        }
        let journey = &program.journey;
        let loaded = self.turn.facts.world.past.get(journey).ok_or_else(|| Need::Past(journey.clone()))?;
        let mut all = loaded.clone();
        for (id, moving) in
            self.moved.iter().filter(|(_, moving)| moving.enrollment.program.journey == *journey)
        {
            let ended_at = moving.ends.as_ref().map(|_| self.turn.facts.now);
            match (all.iter_mut().find(|past| past.id == *id), moving.begins) {
                (Some(past), _) => past.ended_at = past.ended_at.or(ended_at),
                (None, Some(entered_at)) => {
                    all.push(Past { id: *id, key: moving.enrollment.key.clone(), entered_at, ended_at });
                }
                (None, None) => {}
            }
        }
        Ok(all)
    }

    /// Why the re-entry rule says no.
    fn refused(&self, program: &Program, past: &[&Past], at: Timestamp) -> Option<&'static str> {
        let scope = Scope::contact(self.turn.facts, self.turn.effects);
        let inside = past.iter().any(|past| past.ended_at.is_none());
        let free_at = reentry_at(&scope, program.reenter, past);
        match program.reenter {
            Reenter::Always | Reenter::Restart => None,
            Reenter::Never => (!past.is_empty()).then_some("was in this journey before"),
            Reenter::WhenFinished => inside.then_some("is in this journey"),
            Reenter::AfterExit(_) if inside => Some("is in this journey"),
            Reenter::AfterEntry(_) | Reenter::AfterExit(_) => {
                free_at.is_some_and(|free| at < free).then_some("was in this journey too lately")
            }
        }
    }

    /// The stay that a re-entry rule looked at: the newest one.
    fn stays(&self, program: &Program, past: &[&Past]) -> Because {
        let newest = past.iter().max_by_key(|past| (past.ended_at.is_none(), past.entered_at));
        let Some(newest) = newest else { return Because::new() };
        let scope = Scope::contact(self.turn.facts, self.turn.effects);
        let free = reentry_at(&scope, program.reenter, past);
        let moments =
            [("entered", Some(newest.entered_at)), ("left", newest.ended_at), ("free", free)].into_iter();
        moments.filter_map(|(name, at)| Some((name.into(), Value::Moment(at?)))).collect()
    }

    fn turned_away(&mut self, program: &Program, why: &str, because: Because) {
        self.note(Some(program.journey.clone()), What::NotEntered { why: why.into(), because });
    }

    /// The enrollment begins and runs to its first rest.
    fn admit(&mut self, visitor: Visitor) -> Result<(), Need> {
        let Visitor { program, key, mut state, arguments } = visitor;
        let id = EnrollmentId((self.turn.ids)());
        if let Value::Record(fields) = std::mem::take(&mut state.slots[0]) {
            let kept = &program.tables().entry_fields;
            let kept: Fields = fields.into_iter().filter(|(name, _)| kept.contains(name)).collect();
            state.slots[0] = if kept.is_empty() { Value::Unknown } else { Value::Record(kept) };
        }
        let (at, entered_at) = (self.turn.facts.now, state.entered_at);
        self.turn.effects.notes.push(Note {
            at,
            enrollment: Some(id),
            journey: Some(program.journey.clone()),
            step: None,
            round: 0,
            what: What::Entered,
        });
        let enrollment = Enrollment { id, program, key, state, wake_at: Timestamp::NEVER };
        let begins = Some(entered_at);
        self.moved.insert(id, Moving { enrollment, begins, arguments, ends: None, interrupted: false });
        self.step(id, StepInput::Enter)?;
        Ok(())
    }
}

/// When `reenter D after …` allows the next one; `None` if nothing stands in the way.
pub(super) fn reentry_at(scope: &Scope, reenter: Reenter, past: &[&Past]) -> Option<Timestamp> {
    match reenter {
        Reenter::AfterEntry(span) => past.iter().map(|past| scope.later(past.entered_at, span)).max(),
        Reenter::AfterExit(span) => {
            past.iter().filter_map(|past| past.ended_at).map(|ended| scope.later(ended, span)).max()
        }
        Reenter::Never | Reenter::Always | Reenter::WhenFinished | Reenter::Restart => None,
    }
}

/// The values of `per`, as JSON text; empty without `per`.
fn instance_key(program: &Program, fields: &Fields) -> Arc<str> {
    if program.per.is_empty() {
        return "".into();
    }
    let value = |name: &Word| fields.get(name).map_or(serde_json::Value::Null, Value::to_json);
    serde_json::Value::Array(program.per.iter().map(value).collect()).to_string().into()
}
