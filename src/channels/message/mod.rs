//! From rendered texts to the bytes of one message for one recipient (RFC 5322, MIME).
//!
//! A writer of our own because lettre's builder panics at a line break in a display name, takes 326 µs for a 41 KB
//! newsletter, and must not be given foreign bytes. Deterministic: the date, the Message-ID and with it the boundary are
//! given, so that a retry makes the same bytes and their hash can be compared. Lines end in CRLF and bodies are 7-bit
//! or quoted-printable; only a header that names an address beyond ASCII may hold other bytes, and then the relay must
//! offer SMTPUTF8.

mod body;
mod headers;

use std::fmt;

use jiff::tz::TimeZone;
use lettre::Address;
pub use lettre::message::Mailbox;

use crate::time::Timestamp;

use headers::Headers;

/// The longest subject, as RFC 5322 lets a line be.
const LONGEST_SUBJECT: usize = 998;
/// The longest display name.
const LONGEST_NAME: usize = 256;
/// The longest part of a Feedback-ID; the four of them stay far below the length of a line.
const LONGEST_FEEDBACK_PART: usize = 64;

/// A message before it is written.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// When it was first to be sent; the same on a retry.
    pub date: Timestamp,
    /// The sender people see.
    pub from: &'a Mailbox,
    /// The one recipient.
    pub to: &'a Mailbox,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<&'a Mailbox>,
    /// As rendered, not encoded.
    pub subject: &'a str,
    /// Without angle brackets; the same on a retry.
    pub message_id: &'a str,
    /// The plain text.
    pub text: &'a str,
    /// The HTML, if there is any.
    pub html: Option<&'a str>,
    /// For mail that one can unsubscribe from.
    pub list: Option<List<'a>>,
    /// Campaign, journey, kind and sender for Gmail's feedback loop. Any names will do: see [`feedback_id`].
    pub feedback_id: Option<[&'a str; 4]>,
}

/// What makes a message one of a list (RFC 2369, 2919, 8058).
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    /// `marketing.shop.example.org`: stable, without angle brackets.
    pub id: &'a str,
    /// The link that unsubscribes this recipient by POST.
    pub unsubscribe: &'a str,
    /// `mailto:…`, for those who know no other way.
    pub unsubscribe_by_mail: Option<&'a str>,
}

/// Why a message cannot be written. Final: trying again changes nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MessageError {
    /// A line break or another control character in a header: somebody may be smuggling headers.
    Control {
        /// The header.
        header: &'static str,
    },
    /// A header longer than mail allows.
    TooLong {
        /// The header.
        header: &'static str,
    },
    /// A header whose form is fixed and not kept: an id with spaces, a link that is none.
    Malformed {
        /// The header.
        header: &'static str,
    },
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageError::Control { header } => {
                write!(f, "{header} holds a line break or another control character, which no header may")
            }
            MessageError::TooLong { header } => write!(f, "{header} is too long for a header"),
            MessageError::Malformed { header } => write!(f, "{header} does not have the form it must have"),
        }
    }
}

impl std::error::Error for MessageError {}

/// Why an address cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddressError {
    /// No address at all, or one with control characters.
    Malformed,
    /// A domain that has no form in ASCII.
    Domain,
    /// Longer than RFC 5321 allows.
    TooLong,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Malformed => "this is no e-mail address",
            AddressError::Domain => "the domain of this e-mail address has no form that mail servers know",
            AddressError::TooLong => "this e-mail address is longer than mail servers take",
        })
    }
}

impl std::error::Error for AddressError {}

/// Reads an address as mail servers want it: the domain as A-label (`müller.de` is `xn--mller-kva.de`). A local part
/// beyond ASCII stays, and can be sent to only where SMTPUTF8 is offered.
pub fn read_address(text: &str) -> Result<Address, AddressError> {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(AddressError::Malformed);
    }
    let address: Address = text.parse().map_err(|_| AddressError::Malformed)?;
    let domain = match address.domain().is_ascii() {
        true => address.domain().to_owned(),
        false => idna::domain_to_ascii(address.domain()).map_err(|_| AddressError::Domain)?,
    };
    if address.user().len() > 64 || domain.len() > 253 || address.user().len() + domain.len() > 253 {
        return Err(AddressError::TooLong);
    }
    Address::new(address.user(), domain).map_err(|_| AddressError::Malformed)
}

/// Reads `Shop <news@example.org>` or a bare address.
pub fn read_mailbox(text: &str) -> Result<Mailbox, AddressError> {
    let mailbox: Mailbox = match text.chars().any(char::is_control) {
        true => return Err(AddressError::Malformed),
        false => text.parse().map_err(|_| AddressError::Malformed)?,
    };
    Ok(Mailbox::new(mailbox.name, read_address(mailbox.email.as_ref())?))
}

impl Message<'_> {
    /// Writes the whole message.
    pub fn write(&self) -> Result<Vec<u8>, MessageError> {
        let room = self.text.len() + self.html.map_or(0, |html| html.len() + html.len() / 8);
        let mut headers = Headers::with_room(1024 + room);
        headers.plain("Date", &rfc5322_date(self.date)?)?;
        headers.mailbox("From", self.from)?;
        headers.mailbox("To", self.to)?;
        if let Some(reply_to) = self.reply_to {
            headers.mailbox("Reply-To", reply_to)?;
        }
        headers.text("Subject", self.subject)?;
        headers.angled("Message-ID", self.message_id, is_message_id)?;
        if let Some(list) = &self.list {
            headers.angled("List-Id", list.id, is_list_id)?;
            let links = [Some(list.unsubscribe), list.unsubscribe_by_mail];
            headers.angled_all("List-Unsubscribe", links.into_iter().flatten(), is_link_or_mail)?;
            headers.plain("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")?;
            headers.plain("Precedence", "bulk")?;
        }
        headers.plain("Auto-Submitted", "auto-generated")?;
        if let Some(parts) = self.feedback_id {
            headers.plain("Feedback-ID", &feedback_id(parts))?;
        }
        headers.plain("MIME-Version", "1.0")?;
        let mut out = headers.into_text();
        match self.html {
            Some(html) => body::write_alternative(&mut out, self.message_id, self.text, html),
            None => body::write_single(&mut out, self.text),
        }
        Ok(out.into_bytes())
    }
}

/// The parts as Gmail reads them: letters, digits, `-` and `_`, with a colon between two. A project may be called as its
/// owner likes, and no name is worth a message that is refused: what does not fit becomes `-`.
pub fn feedback_id(parts: [&str; 4]) -> String {
    parts.map(feedback_part).join(":")
}

fn feedback_part(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let part: String =
        name.chars().take(LONGEST_FEEDBACK_PART).map(|c| if fits(c) { c } else { '-' }).collect();
    if part.is_empty() { "-".to_owned() } else { part }
}

fn rfc5322_date(date: Timestamp) -> Result<String, MessageError> {
    let malformed = MessageError::Malformed { header: "Date" };
    let moment = jiff::Timestamp::from_millisecond(date.0).map_err(|_| malformed.clone())?;
    jiff::fmt::rfc2822::to_string(&moment.to_zoned(TimeZone::UTC)).map_err(|_| malformed)
}

fn is_message_id(id: &str) -> bool {
    let is_atom = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"<>@()[],;:\\\"".contains(&b))
    };
    id.split_once('@').is_some_and(|(left, right)| is_atom(left) && is_atom(right))
}

fn is_list_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_link_or_mail(link: &str) -> bool {
    let fits = |b: u8| b.is_ascii_graphic() && !b"<>\",".contains(&b);
    is_link(link) || link.strip_prefix("mailto:").is_some_and(|to| to.contains('@') && to.bytes().all(fits))
}

fn is_link(link: &str) -> bool {
    let after = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
    after.is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::mailbox::Letter;

    fn from() -> Mailbox {
        read_mailbox("Siebenuhr Kaffee <hallo@shop.example.org>").unwrap()
    }

    fn message<'a>(from: &'a Mailbox, to: &'a Mailbox) -> Message<'a> {
        Message {
            date: Timestamp(1_766_000_000_123),
            from,
            to,
            reply_to: None,
            subject: "Deine Bestellung",
            message_id: "dl_000000000000b@shop.example.org",
            text: "Grüße\n",
            html: Some("<p>Grüße</p>\n"),
            list: Some(List {
                id: "marketing.shop.example.org",
                unsubscribe: "https://mail.shop.example.org/u/abc_DEF-123",
                unsubscribe_by_mail: None,
            }),
            feedback_id: Some(["first", "welcome", "email", "shop"]),
        }
    }

    #[test]
    fn a_message_is_written_exactly_so() {
        let (from, to) = (from(), read_mailbox("Jürgen Groß <juergen@müller.example>").unwrap());
        let written = message(&from, &to).write().unwrap();
        assert_eq!(written, message(&from, &to).write().unwrap(), "the same input makes the same bytes");
        let expected = "\
            Date: Wed, 17 Dec 2025 19:33:20 +0000\r\n\
            From: Siebenuhr Kaffee <hallo@shop.example.org>\r\n\
            To: =?UTF-8?Q?J=C3=BCrgen_Gro=C3=9F?= <juergen@xn--mller-kva.example>\r\n\
            Subject: Deine Bestellung\r\n\
            Message-ID: <dl_000000000000b@shop.example.org>\r\n\
            List-Id: <marketing.shop.example.org>\r\n\
            List-Unsubscribe: <https://mail.shop.example.org/u/abc_DEF-123>\r\n\
            List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\
            Precedence: bulk\r\n\
            Auto-Submitted: auto-generated\r\n\
            Feedback-ID: first:welcome:email:shop\r\n\
            MIME-Version: 1.0\r\n\
            Content-Type: multipart/alternative;\r\n boundary=\"BOUNDARY\"\r\n\
            \r\n\
            --BOUNDARY\r\n\
            Content-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\
            \r\n\
            Gr=C3=BC=C3=9Fe\r\n\
            \r\n\
            --BOUNDARY\r\n\
            Content-Type: text/html; charset=utf-8\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\
            \r\n\
            <p>Gr=C3=BC=C3=9Fe</p>\r\n\
            \r\n\
            --BOUNDARY--\r\n";
        let boundary = body::boundary("dl_000000000000b@shop.example.org");
        assert_eq!(String::from_utf8(written).unwrap(), expected.replace("BOUNDARY", &boundary));
    }

    #[test]
    fn a_message_without_html_is_one_text_and_reads_back() {
        let (from, to) = (from(), read_mailbox("a@example.com").unwrap());
        let text = "Caffè\n.\n--\n trailing \t\nend";
        let plain = Message { html: None, list: None, text, ..message(&from, &to) };
        let written = plain.write().unwrap();
        let letter = Letter::read(&written);
        assert_eq!(letter.text, format!("{text}\n"));
        assert_eq!(letter.header("precedence"), None);
        assert_eq!(letter.header("to"), Some("a@example.com"));
    }

    #[test]
    fn every_subject_and_name_comes_back_and_no_line_is_too_long() {
        let from = from();
        let long = "Überraschung für ".repeat(30);
        for subject in [
            "",
            "plain",
            " leading and trailing ",
            "ends with =?UTF-8?Q?not_encoded?=",
            "日本語の件名はとても長いので複数の行に分けられますが文字は分割されません",
            "👩‍👩‍👧‍👦 Familie",
            &"a".repeat(900),
            &"many words in a row that must be folded ".repeat(20),
            &long,
        ] {
            for name in [
                "Anna",
                "Müller, \"Jo\" \\ (Chef)",
                "O'Neil; <x@y>",
                "日本語の名前はとても長い".repeat(6).as_str(),
                "a.b",
            ] {
                let to = Mailbox::new(Some(name.to_owned()), "a@example.com".parse().unwrap());
                let written = Message { subject, ..message(&from, &to) }.write().unwrap();
                let text = String::from_utf8(written.clone()).unwrap();
                assert!(text.is_ascii());
                let letter = Letter::read(&written);
                assert_eq!(letter.subject, subject);
                let read = crate::channels::mailbox::decoded_words(letter.header("To").unwrap());
                let quoted = format!("\"{}\" <", name.replace('\\', "\\\\").replace('"', "\\\""));
                assert!(read.starts_with(name) || read.starts_with(&quoted), "{read}");
                let longest = text.split("\r\n").map(str::len).max().unwrap();
                assert!(longest <= if subject.starts_with("aaa") { 998 } else { 76 }, "{longest}: {text}");
            }
        }
    }

    #[test]
    fn control_characters_and_malformed_headers_are_refused() {
        let (from, to) = (from(), read_mailbox("a@example.com").unwrap());
        let good = message(&from, &to);
        for subject in ["a\r\nBcc: x@example.com", "a\nb", "a\rb", "a\0b", "a\u{7f}b", "a\u{85}b"] {
            let error = Message { subject, ..good.clone() }.write().unwrap_err();
            assert_eq!(error, MessageError::Control { header: "Subject" }, "{subject:?}");
        }
        let smuggler =
            Mailbox::new(Some("a\r\nBcc: x@example.com".to_owned()), "a@example.com".parse().unwrap());
        let error = Message { to: &smuggler, ..good.clone() }.write().unwrap_err();
        assert_eq!(error, MessageError::Control { header: "To" });
        let long = "x".repeat(1000);
        let error = Message { subject: &long, ..good.clone() }.write().unwrap_err();
        assert_eq!(error, MessageError::TooLong { header: "Subject" });
        for message_id in ["no-at", "a b@c", "a@b>", "a@b\r\n", "@", "a@b@c"] {
            assert!(Message { message_id, ..good.clone() }.write().is_err(), "{message_id:?}");
        }
        for unsubscribe in
            ["mailto:a", "mailto:a@b,c@d", "https://", "https://a b", "https://a>,<https://b", "https://a/ü"]
        {
            let list = Some(List { unsubscribe, ..good.list.unwrap() });
            assert!(Message { list, ..good.clone() }.write().is_err(), "{unsubscribe:?}");
        }
    }

    #[test]
    fn every_name_of_a_project_fits_into_the_feedback_id() {
        let (from, to) = (from(), read_mailbox("a@example.com").unwrap());
        let long = "a".repeat(2_000);
        for (project, expected) in [
            ("shop", "shop"),
            ("my project", "my-project"),
            ("Café Müller", "Caf--M-ller"),
            ("x:y", "x-y"),
            ("a\r\nBcc: b@example.com", "a--Bcc--b-example-com"),
            ("日本", "--"),
            ("", "-"),
            (&long, &long[..64]),
        ] {
            let feedback_id = Some(["first", "welcome", "email", project]);
            let written = Message { feedback_id, ..message(&from, &to) }.write().unwrap();
            let letter = Letter::read(&written);
            let expected = format!("first:welcome:email:{expected}");
            assert_eq!(letter.header("Feedback-ID"), Some(expected.as_str()), "{project:?}");
        }
    }

    #[test]
    fn addresses_are_read_as_servers_want_them() {
        for (text, expected) in [
            ("anna@example.com", Ok("anna@example.com")),
            ("anna@MÜLLER.example", Ok("anna@xn--mller-kva.example")),
            ("jürgen@müller.example", Ok("jürgen@xn--mller-kva.example")),
            ("anna", Err(AddressError::Malformed)),
            ("anna @example.com", Err(AddressError::Malformed)),
            ("anna@exa\r\nmple.com", Err(AddressError::Malformed)),
            ("a@b@c.example", Err(AddressError::Malformed)),
            ("<anna@example.com>", Err(AddressError::Malformed)),
        ] {
            let read = read_address(text).map(|address| address.to_string());
            assert_eq!(read, expected.map(str::to_owned), "{text}");
        }
        assert_eq!(read_address(&format!("{}@example.com", "a".repeat(65))), Err(AddressError::Malformed));
        let long = format!("a@{}com", "abcdefgh.".repeat(30));
        assert!(read_address(&long).is_err());
    }
}
