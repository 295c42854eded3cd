//! Who enters, when, and how often.

use fahrplan::engine::program::*;
use fahrplan::engine::world::{Cause, Input};
use fahrplan::value::Value;

use super::build::*;

fn entries(story: &[String]) -> Vec<String> {
    story.iter().filter(|line| line.ends_with("enter")).map(|line| line[..11].to_owned()).collect()
}

/// Enters in that way and stays three days.
fn stays(how: EntryHow) -> J {
    let mut j = J::new("stays");
    j.enter(how).wait("w", days(3)).exit("done");
    j
}

#[test]
fn the_first_event_is_a_flag_and_not_history() {
    let j = stays(EntryHow::FirstEvent(vec!["order".into()]));
    let order = |id: &str| [("order_id", text(id))];
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "order", &order("o1")).event("2026-05-05T10:00", "order", &order("o2"));
    assert_eq!(entries(&play.story()), ["05-04 10:00"]);
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.memory.add_past_event(ADA, "order", fields(&order("o0")), at("2024-01-01T00:00"));
    play.event("2026-05-04T10:00", "order", &order("o1"));
    assert_eq!(entries(&play.story()), [""; 0]);
}

#[test]
fn a_change_brings_old_and_new() {
    let mut j = stays(EntryHow::Change { attribute: "plan".into() });
    let was_free = is(j.field("entry", "old"), val(text("free")));
    let is_pro = is(j.field("entry", "new"), val(text("pro")));
    j.program.entries[0].filter = Some(bin(BinaryOp::And, was_free, is_pro));
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    let plan = |plan: &str| [("plan", text(plan))];
    play.attributes("2026-05-04T10:00", &plan("team")).attributes("2026-05-04T11:00", &plan("pro"));
    play.attributes("2026-05-04T12:00", &plan("free")).attributes("2026-05-04T13:00", &plan("free"));
    play.attributes("2026-05-04T14:00", &plan("pro"));
    assert_eq!(entries(&play.story()), ["05-04 14:00"]);
}

#[test]
fn when_fires_on_the_change_to_true_and_not_for_who_is_in_already() {
    let mut rules = catalog();
    segment(&mut rules, "sleeping", none("order", Reach::Within(days(30))));
    let condition = Expr::Segment("sleeping".into());
    let j = stays(EntryHow::When { watch: watch(&rules, &condition), condition });
    let mut play = Play::new(rules.clone(), &[&j], "2026-05-01T00:00");
    play.until("2026-05-10T00:00");
    assert_eq!(entries(&play.story()), [""; 0], "was asleep when the journey came");
    play.event("2026-05-10T10:00", "order", &[("order_id", text("o1"))]).until("2026-07-01T00:00");
    assert_eq!(entries(&play.story()), ["06-09 10:00"]);

    // A deploy brings nobody in, unless existing members are asked for; a new contact has just become a member.
    let mut asks = stays(j.program.entries[0].how.clone());
    asks.program.entries[0].including_existing = true;
    for (j, cause, enters) in
        [(&j, Cause::Deploy, 0), (&asks, Cause::Deploy, 1), (&asks, Cause::Import, 0), (&j, Cause::New, 1)]
    {
        let mut play = Play::new(rules.clone(), &[j], "2026-05-01T00:00");
        play.memory.add_contact(ADA, fields(&[]));
        play.memory.settle(ADA, cause);
        assert_eq!(entries(&play.story()).len(), enters, "{cause:?}");
    }
}

#[test]
fn an_event_stamped_ahead_is_looked_at_again_only_when_it_leaves_its_window() {
    let mut rules = catalog();
    segment(&mut rules, "sleeping", none("order", Reach::Within(days(30))));
    let condition = Expr::Segment("sleeping".into());
    let j = stays(EntryHow::When { watch: watch(&rules, &condition), condition });
    let mut play = Play::new(rules, &[&j], "2026-05-01T00:00");
    play.late_event("2026-05-10T10:00", "2026-05-10T10:03", "order");
    assert_eq!(play.memory.next_wake(), Some(at("2026-06-09T10:03")), "it is in the window already");
    play.until("2026-07-01T00:00");
    assert_eq!(entries(&play.story()), ["06-09 10:03"]);
}

#[test]
fn while_lasts_as_long_as_the_segment_and_comes_again() {
    let rules = catalog();
    let condition = is(attr("plan"), val(text("trial")));
    let mut j = stays(EntryHow::While { watch: watch(&rules, &condition), condition });
    j.program.reenter = Reenter::AfterExit(days(10));
    let plan = |plan: &str| [("plan", text(plan))];
    let mut play = Play::new(rules, &[&j], "2026-05-01T00:00");
    play.attributes("2026-05-04T10:00", &plan("trial")).attributes("2026-05-05T10:00", &plan("pro"));
    play.tells(&["05-04 10:00 enter", "05-05 10:00 exit left_segment", "05-05 10:00 withdraw"]);
    // Again in the segment, but only ten days after the exit; then again ten days after each end.
    play.attributes("2026-05-06T10:00", &plan("trial")).until("2026-06-01T00:00");
    let story = play.story();
    assert_eq!(entries(&story), ["05-15 10:00", "05-28 10:00"], "{story:?}");
}

#[test]
fn leaving_a_segment_ends_only_what_it_has_brought_in() {
    let rules = catalog();
    let condition = is(attr("plan"), val(text("trial")));
    let mut j = stays(EntryHow::While { watch: watch(&rules, &condition), condition });
    let by_order = stays(EntryHow::Event(vec!["order".into()]));
    j.program.entries.extend(by_order.program.entries);
    j.program.reenter = Reenter::WhenFinished;
    let plan = |plan: &str| [("plan", text(plan))];
    let mut play = Play::new(rules, &[&j], "2026-05-01T00:00");
    play.event("2026-05-03T10:00", "order", &[("order_id", text("o1"))]);
    play.attributes("2026-05-04T10:00", &plan("trial")).attributes("2026-05-05T10:00", &plan("pro"));
    let story = play.story();
    assert!(!story.iter().any(|line| line.contains("left_segment")), "{story:?}");
}

#[test]
fn clock_schedules_fire_for_each_zone_or_for_all_at_once() {
    let monday = Days { mask: 1, working: false };
    let nine = clock(9, 0);
    let cron = |zone| EntryHow::Cron { text: "0 10 1 * *".into(), zone };
    let weekday = |zone| EntryHow::Weekday { days: monday, at: nine, zone };
    let at_ten = |zone| EntryHow::At { date: date("2026-05-20"), time: clock(10, 0), zone };
    let named = || ZoneRef::Named("Asia/Tokyo".into());
    for (how, expected) in [
        (weekday(ZoneRef::Project), vec!["05-04 09:00", "05-11 09:00", "05-18 09:00", "05-25 09:00"]),
        (weekday(ZoneRef::Contact), vec!["05-04 15:00", "05-11 15:00", "05-18 15:00", "05-25 15:00"]),
        (cron(named()), vec!["06-01 03:00"]),
        (cron(ZoneRef::Contact), vec!["05-01 16:00", "06-01 16:00"]),
        (at_ten(ZoneRef::Project), vec!["05-20 10:00"]),
        (at_ten(ZoneRef::Contact), vec!["05-20 16:00"]),
    ] {
        let j = stays(how.clone());
        let mut play = Play::new(catalog(), &[&j], "2026-05-01T10:01");
        play.attributes("2026-05-01T11:00", &[("timezone", text("America/New_York"))]);
        play.until("2026-06-01T20:00");
        let mut expected = expected;
        if matches!(how, EntryHow::Weekday { .. }) {
            let last = if expected[0].ends_with("09:00") { "06-01 09:00" } else { "06-01 15:00" };
            expected.push(last);
        }
        assert_eq!(entries(&play.story()), expected, "{how:?}");
    }
}

#[test]
fn a_leap_birthday_is_celebrated_on_the_28th_in_common_years() {
    let how = EntryHow::Anniversary { attribute: "birthday".into(), at: clock(9, 0), zone: ZoneRef::Contact };
    let j = stays(how);
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.attributes("2026-05-01T10:00", &[("birthday", Value::Date(date("1996-02-29")))]);
    play.until("2029-05-01T00:00");
    assert_eq!(entries(&play.story()), ["02-28 09:00", "02-29 09:00", "02-28 09:00"]);
}

#[test]
fn an_offset_follows_its_date_and_is_not_made_up_for() {
    let how = EntryHow::Offset {
        attribute: "card_expires".into(),
        offset: days(-30),
        at: Some(clock(9, 0)),
        zone: ZoneRef::Contact,
    };
    let j = stays(how);
    let expires = |text: &str| [("card_expires", Value::Date(date(text)))];
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.attributes("2026-05-01T10:00", &expires("2026-05-10")).until("2026-05-20T00:00");
    assert_eq!(entries(&play.story()), [""; 0], "thirty days before was in April already");
    play.attributes("2026-05-20T10:00", &expires("2026-07-01")).until("2026-05-25T00:00");
    play.attributes("2026-05-25T10:00", &expires("2026-08-01")).until("2026-07-20T00:00");
    assert_eq!(entries(&play.story()), ["07-02 09:00"], "moved from June to July");
    play.attributes("2026-07-21T10:00", &expires("2026-10-01")).until("2026-12-20T00:00");
    assert_eq!(entries(&play.story()), ["09-01 09:00"], "a moved date fires again");
}

#[test]
fn the_reentry_rule_is_judged_for_each_key() {
    // Enters on the 4th, ends on the 7th.
    for (reenter, entered) in [
        (Reenter::Never, vec!["05-04"]),
        (Reenter::Always, vec!["05-04", "05-05", "05-08", "05-20"]),
        (Reenter::WhenFinished, vec!["05-04", "05-08", "05-20"]),
        (Reenter::Restart, vec!["05-04", "05-05", "05-08", "05-20"]),
        (Reenter::AfterEntry(days(4)), vec!["05-04", "05-08", "05-20"]),
        (Reenter::AfterExit(days(4)), vec!["05-04", "05-20"]),
        (Reenter::AfterExit(days(20)), vec!["05-04"]),
    ] {
        let mut j = stays(EntryHow::Event(vec!["cart".into()]));
        j.program.reenter = reenter;
        j.program.per = vec!["cart_id".into()];
        let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
        for day in ["05-04", "05-05", "05-08", "05-20"] {
            play.event(&format!("2026-{day}T10:00"), "cart", &[("cart_id", text("c1"))]);
        }
        let story = play.story();
        let days: Vec<String> = entries(&story).iter().map(|at| at[..5].to_owned()).collect();
        assert_eq!(days, entered, "{reenter:?}: {story:?}");
        play.event("2026-05-20T12:00", "cart", &[("cart_id", text("c2"))]);
        assert_eq!(entries(&play.story()), ["05-20 12:00"], "another cart");
    }
}

#[test]
fn restart_ends_the_running_enrollment() {
    let mut j = stays(EntryHow::Event(vec!["cart".into()]));
    j.program.reenter = Reenter::Restart;
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "cart", &[]).event("2026-05-05T10:00", "cart", &[]);
    play.until("2026-05-20T00:00").tells(&[
        "05-04 10:00 enter",
        "05-05 10:00 exit restarted",
        "05-05 10:00 enter",
        "05-05 10:00 withdraw",
        "05-08 10:00 exit done",
    ]);
}

#[test]
fn filters_audiences_and_runs_decide_quietly_and_consent_is_counted() {
    let big = |j: &J| bin(BinaryOp::Ge, j.field("entry", "value"), val(decimal("20")));
    let mut j = stays(EntryHow::Event(vec!["cart".into()]));
    j.marketing();
    let (filter, audience) = (big(&j), is(attr("plan"), val(text("pro"))));
    j.program.entries[0].filter = Some(filter);
    j.program.entries[0].audience = Some(audience);
    j.program.runs = Some(Runs { from: Some(at("2026-05-04T00:00")), until: Some(at("2026-06-01T00:00")) });
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    let cart = |value: &str| [("cart_id", text("c")), ("value", decimal(value))];
    play.event("2026-05-05T10:00", "cart", &cart("20"))
        .attributes("2026-05-05T11:00", &[("plan", text("pro"))]);
    play.event("2026-05-06T10:00", "cart", &cart("19.99")).event("2026-05-07T10:00", "cart", &cart("20"));
    play.tells(&["05-07 10:00 not entered: no consent"]);
    play.consent("2026-05-08T10:00", "marketing", true).event("2026-05-09T10:00", "cart", &cart("20"));
    play.event("2026-06-01T00:00", "cart", &cart("20")).until("2026-07-01T00:00");
    play.tells(&["05-09 10:00 enter", "05-12 10:00 exit done"]);
}

#[test]
fn several_enter_lines_bring_in_one_enrollment_for_an_event() {
    let mut j = J::new("two");
    j.enter(EntryHow::Event(vec!["cart".into(), "order".into()]));
    j.enter(EntryHow::Event(vec!["order".into()])).exit("done");
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "order", &[("order_id", text("o1"))]);
    assert_eq!(entries(&play.story()), ["05-04 10:00"]);
}

#[test]
fn an_exit_condition_that_holds_at_entry_fires_at_once_and_later_by_change_or_time() {
    let mut rules = catalog();
    segment(&mut rules, "sleeping", none("order", Reach::Within(days(30))));
    let mut j = J::new("winback");
    j.on("signed_up").send("hello").wait("w", days(60)).exit("done");
    j.exit_when("awake", &rules, not(Expr::Segment("sleeping".into())));
    j.exit_when("old", &rules, any("cart", Reach::Ever));
    let order = |id: &str| [("order_id", text(id))];
    let mut play = Play::new(rules.clone(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "order", &order("o1")).event("2026-05-05T10:00", "signed_up", &[]);
    play.tells(&["05-05 10:00 enter", "05-05 10:00 exit awake", "05-05 10:00 withdraw"]);
    play.event("2026-06-05T10:00", "signed_up", &[]).event("2026-06-06T10:00", "order", &order("o2"));
    play.tells(&[
        "06-05 10:00 enter",
        "06-05 10:00 send email hello",
        "06-06 10:00 exit awake",
        "06-06 10:00 withdraw",
    ]);
    // By time alone: the exit is `when sleeping` this time.
    let mut j = J::new("lost");
    j.on("signed_up").wait("w", days(60)).exit("done");
    j.exit_when("asleep", &rules, Expr::Segment("sleeping".into()));
    let mut play = Play::new(rules, &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "order", &order("o1")).event("2026-05-05T10:00", "signed_up", &[]);
    play.until("2026-07-01T00:00");
    play.tells(&["05-05 10:00 enter", "06-03 10:00 exit asleep", "06-03 10:00 withdraw"]);
}

#[test]
fn an_import_is_quiet() {
    let mut rules = catalog();
    segment(&mut rules, "buyers", any("order", Reach::Ever));
    let condition = Expr::Segment("buyers".into());
    let watch = watch(&rules, &condition);
    let when = stays(EntryHow::When { condition, watch });
    let mut on_order = J::new("order");
    on_order.on("order").exit("done");
    let mut waiting = J::new("waiting");
    waiting.on("signed_up").wait_for("bought", days(5), on("order")).exit("waited");
    let mut play = Play::new(rules, &[&when, &on_order, &waiting], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]);
    let imported = fahrplan::engine::world::Event {
        id: 5,
        name: "order".into(),
        occurred_at: at("2026-05-03T10:00"),
        accepted_at: at("2026-05-05T10:00"),
        fields: fields(&[("order_id", text("o1"))]),
        quiet: true,
    };
    play.input("2026-05-05T10:00", Input::Event(imported)).until("2026-06-01T00:00");
    play.tells(&["05-04 10:00 enter", "05-09 10:00 exit waited"]);
    assert_eq!(play.memory.world(ADA).expect("Ada").history["order"].events.len(), 1);
}

#[test]
fn taking_somebody_out_names_the_reason() {
    let j = stays(EntryHow::Event(vec!["signed_up".into()]));
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    let leave = Input::Leave { journey: "stays".into(), reason: "operator".into() };
    play.event("2026-05-04T10:00", "signed_up", &[]).input("2026-05-04T11:00", leave);
    play.tells(&["05-04 10:00 enter", "05-04 11:00 exit operator", "05-04 11:00 withdraw"]);
}

#[test]
fn a_schedule_by_the_clocks_of_a_contact_who_moves_comes_once() {
    let monday = || EntryHow::Weekday {
        days: Days { mask: 1, working: false },
        at: clock(9, 0),
        zone: ZoneRef::Contact,
    };
    let day = || EntryHow::At { date: date("2026-05-04"), time: clock(9, 0), zone: ZoneRef::Contact };
    let birthday =
        || EntryHow::Anniversary { attribute: "birthday".into(), at: clock(9, 0), zone: ZoneRef::Contact };
    let card = || EntryHow::Offset {
        attribute: "card_expires".into(),
        offset: days(-30),
        at: Some(clock(9, 0)),
        zone: ZoneRef::Contact,
    };
    let cron = || EntryHow::Cron { text: "0 9 * * 1".into(), zone: ZoneRef::Contact };
    let move_to = |how: EntryHow, when: &str, zone: &str| {
        let mut j = J::new("scheduled");
        j.enter(how).exit("done");
        let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
        play.attributes(
            "2026-05-01T01:00",
            &[
                ("birthday", Value::Date(date("1990-05-04"))),
                ("card_expires", Value::Date(date("2026-06-03"))),
            ],
        );
        play.attributes(when, &[("timezone", text(zone))]).until("2026-05-12T00:00");
        entries(&play.story())
    };
    let ways: [(&dyn Fn() -> EntryHow, bool); 5] =
        [(&monday, true), (&cron, true), (&day, false), (&birthday, false), (&card, false)];
    for (how, weekly) in ways {
        let told = |when, zone| {
            let mut told = move_to(how(), when, zone);
            assert_eq!(told.len(), if weekly { 2 } else { 1 }, "{told:?}");
            told.remove(0)
        };
        // West, after it came: nine o'clock comes again in New York, the entry does not.
        assert_eq!(told("2026-05-04T10:00", "America/New_York"), "05-04 09:00", "{:?}", how());
        // West, before it came.
        assert_eq!(told("2026-05-04T08:00", "America/New_York"), "05-04 15:00", "{:?}", how());
        // East, where it is the afternoon already: now rather than never.
        assert_eq!(told("2026-05-04T08:00", "Asia/Tokyo"), "05-04 08:00", "{:?}", how());
        assert_eq!(told("2026-05-03T22:00", "Asia/Tokyo"), "05-04 02:00", "{:?}", how());
    }
}

#[test]
fn a_schedule_that_is_overdue_fires_though_its_date_is_looked_at_first() {
    let how = EntryHow::Offset {
        attribute: "card_expires".into(),
        offset: days(-30),
        at: Some(clock(9, 0)),
        zone: ZoneRef::Contact,
    };
    let j = stays(how);
    let expires = |text: &str| fields(&[("card_expires", Value::Date(date(text)))]);
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.attributes("2026-05-01T10:00", &[("card_expires", Value::Date(date("2026-06-03")))]);
    // Due on 4 May at nine; nobody runs timers until half past, when the date has moved.
    play.memory.sleep_to(at("2026-05-04T09:30"));
    let moved = Input::Attributes { values: expires("2026-08-01"), at: at("2026-05-04T09:20") };
    play.memory.take_raw(ADA, &moved);
    play.until("2026-08-01T00:00");
    assert_eq!(entries(&play.story()), ["05-04 09:30", "07-02 09:00"]);
}

#[test]
fn restart_ends_the_enrollment_of_the_same_key_alone() {
    let mut j = stays(EntryHow::Event(vec!["cart".into()]));
    j.program.reenter = Reenter::Restart;
    j.program.per = vec!["cart_id".into()];
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    for (hour, cart) in [("10", "c1"), ("11", "c2"), ("12", "c1")] {
        play.event(&format!("2026-05-04T{hour}:00"), "cart", &[("cart_id", text(cart))]);
    }
    play.until("2026-05-10T00:00").tells(&[
        "05-04 10:00 enter",
        "05-04 11:00 enter",
        "05-04 12:00 exit restarted",
        "05-04 12:00 enter",
        "05-04 12:00 withdraw",
        "05-07 11:00 exit done",
        "05-07 12:00 exit done",
    ]);
}

#[test]
fn entries_see_what_the_event_did_to_those_who_were_in() {
    let mut j = stays(EntryHow::Event(vec!["order".into()]));
    j.exit_on("bought", on("order"));
    j.program.reenter = Reenter::WhenFinished;
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "order", &[]).event("2026-05-05T10:00", "order", &[]);
    play.tells(&[
        "05-04 10:00 enter",
        "05-05 10:00 exit bought",
        "05-05 10:00 enter",
        "05-05 10:00 withdraw",
    ]);
}

#[test]
fn consent_on_one_of_its_channels_is_enough_to_be_in_a_journey() {
    let mut j = J::new("both");
    j.marketing().on("signed_up").wait("w", days(9)).exit("done");
    j.program.channels = vec!["email".into(), "sms".into()];
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.memory.add_consent(ADA, "marketing", "sms", true);
    play.event("2026-05-04T10:00", "signed_up", &[]).consent("2026-05-04T11:00", "marketing", false);
    play.tells(&["05-04 10:00 enter"]);
    // A channel that no consent line names needs none.
    j.program.channels = vec!["phone".into()];
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).tells(&["05-04 10:00 enter"]);
}

#[test]
fn consent_that_comes_later_lets_in_who_is_in_a_segment_and_not_who_came_into_it() {
    let rules = catalog();
    let trial = || is(attr("plan"), val(text("trial")));
    let when = EntryHow::When { watch: watch(&rules, &trial()), condition: trial() };
    let stay = EntryHow::While { watch: watch(&rules, &trial()), condition: trial() };
    for (how, after) in [(when, vec![]), (stay, vec!["05-05 10:00 enter"])] {
        let mut j = J::new("trial");
        j.marketing().enter(how).wait("w", days(30)).exit("done");
        let mut play = Play::new(rules.clone(), &[&j], "2026-05-01T00:00");
        play.attributes("2026-05-04T10:00", &[("plan", text("trial"))]);
        play.tells(&["05-04 10:00 not entered: no consent"]);
        play.consent("2026-05-05T10:00", "marketing", true).tells(&after);
    }
}
