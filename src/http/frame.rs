//! The frame of the pages behind the log-in: made for phones first, without scripts.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::Digest as _;

use super::pages::Language;
use super::session::SignedIn;
use crate::store::keys::Scope;

/// The pages that somebody's key opens; nothing where it is one alone.
fn ways(signed_in: &SignedIn, language: Language) -> Markup {
    let scopes = &signed_in.key.scopes;
    let mut ways = Vec::new();
    if scopes.contains(&Scope::Tasks) {
        ways.push(("/agent", language.pick("Aufgaben", "Tasks")));
    }
    if scopes.contains(&Scope::Read) {
        ways.extend([("/people", language.pick("Personen", "People")), ("/journeys", "Journeys")]);
    }
    html! { @if ways.len() > 1 {
        nav.ways aria-label=(language.pick("Bereiche", "Areas")) {
            @for (to, name) in ways { a href=(to) { (name) } }
        }
    } }
}

/// A page.
pub struct Frame<'a> {
    pub language: Language,
    pub title: &'a str,
    /// Who looks at it; nobody on the log-in itself.
    pub signed_in: Option<&'a SignedIn>,
    pub body: Markup,
}

impl<'a> Frame<'a> {
    /// A page that says one thing, and where to go on.
    pub fn notice(signed_in: &'a SignedIn, title: &'a str, text: &str, back: &str) -> Frame<'a> {
        let language = signed_in.language;
        let body = html! {
            h1 { (title) }
            p { (text) }
            p { a href=(back) { "← " (language.pick("Zurück", "Back")) } }
        };
        Frame { language, title, signed_in: Some(signed_in), body }
    }

    /// The page as an answer. No script, no foreign source, no frame, no referrer, and no copy is kept: it is about somebody.
    pub fn answer(self, status: StatusCode) -> Response {
        let mut response = (status, Html(self.markup().into_string())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("x-robots-tag", "noindex"),
            ("cache-control", "no-store"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        response
    }

    fn markup(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang=(self.language.pick("de", "en")) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    @if let Some(signed_in) = self.signed_in {
                        header {
                            (ways(signed_in, self.language))
                            span.who { (signed_in.key.holder()) }
                            form method="post" action="/logout" {
                                (signed_in.token())
                                button.quiet type="submit" { (self.language.pick("Abmelden", "Log out")) }
                            }
                        }
                    }
                    main { (self.body) }
                }
            }
        }
    }
}

/// Allows the one style sheet, by its hash, and forms to ourselves.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(sha2::Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("base64 is fit for a header")
});

const STYLE: &str = "\
:root{color-scheme:light dark}\
*{box-sizing:border-box}\
body{margin:0;font:17px/1.45 system-ui,sans-serif;background:Canvas;color:CanvasText;overflow-wrap:anywhere}\
header{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:center;gap:0 1rem;padding:.5rem 1rem;border-bottom:1px solid #8884}\
header form{margin:0}.who{color:GrayText;margin-left:auto}\
.ways{display:flex;flex-wrap:wrap;gap:.25rem 1rem}.ways a{padding:.6rem 0;font-weight:600;text-decoration:none}\
main{max-width:46rem;margin:0 auto;padding:1rem 1rem 3rem}\
h1{font-size:1.4rem;line-height:1.25;margin:.25rem 0 .75rem}\
h2{font-size:1.05rem;margin:1.75rem 0 .5rem}\
p{margin:.5rem 0}a{color:#1f5fbf}.dim{color:GrayText}\
ul.queue{list-style:none;margin:0;padding:0}\
ul.queue a{display:block;padding:.75rem 1rem;margin:0 0 .5rem;border:1px solid #8886;border-radius:.6rem;color:CanvasText;text-decoration:none}\
ul.queue strong{display:block}\
.late{color:#b3261e;font-weight:600}\
.said{padding:.6rem 1rem;border-radius:.6rem;background:#1f5fbf22}\
.wrong{padding:.6rem 1rem;border-radius:.6rem;background:#b3261e22}\
a.phone{display:block;text-align:center;font-size:1.25rem;font-weight:600;padding:.8rem;border-radius:.6rem;background:#1a7f37;color:#fff;text-decoration:none}\
dl{display:grid;grid-template-columns:auto minmax(0,1fr);gap:.25rem 1rem;margin:.5rem 0}\
dt{color:GrayText}dd{margin:0}\
fieldset{border:0;margin:0 0 1rem;padding:0}legend,label.field{display:block;font-weight:600;margin:0 0 .35rem}\
label.choice{display:flex;align-items:center;gap:.75rem;min-height:2.75rem;padding:.25rem .75rem;margin:0 0 .4rem;border:1px solid #8886;border-radius:.6rem}\
input,select,textarea{font:inherit;width:100%;max-width:100%;min-width:0;padding:.6rem;border:1px solid #888;border-radius:.5rem;background:Field;color:FieldText}\
input[type=radio]{width:1.25rem;height:1.25rem;flex:none}\
.scale{display:grid;grid-template-columns:repeat(auto-fit,minmax(2.75rem,1fr));gap:.4rem}\
label.step{position:relative;display:flex;align-items:center;justify-content:center;min-height:2.75rem;border:1px solid #888;border-radius:.5rem}\
label.step input{position:absolute;inset:0;width:100%;height:100%;margin:0;padding:0;opacity:0;cursor:pointer}\
label.choice{cursor:pointer}\
label.step:has(:checked),label.choice:has(:checked){border-color:#1f5fbf;box-shadow:inset 0 0 0 1px #1f5fbf;background:#1f5fbf22;font-weight:600}\
label.step:has(:focus-visible){outline:3px solid #9ec5ff;outline-offset:2px}\
.heard{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}\
legend.title{font-size:1.05rem;margin:0 0 .5rem}form.outcome{margin-top:1.75rem}\
.badge{display:inline-block;font-size:.8rem;font-weight:600;padding:.1rem .55rem;margin:0 .5rem .25rem 0;border:1px solid #8886;border-radius:1rem}\
.badge.open{background:#1a7f3722}.badge.paused,.badge.held{background:#b3261e22}\
ul.cards .badge{float:right;margin:0 0 0 .5rem}\
ol.lines,ol.steps,ul.bars{list-style:none;margin:0;padding:0}\
ol.lines li{padding:.4rem 0;border-top:1px solid #8884}ol.lines time{display:block;font-size:.85rem;color:GrayText}\
details{padding:.4rem 0;border-top:1px solid #8884}summary{cursor:pointer;padding:.25rem 0}\
.turn{display:flex;justify-content:space-between;gap:1rem;padding:1rem 0}\
ul.bars li{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:0 1rem;padding:.25rem 0}\
ul.bars meter{grid-column:1/-1;width:100%;height:.5rem}\
ol.steps li{display:grid;grid-template-columns:3.5rem minmax(0,1fr);gap:.75rem;padding:.4rem 0;border-top:1px solid #8884}\
ol.steps .count{text-align:right}ol.steps li.busy{background:#1f5fbf18}ol.steps li:target{outline:2px solid #1f5fbf}\
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-top:1px solid #8884}\
.number{text-align:right}td.number{font-variant-numeric:tabular-nums}\
ol.told{margin:0;padding:0;list-style:none}ol.told li{padding:.5rem 0;border-top:1px solid #8884}\
.note{margin:.25rem 0 0;white-space:pre-line}\
.script{border-left:4px solid #1f5fbf66;padding:.1rem 0 .1rem 1rem;margin:1rem 0}\
.script pre{white-space:pre-wrap}.script th,.script td{vertical-align:top;overflow-wrap:break-word}\
@media(max-width:32rem){.script :is(table,tbody,tr,td){display:block}.script thead{display:none}\
.script tr{padding:.4rem 0;border-top:1px solid #8884}.script td{border:0;padding:0}.script td:first-child{font-weight:600}}\
.script blockquote{margin:.5rem 0 .5rem .75rem}.script ul{padding-left:1.25rem}\
.jump a{display:block;padding:.6rem 0;text-align:center}\
.part{margin:0 0 1rem}\
button{font:inherit;font-weight:600;width:100%;padding:.75rem 1rem;border:0;border-radius:.6rem;background:#1f5fbf;color:#fff;cursor:pointer}\
button.quiet{width:auto;min-height:2.75rem;white-space:nowrap;background:transparent;color:#1f5fbf;padding:.4rem .6rem}\
button.second{background:transparent;color:inherit;border:1px solid #888}\
:focus-visible{outline:3px solid #9ec5ff;outline-offset:2px}\
@media(prefers-color-scheme:dark){a,button.quiet{color:#8ab4f8}.late{color:#ffb4ab}}";
