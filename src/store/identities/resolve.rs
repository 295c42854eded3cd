//! Who the items of a batch are for. Later items see what earlier ones created, linked and moved; nothing is written before the end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Identity, Kind, Links, create, identities_of, normal, of_contact};
use crate::engine::world::Input;
use crate::id::ContactId;
use crate::intake::Who;
use crate::store::inbox::{Incoming, To};
use crate::store::sql::args;
use crate::store::{Arg, Conn, Core, Result, Rows, contacts, inbox, journeys};
use crate::time::Timestamp;
use crate::value::Value;

/// Who an item is for.
pub(in crate::store) struct Resolved {
    pub(in crate::store) contact: ContactId,
    /// Created for this item.
    pub(in crate::store) new: bool,
    /// Contacts that turned out to be this one.
    pub(in crate::store) merged: Vec<ContactId>,
    /// The address stays with another contact: it is to be left out.
    pub(in crate::store) without_address: bool,
}

/// Finds and creates the contacts of a batch of items.
pub(in crate::store) struct Resolver {
    /// Who has each identity that the batch names, as far as anybody; of a shared one the oldest.
    known: HashMap<Identity, ContactId>,
    /// Ids of ours that items name and that exist.
    existing: HashSet<ContactId>,
    created: Vec<(ContactId, Timestamp)>,
    /// User ids and anonymous ids to write, with who gets them.
    linked: Vec<(Identity, ContactId)>,
    /// Addresses and numbers as the batch changes them: what each contact has from now on, `None` for nothing.
    moved: BTreeMap<(ContactId, Kind), Option<String>>,
    /// The same by address.
    arrived: HashMap<Identity, BTreeSet<ContactId>>,
    /// Who had a unique address that went to whom, at which moment.
    lost: Vec<(ContactId, String, Timestamp)>,
    /// Losers and the contact that takes over from them.
    merged: Vec<(ContactId, ContactId)>,
    /// Contacts that have got a user id by a merge.
    known_apart: HashSet<ContactId>,
    /// Whether an e-mail address belongs to one contact alone.
    unique_email: bool,
    /// What contacts that are created begin with, if anything.
    pub(in crate::store) beginnings: HashMap<ContactId, String>,
}

impl Resolver {
    /// Looks up all identities of the items in one statement.
    pub(in crate::store) async fn load<'a>(
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
        let unique_email = journeys::unique_email(tx).await?;
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
            existing: contacts::existing(tx, ids).await?,
            created: Vec::new(),
            linked: Vec::new(),
            moved: BTreeMap::new(),
            arrived: HashMap::new(),
            lost: Vec::new(),
            merged: Vec::new(),
            known_apart: HashSet::new(),
            unique_email,
            beginnings: HashMap::new(),
        })
    }

    /// Whether an alias is of two whom the outside knows apart.
    pub(in crate::store) async fn are_two(&mut self, tx: &mut Conn, to: &To) -> Result<bool> {
        let To::Who(Who { user_id: Some(now), previous_id: Some(before), .. }) = to else { return Ok(false) };
        let is = self.holder(tx, &(Kind::UserId, now.clone())).await?;
        if let Some(was) = self.holder(tx, &(Kind::UserId, before.clone())).await? {
            return Ok(is.is_some_and(|is| is != was));
        }
        match self.holder(tx, &(Kind::AnonymousId, before.clone())).await? {
            Some(was) if is != Some(was) => self.has_user_id(tx, was).await,
            _ => Ok(false),
        }
    }

    /// Who this is, created or linked where need be; nobody for an unknown id of ours and for no identity at all.
    pub(in crate::store) async fn resolve(
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
                    without_address: false,
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
            let Some(found) = self.holder(tx, identity).await? else { continue };
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
        let mut without_address = false;
        for identity in who {
            match identity.0 {
                Kind::UserId | Kind::AnonymousId => self.link(identity, contact),
                Kind::Email | Kind::Phone => {
                    without_address |= !self.reach(tx, identity, contact, has_user_id, now).await?;
                }
            }
        }
        Ok(Some(Resolved { contact, new, merged, without_address }))
    }

    fn create(&mut self, tx: &Conn, now: Timestamp) -> ContactId {
        let contact = ContactId(tx.core.new_id());
        self.created.push((contact, now));
        contact
    }

    /// Adds an identity that nobody has.
    fn link(&mut self, identity: Identity, contact: ContactId) {
        if !self.known.contains_key(&identity) {
            self.known.insert(identity.clone(), contact);
            self.linked.push((identity, contact));
        }
    }

    /// Gives a contact this address or number instead of the one it had; false if it stays with another.
    async fn reach(
        &mut self,
        tx: &mut Conn,
        identity: Identity,
        contact: ContactId,
        has_user_id: bool,
        now: Timestamp,
    ) -> Result<bool> {
        let held_by = self.holder(tx, &identity).await?;
        if held_by == Some(contact) {
            return Ok(true);
        }
        if let Some(holder) = held_by.filter(|_| self.is_unique(identity.0)) {
            if !has_user_id {
                return Ok(false);
            }
            self.put(holder, identity.0, None);
            self.lost.push((holder, identity.1.clone(), now));
        }
        self.put(contact, identity.0, Some(identity.1));
        Ok(true)
    }

    fn put(&mut self, contact: ContactId, kind: Kind, value: Option<String>) {
        if let Some(value) = &value {
            self.arrived.entry((kind, value.clone())).or_default().insert(contact);
        }
        let before = self.moved.insert((contact, kind), value.clone()).flatten();
        if let Some(before) = before.filter(|before| Some(before) != value.as_ref())
            && let Some(holders) = self.arrived.get_mut(&(kind, before))
        {
            holders.remove(&contact);
        }
    }

    /// Who has this identity at this point of the batch; the oldest of those who share one.
    async fn holder(&mut self, tx: &mut Conn, identity: &Identity) -> Result<Option<ContactId>> {
        let arrived = self.arrived.get(identity).and_then(|holders| holders.first().copied());
        let stored = match self.known.get(identity).copied() {
            Some(stored) if self.has_left(stored, identity) => self.next_holder(tx, identity).await?,
            stored => stored,
        };
        Ok(arrived.into_iter().chain(stored).min())
    }

    fn has_left(&self, contact: ContactId, (kind, value): &Identity) -> bool {
        self.moved.get(&(contact, *kind)).is_some_and(|now| now.as_ref() != Some(value))
    }

    /// The oldest of those who share an identity and have not left it in this batch.
    async fn next_holder(&mut self, tx: &mut Conn, identity: &Identity) -> Result<Option<ContactId>> {
        if self.is_unique(identity.0) {
            return Ok(None);
        }
        const HOLDERS: &str =
            "SELECT contact FROM identities WHERE kind = $1 AND value = $2 ORDER BY holder LIMIT 1000";
        for row in tx.fetch(HOLDERS, args![identity.0 as i64, identity.1.as_str()]).await? {
            let contact = ContactId(row.i64(0)?);
            if !self.has_left(contact, identity) {
                self.known.insert(identity.clone(), contact);
                return Ok(Some(contact));
            }
        }
        Ok(None)
    }

    fn is_unique(&self, kind: Kind) -> bool {
        kind.is_unique(self.unique_email)
    }

    /// Two whom the outside knows apart are never one.
    async fn may_merge(&self, tx: &mut Conn, a: ContactId, b: ContactId) -> Result<bool> {
        Ok(!(self.has_user_id(tx, a).await? && self.has_user_id(tx, b).await?))
    }

    async fn has_user_id(&self, tx: &mut Conn, contact: ContactId) -> Result<bool> {
        let is_linked =
            self.linked.iter().any(|((kind, _), holder)| *kind == Kind::UserId && *holder == contact);
        if is_linked || self.known_apart.contains(&contact) {
            return Ok(true);
        }
        Ok(of_contact(tx, contact).await?.iter().any(|(kind, _)| *kind == Kind::UserId))
    }

    async fn merge(&mut self, tx: &mut Conn, winner: ContactId, loser: ContactId) -> Result<()> {
        if self.has_user_id(tx, loser).await? {
            self.known_apart.insert(winner);
        }
        let (own, called) = (of_contact(tx, winner).await?, of_contact(tx, loser).await?);
        for kind in [Kind::Email, Kind::Phone] {
            self.merge_addresses(kind, (winner, &own), (loser, &called));
        }
        let pending =
            self.linked.iter().filter(|(_, holder)| *holder == loser).map(|(identity, _)| identity.clone());
        for identity in called.into_iter().chain(pending.collect::<Vec<_>>()) {
            if matches!(identity.0, Kind::UserId | Kind::AnonymousId) {
                self.known.insert(identity, winner);
            }
        }
        for (_, holder) in self.linked.iter_mut().filter(|(_, holder)| *holder == loser) {
            *holder = winner;
        }
        for (_, into) in self.merged.iter_mut().filter(|(_, into)| *into == loser) {
            *into = winner;
        }
        for (_, holder) in self.known.iter_mut().filter(|(_, holder)| **holder == loser) {
            *holder = winner;
        }
        self.merged.push((loser, winner));
        Ok(())
    }

    /// The winner keeps what it has; if it has none, it gets what the loser had.
    fn merge_addresses(
        &mut self,
        kind: Kind,
        (winner, own): (ContactId, &[Identity]),
        (loser, called): (ContactId, &[Identity]),
    ) {
        let stored = |all: &[Identity]| all.iter().find(|(k, _)| *k == kind).map(|(_, value)| value.clone());
        let said = |contact| self.moved.get(&(contact, kind)).cloned().flatten();
        let has_moved = |contact| self.moved.contains_key(&(contact, kind));
        let of_winner = said(winner).or_else(|| stored(own).filter(|_| !has_moved(winner)));
        let of_loser = said(loser).or_else(|| stored(called).filter(|_| !has_moved(loser)));
        self.put(loser, kind, None);
        self.put(winner, kind, of_winner.or(of_loser));
    }

    /// Who a contact is after the merges of this batch.
    pub(in crate::store) fn forward(&self, contact: ContactId) -> ContactId {
        self.merged.iter().find(|(loser, _)| *loser == contact).map_or(contact, |(_, winner)| *winner)
    }

    /// Whether an address said in this batch is what the contact has at its end.
    pub(in crate::store) fn is_called(&self, contact: ContactId, kind: Kind, text: &str) -> bool {
        self.moved.get(&(contact, kind)).is_none_or(|now| *now == Some(normal(kind, text)))
    }

    /// Contacts whose address went to another and who got none in its place.
    pub(in crate::store) fn bereft(&self) -> BTreeSet<ContactId> {
        let is_bereft = |contact: &ContactId| matches!(self.moved.get(&(*contact, Kind::Email)), Some(None));
        self.lost.iter().map(|(contact, ..)| self.forward(*contact)).filter(is_bereft).collect()
    }

    /// Whether nothing changes for contacts that were there before.
    pub(in crate::store) fn only_creates(&self) -> bool {
        let created: HashSet<ContactId> = self.created.iter().map(|(contact, _)| *contact).collect();
        let linked_are_new = self.linked.iter().all(|(_, contact)| created.contains(contact));
        linked_are_new && self.moved.is_empty() && self.lost.is_empty() && self.merged.is_empty()
    }

    /// Writes what was created, linked and moved; false when another process came first with one of the identities.
    pub(in crate::store) async fn write(mut self, tx: &mut Conn) -> Result<bool> {
        let core = tx.core.clone();
        let mut contacts = Rows::with_capacity(self.created.len() * 4);
        for (contact, now) in &self.created {
            let begins = self.beginnings.remove(contact).unwrap_or_else(|| "{}".to_owned());
            contacts.push([core.bucket_of(*contact).into(), (*contact).into(), (*now).into(), begins.into()]);
        }
        create(tx, contacts).await?;

        let mut merged = Rows::default();
        for (loser, winner) in &self.merged {
            merged.push([core.bucket_of(*loser).into(), (*loser).into(), (*winner).into()]);
        }
        self.move_identities(tx, &core).await?;
        const FORWARD: &str = "WITH n(bucket, contact, winner) AS ({III}) UPDATE contacts SET merged_into = n.winner \
            FROM n WHERE contacts.bucket = n.bucket AND contacts.id = n.contact";
        tx.exec_rows(FORWARD, merged, &[]).await?;

        self.make_room(tx, &core).await?;
        if !self.write_links(tx, &core).await? {
            return Ok(false);
        }
        self.tell(tx).await?;
        Ok(true)
    }

    async fn move_identities(&self, tx: &mut Conn, core: &Core) -> Result<()> {
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

    /// Takes away what contacts had that moved.
    async fn make_room(&self, tx: &mut Conn, core: &Core) -> Result<()> {
        let created: HashSet<ContactId> = self.created.iter().map(|(contact, _)| *contact).collect();
        let mut rows = Rows::default();
        for ((contact, kind), value) in &self.moved {
            if !created.contains(contact) {
                let kept = value.as_deref().unwrap_or_default();
                let bucket = core.bucket_of(*contact);
                rows.push([bucket.into(), (*contact).into(), Arg::I64(*kind as i64), kept.into()]);
            }
        }
        const MAKE_ROOM: &str = "WITH n(bucket, contact, kind, kept) AS ({IIIT}) DELETE FROM identities \
            WHERE (kind, value, holder) IN (SELECT i.kind, i.value, i.holder FROM n CROSS JOIN identities i \
            WHERE i.bucket = n.bucket AND i.contact = n.contact AND i.kind = n.kind AND i.value <> n.kept)";
        tx.exec_rows(MAKE_ROOM, rows, &[]).await?;
        Ok(())
    }

    async fn write_links(&self, tx: &mut Conn, core: &Core) -> Result<bool> {
        let moved = self.moved.iter().filter_map(|((contact, kind), value)| {
            let value = value.as_ref().filter(|value| !value.is_empty())?;
            Some((*kind, value.clone(), *contact))
        });
        let linked = self.linked.iter().map(|((kind, value), contact)| (*kind, value.clone(), *contact));
        let links = Links::of(core, linked.chain(moved).collect(), self.unique_email);
        let created: HashSet<ContactId> = self.created.iter().map(|(contact, _)| *contact).collect();
        let mut named =
            self.linked.iter().map(|(_, contact)| contact).chain(self.moved.keys().map(|(c, _)| c));
        // Nobody has what is said of contacts that are new. If somebody has by now, the whole begins again.
        let all_new = named.all(|contact| created.contains(contact));
        if all_new { links.add_new(tx).await } else { links.add(tx).await }
    }

    /// Lets those who lost an address forget it, if it is still theirs when they hear of it.
    async fn tell(&self, tx: &mut Conn) -> Result<()> {
        if self.lost.is_empty() {
            return Ok(());
        }
        tracing::info!(
            contacts = self.lost.len(),
            "addresses went to other contacts, who were named with them"
        );
        for (contact, value, now) in &self.lost {
            let contact = self.forward(*contact);
            let is_back = self.moved.get(&(contact, Kind::Email)).is_some_and(|v| v.as_ref() == Some(value));
            if !is_back {
                let (attribute, value) = ("email".into(), Value::text(value));
                inbox::enqueue(tx, vec![(contact, Input::Forget { attribute, value })], *now).await?;
            }
        }
        Ok(())
    }
}
