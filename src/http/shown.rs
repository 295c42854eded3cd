//! How the pages behind the log-in show moments, names and values.

use serde_json::Value as Json;

use super::pages::Language;
use crate::engine::program::Catalog;
use crate::time::{Timestamp, Zone};

/// The project's zone.
pub(super) fn zone(catalog: &Catalog) -> Zone {
    Zone::named(&catalog.zone).unwrap_or_else(Zone::utc)
}

/// `Mo 2026-05-04 10:00`, `Mon 2026-05-04 10:00`.
pub(super) fn local(zone: &Zone, at: Timestamp, language: Language) -> String {
    const DE: [&str; 7] = ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"];
    const EN: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let (date, time) = zone.local(at);
    let day = usize::from(date.weekday()).saturating_sub(1).min(6);
    format!("{} {date} {:02}:{:02}", language.pick(DE[day], EN[day]), time.hour(), time.minute())
}

/// A name of the schema as people read it.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A value as people read it.
pub(super) fn in_words(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(list) => list.iter().map(in_words).collect::<Vec<_>>().join(", "),
        Json::Object(map) => {
            let fields: Vec<String> =
                map.iter().map(|(k, v)| format!("{}: {}", words(k), in_words(v))).collect();
            fields.join(" · ")
        }
        other => other.to_string(),
    }
}
