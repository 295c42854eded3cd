//! The way of one message: rendered, prepared, sent, read in the mailbox.

use fahrplan::channels::email::Email;
use fahrplan::channels::mailbox::{Mailbox, MailboxConfig};
use fahrplan::channels::message::{AddressError, MessageError, read_mailbox};
use fahrplan::channels::template::Rendered;
use fahrplan::channels::{Channel, Outgoing, Unsendable};
use fahrplan::id::DeliveryId;
use fahrplan::time::Timestamp;

use super::{is_accepted, patient, sender};

fn rendered() -> Rendered {
    Rendered {
        subject: "Schöne Grüße".to_owned(),
        preheader: String::new(),
        html: Some("<p>Grüße, <a href=\"https://m.example/u/t\">Ende</a></p>\n".to_owned()),
        text: "Grüße\n.\nEnde\n".to_owned(),
        locale: "de".to_owned(),
        template_hash: "0".into(),
    }
}

fn outgoing(rendered: &Rendered) -> Outgoing<'_> {
    Outgoing {
        delivery: DeliveryId(1_234_567_890_123),
        address: "zoë@müller.example",
        name: Some("Zoë Müller"),
        date: Timestamp(1_766_000_000_000),
        purpose: "marketing",
        unsubscribe: Some("https://m.example/u/t"),
        feedback_id: Some(["story", "welcome", "email", "shop"]),
        rendered,
    }
}

async fn email(mailbox: &Mailbox) -> Channel {
    let from = read_mailbox("Siebenuhr <hallo@shop.example.org>").unwrap();
    Channel::Email(Box::new(Email::new(sender(&mailbox.url(), |_| {}), from)))
}

#[tokio::test]
async fn a_message_arrives_with_all_that_bulk_mail_must_have_and_a_retry_is_the_same() {
    let mailbox = Mailbox::start(MailboxConfig::default()).await.unwrap();
    let channel = email(&mailbox).await;
    let texts = rendered();
    let first = channel.prepare(&outgoing(&texts)).unwrap();
    let again = channel.prepare(&outgoing(&texts)).unwrap();
    assert_eq!((first.hash(), first.bytes()), (again.hash(), again.bytes()));
    assert!(is_accepted(&channel.send(&first, patient()).await));
    assert!(is_accepted(&channel.send(&again, patient()).await));
    channel.close().await;
    let stored = mailbox.messages();
    assert_eq!(stored[0].raw, stored[1].raw);
    assert_eq!(
        (stored[0].from.as_str(), stored[0].to.as_str()),
        ("hallo@shop.example.org", "zoë@xn--mller-kva.example")
    );
    let letter = &stored[0].letter;
    assert_eq!((letter.subject.as_str(), letter.text.as_str()), ("Schöne Grüße", "Grüße\n.\nEnde\n"));
    let id = DeliveryId(1_234_567_890_123);
    for (header, value) in [
        ("Message-ID", format!("<{id}@shop.example.org>").as_str()),
        ("List-Unsubscribe", "<https://m.example/u/t>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("List-Id", "<marketing.shop.example.org>"),
        ("Precedence", "bulk"),
    ] {
        assert_eq!(letter.header(header), Some(value));
        assert_eq!(letter.headers.iter().filter(|(name, _)| name == header).count(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_said_before_anybody_is_asked() {
    let mailbox = Mailbox::start(MailboxConfig::default()).await.unwrap();
    let channel = email(&mailbox).await;
    let texts = rendered();
    let good = outgoing(&texts);
    let broken = |outgoing: Outgoing<'_>| channel.prepare(&outgoing).unwrap_err();
    let smuggled = broken(Outgoing { name: Some("Eve\r\nBcc: all@example.com"), ..good });
    assert_eq!(smuggled, Unsendable::Message(MessageError::Control { header: "To" }));
    assert!(!smuggled.is_bad_address());
    let nowhere = broken(Outgoing { address: "eve@example.com\r\nRCPT TO:<all@example.com>", ..good });
    assert_eq!(nowhere, Unsendable::Address(AddressError::Malformed));
    assert!(nowhere.is_bad_address());
    assert_eq!(mailbox.traffic().connections, 0);
}
