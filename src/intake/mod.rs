//! What comes in from outside, read against the schema: items of the Segment tracking API into what the inbox takes.
//!
//! Pure: doors and imports call it with the catalog and the time. A bad item is refused alone, with the place and a reason that
//! names a way out; the others go on.
//!
//! - here: what is read
//! - `segment`: items of the Segment API; `consent`: permissions; `arguments`: those of a journey that is started by hand
//! - `mail`: mails, in answer to ours or to report of them
//! - `answers`: what people answer to surveys; `samples`: what they might, for rehearsals

pub mod answers;
mod arguments;
mod consent;
pub mod mail;
pub mod samples;
mod segment;
#[cfg(test)]
mod tests;

pub use self::arguments::read_arguments;
pub use self::consent::{Consent, Whom, evidence, read_consent};
pub use self::segment::read_item;

use serde::Serialize;

use crate::engine::program::Word;
use crate::engine::world::Fields;
use crate::time::{MINUTE, Timestamp};
use crate::value::Value;

/// How far an event's clock may run ahead of ours before it is set to the moment of acceptance plus this.
pub const CLOCK_SKEW: i64 = 5 * MINUTE;
/// The longest name, id or text of an identity.
const LONGEST_KEY: usize = 256;
/// The longest text in an attribute or property.
const LONGEST_TEXT: usize = 8_192;
/// The deepest nesting of one item.
const DEEPEST: usize = 64;

/// Whom an item speaks of: at least one is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    pub user_id: Option<String>,
    pub anonymous_id: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    /// What the user id was before, or the anonymous id that it takes over from.
    pub previous_id: Option<String>,
}

impl Who {
    /// Whether it has more than one identity, and so says that they are one person.
    pub fn links(&self) -> bool {
        let all = [&self.user_id, &self.anonymous_id, &self.email, &self.phone, &self.previous_id];
        all.into_iter().flatten().count() > 1
    }
}

/// One item that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub who: Who,
    /// Repeats with the same id within seven days are dropped.
    pub message_id: Option<String>,
    pub what: Act,
}

/// What an item does.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Event {
        name: Word,
        occurred_at: Timestamp,
        fields: Fields,
    },
    /// Attributes to set; a value of `Unknown` clears one.
    Attributes(Fields),
    /// Nothing that the schema has a place for: who is who is all it says.
    Nothing,
}

/// Why an item, or a part of it, was not taken. Kept and listed, so that it can be mended and tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// A stable word for machines: `unknown-event`, `wrong-type`, `no-identity`, …
    pub code: &'static str,
    /// For people: what is wrong and what to do.
    pub reason: String,
}

impl Rejected {
    /// Why, as a word and as a sentence.
    pub fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Rejected { code, reason: reason.into() }
    }
}

/// An item that was read; parts that did not fit stand beside what did.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    pub item: Item,
    /// Traits that did not fit their attribute, by its name; the others are taken.
    pub rejected: Vec<(Word, Rejected)>,
}

/// When a request was sent by its client's clock and received by ours, to mend a wrong client clock.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    pub sent_at: Option<Timestamp>,
    pub received_at: Timestamp,
}

/// Refuses what [`check_text`] refuses, and line breaks: a name with a line break must never reach a mail header.
pub fn check_attribute(value: &Value) -> Result<(), String> {
    match value {
        Value::Text(text) if text.contains(['\r', '\n']) => Err("contains a line break".to_owned()),
        value => check_text(value),
    }
}

/// Refuses texts that are too long or carry control characters other than line breaks and tabs.
pub fn check_text(value: &Value) -> Result<(), String> {
    match value {
        Value::Text(text) if text.len() > LONGEST_TEXT => Err(format!("longer than {LONGEST_TEXT} bytes")),
        Value::Text(text) if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t' && c != '\r') => {
            Err("contains control characters".to_owned())
        }
        Value::List(items) => items.iter().try_for_each(check_text),
        Value::Record(fields) => fields.values().try_for_each(check_text),
        _ => Ok(()),
    }
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
