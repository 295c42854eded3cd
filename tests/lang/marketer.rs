//! What people who do not program write at first, and what they are told: the place and the way out.

use super::{Project, shown};

const HEAD: &str = "journey sample {
  purpose transactional because \"a test\"
  enter on cart_updated as cart
  reenter when finished
  lasts up to 300 days
";

fn told(text: &str) -> String {
    let project = Project::case(text);
    shown(&project.input.sources, &project.compile().diagnostics)
}

/// Each statement in a journey that is fine without it, with pieces of what is told.
fn says(cases: &[(&str, &[&str])]) {
    let mut wrong = Vec::new();
    for (statement, pieces) in cases {
        let text = told(&format!("{HEAD}  {statement}\n  exit as done\n}}\n"));
        for piece in pieces.iter().filter(|piece| !text.contains(**piece)) {
            wrong.push(format!("{statement}\ndoes not say {piece}\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

#[test]
fn a_form_that_does_not_exist_leads_to_the_one_that_does() {
    says(&[
        ("resume marketing", &["`resume` takes nothing behind it", "`pause marketing for 14 days`"]),
        (
            "pause marketing until exit",
            &["a pause does not end with the journey", "`pause marketing until 2027-01-01`"],
        ),
        ("wait 3 days { on timeout { exit as late } }", &["when EVENT { … } on timeout { … }"]),
        ("wait until monday { on timeout { exit as late } }", &["when EVENT { … } on timeout { … }"]),
        (
            "wait up to 3 days for optin_confirmed { on timeout { exit as late } }",
            &["`wait up to 3 days { when optin_confirmed { … } on timeout { … } }`"],
        ),
        (
            "wait up to 3 days for optin_confirmed as click on timeout { exit as late }",
            &["`if click.missed { … }`"],
        ),
        ("on timeout { exit as late }", &["in the braces of a wait"]),
        ("wait for 3 days", &["written without `for`"]),
        ("call welcome_call by care for marketing up to 3 days as talk", &["the line `purpose …`"]),
        ("with { a: 1 }", &["left over"]),
    ]);
}

#[test]
fn a_word_of_everyday_speech_leads_to_that_of_the_language() {
    says(&[
        ("call welcome_call to care up to 3 days as talk", &["write `by`"]),
        ("assign welcome_call by care up to 3 days as talk", &["write `to`"]),
        ("if order_placed within 30 days { wait 1 day }", &["`any(order_placed within 30 days)`"]),
        ("if contact.vip is yes { wait 1 day }", &["write `true`"]),
        ("if contact.vip is no { wait 1 day }", &["write `false`"]),
        ("if contact.consent { wait 1 day }", &["`consent marketing on email`"]),
        ("wait up to 3 days for click", &["`STEP.clicked`"]),
        ("wait up to 3 days for opening as look", &["`STEP.opened`"]),
        ("wait up to 3 days for reply", &["`STEP.replied`"]),
        ("tag \"vip\" to contact.tags", &["did you mean `add`?"]),
    ]);
    let head = |old: &str, new: &str| told(&format!("{}  exit as done\n}}\n", HEAD.replace(old, new)));
    assert!(head("reenter when finished", "reenter once").contains("write `never`"));
    let daily = head("enter on cart_updated as cart", "enter daily at 09:00");
    assert!(daily.contains("write `every day`"), "{daily}");
    let monthly = head("enter on cart_updated as cart", "enter every month at 09:00");
    assert!(monthly.contains("`enter cron \"0 9 1 * *\" contact time`"), "{monthly}");
    let text = told(&format!(
        "{HEAD}  exit as done\n}}\ntest \"it\" for sample {{\n  expect exit as done with {{ order_id: \"1\" }}\n}}\n"
    ));
    assert!(text.contains("write `expect exit as done`; values stand behind"), "{text}");
}

#[test]
fn a_variant_may_be_called_a_and_its_share_is_a_percentage() {
    says(&[
        (
            "split x {\n variant a 50 percent { wait 1 day }\n variant b 50% { wait 2 days }\n}",
            &["write `%`"],
        ),
        ("split x {\n variant a 50% wait 1 day\n variant b 50% { wait 2 days }\n}", &["`wait` is left over"]),
    ]);
    let fine = format!(
        "{HEAD}  split x {{\n    variant a 50% {{ wait 1 day }}\n    variant the 50% {{ wait 2 days }}\n  }}\n  exit as done\n}}\n"
    );
    assert_eq!(told(&fine).matches("error").count(), 0, "{}", told(&fine));
    // An article in a text is not an article of the line.
    let event = "event talked \"Asked to the desk\" late 3 days { a: text }\n";
    assert!(!told(event).contains("means nothing"), "{}", told(event));
}

#[test]
fn what_may_be_missing_after_a_request_or_a_take_leads_to_its_else() {
    for taken in ["request voucher.issue as r", "take voucher from spring_codes as r"] {
        let text = told(&format!(
            "{HEAD}  {taken}\n  send email offer with {{ code: r.code }}\n  exit as done\n}}\n"
        ));
        assert!(text.contains("E0805") && text.contains("`else { exit as … }` behind the"), "{text}");
        let text = told(&format!(
            "{HEAD}  {taken} else {{ exit as none }}\n  send email offer with {{ code: r.code }}\n  exit as done\n}}\n"
        ));
        assert!(!text.contains("E0805"), "{text}");
    }
}

#[test]
fn a_missing_template_is_told_with_the_file_that_is_wanted() {
    says(&[
        ("send sms hello", &["`templates/hello/sms.de.text.hbs`"]),
        ("send letter hello", &["`templates/hello/letter.de.text.hbs`"]),
        ("send sms something_new", &["`templates/something_new/sms.de.text.hbs`"]),
        (
            "send email something_new",
            &[
                "`templates/something_new/email.de.subject.hbs`",
                "`templates/something_new/email.de.html.hbs`",
            ],
        ),
    ]);
}

#[test]
fn a_missing_language_of_the_project_names_its_key() {
    let mut project = Project::case(&format!("{HEAD}  send email hello\n  exit as done\n}}\n"));
    project.input.settings.locale = "fr".into();
    let text = shown(&project.input.sources, &project.compile().diagnostics);
    assert!(text.contains("E0802") && text.contains("`[project]`"), "{text}");
}

#[test]
fn a_declaration_without_its_parts_is_told_what_to_write() {
    let cases = [
        ("endpoint other.one {}", "add `url \"secret:NAME\"`"),
        ("endpoint other.one", "endpoint NAME { method \"POST\""),
        ("pool other_codes", "write `pool other_codes { code: text }`"),
        ("pool other_codes {}", "write `pool other_codes { code: text }`"),
        ("team sales \"Those who sell\"", "team NAME { hours monday"),
        ("team sales hours monday to friday 09:00 to 18:00", "team NAME { hours monday"),
        ("channel post", "channel sms { sends"),
    ];
    for (declaration, piece) in cases {
        let text = told(&format!("{declaration}\n"));
        assert!(text.contains(piece), "{declaration}\n{text}");
    }
    // What lies in it is not asked again where it is taken.
    let text = told(&format!(
        "pool other_codes\n{HEAD}  take voucher from other_codes as v else {{ exit as none }}\n  send email offer with {{ code: v.code }}\n  exit as done\n}}\n"
    ));
    assert_eq!(text.matches("error[").count(), 1, "{text}");
}

#[test]
fn of_several_channels_one_note_says_who_gets_nothing() {
    let notes = |sends: &str| {
        let mut project = Project::case(&format!(
            "channel mail {{ address contact.email, cost 1 }}\nchannel text {{ address contact.phone, cost 1 }}\n\
             channel post {{ address contact.postal, cost 1 }}\n\
             journey sample {{\n  purpose lapsing\n  enter on cart_updated as cart\n  reenter when finished\n  \
             lasts up to 300 days\n  {sends}\n  exit as done\n}}\n\
             policy more {{ consent lapsing on mail, text, post }}\n"
        ));
        for channel in ["mail", "text", "post"] {
            let name = format!("hello/{channel}.de.text.hbs");
            let file = project.input.sources.add(format!("templates/{name}"), "Hello!\n".into());
            project.input.templates.insert(name, file);
        }
        let found = project.compile().diagnostics;
        assert!(
            !shown(&project.input.sources, &found).contains("error["),
            "{}",
            shown(&project.input.sources, &found)
        );
        let mut notes = found.into_iter().filter(|finding| finding.code.as_str() == "I0503");
        (notes.next().map(|finding| finding.message), notes.count())
    };
    let all = "`contact.email` and `contact.phone` and `contact.postal` may be missing: who has none of them gets nothing";
    for how in ["cheapest of [mail, text, post]", "mail else text else post"] {
        let twice = format!("send {how} hello as x\n  wait 3 days\n  send {how} hello as y");
        assert_eq!(notes(&twice), (Some(all.to_owned()), 0), "{how}");
    }
    // Each of these is for itself, so each is told.
    assert_eq!(notes("send mail and text hello as x").1, 1);
    // Where one address is known, nobody is left out.
    assert_eq!(notes("if contact.phone is known { send mail else text hello as x }"), (None, 0));
}

#[test]
fn tests_take_names_bare_and_ask_by_which_channel() {
    let with = |line: &str| {
        told(&format!(
            "{HEAD}  send email hello as x\n  exit as done\n}}\ntest \"it\" for sample {{\n  given contact {{ email: \"a@example.org\" }}\n  {line}\n}}\n"
        ))
    };
    for event in [
        "given event message_clicked { channel: email, template: hello } at 2026-03-20T10:00",
        "given event message_clicked { channel: \"email\", template: \"hello\" } at 2026-03-20T10:00",
        "at 2026-03-20T10:00 event message_clicked { channel: email, purpose: marketing }",
    ] {
        assert!(!with(event).contains("error["), "{event}\n{}", with(event));
    }
    let text = with("given event message_clicked { channel: emial } at 2026-03-20T10:00");
    assert!(text.contains("`emial` is not one of the listed values") || text.contains("emial"), "{text}");
    for line in ["expect send hello", "expect send hello at 09:00"] {
        assert!(with(line).contains("write `expect send email hello`"), "{line}\n{}", with(line));
    }
}

#[test]
fn a_script_is_read_like_a_template_with_the_line_of_what_nothing_gives() {
    let told = |script: &str, path: &str, call: &str| {
        let mut project = Project::case(&format!(
            "task visit {{ script \"calls/visit\", outcomes [done] }}\n{HEAD}  assign visit to care {call} up to 3 days as talk\n  \
             if talk.outcome is expired {{ exit as late }}\n  exit as done\n}}\n"
        ));
        let file = project.input.sources.add(path.to_owned(), script.to_owned());
        project.input.scripts = Some([(path.to_owned(), file)].into());
        shown(&project.input.sources, &project.compile().diagnostics)
    };
    let fine = "# {{contact.first_name}}\n\n{{#if offer}}{{offer}}{{/if}} {{contact.id}} {{brand.name}}\n{{! a word }}";
    for path in ["calls/visit.md", "calls/visit.de.md"] {
        let text = told(fine, path, "with { offer: \"A\" }");
        assert!(!text.contains("error["), "{text}");
    }
    let cases = [
        ("Hello\n\nSay {{ofer}}\n", "E0803", "calls/visit.de.md:3:7", "did you mean `offer`?"),
        ("Say {{other}}\n", "E0803", "calls/visit.de.md:1:7", "add `with { other: … }`"),
        ("{{contact.frist_name}}", "E0803", "calls/visit.de.md:1:3", "did you mean `contact.first_name`?"),
        ("{{brand.nmae}}", "E0803", "calls/visit.de.md:1:3", "did you mean `brand.name`?"),
        ("a\n{{#if ofer}}b{{/if}}", "E0803", "calls/visit.de.md:2:7", "did you mean `offer`?"),
        ("a\n{{#when offer}}", "E0807", "calls/visit.de.md:2:1", "is not for scripts"),
        ("a {{offer", "E0807", "calls/visit.de.md:1:3", "without `}}`"),
    ];
    for (script, code, place, piece) in cases {
        let text = told(script, "calls/visit.de.md", "with { offer: \"A\" }");
        let all = [code, place, piece].iter().all(|one| text.contains(one));
        assert!(all && text.matches("error[").count() == 1, "{script}\n{text}");
    }
    let text = told(fine, "calls/vist.md", "with { offer: \"A\" }");
    assert!(text.contains("E0801") && text.contains("did you mean `\"calls/vist\"`?"), "{text}");
}
