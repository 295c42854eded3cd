//! The form a message takes between DATA and its answer: CRLF line ends, dots doubled, the final dot.
//!
//! This is the only place that writes it. lettre 0.11.23 doubles dots by a rule that a bare LF or CR gets around
//! (RUSTSEC-2026-0561), so a message could end early and the rest of it be read as commands; here every CR, LF and
//! CRLF becomes one line end before a dot is looked at.

/// A message ready to be written after 354, the final dot included.
#[derive(Clone, Debug)]
pub(super) struct Body {
    /// As one text, since lettre's connection takes commands as text.
    pub(super) wire: String,
    /// Octets as SIZE counts them: line ends as two, doubled dots not counted (RFC 1870).
    pub(super) size: usize,
    /// Whether BODY=8BITMIME must be said.
    pub(super) eight_bit: bool,
}

/// Why a message has no form on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BodyError {
    /// Bytes that are no UTF-8; our own writer makes none.
    Encoding,
    /// A NUL, which RFC 5321 forbids.
    Nul,
}

impl Body {
    /// Normalizes line ends and doubles dots.
    pub(super) fn new(message: &[u8]) -> Result<Body, BodyError> {
        let message = std::str::from_utf8(message).map_err(|_| BodyError::Encoding)?;
        if message.contains('\0') {
            return Err(BodyError::Nul);
        }
        let mut wire = String::with_capacity(message.len() + message.len() / 32 + 8);
        let mut dots = 0;
        let mut rest = message;
        while !rest.is_empty() {
            let end = rest.bytes().position(|b| b == b'\r' || b == b'\n').unwrap_or(rest.len());
            let (line, tail) = rest.split_at(end);
            if line.starts_with('.') {
                wire.push('.');
                dots += 1;
            }
            wire.push_str(line);
            wire.push_str("\r\n");
            rest = tail.strip_prefix("\r\n").or_else(|| tail.strip_prefix(['\r', '\n'])).unwrap_or(tail);
        }
        let size = wire.len() - dots;
        wire.push_str(".\r\n");
        Ok(Body { eight_bit: !message.is_ascii(), wire, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(message: &str) -> String {
        Body::new(message.as_bytes()).unwrap().wire
    }

    #[test]
    fn every_line_end_becomes_crlf_and_the_last_line_gets_one() {
        assert_eq!(wire(""), ".\r\n");
        assert_eq!(wire("a"), "a\r\n.\r\n");
        assert_eq!(wire("a\r\n"), "a\r\n.\r\n");
        assert_eq!(wire("a\nb\rc\r\nd"), "a\r\nb\r\nc\r\nd\r\n.\r\n");
        assert_eq!(wire("a\n\r\nb"), "a\r\n\r\nb\r\n.\r\n");
        assert_eq!(wire("a\r\r\nb"), "a\r\n\r\nb\r\n.\r\n");
    }

    #[test]
    fn a_dot_at_the_beginning_of_any_line_is_doubled() {
        assert_eq!(wire("."), "..\r\n.\r\n");
        assert_eq!(wire("a\n.\nQUIT"), "a\r\n..\r\nQUIT\r\n.\r\n");
        assert_eq!(wire("a\r.\rQUIT"), "a\r\n..\r\nQUIT\r\n.\r\n");
        assert_eq!(wire("..x"), "...x\r\n.\r\n");
        assert_eq!(wire("x."), "x.\r\n.\r\n");
    }

    #[test]
    fn size_counts_no_doubled_dots_and_no_final_dot() {
        assert_eq!(Body::new(b".a\nb").unwrap().size, ".a\r\nb\r\n".len());
        assert!(Body::new("für".as_bytes()).unwrap().eight_bit);
        assert!(!Body::new(b"for").unwrap().eight_bit);
    }

    #[test]
    fn nul_and_foreign_bytes_have_no_form() {
        assert_eq!(Body::new(b"a\0b").err(), Some(BodyError::Nul));
        assert_eq!(Body::new(&[0xff]).err(), Some(BodyError::Encoding));
    }
}
