//! Arguments of the commands about what leaves: how much of it there is, brakes, messages in doubt, letters, audiences.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ListArgs, OutputFormat};

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[arg(long, default_value = "human")]
    pub format: OutputFormat,
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
    /// On their way at this moment, with who sends them
    Leased,
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
    List(ListArgs),
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
    List(ListArgs),
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
        /// A file instead of the screen: a new one, or one that was exported before
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}
