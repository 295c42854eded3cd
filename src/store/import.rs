//! Contacts from a file, quietly: attributes and consents are set, standing entries are set up without entering anybody. Nothing
//! enters, exits or is waited for.

use std::collections::BTreeMap;

use super::identities::{Resolved, Resolver};
use super::inbox::{Incoming, To};
use super::{Conn, Result, Store, contacts, inbox, journeys, permissions};
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

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub new: usize,
    pub known: usize,
}

/// Sets what the file says of these contacts, in one transaction. Later rows of the same contact win.
pub async fn contacts(store: &Store, people: &[Person], now: Timestamp) -> Result<Imported> {
    loop {
        let mut tx = store.write().await?;
        if let Some(imported) = import(&mut tx, people, now).await? {
            tx.commit().await?;
            store.wake();
            return Ok(imported);
        }
        // Another process came first with one of the identities: once more, with what it wrote.
    }
}

async fn import(tx: &mut Conn, people: &[Person], now: Timestamp) -> Result<Option<Imported>> {
    let settle = Input::Settle { cause: Cause::Import };
    let asks: Vec<Incoming> = people
        .iter()
        .map(|person| Incoming { to: To::Who(person.who.clone()), message_id: None, input: settle.clone() })
        .collect();
    let mut resolver = Resolver::load(tx, asks.iter()).await?;
    let mut imported = Imported::default();
    let mut rows: Vec<(ContactId, &Person)> = Vec::with_capacity(people.len());
    for (ask, person) in asks.iter().zip(people) {
        if let Some(Resolved { contact, new, .. }) = resolver.resolve(tx, &ask.to, now).await? {
            rows.push((contact, person));
            if new { imported.new += 1 } else { imported.known += 1 }
        }
    }
    if !resolver.write(tx).await? {
        return Ok(None);
    }
    let mut buckets: BTreeMap<i64, Vec<(ContactId, &Person)>> = BTreeMap::new();
    for (contact, person) in rows {
        buckets.entry(tx.core.bucket_of(contact)).or_default().push((contact, person));
    }
    let deployed = journeys::deployed(tx).await?;
    let standing = deployed.current.values().any(|p| p.entries.iter().any(|entry| is_standing(&entry.how)));
    for (bucket, rows) in buckets {
        let mut attributes: BTreeMap<ContactId, Fields> = BTreeMap::new();
        let loaded = contacts::attributes(tx, bucket, rows.iter().map(|(contact, _)| *contact)).await?;
        attributes.extend(loaded.into_iter().map(|(contact, (fields, _))| (contact, fields)));
        for (contact, person) in &rows {
            let fields = attributes.entry(*contact).or_default();
            for (name, value) in &person.attributes {
                if value.is_known() {
                    fields.insert(name.clone(), value.clone())
                } else {
                    fields.remove(name)
                };
            }
        }
        if standing {
            let inputs = attributes.keys().map(|contact| (*contact, settle.clone())).collect();
            inbox::enqueue(tx, inputs, now).await?;
        }
        let attributes: Vec<(ContactId, &Fields)> =
            attributes.iter().map(|(contact, fields)| (*contact, fields)).collect();
        contacts::set_attributes(tx, bucket, &attributes).await?;
        let consents: Vec<(ContactId, &ConsentChange)> = rows
            .iter()
            .flat_map(|(contact, person)| person.consents.iter().map(|change| (*contact, change)))
            .collect();
        permissions::record_consents(tx, bucket, &consents).await?;
    }
    Ok(Some(imported))
}
