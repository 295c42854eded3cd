//! Findings as JSON lines: one object a finding, for scripts and editors. The field names are an interface.

use serde::Serialize;

use super::{Diagnostic, Label, Sources, Span};

/// A span in every form that a program may want: bytes from 0, lines and columns from 1, ends exclusive.
#[derive(Debug, Serialize)]
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) end_line: u32,
    pub(super) end_column: u32,
    start: u32,
    end: u32,
}

impl<'a> Place<'a> {
    /// The place of an edit, exactly as given.
    pub(super) fn exact(sources: &'a Sources, span: Span) -> Place<'a> {
        let (line, column) = sources.line_col(span.file, span.start);
        let (end_line, end_column) = sources.line_col(span.file, span.end);
        let Span { file, start, end } = span;
        Place { file: sources.path(file), line, column, end_line, end_column, start, end }
    }

    /// The place of a finding, where a reader looks for it.
    pub(super) fn shown(sources: &'a Sources, span: Span) -> Place<'a> {
        Place::exact(sources, sources.shown(span))
    }
}

#[derive(Serialize)]
struct Finding<'a> {
    code: &'a str,
    name: &'a str,
    severity: &'a str,
    message: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
    label: &'a str,
    related: Vec<Related<'a>>,
    notes: &'a [String],
    help: Option<&'a str>,
    fix: Option<FixOut<'a>>,
}

#[derive(Serialize)]
struct Related<'a> {
    text: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
}

#[derive(Serialize)]
struct FixOut<'a> {
    title: &'a str,
    certain: bool,
    edits: Vec<Related<'a>>,
}

/// One finding as one line of JSON, without the line end.
pub fn line(sources: &Sources, finding: &Diagnostic) -> String {
    let related = |label: &'_ Label| -> Place<'_> { Place::shown(sources, label.span) };
    let out = Finding {
        code: finding.code.as_str(),
        name: finding.code.name(),
        severity: finding.severity().as_str(),
        message: &finding.message,
        place: Place::shown(sources, finding.primary.span),
        label: &finding.primary.text,
        related: finding.related.iter().map(|l| Related { text: &l.text, place: related(l) }).collect(),
        notes: &finding.notes,
        help: finding.help.as_deref(),
        fix: finding.fix.as_ref().map(|fix| FixOut {
            title: &fix.title,
            certain: fix.certain,
            edits: fix
                .edits
                .iter()
                .map(|e| Related { text: &e.text, place: Place::exact(sources, e.span) })
                .collect(),
        }),
    };
    serde_json::to_string(&out).expect("text and numbers are always JSON")
}

/// All findings, one line each.
pub fn lines(sources: &Sources, findings: &[Diagnostic]) -> String {
    findings.iter().map(|finding| line(sources, finding) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, FileId};

    #[test]
    fn a_finding_is_one_object_with_places_in_bytes_and_in_lines() {
        let mut sources = Sources::new();
        let file = sources.add("a.journey".into(), "# ü\nwait 2 dyas\n".into());
        let span = Span::new(file, 12, 16);
        let finding = Diagnostic::new(Code::E0001, span, "I expected a unit")
            .label("not \"a\" unit")
            .related(Span::new(file, 0, 1), "see")
            .note("fact")
            .help("did you mean `days`?")
            .fix("write `days`", span, "days");
        let expected = concat!(
            r#"{"code":"E0001","name":"unreadable-statement","severity":"error","message":"I expected a unit","#,
            r#""file":"a.journey","line":2,"column":8,"end_line":2,"end_column":12,"start":12,"end":16,"#,
            r#""label":"not \"a\" unit","related":[{"text":"see","file":"a.journey","line":1,"column":1,"end_line":1,"#,
            r#""end_column":2,"start":0,"end":1}],"notes":["fact"],"help":"did you mean `days`?","fix":{"title":"#,
            r#""write `days`","certain":true,"edits":[{"text":"days","file":"a.journey","line":2,"column":8,"end_line":2,"#,
            r#""end_column":12,"start":12,"end":16}]}}"#,
        );
        assert_eq!(lines(&sources, &[finding]), format!("{expected}\n"));
    }

    #[test]
    fn what_is_missing_is_null_or_empty() {
        let finding = Diagnostic::new(Code::W0108, Span::at(FileId(9), 3), "x");
        let value: serde_json::Value = serde_json::from_str(&line(&Sources::new(), &finding)).expect("JSON");
        assert_eq!((&value["help"], &value["fix"]), (&serde_json::Value::Null, &serde_json::Value::Null));
        assert_eq!((&value["file"], &value["line"]), (&"".into(), &1.into()));
    }
}
