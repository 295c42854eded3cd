//! What can be seen without the database: files and who may read them, addresses, the mail server.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::channels::message::read_mailbox;
use crate::channels::smtp::{Protection, Relay, SmtpConfig, SmtpSender};
use crate::cli::load::Project;
use crate::config::{self, Config};
use crate::engine::program::secret_of;
use crate::store::checkup::Finding;
use crate::store::exports::FILE;

/// How long the mail server may take to greet.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everybody but the owner, and everybody but owner and group.
const OTHERS: u32 = 0o077;
const WORLD: u32 = 0o007;

pub(super) async fn look(project: &Project) -> Vec<Finding> {
    let Dangers { root, password, files } = dangers(project);
    let mut findings: Vec<Finding> = password.into_iter().chain(files).collect();
    secrets(project, &mut findings);
    findings.extend(root);
    findings.extend(links(&project.config));
    findings.extend(sender(&project.config));
    findings.extend(letters(project));
    findings.extend(audiences(project));
    if findings.is_empty() {
        findings.push(Finding::fine("config", format!("{} and the files it names", config::FILE)));
    }
    findings.push(relay(&project.config).await);
    findings
}

/// What `serve` looks at when it starts: who else may read what it works with, and what it could do itself.
pub(in crate::cli) struct Dangers {
    /// It refuses to run so, unless told otherwise.
    pub(in crate::cli) root: Option<Finding>,
    /// It refuses to run so.
    pub(in crate::cli) password: Option<Finding>,
    /// It warns of these.
    pub(in crate::cli) files: Vec<Finding>,
}

/// Looks for them.
pub(in crate::cli) fn dangers(project: &Project) -> Dangers {
    Dangers { root: root(), password: password(project), files: files(project) }
}

fn mode(path: &Path) -> Option<u32> {
    path.metadata().ok().map(|file| file.permissions().mode() & 0o777)
}

/// A file with a password that everybody may read.
fn password(project: &Project) -> Option<Finding> {
    let own = project.root.join(config::FILE);
    let open_to_all = mode(&own).is_some_and(|mode| mode & WORLD != 0);
    let is_told = open_to_all && std::fs::read_to_string(&own).is_ok_and(|text| holds_password(&text));
    is_told.then(|| {
        Finding::error(
            "config.file",
            format!("{} holds a password, and everybody on this machine may read it", config::FILE),
        )
        .means(
            "whoever has an account here can send mail in your name, or read the database; `serve` does not start",
        )
        .help(format!(
            "`chmod 640 {}`, or give it as FAHRPLAN_SMTP_URL or FAHRPLAN_DATABASE_URL instead",
            config::FILE
        ))
    })
}

/// The database, where others may read it.
fn files(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(path) = project.database_url().strip_prefix("sqlite:") {
        for end in ["", "-wal", "-shm"] {
            let path = PathBuf::from(format!("{path}{end}"));
            if mode(&path).is_some_and(|mode| mode & OTHERS != 0) {
                findings.push(
                    Finding::error(
                        "config.file",
                        format!("{} may be read by others than its owner", path.display()),
                    )
                    .means("it holds names, addresses and what people did")
                    .help(format!("`chmod 600 {}`", path.display())),
                );
            }
        }
    }
    findings
}

/// Whether an address in that file has a password in it.
fn holds_password(text: &str) -> bool {
    let (config, _) = Config::read(text, &BTreeMap::new());
    [&config.smtp.url, &config.database.url].into_iter().any(|url| {
        let login = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
        login.is_some_and(|(login, _)| login.contains(':'))
    })
}

/// Secrets in files, and those that the schema names.
fn secrets(project: &Project, findings: &mut Vec<Finding>) {
    for (name, path) in &project.config.secrets {
        let path = project.root.join(path);
        if mode(&path).is_some_and(|mode| mode & OTHERS != 0) {
            findings.push(
                Finding::error(
                    "config.secrets",
                    format!("{} may be read by others than its owner", path.display()),
                )
                .means(format!("the secret `{name}` is one no more"))
                .help(format!("`chmod 600 {}`, and exchange the secret", path.display())),
            );
        }
    }
    let catalog = project.compile().catalog;
    let mut wanted: Vec<&str> = catalog.ways_out().filter_map(secret_of).collect();
    wanted.extend(project.config.secrets.keys().map(String::as_str));
    wanted.extend(project.config.sources.values().filter_map(|source| secret_of(&source.secret)));
    let gateways = project.config.gateways.values().filter_map(|gateway| gateway.secret.as_deref());
    wanted.extend(gateways.filter_map(secret_of));
    wanted.sort_unstable();
    wanted.dedup();
    for name in wanted {
        let missing = match project.secrets().get(name) {
            Ok(secret) if secret.reveal().is_empty() => "it is empty".to_owned(),
            Ok(_) => continue,
            Err(why) => why.to_string(),
        };
        findings.push(
            Finding::error("config.secrets", format!("the secret `{name}` cannot be had: {missing}"))
                .means("what uses it does not work")
                .help(format!(
                    "set FAHRPLAN_SECRET_{}, or `{name}_file` under `[secrets]`",
                    name.to_uppercase()
                )),
        );
    }
}

/// Whether we could do more than we need to.
fn root() -> Option<Finding> {
    let is_root = Path::new("/proc/self").metadata().is_ok_and(|process| process.uid() == 0);
    is_root.then(|| {
        Finding::warning("config.user", "this runs as root")
            .means(
                "`serve` refuses to, since whoever finds a hole in it would own the machine; and files that root makes, no other \
                 user may open",
            )
            .help("run it as a user of its own: `fahrplan init --systemd` prints a unit that does")
    })
}

/// Where letters go, if any are sent: people's names and addresses lie there.
fn letters(project: &Project) -> Option<Finding> {
    let catalog = project.compile().catalog;
    let any = catalog.channels.keys().any(|name| catalog.is_letter(name));
    let what = ("letters", "no letter can be written", "names and addresses lie there");
    any.then(|| folder(&project.letters(), what)).flatten()
}

/// Where audiences go, if there are any that leave as files.
fn audiences(project: &Project) -> Option<Finding> {
    let any = project.compile().catalog.audiences.values().any(|audience| &*audience.sends == FILE);
    let what = ("audiences", "no network can be told of its audience", "hashes of addresses lie there");
    any.then(|| folder(&project.audiences(), what)).flatten()
}

/// A folder that is written into; for what, what it means if it cannot be, and what others could see.
fn folder(folder: &Path, (section, means, seen): (&str, &str, &str)) -> Option<Finding> {
    let (place, code) = (
        folder.display(),
        match section {
            "letters" => "config.letters",
            _ => "config.audiences",
        },
    );
    match folder.metadata() {
        Ok(there) if !there.is_dir() => Some(
            Finding::error(code, format!("{place} is no folder"))
                .means(means)
                .help(format!("set `folder` under `[{section}]`")),
        ),
        Ok(_) if let Err(error) = try_writing(folder) => Some(
            Finding::error(code, format!("nothing can be put into {place}: {error}")).means(means).help(format!(
                "let whoever runs `serve` write there (`chown`, `chmod u+rwx`; under systemd `ReadWritePaths=` too), or set `folder` \
                 under `[{section}]`"
            )),
        ),
        Ok(_) if mode(folder).is_some_and(|mode| mode & WORLD != 0) => Some(
            Finding::warning(code, format!("everybody on this machine may look into {place}"))
                .means(seen)
                .help(format!("`chmod o-rwx {place}`")),
        ),
        Ok(_) => None,
        Err(_) if let Some(above) = folder.parent().filter(|above| above.is_dir()) => {
            let error = try_writing(above).err()?;
            Some(Finding::error(code, format!("{place} cannot be made: {error}")).means(means).help(format!(
                "make it for whoever runs `serve`: `install -d -m 750 -o USER {place}`, or set `folder` under `[{section}]`"
            )))
        }
        Err(error) => Some(
            Finding::error(code, format!("{place} cannot be made: {error}"))
                .means(means)
                .help(format!("make the folder above it, or set `folder` under `[{section}]`")),
        ),
    }
}

/// Whether something can be put there, found out by doing it: a mode says too little.
fn try_writing(folder: &Path) -> std::io::Result<()> {
    let place = folder.join(format!(".doctor.{}", std::process::id()));
    std::fs::create_dir(&place)?;
    std::fs::remove_dir(place)
}

/// Where links in mails lead, and who may come in.
fn links(config: &Config) -> Vec<Finding> {
    let url = config.public_url();
    let host =
        url.split_once("://").map_or("", |(_, rest)| rest.split(['/', ':']).next().unwrap_or_default());
    let example = ["example.org", "example.com", "example.net"];
    let is_example = example.iter().any(|name| host == *name || host.ends_with(&format!(".{name}")));
    let is_here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let mut findings = Vec::new();
    if !config.links_are_safe() {
        findings.push(
            Finding::error("config.links", format!("links in mails lead to {url}, without encryption"))
                .means(
                    "`serve` refuses to start, since whoever listens could unsubscribe people in their name",
                )
                .help("set `http.public_url` to the https:// address of the proxy in front of it"),
        );
    } else if is_here || is_example {
        findings.push(
            Finding::warning("config.links", format!("links in mails lead to {url}"))
                .means("nobody but this machine can confirm, unsubscribe or click")
                .help("set `http.public_url` to the https:// address under which people reach it"),
        );
    }
    if !config.http.listen.ip().is_loopback() {
        findings.push(
            Finding::warning(
                "config.listen",
                format!("{} takes connections from other machines, without encryption", config.http.listen),
            )
            .means("keys and what is known of people can be read on the way")
            .help(
                "let only a proxy that encrypts reach it: listen on 127.0.0.1, or close the port to others",
            ),
        );
    }
    findings
}

fn sender(config: &Config) -> Vec<Finding> {
    let Some(from) = &config.smtp.from else {
        return vec![
            Finding::error("config.sender", "nobody is named as the sender of mail")
                .means("`serve` does not start")
                .help("set `smtp.from`, such as \"Shop <news@example.org>\""),
        ];
    };
    match read_mailbox(from) {
        Err(error) => {
            vec![
                Finding::error("config.sender", format!("`smtp.from` cannot be used: {error}"))
                    .means("`serve` does not start"),
            ]
        }
        Ok(from) if from.email.domain().starts_with("example.") => vec![
            Finding::warning("config.sender", format!("mail is sent from {}", from.email))
                .means("no mail server takes it for real")
                .help("set `smtp.from` to an address of your own domain"),
        ],
        Ok(_) => Vec::new(),
    }
}

/// Whether the mail server takes us in.
async fn relay(config: &Config) -> Finding {
    let unusable = |why: String| {
        Finding::error("relay", why)
            .means("no mail leaves; it waits and is tried again for five days")
            .help("`smtp.url` says where it is handed over, FAHRPLAN_SMTP_URL is stronger")
    };
    let relay = match Relay::parse(&config.smtp.url) {
        Ok(relay) => relay,
        Err(error) => return unusable(format!("`smtp.url`: {error}")),
    };
    let place = format!("{}:{}", relay.host, relay.port);
    let (is_here, wants_less) = (relay.is_loopback(), relay.protection == Protection::Opportunistic);
    let sender = match SmtpSender::new(SmtpConfig::new(relay)) {
        Ok(sender) => sender,
        Err(error) => return unusable(error.to_string()),
    };
    match sender.probe(PATIENCE).await {
        Err(why) => unusable(format!("{place} takes no mail: {why}")),
        Ok(false) if !is_here && wants_less => {
            Finding::warning("relay", format!("{place} takes mail without encryption"))
                .means("whoever listens on the way reads names, addresses and texts")
                .help("let it offer STARTTLS, and write `starttls://` so that nothing else will do")
        }
        Ok(encrypted) => {
            Finding::fine("relay", format!("{place} greets us{}", if encrypted { ", encrypted" } else { "" }))
        }
    }
}
