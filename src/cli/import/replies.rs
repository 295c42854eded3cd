//! `fahrplan import replies FILE|DIR|-`: mails that came in, of a mailbox file, of a Maildir or a folder of messages, or one from a mail
//! server that pipes it here.
//!
//! A mailbox may be read as often as one likes: each mail counts once.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::check::counted;
use super::super::{Exit, Failure, Outcome, world};
use crate::clock::machine_now;
use crate::intake::mail;
use crate::link::LinkKey;
use crate::store::Store;
use crate::store::mail::{self as mails, Became};

/// The most of standard input that is read.
const LONGEST: u64 = 64 << 20;

/// Takes the mails there.
pub(super) async fn run(store: &Store, from: &Path) -> Outcome {
    let key: [u8; 32] = store
        .settings()
        .link_secret
        .as_slice()
        .try_into()
        .map_err(|_| Failure::world("the key for signed links in the database is damaged"))?;
    let (key, mut count) = (LinkKey::new(key), Count::default());
    let cannot = |path: &Path, error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    if from == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(LONGEST).read_to_end(&mut bytes).map_err(world)?;
        count.take(store, &key, &bytes).await?;
    } else if from.is_dir() {
        for path in messages(from).map_err(|error| cannot(from, error))? {
            let bytes = std::fs::read(&path).map_err(|error| cannot(&path, error))?;
            count.take(store, &key, &bytes).await?;
        }
    } else {
        count.take(store, &key, &std::fs::read(from).map_err(|error| cannot(from, error))?).await?;
    }
    count.tell();
    Ok(Exit::Fine)
}

/// The files of a Maildir, or of a folder of messages, by name: names begin with the moment.
fn messages(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let is_maildir = folder.join("cur").is_dir() || folder.join("new").is_dir();
    let folders = match is_maildir {
        true => vec![folder.join("cur"), folder.join("new")],
        false => vec![folder.to_owned()],
    };
    let mut found = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_file() && !is_hidden {
                found.push(path);
            }
        }
    }
    found.sort_by_key(|path| path.file_name().map(std::ffi::OsStr::to_owned));
    Ok(found)
}

/// The messages of a mailbox file; one that is no mailbox is a message.
pub(super) fn of_mailbox(bytes: &[u8]) -> Vec<Vec<u8>> {
    if !bytes.starts_with(b"From ") {
        return vec![bytes.to_vec()];
    }
    let (mut all, mut message, mut after_blank) = (Vec::new(), None::<Vec<u8>>, true);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if after_blank && is_divider(line) {
            all.extend(message.replace(Vec::new()));
        } else if let Some(message) = &mut message {
            // A line of the text that begins like a divider was marked so that it is none.
            let marks = line.iter().take_while(|b| **b == b'>').count();
            let is_marked = marks > 0 && line[marks..].starts_with(b"From ");
            message.extend_from_slice(if is_marked { &line[1..] } else { line });
        }
        after_blank = line.trim_ascii().is_empty();
    }
    all.extend(message);
    all
}

/// `From SENDER Mon Nov 23 10:00:00 2026`, with a time in it.
fn is_divider(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else { return false };
    let is_time = |part: &[u8]| part.len() >= 5 && part.contains(&b':') && part[0].is_ascii_digit();
    rest.split(|b| *b == b' ').any(is_time)
}

/// How many mails became what.
#[derive(Default)]
struct Count(BTreeMap<&'static str, usize>);

impl Count {
    async fn take(&mut self, store: &Store, key: &LinkKey, bytes: &[u8]) -> Result<(), Failure> {
        for message in of_mailbox(bytes) {
            let word = match mail::read(&message) {
                Some(mail) => word(mails::take(store, key, &mail, machine_now()).await.map_err(world)?),
                None if message.trim_ascii().is_empty() => continue,
                None => "no mail",
            };
            *self.0.entry(word).or_default() += 1;
        }
        Ok(())
    }

    fn tell(&self) {
        if self.0.is_empty() {
            anstream::eprintln!("there is no mail");
        }
        for (word, count) in &self.0 {
            anstream::eprintln!("{} {word}", counted(*count, "mail"));
        }
    }
}

fn word(became: Became) -> &'static str {
    match became {
        Became::Apart(_) => "kept apart, since it fits no message: `fahrplan replies list` shows it",
        Became::Automatic(_) => "written by a program, and left alone",
        Became::Repeated => "taken before",
        Became::Unclear => "that report nothing, or of a message that cannot be told",
        Became::Reported(_) => "that report what became of a message",
        Became::Replied => "taken as an answer",
        Became::Unsubscribed => "that ask for no more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_is_divided_where_its_messages_begin() {
        let mailbox = "From ada@example.org Mon Nov 23 10:00:00 2026\nFrom: a\n\nHi\n\n>From here on\nFrom nobody knows\n\n\
                       From ben@example.org Mon Nov 23 10:01:00 2026\nFrom: b\n\n>>From x\n";
        let texts = |bytes: &[u8]| -> Vec<String> {
            of_mailbox(bytes).into_iter().map(|one| String::from_utf8(one).expect("text")).collect()
        };
        assert_eq!(
            texts(mailbox.as_bytes()),
            ["From: a\n\nHi\n\nFrom here on\nFrom nobody knows\n\n", "From: b\n\n>From x\n"]
        );
        assert_eq!(texts(b"From: a\n\nFrom b 10:00\n"), ["From: a\n\nFrom b 10:00\n"]);
        assert_eq!(texts(b""), [""]);
        assert_eq!(texts(b"From "), Vec::<String>::new());
    }
}
