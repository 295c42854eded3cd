//! Contacts that a file names first, which is what most imports are made of: all that is written of them is made before the transaction
//! begins, without a look at the database, so that one list is written while the next is made. Whether they are new indeed is known from
//! the identities: nobody may have one of them. If somebody has, nothing is written and the rows go the way of all others, one by one
//! and with everything looked up.

use super::{Fields, Imported, Person, Result, settle};
use crate::engine::program::Word;
use crate::engine::world::ConsentChange;
use crate::id::ContactId;
use crate::intake::Who;
use crate::store::identities::{self, Links, identities_of};
use crate::store::journeys::Deployed;
use crate::store::{Arg, Conn, Core, Dialect, Rows, Store, fields, names, permissions};
use crate::time::Timestamp;

/// What new contacts are written as.
pub(super) struct First {
    /// The deploy and the lease under which it was made.
    generation: i64,
    lease: u64,
    created: Vec<ContactId>,
    links: Links,
    contacts: Rows,
    ledger: Rows,
    /// What the lines of the ledger lead to; on SQLite it is taken from there.
    latest: Rows,
    /// The first id and the last one of the ledger.
    lines: (i64, i64),
}

impl First {
    /// What these people are written as if nobody knows them; `None` where that is not sure to be the same as one by one.
    pub(super) fn of(core: &Core, deployed: &Deployed, people: &[Person], now: Timestamp) -> Option<First> {
        let unique_email = deployed.has_unique_email();
        // Before the first id is made.
        let lease = core.lease.begin();
        let copies = core.pools.dialect() == Dialect::Postgres;
        let (count, mut lines) = (people.len(), (i64::MAX, i64::MIN));
        let mut links = Vec::with_capacity(count * 2);
        let (mut created, mut words) = (Vec::with_capacity(count), Words { core, met: Vec::new() });
        let (mut contacts, mut ledger, mut latest) =
            (Rows::with_capacity(count * 4), Rows::default(), Rows::default());
        for person in people {
            let own = own_identities(&person.who, unique_email)?;
            let contact = ContactId(core.new_id());
            let bucket = core.bucket_of(contact);
            created.push(contact);
            links.extend(own.into_iter().map(|(kind, value)| (kind, value, contact)));
            let attributes = text_of(&person.attributes).into();
            contacts.push([bucket.into(), contact.into(), now.into(), attributes]);
            if says_twice(&person.consents) {
                return None;
            }
            for change in &person.consents {
                let (purpose, channel) = (words.id(&change.purpose)?, words.id(&change.channel)?);
                let (permit, at) = (i64::from(change.permit), change.at);
                let line = core.new_id();
                lines = (lines.0.min(line), lines.1.max(line));
                ledger.push([
                    bucket.into(),
                    line.into(),
                    contact.into(),
                    purpose.into(),
                    channel.into(),
                    permit.into(),
                    at.into(),
                    (&change.source).into(),
                    change.evidence.clone().into(),
                ]);
                if copies {
                    let state = [bucket, contact.0, purpose, channel, permit, at.0];
                    latest.push(state.map(Arg::I64));
                }
            }
        }
        let links = Links::of(core, links, unique_email);
        Some(First {
            generation: deployed.generation,
            lease,
            created,
            links,
            contacts,
            ledger,
            latest,
            lines,
        })
    }

    /// Writes it all; `None` if that is not as new as it was taken for. Then the transaction is of no use.
    pub(super) async fn write(self, tx: &mut Conn, now: Timestamp) -> Result<Option<Imported>> {
        let is_as_it_was = super::journeys::deployed(tx).await?.generation == self.generation;
        // First what may fail.
        if !is_as_it_was || !tx.is_under(self.lease) || !self.links.add_new(tx).await? {
            return Ok(None);
        }
        identities::create(tx, self.contacts).await?;
        match tx.dialect() {
            Dialect::Sqlite => permissions::add_very_first(tx, self.ledger, self.lines).await?,
            Dialect::Postgres => permissions::add_first(tx, self.ledger, self.latest).await?,
        }
        let new = self.created.len();
        settle(tx, self.created.into_iter(), now).await?;
        Ok(Some(Imported { new, ..Imported::default() }))
    }
}

/// Gives numbers to the names in the consents, where they have none or this process has not met them.
pub(super) async fn learn_words(store: &Store, people: &[Person]) -> Result<()> {
    let said = people.iter().flat_map(|person| &person.consents);
    let words = said.flat_map(|change| [&change.purpose, &change.channel]);
    let (mut met, mut unmet): (Vec<&Word>, Vec<&Word>) = Default::default();
    for word in words {
        if !met.contains(&word) {
            met.push(word);
            unmet.extend(store.core.names.id(word).is_none().then_some(word));
        }
    }
    if unmet.is_empty() {
        return Ok(());
    }
    let mut tx = store.write().await?;
    for word in unmet {
        names::intern(&mut tx, word).await?;
    }
    tx.commit().await
}

/// What somebody is called by, if one of that is theirs alone.
fn own_identities(who: &Who, unique_email: bool) -> Option<Vec<identities::Identity>> {
    let own = identities_of(who);
    let is_plain = who.previous_id.is_none() && own.iter().all(|(_, value)| !value.is_empty());
    (is_plain && own.iter().any(|(kind, _)| kind.is_unique(unique_email))).then_some(own)
}

/// Attributes that begin as nothing.
fn text_of(attributes: &Fields) -> String {
    if attributes.values().all(|value| value.is_known()) {
        return fields::to_text(attributes);
    }
    let mut known = attributes.clone();
    known.retain(|_, value| value.is_known());
    fields::to_text(&known)
}

/// Whether two changes are of the same consent: then it counts which is the later one.
fn says_twice(changes: &[ConsentChange]) -> bool {
    changes.iter().enumerate().any(|(place, change)| {
        let is_same =
            |other: &ConsentChange| (&other.purpose, &other.channel) == (&change.purpose, &change.channel);
        changes[..place].iter().any(is_same)
    })
}

/// Numbers of names; a file has few.
struct Words<'a> {
    core: &'a Core,
    met: Vec<(&'a str, i64)>,
}

impl<'a> Words<'a> {
    /// The number of a name, if the database has one and this process has met it.
    fn id(&mut self, name: &'a str) -> Option<i64> {
        if let Some((_, id)) = self.met.iter().find(|(met, _)| *met == name) {
            return Some(*id);
        }
        let id = self.core.names.id(name)?;
        self.met.push((name, id));
        Some(id)
    }
}
