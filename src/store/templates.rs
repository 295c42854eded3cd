//! Templates as they are deployed: the files, the languages they fall back to, and what they call the sender.
//!
//! Each text is stored once, by the hash of its content; each deploy has a list of its files. So what a deployed version writes is
//! known for as long as somebody is on their way in it, whatever lies in the project's folder by now.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::sql::args;
use super::{Conn, Error, Result, Rows};
use crate::lang::template::LocaleChain;
use crate::time::Timestamp;

/// Everything that the texts of messages are made of, beside the contact and the journey.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates {
    /// Path below `templates/`, text.
    pub files: BTreeMap<String, String>,
    /// Scripts of tasks: path such as `calls/winback.md`, text.
    pub scripts: BTreeMap<String, String>,
    /// The project's language, for contacts whose own is unknown.
    pub locale: String,
    /// `de-AT` gives `de`, `en`.
    pub fallbacks: BTreeMap<String, Vec<String>>,
    /// Free texts about the sender.
    pub brand: BTreeMap<String, String>,
}

/// The list that a deploy has of its templates: the same with the hash of each text in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub files: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scripts: BTreeMap<String, String>,
    pub locale: String,
    pub fallbacks: BTreeMap<String, Vec<String>>,
    pub brand: BTreeMap<String, String>,
}

impl Templates {
    /// Which languages are tried for a contact.
    pub fn chain(&self) -> LocaleChain {
        LocaleChain { project: self.locale.clone(), fallbacks: self.fallbacks.clone() }
    }

    /// The list of them.
    pub fn manifest(&self) -> Manifest {
        Manifest {
            files: hashes(&self.files),
            scripts: hashes(&self.scripts),
            locale: self.locale.clone(),
            fallbacks: self.fallbacks.clone(),
            brand: self.brand.clone(),
        }
    }
}

fn hashes(texts: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    texts.iter().map(|(path, text)| (path.clone(), hash(text))).collect()
}

impl Manifest {
    /// What the newer list has that this one has not, in words, one thing a line.
    pub fn changes(&self, newer: &Manifest) -> Vec<String> {
        let mut changes = differences("templates/", &self.files, &newer.files);
        changes.extend(differences("", &self.scripts, &newer.scripts));
        if self.locale != newer.locale || self.fallbacks != newer.fallbacks {
            changes.push("~ locales  changed".to_owned());
        }
        if self.brand != newer.brand {
            changes.push("~ brand  changed".to_owned());
        }
        changes
    }

    /// Whether some file belongs to this template.
    pub fn has(&self, template: &str) -> bool {
        self.files.keys().any(|path| path.strip_prefix(template).is_some_and(|rest| rest.starts_with('/')))
    }
}

fn differences(
    folder: &str,
    older: &BTreeMap<String, String>,
    newer: &BTreeMap<String, String>,
) -> Vec<String> {
    let paths: BTreeSet<&String> = older.keys().chain(newer.keys()).collect();
    let change = |path: &String| match (older.get(path), newer.get(path)) {
        (None, Some(_)) => Some(format!("+ {folder}{path}  new")),
        (Some(_), None) => Some(format!("- {folder}{path}  gone")),
        (before, after) => (before != after).then(|| format!("~ {folder}{path}  changed")),
    };
    paths.into_iter().filter_map(change).collect()
}

pub(super) fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

/// Stores the texts that are not there yet; their list as it stands beside a deploy.
pub(super) async fn keep(tx: &mut Conn, templates: &Templates, now: Timestamp) -> Result<String> {
    const KEEP: &str = "INSERT INTO texts (hash, text, made_at) {TTI} ON CONFLICT DO NOTHING";
    // One statement must not meet the same text twice, and two processes must not meet each other.
    let texts: BTreeMap<String, &String> =
        templates.files.values().chain(templates.scripts.values()).map(|text| (hash(text), text)).collect();
    let mut rows = Rows::with_capacity(texts.len() * 3);
    for (hash, text) in texts {
        rows.push([hash.into(), text.as_str().into(), now.into()]);
    }
    tx.exec_rows(KEEP, rows, &[]).await?;
    Ok(serde_json::to_string(&templates.manifest()).expect("a list of texts has no keys but texts"))
}

/// The list of that deploy; an empty one before the first.
pub async fn manifest(conn: &mut Conn, generation: i64) -> Result<Manifest> {
    const LIST: &str = "SELECT templates FROM deployments WHERE generation = $1";
    match conn.fetch_first(LIST, args![generation]).await? {
        Some(row) => read(row.text(0)?),
        None => Ok(Manifest::default()),
    }
}

/// The newest deploy up to that one which has the template; if there is none, the first one after it.
pub async fn nearest_with(conn: &mut Conn, template: &str, generation: i64) -> Result<Option<i64>> {
    const LISTS: &str = "SELECT generation, templates FROM deployments ORDER BY generation";
    let mut nearest = None;
    for row in conn.fetch(LISTS, Vec::new()).await? {
        let this = row.i64(0)?;
        if this > generation && nearest.is_some() {
            break;
        }
        if read(row.text(1)?)?.has(template) {
            nearest = Some(this);
        }
    }
    Ok(nearest)
}

/// The templates of that deploy.
pub async fn load(conn: &mut Conn, generation: i64) -> Result<Templates> {
    let manifest = manifest(conn, generation).await?;
    const TEXTS: &str = "WITH n(hash) AS ({T}) SELECT texts.hash, texts.text FROM n CROSS JOIN texts WHERE texts.hash = n.hash";
    let mut rows = Rows::default();
    for hash in manifest.files.values().chain(manifest.scripts.values()).collect::<BTreeSet<_>>() {
        rows.push([hash.as_str().into()]);
    }
    let mut texts = BTreeMap::new();
    for row in conn.fetch_rows(TEXTS, rows, &[]).await? {
        texts.insert(row.text(0)?.to_owned(), row.text(1)?.to_owned());
    }
    let missing = |path: &str| Error::Unreadable { what: "template", why: format!("{path} was not kept") };
    let text = |(path, hash): (String, String)| {
        let text = texts.get(&hash).cloned().ok_or_else(|| missing(&path))?;
        Ok((path, text))
    };
    Ok(Templates {
        files: manifest.files.into_iter().map(text).collect::<Result<_>>()?,
        scripts: manifest.scripts.into_iter().map(text).collect::<Result<_>>()?,
        locale: manifest.locale,
        fallbacks: manifest.fallbacks,
        brand: manifest.brand,
    })
}

pub(super) fn read(list: &str) -> Result<Manifest> {
    serde_json::from_str(list)
        .map_err(|why| Error::Unreadable { what: "list of templates", why: why.to_string() })
}
