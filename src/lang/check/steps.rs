//! Each statement with what is known where it stands.

use super::findings::{finding, unknown};
use super::graph::{At, What};
use super::journey::Journey;
use super::narrow::Facts;
use super::schema::Noun;
use crate::diagnostic::{Code, Span, suggest};
use crate::engine::program::{BinaryOp, Expr, Word};
use crate::lang::ast::{self, ExprKind, Name, Path, Stmt, StmtKind};
use crate::lang::types::{self, noun};
use crate::value::{Decimal, Type};

impl<'a> Journey<'_, 'a> {
    /// The expressions and names of one node.
    pub(super) fn node(&mut self, at: At) {
        let facts = self.facts_at(at);
        match self.graph.nodes[at].what {
            What::Stmt(stmt) => self.stmt(stmt, facts),
            What::Test(condition) => self.condition(condition, facts, false),
            What::Start
            | What::Handler(_)
            | What::Stage
            | What::RoundEnd
            | What::Unread
            | What::ElseEnd
            | What::End
            | What::HandlerEnd => {}
        }
    }

    pub(super) fn stmt(&mut self, stmt: &'a Stmt, facts: Facts) {
        match &stmt.kind {
            StmtKind::Send(send) => self.send(stmt, send, facts),
            StmtKind::Call(work) => self.work(stmt, work, facts, true),
            StmtKind::Assign(work) => self.work(stmt, work, facts, false),
            StmtKind::Request(request) => self.request(request, facts),
            StmtKind::Record { event, with } => self.record(event, with.as_ref(), stmt.span, facts),
            StmtKind::Set { path, value } => self.set(path, value, facts),
            StmtKind::Add { value, to, duration, .. } => {
                self.add(value, to, facts, true);
                duration.iter().for_each(|duration| self.length(duration));
            }
            StmtKind::Remove { value, from } => self.add(value, from, facts, false),
            StmtKind::Let { value, .. } => {
                let ty = self.reader(facts).any(value).map(|read| read.ty);
                if let Some(slot) = self.names.slot_at.get(&stmt.span).copied() {
                    self.names.slot_mut(slot).ty = ty;
                }
            }
            StmtKind::Grant { consent, evidence } => self.grant(consent, evidence.as_ref(), facts),
            StmtKind::Withdraw { consent } => self.grant(consent, None, facts),
            StmtKind::Wait(wait) => self.wait(wait, facts),
            StmtKind::Switch(switch) => self.switch(switch, stmt.span, facts),
            StmtKind::Repeat { times, .. } => self.times(times),
            StmtKind::StartJourney { journey, with } => {
                self.start_journey(journey, with.as_ref(), stmt.span, facts)
            }
            StmtKind::RunJourney { journey, with, limit, .. } => {
                self.start_journey(journey, with.as_ref(), stmt.span, facts);
                limit.iter().for_each(|limit| self.length(limit));
            }
            StmtKind::GoTo(stage) => self.go_to(stage),
            StmtKind::Pause { purpose, how } => self.pause(purpose, how, facts),
            StmtKind::Exit { reason: None } => self.out.push(
                finding(Code::E0301, stmt.span, "this `exit` does not say why")
                    .label("without a reason")
                    .help("write `exit as done`, say: reports count by reason"),
            ),
            StmtKind::Resume => self.resume(stmt.span),
            StmtKind::Ask(ask) => self.question(stmt, ask, facts),
            StmtKind::Take { pool, .. } => self.named(Noun::Pool, pool),
            StmtKind::AddContact { audience } | StmtKind::RemoveContact { audience } => {
                self.named(Noun::Audience, audience);
            }
            StmtKind::Exit { .. } | StmtKind::If(_) | StmtKind::Split { .. } | StmtKind::Error => {}
        }
    }

    /// The first words of a place.
    pub(super) fn words(&self, span: Span, count: usize) -> Span {
        let text = self.schema.input.sources.slice(span);
        let ends = text.match_indices(char::is_whitespace).map(|(at, _)| at);
        let end = ends.chain([text.len()]).nth(count - 1).unwrap_or(text.len());
        Span::new(span.file, span.start, span.start + end as u32)
    }

    // ---------------------------------------------------------------- attributes

    pub(super) fn set(&mut self, path: &Path, value: &'a ast::Expr, facts: Facts) {
        match self.attribute_type(path) {
            Some(ty) => {
                if let Some(read) = self.reader(facts).value(value, &ty) {
                    self.may_be_cut(path, &ty, value.span, &read.expr);
                }
            }
            None => _ = self.reader(facts).any(value),
        }
    }

    /// W0115: a field as it came goes into a range that is smaller than its own. What is reckoned with is cut on purpose.
    fn may_be_cut(&mut self, path: &Path, ty: &Type, span: Span, value: &Expr) {
        let (Some((low, high)), Some((name, given))) = (range(ty), self.field_as_it_came(value)) else {
            return;
        };
        let own = range(&given);
        if own.is_some_and(|(from, to)| low <= from && to <= high) {
            return;
        }
        let text = self.schema.input.sources.slice(span);
        let message = format!(
            "`{text}` may lie outside of {low} to {high}, and is cut to that for `{}`",
            path.joined()
        );
        let label = own
            .map_or_else(|| format!("any {}", given.required()), |(from, to)| format!("from {from} to {to}"));
        let made = finding(Code::W0115, span, message).label(label).help(format!(
            "declare it as `{name}: {} from {low} to {high}`; what does not fit is then refused, and a survey asks for it again",
            given.required()
        ));
        self.out.push(made);
    }

    /// The field of an event, of answers, of a reply, with its type, if the value is nothing more than that.
    fn field_as_it_came(&self, value: &Expr) -> Option<(Word, Type)> {
        match value {
            Expr::ToDecimal(inner) | Expr::Binary(BinaryOp::Otherwise, inner, _) => {
                self.field_as_it_came(inner)
            }
            Expr::Field(inner, name) => {
                let Expr::Slot(slot) = **inner else { return None };
                let ty = types::field(self.names.slot(slot).fields.as_ref()?, name)?;
                types::is_numeric(ty).then(|| (name.clone(), ty.clone()))
            }
            _ => None,
        }
    }

    /// The declared type of `contact.NAME`.
    pub(super) fn attribute_type(&mut self, path: &Path) -> Option<Type> {
        if path.parts[0].text == "contact" {
            let read = self.reader(Facts::default()).path(path, None)?;
            if matches!(read.expr, Expr::Attribute(_)) {
                return Some(read.ty);
            }
        }
        let message = format!("only attributes of the contact can be changed, not `{}`", path.joined());
        self.out.push(
            finding(Code::E0103, path.span, message)
                .label("cannot be changed")
                .help("write `contact.…`, or `let` for a value of this journey"),
        );
        None
    }

    /// `add X to contact.tags`, `add 50 to contact.points`, `remove X from contact.tags`.
    pub(super) fn add(&mut self, value: &'a ast::Expr, path: &Path, facts: Facts, add: bool) {
        let Some(ty) = self.attribute_type(path) else {
            self.reader(facts).any(value);
            return;
        };
        match ty.required() {
            Type::List(element) => _ = self.reader(facts).value(value, element),
            Type::Number(_) if add => _ = self.reader(facts).value(value, &Type::Number(None)),
            Type::Decimal(_) if add => _ = self.reader(facts).value(value, &Type::Decimal(None)),
            other => {
                let verb = if add { "added to" } else { "removed from" };
                let message = format!("nothing can be {verb} `{}`, which is {}", path.joined(), noun(other));
                let wanted = if add { "not a list and not a number" } else { "not a list" };
                self.out.push(finding(Code::E0103, path.span, message).label(wanted));
            }
        }
    }

    pub(super) fn grant(&mut self, consent: &ast::ConsentOf, evidence: Option<&Name>, facts: Facts) {
        self.reader(facts).consent_words(consent);
        if consent.channels.is_empty() && self.schema.catalog.is_purpose(&consent.purpose.text) {
            let line = self.schema.catalog.policy.consent.get(consent.purpose.text.as_str());
            let all = line.map_or_else(|| "email".to_owned(), |line| line.join(", "));
            self.out.push(
                finding(Code::E0103, consent.span, "consent is given and withdrawn channel by channel")
                    .label("on which channels?")
                    .help(format!("add `on {all}`, say")),
            );
        }
        let Some(evidence) = evidence else { return };
        if let Some(slot) = self.names.find(evidence, |_| true) {
            self.names.slot_mut(slot).mentioned = true;
        } else if !self.schema.has(Noun::Event, &evidence.text)
            && !self.schema.is_hidden(&evidence.text)
            && !self.may_be_hidden(&evidence.text)
        {
            let all: Vec<&str> = self.schema.names(Noun::Event).collect();
            self.out.push(unknown(Code::E0101, "event or result", evidence, all));
        }
    }

    // ---------------------------------------------------------------- waits

    /// A duration that is longer than nothing.
    pub(super) fn length(&mut self, duration: &ast::Duration) {
        let mut reader = self.reader(Facts::default());
        if reader.duration(duration).is_some() {
            super::time::positive(&mut reader, duration);
            super::time::working_days(&mut reader, duration);
        }
    }

    pub(super) fn wait(&mut self, wait: &'a ast::Wait, facts: Facts) {
        match wait {
            ast::Wait::For { duration, longest, then_until, .. } => {
                self.length(duration);
                if let Some(longest) = longest {
                    self.length(longest);
                    self.random(duration, longest);
                }
                then_until.iter().for_each(|moment| self.reader(facts.clone()).moment(moment));
            }
            ast::Wait::Until { moment, .. } => self.reader(facts).moment(moment),
            ast::Wait::Event { patience, event, look_back, then_until } => {
                self.patience(patience);
                look_back.iter().for_each(|back| self.length(back));
                self.event_match(event, facts.clone(), true);
                then_until.iter().for_each(|moment| self.reader(facts.clone()).moment(moment));
            }
            ast::Wait::Condition { patience, condition, .. } => {
                self.patience(patience);
                self.condition(condition, facts, true);
            }
            ast::Wait::Race { patience, arms, .. } => {
                self.patience(patience);
                for arm in arms {
                    match &arm.when {
                        ast::ArmWhen::Event(event) => self.event_match(event, facts.clone(), true),
                        ast::ArmWhen::Condition { expr, .. } => self.condition(expr, facts.clone(), true),
                    }
                }
            }
        }
    }

    pub(super) fn patience(&mut self, patience: &ast::Patience) {
        if let ast::Patience::UpTo(limit) = patience {
            self.length(limit);
        }
    }

    pub(super) fn random(&mut self, from: &ast::Duration, to: &ast::Duration) {
        if types::calendar(from).about_ms() > types::calendar(to).about_ms() {
            self.out.push(
                finding(Code::E0113, from.span.to(to.span), "this wait ends before it begins")
                    .label("from the shorter to the longer"),
            );
        }
    }

    // ---------------------------------------------------------------- choices

    pub(super) fn switch(&mut self, switch: &'a ast::Switch, span: Span, facts: Facts) {
        let read = {
            let mut reader = self.reader(facts.clone());
            let read = reader.any(&switch.subject);
            read.and_then(|read| reader.required(read, switch.subject.span))
        };
        let Some(read) = read else { return };
        let all: Vec<Word> = match &read.ty {
            Type::OneOf(values) => values.to_vec(),
            other => {
                let message = format!(
                    "`switch` chooses between listed values, but `{}` is {}",
                    self.text(switch.subject.span),
                    noun(other)
                );
                self.out.push(
                    finding(Code::E0103, switch.subject.span, message)
                        .label("not a listed value")
                        .help("use `if`"),
                );
                return;
            }
        };
        let mut seen: Vec<(Word, Span)> = Vec::new();
        let mut complete = true;
        for case in &switch.cases {
            for value in &case.values {
                let Some(word) = self.case(value, &read.ty) else {
                    complete = false;
                    continue;
                };
                match seen.iter().find(|(other, _)| *other == word) {
                    Some((_, first)) => self.out.push(
                        finding(Code::E0302, value.span, format!("`{word}` is decided by a case before"))
                            .label("never reached")
                            .related(*first, "decided here"),
                    ),
                    None => seen.push((word, value.span)),
                }
            }
        }
        let unread = self.schema.parsed.iter().any(|(_, error)| span.contains(*error));
        if !complete || unread || switch.otherwise.is_some() {
            return;
        }
        let possible = self.still_possible(&switch.subject, &all, facts);
        let missing: Vec<&str> = possible
            .iter()
            .filter(|word| !seen.iter().any(|(other, _)| other == *word))
            .map(|word| &**word)
            .collect();
        if !missing.is_empty() {
            self.not_exhaustive(switch, span, &missing);
        }
    }

    pub(super) fn case(&mut self, value: &'a ast::Expr, ty: &Type) -> Option<Word> {
        let read = self.reader(Facts::default()).value(value, ty)?;
        match read.expr {
            Expr::Const(crate::value::Value::Text(word)) => Some(word),
            _ => {
                self.out.push(
                    finding(Code::E0104, value.span, "a case needs one of the listed values")
                        .label("not a listed value"),
                );
                None
            }
        }
    }

    /// The values that are left by what is known.
    pub(super) fn still_possible(&mut self, subject: &ast::Expr, all: &[Word], facts: Facts) -> Vec<Word> {
        let ExprKind::Path(path) = &subject.kind else { return all.to_vec() };
        let left = self.reader(facts).conditions(|conditions| {
            let place = conditions.place(path)?;
            conditions.facts.values(&place).cloned()
        });
        match left {
            Some(left) => all.iter().filter(|word| left.contains(*word)).cloned().collect(),
            None => all.to_vec(),
        }
    }

    pub(super) fn not_exhaustive(&mut self, switch: &ast::Switch, span: Span, missing: &[&str]) {
        let subject = self.text(switch.subject.span).to_owned();
        let list = missing.join(", ");
        let message = format!("this switch says nothing for {list}");
        let place = Span::at(span.file, span.end.saturating_sub(1));
        self.out.push(
            finding(Code::E0305, switch.subject.span, message)
                .label(format!("`{subject}` can be {list} too"))
                .help("add a case for them, or `else { … }`")
                .suggest(format!("add `case {list} {{ }}`"), place, format!("case {list} {{\n}}\n")),
        );
    }

    /// The source text of a place.
    pub(super) fn text(&self, span: Span) -> &str {
        let sources = &self.schema.input.sources;
        sources.slice(sources.trim(sources.first_line(span)))
    }

    pub(super) fn times(&mut self, times: &ast::Number) {
        if !times.value.is_whole() || !(1..=1000).contains(&times.value.trunc()) {
            self.out.push(
                finding(Code::E0113, times.span, "a loop runs a whole number of times, from 1 to 1000")
                    .label("not possible"),
            );
        }
    }

    // ---------------------------------------------------------------- elsewhere

    pub(super) fn start_journey(
        &mut self,
        journey: &Name,
        with: Option<&'a ast::Record>,
        span: Span,
        facts: Facts,
    ) {
        let Some(signature) = self.schema.journeys.get(journey.text.as_str()) else {
            if !self.schema.is_hidden(&journey.text) {
                let all: Vec<&str> = self.schema.journeys.keys().map(|name| &**name).collect();
                self.out.push(unknown(Code::E0101, "journey", journey, all));
            }
            return;
        };
        let Some(arguments) = signature.arguments.clone() else {
            let message = format!("`{}` cannot be started: it has no `enter by start`", journey.text);
            let made = finding(Code::E0103, journey.span, message)
                .label("entered in other ways only")
                .related(signature.journey.name.span, "declared here");
            self.out.push(made);
            return;
        };
        self.pairs(with, &arguments, "argument", Code::E0101, span, facts);
    }

    pub(super) fn go_to(&mut self, stage: &Name) {
        if self.names.stages.contains_key(stage.text.as_str()) || self.may_be_hidden(&stage.text) {
            return;
        }
        let elsewhere = self.schema.journeys.values().find(|other| {
            other.journey.items.iter().any(
                |item| matches!(&item.kind, ast::JourneyItemKind::Stage { name, .. } if name.text == stage.text),
            )
        });
        let message = format!("there is no stage `{}` in this journey", stage.text);
        let made = finding(Code::E0309, stage.span, message).label("goes nowhere");
        let all: Vec<&str> = self.names.stages.keys().map(|name| &**name).collect();
        let near = suggest::did_you_mean(&stage.text, all.iter().copied());
        let made = match (near, elsewhere) {
            (None, Some(other)) => made.help(format!(
                "`{}` is a stage of `{}`; `start journey {}` leads into another journey",
                stage.text, other.journey.name.text, other.journey.name.text
            )),
            _ => super::findings::with_near_miss(made, near, &all, stage.span),
        };
        self.out.push(made);
    }

    pub(super) fn pause(&mut self, purpose: &Name, how: &'a ast::Pause, facts: Facts) {
        let mut reader = self.reader(facts);
        reader.purpose(purpose);
        match how {
            ast::Pause::For(duration) => self.length(duration),
            ast::Pause::Until(moment) => reader.moment(moment),
            ast::Pause::Forever => {}
        }
    }

    pub(super) fn resume(&mut self, span: Span) {
        let inside = self.journey.items.iter().any(|item| match &item.kind {
            ast::JourneyItemKind::Handler { body, .. } => body.span.contains(span),
            _ => false,
        });
        if !inside {
            self.out.push(
                finding(Code::E0307, span, "`resume` ends a handler; here is none")
                    .label("not inside `on … { }`")
                    .help("leave it out, or write `exit as …`"),
            );
        }
    }
}

/// The range of a number.
fn range(ty: &Type) -> Option<(Decimal, Decimal)> {
    match ty.required() {
        Type::Number(Some((low, high))) => Some((Decimal::from_int(*low), Decimal::from_int(*high))),
        Type::Decimal(range) => *range,
        _ => None,
    }
}
