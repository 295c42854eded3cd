//! `fahrplan fmt`: brings journey files into the one canonical layout, or says which are not in it.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::check::counted;
use super::load::{journey_files, read_alone, write};
use super::{Exit, Failure, FmtArgs, Outcome, print};
use crate::diagnostic::{Diagnostic, FileId, Look, Severity, render_all};
use crate::lang::format::format;
use crate::lang::parse::parse;

/// How many equal lines stand around a change in `--diff`.
const AROUND: usize = 3;

/// Formats files in place, or standard input to standard output.
pub fn run(args: &FmtArgs) -> Outcome {
    if args.paths.iter().any(|path| path == Path::new("-")) {
        return match args.paths.len() {
            1 => standard_input(args),
            _ => Err(Failure::usage("`-` reads standard input and stands alone")),
        };
    }
    let here = vec![PathBuf::from(".")];
    let files = journey_files(if args.paths.is_empty() { &here } else { &args.paths })?;
    if files.is_empty() {
        return Err(Failure::usage("there are no journey files here"));
    }
    let looked = args.check || args.diff;
    let (mut changed, mut refused, mut damaged, mut out) = (0, 0, 0, String::new());
    for path in &files {
        match formatted(path)? {
            Ok(Formatted { told, .. }) if looked && !told.is_empty() => {
                damaged += 1;
                eprint_all(&told);
            }
            Ok(Formatted { old, new, .. }) if old == new => {}
            Ok(Formatted { old, new, told }) => {
                changed += 1;
                damaged += usize::from(!told.is_empty());
                if args.diff {
                    out += &diff(&path.display().to_string(), &old, &new);
                } else {
                    out += &format!("{}\n", path.display());
                }
                if !looked {
                    write(path, &new)?;
                }
            }
            Err(told) => {
                refused += 1;
                eprint_all(&told);
            }
        }
    }
    out += &ending(looked, changed, files.len() - refused - if looked { damaged } else { 0 });
    match refused + damaged {
        0 => {}
        _ if !looked => {
            out += &format!(
                "{} cannot be read as a whole: those lines are as they were\n",
                counted(refused + damaged, "file")
            )
        }
        n => out += &format!("{} cannot be read, so nobody can say\n", counted(n, "file")),
    }
    print(&out)?;
    let failed = refused > 0 || (looked && changed + damaged > 0);
    Ok(if failed { Exit::Findings } else { Exit::Fine })
}

fn ending(looked: bool, changed: usize, files: usize) -> String {
    match (looked, changed) {
        (_, 0) if files == 0 => String::new(),
        (_, 0) => format!("{} in canonical layout\n", counted(files, "file")),
        (true, _) => format!("{changed} of {} would change\n", counted(files, "file")),
        (false, _) => format!("{changed} of {} changed\n", counted(files, "file")),
    }
}

fn standard_input(args: &FmtArgs) -> Outcome {
    let mut old = String::new();
    std::io::stdin()
        .read_to_string(&mut old)
        .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    let new = format(&old).map_err(|error| Failure::findings(error.to_string()))?;
    let is_mistake = |finding: &Diagnostic| finding.severity() == Severity::Error;
    if args.check && parse(FileId(0), &old).1.iter().any(is_mistake) {
        return Err(
            Failure::findings("standard input cannot be read as a whole").help("`fahrplan check` says why")
        );
    }
    if args.diff {
        print(&diff("standard input", &old, &new))?;
    } else if !args.check {
        print(&new)?;
    }
    let differs = (args.check || args.diff) && old != new;
    Ok(if differs { Exit::Findings } else { Exit::Fine })
}

/// A file before and after.
struct Formatted {
    old: String,
    new: String,
    /// What is wrong with the lines that cannot be read and stay as they are.
    told: String,
}

/// The text of the file and its canonical form; or what stands in the way, as text.
fn formatted(path: &Path) -> Result<Result<Formatted, String>, Failure> {
    let (sources, file, findings) = read_alone(path)?;
    if !findings.is_empty() {
        return Ok(Err(render_all(&sources, &findings, Look { color: true, ..Look::PLAIN })));
    }
    let old = sources.text(file);
    let mut mistakes = parse(file, old).1;
    mistakes.retain(|finding| finding.severity() == Severity::Error);
    let told = match mistakes.is_empty() {
        true => String::new(),
        false => render_all(&sources, &mistakes, Look { color: true, ..Look::PLAIN }) + "\n",
    };
    Ok(format(old)
        .map(|new| Formatted { old: old.to_owned(), new, told })
        .map_err(|error| format!("error: {}: {error}\n", path.display())))
}

fn eprint_all(text: &str) {
    use std::io::Write;
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

// ---------------------------------------------------------------- what would change

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Same(&'a str),
    Old(&'a str),
    New(&'a str),
}

/// The change as a unified diff, which `patch` can apply.
fn diff(path: &str, old: &str, new: &str) -> String {
    let lines = changes(
        &old.split_inclusive('\n').collect::<Vec<_>>(),
        &new.split_inclusive('\n').collect::<Vec<_>>(),
    );
    let mut out = format!("--- {path}\n+++ {path}\n");
    let is_change = |line: &Line<'_>| !matches!(line, Line::Same(_));
    let mut at = 0;
    while let Some(first) = lines[at..].iter().position(is_change).map(|n| n + at) {
        let mut last = first;
        while let Some(next) = lines[last + 1..].iter().take(2 * AROUND + 1).position(is_change) {
            last += next + 1;
        }
        let (from, to) = (first.saturating_sub(AROUND).max(at), (last + 1 + AROUND).min(lines.len()));
        out += &hunk(&lines, from, to);
        at = to;
    }
    out
}

fn hunk(lines: &[Line<'_>], from: usize, to: usize) -> String {
    let count = |lines: &[Line<'_>], in_old: bool| {
        let counts = |line: &&Line<'_>| match line {
            Line::Same(_) => true,
            Line::Old(_) => in_old,
            Line::New(_) => !in_old,
        };
        lines.iter().filter(counts).count()
    };
    let range = |in_old: bool| {
        let (before, inside) = (count(&lines[..from], in_old), count(&lines[from..to], in_old));
        format!("{},{inside}", if inside == 0 { before } else { before + 1 })
    };
    let mut out = format!("@@ -{} +{} @@\n", range(true), range(false));
    for line in &lines[from..to] {
        let (sign, text) = match line {
            Line::Same(text) => (' ', text),
            Line::Old(text) => ('-', text),
            Line::New(text) => ('+', text),
        };
        out.push(sign);
        out.push_str(text);
        if !text.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
    out
}

/// A shortest edit between two lists of lines, by the table of their longest common subsequence; equal ends are taken off first,
/// so the table is only as large as the part that changed.
fn changes<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let head = std::iter::zip(old, new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail =
        std::iter::zip(old_rest.iter().rev(), new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let mut lines: Vec<Line<'a>> = old[..head].iter().map(|line| Line::Same(line)).collect();
    // A table of 4,000 by 4,000 lines is the most that is worth its memory; beyond that all is replaced.
    if a.len().saturating_mul(b.len()) > 16_000_000 {
        lines.extend(a.iter().map(|line| Line::Old(line)));
        lines.extend(b.iter().map(|line| Line::New(line)));
    } else {
        lines.extend(middle(a, b));
    }
    lines.extend(old_rest[old_rest.len() - tail..].iter().map(|line| Line::Same(line)));
    lines
}

fn middle<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<Line<'a>> {
    let width = b.len() + 1;
    let mut longest = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i] == b[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push(Line::Same(a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            lines.push(Line::Old(a[i]));
            i += 1;
        } else {
            lines.push(Line::New(b[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::diff;

    #[test]
    fn a_diff_shows_what_changes_with_three_lines_around_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15";
        let new = old.replace("5\n6", "five\n6").replace("\n14\n", "\n14\n14b\n");
        assert_eq!(
            diff("a", old, &new),
            "\
--- a
+++ a
@@ -2,7 +2,7 @@
 2
 3
 4
-5
+five
 6
 7
 8
@@ -12,4 +12,5 @@
 12
 13
 14
+14b
 15
\\ No newline at end of file
"
        );
    }

    #[test]
    fn everything_may_be_new_or_gone() {
        assert_eq!(diff("a", "", "x\n"), "--- a\n+++ a\n@@ -0,0 +1,1 @@\n+x\n");
        assert_eq!(diff("a", "x\n", ""), "--- a\n+++ a\n@@ -1,1 +0,0 @@\n-x\n");
    }
}
