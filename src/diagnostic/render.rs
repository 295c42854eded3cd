//! Findings as text for people: the line as written with carets under it, other places, facts, and the way out.

use std::borrow::Cow;

use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str,
};

use super::{Diagnostic, FileId, Label, Severity, Sources, Span, count};

/// How the text shall look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// With ANSI colors; for terminals only.
    pub color: bool,
    /// Columns that a source line may take before it is cut with `...`.
    pub width: usize,
}

impl Look {
    /// For pipes, files and tests: no colors, and lines cut only when they are very long.
    pub const PLAIN: Look = Look { color: false, width: 140 };
}

/// One finding as a block of lines, ending with a line end.
pub fn render(sources: &Sources, finding: &Diagnostic, look: Look) -> String {
    let renderer = if look.color { Renderer::styled() } else { Renderer::plain() };
    let title = level(finding.severity()).primary_title(one_line(&finding.message)).id(finding.code.as_str());
    let group = Group::with_title(title).elements(snippets(sources, finding));
    let group = finding
        .notes
        .iter()
        .fold(group, |group, note| group.element(Level::NOTE.no_name().message(harmless(note))));
    let group = match advice(finding) {
        Some(text) => group.element(Level::HELP.message(harmless(text))),
        None => group,
    };
    let mut text = renderer.term_width(look.width).render(&[group]);
    text.push('\n');
    text
}

/// All findings, with an empty line between two.
pub fn render_all(sources: &Sources, findings: &[Diagnostic], look: Look) -> String {
    findings.iter().map(|finding| render(sources, finding, look)).collect::<Vec<_>>().join("\n")
}

/// One finding on one line: `path:line:column: error[E0501] message`.
pub fn concise(sources: &Sources, finding: &Diagnostic) -> String {
    let span = sources.shown(finding.primary.span);
    let (line, column) = sources.line_col(span.file, span.start);
    let place = match sources.path(span.file) {
        "" => String::new(),
        path => format!("{}:{line}:{column}: ", one_line(path)),
    };
    let (severity, code) = (finding.severity().as_str(), finding.code);
    format!("{place}{severity}[{code}] {}", one_line(&finding.message))
}

/// The last line of a check: how many findings of each kind, and how to learn more or mend them. Empty if there are
/// none.
pub fn summary(findings: &[Diagnostic]) -> String {
    let words = [("error", "errors"), ("warning", "warnings"), ("note", "notes")];
    let counted: Vec<_> = std::iter::zip(count(findings), words)
        .filter(|(n, _)| *n > 0)
        .map(|(n, (one, many))| format!("{n} {}", if n == 1 { one } else { many }))
        .collect();
    let Some(worst) = findings.iter().min_by_key(|d| d.severity()) else { return String::new() };
    let fixes = match findings.iter().filter(|d| d.is_mendable()).count() {
        0 => String::new(),
        n => format!("; `fahrplan check --fix` mends {n} of them"),
    };
    format!("{}; `fahrplan explain {}` tells more about a code{fixes}", counted.join(", "), worst.code)
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    }
}

fn advice(finding: &Diagnostic) -> Option<&str> {
    let title = || finding.fix.as_ref().map(|fix| fix.title.as_str());
    // a label that says the same is read first
    let is_said = |title: &&str| {
        let word = title.strip_prefix("write ").unwrap_or(title);
        let missing = title.strip_prefix("add ").map(|word| format!("{word} is missing before this"));
        missing.is_some_and(|missing| finding.primary.text == missing)
            || finding.primary.text == *title
            || finding.primary.text == format!("did you mean {word}?")
    };
    finding.help.as_deref().or_else(|| title().filter(|title| !is_said(title)))
}

/// One snippet for each file, that of the primary place first.
fn snippets<'a>(sources: &'a Sources, finding: &'a Diagnostic) -> Vec<Snippet<'a, Annotation<'a>>> {
    let related = finding.related.iter().map(|label| (label, AnnotationKind::Context));
    let labels: Vec<_> =
        std::iter::once((&finding.primary, AnnotationKind::Primary)).chain(related).collect();
    let mut files: Vec<FileId> = Vec::new();
    for (label, _) in &labels {
        if usize::from(label.span.file.0) < sources.len() && !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    files.into_iter().map(|file| snippet(sources, file, &labels)).collect()
}

/// The renderer gets only the lines from the first to the last label, so a finding costs the same in a long file.
fn snippet<'a>(
    sources: &'a Sources,
    file: FileId,
    labels: &[(&'a Label, AnnotationKind)],
) -> Snippet<'a, Annotation<'a>> {
    let places: Vec<_> = labels
        .iter()
        .filter(|(label, _)| label.span.file == file)
        .map(|(label, kind)| (underlined(sources, label.span), label.text.as_str(), *kind))
        .collect();
    let line = |span: &Span| sources.line_col(file, span.start).0;
    let first = places.iter().map(|(span, ..)| line(span)).min().unwrap_or(1);
    let last = places.iter().map(|(span, ..)| line(span)).max().unwrap_or(1);
    let (start, end) = (sources.line_range(file, first).start, sources.line_range(file, last).end);
    let annotations = places.into_iter().map(|(span, text, kind)| {
        let range = (span.start as usize).max(start) - start..(span.end as usize).max(start) - start;
        kind.span(range).label((!text.is_empty()).then(|| one_line(text)))
    });
    Snippet::source(without_c1(&sources.text(file)[start..end]))
        .line_start(first as usize)
        .path(without_c1(sources.path(file)))
        .annotations(annotations)
}

/// What gets carets: the first line of the span, without the white space around it and without the line end.
fn underlined(sources: &Sources, span: Span) -> Span {
    let span = sources.shown(span);
    let trimmed = sources.trim(span);
    let span = if trimmed.is_empty() { span } else { trimmed };
    let line = sources.line_range(span.file, sources.line_col(span.file, span.start).0);
    let inside = |offset: u32| (offset as usize).clamp(line.start, line.end) as u32;
    Span::new(span.file, inside(span.start), inside(span.end))
}

/// Text on one line with nothing in it that a terminal obeys.
fn one_line(text: &str) -> String {
    let parts = text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty());
    harmless(&parts.collect::<Vec<_>>().join(" "))
}

/// Text in which control characters are only pictures of themselves; line ends stay.
fn harmless(text: &str) -> String {
    normalize_untrusted_str(&without_c1(text))
}

/// The second block of control characters, which the renderer lets through and some terminals obey. Their stand-in has
/// as many bytes, so offsets stay true.
fn without_c1(text: &str) -> Cow<'_, str> {
    let is_c1 = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    if text.contains(is_c1) { text.replace(is_c1, "¿").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnostic::Code;

    fn span(sources: &Sources, file: FileId, part: &str) -> Span {
        let start = sources.text(file).find(part).expect("the part stands in the text") as u32;
        Span::new(file, start, start + part.len() as u32)
    }

    fn one(text: &str, part: &str) -> (Sources, Diagnostic) {
        let mut sources = Sources::new();
        let file = sources.add("journeys/a.journey".into(), text.into());
        let span = span(&sources, file, part);
        (sources, Diagnostic::new(Code::E0001, span, "it cannot be read").label("here"))
    }

    fn plain(sources: &Sources, finding: &Diagnostic) -> String {
        render(sources, finding, Look::PLAIN)
    }

    #[test]
    fn two_files_a_path_and_help() {
        let mut sources = Sources::new();
        let journey = sources.add(
            "journeys/welcome.journey".into(),
            format!("{}      send email welcome_offer for marketing as hello_offer\n", "\n".repeat(24)),
        );
        let policies = sources.add(
            "policies.journey".into(),
            "policy house_rules {\n  consent marketing on email, sms\n}\n".into(),
        );
        let finding = Diagnostic::new(
            Code::E0501,
            span(&sources, journey, "send email welcome_offer"),
            "`welcome_offer` is a marketing mail, but not everybody who gets here has agreed to marketing",
        )
        .label("sent here")
        .related(span(&sources, policies, "consent marketing on email, sms"), "the rule")
        .note("path without consent: enter → confirm (l. 10) → hello_offer; nothing grants it")
        .help("ask first: record what the person agreed to");
        assert_eq!(
            plain(&sources, &finding),
            "\
error[E0501]: `welcome_offer` is a marketing mail, but not everybody who gets here has agreed to marketing
  --> journeys/welcome.journey:25:7
   |
25 |       send email welcome_offer for marketing as hello_offer
   |       ^^^^^^^^^^^^^^^^^^^^^^^^ sent here
   |
  ::: policies.journey:2:3
   |
 2 |   consent marketing on email, sms
   |   ------------------------------- the rule
   |
   = path without consent: enter → confirm (l. 10) → hello_offer; nothing grants it
   = help: ask first: record what the person agreed to
"
        );
        let line = "journeys/welcome.journey:25:7: error[E0501] `welcome_offer` is a marketing mail, but not everybody \
                    who gets here has agreed to marketing";
        assert_eq!(concise(&sources, &finding), line);
    }

    #[test]
    fn carets_stand_under_tabs_and_wide_characters() {
        let (sources, finding) = one("\tset contact.name = \"漢字\" 2 dyas\n", "dyas");
        let text = plain(&sources, &finding);
        assert!(text.contains("a.journey:1:28"), "{text}");
        assert!(text.contains("1 |     set contact.name = \"漢字\" 2 dyas\n"), "{text}");
        assert!(text.contains("  |                                 ^^^^ here\n"), "{text}");
    }

    #[test]
    fn a_place_at_the_end_of_the_file_is_shown_behind_the_last_word() {
        let (sources, mut finding) = one("journey a {\n  exit as done\n\n\n", "journey");
        finding.primary.span = Span::at(finding.primary.span.file, 99);
        let text = plain(&sources, &finding);
        assert!(text.contains("a.journey:2:15\n"), "{text}");
        assert!(text.contains("2 |   exit as done\n  |               ^ here\n"), "{text}");
        assert!(concise(&sources, &finding).starts_with("journeys/a.journey:2:15: "));
    }

    #[test]
    fn of_a_long_span_the_first_line_is_underlined() {
        let (sources, finding) =
            one("wait up to 1 day for x {\r\n  when x { }\r\n}\r\n", "wait up to 1 day for x {\r\n  when x");
        let text = plain(&sources, &finding);
        assert!(text.contains("1 | wait up to 1 day for x {\n  | ^^^^^^^^^^^^^^^^^^^^^^^^ here\n"), "{text}");
    }

    #[test]
    fn an_unknown_file_still_tells_the_finding() {
        let finding = Diagnostic::new(Code::W0405, Span::default(), "no file").note("a fact").fix(
            "do it",
            Span::default(),
            "",
        );
        let text = plain(&Sources::new(), &finding);
        assert!(text.starts_with("warning[W0405]: no file\n"), "{text}");
        assert!(text.contains("= a fact\n") && text.contains("= help: do it\n"), "{text}");
        assert_eq!(concise(&Sources::new(), &finding), "warning[W0405] no file");
    }

    #[test]
    fn what_stands_in_a_file_cannot_command_the_terminal() {
        let (sources, mut finding) = one("send \u{1b}[2J\u{202e} x\n", "x");
        let place = finding.primary.span;
        finding = finding.note("n\u{1b}[0m").help("h\u{7}").related(place, "r\n\u{1b}");
        finding.message = "two\nlines \u{1b}[31m".into();
        for text in [plain(&sources, &finding), concise(&sources, &finding)] {
            assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
            assert!(text.contains("two lines"), "{text:?}");
        }
    }

    #[test]
    fn color_is_written_only_when_asked_for() {
        let (sources, finding) = one("wait 2 dyas\n", "dyas");
        assert!(render(&sources, &finding, Look { color: true, width: 80 }).contains("\u{1b}["));
        assert!(!plain(&sources, &finding).contains('\u{1b}'));
    }

    #[test]
    fn the_summary_counts_and_points_on() {
        let (_, finding) = one("x", "x");
        let note = Diagnostic::new(Code::I0005, Span::default(), "n").fix("t", Span::default(), "");
        let expected = "2 errors, 1 note; `fahrplan explain E0001` tells more about a code; \
                        `fahrplan check --fix` mends 1 of them";
        assert_eq!(summary(&[note, finding.clone(), finding]), expected);
        assert_eq!(summary(&[]), "");
    }

    fn text() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "a",
            "wait 3 days",
            " ",
            "\t",
            "\n",
            "\r\n",
            "\r",
            "ü",
            "漢",
            "🚋",
            "e\u{301}",
            "\u{feff}",
            "\u{200d}",
            "\u{1b}[1m",
            "\u{0}",
            "\u{9b}2J",
            "\u{202e}",
            "{",
            "}",
            "// x",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_text_and_no_span_makes_it_panic(
            texts in prop::collection::vec(text(), 1..3),
            places in prop::collection::vec((0u16..4, 0u32..140, 0u32..140), 1..5),
            said in text(),
            width in 0usize..200,
        ) {
            let mut sources = Sources::new();
            for text in texts {
                sources.add("a/b.journey".into(), text);
            }
            let spans: Vec<_> = places.iter().map(|(f, s, e)| Span { file: FileId(*f), start: *s, end: *e }).collect();
            let mut finding = Diagnostic::new(Code::E0101, spans[0], said.clone()).label(said.clone()).note(said.clone()).help(said.clone());
            for span in &spans[1..] {
                finding = finding.related(*span, said.clone());
            }
            let plain = render(&sources, &finding, Look { color: false, width });
            prop_assert!(!plain.contains(|c: char| c.is_control() && c != '\n'), "{:?}", plain);
            render(&sources, &finding, Look { color: true, width });
            prop_assert_eq!(concise(&sources, &finding).lines().count(), 1);
        }
    }
}
