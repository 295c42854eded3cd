//! `check --fix`: only what can have been meant, never anything worse.

use std::collections::BTreeMap;

use fahrplan::diagnostic::{FileId, Sources, count};
use fahrplan::lang::ast::Comment;
use fahrplan::lang::mend::mend;
use fahrplan::lang::{Compilation, Input, compile};

use super::damage::{damages, step};
use super::{Project, fixtures, real};

const HEAD: &str = "journey sample {
  purpose marketing
  enter on cart_updated as cart per cart.cart_id
  reenter when finished
  lasts up to 300 days
";

fn mended(text: &str) -> String {
    let input = Project::case(text).input;
    let file = input.sources.find("case.journey").expect("just added");
    mend(&input, &|_| true).texts.remove(&file).unwrap_or_else(|| text.to_owned())
}

/// Each line in a journey that is fine without it, and what becomes of it.
fn lines(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (written, expected) in cases {
        let around = |line: &str| format!("{HEAD}  {line}\n  exit as done\n}}\n");
        let found = mended(&around(written));
        if found != around(expected) {
            wrong.push(format!("{written}\nexpected {expected}\nfound {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

#[test]
fn what_can_only_have_been_meant_is_written() {
    lines(&[
        ("wiat 3 days", "wait 3 days"),
        ("wait 3 dyas", "wait 3 days"),
        ("wait 3 Tage", "wait 3 days"),
        ("if contact.plan == \"pro\" { wait 1 day }", "if contact.plan is pro { wait 1 day }"),
        ("if contact.Plan is Pro { wait 1 day }", "if contact.plan is pro { wait 1 day }"),
        ("send email „hello“ as hello_mail", "send email hello as hello_mail"),
        (
            "send email hello with { } as hello_mail wait 3 days",
            "send email hello with { } as hello_mail\nwait 3 days",
        ),
        (
            "wait up to 3 days for order_placed as order same cartid",
            "wait up to 3 days for order_placed as order same cart_id",
        ),
        (
            "wait up to 3 days for order_placed as order same cartid\n  wait up to 3 days for order_placed as other same cartid",
            "wait up to 3 days for order_placed as order same cart_id\n  wait up to 3 days for order_placed as other same cart_id",
        ),
        (
            "wait up to 3 days for order_placed same cart_id as order",
            "wait up to 3 days for order_placed as order same cart_id",
        ),
    ]);
}

#[test]
fn a_near_miss_in_a_template_is_written_too() {
    let text = format!("{HEAD}  send email look with {{ items: cart.items }} as look\n  exit as done\n}}\n");
    let mut project = Project::case(&text);
    let stop = "<a href=\"{{links.unsubscribe}}\">Stop</a>";
    let written = format!(
        "{{{{#each items}}}}{{{{this.prcie}}}} {{{{skuu}}}} {{{{numbr ../contact.points}}}}{{{{/each}}}} {{{{dat contact.birthday}}}} {stop}"
    );
    let guarded = written
        .replace("{{dat contact.birthday}}", "{{#if contact.birthday}}{{dat contact.birthday}}{{/if}}");
    let mut file = None;
    for locale in ["de", "en"] {
        for (part, text) in [("subject", "Look"), ("html", &*guarded)] {
            let path = format!("look/email.{locale}.{part}.hbs");
            let id = project.input.sources.add(format!("templates/{path}"), text.to_owned());
            project.input.templates.insert(path, id);
            file = Some(id);
        }
    }
    let mended = mend(&project.input, &|_| true);
    let right = guarded
        .replace("prcie", "price")
        .replace("skuu", "sku")
        .replace("numbr", "number")
        .replace("dat ", "date ");
    assert_eq!((mended.held_back, mended.texts.get(&file.expect("the last one"))), (0, Some(&right)));
}

#[test]
fn what_may_have_been_meant_otherwise_is_left_to_its_author() {
    let same = |line: &'static str| (line, line);
    lines(&[
        same("wait 14 m"),
        same("wait 2 business days"),
        same("if contact.first_name is not null { wait 1 day }"),
        same("if contact.first_name is \"Ada\" { wait 1 day }"),
        same("send email hello as miss you\n  wait up to 3 days for miss_you.clicked as look"),
        same("wait for order_placed as order same cart_id"),
        same("wait up to 3 days for order_placed as order"),
        same("if any(order_placed) { wait 1 day }"),
        same("send email hello as start"),
        same("unless contact.vip and contact.plan is pro { wait 1 day }"),
        same("let gift = 5"),
        same("switch contact.plan {\n    case free { wait 1 day }\n  }"),
    ]);
    for head in [
        "journey sample {\n  purpose marketing\n  enter on cart_updated as cart per cart_id\n  reenter when finished\n",
        "journey sample {\n  purpose marketing\n  enter on contact.birthday at 09:00 contact time\n  reenter when finished\n",
        "journey win back {\n  purpose marketing\n  enter on cart_updated as cart\n  reenter when finished\n",
    ] {
        let text = format!("{head}  lasts up to 9 days\n  exit as done\n}}\n");
        assert_eq!(mended(&text), text);
    }
}

#[test]
fn a_fix_whose_mistake_remains_is_held_back_and_the_others_go_in() {
    let text =
        format!("{HEAD}  if contact.plan == pro {{ wait 1 dyas }}\n  wiat 3 days for\n  exit as done\n}}\n");
    let input = Project::case(&text).input;
    let mended = mend(&input, &|_| true);
    assert_eq!((mended.applied, mended.held_back), (3, 1));
    let new = mended.texts.values().next().expect("three are in");
    assert!(new.contains("is pro { wait 1 days }") && new.contains("  wait 3 days for\n"), "{new}");
}

fn comments(compiled: &Compilation) -> Vec<String> {
    let texts =
        |comments: &[Comment]| comments.iter().map(|comment| comment.text.clone()).collect::<Vec<_>>();
    compiled.files.iter().flat_map(|(_, tree)| texts(&tree.comments)).collect()
}

fn with(input: &Input, texts: &BTreeMap<FileId, String>) -> Input {
    let mut new = input.clone();
    new.sources = Sources::new();
    for (file, path, text) in input.sources.iter() {
        new.sources.add(path.to_owned(), texts.get(&file).cloned().unwrap_or_else(|| text.to_owned()));
    }
    new
}

/// Mending never adds a mistake, never loses a comment, and has nothing left to do the second time. Where it does nothing,
/// the project is what it was, and nothing is left to compare.
fn holds(input: &Input, told: &str) {
    let mended = mend(input, &|_| true);
    if mended.texts.is_empty() {
        assert_eq!(mended.applied, 0, "{told}");
        return;
    }
    let before = compile(input);
    let new = with(input, &mended.texts);
    let after = compile(&new);
    let (errors, left) = (count(&before.diagnostics)[0], count(&after.diagnostics)[0]);
    assert!(left <= errors, "{told}: {errors} errors became {left}\n{:#?}", mended.texts);
    assert!(mended.applied > 0, "{told}");
    assert_eq!(comments(&before), comments(&after), "{told}");
    let again = mend(&new, &|_| true);
    assert!(again.texts.is_empty(), "{told}: {:#?}\n{:#?}", mended.texts, again.texts);
}

#[test]
fn mending_never_makes_anything_worse() {
    for (code, folder) in fixtures() {
        holds(&super::fixture(&folder, "bad.journey").input, &code);
    }
    for name in ["bakery", "gym", "theater"] {
        holds(&real(&format!("tests/lang/planted/{name}")).input, name);
    }
    for folder in ["journeys", "tests/lang/samples"] {
        let input = real(folder).input;
        let all = damages(&input, step(&input, 5));
        std::thread::scope(|scope| {
            for half in all.chunks(all.len().div_ceil(2).max(1)) {
                let input = &input;
                scope.spawn(move || {
                    for damage in half {
                        let told =
                            format!("{} {} at {}", input.sources.path(damage.file), damage.kind, damage.at);
                        holds(&with(input, &BTreeMap::from([(damage.file, damage.text.clone())])), &told);
                    }
                });
            }
        });
    }
}
