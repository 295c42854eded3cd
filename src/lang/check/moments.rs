//! Moments, clock times, windows and zones, wherever they stand.

use super::expr::Reader;
use super::findings::finding;
use crate::diagnostic::Code;
use crate::engine::program::{Expr, ZoneRef};
use crate::lang::Typed;
use crate::lang::ast::{self, MomentKind};
use crate::lang::types::{days, noun, zone_ref};
use crate::time::Zone;
use crate::value::{Type, Value};

impl Reader<'_, '_> {
    /// What stands after `until` and `before`: its anchor and clock times are kept under their spans.
    pub(super) fn moment(&mut self, moment: &ast::Moment) {
        self.zone(moment.zone.as_ref());
        match &moment.kind {
            MomentKind::Weekday { at, window, .. } => {
                at.iter().for_each(|at| _ = self.time_of_day(at));
                window.iter().for_each(|window| _ = self.window(window));
            }
            MomentKind::DateTime(date, clock) => {
                self.date(date);
                self.clock(clock);
            }
            MomentKind::Date { date, at } => {
                self.date(date);
                at.iter().for_each(|at| _ = self.time_of_day(at));
            }
            MomentKind::Time(clock) => _ = self.clock(clock),
            MomentKind::Anchor { offset, anchor, at } => {
                if let Some((offset, _)) = offset {
                    self.duration(offset);
                }
                self.anchor(anchor, offset.is_some() || at.is_some());
                at.iter().for_each(|at| _ = self.time_of_day(at));
            }
        }
    }

    /// A date or a moment: an attribute, a field, a step.
    fn anchor(&mut self, path: &ast::Path, at_clock: bool) {
        let Some(read) = self.path(path, None) else { return };
        let Some(read) = self.required(read, path.span) else { return };
        if !matches!(read.ty, Type::Date | Type::Moment | Type::Time) || (at_clock && read.ty == Type::Time) {
            let message = format!(
                "a date or a moment is wanted here, but `{}` is {}",
                self.text(path.span),
                noun(&read.ty)
            );
            self.report(
                finding(Code::E0103, path.span, message).label(format!("this is {}", noun(&read.ty))),
            );
            return;
        }
        self.exprs.insert(path.span, read);
    }

    /// A clock time, or an attribute or variable of type `time`.
    pub(super) fn time_of_day(&mut self, at: &ast::TimeOfDay) -> Option<Expr> {
        match at {
            ast::TimeOfDay::Clock(clock) => Some(Expr::Const(Value::Time(self.clock(clock)?))),
            ast::TimeOfDay::Path(path) => {
                let read = self.path(path, None)?;
                let read = self.required(read, path.span)?;
                if read.ty != Type::Time {
                    let message = format!(
                        "a clock time is wanted here, but `{}` is {}",
                        self.text(path.span),
                        noun(&read.ty)
                    );
                    return self.mismatch(path.span, message);
                }
                let expr = read.expr.clone();
                self.exprs.insert(path.span, read);
                Some(expr)
            }
        }
    }

    fn window(&mut self, window: &ast::Window) -> Option<(Expr, Expr)> {
        let (from, to) = (self.time_of_day(&window.from), self.time_of_day(&window.to));
        let (from, to) = (from?, to?);
        if from == to {
            let message = "a window that ends when it begins is empty".to_owned();
            self.report(finding(Code::E0113, window.span, message).label("never open"));
            return None;
        }
        Some((from, to))
    }

    /// `today is weekday between 09:00 and 17:00 project time`
    pub(super) fn day_test(
        &mut self,
        negated: bool,
        day: ast::Weekday,
        window: Option<&ast::Window>,
        zone: Option<&ast::Zone>,
    ) -> Option<Typed> {
        let known = self.zone(zone);
        let window = match window {
            Some(window) => Some(Box::new(self.window(window)?)),
            None => None,
        };
        let zone = zone_ref(zone, ZoneRef::Contact);
        let expr = Expr::DayTest { negated, days: days(day), window, zone };
        known.then_some(Typed { ty: Type::YesNo, expr })
    }

    /// Whether the zone is one; E0101 otherwise.
    pub(super) fn zone(&mut self, zone: Option<&ast::Zone>) -> bool {
        let Some(ast::ZoneKind::Named(name)) = zone.map(|zone| &zone.kind) else { return true };
        let known = Zone::named(&name.value).is_some();
        if !known {
            let message = format!("there is no time zone `{}`", name.value);
            self.report(
                finding(Code::E0101, name.span, message)
                    .label("not in the time zone database")
                    .help("write its IANA name, such as \"Europe/Berlin\""),
            );
        }
        known
    }
}
