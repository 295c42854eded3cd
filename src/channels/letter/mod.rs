//! Letters: from the text of a message to pages of A4 with an address that shows in the window of an envelope.
//!
//! Measures are those of DIN 5008, form B: the address stands 62.7 mm below the top edge and 25 mm from the left, under the sender's
//! own address in small print, and marks show where to fold. The text is plain, with the little markup that people write anyway:
//! `# ` before a heading, `- ` before an item, `**` around what is bold.
//!
//! The same letter makes the same bytes: nothing in the file tells when it was made, and the fonts are our own (Open Sans, SIL Open
//! Font License 1.1, beside this file). They have the letters of European languages. What they lack is left out of a text as an empty
//! box, and refused in an address: nobody delivers to a box.

mod face;
mod layout;
mod page;

use std::fmt;

use crate::id::DeliveryId;

pub use self::layout::{LONGEST_ADDRESS, address_lines};

/// A letter before it is written.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    pub id: DeliveryId,
    /// In small print above the address; may be empty.
    pub sender: &'a str,
    /// As [`address_lines`] makes them.
    pub address: &'a [String],
    /// May be empty.
    pub subject: &'a str,
    pub text: &'a str,
    /// Of the text: `de`, `en-GB`.
    pub language: &'a str,
    /// How one answers, if one can.
    pub answer: Option<Answer<'a>>,
}

/// How a letter is answered: at the foot of its first page.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub code: &'a str,
    /// The page that takes it, as a QR code too.
    pub link: &'a str,
}

/// Why a letter cannot be written. Final: trying again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterError {
    /// There is nothing that could be printed.
    NoAddress,
    /// More lines than show in a window.
    TooManyLines(usize),
    /// Characters that no font of ours has, or that run from right to left.
    Unprintable(String),
    /// More text than anybody prints.
    TooLong,
    /// The PDF could not be made.
    Failed(String),
}

impl LetterError {
    /// Whether the address is at fault.
    pub fn is_bad_address(&self) -> bool {
        matches!(self, LetterError::NoAddress | LetterError::TooManyLines(_) | LetterError::Unprintable(_))
    }
}

impl fmt::Display for LetterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LetterError::NoAddress => f.write_str("there is no address to print"),
            LetterError::TooManyLines(lines) => {
                write!(f, "the address has {lines} lines, and a window shows {LONGEST_ADDRESS}")
            }
            LetterError::Unprintable(chars) => write!(f, "the address has what cannot be printed: {chars}"),
            LetterError::TooLong => f.write_str("the letter has more than 20 pages"),
            LetterError::Failed(why) => write!(f, "the letter cannot be written: {why}"),
        }
    }
}

impl std::error::Error for LetterError {}

impl Letter<'_> {
    /// The PDF.
    pub fn write(&self) -> Result<Vec<u8>, LetterError> {
        page::write(self)
    }
}

/// Whether these bytes are a letter that was written here.
pub fn is_letter(bytes: &[u8]) -> bool {
    bytes.starts_with(b"%PDF-") && bytes.windows(MAKER.len()).any(|part| part == MAKER)
}

/// How a PDF says who has made it.
const MAKER: &[u8] = b"/Creator(Fahrplan)";

#[cfg(test)]
mod tests {
    use super::*;

    fn letter<'a>(address: &'a [String], text: &'a str) -> Letter<'a> {
        let answer = Answer { code: "K7QM-3FXR-9TWP", link: "https://shop.example.org/a/K7QM3FXR9TWP" };
        Letter {
            id: DeliveryId(17),
            sender: "Siebenuhr Kaffee, Beispielstraße 7, 10115 Berlin",
            address,
            subject: "Schön, wenn du wiederkommst",
            text,
            language: "de",
            answer: Some(answer),
        }
    }

    #[test]
    fn the_same_letter_makes_the_same_bytes_and_another_makes_others() {
        let lines = address_lines(Some("Łukasz Żółć"), "Weg 1\n10115 Berlin").expect("an address");
        let pdf = letter(&lines, "Guten Tag").write().expect("a letter");
        assert!(is_letter(&pdf) && !is_letter(b"%PDF-1.7 a contract"));
        assert_eq!(pdf, letter(&lines, "Guten Tag").write().expect("a letter"));
        assert_ne!(pdf, letter(&lines, "Guten Abend").write().expect("a letter"));
        let text = String::from_utf8_lossy(&pdf);
        assert!(!text.contains("CreationDate") && !text.contains("ModDate") && !text.contains("CreateDate"));
    }

    #[test]
    fn a_long_letter_has_more_pages_and_a_book_is_refused() {
        let lines = address_lines(None, "Anna\nWeg 1").expect("an address");
        let pages = |text: &str| {
            let pdf = letter(&lines, text).write()?;
            Ok::<_, LetterError>(
                String::from_utf8_lossy(&pdf)
                    .matches("/Type /Page\n")
                    .count()
                    .max(String::from_utf8_lossy(&pdf).matches("/Type/Page/").count()),
            )
        };
        let paragraph = "Ein Satz mit einigen Wörtern, der sich wiederholt. ".repeat(12) + "\n\n";
        let (one, many) = (pages("kurz").expect("a letter"), pages(&paragraph.repeat(20)).expect("a letter"));
        assert!(one < many || one == 0, "{one} {many}");
        assert_eq!(pages(&paragraph.repeat(400)), Err(LetterError::TooLong));
    }

    #[test]
    fn every_text_can_be_printed() {
        let lines = address_lines(None, "Anna\nWeg 1").expect("an address");
        let long = "a".repeat(5_000);
        for text in
            ["", "\n\n\n", "\u{0}\u{7}\t\r\n", "日本語 👩‍👩‍👧", "# \n- \n**", "**a** b **c", &long, "e\u{301}"]
        {
            letter(&lines, text).write().expect("a letter");
        }
    }
}
