//! Pauses: what shall not leave the house until somebody lifts them. A durable state that is looked at before each send, not a queue
//! that is emptied: what is paused stays queued.

use std::fmt;

use super::sql::args;
use super::{Conn, Error, Result, Row};
use crate::engine::program::Word;
use crate::engine::world::Delivery;
use crate::time::Timestamp;

/// What is paused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Brake {
    /// Everything that leaves.
    All,
    /// What leaves through that channel.
    Channel(Word),
    /// What that journey sends.
    Journey(Word),
    /// What one step of a journey sends.
    Step { journey: Word, step: Word },
}

impl Brake {
    /// The word of its kind and the name, as they are stored and shown.
    pub fn words(&self) -> (&'static str, String) {
        match self {
            Brake::All => ("all", String::new()),
            Brake::Channel(channel) => ("channel", channel.to_string()),
            Brake::Journey(journey) => ("journey", journey.to_string()),
            Brake::Step { journey, step } => ("step", format!("{journey}.{step}")),
        }
    }

    /// Reads what [`Brake::words`] says; a step's name begins with its journey and a dot.
    pub fn read(kind: &str, name: &str) -> Option<Brake> {
        Some(match kind {
            "all" => Brake::All,
            "channel" => Brake::Channel(name.into()),
            "journey" => Brake::Journey(name.into()),
            "step" => {
                let (journey, step) = name.split_once('.')?;
                Brake::Step { journey: journey.into(), step: step.into() }
            }
            _ => return None,
        })
    }

    /// Whether it keeps that delivery from leaving.
    pub fn stops(&self, delivery: &Delivery) -> bool {
        match self {
            Brake::All => true,
            Brake::Channel(channel) => *channel == delivery.channel,
            Brake::Journey(journey) => *journey == delivery.journey,
            Brake::Step { journey, step } => *journey == delivery.journey && *step == delivery.step,
        }
    }
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            ("all", _) => f.write_str("everything"),
            (kind, name) => write!(f, "{kind} `{name}`"),
        }
    }
}

/// A pause that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    pub brake: Brake,
    /// By the machine's clock of who paused it.
    pub since: Timestamp,
    pub author: String,
}

/// Pauses it; whether it was not paused before.
pub async fn pause(tx: &mut Conn, brake: &Brake, author: &str, now: Timestamp) -> Result<bool> {
    const PAUSE: &str =
        "INSERT INTO brakes (kind, name, since, author) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    let (kind, name) = brake.words();
    let paused = tx.exec(PAUSE, args![kind, name, now, author]).await? == 1;
    tx.hint_due().await?;
    Ok(paused)
}

/// Lifts that pause; whether it stood.
pub async fn resume(tx: &mut Conn, brake: &Brake) -> Result<bool> {
    const RESUME: &str = "DELETE FROM brakes WHERE kind = $1 AND name = $2";
    let (kind, name) = brake.words();
    let stood = tx.exec(RESUME, args![kind, name]).await? == 1;
    tx.hint_due().await?;
    Ok(stood)
}

/// All pauses that stand.
pub async fn standing(conn: &mut Conn) -> Result<Vec<Paused>> {
    const STANDING: &str = "SELECT kind, name, since, author FROM brakes ORDER BY kind, name";
    let read = |row: &Row| {
        let (kind, name) = (row.text(0)?, row.text(1)?);
        let unreadable = || Error::Unreadable { what: "pause", why: format!("of kind `{kind}`") };
        let brake = Brake::read(kind, name).ok_or_else(unreadable)?;
        Ok(Paused { brake, since: row.at(2)?, author: row.text(3)?.to_owned() })
    };
    conn.fetch(STANDING, Vec::new()).await?.iter().map(read).collect()
}
