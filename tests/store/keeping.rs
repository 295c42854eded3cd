//! Imports, jobs over all contacts, schedules, the ledger, and forgetting.

use std::time::Duration;

use fahrplan::clock::machine_now;
use fahrplan::engine::program::*;
use fahrplan::engine::world::{Cause, ConsentChange, Fields, Input, Suppression};
use fahrplan::id::ContactId;
use fahrplan::intake::Who;
use fahrplan::store::consents;
use fahrplan::store::import::{self, Person};
use fahrplan::store::inbox::{self, Accepted, Incoming, To};
use fahrplan::store::journeys::{self, Refused, Release};
use fahrplan::store::rejected::{self, Junk};
use fahrplan::store::templates::Templates;
use fahrplan::store::{
    Arg, Dialect, Rows, Store, advance_bucket, contacts, enrollments, events, history, jobs, permissions,
    schedules, seen, suppressions,
};
use fahrplan::time::{DAY, HOUR, MINUTE, Timestamp};
use fahrplan::value::Value;

use super::accepting::waiting;
use super::advancing::{accept, advance, event, open, run_to, story, welcome, who};
use super::on_all;
use crate::engine::build::*;

fn start() -> Timestamp {
    at("2026-05-01T10:00")
}

fn person(who: Who, pairs: &[(&str, Value)]) -> Person {
    Person { who, attributes: fields(pairs), consents: Vec::new() }
}

fn anonymous(id: &str) -> Who {
    Who { anonymous_id: Some(id.to_owned()), ..Who::default() }
}

fn consent(permit: bool, at: Timestamp) -> ConsentChange {
    ConsentChange {
        purpose: "marketing".into(),
        channel: "email".into(),
        permit,
        at,
        source: "import".into(),
        evidence: Some("{\"form\":\"footer\"}".into()),
    }
}

fn only<'a>(catalog: &'a Catalog, programs: &'a [Program]) -> Release<'a> {
    static NONE: std::sync::LazyLock<Templates> = std::sync::LazyLock::new(Templates::default);
    Release { catalog, programs, templates: &NONE }
}

// ---------------------------------------------------------------- imports

#[test]
fn an_import_that_finds_two_contacts_to_be_one_hands_over_what_the_other_had() {
    on_all(async |database| {
        let store = open(&database, &catalog(), &[&welcome()], start()).await;
        let seen =
            Incoming { to: To::Who(anonymous("b1")), message_id: None, input: event("closed", start(), &[]) };
        store.accept(vec![seen], start()).await.expect("accepted");
        accept(&store, "ada", event("signed_up", start(), &[]), start()).await;
        advance(&store, start()).await;

        let both = person(Who { user_id: Some("ada".into()), ..anonymous("b1") }, &[("plan", text("pro"))]);
        let imported = import::contacts(&store, &[both], start()).await.expect("imported");
        assert_eq!((imported.new, imported.known), (0, 1));
        advance(&store, start()).await;
        advance(&store, start()).await;

        let mut conn = store.read().await.expect("a connection");
        let found = contacts::by_key(&mut conn, "ada").await.expect("read").expect("there");
        assert_eq!(found.attributes.get("plan"), Some(&text("pro")));
        let names: Vec<String> = events::newest(&mut conn, found.id, 9)
            .await
            .expect("read")
            .iter()
            .map(|event| event.name.to_string())
            .collect();
        assert!(names.contains(&"closed".to_owned()) && names.contains(&"signed_up".to_owned()), "{names:?}");
        let lines = enrollments::of_contact(&mut conn, found.id).await.expect("read");
        assert_eq!(lines.len(), 1, "the enrollment came along");
    });
}

#[test]
fn an_import_waits_for_whoever_advances_the_contact() {
    on_all(async |database| {
        let store = open(&database, &catalog(), &[&welcome()], start()).await;
        let ada = accept(&store, "ada", event("signed_up", start(), &[]), start()).await;
        advance(&store, start()).await;
        let daemon = database.open().await;
        let mut tx = daemon.write().await.expect("a transaction");
        tx.exec("UPDATE buckets SET bucket = bucket", Vec::new()).await.expect("locked");
        let importing = {
            let store = store.clone();
            let rows = vec![person(who("ada"), &[("plan", text("pro"))])];
            tokio::spawn(async move { import::contacts(&store, &rows, start()).await })
        };
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!importing.is_finished(), "it must not write what somebody else has read");
        tx.commit().await.expect("committed");
        importing.await.expect("ran").expect("imported");
        let mut conn = store.read().await.expect("a connection");
        let found = contacts::load(&mut conn, ada).await.expect("read").expect("there");
        assert_eq!(found.attributes.get("plan"), Some(&text("pro")));
    });
}

#[test]
fn an_import_enters_nobody_and_may_be_repeated() {
    on_all(async |database| {
        let (mut catalog, mut pros) = (catalog(), J::new("pros"));
        segment(&mut catalog, "pro", is(attr("plan"), val(text("pro"))));
        let condition = Expr::Segment("pro".into());
        let watched = watch(&catalog, &condition);
        pros.enter(EntryHow::When { condition, watch: watched });
        pros.send("hello").exit("done");
        let store = open(&database, &catalog, &[&pros], start()).await;
        let rows: Vec<Person> = (0..300)
            .map(|n| Person {
                consents: vec![consent(true, start())],
                ..person(who(&format!("u{n}")), &[("plan", text("pro")), ("points", Value::Number(n % 100))])
            })
            .collect();
        for new in [300, 0] {
            let imported = import::contacts(&store, &rows, start()).await.expect("imported");
            assert_eq!((imported.new, imported.known), (new, 300 - new));
        }
        advance(&store, start()).await;
        let mut conn = store.read().await.expect("a connection");
        let found = contacts::by_key(&mut conn, "u7").await.expect("read").expect("there");
        assert_eq!(found.attributes.get("points"), Some(&Value::Number(7)));
        assert_eq!(enrollments::of_contact(&mut conn, found.id).await.expect("read"), []);
        drop(conn);
        // Who becomes one later does enter.
        accept(&store, "new", event("closed", start(), &[]), start()).await;
        let plan = Input::Attributes { values: fields(&[("plan", text("pro"))]), at: start() };
        let new = accept(&store, "new", plan, start()).await;
        advance(&store, start()).await;
        let mut conn = store.read().await.expect("a connection");
        assert_eq!(enrollments::of_contact(&mut conn, new).await.expect("read").len(), 1);
    });
}

// ---------------------------------------------------------------- deploys

/// Another version of the same journey.
fn longer_welcome() -> J {
    let mut j = J::new("welcome");
    j.on("signed_up").send("hello").wait("night", days(1)).exit("done");
    j
}

#[test]
fn a_journey_with_people_inside_is_not_replaced() {
    on_all(async |database| {
        let store = open(&database, &catalog(), &[&welcome()], start()).await;
        let deploy = async |generation, program: &J, catalog: &Catalog| {
            let programs = [(*program.build()).clone()];
            let done = journeys::deploy_over(&store, generation, only(catalog, &programs), start()).await;
            done.expect("no failure").map(|done| done.generation)
        };
        accept(&store, "ada", event("signed_up", start(), &[]), start()).await;
        advance(&store, start()).await;
        let inside = Err(Refused::Inside("welcome".into(), 1));
        assert_eq!(deploy(1, &longer_welcome(), &catalog()).await, inside);
        // Rules may change while people are inside; who looked before that has to look again.
        let later = Catalog { locale: "fr".into(), ..catalog() };
        assert_eq!(deploy(1, &welcome(), &later).await, Ok(2));
        assert_eq!(deploy(1, &welcome(), &later).await, Err(Refused::Moved));
        run_to(&store, start().plus_ms(3 * DAY)).await;
        assert_eq!(deploy(2, &longer_welcome(), &later).await, Ok(3));
    });
}

#[test]
fn a_deploy_waits_for_whoever_lets_somebody_in() {
    on_all(async |database| {
        let store = open(&database, &catalog(), &[&welcome()], start()).await;
        let daemon = database.open().await;
        let mut tx = daemon.write().await.expect("a transaction");
        tx.exec("UPDATE buckets SET bucket = bucket", Vec::new()).await.expect("locked");
        let deploying = {
            let store = store.clone();
            let programs = [(*longer_welcome().build()).clone()];
            tokio::spawn(async move {
                journeys::deploy_over(&store, 1, only(&catalog(), &programs), start()).await
            })
        };
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!deploying.is_finished(), "somebody may be entering the version that it replaces");
        tx.commit().await.expect("committed");
        deploying.await.expect("ran").expect("no failure").expect("deployed");
    });
}

// ---------------------------------------------------------------- jobs and schedules

async fn finish_jobs(store: &Store, now: Timestamp) -> usize {
    let mut reached = 0;
    for bucket in store.buckets() {
        while let Some(slice) = jobs::work(store, bucket, now).await.expect("worked") {
            reached += slice;
        }
    }
    reached
}

#[test]
fn a_job_reaches_everybody_who_was_there_once() {
    on_all(async |database| {
        let store = open(&database, &catalog(), &[&welcome()], start()).await;
        finish_jobs(&store, start()).await;
        let people = |range: std::ops::Range<i32>| -> Vec<Person> {
            range.map(|n| person(who(&format!("u{n}")), &[])).collect()
        };
        import::contacts(&store, &people(0..2_500), start()).await.expect("imported");
        let before = waiting(&store).await;
        let settle = Input::Settle { cause: Cause::Deploy };
        for new in [true, false] {
            let mut tx = store.write().await.expect("a transaction");
            assert_eq!(jobs::start(&mut tx, "once", &settle).await.expect("started"), new);
            tx.commit().await.expect("committed");
        }
        import::contacts(&store, &people(2_500..2_520), start()).await.expect("imported");
        let all: Vec<i64> = store.buckets().collect();
        assert_eq!(jobs::unfinished_buckets(&store).await.expect("looked"), all);
        // Another process goes on where the first one stopped.
        let first = jobs::work(&store, 0, start()).await.expect("worked").expect("there is work");
        let other = database.open().await;
        assert_eq!(first + finish_jobs(&other, start()).await, 2_500);
        assert_eq!(waiting(&store).await - before, 2_500);
        assert_eq!(finish_jobs(&store, start()).await, 0);
        assert_eq!(jobs::unfinished_buckets(&store).await.expect("looked"), Vec::<i64>::new());
    });
}

#[test]
fn a_schedule_fires_once_for_everybody_also_after_an_outage() {
    on_all(async |database| {
        let mut weekly = J::new("weekly");
        weekly.enter(EntryHow::Weekday {
            days: Days { mask: 0x7f, working: false },
            at: clock(9, 0),
            zone: ZoneRef::Project,
        });
        weekly.exit("done");
        let store = open(&database, &catalog(), &[&weekly], start()).await;
        let ada = accept(&store, "ada", event("closed", start(), &[]), start()).await;
        advance(&store, start()).await;
        let first = schedules::look(&store, start()).await.expect("looked");
        assert_eq!((first.due.len(), first.next), (0, at("2026-05-02T09:00")));
        // Nobody ran for three days: the last firing counts, the others are left out.
        let now = at("2026-05-04T09:30");
        for due in [1, 0] {
            let schedule = schedules::look(&store, now).await.expect("looked");
            assert_eq!(schedule.due.len(), due);
            for firing in &schedule.due {
                assert_eq!((firing.at, firing.missed), (at("2026-05-04T09:00"), 3));
                let fired = schedules::fire(&store, firing, now).await.expect("fired");
                assert_eq!(fired, schedules::Fired::Started);
            }
            finish_jobs(&store, now).await;
            advance(&store, now).await;
        }
        let mut conn = store.read().await.expect("a connection");
        assert_eq!(enrollments::of_contact(&mut conn, ada).await.expect("read").len(), 1);
    });
}

#[test]
fn a_firing_for_far_more_than_the_one_before_is_held_until_somebody_lets_it() {
    on_all(async |database| {
        let mut daily = J::new("daily");
        daily.enter(EntryHow::Weekday {
            days: Days { mask: 0x7f, working: false },
            at: clock(9, 0),
            zone: ZoneRef::Project,
        });
        daily.exit("done");
        let store = open(&database, &catalog(), &[&daily], start()).await;
        let more = async |from: usize, to: usize| {
            let who = |n| Who { user_id: Some(format!("u{n}")), ..Who::default() };
            let people: Vec<Person> = (from..to).map(|n| person(who(n), &[])).collect();
            import::contacts(&store, &people, start()).await.expect("imported");
        };
        let fire = async |day: &str| {
            let now = at(&format!("{day}T09:00"));
            let due = schedules::look(&store, now).await.expect("looked").due;
            assert_eq!(due.len(), 1, "{day}");
            schedules::fire(&store, &due[0], now).await.expect("fired")
        };
        let entered = async |day: &str| {
            let now = at(&format!("{day}T09:00"));
            finish_jobs(&store, now).await;
            advance(&store, now).await;
            let status = fahrplan::store::status::read(&store, now).await.expect("read");
            status.journeys[0].entered
        };
        schedules::look(&store, start()).await.expect("looked");
        more(0, 3).await;
        assert_eq!(fire("2026-05-02").await, schedules::Fired::Started);
        assert_eq!(entered("2026-05-02").await, 3);
        // Many times as many, and yet few.
        more(3, 900).await;
        assert_eq!(fire("2026-05-03").await, schedules::Fired::Started);
        // Many, and yet not many times as many.
        more(900, 1_100).await;
        assert_eq!(fire("2026-05-04").await, schedules::Fired::Started);
        let before = entered("2026-05-04").await;
        // Both. What the last one took in is the measure, so it is made small first.
        let mut tx = store.write().await.expect("a transaction");
        const FEW: &str = "UPDATE settings SET value = '40' WHERE key = 'took daily 0'";
        assert_eq!(tx.exec(FEW, Vec::new()).await.expect("set"), 1);
        tx.commit().await.expect("committed");
        let held = fire("2026-05-05").await;
        let schedules::Fired::Held(firing) = held else { panic!("not held: {held:?}") };
        assert_eq!((firing.count, firing.most, firing.before), (1_100, 1_000, Some(40)));
        assert_eq!(entered("2026-05-05").await, before, "nobody enters");
        let status = fahrplan::store::status::read(&store, start()).await.expect("read");
        assert_eq!((status.held.len(), status.held[0].before), (1, Some(40)));
        // Nobody looks for a day. The next one takes its place: whoever lets it go on means people to enter once.
        let held = fire("2026-05-06").await;
        let schedules::Fired::Held(next) = held else { panic!("not held: {held:?}") };
        assert_ne!(firing.key, next.key);
        let released = fahrplan::store::audience::release(&store, "daily").await.expect("released");
        assert_eq!(released, [next]);
        assert_eq!(entered("2026-05-06").await, before + 1_100);
        assert_eq!(fire("2026-05-07").await, schedules::Fired::Started, "that was the measure of the next");
    });
}

// ---------------------------------------------------------------- consent and suppression

#[test]
fn a_consent_that_is_on_record_is_not_noted_again() {
    on_all(async |database| {
        let store = open(&database, &catalog(), &[], start()).await;
        let row = |consents| Person { consents, ..person(who("ada"), &[("plan", text("pro"))]) };
        let import = async |permit, at, now| {
            let imported = import::contacts(&store, &[row(vec![consent(permit, at)])], now).await;
            imported.expect("imported").withdrawn
        };
        let later = |days: i64| start().plus_ms(days * DAY);
        let agreed = later(-30);
        import(true, agreed, start()).await;
        let ada = accept(&store, "ada", Input::Settle { cause: Cause::Import }, start()).await;
        let lines = async || {
            let mut conn = store.read().await.expect("a connection");
            let ledger = permissions::ledger(&mut conn, ada).await.expect("read");
            ledger.iter().map(|line| (line.change.permit, line.change.at)).collect::<Vec<_>>()
        };
        // The same file again, and one that says the same without a date.
        import(true, agreed, later(1)).await;
        import(true, later(2), later(2)).await;
        assert_eq!(lines().await, [(true, agreed)]);
        // A link that is followed three times withdraws once.
        for day in [3, 3, 4] {
            accept(&store, "ada", Input::Consent(consent(false, later(day))), later(day)).await;
            advance(&store, later(day)).await;
        }
        let withdrawn = [(true, agreed), (false, later(3))];
        assert_eq!(lines().await, withdrawn);
        // The old files change nothing, and do not overrule her.
        assert_eq!(import(true, agreed, later(5)).await, 0);
        assert_eq!(import(true, later(6), later(6)).await, 1);
        assert_eq!(lines().await, withdrawn);
        let mut people = [row(vec![consent(true, later(6)), consent(true, agreed)])];
        assert_eq!(consents::drop_known(&store, &mut people, later(6)).await.expect("read"), 1);
        assert_eq!(people[0].consents, []);
        // What she agrees to later does.
        assert_eq!(import(true, later(7), later(8)).await, 0);
        assert_eq!(lines().await[2..], [(true, later(7))]);
    });
}

#[test]
fn a_grant_of_before_the_last_refusal_does_not_count() {
    on_all(async |database| {
        let mut offer = J::new("offer");
        offer.marketing().on("signed_up").send("deal").exit("done");
        let store = open(&database, &catalog(), &[&offer], start()).await;
        let email = [("email", text("ada@example.org"))];
        import::contacts(&store, &[person(who("ada"), &email)], start()).await.expect("imported");
        let later = |days: i64| start().plus_ms(days * DAY);
        // The second refusal says nothing new, and yet it is the last word: the grant is older and only comes late.
        for (permit, day) in [(true, 1), (false, 2), (false, 4), (true, 3)] {
            accept(&store, "ada", Input::Consent(consent(permit, later(day))), later(5)).await;
            advance(&store, later(5)).await;
        }
        let ada = accept(&store, "ada", event("signed_up", later(5), &[]), later(5)).await;
        advance(&store, later(5)).await;
        let told = story(&store, ada).await;
        assert!(!told.iter().any(|line| line.ends_with("queued email deal")), "{told:#?}");
    });
}

#[test]
fn the_ledger_keeps_every_change_and_the_latest_counts() {
    on_all(async |database| {
        let mut offer = J::new("offer");
        offer.marketing().on("signed_up").send("deal").exit("done");
        let store = open(&database, &catalog(), &[&offer], start()).await;
        let email = [("email", text("Ada@Example.org"))];
        let rows = [Person {
            // The older change comes later: it goes into the ledger and changes nothing.
            consents: vec![consent(true, start()), consent(false, start().plus_ms(-DAY))],
            ..person(who("ada"), &email)
        }];
        import::contacts(&store, &rows, start()).await.expect("imported");
        let ada = accept(&store, "ada", event("signed_up", start(), &[]), start()).await;
        advance(&store, start()).await;
        let told = story(&store, ada).await;
        assert!(told.iter().any(|line| line.ends_with("queued email deal")), "{told:#?}");
        let mut conn = store.read().await.expect("a connection");
        let ledger = permissions::ledger(&mut conn, ada).await.expect("read");
        let lines: Vec<_> = ledger.iter().map(|line| (line.change.permit, line.change.at)).collect();
        assert_eq!(lines, [(true, start()), (false, start().plus_ms(-DAY))]);
        assert_eq!(ledger[0].change, consent(true, start()));
    });
}

#[test]
fn a_suppressed_address_is_known_however_it_is_written() {
    on_all(async |database| {
        let mut note = J::new("note");
        note.on("signed_up").send("receipt").exit("done");
        let store = open(&database, &catalog(), &[&note], start()).await;
        let mut tx = store.write().await.expect("a transaction");
        for reason in ["bounce", "complaint"] {
            let row = Suppression {
                channel: "email".into(),
                address: "ada@example.org".into(),
                reason: reason.into(),
                at: start(),
            };
            suppressions::suppress(&mut tx, &[&row]).await.expect("suppressed, also twice");
        }
        tx.commit().await.expect("committed");
        let rows = [person(who("ada"), &[("email", text("Ada@Example.ORG"))])];
        import::contacts(&store, &rows, start()).await.expect("imported");
        let ada = accept(&store, "ada", event("signed_up", start(), &[]), start()).await;
        advance(&store, start()).await;
        let told = story(&store, ada).await;
        assert!(told.iter().any(|line| line.contains("suppressed")), "{told:#?}");
        assert!(!told.iter().any(|line| line.contains("queued")), "{told:#?}");
    });
}

#[test]
fn a_changed_address_finds_the_contact_and_the_old_one_does_not() {
    on_all(async |database| {
        let mut j = J::new("rename");
        j.on("signed_up").set("email", val(text("new@example.org"))).exit("done");
        let store = open(&database, &catalog(), &[&j], start()).await;
        let rows = [person(
            Who { email: Some("old@example.org".into()), ..who("ada") },
            &[("email", text("old@example.org"))],
        )];
        import::contacts(&store, &rows, start()).await.expect("imported");
        let ada = accept(&store, "ada", event("signed_up", start(), &[]), start()).await;
        advance(&store, start()).await;
        let mut conn = store.read().await.expect("a connection");
        let find = async |conn: &mut _, key| {
            contacts::by_key(conn, key).await.expect("read").map(|contact| contact.id)
        };
        assert_eq!(find(&mut conn, "new@example.org").await, Some(ada));
        assert_eq!(find(&mut conn, "old@example.org").await, None);
    });
}

// ---------------------------------------------------------------- forgetting

#[test]
fn an_event_that_is_kept_no_longer_was_still_the_first() {
    on_all(async |database| {
        let mut first = J::new("first");
        first.enter(EntryHow::FirstEvent(vec!["optin".into()]));
        first.exit("done");
        let store = open(&database, &catalog(), &[&first], start()).await;
        let ada = accept(&store, "ada", event("optin", start(), &[]), start()).await;
        advance(&store, start()).await;
        let later = start().plus_ms(500 * DAY);
        for bucket in store.buckets() {
            let mut after = ContactId(0);
            loop {
                let next = events::forget(&store, bucket, &catalog(), after, later).await.expect("forgotten");
                let Some(next) = next else { break };
                after = next;
            }
        }
        let mut conn = store.read().await.expect("a connection");
        assert_eq!(events::newest(&mut conn, ada, 9).await.expect("read"), []);
        drop(conn);
        accept(&store, "ada", event("optin", later, &[]), later).await;
        let ben = accept(&store, "ben", event("optin", later, &[]), later).await;
        advance(&store, later).await;
        let mut conn = store.read().await.expect("a connection");
        for (contact, entered) in [(ada, 1), (ben, 1)] {
            assert_eq!(enrollments::of_contact(&mut conn, contact).await.expect("read").len(), entered);
        }
    });
}

#[test]
fn old_decisions_are_forgotten_in_slices_and_new_ones_stay() {
    on_all(async |database| {
        let store = open(&database, &catalog(), &[&welcome()], start()).await;
        let mut people = Vec::new();
        for n in 0..10 {
            people.push(accept(&store, &format!("u{n}"), event("signed_up", start(), &[]), start()).await);
        }
        advance(&store, start()).await;
        let border = store.new_id();
        run_to(&store, start().plus_ms(3 * DAY)).await;
        for bucket in store.buckets() {
            for _ in 0..10 {
                let mut tx = store.write().await.expect("a transaction");
                assert!(history::forget(&mut tx, bucket, border, 3).await.expect("forgotten") <= 3);
                tx.commit().await.expect("committed");
            }
        }
        for contact in people {
            let told = story(&store, contact).await;
            assert!(!told.iter().any(|line| line.ends_with("Entered")), "{told:#?}");
            assert!(told.iter().any(|line| line.contains("Exited")), "{told:#?}");
        }
    });
}

#[test]
fn a_message_id_of_this_week_is_not_forgotten() {
    on_all(async |database| {
        let store = open(&database, &catalog(), &[&welcome()], start()).await;
        let item = || Incoming {
            to: To::Who(who("ada")),
            message_id: Some("m1".into()),
            input: event("closed", start(), &[]),
        };
        store.accept(vec![item()], start()).await.expect("accepted");
        // An old one beside it.
        let old = match store.dialect() {
            Dialect::Sqlite => {
                "INSERT INTO seen_log (id, week, hashes) SELECT id - 1, 1, hashes FROM seen_log"
            }
            Dialect::Postgres => "INSERT INTO seen (bucket, week, hash) SELECT bucket, 1, hash FROM seen",
        };
        let mut tx = store.write().await.expect("a transaction");
        tx.exec(old, Vec::new()).await.expect("inserted");
        tx.commit().await.expect("committed");
        let forgotten = seen::forget(&store).await.expect("forgotten");
        assert_eq!(forgotten, 1);
        let again = store.accept(vec![item()], start()).await.expect("accepted");
        assert_eq!(again, [Accepted::Repeated]);
    });
}

#[test]
fn message_ids_that_an_older_program_has_noted_are_known_and_forgotten_a_slice_at_a_time() {
    on_all(async |database| {
        let store = open(&database, &catalog(), &[&welcome()], start()).await;
        let week = machine_now().0.div_euclid(7 * DAY);
        let note = async |id: &str, week: i64| {
            let hash = blake3::hash(id.as_bytes());
            let buckets = store.settings().buckets.cast_unsigned();
            let first = u64::from_be_bytes(hash.as_bytes()[..8].try_into().expect("8 bytes"));
            let row = [
                Arg::I64((first % buckets).cast_signed()),
                week.into(),
                hash.as_bytes()[..16].to_vec().into(),
            ];
            let mut tx = store.write().await.expect("a transaction");
            let note = "INSERT INTO seen (bucket, week, hash) VALUES ($1, $2, $3)";
            tx.exec(note, row.into()).await.expect("noted");
            tx.commit().await.expect("committed");
        };
        for (id, week) in [("m0", week - 2), ("m1", week - 1), ("m2", week), ("m3", week + 1)] {
            note(id, week).await;
        }
        let mut many = Rows::default();
        for number in 0..5_007_i64 {
            many.push([Arg::I64(0), Arg::I64(number % 3), number.to_be_bytes().to_vec().into()]);
        }
        let mut tx = store.write().await.expect("a transaction");
        tx.exec_rows("INSERT INTO seen (bucket, week, hash) {IIB}", many, &[]).await.expect("inserted");
        tx.commit().await.expect("committed");
        assert_eq!(seen::forget(&store).await.expect("forgotten"), 5_008);
        assert_eq!(seen::forget(&store).await.expect("nothing is left"), 0);
        let item = |id: &str| Incoming {
            to: To::Who(who("ada")),
            message_id: Some(id.to_owned()),
            input: event("closed", start(), &[]),
        };
        let items = ["m0", "m1", "m2", "m3", "m4", "m4"].map(item).to_vec();
        let accepted = store.accept(items, start()).await.expect("accepted");
        let is_new = accepted.iter().map(|accepted| matches!(accepted, Accepted::Taken(_)));
        assert_eq!(is_new.collect::<Vec<_>>(), [true, false, false, false, true, false]);
        let again = store.accept(vec![item("m4")], start()).await.expect("accepted");
        assert_eq!(again, [Accepted::Repeated]);
    });
}

#[test]
fn what_is_put_into_an_inbox_by_hand_is_taken_like_the_rest() {
    on_all(async |database| {
        let store = open(&database, &catalog(), &[&welcome()], start()).await;
        let ada = accept(&store, "ada", event("closed", start(), &[]), start()).await;
        let mut tx = store.write().await.expect("a transaction");
        let plan = Input::Attributes { values: Fields::from([("plan".into(), text("pro"))]), at: start() };
        inbox::enqueue(&mut tx, vec![(ada, plan)], start()).await.expect("put in");
        tx.commit().await.expect("committed");
        let due = store.due();
        store.wake();
        assert!(due.has_changed().expect("the store lives"));
        advance(&store, start().plus_ms(HOUR)).await;
        let idle = advance_bucket(&store, 0, start().plus_ms(HOUR + MINUTE), 10).await.expect("looked");
        assert_eq!((idle.taken, idle.more, idle.locked), (0, false, false));
        let mut conn = store.read().await.expect("a connection");
        let found = contacts::load(&mut conn, ada).await.expect("read").expect("there");
        assert_eq!(found.attributes.get("plan"), Some(&text("pro")));
    });
}

#[test]
fn rejected_items_that_are_thrown_away_are_gone_and_the_others_stay() {
    on_all(async |database| {
        let store = database.open().await;
        let bad = |code: &'static str, reason: &str| {
            ("{}".to_owned(), fahrplan::intake::Rejected { code, reason: reason.to_owned() })
        };
        let items = vec![bad("odd", "one"), bad("odd", "two"), bad("even", "two"), bad("even", "three")];
        rejected::keep(&store, "http", items, start()).await.expect("kept");
        let listed = async || {
            let mut conn = store.read().await.expect("a connection");
            let count = rejected::count(&mut conn).await.expect("counted");
            let list = rejected::list(&mut conn, None, 9).await.expect("read");
            assert_eq!(usize::try_from(count), Ok(list.len()));
            list
        };
        let reasons = async || listed().await.into_iter().map(|item| item.reason).collect::<Vec<_>>();
        let first = listed().await.pop().expect("the oldest").id;
        let discard = async |junk: &[Junk]| rejected::discard(&store, junk).await.expect("thrown away");
        assert_eq!(discard(&[Junk::One(first), Junk::One(first), Junk::One(7)]).await, [1, 0, 0]);
        assert_eq!(reasons().await, ["three", "two", "two"]);
        assert_eq!(discard(&[Junk::All("two".to_owned()), Junk::All("odd".to_owned())]).await, [2, 0]);
        assert_eq!(reasons().await, ["three"]);
        assert_eq!(discard(&[Junk::All("even".to_owned())]).await, [1]);
        assert!(listed().await.is_empty());
    });
}
