//! Links: which are let through, how values are encoded within one, and how those of a finished message are replaced.

use super::text::{LINK_END, LINK_START};
use crate::lang::template::link_allowed;

/// Hexadecimal, as percent-encoding writes it.
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Lets a link pass whose scheme a mail may have. `Err` says why not, in words that follow its variable's name.
pub(super) fn checked(link: &str) -> Result<String, String> {
    let link = link.trim();
    link_allowed(link).map(|()| path_encoded(link)).map_err(str::to_owned)
}

/// For a value within a link: what has a meaning there keeps it, everything else is encoded.
pub(super) fn path_encoded(value: &str) -> String {
    encoded(value, |b| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b))
}

/// For a value behind `?` or `#`: it cannot end its field.
pub(super) fn query_encoded(value: &str) -> String {
    encoded(value, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

fn encoded(value: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if stays(byte) {
            out.push(byte.into());
        } else {
            out.push('%');
            out.push(HEX[usize::from(byte >> 4)].into());
            out.push(HEX[usize::from(byte & 15)].into());
        }
    }
    out
}

/// Whether clicks on this link may be counted: links of the web, except the message's own.
fn is_counted(link: &str, own: &[&str]) -> bool {
    let is_web = link.starts_with("http://") || link.starts_with("https://");
    is_web && !own.iter().any(|own| !own.is_empty() && link.starts_with(own))
}

/// Replaces the targets of `<a href="…">` in finished HTML.
pub(super) fn replaced_in_html(html: &str, own: &[&str], replace: &dyn Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(html.len() + html.len() / 4);
    let mut rest = html;
    while let Some(start) = find_anchor(rest) {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let Some((from, to)) = href_in(tag) else {
            out.push_str(&tag[..2]);
            rest = &tag[2..];
            continue;
        };
        let link = unescaped(&tag[from..to]);
        out.push_str(&tag[..from]);
        if is_counted(&link, own) {
            out.push_str(&handlebars::html_escape(&replace(&link)));
        } else {
            out.push_str(&tag[from..to]);
        }
        rest = &tag[to..];
    }
    out.push_str(rest);
    out
}

/// Where the next `<a` with something behind it begins.
fn find_anchor(html: &str) -> Option<usize> {
    let bytes = html.as_bytes();
    let is_anchor = |at: &usize| {
        bytes[*at] == b'<'
            && bytes.get(at + 1).is_some_and(|b| b.eq_ignore_ascii_case(&b'a'))
            && bytes.get(at + 2).is_some_and(u8::is_ascii_whitespace)
    };
    (0..bytes.len()).find(is_anchor)
}

/// The bytes of the `href` value in the tag that `tag` begins with, quotes not included.
fn href_in(tag: &str) -> Option<(usize, usize)> {
    let bytes = tag.as_bytes();
    let mut at = 2;
    loop {
        while bytes.get(at).is_some_and(|b| b.is_ascii_whitespace() || *b == b'/') {
            at += 1;
        }
        let name_start = at;
        while bytes.get(at).is_some_and(|b| !b.is_ascii_whitespace() && !b"=>/".contains(b)) {
            at += 1;
        }
        let name = &tag[name_start..at];
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        match bytes.get(at) {
            Some(b'=') => at += 1,
            None | Some(b'>') => return None,
            Some(_) if at == name_start => return None,
            Some(_) => continue,
        }
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        let quote = *bytes.get(at)?;
        let (from, to) = match quote {
            b'"' | b'\'' => (at + 1, at + 1 + tag[at + 1..].find(char::from(quote))?),
            _ => (at, at + tag[at..].find(|c: char| c.is_whitespace() || c == '>')?),
        };
        if name.eq_ignore_ascii_case("href") {
            return (quote == b'"' || quote == b'\'').then_some((from, to));
        }
        at = to + usize::from(quote == b'"' || quote == b'\'');
    }
}

/// Replaces the marked links of generated text, and takes the marks away.
pub(super) fn replaced_in_text(text: &str, own: &[&str], replace: Option<&dyn Fn(&str) -> String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, marked)) = rest.split_once(LINK_START) {
        out.push_str(before);
        let (link, after) = marked.split_once(LINK_END).unwrap_or((marked, ""));
        match replace {
            Some(replace) if is_counted(link, own) => out.push_str(&replace(link)),
            _ => out.push_str(link),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn unescaped(value: &str) -> String {
    if !value.contains('&') {
        return value.to_owned();
    }
    let plain = value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
    let plain =
        plain.replace("&#x27;", "'").replace("&#x3D;", "=").replace("&#x60;", "`").replace("&#39;", "'");
    plain.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_of_the_web_mail_and_telephone_pass() {
        for (link, passes) in [
            ("https://a.b/c?d=e#f", true),
            ("HTTP://a.b", true),
            ("mailto:a@b.c", true),
            ("tel:+49301234", true),
            ("javascript:alert(1)", false),
            ("JaVaScRiPt:alert(1)", false),
            ("java\nscript:alert(1)", false),
            ("\u{1}javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("vbscript:x", false),
            ("https:javascript", false),
            ("//a.b/c", false),
            ("/c", false),
            ("", false),
        ] {
            assert_eq!(checked(link).is_ok(), passes, "{link:?}: {:?}", checked(link));
        }
        assert_eq!(checked("https://a.b/ü\"><b>"), Ok("https://a.b/%C3%BC%22%3E%3Cb%3E".to_owned()));
        assert_eq!(query_encoded("a&b=c d"), "a%26b%3Dc%20d");
    }

    #[test]
    fn targets_are_replaced_except_the_messages_own() {
        let replace = |link: &str| format!("https://t/r?u={link}&x");
        let own = ["https://m/u/abc", ""];
        for (html, expected) in [
            (
                "<a href=\"https://s/?a=1&amp;b\">x</a>",
                "<a href=\"https://t/r?u&#x3D;https://s/?a&#x3D;1&amp;b&amp;x\">x</a>",
            ),
            (
                "<A\n class='y' HREF = 'http://s'>x</A>",
                "<A\n class='y' HREF = 'https://t/r?u&#x3D;http://s&amp;x'>x</A>",
            ),
            ("<a href=\"https://m/u/abc\">bye</a>", "<a href=\"https://m/u/abc\">bye</a>"),
            ("<a href=\"mailto:a@b\">x</a><a name=x>", "<a href=\"mailto:a@b\">x</a><a name=x>"),
            ("<abbr href=\"https://s\">", "<abbr href=\"https://s\">"),
            ("<a data-href=\"https://s\" href=https://s>", "<a data-href=\"https://s\" href=https://s>"),
            ("<a href=\"https://s", "<a href=\"https://s"),
            ("text <a", "text <a"),
        ] {
            assert_eq!(replaced_in_html(html, &own, &replace), expected, "{html}");
        }
    }
}
