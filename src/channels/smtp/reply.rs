//! What a relay's answer means for a message: the four results of `SendResult`, and the rules that lead to them.
//!
//! The point of no return is the final dot. Before it nothing has been handed over, so whatever fails may be tried
//! again; once it is written and no answer came, nobody can know (RFC 1047), and that is a result of its own.

use std::fmt;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::Response;

/// The enhanced status code of RFC 3463, such as 5.1.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Enhanced {
    /// 2, 4 or 5.
    pub class: u8,
    /// What it is about: 1 the address, 2 the mailbox, 7 policy.
    pub subject: u16,
    /// Details within the subject.
    pub detail: u16,
}

impl Enhanced {
    /// Reads the code at the beginning of a reply's text; it counts only if its class is the reply's (RFC 2034).
    fn read(code: u16, text: &str) -> Option<Enhanced> {
        let word = text.split_whitespace().next()?;
        let mut parts = word.split('.').map(|part| part.parse::<u16>().ok());
        let (class, subject, detail) = (parts.next()??, parts.next()??, parts.next()??);
        let whole = parts.next().is_none() && class == code / 100 && matches!(class, 2 | 4 | 5);
        (whole && subject < 1000 && detail < 1000).then_some(Enhanced { class: class as u8, subject, detail })
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// One answer of the relay. Its text may hold an address: it belongs into the delivery's record, not into a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The three-digit code.
    pub code: u16,
    /// The enhanced code, where the relay gives one.
    pub enhanced: Option<Enhanced>,
    /// All lines, joined by spaces.
    pub text: String,
}

impl Reply {
    /// A reply with the enhanced code read from its text.
    pub fn new(code: u16, text: impl Into<String>) -> Reply {
        let text = text.into();
        Reply { code, enhanced: Enhanced::read(code, &text), text }
    }

    /// Reads what lettre makes of an answer: it gives refusals as errors. `Err` is a connection that is of no
    /// more use, with the reason.
    pub(super) fn from_lettre(answer: Result<Response, Error>) -> Result<Reply, String> {
        match answer {
            Ok(response) => {
                let text = response.message().collect::<Vec<_>>().join(" ");
                Ok(Reply::new(response.code().into(), text))
            }
            Err(error) => match error.status() {
                Some(code) => {
                    let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    Ok(Reply::new(code.into(), text))
                }
                None => Err(error.to_string()),
            },
        }
    }

    /// 2xx.
    pub fn is_done(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4xx.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The relay is closing the connection.
    pub fn is_closing(&self) -> bool {
        self.code == 421
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

/// How far an attempt had come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Opening the connection.
    Connect,
    /// Agreeing on TLS.
    Tls,
    /// Banner and EHLO.
    Greeting,
    /// Logging in.
    Auth,
    /// Naming the sender (and the RSET before it).
    Mail,
    /// Naming the recipient.
    Rcpt,
    /// Asking to send the body.
    Data,
    /// The body up to, and the answer to, the final dot.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Connect => "connect",
            Phase::Tls => "tls",
            Phase::Greeting => "greeting",
            Phase::Auth => "auth",
            Phase::Mail => "mail",
            Phase::Rcpt => "rcpt",
            Phase::Data => "data",
            Phase::Body => "body",
        })
    }
}

/// What became of one attempt to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SendResult {
    /// The relay answered the final dot with 2xx: the message is its own now.
    Accepted {
        /// The answer, usually with the relay's queue id.
        reply: Reply,
    },
    /// Final: 5xx, or a message that could not be sent to anybody. Never retried.
    Refused {
        /// The code (also for what we refuse ourselves: the one that fits).
        code: u16,
        /// The enhanced code.
        enhanced: Option<Enhanced>,
        /// The relay's words, or ours.
        text: String,
        /// The address itself is at fault (5.1.x) and should not be used again; never for policy (5.7.x).
        bad_address: bool,
    },
    /// Not handed over; may be tried again later.
    Deferred {
        /// How far it came.
        phase: Phase,
        /// In words.
        reason: String,
        /// The relay's answer, if there was one.
        reply: Option<Reply>,
        /// 421 or 4.7.x: the relay asks for less mail, not only for this message to wait.
        slow_down: bool,
    },
    /// The final dot is written and no answer came: the relay may have the message or not.
    Unknown {
        /// In words.
        reason: String,
    },
}

impl SendResult {
    /// Not handed over for a reason that no reply states.
    pub(super) fn deferred(phase: Phase, reason: impl Into<String>) -> SendResult {
        SendResult::Deferred { phase, reason: reason.into(), reply: None, slow_down: false }
    }

    /// Refused by ourselves, before anything was sent.
    pub(crate) fn unsendable(code: u16, text: impl Into<String>, bad_address: bool) -> SendResult {
        let Reply { code, enhanced, text } = Reply::new(code, text);
        SendResult::Refused { code, enhanced, text, bad_address }
    }

    /// Judges an answer that was not the one hoped for.
    pub(super) fn from_reply(phase: Phase, reply: Reply) -> SendResult {
        if reply.is_permanent() && phase > Phase::Auth && !concerns_session(&reply) {
            let bad_address = is_bad_address(phase, &reply);
            return SendResult::Refused {
                code: reply.code,
                enhanced: reply.enhanced,
                text: reply.text,
                bad_address,
            };
        }
        let policy = reply.enhanced.is_some_and(|e| e.class == 4 && e.subject == 7);
        let slow_down = reply.is_closing() || policy;
        SendResult::Deferred { phase, reason: reply.to_string(), reply: Some(reply), slow_down }
    }
}

/// 530 to 538 speak of how we logged in (RFC 4954), not of the message: a forgotten password must not turn a whole
/// mailing into final refusals.
fn concerns_session(reply: &Reply) -> bool {
    (530..=538).contains(&reply.code)
}

/// 5.1.x in answer to the recipient or the message, except what speaks of the sender's own address (5.1.7, 5.1.8)
/// or of a relay on the way (5.1.9).
fn is_bad_address(phase: Phase, reply: &Reply) -> bool {
    matches!(phase, Phase::Rcpt | Phase::Body)
        && reply.enhanced.is_some_and(|e| e.subject == 1 && !matches!(e.detail, 5 | 7 | 8 | 9))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(phase: Phase, code: u16, text: &str) -> SendResult {
        SendResult::from_reply(phase, Reply::new(code, text))
    }

    #[test]
    fn enhanced_codes_count_only_when_they_agree_with_the_reply() {
        let read = |code, text| Reply::new(code, text).enhanced.map(|e| e.to_string());
        assert_eq!(read(550, "5.1.1 no such user"), Some("5.1.1".to_owned()));
        assert_eq!(read(250, "2.0.0 Ok: queued as 4F"), Some("2.0.0".to_owned()));
        assert_eq!(read(450, "5.1.1 contradicts itself"), None);
        assert_eq!(read(550, "no such user"), None);
        assert_eq!(read(550, "5.1"), None);
        assert_eq!(read(550, "5.1.1.1 x"), None);
        assert_eq!(read(354, "3.0.0 go"), None);
    }

    #[test]
    fn only_the_recipients_address_makes_a_bad_address() {
        for (phase, code, text, bad) in [
            (Phase::Rcpt, 550, "5.1.1 unknown", true),
            (Phase::Rcpt, 550, "5.1.2 no such domain", true),
            (Phase::Rcpt, 556, "5.1.10 null MX", true),
            (Phase::Body, 550, "5.1.1 unknown", true),
            (Phase::Mail, 550, "5.1.1 sender unknown", false),
            (Phase::Rcpt, 553, "5.1.8 bad sender system", false),
            (Phase::Rcpt, 550, "5.7.1 blocked by policy", false),
            (Phase::Rcpt, 552, "5.2.2 mailbox full", false),
            (Phase::Rcpt, 550, "no enhanced code", false),
        ] {
            match judged(phase, code, text) {
                SendResult::Refused { bad_address, .. } => assert_eq!(bad_address, bad, "{code} {text}"),
                other => panic!("{code} {text}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_speaks_of_the_session_or_will_pass_is_deferred() {
        for (phase, code, text, slower) in [
            (Phase::Rcpt, 450, "4.2.0 greylisted", false),
            (Phase::Rcpt, 450, "4.7.1 too many from you", true),
            (Phase::Mail, 421, "4.3.2 going down", true),
            (Phase::Body, 451, "try again", false),
            (Phase::Greeting, 554, "5.3.2 no service here", false),
            (Phase::Auth, 535, "5.7.8 wrong password", false),
            (Phase::Mail, 530, "5.7.0 log in first", false),
            (Phase::Data, 250, "not what RFC 5321 says", false),
        ] {
            match judged(phase, code, text) {
                SendResult::Deferred { slow_down, reply, .. } => {
                    assert_eq!(slow_down, slower, "{code} {text}");
                    assert_eq!(reply.map(|r| r.code), Some(code));
                }
                other => panic!("{code} {text}: {other:?}"),
            }
        }
    }
}
