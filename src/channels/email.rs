//! Mail: a rendered message, written for one recipient and handed to the relay.

use lettre::Address;

use super::message::{AddressError, List, Mailbox, Message, read_address};
use super::smtp::{Envelope, SmtpSender};
use super::{Outgoing, Prepared, Unsendable};
use crate::id::DeliveryId;
use crate::link::LinkKey;

/// The sender of all mail of a project.
#[derive(Clone)]
pub struct Email {
    sender: SmtpSender,
    from: Mailbox,
    return_path: Address,
    back: Option<Back>,
}

/// How what comes back is known again: addresses of its own for each mail.
#[derive(Clone)]
struct Back {
    key: LinkKey,
    reply_to: Option<Mailbox>,
    return_path: Option<Address>,
}

impl Email {
    /// Mail goes out through `sender`, is from `from`, and what cannot be delivered comes back there.
    pub fn new(sender: SmtpSender, from: Mailbox) -> Email {
        let return_path = from.email.clone();
        Email { sender, from, return_path, back: None }
    }

    /// Lets answers go there, and reports of mail servers there, each to an address that is the mail's own and that the key seals.
    pub fn with_ways_back(
        self,
        key: LinkKey,
        reply_to: Option<Mailbox>,
        return_path: Option<Address>,
    ) -> Email {
        Email { back: Some(Back { key, reply_to, return_path }), ..self }
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
        let list = outgoing.unsubscribe.zip(list_id.as_deref()).map(|(unsubscribe, id)| List {
            id,
            unsubscribe,
            unsubscribe_by_mail: None,
        });
        let back = self
            .back
            .as_ref()
            .map(|back| back.of(outgoing.delivery))
            .transpose()
            .map_err(Unsendable::Address)?;
        let (reply_to, return_path) = back.unwrap_or_default();
        // By mail too, for mail programs that know no other way: RFC 2369.
        let by_mail = reply_to.as_ref().map(|to| format!("mailto:{}?subject=unsubscribe", to.email));
        let list = list.map(|list| List { unsubscribe_by_mail: by_mail.as_deref(), ..list });
        let message = Message {
            date: outgoing.date,
            from: &self.from,
            to: &to,
            reply_to: reply_to.as_ref(),
            subject: &outgoing.rendered.subject,
            message_id: &self.message_id(outgoing.delivery),
            text: &outgoing.rendered.text,
            html: outgoing.rendered.html.as_deref(),
            list,
            feedback_id: outgoing.feedback_id,
        };
        let bytes = message.write().map_err(Unsendable::Message)?;
        let envelope =
            Envelope { from: Some(return_path.unwrap_or_else(|| self.return_path.clone())), to: address };
        Ok(Prepared::new(envelope, bytes))
    }
}

impl Back {
    /// The addresses of one mail: where answers go, and where reports go.
    fn of(&self, delivery: DeliveryId) -> Result<(Option<Mailbox>, Option<Address>), AddressError> {
        let token = self.key.reply_token(delivery);
        let own =
            |address: &Address| read_address(&format!("{}+{token}@{}", address.user(), address.domain()));
        let reply_to = self.reply_to.as_ref().map(|to| Ok(Mailbox::new(to.name.clone(), own(&to.email)?)));
        Ok((reply_to.transpose()?, self.return_path.as_ref().map(own).transpose()?))
    }
}
