//! The living sample project and what the documents show cannot rot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use fahrplan::cli::load::Project;
use fahrplan::config::Config;
use fahrplan::diagnostic::{FileId, Severity};
use fahrplan::engine::Programs;
use fahrplan::engine::eval::Scope;
use fahrplan::engine::facts::{Effects, Facts};
use fahrplan::engine::program::Catalog;
use fahrplan::engine::world::World;
use fahrplan::id::ContactId;
use fahrplan::intake::{Clocks, read_item};
use fahrplan::lang::parse::parse;
use fahrplan::lang::template::{Format, scan};
use fahrplan::time::Timestamp;
use fahrplan::value::{Decimal, Value};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// The fenced blocks of a Markdown file in that language, each with the line where it begins.
fn fenced(markdown: &str, language: &str) -> Vec<(usize, String)> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for (number, line) in markdown.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(word), None) => open = Some((word == language, number + 2, String::new())),
            (Some(_), Some(_)) => {
                blocks.extend(open.take().filter(|(ours, ..)| *ours).map(|(_, at, text)| (at, text)))
            }
            (None, Some((_, _, text))) => text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

#[test]
fn the_configuration_of_the_shop_and_of_the_readme_is_read_without_complaint() {
    let readme = read("README.md");
    let shown = fenced(&readme, "toml");
    assert_eq!(shown.len(), 2);
    // What the README shows later, of one section, stands below the whole that it shows first.
    let whole: String = shown.into_iter().map(|(_, text)| text).collect();
    for text in [read("journeys/fahrplan.toml"), whole] {
        let (config, problems) = Config::read(&text, &BTreeMap::new());
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!((config.project.name.as_str(), config.project.zone.as_str()), ("shop", "Europe/Berlin"));
        assert_eq!(config.locales["de-AT"], ["de", "en"]);
    }
}

#[test]
fn the_samples_are_what_their_script_writes() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("journeys/samples/generate.py");
    let run = Command::new("python3").arg(script).arg("--check").output().expect("tests/run installs Python");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// All files below the folder whose name ends so.
fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("the folder is readable").path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.to_string_lossy().ends_with(end) => found.push(path),
                false => {}
            }
        }
    }
    found
}

fn assert_read(name: &str, text: &str) {
    let (_, findings) = parse(FileId(0), text);
    let bad: Vec<_> = findings.iter().filter(|f| f.code.severity() != Severity::Note).collect();
    assert!(bad.is_empty(), "{name}: {bad:?}\n{text}");
}

#[test]
fn every_form_that_the_documents_show_is_read() {
    for document in ["README.md", "grammar/README.md"] {
        let text = read(document);
        let whole = fenced(&text, "journey");
        let steps = fenced(&text, "steps").into_iter().map(|(at, s)| (at, format!("journey x {{\n{s}}}\n")));
        assert!(!whole.is_empty());
        whole.into_iter().chain(steps).for_each(|(at, text)| assert_read(&format!("{document}:{at}"), &text));
    }
}

#[test]
fn templates_of_the_shop_are_read_and_small() {
    let templates = files("journeys/templates", ".hbs");
    assert!(templates.len() > 50);
    for path in templates {
        let source = std::fs::read_to_string(&path).expect("readable");
        let html = path.to_string_lossy().ends_with(".html.hbs")
            || path.parent().is_some_and(|p| p.ends_with("_parts"));
        let found = scan(&source, if html { Format::Html } else { Format::Plain });
        assert!(found.mistakes.is_empty(), "{}: {:?}", path.display(), found.mistakes);
        assert!(source.len() < 30_000, "{} is too long for a mail", path.display());
    }
}

fn in_the_shop(args: &[&str]) -> (i32, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_fahrplan"))
        .args(args)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("journeys"))
        .env_clear()
        .output()
        .expect("the binary is built before the tests");
    let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    (done.status.code().unwrap_or(-1), text)
}

#[test]
fn the_shop_has_no_error_and_no_warning() {
    let (code, text) = in_the_shop(&["check", "--deny", "warnings"]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn the_shop_passes_its_tests_and_they_reach_every_exit() {
    let (code, text) = in_the_shop(&["test", "--coverage"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(" passed; ") && !text.contains("not run"), "{text}");
    assert!(!text.contains("W1002"), "{text}");
    // Word for word, `6 of 6 exits, 8 of 8 branches` behind each journey.
    let (_, reached) = text.split_once("reached by tests:\n").expect("it says what was reached");
    let whole = |counted: &str| {
        let words: Vec<&str> = counted.split(' ').collect();
        words.len() == 4 && words[0] == words[2] && words[0] != "0"
    };
    let lines: Vec<&str> = reached.lines().filter(|line| line.contains(" exits, ")).collect();
    assert_eq!(lines.len(), files("journeys/journeys", ".journey").len(), "one journey a file:\n{reached}");
    for line in lines {
        let (journey, counts) = line.trim().split_once(' ').expect("a name and its counts");
        assert!(counts.trim().split(", ").all(whole), "{journey}: {counts}");
    }
}

#[test]
fn the_shop_is_in_canonical_layout() {
    let (code, text) = in_the_shop(&["fmt", "--diff"]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn every_event_of_the_samples_fits_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("journeys");
    let catalog = Project::at(root).expect("a project").compile().catalog;
    let clocks = Clocks { sent_at: None, received_at: "2026-06-01T00:00:00Z".parse().expect("a moment") };
    let events = read("journeys/samples/events.jsonl");
    let mut ids = std::collections::HashSet::new();
    for line in events.lines() {
        let json = serde_json::from_str(line).expect("JSON");
        let read =
            read_item(&catalog, &json, None, clocks).unwrap_or_else(|why| panic!("{line}\n{}", why.reason));
        assert!(read.rejected.is_empty(), "{line}\n{:?}", read.rejected);
        assert!(ids.insert(read.item.message_id), "{line}\nis there twice");
    }
    assert!(ids.len() > 2_000);
}

/// The groups of the portfolio that hold for somebody with these two values, as the engine finds them.
fn groups(catalog: &Catalog, satisfaction: Option<i64>, bond: Option<i64>) -> Vec<&'static str> {
    // In tenths; a decimal counts ten thousandths.
    let value = |tenths: Option<i64>| tenths.map_or(Value::Unknown, |n| Value::Decimal(Decimal(n * 1_000)));
    let attributes =
        [("satisfaction".into(), value(satisfaction)), ("bond".into(), value(bond))].into_iter().collect();
    let world = World { contact: ContactId(1), attributes, ..World::default() };
    let (programs, effects) = (Programs::default(), Effects::default());
    let facts = Facts::new(catalog, &programs, &world, Timestamp(0));
    let holds = |group: &&str| {
        let segment = &catalog.segments[*group];
        Scope::contact(&facts, &effects).holds(&segment.condition).expect("it asks the contact alone")
    };
    ["fan", "sympathizer", "mercenary", "captive", "terrorist"].into_iter().filter(holds).collect()
}

#[test]
fn the_five_groups_of_the_portfolio_partition_the_whole_grid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("journeys");
    let catalog = Project::at(root).expect("a project").compile().catalog;
    let mut sizes = BTreeMap::new();
    for (s, b) in (10..=50).flat_map(|s| (10..=50).map(move |b| (s, b))) {
        let found = groups(&catalog, Some(s), Some(b));
        assert_eq!(found.len(), 1, "satisfaction {s}/10, bond {b}/10: {found:?}");
        *sizes.entry(found[0]).or_insert(0) += 1;
    }
    assert_eq!((sizes.values().sum::<i32>(), sizes.len()), (41 * 41, 5), "{sizes:?}");
    for (s, b, group) in [
        (50, 50, "fan"),
        (50, 10, "mercenary"),
        (10, 50, "captive"),
        (10, 10, "terrorist"),
        (35, 35, "sympathizer"),
    ] {
        assert_eq!(groups(&catalog, Some(s), Some(b)), [group]);
    }
    for (s, b) in [(None, None), (Some(50), None), (None, Some(50))] {
        assert!(groups(&catalog, s, b).is_empty(), "nobody who was not asked is in a group");
    }
}
