//! What happened and what was expected, on one time line, as people read it.

use super::matching::{Failure, Seen, Verdict, What};
use super::{Play, Row};
use crate::engine::program::Word;
use crate::time::{Date, SECOND, Timestamp, Zone};
use crate::value::Value;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The widest that the column of what happened may become.
const WIDEST: usize = 64;

impl Play {
    /// The rows of the time line: what happened, and what did not though it was expected.
    pub(super) fn rows(&self, line_of: &dyn Fn(crate::diagnostic::Span) -> u32) -> Vec<Row> {
        let mut rows: Vec<(Timestamp, usize, Row)> = Vec::new();
        for (number, seen) in self.seen.iter().enumerate() {
            rows.push((seen.at, number * 2, self.happened(number, seen, line_of)));
        }
        for verdict in self.verdicts.iter().filter(|verdict| verdict.is_absence()) {
            let until = verdict.to.min(self.ends);
            let last = self.seen.iter().rposition(|seen| seen.at <= until).map_or(0, |n| n * 2 + 1);
            let line = line_of(verdict.span);
            let happened = match &verdict.failure {
                Some(Failure::Missing) => verdict.standing.clone(),
                _ => String::new(),
            };
            let row = Row {
                at: until,
                person: String::new(),
                happened,
                expected: verdict.words.clone(),
                line: Some(line),
                ok: false,
                by_test: false,
            };
            rows.push((until, last, row));
        }
        rows.sort_by_key(|(at, order, _)| (*at, *order));
        rows.into_iter().map(|(_, _, row)| row).collect()
    }

    fn happened(&self, number: usize, seen: &Seen, line_of: &dyn Fn(crate::diagnostic::Span) -> u32) -> Row {
        let met = self.verdicts.iter().find(|verdict| verdict.met == Some(number));
        let failed = self.verdicts.iter().find(|verdict| match &verdict.failure {
            Some(Failure::Differs(_, at) | Failure::Elsewhere(at) | Failure::Happened(at)) => *at == number,
            _ => false,
        });
        let (expected, line, ok) = match (met, failed) {
            (Some(verdict), _) => (String::new(), Some(line_of(verdict.span)), true),
            (None, Some(verdict)) => (verdict.contrast(), Some(line_of(verdict.span)), false),
            (None, None) if self.unexpected.contains(&number) => {
                ("no line expects this".to_owned(), None, false)
            }
            (None, None) => (String::new(), seen.span.map(line_of), true),
        };
        let person = self.people.get(seen.person).cloned().unwrap_or_default();
        Row {
            at: seen.at,
            person,
            happened: seen.what.words(&self.zone(), &self.project_zone),
            expected,
            line,
            ok,
            by_test: seen.span.is_some(),
        }
    }

    /// The zone in which the time line is told: the contact's, or the project's where contacts differ.
    pub(super) fn zone(&self) -> Zone {
        let mut zones = self.seen.iter().map(|seen| &seen.zone);
        match zones.next() {
            Some(first) if zones.all(|zone| zone == first) => first.clone(),
            _ => self.project_zone.clone(),
        }
    }

    /// The time line as text, with two columns: what happened, and what was expected.
    pub(super) fn timeline(&self, line_of: &dyn Fn(crate::diagnostic::Span) -> u32) -> String {
        let (rows, zone) = (self.rows(line_of), self.zone());
        let what = |row: &Row| match row.person.as_str() {
            "" => row.happened.clone(),
            person if row.happened.is_empty() => person.to_owned(),
            person => format!("{person}: {}", row.happened),
        };
        let width =
            rows.iter().map(|row| what(row).chars().count()).filter(|n| *n <= WIDEST).max().unwrap_or(0);
        let width = width.max("what happened".len());
        let mut out = format!("  {:<24}{:<width$}  what was expected\n", zone.name(), "what happened");
        let (mut day, mut offset) = (None, None);
        for row in &rows {
            let date = zone.date(row.at);
            let shift = utc_offset(&zone, row.at);
            if offset.is_some_and(|before| before != shift) {
                let way = if offset < Some(shift) { "forward" } else { "back" };
                out += &format!("  {:<24}(the clocks went {way})\n", "");
            }
            offset = Some(shift);
            let shown_day = if day == Some(date) { String::new() } else { day_words(date, day) };
            day = Some(date);
            let mark = match (&row.line, row.ok) {
                (Some(line), true) if row.by_test => format!("  line {line}"),
                (Some(line), true) => format!("✓ line {line}"),
                (Some(line), false) => format!("✗ line {line}: {}", row.expected),
                (None, true) => String::new(),
                (None, false) => format!("✗ {}", row.expected),
            };
            let happened = if row.happened.is_empty() { "–".to_owned() } else { what(row) };
            let line =
                format!("  {shown_day:<16} {:<7}{happened:<width$}  {mark}", zone.time(row.at).to_string());
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

impl Verdict {
    /// Whether the time line needs a row of its own for it: nothing that happened stands for it.
    fn is_absence(&self) -> bool {
        matches!(self.failure, Some(Failure::Missing | Failure::Elsewhere(_) | Failure::Untrue(_)))
    }

    /// What the line wanted, beside what happened instead.
    fn contrast(&self) -> String {
        match &self.failure {
            Some(Failure::Differs(how, _)) => format!("{}, but {how}", self.words),
            Some(Failure::Elsewhere(_)) => format!("{}, at another time", self.words),
            _ => self.words.clone(),
        }
    }

    /// One sentence on what went wrong, for the place of the line.
    pub(super) fn sentence(&self, seen: &[Seen], zone: &Zone) -> String {
        let span =
            || format!("between {} and {}", moment_words(zone, self.from), moment_words(zone, self.to));
        let at = |number: &usize| moment_words(zone, seen[*number].at);
        match &self.failure {
            None => "as expected".to_owned(),
            Some(Failure::Missing) if self.from == self.to => {
                format!(
                    "`{}` did not happen at {}; {}",
                    self.words,
                    moment_words(zone, self.to),
                    self.standing
                )
            }
            Some(Failure::Missing) => {
                format!("`{}` did not happen {}; {}", self.words, span(), self.standing)
            }
            Some(Failure::Differs(how, number)) => {
                let day = zone.date(seen[*number].at);
                format!("`{}`: on {} {how}", self.words, day_words(day, Some(day)))
            }
            Some(Failure::Elsewhere(number)) => {
                format!("`{}` did not happen {}, but at {}", self.words, span(), at(number))
            }
            Some(Failure::Happened(number)) => {
                format!("`{}`: `{}` happened at {}", self.words, seen[*number].what.head(), at(number))
            }
            Some(Failure::Untrue(found)) => found.clone(),
        }
    }
}

impl What {
    /// What happened, with its values.
    fn words(&self, zone: &Zone, project: &Zone) -> String {
        let mut words = self.head();
        match self {
            What::Send { to: Some(to), .. } => words += &format!(" to {to}"),
            What::Held { until, .. } => return format!("{words}, until {}", moment_words(zone, *until)),
            _ => {}
        }
        let pair = |(name, value): (&Word, &Value)| format!("{name}: {}", self.shown(name, value, project));
        let pairs: Vec<String> = self.with().into_iter().flatten().map(pair).collect();
        if !pairs.is_empty() {
            words += &format!(" with {{ {} }}", pairs.join(", "));
        }
        shortened(words)
    }
}

fn shortened(words: String) -> String {
    match words.char_indices().nth(WIDEST - 1) {
        Some((at, _)) if words.chars().count() > WIDEST => format!("{}…", &words[..at]),
        _ => words,
    }
}

/// `Fri 27 Mar 10:00`.
pub(super) fn moment_words(zone: &Zone, at: Timestamp) -> String {
    if at == Timestamp::NEVER {
        return "the end".to_owned();
    }
    let date = zone.date(at);
    format!("{} {}", day_words(date, Some(date)), zone.time(at))
}

/// `Fri 27 Mar`, with the year where the day before is none, or of another year.
fn day_words(date: Date, before: Option<Date>) -> String {
    let (day, month, year) = (date.0.day(), date.0.month().unsigned_abs(), date.0.year());
    let weekday = WEEKDAYS[usize::from(date.weekday() - 1)];
    let words = format!("{weekday} {day} {}", MONTHS[usize::from(month - 1)]);
    match before {
        Some(before) if before.0.year() == year => words,
        _ => format!("{words} {year}"),
    }
}

/// How far the clocks of the zone are ahead of UTC at that instant, in milliseconds.
fn utc_offset(zone: &Zone, at: Timestamp) -> i64 {
    let epoch = Date::new(1970, 1, 1).expect("the first day of the epoch exists");
    let local = epoch.days_until(zone.date(at)) * crate::time::DAY + i64::from(zone.time(at).0) * SECOND;
    let whole_seconds = at.0.div_euclid(SECOND) * SECOND;
    local - whole_seconds
}
