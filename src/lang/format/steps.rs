//! Statements and what stands directly in a journey.

use super::exprs::{consent_of, from_to, names, path, unit};
use super::layout::{Doc, join, text};
use super::printer::{Element, Printer};
use crate::diagnostic::Span;
use crate::lang::ast::{
    Arm, ArmWhen, Block, Case, ChannelChoice, Enter, EnterHow, EventMatch, ExitTrigger, Expr, Goal, If,
    JourneyItem, JourneyItemKind, MigrateKind, MigrateLine, Moment, Name, OnDeploy, Patience, Pause, Record,
    Reenter, Stmt, StmtKind, Switch, Variant, Wait, Work,
};

impl Element for Stmt {
    fn span(&self) -> Span {
        self.span
    }

    fn is_error(&self) -> bool {
        matches!(self.kind, StmtKind::Error)
    }

    fn lists(&self, printer: &Printer<'_>) -> Vec<Span> {
        match &self.kind {
            StmtKind::If(step) => {
                step.branches.iter().map(|b| b.1.span).chain(step.otherwise.iter().map(|b| b.span)).collect()
            }
            StmtKind::Repeat { body, .. } => vec![body.span],
            StmtKind::Request(step) => step.otherwise.iter().map(|b| b.span).collect(),
            StmtKind::Take { otherwise, .. } => otherwise.iter().map(|b| b.span).collect(),
            StmtKind::Wait(wait) => match &**wait {
                Wait::Until { body, .. } => body.iter().map(|b| b.span).collect(),
                Wait::Race { patience, name, .. } => {
                    printer.race_braces(self.span, patience, name.as_ref()).into_iter().collect()
                }
                _ => Vec::new(),
            },
            StmtKind::Switch(step) => {
                printer.braces(step.subject.span.end, self.span.end).into_iter().collect()
            }
            StmtKind::Split { name, .. } => {
                printer.braces(name.span.end, self.span.end).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn print(&self, printer: &mut Printer<'_>) {
        printer.stmt(self);
    }
}

/// A statement without blocks as a document, or nothing for the others.
pub(super) fn simple(printer: &Printer<'_>, stmt: &Stmt) -> Option<Doc> {
    // the caller has made sure that no comment stands in it, so nothing is taken from the printer
    let has_blocks =
        !stmt.lists(printer).is_empty() || matches!(stmt.kind, StmtKind::Switch(_) | StmtKind::Split { .. });
    if has_blocks {
        return None;
    }
    printer.without_comments().plain_stmt(stmt)
}

impl Printer<'_> {
    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::If(step) => self.if_step(step),
            StmtKind::Repeat { times, name, until, body } => {
                let count = self.source(times.span);
                let word = if count == "1" { "time" } else { "times" };
                let mut head = vec![text(format!("repeat up to {count} {word}"))];
                head.extend(name.as_ref().map(|n| text(format!("as {}", n.text))));
                if let Some(until) = until {
                    head.push(Doc::Group(vec![text("until "), Doc::Nest(vec![self.expr(until)])]));
                }
                self.head(head);
                self.block(body);
            }
            StmtKind::Switch(step) => self.switch(stmt.span, step),
            StmtKind::Split { name, variants } => {
                self.write(&format!("split {} ", name.text));
                if let Some(braces) = self.braces(name.span.end, stmt.span.end) {
                    self.braced(braces, variants);
                }
            }
            StmtKind::Wait(wait) => match &**wait {
                Wait::Race { patience, name, arms, timeout } => {
                    self.race(stmt.span, patience, name.as_ref(), arms, timeout.as_ref());
                }
                Wait::Until { moment, name, body: Some(body) } => {
                    let name = as_name(name.as_ref());
                    self.write(&format!("wait until {}{name} ", self.moment(moment)));
                    self.block(body);
                }
                _ => self.plain(stmt),
            },
            StmtKind::Request(step) => {
                self.plain(stmt);
                self.otherwise(step.otherwise.as_ref());
            }
            StmtKind::Take { otherwise, .. } => {
                self.plain(stmt);
                self.otherwise(otherwise.as_ref());
            }
            _ => self.plain(stmt),
        }
    }

    fn plain(&mut self, stmt: &Stmt) {
        match self.plain_stmt(stmt) {
            Some(doc) => self.doc(&doc),
            None => {
                let source = self.source(stmt.span).to_owned();
                self.write(&source);
            }
        }
    }

    /// The head of a block: its parts on one line if they fit, and the blank before the brace.
    pub(super) fn head(&mut self, parts: Vec<Doc>) {
        let doc = Doc::Group(vec![Doc::Nest(vec![Doc::Nest(join(parts, &[Doc::Line]))]), text(" {")]);
        let rendered = self.rendered(&doc);
        self.write(rendered.strip_suffix('{').unwrap_or(&rendered));
    }

    fn otherwise(&mut self, block: Option<&Block>) {
        if let Some(block) = block {
            self.write(" else ");
            self.block(block);
        }
    }

    fn if_step(&mut self, step: &If) {
        for (at, (condition, block)) in step.branches.iter().enumerate() {
            let word = if at == 0 { "if " } else { " else if " };
            let condition = self.expr(condition);
            self.head(vec![Doc::Group(vec![text(word), condition])]);
            self.block(block);
        }
        self.otherwise(step.otherwise.as_ref());
    }

    fn switch(&mut self, span: Span, step: &Switch) {
        let subject = self.expr(&step.subject);
        self.head(vec![Doc::Group(vec![text("switch "), subject])]);
        let mut lines: Vec<SwitchLine<'_>> = step.cases.iter().map(SwitchLine::Case).collect();
        lines.extend(step.otherwise.as_ref().map(|b| SwitchLine::Else(b, self.word_before("else", b.span))));
        lines.sort_by_key(|l| l.span().start);
        if let Some(braces) = self.braces(step.subject.span.end, span.end) {
            self.braced(braces, &lines);
        }
    }

    fn race(
        &mut self,
        span: Span,
        patience: &Patience,
        name: Option<&Name>,
        arms: &[Arm],
        timeout: Option<&Block>,
    ) {
        self.write(&format!("wait {}{} ", self.patience(patience), as_name(name)));
        let mut lines: Vec<RaceLine<'_>> = arms.iter().map(RaceLine::Arm).collect();
        let head = |b: &Block| self.word_before("on", self.word_before("timeout", b.span));
        lines.extend(timeout.map(|b| RaceLine::Timeout(b, head(b))));
        lines.sort_by_key(|l| l.span().start);
        if let Some(braces) = self.race_braces(span, patience, name) {
            self.braced(braces, &lines);
        }
    }

    fn race_braces(&self, span: Span, patience: &Patience, name: Option<&Name>) -> Option<Span> {
        let head_end = match patience {
            Patience::UpTo(duration) => duration.span.end,
            Patience::Forever(span) => span.end,
        };
        self.braces(name.map_or(head_end, |n| n.span.end.max(head_end)), span.end)
    }

    /// A place widened to the word before it.
    fn word_before(&self, word: &str, span: Span) -> Span {
        let before = self.source(from_to(0, span.start)).trim_end();
        let start = before.strip_suffix(word).map_or(span.start, |b| b.len() as u32);
        from_to(start, span.end)
    }

    fn patience(&self, patience: &Patience) -> String {
        match patience {
            Patience::UpTo(limit) => format!("up to {}", self.duration(limit)),
            Patience::Forever(_) => "forever".to_owned(),
        }
    }

    // ------------------------------------------------------------ statements without blocks

    fn plain_stmt(&mut self, stmt: &Stmt) -> Option<Doc> {
        let doc = match &stmt.kind {
            StmtKind::Send(send) => {
                let head = format!("send {} {}", channels(&send.channels), path(&send.template));
                let mut clauses = Clauses::new(head);
                clauses.expr("to", send.to.as_ref(), self);
                clauses.record(send.with.as_ref(), self);
                clauses.name("for", send.purpose.as_ref());
                clauses.push("before", send.before.as_ref().map(|m| self.moment(m)));
                clauses.name("as", send.name.as_ref());
                clauses.doc()
            }
            StmtKind::Ask(ask) => {
                let head = format!("ask {} by {}", path(&ask.survey), channels(&ask.channels));
                let mut clauses = Clauses::new(head);
                clauses.record(ask.with.as_ref(), self);
                clauses.name("for", ask.purpose.as_ref());
                clauses.push("up to", ask.limit.as_ref().map(|d| self.duration(d)));
                clauses.name("as", ask.name.as_ref());
                clauses.doc()
            }
            StmtKind::Call(work) => self.work("call", "by", work),
            StmtKind::Assign(work) => self.work("assign", "to", work),
            StmtKind::Request(request) => {
                let mut clauses = Clauses::new(format!("request {}", path(&request.endpoint)));
                clauses.record(request.with.as_ref(), self);
                clauses.name("as", request.name.as_ref());
                clauses.doc()
            }
            StmtKind::Take { what, pool, name, .. } => {
                text(format!("take {} from {}{}", what.text, pool.text, as_name(name.as_ref())))
            }
            StmtKind::Record { event, with } => {
                self.with_record(format!("record {}", path(event)), with.as_ref())
            }
            StmtKind::Set { path: target, value } => {
                Doc::Group(vec![text(format!("set {} = ", path(target))), Doc::Nest(vec![self.expr(value)])])
            }
            StmtKind::Add { value, to, duration, until_exit } => {
                let duration =
                    duration.as_ref().map_or(String::new(), |d| format!(" for {}", self.duration(d)));
                let until = if until_exit.is_some() { " until exit" } else { "" };
                let value = self.expr(value);
                Doc::Group(vec![text("add "), value, text(format!(" to {}{duration}{until}", path(to)))])
            }
            StmtKind::AddContact { audience } => text(format!("add contact to {}", audience.text)),
            StmtKind::Remove { value, from } => {
                let value = self.expr(value);
                Doc::Group(vec![text("remove "), value, text(format!(" from {}", path(from)))])
            }
            StmtKind::RemoveContact { audience } => text(format!("remove contact from {}", audience.text)),
            StmtKind::Let { name, value } => {
                Doc::Group(vec![text(format!("let {} = ", name.text)), Doc::Nest(vec![self.expr(value)])])
            }
            StmtKind::Grant { consent, evidence } => {
                let from = evidence.as_ref().map_or(String::new(), |e| format!(" from {}", e.text));
                text(format!("grant {}{from}", consent_of(consent)))
            }
            StmtKind::Withdraw { consent } => text(format!("withdraw {}", consent_of(consent))),
            StmtKind::Wait(wait) => self.wait(wait)?,
            StmtKind::StartJourney { journey, with } => {
                self.with_record(format!("start journey {}", journey.text), with.as_ref())
            }
            StmtKind::RunJourney { journey, with, limit, name } => {
                let mut clauses = Clauses::new(format!("run journey {}", journey.text));
                clauses.record(with.as_ref(), self);
                clauses.push("up to", limit.as_ref().map(|d| self.duration(d)));
                clauses.name("as", name.as_ref());
                clauses.doc()
            }
            StmtKind::GoTo(stage) => text(format!("go to {}", stage.text)),
            StmtKind::Resume => text("resume"),
            StmtKind::Pause { purpose, how } => {
                let how = match how {
                    Pause::For(duration) => format!("for {}", self.duration(duration)),
                    Pause::Until(moment) => format!("until {}", self.moment(moment)),
                    Pause::Forever => "forever".to_owned(),
                };
                text(format!("pause {} {how}", purpose.text))
            }
            StmtKind::Exit { reason } => text(format!("exit{}", as_name(reason.as_ref()))),
            StmtKind::If(_)
            | StmtKind::Switch(_)
            | StmtKind::Split { .. }
            | StmtKind::Repeat { .. }
            | StmtKind::Error => return None,
        };
        Some(doc)
    }

    fn work(&mut self, verb: &str, to: &str, work: &Work) -> Doc {
        let mut clauses = Clauses::new(format!("{verb} {}", path(&work.task)));
        clauses.expr(to, work.team.as_ref(), self);
        clauses.record(work.with.as_ref(), self);
        clauses.push("up to", work.limit.as_ref().map(|d| self.duration(d)));
        clauses.name("as", work.name.as_ref());
        clauses.doc()
    }

    pub(super) fn with_record(&mut self, head: String, record: Option<&Record>) -> Doc {
        let mut clauses = Clauses::new(head);
        clauses.record(record, self);
        clauses.doc()
    }

    fn wait(&mut self, wait: &Wait) -> Option<Doc> {
        Some(match wait {
            Wait::For { duration, longest, then_until, name } => {
                let longest = longest.as_ref().map_or(String::new(), |d| format!(" to {}", self.duration(d)));
                let mut clauses = Clauses::new(format!("wait {}{longest}", self.duration(duration)));
                clauses.push("then until", self.moment_of(then_until.as_ref()));
                clauses.name("as", name.as_ref());
                clauses.doc()
            }
            Wait::Until { moment, name, .. } => {
                text(format!("wait until {}{}", self.moment(moment), as_name(name.as_ref())))
            }
            Wait::Event { patience, event, look_back, then_until } => {
                let mut parts = vec![text(format!("wait {}", self.patience(patience)))];
                parts.extend(self.event_match("for", event));
                parts
                    .extend(look_back.as_ref().map(|d| text(format!("including last {}", self.duration(d)))));
                parts.extend(self.moment_of(then_until.as_ref()).map(|m| text(format!("then until {m}"))));
                hanging(parts)
            }
            Wait::Condition { patience, condition, name } => {
                let head = text(format!("wait {}", self.patience(patience)));
                let condition = Doc::Group(vec![text("until "), Doc::Nest(vec![self.expr(condition)])]);
                let mut parts = vec![head, condition];
                parts.extend(name.as_ref().map(|n| text(format!("as {}", n.text))));
                hanging(parts)
            }
            Wait::Race { .. } => return None,
        })
    }

    fn moment_of(&self, moment: Option<&Moment>) -> Option<String> {
        moment.map(|m| self.moment(m))
    }

    /// `word event as name same field where …`, each part for itself.
    pub(super) fn event_match(&mut self, word: &str, event: &EventMatch) -> Vec<Doc> {
        let events = event.events.iter().map(path).collect::<Vec<_>>().join(", ");
        let mut parts = vec![text(format!("{word} {events}{}", as_name(event.name.as_ref())))];
        if !event.same.is_empty() {
            parts.push(text(format!("same {}", names(&event.same))));
        }
        parts.extend(self.clause("where", event.filter.as_ref()));
        parts
    }

    fn clause(&mut self, word: &str, expr: Option<&Expr>) -> Option<Doc> {
        let expr = self.expr(expr?);
        Some(Doc::Group(vec![text(format!("{word} ")), Doc::Nest(vec![expr])]))
    }

    // ------------------------------------------------------------ journeys

    fn enter(&mut self, enter: &Enter) -> Doc {
        let mut parts = match &enter.how {
            EnterHow::On(event) => self.event_match("on", event),
            EnterHow::OnFirst(event) => self.event_match("on first", event),
            EnterHow::OnChange { path: target, name } => {
                vec![text(format!("on change of {}{}", path(target), as_name(name.as_ref())))]
            }
            EnterHow::When(condition) => self.clause("when", Some(condition)).into_iter().collect(),
            EnterHow::While(condition) => self.clause("while", Some(condition)).into_iter().collect(),
            EnterHow::At { date, time, zone } => {
                let (date, time) = (self.source(date.span), self.source(time.span));
                vec![text(format!("at {date}T{time}{}", self.zone(zone.as_ref())))]
            }
            EnterHow::Cron { text: cron, zone } => {
                vec![text(format!("cron {}{}", self.source(cron.span), self.zone(zone.as_ref())))]
            }
            EnterHow::EveryWeekday { day, at, zone } => {
                let (day, at) = (super::exprs::weekday(*day), self.at(Some(at)));
                vec![text(format!("every {day}{at}{}", self.zone(zone.as_ref())))]
            }
            EnterHow::Anniversary { path: anchor, at, zone } => {
                let (at, zone) = (self.at(at.as_ref()), self.zone(zone.as_ref()));
                vec![text(format!("every anniversary of {}{at}{zone}", path(anchor)))]
            }
            EnterHow::Offset { offset, side, path: anchor, at, zone } => {
                let (at, zone) = (self.at(at.as_ref()), self.zone(zone.as_ref()));
                vec![text(format!("{} {}{at}{zone}", self.offset(offset, *side), path(anchor)))]
            }
            EnterHow::ByStart(fields) if fields.is_empty() => vec![text("by start")],
            EnterHow::ByStart(fields) => {
                let last = fields.last().map_or(0, |f| f.span.end);
                let first = fields.first().map_or(0, |f| f.span.start);
                vec![Doc::Group(vec![text("by start with "), self.fields(from_to(first, last), fields)])]
            }
            EnterHow::Error => Vec::new(),
        };
        if let Some(first) = parts.first_mut() {
            *first = Doc::Group(vec![text("enter "), first.clone()]);
        }
        parts.extend(self.clause("where", enter.filter.as_ref()));
        if !enter.per.is_empty() {
            let per = enter.per.iter().map(path).collect::<Vec<_>>().join(", ");
            parts.push(text(format!("per {per}")));
        }
        parts.extend(self.clause("for", enter.audience.as_ref()));
        if let Some(ramp) = &enter.ramp {
            let then = ramp.then.as_ref().map_or(String::new(), |t| format!(" then {}", t.text));
            parts.push(text(format!("limit {} per {}{then}", self.source(ramp.number.span), unit(ramp.per))));
        }
        if enter.including_existing.is_some() {
            parts.push(text("including existing"));
        }
        hanging(parts)
    }

    fn goal(&mut self, goal: &Goal) -> Doc {
        let mut parts = vec![text(format!("goal {}", goal.name.text))];
        parts.extend(self.event_match("on", &goal.event));
        parts.extend(goal.within.as_ref().map(|d| text(format!("within {}", self.duration(d)))));
        parts.extend(
            goal.target.map(|t| text(format!("target {}", self.source(t.span).replace([' ', '\t'], "")))),
        );
        parts.extend(goal.then_exit.map(|_| text("then exit")));
        hanging(parts)
    }

    fn journey_item(&mut self, item: &JourneyItem) {
        let doc = match &item.kind {
            JourneyItemKind::Purpose { name, because } => {
                let because =
                    because.as_ref().map_or(String::new(), |b| format!(" because {}", self.source(b.span)));
                text(format!("purpose {}{because}", name.text))
            }
            JourneyItemKind::Runs { from, to, zone } => {
                let day = |d: &crate::lang::ast::Day| match d.time {
                    Some(time) => format!("{}T{}", self.source(d.date.span), self.source(time.span)),
                    None => self.source(d.date.span).to_owned(),
                };
                let range = match (from, to) {
                    (Some(from), Some(to)) => format!("from {} to {}", day(from), day(to)),
                    (Some(from), None) => format!("from {}", day(from)),
                    (None, Some(to)) => format!("until {}", day(to)),
                    (None, None) => String::new(),
                };
                text(format!("runs {range}{}", self.zone(zone.as_ref())))
            }
            JourneyItemKind::Enter(enter) => self.enter(enter),
            JourneyItemKind::Reenter(reenter) => text(match reenter {
                Reenter::Never => "reenter never".to_owned(),
                Reenter::Always => "reenter always".to_owned(),
                Reenter::Restart => "reenter restart".to_owned(),
                Reenter::WhenFinished => "reenter when finished".to_owned(),
                Reenter::AfterEntry(duration) => format!("reenter {} after entry", self.duration(duration)),
                Reenter::AfterExit(duration) => format!("reenter {} after exit", self.duration(duration)),
            }),
            JourneyItemKind::ExitRule { reason, trigger } => {
                let mut parts = match trigger {
                    ExitTrigger::On(event) => self.event_match("on", event),
                    ExitTrigger::When(condition) => {
                        self.clause("when", Some(condition)).into_iter().collect()
                    }
                };
                // `on` and `when` stay on the line of the reason
                if let Some(first) = parts.first_mut() {
                    *first = Doc::Group(vec![text(format!("exit as {} ", reason.text)), first.clone()]);
                }
                hanging(parts)
            }
            JourneyItemKind::Goal(goal) => self.goal(goal),
            JourneyItemKind::Lasts(duration) => text(format!("lasts up to {}", self.duration(duration))),
            JourneyItemKind::OnDeploy(OnDeploy::Migrate) => text("on deploy migrate"),
            JourneyItemKind::OnDeploy(OnDeploy::FinishOld) => text("on deploy finish old"),
            JourneyItemKind::Handler { event, body } => {
                let parts = self.event_match("on", event);
                self.head(parts);
                return self.block(body);
            }
            JourneyItemKind::Stage { name, body } => {
                self.write(&format!("stage {} ", name.text));
                return self.block(body);
            }
            JourneyItemKind::Migrate { version, lines } => {
                self.write(&format!("migrate from version {} ", self.source(version.span)));
                if let Some(braces) = self.braces(version.span.end, item.span.end) {
                    self.braced(braces, lines);
                }
                return;
            }
            JourneyItemKind::Stmt(stmt) => return self.stmt(stmt),
            JourneyItemKind::Error => text(self.source(item.span)),
        };
        self.doc(&doc);
    }
}

/// The clauses behind a verb, in their order.
struct Clauses {
    parts: Vec<Doc>,
    has_record: bool,
}

impl Clauses {
    fn new(head: String) -> Self {
        Clauses { parts: vec![text(head)], has_record: false }
    }

    fn push(&mut self, word: &str, what: Option<String>) {
        self.parts.extend(what.map(|w| text(format!("{word} {w}"))));
    }

    fn name(&mut self, word: &str, name: Option<&Name>) {
        self.push(word, name.map(|n| n.text.clone()));
    }

    fn expr(&mut self, word: &str, expr: Option<&Expr>, printer: &mut Printer<'_>) {
        if let Some(expr) = expr {
            let expr = printer.expr(expr);
            self.parts.push(Doc::Group(vec![text(format!("{word} ")), expr]));
        }
    }

    fn record(&mut self, record: Option<&Record>, printer: &mut Printer<'_>) {
        if let Some(record) = record {
            self.has_record |= !record.pairs.is_empty();
            let record = printer.record(record);
            self.parts.push(Doc::Group(vec![text("with "), record]));
        }
    }

    /// Too long a statement breaks in its record, or else before its clauses.
    fn doc(self) -> Doc {
        if self.has_record { Doc::Group(join(self.parts, &[text(" ")])) } else { hanging(self.parts) }
    }
}

/// Parts on one line, or each but the first on a line of its own further in.
fn hanging(parts: Vec<Doc>) -> Doc {
    Doc::Group(vec![Doc::Nest(vec![Doc::Nest(join(parts, &[Doc::Line]))])])
}

fn as_name(name: Option<&Name>) -> String {
    name.map_or(String::new(), |n| format!(" as {}", n.text))
}

fn channels(choice: &ChannelChoice) -> String {
    let join =
        |names: &[Name], word: &str| names.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(word);
    match choice {
        ChannelChoice::One(name) => name.text.clone(),
        ChannelChoice::And(names) => join(names, " and "),
        ChannelChoice::Else(names) => join(names, " else "),
    }
}

// ---------------------------------------------------------------- lines of lists

enum RaceLine<'a> {
    Arm(&'a Arm),
    Timeout(&'a Block, Span),
}

impl Element for RaceLine<'_> {
    fn span(&self) -> Span {
        match self {
            RaceLine::Arm(arm) => arm.span,
            RaceLine::Timeout(_, span) => *span,
        }
    }

    fn is_error(&self) -> bool {
        false
    }

    fn lists(&self, _: &Printer<'_>) -> Vec<Span> {
        match self {
            RaceLine::Arm(arm) => vec![arm.body.span],
            RaceLine::Timeout(block, _) => vec![block.span],
        }
    }

    fn print(&self, printer: &mut Printer<'_>) {
        match self {
            RaceLine::Arm(arm) => {
                let parts = match &arm.when {
                    ArmWhen::Event(event) => printer.event_match("when", event),
                    ArmWhen::Condition { expr, name } => {
                        let expr = printer.expr(expr);
                        let open = Doc::Group(vec![
                            text("when ("),
                            Doc::Nest(vec![Doc::Soft, expr]),
                            Doc::Soft,
                            text(")"),
                        ]);
                        std::iter::once(open)
                            .chain(name.as_ref().map(|n| text(format!("as {}", n.text))))
                            .collect()
                    }
                };
                printer.head(parts);
                printer.block(&arm.body);
            }
            RaceLine::Timeout(block, _) => {
                printer.write("on timeout ");
                printer.block(block);
            }
        }
    }
}

enum SwitchLine<'a> {
    Case(&'a Case),
    Else(&'a Block, Span),
}

impl Element for SwitchLine<'_> {
    fn span(&self) -> Span {
        match self {
            SwitchLine::Case(case) => case.span,
            SwitchLine::Else(_, span) => *span,
        }
    }

    fn is_error(&self) -> bool {
        false
    }

    fn lists(&self, _: &Printer<'_>) -> Vec<Span> {
        match self {
            SwitchLine::Case(case) => vec![case.body.span],
            SwitchLine::Else(block, _) => vec![block.span],
        }
    }

    fn print(&self, printer: &mut Printer<'_>) {
        match self {
            SwitchLine::Case(case) => {
                let values: Vec<Doc> = case.values.iter().map(|v| printer.expr(v)).collect();
                let values = join(values, &[text(","), Doc::Line]);
                printer.head(vec![Doc::Group([vec![text("case ")], values].concat())]);
                printer.block(&case.body);
            }
            SwitchLine::Else(block, _) => {
                printer.write("else ");
                printer.block(block);
            }
        }
    }
}

impl Element for Variant {
    fn span(&self) -> Span {
        self.span
    }

    fn is_error(&self) -> bool {
        false
    }

    fn lists(&self, _: &Printer<'_>) -> Vec<Span> {
        vec![self.body.span]
    }

    fn print(&self, printer: &mut Printer<'_>) {
        let share = printer.source(self.share.span).replace([' ', '\t'], "");
        printer.write(&format!("variant {} {share} ", self.name.text));
        printer.block(&self.body);
    }
}

impl Element for MigrateLine {
    fn span(&self) -> Span {
        self.span
    }

    fn is_error(&self) -> bool {
        matches!(self.kind, MigrateKind::Error)
    }

    fn lists(&self, _: &Printer<'_>) -> Vec<Span> {
        Vec::new()
    }

    fn print(&self, printer: &mut Printer<'_>) {
        let doc = match &self.kind {
            MigrateKind::Moved { from, to } => text(format!("moved {} to {}", from.text, to.text)),
            MigrateKind::RemovedGoTo { step, stage } => {
                text(format!("removed {} then go to {}", step.text, stage.text))
            }
            MigrateKind::RemovedExit { step, reason } => {
                text(format!("removed {} then exit as {}", step.text, reason.text))
            }
            MigrateKind::KeepTimers => text("keep timers"),
            MigrateKind::Let { name, value } => {
                Doc::Group(vec![text(format!("let {} = ", name.text)), Doc::Nest(vec![printer.expr(value)])])
            }
            MigrateKind::Error => text(printer.source(self.span)),
        };
        printer.doc(&doc);
    }
}

impl Element for JourneyItem {
    fn span(&self) -> Span {
        self.span
    }

    fn is_error(&self) -> bool {
        match &self.kind {
            JourneyItemKind::Error => true,
            JourneyItemKind::Stmt(stmt) => stmt.is_error(),
            _ => false,
        }
    }

    fn lists(&self, printer: &Printer<'_>) -> Vec<Span> {
        match &self.kind {
            JourneyItemKind::Handler { body, .. } | JourneyItemKind::Stage { body, .. } => vec![body.span],
            JourneyItemKind::Migrate { version, .. } => {
                printer.braces(version.span.end, self.span.end).into_iter().collect()
            }
            JourneyItemKind::Stmt(stmt) => stmt.lists(printer),
            _ => Vec::new(),
        }
    }

    fn print(&self, printer: &mut Printer<'_>) {
        printer.journey_item(self);
    }
}
