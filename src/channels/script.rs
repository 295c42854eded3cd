//! Scripts of calls: Markdown with values, as HTML that is safe to show.
//!
//! The Markdown is read first, so that no value can become a link, a heading or a tag: whatever stands in a value is shown as text. HTML in
//! the file is shown as text too, and links lead to `http`, `mailto` and `tel` addresses alone.

use handlebars::Handlebars;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, html};
use serde_json::Value as Json;

use crate::lang::template::script_values;

/// A script, ready to be filled in.
pub struct Script {
    registry: Handlebars<'static>,
    /// The values that it writes or asks about, such as `contact.first_name`.
    pub values: Vec<String>,
}

const NAME: &str = "script";

impl Script {
    /// Reads the text of a file; or what is wrong with it.
    pub fn read(text: &str) -> Result<Script, String> {
        let mut values: Vec<String> = Vec::new();
        for value in script_values(text).map_err(|wrong| wrong.message)? {
            if !values.contains(&value.name) {
                values.push(value.name);
            }
        }
        let mut registry = Handlebars::new();
        registry.register_template_string(NAME, to_html(text)).map_err(|error| error.reason().to_string())?;
        Ok(Script { registry, values })
    }

    /// The script with these values; one that is missing is left out.
    pub fn render(&self, context: &Json) -> Result<String, String> {
        self.registry.render(NAME, context).map_err(|error| error.reason().to_string())
    }
}

/// The HTML of Markdown, with the places of values still in it.
fn to_html(text: &str) -> String {
    let safe = |event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) if !is_safe(&dest_url) => {
            Event::Start(Tag::Link { link_type, dest_url: CowStr::Borrowed("#"), title, id })
        }
        Event::Start(Tag::Image { link_type, title, id, .. }) => {
            Event::Start(Tag::Image { link_type, dest_url: CowStr::Borrowed(""), title, id })
        }
        // Outcomes and answers have the names of the schema, and stand on the page as words.
        Event::Code(name) if is_name(&name) => Event::Code(name.replace('_', " ").into()),
        event => event,
    };
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, Parser::new_ext(text, Options::ENABLE_TABLES).map(safe));
    out
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_safe(address: &str) -> bool {
    let address = address.to_ascii_lowercase();
    ["http://", "https://", "mailto:", "tel:"].iter().any(|scheme| address.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(text: &str, context: Json) -> String {
        Script::read(text).expect("it can be read").render(&context).expect("it can be filled in")
    }

    #[test]
    fn markdown_becomes_html_and_values_stay_text() {
        let text = "# Hello {{contact.first_name}}\n\n* **Do** say {{offer}}\n\n{{#if note}}\n\n> {{note}}\n\n{{/if}}\n";
        let html = filled(
            text,
            json!({ "contact": { "first_name": "<b>Ada</b>" }, "offer": "[x](javascript:alert(1)) **20 %**", "note": "# no" }),
        );
        assert!(html.contains("<h1>Hello &lt;b&gt;Ada&lt;/b&gt;</h1>"), "{html}");
        assert!(html.contains("<strong>Do</strong> say [x](javascript:alert(1)) **20 %**"), "{html}");
        assert!(html.contains("# no") && !html.contains("<h1># no"), "{html}");
        assert!(!filled(text, json!({})).contains("blockquote"), "what is missing is left out");
    }

    #[test]
    fn names_of_the_schema_are_words_on_the_page() {
        let html = filled(
            "| Outcome | when |\n|---|---|\n| `not_reached` | nobody |\n\n`Not_This` and `a-b`\n",
            json!({}),
        );
        assert!(html.contains("<code>not reached</code>") && !html.contains("not_reached"), "{html}");
        assert!(html.contains("<code>Not_This</code>") && html.contains("<code>a-b</code>"), "{html}");
    }

    #[test]
    fn no_file_smuggles_html_in() {
        let text = "<script>alert(1)</script>\n\nHi <img src=x onerror=alert(1)> [a](javascript:alert(1)) \
            [b](https://shop.example/?a=1&b=2) ![c](https://tracker.example/x.png)\n";
        let html = filled(text, json!({}));
        assert!(!html.contains("<script") && !html.contains("<img src=x"), "{html}");
        assert!(!html.contains("href=\"javascript") && !html.contains("tracker"), "{html}");
        assert!(
            html.contains(r##"<a href="#">a</a>"##) && html.contains("https://shop.example/?a=1&amp;b=2"),
            "{html}"
        );
    }

    #[test]
    fn what_is_not_for_scripts_is_refused_and_values_are_listed() {
        for wrong in [
            "{{{a}}}",
            "{{&a}}",
            "{{> a}}",
            "{{#log a}}{{/log}}",
            "{{lookup a b}}",
            "{{a",
            "{{}}",
            "{{#if a}}",
        ] {
            assert!(Script::read(wrong).is_err(), "{wrong}");
        }
        let script =
            Script::read("{{! a word }}{{a}} {{#each b}}{{c}}{{/each}} {{contact.d}} {{a}}").expect("fine");
        assert_eq!(script.values, ["a", "b", "contact.d"]);
    }
}
