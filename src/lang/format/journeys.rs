//! What stands directly in a journey: entries, goals, rules, stages, migrations.

use super::clauses::{as_name, hanging};
use super::exprs::{from_to, path, unit};
use super::layout::{Doc, text};
use super::printer::{Element, Printer};
use crate::diagnostic::Span;
use crate::lang::ast::{
    Budget, BudgetWindow, Enter, EnterHow, ExitTrigger, Goal, JourneyItem, JourneyItemKind, MigrateKind,
    MigrateLine, OnDeploy, Reenter,
};

impl Printer<'_> {
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
            JourneyItemKind::Budget(Budget { most, window, then }) => {
                let window = match window {
                    Some(BudgetWindow::Calendar(window, _)) => format!(" per calendar {}", unit(*window)),
                    Some(BudgetWindow::Other(window)) => format!(" per {}", self.source(*window)),
                    None => String::new(),
                };
                let then =
                    then.as_ref().map_or_else(String::new, |then| format!(" then {}", self.then(then)));
                text(format!("budget {}{window}{then}", self.source(most.span)))
            }
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
