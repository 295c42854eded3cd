//! Arguments of the commands about people: who comes in, what they did, and why they got what they got.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ListArgs, OutputFormat};

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
pub struct EventsArgs {
    #[command(subcommand)]
    pub command: EventsCommand,
}

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Items that could not be read, or of which a part could not, newest first, with the reason
    Rejected {
        #[command(flatten)]
        list: ListArgs,
        /// Try all of them again, as the schema is now; what is taken is no longer listed
        #[arg(long)]
        retry: bool,
        /// Throw some away for good: by id, or all of a code (`unknown-event`) or of a reason, as the list shows them
        #[arg(long, value_name = "ID|CODE|REASON", num_args = 1.., conflicts_with = "retry")]
        discard: Vec<String>,
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
        #[command(flatten)]
        list: ListArgs,
        /// Try all of them again; what is taken is no longer listed
        #[arg(long)]
        retry: bool,
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
