//! `fahrplan demo`: the main job on real input with nothing else installed.
//!
//! A fresh SQLite database in a temporary folder, the shop of `journeys/` compiled in, real SMTP into a built-in loopback mailbox, text
//! messages to a built-in gateway, the pages on 127.0.0.1. History before day 0 is imported quietly; the rest of the script is posted at
//! its time over the public doors, and the built-in people answer their mail and their text messages and do the work of the teams over
//! the same doors. Ends by itself with a summary that equals `fahrplan status`.

mod answers;
mod desk;
mod pages;
mod people;
mod script;
mod texts;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::desk::Desk;
use self::people::Plans;
use self::script::Script;
use self::texts::Gateway;
use super::load::Project;
use super::{DemoArgs, Exit, Failure, Outcome, print, shop};
use crate::channels::guard::{Allowed, Guard};
use crate::channels::mailbox::{Mailbox, MailboxConfig};
use crate::clock::{JourneyClock, machine_now};
use crate::config::{Config, Secrets};
use crate::daemon::{Daemon, Others};
use crate::store::pools::{self, Code};
use crate::store::status::{self, Status};
use crate::store::{Store, backlog, exports, journeys, keys, members};
use crate::time::{DAY, MINUTE, Timestamp, Zone};

/// What the built-in people decide by; the same seed plays the same script.
const SEED: u64 = 20_261_122;
/// Mails kept by the mailbox: all of a demo.
const MAILBOX: usize = 100_000;
/// How the codes for friends begin.
const FRIENDS: &str = "FREUND-";
/// What the pools hold on the first day.
const POOLS: [(&str, &str, u32); 3] =
    [("birthday_codes", "GEB-", 60), ("friend_codes", FRIENDS, 40), ("tasting_seats", "Platz ", 12)];
/// How often the script and the people are looked at.
const TICK: Duration = Duration::from_millis(20);
/// How long to wait at the end for what is still on its way.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// What the players of a demo share.
#[derive(Clone)]
struct Stage {
    store: Store,
    clock: JourneyClock,
    mailbox: Arc<Mailbox>,
    gateway: Arc<Gateway>,
    client: reqwest::Client,
    /// Where the doors are.
    url: String,
    key: String,
    seed: u64,
    /// User ids by e-mail address.
    people: Arc<HashMap<String, String>>,
    begins: Timestamp,
    days: u32,
}

/// What the first page and the lines on the terminal show.
struct View {
    day: i64,
    days: u32,
    time: String,
    contacts: i64,
    inside: i64,
    mails: u64,
    texts: usize,
    journeys: Vec<JourneyView>,
}

struct JourneyView {
    name: String,
    title: String,
    entered: i64,
    inside: i64,
    steps: Vec<(String, i64)>,
    exits: Vec<(String, i64)>,
    goals: Vec<(String, i64)>,
}

/// Runs the command.
pub fn run(args: &DemoArgs) -> Outcome {
    super::block_on(play(args))
}

async fn play(args: &DemoArgs) -> Outcome {
    let folder = folder()?;
    let project = Project::at(shop::unpack(&folder)?)?;
    let url = format!("sqlite:{}", folder.join("demo.db").display());
    let store = Store::open(&url).await.map_err(|error| Failure::world(error.to_string()))?;
    let begins = Timestamp(machine_now().0.div_euclid(DAY) * DAY);
    super::deploy::deploy_project(&store, &project, begins).await?;
    for (pool, begin, count) in POOLS {
        fill(&store, pool, begin, count).await?;
    }
    let scopes = [keys::Scope::Ingest, keys::Scope::Tasks].into();
    let (_, key) = keys::create(&store, "demo", scopes, None, machine_now()).await.map_err(super::world)?;

    let script = Script::read(&project, begins)?;
    script.import(&store, begins).await?;
    let mailbox = Mailbox::start(MailboxConfig { capacity: MAILBOX, ..MailboxConfig::default() }).await;
    let mailbox =
        Arc::new(mailbox.map_err(|error| Failure::world(format!("the mailbox cannot listen: {error}")))?);
    let listener = listen(args.port).await?;
    let address = listener.local_addr().map_err(|error| Failure::world(error.to_string()))?;
    let clock = JourneyClock::scaled(begins, Duration::from_millis(args.speed.unsigned_abs()));
    let stage = Stage {
        store: store.clone(),
        clock: clock.clone(),
        mailbox: mailbox.clone(),
        gateway: Arc::new(Gateway::new(secret_of(&key))),
        client: client(),
        url: format!("http://{address}"),
        key,
        seed: SEED,
        people: Arc::new(script.people.clone()),
        begins,
        days: args.days,
    };
    let stop = CancellationToken::new();
    let daemon = daemon_for(&stage, &project, listener)?;
    let running = tokio::spawn(daemon.run(stop.clone()));
    print(&format!(
        "The shop opens. Journeys and mailbox: {url}\n{days} days at {speed} a second: about {minutes}. Ctrl-C ends it earlier.\n\n",
        url = stage.url,
        days = args.days,
        speed = spell(args.speed),
        minutes = spell(i64::from(args.days) * DAY / args.speed.max(1) * 1_000),
    ))?;
    let mut desk = Desk::default();
    let ended = tokio::select! {
        () = act(&stage, script, &mut desk) => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
        daemon = running => match daemon {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::world(error.to_string())),
            Err(error) => Err(Failure::world(format!("the daemon broke: {error}"))),
        },
    };
    settle(&stage).await;
    stop.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    summary(&stage, &desk, &folder, &url).await?;
    ended.map(|()| Exit::Fine)
}

/// Puts numbered codes into a pool.
async fn fill(store: &Store, pool: &str, begin: &str, count: u32) -> Result<(), Failure> {
    let code = |n: u32| Code {
        fields: [("code".into(), crate::value::Value::Text(format!("{begin}{n}").into()))]
            .into_iter()
            .collect(),
        expires_at: Timestamp::NEVER,
    };
    let codes: Vec<Code> = (1..=count).map(code).collect();
    pools::fill(store, pool, &codes).await.map(drop).map_err(super::world)
}

/// Plays the script and the people until the last day is over.
async fn act(stage: &Stage, mut script: Script, desk: &mut Desk) {
    let ends = stage.begins.plus_ms(i64::from(stage.days) * DAY);
    let mut plans = Plans::default();
    let mut told = 0;
    loop {
        let now = stage.clock.now();
        for batch in script.due(now) {
            if let Err(error) = stage.post("/v1/batch", &batch).await {
                tracing::warn!(error = %error, "a part of the script was not taken");
            }
        }
        plans.read(stage, now);
        for deed in plans.due(now) {
            deed.act(stage).await;
        }
        desk.work(stage, now).await;
        let day = (now.0 - stage.begins.0) / DAY;
        if day / 5 > told {
            told = day / 5;
            stage.tell().await;
        }
        if now >= ends {
            return;
        }
        tokio::time::sleep(TICK).await;
    }
}

impl Stage {
    /// Posts JSON to a door.
    async fn post(&self, path: &str, body: &Value) -> Result<reqwest::Response, reqwest::Error> {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.key).json(body);
        request.send().await?.error_for_status()
    }

    /// Asks a door.
    async fn ask(&self, path: &str) -> Result<Value, reqwest::Error> {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.key);
        request.send().await?.error_for_status()?.json().await
    }

    async fn status(&self) -> Option<Status> {
        status::read(&self.store, self.clock.now()).await.ok()
    }

    /// Where everybody is just now.
    async fn view(&self) -> Option<View> {
        let status = self.status().await?;
        let now = self.clock.now();
        let zone = Zone::named("Europe/Berlin").unwrap_or_else(Zone::utc);
        let journeys: Vec<JourneyView> = status.journeys.iter().map(JourneyView::of).collect();
        Some(View {
            day: ((now.0 - self.begins.0) / DAY + 1).min(i64::from(self.days)),
            days: self.days,
            time: format!("{}, {} in Berlin", zone.date(now), zone.time(Timestamp(now.0 / MINUTE * MINUTE))),
            contacts: status.contacts,
            inside: journeys.iter().map(|journey| journey.inside).sum(),
            mails: *self.mailbox.arrivals().borrow(),
            texts: self.gateway.count(),
            journeys,
        })
    }

    /// One line on the terminal.
    async fn tell(&self) {
        let Some(view) = self.view().await else { return };
        let inside: Vec<String> =
            view.journeys.iter().map(|journey| format!("{} {}", journey.name, journey.inside)).collect();
        let line = format!(
            "day {:>2}  {}  {:>4} mails  inside: {}\n",
            view.day,
            view.time,
            view.mails,
            inside.join(", ")
        );
        if print(&line).is_err() {
            tracing::debug!("nobody reads the terminal");
        }
    }
}

/// Waits until what is on its way has arrived.
async fn settle(stage: &Stage) {
    let deadline = tokio::time::Instant::now() + LAST_WORDS;
    while tokio::time::Instant::now() < deadline {
        let left = async {
            let mut conn = stage.store.read().await?;
            backlog::backlog(&mut conn, stage.begins).await
        };
        if left.await.is_ok_and(|backlog| backlog.inbox + backlog.queued + backlog.leased == 0) {
            return;
        }
        tokio::time::sleep(TICK).await;
    }
}

impl JourneyView {
    fn of(journey: &status::Journey) -> JourneyView {
        let rows = |counts: &std::collections::BTreeMap<String, i64>| {
            counts.iter().map(|(name, count)| (name.clone(), *count)).collect()
        };
        JourneyView {
            name: journey.name.clone(),
            title: journey.title.clone().unwrap_or_else(|| journey.name.clone()),
            entered: journey.entered,
            inside: journey.active,
            steps: rows(&journey.waiting),
            exits: rows(&journey.exits),
            goals: rows(&journey.goals),
        }
    }
}

/// What came of it, as `fahrplan status` shows it too.
async fn summary(stage: &Stage, desk: &Desk, folder: &std::path::Path, url: &str) -> Result<(), Failure> {
    let status = status::read(&stage.store, machine_now()).await.map_err(super::world)?;
    let (mails, texts) = (*stage.mailbox.arrivals().borrow(), stage.gateway.count());
    print(&format!(
        "\nThe demo is over. {mails} mails arrived in the mailbox, {texts} text messages at the gateway.\n{}{}{}\n{}",
        in_words(desk),
        answered(stage).await?,
        audiences(stage).await?,
        super::status::in_words(&status)
    ))?;
    // Who runs the demo from a fresh clone has no `fahrplan` on the path yet.
    let program =
        std::env::current_exe().map_or_else(|_| "fahrplan".to_owned(), |path| path.display().to_string());
    print(&format!(
        "\nThe same numbers again:  cd {} && FAHRPLAN_DATABASE_URL={url} {program} status --format json\n",
        folder.join("journeys").display()
    ))
}

/// What the teams have told, a line for each task.
fn in_words(desk: &Desk) -> String {
    let line = |(task, outcomes): (&String, &std::collections::BTreeMap<String, u64>)| {
        let told: Vec<String> =
            outcomes.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
        format!("{task}: {} done ({})\n", outcomes.values().sum::<u64>(), told.join(", "))
    };
    desk.told.iter().map(line).collect()
}

/// What people have answered, a line for each survey.
async fn answered(stage: &Stage) -> Result<String, Failure> {
    let all = answers::read(stage).await.map_err(super::world)?;
    Ok(all.iter().map(|answered| format!("survey {}: {}\n", answered.survey, answered.in_words())).collect())
}

/// Who is in the audiences of networks, a line for each.
async fn audiences(stage: &Stage) -> Result<String, Failure> {
    let mut conn = stage.store.read().await.map_err(super::world)?;
    let catalog = journeys::deployed(&mut conn).await.map_err(super::world)?.catalog.clone();
    let mut text = String::new();
    for name in catalog.audiences.keys() {
        let members = members::count(&mut conn, name).await.map_err(super::world)?;
        let told = exports::told_of(&mut conn, name).await.map_err(super::world)?;
        text.push_str(&format!("audience {name}: {members} in it, {told} told to the network\n"));
    }
    Ok(text)
}

async fn listen(port: u16) -> Result<TcpListener, Failure> {
    match TcpListener::bind(("127.0.0.1", port)).await {
        Ok(listener) => Ok(listener),
        // The usual port is taken, perhaps by a daemon: any other will do.
        Err(_) if port == 8600 => {
            TcpListener::bind(("127.0.0.1", 0)).await.map_err(|e| Failure::world(e.to_string()))
        }
        Err(error) => Err(Failure::world(format!("port {port} cannot be opened: {error}"))
            .help("choose another with --port")),
    }
}

/// The secret under which the gateway signs, made of the demo's key.
fn secret_of(key: &str) -> String {
    let bytes = blake3::derive_key("fahrplan demo: what people text back", key.as_bytes());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20));
    builder.build().unwrap_or_default()
}

fn folder() -> Result<PathBuf, Failure> {
    let folder = std::env::temp_dir().join(format!("fahrplan-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::world(format!("{} cannot be made: {error}", folder.display())))?;
    Ok(folder)
}

/// The gateway of the demo and no other: whatever secrets are at hand, a demo asks nobody and writes to nobody.
fn others(stage: &Stage) -> Result<Others, Failure> {
    let own = [
        ("FAHRPLAN_SECRET_SMS_GATEWAY", format!("{}/demo/texts", stage.url)),
        ("FAHRPLAN_SECRET_RECEIPTS", stage.gateway.secret.clone()),
    ];
    let own: BTreeMap<String, String> = own.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    let here: Allowed = "127.0.0.1".parse().map_err(|_| Failure::world("127.0.0.1 is no address"))?;
    let secrets = Secrets::new(&Config::default(), std::path::Path::new("."), &own);
    Ok(Others::rehearsing(Guard::new(vec![here]), secrets))
}

fn daemon_for(stage: &Stage, project: &Project, listener: TcpListener) -> Result<Daemon, Failure> {
    let mut config = project.config.clone();
    config.smtp.url = stage.mailbox.url();
    config.http.public_url = Some(stage.url.clone());
    config.brakes.file = project.switch();
    config.letters.folder = project.letters();
    config.audiences.folder = project.audiences();
    let mut daemon =
        super::serve::daemon(&stage.store, &config, others(stage)?, stage.clock.clone(), listener, false)?;
    daemon.pages = Some(pages::router(stage.clone()));
    Ok(daemon)
}

/// A duration in words, roughly.
fn spell(ms: i64) -> String {
    let (n, unit) = match ms {
        ms if ms >= 2 * DAY => (ms / DAY, "days"),
        ms if ms >= 120 * MINUTE => (ms / (60 * MINUTE), "hours"),
        ms if ms >= 2 * MINUTE => (ms / MINUTE, "minutes"),
        ms => (ms / 1_000, "seconds"),
    };
    format!("{n} {unit}")
}
