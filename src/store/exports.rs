//! What advertising networks are told of audiences: batches of lines that come and go, with hashes alone.
//!
//! ```text
//! cut      a transaction a bucket: members as they should be are compared with what the network was told; the difference becomes
//!          lines of the batch, and is told from now on. Who has no consent any more loses the place
//! close    no more lines come to it: its files are the same whenever they are written
//! finish   its folder is there, synced and renamed; or the network has answered each call of it with 2xx
//! ```
//!
//! Nothing but the comparison decides: a changed address is one line that goes and one that comes, and who was merged, or is in an
//! audience that is not declared any more, is no member.

mod lines;

use std::collections::{BTreeMap, BTreeSet};

pub use self::lines::{Line, Lines, Measure, measure};
use super::folders::batches;
use super::sql::args;
use super::{Conn, Result, Row, Rows, Store, fields, journeys, members, names, permissions};
use crate::engine::audiences::keeps_out;
use crate::engine::program::{Audience, Catalog, Word};
use crate::engine::world::Fields;
use crate::id::ContactId;
use crate::time::{DAY, Timestamp};

/// What an audience says that leaves as files.
pub const FILE: &str = "file";

/// A folder can be made again for so long.
const KEPT: i64 = 30 * DAY;

/// Changes of an audience that are told together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub id: i64,
    /// The name of its folder: `sleepers-2026-12-24-1600`, with a number behind it from the second of a minute on.
    pub name: String,
    pub audience: Word,
    /// On the journey clock.
    pub cut_at: Timestamp,
    pub is_closed: bool,
    pub recorded_at: Option<Timestamp>,
    pub added: i64,
    pub removed: i64,
    /// `file`, or the secret that names the network, as it was declared when the batch was begun.
    pub sends: String,
    /// Calls of it that the network has taken.
    pub told: i64,
    /// Tries in vain since the last call that was taken.
    pub attempts: i64,
    /// When it is tried again, on the machine's clock, and what keeps it.
    pub again_at: Option<Timestamp>,
    pub trouble: Option<String>,
}

impl Batch {
    /// Whether it leaves by calls.
    pub fn is_called(&self) -> bool {
        self.sends != FILE
    }
}

/// Who cuts, and how what is told is made.
pub struct Cut<'a> {
    pub owner: i64,
    /// On the machine's clock.
    pub now: Timestamp,
    pub held_until: Timestamp,
    /// On the journey clock.
    pub at: Timestamp,
    /// How a batch of that audience is called, without a number.
    pub name: &'a (dyn Fn(&str) -> String + Sync),
    /// The lines by which the network knows somebody.
    pub lines: &'a (dyn Fn(&Catalog, &Audience, &Fields) -> Vec<String> + Sync),
}

batches!("audience_batches", "audience", "added, removed, sends, told, attempts, again_at, trouble");

fn read(row: &Row) -> Result<Batch> {
    Ok(Batch {
        id: row.i64(0)?,
        name: row.text(1)?.to_owned(),
        audience: row.text(2)?.into(),
        cut_at: row.at(3)?,
        is_closed: row.opt_i64(4)?.is_some(),
        recorded_at: row.opt_at(5)?,
        added: row.i64(8)?,
        removed: row.i64(9)?,
        sends: row.text(10)?.to_owned(),
        told: row.i64(11)?,
        attempts: row.i64(12)?,
        again_at: row.opt_at(13)?,
        trouble: row.opt_text(14)?.map(str::to_owned),
    })
}

// ---------------------------------------------------------------- cutting

/// Compares a bucket with what was told of it; `false`: another process cuts.
pub async fn cut(store: &Store, bucket: i64, cut: &Cut<'_>) -> Result<bool> {
    const IN_USE: &str = "SELECT audience FROM audience_members WHERE bucket = $1 \
        UNION SELECT audience FROM audience_told WHERE bucket = $1";
    let in_use = store.read().await?.fetch(IN_USE, args![bucket]).await?;
    if in_use.is_empty() {
        return Ok(true);
    }
    let mut tx = store.write().await?;
    tx.lock(bucket).await?;
    let deployed = journeys::deployed(&mut tx).await?;
    let mut ids = Vec::new();
    for row in &in_use {
        ids.push(row.i64(0)?);
    }
    let words = names::spell(&mut tx, ids.clone()).await?;
    let mut audiences = BTreeMap::new();
    for id in ids {
        audiences.insert(names::spelled(&words, id)?, id);
    }
    let mut changed = false;
    for (name, id) in audiences {
        let declared = deployed.catalog.audiences.get(&name);
        let wanted = match declared {
            Some(declared) => wanted(&mut tx, (bucket, id), &deployed.catalog, declared, cut).await?,
            None => BTreeSet::new(),
        };
        let told = told(&mut tx, bucket, id).await?;
        let added: Vec<_> = wanted.difference(&told).cloned().collect();
        let removed: Vec<_> = told.difference(&wanted).cloned().collect();
        if added.is_empty() && removed.is_empty() {
            continue;
        }
        let sends = declared.map(|audience| &*audience.sends);
        if !put_in(&mut tx, (bucket, id), (&name, sends), cut, (&added, &removed)).await? {
            return Ok(false);
        }
        changed = true;
    }
    if changed {
        tx.commit_unannounced().await?;
    }
    Ok(true)
}

/// The lines that the network should have. Who has withdrawn consent, by whatever way that came, loses the place.
async fn wanted(
    tx: &mut Conn,
    (bucket, id): (i64, i64),
    catalog: &Catalog,
    audience: &Audience,
    cut: &Cut<'_>,
) -> Result<BTreeSet<(ContactId, String)>> {
    const MEMBERS: &str = "SELECT c.id, c.attributes FROM contacts c WHERE c.bucket = $1 AND c.id IN \
        (SELECT m.contact FROM audience_members m WHERE m.bucket = $1 AND m.audience = $2)";
    const LOSE: &str = "WITH n(contact) AS ({I}) DELETE FROM audience_members WHERE bucket = $1 AND audience = $2 \
        AND contact IN (SELECT n.contact FROM n)";
    let mut members: BTreeMap<ContactId, Fields> = BTreeMap::new();
    for row in tx.fetch(MEMBERS, args![bucket, id]).await? {
        members.insert(ContactId(row.i64(0)?), fields::from_text(row.text(1)?)?);
    }
    if members.is_empty() {
        return Ok(BTreeSet::new());
    }
    let attributes = members.iter().map(|(contact, fields)| (*contact, fields)).collect();
    let mut permitted = permissions::load(tx, bucket, catalog, &attributes, cut.at).await?;
    let (mut wanted, mut lose) = (BTreeSet::new(), Rows::default());
    for (contact, attributes) in &members {
        let permissions = permitted.remove(contact).unwrap_or_default();
        match keeps_out(catalog, audience, attributes, permissions, cut.at) {
            Some(_) => lose.push([(*contact).into()]),
            None => {
                let lines = (cut.lines)(catalog, audience, attributes);
                wanted.extend(lines.into_iter().map(|line| (*contact, line)));
            }
        }
    }
    tx.exec_rows(LOSE, lose, &args![bucket, id]).await?;
    Ok(wanted)
}

async fn told(tx: &mut Conn, bucket: i64, audience: i64) -> Result<BTreeSet<(ContactId, String)>> {
    const TOLD: &str = "SELECT contact, line FROM audience_told WHERE bucket = $1 AND audience = $2";
    let rows = tx.fetch(TOLD, args![bucket, audience]).await?;
    rows.iter().map(|row| Ok((ContactId(row.i64(0)?), row.text(1)?.to_owned()))).collect()
}

type Pairs<'a> = &'a [(ContactId, String)];

/// Puts a difference into the open batch of the audience; `false`: somebody else has it.
async fn put_in(
    tx: &mut Conn,
    (bucket, id): (i64, i64),
    (audience, sends): (&Word, Option<&str>),
    cut: &Cut<'_>,
    (added, removed): (Pairs<'_>, Pairs<'_>),
) -> Result<bool> {
    const TELL: &str =
        "INSERT INTO audience_told (bucket, audience, contact, line) {IIIT} ON CONFLICT DO NOTHING";
    const UNTELL: &str = "WITH n(contact, line) AS ({IT}) DELETE FROM audience_told \
        WHERE bucket = $1 AND audience = $2 AND (contact, line) IN (SELECT n.contact, n.line FROM n)";
    const LINES: &str =
        "INSERT INTO audience_lines (bucket, batch, added, line) {IIIT} ON CONFLICT DO NOTHING";
    const FILL: &str = "UPDATE audience_batches SET added = added + $1, removed = removed + $2, owner = $3, \
        held_until = $4 WHERE id = $5";
    if open(tx, audience).await?.is_none() {
        begin(tx, audience, sends, cut).await?;
    }
    let Some((batch, owner, until)) = open(tx, audience).await? else { return Ok(false) };
    if owner != cut.owner && until > cut.now {
        return Ok(false);
    }
    let (mut tell, mut untell, mut lines) = (Rows::default(), Rows::default(), Rows::default());
    for (contact, line) in added {
        tell.push([bucket.into(), id.into(), (*contact).into(), line.clone().into()]);
        lines.push([bucket.into(), batch.id.into(), 1i64.into(), line.clone().into()]);
    }
    for (contact, line) in removed {
        untell.push([(*contact).into(), line.clone().into()]);
        lines.push([bucket.into(), batch.id.into(), 0i64.into(), line.clone().into()]);
    }
    tx.exec_rows(UNTELL, untell, &args![bucket, id]).await?;
    tx.exec_rows(TELL, tell, &[]).await?;
    tx.exec_rows(LINES, lines, &[]).await?;
    let counts = [added.len(), removed.len()].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    tx.exec(FILL, args![counts[0], counts[1], cut.owner, cut.held_until, batch.id]).await?;
    Ok(true)
}

async fn begin(tx: &mut Conn, audience: &Word, sends: Option<&str>, cut: &Cut<'_>) -> Result<()> {
    const TAKEN: &str = "SELECT COUNT(*) FROM audience_batches WHERE name = $1 OR name LIKE $2";
    // Who is told of an audience that is not declared any more: whoever was told of it last.
    const LAST: &str = "SELECT sends FROM audience_batches WHERE audience = $1 ORDER BY id DESC LIMIT 1";
    // Another process may begin the same one at this moment: whose name stands, has it.
    const BEGIN: &str = "INSERT INTO audience_batches (id, name, audience, sends, cut_at, added, removed, owner, held_until) \
        SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, CAST($4 AS BIGINT), 0, 0, CAST($5 AS BIGINT), CAST($6 AS BIGINT) \
        FROM audience_batches WHERE true ON CONFLICT DO NOTHING";
    let sends = match sends {
        Some(sends) => sends.to_owned(),
        None => match tx.fetch_first(LAST, args![audience]).await? {
            Some(row) => row.text(0)?.to_owned(),
            None => FILE.to_owned(),
        },
    };
    let name = (cut.name)(audience);
    let taken = tx.fetch_number(TAKEN, args![name.clone(), format!("{name}-%")]).await?;
    let name = if taken == 0 { name } else { format!("{name}-{}", taken + 1) };
    tx.exec(BEGIN, args![name, audience, sends, cut.at, cut.owner, cut.held_until]).await?;
    Ok(())
}

/// No more lines come to open batches that are ours, or nobody's any more.
pub async fn close(store: &Store, owner: i64, now: Timestamp) -> Result<()> {
    const CLOSE: &str = "UPDATE audience_batches SET closed_at = $1 \
        WHERE recorded_at IS NULL AND closed_at IS NULL AND (owner = $2 OR held_until <= $1)";
    let mut tx = store.write().await?;
    tx.exec(CLOSE, args![now, owner]).await?;
    tx.commit_unannounced().await
}

// ---------------------------------------------------------------- making

/// All that a network was told of an audience and should have now.
pub async fn all_lines(conn: &mut Conn, audience: &str) -> Result<Vec<String>> {
    let Some(audience) = names::find(conn, audience).await? else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for bucket in 0..conn.core.settings().buckets {
        all.extend(told(conn, bucket, audience).await?.into_iter().map(|(_, line)| line));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// How many people a network was told of, as members of that audience.
pub async fn told_of(conn: &mut Conn, audience: &str) -> Result<i64> {
    const COUNT: &str =
        "SELECT COUNT(DISTINCT contact) FROM audience_told WHERE bucket = $1 AND audience = $2";
    members::people(conn, COUNT, audience).await
}

/// Where else people of an audience were told of than there, and how many lines of them stay in that place, as far as its batches are kept.
/// Nobody tells it who withdraws.
pub async fn left_behind(conn: &mut Conn, audience: &str, sends: &str) -> Result<Option<(String, i64)>> {
    const LEFT: &str = "SELECT sends, CAST(SUM(added - removed) AS BIGINT) FROM audience_batches \
        WHERE audience = $1 AND sends <> $2 GROUP BY sends HAVING SUM(added - removed) > 0 ORDER BY MAX(id) DESC LIMIT 1";
    let row = conn.fetch_first(LEFT, args![audience, sends]).await?;
    row.map(|row| Ok((row.text(0)?.to_owned(), row.i64(1)?))).transpose()
}

/// Whether there is a newer batch of the same audience.
pub async fn is_followed(conn: &mut Conn, batch: &Batch) -> Result<bool> {
    const LATER: &str = "SELECT COUNT(*) FROM audience_batches WHERE audience = $1 AND id > $2";
    Ok(conn.fetch_number(LATER, args![&batch.audience, batch.id]).await? > 0)
}

/// Records that the network has taken so many calls of a batch.
pub async fn taken(store: &Store, batch: i64, calls: usize) -> Result<()> {
    const TAKEN: &str = "UPDATE audience_batches SET told = $1, attempts = 0, again_at = NULL, trouble = NULL \
        WHERE id = $2 AND told < $1";
    let mut tx = store.write().await?;
    tx.exec(TAKEN, args![i64::try_from(calls).unwrap_or(i64::MAX), batch]).await?;
    tx.commit_unannounced().await
}

/// Records that a call of a batch was not taken, why, and when it is tried again.
pub async fn put_off(store: &Store, batch: i64, again_at: Timestamp, why: &str) -> Result<()> {
    const PUT_OFF: &str = "UPDATE audience_batches SET attempts = attempts + 1, again_at = $1, trouble = $2 \
        WHERE id = $3 AND recorded_at IS NULL";
    let mut tx = store.write().await?;
    tx.exec(PUT_OFF, args![again_at, why, batch]).await?;
    tx.commit_unannounced().await
}

/// Records that a batch is done: its folder is there, or all of its calls were taken.
pub async fn finish(store: &Store, batch: i64, now: Timestamp) -> Result<()> {
    const FINISH: &str = "UPDATE audience_batches SET recorded_at = $1, again_at = NULL, trouble = NULL \
        WHERE id = $2 AND recorded_at IS NULL";
    let mut tx = store.write().await?;
    tx.exec(FINISH, args![now, batch]).await?;
    tx.commit_unannounced().await
}

/// Forgets old batches, at that moment of the machine's clock. The newest of an audience is kept: it knows who was told.
pub async fn forget(store: &Store, now: Timestamp) -> Result<()> {
    const OLD: &str = "SELECT id FROM audience_batches WHERE recorded_at < $1 AND id < (SELECT MAX(newer.id) \
        FROM audience_batches newer WHERE newer.audience = audience_batches.audience) ORDER BY id LIMIT 10";
    const LINES: &str = "DELETE FROM audience_lines WHERE bucket = $1 AND batch = $2";
    const FORGET: &str = "DELETE FROM audience_batches WHERE id = $1";
    let old = store.read().await?.fetch(OLD, args![now.plus_ms(-KEPT)]).await?;
    for row in &old {
        let batch = row.i64(0)?;
        for bucket in store.buckets() {
            let mut tx = store.write().await?;
            tx.exec(LINES, args![bucket, batch]).await?;
            tx.commit_unannounced().await?;
        }
        let mut tx = store.write().await?;
        tx.exec(FORGET, args![batch]).await?;
        tx.commit_unannounced().await?;
    }
    Ok(())
}
