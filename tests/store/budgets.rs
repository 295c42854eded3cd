//! The budget of a journey with several workers on one database: never more is spent, and nothing of it is lost.

use std::time::Duration;

use fahrplan::engine::program::*;
use fahrplan::store::import::Person;
use fahrplan::store::{Store, contacts, journeys, status};
use fahrplan::time::Timestamp;
use fahrplan::value::{Decimal, Value};

use super::advancing::{accept, accept_all, advance, event, import_all, many, names, open, who};
use super::codes::work;
use super::on_all;
use crate::engine::build::*;

const WORKERS: usize = 8;
/// What a mail costs, in ten-thousandths.
const COST: i64 = 700;
/// So many want a mail for which there is no money.
const TOO_MANY: usize = 10;

const MANY: &str = "FAHRPLAN_BUDGETS_CONTACTS";

fn with_budget(most: i64, window: Option<CalendarUnit>, then: Then) -> Catalog {
    let mut catalog = catalog();
    catalog.costs.insert("email".into(), Decimal(COST));
    catalog.budgets.insert("paid".into(), Budget { most: Decimal(most), window, then });
    catalog
}

/// Sends at the same moment to all whom that event brought, and keeps what became of it.
fn paid() -> J {
    let mut j = J::new("paid");
    j.on("signed_up").wait("rest", hours(3)).send("news");
    let (skipped, reason) = (j.field("news", "skipped"), j.field("news", "reason"));
    j.unless(skipped, "sent").set("city", reason).exit("skipped").label("sent").exit("sent");
    j
}

async fn fill(store: &Store, names: &[String], now: Timestamp) {
    let person = |name: &String| Person {
        who: who(name),
        attributes: fields(&[("email", text(&format!("{name}@example.org")))]),
        consents: Vec::new(),
    };
    import_all(store, names, now, person).await;
}

async fn sent(store: &Store) -> i64 {
    let mut conn = store.read().await.expect("a connection");
    let rows = conn.fetch("SELECT COUNT(*) FROM deliveries", Vec::new()).await.expect("counted");
    rows[0].i64(0).expect("a number")
}

/// What `status` says was spent.
async fn spent(store: &Store, now: Timestamp) -> String {
    let status = status::read(store, now).await.expect("read");
    status.journeys[0].budget.as_ref().expect("it has a budget").spent.clone()
}

async fn became(store: &Store, name: &str) -> Option<Value> {
    let mut conn = store.read().await.expect("a connection");
    let contact = contacts::by_key(&mut conn, name).await.expect("read").expect("there");
    contact.attributes.get("city").cloned()
}

#[test]
fn eight_workers_never_spend_more_than_the_budget_and_in_the_end_all_of_it() {
    on_all(async |database| {
        let (entered, noon) = (at("2026-05-02T09:00"), at("2026-05-02T12:00"));
        let store = database.open().await;
        let count = many(&store, MANY);
        store.close().await;
        let affordable = i64::try_from(count - TOO_MANY).expect("small");
        // Less than another mail costs is left over.
        let most = affordable * COST + COST / 2;
        let store = open(&database, &with_budget(most, None, Then::Skip), &[&paid()], entered).await;
        let names = names(count + 2 * TOO_MANY);
        fill(&store, &names, entered).await;
        accept_all(&store, &names[..count], "signed_up", entered).await;
        advance(&store, entered).await;
        // Once with workers that are cut off in the midst, then with some that come to their end.
        for cut in [true, false] {
            let mut workers = tokio::task::JoinSet::new();
            for number in 0..WORKERS {
                workers.spawn(work(database.open().await, number, noon, 7));
            }
            if cut {
                tokio::time::sleep(Duration::from_millis(40)).await;
                workers.shutdown().await;
            }
            while let Some(done) = workers.join_next().await {
                done.expect("a worker came to its end");
            }
        }
        let raced = sent(&store).await;
        assert!(raced <= affordable, "{raced} were sent, and there was money for {affordable}");
        // What somebody had in hand when another asked is there for who comes later.
        for name in &names[count..] {
            accept(&store, name, event("signed_up", noon, &[]), noon).await;
        }
        advance(&store, noon).await;
        let later = noon.plus_ms(3 * 3_600_000);
        for _ in 0..2 * TOO_MANY {
            advance(&store, later).await;
        }
        assert_eq!(sent(&store).await, affordable);
        assert_eq!(spent(&store, later).await, Decimal(affordable * COST).to_string());
        let mut without = 0;
        for name in &names {
            if let Some(reason) = became(&store, name).await {
                assert_eq!(reason, text("budget"), "{name}");
                without += 1;
            }
        }
        assert_eq!(without, 3 * TOO_MANY);
    });
}

#[test]
fn a_changed_budget_counts_at_once_and_a_new_day_brings_new_money() {
    on_all(async |database| {
        let day = at("2026-05-02T09:00");
        let catalog = |mails: i64| with_budget(mails * COST, Some(CalendarUnit::Day), Then::Wait(None));
        let store = open(&database, &catalog(5), &[&paid()], day).await;
        let names = names(20);
        fill(&store, &names, day).await;
        accept_all(&store, &names, "signed_up", day).await;
        advance(&store, day).await;
        let noon = at("2026-05-02T12:00");
        advance(&store, noon).await;
        assert_eq!((sent(&store).await, spent(&store, noon).await), (5, Decimal(5 * COST).to_string()));
        // The rest waits for midnight, where five more may be sent.
        advance(&store, at("2026-05-02T23:59")).await;
        assert_eq!(sent(&store).await, 5);
        let next = at("2026-05-03T00:00");
        advance(&store, next).await;
        assert_eq!((sent(&store).await, spent(&store, next).await), (10, Decimal(5 * COST).to_string()));
        // More money than yesterday, for those who come today; then less than was spent already.
        let deploy = async |mails: i64, now: Timestamp| {
            let program = (*paid().build()).clone();
            journeys::deploy(&store, &catalog(mails), &[program], now).await.expect("deployed");
        };
        deploy(7, next).await;
        let morning = at("2026-05-03T09:00");
        for n in 0..4 {
            let name = format!("late{n}");
            let person = Person {
                who: who(&name),
                attributes: fields(&[("email", text("a@example.org"))]),
                consents: Vec::new(),
            };
            import_all(&store, std::slice::from_ref(&name), morning, |_| person.clone()).await;
            accept(&store, &name, event("signed_up", morning, &[]), morning).await;
        }
        advance(&store, morning).await;
        advance(&store, at("2026-05-03T12:00")).await;
        assert_eq!(sent(&store).await, 12);
        deploy(3, at("2026-05-03T13:00")).await;
        advance(&store, at("2026-05-03T23:59")).await;
        assert_eq!(sent(&store).await, 12);
        advance(&store, at("2026-05-04T00:00")).await;
        assert_eq!(sent(&store).await, 15, "three of those who wait");
    });
}
