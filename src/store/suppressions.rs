//! Addresses not to use: facts about addresses, where consent is about contacts.
//!
//! What bounced or complained is suppressed for every purpose, and for good. An unsubscribe suppresses its own purpose: for whoever has
//! the address, now or later, it is a refusal of that moment, and a permission that somebody gives after it ends it for them. It also
//! stands in the ledger of each contact that has the address at that moment, so that their enrollments of the purpose end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::permissions::{Found, words_of};
use super::sql::args;
use super::{Arg, Conn, Result, Row, Rows, Store, contacts, deliveries, identities, inbox, journeys, names};
use crate::engine::program::{Catalog, Word};
use crate::engine::world::{ConsentChange, Fields, Input, Permissions, Suppression};
use crate::id::{ContactId, DeliveryId};
use crate::time::Timestamp;
use crate::value::{Type, Value};

/// In place of a purpose: all of them.
const EVERY_PURPOSE: i64 = 0;

/// The form in which addresses are compared.
fn normal(address: &str) -> String {
    address.trim().to_lowercase()
}

/// Suppresses addresses for every purpose; the first reason stays.
pub async fn suppress(tx: &mut Conn, suppressions: &[&Suppression]) -> Result<()> {
    const SUPPRESS: &str =
        "INSERT INTO suppressions (address, channel, purpose, reason, at) {TIITI} ON CONFLICT DO NOTHING";
    let mut rows = Rows::with_capacity(suppressions.len() * 5);
    for one in suppressions {
        let channel = names::intern(tx, &one.channel).await?;
        let address = normal(&one.address);
        rows.push([
            address.into(),
            channel.into(),
            EVERY_PURPOSE.into(),
            (&one.reason).into(),
            one.at.into(),
        ]);
    }
    tx.exec_rows(SUPPRESS, rows, &[]).await?;
    Ok(())
}

/// Takes the word of whoever reads the mail of an address that this purpose is not wanted there: suppresses the address to which that
/// delivery went, and withdraws the consent of everybody who has it. Effective with its commit; doing it again changes nothing.
pub async fn unsubscribe(
    store: &Store,
    contact: ContactId,
    delivery: (i64, DeliveryId),
    change: ConsentChange,
) -> Result<()> {
    let mut tx = store.write().await?;
    let mut concerned = vec![contact];
    if let Some(address) = address(&mut tx, contact, delivery, &change.channel).await? {
        refuse(&mut tx, &address, &change).await?;
        concerned.extend(identities::with_address(&mut tx, &address).await?);
    }
    concerned.sort_unstable();
    concerned.dedup();
    let inputs = concerned.into_iter().map(|contact| (contact, Input::Consent(change.clone())));
    inbox::enqueue(&mut tx, inputs.collect(), change.at).await?;
    tx.commit().await?;
    store.wake();
    Ok(())
}

/// Where the delivery went; where the contact is reached by now, if it is not known any more.
async fn address(
    tx: &mut Conn,
    contact: ContactId,
    (bucket, delivery): (i64, DeliveryId),
    channel: &Word,
) -> Result<Option<Arc<str>>> {
    if let Some(address) = deliveries::address(tx, bucket, delivery).await? {
        return Ok(Some(address));
    }
    let mut rows = [(contact, ())];
    contacts::follow(tx, &mut rows).await?;
    let deployed = journeys::deployed(tx).await?;
    let Some(attribute) = deployed.catalog.channels.get(channel).and_then(|c| c.address.clone()) else {
        return Ok(None);
    };
    let person = contacts::load(tx, rows[0].0).await?;
    let value = person.and_then(|person| person.attributes.get(&attribute).cloned());
    Ok(value.and_then(|value| value.as_text().map(Arc::from)))
}

async fn refuse(tx: &mut Conn, address: &str, change: &ConsentChange) -> Result<()> {
    const REFUSE: &str = "INSERT INTO suppressions (address, channel, purpose, reason, at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (address, channel, purpose) DO UPDATE SET at = excluded.at \
        WHERE excluded.at > suppressions.at";
    let channel = names::intern(tx, &change.channel).await?;
    let purpose = names::intern(tx, &change.purpose).await?;
    tx.exec(REFUSE, args![normal(address), channel, purpose, &change.source, change.at]).await?;
    Ok(())
}

// ---------------------------------------------------------------- reading

/// Puts what is suppressed for the addresses of contacts into their permissions. For the gate, whose contacts are those of a batch.
pub(super) async fn load(
    conn: &mut Conn,
    catalog: &Catalog,
    contacts: &BTreeMap<ContactId, &Fields>,
    found: &mut Found,
) -> Result<()> {
    const SUPPRESSED: &str = "WITH n(contact, address) AS ({IT}) \
        SELECT s.channel, s.purpose, s.at, n.contact, n.address \
        FROM n CROSS JOIN suppressions s WHERE s.address = n.address";
    let mut rows = Rows::default();
    // The gate compares addresses as the contact has them, the table holds them in one form.
    let mut spellings: HashMap<(ContactId, String), Vec<Arc<str>>> = HashMap::new();
    for (contact, attributes) in contacts {
        for address in addresses(catalog, attributes) {
            let spelling = spellings.entry((*contact, normal(&address))).or_default();
            if spelling.is_empty() {
                rows.push([(*contact).into(), normal(&address).into()]);
            }
            spelling.push(address);
        }
    }
    let rows = conn.fetch_rows(SUPPRESSED, rows, &[]).await?;
    let words = words(conn, &rows).await?;
    for row in &rows {
        let key = (ContactId(row.i64(3)?), row.text(4)?.to_owned());
        let (Some(permissions), Some(spelled)) = (found.get_mut(&key.0), spellings.get(&key)) else {
            continue;
        };
        let one = suppressed(row, &words)?;
        // An unsubscribe speaks of the channel's own address; of another one the send point knows.
        let is_own = || {
            let attribute = catalog.channels.get(&one.channel).and_then(|channel| channel.address.as_ref());
            let own = attribute.and_then(|attribute| contacts[&key.0].get(attribute)?.as_text());
            own.is_some_and(|own| normal(own) == key.1)
        };
        if one.purpose.is_none() || is_own() {
            one.tell(spelled, permissions);
        }
    }
    Ok(())
}

/// Which of a contact's own addresses are not used any more, by channel: why, and since when. What holds for every purpose comes first.
pub async fn of_contact(
    conn: &mut Conn,
    catalog: &Catalog,
    attributes: &Fields,
) -> Result<BTreeMap<Word, (String, Timestamp)>> {
    let mut found = BTreeMap::new();
    for (name, channel) in &catalog.channels {
        let attribute = channel.address.as_ref().and_then(|attribute| attributes.get(attribute));
        let Some(address) = attribute.and_then(Value::as_text) else { continue };
        if let Some(why) = of_address(conn, address, name).await? {
            found.insert(name.clone(), why);
        }
    }
    Ok(found)
}

/// Why an address is not used any more on a channel, and since when; if it is not. What holds for every purpose comes first.
pub async fn of_address(
    conn: &mut Conn,
    address: &str,
    channel: &Word,
) -> Result<Option<(String, Timestamp)>> {
    const OF: &str = "SELECT reason, at FROM suppressions WHERE address = $1 AND channel = $2 ORDER BY purpose, at LIMIT 1";
    let Some(channel) = names::find(conn, channel).await? else { return Ok(None) };
    let row = conn.fetch_first(OF, args![normal(address), channel]).await?;
    row.map(|row| Ok((row.text(0)?.to_owned(), row.at(1)?))).transpose()
}

/// Puts what is suppressed for these addresses into the permissions beside them. For the send point.
pub(super) async fn look_up(
    conn: &mut Conn,
    sends: &mut [(&Word, &Arc<str>, &mut Permissions)],
) -> Result<()> {
    const SUPPRESSED: &str = "WITH n(place, address, channel) AS ({ITI}) SELECT s.channel, s.purpose, s.at, n.place \
        FROM n CROSS JOIN suppressions AS s WHERE s.address = n.address AND s.channel = n.channel";
    let mut rows = Rows::default();
    for (place, (channel, address, _)) in sends.iter().enumerate() {
        let Some(channel) = names::find(conn, channel).await? else { continue };
        let place = i64::try_from(place).expect("a claim is small");
        rows.push([Arg::I64(place), normal(address).into(), channel.into()]);
    }
    let rows = conn.fetch_rows(SUPPRESSED, rows, &[]).await?;
    let words = words(conn, &rows).await?;
    for row in &rows {
        let place = usize::try_from(row.i64(3)?).expect("the places come from above");
        let (_, address, permissions) = &mut sends[place];
        suppressed(row, &words)?.tell(&[Arc::clone(address)], permissions);
    }
    Ok(())
}

/// A row of the table, without its address.
struct Suppressed {
    channel: Word,
    /// `None`: every one.
    purpose: Option<Word>,
    at: Timestamp,
}

async fn words(conn: &mut Conn, rows: &[Row]) -> Result<HashMap<i64, Arc<str>>> {
    words_of(conn, rows, &[0, 1]).await
}

fn suppressed(row: &Row, words: &HashMap<i64, Arc<str>>) -> Result<Suppressed> {
    let purpose = match row.i64(1)? {
        EVERY_PURPOSE => None,
        purpose => Some(names::spelled(words, purpose)?),
    };
    Ok(Suppressed { channel: names::spelled(words, row.i64(0)?)?, purpose, at: row.at(2)? })
}

impl Suppressed {
    /// What it means for whoever has the address, spelled in these ways.
    fn tell(self, spelled: &[Arc<str>], permissions: &mut Permissions) {
        let Suppressed { channel, purpose, at } = self;
        match purpose {
            None => {
                let pairs = spelled.iter().map(|address| (channel.clone(), address.clone()));
                permissions.suppressed.extend(pairs);
            }
            Some(purpose) => {
                let latest = permissions.consents.entry((purpose, channel)).or_insert((false, at));
                if latest.1 <= at {
                    *latest = (false, at);
                }
            }
        }
    }
}

/// Everything among the attributes to which something could be sent.
fn addresses(catalog: &Catalog, attributes: &Fields) -> Vec<Arc<str>> {
    let of_channel: Vec<&Word> = catalog.channels.values().filter_map(|c| c.address.as_ref()).collect();
    let is_address = |name: &Word| {
        of_channel.contains(&name)
            || catalog.attribute(name).is_some_and(|attribute| {
                matches!(attribute.ty.required(), Type::Email | Type::Phone | Type::Address)
            })
    };
    let texts = attributes.iter().filter(|(name, _)| is_address(name));
    texts
        .filter_map(|(_, value)| if let Value::Text(text) = value { Some(text.clone()) } else { None })
        .collect()
}
