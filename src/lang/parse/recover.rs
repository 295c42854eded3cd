//! What is said about a line that could not be read, or that goes on where it should end.
//!
//! An unreadable piece is read once more, alone, with an entry of the grammar for one line. That fails at the place of the
//! mistake and tells which rules were tried there; `gap` makes a sentence of it, `words` gives their names.

use fahrplan_grammar::{JourneyParser, Rule};
use pest::Parser;

use super::excerpt::{first_char, first_word, tail_of};
use super::gap::{Ends, with_form};
use super::lines::is_stmt;
use super::words::Place;
use super::{P, Reader, bounds};
use crate::diagnostic::{Code, Diagnostic, did_you_mean};

/// Words with which a line goes on with the statement above it.
pub(super) const CLAUSES: [&str; 27] = [
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
const BORROWED: [(&str, &str); 26] = [
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
    ("random", "split"),
    ("tag", "add"),
    ("untag", "remove"),
    ("notify", "send"),
];

impl<'s> Reader<'s> {
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
        if let Some((target, value)) =
            text.split_once("+=").filter(|(target, _)| place.has("set") && target.starts_with("contact."))
        {
            let written = format!("add {} to {}", value.trim(), target.trim());
            let whole = self.place(start, start + text.len());
            let finding =
                Diagnostic::new(Code::E0006, whole, "what is added to an attribute begins with `add`");
            return Some(finding.label(format!("write `{written}`")).fix(
                format!("write `{written}`"),
                whole,
                written,
            ));
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
                return Some(
                    finding
                        .label("left over")
                        .help("put it behind the statement that it belongs to, or leave it out"),
                );
            }
            return Some(self.unknown_head(start, text, head, place));
        }
        if place.has(head) || place == Place::Unknown {
            return None;
        }
        if head == "on" && place != Place::Journey && has_timeout(&text[head.len()..]) {
            return Some(super::habits::timeout_outside("", here));
        }
        if head == "else" && place == Place::Race {
            return Some(
                Diagnostic::new(
                    Code::E0001,
                    here,
                    "what happens when nothing comes stands after `on timeout`",
                )
                .label("write `on timeout`")
                .fix("write `on timeout`", here, "on timeout"),
            );
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
            Some(_) => finding.label("did you mean `timeout`?").suggest("write `timeout`", here, "timeout"),
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
        let mut german = super::german::meant(head).iter().copied();
        let german = german.find(|ours| place.has(first_word(ours)) || place == Place::Unknown);
        let meant = borrowed.or(german).or_else(|| did_you_mean(head, heads.iter().copied()));
        let meant =
            meant.or_else(|| did_you_mean(head, Place::Unknown.heads()).filter(|_| place == Place::File));
        match meant {
            Some(meant) => {
                // `strat journey x` has its second word already
                let word = match meant.split_once(' ') {
                    Some((first, second))
                        if first_word(rest) == second
                            || super::german::meant(first_word(rest)).contains(&second) =>
                    {
                        first
                    }
                    _ => meant,
                };
                finding.label(format!("did you mean `{meant}`?")).suggest(
                    format!("write `{word}`"),
                    here,
                    word,
                )
            }
            // `sonst {` on a line of its own
            None if super::german::meant(head).contains(&"else") => finding
                .label("did you mean `else`, behind the `}` above?")
                .suggest("write `else`", here, "else"),
            None => match did_you_mean(head, CLAUSES) {
                Some(clause) if place != Place::File => finding
                    .label(format!("did you mean `{clause}`, going on with the line above?"))
                    .suggest(format!("write `{clause}`"), here, clause),
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
        if p.as_rule() == Rule::exit && matches!(next, "on" | "when" | "if") {
            let here = self.place(tail_start, tail_start + next.len());
            self.tell(super::slips::reason_first(here));
            return;
        }
        let after = &self.text()[tail_start..end];
        let waits = matches!(p.as_rule(), Rule::wait);
        if waits && (next == "on" || cut <= tail_start) && has_timeout(after) {
            let here = self.place(tail_start, tail_start + next.len().max(1));
            self.tell(super::habits::timeout_outside(text, here));
            return;
        }
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
            let help = match cut <= tail_start {
                true => "leave the braces out; what happens next stands on the lines below",
                false => "begin a new line before it, or leave it out",
            };
            self.tell(finding.label("left over").help(help));
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
            let german = super::german::meant(head).contains(&"else").then_some("else");
            let meant =
                borrowed.map(|(_, ours)| *ours).or(german).or_else(|| did_you_mean(head, ["else"]))?;
            return Some(
                Diagnostic::new(Code::E0001, here, format!("`{head}` does not go on with `if`"))
                    .label(format!("did you mean `{meant}`?"))
                    .suggest(format!("write `{meant}`"), here, meant),
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
}

pub(super) fn is_line(rule: Rule) -> bool {
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
                | Rule::budget
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

pub(super) fn is_rule(rule: Rule) -> bool {
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

/// Whether a piece of text says what happens on a timeout.
fn has_timeout(text: &str) -> bool {
    let text = text.trim_start_matches(['{', ' ', '\t', '\r', '\n']);
    let text = text.strip_prefix("on").unwrap_or(text).trim_start();
    text.starts_with("timeout")
}
