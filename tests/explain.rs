//! The examples in the explanations are real: what is shown as readable can be read, what is shown as wrong cannot.

use fahrplan::diagnostic::{Code, explain};
use fahrplan_grammar::{JourneyParser, Rule};
use pest::Parser;

/// The grammar reads a file of any shape; these are the nodes of what it could not make sense of.
const BAD: &[Rule] = &[
    Rule::bad,
    Rule::bad_item,
    Rule::bad_pair,
    Rule::bare_enum,
    Rule::for_each,
    Rule::later_chans,
    Rule::late_name,
    Rule::later_split,
    Rule::loose,
    Rule::missing_brace,
    Rule::pair_tail,
    Rule::stray_comma,
    Rule::tail,
    Rule::unclosed,
    Rule::unknown_type,
    Rule::unlimited,
    Rule::word_as_name,
    Rule::wrong_not,
];

fn unreadable(text: &str) -> Option<String> {
    let pairs = JourneyParser::parse(Rule::file, text).expect("a file of any shape yields a tree");
    pairs.flatten().find(|pair| BAD.contains(&pair.as_rule())).map(|pair| pair.as_str().to_owned())
}

fn journey(steps: &str) -> String {
    format!("journey example {{\n{steps}\n}}\n")
}

#[test]
fn examples_are_real_text_of_the_language() {
    let mut failures = Vec::new();
    for &code in Code::ALL {
        for block in explain::blocks(code) {
            let (text, readable) = match block.kind {
                "journey" => (block.text.to_owned(), true),
                "steps" => (journey(block.text), true),
                "wrong" if block.text.starts_with("journey") => (block.text.to_owned(), false),
                "wrong" => (journey(block.text), false),
                _ => continue,
            };
            let found = unreadable(&text);
            if found.is_none() != readable {
                failures.push(format!("{code}, {}: {found:?} in\n{}", block.section, block.text));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
