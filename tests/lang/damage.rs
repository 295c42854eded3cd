//! Whole projects with one file damaged: always a compilation, never a panic, never a flood of findings.
//! `FAHRPLAN_DAMAGE=5 cargo test --test suite lang::damage` tries every fifth byte and says what was slowest.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use fahrplan::diagnostic::{FileId, Severity, Sources};
use fahrplan::lang::format::format;
use fahrplan::lang::{Input, compile, testing};

use super::{Project, lang, real};

/// At so many places of a project, evenly, unless `FAHRPLAN_DAMAGE` says every how many bytes: each copy is compiled as a whole.
const PLACES: usize = 12;

/// One file of the project is no longer what it was.
pub(super) struct Damage {
    pub(super) file: FileId,
    pub(super) at: usize,
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// A project that a test of the engine uses: all forms of the language, with tests.
fn forms() -> Project {
    let mut project = Project::new();
    let folder = lang().join("../testing");
    for name in ["schema.journey", "forms.journey"] {
        project.file(name, &folder.join(name));
    }
    project
}

/// Every how many bytes a project is damaged, to be damaged at so many places.
pub(super) fn step(input: &Input, places: usize) -> usize {
    let journeys = input.sources.iter().filter(|(_, path, _)| path.ends_with(".journey"));
    (journeys.map(|(_, _, text)| text.len()).sum::<usize>() / places).max(1)
}

pub(super) fn damages(input: &Input, step: usize) -> Vec<Damage> {
    let mut all = Vec::new();
    for (file, path, text) in input.sources.iter().filter(|(_, path, _)| path.ends_with(".journey")) {
        // each file begins elsewhere, so that a short run does not always meet the same bytes
        let first = path.len() % step;
        for at in (first..text.len()).step_by(step).filter(|at| text.is_char_boundary(*at)) {
            let (before, rest) = text.split_at(at);
            let after = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
            let copies = [
                ("deleted", format!("{before}{after}")),
                ("brace", format!("{before}}}{after}")),
                ("quote", format!("{before}\"{after}")),
                ("emoji", format!("{before}\u{1f95f}{after}")),
                ("cut", before.to_owned()),
            ];
            all.extend(copies.map(|(kind, text)| Damage { file, at, kind, text }));
        }
    }
    all
}

/// What became of one damaged project.
struct Outcome {
    told: String,
    took: Duration,
    errors: usize,
}

fn outcome(input: &Input, damage: &Damage) -> Outcome {
    let mut input = input.clone();
    let mut sources = Sources::new();
    for (id, path, text) in input.sources.iter() {
        sources.add(path.to_owned(), if id == damage.file { damage.text.clone() } else { text.to_owned() });
    }
    input.sources = sources;
    let begin = Instant::now();
    let compiled = compile(&input);
    let report = testing::run(&compiled, &input.sources, &|_| true);
    let _ = report.coverage(&compiled);
    let took = begin.elapsed();
    let told = format!("{} {} at {}", input.sources.path(damage.file), damage.kind, damage.at);
    for finding in &compiled.diagnostics {
        let span = finding.primary.span;
        let text = input.sources.text(span.file);
        let (start, end) = (span.start as usize, span.end as usize);
        assert!(
            start <= end && text.is_char_boundary(start) && text.is_char_boundary(end),
            "{told}: {finding:?}"
        );
    }
    match format(&damage.text) {
        Ok(once) => assert_eq!(format(&once).as_deref(), Ok(once.as_str()), "{told}"),
        Err(refused) => panic!("{told}: {refused}"),
    }
    let errors = compiled.diagnostics.iter().filter(|finding| finding.severity() == Severity::Error).count();
    Outcome { told, took, errors }
}

#[test]
fn a_project_with_a_damaged_file_is_compiled_tested_and_formatted() {
    let every = std::env::var("FAHRPLAN_DAMAGE").ok().and_then(|every| every.parse().ok());
    let mut lines = Vec::new();
    for (name, project) in
        [("shop", real("journeys")), ("samples", real("tests/lang/samples")), ("forms", forms())]
    {
        let mut input = project.input;
        if name == "samples" {
            input.templates.clear();
        }
        let all = damages(&input, every.unwrap_or_else(|| step(&input, PLACES)));
        let outcomes = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for half in all.chunks(all.len().div_ceil(2).max(1)) {
                let (input, outcomes) = (&input, &outcomes);
                scope.spawn(move || {
                    for damage in half {
                        let outcome = outcome(input, damage);
                        outcomes.lock().expect("no panic").push(outcome);
                    }
                });
            }
        });
        let mut outcomes = outcomes.into_inner().expect("no panic");
        assert_eq!(outcomes.len(), all.len());
        outcomes.sort_by_key(|outcome| outcome.took);
        let slowest = outcomes.last().expect("some were tried");
        let sum: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
        lines.push(format!(
            "{name}: {} copies, {:?} each, slowest {:?} ({})",
            all.len(),
            sum / u32::try_from(all.len()).expect("not so many"),
            slowest.took,
            slowest.told
        ));
        outcomes.sort_by_key(|outcome| std::cmp::Reverse(outcome.errors));
        for loud in outcomes.iter().take(12) {
            lines.push(format!("  {} errors: {}", loud.errors, loud.told));
        }
    }
    if every.is_some() {
        eprintln!("{}", lines.join("\n"));
    }
}

/// Codes in order, each with its line.
fn told(text: &str) -> Vec<String> {
    let mut input = Input::default();
    let file = input.sources.add("schema.journey".to_owned(), text.to_owned());
    let found = compile(&input).diagnostics;
    let found = found.iter().filter(|d| d.severity() != Severity::Note);
    found.map(|d| format!("{} {}", d.code, input.sources.line_col(file, d.primary.span.start).0)).collect()
}

#[test]
fn formatting_changes_no_program() {
    for folder in ["journeys", "tests/lang/samples", "tests/testing"] {
        let before = real(folder).input;
        let mut after = before.clone();
        after.sources = Sources::new();
        for (_, path, text) in before.sources.iter() {
            // stretched, so that there is something to do
            let untidy = text.replace("\n  ", "\n     ").replace(" {\n", "   {\n\n");
            let is_journey = path.ends_with(".journey");
            let text = if is_journey { format(&untidy).expect("can be formatted") } else { text.to_owned() };
            after.sources.add(path.to_owned(), text);
        }
        let (before, after) = (compile(&before), compile(&after));
        assert!(folder == "tests/lang/samples" || !before.programs.is_empty(), "{folder}");
        assert_eq!(before.programs, after.programs, "{folder}");
        let hashes = |programs: &[fahrplan::engine::program::Program]| {
            programs.iter().map(|program| program.hash()).collect::<Vec<_>>()
        };
        assert_eq!(hashes(&before.programs), hashes(&after.programs), "{folder}");
    }
}

#[test]
fn a_word_at_the_end_of_a_file_is_read_as_with_a_line_end() {
    let text = "channel letter {\n  class paper\n  take";
    assert_eq!(told(text), told(&format!("{text}\n")));
    assert!(format(text).is_ok());
}

#[test]
fn fields_behind_a_brace_too_many_are_told_once() {
    assert_eq!(told("contact {\n  email: email?\n}\n  plan: text?\n  points: number?\n}\n"), ["E0001 3"]);
}

#[test]
fn what_a_cut_off_declaration_may_have_held_is_not_unknown() {
    let journey =
        "journey a {\n  enter on signed_up\n  reenter never\n  set contact.plan = \"x\"\n  exit as done\n}\n";
    assert_eq!(told(&format!("{journey}contact {{\n  ema")), ["E0002 7"]);
}

#[test]
fn an_unknown_name_is_told_once_with_the_other_lines() {
    let text =
        "contact { email: email? }\nsegment a = contact.naem is known\nsegment b = contact.naem is unknown\n";
    assert_eq!(told(text), ["E0101 2"]);
}

#[test]
fn an_import_of_which_nothing_is_used_is_told() {
    let told = |text: &str| {
        let mut input = Input::default();
        input
            .sources
            .add("shared/loyalty.journey".to_owned(), "event point_earned { points: number }\n".to_owned());
        input.sources.add("journeys/a.journey".to_owned(), text.to_owned());
        let found = compile(&input).diagnostics;
        found.iter().map(|d| format!("{} {}", d.code, d.message)).collect::<Vec<_>>()
    };
    let used = "import \"shared/loyalty.journey\"\nsegment loyal = any(point_earned ever)\n";
    assert_eq!(told(used), Vec::<String>::new());
    let unused = "import \"shared/loyalty.journey\"\nsegment nobody = today() < 2020-01-01\n";
    assert_eq!(told(unused), ["W0109 nothing of `shared/loyalty.journey` is used here"]);
    let missing = "import \"shared/loyality.journey\"\n";
    assert_eq!(told(missing), ["E0101 there is no file `shared/loyality.journey`"]);
}
