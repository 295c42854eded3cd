//! A folder for one measurement.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::super::{Failure, world};
use crate::clock::machine_now;

/// Made anew, and gone with this value: a database of millions shall not stay behind, however a run ends.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(what: &str) -> Result<Folder, Failure> {
        let name = format!("fahrplan-{what}-{}-{}", std::process::id(), machine_now().0);
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).map_err(world)?;
        Ok(folder)
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
