//! By what advertising networks know people: SHA-256 of an address in the form that all of them compute, as lower-case hex.
//!
//! - an e-mail address without spaces around it, in lower case
//! - a phone number with its country, as digits alone (`4930123456`), and in E.164 with its plus (`+4930123456`): networks differ in which
//!   of the two they hash
//!
//! A number without a country means nobody in particular and is left out.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

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
    let mut text = format!("{HEAD}\n");
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
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
