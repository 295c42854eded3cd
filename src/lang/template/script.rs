//! Scripts of tasks looked at as source: Markdown with values, a few blocks, and nothing else.

use super::Mistake;

/// Blocks that a script may have.
const BLOCKS: [&str; 4] = ["if", "unless", "each", "with"];

/// A value that a script writes or asks about, such as `contact.first_name`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScriptValue {
    /// As written.
    pub name: String,
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// The values between double braces, in order; inside `each` and `with` names belong to what is there, and are left out.
pub fn script_values(text: &str) -> Result<Vec<ScriptValue>, Mistake> {
    let (mut found, mut at, mut inside) = (Vec::new(), 0, 0_usize);
    while let Some(open) = text[at..].find("{{").map(|offset| at + offset) {
        let Some(close) = text[open..].find("}}").map(|offset| open + offset) else {
            return Err(mistake(open, open + 2, "`{{` without `}}`".to_owned()));
        };
        at = close + 2;
        let written = text[open + 2..close].trim_matches('~');
        let tag = written.trim();
        let start = tag.as_ptr() as usize - text.as_ptr() as usize;
        if tag.starts_with('!') || tag == "else" {
            continue;
        }
        if tag.starts_with(['{', '&', '>', '*']) {
            let message = format!("`{{{{{tag}}}}}` is not for scripts: values are always shown as text");
            return Err(mistake(open, at, message));
        }
        if let Some(name) = tag.strip_prefix('/') {
            inside -= usize::from(inside > 0 && ["each", "with"].contains(&name.trim()));
            continue;
        }
        let Some(block) = tag.strip_prefix('#') else {
            keep(&mut found, tag, start, inside)?;
            continue;
        };
        let (name, value) = block.split_once(' ').unwrap_or((block, ""));
        if !BLOCKS.contains(&name) {
            let message = format!("`{{{{#{name}}}}}` is not for scripts; there are {}", BLOCKS.join(", "));
            return Err(mistake(open, at, message));
        }
        let blanks = value.len() - value.trim_start().len();
        keep(&mut found, value.trim(), start + 1 + name.len() + 1 + blanks, inside)?;
        inside += usize::from(["each", "with"].contains(&name));
    }
    Ok(found)
}

fn keep(found: &mut Vec<ScriptValue>, value: &str, start: usize, inside: usize) -> Result<(), Mistake> {
    let is_path = |c: char| c.is_alphanumeric() || "_.@".contains(c);
    let end = start + value.len();
    if value.is_empty() || !value.chars().all(is_path) {
        let message =
            format!("`{{{{{value}}}}}` is no value; write the name of one, such as contact.first_name");
        return Err(mistake(start.saturating_sub(2), end, message));
    }
    if inside == 0 {
        found.push(ScriptValue { name: value.to_owned(), start, end });
    }
    Ok(())
}

fn mistake(start: usize, end: usize, message: String) -> Mistake {
    Mistake { start, end, message, help: None, quotes: Vec::new(), near: None }
}
