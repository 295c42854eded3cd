//! Accepting: repeats, contacts created and linked, two that turn out to be one.

use fahrplan::engine::world::{Event, Fields, Input};
use fahrplan::id::ContactId;
use fahrplan::intake::Who;
use fahrplan::store::contacts::{self, Contact};
use fahrplan::store::identities::Kind;
use fahrplan::store::inbox::{self, Accepted, Incoming, To};
use fahrplan::store::{Error, Store};
use fahrplan::time::Timestamp;

use super::on_all;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn event(name: &str) -> Input {
    Input::Event(Event {
        id: 0,
        name: name.into(),
        occurred_at: NOW,
        accepted_at: NOW,
        fields: Fields::new(),
        quiet: false,
    })
}

fn incoming(who: Who) -> Incoming {
    Incoming { to: To::Who(who), message_id: None, input: event("seen") }
}

fn user(id: &str) -> Who {
    Who { user_id: Some(id.to_owned()), ..Who::default() }
}

fn anonymous(id: &str) -> Who {
    Who { anonymous_id: Some(id.to_owned()), ..Who::default() }
}

async fn accept_one(store: &Store, who: Who) -> ContactId {
    match store.accept(vec![incoming(who)], NOW).await.expect("accepted")[..] {
        [Accepted::Taken(contact)] => contact,
        ref other => panic!("not taken: {other:?}"),
    }
}

async fn by_key(store: &Store, key: &str) -> Option<Contact> {
    let mut conn = store.read().await.expect("a connection");
    contacts::by_key(&mut conn, key).await.expect("looked up")
}

/// Inputs that nobody has read yet.
pub(super) async fn waiting(store: &Store) -> i64 {
    let mut conn = store.read().await.expect("a connection");
    let mut sum = 0;
    for bucket in store.buckets() {
        sum += inbox::waiting(&mut conn, bucket).await.expect("counted");
    }
    sum
}

#[test]
fn a_repeated_message_id_does_nothing() {
    on_all(async |database| {
        let store = database.open().await;
        let item = |id: &str| Incoming { message_id: Some(id.to_owned()), ..incoming(user(id)) };
        let first = store.accept(vec![item("a"), item("b"), item("a")], NOW).await.expect("accepted");
        assert!(
            matches!(first[..], [Accepted::Taken(_), Accepted::Taken(_), Accepted::Repeated]),
            "{first:?}"
        );
        // Another process, later.
        let other = database.open().await;
        let again = other.accept(vec![item("b"), item("c")], NOW).await.expect("accepted");
        assert!(matches!(again[..], [Accepted::Repeated, Accepted::Taken(_)]), "{again:?}");
        assert_eq!(waiting(&store).await, 3);
    });
}

#[test]
fn a_message_that_came_twice_at_once_is_taken_once() {
    on_all(async |database| {
        let stores = [database.open().await, database.open().await];
        let calls = (0..40).map(|n| {
            let items: Vec<_> = (0..20)
                .map(|id| Incoming {
                    message_id: Some(format!("m{id}")),
                    ..incoming(user(&format!("u{id}")))
                })
                .collect();
            let store = stores[n % 2].clone();
            tokio::spawn(async move { store.accept(items, NOW).await })
        });
        let mut taken = 0;
        for call in calls.collect::<Vec<_>>() {
            let accepted = call.await.expect("ran").expect("accepted");
            taken += accepted.iter().filter(|one| matches!(one, Accepted::Taken(_))).count();
        }
        assert_eq!(taken, 20);
        assert_eq!(waiting(&stores[0]).await, 20);
        let mut conn = stores[0].read().await.expect("a connection");
        assert_eq!(contacts::count(&mut conn).await.expect("counted"), 20, "each contact was created once");
    });
}

#[test]
fn identities_lead_to_one_contact_and_are_added_to_it() {
    on_all(async |database| {
        let store = database.open().await;
        let ada = accept_one(&store, anonymous("browser-1")).await;
        let both = Who { email: Some("Ada@Example.org".to_owned()), ..anonymous("browser-1") };
        assert_eq!(accept_one(&store, Who { user_id: Some("ada".to_owned()), ..both }).await, ada);
        for key in ["browser-1", "ada", "ada@example.org", "ADA@example.ORG", &ada.to_string()] {
            assert_eq!(by_key(&store, key).await.map(|found| found.id), Some(ada), "{key}");
        }
        assert_eq!(by_key(&store, "nobody").await, None);
    });
}

#[test]
fn a_new_address_makes_room_for_itself() {
    on_all(async |database| {
        let store = database.open().await;
        let at = |email: &str| Who { email: Some(email.to_owned()), ..user("ada") };
        let ada = accept_one(&store, at("old@example.org")).await;
        assert_eq!(accept_one(&store, at("new@example.org")).await, ada);
        assert_eq!(by_key(&store, "old@example.org").await, None);
        let found = by_key(&store, "new@example.org").await.expect("found");
        let emails = found.identities.iter().filter(|(kind, _)| *kind == Kind::Email).count();
        assert_eq!((found.id, emails), (ada, 1));
    });
}

#[test]
fn two_contacts_that_meet_become_the_older_one() {
    on_all(async |database| {
        let store = database.open().await;
        let older = accept_one(&store, anonymous("browser-1")).await;
        let newer = accept_one(&store, user("ada")).await;
        assert!(older < newer);
        let linked = Who { user_id: Some("ada".to_owned()), ..anonymous("browser-1") };
        assert_eq!(accept_one(&store, linked).await, older);
        for key in ["ada", "browser-1", &newer.to_string()] {
            assert_eq!(by_key(&store, key).await.map(|found| found.id), Some(older), "{key}");
        }
        assert_eq!(waiting(&store).await, 4, "three inputs, and word to the loser");
    });
}

#[test]
fn all_that_meet_in_one_batch_become_one() {
    on_all(async |database| {
        let store = database.open().await;
        let linked = Who { user_id: Some("ada".to_owned()), ..anonymous("b") };
        let items =
            vec![incoming(anonymous("b")), incoming(user("ada")), incoming(linked), incoming(user("ada"))];
        let accepted = store.accept(items, NOW).await.expect("accepted");
        let [Accepted::Taken(first), _, Accepted::Taken(third), Accepted::Taken(fourth)] = accepted[..]
        else {
            panic!("{accepted:?}")
        };
        assert!(first == third && third == fourth);
        let mut conn = store.read().await.expect("a connection");
        assert_eq!(contacts::count(&mut conn).await.expect("counted"), 1);
    });
}

#[test]
fn people_whom_the_outside_knows_apart_are_never_merged() {
    on_all(async |database| {
        let store = database.open().await;
        let at = |id: &str| Who { email: Some("family@example.org".to_owned()), ..user(id) };
        let (ada, ben) = (accept_one(&store, at("ada")).await, accept_one(&store, at("ben")).await);
        assert_ne!(ada, ben);
        let shared_browser = |id: &str| Who { anonymous_id: Some("kiosk".to_owned()), ..user(id) };
        assert_eq!(accept_one(&store, shared_browser("ada")).await, ada);
        assert_eq!(accept_one(&store, shared_browser("ben")).await, ben);
    });
}

#[test]
fn a_shared_phone_number_leads_to_everybody_who_has_it() {
    on_all(async |database| {
        let store = database.open().await;
        let at = |id: &str| Who { phone: Some("+49 30 123456".to_owned()), ..user(id) };
        let (ada, ben) = (accept_one(&store, at("ada")).await, accept_one(&store, at("ben")).await);
        assert_ne!(ada, ben);
        let mut conn = store.read().await.expect("a connection");
        let found = fahrplan::store::identities::find(&mut conn, "+4930123456").await.expect("looked up");
        assert_eq!(found, [ada, ben]);
    });
}

#[test]
fn an_item_for_nobody_does_not_lose_the_others() {
    on_all(async |database| {
        let store = database.open().await;
        let unknown = Incoming { to: To::Contact(ContactId(77)), ..incoming(user("x")) };
        let accepted =
            store.accept(vec![unknown, incoming(Who::default()), incoming(user("ada"))], NOW).await;
        let accepted = accepted.expect("accepted");
        assert!(
            matches!(accepted[..], [Accepted::Nobody, Accepted::Nobody, Accepted::Taken(_)]),
            "{accepted:?}"
        );
        assert_eq!(waiting(&store).await, 1);
    });
}

#[test]
fn more_than_can_wait_is_refused_and_may_come_again() {
    on_all(async |database| {
        let store = database.open().await;
        let many = |n: usize| (0..n).map(|i| incoming(user(&format!("u{}", i % 100)))).collect::<Vec<_>>();
        let calls: Vec<_> = (0..16)
            .map(|_| {
                let (store, items) = (store.clone(), many(8_000));
                tokio::spawn(async move { store.accept(items, NOW).await })
            })
            .collect();
        let (mut taken, mut refused) = (0, 0);
        for call in calls {
            match call.await.expect("ran") {
                Ok(accepted) => taken += accepted.len(),
                Err(Error::Busy) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(refused > 0 && taken > 0, "{taken} taken, {refused} calls refused");
        assert_eq!(waiting(&store).await, i64::try_from(taken).expect("small"), "what was accepted is there");
        store.accept(many(1), NOW).await.expect("room again");
    });
}
