//! The attempts at a task: who tried when, what was noted, and until when it was put off or what came of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::store::{Error, Result};
use crate::time::Timestamp;

/// One attempt at a task, as it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// On the journey clock.
    pub at: Timestamp,
    pub who: String,
    /// Until when the task was put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Attempt {
    /// The line that is kept of it, which is only ever appended to others.
    pub(super) fn to_line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("it has no keys but texts");
        line.push('\n');
        line
    }

    /// As programs see it.
    pub fn as_json(&self) -> Json {
        json!({
            "at": self.at.to_string(), "who": self.who, "until": self.until.map(|at| at.to_string()),
            "outcome": self.outcome, "note": self.note,
        })
    }
}

/// The attempts of a task, oldest first.
pub(super) fn from_text(text: &str) -> Result<Vec<Attempt>> {
    let read = |line: &str| {
        serde_json::from_str(line)
            .map_err(|error| Error::Unreadable { what: "attempt at a task", why: error.to_string() })
    };
    text.lines().map(read).collect()
}
