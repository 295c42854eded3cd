//! What is fixed when a database is created, and small facts that live as long as it.

use super::sql::args;
use super::{Access, Conn, Dialect, Error, Options, Result, Store};

/// What is fixed when a database is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The number of buckets.
    pub buckets: i64,
    /// The key that signs unsubscribe, confirm and click links: 32 bytes.
    pub link_secret: Vec<u8>,
}

/// Loads the settings, making them first in a new database.
pub(super) async fn load(store: &Store, options: &Options) -> Result<Settings> {
    match look(&mut store.read().await?).await? {
        Some(settings) => return Ok(settings),
        None if options.access == Access::Look => return Err(Error::Missing(store.place().to_owned())),
        None => {}
    }
    let mut tx = store.write().await?;
    if get(&mut tx, "buckets").await?.is_none() {
        create_buckets(&mut tx, options).await?;
    }
    if get(&mut tx, "link_secret").await?.is_none() {
        set(&mut tx, "link_secret", &to_hex(&random_bytes()?)).await?;
    }
    let made = look(&mut tx).await?;
    tx.commit().await?;
    Ok(made.expect("both were made above"))
}

/// The settings, where they were made.
async fn look(conn: &mut Conn) -> Result<Option<Settings>> {
    let (buckets, secret) = (get(conn, "buckets").await?, get(conn, "link_secret").await?);
    let (Some(buckets), Some(secret)) = (buckets, secret) else { return Ok(None) };
    Ok(Some(Settings { buckets: number(&buckets)?, link_secret: from_hex(&secret)? }))
}

/// A setting by name.
pub async fn get(conn: &mut Conn, key: &str) -> Result<Option<String>> {
    let row = conn.fetch_first("SELECT value FROM settings WHERE key = $1", args![key]).await?;
    row.map(|row| row.text(0).map(str::to_owned)).transpose()
}

/// Sets a setting, by key and value.
pub(super) const SET: &str = "INSERT INTO settings (key, value) VALUES ($1, $2) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// Sets a setting.
pub async fn set(conn: &mut Conn, key: &str, value: &str) -> Result<()> {
    conn.exec(SET, args![key, value]).await?;
    Ok(())
}

async fn create_buckets(tx: &mut Conn, options: &Options) -> Result<()> {
    let default = match tx.dialect() {
        Dialect::Sqlite => 1,
        Dialect::Postgres => 16,
    };
    let buckets = i64::from(options.buckets.unwrap_or(default).max(1));
    set(tx, "buckets", &buckets.to_string()).await?;
    for bucket in 0..buckets {
        const CREATE: &str = "INSERT INTO buckets (bucket) VALUES ($1) ON CONFLICT DO NOTHING";
        tx.exec(CREATE, args![bucket]).await?;
    }
    Ok(())
}

fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|_| Error::Unreadable { what: "setting", why: format!("`{text}` is no number") })
}

fn random_bytes() -> Result<Vec<u8>> {
    let mut bytes = vec![0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::File(std::io::Error::other(error)))?;
    Ok(bytes)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    let unreadable = || Error::Unreadable { what: "setting", why: "not hexadecimal".to_owned() };
    let digit = |i| text.get(i..i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).map(|i| digit(i).ok_or_else(unreadable)).collect()
}
