//! Files that a command writes where somebody says: whole or as they were, and never over a file that is not of the same making.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Result, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::Failure;

/// Writes a file of that mode. One of that name is replaced if it is empty or of the same making, and keeps its mode; else it is
/// refused. What is no file, as `/dev/stdout`, just takes the bytes.
pub(super) fn put(
    path: &Path,
    mode: u32,
    bytes: &[u8],
    is_ours: impl FnOnce(&[u8]) -> bool,
) -> std::result::Result<(), Failure> {
    let broke = |error: std::io::Error| Failure::world(format!("{}: {error}", path.display()));
    let there = fs::symlink_metadata(path).is_ok();
    // What is behind a link; nothing if that is gone.
    let found = found(path).map_err(broke)?;
    let taken = match &found {
        Some(found) if found.is_dir() => true,
        Some(found) if !found.is_file() => {
            let opened = OpenOptions::new().write(true).open(path);
            return opened.and_then(|mut other| other.write_all(bytes)).map_err(broke);
        }
        Some(found) => found.len() > 0 && !is_ours(&fs::read(path).map_err(broke)?),
        None => there,
    };
    if taken {
        let message = format!("{} is there already, and is not of this making", path.display());
        return Err(Failure::usage(message).help("nothing was written; name another file"));
    }
    let mode = found.map_or(mode, |found| found.permissions().mode());
    let target = if there { fs::canonicalize(path).map_err(broke)? } else { path.to_owned() };
    replace(&target, mode, bytes).map_err(broke)
}

/// Writes a file as a whole: a crash leaves what was there or all of the new.
pub(super) fn replace(target: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    let beside = beside(target);
    let written = write(&beside, mode, bytes).and_then(|()| fs::rename(&beside, target));
    written.inspect_err(|_| _ = fs::remove_file(&beside))
}

fn found(path: &Path) -> Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where it is written until it is whole: hidden, and another one for each process.
fn beside(target: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    target.with_file_name(name)
}

fn write(beside: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    // What a process of the same number has left is nobody's.
    let _ = fs::remove_file(beside);
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    file.write_all(bytes)?;
    file.set_permissions(fs::Permissions::from_mode(mode & 0o777))?;
    file.sync_all()
}
