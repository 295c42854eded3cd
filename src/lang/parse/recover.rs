//! What is said about text that could not be read.
//!
//! An unreadable piece is read once more, alone, with an entry of the grammar for one line. That fails at the place of the
//! mistake and tells which rules were tried there; `words` gives their names.

use fahrplan_grammar::{JourneyParser, Rule};
use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};

use super::steps::{Line, is_stmt};
use super::words::{Expected, Place, expected, form};
use super::{P, Reader, bounds, part, parts};
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use crate::lang::ast::{ExprKind, Field, Item, ItemKind, Name, Type, TypeKind};

const TITLE: &str = "a text in `\"`";

const UNITS: [&str; 9] =
    ["seconds", "minutes", "hours", "days", "working days", "weeks", "months", "years", "day"];

/// How units of time are written elsewhere.
const FOREIGN_UNITS: [(&str, &[&str]); 8] = [
    ("seconds", &["s", "sec", "secs", "sekunde", "sekunden"]),
    ("minutes", &["m", "min", "mins", "minuten"]),
    ("hours", &["h", "hr", "hrs", "std", "stunde", "stunden"]),
    ("days", &["d", "tag", "tage", "tagen"]),
    ("working days", &["werktag", "werktage", "werktagen", "workdays", "weekdays", "business"]),
    ("weeks", &["w", "wk", "wks", "woche", "wochen"]),
    ("months", &["mo", "mth", "monat", "monate", "monaten"]),
    ("years", &["y", "yr", "yrs", "jahr", "jahre", "jahren"]),
];

/// Words with which a line goes on with the statement above it.
const CLAUSES: [&str; 27] = [
    "with",
    "where",
    "as",
    "same",
    "before",
    "by",
    "to",
    "up",
    "until",
    "otherwise",
    "since",
    "within",
    "then",
    "per",
    "from",
    "has",
    "in",
    "is",
    "and",
    "or",
    "not",
    "because",
    "including",
    "for",
    "after",
    "between",
    "ever",
];

/// Words that other languages begin such a line with.
const BORROWED: [(&str, &str); 22] = [
    ("goto", "go to"),
    ("elif", "else if"),
    ("elseif", "else if"),
    ("elsif", "else if"),
    ("unless", "if not"),
    ("email", "send email"),
    ("mail", "send email"),
    ("sms", "send sms"),
    ("sleep", "wait"),
    ("delay", "wait"),
    ("stop", "exit as"),
    ("end", "exit as"),
    ("quit", "exit as"),
    ("return", "exit as"),
    ("loop", "repeat up to"),
    ("while", "repeat up to"),
    ("var", "let"),
    ("const", "let"),
    ("trigger", "enter on"),
    ("otherwise", "else"),
    ("default", "else"),
    ("assert", "expect"),
];

impl<'s> Reader<'s> {
    // ------------------------------------------------------------ lines

    /// Tells what is wrong with a line that no rule reads.
    pub(super) fn unreadable(&mut self, p: &P<'s>, place: Place) {
        let (start, end) = bounds(p);
        let cut = self.head_end(p, end);
        let text = self.text()[start..cut].trim_end();
        self.lost.push(self.place(start, end));
        if text.is_empty() {
            let brace = self.place(start, start + 1);
            self.tell(
                Diagnostic::new(Code::E0001, brace, "a block stands behind the statement it belongs to")
                    .label("nothing stands before it"),
            );
            return;
        }
        if let Some(finding) = self.wrong_head(start, text, place) {
            self.tell(finding);
            return;
        }
        let entry = if place == Place::File { Rule::one_item } else { Rule::one_line };
        let ends = if cut < end { Ends::Block } else { Ends::Line };
        match JourneyParser::parse(entry, text) {
            Err(error) => self.explain(start, text, &error, place, ends),
            Ok(pairs) => {
                let read = pairs.flat_map(|p| p.into_inner()).next().map(|p| p.as_rule());
                self.readable_elsewhere(start, text, read, place, cut < end);
            }
        }
    }

    /// A line may be unreadable because of its first word alone.
    fn wrong_head(&mut self, start: usize, text: &str, place: Place) -> Option<Diagnostic> {
        let head = first_word(text);
        let here = self.place(start, start + head.len().max(first_char(text)));
        if head.is_empty() {
            let sign = &text[..first_char(text)];
            let finding = match sign {
                "\"" => Diagnostic::new(Code::E0001, here, "a line does not begin with a text"),
                _ => Diagnostic::new(Code::E0001, here, format!("a line does not begin with `{sign}`")),
            };
            return Some(finding.help(format!("a line here begins with {}", some_of(place))));
        }
        if text.starts_with("for ") && text[4..].trim_start().starts_with("each") {
            return Some(self.later_finding(start, text, "`for each`"));
        }
        if assigns(head, text[head.len()..].trim_start()).is_some() && place.has("set") {
            return Some(self.unknown_head(start, text, head, place));
        }
        if head == "on" && place == Place::Race {
            return self.no_timeout(start, text);
        }
        if Place::of(head).is_none() {
            if CLAUSES.contains(&head) {
                let finding = Diagnostic::new(
                    Code::E0007,
                    here,
                    format!("`{head}` goes on with a statement, but none stands before it"),
                );
                return Some(finding.label("left over"));
            }
            return Some(self.unknown_head(start, text, head, place));
        }
        if place.has(head) || place == Place::Unknown {
            return None;
        }
        if head == "else" {
            return Some(
                Diagnostic::new(Code::E0001, here, "this `else` has no `if` directly before it")
                    .help("`else` follows the closing brace of `if … { }`, `request` or `take`"),
            );
        }
        let belongs = Place::of(head).unwrap_or(place);
        Some(
            Diagnostic::new(Code::E0001, here, format!("`{head}` cannot stand here"))
                .label(format!("it belongs {}", belongs.words()))
                .help(format!("a line here begins with {}", some_of(place))),
        )
    }

    /// `on` in a wait is followed by `timeout` only.
    fn no_timeout(&self, start: usize, text: &str) -> Option<Diagnostic> {
        let word = first_word(text["on".len()..].trim_start());
        if word == "timeout" {
            return None;
        }
        let at = start + text.find(word).filter(|_| !word.is_empty()).unwrap_or(text.len());
        let here = self.place(at, at + word.len());
        let finding = Diagnostic::new(Code::E0001, here, "`on` in a wait is followed by `timeout`");
        Some(match did_you_mean(word, ["timeout"]) {
            Some(_) => finding.label("did you mean `timeout`?").fix("write `timeout`", here, "timeout"),
            None => finding
                .help("what happens with an event begins with `when`; handlers stand directly in a journey"),
        })
    }

    fn unknown_head(&self, start: usize, text: &str, head: &str, place: Place) -> Diagnostic {
        let here = self.place(start, start + head.len());
        let finding = Diagnostic::new(Code::E0006, here, format!("`{head}` does not begin {}", place.line()));
        let rest = text[head.len()..].trim_start();
        if let Some(verb) = assigns(head, rest).filter(|_| place.has("set")) {
            return finding.label(format!("write `{verb} {head}…`")).fix(
                format!("write `{verb}`"),
                here.shrink_to_start(),
                format!("{verb} "),
            );
        }
        let heads = place.heads();
        let borrowed = BORROWED.iter().find(|(word, _)| *word == head).map(|(_, ours)| *ours);
        let borrowed = borrowed.filter(|ours| place.has(first_word(ours)) || place == Place::Unknown);
        let meant = borrowed.or_else(|| did_you_mean(head, heads.iter().copied()));
        let meant =
            meant.or_else(|| did_you_mean(head, Place::Unknown.heads()).filter(|_| place == Place::File));
        match meant {
            Some(meant) => {
                // `strat journey x` has its second word already
                let word = match meant.split_once(' ') {
                    Some((first, second)) if first_word(rest) == second => first,
                    _ => meant,
                };
                finding.label(format!("did you mean `{meant}`?")).fix(format!("write `{word}`"), here, word)
            }
            None => match did_you_mean(head, CLAUSES) {
                Some(clause) if place != Place::File => finding
                    .label(format!("did you mean `{clause}`, going on with the line above?"))
                    .fix(format!("write `{clause}`"), here, clause),
                _ => finding.help(format!("a line here begins with {}", some_of(place))),
            },
        }
    }

    /// The line is fine by itself, but not here or not like this.
    fn readable_elsewhere(
        &mut self,
        start: usize,
        text: &str,
        read: Option<Rule>,
        place: Place,
        has_block: bool,
    ) {
        let head = first_word(text).to_owned();
        let whole = self.place(start, start + text.len());
        let belongs = match read {
            Some(Rule::exit_rule) if place != Place::Journey => Some(Place::Journey),
            Some(Rule::consent) if place != Place::Policy => Some(Place::Policy),
            Some(Rule::at_line | Rule::given | Rule::expect) if place != Place::Test => Some(Place::Test),
            _ => None,
        };
        if let Some(belongs) = belongs.filter(|_| place != Place::Unknown) {
            self.tell(
                Diagnostic::new(Code::E0001, whole, format!("`{head} …` of this form cannot stand here"))
                    .label(format!("it belongs {}", belongs.words())),
            );
            return;
        }
        if head == "wait" && !has_block {
            let finding = Diagnostic::new(
                Code::E0001,
                whole.shrink_to_end(),
                format!("expected `for`, `until` or `{{` after `{}`", tail_of(text)),
            );
            self.tell(with_form(finding.label("for what?"), &head, place));
            return;
        }
        let finding = if has_block {
            Diagnostic::new(Code::E0001, whole, format!("`{head}` takes no block"))
                .label("the braces behind this are left over")
        } else {
            self.brace_missing = true;
            Diagnostic::new(
                Code::E0001,
                whole.shrink_to_end(),
                format!("expected `{{` after `{}`", tail_of(text)),
            )
            .label("the block is missing")
        };
        self.tell(with_form(finding, &head, place));
    }

    /// Tells that text is left over after a statement, or what was expected instead of it.
    pub(super) fn left_over(&mut self, p: &P<'s>, tail: &P<'s>, place: Place) {
        let (start, tail_start, end) = (bounds(p).0, bounds(tail).0, bounds(tail).1);
        self.lost.push(self.place(start, end));
        let cut = self.head_end(tail, end);
        let text = self.text()[start..cut].trim_end();
        let closes_brace = p
            .clone()
            .into_inner()
            .flatten()
            .any(|c| matches!(c.as_rule(), Rule::block | Rule::fields | Rule::props))
            || !is_line(p.as_rule());
        let next = first_word(&self.text()[tail_start..]);
        if place.has(next) && next != "else" && is_line(p.as_rule()) {
            let here = self.place(tail_start, tail_start + next.len());
            let gap = self.text()[..tail_start].trim_end().len();
            self.tell(
                Diagnostic::new(Code::E0007, here, format!("`{next}` begins a line of its own"))
                    .label("left over on this line")
                    .fix("begin a new line", self.place(gap, tail_start), "\n"),
            );
            return;
        }
        if cut <= tail_start || closes_brace {
            let text_after = self.text()[tail_start..cut.max(tail_start)].trim_end();
            if let Some(finding) = self.after_block(tail_start, text_after, cut < end) {
                self.tell(finding);
                return;
            }
            let first = &self.text()[tail_start..];
            let length = first.lines().next().map_or(0, |l| l.trim_end().len()).min(end - tail_start);
            let here = self.place(tail_start, tail_start + length.max(first_char(first)));
            let finding = match cut <= tail_start {
                true => Diagnostic::new(
                    Code::E0007,
                    self.place(tail_start, tail_start + 1),
                    format!("`{}` takes no block", first_word(text)),
                ),
                false => Diagnostic::new(Code::E0007, here, "text is left over after this"),
            };
            self.tell(finding.label("left over"));
            return;
        }
        match JourneyParser::parse(Rule::one_line, text) {
            Err(error) => self.explain(start, text, &error, place, Ends::Line),
            Ok(pairs) => {
                let read = pairs.flat_map(|p| p.into_inner()).next().map(|p| p.as_rule());
                self.readable_elsewhere(start, text, read, place, cut < end);
            }
        }
    }

    /// An `else` after a block that could not be read.
    fn after_block(&mut self, start: usize, text: &str, has_block: bool) -> Option<Diagnostic> {
        let head = first_word(text);
        let here = self.place(start, start + head.len());
        if head != "else" {
            let borrowed = BORROWED.iter().find(|(word, ours)| *word == head && ours.starts_with("else"));
            let meant = borrowed.map(|(_, ours)| *ours).or_else(|| did_you_mean(head, ["else"]))?;
            return Some(
                Diagnostic::new(Code::E0001, here, format!("`{head}` does not go on with `if`"))
                    .label(format!("did you mean `{meant}`?"))
                    .fix(format!("write `{meant}`"), here, meant),
            );
        }
        let before = self.findings.len();
        match JourneyParser::parse(Rule::one_line, text) {
            Err(error) => self.explain(start, text, &error, Place::Unknown, Ends::Block),
            Ok(_) if has_block => return None,
            Ok(_) => {
                let end = self.place(start + text.len(), start + text.len());
                return Some(
                    Diagnostic::new(Code::E0001, end, format!("expected `{{` after `{}`", tail_of(text)))
                        .label("the block is missing"),
                );
            }
        }
        self.findings.drain(before..).next_back()
    }

    // ------------------------------------------------------------ what was expected

    /// Turns the grammar's answer about one line into a finding.
    fn explain(
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
        let finding = match super::words::test_form(text) {
            Some(form) if finding.help.is_none() => finding.help(format!("it looks like this: `{form}`")),
            _ => finding,
        };
        if finding.help.is_none() && is_exit_rule(text) {
            self.tell(finding.help("it looks like this: `exit as bought on order_placed same cart_id`"));
            return;
        }
        self.tell(with_form(finding, first_word(text), place));
    }

    fn gap(&mut self, gap: &Gap<'_>) -> Diagnostic {
        let Gap { start, text, at, found, .. } = *gap;
        let before = text[..at].trim_end();
        if found.is_empty() {
            let end = start + before.len();
            let here = self.place(end, end);
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
        if gap.wants_name() && super::words::is_reserved(found) && !CLAUSES.contains(&found) {
            let better = better_name(found, text);
            self.renamed.push(found.to_owned());
            return Diagnostic::new(Code::E0008, here, format!("`{found}` is a word of the language"))
                .label(format!("expected {}", gap.list()))
                .help(format!("call it `{better}`, say"))
                .fix(format!("call it `{better}`"), here, better);
        }
        if let Some(finding) = self.habit(gap, here) {
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
        let unit = gap.wanted.contains(&Expected::Thing("a unit of time")).then(|| unit_of(found)).flatten();
        if let Some(meant) = unit.or_else(|| did_you_mean(found, gap.candidates())) {
            finding.primary.span = here;
            return finding.label(format!("did you mean `{meant}`?")).fix(
                format!("write `{meant}`"),
                here,
                meant,
            );
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
    fn rest(&self, gap: &Gap<'_>) -> Span {
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
        if verb == "exit"
            && before == "exit"
            && wants("as")
            && found.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            return insert("the reason of an exit stands after `as`".to_owned(), at, "as");
        }
        let bare = found.trim_matches('"');
        let is_word =
            !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        let wants_thing = |part: &str| gap.things().iter().any(|t| t.contains(part));
        if wants_thing("name") && !wants_thing("a text") && found.starts_with('"') && is_word {
            return replace("a name stands without quotes".to_owned(), bare);
        }
        if gap.things() == [TITLE] && is_word && bare == found && gap.words().is_empty() {
            return replace("a text stands in quotes".to_owned(), &format!("\"{found}\""));
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
                .fix(format!("write `{meant}`"), place, meant),
        )
    }

    // ------------------------------------------------------------ fields and pairs

    /// The pairs of a record, the fields of a declaration, or its properties: each with whether all of it was read.
    /// `entry` reads one of them alone.
    pub(super) fn pair_list(&mut self, p: &P<'s>, entry: Rule) -> Vec<(P<'s>, bool)> {
        let children: Vec<P<'s>> = p.clone().into_inner().collect();
        let open = part(p, Rule::lbrace).map_or(p.as_span().start(), |b| b.as_span().start());
        let unclosed =
            children.iter().find(|c| c.as_rule() == Rule::missing_brace).map(|c| c.as_span().start());
        if let Some(at) = unclosed {
            self.unclosed_pairs(open, at);
        }
        let quiet = unclosed.is_some();
        let mut pairs: Vec<(P<'s>, bool)> = Vec::new();
        for (at, c) in children.iter().enumerate() {
            match c.as_rule() {
                Rule::pair | Rule::fdecl | Rule::prop => {
                    let tail = children.get(at + 1).filter(|next| next.as_rule() == Rule::pair_tail);
                    if let Some(tail) = tail.filter(|_| !quiet) {
                        self.unreadable_pair(c, bounds(tail).1, entry);
                    }
                    pairs.push((c.clone(), tail.is_none()));
                }
                Rule::bad_pair if !quiet => self.unreadable_pair(c, bounds(c).1, entry),
                Rule::stray_comma if !quiet => {
                    // commas have no place in the tree, so the whole list stays as it is
                    let (place, list) = (self.place_of(c), self.place(open, bounds(p).1));
                    self.lost.push(list);
                    self.tell(
                        Diagnostic::new(Code::E0001, place, "one comma too many")
                            .label("nothing stands before it")
                            .fix("take it out", place, ""),
                    );
                }
                _ => {}
            }
        }
        pairs
    }

    fn unreadable_pair(&mut self, p: &P<'s>, end: usize, entry: Rule) {
        let start = bounds(p).0;
        let text = self.text()[start..end].trim_end();
        self.lost.push(self.place(start, end));
        match JourneyParser::parse(entry, text) {
            Err(error) => self.explain(start, text, &error, Place::Unknown, Ends::Line),
            Ok(_) => {
                let here = self.place(start, end);
                self.tell(Diagnostic::new(Code::E0001, here, "this cannot stand between these braces"));
            }
        }
    }

    /// A record or list of fields that a line interrupts which cannot be part of it.
    fn unclosed_pairs(&mut self, open: usize, at: usize) {
        let text = self.text();
        let next = at + (text[at..].len() - text[at..].trim_start().len());
        if next >= text.len() {
            self.unclosed.push((open, at));
            return;
        }
        let here = self.place(open, open + 1);
        self.lost.push(self.place(open, open + text[open..at].trim_end().len()));
        let line = text[next..].lines().next().unwrap_or("").trim_end();
        self.tell(
            Diagnostic::new(Code::E0002, here, "this `{` is not closed")
                .label("opened here")
                .related(self.place(next, next + line.len()), "this line cannot stand inside it")
                .help("add `}` at the end of the fields"),
        );
    }

    // ------------------------------------------------------------ items

    /// Tells which list of an item was never closed.
    pub(super) fn tell_unclosed(&mut self, p: &P<'s>, next: Option<&P<'s>>) {
        let open = std::mem::take(&mut self.unclosed);
        let Some(outermost) = open.iter().map(|(at, _)| *at).min() else { return };
        self.lost.push(self.place_of(p));
        let end = bounds(p).1;
        let text = self.text();
        let culprit = unbalanced(text, outermost, end).unwrap_or(outermost);
        let line = text[..culprit].rfind('\n').map_or(0, |at| at + 1);
        let line = line + (text[line..].len() - text[line..].trim_start().len());
        let head = shortened(text[line..culprit].trim());
        let count = open.len();
        let message = match (head.is_empty(), count) {
            (true, _) => "a block is not closed".to_owned(),
            (_, 1) => format!("the block of `{head}` is not closed"),
            (_, n) => format!("{n} blocks are not closed, among them that of `{head}`"),
        };
        let mut finding = Diagnostic::new(Code::E0002, self.place(line.min(culprit), culprit + 1), message)
            .label("opened here");
        finding = match next.filter(|n| !matches!(n.as_rule(), Rule::EOI | Rule::tail)) {
            Some(next) => {
                let start = bounds(next).0;
                let line = text[start..].lines().next().unwrap_or("").trim_end();
                finding
                    .related(self.place(start, start + line.len()), "this begins while it is still open")
                    .help("add `}` where the block ends")
            }
            None => finding.note("the file ends while it is open").help("add `}` where the block ends"),
        };
        self.tell(finding);
    }

    /// An item whose head cannot be read.
    pub(super) fn bad_item(&mut self, p: &P<'s>) -> Item {
        let (start, end) = bounds(p);
        let cut = self.head_end(p, end);
        let text = self.text()[start..cut].trim_end();
        let whole = self.place(start, end);
        self.lost.push(whole);
        match JourneyParser::parse(Rule::one_item, text) {
            Err(error) => {
                let ends = if cut < end { Ends::Block } else { Ends::Line };
                self.explain(start, text, &error, Place::File, ends);
            }
            Ok(_) => {
                let here = self.place(start, start + text.len());
                let finding = match cut < end {
                    true => Diagnostic::new(Code::E0001, here, "this takes no block"),
                    false => {
                        Diagnostic::new(Code::E0001, here.shrink_to_end(), "expected `{` after this line")
                            .label("the block is missing")
                    }
                };
                self.brace_missing = cut >= end;
                self.tell(with_form(finding, first_word(text), Place::File));
            }
        }
        if matches!(first_word(text), "journey" | "test" | "policy") {
            self.read_blocks(p);
        }
        self.unclosed.clear();
        self.error_item(whole)
    }

    /// Reads the blocks in unreadable text only to tell what is wrong in them.
    fn read_blocks(&mut self, p: &P<'s>) {
        for block in p.clone().into_inner().filter(|c| c.as_rule() == Rule::any_block) {
            for line in self.list_lines(&block) {
                self.read_line(&line);
            }
        }
    }

    fn read_line(&mut self, line: &Line<'s>) {
        let mut items = Vec::new();
        let rule = line.p.as_rule();
        let is_listed = matches!(
            rule,
            Rule::race_arm | Rule::race_timeout | Rule::case | Rule::else_case | Rule::variant
        );
        if !is_listed && !is_line(rule) {
            return;
        }
        if is_listed {
            if let Some(tail) = &line.tail {
                self.left_over(&line.p, tail, Place::Unknown);
            }
            self.inner_block(&line.p);
        } else if matches!(rule, Rule::at_line | Rule::given | Rule::expect) || is_rule(rule) {
            if let Some(tail) = &line.tail {
                self.left_over(&line.p, tail, Place::Unknown);
            }
        } else if rule == Rule::bad {
            self.bad_stmt(&line.p, Place::Unknown, &mut Vec::new());
        } else {
            self.journey_line(line, &mut items);
        }
    }

    /// Text between two items that is none.
    pub(super) fn loose(&mut self, p: &P<'s>, items: &mut Vec<Item>) {
        let whole = self.place_of(p);
        self.lost.push(whole);
        let mut told = self.brace_missing;
        let mut lines: Vec<Line<'s>> = Vec::new();
        for c in p.clone().into_inner() {
            match (c.as_rule(), lines.last_mut()) {
                (Rule::tail, Some(line)) => line.tail = Some(c),
                _ => lines.push(Line { p: c, tail: None }),
            }
        }
        let goes_on = lines.iter().any(|l| l.p.as_rule() == Rule::rbrace);
        if goes_on && lines.first().is_some_and(|line| self.is_field(&line.p)) {
            if !told {
                self.fields_go_on(&lines[0].p);
            }
            self.unclosed.clear();
            items.push(self.error_item(whole));
            return;
        }
        for line in &lines {
            let c = &line.p;
            match c.as_rule() {
                Rule::bad => self.loose_text(c, &mut told, goes_on && !items.is_empty()),
                _ => {
                    if c.as_rule() == Rule::purpose && !goes_on {
                        self.bad_purpose(line);
                        told = true;
                        continue;
                    }
                    if !told {
                        told = true;
                        let finding = self.outside(c, goes_on && !items.is_empty(), items);
                        self.tell(finding);
                    }
                    if c.as_rule() != Rule::rbrace {
                        self.read_line(line);
                    }
                }
            }
        }
        self.unclosed.clear();
        self.mark_damaged(items, whole);
        items.push(self.error_item(whole));
    }

    /// Whether a line begins like a field: `name: …`.
    fn is_field(&self, p: &P<'s>) -> bool {
        let text = &self.text()[bounds(p).0..];
        let name = first_word(text);
        !name.is_empty() && text[name.len()..].trim_start().starts_with(':')
    }

    /// Fields behind the brace that ends them.
    fn fields_go_on(&mut self, first: &P<'s>) {
        let start = bounds(first).0;
        let text = self.text();
        let line = text[start..].lines().next().unwrap_or("").trim_end();
        let here = self.place(start, start + line.len());
        let Some(brace) = text[..start].rfind('}') else { return };
        self.tell(
            Diagnostic::new(
                Code::E0001,
                self.place(brace, brace + 1),
                "this `}` ends the fields, but they go on",
            )
            .label("one `}` too many here")
            .related(here, "this stands outside"),
        );
    }

    /// Unreadable text between items: mostly a misspelt head.
    fn loose_text(&mut self, p: &P<'s>, told: &mut bool, inside_journey: bool) {
        let (start, end) = bounds(p);
        let cut = self.head_end(p, end);
        let text = self.text()[start..cut].trim_end();
        let head = first_word(text);
        let is_item = cut < end
            || super::words::ITEMS.contains(&head)
            || did_you_mean(head, super::words::ITEMS.iter().copied()).is_some();
        let place = if is_item && !inside_journey { Place::File } else { Place::Unknown };
        if inside_journey || Place::of(head).is_none() || !*told {
            *told |= Place::of(head).is_some();
            self.unreadable(p, place);
        }
        let meant = did_you_mean(head, super::words::ITEMS.iter().copied());
        if place == Place::Unknown || matches!(meant, Some("journey" | "test" | "policy")) {
            self.read_blocks(p);
        }
    }

    /// The line `purpose …` of a journey, between items: a refined purpose that does not say what it refines.
    fn bad_purpose(&mut self, line: &Line<'s>) {
        let (start, end) = (bounds(&line.p).0, bounds(line.tail.as_ref().unwrap_or(&line.p)).1);
        let text = &self.text()[start..end];
        if let Err(error) = JourneyParser::parse(Rule::one_item, text) {
            self.explain(start, text, &error, Place::File, Ends::Line);
        }
    }

    /// A statement or a brace outside all items.
    fn outside(&self, p: &P<'s>, goes_on: bool, items: &[Item]) -> Diagnostic {
        let text = self.text();
        let (start, _) = bounds(p);
        let line = text[start..].lines().next().unwrap_or("").trim_end();
        let here = self.place(start, start + line.len());
        if p.as_rule() == Rule::rbrace {
            return Diagnostic::new(Code::E0001, here, "one `}` too many").label("it closes nothing");
        }
        let closing = text[..start].trim_end();
        let earlier = match items.last().map(|i| &i.kind) {
            Some(ItemKind::Journey(j)) => Some(format!("journey {}", j.name.text)),
            Some(ItemKind::Test(t)) => Some(format!("test \"{}\"", t.title.value)),
            _ => None,
        };
        if let (true, Some(earlier)) = (goes_on && closing.ends_with('}'), earlier) {
            let brace = self.place(closing.len() - 1, closing.len());
            return Diagnostic::new(
                Code::E0001,
                brace,
                format!("this `}}` ends `{earlier}`, but its lines go on"),
            )
            .label("one `}` too many here or above")
            .related(here, "this stands outside it");
        }
        let head = first_word(line);
        let belongs = Place::of(head).filter(|b| *b != Place::File).unwrap_or(Place::Block);
        Diagnostic::new(Code::E0001, here, format!("`{head}` stands outside of every journey"))
            .label(format!("it belongs {}", belongs.words()))
    }

    /// Text that is left over after an item.
    pub(super) fn item_tail(&mut self, p: &P<'s>, tail: &P<'s>, item: &mut Item) {
        let (start, tail_start, end) = (bounds(p).0, bounds(tail).0, bounds(tail).1);
        self.lost.push(self.place(start, end));
        let cut = tail
            .clone()
            .into_inner()
            .find(|c| matches!(c.as_rule(), Rule::any_block | Rule::record))
            .map_or(end, |c| c.as_span().start());
        let text = self.text()[start..cut].trim_end();
        let has_braces = parts(p).any(|c| matches!(c.as_rule(), Rule::fields | Rule::props | Rule::lbrace));
        match (has_braces, JourneyParser::parse(Rule::one_item, text)) {
            (false, Err(error)) => self.explain(start, text, &error, Place::File, Ends::Line),
            _ => {
                let line = self.text()[tail_start..].lines().next().unwrap_or("").trim_end();
                let here = self.place(tail_start, (tail_start + line.len()).min(end));
                self.tell(
                    Diagnostic::new(Code::E0007, here, "text is left over after this").label("left over"),
                );
            }
        }
        match &mut item.kind {
            ItemKind::Event(event) => event.fields.extend(self.untyped_fields(tail)),
            ItemKind::Segment(decl) | ItemKind::Score(decl) => decl.expr.kind = ExprKind::Error,
            ItemKind::Journey(journey) => {
                let span = item.span.shrink_to_end();
                journey.items.push(super::lost_statement(span));
            }
            ItemKind::Import(_) | ItemKind::Template { .. } | ItemKind::Purpose { .. } => {
                item.kind = ItemKind::Error
            }
            _ => {}
        }
    }

    /// The fields in unreadable text by name, so that they are not reported as unknown.
    fn untyped_fields(&self, tail: &P<'s>) -> Vec<Field> {
        let Some(record) = part(tail, Rule::record) else { return Vec::new() };
        parts(&record).filter_map(|c| self.untyped_field(&c)).collect()
    }

    /// A field of which only the name is known.
    pub(super) fn untyped_field(&self, p: &P<'s>) -> Option<Field> {
        let name = part(p, Rule::field)?;
        let span = self.span(&name);
        let ty = Type { kind: TypeKind::Error, optional: false, span };
        let name = Name { text: name.as_str().to_owned(), span };
        Some(Field { name, ty, default: None, modifiers: Vec::new(), title: None, span })
    }

    // ------------------------------------------------------------ single slips

    pub(super) fn reserved_name(&mut self, p: &P<'_>) {
        let word = p.as_str();
        let start = p.as_span().start();
        let line = self.text()[..start].rfind('\n').map_or(0, |at| at + 1);
        let better = better_name(word, &self.text()[line..start]);
        let place = self.place_of(p);
        self.renamed.push(word.to_owned());
        self.tell_lost(
            Diagnostic::new(Code::E0008, place, format!("`{word}` is a word of the language"))
                .label("not a name")
                .help(format!("call it `{better}`, say"))
                .fix(format!("call it `{better}`"), place, better),
        );
    }

    /// `as name` after `where`: taken as it was meant.
    pub(super) fn late_name(&mut self, slot: &mut Option<Name>, p: &P<'s>, after: Option<&P<'s>>) {
        let Some(name) = self.named(p) else { return };
        if slot.is_some() {
            self.once(slot, name, p);
            return;
        }
        let (start, end) = bounds(p);
        let written = self.text()[start..end].to_owned();
        let gap = self.text()[..start].len() - self.text()[..start].trim_end().len();
        let mut finding = Diagnostic::new(
            Code::E0007,
            self.place(start, end),
            format!("`{written}` stands directly after what it names, before `where`"),
        )
        .label("left over here");
        if let Some(after) = after {
            let at = bounds(after).1;
            finding = finding.fix(format!("move `{written}`"), self.place(start - gap, end), "").fix(
                "",
                self.place(at, at),
                format!(" {written}"),
            );
        }
        self.tell_lost(finding);
        *slot = Some(name);
    }

    /// A form that is not built yet.
    pub(super) fn later(&mut self, p: &P<'s>, form: &str, instead: &str) {
        let (start, end) = bounds(p);
        let line =
            self.text()[start..end].lines().next().unwrap_or("").trim_end().trim_end_matches('{').trim_end();
        let finding = self.later_finding(start, line, form).help(instead.to_owned());
        self.tell(finding);
        let whole = self.place(start, end);
        self.lost.push(whole);
    }

    fn later_finding(&self, start: usize, text: &str, form: &str) -> Diagnostic {
        let here = self.place(start, start + text.len());
        Diagnostic::new(Code::E0009, here, format!("{form} is not available yet"))
            .label("planned for a later release")
    }

    pub(super) fn exit_without_reason(&mut self, p: &P<'s>) {
        let place = self.place_of(p);
        self.tell_lost(
            Diagnostic::new(Code::E0001, place.shrink_to_end(), "expected `as` and a reason after `exit`")
                .help("it looks like this: `exit as done`"),
        );
    }
}

/// What follows an unreadable piece of text.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    Line,
    Block,
}

/// A place in a line at which the grammar could not go on.
struct Gap<'a> {
    /// Where the line begins in the clean text.
    start: usize,
    text: &'a str,
    /// Where in the line.
    at: usize,
    found: &'a str,
    wanted: Vec<Expected>,
}

impl Gap<'_> {
    /// Words that could stand here and are worth telling.
    fn words(&self) -> Vec<&'static str> {
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
    fn list(&self) -> String {
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

    /// Words that a misspelt one may have been.
    fn candidates(&self) -> Vec<&'static str> {
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

/// The unit that an abbreviation or a German word means.
fn unit_of(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    FOREIGN_UNITS.iter().find(|(_, others)| others.contains(&word.as_str())).map(|(ours, _)| *ours)
}

/// Whether a line with `exit` says when, and is thus a rule of the journey.
fn is_exit_rule(text: &str) -> bool {
    first_word(text) == "exit" && text.split_whitespace().any(|word| word == "on" || word == "when")
}

fn after(before: &str) -> String {
    if before.is_empty() { String::new() } else { format!(" after `{}`", tail_of(before)) }
}

fn shown(word: &str) -> String {
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

fn with_form(finding: Diagnostic, head: &str, place: Place) -> Diagnostic {
    match form(head, place) {
        Some(form) if finding.help.is_none() => finding.help(format!("it looks like this: `{form}`")),
        _ => finding,
    }
}

fn is_line(rule: Rule) -> bool {
    is_stmt(rule)
        || is_rule(rule)
        || matches!(
            rule,
            Rule::bad
                | Rule::purpose
                | Rule::runs
                | Rule::enter
                | Rule::reenter
                | Rule::exit_rule
                | Rule::goal
                | Rule::lasts
                | Rule::on_deploy
                | Rule::handler
                | Rule::stage
                | Rule::migrate
                | Rule::given
                | Rule::at_line
                | Rule::expect
                | Rule::moved
                | Rule::removed
                | Rule::keep_timers
                | Rule::race_arm
                | Rule::race_timeout
                | Rule::case
                | Rule::else_case
                | Rule::variant
        )
}

/// Whether a line with this verb ends in a block, so that more was expected where it could otherwise end.
fn has_block(head: &str) -> bool {
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

fn is_rule(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::quiet
            | Rule::cap
            | Rule::consent
            | Rule::priority
            | Rule::holdout
            | Rule::rate
            | Rule::max_audience
    )
}

/// Some of the words with which a line may begin at a place.
fn some_of(place: Place) -> String {
    let heads = place.heads();
    let more = if heads.len() > 7 { " …" } else { "" };
    let shown: Vec<String> = heads.iter().take(7).map(|h| format!("`{h}`")).collect();
    format!("{}{more}", shown.join(", "))
}

/// The verb that a line without one was meant to begin with: `set` for `contact.plan = pro`, `let` for `gift = 10`.
fn assigns(head: &str, rest: &str) -> Option<&'static str> {
    match rest.as_bytes() {
        [b'.', ..] => Some("set"),
        [b'=', next, ..] if *next != b'=' && !head.is_empty() => Some("let"),
        _ => None,
    }
}

fn first_word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())]
}

fn first_char(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// The word, text or sign that a piece of text begins with.
fn token(text: &str) -> &str {
    let Some(first) = text.chars().next() else { return "" };
    if first == '"' {
        let line = text.lines().next().unwrap_or(text);
        let end = line[1..].find('"').map_or(line.trim_end().len(), |at| at + 2);
        return &line[..end];
    }
    if first.is_ascii_digit() {
        let end = text.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.' | ':' | '-' | '%'));
        return text[..end.unwrap_or(text.len())].trim_end_matches(['.', '-', ':']);
    }
    if first.is_alphanumeric() || first == '_' {
        let end = text.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.')).unwrap_or(text.len());
        return text[..end].trim_end_matches('.');
    }
    let signs = ["==", "!=", "<=", ">=", "&&", "||", ":=", "=>", "->"];
    signs.iter().find(|s| text.starts_with(**s)).map_or(&text[..first.len_utf8()], |s| &text[..s.len()])
}

/// The last words of a text, enough to recognize the place.
fn tail_of(text: &str) -> &str {
    let text = text.lines().last().unwrap_or(text).trim();
    if text.chars().count() <= 48 {
        return text;
    }
    let cut = text.char_indices().rev().nth(43).map_or(0, |(at, _)| at);
    text[cut..].find(' ').map_or(&text[cut..], |at| text[cut + at..].trim_start())
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 48 {
        return text.to_owned();
    }
    let cut = text.char_indices().nth(44).map_or(text.len(), |(at, _)| at);
    format!("{} …", text[..cut].trim_end())
}

/// A free name near a reserved word, by what stands before it.
fn better_name(word: &str, before: &str) -> String {
    let first = first_word(before.trim_start());
    let last = before.split_whitespace().next_back().unwrap_or("");
    let kind = match (first, last) {
        (
            _,
            "journey" | "stage" | "split" | "variant" | "event" | "segment" | "channel" | "team" | "task",
        ) => last,
        ("journey" | "stage" | "split" | "variant" | "event" | "segment", _) => first,
        ("go", _) => "stage",
        ("exit", _) => "reached",
        ("send", _) => "mail",
        ("wait", _) => "wait",
        ("let", _) => "value",
        _ => "step",
    };
    format!("{word}_{kind}")
}

/// The opening brace that was probably forgotten to close: the innermost whose block a brace further left closes.
fn unbalanced(text: &str, from: usize, to: usize) -> Option<usize> {
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut in_text = false;
    let mut indent = text[..from].rfind('\n').map_or(0, |at| blanks(&text[at + 1..]));
    let mut first_on_line = false;
    let mut chars = text[from..to].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let at = from + at;
        match c {
            '\n' => {
                (in_text, first_on_line) = (false, true);
                indent = blanks(&text[at + 1..]);
                continue;
            }
            '\\' if in_text => {
                chars.next();
            }
            '"' => in_text = !in_text,
            '#' if !in_text => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            '{' if !in_text => open.push((at, indent)),
            '}' if !in_text => {
                let (opened, left) = open.pop()?;
                if first_on_line && indent < left && open.iter().any(|(_, i)| *i == indent) {
                    return Some(opened);
                }
            }
            _ => {}
        }
        first_on_line &= c.is_whitespace();
    }
    // every brace that is there fits: the outermost one that is left was forgotten, if the lines were laid out at all
    open.first().map(|(at, _)| *at)
}

fn blanks(line: &str) -> usize {
    line.chars().take_while(|c| matches!(c, ' ' | '\t')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_that_a_brace_further_left_closes_is_the_one_left_open() {
        let text = "journey a {\n  if x {\n    send email x\n  exit as y\n}\n";
        assert_eq!(unbalanced(text, 10, text.len()), text.find("{\n    send"));
        let text = "journey a {\n  if x {\n    send email \"}\" # }\n  }\n  exit as y\n";
        assert_eq!(unbalanced(text, 10, text.len()), Some(10));
    }

    #[test]
    fn a_long_line_is_told_by_its_end() {
        assert_eq!(tail_of("wait 2"), "wait 2");
        assert_eq!(
            tail_of("then send email welcome_story with { code: 10 } for"),
            "email welcome_story with { code: 10 } for"
        );
        assert_eq!(token("\"abc"), "\"abc");
        assert_eq!(token("contact.plan is"), "contact.plan");
    }
}
