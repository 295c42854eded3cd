//! Messages by the gateway of somebody else: text messages and chats. A channel whose `sends` is a secret leaves here; the secret is a
//! URL, and its scheme says how the gateway is spoken to.
//!
//! ```text
//! https://user:token@host/path          generic: a JSON object by POST, with the delivery's id as Idempotency-Key
//! twilio://SID:TOKEN@host?from=+49…     a form, as Twilio's Messages resource takes it (of this machine: without TLS)
//! ```
//!
//! Results are classed as those of mail are: accepted, refused for good, not now, or unknown: it may have left.

mod generic;
#[cfg(test)]
mod tests;
mod twilio;

use std::time::Duration;

use reqwest::Url;

use self::twilio::Twilio;
use super::guard::{Answer, Call, Failed};
use crate::id::DeliveryId;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A gateway and how to speak to it.
pub enum Gateway {
    /// Takes JSON at this address.
    Generic(Url),
    /// Takes what Twilio takes.
    Twilio(Twilio),
}

/// A URL that is no gateway's. Says nothing of the URL itself, which is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable(pub &'static str);

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unusable {}

/// A message as it is handed over.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub delivery: DeliveryId,
    /// The channel's name, so that one gateway can serve several.
    pub channel: &'a str,
    pub to: &'a str,
    pub text: &'a str,
    /// Our door for reports, without the provider's name at its end.
    pub receipts: &'a str,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    /// Taken over; with the name that the gateway has for it.
    Accepted { id: Option<String> },
    /// Never.
    Refused { code: Option<u16>, text: String, bad_address: bool },
    /// Not now.
    Deferred { reason: String, wait: Option<Duration> },
    /// It may have been taken over.
    Unknown { reason: String },
}

impl Gateway {
    /// Reads the URL of a gateway.
    pub fn parse(url: &str) -> Result<Gateway, Unusable> {
        let url = Url::parse(url.trim()).map_err(|_| Unusable("it is no URL"))?;
        match url.scheme() {
            "https" | "http" => Ok(Gateway::Generic(url)),
            "twilio" => Twilio::of(&url).map(Gateway::Twilio),
            _ => Err(Unusable("its URL begins with neither https:// nor twilio://")),
        }
    }

    /// The request that hands the message over.
    pub fn call(&self, message: &Message<'_>, left: Duration) -> Call {
        let mut call = match self {
            Gateway::Generic(url) => generic::call(url, message),
            Gateway::Twilio(twilio) => twilio.call(message),
        };
        call.timeout = TIMEOUT.min(left);
        call
    }

    /// What its answer means.
    pub fn read(&self, answer: Result<Answer, Failed>) -> Handed {
        self.read_at(answer, None)
    }

    /// The same of a gateway whose own name for the message stands at that place of its answer.
    pub fn read_at(&self, answer: Result<Answer, Failed>, place: Option<&str>) -> Handed {
        let answer = match answer {
            Ok(answer) => answer,
            Err(Failed::NotReached(reason)) => return Handed::Deferred { reason, wait: None },
            Err(Failed::Lost(reason)) => return Handed::Unknown { reason },
            Err(failed @ Failed::TooLarge) => return Handed::Unknown { reason: failed.to_string() },
            Err(Failed::Refused(text)) => return Handed::Refused { code: None, text, bad_address: false },
        };
        let said = match self {
            Gateway::Generic(_) => generic::read(&answer.body, place),
            Gateway::Twilio(_) => twilio::read(&answer.body),
        };
        let status = answer.status;
        match status {
            200..=299 => Handed::Accepted { id: said.id },
            // Who does not know us may know us when somebody has mended the secret.
            401 | 403 | 404 | 407 => Handed::Deferred {
                reason: format!("the gateway answered {status}: look at the secret that names it"),
                wait: None,
            },
            408 | 425 | 429 | 503 => Handed::Deferred {
                reason: format!("the gateway answered {status}"),
                wait: answer.retry_after,
            },
            500..=599 => Handed::Unknown { reason: format!("the gateway answered {status}") },
            _ => Handed::Refused { code: Some(status), text: said.text, bad_address: said.bad_address },
        }
    }
}

/// What stands in the body of an answer.
#[derive(Default)]
struct Said {
    id: Option<String>,
    text: String,
    bad_address: bool,
}

/// A text for records: short, on one line.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A phone number as gateways take it, E.164: `+`, and 7 to 15 digits. `None`: without the country nobody knows whose it is.
pub fn e164(number: &str) -> Option<String> {
    let number = number.trim();
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let digits = match (number.starts_with('+'), digits.strip_prefix("00")) {
        // +49 (0)30 …: the nought in brackets is for those who call from within.
        (true, _) if number.contains("(0)") => {
            number.replacen("(0)", "", 1).chars().filter(char::is_ascii_digit).collect()
        }
        (true, _) => digits,
        (false, Some(rest)) => rest.to_owned(),
        (false, None) => return None,
    };
    ((7..=15).contains(&digits.len()) && !digits.starts_with('0')).then(|| format!("+{digits}"))
}
