//! Events: what a wait takes and what it does not, deadlines, late events, duplicates, precedence, own outcomes.

use fahrplan::engine::program::*;
use fahrplan::value::Value;

use super::build::*;

const DAY: &str = "2026-05-04T";

fn hour(n: u8) -> String {
    format!("{DAY}{n:02}:00")
}

/// Enters, waits an hour, then up to a day for `optin`.
fn waiting() -> J {
    let mut j = J::new("waits");
    j.on("signed_up").wait("first", hours(1));
    j.wait_for("click", days(1), on("optin"));
    let happened = j.field("click", "happened");
    j.unless(happened, "missed").exit("clicked").label("missed").exit("missed");
    j
}

#[test]
fn a_wait_looks_at_the_future_only() {
    let j = waiting();
    let mut play = Play::new(catalog(), &[&j], &hour(0));
    play.event(&hour(10), "signed_up", &[]).event("2026-05-04T10:30", "optin", &[]).until("2026-05-06T00:00");
    play.tells(&["05-04 10:00 enter", "05-05 11:00 exit missed"]);
}

#[test]
fn a_look_back_is_written_down() {
    let mut j = J::new("waits");
    j.on("signed_up").wait("first", hours(1));
    let mut arm = on("optin");
    arm.slot = Some(j.slot("click", SlotKind::Wait));
    j.race("click", Some(days(1)), vec![(Trigger::Event(arm), Some("clicked"))], None, |wait| {
        wait.look_back = Some(minutes(40));
    });
    j.exit("missed").label("clicked").exit("clicked");
    for (optin, story) in
        [("2026-05-04T10:30", "05-04 11:00 exit clicked"), ("2026-05-04T10:10", "05-05 11:00 exit missed")]
    {
        let mut play = Play::new(catalog(), &[&j], &hour(0));
        play.event(&hour(10), "signed_up", &[]).event(optin, "optin", &[]).until("2026-05-06T00:00");
        play.tells(&["05-04 10:00 enter", story]);
    }
}

#[test]
fn what_is_accepted_at_the_deadline_wins_and_later_is_too_late() {
    let j = waiting();
    for (accepted, exit) in [
        ("2026-05-05T09:00:00Z", "05-05 11:00 exit clicked"),
        ("2026-05-05T09:00:00.001Z", "05-05 11:00 exit missed"),
    ] {
        let mut play = Play::new(catalog(), &[&j], &hour(0));
        play.event(&hour(10), "signed_up", &[]).event(accepted, "optin", &[]).until("2026-05-06T00:00");
        assert!(play.story().last().expect("a line").ends_with(&exit[12..]), "{accepted}");
    }
}

#[test]
fn an_event_after_the_deadline_does_not_count_though_the_timer_is_late() {
    let j = waiting();
    let mut play = Play::new(catalog(), &[&j], &hour(0));
    play.event(&hour(10), "signed_up", &[]).until("2026-05-05T00:00");
    // Nobody runs timers; the event is taken first.
    play.memory.sleep_to(at("2026-05-05T11:20"));
    let event = |when: &str| fahrplan::engine::world::Event {
        id: 9_000_000_000_000,
        name: "optin".into(),
        occurred_at: at(when),
        accepted_at: at(when),
        fields: fields(&[]),
        quiet: false,
    };
    let late = fahrplan::engine::world::Input::Event(event("2026-05-05T11:10"));
    play.memory.take_raw(ADA, &late);
    play.tells(&["05-04 10:00 enter", "05-05 11:20 exit missed"]);
    // And one that was accepted in time counts though it is taken after the deadline.
    let mut play = Play::new(catalog(), &[&j], &hour(0));
    play.event(&hour(10), "signed_up", &[]).until("2026-05-05T00:00");
    play.memory.sleep_to(at("2026-05-05T11:20"));
    let in_time = fahrplan::engine::world::Input::Event(event("2026-05-05T10:50"));
    play.memory.take_raw(ADA, &in_time);
    play.tells(&["05-04 10:00 enter", "05-05 11:20 exit clicked"]);
}

#[test]
fn one_event_satisfies_many_enrollments_but_one_wait_of_each() {
    let mut j = J::new("twice");
    j.on("signed_up").wait_for("one", days(1), on("optin")).wait_for("two", days(1), on("optin"));
    let second = j.field("two", "happened");
    j.unless(second, "once").exit("twice").label("once").exit("once");
    let mut play = Play::new(catalog(), &[&j], &hour(0));
    play.event(&hour(10), "signed_up", &[]).event(&hour(11), "signed_up", &[]).event(&hour(12), "optin", &[]);
    play.until("2026-05-08T00:00");
    play.tells(&["05-04 10:00 enter", "05-04 11:00 enter", "05-05 12:00 exit once", "05-05 12:00 exit once"]);
}

#[test]
fn what_a_step_records_itself_does_not_satisfy_the_wait_behind_it() {
    let mut j = J::new("own");
    j.on("signed_up").record("optin", &[]).wait_for("click", days(1), on("optin"));
    let happened = j.field("click", "happened");
    j.unless(happened, "missed").exit("clicked").label("missed").exit("missed");
    let mut other = J::new("other");
    other.on("complaint").wait_for("click", days(1), on("optin")).exit("other");
    let mut play = Play::new(catalog(), &[&j, &other], &hour(0));
    play.event(&hour(9), "complaint", &[]).event(&hour(10), "signed_up", &[]).until("2026-05-08T00:00");
    play.tells(&[
        "05-04 09:00 enter",
        "05-04 10:00 enter",
        "05-04 10:00 exit other",
        "05-05 10:00 exit missed",
    ]);
}

#[test]
fn the_first_arm_in_the_text_breaks_a_tie_and_a_condition_is_an_arm_too() {
    let catalog = catalog();
    let ordered = || condition(&self::catalog(), any("order", Reach::Ever));
    let arms = |first_event: bool| {
        let event = (Trigger::Event(on("order")), Some("event"));
        let condition = (ordered(), Some("condition"));
        if first_event { vec![event, condition] } else { vec![condition, event] }
    };
    for (first_event, exit) in [(true, "event"), (false, "condition")] {
        let mut j = J::new("race");
        j.on("signed_up").race("look", Some(days(3)), arms(first_event), Some("none"), |_| {});
        j.label("event").exit("event").label("condition").exit("condition").label("none").exit("none");
        let mut play = Play::new(catalog.clone(), &[&j], &hour(0));
        play.event(&hour(10), "signed_up", &[]);
        play.event(&hour(11), "order", &[("order_id", text("o1"))]);
        play.tells(&["05-04 10:00 enter", &format!("05-04 11:00 exit {exit}")]);
    }
}

#[test]
fn a_condition_that_is_true_at_once_counts() {
    let mut j = J::new("phone");
    let known = Expr::Known(Box::new(attr("phone")));
    let arms = vec![(condition(&catalog(), known), Some("given"))];
    j.on("signed_up").race("number", Some(days(7)), arms, None, |_| {});
    j.exit("missed").label("given").exit("given");
    let mut play = Play::new(catalog(), &[&j], &hour(0));
    play.event(&hour(10), "signed_up", &[]);
    play.attributes(&hour(12), &[("phone", text("+4930123456"))]);
    play.event(&hour(13), "signed_up", &[]);
    play.tells(&[
        "05-04 10:00 enter",
        "05-04 12:00 exit given",
        "05-04 13:00 enter",
        "05-04 13:00 exit given",
    ]);
    play.attributes(&hour(14), &[("phone", Value::Unknown)]).event(&hour(15), "signed_up", &[]);
    play.until("2026-05-20T00:00").tells(&["05-04 15:00 enter", "05-11 15:00 exit missed"]);
}

#[test]
fn a_windowed_condition_changes_by_time_alone() {
    let asleep = none("order", Reach::Within(days(30)));
    let mut j = J::new("sleeps");
    let arms = vec![(condition(&catalog(), asleep), Some("asleep"))];
    j.on("signed_up").race("w", None, arms, None, |_| {});
    j.exit("never").label("asleep").exit("asleep");
    let mut play = Play::new(catalog(), &[&j], &hour(0));
    play.event(&hour(9), "order", &[("order_id", text("o1"))]).event(&hour(10), "signed_up", &[]);
    play.event("2026-05-20T09:00", "order", &[("order_id", text("o2"))]);
    play.until("2026-08-01T00:00").tells(&["05-04 10:00 enter", "06-19 09:00 exit asleep"]);
}

#[test]
fn late_events_move_nobody_but_count_for_goals_and_history() {
    let mut j = J::new("late");
    j.on("signed_up").wait_for("click", days(10), on("optin"));
    j.goal("confirmed", on("optin"), Some(days(10)), false);
    let history = any("optin", Reach::Since(0));
    j.unless(history, "none").exit("known").label("none").exit("unknown");
    j.exit_on("closed", on("optin_never"));
    let mut entered = J::new("entered");
    entered.on("optin").exit("entered");
    let mut play = Play::new(catalog(), &[&j, &entered], &hour(0));
    play.event(&hour(10), "signed_up", &[]);
    // Occurred on the 5th, accepted on the 9th: older than three days.
    play.late_event("2026-05-09T10:00", "2026-05-05T10:00", "optin").until("2026-06-01T00:00");
    play.tells(&["05-04 10:00 enter", "05-09 10:00 goal confirmed", "05-14 10:00 exit known"]);
}

#[test]
fn a_duplicate_is_no_event() {
    let mut j = J::new("dup");
    j.on("order").exit("done");
    let mut play = Play::new(catalog(), &[&j], &hour(0));
    let order = |id: &str| [("order_id", text(id))];
    play.event(&hour(10), "order", &order("o1")).event(&hour(11), "order", &order("o1"));
    play.event(&hour(12), "order", &order("o2"));
    let story = play.story();
    assert_eq!(story.iter().filter(|line| line.ends_with("enter")).count(), 2, "{story:?}");
}

#[test]
fn same_compares_with_the_entering_event_and_a_missing_field_never_matches() {
    let mut j = J::new("cart");
    j.on("cart").exit_on("bought", on_same("order", "cart_id")).wait("w", days(3)).exit("lost");
    let mut play = Play::new(catalog(), &[&j], &hour(0));
    play.event(&hour(10), "cart", &[("cart_id", text("c1"))]);
    play.event(&hour(11), "order", &[("order_id", text("o1")), ("cart_id", text("c2"))]);
    play.event(&hour(12), "order", &[("order_id", text("o2"))]);
    play.tells(&["05-04 10:00 enter"]);
    play.event(&hour(13), "order", &[("order_id", text("o3")), ("cart_id", text("c1"))]);
    play.tells(&["05-04 13:00 exit bought", "05-04 13:00 withdraw"]);
    // An entry without the field matches nothing at all.
    play.event(&hour(14), "cart", &[]).event(&hour(15), "order", &[("order_id", text("o4"))]);
    play.tells(&["05-04 14:00 enter"]);
}

#[test]
fn exits_come_before_handlers_before_waits_and_goals_always_count() {
    let build = |exit: bool, handler: bool| {
        let mut j = J::new("order");
        j.on("signed_up").goal("bought", on("order"), Some(days(5)), false);
        if exit {
            j.exit_on("exit", on("order"));
        }
        j.race("w", Some(days(2)), vec![(Trigger::Event(on("order")), Some("wait"))], None, |_| {});
        j.exit("missed").label("wait").exit("wait");
        j.label("handler").exit("handler");
        if handler {
            j.handler(on("order"), "handler");
        }
        j
    };
    for (exit, handler, reason) in
        [(true, true, "exit"), (false, true, "handler"), (false, false, "wait"), (true, false, "exit")]
    {
        let j = build(exit, handler);
        let mut play = Play::new(catalog(), &[&j], &hour(0));
        play.event(&hour(10), "signed_up", &[]).event(&hour(11), "order", &[("order_id", text("o1"))]);
        let story = play.story();
        assert_eq!(story[1], format!("05-04 11:00 exit {reason}"));
        assert!(story.contains(&"05-04 11:00 goal bought".to_owned()), "{story:?}");
    }
}

#[test]
fn an_outcome_belongs_to_the_step_and_round_that_caused_it() {
    let mut j = J::new("rounds");
    j.on("signed_up");
    j.repeat("round", 2, |j| {
        j.send("mail");
        let mail = j.slot("mail", SlotKind::Message);
        j.wait_for("look", days(1), outcome(mail, "clicked"));
    });
    let clicked = j.field("mail", "clicked");
    j.unless(clicked, "no").exit("clicked").label("no").exit("ignored");
    // A click on the mail of the second round ends the wait at once and is remembered.
    let mut play = Play::new(catalog(), &[&j], &hour(0));
    play.event(&hour(10), "signed_up", &[]).outcome("2026-05-05T12:00", "mail", "clicked");
    play.tells(&[
        "05-04 10:00 enter",
        "05-04 10:00 send email mail",
        "05-05 10:00 send email mail",
        "05-05 12:00 exit clicked",
    ]);
    // A click on the first mail while the second is out is none on the second.
    let mut play = Play::new(catalog(), &[&j], &hour(0));
    play.event(&hour(10), "signed_up", &[]).until("2026-05-05T11:00");
    let enrollment = play.memory.world(ADA).expect("Ada").enrollments.keys().next().copied().expect("one");
    let old = fahrplan::engine::world::Outcome {
        enrollment,
        step: "mail".into(),
        round: 1,
        outcome: "clicked".into(),
        at: at("2026-05-05T12:00"),
        fields: fields(&[("template", text("mail"))]),
    };
    play.input("2026-05-05T12:00", fahrplan::engine::world::Input::Outcome(old)).until("2026-05-08T00:00");
    assert_eq!(play.story().last().expect("a line"), "05-06 10:00 exit ignored");
}

#[test]
fn outcomes_of_messages_are_events_for_all_journeys() {
    let mut sends = J::new("sends");
    sends.on("signed_up").send("news").exit("sent");
    let mut listens = J::new("listens");
    listens.on("message_clicked").exit("heard");
    let mut play = Play::new(catalog(), &[&sends, &listens], &hour(0));
    play.event(&hour(10), "signed_up", &[]).outcome(&hour(12), "news", "clicked");
    play.tells(&[
        "05-04 10:00 enter",
        "05-04 10:00 send email news",
        "05-04 10:00 exit sent",
        "05-04 12:00 enter",
        "05-04 12:00 exit heard",
    ]);
    let clicks = &play.memory.world(ADA).expect("Ada").history["message_clicked"].events;
    assert_eq!(clicks[0].fields["journey"], text("sends"));
    assert_eq!(clicks[0].fields["channel"], text("email"));
    assert_eq!(clicks[0].fields["purpose"], text("transactional"));
}

#[test]
fn history_looks_at_windows_of_occurrence_and_at_the_entering_event() {
    let sum = aggregate(AggregateFn::Sum, "order", Some("value"), Reach::Within(days(30)));
    let big = bin(BinaryOp::Ge, sum, val(decimal("50")));
    let mut j = J::new("sum");
    j.on("order").unless(big, "small").exit("big").label("small").exit("small");
    let mut play = Play::new(catalog(), &[&j], "2026-01-01T00:00");
    let order = |id: &str, value: &str| [("order_id", text(id)), ("value", decimal(value))];
    play.event("2026-01-10T10:00", "order", &order("o1", "30"));
    play.event("2026-02-09T09:59", "order", &order("o2", "20"));
    play.event("2026-02-10T10:00", "order", &order("o3", "20"));
    let exits: Vec<String> = play.story().into_iter().filter(|line| line.contains("exit")).collect();
    assert_eq!(exits, ["01-10 10:00 exit small", "02-09 09:59 exit big", "02-10 10:00 exit small"]);
}

#[test]
fn a_change_after_the_deadline_is_too_late_for_a_condition_though_its_timer_is_late() {
    let mut j = J::new("phone");
    let known = Expr::Known(Box::new(attr("phone")));
    let arms = vec![(condition(&catalog(), known), Some("given"))];
    j.on("signed_up").race("number", Some(days(1)), arms, None, |_| {});
    j.exit("missed").label("given").wait("then", hours(1)).exit("given");
    // Taken at 10:20, when the timer of 10:00 has not been seen to.
    for (accepted, exit) in
        [("2026-05-05T10:10", "05-05 10:20 exit missed"), ("2026-05-05T09:50", "05-05 10:50 exit given")]
    {
        let mut play = Play::new(catalog(), &[&j], &hour(0));
        play.event(&hour(10), "signed_up", &[]);
        play.memory.sleep_to(at("2026-05-05T10:20"));
        let values = fields(&[("phone", text("+4930123456"))]);
        let change = fahrplan::engine::world::Input::Attributes { values, at: at(accepted) };
        play.memory.take_raw(ADA, &change);
        play.until("2026-05-06T00:00");
        assert_eq!(play.story().last().expect("a line"), exit, "accepted {accepted}");
    }
}

#[test]
fn a_late_event_neither_ends_nor_interrupts_anything() {
    let mut j = J::new("late");
    j.on("signed_up").wait("w", days(20)).exit("done").label("handler").exit("handled");
    j.handler(on("complaint"), "handler").exit_on("closed", on("closed"));
    j.goal("confirmed", on("optin"), Some(days(20)), true);
    let mut play = Play::new(catalog(), &[&j], &hour(0));
    play.event(&hour(10), "signed_up", &[]).story();
    for name in ["complaint", "closed", "optin"] {
        play.late_event("2026-05-09T10:00", "2026-05-05T10:00", name);
    }
    play.tells(&["05-09 10:00 goal confirmed"]);
    // Three days to the minute are not late.
    play.late_event("2026-05-10T10:00", "2026-05-07T10:00", "closed");
    play.tells(&["05-10 10:00 exit closed", "05-10 10:00 withdraw"]);
}

#[test]
fn several_events_may_share_an_arm() {
    let mut either = on("order");
    either.signals.push(Signal::Event("closed".into()));
    let mut j = J::new("either");
    j.on("signed_up").wait_for("change", days(2), either);
    let closed = is(j.field("change", "event"), val(text("closed")));
    j.unless(closed, "order").exit("closed").label("order").exit("order");
    for event in ["order", "closed"] {
        let mut play = Play::new(catalog(), &[&j], &hour(0));
        play.event(&hour(10), "signed_up", &[]).event(&hour(11), event, &[]);
        play.tells(&["05-04 10:00 enter", &format!("05-04 11:00 exit {event}")]);
    }
}

#[test]
fn history_may_reach_back_to_a_step() {
    let mut j = J::new("since");
    j.on("signed_up").wait("first", hours(2)).wait("second", hours(2));
    let first = j.slot("first", SlotKind::Wait);
    let asked = any("optin", Reach::Since(first));
    j.unless(asked, "no").exit("since").label("no").exit("before");
    for (when, exit) in [("11:59", "before"), ("12:00", "since"), ("13:00", "since")] {
        let mut play = Play::new(catalog(), &[&j], &hour(0));
        play.event(&hour(10), "signed_up", &[]).event(&format!("{DAY}{when}"), "optin", &[]);
        play.until(&hour(20)).tells(&["05-04 10:00 enter", &format!("05-04 14:00 exit {exit}")]);
    }
}

#[test]
fn the_first_in_order_of_acceptance_wins_whatever_occurred_first() {
    let mut j = J::new("race");
    let arms =
        vec![(Trigger::Event(on("order")), Some("order")), (Trigger::Event(on("closed")), Some("closed"))];
    j.on("signed_up").race("look", Some(days(3)), arms, None, |_| {});
    j.exit("none").label("order").exit("order").label("closed").exit("closed");
    let mut play = Play::new(catalog(), &[&j], &hour(0));
    play.event(&hour(10), "signed_up", &[]).late_event(&hour(12), &hour(12), "closed");
    play.late_event(&hour(13), &hour(11), "order");
    play.tells(&["05-04 10:00 enter", "05-04 12:00 exit closed"]);
}
