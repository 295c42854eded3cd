//! What stands after `until` and `before`, zones, days and clock times.

use super::Source;
use crate::diagnostic::Span;
use crate::engine::program::{Expr, Moment, MomentKind, ZoneRef};
use crate::lang::ast;
use crate::lang::types::calendar;
pub(super) use crate::lang::types::{days, zone_ref as zone};
use crate::time::{Calendar, Date, TimeOfDay};
use crate::value::{Type, Value};

impl Source<'_> {
    /// The moment as the engine knows it. Without a zone, a clock time is the contact's; a moment literal such as
    /// `2026-12-24T10:00` is the project's, since it means one instant for everybody.
    pub(super) fn moment(&mut self, moment: &ast::Moment) -> Moment {
        let usual = match moment.kind {
            ast::MomentKind::DateTime(..) => ZoneRef::Project,
            _ => ZoneRef::Contact,
        };
        let kind = match &moment.kind {
            ast::MomentKind::Weekday { day, at, window: None, .. } => {
                MomentKind::Weekday { days: days(*day), at: at.as_ref().map(|at| self.clock(at)) }
            }
            ast::MomentKind::Weekday { day, window: Some(window), .. } => MomentKind::Window {
                days: days(*day),
                from: self.clock(&window.from),
                to: self.clock(&window.to),
            },
            ast::MomentKind::DateTime(date, clock) => {
                let at = Some(self.fixed_clock(clock));
                MomentKind::Fixed { date: self.date(date), at }
            }
            ast::MomentKind::Date { date, at } => {
                let at = at.as_ref().map(|at| self.clock(at));
                MomentKind::Fixed { date: self.date(date), at }
            }
            ast::MomentKind::Time(clock) => MomentKind::Time(self.fixed_clock(clock)),
            // A `time` attribute stands where a clock time may stand.
            ast::MomentKind::Anchor { offset: None, anchor, at: None } if self.is_clock(anchor.span) => {
                MomentKind::Time(self.expr(anchor.span))
            }
            ast::MomentKind::Anchor { offset, anchor, at } => {
                let offset = offset.as_ref().map_or(Calendar::default(), |(span, side)| signed(span, *side));
                let anchor = self.expr(anchor.span);
                let follows = match &anchor {
                    Expr::Attribute(name) => Some(name.clone()),
                    _ => None,
                };
                MomentKind::Anchor { anchor, offset, at: at.as_ref().map(|at| self.clock(at)), follows }
            }
        };
        Moment { kind, zone: zone(moment.zone.as_ref(), usual) }
    }

    fn is_clock(&self, span: Span) -> bool {
        self.checked.exprs.get(&span).is_some_and(|typed| typed.ty == Type::Time)
    }

    fn clock(&mut self, at: &ast::TimeOfDay) -> Expr {
        match at {
            ast::TimeOfDay::Clock(clock) => self.fixed_clock(clock),
            ast::TimeOfDay::Path(path) => self.expr(path.span),
        }
    }

    /// A clock time where the engine wants a constant one.
    pub(super) fn constant_time(&mut self, at: &ast::TimeOfDay, span: Span) -> TimeOfDay {
        match self.clock(at) {
            Expr::Const(Value::Time(time)) => time,
            _ => {
                self.refuse(span, "a clock time from an attribute in this place");
                TimeOfDay(0)
            }
        }
    }

    fn fixed_clock(&mut self, clock: &ast::Clock) -> Expr {
        Expr::Const(self.time(clock).map_or(Value::Unknown, Value::Time))
    }

    pub(super) fn time(&mut self, clock: &ast::Clock) -> Option<TimeOfDay> {
        let time = TimeOfDay::new(clock.hour, clock.minute, clock.second);
        if time.is_none() {
            self.refuse(clock.span, "a clock time that no clock shows");
        }
        time
    }

    pub(super) fn date(&mut self, date: &ast::Date) -> Date {
        Date::new(date.year, date.month, date.day).unwrap_or_else(|| {
            self.refuse(date.span, "a date that no calendar has");
            Date::new(1970, 1, 1).expect("the first day of the epoch exists")
        })
    }
}

/// The offset, backwards where it stands before its anchor.
pub(super) fn signed(span: &ast::Duration, side: ast::Side) -> Calendar {
    match side {
        ast::Side::After => calendar(span),
        ast::Side::Before => calendar(span).negate(),
    }
}
