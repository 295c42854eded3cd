//! A small shop with one change at a time, as authors make them: all errors and warnings that follow from it, in order. One
//! mistake is told once, where it was made.

use super::Project;
use fahrplan::diagnostic::{FileId, Severity};

const SCHEMA: &str = r#"contact {
  email: email? unique pii
  first_name: text? pii
  phone: phone? pii
  birthday: date? pii
  locale: one of [de, en] = de
  timezone: timezone = "Europe/Berlin"
}
event order_placed { order_id: id dedupe, value: decimal }
event webinar_announced { webinar_id: id, starts: moment }
event webinar_registered { webinar_id: id }
event left { order_id: id }
channel email { sends "smtp", address contact.email, class message, abilities [clicks] }
channel sms { sends "secret:sms", address contact.phone, class message }
channel letter { sends "print_shop", address contact.email, class letter }
"#;

const POLICIES: &str = "policy house_rules {
  consent marketing on email
  quiet hours 21:00 to 08:00 contact time for marketing on email then wait
}
";

const OFFER: &str = r#"journey offers {
  purpose marketing
  enter on order_placed as order
  reenter never
  lasts up to 40 days
  send email offer with {
    code: "BACK10"
    discount: 10%
    total: order.value
    until: today() + 14 days
    link: "https://example.org/shop"
    items: [{ sku: "a", price: 1.50 }]
    vip: true
  } as offer_mail
  exit as done
}
"#;

const TEST: &str = r#"test "an order" for offers {
  given contact { email: "ada@example.org" }
  given consent marketing on email
  at 2026-03-26T12:00 event order_placed { order_id: "o1", value: 20.00 }
  expect send email offer
  expect exit as done
}
"#;

const BODY: &str = r#"<p><a href="{{link}}">{{code}}</a> {{percent discount}} {{money total "EUR"}} {{date until}}
{{#each items}}{{sku}} {{number price}}{{/each}} {{#if vip}}!{{/if}}</p>
<p><a href="{{links.unsubscribe}}">no more</a></p>
"#;

/// The shop: each file with its text.
fn shop() -> Vec<(String, String)> {
    let mut files = vec![
        ("schema.journey".to_owned(), SCHEMA.to_owned()),
        ("policies.journey".to_owned(), POLICIES.to_owned()),
        ("offers.journey".to_owned(), format!("{OFFER}\n{TEST}")),
    ];
    for locale in ["de", "en"] {
        files.push((format!("templates/offer/email.{locale}.subject.hbs"), "{{code}} for you".to_owned()));
        files.push((format!("templates/offer/email.{locale}.html.hbs"), BODY.to_owned()));
    }
    files
}

/// One change of the shop.
#[derive(Clone, Copy)]
enum Change<'a> {
    /// In this file, of this text, to that.
    Text(&'a str, &'a str, &'a str),
    Add(&'a str, &'a str),
    Remove(&'a str),
    Rename(&'a str, &'a str),
}
use Change::{Add, Remove, Rename, Text};

const JOURNEY: &str = "offers.journey";
const DE: &str = "templates/offer/email.de.html.hbs";
const DE_SUBJECT: &str = "templates/offer/email.de.subject.hbs";

fn changed(changes: &[Change<'_>]) -> Vec<(String, String)> {
    let mut files = shop();
    for change in changes {
        match change {
            Text(file, old, new) => {
                let (_, text) = files.iter_mut().find(|(name, _)| name == file).expect("a file of the shop");
                assert!(text.contains(old), "{file} has no {old:?}");
                *text = text.replacen(old, new, 1);
            }
            Add(file, text) => files.push(((*file).to_owned(), (*text).to_owned())),
            Remove(file) => files.retain(|(name, _)| name != file),
            Rename(file, new) => {
                let (name, _) = files.iter_mut().find(|(name, _)| name == file).expect("a file of the shop");
                *name = (*new).to_owned();
            }
        }
    }
    files
}

fn project(files: &[(String, String)], locale: &str) -> Project {
    let mut project = Project::new();
    project.input.settings.locale = locale.to_owned();
    for (path, text) in files {
        let id: FileId = project.input.sources.add(path.clone(), text.clone());
        if let Some(path) = path.strip_prefix("templates/") {
            project.input.templates.insert(path.to_owned(), id);
        }
    }
    project
}

/// Code, file with line, message and help of every error and warning.
fn told_in(locale: &str, changes: &[Change<'_>]) -> Vec<String> {
    let project = project(&changed(changes), locale);
    let sources = &project.input.sources;
    let found = project.compile().diagnostics;
    let told = found.iter().filter(|finding| finding.severity() != Severity::Note).map(|finding| {
        let span = sources.shown(finding.primary.span);
        let (line, _) = sources.line_col(span.file, span.start);
        let help = finding.help.as_deref().map_or_else(String::new, |help| format!(" = {help}"));
        format!("{} {}:{line} {}{help}", finding.code.as_str(), sources.path(span.file), finding.message)
    });
    told.collect()
}

fn told(changes: &[Change<'_>]) -> Vec<String> {
    told_in("de", changes)
}

/// Nothing but this: each finding begins with its code and holds the words.
fn only(changes: &[Change<'_>], expected: &[(&str, &str)]) {
    only_in("de", changes, expected);
}

fn only_in(locale: &str, changes: &[Change<'_>], expected: &[(&str, &str)]) {
    let told = told_in(locale, changes);
    let fits = told.len() == expected.len()
        && told
            .iter()
            .zip(expected)
            .all(|(told, (code, words))| told.starts_with(code) && told.contains(words));
    assert!(fits, "expected {expected:#?}, found {told:#?}");
}

#[test]
fn the_shop_as_it_is_has_nothing_to_tell() {
    assert_eq!(told(&[]), Vec::<String>::new());
}

// ---------------------------------------------------------------- consent

const RULE: &str = "  consent marketing on email\n";

#[test]
fn without_a_rule_of_consent_marketing_goes_to_everybody_and_that_is_told() {
    let words = "no rule asks for consent to marketing on `email`, so `offer` goes to everybody";
    only(&[Text("policies.journey", RULE, "")], &[("E0501 offers.journey:6", words)]);
    // the ways out that are told
    let help = "`template offer transactional because \"…\"`, and `for transactional` at the send";
    only(&[Text("policies.journey", RULE, "")], &[("E0501 offers.journey:6", help)]);
    only(&[Remove("policies.journey")], &[("E0501 offers.journey:6", words)]);
    let meant = "was `consent marketing on email` meant instead of `consent transactional on email`?";
    let wrong = "  consent transactional on email\n";
    only(&[Text("policies.journey", RULE, wrong)], &[("E0501 offers.journey:6", meant)]);
    let other = "  consent marketing on sms\n";
    only(&[Text("policies.journey", RULE, other)], &[("E0501 offers.journey:6", "add `email` to the rule")]);
}

#[test]
fn a_rule_that_cannot_be_read_is_told_by_itself() {
    only(
        &[Text("policies.journey", "consent marketing", "consent marketting")],
        &[("E0101", "`marketting`")],
    );
    only(
        &[Text("policies.journey", "marketing on email\n", "marketing on emial\n")],
        &[("E0101", "`emial`")],
    );
}

#[test]
fn a_refined_purpose_is_covered_by_the_rule_of_its_parent_and_a_letter_needs_none() {
    let refined = Add("purposes.journey", "purpose lapsing under marketing \"Win-back\"\n");
    only(&[refined, Text(JOURNEY, "purpose marketing", "purpose lapsing")], &[]);
    let letter = "journey paper {\n  purpose marketing\n  enter on order_placed\n  reenter never\n  send letter card as card\n  exit as done\n}\n";
    let files = [
        Add("paper.journey", letter),
        Add("templates/card/letter.de.text.hbs", "Hello"),
        Add("templates/card/letter.en.text.hbs", "Hello"),
    ];
    only(&files, &[]);
}

// ---------------------------------------------------------------- what helpers can do with a value

/// In the German mail, this instead of the code.
fn instead(tag: &str) -> [Change<'_>; 1] {
    [Text(DE, "{{code}}", tag)]
}

#[test]
fn a_helper_gets_only_what_it_can_write() {
    let code = "{{code}} ";
    for (tag, words) in [
        ("{{date code}}", "a date is wanted here, but `code` is text"),
        ("{{number code}}", "a number is wanted here, but `code` is text"),
        ("{{percent code}}", "a percentage is wanted here, but `code` is text"),
        ("{{plural code \"cup\" \"cups\"}}", "a number is wanted here, but `code` is text"),
        ("{{money code \"EUR\"}}", "a number is wanted here, but `code` is text"),
        ("{{number discount}}", "a number is wanted here, but `discount` is a percentage"),
        ("{{money vip \"EUR\"}}", "a number is wanted here, but `vip` is yes or no"),
        ("{{date until \"time\"}}", "a moment or a clock time is wanted here, but `until` is a date"),
        ("{{date (default until \"soon\")}}", "a date is wanted here, but `soon` is none"),
        ("{{number (percent discount)}}", "a number is wanted here, but `percent` makes a text"),
        ("{{money total \"EURO\"}}", "`EURO` is no currency of ISO 4217, such as `EUR` = write `\"EUR\"`"),
        ("{{money total \"€\"}}", "`€` is no currency of ISO 4217, such as `EUR` = write `\"EUR\"`"),
        ("{{money total \"EUX\"}}", "`EUX` is no currency"),
        ("{{url code}}", "a link is wanted here, but `code` is \"BACK10\""),
        ("{{url total}}", "a link is wanted here, but `total` is a decimal"),
        ("{{items}}", "a text is wanted here, but `items` is a list"),
        ("{{default items \"none\"}}", "a text is wanted here, but `items` is a list"),
        ("{{#each items}}{{this}}{{/each}}", "a text is wanted here, but `items[]` is a record"),
        ("{{#each code}}x{{/each}}", "a list is wanted here, but `code` is text"),
        ("{{lookup code 0}}", "a list or a record is wanted here, but `code` is text"),
        ("{{contact}}", "a text is wanted here, but `contact` has fields"),
        ("{{number contact.locale}}", "a number is wanted here, but `contact.locale` is one of de, en"),
        ("{{this}}", "`this` exists only inside"),
    ] {
        let told = told(&instead(&format!("{code}{tag}")));
        assert!(told.len() == 1 && told[0].contains(words), "{tag}: {told:#?}");
        let code = if told[0].starts_with("E0807") { "E0807" } else { "E0103" };
        assert!(told[0].starts_with(&format!("{code} templates/offer/email.de.html.hbs:1")), "{told:?}");
    }
    for tag in [
        "{{default contact.first_name \"you\"}}",
        "{{percent total}}",
        "{{date until \"short\"}}",
        "{{date (default contact.birthday \"2026-01-01\")}}",
        "{{number (lookup items 0)}}",
        "{{url link}}",
        "{{plural total \"Euro\" \"Euros\"}}",
        "{{#if items}}{{items.length}}{{/if}}",
        "{{#with contact}}{{id}}{{/with}}",
        "<a href=\"{{url link}}\">x</a>",
        "<a href=\"mailto:{{default contact.email \"a@example.org\"}}\">x</a>",
    ] {
        assert_eq!(told(&instead(&format!("{code}{tag}"))), Vec::<String>::new(), "{tag}");
    }
}

#[test]
fn a_link_begins_only_with_a_link() {
    let of = |value: &str| format!("<a href=\"{{{{{value}}}}}\">x</a> {{{{code}}}}");
    only(&instead(&of("code")), &[("E0103", "a link is wanted here, but `code` is \"BACK10\"")]);
    only(&instead(&of("total")), &[("E0103", "a link is wanted here, but `total` is a decimal")]);
    only(&instead(&of("date until")), &[("E0807", "a link is wanted here, but `date` makes a text")]);
    let email = "{{#if contact.email}}<a href=\"{{contact.email}}\">x</a>{{/if}} {{code}}";
    only(&instead(email), &[("E0103", "write `mailto:{{contact.email}}`")]);
}

#[test]
fn a_value_in_quotes_is_told_once_and_how_it_is_written_without() {
    let quoted = Text(JOURNEY, "discount: 10%", "discount: \"10%\"");
    only(
        &[quoted],
        &[("E0103 templates/offer/email.de.html", "supply a percentage, such as `10%` without quotes")],
    );
}

// ---------------------------------------------------------------- names of files

#[test]
fn a_file_that_is_no_template_by_its_name_says_what_was_meant() {
    let here = "templates/offer/";
    for (wrong, words) in [
        ("email.de.html", "was `email.de.html.hbs` meant?"),
        ("email.de.html.hbs.txt", "was `email.de.html.hbs` meant?"),
        ("email.de.HTML.hbs", "was `email.de.html.hbs` meant?"),
        ("email.DE.html.hbs", "was `email.de.html.hbs` meant?"),
        ("Email.DE.html.hbs", "was `email.de.html.hbs` meant?"),
        ("email_de.html.hbs", "was `email.de.html.hbs` meant?"),
        ("email.de.body.hbs", "was `email.de.html.hbs` meant?"),
        ("email.ger.html.hbs", "`ger` is no language of `contact.locale`"),
        ("email.ger.html.hbs", "was `email.de.html.hbs` meant?"),
    ] {
        only(&[Rename(DE, &format!("{here}{wrong}"))], &[("E0807", words)]);
    }
    only(&[Add("templates/offer/email.de.html copy.hbs", BODY)], &[("E0807", "remove one of the two")]);
    only(&[Add("templates/offer/notes.txt", "to do"), Add("templates/README.md", "Our mails")], &[]);
}

#[test]
fn texts_in_a_language_that_nobody_has_are_told_once() {
    let french = [
        Add("templates/offer/email.fr.html.hbs", BODY),
        Add("templates/offer/email.fr.subject.hbs", "{{code}}"),
        Add("templates/other/email.fr.html.hbs", BODY),
        Add("templates/other/email.fr.subject.hbs", "{{code}}"),
    ];
    let words =
        "`fr` is no language of `contact.locale`, so nobody gets these texts = add `fr` to `contact.locale`";
    only(&french, &[("W0806 templates/offer/email.fr.html.hbs:1", words)]);
    only(&[french.as_slice(), &[Text("schema.journey", "[de, en]", "[de, en, fr]")]].concat(), &[]);
}

#[test]
fn a_project_in_a_language_that_nobody_writes_is_one_mistake() {
    let words = "the language of the project is `fr`, and no template is written in it = set `locale` in fahrplan.toml";
    only_in("fr", &[], &[("E0802 schema.journey:6", words)]);
    only_in("en", &[], &[]);
}

// ---------------------------------------------------------------- one mistake, one finding

#[test]
fn what_a_language_lacks_is_told_once() {
    let lacks = "this mail has no subject in this language";
    only(&[Remove(DE_SUBJECT)], &[("E0807", lacks)]);
    only(&[Text(DE_SUBJECT, "{{code}} for you", "")], &[("W0808", "this subject is empty")]);
    only(&[Text(DE, "{{money total \"EUR\"}}", "")], &[("W0806", "uses `total` in en, but not in de")]);
    only(
        &[Text(DE, "{{money total \"EUR\"}}", "{{money totl \"EUR\"}}")],
        &[("E0803", "`totl` is not supplied")],
    );
}

#[test]
fn a_name_that_both_languages_ask_for_is_misspelled_in_the_send() {
    let words = "the template `offer` uses `discount`, not `discuont` = did you mean `discount`?";
    only(&[Text(JOURNEY, "discount: 10%", "discuont: 10%")], &[("E0803 offers.journey:8", words)]);
}

#[test]
fn a_value_that_cannot_be_read_is_not_missing_too() {
    for (old, new, code) in [
        ("code: \"BACK10\"", "code = \"BACK10\"", "E0001"),
        ("code: \"BACK10\"", "code: \"BACK10", "E0001"),
        ("code: \"BACK10\"", "code \"BACK10\"", "E0001"),
        ("discount: 10%", "discount: 10 percent", "E0001"),
        ("value: 20.00 }", "value = 20.00 }", "E0001"),
        ("value: 20.00 }", "vlaue: 20.00 }", "E0110"),
        ("at 2026-03-26T12:00", "at 2026-13-26T12:00", "E0113"),
    ] {
        only(&[Text(JOURNEY, old, new)], &[(code, "")]);
    }
}

#[test]
fn a_field_of_same_that_does_not_exist_is_told_once() {
    let webinar = "journey webinar {\n  purpose marketing\n  enter on webinar_announced as webinar per webinar.webinar_id\n  reenter never\n  wait up to 3 days for webinar_registered as reg same webinar_id\n  if reg.missed { exit as away }\n  exit as done\n}\n";
    let file = "webinar.journey";
    only(&[Add(file, webinar)], &[]);
    only(&[Add(file, &webinar.replace("same webinar_id", "same webinarid"))], &[("E0110", "`webinarid`")]);
    only(&[Add(file, &webinar.replace(" same webinar_id", ""))], &[("W0410", "add `same webinar_id`")]);
}

#[test]
fn a_misspelled_type_is_told_where_it_is_declared() {
    let birthday = "journey birthday {\n  purpose marketing\n  enter every anniversary of contact.birthday at 09:00 contact time\n  reenter 300 days after entry\n  exit as done\n}\n";
    let file = Add("birthday.journey", birthday);
    only(
        &[file, Text("schema.journey", "birthday: date?", "birthday: datum?")],
        &[("E0001", "`datum` is not a type")],
    );
}

// ---------------------------------------------------------------- what makes no sense

#[test]
fn quiet_hours_are_a_part_of_the_day_and_leave_the_rest() {
    let hours = |hours| Text("policies.journey", "21:00 to 08:00", hours);
    only(&[hours("08:00 to 08:00")], &[("E0113 policies.journey:3", "quiet hours that end when they begin")]);
    only(&[hours("08:00 to 21:00")], &[("E0603 policies.journey:3", "was `21:00 to 08:00` meant?")]);
    only(&[hours("12:00 to 14:00")], &[]);
    only(&[hours("18:00 to 10:00")], &[]);
}

#[test]
fn two_tests_of_one_name_are_told_apart_by_nobody() {
    only(
        &[Text(JOURNEY, TEST, &format!("{TEST}\n{TEST}"))],
        &[("E0102", "test `an order` is declared twice")],
    );
    let other = TEST.replace("an order", "another order");
    only(&[Text(JOURNEY, TEST, &format!("{TEST}\n{other}"))], &[]);
}

#[test]
fn a_subject_is_text() {
    only(
        &[Text(DE_SUBJECT, "{{code}}", "<b>{{code}}</b>")],
        &[("W0808", "people would see this tag as it stands")],
    );
    only(&[Text(DE_SUBJECT, "for you", "5 < 6 <3")], &[]);
}
