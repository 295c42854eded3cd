//! The gate: address, suppression, consent, pause, quiet hours, caps; what holds, skips and ends.

use fahrplan::engine::program::*;
use fahrplan::engine::world::{Input, Suppression};
use fahrplan::value::Value;

use super::build::*;

/// A marketing journey that sends once and tells what became of it.
fn sends() -> J {
    let mut j = J::new("news");
    j.marketing().on("signed_up").send("news");
    let (skipped, unreachable) = (j.field("news", "skipped"), j.field("news", "unreachable"));
    let reason = is(j.field("news", "reason"), val(text("cap")));
    j.unless(skipped, "not_skipped").unless(reason, "skipped").exit("capped");
    j.label("skipped").exit("skipped").label("not_skipped");
    j.unless(unreachable, "sent").exit("unreachable").label("sent").exit("sent");
    j
}

fn quiet(catalog: &mut Catalog, purpose: &str, then: Then) {
    catalog.policy.quiet.push(Quiet {
        from: clock(21, 0),
        to: clock(8, 0),
        zone: ZoneRef::Contact,
        purpose: purpose.into(),
        channels: vec!["email".into()],
        then,
    });
}

fn cap(catalog: &mut Catalog, purpose: &str, number: u32, window: CapWindow, then: Then) {
    let (channel, purpose) = (Some("email".into()), purpose.into());
    catalog.policy.caps.push(Cap { channel, purpose, number, window, then });
}

fn permitted(catalog: Catalog, programs: &[&J]) -> Play {
    let mut play = Play::new(catalog, programs, "2026-05-01T00:00");
    play.memory.add_consent(ADA, "marketing", "email", true);
    play
}

#[test]
fn address_suppression_and_pause_are_told_apart() {
    let j = sends();
    let mut play = permitted(catalog(), &[&j]);
    play.attributes("2026-05-04T08:00", &[("email", Value::Unknown)]).event(
        "2026-05-04T10:00",
        "signed_up",
        &[],
    );
    play.tells(&["05-04 10:00 enter", "05-04 10:00 skip email: unreachable", "05-04 10:00 exit unreachable"]);

    let mut play = permitted(catalog(), &[&j]);
    let suppression = Suppression {
        channel: "email".into(),
        address: "ada@example.org".into(),
        reason: "bounce".into(),
        at: at("2026-05-04T09:00"),
    };
    play.input("2026-05-04T09:00", Input::Suppress(suppression)).event("2026-05-04T10:00", "signed_up", &[]);
    play.tells(&["05-04 10:00 enter", "05-04 10:00 skip email: suppressed", "05-04 10:00 exit skipped"]);

    let mut pause = J::new("pause");
    pause.on("complaint").plain("pause", |next| StepKind::Pause {
        purpose: "marketing".into(),
        until: PauseUntil::For(days(14)),
        next,
    });
    pause.exit("paused");
    let mut play = permitted(catalog(), &[&j, &pause]);
    play.event("2026-05-04T09:00", "complaint", &[]).story();
    play.event("2026-05-18T08:59", "signed_up", &[]);
    play.tells(&["05-18 08:59 enter", "05-18 08:59 skip email: paused", "05-18 08:59 exit skipped"]);
    play.event("2026-05-18T09:00", "signed_up", &[]);
    play.tells(&["05-18 09:00 enter", "05-18 09:00 send email news", "05-18 09:00 exit sent"]);
}

#[test]
fn a_marketing_send_in_a_transactional_journey_asks_for_consent_at_the_gate() {
    let mut j = J::new("offer");
    j.on("signed_up").send_by("offer", &["email"], false, |send| send.purpose = "marketing".into());
    let skipped = j.field("offer", "skipped");
    j.unless(skipped, "sent").exit("skipped").label("sent").exit("sent");
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]);
    play.tells(&["05-04 10:00 enter", "05-04 10:00 skip email: consent", "05-04 10:00 exit skipped"]);
    play.consent("2026-05-04T11:00", "marketing", true).event("2026-05-04T12:00", "signed_up", &[]);
    play.tells(&["05-04 12:00 enter", "05-04 12:00 send email offer", "05-04 12:00 exit sent"]);
}

#[test]
fn a_refined_purpose_has_its_parents_consent_until_one_of_both_is_withdrawn() {
    let mut j = J::new("lapsing");
    j.on("signed_up").send_by("offer", &["email"], false, |send| send.purpose = "lapsing".into());
    j.exit("done");
    let mut play = permitted(catalog(), &[&j]);
    let said = |play: &mut Play, when: &str| {
        play.event(when, "signed_up", &[]);
        play.story()[1][12..].to_owned()
    };
    assert_eq!(said(&mut play, "2026-05-04T10:00"), "send email offer");
    play.consent("2026-05-04T11:00", "lapsing", false);
    assert_eq!(said(&mut play, "2026-05-04T12:00"), "skip email: consent");
    play.consent("2026-05-04T13:00", "lapsing", true);
    assert_eq!(said(&mut play, "2026-05-04T14:00"), "send email offer");
    play.consent("2026-05-04T15:00", "marketing", false);
    assert_eq!(said(&mut play, "2026-05-04T16:00"), "skip email: consent");
}

#[test]
fn quiet_hours_hold_until_they_end_and_then_the_whole_gate_is_asked_again() {
    let mut rules = catalog();
    quiet(&mut rules, "marketing", Then::Wait(None));
    let j = sends();
    let mut play = permitted(rules.clone(), &[&j]);
    play.event("2026-05-04T22:30", "signed_up", &[]).until("2026-05-06T00:00");
    play.tells(&[
        "05-04 22:30 enter",
        "05-04 22:30 held by quiet until 05-05 08:00",
        "05-05 08:00 send email news",
        "05-05 08:00 exit sent",
    ]);
    // The address vanishes while it is held.
    play.event("2026-05-06T03:00", "signed_up", &[]);
    play.attributes("2026-05-06T04:00", &[("email", Value::Unknown)]).until("2026-05-07T00:00");
    play.tells(&[
        "05-06 03:00 enter",
        "05-06 03:00 held by quiet until 05-06 08:00",
        "05-06 08:00 skip email: unreachable",
        "05-06 08:00 exit unreachable",
    ]);
    // At eight sharp it is day.
    play.attributes("2026-05-07T04:00", &[("email", text("ada@example.org"))]);
    play.event("2026-05-07T08:00", "signed_up", &[]);
    play.tells(&["05-07 08:00 enter", "05-07 08:00 send email news", "05-07 08:00 exit sent"]);
}

#[test]
fn quiet_hours_leave_transactional_mail_alone_unless_they_name_it() {
    let mut j = J::new("service");
    j.on("signed_up").send("service").exit("done");
    let mut rules = catalog();
    quiet(&mut rules, "marketing", Then::Skip);
    let mut play = Play::new(rules.clone(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T22:30", "signed_up", &[]);
    play.tells(&["05-04 22:30 enter", "05-04 22:30 send email service", "05-04 22:30 exit done"]);
    quiet(&mut rules, "transactional", Then::Wait(None));
    let mut play = Play::new(rules, &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T22:30", "signed_up", &[]);
    play.tells(&["05-04 22:30 enter", "05-04 22:30 held by quiet until 05-05 08:00"]);
}

#[test]
fn a_cap_skips_waits_or_ends() {
    let rolling = CapWindow::Rolling(days(7));
    let j = sends();
    for (then, third) in [
        (Then::Skip, vec!["05-06 10:00 skip email: cap", "05-06 10:00 exit capped"]),
        (
            Then::Wait(None),
            vec![
                "05-06 10:00 held by cap until 05-11 10:00",
                "05-11 10:00 send email news",
                "05-11 10:00 exit sent",
            ],
        ),
        (
            Then::Wait(Some(days(3))),
            vec![
                "05-06 10:00 held by cap until 05-09 10:00",
                "05-09 10:00 skip email: cap",
                "05-09 10:00 exit capped",
            ],
        ),
        (Then::Exit, vec!["05-06 10:00 skip email: cap", "05-06 10:00 exit cap"]),
    ] {
        let mut rules = catalog();
        cap(&mut rules, "marketing", 2, rolling.clone(), then);
        let mut play = permitted(rules, &[&j]);
        play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-05T10:00", "signed_up", &[]).story();
        play.event("2026-05-06T10:00", "signed_up", &[]).until("2026-05-20T00:00");
        assert_eq!(play.story()[1..], third, "{then:?}");
    }
}

#[test]
fn a_refined_purpose_counts_for_its_parent_but_not_the_other_way() {
    let mut lapsing = J::new("lapsing");
    lapsing.on("complaint").send_by("comeback", &["email"], false, |send| send.purpose = "lapsing".into());
    lapsing.exit("done");
    let j = sends();
    let mut rules = catalog();
    cap(&mut rules, "marketing", 1, CapWindow::Rolling(days(7)), Then::Skip);
    let mut play = permitted(rules, &[&j, &lapsing]);
    play.event("2026-05-04T10:00", "complaint", &[]).event("2026-05-04T11:00", "signed_up", &[]);
    assert!(play.story().contains(&"05-04 11:00 skip email: cap".to_owned()));
    let mut rules = catalog();
    cap(&mut rules, "lapsing", 1, CapWindow::Rolling(days(7)), Then::Skip);
    let mut play = permitted(rules, &[&j, &lapsing]);
    play.event("2026-05-04T10:00", "signed_up", &[]).event("2026-05-04T11:00", "complaint", &[]);
    assert!(play.story().contains(&"05-04 11:00 send email comeback".to_owned()));
}

#[test]
fn calendar_caps_begin_anew_with_the_unit() {
    let j = sends();
    for (unit, free) in [
        (CalendarUnit::Day, "05-06 00:00"),
        (CalendarUnit::Week, "05-11 00:00"),
        (CalendarUnit::Month, "06-01 00:00"),
        (CalendarUnit::Year, "01-01 00:00"),
    ] {
        let mut rules = catalog();
        cap(&mut rules, "marketing", 1, CapWindow::Calendar(unit), Then::Wait(None));
        let mut play = permitted(rules, &[&j]);
        play.event("2026-05-05T10:00", "signed_up", &[]).story();
        play.event("2026-05-05T12:00", "signed_up", &[]);
        assert_eq!(play.story()[1], format!("05-05 12:00 held by cap until {free}"), "{unit:?}");
        let sent = play.until("2027-01-02T00:00").story();
        assert_eq!(sent[0], format!("{free} send email news"));
    }
}

#[test]
fn of_several_caps_the_strictest_answer_and_the_latest_end_win() {
    let j = sends();
    let week = || CapWindow::Rolling(days(7));
    let mut rules = catalog();
    cap(&mut rules, "marketing", 1, week(), Then::Wait(None));
    cap(&mut rules, "marketing", 1, CapWindow::Rolling(days(2)), Then::Skip);
    let mut play = permitted(rules, &[&j]);
    play.event("2026-05-04T10:00", "signed_up", &[]).story();
    play.event("2026-05-05T10:00", "signed_up", &[]);
    assert_eq!(play.story()[1], "05-05 10:00 skip email: cap", "skip is stricter than wait");
    play.event("2026-05-06T10:00", "signed_up", &[]);
    assert_eq!(play.story()[1], "05-06 10:00 held by cap until 05-11 10:00", "only the week is left");

    let mut rules = catalog();
    cap(&mut rules, "marketing", 1, CapWindow::Rolling(days(2)), Then::Wait(None));
    cap(&mut rules, "marketing", 1, week(), Then::Wait(None));
    let mut play = permitted(rules, &[&j]);
    play.event("2026-05-04T10:00", "signed_up", &[]).story();
    play.event("2026-05-05T10:00", "signed_up", &[]);
    assert_eq!(play.story()[1], "05-05 10:00 held by cap until 05-11 10:00");
}

#[test]
fn the_limit_of_a_cap_is_not_used_up_by_quiet_hours() {
    let j = sends();
    let mut rules = catalog();
    quiet(&mut rules, "marketing", Then::Wait(None));
    cap(&mut rules, "marketing", 1, CapWindow::Rolling(days(30)), Then::Wait(Some(hours(5))));
    let mut play = permitted(rules, &[&j]);
    play.event("2026-05-04T10:00", "signed_up", &[]).story();
    play.event("2026-05-04T22:00", "signed_up", &[]).until("2026-05-06T00:00");
    play.tells(&[
        "05-04 22:00 enter",
        "05-04 22:00 held by quiet until 05-05 08:00",
        "05-05 08:00 held by cap until 05-05 13:00",
        "05-05 13:00 skip email: cap",
        "05-05 13:00 exit capped",
    ]);
}

#[test]
fn an_else_chain_takes_the_first_channel_that_may_and_can() {
    let mut j = J::new("chain");
    j.on("signed_up").send_by("pass", &["email", "sms"], false, |_| {});
    let unreachable = j.field("pass", "unreachable");
    j.unless(unreachable, "sent").exit("nobody").label("sent").exit("sent");
    let phone = ("phone", text("+4930123456"));
    let none = ("email", Value::Unknown);
    for (attributes, story) in [
        (vec![phone.clone()], vec!["send email pass", "exit sent"]),
        (vec![phone, none.clone()], vec!["skip email: unreachable", "send sms pass", "exit sent"]),
        (vec![none], vec!["skip email: unreachable", "skip sms: unreachable", "exit nobody"]),
    ] {
        let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
        play.attributes("2026-05-04T08:00", &attributes).event("2026-05-04T10:00", "signed_up", &[]);
        let told: Vec<String> = play.story()[1..].iter().map(|line| line[12..].to_owned()).collect();
        assert_eq!(told, story, "{attributes:?}");
    }
}

#[test]
fn an_and_sends_on_every_channel_once_even_when_one_is_held() {
    let mut rules = catalog();
    rules.channels.get_mut("sms").expect("sms").hours =
        Some(Hours { days: WEEKDAYS, from: clock(9, 0), to: clock(18, 0), zone: ZoneRef::Contact });
    let mut j = J::new("both");
    j.on("signed_up").send_by("pass", &["sms", "email"], true, |_| {});
    let skipped = j.field("pass", "skipped");
    j.unless(skipped, "sent").exit("skipped").label("sent").exit("sent");
    let mut play = Play::new(rules, &[&j], "2026-05-01T00:00");
    play.attributes("2026-05-04T08:00", &[("phone", text("+4930123456"))]);
    // Saturday: the text message waits for Monday, the mail leaves.
    play.event("2026-05-09T10:00", "signed_up", &[]).until("2026-05-12T00:00");
    play.tells(&[
        "05-09 10:00 enter",
        "05-09 10:00 send email pass",
        "05-09 10:00 held by quiet until 05-11 09:00",
        "05-11 09:00 send sms pass",
        "05-11 09:00 exit sent",
    ]);
}

#[test]
fn a_send_past_its_before_is_skipped_as_late() {
    let mut j = J::new("before");
    j.on("signed_up").wait("w", hours(3));
    j.send_by("offer", &["email"], false, |send| {
        send.before = Some(anchor(Expr::MomentOf(0), hours(4), None));
    });
    let late = is(j.field("offer", "reason"), val(text("late")));
    let skipped = j.field("offer", "skipped");
    j.unless(skipped, "sent").unless(late, "sent").exit("late").label("sent").exit("sent");
    let mut rules = catalog();
    quiet(&mut rules, "transactional", Then::Wait(None));
    let mut play = Play::new(rules, &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]).until("2026-05-04T14:00");
    play.tells(&["05-04 10:00 enter", "05-04 13:00 send email offer", "05-04 13:00 exit sent"]);
    // The wait ends at 22:00, quiet hours would hold it until 08:00, but it is useless after 23:00.
    play.event("2026-05-04T19:00", "signed_up", &[]).until("2026-05-06T14:00");
    play.tells(&["05-04 19:00 enter", "05-04 22:00 skip email: late", "05-04 22:00 exit late"]);
    // After an outage.
    play.event("2026-05-07T10:00", "signed_up", &[]);
    play.memory.sleep_to(at("2026-05-07T14:01"));
    play.until("2026-05-08T00:00");
    play.tells(&["05-07 10:00 enter", "05-07 14:01 skip email: late", "05-07 14:01 exit late"]);
}

#[test]
fn a_value_that_vanished_is_a_named_failure_and_noted() {
    let mut j = J::new("to");
    j.on("signed_up").send_by("mail", &["email"], false, |send| send.to = Some(attr("second_email")));
    let unreachable = j.field("mail", "unreachable");
    j.unless(unreachable, "sent")
        .set("plan", attr("phone"))
        .unless(bin(BinaryOp::Gt, attr("card_expires"), val(Value::Date(date("2026-01-01")))), "vanished");
    j.exit("known").label("vanished").exit("vanished").label("sent").exit("sent");
    let mut play = Play::new(catalog(), &[&j], "2026-05-01T00:00");
    play.event("2026-05-04T10:00", "signed_up", &[]);
    play.tells(&[
        "05-04 10:00 enter",
        "05-04 10:00 skip email: unreachable",
        "05-04 10:00 odd: plan was not set: the value is missing",
        "05-04 10:00 odd: a value in the condition is missing, so it does not hold",
        "05-04 10:00 exit vanished",
    ]);
    assert_eq!(play.memory.attribute(ADA, "plan"), text("free"));
}

#[test]
fn withdrawal_ends_the_enrollments_of_that_purpose_and_of_no_other() {
    let mut marketing = J::new("marketing");
    marketing.marketing().on("signed_up").send("news").wait("w", days(3)).exit("done");
    let mut service = J::new("service");
    service.on("signed_up").wait("w", days(3)).exit("done");
    let mut lapsing = J::new("lapsing");
    lapsing.marketing().on("signed_up").wait("w", days(3)).exit("done");
    lapsing.program.purpose = "lapsing".into();
    let mut play = permitted(catalog(), &[&marketing, &service, &lapsing]);
    play.event("2026-05-04T10:00", "signed_up", &[]).story();
    play.consent("2026-05-04T11:00", "lapsing", false);
    play.tells(&["05-04 11:00 exit consent_withdrawn", "05-04 11:00 withdraw"]);
    assert_eq!(play.memory.resting(ADA).len(), 2);
    play.consent("2026-05-04T12:00", "marketing", false);
    play.tells(&["05-04 12:00 exit consent_withdrawn", "05-04 12:00 withdraw"]);
    play.until("2026-05-20T00:00").tells(&["05-07 10:00 exit done"]);
}

#[test]
fn the_gate_asks_in_its_order_and_transactional_mail_of_the_address_and_suppression_alone() {
    let mut rules = catalog();
    quiet(&mut rules, "marketing", Then::Skip);
    cap(&mut rules, "marketing", 0, CapWindow::Rolling(days(7)), Then::Skip);
    let with = |from: &str| {
        let mut j = J::new("pause");
        j.on("complaint").plain("pause", |next| StepKind::Pause {
            purpose: "marketing".into(),
            until: PauseUntil::Forever,
            next,
        });
        j.exit("paused");
        let mut offer = J::new("offer");
        offer.on("signed_up").send_by("offer", &["email"], false, |send| send.purpose = "marketing".into());
        offer.exit("done");
        let mut service = J::new("service");
        service.on("closed").send("service").exit("done");
        let mut play = Play::new(rules.clone(), &[&j, &offer, &service], "2026-05-01T00:00");
        // What stands before `from` is in order, that and everything behind it is not.
        let order = ["address", "suppressed", "consent", "paused", "quiet", "cap"];
        let wrong = |what: &str| {
            order.iter().position(|one| *one == what) >= order.iter().position(|one| *one == from)
        };
        if wrong("address") {
            play.attributes("2026-05-01T01:00", &[("email", Value::Unknown)]);
        }
        if wrong("suppressed") {
            let suppression = Suppression {
                channel: "email".into(),
                address: "ada@example.org".into(),
                reason: "bounce".into(),
                at: at("2026-05-01T01:00"),
            };
            play.input("2026-05-01T01:00", Input::Suppress(suppression));
        }
        if !wrong("consent") {
            play.memory.add_consent(ADA, "marketing", "email", true);
        }
        if wrong("paused") {
            play.event("2026-05-01T02:00", "complaint", &[]);
        }
        let hour = if wrong("quiet") { "22:00" } else { "12:00" };
        play.story();
        play.event(&format!("2026-05-04T{hour}"), "signed_up", &[]);
        play.event(&format!("2026-05-04T{hour}"), "closed", &[]);
        let story = play.story();
        (story[1][12..].to_owned(), story[4][12..].to_owned())
    };
    let (skip, service) = (|why: &str| format!("skip email: {why}"), "send email service".to_owned());
    assert_eq!(with("address"), (skip("unreachable"), skip("unreachable")));
    assert_eq!(with("suppressed"), (skip("suppressed"), skip("suppressed")));
    for why in ["consent", "paused", "quiet", "cap"] {
        assert_eq!(with(why), (skip(why), service.clone()));
    }
}

#[test]
fn a_pause_never_shortens_another() {
    let pause = |name: &str, event: &str, until: PauseUntil| {
        let mut j = J::new(name);
        j.on(event).plain("pause", move |next| StepKind::Pause {
            purpose: "marketing".into(),
            until: until.clone(),
            next,
        });
        j.send_by("offer", &["email"], false, |send| send.purpose = "marketing".into());
        j.exit("done");
        j
    };
    let long = pause("long", "complaint", PauseUntil::For(days(30)));
    let past = moment(MomentKind::Fixed { date: date("2026-05-01"), at: None });
    let short = pause("short", "signed_up", PauseUntil::Until(past));
    let mut play = permitted(catalog(), &[&long, &short]);
    play.event("2026-05-04T10:00", "complaint", &[]).event("2026-05-05T10:00", "signed_up", &[]);
    play.event("2026-05-06T10:00", "signed_up", &[]);
    let skipped = play.story().iter().filter(|line| line.ends_with("skip email: paused")).count();
    assert_eq!(skipped, 3, "the month is not over, within the same call and after it");
}

#[test]
fn quiet_hours_hold_calls_through_the_phone() {
    let mut rules = catalog();
    quiet(&mut rules, "marketing", Then::Wait(None));
    rules.policy.quiet[0].channels = vec!["phone".into()];
    let work = |verb: &'static str| {
        let mut j = J::new(verb);
        let slot = j.slot("talk", SlotKind::Task);
        j.on("signed_up").line("talk", Some(slot), move |_, next| {
            StepKind::Work(Box::new(Work {
                verb: verb.into(),
                task: "winback".into(),
                team: "sales".into(),
                with: Vec::new(),
                limit: days(5),
                purpose: "marketing".into(),
                next,
            }))
        });
        j.exit("done");
        j
    };
    let mut play = permitted(rules, &[&work("call"), &work("assign")]);
    play.attributes("2026-05-04T10:00", &[("phone", text("+4930123456"))]);
    play.event("2026-05-04T22:00", "signed_up", &[]).until("2026-05-05T12:00");
    play.tells(&[
        "05-04 22:00 enter",
        "05-04 22:00 held by quiet until 05-05 08:00",
        "05-04 22:00 enter",
        "05-04 22:00 assign winback due 05-04 22:00",
        "05-05 08:00 call winback due 05-05 08:00",
    ]);
}

#[test]
fn a_grant_counts_at_once_and_a_withdrawal_on_the_said_channels_alone() {
    let change = |permit: bool, channels: &'static [&'static str]| {
        move |next| {
            let channels = channels.iter().map(|name| Word::from(*name)).collect();
            let purpose = "marketing".into();
            match permit {
                true => StepKind::Grant { purpose, channels, evidence: None, next },
                false => StepKind::Withdraw { purpose, channels, next },
            }
        }
    };
    fn marketing(send: &mut Send) {
        send.purpose = "marketing".into();
    }
    let mut j = J::new("consents");
    j.on("signed_up").plain("grant", change(true, &[])).send_by("a", &["email"], false, marketing);
    j.plain("withdraw", change(false, &["email"])).send_by("b", &["email", "sms"], true, marketing);
    j.exit("done");
    let mut running = J::new("running");
    running.marketing().on("complaint").wait("w", days(30)).exit("done");
    let mut play = permitted(catalog(), &[&j, &running]);
    play.attributes("2026-05-04T08:00", &[("phone", text("+4930123456"))]);
    play.event("2026-05-04T09:00", "complaint", &[]).event("2026-05-04T10:00", "signed_up", &[]);
    play.tells(&[
        "05-04 09:00 enter",
        "05-04 10:00 enter",
        "05-04 10:00 send email a",
        "05-04 10:00 skip email: consent",
        "05-04 10:00 send sms b",
        "05-04 10:00 exit done",
        "05-04 10:00 exit consent_withdrawn",
        "05-04 10:00 withdraw",
    ]);
}
