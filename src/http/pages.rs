//! The pages that people reach from their mail: unsubscribe, confirm, the questions of a survey. Plain, without scripts, in the reader's language.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

/// The languages of the pages; others read English.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    De,
    En,
}

impl Language {
    /// The language of a locale or of an `Accept-Language` header: the first that we speak.
    pub fn of(text: &str) -> Language {
        let speaks = |part: &str| match part.trim().get(..2).map(str::to_ascii_lowercase).as_deref() {
            Some("de") => Some(Language::De),
            Some("en") => Some(Language::En),
            _ => None,
        };
        text.split(',').find_map(speaks).unwrap_or(Language::En)
    }

    fn tag(self) -> &'static str {
        match self {
            Language::De => "de",
            Language::En => "en",
        }
    }

    /// The text in this language.
    pub fn pick(self, de: &'static str, en: &'static str) -> &'static str {
        match self {
            Language::De => de,
            Language::En => en,
        }
    }
}

/// What a page says: a headline, a sentence, and a button that posts to the page's own address.
pub struct Page {
    pub language: Language,
    pub title: &'static str,
    pub text: String,
    pub button: Option<&'static str>,
    pub sender: String,
}

impl Page {
    /// The page as an answer.
    pub fn answer(self, status: StatusCode) -> Response {
        let body = html! {
            p { (self.text) }
            @if let Some(button) = self.button {
                form method="post" { button type="submit" { (button) } }
            }
        };
        answer(self.language, self.title, &self.sender, &body, status)
    }
}

/// A page of ours as an answer. No script, no foreign source, no frame, no referrer: the address is a secret of its reader.
pub fn answer(language: Language, title: &str, sender: &str, body: &Markup, status: StatusCode) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang=(language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                main {
                    p.sender { (sender) }
                    h1 { (title) }
                    (body)
                }
            }
        }
    };
    let mut response = (status, Html(page.into_string())).into_response();
    let headers = response.headers_mut();
    for (name, value) in PAGE_HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Headers of every page.
pub const PAGE_HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'sha256-d52dshb2xUVTwKquX0PHSbPwO6z2D4DVnCtzb4E3zRo='; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-robots-tag", "noindex"),
];

/// The one style sheet; its hash stands in the content security policy.
pub const STYLE: &str = "\
:root{color-scheme:light dark}\
*{box-sizing:border-box}\
body{margin:0;font:17px/1.5 system-ui,sans-serif;background:Canvas;color:CanvasText;overflow-wrap:anywhere}\
main{max-width:34rem;margin:12vh auto 0;padding:0 1.25rem}\
.sender{color:GrayText;margin:0 0 2rem}\
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .75rem}\
button{font:inherit;font-weight:600;margin-top:1rem;padding:.75rem 1.5rem;border:0;border-radius:.5rem;background:#1f5fbf;color:#fff;cursor:pointer}\
button:focus-visible{outline:3px solid #9ec5ff;outline-offset:2px}\
.survey{margin-top:1.5rem;padding-bottom:3rem}.survey button{width:100%}\
.question{border:0;margin:0 0 1.75rem;padding:0;min-width:0}\
.asked{display:block;font-weight:600;padding:0;margin:0 0 .6rem}.asked small{font-weight:400;color:GrayText}\
.scale{display:grid;grid-template-columns:repeat(auto-fit,minmax(2.75rem,1fr));gap:.4rem}\
.step{position:relative;display:flex;align-items:center;justify-content:center;min-height:2.75rem;border:1px solid #888;border-radius:.5rem}\
.step input{position:absolute;inset:0;width:100%;height:100%;margin:0;opacity:0;cursor:pointer}\
.choice{display:flex;align-items:center;gap:.75rem;min-height:2.75rem;padding:.25rem .9rem;margin:0 0 .4rem;border:1px solid #888;border-radius:.5rem;cursor:pointer}\
.choice input{width:1.2rem;height:1.2rem;margin:0;flex:none}\
.step:has(:checked),.choice:has(:checked){border-color:#1f5fbf;box-shadow:inset 0 0 0 1px #1f5fbf;background:#1f5fbf22;font-weight:600}\
.step:has(:focus-visible),.choice:has(:focus-visible),.field:focus-visible{outline:3px solid #9ec5ff;outline-offset:2px}\
.field{font:inherit;width:100%;padding:.6rem;border:1px solid #888;border-radius:.5rem;background:Field;color:FieldText}\
.wrong{color:#b3261e;margin:.5rem 0 0}.summary{padding:.6rem 1rem;border-radius:.5rem;background:#b3261e22}\
@media(min-width:36rem){.scale{grid-template-columns:repeat(auto-fit,minmax(2.2rem,1fr));gap:.3rem}}\
@media(prefers-color-scheme:dark){.wrong{color:#ffb4ab}}";

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use sha2::Digest as _;

    use super::*;

    #[test]
    fn the_policy_names_the_hash_of_the_style() {
        let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(STYLE));
        assert!(PAGE_HEADERS[0].1.contains(&format!("'sha256-{hash}'")), "{hash}");
    }

    #[test]
    fn pages_speak_the_first_language_they_can() {
        assert_eq!(Language::of("fr-FR, de-AT;q=0.8, en"), Language::De);
        assert_eq!(Language::of(""), Language::En);
    }
}
