//! Links from mails: unsubscribe (RFC 8058), confirm (double opt-in), click. GET changes nothing but a click's count; POST acts.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Doors;
use super::pages::{Language, Page};
use super::problem::Problem;
use crate::clock::machine_now;
use crate::engine::world::{ConsentChange, Event, Fields, Input};
use crate::id::ContactId;
use crate::link::{Kind, Link, Refused};
use crate::store::inbox::{Incoming, To};
use crate::store::{deliveries, suppressions};
use crate::value::{Type, Value};

/// What a mail program posts for one-click: the name and the value of a form's field.
const ONE_CLICK: (&str, &str) = ("List-Unsubscribe", "One-Click");

/// A page that asks for one click, as both languages have it: title, text, button.
type Question = [(&'static str, &'static str); 3];

const UNSUBSCRIBE: Question = [
    ("Keine Nachrichten mehr?", "No more messages?"),
    (
        "Mit einem Klick bekommst du diese Art von Nachrichten nicht mehr.",
        "One click, and you will not get this kind of message any more.",
    ),
    ("Abmelden", "Unsubscribe"),
];

const CONFIRM: Question = [
    ("Nur noch ein Klick", "One more click"),
    ("Bestätige, dass du Nachrichten von uns möchtest.", "Confirm that you want to hear from us."),
    ("Ja, bestätigen", "Yes, confirm"),
];

/// `GET /u/{token}`
pub async fn show_unsubscribe(doors: State<Doors>, token: Path<String>, headers: HeaderMap) -> Response {
    ask(&doors, &token, &headers, |kind| matches!(kind, Kind::Unsubscribe { .. }), UNSUBSCRIBE)
}

/// `GET /c/{token}`
pub async fn show_confirm(doors: State<Doors>, token: Path<String>, headers: HeaderMap) -> Response {
    ask(&doors, &token, &headers, |kind| matches!(kind, Kind::Confirm), CONFIRM)
}

/// Shows the page of a link of that kind, and does nothing.
fn ask(
    doors: &Doors,
    token: &str,
    headers: &HeaderMap,
    is_right: fn(&Kind) -> bool,
    question: Question,
) -> Response {
    let language = language(headers);
    match read(doors, token) {
        Ok(link) if is_right(&link.kind) => {
            let [title, text, button] = question.map(|(de, en)| language.pick(de, en));
            doors.page(language, title, text, Some(button))
        }
        _ => dead(doors, language),
    }
}

/// `POST /u/{token}`: without cookies, log-in or redirect; the same any number of times.
pub async fn unsubscribe(
    State(doors): State<Doors>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let language = language(&headers);
    let Ok(Link { kind: Kind::Unsubscribe { purpose, channel }, bucket, contact, delivery, .. }) =
        read(&doors, &token)
    else {
        return Ok(dead(&doors, language));
    };
    // A mail program says so in the body; a person's button sends none.
    let one_click = is_one_click(&String::from_utf8_lossy(&body));
    let evidence = serde_json::json!({ "delivery": delivery.to_string(), "one_click": one_click });
    let change = ConsentChange {
        purpose: purpose.as_str().into(),
        channel: channel.as_str().into(),
        permit: false,
        at: doors.clock.now(),
        source: "unsubscribe".into(),
        evidence: Some(evidence.to_string().into()),
    };
    suppressions::unsubscribe(&doors.store, contact, (i64::from(bucket), delivery), change).await?;
    metrics::counter!("fahrplan_unsubscribes_total").increment(1);
    Ok(doors.page(
        language,
        language.pick("Abgemeldet", "Unsubscribed"),
        language.pick(
            "Du bekommst diese Art von Nachrichten nicht mehr.",
            "You will not get this kind of message any more.",
        ),
        None,
    ))
}

/// Whether a form says so, in either of the encodings that RFC 8058 3.2 names: `multipart/form-data`, whose parts have a header and a
/// body each, or `application/x-www-form-urlencoded`.
fn is_one_click(body: &str) -> bool {
    let (name, value) = ONE_CLICK;
    let in_part = || {
        let quoted = format!("name=\"{name}\"");
        let is_ours = |part: &str| {
            let part = part.replace("\r\n", "\n");
            let (head, text) = part.split_once("\n\n")?;
            let named = head.contains(&quoted)
                || head.lines().any(|line| line.trim_end().ends_with(&format!("name={name}")));
            Some(named && text.lines().next()?.trim() == value)
        };
        let boundary = body.lines().next().map(str::trim_end).filter(|line| line.starts_with("--"))?;
        Some(body.split(boundary).any(|part| is_ours(part) == Some(true)))
    };
    let in_pair = || body.trim().split('&').any(|pair| pair.split_once('=') == Some(ONE_CLICK));
    in_part().unwrap_or_else(in_pair)
}

/// `POST /c/{token}`: records the event of the confirmation, once for each mail.
pub async fn confirm(
    State(doors): State<Doors>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let language = language(&headers);
    let Ok(Link { kind: Kind::Confirm, contact, delivery, .. }) = read(&doors, &token) else {
        return Ok(dead(&doors, language));
    };
    let deployed = doors.deployed().await?;
    let Some((name, event)) = deployed.catalog.event_named(&doors.confirm_event) else {
        tracing::error!(
            event = &*doors.confirm_event,
            "a contact confirmed, but the schema has no such event"
        );
        return Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "no-confirm-event",
            "the project declares no event for confirmations",
        ));
    };
    let now = doors.clock.now();
    let text = |field: &crate::value::FieldType| {
        matches!(field.ty.required(), Type::Id | Type::Text)
            .then(|| (field.name.clone(), Value::text(&delivery.to_string())))
    };
    let fields: Fields = event.fields.iter().filter_map(text).collect::<BTreeMap<_, _>>();
    let event = Event { id: 0, name: name.clone(), occurred_at: now, accepted_at: now, fields, quiet: false };
    take(&doors, contact, Input::Event(event), Some(format!("confirm {delivery}"))).await?;
    Ok(doors.page(
        language,
        language.pick("Bestätigt", "Confirmed"),
        language.pick("Danke! Deine Adresse ist bestätigt.", "Thank you! Your address is confirmed."),
        None,
    ))
}

/// `GET /r/{token}`: redirects to the signed target and records the click. `HEAD` and prefetches only redirect.
pub async fn click(
    State(doors): State<Doors>,
    Path(token): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Ok(Link { kind: Kind::Click { target }, bucket, delivery, .. }) = read(&doors, &token) else {
        return Ok(dead(&doors, language(&headers)));
    };
    let prefetch = ["purpose", "sec-purpose", "x-moz"].iter().any(|name| headers.contains_key(*name));
    if method == Method::GET && !prefetch {
        deliveries::clicked(&doors.store, i64::from(bucket), delivery, &target, doors.clock.now()).await?;
        metrics::counter!("fahrplan_clicks_total").increment(1);
    }
    let location = HeaderValue::from_str(&target)
        .map_err(|_| Problem::new(StatusCode::NOT_FOUND, "bad-target", "the link leads nowhere"))?;
    let mut response = StatusCode::FOUND.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

async fn take(doors: &Doors, contact: ContactId, input: Input, once: Option<String>) -> Result<(), Problem> {
    let incoming = Incoming { to: To::Contact(contact), message_id: once, input };
    doors.store.accept(vec![incoming], doors.clock.now()).await?;
    Ok(())
}

fn read(doors: &Doors, token: &str) -> Result<Link, Refused> {
    doors.link_key.verify(token, machine_now())
}

pub(super) fn dead(doors: &Doors, language: Language) -> Response {
    let title = language.pick("Dieser Link gilt nicht mehr", "This link is no longer valid");
    let text = language.pick("Er ist abgelaufen oder unvollständig.", "It has expired or is incomplete.");
    Page { language, title, text: text.to_owned(), button: None, sender: doors.sender.to_string() }
        .answer(StatusCode::NOT_FOUND)
}

pub(super) fn language(headers: &HeaderMap) -> Language {
    let accepts = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::of(accepts.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_click_comes_in_both_encodings() {
        let part = |boundary: &str, name: &str, value: &str| {
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name={name}\r\n\r\n{value}\r\n--{boundary}--\r\n"
            )
        };
        for yes in [
            "List-Unsubscribe=One-Click",
            "a=b&List-Unsubscribe=One-Click\r\n",
            &part("----Form7MA4", "\"List-Unsubscribe\"", "One-Click"),
            &part("x", "List-Unsubscribe", "One-Click"),
        ] {
            assert!(is_one_click(yes), "{yes}");
        }
        for no in [
            "",
            "List-Unsubscribe=No",
            "x=List-Unsubscribe=One-Click",
            "--",
            &part("x", "\"comment\"", "One-Click"),
            &part("x", "\"List-Unsubscribe\"", "One-Click?"),
            &part("x", "\"comment\"", "List-Unsubscribe=One-Click"),
        ] {
            assert!(!is_one_click(no), "{no}");
        }
    }
}
