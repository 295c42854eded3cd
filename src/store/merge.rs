//! Two contacts that turned out to be one: the older takes over everything that the other has.
//!
//! Runs in the transaction that advances the loser's bucket, after its own inputs; it takes the lock of the winner's bucket too,
//! and if somebody holds that, the word of the merge goes back into the inbox. Enrollments move along, unless the winner is inside
//! the same journey with the same key: then the loser's ends as `merged`.

use std::collections::BTreeSet;

use super::counts::Counts;
use super::identities::{self, Kind};
use super::journeys::Deployed;
use super::sql::args;
use super::timers::Timer;
use super::{Arg, Conn, Result, contacts, deliveries, enrollments, inbox, members, names, tasks};
use crate::engine::program::Word;
use crate::engine::world::{Cause, Fields, Input};
use crate::id::ContactId;
use crate::time::Timestamp;
use crate::value::Value;

/// From where to where.
#[derive(Clone, Copy)]
struct Way {
    from: (i64, ContactId),
    to: (i64, ContactId),
}

/// Merges those losers of one locked bucket into their winners.
pub(super) async fn run(
    tx: &mut Conn,
    bucket: i64,
    merges: &[(ContactId, ContactId)],
    deployed: &Deployed,
    now: Timestamp,
) -> Result<()> {
    for (loser, winner) in merges {
        let way = Way { from: (bucket, *loser), to: (tx.core.bucket_of(*winner), *winner) };
        const LOCK: &str = "SELECT bucket FROM buckets WHERE bucket = $1 {skip locked}";
        let other = way.to.0 != bucket;
        if other && tx.fetch_first(LOCK, args![way.to.0]).await?.is_none() {
            inbox::tell_of_merges(tx, vec![(*loser, *winner)], now).await?;
            continue;
        }
        move_enrollments(tx, way, deployed, now).await?;
        drop_standing(tx, way).await?;
        move_rows(tx, way).await?;
        hand_over_attributes(tx, way, now).await?;
    }
    Ok(())
}

async fn move_enrollments(tx: &mut Conn, way: Way, deployed: &Deployed, now: Timestamp) -> Result<()> {
    let mine = active(tx, way.from, deployed).await?;
    let theirs = active(tx, way.to, deployed).await?;
    let taken: BTreeSet<(Word, String)> = theirs.into_iter().map(|(_, key)| key).collect();
    let mut counts = Counts::default();
    for (timer, key) in mine {
        if taken.contains(&key) {
            end(tx, way, &timer, deployed, &mut counts, now).await?;
        } else {
            move_timer(tx, way, timer.wake_at, timer.id.0).await?;
        }
    }
    counts.write(tx, way.from.0).await?;
    for sql in [
        "UPDATE enrollments SET bucket = $1, contact = $2 WHERE bucket = $3 AND contact = $4",
        "UPDATE listeners SET bucket = $1, contact = $2 WHERE bucket = $3 AND contact = $4",
    ] {
        tx.exec(sql, way.args()).await?;
    }
    tx.exec("UPDATE codes SET contact = $1 WHERE contact = $2", args![way.to.1, way.from.1]).await?;
    Ok(())
}

/// Enrollments of a contact that are not over, by journey and key.
async fn active(
    tx: &mut Conn,
    (bucket, contact): (i64, ContactId),
    deployed: &Deployed,
) -> Result<Vec<(Timer, (Word, String))>> {
    let mut found = Vec::new();
    for timer in enrollments::all(tx, bucket, &[contact]).await? {
        // What cannot be read stays behind, where people can find it.
        if let Ok((enrollment, _)) = timer.enrollment(deployed) {
            let key = (enrollment.program.journey.clone(), enrollment.key.to_string());
            found.push((timer, key));
        }
    }
    Ok(found)
}

async fn end(
    tx: &mut Conn,
    way: Way,
    timer: &Timer,
    deployed: &Deployed,
    counts: &mut Counts,
    now: Timestamp,
) -> Result<()> {
    const FORGET: &str = "DELETE FROM timers WHERE bucket = $1 AND wake_at = $2 AND id = $3";
    const SILENCE: &str = "DELETE FROM listeners WHERE bucket = $1 AND contact = $2 AND id = $3";
    const END: &str = "UPDATE enrollments SET ended_at = COALESCE(ended_at, $1), reason = COALESCE(reason, $2) \
        WHERE bucket = $3 AND contact = $4 AND id = $5";
    let (bucket, contact) = way.from;
    let (enrollment, place) = timer.enrollment(deployed)?;
    let reason = names::intern(tx, &"merged".into()).await?;
    tx.exec(FORGET, args![bucket, timer.wake_at, timer.id]).await?;
    tx.exec(SILENCE, args![bucket, contact, timer.id]).await?;
    tx.exec(END, args![now, reason, bucket, contact, timer.id]).await?;
    let ended = [(contact, timer.id)];
    deliveries::cancel(tx, bucket, &ended, now).await?;
    tasks::cancel(tx, bucket, &ended, now).await?;
    members::end(tx, way.from, timer.id).await?;
    if let (Some(number), Some(_)) = (deployed.number_of(&enrollment.program), place.step) {
        counts.rest(tx, number, &enrollment.program, place.step, None).await?;
        counts.exited(number, reason);
    }
    Ok(())
}

async fn move_timer(tx: &mut Conn, way: Way, wake_at: Timestamp, id: i64) -> Result<()> {
    const MOVE: &str =
        "UPDATE timers SET bucket = $1, contact = $2 WHERE bucket = $3 AND wake_at = $4 AND id = $5";
    tx.exec(MOVE, args![way.to.0, way.to.1, way.from.0, wake_at, id]).await?;
    Ok(())
}

/// Memberships are the winner's own; they are looked at again when its attributes have changed.
async fn drop_standing(tx: &mut Conn, way: Way) -> Result<()> {
    const STANDING: &str = "SELECT wake_at, id FROM memberships WHERE bucket = $1 AND contact = $2";
    const ERRANDS: &str = "SELECT wake_at, id FROM errands WHERE bucket = $1 AND contact = $2";
    let (bucket, contact) = way.from;
    for row in tx.fetch(STANDING, args![bucket, contact]).await? {
        const FORGET: &str = "DELETE FROM timers WHERE bucket = $1 AND wake_at = $2 AND id = $3";
        tx.exec(FORGET, args![bucket, row.i64(0)?, row.i64(1)?]).await?;
    }
    tx.exec("DELETE FROM memberships WHERE bucket = $1 AND contact = $2", args![bucket, contact]).await?;
    for row in tx.fetch(ERRANDS, args![bucket, contact]).await? {
        move_timer(tx, way, row.at(0)?, row.i64(1)?).await?;
    }
    Ok(())
}

/// Everything that has the contact in its key.
async fn move_rows(tx: &mut Conn, way: Way) -> Result<()> {
    const SAME_EVENTS: &str = "DELETE FROM events WHERE bucket = $1 AND contact = $2 AND dedupe IS NOT NULL \
        AND EXISTS (SELECT 1 FROM events other WHERE other.bucket = $3 AND other.contact = $4 \
        AND other.name = events.name AND other.dedupe = events.dedupe)";
    const CONSENT: &str = "INSERT INTO consent_states (bucket, contact, purpose, channel, permit, at) \
        SELECT CAST($1 AS BIGINT), CAST($2 AS BIGINT), purpose, channel, permit, at FROM consent_states \
        WHERE bucket = $3 AND contact = $4 \
        ON CONFLICT (bucket, contact, purpose, channel) DO UPDATE SET permit = excluded.permit, at = excluded.at \
        WHERE excluded.at > consent_states.at OR (excluded.at = consent_states.at AND excluded.permit = 0)";
    const PAUSES: &str = "INSERT INTO contact_pauses (bucket, contact, purpose, until) \
        SELECT CAST($1 AS BIGINT), CAST($2 AS BIGINT), purpose, until FROM contact_pauses \
        WHERE bucket = $3 AND contact = $4 \
        ON CONFLICT (bucket, contact, purpose) DO UPDATE SET until = excluded.until \
        WHERE excluded.until > contact_pauses.until";
    const FIRSTS: &str = "INSERT INTO firsts (bucket, contact, name) \
        SELECT CAST($1 AS BIGINT), CAST($2 AS BIGINT), name FROM firsts WHERE bucket = $3 AND contact = $4 \
        ON CONFLICT DO NOTHING";
    const TOLD: &str = "INSERT INTO audience_told (bucket, audience, contact, line) \
        SELECT CAST($1 AS BIGINT), audience, CAST($2 AS BIGINT), line FROM audience_told \
        WHERE bucket = $3 AND contact = $4 ON CONFLICT DO NOTHING";
    let same = args![way.from.0, way.from.1, way.to.0, way.to.1];
    tx.exec(SAME_EVENTS, same).await?;
    for sql in [CONSENT, PAUSES, FIRSTS, TOLD] {
        tx.exec(sql, way.args()).await?;
    }
    for sql in [
        "DELETE FROM consent_states WHERE bucket = $1 AND contact = $2",
        "DELETE FROM contact_pauses WHERE bucket = $1 AND contact = $2",
        "DELETE FROM firsts WHERE bucket = $1 AND contact = $2",
        "DELETE FROM audience_told WHERE bucket = $1 AND contact = $2",
    ] {
        tx.exec(sql, args![way.from.0, way.from.1]).await?;
    }
    for sql in [
        "UPDATE events SET bucket = $1, contact = $2 WHERE bucket = $3 AND contact = $4",
        "UPDATE consents SET bucket = $1, contact = $2 WHERE bucket = $3 AND contact = $4",
        "UPDATE cap_slots SET bucket = $1, contact = $2 WHERE bucket = $3 AND contact = $4",
        "UPDATE errands SET bucket = $1, contact = $2 WHERE bucket = $3 AND contact = $4",
        "UPDATE deliveries SET bucket = $1, contact = $2 WHERE bucket = $3 AND contact = $4",
        "UPDATE tasks SET bucket = $1, contact = $2 WHERE bucket = $3 AND contact = $4",
        // An enrollment is one contact's, so no place is there already.
        "UPDATE audience_members SET bucket = $1, contact = $2 WHERE bucket = $3 AND contact = $4",
        "UPDATE history SET bucket = $1, contact = $2 WHERE bucket = $3 AND contact = $4",
        // Behind what they answer: who takes an answer down holds that, and is waited for.
        "UPDATE answers SET bucket = $1, contact = $2 WHERE bucket = $3 AND contact = $4",
    ] {
        tx.exec(sql, way.args()).await?;
    }
    Ok(())
}

/// What only the loser knew becomes a change of the winner, like any other.
async fn hand_over_attributes(tx: &mut Conn, way: Way, now: Timestamp) -> Result<()> {
    const EMPTY: &str = "UPDATE contacts SET attributes = '{}' WHERE bucket = $1 AND id = $2";
    let loser = contacts::load(tx, way.from.1).await?;
    let winner = contacts::load(tx, way.to.1).await?;
    let (Some(loser), Some(winner)) = (loser, winner) else { return Ok(()) };
    let called = &winner.identities;
    // Whose address counts has been decided already, and the attribute follows.
    let is_called = |kind: Kind, value: &Value| {
        value.as_text().is_some_and(|text| called.contains(&(kind, identities::normal(kind, text))))
    };
    let mut values: Fields = Fields::new();
    for (name, value) in loser.attributes {
        let counts = match &*name {
            "email" => is_called(Kind::Email, &value),
            "phone" => is_called(Kind::Phone, &value),
            _ => true,
        };
        if counts && !winner.attributes.contains_key(&name) {
            values.insert(name, value);
        }
    }
    let mut inputs = vec![(way.to.1, Input::Settle { cause: Cause::Import })];
    if !values.is_empty() {
        inputs.insert(0, (way.to.1, Input::Attributes { values, at: now }));
    }
    inbox::enqueue(tx, inputs, now).await?;
    tx.exec(EMPTY, args![way.from.0, way.from.1]).await?;
    // What it was called by in the meantime.
    tx.exec("DELETE FROM identities WHERE bucket = $1 AND contact = $2", args![way.from.0, way.from.1])
        .await?;
    Ok(())
}

impl Way {
    fn args(self) -> Vec<Arg> {
        args![self.to.0, self.to.1, self.from.0, self.from.1]
    }
}
