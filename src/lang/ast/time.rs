//! Durations, dates, clock times and moments as written.

use super::{Number, Path, Text};
use crate::diagnostic::Span;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    WorkingDay,
    Week,
    Month,
    Year,
}

/// `1 hour and 30 minutes`; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Duration {
    pub parts: Vec<(Number, Unit)>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
    /// Monday to Friday.
    Weekday,
    /// Saturday and Sunday.
    Weekend,
    /// Monday to Friday but for holidays.
    WorkingDay,
    /// Any day.
    Day,
}

/// `2026-12-24` as written; the checker says whether the date exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    pub year: i16,
    pub month: u8,
    pub day: u8,
    pub span: Span,
}

/// `09:00` or `09:00:30` as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ZoneKind {
    Contact,
    Project,
    Named(Text),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    pub kind: ZoneKind,
    pub span: Span,
}

/// `between 09:00 and 17:00`
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    pub from: TimeOfDay,
    pub to: TimeOfDay,
    pub span: Span,
}

/// A clock time, or an attribute or variable of type `time` in its place.
#[derive(Clone, Debug, PartialEq)]
pub enum TimeOfDay {
    Clock(Clock),
    Path(Path),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

/// What stands after `until` and `before`.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    pub kind: MomentKind,
    pub zone: Option<Zone>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MomentKind {
    /// `tuesday at 10:00`, `weekday between 09:00 and 17:00`, `monday`
    Weekday { day: Weekday, day_span: Span, at: Option<TimeOfDay>, window: Option<Window> },
    /// `2026-12-24T12:00`
    DateTime(Date, Clock),
    /// `2026-12-24 at 10:00`
    Date { date: Date, at: Option<TimeOfDay> },
    /// `10:00`
    Time(Clock),
    /// `30 days before seat.starts_at at 10:00`, `2 hours after offer_mail`, `contact.card_expires`
    Anchor { offset: Option<(Duration, Side)>, anchor: Path, at: Option<TimeOfDay> },
}
