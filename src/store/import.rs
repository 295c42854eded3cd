//! Contacts from a file, quietly: attributes and consents are set, standing entries are set up without entering anybody. Nothing
//! enters, exits or is waited for.

mod first;

use std::collections::{BTreeMap, BTreeSet};

use self::first::First;
use super::consents::Known;
use super::identities::{Kind, Resolved, Resolver};
use super::inbox::{Incoming, To};
use super::{Conn, Error, Result, Store, contacts, fields, inbox, journeys, permissions};
use crate::engine::programs::is_standing;
use crate::engine::world::{Cause, ConsentChange, Fields, Input};
use crate::id::ContactId;
use crate::intake::Who;
use crate::time::Timestamp;

/// One contact as a file has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    pub who: Who,
    /// Attributes to set; `Unknown` clears one.
    pub attributes: Fields,
    pub consents: Vec<ConsentChange>,
}

/// What an import did: contacts, each counted once however many rows it had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub new: usize,
    pub known: usize,
    /// Whose unique address went to a contact that was named with it, and who are left without one.
    pub bereft: BTreeSet<ContactId>,
    /// Rows whose unique address stays with another contact.
    pub left_out: usize,
    /// Consents without a date that were left out: the person has withdrawn, and nobody knows that they changed their mind since.
    pub withdrawn: usize,
    /// Rows that say of two people, who are known apart, that they are one.
    pub two_people: usize,
}

/// A row of the file.
struct Row<'a> {
    person: &'a Person,
    /// Its address stays with another contact.
    without_address: bool,
    /// Attributes that it does not set: what another row of the contact, or of another one, made void.
    left_out: Vec<&'static str>,
}

/// How often an import begins anew when the database cannot take it, or another process came first with an identity.
const TRIES: usize = 20;

/// Sets what the file says of these contacts, in one transaction. Later rows of the same contact win.
pub async fn contacts(store: &Store, people: &[Person], now: Timestamp) -> Result<Imported> {
    Ok(List::new(store, people.to_vec(), true, now).await?.write(store).await?.0)
}

/// Rows of a file that share a transaction, as far as they can be made ready without one.
pub struct List {
    people: Vec<Person>,
    first: Option<First>,
    now: Timestamp,
}

impl List {
    /// Makes them ready to be written; `seem_new` where it is to be expected that nobody of them is known.
    pub async fn new(store: &Store, people: Vec<Person>, seem_new: bool, now: Timestamp) -> Result<List> {
        let first = match seem_new {
            true => {
                let deployed = journeys::deployed(&mut store.read().await?).await?;
                first::learn_words(store, &people).await?;
                First::of(&store.core, &deployed, &people, now)
            }
            false => None,
        };
        Ok(List { people, first, now })
    }

    /// Writes them, and says whether they were as new as they seemed.
    pub async fn write(self, store: &Store) -> Result<(Imported, bool)> {
        if let Some(first) = self.first {
            let mut tx = store.write().await?;
            match first.write(&mut tx, self.now).await {
                Ok(Some(imported)) => {
                    tx.commit().await?;
                    return Ok((imported, true));
                }
                Ok(None) => {}
                Err(error) if error.is_passing() => tracing::debug!(%error, "an import begins anew"),
                Err(error) => return Err(error),
            }
        }
        Ok((one_by_one(store, &self.people, self.now).await?, false))
    }
}

/// The same with a look at what is there.
async fn one_by_one(store: &Store, people: &[Person], now: Timestamp) -> Result<Imported> {
    for _ in 0..TRIES {
        let mut tx = store.write().await?;
        match import(&mut tx, people, now).await {
            Ok(Some(imported)) => {
                tx.commit().await?;
                return Ok(imported);
            }
            // Once more, with what the other process wrote.
            Ok(None) => {}
            Err(error) if error.is_passing() => tracing::debug!(%error, "an import begins anew"),
            Err(error) => return Err(error),
        }
    }
    Err(Error::Busy)
}

/// Imports in a transaction; `None` when it must begin anew.
async fn import(tx: &mut Conn, people: &[Person], now: Timestamp) -> Result<Option<Imported>> {
    let asks: Vec<Incoming> = people
        .iter()
        .map(|person| Incoming { to: To::Who(person.who.clone()), message_id: None, input: SETTLE })
        .collect();
    let mut resolver = Resolver::load(tx, asks.iter()).await?;
    let mut created = BTreeSet::new();
    let mut rows: Vec<(ContactId, Row)> = Vec::with_capacity(people.len());
    let mut merges = Vec::new();
    let mut two_people = 0;
    for (ask, person) in asks.iter().zip(people) {
        if resolver.are_two(tx, &ask.to).await? {
            two_people += 1;
            continue;
        }
        if let Some(resolved) = resolver.resolve(tx, &ask.to, now).await? {
            let Resolved { contact, new, merged, without_address } = resolved;
            rows.push((contact, Row { person, without_address, left_out: Vec::new() }));
            merges.extend(merged);
            if new {
                created.insert(contact);
            }
        }
    }
    let merges = merges.into_iter().map(|loser| (loser, resolver.forward(loser))).collect();
    for (contact, row) in &mut rows {
        *contact = resolver.forward(*contact);
        for (kind, attribute) in [(Kind::Email, "email"), (Kind::Phone, "phone")] {
            let said = row.person.attributes.get(attribute).and_then(|value| value.as_text());
            if said.is_some_and(|said| {
                (row.without_address && kind == Kind::Email) || !resolver.is_called(*contact, kind, said)
            }) {
                row.left_out.push(attribute);
            }
        }
    }
    contacts::follow(tx, &mut rows).await?;
    let all: BTreeSet<ContactId> = rows.iter().map(|(contact, _)| *contact).collect();
    let mut imported = Imported {
        new: created.len(),
        known: all.difference(&created).count(),
        bereft: resolver.bereft(),
        left_out: rows.iter().filter(|(_, row)| row.without_address).count(),
        withdrawn: 0,
        two_people,
    };
    // Nobody else knows who is new: nothing has to be read of them, and nobody kept out.
    let (new, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(contact, _)| created.contains(contact));
    let mut beginnings: BTreeMap<ContactId, Fields> = BTreeMap::new();
    for (contact, row) in &new {
        row.apply(beginnings.entry(*contact).or_default());
    }
    resolver.beginnings = beginnings.iter().map(|(who, fields)| (*who, fields::to_text(fields))).collect();
    let mut buckets: BTreeMap<i64, Vec<(ContactId, Row)>> = BTreeMap::new();
    for (contact, row) in rows {
        buckets.entry(tx.core.bucket_of(contact)).or_default().push((contact, row));
    }
    // What is read here is written back, so nobody may change it meanwhile.
    for bucket in buckets.keys() {
        tx.lock(*bucket).await?;
    }
    if !resolver.write(tx).await? {
        return Ok(None);
    }
    inbox::tell_of_merges(tx, merges, now).await?;
    settle(tx, beginnings.keys().copied(), now).await?;
    let (news, withdrawn) = Known::nothing().news(consents_of(&new), now);
    permissions::record_first_consents(tx, &news).await?;
    imported.withdrawn += withdrawn;
    for (bucket, rows) in buckets {
        match set(tx, bucket, &rows, now).await? {
            Some(withdrawn) => imported.withdrawn += withdrawn,
            None => return Ok(None),
        }
    }
    Ok(Some(imported))
}

/// Sets up the standing entries of contacts, where a journey has some.
async fn settle(tx: &mut Conn, contacts: impl Iterator<Item = ContactId>, now: Timestamp) -> Result<()> {
    let deployed = journeys::deployed(tx).await?;
    if deployed.current.values().any(|p| p.entries.iter().any(|entry| is_standing(&entry.how))) {
        inbox::enqueue(tx, contacts.map(|contact| (contact, SETTLE)).collect(), now).await?;
    }
    Ok(())
}

fn consents_of<'a>(rows: &[(ContactId, Row<'a>)]) -> Vec<(ContactId, &'a ConsentChange)> {
    let of_row = |(contact, row): &(ContactId, Row<'a>)| {
        let contact = *contact;
        row.person.consents.iter().map(move |change| (contact, change))
    };
    rows.iter().flat_map(of_row).collect()
}

impl Row<'_> {
    /// Sets what the row says of its contact.
    fn apply(&self, fields: &mut Fields) {
        for (name, value) in &self.person.attributes {
            if self.left_out.contains(&&**name) {
                continue;
            }
            if value.is_known() {
                fields.insert(name.clone(), value.clone())
            } else {
                fields.remove(name)
            };
        }
    }
}

const SETTLE: Input = Input::Settle { cause: Cause::Import };

/// Sets attributes and consents of contacts of one locked bucket, and tells how many consents were left out; `None` if one of the
/// contacts was merged before the lock.
async fn set(
    tx: &mut Conn,
    bucket: i64,
    rows: &[(ContactId, Row<'_>)],
    now: Timestamp,
) -> Result<Option<usize>> {
    let mut attributes: BTreeMap<ContactId, Fields> = BTreeMap::new();
    let found = contacts::attributes(tx, bucket, rows.iter().map(|(contact, _)| *contact)).await?;
    for (contact, found) in found {
        if found.merged_into.is_some() {
            return Ok(None);
        }
        attributes.insert(contact, found.attributes);
    }
    for (contact, row) in rows {
        row.apply(attributes.entry(*contact).or_default());
    }
    settle(tx, attributes.keys().copied(), now).await?;
    let attributes: Vec<(ContactId, &Fields)> =
        attributes.iter().map(|(contact, fields)| (*contact, fields)).collect();
    contacts::set_attributes(tx, bucket, &attributes).await?;
    let consents = consents_of(rows);
    let known = Known::load(tx, bucket, consents.iter().map(|(contact, _)| *contact)).await?;
    let (news, withdrawn) = known.news(consents, now);
    permissions::record_consents(tx, bucket, &news).await?;
    Ok(Some(withdrawn))
}
