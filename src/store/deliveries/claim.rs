//! Taking what is due, with a lease.
//!
//! The first lease freezes what the message is made of: the attributes of the contact, so address and language too, and the deploy whose
//! templates write it. A retry makes the same message for the same address, whatever was changed meanwhile. What was not tried after
//! all thaws.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Kind;
use super::facts::{self, Person};
use crate::engine::program::Catalog;
use crate::engine::world::{Delivery, Fields};
use crate::id::{ContactId, DeliveryId, EnrollmentId};
use crate::store::names::{self, spelled};
use crate::store::sql::args;
use crate::store::{Conn, Error, Result, Row, Rows, Store, fields, journeys};
use crate::time::Timestamp;

/// Who takes how much, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The number of this process.
    pub owner: i64,
    pub limit: usize,
    /// The machine's clock.
    pub now: Timestamp,
    /// The journey clock.
    pub journey_now: Timestamp,
    pub lease_ms: i64,
}

/// A delivery that is ours until its lease ends, with the facts of the send point.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    pub kind: Kind,
    pub bucket: i64,
    /// Whom it is for; who took over, if two contacts were merged since.
    pub contact: ContactId,
    /// As the transition queued it. Of a request, `template` is the endpoint.
    pub delivery: Delivery,
    /// Goes with the result, so that a worker that was overtaken is not believed.
    pub epoch: i64,
    /// This try included.
    pub attempts: u32,
    pub first_tried_at: Timestamp,
    /// It may have left already: an earlier try ended without a known result.
    pub maybe_duplicate: bool,
    /// And nobody has decided since that it shall be sent again.
    pub undecided: bool,
    /// Its enrollment was cut off while it was on its way.
    pub cut_off: bool,
    /// The send must not outlive this moment of the machine's clock.
    pub leased_until: Timestamp,
    /// The deploy under which it was first tried: its templates write it.
    pub generation: i64,
    /// The hash of what may have arrived already.
    pub tried: Option<String>,
    /// The attributes of the contact at the first try.
    pub(super) frozen: Option<Fields>,
    /// `None`: the contact is gone.
    pub person: Option<Person>,
}

impl Claimed {
    /// Puts the contact beside it as it was frozen, and nothing that is looked at at the send point; whether it still is frozen.
    pub(in crate::store) fn thaw(&mut self, catalog: &Catalog) -> bool {
        let Some(attributes) = self.frozen.take() else { return false };
        self.person = Some(facts::as_frozen(catalog, &self.delivery, attributes));
        true
    }
}

/// What [`claimed`] reads.
macro_rules! columns {
    () => {
        "deliveries.id, contact, enrollment, journey, step, round, arm, kind, channel, template, purpose, transactional, \
        wants_outcome, given, address, before_at, due_at, epoch, attempts, first_tried_at, doubtful, frozen, generation, \
        hash, doubts_seen, cut_off"
    };
}

/// Leases the rows that a condition finds, in that order; their ids and epochs. The rest is read after the commit: nobody waits for it
/// then.
macro_rules! lease {
    ($with:expr, $due:expr, $order:literal) => {
        concat!(
            "WITH ",
            $with,
            "due AS (SELECT id FROM deliveries WHERE ",
            $due,
            " ORDER BY ",
            $order,
            " LIMIT $2 {skip locked}) \
            UPDATE deliveries SET state = 'leased', owner = $3, epoch = epoch + 1, attempts = attempts + 1, \
            first_tried_at = COALESCE(first_tried_at, $4), again_at = $5, \
            generation = COALESCE(generation, $7), frozen = COALESCE(frozen, (SELECT contacts.attributes FROM contacts \
                WHERE contacts.bucket = deliveries.bucket AND contacts.id = deliveries.contact AND contacts.merged_into IS NULL)), \
            doubtful = doubtful + CASE WHEN state = 'leased' THEN 1 ELSE 0 END \
            FROM due WHERE deliveries.bucket = $1 AND deliveries.id = due.id \
            RETURNING deliveries.id, deliveries.epoch"
        )
    };
}

// After the macros, which they use.
mod closed;
mod letters;

pub use self::closed::{Closed, Kept};
pub(in crate::store) use self::letters::{lease_letters, letters_as_cut, letters_of_batch};

/// Takes what is due, oldest first, transactional messages before others. What a worker took and never told of is due again when
/// its lease has ended.
pub async fn claim(store: &Store, claim: Claim) -> Result<Vec<Claimed>> {
    claim_open(store, claim, &Closed::default()).await
}

/// The same, but for what is closed.
pub async fn claim_open(store: &Store, claim: Claim, closed: &Closed) -> Result<Vec<Claimed>> {
    let mut conn = store.read().await?;
    let (heads, generation) = heads(&mut conn, closed).await?;
    drop(conn);
    let mut due: Vec<Head> = heads.into_iter().filter(|head| head.is_due(&claim)).collect();
    // Where only few may leave, it is those.
    due.sort_by_key(|head| head.transactional.is_none_or(|at| at > claim.journey_now));
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = store.write().await?;
    let deployed = journeys::deployed_at(&mut tx, generation).await?;
    let (mut leased, mut count) = (Vec::new(), 0);
    for head in due {
        let room = claim.limit.saturating_sub(count);
        if room == 0 {
            break;
        }
        let taken = lease(&mut tx, &head, room, &claim, generation, closed).await?;
        count += taken.len();
        leased.push((head.bucket, taken));
    }
    tx.commit_unannounced().await?;
    // Read and looked at after the commit, where nobody waits for it: what was withdrawn up to now counts.
    let mut conn = store.read().await?;
    let mut all: Vec<Claimed> = Vec::with_capacity(count);
    for (bucket, taken) in leased {
        let mut part = read_leased(&mut conn, bucket, &taken, claim.now.plus_ms(claim.lease_ms)).await?;
        facts::look_up(&mut conn, &deployed.catalog, &mut part).await?;
        all.append(&mut part);
    }
    drop(conn);
    all.sort_by_key(|claimed| {
        (!claimed.delivery.transactional, claimed.delivery.due_at, claimed.delivery.id)
    });
    Ok(all)
}

/// Looks again at the contacts of claimed deliveries: for a send that begins a while after the claim, since a withdrawal holds from
/// its commit on.
pub async fn look_again(conn: &mut Conn, claimed: &mut [Claimed]) -> Result<()> {
    let deployed = journeys::deployed(conn).await?;
    facts::look_up(conn, &deployed.catalog, claimed).await
}

/// The earliest unfinished deliveries of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    bucket: i64,
    transactional: Option<Timestamp>,
    other: Option<Timestamp>,
    again: Option<Timestamp>,
}

impl Head {
    fn is_due(&self, claim: &Claim) -> bool {
        let queued = [self.transactional, self.other].into_iter().flatten();
        queued.into_iter().any(|at| at <= claim.journey_now) || self.again.is_some_and(|at| at <= claim.now)
    }
}

/// The heads of all buckets, each found at the beginning of an index, and the newest generation of what is deployed.
async fn heads(conn: &mut Conn, closed: &Closed) -> Result<(Vec<Head>, i64)> {
    const HEADS: &str = "WITH n(bucket) AS ({I}) SELECT n.bucket, \
        (SELECT MIN(due_at) FROM deliveries \
            WHERE deliveries.bucket = n.bucket AND state = 'queued' AND transactional = 1), \
        (SELECT MIN(due_at) FROM deliveries \
            WHERE deliveries.bucket = n.bucket AND state = 'queued' AND transactional = 0), \
        (SELECT MIN(again_at) FROM deliveries WHERE deliveries.bucket = n.bucket AND again_at IS NOT NULL), \
        (SELECT MAX(generation) FROM deployments) FROM n";
    if !closed.is_empty() {
        let (heads, generation) = closed.heads(conn).await?;
        return Ok((in_order(heads), generation));
    }
    let rows = conn.all_buckets();
    let mut generation = 0;
    let read = |row: Row| {
        generation = row.opt_i64(4)?.unwrap_or(0);
        let (transactional, other, again) = (row.opt_at(1)?, row.opt_at(2)?, row.opt_at(3)?);
        Ok(Head { bucket: row.i64(0)?, transactional, other, again })
    };
    let heads: Vec<Head> =
        conn.fetch_rows(HEADS, rows, &[]).await?.into_iter().map(read).collect::<Result<_>>()?;
    Ok((in_order(heads), generation))
}

/// Those with something to do, the earliest first.
fn in_order(mut heads: Vec<Head>) -> Vec<Head> {
    heads.retain(|head| head.transactional.or(head.other).or(head.again).is_some());
    heads.sort_unstable_by_key(|head| head.transactional.into_iter().chain(head.other).min());
    heads
}

/// When the delivering loop has to look again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// On the journey clock: something queued becomes due.
    pub due_at: Option<Timestamp>,
    /// On the machine's clock: the next try of something deferred, or the end of a lease.
    pub again_at: Option<Timestamp>,
}

/// When something is due next.
pub async fn next(conn: &mut Conn) -> Result<Next> {
    next_open(conn, &Closed::default()).await
}

/// The same, but for what is closed.
pub async fn next_open(conn: &mut Conn, closed: &Closed) -> Result<Next> {
    let (heads, _) = heads(conn, closed).await?;
    let due_at = heads.iter().flat_map(|head| [head.transactional, head.other]).flatten().min();
    Ok(Next { due_at, again_at: heads.iter().filter_map(|head| head.again).min() })
}

async fn lease(
    tx: &mut Conn,
    head: &Head,
    room: usize,
    claim: &Claim,
    generation: i64,
    closed: &Closed,
) -> Result<Leased> {
    const TRANSACTIONAL: &str =
        lease!("", "bucket = $1 AND state = 'queued' AND transactional = 1 AND due_at <= $6", "due_at");
    const OTHER: &str =
        lease!("", "bucket = $1 AND state = 'queued' AND transactional = 0 AND due_at <= $6", "due_at");
    const AGAIN: &str = lease!("", "bucket = $1 AND again_at IS NOT NULL AND again_at <= $6", "again_at");
    let [transactional, again, other] =
        if closed.is_empty() { [TRANSACTIONAL, AGAIN, OTHER] } else { Closed::LEASE };
    let parts = [
        (transactional, head.transactional, claim.journey_now),
        (again, head.again, claim.now),
        (other, head.other, claim.journey_now),
    ];
    let until = claim.now.plus_ms(claim.lease_ms);
    let mut leased = Leased::new();
    for (sql, earliest, now) in parts {
        let room = i64::try_from(room - leased.len()).unwrap_or(i64::MAX);
        let Some(earliest) = earliest.filter(|at| room > 0 && *at <= now) else { continue };
        let mut args = args![head.bucket, room, claim.owner, claim.now, until, now, generation];
        let rows = if closed.is_empty() {
            tx.fetch(sql, args).await?
        } else {
            args.push(earliest.into());
            tx.fetch_rows(sql, closed.list(), &args).await?
        };
        for row in rows {
            leased.insert(DeliveryId(row.i64(0)?), row.i64(1)?);
        }
    }
    Ok(leased)
}

/// Deliveries that a lease has taken, and the epoch of each.
type Leased = BTreeMap<DeliveryId, i64>;

/// What was leased. Who was merged into a contact of another bucket since has taken it along. What somebody else has claimed since is no
/// longer ours: whoever was frozen for so long between the lease and this look.
async fn read_leased(
    conn: &mut Conn,
    bucket: i64,
    leased: &Leased,
    leased_until: Timestamp,
) -> Result<Vec<Claimed>> {
    let rows = rows_of(conn, bucket, leased.keys().copied()).await?;
    let mut found = read_all(conn, bucket, &rows, leased_until).await?;
    if rows.len() < leased.len() {
        let mut there = BTreeSet::new();
        for row in &rows {
            there.insert(DeliveryId(row.i64(0)?));
        }
        let missing = leased.keys().copied().filter(|id| !there.contains(id));
        for (id, elsewhere) in super::whereabouts(conn, missing).await? {
            let rows = rows_of(conn, elsewhere, [id].into_iter()).await?;
            found.extend(read_all(conn, elsewhere, &rows, leased_until).await?);
        }
    }
    found.retain(|claimed| leased.get(&claimed.delivery.id) == Some(&claimed.epoch));
    Ok(found)
}

async fn rows_of(
    conn: &mut Conn,
    bucket: i64,
    ids: impl ExactSizeIterator<Item = DeliveryId>,
) -> Result<Vec<Row>> {
    const READ: &str = concat!(
        "WITH n(id) AS ({I}) SELECT ",
        columns!(),
        " FROM n CROSS JOIN deliveries WHERE deliveries.bucket = $1 AND deliveries.id = n.id"
    );
    let mut rows = Rows::with_capacity(ids.len());
    for id in ids {
        rows.push([id.into()]);
    }
    conn.fetch_rows(READ, rows, &args![bucket]).await
}

/// What stands in leased rows. One that cannot be read is passed over: it must not hold up the others, and shows again when its
/// lease ends.
async fn read_all(
    conn: &mut Conn,
    bucket: i64,
    rows: &[Row],
    leased_until: Timestamp,
) -> Result<Vec<Claimed>> {
    let mut words = BTreeSet::new();
    for row in rows {
        for column in [3, 4, 8, 9, 10] {
            words.insert(row.i64(column)?);
        }
    }
    let words = names::spell(conn, words).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        match claimed(row, bucket, leased_until, &words) {
            Ok(one) => all.push(one),
            Err(error) => tracing::error!(%error, delivery = row.i64(0)?, "a delivery cannot be read"),
        }
    }
    Ok(all)
}

fn claimed(
    row: &Row,
    bucket: i64,
    leased_until: Timestamp,
    words: &HashMap<i64, Arc<str>>,
) -> Result<Claimed> {
    let word = |column: usize| spelled(words, row.i64(column)?);
    let small = |column: usize| Ok::<_, Error>(u32::try_from(row.i64(column)?).unwrap_or(u32::MAX));
    let delivery = Delivery {
        id: DeliveryId(row.i64(0)?),
        enrollment: EnrollmentId(row.i64(2)?),
        journey: word(3)?,
        step: word(4)?,
        round: small(5)?,
        arm: u8::try_from(row.i64(6)?).unwrap_or(u8::MAX),
        channel: word(8)?,
        template: word(9)?,
        purpose: word(10)?,
        transactional: row.i64(11)? != 0,
        wants_outcome: row.i64(12)? != 0,
        with: fields::from_text(row.text(13)?)?,
        to: row.opt_text(14)?.map(Arc::from),
        before: row.opt_at(15)?,
        due_at: row.at(16)?,
    };
    Ok(Claimed {
        kind: Kind::of(row.i64(7)?),
        bucket,
        contact: ContactId(row.i64(1)?),
        delivery,
        epoch: row.i64(17)?,
        attempts: small(18)?,
        first_tried_at: row.at(19)?,
        maybe_duplicate: row.i64(20)? > 0,
        undecided: row.i64(20)? > row.i64(24)?,
        cut_off: row.i64(25)? != 0,
        leased_until,
        generation: row.opt_i64(22)?.unwrap_or(0),
        tried: row.opt_text(23)?.map(str::to_owned),
        frozen: row.opt_text(21)?.map(fields::from_text).transpose()?,
        person: None,
    })
}
