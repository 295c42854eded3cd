//! What became of a delivery, as it is recorded.

use std::sync::Arc;

use crate::channels::smtp;
use crate::clock::machine_now;
use crate::daemon::compose::Refusal;
use crate::engine::program::{Catalog, Doubt, Word};
use crate::id::DeliveryId;
use crate::store::deliveries::{self, Claimed, Finished, SendResult as Outcome, Tried};
use crate::time::Timestamp;

pub(super) fn finished(claimed: &Claimed, result: Outcome, tried: Option<Tried>) -> Finished {
    count(&claimed.delivery.channel, &result);
    Finished::new(claimed, result, tried)
}

pub(super) fn address(claimed: &Claimed) -> Option<Arc<str>> {
    claimed.person.as_ref().and_then(|person| person.address.clone())
}

/// A message that nobody can write.
pub(super) fn unmade(claimed: &Claimed, Refusal { text, bad_address }: Refusal) -> Outcome {
    let Claimed { delivery, .. } = claimed;
    tracing::warn!(delivery = %delivery.id, template = &*delivery.template, why = text, "a message cannot be made");
    Outcome::Refused { code: None, text, bad_address: address(claimed).filter(|_| bad_address) }
}

/// What became of a message that was handed over.
pub(super) fn outcome(result: smtp::SendResult, claimed: &Claimed, catalog: &Catalog) -> Outcome {
    match result {
        smtp::SendResult::Accepted { reply } => Outcome::Accepted { reply: Some(reply.text) },
        smtp::SendResult::Refused { code, text, bad_address, .. } => {
            let bad_address = address(claimed).filter(|_| bad_address);
            Outcome::Refused { code: Some(code), text, bad_address }
        }
        smtp::SendResult::Deferred { reason, .. } => later(claimed, reason),
        smtp::SendResult::Unknown { reason } => {
            Outcome::Unknown { retry_at: again(claimed).filter(|_| may_repeat(catalog, claimed)), reason }
        }
    }
}

/// Whether a message that may have left is sent again by itself, with the same Message-ID: as its step says, and else what is
/// transactional is worth a repeat.
pub(in crate::daemon) fn may_repeat(catalog: &Catalog, claimed: &Claimed) -> bool {
    let delivery = &claimed.delivery;
    catalog.doubt(&delivery.journey, &delivery.step, delivery.transactional) == Doubt::Retry
}

/// When it is tried again, if it is.
fn again(claimed: &Claimed) -> Option<Timestamp> {
    again_at(claimed, None)
}

fn again_at(claimed: &Claimed, asked: Option<Timestamp>) -> Option<Timestamp> {
    let Claimed { delivery, attempts, first_tried_at, .. } = claimed;
    deliveries::next_try(delivery.id, *attempts, *first_tried_at, machine_now(), asked)
}

/// Not now.
pub(super) fn later(claimed: &Claimed, reason: String) -> Outcome {
    later_at(claimed, reason, None)
}

/// Not now, and not before the moment that the other side named.
pub(in crate::daemon) fn later_at(claimed: &Claimed, reason: String, asked: Option<Timestamp>) -> Outcome {
    match again_at(claimed, asked) {
        Some(retry_at) => Outcome::Deferred { retry_at, reason },
        None => refused(format!("given up after five days: {reason}")),
    }
}

pub(super) fn panicked(id: DeliveryId) -> Outcome {
    tracing::error!(delivery = %id, "a delivery panicked; this is a bug");
    refused("the message could not be made")
}

fn count(channel: &Word, result: &Outcome) {
    let labels = [("channel", channel.to_string()), ("result", word(result).to_owned())];
    metrics::counter!("fahrplan_deliveries_total", &labels).increment(1);
}

/// What became of a delivery, in a word, for the metrics.
fn word(result: &Outcome) -> &'static str {
    match result {
        Outcome::Accepted { .. } | Outcome::Answered { .. } => "accepted",
        Outcome::Refused { .. } => "refused",
        Outcome::Deferred { .. } => "deferred",
        Outcome::Unknown { .. } | Outcome::Undecided { .. } => "unknown",
        Outcome::Cancelled { .. } => "cancelled",
        Outcome::Held { .. } => "held",
        Outcome::GivenBack => "given_back",
    }
}

/// Refused by ourselves, for good.
pub(in crate::daemon) fn refused(text: impl Into<String>) -> Outcome {
    Outcome::Refused { code: None, text: text.into(), bad_address: None }
}
