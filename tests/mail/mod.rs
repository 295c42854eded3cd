//! Mail from outside: our sender against real sockets, first of all the built-in mailbox with its faults.

mod email;
mod login;
mod templates;
mod tls;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fahrplan::channels::Channel;
use fahrplan::channels::email::Email;
use fahrplan::channels::mailbox::{Mailbox, MailboxConfig, Moment, Offer, Reaction};
use fahrplan::channels::message::read_mailbox;
use fahrplan::channels::smtp::{Envelope, Phase, Relay, SendResult, SmtpConfig, SmtpSender};
use fahrplan::daemon::{Brakes, Composer, Others, Outlet, Rates, Shelf, Way};
use fahrplan::link::LinkKey;
use tokio::time::Instant;

pub(crate) fn envelope(to: &str) -> Envelope {
    Envelope { from: Some("bounces@example.org".parse().unwrap()), to: to.parse().unwrap() }
}

/// A sender to `url` that gives up quickly: nothing in these tests is far away.
pub(crate) fn sender(url: &str, change: impl FnOnce(&mut SmtpConfig)) -> SmtpSender {
    let mut config = SmtpConfig::new(Relay::parse(url).unwrap());
    config.hello = Some("sender.example.org".to_owned());
    change(&mut config);
    SmtpSender::new(config).unwrap()
}

async fn mailbox() -> Mailbox {
    Mailbox::start(MailboxConfig::default()).await.unwrap()
}

async fn send(sender: &SmtpSender, to: &str) -> SendResult {
    sender.send(&envelope(to), b"Subject: hello\r\n\r\nHello.\r\n", patient()).await
}

/// Later than any test ends.
pub(crate) fn patient() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

pub(crate) fn is_accepted(result: &SendResult) -> bool {
    matches!(result, SendResult::Accepted { .. })
}

#[tokio::test]
async fn a_message_arrives_as_it_was_written() {
    let mailbox = mailbox().await;
    let sender = sender(&mailbox.url(), |_| {});
    let message = b"Subject: hello\r\n\r\n.dots\r\n..\r\n.\r\nlast line without end";
    let result = sender.send(&envelope("anna@example.com"), message, patient()).await;
    let SendResult::Accepted { reply } = result else { panic!("{result:?}") };
    assert_eq!((reply.code, reply.text.as_str()), (250, "2.0.0 kept as 1"));
    let stored = &mailbox.messages()[0];
    assert_eq!((stored.from.as_str(), stored.to.as_str()), ("bounces@example.org", "anna@example.com"));
    assert_eq!(&stored.raw[..], &[message.as_slice(), b"\r\n"].concat()[..]);
    assert_eq!(stored.letter.subject, "hello");
}

#[tokio::test]
async fn a_hundred_messages_share_one_connection_and_cost_three_commands_each() {
    for pipelining in [true, false] {
        let offer = Offer { pipelining, ..Offer::default() };
        let mailbox = Mailbox::start(MailboxConfig { offer, ..MailboxConfig::default() }).await.unwrap();
        let sender = sender(&mailbox.url(), |config| config.connections = 1);
        for n in 0..100 {
            assert!(is_accepted(&send(&sender, &format!("c{n}@example.com")).await));
        }
        sender.close().await;
        let traffic = mailbox.traffic();
        assert_eq!(traffic.connections, 1);
        assert_eq!(traffic.commands, 2 + 300 + 1, "two EHLO, three for each message, QUIT");
        assert_eq!(*mailbox.arrivals().borrow(), 100);
    }
}

#[tokio::test]
async fn the_limit_of_connections_limits() {
    let mailbox = mailbox().await;
    mailbox.follow(|moment| match moment {
        Moment::Dot(_) => Reaction::Wait(Duration::from_millis(5)),
        _ => Reaction::Go,
    });
    let sender = sender(&mailbox.url(), |config| config.connections = 3);
    let sends: Vec<_> = (0..50)
        .map(|n| {
            let sender = sender.clone();
            tokio::spawn(async move { send(&sender, &format!("c{n}@example.com")).await })
        })
        .collect();
    for result in sends {
        assert!(is_accepted(&result.await.unwrap()));
    }
    assert_eq!((mailbox.traffic().most_open, mailbox.traffic().connections), (3, 3));
}

#[tokio::test]
async fn a_connection_ends_after_its_messages_and_after_its_idle_time() {
    let mailbox = mailbox().await;
    let few = sender(&mailbox.url(), |config| config.messages_per_connection = 2);
    for n in 0..5 {
        assert!(is_accepted(&send(&few, &format!("c{n}@example.com")).await));
    }
    assert_eq!(mailbox.traffic().connections, 3);
    let short = sender(&mailbox.url(), |config| config.idle = Duration::ZERO);
    assert!(is_accepted(&send(&short, "a@example.com").await));
    short.close_idle().await;
    assert!(is_accepted(&send(&short, "b@example.com").await));
    assert_eq!(mailbox.traffic().connections, 5);
}

#[tokio::test]
async fn a_refused_recipient_is_final_and_does_not_cost_the_connection() {
    for pipelining in [true, false] {
        let offer = Offer { pipelining, ..Offer::default() };
        let mailbox = Mailbox::start(MailboxConfig { offer, ..MailboxConfig::default() }).await.unwrap();
        mailbox.follow(|moment| match moment {
            Moment::Rcpt("gone@example.com") => Reaction::Say("550 5.1.1 no such person".to_owned()),
            Moment::Rcpt("blocked@example.com") => Reaction::Say("550 5.7.1 not from you".to_owned()),
            _ => Reaction::Go,
        });
        let sender = sender(&mailbox.url(), |_| {});
        for (to, bad) in
            [("gone@example.com", true), ("blocked@example.com", false), ("gone@example.com", true)]
        {
            let result = send(&sender, to).await;
            let SendResult::Refused { code, enhanced, text, bad_address } = result else {
                panic!("{result:?}")
            };
            assert_eq!((code, bad_address), (550, bad), "{text}");
            assert_eq!(enhanced.unwrap().subject, if bad { 1 } else { 7 });
        }
        assert!(is_accepted(&send(&sender, "anna@example.com").await));
        assert_eq!(mailbox.traffic().connections, 1);
        assert_eq!(mailbox.messages().len(), 1);
        assert_eq!(mailbox.traffic().unknown_commands, 0);
    }
}

#[tokio::test]
async fn what_may_pass_is_deferred_with_its_phase() {
    for (line, at, phase, slower) in [
        ("450 4.2.0 greylisted", Moment::Rcpt("a@example.com"), Phase::Rcpt, false),
        ("451 4.7.1 too fast", Moment::Mail("bounces@example.org"), Phase::Mail, true),
        ("451 4.3.0 later", Moment::Data, Phase::Data, false),
        ("452 4.3.1 disk full", Moment::Dot("a@example.com"), Phase::Body, false),
        ("421 4.3.2 going down", Moment::Dot("a@example.com"), Phase::Body, true),
        ("554 5.3.2 not now", Moment::Connect, Phase::Greeting, false),
    ] {
        let mailbox = mailbox().await;
        let failing = Arc::new(AtomicUsize::new(1));
        let (say, place) = (line.to_owned(), format!("{at:?}"));
        mailbox.follow(move |moment| {
            let here = format!("{moment:?}") == place;
            if here && failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
            {
                Reaction::Say(say.clone())
            } else {
                Reaction::Go
            }
        });
        let sender = sender(&mailbox.url(), |_| {});
        let result = send(&sender, "a@example.com").await;
        let SendResult::Deferred { phase: got, slow_down, reply, .. } = result else {
            panic!("{line}: {result:?}")
        };
        assert_eq!((got, slow_down), (phase, slower), "{line}");
        assert_eq!(reply.unwrap().to_string(), line);
        assert!(is_accepted(&send(&sender, "a@example.com").await), "{line}: the next one goes through");
        assert_eq!(mailbox.messages().len(), 1, "{line}");
    }
}

#[tokio::test]
async fn only_a_lost_answer_to_the_final_dot_is_unknown() {
    for (at, kept, unknown) in [
        (Moment::Connect, false, false),
        (Moment::Mail("bounces@example.org"), false, false),
        (Moment::Rcpt("a@example.com"), false, false),
        (Moment::Data, false, false),
        (Moment::Dot("a@example.com"), false, true),
        (Moment::Dot("a@example.com"), true, true),
    ] {
        let mailbox = mailbox().await;
        let place = format!("{at:?}");
        mailbox.follow(move |moment| match (format!("{moment:?}") == place, kept) {
            (false, _) => Reaction::Go,
            (true, true) => Reaction::KeepAndHangUp,
            (true, false) => Reaction::HangUp,
        });
        let result = send(&sender(&mailbox.url(), |_| {}), "a@example.com").await;
        assert_eq!(matches!(result, SendResult::Unknown { .. }), unknown, "{at:?}: {result:?}");
        assert_eq!(matches!(result, SendResult::Deferred { .. }), !unknown, "{at:?}: {result:?}");
        assert_eq!(mailbox.messages().len(), usize::from(kept), "{at:?}");
    }
}

#[tokio::test]
async fn a_relay_that_hangs_up_in_the_middle_of_a_large_body_has_not_got_it() {
    let offer = Offer { size: 100_000_000, ..Offer::default() };
    let mailbox = Mailbox::start(MailboxConfig { offer, ..MailboxConfig::default() }).await.unwrap();
    mailbox.follow(|moment| if *moment == Moment::Body { Reaction::HangUp } else { Reaction::Go });
    let large = "line after line\r\n".repeat(2_000_000);
    let result =
        sender(&mailbox.url(), |_| {}).send(&envelope("a@example.com"), large.as_bytes(), patient()).await;
    assert!(matches!(result, SendResult::Deferred { phase: Phase::Body, .. }), "{result:?}");
}

#[tokio::test]
async fn silence_is_given_up_and_means_what_it_must_at_each_place() {
    for (at, unknown) in [
        (Moment::Connect, false),
        (Moment::Mail("bounces@example.org"), false),
        (Moment::Data, false),
        (Moment::Dot("a@example.com"), true),
    ] {
        let mailbox = mailbox().await;
        let place = format!("{at:?}");
        mailbox.follow(move |moment| match format!("{moment:?}") == place {
            true => Reaction::Wait(Duration::from_secs(3600)),
            false => Reaction::Go,
        });
        let impatient = sender(&mailbox.url(), |config| {
            let limits = &mut config.timeouts;
            for limit in [
                &mut limits.greeting,
                &mut limits.command,
                &mut limits.data,
                &mut limits.body,
                &mut limits.dot,
            ] {
                *limit = Duration::from_millis(60);
            }
        });
        let result = send(&impatient, "a@example.com").await;
        assert_eq!(matches!(result, SendResult::Unknown { .. }), unknown, "{at:?}: {result:?}");
    }
}

#[tokio::test]
async fn nothing_outlives_the_moment_given_and_what_it_means_depends_on_the_dot() {
    let slow = |place: &'static str| {
        move |moment: &Moment<'_>| match format!("{moment:?}").starts_with(place) {
            true => Reaction::Wait(Duration::from_secs(3600)),
            false => Reaction::Go,
        }
    };
    for (place, unknown) in [("Rcpt", false), ("Dot", true)] {
        let mailbox = mailbox().await;
        mailbox.follow(slow(place));
        let sender = sender(&mailbox.url(), |config| config.connections = 1);
        let until = Instant::now() + Duration::from_millis(100);
        let to = envelope("a@example.com");
        let (first, second) = tokio::join!(sender.send(&to, b"x", until), sender.send(&to, b"x", until));
        assert!(Instant::now() < until + Duration::from_secs(5));
        assert_eq!(matches!(first, SendResult::Unknown { .. }), unknown, "{place}: {first:?}");
        assert_eq!(matches!(first, SendResult::Deferred { .. }), !unknown, "{place}: {first:?}");
        // It waits for the one connection; should that fall free at the last moment, it cannot open it any more.
        assert!(matches!(second, SendResult::Deferred { phase: Phase::Connect, .. }), "{second:?}");
    }
}

#[tokio::test]
async fn whoever_was_held_up_until_it_is_too_late_sends_nothing_any_more() {
    let mailbox = mailbox().await;
    let sender = sender(&mailbox.url(), |config| config.connections = 1);
    assert!(is_accepted(&send(&sender, "a@example.com").await));
    let until = Instant::now() + Duration::from_millis(50);
    // As when the process is stopped: no timer sees it.
    let still = async {
        std::thread::sleep(Duration::from_millis(100));
        true
    };
    let result = sender.send_if(&envelope("b@example.com"), b"x", until, still).await;
    assert!(matches!(result, Some(SendResult::Deferred { .. })), "{result:?}");
    assert!(is_accepted(&send(&sender, "c@example.com").await));
    assert_eq!((mailbox.messages().len(), mailbox.traffic().connections), (2, 1));
}

#[tokio::test]
async fn a_relay_that_closed_an_idle_connection_costs_nothing() {
    let mailbox = mailbox().await;
    let times = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&times);
    mailbox.follow(move |moment| match moment {
        // The second MAIL on a connection finds it closed, once by 421 and once without a word.
        Moment::Mail(_) => match seen.fetch_add(1, Ordering::SeqCst) {
            1 => Reaction::Say("421 4.4.2 idle too long".to_owned()),
            3 => Reaction::HangUp,
            _ => Reaction::Go,
        },
        _ => Reaction::Go,
    });
    let sender = sender(&mailbox.url(), |_| {});
    for n in 0..3 {
        assert!(is_accepted(&send(&sender, &format!("c{n}@example.com")).await), "{n}");
    }
    assert_eq!((mailbox.messages().len(), mailbox.traffic().connections), (3, 3));
}

#[tokio::test]
async fn a_mail_server_that_is_down_defers() {
    let mailbox = mailbox().await;
    let url = mailbox.url();
    mailbox.close().await;
    let result = send(&sender(&url, |_| {}), "a@example.com").await;
    assert!(matches!(result, SendResult::Deferred { phase: Phase::Connect, .. }), "{result:?}");
}

#[tokio::test]
async fn addresses_beyond_ascii_need_a_relay_that_takes_them() {
    let offer = Offer { utf8_addresses: false, ..Offer::default() };
    let plain = Mailbox::start(MailboxConfig { offer, ..MailboxConfig::default() }).await.unwrap();
    let result = send(&sender(&plain.url(), |_| {}), "jürgen@example.com").await;
    assert!(matches!(result, SendResult::Refused { code: 553, bad_address: false, .. }), "{result:?}");
    let able = mailbox().await;
    assert!(is_accepted(&send(&sender(&able.url(), |_| {}), "jürgen@example.com").await));
    assert_eq!(able.messages()[0].to, "jürgen@example.com");
}

#[tokio::test]
async fn a_message_larger_than_the_relay_takes_is_refused_without_sending_it() {
    let offer = Offer { size: 1000, ..Offer::default() };
    let mailbox = Mailbox::start(MailboxConfig { offer, ..MailboxConfig::default() }).await.unwrap();
    let sender = sender(&mailbox.url(), |_| {});
    let result = sender.send(&envelope("a@example.com"), &[b'x'; 2000], patient()).await;
    let SendResult::Refused { code: 552, text, .. } = result else { panic!("{result:?}") };
    assert!(text.contains("the mail server takes 1000"), "{text}");
    assert!(is_accepted(&send(&sender, "a@example.com").await), "the connection is still good");
    assert_eq!(mailbox.traffic().connections, 1);
}

#[tokio::test]
async fn closing_awaits_the_message_under_way_and_takes_no_more() {
    let mailbox = mailbox().await;
    mailbox.follow(|moment| match moment {
        Moment::Dot(_) => Reaction::Wait(Duration::from_millis(100)),
        _ => Reaction::Go,
    });
    let sender = sender(&mailbox.url(), |_| {});
    let under_way = tokio::spawn({
        let sender = sender.clone();
        async move { send(&sender, "a@example.com").await }
    });
    while mailbox.traffic().commands < 5 {
        tokio::task::yield_now().await;
    }
    sender.close().await;
    assert_eq!(mailbox.messages().len(), 1, "closed only after the answer");
    assert!(is_accepted(&under_way.await.unwrap()));
    assert!(matches!(
        send(&sender, "b@example.com").await,
        SendResult::Deferred { phase: Phase::Connect, .. }
    ));
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_relay_that_goes_and_comes_is_told_once_each_and_nobody_is_named() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _here = tracing::subscriber::set_default(subscriber);
    let first = mailbox().await;
    let url = first.url();
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    let sender = sender(&url, |config| config.messages_per_connection = 1);
    assert!(is_accepted(&send(&sender, "anna@example.com").await));
    drop(first);
    // Until the system has closed the port.
    while is_accepted(&send(&sender, "anna@example.com").await) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..3 {
        assert!(matches!(send(&sender, "anna@example.com").await, SendResult::Deferred { .. }));
    }
    let _again = Mailbox::start(MailboxConfig { port, ..MailboxConfig::default() }).await.unwrap();
    for _ in 0..3 {
        assert!(is_accepted(&send(&sender, "anna@example.com").await));
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("takes nothing").count(), 1, "{log}");
    assert_eq!(log.matches("is back").count(), 1, "{log}");
    assert!(log.contains(&format!("port={port}")) && !log.contains("anna"), "{log}");
}

/// Where a daemon without a relay would send, and what else it has.
pub(crate) fn outlet(others: Others) -> Outlet {
    let from = read_mailbox("Shop <news@example.org>").expect("an address");
    let composer = Composer {
        link_key: LinkKey::new([7; 32]),
        public_url: "https://shop.example".to_owned(),
        project: "shop".to_owned(),
    };
    Outlet {
        way: Way::Channel(Channel::Email(Box::new(Email::new(sender("smtp://127.0.0.1:1", |_| {}), from)))),
        composer,
        shelf: Shelf::default(),
        parallel: 4,
        brakes: Brakes::default(),
        rates: Rates::default(),
        others,
    }
}
