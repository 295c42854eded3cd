//! Templates compiled and rendered, from the files an author writes to the texts a person reads.

use serde_json::json;

use super::*;

fn chain() -> LocaleChain {
    LocaleChain { project: "de".to_owned(), fallbacks: [("de-AT".to_owned(), vec!["de".to_owned()])].into() }
}

fn compile(files: &[(&str, &str)]) -> (Templates, Vec<TemplateError>) {
    Templates::compile(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())), chain())
}

fn compiled(files: &[(&str, &str)]) -> Templates {
    let (templates, errors) = compile(files);
    assert_eq!(errors, []);
    templates
}

fn request<'a>(channel: &'a str, locale: &'a str, context: &'a Json) -> Request<'a> {
    let links = Links {
        unsubscribe: Some("https://m.example/u/a=b"),
        confirm: Some("https://m.example/c/x"),
        ..Links::default()
    };
    Request {
        template: "t",
        channel,
        locale: Some(locale),
        context,
        zone: "Europe/Berlin",
        links,
        counted: None,
    }
}

/// Renders one SMS text in `locale`.
fn sms_in(locale: &str, source: &str, context: &Json) -> Result<String, RenderError> {
    let path = format!("t/sms.{locale}.txt.hbs");
    compiled(&[(&path, source)]).render(&request("sms", locale, context)).map(|rendered| rendered.text)
}

/// Renders one mail's HTML.
fn html(source: &str, context: &Json) -> Result<String, RenderError> {
    let templates = compiled(&[("t/email.de.subject.hbs", "S"), ("t/email.de.html.hbs", source)]);
    templates.render(&request("email", "de", context)).map(|rendered| rendered.html.unwrap())
}

#[test]
fn a_mail_is_rendered_whole() {
    let templates = compiled(&[
        ("t/email.de.subject.hbs", "Hallo {{name}},\n  {{plural n \"Paket\" \"Pakete\"}}\n"),
        ("t/email.de.preheader.hbs", "A & {{name}}\n"),
        (
            "t/email.de.html.hbs",
            "<html><head><title>T</title></head><body class=\"a>b\">{{> head}}<p>{{name}}</p>\
            <a href=\"{{brand.url}}/x?n={{name}}\">Los</a> <a href=\"{{links.unsubscribe}}\">Ende</a></body></html>",
        ),
        ("_parts/head.hbs", "<h1>{{brand.name}}</h1>"),
    ]);
    let context = json!({ "name": "Jö & <b>", "n": 2, "brand": { "name": "B", "url": "https://b.example" } });
    let counted = |link: &str| format!("https://m.example/r/{}", link.len());
    let request = Request { counted: Some(&counted), ..request("email", "de-AT", &context) };
    let rendered = templates.render(&request).unwrap();
    assert_eq!(rendered.subject, "Hallo Jö & <b>, Pakete");
    assert_eq!(rendered.preheader, "A & Jö & <b>");
    assert_eq!(rendered.locale, "de");
    let html = rendered.html.clone().unwrap();
    assert!(
        html.starts_with("<html><head><title>T</title></head><body class=\"a>b\"><div style=\"display:none;"),
        "{html}"
    );
    assert!(html.contains(">A &amp; Jö &amp; &lt;b&gt;&#847;"), "{html}");
    assert!(html.ends_with("</div><h1>B</h1><p>Jö &amp; &lt;b&gt;</p>\
        <a href=\"https://m.example/r/45\">Los</a> <a href=\"https://m.example/u/a&#x3D;b\">Ende</a></body></html>"), "{html}");
    assert_eq!(
        rendered.text,
        "B\n\nJö & <b>\n\nLos <https://m.example/r/45> Ende <https://m.example/u/a=b>\n"
    );
    assert_eq!(templates.render(&request).unwrap(), rendered, "the same again");
}

#[test]
fn the_language_is_the_contacts_or_a_fallback_or_the_projects() {
    let templates = compiled(&[("t/sms.de.txt.hbs", "{{date d}}"), ("t/sms.en.txt.hbs", "{{date d}}")]);
    let context = json!({ "d": "2026-12-24" });
    for (locale, expected) in [
        ("en", "December 24, 2026"),
        ("de-AT", "24. Dezember 2026"),
        ("fr", "24. Dezember 2026"),
        ("en-GB", "December 24, 2026"),
    ] {
        assert_eq!(templates.render(&request("sms", locale, &context)).unwrap().text, expected, "{locale}");
    }
    assert!(
        templates.has("t", "sms", None)
            && !templates.has("t", "email", None)
            && !templates.has("x", "sms", None)
    );
    let error = templates.render(&request("email", "de", &context)).unwrap_err();
    assert_eq!(error, RenderError::Unknown { template: "t".to_owned(), channel: "email".to_owned() });
}

#[test]
fn helpers_write_in_the_language_of_the_message() {
    let context = json!({
        "n": 1234, "one": 1, "price": "89.90", "share": "12.50%", "d": "2026-12-24", "at": "2026-07-01T22:30:00Z", "time": "09:05",
        "yes": true, "none": null, "empty": "", "list": ["a", "b"], "row": { "x": "y" }, "key": "x"
    });
    for (source, german, english) in [
        ("{{n}} {{number n}} {{number price}}", "1234 1.234 89,9", "1234 1,234 89.9"),
        ("{{money price \"EUR\"}}", "89,90\u{a0}€", "€89.90"),
        ("{{percent share}} {{percent one}}", "12,5\u{a0}% 1\u{a0}%", "12.5% 1%"),
        ("{{date d}}|{{date d \"short\"}}", "24. Dezember 2026|24.12.2026", "December 24, 2026|12/24/2026"),
        ("{{date at}} {{date at \"time\"}}", "2. Juli 2026 0:30\u{a0}Uhr", "July 2, 2026 12:30 AM"),
        ("{{date time \"time\"}}", "9:05\u{a0}Uhr", "9:05 AM"),
        ("{{plural one \"x\" \"y\"}}{{plural n \"x\" \"y\"}}", "xy", "xy"),
        ("{{yes}}", "ja", "yes"),
        ("{{default none \"-\"}}{{default empty \"-\"}}{{default n \"-\"}}", "--1234", "--1234"),
        ("{{#if none}}a{{else}}b{{/if}}{{#unless none}}c{{/unless}}", "bc", "bc"),
        ("{{#each list}}{{@index}}{{this}}{{#unless @last}}, {{/unless}}{{/each}}", "0a, 1b", "0a, 1b"),
        ("{{#each list}}{{#if @first}}{{../n}}{{/if}}{{/each}}", "1234", "1234"),
        ("{{lookup list 1}}{{lookup row key}}{{#with row}}{{x}}{{../one}}{{/with}}", "byy1", "byy1"),
        ("{{list.[0]}}{{list.1}}", "ab", "ab"),
        ("{{url \"https://x/ü\"}}", "https://x/%C3%BC", "https://x/%C3%BC"),
        ("{{#if n}}a{{else if one}}b{{/if}}{{#if none}}a{{else if one}}b{{/if}}", "ab", "ab"),
    ] {
        assert_eq!(sms_in("de", source, &context).as_deref(), Ok(german), "{source}");
        assert_eq!(sms_in("en", source, &context).as_deref(), Ok(english), "{source}");
    }
}

#[test]
fn a_missing_value_stops_the_message_and_is_named() {
    let context =
        json!({ "contact": { "first_name": null }, "list": [{ "a": 1 }, {}], "word": "x", "row": {} });
    for (source, variable) in [
        ("{{contact.first_name}}", "contact.first_name"),
        ("{{nobody}}", "nobody"),
        ("{{contact.first_name.x}}", "contact.first_name.x"),
        ("{{#each list}}{{a}}{{/each}}", "a"),
        ("{{lookup list 7}}", "lookup list 7"),
        ("{{date contact.first_name}}", "contact.first_name"),
        ("{{money nobody \"EUR\"}}", "nobody"),
        (
            "{{default contact.first_name contact.first_name}}",
            "default contact.first_name contact.first_name",
        ),
        ("{{links.browser}}", "links.browser"),
        ("{{#if nobody}}x{{/if}}", "nobody"),
        ("{{#each contact.nothing}}x{{/each}}", "contact.nothing"),
        ("{{default nobody \"x\"}}", "nobody"),
    ] {
        let error = sms_in("de", source, &context).unwrap_err();
        let RenderError::Missing { path, variable: named } = &error else { panic!("{source}: {error:?}") };
        assert_eq!((path.as_str(), named.as_str()), ("t/sms.de", variable), "{source}");
    }
    for (source, why) in [
        ("{{number word}}", "is no number"),
        ("{{date word}}", "is no date"),
        ("{{money list \"EUR\"}}", "is no number"),
        ("{{money 1 word}}", "needs a currency such as \"EUR\""),
        ("{{list}}", "is a list; write its elements with `{{#each}}`"),
        ("{{row}}", "has fields; write one of them"),
        ("{{url word}}", "is no whole link; it must begin with `https://`"),
    ] {
        let error = sms_in("de", source, &context).unwrap_err();
        let RenderError::Unfit { why: told, .. } = &error else { panic!("{source}: {error:?}") };
        assert_eq!(told, why, "{source}");
    }
}

#[test]
fn what_a_template_says_wrongly_by_itself_is_refused_before_any_message() {
    for (source, said) in [
        ("{{money 1 \"euro\"}}", "`euro` is no currency of ISO 4217, such as `EUR`"),
        ("{{date (default day \"soon\")}}", "a date is wanted here, but `soon` is none"),
        ("{{number (percent share)}}", "a number is wanted here, but `percent` makes a text"),
        ("{{this}}", "`this` exists only inside `{{#each}}` and `{{#with}}`"),
    ] {
        let (_, errors) = compile(&[("t/sms.de.txt.hbs", source)]);
        let told: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(told, [said], "{source}");
    }
}

#[test]
fn values_are_escaped_for_the_place_where_they_stand() {
    let evil = "\"><script>'`=</a>";
    for (source, value, expected) in [
        ("<p>{{v}}</p>", evil, "<p>&quot;&gt;&lt;script&gt;&#x27;&#x60;&#x3D;&lt;/a&gt;</p>"),
        ("<b title='{{v}}'>", evil, "<b title='&quot;&gt;&lt;script&gt;&#x27;&#x60;&#x3D;&lt;/a&gt;'>"),
        ("<a href=\"https://x/{{v}}\">", "ü \"?a=b", "<a href=\"https://x/%C3%BC%20%22?a&#x3D;b\">"),
        ("<a href=\"https://x/?q={{v}}\">", "a&b=c #d", "<a href=\"https://x/?q=a%26b%3Dc%20%23d\">"),
        ("<a href=\"{{v}}\">", "https://x/?a=b&c", "<a href=\"https://x/?a&#x3D;b&amp;c\">"),
        ("<a href=\"{{url v}}\">", "mailto:a@b.c", "<a href=\"mailto:a@b.c\">"),
    ] {
        assert_eq!(html(source, &json!({ "v": value })).as_deref(), Ok(expected), "{source}");
    }
    for value in ["javascript:alert(1)", " JavaScript:x", "data:text/html,x", "//evil.example", "x"] {
        let error = html("<a href=\"{{v}}\">x</a>", &json!({ "v": value })).unwrap_err();
        assert!(matches!(error, RenderError::Unfit { .. }), "{value}: {error:?}");
    }
}

#[test]
fn values_cannot_forge_the_marks_of_generated_text() {
    let forged = format!("{}https://evil.example{}", text::LINK_START, text::LINK_END);
    let templates = compiled(&[("t/email.de.subject.hbs", "S"), ("t/email.de.html.hbs", "<p>{{v}}</p>")]);
    let counted = |_: &str| "COUNTED".to_owned();
    let context = json!({ "v": forged });
    let rendered =
        templates.render(&Request { counted: Some(&counted), ..request("email", "de", &context) }).unwrap();
    assert_eq!(rendered.text, "\u{fffd}https://evil.example\u{fffd}\n");
}

#[test]
fn mistakes_are_told_with_their_file_and_place() {
    let mail = |html: &'static str| vec![("t/email.de.subject.hbs", "S"), ("t/email.de.html.hbs", html)];
    let html_file = "t/email.de.html.hbs";
    for (files, path, offset, message) in [
        (mail("ab{{{x}}}"), html_file, 2, "values are never written unescaped"),
        (mail("ab{{log x}}"), html_file, 4, "there is no helper `log`"),
        (mail("{{> nope}}"), html_file, 4, "there is no part `_parts/nope.hbs`"),
        (
            [mail("{{> a}}"), vec![("_parts/a.hbs", "{{> b}}"), ("_parts/b.hbs", "x{{> a}}")]].concat(),
            "_parts/b.hbs",
            5,
            "the part `a` would contain itself",
        ),
        (
            [mail("{{> a}}"), vec![("_parts/a.hbs", "x {{& y}}")]].concat(),
            "_parts/a.hbs",
            2,
            "values are never written unescaped",
        ),
        (mail("<p style=\"{{x}}\">"), html_file, 12, "only `brand` values may stand in a style"),
        (mail("{{#if x}}<p hidden>{{/if}}y</p>{{#if x}}</p>"), html_file, 31, "`{{#if}}` is never closed"),
        (vec![("t/email.de.html.hbs", "x")], html_file, 0, "this mail has no subject in this language"),
        (
            vec![("t/email.de.subject.hbs", "x")],
            "t/email.de.subject.hbs",
            0,
            "this template has neither HTML nor text in this language",
        ),
        (
            vec![("t/email.de.htm.hbs", "x")],
            "t/email.de.htm.hbs",
            0,
            "this is no template; it must be `name/channel.locale.part.hbs` or `_parts/name.hbs`",
        ),
        (
            vec![("readme.md", "x")],
            "readme.md",
            0,
            "this is no template; it must be `name/channel.locale.part.hbs` or `_parts/name.hbs`",
        ),
        (
            mail("<p hidden>{{#if x}}</p>{{/if}}y"),
            html_file,
            0,
            "no text can be made from this HTML, since a block begins or ends in what is hidden; write a text part",
        ),
    ] {
        let (templates, errors) = compile(&files);
        let expected = TemplateError { path: path.to_owned(), offset, message: message.to_owned() };
        assert_eq!(errors, [expected], "{files:?}");
        assert!(!templates.has("t", "email", None));
    }
}

#[test]
fn a_part_of_the_own_language_is_taken_first() {
    let templates = compiled(&[
        ("t/sms.de.txt.hbs", "{{> greeting}}"),
        ("t/sms.en.txt.hbs", "{{> greeting}}"),
        ("_parts/greeting.hbs", "Hello"),
        ("_parts/greeting.de.hbs", "Hallo"),
    ]);
    let context = json!({});
    assert_eq!(templates.render(&request("sms", "de", &context)).unwrap().text, "Hallo");
    assert_eq!(templates.render(&request("sms", "en", &context)).unwrap().text, "Hello");
}

#[test]
fn the_hash_changes_with_every_source_and_with_nothing_else() {
    let files = [("t/sms.de.txt.hbs", "{{> a}}"), ("_parts/a.hbs", "x"), ("u/sms.de.txt.hbs", "other")];
    let hash = |files: &[(&str, &str)]| {
        compiled(files).render(&request("sms", "de", &json!({}))).unwrap().template_hash
    };
    assert_eq!(hash(&files), hash(&files));
    assert_eq!(hash(&files), hash(&files[..2]));
    assert_ne!(hash(&files), hash(&[files[0], ("_parts/a.hbs", "y")]));
}

#[test]
fn parts_that_double_and_double_and_outputs_without_end_are_stopped() {
    let names: Vec<String> = (0..16).map(|n| format!("_parts/p{n}.hbs")).collect();
    let sources: Vec<String> = (0..16).map(|n| format!("{{{{> p{}}}}}", n + 1).repeat(8)).collect();
    let mut files = vec![("t/sms.de.txt.hbs", "{{> p0}}"), ("_parts/p16.hbs", "0123456789")];
    files.extend(names.iter().map(String::as_str).zip(sources.iter().map(String::as_str)).take(6));
    files.push(("_parts/p6.hbs", "0123456789"));
    let (_, errors) = compile(&files);
    assert_eq!(errors[0].message, "with its parts, this template grows too large");
    let long = json!({ "list": vec!["x".repeat(1000); 1100] });
    let error = sms_in("de", "{{#each list}}{{this}}{{/each}}", &long).unwrap_err();
    assert_eq!(error, RenderError::TooLarge { path: "t/sms.de".to_owned() });
}
