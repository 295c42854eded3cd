//! Mails that come in: what people answer, what mail servers report of a message, what providers say was complained about.
//!
//! Whatever the bytes are, reading ends: with a [`Mail`], or with `None` where there is nothing of a mail in them. Structure comes first:
//! reports as RFC 3464 and 5965 have them, automatic answers by the headers of RFC 3834; what mail servers write in prose is looked at
//! after that.
//!
//! - here: the mail, and what sort of mail it is
//! - `quoted`: a text without what was quoted of ours; `report`: what a mail server or a provider reports

mod quoted;
mod report;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use mail_parser::{Address, HeaderName, HeaderValue, Message, MessageParser, MimeHeaders as _};

pub use self::quoted::unquoted;
pub use self::report::{Original, Report, Said};

/// The most bytes of a mail that are read: what a person wrote stands before what is attached.
pub const LONGEST: usize = 4 << 20;
/// The longest address, id or subject that is kept.
const LONGEST_WORD: usize = 998;
/// The most characters of the text of a mail.
const LONGEST_TEXT: usize = 20_000;
/// The most addresses and ids of one kind that are looked at.
const MOST: usize = 50;

/// A mail that came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// By what the same mail is known when it comes again.
    pub name: String,
    /// Who wrote it, in lower case.
    pub from: Option<String>,
    /// Where it went, as far as it says so.
    pub to: Vec<String>,
    /// The ids of the messages that it answers, the nearest first; without angle brackets.
    pub answers: Vec<String>,
    pub subject: String,
    /// What is new in it, in plain text.
    pub text: String,
    pub sort: Sort,
}

/// What sort of mail it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// A person wrote it.
    #[default]
    Personal,
    /// A program answered: somebody is away, a list passed it on, a receipt; and how that shows.
    Automatic(&'static str),
    /// What became of a message of ours.
    Report(Report),
}

/// Reads a mail; `None`: these bytes are none.
pub fn read(bytes: &[u8]) -> Option<Mail> {
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    // Mail is the most hostile input there is, and its parser is not ours.
    catch_unwind(AssertUnwindSafe(|| read_message(bytes))).unwrap_or(None)
}

fn parser() -> MessageParser {
    // `Received` and the like are not looked at: what is not parsed cannot go wrong.
    MessageParser::new().with_minimal_headers().with_message_ids()
}

fn read_message(bytes: &[u8]) -> Option<Mail> {
    let message = parser().parse(bytes)?;
    let from = message.from().and_then(|from| addresses(from).into_iter().next());
    let named = ["From", "To", "Subject", "Message-ID", "Date", "Return-Path", "Received"];
    if !named.into_iter().any(|name| message.header(name).is_some()) {
        return None;
    }
    let subject: String = message.subject().unwrap_or_default().trim().chars().take(LONGEST_WORD).collect();
    let mut to = Vec::new();
    for name in ["To", "Cc"] {
        to.extend(message.header_values(name).filter_map(HeaderValue::as_address).flat_map(addresses));
    }
    for name in ["Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To"] {
        to.extend(values(&message, name).filter_map(|value| address(&value)));
    }
    let mut answers = ids(message.in_reply_to());
    // The last of the references is the nearest.
    answers.extend(ids(message.references()).into_iter().rev());
    answers.truncate(MOST);
    to.truncate(MOST);
    let whole = text_of(&message);
    let sort = match report::of(&message, from.as_deref(), &whole) {
        Some(report) => Sort::Report(report),
        None => automatic(&message, from.as_deref(), &subject).map_or(Sort::Personal, Sort::Automatic),
    };
    let text = match sort {
        Sort::Personal => unquoted(&whole),
        _ => String::new(),
    };
    let id = message.message_id().map(str::trim).filter(|id| !id.is_empty());
    let name =
        name(from.as_deref(), id, || values(&message, "Date").next().unwrap_or_default(), &subject, &whole);
    Some(Mail { name, from, to, answers, subject, text, sort })
}

/// A mail is the same when the same sender gives it the same id; without an id, when it says the same.
fn name(
    from: Option<&str>,
    id: Option<&str>,
    date: impl FnOnce() -> String,
    subject: &str,
    text: &str,
) -> String {
    let from = from.unwrap_or_default();
    let said = match id {
        Some(id) => format!("{from}\0{id}"),
        None => format!("{from}\0\0{}\0{subject}\0{text}", date()),
    };
    format!("mail {}", &blake3::hash(said.as_bytes()).to_hex()[..32])
}

/// The values of a header, unfolded, as they stand there.
fn values<'a>(message: &'a Message<'_>, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let raw = message.headers_raw().filter(move |(own, _)| own.eq_ignore_ascii_case(name));
    raw.map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn value(message: &Message<'_>, name: &str) -> Option<String> {
    values(message, name).next().map(|value| value.to_ascii_lowercase())
}

/// The addresses of a header, in lower case; what is none is left out.
fn addresses(header: &Address<'_>) -> Vec<String> {
    header.iter().take(MOST).filter_map(|one| address(one.address()?)).collect()
}

/// An address as it is compared, with or without angle brackets around it.
fn address(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches('<').trim_end_matches('>').trim();
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | ',' | ';');
    let (left, right) = text.rsplit_once('@')?;
    let is_one = !left.is_empty() && !right.is_empty() && text.len() <= 254 && text.chars().all(fits);
    is_one.then(|| text.to_lowercase())
}

fn ids(header: &HeaderValue<'_>) -> Vec<String> {
    let one = |id: &str| {
        let id = id.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
        (!id.is_empty() && id.len() <= LONGEST_WORD).then_some(id)
    };
    match header {
        HeaderValue::Text(id) => one(id).into_iter().collect(),
        // A long thread: its beginning and its end are near.
        HeaderValue::TextList(ids) => ids.iter().rev().take(MOST).rev().filter_map(|id| one(id)).collect(),
        _ => Vec::new(),
    }
}

/// The text of a mail, of its HTML where it has no other.
fn text_of(message: &Message<'_>) -> String {
    let text = message.body_text(0).unwrap_or_default();
    let kept = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    kept.take(LONGEST_TEXT).collect()
}

/// Whether a program wrote this, and how that shows.
fn automatic(message: &Message<'_>, from: Option<&str>, subject: &str) -> Option<&'static str> {
    let header = |name: &str| value(message, name);
    if header("Auto-Submitted").is_some_and(|value| !value.starts_with("no")) {
        return Some("Auto-Submitted");
    }
    if header("Precedence").is_some_and(|v| ["bulk", "junk", "list", "auto_reply"].contains(&v.as_str())) {
        return Some("Precedence");
    }
    for name in
        ["X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Vacation", "X-Auto-Reply", "X-AutoReply-From"]
    {
        if header(name).is_some_and(|value| value != "no") {
            return Some("X-Autoreply");
        }
    }
    if header("List-Id").is_some() || header("List-Unsubscribe").is_some() {
        return Some("List-Id");
    }
    // Of a report that cannot be read, or of a read receipt.
    if message.is_content_type("multipart", "report") {
        return Some("report");
    }
    if header("Return-Path").is_some_and(|path| path == "<>") || from.is_some_and(report::is_of_a_server) {
        return Some("Return-Path");
    }
    let subject = subject.to_lowercase();
    AWAY.iter().any(|begin| subject.starts_with(begin)).then_some("subject")
}

/// How the subjects of automatic answers begin that have no header to say so.
const AWAY: [&str; 12] = [
    "abwesend",
    "abwesenheit",
    "auto reply",
    "auto-reply",
    "automatic reply",
    "automatische antwort",
    "automatisch antwoord",
    "autoreply",
    "out of office",
    "out of the office",
    "respuesta automática",
    "réponse automatique",
];

/// Whether a subject says that it answers something.
pub fn is_answer(subject: &str) -> bool {
    const ANSWERS: [&str; 7] = ["re", "aw", "antw", "antwort", "sv", "rv", "ré"];
    let begin = subject.split_once(':').map(|(begin, _)| begin.trim().to_lowercase());
    begin.is_some_and(|begin| ANSWERS.contains(&begin.trim_end_matches(|c: char| "[]0123456789".contains(c))))
}

/// The header to look at a report's original with.
const REPLY_TO: HeaderName<'static> = HeaderName::ReplyTo;
