//! Ways of saying things that come from other languages and from everyday speech, each with what it is called here.

use super::Reader;
use super::excerpt::first_word;
use super::gap::Gap;
use super::words::{Expected, is_reserved};
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use crate::time::Zone;

/// Numbers as words.
const NUMBERS: [(&str, &str); 25] = [
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
    ("twelve", "12"),
    ("fourteen", "14"),
    ("thirty", "30"),
    ("ein", "1"),
    ("eine", "1"),
    ("einen", "1"),
    ("zwei", "2"),
    ("drei", "3"),
    ("vier", "4"),
    ("fünf", "5"),
    ("sechs", "6"),
    ("sieben", "7"),
    ("acht", "8"),
    ("neun", "9"),
    ("zehn", "10"),
];

/// Comparisons that do not exist, with what there is.
const COMPARISONS: [(&str, &str); 12] = [
    ("contains", "texts are compared as a whole with `is`, and lists are asked with `has`"),
    ("includes", "lists are asked with `has`: `contact.tags has \"vip\"`"),
    ("like", "texts are compared as a whole, with `is`"),
    ("matches", "texts are compared as a whole, with `is`"),
    ("starts", "texts are compared as a whole, with `is`"),
    ("ends", "texts are compared as a whole, with `is`"),
    ("equals", "write `is`"),
    ("eq", "write `is`"),
    ("greater", "write `>`"),
    ("more", "write `>`"),
    ("less", "write `<`"),
    ("between", "write two comparisons: `x >= 100 and x <= 200`"),
];

/// Two whole or broken numbers at the beginning of a text, with whatever people write around and between them, and where that ends.
fn two_numbers(text: &str) -> Option<(&str, &str, usize)> {
    let number = |text: &str| {
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let whole = digits(text);
        let broken = text[whole..].strip_prefix('.').map_or(0, digits);
        if broken > 0 { whole + 1 + broken } else { whole }
    };
    let opened = text.strip_prefix("between ").or_else(|| text.strip_prefix(['(', '['])).unwrap_or(text);
    let low = &opened[..number(opened)];
    let (rest, between) = (&opened[low.len()..], [" to ", " and ", " bis ", "..", "-", "\u{2013}", " "]);
    let rest = between
        .iter()
        .find_map(|sign| rest.trim_start_matches(' ').strip_prefix(sign.trim_start()))?
        .trim_start();
    let high = &rest[..number(rest)];
    let rest = &rest[high.len()..];
    let end = text.len() - rest.strip_prefix([')', ']']).unwrap_or(rest).len();
    (!low.is_empty() && !high.is_empty()).then_some((low, high, end))
}

/// Words before a name that is given.
const NAMED: [&str; 9] = ["journey", "event", "segment", "stage", "split", "variant", "task", "team", "case"];

/// What a message can report, as one might forget the point before it.
const OUTCOMES: [&str; 9] =
    ["sent", "delivered", "opened", "clicked", "bounced", "complained", "replied", "failed", "happened"];

impl<'s> Reader<'s> {
    /// A habit at the place where a line cannot be read on.
    pub(super) fn custom(&self, gap: &Gap<'_>, here: Span) -> Option<Diagnostic> {
        self.number_word(gap)
            .or_else(|| self.limit(gap, here))
            .or_else(|| self.reason_last(gap, here))
            .or_else(|| self.superfluous(gap, here))
            .or_else(|| self.zone_name(gap, here))
            .or_else(|| self.hyphen(gap))
            .or_else(|| self.two_words(gap, here))
            .or_else(|| self.part_missing(gap, here))
            .or_else(|| self.comparison(gap, here))
            .or_else(|| self.range(gap))
            .or_else(|| self.share_in_words(gap))
            .or_else(|| self.time_without_event(gap, here))
            .or_else(|| self.other_word(gap, here))
    }

    /// `score: number 0 to 10`, `number(0..10)`, `decimal between 1 and 5`.
    fn range(&self, gap: &Gap<'_>) -> Option<Diagnostic> {
        let before = gap.text[..gap.at].trim_end();
        if !matches!(before.rsplit([' ', ':']).next()?, "number" | "decimal") {
            return None;
        }
        let (low, high, length) = two_numbers(&gap.text[gap.at..])?;
        let place = self.place(gap.start + before.len(), gap.start + gap.at + length);
        let range = format!("from {low} to {high}");
        Some(
            Diagnostic::new(Code::E0001, place, format!("a range is written `{range}`"))
                .label(format!("write `{range}`"))
                .fix(format!("write `{range}`"), place, format!(" {range}")),
        )
    }

    /// `variant a 50 percent`, `discount: 10 percent`.
    fn share_in_words(&self, gap: &Gap<'_>) -> Option<Diagnostic> {
        let before = gap.text[..gap.at].trim_end();
        let is_share = matches!(
            gap.found.to_lowercase().as_str(),
            "percent" | "percents" | "pct" | "per_cent" | "prozent" | "procent"
        );
        if !is_share || !before.ends_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let place = self.place(gap.start + before.len(), gap.start + gap.at + gap.found.len());
        let here = self.place(gap.start + gap.at, gap.start + gap.at + gap.found.len());
        Some(Diagnostic::new(Code::E0001, here, "a share is written with `%`").label("write `%`").fix(
            "write `%`",
            place,
            "%",
        ))
    }

    /// `resume marketing`, `pause marketing until exit`.
    pub(super) fn pause_of(&self, gap: &Gap<'_>, here: Span) -> Option<Diagnostic> {
        let before = gap.text[..gap.at].trim_end();
        if before == "resume" {
            return Some(
                Diagnostic::new(Code::E0007, self.rest(gap), "`resume` takes nothing behind it")
                    .label("left over")
                    .help(
                        "`resume` ends a handler and goes on where it interrupted; a pause ends by itself, \
                         after its `for` or `until`: `pause marketing for 14 days`",
                    ),
            );
        }
        if first_word(gap.text) == "pause" && gap.found == "exit" {
            return Some(
                Diagnostic::new(
                    Code::E0001,
                    here,
                    "a pause does not end with the journey: it holds for all journeys",
                )
                .label("not a moment")
                .help(
                    "say how long: `pause marketing for 14 days`, `pause marketing until 2027-01-01` \
                         or `pause marketing forever`",
                ),
            );
        }
        None
    }

    /// Words that are right elsewhere: `call x to TEAM`, `reenter once`, `enter daily`, `if order_placed within 30 days`.
    fn other_word(&self, gap: &Gap<'_>, here: Span) -> Option<Diagnostic> {
        let before = gap.text[..gap.at].trim_end();
        let write = |message: String, word: &str| {
            let title = format!("write `{word}`");
            Some(Diagnostic::new(Code::E0001, here, message).label(title.clone()).suggest(title, here, word))
        };
        let verb = first_word(gap.text);
        match (verb, gap.found) {
            ("call", "to") => write("a call is made `by` a team".to_owned(), "by"),
            ("assign", "by") => write("work is assigned `to` a team".to_owned(), "to"),
            ("reenter", "once") => write("whoever enters once does not enter again".to_owned(), "never"),
            ("enter", "daily") if before == "enter" => {
                write("what comes again begins with `every`".to_owned(), "every day")
            }
            ("enter", "month" | "monthly" | "year" | "yearly" | "week" | "weekly" | "hour" | "hourly") => {
                let help = match gap.found {
                    "year" | "yearly" => {
                        "for a date of each contact write `enter every anniversary of contact.ATTRIBUTE at 09:00 contact time`"
                    }
                    "week" | "weekly" => "name the day: `enter every monday at 09:00 contact time`",
                    _ => {
                        "write `enter cron \"0 9 1 * *\" contact time`: minute, hour, day of the month, month, day of the week"
                    }
                };
                Some(
                    Diagnostic::new(Code::E0001, here, format!("`{}` is no day", gap.found))
                        .label("not a day of the week")
                        .help(help),
                )
            }
            ("expect", "with") => Some(
                Diagnostic::new(
                    Code::E0007,
                    self.rest(gap),
                    "nothing goes along with this that a test could compare",
                )
                .label("left over")
                .help(format!(
                    "write `{before}`; values stand behind what is sent, called, assigned, asked, requested, \
                     recorded or started: `expect record EVENT with {{ … }}`"
                )),
            ),
            ("if", "within" | "since" | "ever") => {
                let event = before.rsplit(char::is_whitespace).next()?;
                let is_name = event.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                is_name.then(|| {
                    Diagnostic::new(Code::E0001, here, "the past of a contact is asked with `any(…)`")
                        .label("not part of a condition")
                        .help(format!("write `any({event} within 30 days)`, or `none({event} ever)`"))
                })
            }
            _ => None,
        }
    }

    /// `wait 3 days { on timeout { … } }`, `wait up to 3 days for x as y on timeout { … }`.
    fn time_without_event(&self, gap: &Gap<'_>, here: Span) -> Option<Diagnostic> {
        (first_word(gap.text) == "wait" && gap.found == "on" && gap.text[gap.at..].contains("timeout"))
            .then(|| timeout_outside(gap.text[..gap.at].trim_end(), here))
    }

    /// `wait ten days`, `until one day before …`.
    fn number_word(&self, gap: &Gap<'_>) -> Option<Diagnostic> {
        let before = gap.text[..gap.at].trim_end();
        let last = before.rsplit(char::is_whitespace).next()?;
        let digits = |word: &str| {
            NUMBERS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, digits)| *digits)
        };
        let (at, word) = match (digits(gap.found), digits(last)) {
            (Some(_), _) if gap.wanted.contains(&Expected::Thing("a number")) => (gap.at, gap.found),
            (_, Some(_)) if super::gap::is_unit(gap.found) => (before.len() - last.len(), last),
            _ => return None,
        };
        let place = self.place(gap.start + at, gap.start + at + word.len());
        let number = digits(word)?;
        Some(
            Diagnostic::new(Code::E0001, place, format!("numbers are written in digits: `{number}`"))
                .label(format!("write `{number}`"))
                .fix(format!("write `{number}`"), place, number),
        )
    }

    /// `wait max 7 days`, `wait for x for 7 days`, `enter if x`.
    fn limit(&self, gap: &Gap<'_>, here: Span) -> Option<Diagnostic> {
        let before = gap.text[..gap.at].trim_end();
        let write = |message: &str, word: &str| {
            let title = format!("write `{word}`");
            Some(Diagnostic::new(Code::E0001, here, message).label(title.clone()).fix(title, here, word))
        };
        match (before, gap.found) {
            ("wait" | "lasts" | "repeat", "max" | "maximum" | "maximal" | "most" | "within") => {
                write("the longest time stands after `up to`", "up to")
            }
            ("wait" | "lasts" | "repeat", "bis") => {
                let after = gap.text[gap.at..].trim_start_matches("bis").trim_start();
                let up = after.strip_prefix("zu ").unwrap_or(after);
                let is_length = up.starts_with(|c: char| c.is_ascii_digit())
                    && !up.split_whitespace().next().is_some_and(|first| first.contains([':', '-']));
                if !is_length && !after.starts_with("zu ") {
                    return None;
                }
                let length = gap.text[gap.at..].len() - up.len();
                let place = self.place(gap.start + gap.at, gap.start + gap.at + length);
                let here = self.place(gap.start + gap.at, gap.start + gap.at + length - 1);
                Some(
                    Diagnostic::new(Code::E0001, here, "the longest time stands after `up to`")
                        .label("did you mean `up to`?")
                        .suggest("write `up to`", place, "up to "),
                )
            }
            ("wait for", number) if number.starts_with(|c: char| c.is_ascii_digit()) => {
                let at = gap.start + "wait ".len();
                let (word, gone) = (self.place(at, at + 3), self.place(at, gap.start + gap.at));
                Some(
                    Diagnostic::new(Code::E0001, word, "a wait for time alone is written without `for`")
                        .label("leave it out")
                        .fix("leave it out", gone, ""),
                )
            }
            ("enter", "if") => write("a condition that lets people in stands after `when`", "when"),
            (_, "for") if before.starts_with("wait for ") => Some(
                Diagnostic::new(Code::E0007, self.rest(gap), "the limit of a wait comes first")
                    .label("left over")
                    .help(
                        format!(
                            "write `wait up to {} {before}`",
                            gap.text[gap.at + 3..].split(" as ").next()?.trim()
                        )
                        .replace(" wait for ", " for "),
                    ),
            ),
            _ => None,
        }
    }

    /// `exit on order_placed as bought`, `goal on order_placed`.
    fn reason_last(&self, gap: &Gap<'_>, here: Span) -> Option<Diagnostic> {
        let before = gap.text[..gap.at].trim_end();
        match (before, gap.found) {
            ("exit", "on" | "when" | "if") => Some(super::slips::reason_first(here)),
            ("goal on", _) => {
                let at = gap.start + "goal ".len();
                Some(
                    Diagnostic::new(
                        Code::E0001,
                        self.place(at, at + 2),
                        "a goal has a name, by which it is counted",
                    )
                    .label("no name before this")
                    .help("write `goal NAME on …`"),
                )
            }
            _ => None,
        }
    }

    /// `wait 3 days;`, `if x then {`, `send an email x`.
    fn superfluous(&self, gap: &Gap<'_>, here: Span) -> Option<Diagnostic> {
        let before = gap.text[..gap.at].trim_end();
        if gap.found == ";" || gap.found == "then" && first_word(gap.text) == "if" {
            let end = gap.start + gap.at + gap.found.len();
            let place = self.place(gap.start + before.len(), end);
            let message = match gap.found {
                ";" => "a line ends without `;`",
                _ => "the block stands directly after the condition, without `then`",
            };
            return Some(Diagnostic::new(Code::E0007, here, message).label("leave it out").fix(
                "leave it out",
                place,
                "",
            ));
        }
        let article = before.rsplit(' ').find(|word| matches!(*word, "a" | "an" | "the"))?;
        let at = article.as_ptr() as usize - gap.text.as_ptr() as usize;
        // What stands in quotes is nobody's grammar.
        if before[..at].matches('"').count() % 2 == 1 {
            return None;
        }
        // A name may be as short.
        let head = before[..at].split_whitespace().next_back().unwrap_or("");
        if head == "as" || NAMED.contains(&head) {
            return None;
        }
        let place = self.place(gap.start + at, gap.start + at + article.len());
        let gone = self.place(gap.start + at, gap.start + at + article.len() + 1);
        Some(
            Diagnostic::new(Code::E0001, place, format!("`{article}` means nothing here"))
                .label("leave it out")
                .suggest("leave it out", gone, ""),
        )
    }

    /// `at 09:00 Europe/Berlin`, `in Europe/Berlin`.
    fn zone_name(&self, gap: &Gap<'_>, here: Span) -> Option<Diagnostic> {
        let rest = &gap.text[gap.at..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '/' | '_' | '-' | '+'))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        if !name.contains('/') || Zone::named(name).is_none() {
            return None;
        }
        let place = here.to(self.place(gap.start + gap.at, gap.start + gap.at + end));
        let says_in = gap.text[..gap.at].trim_end().ends_with(" in");
        let written = if says_in { format!("\"{name}\"") } else { format!("in \"{name}\"") };
        let title = format!("write `{written}`");
        Some(
            Diagnostic::new(Code::E0001, place, "a time zone stands in quotes, after `in`")
                .label(title.clone())
                .fix(title, place, written),
        )
    }

    /// `miss-you`.
    fn hyphen(&self, gap: &Gap<'_>) -> Option<Diagnostic> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (before, after) = (&gap.text[..gap.at], gap.text[gap.at..].strip_prefix('-')?);
        let first = &before[before.rfind(|c| !is_part(c)).map_or(0, |at| at + 1)..];
        let second = &after[..after.find(|c| !is_part(c)).unwrap_or(after.len())];
        let begins = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic());
        if !begins(first) || second.is_empty() {
            return None;
        }
        let at = gap.start + gap.at;
        let place = self.place(at - first.len(), at + 1 + second.len());
        // `e-mail` is called `email`
        let joined = if first == "e" { format!("{first}{second}") } else { format!("{first}_{second}") };
        let title = format!("write `{joined}`");
        Some(
            Diagnostic::new(Code::E0001, place, format!("a name has no `-`: `{first}-{second}`"))
                .label(title.clone())
                .suggest(title, place, joined),
        )
    }

    /// A name of two words: `as miss you`, `journey win back`; or a result without its point: `first clicked`.
    fn two_words(&self, gap: &Gap<'_>, here: Span) -> Option<Diagnostic> {
        let before = gap.text[..gap.at].trim_end();
        let mut words = before.split_whitespace().rev();
        let (name, head) = (words.next()?, words.next()?);
        let is_name = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_alphabetic())
                && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !is_reserved(word)
        };
        let whole =
            self.place(gap.start + before.len() - name.len(), gap.start + gap.at + gap.found.len()).to(here);
        let write = |message: String, joined: String| {
            let title = format!("write `{joined}`");
            Some(
                Diagnostic::new(Code::E0001, whole, message)
                    .label(title.clone())
                    .suggest(title, whole, joined),
            )
        };
        if is_name(name) && matches!(head, "for" | "on" | "when" | "if") && OUTCOMES.contains(&gap.found) {
            return write("a result stands after a point".to_owned(), format!("{name}.{}", gap.found));
        }
        // `team sales hours …` has lost its braces
        let is_property =
            matches!(gap.found, "hours" | "script" | "outcomes" | "answers" | "sends" | "address");
        let names = (head == "as" || NAMED.contains(&head)) && !is_property;
        let is_word = gap.candidates().iter().any(|word| did_you_mean(gap.found, [*word]).is_some());
        if !names || !is_name(name) || !is_name(gap.found) || is_word {
            return None;
        }
        write(format!("a name is one word, not `{name} {}`", gap.found), format!("{name}_{}", gap.found))
    }

    /// `send miss_you as x`, `send email x { a: 1 }`, `with a: 1`, `journey "Win back" {`.
    pub(super) fn part_missing(&self, gap: &Gap<'_>, here: Span) -> Option<Diagnostic> {
        let before = gap.text[..gap.at].trim_end();
        let verb = first_word(gap.text);
        let after = gap.text[gap.at..].trim_start();
        let words: Vec<&str> = before.split_whitespace().collect();
        let is_channel =
            words.get(1).is_some_and(|word| matches!(*word, "email" | "sms" | "letter" | "mail" | "phone"));
        if let (["send", template], true) = (
            words.as_slice(),
            !is_channel && matches!(gap.found, "" | "as" | "with" | "to" | "for" | "before"),
        ) {
            let at = gap.start + before.len();
            return Some(
                Diagnostic::new(Code::E0001, self.place(at - template.len(), at), "by which channel?")
                    .label(format!("write `send email {template}`, say")),
            );
        }
        if let (["expect", "send", template], true) =
            (words.as_slice(), matches!(gap.found, "" | "at" | "with" | "to"))
        {
            let at = gap.start + before.len();
            return Some(
                Diagnostic::new(Code::E0001, self.place(at - template.len(), at), "by which channel?")
                    .label(format!("write `expect send email {template}`, say")),
            );
        }
        if gap.found == "{"
            && matches!(verb, "send" | "record" | "request" | "start" | "run" | "call" | "assign")
        {
            return Some(
                Diagnostic::new(Code::E0001, here, "values stand after `with`")
                    .label("`with` is missing before this")
                    .fix("add `with`", here.shrink_to_start(), "with "),
            );
        }
        if before.ends_with(" with") && after[gap.found.len()..].trim_start().starts_with(':') {
            return Some(
                Diagnostic::new(Code::E0001, self.rest(gap), "values stand in braces")
                    .label(format!("write `{{ {}: … }}`", gap.found)),
            );
        }
        if verb == "journey" && before == "journey" && gap.found.starts_with('"') {
            let name: String = (gap.found.trim_matches('"').to_lowercase().chars())
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
                .collect();
            return Some(
                Diagnostic::new(Code::E0001, here, "a journey has a name before its title")
                    .label(format!("write `{name} {}`, say", gap.found)),
            );
        }
        if verb == "enter" && before.starts_with("enter on contact.") {
            let path = words.get(2)?;
            let finding = Diagnostic::new(
                Code::E0001,
                here,
                format!("`{path}` is no event, and `enter on` waits for one"),
            );
            return Some(finding.help(format!(
                "for a date, `enter every anniversary of {path} at 09:00 contact time`; \
                 for a new value, `enter on change of {path} as change`"
            )));
        }
        None
    }

    /// `title contains "x"`, `points between 1 and 2`, `sku in "a", "b"`.
    fn comparison(&self, gap: &Gap<'_>, here: Span) -> Option<Diagnostic> {
        let before = gap.text[..gap.at].trim_end();
        if gap.found == ","
            && before
                .rsplit(" in ")
                .next()
                .is_some_and(|last| last.len() < before.len() && last.starts_with('"'))
        {
            return Some(
                Diagnostic::new(Code::E0001, here, "several values stand in brackets")
                    .label("a second value begins here")
                    .help("write `in [\"…\", \"…\"]`"),
            );
        }
        let is_open = gap.wanted.contains(&Expected::Operator);
        let last = before.rsplit(char::is_whitespace).next()?;
        let word = if last == "like" { last } else { gap.found };
        let (_, help) = COMPARISONS.iter().find(|(name, _)| *name == word)?;
        (is_open || word == last).then(|| {
            Diagnostic::new(Code::E0001, here, format!("there is no comparison `{word}`")).help(*help)
        })
    }
}

/// `on timeout` behind a wait that has no list of events.
pub(super) fn timeout_outside(wait: &str, here: Span) -> Diagnostic {
    let finding = Diagnostic::new(
        Code::E0007,
        here,
        "`on timeout` stands in the braces of a wait, below its `when` lines",
    )
    .label("left over");
    let rest = wait.strip_prefix("wait up to ").unwrap_or("");
    match rest.split_once(" for ") {
        Some((limit, event)) => {
            let (event, name) = event.split_once(" as ").unwrap_or((event, "NAME"));
            let name = name.split_whitespace().next().unwrap_or("NAME");
            finding.help(format!(
                "write `wait up to {limit} {{ when {event} {{ … }} on timeout {{ … }} }}`, \
                 or ask below the wait: `if {name}.missed {{ … }}`"
            ))
        }
        None => finding.help(
            "a wait for time alone just goes on with the next line; \
             to wait for an event: `wait up to 3 days { when EVENT { … } on timeout { … } }`",
        ),
    }
}
