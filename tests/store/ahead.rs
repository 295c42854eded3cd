//! What changes while a batch is read: nothing that others wrote meanwhile is lost, whichever process they are in.

use fahrplan::engine::world::Input;
use fahrplan::store::import::{self, Person};
use fahrplan::store::inbox::{Incoming, To};
use fahrplan::store::{Store, advance_bucket, contacts};
use fahrplan::value::Value;

use super::advancing::{accept, advance, event, open, welcome, who};
use super::on_all;
use crate::engine::build::*;

/// Enough that reading them takes a while.
const PEOPLE: i64 = 150;
const ROUNDS: i64 = 16;

async fn attributes(store: &Store, name: &str) -> (Value, Value) {
    let mut conn = store.read().await.expect("a connection");
    let contact = contacts::by_key(&mut conn, name).await.expect("read").expect("there");
    let get = |name: &str| contact.attributes.get(name).cloned().unwrap_or(Value::Unknown);
    (get("plan"), get("city"))
}

#[test]
fn what_is_imported_while_a_batch_is_read_is_not_overwritten_by_it() {
    on_all(async |database| {
        let now = at("2026-05-01T10:00");
        let store = open(&database, &catalog(), &[&welcome()], now).await;
        let elsewhere = database.open().await;
        for n in 0..PEOPLE {
            accept(&store, &format!("u{n}"), event("closed", now, &[]), now).await;
        }
        advance(&store, now).await;
        for round in 0..ROUNDS {
            let value = |word: &str| text(&format!("{word}{round}"));
            let planned = Input::Attributes { values: fields(&[("plan", value("plan"))]), at: now };
            let items = (0..PEOPLE).map(|n| Incoming {
                to: To::Who(who(&format!("u{n}"))),
                message_id: None,
                input: planned.clone(),
            });
            store.accept(items.collect(), now).await.expect("accepted");
            let city = value("city");
            let people: Vec<Person> = (0..PEOPLE)
                .map(|n| Person {
                    who: who(&format!("u{n}")),
                    attributes: fields(&[("city", city.clone())]),
                    consents: Vec::new(),
                })
                .collect();
            // From this process and from another one in turns, a little later each time.
            let importer = if round % 2 == 0 { store.clone() } else { elsewhere.clone() };
            let importing = tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_micros(round.unsigned_abs() * 400)).await;
                import::contacts(&importer, &people, now).await.expect("imported");
            });
            for bucket in store.buckets() {
                advance_bucket(&store, bucket, now, 1_000).await.expect("advanced");
            }
            importing.await.expect("imported");
            advance(&store, now).await;
            for n in (0..PEOPLE).step_by(10) {
                let name = format!("u{n}");
                assert_eq!(attributes(&store, &name).await, (value("plan"), value("city")), "{name}");
            }
        }
    });
}
