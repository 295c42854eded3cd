//! Whether a database is there at all, found out before it is opened, and told in a few seconds: which one, and why not.
//!
//! A pool would try for long and then say no more than that it tried. Here is also where a SQLite file is made, so that only its owner
//! can read it: the database copies the mode of the file for its log.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::{Access, Error, Result, Store, settings};

/// How long a server may take to answer the first call.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to say why it gives no connection.
const WHY: Duration = Duration::from_millis(500);
/// The mode of a file with personal data.
const PRIVATE: u32 = 0o600;

/// Where a database is, for people; never with a user or a password.
pub(super) fn place(url: &str) -> Result<String> {
    if let Some(path) = sqlite_path(url) {
        return Ok(format!("the SQLite database {path}"));
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(Error::Url(url.split_once("://").map_or(url, |(scheme, _)| scheme).to_owned()));
    }
    let options = PgConnectOptions::from_str(url)?;
    let name = options.get_database().map_or_else(String::new, |name| format!(" `{name}`"));
    Ok(match options.get_socket() {
        Some(folder) => format!("the PostgreSQL database{name} at {}", folder.display()),
        None => format!("the PostgreSQL database{name} at {}:{}", options.get_host(), options.get_port()),
    })
}

pub(super) fn sqlite_path(url: &str) -> Option<&str> {
    url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path))
}

/// Makes sure that there is something to open.
pub(super) async fn reach(url: &str, access: Access) -> Result<()> {
    match sqlite_path(url) {
        Some(path) => reach_file(Path::new(path), access, url),
        None => call(url, PATIENCE).await,
    }
}

fn reach_file(path: &Path, access: Access, url: &str) -> Result<()> {
    if access == Access::Create {
        let made = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path);
        return match made {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(Error::File(error)),
            _ => Ok(()),
        };
    }
    match fs::metadata(path) {
        // An empty file is what a start without room leaves behind.
        Ok(file) if !file.is_file() || file.len() > 0 => Ok(()),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::File(error)),
        _ => Err(Error::Missing(place(url)?)),
    }
}

/// Calls a PostgreSQL server.
async fn call(url: &str, patience: Duration) -> Result<()> {
    let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
    match tokio::time::timeout(patience, options.connect()).await {
        Ok(connected) => Ok(connected?.close().await?),
        Err(_) => Err(Error::Silent(patience)),
    }
}

impl Store {
    /// Whether the database answers, within a time that whoever watches over us can wait. An error names the database.
    pub async fn answers(&self, within: Duration) -> Result<()> {
        let store = self.clone();
        // In a task of its own: a disk that hangs holds up the thread that reads from it.
        let look =
            tokio::spawn(async move { settings::get(&mut store.read().await?, "buckets").await.map(drop) });
        let answered = match tokio::time::timeout(within.saturating_sub(WHY), look).await {
            Ok(answered) => answered.unwrap_or(Err(Error::Closed)),
            Err(_) if sqlite_path(&self.core.url).is_some() => Err(Error::Silent(within)),
            // The pool does not say why; a call of our own does.
            Err(_) => call(&self.core.url, WHY).await.and(Err(Error::Silent(within))),
        };
        answered.map_err(|error| error.at(self.place()))
    }

    /// Where the database is, for people; without user and password.
    pub fn place(&self) -> &str {
        &self.core.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_the_host_and_never_the_password() {
        let place = |url| place(url).expect("a place");
        assert_eq!(place("sqlite:/srv/shop.db"), "the SQLite database /srv/shop.db");
        assert_eq!(
            place("postgres://shop:geheim@db.example.org:6543/shop?options=-c%20a%3Db"),
            "the PostgreSQL database `shop` at db.example.org:6543"
        );
        assert_eq!(place("postgres://u@%2Frun%2Fpg/shop"), "the PostgreSQL database `shop` at /run/pg");
    }
}
