//! Lines that expect values: of messages, of work, of recorded events, of the contact.

use super::*;

#[test]
fn values_clock_and_address_are_compared_and_the_difference_is_told() {
    let body = r#"
  enter on signed_up as signup
  wait 30 minutes as moment_of_rest
  send email c to "desk@example.org" with { code: signup.source } as hello
  exit as done
"#;
    let head = "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  at +1 hour expect send email c";
    passes(body, &with_given(&format!("{head} to \"desk@example.org\" with {{ code: \"web\" }} at 10:30\n")));
    assert_eq!(
        fails(body, &with_given(&format!("{head} with {{ code: \"shop\" }}\n"))),
        ["3: `send email c with { code: \"shop\" }`: on Mon 2 Mar `code` was \"web\""]
    );
    assert_eq!(
        fails(body, &with_given(&format!("{head} at 10:00\n"))),
        ["3: `send email c at 10:00`: on Mon 2 Mar it was sent at 10:30 (the contact's clock)"]
    );
    assert_eq!(
        fails(body, &with_given(&format!("{head} to \"x@example.org\"\n"))),
        ["3: `send email c to \"x@example.org\"`: on Mon 2 Mar it went to \"desk@example.org\""]
    );
}

/// What a record step writes, work and a request with their values.
const WRITES: &str = r#"
  enter on signed_up as signup
  record order_placed with { order_id: "first", value: 12 }
  record order_placed with { order_id: "second", value: 0.50 }
  record plan_chosen with { plan: pro }
  request voucher.issue with { source: signup.source } as voucher else { exit as no_voucher }
  call ring by desk with { offer: "20 percent" } up to 5 working days as talk
  exit as done
"#;

/// A play of [`WRITES`] with these lines behind the event.
fn written(lines: &str) -> String {
    with_given(&format!(
        "  given request voucher.issue returns {{ code: \"A1\" }}\n  \
         at 2026-03-02T10:00 event signed_up {{ source: \"web\" }}\n  expect call ring\n{lines}"
    ))
}

#[test]
fn what_was_recorded_is_compared_value_by_value() {
    for line in [
        "expect record order_placed with { order_id: \"first\", value: 12 }",
        "expect record order_placed with { value: 0.5 }",
        "expect record order_placed with { value: 0.50 }\n  expect record order_placed with { value: 12 }",
        "expect record plan_chosen with { plan: pro }",
        "expect record plan_chosen\n    with { plan: pro }",
    ] {
        passes(WRITES, &written(&format!("  {line}\n")));
    }
    assert_eq!(
        fails(WRITES, &written("  expect record order_placed with { order_id: \"shop\" }\n")),
        ["5: `record order_placed with { order_id: \"shop\" }`: on Mon 2 Mar `order_id` was \"first\""]
    );
    assert_eq!(
        fails(WRITES, &written("  expect record order_placed with { value: 13 }\n")),
        ["5: `record order_placed with { value: 13 }`: on Mon 2 Mar `value` was 12"]
    );
    assert_eq!(
        fails(WRITES, &written("  expect record plan_chosen with { plan: free }\n")),
        ["5: `record plan_chosen with { plan: free }`: on Mon 2 Mar `plan` was pro"]
    );
    assert_eq!(
        fails(WRITES, &written("  expect record plan_chosen with { note: \"x\" }\n")),
        ["5: `record plan_chosen with { note: \"x\" }`: on Mon 2 Mar it had no `note`"]
    );
    // One record is met by one line.
    let twice =
        "  expect record plan_chosen with { plan: pro }\n  expect record plan_chosen with { plan: pro }\n";
    assert_eq!(fails(WRITES, &written(twice)).len(), 1);
}

#[test]
fn the_event_that_was_heard_is_none_that_was_recorded() {
    let body = r#"
  enter on order_placed as order
  record order_placed with { order_id: "gift", value: 1 }
  exit as done
"#;
    let played = |line: &str| {
        with_given(&format!(
            "  at 2026-03-02T10:00 event order_placed {{ order_id: \"own\", value: 1 }}\n  {line}\n"
        ))
    };
    passes(body, &played("expect record order_placed with { order_id: \"gift\" }"));
    assert_eq!(fails(body, &played("expect record order_placed with { order_id: \"own\" }")).len(), 1);
}

#[test]
fn work_and_requests_are_compared_value_by_value_too() {
    passes(WRITES, &written("  expect request voucher.issue with { source: \"web\" }\n"));
    let lines = written("").replace("expect call ring", "expect call ring with { offer: \"20 percent\" }");
    passes(WRITES, &lines);
    let told = fails(WRITES, &lines.replace("20 percent", "10 percent"));
    assert_eq!(
        told,
        ["4: `call ring with { offer: \"10 percent\" }`: on Mon 2 Mar `offer` was \"20 percent\""]
    );
    let told = fails(WRITES, &written("  expect request voucher.issue with { percent: 20% }\n"));
    assert_eq!(told.len(), 1);
    assert!(told[0].ends_with("it had no `percent`"), "{told:?}");
}

#[test]
fn a_field_that_the_recorded_event_does_not_have_is_told_by_the_check() {
    for (line, code, help) in [
        ("expect record order_placed with { valeu: 12 }", "E0110", "did you mean `value`?"),
        ("expect record order_placed with { value: \"12\" }", "E0103", ""),
        ("expect record plan_chosen with { plan: team }", "E0103", "only a fixed value can stand here"),
    ] {
        let (sources, compilation) = compile(&journey(WRITES, &written(&format!("  {line}\n"))));
        let found = errors(&sources, &compilation);
        assert!(found.contains(code) && found.contains(help), "{line}\n{found}");
        assert_eq!(found.matches("error[").count(), 1, "{found}");
    }
}

/// A journey that starts another one, and that one, which reads none of what it is told.
const STARTS: &str = r#"
  enter on signed_up as signup
  start journey k with { gift: "cup", price: 12, plan: pro, note: signup.note }
  start journey k with { gift: "spoon", price: 0.50, plan: free, note: "for the jam" }
  exit as done
}
journey k {
  purpose transactional because "a test"
  enter by start with { gift: text, price: decimal, plan: one of [free, pro], note: text? }
  reenter always
  wait 1 day as night
  exit as greeted
"#;

/// What a play of [`STARTS`] says with these lines behind the event.
fn started(lines: &str) -> (String, String) {
    let schema = SCHEMA.replace("signed_up { source: text }", "signed_up { source: text, note: text? }");
    (
        schema,
        journey(
            STARTS,
            &with_given(&format!("  at 2026-03-02T10:00 event signed_up {{ source: \"web\" }}\n{lines}")),
        ),
    )
}

fn start_fails(lines: &str) -> Vec<String> {
    let (schema, text) = started(lines);
    let (sources, compilation) = compile_with(&schema, &text);
    sentences(&sources, &compilation)
}

#[test]
fn what_a_journey_was_started_with_is_compared_value_by_value() {
    for line in [
        "expect start k\n  expect start k",
        "expect start k with { gift: \"cup\", price: 12.00, plan: pro }",
        "expect start k with { gift: \"spoon\" }\n  expect start k with { price: 12 }",
        "expect start k\n    with { note: \"for the jam\" }",
    ] {
        assert_eq!(start_fails(&format!("  {line}\n")), [""; 0], "{line}");
    }
    assert_eq!(
        start_fails("  expect start k with { gift: \"fork\" }\n"),
        ["3: `start k with { gift: \"fork\" }`: on Mon 2 Mar `gift` was \"cup\""]
    );
    assert_eq!(
        start_fails("  expect start k with { price: 12, plan: free }\n"),
        ["3: `start k with { price: 12, plan: free }`: on Mon 2 Mar `plan` was pro"]
    );
    // One start is met by one line.
    let twice = "  expect start k with { gift: \"cup\" }\n  expect start k with { gift: \"cup\" }\n";
    assert_eq!(
        start_fails(twice),
        ["4: `start k with { gift: \"cup\" }`: on Mon 2 Mar `gift` was \"spoon\""]
    );
}

#[test]
fn a_journey_that_is_run_and_awaited_is_compared_too() {
    let body = r#"
  enter on signed_up as signup
  run journey k with { gift: signup.source } up to 10 days as gift
  exit as done
}
journey k {
  purpose transactional because "a test"
  enter by start with { gift: text }
  reenter always
  exit as greeted
"#;
    let played = |line: &str| {
        with_given(&format!("  at 2026-03-02T10:00 event signed_up {{ source: \"web\" }}\n  {line}\n"))
    };
    passes(body, &played("expect start k with { gift: \"web\" }"));
    assert_eq!(
        fails(body, &played("expect start k with { gift: \"shop\" }")),
        ["3: `start k with { gift: \"shop\" }`: on Mon 2 Mar `gift` was \"web\""]
    );
}

#[test]
fn an_argument_that_the_started_journey_does_not_have_is_told_by_the_check() {
    for (line, code, words) in [
        ("expect start k with { gitf: \"cup\" }", "E0101", "did you mean `gift`?"),
        ("expect start k with { price: \"12\" }", "E0103", ""),
        ("expect start k with { plan: team }", "E0103", "only a fixed value can stand here"),
        ("expect start l with { gift: \"cup\" }", "E0101", "there is no journey `l`"),
        (
            "expect start j with { gift: \"cup\" }",
            "E0103",
            "`j` cannot be started: it has no `enter by start`",
        ),
    ] {
        let (schema, text) = started(&format!("  {line}\n"));
        let (sources, compilation) = compile_with(&schema, &text);
        let found = errors(&sources, &compilation);
        assert!(found.contains(code) && found.contains(words), "{line}\n{found}");
        assert_eq!(found.matches("error[").count(), 1, "{found}");
    }
}

#[test]
fn states_are_asked_at_their_moment() {
    let body = r#"
  enter on signed_up
  set contact.plan = pro
  add "spring" to contact.tags for 2 days
  wait 3 days as rest
  set contact.plan = free
  exit as done
"#;
    let lines = "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect contact.plan is pro\n  \
                 expect contact.tags has \"spring\"\n  expect waiting at rest\n  at +50 hours expect not (contact.tags has \"spring\")\n  \
                 at +4 days expect contact.plan is free\n";
    passes(body, &with_given(lines));
    let wrong = lines
        .replace("expect contact.plan is pro", "expect contact.plan is free")
        .replace("at +4 days", "at +2 days and 3 hours");
    assert_eq!(
        fails(body, &with_given(&wrong)),
        [
            "3: `contact.plan is free` is not true: contact.plan is pro",
            "7: `contact.plan is free` is not true: contact.plan is pro"
        ]
    );
    let lines =
        "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  at +4 days expect waiting at rest\n";
    assert_eq!(
        fails(body, &with_given(lines)),
        ["3: nobody waits at `rest`: nobody is in the journey at this moment"]
    );
}

#[test]
fn moments_are_told_as_their_author_writes_them() {
    let schema = SCHEMA.replace("event order_placed {", "event order_placed { due: moment?,");
    let body = "  enter on order_placed as order where order.due is known\n  send email a with { due: order.due } as mail\n  exit as done";
    let tests = "test \"t\" for j {\n  given contact { email: \"ada@example.org\" }\n  \
                 at 2026-06-01T10:00 event order_placed { order_id: \"o\", value: 1, due: 2026-06-03T18:00 }\n  \
                 expect send email a with { due: 2026-06-03T19:00 }\n  expect exit as done\n}";
    let (sources, compilation) = compile_with(&schema, &journey(body, tests));
    let human = testing::run(&compilation, &sources, &|_| true).human(&sources, false);
    assert!(human.contains("`due` was 2026-06-03T18:00"), "{human}");
    assert!(human.contains("with { due: 2026-06-03T18:00 }"), "{human}");
    assert!(!human.contains("16:00"), "{human}");
}
