//! Enrollments: who is on which way, who listens to what, and how a batch of transitions is written.
//!
//! The row is written at entry and end. The state lives in the timer (see `timers`). Listeners lead from a signal to the enrollments
//! that want to hear of it: interests for a whole life, and the present wait. An enrollment that can be asked for at any time,
//! because it has interests or wants to hear of its messages, is *tracked*: its row follows its timer at each step. The others are
//! found by the listener of their wait, and save that write.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::journeys::Deployed;
use super::sql::args;
use super::timers::{self, Place, Pointer};
use super::{Arg, Conn, Error, Result, Row, Rows, counts::Counts, names};
use crate::engine::policy;
use crate::engine::program::{Catalog, Program, Reenter, SlotKind, Word};
use crate::engine::world::{EnrollmentChange, Past};
use crate::id::{ContactId, EnrollmentId};
use crate::time::Timestamp;

/// The name of a listener that waits for a task, request or child: no name has this number.
const OUTCOME: i64 = 0;

/// Kinds of listeners.
const INTEREST: i64 = 0;
const WAIT: i64 = 1;

/// Which enrollments of contacts listen to signals.
pub(super) async fn listeners(
    tx: &mut Conn,
    bucket: i64,
    wanted: &BTreeSet<(ContactId, Word)>,
) -> Result<BTreeSet<Pointer>> {
    const LISTENERS: &str = "WITH n(contact, name) AS ({II}) \
        SELECT listeners.contact, listeners.id, listeners.kind, listeners.wake_at FROM n CROSS JOIN listeners \
        WHERE listeners.bucket = $1 AND listeners.contact = n.contact AND listeners.name = n.name";
    let mut rows = Rows::with_capacity(wanted.len() * 2);
    for (contact, signal) in wanted {
        if let Some(name) = names::find(tx, signal).await? {
            rows.push([(*contact).into(), name.into()]);
        }
    }
    let found = tx.fetch_rows(LISTENERS, rows, &args![bucket]).await?;
    let mut pointers: BTreeMap<(ContactId, EnrollmentId), Option<Timestamp>> = BTreeMap::new();
    for row in &found {
        let pointer = pointers.entry((ContactId(row.i64(0)?), EnrollmentId(row.i64(1)?))).or_default();
        if row.i64(2)? == WAIT {
            *pointer = Some(row.at(3)?);
        }
    }
    Ok(pointers.into_iter().map(|((contact, id), wake_at)| Pointer { contact, id, wake_at }).collect())
}

/// Everything that contacts have and that is not over.
pub(super) async fn all(tx: &mut Conn, bucket: i64, contacts: &[ContactId]) -> Result<Vec<timers::Timer>> {
    const ALL: &str = "WITH n(contact) AS ({I}) SELECT e.contact, e.id, e.tracked, e.ended_at \
        FROM n CROSS JOIN enrollments e WHERE e.bucket = $1 AND e.contact = n.contact \
        AND (e.ended_at IS NULL OR e.tracked = 1)";
    let mut rows = Rows::with_capacity(contacts.len());
    for contact in contacts {
        rows.push([(*contact).into()]);
    }
    let (mut pointers, mut active) = (Vec::new(), Vec::new());
    for row in tx.fetch_rows(ALL, rows, &args![bucket]).await? {
        let (contact, id) = (ContactId(row.i64(0)?), EnrollmentId(row.i64(1)?));
        pointers.push(Pointer { contact, id, wake_at: None });
        if row.i64(2)? == 0 {
            active.push((contact, id));
        }
    }
    let mut found = timers::load(tx, bucket, &pointers).await?;
    let known: BTreeSet<EnrollmentId> = found.iter().map(|timer| timer.id).collect();
    let lost: BTreeSet<ContactId> =
        active.into_iter().filter(|(_, id)| !known.contains(id)).map(|(contact, _)| contact).collect();
    if !lost.is_empty() {
        let more = timers::search(tx, bucket, &lost).await?;
        found.extend(more.into_iter().filter(|timer| !known.contains(&timer.id)));
    }
    Ok(found)
}

/// What contacts had of journeys, past enrollments too.
pub(super) async fn past(
    tx: &mut Conn,
    bucket: i64,
    wanted: &BTreeSet<(ContactId, Word)>,
) -> Result<HashMap<(ContactId, Word), Vec<Past>>> {
    const PAST: &str = "WITH n(contact, journey) AS ({II}) \
        SELECT e.contact, e.journey, e.id, e.key, e.entered_at, e.ended_at FROM n CROSS JOIN enrollments e \
        WHERE e.bucket = $1 AND e.contact = n.contact AND e.journey = n.journey ORDER BY e.id";
    let (mut rows, mut words) = (Rows::with_capacity(wanted.len() * 2), HashMap::new());
    for (contact, journey) in wanted {
        if let Some(name) = names::find(tx, journey).await? {
            rows.push([(*contact).into(), name.into()]);
            words.insert(name, journey.clone());
        }
    }
    let mut found: HashMap<(ContactId, Word), Vec<Past>> =
        wanted.iter().map(|key| (key.clone(), Vec::new())).collect();
    for row in tx.fetch_rows(PAST, rows, &args![bucket]).await? {
        let key = (ContactId(row.i64(0)?), words[&row.i64(1)?].clone());
        found.entry(key).or_default().push(read_past(&row)?);
    }
    Ok(found)
}

fn read_past(row: &Row) -> Result<Past> {
    Ok(Past {
        id: EnrollmentId(row.i64(2)?),
        key: row.text(3)?.into(),
        entered_at: row.at(4)?,
        ended_at: row.opt_at(5)?,
    })
}

/// One enrollment of a contact, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub id: EnrollmentId,
    pub journey: Word,
    /// The number of the program that it runs through.
    pub program: i64,
    pub key: String,
    pub entered_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub reason: Option<Word>,
}

/// All enrollments of a contact, oldest first.
pub async fn of_contact(conn: &mut Conn, contact: ContactId) -> Result<Vec<Line>> {
    const OF: &str = "SELECT id, journey, key, entered_at, ended_at, reason, program FROM enrollments \
        WHERE bucket = $1 AND contact = $2 ORDER BY id";
    let bucket = conn.core.bucket_of(contact);
    let rows = conn.fetch(OF, args![bucket, contact]).await?;
    let mut ids = BTreeSet::new();
    for row in &rows {
        ids.insert(row.i64(1)?);
        ids.extend(row.opt_i64(5)?);
    }
    let words = names::spell(conn, ids).await?;
    let line = |row: &Row| {
        Ok(Line {
            id: EnrollmentId(row.i64(0)?),
            journey: names::spelled(&words, row.i64(1)?)?,
            key: row.text(2)?.to_owned(),
            entered_at: row.at(3)?,
            ended_at: row.opt_at(4)?,
            reason: row.opt_i64(5)?.map(|reason| names::spelled(&words, reason)).transpose()?,
            program: row.i64(6)?,
        })
    };
    rows.iter().map(line).collect()
}

// ---------------------------------------------------------------- writing

/// One enrollment that moved.
pub(super) struct Moved<'a> {
    pub(super) contact: ContactId,
    pub(super) change: &'a EnrollmentChange,
    /// Where it stood before; nowhere when it begins.
    pub(super) before: Option<Place>,
    /// Its former timer was taken, and is gone already.
    pub(super) timer_taken: bool,
}

/// What a batch of transitions does to the tables of enrollments.
#[derive(Default)]
struct Writes {
    began: BTreeMap<(ContactId, EnrollmentId), [Arg; 8]>,
    moved: BTreeMap<(ContactId, EnrollmentId), [Arg; 3]>,
    /// Listeners by key: their timers' other half, or none to remove them.
    listeners: BTreeMap<(ContactId, i64, EnrollmentId, i64), Option<Timestamp>>,
    silenced: BTreeSet<(ContactId, EnrollmentId)>,
}

/// Writes enrollments of one bucket, and adds what is to be counted. Returns where each stands now.
pub(super) async fn write(
    tx: &mut Conn,
    bucket: i64,
    deployed: &Deployed,
    moved: &[Moved<'_>],
    timers: &mut timers::Writes,
    counts: &mut Counts,
) -> Result<HashMap<EnrollmentId, Place>> {
    let mut writes = Writes::default();
    let mut places = HashMap::new();
    for one in moved {
        let place = add(tx, deployed, one, &mut writes, timers, counts).await?;
        places.insert(one.change.after.id, place);
    }
    writes.write(tx, bucket).await?;
    Ok(places)
}

async fn add(
    tx: &mut Conn,
    deployed: &Deployed,
    moved: &Moved<'_>,
    writes: &mut Writes,
    timers: &mut timers::Writes,
    counts: &mut Counts,
) -> Result<Place> {
    let (contact, change) = (moved.contact, moved.change);
    let after = &change.after;
    let id = after.id;
    let program = deployed
        .number_of(&after.program)
        .ok_or_else(|| Error::Unreadable { what: "program", why: format!("of {id} is not deployed") })?;
    let tracked = match (&change.begins, moved.before) {
        (Some(begin), _) => {
            !begin.interests.is_empty() || may_be_asked_for(&deployed.catalog, &after.program)
        }
        (None, Some(before)) => before.tracked,
        (None, None) => true,
    };
    let mut place = Place::of(after, tracked);

    let stays = !change.gone && change.woke_at == Some(after.wake_at);
    if let Some(woke_at) = change.woke_at.filter(|_| !moved.timer_taken && !stays) {
        timers.remove(woke_at, id);
    }
    let before = moved.before.unwrap_or_default();
    if change.gone {
        place = Place { step: None, ..place };
        if tracked || before.out || !change.waited_for.is_empty() {
            writes.silenced.insert((contact, id));
        }
    } else {
        timers.set_enrollment(contact, after, program, tracked);
        for name in &change.waited_for {
            writes.listeners.insert((contact, names::intern(tx, name).await?, id, WAIT), None);
        }
        if before.out {
            writes.listeners.insert((contact, OUTCOME, id, WAIT), None);
        }
        if place.out {
            writes.listeners.insert((contact, OUTCOME, id, WAIT), Some(after.wake_at));
        }
        for name in &change.waits_for {
            let key = (contact, names::intern(tx, name).await?, id, WAIT);
            writes.listeners.insert(key, Some(after.wake_at));
        }
        for name in change.begins.iter().flat_map(|begin| &begin.interests) {
            let key = (contact, names::intern(tx, name).await?, id, INTEREST);
            writes.listeners.insert(key, Some(Timestamp(0)));
        }
    }
    add_row(tx, moved, program, tracked, writes, counts).await?;
    counts.rest(tx, program, &after.program, before.step, place.step).await?;
    Ok(place)
}

/// The row in `enrollments`, where it has to be written.
async fn add_row(
    tx: &mut Conn,
    moved: &Moved<'_>,
    program: i64,
    tracked: bool,
    writes: &mut Writes,
    counts: &mut Counts,
) -> Result<()> {
    let change = moved.change;
    let after = &change.after;
    let key = (moved.contact, after.id);
    let mut reason = None;
    if let Some(word) = &change.ends {
        let name = names::intern(tx, word).await?;
        counts.exited(program, name);
        reason = Some(name);
    }
    let ended_at = change.ends.as_ref().map(|_| after.state.clock);
    if let Some(begin) = &change.begins {
        counts.entered(program);
        let journey = names::intern(tx, &after.program.journey).await?;
        let row = [
            journey.into(),
            program.into(),
            (&after.key).into(),
            begin.entered_at.into(),
            i64::from(tracked).into(),
            after.wake_at.into(),
            ended_at.into(),
            reason.into(),
        ];
        writes.began.insert(key, row);
    } else if change.ends.is_some() || (tracked && change.woke_at != Some(after.wake_at)) {
        writes.moved.insert(key, [after.wake_at.into(), ended_at.into(), reason.into()]);
    }
    Ok(())
}

/// Whether something may ask for an enrollment of this program at any time: a withdrawal of consent, the outcome of one of its
/// messages, or an entry that ends the one before.
fn may_be_asked_for(catalog: &Catalog, program: &Program) -> bool {
    !policy::is_transactional(catalog, &program.purpose)
        || program.reenter == Reenter::Restart
        || program.slots.iter().any(|slot| slot.kind == SlotKind::Message)
}

impl Writes {
    async fn write(self, tx: &mut Conn, bucket: i64) -> Result<()> {
        const BEGIN: &str = "INSERT INTO enrollments (bucket, contact, id, journey, program, key, entered_at, tracked, \
            wake_at, ended_at, reason) {IIIIITIIIII}";
        const MOVE: &str = "WITH n(contact, id, wake_at, ended_at, reason) AS ({IIIII}) UPDATE enrollments SET \
            wake_at = n.wake_at, ended_at = COALESCE(n.ended_at, enrollments.ended_at), \
            reason = COALESCE(n.reason, enrollments.reason) FROM n \
            WHERE enrollments.bucket = $1 AND enrollments.contact = n.contact AND enrollments.id = n.id";
        const SILENCE: &str = "WITH n(contact, id) AS ({II}) DELETE FROM listeners WHERE bucket = $1 \
            AND (contact, name, id, kind) IN (SELECT l.contact, l.name, l.id, l.kind FROM n CROSS JOIN listeners l \
            WHERE l.bucket = $2 AND l.contact = n.contact AND l.id = n.id)";
        const DEAF: &str = "WITH n(contact, name, id, kind) AS ({IIII}) DELETE FROM listeners WHERE bucket = $1 \
            AND (contact, name, id, kind) IN (SELECT n.contact, n.name, n.id, n.kind FROM n)";
        const LISTEN: &str = "INSERT INTO listeners (bucket, contact, name, id, kind, wake_at) {IIIIII} \
            ON CONFLICT (bucket, contact, name, id, kind) DO UPDATE SET wake_at = excluded.wake_at";
        let mut began = Rows::with_capacity(self.began.len() * 11);
        for ((contact, id), [a, b, c, d, e, f, g, h]) in self.began {
            began.push([bucket.into(), contact.into(), id.into(), a, b, c, d, e, f, g, h]);
        }
        tx.exec_rows(BEGIN, began, &[]).await?;
        let mut moved = Rows::with_capacity(self.moved.len() * 5);
        for ((contact, id), [wake_at, ended_at, reason]) in self.moved {
            moved.push([contact.into(), id.into(), wake_at, ended_at, reason]);
        }
        tx.exec_rows(MOVE, moved, &args![bucket]).await?;
        let mut silenced = Rows::with_capacity(self.silenced.len() * 2);
        for (contact, id) in self.silenced {
            silenced.push([contact.into(), id.into()]);
        }
        tx.exec_rows(SILENCE, silenced, &args![bucket, bucket]).await?;
        let (mut deaf, mut listen) = (Rows::default(), Rows::default());
        for ((contact, name, id, kind), wake_at) in self.listeners {
            let key: [Arg; 4] = [contact.into(), name.into(), id.into(), kind.into()];
            match wake_at {
                None => deaf.push(key),
                Some(wake_at) => {
                    let [a, b, c, d] = key;
                    listen.push([bucket.into(), a, b, c, d, wake_at.into()]);
                }
            }
        }
        tx.exec_rows(DEAF, deaf, &args![bucket]).await?;
        tx.exec_rows(LISTEN, listen, &[]).await?;
        Ok(())
    }
}
