//! What is to be done: the queue of a team, and what somebody has in hand.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Now, Task, names, read, select};
use crate::engine::world::Fields;
use crate::id::{ContactId, TaskId};
use crate::store::sql::args;
use crate::store::{Conn, Result, contacts};
use crate::time::Timestamp;

/// Tasks to be done now, of one team or of all, whoever has them in hand; the ones with the least time left come first.
pub async fn list_open(conn: &mut Conn, team: Option<&str>, now: Timestamp, limit: u32) -> Result<Vec<Task>> {
    // No lease lasts that long, so every task counts as free.
    let everything = Now { journey: now, machine: Timestamp::NEVER };
    queue(conn, team, "", everything, limit).await
}

/// Tasks that somebody may do now: of one team or of all, not to be tried later, and in nobody else's hands.
pub async fn queue(
    conn: &mut Conn,
    team: Option<&str>,
    who: &str,
    now: Now,
    limit: u32,
) -> Result<Vec<Task>> {
    let number = match team {
        None => None,
        Some(team) => match names::find(conn, team).await? {
            Some(number) => Some(number),
            None => return Ok(Vec::new()),
        },
    };
    let few = share(limit, conn.core.settings().buckets);
    let mut found: Vec<(i64, Vec<Task>, bool)> = Vec::new();
    for bucket in with_open(conn, now.journey).await? {
        let tasks = of_bucket(conn, bucket, number, who, now, few).await?;
        let may_have_more = few < limit && tasks.len() >= few as usize;
        found.push((bucket, tasks, may_have_more));
    }
    // What a bucket has beyond its share comes after its last one: it is wanted only where that one is.
    let last = last_wanted(found.iter().flat_map(|(_, tasks, _)| tasks), limit);
    for (bucket, tasks, may_have_more) in &mut found {
        let is_wanted = |task: &Task| last.is_none_or(|last| place(task) <= last);
        if *may_have_more && tasks.last().is_some_and(is_wanted) {
            *tasks = of_bucket(conn, *bucket, number, who, now, limit).await?;
        }
    }
    let mut tasks: Vec<Task> = found.into_iter().flat_map(|(_, tasks, _)| tasks).collect();
    tasks.sort_by_key(place);
    tasks.truncate(limit as usize);
    Ok(tasks)
}

/// The buckets that have open tasks, in order.
async fn with_open(conn: &mut Conn, now: Timestamp) -> Result<BTreeSet<i64>> {
    const OPEN: &str = "WITH n(bucket) AS ({I}) SELECT n.bucket FROM n WHERE EXISTS (SELECT 1 FROM tasks \
        WHERE tasks.bucket = n.bucket AND state = 'open' AND expires_at > $1)";
    let buckets = conn.all_buckets();
    conn.fetch_rows(OPEN, buckets, &args![now]).await?.iter().map(|row| row.i64(0)).collect()
}

/// Where a task stands in the queue.
fn place(task: &Task) -> (Timestamp, Timestamp, TaskId) {
    (task.work.expires_at, task.work.due_at, task.work.id)
}

/// So many tasks of each bucket as a queue of that length takes from it, unless one bucket has far more of the first ones than others.
fn share(limit: u32, buckets: i64) -> u32 {
    let even = limit.div_ceil(u32::try_from(buckets).unwrap_or(u32::MAX).max(1));
    even.saturating_mul(2).saturating_add(4).min(limit)
}

/// The place of the last task in a queue of that length, if there are so many.
fn last_wanted<'a>(
    tasks: impl Iterator<Item = &'a Task>,
    limit: u32,
) -> Option<(Timestamp, Timestamp, TaskId)> {
    let mut places: Vec<_> = tasks.map(place).collect();
    places.sort_unstable();
    places.get((limit as usize).saturating_sub(1)).copied()
}

/// The first tasks of a bucket, of that team or of all.
async fn of_bucket(
    conn: &mut Conn,
    bucket: i64,
    team: Option<i64>,
    who: &str,
    now: Now,
    limit: u32,
) -> Result<Vec<Task>> {
    // Both orders end as their index does, so that the rows come sorted and the limit ends the walk.
    const OF_TEAM: &str = select!(
        "tasks WHERE bucket = $1 AND state = 'open' AND expires_at > $2 AND due_at <= $3 \
        AND (again_at IS NULL OR again_at <= $4) AND (taken_until IS NULL OR taken_until <= $5 OR taken_by = $6) \
        AND team = $8 ORDER BY expires_at, due_at, team, id LIMIT $7"
    );
    const OF_ALL: &str = select!(
        "tasks WHERE bucket = $1 AND state = 'open' AND expires_at > $2 AND due_at <= $3 \
        AND (again_at IS NULL OR again_at <= $4) AND (taken_until IS NULL OR taken_until <= $5 OR taken_by = $6) \
        ORDER BY expires_at, due_at, team, id LIMIT $7"
    );
    let mut args = args![bucket, now.journey, now.journey, now.journey, now.machine, who, limit];
    let rows = match team {
        None => conn.fetch(OF_ALL, args).await?,
        Some(team) => {
            args.push(team.into());
            conn.fetch(OF_TEAM, args).await?
        }
    };
    read(conn, rows).await
}

/// Open tasks that somebody has in hand, and those that they promised to try again later; what comes first, first.
pub async fn in_hand(conn: &mut Conn, who: &str, now: Now) -> Result<Vec<Task>> {
    const IN_HAND: &str = select!(
        "tasks WHERE bucket = $1 AND state = 'open' AND taken_by = $2 AND (taken_until > $3 OR again_at IS NOT NULL)"
    );
    let mut found = Vec::new();
    for bucket in 0..conn.core.settings().buckets {
        found.extend(conn.fetch(IN_HAND, args![bucket, who, now.machine]).await?);
    }
    let mut tasks = read(conn, found).await?;
    // Not in the statement: SQLite would look for them among all that are open, by when they expire.
    tasks.retain(|task| task.work.expires_at > now.journey);
    tasks.sort_by_key(|task| (task.hand.again_at, task.work.expires_at, task.work.id));
    Ok(tasks)
}

/// The attributes of those for whom the tasks are.
pub async fn people(conn: &mut Conn, tasks: &[Task]) -> Result<HashMap<ContactId, Fields>> {
    let mut buckets: BTreeMap<i64, BTreeSet<ContactId>> = BTreeMap::new();
    for task in tasks {
        buckets.entry(task.bucket).or_default().insert(task.contact);
    }
    let mut people = HashMap::new();
    for (bucket, contacts) in buckets {
        let found = contacts::attributes(conn, bucket, contacts.into_iter()).await?;
        people.extend(found.into_iter().map(|(id, found)| (id, found.attributes)));
    }
    Ok(people)
}
