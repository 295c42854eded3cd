//! What leaves the house and who may come in: deliveries, keys, rejected items.

use std::collections::{BTreeMap, BTreeSet};

use fahrplan::clock::machine_now;
use fahrplan::engine::program::{Attribute, Catalog, Channel, Task};
use fahrplan::engine::world::{Delivery, Fields, NewRequest, NewTask, Suppression};
use fahrplan::id::{ContactId, DeliveryId, EnrollmentId, TaskId};
use fahrplan::intake::{self, Who};
use fahrplan::store::deliveries::{self, Claim, Claimed, Finished, Kind, SendResult};
use fahrplan::store::inbox::{Accepted, Incoming, To};
use fahrplan::store::keys::{self, Scope};
use fahrplan::store::tasks::{self, Now, Refused, Report};
use fahrplan::store::{Arg, Store, journeys, names, rejected, suppressions};
use fahrplan::time::{DAY, MINUTE, Timestamp};
use fahrplan::value::{FieldType, Type, Value};

use super::on_all;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

#[test]
fn a_key_opens_until_it_expires_or_is_revoked_and_only_its_hash_is_kept() {
    on_all(async |database| {
        let store = database.open().await;
        let scopes = BTreeSet::from([Scope::Ingest, Scope::Read]);
        let (key, secret) =
            keys::create(&store, "shop", scopes.clone(), None, NOW).await.expect("a key is made");
        let end = Some(NOW.plus_ms(DAY));
        let (_, short) = keys::create(&store, "trial", scopes.clone(), end, NOW).await.expect("another");
        let find = async |secret: &str, now| {
            let mut conn = store.read().await.expect("a connection");
            keys::find(&mut conn, secret, now).await.expect("looked up")
        };
        assert_eq!(find(&secret, NOW).await, Some(key.clone()));
        assert_eq!(key.scopes, scopes);
        assert!(find(&short, NOW).await.is_some());
        assert_eq!(find(&short, NOW.plus_ms(DAY)).await, None, "it has expired");

        let mut forged = secret.clone();
        let last = forged.pop().expect("a character");
        forged.push(if last == '0' { '1' } else { '0' });
        for wrong in [forged.as_str(), &key.prefix, "", "_", "fp_", "fp_00000000_", "x' OR '1'='1"] {
            assert_eq!(find(wrong, NOW).await, None, "{wrong}");
        }

        assert!(keys::revoke(&store, &key.prefix, NOW).await.expect("revoked"));
        assert!(!keys::revoke(&store, &key.prefix, NOW).await.expect("looked up"), "it was revoked before");
        assert_eq!(find(&secret, NOW).await, None);
        let mut conn = store.read().await.expect("a connection");
        let listed = keys::list(&mut conn).await.expect("listed");
        let revoked: Vec<_> = listed.iter().map(|key| (key.name.as_str(), key.revoked_at)).collect();
        assert_eq!(revoked.len(), 2);
        assert!(revoked.contains(&("shop", Some(NOW))) && revoked.contains(&("trial", None)));
    });
}

#[test]
fn the_use_of_a_key_is_noted_once_a_minute() {
    on_all(async |database| {
        let store = database.open().await;
        let scopes = BTreeSet::from([Scope::Ingest]);
        let (key, secret) = keys::create(&store, "shop", scopes, None, NOW).await.expect("a key is made");
        let touch_at = async |key: &keys::Key, ms| {
            keys::touch(&store, key, NOW.plus_ms(ms)).await.expect("noted");
            let mut conn = store.read().await.expect("a connection");
            let key = keys::find(&mut conn, &secret, NOW).await.expect("looked up").expect("it is good");
            key.used_at.map(|at| at.0 - NOW.0)
        };
        assert_eq!(touch_at(&key, 0).await, Some(0));
        assert_eq!(touch_at(&key, 30_000).await, Some(0));
        assert_eq!(touch_at(&key, MINUTE).await, Some(MINUTE));
    });
}

#[test]
fn rejected_items_are_listed_newest_first_and_forgotten_after_a_month() {
    on_all(async |database| {
        let store = database.open().await;
        let reason = |code| intake::Rejected { code, reason: "the schema knows no event `x`".to_owned() };
        let long = format!("\"{}ü\"", "x".repeat(100_000));
        let first =
            vec![("{\"event\":\"x\"}".to_owned(), reason("unknown-event")), (long, reason("wrong-type"))];
        rejected::keep(&store, "http", first, NOW).await.expect("kept");
        let odd = vec![("nul \0 byte".to_owned(), reason("not-an-object"))];
        rejected::keep(&store, "events.jsonl", odd, NOW.plus_ms(DAY)).await.expect("kept");
        rejected::keep(&store, "http", Vec::new(), NOW).await.expect("nothing to keep");

        let mut conn = store.read().await.expect("a connection");
        let all = rejected::list(&mut conn, None, 10).await.expect("listed");
        let codes: Vec<&str> = all.iter().map(|item| item.code.as_str()).collect();
        assert_eq!(codes, ["not-an-object", "wrong-type", "unknown-event"]);
        assert!(all[1].body.len() <= 40_000, "a very long item is cut");
        assert_eq!(all[2].body, "{\"event\":\"x\"}");
        let older = rejected::list(&mut conn, Some(all[0].id), 1).await.expect("listed");
        assert_eq!(older, all[1..2]);
        drop(conn);

        assert_eq!(rejected::forget(&store, NOW.plus_ms(30 * DAY + 1)).await.expect("forgotten"), 2);
        let mut conn = store.read().await.expect("a connection");
        assert_eq!(rejected::count(&mut conn).await.expect("counted"), 1);
    });
}

// ---------------------------------------------------------------- deliveries

const LEASE_MS: i64 = 10 * MINUTE;

/// A catalog with a channel `email` to `contact.email`, and a score that reads `message_bounced`.
fn catalog() -> Catalog {
    let attribute = |name: &str, ty: Type| Attribute {
        name: name.into(),
        ty,
        default: Value::Unknown,
        unique: name == "email",
        pii: true,
    };
    let email = Channel {
        address: Some("email".into()),
        class: "message".into(),
        sends: "smtp".into(),
        hours: None,
        abilities: Vec::new(),
    };
    let welcome_call = Task {
        script: None,
        outcomes: vec!["reached".into(), "busy".into()],
        answers: vec![FieldType { name: "beans".into(), ty: Type::Number(None).optional() }],
    };
    let watched = fahrplan::engine::program::Expr::Segment("message_bounced".into());
    Catalog {
        zone: "Europe/Berlin".into(),
        locale: "de".into(),
        attributes: vec![
            attribute("email", Type::Email),
            attribute("locale", Type::Locale),
            attribute("timezone", Type::Timezone),
        ],
        channels: BTreeMap::from([("email".into(), email)]),
        tasks: BTreeMap::from([("welcome_call".into(), welcome_call)]),
        scores: BTreeMap::from([("unlucky".into(), watched)]),
        ..Catalog::empty()
    }
}

/// Somebody with an address.
async fn contact(store: &Store, name: &str) -> ContactId {
    let email = format!("{name}@example.com");
    let who = Who { user_id: Some(name.to_owned()), email: Some(email.clone()), ..Who::default() };
    let input = fahrplan::engine::world::Input::Attributes { values: Fields::new(), at: NOW };
    let item = Incoming { to: To::Who(who), message_id: None, input };
    let accepted = store.accept(vec![item], NOW).await.expect("accepted");
    let Accepted::Taken(contact) = accepted[0] else { panic!("not taken: {accepted:?}") };
    let attributes = format!(r#"{{"email":"{email}","locale":"en","timezone":"Europe/London"}}"#);
    run(store, "UPDATE contacts SET attributes = $1 WHERE id = $2", vec![attributes.into(), contact.into()])
        .await;
    run(store, "DELETE FROM inbox WHERE contact = $1", vec![contact.into()]).await;
    contact
}

async fn run(store: &Store, sql: &'static str, args: Vec<Arg>) {
    let mut tx = store.write().await.expect("a transaction");
    tx.exec(sql, args).await.expect("the statement runs");
    tx.commit().await.expect("committed");
}

async fn number(store: &Store, sql: &'static str, args: Vec<Arg>) -> i64 {
    let mut conn = store.read().await.expect("a connection");
    conn.fetch(sql, args).await.expect("the query runs")[0].i64(0).expect("a number")
}

/// What lies in the inbox of a contact, as text.
async fn told(store: &Store, contact: ContactId) -> Vec<String> {
    let mut conn = store.read().await.expect("a connection");
    const INBOX: &str = "SELECT input FROM inbox WHERE contact = $1 ORDER BY id";
    let rows = conn.fetch(INBOX, vec![contact.into()]).await.expect("the query runs");
    rows.iter().map(|row| row.text(0).expect("a text").to_owned()).collect()
}

fn message(store: &Store, template: &str) -> Delivery {
    Delivery {
        id: DeliveryId(store.new_id()),
        enrollment: EnrollmentId(store.new_id()),
        journey: "welcome".into(),
        step: template.into(),
        round: 2,
        arm: 1,
        channel: "email".into(),
        template: template.into(),
        purpose: "marketing".into(),
        transactional: false,
        with: Fields::from([("name".into(), Value::text("Grüße"))]),
        to: None,
        before: None,
        due_at: NOW,
        wants_outcome: false,
    }
}

async fn queue(store: &Store, contact: ContactId, delivery: &Delivery) {
    let bucket = fahrplan::store::bucket_of(contact, store.settings().buckets);
    let mut tx = store.write().await.expect("a transaction");
    deliveries::insert(&mut tx, bucket, &[(contact, delivery)]).await.expect("queued");
    tx.commit().await.expect("committed");
}

/// Claims at these moments of both clocks, in minutes after the beginning.
async fn claim_at(store: &Store, machine: i64, journey: i64, limit: usize) -> Vec<Claimed> {
    let claim = Claim {
        owner: 7,
        limit,
        now: MACHINE.plus_ms(machine * MINUTE),
        journey_now: NOW.plus_ms(journey * MINUTE),
        lease_ms: LEASE_MS,
    };
    deliveries::claim(store, claim).await.expect("claimed")
}

/// The machine's clock shows another time than the journey clock.
const MACHINE: Timestamp = Timestamp(1_700_000_000_000);

async fn record(store: &Store, claimed: &Claimed, result: SendResult) -> deliveries::Recorded {
    let finished = Finished::new(claimed, result, None);
    deliveries::record(store, vec![finished], NOW.plus_ms(MINUTE)).await.expect("recorded")
}

fn accepted() -> SendResult {
    SendResult::Accepted { reply: Some("250 ok".to_owned()) }
}

/// Deliveries by state, as `state count`.
async fn states(store: &Store) -> Vec<String> {
    let mut conn = store.read().await.expect("a connection");
    let counts = deliveries::counts(&mut conn).await.expect("counted");
    counts.iter().map(|count| format!("{} {} {}", count.template, count.state, count.count)).collect()
}

async fn open(database: &super::Database) -> Store {
    let store = database.open().await;
    journeys::deploy(&store, &catalog(), &[], NOW).await.expect("deployed");
    store
}

#[test]
fn a_message_is_claimed_once_with_what_is_known_of_its_contact() {
    on_all(async |database| {
        let store = open(&database).await;
        let ada = contact(&store, "ada").await;
        let delivery = message(&store, "hello");
        queue(&store, ada, &delivery).await;
        assert_eq!(states(&store).await, ["hello queued 1"]);
        assert!(claim_at(&store, 0, -1, 10).await.is_empty(), "it is not due yet on the journey clock");

        let claimed = claim_at(&store, 0, 0, 10).await;
        assert_eq!(claimed.len(), 1);
        let claimed = &claimed[0];
        assert_eq!(claimed.delivery, delivery);
        assert_eq!((claimed.kind, claimed.contact, claimed.attempts), (Kind::Message, ada, 1));
        assert!(!claimed.maybe_duplicate);
        assert_eq!((claimed.first_tried_at, claimed.leased_until), (MACHINE, MACHINE.plus_ms(LEASE_MS)));
        let person = claimed.person.as_ref().expect("the contact is there");
        assert_eq!(person.address.as_deref(), Some("ada@example.com"));
        assert_eq!((&*person.locale(&catalog()), &*person.zone(&catalog())), ("en", "Europe/London"));
        assert!(claim_at(&store, 0, 0, 10).await.is_empty(), "it is leased");
        assert_eq!(states(&store).await, ["hello leased 1"]);

        assert_eq!(record(&store, claimed, accepted()).await.taken, 1);
        assert_eq!(states(&store).await, ["hello accepted 1"]);
        assert_eq!(record(&store, claimed, accepted()).await.stale, 1, "a repeat changes nothing");
        assert_eq!(states(&store).await, ["hello accepted 1"]);
        assert!(claim_at(&store, 99, 99, 10).await.is_empty());
        assert_eq!(told(&store, ada).await, [""; 0], "nobody wants to hear of it");
    });
}

#[test]
fn a_worker_that_was_overtaken_is_not_believed() {
    on_all(async |database| {
        let store = open(&database).await;
        let ada = contact(&store, "ada").await;
        let delivery = message(&store, "hello");
        queue(&store, ada, &delivery).await;
        let first = claim_at(&store, 0, 0, 10).await.remove(0);
        assert!(claim_at(&store, 9, 9, 10).await.is_empty());
        let second = claim_at(&store, 10, 10, 10).await.remove(0);
        assert_eq!((second.delivery.id, second.attempts), (delivery.id, 2));
        assert!(second.maybe_duplicate, "the first may have sent it");
        assert_eq!(second.first_tried_at, first.first_tried_at);

        assert_eq!(record(&store, &first, accepted()).await.stale, 1);
        assert_eq!(states(&store).await, ["hello leased 1"]);
        assert_eq!(record(&store, &second, accepted()).await.taken, 1);
        assert_eq!(states(&store).await, ["hello accepted 1"]);
    });
}

#[test]
fn what_a_killed_daemon_had_leased_is_due_at_the_next_start() {
    on_all(async |database| {
        let store = open(&database).await;
        let ada = contact(&store, "ada").await;
        queue(&store, ada, &message(&store, "hello")).await;
        let claim = Claim { owner: 7, limit: 10, now: machine_now(), journey_now: NOW, lease_ms: LEASE_MS };
        assert_eq!(deliveries::claim(&store, claim).await.expect("claimed").len(), 1);
        let released = deliveries::release_former(&store).await.expect("released");
        let again = Claim { now: machine_now(), ..claim };
        let again = deliveries::claim(&store, again).await.expect("claimed");
        // On PostgreSQL another daemon may still hold it.
        assert_eq!(again.len(), usize::try_from(released).expect("small"));
        assert_eq!(released, u64::from(store.dialect() == fahrplan::store::Dialect::Sqlite));
        assert!(again.iter().all(|claimed| claimed.maybe_duplicate));
    });
}

#[test]
fn what_a_worker_was_sending_when_it_died_is_let_go_of_long_before_its_lease_ends() {
    on_all(async |database| {
        let (dead, other) = (open(&database).await, database.open().await);
        let ada = contact(&dead, "ada").await;
        queue(&dead, ada, &message(&dead, "hello")).await;
        let claim = async |store: &Store| {
            let owner = store.worker();
            let claim = Claim { owner, limit: 10, now: machine_now(), journey_now: NOW, lease_ms: LEASE_MS };
            deliveries::claim(store, claim).await.expect("claimed")
        };
        let holder = async || {
            let mut conn = other.read().await.expect("a connection");
            let listed = deliveries::list(&mut conn, deliveries::Shown::Leased, 9).await.expect("listed");
            assert_eq!(listed.len(), 1);
            listed[0].holder.clone().expect("somebody has it")
        };
        let before = machine_now();
        let first = claim(&dead).await.remove(0);
        let after = machine_now();
        let mut released = deliveries::Released::new();
        assert_eq!(deliveries::release_of_the_dead(&other, &mut released).await.expect("looked"), 0);
        let held = holder().await;
        assert!(held.worker == dead.worker() && !held.is_gone, "{held:?}");
        let since = held.since.expect("it is the first try");
        assert!(before <= since && since <= after && held.until == since.plus_ms(LEASE_MS), "{held:?}");
        assert!(held.place.ends_with(&format!(":{}", std::process::id())), "{held:?}");
        // It has not renewed its lease for a while.
        const LAPSED: &str = "UPDATE workers SET leased_until = leased_until - 75000 WHERE worker = $1";
        run(&other, LAPSED, vec![dead.worker().into()]).await;
        assert!(holder().await.is_gone);
        let count = deliveries::release_of_the_dead(&other, &mut released).await.expect("looked");
        if other.dialect() == fahrplan::store::Dialect::Sqlite {
            // There is one daemon, which does so when it starts.
            assert_eq!(count, 0);
            assert_eq!(deliveries::release_former(&other).await.expect("released"), 1);
        } else {
            assert_eq!(count, 1);
        }
        let held = holder().await;
        assert!(held.since == Some(since) && held.until <= machine_now(), "it began when it began: {held:?}");
        assert_eq!(deliveries::release_of_the_dead(&other, &mut released).await.expect("looked"), 0);
        let second = claim(&other).await.remove(0);
        assert!(second.undecided && second.attempts == 2, "{second:?}");
        let held = holder().await;
        assert!(held.worker == other.worker() && held.since.is_none(), "nobody noted it: {held:?}");
        assert_eq!(deliveries::release_of_the_dead(&other, &mut released).await.expect("looked"), 0);
        // It was not dead after all, and is not believed.
        assert_eq!(record(&dead, &first, accepted()).await.stale, 1);
        assert_eq!(record(&other, &second, accepted()).await.taken, 1);
    });
}

#[test]
fn two_workers_never_claim_the_same() {
    on_all(async |database| {
        let (one, two) = (open(&database).await, database.open().await);
        let mut people = Vec::new();
        for n in 0..40 {
            let somebody = contact(&one, &format!("u{n}")).await;
            queue(&one, somebody, &message(&one, "hello")).await;
            people.push(somebody);
        }
        let mut all = Vec::new();
        loop {
            let (a, b) = tokio::join!(claim_at(&one, 0, 0, 7), claim_at(&two, 0, 0, 7));
            if a.is_empty() && b.is_empty() {
                break;
            }
            assert!(a.len() <= 7 && b.len() <= 7);
            all.extend(a.into_iter().chain(b).map(|claimed| claimed.contact));
        }
        all.sort_unstable();
        assert_eq!(all, people);
    });
}

#[test]
fn transactional_messages_go_first() {
    on_all(async |database| {
        let store = open(&database).await;
        let ada = contact(&store, "ada").await;
        queue(&store, ada, &Delivery { due_at: NOW.plus_ms(-MINUTE), ..message(&store, "news") }).await;
        queue(&store, ada, &Delivery { transactional: true, ..message(&store, "receipt") }).await;
        let first = claim_at(&store, 0, 0, 1).await.remove(0);
        assert_eq!(&*first.delivery.template, "receipt");
    });
}

#[test]
fn a_deferred_message_waits_on_the_machines_clock_and_a_held_one_on_the_journey_clock() {
    on_all(async |database| {
        let store = open(&database).await;
        let ada = contact(&store, "ada").await;
        queue(&store, ada, &message(&store, "hello")).await;
        let deferred =
            SendResult::Deferred { retry_at: MACHINE.plus_ms(5 * MINUTE), reason: "451 later".to_owned() };
        let claimed = claim_at(&store, 0, 0, 10).await.remove(0);
        record(&store, &claimed, deferred).await;
        assert_eq!(states(&store).await, ["hello deferred 1"]);
        assert!(claim_at(&store, 4, 99, 10).await.is_empty());
        let mut conn = store.read().await.expect("a connection");
        let next = deliveries::next(&mut conn).await.expect("looked up");
        assert_eq!((next.due_at, next.again_at), (None, Some(MACHINE.plus_ms(5 * MINUTE))));
        drop(conn);

        let claimed = claim_at(&store, 5, 0, 10).await.remove(0);
        assert_eq!((claimed.attempts, claimed.maybe_duplicate), (2, false));
        record(&store, &claimed, SendResult::Held { until: NOW.plus_ms(20 * MINUTE) }).await;
        assert_eq!(states(&store).await, ["hello queued 1"]);
        assert!(claim_at(&store, 99, 19, 10).await.is_empty());
        let claimed = claim_at(&store, 6, 20, 10).await.remove(0);
        assert_eq!(claimed.attempts, 2, "a message that was held was not tried");

        record(&store, &claimed, SendResult::GivenBack).await;
        let claimed = claim_at(&store, 6, 20, 10).await.remove(0);
        assert_eq!(claimed.attempts, 2, "neither was one that was given back");

        let lost = "the connection broke after the final dot".to_owned();
        let unknown = SendResult::Unknown { retry_at: Some(MACHINE), reason: lost.clone() };
        record(&store, &claimed, unknown).await;
        let claimed = claim_at(&store, 6, 20, 10).await.remove(0);
        assert!(claimed.maybe_duplicate);
        record(&store, &claimed, SendResult::Unknown { retry_at: None, reason: lost }).await;
        assert_eq!(states(&store).await, ["hello unknown 1"]);
        assert!(claim_at(&store, 99, 99, 10).await.is_empty(), "somebody has to decide first");
        assert_eq!(told(&store, ada).await, [""; 0], "nobody knows what to tell");
    });
}

#[test]
fn results_are_told_to_who_wants_to_hear_of_them() {
    on_all(async |database| {
        let store = open(&database).await;
        let ada = contact(&store, "ada").await;
        let asked = Delivery { wants_outcome: true, ..message(&store, "asked") };
        queue(&store, ada, &asked).await;
        queue(&store, ada, &message(&store, "unasked")).await;
        for claimed in claim_at(&store, 0, 0, 10).await {
            record(&store, &claimed, accepted()).await;
        }
        let told_now = told(&store, ada).await;
        assert_eq!(told_now.len(), 1, "{told_now:?}");
        let outcome = &told_now[0];
        assert!(
            outcome.contains(r#""outcome":"sent""#) && outcome.contains(r#""step":"asked""#),
            "{outcome}"
        );

        // A score reads `message_bounced`, so everybody's bounces are told; and the address is suppressed.
        queue(&store, ada, &message(&store, "lost")).await;
        let claimed = claim_at(&store, 0, 0, 10).await.remove(0);
        let refused = SendResult::Refused {
            code: Some(550),
            text: "no such user".to_owned(),
            bad_address: Some("ada@example.com".into()),
        };
        record(&store, &claimed, refused).await;
        let told_now = told(&store, ada).await;
        assert_eq!(told_now.len(), 3, "{told_now:?}");
        assert!(told_now[1].contains(r#""address":"ada@example.com""#), "{told_now:?}");
        assert!(told_now[2].contains(r#""outcome":"bounced""#), "{told_now:?}");
        assert_eq!(states(&store).await, ["asked accepted 1", "lost refused 1", "unasked accepted 1"]);
    });
}

#[test]
fn a_request_comes_back_with_what_the_endpoint_answered() {
    on_all(async |database| {
        let store = open(&database).await;
        let ada = contact(&store, "ada").await;
        let request = NewRequest {
            id: DeliveryId(store.new_id()),
            enrollment: EnrollmentId(store.new_id()),
            journey: "welcome".into(),
            step: "ask".into(),
            round: 0,
            endpoint: "crm".into(),
            with: Fields::new(),
            due_at: NOW,
        };
        let bucket = fahrplan::store::bucket_of(ada, store.settings().buckets);
        let mut tx = store.write().await.expect("a transaction");
        deliveries::insert_requests(&mut tx, bucket, &[(ada, &request)]).await.expect("queued");
        tx.commit().await.expect("committed");
        let claimed = claim_at(&store, 0, 0, 10).await.remove(0);
        assert_eq!((claimed.kind, &*claimed.delivery.template), (Kind::Request, "crm"));
        let fields = Fields::from([("score".into(), Value::Number(7))]);
        record(&store, &claimed, SendResult::Answered { fields }).await;
        let told = told(&store, ada).await;
        assert!(told[0].contains(r#""outcome":"answered""#) && told[0].contains("score"), "{told:?}");
    });
}

#[test]
fn who_leaves_gets_nothing_more_and_the_cap_slot_is_free_again() {
    on_all(async |database| {
        let store = open(&database).await;
        let (ada, bob) = (contact(&store, "ada").await, contact(&store, "bob").await);
        let under_way = message(&store, "under_way");
        queue(&store, ada, &under_way).await;
        assert_eq!(claim_at(&store, 0, 0, 10).await.len(), 1);
        let enrollment = under_way.enrollment;
        let queued = Delivery { enrollment, ..message(&store, "queued") };
        let receipt = Delivery { enrollment, transactional: true, ..message(&store, "receipt") };
        let others = message(&store, "others");
        queue(&store, ada, &queued).await;
        queue(&store, ada, &receipt).await;
        queue(&store, bob, &others).await;
        let bucket = |contact| fahrplan::store::bucket_of(contact, store.settings().buckets);
        for (contact, delivery) in [(ada, under_way.id), (ada, queued.id), (bob, others.id)] {
            const SLOT: &str = "INSERT INTO cap_slots (bucket, contact, at, delivery, channel, purpose) \
                VALUES ($1, $2, $3, $4, 1, 2)";
            let slot = vec![bucket(contact).into(), contact.into(), NOW.into(), delivery.into()];
            run(&store, SLOT, slot).await;
        }
        let mut tx = store.write().await.expect("a transaction");
        let cancelled =
            deliveries::cancel(&mut tx, bucket(ada), &[(ada, enrollment)], NOW).await.expect("cancelled");
        tx.commit().await.expect("committed");
        assert_eq!(cancelled, [queued.id]);
        assert_eq!(
            states(&store).await,
            ["others queued 1", "queued cancelled 1", "receipt queued 1", "under_way leased 1"]
        );
        assert_eq!(number(&store, "SELECT COUNT(*) FROM cap_slots", Vec::new()).await, 2);

        let claimed = claim_at(&store, 0, 0, 10).await;
        let of_bob = claimed.iter().find(|claimed| claimed.contact == bob).expect("bob's is due");
        record(&store, of_bob, SendResult::Cancelled { reason: "consent".into() }).await;
        assert_eq!(number(&store, "SELECT COUNT(*) FROM cap_slots", Vec::new()).await, 1);
    });
}

#[test]
fn a_withdrawal_is_seen_at_the_send_point() {
    on_all(async |database| {
        let store = open(&database).await;
        let ada = contact(&store, "ada").await;
        let bucket = fahrplan::store::bucket_of(ada, store.settings().buckets);
        queue(&store, ada, &message(&store, "hello")).await;
        let mut claimed = claim_at(&store, 0, 0, 10).await;
        let permissions = |claimed: &[Claimed]| claimed[0].person.clone().expect("she is there").permissions;
        assert_eq!(permissions(&claimed), Default::default());

        let mut tx = store.write().await.expect("a transaction");
        let marketing = names::intern(&mut tx, &"marketing".into()).await.expect("a name");
        let email = names::intern(&mut tx, &"email".into()).await.expect("a name");
        tx.commit().await.expect("committed");
        const DENY: &str = "INSERT INTO consent_states (bucket, contact, purpose, channel, permit, at) \
            VALUES ($1, $2, $3, $4, 0, $5)";
        run(&store, DENY, vec![bucket.into(), ada.into(), marketing.into(), email.into(), NOW.into()]).await;
        const SUPPRESS: &str = "INSERT INTO suppressions (address, channel, purpose, reason, at) VALUES ($1, $2, 0, 'bounce', $3)";
        run(&store, SUPPRESS, vec!["ada@example.com".into(), email.into(), NOW.into()]).await;
        run(&store, SUPPRESS, vec!["bob@example.com".into(), email.into(), NOW.into()]).await;
        const PAUSE: &str =
            "INSERT INTO contact_pauses (bucket, contact, purpose, until) VALUES ($1, $2, $3, $4)";
        run(&store, PAUSE, vec![bucket.into(), ada.into(), marketing.into(), NOW.into()]).await;

        let mut conn = store.read().await.expect("a connection");
        deliveries::look_again(&mut conn, &mut claimed).await.expect("looked again");
        drop(conn);
        let now = permissions(&claimed);
        assert_eq!(now.consents, BTreeMap::from([(("marketing".into(), "email".into()), (false, NOW))]));
        assert_eq!(now.suppressed, BTreeSet::from([("email".into(), "ada@example.com".into())]));
        assert_eq!(now.pauses, BTreeMap::from([("marketing".into(), NOW)]));

        let kept = contact(&store, "kept").await;
        const MERGE: &str = "UPDATE contacts SET merged_into = $1 WHERE id = $2";
        run(&store, MERGE, vec![kept.into(), ada.into()]).await;
        let mut conn = store.read().await.expect("a connection");
        deliveries::look_again(&mut conn, &mut claimed).await.expect("looked again");
        assert_eq!(claimed[0].contact, kept);
        let person = claimed[0].person.clone().expect("there");
        assert_eq!(person.address.as_deref(), Some("ada@example.com"), "what was tried first");
        assert!(person.has_moved);
        drop(conn);

        run(&store, "DELETE FROM contacts WHERE id = $1", vec![kept.into()]).await;
        let mut conn = store.read().await.expect("a connection");
        deliveries::look_again(&mut conn, &mut claimed).await.expect("looked again");
        assert_eq!(claimed[0].person, None);
    });
}

#[test]
fn all_deliveries_of_somebody_who_was_merged_go_to_who_took_over() {
    on_all(async |database| {
        let store = open(&database).await;
        let (lost, kept) = (contact(&store, "lost").await, contact(&store, "kept").await);
        queue(&store, lost, &message(&store, "hello")).await;
        queue(&store, lost, &message(&store, "again")).await;
        run(&store, "UPDATE contacts SET merged_into = $1 WHERE id = $2", vec![kept.into(), lost.into()])
            .await;
        let claimed = claim_at(&store, 0, 0, 10).await;
        let contacts: Vec<_> = claimed.iter().map(|claimed| claimed.contact).collect();
        assert_eq!(contacts, [kept, kept]);
    });
}

#[test]
fn a_delivery_under_way_is_found_where_its_contact_went() {
    on_all(async |database| {
        let store = open(&database).await;
        let ada = contact(&store, "ada").await;
        let delivery = Delivery { wants_outcome: true, ..message(&store, "hello") };
        queue(&store, ada, &delivery).await;
        let claimed = claim_at(&store, 0, 0, 10).await.remove(0);
        // As a merge of two contacts does it.
        let moved = (claimed.bucket + 1) % store.settings().buckets;
        const MOVE: &str = "UPDATE deliveries SET bucket = $1 WHERE id = $2";
        run(&store, MOVE, vec![moved.into(), delivery.id.into()]).await;
        assert_eq!(record(&store, &claimed, accepted()).await, deliveries::Recorded { taken: 1, stale: 0 });
        assert_eq!(states(&store).await, ["hello accepted 1"]);
        deliveries::clicked(&store, claimed.bucket, delivery.id, "x", NOW).await.expect("noted");
        assert_eq!(told(&store, ada).await.len(), 2);
        assert_eq!(record(&store, &claimed, accepted()).await, deliveries::Recorded { taken: 0, stale: 1 });
    });
}

#[test]
fn an_address_is_suppressed_however_it_is_written() {
    on_all(async |database| {
        let store = open(&database).await;
        let ada = contact(&store, "ada").await;
        let mut tx = store.write().await.expect("a transaction");
        let (channel, address) = ("email".into(), "Ada@Example.com".into());
        let suppression = Suppression { channel, address, reason: "bounce".into(), at: NOW };
        suppressions::suppress(&mut tx, &[&suppression]).await.expect("suppressed");
        tx.commit().await.expect("committed");
        queue(&store, ada, &message(&store, "hello")).await;
        queue(&store, ada, &Delivery { to: Some("ADA@example.com".into()), ..message(&store, "hello") })
            .await;
        for claimed in claim_at(&store, 0, 0, 10).await {
            let person = claimed.person.expect("she is there");
            let key = ("email".into(), person.address.clone().expect("an address"));
            assert!(person.permissions.suppressed.contains(&key), "{person:?}");
        }
    });
}

#[test]
fn a_click_is_told_each_time_and_counted_once() {
    on_all(async |database| {
        let store = open(&database).await;
        let ada = contact(&store, "ada").await;
        let delivery = Delivery { wants_outcome: true, ..message(&store, "hello") };
        queue(&store, ada, &delivery).await;
        let claimed = claim_at(&store, 0, 0, 10).await.remove(0);
        record(&store, &claimed, accepted()).await;
        for _ in 0..2 {
            let link = "https://shop.example/beans?a=1";
            deliveries::clicked(&store, claimed.bucket, delivery.id, link, NOW).await.expect("noted");
        }
        deliveries::clicked(&store, claimed.bucket, DeliveryId(1), "x", NOW).await.expect("nothing to note");
        assert_eq!(states(&store).await, ["hello accepted 1", "hello clicked 1"]);
        let told = told(&store, ada).await;
        assert!(told[1].contains(r#""outcome":"clicked""#), "{told:?}");
        assert!(told[1].contains("https://shop.example/beans?a=1"), "{told:?}");
        assert_eq!(told.len(), 3, "{told:?}");
    });
}

// ---------------------------------------------------------------- tasks

#[test]
fn a_task_is_open_until_its_outcome_is_told() {
    on_all(async |database| {
        let store = open(&database).await;
        let (ada, bob) = (contact(&store, "ada").await, contact(&store, "bob").await);
        let bucket = |contact| fahrplan::store::bucket_of(contact, store.settings().buckets);
        let task = |team: &str, due: i64| NewTask {
            id: TaskId(store.new_id()),
            enrollment: EnrollmentId(store.new_id()),
            journey: "welcome".into(),
            step: "talk".into(),
            round: 3,
            verb: "call".into(),
            task: "welcome_call".into(),
            team: team.into(),
            with: Fields::from([("name".into(), Value::text("Ada"))]),
            due_at: NOW.plus_ms(due),
            expires_at: NOW.plus_ms(DAY),
        };
        let (first, second, later) = (task("cafe", -1), task("cafe", 0), task("night", MINUTE));
        let mut tx = store.write().await.expect("a transaction");
        tasks::insert(&mut tx, bucket(ada), &[(ada, &second), (ada, &first)]).await.expect("queued");
        tasks::insert(&mut tx, bucket(bob), &[(bob, &later)]).await.expect("queued");
        tx.commit().await.expect("committed");
        let open_at = async |team: Option<&str>, ms: i64| {
            let mut conn = store.read().await.expect("a connection");
            let open = tasks::list_open(&mut conn, team, NOW.plus_ms(ms), 10).await.expect("listed");
            open.iter().map(|task| task.work.id).collect::<Vec<_>>()
        };
        assert_eq!(open_at(None, 0).await, [first.id, second.id]);
        assert_eq!(open_at(None, MINUTE).await, [first.id, second.id, later.id]);
        assert_eq!(open_at(Some("night"), MINUTE).await, [later.id]);
        assert_eq!(open_at(Some("nobody"), MINUTE).await, []);
        assert_eq!(open_at(None, DAY).await, [], "they have expired");

        let answer = |json: &str| serde_json::from_str(json).expect("an object");
        let tell = async |id, outcome: &str, answers: &str| {
            let answers = answer(answers);
            let report = Report { who: "jana", outcome, answers: &answers, note: None };
            tasks::outcome(&store, id, report, Now::at(NOW)).await.expect("no failure")
        };
        assert_eq!(tell(TaskId(1), "reached", "{}").await, Err(Refused::Unknown));
        let known = vec!["reached".into(), "busy".into()];
        assert_eq!(tell(first.id, "sold", "{}").await, Err(Refused::WrongOutcome(known)));
        let wrong = tell(first.id, "reached", r#"{"beans":"many"}"#).await;
        assert!(matches!(&wrong, Err(Refused::WrongAnswer(name, _)) if &**name == "beans"), "{wrong:?}");
        assert_eq!(told(&store, ada).await, [""; 0]);
        assert_eq!(tell(first.id, "reached", r#"{"beans":2}"#).await, Ok(()));
        assert_eq!(tell(first.id, "busy", "{}").await, Err(Refused::Settled("done".to_owned())));
        let heard = told(&store, ada).await;
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert!(heard[0].contains(r#""outcome":"reached""#) && heard[0].contains("beans"), "{heard:?}");

        let mut tx = store.write().await.expect("a transaction");
        let left = [(ada, first.enrollment), (ada, second.enrollment)];
        assert_eq!(tasks::cancel(&mut tx, bucket(ada), &left, NOW).await.expect("cancelled"), 1);
        tx.commit().await.expect("committed");
        assert_eq!(tasks::expire(&store, NOW.plus_ms(DAY)).await.expect("expired"), 1);
        let mut conn = store.read().await.expect("a connection");
        let states: Vec<String> = tasks::of_contact(&mut conn, ada)
            .await
            .expect("listed")
            .into_iter()
            .map(|task| format!("{} {:?}", task.state, task.outcome))
            .collect();
        assert_eq!(states.len(), 2);
        assert!(states.contains(&"done Some(\"reached\")".to_owned()), "{states:?}");
        assert!(states.contains(&"cancelled None".to_owned()), "{states:?}");
    });
}
