//! The Messages resource of Twilio, API version 2010-04-01: a form by POST, JSON back. It knows no key against repeats, so what may have
//! been taken over is in doubt.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::{Call, Message, Said, Unusable, plain};

/// Codes of errors at which the number is at fault: no number, none of a mobile phone, blacklisted by its owner's STOP.
const BAD_ADDRESS: [i64; 8] = [21211, 21214, 21217, 21401, 21421, 21610, 21614, 21635];

/// An account with a sender.
pub struct Twilio {
    /// With the account's login.
    url: Url,
    /// A number, or a messaging service (`MG…`).
    from: String,
}

impl Twilio {
    pub(super) fn of(url: &Url) -> Result<Twilio, Unusable> {
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(Unusable("its URL names no host"))?;
        let (sid, token) = (url.username(), url.password().unwrap_or_default());
        if sid.is_empty() || token.is_empty() {
            return Err(Unusable("its URL has no `SID:TOKEN@` before the host"));
        }
        if !sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Unusable("the SID in its URL has other signs than letters and digits"));
        }
        let from = url.query_pairs().find(|(name, _)| name == "from").map(|(_, from)| from.into_owned());
        // In a query a plus sign is a blank.
        let from =
            from.map(|from| from.strip_prefix(' ').map_or(from.clone(), |digits| format!("+{digits}")));
        let from = from
            .filter(|from| !from.is_empty())
            .ok_or(Unusable("its URL has no `?from=` with the sender"))?;
        let is_here = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
        let scheme = if is_here { "http" } else { "https" };
        let port = url.port().map_or(String::new(), |port| format!(":{port}"));
        let text = format!("{scheme}://{sid}:{token}@{host}{port}/2010-04-01/Accounts/{sid}/Messages.json");
        let url = Url::parse(&text).map_err(|_| Unusable("its URL cannot be read"))?;
        Ok(Twilio { url, from })
    }

    pub(super) fn call(&self, message: &Message<'_>) -> Call {
        let sender = if self.from.starts_with("MG") { "MessagingServiceSid" } else { "From" };
        let report = format!("{}/twilio?delivery={}", message.receipts, message.delivery);
        let mut form = Url::parse("form:").expect("a URL");
        form.query_pairs_mut()
            .append_pair("To", message.to)
            .append_pair(sender, &self.from)
            .append_pair("Body", message.text)
            .append_pair("StatusCallback", &report);
        let headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
        ]);
        let body = form.query().map(|query| query.as_bytes().to_vec());
        Call { method: Method::POST, url: self.url.clone(), headers, body, timeout: Duration::ZERO }
    }
}

pub(super) fn read(body: &[u8]) -> Said {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        sid: Option<String>,
        code: Option<i64>,
    }
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let code = body.code.unwrap_or_default();
    // Their sentence repeats the number; the code says the same.
    let text = body.code.map_or(String::new(), |code| format!("error {code}"));
    Said { id: body.sid.map(|id| plain(&id)), text, bad_address: BAD_ADDRESS.contains(&code) }
}
