//! Letters: batches for a print shop, and the codes by which people answer.
//!
//! ```text
//!            cut                      finish
//!  waiting --------> batched --------------------> accepted | refused
//!     ^                |  the folder of the batch is there, synced and renamed, before its letters are recorded
//!     +---- held (quiet hours), or withdrawn for good
//! ```
//!
//! - *cut*: a transaction a bucket moves what is due into a batch and freezes what the letters are made of, as the first lease of a
//!   mail does. What may withdraw permission is looked at in it, for the last time. The batch is closed when all buckets were cut.
//! - A closed batch is the same whenever it is looked at: the same letters, made of the same facts. So whoever is killed before it is
//!   recorded makes the same files again.
//! - *finish*: all its letters are recorded. They keep what they were made of for a month, so that a folder can be made again.
//!
//! A batch is held by the process that works on it, so that two machines do not hand over the same letters.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::deliveries::{
    self, Claim, Claimed, Closed, Finished, SendResult, lease_letters, letters_as_cut, letters_of_batch,
};
use super::folders::batches;
use super::sql::args;
use super::{Conn, Result, Row, Rows, Store, journeys, receipts};
use crate::engine::program::{Catalog, Word};
use crate::engine::world::{Input, Outcome};
use crate::id::{ContactId, DeliveryId};
use crate::link::read_code;
use crate::time::{DAY, Timestamp};
use crate::value::Value;

/// A folder can be made again for so long.
const KEPT: i64 = 30 * DAY;

/// Letters for a print shop that are handed over together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub id: i64,
    /// The name of its folder: `letter-2026-12-24`, with a number behind it from the second of a day on.
    pub name: String,
    pub channel: Word,
    /// On the journey clock.
    pub cut_at: Timestamp,
    /// No more letters come to it.
    pub is_closed: bool,
    /// Its folder was there, and its letters were recorded.
    pub recorded_at: Option<Timestamp>,
    /// How many were put into it.
    pub letters: i64,
    /// Until when somebody works on it, on the machine's clock.
    pub held_until: Timestamp,
    /// What it was made of is kept no longer.
    pub is_thawed: bool,
}

/// Who cuts what.
pub struct Cut<'a> {
    pub channel: &'a Word,
    /// How a batch of that channel and day is called, without a number.
    pub name: &'a str,
    /// On whose behalf, how many at once, and the two clocks. The lease is how long the batch is held.
    pub claim: Claim,
    /// What is paused.
    pub closed: &'a Closed,
    /// The code of a letter.
    pub code: &'a (dyn Fn(DeliveryId) -> String + Sync),
    pub codes_expire_at: Timestamp,
    /// What keeps a letter from being printed, if anything does.
    pub decide: &'a (dyn Fn(&Catalog, &Claimed) -> Option<SendResult> + Sync),
}

/// What a part of a cut has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing is due.
    Nothing,
    /// So many were put into the batch, and so many were looked at.
    Taken { batched: usize, seen: usize },
    /// Another process cuts this batch.
    Elsewhere,
}

batches!("letter_batches", "channel", "letters, thawed_at");

fn read(row: &Row) -> Result<Batch> {
    Ok(Batch {
        id: row.i64(0)?,
        name: row.text(1)?.to_owned(),
        channel: row.text(2)?.into(),
        cut_at: row.at(3)?,
        is_closed: row.opt_i64(4)?.is_some(),
        recorded_at: row.opt_at(5)?,
        held_until: row.at(7)?,
        letters: row.i64(8)?,
        is_thawed: row.opt_i64(9)?.is_some(),
    })
}

// ---------------------------------------------------------------- cutting

/// Puts letters of a bucket that are due into the open batch of their channel; makes one for the first.
pub async fn cut(store: &Store, bucket: i64, cut: &Cut<'_>) -> Result<Part> {
    let mut tx = store.write().await?;
    if is_elsewhere(&mut tx, cut).await? {
        return Ok(Part::Elsewhere);
    }
    let deployed = journeys::deployed(&mut tx).await?;
    let (catalog, generation) = (&*deployed.catalog, deployed.generation);
    let of = (bucket, cut.channel);
    let leased = lease_letters(&mut tx, of, &cut.claim, (catalog, generation), cut.closed).await?;
    if leased.is_empty() {
        return Ok(Part::Nothing);
    }
    let seen = leased.len();
    let (mut stopped, mut printed) = (Vec::new(), Vec::new());
    for letter in leased {
        match (cut.decide)(catalog, &letter) {
            Some(result) => {
                stopped.push(Finished::new(&letter, result, None));
            }
            None => printed.push(letter),
        }
    }
    let now = cut.claim.journey_now;
    let mut waits = Rows::default();
    stopped.iter().for_each(|one| waits.push([one.id().into()]));
    let mut inputs = Vec::new();
    deliveries::record_all(&mut tx, &deployed, stopped, now, &mut inputs).await?;
    // What is not to be printed yet waits on.
    const WAITS: &str = "WITH n(id) AS ({I}) UPDATE deliveries SET state = 'waiting' FROM n \
        WHERE deliveries.bucket = $1 AND deliveries.id = n.id AND deliveries.state = 'queued'";
    tx.exec_rows(WAITS, waits, &args![bucket]).await?;
    deliveries::pass_on(&mut tx, inputs, now).await?;
    if !printed.is_empty() && !put_in(&mut tx, bucket, cut, &printed).await? {
        return Ok(Part::Elsewhere);
    }
    tx.commit_unannounced().await?;
    store.wake();
    Ok(Part::Taken { batched: printed.len(), seen })
}

/// Whether somebody else is cutting that channel.
async fn is_elsewhere(tx: &mut Conn, cut: &Cut<'_>) -> Result<bool> {
    Ok(open(tx, cut.channel)
        .await?
        .is_some_and(|(_, owner, until)| owner != cut.claim.owner && until > cut.claim.now))
}

/// Puts letters that were leased into the open batch; `false`: somebody else has it.
async fn put_in(tx: &mut Conn, bucket: i64, cut: &Cut<'_>, letters: &[Claimed]) -> Result<bool> {
    if open(tx, cut.channel).await?.is_none() {
        begin(tx, cut).await?;
    }
    let Some((batch, owner, until)) = open(tx, cut.channel).await? else { return Ok(false) };
    if owner != cut.claim.owner && until > cut.claim.now {
        return Ok(false);
    }
    const PUT: &str = "WITH n(id, epoch, addressee) AS ({III}) \
        UPDATE deliveries SET state = 'batched', batch = $2, addressee = n.addressee, again_at = NULL FROM n \
        WHERE deliveries.bucket = $1 AND deliveries.id = n.id AND deliveries.epoch = n.epoch";
    const FILL: &str =
        "UPDATE letter_batches SET letters = letters + $1, owner = $2, held_until = $3 WHERE id = $4";
    const CODES: &str =
        "INSERT INTO response_codes (code, delivery, expires_at) {TII} ON CONFLICT DO NOTHING";
    let (mut rows, mut codes) = (Rows::default(), Rows::default());
    for letter in letters {
        let id = letter.delivery.id;
        rows.push([id.into(), letter.epoch.into(), letter.contact.into()]);
        codes.push([(cut.code)(id).into(), id.into(), cut.codes_expire_at.into()]);
    }
    tx.exec_rows(PUT, rows, &args![bucket, batch.id]).await?;
    let more = i64::try_from(letters.len()).unwrap_or(i64::MAX);
    let held_until = cut.claim.now.plus_ms(cut.claim.lease_ms);
    tx.exec(FILL, args![more, cut.claim.owner, held_until, batch.id]).await?;
    tx.exec_rows(CODES, codes, &[]).await?;
    Ok(true)
}

async fn begin(tx: &mut Conn, cut: &Cut<'_>) -> Result<()> {
    const TAKEN: &str = "SELECT COUNT(*) FROM letter_batches WHERE name = $1 OR name LIKE $2";
    // Another process may begin the same one at this moment: whose name stands, has it.
    const BEGIN: &str = "INSERT INTO letter_batches (id, name, channel, cut_at, letters, owner, held_until) \
        SELECT COALESCE(MAX(id), 0) + 1, $1, $2, CAST($3 AS BIGINT), 0, CAST($4 AS BIGINT), CAST($5 AS BIGINT) \
        FROM letter_batches WHERE true ON CONFLICT DO NOTHING";
    let taken = tx.fetch_number(TAKEN, args![cut.name, format!("{}-%", cut.name)]).await?;
    let name = if taken == 0 { cut.name.to_owned() } else { format!("{}-{}", cut.name, taken + 1) };
    let held_until = cut.claim.now.plus_ms(cut.claim.lease_ms);
    let at = cut.claim.journey_now;
    tx.exec(BEGIN, args![name, cut.channel, at, cut.claim.owner, held_until]).await?;
    Ok(())
}

/// No more letters come to the open batch of that channel, if there is one that is ours.
pub async fn close(store: &Store, channel: &Word, owner: i64, now: Timestamp) -> Result<()> {
    const CLOSE: &str = "UPDATE letter_batches SET closed_at = $1 \
        WHERE channel = $2 AND recorded_at IS NULL AND closed_at IS NULL AND owner = $3";
    let mut tx = store.write().await?;
    tx.exec(CLOSE, args![now, channel, owner]).await?;
    tx.commit_unannounced().await
}

// ---------------------------------------------------------------- making

/// The letters of a batch, in the order of their ids, and where they are.
pub async fn of_batch(conn: &mut Conn, batch: i64) -> Result<Vec<(DeliveryId, i64)>> {
    letters_of_batch(conn, batch).await
}

/// A letter as it was cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// As for a mail; with the contact that it was written to.
    pub claimed: Claimed,
    /// Where it is by now.
    pub bucket: i64,
    /// What it was made of is kept no longer.
    pub is_thawed: bool,
}

/// Letters as they were when their batch was cut, in that order. One that moved on since it was looked for is left out.
pub async fn as_cut(
    conn: &mut Conn,
    letters: &[(DeliveryId, i64)],
    catalogs: &mut BTreeMap<i64, Catalog>,
) -> Result<Vec<Letter>> {
    let mut all = Vec::with_capacity(letters.len());
    for (mut claimed, addressee) in letters_as_cut(conn, letters).await? {
        let catalog = match catalogs.entry(claimed.generation) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(journeys::catalog_of(conn, claimed.generation).await?),
        };
        let is_thawed = !claimed.thaw(catalog);
        let bucket = claimed.bucket;
        claimed.contact = addressee.unwrap_or(claimed.contact);
        claimed.bucket = conn.core.bucket_of(claimed.contact);
        all.push(Letter { claimed, bucket, is_thawed });
    }
    Ok(all)
}

/// A letter of a contact, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub delivery: DeliveryId,
    /// On the journey clock.
    pub due_at: Timestamp,
    /// The name of its batch, once it is in one.
    pub batch: Option<String>,
    /// The code by which it can be answered, as long as it can be.
    pub code: Option<String>,
    /// When it was answered by its code, on the machine's clock.
    pub answered_at: Option<Timestamp>,
}

/// The letters of a contact, oldest first.
pub async fn of_contact(conn: &mut Conn, contact: ContactId) -> Result<Vec<Line>> {
    const OF: &str = "SELECT deliveries.id, deliveries.due_at, letter_batches.name, response_codes.code, \
        response_codes.used_at FROM deliveries \
        LEFT JOIN letter_batches ON letter_batches.id = deliveries.batch \
        LEFT JOIN response_codes ON response_codes.delivery = deliveries.id \
        WHERE deliveries.bucket = $1 AND deliveries.contact = $2 AND deliveries.batch IS NOT NULL \
        ORDER BY deliveries.id";
    let bucket = conn.core.bucket_of(contact);
    let line = |row: &Row| {
        Ok(Line {
            delivery: DeliveryId(row.i64(0)?),
            due_at: row.at(1)?,
            batch: row.opt_text(2)?.map(str::to_owned),
            code: row.opt_text(3)?.map(str::to_owned),
            answered_at: row.opt_at(4)?,
        })
    };
    conn.fetch(OF, args![bucket, contact]).await?.iter().map(line).collect()
}

/// Records that a batch is done, unless letters of it are not yet; whether it is.
pub async fn finish(store: &Store, batch: i64, now: Timestamp) -> Result<bool> {
    const LEFT: &str = "WITH n(bucket) AS ({I}) SELECT n.bucket FROM n WHERE EXISTS (SELECT 1 FROM deliveries \
        WHERE deliveries.bucket = n.bucket AND deliveries.batch = $1 AND deliveries.batch > 0 AND deliveries.state = 'batched') \
        LIMIT 1";
    const FINISH: &str = "UPDATE letter_batches SET recorded_at = $1 WHERE id = $2 AND recorded_at IS NULL";
    let mut tx = store.write().await?;
    let rows = tx.all_buckets();
    if !tx.fetch_rows(LEFT, rows, &args![batch]).await?.is_empty() {
        return Ok(false);
    }
    tx.exec(FINISH, args![now, batch]).await?;
    tx.commit_unannounced().await?;
    Ok(true)
}

/// How many letters wait for their batch.
pub async fn waiting(conn: &mut Conn) -> Result<i64> {
    const WAITING: &str = "WITH n(bucket) AS ({I}) SELECT (SELECT COUNT(*) FROM deliveries WHERE deliveries.bucket = n.bucket \
        AND batch IS NOT NULL AND settled_at IS NULL AND state = 'waiting') FROM n";
    let buckets = conn.all_buckets();
    let mut waiting = 0;
    for row in conn.fetch_rows(WAITING, buckets, &[]).await? {
        waiting += row.i64(0)?;
    }
    Ok(waiting)
}

/// Forgets what old batches were made of, and codes that have expired, at that moment of the machine's clock.
pub async fn forget(store: &Store, now: Timestamp) -> Result<()> {
    const OLD: &str =
        "SELECT id FROM letter_batches WHERE recorded_at < $1 AND thawed_at IS NULL ORDER BY id LIMIT 10";
    const THAW: &str = "UPDATE deliveries SET frozen = NULL WHERE bucket = $1 AND batch = $2 AND batch > 0 AND settled_at IS NOT NULL";
    const THAWED: &str = "UPDATE letter_batches SET thawed_at = $1 WHERE id = $2";
    const EXPIRED: &str = "DELETE FROM response_codes WHERE expires_at < $1";
    let old = store.read().await?.fetch(OLD, args![now.plus_ms(-KEPT)]).await?;
    for row in &old {
        let batch = row.i64(0)?;
        for bucket in store.buckets() {
            let mut tx = store.write().await?;
            tx.exec(THAW, args![bucket, batch]).await?;
            tx.commit_unannounced().await?;
        }
        let mut tx = store.write().await?;
        tx.exec(THAWED, args![now, batch]).await?;
        tx.commit_unannounced().await?;
    }
    let mut tx = store.write().await?;
    tx.exec(EXPIRED, args![now]).await?;
    tx.commit_unannounced().await
}

// ---------------------------------------------------------------- answers

pub use super::receipts::Told;

/// Takes down that a letter came back: the outcome `bounced`, and nothing more is sent to its address. It is named by our id or by its
/// code. Of mail and texts their providers tell.
pub async fn returned(store: &Store, named: &str, reason: Option<&str>, now: Timestamp) -> Result<Told> {
    let mut conn = store.read().await?;
    let delivery = match (named.trim().parse().ok(), read_code(named)) {
        (Some(id), _) => Some(id),
        (None, Some(code)) => delivery_of(&mut conn, &code).await?,
        (None, None) => None,
    };
    let Some(delivery) = delivery else { return Ok(Told::Unknown) };
    let Some(receipt) = deliveries::receipt(&mut conn, delivery).await? else { return Ok(Told::Unknown) };
    let is_letter = journeys::deployed(&mut conn).await?.catalog.is_letter(&receipt.channel);
    drop(conn);
    if !is_letter {
        return Ok(Told::Unknown);
    }
    receipts::report(store, delivery, receipts::Said::Bounced, reason, now).await
}

/// What became of a code that somebody gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    Taken,
    /// It was given before.
    Repeated,
    /// No letter has it, or it has expired.
    Unknown,
}

/// Whether a letter has that code, and whether it was used; nothing is changed.
pub async fn look(conn: &mut Conn, code: &str, now: Timestamp) -> Result<Answered> {
    const CODE: &str = "SELECT used_at FROM response_codes WHERE code = $1 AND expires_at > $2";
    Ok(match conn.fetch_first(CODE, args![code, now]).await? {
        None => Answered::Unknown,
        Some(row) if row.opt_i64(0)?.is_some() => Answered::Repeated,
        Some(_) => Answered::Taken,
    })
}

/// The letter that has that code.
pub async fn delivery_of(conn: &mut Conn, code: &str) -> Result<Option<DeliveryId>> {
    const CODE: &str = "SELECT delivery FROM response_codes WHERE code = $1";
    conn.fetch_first(CODE, args![code]).await?.map(|row| row.i64(0).map(DeliveryId)).transpose()
}

/// Takes down that the letter with that code was answered: the outcome `replied`, once. `now` is on the machine's clock, `at` on the
/// journey clock.
pub async fn answer(store: &Store, code: &str, now: Timestamp, at: Timestamp) -> Result<Answered> {
    const USE: &str = "UPDATE response_codes SET used_at = $1 \
        WHERE code = $2 AND used_at IS NULL AND expires_at > $1 RETURNING delivery";
    let mut tx = store.write().await?;
    let Some(row) = tx.fetch_first(USE, args![now, code]).await? else {
        return look(&mut tx, code, now).await;
    };
    let delivery = DeliveryId(row.i64(0)?);
    let Some(receipt) = deliveries::receipt(&mut tx, delivery).await? else { return Ok(Answered::Unknown) };
    if receipt.wants_outcome || journeys::deployed(&mut tx).await?.hears_of("replied") {
        let mut fields = receipt.fields.clone();
        fields.insert("text".into(), Value::text(code));
        let outcome = Outcome {
            enrollment: receipt.enrollment,
            step: receipt.step.clone(),
            round: receipt.round,
            outcome: "replied".into(),
            at,
            fields,
        };
        let input = vec![(receipt.contact, Input::Outcome(outcome))];
        super::inbox::enqueue(&mut tx, input, at).await?;
    }
    tx.commit().await?;
    store.wake();
    Ok(Answered::Taken)
}
