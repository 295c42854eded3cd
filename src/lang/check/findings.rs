//! The findings of a run, and the words that all checks use for what they often say.

use crate::diagnostic::{Code, Diagnostic, Severity, Span, suggest};
use crate::lang::ast::Name;

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
    with_near_miss(Diagnostic::new(code, name.span, message).label("not declared"), near, &all, name.span)
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
            finding.help(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), span, near)
        }
        None if (1..=8).contains(&all.len()) => finding.help(format!("possible are {}", all.join(", "))),
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
