//! Findings for the annotations of code hosts: GitHub workflow commands and GitLab code quality.

use std::collections::HashMap;

use serde_json::json;

use super::json::Place;
use super::{Diagnostic, Severity, Sources};

/// One workflow command a finding, which GitHub shows beside the line.
pub fn github(sources: &Sources, findings: &[Diagnostic]) -> String {
    findings.iter().map(|finding| github_line(sources, finding) + "\n").collect()
}

fn github_line(sources: &Sources, finding: &Diagnostic) -> String {
    let command = match finding.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let place = Place::shown(sources, finding.primary.span);
    let mut at = match place.file {
        "" => String::new(),
        file => format!("file={},line={},endLine={},", property(file), place.line, place.end_line),
    };
    // GitHub refuses columns for a stretch of several lines.
    if !at.is_empty() && place.line == place.end_line {
        at += &format!("col={},endColumn={},", place.column, place.end_column);
    }
    let title = format!("{} {}", finding.code, finding.code.name());
    format!("::{command} {at}title={}::{}", property(&title), data(&full_text(finding)))
}

/// A code quality report: one JSON array. A fingerprint does not depend on the line, so a finding that only moves is
/// not a new one.
pub fn gitlab(sources: &Sources, findings: &[Diagnostic]) -> String {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let report: Vec<_> = findings
        .iter()
        .map(|finding| {
            let place = Place::shown(sources, finding.primary.span);
            let same = format!("{}\n{}\n{}", place.file, finding.code, finding.message);
            let count = seen.entry(same.clone()).or_default();
            *count += 1;
            json!({
                "description": full_text(finding),
                "check_name": format!("{} {}", finding.code, finding.code.name()),
                "fingerprint": blake3::hash(format!("{same}\n{count}").as_bytes()).to_hex().as_str(),
                "severity": gitlab_severity(finding.severity()),
                "location": {
                    "path": place.file.replace('\\', "/"),
                    "lines": { "begin": place.line, "end": place.end_line },
                },
            })
        })
        .collect();
    serde_json::Value::from(report).to_string() + "\n"
}

fn gitlab_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "major",
        Severity::Warning => "minor",
        Severity::Note => "info",
    }
}

/// Message, facts and help, one a line.
pub(super) fn full_text(finding: &Diagnostic) -> String {
    let mut text = finding.message.clone();
    for note in &finding.notes {
        text = text + "\n" + note;
    }
    if let Some(help) = &finding.help {
        text = text + "\nhelp: " + help;
    }
    text
}

/// The escapes are those of the workflow command syntax.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, FileId, Span};

    fn sources() -> Sources {
        let mut sources = Sources::new();
        sources.add("a,b.journey".into(), "wait 2 dyas\nexit as done\n".into());
        sources
    }

    #[test]
    fn github_gets_one_escaped_command_a_finding() {
        let found = [
            Diagnostic::new(Code::E0001, Span::new(FileId(0), 7, 11), "50% of: it").help("mend\nit"),
            Diagnostic::new(Code::I0408, Span::new(FileId(0), 7, 20), "two lines"),
            Diagnostic::new(Code::W0405, Span::new(FileId(7), 7, 20), "no file"),
        ];
        let expected = "\
::error file=a%2Cb.journey,line=1,endLine=1,col=8,endColumn=12,title=E0001 unreadable-statement::50%25 of: it%0Ahelp: mend%0Ait
::notice file=a%2Cb.journey,line=1,endLine=2,title=I0408 waiting-for-the-past::two lines
::warning title=W0405 clock-change::no file
";
        assert_eq!(github(&sources(), &found), expected);
    }

    #[test]
    fn gitlab_fingerprints_survive_a_move_and_differ_between_twins() {
        let at = |start| Diagnostic::new(Code::E0001, Span::at(FileId(0), start), "x");
        let read = |found: &[Diagnostic]| -> serde_json::Value {
            serde_json::from_str(&gitlab(&sources(), found)).expect("JSON")
        };
        let (two, moved) = (read(&[at(0), at(13)]), read(&[at(13)]));
        assert_eq!(two[0]["fingerprint"], moved[0]["fingerprint"]);
        assert_ne!(two[0]["fingerprint"], two[1]["fingerprint"]);
        assert_eq!(two[1]["location"]["lines"]["begin"], 2);
        assert_eq!(two[0]["severity"], "major");
        assert_eq!(two[0]["check_name"], "E0001 unreadable-statement");
    }
}
