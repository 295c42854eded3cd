//! The script of the demo: the sample contacts and events of the shop, moved in time so that day 0 is today.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use super::super::load::Project;
use super::super::{Failure, import};
use crate::store::Store;
use crate::time::{DAY, Timestamp};

/// Day 0 of the sample files.
const DAY_ZERO: &str = "2026-03-02T00:00:00Z";
/// Items posted in one request.
const TOGETHER: usize = 50;

/// What is still to be played.
pub(super) struct Script {
    contacts: String,
    history: Vec<Value>,
    coming: VecDeque<(Timestamp, Value)>,
    /// User ids by e-mail address.
    pub people: HashMap<String, String>,
}

impl Script {
    /// Reads the samples of the project and moves them so that day 0 is at `begins`.
    pub(super) fn read(project: &Project, begins: Timestamp) -> Result<Script, Failure> {
        let sample = |name: &str| {
            let path = project.root.join("samples").join(name);
            std::fs::read_to_string(&path)
                .map_err(|error| Failure::world(format!("{}: {error}", path.display())))
        };
        let (contacts, events) = (sample("contacts.csv")?, sample("events.jsonl")?);
        let zero: Timestamp = DAY_ZERO.parse().map_err(|_| Failure::world("day 0 is no moment"))?;
        // Whole days, so that people keep their time of day.
        let shift = (begins.0 - zero.0).div_euclid(DAY) * DAY;
        let mut people = addresses(&contacts);
        let (mut history, mut coming) = (Vec::new(), Vec::new());
        for line in events.lines() {
            let mut item: Value = serde_json::from_str(line)
                .map_err(|error| Failure::world(format!("events.jsonl: {error}")))?;
            let at: Timestamp = item["timestamp"].as_str().and_then(|text| text.parse().ok()).unwrap_or(zero);
            let moved = at.plus_ms(shift);
            item["timestamp"] = json!(moved.to_string());
            // What an event tells of another day, such as when a tasting begins, moves with it.
            for value in item["properties"].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
                let told = value.as_str().filter(|text| text.contains('T') && text.ends_with('Z'));
                if let Some(told) = told.and_then(|text| text.parse::<Timestamp>().ok()) {
                    *value = json!(told.plus_ms(shift).to_string());
                }
            }
            if let (Some(user), Some(email)) = (item["userId"].as_str(), item["traits"]["email"].as_str()) {
                people.insert(email.to_owned(), user.to_owned());
            }
            if at < zero { history.push(item) } else { coming.push((moved, item)) }
        }
        coming.sort_by_key(|(at, _)| *at);
        Ok(Script { contacts: move_times(&contacts, shift), history, coming: coming.into(), people })
    }

    /// Brings in contacts and history, quietly.
    pub(super) async fn import(&self, store: &Store, now: Timestamp) -> Result<(), Failure> {
        import::contacts_from(store, self.contacts.as_bytes(), now).await?;
        import::events_from(store, &self.history, now).await
    }

    /// The items that are due, as bodies for `/v1/batch`.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Value> {
        let mut items = Vec::new();
        while self.coming.front().is_some_and(|(at, _)| *at <= now) {
            items.extend(self.coming.pop_front().map(|(_, item)| item));
        }
        items.chunks(TOGETHER).map(|items| json!({ "batch": items })).collect()
    }
}

fn addresses(contacts: &str) -> HashMap<String, String> {
    let mut reader = csv::Reader::from_reader(contacts.as_bytes());
    let rows = reader.deserialize::<HashMap<String, String>>().flatten();
    rows.filter_map(|mut row| Some((row.remove("email")?, row.remove("user_id")?))).collect()
}

/// Moves the moments in a CSV text (cells such as `2026-01-05T10:00:00Z`) by whole days.
fn move_times(contacts: &str, shift: i64) -> String {
    let move_cell = |cell: &str| match cell.parse::<Timestamp>() {
        Ok(at) if cell.contains('T') && cell.ends_with('Z') => at.plus_ms(shift).to_string(),
        _ => cell.to_owned(),
    };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(contacts.as_bytes());
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in reader.records().flatten() {
        if writer.write_record(record.iter().map(move_cell)).is_err() {
            break;
        }
    }
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}
