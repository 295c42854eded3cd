//! Plays a script: the in-memory world of the engine in virtual time, where mail is sent at once, requests are answered by
//! stubs, and everything that a test can see is written down.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::matching::{Answers, Seen, What, compare, shown, shown_as};
use super::script::{Action, Beat, Cast, Doing, Script, dotted, instant};
use super::timeline::moment_words;
use super::{Play, Reached};
use crate::diagnostic::{Sources, Span};
use crate::engine::Programs;
use crate::engine::eval::Scope;
use crate::engine::facts::{Effects, Facts};
use crate::engine::memory::{Happened, Logged, Memory};
use crate::engine::program::{Attribute, EntryHow, Expr, Program, StepKind, Word};
use crate::engine::world::{self, Cause, ConsentChange, Fields, Input, NewRequest, Note};
use crate::id::{ContactId, EnrollmentId};
use crate::lang::Compilation;
use crate::lang::ast::{self, AtWhat, ConsentOf, Expect, ExprKind, Given};
use crate::lang::types::calendar;
use crate::time::{Calendar, Date, TimeOfDay, Timestamp, Zone};
use crate::value::{Decimal, FieldType, Type, Value};

/// A play goes on for so long at most where it has to go on until everybody is out.
const LONGEST: Calendar = Calendar { months: 60, days: 0, working_days: 0, ms: 0 };

/// What answers a request.
#[derive(Clone)]
enum Stub {
    Returns(Fields),
    Fails,
}

struct Stage<'s, 't> {
    script: &'s Script<'t>,
    cast: &'s Cast<'s>,
    compilation: &'s Compilation,
    sources: &'s Sources,
    memory: Memory,
    /// The same as in memory, for conditions that a line asks for.
    programs: Programs,
    contacts: Vec<ContactId>,
    stubs: BTreeMap<String, Stub>,
    /// How much of the log has been looked at.
    read: usize,
    seen: Vec<Seen>,
    problems: Vec<(Span, String)>,
    reached: &'s mut Reached,
}

/// Answers by beat and expectation.
struct Found<'s> {
    sources: &'s Sources,
    answers: BTreeMap<(usize, usize), Result<(), String>>,
    standing: Vec<String>,
}

impl Answers for Found<'_> {
    fn answer(&self, beat: usize, expect: usize) -> Option<&Result<(), String>> {
        self.answers.get(&(beat, expect))
    }

    fn written(&self, span: Span) -> String {
        one_line(self.sources.slice(span))
    }

    fn standing(&self, beat: usize) -> &str {
        self.standing.get(beat).map_or("", String::as_str)
    }
}

/// Plays one test from its first beat to its last, and beyond where a line looks to the end.
pub(super) fn play(
    script: &Script<'_>,
    cast: &Cast<'_>,
    (compilation, sources): (&Compilation, &Sources),
    reached: &mut Reached,
) -> Play {
    let begins = script.beats.first().map_or(Timestamp(0), |beat| beat.at);
    let mut stage = Stage::new(script, cast, (compilation, sources), reached, begins);
    stage.set_up();
    let mut found = Found { sources, answers: BTreeMap::new(), standing: Vec::new() };
    for (number, beat) in script.beats.iter().enumerate() {
        stage.beat(beat);
        found.standing.push(stage.standing());
        for (place, expected) in beat.expects.iter().enumerate() {
            if let Some(answer) = stage.state_of(expected.what, expected.person) {
                found.answers.insert((number, place), answer);
            }
        }
    }
    let mut ends = script.beats.last().map_or(begins, |beat| beat.at);
    if script.to_the_end {
        ends = stage.play_out(ends);
    }
    let constant = |expr: &ast::Expr| constant(compilation, &cast.zone, expr);
    stage.seen.sort_by_key(|seen| seen.at);
    let journey = &cast.journey.journey;
    let (verdicts, unexpected) = compare(script, journey, &stage.seen, &found, &constant);
    Play {
        title: script.test.title.value.clone(),
        journey: journey.clone(),
        span: script.test.span,
        people: script.people.iter().map(|person| person.name.to_owned()).collect(),
        seen: stage.seen,
        verdicts,
        unexpected,
        problems: stage.problems,
        project_zone: cast.zone.clone(),
        begins,
        ends,
    }
}

impl<'s, 't> Stage<'s, 't> {
    fn new(
        script: &'s Script<'t>,
        cast: &'s Cast<'s>,
        (compilation, sources): (&'s Compilation, &'s Sources),
        reached: &'s mut Reached,
        begins: Timestamp,
    ) -> Self {
        let played = cast.all.iter().map(|program| {
            let mut program = (*program).clone();
            if program.journey != cast.journey.journey {
                // What the journey starts runs, but nobody enters it by another door.
                program.entries.retain(|entry| matches!(entry.how, EntryHow::Start { .. }));
            }
            Arc::new(program)
        });
        let played: Vec<Arc<Program>> = played.collect();
        let catalog = &compilation.catalog;
        let mut memory = Memory::new(catalog.clone(), played.iter().cloned(), begins);
        for given in &script.given {
            if let Given::Variant { split, variant } = given {
                memory.force_variant(&split.text, &variant.text);
            }
        }
        Stage {
            script,
            cast,
            compilation,
            sources,
            memory,
            programs: Programs::new(catalog, played, &[]),
            contacts: Vec::new(),
            stubs: BTreeMap::new(),
            read: 0,
            seen: Vec::new(),
            problems: Vec::new(),
            reached,
        }
    }

    /// What is there when the play begins: contacts, history, consents. It enters nobody.
    fn set_up(&mut self) {
        let seed = self.script.given.iter().find_map(|given| match given {
            Given::Seed(number) => Some(number.value.trunc()),
            _ => None,
        });
        for (number, person) in self.script.people.iter().enumerate() {
            // People differ in their splits; a seed gives everybody another chance.
            let contact = ContactId((seed.unwrap_or(0).rem_euclid(1 << 20) << 20) + number as i64 + 1);
            self.contacts.push(contact);
            let attributes = person.record.map(|record| self.attributes(record)).unwrap_or_default();
            self.memory.add_contact(contact, attributes);
        }
        for given in &self.script.given {
            self.given_before(given);
        }
        for contact in self.contacts.clone() {
            self.memory.settle(contact, Cause::Import);
        }
        self.look();
    }

    fn given_before(&mut self, given: &Given) {
        match given {
            Given::Event { person, event, with, date, time } => {
                let contact = self.contacts[self.person(person.as_ref())];
                let at = instant(date, time, &self.cast.zone).unwrap_or(self.memory.now());
                let (name, fields) = self.event(event, with.as_ref());
                self.memory.add_past_event(contact, &name, fields, at);
            }
            Given::Consent { person, consent } => {
                let person = self.person(person.as_ref());
                for channel in &consent.channels {
                    let contact = self.contacts[person];
                    self.memory.add_consent(contact, &consent.purpose.text, &channel.text, true);
                }
            }
            Given::RequestFails { .. } | Given::RequestReturns { .. } => self.stub(given),
            // People, the seed, variants and `loose` are seen to elsewhere; pools are refused by the checker.
            Given::Contact { .. }
            | Given::Loose
            | Given::Pool { .. }
            | Given::PoolEmpty { .. }
            | Given::Seed(_)
            | Given::Variant { .. } => {}
        }
    }

    fn stub(&mut self, given: &Given) {
        match given {
            Given::RequestFails { endpoint } => {
                self.stubs.insert(dotted(endpoint), Stub::Fails);
            }
            Given::RequestReturns { endpoint, record } => {
                let name = dotted(endpoint);
                let types =
                    self.compilation.catalog.endpoints.get(name.as_str()).map(|e| e.returns.as_slice());
                let fields = self.fields(Some(record), types.unwrap_or_default());
                self.stubs.insert(name, Stub::Returns(fields));
            }
            _ => {}
        }
    }

    fn person(&self, name: Option<&ast::Name>) -> usize {
        let wanted = name.map_or("", |name| name.text.as_str());
        self.script.people.iter().position(|person| person.name == wanted).unwrap_or(0)
    }

    // -------------------------------------------------------------- what lines do

    /// Time passes until the beat, then its line acts. An event at a deadline comes before it.
    fn beat(&mut self, beat: &Beat<'_>) {
        self.run(beat.at.plus_ms(-1));
        for action in &beat.actions {
            self.act(action, beat.at);
            self.look();
        }
        self.run(beat.at);
    }

    /// Runs from one wake to the next, so that requests are answered in their moment.
    fn run(&mut self, to: Timestamp) {
        while let Some(next) = self.memory.next_wake().filter(|next| *next <= to) {
            self.memory.advance_to(next);
            self.look();
        }
        if self.memory.now() < to {
            self.memory.advance_to(to);
        }
    }

    fn act(&mut self, action: &Action<'_>, at: Timestamp) {
        let contact = self.contacts[action.person];
        let what = match action.what {
            Doing::Given(given) => {
                match given {
                    Given::Consent { consent, .. } => self.consent(action, consent, true, at),
                    Given::Event { .. } => self.given_before(given),
                    given => self.stub(given),
                }
                return;
            }
            Doing::What(what) => what,
        };
        match what {
            AtWhat::Event { event, with } => self.happens(action, event, with.as_ref(), at),
            AtWhat::Set { path, value } => {
                let name: Word = path.parts.last().map_or("", |part| part.text.as_str()).into();
                let ty = self.compilation.catalog.attribute(&name).map(|attribute| &attribute.ty);
                let value = typed(self.constant(value), ty);
                self.did(action, at, format!("set contact.{name} = {}", shown_as(&value, ty)));
                self.memory.input(contact, &Input::Attributes { values: [(name, value)].into(), at }, at);
            }
            AtWhat::WorkReturns { task, outcome, with } => {
                self.work_returns(action, &dotted(task), &outcome.text, with.as_ref(), at);
            }
            AtWhat::Start { with } => {
                let start = |how: &EntryHow| match how {
                    EntryHow::Start { arguments } => Some(arguments.clone()),
                    _ => None,
                };
                let types = self.cast.journey.entries.iter().find_map(|entry| start(&entry.how));
                let Some(types) = types else {
                    let message = format!("`{}` has no `enter by start`", self.cast.journey.journey);
                    return self.problems.push((action.span, message));
                };
                let arguments = self.fields(with.as_ref(), &types);
                self.did(action, at, format!("start{}", with_words(&arguments, with.as_ref())));
                let journey = self.cast.journey.journey.clone();
                self.memory.input(contact, &Input::Start { journey, arguments, at }, at);
            }
            AtWhat::Grant(consent) => self.consent(action, consent, true, at),
            AtWhat::Withdraw(consent) => self.consent(action, consent, false, at),
            AtWhat::AskReturns { survey, .. } => {
                let message = format!("answers of `{}` are not available yet", dotted(survey));
                self.problems.push((action.span, message));
            }
            AtWhat::Expect(_) | AtWhat::Given(_) => {}
        }
    }

    fn consent(&mut self, action: &Action<'_>, consent: &ConsentOf, permit: bool, at: Timestamp) {
        let verb = if permit { "grant" } else { "withdraw" };
        let channels: Vec<&str> = consent.channels.iter().map(|channel| channel.text.as_str()).collect();
        let words = format!("{verb} consent {} on {}", consent.purpose.text, channels.join(", "));
        self.did(action, at, words);
        for channel in channels {
            let change = ConsentChange {
                purpose: consent.purpose.text.as_str().into(),
                channel: channel.into(),
                permit,
                at,
                source: "api".into(),
                evidence: None,
            };
            self.memory.input(self.contacts[action.person], &Input::Consent(change), at);
        }
    }

    /// An event from outside, or an outcome of a message such as `reminder.clicked`.
    fn happens(&mut self, action: &Action<'_>, event: &ast::Path, with: Option<&ast::Record>, at: Timestamp) {
        let contact = self.contacts[action.person];
        if let [step, outcome] = event.parts.as_slice() {
            let fields = self.fields(with, &[]);
            let words = format!("event {}{}", dotted(event), with_words(&fields, with));
            self.did(action, at, words);
            if !self.memory.outcome(contact, &step.text, &outcome.text, fields, at) {
                let message = format!("`{}` was not sent before this line", step.text);
                self.problems.push((action.span, message));
            }
            return;
        }
        let (name, fields) = self.event(event, with);
        self.did(action, at, format!("event {name}{}", with_words(&fields, with)));
        self.memory.event(contact, &name, fields, at);
    }

    fn work_returns(
        &mut self,
        action: &Action<'_>,
        task: &str,
        outcome: &str,
        with: Option<&ast::Record>,
        at: Timestamp,
    ) {
        let contact = self.contacts[action.person];
        let types = self.compilation.catalog.tasks.get(task).map(|task| task.answers.as_slice());
        let answers = self.fields(with, types.unwrap_or_default());
        self.did(action, at, format!("{task} returns {outcome}{}", with_words(&answers, with)));
        let resting = self.memory.resting(contact);
        let is_open = |journey: &Word, step: &Word| resting.iter().any(|(j, s)| j == journey && s == step);
        let latest = self.memory.log().iter().rev().find_map(|logged| match &logged.what {
            Happened::Task(open) if logged.contact == contact && *open.task == *task => {
                is_open(&open.journey, &open.step).then(|| open.step.clone())
            }
            _ => None,
        });
        match latest {
            Some(step) => drop(self.memory.outcome(contact, &step, outcome, answers, at)),
            None => self.problems.push((action.span, format!("`{task}` is not open at this moment"))),
        }
    }

    fn did(&mut self, action: &Action<'_>, at: Timestamp, words: String) {
        let journey = self.cast.journey.journey.clone();
        self.see(at, action.person, journey, What::Did(words), Some(action.span));
    }

    // -------------------------------------------------------------- what can be seen

    fn see(&mut self, at: Timestamp, person: usize, journey: Word, what: What, span: Option<Span>) {
        let zone = self.zone_of(person);
        self.seen.push(Seen { at, person, zone, journey, what, span });
    }

    fn zone_of(&self, person: usize) -> Zone {
        let attribute = self.compilation.catalog.zone_attribute();
        let value = attribute.map(|name| self.memory.attribute(self.contacts[person], name));
        let named = value.as_ref().and_then(Value::as_text).and_then(Zone::named);
        named.unwrap_or_else(|| self.cast.zone.clone())
    }

    /// Writes down what is new in the log, and answers requests until none is open.
    fn look(&mut self) {
        loop {
            let new: Vec<Logged> = self.memory.log()[self.read..].to_vec();
            if new.is_empty() {
                return;
            }
            self.read += new.len();
            for logged in &new {
                self.look_at(logged, &new);
            }
            for logged in &new {
                if let Happened::Request(request) = &logged.what {
                    self.answer(logged.contact, request);
                }
            }
        }
    }

    fn look_at(&mut self, logged: &Logged, all: &[Logged]) {
        let Happened::Note(note) = &logged.what else { return };
        let person = self.contacts.iter().position(|contact| *contact == logged.contact).unwrap_or(0);
        let journey = note.journey.clone().unwrap_or_else(|| self.cast.journey.journey.clone());
        let mut choose = |choice: &Word| {
            if let Some(step) = &note.step {
                self.reached.choices.insert((journey.clone(), step.clone(), choice.clone()));
            }
        };
        let mut what = Vec::new();
        match &note.what {
            world::What::Entered if journey == self.cast.journey.journey => what.push(What::Entered),
            world::What::Entered => what.push(What::Start { journey: journey.clone() }),
            world::What::NotEntered { why } => what.push(What::NotEntered(why.to_string())),
            world::What::Queued { delivery, .. } => {
                let sent = all.iter().find_map(|logged| match &logged.what {
                    Happened::Send(sent) if sent.id == *delivery => Some(sent),
                    _ => None,
                });
                what.extend(sent.map(|sent| What::Send {
                    channel: sent.channel.clone(),
                    template: sent.template.clone(),
                    to: sent.to.as_ref().map(|to| to.to_string()),
                    with: sent.with.clone(),
                }));
            }
            world::What::Held { until, why } => {
                what.push(What::Held { why: why.to_string(), until: *until });
            }
            world::What::Skipped { why, channel } => {
                what.push(What::Skipped { why: why.to_string(), channel: channel.to_string() });
            }
            world::What::Exited { reason } => {
                self.reached.exits.insert((journey.clone(), reason.clone()));
                what.push(What::Exit { reason: reason.clone() });
            }
            world::What::Goal { name } => what.push(What::Goal { name: name.clone() }),
            world::What::Took { choice } => choose(choice),
            world::What::Done { outcome } => {
                choose(outcome.as_ref().unwrap_or(&Word::from("")));
                what.extend(self.recorded(note).map(|event| What::Record { event }));
            }
            world::What::Rests { .. } => what.extend(self.put_out(note, all)),
            world::What::Odd { why } => what.push(What::Odd(why.to_string())),
        }
        for what in what {
            self.see(logged.at, person, journey.clone(), what, None);
        }
    }

    /// The event that a `record` step wrote.
    fn recorded(&self, note: &Note) -> Option<Word> {
        let program = self.cast.all.iter().find(|program| Some(&program.journey) == note.journey.as_ref())?;
        let step = program.steps.iter().find(|step| Some(&step.id) == note.step.as_ref())?;
        match &step.kind {
            StepKind::Record { event, .. } => Some(event.clone()),
            _ => None,
        }
    }

    /// The task or request for which an enrollment rests.
    fn put_out(&self, note: &Note, all: &[Logged]) -> Option<What> {
        let is_for = |enrollment: EnrollmentId, step: &Word, round: u32| {
            note.enrollment == Some(enrollment) && note.step.as_ref() == Some(step) && note.round == round
        };
        all.iter().find_map(|logged| match &logged.what {
            Happened::Task(task) if is_for(task.enrollment, &task.step, task.round) => {
                Some(What::Work { verb: task.verb.clone(), task: task.task.clone() })
            }
            Happened::Request(request) if is_for(request.enrollment, &request.step, request.round) => {
                let stubbed = self.stubs.contains_key(&*request.endpoint);
                Some(What::Request { endpoint: request.endpoint.clone(), stubbed })
            }
            _ => None,
        })
    }

    fn answer(&mut self, contact: ContactId, request: &NewRequest) {
        let now = self.memory.now();
        match self.stubs.get(&*request.endpoint).cloned() {
            Some(Stub::Returns(fields)) => {
                self.memory.outcome(contact, &request.step, "answered", fields, now);
            }
            Some(Stub::Fails) => {
                self.memory.outcome(contact, &request.step, "failed", Fields::new(), now);
            }
            None => {
                let message = format!(
                    "`request {}` has no answer: add `given request {} returns {{ … }}`, or `fails`",
                    request.endpoint, request.endpoint
                );
                let problem = (self.script.test.title.span, message);
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
            }
        }
    }

    // -------------------------------------------------------------- the end, and states

    /// Goes on until everybody who is inside now is out; gives the time of the end.
    fn play_out(&mut self, from: Timestamp) -> Timestamp {
        let limit = LONGEST.after(from, &self.cast.zone, self.cast.holidays);
        let inside = self.inside();
        while self.inside().iter().any(|id| inside.contains(id)) {
            match self.memory.next_wake().filter(|next| *next <= limit) {
                Some(next) => {
                    self.memory.advance_to(next);
                    self.look();
                }
                None => break,
            }
        }
        self.memory.now().max(from)
    }

    fn inside(&self) -> Vec<EnrollmentId> {
        let worlds = self.contacts.iter().filter_map(|contact| self.memory.world(*contact));
        let enrollments = worlds.flat_map(|world| world.enrollments.values());
        enrollments.filter(|enrollment| !enrollment.state.ended).map(|enrollment| enrollment.id).collect()
    }

    /// The answer to an expectation that looks at how things are now; `None` for those that look at what happened.
    fn state_of(&self, expect: &Expect, person: Option<usize>) -> Option<Result<(), String>> {
        match expect {
            Expect::Holds(condition) => Some(self.holds(condition, self.contacts[person.unwrap_or(0)])),
            Expect::WaitingAt { step } => Some(self.waits_at(&step.text, person)),
            _ => None,
        }
    }

    /// Where everybody is now: `it waits at `look` until Tue 7 Apr 12:00`.
    fn standing(&self) -> String {
        let mut places = Vec::new();
        for (person, contact) in self.contacts.iter().enumerate() {
            let Some(world) = self.memory.world(*contact) else { continue };
            for enrollment in world.enrollments.values().filter(|enrollment| !enrollment.state.ended) {
                let state = &enrollment.state;
                let Some(step) = enrollment.program.steps.get(usize::from(state.step)) else { continue };
                let own = enrollment.program.journey == self.cast.journey.journey;
                let journey = if own { String::new() } else { format!(" in {}", enrollment.program.journey) };
                let until = match state.rest.due_at {
                    Timestamp::NEVER => String::new(),
                    due => format!(" until {}", moment_words(&self.zone_of(person), due)),
                };
                let who = match self.script.people[person].name {
                    "" => "it",
                    name => name,
                };
                places.push(format!("{who} waits at `{}`{journey}{until}", readable(&step.id)));
            }
        }
        match places.as_slice() {
            [] => "nobody is inside at this moment".to_owned(),
            places => places.join(", "),
        }
    }

    fn waits_at(&self, step: &str, person: Option<usize>) -> Result<(), String> {
        let whose =
            self.contacts.iter().enumerate().filter(|(n, _)| person.is_none_or(|person| person == *n));
        let resting: Vec<Word> = whose
            .flat_map(|(_, contact)| self.memory.resting(*contact))
            .filter(|(journey, _)| *journey == self.cast.journey.journey)
            .map(|(_, step)| step)
            .collect();
        match resting.as_slice() {
            found if found.iter().any(|at| **at == *step) => Ok(()),
            [] => Err(format!("nobody waits at `{step}`: nobody is in the journey at this moment")),
            [other] => Err(format!("it does not wait at `{step}` but at `{other}`")),
            many => Err(format!("nobody waits at `{step}`, but at {}", many.join(", "))),
        }
    }

    fn holds(&self, condition: &ast::Expr, contact: ContactId) -> Result<(), String> {
        let text = one_line(self.sources.slice(condition.span));
        let (Some(checked), Some(world)) =
            (self.compilation.checked.exprs.get(&condition.span), self.memory.world(contact))
        else {
            return Err(format!("`{text}` cannot be asked here"));
        };
        let facts = Facts::new(&self.compilation.catalog, &self.programs, world, self.memory.now());
        let effects = Effects::default();
        let scope = Scope::contact(&facts, &effects);
        if scope.holds(&checked.expr).unwrap_or(false) {
            return Ok(());
        }
        let left = match (&checked.expr, &condition.kind) {
            (Expr::Binary(_, left, _), ast::ExprKind::Binary { left: written, .. }) => Some((left, written)),
            _ => None,
        };
        let found = left.and_then(|(left, written)| {
            let value = scope.eval(left).ok().filter(|value| !matches!(value, Value::Bool(_)))?;
            let ty = match left.as_ref() {
                Expr::Attribute(name) => self.compilation.catalog.attribute(name).map(|a| &a.ty),
                _ => None,
            };
            Some(format!(": {} is {}", one_line(self.sources.slice(written.span)), shown_as(&value, ty)))
        });
        Err(format!("`{text}` is not true{}", found.unwrap_or_default()))
    }

    // -------------------------------------------------------------- values

    fn constant(&self, expr: &ast::Expr) -> Value {
        constant(self.compilation, &self.cast.zone, expr)
    }

    fn attributes(&self, record: &ast::Record) -> Fields {
        let attributes = &self.compilation.catalog.attributes;
        let field =
            |attribute: &Attribute| FieldType { name: attribute.name.clone(), ty: attribute.ty.clone() };
        let types: Vec<FieldType> = attributes.iter().map(field).collect();
        self.fields(Some(record), &types)
    }

    /// The event by its own name, whatever it is called outside, with its fields.
    fn event(&self, path: &ast::Path, with: Option<&ast::Record>) -> (Word, Fields) {
        let written = dotted(path);
        match self.compilation.catalog.event_named(&written) {
            Some((name, event)) => (name.clone(), self.fields(with, &event.fields)),
            None => (written.as_str().into(), self.fields(with, &[])),
        }
    }

    fn fields(&self, record: Option<&ast::Record>, types: &[FieldType]) -> Fields {
        let pairs = record.map(|record| record.pairs.as_slice()).unwrap_or_default();
        let read = |(name, value): &(ast::Name, ast::Expr)| {
            let ty = types.iter().find(|field| *field.name == *name.text).map(|field| &field.ty);
            (Word::from(name.text.as_str()), typed(self.constant(value), ty))
        };
        pairs.iter().map(read).collect()
    }
}

/// The value of a literal: as the checker elaborated it, or as it is written.
fn constant(compilation: &Compilation, zone: &Zone, expr: &ast::Expr) -> Value {
    let checked = compilation.checked.exprs.get(&expr.span).and_then(|typed| folded(&typed.expr));
    checked.unwrap_or_else(|| literal(zone, expr))
}

fn folded(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::Const(value) => Some(value.clone()),
        Expr::ToDecimal(inner) => Some(typed(folded(inner)?, Some(&Type::Decimal(None)))),
        Expr::List(items) => items.iter().map(folded).collect::<Option<_>>().map(Value::List),
        Expr::Record(pairs) => {
            let pair = |(name, value): &(Word, Expr)| Some((name.clone(), folded(value)?));
            pairs.iter().map(pair).collect::<Option<_>>().map(Value::Record)
        }
        _ => None,
    }
}

fn literal(zone: &Zone, expr: &ast::Expr) -> Value {
    let number = |number: &ast::Number| match number.has_point {
        true => Value::Decimal(number.value),
        false => Value::Number(number.value.trunc()),
    };
    match &expr.kind {
        ExprKind::Text(text) => Value::text(text),
        ExprKind::Number(written) => number(written),
        ExprKind::Percent(written) => Value::Percent(written.value),
        ExprKind::Bool(yes) => Value::Bool(*yes),
        ExprKind::Date(date) => {
            Date::new(date.year, date.month, date.day).map_or(Value::Unknown, Value::Date)
        }
        ExprKind::Time(time) => {
            TimeOfDay::new(time.hour, time.minute, time.second).map_or(Value::Unknown, Value::Time)
        }
        ExprKind::Moment(date, time) => instant(date, time, zone).map_or(Value::Unknown, Value::Moment),
        ExprKind::Duration(duration) => Value::Duration(calendar(duration)),
        ExprKind::Path(path) => Value::text(&dotted(path)),
        ExprKind::List(items) => Value::List(items.iter().map(|item| literal(zone, item)).collect()),
        ExprKind::Record(record) => {
            let pair = |(name, value): &(ast::Name, ast::Expr)| {
                (Word::from(name.text.as_str()), literal(zone, value))
            };
            Value::Record(record.pairs.iter().map(pair).collect())
        }
        ExprKind::Negate(inner) => match literal(zone, inner) {
            Value::Number(n) => Value::Number(n.saturating_neg()),
            Value::Decimal(d) => Value::Decimal(Decimal(d.0.saturating_neg())),
            other => other,
        },
        _ => Value::Unknown,
    }
}

/// The value as its declared type has it: whole numbers become decimals where money is meant.
fn typed(value: Value, ty: Option<&Type>) -> Value {
    match (value, ty.map(Type::required)) {
        (Value::Number(n), Some(Type::Decimal(_))) => Value::Decimal(Decimal::from_int(n)),
        (Value::List(items), Some(Type::List(inner))) => {
            Value::List(items.into_iter().map(|item| typed(item, Some(inner))).collect())
        }
        (Value::Record(pairs), Some(Type::Record(fields))) => {
            let of = |name: &Word| fields.iter().find(|field| field.name == *name).map(|field| &field.ty);
            let pair = |(name, value): (Word, Value)| {
                let value = typed(value, of(&name));
                (name, value)
            };
            Value::Record(pairs.into_iter().map(pair).collect())
        }
        (value, _) => value,
    }
}

/// ` { source: "web" }` in the order of the text, or nothing.
fn with_words(fields: &Fields, written: Option<&ast::Record>) -> String {
    let pairs = written.map(|record| record.pairs.as_slice()).unwrap_or_default();
    let pair = |(name, _): &(ast::Name, ast::Expr)| {
        let value = fields.get(name.text.as_str()).map_or_else(String::new, shown);
        format!("{}: {value}", name.text)
    };
    match pairs {
        [] => String::new(),
        pairs => format!(" {{ {} }}", pairs.iter().map(pair).collect::<Vec<_>>().join(", ")),
    }
}

/// The identity of a step as people read it: without what it hangs on.
fn readable(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
