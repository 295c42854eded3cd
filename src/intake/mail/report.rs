//! What a mail server reports of a message (RFC 3464), or a provider to whom somebody complained (RFC 5965); after those, what servers
//! write in prose.

use mail_parser::{Message, MessagePart, MimeHeaders as _, PartType};

use super::{MOST, REPLY_TO, address, addresses, ids, parser, values};

/// What is said of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Delivered,
    /// Not delivered, and not because of the address: policy, size, a full mailbox.
    Failed,
    /// The address takes nothing, now or later.
    Bounced,
    Complained,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// `None`: nothing that counts, such as a delay.
    pub said: Option<Said>,
    /// The status, and what the other server said.
    pub reason: Option<String>,
    pub about: Original,
}

/// The message of ours that a report is about, as far as it tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Original {
    pub id: Option<String>,
    /// Whom it was for.
    pub recipients: Vec<String>,
    /// Where answers to it go, and where it came from: addresses that may carry our seal.
    pub sealed: Vec<String>,
    /// The link that ends mails of its kind, which carries our signature.
    pub unsubscribe: Option<String>,
}

/// The longest reason.
const LONGEST_REASON: usize = 300;

/// The report that a mail is, if it is one.
pub(super) fn of(message: &Message<'_>, from: Option<&str>, text: &str) -> Option<Report> {
    let kind = message.content_type().filter(|_| message.is_content_type("multipart", "report"));
    let kind = kind.and_then(|kind| kind.attribute("report-type")).map(str::to_ascii_lowercase);
    match kind.as_deref() {
        Some("delivery-status") => Some(delivery_status(message)),
        Some("feedback-report") => Some(complaint(message)),
        Some(_) => None,
        // Some leave the parameter out.
        None if part(message, "delivery-status").is_some() => Some(delivery_status(message)),
        None if part(message, "feedback-report").is_some() => Some(complaint(message)),
        None if from.is_some_and(is_of_a_server) => in_prose(text),
        None => None,
    }
}

/// Whether that is the address of a mail server.
pub(super) fn is_of_a_server(from: &str) -> bool {
    let name = from.split('@').next().unwrap_or_default();
    matches!(name, "mailer-daemon" | "postmaster" | "mail-daemon" | "maildaemon")
}

fn part<'a>(message: &'a Message<'_>, subtype: &str) -> Option<&'a MessagePart<'a>> {
    message.parts.iter().take(MOST).find(|part| part.is_content_type("message", subtype))
}

/// The fields of a block, names in lower case; a line that begins with a blank belongs to the one before.
fn fields(block: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in block.lines().take(200) {
        match (line.starts_with([' ', '\t']), fields.last_mut(), line.split_once(':')) {
            (true, Some((_, value)), _) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (false, _, Some((name, value))) => {
                fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
            _ => {}
        }
    }
    fields
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// `rfc822; ada@example.org`, and the address alone as some have it.
fn recipient(value: &str) -> Option<String> {
    address(value.rsplit_once(';').map_or(value, |(_, address)| address))
}

fn delivery_status(message: &Message<'_>) -> Report {
    let mut about = original(message);
    let text =
        part(message, "delivery-status").map(|part| String::from_utf8_lossy(part.contents()).into_owned());
    let text = text.unwrap_or_default().replace("\r\n", "\n");
    let (mut said, mut reason) = (None, None);
    // The first block is about the mail, each further one about a recipient; ours go to one.
    for block in text.split("\n\n").take(MOST) {
        let block = fields(block);
        let Some(action) = field(&block, "action").map(str::to_ascii_lowercase) else { continue };
        for name in ["original-recipient", "final-recipient"] {
            about.recipients.extend(field(&block, name).and_then(recipient));
        }
        let status = field(&block, "status").unwrap_or_default();
        let spoken = field(&block, "diagnostic-code").unwrap_or_default();
        said = match action.as_str() {
            "failed" if is_bad_address(status) || is_bad_address(&code_in(spoken)) => Some(Said::Bounced),
            "failed" => Some(Said::Failed),
            "delivered" => Some(Said::Delivered),
            _ => None,
        };
        reason = Some(plain(&format!("{status} {spoken}"))).filter(|reason| !reason.is_empty());
        if said.is_some() {
            break;
        }
    }
    Report { said, reason, about }
}

fn complaint(message: &Message<'_>) -> Report {
    let mut about = original(message);
    let text =
        part(message, "feedback-report").map(|part| String::from_utf8_lossy(part.contents()).into_owned());
    let fields = fields(&text.unwrap_or_default());
    let kind = field(&fields, "feedback-type").unwrap_or_default().to_ascii_lowercase();
    for (name, value) in &fields {
        if matches!(name.as_str(), "original-rcpt-to" | "removal-recipient") {
            about.recipients.extend(recipient(value));
        }
    }
    let said = (kind != "not-spam" && !kind.is_empty()).then_some(Said::Complained);
    Report { said, reason: said.map(|_| plain(&kind)), about }
}

/// The message that was returned, whole or its headers alone.
fn original(message: &Message<'_>) -> Original {
    for part in message.parts.iter().take(MOST) {
        if let PartType::Message(returned) = &part.body {
            return about(returned);
        }
        if part.is_content_type("text", "rfc822-headers") {
            let headers = [part.contents(), b"\r\n\r\n"].concat();
            if let Some(returned) = parser().parse(&headers) {
                return about(&returned);
            }
        }
    }
    Original::default()
}

fn about(returned: &Message<'_>) -> Original {
    let mut sealed =
        returned.header(REPLY_TO).and_then(|value| value.as_address()).map(addresses).unwrap_or_default();
    sealed.extend(values(returned, "Return-Path").filter_map(|path| address(&path)));
    let id = ids(returned.header("Message-ID").unwrap_or(&mail_parser::HeaderValue::Empty)).pop();
    Original {
        id,
        recipients: returned.to().map(addresses).unwrap_or_default(),
        sealed,
        unsubscribe: values(returned, "List-Unsubscribe").next(),
    }
}

/// A server that writes no report but prose, with the message below it: the status, and the id of the message.
fn in_prose(text: &str) -> Option<Report> {
    let id = text.lines().find_map(|line| {
        let (name, id) = line.trim_start_matches(['>', ' ']).split_once(':')?;
        name.eq_ignore_ascii_case("message-id").then(|| id.trim().trim_matches(['<', '>']).to_owned())
    })?;
    let status = code_in(text);
    let said = match status.as_str() {
        "" => return None,
        code if is_bad_address(code) => Said::Bounced,
        code if code.starts_with('5') => Said::Failed,
        _ => return None,
    };
    let words = text.split(|c: char| c.is_whitespace() || "<>()[],;:\"".contains(c));
    let recipients = words.filter_map(address).take(MOST).collect();
    let about = Original { id: Some(id), recipients, ..Original::default() };
    Some(Report { said: Some(said), reason: Some(status), about })
}

/// The first status such as `5.1.1` in a text; empty if there is none.
fn code_in(text: &str) -> String {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    let is_code = |word: &&str| {
        let parts: Vec<&str> = word.split('.').collect();
        matches!(parts[..], ["4" | "5", subject, detail]
            if (1..=3).contains(&subject.len()) && (1..=3).contains(&detail.len()))
    };
    words.map(|word| word.trim_matches('.')).find(is_code).unwrap_or_default().to_owned()
}

/// Whether that status says that the address takes nothing, now or later: nobody has it (5.1.x, but what speaks of the sender), or its
/// mailbox is closed for good (5.2.1).
fn is_bad_address(status: &str) -> bool {
    let status = status.split_whitespace().next().unwrap_or_default();
    status == "5.2.1"
        || status.strip_prefix("5.1.").is_some_and(|detail| !matches!(detail, "5" | "7" | "8" | "9"))
}

fn plain(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ").chars().take(LONGEST_REASON).collect()
}
