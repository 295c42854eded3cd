//! The ways out: what turns a delivery into something that reaches a person.
//!
//! The delivery loop takes three steps, each with its own kind of failure:
//!
//! ```text
//! templates.render   a value is missing, a link is none      final: the message is refused
//! channel.prepare    an address or header cannot be written  final; the hash must equal that of an earlier attempt
//! channel.send       accepted | refused | deferred | unknown  see smtp::SendResult
//! ```
//!
//! The first two are pure, so a retry repeats them and gets the same bytes; only the third touches the world.
//!
//! - `script`: what stands beside a call; `template`: files of handlebars to texts; `message`: texts to the bytes of a mail
//! - `smtp`: bytes to a relay; `email`: the three together
//! - `gateway`: texts to a gateway of somebody else
//! - `guard`: requests to other programs, and to none that must not be asked
//! - `mailbox`: the built-in mail server of `demo` and tests, never of `serve`

pub mod audience;
pub mod email;
pub mod gateway;
pub mod guard;
pub mod letter;
pub mod mailbox;
pub mod message;
pub mod script;
pub mod smtp;
pub mod template;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::id::DeliveryId;
use crate::time::Timestamp;
use email::Email;
use message::{AddressError, MessageError};
use smtp::{Envelope, SendResult};
use template::Rendered;

/// A way out. An enum, not a trait: there will never be more than a handful, and all are ours.
#[derive(Clone)]
pub enum Channel {
    /// Mail through a relay.
    Email(Box<Email>),
    /// The same mail, taken over by somebody else: in a simulation.
    StandIn(Box<Email>, Arc<dyn StandIn>),
}

/// Who takes mail over in place of a relay.
pub trait StandIn: Send + Sync {
    /// Takes a message over, or not, within that time.
    fn take<'a>(
        &'a self,
        prepared: &'a Prepared,
        left: Duration,
    ) -> Pin<Box<dyn Future<Output = SendResult> + Send + 'a>>;
}

/// One message to one address, rendered, with what stands around it.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Its identity: Message-ID and idempotency keys come from it.
    pub delivery: DeliveryId,
    /// Where it goes, as stored.
    pub address: &'a str,
    /// The name shown beside the address.
    pub name: Option<&'a str>,
    /// When it was first to be sent: not the present attempt's moment, so that a retry makes the same bytes.
    pub date: Timestamp,
    /// What it is sent for; names the list.
    pub purpose: &'a str,
    /// The link that ends mail of this purpose by POST. `None` where there is nothing to unsubscribe from.
    pub unsubscribe: Option<&'a str>,
    /// Template, journey, channel and project, for the feedback loops of large providers.
    pub feedback_id: Option<[&'a str; 4]>,
    /// The texts.
    pub rendered: &'a Rendered,
}

/// A message as it will be handed over.
#[derive(Clone, Debug)]
pub struct Prepared {
    envelope: Envelope,
    bytes: Vec<u8>,
    hash: [u8; 32],
}

impl Prepared {
    fn new(envelope: Envelope, bytes: Vec<u8>) -> Prepared {
        let hash = blake3::hash(&bytes).into();
        Prepared { envelope, bytes, hash }
    }

    /// The message itself.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same message with a header before all others that says it is only a test.
    #[must_use]
    pub fn marked_as_test(self) -> Prepared {
        let bytes = [b"X-Fahrplan-Test: yes\r\n".as_slice(), &self.bytes].concat();
        Prepared::new(self.envelope, bytes)
    }

    /// Of the bytes. A retry that comes to another one is to be stopped and shown.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

/// Why a message cannot be prepared. Final.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unsendable {
    /// The address cannot be used, now or later.
    Address(AddressError),
    /// A header cannot be written.
    Message(MessageError),
    /// The program has a fault that this message meets. The others go on.
    Panicked,
}

impl Unsendable {
    /// Whether the address is at fault and should not be tried again.
    pub fn is_bad_address(&self) -> bool {
        matches!(self, Unsendable::Address(_))
    }
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsendable::Address(error) => error.fmt(f),
            Unsendable::Message(error) => error.fmt(f),
            Unsendable::Panicked => f.write_str("the program failed while it wrote this message"),
        }
    }
}

impl std::error::Error for Unsendable {}

impl Channel {
    /// Writes the message. Pure, and contained: a panic concerns this message only.
    pub fn prepare(&self, outgoing: &Outgoing<'_>) -> Result<Prepared, Unsendable> {
        let (Channel::Email(email) | Channel::StandIn(email, _)) = self;
        let write = || email.write(outgoing);
        catch_unwind(AssertUnwindSafe(write)).unwrap_or(Err(Unsendable::Panicked))
    }

    /// Hands the message over, in any case ending at `until`, which is where the delivery's lease ends. Await it to its
    /// end, at shutdown too: a mail whose final dot is written may have been delivered.
    pub async fn send(&self, prepared: &Prepared, until: Instant) -> SendResult {
        let sent = self.send_if(prepared, until, std::future::ready(true)).await;
        sent.expect("nothing holds it back")
    }

    /// The same if `still` says yes, which is asked right before the sending begins; `None`: it said no, and nothing was sent.
    pub async fn send_if(
        &self,
        prepared: &Prepared,
        until: Instant,
        still: impl Future<Output = bool>,
    ) -> Option<SendResult> {
        match self {
            Channel::Email(email) => {
                email.sender().send_if(&prepared.envelope, &prepared.bytes, until, still).await
            }
            Channel::StandIn(_, relay) => match still.await {
                true => Some(relay.take(prepared, until.saturating_duration_since(Instant::now())).await),
                false => None,
            },
        }
    }

    /// Closes what has long been idle; for upkeep.
    pub async fn close_idle(&self) {
        if let Channel::Email(email) = self {
            email.sender().close_idle().await;
        }
    }

    /// Awaits what is under way and takes no more.
    pub async fn close(&self) {
        if let Channel::Email(email) = self {
            email.sender().close().await;
        }
    }
}
