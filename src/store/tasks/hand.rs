//! Taking a task in hand, postponing it, and giving it back. Each is one change of the row, which says itself whether it may be.

use super::{Attempt, Now, Refused, Task, find};
use crate::engine::program::{Catalog, ZoneRef};
use crate::engine::wait;
use crate::id::TaskId;
use crate::store::sql::args;
use crate::store::{Conn, Result, Store, journeys};
use crate::time::{MINUTE, Timestamp, Zone};

/// How long a task is in hand unless it is taken again, by the machine's clock.
pub const IN_HAND: i64 = 30 * MINUTE;

/// Takes a task in hand, or keeps it there; nobody else may have it until it lapses.
pub async fn take(store: &Store, id: TaskId, who: &str, now: Now) -> Result<Result<Task, Refused>> {
    const TAKE: &str = "UPDATE tasks SET taken_by = $1, taken_at = $2, taken_until = $3 \
        WHERE bucket = $4 AND id = $5 AND state = 'open' AND expires_at > $6 \
        AND (taken_until IS NULL OR taken_until <= $7 OR taken_by = $8)";
    let until = now.machine.plus_ms(IN_HAND);
    change(store, id, who, now, async |tx, task| {
        let args = args![who, now.machine, until, task.bucket, id, now.journey, now.machine, who];
        tx.exec(TAKE, args).await
    })
    .await
}

/// Puts a task off, after it was tried in vain: it comes back at that moment of the journey clock, or when its team is there again, to
/// whoever looks first. Saying the same again counts as one attempt.
pub async fn postpone(
    store: &Store,
    id: TaskId,
    who: &str,
    until: Timestamp,
    note: Option<&str>,
    now: Now,
) -> Result<Result<Task, Refused>> {
    const POSTPONE: &str = "UPDATE tasks SET attempts = attempts + CASE WHEN again_at = $1 THEN 0 ELSE 1 END, \
        again_at = $2, note = COALESCE($3, note), taken_by = $4, taken_at = $5, taken_until = NULL, \
        told = CASE WHEN again_at = $1 AND COALESCE($3, note, '') = COALESCE(note, '') THEN told \
            ELSE COALESCE(told, '') || $6 END \
        WHERE bucket = $7 AND id = $8 AND state = 'open' AND expires_at > $9 \
        AND (taken_until IS NULL OR taken_until <= $10 OR taken_by = $11)";
    change(store, id, who, now, async |tx, task| {
        if until <= now.journey {
            return Ok(0);
        }
        let until = opening(&journeys::deployed(tx).await?.catalog, &task.work.team, until);
        if until >= task.work.expires_at {
            return Ok(0);
        }
        let attempt = Attempt {
            at: now.journey,
            who: who.to_owned(),
            until: Some(until),
            outcome: None,
            note: note.map(str::to_owned),
        };
        let mut args = args![until, until, note.map(str::to_owned), who, now.machine, attempt.to_line()];
        args.extend(args![task.bucket, id, now.journey, now.machine, who]);
        tx.exec(POSTPONE, args).await
    })
    .await
}

/// When the team is there next, from that moment on. Hours by the contact's clocks are taken by the project's: the other side of the
/// line agreed on the time.
fn opening(catalog: &Catalog, team: &str, from: Timestamp) -> Timestamp {
    let Some(hours) = catalog.teams.get(team).and_then(|team| team.hours.as_ref()) else { return from };
    let named = match &hours.zone {
        ZoneRef::Named(name) => Zone::named(name),
        ZoneRef::Project | ZoneRef::Contact => None,
    };
    let zone = named.or_else(|| Zone::named(&catalog.zone)).unwrap_or_else(Zone::utc);
    if wait::within(hours.days, hours.from, hours.to, from, &zone, &catalog.holidays) {
        return from;
    }
    wait::next_at(hours.days, hours.from, from, &zone, &catalog.holidays).unwrap_or(from)
}

/// Gives a task back, so that somebody else may take it at once.
pub async fn release(store: &Store, id: TaskId, who: &str, now: Now) -> Result<Result<Task, Refused>> {
    const RELEASE: &str = "UPDATE tasks SET taken_by = NULL, taken_at = NULL, taken_until = NULL \
        WHERE bucket = $1 AND id = $2 AND state = 'open' AND expires_at > $3 \
        AND (taken_until IS NULL OR taken_until <= $4 OR taken_by = $5)";
    change(store, id, who, now, async |tx, task| {
        tx.exec(RELEASE, args![task.bucket, id, now.journey, now.machine, who]).await
    })
    .await
}

/// Changes an open task that nobody else has in hand; how it is afterwards, or why it was not changed.
async fn change(
    store: &Store,
    id: TaskId,
    who: &str,
    now: Now,
    change: impl AsyncFnOnce(&mut Conn, &Task) -> Result<u64>,
) -> Result<Result<Task, Refused>> {
    let mut tx = store.write().await?;
    let Some(task) = find(&mut tx, id).await? else { return Ok(Err(Refused::Unknown)) };
    let changed = change(&mut tx, &task).await?;
    // Somebody may have been faster on another connection: how it is now says who.
    let Some(task) = find(&mut tx, id).await? else { return Ok(Err(Refused::Unknown)) };
    if changed == 0 {
        return Ok(Err(refused(&task, who, now).unwrap_or(Refused::WrongTime)));
    }
    tx.commit().await?;
    Ok(Ok(task))
}

/// Why somebody may do nothing to a task as it is now.
pub(super) fn refused(task: &Task, who: &str, now: Now) -> Option<Refused> {
    match (task.state_at(now), task.holder(now)) {
        ("open", None) => None,
        ("open", Some(holder)) if holder == who => None,
        ("open", Some(holder)) => Some(Refused::Taken(holder.to_owned())),
        (state, _) => Some(Refused::Settled(state.to_owned())),
    }
}
