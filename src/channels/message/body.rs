//! The body: one text, or text and HTML as alternatives, each 7-bit or quoted-printable (RFC 2045, 2046).

/// The longest line of quoted-printable, its `=` included.
const LONGEST_LINE: usize = 76;
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// What stands between the parts of the message with this id. `=_` occurs in no quoted-printable text, and a text that
/// has it is never left in 7 bit, so no body can hold the boundary.
pub(super) fn boundary(message_id: &str) -> String {
    let hash = blake3::hash(message_id.as_bytes()).to_hex();
    format!("=_{}", &hash.as_str()[..32])
}

/// Writes headers and body of a single text.
pub(super) fn write_single(out: &mut String, text: &str) {
    write_part(out, "plain", text);
}

/// Writes headers and bodies of both alternatives, the better one last.
pub(super) fn write_alternative(out: &mut String, message_id: &str, text: &str, html: &str) {
    let boundary = boundary(message_id);
    out.push_str("Content-Type: multipart/alternative;\r\n boundary=\"");
    out.push_str(&boundary);
    out.push_str("\"\r\n");
    for (kind, part) in [("plain", text), ("html", html)] {
        out.push_str("\r\n--");
        out.push_str(&boundary);
        out.push_str("\r\n");
        write_part(out, kind, part);
    }
    out.push_str("\r\n--");
    out.push_str(&boundary);
    out.push_str("--\r\n");
}

fn write_part(out: &mut String, kind: &str, text: &str) {
    out.push_str("Content-Type: text/");
    out.push_str(kind);
    out.push_str("; charset=utf-8\r\nContent-Transfer-Encoding: ");
    if is_seven_bit(text) {
        out.push_str("7bit\r\n\r\n");
        for line in lines(text) {
            out.push_str(line);
            out.push_str("\r\n");
        }
    } else {
        out.push_str("quoted-printable\r\n\r\n");
        for line in lines(text) {
            write_quoted(out, line);
            out.push_str("\r\n");
        }
    }
}

/// Lines, whether CRLF, LF or CR ends them. The end of the last one makes no further line.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let end = text.bytes().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(text.len());
        let (line, tail) = text.split_at(end);
        let tail = tail.strip_prefix("\r\n").or_else(|| tail.strip_prefix(['\r', '\n'])).unwrap_or(tail);
        rest = Some(tail).filter(|tail| !tail.is_empty());
        Some(line)
    })
}

/// Whether nothing needs encoding: short lines of printable ASCII, none with white space at its end.
fn is_seven_bit(text: &str) -> bool {
    text.is_ascii()
        && !text.contains("=_")
        && lines(text).all(|line| {
            line.len() <= LONGEST_LINE
                && !line.ends_with([' ', '\t'])
                && line.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
        })
}

fn write_quoted(out: &mut String, line: &str) {
    let mut length = 0;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let is_last = characters.peek().is_none();
        let bare = match c {
            ' ' | '\t' => !is_last,
            '!'..='~' => c != '=',
            _ => false,
        };
        let needed = if bare { 1 } else { 3 * c.len_utf8() };
        // A soft line break needs one place itself, except behind the last character.
        if length + needed + usize::from(!is_last) > LONGEST_LINE {
            out.push_str("=\r\n");
            length = 0;
        }
        length += needed;
        if bare {
            out.push(c);
        } else {
            let mut bytes = [0; 4];
            for &byte in c.encode_utf8(&mut bytes).as_bytes() {
                out.push('=');
                out.push(HEX[usize::from(byte >> 4)].into());
                out.push(HEX[usize::from(byte & 15)].into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> String {
        let mut out = String::new();
        write_part(&mut out, "plain", text);
        out.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    #[test]
    fn lines_end_in_crlf_however_they_ended() {
        assert_eq!(part("a\nb\r\nc\rd"), "a\r\nb\r\nc\r\nd\r\n");
        assert_eq!(part("a\n\n"), "a\r\n\r\n");
        assert_eq!(part(""), "");
    }

    #[test]
    fn what_needs_encoding_is_encoded() {
        assert_eq!(part("1 = 1\n"), "1 = 1\r\n", "a short ASCII line stays");
        assert_eq!(part("ü = \t"), "=C3=BC =3D =09\r\n");
        assert_eq!(part("a\0b"), "a=00b\r\n");
        assert_eq!(part("=_x"), "=3D_x\r\n");
    }

    #[test]
    fn long_lines_are_broken_between_characters() {
        for text in [
            "x".repeat(500),
            "ü".repeat(200),
            "a b=".repeat(99),
            "€".repeat(77),
            format!("{}ü", "x".repeat(76)),
        ] {
            let encoded = part(&text);
            for line in encoded.lines() {
                assert!(line.len() <= LONGEST_LINE, "{line}");
                // No character is split: each line alone decodes to UTF-8.
                let alone = format!("Content-Transfer-Encoding: quoted-printable\r\n\r\n{line}\r\n");
                let read = crate::channels::mailbox::Letter::read(alone.as_bytes()).text;
                assert!(!read.contains('\u{fffd}'), "{line}");
            }
            let whole = format!("Content-Transfer-Encoding: quoted-printable\r\n\r\n{encoded}");
            assert_eq!(crate::channels::mailbox::Letter::read(whole.as_bytes()).text, format!("{text}\n"));
        }
    }
}
