//! Audiences: who is in which, and on whose behalf.
//!
//! An enrollment holds a place for its contact, and a contact with at least one place is a member. Places are written in the
//! transaction that decided them. What leaves the house is told in [`super::exports`].

use std::collections::{BTreeMap, BTreeSet};

use super::sql::args;
use super::{Conn, Result, Rows, names};
use crate::engine::world::Place;
use crate::id::{ContactId, EnrollmentId};
use crate::time::Timestamp;

/// Takes and gives back places of contacts of one bucket, in that order.
pub(super) async fn write(tx: &mut Conn, bucket: i64, changes: &[(ContactId, &Place)]) -> Result<()> {
    const CLEAR: &str = "WITH n(audience, contact) AS ({II}) DELETE FROM audience_members WHERE bucket = $1 \
        AND (audience, contact) IN (SELECT n.audience, n.contact FROM n)";
    const LEAVE: &str = "WITH n(audience, contact, enrollment) AS ({III}) DELETE FROM audience_members \
        WHERE bucket = $1 AND (audience, contact, enrollment) IN (SELECT n.audience, n.contact, n.enrollment FROM n)";
    const JOIN: &str = "INSERT INTO audience_members (bucket, audience, contact, enrollment, since) {IIIII} \
        ON CONFLICT DO NOTHING";
    if changes.is_empty() {
        return Ok(());
    }
    // What was done last holds, so that no statement meets a row twice.
    let mut cleared = BTreeSet::new();
    let mut places: BTreeMap<(i64, ContactId, EnrollmentId), Option<Timestamp>> = BTreeMap::new();
    for (contact, place) in changes {
        let audience = names::intern(tx, &place.audience).await?;
        match place.enrollment {
            Some(id) => _ = places.insert((audience, *contact, id), place.joins.then_some(place.at)),
            None => {
                places.retain(|(of, who, _), _| (*of, *who) != (audience, *contact));
                cleared.insert((audience, *contact));
            }
        }
    }
    let (mut clear, mut leave, mut join) = (Rows::default(), Rows::default(), Rows::default());
    for (audience, contact) in cleared {
        clear.push([audience.into(), contact.into()]);
    }
    for ((audience, contact, enrollment), since) in places {
        match since {
            Some(since) => {
                join.push([bucket.into(), audience.into(), contact.into(), enrollment.into(), since.into()])
            }
            None => leave.push([audience.into(), contact.into(), enrollment.into()]),
        }
    }
    tx.exec_rows(CLEAR, clear, &args![bucket]).await?;
    tx.exec_rows(LEAVE, leave, &args![bucket]).await?;
    tx.exec_rows(JOIN, join, &[]).await?;
    Ok(())
}

/// Takes back what an enrollment holds that is ended from outside its journey.
pub(super) async fn end(tx: &mut Conn, (bucket, contact): (i64, ContactId), id: EnrollmentId) -> Result<()> {
    const END: &str = "DELETE FROM audience_members WHERE bucket = $1 AND contact = $2 AND enrollment = $3";
    tx.exec(END, args![bucket, contact, id]).await?;
    Ok(())
}

/// An audience that a contact is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub audience: String,
    /// From when on without a break.
    pub since: Timestamp,
    /// The network knows it already.
    pub is_told: bool,
}

/// The audiences of a contact, by name.
pub async fn of_contact(conn: &mut Conn, contact: ContactId) -> Result<Vec<Membership>> {
    const OF: &str = "SELECT m.audience, MIN(m.since), CAST(MAX(CASE WHEN EXISTS (SELECT 1 FROM audience_told t \
        WHERE t.bucket = $1 AND t.audience = m.audience AND t.contact = $2) THEN 1 ELSE 0 END) AS BIGINT) \
        FROM audience_members m WHERE m.bucket = $1 AND m.contact = $2 GROUP BY m.audience";
    let bucket = conn.core.bucket_of(contact);
    let rows = conn.fetch(OF, args![bucket, contact]).await?;
    let mut ids = Vec::new();
    for row in &rows {
        ids.push(row.i64(0)?);
    }
    let words = names::spell(conn, ids).await?;
    let mut all = Vec::new();
    for row in &rows {
        let audience = names::spelled(&words, row.i64(0)?)?.to_string();
        all.push(Membership { audience, since: row.at(1)?, is_told: row.i64(2)? == 1 });
    }
    all.sort_by(|one, other| one.audience.cmp(&other.audience));
    Ok(all)
}

/// How many people are in an audience.
pub async fn count(conn: &mut Conn, audience: &str) -> Result<i64> {
    const COUNT: &str =
        "SELECT COUNT(DISTINCT contact) FROM audience_members WHERE bucket = $1 AND audience = $2";
    people(conn, COUNT, audience).await
}

/// How many people of an audience a statement counts, over all buckets.
pub(super) async fn people(conn: &mut Conn, count: &'static str, audience: &str) -> Result<i64> {
    let Some(audience) = names::find(conn, audience).await? else { return Ok(0) };
    let mut people = 0;
    for bucket in 0..conn.core.settings().buckets {
        people += conn.fetch_number(count, args![bucket, audience]).await?;
    }
    Ok(people)
}
