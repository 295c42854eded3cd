//! What a file says of consents: which of it is not on record yet.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::import::Person;
use super::{Conn, Result, Store, contacts, permissions};
use crate::engine::world::{ConsentChange, Permissions};
use crate::id::ContactId;
use crate::intake::Who;
use crate::time::Timestamp;

/// The consents that are on record for some contacts.
pub(super) struct Known {
    lines: HashSet<permissions::Line>,
    standing: HashMap<ContactId, Permissions>,
}

impl Known {
    /// Of contacts that are new, nothing.
    pub(super) fn nothing() -> Known {
        Known { lines: HashSet::new(), standing: HashMap::new() }
    }

    pub(super) async fn load(
        conn: &mut Conn,
        bucket: i64,
        contacts: impl Iterator<Item = ContactId>,
    ) -> Result<Known> {
        let contacts: BTreeSet<ContactId> = contacts.collect();
        let standing = permissions::standing(conn, bucket, contacts.iter().copied()).await?;
        Ok(Known { lines: permissions::lines(conn, bucket, &contacts).await?, standing })
    }

    /// What says something that is not on record yet, and how many grants were left out because they may be older than a withdrawal.
    /// One without a date of its own has that of the import: it says how things stand, not that anything changed.
    pub(super) fn news<'a>(
        mut self,
        changes: Vec<(ContactId, &'a ConsentChange)>,
        now: Timestamp,
    ) -> (Vec<(ContactId, &'a ConsentChange)>, usize) {
        let mut withdrawn = 0;
        let is_news = |(contact, change): &(ContactId, &'a ConsentChange)| {
            let key = (change.purpose.clone(), change.channel.clone());
            let standing = &mut self.standing.entry(*contact).or_default().consents;
            let stands = standing.get(&key).map(|(permit, _)| *permit);
            let undated = change.at == now;
            withdrawn += usize::from(undated && change.permit && stands == Some(false));
            let is_news = match undated {
                true => stands.is_none_or(|permit| permit && !change.permit),
                false => !self.lines.contains(&permissions::line(*contact, change)),
            };
            if is_news && standing.get(&key).is_none_or(|(_, at)| change.at >= *at) {
                standing.insert(key, (change.permit, change.at));
            }
            self.lines.insert(permissions::line(*contact, change));
            is_news
        };
        (changes.into_iter().filter(is_news).collect(), withdrawn)
    }
}

/// Takes out of people who are known the consents that are on record already, as the quiet import does; tells how many were left out.
pub async fn drop_known(store: &Store, people: &mut [Person], now: Timestamp) -> Result<usize> {
    let mut withdrawn = 0;
    let mut conn = store.read().await?;
    for person in people.iter_mut().filter(|person| !person.consents.is_empty()) {
        let Who { user_id, anonymous_id, email, phone, .. } = &person.who;
        let mut keys = [user_id, anonymous_id, email, phone].into_iter().flatten();
        let Some(key) = keys.next() else { continue };
        let Some(contact) = contacts::by_key(&mut conn, key).await? else { continue };
        let bucket = conn.core.bucket_of(contact.id);
        let known = Known::load(&mut conn, bucket, std::iter::once(contact.id)).await?;
        let (news, out) =
            known.news(person.consents.iter().map(|change| (contact.id, change)).collect(), now);
        withdrawn += out;
        person.consents = news.into_iter().map(|(_, change)| change.clone()).collect();
    }
    Ok(withdrawn)
}
