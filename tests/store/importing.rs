//! Imports of many contacts: what goes in as a stream is what goes in row by row.

use std::sync::Mutex;

use fahrplan::engine::program::Catalog;
use fahrplan::engine::world::ConsentChange;
use fahrplan::intake::Who;
use fahrplan::store::import::{self, Imported, List, Person};
use fahrplan::store::{Store, contacts, journeys, permissions};
use fahrplan::time::Timestamp;
use fahrplan::value::Value;

use super::advancing::{open, who};
use super::on_all;
use crate::engine::build::*;

/// More than go in row by row.
const MANY: usize = 1_200;
/// What a stream has signs for.
const ODD: &str = "tab\there, line\nthere, \\N and \\. and \\\\, \"quotes\", ü €";

fn people(now: Timestamp) -> Vec<Person> {
    let consent = ConsentChange {
        purpose: "marketing".into(),
        channel: "email".into(),
        permit: true,
        at: now.plus_ms(-1_000),
        source: "a\tform".into(),
        evidence: Some("page\\1".into()),
    };
    let person = |n: usize| Person {
        who: fahrplan::intake::Who { email: Some(format!("u{n}@example.org")), ..who(&format!("u{n}")) },
        attributes: fields(&[
            ("email", text(&format!("u{n}@example.org"))),
            ("plan", text(&format!("{n} {ODD}"))),
        ]),
        consents: vec![consent.clone()],
    };
    (0..MANY).map(person).collect()
}

async fn looks_right(store: &Store, now: Timestamp) {
    let mut conn = store.read().await.expect("a connection");
    assert_eq!(contacts::count(&mut conn).await.expect("counted"), i64::try_from(MANY).expect("small"));
    for n in (0..MANY).step_by(97) {
        let by_id = contacts::by_key(&mut conn, &format!("u{n}")).await.expect("read").expect("there");
        let by_mail = contacts::by_key(&mut conn, &format!("U{n}@example.org")).await.expect("read");
        assert_eq!(by_mail.as_ref(), Some(&by_id));
        assert_eq!(by_id.attributes.get("plan"), Some(&text(&format!("{n} {ODD}"))));
        let ledger = permissions::ledger(&mut conn, by_id.id).await.expect("read");
        let lines: Vec<_> = ledger.iter().map(|line| &line.change).collect();
        assert_eq!(lines, [&people(now)[n].consents[0]]);
    }
}

#[test]
fn many_new_contacts_are_stored_as_the_file_has_them_and_once() {
    on_all(async |database| {
        let now = at("2026-05-01T10:00");
        let store = open(&database, &catalog(), &[], now).await;
        let first = import::contacts(&store, &people(now), now).await.expect("imported");
        assert_eq!(first, Imported { new: MANY, ..Imported::default() });
        looks_right(&store, now).await;
        let again = import::contacts(&store, &people(now), now).await.expect("imported");
        assert_eq!(again, Imported { known: MANY, ..Imported::default() });
        looks_right(&store, now).await;
    });
}

#[test]
fn two_processes_that_import_the_same_contacts_create_each_once() {
    on_all(async |database| {
        let now = at("2026-05-01T10:00");
        let store = open(&database, &catalog(), &[], now).await;
        let other = database.open().await;
        let people = people(now);
        let (one, two) =
            tokio::join!(import::contacts(&store, &people, now), import::contacts(&other, &people, now));
        let (one, two) = (one.expect("imported"), two.expect("imported"));
        assert_eq!((one.new + two.new, one.known + two.known), (MANY, MANY));
        looks_right(&store, now).await;
    });
}

/// One person as a file has them.
fn one(who: Who, attributes: &[(&str, Value)], consents: &[(&str, bool, i64)], now: Timestamp) -> Person {
    let consent = |(purpose, permit, at): &(&str, bool, i64)| ConsentChange {
        purpose: (*purpose).into(),
        channel: "email".into(),
        permit: *permit,
        at: now.plus_ms(*at),
        source: "import".into(),
        evidence: None,
    };
    Person { who, attributes: fields(attributes), consents: consents.iter().map(consent).collect() }
}

fn called(user_id: &str, email: &str, phone: &str) -> Who {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Who { user_id: some(user_id), email: some(email), phone: some(phone), ..Who::default() }
}

/// Files of which the first is what it seems, new people, and of the others something is not.
fn files(now: Timestamp) -> Vec<Vec<Person>> {
    let mail = |address: &str| ("email", text(address));
    let plan = |plan: &str| ("plan", text(plan));
    let row = |user_id: &str, address: &str, value: &str| {
        one(called(user_id, address, ""), &[mail(address), plan(value)], &[("marketing", true, -5)], now)
    };
    vec![
        vec![
            row("a", "A@example.org", "new"),
            one(called("b", "", "+49 1"), &[("phone", text("+49 1")), ("plan", Value::Unknown)], &[], now),
            // A family.
            one(called("c", "", "+491"), &[("phone", text("+491"))], &[("marketing", false, 0)], now),
            one(called("", "d@example.org", ""), &[mail("d@example.org")], &[("service", true, 0)], now),
        ],
        // Twice in one file, and known from the last.
        vec![
            row("e", "e@example.org", "one"),
            row("e", "e@example.org", "two"),
            row("a", "a2@example.org", "x"),
        ],
        // An address goes to somebody new, and one stays with whom it has.
        vec![
            row("f", "e@example.org", "takes"),
            one(called("", "a2@example.org", ""), &[mail("a2@example.org"), plan("same")], &[], now),
        ],
        // Nobody's own: whoever has the number.
        vec![one(called("", "", "+491"), &[("phone", text("+491")), plan("by phone")], &[], now)],
        // Says two things of one consent.
        vec![one(called("g", "", ""), &[], &[("marketing", true, -9), ("marketing", false, -8)], now)],
        vec![
            one(Who { previous_id: Some("h0".into()), ..called("h", "", "") }, &[plan("alias")], &[], now),
            one(called("h0", "", ""), &[("plan", Value::Unknown)], &[], now),
        ],
    ]
}

/// All that is known of somebody, but for the ids.
async fn all_of(store: &Store, key: &str) -> String {
    let mut conn = store.read().await.expect("a connection");
    let Some(contact) = contacts::by_key(&mut conn, key).await.expect("read") else { return "nobody".into() };
    let ledger = permissions::ledger(&mut conn, contact.id).await.expect("read");
    let lines: Vec<_> = ledger.iter().map(|line| &line.change).collect();
    format!("{:?} {:?} {:?} {lines:?}", contact.created_at, contact.attributes, contact.identities)
}

#[test]
fn who_is_taken_for_new_is_stored_as_one_by_one() {
    let told = |unique_email: bool, seem_new: bool| {
        let told = Mutex::new(Vec::new());
        on_all(async |database| {
            let now = at("2026-05-01T10:00");
            let store = open(&database, &emails_are_unique(unique_email), &[], now).await;
            let mut as_new = Vec::new();
            for file in files(now) {
                let list = List::new(&store, file, seem_new, now).await.expect("ready");
                let (imported, is_new) = list.write(&store).await.expect("written");
                let told = format!(
                    "{} {} {} {} {} {}",
                    imported.new,
                    imported.known,
                    imported.bereft.len(),
                    imported.left_out,
                    imported.withdrawn,
                    imported.two_people
                );
                as_new.push((is_new, told));
            }
            let sure: Vec<bool> = as_new.iter().map(|(is_new, _)| *is_new).collect();
            // Where addresses may be shared, one alone says nothing.
            assert_eq!(sure, [seem_new && unique_email, false, false, false, false, false]);
            let mut lines: Vec<String> = as_new.into_iter().map(|(_, told)| told).collect();
            for key in KEYS {
                lines.push(all_of(&store, key).await);
            }
            store.close().await;
            told.lock().expect("no test panicked").push(lines);
        });
        told.into_inner().expect("no test panicked")
    };
    assert_eq!(told(false, true), told(false, false));
    let (as_new, one_by_one) = (told(true, true), told(true, false));
    assert_eq!(as_new, one_by_one);
    assert!(as_new[0].iter().all(|line| line != "nobody"), "{as_new:#?}");
}

fn emails_are_unique(unique: bool) -> Catalog {
    let mut catalog = catalog();
    for attribute in catalog.attributes.iter_mut().filter(|attribute| &*attribute.name == "email") {
        attribute.unique = unique;
    }
    catalog
}

const KEYS: [&str; 11] =
    ["a", "b", "c", "d@example.org", "e", "f", "g", "h", "h0", "a2@example.org", "e@example.org"];

#[test]
fn a_deploy_or_a_contact_that_comes_between_is_noticed() {
    on_all(async |database| {
        let now = at("2026-05-01T10:00");
        let store = open(&database, &emails_are_unique(true), &[], now).await;
        let list = |user_id: &str| {
            let people = vec![one(called(user_id, "x@example.org", ""), &[], &[], now)];
            List::new(&store, people, true, now)
        };
        let (ready, first) = (list("late").await.expect("ready"), list("early").await.expect("ready"));
        assert!(first.write(&store).await.expect("written").1);
        let (imported, as_new) = ready.write(&store).await.expect("written");
        assert_eq!((imported.new, imported.bereft.len(), as_new), (1, 1, false));
        assert_eq!(all_of(&store, "x@example.org").await, all_of(&store, "late").await);

        let ready = list("last").await.expect("ready");
        journeys::deploy(&store, &emails_are_unique(false), &[], now).await.expect("deployed");
        assert!(!ready.write(&store).await.expect("written").1);
        assert!(all_of(&store, "last").await.contains("last"));
        store.close().await;
    });
}
