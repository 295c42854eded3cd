//! Standing entries of contacts (segments in use, anniversaries, dates) and errands: what a contact has to be looked at for
//! apart from any enrollment. Both have their timers among the others.

use std::collections::{BTreeMap, HashMap};

use super::sql::args;
use super::timers::{self, Kind};
use super::{Conn, Error, Result, Rows, names};
use crate::engine::program::Word;
use crate::engine::world::{Errand, Standing, StandingChange};
use crate::id::{ContactId, EnrollmentId};
use crate::time::Timestamp;

/// The standing entries of one contact.
pub(super) type Standings = BTreeMap<(Word, u16), Standing>;

/// The errands of one contact.
pub(super) type Errands = BTreeMap<EnrollmentId, Errand>;

/// Loads the standing entries of contacts of one bucket.
pub(super) async fn standing(
    tx: &mut Conn,
    bucket: i64,
    contacts: &[ContactId],
) -> Result<HashMap<ContactId, Standings>> {
    const STANDING: &str = "WITH n(contact) AS ({I}) SELECT m.contact, m.journey, m.entry, m.id, m.member, m.wake_at \
        FROM n CROSS JOIN memberships m WHERE m.bucket = $1 AND m.contact = n.contact";
    let found = tx.fetch_rows(STANDING, rows_of(contacts), &args![bucket]).await?;
    let mut journeys = Vec::new();
    for row in &found {
        journeys.push(row.i64(1)?);
    }
    let words = names::spell(tx, journeys).await?;
    let mut standing: HashMap<ContactId, Standings> =
        contacts.iter().map(|contact| (*contact, Standings::new())).collect();
    for row in &found {
        let journey = names::spelled(&words, row.i64(1)?)?;
        let entry = u16::try_from(row.i64(2)?)
            .map_err(|_| Error::Unreadable { what: "membership", why: "no entry has that number".into() })?;
        let one = Standing {
            id: EnrollmentId(row.i64(3)?),
            journey: journey.clone(),
            entry,
            member: row.i64(4)? == 1,
            wake_at: row.at(5)?,
        };
        standing.entry(ContactId(row.i64(0)?)).or_default().insert((journey, entry), one);
    }
    Ok(standing)
}

/// Whether that is an errand as we write it.
pub(super) fn is_readable(errand: &str) -> bool {
    serde_json::from_str::<crate::engine::world::ErrandKind>(errand).is_ok()
}

/// Loads the errands of contacts of one bucket.
pub(super) async fn errands(
    tx: &mut Conn,
    bucket: i64,
    contacts: &[ContactId],
) -> Result<HashMap<ContactId, Errands>> {
    const ERRANDS: &str = "WITH n(contact) AS ({I}) SELECT e.contact, e.id, e.wake_at, e.errand \
        FROM n CROSS JOIN errands e WHERE e.bucket = $1 AND e.contact = n.contact";
    let mut errands: HashMap<ContactId, Errands> =
        contacts.iter().map(|contact| (*contact, Errands::new())).collect();
    for row in tx.fetch_rows(ERRANDS, rows_of(contacts), &args![bucket]).await? {
        let what = serde_json::from_str(row.text(3)?)
            .map_err(|error| Error::Unreadable { what: "errand", why: error.to_string() })?;
        let errand = Errand { id: EnrollmentId(row.i64(1)?), wake_at: row.at(2)?, what };
        errands.entry(ContactId(row.i64(0)?)).or_default().insert(errand.id, errand);
    }
    Ok(errands)
}

fn rows_of(contacts: &[ContactId]) -> Rows {
    let mut rows = Rows::with_capacity(contacts.len());
    for contact in contacts {
        rows.push([(*contact).into()]);
    }
    rows
}

/// Writes standing entries of one bucket. `taken` tells whether a timer is gone already.
pub(super) async fn write_standing(
    tx: &mut Conn,
    bucket: i64,
    changes: &[(ContactId, &StandingChange)],
    timers: &mut timers::Writes,
    mut taken: impl FnMut(Timestamp, EnrollmentId) -> bool,
) -> Result<()> {
    const WRITE: &str = "INSERT INTO memberships (bucket, contact, journey, entry, id, member, wake_at) {IIIIIII} \
        ON CONFLICT (bucket, contact, journey, entry) DO UPDATE SET id = excluded.id, member = excluded.member, \
        wake_at = excluded.wake_at";
    // One statement must not meet the same row twice: the last change of an entry holds.
    let mut latest = BTreeMap::new();
    for (contact, change) in changes {
        let after = &change.after;
        if let Some(woke_at) = change.woke_at.filter(|at| *at != Timestamp::NEVER && !taken(*at, after.id))
            && woke_at != after.wake_at
        {
            timers.remove(woke_at, after.id);
        }
        let journey = names::intern(tx, &after.journey).await?;
        latest.insert((*contact, journey, after.entry), after);
    }
    let mut rows = Rows::with_capacity(latest.len() * 7);
    for ((contact, journey, entry), after) in latest {
        timers.set(Kind::Standing, contact, after.id, after.wake_at);
        rows.push([
            bucket.into(),
            contact.into(),
            journey.into(),
            i64::from(entry).into(),
            after.id.into(),
            i64::from(after.member).into(),
            after.wake_at.into(),
        ]);
    }
    tx.exec_rows(WRITE, rows, &[]).await?;
    Ok(())
}

/// Writes new errands of one bucket, and strikes out those that are done.
pub(super) async fn write_errands(
    tx: &mut Conn,
    bucket: i64,
    new: &[(ContactId, &Errand)],
    done: &[(ContactId, (Timestamp, EnrollmentId))],
    timers: &mut timers::Writes,
    mut taken: impl FnMut(Timestamp, EnrollmentId) -> bool,
) -> Result<()> {
    const NEW: &str = "INSERT INTO errands (bucket, contact, id, wake_at, errand) {IIIIT} \
        ON CONFLICT (bucket, contact, id) DO UPDATE SET wake_at = excluded.wake_at, errand = excluded.errand";
    const DONE: &str = "WITH n(contact, id) AS ({II}) DELETE FROM errands WHERE bucket = $1 \
        AND (contact, id) IN (SELECT n.contact, n.id FROM n)";
    // An errand may be set and done in one batch; and one that is set again was struck out before.
    let mut struck = Rows::with_capacity(done.len() * 2);
    for (contact, (wake_at, id)) in done {
        if !taken(*wake_at, *id) {
            timers.remove(*wake_at, *id);
        }
        struck.push([(*contact).into(), (*id).into()]);
    }
    tx.exec_rows(DONE, struck, &args![bucket]).await?;
    let is_done = |errand: &Errand| done.iter().any(|(_, key)| *key == (errand.wake_at, errand.id));
    let mut rows = Rows::with_capacity(new.len() * 5);
    for (contact, errand) in new.iter().filter(|(_, errand)| !is_done(errand)) {
        timers.set(Kind::Errand, *contact, errand.id, errand.wake_at);
        let text = serde_json::to_string(&errand.what).expect("errands have no keys but texts");
        rows.push([bucket.into(), (*contact).into(), errand.id.into(), errand.wake_at.into(), text.into()]);
    }
    tx.exec_rows(NEW, rows, &[]).await?;
    Ok(())
}
