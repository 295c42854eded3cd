//! The findings of a run, and the words that all checks use for what they often say.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Code, Diagnostic, FileId, Severity, Sources, Span, suggest};
use crate::lang::ast::{self, Name};

/// Longer lists are not read by anybody.
const MOST_SHOWN: usize = 8;

/// See [`bound`].
const MOST_IN_FILE: usize = 200;

/// Findings in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) list: Vec<Diagnostic>,
    errors: usize,
}

impl Findings {
    /// Keeps a finding.
    pub(super) fn push(&mut self, finding: Diagnostic) {
        self.errors += usize::from(finding.severity() == Severity::Error);
        self.list.push(finding);
    }

    /// How many errors there are so far.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }
}

/// Takes out notes on lines that have an error: what is meant there is not certain yet.
pub fn quiet_notes(sources: &Sources, findings: &mut Vec<Diagnostic>) {
    let line = |finding: &Diagnostic| {
        let span = finding.primary.span;
        (span.file, sources.line_col(span.file, span.start).0)
    };
    let errors: BTreeSet<_> = findings.iter().filter(|f| f.severity() == Severity::Error).map(line).collect();
    findings.retain(|finding| finding.severity() != Severity::Note || !errors.contains(&line(finding)));
}

/// Takes out that a test can never pass (E1003) where another mistake in it says why.
pub fn quiet_tests(tests: &[ast::Test], findings: &mut Vec<Diagnostic>) {
    let place = |test: &ast::Test| test.lines.iter().fold(test.span, |whole, line| whole.to(line.span));
    let is_cause =
        |finding: &Diagnostic| finding.severity() == Severity::Error && finding.code != Code::E1003;
    let broken: Vec<Span> = (tests.iter().map(place))
        .filter(|place| {
            findings.iter().any(|finding| is_cause(finding) && place.contains(finding.primary.span))
        })
        .collect();
    let follows = |finding: &Diagnostic| {
        finding.code == Code::E1003 && broken.iter().any(|place| place.contains(finding.primary.span))
    };
    findings.retain(|finding| !follows(finding));
}

/// A name that is unknown is told once in a file, with the other lines where it stands. Expects findings in order.
pub fn tell_names_once(sources: &Sources, findings: &mut Vec<Diagnostic>) {
    let mut first: BTreeMap<(FileId, Code, String), usize> = BTreeMap::new();
    let mut kept: Vec<(Diagnostic, Vec<u32>)> = Vec::new();
    for finding in findings.drain(..) {
        let span = finding.primary.span;
        let is_name = matches!(finding.code, Code::E0101 | Code::E0110 | Code::E0801);
        let key = (span.file, finding.code, finding.message.clone());
        match first.get(&key).filter(|_| is_name) {
            Some(at) => {
                let (kept, lines) = &mut kept[*at];
                lines.push(sources.line_col(span.file, span.start).0);
                if let (Some(fix), Some(more)) = (&mut kept.fix, finding.fix) {
                    fix.edits.extend(more.edits);
                }
            }
            None => {
                first.insert(key, kept.len());
                kept.push((finding, Vec::new()));
            }
        }
    }
    findings.extend(kept.into_iter().map(|(finding, mut lines)| {
        lines.dedup();
        match lines.as_slice() {
            [] => finding,
            [one] => finding.note(format!("the same in line {one}")),
            _ => {
                let shown: Vec<String> = lines.iter().take(MOST_SHOWN).map(u32::to_string).collect();
                let more = if lines.len() > MOST_SHOWN { " …" } else { "" };
                finding.note(format!("the same in lines {}{more}", shown.join(", ")))
            }
        }
    }));
}

/// Leaves out what follows the first two hundred errors of a file: nobody reads on, and mending those changes the rest.
/// Expects findings in order.
pub fn bound(findings: &mut Vec<Diagnostic>) {
    let mut errors: BTreeMap<FileId, (usize, usize)> = BTreeMap::new();
    for finding in &*findings {
        let (count, _) = errors.entry(finding.primary.span.file).or_default();
        *count += usize::from(finding.severity() == Severity::Error);
    }
    errors.retain(|_, (count, _)| *count > MOST_IN_FILE);
    if errors.is_empty() {
        return;
    }
    findings.retain_mut(|finding| {
        let Some((count, kept)) = errors.get_mut(&finding.primary.span.file) else { return true };
        if *kept == MOST_IN_FILE {
            return false;
        }
        *kept += usize::from(finding.severity() == Severity::Error);
        if *kept == MOST_IN_FILE {
            finding
                .notes
                .push(format!("{} more errors follow in this file; mend these first", *count - *kept));
        }
        true
    });
}

/// A finding without anything else.
pub(super) fn finding(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(code, span, message)
}

/// A name that is declared nowhere: the near miss with its fix, else what there is.
pub(super) fn unknown<'n>(
    code: Code,
    noun: &str,
    name: &Name,
    candidates: impl IntoIterator<Item = &'n str>,
) -> Diagnostic {
    let all: Vec<&str> = candidates.into_iter().collect();
    let near = suggest::did_you_mean(&name.text, all.iter().copied());
    let message = format!("there is no {noun} `{}`", name.text);
    let made = with_near_miss(
        Diagnostic::new(code, name.span, message).label("not declared"),
        near,
        &all,
        name.span,
    );
    match (&made.help, all.len()) {
        (Some(_), _) => made,
        (None, 0) => made.help(format!("no {noun} is declared yet")),
        (None, _) => made.help(format!(
            "declare it first, or take one of those there are: {} …",
            suggest::nearest(&name.text, all, MOST_SHOWN).join(", ")
        )),
    }
}

/// Adds the help for an unknown word: the near miss with its fix, else the list of what is possible.
pub(super) fn with_near_miss(
    finding: Diagnostic,
    near: Option<&str>,
    all: &[&str],
    span: Span,
) -> Diagnostic {
    match near {
        Some(near) => {
            finding.help(format!("did you mean `{near}`?")).suggest(format!("write `{near}`"), span, near)
        }
        None if all.len() == 1 => finding.help(format!("there is only `{}`", all[0])),
        None if (2..=MOST_SHOWN).contains(&all.len()) => {
            finding.help(format!("possible are {}", all.join(", ")))
        }
        None => finding,
    }
}

/// A name that stands twice in one place of names.
pub(super) fn twice(noun: &str, name: &Name, first: Span) -> Diagnostic {
    Diagnostic::new(Code::E0102, name.span, format!("{noun} `{}` is declared twice", name.text))
        .label("declared again")
        .related(first, "declared here first")
        .help("give one of them another name")
}

/// A form of a later release.
pub(super) fn not_yet(span: Span, what: &str) -> Diagnostic {
    Diagnostic::new(Code::E0009, span, format!("{what} is not available yet"))
        .label("a form of a later release")
        .help("leave it out for now; `fahrplan explain E0009` says what there is instead")
}
