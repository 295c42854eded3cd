//! Cron text: what is read and refused, and when it fires.

use std::collections::BTreeSet;

use fahrplan::engine::cron;
use fahrplan::time::{Timestamp, Zone};

use super::build::at;

fn fires(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = cron::check(text).unwrap_or_else(|e| panic!("{text}: {}", e.message));
    let zone = Zone::named(zone).expect("compiled in");
    let mut from: Timestamp = after.parse().expect("a moment");
    let mut all = Vec::new();
    for _ in 0..count {
        from = schedule.next(from, &zone).expect("it fires");
        all.push(format!("{} {}", zone.date(from), zone.time(from)));
    }
    all
}

#[test]
fn five_fields_have_the_meaning_of_posix() {
    for (text, expected) in [
        ("0 10 1 * *", vec!["2026-06-01 10:00", "2026-07-01 10:00"]),
        (
            "*/20 9 * * *",
            vec!["2026-05-05 09:00", "2026-05-05 09:20", "2026-05-05 09:40", "2026-05-06 09:00"],
        ),
        ("30 8 * * 1", vec!["2026-05-11 08:30", "2026-05-18 08:30"]),
        ("30 8 * * 0", vec!["2026-05-10 08:30", "2026-05-17 08:30"]),
        ("30 8 * * 7", vec!["2026-05-10 08:30", "2026-05-17 08:30"]),
        ("30 8 * * SUN,tue", vec!["2026-05-05 08:30", "2026-05-10 08:30", "2026-05-12 08:30"]),
        ("0 8 * jan-feb MON-FRI", vec!["2027-01-01 08:00", "2027-01-04 08:00"]),
        // Both days restricted: either is enough.
        ("0 8 13 * FRI", vec!["2026-05-08 08:00", "2026-05-13 08:00", "2026-05-15 08:00"]),
        ("0 8 L * *", vec!["2026-05-31 08:00", "2026-06-30 08:00"]),
        ("0 8 15W * *", vec!["2026-05-15 08:00", "2026-06-15 08:00", "2026-07-15 08:00", "2026-08-14 08:00"]),
        ("0 8 1W * *", vec!["2026-06-01 08:00", "2026-07-01 08:00", "2026-08-03 08:00"]),
        ("0 8 * * FRI#2", vec!["2026-05-08 08:00", "2026-06-12 08:00"]),
        ("0 8 * * 5L", vec!["2026-05-29 08:00", "2026-06-26 08:00"]),
        ("0 0 29 2 *", vec!["2028-02-29 00:00", "2032-02-29 00:00"]),
    ] {
        assert_eq!(fires(text, "Europe/Berlin", "2026-05-04T10:00:00Z", expected.len()), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_told_at_its_place() {
    for (text, place, says) in [
        ("* * * *", 0, "five fields"),
        ("0 0 10 1 * *", 0, "five fields"),
        ("@daily", 0, "five fields"),
        ("60 * * * *", 0, "`60` is no minute (0 to 59)"),
        ("0 24 * * *", 2, "`24` is no hour"),
        ("0 10 32 * *", 5, "`32` is no day of the month"),
        ("0 10 1 13 *", 7, "`13` is no month"),
        ("0 10 1 foo *", 7, "`foo` is no month"),
        ("0 10 * * 8", 9, "`8` is no day of the week"),
        ("0 22-2 * * *", 2, "goes backwards"),
        ("0 10 1,,2 * *", 7, "`` is no day of the month"),
        ("*/0 10 * * *", 2, "`0` is no step"),
        ("0 10 30 2 *", 5, "no date ever matches"),
        ("0 10 31 4,6 *", 5, "no date ever matches"),
        ("0 10 * * MON#6", 13, "`6` is no number of the weekday"),
        ("0 10 +1 * *", 5, "`+1` is no day"),
    ] {
        let error = cron::check(text).expect_err(text);
        assert!(error.message.contains(says), "{text}: {}", error.message);
        assert_eq!(error.at, place, "{text}: {}", error.message);
    }
}

/// The table of measured cases where cron libraries go wrong.
#[test]
fn clocks_that_change_lose_no_day_and_double_none() {
    for (text, zone, after, expected) in [
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T00:00:00Z",
            vec!["2026-03-28 02:30", "2026-03-29 03:00", "2026-03-30 02:30"],
        ),
        (
            "0 0 * * *",
            "America/Santiago",
            "2026-09-05T12:00:00Z",
            vec!["2026-09-06 01:00", "2026-09-07 00:00"],
        ),
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            vec!["2026-10-04 02:30", "2026-10-05 02:15"],
        ),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", vec!["2026-10-25 02:30", "2026-10-26 02:30"]),
        // Two times in one gap are one instant.
        (
            "0,30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            vec!["2026-03-29 03:00", "2026-03-30 02:00"],
        ),
    ] {
        assert_eq!(fires(text, zone, after, expected.len()), expected, "{text} in {zone}");
    }
    // Every hour runs in elapsed time: both second hours of the autumn night have their quarters.
    let quarters = fires("*/15 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 12);
    assert_eq!(quarters[0], "2026-10-25 02:00");
    assert_eq!(
        quarters[4..9],
        ["2026-10-25 02:00", "2026-10-25 02:15", "2026-10-25 02:30", "2026-10-25 02:45", "2026-10-25 03:00"]
    );
    let hourly = fires("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
    assert_eq!(hourly, ["2026-03-29 01:30", "2026-03-29 03:30", "2026-03-29 04:30"]);
    let lord_howe = fires("15 * * * *", "Australia/Lord_Howe", "2026-10-03T14:30:00Z", 3);
    assert_eq!(lord_howe, ["2026-10-04 01:15", "2026-10-04 03:15", "2026-10-04 04:15"]);
}

/// A schedule at a clock time: from the second day on each local day has exactly one fire.
fn fires_once_a_day(text: &str, zone: &Zone, first: Timestamp, days: usize) {
    let schedule = cron::check(text).expect("a schedule");
    let mut from = schedule.next(first, zone).expect("it fires");
    for _ in 0..days {
        let next = schedule.next(from, zone).expect("it fires");
        assert!(next > from, "{text} in {} after {from}", zone.name());
        let (day, fired) = (zone.date(from), zone.date(next));
        assert_eq!(day.days_until(fired), 1, "{text} in {}: after {from} came {next}", zone.name());
        from = next;
    }
}

#[test]
fn every_zone_fires_once_a_matching_day_around_every_change_from_2020_to_2035() {
    let (from, to) = (at("2020-01-01T00:00"), at("2036-01-01T00:00"));
    let (mut seen, mut count) = (BTreeSet::new(), 0);
    for name in jiff::tz::db().available() {
        let Some(zone) = Zone::named(name.as_str()) else { continue };
        let after = |moment: &Timestamp| zone.next_change(*moment).filter(|moment| *moment < to);
        let changes: Vec<Timestamp> = std::iter::successors(after(&from), after).collect();
        let shown = changes.iter().map(|moment| (*moment, zone.time(*moment))).collect::<Vec<_>>();
        if !seen.insert(shown) {
            continue;
        }
        for moment in changes {
            // The time that the clock shows after the change, and a quarter of an hour before it was put on: in the gap or in
            // the overlap.
            for within in [moment, moment.plus_ms(-900_000)] {
                let (hour, minute) = (zone.time(within).0 / 3600, zone.time(within).0 / 60 % 60);
                let text = format!("{} {} * * *", (minute + 15) % 60, hour);
                fires_once_a_day(&text, &zone, moment.plus_ms(-3 * 86_400_000), 4);
            }
            count += 1;
        }
    }
    assert!(count > 1_000, "only {count} changes of clocks");
}

#[test]
fn a_daily_schedule_loses_no_day_in_sixteen_years() {
    let zone = Zone::named("Europe/Berlin").expect("compiled in");
    fires_once_a_day("30 2 * * *", &zone, at("2020-01-01T12:00"), 16 * 365 + 4);
}

#[test]
fn every_half_hour_is_never_further_apart() {
    for name in ["Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca"] {
        let zone = Zone::named(name).expect("compiled in");
        let schedule = cron::check("*/30 * * * *").expect("a schedule");
        let mut from = at("2026-01-01T12:00");
        while from < at("2027-01-02T00:00") {
            let next = schedule.next(from, &zone).expect("it fires");
            assert_eq!(next.0 - from.0, 1_800_000, "in {name}: {from} to {next}");
            from = next;
        }
    }
}
