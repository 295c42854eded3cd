//! Letters: leased for a moment, in the transaction that cuts their batch, and read again as they were then.

use super::{Claim, Claimed, Closed, Leased, claimed, facts, read_leased};
use crate::engine::program::{Catalog, Word};
use crate::id::{ContactId, DeliveryId};
use crate::store::sql::args;
use crate::store::{Conn, Result, names};
use crate::time::Timestamp;

/// Leases letters of a bucket that wait and are due, with the facts of the send point.
pub(in crate::store) async fn lease_letters(
    tx: &mut Conn,
    (bucket, channel): (i64, &Word),
    claim: &Claim,
    (catalog, generation): (&Catalog, i64),
    closed: &Closed,
) -> Result<Vec<Claimed>> {
    let Some(channel) = names::find(tx, channel).await? else { return Ok(Vec::new()) };
    let until = claim.now.plus_ms(claim.lease_ms);
    let room = i64::try_from(claim.limit).unwrap_or(i64::MAX);
    let args = args![bucket, room, claim.owner, claim.now, until, claim.journey_now, generation, channel];
    let mut taken = Leased::new();
    for row in tx.fetch_rows(Closed::LETTERS, closed.list_of_any(), &args).await? {
        taken.insert(DeliveryId(row.i64(0)?), row.i64(1)?);
    }
    let mut leased = read_leased(tx, bucket, &taken, until).await?;
    facts::look_up(tx, catalog, &mut leased).await?;
    Ok(leased)
}

/// The letters of a batch, in the order of their ids, and where they are.
pub(in crate::store) async fn letters_of_batch(
    conn: &mut Conn,
    batch: i64,
) -> Result<Vec<(DeliveryId, i64)>> {
    // One statement sees one moment: a letter that moves with its contact is somewhere in it, once.
    const OF: &str = "WITH n(bucket) AS ({I}) SELECT deliveries.id, deliveries.bucket \
        FROM n CROSS JOIN deliveries WHERE deliveries.bucket = n.bucket AND deliveries.batch = $1 AND deliveries.batch > 0";
    let rows = conn.all_buckets();
    let mut letters = Vec::new();
    for row in conn.fetch_rows(OF, rows, &args![batch]).await? {
        letters.push((DeliveryId(row.i64(0)?), row.i64(1)?));
    }
    letters.sort_unstable();
    Ok(letters)
}

/// Letters as they were when their batch was cut: what the contact was like, and who it was. Some may have moved on meanwhile: the
/// caller asks for them again.
pub(in crate::store) async fn letters_as_cut(
    conn: &mut Conn,
    letters: &[(DeliveryId, i64)],
) -> Result<Vec<(Claimed, Option<ContactId>)>> {
    const LETTER: &str = concat!(
        "SELECT ",
        columns!(),
        ", addressee FROM deliveries WHERE bucket = $1 AND id = $2 AND batch > 0"
    );
    let mut found = Vec::with_capacity(letters.len());
    for (id, bucket) in letters {
        let Some(row) = conn.fetch_first(LETTER, args![*bucket, *id]).await? else { continue };
        let mut numbers = Vec::with_capacity(5);
        for column in [3, 4, 8, 9, 10] {
            numbers.push(row.i64(column)?);
        }
        let words = names::spell(conn, numbers).await?;
        let letter = claimed(&row, *bucket, Timestamp::NEVER, &words)?;
        found.push((letter, row.opt_i64(26)?.map(ContactId)));
    }
    Ok(found)
}
