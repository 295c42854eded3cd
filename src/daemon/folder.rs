//! A folder that others take: written beside its place under a name that begins with a dot, synced, and renamed. So what has its name
//! is whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Error, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What went wrong, and with which file.
pub(super) type Result<T> = std::result::Result<T, (PathBuf, Error)>;

/// A folder that is being written.
pub(super) struct Put {
    place: PathBuf,
    target: PathBuf,
    files: Vec<PathBuf>,
    /// The mode of its files.
    mode: u32,
}

fn at<T>(path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| (path.to_owned(), error))
}

impl Put {
    /// Begins anew, whatever a process that was killed has left.
    pub(super) fn begin(folder: &Path, name: &str) -> Result<Put> {
        // Names and addresses are nobody else's.
        at(folder, DirBuilder::new().recursive(true).mode(0o750).create(folder))?;
        let place = folder.join(format!(".{name}.{}", std::process::id()));
        let beginning = format!(".{name}.");
        for entry in at(folder, fs::read_dir(folder))?.flatten() {
            let is_left = entry.file_name().to_str().is_some_and(|left| left.starts_with(&beginning));
            if is_left {
                at(&entry.path(), fs::remove_dir_all(entry.path()))?;
            }
        }
        at(&place, DirBuilder::new().mode(0o750).create(&place))?;
        Ok(Put { place, target: folder.join(name), files: Vec::new(), mode: 0o640 })
    }

    /// With files that are nobody else's.
    pub(super) fn closed(self) -> Put {
        Put { mode: 0o600, ..self }
    }

    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Puts a file in.
    pub(super) fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.open(name)?.write(bytes)
    }

    /// Puts a file in that is written piece by piece.
    pub(super) fn open(&mut self, name: &str) -> Result<Open> {
        let path = self.place.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(self.mode);
        let file = at(&path, options.open(&path))?;
        self.files.push(path.clone());
        Ok(Open { path, file })
    }

    /// Makes it durable and gives it its name; whether it was there already, with the same bytes. Another one of that name is kept
    /// beside it: somebody may have taken it.
    pub(super) fn end(self) -> Result<bool> {
        for path in self.files.iter().chain([&self.place]) {
            at(path, File::open(path).and_then(|file| file.sync_all()))?;
        }
        let was_there = self.target.exists();
        if was_there && at(&self.target, is_same(&self.place, &self.target))? {
            at(&self.place, fs::remove_dir_all(&self.place))?;
            return Ok(true);
        }
        if was_there {
            let aside = (1..).map(|n| with_suffix(&self.target, n)).find(|path| !path.exists());
            let aside = aside.unwrap_or_else(|| with_suffix(&self.target, 0));
            tracing::warn!(
                folder = %self.target.display(), kept = %aside.display(),
                "a folder of that name was there with other content; it was kept under another name"
            );
            at(&self.target, fs::rename(&self.target, &aside))?;
        }
        at(&self.target, fs::rename(&self.place, &self.target))?;
        let parent = self.target.parent().unwrap_or(Path::new("."));
        at(parent, File::open(parent).and_then(|folder| folder.sync_all()))?;
        Ok(false)
    }
}

/// A file of a folder, to which more comes.
pub(super) struct Open {
    path: PathBuf,
    file: File,
}

impl Open {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        at(&self.path, self.file.write_all(bytes))
    }
}

fn with_suffix(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".other-{number}"));
    name.into()
}

/// Whether two folders hold the same files.
fn is_same(one: &Path, other: &Path) -> std::io::Result<bool> {
    let names = |folder: &Path| -> std::io::Result<Vec<_>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name());
        }
        names.sort();
        Ok(names)
    };
    let files = names(one)?;
    if files != names(other)? {
        return Ok(false);
    }
    for name in files {
        if !is_equal(&one.join(&name), &other.join(&name))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two files hold the same bytes, of which few are in memory.
fn is_equal(one: &Path, other: &Path) -> std::io::Result<bool> {
    let [mut one, mut other] = [BufReader::new(File::open(one)?), BufReader::new(File::open(other)?)];
    loop {
        let (first, second) = (one.fill_buf()?, other.fill_buf()?);
        let both = first.len().min(second.len());
        if both == 0 {
            return Ok(first.len() == second.len());
        }
        if first[..both] != second[..both] {
            return Ok(false);
        }
        one.consume(both);
        other.consume(both);
    }
}
