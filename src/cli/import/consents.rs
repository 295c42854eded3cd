//! `fahrplan import consents FILE`: what a file says of who has agreed to what; and what of it may stand in columns of a file of
//! contacts.

use std::collections::BTreeMap;
use std::sync::Arc;

use csv::ByteRecord;
use serde_json::Value as Json;

use super::super::Failure;
use super::columns::{Column, person, spelled, tell_what_is_left_out};
use crate::engine::program::{Catalog, Word};
use crate::engine::world::ConsentChange;
use crate::intake;
use crate::store::import::Person;
use crate::time::Timestamp;
use crate::value::{self, Type, Value};

/// The columns of a file of consents.
const OF_CONSENTS: [&str; 7] = ["purpose", "channel", "permit", "at", "text", "source", "evidence"];

pub(super) fn columns_of_consents(
    header: &ByteRecord,
    map: &BTreeMap<String, String>,
) -> Result<Vec<(String, Column)>, Failure> {
    let mut columns = Vec::new();
    for name in header {
        let name = spelled(name, map)?;
        let column = match name.as_str() {
            "user_id" => Column::UserId,
            "anonymous_id" => Column::AnonymousId,
            "email" => Column::Attribute("email".into(), Type::Email),
            "phone" => Column::Attribute("phone".into(), Type::Phone),
            name => OF_CONSENTS
                .iter()
                .find(|known| **known == name)
                .map_or(Column::Other, |name| Column::OfConsent(name)),
        };
        columns.push((name, column));
    }
    let has = |wanted: &str| columns.iter().any(|(name, _)| name == wanted);
    if !["user_id", "anonymous_id", "email", "phone"].into_iter().any(has) {
        return Err(Failure::usage("no column says who it is")
            .help("name one `user_id`, `anonymous_id`, `email` or `phone`, or use --map"));
    }
    if let Some(missing) = ["purpose", "channel", "permit"].into_iter().find(|name| !has(name)) {
        return Err(Failure::usage(format!("the column `{missing}` is missing")).help(format!(
            "a file of consents has {}; `at` and what follows may be left out",
            OF_CONSENTS.join(", ")
        )));
    }
    tell_what_is_left_out(&columns, "no column of a consent")?;
    Ok(columns)
}

/// One consent of a file of consents.
pub(super) fn consent(
    catalog: &Catalog,
    columns: &[(String, Column)],
    record: &ByteRecord,
    now: Timestamp,
) -> Result<Person, String> {
    let mut said: BTreeMap<&str, &str> = BTreeMap::new();
    if record.len() == columns.len() {
        for ((name, column), cell) in columns.iter().zip(record) {
            if let Column::OfConsent(field) = column {
                let cell = std::str::from_utf8(cell)
                    .map_err(|_| format!("`{name}` is not UTF-8; save the file as UTF-8"))?;
                said.insert(field, cell.trim());
            }
        }
    }
    let mut person = person(columns, record, now)?;
    let get = |name: &str| said.get(name).copied().filter(|text| !text.is_empty());
    let word = |name: &str| get(name).map(Word::from).ok_or_else(|| format!("`{name}` is empty"));
    let (purpose, channel) = (word("purpose")?, word("channel")?);
    if !catalog.is_purpose(&purpose) {
        return Err(format!(
            "`purpose`: there is no `{purpose}`; there are {}",
            catalog.purpose_names().join(", ")
        ));
    }
    if !catalog.channels.contains_key(&channel) {
        return Err(format!("`channel`: there is no `{channel}`"));
    }
    let permit = permit("permit", get("permit").unwrap_or_default())?;
    let at = get("at").map_or(Ok(now), |text| moment("at", text, now))?;
    let evidence = proof(get("text"), get("source"), get("evidence"))?;
    person.consents = vec![ConsentChange { purpose, channel, permit, at, source: "import".into(), evidence }];
    Ok(person)
}

pub(super) fn permit(name: &str, text: &str) -> Result<bool, String> {
    match value::from_text(&Type::YesNo, text) {
        Ok(Value::Bool(permit)) => Ok(permit),
        _ => Err(format!("`{name}`: expected yes or no, found \"{text}\"")),
    }
}

pub(super) fn moment(name: &str, text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let at: Timestamp =
        text.parse().map_err(|_| format!("`{name}`: expected a moment such as 2026-12-24T10:00:00Z"))?;
    // The newest decision holds, so one of tomorrow would outlast a withdrawal of today.
    match at > now.plus_ms(intake::CLOCK_SKEW) {
        true => Err(format!("`{name}`: {text} lies in the future")),
        false => Ok(at),
    }
}

pub(super) fn proof(
    text: Option<&str>,
    source: Option<&str>,
    evidence: Option<&str>,
) -> Result<Option<Arc<str>>, String> {
    // JSON stays JSON; anything else is the text that it is.
    let more = evidence.map(|text| serde_json::from_str(text).unwrap_or_else(|_| Json::from(text)));
    intake::evidence(text, source, more.as_ref()).map_err(|why| why.reason)
}
