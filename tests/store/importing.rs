//! Imports of many contacts: what goes in as a stream is what goes in row by row.

use fahrplan::engine::world::ConsentChange;
use fahrplan::store::import::{self, Imported, Person};
use fahrplan::store::{Store, contacts, permissions};
use fahrplan::time::Timestamp;

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
