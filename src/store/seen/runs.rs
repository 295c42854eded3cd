//! Message ids on SQLite: a log that each transaction adds one row to, and runs, each of a hundred thousand in order, which the log is
//! made into when it has so many, or when another week begins.
//!
//! A row for each, found by its hash, lies on a page of its own as soon as there are millions: each new one was a page to read and to
//! write. Here whoever accepts writes at one place. What is in the log he knows by heart, some 30 bytes each; of those in a run
//! 16 bits of each, with the place where it is. So a new one is nowhere looked for but once in a few thousand times a run, and a repeated
//! one is read from one place. That is 2.3 bytes of memory for each. What is known of a few runs lies together in a [`Group`]: a look at
//! 10 million message ids goes to five places of memory, and not to 80.
//!
//! Nothing is remembered that was not read from the database before, so it does not matter who wrote it, and whether he
//! came to an end: [`Runs::catch_up`] reads what is new. Numbers of the log are never used twice, and a run has that of the last row
//! that went into it.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::super::lite::aside;
use super::super::sql::args;
use super::super::{Conn, Result, Rows, Store};
use super::{Hash, MessageId, Wanted, find_rows, is_known, oldest_row};

/// How many make a run.
const RUN: usize = 1 << 17;
/// Hashes in a row of a run; four rows fill a page. Runs that were written with another figure could not be read: it stays.
const PART: usize = 60;
/// Rows that are read at a time.
const PARTS: u16 = 256;
/// The first bits of a hash say in which slot of its run it is: 16 of a full one share it.
const SLOT_BITS: u32 = 13;
const SLOTS: usize = 1 << SLOT_BITS;
/// Runs of a group: a look goes through half a kilobyte, and another run is put to the others in a few milliseconds.
const GROUP: usize = 16;

/// What this process knows of message ids.
#[derive(Debug)]
pub(in crate::store) struct Runs {
    /// How many make a run.
    full: usize,
    /// How many runs make a group.
    group: usize,
    /// The last row of the log that was read.
    log: i64,
    /// The week of what is in the log; there is but one at a time.
    week: i64,
    /// What is in the log.
    fresh: HashSet<Hash>,
    /// The newest run there ever was.
    newest: i64,
    groups: List,
}

/// Groups, oldest first.
type List = Vec<Arc<Group>>;

/// Runs of one week that follow each other, as far as they are known by heart.
#[derive(Debug)]
pub(super) struct Group {
    week: i64,
    /// Oldest first.
    runs: Vec<Run>,
    slots: Slots,
    /// Slot by slot, and in each run by run.
    tags: Box<[u16]>,
}

#[derive(Clone, Debug)]
struct Run {
    number: i64,
    slots: Slots,
}

/// Where each slot begins, and where the last one ends.
#[derive(Clone, Debug)]
struct Slots(Arc<[u32]>);

impl Default for Runs {
    fn default() -> Runs {
        Runs::of(RUN, GROUP)
    }
}

impl Runs {
    fn of(full: usize, group: usize) -> Runs {
        Runs { full, group, log: 0, week: 0, fresh: HashSet::new(), newest: 0, groups: Vec::new() }
    }

    /// The newest run there is, and all that are known, for [`find`].
    pub(super) fn all(&self) -> (i64, List) {
        (self.newest, self.groups.clone())
    }

    /// Reads what was written since this was called last. Whoever drops this half-way has lost nothing.
    pub(super) async fn catch_up(&mut self, conn: &mut Conn) -> Result<()> {
        const NEXT: &str = "SELECT run FROM seen_runs WHERE run > $1 ORDER BY run LIMIT 1";
        while let Some(next) = conn.fetch_first(NEXT, args![self.newest]).await? {
            let number = next.i64(0)?;
            if let Some((week, run, tags)) = Run::load(conn, number).await? {
                self.add(week, run, &tags);
            }
            (self.newest, self.log) = (number, number);
            self.fresh.clear();
        }
        const LOG: &str = "SELECT id, week, hashes FROM seen_log WHERE id > $1 ORDER BY id";
        for row in conn.fetch(LOG, args![self.log]).await? {
            let (id, week, added) = (row.i64(0)?, row.i64(1)?, row.blob(2)?);
            if week != self.week {
                // Made into a run, or forgotten, by somebody else.
                self.fresh.clear();
            }
            self.fresh.extend(hashes(added));
            (self.log, self.week) = (id, week);
        }
        Ok(())
    }

    fn add(&mut self, week: i64, run: Run, tags: &[u16]) {
        match self.groups.last_mut() {
            Some(last) if last.week == week && last.runs.len() < self.group => {
                *last = Arc::new(last.with(run, tags));
            }
            _ => self.groups.push(Arc::new(Group::none(week).with(run, tags))),
        }
    }

    /// Notes those that are not known yet, in this week, and tells the others by their numbers.
    // INVARIANT: the first that a transaction does with message ids. What it wrote itself would be remembered, though it may be undone.
    pub(super) async fn note(
        &mut self,
        tx: &mut Conn,
        wanted: &Wanted<'_>,
        week: i64,
    ) -> Result<HashSet<usize>> {
        self.catch_up(tx).await?;
        let mut known = find(tx, &self.groups, wanted, week).await?;
        if is_known(self.week, week) {
            let in_log = wanted.iter().filter(|(id, _)| self.fresh.contains(&id.hash));
            known.extend(in_log.map(|(_, number)| *number));
        }
        let fresh = wanted.iter().filter(|(_, number)| !known.contains(number));
        let fresh: Vec<u8> = fresh.flat_map(|(id, _)| id.hash).collect();
        if !fresh.is_empty() {
            if self.fresh.len() >= self.full || (week != self.week && !self.fresh.is_empty()) {
                self.seal(tx).await?;
            }
            const NOTE: &str = "INSERT INTO seen_log (week, hashes) VALUES ($1, $2)";
            tx.exec(NOTE, args![week, fresh]).await?;
        }
        Ok(known)
    }

    /// Makes what is in the log into a run.
    async fn seal(&self, tx: &mut Conn) -> Result<()> {
        let in_order = aside(|| {
            let mut hashes: Vec<Hash> = self.fresh.iter().copied().collect();
            hashes.sort_unstable();
            hashes
        });
        let mut rows = Rows::with_capacity(in_order.len().div_ceil(PART) * 4);
        for (part, hashes) in (0_i64..).zip(in_order.chunks(PART)) {
            rows.push([self.log.into(), part.into(), self.week.into(), hashes.concat().into()]);
        }
        const SEAL: &str = "INSERT INTO seen_runs (run, part, week, hashes) {IIIB}";
        tx.exec_rows(SEAL, rows, &[]).await?;
        // All of it: SQLite need not look at a row.
        const EMPTY: &str = "DELETE FROM seen_log";
        tx.exec(EMPTY, Vec::new()).await?;
        Ok(())
    }
}

/// Which of these are in a run, or in a row of an older program, by their numbers. What was looked for before is only looked for in runs
/// that came since.
pub(super) async fn find(
    conn: &mut Conn,
    groups: &List,
    wanted: &Wanted<'_>,
    week: i64,
) -> Result<HashSet<usize>> {
    let looked = |id: &MessageId| id.looked.map_or((0, false), |looked| (looked.newest, looked.found));
    let mut found: HashSet<usize> =
        wanted.iter().filter(|(id, _)| looked(id).1).map(|(_, number)| *number).collect();
    let since = wanted.iter().map(|(id, _)| looked(id).0).min().unwrap_or(0);
    // Where each may be: the number of a place in this list goes with the question.
    let (mut places, mut lookups): (Vec<(&Hash, usize, usize)>, _) = (Vec::new(), Rows::default());
    for group in groups.iter().filter(|group| group.newest() > since && is_known(group.week, week)) {
        let unknown = wanted.iter().filter(|(id, _)| group.newest() > looked(id).0);
        for (id, number) in unknown.filter(|(id, _)| group.may_have(&id.hash)) {
            for (run, place) in group.places(&id.hash).filter(|(run, _)| *run > looked(id).0) {
                let [asked, part] =
                    [places.len(), place / PART].map(|n| i64::try_from(n).expect("they are few"));
                lookups.push([asked.into(), run.into(), part.into()]);
                places.push((&id.hash, *number, place % PART));
            }
        }
    }
    const READ: &str = "WITH n(place, run, part) AS ({III}) SELECT n.place, seen_runs.hashes FROM n \
        CROSS JOIN seen_runs WHERE seen_runs.run = n.run AND seen_runs.part = n.part";
    for row in conn.fetch_rows(READ, lookups, &[]).await? {
        let (hash, number, place) = places[usize::try_from(row.i64(0)?).expect("it is not negative")];
        if hashes(row.blob(1)?).nth(place).is_some_and(|there| there == *hash) {
            found.insert(number);
        }
    }
    let unsure: Wanted<'_> = wanted.iter().filter(|(id, _)| id.looked.is_none()).copied().collect();
    if !unsure.is_empty() && has_rows(conn).await? {
        found.extend(find_rows(conn, &unsure, week).await?);
    }
    Ok(found)
}

/// Whether an older program has left rows of its own; they go with their weeks.
async fn has_rows(conn: &mut Conn) -> Result<bool> {
    for bucket in 0..conn.core.settings().buckets {
        if oldest_row(conn, bucket).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets what is of older weeks, a group at a time; how many rows went.
pub(super) async fn forget(store: &Store, oldest: i64) -> Result<u64> {
    let old = {
        let mut conn = store.read().await?;
        let mut runs = store.core.seen.lock().await;
        runs.catch_up(&mut conn).await?;
        runs.groups.iter().find(|group| group.week < oldest).cloned()
    };
    const FORGET_RUN: &str = "DELETE FROM seen_runs WHERE run = $1";
    const FORGET_LOG: &str = "DELETE FROM seen_log WHERE week < $1";
    let mut forgotten = 0;
    if let Some(group) = old {
        for run in &group.runs {
            forgotten += delete(store, FORGET_RUN, run.number).await?;
        }
        // Another run may have been put to it meanwhile, which is left for the next time.
        store.core.seen.lock().await.groups.retain(|one| !Arc::ptr_eq(one, &group));
    }
    const OLDEST: &str = "SELECT week FROM seen_log ORDER BY id LIMIT 1";
    let first = store.read().await?.fetch_first(OLDEST, Vec::new()).await?;
    if first.map_or(Ok(oldest), |first| first.i64(0))? < oldest {
        forgotten += delete(store, FORGET_LOG, oldest).await?;
        let mut runs = store.core.seen.lock().await;
        if runs.week < oldest {
            runs.fresh.clear();
        }
    }
    Ok(forgotten)
}

async fn delete(store: &Store, sql: &'static str, arg: i64) -> Result<u64> {
    let mut tx = store.write().await?;
    let deleted = tx.exec(sql, args![arg]).await?;
    tx.commit_unannounced().await?;
    Ok(deleted)
}

impl Group {
    fn none(week: i64) -> Group {
        Group { week, runs: Vec::new(), slots: Slots(Arc::new([0; SLOTS + 1])), tags: Box::default() }
    }

    /// The same with another run.
    fn with(&self, run: Run, tags: &[u16]) -> Group {
        let mut slots = Vec::with_capacity(SLOTS + 1);
        let mut all = Vec::with_capacity(self.tags.len() + tags.len());
        for slot in 0..SLOTS {
            slots.push(to_place(all.len()));
            all.extend_from_slice(&self.tags[self.slots.range(slot)]);
            all.extend_from_slice(&tags[run.slots.range(slot)]);
        }
        slots.push(to_place(all.len()));
        let runs = self.runs.iter().cloned().chain([run]).collect();
        Group { week: self.week, runs, slots: Slots(slots.into()), tags: all.into() }
    }

    /// The newest of its runs.
    fn newest(&self) -> i64 {
        self.runs.last().map_or(0, |run| run.number)
    }

    /// Whether it is worth a closer look.
    fn may_have(&self, hash: &Hash) -> bool {
        let tag = tag(hash);
        // Without an early end, which could not be looked at several at a time.
        self.tags[self.slots.range(slot(hash))].iter().fold(false, |found, there| found | (*there == tag))
    }

    /// The runs where that hash may be, and the places there.
    fn places(&self, hash: &Hash) -> impl Iterator<Item = (i64, usize)> {
        let (slot, tag) = (slot(hash), tag(hash));
        let mut tags = &self.tags[self.slots.range(slot)];
        self.runs.iter().flat_map(move |run| {
            let places = run.slots.range(slot);
            let (its, others) = tags.split_at(places.len());
            tags = others;
            let same = places.zip(its).filter(move |(_, there)| **there == tag);
            same.map(|(place, _)| (run.number, place))
        })
    }
}

impl Run {
    /// Its week, itself and its tags, in order; `None`: it was forgotten meanwhile.
    async fn load(conn: &mut Conn, number: i64) -> Result<Option<(i64, Run, Vec<u16>)>> {
        const READ: &str =
            "SELECT week, hashes FROM seen_runs WHERE run = $1 AND part >= $2 ORDER BY part LIMIT $3";
        const END: &str = "SELECT part + 1 FROM seen_runs WHERE run = $1 ORDER BY part DESC LIMIT 1";
        let parts = conn.fetch_number(END, args![number]).await?;
        let most = PART * usize::try_from(parts).expect("it is not negative");
        let (mut slots, mut tags) = (Vec::with_capacity(SLOTS + 1), Vec::with_capacity(most));
        let mut week = None;
        for part in (0..parts).step_by(PARTS.into()) {
            for row in conn.fetch(READ, args![number, part, i64::from(PARTS)]).await? {
                week = Some(row.i64(0)?);
                for hash in hashes(row.blob(1)?) {
                    slots.resize(slots.len().max(slot(&hash) + 1), to_place(tags.len()));
                    tags.push(tag(&hash));
                }
            }
        }
        slots.resize(SLOTS + 1, to_place(tags.len()));
        Ok(week.map(|week| (week, Run { number, slots: Slots(slots.into()) }, tags)))
    }
}

impl Slots {
    fn range(&self, slot: usize) -> Range<usize> {
        self.0[slot] as usize..self.0[slot + 1] as usize
    }
}

fn to_place(place: usize) -> u32 {
    u32::try_from(place).expect("a group is not long")
}

fn slot(hash: &Hash) -> usize {
    usize::from(u16::from_be_bytes([hash[0], hash[1]]) >> (16 - SLOT_BITS))
}

/// Bits that say nothing of the slot.
fn tag(hash: &Hash) -> u16 {
    u16::from_be_bytes([hash[2], hash[3]])
}

/// The hashes of a row.
fn hashes(bytes: &[u8]) -> impl Iterator<Item = Hash> {
    bytes.as_chunks::<16>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::super::{Looked, oldest};
    use super::*;
    use crate::store::{Options, Synchronous};

    #[derive(Clone, Debug)]
    enum Op {
        /// A process notes these; it looked ahead before, and another one noted those meanwhile; whether it commits.
        Note {
            process: usize,
            ids: BTreeSet<u8>,
            looked: bool,
            meanwhile: BTreeSet<u8>,
            commits: bool,
        },
        /// The clock is at so many weeks from here.
        Week(i64),
        Forget,
        Restart {
            process: usize,
        },
    }

    fn op() -> impl Strategy<Value = Op> {
        let ids = || btree_set(any::<u8>(), 0..9);
        prop_oneof![
            20 => (0..2_usize, ids(), any::<bool>(), ids(), prop::bool::weighted(0.8)).prop_map(
                |(process, ids, looked, meanwhile, commits)| Op::Note { process, ids, looked, meanwhile, commits }
            ),
            2 => prop_oneof![8 => Just(1), 1 => Just(-1), 1 => Just(60)].prop_map(Op::Week),
            1 => Just(Op::Forget),
            1 => (0..2_usize).prop_map(|process| Op::Restart { process }),
        ]
    }

    /// Some share all that is known of them by heart.
    fn hash(id: u8) -> Hash {
        let mut hash = [0; 16];
        (hash[0], hash[3], hash[15]) = (id % 5, id % 3, id);
        hash
    }

    fn wanted(ids: &[MessageId]) -> Wanted<'_> {
        ids.iter().map(|id| (id, usize::from(id.hash[15]))).collect()
    }

    struct Model {
        store: Store,
        week: i64,
        /// When something was forgotten last: no clock is put back behind that.
        forgot: i64,
        noted: BTreeSet<(u8, i64)>,
    }

    impl Model {
        async fn look(&self, runs: &mut Runs, ids: &mut [MessageId]) {
            let mut conn = self.store.read().await.expect("a connection");
            runs.catch_up(&mut conn).await.expect("read");
            let (newest, list) = runs.all();
            let found = find(&mut conn, &list, &wanted(ids), self.week).await.expect("read");
            for id in ids {
                id.looked = Some(Looked { newest, found: found.contains(&id.hash[15].into()) });
            }
        }

        async fn note(&mut self, runs: &mut Runs, ids: &[MessageId], commits: bool) {
            let mut tx = self.store.write().await.expect("a transaction");
            let known = runs.note(&mut tx, &wanted(ids), self.week).await.expect("noted");
            let is_known =
                |id: &u8| self.noted.iter().any(|(noted, week)| noted == id && is_known(*week, self.week));
            let numbers = || ids.iter().map(|id| id.hash[15]);
            let expected: HashSet<usize> = numbers().filter(|id| is_known(id)).map(usize::from).collect();
            assert_eq!(known, expected, "in week {}, after {:?}", self.week, self.noted);
            if commits {
                tx.commit().await.expect("committed");
                let new: Vec<u8> = numbers().filter(|id| !is_known(id)).collect();
                self.noted.extend(new.into_iter().map(|id| (id, self.week)));
            }
        }

        async fn forget(&mut self) {
            let oldest = oldest(self.week);
            while forget(&self.store, oldest).await.expect("forgotten") > 0 {}
            self.noted.retain(|(_, week)| *week >= oldest);
            self.forgot = self.week;
        }
    }

    async fn play(ops: Vec<Op>) {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("seen.db").display());
        let quick = Options { synchronous: Synchronous::Normal, ..Options::default() };
        let store = Store::open_with(&url, quick).await.expect("it opens");
        let mut model = Model { store, week: 100, forgot: 0, noted: BTreeSet::new() };
        let mut processes = [Runs::of(20, 3), Runs::of(20, 3)];
        let ids = |ids: BTreeSet<u8>| -> Vec<MessageId> {
            ids.into_iter().map(|id| MessageId { hash: hash(id), looked: None }).collect()
        };
        for op in ops {
            match op {
                Op::Note { process, ids: now, looked, meanwhile, commits } => {
                    let mut now = ids(now);
                    if looked {
                        model.look(&mut processes[process], &mut now).await;
                    }
                    model.note(&mut processes[1 - process], &ids(meanwhile), true).await;
                    model.note(&mut processes[process], &now, commits).await;
                }
                Op::Week(weeks) => model.week = (model.week + weeks).max(model.forgot),
                Op::Forget => model.forget().await,
                Op::Restart { process } => processes[process] = Runs::of(20, 3),
            }
        }
        model.store.close().await;
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
        #[test]
        fn whatever_happens_a_message_id_is_known_for_one_week_to_two(ops in vec(op(), 1..120)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(play(ops));
        }
    }
}
