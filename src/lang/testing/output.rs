//! The results of tests for people, for programs and for CI servers.

use std::fmt::Write;

use serde_json::json;

use super::{Coverage, Play, Report};
use crate::diagnostic::{Sources, Span};
use crate::lang::ast;
use crate::time::DAY;

impl Report {
    /// Whether every test was played and passed.
    pub fn passed(&self) -> bool {
        self.skipped.is_empty() && self.plays.iter().all(Play::passed)
    }

    /// For people: one line a test, then each failure with its lines and its time line.
    pub fn human(&self, sources: &Sources, color: bool) -> String {
        let paint = Paint { color };
        let (mut out, mut file) = (String::new(), None);
        for play in &self.plays {
            if file != Some(play.span.file) {
                out +=
                    &format!("{}{}\n", if file.is_none() { "" } else { "\n" }, sources.path(play.span.file));
                file = Some(play.span.file);
            }
            let mark = if play.passed() { paint.good("✓") } else { paint.bad("✗") };
            out += &format!("  {mark} {}\n", play.title);
        }
        for play in self.plays.iter().filter(|play| !play.passed()) {
            out += &format!("\n{}", play.human(sources, paint));
        }
        if !self.skipped.is_empty() && !out.is_empty() {
            out.push('\n');
        }
        for test in &self.skipped {
            out += &format!("{} {}\n", paint.bad("not run:"), skipped(sources, test));
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out + &self.summary()
    }

    /// `27 tests: 26 passed, 1 failed; 312 days of journey time`.
    fn summary(&self) -> String {
        let failed = self.plays.iter().filter(|play| !play.passed()).count();
        let passed = self.plays.len() - failed;
        let mut parts = vec![format!("{passed} passed")];
        for (number, word) in [(failed, "failed"), (self.skipped.len(), "not run")] {
            if number > 0 {
                parts.push(format!("{number} {word}"));
            }
        }
        let days: i64 = self.plays.iter().map(|play| (play.ends.0 - play.begins.0).max(0)).sum::<i64>() / DAY;
        let all = self.plays.len() + self.skipped.len();
        let (tests, days_word) =
            (if all == 1 { "test" } else { "tests" }, if days == 1 { "day" } else { "days" });
        format!("{all} {tests}: {}; {days} {days_word} of journey time\n", parts.join(", "))
    }

    /// One JSON document; the field names are an interface.
    pub fn json(&self, sources: &Sources, coverage: &[Coverage]) -> String {
        let failed = self.plays.iter().filter(|play| !play.passed()).count();
        let document = json!({
            "passed": self.plays.len() - failed,
            "failed": failed,
            "skipped": self.skipped.iter().map(|test| {
                let (line, _) = sources.line_col(test.span.file, test.span.start);
                json!({ "file": sources.path(test.span.file), "line": line, "name": test.title.value,
                        "journey": test.journey.text })
            }).collect::<Vec<_>>(),
            "tests": self.plays.iter().map(|play| play.json(sources)).collect::<Vec<_>>(),
            "coverage": coverage.iter().map(|one| coverage_json(sources, one)).collect::<Vec<_>>(),
        });
        document.to_string() + "\n"
    }

    /// The XML that CI servers read: one suite a file, one case a test.
    pub fn junit(&self, sources: &Sources) -> String {
        let failed = |plays: &[&Play]| plays.iter().filter(|play| !play.passed()).count();
        let all: Vec<&Play> = self.plays.iter().collect();
        let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        let (tests, failures) = (all.len() + self.skipped.len(), failed(&all));
        let skipped = self.skipped.len();
        let _ = writeln!(
            out,
            "<testsuites name=\"fahrplan\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{skipped}\">"
        );
        for plays in all.chunk_by(|a, b| a.span.file == b.span.file) {
            let path = escaped(sources.path(plays[0].span.file));
            let (tests, failures) = (plays.len(), failed(plays));
            let _ = writeln!(out, "  <testsuite name=\"{path}\" tests=\"{tests}\" failures=\"{failures}\">");
            for play in plays {
                out += &play.junit(sources);
            }
            out += "  </testsuite>\n";
        }
        if skipped > 0 {
            let _ = writeln!(out, "  <testsuite name=\"not run\" tests=\"{skipped}\" errors=\"{skipped}\">");
            for test in &self.skipped {
                let (name, class) = (escaped(&test.title.value), escaped(&test.journey.text));
                let why = escaped(&self::skipped(sources, test));
                let _ = writeln!(
                    out,
                    "    <testcase name=\"{name}\" classname=\"{class}\"><error message=\"{why}\"/></testcase>"
                );
            }
            out += "  </testsuite>\n";
        }
        out + "</testsuites>\n"
    }
}

impl Play {
    fn human(&self, sources: &Sources, paint: Paint) -> String {
        let mut out = format!("{} \"{}\" for {}\n", paint.bad("✗"), self.title, self.journey);
        for (span, sentence) in self.failures() {
            let (line, _) = sources.line_col(span.file, span.start);
            let text = sources.line(span.file, line).trim_end();
            let number = line.to_string();
            let gap = " ".repeat(number.len());
            out += &format!("{gap}--> {}:{line}\n", sources.path(span.file));
            out += &format!("{number} | {text}\n");
            out += &format!("{gap} = {}\n", paint.bad(&sentence));
        }
        let line_of = |span: Span| sources.line_col(span.file, span.start).0;
        let timeline = self.timeline(&line_of);
        out.push('\n');
        for line in timeline.lines() {
            out += &match line.split_once(['✗', '✓']) {
                Some((before, after)) if line.contains('✗') => {
                    format!("{before}{}\n", paint.bad(&format!("✗{after}")))
                }
                Some((before, after)) => format!("{before}{}\n", paint.good(&format!("✓{after}"))),
                None => format!("{line}\n"),
            };
        }
        out
    }

    fn json(&self, sources: &Sources) -> serde_json::Value {
        let zone = self.zone();
        let line_of = |span: Span| sources.line_col(span.file, span.start).0;
        let rows = self.rows(&line_of).into_iter().map(|row| {
            json!({
                "at": row.at.to_string(),
                "local": format!("{} {}", zone.date(row.at), zone.time(row.at)),
                "person": row.person,
                "happened": row.happened,
                "expected": row.expected,
                "line": row.line,
                "ok": row.ok,
            })
        });
        let failures = self.failures().into_iter().map(|(span, sentence)| {
            let (line, column) = sources.line_col(span.file, span.start);
            json!({ "line": line, "column": column, "message": sentence })
        });
        json!({
            "file": sources.path(self.span.file),
            "line": line_of(self.span),
            "name": self.title,
            "journey": &*self.journey,
            "passed": self.passed(),
            "zone": zone.name(),
            "failures": failures.collect::<Vec<_>>(),
            "timeline": rows.collect::<Vec<_>>(),
        })
    }

    fn junit(&self, sources: &Sources) -> String {
        let (name, class) = (escaped(&self.title), escaped(&self.journey));
        let line_of = |span: Span| sources.line_col(span.file, span.start).0;
        let line = line_of(self.span);
        let head = format!(
            "    <testcase name=\"{name}\" classname=\"{class}\" file=\"{}\" line=\"{line}\"",
            escaped(sources.path(self.span.file))
        );
        if self.passed() {
            return head + "/>\n";
        }
        let failures = self.failures();
        let first = failures.first().map_or("", |(_, sentence)| sentence);
        let told: Vec<String> =
            failures.iter().map(|(span, sentence)| format!("line {}: {sentence}", line_of(*span))).collect();
        let body = format!("{}\n\n{}", told.join("\n"), self.timeline(&line_of));
        format!(
            "{head}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
            escaped(first),
            escaped(&body)
        )
    }
}

fn skipped(sources: &Sources, test: &ast::Test) -> String {
    let (line, _) = sources.line_col(test.span.file, test.span.start);
    format!(
        "\"{}\" for {} ({}:{line}): it or its journey has errors, which `fahrplan check` shows",
        test.title.value,
        test.journey.text,
        sources.path(test.span.file)
    )
}

fn coverage_json(sources: &Sources, coverage: &Coverage) -> serde_json::Value {
    let missing = coverage.findings.iter().map(|finding| {
        let span = finding.primary.span;
        let (line, _) = sources.line_col(span.file, span.start);
        json!({ "file": sources.path(span.file), "line": line, "message": finding.message })
    });
    json!({
        "journey": &*coverage.journey,
        "exits": { "reached": coverage.exits.0, "all": coverage.exits.1 },
        "branches": { "reached": coverage.branches.0, "all": coverage.branches.1 },
        "missing": missing.collect::<Vec<_>>(),
    })
}

/// Text for XML 1.0, which has no place for most control characters.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[derive(Clone, Copy)]
struct Paint {
    color: bool,
}

impl Paint {
    fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_stands_in_a_test_cannot_break_the_xml() {
        assert_eq!(super::escaped("a < b & \"c\"\u{1b}[0m"), "a &lt; b &amp; &quot;c&quot;?[0m");
    }
}
