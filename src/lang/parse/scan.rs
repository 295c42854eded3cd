//! The first look at a file, before the grammar: comments, characters that only look right, brackets that nest too deep.
//!
//! What a word processor or a chat window does to a text is reported and put right in a clean copy, so that the grammar
//! reads on as if it had been typed well and one mistake stays one finding. Offsets in the clean copy are led back to
//! the file by [`Scan::original`].

use std::borrow::Cow;

use super::figures::{self, Figure, Way};
use super::letters::{
    BOM, code_point, is_dash, is_direction, is_double_quote, is_invisible, is_single_quote, is_space,
    look_alike, plain_letters,
};
use crate::diagnostic::{Code, Diagnostic, FileId, Span};
use crate::lang::ast::Comment;

/// How deep brackets of all kinds may nest. The grammar is linear in depth but uses the stack for it.
pub(super) const MAX_DEPTH: usize = 64;

/// A file as the grammar reads it, and what had to be done to it.
pub(super) struct Scan<'a> {
    /// The text to read; borrowed where nothing had to be changed.
    pub(super) text: Cow<'a, str>,
    /// Where the clean copy and the file drift apart: from this clean offset on, the file is at that one.
    moves: Vec<(u32, u32)>,
    pub(super) comments: Vec<Comment>,
    pub(super) findings: Vec<Diagnostic>,
    /// Places of the file that are not in the clean copy.
    pub(super) lost: Vec<Span>,
}

impl Scan<'_> {
    /// The offset in the file of an offset in the clean copy.
    pub(super) fn original(&self, clean: u32) -> u32 {
        match self.moves.partition_point(|(c, _)| *c <= clean).checked_sub(1) {
            Some(at) => self.moves[at].1 + (clean - self.moves[at].0),
            None => clean,
        }
    }
}

/// Looks through a file.
pub(super) fn scan(file: FileId, text: &str) -> Scan<'_> {
    let mut scanner = Scanner {
        file,
        text,
        at: 0,
        kept: 0,
        clean: String::new(),
        moves: Vec::new(),
        comments: Vec::new(),
        findings: Vec::new(),
        lost: Vec::new(),
        depth: 0,
        open: Vec::new(),
        line_start: 0,
        too_deep: None,
        own_line: true,
        line_end: 0,
        untidy: [None; 3],
    };
    scanner.run();
    scanner.finish()
}

struct Scanner<'a> {
    file: FileId,
    text: &'a str,
    /// Where the scanner stands.
    at: usize,
    /// Up to here the text is in `clean`.
    kept: usize,
    clean: String,
    moves: Vec<(u32, u32)>,
    comments: Vec<Comment>,
    findings: Vec<Diagnostic>,
    lost: Vec<Span>,
    depth: usize,
    /// The brackets that are open, up to the deepest that is read.
    open: Vec<u8>,
    /// Where the line begins.
    line_start: usize,
    /// Where the bracket that is one too many opens, while it is open.
    too_deep: Option<usize>,
    /// Only blanks since the line began.
    own_line: bool,
    /// Where the line ends.
    line_end: usize,
    /// First tab, CR LF and byte order mark.
    untidy: [Option<u32>; 3],
}

impl<'a> Scanner<'a> {
    fn run(&mut self) {
        if self.text.starts_with(BOM) {
            self.untidy[2] = Some(0);
            self.replace(BOM.len_utf8(), "");
        }
        self.at_line_start();
        while let Some(c) = self.text[self.at..].chars().next() {
            let blank = matches!(c, ' ' | '\t' | '\r' | '\n');
            match c {
                '\n' => {
                    self.at += 1;
                    self.at_line_start();
                    continue;
                }
                '\r' => self.carriage_return(),
                '\t' => {
                    self.untidy[0].get_or_insert(self.at as u32);
                    self.at += 1;
                }
                '#' => self.comment(),
                '"' => self.string(),
                '{' | '[' | '(' => self.open(),
                '}' | ']' | ')' => self.close(),
                '\'' => self.apostrophe(),
                '$' | '€' | '£' => self.currency(c),
                c if c.is_ascii_alphanumeric() => self.plain_word(),
                c if c.is_ascii() => self.at += 1,
                c => self.foreign(c),
            }
            self.own_line &= blank;
        }
        self.end_too_deep();
    }

    fn finish(mut self) -> Scan<'a> {
        self.tell_untidy();
        let text = if self.kept == 0 {
            Cow::Borrowed(self.text)
        } else {
            self.clean.push_str(&self.text[self.kept..]);
            Cow::Owned(self.clean)
        };
        Scan { text, moves: self.moves, comments: self.comments, findings: self.findings, lost: self.lost }
    }

    /// Writes `new` for the next `length` bytes and steps over them.
    fn replace(&mut self, length: usize, new: &str) {
        self.clean.push_str(&self.text[self.kept..self.at]);
        self.moves.push((self.clean.len() as u32, self.at as u32));
        self.clean.push_str(new);
        self.at += length;
        self.kept = self.at;
        self.moves.push((self.clean.len() as u32, self.at as u32));
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start as u32, end as u32)
    }

    fn rest_of_line(&mut self, from: usize) -> &'a str {
        if from > self.line_end {
            let rest = &self.text[from..];
            self.line_end = from + rest.find(['\n', '\r']).unwrap_or(rest.len());
        }
        &self.text[from..self.line_end]
    }

    // ------------------------------------------------------------ lines

    /// A new item at the left edge begins with no bracket open, whatever was forgotten before it.
    fn at_line_start(&mut self) {
        self.own_line = true;
        self.line_start = self.at;
        let rest = &self.text[self.at..];
        self.line_end = self.at + rest.find(['\n', '\r']).unwrap_or(rest.len());
        let line = self.rest_of_line(self.at);
        let head = line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("");
        if super::words::ITEMS.contains(&head) {
            self.end_too_deep();
            self.depth = 0;
            self.open.clear();
        }
    }

    fn carriage_return(&mut self) {
        if self.text[self.at..].starts_with("\r\n") {
            self.untidy[1].get_or_insert(self.at as u32);
            self.at += 1;
        } else {
            self.at += 1;
            self.at_line_start();
        }
    }

    /// One note for the file, at the first place.
    fn tell_untidy(&mut self) {
        let names = ["tabs", "CR LF line ends", "a byte order mark"];
        let used: Vec<&str> =
            names.iter().zip(self.untidy).filter(|(_, at)| at.is_some()).map(|(name, _)| *name).collect();
        let Some(first) = self.untidy.into_iter().flatten().min() else { return };
        let used = match used.as_slice() {
            [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => used.concat(),
        };
        self.findings.push(
            Diagnostic::new(Code::I0005, Span::at(self.file, first), format!("this file uses {used}"))
                .help("nothing is wrong with it; `fahrplan fmt` writes spaces and plain line ends"),
        );
    }

    fn comment(&mut self) {
        let text = self.rest_of_line(self.at).trim_end();
        self.hidden_in(self.at, text, false);
        let span = self.span(self.at, self.at + text.len());
        self.comments.push(Comment { text: text.to_owned(), span, own_line: self.own_line });
        self.at += self.rest_of_line(self.at).len();
    }

    // ------------------------------------------------------------ text in quotes

    fn string(&mut self) {
        let start = self.at;
        let line = self.rest_of_line(start + 1);
        if let Some(length) = quoted(line) {
            self.hidden_in(start, &line[..length], true);
            self.at = start + 1 + length + 1;
            return;
        }
        // “Word” turned only one of the two
        let Some((at, quote)) = line.char_indices().find(|(_, c)| is_double_quote(*c)) else {
            self.at += 1;
            return;
        };
        let place = start + 1 + at;
        let span = self.span(place, place + quote.len_utf8());
        self.findings.push(
            Diagnostic::new(
                Code::E0003,
                span,
                format!("the text begins with `\"` but ends with the typographic quote `{quote}`"),
            )
            .label("write `\"`")
            .fix("write straight quotes", span, "\""),
        );
        self.lost.push(self.span(start, place));
        self.at = place;
        self.replace(quote.len_utf8(), "\"");
    }

    /// 'single quotes' do not exist in the language.
    fn apostrophe(&mut self) {
        let start = self.at;
        let line = self.rest_of_line(start + 1);
        let before = self.text[..start].chars().next_back().unwrap_or(' ');
        let Some(length) = line.find('\'').filter(|_| !before.is_alphanumeric()) else {
            self.at += 1;
            return;
        };
        let inner = &line[..length];
        if inner.contains(['"', '\\', '#', '{', '}']) {
            self.at += 1;
            return;
        }
        let (open, close) = (self.span(start, start + 1), self.span(start + 1 + length, start + 2 + length));
        self.findings.push(
            Diagnostic::new(Code::E0001, open.to(close), "text stands in double quotes")
                .label(format!("write `\"{inner}\"`"))
                .fix("write double quotes", open, "\"")
                .fix("", close, "\""),
        );
        self.lost.push(open.to(close));
        self.replace(1, "\"");
        self.at += length;
        self.replace(1, "\"");
    }

    /// A text between typographic quotes, or a quote that stands alone and is left to the grammar.
    fn quotes(&mut self, quote: char) {
        let start = self.at;
        let line = self.rest_of_line(start + quote.len_utf8());
        let partner = |c: char| {
            if is_double_quote(quote) { is_double_quote(c) || c == '"' } else { is_single_quote(c) }
        };
        let Some((length, end)) = line.char_indices().find(|(_, c)| partner(*c)) else {
            self.at += quote.len_utf8();
            return;
        };
        let inner = &line[..length];
        let close = start + quote.len_utf8() + length;
        let (open, close) =
            (self.span(start, start + quote.len_utf8()), self.span(close, close + end.len_utf8()));
        let mut finding = Diagnostic::new(
            Code::E0003,
            open.to(close),
            format!("`{quote}{inner}{end}` stands in typographic quotes"),
        )
        .label("write straight quotes: `\"`")
        .fix("write straight quotes", open, "\"");
        if end != '"' {
            finding = finding.fix("", close, "\"");
        }
        self.findings.push(finding);
        self.lost.push(open.to(close));
        self.hidden_in(start + quote.len_utf8(), inner, true);
        self.replace(quote.len_utf8(), "\"");
        self.at += length;
        self.replace(end.len_utf8(), "\"");
    }

    // ------------------------------------------------------------ brackets

    fn open(&mut self) {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            self.open.push(self.text.as_bytes()[self.at]);
        }
        if self.depth > MAX_DEPTH && self.too_deep.is_none() {
            self.too_deep = Some(self.at);
        }
        self.at += 1;
    }

    fn close(&mut self) {
        self.at += 1;
        if self.depth <= MAX_DEPTH {
            self.open.pop();
        }
        self.depth = self.depth.saturating_sub(1);
        if self.depth == MAX_DEPTH {
            self.end_too_deep();
        }
    }

    /// Takes everything since the bracket that was one too many out of the clean copy.
    fn end_too_deep(&mut self) {
        let Some(start) = self.too_deep.take() else { return };
        let end = self.at;
        let span = self.span(start, end);
        self.findings.push(
            Diagnostic::new(
                Code::E0001,
                self.span(start, start + 1),
                format!("this is nested more than {MAX_DEPTH} brackets deep"),
            )
            .label("not read from here")
            .help("split the journey into stages, or move a part into a journey of its own"),
        );
        self.lost.push(span);
        // the brackets stay, so that the line they stand in can be read
        let open = &self.text[start..=start];
        let closed = self.text[..end].ends_with(['}', ']', ')']) && end > start + 1;
        let end = if closed { end - 1 } else { end };
        let start = start + 1;
        let inside = if open == "(" { "0" } else { "" };
        // whatever was replaced in between is not needed either
        let clean_start = match self.moves.partition_point(|(_, o)| *o as usize <= start).checked_sub(1) {
            Some(at) => self.moves[at].0 as usize + (start - self.moves[at].1 as usize),
            None => start,
        };
        if self.kept > start {
            self.clean.truncate(clean_start);
            self.moves.retain(|(_, o)| (*o as usize) < start);
            self.kept = start;
        }
        let at = self.at;
        self.at = start;
        self.replace(end - start, inside);
        self.at = at;
    }

    // ------------------------------------------------------------ figures

    /// A word or number of plain letters and digits, and whether it is one that is written otherwise here.
    fn plain_word(&mut self) {
        let start = self.at;
        let rest = self.rest_of_line(start);
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let end = start + length;
        if self.text[end..].chars().next().is_some_and(|c| !c.is_ascii() && c.is_alphabetic()) {
            // the letter that follows takes the whole word
            self.at = end;
            return;
        }
        let before = self.text[..start].chars().next_back().unwrap_or(' ');
        if matches!(before, '.' | '_' | '-' | ':' | '/') || self.too_deep.is_some() {
            self.at = end;
            return;
        }
        let line = tail(&self.text[self.line_start..start]);
        let rest = head(rest);
        let figure = if rest.starts_with(|c: char| c.is_ascii_digit()) {
            figures::number(line, rest, matches!(self.open.last(), Some(b'[' | b'(')))
        } else {
            figures::day(line, &self.text[start..end])
        };
        match figure {
            Some(figure) => self.figure(figure),
            None => self.at = end,
        }
    }

    fn currency(&mut self, sign: char) {
        let rest = head(self.rest_of_line(self.at));
        match figures::currency(rest).filter(|_| self.too_deep.is_none()) {
            Some(figure) => self.figure(figure),
            None => self.at += sign.len_utf8(),
        }
    }

    fn figure(&mut self, figure: Figure) {
        let Figure { length, read, message, way } = figure;
        let span = self.span(self.at, self.at + length);
        let finding = Diagnostic::new(Code::E0001, span, message);
        let title = if read.is_empty() { "leave it out".to_owned() } else { format!("write `{read}`") };
        self.findings.push(match way {
            Way::Write => finding.label(title.clone()).fix(title, span, read.clone()),
            Way::Suggest => finding.label(title.clone()).suggest(title, span, read.clone()),
            Way::Ask(help) => finding.help(help),
        });
        self.lost.push(span);
        self.replace(length, &read);
    }

    // ------------------------------------------------------------ characters from elsewhere

    fn foreign(&mut self, c: char) {
        let length = c.len_utf8();
        let span = self.span(self.at, self.at + length);
        if is_double_quote(c) || is_single_quote(c) {
            self.quotes(c);
        } else if is_dash(c) {
            self.findings.push(
                Diagnostic::new(Code::E0003, span, format!("`{c}` is a typographic dash"))
                    .label("write `-`")
                    .fix("write `-`", span, "-"),
            );
            self.lost.push(span);
            self.replace(length, "-");
        } else if is_space(c) {
            let message = format!("a blank that is not a plain blank ({})", code_point(c));
            self.findings.push(
                Diagnostic::new(Code::W0004, span, message)
                    .label("looks like a blank")
                    .help("such blanks come from word processors and web pages")
                    .fix("write a plain blank", span, " "),
            );
            self.replace(length, " ");
        } else if is_invisible(c) || is_direction(c) {
            self.tell_hidden(span, c);
            self.replace(length, "");
        } else if c.is_alphabetic() {
            self.word();
        } else {
            self.at += length;
        }
    }

    /// A word with letters that no name may have: read as the word that was probably meant.
    fn word(&mut self) {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let before = self.text[self.kept.min(self.at)..self.at].rfind(|c| !is_part(c));
        let base = self.kept.min(self.at);
        let start = before
            .map_or(base, |at| at + base + self.text[at + base..].chars().next().map_or(1, char::len_utf8));
        let word: &'a str = {
            let rest = &self.text[start..];
            &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())]
        };
        let mut plain = String::new();
        let mut confusing = None;
        for c in word.chars() {
            match (c.is_ascii(), look_alike(c), plain_letters(c)) {
                (true, ..) => plain.push(c),
                (_, Some(ascii), _) => {
                    confusing.get_or_insert(c);
                    plain.push(ascii);
                }
                (_, None, Some(letters)) => plain.push_str(letters),
                (_, None, None) => {
                    self.at = start + word.len();
                    return;
                }
            }
        }
        let span = self.span(start, start + word.len());
        // `für` is a word of the language, written in German
        let german = match super::german::meant(word) {
            [ours] if confusing.is_none() && !ours.contains(' ') => Some(*ours),
            _ => None,
        };
        if let Some(ours) = german {
            plain = ours.to_owned();
        }
        let finding = match confusing {
            _ if german.is_some() => {
                Diagnostic::new(Code::E0001, span, format!("`{word}` is German, and the language is English"))
                    .label(format!("did you mean `{plain}`?"))
            }
            Some(c) => Diagnostic::new(
                Code::W0004,
                span,
                format!(
                    "`{word}` holds a letter of another alphabet that looks like a Latin one ({})",
                    code_point(c)
                ),
            )
            .label(format!("read as `{plain}`")),
            None => Diagnostic::new(Code::E0001, span, format!("`{word}` is not a name"))
                .label("names are made of the letters a to z, digits and `_`"),
        };
        let title = format!("write `{plain}`");
        // `geburtstag_für` may be called so outside as well, and then another name is wanted
        self.findings.push(match confusing {
            Some(_) => finding.fix(title, span, plain.clone()),
            None => finding.suggest(title, span, plain.clone()),
        });
        self.lost.push(span);
        self.at = start;
        self.replace(word.len(), &plain);
    }

    /// Characters in a text or comment that hide something from its reader.
    fn hidden_in(&mut self, start: usize, text: &str, in_text: bool) {
        if text.is_ascii() {
            return;
        }
        for (at, c) in text.char_indices() {
            if is_direction(c)
                || in_text && is_invisible(c) && !matches!(c, '\u{200c}' | '\u{200d}' | '\u{ad}')
            {
                let at = start + at + usize::from(in_text && self.text[start..].starts_with('"'));
                self.tell_hidden(self.span(at, at + c.len_utf8()), c);
            }
        }
    }

    fn tell_hidden(&mut self, span: Span, c: char) {
        let what =
            if is_direction(c) { "turns the direction of the text around it" } else { "cannot be seen" };
        self.findings.push(
            Diagnostic::new(Code::W0004, span, format!("a character here {what} ({})", code_point(c)))
                .label("the text is not what it looks like")
                .fix("take it out", span, ""),
        );
    }
}

/// As much of a line as a figure is judged by; a line may be as long as a file.
const AROUND: usize = 160;

fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(AROUND)]
}

fn tail(text: &str) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(AROUND))..]
}

/// The length of the text up to its closing quote, if it is closed on this line.
fn quoted(line: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at),
            _ => {}
        }
    }
    None
}
