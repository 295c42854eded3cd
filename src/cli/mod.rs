//! The command line: arguments, dispatch, exit codes.
//!
//! One file a command; each has `run(args)`, does its work through the floors below and says how it went. Only this room
//! reads arguments and project files, prints, and chooses exit codes.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser as _;

use crate::diagnostic::suggest;
use crate::store::{self, Access, Store};

mod args;
pub mod audiences;
pub mod backup;
mod batches;
pub mod bench;
pub mod check;
pub mod contact;
pub mod deliveries;
pub mod demo;
pub mod deploy;
pub mod doctor;
pub mod enroll;
pub mod events;
pub mod exit;
pub mod explain;
pub mod fmt;
pub mod import;
pub mod init;
pub mod key;
pub mod letters;
pub mod load;
pub mod migrate;
pub mod outside;
pub mod pause;
mod put;
pub mod replies;
pub mod retire;
pub mod send_test;
pub mod serve;
mod shop;
pub mod status;
pub mod test;
pub mod why;

use self::args::Command;
pub use self::args::{
    AudiencesArgs, AudiencesCommand, BackupArgs, BenchArgs, BrakeArgs, BrakeWhat, CheckArgs, CheckFormat,
    Cli, CompletionsArgs, ContactArgs, ContactCommand, DeliveriesArgs, DeliveriesCommand, DemoArgs, Deny,
    DeployArgs, DoctorArgs, EnrollArgs, EventsArgs, EventsCommand, ExitArgs, Expiry, ExplainArgs, FmtArgs,
    ImportArgs, ImportWhat, InitArgs, KeyArgs, KeyCommand, LettersArgs, LettersCommand, ListArgs,
    ListedState, MigrateArgs, OutputFormat, RepliesArgs, RepliesCommand, RetireArgs, Scope, SendTestArgs,
    ServeArgs, StatusArgs, TestArgs, TestFormat, WhichArgs, WhyArgs,
};

/// How a command ended; the number is an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// The files have findings, or a test failed.
    Findings = 1,
    /// The command was used wrongly.
    Usage = 2,
    /// Database, network or disk failed.
    World = 3,
    /// `plan` found changes.
    Changes = 4,
}

/// Why a command could not do its work; the message is for people, lower-case and without a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Failure {
    /// The command was used wrongly.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, message: message.into(), help: None }
    }

    /// Database, network or disk failed.
    pub fn world(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::World, message: message.into(), help: None }
    }

    /// The files themselves are at fault, and what is wrong is in the message.
    pub fn findings(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Findings, message: message.into(), help: None }
    }

    /// The command, or this use of it, belongs to a later release.
    pub fn not_available(what: &str) -> Failure {
        Failure::world(format!("{what} is not available yet"))
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Failure {
        self.help = Some(text.into());
        self
    }
}

/// What every `run` returns.
pub type Outcome = Result<Exit, Failure>;

/// Commands of later releases, so that they are refused by name.
const LATER: [&str; 5] = ["graph", "lsp", "plan", "simulate", "watch"];

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    // Every client of ours speaks TLS in this one way; who came first stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Fine };
            return ExitCode::from(exit as u8);
        }
    };
    let exit = match run(cli.command) {
        Ok(exit) => exit,
        Err(failure) => {
            report(&failure);
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Backup(args) => backup::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Contact(args) => contact::run(&args),
        Command::Deliveries(args) => deliveries::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Deploy(args) => deploy::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Enroll(args) => enroll::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Replies(args) => replies::run(&args),
        Command::Exit(args) => exit::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Fmt(args) => fmt::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Completions(args) => completions(&args),
        Command::Key(args) => key::run(&args),
        Command::Audiences(args) => audiences::run(&args),
        Command::Letters(args) => letters::run(&args),
        Command::Pause(args) => pause::pause(&args),
        Command::Resume(args) => pause::resume(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Other(words) => Err(unknown(words.first().map_or("", String::as_str))),
        Command::Retire(args) => retire::run(&args),
        Command::SendTest(args) => send_test::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Why(args) => why::run(&args),
    }
}

fn completions(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut <Cli as clap::CommandFactory>::command(),
        "fahrplan",
        &mut script,
    );
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Fine)
}

fn unknown(word: &str) -> Failure {
    if LATER.contains(&word) {
        return Failure { exit: Exit::Usage, ..Failure::not_available(&format!("`{word}`")) };
    }
    let known = <Cli as clap::CommandFactory>::command();
    let names: Vec<&str> = known.get_subcommands().map(clap::Command::get_name).collect();
    let failure = Failure::usage(format!("there is no command `{word}`{}", suggest::question(word, names)));
    failure.help("`fahrplan help` lists all commands")
}

/// Tells a failure on standard error.
fn report(failure: &Failure) {
    let mut err = anstream::stderr().lock();
    let _ = writeln!(err, "\u{1b}[1;31merror\u{1b}[0m: {}", failure.message);
    if let Some(help) = &failure.help {
        let _ = writeln!(err, "\u{1b}[1;36mhelp\u{1b}[0m: {help}");
    }
}

/// Who runs this, as histories and `status` show it.
fn author() -> String {
    let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let person = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(variable);
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}@{}", person.as_deref().unwrap_or("somebody"), machine.trim())
}

/// Runs a command's future on a runtime of its own. Two threads at least: SQLite may keep one of them for a while.
fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    runtime.map_err(|error| Failure::world(format!("no runtime can be started: {error}")))?.block_on(command)
}

/// How long a command waits for a connection before it says that it gets none.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// The database of a project; what is wrong with it is said at once, with its place and a way out.
async fn open(project: &load::Project, access: Access) -> Result<Store, Failure> {
    let options = store::Options { access, patience: PATIENCE, ..store::Options::default() };
    Store::open_with(&project.database_url(), options).await.map_err(not_open)
}

/// The failure for a database that cannot be opened.
fn not_open(error: store::Error) -> Failure {
    let failure = world(&error);
    let help = match &error {
        store::Error::Missing(_) => {
            let help =
                "`fahrplan deploy` makes it; where it lies says `database.url`, or FAHRPLAN_DATABASE_URL";
            return Failure { exit: Exit::Usage, ..failure }.help(help);
        }
        store::Error::OlderSchema { .. } => {
            "`fahrplan migrate` brings it up to date; `deploy` and `serve` do too"
        }
        store::Error::NewerSchema { .. } => "use the newer fahrplan here too",
        store::Error::Opening { .. } | store::Error::Url(_) => {
            "where the database is says `database.url` in fahrplan.toml, or FAHRPLAN_DATABASE_URL"
        }
        _ => return failure,
    };
    failure.help(help)
}

/// The failure for an error of the world: database, network, disk.
fn world(error: impl std::fmt::Display) -> Failure {
    Failure::world(error.to_string())
}

/// Tells how far a long command is: on a terminal only, a pipe stays silent.
fn progress(text: &str) {
    let mut err = std::io::stderr().lock();
    if err.is_terminal() {
        let _ = writeln!(err, "{text}");
    }
}

/// Whether standard output is a terminal that wants colors.
fn color() -> bool {
    let wanted = anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
    wanted && std::io::stdout().is_terminal()
}

/// Writes to standard output; a closed pipe is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::world(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Rows below a head, in columns as wide as they need to be; nothing hangs over at the end of a line.
fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |text: &str| text.chars().count();
    let widths: Vec<usize> = (0..N)
        .map(|i| rows.iter().map(|row| width(&row[i])).chain([width(head[i])]).max().unwrap_or(0))
        .collect();
    let head = head.map(str::to_owned);
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (cell, wide) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', wide - width(cell) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
