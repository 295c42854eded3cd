//! The generic dialect: one JSON object a message, `{ id, channel, to, text, report_to }`. The answer may hold `id` (or a project says where), the gateway's own name
//! for it, or with a refusal `error`, and `bad_address` if the address is at fault.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Value as Json, json};

use super::{Call, Message, Said, plain};
use crate::channels::guard::KEY;

pub(super) fn call(url: &Url, message: &Message<'_>) -> Call {
    let id = message.delivery.to_string();
    let body = json!({
        "id": id,
        "channel": message.channel,
        "to": message.to,
        "text": message.text,
        "report_to": format!("{}/generic", message.receipts),
    });
    let is_json = HeaderValue::from_static("application/json");
    let key = HeaderValue::from_str(&id).expect("ids are letters and digits");
    let headers = HeaderMap::from_iter([(KEY, key), (ACCEPT, is_json.clone()), (CONTENT_TYPE, is_json)]);
    let body = Some(body.to_string().into_bytes());
    Call { method: Method::POST, url: url.clone(), headers, body, timeout: Duration::ZERO }
}

pub(super) fn read(body: &[u8], place: Option<&str>) -> Said {
    let body: Json = serde_json::from_slice(body).unwrap_or_default();
    let text = |place: &str| match body.pointer(place) {
        Some(Json::String(text)) => Some(plain(text)).filter(|text| !text.is_empty()),
        Some(Json::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    Said {
        id: text(place.unwrap_or("/id")),
        text: text("/error").unwrap_or_default(),
        bad_address: body.pointer("/bad_address") == Some(&Json::Bool(true)),
    }
}
