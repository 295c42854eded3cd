//! Arguments of the commands that run the daemon and look after its database.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::OutputFormat;
use crate::time::Timestamp;

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Journey time that passes in a second, such as 12h, 30m or 1d
    #[arg(long, value_name = "DURATION", default_value = "12h", value_parser = milliseconds)]
    pub speed: i64,
    /// How many days of the script to play
    #[arg(long, value_name = "N", default_value_t = 90)]
    pub days: u32,
    /// Where the pages listen on 127.0.0.1; 0 takes a free port
    #[arg(long, value_name = "P", default_value_t = 8600)]
    pub port: u16,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The project's file; its directory is the project
    #[arg(long, value_name = "FILE", default_value = crate::config::FILE)]
    pub config: PathBuf,
    /// For rehearsals and tests: journey time stands where FILE says (RFC 3339), not at now; with --rehearse or --really-send
    #[arg(long, value_name = "FILE")]
    pub clock: Option<PathBuf>,
    /// With --clock: messages leave although the time is not the real one, for tests against a mail server of your own
    #[arg(long, requires = "clock", conflicts_with = "rehearse")]
    pub really_send: bool,
    /// For rehearsals: nothing leaves; messages and letters count as sent, requests are answered with samples, tasks with their first
    /// outcome
    #[arg(long)]
    pub rehearse: bool,
    /// Run as root too, which is refused otherwise: where it has a machine or a container to itself
    #[arg(long)]
    pub allow_root: bool,
}

#[derive(Debug, Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    pub command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and show it, this once
    Create {
        /// What it may do; may be given several times
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<Scope>,
        /// What it is for, to tell keys apart in the list
        #[arg(long)]
        name: Option<String>,
        /// The team whose tasks it sees, for somebody who does them; may be given several times; without it, all teams'
        #[arg(long = "team", value_name = "TEAM")]
        teams: Vec<String>,
        /// From when on it is refused: after a time such as 90d, or at a day or moment such as 2027-01-31
        #[arg(long, value_name = "WHEN", value_parser = expiry)]
        expires: Option<Expiry>,
    },
    /// List the keys, without the keys themselves
    List {
        #[arg(long, default_value = "human")]
        format: OutputFormat,
    },
    /// Refuse a key from now on
    Revoke {
        /// The id that `list` shows
        id: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Scope {
    Ingest,
    Read,
    Tasks,
    Deploy,
    Admin,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[arg(long, default_value = "human")]
    pub format: OutputFormat,
    /// Leave out what reads every row of the database
    #[arg(long)]
    pub quick: bool,
}

#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to make; one that is there is not written over
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Change nothing, and print the statements that would run
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// How many contacts the workload has
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub contacts: u64,
    /// The database; a fresh temporary SQLite file where none is given
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// How many processes serve the database; on PostgreSQL two where none is given, on SQLite always one
    #[arg(long, value_name = "N")]
    pub workers: Option<u16>,
    /// Only lets the contacts of J enter and wait: what parking them takes in time, memory and space, and at rest
    #[arg(long)]
    pub park: bool,
    /// Runs J, and only J, while so many further contacts wait in a journey of their own: whether speed depends on how many wait
    #[arg(long, value_name = "N", conflicts_with = "park")]
    pub parked: Option<u64>,
    /// In turns with that, J on another engine beside which so many wait: what slows the machine down slows both
    #[arg(long, value_name = "N", requires = "parked", conflicts_with_all = ["park", "ingest", "import"])]
    pub against: Option<u64>,
    /// Only events that come in over HTTP in batches of 100, three a contact, beside the bare insert of the like rows
    #[arg(long, conflicts_with_all = ["park", "parked", "import"])]
    pub ingest: bool,
    /// Only contacts that are imported from CSV, beside the bare insert of the like rows
    #[arg(long, conflicts_with_all = ["park", "parked"])]
    pub import: bool,
}

/// When something ends: so many milliseconds from now, or at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    In(i64),
    At(Timestamp),
}

/// Reads `90d`, a day, which ends it at its beginning in UTC, or a moment.
fn expiry(text: &str) -> Result<Expiry, String> {
    let at = || text.parse().or_else(|_| format!("{text}T00:00:00Z").parse::<Timestamp>()).ok();
    let after = || milliseconds(text).ok().map(Expiry::In);
    let wrong =
        "write a time such as 90d, a day such as 2027-01-31, or a moment such as 2027-01-31T18:00:00Z";
    after().or_else(|| at().map(Expiry::At)).ok_or_else(|| wrong.to_owned())
}

/// Reads `12h`, `30m`, `45s` or `1d` as milliseconds.
fn milliseconds(text: &str) -> Result<i64, String> {
    let wrong = || "write a number and a unit: 45s, 30m, 12h or 1d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => crate::time::SECOND,
        "m" => crate::time::MINUTE,
        "h" => crate::time::HOUR,
        "d" => crate::time::DAY,
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|ms| *ms > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_ends_after_a_time_or_at_one() {
        let moment = |text: &str| Ok(Expiry::At(text.parse().expect("a moment")));
        assert_eq!(expiry("90d"), Ok(Expiry::In(90 * 86_400_000)));
        assert_eq!(expiry("2027-01-31"), moment("2027-01-31T00:00:00Z"));
        assert_eq!(expiry("2027-01-31T18:00:00+01:00"), moment("2027-01-31T17:00:00Z"));
        for wrong in ["", "90", "soon", "2027-02-31", "-1d"] {
            assert!(expiry(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_speed_is_a_number_and_a_unit() {
        assert_eq!(milliseconds("12h"), Ok(43_200_000));
        assert_eq!(milliseconds("1d"), Ok(86_400_000));
        for wrong in ["", "h", "12", "-1h", "0s", "1w", "9999999999999999d", "1ü"] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
    }
}
