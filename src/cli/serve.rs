//! `fahrplan serve`: the daemon with its doors, until SIGTERM, Ctrl-C or the end of its terminal (SIGHUP); then it drains.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::deploy::templates;
use super::doctor::{Dangers, dangers};
use super::load::Project;
use super::{Exit, Failure, Outcome, ServeArgs, not_open, world};
use crate::channels::Channel;
use crate::channels::email::Email;
use crate::channels::guard::Guard;
use crate::channels::message::{Mailbox, read_address, read_mailbox};
use crate::channels::smtp::{Relay, SmtpConfig, SmtpSender};
use crate::clock::JourneyClock;
use crate::config::{Config, Secrets};
use crate::daemon::audiences::Audiences;
use crate::daemon::letters::Letters;
use crate::daemon::{self, Brakes, Composer, Daemon, Others, Outlet, Rates, Way};
use crate::http::{Settings, limits::Limiter, sources::Sources};
use crate::link::LinkKey;
use crate::store::checkup::Finding;
use crate::store::{Options, Store, journeys};

/// The event that the built-in confirm link records.
const CONFIRM_EVENT: &str = "optin_confirmed";

/// Runs the command.
pub fn run(args: &ServeArgs) -> Outcome {
    log_to_stderr();
    super::block_on(serve(args))
}

async fn serve(args: &ServeArgs) -> Outcome {
    let project = Project::of_config(&args.config)?;
    let mut config = project.config.clone();
    config.brakes.file = project.switch();
    config.letters.folder = project.letters();
    config.audiences.folder = project.audiences();
    if !args.rehearse {
        safe_links(&config)?;
    }
    if args.clock.is_some() && !args.rehearse && !args.really_send {
        let failure = Failure::usage("real mail would leave at a time that is not the real one");
        return Err(failure.help("with --clock say --rehearse, and nothing leaves; or --really-send, if the mail server is one for tests"));
    }
    refuse_danger(&project, args)?;
    let store = open(&project.database_url()).await?;
    let clock = args.clock.clone().map_or(JourneyClock::Machine, JourneyClock::File);
    if let Some(path) = &args.clock {
        readable(path)?;
    }
    if args.rehearse || args.clock.is_some() {
        tracing::warn!(rehearse = args.rehearse, "this is a rehearsal: not for real contacts");
    }
    let listener = TcpListener::bind(config.http.listen).await.map_err(|error| {
        Failure::world(format!("{} cannot be opened: {error}", config.http.listen))
            .help("set `http.listen` to another port")
    })?;
    tell_what_waits(&store, &project).await?;
    let others = others(&config, project.secrets())?;
    let mut daemon = daemon(&store, &config, others, clock, listener, args.rehearse)?;
    daemon.doors = Arc::new(doors(&project)?);
    let stop = CancellationToken::new();
    let serving = async {
        daemon.run(stop.clone()).await.map_err(world)?;
        store.close().await;
        Ok(Exit::Fine)
    };
    tokio::select! {
        ended = serving => ended,
        () = told_twice(stop.clone()) => {
            tracing::warn!("ended at once; what was under way goes on at the next start");
            Ok(Exit::World)
        }
    }
}

/// Whoever finds a hole in a daemon must not own the machine by it, and a password that everybody may read is none. A rehearsal
/// sends nothing, and may run as root. What harms less is said.
fn refuse_danger(project: &Project, args: &ServeArgs) -> Result<(), Failure> {
    let Dangers { root, password, files } = dangers(project);
    if let Some(Finding { message, help, .. }) = password {
        let failure = Failure::usage(message);
        return Err(match help {
            Some(help) => failure.help(help),
            None => failure,
        });
    }
    if root.is_some() && !args.allow_root && !args.rehearse {
        return Err(Failure::usage("`serve` does not run as root").help(
            "run it as a user of its own: `fahrplan init --systemd` prints a unit that does; where it has a machine or a \
             container to itself, say --allow-root",
        ));
    }
    for danger in root.into_iter().chain(files) {
        tracing::warn!(check = danger.check, "{}; `fahrplan doctor` says what that means", danger.message);
    }
    Ok(())
}

/// How long to wait for a database that is not there yet: after a start of the machine it may come later than we do.
const COMING_UP: Duration = Duration::from_secs(30);
/// How long to wait for a connection to a server: a request that gets none is to be told while its client still listens.
const PATIENCE: Duration = Duration::from_secs(5);

async fn open(url: &str) -> Result<Store, Failure> {
    let mut options = Options::default();
    if !url.starts_with("sqlite:") {
        options.patience = PATIENCE;
    }
    let began = Instant::now();
    loop {
        match Store::open_with(url, options.clone()).await {
            Err(error) if error.is_passing() && began.elapsed() < COMING_UP => {
                tracing::warn!(%error, "waiting for the database");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            opened => return opened.map_err(not_open),
        }
    }
}

/// A clock that cannot be read would stand at 1970.
fn readable(path: &std::path::Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    text.trim().parse::<crate::time::Timestamp>().map(|_| ()).map_err(|_| {
        Failure::usage(format!("{} shows no time", path.display()))
            .help("write a moment into it, such as 2026-12-24T10:00:00Z")
    })
}

/// Deliveries on their way at once when nothing leaves.
const REHEARSED: usize = 4_096;

/// Links in mails say who somebody is, so they lead through encryption, or stay on this machine.
fn safe_links(config: &Config) -> Result<(), Failure> {
    if config.links_are_safe() {
        return Ok(());
    }
    let message = format!("the links in mails would lead to {} without encryption", config.public_url());
    Err(Failure::usage(message).help(
        "set `http.public_url` to the https:// address under which people reach this daemon, through a proxy that \
         encrypts; `--rehearse` needs none",
    ))
}

/// Mail is written as it was deployed; who has changed a template since then is told so.
async fn tell_what_waits(store: &Store, project: &Project) -> Result<(), Failure> {
    let deployed = journeys::deployed(&mut store.read().await.map_err(world)?).await.map_err(world)?;
    let changes = deployed.templates.changes(&templates(project).manifest());
    if deployed.generation > 0 && !changes.is_empty() {
        tracing::warn!(
            files = changes.len(),
            "templates differ from what is deployed; `fahrplan deploy` takes them over"
        );
    }
    Ok(())
}

/// What the project says about the doors.
fn doors(project: &Project) -> Result<Settings, Failure> {
    let (config, secrets) = (&project.config, project.secrets());
    let sources = config.sources.iter().map(|(name, source)| (format!("sources.{name}"), &source.secret));
    let gateways = config.gateways.iter();
    let gateways =
        gateways.filter_map(|(name, gateway)| Some((format!("gateways.{name}"), gateway.secret.as_ref()?)));
    for (section, secret) in sources.chain(gateways) {
        let missing = match secrets.resolve(secret) {
            Ok(secret) if secret.reveal().is_empty() => "it is empty".to_owned(),
            Ok(_) => continue,
            Err(missing) => missing.to_string(),
        };
        return Err(Failure::usage(format!("the secret of `[{section}]` cannot be had: {missing}"))
            .help("set FAHRPLAN_SECRET_NAME, or `name_file` under `[secrets]`, for \"secret:name\""));
    }
    let limits = Limiter::new(config.http.per_key, config.http.per_address);
    let sources = Sources { declared: config.sources.clone(), secrets };
    Ok(Settings { limits, sources, gateways: config.gateways.clone() })
}

/// Builds a daemon from a project; shared with `demo`.
pub(super) fn daemon(
    store: &Store,
    config: &Config,
    others: Others,
    clock: JourneyClock,
    listener: TcpListener,
    rehearse: bool,
) -> Result<Daemon, Failure> {
    let from = sender_of(config)?;
    let name = from.name.clone();
    let outlet = outlet(store, config, others, from, rehearse)?;
    let sender = config.brand.get("name").cloned().or(name).unwrap_or_else(|| config.project.name.clone());
    Ok(Daemon {
        store: store.clone(),
        clock,
        outlet: Arc::new(outlet),
        confirm_event: CONFIRM_EVENT.into(),
        sender: sender.into(),
        listener,
        pages: None,
        metrics: daemon::metrics(),
        doors: Arc::default(),
    })
}

/// Where messages leave, as the project says.
pub(super) fn outlet(
    store: &Store,
    config: &Config,
    others: Others,
    from: Mailbox,
    rehearse: bool,
) -> Result<Outlet, Failure> {
    let way = match rehearse {
        true => Way::Rehearse,
        false => {
            let key = LinkKey::new(link_secret(store)?);
            let (reply_to, return_path) = ways_back(config)?;
            let email = Email::new(smtp(config)?, from).with_ways_back(key, reply_to, return_path);
            Way::Channel(Channel::Email(Box::new(email)))
        }
    };
    let folder = (!rehearse).then(|| config.letters.folder.clone());
    let letters = Letters { folder, at: config.letters.at };
    let folder = (!rehearse).then(|| config.audiences.folder.clone());
    let audiences = Audiences { folder, every_ms: config.audiences.every_ms() };
    let composer = Composer {
        link_key: LinkKey::new(link_secret(store)?),
        public_url: config.public_url(),
        project: config.project.name.clone(),
    };
    Ok(Outlet {
        way,
        composer,
        shelf: daemon::Shelf::default(),
        parallel: if rehearse { REHEARSED } else { 2 * usize::from(config.smtp.connections) },
        brakes: Brakes::new(config.brakes.file.clone()),
        rates: Rates::default(),
        others: others.with_letters(letters).with_audiences(audiences),
    })
}

/// Whom mail is from.
pub(super) fn sender_of(config: &Config) -> Result<Mailbox, Failure> {
    let from = config.smtp.from.as_deref().ok_or_else(|| {
        Failure::usage("nobody is named as the sender of mail")
            .help("set `smtp.from`, such as \"Shop <news@example.org>\"")
    })?;
    read_mailbox(from).map_err(|error| Failure::usage(format!("`smtp.from` cannot be used: {error}")))
}

/// Where answers go, and where mail servers report.
fn ways_back(config: &Config) -> Result<(Option<Mailbox>, Option<lettre::Address>), Failure> {
    let failed = |key: &str, error| Failure::usage(format!("`smtp.{key}` cannot be used: {error}"));
    let reply_to = config.smtp.reply_to.as_deref().map(read_mailbox).transpose();
    let return_path = config.smtp.return_path.as_deref().map(read_address).transpose();
    Ok((
        reply_to.map_err(|error| failed("reply_to", error))?,
        return_path.map_err(|error| failed("return_path", error))?,
    ))
}

/// Whom requests may ask.
pub(super) fn others(config: &Config, secrets: Secrets) -> Result<Others, Failure> {
    let allowed = config.requests.allow.iter().map(|text| text.parse()).collect::<Result<_, _>>();
    let allowed = allowed.map_err(|error| Failure::usage(format!("`requests.allow`: {error}")))?;
    Ok(Others::new(Guard::new(allowed), secrets).with_gateways(config.gateways.clone()))
}

pub(super) fn smtp(config: &Config) -> Result<SmtpSender, Failure> {
    let relay =
        Relay::parse(&config.smtp.url).map_err(|error| Failure::usage(format!("`smtp.url`: {error}")))?;
    let settings = SmtpConfig { connections: usize::from(config.smtp.connections), ..SmtpConfig::new(relay) };
    SmtpSender::new(settings).map_err(|error| Failure::usage(error.to_string()))
}

fn link_secret(store: &Store) -> Result<[u8; 32], Failure> {
    let secret = store.settings().link_secret.as_slice();
    secret.try_into().map_err(|_| Failure::world("the key for signed links in the database is damaged"))
}

/// Stops at the first signal, and ends with the second.
async fn told_twice(stop: CancellationToken) {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    // Nothing is read anew by a daemon that runs, so the end of its terminal is a stop as any other.
    let mut hangup = if ignores_hangup() { None } else { signal(SignalKind::hangup()).ok() };
    let mut hung_up = async || match &mut hangup {
        Some(hangup) => _ = hangup.recv().await,
        None => std::future::pending().await,
    };
    for is_first in [true, false] {
        tokio::select! {
            _ = terminate.recv() => {}
            () = hung_up() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        if is_first {
            tracing::info!("stopping: finishing what is under way; a second signal ends it at once");
            stop.cancel();
        }
    }
}

/// Whether we were started so that the end of the terminal is nothing to us, as by `nohup`.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}

/// Logs with fields to standard error, as text or (`FAHRPLAN_LOG=json`) as JSON. `FAHRPLAN_LOG` may also name levels.
pub(super) fn log_to_stderr() {
    let wanted = std::env::var("FAHRPLAN_LOG").unwrap_or_default();
    let json = wanted == "json";
    let levels = if json || wanted.is_empty() { "info,html5ever=error,sqlx=warn".to_owned() } else { wanted };
    let filter =
        EnvFilter::try_new(with_silence(&levels)).unwrap_or_else(|_| EnvFilter::new(with_silence("info")));
    // A log that cannot be written, since its disk is full or its reader gone, costs lines and nothing else.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let installed =
        if json { builder.json().try_init() } else { builder.with_ansi(anstream_color()).try_init() };
    drop(installed);
}

/// What writes values of contacts into its logs is never heard, whatever level is wanted.
fn with_silence(levels: &str) -> String {
    format!("{levels},handlebars=off,lettre=off")
}

fn anstream_color() -> bool {
    use std::io::IsTerminal as _;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_logs_values_of_contacts_is_silent_at_every_level() {
        for levels in ["info", "trace", "handlebars=trace", "lettre=debug,handlebars=info"] {
            let filter = EnvFilter::try_new(with_silence(levels)).expect("levels").to_string();
            assert!(filter.contains("handlebars=off") && filter.contains("lettre=off"), "{filter}");
            assert!(!filter.contains("handlebars=trace") && !filter.contains("lettre=debug"), "{filter}");
        }
    }

    #[test]
    fn links_go_through_encryption_or_stay_on_this_machine() {
        let config = |listen: &str, url: &str| {
            let url = if url.is_empty() { String::new() } else { format!("public_url = \"{url}\"\n") };
            let text = format!("[http]\nlisten = \"{listen}\"\n{url}");
            let (config, problems) = Config::read(&text, &Default::default());
            assert_eq!(problems, []);
            config
        };
        for (listen, url) in [
            ("127.0.0.1:8600", ""),
            ("0.0.0.0:80", "https://mail.example.org/"),
            ("127.0.0.1:8600", "http://localhost:8600"),
            ("127.0.0.1:8600", "http://127.0.0.1:8600/x"),
            ("[::1]:8600", "http://[::1]:8600"),
        ] {
            assert!(safe_links(&config(listen, url)).is_ok(), "{listen} {url}");
        }
        for (listen, url) in [
            ("0.0.0.0:80", ""),
            ("127.0.0.1:8600", "http://mail.example.org"),
            ("127.0.0.1:8600", "http://localhost.example.org"),
            ("127.0.0.1:8600", "http://127.0.0.1:8600@example.org"),
            ("127.0.0.1:8600", "http://10.0.0.7"),
        ] {
            let failure = safe_links(&config(listen, url)).expect_err("refused");
            assert!(failure.help.as_deref().unwrap_or_default().contains("http.public_url"));
        }
    }
}
