//! Signed links: what stands in a mail's unsubscribe, confirm and click links, and how a door knows them again.
//!
//! A token is `base64url(payload || mac)`: the payload a postcard of [`Link`], the MAC the first 16 bytes of HMAC-SHA256 (RFC 2104)
//! under the project's link key. Nobody can make one, change its target or use one kind for another; nothing personal stands in
//! it but our own ids.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::id::{ContactId, DeliveryId, from_base32, to_base32};
use crate::time::Timestamp;

/// Bytes of the MAC that a token carries: 128 bits, which nobody guesses over HTTP.
const MAC_LEN: usize = 16;

/// The longest token that is looked at; longer ones are refused unread.
const LONGEST: usize = 4_096;

/// What a token stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub kind: Kind,
    pub bucket: u16,
    pub contact: ContactId,
    pub delivery: DeliveryId,
    /// After this moment of the machine's clock the link is dead.
    pub expires_at: Timestamp,
}

/// What following the link does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// `POST /u/{token}` withdraws consent for the purpose on the channel.
    Unsubscribe { purpose: String, channel: String },
    /// `POST /c/{token}` records the confirmation.
    Confirm,
    /// `GET /r/{token}` records a click and redirects.
    Click { target: String },
    /// `/s/{token}` shows the questions of a survey and takes the answers.
    Survey,
}

/// The key that signs links. No `Debug`: it must not reach a log.
#[derive(Clone)]
pub struct LinkKey([u8; 32]);

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not made by this project, or changed on its way.
    Forged,
    Expired,
}

impl LinkKey {
    /// The key of those 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> LinkKey {
        LinkKey(bytes)
    }

    /// The token of a link, fit for a URL path.
    pub fn sign(&self, link: &Link) -> String {
        let mut bytes = postcard::to_allocvec(link).expect("a link holds nothing that postcard refuses");
        let mac = self.mac(&bytes);
        bytes.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The link of a token that we signed and that has not expired at `now`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Link, Refused> {
        if token.len() > LONGEST {
            return Err(Refused::Forged);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Refused::Forged)?;
        let split = bytes.len().checked_sub(MAC_LEN).ok_or(Refused::Forged)?;
        let (payload, mac) = bytes.split_at(split);
        if !bool::from(self.mac(payload).as_slice().ct_eq(mac)) {
            return Err(Refused::Forged);
        }
        let link: Link = postcard::from_bytes(payload).map_err(|_| Refused::Forged)?;
        if link.expires_at <= now { Err(Refused::Expired) } else { Ok(link) }
    }

    /// A seal on a text, for a use of its own: what is sealed for one use is worth nothing for another.
    pub fn seal(&self, using: &'static str, text: &str) -> String {
        let mut hmac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in ["fahrplan ", using, " 1\0", text] {
            hmac.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(&hmac.finalize().into_bytes()[..MAC_LEN])
    }

    /// Whether that is our seal on the text for that use.
    pub fn is_sealed(&self, using: &'static str, text: &str, seal: &str) -> bool {
        self.seal(using, text).as_bytes().ct_eq(seal.as_bytes()).into()
    }

    /// The code by which a letter is answered: twelve signs that look like no others, the same each time.
    pub fn response_code(&self, letter: DeliveryId) -> String {
        self.code(b"fahrplan response 1\0", letter)
    }

    /// What stands behind the `+` of the address that answers to a message go to: its id and our seal, in what every mail server lets
    /// through and none tells apart by case.
    pub fn reply_token(&self, delivery: DeliveryId) -> String {
        format!("{}-{}", to_base32(delivery.0), self.code(b"fahrplan reply 1\0", delivery)).to_lowercase()
    }

    /// The message of such a token, if we sealed it.
    pub fn verify_reply_token(&self, token: &str) -> Option<DeliveryId> {
        let token = token.to_ascii_lowercase();
        let delivery = DeliveryId(from_base32(token.split_once('-')?.0).ok()?);
        bool::from(self.reply_token(delivery).as_bytes().ct_eq(token.as_bytes())).then_some(delivery)
    }

    fn code(&self, using: &'static [u8], delivery: DeliveryId) -> String {
        let mut hmac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        hmac.update(using);
        hmac.update(&delivery.0.to_be_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hmac.finalize().into_bytes()[..16]);
        let mut rest = u128::from_be_bytes(bytes);
        let count = SIGNS.len() as u128;
        let sign = |_| {
            let at = usize::try_from(rest % count).expect("less than there are signs");
            rest /= count;
            char::from(SIGNS[at])
        };
        (0..CODE_LEN).map(sign).collect()
    }

    fn mac(&self, payload: &[u8]) -> [u8; MAC_LEN] {
        let mut hmac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        hmac.update(b"fahrplan link 1\0");
        hmac.update(payload);
        let full = hmac.finalize().into_bytes();
        let mut short = [0; MAC_LEN];
        short.copy_from_slice(&full[..MAC_LEN]);
        short
    }
}

/// How many signs a response code has: 59 bits, so nobody finds one by trying.
const CODE_LEN: usize = 12;
/// What it is written with: neither 0 nor O, 1 nor I nor L, and no U, which people take for V.
const SIGNS: &[u8] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A response code as it is printed: `K7QM-3FXR-9TWP`.
pub fn printed_code(code: &str) -> String {
    let mut printed = String::with_capacity(code.len() + 2);
    for (at, sign) in code.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            printed.push('-');
        }
        printed.push(sign);
    }
    printed
}

/// A response code as somebody typed it; `None`: it cannot be one.
pub fn read_code(text: &str) -> Option<String> {
    if text.len() > 4 * CODE_LEN {
        return None;
    }
    let signs = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '.' | '_' | '\u{2013}'));
    let code: String = signs.map(|c| c.to_ascii_uppercase()).collect();
    (code.len() == CODE_LEN && code.bytes().all(|sign| SIGNS.contains(&sign))).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(kind: Kind) -> Link {
        let (contact, delivery) = (ContactId(17), DeliveryId(4711));
        Link { kind, bucket: 0, contact, delivery, expires_at: Timestamp(1_000) }
    }

    #[test]
    fn a_signed_link_reads_back_until_it_expires() {
        let key = LinkKey::new([7; 32]);
        let link = link(Kind::Click { target: "https://shop.example.org/?a=b&c=d".into() });
        let token = key.sign(&link);
        assert_eq!(key.verify(&token, Timestamp(999)), Ok(link));
        assert_eq!(key.verify(&token, Timestamp(1_000)), Err(Refused::Expired));
    }

    #[test]
    fn a_seal_is_good_for_one_text_one_use_and_one_project() {
        let key = LinkKey::new([7; 32]);
        let seal = key.seal("session", "fp_1.17");
        assert!(key.is_sealed("session", "fp_1.17", &seal));
        assert!(!key.is_sealed("session", "fp_1.18", &seal) && !key.is_sealed("form", "fp_1.17", &seal));
        assert!(
            !LinkKey::new([8; 32]).is_sealed("session", "fp_1.17", &seal)
                && !key.is_sealed("session", "", "")
        );
    }

    #[test]
    fn a_response_code_is_read_however_it_is_typed() {
        let key = LinkKey::new([7; 32]);
        let code = key.response_code(DeliveryId(4711));
        assert_eq!(code, key.response_code(DeliveryId(4711)));
        assert_ne!(code, key.response_code(DeliveryId(4712)));
        assert_ne!(code, LinkKey::new([8; 32]).response_code(DeliveryId(4711)));
        let printed = printed_code(&code);
        assert_eq!(printed.len(), 14);
        for typed in [&code, &printed, &printed.to_lowercase(), &format!(" {} ", printed.replace('-', " "))] {
            assert_eq!(read_code(typed).as_deref(), Some(code.as_str()), "{typed}");
        }
        for wrong in
            ["", "K7QM-3FXR-9TW", "K7QM-3FXR-9TWPA", "K7QM-3FXR-9TW0", "K7QM-3FXR-9TWÜ", &"-".repeat(500)]
        {
            assert_eq!(read_code(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_for_answers_is_known_however_servers_spell_it() {
        let key = LinkKey::new([7; 32]);
        let token = key.reply_token(DeliveryId(4711));
        assert!(
            token.len() == 26
                && token.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        );
        assert_eq!(key.verify_reply_token(&token), Some(DeliveryId(4711)));
        assert_eq!(key.verify_reply_token(&token.to_uppercase()), Some(DeliveryId(4711)));
        assert_eq!(LinkKey::new([8; 32]).verify_reply_token(&token), None);
        assert_ne!(token[14..], key.response_code(DeliveryId(4711)).to_lowercase());
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'2' { b'3' } else { b'2' };
            let other = String::from_utf8(other).expect("ASCII");
            assert_eq!(key.verify_reply_token(&other), None, "{other}");
            assert_eq!(key.verify_reply_token(&token[..at]), None);
        }
    }

    #[test]
    fn no_mutated_link_is_accepted() {
        let key = LinkKey::new([7; 32]);
        let token =
            key.sign(&link(Kind::Unsubscribe { purpose: "marketing".into(), channel: "email".into() }));
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/.%";
        let mut tried = 0;
        for at in 0..token.len() {
            for byte in alphabet {
                let mut other = token.clone().into_bytes();
                other[at] = *byte;
                let other = String::from_utf8(other).expect("ASCII");
                if other != token {
                    assert_eq!(key.verify(&other, Timestamp(0)), Err(Refused::Forged), "{other}");
                    tried += 1;
                }
            }
            assert_eq!(key.verify(&token[..at], Timestamp(0)), Err(Refused::Forged));
        }
        assert!(tried > 3_000, "{tried}");
        assert_eq!(LinkKey::new([8; 32]).verify(&token, Timestamp(0)), Err(Refused::Forged));
    }
}
