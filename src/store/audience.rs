//! The guards of firings: one that would take in more people than the policy allows (`max audience`), or far more than the firing of the
//! same entry before, is held as a whole, before the first, until somebody allows it.
//!
//! A firing is counted by asking the engine about every contact, as the firing itself would, with nothing written. While the guards
//! allow it, nobody notices; one that comes once and that no rule concerns is not counted. A deploy of a journey that takes in who is there
//! already (`including existing`) is counted in the same way, and refused; there everybody counts for whom something waits in an inbox,
//! since nobody knows yet who that makes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::Batch;
use super::journeys::{self, Deployed, Release};
use super::sql::args;
use super::{Conn, Error, Result, Row, Store, contacts, jobs, settings};
use crate::engine::program::{Catalog, Entry, MaxAudience, Program, Word};
use crate::engine::world::{Cause, Input};
use crate::time::Timestamp;

/// Contacts that are asked about together.
const SLICE: i64 = 2_000;

/// What an operator has allowed beyond the policy: a deploy and a number. It ends with the next deploy.
const ALLOWED: &str = "audience allowed";

/// A firing that takes in so many times as many as the one before, and more than so many, is a mistake until somebody says otherwise.
const JUMP: i64 = 10;
const JUMP_LEAST: i64 = 1_000;

/// A firing that waits for a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFiring {
    pub key: String,
    pub journey: Word,
    /// When it was due, on the journey clock.
    pub at: Timestamp,
    /// How many it would take in.
    pub count: i64,
    /// How many are allowed.
    pub most: i64,
    /// How many the firing before took in, if it is held for that; `None`: by the policy.
    pub before: Option<i64>,
    pub held_at: Timestamp,
}

/// How many people one firing may take in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) most: i64,
    /// As in [`HeldFiring`].
    pub(super) before: Option<i64>,
}

/// How many people one firing of that entry may take in; `None`: as many as there are.
pub(super) async fn limit(
    conn: &mut Conn,
    deployed: &Deployed,
    journey: &Word,
    entry: u16,
) -> Result<Option<Limit>> {
    let program = deployed.current.get(journey);
    let policy = program.and_then(|program| rule(&deployed.catalog, program));
    let policy = policy.map(|most| Limit { most, before: None });
    let before = settings::get(conn, &took(journey, entry)).await?.and_then(|text| text.parse().ok());
    let jump = before
        .map(|count: i64| Limit { most: count.saturating_mul(JUMP).max(JUMP_LEAST), before: Some(count) });
    let Some(limit) = policy.into_iter().chain(jump).min_by_key(|limit| limit.most) else { return Ok(None) };
    let allowed = allowed(conn, deployed.generation).await?;
    Ok(Some(Limit { most: limit.most.max(allowed), ..limit }))
}

/// Where it stands how many the last firing of an entry took in.
fn took(journey: &Word, entry: u16) -> String {
    format!("took {journey} {entry}")
}

/// A firing of that entry takes in so many: the measure of the next one.
pub(super) async fn takes(tx: &mut Conn, journey: &Word, entry: u16, count: i64) -> Result<()> {
    settings::set(tx, &took(journey, entry), &count.to_string()).await
}

/// What the policy says.
fn rule(catalog: &Catalog, program: &Program) -> Option<i64> {
    let purpose = &program.purpose;
    let concerned = |rule: &&MaxAudience| catalog.lineage(purpose).any(|purpose| *purpose == rule.purpose);
    catalog.policy.audiences.iter().filter(concerned).map(|rule| i64::from(rule.most)).min()
}

async fn allowed(conn: &mut Conn, generation: i64) -> Result<i64> {
    let text = settings::get(conn, ALLOWED).await?.unwrap_or_default();
    let mut numbers = text.split(' ').map(str::parse::<i64>);
    Ok(match (numbers.next(), numbers.next()) {
        (Some(Ok(of)), Some(Ok(number))) if of == generation => number,
        _ => 0,
    })
}

/// How many people the input would take into each journey, over all contacts.
pub(super) async fn count(
    store: &Store,
    deployed: &Arc<Deployed>,
    input: &Input,
    now: Timestamp,
) -> Result<BTreeMap<Word, i64>> {
    let mut counts = BTreeMap::new();
    for bucket in store.buckets() {
        let mut after = 0;
        loop {
            let mut conn = store.read().await?;
            let ids = jobs::contacts_after(&mut conn, bucket, after, i64::MAX, SLICE).await?;
            let Some(last) = ids.last() else { break };
            after = last.0;
            let found = contacts::of_batch(&mut conn, bucket, ids.into_iter().map(|id| (id, false))).await?;
            let people = found.into_iter().map(|(id, found)| (id, found.attributes)).collect();
            let batch = Batch::new(bucket, now, deployed.clone());
            for journey in batch.would_enter(&mut conn, people, input).await? {
                *counts.entry(journey).or_default() += 1;
            }
        }
    }
    Ok(counts)
}

/// A journey that a deploy would fill beyond what is allowed, since it takes in who is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooMany {
    pub journey: Word,
    /// At most, if something waits.
    pub count: i64,
    /// How many of these have something in the inbox.
    pub waiting: i64,
    pub most: i64,
}

/// Looks for one, before the deploy; `allowed` is what whoever deploys allows.
pub async fn too_many(
    store: &Store,
    release: &Release<'_>,
    allowed: i64,
    now: Timestamp,
) -> Result<Option<TooMany>> {
    let before = journeys::deployed(&mut store.read().await?).await?;
    let is_new = |program: &&Program| {
        before.current.get(&program.journey).is_none_or(|current| current.hash() != program.hash())
    };
    let takes_in = |program: &&Program| program.entries.iter().any(Entry::is_membership);
    let guarded: BTreeMap<&Word, i64> = release
        .programs
        .iter()
        .filter(is_new)
        .filter(takes_in)
        .filter_map(|program| Some((&program.journey, rule(release.catalog, program)?.max(allowed))))
        .collect();
    if guarded.is_empty() {
        return Ok(None);
    }
    let preview = Arc::new(journeys::preview(&before, release));
    let counts = count(store, &preview, &Input::Settle { cause: Cause::Deploy }, now).await?;
    let all_waiting = waiting(store).await?;
    let over = guarded.into_iter().find_map(|(journey, most)| {
        let opens = !before.current.contains_key(journey);
        let takes_existing = |program: &Arc<Program>| program.entries.iter().any(Entry::takes_existing);
        let takes = preview.current.get(journey).is_some_and(takes_existing);
        let waiting = if opens && takes { all_waiting } else { 0 };
        let count = counts.get(journey).copied().unwrap_or(0) + waiting;
        (count > most).then(|| TooMany { journey: journey.clone(), count, waiting, most })
    });
    Ok(over)
}

/// For how many people something waits in an inbox.
async fn waiting(store: &Store) -> Result<i64> {
    const WAITING: &str = "SELECT COUNT(DISTINCT contact) FROM inbox WHERE bucket = $1";
    let (mut conn, mut waiting) = (store.read().await?, 0);
    for bucket in store.buckets() {
        waiting += conn.fetch_number(WAITING, args![bucket]).await?;
    }
    Ok(waiting)
}

/// Holds a firing, in place of one of the same entry that is held: whoever lets it go on means people to enter once.
pub(super) async fn hold(tx: &mut Conn, firing: &HeldFiring, input: &Input) -> Result<()> {
    const HOLD: &str = "INSERT INTO held_firings (key, journey, input, at, count, most, held_at, before) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
    let input = serde_json::to_string(input).expect("inputs have no keys but texts");
    let HeldFiring { key, journey, at, count, most, before, held_at } = firing;
    // The key ends with the moment of the firing.
    const FORMER: &str = "DELETE FROM held_firings WHERE journey = $1 AND key LIKE $2";
    let entry = key.rsplit_once(' ').map_or(key.as_str(), |(entry, _)| entry);
    tx.exec(FORMER, args![journey, format!("{entry} %")]).await?;
    tx.exec(HOLD, args![key.as_str(), journey, input, *at, *count, *most, *held_at, *before]).await?;
    Ok(())
}

/// Firings that are held, oldest first.
pub async fn held(conn: &mut Conn) -> Result<Vec<HeldFiring>> {
    const HELD: &str =
        "SELECT key, journey, at, count, most, held_at, before FROM held_firings ORDER BY held_at, key";
    let read = |row: &Row| {
        Ok(HeldFiring {
            key: row.text(0)?.to_owned(),
            journey: row.text(1)?.into(),
            at: row.at(2)?,
            count: row.i64(3)?,
            most: row.i64(4)?,
            held_at: row.at(5)?,
            before: row.opt_i64(6)?,
        })
    };
    conn.fetch(HELD, Vec::new()).await?.iter().map(read).collect()
}

/// Lets the held firings of a journey go on; those that did.
pub async fn release(store: &Store, journey: &str) -> Result<Vec<HeldFiring>> {
    let tx = store.write().await?;
    go_on(store, tx, |firing| &*firing.journey == journey).await
}

/// Allows firings of so many people until the next deploy, and lets those go on that are held and have no more; which.
pub async fn allow(store: &Store, most: i64) -> Result<Vec<HeldFiring>> {
    let mut tx = store.write().await?;
    let generation = journeys::deployed(&mut tx).await?.generation;
    settings::set(&mut tx, ALLOWED, &format!("{generation} {most}")).await?;
    go_on(store, tx, |firing| firing.count <= most).await
}

/// Lets the held firings go on that are meant, and ends the transaction; which.
async fn go_on(
    store: &Store,
    mut tx: Conn,
    is_meant: impl FnMut(&HeldFiring) -> bool,
) -> Result<Vec<HeldFiring>> {
    let mut firings = held(&mut tx).await?;
    firings.retain(is_meant);
    for firing in &firings {
        start(&mut tx, firing).await?;
    }
    tx.hint_due().await?;
    tx.commit().await?;
    store.wake();
    Ok(firings)
}

async fn start(tx: &mut Conn, firing: &HeldFiring) -> Result<()> {
    const TAKE: &str = "DELETE FROM held_firings WHERE key = $1 RETURNING input";
    // Somebody else may have let it go on.
    let Some(row) = tx.fetch_first(TAKE, args![firing.key.as_str()]).await? else { return Ok(()) };
    let input: Input = serde_json::from_str(row.text(0)?)
        .map_err(|error| Error::Unreadable { what: "input", why: error.to_string() })?;
    jobs::start(tx, &firing.key, &input).await?;
    if let Input::Fire { journey, entry, .. } = &input {
        takes(tx, journey, *entry, firing.count).await?;
    }
    Ok(())
}
