//! The header lines: folded at 76 characters where that can be, in ASCII by encoded-words (RFC 2047) where they must.

use lettre::message::Mailbox;

use super::{LONGEST_NAME, LONGEST_SUBJECT, MessageError};

/// Where a line is folded; 78 is what RFC 5322 asks for, 76 what RFC 2047 allows a line with an encoded-word.
const FOLD: usize = 76;
/// The longest line there may be.
const LONGEST_LINE: usize = 998;
/// The longest encoded-word.
const LONGEST_WORD: usize = 75;
/// What an encoded-word begins with here; it ends with `?=`.
const WORD_START: &str = "=?UTF-8?Q?";

/// The header section under construction.
pub(super) struct Headers {
    out: String,
}

impl Headers {
    pub(super) fn with_room(bytes: usize) -> Headers {
        Headers { out: String::with_capacity(bytes) }
    }

    pub(super) fn into_text(self) -> String {
        self.out
    }

    /// A value that is ASCII and short because we made it.
    pub(super) fn plain(&mut self, header: &'static str, value: &str) -> Result<(), MessageError> {
        refuse_controls(header, value)?;
        self.line(header, &[value])
    }

    /// One thing in angle brackets, which cannot be folded.
    pub(super) fn angled(
        &mut self,
        header: &'static str,
        value: &str,
        is_well_formed: fn(&str) -> bool,
    ) -> Result<(), MessageError> {
        refuse_controls(header, value)?;
        if !is_well_formed(value) {
            return Err(MessageError::Malformed { header });
        }
        self.line(header, &[&format!("<{value}>")])
    }

    /// Several things, each in angle brackets.
    pub(super) fn angled_all<'a>(
        &mut self,
        header: &'static str,
        values: impl Iterator<Item = &'a str>,
        is_well_formed: fn(&str) -> bool,
    ) -> Result<(), MessageError> {
        let mut words: Vec<String> = Vec::new();
        for value in values {
            refuse_controls(header, value)?;
            if !is_well_formed(value) {
                return Err(MessageError::Malformed { header });
            }
            if let Some(before) = words.last_mut() {
                before.push(',');
            }
            words.push(format!("<{value}>"));
        }
        self.line(header, &words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Free text.
    pub(super) fn text(&mut self, header: &'static str, value: &str) -> Result<(), MessageError> {
        refuse_controls(header, value)?;
        if value.len() > LONGEST_SUBJECT {
            return Err(MessageError::TooLong { header });
        }
        if is_plain_text(value) {
            let words: Vec<&str> = value.split(' ').collect();
            return self.line(header, &words);
        }
        let words = encoded_words(value, FOLD - header.len() - 2);
        self.line(header, &words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A person or sender: the name plain, quoted or encoded, as it must be, and the address.
    pub(super) fn mailbox(&mut self, header: &'static str, mailbox: &Mailbox) -> Result<(), MessageError> {
        let address: &str = mailbox.email.as_ref();
        refuse_controls(header, address)?;
        let Some(name) = mailbox.name.as_deref().filter(|name| !name.is_empty()) else {
            return self.line(header, &[address]);
        };
        refuse_controls(header, name)?;
        if name.len() > LONGEST_NAME {
            return Err(MessageError::TooLong { header });
        }
        let address = format!("<{address}>");
        let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        let encoded;
        let mut words: Vec<&str> = if is_plain_text(name) && name.split(' ').all(is_atom) {
            name.split(' ').collect()
        } else if is_plain_text(name) && quoted.len() + header.len() + 2 <= FOLD {
            vec![&quoted]
        } else {
            encoded = encoded_words(name, FOLD - header.len() - 2);
            encoded.iter().map(String::as_str).collect()
        };
        words.push(&address);
        self.line(header, &words)
    }

    /// Writes `words` with a space between two, which becomes a line break where the line would grow too long.
    fn line(&mut self, header: &'static str, words: &[&str]) -> Result<(), MessageError> {
        self.out.push_str(header);
        self.out.push(':');
        let mut length = header.len() + 1;
        for (place, word) in words.iter().enumerate() {
            // An empty word stands for a second space; a line of spaces alone would end the headers for some readers.
            if place > 0 && length + 1 + word.len() > FOLD && !word.is_empty() {
                self.out.push_str("\r\n");
                length = 0;
            }
            self.out.push(' ');
            self.out.push_str(word);
            length += 1 + word.len();
            if length > LONGEST_LINE {
                return Err(MessageError::TooLong { header });
            }
        }
        self.out.push_str("\r\n");
        Ok(())
    }
}

fn refuse_controls(header: &'static str, value: &str) -> Result<(), MessageError> {
    // `is_control` holds C0, DEL and C1, hence CR, LF, NUL and NEL; the two Unicode line ends are none.
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if value.contains(breaks) { Err(MessageError::Control { header }) } else { Ok(()) }
}

/// Whether text can stand as it is: ASCII, nothing that reads as an encoded-word, and no spaces that folding or a
/// reader would lose.
fn is_plain_text(value: &str) -> bool {
    value.is_ascii() && !value.contains("=?") && !value.contains("  ") && value.trim() == value
}

fn is_atom(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
}

/// The value as encoded-words, each whole characters only. The first must fit into `first_line`.
fn encoded_words(value: &str, first_line: usize) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = WORD_START.to_owned();
    let mut room = first_line.min(LONGEST_WORD);
    for c in value.chars() {
        let mut bytes = [0; 4];
        let encoded = encoded_character(c.encode_utf8(&mut bytes));
        if word.len() + encoded.len() + 2 > room {
            word.push_str("?=");
            words.push(std::mem::replace(&mut word, WORD_START.to_owned()));
            room = LONGEST_WORD;
        }
        word.push_str(&encoded);
    }
    word.push_str("?=");
    words.push(word);
    words
}

/// Encoding Q with only those characters left bare that are allowed in every place (RFC 2047, section 5).
fn encoded_character(character: &str) -> String {
    match character.as_bytes() {
        b" " => "_".to_owned(),
        [b] if b.is_ascii_alphanumeric() || b"!*+-/".contains(b) => character.to_owned(),
        bytes => bytes.iter().map(|b| format!("={b:02X}")).collect(),
    }
}
