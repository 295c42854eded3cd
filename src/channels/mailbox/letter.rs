//! Reading a message back: headers, and the subject, text and HTML as a mail program would show them.
//!
//! Enough of MIME for what arrives in the mailbox: encoded-words in UTF-8 and Latin-1, multipart bodies, base64 and
//! quoted-printable. What cannot be read is kept as it came.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Multipart within multipart; beyond this the parts are left alone.
const DEEPEST: usize = 8;

/// A message, decoded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Letter {
    /// All headers in order, unfolded but not decoded.
    pub headers: Vec<(String, String)>,
    /// The subject, decoded.
    pub subject: String,
    /// The first plain-text part, with line feeds.
    pub text: String,
    /// The first HTML part, with line feeds; empty if there is none.
    pub html: String,
}

impl Letter {
    /// Reads the bytes of a message. Never fails: a letter nobody can read has its bytes as its text.
    pub fn read(raw: &[u8]) -> Letter {
        let (headers, body) = headers_and_body(raw);
        let mut letter = Letter::default();
        letter.take_part(&headers, body, 0);
        letter.subject = header_in(&headers, "subject").map(decoded_words).unwrap_or_default();
        letter.headers = headers;
        letter
    }

    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header_in(&self.headers, name)
    }

    /// The targets of the links in the HTML, or else in the text, in order.
    pub fn links(&self) -> Vec<String> {
        if self.html.is_empty() {
            let starts = self.text.match_indices("http");
            return starts
                .map(|(at, _)| &self.text[at..])
                .filter(|rest| rest.starts_with("http://") || rest.starts_with("https://"))
                .map(|rest| {
                    rest.split([' ', '\n', '\t', ')', '>', ']', '"']).next().unwrap_or(rest).to_owned()
                })
                .collect();
        }
        let links = self.html.split("href=\"").skip(1);
        links.filter_map(|rest| rest.split_once('"')).map(|(link, _)| unescaped(link)).collect()
    }

    fn take_part(&mut self, headers: &[(String, String)], body: &[u8], depth: usize) {
        let kind = header_in(headers, "content-type").unwrap_or("text/plain");
        let media = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let boundary = media.starts_with("multipart/").then(|| parameter(kind, "boundary")).flatten();
        if let Some(boundary) = boundary.filter(|_| depth < DEEPEST) {
            for part in parts(body, &boundary) {
                let (headers, body) = headers_and_body(part);
                self.take_part(&headers, body, depth + 1);
            }
            return;
        }
        let place = match media.as_str() {
            "text/html" => &mut self.html,
            "text/plain" => &mut self.text,
            _ => return,
        };
        if place.is_empty() {
            let encoding = header_in(headers, "content-transfer-encoding").unwrap_or("7bit");
            let bytes = transfer_decoded(body, encoding.trim());
            let charset = parameter(kind, "charset").unwrap_or_default();
            *place = in_charset(&bytes, &charset).replace("\r\n", "\n");
        }
    }
}

fn header_in<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn headers_and_body(raw: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut rest = raw;
    while !rest.is_empty() {
        let end = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |end| end + 1);
        let (line, tail) = rest.split_at(end);
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return (headers, tail);
        }
        match (line.starts_with([' ', '\t']), headers.last_mut(), line.split_once(':')) {
            (true, Some((_, value)), _) => value.push_str(line),
            (false, _, Some((name, value))) => headers.push((name.to_owned(), value.trim_start().to_owned())),
            // No header: whatever this is, it begins the body.
            _ => return (headers, rest),
        }
        rest = tail;
    }
    (headers, rest)
}

fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        key.trim().eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

/// The parts between the delimiter lines; text before the first and behind the last is dropped.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at < body.len() {
        let end = body[at..].iter().position(|&b| b == b'\n').map_or(body.len(), |end| at + end + 1);
        let line = body[at..end].trim_ascii_end();
        if let Some(rest) = line.strip_prefix(delimiter.as_bytes()) {
            if let Some(start) = start.take() {
                let part = &body[start..at];
                let part = part.strip_suffix(b"\n").unwrap_or(part);
                parts.push(part.strip_suffix(b"\r").unwrap_or(part));
            }
            if rest == b"--" {
                break;
            }
            start = rest.is_empty().then_some(end);
        }
        at = end;
    }
    parts
}

fn transfer_decoded(body: &[u8], encoding: &str) -> Vec<u8> {
    if encoding.eq_ignore_ascii_case("base64") {
        let packed: Vec<u8> = body.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        BASE64.decode(&packed).unwrap_or_else(|_| body.to_vec())
    } else if encoding.eq_ignore_ascii_case("quoted-printable") {
        quoted_printable_decoded(body)
    } else {
        body.to_vec()
    }
}

fn quoted_printable_decoded(body: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(body.len());
    let mut rest = body;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'=' {
            decoded.push(*first);
        } else if let Some(next) = tail.strip_prefix(b"\r\n").or_else(|| tail.strip_prefix(b"\n")) {
            rest = next;
        } else if let Some(byte) = tail.get(..2).and_then(hex_byte) {
            decoded.push(byte);
            rest = &tail[2..];
        } else {
            decoded.push(b'=');
        }
    }
    decoded
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn in_charset(bytes: &[u8], charset: &str) -> String {
    if charset.eq_ignore_ascii_case("iso-8859-1") {
        bytes.iter().map(|&b| char::from(b)).collect()
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// Undoes the encoded-words of RFC 2047. White space between two of them belongs to the encoding.
pub fn decoded_words(value: &str) -> String {
    let mut decoded = String::with_capacity(value.len());
    let mut rest = value;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, word) = rest.split_at(start);
        match encoded_word(word) {
            Some((text, length)) => {
                if !(after_word && before.trim().is_empty()) {
                    decoded.push_str(before);
                }
                decoded.push_str(&text);
                rest = &word[length..];
                after_word = true;
            }
            None => {
                decoded.push_str(before);
                decoded.push_str("=?");
                rest = &word[2..];
                after_word = false;
            }
        }
    }
    decoded + rest
}

/// `=?charset?B or Q?text?=` at the beginning of `word`, decoded, and its length.
fn encoded_word(word: &str) -> Option<(String, usize)> {
    let mut fields = word.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, rest) = (fields.next()?, fields.next()?, fields.next()?);
    let (text, _) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => BASE64.decode(text).ok()?,
        "Q" | "q" => quoted_printable_decoded(text.replace('_', " ").as_bytes()),
        _ => return None,
    };
    let length = 2 + charset.len() + 1 + encoding.len() + 1 + text.len() + 2;
    Some((in_charset(&bytes, charset), length))
}

fn unescaped(link: &str) -> String {
    link.replace("&#x3D;", "=").replace("&quot;", "\"").replace("&#x27;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multipart_letter_is_read_whole() {
        let raw = "Subject: =?UTF-8?Q?Sch=C3=B6ne?=\r\n =?utf-8?B?IEdyw7zDn2U=?= to you\r\nX-Long: one\r\n two\r\n\
            Content-Type: multipart/alternative; boundary=\"b1\"\r\n\r\npreamble\r\n--b1\r\n\
            Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
            Gr=C3=BC=C3=9Fe, =\r\nlong\r\n\r\n--b1\r\nContent-Type: text/html; charset=utf-8\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nPGEgaHJlZj0iaHR0cHM6Ly9h\r\nLmI/Yz0xJmFtcDtkIj54PC9hPg==\r\n--b1--\r\nepilogue";
        let letter = Letter::read(raw.as_bytes());
        assert_eq!(letter.subject, "Schöne Grüße to you");
        assert_eq!(letter.header("x-long"), Some("one two"));
        assert_eq!(letter.text, "Grüße, long\n");
        assert_eq!(letter.html, "<a href=\"https://a.b?c=1&amp;d\">x</a>");
        assert_eq!(letter.links(), ["https://a.b?c=1&d"]);
    }

    #[test]
    fn a_plain_letter_and_none_at_all_are_read_too() {
        let letter = Letter::read(b"Subject: hi\n\nsee https://a.b/c, or not\n");
        assert_eq!((letter.subject.as_str(), letter.html.as_str()), ("hi", ""));
        assert_eq!(letter.links(), ["https://a.b/c,"]);
        assert_eq!(Letter::read(b"").text, "");
        assert_eq!(Letter::read(b"no header\r\nat all").text, "no header\nat all");
    }
}
