//! The one canonical layout of a journey file.
//!
//! The tree is printed anew: one statement a line, two blanks a level, at most one empty line, clauses in one order,
//! records on one line up to 100 columns. Comments go with the line they stand above or behind. What could not be read is
//! copied as it is. Before anything is handed out, the result is read again: tree, comments and words must be those of
//! the original, else the formatter refuses.

use std::fmt;

use crate::diagnostic::{Code, Diagnostic, FileId, Span};
use crate::lang::ast::{Comment, File};
use crate::lang::parse;

mod branches;
mod clauses;
mod exprs;
mod items;
mod journeys;
mod layout;
mod printer;
mod steps;

/// The formatter would have changed more than the layout, so it changed nothing. This is a mistake in the formatter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// The result would be read as another tree.
    Tree,
    /// A comment would be lost, changed or moved past another.
    Comments,
    /// A word would be lost or changed.
    Words,
    /// The result would have other mistakes.
    Findings,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            FormatError::Tree => "its meaning",
            FormatError::Comments => "a comment",
            FormatError::Words => "a word",
            FormatError::Findings => "what is wrong with it",
        };
        write!(f, "the file was left as it is, because formatting would have changed {what}")
    }
}

impl std::error::Error for FormatError {}

/// The file in canonical layout. Statements that cannot be read stay as they are.
pub fn format(text: &str) -> Result<String, FormatError> {
    let read = parse::read(FileId(0), text, true);
    let formatted = printer::print(text, &read.file, &read.lost);
    if formatted != text {
        check(text, &read.findings, &formatted)?;
    }
    Ok(formatted)
}

/// Whether the two texts say the same.
fn check(text: &str, findings: &[Diagnostic], formatted: &str) -> Result<(), FormatError> {
    let before = parse::read(FileId(0), text, false).file;
    let after = parse::read(FileId(0), formatted, false);
    if sayings(&before) != sayings(&after.file) {
        return Err(FormatError::Comments);
    }
    if (without_comments(before)) != without_comments(after.file) {
        return Err(FormatError::Tree);
    }
    if codes(findings) != codes(&after.findings) {
        return Err(FormatError::Findings);
    }
    if words(text) != words(formatted) {
        return Err(FormatError::Words);
    }
    Ok(())
}

fn sayings(file: &File) -> Vec<&str> {
    file.comments.iter().map(|c| c.text.as_str()).collect()
}

fn without_comments(file: File) -> File {
    File { comments: Vec::new(), ..file }
}

/// The findings by code, without those on the layout itself.
fn codes(findings: &[Diagnostic]) -> Vec<Code> {
    let mut codes: Vec<Code> =
        findings.iter().map(|f| f.code).filter(|c| !matches!(c, Code::I0005 | Code::W0004)).collect();
    codes.sort();
    codes
}

/// All words and signs of a text in some order, but for those that the layout decides: commas, brackets around
/// expressions, the plural of units, and line ends.
fn words(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let mut found = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        loop {
            rest = rest.trim_start_matches(|c: char| !c.is_ascii_graphic() && !c.is_alphanumeric());
            let Some(first) = rest.chars().next() else { break };
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            let (word, after) = rest.split_at(length);
            rest = after;
            match word {
                "," | "(" | ")" => {}
                "times" => found.push("time"),
                _ => {
                    const UNITS: [&str; 7] = ["second", "minute", "hour", "day", "week", "month", "year"];
                    split_number(word, |part| {
                        let unit = part.strip_suffix('s').filter(|unit| UNITS.contains(unit));
                        found.push(unit.unwrap_or(part));
                    });
                }
            }
        }
    }
    found.sort_unstable();
    found
}

/// `30days` is two words.
fn split_number<'a>(word: &'a str, mut each: impl FnMut(&'a str)) {
    let digits = word.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '_')).unwrap_or(word.len());
    if digits > 0 && word.starts_with(|c: char| c.is_ascii_digit()) && digits < word.len() {
        each(&word[..digits]);
        each(&word[digits..]);
    } else {
        each(word);
    }
}

/// Whether a comment stands in a stretch of text.
fn is_within(comment: &Comment, span: Span) -> bool {
    span.start <= comment.span.start && comment.span.start < span.end
}
