//! The engine under measurement: `fahrplan serve` as a process of its own, its clock, its memory and CPU.

use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::load::Project;
use super::super::{BenchArgs, Failure, deploy, import, world};
use super::folder::Folder;
use super::load::{Contacts, Crowd};
use super::server::Server;
use super::{Workload, load};
use crate::clock::machine_now;
use crate::store::{Access, Arg, Dialect, Options, Store, backlog, bucket_of, contacts, keys};
use crate::time::Timestamp;

/// How often the engine is asked whether it is through.
const ASK: Duration = Duration::from_millis(40);
/// Longer than any phase may take.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// The running engine.
pub(super) struct Engine {
    folder: Folder,
    /// The schema on a server, which goes too.
    server: Option<Server>,
    database: String,
    workers: usize,
    children: Vec<Child>,
    urls: Vec<String>,
    /// Counts the doors that were handed out: each process gets its share.
    doors: AtomicUsize,
    key: String,
    client: reqwest::Client,
    contacts: u64,
    /// What it took to import those who are parked.
    pub(super) parked: Imported,
    /// For looking at what is left to do.
    store: Store,
    /// What the journey clock shows.
    now: AtomicI64,
}

/// Contacts that wait beside the workload, as they came into the database.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Imported {
    pub seconds: f64,
    pub bytes: u64,
}

/// What the system says of the engine's processes: CPU of all of them, memory of the largest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub cpu_ms: u64,
    /// Of the database server, where there is one on this machine.
    pub server_cpu_ms: Option<u64>,
    pub rss_mib: u64,
    pub peak_mib: u64,
}

/// Where events go in.
#[derive(Clone)]
pub(super) struct Door {
    url: String,
    key: String,
    client: reqwest::Client,
}

impl Door {
    /// Posts a batch until it is taken.
    pub(super) async fn post(&self, body: &Value) -> Result<(), Failure> {
        self.post_text(&body.to_string()).await
    }

    /// Posts a batch that is written already.
    pub(super) async fn post_text(&self, body: &str) -> Result<(), Failure> {
        loop {
            let request = self.client.post(format!("{}/v1/batch", self.url)).bearer_auth(&self.key);
            let request = request.header("content-type", "application/json").body(body.to_owned());
            let answer = request.send().await.map_err(world)?;
            match answer.status().as_u16() {
                200 => return Ok(()),
                429 | 503 => tokio::time::sleep(Duration::from_millis(20)).await,
                status => {
                    return Err(Failure::world(format!(
                        "the engine answered {status}: {}",
                        answer.text().await.unwrap_or_default()
                    )));
                }
            }
        }
    }
}

impl Engine {
    /// Writes the project, deploys it, imports those who are to be parked, starts the daemon.
    pub(super) async fn start(workload: Workload, args: &BenchArgs) -> Result<Engine, Failure> {
        let folder = Folder::new("bench")?;
        let server = match &args.database {
            Some(url) => Server::prepare(url).await?,
            None => None,
        };
        let file = || format!("sqlite:{}", folder.join("bench.db").display());
        let database =
            server.as_ref().map(Server::url).or_else(|| args.database.clone()).unwrap_or_else(file);
        write_project(&folder, workload, args.parked.is_some())
            .map_err(|error| Failure::world(format!("{}: {error}", folder.display())))?;
        let project = Project::at(folder.to_path_buf())?;
        let beginning = moment(load::BEGINNING);
        let store = Store::open(&database).await.map_err(world)?;
        deploy::deploy_project(&store, &project, beginning).await?;
        let parked = import_parked(&store, args.parked.unwrap_or(0), beginning).await?;
        let scopes = [keys::Scope::Ingest].into();
        let (_, key) = keys::create(&store, "bench", scopes, None, machine_now()).await.map_err(world)?;
        store.close().await;
        set_clock(&folder, load::BEGINNING)?;
        let look = Options { access: Access::Look, ..Options::default() };
        let mut engine = Engine {
            workers: super::workers(args),
            children: Vec::new(),
            urls: Vec::new(),
            doors: AtomicUsize::new(0),
            key,
            client: reqwest::Client::new(),
            contacts: args.contacts,
            parked,
            store: Store::open_with(&database, look).await.map_err(world)?,
            now: AtomicI64::new(beginning.0),
            server,
            database,
            folder,
        };
        engine.begin().await?;
        Ok(engine)
    }

    /// Imports those of the workload. They come last, so that it is the same for all how long ago that was: an operating system forgets
    /// pages of files within minutes.
    pub(super) async fn import_moving(&self) -> Result<(), Failure> {
        let store = Store::open(&self.database).await.map_err(world)?;
        let moving = Contacts::new(Crowd::Moving, self.contacts + super::SINGLES);
        import::contacts_from(&store, moving, moment(load::BEGINNING)).await?;
        store.close().await;
        Ok(())
    }

    /// Starts the processes; how long it takes until all are ready.
    async fn begin(&mut self) -> Result<Duration, Failure> {
        let begun = Instant::now();
        for number in 0..self.workers {
            self.serve(number)?;
        }
        self.until_ready().await?;
        Ok(begun.elapsed())
    }

    /// Ends the processes, by force or in peace, and starts them anew; how many milliseconds it takes until they are ready.
    pub(super) async fn restart(&mut self, by_force: bool) -> Result<u64, Failure> {
        if !by_force {
            self.end().await;
        }
        self.kill();
        (self.children, self.urls) = Default::default();
        Ok(u64::try_from(self.begin().await?.as_millis()).unwrap_or(u64::MAX))
    }

    /// Starts one process.
    fn serve(&mut self, number: usize) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::world(error.to_string());
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(failed)?;
        let log = std::fs::File::create(self.folder.join(format!("log{number}"))).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let child = Command::new(program)
            .args(["serve", "--rehearse", "--clock"])
            .arg(self.folder.join("clock"))
            .current_dir(&*self.folder)
            .env("FAHRPLAN_DATABASE_URL", &self.database)
            .env("FAHRPLAN_HTTP_LISTEN", free.to_string())
            .env("FAHRPLAN_LOG", "warn")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| Failure::world(format!("the engine cannot be started: {error}")))?;
        self.children.push(child);
        self.urls.push(format!("http://{free}"));
        Ok(())
    }

    pub(super) fn door(&self) -> Door {
        let turn = self.doors.fetch_add(1, Ordering::Relaxed) % self.urls.len();
        Door { url: self.urls[turn].clone(), key: self.key.clone(), client: self.client.clone() }
    }

    /// One event of that name for each of these contacts, until nothing is left of it; how many seconds that took.
    pub(super) async fn events(&self, name: &'static str, contacts: Range<u64>) -> Result<f64, Failure> {
        let begun = Instant::now();
        load::events(self, name, contacts).await?;
        self.until_idle().await?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Sets the clock forward and waits until everything that fell due is done.
    pub(super) async fn forward(&self, to: &str) -> Result<f64, Failure> {
        let begun = Instant::now();
        self.now.store(moment(to).0, Ordering::Relaxed);
        set_clock(&self.folder, to)?;
        self.until_idle().await?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Latency of single events at low load, from the request to the message's claim by its channel: p50 and p99 in milliseconds.
    pub(super) async fn singles(&self, count: u64) -> Result<Value, Failure> {
        let mut times = Vec::new();
        for n in 0..count {
            let new = self.contacts + n;
            let (mut conn, door) = (self.store.read().await.map_err(world)?, self.door());
            let contact = contacts::by_key(&mut conn, &format!("u{new}")).await.map_err(world)?;
            let Some(contact) = contact else { return Err(Failure::world("a contact is missing")) };
            let place = [bucket_of(contact.id, self.store.settings().buckets), contact.id.0];
            const CLAIMED: &str =
                "SELECT id FROM deliveries WHERE bucket = $1 AND contact = $2 AND attempts > 0";
            let begun = Instant::now();
            door.post(&json!({ "batch": [load::item("signed_up", new)] })).await?;
            let answered = begun.elapsed();
            let mut claimed = async || conn.fetch(CLAIMED, place.map(Arg::I64).into()).await.map_err(world);
            while claimed().await?.is_empty() && begun.elapsed() < Duration::from_secs(5) {
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
            times.push((answered, begun.elapsed()));
        }
        let ms = |pick: fn(&(Duration, Duration)) -> Duration, share: usize| {
            percentile_ms(&times.iter().map(pick).collect::<Vec<_>>(), share)
        };
        Ok(json!({
            "acknowledged": { "p50": ms(|t| t.0, 50), "p99": ms(|t| t.0, 99) },
            "at_channel": { "p50": ms(|t| t.1, 50), "p99": ms(|t| t.1, 99) },
        }))
    }

    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for child in &self.children {
            let read = |file: &str| {
                std::fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap_or_default()
            };
            let status = read("status");
            let mib = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
                line.split_whitespace().find_map(|word| word.parse::<u64>().ok()).unwrap_or(0) / 1_024
            };
            usage.cpu_ms += ticks(&read("stat"), 11);
            usage.rss_mib = usage.rss_mib.max(mib("VmRSS:"));
            usage.peak_mib = usage.peak_mib.max(mib("VmHWM:"));
        }
        usage.server_cpu_ms = self.server.as_ref().and_then(Server::cpu_ms);
        usage
    }

    /// From here on the most memory there was counts anew.
    pub(super) fn forget_peak(&self) {
        for child in &self.children {
            // Where the system does not let us, the peak is that of the whole run.
            let _ = std::fs::write(format!("/proc/{}/clear_refs", child.id()), "5");
        }
    }

    pub(super) async fn database_bytes(&self) -> Result<u64, Failure> {
        bytes_in_use(&self.store).await
    }

    /// How many rest at a step.
    pub(super) async fn waiting(&self) -> Result<u64, Failure> {
        const RESTING: &str =
            "SELECT CAST(COALESCE(SUM(count), 0) AS BIGINT) FROM step_counts WHERE kind = 0";
        one(&self.store, RESTING).await
    }

    /// Asks the processes to end, and waits.
    async fn end(&mut self) {
        for child in &self.children {
            let _ = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
        }
        let deadline = Instant::now() + Duration::from_secs(40);
        let running = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_none());
        while Instant::now() < deadline && self.children.iter_mut().any(running) {
            tokio::time::sleep(ASK).await;
        }
    }

    /// Ends the engine and removes what it left.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        self.end().await;
        self.kill();
        self.store.clone().close().await;
        if let Some(server) = &self.server {
            server.remove().await?;
        }
        Ok(())
    }

    fn kill(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(super) async fn until_idle(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let mut conn = self.store.read().await.map_err(world)?;
            let now = Timestamp(self.now.load(Ordering::Relaxed));
            if backlog::is_idle(&mut conn, now).await.map_err(world)? {
                return Ok(());
            }
            drop(conn);
            tokio::time::sleep(ASK).await;
        }
        Err(Failure::world("the engine does not come to an end"))
    }

    async fn until_ready(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        for (number, url) in self.urls.iter().enumerate() {
            let asked = || self.client.get(format!("{url}/readyz")).send();
            while !asked().await.is_ok_and(|answer| answer.status().is_success()) {
                if begun.elapsed() > Duration::from_secs(30) {
                    let log = std::fs::read_to_string(self.folder.join(format!("log{number}")));
                    let log = log.unwrap_or_default();
                    return Err(Failure::world(format!("the engine does not start: {log}")));
                }
                tokio::time::sleep(ASK).await;
            }
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Imports those who are to be parked.
async fn import_parked(store: &Store, count: u64, now: Timestamp) -> Result<Imported, Failure> {
    if count == 0 {
        return Ok(Imported::default());
    }
    let (begun, before) = (Instant::now(), bytes_in_use(store).await?);
    import::contacts_from(store, Contacts::new(Crowd::Parked, count), now).await?;
    let bytes = bytes_in_use(store).await?.saturating_sub(before);
    Ok(Imported { seconds: begun.elapsed().as_secs_f64(), bytes })
}

/// What the database takes, less what it has free.
async fn bytes_in_use(store: &Store) -> Result<u64, Failure> {
    const SQLITE: &str = "SELECT (all_pages.page_count - free.freelist_count) * each_page.page_size \
        FROM pragma_page_count AS all_pages, pragma_freelist_count AS free, pragma_page_size AS each_page";
    const POSTGRES: &str = "SELECT CAST(COALESCE(SUM(pg_total_relation_size(oid)), 0) AS BIGINT) FROM pg_class \
        WHERE relnamespace = to_regnamespace(current_schema()) AND relkind = 'r'";
    match store.dialect() {
        Dialect::Sqlite => one(store, SQLITE).await,
        Dialect::Postgres => one(store, POSTGRES).await,
    }
}

async fn one(store: &Store, sql: &'static str) -> Result<u64, Failure> {
    let mut conn = store.read().await.map_err(world)?;
    let row = conn.fetch_first(sql, Vec::new()).await.map_err(world)?;
    let figure = row.map_or(Ok(0), |row| row.i64(0)).map_err(world)?;
    Ok(u64::try_from(figure).unwrap_or(0))
}

/// CPU in milliseconds from two neighbouring fields of a line of `/proc/PID/stat`, counted behind the name in brackets; a tick is 10 ms
/// on Linux.
pub(super) fn ticks(stat: &str, field: usize) -> u64 {
    let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace().skip(field).take(2);
    fields.filter_map(|word| word.parse::<u64>().ok()).sum::<u64>() * 10
}

/// The time that so many of a hundred did not exceed, in milliseconds.
pub(super) fn percentile_ms(times: &[Duration], share: usize) -> f64 {
    let mut sorted: Vec<u128> = times.iter().map(Duration::as_micros).collect();
    sorted.sort_unstable();
    let place = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
    let at = sorted.get(place).copied().unwrap_or(0);
    f64::from(u32::try_from(at).unwrap_or(u32::MAX)) / 1_000.0
}

pub(super) fn moment(text: &str) -> Timestamp {
    text.parse().unwrap_or(Timestamp(0))
}

fn set_clock(folder: &std::path::Path, to: &str) -> Result<(), Failure> {
    let (beside, clock) = (folder.join("clock.new"), folder.join("clock"));
    let set = std::fs::write(&beside, to).and_then(|()| std::fs::rename(&beside, &clock));
    set.map_err(|error| Failure::world(format!("the clock cannot be set: {error}")))
}

pub(super) fn write_project(
    folder: &std::path::Path,
    workload: Workload,
    parked: bool,
) -> std::io::Result<()> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, text)
    };
    write(
        "fahrplan.toml",
        "[project]\nname = \"bench\"\nzone = \"Europe/Berlin\"\nlocale = \"de\"\n[smtp]\nfrom = \"Bench <bench@example.org>\"\n[brand]\nname = \"Bench\"\n",
    )?;
    write("schema.journey", include_str!("schema.journey"))?;
    match workload {
        Workload::J => write("journeys/j.journey", include_str!("j.journey"))?,
        Workload::JPrime => {
            write("policies.journey", include_str!("policies.journey"))?;
            write("journeys/j_prime.journey", include_str!("j_prime.journey"))?;
        }
    }
    if parked {
        write("journeys/parked.journey", include_str!("parked.journey"))?;
    }
    write("calls/thank_you.md", "Say thank you.\n")?;
    for template in ["hello", "offer", "vip_offer"] {
        for locale in ["de", "en"] {
            write(&format!("templates/{template}/email.{locale}.subject.hbs"), "Hello\n")?;
            write(
                &format!("templates/{template}/email.{locale}.html.hbs"),
                "<p>Hello <a href=\"{{links.unsubscribe}}\">no more</a></p>\n",
            )?;
        }
    }
    Ok(())
}
