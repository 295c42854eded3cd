//! Pools of codes: each code goes to one contact, however many ask in the same moment.
//!
//! A step that takes a code is a request that stays in the house. In the transaction that decided it the row of the pool is locked, free
//! codes are given, those first that expire first, and what became of it goes into the contact's own inbox: the step ends in the next
//! transaction. So a code is given exactly when the step that asked for it is durable. A pool that is empty is an answer like any other.

use std::collections::BTreeMap;

use super::sql::args;
use super::{Conn, Result, Rows, Store, fields, inbox};
use crate::engine::world::{Fields, Input, NewRequest, Outcome};
use crate::id::ContactId;
use crate::time::Timestamp;

/// Gives a code to each of these, as far as there are some, inside the transaction that decided it.
pub(super) async fn take(tx: &mut Conn, wanted: &[(ContactId, &NewRequest)], now: Timestamp) -> Result<()> {
    let mut by_pool: BTreeMap<&str, Vec<&(ContactId, &NewRequest)>> = BTreeMap::new();
    for one in wanted {
        if let Some(pool) = one.1.pool() {
            by_pool.entry(pool).or_default().push(one);
        }
    }
    let mut told = Vec::with_capacity(wanted.len());
    // In the order of their names, so that no two transactions wait for each other.
    for (pool, wanted) in by_pool {
        let codes = give(tx, pool, &wanted, now).await?;
        let codes = codes.into_iter().map(Some).chain(std::iter::repeat(None));
        for ((contact, request), code) in wanted.into_iter().zip(codes) {
            told.push((*contact, Input::Outcome(outcome(request, code, now))));
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    inbox::enqueue(tx, told, now).await
}

/// Codes for the first of those who want one.
async fn give(
    tx: &mut Conn,
    pool: &str,
    wanted: &[&(ContactId, &NewRequest)],
    now: Timestamp,
) -> Result<Vec<Fields>> {
    // Without it two would find the same codes free, or none while the other one's transaction fails.
    tx.fetch("SELECT pool FROM pools WHERE pool = $1 {lock}", args![pool]).await?;
    const FREE: &str = "SELECT id, fields FROM codes WHERE pool = $1 AND contact IS NULL AND expires_at > $2 \
        ORDER BY expires_at, id LIMIT $3";
    const GIVE: &str = "WITH n(id, contact, enrollment) AS ({III}) \
        UPDATE codes SET contact = n.contact, enrollment = n.enrollment, taken_at = $1 FROM n \
        WHERE codes.pool = $2 AND codes.id = n.id";
    let limit = i64::try_from(wanted.len()).unwrap_or(i64::MAX);
    let (mut given, mut rows) = (Vec::new(), Rows::default());
    let free = tx.fetch(FREE, args![pool, now, limit]).await?;
    for (row, (contact, request)) in free.iter().zip(wanted) {
        rows.push([row.i64(0)?.into(), (*contact).into(), request.enrollment.into()]);
        given.push(fields::from_text(row.text(1)?)?);
    }
    tx.exec_rows(GIVE, rows, &args![now, pool]).await?;
    Ok(given)
}

fn outcome(request: &NewRequest, code: Option<Fields>, now: Timestamp) -> Outcome {
    Outcome {
        enrollment: request.enrollment,
        step: request.step.clone(),
        round: request.round,
        outcome: if code.is_some() { "answered" } else { "empty" }.into(),
        at: now,
        fields: code.unwrap_or_default(),
    }
}

/// A code to put into a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Code {
    pub fields: Fields,
    /// From when on it is not given any more.
    pub expires_at: Timestamp,
}

/// Puts codes into a pool, and says which of them it did not have yet. What is the same in all fields is the same code.
pub async fn fill(store: &Store, pool: &str, codes: &[Code]) -> Result<Vec<bool>> {
    const ADD: &str = "INSERT INTO codes (pool, id, hash, fields, expires_at) {TITTI} ON CONFLICT DO NOTHING \
        RETURNING id";
    let mut tx = store.write().await?;
    tx.exec("INSERT INTO pools (pool) VALUES ($1) ON CONFLICT DO NOTHING", args![pool]).await?;
    let (mut rows, mut places) = (Rows::with_capacity(codes.len() * 5), BTreeMap::new());
    for (place, code) in codes.iter().enumerate() {
        let (id, text) = (store.new_id(), fields::to_text(&code.fields));
        let hash = blake3::hash(text.as_bytes()).to_hex()[..32].to_owned();
        rows.push([pool.into(), id.into(), hash.into(), text.into(), code.expires_at.into()]);
        places.insert(id, place);
    }
    let mut new = vec![false; codes.len()];
    for row in tx.fetch_rows(ADD, rows, &[]).await? {
        if let Some(place) = places.get(&row.i64(0)?) {
            new[*place] = true;
        }
    }
    tx.commit().await?;
    Ok(new)
}

/// How many codes of a pool can still be given at that moment.
pub async fn left(conn: &mut Conn, pool: &str, now: Timestamp) -> Result<i64> {
    const LEFT: &str = "SELECT COUNT(*) FROM codes WHERE pool = $1 AND contact IS NULL AND expires_at > $2";
    let row = conn.fetch_first(LEFT, args![pool, now]).await?;
    row.map_or(Ok(0), |row| row.i64(0))
}

/// What a contact has taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    pub pool: String,
    pub fields: Fields,
    pub at: Timestamp,
}

/// The codes of a contact, oldest first.
pub async fn of_contact(conn: &mut Conn, contact: ContactId) -> Result<Vec<Taken>> {
    const OF: &str = "SELECT pool, fields, taken_at FROM codes WHERE contact = $1 ORDER BY taken_at, id";
    let rows = conn.fetch(OF, args![contact]).await?;
    let taken = |row: &super::Row| {
        Ok(Taken { pool: row.text(0)?.to_owned(), fields: fields::from_text(row.text(1)?)?, at: row.at(2)? })
    };
    rows.iter().map(taken).collect()
}
