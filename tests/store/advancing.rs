//! The corridor: the same journeys as in memory, on a database, in batches, with crashes and rivals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fahrplan::engine::memory::{Happened, Memory};
use fahrplan::engine::program::*;
use fahrplan::engine::world::{Cause, ConsentChange, Event as Came, Fields, Input, Note, What};
use fahrplan::id::ContactId;
use fahrplan::intake::Who;
use fahrplan::store::counts::{self, Counted};
use fahrplan::store::import::{self, Person};
use fahrplan::store::inbox::{Accepted, Incoming, To};
use fahrplan::store::{
    Dialect, Store, advance_bucket, contacts, deliveries, enrollments, history, identities, journeys, timers,
};
use fahrplan::time::{DAY, HOUR, MINUTE, Timestamp};
use fahrplan::value::Value;

use super::{Database, on_all};
use crate::engine::build::*;

const LIMIT: i64 = 1_000;

pub(crate) fn who(name: &str) -> Who {
    Who { user_id: Some(name.to_owned()), ..Who::default() }
}

pub(crate) fn event(name: &str, at: Timestamp, pairs: &[(&str, Value)]) -> Input {
    Input::Event(Came {
        id: 0,
        name: name.into(),
        occurred_at: at,
        accepted_at: at,
        fields: fields(pairs),
        quiet: false,
    })
}

pub(crate) async fn accept(store: &Store, name: &str, input: Input, now: Timestamp) -> ContactId {
    let incoming = Incoming { to: To::Who(who(name)), message_id: None, input };
    match store.accept(vec![incoming], now).await.expect("accepted")[..] {
        [Accepted::Taken(contact)] => contact,
        ref other => panic!("not taken: {other:?}"),
    }
}

/// How many contacts a figure is measured with on PostgreSQL; the variable names the number that is promised, on SQLite few do.
pub(super) fn many(store: &Store, variable: &str) -> usize {
    let asked = std::env::var(variable).ok().and_then(|number| number.parse().ok());
    match store.dialect() {
        Dialect::Postgres => asked.unwrap_or(300),
        Dialect::Sqlite => 60,
    }
}

/// `u0`, `u1` and so on.
pub(super) fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("u{n}")).collect()
}

/// Imports somebody of each name.
pub(super) async fn import_all(
    store: &Store,
    names: &[String],
    now: Timestamp,
    person: impl Fn(&String) -> Person,
) {
    for names in names.chunks(1_000) {
        let people: Vec<Person> = names.iter().map(&person).collect();
        import::contacts(store, &people, now).await.expect("imported");
    }
}

/// That event comes for each of them.
pub(super) async fn accept_all(store: &Store, names: &[String], name: &str, now: Timestamp) {
    for names in names.chunks(1_000) {
        let incoming =
            |one: &String| Incoming { to: To::Who(who(one)), message_id: None, input: event(name, now, &[]) };
        store.accept(names.iter().map(incoming).collect(), now).await.expect("accepted");
    }
}

/// Advances all buckets at that moment until nothing is left to do. Everything is sent at once, so that nothing is taken back.
pub(crate) async fn advance(store: &Store, now: Timestamp) {
    for bucket in store.buckets() {
        // A call that was cut off holds its bucket until the database has rolled it back.
        loop {
            let advanced = advance_bucket(store, bucket, now, LIMIT).await.expect("advanced");
            if advanced.taken == 0 && !advanced.locked {
                break;
            }
        }
    }
    send_all(store).await;
}

async fn send_all(store: &Store) {
    let mut tx = store.write().await.expect("a transaction");
    const SEND: &str = "UPDATE deliveries SET state = 'accepted' WHERE state = 'queued'";
    tx.exec(SEND, Vec::new()).await.expect("sent");
    tx.commit().await.expect("committed");
}

/// Lets the clock run to that moment, stopping wherever something is due, as the daemon does.
pub(super) async fn run_to(store: &Store, to: Timestamp) {
    loop {
        let mut next = Timestamp::NEVER;
        let mut conn = store.read().await.expect("a connection");
        for bucket in store.buckets() {
            next = next.min(timers::next_due(&mut conn, bucket).await.expect("looked up"));
        }
        drop(conn);
        if next > to {
            return;
        }
        advance(store, next).await;
    }
}

pub(crate) async fn open(database: &Database, catalog: &Catalog, programs: &[&J], now: Timestamp) -> Store {
    let store = database.open().await;
    let programs: Vec<Program> = programs.iter().map(|j| (*j.build()).clone()).collect();
    let generation = journeys::deploy(&store, catalog, &programs, now).await.expect("deployed").generation;
    assert_eq!(generation, 1);
    store
}

pub(crate) async fn story(store: &Store, contact: ContactId) -> Vec<String> {
    let mut conn = store.read().await.expect("a connection");
    let notes = history::of_contact(&mut conn, contact).await.expect("read");
    notes.iter().map(line).collect()
}

/// A line of the history without the ids, which differ.
fn line(note: &Note) -> String {
    let what = match &note.what {
        What::Queued { channel, template, .. } => format!("queued {channel} {template}"),
        other => format!("{other:?}"),
    };
    let journey = note.journey.as_deref().unwrap_or("-");
    format!("{} {journey} {} {} {what}", note.at, note.step.as_deref().unwrap_or("-"), note.round)
}

// ---------------------------------------------------------------- one thing at a time

pub(super) fn welcome() -> J {
    let mut j = J::new("welcome");
    j.on("signed_up").send("hello").wait_for("click", days(2), on("optin"));
    let happened = j.field("click", "happened");
    j.unless(happened, "missed").send("thanks").exit("done").label("missed").exit("never");
    j
}

#[test]
fn what_created_a_contact_may_come_after_what_another_process_said_of_it() {
    on_all(async |database| {
        let start = at("2026-05-01T10:00");
        let store = open(&database, &catalog(), &[&welcome()], start).await;
        let ada = accept(&store, "ada", event("optin", start, &[]), start).await;
        // The clock of the process that created her runs ahead: what others say lies before it in the inbox.
        let mut tx = store.write().await.expect("a transaction");
        tx.exec("UPDATE inbox SET id = id + 1000000000", Vec::new()).await.expect("put later");
        tx.commit().await.expect("committed");
        let email = Input::Attributes { values: fields(&[("email", text("ada@example.org"))]), at: start };
        accept(&store, "ada", email, start).await;
        accept(&store, "ada", event("signed_up", start, &[]), start).await;
        for bucket in store.buckets() {
            // Two at a time, so that the third is in another batch.
            for _ in 0..3 {
                advance_bucket(&store, bucket, start, 2).await.expect("advanced");
            }
        }
        run_to(&store, start.plus_ms(3 * DAY)).await;
        let mut conn = store.read().await.expect("a connection");
        let lines = enrollments::of_contact(&mut conn, ada).await.expect("read");
        let ends: Vec<_> = lines.iter().map(|line| (&*line.journey, line.reason.as_deref())).collect();
        assert_eq!(ends, [("welcome", Some("done"))], "{:#?}", story(&store, ada).await);
    });
}

#[test]
fn an_event_enters_a_timer_ends_the_wait_and_all_of_it_is_told() {
    on_all(async |database| {
        let start = at("2026-05-01T10:00");
        let store = open(&database, &catalog(), &[&welcome()], start).await;
        let email = Input::Attributes { values: fields(&[("email", text("ada@example.org"))]), at: start };
        let ada = accept(&store, "ada", email, start).await;
        accept(&store, "ada", event("signed_up", start, &[]), start).await;
        advance(&store, start).await;
        run_to(&store, start.plus_ms(3 * DAY)).await;

        let mut conn = store.read().await.expect("a connection");
        let lines = enrollments::of_contact(&mut conn, ada).await.expect("read");
        let ends: Vec<_> = lines.iter().map(|line| (&*line.journey, line.reason.as_deref())).collect();
        assert_eq!(ends, [("welcome", Some("never"))]);
        let found = contacts::load(&mut conn, ada).await.expect("read").expect("there");
        assert_eq!(found.attributes.get("email"), Some(&text("ada@example.org")));
        let counted: Vec<_> = counts::all(&mut conn).await.expect("read");
        let find = |what: Counted| {
            let of = counted.iter().filter(|count| count.what == what && count.count != 0);
            of.map(|count| format!("{} {}", count.name, count.count)).collect::<Vec<_>>()
        };
        assert_eq!(find(Counted::Resting), [""; 0]);
        assert_eq!(
            (find(Counted::Entered), find(Counted::Exited)),
            (vec![" 1".into()], vec!["never 1".into()])
        );
        drop(conn);
        let told = story(&store, ada).await;
        assert!(told.iter().any(|line| line.ends_with("queued email hello")), "{told:#?}");
        assert!(told.iter().any(|line| line.contains("Exited")), "{told:#?}");
    });
}

#[test]
fn an_event_accepted_at_the_deadline_beats_the_timer_that_is_due() {
    on_all(async |database| {
        let start = at("2026-05-01T10:00");
        let store = open(&database, &catalog(), &[&welcome()], start).await;
        let deadline = start.plus_ms(2 * DAY);
        for (name, accepted) in [("early", deadline), ("late", deadline.plus_ms(1))] {
            accept(&store, name, event("signed_up", start, &[]), start).await;
            advance(&store, start).await;
            accept(&store, name, event("optin", accepted, &[]), accepted).await;
        }
        // Nobody looked until an hour later: timers and inbox rows are both due.
        advance(&store, deadline.plus_ms(HOUR)).await;
        for (name, reason) in [("early", "done"), ("late", "never")] {
            let mut conn = store.read().await.expect("a connection");
            let contact = identities::find(&mut conn, name).await.expect("found")[0];
            let lines = enrollments::of_contact(&mut conn, contact).await.expect("read");
            assert_eq!(lines[0].reason.as_deref(), Some(reason), "{name}");
        }
    });
}

#[test]
fn timers_wait_until_the_inbox_is_drained_up_to_them() {
    on_all(async |database| {
        let start = at("2026-05-01T10:00");
        let store = open(&database, &catalog(), &[&welcome()], start).await;
        accept(&store, "ada", event("signed_up", start, &[]), start).await;
        advance(&store, start).await;
        let deadline = start.plus_ms(2 * DAY);
        for n in 0..7 {
            accept(&store, &format!("other{n}"), event("cart", deadline, &[]), deadline).await;
        }
        let ada = accept(&store, "ada", event("optin", deadline, &[]), deadline).await;
        // Two rows a time: Ada's click is the last of them, and her timer was due before.
        for _ in 0..5 {
            for bucket in store.buckets() {
                advance_bucket(&store, bucket, deadline.plus_ms(MINUTE), 2).await.expect("advanced");
            }
        }
        let mut conn = store.read().await.expect("a connection");
        let lines = enrollments::of_contact(&mut conn, ada).await.expect("read");
        assert_eq!(lines[0].reason.as_deref(), Some("done"));
    });
}

#[test]
fn an_event_with_a_known_dedupe_value_does_nothing() {
    on_all(async |database| {
        let start = at("2026-05-01T10:00");
        let mut orders = J::new("orders");
        orders.on("order").exit("done");
        let store = open(&database, &catalog(), &[&orders], start).await;
        let order = |id: &str, at: Timestamp| event("order", at, &[("order_id", text(id))]);
        let ada = accept(&store, "ada", order("o1", start), start).await;
        accept(&store, "ada", order("o1", start), start).await;
        advance(&store, start).await;
        for id in ["o1", "o2"] {
            accept(&store, "ada", order(id, start.plus_ms(DAY)), start.plus_ms(DAY)).await;
        }
        accept(&store, "ben", order("o1", start), start).await;
        advance(&store, start.plus_ms(DAY)).await;
        let mut conn = store.read().await.expect("a connection");
        assert_eq!(enrollments::of_contact(&mut conn, ada).await.expect("read").len(), 2, "o1 and o2");
        let ben = identities::find(&mut conn, "ben").await.expect("found")[0];
        assert_eq!(enrollments::of_contact(&mut conn, ben).await.expect("read").len(), 1, "his own o1");
    });
}

#[test]
fn the_entering_event_is_in_the_history_since_the_entry() {
    on_all(async |database| {
        let start = at("2026-05-01T10:00");
        let mut j = J::new("orders");
        let once = any("order", Reach::Since(0));
        j.on("order").wait("w", hours(1)).unless(once, "no").exit("known").label("no").exit("unknown");
        let store = open(&database, &catalog(), &[&j], start).await;
        let order = event("order", start, &[("order_id", text("o1"))]);
        let ada = accept(&store, "ada", order, start).await;
        advance(&store, start).await;
        run_to(&store, start.plus_ms(DAY)).await;
        let mut conn = store.read().await.expect("a connection");
        let lines = enrollments::of_contact(&mut conn, ada).await.expect("read");
        assert_eq!(lines[0].reason.as_deref(), Some("known"));
    });
}

#[test]
fn what_cannot_be_read_is_set_aside_and_the_others_go_on() {
    on_all(async |database| {
        let start = at("2026-05-01T10:00");
        let store = open(&database, &catalog(), &[&welcome()], start).await;
        accept(&store, "ada", event("signed_up", start, &[]), start).await;
        let mut tx = store.write().await.expect("a transaction");
        tx.exec("UPDATE inbox SET input = '{\"input\":{\"Later\":1}}'", Vec::new()).await.expect("damaged");
        tx.commit().await.expect("committed");
        let ben = accept(&store, "ben", event("signed_up", start, &[]), start).await;
        advance(&store, start).await;
        let mut conn = store.read().await.expect("a connection");
        assert_eq!(enrollments::of_contact(&mut conn, ben).await.expect("read").len(), 1);
        let rejected = fahrplan::store::rejected::list(&mut conn, None, 9).await.expect("read");
        assert_eq!(rejected.iter().map(|item| item.code.as_str()).collect::<Vec<_>>(), ["unreadable"]);
    });
}

#[test]
fn a_contact_that_turns_out_to_be_another_hands_over_what_it_has() {
    on_all(async |database| {
        let start = at("2026-05-01T10:00");
        let store = open(&database, &catalog(), &[&welcome()], start).await;
        let anonymous = |id: &str| Who { anonymous_id: Some(id.to_owned()), ..Who::default() };
        let send = async |who: Who, input: Input, now: Timestamp| {
            let incoming = Incoming { to: To::Who(who), message_id: None, input };
            store.accept(vec![incoming], now).await.expect("accepted");
            advance(&store, now).await;
        };
        send(anonymous("b1"), event("closed", start, &[]), start).await;
        send(who("ada"), event("signed_up", start, &[]), start).await;
        let plan = Input::Attributes { values: fields(&[("plan", text("pro"))]), at: start };
        send(who("ada"), plan, start).await;
        let both = Who { user_id: Some("ada".to_owned()), ..anonymous("b1") };
        let later = start.plus_ms(DAY);
        send(both, event("optin", later, &[]), later).await;
        advance(&store, later).await;

        let mut conn = store.read().await.expect("a connection");
        let found = contacts::by_key(&mut conn, "ada").await.expect("read").expect("there");
        assert_eq!(found.attributes.get("plan"), Some(&text("pro")), "attributes came along");
        let lines = enrollments::of_contact(&mut conn, found.id).await.expect("read");
        assert_eq!(lines.len(), 1, "and the enrollment");
        let events = fahrplan::store::events::newest(&mut conn, found.id, 9).await.expect("read");
        let names: Vec<&str> = events.iter().map(|event| &*event.name).collect();
        assert!(["closed", "signed_up", "optin"].iter().all(|name| names.contains(name)), "{names:?}");
        drop(conn);
        run_to(&store, start.plus_ms(3 * DAY)).await;
        let mut conn = store.read().await.expect("a connection");
        let lines = enrollments::of_contact(&mut conn, found.id).await.expect("read");
        assert!(lines[0].ended_at.is_some(), "which goes on to its end");
    });
}

// ---------------------------------------------------------------- against the model

/// A small generator of chance, the same on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Journeys that use what the store has to keep: waits, races, exits, goals, memberships, dates, errands, caps, consent, restarts.
pub(super) fn shop() -> (Catalog, Vec<J>) {
    let mut catalog = catalog();
    catalog.policy.caps = vec![Cap {
        channel: Some("email".into()),
        purpose: "marketing".into(),
        number: 2,
        window: CapWindow::Rolling(days(3)),
        then: Then::Wait(Some(days(2))),
    }];
    let sleeping = none("order", Reach::Within(days(4)));
    segment(&mut catalog, "sleeping", sleeping);

    let mut cart = J::new("abandoned_cart");
    cart.marketing().on("cart").exit_on("bought", on_same("order", "cart_id"));
    cart.program.per = vec!["cart_id".into()];
    cart.goal("recovered", on_same("order", "cart_id"), Some(days(7)), false);
    cart.wait("first", hours(4)).send("reminder").wait("second", days(1)).send("last").exit("done");

    let mut tagged = J::new("tagged");
    tagged.on("optin");
    tagged.program.reenter = Reenter::Restart;
    tagged.plain("tag", |next| StepKind::Add {
        attribute: "tags".into(),
        value: val(text("spring")),
        undo: Some(Undo::After(days(2))),
        next,
    });
    tagged.wait_for("answer", days(3), on("closed")).set("plan", val(text("pro"))).exit("done");

    let mut back = J::new("win_back");
    back.marketing();
    let condition = Expr::Segment("sleeping".into());
    let watched = watch(&catalog, &condition);
    back.enter(EntryHow::While { condition, watch: watched });
    back.program.reenter = Reenter::AfterExit(days(2));
    back.send("we_miss_you").wait("pause", days(1)).exit("told");

    let mut changed = J::new("upgrade");
    changed.enter(EntryHow::Change { attribute: "plan".into() });
    changed.repeat("round", 2, |j| {
        j.send("tip").wait("rest", hours(20));
    });
    changed.exit("done");
    (catalog, vec![welcome(), cart, tagged, back, changed])
}

const PEOPLE: u64 = 12;

/// What happens to whom, and when; every moment comes once.
pub(super) fn script(seed: u64) -> Vec<(Timestamp, u64, Input)> {
    let mut chance = Chance(seed * 2_654_435_769 + 1);
    let mut now = at("2026-05-01T10:00");
    let mut script = Vec::new();
    for step in 0..140 {
        now = now.plus_ms(1 + i64::try_from(chance.below(5 * 3_600_000)).expect("small"));
        let person = if step < PEOPLE { step } else { chance.below(PEOPLE) };
        let id = text(&format!("c{}", chance.below(3)));
        let input = match chance.below(9) {
            0 => event("signed_up", now, &[]),
            1 => event("optin", now, &[]),
            2 | 3 => event("cart", now, &[("cart_id", id), ("value", decimal("20"))]),
            4 => {
                let order = text(&format!("o{}", chance.below(40)));
                event("order", now, &[("order_id", order), ("cart_id", id), ("value", decimal("30"))])
            }
            5 => event("closed", now, &[]),
            6 => {
                let plan = ["free", "pro", "team"][usize::try_from(chance.below(3)).expect("small")];
                Input::Attributes { values: fields(&[("plan", text(plan))]), at: now }
            }
            _ => Input::Consent(ConsentChange {
                purpose: "marketing".into(),
                channel: "email".into(),
                permit: chance.below(4) > 0,
                at: now,
                source: "api".into(),
                evidence: None,
            }),
        };
        script.push((now, person, input));
    }
    script
}

fn first_attributes(person: u64, at: Timestamp) -> Input {
    Input::Attributes { values: fields(&[("email", text(&format!("u{person}@example.org")))]), at }
}

/// The story of each person in memory.
fn in_memory(
    catalog: &Catalog,
    programs: &[J],
    script: &[(Timestamp, u64, Input)],
    end: Timestamp,
) -> BTreeMap<u64, Vec<String>> {
    let programs: Vec<Arc<Program>> = programs.iter().map(J::build).collect();
    let mut memory = Memory::new(catalog.clone(), programs, script[0].0);
    memory.report(&[]);
    let mut known = std::collections::BTreeSet::new();
    for (at, person, input) in script {
        let contact = ContactId(i64::try_from(*person).expect("small"));
        if known.insert(*person) {
            memory.advance_to(*at);
            memory.add_contact(contact, Fields::new());
            memory.settle(contact, Cause::New);
            memory.input(contact, &first_attributes(*person, *at), *at);
        }
        match input {
            Input::Event(event) => _ = memory.event(contact, &event.name, event.fields.clone(), *at),
            other => memory.input(contact, other, *at),
        }
    }
    memory.advance_to(end);
    let mut stories: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for logged in memory.log() {
        if let Happened::Note(note) = &logged.what {
            let person = u64::try_from(logged.contact.0).expect("small");
            stories.entry(person).or_default().push(line(note));
        }
    }
    stories
}

async fn in_store(store: &Store) -> BTreeMap<u64, Vec<String>> {
    let mut stories = BTreeMap::new();
    for person in 0..PEOPLE {
        let mut conn = store.read().await.expect("a connection");
        let found = identities::find(&mut conn, &format!("u{person}")).await.expect("looked up");
        drop(conn);
        if let Some(contact) = found.first() {
            stories.insert(person, story(store, *contact).await);
        }
    }
    stories.retain(|_, story: &mut Vec<String>| !story.is_empty());
    stories
}

fn compare(seed: u64, store: &BTreeMap<u64, Vec<String>>, memory: &BTreeMap<u64, Vec<String>>) {
    for (person, expected) in memory {
        let told = store.get(person).map(Vec::as_slice).unwrap_or_default();
        let same = told.iter().zip(expected).take_while(|(a, b)| a == b).count();
        assert!(
            told == expected,
            "seed {seed}, person {person}, after {same} equal lines:\nstore  {:#?}\nmemory {:#?}",
            &told[same..told.len().min(same + 3)],
            &expected[same..expected.len().min(same + 3)]
        );
    }
    assert_eq!(store.len(), memory.len());
}

pub(super) async fn feed(store: &Store, script: &[(Timestamp, u64, Input)], known: &mut Vec<u64>) {
    for (at, person, input) in script {
        run_to(store, at.plus_ms(-1)).await;
        let name = format!("u{person}");
        if !known.contains(person) {
            known.push(*person);
            run_to(store, *at).await;
            accept(store, &name, first_attributes(*person, *at), *at).await;
        }
        accept(store, &name, input.clone(), *at).await;
        advance(store, *at).await;
    }
}

#[test]
fn the_store_tells_the_same_story_as_the_model() {
    on_all(async |database| {
        let seed = 16;
        let (catalog, programs) = shop();
        let script = script(seed);
        let end = script.last().expect("not empty").0.plus_ms(12 * DAY);
        let memory = in_memory(&catalog, &programs, &script, end);
        assert!(memory.values().map(Vec::len).sum::<usize>() > 500, "a poor script");
        let store = open(&database, &catalog, &programs.iter().collect::<Vec<_>>(), script[0].0).await;
        feed(&store, &script, &mut Vec::new()).await;
        run_to(&store, end).await;
        compare(seed, &in_store(&store).await, &memory);
    });
}

#[test]
fn an_advance_that_is_cut_off_anywhere_never_happened() {
    on_all(async |database| {
        let seed = 56;
        let (catalog, programs) = shop();
        let script = &script(seed)[..40];
        let end = script.last().expect("not empty").0.plus_ms(3 * DAY);
        let memory = in_memory(&catalog, &programs, script, end);
        let store = open(&database, &catalog, &programs.iter().collect::<Vec<_>>(), script[0].0).await;
        let mut chance = Chance(seed);
        let (mut known, mut cut) = (Vec::new(), 0);
        for (at, person, input) in script {
            run_to(&store, at.plus_ms(-1)).await;
            let name = format!("u{person}");
            if !known.contains(person) {
                known.push(*person);
                run_to(&store, *at).await;
                accept(&store, &name, first_attributes(*person, *at), *at).await;
            }
            accept(&store, &name, input.clone(), *at).await;
            // Dropping the call is what a crash is to the database: its transaction is rolled back.
            for _ in 0..3 {
                for bucket in store.buckets() {
                    let patience = Duration::from_micros(chance.below(3_000));
                    let call = advance_bucket(&store, bucket, *at, LIMIT);
                    cut += usize::from(tokio::time::timeout(patience, call).await.is_err());
                }
            }
            advance(&store, *at).await;
        }
        run_to(&store, end).await;
        // On SQLite nothing is waited for but a lock, so a call is done before anybody could cut it off.
        let may_be_cut = store.dialect() == Dialect::Postgres;
        assert!(cut > 10 || !may_be_cut, "only {cut} calls were cut off");
        compare(seed, &in_store(&store).await, &memory);
    });
}

#[test]
fn two_workers_share_the_buckets_and_do_everything_once() {
    on_all(async |database| {
        let seed = 96;
        let (catalog, programs) = shop();
        let script = &script(seed)[..60];
        let end = script.last().expect("not empty").0.plus_ms(3 * DAY);
        let memory = in_memory(&catalog, &programs, script, end);
        let store = open(&database, &catalog, &programs.iter().collect::<Vec<_>>(), script[0].0).await;
        let rival = database.open().await;
        let mut known = Vec::new();
        for (at, person, input) in script {
            run_to(&store, at.plus_ms(-1)).await;
            let name = format!("u{person}");
            if !known.contains(person) {
                known.push(*person);
                run_to(&store, *at).await;
                accept(&rival, &name, first_attributes(*person, *at), *at).await;
            }
            accept(&store, &name, input.clone(), *at).await;
            let mine = async {
                for bucket in store.buckets() {
                    advance_bucket(&store, bucket, *at, LIMIT).await.expect("advanced");
                }
            };
            let theirs = async {
                for bucket in rival.buckets().collect::<Vec<_>>().into_iter().rev() {
                    advance_bucket(&rival, bucket, *at, LIMIT).await.expect("advanced");
                }
            };
            tokio::join!(mine, theirs);
            advance(&store, *at).await;
        }
        run_to(&store, end).await;
        compare(seed, &in_store(&store).await, &memory);
    });
}

// ---------------------------------------------------------------- who leaves

/// Sends an offer and waits; a complaint sends a note and goes back to waiting, `optin` is the end of it, `closed` cuts it off.
fn offer() -> J {
    let mut j = J::new("offer");
    j.marketing().on("signed_up").send("offer").wait_for("click", days(5), on("optin")).exit("done");
    j.label("sorry").send("sorry").line("resume", None, |_, _| StepKind::Resume);
    j.handler(on("complaint"), "sorry");
    j.label("bye").send("bye").exit("cut off");
    j.handler(on("cart"), "bye");
    j.exit_on("bought", on("closed"));
    j
}

/// What has become of the mails of somebody who was sent an offer and then did that, all at once or one after another.
async fn left(database: &Database, did: &[&str], at_once: bool) -> Vec<String> {
    let start = at("2026-05-01T10:00");
    let mut catalog = catalog();
    catalog.policy.consent.clear();
    let store = open(database, &catalog, &[&offer()], start).await;
    let email = Input::Attributes { values: fields(&[("email", text("ada@example.org"))]), at: start };
    accept(&store, "ada", email, start).await;
    for name in did {
        accept(&store, "ada", event(name, start, &[]), start).await;
        for bucket in store.buckets().filter(|_| !at_once) {
            advance_bucket(&store, bucket, start, LIMIT).await.expect("advanced");
        }
    }
    for bucket in store.buckets() {
        advance_bucket(&store, bucket, start, LIMIT).await.expect("advanced");
    }
    let mut conn = store.read().await.expect("a connection");
    let counts = deliveries::counts(&mut conn).await.expect("counted");
    let told = counts.iter().map(|count| format!("{} {} {}", count.template, count.state, count.count));
    let told = told.collect();
    drop(conn);
    store.close().await;
    told
}

fn who_leaves(did: &'static [&'static str], told: &'static [&'static str]) {
    for at_once in [true, false] {
        on_all(async |database| {
            let mut found = left(&database, did, at_once).await;
            found.sort();
            assert_eq!(found, told, "at once: {at_once}");
        });
    }
}

#[test]
fn who_comes_to_the_end_of_the_way_keeps_what_was_sent_on_it() {
    who_leaves(&["signed_up", "optin"], &["offer queued 1"]);
}

#[test]
fn who_is_cut_off_gets_nothing_that_an_earlier_step_has_queued() {
    who_leaves(&["signed_up", "complaint", "closed"], &["offer cancelled 1", "sorry cancelled 1"]);
}

#[test]
fn the_last_message_of_a_handler_goes_out_and_what_came_before_does_not() {
    let told = ["bye queued 1", "offer cancelled 1", "sorry cancelled 1"];
    who_leaves(&["signed_up", "complaint", "cart"], Box::leak(Box::new(told)));
}
