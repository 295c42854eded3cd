//! Dates, clock times, numbers and days of the week as people elsewhere write them: `24.12.2026`, `14 Uhr`, `1,5`, `Monday`.
//!
//! Asked by `scan` at each word and number of a line; what is found is put right in the clean copy, so that it stays one
//! finding. A place that can be read in two ways is told with both, and read in one.

use crate::time::{Date, TimeOfDay};

/// A piece of text that is meant well and written otherwise here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Figure {
    /// How many bytes it takes.
    pub(super) length: usize,
    /// What the clean copy reads.
    pub(super) read: String,
    /// What is wrong.
    pub(super) message: String,
    /// What can be done.
    pub(super) way: Way,
}

/// The way out of a [`Figure`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It can only be meant as it is read.
    Write,
    /// It is probably meant as it is read.
    Suggest,
    /// Only the author knows; the help.
    Ask(String),
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const MONTHS_IN_GERMAN: [(&str, usize); 5] = [("mär", 2), ("mrz", 2), ("mai", 4), ("okt", 9), ("dez", 11)];

const DAYS: [(&str, &[&str]); 7] = [
    ("monday", &["mon", "montag", "mo", "montags", "mondays"]),
    ("tuesday", &["tue", "tues", "dienstag", "di", "dienstags", "tuesdays"]),
    ("wednesday", &["wed", "mittwoch", "mi", "mittwochs", "wednesdays"]),
    ("thursday", &["thu", "thur", "thurs", "donnerstag", "do", "donnerstags", "thursdays"]),
    ("friday", &["fri", "freitag", "fr", "freitags", "fridays"]),
    ("saturday", &["sat", "samstag", "sonnabend", "sa", "samstags", "saturdays"]),
    ("sunday", &["sun", "sonntag", "so", "sonntags", "sundays"]),
];

const CURRENCIES: [&str; 9] = ["EUR", "Euro", "euro", "€", "USD", "$", "CHF", "£", "GBP"];

/// What a number at the beginning of `rest` is, after `before` in its line; `in_list`: the bracket around it is `[` or `(`,
/// where a comma divides.
pub(super) fn number(before: &str, rest: &str, in_list: bool) -> Option<Figure> {
    date(rest).or_else(|| clock(before, rest)).or_else(|| amount(before, rest, in_list))
}

/// A day of the week at the beginning of `rest` where one stands.
pub(super) fn day(before: &str, word: &str) -> Option<Figure> {
    let last = last_word(before);
    let wanted = matches!(last, "until" | "every")
        || (matches!(last, "hours" | "to") && before.split_whitespace().any(|word| word == "hours"))
        || (matches!(last, "is" | "not") && before.contains("today is"));
    let lower = word.to_lowercase();
    let (ours, others) =
        DAYS.iter().find(|(ours, others)| *ours == lower || others.contains(&lower.as_str()))?;
    (wanted && word != *ours && (word.len() > 2 || word.starts_with(char::is_uppercase))).then(|| Figure {
        length: word.len(),
        read: (*ours).to_owned(),
        message: format!("the day of the week is called `{ours}`"),
        way: if others.contains(&word) { Way::Suggest } else { Way::Write },
    })
}

/// A sign of a currency before a number.
pub(super) fn currency(rest: &str) -> Option<Figure> {
    let sign = rest.chars().next().filter(|c| matches!(c, '€' | '$' | '£'))?;
    let after = rest[sign.len_utf8()..].trim_start_matches(' ');
    after
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| no_currency(rest.len() - after.len(), &rest[..sign.len_utf8()]))
}

fn no_currency(length: usize, sign: &str) -> Figure {
    Figure {
        length,
        read: String::new(),
        message: format!("an amount stands without its currency, here `{}`", sign.trim()),
        way: Way::Suggest,
    }
}

// ---------------------------------------------------------------- dates

fn date(rest: &str) -> Option<Figure> {
    let figure = |length: usize, date: Option<Date>, ways: Option<Date>| {
        let written = &rest[..length];
        let Some(date) = date else {
            return Figure {
                length,
                read: "2000-01-01".to_owned(),
                message: format!("`{written}` is no day of any calendar"),
                way: Way::Ask("a date is written year, month, day, such as `2026-12-24`".to_owned()),
            };
        };
        let message = format!("a date is written year, month, day, not `{written}`");
        let way = match ways {
            Some(other) if other != date => Way::Ask(format!("write `{}` or `{}`", iso(date), iso(other))),
            _ => Way::Write,
        };
        Figure { length, read: iso(date), message, way }
    };
    let mut found = if let Some((length, [day, month, year])) = parts(rest, '.') {
        figure(length, new_date(year, month, day), None)
    } else if let Some((length, [a, b, year])) = parts(rest, '/') {
        let (day_first, month_first) = (new_date(year, b, a), new_date(year, a, b));
        figure(length, day_first.or(month_first), day_first.and(month_first))
    } else if let Some((length, day, month, year)) = named_month(rest) {
        figure(length, new_date(year, month, day), None)
    } else if let Some((length, [year, month, day], is_ours)) = year_first(rest) {
        let mut made = figure(length, new_date(year, month, day), None);
        if is_ours {
            // fine by itself; what stands behind it may not be
            made.read = rest[..length].to_owned();
            made.message.clear();
        }
        made
    } else {
        return None;
    };
    let after = rest[found.length..].trim_start_matches([' ', ',']);
    let gap = rest.len() - found.length - after.len();
    let after_word = after.strip_prefix("um ").unwrap_or(after);
    let clock = (gap > 0).then(|| bare_clock(after_word)).flatten();
    if let Some((length, time)) = clock {
        found.length += gap + (after.len() - after_word.len()) + length;
        found.read = format!("{}T{}", found.read, shown(time));
        found.message = "a date and its time stand together, with `T` between them".to_owned();
    }
    (!found.message.is_empty()).then_some(found)
}

fn iso(date: Date) -> String {
    date.to_string()
}

fn new_date(year: u32, month: u32, day: u32) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
}

/// Day, month and year with a sign between them.
fn parts(rest: &str, sign: char) -> Option<(usize, [u32; 3])> {
    let (a, after) = digits(rest, 1..=2)?;
    let after = after.strip_prefix(sign)?.trim_start_matches(' ');
    let (b, after) = digits(after, 1..=2)?;
    let after = after.strip_prefix(sign)?.trim_start_matches(' ');
    let (year, after) = digits(after, 4..=4).or_else(|| digits(after, 2..=2))?;
    let year = if year < 100 { year + 2000 } else { year };
    ends(after, &['_', '/', '%']).then_some((rest.len() - after.len(), [a, b, year]))
}

/// `2026-12-24`, which is ours, and `2026-1-5`, `2026/12/24`, `2026.12.24`.
fn year_first(rest: &str) -> Option<(usize, [u32; 3], bool)> {
    let (year, after) = digits(rest, 4..=4)?;
    let sign = after.chars().next().filter(|c| matches!(c, '-' | '/' | '.'))?;
    let (month, more) = digits(&after[1..], 1..=2)?;
    let (day, end) = digits(more.strip_prefix(sign)?, 1..=2)?;
    let length = rest.len() - end.len();
    let ends = !end.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/'));
    ends.then_some((length, [year, month, day], sign == '-' && length == 10))
}

/// `24. Dezember 2026`, `24 Dec 2026`.
fn named_month(rest: &str) -> Option<(usize, u32, u32, u32)> {
    let (day, after) = digits(rest, 1..=2)?;
    let after = after.strip_prefix('.').unwrap_or(after);
    let name = after.strip_prefix(' ')?.trim_start_matches(' ');
    let length = name.find(|c: char| !c.is_alphabetic())?;
    let (word, after) = name.split_at(length);
    let begin: String = word.to_lowercase().chars().take(3).collect();
    let month = (MONTHS.iter().position(|month| *month == begin))
        .or_else(|| MONTHS_IN_GERMAN.iter().find(|(month, _)| *month == begin).map(|(_, at)| *at))?;
    let after = after.strip_prefix('.').unwrap_or(after);
    let after = after.strip_prefix(',').unwrap_or(after);
    let (year, after) = digits(after.strip_prefix(' ')?.trim_start_matches(' '), 4..=4)?;
    Some((rest.len() - after.len(), day, u32::try_from(month).ok()? + 1, year))
}

// ---------------------------------------------------------------- clock times

fn clock(before: &str, rest: &str) -> Option<Figure> {
    let figure = |length: usize, time: Option<TimeOfDay>| {
        let written = &rest[..length];
        Some(match time {
            Some(time) => Figure {
                length,
                read: shown(time),
                message: format!("a clock time is written `{}`, not `{written}`", shown(time)),
                way: Way::Write,
            },
            None => Figure {
                length,
                read: "00:00".to_owned(),
                message: format!("no clock shows `{written}`"),
                way: Way::Ask("a clock time is written from `00:00` to `23:59`".to_owned()),
            },
        })
    };
    if let Some((length, time)) = spoken_clock(rest) {
        return figure(length, time);
    }
    if !wants_clock(before, rest) {
        return None;
    }
    let (hour, after) = digits(rest, 1..=2)?;
    let minutes = after.strip_prefix(['.', 'h']).and_then(|after| digits(after, 2..=2));
    let (minute, after) = match (minutes, after.strip_prefix('h')) {
        (Some(found), _) => found,
        (None, Some(after)) => (0, after),
        (None, None) => (0, after),
    };
    let ends = ends(after, &['_', ':', '%', '-', '/', ',']);
    let next = after.split_whitespace().next().unwrap_or("");
    let is_count = next == "per" || next == "times" || is_unit(next);
    (ends && !is_count).then(|| figure(rest.len() - after.len(), new_time(hour, minute)))?
}

/// Whether a clock time belongs behind these words.
fn wants_clock(before: &str, rest: &str) -> bool {
    let head = before.split_whitespace().next().unwrap_or("");
    let mut words = before.split_whitespace().rev();
    let last = words.next().unwrap_or("");
    match last {
        "at" => before.trim() != "at" && !matches!(head, "cap" | "rate"),
        "between" => words.next().is_some_and(is_day),
        "and" => words.nth(1) == Some("between") && words.next().is_some_and(is_day),
        "until" => head == "wait" && !rest.trim_end().contains(" before ") && !rest.contains(" after "),
        "hours" => true,
        "to" => before.split_whitespace().any(|word| word == "hours"),
        day => {
            DAYS.iter().any(|(ours, _)| *ours == day) && before.split_whitespace().any(|word| word == "hours")
        }
    }
}

/// Whether a window of the day may follow.
fn is_day(word: &str) -> bool {
    matches!(word, "weekday" | "weekend" | "day") || DAYS.iter().any(|(ours, _)| *ours == word)
}

/// `14 Uhr`, `14:30 Uhr`, `9 am`, `9.30 p.m.`: as far as it reaches, and the time if there is one.
fn spoken_clock(rest: &str) -> Option<(usize, Option<TimeOfDay>)> {
    let (hour, after) = digits(rest, 1..=2)?;
    let minutes = after.strip_prefix(['.', ':']).and_then(|after| digits(after, 2..=2));
    let (minute, after) = minutes.unwrap_or((0, after));
    let word = after.trim_start_matches(' ');
    let lower = word.get(..7.min(word.len())).unwrap_or(word).to_lowercase();
    let says =
        ["o'clock", "a.m.", "p.m.", "uhr", "am", "pm"].into_iter().find(|says| lower.starts_with(says))?;
    let end = &word[says.len()..];
    if end.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let time = match says.chars().next() {
        Some('a') if (1..=12).contains(&hour) => new_time(hour % 12, minute),
        Some('p') if (1..=12).contains(&hour) => new_time(hour % 12 + 12, minute),
        Some('u' | 'o') => new_time(hour, minute),
        _ => None,
    };
    Some((rest.len() - end.len(), time))
}

/// A clock time behind a date.
fn bare_clock(rest: &str) -> Option<(usize, TimeOfDay)> {
    if let Some((length, time)) = spoken_clock(rest) {
        return Some((length, time?));
    }
    let (hour, after) = digits(rest, 1..=2)?;
    let (minute, after) = digits(after.strip_prefix([':', '.'])?, 2..=2)?;
    let ends = !after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '.'));
    ends.then_some((rest.len() - after.len(), new_time(hour, minute)?))
}

fn new_time(hour: u32, minute: u32) -> Option<TimeOfDay> {
    TimeOfDay::new(u8::try_from(hour).ok()?, u8::try_from(minute).ok()?, 0)
}

fn shown(time: TimeOfDay) -> String {
    let text = time.to_string();
    text.get(..5).map_or(text.clone(), str::to_owned)
}

// ---------------------------------------------------------------- amounts

fn amount(before: &str, rest: &str, in_list: bool) -> Option<Figure> {
    let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',')).unwrap_or(rest.len());
    let written = rest[..end].trim_end_matches(['.', ',']);
    let after = &rest[written.len()..];
    let divides = in_list || before.trim_start().starts_with("case ");
    if let Some(figure) = grouped(written, after, divides) {
        return Some(figure);
    }
    let sign = after.trim_start_matches(' ');
    let found = CURRENCIES.iter().find(|currency| sign.starts_with(**currency))?;
    let behind = &sign[found.len()..];
    let is_word = found.chars().all(char::is_alphabetic);
    let goes_on =
        is_word && behind.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':'));
    (!goes_on && !written.contains(',')).then(|| {
        let length = rest.len() - behind.len();
        Figure { length, read: written.to_owned(), ..no_currency(length, found) }
    })
}

/// Thousands and decimals with the signs of other languages.
fn grouped(written: &str, after: &str, divides: bool) -> Option<Figure> {
    let unit = after.split_whitespace().next().unwrap_or("");
    let length = written.len();
    let figure = |read: String, message: String, way: Way| Some(Figure { length, read, message, way });
    let thousands = |sign: char| {
        let mut groups = written.split(sign);
        let first = groups.next().is_some_and(|first| (1..=3).contains(&first.len()) && first != "0");
        let rest: Vec<&str> = groups.collect();
        (first && rest.iter().all(|group| group.len() == 3)).then_some(rest.len())
    };
    let (commas, points) = (written.matches(',').count(), written.matches('.').count());
    let plain = |text: &str| text.replace([',', '.'], "");
    if commas == 0 {
        // one is written 1, so a point before zeros divides thousands
        let many = thousands('.')?;
        let (zeros, large) = (written.ends_with(".000"), plain(written));
        let way = if many > 1 { Way::Write } else { Way::Suggest };
        return (many > 1 || many == 1 && zeros).then(|| {
            figure(
                large.clone(),
                format!("a point stands before decimals; a thousand is `1000` or `1_000`, not `{written}`"),
                way,
            )
        })?;
    }
    if divides {
        return None;
    }
    if let Some((whole, decimals)) = written.rsplit_once(',').filter(|_| commas == 1)
        && (points == 0 || whole.contains('.'))
    {
        let read = format!("{}.{decimals}", plain(whole));
        let days = read.parse().ok().and_then(|value| crate::lang::types::whole_duration(value, unit));
        if let Some(days) = days {
            let message = format!("days are counted whole: `{days}`, not `{written} {unit}`");
            let whole = plain(whole);
            let read = if whole == "0" { "1".to_owned() } else { whole };
            return figure(read, message, Way::Ask(format!("write `{days}`")));
        }
        if points == 0 && decimals.len() == 3 && thousands(',').is_some() {
            let large = plain(written);
            let small = if decimals == "000" { plain(whole) } else { read };
            let help = format!("write `{large}` if thousands are meant, or `{small}`");
            return figure(large, "a comma does not stand in a number".to_owned(), Way::Ask(help));
        }
        return figure(read, "a point stands before decimals, not a comma".to_owned(), Way::Write);
    }
    let (whole, decimals) = written.split_once('.').unwrap_or((written, ""));
    let read = if decimals.is_empty() { plain(whole) } else { format!("{}.{decimals}", plain(whole)) };
    figure(read, "a comma does not stand in a number".to_owned(), Way::Write)
}

// ---------------------------------------------------------------- pieces

fn digits(text: &str, count: std::ops::RangeInclusive<usize>) -> Option<(u32, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    count.contains(&length).then(|| Some((text[..length].parse().ok()?, &text[length..])))?
}

/// Whether a figure ends before this text: no letter, digit or decimal point goes on, nor one of these signs.
fn ends(after: &str, signs: &[char]) -> bool {
    let decimals = after.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    !decimals && !after.starts_with(|c: char| c.is_alphanumeric() || signs.contains(&c))
}

fn last_word(before: &str) -> &str {
    before.split_whitespace().next_back().unwrap_or("")
}

fn is_unit(word: &str) -> bool {
    let stem = word.trim_end_matches('s');
    matches!(
        stem,
        "second" | "minute" | "hour" | "day" | "week" | "month" | "year" | "working" | "before" | "after"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> String {
        let at = line.find('|').expect("a mark");
        let (before, rest) = (&line[..at], &line[at + 1..]);
        match number(before, rest, false) {
            Some(figure) => {
                let sign = match figure.way {
                    Way::Write => "=",
                    Way::Suggest => "~",
                    Way::Ask(_) => "?",
                };
                format!("{sign}{}{}", figure.read, &rest[figure.length..])
            }
            None => "-".to_owned(),
        }
    }

    #[test]
    fn what_is_written_elsewhere_is_read_as_it_is_meant() {
        for (line, expected) in [
            ("wait until |24.12.2026", "=2026-12-24"),
            ("wait until |24. 12. 2026 at 9", "=2026-12-24 at 9"),
            ("runs from |1.12.2026 to 31.12.2026", "=2026-12-01 to 31.12.2026"),
            ("at |19.05.2026 18:00 expect", "=2026-05-19T18:00 expect"),
            ("at |19.05.2026, 18.00 Uhr expect", "=2026-05-19T18:00 expect"),
            ("at |2026-05-19 18:00 expect", "=2026-05-19T18:00 expect"),
            ("wait until |2026-05-19 at 18:00", "-"),
            ("wait until |2026-5-9", "=2026-05-09"),
            ("wait until |2026/12/24", "=2026-12-24"),
            ("wait until |12/24/2026", "=2026-12-24"),
            ("wait until |24/12/2026", "=2026-12-24"),
            ("wait until |3/4/2026", "?2026-04-03"),
            ("wait until |24. Dezember 2026", "=2026-12-24"),
            ("wait until |24 Dec 2026", "=2026-12-24"),
            ("wait until |31.02.2026", "?2000-01-01"),
            ("wait until tuesday at |9", "=09:00"),
            ("wait until tuesday at |9 contact time", "=09:00 contact time"),
            ("wait until tuesday at |10.30", "=10:30"),
            ("wait until tuesday at |14 Uhr", "=14:00"),
            ("wait until tuesday at |14:30 Uhr contact time", "=14:30 contact time"),
            ("wait until tuesday at |9 am", "=09:00"),
            ("wait until tuesday at |9pm", "=21:00"),
            ("wait until tuesday at |12 am", "=00:00"),
            ("wait until tuesday at |9.30 p.m. project time", "=21:30 project time"),
            ("wait until tuesday at |9h", "=09:00"),
            ("wait until tuesday at |25", "?00:00"),
            ("wait until |9", "=09:00"),
            ("wait until |2 days after entry", "-"),
            ("wait until weekday between |9 and 17", "=09:00 and 17"),
            ("wait until weekday between 09:00 and |17", "=17:00"),
            ("quiet hours |21 to 8 contact time", "=21:00 to 8 contact time"),
            ("quiet hours 21:00 to |8.00 contact time", "=08:00 contact time"),
            ("  hours monday to friday |9 to 17", "=09:00 to 17"),
            ("cap marketing at |3 per 7 days then skip", "-"),
            ("rate email at |500 per hour", "-"),
            ("if contact.points > |1,5 {", "=1.5 {"),
            ("if contact.points > |1.000,50 {", "=1000.50 {"),
            ("if contact.points > |1,000.50 {", "=1000.50 {"),
            ("if contact.points > |1,000 {", "?1000 {"),
            ("if contact.points > |1.000 {", "~1000 {"),
            ("if contact.points > |1.000.000 {", "=1000000 {"),
            ("if contact.points > |19.90 {", "-"),
            ("if contact.points > |0.125 {", "-"),
            ("if contact.points > |200 EUR {", "~200 {"),
            ("if contact.points > |200€ {", "~200 {"),
            ("case |1,2 {", "-"),
            ("variant a |12,5% {", "=12.5% {"),
            ("wait |1,5 days", "?1 days"),
            ("wait |1,5 hours", "=1.5 hours"),
            ("wait |3 days", "-"),
            ("let a = |3 * 4", "-"),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn days_of_the_week_are_known_where_they_stand() {
        let read = |before: &str, word: &str| day(before, word).map(|figure| figure.read);
        assert_eq!(read("wait until ", "Dienstag").as_deref(), Some("tuesday"));
        assert_eq!(read("enter every ", "Monday").as_deref(), Some("monday"));
        assert_eq!(read("enter every ", "monday"), None);
        assert_eq!(read("  hours ", "Mo").as_deref(), Some("monday"));
        assert_eq!(read("send email ", "Monday"), None);
    }
}
