//! One line for each rule: statements in a journey, and the codes of errors and warnings that they get, in order.

use super::Project;
use fahrplan::diagnostic::Severity;

/// Before the statements of a case stands this head; after them `exit as done`.
const HEAD: &str = "journey sample {
  purpose marketing
  enter on cart_updated as cart
  reenter when finished
  lasts up to 300 days
  send email hello as hello_mail
";

fn codes(text: &str) -> String {
    let found = Project::case(text).compile().diagnostics;
    let told = found.iter().filter(|d| d.severity() != Severity::Note).map(|d| d.code.as_str());
    told.collect::<Vec<_>>().join(" ")
}

fn check(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (statements, expected) in cases {
        let text = format!("{HEAD}{statements}\n  exit as done\n}}\n");
        let found = codes(&text);
        if found != *expected {
            let project = Project::case(&text);
            let shown = super::shown(&project.input.sources, &project.compile().diagnostics);
            wrong.push(format!("{statements}\nexpected {expected:?}, found {found:?}\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

#[test]
fn an_unreadable_statement_gives_its_own_names_once() {
    check(&[
        (
            "wait 1 day before contact.birthday as eve {\n  send email second as other\n  wait 1 day as rest\n}",
            "E0001",
        ),
        (
            "wait 1 day before contact.birthday as eve\nsend email second as other\nif eve.late { wait 2 days }",
            "E0001",
        ),
    ]);
}

#[test]
fn optional_values_are_narrowed_by_conditions() {
    check(&[
        ("if contact.nps is known { if contact.nps > 3 { wait 1 day } }", ""),
        ("if contact.nps is known and contact.nps > 3 { wait 1 day }", ""),
        ("if contact.nps > 3 and contact.nps is known { wait 1 day }", "E0105"),
        ("if contact.nps is unknown or contact.nps > 3 { wait 1 day }", ""),
        ("if contact.nps is known or contact.nps > 3 { wait 1 day }", "E0105"),
        ("if not (contact.nps is unknown) { if contact.nps > 3 { wait 1 day } }", ""),
        ("if contact.nps is unknown { exit as none }\nif contact.nps > 3 { wait 1 day }", ""),
        ("if contact.nps is unknown { wait 1 day }\nif contact.nps > 3 { wait 1 day }", "E0105"),
        ("if contact.nps is unknown { set contact.nps = 5 }\nif contact.nps > 3 { wait 1 day }", ""),
        ("if contact.nps is known { wait 3 days\nif contact.nps > 3 { wait 1 day } }", ""),
        (
            "wait up to 3 days until contact.nps is known as given_nps\nif given_nps.happened and contact.nps > 3 { wait 1 day }",
            "",
        ),
        (
            "wait up to 3 days until contact.nps is known as given_nps\nif contact.nps > 3 { wait 1 day }",
            "E0105",
        ),
        (
            "wait up to 3 days as look { when (contact.nps is known) { if contact.nps > 3 { wait 1 day } } }",
            "",
        ),
        ("if (contact.nps otherwise 0) > 3 { wait 1 day }", ""),
        ("set contact.nps = contact.nps", ""),
        ("let n = contact.nps\nif n is known and n > 3 { wait 1 day }", ""),
        ("let n = contact.nps\nif n > 3 { wait 1 day }", "E0105"),
        ("let n = contact.nps otherwise 0\nif n > 3 { wait 1 day }", ""),
        ("let last_value = last(order_placed.value ever)\nif last_value > 3 { wait 1 day }", "E0105"),
        (
            "if count(order_placed where order_placed.cart_id is cart.cart_id ever) > 1 { wait 1 day }",
            "E0105",
        ),
        (
            "if count(order_placed where order_placed.cart_id is known and order_placed.cart_id is cart.cart_id ever) > 1 { wait 1 day }",
            "",
        ),
    ]);
}

#[test]
fn results_are_there_where_their_step_has_surely_run() {
    check(&[
        (
            "wait up to 2 days for order_placed as order\nif order.happened { if order.value > 1 { wait 1 day } }",
            "",
        ),
        (
            "wait up to 2 days for order_placed as order\nif order.missed { exit as none }\nif order.value > 1 { wait 1 day }",
            "",
        ),
        (
            "wait up to 2 days for order_placed\nif order_placed.happened and order_placed.value > 1 { wait 1 day }",
            "",
        ),
        ("wait forever for order_placed as order\nif order.value > 1 { wait 1 day }", "W0401"),
        ("if contact.vip { wait 1 day as nap } else { wait 2 days }\nwait until 2 days after nap", "E0106"),
        (
            "wait up to 2 days as look { when order_placed as order { if order.value > 1 { wait 1 day } } }",
            "",
        ),
        (
            "wait up to 2 days as look { when order_placed as order { wait 1 day } }\nif order.value > 1 { wait 1 day }",
            "E0106",
        ),
        ("wait up to 2 days as look { when order_placed { if order_placed.value > 1 { wait 1 day } } }", ""),
        (
            "wait up to 2 days for order_placed, cart_updated as change\nif change.happened and change.value > 1 { wait 1 day }",
            "",
        ),
        (
            "wait up to 2 days for order_placed, cart_updated as change\nif change.happened and change.order_id is \"x\" { wait 1 day }",
            "E0110",
        ),
        (
            "repeat up to 3 times as round until look.happened { wait up to 1 day for order_placed as look }\nif look.missed and round.number > 2 { wait 1 day }",
            "",
        ),
        (
            "repeat up to 3 times { if contact.vip { wait up to 1 day for order_placed as look }\nwait 1 day }\nif look.missed { wait 1 day }",
            "E0106",
        ),
        ("request voucher.issue as v else { exit as none }\nset contact.first_name = v.code", ""),
        ("request voucher.issue as v\nif v.failed { exit as none }\nset contact.tags = [v.code]", ""),
        ("request voucher.issue as v\nset contact.tags = [v.code]", "E0105"),
        (
            "call welcome_call by care up to 3 days as talk\nif talk.outcome is reached { if talk.again { wait 1 day } }",
            "",
        ),
        ("call welcome_call by care up to 3 days as talk\nif talk.again { wait 1 day }", "E0105"),
        ("wait up to 1 day for hello_mail.clicked as look where look.link is \"product\"", ""),
        ("wait up to 1 day for hello_mail.replied as look", "E0101"),
        ("wait up to 1 day for hello_mail.eaten as look", "E0101"),
        ("wait up to 1 day for later_mail.clicked as look\nsend email second as later_mail", "E0106"),
        ("if hello_mail.reason is cap { exit as capped }", "E0105"),
        ("if hello_mail.skipped and hello_mail.reason is cap { exit as capped }", ""),
    ]);
}

#[test]
fn types_fit_or_are_told() {
    check(&[
        ("if cart.value >= 20 { wait 1 day }", ""),
        ("if contact.points > 2.5 { wait 1 day }", ""),
        ("let x = contact.points / 2\nif x > 3 { wait 1 day }", ""),
        ("let x = 3 / contact.points\nif x > 3 { wait 1 day }", "E0105"),
        ("let x = 3 / 0\nif x > 3 { wait 1 day }", "E0103"),
        ("let x = 10% + 3\nif x > 3 { wait 1 day }", "E0103"),
        ("if today() - 1 year > 2020-01-01 { wait 1 day }", ""),
        ("if now() - 2 days > cart.at { wait 1 day }", ""),
        ("if days_between(today(), 2026-01-01) > 3 { wait 1 day }", ""),
        ("if days_between(today()) > 3 { wait 1 day }", "E0103"),
        ("if year(today()) is 2026 or month(today()) is 2 { wait 1 day }", ""),
        ("if length(contact.tags) > 2 and contact.tags has \"x\" { wait 1 day }", ""),
        ("if contact.tags has any of [\"a\", \"b\"] or contact.tags is empty { wait 1 day }", ""),
        ("if contact.tags has 3 { wait 1 day }", "E0103"),
        ("if contact.plan in [free, pro] { wait 1 day }", ""),
        ("if contact.plan in [free, gold] { wait 1 day }", "E0104"),
        ("if contact.plan { wait 1 day }", "E0103"),
        ("if contact.plan > free { wait 1 day }", "E0103"),
        ("if contact.vip is 1 { wait 1 day }", "E0103"),
        ("if contact { wait 1 day }", "E0103"),
        ("if lower(contact.plan) is \"x\" { wait 1 day }", ""),
        ("if twice(3) > 2 { wait 1 day }", "E0101"),
        ("if today is weekday between 09:00 and 17:00 in \"Mars/Olympus\" { wait 1 day }", "E0101"),
        ("if subscribers and not customers { wait 1 day }", ""),
        ("if consent marketing on pigeon { wait 1 day }", "E0101"),
        ("if consent advertising on email { wait 1 day }", "E0101"),
        ("if message_sent.purpose is marketing { wait 1 day }", "E0101"),
        ("if none(message_sent where message_sent.purpose is marketing within 24 hours) { wait 1 day }", ""),
        (
            "if none(message_sent where message_sent.purpose is selling within 24 hours) { wait 1 day }",
            "E0104",
        ),
        ("if any(hello_mail ever) { wait 1 day }", "E0101"),
        ("if sum(order_placed ever) > 3 { wait 1 day }", "E0103"),
        ("if sum(order_placed.order_id ever) > 3 { wait 1 day }", "E0103"),
        ("if (average(order_placed.value ever) otherwise 0) > 3 { wait 1 day }", ""),
        ("set contact.tags = last 3(cart_updated.cart_id ever)", ""),
        ("if count(order_placed since hello_mail) > 3 { wait 1 day }", ""),
        ("if count(order_placed since cart.value) > 3 { wait 1 day }", "E0103"),
        ("add 3 to contact.tags", "E0103"),
        ("add 3 to contact.vip", "E0103"),
        ("remove 3 from contact.points", "E0103"),
        ("set cart.value = 3", "E0103"),
        ("set contact.email = \"nobody\"", "E0103"),
        ("set contact.nps = 12", "E0113"),
        ("set contact.vip = contact.nps is known", ""),
        ("wait 1.5 hours", ""),
        ("wait 1.5 days", "E0103"),
        ("wait until contact.wake_up", "E0105"),
        ("wait until cart.value", "E0103"),
        ("wait until 2 days after cart.at", "W0417"),
        ("wait until 2 days after entry at 10:00", ""),
        ("wait until weekday between 09:00 and 09:00", "E0113"),
        ("send email second before 2 days after entry", "W0504"),
        ("send sms nudge to \"+49301234567\"", ""),
        ("send sms nudge to contact.plan", "E0103"),
        ("switch contact.points { case 3 { wait 1 day }\nelse { wait 2 days } }", "E0103"),
        ("switch contact.plan { case free { wait 1 day }\ncase pro, team { wait 2 days } }", ""),
        ("switch contact.plan { case free { wait 1 day }\ncase free, pro, team { wait 2 days } }", "E0302"),
        (
            "if contact.plan is free { exit as free_plan }\nswitch contact.plan { case pro { wait 1 day }\ncase team { wait 2 days } }",
            "",
        ),
        ("pause selling for 3 days", "E0101"),
        ("start journey nothing", "E0101"),
        ("start journey sample", "W0203 E0103"),
        ("grant consent marketing", "E0103"),
        ("grant consent marketing on email from nobody", "E0101"),
        ("record order_placed with { value: 3 }", "E0103"),
        ("record message_sent", "E0103"),
    ]);
}

#[test]
fn one_mistake_is_told_once() {
    check(&[
        ("let total = contact.pionts + 1\nif total > 3 { wait 1 day }\nset contact.points = total", "E0101"),
        (
            "wait up to 2 days for order_plcaed as order\nif order.happened and order.valeu > 3 { wait 1 day }",
            "E0101",
        ),
        (
            "call welcome_cal by care up to 3 days as talk\nswitch talk.outcome { case reached { wait 1 day } }",
            "E0101",
        ),
        ("request voucher.isue as v else { exit as none }\nset contact.tags = [v.code]", "E0101"),
        ("sned email second as note_mail\nwait 1 day\nif note_mail.clicked { exit as looked }", "E0006"),
        ("exit\nsend email second", "E0301 E0302"),
        ("take voucher from cods as v else { exit as none }\nset contact.tags = [v.code]", "E0101"),
        (
            "wait 1 day\nask survey by email up to 3 days as answers\nif answers.missed { exit as none }",
            "E0101",
        ),
        ("if contact.plan = { wait 1 day }\nwait 1 day", "E0001"),
        ("switch contact.plan { case free { wait 1 day } case pro, team { wait 2 days } }", "E0007"),
        ("if any(order_placed) and contact.vip { wait 1 day }", "E0415"),
    ]);
}

#[test]
fn a_code_is_certain_where_an_empty_pool_leaves() {
    check(&[
        ("take voucher from spring_codes as v else { exit as none }\nset contact.tags = [v.code]", ""),
        ("take voucher from spring_codes as v\nset contact.tags = [v.code]", "E0105"),
        ("take voucher from spring_codes as v\nif not v.failed { set contact.tags = [v.code] }", ""),
        ("take voucher from spring_codes as v else { wait 1 day }\nset contact.tags = [v.code]", "E0310"),
        ("take voucher from spring_codes as v else { exit as none }\nset contact.tags = [v.coed]", "E0101"),
        (
            "take voucher from spring_codes as v else { exit as none }\nif v.expires is known { wait 1 day }",
            "",
        ),
    ]);
}

#[test]
fn comments_allow_single_findings() {
    check(&[
        ("# allow W0401: they come when they come\nwait forever for order_placed as order", ""),
        (
            "# allow W0401: they come when they come\nwait 1 day\nwait forever for order_placed as order",
            "W0109 W0401",
        ),
        ("# allow W0109: wrong code\nwait forever for order_placed as order", "W0109 W0401"),
        ("# allow E0101: no\nif contact.vpi { wait 1 day }", "W0109 E0101"),
        ("# allow W9999: no such thing\nwait 1 day", "W0109"),
        ("# TODO: think about it\nwait 1 day", ""),
    ]);
}

#[test]
fn what_is_known_changes_while_one_waits() {
    check(&[
        ("if contact.vip { exit as vip }\nif contact.vip { wait 1 day }", "W0108"),
        ("if contact.vip { exit as vip }\nwait 1 day\nif contact.vip { wait 1 day }", ""),
        ("if not contact.vip { wait up to 3 days until contact.vip as lucky }", ""),
        (
            "if hello_mail.clicked { exit as looked }\nwait 1 day\nif hello_mail.clicked { exit as looked }",
            "",
        ),
        (
            "wait up to 1 day for order_placed as a\nif a.missed { exit as none }\nwait 1 day\nif a.missed { exit as none }",
            "W0108",
        ),
    ]);
}

/// A transactional journey with these statements, which sends marketing at its end.
fn proof(statements: &str) -> String {
    let text = format!(
        "journey sample {{
  purpose transactional because \"asked for\"
  enter on signed_up
  reenter never
  lasts up to 90 days
{statements}
  send email hello for marketing as end_mail
  exit as done
}}
"
    );
    codes(&text)
}

#[test]
fn consent_is_proved_on_every_way() {
    let cases = [
        ("", "E0501"),
        ("grant consent marketing on email from signed_up", ""),
        ("grant consent marketing on sms from signed_up", "E0501"),
        ("grant consent marketing on email\nwithdraw consent marketing on email", "E0501"),
        ("if contact.vip { grant consent marketing on email }", "E0501"),
        ("if contact.vip { grant consent marketing on email } else { exit as other }", ""),
        ("if not (consent marketing on email) { exit as none }", ""),
        ("if consent marketing on email, sms { wait 1 day } else { exit as none }", ""),
        ("if consent marketing on email or contact.vip { wait 1 day } else { exit as none }", "E0501"),
        ("if not subscribers { exit as none }", ""),
        (
            "wait up to 2 days for optin_confirmed as click\nif click.happened { grant consent marketing on email }\nif click.missed { exit as none }",
            "",
        ),
        (
            "wait up to 2 days for optin_confirmed as click\nif click.happened { grant consent marketing on email }\nif contact.vip { exit as none }",
            "E0501",
        ),
        (
            "wait up to 2 days for optin_confirmed as click\nif click.happened { grant consent marketing on email }\nwait 3 days\nif click.happened { wait 1 day } else { exit as none }",
            "",
        ),
        (
            "wait up to 2 days until consent marketing on email as agreed\nif agreed.missed { exit as none }",
            "",
        ),
        (
            "repeat up to 3 times until click.happened { wait up to 1 day for optin_confirmed as click }\nif click.missed { exit as none }\ngrant consent marketing on email",
            "",
        ),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .map(|(text, want)| (text, want, proof(text)))
        .filter(|(_, want, found)| **want != found)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_budget_is_an_amount_per_span_of_the_calendar() {
    let with = |budget: &str| {
        format!(
            "journey sample {{\n  purpose transactional because \"a test\"\n  enter on signed_up\n  reenter never\n  lasts up to 9 days\n  {budget}\n\n  call welcome_call by care up to 3 days as talk\n  if talk.outcome is expired {{ exit as missed }}\n  exit as done\n}}\n"
        )
    };
    let cases = [
        ("budget 500", "W0607"),
        ("budget 0", "E0113"),
        ("budget 500.00 per calendar month then wait up to 3 days", "W0607"),
        ("budget 500.00 then wait", "E0103"),
        ("budget 500.00 per month", "E0103"),
        ("budget 500.00 per 7 days then skip", "E0103"),
        ("budget 500.00 per calendar hour", "E0103"),
        ("budget 500\n  budget 600", "E0102"),
        ("budget many", "E0001"),
        ("budgte 500", "E0006"),
    ];
    for (budget, code) in cases {
        let found = super::Project::case(&with(budget)).compile().diagnostics;
        let codes: Vec<&str> =
            found.iter().map(|d| d.code.as_str()).filter(|c| !c.starts_with('I')).collect();
        assert!(codes.contains(&code), "{budget}: {codes:?}");
    }
    // What is meant is clear: the mistake mends itself.
    let text = with("budget 500.00 per month then skip");
    let project = super::Project::case(&text);
    let found = project.compile().diagnostics;
    let finding = found.iter().find(|d| d.code == fahrplan::diagnostic::Code::E0103).expect("told");
    assert!(
        finding.fix.is_some()
            && finding.help.as_ref().is_some_and(|help| help.contains("per calendar month")),
        "{finding:?}"
    );
}

#[test]
fn an_audience_says_whom_it_takes_and_by_what_they_are_known() {
    let whole = "consent_to marketing, consent_on email, matches [contact.email], sends \"file\"";
    let cases = [
        ("add contact to lookers\n  remove contact from lookers", whole.to_owned(), ""),
        ("add contact to looker", whole.to_owned(), "E0101"),
        ("wait 1 day", String::new(), "E0103 E0103 E0103 E0103"),
        ("wait 1 day", whole.replace("marketing", "nothing"), "E0101"),
        ("wait 1 day", whole.replace("marketing", "transactional"), "E0501"),
        ("wait 1 day", whole.replace("on email", "on paper"), "E0101"),
        ("wait 1 day", whole.replace("contact.email", "contact.first_name"), "E0103"),
        ("wait 1 day", whole.replace("contact.email", "contact.e_mail"), "E0101"),
        ("wait 1 day", whole.replace("contact.email", "contact.email, contact.email"), "E0102"),
        ("wait 1 day", whole.replace("\"file\"", "\"secret:ads\""), ""),
        ("wait 1 day", whole.replace("\"file\"", "\"https://ads.example\""), "E0103"),
        ("wait 1 day", whole.replace("sends", "send_to"), "E0101 E0103"),
    ];
    for (statement, props, expected) in cases {
        let text = format!("{HEAD}  {statement}\n  exit as done\n}}\naudience others {{ {props} }}\n");
        let mut found: Vec<String> = codes(&text).split(' ').map(str::to_owned).collect();
        found.sort();
        assert_eq!(found.join(" "), expected, "{statement}, {props}");
    }
}

#[test]
fn a_deadline_is_compared_with_the_hours_of_the_team() {
    let call = |limit: &str| {
        format!(
            "call welcome_call by care up to {limit} as talk\nif talk.outcome is reached {{ exit as talked }}"
        )
    };
    // Closed from Friday 18:00 to Monday 09:00.
    check(&[
        (&call("63 hours"), "W0508"),
        (&call("64 hours"), ""),
        (&call("3 days"), ""),
        // One that begins on Saturday ends on Monday before the team is there.
        (&call("1 working day"), "W0413 W0508"),
        (&call("2 working days"), "W0413"),
        (&format!("wait until weekday between 09:00 and 18:00 project time\n{}", call("1 hour")), ""),
        (&format!("wait 1 day then until 10:00\n{}", call("1 hour")), ""),
        (&format!("wait 1 day as rest\n{}", call("1 hour")), "W0508"),
        (&format!("if contact.vip {{ wait until 10:00 as ten }}\n{}", call("1 hour")), "W0508"),
    ]);
}

#[test]
fn more_messages_than_a_cap_allows_are_counted_where_everybody_gets_them() {
    // One has been sent, and the cap allows five in seven days.
    let each = |wait: &str, count: usize| {
        let one = |n: usize| format!("{wait}\nsend email second as mail_{n}\n");
        (0..count).map(one).collect::<String>()
    };
    check(&[
        (&each("wait 1 day", 4), ""),
        (&each("wait 1 day", 5), "E0602"),
        (&each("wait 2 days", 5), ""),
        (&each("wait up to 1 day for order_placed", 5), "E0602"),
        (&each("wait 1 day\nif contact.vip { exit as enough }", 5), "E0602"),
        (&each("wait 1 day\nif contact.vip { wait 5 days }", 5), ""),
        (&each("wait until monday at 10:00", 5), ""),
        (&each("wait 1 day", 5).replace("second as mail_1", "confirm as mail_1"), ""),
    ]);
}

#[test]
fn a_task_of_which_nothing_can_come_is_told_whether_its_outcomes_are_left_out_or_none() {
    for task in ["task visit { }", "task visit { outcomes [] }"] {
        let project = Project::case(task);
        let text = super::shown(&project.input.sources, &project.compile().diagnostics);
        assert!(text.contains("the task `visit` has no outcomes"), "{task}\n{text}");
        assert_eq!(text.matches("error[").count(), 1, "{task}\n{text}");
    }
}

#[test]
fn all_files_that_a_template_lacks_are_told_at_once() {
    let told = |statements: &str| {
        let project = Project::case(&format!("{HEAD}{statements}\n  exit as done\n}}\n"));
        let found = project.compile().diagnostics;
        let about = found.into_iter().filter(|d| d.code.as_str() == "E0801");
        about.map(|d| d.help.unwrap_or_default()).collect::<Vec<_>>()
    };
    // On every channel on which the journey sends it, and in every language.
    assert_eq!(
        told("send email zebra as one\nsend sms else letter zebra as two"),
        [
            "write `templates/zebra/email.de.subject.hbs`, `templates/zebra/email.de.html.hbs`, `templates/zebra/sms.de.text.hbs`, \
             `templates/zebra/letter.de.subject.hbs` and `templates/zebra/letter.de.text.hbs`, and the same in en"
        ]
    );
    assert_eq!(
        told("send sms else letter hello as one"),
        [
            "write `templates/hello/sms.de.text.hbs`, and the same in en",
            "write `templates/hello/letter.de.subject.hbs` and `templates/hello/letter.de.text.hbs`, and the same in en",
        ]
    );
}

#[test]
fn a_part_that_is_there_under_both_of_its_names_is_told() {
    let mut project = Project::case(&format!("{HEAD}  send sms note as note\n  exit as done\n}}\n"));
    for path in ["note/sms.de.text.hbs", "note/sms.de.txt.hbs", "note/sms.en.text.hbs"] {
        let file = project.input.sources.add(format!("templates/{path}"), "A note.".to_owned());
        project.input.templates.insert(path.to_owned(), file);
    }
    let found = project.compile().diagnostics;
    let shown = super::shown(&project.input.sources, &found);
    assert!(shown.contains("error[E0807]: this part of the template is there twice"), "{shown}");
    assert!(shown.contains("--> templates/note/sms.de.txt.hbs:1:1"), "{shown}");
    assert!(shown.contains("remove it, or `templates/note/sms.de.text.hbs`"), "{shown}");
}
