//! Pieces of the author's text, as messages show them.

pub(super) fn first_word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())]
}

pub(super) fn first_char(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// The word, text or sign that a piece of text begins with.
pub(super) fn token(text: &str) -> &str {
    let Some(first) = text.chars().next() else { return "" };
    if first == '"' {
        let line = text.lines().next().unwrap_or(text);
        let end = line[1..].find('"').map_or(line.trim_end().len(), |at| at + 2);
        return &line[..end];
    }
    if first.is_ascii_digit() {
        let end = text.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.' | ':' | '-' | '%'));
        return text[..end.unwrap_or(text.len())].trim_end_matches(['.', '-', ':']);
    }
    if first.is_alphanumeric() || first == '_' {
        let end = text.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.')).unwrap_or(text.len());
        return text[..end].trim_end_matches('.');
    }
    let signs = ["==", "!=", "<=", ">=", "&&", "||", ":=", "=>", "->"];
    signs.iter().find(|s| text.starts_with(**s)).map_or(&text[..first.len_utf8()], |s| &text[..s.len()])
}

/// The last words of a text, enough to recognize the place.
pub(super) fn tail_of(text: &str) -> &str {
    let text = text.lines().last().unwrap_or(text).trim();
    if text.chars().count() <= 48 {
        return text;
    }
    let cut = text.char_indices().rev().nth(43).map_or(0, |(at, _)| at);
    text[cut..].find(' ').map_or(&text[cut..], |at| text[cut + at..].trim_start())
}

pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= 48 {
        return text.to_owned();
    }
    let cut = text.char_indices().nth(44).map_or(text.len(), |(at, _)| at);
    format!("{} …", text[..cut].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_told_by_its_end() {
        assert_eq!(tail_of("wait 2"), "wait 2");
        assert_eq!(
            tail_of("then send email welcome_story with { code: 10 } for"),
            "email welcome_story with { code: 10 } for"
        );
        assert_eq!(token("\"abc"), "\"abc");
        assert_eq!(token("contact.plan is"), "contact.plan");
    }
}
