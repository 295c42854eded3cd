//! What stands after `until` and `before`, zones, days and clock times.

use super::Source;
use crate::diagnostic::Span;
use crate::engine::program::{Days, Expr, Moment, MomentKind, ZoneRef};
use crate::lang::ast;
use crate::lang::types::calendar;
use crate::time::{Calendar, Date, TimeOfDay};
use crate::value::Value;

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

/// The zone that is written, or the usual one of the place.
pub(super) fn zone(zone: Option<&ast::Zone>, usual: ZoneRef) -> ZoneRef {
    match zone.map(|zone| &zone.kind) {
        None => usual,
        Some(ast::ZoneKind::Contact) => ZoneRef::Contact,
        Some(ast::ZoneKind::Project) => ZoneRef::Project,
        Some(ast::ZoneKind::Named(name)) => ZoneRef::Named(name.value.as_str().into()),
    }
}

/// The days that a word such as `monday` or `weekday` means.
pub(super) fn days(day: ast::Weekday) -> Days {
    let (mask, working) = match day {
        ast::Weekday::Monday => (0b000_0001, false),
        ast::Weekday::Tuesday => (0b000_0010, false),
        ast::Weekday::Wednesday => (0b000_0100, false),
        ast::Weekday::Thursday => (0b000_1000, false),
        ast::Weekday::Friday => (0b001_0000, false),
        ast::Weekday::Saturday => (0b010_0000, false),
        ast::Weekday::Sunday => (0b100_0000, false),
        ast::Weekday::Weekday => (0b001_1111, false),
        ast::Weekday::Weekend => (0b110_0000, false),
        ast::Weekday::WorkingDay => (0b001_1111, true),
        ast::Weekday::Day => (0b111_1111, false),
    };
    Days { mask, working }
}
