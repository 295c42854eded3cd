//! Test blocks: what passes, what fails, and what the author is told.

use fahrplan::diagnostic::{Code, Look, Sources, render_all};
use fahrplan::lang::testing::{self, Report};
use fahrplan::lang::{self, Compilation, Input};

mod values;

const SCHEMA: &str = r#"
contact { email: email?, first_name: text?, plan: one of [free, pro] = free, tags: list of text, timezone: timezone = "Europe/Berlin" }
event signed_up { source: text }
event order_placed { order_id: id, value: decimal }
event plan_chosen { plan: one of [free, pro], note: text? }
channel email { sends "smtp", address contact.email, class message, abilities [clicks, replies] }
channel phone { sends "desk", class task }
team desk { hours monday to friday 09:00 to 18:00 project time }
task ring { outcomes [reached, voicemail], answers { note: text? } }
endpoint voucher.issue { method "POST", url "secret:v", timeout 10 seconds, retries 3, returns { code: text } }
pool codes { code: text }
audience lookers { consent_to marketing, consent_on email, matches [contact.email], sends "file" }
purpose news under marketing "News"
policy rules {
  consent marketing on email
  quiet hours 21:00 to 08:00 contact time for marketing on email then wait
}
"#;

/// A transactional journey with these lines after its head, and tests below it.
fn journey(body: &str, tests: &str) -> String {
    format!(
        "journey j {{\n  purpose transactional because \"a test\"\n  reenter never\n  lasts up to 90 days\n{body}\n}}\n{tests}\n"
    )
}

fn compile(text: &str) -> (Sources, Compilation) {
    compile_with(SCHEMA, text)
}

fn compile_with(schema: &str, text: &str) -> (Sources, Compilation) {
    let mut input = Input::default();
    input.settings.zone = "Europe/Berlin".into();
    input.sources.add("schema.journey".into(), schema.into());
    input.sources.add("journeys/j.journey".into(), text.into());
    for name in ["a", "b", "c"] {
        let variables = if name == "c" { "{{code}}{{links.unsubscribe}}" } else { "x {{links.unsubscribe}}" };
        for (part, text) in
            [("email.en.subject", "s"), ("email.en.html", variables), ("sms.en.txt", variables)]
        {
            let path = format!("{name}/{part}.hbs");
            let file = input.sources.add(format!("templates/{path}"), text.into());
            input.templates.insert(path, file);
        }
    }
    let compilation = lang::compile(&input);
    (input.sources, compilation)
}

fn errors(sources: &Sources, compilation: &Compilation) -> String {
    let mut found = compilation.diagnostics.clone();
    found.retain(|finding| finding.code.as_str().starts_with('E'));
    render_all(sources, &found, Look::PLAIN)
}

fn run(text: &str) -> (Report, String) {
    let (sources, compilation) = compile(text);
    let found = errors(&sources, &compilation);
    assert!(found.is_empty(), "{found}");
    let report = testing::run(&compilation, &sources, &|_| true);
    let human = report.human(&sources, false);
    (report, human)
}

fn passes(body: &str, test: &str) {
    let (report, human) = run(&journey(body, test));
    assert!(report.passed() && !report.plays.is_empty(), "{human}");
}

/// The sentences of all failures, with their lines as numbers from the top of the test.
fn fails(body: &str, test: &str) -> Vec<String> {
    let (sources, compilation) = compile(&journey(body, test));
    let told = sentences(&sources, &compilation);
    assert!(!told.is_empty(), "it passes");
    told
}

/// The same of what is compiled already; none where it passes.
fn sentences(sources: &Sources, compilation: &Compilation) -> Vec<String> {
    let found = errors(sources, compilation);
    assert!(found.is_empty(), "{found}");
    let report = testing::run(compilation, sources, &|_| true);
    let failures = report.plays.iter().flat_map(|play| play.failures().into_iter().map(|f| (play.span, f)));
    let told: Vec<String> = failures
        .map(|(test, (span, sentence))| {
            let line = |offset| sources.line_col(test.file, offset).0;
            format!("{}: {sentence}", line(span.start) - line(test.start))
        })
        .collect();
    assert_eq!(report.passed(), told.is_empty());
    told
}

const GREET: &str = r#"
  enter on signed_up as signup
  send email a as hello
  if hello.unreachable { exit as no_address }
  wait up to 3 days for hello.clicked as look
  if look.happened { exit as interested }
  send email b as again
  exit as done
"#;

const GIVEN: &str = "test \"t\" for j {\n  given contact { email: \"ada@example.org\" }\n";

fn with_given(lines: &str) -> String {
    format!("{GIVEN}{lines}}}\n")
}

#[test]
fn a_click_is_an_event_of_the_own_message() {
    let lines = "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect send email a\n  \
                 at +1 day event hello.clicked\n  expect exit as interested\n  expect no more send\n";
    passes(GREET, &with_given(lines));
}

#[test]
fn what_is_missing_is_told_with_where_everybody_waits() {
    let lines = "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect send email a\n  \
                 at +2 days expect send email b\n  at +4 days expect exit as done\n";
    assert_eq!(
        fails(GREET, &with_given(lines)),
        [
            "4: `send email b` did not happen between Mon 2 Mar 10:00 and Wed 4 Mar 10:00, but at Thu 5 Mar 10:00"
        ]
    );
    let lines = "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect send email a\n  \
                 at +2 days expect exit as done\n";
    assert_eq!(
        fails(GREET, &with_given(lines)),
        [
            "4: `exit as done` did not happen between Mon 2 Mar 10:00 and Wed 4 Mar 10:00; it waits at `look` until \
             Thu 5 Mar 10:00"
        ]
    );
}

#[test]
fn what_no_line_expects_fails_unless_loose() {
    let lines =
        "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  at +4 days expect exit as done\n";
    assert_eq!(
        fails(GREET, &with_given(lines)),
        [
            "0: `send email a` happened at Mon 2 Mar 10:00, and no line expects it",
            "0: `send email b` happened at Thu 5 Mar 10:00, and no line expects it"
        ]
    );
    passes(GREET, &with_given(&format!("  given loose\n{lines}")));
}

#[test]
fn expectations_look_back_to_the_line_before_and_no_further() {
    // The second mail is sent at +3 days, which lies between +2 days and +4 days; what is expected at +5 days is too late for it.
    let lines = "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect send email a\n  at +2 days\n  \
                 at +4 days expect send email b at 10:00\n  expect exit as done\n";
    passes(GREET, &with_given(lines));
    let late = lines.replace("at +4 days expect", "at +4 days\n  at +5 days expect");
    let told = fails(GREET, &with_given(&late));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("between Fri 6 Mar 10:00 and Sat 7 Mar 10:00, but at Thu 5 Mar 10:00"),
        "{told:?}"
    );
}

#[test]
fn no_send_and_no_more_send_are_told_with_what_came() {
    let lines = "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect send email a\n  expect no more send\n";
    assert_eq!(
        fails(GREET, &with_given(lines)),
        ["4: `no more send`: `send email b` happened at Thu 5 Mar 10:00"]
    );
    let lines = "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect send email a\n  \
                 at +3 days expect no send b\n  expect no call\n";
    assert_eq!(
        fails(GREET, &with_given(lines)),
        ["4: `no send b`: `send email b` happened at Thu 5 Mar 10:00"]
    );
}

const TAKE: &str = "  enter on signed_up
  take voucher from codes as first else { exit as no_codes }
  send email c with { code: first.code }
  wait 1 hour as rest
  take voucher from codes as second else { exit as only_one }
  send email c with { code: second.code }
  exit as done
";

#[test]
fn a_pool_gives_what_the_test_put_into_it_and_is_empty_then() {
    let held = |pool: &str| {
        format!(
            "test \"t\" for j {{\n  given contact {{ email: \"a@example.org\" }}\n  given consent marketing on email\n{pool}  at 2026-03-02T10:00 event signed_up {{ source: \"web\" }}\n"
        )
    };
    let two = held("  given pool codes [{ code: \"A1\" }, { code: \"A2\" }]\n");
    passes(
        TAKE,
        &format!(
            "{two}  expect send email c with {{ code: \"A1\" }}\n  at +1 hour expect send email c with {{ code: \"A2\" }}\n  expect exit as done\n}}\n"
        ),
    );
    let one = held("  given pool codes [{ code: \"A1\" }]\n");
    passes(
        TAKE,
        &format!(
            "{one}  expect send email c with {{ code: \"A1\" }}\n  at +1 hour expect exit as only_one\n}}\n"
        ),
    );
    let none = held("  given pool codes empty\n");
    passes(TAKE, &format!("{none}  expect exit as no_codes\n}}\n"));
    let told = fails(TAKE, &format!("{}  expect exit as no_codes\n}}\n", held("")));
    assert!(told.iter().any(|told| told.contains("nothing says what `codes` holds")), "{told:?}");
}

#[test]
fn requests_are_answered_by_stubs_and_a_later_one_replaces_it() {
    let body = r#"
  enter on signed_up
  request voucher.issue as first else { exit as no_voucher }
  send email c with { code: first.code } as one
  if one.unreachable { exit as no_address }
  wait 1 day as night
  request voucher.issue as second else { exit as only_one }
  exit as done
"#;
    let lines = "  given request voucher.issue returns { code: \"A1\" }\n  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  \
                 expect request voucher.issue\n  expect send email c with { code: \"A1\" }\n  at +2 hours given request voucher.issue fails\n  \
                 at +1 day expect exit as only_one\n";
    passes(body, &with_given(lines));
    let told = fails(body, &with_given("  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n"));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("`request voucher.issue` has no answer: add `given request voucher.issue returns"),
        "{told:?}"
    );
    assert!(told[1].contains("`request voucher.issue` happened"), "{told:?}");
}

#[test]
fn work_comes_back_with_its_outcome() {
    let body = r#"
  enter on signed_up
  call ring by desk up to 5 working days as talk
  switch talk.outcome {
    case reached { exit as talked }
    case voicemail, expired { exit as not_reached }
  }
"#;
    let lines = "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect call ring\n  \
                 at +2 hours call ring returns reached { note: \"friendly\" }\n  expect exit as talked\n";
    passes(body, &with_given(lines));
    let expired = "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect call ring\n  at +8 days expect exit as not_reached\n";
    passes(body, &with_given(expired));
    let told = fails(
        body,
        &with_given(
            "  at 2026-03-02T08:00 call ring returns reached\n  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect call ring\n",
        ),
    );
    assert_eq!(told, ["2: `ring` is not open at this moment"]);
}

#[test]
fn several_people_are_told_apart() {
    let test = r#"test "two" for j {
  given contact ada { email: "ada@example.org" }
  given contact bo { first_name: "Bo" }
  at 2026-03-02T10:00 ada event signed_up { source: "web" }
  ada expect send email a
  at +1 hour bo event signed_up { source: "web" }
  bo expect exit as no_address
  at +2 hours ada event hello.clicked
  ada expect exit as interested
}
"#;
    let test = test.replace("  ada expect", "  expect ada").replace("  bo expect", "  expect bo");
    passes(GREET, &test);
    let told = fails(GREET, &test.replace("expect bo exit as no_address", "expect ada exit as no_address"));
    assert!(told[0].starts_with("6: `exit as no_address` did not happen"), "{told:?}");
    // A moment may stand before it, and then it is still said of whom.
    let later = |who: &str| {
        test.replace(
            "  expect bo exit as no_address\n",
            &format!("  at +90 minutes expect {who} exit as no_address\n"),
        )
    };
    passes(GREET, &later("bo"));
    assert_eq!(fails(GREET, &later("ada")).len(), 1);
    assert_eq!(fahrplan::lang::format::format(&later("bo")).as_deref(), Ok(&*later("bo")));
}

#[test]
fn among_several_people_a_line_says_who_is_meant() {
    let test = |lines: &str| {
        format!(
            "test \"two\" for j {{\n  given contact ada {{ email: \"ada@example.org\" }}\n  given contact bo {{ email: \"bo@example.org\" }}\n{lines}}}\n"
        )
    };
    let starts = "  at 2026-03-02T10:00 ada event signed_up { source: \"web\" }\n  expect ada send email a\n";
    for line in [
        "  at 2026-03-02T11:00 event hello.clicked\n",
        "  at 2026-03-02T11:00 set contact.first_name = \"A\"\n",
        "  at 2026-03-02T11:00 grant consent marketing on email\n",
        "  expect contact.email is known\n",
        "  at 2026-03-02T11:00 expect contact.email is known\n",
        "  given consent marketing on email\n",
    ] {
        let (sources, compilation) = compile(&journey(GREET, &test(&format!("{starts}{line}"))));
        let told = errors(&sources, &compilation);
        assert!(
            told.contains("this test has ada and bo, and this line does not say who is meant")
                && told.matches("error[").count() == 1,
            "{line}: {told}"
        );
    }
    // What happened may be expected of anybody, and who has no name is meant where none is written.
    let anybody = format!("{starts}  at +1 hour ada event hello.clicked\n  expect exit as interested\n");
    passes(GREET, &test(&anybody));
    let unnamed = test(
        "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect send email a\n  expect contact.email is \"bo@example.org\"\n",
    );
    passes(GREET, &unnamed.replace("contact bo {", "contact {"));
}

#[test]
fn history_is_given_to_a_person_by_name() {
    let body = r#"
  enter on signed_up
  if any(order_placed ever) { exit as bought_before }
  exit as new_here
"#;
    let test = r#"test "two" for j {
  given contact ada { email: "ada@example.org" }
  given contact bo { email: "bo@example.org" }
  given bo event order_placed { order_id: "o1", value: 3.00 } at 2026-01-02T10:00
  at 2026-03-02T10:00 ada event signed_up { source: "web" }
  expect ada exit as new_here
  at +1 hour bo event signed_up { source: "web" }
  expect bo exit as bought_before
}
"#;
    passes(body, test);
    let (sources, compilation) = compile(&journey(body, &test.replace("given bo event", "given di event")));
    let told = errors(&sources, &compilation);
    assert!(told.contains("there is no contact `di`"), "{told}");
}

#[test]
fn started_journeys_run_and_nobody_enters_them_by_another_door() {
    let text = journey(
        "  enter on signed_up\n  send email a as hello\n  if hello.unreachable { exit as no_address }\n  start journey k with { gift: \"cup\" }\n  exit as done",
        "",
    ) + r#"journey k {
  purpose transactional because "a test"
  enter by start with { gift: text }
  reenter never
  wait 1 day as night
  send email b as note
  if note.unreachable { exit as no_address }
  exit as greeted
}
test "both" for j {
  given contact { email: "ada@example.org" }
  at 2026-03-02T10:00 event signed_up { source: "web" }
  expect send email a
  expect start k
  expect exit as done
  at +1 day expect send email b
}
test "alone" for k {
  given contact { email: "ada@example.org" }
  at 2026-03-02T10:00 start with { gift: "cup" }
  at +1 day expect send email b
  expect exit as greeted
}
"#;
    let (report, human) = run(&text);
    assert!(report.passed() && report.plays.len() == 2, "{human}");
}

#[test]
fn consent_comes_and_goes_and_quiet_hours_hold() {
    let text = r#"journey j {
  purpose marketing
  enter on signed_up
  reenter never
  wait 1 day as night
  send email a as hello
  if hello.unreachable { exit as no_address }
  wait 1 day as day
  exit as done
}
test "held until the morning, and ended by a withdrawal" for j {
  given contact { email: "ada@example.org", timezone: "America/New_York" }
  given consent marketing on email
  # nine in the evening in Berlin is three in the afternoon in New York
  at 2026-06-01T21:00 event signed_up { source: "web" }
  at +26 hours expect send email a at 15:00
  at +30 hours withdraw consent marketing on email
  expect exit as consent_withdrawn
}
test "granted on the way in" for j {
  given contact { email: "ada@example.org" }
  at 2026-06-01T10:00 grant consent marketing on email
  at 2026-06-01T21:30 event signed_up { source: "web" }
  at +30 hours expect no send
  at +2 days expect send email a at 08:00
}
"#;
    let (report, human) = run(text);
    assert!(report.passed(), "{human}");
}

#[test]
fn history_given_before_enters_nobody_and_counts() {
    let body = r#"
  enter on signed_up
  if any(order_placed within 30 days) { exit as customer }
  exit as newcomer
"#;
    let lines = "  given event order_placed { order_id: \"o1\", value: 10 } at 2026-02-20T10:00\n  \
                 at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect exit as customer\n";
    passes(body, &with_given(lines));
    passes(
        body,
        &with_given(&lines.replace("2026-02-20", "2026-01-20").replace("as customer", "as newcomer")),
    );
}

#[test]
fn what_can_never_pass_is_found_without_playing() {
    let lines = r#"  expect exit as done
  at +1 day expect exit as done
  at 2026-03-02T10:00 event signed_up { source: "web" }
  at +2 days expect send email c
  at +1 day expect exit as done
  expect call ring
"#;
    let (_, compilation) = compile(&journey(GREET, &with_given(lines)));
    assert!(compilation.diagnostics.iter().all(|finding| finding.code != Code::E0101));
    let told: Vec<&str> = compilation
        .diagnostics
        .iter()
        .filter(|finding| finding.code == Code::E1003)
        .map(|finding| finding.message.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "nothing has happened yet at this line",
            "nothing sets the clock before this line",
            "`j` never sends `c`",
            "time goes back in this test",
            "`j` never calls `ring`",
        ]
    );
}

#[test]
fn coverage_names_the_exits_and_branches_that_no_test_reaches() {
    let lines = "  at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect send email a\n  \
                 at +3 days expect send email b\n  expect exit as done\n";
    let text = journey(GREET, &with_given(lines));
    let (sources, compilation) = compile(&text);
    let report = testing::run(&compilation, &sources, &|_| true);
    let coverage = report.coverage(&compilation);
    assert_eq!(coverage[0].summary(), "1 of 3 exits, 2 of 4 branches");
    let told: Vec<&str> = coverage[0].findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "no test has this condition true",
            "no test ends with `exit as no_address`",
            "no test has this condition true",
            "no test ends with `exit as interested`",
        ]
    );
}

#[test]
fn the_time_line_shows_both_sides_in_local_time() {
    let lines = "  at 2026-03-27T10:00 event signed_up { source: \"web\" }\n  expect send email a\n  \
                 at +4 days expect send email b at 09:00\n  expect exit as interested\n";
    let (_, human) = run(&journey(GREET, &with_given(lines)));
    let timeline = human.split("\n\n").nth(2).expect("list, failures, time line").trim_start();
    assert_eq!(
        timeline,
        "\
Europe/Berlin           what happened                      what was expected
  Fri 27 Mar 2026  10:00  event signed_up { source: \"web\" }    line 17
                   10:00  enters
                   10:00  send email a                       ✓ line 18
                          (the clocks went forward)
  Mon 30 Mar       10:00  send email b                       ✗ line 19: send email b at 09:00, but it was sent at 10:00 (the contact's clock)
                   10:00  exit as done
  Tue 31 Mar       10:00  nobody is inside at this moment    ✗ line 20: exit as interested"
    );
}
/// Entries of every kind, handlers, stages, races, anchors, children, live conditions: each with tests of its own.
#[test]
fn every_form_runs_as_it_is_written() {
    let (sources, compilation) =
        compile_with(include_str!("testing/schema.journey"), include_str!("testing/forms.journey"));
    let found = errors(&sources, &compilation);
    assert!(found.is_empty(), "{found}");
    let report = testing::run(&compilation, &sources, &|_| true);
    let human = report.human(&sources, false);
    assert!(report.passed() && report.plays.len() == 22, "{human}");
}

const PAID: &str = r#"
contact { email: email?, phone: phone? }
event signed_up { source: text }
channel email { sends "smtp", address contact.email, cost 0.01 }
channel sms { sends "secret:sms", address contact.phone, cost 0.30 }
team desk { hours monday to friday 09:00 to 18:00 project time }
task ring { outcomes [reached], cost 0.50 }
"#;

const TWO: &str = "  given contact ada { email: \"a@example.org\", phone: \"+4930123456\" }\n  \
                   given contact bob { email: \"b@example.org\", phone: \"+4930123457\" }\n  \
                   at 2026-03-02T10:00 ada event signed_up { source: \"a\" }\n  \
                   at 2026-03-02T10:00 bob event signed_up { source: \"a\" }\n";

/// A journey with this budget, played with two contacts.
fn paid(budget: &str, body: &str, expects: &str) -> (Report, String) {
    let body = format!("  enter on signed_up\n  {budget}\n{body}");
    let (sources, compilation) =
        compile_with(PAID, &journey(&body, &format!("test \"t\" for j {{\n{TWO}{expects}}}")));
    let found = errors(&sources, &compilation);
    assert!(found.is_empty(), "{found}");
    let report = testing::run(&compilation, &sources, &|_| true);
    let human = report.human(&sources, false);
    (report, human)
}

#[test]
fn a_budget_is_one_for_all_contacts_and_what_is_cheaper_still_goes() {
    let body = "  send sms else email a as first\n  if first.skipped and first.reason is budget { exit as broke }\n  exit as done";
    let expects = "  expect ada send sms a\n  expect bob send email a\n  expect bob exit as done\n";
    let (report, human) = paid("budget 0.50", body, expects);
    assert!(report.passed(), "{human}");
    let expects = "  expect ada send sms a\n  expect bob no send\n  expect bob exit as broke\n";
    let (report, human) = paid("budget 0.30 then skip", &body.replace("sms else email", "sms"), expects);
    assert!(report.passed(), "{human}");
}

#[test]
fn a_budget_may_wait_for_its_next_month_or_end_the_journey() {
    let body = "  send sms a\n  exit as done";
    let expects = "  expect ada send sms a\n  at 2026-03-31T23:59 expect bob no send\n  \
                   at 2026-04-01T00:01 expect bob send sms a\n";
    let (report, human) = paid("budget 0.50 per calendar month then wait", body, expects);
    assert!(report.passed(), "{human}");
    let late =
        "  expect ada send sms a\n  at 2026-04-01T00:01 expect bob no send\n  expect bob exit as done\n";
    let (report, human) = paid("budget 0.50 per calendar month then wait up to 3 days", body, late);
    assert!(report.passed(), "{human}");
    let expects = "  expect ada send sms a\n  expect ada exit as done\n  expect bob exit as budget\n";
    let (report, human) = paid("budget 0.50 then exit", body, expects);
    assert!(report.passed(), "{human}");
}

#[test]
fn a_call_for_which_there_is_no_money_is_never_made() {
    let body = "  call ring by desk up to 2 days as talk\n  if talk.outcome is expired { exit as missed }\n  exit as done";
    let expects = "  expect ada call ring\n  expect bob no call\n  expect bob exit as missed\n";
    let (report, human) = paid("budget 0.99", body, expects);
    assert!(report.passed(), "{human}");
}

#[test]
fn somebody_is_in_an_audience_until_they_leave_and_only_with_consent() {
    let body = "  enter on signed_up\n  exit as bought on order_placed\n  add contact to lookers\n  wait 3 days\n  remove contact from lookers\n  wait 3 days\n  exit as done";
    let given = "  given contact { email: \"ada@example.org\" }\n";
    let agreed = "  given consent marketing on email\n";
    let enters = "  at 2026-03-27T10:00 event signed_up { source: \"web\" }\n";
    let is_in = "  expect contact in audience lookers\n";
    let is_out = "  expect contact not in audience lookers\n";
    let test = |lines: &str| format!("test \"t\" for j {{\n{lines}}}");
    passes(body, &test(&format!("{given}{agreed}{enters}{is_in}  at +3 days\n{is_out}")));
    let bought = "  at +1 day event order_placed { order_id: \"o\", value: 1 }\n";
    passes(body, &test(&format!("{given}{agreed}{enters}{is_in}{bought}{is_out}")));
    let withdrawn = "  at +1 day withdraw consent marketing on email\n";
    passes(body, &test(&format!("{given}{agreed}{enters}{is_in}{withdrawn}{is_out}")));
    passes(body, &test(&format!("{given}{enters}{is_out}")));
    let (report, human) = run(&journey(body, &test(&format!("{given}{enters}{is_in}"))));
    assert!(!report.passed() && human.contains("the contact is in no audience"), "{human}");
    let (report, human) = run(&journey(body, &test(&format!("{given}{agreed}{enters}{is_out}"))));
    assert!(!report.passed() && human.contains("the contact is in the audience `lookers`"), "{human}");
}
