//! The columns of a file of contacts: what each means, and the person that a row tells of.

use std::collections::BTreeMap;
use std::path::Path;

use csv::ByteRecord;
use serde::Deserialize;

use super::super::{Failure, print};
use super::consents::{moment, permit, proof};
use crate::engine::program::{Catalog, Word};
use crate::engine::world::{ConsentChange, Fields};
use crate::intake::{Who, check_attribute};
use crate::store::import::Person;
use crate::time::Timestamp;
use crate::value::{self, Type, Value};

/// What a column of the file means.
pub(super) enum Column {
    UserId,
    AnonymousId,
    Attribute(Word, Type),
    Consent(Word, Word),
    ConsentAt(Word, Word),
    /// What proves a consent: `text`, `source`, `evidence`.
    Proof(Word, Word, Proof),
    /// A column of a file of consents.
    OfConsent(&'static str),
    /// Not for us; told once.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Proof {
    Text,
    Source,
    Evidence,
}

/// What stands behind the name of a column with a consent.
const BEHIND: [(&str, Option<Proof>); 4] = [
    ("_at", None),
    ("_text", Some(Proof::Text)),
    ("_source", Some(Proof::Source)),
    ("_evidence", Some(Proof::Evidence)),
];

pub(super) fn columns(
    catalog: &Catalog,
    header: &ByteRecord,
    map: &BTreeMap<String, String>,
) -> Result<Vec<(String, Column)>, Failure> {
    let mut columns = Vec::new();
    for name in header {
        let name = spelled(name, map)?;
        let column = column(catalog, &name);
        if let Column::Consent(purpose, _) | Column::ConsentAt(purpose, _) | Column::Proof(purpose, ..) =
            &column
            && !catalog.is_purpose(purpose)
        {
            // A consent that is filed under a misspelled purpose would be lost without a word.
            return Err(Failure::usage(format!("the column `{name}` names no purpose: `{purpose}`"))
                .help(format!("there are {}", catalog.purpose_names().join(", "))));
        }
        columns.push((name, column));
    }
    let says_who = |column: &Column| match column {
        Column::UserId | Column::AnonymousId => true,
        Column::Attribute(name, _) => &**name == "email" || &**name == "phone",
        _ => false,
    };
    if !columns.iter().any(|(_, column)| says_who(column)) {
        return Err(Failure::usage("no column says who it is")
            .help("name one `user_id`, `anonymous_id`, `email` or `phone`, or use --map"));
    }
    tell_what_is_left_out(&columns, "the schema has no such attribute")?;
    Ok(columns)
}

/// A name of the header, as we call it.
pub(super) fn spelled(name: &[u8], map: &BTreeMap<String, String>) -> Result<String, Failure> {
    let name = std::str::from_utf8(name).map_err(|_| Failure::usage("the header is not UTF-8"))?;
    let name = name.trim_start_matches('\u{feff}').trim();
    Ok(map.get(name).map_or(name, String::as_str).to_owned())
}

pub(super) fn tell_what_is_left_out(columns: &[(String, Column)], why: &str) -> Result<(), Failure> {
    let unknown: Vec<&str> = columns
        .iter()
        .filter(|(_, column)| matches!(column, Column::Other))
        .map(|(name, _)| name.as_str())
        .collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => print(&format!("left out, since {why}: {}\n", unknown.join(", "))),
    }
}

fn column(catalog: &Catalog, name: &str) -> Column {
    if let Some(attribute) = catalog.attribute(name) {
        return Column::Attribute(attribute.name.clone(), attribute.ty.clone());
    }
    match name {
        "user_id" => Column::UserId,
        "anonymous_id" => Column::AnonymousId,
        _ => name
            .strip_prefix("consent_")
            .and_then(|rest| column_of_consent(catalog, rest))
            .unwrap_or(Column::Other),
    }
}

fn column_of_consent(catalog: &Catalog, rest: &str) -> Option<Column> {
    let pair = |rest: &str| {
        let (purpose, channel) = rest.rsplit_once('_')?;
        catalog.channels.contains_key(channel).then(|| (Word::from(purpose), Word::from(channel)))
    };
    let behind = BEHIND.iter().find_map(|(end, proof)| Some((pair(rest.strip_suffix(end)?)?, *proof)));
    match behind {
        Some(((purpose, channel), None)) => Some(Column::ConsentAt(purpose, channel)),
        Some(((purpose, channel), Some(proof))) => Some(Column::Proof(purpose, channel, proof)),
        None => pair(rest).map(|(purpose, channel)| Column::Consent(purpose, channel)),
    }
}

pub(super) fn person(
    columns: &[(String, Column)],
    record: &ByteRecord,
    now: Timestamp,
) -> Result<Person, String> {
    if record.len() != columns.len() {
        return Err(format!("{} fields where the header has {}", record.len(), columns.len()));
    }
    let (mut who, mut attributes) = (Who::default(), Fields::new());
    let (mut permits, mut times, mut proofs) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for ((name, column), cell) in columns.iter().zip(record) {
        let cell = std::str::from_utf8(cell)
            .map_err(|_| format!("`{name}` is not UTF-8; save the file as UTF-8"))?;
        let text = cell.trim();
        if text.is_empty() {
            continue;
        }
        match column {
            Column::UserId => who.user_id = Some(key(name, text)?),
            Column::AnonymousId => who.anonymous_id = Some(key(name, text)?),
            Column::Attribute(attribute, ty) => {
                let value =
                    value::from_text(ty, text).map_err(|misfit| format!("`{name}`: {}", misfit.message))?;
                check_attribute(&value).map_err(|why| format!("`{name}` {why}"))?;
                attributes.insert(attribute.clone(), value);
            }
            Column::Consent(purpose, channel) => {
                permits.push((purpose.clone(), channel.clone(), permit(name, text)?));
            }
            Column::ConsentAt(purpose, channel) => {
                times.insert((purpose.clone(), channel.clone()), moment(name, text, now)?);
            }
            Column::Proof(purpose, channel, proof) => {
                proofs.insert((purpose.clone(), channel.clone(), *proof), text);
            }
            Column::Other | Column::OfConsent(_) => {}
        }
    }
    who.email = attributes.get("email").and_then(Value::as_text).map(str::to_owned);
    who.phone = attributes.get("phone").and_then(Value::as_text).map(str::to_owned);
    if who == Who::default() {
        return Err("the row does not say who it is".to_owned());
    }
    let mut consents = Vec::with_capacity(permits.len());
    for (purpose, channel, permit) in permits {
        let at = times.get(&(purpose.clone(), channel.clone())).copied().unwrap_or(now);
        let said = |of| proofs.get(&(purpose.clone(), channel.clone(), of)).copied();
        let evidence = proof(said(Proof::Text), said(Proof::Source), said(Proof::Evidence))?;
        consents.push(ConsentChange { purpose, channel, permit, at, source: "import".into(), evidence });
    }
    Ok(Person { who, attributes, consents })
}

fn key(name: &str, text: &str) -> Result<String, String> {
    match text.len() <= 256 && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{name}` is longer than 256 bytes or contains control characters")),
    }
}

/// `[columns]` of a map: the file's name of a column to ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Map {
    columns: BTreeMap<String, String>,
}

pub(super) fn read_map(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let map: Map = toml::from_str(&text).map_err(|error| {
        Failure::usage(format!("{}: {}", path.display(), error.message()))
            .help("write [columns] and lines such as \"E-Mail\" = \"email\"")
    })?;
    Ok(map.columns)
}

pub(super) fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|e| {
        e.eq_ignore_ascii_case("jsonl") || e.eq_ignore_ascii_case("json") || e.eq_ignore_ascii_case("ndjson")
    })
}
