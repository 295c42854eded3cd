//! The engine under measurement: `fahrplan serve` as a process of its own, its clock, its memory and CPU.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::load::Project;
use super::super::{BenchArgs, Failure, deploy, import, world};
use super::{Workload, load};
use crate::clock::machine_now;
use crate::store::{Store, keys};
use crate::time::Timestamp;

/// How often the engine is asked whether it is through.
const ASK: Duration = Duration::from_millis(40);
/// Longer than any phase may take.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// The running engine.
pub(super) struct Engine {
    folder: PathBuf,
    /// A folder that was made here and goes with it.
    child: Child,
    url: String,
    key: String,
    client: reqwest::Client,
    contacts: u64,
}

/// What the system says of the engine's process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub cpu_ms: u64,
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
        loop {
            let request =
                self.client.post(format!("{}/v1/batch", self.url)).bearer_auth(&self.key).json(body);
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
    /// Writes the project, deploys it, imports the contacts, starts the daemon.
    pub(super) async fn start(workload: Workload, args: &BenchArgs) -> Result<Engine, Failure> {
        let folder =
            std::env::temp_dir().join(format!("fahrplan-bench-{}-{}", std::process::id(), machine_now().0));
        let database =
            args.database.clone().unwrap_or_else(|| format!("sqlite:{}", folder.join("bench.db").display()));
        write_project(&folder, workload)
            .map_err(|error| Failure::world(format!("{}: {error}", folder.display())))?;
        let project = Project::at(folder.clone())?;
        let beginning = moment(load::BEGINNING);
        let store = Store::open(&database).await.map_err(world)?;
        deploy::deploy_project(&store, &project, beginning).await?;
        import::contacts_from(&store, load::contacts(args.contacts + super::SINGLES).as_bytes(), beginning)
            .await?;
        let scopes = [keys::Scope::Ingest].into();
        let (_, key) = keys::create(&store, "bench", scopes, None, machine_now()).await.map_err(world)?;
        store.close().await;
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .map_err(|e| Failure::world(e.to_string()))?
            .port();
        let log =
            std::fs::File::create(folder.join("log")).map_err(|error| Failure::world(error.to_string()))?;
        let program = std::env::current_exe().map_err(|error| Failure::world(error.to_string()))?;
        set_clock(&folder, load::BEGINNING)?;
        let child = Command::new(program)
            .args(["serve", "--rehearse", "--clock"])
            .arg(folder.join("clock"))
            .current_dir(&folder)
            .env("FAHRPLAN_DATABASE_URL", &database)
            .env("FAHRPLAN_HTTP_LISTEN", format!("127.0.0.1:{port}"))
            .env("FAHRPLAN_LOG", "warn")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| Failure::world(format!("the engine cannot be started: {error}")))?;
        let engine = Engine {
            folder,
            child,
            url: format!("http://127.0.0.1:{port}"),
            key,
            client: reqwest::Client::new(),
            contacts: args.contacts,
        };
        engine.until_ready().await?;
        Ok(engine)
    }

    pub(super) fn door(&self) -> Door {
        Door { url: self.url.clone(), key: self.key.clone(), client: self.client.clone() }
    }

    /// One event of that name for each contact, until nothing is left of it; how many seconds that took.
    pub(super) async fn events(&self, name: &'static str, contacts: u64) -> Result<f64, Failure> {
        let begun = Instant::now();
        load::events(self, name, contacts).await?;
        self.until_idle().await?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Sets the clock forward and waits until everything that fell due is done.
    pub(super) async fn forward(&self, to: &str) -> Result<f64, Failure> {
        let begun = Instant::now();
        set_clock(&self.folder, to)?;
        self.until_idle().await?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Latency of single events at low load, from the request to the message's claim by its channel: p50 and p99 in milliseconds.
    pub(super) async fn singles(&self, count: u64) -> Result<Value, Failure> {
        let mut times = Vec::new();
        for n in 0..count {
            let new = self.contacts + n;
            let sent = self.sent().await?;
            let begun = Instant::now();
            self.door().post(&json!({ "batch": [load::item("signed_up", new)] })).await?;
            let answered = begun.elapsed();
            while self.sent().await? == sent && begun.elapsed() < Duration::from_secs(5) {
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
            times.push((answered, begun.elapsed()));
        }
        let ms = |pick: fn(&(Duration, Duration)) -> Duration, share: usize| {
            let mut sorted: Vec<u128> = times.iter().map(|t| pick(t).as_micros()).collect();
            sorted.sort_unstable();
            let at = sorted
                .get((sorted.len() * share / 100).min(sorted.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0);
            f64::from(u32::try_from(at).unwrap_or(u32::MAX)) / 1_000.0
        };
        Ok(json!({
            "acknowledged": { "p50": ms(|t| t.0, 50), "p99": ms(|t| t.0, 99) },
            "at_channel": { "p50": ms(|t| t.1, 50), "p99": ms(|t| t.1, 99) },
        }))
    }

    pub(super) fn usage(&self) -> Usage {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
        };
        let status = read("status");
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
            line.split_whitespace().find_map(|word| word.parse::<u64>().ok()).unwrap_or(0) / 1_024
        };
        // Fields 14 and 15 of stat, counted behind the name in brackets; a tick is 10 ms on Linux.
        let stat = read("stat");
        let ticks = stat.rsplit(')').next().unwrap_or("").split_whitespace().skip(11).take(2);
        let cpu_ms = ticks.filter_map(|word| word.parse::<u64>().ok()).sum::<u64>() * 10;
        Usage { cpu_ms, rss_mib: kib("VmRSS:"), peak_mib: kib("VmHWM:") }
    }

    pub(super) fn database_bytes(&self) -> u64 {
        let size = |name: &str| std::fs::metadata(self.folder.join(name)).map_or(0, |meta| meta.len());
        size("bench.db") + size("bench.db-wal")
    }

    /// Ends the engine and removes what it left.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(40);
        while Instant::now() < deadline && self.child.try_wait().is_ok_and(|status| status.is_none()) {
            tokio::time::sleep(ASK).await;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
        Ok(())
    }

    async fn metric(&self, wanted: &[&str]) -> Result<Vec<i64>, Failure> {
        let text = self
            .client
            .get(format!("{}/metrics", self.url))
            .send()
            .await
            .map_err(world)?
            .text()
            .await
            .map_err(world)?;
        let value = |name: &str| {
            let lines = text
                .lines()
                .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).reduce(|sum, n| sum + n)
        };
        #[expect(clippy::cast_possible_truncation, reason = "counts that were whole")]
        let whole = |name: &&str| value(name).unwrap_or(0.0) as i64;
        if wanted == ["fahrplan_backlog"] {
            let lines = text.lines().filter(|line| line.starts_with("fahrplan_backlog{"));
            #[expect(clippy::cast_possible_truncation, reason = "counts that were whole")]
            let counts =
                lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).map(|n| n as i64);
            return Ok(vec![counts.sum()]);
        }
        Ok(wanted.iter().map(whole).collect())
    }

    async fn sent(&self) -> Result<i64, Failure> {
        Ok(self.metric(&["fahrplan_deliveries_total"]).await?[0])
    }

    async fn until_idle(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.metric(&["fahrplan_backlog"]).await?[0] == 0 {
                return Ok(());
            }
            tokio::time::sleep(ASK).await;
        }
        Err(Failure::world("the engine does not come to an end"))
    }

    async fn until_ready(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if self
                .client
                .get(format!("{}/readyz", self.url))
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            tokio::time::sleep(ASK).await;
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        Err(Failure::world(format!("the engine does not start: {log}")))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap_or(Timestamp(0))
}

fn set_clock(folder: &std::path::Path, to: &str) -> Result<(), Failure> {
    let (beside, clock) = (folder.join("clock.new"), folder.join("clock"));
    let set = std::fs::write(&beside, to).and_then(|()| std::fs::rename(&beside, &clock));
    set.map_err(|error| Failure::world(format!("the clock cannot be set: {error}")))
}

fn write_project(folder: &std::path::Path, workload: Workload) -> std::io::Result<()> {
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
