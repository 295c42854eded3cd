//! The templates of the sample project as people get them, and what payloads make of HTML: nothing.

use std::fs;
use std::path::Path;

use fahrplan::channels::mailbox::Letter;
use fahrplan::channels::message::{List, Message, read_mailbox};
use fahrplan::channels::template::{Links, Rendered, Request, Templates};
use fahrplan::lang::template::LocaleChain;
use fahrplan::time::Timestamp;
use serde_json::{Value, json};

fn files_below(folder: &Path, root: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files_below(&entry, root, found);
        } else {
            let path = entry.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            found.push((path, fs::read_to_string(&entry).unwrap()));
        }
    }
}

fn chain() -> LocaleChain {
    LocaleChain { project: "de".to_owned(), ..LocaleChain::default() }
}

fn project() -> Templates {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("journeys/templates");
    let mut files = Vec::new();
    files_below(&root, &root, &mut files);
    files.sort();
    let (templates, errors) = Templates::compile(files, chain());
    assert_eq!(errors, []);
    templates
}

fn context() -> Value {
    json!({
        "code": "WELCOME10", "discount": "10%", "valid_until": "2026-12-24", "issue": "2026-11-01", "total": "1234.50",
        "items": [{ "name": "Espresso <Nr. 7>", "qty": 2, "price": "12.90" }, { "name": "Filter", "qty": 1, "price": "9.00" }],
        "contact": { "first_name": "Zoë", "club": true },
        "brand": {
            "name": "Siebenuhr Kaffee", "legal_name": "Siebenuhr Kaffeerösterei GmbH", "address": "Beispielstraße 7, 10115 Berlin",
            "register": "HRB 000000 B", "representatives": "Jana Beispiel, Emre Muster", "vat_id": "DE000000000",
            "support_email": "hilfe@shop.example.org", "shop_url": "https://shop.example.org"
        }
    })
}

fn links() -> Links<'static> {
    Links {
        unsubscribe: Some("https://m.example/u/tok"),
        confirm: Some("https://m.example/c/tok"),
        ..Links::default()
    }
}

fn render(templates: &Templates, name: &str, locale: &str, context: &Value) -> Rendered {
    let (locale, zone) = (Some(locale), "Europe/Berlin");
    let request =
        Request { template: name, channel: "email", locale, context, zone, links: links(), counted: None };
    templates.render(&request).unwrap_or_else(|error| panic!("{name}: {error}"))
}

const NAMES: [&str; 9] = [
    "cart_last_call",
    "cart_reminder",
    "confirm_optin",
    "confirm_reminder",
    "first_steps",
    "news_beans",
    "news_people",
    "welcome_offer",
    "welcome_story",
];

#[test]
fn every_mail_of_the_project_renders_in_both_languages_and_with_names_unknown() {
    let templates = project();
    let mut nameless = context();
    nameless["contact"] = json!({ "first_name": null, "club": null });
    for name in NAMES {
        for locale in ["de", "en"] {
            let rendered = render(&templates, name, locale, &context());
            assert_eq!(rendered.locale, locale);
            assert!(
                !rendered.subject.is_empty() && rendered.subject.chars().count() <= 78,
                "{name}: {}",
                rendered.subject
            );
            assert!(
                !rendered.text.contains(['<', '>']) || rendered.text.contains("<https://"),
                "{name}: {}",
                rendered.text
            );
            assert!(!rendered.text.contains(&rendered.preheader), "{name}: the preheader stands in the text");
            assert!(rendered.html.unwrap().contains("Siebenuhr Kaffeerösterei GmbH"), "{name}: no imprint");
            assert!(
                rendered.text.contains("Siebenuhr Kaffeerösterei GmbH"),
                "{name}: no imprint in the text"
            );
            let greeting = render(&templates, name, locale, &nameless).text;
            assert!(!greeting.contains("Zoë"), "{name}");
        }
    }
}

#[test]
fn a_cart_mail_reads_well_as_plain_text() {
    let rendered = render(&project(), "cart_reminder", "de", &context());
    let items = "2 × Espresso <Nr. 7> je 12,90\u{a0}€\n1 × Filter je 9,00\u{a0}€\nSumme 1.234,50\u{a0}€\n\nZum Warenkorb <";
    assert!(rendered.text.contains(items), "{}", rendered.text);
    assert!(rendered.text.contains("<https://shop.example.org/warenkorb>"), "{}", rendered.text);
    assert!(rendered.html.unwrap().contains("Espresso &lt;Nr. 7&gt;"));
}

#[test]
fn a_rendered_mail_written_and_read_again_is_the_same() {
    let rendered = render(&project(), "cart_reminder", "de", &context());
    let (from, to) = (
        read_mailbox("Siebenuhr Kaffee <hallo@shop.example.org>").unwrap(),
        read_mailbox("Zoë <z@müller.example>").unwrap(),
    );
    let message = Message {
        date: Timestamp(1_766_000_000_000),
        from: &from,
        to: &to,
        reply_to: None,
        subject: &rendered.subject,
        message_id: "dl_1@shop.example.org",
        text: &rendered.text,
        html: rendered.html.as_deref(),
        list: Some(List {
            id: "marketing.shop.example.org",
            unsubscribe: "https://m.example/u/tok",
            unsubscribe_by_mail: None,
        }),
        feedback_id: None,
    };
    let written = message.write().unwrap();
    let letter = Letter::read(&written);
    assert_eq!(letter.subject, rendered.subject);
    assert_eq!(letter.text, rendered.text);
    assert_eq!(letter.html.trim_end(), rendered.html.as_deref().unwrap().trim_end());
    assert!(letter.links().contains(&"https://m.example/u/tok".to_owned()));
}

/// Elements with the names of their attributes, in order, as an HTML parser sees them.
fn skeleton(html: &str) -> Vec<String> {
    let dom = html2text::config::plain().parse_html(html.as_bytes()).unwrap();
    let mut serialized = Vec::new();
    dom.serialize(&mut serialized).unwrap();
    let serialized = String::from_utf8(serialized).unwrap();
    // Serialized HTML is regular: `<` begins tags only, values stand in `"` and hold none.
    let tags = serialized.split('<').skip(1).map(|rest| {
        if rest.starts_with("!--") {
            return "!--".to_owned();
        }
        let mut names = String::new();
        let mut in_value = false;
        for c in rest.chars() {
            match c {
                '"' => in_value = !in_value,
                '>' if !in_value => break,
                c if !in_value => names.push(c),
                _ => {}
            }
        }
        names
    });
    tags.collect()
}

/// Pieces of attacks, combined below into more than 300.
const STARTS: [&str; 14] = [
    "\">",
    "'>",
    "</title>",
    "</style>",
    "</script>",
    "-->",
    "<!--",
    "]]>",
    "\" ",
    "' ",
    "` ",
    "&quot;>",
    "\u{0}\">",
    "</textarea>",
];
const ENDS: [&str; 22] = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "onmouseover=alert(1)",
    "style=position:fixed",
    "javascript:alert(1)",
    "<a href=javascript:alert(1)>x</a>",
    "<iframe srcdoc=x>",
    "<math><mi//xlink:href=\"data:x\">",
    "<base href=//evil.example>",
    "<form action=//evil.example>",
    "<meta http-equiv=refresh content=0>",
    "{{contact.email}}",
    "{{{x}}}",
    "<![endif]-->",
    "<plaintext>",
    "<table><td>",
    "expression(alert(1))",
    "&#60;script&#62;",
    "\u{202e}<b>",
    "<link rel=stylesheet href=//evil.example>",
    "=\"x",
];

const PLACES: &str = "<!doctype html><html lang=\"{{v}}\"><head><title>{{v}}</title></head><body class=\"{{v}}\"><!-- {{v}} -->\
    <p title='{{v}}'>{{v}}</p><a href=\"https://x.example/{{v}}?q={{v}}#{{v}}\" title=\"{{v}}\">{{v}}</a><img src=\"https://x.example/{{v}}.png\" \
    alt=\"{{v}}\"><table><tr><td align='{{v}}'>{{default v \"x\"}}</td></tr></table><textarea>{{v}}</textarea></body></html>";

#[test]
fn no_payload_changes_the_elements_or_attributes_of_a_mail() {
    let files = [
        ("t/email.de.subject.hbs", "{{v}}"),
        ("t/email.de.preheader.hbs", "{{v}}"),
        ("t/email.de.html.hbs", PLACES),
    ];
    let (templates, errors) =
        Templates::compile(files.map(|(path, text)| (path.to_owned(), text.to_owned())), chain());
    assert_eq!(errors, []);
    let html = |value: &str| render(&templates, "t", "de", &json!({ "v": value })).html.unwrap();
    let benign = skeleton(&html("benign"));
    assert!(benign.len() > 20, "{benign:?}");
    let mut tried = 0;
    for start in STARTS {
        for end in ENDS {
            let payload = format!("{start}{end}");
            assert_eq!(skeleton(&html(&payload)), benign, "{payload:?}");
            tried += 1;
        }
    }
    assert!(tried >= 300);
}
