//! Why somebody got something or did not: for each journey what was decided, and where nothing was, what kept them out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::batch::Batch;
use super::held::Held;
use super::journeys::Deployed;
use super::{Conn, Result, audience, brakes, journeys, names};
use crate::engine::explain;
use crate::engine::program::Word;
use crate::engine::world::{Note, What};
use crate::id::DeliveryId;
use crate::story::Told;
use crate::time::Timestamp;

/// What is told of one person and one journey.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    pub journey: Word,
    /// The answer in one line, without a period at its end.
    pub answer: String,
    /// What was decided, oldest first.
    pub told: Vec<Told>,
}

impl Story {
    /// Its shape is an interface.
    pub fn as_json(&self) -> Json {
        let told = self.told.iter().map(|told| json!({ "at": told.at.to_string(), "text": told.text }));
        json!({ "journey": self.journey, "answer": self.answer, "decisions": told.collect::<Vec<_>>() })
    }
}

/// The stories of all journeys, or of one; deployed ones and those that the person was in.
pub async fn stories(conn: &mut Conn, held: &Held, only: Option<&str>, now: Timestamp) -> Result<Vec<Story>> {
    let deployed = journeys::deployed(conn).await?;
    let mut names: BTreeSet<Word> = deployed.current.keys().cloned().collect();
    names.extend(held.enrollments.iter().map(|line| line.journey.clone()));
    names.extend(held.history.iter().filter_map(|note| note.journey.clone()));
    if let Some(only) = only {
        names.retain(|name| **name == *only);
    }
    let mut ground = Ground::of(conn, held, deployed, now).await?;
    let mut stories = Vec::new();
    for journey in names {
        let notes: Vec<&Note> =
            held.history.iter().filter(|note| note.journey.as_ref() == Some(&journey)).collect();
        let answer = answer(conn, held, &journey, &notes, &mut ground).await?;
        stories.push(Story { answer, told: held.teller.tell(&notes), journey });
    }
    Ok(stories)
}

/// What all stories of a person stand on, read once however many there are.
struct Ground {
    deployed: Arc<Deployed>,
    standing: Vec<brakes::Paused>,
    firings: Vec<audience::HeldFiring>,
    /// When each journey first took people in.
    opened: BTreeMap<Word, Timestamp>,
    /// With the facts that were loaded for the stories before.
    batch: Batch,
}

impl Ground {
    async fn of(conn: &mut Conn, held: &Held, deployed: Arc<Deployed>, now: Timestamp) -> Result<Ground> {
        let mut batch = Batch::new(conn.core.bucket_of(held.contact.id), now, deployed.clone());
        batch.regard(held.contact.id, held.contact.attributes.clone());
        Ok(Ground {
            deployed,
            standing: brakes::standing(conn).await?,
            firings: audience::held(conn).await?,
            opened: opened(conn).await?,
            batch,
        })
    }
}

/// The story of one delivery: what was decided at its step in its journey, and what became of it.
pub fn of_delivery(held: &Held, id: DeliveryId) -> Option<Story> {
    let line = held.deliveries.iter().find(|line| line.id == id)?;
    let fate = held.teller.deliveries.get(&id)?;
    let queued = |note: &&Note| matches!(note.what, What::Queued { delivery, .. } if delivery == id);
    let decided = |note: &&Note| matches!(note.what, What::Decided { delivery, .. } if delivery == id);
    let at = held.history.iter().find(queued);
    let same = |note: &&Note| {
        let step = at.is_some_and(|at| {
            (at.enrollment, &at.step, at.round) == (note.enrollment, &note.step, note.round)
        });
        step || decided(note)
    };
    let notes: Vec<&Note> = held.history.iter().filter(same).collect();
    Some(Story {
        journey: line.journey.clone(),
        answer: held.teller.fate(fate),
        told: held.teller.tell(&notes),
    })
}

/// Where the person stands with that journey, in one line.
async fn answer(
    conn: &mut Conn,
    held: &Held,
    journey: &Word,
    notes: &[&Note],
    ground: &mut Ground,
) -> Result<String> {
    let teller = &held.teller;
    let newest = held.enrollments.iter().rev().find(|line| line.journey == *journey);
    if let Some(line) = newest {
        let entered = teller.moment(line.entered_at);
        let mut text = match (line.ended_at, &line.reason) {
            (Some(at), Some(reason)) => {
                format!("entered on {entered}, and left as `{reason}` on {}", teller.moment(at))
            }
            (Some(at), None) => format!("entered on {entered}, and left on {}", teller.moment(at)),
            (None, _) => format!("entered on {entered}, and is inside"),
        };
        let stops = |paused: &&brakes::Paused| {
            matches!(&paused.brake, brakes::Brake::All)
                || matches!(&paused.brake, brakes::Brake::Journey(name) if name == journey)
        };
        if let (None, Some(paused)) = (line.ended_at, ground.standing.iter().find(stops)) {
            text.push_str(&format!("; {} is paused by {}, so nothing leaves", paused.brake, paused.author));
        }
        return Ok(text);
    }
    let Some(program) = ground.deployed.current.get(journey).cloned() else {
        return Ok("never entered: it takes nobody in any more".to_owned());
    };
    let refused = notes.iter().rev().find(|note| matches!(note.what, What::NotEntered { .. }));
    let opened = ground.opened.get(journey).copied();
    let look = |facts: &crate::engine::facts::Facts<'_>| {
        let knock = explain::newest_knock(facts, &program)?;
        Ok((knock, explain::absence(facts, &program, opened)?))
    };
    let Some((knock, obstacles)) = ground.batch.look(conn, held.contact.id, look).await? else {
        return Ok("never entered".to_owned());
    };
    // A refusal at the door says it all, unless an event came since that did not get so far.
    if let Some(note) = refused.filter(|note| knock.is_none_or(|at| at <= note.at)) {
        let told = teller.note(note).unwrap_or_default();
        return Ok(format!("never entered: on {} the person {told}", teller.moment(note.at)));
    }
    if let Some(firing) = ground.firings.iter().find(|firing| firing.journey == *journey) {
        let why = match firing.before {
            Some(before) => format!("and the one before took in {before}"),
            None => format!("and {} are allowed", firing.most),
        };
        return Ok(format!(
            "never entered: the firing of {} is held, since it would take in {} people {why}",
            teller.moment(firing.at),
            firing.count
        ));
    }
    let told: Vec<String> = obstacles.iter().map(|obstacle| teller.obstacle(obstacle)).collect();
    Ok(format!("never entered: {}", told.join("; or ")))
}

/// When each journey first took people in.
async fn opened(conn: &mut Conn) -> Result<BTreeMap<Word, Timestamp>> {
    const OPENED: &str = "SELECT journey, MIN(made_at) FROM programs GROUP BY journey";
    let rows = conn.fetch(OPENED, Vec::new()).await?;
    let numbers: Vec<i64> = rows.iter().map(|row| row.i64(0)).collect::<Result<_>>()?;
    let words = names::spell(conn, numbers).await?;
    let mut opened = BTreeMap::new();
    for row in &rows {
        if let Some(at) = row.opt_at(1)? {
            opened.insert(names::spelled(&words, row.i64(0)?)?, at);
        }
    }
    Ok(opened)
}
