//! What the commands take: every argument with its help.

mod outbox;
mod people;
mod project;
mod running;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::outbox::*;
pub use self::people::*;
pub use self::project::*;
pub use self::running::*;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    Human,
    Json,
}

// Without a comment for documentation, which clap would take for the help of the command.
#[derive(Clone, Copy, Debug, Args)]
pub struct ListArgs {
    /// How many of the newest
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: u32,
    #[arg(long, default_value = "human")]
    pub format: OutputFormat,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
