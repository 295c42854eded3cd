//! Arguments of the commands for whoever writes journeys: a new project, checks, tests, a deploy.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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
#[command(
    after_help = "The files of the project are used as they lie there, deployed or not. No consent, cap, quiet hour, pause or \
                        history is looked at or touched; links to our own pages lead nowhere."
)]
pub struct SendTestArgs {
    /// The folder below `templates/`
    pub template: String,
    /// Where it goes: an e-mail address; a phone number, for a text; the name of a file that ends in .pdf, for a letter
    pub address: String,
    /// Whose attributes and language it is written with, instead of samples: user id, e-mail, phone, or our id (ct_…)
    #[arg(long, value_name = "KEY")]
    pub contact: Option<String>,
    /// The values that the journey would supply; samples of their type where one is missing
    #[arg(long, value_name = "JSON")]
    pub with: Option<String>,
}
