//! What each code means, in words for people who write journeys: what the check does, why, an example, and what to
//! write instead.
//!
//! The texts stand in `explain/`, one Markdown file a group, with a heading for each code. A block marked `journey`
//! holds whole items, one marked `steps` the inside of a journey; both are real and can be read. `wrong` is text that
//! cannot be read and is there to show it.

use super::{Code, Group};

/// The four headings of every explanation, in their order.
pub const SECTIONS: [&str; 4] = ["What it does", "Why", "Example", "Instead"];

const WIDTH: usize = 80;

/// The explanation of a code for a terminal: wrapped, without marks of Markdown, ending with a line end.
pub fn explain(code: Code) -> String {
    let mut out = format!("{code} {}: {}\n", code.name(), code.headline());
    if !code.available() {
        out += "\nThis check is not available yet.\n";
    }
    let mut in_block = false;
    for line in markdown(code).lines() {
        if line.starts_with("```") {
            // An example after a sentence keeps its distance from it.
            if !in_block && !out.ends_with("\n\n") {
                out.push('\n');
            }
            in_block = !in_block;
        } else if in_block {
            out = out + if line.is_empty() { "" } else { "    " } + line + "\n";
        } else if let Some(title) = line.strip_prefix("## ") {
            out = out + "\n" + title + "\n";
        } else if !line.is_empty() {
            let gap = if out.ends_with('\n') && after_block(&out) { "\n" } else { "" };
            out = out + gap + &wrapped(line, "  ");
        }
    }
    out
}

/// The explanation of a code as it is written, from *What it does* on.
pub fn markdown(code: Code) -> &'static str {
    let text = text_of(code.group());
    let heading = format!("# {code}\n");
    let Some(start) = text.find(&heading).map(|at| at + heading.len()) else { return "" };
    let rest = &text[start..];
    let end = Code::ALL.iter().filter_map(|next| rest.find(&format!("\n# {next}\n"))).min();
    rest[..end.unwrap_or(rest.len())].trim()
}

/// One block of an explanation that is set apart, with what kind of text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Under which of the [`SECTIONS`] it stands.
    pub section: &'static str,
    /// `journey`, `steps`, `wrong`, `template`, `toml`, `files` or `shell`.
    pub kind: &'static str,
    /// The text, with its last line end.
    pub text: &'static str,
}

/// The blocks in the explanation of a code.
pub fn blocks(code: Code) -> Vec<Block> {
    let mut blocks = Vec::new();
    for part in markdown(code).split("## ").skip(1) {
        let section = part.lines().next().unwrap_or_default();
        let mut rest = part;
        while let Some((_, after)) = rest.split_once("```") {
            let (kind, after) = after.split_once('\n').unwrap_or((after, ""));
            let (text, after) = after.split_once("```").unwrap_or((after, ""));
            blocks.push(Block { section, kind, text });
            rest = after;
        }
    }
    blocks
}

fn text_of(group: Group) -> &'static str {
    match group {
        Group::Text => include_str!("explain/text.md"),
        Group::Names => include_str!("explain/names.md"),
        Group::Entry => include_str!("explain/entry.md"),
        Group::Flow => include_str!("explain/flow.md"),
        Group::Time => include_str!("explain/time.md"),
        Group::Sending => include_str!("explain/sending.md"),
        Group::Policies => include_str!("explain/policies.md"),
        Group::Splits => include_str!("explain/splits.md"),
        Group::Templates => include_str!("explain/templates.md"),
        Group::Versions => include_str!("explain/versions.md"),
        Group::Tests => include_str!("explain/tests.md"),
        Group::Operations => include_str!("explain/operations.md"),
    }
}

fn after_block(out: &str) -> bool {
    out.lines().next_back().is_some_and(|line| line.starts_with("    "))
}

fn wrapped(paragraph: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut column = WIDTH;
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        if column + 1 + length > WIDTH {
            let gap = if out.is_empty() { "" } else { "\n" };
            out = out + gap + indent + word;
            column = indent.len() + length;
        } else {
            out = out + " " + word;
            column += 1 + length;
        }
    }
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_four_sections_in_order() {
        for &code in Code::ALL {
            let text = markdown(code);
            let titles: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
            assert_eq!(titles, SECTIONS, "{code}");
            for part in text.split("## ").skip(1) {
                assert!(part.trim().lines().count() >= 2, "{code}: an empty section: {part}");
            }
            assert_eq!(text.matches("```").count() % 2, 0, "{code}: an open block");
        }
    }

    #[test]
    fn every_example_has_a_block_of_a_known_kind() {
        let kinds = ["journey", "steps", "wrong", "template", "toml", "files", "shell"];
        for &code in Code::ALL {
            let blocks = blocks(code);
            assert!(blocks.iter().any(|b| b.section == "Example"), "{code}");
            for block in blocks {
                assert!(kinds.contains(&block.kind), "{code}: {block:?}");
                assert!(SECTIONS.contains(&block.section) && !block.text.is_empty(), "{code}: {block:?}");
            }
        }
    }

    #[test]
    fn no_text_belongs_to_a_code_that_does_not_exist_or_stands_in_two_places() {
        let headings = |group: Group| {
            let mut in_block = false;
            text_of(group).lines().filter(move |line| {
                in_block ^= line.starts_with("```");
                !in_block && line.starts_with("# ")
            })
        };
        let written: Vec<_> =
            Group::ALL.iter().flat_map(|g| headings(*g)).map(|h| h[2..].to_owned()).collect();
        let known: Vec<_> = Code::ALL.iter().map(|c| c.to_string()).collect();
        assert_eq!(written, known);
    }

    #[test]
    fn an_explanation_is_wrapped_plain_text() {
        let expected = "\
E0007 left-over-text: text is left over after a statement

What it does
  Finds text that is left over after a complete statement, for example a part of
  it in the wrong order.

Why
  The beginning of the line could be read, so it would be easy to go on and
  ignore the rest. But the rest was written for a reason.

Example

    wait up to 3 days for order_placed where order.value > 50 as order

Instead
  The name comes directly after what it names.

    wait up to 3 days for order_placed as order where order.value > 50
";
        assert_eq!(explain(Code::E0007), expected);
        for &code in Code::ALL {
            let text = explain(code);
            assert!(
                !text.contains("```") && !text.contains("\n\n\n") && text.ends_with('\n'),
                "{code}: {text}"
            );
            assert_eq!(text.contains("This check is not available yet."), !code.available(), "{code}");
        }
    }
}
