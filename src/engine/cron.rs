//! Cron text with the five fields that people know: minute, hour, day of the month, month, day of the week.
//!
//! The meaning is that of POSIX: days of the week count from Sunday (0 or 7), and when both days are restricted either is
//! enough. `L` (last day), `15W` (working day nearest to the 15th), `FRI#2` (second Friday) and `5L` (last Friday) are read
//! too. The `cron` crate runs on wall-clock time as if in UTC, where there is no daylight saving; [`Schedule::next`] maps wall
//! time to an instant by the one rule of [`crate::time`]: what does not exist comes at the first instant after the gap, what
//! exists twice comes the first time. Only schedules for every hour (`*`) run in elapsed time.

use std::str::FromStr;

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use crate::time::{DAY, Date, SECOND, TimeOfDay, Timestamp, Zone};

/// A search gives up after so many wall-clock times that fall into the past or fail the day filter.
const SEARCH: usize = 200_000;
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// What is wrong with a cron text, and where: the byte at which the bad part begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronError {
    pub message: String,
    pub at: usize,
}

/// A checked schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// One, or two when both days are restricted.
    parts: Vec<Part>,
    every_hour: bool,
}

#[derive(Clone, Debug)]
struct Part {
    times: cron::Schedule,
    only: Vec<Rule>,
}

/// Which days are meant where no list of numbers says it. A day fits if any of the rules does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Day(u32),
    LastDay,
    /// The working day nearest to that day, within the month.
    Nearest(u32),
    /// Sunday = 0.
    Weekday(u32),
    Nth {
        weekday: u32,
        number: u32,
    },
    LastWeekday(u32),
}

/// Reads a cron text, or says what is wrong with it; a schedule that no date ever matches is wrong too.
pub fn check(text: &str) -> Result<Schedule, CronError> {
    let fields = split(text)?;
    let minutes = numbers(&fields[0], 0, 59, &[], "minute")?;
    let hours = numbers(&fields[1], 0, 23, &[], "hour")?;
    let months = numbers(&fields[3], 1, 12, &MONTHS, "month")?;
    let days = day_rules(&fields[2])?;
    let weekdays = weekday_rules(&fields[4])?;
    let restricted: Vec<Vec<Rule>> = [days, weekdays].into_iter().flatten().collect();
    let rules = if restricted.is_empty() { vec![Vec::new()] } else { restricted };
    let ever = |rules: &Vec<Rule>| years().any(|date| fits(date, &months, rules));
    if !rules.iter().any(ever) {
        let at = fields[2].at;
        return Err(CronError { message: "no date ever matches this day and month".to_owned(), at });
    }
    let parts =
        rules.into_iter().map(|only| part(&minutes, &hours, &months, only)).collect::<Result<_, _>>()?;
    Ok(Schedule { parts, every_hour: fields[1].text == "*" })
}

impl Schedule {
    /// The first time after that instant, by the clocks of that zone.
    pub fn next(&self, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        let next = |part: &Part| match self.every_hour {
            true => part.elapsed(after, zone),
            false => part.wall(after, zone),
        };
        self.parts.iter().filter_map(next).min()
    }
}

impl Part {
    /// Wall-clock times mapped to instants.
    fn wall(&self, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        self.from(wall_of(after, zone)?).map(|wall| instant_of(wall, zone)).find(|at| *at > after)
    }

    /// Every hour: where clocks change, the count of minutes goes on with the new clock.
    fn elapsed(&self, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        let mut from = after;
        let mut wall = wall_of(from, zone)?;
        for _ in 0..100 {
            let next = self.from(wall).next()?;
            let away = (next - wall_of(from, zone)?).num_milliseconds();
            let at = from.plus_ms(away);
            match zone.next_change(from) {
                Some(change) if change <= at => {
                    from = change;
                    wall = wall_of(change, zone)? - TimeDelta::milliseconds(1);
                }
                _ => return Some(at),
            }
        }
        None
    }

    fn from(&self, wall: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        let fits = |wall: &DateTime<Utc>| match date_of(*wall) {
            Some(date) => self.only.is_empty() || self.only.iter().any(|rule| rule.fits(date)),
            None => false,
        };
        self.times.after(&wall).take(SEARCH).filter(fits)
    }
}

impl Rule {
    fn fits(self, date: Date) -> bool {
        let (day, last) = (u32::from(date.0.day().unsigned_abs()), last_day(date));
        let weekday = u32::from(date.weekday()) % 7;
        match self {
            Rule::Day(wanted) => day == wanted,
            Rule::LastDay => day == last,
            Rule::Nearest(wanted) => wanted <= last && day == nearest(date, wanted, last),
            Rule::Weekday(wanted) => weekday == wanted,
            Rule::Nth { weekday: wanted, number } => weekday == wanted && (day - 1) / 7 + 1 == number,
            Rule::LastWeekday(wanted) => weekday == wanted && day + 7 > last,
        }
    }
}

/// Saturdays move to Friday, Sundays to Monday, but never out of the month.
fn nearest(date: Date, wanted: u32, last: u32) -> u32 {
    let day = u32::from(date.0.day().unsigned_abs());
    let away = i32::try_from(wanted).unwrap_or(0) - i32::try_from(day).unwrap_or(0);
    match date.plus_days(away).weekday() {
        6 if wanted > 1 => wanted - 1,
        6 => wanted + 2,
        7 if wanted < last => wanted + 1,
        7 => wanted - 2,
        _ => wanted,
    }
}

fn last_day(date: Date) -> u32 {
    u32::from(date.0.days_in_month().unsigned_abs())
}

/// Twenty-eight years: every date on every day of the week.
fn years() -> impl Iterator<Item = Date> {
    let first = Date::new(2024, 1, 1);
    (0..28 * 366).filter_map(move |n| first.map(|first| first.plus_days(n)))
}

fn fits(date: Date, months: &[u32], rules: &[Rule]) -> bool {
    months.contains(&u32::from(date.0.month().unsigned_abs()))
        && (rules.is_empty() || rules.iter().any(|rule| rule.fits(date)))
}

fn part(minutes: &[u32], hours: &[u32], months: &[u32], only: Vec<Rule>) -> Result<Part, CronError> {
    let list = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let text = format!("0 {} {} * {} *", list(minutes), list(hours), list(months));
    let times = cron::Schedule::from_str(&text)
        .map_err(|_| CronError { message: "this cannot be read as a schedule".to_owned(), at: 0 })?;
    Ok(Part { times, only })
}

fn wall_of(at: Timestamp, zone: &Zone) -> Option<DateTime<Utc>> {
    let days = Date::new(1970, 1, 1)?.days_until(zone.date(at));
    let ms = i64::from(zone.time(at).0) * SECOND + at.0.rem_euclid(SECOND);
    DateTime::from_timestamp_millis(days * DAY + ms)
}

fn instant_of(wall: DateTime<Utc>, zone: &Zone) -> Timestamp {
    let seconds = u32::try_from(wall.timestamp().rem_euclid(86_400)).unwrap_or(0);
    date_of(wall).map_or(Timestamp::NEVER, |date| zone.at(date, TimeOfDay(seconds / 60 * 60)))
}

fn date_of(wall: DateTime<Utc>) -> Option<Date> {
    Date::new(
        i16::try_from(wall.year()).ok()?,
        u8::try_from(wall.month()).ok()?,
        u8::try_from(wall.day()).ok()?,
    )
}

// ---------------------------------------------------------------- reading

struct Field<'t> {
    text: &'t str,
    at: usize,
}

fn split(text: &str) -> Result<Vec<Field<'_>>, CronError> {
    let mut fields = Vec::new();
    let mut rest = 0;
    for word in text.split_ascii_whitespace() {
        let at = text[rest..].find(word).map_or(rest, |found| rest + found);
        rest = at + word.len();
        fields.push(Field { text: word, at });
    }
    if text.starts_with('@') || fields.len() != 5 {
        let message = format!(
            "cron has five fields (minute, hour, day of the month, month, day of the week), this has {}",
            fields.len()
        );
        return Err(CronError { message, at: 0 });
    }
    Ok(fields)
}

/// The days of the month; `None` for every day.
fn day_rules(field: &Field) -> Result<Option<Vec<Rule>>, CronError> {
    if matches!(field.text, "*" | "?") {
        return Ok(None);
    }
    let mut rules = Vec::new();
    for item in items(field) {
        let upper = item.text.to_ascii_uppercase();
        match upper.strip_suffix('W') {
            _ if upper == "L" => rules.push(Rule::LastDay),
            Some(day) => {
                rules.push(Rule::Nearest(number(&Field { text: day, at: item.at }, 1, 31, &[], "day")?))
            }
            None => rules.extend(numbers(&item, 1, 31, &[], "day of the month")?.into_iter().map(Rule::Day)),
        }
    }
    Ok(Some(rules))
}

/// The days of the week; `None` for every day.
fn weekday_rules(field: &Field) -> Result<Option<Vec<Rule>>, CronError> {
    if matches!(field.text, "*" | "?") {
        return Ok(None);
    }
    let mut rules = Vec::new();
    for item in items(field) {
        let day =
            |text: &str| number(&Field { text, at: item.at }, 0, 7, &DAYS, "day of the week").map(|d| d % 7);
        if let Some((weekday, nth)) = item.text.split_once('#') {
            let at = item.at + weekday.len() + 1;
            let number = number(&Field { text: nth, at }, 1, 5, &[], "number of the weekday in its month")?;
            rules.push(Rule::Nth { weekday: day(weekday)?, number });
        } else if let Some(weekday) = item.text.strip_suffix(['L', 'l']).filter(|rest| !rest.is_empty()) {
            rules.push(Rule::LastWeekday(day(weekday)?));
        } else {
            let days = numbers(&item, 0, 7, &DAYS, "day of the week")?;
            rules.extend(days.into_iter().map(|day| Rule::Weekday(day % 7)));
        }
    }
    Ok(Some(rules))
}

fn items<'t>(field: &Field<'t>) -> Vec<Field<'t>> {
    let mut at = field.at;
    let item = |text: &'t str| {
        let item = Field { text, at };
        at += text.len() + 1;
        item
    };
    field.text.split(',').map(item).collect()
}

/// All numbers that a field names: `*`, `5`, `1-5`, `*/15`, `8-18/2`, `MON-FRI`, and lists of these.
fn numbers(field: &Field, low: u32, high: u32, names: &[&str], what: &str) -> Result<Vec<u32>, CronError> {
    let mut all = Vec::new();
    for item in items(field) {
        let (range, step) = match item.text.split_once('/') {
            Some((range, step)) => {
                let at = item.at + range.len() + 1;
                (range, Some(number(&Field { text: step, at }, 1, high.max(1), &[], "step")?))
            }
            None => (item.text, None),
        };
        let one = |text: &str, at: usize| number(&Field { text, at }, low, high, names, what);
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, to)) => (one(from, item.at)?, one(to, item.at + from.len() + 1)?),
            None if step.is_some() => (one(range, item.at)?, high),
            None => (one(range, item.at)?, one(range, item.at)?),
        };
        if from > to {
            let message = format!("the range `{range}` goes backwards; write two ranges");
            return Err(CronError { message, at: item.at });
        }
        all.extend((from..=to).step_by(step.unwrap_or(1) as usize));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn number(field: &Field, low: u32, high: u32, names: &[&str], what: &str) -> Result<u32, CronError> {
    let named = names.iter().position(|name| name.eq_ignore_ascii_case(field.text));
    let first = if names.len() == MONTHS.len() { 1 } else { 0 };
    if let Some(named) = named {
        return Ok(u32::try_from(named).unwrap_or(0) + first);
    }
    let digits = !field.text.is_empty() && field.text.bytes().all(|b| b.is_ascii_digit());
    match field.text.parse::<u32>() {
        Ok(n) if digits && (low..=high).contains(&n) => Ok(n),
        _ => {
            let message = format!("`{}` is no {what} ({low} to {high})", field.text);
            Err(CronError { message, at: field.at })
        }
    }
}
