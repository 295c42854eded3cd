//! `fahrplan backup`: a copy of the database while it is in use.

use super::load::Project;
use super::{BackupArgs, Exit, Failure, Outcome, block_on, not_open, print};
use crate::clock::machine_now;
use crate::store::copy::{self, Copied, NoCopy};

/// Runs the command.
pub fn run(args: &BackupArgs) -> Outcome {
    block_on(backup(args))
}

async fn backup(args: &BackupArgs) -> Outcome {
    let project = Project::of(&[])?;
    let url = project.database_url();
    let Copied { place, bytes } =
        copy::make(&url, &args.file, machine_now()).await.map_err(|error| refused(error, args))?;
    print(&format!(
        "Copied {place} to {}: {}, checked.\nWhere it is restored, sending starts paused.\n",
        args.file.display(),
        in_bytes(bytes)
    ))?;
    Ok(Exit::Fine)
}

fn refused(error: NoCopy, args: &BackupArgs) -> Failure {
    let file = args.file.display();
    match error {
        NoCopy::Store(error) => not_open(error),
        NoCopy::Exists => {
            Failure::usage(format!("{file} is there already")).help("nothing was written; name another file")
        }
        NoCopy::NoTool(_) => Failure::world(format!("{file}: {error}")).help(format!(
            "install the PostgreSQL client, in the version of the server or newer; or where it is, run \
             `pg_dump --format=custom --no-owner --no-privileges --file={file} …`"
        )),
        NoCopy::Damaged(_) => Failure::world(format!("{file}: {error}"))
            .help("nothing was kept; `fahrplan doctor` looks at the database itself"),
        error => Failure::world(format!("{file}: {error}")),
    }
}

/// `12.3 MB`.
pub(super) fn in_bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes, "bytes");
    let mut tenths = 0;
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1_000 {
            break;
        }
        tenths = value % 1_000 / 100;
        (value, unit) = (value / 1_000, next);
    }
    if unit == "bytes" { format!("{value} bytes") } else { format!("{value}.{tenths} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_by_people() {
        let read: Vec<String> =
            [0, 999, 1_000, 12_345_678, 9_999_999_999].into_iter().map(in_bytes).collect();
        assert_eq!(read, ["0 bytes", "999 bytes", "1.0 kB", "12.3 MB", "9.9 GB"]);
    }
}
