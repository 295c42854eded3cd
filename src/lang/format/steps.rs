//! Statements and what stands directly in a journey.

use super::branches::{RaceLine, SwitchLine};
use super::clauses::{Clauses, as_name, channels, hanging};
use super::exprs::{consent_of, from_to, names, path};
use super::layout::{Doc, join, text};
use super::printer::{Element, Printer};
use crate::diagnostic::Span;
use crate::engine::program::Doubt;
use crate::lang::ast::{
    Arm, Block, EventMatch, Expr, If, Moment, Name, Patience, Pause, Record, Stmt, StmtKind, Switch, Wait,
    Work,
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
    pub(super) fn stmt(&mut self, stmt: &Stmt) {
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
                let doubt = |doubt| if doubt == Doubt::Hold { "hold" } else { "retry" };
                clauses.push("in doubt", send.doubt.map(|one| doubt(one).to_owned()));
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

    pub(super) fn clause(&mut self, word: &str, expr: Option<&Expr>) -> Option<Doc> {
        let expr = self.expr(expr?);
        Some(Doc::Group(vec![text(format!("{word} ")), Doc::Nest(vec![expr])]))
    }
}
