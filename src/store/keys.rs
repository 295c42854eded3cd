//! Keys for the HTTP interface: 256 random bits, shown once, kept as a SHA-256.
//!
//! The bits are random, so a slow hash would protect nothing. The prefix finds the row; the comparison takes the same time
//! whatever differs.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::sql::args;
use super::{Conn, Error, Result, Row, Store};
use crate::time::{MINUTE, Timestamp};

/// Lower-case letters and digits without those that look alike.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Ingest,
    Read,
    Tasks,
    Deploy,
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 5] = [Scope::Ingest, Scope::Read, Scope::Tasks, Scope::Deploy, Scope::Admin];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::Read => "read",
            Scope::Tasks => "tasks",
            Scope::Deploy => "deploy",
            Scope::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text names no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoScope;

impl FromStr for Scope {
    type Err = NoScope;

    fn from_str(text: &str) -> Result<Scope, NoScope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(NoScope)
    }
}

/// A key, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// `fp_` and eight characters: the beginning of the key, by which it is listed and revoked.
    pub prefix: String,
    /// What it is for.
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    /// Whose tasks it may see; none: all teams'.
    pub teams: BTreeSet<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// To the minute.
    pub used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl Key {
    /// Whether it opens anything at that moment.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Who holds it, as others read it: the name, or the prefix of a key without one.
    pub fn holder(&self) -> &str {
        if self.name.is_empty() { &self.prefix } else { &self.name }
    }

    /// Whether it may see tasks of that team.
    pub fn may_see(&self, team: &str) -> bool {
        self.teams.is_empty() || self.teams.contains(team)
    }
}

/// Makes a key. The secret that is returned with it is nowhere else.
pub async fn create(
    store: &Store,
    name: &str,
    scopes: BTreeSet<Scope>,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(Key, String)> {
    create_for(store, name, BTreeSet::new(), scopes, expires_at, now).await
}

/// Makes a key for somebody who sees the tasks of these teams alone.
pub async fn create_for(
    store: &Store,
    name: &str,
    teams: BTreeSet<String>,
    scopes: BTreeSet<Scope>,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(Key, String)> {
    const CREATE: &str = "INSERT INTO keys (prefix, hash, name, scopes, created_at, expires_at, teams) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (prefix) DO NOTHING";
    loop {
        let (prefix, secret) = random()?;
        let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let mut tx = store.write().await?;
        let listed = teams.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let row = args![prefix.as_str(), hash(&secret), name, words.join(" "), now, expires_at, listed];
        // The prefix may be taken already, once in a million million.
        if tx.exec(CREATE, row).await? == 1 {
            tx.commit().await?;
            let (name, used_at, revoked_at) = (name.to_owned(), None, None);
            let key = Key { prefix, name, scopes, teams, created_at: now, expires_at, used_at, revoked_at };
            return Ok((key, secret));
        }
    }
}

/// All keys, newest first; revoked ones too.
pub async fn list(conn: &mut Conn) -> Result<Vec<Key>> {
    const LIST: &str = "SELECT prefix, name, scopes, created_at, expires_at, used_at, revoked_at, teams FROM keys \
        ORDER BY created_at DESC, prefix";
    conn.fetch(LIST, Vec::new()).await?.iter().map(read).collect()
}

/// Refuses the key with that prefix from now on; whether there was one that was still good.
pub async fn revoke(store: &Store, prefix: &str, now: Timestamp) -> Result<bool> {
    const REVOKE: &str = "UPDATE keys SET revoked_at = $1 WHERE prefix = $2 AND revoked_at IS NULL";
    let mut tx = store.write().await?;
    let revoked = tx.exec(REVOKE, args![now, prefix]).await?;
    tx.commit().await?;
    store.core.keys_revoked.fetch_add(1, Ordering::Release);
    Ok(revoked == 1)
}

impl Store {
    /// How many keys this process has revoked: whoever remembers one looks again when it changes.
    pub fn keys_revoked(&self) -> u64 {
        self.core.keys_revoked.load(Ordering::Acquire)
    }
}

/// The key with that secret, if it is good at that moment.
pub async fn find(conn: &mut Conn, secret: &str, now: Timestamp) -> Result<Option<Key>> {
    const FIND: &str = "SELECT prefix, name, scopes, created_at, expires_at, used_at, revoked_at, teams, hash FROM keys \
        WHERE prefix = $1";
    let Some((prefix, _)) = secret.rsplit_once('_') else { return Ok(None) };
    let Some(row) = conn.fetch_first(FIND, args![prefix]).await? else { return Ok(None) };
    let same: bool = row.blob(8)?.ct_eq(&hash(secret)).into();
    let key = read(&row)?;
    Ok(Some(key).filter(|key| same && key.is_good(now)))
}

/// The key with that prefix, if it is good at that moment; for who has shown the secret before.
pub async fn by_prefix(conn: &mut Conn, prefix: &str, now: Timestamp) -> Result<Option<Key>> {
    const BY_PREFIX: &str = "SELECT prefix, name, scopes, created_at, expires_at, used_at, revoked_at, teams FROM keys \
        WHERE prefix = $1";
    let row = conn.fetch_first(BY_PREFIX, args![prefix]).await?;
    Ok(row.as_ref().map(read).transpose()?.filter(|key| key.is_good(now)))
}

/// Notes that a key was used, at most once a minute.
pub async fn touch(store: &Store, key: &Key, now: Timestamp) -> Result<()> {
    const TOUCH: &str =
        "UPDATE keys SET used_at = $1 WHERE prefix = $2 AND (used_at IS NULL OR used_at <= $3)";
    let before = now.plus_ms(-MINUTE);
    if key.used_at.is_some_and(|at| at > before) {
        return Ok(());
    }
    let mut tx = store.write().await?;
    tx.exec(TOUCH, args![now, key.prefix.as_str(), before]).await?;
    tx.commit().await
}

fn read(row: &Row) -> Result<Key> {
    let scope = |word: &str| {
        word.parse().map_err(|_| Error::Unreadable { what: "key", why: format!("`{word}` is no scope") })
    };
    Ok(Key {
        prefix: row.text(0)?.to_owned(),
        name: row.text(1)?.to_owned(),
        scopes: row.text(2)?.split_whitespace().map(scope).collect::<Result<_>>()?,
        created_at: row.at(3)?,
        expires_at: row.opt_at(4)?,
        used_at: row.opt_at(5)?,
        revoked_at: row.opt_at(6)?,
        teams: row.text(7)?.split_whitespace().map(str::to_owned).collect(),
    })
}

fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// A new prefix and the whole key: `fp_PREFIX_SECRET`.
fn random() -> Result<(String, String)> {
    let mut bytes = [0; 5 + 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::File(std::io::Error::other(error)))?;
    let prefix = format!("fp_{}", to_base32(&bytes[..5]));
    let secret = format!("{prefix}_{}", to_base32(&bytes[5..]));
    Ok((prefix, secret))
}

fn to_base32(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut held) = (String::new(), 0_u32, 0_u32);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(char::from(ALPHABET[(bits >> held & 31) as usize]));
        }
    }
    if held > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - held) & 31) as usize]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_256_random_bits() {
        let (prefix, key) = random().expect("random bytes");
        let (before, secret) = key.rsplit_once('_').expect("three parts");
        assert_eq!((before, prefix.len(), secret.len()), (prefix.as_str(), 11, 52));
        assert_ne!(random().expect("random bytes").1, key);
        assert_eq!(to_base32(&[0xff, 0x00]), "zw00");
    }
}
