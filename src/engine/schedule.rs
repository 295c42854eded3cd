//! When entries fire by the calendar.
//!
//! A schedule in one zone for all (`at`, `every monday`, `cron` in project time or a named zone) is fired by the daemon, which
//! asks [`next_fire`] and puts [`super::world::Input::Fire`] into the inbox of every contact. A schedule in contact time, an
//! anniversary and an offset of the contact's own date have a standing timer for each contact, see [`super::standing`].

use super::cron;
use super::program::{Catalog, Entry, EntryHow, ZoneRef};
use super::programs::is_standing;
use super::wait;
use crate::time::{Date, Holidays, TimeOfDay, Timestamp, Zone};
use crate::value::Value;

/// The first moment after `after` at which the daemon shall fire this entry for everybody; `None` for entries that it does not
/// fire, or never again.
pub fn next_fire(catalog: &Catalog, entry: &Entry, after: Timestamp) -> Option<Timestamp> {
    let zone = match &entry.how {
        _ if is_standing(&entry.how) => return None,
        EntryHow::At { zone, .. } | EntryHow::Weekday { zone, .. } | EntryHow::Cron { zone, .. } => zone,
        _ => return None,
    };
    let project = || Zone::named(&catalog.zone).unwrap_or_else(Zone::utc);
    let zone = match zone {
        ZoneRef::Named(name) => Zone::named(name).unwrap_or_else(project),
        ZoneRef::Contact | ZoneRef::Project => project(),
    };
    next(&entry.how, after, &zone, &catalog.holidays, &Value::Unknown)
}

/// The first fire after `after` in that zone; `value` is the contact's date or moment for anniversaries and offsets.
pub(super) fn next(
    how: &EntryHow,
    after: Timestamp,
    zone: &Zone,
    holidays: &Holidays,
    value: &Value,
) -> Option<Timestamp> {
    let later = |at: Timestamp| (at > after && at != Timestamp::NEVER).then_some(at);
    match how {
        EntryHow::At { date, time, .. } => later(zone.at(*date, *time)),
        EntryHow::Weekday { days, at, .. } => wait::next_at(*days, *at, after.plus_ms(1), zone, holidays),
        EntryHow::Cron { text, .. } => cron::check(text).ok()?.next(after, zone),
        EntryHow::Anniversary { at, .. } => anniversary(date_of(value, zone)?, *at, after, zone),
        EntryHow::Offset { offset, at, .. } => {
            wait::anchor_moment(value, *offset, *at, zone, holidays).and_then(later)
        }
        EntryHow::Event(_)
        | EntryHow::FirstEvent(_)
        | EntryHow::Change { .. }
        | EntryHow::When { .. }
        | EntryHow::While { .. }
        | EntryHow::Start { .. } => None,
    }
}

/// The next return of the day, a year after the date at the earliest; 29 February is the 28th in common years.
fn anniversary(date: Date, at: TimeOfDay, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
    let this_year = zone.date(after).0.year();
    let first = this_year.max(date.0.year().saturating_add(1));
    (0..3)
        .filter_map(|n| date.anniversary_in(first.checked_add(n)?))
        .map(|day| zone.at(day, at))
        .find(|moment| *moment > after)
}

fn date_of(value: &Value, zone: &Zone) -> Option<Date> {
    match value {
        Value::Date(date) => Some(*date),
        Value::Moment(at) => Some(zone.date(*at)),
        _ => None,
    }
}
