//! The built-in gateway: text messages come in as at any gateway, and what people text back goes to the door for replies, signed as a
//! gateway signs it.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::machine_now;
use crate::http::receipts::signature;
use crate::time::SECOND;

/// Takes text messages and keeps them.
pub(super) struct Gateway {
    kept: Mutex<Vec<Text>>,
    /// Under which replies are signed.
    pub secret: String,
}

/// A text message as it was handed over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Text {
    id: String,
    channel: String,
    pub to: String,
    pub text: String,
    /// The door for what becomes of it.
    report_to: String,
}

impl Gateway {
    pub(super) fn new(secret: String) -> Gateway {
        Gateway { kept: Mutex::default(), secret }
    }

    /// Takes a message, once; what the gateway calls it.
    pub(super) fn take(&self, text: Text) -> String {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let number = kept.iter().position(|other| other.id == text.id).unwrap_or_else(|| {
            kept.push(text);
            kept.len() - 1
        });
        format!("text-{}", number + 1)
    }

    /// How many have come.
    pub(super) fn count(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All but so many of the first.
    pub(super) fn since(&self, number: usize) -> Vec<Text> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(number..).map(<[Text]>::to_vec).unwrap_or_default()
    }

    /// Hands over what the receiver of a message has texted back.
    pub(super) async fn reply(
        &self,
        client: &reqwest::Client,
        text: &Text,
        said: &str,
    ) -> Result<(), reqwest::Error> {
        // Whoever texts back names no message: the number is all that a gateway knows.
        let reply = json!({
            "outcome": "replied", "channel": text.channel, "from": text.to, "text": said,
            "message_id": format!("back-{}", text.id),
        });
        let (body, timestamp) = (reply.to_string(), (machine_now().0 / SECOND).to_string());
        let signed = signature(&self.secret, &timestamp, body.as_bytes());
        let request = client.post(&text.report_to).header("content-type", "application/json");
        let request =
            request.header("x-fahrplan-timestamp", timestamp).header("x-fahrplan-signature", signed);
        request.body(body).send().await?.error_for_status().map(drop)
    }
}

/// What a gateway says to whoever has handed a message over.
pub(super) fn taken(id: &str) -> Value {
    json!({ "id": id })
}

/// The scale that a text asks for a number of, and what some say beside it; `None`: it asks for none.
pub(super) fn scale(text: &str) -> Option<(u64, u64, &'static [&'static str])> {
    [(" bis ", &DE), (" to ", &EN)].into_iter().find_map(|(between, said)| {
        text.match_indices(between).find_map(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + between.len()..]);
            let low = before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
            let high = after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
            (low < high).then_some((low, high, said.as_slice()))
        })
    })
}

const DE: [&str; 4] = ["", "ging schnell", "danke für den Anruf", "beim nächsten Mal bitte gleich so"];
const EN: [&str; 4] = ["", "that was quick", "thank you for the call", "took you a while"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reads_a_text_finds_the_scale() {
        let found = |text| scale(text).map(|(low, high, said)| (low, high, said[1]));
        assert_eq!(found("Wie zufrieden, von 1 bis 5? Antworte mit der Zahl."), Some((1, 5, DE[1])));
        assert_eq!(found("From 0 to 10, and a word to us"), Some((0, 10, EN[1])));
        for text in ["", "Wir melden uns bis 20 Uhr", "welcome to us", "from 5 to 1", "10 to"] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn a_message_that_is_handed_over_again_is_one() {
        let gateway = Gateway::new("secret".to_owned());
        let text = |id: &str| Text {
            id: id.to_owned(),
            channel: "sms".to_owned(),
            to: "+4930123456".to_owned(),
            text: "hello".to_owned(),
            report_to: String::new(),
        };
        let names = ["a", "b", "a"].map(|id| gateway.take(text(id)));
        assert_eq!(names, ["text-1", "text-2", "text-1"]);
        assert_eq!((gateway.count(), gateway.since(1)), (2, vec![text("b")]));
        assert_eq!(gateway.since(3), []);
    }
}
