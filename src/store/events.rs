//! The events of contacts: their history, which conditions and aggregates look at.
//!
//! Keyed by (contact, name, time), so that a window is one range. An event with a dedupe value is kept once for a contact as long as
//! it is kept at all. Whoever had an event that is no longer kept is noted in `firsts`, so that "first" stays true.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::sql::args;
use super::{Arg, Conn, Result, Row, Rows, Store, fields, names};
use crate::engine::program::{self, Catalog, Word};
use crate::engine::world::{Event, HISTORY_LIMIT, History};
use crate::id::ContactId;
use crate::time::{DAY, Timestamp};
use crate::value::Value;

/// Events of one name that one contact had at a moment or after it.
pub(super) type Wanted = BTreeMap<(ContactId, Word), Timestamp>;

/// Loads histories of contacts of one bucket: for each the newest events, as many as an aggregate looks at.
pub(super) async fn histories(
    conn: &mut Conn,
    bucket: i64,
    wanted: Wanted,
) -> Result<HashMap<(ContactId, Word), History>> {
    // The thousand-and-first newest is where reading begins, so that a busy contact costs no more than that. It is the only bound: beside
    // another one SQLite looks for it anew at each event.
    const HISTORIES: &str = "WITH n(contact, name, since) AS ({III}) \
        SELECT events.contact, events.name, events.occurred_at, events.id, events.accepted_at, events.fields \
        FROM n CROSS JOIN events WHERE events.bucket = $1 AND events.contact = n.contact AND events.name = n.name \
        AND events.occurred_at >= COALESCE((SELECT older.occurred_at \
        FROM events older WHERE older.bucket = $2 AND older.contact = n.contact AND older.name = n.name \
        AND older.occurred_at >= n.since ORDER BY older.occurred_at DESC LIMIT 1 OFFSET 1000), n.since)";
    let (mut rows, mut words) = (Rows::with_capacity(wanted.len() * 3), HashMap::new());
    for ((contact, name), since) in &wanted {
        if let Some(id) = names::find(conn, name).await? {
            rows.push([(*contact).into(), id.into(), (*since).into()]);
            words.insert(id, name.clone());
        }
    }
    let mut found: HashMap<(ContactId, Word), History> = wanted
        .into_iter()
        .map(|(key, since)| (key, History { events: Vec::new(), since, truncated: false }))
        .collect();
    for row in conn.fetch_rows(HISTORIES, rows, &args![bucket, bucket]).await? {
        let name = words[&row.i64(1)?].clone();
        let event = read(&row, name.clone())?;
        if let Some(history) = found.get_mut(&(ContactId(row.i64(0)?), name)) {
            history.events.push(event);
        }
    }
    for history in found.values_mut() {
        history.events.sort_by_key(|event| (event.occurred_at, event.id));
        if history.events.len() > HISTORY_LIMIT {
            history.events.drain(..history.events.len() - HISTORY_LIMIT);
            history.truncated = true;
        }
    }
    Ok(found)
}

/// Reads (_, _, occurred_at, id, accepted_at, fields).
fn read(row: &Row, name: Word) -> Result<Event> {
    Ok(Event {
        id: row.i64(3)?,
        name,
        occurred_at: row.at(2)?,
        accepted_at: row.at(4)?,
        fields: fields::from_text(row.text(5)?)?,
        quiet: false,
    })
}

/// The newest events of a contact, of all names, newest first.
pub async fn newest(conn: &mut Conn, contact: ContactId, limit: usize) -> Result<Vec<Event>> {
    const NEWEST: &str = "SELECT contact, name, occurred_at, id, accepted_at, fields FROM events \
        WHERE bucket = $1 AND contact = $2 ORDER BY occurred_at DESC, id DESC LIMIT $3";
    let bucket = conn.core.bucket_of(contact);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = conn.fetch(NEWEST, args![bucket, contact, limit]).await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.i64(1)).collect::<Result<_>>()?;
    let words = names::spell(conn, ids).await?;
    rows.iter().map(|row| read(row, names::spelled(&words, row.i64(1)?)?)).collect()
}

/// How many events of all names a contact has, counted up to that many.
pub async fn count(conn: &mut Conn, contact: ContactId, most: usize) -> Result<usize> {
    const COUNT: &str =
        "SELECT COUNT(*) FROM (SELECT 1 FROM events WHERE bucket = $1 AND contact = $2 LIMIT $3) counted";
    let (bucket, limit) = (conn.core.bucket_of(contact), i64::try_from(most).unwrap_or(i64::MAX));
    let count = conn.fetch_number(COUNT, args![bucket, contact, limit]).await?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Which contacts ever had an event of that name.
pub(super) async fn ever(
    conn: &mut Conn,
    bucket: i64,
    wanted: &HashSet<(ContactId, Word)>,
) -> Result<HashSet<(ContactId, Word)>> {
    const EVER: &str = "WITH n(contact, name) AS ({II}) SELECT n.contact, n.name FROM n WHERE \
        EXISTS (SELECT 1 FROM events WHERE events.bucket = $1 AND events.contact = n.contact AND events.name = n.name) \
        OR EXISTS (SELECT 1 FROM firsts WHERE firsts.bucket = $2 AND firsts.contact = n.contact AND firsts.name = n.name)";
    let (mut rows, mut words) = (Rows::default(), HashMap::new());
    for (contact, name) in wanted {
        if let Some(id) = names::find(conn, name).await? {
            rows.push([(*contact).into(), id.into()]);
            words.insert(id, name.clone());
        }
    }
    let found = conn.fetch_rows(EVER, rows, &args![bucket, bucket]).await?;
    found.iter().map(|row| Ok((ContactId(row.i64(0)?), words[&row.i64(1)?].clone()))).collect()
}

/// Writes events of contacts of one bucket.
pub(super) async fn insert(
    tx: &mut Conn,
    bucket: i64,
    catalog: &Catalog,
    events: &[(ContactId, &Event)],
) -> Result<()> {
    // A dedupe value that slipped through, from an import beside the daemon, must not stop everybody else.
    const INSERT: &str = "INSERT INTO events (bucket, contact, name, occurred_at, id, accepted_at, dedupe, fields) \
        {IIIIIITT} ON CONFLICT DO NOTHING";
    let mut keyed = Vec::with_capacity(events.len());
    for (contact, event) in events {
        keyed.push((*contact, names::intern(tx, &event.name).await?, *event));
    }
    keyed.sort_by_key(|(contact, name, event)| (*contact, *name, event.occurred_at, event.id));
    let mut rows = Rows::with_capacity(keyed.len() * 8);
    for (contact, name, event) in keyed {
        rows.push([
            bucket.into(),
            contact.into(),
            name.into(),
            event.occurred_at.into(),
            event.id.into(),
            event.accepted_at.into(),
            dedupe_value(catalog, event).into(),
            fields::to_text(&event.fields).into(),
        ]);
    }
    tx.exec_rows(INSERT, rows, &[]).await?;
    Ok(())
}

/// The value that makes an event unique for its contact, if the schema names a field for that and it is there.
pub(super) fn dedupe_value(catalog: &Catalog, event: &Event) -> Option<String> {
    let field = catalog.events.get(&event.name)?.dedupe.as_ref()?;
    match event.fields.get(field)? {
        Value::Unknown => None,
        Value::Text(text) => Some(text.to_string()),
        other => Some(other.to_json().to_string()),
    }
}

/// Which of these (contact, event name, dedupe value) are there already.
pub(super) async fn known(
    conn: &mut Conn,
    bucket: i64,
    wanted: &HashSet<(ContactId, Word, String)>,
) -> Result<HashSet<(ContactId, Word, String)>> {
    const KNOWN: &str = "WITH n(contact, name, dedupe) AS ({IIT}) SELECT n.contact, n.name, n.dedupe \
        FROM n CROSS JOIN events WHERE events.bucket = $1 AND events.contact = n.contact AND events.name = n.name \
        AND events.dedupe = n.dedupe AND events.dedupe IS NOT NULL";
    let (mut rows, mut words) = (Rows::default(), HashMap::new());
    for (contact, name, value) in wanted {
        if let Some(id) = names::find(conn, name).await? {
            rows.push([(*contact).into(), id.into(), value.as_str().into()]);
            words.insert(id, name.clone());
        }
    }
    let found = conn.fetch_rows(KNOWN, rows, &args![bucket]).await?;
    let key = |row: &Row| Ok((ContactId(row.i64(0)?), words[&row.i64(1)?].clone(), row.text(2)?.to_owned()));
    found.iter().map(key).collect()
}

/// Contacts looked at by one call of [`forget`].
const SLICE: i64 = 500;

/// Forgets events that are kept no longer, for the next contacts of a bucket after one; where to go on, none at the end. Nobody who writes
/// waits for those of whom there is nothing to forget, which is almost all.
pub async fn forget(
    store: &Store,
    bucket: i64,
    catalog: &Catalog,
    after: ContactId,
    now: Timestamp,
) -> Result<Option<ContactId>> {
    const LAST: &str = "SELECT MAX(id) FROM (SELECT id FROM contacts WHERE bucket = $1 AND id > $2 ORDER BY id LIMIT $3) \
        AS slice";
    const OLD: &str = "SELECT 1 FROM events WHERE bucket = $1 AND contact > $2 AND contact <= $3 AND occurred_at < $4 LIMIT 1";
    let mut conn = store.read().await?;
    let row = conn.fetch_first(LAST, args![bucket, after, SLICE]).await?;
    let Some(last) = row.map(|row| row.opt_i64(0)).transpose()?.flatten() else { return Ok(None) };
    let oldest = |event: &program::Event| now.plus_ms(-event.keep.about_ms().max(DAY));
    let Some(newest) = catalog.events.values().map(oldest).max() else { return Ok(Some(ContactId(last))) };
    if conn.fetch_first(OLD, args![bucket, after, last, newest]).await?.is_some() {
        drop(conn);
        forget_slice(store, bucket, catalog, (after, ContactId(last)), oldest).await?;
    }
    Ok(Some(ContactId(last)))
}

async fn forget_slice(
    store: &Store,
    bucket: i64,
    catalog: &Catalog,
    (after, last): (ContactId, ContactId),
    oldest: impl Fn(&program::Event) -> Timestamp,
) -> Result<()> {
    const NOTE: &str = "INSERT INTO firsts (bucket, contact, name) SELECT DISTINCT bucket, contact, name FROM events \
        WHERE bucket = $1 AND contact > $2 AND contact <= $3 AND name = $4 AND occurred_at < $5 \
        ON CONFLICT DO NOTHING";
    const FORGET: &str = "DELETE FROM events WHERE bucket = $1 AND contact > $2 AND contact <= $3 AND name = $4 \
        AND occurred_at < $5";
    let mut tx = store.write().await?;
    for (name, event) in &catalog.events {
        let Some(name) = names::find(&mut tx, name).await? else { continue };
        let range: Vec<Arg> = args![bucket, after, last, name, oldest(event)];
        tx.exec(NOTE, range.clone()).await?;
        tx.exec(FORGET, range).await?;
    }
    tx.commit().await
}
