//! Steps: sending, branching, looping, setting, and the ways in which a journey ends.

use fahrplan::engine::program::*;
use fahrplan::value::Value;

use super::build::*;

#[test]
fn a_simple_journey_sends_waits_branches_and_exits() {
    let mut j = J::new("welcome");
    j.on("signed_up");
    let click = on("optin");
    j.send("hello").wait_for("click", days(2), click);
    let happened = j.field("click", "happened");
    j.unless(happened, "missed").send("thanks").exit("done").label("missed").exit("never");
    Play::new(catalog(), &[&j], "2026-03-27T09:00")
        .event("2026-03-27T10:00", "signed_up", &[])
        .event("2026-03-28T10:00", "optin", &[])
        .until("2026-05-01T00:00")
        .tells(&[
            "03-27 10:00 enter",
            "03-27 10:00 send email hello",
            "03-28 10:00 send email thanks",
            "03-28 10:00 exit done",
        ]);
    Play::new(catalog(), &[&j], "2026-03-27T09:00")
        .event("2026-03-27T10:00", "signed_up", &[])
        .until("2026-05-01T00:00")
        .tells(&["03-27 10:00 enter", "03-27 10:00 send email hello", "03-29 10:00 exit never"]);
}

#[test]
fn a_transition_sees_its_own_changes() {
    let mut j = J::new("own");
    j.on("signed_up");
    j.set("plan", val(text("pro"))).record("optin", &[]);
    let both = bin(BinaryOp::And, is(attr("plan"), val(text("pro"))), any("optin", Reach::Since(0)));
    j.unless(both, "blind").exit("seen").label("blind").exit("blind");
    let mut play = Play::new(catalog(), &[&j], "2026-03-27T09:00");
    play.event("2026-03-27T10:00", "signed_up", &[]).tells(&["03-27 10:00 enter", "03-27 10:00 exit seen"]);
    assert_eq!(play.memory.attribute(ADA, "plan"), text("pro"));
}

#[test]
fn a_loop_counts_its_rounds_and_each_round_is_another_delivery() {
    let mut j = J::new("loop");
    j.on("signed_up");
    j.repeat("round", 3, |j| {
        j.send("again").wait("pause", days(1));
    });
    j.exit("done");
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T09:00");
    play.event("2026-05-01T10:00", "signed_up", &[]).until("2026-06-01T00:00").tells(&[
        "05-01 10:00 enter",
        "05-01 10:00 send email again",
        "05-02 10:00 send email again",
        "05-03 10:00 send email again",
        "05-04 10:00 exit done",
    ]);
    let rounds: Vec<u32> = play
        .memory
        .log()
        .iter()
        .filter_map(|logged| match &logged.what {
            fahrplan::engine::memory::Happened::Send(delivery) => Some(delivery.round),
            _ => None,
        })
        .collect();
    assert_eq!(rounds, [1, 2, 3]);
}

#[test]
fn a_storm_without_a_rest_is_stopped_and_noted() {
    let mut j = J::new("storm");
    j.on("signed_up");
    j.label("again").record("optin", &[]).go("again");
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T09:00");
    let story = play.event("2026-05-01T10:00", "signed_up", &[]).story();
    assert!(story.iter().any(|line| line.contains("odd: more than 5000 steps")), "{story:?}");
    assert!(story.iter().any(|line| line.ends_with("exit failed")), "{story:?}");
}

#[test]
fn journeys_that_start_each_other_are_stopped_and_noted() {
    let start = |name: &str, other: &'static str| {
        let mut j = J::new(name);
        j.enter(EntryHow::Start { arguments: Vec::new() });
        j.plain("start", move |next| StepKind::StartJourney {
            journey: other.into(),
            with: Vec::new(),
            next,
        });
        j.exit("done");
        j
    };
    let (a, b) = (start("a", "b"), start("b", "a"));
    let mut play = Play::new(catalog(), &[&a, &b], "2026-05-01T09:00");
    let story = play.start("2026-05-01T10:00", "a", &[]).story();
    assert!(story.iter().any(|line| line.contains("odd: one input caused more than 200")), "{story:?}");
}

#[test]
fn numbers_and_lists_grow_and_shrink_within_their_range() {
    let mut j = J::new("points");
    j.on("signed_up");
    let add = |attribute: &'static str, value: Value, undo: Option<Undo>| {
        move |next| StepKind::Add {
            attribute: attribute.into(),
            value: val(value.clone()),
            undo: undo.clone(),
            next,
        }
    };
    j.plain("a", add("points", Value::Number(70), None)).plain("b", add("points", Value::Number(70), None));
    j.plain("c", add("tags", text("spring"), Some(Undo::After(days(7)))));
    j.plain("d", add("tags", text("care"), Some(Undo::AtExit)));
    j.wait("w", days(3)).exit("done");
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T09:00");
    play.event("2026-05-01T10:00", "signed_up", &[]);
    let list = |words: &[&str]| Value::List(words.iter().map(|word| text(word)).collect());
    assert_eq!(play.memory.attribute(ADA, "points"), Value::Number(100));
    assert_eq!(play.memory.attribute(ADA, "tags"), list(&["spring", "care"]));
    play.until("2026-05-05T00:00");
    assert_eq!(play.memory.attribute(ADA, "tags"), list(&["spring"]));
    // Adding again extends: the second enrollment came on 6 May, so the tag stays until the 13th.
    play.event("2026-05-06T10:00", "signed_up", &[]).until("2026-05-09T00:00");
    assert_eq!(play.memory.attribute(ADA, "tags"), list(&["spring", "care"]));
    play.until("2026-05-13T09:59");
    assert_eq!(play.memory.attribute(ADA, "tags"), list(&["spring"]));
    play.until("2026-05-13T10:00");
    assert_eq!(play.memory.attribute(ADA, "tags"), list(&[]));
}

#[test]
fn a_switch_takes_the_case_or_the_rest() {
    let mut j = J::new("switch");
    j.on("signed_up");
    j.line("switch", None, |to, _| StepKind::Switch {
        subject: attr("plan"),
        cases: vec![(vec![text("pro"), text("team")], to("paid"))],
        otherwise: to("rest"),
    });
    j.label("paid").exit("paid").label("rest").exit("free");
    for (plan, exit) in [("free", "free"), ("team", "paid"), ("pro", "paid")] {
        let mut play = Play::new(catalog(), &[&j], "2026-05-01T09:00");
        play.attributes("2026-05-01T09:30", &[("plan", text(plan))]);
        play.event("2026-05-01T10:00", "signed_up", &[]);
        play.tells(&["05-01 10:00 enter", &format!("05-01 10:00 exit {exit}")]);
    }
}

#[test]
fn a_split_is_stable_for_a_contact_and_can_be_prescribed() {
    let mut j = J::new("split");
    j.on("signed_up");
    j.line("split", None, |to, _| StepKind::Split {
        name: "style".into(),
        variants: vec![
            ("a".into(), "50".parse().expect("a share"), to("a")),
            ("b".into(), "50".parse().expect("a share"), to("b")),
        ],
    });
    j.label("a").exit("a").label("b").exit("b");
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T09:00");
    play.event("2026-05-01T10:00", "signed_up", &[]).event("2026-05-02T10:00", "signed_up", &[]);
    let story = play.story();
    assert_eq!(story[1][6..], story[3][6..], "the same variant each time");
    for variant in ["a", "b"] {
        let mut play = Play::new(catalog(), &[&j], "2026-05-01T09:00");
        play.memory.force_variant("style", variant);
        play.event("2026-05-01T10:00", "signed_up", &[]);
        play.tells(&["05-01 10:00 enter", &format!("05-01 10:00 exit {variant}")]);
    }
}
