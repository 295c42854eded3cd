//! Identities: the texts by which the outside world calls a contact, and the only text keys there are.
//!
//! A contact is created by whoever wins the identity. An item with several identities links them: a stronger one (user id, then
//! anonymous id, then e-mail) says who it is, the others are added to that contact. When they lead to different contacts, the two
//! become one, the older id wins; but never two who both have a user id, since the outside knows them apart. Then the stronger
//! identity decides: an anonymous id stays where it is, and of an address the rules below speak.
//!
//! An alias says that a former id, of either kind, and a user id are one person. Both lead to that contact from then on, whichever of
//! the two came first. If they are known as two people, each with a user id, nothing of it is taken: two people never become one.
//!
//! What holds of addresses and phone numbers, when everything accepted is taken:
//!
//! - A contact has at most one of each: the one that was said last. It is the same as its attribute, so who is found by an address is
//!   who gets its mail.
//! - A `unique` address has one contact. Whoever is named with it by a user id gets it, since the source that keeps addresses unique
//!   says so; who had it before has none until the source says theirs, and the history of that contact tells where it went. So two who
//!   exchange addresses have exchanged them at the end, in one file or in two calls. A mail never goes to an address that the source has
//!   given to somebody else.
//! - Somebody without a user id takes no address away from somebody who has one: it stays, and is left out of the item.
//! - One that a step sets while another contact has it is not set.
//! - When two contacts become one, the older keeps its address; if it has none, it gets the other's.
//!
//! - `resolve`: who the items of a batch are for
//! - `links`: contacts and identities as rows that are added

mod links;
mod resolve;

pub(super) use self::links::{Links, create};
pub(super) use self::resolve::{Resolved, Resolver};

use std::sync::Arc;

use super::sql::args;
use super::{Arg, Conn, Result, Rows};
use crate::id::ContactId;
use crate::intake::Who;

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

    /// Whether one of this kind belongs to one contact alone.
    pub(super) fn is_unique(self, unique_email: bool) -> bool {
        match self {
            Kind::UserId | Kind::AnonymousId => true,
            Kind::Email => unique_email,
            // Families share a phone.
            Kind::Phone => false,
        }
    }

    fn from_number(number: i64) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as i64 == number)
    }
}

/// One identity: its kind, and its text as it is compared.
pub type Identity = (Kind, String);

/// The identities of somebody, stronger first, in the form in which they are compared: e-mail in lower case, phone in digits. What
/// somebody was called before may have been either kind of id.
pub fn identities_of(who: &Who) -> Vec<Identity> {
    let pairs = [
        (Kind::UserId, &who.user_id),
        (Kind::UserId, &who.previous_id),
        (Kind::AnonymousId, &who.anonymous_id),
        (Kind::AnonymousId, &who.previous_id),
        (Kind::Email, &who.email),
        (Kind::Phone, &who.phone),
    ];
    pairs.into_iter().filter_map(|(kind, text)| Some((kind, normal(kind, text.as_deref()?)))).collect()
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
    // The digits of an e-mail address are nobody's phone number.
    let kind = if address.contains('@') { Kind::Email } else { Kind::Phone };
    let value = normal(kind, address);
    if value.is_empty() {
        return Ok(Vec::new());
    }
    let found = conn.fetch(WITH, args![kind as i64, value]).await?;
    found.iter().map(|row| row.i64(0).map(ContactId)).collect()
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

/// Lets the identities follow a change of the attributes that are identities too: address and phone number. Returns which of the two
/// may not change, since a unique one belongs to another contact by now.
pub(super) async fn rename(
    tx: &mut Conn,
    contact: ContactId,
    before: &[Option<Arc<str>>; 2],
    after: &[Option<Arc<str>>; 2],
) -> Result<[bool; 2]> {
    const ADD: &str = "INSERT INTO identities (kind, value, holder, bucket, contact) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT DO NOTHING";
    const DROP: &str =
        "DELETE FROM identities WHERE bucket = $1 AND contact = $2 AND kind = $3 AND value <> $4";
    let unique_email = super::journeys::unique_email(tx).await?;
    let bucket = tx.core.bucket_of(contact);
    let mut refused = [false; 2];
    for (place, kind) in [Kind::Email, Kind::Phone].into_iter().enumerate() {
        if before[place] == after[place] {
            continue;
        }
        let value = after[place].as_ref().map(|text| normal(kind, text)).unwrap_or_default();
        if !value.is_empty() {
            let holder = if kind == Kind::Email && unique_email { 0 } else { contact.0 };
            let row = args![kind as i64, value.as_str(), holder, bucket, contact];
            if tx.exec(ADD, row).await? == 0 && !is_own(tx, contact, kind, &value, holder).await? {
                refused[place] = true;
                continue;
            }
        }
        tx.exec(DROP, args![bucket, contact, kind as i64, value]).await?;
    }
    Ok(refused)
}

/// Whether an identity that exists is the contact's, or that of the contact who takes over from it.
async fn is_own(tx: &mut Conn, contact: ContactId, kind: Kind, value: &str, holder: i64) -> Result<bool> {
    const HOLDER: &str = "SELECT contact FROM identities WHERE kind = $1 AND value = $2 AND holder = $3";
    let found = tx.fetch_first(HOLDER, args![kind as i64, value, holder]).await?;
    let mut own = [(contact, ())];
    super::contacts::follow(tx, &mut own).await?;
    let held_by = found.map_or(Ok(None), |row| row.opt_i64(0))?;
    Ok(held_by.is_none_or(|holder| holder == contact.0 || holder == own[0].0.0))
}
