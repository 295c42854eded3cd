//! What became of deliveries, and who is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{Claimed, Counts, Kind, whereabouts};
use crate::clock::machine_now;
use crate::engine::program::Word;
use crate::engine::world::{Fields, Input, Outcome, Suppression};
use crate::id::{ContactId, DeliveryId, EnrollmentId};
use crate::store::journeys::{self, Deployed};
use crate::store::names::{self, spelled};
use crate::store::sql::args;
use crate::store::{Conn, Dialect, Result, Row, Rows, Store, inbox, permissions, workers};
use crate::time::{DAY, HOUR, MINUTE, Timestamp};
use crate::value::Value;

/// After how many milliseconds the next try comes; the last one holds for all further tries.
const BACKOFF: [i64; 8] = [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 6 * HOUR];

/// A message that was not accepted for so long is given up.
const LONGEST_TRY: i64 = 5 * DAY;

/// What became of a claimed delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    pub bucket: i64,
    pub epoch: i64,
    pub result: SendResult,
    /// What was tried, if it came so far.
    pub tried: Option<Tried>,
    of: Told,
}

impl Finished {
    /// The end of a claim.
    pub fn new(claimed: &Claimed, result: SendResult, tried: Option<Tried>) -> Finished {
        Finished { bucket: claimed.bucket, epoch: claimed.epoch, result, tried, of: Told::of_claim(claimed) }
    }

    /// Which delivery.
    pub fn id(&self) -> DeliveryId {
        self.of.id
    }
}

/// A delivery as those know it who are told what became of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) id: DeliveryId,
    pub(super) contact: ContactId,
    pub(super) enrollment: EnrollmentId,
    pub(super) journey: Word,
    pub(super) step: Word,
    pub(super) round: u32,
    kind: Kind,
    pub(super) channel: Word,
    pub(super) template: Word,
    wants_outcome: bool,
    purpose: Word,
}

impl Told {
    fn of_claim(claimed: &Claimed) -> Told {
        let delivery = &claimed.delivery;
        Told {
            id: delivery.id,
            contact: claimed.contact,
            enrollment: delivery.enrollment,
            journey: delivery.journey.clone(),
            step: delivery.step.clone(),
            round: delivery.round,
            kind: claimed.kind,
            channel: delivery.channel.clone(),
            template: delivery.template.clone(),
            wants_outcome: delivery.wants_outcome,
            purpose: delivery.purpose.clone(),
        }
    }

    /// Rows with the columns of `told`.
    pub(super) async fn read_all(tx: &mut Conn, rows: &[Row]) -> Result<Vec<Told>> {
        let mut numbers = BTreeSet::new();
        for row in rows {
            numbers.extend([row.i64(3)?, row.i64(4)?, row.i64(7)?, row.i64(8)?, row.i64(10)?]);
        }
        let words = names::spell(tx, numbers).await?;
        rows.iter().map(|row| Told::read(row, &words)).collect()
    }

    fn read(row: &Row, words: &HashMap<i64, Arc<str>>) -> Result<Told> {
        let word = |column: usize| spelled(words, row.i64(column)?);
        Ok(Told {
            id: DeliveryId(row.i64(0)?),
            contact: ContactId(row.i64(1)?),
            enrollment: EnrollmentId(row.i64(2)?),
            journey: word(3)?,
            step: word(4)?,
            round: u32::try_from(row.i64(5)?).unwrap_or(u32::MAX),
            kind: Kind::of(row.i64(6)?),
            channel: word(7)?,
            template: word(8)?,
            wants_outcome: row.i64(9)? != 0,
            purpose: word(10)?,
        })
    }

    fn fields(&self) -> Fields {
        said([&self.channel, &self.template, &self.journey, &self.purpose].map(Word::clone))
    }
}

/// A message as it was handed over, or was about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    pub address: Arc<str>,
    /// The hash of its bytes.
    pub hash: String,
}

/// The results of a try.
#[derive(Clone, Debug, PartialEq)]
pub enum SendResult {
    /// The other side took it over; with its reply, if it gave one.
    Accepted { reply: Option<String> },
    /// The endpoint answered a request.
    Answered { fields: Fields },
    /// It will never be accepted. `bad_address`: because of the address, which is suppressed from now on.
    Refused { code: Option<u16>, text: String, bad_address: Option<Arc<str>> },
    /// Not now; see [`next_try`].
    Deferred { retry_at: Timestamp, reason: String },
    /// It may have left. `None`: no further try before somebody has decided, it is listed as unknown.
    Unknown { retry_at: Option<Timestamp>, reason: String },
    /// An earlier try may have left: it was not tried again, and is listed as unknown.
    Undecided { reason: String },
    /// Permission was withdrawn, or nobody is there: `gone`, `late`, `suppressed`, `consent`, `paused`, …
    Cancelled { reason: Word },
    /// Quiet hours at the send point: queued until then, on the journey clock.
    Held { until: Timestamp },
    /// It was not tried at all; it is due again.
    GivenBack,
}

/// What recording did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    pub taken: usize,
    /// Results of workers that were overtaken, or of what was cancelled meanwhile; nothing was changed by them.
    pub stale: usize,
}

/// How a result changes its row, and what it means for others.
struct Fate<'a> {
    state: &'static str,
    /// The result is final.
    settled: bool,
    again_at: Option<Timestamp>,
    due_at: Option<Timestamp>,
    /// Tries that do not count.
    tries: i64,
    doubts: i64,
    text: Option<String>,
    outcome: Option<&'static str>,
    reason: Option<&'a str>,
}

impl Fate<'_> {
    fn unsettled(state: &'static str) -> Self {
        Fate {
            state,
            settled: false,
            again_at: None,
            due_at: None,
            tries: 0,
            doubts: 0,
            text: None,
            outcome: None,
            reason: None,
        }
    }
}

impl SendResult {
    fn fate(&self) -> Fate<'_> {
        let settled =
            |state, outcome| Fate { settled: true, outcome: Some(outcome), ..Fate::unsettled(state) };
        match self {
            SendResult::Accepted { reply } => Fate { text: reply.clone(), ..settled("accepted", "sent") },
            SendResult::Answered { .. } => settled("accepted", "answered"),
            SendResult::Refused { code, text, bad_address } => {
                let outcome = if bad_address.is_some() { "bounced" } else { "failed" };
                let full = code.map_or_else(|| text.clone(), |code| format!("{code} {text}"));
                Fate { text: Some(full), reason: Some(text), ..settled("refused", outcome) }
            }
            SendResult::Deferred { retry_at, reason } => {
                Fate { again_at: Some(*retry_at), text: Some(reason.clone()), ..Fate::unsettled("deferred") }
            }
            SendResult::Unknown { retry_at: Some(retry_at), reason } => Fate {
                again_at: Some(*retry_at),
                doubts: 1,
                text: Some(reason.clone()),
                ..Fate::unsettled("deferred")
            },
            SendResult::Unknown { retry_at: None, reason } => {
                Fate { doubts: 1, text: Some(reason.clone()), ..Fate::unsettled("unknown") }
            }
            SendResult::Undecided { reason } => {
                Fate { tries: -1, text: Some(reason.clone()), ..Fate::unsettled("unknown") }
            }
            SendResult::Cancelled { reason } => Fate {
                text: Some(reason.to_string()),
                reason: Some(reason),
                ..settled("cancelled", "cancelled")
            },
            SendResult::Held { until } => {
                Fate { due_at: Some(*until), tries: -1, ..Fate::unsettled("queued") }
            }
            SendResult::GivenBack => Fate { tries: -1, ..Fate::unsettled("queued") },
        }
    }
}

/// What is read of a row of which something is told: see [`Told`].
macro_rules! told {
    () => {
        "deliveries.id, contact, enrollment, journey, step, round, kind, channel, template, wants_outcome, purpose"
    };
}
pub(super) use told;

// INVARIANT: the epoch is that of the claim, so nobody else has claimed it since.
const RECORD: &str = "WITH n(id, epoch, state, again_at, due_at, tries, doubts, result, settled_at, address, hash) \
    AS ({IITIIIITITT}) \
    UPDATE deliveries SET state = n.state, again_at = n.again_at, due_at = COALESCE(n.due_at, deliveries.due_at), \
    attempts = deliveries.attempts + n.tries, doubtful = deliveries.doubtful + n.doubts, \
    result = COALESCE(n.result, deliveries.result), settled_at = n.settled_at, \
    address = COALESCE(deliveries.address, n.address), hash = COALESCE(deliveries.hash, n.hash), \
    frozen = CASE WHEN (n.settled_at IS NOT NULL AND COALESCE(deliveries.batch, 0) = 0) OR deliveries.attempts + n.tries <= 0 THEN NULL ELSE deliveries.frozen END, \
    generation = CASE WHEN deliveries.attempts + n.tries <= 0 THEN NULL ELSE deliveries.generation END, \
    first_tried_at = CASE WHEN deliveries.attempts + n.tries <= 0 THEN NULL ELSE deliveries.first_tried_at END \
    FROM n WHERE deliveries.bucket = $1 AND deliveries.id = n.id AND deliveries.epoch = n.epoch \
    AND deliveries.state IN ('leased', 'batched') \
    RETURNING deliveries.id, contact";

/// Records results in one transaction, and tells the enrollments and journeys that want to hear of them.
pub async fn record(store: &Store, finished: Vec<Finished>, now: Timestamp) -> Result<Recorded> {
    record_in(store.write().await?, finished, now).await
}

/// As [`record`], in a transaction that was begun for it: results that come in while somebody waits for his turn to write share it.
pub async fn record_in(mut tx: Conn, finished: Vec<Finished>, now: Timestamp) -> Result<Recorded> {
    let count = finished.len();
    let deployed = journeys::deployed(&mut tx).await?;
    let mut inputs = Vec::new();
    let left = record_all(&mut tx, &deployed, finished, now, &mut inputs).await?;
    let (mut stale, moved) = follow(&mut tx, left).await?;
    stale += record_all(&mut tx, &deployed, moved, now, &mut inputs).await?.len();
    pass_on(&mut tx, inputs, now).await?;
    tx.commit_unannounced().await?;
    Ok(Recorded { taken: count - stale, stale })
}

/// Records results bucket by bucket; returns those that fitted no row.
pub(in crate::store) async fn record_all(
    tx: &mut Conn,
    deployed: &Deployed,
    finished: Vec<Finished>,
    now: Timestamp,
    inputs: &mut Vec<(ContactId, Input)>,
) -> Result<Vec<Finished>> {
    let mut buckets: BTreeMap<i64, Vec<Finished>> = BTreeMap::new();
    for finished in finished {
        buckets.entry(finished.bucket).or_default().push(finished);
    }
    let mut left = Vec::new();
    for (bucket, mut all) in buckets {
        let finished: HashMap<i64, &Finished> = all.iter().map(|one| (one.id().0, one)).collect();
        let taken = record_bucket(tx, deployed, bucket, &finished, now, inputs).await?;
        all.retain(|one| !taken.contains(&one.id().0));
        left.extend(all);
    }
    Ok(left)
}

/// Finds deliveries that went to another bucket with their contact while they were under way; how many did not.
async fn follow(tx: &mut Conn, left: Vec<Finished>) -> Result<(usize, Vec<Finished>)> {
    let buckets: HashMap<_, _> = whereabouts(tx, left.iter().map(Finished::id)).await?.into_iter().collect();
    let count = left.len();
    let elsewhere = left.into_iter().filter_map(|one| {
        let bucket = *buckets.get(&one.id())?;
        (bucket != one.bucket).then_some(Finished { bucket, ..one })
    });
    let moved: Vec<Finished> = elsewhere.collect();
    Ok((count - moved.len(), moved))
}

async fn record_bucket(
    tx: &mut Conn,
    deployed: &Deployed,
    bucket: i64,
    finished: &HashMap<i64, &Finished>,
    now: Timestamp,
    inputs: &mut Vec<(ContactId, Input)>,
) -> Result<BTreeSet<i64>> {
    let mut rows = Rows::with_capacity(finished.len() * 11);
    for finished in finished.values() {
        let fate = finished.result.fate();
        rows.push([
            finished.id().into(),
            finished.epoch.into(),
            fate.state.into(),
            fate.again_at.into(),
            fate.due_at.into(),
            fate.tries.into(),
            fate.doubts.into(),
            fate.text.into(),
            fate.settled.then_some(now).into(),
            finished.tried.as_ref().filter(|_| fate.tries == 0).map(|tried| tried.address.clone()).into(),
            finished.tried.as_ref().filter(|_| fate.doubts > 0).map(|tried| tried.hash.clone()).into(),
        ]);
    }
    let rows = tx.fetch_rows(RECORD, rows, &args![bucket]).await?;
    let (mut counts, mut freed, mut taken) = (Counts::default(), Vec::new(), BTreeSet::new());
    for row in &rows {
        let (id, contact) = (row.i64(0)?, ContactId(row.i64(1)?));
        taken.insert(id);
        let Finished { of, result, .. } = finished[&id];
        let fate = result.fate();
        if fate.settled {
            let mut numbers = [0; 3];
            for (number, word) in numbers.iter_mut().zip([&of.journey, &of.channel, &of.template]) {
                *number = names::intern(tx, word).await?;
            }
            let [journey, channel, template] = numbers;
            counts.add(bucket, journey, channel, template, fate.state);
        }
        if matches!(result, SendResult::Cancelled { .. }) {
            freed.push((contact, DeliveryId(id)));
        }
        tell_fate(contact, of, result, &fate, deployed, now, inputs);
    }
    permissions::free_slots(tx, bucket, &freed).await?;
    counts.write(tx).await?;
    Ok(taken)
}

/// What every outcome of a message says: channel, template, journey, purpose.
fn said(words: [Word; 4]) -> Fields {
    let names = ["channel", "template", "journey", "purpose"].into_iter();
    names.zip(words).map(|(name, word)| (name.into(), Value::Text(word))).collect()
}

/// The same of a row, from these columns in that order.
pub(super) fn message_fields(
    row: &Row,
    columns: [usize; 4],
    words: &HashMap<i64, Arc<str>>,
) -> Result<Fields> {
    let [channel, template, journey, purpose] = columns.map(|column| spelled(words, row.i64(column)?));
    Ok(said([channel?, template?, journey?, purpose?]))
}

/// Gives contacts what they are told, if there is anything.
pub(in crate::store) async fn pass_on(
    tx: &mut Conn,
    inputs: Vec<(ContactId, Input)>,
    now: Timestamp,
) -> Result<()> {
    if inputs.is_empty() { Ok(()) } else { inbox::enqueue(tx, inputs, now).await }
}

/// The inputs that follow from a result.
pub(super) fn tell(
    told: &Told,
    result: &SendResult,
    deployed: &Deployed,
    now: Timestamp,
    inputs: &mut Vec<(ContactId, Input)>,
) {
    tell_fate(told.contact, told, result, &result.fate(), deployed, now, inputs);
}

/// The contact is whose the delivery is by now.
fn tell_fate(
    contact: ContactId,
    told: &Told,
    result: &SendResult,
    fate: &Fate<'_>,
    deployed: &Deployed,
    now: Timestamp,
    inputs: &mut Vec<(ContactId, Input)>,
) {
    if let SendResult::Refused { bad_address: Some(address), .. } = result {
        let (channel, address) = (told.channel.clone(), address.clone());
        let suppression = Suppression { channel, address, reason: "bounce".into(), at: now };
        inputs.push((contact, Input::Suppress(suppression)));
    }
    let Some(outcome) = fate.outcome else { return };
    if !told.wants_outcome && !deployed.hears_of(outcome) {
        return;
    }
    let reason = fate.reason.map(|reason| ("reason".into(), Value::text(reason)));
    let fields = match (result, told.kind) {
        (SendResult::Answered { fields }, _) => fields.clone(),
        (_, Kind::Message) => {
            let mut fields = told.fields();
            fields.extend(reason);
            fields
        }
        (_, Kind::Request) => reason.into_iter().collect(),
    };
    let outcome = Outcome {
        enrollment: told.enrollment,
        step: told.step.clone(),
        round: told.round,
        outcome: outcome.into(),
        at: now,
        fields,
    };
    inputs.push((contact, Input::Outcome(outcome)));
}

/// Makes everything that a former daemon had leased due at once. Only for a store of which this process is the one daemon: what was
/// under way when the former one died is sent again, as doubtful. On PostgreSQL others may be at work: see [`release_of_the_dead`].
pub async fn release_former(store: &Store) -> Result<u64> {
    if store.dialect() == Dialect::Postgres {
        return Ok(0);
    }
    const RELEASE: &str =
        "UPDATE deliveries SET again_at = $1 WHERE again_at IS NOT NULL AND state = 'leased'";
    let mut tx = store.write().await?;
    let released = tx.exec(RELEASE, args![machine_now()]).await?;
    tx.commit().await?;
    Ok(released)
}

/// For how long somebody who died is looked for: longer than any lease of a message.
const LOOKED_FOR_MS: i64 = 15 * MINUTE;

/// Workers whose messages were let go of: number, and when the lease ended.
pub type Released = BTreeSet<(i64, i64)>;

/// Makes due at once what workers had leased that are dead by now, so that nobody waits for those leases to end; how much. It is
/// claimed as doubtful, as after the end of its lease. A worker that was only frozen begins no send once its own lease is over, and what it
/// tells of one that it was in the midst of is not believed.
pub async fn release_of_the_dead(store: &Store, released: &mut Released) -> Result<u64> {
    let dead: Vec<_> = workers::dead(store, LOOKED_FOR_MS).await?;
    let new: Vec<_> = dead.iter().copied().filter(|dead| !released.contains(dead)).collect();
    if new.is_empty() {
        return Ok(0);
    }
    const STILL: &str = "SELECT worker FROM workers WHERE worker = $1 AND leased_until = $2 {lock}";
    const RELEASE: &str = "WITH n(owner) AS ({I}) UPDATE deliveries SET again_at = $1 FROM n \
        WHERE deliveries.bucket = $2 AND deliveries.again_at IS NOT NULL AND deliveries.again_at > $3 \
        AND deliveries.state = 'leased' AND deliveries.owner = n.owner";
    let mut tx = store.write().await?;
    let mut rows = Rows::default();
    for (owner, until) in new {
        // Who has come back since is not dead; who comes back now waits for this transaction, and begins a new term.
        if tx.fetch_first(STILL, args![owner, until]).await?.is_some() {
            rows.push([owner.into()]);
        }
    }
    let (now, mut count) = (machine_now(), 0);
    for bucket in store.buckets() {
        count += tx.exec_rows(RELEASE, rows.clone(), &args![now, bucket, now]).await?;
    }
    tx.commit_unannounced().await?;
    *released = dead.into_iter().collect();
    if count > 0 {
        store.core.wake_owed();
    }
    Ok(count)
}

/// When to try for the next time after so many tries, with a tenth of jitter that the delivery's id decides; not before `asked`, the
/// moment that the other side named. `None`: it has been tried for five days, give up.
pub fn next_try(
    id: DeliveryId,
    attempts: u32,
    first_tried_at: Timestamp,
    now: Timestamp,
    asked: Option<Timestamp>,
) -> Option<Timestamp> {
    let tries = usize::try_from(attempts).unwrap_or(usize::MAX).max(1);
    let wait = BACKOFF[(tries - 1).min(BACKOFF.len() - 1)];
    let jitter = crate::store::bucket_of(ContactId(id.0.rotate_left(attempts)), wait / 10 + 1);
    let then = now.plus_ms(wait + jitter).max(asked.unwrap_or(now));
    (then < first_tried_at.plus_ms(LONGEST_TRY)).then_some(then)
}

/// A link in the message was followed. Tells the enrollment, if it wants to hear of it; a message counts as clicked once.
pub async fn clicked(
    store: &Store,
    bucket: i64,
    delivery: DeliveryId,
    link: &str,
    now: Timestamp,
) -> Result<()> {
    const CLICKED: &str = "SELECT contact, enrollment, journey, step, round, channel, template, wants_outcome, clicked_at, \
        purpose \
        FROM deliveries WHERE bucket = $1 AND id = $2 AND kind = 0";
    const NOTE: &str =
        "UPDATE deliveries SET clicked_at = $1 WHERE bucket = $2 AND id = $3 AND clicked_at IS NULL";
    let mut tx = store.write().await?;
    let mut bucket = bucket;
    let mut found = tx.fetch_first(CLICKED, args![bucket, delivery]).await?;
    // The link is as old as the mail; the contact may live elsewhere by now.
    if found.is_none()
        && let Some((_, elsewhere)) = whereabouts(&mut tx, [delivery].into_iter()).await?.pop()
    {
        bucket = elsewhere;
        found = tx.fetch_first(CLICKED, args![bucket, delivery]).await?;
    }
    let Some(row) = found else { return Ok(()) };
    if row.opt_i64(8)?.is_none() && tx.exec(NOTE, args![now, bucket, delivery]).await? == 1 {
        let mut counts = Counts::default();
        counts.add(bucket, row.i64(2)?, row.i64(5)?, row.i64(6)?, "clicked");
        counts.write(&mut tx).await?;
    }
    let wanted = row.i64(7)? != 0 || journeys::deployed(&mut tx).await?.hears_of("clicked");
    if wanted {
        let numbers = [row.i64(2)?, row.i64(3)?, row.i64(5)?, row.i64(6)?, row.i64(9)?];
        let words = names::spell(&mut tx, numbers).await?;
        let mut fields = message_fields(&row, [5, 6, 2, 9], &words)?;
        fields.insert("link".into(), Value::text(link));
        let outcome = Outcome {
            enrollment: EnrollmentId(row.i64(1)?),
            step: spelled(&words, row.i64(3)?)?,
            round: u32::try_from(row.i64(4)?).unwrap_or(u32::MAX),
            outcome: "clicked".into(),
            at: now,
            fields,
        };
        inbox::enqueue(&mut tx, vec![(ContactId(row.i64(0)?), Input::Outcome(outcome))], now).await?;
    }
    tx.commit().await?;
    if wanted {
        store.wake();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_more_and_more_rarely_and_end_after_five_days() {
        let (id, start) = (DeliveryId(77), Timestamp(1_800_000_000_000));
        let (mut now, mut attempts, mut waits) = (start, 1, Vec::new());
        while let Some(then) = next_try(id, attempts, start, now, None) {
            waits.push(then.0 - now.0);
            (now, attempts) = (then, attempts + 1);
        }
        assert!((MINUTE..=MINUTE + MINUTE / 10).contains(&waits[0]), "{waits:?}");
        assert!((6 * HOUR..=6 * HOUR + 36 * MINUTE).contains(waits.last().expect("several")), "{waits:?}");
        assert!((20..40).contains(&waits.len()) && now.0 - start.0 < LONGEST_TRY, "{}", waits.len());
        let asked = start.plus_ms(3 * HOUR);
        assert_eq!(next_try(id, 1, start, start, Some(asked)), Some(asked));
    }
}
