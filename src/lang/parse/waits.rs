//! Waits of every form, and what they wait for.

use super::words::Place;
use super::{P, Reader, bounds, part, parts};
use crate::diagnostic::{Code, Diagnostic};
use crate::lang::ast::{
    Arm, ArmWhen, Duration, EventMatch, Expr, ExprKind, Moment, Name, Number, Patience, Stmt, StmtKind, Unit,
    Wait,
};
use crate::value::Decimal;
use fahrplan_grammar::Rule;

impl<'s> Reader<'s> {
    pub(super) fn wait(&mut self, p: &P<'s>, into: &mut Vec<Stmt>) -> Option<StmtKind> {
        if let Some(later) = part(p, Rule::later_then) {
            self.later(
                &later,
                "`then until` behind a wait of this form",
                "write `wait until …` on the next line",
            );
        }
        if let Some(race) = part(p, Rule::race) {
            return self.race(p, &race, into);
        }
        let form = parts(p).find(|c| !matches!(c.as_rule(), Rule::patience | Rule::later_then))?;
        let wait = match form.as_rule() {
            Rule::wait_for => {
                let patience = self.patience(p)?;
                self.wait_for(&form, patience)
            }
            Rule::wait_cond => {
                let patience = self.patience(p)?;
                self.wait_cond(&form, patience)?
            }
            Rule::unlimited => self.unlimited(p, &form)?,
            Rule::wait_until => Wait::Until {
                moment: part(&form, Rule::moment).and_then(|m| self.moment(&m))?,
                name: self.named_in(&form),
                body: self.inner_block(&form),
            },
            Rule::wait_time => self.wait_time(&form)?,
            _ => return None,
        };
        Some(StmtKind::Wait(Box::new(wait)))
    }

    fn patience(&mut self, p: &P<'s>) -> Option<Patience> {
        let patience = part(p, Rule::patience)?;
        match self.inner_duration(&patience) {
            Some(limit) => Some(Patience::UpTo(limit)),
            None => Some(Patience::Forever(self.span(&patience))),
        }
    }

    pub(super) fn wait_for(&mut self, p: &P<'s>, patience: Patience) -> Wait {
        let event = self.event_match(p);
        let mut look_back = None;
        for c in parts(p).filter(|c| c.as_rule() == Rule::look_back) {
            if let Some(back) = self.inner_duration(&c) {
                self.once(&mut look_back, back, &c);
            }
        }
        Wait::Event { patience, event, look_back, then_until: self.then_until(p) }
    }

    fn then_until(&mut self, p: &P<'s>) -> Option<Moment> {
        let mut then = None;
        for c in parts(p).filter(|c| c.as_rule() == Rule::then_until) {
            if let Some(moment) = part(&c, Rule::moment).and_then(|m| self.moment(&m)) {
                self.once(&mut then, moment, &c);
            }
        }
        then
    }

    pub(super) fn wait_cond(&mut self, p: &P<'s>, patience: Patience) -> Option<Wait> {
        let condition = self.inner_expr(p)?;
        Some(Wait::Condition { patience, condition, name: self.named_in(p) })
    }

    /// `wait for x`: read as if a limit of a week stood there, so that everything else is checked.
    fn unlimited(&mut self, p: &P<'s>, form: &P<'s>) -> Option<Wait> {
        let at = bounds(form).0;
        let before = self.place(at, at);
        let span = self.span_between(at, at);
        let week = Number { value: Decimal::from_int(7), has_point: false, span };
        let patience = Patience::UpTo(Duration { parts: vec![(week, Unit::Day)], span });
        let (what, wait) = match part(form, Rule::wait_for) {
            Some(event) => ("an event", self.wait_for(&event, patience)),
            None => ("a condition", self.wait_cond(&part(form, Rule::wait_cond)?, patience)?),
        };
        let (start, end) = bounds(p);
        self.tell_lost(
            Diagnostic::new(
                Code::E0402,
                self.place(start, end),
                format!("this waits for {what} without a limit"),
            )
            .label("how long at most?")
            .help("say the longest time first, such as `wait up to 7 days …`; `wait forever …` exists too")
            .suggest("wait up to 7 days", before, "up to 7 days "),
        );
        Some(wait)
    }

    pub(super) fn wait_time(&mut self, p: &P<'s>) -> Option<Wait> {
        let mut durations = parts(p).filter(|c| c.as_rule() == Rule::duration);
        let (first, second) = (durations.next()?, durations.next());
        Some(Wait::For {
            duration: self.duration(&first),
            longest: second.map(|d| self.duration(&d)),
            then_until: self.then_until(p),
            name: self.named_in(p),
        })
    }

    fn race(&mut self, p: &P<'s>, race: &P<'s>, into: &mut Vec<Stmt>) -> Option<StmtKind> {
        let patience = self.patience(p)?;
        let name = self.named_in(race);
        let (mut arms, mut timeout) = (Vec::new(), None);
        let mut whole = true;
        for line in self.list_lines(race) {
            let c = &line.p;
            whole &= self.list_line(&line, Place::Race);
            let body = self.inner_block(c);
            match (c.as_rule(), body) {
                (Rule::race_arm, Some(body)) => match self.arm_when(c) {
                    Some(when) => arms.push(Arm { when, body, span: self.span(c) }),
                    None => whole = false,
                },
                (Rule::race_timeout, Some(body)) => self.once(&mut timeout, body, c),
                (_, _) => self.blocks_of(c, into),
            }
        }
        if whole {
            return Some(StmtKind::Wait(Box::new(Wait::Race { patience, name, arms, timeout })));
        }
        let bodies = arms.into_iter().map(|a| a.body).chain(timeout).collect();
        self.damaged(p, name, bodies, into)
    }

    fn arm_when(&mut self, p: &P<'s>) -> Option<ArmWhen> {
        if let Some(event) = part(p, Rule::ev_match) {
            return Some(ArmWhen::Event(self.event_match(&event)));
        }
        let condition = part(p, Rule::arm_cond)?;
        Some(ArmWhen::Condition { expr: self.inner_expr(&condition)?, name: self.named_in(&condition) })
    }

    /// Events with their name and conditions; other clauses among the children are for the caller.
    pub(super) fn event_match(&mut self, p: &P<'s>) -> EventMatch {
        let mut made =
            EventMatch { events: Vec::new(), name: None, same: Vec::new(), filter: None, span: self.span(p) };
        let mut bounds_of: Option<(usize, usize)> = None;
        let mut late = Vec::new();
        let mut last_event = None;
        for c in parts(p) {
            match c.as_rule() {
                Rule::n_event => {
                    made.events.push(self.path(&c));
                    last_event = Some(c.clone());
                }
                Rule::named => made.name = self.named(&c),
                Rule::same if made.same.is_empty() => {
                    made.same = parts(&c).map(|f| self.name(&f)).collect();
                }
                Rule::same => {
                    let mut full = Some(());
                    self.once(&mut full, (), &c);
                }
                Rule::where_ => {
                    if let Some(filter) = self.inner_expr(&c) {
                        self.once(&mut made.filter, filter, &c);
                    }
                }
                Rule::late_name => late.push(c.clone()),
                _ => continue,
            }
            let (start, end) = bounds(&c);
            bounds_of = Some((bounds_of.map_or(start, |b| b.0), end));
        }
        if let Some((start, end)) = bounds_of {
            made.span = self.span_between(start, end);
        }
        for late in late {
            self.late_name(&mut made.name, &late, last_event.as_ref());
        }
        made
    }
}

pub(super) fn only_name(expr: Expr) -> Option<Name> {
    match expr.kind {
        ExprKind::Path(path) if path.parts.len() == 1 => path.parts.into_iter().next(),
        _ => None,
    }
}
