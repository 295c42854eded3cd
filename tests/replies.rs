//! What comes back by mail, and from people whom nobody knows: answers, bounces, complaints, and what fits nothing.

use fahrplan::clock::machine_now;
use fahrplan::engine::program::*;
use fahrplan::engine::world::Input;
use fahrplan::http::connections::Limits;
use fahrplan::id::{ContactId, DeliveryId};
use fahrplan::intake::Who;
use fahrplan::intake::mail;
use fahrplan::link::{Kind, Link, LinkKey};
use fahrplan::store::inbox::{Accepted, Incoming, To};
use fahrplan::store::mail::{self as mails, Became};
use fahrplan::store::receipts::{self, Reply, Said, Told};
use fahrplan::store::replies::{self, Why};
use fahrplan::store::{Store, bucket_of, deliveries, held};
use fahrplan::time::DAY;
use serde_json::json;

use crate::doors::{Open, split};
use crate::engine::build::*;
use crate::store::{Database, advance, event, on_all, open, story, who};

const KEY: [u8; 32] = [7; 32];

/// Writes on `signed_up`, and waits for what comes of it.
fn writes() -> J {
    let mut j = J::new("writes");
    j.on("signed_up");
    let slot = j.slot("hello", SlotKind::Message);
    let send = Send {
        channels: vec!["email".into()],
        every: false,
        template: "hello".into(),
        to: None,
        with: Vec::new(),
        purpose: "transactional".into(),
        before: None,
        next: 0,
    };
    j.line("hello", Some(slot), move |_, next| StepKind::Send(Box::new(Send { next, ..send.clone() })));
    let arms = ["replied", "bounced", "failed", "complained"]
        .map(|of| (Trigger::Event(outcome(slot, of)), Some(of)))
        .to_vec();
    j.race("wait", Some(days(30)), arms, Some("silent"), |_| {});
    for of in ["replied", "bounced", "failed", "complained", "silent"] {
        j.label(of).exit(of);
    }
    j
}

async fn shop(database: &Database) -> Store {
    let mut rules = catalog();
    rules.channels.get_mut("email").expect("there").sends = "smtp".into();
    rules.channels.get_mut("sms").expect("there").sends = "secret:sms".into();
    open(database, &rules, &[&writes()], machine_now()).await
}

/// Somebody who is written to.
async fn written(store: &Store, name: &str) -> (ContactId, DeliveryId) {
    let now = machine_now();
    let values = fields(&[("email", text(&format!("{name}@example.org")))]);
    let email = Some(format!("{name}@example.org"));
    let who = Who { email, ..who(name) };
    let item = |input| Incoming { to: To::Who(who.clone()), message_id: None, input };
    let items = vec![item(Input::Attributes { values, at: now }), item(event("signed_up", now, &[]))];
    let taken = store.accept(items, now).await.expect("accepted");
    advance(store, now).await;
    let [_, Accepted::Taken(contact)] = taken[..] else { panic!("not taken: {taken:?}") };
    let mut conn = store.read().await.expect("a connection");
    let found = deliveries::of_contact(&mut conn, contact).await.expect("read");
    let delivery = found.first().expect("a message").id;
    drop(conn);
    sent(store, delivery, &format!("{name}@example.org")).await;
    (contact, delivery)
}

/// Lets a message have gone to that address.
async fn sent(store: &Store, delivery: DeliveryId, address: &str) {
    const SENT: &str = "UPDATE deliveries SET state = 'accepted', address = $1 WHERE id = $2 RETURNING id";
    let mut tx = store.write().await.expect("a transaction");
    let rows = tx.fetch(SENT, vec![address.into(), delivery.into()]).await.expect("written");
    assert_eq!(rows.len(), 1);
    tx.commit().await.expect("committed");
}

async fn take(store: &Store, raw: &str) -> Became {
    let mail = mail::read(raw.as_bytes()).expect("a mail");
    mails::take(store, &LinkKey::new(KEY), &mail, machine_now()).await.expect("taken")
}

async fn exit(store: &Store, contact: ContactId) -> Option<String> {
    advance(store, machine_now()).await;
    let story = story(store, contact).await;
    let mut exits = story.iter().filter_map(|line| line.split_once("Exited { reason: \""));
    exits.next_back().map(|(_, reason)| reason.trim_end_matches("\" }").to_owned())
}

async fn suppressed(store: &Store, address: &str) -> Option<String> {
    let mut conn = store.read().await.expect("a connection");
    const WHY: &str = "SELECT reason FROM suppressions WHERE address = $1";
    let rows = conn.fetch(WHY, vec![address.into()]).await.expect("read");
    rows.first().map(|row| row.text(0).expect("a text").to_owned())
}

async fn apart(store: &Store) -> Vec<(String, bool, Why, String)> {
    let mut conn = store.read().await.expect("a connection");
    let found = replies::list(&mut conn, None, 100).await.expect("read");
    found.into_iter().rev().map(|one| (one.sender, one.is_known, one.why, one.text)).collect()
}

/// An answer by mail, as mail programs write it.
fn answer(from: &str, to: DeliveryId, number: u32, words: &str) -> String {
    format!(
        "From: {from}\r\nTo: news@shop.example\r\nSubject: Re: Hello\r\nMessage-ID: <m{number}@mail.example>\r\n\
         In-Reply-To: <{to}@shop.example>\r\n\r\n{words}\r\n\r\nOn Monday Shop wrote:\r\n> Hello\r\n"
    )
}

fn bounce(about: DeliveryId, recipient: &str, status: &str, more: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example\r\nTo: news@shop.example\r\nMessage-ID: <{status}.{about}@mx.example>\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
         Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {status}\r\n\r\n--b\r\n\
         Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{about}@shop.example>\r\n{more}--b--\r\n"
    )
}

#[test]
fn an_answer_by_mail_is_told_to_its_journey_once() {
    on_all(async |database| {
        let store = shop(&database).await;
        let (ada, to_ada) = written(&store, "ada").await;
        let mail = answer("Ada <ADA@example.org>", to_ada, 1, "Yes, please");
        // Twice at once, and once more.
        let (one, two) = tokio::join!(take(&store, &mail), take(&store, &mail));
        let mut both = [one, two].map(|one| one.as_str());
        both.sort_unstable();
        assert!(both == ["repeated", "replied"] || both == ["replied", "replied"], "{both:?}");
        assert_eq!(take(&store, &mail).await, Became::Repeated);
        assert_eq!(exit(&store, ada).await.as_deref(), Some("replied"));
        let story = story(&store, ada).await;
        let heard =
            story.iter().filter(|line| line.contains("replied") && line.contains("Yes, please")).count();
        assert!(heard <= 1, "{story:#?}");
        // The memory of message ids is short, mailboxes are not: it is known for as long as it may come.
        let mut conn = store.read().await.expect("a connection");
        let names = conn.fetch_number("SELECT COUNT(*) FROM replies WHERE sender = ''", Vec::new()).await;
        assert_eq!(names.expect("read"), 1);
        assert_eq!(apart(&store).await, []);
    });
}

#[test]
fn who_writes_decides_and_not_what_anybody_can_guess() {
    on_all(async |database| {
        let store = shop(&database).await;
        let key = LinkKey::new(KEY);
        let (ada, to_ada) = written(&store, "ada").await;
        let (ben, to_ben) = written(&store, "ben").await;
        // Ben knows, or guesses, the id of Ada's mail; a sealed address that somebody passed on makes no difference.
        let by_ben = answer("ben@example.org", to_ada, 1, "no");
        assert_eq!(take(&store, &by_ben).await, Became::Apart(Why::NotRecipient));
        assert_eq!(take(&store, &by_ben).await, Became::Repeated);
        let sealed = format!(
            "From: eve@example.org\r\nTo: reply+{}@shop.example\r\nSubject: Hi\r\nMessage-ID: <e@x>\r\n\r\nno",
            key.reply_token(to_ada).to_uppercase()
        );
        assert_eq!(take(&store, &sealed).await, Became::Apart(Why::NotRecipient));
        // Nor does anybody bounce for somebody else.
        let guessed = bounce(to_ada, "ben@example.org", "5.1.1", "");
        assert_eq!(take(&store, &guessed).await, Became::Unclear);
        assert_eq!(exit(&store, ada).await, None);
        assert_eq!(
            (suppressed(&store, "ada@example.org").await, suppressed(&store, "ben@example.org").await),
            (None, None)
        );
        let listed = [
            ("ben@example.org".to_owned(), true, Why::NotRecipient, "no".to_owned()),
            ("eve@example.org".to_owned(), false, Why::NotRecipient, "no".to_owned()),
        ];
        assert_eq!(apart(&store).await, listed);
        // With the seal alone, without references, the recipient's answer counts.
        let sealed = sealed.replace("eve@", "Ada@").replace("<e@x>", "<a@x>");
        assert_eq!(take(&store, &sealed).await, Became::Replied);
        assert_eq!(exit(&store, ada).await.as_deref(), Some("replied"));
        // Programs answer nothing; a mail that answers nothing is kept.
        let away = answer("ben@example.org", to_ben, 7, "I am away")
            .replace("\r\n\r\n", "\r\nAuto-Submitted: auto-replied\r\n\r\n");
        assert!(matches!(take(&store, &away).await, Became::Automatic(_)));
        let other = "From: ben@example.org\r\nSubject: Opening hours\r\nMessage-ID: <o@x>\r\n\r\nWhen?";
        assert_eq!(take(&store, other).await, Became::Apart(Why::NoMessage));
        assert_eq!(exit(&store, ben).await, None);
        // Eve is another address of Ben's, as it turns out; what she said was to Ada all the same.
        assert_eq!(replies::retry(&store, machine_now()).await.expect("tried"), (0, 3));
    });
}

#[test]
fn reports_of_mail_servers_and_providers_count_where_they_know_the_message() {
    on_all(async |database| {
        let store = shop(&database).await;
        let key = LinkKey::new(KEY);
        for (name, status, left, why) in [
            ("ada", "5.1.1", "bounced", Some("bounce")),
            ("ben", "5.7.1", "failed", None),
            ("cleo", "4.4.7", "failed", None),
        ] {
            let (contact, delivery) = written(&store, name).await;
            let report = bounce(delivery, &format!("{name}@example.org"), status, "");
            let said = if left == "bounced" { Said::Bounced } else { Said::Failed };
            assert_eq!(take(&store, &report).await, Became::Reported(said), "{name}");
            assert_eq!(take(&store, &report).await, Became::Repeated, "{name}");
            assert_eq!(exit(&store, contact).await.as_deref(), Some(left));
            assert_eq!(suppressed(&store, &format!("{name}@example.org")).await.as_deref(), why);
        }
        // A complaint whose addresses were blacked out: the link that ends such mails is ours.
        let (contact, delivery) = written(&store, "dora").await;
        let bucket = u16::try_from(bucket_of(contact, store.settings().buckets)).expect("few");
        let kind = Kind::Unsubscribe { purpose: "marketing".to_owned(), channel: "email".to_owned() };
        let expires_at = machine_now().plus_ms(-DAY);
        let token = key.sign(&Link { kind, bucket, contact, delivery, expires_at });
        let arf = |link: &str| {
            format!(
                "From: fbl@provider.example\r\nMessage-ID: <{}@fbl>\r\n\
                 Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n\
                 Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n\r\n--b\r\n\
                 Content-Type: message/rfc822\r\n\r\nFrom: news@shop.example\r\nTo: redacted@provider.example\r\n\
                 Message-ID: <{delivery}@shop.example>\r\nList-Unsubscribe: <https://shop.example/u/{link}>\r\n\r\nHi\r\n--b--\r\n",
                link.len()
            )
        };
        assert_eq!(take(&store, &arf("forged")).await, Became::Unclear);
        assert_eq!(take(&store, &arf(&token)).await, Became::Reported(Said::Complained));
        assert_eq!(exit(&store, contact).await.as_deref(), Some("complained"));
        assert_eq!(suppressed(&store, "dora@example.org").await.as_deref(), Some("complaint"));
        // To an address of its own comes what says nothing else.
        let (contact, delivery) = written(&store, "emma").await;
        let own = format!("bounce+{}@shop.example", key.reply_token(delivery));
        let report =
            bounce(DeliveryId(1), "somebody@else.example", "5.1.1", "").replace("news@shop.example", &own);
        assert_eq!(take(&store, &report).await, Became::Reported(Said::Bounced));
        assert_eq!(exit(&store, contact).await.as_deref(), Some("bounced"));
    });
}

#[test]
fn who_wants_no_more_says_so_by_mail_too() {
    on_all(async |database| {
        let store = shop(&database).await;
        let key = LinkKey::new(KEY);
        let (ada, to_ada) = written(&store, "ada").await;
        // As a mail program does it: to the sealed address, from whichever account.
        let mail = format!(
            "From: ada.other@example.org\r\nTo: reply+{}@shop.example\r\nSubject: Unsubscribe\r\nMessage-ID: <u@x>\r\n\r\n",
            key.reply_token(to_ada)
        );
        assert_eq!(take(&store, &mail).await, Became::Unsubscribed);
        assert_eq!(take(&store, &mail).await, Became::Repeated);
        assert_eq!(suppressed(&store, "ada@example.org").await.as_deref(), Some("unsubscribe"));
        assert_eq!(exit(&store, ada).await, None, "it is no answer");
        // In words, as an answer.
        let (_, to_ben) = written(&store, "ben").await;
        assert_eq!(take(&store, &answer("ben@example.org", to_ben, 2, "Stop!")).await, Became::Replied);
        assert_eq!(suppressed(&store, "ben@example.org").await.as_deref(), Some("unsubscribe"));
    });
}

#[test]
fn what_strangers_say_is_kept_and_told_when_they_are_known() {
    on_all(async |database| {
        let store = shop(&database).await;
        let (ada, to_ada) = written(&store, "ada").await;
        // Ada answers from an address that nobody knows; a text comes from a number that nobody knows.
        let mail = answer("ada@work.example", to_ada, 1, "Yes");
        assert_eq!(take(&store, &mail).await, Became::Apart(Why::NotRecipient));
        let channels = ["sms".into()];
        let said = Reply {
            id: "t1",
            channels: &channels,
            from: "0049 151 7",
            text: "Who is this?\0",
            refers_to: None,
        };
        for _ in 0..2 {
            let told = receipts::reply(&store, said.clone(), machine_now()).await.expect("told");
            assert_eq!(told, Told::Unknown);
        }
        assert_eq!(
            apart(&store).await,
            [
                ("ada@work.example".to_owned(), false, Why::NotRecipient, "Yes".to_owned()),
                ("+491517".to_owned(), false, Why::NoMessage, "Who is this?".to_owned()),
            ]
        );
        // Nothing changes as long as they are not known, however often it is tried.
        for _ in 0..3 {
            assert_eq!(replies::retry_known(&store, 0, machine_now()).await.expect("tried"), 0);
        }
        assert_eq!(exit(&store, ada).await, None);
        // Then they are. The text still fits no message, and waits for nothing any more; the answer is told.
        let now = machine_now();
        let item = |key: &str, email: Option<&str>, phone: Option<&str>| Incoming {
            to: To::Who(Who { email: email.map(str::to_owned), phone: phone.map(str::to_owned), ..who(key) }),
            message_id: None,
            input: Input::Attributes { values: fields(&[]), at: now },
        };
        let items = vec![item("ada", Some("ada@work.example"), None), item("ben", None, Some("+49151 7"))];
        store.accept(items, now).await.expect("accepted");
        let again = || async { replies::retry_known(&store, 0, machine_now()).await.expect("tried") };
        // Two daemons at once.
        tokio::join!(again(), again());
        while again().await != 0 {}
        assert_eq!(exit(&store, ada).await.as_deref(), Some("replied"));
        assert_eq!(
            apart(&store).await,
            [("+491517".to_owned(), true, Why::NoMessage, "Who is this?".to_owned())]
        );
        assert_eq!(take(&store, &mail).await, Became::Repeated);
        // It is among what is held on whoever is reached there.
        let mut conn = store.read().await.expect("a connection");
        let held = held::Held::find(&mut conn, "ben", machine_now()).await.expect("read").expect("there");
        assert_eq!(held.as_json()["replies_apart"][0]["text"], "Who is this?");
        drop(conn);
        // It is forgotten in the end, and its name a good deal later.
        replies::forget(&store, machine_now().plus_ms(91 * DAY)).await.expect("forgotten");
        assert_eq!(apart(&store).await, []);
        assert_eq!(take(&store, &mail).await, Became::Repeated);
        replies::forget(&store, machine_now().plus_ms(401 * DAY)).await.expect("forgotten");
        assert_ne!(take(&store, &mail).await, Became::Apart(Why::NotRecipient));
    });
}

#[test]
fn the_door_takes_mails_whole_and_in_parts() {
    on_all(async |database| {
        let store = shop(&database).await;
        let doors = Open::deployed(store.clone(), Limits::default(), None).await;
        let (ada, to_ada) = written(&store, "ada").await;
        let (ben, to_ben) = written(&store, "ben").await;
        let whole = answer("ada@example.org", to_ada, 1, "Yes");
        let more = format!(
            "connection: close\r\ncontent-type: message/rfc822\r\ncontent-length: {}\r\n",
            whole.len()
        );
        for result in ["replied", "repeated"] {
            let told =
                split(&doors.say(format!("{}{whole}", doors.post("/v1/mail", &more)).as_bytes()).await);
            assert_eq!(told, (200, json!({ "result": result })));
        }
        let parts = json!({
            "from": "Ben <ben@example.org>", "to": ["news@shop.example"], "subject": "Re: Hello", "text": "Ja\n\n> Hello",
            "message_id": "<m2@x>", "in_reply_to": format!("{to_ben}@shop.example"), "html": "<p>Ja</p>",
            "headers": { "X-Spam\r\nAuto-Submitted": "auto-replied", "Content-Type": "multipart/report" },
        });
        assert_eq!(doors.send("/v1/mail", &parts).await, (200, json!({ "result": "replied" })));
        for contact in [ada, ben] {
            assert_eq!(exit(&store, contact).await.as_deref(), Some("replied"));
        }
        let away = json!({ "from": "ben@example.org", "text": "away", "headers": { "Auto-Submitted": "auto-replied" } });
        let (status, told) = doors.send("/v1/mail", &away).await;
        assert_eq!((status, &told["result"]), (200, &json!("automatic")), "{told}");
        let (status, told) = doors.send("/v1/mail", &json!({ "raw": "From: x@y.example\r\n\r\nHi" })).await;
        assert_eq!((status, &told["result"], &told["reason"]), (200, &json!("apart"), &json!("no-message")));
        assert_eq!(doors.send("/v1/mail", &json!({ "raw": "nothing" })).await.1["code"], "not-a-mail");
        let (status, listed) = doors.get("/v1/replies").await;
        assert_eq!(
            (status, &listed["count"], &listed["items"][0]["from"]),
            (200, &json!(1), &json!("x@y.example")),
            "{listed}"
        );
    });
}
