//! Plays a script: the in-memory world of the engine in virtual time, where mail is sent at once, requests are answered by
//! stubs, and everything that a test can see is written down.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::matching::{Answers, Seen, What, compare, shown_as};
use super::script::{Action, Beat, Cast, Doing, Script, instant};
use super::values::{constant, typed, with_words};
use super::watching::one_line;
use super::{Play, Reached};
use crate::diagnostic::{Sources, Span};
use crate::engine::Programs;
use crate::engine::eval::ANSWERED;
use crate::engine::memory::{Happened, Memory};
use crate::engine::program::{EntryHow, Program, StepKind, Word, pool_endpoint};
use crate::engine::world::{Cause, ConsentChange, Fields, Input};
use crate::id::ContactId;
use crate::lang::Compilation;
use crate::lang::ast::{self, AtWhat, ConsentOf, Given};
use crate::lang::lower::{UNREADABLE, answer_of, whole};
use crate::time::{Calendar, Timestamp};
use crate::value::Value;

/// A play goes on for so long at most where it has to go on until everybody is out.
pub(super) const LONGEST: Calendar = Calendar { months: 60, days: 0, working_days: 0, ms: 0 };

/// What answers a request.
#[derive(Clone)]
pub(super) enum Stub {
    Returns(Fields),
    Fails,
    /// A pool, and what is left in it.
    Holds(VecDeque<Fields>),
}

pub(super) struct Stage<'s, 't> {
    pub(super) script: &'s Script<'t>,
    pub(super) cast: &'s Cast<'s>,
    pub(super) compilation: &'s Compilation,
    pub(super) sources: &'s Sources,
    pub(super) memory: Memory,
    /// The same as in memory, for conditions that a line asks for.
    pub(super) programs: Programs,
    pub(super) contacts: Vec<ContactId>,
    pub(super) stubs: BTreeMap<String, Stub>,
    /// How much of the log has been looked at.
    pub(super) read: usize,
    pub(super) seen: Vec<Seen>,
    pub(super) problems: Vec<(Span, String)>,
    pub(super) reached: &'s mut Reached,
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
    let (verdicts, unexpected) = compare(script, journey, &stage.seen, &found, &constant, &cast.zone);
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
    pub(super) fn new(
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
            Given::RequestFails { .. }
            | Given::RequestReturns { .. }
            | Given::Pool { .. }
            | Given::PoolEmpty { .. } => self.stub(given),
            // People, the seed, variants and `loose` are seen to elsewhere.
            Given::Contact { .. } | Given::Loose | Given::Seed(_) | Given::Variant { .. } => {}
        }
    }

    fn stub(&mut self, given: &Given) {
        match given {
            Given::RequestFails { endpoint } => {
                self.stubs.insert(endpoint.joined(), Stub::Fails);
            }
            Given::RequestReturns { endpoint, record } => {
                let name = endpoint.joined();
                let types =
                    self.compilation.catalog.endpoints.get(name.as_str()).map(|e| e.returns.as_slice());
                let fields = self.fields(Some(record), types.unwrap_or_default());
                self.stubs.insert(name, Stub::Returns(fields));
            }
            Given::PoolEmpty { pool } => self.fill(&pool.text, &[]),
            Given::Pool { pool, items } => self.fill(&pool.text, items),
            _ => {}
        }
    }

    fn fill(&mut self, pool: &str, items: &[ast::Expr]) {
        let endpoint = pool_endpoint(pool);
        let declared = self.compilation.catalog.endpoints.get(&endpoint);
        let types = declared.map(|pool| pool.returns.clone()).unwrap_or_default();
        let records = items.iter().filter_map(|item| match &item.kind {
            ast::ExprKind::Record(record) => Some(self.fields(Some(record), &types)),
            _ => None,
        });
        let held = Stub::Holds(records.collect());
        self.stubs.insert(endpoint.to_string(), held);
    }

    pub(super) fn person(&self, name: Option<&ast::Name>) -> usize {
        let wanted = name.map_or("", |name| name.text.as_str());
        self.script.people.iter().position(|person| person.name == wanted).unwrap_or(0)
    }

    // -------------------------------------------------------------- what lines do

    /// Time passes until the beat, then its line acts. An event at a deadline comes before it.
    pub(super) fn beat(&mut self, beat: &Beat<'_>) {
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
                self.did(
                    action,
                    at,
                    format!("set contact.{name} = {}", shown_as(&value, ty, &self.cast.zone)),
                );
                self.memory.input(contact, &Input::Attributes { values: [(name, value)].into(), at }, at);
            }
            AtWhat::WorkReturns { task, outcome, with } => {
                self.work_returns(action, &task.joined(), &outcome.text, with.as_ref(), at);
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
                self.did(
                    action,
                    at,
                    format!("start{}", with_words(&arguments, with.as_ref(), &self.cast.zone)),
                );
                let journey = self.cast.journey.journey.clone();
                self.memory.input(contact, &Input::Start { journey, arguments, at }, at);
            }
            AtWhat::Grant(consent) => self.consent(action, consent, true, at),
            AtWhat::Withdraw(consent) => self.consent(action, consent, false, at),
            AtWhat::AskReturns { survey, answers } => {
                self.ask_returns(action, &survey.joined(), answers, at);
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
            let words = format!("event {}{}", event.joined(), with_words(&fields, with, &self.cast.zone));
            self.did(action, at, words);
            // One statement may have several steps that send.
            let sent = self.memory.log().iter().rev().find_map(|logged| match &logged.what {
                Happened::Send(sent) if logged.contact == contact && *whole(&sent.step) == *step.text => {
                    Some(sent.step.clone())
                }
                _ => None,
            });
            let at_step = sent.unwrap_or_else(|| step.text.as_str().into());
            if !self.memory.outcome(contact, &at_step, &outcome.text, fields, at) {
                let message = format!("`{}` was not sent before this line", step.text);
                self.problems.push((action.span, message));
            }
            return;
        }
        let (name, fields) = self.event(event, with);
        self.did(action, at, format!("event {name}{}", with_words(&fields, with, &self.cast.zone)));
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
        self.did(
            action,
            at,
            format!("{task} returns {outcome}{}", with_words(&answers, with, &self.cast.zone)),
        );
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

    /// Answers to the newest open question, or what came in their place.
    fn ask_returns(&mut self, action: &Action<'_>, survey: &str, answers: &ast::AskAnswers, at: Timestamp) {
        let contact = self.contacts[action.person];
        let declared = self.compilation.catalog.surveys.get(survey);
        let types: Vec<_> = declared.iter().flat_map(|s| &s.questions).map(|q| q.field.clone()).collect();
        let (outcome, fields, words) = match answers {
            ast::AskAnswers::Record(record) => {
                let fields = self.fields(Some(record), &types);
                let words = with_words(&fields, Some(record), &self.cast.zone);
                (ANSWERED, fields, format!("ask {survey} returns{}", words.trim_start_matches(" with")))
            }
            ast::AskAnswers::Outcome(name) => {
                (name.text.as_str(), Fields::new(), format!("ask {survey} returns {}", name.text))
            }
        };
        self.did(action, at, words);
        match self.open_question(contact, survey, outcome) {
            Ok(step) => drop(self.memory.outcome(contact, &step, outcome, fields, at)),
            Err(why) => self.problems.push((action.span, why)),
        }
    }

    /// The step that takes this outcome: of the message, or of the work of a team.
    fn open_question(&self, contact: ContactId, survey: &str, outcome: &str) -> Result<Word, String> {
        let resting = self.memory.resting(contact);
        let is_open = |journey: &Word, step: &str| resting.iter().any(|(j, s)| j == journey && **s == *step);
        let own = self.memory.log().iter().rev().filter(|logged| logged.contact == contact);
        let open = own.filter_map(|logged| match &logged.what {
            Happened::Send(sent) if *sent.template == *survey => {
                is_open(&sent.journey, &answer_of(&sent.step)).then_some((&sent.journey, &sent.step, false))
            }
            Happened::Task(task) if &*task.verb == "ask" && *task.task == *survey => {
                is_open(&task.journey, &task.step).then_some((&task.journey, &task.step, true))
            }
            _ => None,
        });
        let Some((journey, step, spoken)) = open.into_iter().next() else {
            return Err(format!("`{survey}` is not asked at this moment"));
        };
        match outcome {
            "declined" | "expired" if !spoken => {
                Err(format!("`{survey}` is asked by message: it is answered, or nothing comes"))
            }
            UNREADABLE if spoken || !self.reads_replies(journey, step) => Err(format!(
                "`{survey}` is not asked on a channel with `replies`, so nothing unreadable comes"
            )),
            _ => Ok(step.clone()),
        }
    }

    fn reads_replies(&self, journey: &Word, step: &str) -> bool {
        let program = self.cast.all.iter().find(|program| program.journey == *journey);
        let id = answer_of(step);
        program.is_some_and(|program| {
            program.steps.iter().any(|step| match &step.kind {
                StepKind::WaitEvent(wait) => *step.id == *id && wait.arms.len() > 1,
                _ => false,
            })
        })
    }

    fn did(&mut self, action: &Action<'_>, at: Timestamp, words: String) {
        let journey = self.cast.journey.journey.clone();
        self.see(at, action.person, journey, What::Did(words), Some(action.span));
    }

    // -------------------------------------------------------------- values

    pub(super) fn constant(&self, expr: &ast::Expr) -> Value {
        constant(self.compilation, &self.cast.zone, expr)
    }
}
