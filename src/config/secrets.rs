//! Secrets, from the environment or from files of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Config, PREFIX};
use crate::engine::program::secret_of;

/// A secret. It cannot be printed by accident: there is no `Debug` and no `Display`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret itself, for the one place that uses it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Where secrets are found: `FAHRPLAN_SECRET_NAME`, else the file that `[secrets] name_file` names.
#[derive(Clone, Default)]
pub struct Secrets {
    variables: BTreeMap<String, Secret>,
    files: BTreeMap<String, PathBuf>,
}

/// A secret that is named but cannot be had.
#[derive(Debug)]
pub enum NoSecret {
    /// Neither variable nor key exists.
    Missing,
    /// The file that the key names cannot be read.
    Unreadable(PathBuf, std::io::Error),
}

impl Secrets {
    /// The secrets of a project whose files are relative to `root`.
    pub fn new(config: &Config, root: &Path, environment: &BTreeMap<String, String>) -> Secrets {
        let variable = |(name, text): (&String, &String)| {
            let name = name.strip_prefix(PREFIX)?.strip_prefix("SECRET_")?;
            Some((name.to_lowercase(), Secret::new(text.clone())))
        };
        let file = |(name, path): (&String, &PathBuf)| (name.clone(), root.join(path));
        Secrets {
            variables: environment.iter().filter_map(variable).collect(),
            files: config.secrets.iter().map(file).collect(),
        }
    }

    /// The secret of that name. A file is read anew each time, so that it can be exchanged; a line end at its end is no part
    /// of the secret.
    pub fn get(&self, name: &str) -> Result<Secret, NoSecret> {
        if let Some(secret) = self.variables.get(&name.to_lowercase()) {
            return Ok(secret.clone());
        }
        let path = self.files.get(name).ok_or(NoSecret::Missing)?;
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Secret::new(text.trim_end_matches(['\n', '\r']))),
            Err(error) => Err(NoSecret::Unreadable(path.clone(), error)),
        }
    }

    /// A URL or text of the schema: `secret:name` is looked up, everything else is taken as it stands.
    pub fn resolve(&self, text: &str) -> Result<Secret, NoSecret> {
        match secret_of(text) {
            Some(name) => self.get(name),
            None => Ok(Secret::new(text)),
        }
    }
}

impl fmt::Display for NoSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoSecret::Missing => f.write_str("it is neither in the environment nor in `[secrets]`"),
            NoSecret::Unreadable(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
        }
    }
}
