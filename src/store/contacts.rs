//! Contacts and their attributes.

use std::collections::{HashMap, HashSet};

use super::identities::{self, Identity};
use super::sql::args;
use super::{Conn, Result, Row, Rows, fields};
use crate::engine::world::Fields;
use crate::id::ContactId;
use crate::time::Timestamp;

/// One contact as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    pub id: ContactId,
    pub created_at: Timestamp,
    /// Attributes that are set.
    pub attributes: Fields,
    pub identities: Vec<Identity>,
    /// The contact that took over, if this one turned out to be another.
    pub merged_into: Option<ContactId>,
}

/// A contact, if there is one of that id.
pub async fn load(conn: &mut Conn, id: ContactId) -> Result<Option<Contact>> {
    const LOAD: &str =
        "SELECT created_at, attributes, merged_into FROM contacts WHERE bucket = $1 AND id = $2";
    let bucket = conn.core.bucket_of(id);
    let Some(row) = conn.fetch_first(LOAD, args![bucket, id]).await? else { return Ok(None) };
    Ok(Some(Contact {
        id,
        created_at: row.at(0)?,
        attributes: fields::from_text(row.text(1)?)?,
        merged_into: row.opt_i64(2)?.map(ContactId),
        identities: identities::of_contact(conn, id).await?,
    }))
}

/// The contact that this text means, merged ones followed to who took over; the oldest when a shared e-mail address or phone
/// number fits several.
pub async fn by_key(conn: &mut Conn, key: &str) -> Result<Option<Contact>> {
    let mut next = identities::find(conn, key).await?.first().copied();
    let mut seen = HashSet::new();
    while let Some(id) = next.filter(|id| seen.insert(*id)) {
        let Some(contact) = load(conn, id).await? else { return Ok(None) };
        next = contact.merged_into;
        if next.is_none() {
            return Ok(Some(contact));
        }
    }
    Ok(None)
}

/// How many there are.
pub async fn count(conn: &mut Conn) -> Result<i64> {
    const COUNT: &str = "SELECT COUNT(*) FROM contacts WHERE merged_into IS NULL";
    conn.fetch_number(COUNT, Vec::new()).await
}

/// Those of these ids that exist.
pub(super) async fn existing(conn: &mut Conn, ids: HashSet<ContactId>) -> Result<HashSet<ContactId>> {
    let mut rows = Rows::with_capacity(ids.len() * 2);
    for id in ids {
        rows.push([conn.core.bucket_of(id).into(), id.into()]);
    }
    const EXISTING: &str = "WITH n(bucket, id) AS ({II}) SELECT contacts.id FROM n CROSS JOIN contacts \
        WHERE contacts.bucket = n.bucket AND contacts.id = n.id";
    let found = conn.fetch_rows(EXISTING, rows, &[]).await?;
    found.iter().map(|row| row.i64(0).map(ContactId)).collect()
}

/// Puts whoever took over in the place of contacts that were merged.
pub(super) async fn follow<T>(conn: &mut Conn, rows: &mut [(ContactId, T)]) -> Result<()> {
    const WINNERS: &str = "WITH n(bucket, id) AS ({II}) SELECT contacts.id, contacts.merged_into \
        FROM n CROSS JOIN contacts WHERE contacts.bucket = n.bucket AND contacts.id = n.id \
        AND contacts.merged_into IS NOT NULL";
    loop {
        let ids: HashSet<ContactId> = rows.iter().map(|(contact, _)| *contact).collect();
        let mut wanted = Rows::with_capacity(ids.len() * 2);
        for id in ids {
            wanted.push([conn.core.bucket_of(id).into(), id.into()]);
        }
        let mut winners = HashMap::new();
        for row in conn.fetch_rows(WINNERS, wanted, &[]).await? {
            winners.insert(ContactId(row.i64(0)?), ContactId(row.i64(1)?));
        }
        if winners.is_empty() {
            return Ok(());
        }
        // The winner is always the older one, so this ends.
        for (contact, _) in rows.iter_mut() {
            *contact = winners.get(contact).copied().unwrap_or(*contact);
        }
    }
}

/// A contact of a batch as it is found.
pub(super) struct Found {
    pub(super) attributes: Fields,
    pub(super) merged_into: Option<ContactId>,
    /// Nothing began for it yet: no enrollment, membership or errand. Only looked at where asked.
    pub(super) is_blank: bool,
}

/// What a batch of contacts of one bucket has.
pub(super) async fn attributes(
    conn: &mut Conn,
    bucket: i64,
    ids: impl Iterator<Item = ContactId>,
) -> Result<HashMap<ContactId, Found>> {
    of_batch(conn, bucket, ids.map(|id| (id, false))).await
}

/// The same, with a look at whether anything began for those of whom it is asked.
pub(super) async fn of_batch(
    tx: &mut Conn,
    bucket: i64,
    ids: impl Iterator<Item = (ContactId, bool)>,
) -> Result<HashMap<ContactId, Found>> {
    let mut rows = Rows::default();
    for (id, asked) in ids {
        rows.push([id.into(), i64::from(asked).into()]);
    }
    const FOUND: &str = "WITH n(id, asked) AS ({II}) SELECT contacts.id, contacts.attributes, contacts.merged_into, \
        CAST(CASE WHEN n.asked = 0 THEN 0 \
        WHEN EXISTS (SELECT 1 FROM enrollments e WHERE e.bucket = contacts.bucket AND e.contact = contacts.id) THEN 0 \
        WHEN EXISTS (SELECT 1 FROM memberships m WHERE m.bucket = contacts.bucket AND m.contact = contacts.id) THEN 0 \
        WHEN EXISTS (SELECT 1 FROM errands e WHERE e.bucket = contacts.bucket AND e.contact = contacts.id) THEN 0 \
        ELSE 1 END AS BIGINT) \
        FROM n CROSS JOIN contacts WHERE contacts.bucket = $1 AND contacts.id = n.id";
    let mut found = HashMap::new();
    let read = |row: Row| {
        let (attributes, merged_into) = (fields::from_text(row.text(1)?)?, row.opt_i64(2)?.map(ContactId));
        found.insert(ContactId(row.i64(0)?), Found { attributes, merged_into, is_blank: row.i64(3)? == 1 });
        Ok(())
    };
    tx.read_rows(FOUND, rows, &args![bucket], read).await?;
    Ok(found)
}

/// Writes attributes of contacts of one bucket.
pub(super) async fn set_attributes(
    tx: &mut Conn,
    bucket: i64,
    changed: &[(ContactId, &Fields)],
) -> Result<()> {
    let mut rows = Rows::with_capacity(changed.len() * 2);
    for (id, attributes) in changed {
        rows.push([(*id).into(), fields::to_text(attributes).into()]);
    }
    const SET: &str = "WITH n(id, attributes) AS ({IT}) UPDATE contacts SET attributes = n.attributes FROM n \
        WHERE contacts.bucket = $1 AND contacts.id = n.id";
    tx.exec_rows(SET, rows, &args![bucket]).await?;
    Ok(())
}
