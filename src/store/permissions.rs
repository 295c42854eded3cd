//! What the gate looks at: consents, pauses and cap slots here, suppressed addresses in `suppressions`.
//!
//! Consent is an append-only ledger; beside it stands the latest state for each (contact, purpose, channel), which is what is
//! asked.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::sql::args;
use super::{Conn, Result, Row, Rows, names, suppressions};
use crate::engine::program::{CalendarUnit, CapWindow, Catalog, Word};
use crate::engine::world::{ConsentChange, Fields, Permissions};
use crate::id::{ContactId, DeliveryId};
use crate::time::{DAY, Timestamp};

/// Loads the permissions of contacts of one bucket, whose attributes say which addresses they have.
pub(super) async fn load(
    conn: &mut Conn,
    bucket: i64,
    catalog: &Catalog,
    contacts: &BTreeMap<ContactId, &Fields>,
    now: Timestamp,
) -> Result<HashMap<ContactId, Permissions>> {
    let mut found: HashMap<ContactId, Permissions> =
        contacts.keys().map(|contact| (*contact, Permissions::default())).collect();
    load_consents(conn, bucket, &mut found).await?;
    load_pauses(conn, bucket, &mut found).await?;
    suppressions::load(conn, catalog, contacts, &mut found).await?;
    if let Some(window) = longest_window(catalog) {
        load_slots(conn, bucket, now.plus_ms(-window), &mut found).await?;
    }
    Ok(found)
}

/// Consents and pauses alone: what may be withdrawn between the decision and the sending.
pub(super) async fn standing(
    conn: &mut Conn,
    bucket: i64,
    contacts: impl Iterator<Item = ContactId>,
) -> Result<HashMap<ContactId, Permissions>> {
    let mut found: Found = contacts.map(|contact| (contact, Permissions::default())).collect();
    load_consents(conn, bucket, &mut found).await?;
    load_pauses(conn, bucket, &mut found).await?;
    Ok(found)
}

/// What was found of each contact.
pub(super) type Found = HashMap<ContactId, Permissions>;

fn rows_of(found: &Found) -> Rows {
    let mut contacts: Vec<ContactId> = found.keys().copied().collect();
    contacts.sort_unstable();
    let mut rows = Rows::with_capacity(contacts.len());
    for contact in contacts {
        rows.push([contact.into()]);
    }
    rows
}

async fn load_consents(conn: &mut Conn, bucket: i64, found: &mut Found) -> Result<()> {
    const CONSENTS: &str = "WITH n(contact) AS ({I}) SELECT s.contact, s.purpose, s.channel, s.permit, s.at \
        FROM n CROSS JOIN consent_states s WHERE s.bucket = $1 AND s.contact = n.contact";
    let rows = conn.fetch_rows(CONSENTS, rows_of(found), &args![bucket]).await?;
    let words = words_of(conn, &rows, &[1, 2]).await?;
    for row in &rows {
        let key = (names::spelled(&words, row.i64(1)?)?, names::spelled(&words, row.i64(2)?)?);
        if let Some(permissions) = found.get_mut(&ContactId(row.i64(0)?)) {
            permissions.consents.insert(key, (row.i64(3)? == 1, row.at(4)?));
        }
    }
    Ok(())
}

async fn load_pauses(conn: &mut Conn, bucket: i64, found: &mut Found) -> Result<()> {
    const PAUSES: &str = "WITH n(contact) AS ({I}) SELECT p.contact, p.purpose, p.until \
        FROM n CROSS JOIN contact_pauses p WHERE p.bucket = $1 AND p.contact = n.contact";
    let rows = conn.fetch_rows(PAUSES, rows_of(found), &args![bucket]).await?;
    let words = words_of(conn, &rows, &[1]).await?;
    for row in &rows {
        if let Some(permissions) = found.get_mut(&ContactId(row.i64(0)?)) {
            permissions.pauses.insert(names::spelled(&words, row.i64(1)?)?, row.at(2)?);
        }
    }
    Ok(())
}

async fn load_slots(conn: &mut Conn, bucket: i64, since: Timestamp, found: &mut Found) -> Result<()> {
    const SLOTS: &str = "WITH n(contact) AS ({I}) SELECT s.contact, s.channel, s.purpose, s.at \
        FROM n CROSS JOIN cap_slots s WHERE s.bucket = $1 AND s.contact = n.contact AND s.at >= $2";
    let rows = conn.fetch_rows(SLOTS, rows_of(found), &args![bucket, since]).await?;
    let words = words_of(conn, &rows, &[1, 2]).await?;
    for row in &rows {
        let slot = (row.at(3)?, names::spelled(&words, row.i64(1)?)?, names::spelled(&words, row.i64(2)?)?);
        if let Some(permissions) = found.get_mut(&ContactId(row.i64(0)?)) {
            permissions.slots.push(slot);
        }
    }
    Ok(())
}

/// How far back slots are counted, if there are caps; a little more than needed costs nothing.
fn longest_window(catalog: &Catalog) -> Option<i64> {
    let windows = catalog.policy.caps.iter().map(|cap| match cap.window {
        CapWindow::Rolling(span) => span.about_ms() + span.about_ms() / 10,
        CapWindow::Calendar(CalendarUnit::Day) => 2 * DAY,
        CapWindow::Calendar(CalendarUnit::Week) => 8 * DAY,
        CapWindow::Calendar(CalendarUnit::Month) => 32 * DAY,
        CapWindow::Calendar(CalendarUnit::Year) => 367 * DAY,
    });
    windows.max().map(|window| window + 2 * DAY)
}

/// The names behind the numbers in some columns.
pub(super) async fn words_of(
    conn: &mut Conn,
    rows: &[Row],
    columns: &[usize],
) -> Result<HashMap<i64, Arc<str>>> {
    let mut ids = BTreeSet::new();
    for row in rows {
        for column in columns {
            ids.insert(row.i64(*column)?);
        }
    }
    names::spell(conn, ids).await
}

// ---------------------------------------------------------------- writing

/// Adds to the ledger and sets the latest state. An older change than the latest goes into the ledger alone. What stands already is no
/// change: the same decision of the same moment, or a refusal where no is the answer anyway, since links are followed twice and files
/// are read twice. A grant that is given anew is a new proof.
pub async fn record_consents(
    tx: &mut Conn,
    bucket: i64,
    changes: &[(ContactId, &ConsentChange)],
) -> Result<()> {
    let mut standing: Found = changes.iter().map(|(contact, _)| (*contact, Permissions::default())).collect();
    load_consents(tx, bucket, &mut standing).await?;
    let (ledger, latest) = lines_to_write(tx, changes, standing).await?;
    tx.exec_rows(RECORD, ledger, &[]).await?;
    tx.exec_rows(LATEST, latest, &[]).await?;
    Ok(())
}

/// The same for contacts that are created in this transaction, of any buckets.
pub(super) async fn record_first_consents(
    tx: &mut Conn,
    changes: &[(ContactId, &ConsentChange)],
) -> Result<()> {
    let (ledger, latest) = lines_to_write(tx, changes, Found::new()).await?;
    add_first(tx, ledger, latest).await
}

/// Adds lines to the ledger, and the states that they lead to.
pub(super) async fn add_first(tx: &mut Conn, ledger: Rows, latest: Rows) -> Result<()> {
    const FIRST: &str = "INSERT INTO consent_states (bucket, contact, purpose, channel, permit, at) {IIIIII}";
    tx.exec_rows(RECORD, ledger, &[]).await?;
    tx.exec_rows(FIRST, latest, &[]).await.map(drop)
}

/// The same where each line of the ledger, whose ids are in this range, leads to a state of its own.
pub(super) async fn add_very_first(tx: &mut Conn, ledger: Rows, ids: (i64, i64)) -> Result<()> {
    // Lines of other processes may lie between: what they lead to is there.
    const STATES: &str = "INSERT INTO consent_states (bucket, contact, purpose, channel, permit, at) \
        SELECT bucket, contact, purpose, channel, permit, at FROM consents WHERE id >= $1 AND id <= $2 \
        ON CONFLICT DO NOTHING";
    tx.exec_rows(RECORD, ledger, &[]).await?;
    tx.exec(STATES, args![ids.0, ids.1]).await?;
    Ok(())
}

const RECORD: &str = "INSERT INTO consents (bucket, id, contact, purpose, channel, permit, at, source, evidence) \
    {IIIIIIITT}";
const LATEST: &str = "INSERT INTO consent_states (bucket, contact, purpose, channel, permit, at) {IIIIII} \
    ON CONFLICT (bucket, contact, purpose, channel) DO UPDATE SET permit = excluded.permit, at = excluded.at \
    WHERE excluded.at >= consent_states.at";

/// Lines for the ledger, and the latest states.
async fn lines_to_write(
    tx: &mut Conn,
    changes: &[(ContactId, &ConsentChange)],
    mut standing: Found,
) -> Result<(Rows, Rows)> {
    let mut ledger = Rows::with_capacity(changes.len() * 9);
    let mut latest = BTreeMap::new();
    for (contact, change) in changes {
        let key = (change.purpose.clone(), change.channel.clone());
        let stands = &mut standing.entry(*contact).or_default().consents;
        let is_known =
            |(permit, at): &(bool, Timestamp)| *permit == change.permit && (!permit || *at == change.at);
        let repeats = stands.get(&key).is_some_and(is_known);
        // A refusal that is said again is not noted again, but it counts from its last time: no grant of before may follow it.
        if repeats && stands.get(&key).is_some_and(|(_, at)| *at >= change.at) {
            continue;
        }
        if stands.get(&key).is_none_or(|(_, at)| change.at >= *at) {
            stands.insert(key, (change.permit, change.at));
        }
        let purpose = names::intern(tx, &change.purpose).await?;
        let channel = names::intern(tx, &change.channel).await?;
        let permit = i64::from(change.permit);
        if !repeats {
            ledger.push([
                tx.core.bucket_of(*contact).into(),
                tx.core.new_id().into(),
                (*contact).into(),
                purpose.into(),
                channel.into(),
                permit.into(),
                change.at.into(),
                (&change.source).into(),
                change.evidence.clone().into(),
            ]);
        }
        // One statement must not meet the same row twice.
        let kept = latest.entry((*contact, purpose, channel)).or_insert((permit, change.at));
        if change.at >= kept.1 {
            *kept = (permit, change.at);
        }
    }
    let mut rows = Rows::with_capacity(latest.len() * 6);
    for ((contact, purpose, channel), (permit, at)) in latest {
        let bucket = tx.core.bucket_of(contact);
        rows.push([bucket.into(), contact.into(), purpose.into(), channel.into(), permit.into(), at.into()]);
    }
    Ok((ledger, rows))
}

/// What makes a line of the ledger the same as another: who, what for, on which channel, yes or no, when, and from where.
pub(super) type Line = (ContactId, Word, Word, bool, Timestamp, Word);

/// The line that a change would be.
pub(super) fn line(contact: ContactId, change: &ConsentChange) -> Line {
    let (purpose, channel, source) = (&change.purpose, &change.channel, &change.source);
    (contact, purpose.clone(), channel.clone(), change.permit, change.at, source.clone())
}

/// The lines that some contacts of a bucket have.
pub(super) async fn lines(
    conn: &mut Conn,
    bucket: i64,
    contacts: &BTreeSet<ContactId>,
) -> Result<HashSet<Line>> {
    const LINES: &str = "WITH n(contact) AS ({I}) SELECT c.contact, c.purpose, c.channel, c.permit, c.at, c.source \
        FROM n CROSS JOIN consents c WHERE c.bucket = $1 AND c.contact = n.contact";
    let mut asked = Rows::with_capacity(contacts.len());
    for contact in contacts {
        asked.push([(*contact).into()]);
    }
    let rows = conn.fetch_rows(LINES, asked, &args![bucket]).await?;
    let words = words_of(conn, &rows, &[1, 2]).await?;
    let read = |row: &Row| {
        let (purpose, channel) = (names::spelled(&words, row.i64(1)?)?, names::spelled(&words, row.i64(2)?)?);
        Ok((ContactId(row.i64(0)?), purpose, channel, row.i64(3)? == 1, row.at(4)?, row.text(5)?.into()))
    };
    rows.iter().map(read).collect()
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerLine {
    pub id: i64,
    pub change: ConsentChange,
}

/// The ledger of a contact, oldest first.
pub async fn ledger(conn: &mut Conn, contact: ContactId) -> Result<Vec<LedgerLine>> {
    const LEDGER: &str = "SELECT id, purpose, channel, permit, at, source, evidence FROM consents \
        WHERE bucket = $1 AND contact = $2 ORDER BY id";
    let bucket = conn.core.bucket_of(contact);
    let rows = conn.fetch(LEDGER, args![bucket, contact]).await?;
    let words = words_of(conn, &rows, &[1, 2]).await?;
    let line = |row: &Row| {
        Ok(LedgerLine {
            id: row.i64(0)?,
            change: ConsentChange {
                purpose: names::spelled(&words, row.i64(1)?)?,
                channel: names::spelled(&words, row.i64(2)?)?,
                permit: row.i64(3)? == 1,
                at: row.at(4)?,
                source: row.text(5)?.into(),
                evidence: row.opt_text(6)?.map(Arc::from),
            },
        })
    };
    rows.iter().map(line).collect()
}

/// Sets until when purposes pause for contacts.
pub(super) async fn pause(
    tx: &mut Conn,
    bucket: i64,
    pauses: &[(ContactId, &(Word, Timestamp))],
) -> Result<()> {
    const PAUSE: &str = "INSERT INTO contact_pauses (bucket, contact, purpose, until) {IIII} \
        ON CONFLICT (bucket, contact, purpose) DO UPDATE SET until = excluded.until";
    let mut latest = BTreeMap::new();
    for (contact, (purpose, until)) in pauses {
        latest.insert((*contact, names::intern(tx, purpose).await?), *until);
    }
    let mut rows = Rows::with_capacity(latest.len() * 4);
    for ((contact, purpose), until) in latest {
        rows.push([bucket.into(), contact.into(), purpose.into(), until.into()]);
    }
    tx.exec_rows(PAUSE, rows, &[]).await?;
    Ok(())
}

/// Takes cap slots.
pub(super) async fn take_slots(
    tx: &mut Conn,
    bucket: i64,
    slots: &[(ContactId, &(Timestamp, Word, Word, DeliveryId))],
) -> Result<()> {
    const TAKE: &str = "INSERT INTO cap_slots (bucket, contact, at, delivery, channel, purpose) {IIIIII}";
    let mut rows = Rows::with_capacity(slots.len() * 6);
    for (contact, (at, channel, purpose, delivery)) in slots {
        let channel = names::intern(tx, channel).await?;
        let purpose = names::intern(tx, purpose).await?;
        rows.push([
            bucket.into(),
            (*contact).into(),
            (*at).into(),
            (*delivery).into(),
            channel.into(),
            purpose.into(),
        ]);
    }
    tx.exec_rows(TAKE, rows, &[]).await?;
    Ok(())
}

/// Frees the cap slots of deliveries that were cancelled.
pub async fn free_slots(tx: &mut Conn, bucket: i64, cancelled: &[(ContactId, DeliveryId)]) -> Result<()> {
    const FREE: &str = "WITH n(contact, delivery) AS ({II}) DELETE FROM cap_slots \
        WHERE bucket = $1 AND (contact, at, delivery) IN (SELECT s.contact, s.at, s.delivery \
        FROM n CROSS JOIN cap_slots s WHERE s.bucket = $2 AND s.contact = n.contact AND s.delivery = n.delivery)";
    let mut rows = Rows::with_capacity(cancelled.len() * 2);
    for (contact, delivery) in cancelled {
        rows.push([(*contact).into(), (*delivery).into()]);
    }
    tx.exec_rows(FREE, rows, &args![bucket, bucket]).await?;
    Ok(())
}
