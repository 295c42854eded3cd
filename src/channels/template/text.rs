//! The plain text of a message, made from the source of its HTML where the author wrote none.
//!
//! It is made once, at compile time, and is a template itself: tags of handlebars stay where they stand. So it costs a
//! message nothing, and layout tables, which fill half of every newsletter, cannot tear a loop apart as a converter
//! that builds the document's tree would. White space is settled after rendering (`tidied`).

use super::entities::decoded;

/// Stands before a link in generated text until the message is finished. A private character: values lose it.
pub(super) const LINK_START: char = '\u{f0000}';
/// Stands behind it.
pub(super) const LINK_END: char = '\u{f0001}';

/// Stands for the first handlebars tag within an element.
const FIRST_MASK: u32 = 0xf_0100;

/// Elements whose content is not read.
const SILENT: [&str; 5] = ["head", "script", "style", "template", "title"];
/// Elements without an end.
const VOID: [&str; 9] = ["area", "base", "br", "col", "hr", "img", "input", "link", "meta"];

/// Makes the text's source. `tags` are the places of handlebars tags in `html`.
pub(super) fn from_html(html: &str, tags: &[(usize, usize)]) -> String {
    let mut maker = Maker::default();
    let mut tags = tags.iter().copied().peekable();
    let mut at = 0;
    while at < html.len() {
        if let Some((_, end)) = tags.next_if(|&(start, _)| start == at) {
            maker.handlebars(&html[at..end]);
            at = end;
        } else if html[at..].starts_with('<') {
            let end = element_end(html, at, tags.clone());
            let inside: Vec<_> = std::iter::from_fn(|| tags.next_if(|&(start, _)| start < end)).collect();
            maker.masked = inside.iter().map(|&(start, end)| html[start..end].to_owned()).collect();
            maker.element(&masked(html, at, end, &inside));
            at = end;
        } else {
            let limit = tags.peek().map_or(html.len(), |&(start, _)| start);
            let end = html[at..limit].find('<').map_or(limit, |found| at + found);
            maker.words(&html[at..end]);
            at = end;
        }
    }
    maker.out
}

/// Where the tag or comment that begins at `at` ends; what handlebars writes into it belongs to it.
fn element_end(html: &str, at: usize, mut tags: impl Iterator<Item = (usize, usize)>) -> usize {
    let rest = &html[at..];
    // With the conditional comments of Outlook goes what stands in them: it is there twice.
    for (open, close) in [("<!--[if", "<![endif]-->"), ("<!--", "-->")] {
        if rest.starts_with(open) {
            return rest.find(close).map_or(html.len(), |found| at + found + close.len());
        }
    }
    let named = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
    if !named {
        return at + 1;
    }
    let mut next_tag = tags.find(|&(start, _)| start >= at);
    let (mut quote, mut skip_to) = (None, 0);
    for (offset, c) in rest.char_indices() {
        let here = at + offset;
        if let Some((start, end)) = next_tag
            && here == start
        {
            skip_to = end;
            next_tag = tags.next();
        }
        if here < skip_to {
            continue;
        }
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '>') => return here + 1,
            (None, _) => {}
        }
    }
    html.len()
}

/// The element from `at` to `end`, with one private character for each handlebars tag in it: quotes within those are
/// none of the element's.
fn masked(html: &str, at: usize, end: usize, inside: &[(usize, usize)]) -> String {
    let mut out = String::with_capacity(end - at);
    let mut from = at;
    for (place, &(start, tag_end)) in inside.iter().enumerate() {
        out.push_str(&html[from..start]);
        out.extend(mask(place));
        from = tag_end.min(end);
    }
    out + &html[from..end]
}

fn mask(place: usize) -> Option<char> {
    char::from_u32(FIRST_MASK + u32::try_from(place).ok()?)
}

#[derive(Default)]
struct Maker {
    out: String,
    /// The handlebars tags of the element being read, by their masks.
    masked: Vec<String>,
    /// White space seen and not yet written.
    space: bool,
    /// Line breaks to come before the next word.
    breaks: usize,
    /// Inside an element that is not read: its name and how often it has been opened.
    silent: Option<(String, usize)>,
    /// The target of the open `<a>`, and where its label begins in `out`.
    link: Option<(String, usize)>,
}

impl Maker {
    fn words(&mut self, text: &str) {
        if self.silent.is_some() {
            return;
        }
        let text = decoded(text);
        for (place, word) in text.split(is_space).enumerate() {
            self.space |= place > 0;
            if !word.is_empty() {
                self.settle();
                self.out.push_str(word);
            }
        }
    }

    /// White space is written before every handlebars tag, so that it belongs to the branch in which it stands.
    fn handlebars(&mut self, tag: &str) {
        if self.silent.is_none() && !tag.starts_with("{{!") && !tag.starts_with("{{~!") {
            self.settle();
            self.out.push_str(tag);
        }
    }

    fn settle(&mut self) {
        if self.breaks > 0 {
            self.out.extend(std::iter::repeat_n('\n', self.breaks));
        } else if self.space {
            self.out.push(' ');
        }
        (self.space, self.breaks) = (false, 0);
    }

    fn element(&mut self, element: &str) {
        if element == "<" {
            return self.words(element);
        }
        let inner = element.trim_start_matches('<').trim_end_matches('>');
        let closes = inner.starts_with('/');
        let name = inner
            .trim_start_matches('/')
            .split(|c: char| c.is_whitespace() || c == '/')
            .next()
            .unwrap_or_default();
        let name = name.to_ascii_lowercase();
        let is_void = VOID.contains(&name.as_str()) || inner.ends_with('/');
        if let Some((silent, depth)) = &mut self.silent {
            if *silent == name && !is_void {
                *depth = if closes { *depth - 1 } else { *depth + 1 };
            }
            if *depth == 0 {
                self.silent = None;
            }
            return;
        }
        if !closes && !is_void && (SILENT.contains(&name.as_str()) || is_hidden(inner)) {
            self.silent = Some((name, 1));
            return;
        }
        self.visible(&name, inner, closes);
    }

    fn visible(&mut self, name: &str, inner: &str, closes: bool) {
        match (name, closes) {
            ("a", false) => {
                if let Some(target) = attribute(inner, "href") {
                    self.settle();
                    self.link = Some((self.unmasked(&decoded(target)), self.out.len()));
                }
            }
            ("a", true) => self.end_link(),
            ("br", _) => self.breaks = (self.breaks + 1).min(2),
            ("img", _) => {
                let alt = attribute(inner, "alt").unwrap_or_default().to_owned();
                self.words(&alt);
                self.out = self.unmasked(&self.out);
            }
            ("hr", _) => {
                self.break_lines(2);
                self.words("----");
                self.break_lines(2);
            }
            ("li", false) => {
                self.break_lines(1);
                self.words("-");
                self.space = true;
            }
            ("td" | "th", _) => self.space = true,
            (
                "blockquote" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ol" | "p" | "pre" | "table" | "ul",
                _,
            ) => self.break_lines(2),
            (
                "article" | "body" | "center" | "div" | "footer" | "header" | "li" | "main" | "section"
                | "tr",
                _,
            ) => {
                self.break_lines(1);
            }
            _ => {}
        }
    }

    fn unmasked(&self, text: &str) -> String {
        let place =
            |c: char| u32::from(c).checked_sub(FIRST_MASK).and_then(|place| self.masked.get(place as usize));
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match place(c) {
                Some(tag) => out.push_str(tag),
                None => out.push(c),
            }
        }
        out
    }

    fn break_lines(&mut self, count: usize) {
        self.breaks = self.breaks.max(count);
    }

    /// Writes the target behind the label, or alone where the label says the same.
    fn end_link(&mut self) {
        let Some((target, start)) = self.link.take() else { return };
        let label = self.out[start..].trim().to_owned();
        let bare = target.trim_start_matches("mailto:").trim_start_matches("tel:");
        if label == target {
            self.out.truncate(start);
        } else if label == bare || target.is_empty() || target.starts_with('#') {
            return;
        } else if !label.is_empty() {
            self.out.push(' ');
        }
        self.out.push('<');
        self.out.push(LINK_START);
        self.out.push_str(&target);
        self.out.push(LINK_END);
        self.out.push('>');
    }
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
}

/// Whether an element is there only for programs: `hidden`, or styled away as preheaders are.
fn is_hidden(inner: &str) -> bool {
    let style: String =
        attribute(inner, "style").unwrap_or_default().to_lowercase().split_whitespace().collect();
    style.contains("display:none")
        || style.contains("visibility:hidden")
        || style.contains("mso-hide:all")
        || attribute(inner, "hidden").is_some()
}

/// The value of an attribute, in or without quotes; empty if it has none.
fn attribute<'a>(inner: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = inner.split_once(|c: char| c.is_whitespace()).map_or("", |(_, rest)| rest);
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let after = after.trim_start();
        let (value, tail) = match after.strip_prefix('=').map(str::trim_start) {
            None => ("", after),
            Some(value) => match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
                _ => value.split_once(|c: char| c.is_whitespace()).unwrap_or((value, "")),
            },
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        if end == 0 {
            // A stray `=`: go on behind it.
            rest = &rest[1..];
        } else {
            rest = tail;
        }
    }
}

/// Rendered text with its white space settled: no blanks at the ends of lines, never two in a row, at most one empty
/// line, none at the beginning, one line end at the end.
pub(super) fn tidied(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines() {
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let Some(first) = words.next() else {
            empty += 1;
            continue;
        };
        if !out.is_empty() {
            out.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        empty = 0;
        out.push_str(first);
        for word in words {
            out.push(' ');
            out.push_str(word);
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::template::{Format, scan};

    fn text(html: &str) -> String {
        let marked = from_html(html, &scan(html, Format::Plain).tags);
        marked.replace([LINK_START, LINK_END], "")
    }

    #[test]
    fn elements_become_lines_and_links_keep_their_targets() {
        for (html, expected) in [
            ("<p>One</p><p>Two\n  words</p>", "One\n\nTwo words"),
            ("a<br>b<br/><br>c", "a\nb\n\nc"),
            ("<h1>T</h1><ul><li>x<li>y</ul>", "T\n\n- x\n- y"),
            ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
            ("<a href=\"https://s/?a=1&amp;b=2\">Shop</a>.", "Shop <https://s/?a=1&b=2>."),
            ("<a href='https://s'>https://s</a>", "<https://s>"),
            ("<a href=\"mailto:a@b.c\">a@b.c</a>", "a@b.c"),
            ("<a href=\"https://s\"><img src=x alt=\"Our shop\"></a>", "Our shop <https://s>"),
            ("<a href=\"https://s\"><img src=x></a>", "<https://s>"),
            ("<a name=x>here</a> <a href='#top'>up</a>", "here up"),
            ("x<hr>y", "x\n\n----\n\ny"),
            (
                "Gr&uuml;&szlig;e &amp; K&#252;sse &#x20AC; &unknown; & &lt;b&gt;",
                "Grüße & Küsse € &unknown; & <b>",
            ),
            ("1 < 2", "1 < 2"),
        ] {
            assert_eq!(tidied(&text(html)).trim_end(), expected, "{html}");
        }
    }

    #[test]
    fn what_is_not_seen_is_not_written() {
        for (html, expected) in [
            ("<head><title>t</title><style>p{}</style></head>x", "x"),
            ("<div style=\"display: none\">pre<div>header</div></div>x", "x"),
            ("<span hidden>no</span>x", "x"),
            ("<div style='mso-hide:all'>no</div>x", "x"),
            ("<!-- no > --><!--[if mso]><b>no</b><![endif]-->x", "x"),
            ("<!doctype html>x", "x"),
            ("<script>if (a < b) {}</script>x", "x"),
        ] {
            assert_eq!(tidied(&text(html)).trim_end(), expected, "{html}");
        }
    }

    #[test]
    fn handlebars_tags_stay_in_their_order_and_branches_keep_their_spaces() {
        for (html, expected) in [
            ("Hello{{#if a}} {{a}}{{/if}},", "Hello{{#if a}} {{a}}{{/if}},"),
            ("a {{#if b}}c{{/if}} d", "a {{#if b}}c{{/if}} d"),
            (
                "<table>{{#each l}}<tr><td>{{n}}</td></tr>{{/each}}</table>",
                "\n\n{{#each l}}\n{{n}}\n{{/each}}",
            ),
            ("<a href=\"{{u \">\"}}/x\" title=\"{{t}}\">go</a>", "go <{{u \">\"}}/x>"),
            ("<p {{#if a}}class=\"x\"{{/if}}>y</p>", "\n\ny"),
            ("{{! no }}{{!-- no --}}x", "x"),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn no_cut_of_a_document_makes_it_panic() {
        let html = "<!--[if x]><b><![endif]--><a href='ü' {{#if a}}b=\"{{c}}\"{{/if}}>&auml;{{d}}</a><p style=\"display:none\">x</p>";
        for (end, _) in html.char_indices() {
            text(&html[..end]);
            text(&html[end..]);
        }
    }
}
