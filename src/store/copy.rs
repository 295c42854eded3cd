//! A copy of the database while it is in use: of one moment, whole or not there at all, and marked, so that sending starts paused where
//! it is restored (see `home`).
//!
//! It is made beside its place, as `FILE.part`, looked through, synced, and only then given its name. A copy that was killed leaves
//! the part, which the next one writes over. SQLite copies itself (`VACUUM INTO`, which needs no lock that a writer wants); PostgreSQL is
//! asked by its own `pg_dump`, which has to be there.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use sqlx::{Connection as _, PgConnection};
use tokio::process::Command;

use super::dialect::{Dialect, Texts};
use super::lite::{Bound, Statements as _, aside};
use super::sql::args;
use super::{Access, Error, home, reach, settings};
use crate::time::Timestamp;

/// The mode of a file with personal data.
const PRIVATE: u32 = 0o600;

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// What was copied, for people.
    pub place: String,
    pub bytes: u64,
}

/// Why there is no copy.
#[derive(Debug)]
pub enum NoCopy {
    Store(Error),
    /// There is something of that name already.
    Exists,
    /// Another process writes the same copy at this moment.
    Busy,
    /// The file cannot be written.
    File(std::io::Error),
    /// The copy was made, and is not what it should be.
    Damaged(String),
    /// `pg_dump` or `pg_restore` is not there.
    NoTool(&'static str),
    /// It was there, and failed.
    Tool(&'static str, String),
}

impl fmt::Display for NoCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoCopy::Store(error) => error.fmt(f),
            NoCopy::Exists => f.write_str("there is a file of that name already"),
            NoCopy::Busy => f.write_str("another backup writes this file at the moment"),
            NoCopy::File(error) => write!(f, "it cannot be written: {error}"),
            NoCopy::Damaged(what) => write!(f, "the copy is damaged: {what}"),
            NoCopy::NoTool(tool) => write!(f, "`{tool}` is not installed here"),
            NoCopy::Tool(tool, said) => write!(f, "`{tool}` failed: {said}"),
        }
    }
}

impl std::error::Error for NoCopy {}

impl From<Error> for NoCopy {
    fn from(error: Error) -> NoCopy {
        NoCopy::Store(error)
    }
}

impl From<rusqlite::Error> for NoCopy {
    fn from(error: rusqlite::Error) -> NoCopy {
        NoCopy::Store(error.into())
    }
}

/// Copies the database of that URL, whatever schema it has, into a new file.
pub async fn make(url: &str, file: &Path, now: Timestamp) -> Result<Copied, NoCopy> {
    let place = reach::place(url)?;
    reach::reach(url, Access::Look).await.map_err(|error| error.at(&place))?;
    let part = Part::begin(file)?;
    match reach::sqlite_path(url) {
        Some(path) => {
            aside(|| copy_sqlite(Path::new(path), &part.path, now)).map_err(|error| error.at(&place))?;
        }
        None => dump(url, &part.path).await?,
    }
    let bytes = part.finish(file)?;
    Ok(Copied { place, bytes })
}

impl NoCopy {
    fn at(self, place: &str) -> NoCopy {
        match self {
            NoCopy::Store(error) => NoCopy::Store(error.at(place)),
            other => other,
        }
    }
}

// ---------------------------------------------------------------- the file

/// A copy that is not finished: removed when it is dropped.
struct Part {
    path: PathBuf,
    /// Locked as long as somebody writes it.
    file: File,
}

impl Part {
    fn begin(target: &Path) -> Result<Part, NoCopy> {
        if fs::symlink_metadata(target).is_ok() {
            return Err(NoCopy::Exists);
        }
        let mut name = target.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let mut file = Part::open(&path)?;
        // One that was killed has left the second name of a copy that it had finished. The copy is somebody's.
        if file.metadata().map_err(NoCopy::File)?.nlink() > 1 {
            fs::remove_file(&path).map_err(NoCopy::File)?;
            file = Part::open(&path)?;
        }
        // What a killed one has left of a copy that it had not finished.
        file.set_len(0).map_err(NoCopy::File)?;
        Ok(Part { path, file })
    }

    /// Opens it for one writer.
    fn open(path: &Path) -> Result<File, NoCopy> {
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE).open(path);
        let file = opened.map_err(NoCopy::File)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(NoCopy::Busy),
            Err(TryLockError::Error(error)) => Err(NoCopy::File(error)),
        }
    }

    /// Gives the copy its name, durably; its size.
    fn finish(self, target: &Path) -> Result<u64, NoCopy> {
        let finished = || {
            self.file.sync_all()?;
            let bytes = self.file.metadata()?.len();
            name(&self.path, target)?;
            let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(bytes)
        };
        finished().map_err(|error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => NoCopy::Exists,
            _ => NoCopy::File(error),
        })
    }
}

/// Lets a file have another name, unless something has it already.
fn name(from: &Path, to: &Path) -> std::io::Result<()> {
    match fs::hard_link(from, to) {
        // Some file systems know no second name.
        Err(error) if error.kind() != ErrorKind::AlreadyExists && fs::symlink_metadata(to).is_err() => {
            fs::rename(from, to)
        }
        linked => linked,
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let mut journal = self.path.as_os_str().to_owned();
        journal.push("-journal");
        let _ = fs::remove_file(journal);
    }
}

// ---------------------------------------------------------------- SQLite

fn copy_sqlite(from: &Path, to: &Path, now: Timestamp) -> Result<(), NoCopy> {
    let conn = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.busy_timeout(Duration::from_secs(30))?;
    let to_name = to.to_string_lossy().into_owned();
    conn.run("VACUUM INTO ?1", &Bound::once(args![to_name]))?;
    drop(conn);
    let conn = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.execute_batch("PRAGMA journal_mode = MEMORY")?;
    look_through(&conn, now)
}

/// Marks the copy, and looks whether it is whole.
fn look_through(conn: &Connection, now: Timestamp) -> Result<(), NoCopy> {
    let set = Texts::new(Dialect::Sqlite).single(settings::SET);
    conn.run(&set, &Bound::once(args![home::KEY, home::copied_at(now)]))?;
    let found = conn.query("PRAGMA quick_check(5)", &Bound::default())?;
    for row in found.rows() {
        match row.text(0)? {
            Some("ok") | None => {}
            Some(damage) => return Err(NoCopy::Damaged(damage.to_owned())),
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- PostgreSQL

const DUMP: &str = "pg_dump";
const RESTORE: &str = "pg_restore";

async fn dump(url: &str, to: &Path) -> Result<(), NoCopy> {
    let place = reach::place(url)?;
    let schema = schema(url).await.map_err(|error| NoCopy::Store(Error::from(error).at(&place)))?;
    let (url, password) = without_password(url);
    let mut dump = Command::new(DUMP);
    dump.args(["--format=custom", "--no-password", "--no-owner", "--no-privileges", "--file"]).arg(to);
    dump.arg("--dbname").arg(url);
    // Ours may be one of several in the database.
    if schema != "public" {
        dump.arg("--schema").arg(schema);
    }
    if let Some(password) = password {
        dump.env("PGPASSWORD", password);
    }
    run(DUMP, dump).await?;
    // Reads all of it, and writes it nowhere.
    let mut read = Command::new(RESTORE);
    read.arg("--file=/dev/null").arg(to);
    run(RESTORE, read).await.map_err(|error| match error {
        NoCopy::Tool(_, said) => NoCopy::Damaged(said),
        other => other,
    })
}

async fn schema(url: &str) -> Result<String, sqlx::Error> {
    let mut conn = PgConnection::connect(url).await?;
    let schema = sqlx::query_scalar("SELECT CAST(current_schema() AS TEXT)").fetch_one(&mut conn).await;
    conn.close().await?;
    schema
}

async fn run(tool: &'static str, mut command: Command) -> Result<(), NoCopy> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let ended = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(NoCopy::NoTool(tool)),
        started => started.map_err(NoCopy::File)?.wait_with_output().await.map_err(NoCopy::File)?,
    };
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    Err(NoCopy::Tool(tool, last.to_owned()))
}

/// A URL without its password, which the list of processes would show, and the password.
fn without_password(url: &str) -> (String, Option<String>) {
    let whole = || (url.to_owned(), None);
    let Some((scheme, rest)) = url.split_once("://") else { return whole() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((login, host)) = rest[..end].rsplit_once('@') else { return whole() };
    let Some((name, password)) = login.split_once(':') else { return whole() };
    let password = percent_decoded(password);
    (format!("{scheme}://{name}@{host}{}", &rest[end..]), Some(password))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_in_a_list_of_processes() {
        for (url, shown, password) in [
            ("postgres://u:p%40w@h:1/d?x=a:b@c", "postgres://u@h:1/d?x=a:b@c", Some("p@w")),
            ("postgres://u@h/d", "postgres://u@h/d", None),
            ("postgres://h/d", "postgres://h/d", None),
            ("postgres://u:100%@h/d", "postgres://u@h/d", Some("100%")),
        ] {
            assert_eq!(without_password(url), (shown.to_owned(), password.map(str::to_owned)), "{url}");
        }
    }
}
