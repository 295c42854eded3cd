//! Numbers, money, dates and words as a language writes them.
//!
//! German and English are complete; other languages get forms that nobody misreads: ISO dates, plain digits. A no-break
//! space stands between number and unit, as typesetters want it, so that no line ends between them.

use jiff::civil::{Date, Time};

/// Between a number and its unit.
const NO_BREAK: char = '\u{a0}';

const GERMAN_MONTHS: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];
const GERMAN_DAYS: [&str; 7] =
    ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"];
const ENGLISH_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const ENGLISH_DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Currencies written with a sign; all others by their code.
const SIGNS: [(&str, &str); 4] = [("EUR", "€"), ("GBP", "£"), ("JPY", "¥"), ("USD", "$")];
/// Currencies without a hundredth.
const WHOLE: [&str; 6] = ["CLP", "HUF", "ISK", "JPY", "KRW", "VND"];

/// How a language writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Language {
    German,
    /// Month before day.
    American,
    /// English with the day before the month.
    British,
    /// None of which we know the rules.
    Other,
}

impl Language {
    /// The rules of a locale such as `de-AT`. English without a country is American.
    pub(super) fn of(locale: &str) -> Language {
        match locale.split_once('-').unwrap_or((locale, "")) {
            ("de", _) => Language::German,
            ("en", "" | "US") => Language::American,
            ("en", _) => Language::British,
            _ => Language::Other,
        }
    }

    fn is_english(self) -> bool {
        matches!(self, Language::American | Language::British)
    }

    /// `1234.5` as `1.234,5` or `1,234.5`. The digits behind the point stay as they are given.
    pub(super) fn number(self, digits: &Digits) -> String {
        let (group, point) = match self {
            Language::German => (".", ","),
            Language::American | Language::British => (",", "."),
            Language::Other => ("", "."),
        };
        let mut out = String::from(if digits.negative { "-" } else { "" });
        for (place, digit) in digits.whole.chars().enumerate() {
            if place > 0 && (digits.whole.len() - place).is_multiple_of(3) {
                out.push_str(group);
            }
            out.push(digit);
        }
        if !digits.fraction.is_empty() {
            out.push_str(point);
            out.push_str(&digits.fraction);
        }
        out
    }

    /// `1.234,50 €` or `€1,234.50`.
    pub(super) fn money(self, digits: &Digits, currency: &str) -> String {
        let places = if WHOLE.contains(&currency) { 0 } else { 2 };
        let rounded = digits.rounded(places);
        let sign = SIGNS.iter().find(|(code, _)| *code == currency).map(|(_, sign)| *sign);
        match (self.is_english(), sign) {
            (true, Some(sign)) => {
                let minus = if rounded.negative { "-" } else { "" };
                format!("{minus}{sign}{}", self.number(&Digits { negative: false, ..rounded }))
            }
            (true, None) => format!("{currency}{NO_BREAK}{}", self.number(&rounded)),
            (false, sign) => format!("{}{NO_BREAK}{}", self.number(&rounded), sign.unwrap_or(currency)),
        }
    }

    /// `10 %` or `10%`.
    pub(super) fn percent(self, digits: &Digits) -> String {
        match self {
            Language::German => format!("{}{NO_BREAK}%", self.number(&digits.trimmed())),
            _ => format!("{}%", self.number(&digits.trimmed())),
        }
    }

    pub(super) fn yes_no(self, yes: bool) -> &'static str {
        match (self, yes) {
            (Language::German, true) => "ja",
            (Language::German, false) => "nein",
            (_, true) => "yes",
            (_, false) => "no",
        }
    }

    /// A date in one of the forms of `lang::template::DATE_FORMS` but `time`.
    pub(super) fn date(self, date: Date, form: &str) -> String {
        let (year, day) = (date.year(), date.day());
        let month = usize::from(date.month().unsigned_abs()) - 1;
        let weekday = date.weekday().to_monday_zero_offset() as usize;
        let (months, days) =
            if self.is_english() { (ENGLISH_MONTHS, ENGLISH_DAYS) } else { (GERMAN_MONTHS, GERMAN_DAYS) };
        let (name, weekday) = (months[month], days[weekday]);
        match (self, form) {
            (Language::Other, "month") => date.strftime("%Y-%m").to_string(),
            (Language::Other, _) => date.to_string(),
            (Language::German, "short") => date.strftime("%d.%m.%Y").to_string(),
            (Language::American, "short") => format!("{}/{day}/{year}", date.month()),
            (Language::British, "short") => date.strftime("%d/%m/%Y").to_string(),
            (_, "month") => format!("{name} {year}"),
            (Language::German, "weekday") => format!("{weekday}, {day}. {name} {year}"),
            (Language::American, "weekday") => format!("{weekday}, {name} {day}, {year}"),
            (Language::British, "weekday") => format!("{weekday}, {day} {name} {year}"),
            (Language::German, _) => format!("{day}. {name} {year}"),
            (Language::American, _) => format!("{name} {day}, {year}"),
            (Language::British, _) => format!("{day} {name} {year}"),
        }
    }

    /// `14:30` or `2:30 PM`.
    pub(super) fn time(self, time: Time) -> String {
        match self {
            Language::American => time.strftime("%-I:%M %p").to_string(),
            Language::German => format!("{}{NO_BREAK}Uhr", time.strftime("%-H:%M")),
            Language::British | Language::Other => time.strftime("%H:%M").to_string(),
        }
    }
}

/// A decimal number taken apart, exact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Digits {
    pub(super) negative: bool,
    /// Without leading zeros, but for zero itself.
    pub(super) whole: String,
    pub(super) fraction: String,
}

impl Digits {
    /// Reads `-1234.50`; nothing else is a number.
    pub(super) fn read(text: &str) -> Option<Digits> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let ends_in_point = text.ends_with('.');
        if whole.is_empty() || ends_in_point || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let is_zero = whole == "0" && fraction.bytes().all(|b| b == b'0');
        Some(Digits {
            negative: negative && !is_zero,
            whole: whole.to_owned(),
            fraction: fraction.to_owned(),
        })
    }

    /// Without zeros at the end of the fraction.
    pub(super) fn trimmed(&self) -> Digits {
        Digits { fraction: self.fraction.trim_end_matches('0').to_owned(), ..self.clone() }
    }

    /// With exactly this many digits behind the point; a half is rounded away from zero, as bills do.
    fn rounded(&self, places: usize) -> Digits {
        let mut digits: Vec<u8> = self.whole.bytes().chain(self.fraction.bytes()).collect();
        let keep = self.whole.len() + places;
        let round_up = digits.get(keep).is_some_and(|&digit| digit >= b'5');
        digits.resize(keep, b'0');
        let mut carry = round_up;
        for digit in digits.iter_mut().rev() {
            if !carry {
                break;
            }
            carry = *digit == b'9';
            *digit = if carry { b'0' } else { *digit + 1 };
        }
        if carry {
            digits.insert(0, b'1');
        }
        let text = String::from_utf8(digits).expect("digits are ASCII");
        let (whole, fraction) = text.split_at(text.len() - places);
        let is_zero = text.bytes().all(|b| b == b'0');
        Digits { negative: self.negative && !is_zero, whole: whole.to_owned(), fraction: fraction.to_owned() }
    }

    /// Whether it is exactly one, for the choice of a plural.
    pub(super) fn is_one(&self) -> bool {
        !self.negative && self.whole == "1" && self.fraction.bytes().all(|b| b == b'0')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::{American, British, German, Other};

    fn digits(text: &str) -> Digits {
        Digits::read(text).unwrap()
    }

    #[test]
    fn locales_have_their_rules() {
        let expected = [
            ("de", German),
            ("de-AT", German),
            ("en", American),
            ("en-US", American),
            ("en-GB", British),
            ("fr", Other),
        ];
        for (locale, language) in expected {
            assert_eq!(Language::of(locale), language, "{locale}");
        }
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, german, english) in [
            ("0", "0", "0"),
            ("999", "999", "999"),
            ("1000", "1.000", "1,000"),
            ("-1234567.5", "-1.234.567,5", "-1,234,567.5"),
            ("007", "7", "7"),
            ("-0.00", "0,00", "0.00"),
        ] {
            assert_eq!(
                (German.number(&digits(number)).as_str(), American.number(&digits(number)).as_str()),
                (german, english)
            );
        }
        assert_eq!(Other.number(&digits("1234.5")), "1234.5");
    }

    #[test]
    fn money_is_rounded_and_signed_as_the_language_does() {
        for (amount, currency, german, english) in [
            ("1234.5", "EUR", "1.234,50\u{a0}€", "€1,234.50"),
            ("89.90", "EUR", "89,90\u{a0}€", "€89.90"),
            ("-5", "USD", "-5,00\u{a0}$", "-$5.00"),
            ("0.005", "EUR", "0,01\u{a0}€", "€0.01"),
            ("9.995", "EUR", "10,00\u{a0}€", "€10.00"),
            ("-0.004", "EUR", "0,00\u{a0}€", "€0.00"),
            ("1234.5", "JPY", "1.235\u{a0}¥", "¥1,235"),
            ("12", "CHF", "12,00\u{a0}CHF", "CHF\u{a0}12.00"),
        ] {
            assert_eq!(German.money(&digits(amount), currency), german);
            assert_eq!(American.money(&digits(amount), currency), english);
        }
    }

    #[test]
    fn dates_and_times_are_written_out() {
        let date = jiff::civil::date(2026, 12, 24);
        for (language, forms) in [
            (German, ["24. Dezember 2026", "24.12.2026", "Donnerstag, 24. Dezember 2026", "Dezember 2026"]),
            (American, ["December 24, 2026", "12/24/2026", "Thursday, December 24, 2026", "December 2026"]),
            (British, ["24 December 2026", "24/12/2026", "Thursday, 24 December 2026", "December 2026"]),
            (Other, ["2026-12-24", "2026-12-24", "2026-12-24", "2026-12"]),
        ] {
            for (form, expected) in ["long", "short", "weekday", "month"].into_iter().zip(forms) {
                assert_eq!(language.date(date, form), expected);
            }
        }
        let time = jiff::civil::time(14, 5, 0, 0);
        assert_eq!([German, American, British].map(|l| l.time(time)), ["14:05\u{a0}Uhr", "2:05 PM", "14:05"]);
    }

    #[test]
    fn only_numbers_are_numbers() {
        for text in ["", "-", ".", "1.", ".5", "1.2.3", "1,5", "x", "1e3", "--1"] {
            assert_eq!(Digits::read(text), None, "{text}");
        }
        assert!(digits("1.00").is_one() && !digits("1.5").is_one() && !digits("-1").is_one());
    }
}
