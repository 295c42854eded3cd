//! Message ids that came in this week or the one before, as hashes: what comes once more with one of them is dropped.
//!
//! PostgreSQL has a row for each, in the bucket of its hash, which many processes can ask at once. SQLite would read and write a page
//! for each as soon as there are millions, so there they lie in few large rows, and each process that accepts knows of each a
//! little by heart: see [`runs`]. That is more than two ways to write a statement, so they are told apart here.

mod runs;

use std::collections::HashSet;

pub(super) use self::runs::Runs;
use super::sql::args;
use super::{Conn, Dialect, Result, Rows, Store};
use crate::clock::machine_now;
use crate::time::DAY;

/// Message ids are forgotten by the week, so they are known for one to two.
const WEEK: i64 = 7 * DAY;

/// Slices of a bucket that one call forgets on PostgreSQL, and rows a slice.
const SLICES: usize = 10;
const ROWS: i64 = 5_000;

/// Two that differ never have the same one, as far as anybody will ever see.
type Hash = [u8; 16];

/// A message id as it comes in.
#[derive(Debug)]
pub(super) struct MessageId {
    hash: Hash,
    looked: Option<Looked>,
}

/// What was found of it before anybody waited for the lock, on SQLite.
#[derive(Clone, Copy, Debug)]
struct Looked {
    /// The newest run that was looked into.
    newest: i64,
    found: bool,
}

impl MessageId {
    pub(super) fn new(text: &str) -> MessageId {
        let hash = blake3::hash(text.as_bytes());
        MessageId { hash: hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes"), looked: None }
    }
}

/// Those that are looked for, in the order of their hashes, each with a number by which it is told again.
type Wanted<'a> = Vec<(&'a MessageId, usize)>;

fn this_week() -> i64 {
    machine_now().0.div_euclid(WEEK)
}

/// The oldest week of which message ids are known in that week.
fn oldest(week: i64) -> i64 {
    week - 1
}

/// Whether what came in the one week is known in the other one. Of the next week too: a clock may have been put back, and those of two
/// processes differ.
fn is_known(came: i64, week: i64) -> bool {
    (oldest(week)..=week + 1).contains(&came)
}

/// On SQLite message ids are looked for before anybody waits for the lock, since some may lie on the disk.
pub(super) async fn look_ahead(store: &Store, ids: impl Iterator<Item = &mut MessageId>) -> Result<()> {
    let mut ids: Vec<&mut MessageId> = ids.collect();
    if store.dialect() == Dialect::Postgres || ids.is_empty() {
        return Ok(());
    }
    ids.sort_unstable_by_key(|id| id.hash);
    let mut conn = store.read().await?;
    let (newest, runs) = {
        let mut runs = store.core.seen.lock().await;
        runs.catch_up(&mut conn).await?;
        runs.all()
    };
    let wanted: Wanted<'_> = ids.iter().enumerate().map(|(number, id)| (&**id, number)).collect();
    let found = runs::find(&mut conn, &runs, &wanted, this_week()).await?;
    for (number, id) in ids.iter_mut().enumerate() {
        id.looked = Some(Looked { newest, found: found.contains(&number) });
    }
    Ok(())
}

/// Which of these repeat a message id, also one among them, and notes those that do not; `None` when another process noted one in this
/// moment, and the transaction must begin anew.
pub(super) async fn note<'a>(
    tx: &mut Conn,
    ids: impl Iterator<Item = Option<&'a MessageId>>,
) -> Result<Option<Vec<bool>>> {
    let (mut repeated, mut wanted) = (Vec::with_capacity(ids.size_hint().0), Wanted::new());
    for (number, id) in ids.enumerate() {
        repeated.push(false);
        wanted.extend(id.map(|id| (id, number)));
    }
    // The first of those that are the same stays.
    wanted.sort_unstable_by_key(|(id, number)| (id.hash, *number));
    wanted.dedup_by(|(one, number), (first, _)| {
        repeated[*number] = one.hash == first.hash;
        repeated[*number]
    });
    if wanted.is_empty() {
        return Ok(Some(repeated));
    }
    let week = this_week();
    let known = match tx.dialect() {
        Dialect::Postgres => note_rows(tx, wanted, week).await?,
        Dialect::Sqlite => {
            let core = tx.core.clone();
            Some(core.seen.lock().await.note(tx, &wanted, week).await?)
        }
    };
    let Some(known) = known else { return Ok(None) };
    for number in known {
        repeated[number] = true;
    }
    Ok(Some(repeated))
}

/// Reads all that is known on SQLite, which else the first that comes in has to wait for.
pub async fn warm_up(store: &Store) -> Result<()> {
    if store.dialect() == Dialect::Sqlite {
        let mut conn = store.read().await?;
        store.core.seen.lock().await.catch_up(&mut conn).await?;
    }
    Ok(())
}

/// Forgets what is of older weeks, a little at a time; how many rows.
pub async fn forget(store: &Store) -> Result<u64> {
    let (oldest, mut forgotten) = (oldest(this_week()), 0);
    for bucket in store.buckets() {
        for _ in 0..SLICES {
            let slice = forget_rows(store, bucket, oldest).await?;
            forgotten += slice;
            if slice < ROWS.unsigned_abs() {
                break;
            }
        }
    }
    if store.dialect() == Dialect::Sqlite {
        forgotten += runs::forget(store, oldest).await?;
    }
    Ok(forgotten)
}

/// A slice of the rows of a bucket, in the order of the key, which two processes can forget at once.
async fn forget_rows(store: &Store, bucket: i64, oldest: i64) -> Result<u64> {
    // Looked for without the lock: most times there is nothing.
    const BORDER: &str =
        "SELECT week, hash FROM seen WHERE bucket = $1 ORDER BY week, hash LIMIT 1 OFFSET $2";
    const FORGET_SLICE: &str = "DELETE FROM seen WHERE bucket = $1 AND (week, hash) <= ($2, $3)";
    const FORGET_REST: &str = "DELETE FROM seen WHERE bucket = $1 AND week < $2";
    let mut conn = store.read().await?;
    if oldest_row(&mut conn, bucket).await?.is_none_or(|week| week >= oldest) {
        return Ok(0);
    }
    let border = conn.fetch_first(BORDER, args![bucket, ROWS - 1]).await?;
    drop(conn);
    let mut tx = store.write().await?;
    let forgotten = match border {
        Some(border) if border.i64(0)? < oldest => {
            tx.exec(FORGET_SLICE, args![bucket, border.i64(0)?, border.blob(1)?.to_vec()]).await?
        }
        _ => tx.exec(FORGET_REST, args![bucket, oldest]).await?,
    };
    tx.commit_unannounced().await?;
    Ok(forgotten)
}

/// The week of the oldest row of a bucket.
async fn oldest_row(conn: &mut Conn, bucket: i64) -> Result<Option<i64>> {
    const OLDEST: &str = "SELECT week FROM seen WHERE bucket = $1 ORDER BY week, hash LIMIT 1";
    conn.fetch_first(OLDEST, args![bucket]).await?.map(|row| row.i64(0)).transpose()
}

/// Which of these have a row, by their numbers.
async fn find_rows(conn: &mut Conn, wanted: &Wanted<'_>, week: i64) -> Result<HashSet<usize>> {
    let buckets = conn.core.settings().buckets;
    let mut lookups = Rows::with_capacity(wanted.len() * 3);
    for (MessageId { hash, .. }, number) in wanted {
        let number = i64::try_from(*number).expect("a batch is small");
        lookups.push([number.into(), bucket_of_hash(hash, buckets).into(), hash.to_vec().into()]);
    }
    // A question for each week of each, which PostgreSQL can only answer by the key: in a join, or of three weeks at once, it reads what
    // it planned to read when the table was small.
    macro_rules! noted_in {
        ($week:literal) => {
            concat!(
                "(SELECT 1 FROM seen WHERE seen.bucket = n.bucket AND seen.week = ",
                $week,
                " AND seen.hash = n.hash LIMIT 1) IS NOT NULL"
            )
        };
    }
    const SEEN: &str = concat!(
        "WITH n(place, bucket, hash) AS ({IIB}) SELECT n.place FROM n WHERE ",
        noted_in!("$1"),
        " OR ",
        noted_in!("$2"),
        " OR ",
        noted_in!("$3")
    );
    // Each for which `is_known` holds.
    let weeks = args![week, oldest(week), week + 1];
    let found = conn.fetch_rows(SEEN, lookups, &weeks).await?;
    found.iter().map(|row| Ok(usize::try_from(row.i64(0)?).expect("it is not negative"))).collect()
}

/// Notes each in a row, but for those that have one: these are told.
async fn note_rows(tx: &mut Conn, mut wanted: Wanted<'_>, week: i64) -> Result<Option<HashSet<usize>>> {
    let buckets = tx.core.settings().buckets;
    // Two that note the same ones at once do so in the same order.
    wanted.sort_by_key(|(id, _)| bucket_of_hash(&id.hash, buckets));
    let known = find_rows(tx, &wanted, week).await?;
    wanted.retain(|(_, number)| !known.contains(number));
    let mut rows = Rows::with_capacity(wanted.len() * 3);
    for (MessageId { hash, .. }, _) in &wanted {
        rows.push([bucket_of_hash(hash, buckets).into(), week.into(), hash.to_vec().into()]);
    }
    const NOTE: &str = "INSERT INTO seen (bucket, week, hash) {IIB} ON CONFLICT DO NOTHING";
    let noted = tx.exec_rows(NOTE, rows, &[]).await?;
    Ok((usize::try_from(noted) == Ok(wanted.len())).then_some(known))
}

fn bucket_of_hash(hash: &Hash, buckets: i64) -> i64 {
    let first = u64::from_be_bytes(hash[..8].try_into().expect("8 bytes"));
    (first % buckets.cast_unsigned()).cast_signed()
}
