//! Work over all contacts of the project: one input for each of them, put into the inboxes slice by slice.
//!
//! A deploy sets up standing entries so, and a scheduled entry fires so. A job is known by its key and exists once; each bucket does
//! its own share and remembers how far it came, so a crash repeats nothing. Contacts created after the start are not in it.

use super::sql::args;
use super::{Conn, Result, Store, inbox};
use crate::engine::world::Input;
use crate::id::ContactId;
use crate::time::Timestamp;

/// Contacts a slice.
const SLICE: i64 = 2_000;

/// Starts a job in every bucket, unless one of that key was started before; whether it is new.
pub async fn start(tx: &mut Conn, key: &str, input: &Input) -> Result<bool> {
    let text = serde_json::to_string(input).expect("inputs have no keys but texts");
    let (id, mut started) = (tx.core.new_id(), 0);
    for bucket in 0..tx.core.settings().buckets {
        const START: &str = "INSERT INTO jobs (bucket, id, key, input, done_to, up_to) VALUES ($1, $2, $3, $4, 0, $5) \
            ON CONFLICT DO NOTHING";
        started += tx.exec(START, args![bucket, id, key, text.as_str(), id]).await?;
    }
    Ok(started > 0)
}

/// Does one slice of the oldest unfinished job of a bucket; how many contacts it reached, none when there is no work.
pub async fn work(store: &Store, bucket: i64, now: Timestamp) -> Result<Option<usize>> {
    if !is_there_work(store, bucket).await? {
        return Ok(None);
    }
    let mut tx = store.write().await?;
    const NEXT: &str = "SELECT id, input, done_to, up_to FROM jobs WHERE bucket = $1 AND ended_at IS NULL \
        ORDER BY id LIMIT 1 {skip locked}";
    let Some(row) = tx.fetch_first(NEXT, args![bucket]).await? else { return Ok(None) };
    let (id, done_to, up_to) = (row.i64(0)?, row.i64(2)?, row.i64(3)?);
    let input: Input = serde_json::from_str(row.text(1)?)
        .map_err(|error| super::Error::Unreadable { what: "input", why: error.to_string() })?;
    let contacts = contacts_after(&mut tx, bucket, done_to, up_to, SLICE).await?;
    let reached = contacts.len();
    if let Some(last) = contacts.last() {
        const GO_ON: &str = "UPDATE jobs SET done_to = $1 WHERE bucket = $2 AND id = $3";
        tx.exec(GO_ON, args![*last, bucket, id]).await?;
        let inputs = contacts.into_iter().map(|contact| (contact, input.clone())).collect();
        inbox::enqueue(&mut tx, inputs, now).await?;
    } else {
        const END: &str = "UPDATE jobs SET ended_at = $1 WHERE bucket = $2 AND id = $3";
        tx.exec(END, args![now, bucket, id]).await?;
    }
    tx.commit().await?;
    Ok(Some(reached))
}

/// The buckets whose share of a job is not done yet: one look for all of them, since it is taken several times a second.
pub async fn unfinished_buckets(store: &Store) -> Result<Vec<i64>> {
    const UNFINISHED: &str = "SELECT DISTINCT bucket FROM jobs WHERE ended_at IS NULL ORDER BY bucket";
    let rows = store.read().await?.fetch(UNFINISHED, Vec::new()).await?;
    rows.iter().map(|row| row.i64(0)).collect()
}

/// How many shares of jobs are not done yet, over all buckets.
pub async fn unfinished(conn: &mut Conn) -> Result<i64> {
    const UNFINISHED: &str = "SELECT COUNT(*) FROM jobs WHERE ended_at IS NULL";
    conn.fetch_number(UNFINISHED, Vec::new()).await
}

/// Looks without a lock, since there hardly ever is any.
async fn is_there_work(store: &Store, bucket: i64) -> Result<bool> {
    let mut conn = store.read().await?;
    const ANY: &str = "SELECT id FROM jobs WHERE bucket = $1 AND ended_at IS NULL LIMIT 1";
    Ok(conn.fetch_first(ANY, args![bucket]).await?.is_some())
}

/// The next so many contacts of a bucket.
pub(super) async fn contacts_after(
    tx: &mut Conn,
    bucket: i64,
    after: i64,
    up_to: i64,
    limit: i64,
) -> Result<Vec<ContactId>> {
    const AFTER: &str = "SELECT id FROM contacts WHERE bucket = $1 AND id > $2 AND id <= $3 AND merged_into IS NULL \
        ORDER BY id LIMIT $4";
    let rows = tx.fetch(AFTER, args![bucket, after, up_to, limit]).await?;
    rows.iter().map(|row| row.i64(0).map(ContactId)).collect()
}
