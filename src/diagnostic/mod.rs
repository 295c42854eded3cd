//! What authors of journeys are told: one type for every finding, whoever makes it and however it is shown.
//!
//! A check builds a [`Diagnostic`] and goes on; commands collect them, [`tidy`] them, and hand them to a renderer.
//! The code decides the severity, so a finding cannot disagree with its letter.
//!
//! - `source`: files as text, spans, lines and columns
//! - `codes`: the table of all codes; `explain`: what each means, with an example
//! - `fix`: applies fixes, and says which are certain; `suggest`: the near miss
//! - `render`: text for people; `json`, `sarif`, `ci`: the same for programs

mod codes;
mod fix;
mod source;

pub mod ci;
pub mod explain;
pub mod json;
pub mod render;
pub mod sarif;
pub mod suggest;

pub use codes::{Code, Group};
pub use explain::explain;
pub use fix::{Fixed, apply_fixes, trust_slips};
pub use render::{Look, concise, render, render_all, summary};
pub use source::{FileId, Sources, Span};
pub use suggest::did_you_mean;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Blocks a deploy.
    Error,
    /// Blocks where warnings are denied.
    Warning,
    /// Tells what the author may not have thought of.
    Note,
}

impl Severity {
    /// The word that stands before the code.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A place and what is said about it; the text may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is said about the place.
    pub text: String,
}

/// One replacement of text; an empty span inserts, an empty text deletes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edit {
    /// What is replaced.
    pub span: Span,
    /// What stands there instead.
    pub text: String,
}

/// A change that mends a finding; applied as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fix {
    /// What the change does, as the title of an action: "write `days`".
    pub title: String,
    /// The replacements, which do not overlap.
    pub edits: Vec<Edit>,
    /// Whether nobody has to think: it can only have been meant so. What is not certain is offered and never applied
    /// by a command.
    pub certain: bool,
}

/// One finding, with everything that any of the renderers shows.
///
/// The message is one sentence without a period; what the author wrote stands in backticks in it. The label says
/// what is wrong at the place, the help says what to do.
///
/// ```
/// use fahrplan::diagnostic::{Code, Diagnostic, FileId, Span};
/// let span = Span::new(FileId(0), 10, 14);
/// let finding = Diagnostic::new(Code::E0001, span, "I expected a unit after `2`")
///     .label("not a unit")
///     .help("did you mean `days`?")
///     .fix("write `days`", span, "days");
/// assert_eq!(finding.code.as_str(), "E0001");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Which check found it.
    pub code: Code,
    /// The headline.
    pub message: String,
    /// Where it is; every list of findings is ordered by this place.
    pub primary: Label,
    /// Up to two other places that one must see to understand it, in other files too.
    pub related: Vec<Label>,
    /// Further facts, such as the path through the journey.
    pub notes: Vec<String>,
    /// What the author can do.
    pub help: Option<String>,
    /// The change that a tool may make by itself.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A finding without label, notes or help.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            message: message.into(),
            primary: Label { span, text: String::new() },
            related: Vec::new(),
            notes: Vec::new(),
            help: None,
            fix: None,
        }
    }

    /// Says what is wrong at the primary place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Diagnostic {
        self.primary.text = text.into();
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.related.push(Label { span, text: text.into() });
        self
    }

    /// Adds a fact, such as `path without consent: …`.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }

    /// Adds a replacement that mends it and that can only have been meant. Called again, it adds an edit to the same fix
    /// and keeps the first title.
    #[must_use]
    pub fn fix(self, title: impl Into<String>, span: Span, text: impl Into<String>) -> Diagnostic {
        self.replacement(title.into(), span, text.into(), true)
    }

    /// Adds a replacement that may mend it: one of several ways out, or a guess at what was meant.
    #[must_use]
    pub fn suggest(self, title: impl Into<String>, span: Span, text: impl Into<String>) -> Diagnostic {
        self.replacement(title.into(), span, text.into(), false)
    }

    fn replacement(mut self, title: String, span: Span, text: String, certain: bool) -> Diagnostic {
        let fix = self.fix.get_or_insert_with(|| Fix { title, edits: Vec::new(), certain });
        fix.edits.push(Edit { span, text });
        fix.certain &= certain;
        self
    }

    /// Whether a command may mend it without asking.
    pub fn is_mendable(&self) -> bool {
        self.fix.as_ref().is_some_and(|fix| fix.certain)
    }

    /// The severity, which is that of the code.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

/// Orders findings by file, start and code, and drops those that say the same at the same place. Findings that are
/// equal in all three keep the order in which they were made.
pub fn tidy(findings: &mut Vec<Diagnostic>) {
    findings.sort_by_key(|d| (d.primary.span.file, d.primary.span.start, d.code));
    let mut seen = std::collections::HashSet::new();
    findings.retain(|d| seen.insert((d.code, d.primary.span, d.message.clone())));
}

/// How many findings there are of each severity: errors, warnings, notes.
pub fn count(findings: &[Diagnostic]) -> [usize; 3] {
    let mut counts = [0; 3];
    for finding in findings {
        counts[finding.severity() as usize] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: u16, start: u32, code: Code, message: &str) -> Diagnostic {
        Diagnostic::new(code, Span::new(FileId(file), start, start + 1), message)
    }

    #[test]
    fn findings_are_ordered_by_place_and_told_once() {
        let mut findings = vec![
            at(1, 0, Code::E0101, "d"),
            at(0, 9, Code::W0109, "c"),
            at(0, 9, Code::E0101, "b"),
            at(0, 2, Code::I0005, "a"),
            at(0, 9, Code::E0101, "b2"),
            at(0, 9, Code::E0101, "b"),
        ];
        tidy(&mut findings);
        let order: Vec<_> = findings.iter().map(|d| d.message.as_str()).collect();
        assert_eq!(order, ["a", "b", "b2", "c", "d"]);
        assert_eq!(count(&findings), [3, 1, 1]);
    }

    #[test]
    fn fix_collects_edits_under_the_first_title() {
        let span = Span::new(FileId(0), 0, 1);
        let finding =
            at(0, 0, Code::E0007, "x").fix("move it", span, "").fix("again", span.shrink_to_end(), "y");
        let fix = finding.fix.expect("two edits were given");
        assert_eq!((fix.title.as_str(), fix.edits.len()), ("move it", 2));
    }
}
