//! Deliveries as their next try would find them, before somebody decides that there shall be one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::claim::Claimed;
use super::{Kind, facts, whereabouts};
use crate::engine::world::{Delivery, Fields};
use crate::id::{ContactId, DeliveryId, EnrollmentId};
use crate::store::names::{self, spelled};
use crate::store::sql::args;
use crate::store::{Conn, Result, Row, Rows, fields, journeys};
use crate::time::Timestamp;

/// One about which somebody may decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Undecided {
    /// With what withdraws permission now, and without what it is written with.
    pub claimed: Claimed,
    /// It may have left; else it was refused.
    pub in_doubt: bool,
}

/// Those of them that may have left or were refused, with the facts of the send point as they are now.
pub async fn undecided(conn: &mut Conn, ids: &[DeliveryId]) -> Result<Vec<Undecided>> {
    const FIND: &str = "WITH n(id) AS ({I}) SELECT deliveries.id, contact, enrollment, journey, step, kind, channel, template, purpose, \
        transactional, address, before_at, due_at, attempts, frozen, cut_off, state \
        FROM n CROSS JOIN deliveries WHERE deliveries.bucket = $1 AND deliveries.id = n.id \
        AND deliveries.state IN ('unknown', 'refused')";
    let catalog = journeys::deployed(conn).await?.catalog.clone();
    let mut buckets: BTreeMap<i64, Rows> = BTreeMap::new();
    for (id, bucket) in whereabouts(conn, ids.iter().copied()).await? {
        buckets.entry(bucket).or_default().push([id.into()]);
    }
    let mut all = Vec::new();
    for (bucket, list) in buckets {
        let rows = conn.fetch_rows(FIND, list, &args![bucket]).await?;
        let (mut claimed, mut doubts) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in &rows {
            let in_doubt = row.text(16)? == "unknown";
            claimed.push(next_try(conn, row, bucket, in_doubt).await?);
            doubts.push(in_doubt);
        }
        facts::look_up(conn, &catalog, &mut claimed).await?;
        all.extend(
            claimed.into_iter().zip(doubts).map(|(claimed, in_doubt)| Undecided { claimed, in_doubt }),
        );
    }
    Ok(all)
}

async fn next_try(conn: &mut Conn, row: &Row, bucket: i64, in_doubt: bool) -> Result<Claimed> {
    let mut numbers = Vec::with_capacity(5);
    for column in [3, 4, 6, 7, 8] {
        numbers.push(row.i64(column)?);
    }
    let words = names::spell(conn, numbers).await?;
    let word = |column: usize| spelled(&words, row.i64(column)?);
    let delivery = Delivery {
        id: DeliveryId(row.i64(0)?),
        enrollment: EnrollmentId(row.i64(2)?),
        journey: word(3)?,
        step: word(4)?,
        round: 0,
        arm: 0,
        channel: word(6)?,
        template: word(7)?,
        purpose: word(8)?,
        transactional: row.i64(9)? != 0,
        wants_outcome: false,
        with: Fields::new(),
        to: row.opt_text(10)?.map(Arc::from),
        before: row.opt_at(11)?,
        due_at: row.at(12)?,
    };
    // What was refused is made anew, and has no tries behind it.
    let tries = if in_doubt { u32::try_from(row.i64(13)?).unwrap_or(u32::MAX) } else { 0 };
    Ok(Claimed {
        kind: Kind::of(row.i64(5)?),
        bucket,
        contact: ContactId(row.i64(1)?),
        delivery,
        epoch: 0,
        attempts: tries.saturating_add(1),
        first_tried_at: Timestamp(0),
        maybe_duplicate: in_doubt,
        undecided: false,
        cut_off: row.i64(15)? != 0,
        leased_until: Timestamp::NEVER,
        generation: 0,
        tried: None,
        frozen: row.opt_text(14)?.filter(|_| in_doubt).map(fields::from_text).transpose()?,
        person: None,
    })
}
