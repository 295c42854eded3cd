//! When is it due: durations, clock times, windows, weekdays and anchors. All calendar rules are those of [`crate::time`].

use super::eval::Scope;
use super::program::{Days, Moment, MomentKind};
use super::world::Need;
use crate::time::{Calendar, DAY, Date, Holidays, TimeOfDay, Timestamp, Zone};
use crate::value::Value;

/// A search over days gives up after so many: every weekday comes within a week, every working day within a year unless the
/// holidays leave none.
const SEARCH_DAYS: i32 = 400;

/// When a wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Now or later.
    At(Timestamp),
    /// The anchor lies in the past: go on at once, with `.late`.
    Past(Timestamp),
    /// The value it hangs on is gone.
    Missing,
}

impl Due {
    /// The moment itself, past or not.
    pub fn moment(self) -> Option<Timestamp> {
        match self {
            Due::At(at) | Due::Past(at) => Some(at),
            Due::Missing => None,
        }
    }
}

/// When the moment comes, seen from `from`.
pub fn due(scope: &Scope, moment: &Moment, from: Timestamp) -> Result<Due, Need> {
    let zone = scope.zone(&moment.zone);
    let holidays = &scope.facts.catalog.holidays;
    let some = |at: Option<Timestamp>| at.map_or(Due::Missing, Due::At);
    let anchored = |at: Timestamp| if at < from { Due::Past(at) } else { Due::At(at) };
    Ok(match &moment.kind {
        MomentKind::Weekday { days, at: None } => some(next_day(*days, from, &zone, holidays)),
        MomentKind::Weekday { days, at: Some(at) } => match scope.time(at)? {
            Some(at) => some(next_at(*days, at, from, &zone, holidays)),
            None => Due::Missing,
        },
        MomentKind::Window { days, from: open, to } => match (scope.time(open)?, scope.time(to)?) {
            (Some(open), Some(to)) if within(*days, open, to, from, &zone, holidays) => Due::At(from),
            (Some(open), Some(_)) => some(next_at(*days, open, from, &zone, holidays)),
            _ => Due::Missing,
        },
        MomentKind::Time(at) => match scope.time(at)? {
            Some(at) => some(next_at(EVERY_DAY, at, from, &zone, holidays)),
            None => Due::Missing,
        },
        MomentKind::Fixed { date, at } => {
            let at = match at {
                Some(at) => scope.time(at)?,
                None => None,
            };
            anchored(zone.at(*date, at.unwrap_or(TimeOfDay(0))))
        }
        MomentKind::Anchor { anchor, offset, at, .. } => {
            let at = match at {
                Some(at) => match scope.time(at)? {
                    Some(at) => Some(at),
                    None => return Ok(Due::Missing),
                },
                None => None,
            };
            anchor_moment(&scope.eval(anchor)?, *offset, at, &zone, holidays).map_or(Due::Missing, anchored)
        }
    })
}

/// The anchor's moment moved by the offset, on the clock time if one is given; a date without one begins at midnight.
pub fn anchor_moment(
    anchor: &Value,
    offset: Calendar,
    at: Option<TimeOfDay>,
    zone: &Zone,
    holidays: &Holidays,
) -> Option<Timestamp> {
    match anchor {
        Value::Moment(moment) => {
            let moved = offset.after(*moment, zone, holidays);
            Some(at.map_or(moved, |at| zone.at(zone.date(moved), at)))
        }
        // Elapsed hours move the moment on that day, so they are added after the clock time.
        Value::Date(date) => {
            let days = shift(*date, Calendar { ms: 0, ..offset }, holidays);
            Some(zone.at(days, at.unwrap_or(TimeOfDay(0))).plus_ms(offset.ms))
        }
        _ => None,
    }
}

/// All days: what `Days` means when nothing is said.
pub const EVERY_DAY: Days = Days { mask: 0x7f, working: false };

/// Whether the date is one of the days. No day said means every day, or every working day.
pub fn is_day(days: Days, date: Date, holidays: &Holidays) -> bool {
    let mask = match (days.mask & 0x7f, days.working) {
        (0, true) => 0x1f,
        (0, false) => 0x7f,
        (mask, _) => mask,
    };
    mask >> (date.weekday() - 1) & 1 == 1 && !(days.working && holidays.0.contains(&date))
}

/// Whether the instant lies in a window that opens on one of the days. `from` is in it, `to` is not; a window that ends before
/// it begins crosses midnight and belongs to the day on which it opened; one that ends when it begins has 24 hours.
pub fn within(
    days: Days,
    from: TimeOfDay,
    to: TimeOfDay,
    at: Timestamp,
    zone: &Zone,
    holidays: &Holidays,
) -> bool {
    closes(days, from, to, at, zone, holidays).is_some()
}

/// When the window that is open at that instant closes; `None` if none is open.
pub fn closes(
    days: Days,
    from: TimeOfDay,
    to: TimeOfDay,
    at: Timestamp,
    zone: &Zone,
    holidays: &Holidays,
) -> Option<Timestamp> {
    let today = zone.date(at);
    [today, today.plus_days(-1)].into_iter().filter(|day| is_day(days, *day, holidays)).find_map(|day| {
        let end = if to > from { day } else { day.plus_days(1) };
        let (open, close) = (zone.at(day, from), zone.at(end, to));
        (open <= at && at < close).then_some(close)
    })
}

/// The first instant not before `from` at which the clock shows `time` on one of the days.
pub fn next_at(
    days: Days,
    time: TimeOfDay,
    from: Timestamp,
    zone: &Zone,
    holidays: &Holidays,
) -> Option<Timestamp> {
    let today = zone.date(from);
    let dates = (0..SEARCH_DAYS).map(|n| today.plus_days(n));
    dates.filter(|day| is_day(days, *day, holidays)).map(|day| zone.at(day, time)).find(|at| *at >= from)
}

/// Now, or the same clock time on the next of the days.
fn next_day(days: Days, from: Timestamp, zone: &Zone, holidays: &Holidays) -> Option<Timestamp> {
    let today = zone.date(from);
    let away = (0..SEARCH_DAYS).find(|n| is_day(days, today.plus_days(*n), holidays))?;
    Some(Calendar::days(away).after(from, zone, holidays))
}

/// A date moved by a duration: months, days, working days, then elapsed time in whole days.
pub fn shift(date: Date, by: Calendar, holidays: &Holidays) -> Date {
    let date = if by.months == 0 { date } else { date.plus_months(by.months) };
    let date = holidays.plus_working_days(date.plus_days(by.days), by.working_days);
    date.plus_days(i32::try_from(by.ms / DAY).unwrap_or(if by.ms < 0 { i32::MIN } else { i32::MAX }))
}
