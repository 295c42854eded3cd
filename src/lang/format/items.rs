//! Items, fields, properties, rules and lines of tests.

use super::exprs::{consent_of, from_to, in_square_brackets, names, path, unit, weekday};
use super::layout::{Doc, join, text};
use super::printer::{Element, Printer};
use crate::diagnostic::Span;
use crate::lang::ast::{
    AskAnswers, AtWhat, CapWindow, EventDecl, Expect, ExprDecl, Field, Given, Hours, Item, ItemKind, Journey,
    Name, Prop, PropValue, Record, Rule, RuleKind, Test, TestLine, TestLineKind, TestTime, Text, Then, Type,
    TypeKind,
};

impl Element for Item {
    fn span(&self) -> Span {
        self.span
    }

    fn is_error(&self) -> bool {
        matches!(self.kind, ItemKind::Error)
    }

    fn has_doc(&self) -> bool {
        self.doc.is_some()
    }

    fn lists(&self, printer: &Printer<'_>) -> Vec<Span> {
        match &self.kind {
            ItemKind::Import(_)
            | ItemKind::Purpose { .. }
            | ItemKind::Segment(_)
            | ItemKind::Score(_)
            | ItemKind::Template { .. }
            | ItemKind::Error => Vec::new(),
            _ => printer.braces(self.span.start, self.span.end).into_iter().collect(),
        }
    }

    fn stands_apart(&self) -> bool {
        matches!(self.kind, ItemKind::Journey(_) | ItemKind::Test(_) | ItemKind::Policy { .. })
    }

    fn print(&self, printer: &mut Printer<'_>) {
        printer.item(self);
    }
}

impl Printer<'_> {
    fn item(&mut self, item: &Item) {
        let braces = self.braces(item.span.start, item.span.end);
        match &item.kind {
            ItemKind::Import(file) => self.write(&format!("import {}", self.source(file.span))),
            ItemKind::Contact(fields) => self.with_fields("contact".to_owned(), braces, fields),
            ItemKind::Event(event) => self.event(event, braces),
            ItemKind::Purpose { name, parent, title } => {
                let title = self.title(title.as_ref());
                self.write(&format!("purpose {} under {}{title}", name.text, parent.text));
            }
            ItemKind::Channel(decl) => self.with_props(
                &format!("channel {}", decl.name.text),
                decl.title.as_ref(),
                braces,
                &decl.props,
            ),
            ItemKind::Task(decl) => {
                self.with_props(&format!("task {}", decl.name.text), decl.title.as_ref(), braces, &decl.props)
            }
            ItemKind::Team(decl) => {
                self.with_props(&format!("team {}", decl.name.text), decl.title.as_ref(), braces, &decl.props)
            }
            ItemKind::Audience(decl) => self.with_props(
                &format!("audience {}", decl.name.text),
                decl.title.as_ref(),
                braces,
                &decl.props,
            ),
            ItemKind::Endpoint { path: name, title, props } => {
                self.with_props(&format!("endpoint {}", path(name)), title.as_ref(), braces, props);
            }
            ItemKind::Segment(decl) => self.named_expr("segment", decl),
            ItemKind::Score(decl) => self.named_expr("score", decl),
            ItemKind::Survey { name, title, fields } => {
                let head = format!("survey {}{}", name.text, self.title(title.as_ref()));
                self.with_fields(head, braces, fields);
            }
            ItemKind::Pool { name, title, fields } => {
                let head = format!("pool {}{}", name.text, self.title(title.as_ref()));
                self.with_fields(head, braces, fields);
            }
            ItemKind::Template { name, class, because } => {
                let because =
                    because.as_ref().map_or(String::new(), |b| format!(" because {}", self.source(b.span)));
                self.write(&format!("template {} {}{because}", path(name), class.text));
            }
            ItemKind::Policy { name, rules } => {
                self.write(&format!("policy {} ", name.text));
                if let Some(braces) = braces {
                    self.braced(braces, rules);
                }
            }
            ItemKind::Journey(journey) => self.journey(journey, braces),
            ItemKind::Test(test) => self.test(test, braces),
            ItemKind::Error => {
                let source = self.source(item.span).to_owned();
                self.write(&source);
            }
        }
    }

    /// A title with a blank before it, or nothing.
    fn title(&self, title: Option<&Text>) -> String {
        title.map_or(String::new(), |t| format!(" {}", self.source(t.span)))
    }

    fn journey(&mut self, journey: &Journey, braces: Option<Span>) {
        let version = journey.version.map_or(String::new(), |v| format!(" version {}", self.source(v.span)));
        let title = self.title(journey.title.as_ref());
        self.write(&format!("journey {}{title}{version} ", journey.name.text));
        if let Some(braces) = braces {
            self.braced(braces, &journey.items);
        }
    }

    fn test(&mut self, test: &Test, braces: Option<Span>) {
        self.write(&format!("test {} for {} ", self.source(test.title.span), test.journey.text));
        if let Some(braces) = braces {
            self.braced(braces, &test.lines);
        }
    }

    fn named_expr(&mut self, word: &str, decl: &ExprDecl) {
        let head = format!("{word} {}{} =", decl.name.text, self.title(decl.title.as_ref()));
        let expr = self.expr(&decl.expr);
        self.doc(&Doc::Group(vec![text(head), Doc::Nest(vec![Doc::Line, expr])]));
    }

    fn event(&mut self, event: &EventDecl, braces: Option<Span>) {
        let mut head = format!("event {}{}", event.name.text, self.title(event.title.as_ref()));
        if !event.aliases.is_empty() {
            let aliases: Vec<&str> = event.aliases.iter().map(|a| self.source(a.span)).collect();
            head.push_str(&format!(" from {}", aliases.join(", ")));
        }
        if let Some(keep) = &event.keep {
            head.push_str(&format!(" keep {}", self.duration(keep)));
        }
        if let Some(late) = &event.late_after {
            head.push_str(&format!(" late after {}", self.duration(late)));
        }
        self.with_fields(head, braces, &event.fields);
    }

    // ------------------------------------------------------------ braces with fields

    /// Fields stand on one line where they fit, unless the author began a new line after the brace.
    fn with_fields(&mut self, head: String, braces: Option<Span>, fields: &[Field]) {
        self.write(&head);
        let Some(braces) = braces else { return };
        self.write(" ");
        if self.stays_on_one_line(braces) {
            let doc = self.fields(braces, fields);
            if self.fits(&doc) {
                return self.doc(&doc);
            }
        }
        self.braced(braces, fields);
    }

    fn with_props(&mut self, head: &str, title: Option<&Text>, braces: Option<Span>, props: &[Prop]) {
        self.write(&format!("{head}{}", self.title(title)));
        let Some(braces) = braces else { return };
        self.write(" ");
        if self.stays_on_one_line(braces) {
            let doc = self.in_braces(braces, props, |p| p.span, |printer, prop| printer.prop(prop));
            if self.fits(&doc) {
                return self.doc(&doc);
            }
        }
        self.braced(braces, props);
    }

    fn stays_on_one_line(&self, braces: Span) -> bool {
        let inside = self.source(from_to(braces.start + 1, braces.end));
        let begins_line = inside.trim_start_matches([' ', '\t']).starts_with(['\n', '\r', '#']);
        let is_empty = inside.trim().trim_end_matches('}').trim().is_empty();
        (!begins_line || is_empty) && !self.has_comment(braces) && !self.is_lost(braces)
    }

    pub(super) fn fields(&mut self, braces: Span, fields: &[Field]) -> Doc {
        self.in_braces(braces, fields, |f| f.span, |printer, field| printer.field(field))
    }

    fn field(&mut self, field: &Field) -> Doc {
        let mut parts = vec![text(format!("{}: ", field.name.text)), self.ty(&field.ty)];
        if let Some(default) = &field.default {
            parts.push(text(" = "));
            parts.push(self.expr(default));
        }
        for modifier in &field.modifiers {
            parts.push(text(format!(" {}", modifier.text)));
        }
        parts.push(text(self.title(field.title.as_ref())));
        Doc::Group(parts)
    }

    fn ty(&mut self, ty: &Type) -> Doc {
        let mark = if ty.optional { "?" } else { "" };
        match &ty.kind {
            TypeKind::Base { name, range } => {
                let range = range.map_or(String::new(), |(from, to)| {
                    format!(" from {} to {}", self.source(from.span), self.source(to.span))
                });
                text(format!("{name}{range}{mark}"))
            }
            TypeKind::OneOf(values) => {
                let values = values.iter().map(|v| text(v.text.clone())).collect();
                Doc::Group(vec![text("one of "), in_square_brackets(values), text(mark)])
            }
            TypeKind::List(inner) => Doc::Group(vec![text("list of "), self.ty(inner), text(mark)]),
            TypeKind::Record(fields) => {
                let braces = self.braces(ty.span.start, ty.span.end).unwrap_or(ty.span);
                Doc::Group(vec![self.fields(braces, fields), text(mark)])
            }
            TypeKind::Error => text(self.source(ty.span)),
        }
    }

    fn prop(&mut self, prop: &Prop) -> Doc {
        let name = text(format!("{} ", prop.name.text));
        let value = match &prop.value {
            PropValue::Expr(expr) => self.expr(expr),
            PropValue::Fields(fields) => {
                let braces = self.braces(prop.span.start, prop.span.end).unwrap_or(prop.span);
                self.fields(braces, fields)
            }
            PropValue::Hours(hours) => text(self.hours(hours)),
        };
        Doc::Group(vec![name, value])
    }

    fn hours(&self, hours: &Hours) -> String {
        let to = hours.to_day.map_or(String::new(), |(day, _)| format!(" to {}", weekday(day)));
        let (from, until) = (self.source(hours.from.span), self.source(hours.to.span));
        format!("{}{to} {from} to {until}{}", weekday(hours.from_day.0), self.zone(hours.zone.as_ref()))
    }

    // ------------------------------------------------------------ policies

    fn rule(&mut self, rule: &Rule) -> Doc {
        let on = |channels: &[Name]| match channels {
            [] => String::new(),
            channels => format!(" on {}", names(channels)),
        };
        let words = |words: &[Name]| words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ");
        text(match &rule.kind {
            RuleKind::Consent { purpose, channels } => format!("consent {}{}", purpose.text, on(channels)),
            RuleKind::Quiet { from, to, zone, purpose, channels, then } => {
                let (from, to) = (self.source(from.span), self.source(to.span));
                let (zone, then) = (self.zone(zone.as_ref()), self.then(then));
                format!("quiet hours {from} to {to}{zone} for {}{} then {then}", purpose.text, on(channels))
            }
            RuleKind::Cap { words: of, number, window, then } => {
                let window = match window {
                    CapWindow::Rolling(duration) => self.duration(duration),
                    CapWindow::Calendar(of) => format!("calendar {}", unit(*of)),
                };
                let (of, then) = (words(of), self.then(then));
                format!("cap {of} at {} per {window} then {then}", self.source(number.span))
            }
            RuleKind::Rate { words: of, number, per } => {
                format!("rate {} at {} per {}", words(of), self.source(number.span), unit(*per))
            }
            RuleKind::MaxAudience { number, purpose } => {
                format!("max audience {} for {}", self.source(number.span), purpose.text)
            }
            RuleKind::Priority(journeys) => {
                let journeys: Vec<Doc> = journeys.iter().map(|j| text(j.text.clone())).collect();
                let row = join(journeys, &[Doc::Line, text("> ")]);
                return Doc::Group(vec![text("priority "), Doc::Nest(vec![Doc::Nest(row)])]);
            }
            RuleKind::Holdout { share, purpose } => {
                let share = self.source(share.span).replace([' ', '\t'], "");
                format!("holdout {share} for {}", purpose.text)
            }
            RuleKind::Error => self.source(rule.span).to_owned(),
        })
    }

    pub(super) fn then(&self, then: &Then) -> String {
        match then {
            Then::Wait(None) => "wait".to_owned(),
            Then::Wait(Some(limit)) => format!("wait up to {}", self.duration(limit)),
            Then::Skip => "skip".to_owned(),
            Then::Exit => "exit".to_owned(),
        }
    }

    // ------------------------------------------------------------ tests

    fn test_line(&mut self, line: &TestLine) -> Doc {
        match &line.kind {
            TestLineKind::Given(given) => self.given(given),
            TestLineKind::At { at, person, what } => {
                let at = match at {
                    TestTime::Moment(date, time, zone) => {
                        let (date, time) = (self.source(date.span), self.source(time.span));
                        format!("at {date}T{time}{}", self.zone(zone.as_ref()))
                    }
                    TestTime::Plus(duration) => format!("at +{}", self.duration(duration)),
                };
                let after_expect = |p: &&Name| self.before(p.span.start).trim_end().ends_with("expect");
                if let (Some(AtWhat::Expect(expect)), Some(expected)) =
                    (what, person.as_ref().filter(after_expect))
                {
                    let expect = self.expect(Some(expected), expect);
                    return Doc::Group(vec![text(format!("{at} ")), expect]);
                }
                let person = person.as_ref().map_or(String::new(), |p| format!(" {}", p.text));
                match what {
                    Some(what) => {
                        let what = self.at_what(what);
                        Doc::Group(vec![text(format!("{at}{person} ")), what])
                    }
                    None => text(at),
                }
            }
            TestLineKind::Expect { person, expect } => self.expect(person.as_ref(), expect),
            TestLineKind::Error => text(self.source(line.span)),
        }
    }

    fn given(&mut self, given: &Given) -> Doc {
        let name = |n: &Option<Name>| n.as_ref().map_or(String::new(), |n| format!(" {}", n.text));
        match given {
            Given::Contact { person, record } => {
                let record = self.record(record);
                Doc::Group(vec![text(format!("given contact{} ", name(person))), record])
            }
            Given::Event { person, event, with, date, time } => {
                let with = self.record_after(with.as_ref());
                let at = format!(" at {}T{}", self.source(date.span), self.source(time.span));
                Doc::Group(vec![text(format!("given{} event {}", name(person), path(event))), with, text(at)])
            }
            Given::Seed(number) => text(format!("given seed {}", self.source(number.span))),
            Given::Consent { person, consent } => {
                text(format!("given{} {}", name(person), consent_of(consent)))
            }
            Given::Loose => text("given loose"),
            Given::Variant { split, variant } => {
                text(format!("given variant {} = {}", split.text, variant.text))
            }
            Given::RequestFails { endpoint } => text(format!("given request {} fails", path(endpoint))),
            Given::RequestReturns { endpoint, record } => {
                let record = self.record(record);
                Doc::Group(vec![text(format!("given request {} returns ", path(endpoint))), record])
            }
            Given::PoolEmpty { pool } => text(format!("given pool {} empty", pool.text)),
            Given::Pool { pool, items } => {
                let end = items.last().map_or(pool.span.end, |item| item.span.end);
                let items = self.values(from_to(pool.span.end, end), items);
                Doc::Group(vec![text(format!("given pool {} ", pool.text)), items])
            }
        }
    }

    /// A record with a blank before it, or nothing.
    fn record_after(&mut self, record: Option<&Record>) -> Doc {
        match record {
            Some(record) => Doc::Group(vec![text(" "), self.record(record)]),
            None => text(""),
        }
    }

    fn at_what(&mut self, what: &AtWhat) -> Doc {
        match what {
            AtWhat::Event { event, with } => {
                let with = self.record_after(with.as_ref());
                Doc::Group(vec![text(format!("event {}", path(event))), with])
            }
            AtWhat::Set { path: target, value } => {
                let value = self.expr(value);
                Doc::Group(vec![text(format!("set {} = ", path(target))), value])
            }
            AtWhat::WorkReturns { task, outcome, with } => {
                // the tree does not tell the two verbs apart
                let before = self.source(from_to(0, task.span.start)).trim_end();
                let verb = if before.ends_with("assign") { "assign" } else { "call" };
                let with = self.record_after(with.as_ref());
                Doc::Group(vec![text(format!("{verb} {} returns {}", path(task), outcome.text)), with])
            }
            AtWhat::AskReturns { survey, answers: AskAnswers::Record(record) } => {
                let record = self.record(record);
                Doc::Group(vec![text(format!("ask {} returns ", path(survey))), record])
            }
            AtWhat::AskReturns { survey, answers: AskAnswers::Outcome(outcome) } => {
                text(format!("ask {} returns {}", path(survey), outcome.text))
            }
            AtWhat::Start { with } => self.with_record("start".to_owned(), with.as_ref()),
            AtWhat::Grant(consent) => text(format!("grant {}", consent_of(consent))),
            AtWhat::Withdraw(consent) => text(format!("withdraw {}", consent_of(consent))),
            AtWhat::Given(given) => self.given(given),
            AtWhat::Expect(expect) => self.expect(None, expect),
        }
    }

    fn expect(&mut self, person: Option<&Name>, expect: &Expect) -> Doc {
        let person = person.map_or(String::new(), |p| format!("{} ", p.text));
        let rest = match expect {
            Expect::Send { channel, template, to, with, at } => {
                let mut docs = vec![text(format!("send {} {}", channel.text, path(template)))];
                if let Some(to) = to {
                    docs.push(text(" to "));
                    docs.push(self.expr(to));
                }
                if let Some(with) = with {
                    docs.push(text(" with "));
                    docs.push(self.record(with));
                }
                docs.push(text(at.map_or(String::new(), |at| format!(" at {}", self.source(at.span)))));
                Doc::Group(docs)
            }
            Expect::NoMoreSend => text("no more send"),
            Expect::No { verb, name } => {
                let name = name.as_ref().map_or(String::new(), |n| format!(" {}", path(n)));
                text(format!("no {}{name}", verb.text))
            }
            Expect::Exit { reason } => text(format!("exit as {}", reason.text)),
            Expect::Goal { name } => text(format!("goal {}", name.text)),
            Expect::Start { journey, with } => {
                self.with_record(format!("start {}", journey.text), with.as_ref())
            }
            Expect::Did { verb, name, with } => {
                self.with_record(format!("{} {}", verb.text, path(name)), with.as_ref())
            }
            Expect::WaitingAt { step } => text(format!("waiting at {}", step.text)),
            Expect::Member { audience, is_in } => text(format!("contact {}", membership(audience, *is_in))),
            Expect::Holds(expr) => self.expr(expr),
        };
        Doc::Group(vec![text(format!("expect {person}")), rest])
    }
}

// ---------------------------------------------------------------- lines of lists

impl Element for Field {
    fn span(&self) -> Span {
        self.span
    }

    fn is_error(&self) -> bool {
        matches!(self.ty.kind, TypeKind::Error)
    }

    fn lists(&self, _: &Printer<'_>) -> Vec<Span> {
        Vec::new()
    }

    fn print(&self, printer: &mut Printer<'_>) {
        let doc = printer.field(self);
        printer.doc(&doc);
    }
}

impl Element for Prop {
    fn span(&self) -> Span {
        self.span
    }

    fn is_error(&self) -> bool {
        false
    }

    fn lists(&self, _: &Printer<'_>) -> Vec<Span> {
        Vec::new()
    }

    fn print(&self, printer: &mut Printer<'_>) {
        let doc = printer.prop(self);
        printer.doc(&doc);
    }
}

impl Element for Rule {
    fn span(&self) -> Span {
        self.span
    }

    fn is_error(&self) -> bool {
        matches!(self.kind, RuleKind::Error)
    }

    fn lists(&self, _: &Printer<'_>) -> Vec<Span> {
        Vec::new()
    }

    fn print(&self, printer: &mut Printer<'_>) {
        let doc = printer.rule(self);
        printer.doc(&doc);
    }
}

impl Element for TestLine {
    fn span(&self) -> Span {
        self.span
    }

    fn is_error(&self) -> bool {
        matches!(self.kind, TestLineKind::Error)
    }

    fn lists(&self, _: &Printer<'_>) -> Vec<Span> {
        Vec::new()
    }

    fn print(&self, printer: &mut Printer<'_>) {
        let doc = printer.test_line(self);
        printer.doc(&doc);
    }
}

fn membership(audience: &Name, is_in: bool) -> String {
    format!("{}in audience {}", if is_in { "" } else { "not " }, audience.text)
}
