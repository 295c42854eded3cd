//! Time as journeys know it: instants in milliseconds, calendar and elapsed durations, local time in a zone.
//!
//! All rules of daylight saving stand here, once: a local time that does not exist means the first instant after the gap, one
//! that exists twice means the earlier. Nothing here reads a clock: `now` is always an argument.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound::{Excluded, Included};
use std::str::FromStr;

use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

/// Milliseconds in a second, minute, hour and day of 24 hours.
pub const SECOND: i64 = 1_000;
/// See [`SECOND`].
pub const MINUTE: i64 = 60 * SECOND;
/// See [`SECOND`].
pub const HOUR: i64 = 60 * MINUTE;
/// See [`SECOND`]; a calendar day may be shorter or longer.
pub const DAY: i64 = 24 * HOUR;

impl Timestamp {
    /// Later than every instant that journeys know: a timer that never fires.
    pub const NEVER: Timestamp = Timestamp(i64::MAX);

    /// The instant so many milliseconds later, saturating.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }

    fn to_jiff(self) -> jiff::Timestamp {
        let (low, high) =
            (jiff::Timestamp::MIN.as_millisecond() + DAY, jiff::Timestamp::MAX.as_millisecond() - DAY);
        jiff::Timestamp::from_millisecond(self.0.clamp(low, high)).expect("clamped into the range of jiff")
    }

    fn from_jiff(at: jiff::Timestamp) -> Timestamp {
        Timestamp(at.as_millisecond())
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC: `2026-12-24T10:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_jiff())
    }
}

/// The text was no date, time or moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTime;

impl FromStr for Timestamp {
    type Err = NoTime;

    /// Reads RFC 3339 with an offset (`2026-12-24T10:00:00+01:00`); without one the time is UTC.
    fn from_str(text: &str) -> Result<Self, NoTime> {
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(Timestamp::from_jiff(at));
        }
        let local: civil::DateTime = text.parse().map_err(|_| NoTime)?;
        Ok(Timestamp::from_jiff(TimeZone::UTC.to_timestamp(local).map_err(|_| NoTime)?))
    }
}

/// A date of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Date(pub civil::Date);

impl Date {
    /// The date, or `None` when there is no such day.
    pub fn new(year: i16, month: u8, day: u8) -> Option<Date> {
        civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok().map(Date)
    }

    /// The day so many months later; a day beyond the month's end becomes its last.
    #[must_use]
    pub fn plus_months(self, months: i32) -> Date {
        Date(self.0.saturating_add(jiff::Span::new().months(months.clamp(-100_000, 100_000))))
    }

    /// The day so many days later.
    #[must_use]
    pub fn plus_days(self, days: i32) -> Date {
        Date(self.0.saturating_add(jiff::Span::new().days(days.clamp(-4_000_000, 4_000_000))))
    }

    /// Days from this to the other date; negative when the other is earlier.
    pub fn days_until(self, other: Date) -> i64 {
        let epoch = civil::date(1970, 1, 1);
        let days = |d: civil::Date| d.since(epoch).map_or(0, |span| i64::from(span.get_days()));
        days(other.0) - days(self.0)
    }

    /// Monday = 1 to Sunday = 7.
    pub fn weekday(self) -> u8 {
        self.0.weekday().to_monday_one_offset().unsigned_abs()
    }

    /// The anniversary in a year: the same month and day, 28 February for 29 February in common years.
    pub fn anniversary_in(self, year: i16) -> Option<Date> {
        let day = if self.0.month() == 2 && self.0.day() == 29 && !leap(year) { 28 } else { self.0.day() };
        civil::Date::new(year, self.0.month(), day).ok().map(Date)
    }
}

fn leap(year: i16) -> bool {
    civil::Date::new(year, 2, 29).is_ok()
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Date {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        text.get(..10).filter(|_| text.len() == 10).and_then(|t| t.parse().ok()).map(Date).ok_or(NoTime)
    }
}

/// A clock time within a day, in seconds since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimeOfDay(pub u32);

impl TimeOfDay {
    /// The clock time, or `None` when the clock never shows it.
    pub fn new(hour: u8, minute: u8, second: u8) -> Option<TimeOfDay> {
        let fits = hour < 24 && minute < 60 && second < 60;
        fits.then(|| TimeOfDay(u32::from(hour) * 3600 + u32::from(minute) * 60 + u32::from(second)))
    }

    fn to_civil(self) -> civil::Time {
        let part = |n: u32| i8::try_from(n).unwrap_or(0);
        civil::Time::constant(part(self.0 / 3600 % 24), part(self.0 / 60 % 60), part(self.0 % 60), 0)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        match second {
            0 => write!(f, "{hour:02}:{minute:02}"),
            _ => write!(f, "{hour:02}:{minute:02}:{second:02}"),
        }
    }
}

impl FromStr for TimeOfDay {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        let mut parts = text
            .split(':')
            .map(|p| if p.len() <= 2 { p.parse::<u8>().map_err(|_| NoTime) } else { Err(NoTime) });
        let mut next = || parts.next().transpose();
        let (hour, minute, second) = (next()?.ok_or(NoTime)?, next()?.ok_or(NoTime)?, next()?.unwrap_or(0));
        if parts.next().is_some() {
            return Err(NoTime);
        }
        TimeOfDay::new(hour, minute, second).ok_or(NoTime)
    }
}

/// A duration as authors write it: seconds, minutes and hours are elapsed time; days, weeks, months and years are calendar time
/// (the same clock time that many days later); working days skip weekends and holidays. Parts are applied in that order:
/// months, days, working days, then elapsed milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Calendar {
    pub months: i32,
    pub days: i32,
    pub working_days: i32,
    pub ms: i64,
}

impl Calendar {
    /// A duration of elapsed time alone.
    pub fn elapsed(ms: i64) -> Calendar {
        Calendar { ms, ..Calendar::default() }
    }

    /// A duration of calendar days alone.
    pub fn days(days: i32) -> Calendar {
        Calendar { days, ..Calendar::default() }
    }

    /// The same duration backwards, saturating.
    #[must_use]
    pub fn negate(self) -> Calendar {
        Calendar {
            months: self.months.saturating_neg(),
            days: self.days.saturating_neg(),
            working_days: self.working_days.saturating_neg(),
            ms: self.ms.saturating_neg(),
        }
    }

    /// About how many milliseconds this is: a month counts 30 days, five working days seven. For comparing lengths only.
    pub fn about_ms(self) -> i64 {
        let days = i64::from(self.months) * 30 + i64::from(self.days) + i64::from(self.working_days) * 7 / 5;
        days.saturating_mul(DAY).saturating_add(self.ms)
    }

    /// Whether nothing, or nothing positive, is in it.
    pub fn is_zero(self) -> bool {
        self == Calendar::default()
    }

    /// The instant that much later than `from`, by the clock of `zone`.
    pub fn after(self, from: Timestamp, zone: &Zone, holidays: &Holidays) -> Timestamp {
        if from == Timestamp::NEVER {
            return from;
        }
        let mut at = from;
        if self.months != 0 || self.days != 0 || self.working_days != 0 {
            let (date, time) = zone.local(from);
            let mut date = date;
            if self.months != 0 {
                date = date.plus_months(self.months);
            }
            date = date.plus_days(self.days);
            date = holidays.plus_working_days(date, self.working_days);
            at = zone.instant_of(date.0.to_datetime(time));
        }
        at.plus_ms(self.ms)
    }

    /// The instant that much before `from`.
    pub fn before(self, from: Timestamp, zone: &Zone, holidays: &Holidays) -> Timestamp {
        self.negate().after(from, zone, holidays)
    }
}

impl fmt::Display for Calendar {
    /// As an author would write it: `1 month and 3 days`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        let mut part = |n: i64, unit: &str| {
            if n != 0 {
                parts.push(format!("{n} {unit}{}", if n == 1 { "" } else { "s" }));
            }
        };
        part(i64::from(self.months / 12), "year");
        part(i64::from(self.months % 12), "month");
        part(i64::from(self.days), "day");
        part(i64::from(self.working_days), "working day");
        part(self.ms / HOUR, "hour");
        part(self.ms % HOUR / MINUTE, "minute");
        part(self.ms % MINUTE / SECOND, "second");
        if parts.is_empty() { f.write_str("0 seconds") } else { f.write_str(&parts.join(" and ")) }
    }
}

/// The days on which nobody works, beside Saturdays and Sundays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holidays(pub BTreeSet<Date>);

impl Holidays {
    /// Whether people work on that day.
    pub fn is_working_day(&self, date: Date) -> bool {
        date.weekday() <= 5 && !self.0.contains(&date)
    }

    /// The working day so many working days later (earlier when negative), at most 20,000 of them; zero leaves the date as it is.
    pub fn plus_working_days(&self, date: Date, count: i32) -> Date {
        let (mut date, step, mut left) =
            (date, count.signum(), count.signum() * count.clamp(-20_000, 20_000));
        // Whole weeks at once, so long as a day is left to end on. Ends, since only so many holidays are listed.
        while left > 5 {
            let weeks = (left - 1) / 5;
            let there = date.plus_days(7 * weeks * step);
            left -= 5 * weeks - self.on_weekdays(date, there);
            date = there;
        }
        while left > 0 {
            let next = date.plus_days(step);
            if next == date {
                break; // where the calendar ends
            }
            date = next;
            left -= i32::from(self.is_working_day(date));
        }
        date
    }

    /// Holidays that are neither Saturday nor Sunday, from one day (without it) to another, which may be earlier.
    fn on_weekdays(&self, from: Date, to: Date) -> i32 {
        let range = if from < to { (Excluded(from), Included(to)) } else { (Included(to), Excluded(from)) };
        let on_weekdays = self.0.range(range).filter(|date| date.weekday() <= 5).count();
        i32::try_from(on_weekdays).unwrap_or(i32::MAX)
    }
}

/// A time zone of the IANA database, which is compiled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    tz: TimeZone,
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Zone {
        Zone { tz: TimeZone::UTC }
    }

    /// The zone of that IANA name.
    pub fn named(name: &str) -> Option<Zone> {
        if name.is_empty() || name.len() > 64 {
            return None;
        }
        jiff::tz::db().get(name).ok().map(|tz| Zone { tz })
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        self.tz.iana_name().unwrap_or("UTC")
    }

    /// What the calendar and the clock of the zone show at that instant.
    pub fn local(&self, at: Timestamp) -> (Date, civil::Time) {
        let local = self.tz.to_datetime(at.to_jiff());
        (Date(local.date()), local.time())
    }

    /// The date of that instant in the zone.
    pub fn date(&self, at: Timestamp) -> Date {
        self.local(at).0
    }

    /// The clock time of that instant in the zone, whole seconds.
    pub fn time(&self, at: Timestamp) -> TimeOfDay {
        let time = self.local(at).1;
        let part = |n: i8| u32::from(n.unsigned_abs());
        TimeOfDay(part(time.hour()) * 3600 + part(time.minute()) * 60 + part(time.second()))
    }

    /// The instant at which the zone's clock shows that time on that date: the first instant after a gap, the earlier of two.
    pub fn at(&self, date: Date, time: TimeOfDay) -> Timestamp {
        self.instant_of(date.0.to_datetime(time.to_civil()))
    }

    /// Whether that local time is skipped or repeated by the zone on that date.
    pub fn is_irregular(&self, date: Date, time: TimeOfDay) -> bool {
        !matches!(
            self.tz.to_ambiguous_timestamp(date.0.to_datetime(time.to_civil())).offset(),
            AmbiguousOffset::Unambiguous { .. }
        )
    }

    /// The first instant after that one at which the zone's clocks are put forward or back; `None` if they never are again.
    pub fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        self.tz.following(after.to_jiff()).next().map(|change| Timestamp::from_jiff(change.timestamp()))
    }

    /// The first instant of that date in the zone.
    pub fn start_of(&self, date: Date) -> Timestamp {
        self.at(date, TimeOfDay(0))
    }

    fn instant_of(&self, local: civil::DateTime) -> Timestamp {
        let ambiguous = self.tz.to_ambiguous_timestamp(local);
        let instant = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
            AmbiguousOffset::Gap { before, .. } => before.to_timestamp(local).ok().map(|inside| {
                let after = inside.saturating_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(inside);
                self.tz.preceding(after).next().map_or(inside, |transition| transition.timestamp())
            }),
        };
        instant.map_or(Timestamp::NEVER, Timestamp::from_jiff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Zone {
        Zone::named("Europe/Berlin").expect("compiled in")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    #[test]
    fn a_calendar_day_over_the_spring_change_has_23_hours() {
        let from = at("2026-03-28T10:00:00+01:00");
        let none = Holidays::default();
        assert_eq!(Calendar::days(1).after(from, &berlin(), &none), at("2026-03-29T10:00:00+02:00"));
        assert_eq!(
            Calendar::elapsed(24 * HOUR).after(from, &berlin(), &none),
            at("2026-03-29T11:00:00+02:00")
        );
    }

    #[test]
    fn a_gap_gives_the_first_instant_after_it_and_an_overlap_the_earlier() {
        let half_past_two = TimeOfDay::new(2, 30, 0).expect("a time");
        let spring = Date::new(2026, 3, 29).expect("a date");
        assert_eq!(berlin().at(spring, half_past_two), at("2026-03-29T03:00:00+02:00"));
        let autumn = Date::new(2026, 10, 25).expect("a date");
        assert_eq!(berlin().at(autumn, half_past_two), at("2026-10-25T02:30:00+02:00"));
        let lord_howe = Zone::named("Australia/Lord_Howe").expect("compiled in");
        let gap = Date::new(2026, 10, 4).expect("a date");
        assert_eq!(
            lord_howe.at(gap, TimeOfDay::new(2, 15, 0).expect("a time")),
            at("2026-10-04T02:30:00+11:00")
        );
    }

    #[test]
    fn months_clamp_and_leap_birthdays_fall_on_the_28th() {
        let last = Date::new(2026, 1, 31).expect("a date");
        assert_eq!(last.plus_months(1), Date::new(2026, 2, 28).expect("a date"));
        let leap_day = Date::new(1996, 2, 29).expect("a date");
        assert_eq!(leap_day.anniversary_in(2027), Date::new(2027, 2, 28));
        assert_eq!(leap_day.anniversary_in(2028), Date::new(2028, 2, 29));
        assert_eq!(leap_day.days_until(Date::new(1996, 3, 1).expect("a date")), 1);
    }

    #[test]
    fn working_days_skip_weekends_and_holidays() {
        let friday = Date::new(2026, 12, 24).expect("a Thursday");
        let holidays = Holidays([Date::new(2026, 12, 25).expect("a date")].into());
        assert_eq!(holidays.plus_working_days(friday, 1), Date::new(2026, 12, 28).expect("Monday"));
    }

    proptest::proptest! {
        #[test]
        fn working_days_are_those_that_one_counts_day_by_day(
            start in 0..3_000_i32,
            count in -400..400_i32,
            holidays in proptest::collection::btree_set(0..3_000_i32, 0..600),
        ) {
            let day = |n: i32| Date::new(2026, 1, 1).expect("a date").plus_days(n);
            let holidays = Holidays(holidays.into_iter().map(day).collect());
            let (mut date, mut left) = (day(start), count.abs());
            while left > 0 {
                date = date.plus_days(count.signum());
                left -= i32::from(holidays.is_working_day(date));
            }
            proptest::prop_assert_eq!(holidays.plus_working_days(day(start), count), date);
        }
    }
}
