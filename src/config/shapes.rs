//! Values that have a shape: zones, URLs, addresses, names of files with secrets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::PREFIX;
use crate::engine::program::secret_of;
use crate::time::{TimeOfDay, Zone};

pub(super) fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match Zone::named(&name) {
        Some(_) => Ok(name),
        None => Err(D::Error::custom(format!("`{name}` is no time zone; write one such as `Europe/Berlin`"))),
    }
}

pub(super) fn database_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let schemes = ["sqlite:", "postgres://", "postgresql://"];
    url(deserializer, &schemes, "`sqlite:FILE` or `postgres://USER@HOST/DATABASE`")
}

pub(super) fn smtp_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let schemes = ["smtp://", "starttls://", "smtps://"];
    url(deserializer, &schemes, "`smtp://HOST:25`, `starttls://HOST:587` or `smtps://HOST:465`")
}

pub(super) fn public_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let url = url(deserializer, &["http://", "https://"], "an address such as `https://mail.example.org`")?;
    // It stands in headers of every mail, where nothing else may.
    let fits = url.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"".contains(&b));
    let message = "links in mails can only have ASCII letters, digits and signs; write a domain with an umlaut as \
                   `xn--…`, and no blanks";
    if fits { Ok(Some(url)) } else { Err(D::Error::custom(message)) }
}

/// The message does not repeat the text: a URL may carry a password.
fn url<'de, D: Deserializer<'de>>(
    deserializer: D,
    schemes: &[&str],
    expected: &str,
) -> Result<String, D::Error> {
    let url = String::deserialize(deserializer)?;
    match schemes.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) {
        true => Ok(url),
        false => Err(D::Error::custom(format!("this URL cannot be used; write {expected}"))),
    }
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = |_| D::Error::custom(format!("`{text}` is no address and port, such as `127.0.0.1:8600`"));
    text.replace("localhost:", "127.0.0.1:").parse().map_err(wrong)
}

/// `Shop <reply@example.org>` or an address, with room for what is put behind its name.
pub(super) fn mailbox<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let address = text.rsplit_once('<').map_or(&*text, |(_, rest)| rest.trim_end().trim_end_matches('>'));
    match is_plain_address(address) {
        true => Ok(Some(text)),
        false => Err(D::Error::custom(NO_ADDRESS)),
    }
}

/// The same without a name.
pub(super) fn bare_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match is_plain_address(&text) {
        true => Ok(Some(text)),
        false => Err(D::Error::custom(NO_ADDRESS)),
    }
}

const NO_ADDRESS: &str = "expected an address such as `reply@example.org`, with at most 36 signs before the `@` and no `+` among them";

fn is_plain_address(text: &str) -> bool {
    let Some((name, domain)) = text.trim().split_once('@') else { return false };
    let fits = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    (1..=36).contains(&name.len()) && !domain.is_empty() && name.bytes().chain(domain.bytes()).all(fits)
}

pub(super) fn time_of_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeOfDay, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::custom(format!("`{text}` is no time of the day, such as `16:00`")))
}

pub(super) fn connections<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match u16::deserialize(deserializer)? {
        number @ 1..=1_000 => Ok(number),
        number => Err(D::Error::custom(format!("{number} connections are not possible; 1 to 1000 are"))),
    }
}

pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match secret_of(&text).is_some_and(|name| !name.is_empty()) {
        true => Ok(text),
        // The message does not repeat the text: it may be the secret.
        false => Err(D::Error::custom("secrets stand in no file of the project; write \"secret:NAME\"")),
    }
}

pub(super) fn maybe_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    secret(deserializer).map(Some)
}

/// What a gateway calls outcomes, and what we do.
pub(super) fn outcomes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    const OURS: [&str; 5] = ["delivered", "failed", "bounced", "complained", "replied"];
    let outcomes = BTreeMap::<String, String>::deserialize(deserializer)?;
    match outcomes.values().find(|ours| !OURS.contains(&ours.as_str())) {
        Some(wrong) => {
            Err(D::Error::custom(format!("`{wrong}` is no outcome; possible are {}", OURS.join(", "))))
        }
        None => Ok(outcomes),
    }
}

pub(super) fn maybe_place<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    // Nothing is the whole body (RFC 6901).
    match text.is_empty() || text.starts_with('/') {
        true => Ok(Some(text)),
        false => Err(D::Error::custom(format!("`{text}` is no place; write one such as `/customer/id`"))),
    }
}

/// Names, each with a place.
pub(super) fn places<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let places = BTreeMap::<String, String>::deserialize(deserializer)?;
    match places.iter().find(|(_, text)| !text.is_empty() && !text.starts_with('/')) {
        Some((name, text)) => Err(D::Error::custom(format!(
            "`{text}` is no place for `{name}`; write one such as `/customer/{name}`"
        ))),
        None => Ok(places),
    }
}

pub(super) fn signature_header() -> String {
    "X-Signature".to_owned()
}

/// A list of texts; in the environment, where there are no lists, with commas between them.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list such as `[\"crm.internal:8443\"]`")]
    enum Written {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::List(list) => list,
        Written::Text(text) => {
            text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
        }
    })
}

/// The keys of `[secrets]` end in `_file`; the rest of the key is the name.
#[derive(Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, PathBuf>")]
pub(super) struct SecretFiles(pub(super) BTreeMap<String, PathBuf>);

impl TryFrom<BTreeMap<String, PathBuf>> for SecretFiles {
    type Error = String;

    fn try_from(keys: BTreeMap<String, PathBuf>) -> Result<Self, String> {
        let name = |(key, path): (String, PathBuf)| match key.strip_suffix("_file") {
            Some(name) if !name.is_empty() => Ok((name.to_owned(), path)),
            _ => Err(format!(
                "`{key}` would put a secret into a file of the project; write `{key}_file = \"keys/{key}\"`, or set \
                 {PREFIX}SECRET_{} in the environment",
                key.to_uppercase()
            )),
        };
        keys.into_iter().map(name).collect::<Result<_, _>>().map(SecretFiles)
    }
}
