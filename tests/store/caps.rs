//! Caps and claims with several workers on one database: nobody gets one too many, nothing is taken by two.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fahrplan::clock::machine_now;
use fahrplan::engine::program::*;
use fahrplan::engine::world::ConsentChange;
use fahrplan::id::DeliveryId;
use fahrplan::store::deliveries::{self, Claim, Finished, SendResult};
use fahrplan::store::import::Person;
use fahrplan::store::{Error, Store, advance_bucket};
use fahrplan::time::{MINUTE, Timestamp};

use super::advancing::{accept_all, advance, import_all, many, names, open, who};
use super::on_all;
use crate::engine::build::*;

const JOURNEYS: usize = 10;
const WORKERS: usize = 8;
/// The cap: so many mails in seven days.
const CAP: i64 = 3;

/// The number of contacts of the figure that is promised is 10000.
const MANY: &str = "FAHRPLAN_CAPS_CONTACTS";

fn capped() -> Catalog {
    let mut catalog = catalog();
    let template = catalog.events["signed_up"].clone();
    for n in 0..JOURNEYS {
        catalog.events.insert(format!("go{n}").as_str().into(), template.clone());
    }
    catalog.policy.caps.push(Cap {
        channel: Some("email".into()),
        purpose: "marketing".into(),
        number: u32::try_from(CAP).expect("small"),
        window: CapWindow::Rolling(days(7)),
        then: Then::Skip,
    });
    catalog
}

/// Enters, and sends at the same moment as all the others.
fn journeys() -> Vec<J> {
    let journey = |n| {
        let mut j = J::new(&format!("j{n}"));
        j.marketing().on(&format!("go{n}")).wait("rest", hours(3)).send("news").exit("done");
        j
    };
    (0..JOURNEYS).map(journey).collect()
}

/// Contacts with an address and consent, each resting in all journeys. Entries come journey by journey, so that the timers of one contact
/// lie far apart and go to different workers.
async fn fill(store: &Store, count: usize, now: Timestamp) {
    let consent = ConsentChange {
        purpose: "marketing".into(),
        channel: "email".into(),
        permit: true,
        at: now,
        source: "test".into(),
        evidence: None,
    };
    let names = names(count);
    let person = |name: &String| Person {
        who: who(name),
        attributes: fields(&[("email", text(&format!("{name}@example.org")))]),
        consents: vec![consent.clone()],
    };
    import_all(store, &names, now, person).await;
    for journey in 0..JOURNEYS {
        accept_all(store, &names, &format!("go{journey}"), now).await;
        advance(store, now).await;
    }
}

/// What one worker does until nothing is left: advances buckets, claims and records deliveries. Returns what it has claimed.
async fn work(store: Store, number: usize, now: Timestamp, advanced: Arc<AtomicUsize>) -> Vec<DeliveryId> {
    let mut claimed = Vec::new();
    let buckets: Vec<i64> = store.buckets().collect();
    let mut idle = 0;
    while idle < 3 {
        let mut did = false;
        for turn in 0..buckets.len() {
            let bucket = buckets[(turn + number) % buckets.len()];
            match advance_bucket(&store, bucket, now, 70).await {
                Ok(done) => {
                    advanced.fetch_add(done.taken, Ordering::Relaxed);
                    did |= done.taken > 0 || done.locked;
                }
                Err(error) => {
                    passing(&error);
                    did = true;
                }
            }
        }
        let claim = Claim {
            owner: store.worker(),
            limit: 50,
            now: machine_now(),
            journey_now: now,
            lease_ms: MINUTE,
        };
        match deliveries::claim(&store, claim).await {
            Ok(taken) => {
                did |= !taken.is_empty();
                let finished = |one: &deliveries::Claimed| {
                    Finished::new(one, SendResult::Accepted { reply: None }, None)
                };
                claimed.extend(taken.iter().map(|one| one.delivery.id));
                let finished: Vec<Finished> = taken.iter().map(finished).collect();
                while !finished.is_empty() {
                    match deliveries::record(&store, finished.clone(), now).await {
                        Ok(recorded) => {
                            assert_eq!(recorded.stale, 0, "nobody else had it");
                            break;
                        }
                        Err(error) => passing(&error),
                    }
                }
            }
            Err(error) => passing(&error),
        }
        idle = if did { 0 } else { idle + 1 };
    }
    claimed
}

fn passing(error: &Error) {
    assert!(error.is_passing(), "{error}");
}

/// How many contacts have how many deliveries.
async fn by_number(store: &Store) -> BTreeMap<i64, i64> {
    const BY_NUMBER: &str = "SELECT number, COUNT(*) FROM ( \
        SELECT contact, COUNT(*) AS number FROM deliveries GROUP BY contact) AS each GROUP BY number";
    let mut conn = store.read().await.expect("a connection");
    let rows = conn.fetch(BY_NUMBER, Vec::new()).await.expect("counted");
    rows.iter().map(|row| (row.i64(0).expect("a number"), row.i64(1).expect("a number"))).collect()
}

#[test]
fn nobody_gets_a_fourth_mail_from_eight_workers_when_ten_journeys_are_due_at_once() {
    on_all(async |database| {
        let (entered, noon) = (at("2026-05-02T09:00"), at("2026-05-02T12:00"));
        let journeys = journeys();
        let store = open(&database, &capped(), &journeys.iter().collect::<Vec<_>>(), entered).await;
        let count = many(&store, MANY);
        fill(&store, count, entered).await;
        let advanced = Arc::new(AtomicUsize::new(0));
        let mut workers = tokio::task::JoinSet::new();
        for number in 0..WORKERS {
            let store = database.open().await;
            workers.spawn(work(store, number, noon, advanced.clone()));
        }
        let (mut all, mut total) = (BTreeSet::new(), 0);
        while let Some(claimed) = workers.join_next().await {
            let claimed = claimed.expect("a worker came to its end");
            total += claimed.len();
            all.extend(claimed);
        }
        let number = i64::try_from(count).expect("small");
        // The journeys hear of what was sent.
        let inputs = count * JOURNEYS + total;
        assert_eq!(advanced.load(Ordering::Relaxed), inputs, "each timer and each outcome was taken once");
        assert_eq!(by_number(&store).await, BTreeMap::from([(CAP, number)]));
        assert_eq!((all.len(), total), (count * 3, count * 3), "each delivery was claimed once");
    });
}
