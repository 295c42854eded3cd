//! Identities: the texts by which the outside world calls a contact, and the only text keys there are.
//!
//! A contact is created by whoever wins the identity. An item with several identities links them: a stronger one (user id, then
//! anonymous id, then e-mail) says who it is, the others are added to that contact. When they lead to different contacts, the two
//! become one, the older id wins; but never two who both have a user id, since the outside knows them apart: then the stronger
//! identity decides and the weaker stays where it is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::inbox::{Incoming, To};
use super::sql::args;
use super::{Arg, Conn, Result, Rows};
use crate::id::ContactId;
use crate::intake::Who;
use crate::time::Timestamp;

/// The kinds of identity, as stored; stronger first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    UserId = 1,
    AnonymousId = 2,
    Email = 3,
    Phone = 4,
}

impl Kind {
    /// All of them, stronger first.
    pub const ALL: [Kind; 4] = [Kind::UserId, Kind::AnonymousId, Kind::Email, Kind::Phone];

    /// The word for it outside.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::UserId => "user_id",
            Kind::AnonymousId => "anonymous_id",
            Kind::Email => "email",
            Kind::Phone => "phone",
        }
    }

    fn from_number(number: i64) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as i64 == number)
    }
}

/// One identity: its kind, and its text as it is compared.
pub type Identity = (Kind, String);

/// The identities of somebody, stronger first, in the form in which they are compared: e-mail in lower case, phone in digits.
pub fn identities_of(who: &Who) -> Vec<Identity> {
    let texts = [&who.user_id, &who.anonymous_id, &who.email, &who.phone];
    let pairs = Kind::ALL.into_iter().zip(texts);
    pairs.filter_map(|(kind, text)| Some((kind, normal(kind, text.as_deref()?)))).collect()
}

/// The form of an identity in which it is compared.
pub fn normal(kind: Kind, text: &str) -> String {
    match kind {
        Kind::UserId | Kind::AnonymousId => text.to_owned(),
        Kind::Email => text.trim().to_lowercase(),
        Kind::Phone => text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect(),
    }
}

/// The contacts that go by this text: an id of ours (`ct_…`), or any identity.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Vec<ContactId>> {
    if let Ok(id) = key.parse::<ContactId>() {
        return Ok(vec![id]);
    }
    const FIND: &str = "WITH n(kind, value) AS ({IT}) SELECT DISTINCT identities.contact FROM n CROSS JOIN identities \
        WHERE identities.kind = n.kind AND identities.value = n.value ORDER BY identities.contact LIMIT 100";
    let mut rows = Rows::default();
    for kind in Kind::ALL {
        rows.push([Arg::I64(kind as i64), normal(kind, key).into()]);
    }
    let mut found: Vec<ContactId> = Vec::new();
    for row in conn.fetch_rows(FIND, rows, &[]).await? {
        found.push(ContactId(row.i64(0)?));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The contacts that are reached at this address or number, however many.
pub(super) async fn with_address(conn: &mut Conn, address: &str) -> Result<Vec<ContactId>> {
    const WITH: &str = "SELECT contact FROM identities WHERE kind = $1 AND value = $2";
    let mut found = Vec::new();
    for kind in [Kind::Email, Kind::Phone] {
        let value = normal(kind, address);
        if !value.is_empty() {
            for row in conn.fetch(WITH, args![kind as i64, value]).await? {
                found.push(ContactId(row.i64(0)?));
            }
        }
    }
    Ok(found)
}

/// What a contact is called.
pub async fn of_contact(conn: &mut Conn, contact: ContactId) -> Result<Vec<Identity>> {
    const OF: &str =
        "SELECT kind, value FROM identities WHERE bucket = $1 AND contact = $2 ORDER BY kind, value";
    let bucket = conn.core.bucket_of(contact);
    let mut found = Vec::new();
    for row in conn.fetch(OF, args![bucket, contact]).await? {
        if let Some(kind) = Kind::from_number(row.i64(0)?) {
            found.push((kind, row.text(1)?.to_owned()));
        }
    }
    Ok(found)
}

/// Follows a change of the attributes that are identities too: address and phone number. One that belongs to somebody else stays
/// with them.
pub(super) async fn rename(
    tx: &mut Conn,
    contact: ContactId,
    before: [Option<Arc<str>>; 2],
    after: [Option<Arc<str>>; 2],
) -> Result<()> {
    const DROP: &str =
        "DELETE FROM identities WHERE bucket = $1 AND contact = $2 AND kind = $3 AND value <> $4";
    const ADD: &str = "INSERT INTO identities (kind, value, holder, bucket, contact) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT DO NOTHING";
    let unique_email = super::journeys::unique_email(tx).await?;
    let bucket = tx.core.bucket_of(contact);
    for (kind, (before, after)) in [Kind::Email, Kind::Phone].into_iter().zip(before.into_iter().zip(after)) {
        if before == after {
            continue;
        }
        let value = after.map(|text| normal(kind, &text)).unwrap_or_default();
        tx.exec(DROP, args![bucket, contact, kind as i64, value.as_str()]).await?;
        if !value.is_empty() {
            let holder = if kind == Kind::Email && unique_email { 0 } else { contact.0 };
            tx.exec(ADD, args![kind as i64, value, holder, bucket, contact]).await?;
        }
    }
    Ok(())
}

/// Who an item is for.
pub(super) struct Resolved {
    pub(super) contact: ContactId,
    /// Created for this item.
    pub(super) new: bool,
    /// Contacts that turned out to be this one.
    pub(super) merged: Vec<ContactId>,
}

/// Finds and creates the contacts of a batch of items. Later items see what earlier ones created and linked.
pub(super) struct Resolver {
    /// Who has each identity that the batch names, as far as anybody.
    known: HashMap<Identity, ContactId>,
    /// Ids of ours that items name and that exist.
    existing: HashSet<ContactId>,
    created: Vec<(ContactId, Timestamp)>,
    /// Identities to write, with who gets them.
    linked: Vec<(Identity, ContactId)>,
    /// Contacts whose former e-mail address or phone number makes room for a new one.
    replaced: Vec<(ContactId, Kind)>,
    /// Losers and the contact that takes over from them.
    merged: Vec<(ContactId, ContactId)>,
    /// Whether an e-mail address belongs to one contact alone.
    unique_email: bool,
}

impl Resolver {
    /// Looks up all identities of the items in one statement.
    pub(super) async fn load<'a>(
        tx: &mut Conn,
        items: impl Iterator<Item = &'a Incoming>,
    ) -> Result<Resolver> {
        let (mut wanted, mut ids) = (HashSet::new(), HashSet::new());
        for item in items {
            match &item.to {
                To::Contact(id) => _ = ids.insert(*id),
                To::Who(who) => wanted.extend(identities_of(who)),
            }
        }
        let unique_email = super::journeys::unique_email(tx).await?;
        let mut wanted: Vec<Identity> = wanted.into_iter().collect();
        wanted.sort_unstable();
        // The smallest holder is 0 where only one contact may have it, otherwise the oldest contact.
        const KNOWN: &str = "WITH n(place, kind, value) AS ({IIT}) SELECT n.place, \
            (SELECT identities.contact FROM identities WHERE identities.kind = n.kind \
             AND identities.value = n.value ORDER BY identities.holder LIMIT 1) FROM n";
        let mut rows = Rows::with_capacity(wanted.len() * 3);
        for (place, (kind, value)) in wanted.iter().enumerate() {
            let place = i64::try_from(place).expect("a batch is small");
            rows.push([place.into(), Arg::I64(*kind as i64), value.as_str().into()]);
        }
        let mut known = HashMap::new();
        for row in tx.fetch_rows(KNOWN, rows, &[]).await? {
            if let Some(contact) = row.opt_i64(1)? {
                let place = usize::try_from(row.i64(0)?).expect("a place is not negative");
                known.insert(wanted[place].clone(), ContactId(contact));
            }
        }
        Ok(Resolver {
            known,
            existing: super::contacts::existing(tx, ids).await?,
            created: Vec::new(),
            linked: Vec::new(),
            replaced: Vec::new(),
            merged: Vec::new(),
            unique_email,
        })
    }

    /// Who this is, created or linked where need be; nobody for an unknown id of ours and for no identity at all.
    pub(super) async fn resolve(
        &mut self,
        tx: &mut Conn,
        to: &To,
        now: Timestamp,
    ) -> Result<Option<Resolved>> {
        let who = match to {
            To::Contact(id) => {
                let found = self.existing.contains(id).then(|| Resolved {
                    contact: self.forward(*id),
                    new: false,
                    merged: Vec::new(),
                });
                return Ok(found);
            }
            To::Who(who) => identities_of(who),
        };
        if who.is_empty() {
            return Ok(None);
        }
        let mut target: Option<ContactId> = None;
        let mut merged = Vec::new();
        let has_user_id = who[0].0 == Kind::UserId;
        // Who is known by something of their own is not looked for by what others may share.
        let only_shared = who.iter().all(|(kind, _)| !self.is_unique(*kind));
        let telling: Vec<&Identity> =
            who.iter().filter(|(kind, _)| only_shared || self.is_unique(*kind)).collect();
        for identity in telling {
            let Some(found) = self.known.get(identity).copied() else { continue };
            match target {
                None if identity.0 == Kind::UserId || !has_user_id => target = Some(found),
                // A weaker identity of somebody who has another user id does not make this that person.
                None if !self.has_user_id(tx, found).await? => target = Some(found),
                Some(kept) if kept != found && self.may_merge(tx, kept, found).await? => {
                    let (winner, loser) = (kept.min(found), kept.max(found));
                    self.merge(tx, winner, loser).await?;
                    merged.push(loser);
                    target = Some(winner);
                }
                None | Some(_) => {}
            }
        }
        let new = target.is_none();
        let contact = target.unwrap_or_else(|| self.create(tx, now));
        for identity in who {
            self.link(identity, contact, new);
        }
        Ok(Some(Resolved { contact, new, merged }))
    }

    fn create(&mut self, tx: &Conn, now: Timestamp) -> ContactId {
        let contact = ContactId(tx.core.new_id());
        self.created.push((contact, now));
        contact
    }

    /// Adds an identity that nobody has; a shared one also when others have it. A contact has one e-mail address and one phone
    /// number: the newest.
    fn link(&mut self, identity: Identity, contact: ContactId, new: bool) {
        let held_by = self.known.get(&identity).copied();
        if held_by == Some(contact) || (held_by.is_some() && self.is_unique(identity.0)) {
            return;
        }
        if !new && matches!(identity.0, Kind::Email | Kind::Phone) {
            self.replaced.push((contact, identity.0));
            self.linked.retain(|((kind, _), holder)| (*kind, *holder) != (identity.0, contact));
        }
        self.known.entry(identity.clone()).or_insert(contact);
        self.linked.push((identity, contact));
    }

    fn is_unique(&self, kind: Kind) -> bool {
        match kind {
            Kind::UserId | Kind::AnonymousId => true,
            Kind::Email => self.unique_email,
            // Families share a phone.
            Kind::Phone => false,
        }
    }

    /// Two whom the outside knows apart are never one.
    async fn may_merge(&self, tx: &mut Conn, a: ContactId, b: ContactId) -> Result<bool> {
        Ok(!(self.has_user_id(tx, a).await? && self.has_user_id(tx, b).await?))
    }

    async fn has_user_id(&self, tx: &mut Conn, contact: ContactId) -> Result<bool> {
        if self.linked.iter().any(|((kind, _), holder)| *kind == Kind::UserId && *holder == contact) {
            return Ok(true);
        }
        Ok(of_contact(tx, contact).await?.iter().any(|(kind, _)| *kind == Kind::UserId))
    }

    async fn merge(&mut self, tx: &mut Conn, winner: ContactId, loser: ContactId) -> Result<()> {
        let called = of_contact(tx, loser).await?;
        let pending =
            self.linked.iter().filter(|(_, holder)| *holder == loser).map(|(identity, _)| identity.clone());
        for identity in called.into_iter().chain(pending.collect::<Vec<_>>()) {
            self.known.insert(identity, winner);
        }
        for (_, holder) in self.linked.iter_mut().filter(|(_, holder)| *holder == loser) {
            *holder = winner;
        }
        for (_, into) in self.merged.iter_mut().filter(|(_, into)| *into == loser) {
            *into = winner;
        }
        self.merged.push((loser, winner));
        Ok(())
    }

    /// Who a contact is after the merges of this batch.
    pub(super) fn forward(&self, contact: ContactId) -> ContactId {
        self.merged.iter().find(|(loser, _)| *loser == contact).map_or(contact, |(_, winner)| *winner)
    }

    /// Writes what was created and linked; false when another process came first with one of the identities.
    pub(super) async fn write(self, tx: &mut Conn) -> Result<bool> {
        let core = tx.core.clone();
        let mut contacts = Rows::with_capacity(self.created.len() * 4);
        for (contact, now) in &self.created {
            contacts.push([core.bucket_of(*contact).into(), (*contact).into(), (*now).into(), "{}".into()]);
        }
        const CREATE: &str = "INSERT INTO contacts (bucket, id, created_at, attributes) {IIIT}";
        tx.exec_rows(CREATE, contacts, &[]).await?;

        let mut moved = Rows::default();
        for (loser, winner) in &self.merged {
            moved.push([core.bucket_of(*loser).into(), (*loser).into(), (*winner).into()]);
        }
        self.move_identities(tx, &core).await?;
        const FORWARD: &str = "WITH n(bucket, contact, winner) AS ({III}) UPDATE contacts SET merged_into = n.winner \
            FROM n WHERE contacts.bucket = n.bucket AND contacts.id = n.contact";
        tx.exec_rows(FORWARD, moved, &[]).await?;

        let mut replaced = Rows::default();
        for (contact, kind) in &self.replaced {
            replaced.push([core.bucket_of(*contact).into(), (*contact).into(), Arg::I64(*kind as i64)]);
        }
        const MAKE_ROOM: &str = "WITH n(bucket, contact, kind) AS ({III}) DELETE FROM identities \
            WHERE (kind, value, holder) IN (SELECT i.kind, i.value, i.holder FROM n CROSS JOIN identities i \
            WHERE i.bucket = n.bucket AND i.contact = n.contact AND i.kind = n.kind)";
        tx.exec_rows(MAKE_ROOM, replaced, &[]).await?;
        self.write_links(tx).await
    }

    async fn move_identities(&self, tx: &mut Conn, core: &super::Core) -> Result<()> {
        const MOVE: &str = "UPDATE identities SET bucket = $1, contact = $2, \
            holder = CASE holder WHEN 0 THEN 0 ELSE $3 END WHERE bucket = $4 AND contact = $5 \
            AND NOT EXISTS (SELECT 1 FROM identities other WHERE other.kind = identities.kind \
            AND other.value = identities.value AND other.holder = $6)";
        // What the winner is called too.
        const DROP: &str = "DELETE FROM identities WHERE bucket = $1 AND contact = $2";
        for (loser, winner) in &self.merged {
            let (from, to) = (core.bucket_of(*loser), core.bucket_of(*winner));
            tx.exec(MOVE, args![to, *winner, *winner, from, *loser, *winner]).await?;
            tx.exec(DROP, args![from, *loser]).await?;
        }
        Ok(())
    }

    async fn write_links(&self, tx: &mut Conn) -> Result<bool> {
        const LINK: &str =
            "INSERT INTO identities (kind, value, holder, bucket, contact) {ITIII} ON CONFLICT DO NOTHING";
        let mut links: Vec<_> = self.linked.iter().collect();
        links.sort_unstable();
        let (mut unique, mut shared, mut wanted) = (Rows::default(), Rows::default(), 0);
        for ((kind, value), contact) in links {
            let bucket = tx.core.bucket_of(*contact);
            let holder = if self.is_unique(*kind) { 0 } else { contact.0 };
            let row = [
                Arg::I64(*kind as i64),
                value.as_str().into(),
                holder.into(),
                bucket.into(),
                (*contact).into(),
            ];
            if holder == 0 {
                wanted += 1;
                unique.push(row);
            } else {
                shared.push(row);
            }
        }
        tx.exec_rows(LINK, shared, &[]).await?;
        Ok(tx.exec_rows(LINK, unique, &[]).await? == wanted)
    }
}
