//! What a deploy means for people who were there before it, while what came for them still waits.

use fahrplan::engine::program::*;
use fahrplan::engine::world::{Event as Came, Fields, Input};
use fahrplan::id::ContactId;
use fahrplan::store::import::{self, Person};
use fahrplan::store::{Store, enrollments, identities, jobs, journeys};
use fahrplan::time::Timestamp;
use fahrplan::value::Value;

use super::advancing::{accept, advance, open, who};
use super::on_all;
use crate::engine::build::*;

fn start() -> Timestamp {
    at("2026-05-01T10:00")
}

/// Whoever pays, or has had two of these events: as often as that becomes so.
fn regulars(including_existing: bool) -> J {
    let visits = aggregate(AggregateFn::Count, "closed", None, Reach::Ever);
    let condition = bin(
        BinaryOp::Or,
        is(attr("plan"), val(text("pro"))),
        bin(BinaryOp::Ge, visits, val(Value::Number(2))),
    );
    let mut j = J::new("regulars");
    j.enter(EntryHow::When { watch: watch(&catalog(), &condition), condition });
    j.program.entries[0].including_existing = including_existing;
    j.wait("patience", days(30)).exit("done");
    j
}

/// A journey that was there before, by whose entry an import asks everybody.
fn earlier() -> J {
    let condition = is(attr("plan"), val(text("team")));
    let mut j = J::new("earlier");
    j.enter(EntryHow::When { watch: watch(&catalog(), &condition), condition });
    j.exit("done");
    j
}

async fn deploy(store: &Store, programs: &[&J]) {
    let programs: Vec<Program> = programs.iter().map(|j| (*j.build()).clone()).collect();
    journeys::deploy(store, &catalog(), &programs, start()).await.expect("deployed");
}

async fn visit_quietly(store: &Store, name: &str) {
    let event = Came {
        id: 0,
        name: "closed".into(),
        occurred_at: start(),
        accepted_at: start(),
        fields: Fields::new(),
        quiet: true,
    };
    accept(store, name, Input::Event(event), start()).await;
}

async fn say_plan(store: &Store, name: &str) {
    let values = fields(&[("plan", text("pro"))]);
    accept(store, name, Input::Attributes { values, at: start() }, start()).await;
}

async fn import(store: &Store, name: &str, plan: &str) {
    let person = Person { who: who(name), attributes: fields(&[("plan", text(plan))]), consents: Vec::new() };
    import::contacts(store, &[person], start()).await.expect("imported");
}

/// All there is to do; the jobs come before the inboxes or behind them.
async fn finish(store: &Store, jobs_first: bool) {
    for jobs in [jobs_first, true, false] {
        for bucket in store.buckets() {
            while jobs && jobs::work(store, bucket, start()).await.expect("worked").is_some() {}
        }
        advance(store, start()).await;
    }
}

/// How often each of them has entered.
async fn entries(store: &Store, names: &[&'static str]) -> Vec<(&'static str, usize)> {
    let mut conn = store.read().await.expect("a connection");
    let mut entries = Vec::new();
    for name in names {
        let found: Vec<ContactId> = identities::find(&mut conn, name).await.expect("looked up");
        let lines = enrollments::of_contact(&mut conn, found[0]).await.expect("read");
        entries.push((*name, lines.iter().filter(|line| &*line.journey == "regulars").count()));
    }
    entries
}

const BEFORE: [&str; 5] = ["counted", "told", "listed", "settled", "twice"];

/// Five people of before, all of whom are in as soon as everything is taken that was accepted; nothing of it is yet.
async fn come_before(store: &Store) {
    import(store, "settled", "free").await;
    import(store, "twice", "free").await;
    advance(store, start()).await;
    for name in ["counted", "settled"] {
        visit_quietly(store, name).await;
        visit_quietly(store, name).await;
    }
    say_plan(store, "told").await;
    import(store, "listed", "pro").await;
    import(store, "twice", "pro").await;
    say_plan(store, "twice").await;
}

#[test]
fn who_was_there_before_a_journey_is_existing_whenever_its_inputs_are_taken() {
    for (including_existing, jobs_first) in [(true, true), (true, false), (false, true), (false, false)] {
        on_all(async |database| {
            let case = format!("including existing {including_existing}, jobs first {jobs_first}");
            let (earlier, regulars) = (earlier(), regulars(including_existing));
            let store = open(&database, &catalog(), &[&earlier], start()).await;
            come_before(&store).await;
            deploy(&store, &[&earlier, &regulars]).await;
            // Who comes later is new: what is told of them brings them in, and what is told quietly does not.
            say_plan(&store, "new").await;
            visit_quietly(&store, "silent").await;
            visit_quietly(&store, "silent").await;
            finish(&store, jobs_first).await;
            let times = usize::from(including_existing);
            assert_eq!(entries(&store, &BEFORE).await, BEFORE.map(|name| (name, times)), "{case}");
            assert_eq!(entries(&store, &["new", "silent"]).await, [("new", 1), ("silent", 0)], "{case}");
        });
    }
}

#[test]
fn another_version_of_a_journey_finds_nobody_new_and_nobody_twice() {
    for including_existing in [true, false] {
        on_all(async |database| {
            let (earlier, first) = (earlier(), regulars(including_existing));
            let mut second = regulars(including_existing);
            second.program.lasts = Some(days(90));
            let store = open(&database, &catalog(), &[&earlier], start()).await;
            come_before(&store).await;
            deploy(&store, &[&earlier, &first]).await;
            finish(&store, true).await;
            // Came while the journey took people in, and is new, whichever version takes them.
            say_plan(&store, "between").await;
            visit_quietly(&store, "silent").await;
            visit_quietly(&store, "silent").await;
            deploy(&store, &[&earlier, &second]).await;
            finish(&store, true).await;
            let times = usize::from(including_existing);
            assert_eq!(entries(&store, &BEFORE).await, BEFORE.map(|name| (name, times)));
            assert_eq!(entries(&store, &["between", "silent"]).await, [("between", 1), ("silent", 0)]);
            // It takes in nobody for a while: who comes meanwhile was there when it opens again.
            deploy(&store, &[&earlier]).await;
            say_plan(&store, "meanwhile").await;
            deploy(&store, &[&earlier, &second]).await;
            finish(&store, false).await;
            assert_eq!(entries(&store, &BEFORE).await, BEFORE.map(|name| (name, times)));
            assert_eq!(entries(&store, &["meanwhile"]).await, [("meanwhile", times)]);
        });
    }
}
