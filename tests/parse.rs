//! Reading journey files: the grammar itself, and the findings and trees that `lang::parse` makes of it.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fahrplan::diagnostic::{Diagnostic, FileId, Look, Sources, Span, apply_fixes, render_all};
use fahrplan::lang::ast::{Expr, ExprKind, File, ItemKind, JourneyItemKind, Stmt, StmtKind};
use fahrplan::lang::format::format;
use fahrplan::lang::parse::parse;
use fahrplan_grammar::{JourneyParser, Rule};
use pest::Parser;
use pest::iterators::Pair;
use proptest::prelude::*;

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
const COMMAS: &str = include_str!("lang/parse/commas.journey");

/// Nodes that stand for text which could not be read.
const MISTAKES: [Rule; 17] = [
    Rule::bad,
    Rule::bad_item,
    Rule::bad_pair,
    Rule::bare_enum,
    Rule::field_next,
    Rule::for_each,
    Rule::later_then,
    Rule::loose,
    Rule::missing_brace,
    Rule::no_comma,
    Rule::pair_tail,
    Rule::prop_next,
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
    SAMPLES.iter().map(|s| (s.1, 5)).chain([(ODD, 1), (WRONG, 1), (COMMAS, 1), (FORMS, 89)])
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
        "pair_over",
        "prop_over",
        "prop_word",
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
    for text in SAMPLES.iter().map(|s| s.1).chain([FORMS, ODD, WRONG, COMMAS]) {
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
        // four times as deep; what doubles with each level would need a thousand million times as long
        assert!(
            deep < shallow * 16 + Duration::from_millis(200),
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

#[test]
fn a_range_as_other_languages_write_it_is_mended() {
    let right = "survey s {\n  score: number from 0 to 10 \"How?\"\n}\n";
    let wrong = [" 0 to 10", "(0..10)", " between 0 and 10", " 0-10", " 0 10", "(0 to 10)"];
    for range in wrong {
        let text = right.replace(" from 0 to 10", range);
        let mut sources = Sources::new();
        let file = sources.add("a.journey".into(), text.clone());
        let findings = parse(file, &text).1;
        assert_eq!(findings.len(), 1, "{range}: {findings:#?}");
        assert_eq!(findings[0].message, "a range is written `from 0 to 10`");
        assert_eq!(apply_fixes(&sources, &findings).texts[&file], right, "{range}");
    }
    for other in [" 5", " 0 to", "(x)"] {
        let text = right.replace(" from 0 to 10", other);
        assert!(!parse(FileId(0), &text).1[0].message.contains("range"), "{other}");
    }
}

// ---------------------------------------------------------------- trees

fn tree(text: &str) -> File {
    parse(FileId(0), text).0
}

/// An expression with all its brackets.
fn bracketed(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Path(path) => path.joined(),
        ExprKind::Number(number) => number.value.to_string(),
        ExprKind::Not(inner) => format!("(not {})", bracketed(inner)),
        ExprKind::Negate(inner) => format!("(-{})", bracketed(inner)),
        ExprKind::Binary { op, left, right, .. } => {
            format!("({} {op:?} {})", bracketed(left), bracketed(right))
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn operators_bind_as_the_reference_says() {
    let cases = [
        ("a or b and c", "(a Or (b And c))"),
        ("a and b or c", "((a And b) Or c)"),
        ("(a or b) and c", "((a Or b) And c)"),
        ("not a and b", "((not a) And b)"),
        ("not a is b", "((not a) Is b)"),
        ("a is b and c is not d", "((a Is b) And (c IsNot d))"),
        ("a + b * c - d", "((a Add (b Mul c)) Sub d)"),
        ("a - b - c", "((a Sub b) Sub c)"),
        ("-a * b", "((-a) Mul b)"),
        ("a otherwise 0 < b", "((a Otherwise 0) Lt b)"),
        ("a + 1 otherwise b", "((a Add 1) Otherwise b)"),
        ("a < b is c", "((a Lt b) Is c)"),
        ("a has any of b or c not in d", "((a HasAnyOf b) Or (c NotIn d))"),
        ("a\n  and b\n  and not c", "((a And b) And (not c))"),
    ];
    for (text, expected) in cases {
        let file = tree(&format!("segment s = {text}\n"));
        let ItemKind::Segment(segment) = &file.items[0].kind else { panic!("{file:?}") };
        assert_eq!(bracketed(&segment.expr), expected, "{text}");
    }
}

/// What stands in the first journey of a text, in short.
fn shape(text: &str) -> Vec<String> {
    let file = tree(text);
    let Some(ItemKind::Journey(journey)) = file.items.first().map(|i| &i.kind) else { panic!("{file:?}") };
    let stmts = journey.items.iter().map(|i| match &i.kind {
        JourneyItemKind::Stmt(stmt) => short(stmt),
        other => format!("{other:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
    });
    stmts.collect()
}

fn short(stmt: &Stmt) -> String {
    match &stmt.kind {
        StmtKind::Let { name, value } if matches!(value.kind, ExprKind::Error) => {
            format!("let {} = ?", name.text)
        }
        StmtKind::If(step) if matches!(step.branches[0].0.kind, ExprKind::Error) => {
            format!("if ? {:?}", step.branches[0].1.stmts.iter().map(short).collect::<Vec<_>>())
        }
        StmtKind::Send(send) => format!("send {}", send.template.parts[0].text),
        other => format!("{other:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
    }
}

#[test]
fn a_broken_statement_leaves_its_names_and_blocks() {
    let text = "journey a {
  send email x with as first
  let gift 3
  iff contact.vip as odd {
    send email inside
  }
  wait up to 3 dyas as look {
    when a { send email in_arm }
  }
  wait up to 3 days as race {
    when a { send email good }
    wehn b { send email bad }
  }
  if contact.vip {
    send email kept
  } text
  send email y wiht 3 as second
}";
    let expected = [
        "Error",
        "let first = ?",
        "Error",
        "let gift = ?",
        "Error",
        "let odd = ?",
        "if ? [\"send inside\"]",
        "Error",
        "let look = ?",
        "if ? [\"if ? [\\\"send in_arm\\\"]\"]",
        "if ? [\"send bad\"]",
        "let race = ?",
        "if ? [\"send good\"]",
        "Error",
        "If",
        "Error",
        "let second = ?",
    ];
    assert_eq!(shape(text), expected);
}

#[test]
fn a_mistake_with_one_reading_is_read_as_it_was_meant() {
    let text = "journey a {\n  wait for x as y\n  split s {\n variant a 50 { exit as b }\n  variant b 50% { exit as c } }\n  if a = b { exit as start }\n  send email x with { a: “x” }\n}\n";
    assert_eq!(shape(text), ["Wait", "Split", "If", "send x"]);
    assert_eq!(codes(text), ["E0402", "E0001", "E0107", "E0008", "E0003"]);
}

#[test]
fn clauses_may_come_in_any_order() {
    let orders = [
        "send email x to a with { b: 1 } for marketing before 10:00 as y",
        "send email x as y before 10:00 for marketing with { b: 1 } to a",
        "send email x\n  as y\n  before 10:00\n  for marketing\n  with { b: 1 }\n  to a",
    ];
    let tidied: Vec<_> = orders.iter().map(|o| format(&format!("journey a {{\n{o}\n}}\n"))).collect();
    assert!(tidied.iter().all(|t| *t == tidied[0] && t.is_ok()), "{tidied:?}");
}

#[test]
fn comments_and_documentation_are_in_the_tree() {
    let text = "# one\n\n## What it is,\n##   on two lines.\njourney a {  # behind\n  # allow W0404: why\n  exit as b \"# no\" # yes\n}\n";
    let file = tree(text);
    let comments: Vec<_> = file.comments.iter().map(|c| (c.text.as_str(), c.own_line)).collect();
    let expected = [
        ("# one", true),
        ("## What it is,", true),
        ("##   on two lines.", true),
        ("# behind", false),
        ("# allow W0404: why", true),
        ("# yes", false),
    ];
    assert_eq!(comments, expected);
    assert_eq!(file.items[0].doc.as_deref(), Some("What it is,\non two lines."));
    for comment in &file.comments {
        assert_eq!(&text[comment.span.start as usize..comment.span.end as usize], comment.text);
    }
}

#[test]
fn places_are_those_of_the_file_whatever_was_mended_before_them() {
    let text =
        "\u{feff}journey a “T” {\r\n  send\u{a0}email w\u{200b}elcome with { größe: 1 } as mail\r\n}\r\n";
    let file = tree(text);
    let ItemKind::Journey(journey) = &file.items[0].kind else { panic!("{file:?}") };
    let JourneyItemKind::Stmt(Stmt { kind: StmtKind::Send(send), .. }) = &journey.items[0].kind else {
        panic!("{journey:?}")
    };
    let source = |span: Span| &text[span.start as usize..span.end as usize];
    assert_eq!(source(journey.name.span), "a");
    assert_eq!(journey.title.as_ref().map(|t| (t.value.as_str(), source(t.span))), Some(("T", "“T”")));
    assert_eq!(send.template.parts[0].text, "welcome");
    assert_eq!(source(send.template.span), "w\u{200b}elcome");
    let with = send.with.as_ref().expect("a record");
    assert_eq!((with.pairs[0].0.text.as_str(), source(with.pairs[0].0.span)), ("groesse", "größe"));
    assert_eq!(send.name.as_ref().map(|n| source(n.span)), Some("mail"));
}

// ---------------------------------------------------------------- limits

#[test]
fn brackets_nest_to_a_limit_and_what_is_deeper_is_told_once() {
    let nest = |n: usize| {
        format!("journey a {{\n{}{}}}\njourney b {{\n sned x\n}}\n", "if a {\n".repeat(n), "}\n".repeat(n))
    };
    assert_eq!(codes(&nest(60)), ["E0006"]);
    for deep in [64, 100, 5_000] {
        assert_eq!(codes(&nest(deep)), ["E0001", "E0006"], "{deep} levels");
    }
    for open in ["(", "[", "{ a: ", "not ", "- ", "list of ", "{", "wait up to 1 day {\n when a {\n"] {
        let text = format!(
            "segment s = {}\ncontact {{ a: {} }}\njourney a {{ {}",
            open.repeat(3_000),
            open.repeat(3_000),
            open.repeat(3_000)
        );
        assert!(!findings(&text).is_empty());
    }
}

#[test]
fn long_rows_of_operators_are_read_to_a_limit() {
    let row = |n: usize| format!("segment s = a{}\n", " and a".repeat(n));
    assert_eq!(codes(&row(250)), [""; 0]);
    assert_eq!(codes(&row(100_000)), ["E0001"]);
}

/// Unreadable text is looked at twice, not once for each level or each line around it.
#[test]
fn mistakes_cost_time_in_proportion_only() {
    let lines = [
        "  sned email x\n",
        "  send email x {\n",
        "  send email x }\n",
        "  if a { } else iff { }\n",
        "  send email x with { a: 1\n",
        "{ a: ",
        "  as x\n",
        "\"",
        "“",
        "journey a {\n",
        "# a\n",
        "event x { a b, c\n",
    ];
    for line in lines {
        let text = |n: usize| format!("journey a {{\n{}", line.repeat(n));
        let (few, many) = (fastest(&text(200)), fastest(&text(1_600)));
        assert!(
            many < few * 32 + Duration::from_millis(200),
            "{line:?}: 200 times {few:?}, 1600 times {many:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Words and signs in any order are a tree, with findings that lie in the text, and are formatted without change.
    #[test]
    fn any_row_of_words_is_a_tree(words in prop::collection::vec(prop::sample::select(WORDS), 0..80)) {
        let text = words.join(" ");
        let (_, findings) = parse(FileId(0), &text);
        for finding in &findings {
            let span = finding.primary.span;
            prop_assert!(text.get(span.start as usize..span.end as usize).is_some(), "{:?}", finding);
        }
        if let Ok(once) = format(&text) {
            prop_assert_eq!(format(&once), Ok(once.clone()));
        }
    }

    #[test]
    fn any_text_is_a_tree(text in ".{0,200}") {
        parse(FileId(0), &text);
        let _ = format(&text);
    }
}

const WORDS: &[&str] = &[
    "journey",
    "a",
    "b",
    "{",
    "}",
    "\n",
    "\n",
    "\n",
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    "=",
    "==",
    "\"t\"",
    "\"",
    "“",
    "”",
    "–",
    "#",
    "send",
    "email",
    "with",
    "as",
    "where",
    "wait",
    "up to",
    "3 days",
    "for",
    "until",
    "if",
    "else",
    "switch",
    "case",
    "split",
    "variant",
    "50%",
    "50",
    "repeat",
    "times",
    "exit",
    "enter",
    "on",
    "when",
    "timeout",
    "goal",
    "stage",
    "test",
    "given",
    "at",
    "expect",
    "event",
    "contact",
    "segment",
    "is",
    "not",
    "and",
    "2026-12-24T10:00",
    "09:00",
    "1.5",
    "ü",
    "\t",
    "\r\n",
    "\u{200b}",
    "\u{a0}",
    "policy",
    "cap",
    "per",
    "then",
    "one of",
    "list of",
    "text",
    "?",
    "-",
    "any(",
    "ever",
];
