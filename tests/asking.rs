//! `ask`: who may be asked how, what it becomes, and how it goes on with an answer, without one, and by telephone.

use std::collections::BTreeMap;
use std::sync::Arc;

use fahrplan::diagnostic::{Look, Severity, Sources, render_all};
use fahrplan::engine::memory::{Happened, Memory};
use fahrplan::engine::program::{Program, StepKind};
use fahrplan::engine::world::Cause;
use fahrplan::id::ContactId;
use fahrplan::lang::{self, Compilation, Input, testing};
use fahrplan::story::Teller;
use fahrplan::time::Timestamp;
use fahrplan::value::Value;

const SCHEMA: &str = r#"
contact { email: email?, mobile: phone?, phone: phone?, postal: address?, points: number = 0, tags: list of text }
event signed_up { source: text }
channel email { sends "smtp", address contact.email, abilities [clicks] }
channel sms { sends "secret:sms", address contact.mobile, abilities [replies] }
channel push { sends "secret:push", address contact.mobile }
channel letter { sends "print", address contact.postal, class letter }
channel phone { address contact.phone, class task, team desk }
channel desk_visit { class task }
task ring { outcomes [reached] }
team desk { hours monday to friday 09:00 to 18:00 project time }
survey fan_scan "After the match" {
  satisfaction: number from 1 to 5 "How satisfied are you?"
  comment: text? "Anything else?"
}
policy rules { consent marketing on email, sms }
"#;

const HEAD: &str = "journey j {
  purpose transactional because \"a test\"
  enter on signed_up
  reenter when finished
  lasts up to 90 days
";

fn compile(schema: &str, text: &str) -> (Sources, Compilation) {
    let mut input = Input::default();
    input.settings.zone = "Europe/Berlin".into();
    input.sources.add("schema.journey".into(), schema.into());
    input.sources.add("journeys/j.journey".into(), text.into());
    let mut template = |path: &str, text: &str| {
        let file = input.sources.add(format!("templates/{path}.hbs"), text.into());
        input.templates.insert(format!("{path}.hbs"), file);
    };
    for name in ["fan_scan", "other_scan"] {
        template(&format!("{name}/email.en.subject"), "s");
        template(&format!("{name}/email.en.html"), "{{links.survey}} {{links.unsubscribe}}");
        template(&format!("{name}/sms.en.text"), "x");
        template(&format!("{name}/push.en.text"), "x");
    }
    for path in ["hello/sms.en.text", "hello/push.en.text", "hello/letter.en.text"] {
        template(path, "x");
    }
    template("hello/email.en.subject", "s");
    template("hello/email.en.html", "x {{links.unsubscribe}}");
    let compilation = lang::compile(&input);
    (input.sources, compilation)
}

fn journey(body: &str) -> String {
    format!("{HEAD}{body}\n}}\n")
}

/// Everything but notes.
fn told_of(schema: &str, text: &str) -> String {
    let (sources, compilation) = compile(schema, text);
    let mut found = compilation.diagnostics;
    found.retain(|finding| finding.severity() != Severity::Note);
    render_all(&sources, &found, Look::PLAIN)
}

fn told(statements: &str) -> String {
    told_of(SCHEMA, &journey(&format!("{statements}\nexit as done")))
}

/// The statements have that mistake and no other.
fn mistakes(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (statements, expected) in cases {
        let told = told(statements);
        let heads: Vec<&str> =
            told.lines().filter(|line| line.starts_with("error") || line.starts_with("warning")).collect();
        if heads.join("\n") != *expected {
            wrong.push(format!("{statements}\nexpected:\n{expected}\nfound:\n{told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

fn program_of(schema: &str, statements: &str) -> Program {
    let (sources, mut compilation) = compile(schema, &journey(statements));
    let told = render_all(&sources, &compilation.diagnostics, Look::PLAIN);
    assert_eq!(compilation.programs.len(), 1, "{told}");
    compilation.programs.remove(0)
}

fn program(statements: &str) -> Program {
    program_of(SCHEMA, statements)
}

/// One line a step: its identity and where it goes on.
fn listing(program: &Program) -> String {
    let line = |(number, step): (usize, &fahrplan::engine::program::Step)| {
        let targets: Vec<String> = step.kind.targets().iter().map(ToString::to_string).collect();
        format!("{number} {} -> {}\n", step.id, targets.join(" "))
    };
    program.steps.iter().enumerate().map(line).collect()
}

fn play(body: &str, tests: &str) -> (bool, String) {
    play_of(SCHEMA, &format!("{}{tests}\n", journey(body)))
}

fn play_of(schema: &str, text: &str) -> (bool, String) {
    let (sources, compilation) = compile(schema, text);
    let mut found = compilation.diagnostics.clone();
    found.retain(|finding| finding.severity() != Severity::Note);
    assert!(found.is_empty(), "{}", render_all(&sources, &found, Look::PLAIN));
    let report = testing::run(&compilation, &sources, &|_| true);
    (report.passed() && !report.plays.is_empty(), report.human(&sources, false))
}

fn passes(body: &str, tests: &str) {
    let (passed, human) = play(body, tests);
    assert!(passed, "{human}");
}

fn fails(body: &str, tests: &str, with: &str) {
    let (passed, human) = play(body, tests);
    assert!(!passed && human.contains(with), "{human}");
}

// ---------------------------------------------------------------- what is written

#[test]
fn a_sound_ask_is_told_nothing() {
    mistakes(&[
        ("ask fan_scan by email up to 7 days as a\nif a.missed { exit as none }", ""),
        (
            "ask fan_scan by email else sms up to 7 days as a\nif a.answered and a.satisfaction > 3 { exit as fan }",
            "",
        ),
        ("ask fan_scan by email and sms up to 7 days", ""),
        (
            "ask fan_scan by phone up to 2 days as a\nif a.missed { exit as none }\nset contact.points = a.satisfaction",
            "",
        ),
        ("ask fan_scan by email else sms else phone up to 7 days as a\nif a.answered { exit as fan }", ""),
        (
            "ask fan_scan by email up to 7 days as a\nif not a.missed { if a.comment is known { exit as fan } }",
            "",
        ),
        ("ask fan_scan by email up to 7 days as a\nwait until 2 days after a", ""),
    ]);
}

#[test]
fn each_mistake_of_an_ask_is_told_once() {
    mistakes(&[
        (
            "ask fan_scna by email up to 7 days as a\nif a.missed { exit as none }",
            "error[E0101]: there is no survey `fan_scna`",
        ),
        ("ask fan_scan by emial up to 7 days as a", "error[E0101]: there is no channel `emial`"),
        ("ask fan_scan by letter up to 7 days as a", "error[E0103]: nobody can answer on `letter`"),
        ("ask fan_scan by email else letter up to 7 days", "error[E0103]: nobody can answer on `letter`"),
        (
            "ask fan_scan by phone else email up to 7 days",
            "error[E0103]: on `phone` a team asks, so nothing comes after it",
        ),
        (
            "ask fan_scan by email and phone up to 7 days",
            "error[E0103]: on `phone` a team asks, which goes with no other channel at once",
        ),
        ("ask fan_scan by desk_visit up to 7 days", "error[E0509]: nobody is named who asks on `desk_visit`"),
        (
            "ask fan_scan by email as a",
            "error[E0509]: this ask has no limit: whoever never answers waits for ever",
        ),
        (
            "ask fan_scan by push up to 7 days",
            "error[E0101]: nobody can answer `fan_scan` by push: its template has no link to it",
        ),
        ("ask other_scan by email up to 7 days", "error[E0101]: there is no survey `other_scan`"),
        ("ask fan_scan by email for news up to 7 days", "error[E0101]: there is no purpose `news`"),
        (
            "ask fan_scan by email with { points: 3 } up to 7 days",
            "warning[W0804]: the template `fan_scan` does not use `points`",
        ),
        ("ask fan_scan by email up to 0 days", "error[E0409]: `0 days` is no time at all"),
    ]);
}

#[test]
fn who_takes_one_thing_for_another_is_told_what_it_is() {
    for (statement, help) in [
        ("ask fan_scan by desk up to 7 days", "`desk` is a team: `ask` names its channel"),
        ("ask ring by phone up to 7 days", "`ring` is a task: `call ring by TEAM up to 2 days`"),
        (
            "call fan_scan by desk up to 7 days as c",
            "`fan_scan` is a survey: `ask fan_scan by CHANNEL up to 7 days`",
        ),
        ("send cheapest hello", "it looks like this: `send cheapest of [email, sms] TEMPLATE`"),
        (
            "send cheapest of email, sms hello",
            "it looks like this: `send cheapest of [email, sms] TEMPLATE as NAME`",
        ),
        ("ask fan_scan by email up to 7 days as a else { exit as none }", "`else` is left over"),
    ] {
        let told = told(statement);
        assert!(told.contains(help), "{statement}\n{told}");
    }
    let score = told_of(
        &format!("{SCHEMA}\nsurvey nps {{ score: number 0 to 10 \"How?\" }}\n"),
        &journey("exit as done"),
    );
    assert!(score.contains("a range is written `from 0 to 10`") && !score.contains("score NAME"), "{score}");
}

#[test]
fn the_result_of_an_ask_has_its_answers_and_whether_there_are_any() {
    // No default: it would be an answer that nobody gave.
    let unguarded =
        told("  ask fan_scan by email up to 7 days as a\n  if a.satisfaction > 3 { exit as fan }");
    assert!(unguarded.contains("ask first whether there is an answer: `if a.answered { … }`"), "{unguarded}");
    assert!(!unguarded.contains("otherwise"), "{unguarded}");
    mistakes(&[
        (
            "ask fan_scan by email up to 7 days as a\nif a.satisfaction > 3 { exit as fan }",
            "error[E0105]: `a.satisfaction` may be missing here",
        ),
        (
            "ask fan_scan by email up to 7 days as a\nif a.missed { wait 1 day }\nif a.satisfaction > 3 { exit as fan }",
            "error[E0105]: `a.satisfaction` may be missing here",
        ),
        (
            "ask fan_scan by email up to 7 days as a\nif a.anwsered { exit as fan }",
            "error[E0101]: the result `a` has no `anwsered`",
        ),
        (
            "ask fan_scan by email up to 7 days as a\nif a.clicked { exit as fan }",
            "error[E0101]: the result `a` has no `clicked`",
        ),
        (
            "if contact.points > 3 { ask fan_scan by email up to 7 days as a }\nif a.answered { exit as fan }",
            "error[E0106]: `a` may not have run on every path that leads here",
        ),
        (
            "ask fan_scan by email up to 7 days as a\nwait up to 2 days for a.clicked as look",
            "error[E0101]: `a` waits for its answers by itself",
        ),
        (
            "ask fan_scan by email up to 7 days as a\nif a.answered and a.comment is \"x\" { exit as fan }",
            "error[E0105]: `a.comment` may be missing here",
        ),
    ]);
}

#[test]
fn an_answer_that_would_be_cut_is_told() {
    let schema = |range: &str| {
        let all = SCHEMA.replace(
            "points: number = 0",
            "points: number = 0, nps: number from 0 to 10?, share: decimal from 0 to 1?",
        );
        format!("{all}\nsurvey other_scan {{ score: number {range}\"Would you recommend us?\" }}\n")
    };
    let put = |range: &str, attribute: &str| {
        let statements = format!(
            "  ask other_scan by email up to 7 days as a\n  if a.answered {{ set contact.{attribute} = a.score }}\n  exit as done"
        );
        told_of(&schema(range), &journey(&statements))
    };
    let told = put("", "nps");
    let wanted = "warning[W0115]: `a.score` may lie outside of 0 to 10, and is cut to that for `contact.nps`";
    assert!(told.starts_with(wanted), "{told}");
    assert!(told.contains("declare it as `score: number from 0 to 10`"), "{told}");
    assert!(put("from 0 to 11 ", "nps").contains("from 0 to 11"));
    assert!(put("from 0 to 10 ", "share").contains("outside of 0 to 1, and is cut to that"));
    for (range, attribute) in
        [("from 0 to 10 ", "nps"), ("from 1 to 5 ", "nps"), ("", "points"), ("from 0 to 1 ", "share")]
    {
        assert_eq!(put(range, attribute), "", "{range}{attribute}");
    }
}

#[test]
fn an_ask_is_a_message_for_consent() {
    let marketing = |body: &str| {
        told_of(
            SCHEMA,
            &format!(
                "journey j {{\n  purpose marketing\n  enter on signed_up\n  reenter never\n{body}\n  exit as done\n}}\n"
            ),
        )
    };
    assert_eq!(marketing("  ask fan_scan by email up to 7 days"), "");
    let by_push = marketing("  ask fan_scan by push else email up to 7 days");
    assert!(by_push.contains("error[E0501]: no rule asks for consent to marketing on `push`"), "{by_push}");
    let open = told("ask fan_scan by email for marketing up to 7 days");
    assert!(
        open.contains(
            "error[E0501]: `fan_scan` is a marketing mail, but not everybody who gets here has agreed"
        ),
        "{open}"
    );
    assert_eq!(
        told("if consent marketing on email { ask fan_scan by email for marketing up to 7 days }"),
        ""
    );
    let none = told_of(
        SCHEMA,
        "journey j {\n  enter on signed_up\n  reenter never\n  ask fan_scan by phone up to 7 days\n  exit as done\n}\n",
    );
    assert!(none.contains("error[E0501]: `j` reaches people, but does not say for what purpose"), "{none}");
}

#[test]
fn a_survey_asks_something_under_names_of_its_own() {
    let schema = |survey: &str| format!("{SCHEMA}\n{survey}\n");
    let plain = journey("exit as done");
    let told = |survey: &str| told_of(&schema(survey), &plain);
    assert!(
        told("survey empty_one { }").starts_with("error[E0103]: the survey `empty_one` asks nothing"),
        "{}",
        told("survey empty_one { }")
    );
    let missed = told("survey s { missed: yesno \"Did we miss anything?\" }");
    assert!(
        missed.starts_with("error[E0112]: `missed` is what the result of a step is asked for"),
        "{missed}"
    );
    assert_eq!(missed.matches("error[").count(), 1, "{missed}");
    let several = told("survey s { a: list of text \"Which?\" }");
    assert!(
        several.starts_with("error[E0103]: `a` is answered with one value, not with several"),
        "{several}"
    );
    let twice = told("survey s { a: text, a: text }");
    assert!(twice.starts_with("error[E0102]"), "{twice}");
}

#[test]
fn a_channel_of_class_task_names_its_team() {
    let plain = journey("exit as done");
    let told = |channel: &str| told_of(&format!("{SCHEMA}\n{channel}\n"), &plain);
    for fine in [
        "channel hotline { class task, team night }",
        "channel hotline {\n  class task\n  team night\n}",
        "channel hotline {\n  team night\n  class task\n}",
    ] {
        assert_eq!(told(&format!("team night {{ }}\n{fine}")), "", "{fine}");
    }
    for (channel, head) in [
        (
            "channel hotline { class task, team nihgt }\nteam night { }",
            "error[E0509]: there is no team `nihgt`",
        ),
        (
            "team night { }\nchannel hotline { sends \"secret:x\", team night }",
            "error[E0103]: a channel of class `message` has no team",
        ),
        (
            "team night { }\nchannel hotline { sends \"x\", class task, team night }",
            "error[E0103]: what a team does is not sent anywhere",
        ),
        ("channel hotline { class task, team desk }", "error[E0102]: `desk` speaks on `phone` already"),
        ("channel hotline { class task, team \"desk\" }", "error[E0103]: `team` needs bare words"),
    ] {
        let told = told(channel);
        assert_eq!(
            told.lines().filter(|line| line.starts_with("error")).collect::<Vec<_>>(),
            [head],
            "{told}"
        );
    }
}

// ---------------------------------------------------------------- what it becomes

#[test]
fn an_ask_becomes_a_message_a_look_and_a_wait() {
    let program =
        program("ask fan_scan by email up to 7 days as a\nif a.answered { exit as fan }\nexit as done");
    assert_eq!(
        listing(&program),
        "0 a -> 1\n1 a/reached -> 3 2\n2 a/answer -> 4 4\n3 a/missed -> 4\n4 a/if -> 5 6\n5 a/exit fan -> \n6 a/exit done -> \n"
    );
    let StepKind::Send(send) = &program.steps[0].kind else { panic!("{:?}", program.steps[0]) };
    assert_eq!((&*send.template, &*send.purpose, send.every), ("fan_scan", "transactional", false));
}

#[test]
fn where_replies_are_read_an_ask_asks_once_more_and_a_team_comes_last() {
    let program = program("ask fan_scan by email else sms else phone up to 7 days\nexit as done");
    assert_eq!(
        listing(&program),
        "0 entry/ask fan_scan -> 1
1 entry/ask fan_scan/reached -> 6 2
2 entry/ask fan_scan/answer -> 7 3 7
3 entry/ask fan_scan/again -> 4
4 entry/ask fan_scan/again/reached -> 7 5
5 entry/ask fan_scan/again/answer -> 7 7 7
6 entry/ask fan_scan/phone -> 7
7 entry/exit done -> \n"
    );
    let StepKind::Work(work) = &program.steps[6].kind else { panic!("{:?}", program.steps[6]) };
    assert_eq!((&*work.verb, &*work.task, &*work.team), ("ask", "fan_scan", "desk"));
    assert_eq!(program.channels.iter().map(|c| &**c).collect::<Vec<_>>(), ["email", "sms", "phone"]);
}

#[test]
fn a_team_alone_is_work() {
    let program = program("ask fan_scan by phone up to 2 days as a\nexit as done");
    assert_eq!(listing(&program), "0 a -> 1\n1 a/exit done -> \n");
}

#[test]
fn a_step_that_is_put_in_elsewhere_changes_no_identity() {
    let ids = |statements: &str| -> Vec<String> {
        program(statements).steps.iter().map(|step| step.id.to_string()).collect()
    };
    let ask =
        "ask fan_scan by email else sms up to 7 days as a\nask fan_scan by email up to 3 days\nexit as done";
    let before = ids(ask);
    let after = ids(&format!("send email hello as first\nwait 1 day\n{ask}"));
    assert!(before.iter().all(|id| after.contains(id)), "{before:?}\n{after:?}");
}

// ---------------------------------------------------------------- how it goes

const PERSON: &str = "given contact { email: \"a@x.de\" }";
const BODY: &str = "  ask fan_scan by email else sms else phone up to 7 days as a
  if a.answered {
    set contact.points = a.satisfaction
    exit as answered
  }
  exit as missed";

/// A test in which that contact is asked, and what comes then.
fn asked(person: &str, then: &str) -> String {
    format!(
        "test \"t\" for j {{
  {person}
  at 2026-03-02T10:00 event signed_up {{ source: \"web\" }}
  expect ask fan_scan
{then}
}}"
    )
}

#[test]
fn a_mail_is_answered() {
    let then = "  expect waiting at a
  at +2 days ask fan_scan returns { satisfaction: 4 }
  expect exit as answered
  expect contact.points is 4";
    passes(BODY, &asked(PERSON, then));
}

#[test]
fn nobody_answers() {
    let then = "  at +6 days expect no ask
  at +7 days expect exit as missed
  expect contact.points is 0";
    passes(BODY, &asked(PERSON, then));
}

#[test]
fn an_answer_by_text_that_cannot_be_read_is_asked_for_once_more() {
    let again = "  at +1 day ask fan_scan returns unreadable
  expect ask fan_scan
  expect waiting at a";
    let tests = |end: &str| asked("given contact { mobile: \"+491700000000\" }", &format!("{again}\n{end}"));
    let answered = "  at +2 days ask fan_scan returns { satisfaction: 5, comment: \"fine\" }
  expect exit as answered
  expect contact.points is 5";
    passes(BODY, &tests(answered));
    passes(BODY, &tests("  at +2 days ask fan_scan returns unreadable\n  expect exit as missed"));
    // The limit begins anew.
    passes(BODY, &tests("  at +7 days expect waiting at a\n  at +8 days expect exit as missed"));
}

#[test]
fn a_team_asks_whom_no_message_reaches() {
    let person = "given contact { phone: \"+49301234567\" }";
    let tests = |end: &str| asked(person, &format!("  expect waiting at a\n{end}"));
    passes(
        BODY,
        &tests(
            "  at +1 day ask fan_scan returns { satisfaction: 2 }\n  expect exit as answered\n  expect contact.points is 2",
        ),
    );
    passes(
        BODY,
        &tests(
            "  at +1 day ask fan_scan returns declined\n  expect exit as missed\n  expect contact.points is 0",
        ),
    );
    passes(BODY, &tests("  at +1 day ask fan_scan returns expired\n  expect exit as missed"));
    passes(BODY, &tests("  at +7 days expect exit as missed"));
}

#[test]
fn whom_nothing_reaches_has_missed_it_at_once() {
    passes(
        BODY,
        "test \"nobody\" for j {
  given contact { }
  at 2026-03-02T10:00 event signed_up { source: \"web\" }
  expect no ask
  expect exit as missed
}",
    );
}

#[test]
fn former_answers_are_forgotten_where_the_next_round_reaches_nobody() {
    let text = "journey j {
  purpose marketing
  enter on signed_up
  reenter never
  repeat up to 2 times {
    ask fan_scan by email up to 7 days as a
    if a.answered { set contact.points = a.satisfaction } else { add \"silent\" to contact.tags }
    wait 1 day
  }
  exit as done
}
test \"rounds\" for j {
  given contact { email: \"a@x.de\" }
  given consent marketing on email
  at 2026-03-02T10:00 event signed_up { source: \"web\" }
  expect ask fan_scan
  at +1 hour ask fan_scan returns { satisfaction: 4 }
  at +3 days expect contact.tags has \"silent\"
  expect contact.points is 4
  expect exit as done
}
";
    let schema =
        SCHEMA.replace("policy rules {", "policy rules { cap marketing at 1 per 30 days then skip\n");
    let (passed, human) = play_of(&schema, text);
    assert!(passed, "{human}");
}

#[test]
fn on_two_channels_at_once_it_is_one_question_and_the_first_answer_counts() {
    passes(
        "  ask fan_scan by email and sms up to 7 days as a\n  if a.answered { exit as answered }\n  exit as missed",
        "test \"both\" for j {
  given contact { email: \"a@x.de\", mobile: \"+491700000000\" }
  at 2026-03-02T10:00 event signed_up { source: \"web\" }
  expect ask fan_scan
  at +2 days ask fan_scan returns { satisfaction: 1 }
  expect exit as answered
}",
    );
}

#[test]
fn a_test_says_what_is_wrong_with_it() {
    let test = |lines: &str| {
        format!(
            "test \"t\" for j {{\n  {PERSON}\n  at 2026-03-02T10:00 event signed_up {{ source: \"web\" }}\n{lines}\n}}"
        )
    };
    let by_mail =
        "  ask fan_scan by email up to 7 days as a\n  if a.answered { exit as answered }\n  exit as missed";
    fails(by_mail, &test(""), "ask fan_scan by email");
    fails(by_mail, &test("  expect no ask"), "no ask");
    fails(
        by_mail,
        &test("  expect ask fan_scan\n  at +1 day ask fan_scan returns declined"),
        "`fan_scan` is asked by message: it is answered, or nothing comes",
    );
    fails(
        by_mail,
        &test("  expect ask fan_scan\n  at +1 day ask fan_scan returns unreadable"),
        "`fan_scan` is not asked on a channel with `replies`, so nothing unreadable comes",
    );
    fails(
        by_mail,
        &test(
            "  expect ask fan_scan\n  at +8 days ask fan_scan returns { satisfaction: 1 }\n  expect exit as missed",
        ),
        "`fan_scan` is not asked at this moment",
    );
    let (sources, compilation) = compile(
        SCHEMA,
        &format!(
            "{}{}",
            journey(by_mail),
            test("  expect send email fan_scan\n  at +1 day ask fan_scan returns { satisfaction: 9 }")
        ),
    );
    let report = testing::run(&compilation, &sources, &|_| true);
    let human = render_all(&sources, &compilation.diagnostics, Look::PLAIN) + &report.human(&sources, false);
    assert!(human.contains("`9` is outside the range from 1 to 5"), "{human}");
}

#[test]
fn coverage_asks_for_what_the_author_asks() {
    let body = format!("{BODY}\n");
    let test = format!(
        "test \"one\" for j {{\n  {PERSON}\n  at 2026-03-02T10:00 event signed_up {{ source: \"web\" }}\n  expect ask fan_scan\n  at +2 days ask fan_scan returns {{ satisfaction: 4 }}\n  expect exit as answered\n}}"
    );
    let (sources, compilation) = compile(SCHEMA, &format!("{}{test}\n", journey(&body)));
    let report = testing::run(&compilation, &sources, &|_| true);
    let all = report.coverage(&compilation);
    let coverage = all.first().expect("one journey");
    assert_eq!((coverage.exits, coverage.branches), ((1, 2), (1, 2)));
}

// ---------------------------------------------------------------- which channel

/// With costs and a stated preference.
fn priced() -> String {
    SCHEMA
        .replace("abilities [clicks] }", "abilities [clicks], cost 0.001 }")
        .replace("abilities [replies] }", "abilities [replies], cost 0.07 }")
        .replace("class letter }", "class letter, cost 0.9 }")
        .replace(
            "\"secret:push\", address contact.mobile }",
            "\"secret:push\", address contact.mobile, cost 0.001 }",
        )
        .replace(
            "tags: list of text }",
            "tags: list of text, preferred_channel: one of [email, sms, letter]? }",
        )
}

fn channels_of(program: &Program) -> Vec<(String, String)> {
    let sends = program.steps.iter().filter_map(|step| match &step.kind {
        StepKind::Send(send) => Some((step.id.to_string(), send.channels.join(" "))),
        _ => None,
    });
    sends.collect()
}

#[test]
fn the_cheapest_of_some_channels_comes_first_and_keeps_its_identity() {
    let channels = |schema: &str, list: &str| {
        let text = format!("send cheapest of [{list}] hello\nexit as done");
        channels_of(&program_of(schema, &text)).remove(0)
    };
    let id = |list: &str| format!("entry/send cheapest of {list} hello");
    let dearest_last = "email sms letter".to_owned();
    assert_eq!(channels(&priced(), "letter, sms, email"), (id("letter,sms,email"), dearest_last));
    // Those that cost the same stand as written.
    assert_eq!(channels(&priced(), "push, email").1, "push email");
    assert_eq!(channels(&priced(), "email, push").1, "email push");
    let dear = priced().replace("cost 0.001", "cost 5");
    assert_eq!(
        channels(&dear, "letter, sms, email"),
        (id("letter,sms,email"), "sms letter email".to_owned())
    );
}

#[test]
fn the_preferred_of_some_channels_is_a_look_and_a_send_for_each() {
    let text = "send preferred of [email, sms, letter] hello as o
if o.skipped and o.reason is cap { exit as capped }
if o.unreachable { exit as nobody }
exit as done";
    let program = program_of(&priced(), text);
    assert_eq!(
        channels_of(&program),
        [("o/by sms", "sms email letter"), ("o/by letter", "letter email sms"), ("o", "email sms letter")]
            .map(|(id, channels)| (id.to_owned(), channels.to_owned()))
    );
    assert_eq!(
        listing(&program).lines().take(4).collect::<Vec<_>>(),
        ["0 o/preferred -> 1 2 3", "1 o/by sms -> 4", "2 o/by letter -> 4", "3 o -> 4"]
    );
    let slots: Vec<_> = program.steps[1..4].iter().map(|step| step.slot).collect();
    assert!(slots[0].is_some() && slots.iter().all(|slot| *slot == slots[0]));
}

#[test]
fn a_preference_is_followed_where_it_is_in_the_list_and_its_channel_can_be_used() {
    let text = |person: &str, sent: &str, end: &str| {
        journey(
            "  send preferred of [email, sms] hello as o
  if o.unreachable { exit as nobody }
  wait up to 2 days for o.clicked as look
  if look.happened { exit as clicked }
  exit as done",
        ) + &format!(
            "test \"t\" for j {{
  given contact {{ {person} }}
  at 2026-03-02T10:00 event signed_up {{ source: \"web\" }}
  {sent}
  {end}
}}
"
        )
    };
    let both = "email: \"a@x.de\", mobile: \"+491700000000\"";
    let done = "at +2 days expect exit as done";
    for (person, sent) in [
        (both.to_owned(), "expect send email hello"),
        (format!("{both}, preferred_channel: sms"), "expect send sms hello"),
        (format!("{both}, preferred_channel: email"), "expect send email hello"),
        (format!("{both}, preferred_channel: letter"), "expect send email hello"),
        ("email: \"a@x.de\", preferred_channel: sms".to_owned(), "expect send email hello"),
    ] {
        let (passed, human) = play_of(&priced(), &text(&person, sent, done));
        assert!(passed, "{person}: {human}");
    }
    let clicked = "at +1 day event o.clicked\n  expect exit as clicked";
    let by_text = text(&format!("{both}, preferred_channel: sms"), "expect send sms hello", clicked);
    let (passed, human) = play_of(&priced(), &by_text);
    assert!(passed, "{human}");
    let (passed, human) =
        play_of(&priced(), &text("preferred_channel: sms", "expect no send", "expect exit as nobody"));
    assert!(passed, "{human}");
}

#[test]
fn each_mistake_of_a_choice_is_told_once() {
    let heads = |schema: &str, statement: &str| {
        let told = told_of(schema, &journey(&format!("{statement}\nexit as done")));
        let is_head = |line: &&str| line.starts_with("error") || line.starts_with("warning");
        told.lines().filter(is_head).collect::<Vec<_>>().join("\n")
    };
    let with = |attribute: &str| SCHEMA.replace("points: number", &format!("{attribute}, points: number"));
    for (schema, statement, head) in [
        (
            SCHEMA.to_owned(),
            "send cheapest of [email] hello",
            "error[E0103]: nothing says what a message on `email` costs",
        ),
        (priced(), "send cheapest of [email, emial] hello", "error[E0101]: there is no channel `emial`"),
        (priced(), "send cheapest of [email, email] hello", "error[E0102]: the channel `email` stands twice"),
        (priced(), "send email else email hello", "error[E0102]: the channel `email` stands twice"),
        (
            priced(),
            "send cheapest of [email, \"sms\"] hello",
            "error[E0001]: the name of a channel is wanted here",
        ),
        (priced(), "send cheapest of [] hello", "error[E0001]: no channel stands in these brackets"),
        (
            SCHEMA.to_owned(),
            "send preferred of [email, sms] hello",
            "error[E0101]: no attribute says which channel a contact prefers",
        ),
        (
            with("preferred_channel: number = 0"),
            "send preferred of [email, sms] hello",
            "error[E0103]: `contact.preferred_channel` is a number and cannot name a channel",
        ),
        (
            with("preferred_channel: one of [post, fax]?"),
            "send preferred of [email, sms] hello",
            "error[E0104]: nobody can prefer one of these: `contact.preferred_channel` is never one of them",
        ),
        (with("preferred_channel: text?"), "send preferred of [email, sms] hello", ""),
        (
            priced(),
            "send preferred of [email, sms] hello as o\nif o.happened { exit as x }",
            "error[E0101]: the result `o` has no `happened`",
        ),
        (
            priced().replace("cost 0.07", "cost \"much\""),
            "send cheapest of [email, sms] hello",
            "error[E0103]: `cost` needs a number",
        ),
    ] {
        assert_eq!(heads(&schema, statement), head, "{statement}");
    }
}

#[test]
fn the_story_of_an_ask_is_told_in_its_words() {
    let statements = "ask fan_scan by email else sms up to 7 days as a\nexit as done";
    let (_, mut compilation) = compile(SCHEMA, &journey(statements));
    let program = Arc::new(compilation.programs.remove(0));
    let catalog = compilation.catalog.clone();
    let contact = ContactId(1);
    let mut memory = Memory::new(catalog.clone(), [program.clone()], Timestamp(0));
    memory.add_contact(contact, [("email".into(), Value::text("a@x.de"))].into());
    memory.settle(contact, Cause::Import);
    memory.event(contact, "signed_up", [("source".into(), Value::text("web"))].into(), Timestamp(1_000));
    memory.outcome(contact, "a", "unreadable", BTreeMap::new(), Timestamp(2_000));
    memory.outcome(contact, "a/again", "answered", BTreeMap::new(), Timestamp(3_000));
    let notes = memory.log().iter().filter_map(|logged| match &logged.what {
        Happened::Note(note) => Some(note),
        _ => None,
    });
    let notes: Vec<_> = notes.collect();
    let (deliveries, suppressed) = (BTreeMap::new(), BTreeMap::new());
    let teller = Teller { catalog: Arc::new(catalog), programs: vec![program], deliveries, suppressed };
    let told: Vec<String> = teller.tell(&notes).into_iter().map(|told| told.text).collect();
    let waits = "waits for answers to `fan_scan`, at most until Thu 8 Jan 1970, 01:00";
    assert_eq!(
        told[..7],
        [
            "entered",
            "`fan_scan` by email was queued",
            waits,
            "the reply to `fan_scan` could not be read",
            "`fan_scan` by email was queued",
            waits,
            "answered `fan_scan`"
        ]
    );
}
