//! Mail: a rendered message, written for one recipient and handed to the relay.

use lettre::Address;

use super::message::{List, Mailbox, Message, read_address};
use super::smtp::{Envelope, SmtpSender};
use super::{Outgoing, Prepared, Unsendable};
use crate::id::DeliveryId;

/// The sender of all mail of a project.
#[derive(Clone)]
pub struct Email {
    sender: SmtpSender,
    from: Mailbox,
    return_path: Address,
}

impl Email {
    /// Mail goes out through `sender`, is from `from`, and what cannot be delivered comes back there.
    pub fn new(sender: SmtpSender, from: Mailbox) -> Email {
        let return_path = from.email.clone();
        Email { sender, from, return_path }
    }

    /// Lets bounces go to another address, of the same domain as the sender's if SPF is to help.
    pub fn with_return_path(self, return_path: Address) -> Email {
        Email { return_path, ..self }
    }

    /// The relay's connections, for upkeep and shutdown.
    pub fn sender(&self) -> &SmtpSender {
        &self.sender
    }

    /// The Message-ID of a delivery, the same for every attempt; without angle brackets.
    pub fn message_id(&self, delivery: DeliveryId) -> String {
        format!("{delivery}@{}", self.from.email.domain())
    }

    /// Writes the message. Pure: the same outgoing makes the same bytes.
    pub(super) fn write(&self, outgoing: &Outgoing<'_>) -> Result<Prepared, Unsendable> {
        let address = read_address(outgoing.address).map_err(Unsendable::Address)?;
        let name = outgoing.name.filter(|name| !name.is_empty()).map(str::to_owned);
        let to = Mailbox::new(name, address.clone());
        let list_id =
            outgoing.unsubscribe.map(|_| format!("{}.{}", outgoing.purpose, self.from.email.domain()));
        let list =
            outgoing.unsubscribe.zip(list_id.as_deref()).map(|(unsubscribe, id)| List { id, unsubscribe });
        let message = Message {
            date: outgoing.date,
            from: &self.from,
            to: &to,
            reply_to: None,
            subject: &outgoing.rendered.subject,
            message_id: &self.message_id(outgoing.delivery),
            text: &outgoing.rendered.text,
            html: outgoing.rendered.html.as_deref(),
            list,
            feedback_id: outgoing.feedback_id,
        };
        let bytes = message.write().map_err(Unsendable::Message)?;
        let envelope = Envelope { from: Some(self.return_path.clone()), to: address };
        Ok(Prepared::new(envelope, bytes))
    }
}
