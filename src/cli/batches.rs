//! What `fahrplan letters` and `fahrplan audiences` have in common: where batches go, and how it is told what became of them.

use std::path::Path;

use super::load::Project;
use super::serve::{others, outlet, sender_of};
use super::{Failure, world};
use crate::daemon::Outlet;
use crate::daemon::letters::Error;
use crate::store::Store;
use crate::time::Timestamp;

/// Where the batches of a project go, as `serve` has it.
pub(super) fn outlet_of(project: &Project, store: &Store) -> Result<Outlet, Failure> {
    let mut config = project.config.clone();
    config.brakes.file = project.switch();
    config.letters.folder = project.letters();
    config.audiences.folder = project.audiences();
    outlet(store, &config, others(&config, project.secrets())?, sender_of(&config)?, false)
}

/// A batch in one word or two; `made` is how it becomes done.
pub(super) fn state(recorded_at: Option<Timestamp>, is_closed: bool, made: &'static str) -> &'static str {
    match (recorded_at, is_closed) {
        (Some(_), _) => "done",
        (None, true) => made,
        (None, false) => "being cut",
    }
}

/// Why batches of `letters` or `audiences` were not made.
pub(super) fn failed(of: &'static str) -> impl Fn(Error) -> Failure {
    move |error| match error {
        Error::Store(error) => world(error),
        error @ Error::Elsewhere => Failure::world(error.to_string())
            .help(format!("try again when it is done; `fahrplan {of} list` shows it")),
        error => Failure::world(error.to_string()),
    }
}

/// All sending is paused.
pub(super) fn paused(of: &str) -> Failure {
    Failure::usage(format!("sending is paused, and {of} with it")).help("`fahrplan resume` ends that")
}

/// There is no batch of that name.
pub(super) fn unknown(name: &str, of: &str) -> Failure {
    Failure::usage(format!("no batch is called `{name}`")).help(format!("`fahrplan {of} list` shows them"))
}

/// It is not to be made again yet.
pub(super) fn not_done(name: &str, of: &str) -> Failure {
    Failure::usage(format!("`{name}` is not done yet"))
        .help(format!("the daemon finishes it, or `fahrplan {of} cut`"))
}

/// A batch that another process works on.
pub(super) fn in_hand(batch: &str, of: &str) -> Failure {
    Failure::world(format!("`{batch}` is not written yet: another process has it in hand"))
        .help(format!("try again in a few minutes; `fahrplan {of} list` shows when it is done"))
}

/// Where a batch lies, to be put behind what it is.
pub(super) fn place(folder: Option<&Path>, was_there: bool) -> String {
    match folder {
        Some(folder) if was_there => format!(", in {}, as they were", folder.display()),
        Some(folder) => format!(", in {}", folder.display()),
        None => String::new(),
    }
}
