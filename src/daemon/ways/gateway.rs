//! Messages by gateways: text messages, chats. As mail they are rendered, looked at once more right before they leave, and in doubt when no
//! answer came.

use crate::channels::gateway::{Gateway, Handed, Message, e164};
use crate::channels::template::Rendered;
use crate::clock::machine_now;
use crate::daemon::deliver::{Desk, later_at, may_repeat, refused};
use crate::engine::program::{Catalog, Channel};
use crate::store::deliveries::{Claimed, SendResult as Outcome, Tried};
use crate::store::gateway_ids;
use crate::time::{DAY, HOUR, Timestamp};
use crate::value::Type;

/// A text message that comes later than that is worth nothing any more.
const LATE: i64 = 4 * HOUR;

/// Whether messages on that channel leave by a gateway.
pub(in crate::daemon) fn serves(catalog: &Catalog, channel: &str) -> bool {
    catalog.channels.get(channel).is_some_and(Channel::is_by_gateway)
}

/// What comes too late is not sent.
pub(in crate::daemon) fn late(claimed: &Claimed, now: Timestamp) -> Option<Outcome> {
    (now.0 - claimed.delivery.due_at.0 > LATE).then(|| Outcome::Cancelled { reason: "late".into() })
}

/// Hands the message to the gateway of its channel.
pub(in crate::daemon) async fn hand_over(
    desk: &Desk,
    claimed: &Claimed,
    rendered: &Rendered,
    tried: &mut Option<Tried>,
) -> Outcome {
    let delivery = &claimed.delivery;
    let Some(stored) = claimed.person.as_ref().and_then(|person| person.address.clone()) else {
        return refused("there is no address");
    };
    let gateway = match gateway(desk, claimed) {
        Ok(gateway) => gateway,
        Err(outcome) => return outcome,
    };
    let to =
        if is_phone(desk.catalog(), &delivery.channel) { e164(&stored) } else { Some(stored.to_string()) };
    let Some(to) = to else {
        let text = "it is no phone number with its country".to_owned();
        return Outcome::Refused { code: None, text, bad_address: Some(stored) };
    };
    let text = rendered.text.trim();
    if text.is_empty() {
        return refused("the text is empty");
    }
    let hash = blake3::hash(format!("{to}\0{text}").as_bytes()).to_hex()[..32].to_owned();
    if claimed.tried.as_ref().is_some_and(|tried| *tried != hash) {
        return refused("it may have arrived already, and would not come out the same");
    }
    *tried = Some(Tried { address: stored.clone(), hash });
    let receipts = desk.receipts();
    let message =
        Message { delivery: delivery.id, channel: &delivery.channel, to: &to, text, receipts: &receipts };
    let call = gateway.call(&message, desk.time_left(claimed));
    if let Some(withdrawn) = desk.stopped(claimed).await {
        return withdrawn;
    }
    let names = desk.others().gateways.get(&*delivery.channel);
    let place = names.and_then(|names| names.id.as_deref());
    match gateway.read_at(desk.others().guard.ask(call).await, place) {
        Handed::Accepted { id } => {
            if let Some(id) = &id
                && let Err(error) =
                    gateway_ids::note(desk.store(), &delivery.channel, id, delivery.id, machine_now()).await
            {
                // It has left all the same; a report by that name will find nothing.
                tracing::warn!(delivery = %delivery.id, %error, "what the gateway calls a message could not be noted");
            }
            Outcome::Accepted { reply: id }
        }
        Handed::Refused { code, text, bad_address } => {
            Outcome::Refused { code, text, bad_address: Some(stored).filter(|_| bad_address) }
        }
        Handed::Deferred { reason, wait } => {
            let ms = wait.map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).min(DAY));
            later_at(claimed, reason, ms.map(|ms| machine_now().plus_ms(ms)))
        }
        Handed::Unknown { reason } => match later_at(claimed, reason, None) {
            Outcome::Deferred { retry_at, reason } => Outcome::Unknown {
                retry_at: Some(retry_at).filter(|_| may_repeat(desk.catalog(), claimed)),
                reason,
            },
            given_up => given_up,
        },
    }
}

/// The gateway of the channel. Where the secret cannot be had or used, somebody may mend it yet.
fn gateway(desk: &Desk, claimed: &Claimed) -> Result<Gateway, Outcome> {
    let name = &claimed.delivery.channel;
    let Some(channel) = desk.catalog().channels.get(name) else {
        return Err(refused(format!("the channel `{name}` is not declared any more")));
    };
    let url = desk.others().secrets.resolve(&channel.sends).map_err(|why| why.to_string());
    url.and_then(|url| Gateway::parse(url.reveal()).map_err(|why| why.to_string())).map_err(|why| {
        tracing::warn!(channel = &**name, why, "the secret that names a gateway cannot be used");
        later_at(claimed, "the secret that names the gateway cannot be used".to_owned(), None)
    })
}

/// Whether the addresses of the channel are phone numbers.
fn is_phone(catalog: &Catalog, channel: &str) -> bool {
    let address = catalog.channels.get(channel).and_then(|channel| channel.address.as_ref());
    let attribute = address.and_then(|name| catalog.attribute(name));
    attribute.is_some_and(|attribute| *attribute.ty.required() == Type::Phone)
}
