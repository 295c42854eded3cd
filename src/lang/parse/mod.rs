//! Text to tree. A file of any shape gives a tree, and every mistake in it is told once, at its place, with a way out.
//!
//! 1. [`scan`] puts right what typewriters and word processors do to a text, and finds the comments; `letters` knows characters
//!    that only look right, `figures` dates, clock times and numbers of other languages.
//! 2. The grammar (`grammar/journey.pest`) reads the rest. It refuses nothing: what is unreadable stands in its tree as
//!    a node of its own, in the list in which it was found.
//! 3. [`Reader`] walks that tree and builds ours: `items`, `journeys`, `lines` (lists of statements), `steps`, `waits`,
//!    `branches`, `exprs`, `scenes` (test blocks).
//! 4. `recover` looks at the unreadable lines one by one, `pairs` at those of records, `loose` at text between items,
//!    `slips` at what has one obvious reading. `gap` says what was expected, `habits` knows what people write instead,
//!    `german` what they write in German, `excerpt` cuts what is shown.
//!
//! A statement with a mistake that has one obvious reading is put into the tree as it was meant. Any other leaves
//! `StmtKind::Error`, then a `let` without a value for each name that it would have given, and an `if` without a
//! condition for each block of it that could be read: so nothing that depends on it is reported, and the rest is checked.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use fahrplan_grammar::{JourneyParser, Rule};
use pest::Parser;
use pest::iterators::Pair;

use crate::diagnostic::{Code, Diagnostic, FileId, Span, tidy};
use crate::lang::ast::{
    File, Item, ItemKind, JourneyItem, JourneyItemKind, Name, Path, Stmt, StmtKind, Text,
};

mod branches;
mod excerpt;
mod exprs;
mod figures;
mod gap;
mod german;
mod habits;
mod items;
mod journeys;
mod letters;
mod lines;
mod loose;
mod pairs;
mod recover;
mod scan;
mod scenes;
mod slips;
mod steps;
mod waits;
mod words;

pub(super) use exprs::strength;
use scan::Scan;

/// One node of the grammar's tree.
type P<'a> = Pair<'a, Rule>;

/// Calls of the grammar that a byte may cost before a file is given up. The samples need about 10, broken files about 30,
/// a row of opening braces 600; the limit only guards against a rule that would read text again and again.
const CALLS_PER_BYTE: usize = 4_000;

/// Reads a file. `file` names it in the spans.
pub fn parse(file: FileId, text: &str) -> (File, Vec<Diagnostic>) {
    let read = read(file, text, true);
    (read.file, read.findings)
}

/// What [`read`] makes of a file.
pub(super) struct Read {
    pub(super) file: File,
    pub(super) findings: Vec<Diagnostic>,
    /// Text that the tree does not hold as it is written.
    pub(super) lost: Vec<Span>,
}

/// Reads a file; without `places` every span is empty, so that two trees can be compared by what they say.
pub(super) fn read(file: FileId, text: &str, places: bool) -> Read {
    let scan = scan::scan(file, text);
    allow_calls(scan.text.len());
    let mut reader = Reader::new(file, &scan, places);
    let items = match JourneyParser::parse(Rule::file, &scan.text) {
        Ok(pairs) => reader.file_items(pairs),
        Err(_) => vec![reader.give_up(text)],
    };
    let Reader { mut findings, mut lost, .. } = reader;
    findings.extend(scan.findings);
    lost.extend(scan.lost);
    tidy(&mut findings);
    lost.sort();
    Read { file: File { items, comments: scan.comments }, findings, lost }
}

/// pest keeps one limit for the whole process, so it only ever grows, to what the largest file seen may need.
fn allow_calls(length: usize) {
    static LARGEST: Mutex<usize> = Mutex::new(0);
    let mut largest = LARGEST.lock().unwrap_or_else(PoisonError::into_inner);
    if *largest < length.max(4_096) {
        *largest = length.max(4_096);
        pest::set_call_limit(NonZeroUsize::new(largest.saturating_mul(CALLS_PER_BYTE)));
    }
}

/// Builds the tree.
struct Reader<'s> {
    file: FileId,
    scan: &'s Scan<'s>,
    places: bool,
    findings: Vec<Diagnostic>,
    lost: Vec<Span>,
    /// Openings of the lists that are still open where an item ends, outermost first, as clean offsets.
    unclosed: Vec<(usize, usize)>,
    /// In the present item a `{` was found missing, so its braces do not match.
    brace_missing: bool,
    /// Words of the language that were given as names: told there, and not again where they are used.
    renamed: Vec<String>,
}

impl<'s> Reader<'s> {
    fn new(file: FileId, scan: &'s Scan<'s>, places: bool) -> Self {
        Reader {
            file,
            scan,
            places,
            findings: Vec::new(),
            lost: Vec::new(),
            unclosed: Vec::new(),
            brace_missing: false,
            renamed: Vec::new(),
        }
    }

    /// The clean text.
    fn text(&self) -> &'s str {
        &self.scan.text
    }

    // ------------------------------------------------------------ places

    /// The place of a stretch of clean text, also where the tree is to have none.
    fn place(&self, start: usize, end: usize) -> Span {
        let at = |offset: usize| self.scan.original(offset as u32);
        Span::new(self.file, at(start), at(end.max(start)))
    }

    fn place_of(&self, p: &P<'_>) -> Span {
        let (start, end) = bounds(p);
        self.place(start, end)
    }

    /// A span for the tree.
    fn span_between(&self, start: usize, end: usize) -> Span {
        if self.places { self.place(start, end) } else { Span::default() }
    }

    fn span(&self, p: &P<'_>) -> Span {
        let (start, end) = bounds(p);
        self.span_between(start, end)
    }

    // ------------------------------------------------------------ findings

    fn tell(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    /// Tells a finding and remembers that the text under it is not in the tree as it is written.
    fn tell_lost(&mut self, finding: Diagnostic) {
        self.lost.push(finding.primary.span);
        self.findings.push(finding);
    }

    /// Fills a clause that may stand once.
    fn once<T>(&mut self, slot: &mut Option<T>, value: T, p: &P<'_>) {
        if slot.is_none() {
            *slot = Some(value);
            return;
        }
        let word = p.as_str().split_whitespace().next().unwrap_or("this").to_owned();
        let place = self.place_of(p);
        self.tell_lost(
            Diagnostic::new(Code::E0007, place, format!("`{word}` stands twice in this statement"))
                .label("the second one")
                .help("leave one of them out"),
        );
    }

    /// The grammar read something that this builder does not know; the statement is left out.
    fn unknown(&mut self, p: &P<'_>) {
        let place = self.place_of(p);
        self.tell_lost(Diagnostic::new(Code::E0001, place, "this cannot be read"));
    }

    fn give_up(&mut self, text: &str) -> Item {
        let whole = Span::new(self.file, 0, text.len() as u32);
        self.lost.push(whole);
        self.findings.push(
            Diagnostic::new(Code::E0001, whole.shrink_to_start(), "this file is too intricate to be read")
                .help("divide it into several files"),
        );
        Item { kind: ItemKind::Error, span: if self.places { whole } else { Span::default() }, doc: None }
    }

    // ------------------------------------------------------------ names and texts

    fn name(&mut self, p: &P<'_>) -> Name {
        let name = Name { text: p.as_str().to_owned(), span: self.span(p) };
        if p.as_rule() == Rule::word_as_name {
            self.reserved_name(p);
        }
        name
    }

    /// A path from an atomic rule such as `n_template`.
    fn path(&mut self, p: &P<'_>) -> Path {
        let mut at = p.as_span().start();
        let mut parts = Vec::new();
        for part in p.as_str().split('.') {
            let span = self.span_between(at, at + part.len());
            parts.push(Name { text: part.to_owned(), span });
            at += part.len() + 1;
        }
        Path { parts, span: self.span(p) }
    }

    fn string(&mut self, p: &P<'_>) -> Text {
        let inside = p.as_str().trim_matches_once('"');
        let mut value = String::with_capacity(inside.len());
        let mut chars = inside.char_indices();
        while let Some((at, c)) = chars.next() {
            if c != '\\' {
                value.push(c);
                continue;
            }
            match chars.next() {
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, other)) => {
                    let start = p.as_span().start() + 1 + at;
                    let place = self.place(start, start + 1 + other.len_utf8());
                    self.tell_lost(
                        Diagnostic::new(Code::E0001, place, format!("`\\{other}` means nothing in a text"))
                            .help(
                                "a text knows `\\\"`, `\\\\`, `\\n` and `\\t`; write `\\\\` for a backslash",
                            )
                            .suggest("write the backslash twice", place.shrink_to_start(), "\\"),
                    );
                    value.push(other);
                }
                None => {}
            }
        }
        Text { value, span: self.span(p) }
    }

    // ------------------------------------------------------------ files

    fn file_items(&mut self, pairs: pest::iterators::Pairs<'s, Rule>) -> Vec<Item> {
        let lines: Vec<P<'s>> = pairs.flat_map(|p| p.into_inner()).collect();
        let mut items: Vec<Item> = Vec::new();
        for (at, p) in lines.iter().enumerate() {
            let tail = lines.get(at + 1).filter(|next| next.as_rule() == Rule::tail);
            match p.as_rule() {
                Rule::EOI | Rule::tail => {}
                Rule::loose => self.loose(p, &mut items),
                Rule::bad_item => items.push(self.bad_item(p)),
                _ => {
                    self.brace_missing = false;
                    let mut item = self.item(p, lines.get(at + 1));
                    if let Some(tail) = tail {
                        self.item_tail(p, tail, &mut item);
                    }
                    items.push(item);
                }
            }
        }
        items
    }

    /// The `##` lines directly above an item.
    fn doc(&self, start: usize) -> Option<String> {
        let text = self.text();
        let mut lines = Vec::new();
        let mut above = text[..start].trim_end_matches([' ', '\t']);
        while let Some(rest) = above.strip_suffix('\n') {
            let rest = rest.strip_suffix('\r').unwrap_or(rest);
            let begin = rest.rfind('\n').map_or(0, |at| at + 1);
            let Some(line) = rest[begin..].trim().strip_prefix("##") else { break };
            lines.push(line.trim());
            above = &text[..begin];
        }
        lines.reverse();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    fn error_item(&self, span: Span) -> Item {
        let span = if self.places { span } else { Span::default() };
        Item { kind: ItemKind::Error, span, doc: None }
    }

    /// Tells a journey's later checks that a part of it is missing.
    fn mark_damaged(&self, items: &mut [Item], place: Span) {
        if let Some(Item { kind: ItemKind::Journey(journey), .. }) = items.last_mut() {
            let span = if self.places { place } else { Span::default() };
            journey.items.push(lost_statement(span));
        }
    }
}

/// A place in a journey where statements may have been lost.
fn lost_statement(span: Span) -> JourneyItem {
    JourneyItem { kind: JourneyItemKind::Stmt(Stmt { kind: StmtKind::Error, span }), span }
}

/// Start and end of a node without the line ends, blanks and comments that pest leaves at its edges.
fn bounds(p: &P<'_>) -> (usize, usize) {
    let is_text = |child: &P<'_>| !child.as_str().is_empty();
    let mut first = p.clone();
    while let Some(child) = first.clone().into_inner().find(is_text).filter(|c| starts_its_parent(&first, c))
    {
        first = child;
    }
    let mut last = p.clone();
    while let Some(child) = last.clone().into_inner().rev().find(is_text) {
        last = child;
    }
    let start = first.as_span().end() - first.as_str().trim_start().len();
    let span = last.as_span();
    let end = span.start() + span.as_str().trim_end().len();
    (start, end.max(start))
}

/// Whether only blanks stand between the beginning of a node and that of its first child.
fn starts_its_parent(parent: &P<'_>, child: &P<'_>) -> bool {
    let before = child.as_span().start() - parent.as_span().start();
    parent.as_str()[..before].lines().all(|line| line.split('#').next().unwrap_or("").trim().is_empty())
}

/// The children of a node without the words that only hold it together.
fn parts<'a>(p: &P<'a>) -> impl Iterator<Item = P<'a>> + use<'a> {
    p.clone().into_inner().filter(|c| !(Rule::k_add..=Rule::k_within).contains(&c.as_rule()))
}

/// The first child of this kind.
fn part<'a>(p: &P<'a>, rule: Rule) -> Option<P<'a>> {
    p.clone().into_inner().find(|c| c.as_rule() == rule)
}

trait TrimOnce {
    fn trim_matches_once(&self, c: char) -> &str;
}

impl TrimOnce for str {
    fn trim_matches_once(&self, c: char) -> &str {
        let inner = self.strip_prefix(c).unwrap_or(self);
        inner.strip_suffix(c).unwrap_or(inner)
    }
}
