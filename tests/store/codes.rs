//! Pools of codes with several workers on one database: each code goes to one contact, and an empty pool is an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fahrplan::engine::program::*;
use fahrplan::store::import::Person;
use fahrplan::store::pools::{self, Code};
use fahrplan::store::{Store, advance_bucket, contacts};
use fahrplan::time::Timestamp;
use fahrplan::value::FieldType;

use super::advancing::{accept, accept_all, advance, event, import_all, many, names, open, who};
use super::on_all;
use crate::engine::build::*;

const WORKERS: usize = 8;
/// So many want a code and get none.
const TOO_MANY: usize = 10;

/// The number of contacts of the figure that is promised is 10000.
const MANY: &str = "FAHRPLAN_CODES_CONTACTS";

/// That catalog and a pool of vouchers.
pub(super) fn with_pool(mut catalog: Catalog) -> Catalog {
    let ty = fahrplan::value::Type::Text;
    let pool = Endpoint::pool(vec![FieldType { name: "code".into(), ty }]);
    catalog.endpoints.insert(pool_endpoint("vouchers"), pool);
    catalog
}

/// Takes a code at the same moment as all whom that event brought, and keeps it.
pub(super) fn taking(event: &str) -> J {
    let mut j = J::new("taking");
    j.on(event).wait("rest", hours(3));
    let slot = j.slot("v", SlotKind::Request);
    j.line("v", Some(slot), |to, next| StepKind::Request {
        endpoint: pool_endpoint("vouchers"),
        with: Vec::new(),
        next,
        failed: to("none"),
    });
    let code = j.field("v", "code");
    j.set("city", code).exit("done").label("none").set("city", val(text("none"))).exit("none");
    j
}

fn code(text_of: &str, expires_at: Timestamp) -> Code {
    Code { fields: fields(&[("code", text(text_of))]), expires_at }
}

pub(super) fn codes(count: usize) -> Vec<Code> {
    (0..count).map(|n| code(&format!("C{n}"), Timestamp::NEVER)).collect()
}

/// What each contact has got.
async fn cities(store: &Store, count: usize) -> BTreeMap<String, String> {
    let mut conn = store.read().await.expect("a connection");
    let mut found = BTreeMap::new();
    for n in 0..count {
        let name = format!("u{n}");
        let contact = contacts::by_key(&mut conn, &name).await.expect("read").expect("there");
        let city = contact.attributes.get("city").and_then(|value| value.as_text()).unwrap_or("").to_owned();
        let taken = pools::of_contact(&mut conn, contact.id).await.expect("read");
        let taken: Vec<_> = taken.iter().map(|one| one.fields["code"].as_text().expect("a text")).collect();
        let own = if city == "none" { Vec::new() } else { vec![city.as_str()] };
        assert_eq!(taken, own, "{name}: what the pool says and what the journey got");
        found.insert(name, city);
    }
    found
}

/// A worker that advances all buckets, so many contacts at once, until nothing is left to do.
pub(super) async fn work(store: Store, number: usize, now: Timestamp, together: i64) {
    let buckets: Vec<i64> = store.buckets().collect();
    let mut idle = 0;
    while idle < 3 {
        let mut did = false;
        for turn in 0..buckets.len() {
            let bucket = buckets[(turn + number) % buckets.len()];
            match advance_bucket(&store, bucket, now, together).await {
                Ok(done) => did |= done.taken > 0 || done.locked,
                Err(error) => {
                    assert!(error.is_passing(), "{error}");
                    did = true;
                }
            }
        }
        idle = if did { 0 } else { idle + 1 };
    }
}

#[test]
fn eight_workers_give_each_code_once_and_whoever_is_late_gets_none() {
    on_all(async |database| {
        let (entered, noon) = (at("2026-05-02T09:00"), at("2026-05-02T12:00"));
        let store = open(&database, &with_pool(catalog()), &[&taking("signed_up")], entered).await;
        let count = many(&store, MANY);
        let names = names(count);
        let person = |name: &String| Person { who: who(name), attributes: fields(&[]), consents: Vec::new() };
        import_all(&store, &names, entered, person).await;
        accept_all(&store, &names, "signed_up", entered).await;
        advance(&store, entered).await;
        let new = pools::fill(&store, "vouchers", &codes(count - TOO_MANY)).await.expect("filled");
        assert!(new.iter().all(|new| *new));
        // Once with workers that are cut off in the midst, then with some that come to their end.
        for cut in [true, false] {
            let mut workers = tokio::task::JoinSet::new();
            for number in 0..WORKERS {
                workers.spawn(work(database.open().await, number, noon, 40));
            }
            if cut {
                tokio::time::sleep(Duration::from_millis(40)).await;
                workers.shutdown().await;
            }
            while let Some(done) = workers.join_next().await {
                done.expect("a worker came to its end");
            }
        }
        let got = cities(&store, count).await;
        let none = got.values().filter(|city| *city == "none").count();
        let codes: BTreeSet<&String> = got.values().filter(|city| city.starts_with('C')).collect();
        assert_eq!((none, codes.len()), (TOO_MANY, count - TOO_MANY), "{got:?}");
    });
}

#[test]
fn a_pool_knows_its_codes_gives_those_first_that_expire_first_and_none_that_has_expired() {
    on_all(async |database| {
        let (entered, noon) = (at("2026-05-02T09:00"), at("2026-05-02T12:00"));
        let store = open(&database, &with_pool(catalog()), &[&taking("signed_up")], entered).await;
        let all = [
            code("late", at("2026-09-01T00:00")),
            code("over", at("2026-05-02T11:00")),
            code("soon", at("2026-05-03T00:00")),
            code("late", at("2026-09-01T00:00")),
        ];
        let new = pools::fill(&store, "vouchers", &all).await.expect("filled");
        assert_eq!(new, [true, true, true, false], "what is the same is the same code");
        let again = pools::fill(&store, "vouchers", &all).await.expect("filled again");
        assert_eq!(again, [false; 4]);
        for (name, expected) in [("u0", "soon"), ("u1", "late"), ("u2", "none")] {
            accept(&store, name, event("signed_up", entered, &[]), entered).await;
            advance(&store, entered).await;
            advance(&store, noon).await;
            let mut conn = store.read().await.expect("a connection");
            let contact = contacts::by_key(&mut conn, name).await.expect("read").expect("there");
            assert_eq!(contact.attributes["city"], text(expected), "{name}");
            drop(conn);
        }
        let mut conn = store.read().await.expect("a connection");
        assert_eq!(pools::left(&mut conn, "vouchers", noon).await.expect("counted"), 0);
    });
}
