//! The outbox: messages and requests that transitions queued, leased to be sent, and what became of them.
//!
//! ```text
//!            claim                record
//!  queued ----------> leased ---------------> accepted | refused | cancelled    (settled, for good)
//!    ^  ^               | | |
//!    |  |  lease ended  | | |  not now         claim, when its time has come
//!    |  +---------------+ | +-----> deferred ----------> leased
//!    +-- given back       +-------> unknown ---> somebody decides: queued | accepted
//! ```
//!
//! - *claim*: a worker takes what is due, with a lease and the next epoch, and gets the facts of the send point as they are now.
//! - *record*: the worker tells the result. A worker that was overtaken has an older epoch, and is not believed.
//! - *lease ended*: the process died or hung, maybe after the final dot: it is claimed again, marked as doubtful. Whoever claims it
//!   decides: it is sent again with the same identity, so the same Message-ID (at least once), or kept as unknown (at most once).
//! - *unknown*: it may have left. It rests, unsettled, until somebody says that it shall be sent again, or counts as sent.
//! - A queued or deferred message of an enrollment that ended is cancelled, unless it is transactional.
//!
//! From its first try to its result a message stays what it was: see `claim`. One that may have arrived and would now come out otherwise
//! (the program or its settings are other ones) is refused and shows, since two different mails must not have one Message-ID.
//!
//! A letter does not leave by itself: it is `waiting` from the start, and `batched` from the cut of its batch until the folder of the
//! batch is there; see `store::letters`.
//!
//! Due times are on the journey clock; leases and tries are on the machine's, which may run at another speed.
//!
//! - `claim`: leases; `facts`: what the send point looks at; `record`: results
//! - `receipt`: a message as whoever speaks of it later means it
//! - `counts`: how many are where; `list`: as people look at them; `decide`: what people say of those in doubt;
//!   `again`: whether what they say could come about

mod again;
mod claim;
mod counts;
mod decide;
mod facts;
mod list;
mod receipt;
mod record;

pub use self::again::{Undecided, undecided};
pub use self::claim::{Claim, Claimed, Closed, Kept, Next, claim, claim_open, look_again, next, next_open};
pub(super) use self::claim::{lease_letters, letters_as_cut, letters_of_batch};
pub use self::counts::{Count, Outcome, counts, made, results};
pub use self::decide::{Decision, decide};
pub use self::facts::Person;
pub use self::list::{Holder, Line, Listed, Shown, list, of_contact};
pub(super) use self::receipt::{Receipt, newest_to, receipt, receipt_locked};
pub use self::record::{
    Finished, Recorded, Released, SendResult, Tried, clicked, next_try, record, record_in, release_former,
    release_of_the_dead,
};
pub(super) use self::record::{pass_on, record_all};

use std::sync::Arc;

use self::counts::{Counts, MADE};
use super::sql::args;
use super::{Arg, Conn, Result, Rows, fields, journeys, names, permissions};
use crate::engine::world::{Delivery, NewRequest};
use crate::id::{ContactId, DeliveryId, EnrollmentId};
use crate::time::{MINUTE, Timestamp};

/// In place of the number of its batch: the letter waits for one.
const NO_BATCH: i64 = 0;

/// How long a delivery is a worker's: longer than the longest wait for a reply to the final dot (600 s, RFC 5321 4.5.3.2.6).
pub const LEASE_MS: i64 = 12 * MINUTE;

/// The channel under which requests are counted and shown.
pub const REQUEST: &str = "request";

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Message,
    /// To the endpoint that `template` names.
    Request,
}

impl Kind {
    fn number(self) -> i64 {
        match self {
            Kind::Message => 0,
            Kind::Request => 1,
        }
    }

    fn of(number: i64) -> Kind {
        if number == 1 { Kind::Request } else { Kind::Message }
    }
}

const INSERT: &str = "INSERT INTO deliveries (id, bucket, contact, enrollment, journey, step, round, arm, kind, \
    channel, template, purpose, transactional, wants_outcome, given, address, before_at, due_at, batch, \
    state, owner, epoch, attempts, doubtful) {IIIIIIIIIIIIIITTIIITIIII}";
/// Columns of a new row.
const WIDTH: usize = 24;

/// The end of a new row: its state, and that it has no owner, epoch, tries or doubts.
fn untried(state: &str) -> [Arg; 5] {
    [state.into(), 0_i64.into(), 0_i64.into(), 0_i64.into(), 0_i64.into()]
}

/// Queues messages, inside the transaction that decided to send them. The caller wakes the delivering loop after its commit.
pub async fn insert(tx: &mut Conn, bucket: i64, deliveries: &[(ContactId, &Delivery)]) -> Result<()> {
    let mut rows = Rows::with_capacity(deliveries.len() * WIDTH);
    let mut counts = Counts::default();
    let known = journeys::known(tx);
    for (contact, delivery) in deliveries {
        let is_letter = known.as_ref().is_some_and(|known| known.catalog.is_letter(&delivery.channel));
        let journey = names::intern(tx, &delivery.journey).await?;
        let channel = names::intern(tx, &delivery.channel).await?;
        let template = names::intern(tx, &delivery.template).await?;
        counts.add(bucket, journey, channel, template, MADE);
        rows.push([
            delivery.id.into(),
            bucket.into(),
            (*contact).into(),
            delivery.enrollment.into(),
            journey.into(),
            names::intern(tx, &delivery.step).await?.into(),
            delivery.round.into(),
            i64::from(delivery.arm).into(),
            Kind::Message.number().into(),
            channel.into(),
            template.into(),
            names::intern(tx, &delivery.purpose).await?.into(),
            i64::from(delivery.transactional).into(),
            i64::from(delivery.wants_outcome).into(),
            fields::to_text(&delivery.with).into(),
            delivery.to.clone().into(),
            delivery.before.into(),
            delivery.due_at.into(),
            if is_letter { Arg::I64(NO_BATCH) } else { Arg::NoI64 },
        ]);
        rows.push(untried(if is_letter { "waiting" } else { "queued" }));
    }
    tx.exec_rows(INSERT, rows, &[]).await?;
    counts.write(tx).await
}

/// Queues requests, inside the transaction that decided to make them. Their results are always told.
pub async fn insert_requests(
    tx: &mut Conn,
    bucket: i64,
    requests: &[(ContactId, &NewRequest)],
) -> Result<()> {
    if requests.is_empty() {
        return Ok(());
    }
    let channel = names::intern(tx, &REQUEST.into()).await?;
    let mut rows = Rows::with_capacity(requests.len() * WIDTH);
    let mut counts = Counts::default();
    for (contact, request) in requests {
        let journey = names::intern(tx, &request.journey).await?;
        let endpoint = names::intern(tx, &request.endpoint).await?;
        counts.add(bucket, journey, channel, endpoint, MADE);
        rows.push([
            request.id.into(),
            bucket.into(),
            (*contact).into(),
            request.enrollment.into(),
            journey.into(),
            names::intern(tx, &request.step).await?.into(),
            request.round.into(),
            0_i64.into(),
            Kind::Request.number().into(),
            channel.into(),
            endpoint.into(),
            channel.into(),
            1_i64.into(),
            1_i64.into(),
            fields::to_text(&request.with).into(),
            Arg::NoText,
            Arg::NoI64,
            request.due_at.into(),
            Arg::NoI64,
        ]);
        rows.push(untried("queued"));
    }
    tx.exec_rows(INSERT, rows, &[]).await?;
    counts.write(tx).await
}

const CANCEL: &str = "WITH n(contact, enrollment) AS ({II}) \
    UPDATE deliveries SET state = 'cancelled', result = 'left', again_at = NULL, settled_at = $1, frozen = NULL FROM n \
    WHERE deliveries.bucket = $2 AND deliveries.contact = n.contact \
    AND deliveries.enrollment = n.enrollment AND deliveries.state IN ('queued', 'deferred', 'waiting') \
    AND (deliveries.transactional = 0 OR deliveries.kind = 1) \
    RETURNING deliveries.id, deliveries.contact, deliveries.journey, deliveries.channel, deliveries.template";
const CUT_OFF: &str = "WITH n(contact, enrollment) AS ({II}) UPDATE deliveries SET cut_off = 1 FROM n \
    WHERE deliveries.bucket = $1 AND deliveries.contact = n.contact \
    AND deliveries.enrollment = n.enrollment AND deliveries.state IN ('leased', 'unknown') \
    AND (deliveries.transactional = 0 OR deliveries.kind = 1)";

/// Cancels what enrollments that ended still have in the queue: requests, and messages that are not transactional. Their cap slots
/// become free. What is leased may leave, and is cancelled if it did not and would be tried again.
pub async fn cancel(
    tx: &mut Conn,
    bucket: i64,
    ended: &[(ContactId, EnrollmentId)],
    now: Timestamp,
) -> Result<Vec<DeliveryId>> {
    let mut rows = Rows::with_capacity(ended.len() * 2);
    for (contact, enrollment) in ended {
        rows.push([(*contact).into(), (*enrollment).into()]);
    }
    let mut counts = Counts::default();
    let mut freed = Vec::new();
    tx.exec_rows(CUT_OFF, rows.clone(), &args![bucket]).await?;
    for row in tx.fetch_rows(CANCEL, rows, &args![now, bucket]).await? {
        freed.push((ContactId(row.i64(1)?), DeliveryId(row.i64(0)?)));
        counts.add(bucket, row.i64(2)?, row.i64(3)?, row.i64(4)?, "cancelled");
    }
    permissions::free_slots(tx, bucket, &freed).await?;
    counts.write(tx).await?;
    Ok(freed.into_iter().map(|(_, id)| id).collect())
}

/// Where a message went: the address at its first try, or the one that its step gives.
pub(super) async fn address(conn: &mut Conn, bucket: i64, id: DeliveryId) -> Result<Option<Arc<str>>> {
    const ADDRESS: &str = "SELECT address FROM deliveries WHERE bucket = $1 AND id = $2";
    let mut found = conn.fetch_first(ADDRESS, args![bucket, id]).await?;
    // Its contact may live elsewhere by now.
    if found.is_none()
        && let Some((_, elsewhere)) = whereabouts(conn, [id].into_iter()).await?.pop()
    {
        found = conn.fetch_first(ADDRESS, args![elsewhere, id]).await?;
    }
    found.map_or(Ok(None), |row| Ok(row.opt_text(0)?.map(Arc::from)))
}

/// In which buckets these deliveries are by now: contacts that turn out to be one take theirs along.
async fn whereabouts(
    conn: &mut Conn,
    ids: impl Iterator<Item = DeliveryId>,
) -> Result<Vec<(DeliveryId, i64)>> {
    const WHERE: &str = "WITH n(bucket, id) AS ({II}) SELECT deliveries.id, deliveries.bucket \
        FROM n CROSS JOIN deliveries WHERE deliveries.bucket = n.bucket AND deliveries.id = n.id";
    let mut rows = Rows::default();
    for id in ids {
        for bucket in 0..conn.core.settings().buckets {
            rows.push([bucket.into(), id.into()]);
        }
    }
    let found = conn.fetch_rows(WHERE, rows, &[]).await?;
    found.iter().map(|row| Ok((DeliveryId(row.i64(0)?), row.i64(1)?))).collect()
}
