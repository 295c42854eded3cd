//! Whole projects with mistakes as people make them. What is wrong was written down in `planted.txt` before the checker
//! saw the project: each of these is told once, at its place, and nothing else is told. `expected.txt` is what the author
//! reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use fahrplan::diagnostic::Diagnostic;

use super::{Project, lang, real, shown};

fn projects() -> Vec<PathBuf> {
    let folders = fs::read_dir(lang().join("planted")).expect("planted projects are there");
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.expect("readable").path()).collect();
    folders.sort();
    folders
}

fn project(folder: &Path) -> Project {
    real(&folder.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("below").to_string_lossy())
}

/// `E0101 journeys/a.journey:3:7` of each line that is no comment.
fn planted(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("planted.txt")).expect("the list is there");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut all: Vec<String> =
        lines.map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect();
    all.sort();
    all
}

fn place(project: &Project, finding: &Diagnostic) -> String {
    let sources = &project.input.sources;
    let span = finding.primary.span;
    let (line, column) = sources.line_col(span.file, span.start);
    format!("{} {}:{line}:{column}", finding.code, sources.path(span.file))
}

#[test]
fn each_planted_mistake_is_told_once_at_its_place_and_nothing_else() {
    let mut wrong = Vec::new();
    for folder in projects() {
        let project = project(&folder);
        let found = project.compile().diagnostics;
        let mut places: Vec<String> = found.iter().map(|finding| place(&project, finding)).collect();
        places.sort();
        let wanted = planted(&folder);
        if places != wanted {
            let count = |list: &[String]| {
                let mut counts: BTreeMap<String, usize> = BTreeMap::new();
                list.iter().for_each(|one| *counts.entry(one.clone()).or_default() += 1);
                counts.into_iter().map(|(one, n)| format!("{n}x {one}")).collect::<BTreeSet<_>>()
            };
            let (found, wanted) = (count(&places), count(&wanted));
            let less: Vec<_> = wanted.difference(&found).collect();
            let more: Vec<_> = found.difference(&wanted).collect();
            wrong.push(format!("{}\nnot told: {less:#?}\ntold instead: {more:#?}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_the_author_reads_is_written_down() {
    let mut wrong = Vec::new();
    for folder in projects() {
        let project = project(&folder);
        let text = shown(&project.input.sources, &project.compile().diagnostics);
        let path = folder.join("expected.txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &text).expect("writable");
        }
        if text != fs::read_to_string(&path).unwrap_or_default() {
            wrong.push(format!("{}\n{text}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
