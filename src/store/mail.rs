//! Takes mails that came in: answers become outcomes of the messages that they answer, reports mark them as bounced, failed or
//! complained about.
//!
//! Which message it is, a seal of ours says, which stands in the address that answers go to, or the id of the message in `In-Reply-To` and
//! `References`. Anybody can write such an id, so it counts only for whoever the message went to: an answer must come from that address, or
//! from another one of that contact, and a report must name it, or bring back something that we signed.

use super::receipts::{self, Reply, Said, Told};
use super::replies::{self, Why};
use super::{Conn, Result, Store, deliveries, journeys, suppressions};
use crate::engine::program::Word;
use crate::engine::world::ConsentChange;
use crate::id::DeliveryId;
use crate::intake::mail::{self, Mail, Original, Report, Sort};
use crate::link::{Kind, LinkKey};
use crate::time::Timestamp;

/// Nobody unsubscribes from what they asked for, an invoice say: whoever says so means the rest.
const TRANSACTIONAL: &str = "transactional";

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// An answer, told to its journey.
    Replied,
    /// It asked for no more of the kind.
    Unsubscribed,
    /// A report, and what it says.
    Reported(Said),
    /// A program answered, and how that shows; nothing was done.
    Automatic(&'static str),
    /// A report of which nothing follows, or whose message cannot be told for sure; nothing was done.
    Unclear,
    /// It fits no message, and is kept for people to look at.
    Apart(Why),
    /// It came before.
    Repeated,
}

impl Became {
    /// As programs are told.
    pub fn as_str(self) -> &'static str {
        match self {
            Became::Replied => "replied",
            Became::Unsubscribed => "unsubscribed",
            Became::Reported(said) => said.outcome(),
            Became::Automatic(_) => "automatic",
            Became::Unclear => "unclear",
            Became::Apart(_) => "apart",
            Became::Repeated => "repeated",
        }
    }
}

/// Takes a mail. The same one again changes nothing.
pub async fn take(store: &Store, key: &LinkKey, mail: &Mail, now: Timestamp) -> Result<Became> {
    let from = mail.from.as_deref().unwrap_or_default();
    let mut conn = store.read().await?;
    if replies::is_known(&mut conn, from, &mail.name).await? {
        return Ok(Became::Repeated);
    }
    drop(conn);
    let became = match &mail.sort {
        Sort::Automatic(how) => return Ok(Became::Automatic(how)),
        Sort::Report(report) => reported(store, key, mail, report, now).await?,
        Sort::Personal => answered(store, key, mail, now).await?,
    };
    if !matches!(became, Became::Apart(_) | Became::Unclear) {
        // Whoever dies before this does it once more, and finds it done.
        replies::note(store, &mail.name, now).await?;
    }
    Ok(became)
}

/// The message whose seal one of these addresses carries.
fn sealed(key: &LinkKey, addresses: &[String]) -> Option<DeliveryId> {
    addresses.iter().find_map(|address| {
        let (name, _) = address.rsplit_once('@')?;
        key.verify_reply_token(name.rsplit_once('+')?.1)
    })
}

/// The message of that Message-ID, if it is one of ours.
fn of_message_id(id: &str) -> Option<DeliveryId> {
    id.split_once('@')?.0.parse().ok()
}

// ---------------------------------------------------------------- answers

async fn answered(store: &Store, key: &LinkKey, mail: &Mail, now: Timestamp) -> Result<Became> {
    let from = mail.from.as_deref().unwrap_or_default();
    let by_seal = sealed(key, &mail.to);
    let mut conn = store.read().await?;
    let (mut theirs, mut of_others) = (None, None);
    for delivery in by_seal.into_iter().chain(mail.answers.iter().filter_map(|id| of_message_id(id))) {
        if deliveries::receipt(&mut conn, delivery).await?.is_none() {
            continue;
        }
        if receipts::is_to(&mut conn, delivery, from).await? {
            theirs = Some(delivery);
            break;
        }
        of_others = of_others.or(Some(delivery));
    }
    let channels = by_mail(&mut conn).await?;
    drop(conn);
    if receipts::is_stop(&mail.subject)
        && let Some(delivery) = by_seal.or(theirs)
    {
        return unsubscribed(store, delivery, &mail.name, now).await;
    }
    // A mail program that gives no references leaves at least the subject.
    let by_subject = of_others.is_none() && mail::is_answer(&mail.subject);
    let text = if mail.text.is_empty() { subject_of(&mail.subject) } else { &mail.text };
    // What says that it answers nothing is no answer to the newest message either, now or when it is tried again.
    let channels: &[Word] = if by_subject { &channels } else { &[] };
    let reply = Reply { id: &mail.name, channels, from, text, refers_to: theirs.or(of_others) };
    let told = match theirs.is_some() || by_subject {
        true => receipts::reply_of(store, reply.clone(), now, now).await?,
        false => Told::Unknown,
    };
    match told {
        Told::Taken => Ok(Became::Replied),
        Told::Repeated => Ok(Became::Repeated),
        Told::Unknown => {
            let why = if of_others.is_some() { Why::NotRecipient } else { Why::NoMessage };
            let said = replies::Said { name: &mail.name, subject: Some(&mail.subject), why, reply: &reply };
            let is_new = replies::keep(store, said, now).await?;
            Ok(if is_new { Became::Apart(why) } else { Became::Repeated })
        }
    }
}

/// A subject without what says that it is an answer; some write nothing else.
fn subject_of(subject: &str) -> &str {
    if mail::is_answer(subject) { "" } else { subject }
}

/// Channels that leave as mail.
async fn by_mail(conn: &mut Conn) -> Result<Vec<Word>> {
    let deployed = journeys::deployed(conn).await?;
    let channels = deployed.catalog.channels.iter().filter(|(_, channel)| channel.is_by_mail());
    Ok(channels.map(|(name, _)| name.clone()).collect())
}

/// As the link in the message does.
async fn unsubscribed(store: &Store, delivery: DeliveryId, name: &str, now: Timestamp) -> Result<Became> {
    let mut conn = store.read().await?;
    let Some(receipt) = deliveries::receipt(&mut conn, delivery).await? else { return Ok(Became::Unclear) };
    drop(conn);
    let evidence = serde_json::json!({ "delivery": delivery.to_string(), "mail": name });
    let change = ConsentChange {
        purpose: Some(receipt.purpose())
            .filter(|own| &**own != TRANSACTIONAL)
            .unwrap_or(receipts::STOPPED.into()),
        channel: receipt.channel.clone(),
        permit: false,
        at: now,
        source: "unsubscribe".into(),
        evidence: Some(evidence.to_string().into()),
    };
    suppressions::unsubscribe(store, receipt.contact, (receipt.bucket, delivery), change).await?;
    Ok(Became::Unsubscribed)
}

// ---------------------------------------------------------------- reports

async fn reported(
    store: &Store,
    key: &LinkKey,
    mail: &Mail,
    report: &Report,
    now: Timestamp,
) -> Result<Became> {
    let Some(said) = report.said else { return Ok(Became::Unclear) };
    let said = match said {
        mail::Said::Delivered => Said::Delivered,
        mail::Said::Failed => Said::Failed,
        mail::Said::Bounced => Said::Bounced,
        mail::Said::Complained => Said::Complained,
    };
    let Some(delivery) = message_of(store, key, mail, &report.about).await? else {
        return Ok(Became::Unclear);
    };
    Ok(match receipts::report(store, delivery, said, report.reason.as_deref(), now).await? {
        Told::Taken => Became::Reported(said),
        Told::Repeated => Became::Repeated,
        Told::Unknown => Became::Unclear,
    })
}

/// The message that a report is about, if it shows that it knows it.
async fn message_of(
    store: &Store,
    key: &LinkKey,
    mail: &Mail,
    about: &Original,
) -> Result<Option<DeliveryId>> {
    let own = sealed(key, &mail.to).or_else(|| sealed(key, &about.sealed));
    if let Some(delivery) = own.or_else(|| signed(key, about.unsubscribe.as_deref()?)) {
        return Ok(Some(delivery));
    }
    let Some(delivery) = about.id.as_deref().and_then(of_message_id) else { return Ok(None) };
    let mut conn = store.read().await?;
    for recipient in &about.recipients {
        if receipts::is_to(&mut conn, delivery, recipient).await? {
            return Ok(Some(delivery));
        }
    }
    Ok(None)
}

/// The message of a link of ours, however old it is.
fn signed(key: &LinkKey, header: &str) -> Option<DeliveryId> {
    let token = header.split("/u/").nth(1)?.split(['>', ',', ' ', '?']).next()?;
    let link = key.verify(token, Timestamp(0)).ok()?;
    matches!(link.kind, Kind::Unsubscribe { .. }).then_some(link.delivery)
}
