//! Work, requests, child journeys, handlers and goals.

use fahrplan::engine::program::*;
use fahrplan::value::Value;

use super::build::*;

fn call(j: &mut J, id: &'static str, limit: fahrplan::time::Calendar) {
    let slot = j.slot(id, SlotKind::Task);
    j.line(id, Some(slot), move |_, next| {
        StepKind::Work(Box::new(Work {
            verb: "call".into(),
            task: "winback".into(),
            team: "sales".into(),
            with: Vec::new(),
            limit,
            purpose: "transactional".into(),
            next,
        }))
    });
}

fn outcome_is(j: &J, slot: &str, word: &str) -> Expr {
    is(j.field(slot, "outcome"), val(text(word)))
}

#[test]
fn a_call_waits_for_the_teams_hours_and_comes_back_or_expires() {
    let mut rules = catalog();
    let hours = Hours { days: WEEKDAYS, from: clock(9, 0), to: clock(18, 0), zone: ZoneRef::Project };
    rules.teams.insert("sales".into(), Team { hours: Some(hours) });
    let mut j = J::new("calls");
    j.on("signed_up");
    call(&mut j, "talk", days(5));
    let reached = outcome_is(&j, "talk", "reached");
    let expired = outcome_is(&j, "talk", "expired");
    j.unless(reached, "not").exit("reached").label("not").unless(expired, "else").exit("expired");
    j.label("else").exit("else");
    let mut play = Play::new(rules.clone(), &[&j], "2026-05-01T00:00");
    play.attributes("2026-05-01T10:00", &[("phone", text("+4930123456"))]);
    // Friday evening: due on Monday morning.
    play.event("2026-05-08T20:00", "signed_up", &[]).outcome("2026-05-11T10:00", "talk", "reached");
    play.until("2026-06-01T00:00");
    play.tells(&[
        "05-08 20:00 enter",
        "05-08 20:00 call winback due 05-11 09:00",
        "05-11 10:00 exit reached",
    ]);
    play.event("2026-06-01T10:00", "signed_up", &[]).until("2026-07-01T00:00");
    play.tells(&[
        "06-01 10:00 enter",
        "06-01 10:00 call winback due 06-01 10:00",
        "06-06 10:00 exit expired",
    ]);
    // An answer that comes after the limit counts no more.
    play.outcome("2026-07-01T10:00", "talk", "reached").tells(&[]);
    // Nobody to call: never made, and expired at once.
    play.attributes("2026-07-02T10:00", &[("phone", Value::Unknown)]).event(
        "2026-07-02T11:00",
        "signed_up",
        &[],
    );
    play.tells(&["07-02 11:00 enter", "07-02 11:00 skip phone: unreachable", "07-02 11:00 exit expired"]);
}

#[test]
fn a_request_rests_until_it_is_answered_or_has_failed_for_good() {
    let mut j = J::new("voucher");
    let slot = j.slot("voucher", SlotKind::Request);
    j.on("signed_up");
    j.line("voucher", Some(slot), |to, next| StepKind::Request {
        endpoint: "voucher.issue".into(),
        with: Vec::new(),
        next,
        failed: to("failed"),
    });
    let code = is(j.field("voucher", "code"), val(text("A1")));
    j.unless(code, "failed").exit("got_it").label("failed").exit("no_voucher");
    for (outcome, exit) in [("answered", "got_it"), ("failed", "no_voucher")] {
        let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
        play.event("2026-05-04T10:00", "signed_up", &[]);
        play.outcome_with("2026-05-04T10:01", "voucher", outcome, &[("code", text("A1"))]);
        play.tells(&[
            "05-04 10:00 enter",
            "05-04 10:00 request voucher.issue",
            &format!("05-04 10:01 exit {exit}"),
        ]);
    }
}

#[test]
fn a_child_journey_tells_its_exit_and_a_limit_goes_on_without_it() {
    let mut child = J::new("care");
    child.enter(EntryHow::Start { arguments: Vec::new() });
    child.wait("w", days(2)).exit("cared");
    let parent = |journey: &'static str, limit: Option<i32>| {
        let mut j = J::new("parent");
        let slot = j.slot("care", SlotKind::Child);
        j.on("signed_up").line("care", Some(slot), move |_, next| StepKind::RunJourney {
            journey: journey.into(),
            with: Vec::new(),
            limit: limit.map(days),
            next,
        });
        for exit in ["cared", "expired", "not_entered"] {
            let this = is(j.field("care", "exit"), val(text(exit)));
            let next: &'static str = format!("not {exit}").leak();
            j.unless(this, next).exit(exit).label(next);
        }
        j.exit("else");
        j
    };
    for (journey, limit, story) in [
        ("care", None, vec!["05-06 10:00 exit cared", "05-06 10:00 exit cared"]),
        ("care", Some(1), vec!["05-05 10:00 exit expired", "05-06 10:00 exit cared"]),
    ] {
        let mut play = Play::new(catalog(), &[&child, &parent(journey, limit)], "2026-05-01T00:00");
        play.event("2026-05-04T10:00", "signed_up", &[]).until("2026-06-01T00:00");
        assert_eq!(play.story()[2..], story, "{limit:?}");
    }
    let mut play = Play::new(catalog(), &[&child, &parent("gone", None)], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]);
    play.tells(&[
        "05-04 10:00 enter",
        "05-04 10:00 odd: there is no journey gone that can be started",
        "05-04 10:00 exit not_entered",
    ]);
}

/// Waits ten days for `optin`; a complaint sends a note, waits two days and resumes.
fn handles() -> J {
    let mut j = J::new("handles");
    j.on("signed_up").wait_for("main", days(10), on("optin"));
    let happened = j.field("main", "happened");
    j.unless(happened, "missed").exit("came").label("missed").exit("missed");
    j.label("handler").send("sorry").wait("calm", days(2)).line("resume", None, |_, _| StepKind::Resume);
    j.handler(on("complaint"), "handler");
    j
}

#[test]
fn a_handler_suspends_the_main_line_whose_timers_keep_their_time() {
    let j = handles();
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-05T10:00", "complaint", &[]);
    play.until("2026-06-01T00:00");
    play.tells(&["05-04 10:00 enter", "05-05 10:00 send email sorry", "05-14 10:00 exit missed"]);
    // The deadline passes while the handler runs: it counts when the main line goes on.
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-13T10:00", "complaint", &[]);
    play.until("2026-06-01T00:00");
    play.tells(&["05-04 10:00 enter", "05-13 10:00 send email sorry", "05-15 10:00 exit missed"]);
}

#[test]
fn what_the_main_line_waits_for_is_not_lost_while_a_handler_runs() {
    let j = handles();
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-05T10:00", "complaint", &[]);
    play.event("2026-05-06T10:00", "optin", &[]).until("2026-06-01T00:00");
    play.tells(&["05-04 10:00 enter", "05-05 10:00 send email sorry", "05-07 10:00 exit came"]);
}

#[test]
fn handlers_queue_and_each_run_is_another_delivery() {
    let j = handles();
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]);
    play.event("2026-05-05T10:00", "complaint", &[]).event("2026-05-05T11:00", "complaint", &[]);
    play.until("2026-06-01T00:00");
    play.tells(&[
        "05-04 10:00 enter",
        "05-05 10:00 send email sorry",
        "05-07 10:00 send email sorry",
        "05-14 10:00 exit missed",
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
    assert_ne!(rounds[0], rounds[1]);
}

#[test]
fn a_handler_that_goes_to_a_stage_gives_the_main_line_up() {
    let mut j = J::new("goes");
    j.on("signed_up").wait("main", days(10)).exit("done");
    j.label("stage").send("stage").wait("stage_wait", days(3)).exit("stage");
    // The stage belongs to the main line, as stages do: a path from the first step leads there.
    let missed = j.field("main", "missed");
    j.label("first").unless(missed, "stage");
    j.label("handler").send("sorry").go("stage");
    j.handler(on("complaint"), "handler");
    let mut reachable = J::new("goes");
    reachable.on("signed_up").unless(yes(true), "stage").wait("main", days(10)).exit("done");
    reachable.label("stage").send("stage").wait("stage_wait", days(3)).exit("stage");
    reachable.label("handler").send("sorry").go("stage");
    reachable.handler(on("complaint"), "handler");
    let mut play = Play::new(catalog(), &[&reachable], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-05T10:00", "complaint", &[]);
    // It is the main line again, so another complaint interrupts it again.
    play.event("2026-05-06T10:00", "complaint", &[]).until("2026-06-01T00:00");
    play.tells(&[
        "05-04 10:00 enter",
        "05-05 10:00 send email sorry",
        "05-05 10:00 send email stage",
        "05-06 10:00 send email sorry",
        "05-06 10:00 send email stage",
        "05-09 10:00 exit stage",
    ]);
}

#[test]
fn an_exit_in_a_handler_ends_the_enrollment_and_withdraws_what_is_queued() {
    let mut j = J::new("exits");
    j.on("signed_up").wait("main", days(10)).exit("done").label("handler").exit("complained");
    j.handler(on("complaint"), "handler");
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-05T10:00", "complaint", &[]);
    play.tells(&["05-04 10:00 enter", "05-05 10:00 exit complained", "05-05 10:00 withdraw"]);
}

#[test]
fn goals_count_once_from_entry_even_after_the_exit_until_their_time_is_over() {
    let order = |id: &str| [("order_id", text(id))];
    let mut j = J::new("goals");
    j.on("signed_up").wait("w", days(2)).exit("done");
    j.goal("bought", on("order"), Some(days(7)), false);
    j.goal("now", on("order"), None, false);
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T09:00", "order", &order("o0")).event("2026-05-04T10:00", "signed_up", &[]);
    play.event("2026-05-11T10:00", "order", &order("o1")).event("2026-05-11T10:00", "order", &order("o2"));
    play.tells(&["05-04 10:00 enter", "05-06 10:00 exit done", "05-11 10:00 goal bought"]);
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-05T10:00", "order", &order("o1"));
    play.event("2026-05-11T10:01", "order", &order("o2"));
    play.tells(&[
        "05-04 10:00 enter",
        "05-05 10:00 goal bought",
        "05-05 10:00 goal now",
        "05-06 10:00 exit done",
    ]);
    let world = play.until("2026-06-01T00:00").memory.world(ADA).expect("Ada");
    assert!(world.enrollments.is_empty(), "nothing is left to listen to");
}

#[test]
fn a_goal_with_then_exit_does_both() {
    let mut j = J::new("goals");
    j.on("signed_up").wait("w", days(20)).exit("done");
    j.goal("bought", on("order"), Some(days(7)), true);
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-05T10:00", "order", &[]);
    play.tells(&[
        "05-04 10:00 enter",
        "05-05 10:00 exit bought",
        "05-05 10:00 goal bought",
        "05-05 10:00 withdraw",
    ]);
}

#[test]
fn a_grant_carries_its_evidence() {
    let mut j = J::new("optin");
    j.on("signed_up").wait_for("click", days(2), on("optin"));
    j.plain("grant", |next| StepKind::Grant {
        purpose: "marketing".into(),
        channels: vec!["email".into()],
        evidence: Some("optin".into()),
        next,
    });
    j.exit("done");
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.memory.keep_changes();
    // The one before the entry proves nothing.
    play.event("2026-05-04T09:00", "optin", &[]).event("2026-05-04T10:00", "signed_up", &[]);
    play.event("2026-05-04T11:00", "optin", &[]);
    let changes = play.memory.take_changes();
    let grant = changes.iter().flat_map(|changes| &changes.consents).next().expect("a row of the ledger");
    assert!(grant.permit && &*grant.source == "journey");
    let evidence = grant.evidence.as_deref().expect("evidence");
    assert!(evidence.contains("optin") && evidence.contains("2026-05-04T09:00:00Z"), "{evidence}");
}

#[test]
fn a_child_that_ends_at_once_or_is_refused_lets_the_parent_go_on() {
    let mut child = J::new("care");
    child.enter(EntryHow::Start { arguments: Vec::new() });
    child.exit("cared");
    child.program.reenter = Reenter::Never;
    let mut j = J::new("parent");
    let slot = j.slot("care", SlotKind::Child);
    j.on("signed_up").line("care", Some(slot), move |_, next| StepKind::RunJourney {
        journey: "care".into(),
        with: Vec::new(),
        limit: None,
        next,
    });
    let cared = is(j.field("care", "exit"), val(text("cared")));
    let refused = is(j.field("care", "exit"), val(text("not_entered")));
    j.unless(cared, "no").exit("cared").label("no").unless(refused, "else").exit("refused");
    j.label("else").exit("else");
    let mut play = Play::new(catalog(), &[&child, &j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-05T10:00", "signed_up", &[]);
    play.tells(&[
        "05-04 10:00 enter",
        "05-04 10:00 enter",
        "05-04 10:00 exit cared",
        "05-04 10:00 exit cared",
        "05-05 10:00 enter",
        "05-05 10:00 not entered: was in this journey before",
        "05-05 10:00 exit refused",
    ]);
}

#[test]
fn a_parent_that_ends_leaves_its_child_alone() {
    let mut child = J::new("care");
    child.enter(EntryHow::Start { arguments: Vec::new() });
    child.wait("w", days(2)).exit("cared");
    let mut j = J::new("parent");
    let slot = j.slot("care", SlotKind::Child);
    j.on("signed_up").line("care", Some(slot), move |_, next| StepKind::RunJourney {
        journey: "care".into(),
        with: Vec::new(),
        limit: None,
        next,
    });
    j.exit("done").exit_on("closed", on("closed"));
    let mut play = Play::new(catalog(), &[&child, &j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-05T10:00", "closed", &[]);
    play.until("2026-06-01T00:00").tells(&[
        "05-04 10:00 enter",
        "05-04 10:00 enter",
        "05-05 10:00 exit closed",
        "05-05 10:00 withdraw",
        "05-06 10:00 exit cared",
    ]);
}

#[test]
fn what_is_out_comes_back_though_a_handler_runs_and_an_exit_rule_ends_the_handler_too() {
    let mut j = J::new("handles");
    j.on("signed_up");
    call(&mut j, "talk", days(5));
    let reached = outcome_is(&j, "talk", "reached");
    j.unless(reached, "not").exit("reached").label("not").exit("else");
    j.label("handler").wait("calm", days(1)).line("resume", None, |_, _| StepKind::Resume);
    j.handler(on("complaint"), "handler").exit_on("closed", on("closed"));
    let talks = |play: &mut Play| {
        play.attributes("2026-05-04T08:00", &[("phone", text("+4930123456"))]);
        play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-04T11:00", "complaint", &[]).story();
    };
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    talks(&mut play);
    play.outcome("2026-05-04T12:00", "talk", "reached").until("2026-06-01T00:00");
    play.tells(&["05-05 11:00 exit reached"]);
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    talks(&mut play);
    play.event("2026-05-04T12:00", "closed", &[]).until("2026-06-01T00:00");
    play.tells(&["05-04 12:00 exit closed", "05-04 12:00 withdraw"]);
}
