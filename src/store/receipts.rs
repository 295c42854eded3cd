//! What providers report of messages that were handed over, and what people answer to them.
//!
//! Both become outcomes of the message, as a click does, in the contact's inbox. A report is told once: it carries a name made of the
//! delivery and the outcome, and the inbox knows names that it has seen for a week or two. A bounce and a complaint suppress the address.

use super::deliveries::{self, Receipt};
use super::inbox::{Incoming, To};
use super::{Conn, Result, Store, identities, journeys, replies, suppressions, surveys};
use crate::engine::program::{Channel, Word};
use crate::engine::world::{ConsentChange, Fields, Input, Outcome, Suppression};
use crate::id::DeliveryId;
use crate::intake::answers;
use crate::time::{DAY, Timestamp, Zone};
use crate::value::Value;

/// An answer belongs to the newest message that is not older than that.
const ANSWERS_WITHIN: i64 = 30 * DAY;

/// The most characters of an answer that are kept.
const LONGEST: usize = 4_000;

/// The purpose that ends where somebody says stop.
pub(super) const STOPPED: &str = "marketing";

/// Words that end messages when nothing else stands in a text.
const STOP_WORDS: [&str; 12] = [
    "stop",
    "stopp",
    "stopall",
    "stop all",
    "end",
    "quit",
    "cancel",
    "unsubscribe",
    "optout",
    "opt-out",
    "abmelden",
    "abbestellen",
];

/// What a provider can say of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Delivered,
    Failed,
    /// The address takes nothing, now or later.
    Bounced,
    Complained,
}

impl Said {
    /// The outcome as journeys know it.
    pub fn outcome(self) -> &'static str {
        match self {
            Said::Delivered => "delivered",
            Said::Failed => "failed",
            Said::Bounced => "bounced",
            Said::Complained => "complained",
        }
    }

    /// The outcome of that name, if a provider can report it.
    pub fn of(outcome: &str) -> Option<Said> {
        [Said::Delivered, Said::Failed, Said::Bounced, Said::Complained]
            .into_iter()
            .find(|said| said.outcome() == outcome)
    }

    /// Why the address is not used any more, if it is not.
    fn suppresses(self) -> Option<&'static str> {
        match self {
            Said::Bounced => Some("bounce"),
            Said::Complained => Some("complaint"),
            Said::Delivered | Said::Failed => None,
        }
    }
}

/// What became of something that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Taken,
    /// It was told before.
    Repeated,
    /// There is no such message; what a person said is kept all the same, see [`replies`].
    Unknown,
}

/// What a person answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The provider's name for it, so that it is taken once.
    pub id: &'a str,
    /// The channel, if it is known; otherwise any of these may be meant.
    pub channels: &'a [Word],
    /// Who answered: an address or a number.
    pub from: &'a str,
    pub text: &'a str,
    /// The message that it answers, where that is known for sure.
    pub refers_to: Option<DeliveryId>,
}

/// Takes down what a provider says of a message.
pub async fn report(
    store: &Store,
    delivery: DeliveryId,
    said: Said,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Told> {
    let mut conn = store.read().await?;
    let Some(receipt) = deliveries::receipt(&mut conn, delivery).await? else { return Ok(Told::Unknown) };
    let wanted = receipt.wants_outcome || journeys::deployed(&mut conn).await?.hears_of(said.outcome());
    drop(conn);
    let mut items = Vec::new();
    if let (Some(why), Some(address)) = (said.suppresses(), &receipt.address) {
        let (channel, address) = (receipt.channel.clone(), address.clone());
        let suppression = Suppression { channel, address, reason: why.into(), at: now };
        items.push((format!("suppress {delivery} {why}"), Input::Suppress(suppression)));
    }
    if wanted {
        let more = reason.map(|reason| (Word::from("reason"), Value::text(reason)));
        let outcome = outcome(&receipt, said.outcome(), more, now);
        items.push((format!("receipt {delivery} {}", said.outcome()), outcome));
    }
    take(store, &receipt, items, now).await
}

/// Takes down what somebody answered, as an outcome of the message that it answers. A word such as STOP ends what is sent for
/// marketing on that channel, to whoever has the address. What answers a survey is kept as its answer; what does not, though it was
/// asked for, is told once more to the enrollment as `unreadable`.
pub async fn reply(store: &Store, reply: Reply<'_>, now: Timestamp) -> Result<Told> {
    let told = reply_of(store, reply.clone(), now, now).await?;
    if told == Told::Unknown {
        let said =
            replies::Said { name: reply.id, subject: None, why: replies::Why::NoMessage, reply: &reply };
        replies::keep(store, said, now).await?;
    }
    Ok(told)
}

/// As [`reply`], of something that was said at that moment, and is not kept where it fits no message.
pub(super) async fn reply_of(
    store: &Store,
    reply: Reply<'_>,
    said_at: Timestamp,
    now: Timestamp,
) -> Result<Told> {
    let mut conn = store.read().await?;
    let found = match reply.refers_to {
        Some(delivery) => deliveries::receipt(&mut conn, delivery).await?,
        None => newest(&mut conn, &reply, said_at).await?,
    };
    let Some(receipt) = found else { return Ok(Told::Unknown) };
    let wanted = receipt.wants_outcome || journeys::deployed(&mut conn).await?.hears_of("replied");
    let asked = surveys::open(&mut conn, &receipt, now).await?.filter(|_| !is_stop(reply.text));
    let catalog = &journeys::deployed(&mut conn).await?.catalog;
    let zone = catalog.zone.clone();
    let by_mail = catalog.channels.get(&receipt.channel).is_some_and(Channel::is_by_mail);
    drop(conn);
    if is_stop(reply.text) {
        let evidence = serde_json::json!({ "delivery": receipt.id.to_string(), "reply": reply.id });
        let change = ConsentChange {
            purpose: STOPPED.into(),
            channel: receipt.channel.clone(),
            permit: false,
            at: now,
            source: "unsubscribe".into(),
            evidence: Some(evidence.to_string().into()),
        };
        suppressions::unsubscribe(store, receipt.contact, (receipt.bucket, receipt.id), change).await?;
    }
    let kept: String = reply.text.chars().filter(|c| *c != '\0').take(LONGEST).collect();
    let text = (Word::from("text"), Value::text(&kept));
    let mut items = Vec::new();
    if let Some(open) = asked {
        let zone = Zone::named(&zone).unwrap_or_else(Zone::utc);
        let mut read = answers::read_text(&open.survey, &kept, &zone);
        if by_mail && read.is_none() {
            // What people put below it, a greeting or their name, is no answer.
            read = kept.lines().next().and_then(|line| answers::read_text(&open.survey, line, &zone));
        }
        if let Some(fields) = &read {
            let (way, id) = (surveys::Way::Text, Some(reply.id));
            match surveys::answer(store, receipt.id, way, id, fields.clone(), now).await? {
                Ok(()) => return Ok(Told::Taken),
                Err(surveys::Refused::Answered(by)) if by.as_deref() == Some(reply.id) => {
                    return Ok(Told::Repeated);
                }
                // Nobody asks any more: it is said, and nothing else.
                Err(_) => {}
            }
        }
        if let (None, Some(surveys::Place { step, round, wait })) = (read, open.place) {
            let name = format!("unreadable {} {wait} {round}", receipt.enrollment);
            let asking = Receipt { step, round, ..receipt.clone() };
            items.push((name, outcome(&asking, "unreadable", Some(text.clone()), now)));
        }
    }
    if wanted {
        items.push((format!("reply {}", reply.id), outcome(&receipt, "replied", Some(text), now)));
    }
    take(store, &receipt, items, now).await
}

/// Whether a message went to that address, or to a contact who is reached there.
pub(super) async fn is_to(conn: &mut Conn, delivery: DeliveryId, address: &str) -> Result<bool> {
    let Some(receipt) = deliveries::receipt(conn, delivery).await? else { return Ok(false) };
    let same = |own: &str| replies::normal(own) == replies::normal(address);
    if receipt.address.as_deref().is_some_and(same) {
        return Ok(true);
    }
    Ok(identities::with_address(conn, address).await?.contains(&receipt.contact))
}

/// Whether a text says nothing but that no more shall come.
pub fn is_stop(text: &str) -> bool {
    let said = text.trim().trim_end_matches(['.', '!']).to_lowercase();
    STOP_WORDS.contains(&said.as_str())
}

/// The newest message to that address at that moment. A number may be several people's: it is whoever was written to last.
async fn newest(conn: &mut Conn, reply: &Reply<'_>, at: Timestamp) -> Result<Option<Receipt>> {
    let mut newest: Option<Receipt> = None;
    let within = (at.plus_ms(-ANSWERS_WITHIN), at);
    let mut spellings = vec![reply.from.to_owned()];
    spellings.extend(reply.from.strip_prefix('+').map(|digits| format!("00{digits}")));
    for spelling in spellings {
        for contact in identities::with_address(conn, &spelling).await? {
            for channel in reply.channels {
                let found = deliveries::newest_to(conn, contact, channel, within).await?;
                if found.as_ref().is_some_and(|found| newest.as_ref().is_none_or(|n| n.due_at < found.due_at))
                {
                    newest = found;
                }
            }
        }
    }
    Ok(newest)
}

fn outcome(receipt: &Receipt, outcome: &str, more: Option<(Word, Value)>, now: Timestamp) -> Input {
    let mut fields: Fields = receipt.fields.clone();
    fields.extend(more);
    Input::Outcome(Outcome {
        enrollment: receipt.enrollment,
        step: receipt.step.clone(),
        round: receipt.round,
        outcome: outcome.into(),
        at: now,
        fields,
    })
}

async fn take(store: &Store, receipt: &Receipt, items: Vec<(String, Input)>, now: Timestamp) -> Result<Told> {
    let incoming =
        |(name, input)| Incoming { to: To::Contact(receipt.contact), message_id: Some(name), input };
    let items: Vec<Incoming> = items.into_iter().map(incoming).collect();
    if items.is_empty() {
        return Ok(Told::Taken);
    }
    let accepted = store.accept(items, now).await?;
    let is_new = accepted.iter().any(|one| matches!(one, super::inbox::Accepted::Taken(_)));
    Ok(if is_new { Told::Taken } else { Told::Repeated })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_alone_stops() {
        for stop in ["STOP", " stop! ", "Abmelden.", "stop all"] {
            assert!(is_stop(stop), "{stop}");
        }
        for text in ["", "do not stop", "stop it", "5", "ja"] {
            assert!(!is_stop(text), "{text}");
        }
    }

    #[test]
    fn outcomes_have_their_names() {
        for said in [Said::Delivered, Said::Failed, Said::Bounced, Said::Complained] {
            assert_eq!(Said::of(said.outcome()), Some(said));
        }
        assert_eq!(Said::of("opened"), None);
    }
}
