//! What the commands take: every argument with its help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::time::Timestamp;

/// Customer journeys as code: journeys are files, checked and tested like code, and run durably.
#[derive(Debug, Parser)]
#[command(name = "fahrplan", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 fine, 1 findings, 2 used wrongly, 3 database, network or disk failed.")]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Play 90 days of the built-in shop in about three minutes, with real mail into a built-in mailbox
    Demo(DemoArgs),
    /// Make a new project with commented files that pass `check` and `test`
    Init(InitArgs),
    /// Compile the project and tell every finding, with place, reason and way out
    Check(CheckArgs),
    /// Bring journey files into the one canonical layout
    Fmt(FmtArgs),
    /// Tell what a code such as E0501 means, with an example
    Explain(ExplainArgs),
    /// Run the `test` blocks in virtual time
    Test(TestArgs),
    /// Put the compiled project into the database
    Deploy(DeployArgs),
    /// Run: scheduler, deliveries, HTTP
    Serve(ServeArgs),
    /// Read contacts or events from CSV or JSON lines, quietly: nothing is sent unless asked for; or mails that came in
    Import(ImportArgs),
    /// Put one person into a journey that has `enter by start`
    Enroll(EnrollArgs),
    /// Take one person out of a journey; what it has queued for them is cancelled
    Exit(ExitArgs),
    /// Let a journey take nobody in any more; those inside go on to the end
    Retire(RetireArgs),
    /// Send one real message of a template to an address, marked as a test
    SendTest(SendTestArgs),
    /// What came in, and what of it could not be read
    Events(EventsArgs),
    /// What people answered that fits no message of ours
    Replies(RepliesArgs),
    /// What runs: journeys, enrollments, deliveries
    Status(StatusArgs),
    /// Stop sending, within two seconds and at every worker: all of it, or what a journey, a channel or a step sends
    Pause(BrakeArgs),
    /// Let it go on: all that is paused, or one of it; or a firing that was held for its size
    Resume(BrakeArgs),
    /// Messages that may have left or were refused: look, send again, or count as sent
    Deliveries(DeliveriesArgs),
    /// Audiences of advertising networks: who is in them, what the networks are told, and all of one as a file
    Audiences(AudiencesArgs),
    /// Letters: their batches, cut one before its hour, or write the folder of one again
    Letters(LettersArgs),
    /// Everything we hold on one person
    Contact(ContactArgs),
    /// Why somebody got something or did not: each decision, with its reason
    Why(WhyArgs),
    /// Keys for the HTTP interface, shown once and stored hashed
    Key(KeyArgs),
    /// Look whether database, configuration and clocks are as they should be
    Doctor(DoctorArgs),
    /// Copy the database while it is in use
    Backup(BackupArgs),
    /// Bring the schema of the database up to date; `serve` and `deploy` do it too
    Migrate(MigrateArgs),
    /// Write the completion script of a shell to standard output
    Completions(CompletionsArgs),
    /// Measure the engine and the database under a workload
    Bench(BenchArgs),
    #[command(external_subcommand)]
    Other(Vec<String>),
}

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
pub struct InitArgs {
    /// The directory of the new project
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Make nothing, and print a systemd unit for the project that is there
    #[arg(long)]
    pub systemd: bool,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Files and directories whose findings are shown; the project is always compiled whole
    #[arg(value_name = "PATHS")]
    pub paths: Vec<PathBuf>,
    /// Let warnings fail too
    #[arg(long, value_name = "WHAT")]
    pub deny: Option<Deny>,
    /// Apply the changes that need no thought, and write the files
    #[arg(long)]
    pub fix: bool,
    /// How findings are written
    #[arg(long, default_value = "human")]
    pub format: CheckFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Deny {
    Warnings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    Human,
    Concise,
    Json,
    Sarif,
    Github,
    Gitlab,
}

#[derive(Debug, Args)]
pub struct FmtArgs {
    /// Files and directories; `-` reads from standard input and writes to standard output
    #[arg(value_name = "PATHS")]
    pub paths: Vec<PathBuf>,
    /// Write nothing, and fail if a file is not in its canonical layout
    #[arg(long)]
    pub check: bool,
    /// Write nothing, show what would change, and fail if anything would
    #[arg(long)]
    pub diff: bool,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A code such as E0501, or its name
    pub code: String,
}

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files and directories whose tests run
    #[arg(value_name = "PATHS")]
    pub paths: Vec<PathBuf>,
    /// How results are written
    #[arg(long, default_value = "human")]
    pub format: TestFormat,
    /// Tell which exits and branches no test reached
    #[arg(long)]
    pub coverage: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TestFormat {
    Human,
    Json,
    Junit,
}

#[derive(Debug, Args)]
pub struct DeployArgs {
    /// A saved plan
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Leave everybody who is inside on the old version
    #[arg(long)]
    pub pin: bool,
    /// Allow one firing of an entry to reach so many people
    #[arg(long, value_name = "N")]
    pub allow_audience: Option<u64>,
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
    /// For rehearsals: messages count as sent, nothing leaves
    #[arg(long)]
    pub rehearse: bool,
    /// Run as root too, which is refused otherwise: where it has a machine or a container to itself
    #[arg(long)]
    pub allow_root: bool,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    #[arg(value_enum)]
    pub what: ImportWhat,
    /// CSV or JSON lines; for replies a mailbox, a Maildir, a folder of messages, or `-` for one on standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A TOML file that maps columns to attributes
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// The pool that codes are for
    #[arg(long, value_name = "NAME")]
    pub pool: Option<String>,
    /// Let rows act: people enter journeys, waits end, mail leaves
    #[arg(long)]
    pub live: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportWhat {
    Contacts,
    Events,
    Consents,
    /// Single-use codes, for a pool
    Codes,
    /// Letters that came back: columns `id` or `code`, and `reason`
    Returns,
    /// Mails that came in: answers, bounces, complaints
    Replies,
}

#[derive(Debug, Args)]
pub struct EnrollArgs {
    /// User id, anonymous id, e-mail, phone, or our id (ct_…)
    pub key: String,
    pub journey: String,
    /// The journey's arguments
    #[arg(long, value_name = "JSON")]
    pub with: Option<String>,
}

#[derive(Debug, Args)]
pub struct ExitArgs {
    /// User id, anonymous id, e-mail, phone, or our id (ct_…)
    pub key: String,
    pub journey: String,
}

#[derive(Debug, Args)]
pub struct WhyArgs {
    /// User id, anonymous id, e-mail, phone, or our id (ct_…)
    pub key: String,
    /// A journey, or a message (dl_…); all journeys where nothing is given
    #[arg(value_name = "JOURNEY|DELIVERY")]
    pub what: Option<String>,
    #[arg(long, default_value = "human")]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub struct RetireArgs {
    pub journey: String,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The files of the project are used as they lie there, deployed or not. No consent, cap, quiet hour, pause or \
                        history is looked at or touched; links to our own pages lead nowhere."
)]
pub struct SendTestArgs {
    /// The folder below `templates/`
    pub template: String,
    /// Where it goes
    pub address: String,
    /// Whose attributes and language it is written with, instead of samples: user id, e-mail, phone, or our id (ct_…)
    #[arg(long, value_name = "KEY")]
    pub contact: Option<String>,
    /// The values that the journey would supply; samples of their type where one is missing
    #[arg(long, value_name = "JSON")]
    pub with: Option<String>,
}

#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    pub command: EventsCommand,
}

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Items that could not be read, or of which a part could not, newest first, with the reason
    Rejected {
        #[arg(long, default_value = "human")]
        format: OutputFormat,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        /// Try all of them again, as the schema is now; what is taken is no longer listed
        #[arg(long)]
        retry: bool,
    },
}

#[derive(Debug, Args)]
pub struct RepliesArgs {
    #[command(subcommand)]
    pub command: RepliesCommand,
}

#[derive(Debug, Subcommand)]
pub enum RepliesCommand {
    /// List them, newest first: mails and texts from people whom nobody knows, or that answer none of our messages
    List {
        #[arg(long, default_value = "human")]
        format: OutputFormat,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        /// Try all of them again; what is taken is no longer listed
        #[arg(long)]
        retry: bool,
    },
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[arg(long, default_value = "human")]
    pub format: OutputFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    Human,
    Json,
}

#[derive(Debug, Args)]
pub struct BrakeArgs {
    #[arg(value_enum)]
    pub what: Option<BrakeWhat>,
    /// The journey, the channel, or the step as JOURNEY.STEP
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BrakeWhat {
    All,
    Journey,
    Channel,
    Step,
    /// A firing of that journey that `max audience` holds; for `resume`
    Audience,
}

#[derive(Debug, Args)]
pub struct DeliveriesArgs {
    #[command(subcommand)]
    pub command: DeliveriesCommand,
}

#[derive(Debug, Subcommand)]
pub enum DeliveriesCommand {
    /// List them: those that may have left and those that were refused, where no state is given
    List {
        #[arg(long, value_name = "STATE")]
        state: Option<ListedState>,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        #[arg(long, default_value = "human")]
        format: OutputFormat,
    },
    /// Send them again: with the same Message-ID, and if permission still stands
    Resend(WhichArgs),
    /// Count those that may have left as sent
    Settle(WhichArgs),
}

#[derive(Debug, Args)]
pub struct WhichArgs {
    /// As `list` shows them
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// All that may have left
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    /// With --all: those of another state
    #[arg(long, value_name = "STATE", requires = "all")]
    pub state: Option<ListedState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListedState {
    Unknown,
    Failed,
    Deferred,
    Queued,
    /// Letters that wait for their batch
    Waiting,
}

#[derive(Debug, Args)]
pub struct LettersArgs {
    #[command(subcommand)]
    pub command: LettersCommand,
}

#[derive(Debug, Subcommand)]
pub enum LettersCommand {
    /// The newest batches, and how many letters wait for the next one
    List {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        #[arg(long, default_value = "human")]
        format: OutputFormat,
    },
    /// Cut a batch of what waits now, and write its folder; and finish what was left unfinished
    Cut,
    /// Write the folder of a batch again, with the same bytes; for thirty days after it was made
    Again {
        /// Its name, as `list` shows it
        batch: String,
    },
}

#[derive(Debug, Args)]
pub struct AudiencesArgs {
    #[command(subcommand)]
    pub command: AudiencesCommand,
}

#[derive(Debug, Subcommand)]
pub enum AudiencesCommand {
    /// How many are in each, and the newest batches
    List {
        /// How many batches
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        #[arg(long, default_value = "human")]
        format: OutputFormat,
    },
    /// Cut a batch of what has changed until now, and write its folder; and finish what was left unfinished
    Cut,
    /// Write the folder of a batch again, with the same bytes; for thirty days after it was made
    Again {
        /// Its name, as `list` shows it
        batch: String,
    },
    /// All that the network should have after the newest batch: hashes, a line each
    Export {
        audience: String,
        /// A file instead of the screen
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct ContactArgs {
    #[command(subcommand)]
    pub command: ContactCommand,
}

#[derive(Debug, Subcommand)]
pub enum ContactCommand {
    /// Show attributes, consents, enrollments and messages
    Show {
        /// User id, anonymous id, e-mail, phone, or our id (ct_…)
        key: String,
        #[arg(long, default_value = "human")]
        format: OutputFormat,
    },
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

#[derive(Debug, Args)]
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
    fn the_arguments_are_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

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
