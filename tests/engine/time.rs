//! Time: elapsed and calendar, clocks that change, moments, windows, anchors, outages.

use fahrplan::engine::program::*;
use fahrplan::time::Calendar;
use fahrplan::value::Value;

use super::build::*;

/// Enters at `entry`, waits until the moment, and tells when it went on.
fn waits(entry: &str, moment: Moment) -> String {
    let mut j = J::new("wait");
    j.on("signed_up").until("w", moment, Some("late")).exit("done").label("late").exit("late");
    goes_on(&j, entry)
}

fn waits_for(entry: &str, duration: Calendar) -> String {
    let mut j = J::new("wait");
    j.on("signed_up").wait("w", duration).exit("done");
    goes_on(&j, entry)
}

fn goes_on(j: &J, entry: &str) -> String {
    let mut play = Play::new(catalog(), &[j], "2026-01-01T00:00");
    let story = play.event(entry, "signed_up", &[]).until("2028-06-01T00:00").story();
    story.into_iter().rfind(|line| line.contains("exit")).expect("it went on")
}

#[test]
fn hours_are_elapsed_and_days_follow_the_calendar() {
    for (duration, goes_on) in [
        (days(1), "03-29 10:00 exit done"),
        (hours(24), "03-29 11:00 exit done"),
        (days(2), "03-30 10:00 exit done"),
        (Calendar { days: 1, ms: 3_600_000, ..Calendar::default() }, "03-29 11:00 exit done"),
        (Calendar { working_days: 1, ..Calendar::default() }, "03-30 10:00 exit done"),
        (months(1), "04-28 10:00 exit done"),
    ] {
        assert_eq!(waits_for("2026-03-28T10:00", duration), goes_on, "{duration}");
    }
    assert_eq!(waits_for("2026-10-24T15:00", days(1)), "10-25 15:00 exit done");
    assert_eq!(waits_for("2026-10-24T15:00", hours(24)), "10-25 14:00 exit done");
}

#[test]
fn months_clamp_to_their_end_and_count_from_the_anchor() {
    for (entry, wait, goes_on) in [
        ("2026-01-31T09:00", months(1), "02-28 09:00 exit done"),
        ("2026-01-31T09:00", months(2), "03-31 09:00 exit done"),
        ("2028-01-31T09:00", months(1), "02-29 09:00 exit done"),
    ] {
        assert_eq!(waits_for(entry, wait), goes_on, "{wait} from {entry}");
    }
    // Never chained: both moments hang on the entry, so the second is the 31st although the first was the 28th.
    let mut j = J::new("chain");
    j.on("signed_up");
    j.until("one", anchor(Expr::MomentOf(0), months(1), None), None);
    j.until("two", anchor(Expr::MomentOf(0), months(2), None), None);
    j.exit("done");
    assert_eq!(goes_on(&j, "2026-01-31T09:00"), "03-31 09:00 exit done");
}

#[test]
fn a_clock_time_in_a_gap_comes_after_it_and_in_an_overlap_once() {
    let half_past_two = || moment(MomentKind::Time(time(2, 30)));
    assert_eq!(waits("2026-03-28T12:00", half_past_two()), "03-29 03:00 exit done");
    assert_eq!(waits("2026-10-24T12:00", half_past_two()), "10-25 02:30 exit done");
    let mut j = J::new("twice");
    j.on("signed_up").until("one", half_past_two(), None).wait("min", minutes(1)).until(
        "two",
        half_past_two(),
        None,
    );
    j.exit("done");
    assert_eq!(
        goes_on(&j, "2026-10-24T12:00"),
        "10-26 02:30 exit done",
        "the second 02:30 of the night is none"
    );
}

#[test]
fn a_clock_time_that_is_now_is_satisfied() {
    let ten = || moment(MomentKind::Time(time(10, 0)));
    assert_eq!(waits("2026-05-04T10:00", ten()), "05-04 10:00 exit done");
    assert_eq!(waits("2026-05-04T09:59", ten()), "05-04 10:00 exit done");
    assert_eq!(waits("2026-05-04T08:00:00.001Z", ten()), "05-05 10:00 exit done");
}

#[test]
fn weekdays_and_windows_mean_now_or_the_next_opening() {
    let office = |days| moment(MomentKind::Window { days, from: time(9, 0), to: time(17, 0) });
    let night = || moment(MomentKind::Window { days: Days::default(), from: time(22, 0), to: time(6, 0) });
    let friday_night = || {
        moment(MomentKind::Window {
            days: Days { mask: 0x10, working: false },
            from: time(22, 0),
            to: time(6, 0),
        })
    };
    let tuesday = Days { mask: 0x02, working: false };
    let holiday = Days { mask: 0x1f, working: true };
    for (entry, moment, goes_on) in [
        ("2026-05-08T09:00", office(WEEKDAYS), "05-08 09:00 exit done"),
        ("2026-05-08T16:59", office(WEEKDAYS), "05-08 16:59 exit done"),
        ("2026-05-08T17:00", office(WEEKDAYS), "05-11 09:00 exit done"),
        ("2026-05-09T12:00", office(WEEKDAYS), "05-11 09:00 exit done"),
        ("2026-12-24T18:00", office(holiday), "12-28 09:00 exit done"),
        ("2026-05-08T12:00", night(), "05-08 22:00 exit done"),
        ("2026-05-08T23:00", night(), "05-08 23:00 exit done"),
        ("2026-05-08T05:59", night(), "05-08 05:59 exit done"),
        ("2026-05-08T06:00", night(), "05-08 22:00 exit done"),
        ("2026-05-09T05:00", friday_night(), "05-09 05:00 exit done"),
        ("2026-05-10T05:00", friday_night(), "05-15 22:00 exit done"),
        (
            "2026-05-05T12:00",
            moment(MomentKind::Weekday { days: tuesday, at: None }),
            "05-05 12:00 exit done",
        ),
        (
            "2026-05-06T12:34",
            moment(MomentKind::Weekday { days: tuesday, at: None }),
            "05-12 12:34 exit done",
        ),
        (
            "2026-05-05T12:00",
            moment(MomentKind::Weekday { days: tuesday, at: Some(time(10, 0)) }),
            "05-12 10:00 exit done",
        ),
        (
            "2026-05-05T09:00",
            moment(MomentKind::Weekday { days: tuesday, at: Some(time(10, 0)) }),
            "05-05 10:00 exit done",
        ),
        (
            "2026-05-05T09:00",
            moment(MomentKind::Fixed { date: date("2026-06-01"), at: None }),
            "06-01 00:00 exit done",
        ),
        (
            "2026-07-05T09:00",
            moment(MomentKind::Fixed { date: date("2026-06-01"), at: Some(time(9, 0)) }),
            "07-05 09:00 exit late",
        ),
    ] {
        assert_eq!(waits(entry, moment.clone()), goes_on, "from {entry}: {moment:?}");
    }
}

#[test]
fn a_wait_may_go_on_until_a_window() {
    let mut j = J::new("settle");
    let office = moment(MomentKind::Window { days: WEEKDAYS, from: time(9, 0), to: time(17, 0) });
    j.on("signed_up").wait_then("settle", days(3), office).exit("done");
    // Thursday evening and three days is Sunday evening: Monday morning.
    assert_eq!(goes_on(&j, "2026-04-16T18:00"), "04-20 09:00 exit done");
    assert_eq!(goes_on(&j, "2026-04-13T10:00"), "04-16 10:00 exit done");
}

#[test]
fn the_zone_is_the_contacts_or_the_projects_where_that_is_unknown() {
    let mut j = J::new("zone");
    j.on("signed_up").until("w", moment(MomentKind::Time(time(9, 0))), None).exit("done");
    for (zone, goes_on) in [
        (text("America/New_York"), "05-04 15:00 exit done"),
        (text("Mars/Olympus"), "05-05 09:00 exit done"),
        (Value::Unknown, "05-05 09:00 exit done"),
    ] {
        let mut play = Play::new(catalog(), &[&j], "2026-05-04T00:00");
        play.attributes("2026-05-04T01:00", &[("timezone", zone)]);
        let story = play.event("2026-05-04T12:00", "signed_up", &[]).until("2026-05-06T00:00").story();
        assert_eq!(story.last().expect("a line"), goes_on);
    }
}

#[test]
fn a_contact_that_moves_is_waited_for_in_its_new_zone_once_and_only_in_long_waits() {
    let mut long = J::new("long");
    long.on("signed_up").wait("w", days(3)).exit("done");
    let mut short = J::new("short");
    short.on("signed_up").wait("w", hours(20)).exit("done");
    let mut play = Play::new(catalog(), &[&long, &short], "2026-05-04T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).story();
    // Three days later at the same clock time: armed at 10:00 in Berlin, which is 04:00 in New York.
    play.attributes("2026-05-04T11:00", &[("timezone", text("America/New_York"))]);
    play.until("2026-05-05T12:00").tells(&["05-05 06:00 exit done"]);
    play.attributes("2026-05-05T13:00", &[("timezone", text("Asia/Tokyo"))]);
    play.until("2026-05-09T00:00").tells(&["05-07 10:00 exit done"]);

    // Over the clock change of one zone alone the instant differs: recomputed once, not twice.
    let mut j = J::new("spring");
    j.on("signed_up").wait("w", days(3)).exit("done");
    let mut play = Play::new(catalog(), &[&j], "2026-03-26T00:00");
    play.event("2026-03-27T10:00", "signed_up", &[]).story();
    play.attributes("2026-03-27T11:00", &[("timezone", text("Africa/Lagos"))]);
    play.attributes("2026-03-27T12:00", &[("timezone", text("Europe/Berlin"))]);
    // 30 March, 10:00 in Lagos is 11:00 in Berlin's summer.
    play.until("2026-04-09T00:00").tells(&["03-30 11:00 exit done"]);
}

#[test]
fn an_anchor_in_the_past_goes_on_at_once_and_says_so() {
    let before_card = || anchor(attr("card_expires"), days(-30), Some(time(10, 0)));
    let mut j = J::new("card");
    j.on("signed_up").until("d30", before_card(), Some("behind")).send("d30_mail");
    j.label("behind");
    let late = j.field("d30", "late");
    j.unless(late, "fine").exit("late").label("fine").exit("done");
    for (expires, story) in [
        ("2026-07-01", vec!["06-01 10:00 send email d30_mail", "06-01 10:00 exit done"]),
        ("2026-05-20", vec!["05-04 10:00 exit late"]),
        ("2026-06-03", vec!["05-04 10:00 send email d30_mail", "05-04 10:00 exit done"]),
    ] {
        let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
        play.attributes("2026-05-01T01:00", &[("card_expires", Value::Date(date(expires)))]);
        play.event("2026-05-04T10:00", "signed_up", &[]).until("2026-09-01T00:00");
        assert_eq!(play.story()[1..], story, "expires {expires}");
    }
}

#[test]
fn an_anchor_on_an_attribute_is_followed_until_it_is_due() {
    let mut j = J::new("card");
    j.on("signed_up").until("last", anchor(attr("card_expires"), days(0), None), Some("late"));
    j.exit("done").label("late").exit("late");
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    let expires = |text: &str| [("card_expires", Value::Date(date(text)))];
    play.attributes("2026-05-01T01:00", &expires("2026-06-01")).event("2026-05-04T10:00", "signed_up", &[]);
    play.attributes("2026-05-20T10:00", &expires("2026-07-01")).until("2026-06-30T00:00");
    play.tells(&["05-04 10:00 enter"]);
    play.until("2026-07-02T00:00").tells(&["07-01 00:00 exit done"]);

    play.attributes("2026-07-10T01:00", &expires("2026-09-01")).event("2026-07-10T10:00", "signed_up", &[]);
    play.attributes("2026-07-20T10:00", &expires("2026-07-15"));
    play.tells(&["07-10 10:00 enter", "07-20 10:00 exit late"]);

    play.attributes("2026-07-21T01:00", &expires("2026-09-01")).event("2026-07-21T10:00", "signed_up", &[]);
    play.attributes("2026-07-22T10:00", &[("card_expires", Value::Unknown)]);
    play.tells(&[
        "07-21 10:00 enter",
        "07-22 10:00 odd: the moment that is waited for is missing",
        "07-22 10:00 exit late",
    ]);
}

#[test]
fn a_step_is_a_moment_when_it_was_done() {
    let mut j = J::new("after");
    j.on("signed_up").wait("first", hours(5)).send("offer");
    let offer = j.slot("offer", SlotKind::Message);
    j.until("nudge", anchor(Expr::MomentOf(offer), hours(2), None), None).exit("done");
    assert_eq!(goes_on(&j, "2026-05-04T10:00"), "05-04 17:00 exit done");
}

#[test]
fn a_random_wait_is_stable_and_within_its_bounds() {
    let mut j = J::new("random");
    let slot = j.slot("w", SlotKind::Wait);
    j.on("signed_up");
    j.line("w", Some(slot), |_, next| StepKind::WaitFor {
        duration: hours(1),
        longest: Some(hours(5)),
        then_until: None,
        next,
    });
    j.exit("done");
    let run = || {
        let mut play = Play::new(catalog(), &[&j], "2026-05-04T00:00");
        for hour in 0..20 {
            play.event(&format!("2026-05-04T{hour:02}:00"), "signed_up", &[]);
        }
        play.until("2026-05-06T00:00");
        play.memory.log().iter().map(|logged| logged.at).collect::<Vec<_>>()
    };
    let (first, second) = (run(), run());
    assert_eq!(first, second);
    let mut play = Play::new(catalog(), &[&j], "2026-05-04T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).until("2026-05-04T10:59").tells(&["05-04 10:00 enter"]);
    assert_eq!(play.until("2026-05-04T15:00").story().len(), 1);
}

#[test]
fn after_an_outage_the_next_wait_counts_from_an_hour_before_now_at_the_earliest() {
    let mut j = J::new("outage");
    j.on("signed_up").wait("one", days(1)).send("a").wait("two", days(3)).exit("done");
    // Ten minutes late: the second wait still counts from when the first was due.
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]);
    play.memory.sleep_to(at("2026-05-05T10:10"));
    play.until("2026-05-20T00:00");
    play.tells(&["05-04 10:00 enter", "05-05 10:10 send email a", "05-08 10:00 exit done"]);
    // Two days late: the days do not pile up.
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]);
    play.memory.sleep_to(at("2026-05-07T12:00"));
    play.until("2026-05-20T00:00");
    play.tells(&["05-04 10:00 enter", "05-07 12:00 send email a", "05-10 11:00 exit done"]);
}

#[test]
fn a_journey_lasts_so_long_and_then_expires() {
    let mut j = J::new("lasts");
    j.on("signed_up").wait("w", days(20)).exit("done");
    j.program.lasts = Some(days(10));
    assert_eq!(goes_on(&j, "2026-05-04T10:00"), "05-14 10:00 exit expired");
    // A wait that ends at the very end still ends by itself.
    j.program.lasts = Some(days(20));
    assert_eq!(goes_on(&j, "2026-05-04T10:00"), "05-24 10:00 exit done");
}

#[test]
fn day_tests_look_at_the_clock_of_their_zone() {
    let test = |negated, days, window| Expr::DayTest { negated, days, window, zone: ZoneRef::Contact };
    let window = || Some(Box::new((time(9, 0), time(17, 0))));
    let weekend = Days { mask: 0x60, working: false };
    for (entry, condition, holds) in [
        ("2026-05-09T12:00", test(false, weekend, None), true),
        ("2026-05-08T12:00", test(false, weekend, None), false),
        ("2026-05-08T12:00", test(true, weekend, None), true),
        ("2026-05-08T12:00", test(false, WEEKDAYS, window()), true),
        ("2026-05-08T17:00", test(false, WEEKDAYS, window()), false),
    ] {
        let mut j = J::new("day");
        j.on("signed_up").unless(condition.clone(), "no").exit("yes").label("no").exit("no");
        let expected = if holds { "exit yes" } else { "exit no" };
        assert!(goes_on(&j, entry).ends_with(expected), "{entry} {condition:?}");
    }
}

#[test]
fn a_contact_that_moves_while_a_handler_runs_is_waited_for_in_its_new_zone_and_once_only() {
    let handled = |wait: Calendar| {
        let mut j = J::new("moves");
        j.on("signed_up").wait("main", wait).exit("done");
        j.label("handler").wait("calm", hours(3)).line("resume", None, |_, _| StepKind::Resume);
        j.handler(on("complaint"), "handler");
        j
    };
    let to = |zone: &str| [("timezone", text(zone))];
    let j = handled(days(3));
    let mut play = Play::new(catalog(), &[&j], "2026-05-04T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-04T11:00", "complaint", &[]);
    // Nothing differs but over a change of clocks: see the test above.
    play.attributes("2026-05-04T12:00", &to("Asia/Tokyo")).until("2026-06-01T00:00");
    play.tells(&["05-04 10:00 enter", "05-07 10:00 exit done"]);

    let mut play = Play::new(catalog(), &[&j], "2026-03-26T00:00");
    play.event("2026-03-27T10:00", "signed_up", &[]).event("2026-03-27T11:00", "complaint", &[]);
    play.attributes("2026-03-27T12:00", &to("Africa/Lagos")).until("2026-04-09T00:00");
    play.tells(&["03-27 10:00 enter", "03-30 11:00 exit done"]);

    // Moved once before the handler ran, so not again when the main line goes on.
    let mut play = Play::new(catalog(), &[&j], "2026-03-26T00:00");
    play.event("2026-03-27T10:00", "signed_up", &[]).attributes("2026-03-27T11:00", &to("Africa/Lagos"));
    play.event("2026-03-27T12:00", "complaint", &[]).attributes("2026-03-27T13:00", &to("Europe/Berlin"));
    play.until("2026-04-09T00:00").tells(&["03-27 10:00 enter", "03-30 11:00 exit done"]);

    // A wait of a day keeps its instant, in a handler too.
    let j = handled(days(1));
    let mut play = Play::new(catalog(), &[&j], "2026-03-26T00:00");
    play.event("2026-03-28T10:00", "signed_up", &[]).event("2026-03-28T11:00", "complaint", &[]);
    play.attributes("2026-03-28T12:00", &to("Africa/Lagos")).until("2026-04-09T00:00");
    play.tells(&["03-28 10:00 enter", "03-29 10:00 exit done"]);
}

#[test]
fn a_move_takes_nothing_from_a_wait_that_it_does_not_change() {
    // Overdue by ten minutes when the move is taken: what follows counts from when it was due.
    let mut j = J::new("clock");
    j.on("signed_up").wait("one", hours(2)).wait("two", hours(2)).exit("done");
    let mut play = Play::new(catalog(), &[&j], "2026-05-04T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]);
    play.memory.sleep_to(at("2026-05-04T12:10"));
    let values = fields(&[("timezone", text("Asia/Tokyo"))]);
    play.memory
        .take_raw(ADA, &fahrplan::engine::world::Input::Attributes { values, at: at("2026-05-04T12:05") });
    play.until("2026-05-05T00:00").tells(&["05-04 10:00 enter", "05-04 14:00 exit done"]);
}

#[test]
fn of_what_is_due_together_exits_come_first_then_the_wait_then_the_end_of_the_journey() {
    let rules = catalog();
    for (live, condition, exit) in [(true, true, "asleep"), (false, true, "arm"), (false, false, "over")] {
        let asleep = || none("order", Reach::Within(days(10)));
        let mut j = J::new("together");
        j.on("order");
        j.program.lasts = Some(days(10));
        if live {
            j.exit_when("asleep", &rules, asleep());
        }
        let arms = vec![(super::build::condition(&rules, asleep()), Some("arm"))];
        match condition {
            true => j.race("w", Some(days(10)), arms, Some("over"), |_| {}),
            false => j.wait("w", days(10)).go("over"),
        };
        j.label("arm").exit("arm").label("over").exit("over");
        let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
        play.event("2026-05-04T10:00", "order", &[]).until("2026-06-01T00:00");
        assert_eq!(play.story()[1], format!("05-14 10:00 exit {exit}"));
    }
}

#[test]
fn a_live_condition_about_today_is_looked_at_again_at_midnight() {
    let rules = catalog();
    let today = Expr::Call(Function::Today, Vec::new());
    let over = bin(BinaryOp::Ge, today, val(Value::Date(date("2026-05-06"))));
    let mut j = J::new("today");
    j.on("signed_up").wait("w", days(20)).exit("done").exit_when("over", &rules, over);
    let mut play = Play::new(rules, &[&j], "2026-05-01T00:00");
    play.attributes("2026-05-01T01:00", &[("timezone", text("America/New_York"))]);
    play.event("2026-05-04T10:00", "signed_up", &[]).until("2026-06-01T00:00");
    play.tells(&["05-04 10:00 enter", "05-06 06:00 exit over", "05-06 06:00 withdraw"]);
}

#[test]
fn a_deadline_of_one_who_left_or_fell_behind_never_comes_twice() {
    // The timer is overdue by days: it fires once, and what follows is reckoned from an hour before now.
    let mut j = J::new("loop");
    j.on("signed_up");
    j.repeat("round", 5, |j| {
        j.wait("pause", days(1)).send("again");
    });
    j.exit("done");
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]);
    play.memory.sleep_to(at("2026-05-09T12:00"));
    play.until("2026-05-10T12:00");
    play.tells(&["05-04 10:00 enter", "05-09 12:00 send email again", "05-10 11:00 send email again"]);
}
