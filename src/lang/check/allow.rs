//! `# allow W0404: why` on the line above silences a finding; one that silences nothing is told.

use super::findings::finding;
use crate::diagnostic::{Code, Diagnostic, FileId, Severity, Sources, Span};
use crate::lang::ast;

/// One code of one comment.
struct Allow {
    code: Option<Code>,
    word: String,
    span: Span,
    /// The line that it speaks of.
    line: u32,
    used: bool,
}

/// Takes out the findings that comments allow, and adds a finding for each comment that allows nothing.
pub fn suppress(sources: &Sources, files: &[(FileId, ast::File)], findings: &mut Vec<Diagnostic>) {
    let mut allows: Vec<Allow> =
        files.iter().flat_map(|(file, tree)| in_file(sources, *file, &tree.comments)).collect();
    findings.retain(|finding| {
        let span = sources.shown(finding.primary.span);
        let (line, _) = sources.line_col(span.file, span.start);
        let mut silenced = false;
        for allow in &mut allows {
            if allow.span.file == span.file && allow.line == line && allow.code == Some(finding.code) {
                allow.used = true;
                silenced |= finding.severity() != Severity::Error;
            }
        }
        !silenced
    });
    findings.extend(allows.iter().filter_map(unused));
}

fn in_file(sources: &Sources, file: FileId, comments: &[ast::Comment]) -> Vec<Allow> {
    let mut allows = Vec::new();
    for comment in comments.iter().filter(|comment| comment.own_line) {
        let Some(rest) = comment.text.trim_start_matches('#').trim_start().strip_prefix("allow ") else {
            continue;
        };
        let (own, _) = sources.line_col(file, comment.span.start);
        let line = (own + 1..=sources.line_count(file))
            .find(|line| !sources.line(file, *line).trim_start().starts_with('#'))
            .unwrap_or(own + 1);
        let codes = rest.split_once(':').map_or(rest, |(codes, _)| codes);
        for word in codes.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty()) {
            allows.push(Allow {
                code: Code::parse(word),
                word: word.to_owned(),
                span: comment.span,
                line,
                used: false,
            });
        }
    }
    allows
}

fn unused(allow: &Allow) -> Option<Diagnostic> {
    let word = &allow.word;
    let (message, help) = match allow.code {
        None => (format!("there is no finding `{word}` to allow"), "write a code such as `W0417`"),
        Some(code) if code.severity() == Severity::Error => (
            format!("`{word}` is an error, and errors cannot be allowed"),
            "mend it, and leave the comment out",
        ),
        Some(_) if !allow.used => {
            (format!("nothing in the next line needs `allow {word}`"), "leave the comment out")
        }
        Some(_) => return None,
    };
    Some(finding(Code::W0109, allow.span, message).label("allows nothing").help(help))
}
