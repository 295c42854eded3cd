//! Cron texts: the five POSIX fields that people know.

/// What a cron text says, as far as checks ask.
pub(super) struct Cron {
    /// The days of the month; empty where any day will do.
    pub(super) days: Vec<u8>,
}

/// A field of the text: its name, its range, its words.
const FIELDS: [(&str, u8, u8, &[&str]); 5] = [
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day of the month", 1, 31, &[]),
    ("month", 1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    ("day of the week", 0, 7, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// Reads a cron text, or says what is wrong with it.
pub(super) fn read(text: &str) -> Result<Cron, String> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!(
            "five fields are wanted (minute, hour, day, month, weekday), found {}",
            parts.len()
        ));
    }
    let mut fields = Vec::new();
    for (part, (name, low, high, words)) in parts.iter().zip(FIELDS) {
        fields.push(field(part, low, high, words).map_err(|why| format!("`{part}` is no {name}: {why}"))?);
    }
    let (days, months, any_weekday) = (&fields[2], &fields[3], parts[4] == "*");
    let length = |month: u8| match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let fires = months.iter().any(|month| days.iter().any(|day| *day <= length(*month)));
    if !fires && any_weekday {
        return Err("no month has that day, so it never fires".to_owned());
    }
    let any_day = parts[2] == "*" || !any_weekday;
    Ok(Cron { days: if any_day { Vec::new() } else { days.clone() } })
}

fn field(text: &str, low: u8, high: u8, words: &[&str]) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                (range, step.parse::<u8>().map_err(|_| "the step is no number".to_owned())?)
            }
            None => (part, 1),
        };
        if step == 0 {
            return Err("a step of zero never moves".to_owned());
        }
        let value = |text: &str| value(text, low, high, words);
        let (from, to) = match (range, range.split_once('-')) {
            ("*", _) => (low, high),
            (_, Some((from, to))) => (value(from)?, value(to)?),
            (one, None) if part.contains('/') => (value(one)?, high),
            (one, None) => (value(one)?, value(one)?),
        };
        if from > to {
            return Err("it ends before it begins".to_owned());
        }
        all.extend((from..=to).step_by(usize::from(step)));
    }
    Ok(all)
}

fn value(text: &str, low: u8, high: u8, words: &[&str]) -> Result<u8, String> {
    if let Some(at) = words.iter().position(|word| word.eq_ignore_ascii_case(text)) {
        return Ok(at as u8 + if words.len() == 12 { 1 } else { 0 });
    }
    match text.parse::<u8>() {
        Ok(n) if (low..=high).contains(&n) => Ok(n),
        _ => Err(format!("from {low} to {high} is possible")),
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn five_fields_with_ranges_lists_steps_and_words() {
        for text in
            ["0 10 1 * *", "*/15 8-18 * * mon-fri", "0 0 29 feb *", "5,10 0 1-7/2 1,7 0", "0 0 30 2 mon"]
        {
            assert!(read(text).is_ok(), "{text}");
        }
        for text in [
            "0 10 1 *",
            "60 0 * * *",
            "0 24 * * *",
            "0 0 0 * *",
            "0 0 * 13 *",
            "0 0 * * 8",
            "0 0 30 2 *",
            "x * * * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn days_that_some_months_lack_are_known() {
        let days = |text| read(text).map(|cron| cron.days);
        assert_eq!(days("0 0 31 * *"), Ok(vec![31]));
        assert_eq!(days("0 0 * * *"), Ok(vec![]));
        assert_eq!(days("0 0 31 * mon"), Ok(vec![]), "or a Monday");
    }
}
