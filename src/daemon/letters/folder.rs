//! The folder of a batch: written beside its place under a name that begins with a dot, synced, and renamed. So what has the batch's
//! name is whole.

use std::fs::{self, DirBuilder, File};
use std::io::Error;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::Sheet;
use crate::channels::letter::LONGEST_ADDRESS;

/// What went wrong, and with which file.
type Result<T> = std::result::Result<T, (PathBuf, Error)>;

/// The list of what is in the folder.
const LIST: &str = "addresses.csv";

/// The letters that were put in.
#[derive(Default)]
pub(super) struct Printed {
    rows: Vec<Vec<String>>,
    files: Vec<PathBuf>,
}

impl Printed {
    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }
}

/// A folder that is being written.
pub(super) struct Put {
    place: PathBuf,
    target: PathBuf,
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
        at(&place, fs::create_dir(&place))?;
        Ok(Put { place, target: folder.join(name) })
    }

    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Puts a letter in.
    pub(super) fn add(&mut self, printed: &mut Printed, sheet: &Sheet) -> Result<()> {
        let name = format!("{:06}-{}.pdf", printed.rows.len() + 1, sheet.id);
        let path = self.place.join(&name);
        at(&path, fs::write(&path, &sheet.pdf))?;
        let mut row = vec![name, sheet.id.to_string(), sheet.code.clone(), sheet.locale.clone()];
        row.extend(sheet.lines.iter().cloned());
        row.resize(4 + LONGEST_ADDRESS, String::new());
        printed.rows.push(row);
        printed.files.push(path);
        Ok(())
    }

    /// Makes it durable and gives it its name; whether it was there already, with the same bytes. Another one of that name is kept
    /// beside it: somebody may have printed it.
    pub(super) fn end(self, printed: &Printed) -> Result<bool> {
        let list = self.place.join(LIST);
        at(&list, fs::write(&list, addresses(&printed.rows)))?;
        for path in printed.files.iter().chain([&list, &self.place]) {
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
                "a folder of that name was there with other letters; it was kept under another name"
            );
            at(&self.target, fs::rename(&self.target, &aside))?;
        }
        at(&self.target, fs::rename(&self.place, &self.target))?;
        let parent = self.target.parent().unwrap_or(Path::new("."));
        at(parent, File::open(parent).and_then(|folder| folder.sync_all()))?;
        Ok(false)
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
        if fs::read(one.join(&name))? != fs::read(other.join(&name))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The list as CSV: file, delivery, code, language, lines of the address.
fn addresses(rows: &[Vec<String>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut head = ["file", "delivery", "code", "locale"].map(str::to_owned).to_vec();
    head.extend((1..=LONGEST_ADDRESS).map(|line| format!("line_{line}")));
    let mut writer = csv::Writer::from_writer(&mut out);
    let written = std::iter::once(&head)
        .chain(rows)
        .try_for_each(|row| writer.write_record(row.iter().map(|cell| harmless(cell))));
    written.and_then(|()| writer.flush().map_err(Into::into)).expect("a list in memory takes everything");
    drop(writer);
    out
}

/// A cell that no spreadsheet takes for a formula.
fn harmless(cell: &str) -> String {
    match cell.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{cell}"),
        _ => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_breaks_its_row() {
        let row = [
            "a.pdf",
            "dl_1",
            "K7QM",
            "de",
            "=HYPERLINK(\"x\")",
            "+49",
            "-1",
            "@a",
            "Weg \"7\", Hof",
            "",
            "",
            "",
        ];
        let csv = String::from_utf8(addresses(&[row.map(str::to_owned).to_vec()])).expect("text");
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let read: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
        assert_eq!(read.len(), 1);
        assert_eq!(&read[0][4], "'=HYPERLINK(\"x\")");
        assert_eq!([&read[0][5], &read[0][6], &read[0][7]], ["'+49", "'-1", "'@a"]);
        assert_eq!(&read[0][8], "Weg \"7\", Hof");
    }
}
