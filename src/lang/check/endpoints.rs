//! The properties of endpoints: where a request goes, with which headers, how long it may take, how often it is tried.

use std::sync::Arc;

use super::findings::finding;
use super::properties::Props;
use crate::diagnostic::{Code, Span};
use crate::engine::program::{Endpoint, Header};
use crate::lang::ast::{ExprKind, Name};
use crate::time::{Calendar, MINUTE, SECOND};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Whoever has not answered in that time will not; until then the request holds one of the few places for requests.
const LONGEST: i64 = MINUTE;

/// How the part of an address is called that lets somebody in.
const KEYS: [&str; 12] = [
    "token",
    "key",
    "apikey",
    "api_key",
    "api-key",
    "secret",
    "password",
    "pass",
    "pwd",
    "auth",
    "access_token",
    "signature",
];

/// Whether an address says a password, or names a key and its value.
fn holds_secret(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let password = host.rsplit_once('@').and_then(|(who, _)| who.split_once(':'));
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let named = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        KEYS.contains(&name.to_ascii_lowercase().as_str()) && !value.is_empty()
    };
    password.is_some_and(|(_, password)| !password.is_empty()) || query.split('&').any(named)
}

impl Props<'_, '_, '_, '_> {
    pub(super) fn endpoint(mut self, name: &Name) -> Endpoint {
        self.known(&["method", "url", "headers", "timeout", "retries", "returns"]);
        let url = self.text("url");
        if let Some(text) = &url
            && holds_secret(text)
            && let Some(expr) = self.expr("url")
        {
            self.tell_secret(expr.span, "this address holds a key or a password", "url \"secret:NAME\"");
        }
        if url.is_none() && self.find("url").is_none() {
            self.all.out.push(
                finding(Code::E0103, name.span, format!("the endpoint `{}` has no `url`", name.text))
                    .label("nowhere to ask")
                    .help("add `url \"secret:NAME\"`, or an address that is no secret: `url \"https://…\"`"),
            );
        }
        let method = self.method();
        Endpoint {
            method,
            url: url.unwrap_or_else(|| "".into()),
            timeout: self.timeout(),
            retries: self.retries(name),
            returns: self.fields("returns"),
        }
    }

    /// `headers ["Authorization: Bearer secret:crm", "X-Shop: seven"]`
    pub(super) fn headers(&mut self) -> Vec<Header> {
        let Some(expr) = self.expr("headers") else { return Vec::new() };
        let ExprKind::List(items) = &expr.kind else {
            if !matches!(expr.kind, ExprKind::Error) {
                self.wrong::<()>(expr.span, "headers", "texts in brackets, such as `[\"X-Shop: seven\"]`");
            }
            return Vec::new();
        };
        let mut headers: Vec<Header> = Vec::new();
        for item in items {
            let text = match &item.kind {
                ExprKind::Text(text) => text.as_str(),
                ExprKind::Error => continue,
                _ => {
                    self.wrong::<()>(item.span, "headers", "texts, such as `\"X-Shop: seven\"`");
                    continue;
                }
            };
            match header(text) {
                Ok(header) if headers.iter().any(|other| other.name.eq_ignore_ascii_case(&header.name)) => {
                    let message = format!("the header `{}` stands twice", header.name);
                    self.all.out.push(finding(Code::E0102, item.span, message).label("again"));
                }
                Ok(header) => headers.push(header),
                Err((message, help)) => {
                    self.all
                        .out
                        .push(finding(Code::E0103, item.span, message).label("cannot be sent").help(help));
                }
            }
        }
        headers
    }

    /// W1103: whoever reads the files reads it.
    fn tell_secret(&mut self, span: Span, message: &str, written: &str) {
        self.all.out.push(
            finding(Code::W1103, span, message)
                .label("written where everybody can read it")
                .help(format!("give it a name, `{written}`, and its value where the service runs")),
        );
    }

    /// W1102: a time in which nobody can answer, or in which one slow answer holds up the others.
    fn timeout(&mut self) -> Calendar {
        let Some(timeout) = self.length("timeout") else { return Calendar::elapsed(10 * SECOND) };
        let told = match timeout.about_ms() {
            ms if ms <= 0 => Some(("in no time nobody can answer", "no time at all")),
            ms if ms > LONGEST => Some(("one slow answer holds up other requests for so long", "very long")),
            _ => None,
        };
        if let (Some((message, label)), Some(expr)) = (told, self.expr("timeout")) {
            let made = finding(Code::W1102, expr.span, message).label(label);
            self.all.out.push(
                made.help("write `timeout 10 seconds`, say: a request that failed is tried again by itself"),
            );
        }
        timeout
    }

    /// W1102: without a second try the shortest failure of the other side is final.
    fn retries(&mut self, name: &Name) -> i64 {
        let retries = self.count("retries").unwrap_or(3);
        if let (0, Some(expr)) = (retries, self.expr("retries")) {
            let message = format!("`{}` is asked once: its shortest failure is final", name.text);
            self.all.out.push(finding(Code::W1102, expr.span, message).label("no second try").help(
                "write `retries 3`, say: each try has the same `Idempotency-Key`, so that nothing is done twice",
            ));
        }
        retries
    }

    fn method(&mut self) -> Arc<str> {
        let Some(method) = self.text("method") else { return "POST".into() };
        if !METHODS.contains(&&*method)
            && let Some(expr) = self.expr("method")
        {
            let message = format!("there is no method `{method}`");
            self.all.out.push(
                finding(Code::E0104, expr.span, message).help(format!("possible are {}", METHODS.join(", "))),
            );
        }
        method
    }
}

/// Headers that belong to a connection, and that a program on the way would act upon (RFC 9110, 7.6.1).
const OF_CONNECTION: [&str; 9] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Headers that every request has.
const OWN: [&str; 4] = ["content-length", "content-type", "host", "idempotency-key"];
/// Headers whose values are secrets.
const SECRET: [&str; 4] = ["authorization", "cookie", "x-api-key", "x-auth-token"];

/// Reads `Name: value`; what is wrong with it, and the way out.
fn header(text: &str) -> Result<Header, (String, String)> {
    let form = || "write `\"Name: value\"`, such as `\"X-Shop: seven\"`".to_owned();
    let Some((name, value)) = text.split_once(':') else {
        return Err(("a header has a name, a colon and a value".to_owned(), form()));
    };
    let (name, value) = (name.trim_end(), value.trim());
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err((format!("`{name}` is no name of a header"), form()));
    }
    let lower = name.to_ascii_lowercase();
    if OF_CONNECTION.contains(&&*lower) {
        return Err((
            format!("`{name}` belongs to the connection, not to the request"),
            "leave it out".to_owned(),
        ));
    }
    if OWN.contains(&&*lower) {
        return Err((format!("`{name}` is set for every request"), "leave it out".to_owned()));
    }
    if value.is_empty() || value.len() > 4_096 || !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        let message = format!("the value of `{name}` is none: ASCII signs on one line, at most 4,096");
        return Err((message, form()));
    }
    let header = Header { name: name.into(), value: value.into() };
    let secret = header.secret().map(|(_, secret)| secret.trim_start_matches("secret:"));
    if secret
        .is_some_and(|name| name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
    {
        let message =
            "nothing stands behind the name of a secret, which has letters, digits and `_`".to_owned();
        return Err((message, format!("write `\"{name}: Bearer secret:crm\"`, say")));
    }
    if secret.is_none() && SECRET.contains(&&*lower) {
        // The text is not repeated: it may be the secret.
        let message =
            format!("the value of `{name}` is a secret, and secrets stand in no file of the project");
        return Err((message, format!("write `\"{name}: secret:NAME\"`, and set FAHRPLAN_SECRET_NAME")));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn headers_are_read_and_what_must_not_be_sent_is_refused() {
        let read = |text| header(text).map(|header| (header.name.to_string(), header.value.to_string()));
        let same = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(read("X-Shop: seven"), same("X-Shop", "seven"));
        assert_eq!(read("Authorization:secret:crm"), same("Authorization", "secret:crm"));
        assert_eq!(read("Accept: text/plain"), same("Accept", "text/plain"));
        let bearer = header("Authorization: Bearer secret:crm").expect("a header");
        assert_eq!(bearer.secret(), Some(("Bearer ", "secret:crm")));
        assert_eq!(header("X-Shop: nosecret:x").expect("a header").secret(), None);
        for wrong in [
            "",
            "X-Shop",
            ": x",
            "X Shop: x",
            "X-Shop:",
            "X-Shop: a\r\nHost: b",
            "X-Shop: gr\u{fc}n",
            "Connection: close",
            "transfer-encoding: chunked",
            "Proxy-Authorization: secret:x",
            "Host: other",
            "idempotency-key: 1",
            "Authorization: Bearer geheim",
            "Cookie: a=b",
            "X-Shop: secret:",
            "X-Shop: secret:a b",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let (message, help) = read("Authorization: Bearer geheim").expect_err("refused");
        assert!(!message.contains("geheim") && !help.contains("geheim"));
    }
}
