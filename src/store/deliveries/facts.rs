//! What may withdraw permission at the send point: the contact, its address, consents, suppressions, pauses, as they are now.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Claimed;
use crate::engine::policy;
use crate::engine::program::{Catalog, Word};
use crate::engine::world::{Delivery, Fields, Permissions};
use crate::id::ContactId;
use crate::store::{Conn, Result, contacts, identities, permissions, suppressions};
use crate::value::{Type, Value};

/// What is known of a contact at the send point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Person {
    /// As they were at the first try.
    pub attributes: Fields,
    /// The contact has another address by now.
    pub has_moved: bool,
    /// The address was the contact's at the first try, and belongs to somebody else by now.
    pub is_anothers: bool,
    /// Where the message goes: the address given by the step, or that of the channel's attribute.
    pub address: Option<Arc<str>>,
    /// Latest consents and pauses, where the message asks for them, and suppressions of this address. No cap slots: caps were
    /// decided in the transition.
    pub permissions: Permissions,
}

impl Person {
    /// An attribute, its default where none was set.
    pub fn attribute(&self, catalog: &Catalog, name: &str) -> Value {
        attribute(catalog, &self.attributes, name)
    }

    /// The contact's language: the attribute `locale`, or the first of that type; the project's where there is none.
    pub fn locale(&self, catalog: &Catalog) -> Word {
        let typed = || catalog.attributes.iter().find(|attribute| *attribute.ty.required() == Type::Locale);
        let attribute = catalog.attribute("locale").or_else(typed);
        let own = attribute.map(|attribute| self.attribute(catalog, &attribute.name));
        own.and_then(|value| value.as_text().map(Word::from)).unwrap_or_else(|| catalog.locale.clone())
    }

    /// The name of the contact's zone: the first attribute of type timezone; the project's where there is none.
    pub fn zone(&self, catalog: &Catalog) -> Word {
        let attribute =
            catalog.attributes.iter().find(|attribute| *attribute.ty.required() == Type::Timezone);
        let own = attribute.map(|attribute| self.attribute(catalog, &attribute.name));
        own.and_then(|value| value.as_text().map(Word::from)).unwrap_or_else(|| catalog.zone.clone())
    }
}

fn attribute(catalog: &Catalog, attributes: &Fields, name: &str) -> Value {
    match attributes.get(name) {
        Some(value) if value.is_known() => value.clone(),
        _ => catalog.attribute(name).map_or(Value::Unknown, |attribute| attribute.default.clone()),
    }
}

/// Puts the contacts of claimed deliveries beside them, as they are now.
///
/// At the first try that is how the lease has just frozen them, so they are not read again.
pub(super) async fn look_up(conn: &mut Conn, catalog: &Catalog, claimed: &mut [Claimed]) -> Result<()> {
    let (mut first, mut others): (Vec<&mut Claimed>, Vec<&mut Claimed>) =
        claimed.iter_mut().partition(|one| one.attempts == 1 && one.person.is_none() && one.frozen.is_some());
    for claimed in &mut first {
        let attributes = claimed.frozen.take().unwrap_or_default();
        claimed.person = Some(as_frozen(catalog, &claimed.delivery, attributes));
    }
    look_for(conn, catalog, &mut others).await?;
    load_permissions(conn, catalog, claimed).await?;
    load_suppressions(conn, claimed).await
}

/// A contact whose attributes are those.
pub(super) fn as_frozen(catalog: &Catalog, delivery: &Delivery, attributes: Fields) -> Person {
    let address = address(catalog, delivery, &attributes);
    Person { attributes, address, ..Person::default() }
}

/// Looks for the contacts of deliveries that were tried before, or claimed a while ago.
async fn look_for(conn: &mut Conn, catalog: &Catalog, claimed: &mut [&mut Claimed]) -> Result<()> {
    // Who is looked up once more keeps what was frozen.
    for claimed in claimed.iter_mut().filter(|claimed| claimed.frozen.is_none()) {
        claimed.frozen = claimed.person.take().map(|person| person.attributes);
    }
    let mut people: HashMap<ContactId, Fields> = HashMap::new();
    let mut merged: HashMap<ContactId, ContactId> = HashMap::new();
    let mut wanted: BTreeSet<ContactId> = claimed.iter().map(|claimed| claimed.contact).collect();
    // Somebody may have been merged into somebody who was merged; a chain longer than this is a mistake.
    for _ in 0..5 {
        for (bucket, contacts) in by_bucket(conn, std::mem::take(&mut wanted)) {
            for (id, found) in contacts::attributes(conn, bucket, contacts.into_iter()).await? {
                match found.merged_into {
                    Some(into) => {
                        merged.insert(id, into);
                        wanted.insert(into);
                    }
                    None => _ = people.insert(id, found.attributes),
                }
            }
        }
    }
    let mut lost = Vec::new();
    for (index, claimed) in claimed.iter_mut().enumerate() {
        // Who was merged again is found along the chain, which is as long as the search above.
        for _ in 0..5 {
            let Some(into) = merged.get(&claimed.contact) else { break };
            claimed.contact = *into;
        }
        claimed.person = people.get(&claimed.contact).map(|now| {
            let delivery = &claimed.delivery;
            let attributes = claimed.frozen.take().unwrap_or_else(|| now.clone());
            let address_then = address(catalog, delivery, &attributes);
            let own_then = own_address(catalog, delivery, &attributes);
            if own_then.is_some()
                && own_then == address_then
                && own_then != own_address(catalog, delivery, now)
            {
                lost.push(index);
            }
            let has_moved = address_then != address(catalog, delivery, now);
            Person { attributes, has_moved, address: address_then, ..Person::default() }
        });
    }
    look_whose(conn, claimed, lost).await
}

fn by_bucket(
    conn: &Conn,
    contacts: impl IntoIterator<Item = ContactId>,
) -> BTreeMap<i64, BTreeSet<ContactId>> {
    let mut buckets: BTreeMap<i64, BTreeSet<ContactId>> = BTreeMap::new();
    for contact in contacts {
        buckets.entry(conn.core.bucket_of(contact)).or_default().insert(contact);
    }
    buckets
}

/// Consents and pauses, of those whose message asks for them.
async fn load_permissions(conn: &mut Conn, catalog: &Catalog, claimed: &mut [Claimed]) -> Result<()> {
    let asks = |one: &Claimed| {
        one.person.is_some()
            && !one.delivery.transactional
            && !policy::is_transactional(catalog, &one.delivery.purpose)
    };
    let contacts: BTreeSet<ContactId> =
        claimed.iter().filter(|one| asks(one)).map(|one| one.contact).collect();
    for (bucket, contacts) in by_bucket(conn, contacts) {
        let found = permissions::standing(conn, bucket, contacts.into_iter()).await?;
        for claimed in claimed.iter_mut().filter(|one| asks(one)) {
            if let (Some(person), Some(permissions)) = (&mut claimed.person, found.get(&claimed.contact)) {
                person.permissions = permissions.clone();
            }
        }
    }
    Ok(())
}

/// An address that a contact had at the first try, and has no longer, may have been given to somebody else.
async fn look_whose(conn: &mut Conn, claimed: &mut [&mut Claimed], lost: Vec<usize>) -> Result<()> {
    for index in lost {
        let claimed = &mut claimed[index];
        if let Some(person) = &mut claimed.person
            && let Some(address) = &person.address
        {
            let holders = identities::with_address(conn, address).await?;
            person.is_anothers = holders.iter().any(|holder| *holder != claimed.contact);
        }
    }
    Ok(())
}

/// The address that the channel takes from the contact.
fn own_address(catalog: &Catalog, delivery: &Delivery, attributes: &Fields) -> Option<Arc<str>> {
    let name = catalog.channels.get(&delivery.channel)?.address.as_ref()?;
    attribute(catalog, attributes, name).as_text().map(Arc::from)
}

/// Where a message goes.
fn address(catalog: &Catalog, delivery: &Delivery, attributes: &Fields) -> Option<Arc<str>> {
    delivery.to.clone().or_else(|| own_address(catalog, delivery, attributes))
}

async fn load_suppressions(conn: &mut Conn, claimed: &mut [Claimed]) -> Result<()> {
    let mut sends = Vec::with_capacity(claimed.len());
    for claimed in claimed {
        if let Some(Person { address: Some(address), permissions, .. }) = &mut claimed.person {
            sends.push((&claimed.delivery.channel, &*address, permissions));
        }
    }
    suppressions::look_up(conn, &mut sends).await
}
