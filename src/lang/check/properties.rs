//! The properties between the braces of channels, tasks, teams and endpoints.

use std::collections::HashMap;
use std::sync::Arc;

use super::declarations::Declarations;
use super::fields::fields_of;
use super::findings::{finding, twice, unknown};
use crate::diagnostic::{Code, Span};
use crate::engine::program::{Audience, Channel, Endpoint, Header, Hours, Task, Team, Word, ZoneRef};
use crate::lang::ast::{self, ExprKind, Name, Prop, PropValue};
use crate::lang::types::{self, calendar, days, zone_ref};
use crate::time::{Calendar, SECOND, TimeOfDay, Zone};
use crate::value::{Decimal, FieldType, Type};

const CLASSES: [&str; 3] = ["message", "task", "letter"];
const ABILITIES: [&str; 3] = ["opens", "clicks", "replies"];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

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

/// Reads the properties of one declaration.
pub(super) struct Props<'p, 'c, 'd, 'a> {
    all: &'p mut Declarations<'c, 'a>,
    props: &'d [Prop],
}

impl<'p, 'c, 'd, 'a> Props<'p, 'c, 'd, 'a> {
    pub(super) fn new(all: &'p mut Declarations<'c, 'a>, props: &'d [Prop]) -> Self {
        Props { all, props }
    }

    pub(super) fn channel(mut self) -> Channel {
        self.known(&["sends", "address", "class", "team", "cost", "takes", "hours", "abilities"]);
        self.money("cost");
        self.length("takes");
        let class = self.word("class", &CLASSES).unwrap_or_else(|| "message".into());
        let sends = self.text("sends").unwrap_or_else(|| "".into());
        Channel {
            address: self.address(),
            sends: self.asks_by(&class).unwrap_or(sends),
            class,
            hours: self.hours(),
            abilities: self.words("abilities", &ABILITIES),
        }
    }

    /// What a message costs; what is no number is told elsewhere.
    pub(super) fn cost(&self) -> Option<Decimal> {
        let prop = self.find("cost")?;
        Some(match &prop.value {
            PropValue::Expr(ast::Expr { kind: ExprKind::Number(number), .. }) => number.value,
            _ => Decimal(0),
        })
    }

    /// `team inside_sales`: who speaks with people on a channel of class `task`.
    fn asks_by(&mut self, class: &str) -> Option<Arc<str>> {
        let prop = self.find("team")?;
        let team = self.word("team", &[])?;
        if class != "task"
            && self.find("class").is_none_or(|class| {
                !matches!(&class.value, PropValue::Expr(ast::Expr { kind: ExprKind::Error, .. }))
            })
        {
            self.all.out.push(
                finding(Code::E0103, prop.span, format!("a channel of class `{class}` has no team"))
                    .label("only with `class task`")
                    .help("leave it out, or write `class task` where people speak with each other"),
            );
            return None;
        }
        if let Some(sends) = self.find("sends") {
            self.all.out.push(
                finding(Code::E0103, sends.span, "what a team does is not sent anywhere")
                    .label("left over")
                    .related(prop.span, "the team does it")
                    .help("leave `sends` out"),
            );
        }
        Some(Channel::by_team(&team))
    }

    pub(super) fn task(mut self, name: &Name) -> Task {
        self.known(&["script", "outcomes", "answers", "cost", "takes"]);
        self.money("cost");
        self.length("takes");
        let outcomes = self.words("outcomes", &[]);
        if outcomes.is_empty() && self.find("outcomes").is_none() {
            self.all.out.push(
                finding(Code::E0103, name.span, format!("the task `{}` has no outcomes", name.text))
                    .label("nothing can come of it")
                    .help("add `outcomes [done]`, say"),
            );
        }
        Task { script: self.text("script"), outcomes, answers: self.fields("answers") }
    }

    pub(super) fn team(mut self) -> Team {
        self.known(&["hours"]);
        Team { hours: self.hours() }
    }

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
            timeout: self.length("timeout").unwrap_or(Calendar::elapsed(10 * SECOND)),
            retries: self.count("retries").unwrap_or(3),
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

    /// Reports properties that are unknown or stand twice.
    fn known(&mut self, names: &[&str]) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for prop in self.props {
            if !names.contains(&prop.name.text.as_str()) {
                self.all.out.push(unknown(Code::E0101, "property", &prop.name, names.iter().copied()));
            } else if let Some(first) = seen.insert(&prop.name.text, prop.name.span) {
                self.all.out.push(twice("the property", &prop.name, first));
            }
        }
    }

    fn find(&self, name: &str) -> Option<&'d Prop> {
        self.props.iter().find(|prop| prop.name.text == name)
    }

    fn expr(&mut self, name: &str) -> Option<&'d ast::Expr> {
        let prop = self.find(name)?;
        match &prop.value {
            PropValue::Expr(expr) => Some(expr),
            PropValue::Fields(_) | PropValue::Hours(_) => self.wrong(prop.span, name, "a value"),
        }
    }

    fn wrong<T>(&mut self, span: Span, name: &str, what: &str) -> Option<T> {
        self.all
            .out
            .push(finding(Code::E0103, span, format!("`{name}` needs {what}")).label(format!("not {what}")));
        None
    }

    fn text(&mut self, name: &str) -> Option<Arc<str>> {
        let expr = self.expr(name)?;
        match &expr.kind {
            ExprKind::Text(text) => Some(text.as_str().into()),
            ExprKind::Error => None,
            _ => self.wrong(expr.span, name, "a text in quotes"),
        }
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

    /// `address contact.email`
    fn address(&mut self) -> Option<Word> {
        let expr = self.expr("address")?;
        let (word, ty, span) = self.attribute(expr, "address")?;
        if !types::is_textual(&ty) {
            let message = format!("`{word}` is {}, which is no address", types::noun(&ty));
            self.all.out.push(finding(Code::E0103, span, message).label("not an address"));
            return None;
        }
        Some(word)
    }

    /// `contact.email`: its name, its type, and where the name stands.
    fn attribute(&mut self, expr: &ast::Expr, prop: &str) -> Option<(Word, Type, Span)> {
        let parts = match &expr.kind {
            ExprKind::Path(path) => path.parts.as_slice(),
            ExprKind::Error => return None,
            _ => &[],
        };
        let name = match parts {
            [contact, name] if contact.text == "contact" => name,
            _ => return self.wrong(expr.span, prop, "an attribute such as `contact.email`"),
        };
        let schema = &self.all.schema;
        if let Some(attribute) = schema.catalog.attribute(&name.text) {
            return Some((attribute.name.clone(), attribute.ty.clone(), name.span));
        }
        if !schema.is_hidden(&name.text) && !schema.attributes.contains_key(name.text.as_str()) {
            let all = schema.catalog.attributes.iter().map(|attribute| &*attribute.name);
            self.all.out.push(unknown(Code::E0101, "attribute", name, all));
        }
        None
    }

    // ---------------------------------------------------------------- audiences

    pub(super) fn audience(mut self, name: &Name) -> Audience {
        self.known(&["consent_to", "consent_on", "matches", "sends"]);
        for (prop, label, help) in [
            (
                "consent_to",
                "to what have they agreed?",
                "add `consent_to marketing`, say: who has not agreed to it stays out",
            ),
            (
                "consent_on",
                "on which channel have they agreed to it?",
                "add `consent_on email`, or a channel of its own for this consent: `channel ads {}`",
            ),
            ("matches", "by what does the network know them?", "add `matches [contact.email]`, say"),
            ("sends", "where do they go?", "add `sends \"file\"`: a file for each batch of changes"),
        ] {
            if self.find(prop).is_none() && !self.all.schema.has_mistake(name.span) {
                let message = format!("the audience `{}` has no `{prop}`", name.text);
                self.all.out.push(finding(Code::E0103, name.span, message).label(label).help(help));
            }
        }
        Audience {
            purpose: self.purpose().unwrap_or_else(|| "".into()),
            channel: self.channel_name().unwrap_or_else(|| "".into()),
            matches: self.matches(),
            sends: self.outlet().unwrap_or_else(|| "".into()),
        }
    }

    /// One that needs consent: an audience hands people to somebody else.
    fn purpose(&mut self) -> Option<Word> {
        let purpose = self.word("consent_to", &[])?;
        let span = self.expr("consent_to")?.span;
        let name = Name { text: purpose.to_string(), span };
        if !self.all.schema.catalog.is_purpose(&purpose) {
            if !self.all.schema.is_hidden(&purpose) {
                let all = self.all.schema.catalog.purpose_names();
                self.all.out.push(unknown(Code::E0101, "purpose", &name, all));
            }
            return None;
        }
        if self.all.schema.is_transactional(&purpose) {
            let message = format!("an audience hands people to somebody else, so `{purpose}` is not enough");
            self.all.out.push(
                finding(Code::E0501, span, message)
                    .label("asks nobody for consent")
                    .help("name a purpose that people agree to, such as `marketing`"),
            );
            return None;
        }
        Some(purpose)
    }

    fn channel_name(&mut self) -> Option<Word> {
        let channel = self.word("consent_on", &[])?;
        if !self.all.schema.channels().contains(&&*channel) && !self.all.schema.is_hidden(&channel) {
            let name = Name { text: channel.to_string(), span: self.expr("consent_on")?.span };
            self.all.out.push(unknown(Code::E0101, "channel", &name, self.all.schema.channels()));
        }
        Some(channel)
    }

    fn matches(&mut self) -> Vec<Word> {
        let Some(expr) = self.expr("matches") else { return Vec::new() };
        let ExprKind::List(items) = &expr.kind else {
            self.wrong::<()>(expr.span, "matches", "attributes in brackets, such as `[contact.email]`");
            return Vec::new();
        };
        let mut words: Vec<Word> = Vec::new();
        for item in items {
            let Some((word, ty, span)) = self.attribute(item, "matches") else { continue };
            if words.contains(&word) {
                let message = format!("`{word}` stands twice");
                self.all.out.push(finding(Code::E0102, span, message).label("again"));
            } else if !matches!(ty.required(), Type::Email | Type::Phone) {
                let message = format!("`{word}` is {}, by which no network knows people", types::noun(&ty));
                self.all.out.push(
                    finding(Code::E0103, span, message)
                        .label("not an e-mail address and not a phone number")
                        .help("attributes of type `email` and `phone` are matched"),
                );
            } else {
                words.push(word);
            }
        }
        words
    }

    /// `file`, or the secret that is the address of a network.
    fn outlet(&mut self) -> Option<Arc<str>> {
        let sends = self.text("sends")?;
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if &*sends != "file"
            && !sends.strip_prefix("secret:").is_some_and(is_name)
            && let Some(expr) = self.expr("sends")
        {
            // The text is not repeated: it may be the secret.
            self.all.out.push(
                finding(Code::E0103, expr.span, "an audience leaves as files, or by calls to an address that is a secret")
                    .label("neither of the two")
                    .help("write `sends \"file\"`, or `sends \"secret:NAME\"` and set FAHRPLAN_SECRET_NAME to the URL"),
            );
        }
        Some(sends)
    }

    /// A bare word out of a list.
    fn word(&mut self, name: &str, all: &[&str]) -> Option<Word> {
        let expr = self.expr(name)?;
        self.listed(expr, name, all)
    }

    /// Bare words in brackets; any when the list of possible ones is empty.
    fn words(&mut self, name: &str, all: &[&str]) -> Vec<Word> {
        let Some(expr) = self.expr(name) else { return Vec::new() };
        let ExprKind::List(items) = &expr.kind else {
            self.wrong::<()>(expr.span, name, "a list in brackets");
            return Vec::new();
        };
        let mut words: Vec<Word> = Vec::new();
        for item in items {
            let Some(word) = self.listed(item, name, all) else { continue };
            if words.contains(&word) {
                let message = format!("`{word}` stands twice");
                self.all.out.push(finding(Code::E0102, item.span, message).label("again"));
            } else {
                words.push(word);
            }
        }
        words
    }

    fn listed(&mut self, expr: &ast::Expr, name: &str, all: &[&str]) -> Option<Word> {
        let word = match &expr.kind {
            ExprKind::Path(path) if path.parts.len() == 1 => &path.parts[0],
            ExprKind::Error => return None,
            _ => return self.wrong(expr.span, name, "bare words"),
        };
        if !all.is_empty() && !all.contains(&word.text.as_str()) {
            let near = crate::diagnostic::suggest::did_you_mean(&word.text, all.iter().copied());
            let message = format!("`{}` is not one of the listed values", word.text);
            let made = finding(Code::E0104, word.span, message).label("not in the list");
            self.all.out.push(super::findings::with_near_miss(made, near, all, word.span));
            return None;
        }
        Some(word.text.as_str().into())
    }

    fn count(&mut self, name: &str) -> Option<i64> {
        let expr = self.expr(name)?;
        match &expr.kind {
            ExprKind::Number(number)
                if number.value.is_whole() && (0..=50).contains(&number.value.trunc()) =>
            {
                Some(number.value.trunc())
            }
            ExprKind::Error => None,
            _ => self.wrong(expr.span, name, "a whole number from 0 to 50"),
        }
    }

    fn money(&mut self, name: &str) {
        if let Some(expr) = self.expr(name)
            && !matches!(expr.kind, ExprKind::Number(_) | ExprKind::Error)
        {
            self.wrong::<()>(expr.span, name, "a number");
        }
    }

    fn length(&mut self, name: &str) -> Option<Calendar> {
        let expr = self.expr(name)?;
        match &expr.kind {
            ExprKind::Duration(duration) => Some(calendar(duration)),
            ExprKind::Error => None,
            _ => self.wrong(expr.span, name, "a duration such as `10 seconds`"),
        }
    }

    fn fields(&mut self, name: &str) -> Vec<FieldType> {
        let Some(prop) = self.find(name) else { return Vec::new() };
        match &prop.value {
            PropValue::Fields(fields) => fields_of(self.all.out, fields, true),
            PropValue::Expr(ast::Expr { kind: ExprKind::Error, .. }) => Vec::new(),
            PropValue::Expr(_) | PropValue::Hours(_) => {
                self.wrong::<()>(prop.span, name, "fields in braces");
                Vec::new()
            }
        }
    }

    fn hours(&mut self) -> Option<Hours> {
        let prop = self.find("hours")?;
        let PropValue::Hours(hours) = &prop.value else {
            return match &prop.value {
                PropValue::Expr(ast::Expr { kind: ExprKind::Error, .. }) => None,
                _ => self.wrong(prop.span, "hours", "days and times: `monday to friday 09:00 to 18:00`"),
            };
        };
        let time = |clock: &ast::Clock| TimeOfDay::new(clock.hour, clock.minute, clock.second);
        let (Some(from), Some(to)) = (time(&hours.from), time(&hours.to)) else {
            let bad = if time(&hours.from).is_none() { hours.from.span } else { hours.to.span };
            self.all.out.push(finding(Code::E0113, bad, "no clock shows this").label("from 00:00 to 23:59"));
            return None;
        };
        if let Some(ast::Zone { kind: ast::ZoneKind::Named(name), .. }) = &hours.zone
            && Zone::named(&name.value).is_none()
        {
            let message = format!("there is no time zone `{}`", name.value);
            self.all
                .out
                .push(finding(Code::E0101, name.span, message).label("not in the time zone database"));
        }
        let mut mask = days(hours.from_day.0);
        if let Some((last, _)) = &hours.to_day {
            mask.mask |= between(mask.mask, days(*last).mask);
        }
        Some(Hours { days: mask, from, to, zone: zone_ref(hours.zone.as_ref(), ZoneRef::Contact) })
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

/// All days from the first of one mask to the last of another, over the weekend where need be.
fn between(from: u8, to: u8) -> u8 {
    let (first, last) = (from.trailing_zeros() % 7, 7u32.saturating_sub(to.leading_zeros()));
    let mut mask = 0;
    let mut day = first;
    for _ in 0..7 {
        mask |= 1 << day;
        if day == last {
            break;
        }
        day = (day + 1) % 7;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::{between, header};

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

    #[test]
    fn days_run_over_the_weekend() {
        assert_eq!(between(0b000_0001, 0b001_0000), 0b001_1111, "monday to friday");
        assert_eq!(between(0b010_0000, 0b000_0001), 0b110_0001, "saturday to monday");
        assert_eq!(between(0b000_0100, 0b000_0100), 0b000_0100, "wednesday alone");
    }
}
