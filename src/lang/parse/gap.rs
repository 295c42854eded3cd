//! What was expected where a line could not be read on, and which word was meant.

use super::Reader;
use super::excerpt::{first_word, tail_of, token};
use super::recover::CLAUSES;
use super::slips::better_name;
use super::words::{Expected, Place, expected, form};
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use fahrplan_grammar::Rule;
use pest::error::{ErrorVariant, InputLocation};

const TITLE: &str = "a text in `\"`";

const UNITS: [&str; 9] =
    ["seconds", "minutes", "hours", "days", "working days", "weeks", "months", "years", "day"];

/// How units of time are written elsewhere.
const FOREIGN_UNITS: [(&str, &[&str]); 8] = [
    ("seconds", &["s", "sec", "secs", "sekunde", "sekunden"]),
    ("minutes", &["min", "mins", "minuten"]),
    ("hours", &["h", "hr", "hrs", "std", "stunde", "stunden"]),
    ("days", &["d", "tag", "tage", "tagen"]),
    (
        "working days",
        &["werktag", "werktage", "werktagen", "arbeitstag", "arbeitstage", "arbeitstagen", "workdays"],
    ),
    ("weeks", &["w", "wk", "wks", "woche", "wochen"]),
    ("months", &["mo", "mth", "mths", "monat", "monate", "monaten"]),
    ("years", &["y", "yr", "yrs", "jahr", "jahre", "jahren"]),
];

/// What follows an unreadable piece of text.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Ends {
    Line,
    Block,
    /// It is a pair, a field or a property between braces.
    Pair,
}

/// A place in a line at which the grammar could not go on.
pub(super) struct Gap<'a> {
    /// Where the line begins in the clean text.
    pub(super) start: usize,
    pub(super) text: &'a str,
    /// Where in the line.
    pub(super) at: usize,
    pub(super) found: &'a str,
    pub(super) wanted: Vec<Expected>,
}

impl<'s> Reader<'s> {
    /// Turns the grammar's answer about one line into a finding.
    pub(super) fn explain(
        &mut self,
        start: usize,
        text: &str,
        error: &pest::error::Error<Rule>,
        place: Place,
        ends: Ends,
    ) {
        let at = match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
        };
        let ErrorVariant::ParsingError { positives, .. } = &error.variant else { return };
        let mut wanted: Vec<Expected> = Vec::new();
        for one in positives.iter().map(|r| expected(*r)).filter(|e| *e != Expected::Nothing) {
            if !wanted.contains(&one) {
                wanted.push(one);
            }
        }
        // what is a line's end for the grammar is a block's beginning for the author
        if ends == Ends::Block && has_block(first_word(text)) {
            let end = wanted.iter().position(|e| *e == Expected::End);
            if let Some(end) = end {
                wanted.remove(end);
                if !wanted.contains(&Expected::Word("{")) {
                    wanted.push(Expected::Word("{"));
                }
            }
        }
        let at = at + (text[at..].len() - text[at..].trim_start().len());
        let found = token(&text[at..]);
        let gap = Gap { start, text, at, found, wanted };
        // a reserved name was told where it was given; here it is only used
        let root = found.split('.').next().unwrap_or(found);
        if gap.wants_name() && self.renamed.iter().any(|name| name == root) {
            return;
        }
        let finding = self.gap(&gap);
        // where the way out is said already, an example would only distract; a pair is no statement, whatever it is called
        if ends == Ends::Pair || finding.fix.is_some() || finding.primary.text.starts_with("did you mean") {
            self.tell(finding);
            return;
        }
        let form = super::words::test_form(text).or_else(|| super::words::longer_form(text));
        let finding = match form {
            Some(form) if finding.help.is_none() => finding.help(format!("it looks like this: `{form}`")),
            _ => finding,
        };
        self.tell(with_form(finding, first_word(text), place));
    }

    fn gap(&mut self, gap: &Gap<'_>) -> Diagnostic {
        let Gap { start, text, at, found, .. } = *gap;
        let before = text[..at].trim_end();
        if found.is_empty() {
            let end = start + before.len();
            let here = self.place(end, end);
            if let Some(finding) = self.part_missing(gap, here) {
                return finding;
            }
            let message = format!("expected {} after `{}`", gap.list(), tail_of(before));
            return Diagnostic::new(Code::E0001, here, message).label("missing here");
        }
        let here = self.place(start + at, start + at + found.len());
        if found.starts_with('"') && !(found.len() > 1 && found.ends_with('"')) {
            return Diagnostic::new(Code::E0001, here, "this text is not closed")
                .label("it ends with `\"` on the same line");
        }
        if found.starts_with(['“', '”', '„', '‘', '’']) {
            return Diagnostic::new(
                Code::E0003,
                here,
                format!("`{found}` is a typographic quote without a partner"),
            )
            .label("a text stands between `\"` and `\"`");
        }
        if let Some(finding) = self.pause_of(gap, here).or_else(|| self.part_missing(gap, here)) {
            return finding;
        }
        if gap.wants_name() && super::words::is_reserved(found) && !CLAUSES.contains(&found) {
            let better = better_name(found, text);
            self.renamed.push(found.to_owned());
            return Diagnostic::new(Code::E0008, here, format!("`{found}` is a word of the language"))
                .label(format!("expected {}", gap.list()))
                .help(format!("call it `{better}`, say"))
                .suggest(format!("call it `{better}`"), here, better);
        }
        if let Some(finding) = self.custom(gap, here).or_else(|| self.habit(gap, here)) {
            return finding;
        }
        if gap.wants_name()
            && found.starts_with(|c: char| c.is_ascii_digit())
            && found.contains(char::is_alphabetic)
        {
            return Diagnostic::new(Code::E0001, here, format!("`{found}` is not a name"))
                .label("a name begins with a letter");
        }
        let left_over = gap.wanted.contains(&Expected::End);
        let mut finding = if left_over {
            Diagnostic::new(
                Code::E0007,
                self.rest(gap),
                format!("`{found}` is left over after `{}`", tail_of(before)),
            )
        } else {
            Diagnostic::new(
                Code::E0001,
                here,
                format!("expected {}{}, found `{found}`", gap.list(), after(before)),
            )
        };
        let wants_unit = gap.wanted.contains(&Expected::Thing("a unit of time"));
        if let Some(units) = several_units(found).filter(|_| wants_unit) {
            finding.primary.span = here;
            return finding.label(format!("did you mean {units}?"));
        }
        let unit = gap.wanted.contains(&Expected::Thing("a unit of time")).then(|| unit_of(found)).flatten();
        // what is a word of the language is not misspelt
        let near = || did_you_mean(found, gap.candidates()).filter(|_| !super::words::is_reserved(found));
        if let Some(meant) = unit.or_else(|| gap.in_german()).or_else(near) {
            finding.primary.span = here;
            finding = finding.label(format!("did you mean `{meant}`?"));
            let title = format!("write `{meant}`");
            // `14d` needs a blank as well
            let glued = text[..at].ends_with(|c: char| c.is_ascii_digit());
            let written = if glued { format!(" {meant}") } else { meant.to_owned() };
            return match unit {
                Some(_) => finding.fix(title, here, written),
                None => finding.suggest(title, here, written),
            };
        }
        if left_over {
            return finding.label("left over");
        }
        match gap.only_word() {
            Some(word) if word.starts_with(char::is_alphabetic) => finding
                .label(format!("`{word}` is missing before this"))
                .fix(format!("add `{word}`"), here.shrink_to_start(), format!("{word} ")),
            Some(sign @ (":" | "=")) => {
                let place = self.place(start + before.len(), start + before.len());
                let written = if sign == ":" { ":" } else { " =" };
                finding.label(format!("`{sign}` is missing before this")).fix(
                    format!("add `{sign}`"),
                    place,
                    written,
                )
            }
            _ => finding,
        }
    }

    /// The place from a gap to the end of its first line.
    pub(super) fn rest(&self, gap: &Gap<'_>) -> Span {
        let rest = &gap.text[gap.at..];
        let line = rest.lines().next().unwrap_or(rest).trim_end();
        self.place(gap.start + gap.at, gap.start + gap.at + line.len())
    }

    /// Slips that have one obvious reading.
    fn habit(&self, gap: &Gap<'_>, here: Span) -> Option<Diagnostic> {
        let Gap { start, text, at, found, .. } = *gap;
        let before = text[..at].trim_end();
        let verb = first_word(text);
        let wants = |word: &str| gap.wanted.contains(&Expected::Word(leaked(word)));
        let replace = |message: String, with: &str| {
            Some(Diagnostic::new(Code::E0001, here, message).label(format!("write `{with}`")).fix(
                format!("write `{with}`"),
                here,
                with,
            ))
        };
        let suggest = |message: String, with: &str| {
            let title = format!("write `{with}`");
            Some(Diagnostic::new(Code::E0001, here, message).label(title.clone()).suggest(title, here, with))
        };
        let insert = |message: String, offset: usize, word: &str| {
            let place = self.place(start + offset, start + offset);
            Some(
                Diagnostic::new(Code::E0001, here, message)
                    .label(format!("`{word}` is missing before this"))
                    .fix(format!("add `{word}`"), place, format!("{word} ")),
            )
        };
        if wants("=") && matches!(found, "to" | "is" | ":" | ":=" | "==") {
            return replace(format!("expected `=` after `{}`, found `{found}`", tail_of(before)), "=");
        }
        if wants(":") && matches!(found, "=" | "is") {
            return replace(format!("expected `:` after `{}`, found `{found}`", tail_of(before)), ":");
        }
        if wants("up") && found == "upto" {
            return replace("`up to` is two words".to_owned(), "up to");
        }
        if wants("up")
            && found.starts_with(|c: char| c.is_ascii_digit())
            && !gap.wanted.contains(&Expected::End)
        {
            return insert(format!("expected `up to` after `{}`", tail_of(before)), at, "up to");
        }
        if verb == "wait" && matches!(found, "for" | "until") && gap.wanted.contains(&Expected::End) {
            let length = text[verb.len()..].trim_start();
            let offset = text.len() - length.len();
            return length.starts_with(|c: char| c.is_ascii_digit()).then(|| {
                insert(format!("`{found}` needs a limit before it: `wait up to …`"), offset, "up to")
            })?;
        }
        if verb == "wait" && matches!(found, "before" | "after") && gap.wanted.contains(&Expected::End) {
            let offset = text.len() - text[verb.len()..].trim_start().len();
            let length = text[offset..at].trim_end();
            let begin = self.place(start + offset, start + offset);
            return Some(
                Diagnostic::new(
                    Code::E0001,
                    self.place(start + offset, start + at + found.len()),
                    format!("`{length} {found} …` is a moment, and one waits until it"),
                )
                .label(format!("write `wait until {length} {found} …`"))
                .fix("add `until`", begin, "until "),
            );
        }
        if verb == "exit"
            && before == "exit"
            && !matches!(found, "on" | "when" | "if")
            && wants("as")
            && found.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            return insert("the reason of an exit stands after `as`".to_owned(), at, "as");
        }
        let bare = found.trim_matches('"');
        let is_word =
            !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        let wants_thing = |part: &str| gap.things().iter().any(|t| t.contains(part));
        if (wants_thing("name") || wants_thing("a purpose"))
            && !wants_thing("a text")
            && found.starts_with('"')
            && is_word
        {
            return replace("a name stands without quotes".to_owned(), bare);
        }
        if gap.things() == [TITLE] && is_word && bare == found && gap.words().is_empty() {
            return suggest("a text stands in quotes".to_owned(), &format!("\"{found}\""));
        }
        let is_number = found.chars().all(|c| c.is_ascii_digit());
        if wants_thing("a share") && is_number {
            return replace(format!("`{found}` is not a share"), &format!("{found}%"));
        }
        if wants_thing("a clock time") && is_number && found.len() <= 2 {
            return replace(format!("`{found}` is not a clock time"), &format!("{found:0>2}:00"));
        }
        if (before.ends_with("has any") || before.ends_with("has all")) && found.starts_with('[') {
            return insert(format!("expected `of` after `{}`", tail_of(before)), at, "of");
        }
        if verb == "when"
            && matches!(found, "is" | "has" | "in" | "not" | "<" | ">" | "<=" | ">=" | "=" | "==")
        {
            let condition = text[verb.len()..].trim_start();
            let end = start + text.len();
            let begin = end - condition.len();
            return Some(
                Diagnostic::new(Code::E0001, here, "a condition after `when` stands in brackets")
                    .label(format!("write `when ({condition})`"))
                    .fix("add the brackets", self.place(begin, begin), "(")
                    .fix("", self.place(end, end), ")"),
            );
        }
        self.misspelt_before(gap)
    }

    /// In tests the word before may have been read as the name of a person: `expects send …`.
    fn misspelt_before(&self, gap: &Gap<'_>) -> Option<Diagnostic> {
        let before = gap.text[..gap.at].trim_end();
        let word = &before[before.rfind(char::is_whitespace).map_or(0, |at| at + 1)..];
        let words: &[&'static str] = match first_word(gap.text) {
            "given" => &["contact", "event", "consent", "variant", "seed", "request", "pool", "loose"],
            "at" => {
                &["event", "set", "call", "assign", "ask", "start", "grant", "withdraw", "given", "expect"]
            }
            _ => return None,
        };
        if words.contains(&word) || word == first_word(gap.text) {
            return None;
        }
        let meant = did_you_mean(word, words.iter().copied())?;
        let end = gap.start + before.len();
        let place = self.place(end - word.len(), end);
        Some(
            Diagnostic::new(Code::E0001, place, format!("`{word}` means nothing here"))
                .label(format!("did you mean `{meant}`?"))
                .suggest(format!("write `{meant}`"), place, meant),
        )
    }
}

impl Gap<'_> {
    /// Words that could stand here and are worth telling.
    pub(super) fn words(&self) -> Vec<&'static str> {
        let words: Vec<&'static str> = self
            .wanted
            .iter()
            .filter_map(|e| if let Expected::Word(word) = e { Some(*word) } else { None })
            .collect();
        // a bracket that is open is what one sees missing
        if let Some(close) = words.iter().find(|w| matches!(**w, ")" | "]")) {
            return vec![close];
        }
        let optional = |w: &str| matches!(w, "and" | "else" | "contact" | "project" | "in");
        let only_optional = words.iter().all(|w| optional(w)) && self.things().is_empty();
        let worth = |w: &&'static str| only_optional || !optional(w);
        words.iter().copied().filter(worth).collect()
    }

    fn things(&self) -> Vec<&'static str> {
        let mut things: Vec<&'static str> = Vec::new();
        for one in &self.wanted {
            match one {
                Expected::Thing(thing) => things.push(thing),
                Expected::Value => things.push("a value"),
                _ => {}
            }
        }
        if things.contains(&"a moment") {
            return vec!["a moment"];
        }
        if self.wanted.iter().any(|e| matches!(e, Expected::Word(")" | "]"))) {
            return Vec::new();
        }
        if things.contains(&"a value") {
            return vec!["a value"];
        }
        // a title may stand almost everywhere
        let must = self.wanted.iter().any(|e| matches!(e, Expected::Word("=" | "{" | "for")));
        things.retain(|t| !must || *t != TITLE);
        things
    }

    /// What was expected, in words.
    pub(super) fn list(&self) -> String {
        let mut all: Vec<String> = self.things().into_iter().map(str::to_owned).collect();
        let words: Vec<String> = self.words().into_iter().map(shown).collect();
        let open = all.iter().any(|thing| thing == "a value" || thing == "a moment");
        if all.is_empty() || all.len() + words.len() <= if open { 3 } else { 5 } {
            all.extend(words);
        }
        if self.wanted.contains(&Expected::Operator)
            && all.len() <= 1
            && !all.iter().any(|w| w.contains([')', ']']))
        {
            all.insert(0, "an operator such as `is`".to_owned());
        }
        all.truncate(6);
        match all.as_slice() {
            [] => "something else".to_owned(),
            [one] => one.clone(),
            [most @ .., last] => format!("{} or {last}", most.join(", ")),
        }
    }

    /// The one word that may stand here.
    fn only_word(&self) -> Option<&'static str> {
        let words = self.words();
        let alone = self.things().is_empty()
            && !self.wanted.iter().any(|e| matches!(e, Expected::End | Expected::Value));
        if alone && words.len() == 1 { words.first().copied() } else { None }
    }

    fn wants_name(&self) -> bool {
        self.things().iter().any(|t| t.contains("name") || *t == "a value" || *t == "a moment")
    }

    /// The word that may stand here and is written in German.
    fn in_german(&self) -> Option<&'static str> {
        let candidates = self.candidates();
        let takes = |ours: &str| {
            let first = first_word(ours);
            let word = self.wanted.iter().any(|one| matches!(one, Expected::Word(word) if *word == first));
            word || candidates.iter().any(|one| first_word(one) == first)
        };
        super::german::meant(self.found).iter().copied().find(|ours| takes(ours))
    }

    /// Words that a misspelt one may have been.
    pub(super) fn candidates(&self) -> Vec<&'static str> {
        let mut words = self.words();
        for one in &self.wanted {
            match one {
                Expected::Thing("a unit of time") => words.extend(UNITS),
                Expected::Thing("a day of the week" | "a moment") => words.extend([
                    "monday",
                    "tuesday",
                    "wednesday",
                    "thursday",
                    "friday",
                    "saturday",
                    "sunday",
                    "weekday",
                    "weekend",
                ]),
                Expected::Operator => {
                    words.extend(["is", "is not", "and", "or", "has", "otherwise", "not in"])
                }
                _ => {}
            }
        }
        words.retain(|w| w.starts_with(char::is_alphabetic));
        words
    }
}

/// Whether it is the name of a unit of time.
pub(super) fn is_unit(word: &str) -> bool {
    UNITS.iter().any(|unit| *unit == word || unit.trim_end_matches('s') == word)
}

/// The unit that an abbreviation or a German word means.
fn unit_of(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    FOREIGN_UNITS.iter().find(|(_, others)| others.contains(&word.as_str())).map(|(ours, _)| *ours)
}

/// What a word may mean that means several units.
fn several_units(word: &str) -> Option<&'static str> {
    Some(match word.to_lowercase().as_str() {
        "m" => "`minutes` or `months`",
        "business" | "weekdays" | "workday" | "weekday" => "`working days`",
        _ => return None,
    })
}

/// Whether a line with `exit` says when, and is thus a rule of the journey.
pub(super) fn is_exit_rule(text: &str) -> bool {
    first_word(text) == "exit" && text.split_whitespace().any(|word| word == "on" || word == "when")
}

pub(super) fn after(before: &str) -> String {
    if before.is_empty() { String::new() } else { format!(" after `{}`", tail_of(before)) }
}

pub(super) fn shown(word: &str) -> String {
    if word == "up" { "`up to …`".to_owned() } else { format!("`{word}`") }
}

/// The same word as in the tables, for comparing.
fn leaked(word: &str) -> &'static str {
    match word {
        "=" => "=",
        ":" => ":",
        "up" => "up",
        _ => "as",
    }
}

pub(super) fn with_form(finding: Diagnostic, head: &str, place: Place) -> Diagnostic {
    match form(head, place) {
        Some(form) if finding.help.is_none() => finding.help(format!("it looks like this: `{form}`")),
        _ => finding,
    }
}

/// Whether a line with this verb ends in a block, so that more was expected where it could otherwise end.
pub(super) fn has_block(head: &str) -> bool {
    matches!(
        head,
        "if" | "else"
            | "switch"
            | "case"
            | "split"
            | "variant"
            | "repeat"
            | "when"
            | "on"
            | "stage"
            | "migrate"
    ) || super::words::ITEMS.contains(&head)
}
