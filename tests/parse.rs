//! Reading journey files: the grammar itself, and the findings and trees that `lang::parse` makes of it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

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
        "rule",
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
fn a_file_cut_or_holed_at_every_fifth_byte_is_still_a_tree() {
    for (text, step) in SAMPLES.iter().map(|s| (s.1, 5)).chain([(ODD, 1), (WRONG, 1), (FORMS, 89)]) {
        for at in (0..text.len()).step_by(step).filter(|at| text.is_char_boundary(*at)) {
            rules(&text[..at]);
            if text.is_char_boundary(at + 1) {
                rules(&format!("{}{}", &text[..at], &text[at + 1..]));
            }
        }
    }
}

/// The fastest of three, so that a busy machine does not count.
fn fastest(text: &str) -> Duration {
    let once = || {
        let begin = Instant::now();
        rules(text);
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
