//! Who has logged in to the pages: somebody with a key, who showed it once.
//!
//! A session is a signed cookie and nothing else: the prefix of the key, when it began, and random bits. It ends after twelve hours by
//! the machine's clock, or with its key, which is looked up each time. Forms carry a token that only this session's pages know, and
//! come from our own address.

use axum::Router;
use axum::extract::{Form, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;

use super::Doors;
use super::frame::Frame;
use super::pages::Language;
use super::problem::Problem;
use crate::clock::machine_now;
use crate::store::keys::{self, Key, Scope};
use crate::time::{HOUR, Timestamp};

/// How long a session lasts.
const LASTS: i64 = 12 * HOUR;
/// What seals are made for.
const SESSION: &str = "session";
const FORM: &str = "form";

/// The table of routes.
pub fn routes() -> Router<Doors> {
    Router::new().route("/login", get(show).post(log_in)).route("/logout", post(log_out))
}

/// Somebody who has logged in, with whatever scopes the key has.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub key: Key,
    pub language: Language,
    /// What forms of this session carry.
    token: String,
}

/// Somebody who has logged in and may take and answer tasks.
#[derive(Clone, Debug)]
pub struct Agent(pub SignedIn);

/// Somebody who has logged in and may look at people and journeys.
#[derive(Clone, Debug)]
pub struct Reader(pub SignedIn);

impl SignedIn {
    /// The field that every form must have.
    pub fn token(&self) -> Markup {
        html! { input type="hidden" name="token" value=(self.token); }
    }

    /// Refuses a form that none of our pages has sent in this session.
    pub fn must_be_ours(
        &self,
        doors: &Doors,
        headers: &HeaderMap,
        token: Option<&str>,
    ) -> Result<(), Problem> {
        if token.is_some_and(|token| same(token, &self.token)) && is_own_origin(doors, headers) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "foreign-form",
            "this did not come from one of our pages; open the page again",
        ))
    }
}

fn same(one: &str, other: &str) -> bool {
    subtle::ConstantTimeEq::ct_eq(one.as_bytes(), other.as_bytes()).into()
}

/// Whether a form was sent by a page of ours, as far as the browser says. All that matter say it with each POST.
fn is_own_origin(doors: &Doors, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else {
        return text(header::HeaderName::from_static("sec-fetch-site"))
            .is_none_or(|site| site == "same-origin");
    };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && (origin == origin_of(&doors.public_url) || host == text(header::HOST))
}

/// Scheme, host and port of an address.
fn origin_of(url: &str) -> &str {
    let after = url.find("://").map_or(0, |at| at + 3);
    url[after..].find('/').map_or(url, |end| &url[..after + end])
}

fn is_safe(doors: &Doors) -> bool {
    doors.public_url.starts_with("https://")
}

/// The name of the cookie. With `__Host-` a browser takes it over encryption and from this host alone.
fn cookie_name(doors: &Doors) -> &'static str {
    if is_safe(doors) { "__Host-fahrplan" } else { "fahrplan" }
}

fn cookie(doors: &Doors, value: &str, seconds: i64) -> HeaderValue {
    let secure = if is_safe(doors) { "; Secure" } else { "" };
    let name = cookie_name(doors);
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).expect("our own words are fit for a header")
}

/// The session that the request shows, if it is good.
async fn session(doors: &Doors, headers: &HeaderMap) -> Result<Option<SignedIn>, Problem> {
    let now = machine_now();
    let name = cookie_name(doors);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let Some((_, value)) = values.find(|(found, _)| *found == name) else { return Ok(None) };
    let Some((text, seal)) = value.rsplit_once('.') else { return Ok(None) };
    if !doors.link_key.is_sealed(SESSION, text, seal) {
        return Ok(None);
    }
    let mut parts = text.split('.');
    let (prefix, began) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(began) = began.parse::<i64>() else { return Ok(None) };
    if !(0..LASTS).contains(&(now.0 - began)) {
        return Ok(None);
    }
    let key = keys::by_prefix(&mut doors.store.read().await?, prefix, now).await?;
    let token = doors.link_key.seal(FORM, text);
    Ok(key.map(|key| SignedIn { key, token, language: language(headers) }))
}

pub(super) fn language(headers: &HeaderMap) -> Language {
    let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::of(wanted.unwrap_or_default())
}

impl FromRequestParts<Doors> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, doors: &Doors) -> Result<SignedIn, Response> {
        match session(doors, &parts.headers).await {
            Ok(Some(signed_in)) => Ok(signed_in),
            Ok(None) => {
                // What a path may hold, and a query may not or means otherwise.
                let path = parts.uri.path();
                let next = path.replace('%', "%25").replace('+', "%2B");
                let to = if is_path(path) { format!("/login?next={next}") } else { "/login".to_owned() };
                Err(Redirect::to(&to).into_response())
            }
            Err(problem) => Err(problem.into_response()),
        }
    }
}

impl FromRequestParts<Doors> for Agent {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, doors: &Doors) -> Result<Agent, Response> {
        with_scope(parts, doors, Scope::Tasks).await.map(Agent)
    }
}

impl FromRequestParts<Doors> for Reader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, doors: &Doors) -> Result<Reader, Response> {
        with_scope(parts, doors, Scope::Read).await.map(Reader)
    }
}

/// Who has logged in with a key of that scope; whoever has another one is told so.
async fn with_scope(parts: &mut Parts, doors: &Doors, scope: Scope) -> Result<SignedIn, Response> {
    let signed_in = SignedIn::from_request_parts(parts, doors).await?;
    if signed_in.key.scopes.contains(&scope) {
        return Ok(signed_in);
    }
    let language = signed_in.language;
    let title = language.pick("Das darf dieser Schlüssel nicht", "This key does not open that");
    let text = language.pick(
        "Der Schlüssel, mit dem du angemeldet bist, öffnet diese Seite nicht. Nötig ist der Scope",
        "The key that you logged in with does not open this page. It needs the scope",
    );
    let text = format!("{text} {}.", scope.as_str());
    Err(Frame::notice(&signed_in, title, &text, home(&signed_in.key)).answer(StatusCode::FORBIDDEN))
}

/// Where somebody begins.
fn home(key: &Key) -> &'static str {
    if key.scopes.contains(&Scope::Tasks) { "/agent" } else { "/people" }
}

// ---------------------------------------------------------------- the log-in

#[derive(Deserialize)]
struct Next {
    next: Option<String>,
}

/// Whether it is the path of a page of ours, and nothing that a browser would take for another host.
fn is_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.@%+".contains(&byte);
    path.len() < 200 && path.starts_with('/') && !path.starts_with("//") && path.bytes().all(is_plain)
}

async fn show(headers: HeaderMap, Query(asked): Query<Next>) -> Response {
    form(language(&headers), asked.next.as_deref(), None).answer(StatusCode::OK)
}

fn form(language: Language, next: Option<&str>, wrong: Option<&str>) -> Frame<'static> {
    let title = language.pick("Anmelden", "Log in");
    let body = html! {
        h1 { (title) }
        @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
        form method="post" action="/login" {
            @if let Some(next) = next.filter(|next| is_path(next)) {
                input type="hidden" name="next" value=(next);
            }
            // Password managers ask for a name beside a secret.
            input type="text" name="username" autocomplete="username" value="fahrplan" hidden;
            div.part {
                label.field for="key" { (language.pick("Dein Schlüssel", "Your key")) }
                input id="key" name="key" type="password" autocomplete="current-password" required autofocus;
            }
            button type="submit" { (title) }
        }
    };
    Frame { language, title, signed_in: None, body }
}

#[derive(Deserialize)]
struct LogIn {
    key: String,
    next: Option<String>,
}

async fn log_in(
    State(doors): State<Doors>,
    headers: HeaderMap,
    Form(given): Form<LogIn>,
) -> Result<Response, Problem> {
    let language = language(&headers);
    if !is_own_origin(&doors, &headers) {
        let wrong = language.pick("Bitte melde dich auf dieser Seite an.", "Please log in on this page.");
        return Ok(form(language, None, Some(wrong)).answer(StatusCode::FORBIDDEN));
    }
    let now = machine_now();
    let key = keys::find(&mut doors.store.read().await?, given.key.trim(), now).await?;
    let opens = |key: &Key| key.scopes.contains(&Scope::Tasks) || key.scopes.contains(&Scope::Read);
    let Some(key) = key.filter(opens) else {
        let wrong = language.pick(
            "Diesen Schlüssel gibt es nicht, oder er öffnet keine Seiten.",
            "There is no such key, or it opens no pages.",
        );
        return Ok(form(language, given.next.as_deref(), Some(wrong)).answer(StatusCode::FORBIDDEN));
    };
    keys::touch(&doors.store, &key, now).await?;
    let next = given.next.filter(|next| is_path(next)).unwrap_or_else(|| home(&key).to_owned());
    let value = begin(&doors, &key, now)?;
    Ok(([(header::SET_COOKIE, cookie(&doors, &value, LASTS / 1_000))], Redirect::to(&next)).into_response())
}

/// The cookie of a new session: each has random bits of its own, so none can be fixed beforehand.
fn begin(doors: &Doors, key: &Key, now: Timestamp) -> Result<String, Problem> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", "the machine gives no random numbers")
    })?;
    let text = format!("{}.{}.{:016x}", key.prefix, now.0, u64::from_le_bytes(random));
    let seal = doors.link_key.seal(SESSION, &text);
    Ok(format!("{text}.{seal}"))
}

#[derive(Deserialize)]
struct LogOut {
    token: Option<String>,
}

async fn log_out(
    signed_in: SignedIn,
    State(doors): State<Doors>,
    headers: HeaderMap,
    Form(given): Form<LogOut>,
) -> Result<Response, Problem> {
    signed_in.must_be_ours(&doors, &headers, given.token.as_deref())?;
    Ok(([(header::SET_COOKIE, cookie(&doors, "", 0))], Redirect::to("/login")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_ours_come_next() {
        for path in ["/agent", "/agent/tk_01", "/people/ada@example.org", "/people/+49301", "/people/a%20b"] {
            assert!(is_path(path), "{path}");
        }
        for path in
            ["", "agent", "//evil.example", "/\\evil.example", "/a?b", "https://evil.example", "/a\r\nb"]
        {
            assert!(!is_path(path), "{path}");
        }
        assert_eq!(origin_of("https://shop.example:8443/a/b"), "https://shop.example:8443");
        assert_eq!(origin_of("http://localhost"), "http://localhost");
    }
}
