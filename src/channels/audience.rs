//! By what advertising networks know people: SHA-256 of an address in the form that all of them compute, as lower-case hex.
//!
//! - an e-mail address without spaces around it, in lower case
//! - a phone number with its country, as digits alone (`4930123456`), and in E.164 with its plus (`+4930123456`): networks differ in which
//!   of the two they hash
//!
//! A number without a country means nobody in particular and is left out.
//!
//! A network takes files of such lines, or calls: one JSON object for a part of a batch,
//! `{ audience, batch, part, parts, remove: [{ email, phone, phone_e164 }], add: […] }`, by POST. Who is in both lists of a batch by one
//! of the hashes was changed; so those who go come before those who come.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::gateway::Unusable;
use super::guard::{Call, KEY};
use crate::engine::program::{Audience, Catalog};
use crate::engine::world::Fields;
use crate::value::Type;

/// The first line of every file.
pub const HEAD: &str = "email,phone,phone_e164";

/// The lines by which a network knows somebody: one for each address, the first e-mail address with the first number.
pub fn lines(catalog: &Catalog, audience: &Audience, attributes: &Fields) -> Vec<String> {
    let (mut emails, mut phones) = (Vec::new(), Vec::new());
    for name in &audience.matches {
        let Some(text) = attributes.get(name).and_then(|value| value.as_text()) else { continue };
        match catalog.attribute(name).map(|attribute| attribute.ty.required()) {
            Some(Type::Email) => emails.extend(email(text)),
            Some(Type::Phone) => phones.extend(digits(text)),
            _ => {}
        }
    }
    let line = |at: usize| {
        let email = emails.get(at).map(|text| hash(text)).unwrap_or_default();
        let (phone, e164) = match phones.get(at) {
            Some(digits) => (hash(digits), hash(&format!("+{digits}"))),
            None => Default::default(),
        };
        format!("{email},{phone},{e164}")
    };
    (0..emails.len().max(phones.len())).map(line).collect()
}

/// A file of these lines.
pub fn file(lines: &[String]) -> String {
    format!("{HEAD}\n{}", rows(lines))
}

/// Whether this is such a file: nothing but hashes stands below its first line.
pub fn is_file(bytes: &[u8]) -> bool {
    let is_hash = |cell: &str| {
        cell.is_empty() || cell.len() == 64 && cell.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_line = |line: &str| line.split(',').count() == 3 && line.split(',').all(is_hash);
    let mut lines = std::str::from_utf8(bytes).unwrap_or_default().lines();
    lines.next() == Some(HEAD) && lines.all(is_line)
}

/// These lines as they stand in a file.
pub fn rows(lines: &[String]) -> String {
    let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

// ---------------------------------------------------------------- calls

/// Lines of a call: few enough for whoever takes them.
pub const PART: usize = 1_000;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The address of a network: `https://user:token@host/path`.
pub fn network(url: &str) -> Result<Url, Unusable> {
    let url = Url::parse(url.trim()).map_err(|_| Unusable("it is no URL"))?;
    match url.scheme() {
        "https" | "http" => Ok(url),
        _ => Err(Unusable("its URL does not begin with https://")),
    }
}

/// What one call says of a batch: at most [`PART`] lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 1 on, of so many.
    pub number: usize,
    pub of: usize,
    pub remove: Vec<String>,
    pub add: Vec<String>,
}

/// What stands in a call.
#[derive(Serialize)]
struct Said<'a> {
    audience: &'a str,
    batch: &'a str,
    part: usize,
    parts: usize,
    remove: Vec<Known<'a>>,
    add: Vec<Known<'a>>,
}

/// The hashes of somebody.
#[derive(Serialize)]
struct Known<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    email: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    phone: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    phone_e164: &'a str,
}

impl<'a> Known<'a> {
    fn of(line: &'a str) -> Known<'a> {
        let mut parts = line.split(',');
        let mut next = || parts.next().unwrap_or_default();
        Known { email: next(), phone: next(), phone_e164: next() }
    }
}

/// The call that tells a part of a batch. Its key is made of all that it says, so a repeat has the same one, and nothing else has.
pub fn call(url: &Url, (audience, batch): (&str, &str), part: &Part) -> Call {
    let said = Said {
        audience,
        batch,
        part: part.number,
        parts: part.of,
        remove: part.remove.iter().map(|line| Known::of(line)).collect(),
        add: part.add.iter().map(|line| Known::of(line)).collect(),
    };
    let body = serde_json::to_vec(&said).expect("texts and numbers can be written as JSON");
    let key = format!("audience-{}", &blake3::hash(&body).to_hex()[..32]);
    let key = HeaderValue::from_str(&key).expect("it is letters and digits");
    let is_json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(KEY, key), (ACCEPT, is_json.clone()), (CONTENT_TYPE, is_json)]);
    Call { method: Method::POST, url: url.clone(), headers, body: Some(body), timeout: TIMEOUT }
}

fn email(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    (!text.is_empty()).then_some(text)
}

/// The digits of a number that says its country.
fn digits(text: &str) -> Option<String> {
    let text = text.trim();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = match (text.starts_with('+'), digits.strip_prefix("00")) {
        (true, _) => digits,
        (false, Some(rest)) => rest.to_owned(),
        (false, None) => return None,
    };
    // `+49 (0)30` has a zero that is dialed within the country alone.
    (7..=15).contains(&digits.len()).then_some(digits)
}

fn hash(text: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_call_is_made_of_all_that_it_says() {
        let part = Part { number: 1, of: 3, remove: vec!["r,,".to_owned()], add: vec!["a,p,q".to_owned()] };
        let url = network("https://shop:token@network.example/lists").expect("an address");
        let called = |part: &Part| call(&url, ("viewers", "viewers-2026-12-24-1600"), part);
        assert_eq!(
            called(&part).body.expect("a body"),
            concat!(
                r#"{"audience":"viewers","batch":"viewers-2026-12-24-1600","part":1,"parts":3,"#,
                r#""remove":[{"email":"r"}],"add":[{"email":"a","phone":"p","phone_e164":"q"}]}"#
            )
            .as_bytes()
        );
        let key = |part: &Part| called(part).headers[KEY].clone();
        assert_eq!(key(&part), key(&part.clone()));
        assert_ne!(key(&part), key(&Part { number: 2, ..part.clone() }));
        assert_ne!(
            key(&part),
            key(&Part { add: part.remove.clone(), remove: part.add.clone(), ..part.clone() })
        );
        assert!(network("ftp://network.example").is_err() && network("network").is_err());
    }

    #[test]
    fn a_file_of_hashes_is_known_from_a_list_of_addresses() {
        let own = ["a@b.example", "c@d.example"].map(|email| format!("{},,", hash(email)));
        assert!(is_file(file(&own).as_bytes()) && is_file(file(&[]).as_bytes()));
        for other in ["a@b.example,,", "one,two", "x"] {
            assert!(!is_file(file(&[own[0].clone(), other.to_owned()]).as_bytes()), "{other}");
        }
        assert!(!is_file(b"") && !is_file(b"\xff\xfe") && !is_file(own[0].as_bytes()));
    }

    #[test]
    fn addresses_are_hashed_in_the_form_that_networks_document() {
        assert_eq!(email(" Ada@Example.ORG "), Some("ada@example.org".to_owned()));
        assert_eq!(
            hash("ada@example.org"),
            "cfe00dde46ef942601ffafb9e2825e802858b460e586b8305b344c1eb826357d"
        );
        for same in ["+49 30 123456", "0049-30/123456", "+4930123456"] {
            assert_eq!(digits(same).as_deref(), Some("4930123456"), "{same}");
        }
        assert_eq!(digits("030 123456"), None, "it says no country");
        assert_eq!(digits("+49"), None);
    }
}
