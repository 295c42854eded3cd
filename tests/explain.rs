//! The examples in the explanations are real: what is shown as readable can be read, what is shown as wrong cannot.

use fahrplan::diagnostic::{Code, FileId, explain};
use fahrplan::lang::parse::parse;

/// What the parser says first about a text, if it says anything.
fn unreadable(text: &str) -> Option<String> {
    parse(FileId(0), text).1.first().map(|f| format!("{} {}", f.code, f.message))
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
