//! Tests: every name in them is known, every value has its type. Whether they pass is for the test runner.
//!
//! The values of records are kept under their spans with the types that the schema wants, as in journeys.

use std::collections::HashMap;

use super::expr::{Around, Reader};
use super::findings::{Findings, finding, unknown};
use super::names::Names;
use super::narrow::Facts;
use super::schema::{MESSAGE_EVENTS, Noun, Schema, Signature};
use super::templates::Templates;
use crate::diagnostic::{Code, FileId, Span, suggest};
use crate::lang::ast::{
    self, AskAnswers, AtWhat, Expect, Given, ItemKind, Name, Path, Record, TestLineKind, TestTime,
};
use crate::lang::{JourneyInfo, Typed};
use crate::value::{FieldType, Type};

/// Checks all tests, and notes journeys without one.
pub(super) fn check<'a>(
    schema: &Schema<'a>,
    templates: &Templates,
    infos: &std::collections::BTreeMap<crate::engine::program::Word, JourneyInfo>,
    files: &'a [(FileId, ast::File)],
    exprs: &mut HashMap<Span, Typed>,
    out: &mut Findings,
) {
    let tests: Vec<&ast::Test> = files
        .iter()
        .flat_map(|(_, tree)| &tree.items)
        .filter_map(|item| match &item.kind {
            ItemKind::Test(test) => Some(test),
            _ => None,
        })
        .collect();
    twice_named(files, out);
    for test in &tests {
        let signature = schema.journeys.get(test.journey.text.as_str());
        if signature.is_none() && !schema.is_hidden(&test.journey.text) {
            let all: Vec<&str> = schema.journeys.keys().map(|name| &**name).collect();
            out.push(unknown(Code::E0101, "journey", &test.journey, all));
        }
        let info = infos.get(test.journey.text.as_str());
        let mut scene = Scene {
            schema,
            templates,
            signature,
            info,
            out,
            exprs,
            names: Names::empty(),
            people: Vec::new(),
        };
        scene.test(test);
    }
    let damaged =
        files.iter().flat_map(|(_, tree)| &tree.items).any(|item| matches!(item.kind, ItemKind::Error));
    // What could not be read may have been its test.
    for signature in schema.journeys.values().filter(|_| !damaged && !schema.cut_off) {
        let name = &signature.journey.name;
        if !tests.iter().any(|test| test.journey.text == name.text) {
            out.push(
                finding(Code::I1001, name.span, format!("the journey `{}` has no test", name.text))
                    .label("nobody knows whether it does what it should")
                    .help(format!("add `test \"…\" for {} {{ … }}` below it", name.text)),
            );
        }
    }
}

/// E0102: two tests of one journey and one file are called alike. Where the journey itself stands twice, that is told.
fn twice_named(files: &[(FileId, ast::File)], out: &mut Findings) {
    let items = || files.iter().flat_map(|(_, tree)| &tree.items);
    let journeys = |name: &str| {
        items()
            .filter(|item| matches!(&item.kind, ItemKind::Journey(journey) if journey.name.text == name))
            .count()
    };
    let mut first: HashMap<(FileId, &str, &str), Span> = HashMap::new();
    for item in items() {
        let ItemKind::Test(test) = &item.kind else { continue };
        let title = Name { text: test.title.value.clone(), span: test.title.span };
        let key = (title.span.file, test.journey.text.as_str(), test.title.value.as_str());
        match first.get(&key) {
            Some(first) if journeys(&test.journey.text) == 1 => {
                out.push(super::findings::twice("test", &title, *first));
            }
            Some(_) => {}
            None => _ = first.insert(key, title.span),
        }
    }
}

/// What can become of an `ask` besides answers, and of its limit, which only passes.
const UNANSWERED: [&str; 3] = ["declined", "expired", "unreadable"];

struct Scene<'c, 'a> {
    schema: &'c Schema<'a>,
    templates: &'c Templates,
    signature: Option<&'c Signature<'a>>,
    info: Option<&'c JourneyInfo>,
    out: &'c mut Findings,
    exprs: &'c mut HashMap<Span, Typed>,
    names: Names<'a>,
    /// Names given to contacts.
    people: Vec<String>,
}

impl<'a> Scene<'_, 'a> {
    fn reader(&mut self, around: Around) -> Reader<'_, 'a> {
        Reader {
            schema: self.schema,
            out: self.out,
            exprs: self.exprs,
            names: &mut self.names,
            around,
            facts: Facts::unsure(),
            rows: Vec::new(),
            live: false,
        }
    }

    fn test(&mut self, test: &ast::Test) {
        for line in &test.lines {
            if let TestLineKind::Given(Given::Contact { person: Some(person), .. }) = &line.kind {
                self.people.push(person.text.clone());
            }
        }
        for line in &test.lines {
            match &line.kind {
                TestLineKind::Given(given) => self.given(given, line.span),
                TestLineKind::At { at, person, what } => {
                    self.at(at);
                    self.person(person.as_ref());
                    if let Some(what) = what {
                        self.what(what, line.span);
                    }
                }
                TestLineKind::Expect { person, expect } => {
                    self.person(person.as_ref());
                    self.expect(expect);
                }
                TestLineKind::Error => {}
            }
        }
    }

    fn person(&mut self, person: Option<&Name>) {
        let Some(person) = person else { return };
        if !self.people.contains(&person.text) {
            let all: Vec<&str> = self.people.iter().map(String::as_str).collect();
            let made = unknown(Code::E0101, "contact", person, all);
            self.out.push(made.help(format!("add `given contact {} {{ … }}`", person.text)));
        }
    }

    // ---------------------------------------------------------------- given

    fn given(&mut self, given: &Given, span: Span) {
        match given {
            Given::Contact { record, .. } => {
                let attributes: Vec<FieldType> = self
                    .schema
                    .catalog
                    .attributes
                    .iter()
                    .map(|attribute| FieldType { name: attribute.name.clone(), ty: attribute.ty.clone() })
                    .collect();
                self.pairs(Some(record), &attributes, "attribute", Code::E0101, false, span);
            }
            Given::Event { person, event, with, date, time } => {
                self.person(person.as_ref());
                self.event(event, with.as_ref(), span);
                let mut reader = self.reader(Around::Constant);
                reader.date(date);
                reader.clock(time);
            }
            Given::Consent { person, consent } => {
                self.person(person.as_ref());
                self.reader(Around::Constant).consent_words(consent);
            }
            Given::Variant { split, variant } => self.variant(split, variant),
            Given::RequestFails { endpoint } => _ = self.endpoint(endpoint),
            Given::RequestReturns { endpoint, record } => {
                if let Some(returns) = self.endpoint(endpoint) {
                    self.pairs(Some(record), &returns, "field", Code::E0110, true, span);
                }
            }
            Given::PoolEmpty { pool } => _ = self.pool(pool),
            Given::Pool { pool, items } => {
                let Some(fields) = self.pool(pool).filter(|fields| !fields.is_empty()) else { return };
                let item_type = Type::Record(fields.into());
                for item in items {
                    self.reader(Around::Constant).value(item, &item_type);
                }
            }
            Given::Seed(_) | Given::Loose => {}
        }
    }

    fn variant(&mut self, split: &Name, variant: &Name) {
        let Some(signature) = self.signature else { return };
        let mut splits: Vec<(&str, Vec<&str>)> = Vec::new();
        super::visit::each_stmt_of(signature.journey, &mut |stmt, _| {
            if let ast::StmtKind::Split { name, variants } = &stmt.kind {
                splits
                    .push((&name.text, variants.iter().map(|variant| variant.name.text.as_str()).collect()));
            }
        });
        if self.is_damaged() {
            return;
        }
        match splits.iter().find(|(name, _)| *name == split.text) {
            None => self.out.push(unknown(Code::E0101, "split", split, splits.iter().map(|(name, _)| *name))),
            Some((_, variants)) if !variants.contains(&variant.text.as_str()) => {
                self.out.push(unknown(Code::E0101, "variant", variant, variants.iter().copied()));
            }
            Some(_) => {}
        }
    }

    /// Whether the journey could not be read everywhere: then nothing in it is called unknown.
    fn is_damaged(&self) -> bool {
        self.info.is_none_or(|info| !info.sound) || !self.schema.damaged.is_empty()
    }

    fn endpoint(&mut self, path: &Path) -> Option<Vec<FieldType>> {
        let name = Name { text: path.joined(), span: path.span };
        match self.schema.catalog.endpoints.get(name.text.as_str()) {
            Some(endpoint) => Some(endpoint.returns.clone()),
            None => {
                self.unknown(Noun::Endpoint, &name);
                None
            }
        }
    }

    fn pool(&mut self, name: &Name) -> Option<Vec<FieldType>> {
        let fields = self.schema.pool(&name.text).map(<[_]>::to_vec);
        if fields.is_none() {
            self.unknown(Noun::Pool, name);
        }
        fields
    }

    fn unknown(&mut self, noun: Noun, name: &Name) {
        if !self.schema.is_hidden(&name.text) {
            let all: Vec<&str> = self.schema.names(noun).collect();
            self.out.push(unknown(Code::E0101, noun.as_str(), name, all));
        }
    }

    fn pairs(
        &mut self,
        record: Option<&Record>,
        fields: &[FieldType],
        what: &str,
        code: Code,
        complete: bool,
        span: Span,
    ) {
        let empty = Record { pairs: Vec::new(), span };
        self.reader(Around::Constant).pairs(record.unwrap_or(&empty), fields, what, code, complete);
    }

    // ---------------------------------------------------------------- what happens

    fn at(&mut self, at: &TestTime) {
        let mut reader = self.reader(Around::Constant);
        match at {
            TestTime::Moment(date, clock, zone) => {
                reader.date(date);
                reader.clock(clock);
                reader.zone(zone.as_ref());
            }
            TestTime::Plus(duration) => _ = reader.duration(duration),
        }
    }

    fn what(&mut self, what: &AtWhat, span: Span) {
        match what {
            AtWhat::Event { event, with } => self.event(event, with.as_ref(), span),
            AtWhat::Set { path, value } => {
                let read = self.reader(Around::Contact).path(path, None);
                let want = read.map_or(Type::Text, |read| read.ty);
                self.reader(Around::Constant).value(value, &want);
            }
            AtWhat::WorkReturns { task, outcome, with } => {
                self.work_returns(task, outcome, with.as_ref(), span)
            }
            AtWhat::AskReturns { survey, answers } => self.ask_returns(survey, answers, span),
            AtWhat::Start { with } => {
                let arguments = self.signature.and_then(|signature| signature.arguments.clone());
                match (arguments, self.signature) {
                    (Some(arguments), _) => {
                        self.pairs(with.as_ref(), &arguments, "argument", Code::E0101, true, span);
                    }
                    (None, Some(signature)) => {
                        let message = format!(
                            "`{}` cannot be started: it has no `enter by start`",
                            signature.journey.name.text
                        );
                        self.out.push(finding(Code::E0103, span, message).label("nothing to start"));
                    }
                    (None, None) => {}
                }
            }
            AtWhat::Grant(consent) | AtWhat::Withdraw(consent) => {
                self.reader(Around::Constant).consent_words(consent);
            }
            AtWhat::Given(given) => self.given(given, span),
            AtWhat::Expect(expect) => self.expect(expect),
        }
    }

    /// An event of the schema, or an outcome of a step: `event reminder.clicked`.
    fn event(&mut self, event: &Path, with: Option<&Record>, span: Span) {
        if let [step, outcome] = event.parts.as_slice() {
            self.outcome(step, outcome, with, span);
            return;
        }
        let name = Name { text: event.joined(), span: event.span };
        let Some(declared) = self.schema.catalog.events.get(name.text.as_str()) else {
            self.unknown(Noun::Event, &name);
            return;
        };
        let mut fields = declared.fields.clone();
        // The names in message events are written bare, as in conditions; who quotes them means the same.
        let listed = self.schema.events.get(name.text.as_str()).cloned().unwrap_or_default();
        for (written, value) in with.iter().flat_map(|record| &record.pairs) {
            let bare = matches!(value.kind, ast::ExprKind::Path(_));
            let own = fields.iter_mut().find(|field| *field.name == *written.text).filter(|_| bare);
            let names = listed.iter().find(|field| *field.name == *written.text);
            if let (Some(own), Some(FieldType { ty: names @ Type::OneOf(_), .. })) = (own, names) {
                own.ty = names.clone();
            }
        }
        let complete = !MESSAGE_EVENTS.iter().any(|(own, _)| *own == name.text);
        self.pairs(with, &fields, "field", Code::E0110, complete, event.span);
    }

    fn outcome(&mut self, step: &Name, outcome: &Name, with: Option<&Record>, span: Span) {
        if !self.is_damaged()
            && let Some(info) = self.info
            && !info.names.contains_key(step.text.as_str())
        {
            let all: Vec<_> = info.names.keys().cloned().collect();
            self.out.push(unknown(Code::E0101, "step", step, all.iter().map(|name| &**name)));
        }
        let outcomes = MESSAGE_EVENTS.iter().map(|(_, outcome)| *outcome).chain(["failed"]);
        let all: Vec<&str> = outcomes.collect();
        if !all.contains(&outcome.text.as_str()) {
            let made = unknown(Code::E0101, "outcome", outcome, all);
            self.out.push(match outcome.text.as_str() {
                "answered" => made.help("write the answers: `ask SURVEY returns { … }`"),
                word if UNANSWERED.contains(&word) => made.help(format!("write `ask SURVEY returns {word}`")),
                _ => made,
            });
            return;
        }
        let fields = ["link", "text"].map(|name| FieldType { name: name.into(), ty: Type::Text.optional() });
        self.pairs(with, &fields, "field", Code::E0110, false, span);
    }

    fn ask_returns(&mut self, survey: &Path, answers: &AskAnswers, span: Span) {
        let name = Name { text: survey.joined(), span: survey.span };
        let Some(declared) = self.schema.catalog.surveys.get(name.text.as_str()) else {
            if !self.schema.has(Noun::Survey, &name.text) {
                self.unknown(Noun::Survey, &name);
            }
            return;
        };
        let questions: Vec<FieldType> = declared.questions.iter().map(|q| q.field.clone()).collect();
        match answers {
            AskAnswers::Record(record) => {
                self.pairs(Some(record), &questions, "question", Code::E0110, true, span);
            }
            AskAnswers::Outcome(outcome) if !UNANSWERED.contains(&outcome.text.as_str()) => {
                let near = suggest::did_you_mean(&outcome.text, UNANSWERED);
                let message = format!("`{}` is no outcome of an `ask`", outcome.text);
                let made = finding(Code::E0104, outcome.span, message).label("not in the list");
                let made = super::findings::with_near_miss(made, near, &UNANSWERED, outcome.span);
                self.out.push(match outcome.text.as_str() {
                    "answered" => {
                        made.help(format!("write the answers: `ask {} returns {{ … }}`", name.text))
                    }
                    "missed" => made.help("let the time pass: `at +8 days`, say, and expect nothing of it"),
                    _ => made,
                });
            }
            AskAnswers::Outcome(_) => {}
        }
    }

    fn work_returns(&mut self, task: &Path, outcome: &Name, with: Option<&Record>, span: Span) {
        let name = Name { text: task.joined(), span: task.span };
        let Some(declared) = self.schema.catalog.tasks.get(name.text.as_str()) else {
            self.unknown(Noun::Task, &name);
            return;
        };
        let answers = declared.answers.clone();
        let outcomes: Vec<&str> =
            declared.outcomes.iter().map(|outcome| &**outcome).chain(["expired"]).collect();
        if !outcomes.contains(&outcome.text.as_str()) {
            let near = suggest::did_you_mean(&outcome.text, outcomes.iter().copied());
            let message = format!("`{}` is no outcome of `{}`", outcome.text, name.text);
            let made = finding(Code::E0104, outcome.span, message).label("not in the list");
            self.out.push(super::findings::with_near_miss(made, near, &outcomes, outcome.span));
        }
        self.pairs(with, &answers, "answer", Code::E0110, false, span);
    }

    // ---------------------------------------------------------------- what is expected

    fn expect(&mut self, expect: &Expect) {
        match expect {
            Expect::Send { channel, template, to, with, at } => {
                if !self.schema.has(Noun::Channel, &channel.text) {
                    self.unknown(Noun::Channel, channel);
                }
                self.template(template);
                let mut reader = self.reader(Around::Contact);
                to.iter().for_each(|to| _ = reader.any(to));
                for (_, value) in with.iter().flat_map(|record| &record.pairs) {
                    reader.any(value);
                }
                at.iter().for_each(|clock| _ = reader.clock(clock));
            }
            Expect::NoMoreSend => {}
            Expect::No { verb, name } => name.iter().for_each(|name| self.did(verb, name)),
            Expect::Did { verb, name, with } => {
                self.did(verb, name);
                with.iter().for_each(|with| self.went_along(verb, name, with));
            }
            Expect::Exit { reason } => self.exit(reason),
            Expect::Goal { name } => self.goal(name),
            Expect::Start { journey, with } => self.started(journey, with.as_ref()),
            Expect::WaitingAt { step } => self.waiting(step),
            Expect::Member { audience, .. } => {
                if !self.schema.has(Noun::Audience, &audience.text) {
                    self.unknown(Noun::Audience, audience);
                }
            }
            Expect::Holds(condition) => {
                self.reader(Around::Contact).value(condition, &Type::YesNo);
            }
        }
    }

    fn template(&mut self, path: &Path) {
        let name = Name { text: path.joined(), span: path.span };
        if !self.templates.all.contains_key(name.text.as_str()) {
            let all: Vec<&str> = self.templates.all.keys().map(|name| &**name).collect();
            let sent = self.signature.is_some_and(|signature| {
                super::supply::sent(signature.journey).iter().any(|sent| *sent.template == *name.text)
            });
            // A template that the journey sends is told there.
            if !sent {
                self.out.push(unknown(Code::E0101, "template", &name, all));
            }
        }
    }

    fn did(&mut self, verb: &Name, path: &Path) {
        let name = Name { text: path.joined(), span: path.span };
        match verb.text.as_str() {
            "send" => self.template(path),
            "call" | "assign" if !self.schema.has(Noun::Task, &name.text) => self.unknown(Noun::Task, &name),
            "request" => _ = self.endpoint(path),
            "record" if !self.schema.has(Noun::Event, &name.text) => self.unknown(Noun::Event, &name),
            "ask" if !self.schema.has(Noun::Survey, &name.text) => self.unknown(Noun::Survey, &name),
            _ => {}
        }
    }

    /// The values of what was done: an event has its fields, the rest goes along as it is written.
    fn went_along(&mut self, verb: &Name, path: &Path, with: &Record) {
        match self.schema.catalog.events.get(path.joined().as_str()) {
            Some(event) if verb.text == "record" => {
                let fields = event.fields.clone();
                self.pairs(Some(with), &fields, "field", Code::E0110, false, with.span);
            }
            _ => {
                let mut reader = self.reader(Around::Contact);
                with.pairs.iter().for_each(|(_, value)| _ = reader.any(value));
            }
        }
    }

    /// A journey that was started, and the arguments that went along.
    fn started(&mut self, journey: &Name, with: Option<&Record>) {
        let Some(signature) = self.schema.journeys.get(journey.text.as_str()) else {
            self.unknown(Noun::Journey, journey);
            return;
        };
        match (signature.arguments.clone(), with) {
            (Some(arguments), Some(with)) => {
                self.pairs(Some(with), &arguments, "argument", Code::E0101, false, with.span);
            }
            (None, Some(with)) if !self.is_damaged() => {
                let message = format!("`{}` cannot be started: it has no `enter by start`", journey.text);
                self.out.push(finding(Code::E0103, with.span, message).label("nothing goes along"));
            }
            _ => {}
        }
    }

    fn exit(&mut self, reason: &Name) {
        let Some(signature) = self.signature else { return };
        if self.is_damaged() || signature.reasons.iter().any(|known| **known == *reason.text) {
            return;
        }
        let all: Vec<&str> = signature.reasons.iter().map(|reason| &**reason).collect();
        let near = suggest::did_you_mean(&reason.text, all.iter().copied());
        let message = format!("`{}` never ends as `{}`", signature.journey.name.text, reason.text);
        let made = finding(Code::E0101, reason.span, message).label("no such reason");
        self.out.push(super::findings::with_near_miss(made, near, &all, reason.span));
    }

    fn goal(&mut self, name: &Name) {
        let Some(signature) = self.signature else { return };
        let goals: Vec<&str> = signature
            .journey
            .items
            .iter()
            .filter_map(|item| match &item.kind {
                ast::JourneyItemKind::Goal(goal) => Some(goal.name.text.as_str()),
                _ => None,
            })
            .collect();
        if !goals.contains(&name.text.as_str()) && !self.is_damaged() {
            let near = suggest::did_you_mean(&name.text, goals.iter().copied());
            let message = format!("`{}` has no goal `{}`", signature.journey.name.text, name.text);
            let made = finding(Code::E0703, name.span, message).label("no such goal");
            self.out.push(super::findings::with_near_miss(made, near, &goals, name.span));
        }
    }

    fn waiting(&mut self, step: &Name) {
        let Some(info) = self.info else { return };
        if !self.is_damaged() && !info.names.contains_key(step.text.as_str()) {
            let all: Vec<_> = info.names.keys().cloned().collect();
            self.out.push(unknown(Code::E0101, "step", step, all.iter().map(|name| &**name)));
        }
    }
}
