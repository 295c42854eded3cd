//! Messages of which nobody knows whether they have left, and what is looked at again before a retry.

use fahrplan::channels::mailbox::{Moment, Reaction};
use fahrplan::clock::machine_now;
use fahrplan::engine::world::{Delivery, What};
use fahrplan::id::{DeliveryId, EnrollmentId};
use fahrplan::store::deliveries::{self, Decision, Shown};
use fahrplan::store::import::{self, Person};
use fahrplan::store::{contacts, history};

use crate::daemon::{Running, refuse_everybody, until};
use crate::engine::build::{fields, text};
use crate::store::on_all;

impl Running {
    async fn has(&self, states: &[&str]) {
        let what = format!("{states:?}");
        until(&what, async || self.states().await == states).await;
    }

    async fn in_doubt(&self) -> Vec<DeliveryId> {
        let mut conn = self.store.read().await.expect("a connection");
        let listed = deliveries::list(&mut conn, Shown::Unknown, 100).await.expect("listed");
        listed.iter().map(|listed| listed.line.id).collect()
    }

    async fn decide(&self, decision: Decision, id: DeliveryId) -> bool {
        let now = machine_now();
        let decided =
            deliveries::decide(&self.store, decision, &[id], "op@desk", now).await.expect("decided");
        decided.contains(&id)
    }

    async fn decisions(&self, name: &str) -> Vec<String> {
        let mut conn = self.store.read().await.expect("a connection");
        let contact = contacts::by_key(&mut conn, name).await.expect("read").expect("there").id;
        let notes = history::of_contact(&mut conn, contact).await.expect("read");
        let decision = |what| match what {
            What::Decided { decision, by, .. } => Some(format!("{decision} {by}")),
            _ => None,
        };
        notes.into_iter().filter_map(|note| decision(note.what)).collect()
    }
}

#[test]
fn marketing_of_which_nobody_knows_is_kept_until_somebody_decides() {
    on_all(async |database| {
        let running = Running::start(&database, |_| {}).await;
        running.mailbox.follow(|moment| match moment {
            Moment::Dot(_) => Reaction::KeepAndHangUp,
            _ => Reaction::Go,
        });
        running.queue(&["ada", "ben"]).await;
        running.has(&["unknown 2"]).await;
        running.mailbox.follow(|_| Reaction::Go);
        running.try_again().await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert_eq!(
            (running.states().await, running.mailbox.messages().len()),
            (vec!["unknown 2".to_owned()], 2)
        );

        let ids = running.in_doubt().await;
        assert!(running.decide(Decision::Settle, ids[0]).await);
        running.has(&["accepted 1", "unknown 1"]).await;
        assert!(
            !running.decide(Decision::Settle, ids[0]).await
                && !running.decide(Decision::Resend, ids[0]).await
        );
        assert!(running.decide(Decision::Resend, ids[1]).await);
        running.has(&["accepted 2"]).await;
        let sent = running.mailbox.messages();
        assert_eq!(sent.len(), 3);
        let first = sent[..2].iter().find(|first| first.to == sent[2].to).expect("the same person");
        assert_eq!(first.raw, sent[2].raw, "it is the same mail");
        let mut notes = [running.decisions("ada").await, running.decisions("ben").await];
        notes.sort();
        assert_eq!(notes, [["resend op@desk"], ["settle op@desk"]]);
        running.stop().await;
    });
}

#[test]
fn what_a_worker_had_under_way_when_it_died_is_repeated_only_if_it_is_transactional() {
    on_all(async |database| {
        let running = Running::start(&database, |_| {}).await;
        running.import("ada", "ada@example.com", &[]).await;
        let hello = running.hello();
        let receipt = Delivery { transactional: true, ..running.hello() };
        let mut tx = running.store.write().await.expect("a transaction");
        running.insert(&mut tx, "ada", &hello).await;
        running.insert(&mut tx, "ada", &receipt).await;
        // As a worker leaves it that has claimed both, and is gone.
        const LEASED: &str = "UPDATE deliveries SET state = 'leased', owner = 99, epoch = 1, attempts = 1, again_at = 1, \
            first_tried_at = 1";
        tx.exec(LEASED, Vec::new()).await.expect("leased");
        tx.commit().await.expect("committed");
        running.has(&["accepted 1", "unknown 1"]).await;
        assert_eq!(running.mailbox.messages().len(), 1);
        assert_eq!(running.in_doubt().await, [hello.id]);
        assert!(running.decide(Decision::Resend, hello.id).await);
        running.has(&["accepted 2"]).await;
        assert_eq!(running.mailbox.messages().len(), 2);
        running.stop().await;
    });
}

#[test]
fn a_step_may_say_what_becomes_of_its_messages_in_doubt() {
    on_all(async |database| {
        let running = Running::start(&database, |_| {}).await;
        running.import("ada", "ada@example.com", &[]).await;
        let again = Delivery { step: "again".into(), ..running.hello() };
        let once = Delivery { step: "once".into(), transactional: true, ..running.hello() };
        // The dot is answered for nobody: both may have left.
        running.mailbox.follow(|moment| match moment {
            Moment::Dot(_) => Reaction::KeepAndHangUp,
            _ => Reaction::Go,
        });
        running.queue_mail("ada", &again).await;
        running.queue_mail("ada", &once).await;
        running.has(&["deferred 1", "unknown 1"]).await;
        assert_eq!(running.in_doubt().await, [once.id]);
        running.mailbox.follow(|_| Reaction::Go);
        running.try_again().await;
        running.has(&["accepted 1", "unknown 1"]).await;
        // As a worker leaves it that has claimed them, and is gone.
        let mut tx = running.store.write().await.expect("a transaction");
        let more = [
            Delivery { id: DeliveryId(running.store.new_id()), ..again },
            Delivery { id: DeliveryId(running.store.new_id()), ..once.clone() },
        ];
        for mail in &more {
            running.insert(&mut tx, "ada", mail).await;
        }
        const LEASED: &str = "UPDATE deliveries SET state = 'leased', owner = 99, epoch = 1, attempts = 1, again_at = 1, \
            first_tried_at = 1 WHERE state = 'queued'";
        tx.exec(LEASED, Vec::new()).await.expect("leased");
        tx.commit().await.expect("committed");
        running.has(&["accepted 2", "unknown 2"]).await;
        let mut doubtful = running.in_doubt().await;
        doubtful.sort();
        assert_eq!(doubtful, [once.id, more[1].id]);
        running.stop().await;
    });
}

#[test]
fn one_that_was_refused_may_be_sent_again_and_is_counted_once() {
    on_all(async |database| {
        let running = Running::start(&database, |_| {}).await;
        refuse_everybody(&running.mailbox, "554 5.7.1 not from you");
        running.queue(&["ada"]).await;
        running.has(&["refused 1"]).await;
        running.mailbox.follow(|_| Reaction::Go);
        let mut conn = running.store.read().await.expect("a connection");
        let failed = deliveries::list(&mut conn, Shown::Failed, 9).await.expect("listed")[0].line.id;
        drop(conn);
        assert!(!running.decide(Decision::Settle, failed).await, "nobody may say that it was sent");
        assert!(running.decide(Decision::Resend, failed).await);
        running.has(&["accepted 1"]).await;
        running.stop().await;
    });
}

#[test]
fn who_was_cut_off_while_a_mail_was_under_way_does_not_get_it_later() {
    on_all(async |database| {
        let running = Running::start(&database, |_| {}).await;
        running.import("ada", "ada@example.com", &[]).await;
        let enrollment = EnrollmentId(running.store.new_id());
        let hello = Delivery { enrollment, ..running.hello() };
        let receipt = Delivery { enrollment, transactional: true, ..running.hello() };
        refuse_everybody(&running.mailbox, "451 4.7.1 come back later");
        for mail in [&hello, &receipt] {
            running.queue_mail("ada", mail).await;
        }
        running.has(&["deferred 2"]).await;
        // Both are claimed anew by a worker, and she is cut off while it has them.
        let mut tx = running.store.write().await.expect("a transaction");
        const LEASED: &str = "UPDATE deliveries SET state = 'leased', epoch = 77, again_at = 9000000000000";
        tx.exec(LEASED, Vec::new()).await.expect("leased");
        let contact = contacts::by_key(&mut tx, "ada").await.expect("read").expect("there").id;
        let bucket = fahrplan::store::bucket_of(contact, running.store.settings().buckets);
        let cancelled = deliveries::cancel(&mut tx, bucket, &[(contact, enrollment)], machine_now()).await;
        assert_eq!(cancelled.expect("looked"), [], "what is leased may leave");
        // Put off once more.
        const PUT_OFF: &str = "UPDATE deliveries SET state = 'deferred', again_at = 1";
        tx.exec(PUT_OFF, Vec::new()).await.expect("put off");
        tx.commit().await.expect("committed");
        running.mailbox.follow(|_| Reaction::Go);
        running.has(&["accepted 1", "cancelled 1"]).await;
        assert_eq!(running.mailbox.messages().len(), 1);
        running.stop().await;
    });
}

#[test]
fn a_retry_does_not_go_to_somebody_who_was_given_the_address() {
    on_all(async |database| {
        let running = Running::start(&database, |_| {}).await;
        refuse_everybody(&running.mailbox, "451 4.7.1 come back later");
        running.queue(&["ada", "ben"]).await;
        running.has(&["deferred 2"]).await;
        running.mailbox.follow(|_| Reaction::Go);
        // Both have another address by now; hers is somebody else's.
        for (name, address) in [("ada", "new@example.com"), ("ben", "other@example.com")] {
            let who = fahrplan::intake::Who { email: Some(address.to_owned()), ..crate::store::who(name) };
            let attributes = fields(&[("email", text(address))]);
            import::contacts(
                &running.store,
                &[Person { who, attributes, consents: Vec::new() }],
                machine_now(),
            )
            .await
            .expect("imported");
        }
        running.import("cleo", "ada@example.com", &[]).await;
        running.try_again().await;
        running.has(&["accepted 1", "cancelled 1"]).await;
        let to: Vec<String> = running.mailbox.messages().iter().map(|stored| stored.to.clone()).collect();
        assert_eq!(to, ["ben@example.com"]);
        running.stop().await;
    });
}
