//! What became of the rows: counted, told, and the rejected ones kept in a file beside.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use csv::ByteRecord;

use super::super::check::counted;
use super::super::{Exit, Failure, Outcome, print, progress, world};
use crate::store::import::Imported;

/// Rejected rows that are told one by one; all are kept.
const TOLD: usize = 50;

/// What became of the rows.
pub(super) struct Report {
    rejects: PathBuf,
    out: Option<BufWriter<File>>,
    pub(super) header: Option<ByteRecord>,
    pub(super) imported: Imported,
    pub(super) taken: usize,
    pub(super) codes: usize,
    pub(super) repeated: usize,
    rejected: usize,
    told: Vec<String>,
}

impl Report {
    pub(super) fn new(file: &Path) -> Report {
        let mut rejects = file.as_os_str().to_owned();
        rejects.push(".rejected");
        let rejects = PathBuf::from(rejects);
        let imported = Imported::default();
        Report {
            rejects,
            out: None,
            header: None,
            imported,
            taken: 0,
            codes: 0,
            repeated: 0,
            rejected: 0,
            told: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, imported: Imported) {
        self.imported.new += imported.new;
        self.imported.known += imported.known;
        self.imported.bereft.extend(imported.bereft);
        self.imported.left_out += imported.left_out;
        self.imported.withdrawn += imported.withdrawn;
        self.imported.two_people += imported.two_people;
        progress(&format!("{} contacts", self.imported.new + self.imported.known));
    }

    pub(super) fn note(&mut self, text: &str) {
        self.told.push(text.to_owned());
    }

    pub(super) fn reject_row(&mut self, line: u64, record: &ByteRecord, why: &str) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(&mut bytes);
        writer.write_byte_record(record).and_then(|()| Ok(writer.flush()?)).map_err(world)?;
        drop(writer);
        self.reject(line, &bytes, why)
    }

    pub(super) fn reject_line(&mut self, line: u64, bytes: &[u8], why: &str) -> Result<(), Failure> {
        self.reject(line, &[bytes, b"\n"].concat(), why)
    }

    fn reject(&mut self, line: u64, bytes: &[u8], why: &str) -> Result<(), Failure> {
        self.rejected += 1;
        if self.rejected <= TOLD {
            self.told.push(format!("line {line}: {why}"));
        }
        if self.out.is_none() {
            // Rows of people: for the eyes of whoever imports them.
            let mut options = File::options();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            let file = options
                .open(&self.rejects)
                .map_err(|error| world(format!("{}: {error}", self.rejects.display())))?;
            let mut out = BufWriter::new(file);
            if let Some(header) = &self.header {
                let mut writer = csv::Writer::from_writer(&mut out);
                writer.write_byte_record(header).map_err(world)?;
                writer.flush().map_err(world)?;
            }
            self.out = Some(out);
        }
        let out = self.out.as_mut().expect("opened above");
        out.write_all(bytes).map_err(world)
    }

    pub(super) fn must_be_clean(self) -> Result<(), Failure> {
        match self.told.first() {
            None => Ok(()),
            Some(told) => Err(Failure::world(format!("the built-in data does not fit: {told}"))),
        }
    }

    pub(super) fn finish(mut self) -> Outcome {
        if let Some(out) = &mut self.out {
            out.flush().map_err(world)?;
        }
        let mut text = String::new();
        for told in &self.told {
            text.push_str(&format!("{told}\n"));
        }
        if self.rejected > TOLD {
            text.push_str(&format!("… and {} more\n", self.rejected - TOLD));
        }
        let bereft = &self.imported.bereft;
        for contact in bereft.iter().take(TOLD) {
            text.push_str(&format!(
                "{contact} has no e-mail address any more: another contact was named with it\n"
            ));
        }
        if bereft.len() > TOLD {
            text.push_str(&format!("… and {} more\n", bereft.len() - TOLD));
        }
        if self.imported.left_out > 0 {
            text.push_str(&format!(
                "{} e-mail addresses were left out: they belong to contacts with a user id, and their rows have none\n",
                self.imported.left_out
            ));
        }
        if self.imported.two_people > 0 {
            text.push_str(&format!(
                "{} left out: they say that two people are one, who both have a user id\n",
                counted(self.imported.two_people, "alias")
            ));
        }
        let mut parts = Vec::new();
        for (count, what) in [
            (self.imported.new, "new contact"),
            (self.imported.known, "known contact"),
            (self.taken, "event"),
            (self.codes, "new code"),
        ] {
            if count > 0 {
                parts.push(counted(count, what));
            }
        }
        for (count, what) in [(self.repeated, "seen before"), (self.rejected, "rejected")] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        text.push_str(&if parts.is_empty() { "nothing to import".to_owned() } else { parts.join(", ") });
        if self.rejected > 0 {
            text.push_str(&format!("; the rejected rows stand in {}", self.rejects.display()));
        }
        text.push('\n');
        if self.imported.withdrawn > 0 {
            text.push_str(&format!(
                "{} without a date left out: these people have withdrawn, and the file does not say that they agreed again since; a column \
                 consent_…_at would\n",
                counted(self.imported.withdrawn, "consent"),
            ));
        }
        print(&text)?;
        Ok(if self.rejected > 0 { Exit::Findings } else { Exit::Fine })
    }
}
