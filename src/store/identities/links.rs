//! Contacts and identities as rows that are added, many at once.

use super::Kind;
use crate::id::ContactId;
use crate::store::{Arg, Conn, Core, Dialect, Error, Result, Rows, stream};

/// Adds contacts: bucket, id, moment, attributes.
pub(in crate::store) async fn create(tx: &mut Conn, contacts: Rows) -> Result<()> {
    const CREATE: &str = "INSERT INTO contacts (bucket, id, created_at, attributes) {IIIT}";
    tx.exec_rows(CREATE, contacts, &[]).await.map(drop)
}

/// Identities and the contacts that get them: those that one contact alone may have, and the others.
pub(in crate::store) struct Links {
    unique: Rows,
    shared: Rows,
    /// How many of them are unique.
    wanted: u64,
}

const SHARED: &str =
    "INSERT INTO identities (kind, value, holder, bucket, contact) {ITIII} ON CONFLICT DO NOTHING";
const NEW: &str = "INSERT INTO identities (kind, value, holder, bucket, contact) {ITIII}";

impl Links {
    pub(in crate::store) fn of(
        core: &Core,
        mut links: Vec<(Kind, String, ContactId)>,
        unique_email: bool,
    ) -> Links {
        // In one order in all processes, so that they wait for each other and do not block each other.
        links.sort_unstable();
        let mut rows =
            Links { unique: Rows::with_capacity(links.len() * 5), shared: Rows::default(), wanted: 0 };
        for (kind, value, contact) in links {
            let is_unique = kind.is_unique(unique_email);
            let holder = if is_unique { 0 } else { contact.0 };
            let bucket = core.bucket_of(contact);
            let row = [Arg::I64(kind as i64), value.into(), holder.into(), bucket.into(), contact.into()];
            if is_unique {
                rows.wanted += 1;
                rows.unique.push(row);
            } else {
                rows.shared.push(row);
            }
        }
        rows
    }

    /// Adds them; false when another contact has one that it may have alone.
    pub(in crate::store) async fn add(self, tx: &mut Conn) -> Result<bool> {
        // A row that is there already counts if it is the contact's own.
        const UNIQUE: &str = "INSERT INTO identities (kind, value, holder, bucket, contact) {ITIII} \
            ON CONFLICT (kind, value, holder) DO UPDATE SET contact = excluded.contact \
            WHERE identities.contact = excluded.contact";
        tx.exec_rows(SHARED, self.shared, &[]).await?;
        Ok(tx.exec_rows(UNIQUE, self.unique, &[]).await? == self.wanted)
    }

    /// The same for contacts that are created in this transaction.
    pub(in crate::store) async fn add_new(self, tx: &mut Conn) -> Result<bool> {
        if tx.dialect() == Dialect::Sqlite || !stream::is_worth_it(&self.unique) {
            // None of these is there already, and none may come twice.
            if tx.exec_rows(SHARED, self.unique, &[]).await? != self.wanted {
                return Ok(false);
            }
            return tx.exec_rows(SHARED, self.shared, &[]).await.map(|_| true);
        }
        tx.exec_rows(NEW, self.shared, &[]).await?;
        match tx.exec_rows(NEW, self.unique, &[]).await {
            Err(Error::Database(sqlx::Error::Database(error))) if error.is_unique_violation() => Ok(false),
            added => added.map(|_| true),
        }
    }
}
