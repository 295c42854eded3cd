//! The checker from outside: for each code a project that has the mistake, with the text that its author sees, and one that
//! has it not. `UPDATE_EXPECT=1` writes the texts anew.

mod cases;
mod damage;
mod hostile;
mod marketer;
mod mending;
mod planted;
mod shop;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use fahrplan::diagnostic::{Code, Diagnostic, FileId, Look, Severity, Sources, apply_fixes, render_all};
use fahrplan::lang::{Compilation, Input, Settings, compile};

fn lang() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lang")
}

/// The files below a folder with their paths in it, in order.
fn below(folder: &Path) -> Vec<(String, PathBuf)> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<(String, PathBuf)>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for path in entries.map(|entry| entry.expect("readable").path()) {
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let short = path.strip_prefix(root).expect("below").to_string_lossy().replace('\\', "/");
                found.push((short, path));
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

/// A project under construction.
struct Project {
    input: Input,
}

impl Project {
    fn new() -> Project {
        let mut settings =
            Settings { zone: "Europe/Berlin".into(), locale: "de".into(), ..Settings::default() };
        settings.fallbacks.insert("de-AT".into(), vec!["de".into(), "en".into()]);
        settings.brand = BTreeSet::from(["name".to_owned(), "address".to_owned()]);
        Project { input: Input { settings, ..Input::default() } }
    }

    /// The shared schema, policies and templates with one journey file of this text, `case.journey`.
    fn case(text: &str) -> Project {
        let mut project = Project::new();
        for shared in ["schema.journey", "policies.journey"] {
            project.file(shared, &lang().join("shared").join(shared));
        }
        project.input.sources.add("case.journey".to_owned(), text.to_owned());
        project.templates(&lang().join("shared/templates"));
        project
    }

    fn file(&mut self, name: &str, path: &Path) -> FileId {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        self.input.sources.add(name.to_owned(), text)
    }

    fn templates(&mut self, folder: &Path) {
        for (short, path) in below(folder) {
            let id = self.file(&format!("templates/{short}"), &path);
            self.input.templates.insert(short, id);
        }
    }

    fn compile(&self) -> Compilation {
        compile(&self.input)
    }
}

/// The shared schema, policies and templates with one journey file, and the fixture's own templates over them.
fn fixture(folder: &Path, file: &str) -> Project {
    let mut project = Project::new();
    for shared in ["schema.journey", "policies.journey"] {
        let own = folder.join(file.replace(".journey", &format!(".{shared}")));
        let path = if own.exists() { own } else { lang().join("shared").join(shared) };
        project.file(shared, &path);
    }
    project.file(file, &folder.join(file));
    project.templates(&lang().join("shared/templates"));
    project.templates(&folder.join(file.replace(".journey", ".templates")));
    project
}

fn shown(sources: &Sources, findings: &[Diagnostic]) -> String {
    render_all(sources, findings, Look::PLAIN)
}

fn fixtures() -> BTreeMap<String, PathBuf> {
    let folders =
        fs::read_dir(lang()).expect("tests/lang is there").map(|entry| entry.expect("readable").path());
    let code = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().to_string();
        Code::parse(&name).map(|_| (name, path.clone()))
    };
    folders.filter_map(code).collect()
}

#[test]
fn each_mistake_is_told_once_and_as_written_down() {
    let mut wrong = Vec::new();
    for (code, folder) in fixtures() {
        let project = fixture(&folder, "bad.journey");
        let found = project.compile().diagnostics;
        let relevant: Vec<Diagnostic> = found
            .iter()
            .filter(|d| d.severity() != Severity::Note || d.code.as_str() == code)
            .cloned()
            .collect();
        let text = shown(&project.input.sources, &relevant);
        let path = folder.join("expected.txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &text).expect("writable");
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if text != expected {
            wrong.push(format!("{code}: expected\n{expected}\nfound\n{text}"));
        }
        if relevant.is_empty() || relevant.iter().any(|d| d.code.as_str() != code) {
            let codes: Vec<_> = relevant.iter().map(|d| d.code.as_str()).collect();
            wrong.push(format!("{code}: found {codes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_is_right_is_not_told() {
    let mut wrong = Vec::new();
    for (code, folder) in fixtures() {
        let project = fixture(&folder, "good.journey");
        let found = project.compile().diagnostics;
        let bad: Vec<Diagnostic> =
            found.into_iter().filter(|d| d.severity() != Severity::Note || d.code.as_str() == code).collect();
        if !bad.is_empty() {
            wrong.push(format!("{code}:\n{}", shown(&project.input.sources, &bad)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn real(folder: &str) -> Project {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut project = Project::new();
    project.input.settings.brand = [
        "name",
        "legal_name",
        "address",
        "register",
        "representatives",
        "vat_id",
        "support_email",
        "shop_url",
    ]
    .map(str::to_owned)
    .into();
    for (short, path) in below(&root) {
        if short.ends_with(".journey") {
            project.file(&short, &path);
        }
    }
    project.templates(&root.join("templates"));
    if let Ok(days) = std::fs::read_to_string(root.join("holidays.csv")) {
        let days = fahrplan::config::holidays(&days, None);
        project.input.settings.holidays = Some(days.unwrap_or_else(|_| panic!("{folder}/holidays.csv")));
    }
    project
}

#[test]
fn the_shop_has_no_errors_and_no_warnings() {
    let project = real("journeys");
    let compiled = project.compile();
    let bad: Vec<Diagnostic> =
        compiled.diagnostics.iter().filter(|d| d.severity() != Severity::Note).cloned().collect();
    assert!(bad.is_empty(), "{}", shown(&project.input.sources, &bad));
    let names: Vec<&str> = compiled.programs.iter().map(|program| &*program.journey).collect();
    assert_eq!(
        names,
        [
            "abandoned_cart",
            "after_sales",
            "birthday",
            "complaint_care",
            "fan_portfolio",
            "friends",
            "goodwill",
            "monthly_news",
            "replies",
            "tasting",
            "welcome",
            "win_back"
        ]
    );
}

#[test]
fn every_code_that_is_available_has_a_fixture() {
    // Found by the test runner, which has its own tests.
    let elsewhere = [Code::W1002, Code::E1003, Code::W1104];
    let fixtures = fixtures();
    let missing: Vec<&str> = Code::ALL
        .iter()
        .filter(|code| code.available() && !elsewhere.contains(code))
        .map(|code| code.as_str())
        .filter(|code| !fixtures.contains_key(*code))
        .collect();
    assert!(missing.is_empty(), "no tests/lang/CODE for {missing:?}");
}

#[test]
fn every_fix_mends_what_it_is_for() {
    let mut wrong = Vec::new();
    for (code, folder) in fixtures() {
        let mut project = fixture(&folder, "bad.journey");
        let of_code = |found: &[Diagnostic]| {
            found.iter().filter(|d| d.code.as_str() == code && d.fix.is_some()).cloned().collect::<Vec<_>>()
        };
        let before = of_code(&project.compile().diagnostics);
        let fixed = apply_fixes(&project.input.sources, &before);
        let mut sources = Sources::new();
        for (id, path, text) in project.input.sources.iter() {
            sources.add(path.to_owned(), fixed.texts.get(&id).cloned().unwrap_or_else(|| text.to_owned()));
        }
        project.input.sources = sources;
        let found = project.compile().diagnostics;
        let left = of_code(&found).len();
        let unreadable = found.iter().any(|d| d.code == Code::E0001 && code != "E0001");
        if left + fixed.applied > before.len() || unreadable {
            let all: Vec<Diagnostic> = found.into_iter().filter(|d| d.severity() != Severity::Note).collect();
            wrong.push(format!(
                "{code}: {left} of {}\n{}",
                before.len(),
                shown(&project.input.sources, &all)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
