//! Schedules that fire for everybody at once: `enter at`, `enter every monday`, `enter cron` in project time or a named zone.
//!
//! A firing is a job with a key of its own, so it exists once, whoever starts it and however often. What was missed while nobody ran
//! fires once, late, if it is less than a day old; older firings are left out. One that would take in more people than the policy
//! allows, or far more than the one before, is held as a whole: see [`super::audience`].

use super::audience::{self, HeldFiring, Limit};
use super::{Conn, Result, Store, jobs, journeys, settings};
use crate::clock::machine_now;
use crate::engine::program::Word;
use crate::engine::schedule::next_fire;
use crate::engine::world::Input;
use crate::time::{DAY, Timestamp};

/// Firings of one entry that are looked at after an outage.
const MISSED: usize = 1_000;

/// A firing that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    pub journey: Word,
    pub entry: u16,
    /// The last of those that were missed, itself included.
    pub at: Timestamp,
    pub missed: usize,
}

/// The firings that are due at that moment of the journey clock, and when the next one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub due: Vec<Firing>,
    pub next: Timestamp,
}

/// Looks at all schedules that are deployed. An entry that was never looked at begins now.
pub async fn look(store: &Store, now: Timestamp) -> Result<Schedule> {
    let mut conn = store.read().await?;
    let deployed = journeys::deployed(&mut conn).await?;
    let mut schedule = Schedule { due: Vec::new(), next: Timestamp::NEVER };
    let mut new = Vec::new();
    for (journey, program) in &deployed.current {
        for (entry, number) in program.entries.iter().zip(0..) {
            let next = |after| next_fire(&deployed.catalog, entry, after);
            if next(Timestamp(0)).is_none() {
                continue;
            }
            let key = setting(journey, number);
            let after = match last(&mut conn, &key).await? {
                Some(after) => after,
                None => {
                    new.push(key);
                    now
                }
            };
            let missed =
                std::iter::successors(next(after), |at| next(*at)).take_while(|at| *at <= now).take(MISSED);
            let missed: Vec<Timestamp> = missed.collect();
            if let Some(at) = missed.last() {
                schedule.due.push(Firing {
                    journey: journey.clone(),
                    entry: number,
                    at: *at,
                    missed: missed.len(),
                });
            }
            let from = missed.last().copied().unwrap_or(after);
            schedule.next = schedule.next.min(next(from).unwrap_or(Timestamp::NEVER));
        }
    }
    drop(conn);
    if !new.is_empty() {
        let mut tx = store.write().await?;
        for key in new {
            settings::set(&mut tx, &key, &now.0.to_string()).await?;
        }
        tx.commit().await?;
    }
    Ok(schedule)
}

/// What became of a firing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fired {
    Started,
    /// It was due more than a day ago.
    TooOld,
    /// It would take in too many people.
    Held(HeldFiring),
}

/// Starts the job of a firing, unless it is too old or would take in too many people.
pub async fn fire(store: &Store, firing: &Firing, now: Timestamp) -> Result<Fired> {
    let Firing { journey, entry, at, .. } = firing;
    let (key, input) = (
        format!("fire {journey} {entry} {}", at.0),
        Input::Fire { journey: journey.clone(), entry: *entry, at: *at },
    );
    let (fired, count) = match now.0 - at.0 < DAY {
        true => guard(store, firing, &key, &input, now).await?,
        false => (Fired::TooOld, None),
    };
    let mut tx = store.write().await?;
    let setting = setting(journey, *entry);
    // Another daemon may have been quicker, and somebody may have let it go on already.
    if last(&mut tx, &setting).await?.is_some_and(|last| last >= *at) {
        return Ok(fired);
    }
    match &fired {
        Fired::Started => {
            jobs::start(&mut tx, &key, &input).await?;
            if let Some(count) = count {
                audience::takes(&mut tx, journey, *entry, count).await?;
            }
        }
        Fired::Held(held) => audience::hold(&mut tx, held, &input).await?,
        Fired::TooOld => {}
    }
    settings::set(&mut tx, &setting, &at.0.to_string()).await?;
    tx.commit().await?;
    Ok(fired)
}

/// Whether the guards let so many people in at once, and how many they are, if they were counted.
async fn guard(
    store: &Store,
    firing: &Firing,
    key: &str,
    input: &Input,
    now: Timestamp,
) -> Result<(Fired, Option<i64>)> {
    let Firing { journey, entry, at, .. } = firing;
    let mut conn = store.read().await?;
    let deployed = journeys::deployed(&mut conn).await?;
    let limit = audience::limit(&mut conn, &deployed, journey, *entry).await?;
    drop(conn);
    let program = deployed.current.get(journey);
    let entries = program.map_or(&[][..], |program| &program.entries);
    let comes_again = entries
        .get(usize::from(*entry))
        .is_some_and(|entry| next_fire(&deployed.catalog, entry, now.max(*at)).is_some());
    if limit.is_none() && !comes_again {
        return Ok((Fired::Started, None));
    }
    let counts = audience::count(store, &deployed, input, now).await?;
    let count = counts.get(journey).copied().unwrap_or(0);
    let Some(Limit { most, before }) = limit.filter(|limit| count > limit.most) else {
        return Ok((Fired::Started, Some(count)));
    };
    let (key, journey) = (key.to_owned(), journey.clone());
    let held = HeldFiring { key, journey, at: *at, count, most, before, held_at: machine_now() };
    Ok((Fired::Held(held), Some(count)))
}

fn setting(journey: &Word, entry: u16) -> String {
    format!("fired {journey} {entry}")
}

async fn last(conn: &mut Conn, key: &str) -> Result<Option<Timestamp>> {
    Ok(settings::get(conn, key).await?.and_then(|text| text.parse().ok()).map(Timestamp))
}
