//! The brakes from outside: the program itself, its commands and its daemons, against a mail server that notes what it accepts. On
//! SQLite with one daemon, on PostgreSQL with two.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fahrplan::channels::mailbox::{Mailbox, MailboxConfig, Moment, Reaction};

use crate::cli::{Ran, empty_dir, fahrplan};
use crate::store::{Database, on_both};

/// A second journey, whose mail needs no consent.
const RECEIPT: &str = r#"
journey receipt "A receipt" {
  purpose transactional because "they asked for it"
  enter on signed_up
  reenter never
  send email welcome as slip
  exit as done
}
"#;

/// A project with people who have signed up, and a mail server.
struct Shop {
    dir: tempfile::TempDir,
    mailbox: Mailbox,
    workers: Vec<Child>,
    postgres: bool,
}

impl Shop {
    /// Deploys the project of `init` and these journeys; the mail server takes its time over each mail.
    async fn open(database: &Database, journeys: &str, rules: &str, slow: Duration) -> Shop {
        let mailbox = Mailbox::start(MailboxConfig::default()).await.expect("a mailbox");
        mailbox.follow(move |moment| match moment {
            Moment::Dot(_) => Reaction::Wait(slow),
            _ => Reaction::Go,
        });
        let dir = empty_dir();
        let shop = Shop { dir, mailbox, workers: Vec::new(), postgres: database.is_postgres() };
        shop.fine(&["init"]);
        let policies = shop.read("policies.journey");
        let awake: String = policies
            .split_inclusive('\n')
            .filter(|line| !line.contains("quiet hours") && !line.contains("cap "))
            .collect();
        shop.write("policies.journey", &awake.replace("  consent", &format!("  {rules}\n  consent")));
        shop.write("journeys/more.journey", journeys);
        let toml = shop.read("fahrplan.toml");
        shop.write("fahrplan.toml", &toml.replace("sqlite:fahrplan.db", database.url()));
        shop.fine(&["deploy", "--yes"]);
        shop
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(file)).expect(file)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), text).expect(file);
    }

    fn run(&self, args: &[&str]) -> Ran {
        fahrplan(self.dir.path(), args)
    }

    fn fine(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}: {}", ran.out);
        ran.out
    }

    /// Refused as used wrongly; what it says.
    fn refused(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {}", ran.err);
        ran.err
    }

    /// So many people with consent, all of whom sign up now.
    fn sign_up(&self, people: usize) {
        let row = |n: usize| format!("u{n},u{n}@example.org,yes\n");
        let rows: String = (0..people).map(row).collect();
        self.write("people.csv", &format!("user_id,email,consent_marketing_email\n{rows}"));
        self.fine(&["import", "contacts", "people.csv"]);
        let event = |n: usize| {
            format!(
                "{{\"type\": \"track\", \"userId\": \"u{n}\", \"event\": \"signed_up\", \"messageId\": \"m{n}\", \
                 \"properties\": {{\"source\": \"web\"}}}}\n"
            )
        };
        self.write("events.jsonl", &(0..people).map(event).collect::<String>());
        self.fine(&["import", "events", "events.jsonl", "--live"]);
    }

    /// One daemon on SQLite, two on PostgreSQL.
    fn serve(&mut self) {
        for _ in 0..if self.postgres { 2 } else { 1 } {
            let child = Command::new(env!("CARGO_BIN_EXE_fahrplan"))
                .arg("serve")
                .current_dir(self.dir.path())
                .env_clear()
                .env("FAHRPLAN_SMTP_URL", self.mailbox.url())
                .env("FAHRPLAN_HTTP_LISTEN", "127.0.0.1:0")
                .stderr(Stdio::null())
                .spawn();
            self.workers.push(child.expect("the binary is built before the tests"));
        }
    }

    fn kill(&mut self) {
        for mut worker in self.workers.drain(..) {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }

    fn arrived(&self) -> usize {
        self.mailbox.messages().len()
    }

    /// How many mails each journey has sent.
    fn by_journey(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for stored in self.mailbox.messages() {
            let id = stored.letter.header("Feedback-ID").expect("ours").to_owned();
            *counts.entry(id.split(':').nth(1).expect("a journey").to_owned()).or_default() += 1;
        }
        counts
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.fine(&["status", "--format", "json"])).expect("JSON")
    }

    /// Waits until so many mails have arrived.
    async fn until(&self, count: usize) {
        let began = Instant::now();
        while self.arrived() < count {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{} of {count}: {}",
                self.arrived(),
                self.status()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Nothing is accepted any more, from two seconds after now on.
    async fn is_still_two_seconds_from_now(&self) -> usize {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let then = self.arrived();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(self.arrived(), then, "it goes on: {}", self.status());
        then
    }

    /// Everything of so many people has arrived, and once.
    async fn ends_with(&self, count: usize) {
        self.until(count).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let messages = self.mailbox.messages();
        let ids: BTreeSet<_> =
            messages.iter().map(|stored| stored.letter.header("Message-ID").map(str::to_owned)).collect();
        assert_eq!((messages.len(), ids.len()), (count, count));
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.kill();
    }
}

const QUICK: Duration = Duration::from_millis(2);
const SLOW: Duration = Duration::from_millis(20);

#[test]
fn a_pause_of_everything_holds_within_two_seconds_survives_a_restart_and_loses_nothing() {
    on_both(async |database| {
        let mut shop = Shop::open(&database, RECEIPT, "", SLOW).await;
        shop.sign_up(800);
        shop.serve();
        shop.until(50).await;
        let said = shop.fine(&["pause"]);
        assert!(said.starts_with("Everything is paused. Nothing is lost"), "{said}");
        let then = shop.is_still_two_seconds_from_now().await;
        assert!(then < 1_500, "all were sent before the pause could be seen");
        let status = shop.status();
        let paused = &status["paused"][0];
        assert_eq!((paused["what"].as_str(), paused["name"].as_str()), (Some("all"), Some("")));
        assert!(paused["by"].as_str().is_some_and(|by| by.contains('@')), "{status}");
        assert_eq!(status["deliveries"]["queued"].as_u64(), Some(1_600 - then as u64), "{status}");
        assert!(shop.fine(&["status"]).contains("paused      everything, since 20"));
        assert!(shop.fine(&["pause", "all"]).starts_with("Everything is paused already."));

        shop.kill();
        shop.serve();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(shop.arrived(), then, "a restart has lifted it");
        assert_eq!(shop.fine(&["resume"]), "Everything goes on.\n");
        shop.ends_with(1_600).await;
        assert_eq!(shop.fine(&["resume"]), "Nothing is paused.\n");
    });
}

#[test]
fn a_journey_a_step_or_a_channel_is_paused_and_the_others_go_on() {
    on_both(async |database| {
        let mut shop = Shop::open(&database, RECEIPT, "", QUICK).await;
        let said = shop.fine(&["pause", "journey", "welcome"]);
        assert!(
            said.contains("until `fahrplan resume journey welcome`") && said.contains("People go on"),
            "{said}"
        );
        shop.sign_up(300);
        shop.serve();
        shop.until(300).await;
        assert_eq!(shop.is_still_two_seconds_from_now().await, 300);
        assert_eq!(shop.by_journey(), BTreeMap::from([("receipt".to_owned(), 300)]));
        assert_eq!(shop.status()["deliveries"]["queued"], 300);
        // People go on: they wait for the click already.
        assert_eq!(shop.status()["journeys"][1]["waiting"]["look"], 300, "{}", shop.status());

        shop.fine(&["pause", "step", "welcome.hello"]);
        let said = shop.fine(&["resume", "journey", "welcome"]);
        assert_eq!(said, "Journey `welcome` goes on.\nStep `welcome.hello` stays paused.\n");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(shop.arrived(), 300, "the step is paused");
        shop.fine(&["pause", "channel", "email"]);
        shop.fine(&["resume", "step", "welcome.hello"]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(shop.arrived(), 300, "the channel is paused");
        shop.fine(&["pause"]);
        shop.fine(&["resume", "channel", "email"]);
        assert_eq!(shop.status()["paused"].as_array().map(Vec::len), Some(1));
        shop.fine(&["resume", "all"]);
        shop.ends_with(600).await;
    });
}

#[test]
fn a_file_stops_a_machine_without_the_database() {
    on_both(async |database| {
        let mut shop = Shop::open(&database, RECEIPT, "", SLOW).await;
        shop.sign_up(800);
        shop.serve();
        shop.until(50).await;
        shop.write("fahrplan.paused", "");
        let then = shop.is_still_two_seconds_from_now().await;
        assert!(then < 1_500, "all were sent before");
        assert!(shop.fine(&["status"]).contains("stopped     nothing leaves this machine while "));
        assert!(shop.fine(&["resume"]).contains("fahrplan.paused is there"));
        std::fs::remove_file(shop.dir.path().join("fahrplan.paused")).expect("removed");
        shop.ends_with(1_600).await;
        // Where the database is away, a pause says how to do without it.
        shop.kill();
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let toml =
            shop.read("fahrplan.toml").replace(database.url(), &format!("postgres://x@127.0.0.1:{port}/x"));
        shop.write("fahrplan.toml", &toml);
        let ran = shop.run(&["pause", "all"]);
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(
            ran.err.contains("cannot be reached") && ran.err.contains("/fahrplan.paused` there"),
            "{}",
            ran.err
        );
    });
}

#[test]
fn what_cannot_be_paused_is_said_with_what_can() {
    on_both(async |database| {
        let shop = Shop::open(&database, RECEIPT, "", QUICK).await;
        let say = |args: &[&str], part: &str| {
            let said = shop.refused(args);
            assert!(said.contains(part), "{args:?}: {said}");
        };
        say(&["pause", "journey", "welcom"], "there is no journey `welcom`, did you mean `welcome`?");
        say(&["pause", "journey", "x"], "there is: receipt, welcome");
        say(&["pause", "journey"], "which journey?");
        say(&["pause", "channel", "sms"], "there is no channel `sms`");
        say(&["pause", "step", "welcome"], "write JOURNEY.STEP");
        say(&["pause", "step", "welcome.look"], "there is no sending step `look`");
        say(&["pause", "all", "welcome"], "`all` takes no name");
        say(&["resume", "journey", "welcome"], "journey `welcome` is not paused");
        assert_eq!(shop.run(&["pause", "everything"]).code, 2);
    });
}
