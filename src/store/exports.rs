//! What advertising networks are told of audiences: batches of lines that come and go, with hashes alone.
//!
//! ```text
//! cut      a transaction a bucket: members as they should be are compared with what the network was told; the difference becomes
//!          lines of the batch, and is told from now on. Who has no consent any more loses the place
//! close    no more lines come to it: its files are the same whenever they are written
//! finish   its folder is there, synced and renamed
//! ```
//!
//! Nothing but the comparison decides: a changed address is one line that goes and one that comes, and who was merged, or is in an
//! audience that is not declared any more, is no member.

use std::collections::{BTreeMap, BTreeSet};

use super::sql::args;
use super::{Conn, Dialect, Result, Row, Rows, Store, fields, journeys, names, permissions};
use crate::engine::audiences::keeps_out;
use crate::engine::program::{Audience, Catalog, Word};
use crate::engine::world::Fields;
use crate::id::ContactId;
use crate::time::{DAY, Timestamp};

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

macro_rules! batch {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, audience, cut_at, closed_at, recorded_at, added, removed, owner, held_until \
            FROM audience_batches ",
            $rest
        )
    };
}

fn read(row: &Row) -> Result<Batch> {
    Ok(Batch {
        id: row.i64(0)?,
        name: row.text(1)?.to_owned(),
        audience: row.text(2)?.into(),
        cut_at: row.at(3)?,
        is_closed: row.opt_i64(4)?.is_some(),
        recorded_at: row.opt_at(5)?,
        added: row.i64(6)?,
        removed: row.i64(7)?,
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
        if !put_in(&mut tx, (bucket, id), &name, cut, (&added, &removed)).await? {
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

type Lines<'a> = &'a [(ContactId, String)];

/// Puts a difference into the open batch of the audience; `false`: somebody else has it.
async fn put_in(
    tx: &mut Conn,
    (bucket, id): (i64, i64),
    audience: &Word,
    cut: &Cut<'_>,
    (added, removed): (Lines<'_>, Lines<'_>),
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
        begin(tx, audience, cut).await?;
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

/// The batch of the audience that still fills, locked; who holds it, and until when.
async fn open(tx: &mut Conn, audience: &Word) -> Result<Option<(Batch, i64, Timestamp)>> {
    const OPEN: &str = batch!(
        "WHERE audience = $1 AND recorded_at IS NULL AND closed_at IS NULL ORDER BY id LIMIT 1 {lock}"
    );
    let row = tx.fetch_first(OPEN, args![audience]).await?;
    row.map(|row| Ok((read(&row)?, row.i64(8)?, row.at(9)?))).transpose()
}

async fn begin(tx: &mut Conn, audience: &Word, cut: &Cut<'_>) -> Result<()> {
    const TAKEN: &str = "SELECT COUNT(*) FROM audience_batches WHERE name = $1 OR name LIKE $2";
    // Another process may begin the same one at this moment: whose name stands, has it.
    const BEGIN: &str = "INSERT INTO audience_batches (id, name, audience, cut_at, added, removed, owner, held_until) \
        SELECT COALESCE(MAX(id), 0) + 1, $1, $2, CAST($3 AS BIGINT), 0, 0, CAST($4 AS BIGINT), CAST($5 AS BIGINT) \
        FROM audience_batches WHERE true ON CONFLICT DO NOTHING";
    let name = (cut.name)(audience);
    let taken = tx.fetch_number(TAKEN, args![name.clone(), format!("{name}-%")]).await?;
    let name = if taken == 0 { name } else { format!("{name}-{}", taken + 1) };
    tx.exec(BEGIN, args![name, audience, cut.at, cut.owner, cut.held_until]).await?;
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

/// Batches whose folder is not there yet, oldest first.
pub async fn unfinished(conn: &mut Conn) -> Result<Vec<Batch>> {
    const UNFINISHED: &str = batch!("WHERE recorded_at IS NULL ORDER BY id");
    conn.fetch(UNFINISHED, Vec::new()).await?.iter().map(read).collect()
}

/// The newest batches, newest first.
pub async fn newest(conn: &mut Conn, limit: u32) -> Result<Vec<Batch>> {
    const NEWEST: &str = batch!("ORDER BY id DESC LIMIT $1");
    conn.fetch(NEWEST, args![limit]).await?.iter().map(read).collect()
}

/// The batch of that name.
pub async fn named(conn: &mut Conn, name: &str) -> Result<Option<Batch>> {
    const NAMED: &str = batch!("WHERE name = $1");
    conn.fetch_first(NAMED, args![name]).await?.as_ref().map(read).transpose()
}

/// Holds a batch until then; whether it is ours.
pub async fn hold(store: &Store, batch: i64, owner: i64, now: Timestamp, until: Timestamp) -> Result<bool> {
    const HOLD: &str = "UPDATE audience_batches SET owner = $1, held_until = $2 \
        WHERE id = $3 AND (owner = $1 OR held_until <= $4)";
    let mut tx = store.write().await?;
    let held = tx.exec(HOLD, args![owner, until, batch, now]).await?;
    tx.commit_unannounced().await?;
    Ok(held == 1)
}

/// What a former daemon held is free at once. Only for a store of which this process is the one daemon; elsewhere holds end by
/// themselves.
pub async fn release_former(store: &Store) -> Result<()> {
    const RELEASE: &str = "UPDATE audience_batches SET held_until = 0 WHERE recorded_at IS NULL";
    if store.dialect() == Dialect::Postgres {
        return Ok(());
    }
    let mut tx = store.write().await?;
    tx.exec(RELEASE, Vec::new()).await?;
    tx.commit_unannounced().await
}

/// The lines that a batch adds, and those that it removes, in their own order: it tells nothing of the contacts behind them.
pub async fn lines(conn: &mut Conn, batch: i64) -> Result<[Vec<String>; 2]> {
    const LINES: &str = "SELECT added, line FROM audience_lines WHERE bucket = $1 AND batch = $2";
    let [mut added, mut removed] = [Vec::new(), Vec::new()];
    for bucket in 0..conn.core.settings().buckets {
        for row in conn.fetch(LINES, args![bucket, batch]).await? {
            let all = if row.i64(0)? == 1 { &mut added } else { &mut removed };
            all.push(row.text(1)?.to_owned());
        }
    }
    for all in [&mut added, &mut removed] {
        all.sort_unstable();
        all.dedup();
    }
    // What another contact has brought back at once does not go.
    removed.retain(|line| added.binary_search(line).is_err());
    Ok([added, removed])
}

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
    let Some(audience) = names::find(conn, audience).await? else { return Ok(0) };
    let mut count = 0;
    for bucket in 0..conn.core.settings().buckets {
        count += conn.fetch_number(COUNT, args![bucket, audience]).await?;
    }
    Ok(count)
}

/// Records that the folder of a batch is there.
pub async fn finish(store: &Store, batch: i64, now: Timestamp) -> Result<()> {
    const FINISH: &str = "UPDATE audience_batches SET recorded_at = $1 WHERE id = $2 AND recorded_at IS NULL";
    let mut tx = store.write().await?;
    tx.exec(FINISH, args![now, batch]).await?;
    tx.commit_unannounced().await
}

/// Forgets old batches, at that moment of the machine's clock.
pub async fn forget(store: &Store, now: Timestamp) -> Result<()> {
    const OLD: &str = "SELECT id FROM audience_batches WHERE recorded_at < $1 ORDER BY id LIMIT 10";
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
