//! Reading journey files: the grammar itself, and the findings and trees that `lang::parse` makes of it.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fahrplan::diagnostic::{Diagnostic, FileId, Look, Sources, apply_fixes, render_all};
use fahrplan::lang::parse::parse;
use fahrplan_grammar::{JourneyParser, Rule};
use pest::Parser;
use pest::iterators::Pair;

const SAMPLES: [(&str, &str); 7] = [
    ("abandoned_cart", include_str!("lang/samples/abandoned_cart.journey")),
    ("birthday", include_str!("lang/samples/birthday.journey")),
    ("complaint_care", include_str!("lang/samples/complaint_care.journey")),
    ("policies", include_str!("lang/samples/policies.journey")),
    ("schema", include_str!("lang/samples/schema.journey")),
    ("welcome", include_str!("lang/samples/welcome.journey")),
    ("win_back", include_str!("lang/samples/win_back.journey")),
];
const FORMS: &str = include_str!("lang/parse/forms.journey");
const ODD: &str = include_str!("lang/parse/odd.journey");
const WRONG: &str = include_str!("lang/parse/wrong.journey");

/// Nodes that stand for text which could not be read.
const MISTAKES: [Rule; 14] = [
    Rule::bad,
    Rule::bad_item,
    Rule::bad_pair,
    Rule::bare_enum,
    Rule::for_each,
    Rule::later_chans,
    Rule::loose,
    Rule::missing_brace,
    Rule::pair_tail,
    Rule::stray_comma,
    Rule::tail,
    Rule::unclosed,
    Rule::unknown_type,
    Rule::unlimited,
];

/// Every copy of a text with its rest cut off or one byte taken out, at every so many bytes.
fn damaged(text: &str, step: usize) -> impl Iterator<Item = String> {
    let places = (0..text.len()).step_by(step).filter(|at| text.is_char_boundary(*at));
    places.flat_map(|at| {
        let next = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        [text[..at].to_owned(), format!("{}{}", &text[..at], &text[next..])]
    })
}

/// All texts with the step at which they are damaged.
fn corpus() -> impl Iterator<Item = (&'static str, usize)> {
    SAMPLES.iter().map(|s| (s.1, 5)).chain([(ODD, 1), (WRONG, 1), (FORMS, 89)])
}

fn rules(text: &str) -> Vec<Rule> {
    fn walk(pair: Pair<'_, Rule>, into: &mut Vec<Rule>) {
        into.push(pair.as_rule());
        pair.into_inner().for_each(|p| walk(p, into));
    }
    let mut found = Vec::new();
    for pair in JourneyParser::parse(Rule::file, text).unwrap_or_else(|e| panic!("no tree for {text:?}\n{e}"))
    {
        walk(pair, &mut found);
    }
    found
}

#[test]
fn whole_files_hold_no_unreadable_text() {
    for (name, text) in SAMPLES.into_iter().chain([("forms", FORMS)]) {
        let bad: Vec<_> = rules(text).into_iter().filter(|r| MISTAKES.contains(r)).collect();
        assert!(bad.is_empty(), "{name}: {bad:?}");
    }
}

#[test]
fn every_rule_of_the_grammar_is_hit() {
    // the second pass has its own entries, and some rules are only looked at, or read inside atomic rules
    let silent = [
        "WHITESPACE",
        "COMMENT",
        "nl",
        "ws",
        "idc",
        "free",
        "free_path",
        "new_name",
        "comma",
        "str_in",
        "digit",
        "date_in",
        "idc_no_t",
        "time_in",
        "number_in",
        "tod",
        "operand",
        "op_word",
        "value",
        "list_item",
        "pair_end",
        "pair_sep",
        "pairs_close",
        "pair_nl",
        "stmt_line",
        "open",
        "close",
        "line_nl",
        "sep",
        "end",
        "goes_on",
        "bad_if",
        "bad_part",
        "any_line",
        "any_item",
        "item_head",
        "stmt",
        "events",
        "channels",
        "patient",
        "jitem",
        "stmt_or_rule",
        "day_",
        "entry_how",
        "mig",
        "item",
        "policy_rule",
        "tline",
        "at_what",
        "file_line",
        "loose_line",
        "head",
        "item_start",
        "verb_word",
        "clause_word",
    ];
    let second_pass = [Rule::one_line, Rule::one_item, Rule::one_field, Rule::one_pair, Rule::one_prop];
    let mut hit: HashSet<Rule> = second_pass.into_iter().collect();
    for text in SAMPLES.iter().map(|s| s.1).chain([FORMS, ODD, WRONG]) {
        hit.extend(rules(text));
    }
    let missed: Vec<_> = Rule::all_rules()
        .iter()
        .filter(|r| !hit.contains(r) && !silent.contains(&format!("{r:?}").as_str()))
        .collect();
    assert!(missed.is_empty(), "no file reads {missed:?}");
}

#[test]
fn a_file_cut_or_holed_at_every_fifth_byte_is_a_tree_and_its_findings_lie_in_it() {
    for (text, step) in corpus() {
        for copy in damaged(text, step) {
            let (_, findings) = parse(FileId(0), &copy);
            for finding in findings {
                let place = finding.primary.span;
                assert!(place.end as usize <= copy.len(), "{finding:?} in {copy}");
                assert!(
                    copy.is_char_boundary(place.start as usize) && copy.is_char_boundary(place.end as usize)
                );
            }
        }
    }
}

/// The fastest of three, so that a busy machine does not count.
fn fastest(text: &str) -> Duration {
    let once = || {
        let begin = Instant::now();
        parse(FileId(0), text);
        begin.elapsed()
    };
    (0..3).map(|_| once()).min().expect("three runs")
}

#[test]
fn nesting_costs_time_in_proportion_only() {
    let nests: [(&str, &str, &str); 6] = [
        ("blocks with text after the brace", "if a { x\n", "} y\n"),
        ("blocks never closed", "if a {\n", ""),
        ("races never closed", "wait up to 1 day {\n when a {\n", ""),
        ("records never closed", "send email x with { a: { a:\n", ""),
        ("unreadable heads", "iff a {\n", "}\n"),
        ("unreadable else", "if a { } else iff b {\n", "}\n"),
    ];
    for (name, open, close) in nests {
        let deep = |n: usize| format!("journey a {{\n{}{}}}\n", open.repeat(n), close.repeat(n));
        let (shallow, deep) = (fastest(&deep(10)), fastest(&deep(40)));
        assert!(
            deep < shallow * 16 + Duration::from_millis(5),
            "{name}: 10 levels {shallow:?}, 40 levels {deep:?}"
        );
    }
}

// ---------------------------------------------------------------- findings

fn fixtures() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lang/parse");
    let entries = fs::read_dir(dir).expect("the fixtures are there").map(|e| e.expect("readable").path());
    let mut files: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "journey")).collect();
    files.sort();
    files
}

fn findings(text: &str) -> Vec<Diagnostic> {
    parse(FileId(0), text).1
}

fn codes(text: &str) -> Vec<&'static str> {
    findings(text).iter().map(|f| f.code.as_str()).collect()
}

/// What a reader sees, next to each fixture. `BLESS=1` writes it anew, to be reviewed like code.
#[test]
fn every_mistake_is_told_at_its_place_with_a_way_out() {
    let mut failures = Vec::new();
    for path in fixtures() {
        let text = fs::read_to_string(&path).expect("a fixture is text");
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let mut sources = Sources::new();
        let file = sources.add(name.clone(), text.clone());
        let shown = render_all(&sources, &parse(file, &text).1, Look::PLAIN);
        let expected = path.with_extension("expected");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &shown).expect("the expected text can be written");
        } else if fs::read_to_string(&expected).unwrap_or_default() != shown {
            failures.push(format!("{name} gives\n{shown}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn samples_and_forms_have_no_finding() {
    for (name, text) in SAMPLES.into_iter().chain([("forms", FORMS)]) {
        assert_eq!(codes(text), [""; 0], "{name}");
    }
}

#[test]
fn fourteen_mistakes_give_fourteen_findings() {
    let expected = [
        "E0001", "E0001", "E0006", "E0001", "E0001", "E0402", "E0001", "E0001", "E0007", "E0008", "E0002",
        "E0001", "E0007", "E0006",
    ];
    assert_eq!(codes(WRONG), expected);
}

#[test]
fn every_fix_mends_its_finding_and_makes_no_other() {
    for path in fixtures() {
        let text = fs::read_to_string(&path).expect("a fixture is text");
        let mut sources = Sources::new();
        let file = sources.add("a.journey".into(), text.clone());
        let findings = parse(file, &text).1;
        for finding in findings.iter().filter(|f| f.fix.is_some()) {
            let fixed = apply_fixes(&sources, [finding]);
            assert_eq!(fixed.applied, 1, "{finding:?}");
            let left = parse(file, &fixed.texts[&file]).1;
            let told_again = left.iter().any(|f| (f.code, &f.message) == (finding.code, &finding.message));
            let mended = left.len() < findings.len() || left.len() == findings.len() && !told_again;
            assert!(mended, "{}: {finding:#?} leaves {left:#?}", path.display());
        }
    }
}
