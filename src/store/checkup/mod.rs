//! Looks whether the database is as it should be, for `doctor`: what is wrong, what that means, and what to do about it.
//!
//! - `server`: the database itself, its settings and room, clocks, who works on it, what waits
//! - `rows`: each row by itself: whether it can be read, and has a place
//! - `sums`: rows against each other: what refers to what, what is counted
//!
//! The last two read everything, in one transaction that only reads, so that all is of one moment and nobody has to wait.
//!
//! A row that was changed by a failing disk and still makes sense is not found by its content: rows have no checksums. What is found
//! is what SQLite or PostgreSQL notice (a PostgreSQL with data checksums notices all), what cannot be read, and what contradicts another row.

mod rows;
mod server;
mod sums;

use serde::Serialize;

use super::{Dialect, Result, Store};
use crate::time::Timestamp;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be; worth knowing.
    Fine,
    /// Should be seen to.
    Warning,
    /// Does not work, or harms.
    Error,
}

/// What was found; its JSON is an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, such as `database.room`.
    pub check: &'static str,
    pub level: Level,
    pub message: String,
    /// What that means for the people who run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub means: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn fine(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { check, level: Level::Fine, message: message.into(), means: None, help: None }
    }

    /// Should be seen to.
    pub fn warning(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { level: Level::Warning, ..Finding::fine(check, message) }
    }

    /// Does not work, or harms.
    pub fn error(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { level: Level::Error, ..Finding::fine(check, message) }
    }

    /// Says what that means.
    #[must_use]
    pub fn means(mut self, text: impl Into<String>) -> Finding {
        self.means = Some(text.into());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Finding {
        self.help = Some(text.into());
        self
    }
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// Takes up what a look found. One that the database refuses is a finding too: damage shows so.
    fn take(&mut self, check: &'static str, looked: Result<Vec<Finding>>) {
        match looked {
            Ok(findings) => self.0.extend(findings),
            Err(error) => self.push(
                Finding::error(check, format!("it cannot be looked at: {error}"))
                    .means("the database is damaged, or went away meanwhile")
                    .help(DAMAGED),
            ),
        }
    }
}

/// What to do about damage.
const DAMAGED: &str = "stop the daemon, keep the damaged files, and restore the last backup (README, \"Run it\"); a disk that does this \
    once does it again";

/// Looks at everything at that moment; without `deep`, only at what takes no time however much there is.
pub async fn look(store: &Store, now: Timestamp, deep: bool) -> Vec<Finding> {
    let mut findings = Findings::default();
    server::look(store, now, deep, &mut findings).await;
    if deep {
        let read = read_all(store, &mut findings).await;
        findings.take("rows", read.map(|()| Vec::new()));
    }
    findings.0
}

async fn read_all(store: &Store, findings: &mut Findings) -> Result<()> {
    let mut conn = store.read().await?;
    let begin = match conn.dialect() {
        Dialect::Sqlite => "BEGIN",
        Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    conn.exec(begin, Vec::new()).await?;
    let mut seen = rows::Seen::default();
    let read = rows::look(&mut conn, &mut seen).await;
    // PostgreSQL lets nothing more be asked after an error.
    let goes_on = conn.dialect() == Dialect::Sqlite || read.is_ok();
    findings.take("rows", read);
    if goes_on {
        for (check, looked) in sums::look(&mut conn, &seen).await {
            findings.take(check, looked);
        }
    }
    conn.exec("ROLLBACK", Vec::new()).await?;
    Ok(())
}

/// `1 row`, `2 rows`.
fn rows_of(count: i64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}
