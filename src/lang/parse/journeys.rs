//! Journeys and what stands directly in them: entries, re-entry, ends, goals, handlers, stages, migration.

use fahrplan_grammar::Rule;

use super::exprs::{unit, weekday};
use super::lines::is_stmt;
use super::steps::part_name;
use super::words::Place;
use super::{P, Reader, bounds, part, parts};
use crate::lang::ast::{
    Budget, BudgetWindow, Enter, EnterHow, ExitTrigger, Goal, ItemKind, Journey, JourneyItem,
    JourneyItemKind, MigrateKind, MigrateLine, Name, OnDeploy, Ramp, Reenter, Side, Stmt, StmtKind,
};

impl<'s> Reader<'s> {
    pub(super) fn journey(&mut self, p: &P<'s>) -> Option<ItemKind> {
        let name = part_name(self, p)?;
        let title = part(p, Rule::string).map(|t| self.string(&t));
        let version = part(p, Rule::version).and_then(|v| part(&v, Rule::number)).map(|n| self.number(&n));
        let mut items = Vec::new();
        for line in self.list_lines(p) {
            self.journey_line(&line, &mut items);
        }
        Some(ItemKind::Journey(Box::new(Journey { name, title, version, items, span: self.span(p) })))
    }

    pub(super) fn journey_line(&mut self, line: &super::lines::Line<'s>, items: &mut Vec<JourneyItem>) {
        let p = &line.p;
        if p.as_rule() == Rule::bad || is_stmt(p.as_rule()) {
            let mut stmts = Vec::new();
            self.stmt_line(line, Place::Journey, &mut stmts);
            let is_head = p.as_rule() == Rule::bad && is_head(p.as_str());
            items.extend(stmts.into_iter().map(|stmt| match stmt.kind {
                StmtKind::Error if is_head => JourneyItem { kind: JourneyItemKind::Error, span: stmt.span },
                _ => statement(stmt),
            }));
            return;
        }
        let span = self.span(p);
        let mut kind = self.journey_item(p);
        if let Some(tail) = &line.tail {
            self.left_over(p, tail, Place::Journey);
            if !matches!(
                kind,
                Some(
                    JourneyItemKind::Handler { .. }
                        | JourneyItemKind::Stage { .. }
                        | JourneyItemKind::Migrate { .. }
                )
            ) {
                kind = Some(JourneyItemKind::Error);
            }
        }
        let kind = kind.unwrap_or_else(|| {
            self.unknown(p);
            JourneyItemKind::Error
        });
        items.push(JourneyItem { kind, span });
    }

    fn journey_item(&mut self, p: &P<'s>) -> Option<JourneyItemKind> {
        Some(match p.as_rule() {
            Rule::purpose => {
                let name = part(p, Rule::n_purpose).map(|n| self.name(&n))?;
                JourneyItemKind::Purpose { name, because: self.because(p) }
            }
            Rule::runs => self.runs(p)?,
            Rule::enter => JourneyItemKind::Enter(Box::new(self.enter(p))),
            Rule::reenter => JourneyItemKind::Reenter(self.reenter(p)?),
            Rule::exit_rule => self.exit_rule(p)?,
            Rule::goal => JourneyItemKind::Goal(Box::new(self.goal(p)?)),
            Rule::lasts => JourneyItemKind::Lasts(self.inner_duration(p)?),
            Rule::budget => JourneyItemKind::Budget(self.budget(p)?),
            Rule::on_deploy => JourneyItemKind::OnDeploy(match part(p, Rule::k_finish) {
                Some(_) => OnDeploy::FinishOld,
                None => OnDeploy::Migrate,
            }),
            Rule::handler => JourneyItemKind::Handler {
                event: part(p, Rule::ev_match).map(|e| self.event_match(&e))?,
                body: self.inner_block(p)?,
            },
            Rule::stage => JourneyItemKind::Stage { name: part_name(self, p)?, body: self.inner_block(p)? },
            Rule::migrate => self.migrate(p)?,
            _ => return None,
        })
    }

    fn budget(&mut self, p: &P<'s>) -> Option<Budget> {
        let calendar = part(p, Rule::calendar).and_then(|calendar| {
            let unit = part(&calendar, Rule::unit).map(|u| unit(u.as_str()))?;
            Some(BudgetWindow::Calendar(unit, self.span(&calendar)))
        });
        let other = part(p, Rule::wrong_window).map(|other| BudgetWindow::Other(self.span(&other)));
        Some(Budget {
            most: part(p, Rule::number).map(|n| self.number(&n))?,
            window: calendar.or(other),
            then: self.effect(p),
        })
    }

    fn runs(&mut self, p: &P<'s>) -> Option<JourneyItemKind> {
        let is_day = |c: &P<'s>| matches!(c.as_rule(), Rule::date | Rule::datetime);
        let first = self.day(&parts(p).find(is_day)?);
        let end = part(p, Rule::runs_to).and_then(|t| parts(&t).find(is_day)).map(|d| self.day(&d));
        let zone = self.zone_in(p);
        Some(match part(p, Rule::k_until) {
            Some(_) => JourneyItemKind::Runs { from: None, to: Some(first), zone },
            None => JourneyItemKind::Runs { from: Some(first), to: end, zone },
        })
    }

    fn enter(&mut self, p: &P<'s>) -> Enter {
        let mut made = Enter {
            how: EnterHow::Error,
            filter: None,
            audience: None,
            per: Vec::new(),
            ramp: None,
            including_existing: None,
        };
        for c in parts(p) {
            match c.as_rule() {
                Rule::where_ => {
                    if let Some(filter) = self.inner_expr(&c) {
                        self.once(&mut made.filter, filter, &c);
                    }
                }
                Rule::for_seg => {
                    if let Some(audience) = self.inner_expr(&c) {
                        self.once(&mut made.audience, audience, &c);
                    }
                }
                Rule::per if made.per.is_empty() => made.per = parts(&c).map(|f| self.path(&f)).collect(),
                Rule::per => {
                    let mut full = Some(());
                    self.once(&mut full, (), &c);
                }
                Rule::ramp => {
                    if let Some(ramp) = self.ramp(&c) {
                        self.once(&mut made.ramp, ramp, &c);
                    }
                }
                Rule::existing => {
                    let span = self.span(&c);
                    self.once(&mut made.including_existing, span, &c);
                }
                _ => match self.enter_how(&c) {
                    Some(how) => made.how = how,
                    None => self.unknown(&c),
                },
            }
        }
        self.one_filter(&mut made);
        made
    }

    /// `where` of an entry stands in one place of the tree, however its clauses were ordered.
    fn one_filter(&mut self, enter: &mut Enter) {
        if let EnterHow::On(event) | EnterHow::OnFirst(event) = &mut enter.how
            && enter.filter.is_none()
        {
            enter.filter = event.filter.take();
        }
    }

    fn enter_how(&mut self, p: &P<'s>) -> Option<EnterHow> {
        let event = part(p, Rule::ev_match).map(|e| self.event_match(&e));
        let time = part(p, Rule::datetime).map(|d| self.day(&d));
        Some(match p.as_rule() {
            Rule::on_event => EnterHow::On(event?),
            Rule::on_first => EnterHow::OnFirst(event?),
            Rule::on_change => EnterHow::OnChange {
                path: part(p, Rule::target).map(|t| self.path(&t))?,
                name: part(p, Rule::named).and_then(|n| self.named(&n)),
            },
            Rule::e_when => EnterHow::When(self.inner_expr(p)?),
            Rule::e_while => EnterHow::While(self.inner_expr(p)?),
            Rule::e_at => {
                let day = time?;
                EnterHow::At { date: day.date, time: day.time?, zone: self.zone_in(p) }
            }
            Rule::e_cron => EnterHow::Cron {
                text: part(p, Rule::string).map(|t| self.string(&t))?,
                zone: self.zone_in(p),
            },
            Rule::e_every => EnterHow::EveryWeekday {
                day: part(p, Rule::weekday).map(|d| weekday(d.as_str()))?,
                at: self.at_time(p)?,
                zone: self.zone_in(p),
            },
            Rule::e_anniversary => EnterHow::Anniversary {
                path: part(p, Rule::anchor).map(|a| self.path(&a))?,
                at: self.at_time(p),
                zone: self.zone_in(p),
            },
            Rule::e_offset => {
                let (offset, side): (_, Side) = self.offset(p)?;
                EnterHow::Offset {
                    offset,
                    side,
                    path: part(p, Rule::anchor).map(|a| self.path(&a))?,
                    at: self.at_time(p),
                    zone: self.zone_in(p),
                }
            }
            Rule::e_start => {
                EnterHow::ByStart(part(p, Rule::fields).map(|f| self.fields(&f)).unwrap_or_default())
            }
            _ => return None,
        })
    }

    fn ramp(&mut self, p: &P<'s>) -> Option<Ramp> {
        let then = part(p, Rule::ramp_then).and_then(|t| {
            let word = t.into_inner().next_back()?;
            Some(Name { text: word.as_str().to_owned(), span: self.span(&word) })
        });
        Some(Ramp {
            number: part(p, Rule::number).map(|n| self.number(&n))?,
            per: part(p, Rule::unit).map(|u| unit(u.as_str()))?,
            then,
            span: self.span(p),
        })
    }

    fn reenter(&mut self, p: &P<'s>) -> Option<Reenter> {
        if let Some(duration) = self.inner_duration(p) {
            let after_entry = part(p, Rule::k_entry).is_some();
            return Some(if after_entry {
                Reenter::AfterEntry(duration)
            } else {
                Reenter::AfterExit(duration)
            });
        }
        p.clone().into_inner().find_map(|c| match c.as_rule() {
            Rule::k_never => Some(Reenter::Never),
            Rule::k_always => Some(Reenter::Always),
            Rule::k_restart => Some(Reenter::Restart),
            Rule::k_finished => Some(Reenter::WhenFinished),
            _ => None,
        })
    }

    fn exit_rule(&mut self, p: &P<'s>) -> Option<JourneyItemKind> {
        let reason = part_name(self, p)?;
        let trigger = match (part(p, Rule::exit_on), part(p, Rule::exit_when)) {
            (Some(on), _) => ExitTrigger::On(part(&on, Rule::ev_match).map(|e| self.event_match(&e))?),
            (None, Some(when)) => ExitTrigger::When(self.inner_expr(&when)?),
            _ => return None,
        };
        Some(JourneyItemKind::ExitRule { reason, trigger })
    }

    fn goal(&mut self, p: &P<'s>) -> Option<Goal> {
        let mut made = Goal {
            name: part_name(self, p)?,
            event: self.event_match(p),
            within: None,
            target: None,
            then_exit: None,
        };
        for c in parts(p) {
            match c.as_rule() {
                Rule::within => {
                    if let Some(within) = self.inner_duration(&c) {
                        self.once(&mut made.within, within, &c);
                    }
                }
                Rule::goal_target => {
                    if let Some(target) = part(&c, Rule::percent).map(|n| self.number(&n)) {
                        self.once(&mut made.target, target, &c);
                    }
                }
                Rule::then_exit => {
                    let span = self.span(&c);
                    self.once(&mut made.then_exit, span, &c);
                }
                _ => {}
            }
        }
        Some(made)
    }

    fn migrate(&mut self, p: &P<'s>) -> Option<JourneyItemKind> {
        let version = part(p, Rule::number).map(|n| self.number(&n))?;
        let mut lines = Vec::new();
        for line in self.list_lines(p) {
            let whole = self.list_line(&line, Place::Migrate) && line.tail.is_none();
            let (start, end) = bounds(&line.p);
            let kind = self.migrate_line(&line.p).filter(|_| whole).unwrap_or(MigrateKind::Error);
            lines.push(MigrateLine { kind, span: self.span_between(start, end) });
        }
        Some(JourneyItemKind::Migrate { version, lines })
    }

    fn migrate_line(&mut self, p: &P<'s>) -> Option<MigrateKind> {
        let mut steps = parts(p).filter(|c| c.as_rule() == Rule::n_step);
        Some(match p.as_rule() {
            Rule::moved => {
                let (from, to) = (steps.next()?, steps.next()?);
                MigrateKind::Moved { from: self.name(&from), to: self.name(&to) }
            }
            Rule::removed => {
                let step = self.name(&steps.next()?);
                if let Some(goto) = part(p, Rule::goto) {
                    MigrateKind::RemovedGoTo { step, stage: part_name(self, &goto)? }
                } else {
                    let exit = part(p, Rule::exit)?;
                    let Some(reason) = part_name(self, &exit) else {
                        self.exit_without_reason(&exit);
                        return None;
                    };
                    MigrateKind::RemovedExit { step, reason }
                }
            }
            Rule::keep_timers => MigrateKind::KeepTimers,
            Rule::let_ => MigrateKind::Let { name: part_name(self, p)?, value: self.inner_expr(p)? },
            _ => return None,
        })
    }

    pub(super) fn because(&mut self, p: &P<'s>) -> Option<crate::lang::ast::Text> {
        let because = part(p, Rule::because)?;
        part(&because, Rule::string).map(|t| self.string(&t))
    }
}

/// Whether an unreadable line seems to be one of the head of a journey: nobody passes through it.
fn is_head(text: &str) -> bool {
    let mut words = text.split_whitespace();
    match words.next() {
        Some("budget" | "enter" | "goal" | "lasts" | "purpose" | "reenter" | "runs") => true,
        Some("exit") => words.any(|word| word == "on" || word == "when"),
        _ => false,
    }
}

fn statement(stmt: Stmt) -> JourneyItem {
    let span = stmt.span;
    JourneyItem { kind: JourneyItemKind::Stmt(stmt), span }
}
