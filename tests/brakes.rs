//! The brakes from outside: the program itself, its commands and its daemons, against a mail server that notes what it accepts. On
//! SQLite with one daemon, on PostgreSQL with two.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
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
    /// When the mail server was told of each sender, which is where a send begins.
    begun: Arc<Mutex<Vec<Instant>>>,
}

impl Shop {
    /// Deploys the project of `init` and these journeys; the mail server takes its time over each mail.
    async fn open(database: &Database, journeys: &str, rules: &str, slow: Duration) -> Shop {
        let mailbox = Mailbox::start(MailboxConfig::default()).await.expect("a mailbox");
        let begun = Arc::new(Mutex::new(Vec::new()));
        let notes = begun.clone();
        mailbox.follow(move |moment| match moment {
            Moment::Mail(_) => {
                notes.lock().expect("nobody panics").push(Instant::now());
                Reaction::Go
            }
            Moment::Dot(_) => Reaction::Wait(slow),
            _ => Reaction::Go,
        });
        let dir = empty_dir();
        let shop = Shop { dir, mailbox, workers: Vec::new(), postgres: database.is_postgres(), begun };
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

    /// So many people with consent.
    fn import(&self, people: usize) {
        let row = |n: usize| format!("u{n},u{n}@example.org,yes\n");
        let rows: String = (0..people).map(row).collect();
        self.write("people.csv", &format!("user_id,email,consent_marketing_email\n{rows}"));
        self.fine(&["import", "contacts", "people.csv"]);
    }

    /// So many people with consent, all of whom sign up now.
    fn sign_up(&self, people: usize) {
        self.import(people);
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
        self.serve_with(&[]);
    }

    fn serve_with(&mut self, args: &[&str]) {
        for _ in 0..if self.postgres { 2 } else { 1 } {
            let child = Command::new(env!("CARGO_BIN_EXE_fahrplan"))
                .args(["serve", "--allow-root"])
                .args(args)
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

    /// So many mails have arrived, of which so many are different.
    async fn ends_with_repeats(&self, count: usize, different: usize) {
        self.until(count).await;
        let messages = self.mailbox.messages();
        let ids: BTreeSet<_> =
            messages.iter().map(|stored| stored.letter.header("Message-ID").map(str::to_owned)).collect();
        assert_eq!((messages.len(), ids.len()), (count, different));
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

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: that did not come to pass");
        tokio::time::sleep(Duration::from_millis(50)).await;
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

#[test]
fn no_window_of_a_rate_holds_more_than_it_allows_whatever_dies_and_receipts_go_first() {
    on_both(async |database| {
        const RATE: usize = 20;
        let mut shop = Shop::open(&database, RECEIPT, "rate email at 20 per second", QUICK).await;
        shop.fine(&["pause"]);
        shop.sign_up(60);
        shop.serve();
        until("all are queued", async || shop.status()["deliveries"]["queued"] == 120).await;
        let began = Instant::now();
        shop.fine(&["resume"]);
        shop.until(20).await;
        // A worker dies with what it had taken, and another one comes.
        shop.kill();
        shop.serve();
        // On PostgreSQL what they had under way stays leased for a while: they might still be at it.
        until("an end", async || shop.status()["deliveries"].get("queued").is_none()).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(40), "it takes too long: {took:?}");
        assert!(shop.arrived() > 80, "{}", shop.status());
        let begun = shop.begun.lock().expect("nobody panics").clone();
        for (first, last) in begun.iter().zip(begun.iter().skip(RATE)) {
            let span = last.duration_since(*first);
            assert!(span >= Duration::from_secs(1), "{} began within {span:?}", RATE + 1);
        }
        let first = shop.mailbox.messages().iter().take(50).fold(0, |count, stored| {
            let id = stored.letter.header("Feedback-ID").expect("ours");
            count + usize::from(id.split(':').nth(1) == Some("receipt"))
        });
        assert!(first >= 45, "only {first} of the first 50 were receipts");
    });
}

#[test]
fn a_rate_for_one_purpose_leaves_the_others_alone() {
    on_both(async |database| {
        let mut shop = Shop::open(&database, RECEIPT, "rate email marketing at 5 per second", QUICK).await;
        shop.sign_up(30);
        let began = Instant::now();
        shop.serve();
        until("all receipts", async || shop.by_journey().get("receipt") == Some(&30)).await;
        let receipts = began.elapsed();
        let welcomed = shop.by_journey().get("welcome").copied().unwrap_or(0);
        assert!(welcomed < 25, "{welcomed} in {receipts:?}");
        shop.ends_with(60).await;
        assert!(began.elapsed() > Duration::from_secs(4), "{:?}", began.elapsed());
    });
}

#[test]
fn a_firing_for_too_many_is_held_before_the_first_until_somebody_allows_it() {
    const NEWS: &str = r#"
journey news "News" {
  purpose marketing
  enter cron "0 9 * * *" in "Europe/Berlin"
  reenter always
  send email welcome as letter
  exit as done
}
"#;
    on_both(async |database| {
        let mut shop = Shop::open(&database, NEWS, "max audience 20 for marketing", QUICK).await;
        shop.import(30);
        shop.write("clock", "2027-03-01T07:59:50Z");
        let clock = shop.dir.path().join("clock").display().to_string();
        shop.serve_with(&["--clock", &clock, "--really-send"]);
        // A schedule that was never looked at begins then.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let set = |at: &str| {
            shop.write("clock.new", at);
            std::fs::rename(shop.dir.path().join("clock.new"), shop.dir.path().join("clock")).expect("set");
        };
        let held = || shop.status()["held"].as_array().map_or(0, Vec::len);
        set("2027-03-01T08:00:05Z");
        until("it is held", async || held() == 1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let status = shop.status();
        assert_eq!(
            (status["held"][0]["count"].as_i64(), status["held"][0]["most"].as_i64()),
            (Some(30), Some(20))
        );
        assert_eq!((shop.arrived(), status["journeys"][0]["entered"].as_i64()), (0, Some(0)), "{status}");
        assert!(
            shop.fine(&["status"])
                .contains("held        `news` of 2027-03-01T08:00:00Z would take in 30 people")
        );
        assert!(shop.refused(&["resume", "audience", "welcome"]).contains("held are firings of: news"));
        assert_eq!(shop.fine(&["resume"]), "Nothing is paused.\n", "a firing is let go by its name alone");
        let said = shop.fine(&["resume", "audience", "news"]);
        assert_eq!(said, "`news` of 2027-03-01T08:00:00Z takes in 30 people now.\n");
        shop.ends_with(30).await;
        assert!(shop.refused(&["resume", "audience", "news"]).contains("none is held"));

        set("2027-03-02T08:00:05Z");
        until("it is held", async || held() == 1).await;
        let said = shop.fine(&["deploy", "--yes", "--allow-audience", "30"]);
        assert!(said.contains("up to 30 people") && said.contains("takes in 30 people now"), "{said}");
        shop.ends_with(60).await;
        // Until the next deploy.
        set("2027-03-03T08:00:05Z");
        shop.ends_with(90).await;
        assert_eq!(held(), 0);
        shop.write("journeys/news.journey", &NEWS.replace("news", "other").replace("0 9 * * *", "0 3 1 1 *"));
        shop.fine(&["deploy", "--yes"]);
        set("2027-03-04T08:00:05Z");
        until("it is held", async || held() == 1).await;
        assert_eq!(shop.arrived(), 90);
    });
}

#[test]
fn a_deploy_that_would_take_in_too_many_at_once_is_refused() {
    const FAMILIAR: &str = r#"
journey familiar "Who is known" {
  purpose marketing
  enter when (contact.email is known) including existing
  reenter never
  send email welcome as letter
  exit as done
}
"#;
    on_both(async |database| {
        let mut shop = Shop::open(&database, "", "max audience 20 for marketing", QUICK).await;
        shop.import(30);
        shop.write("journeys/more.journey", FAMILIAR);
        let ran = shop.run(&["deploy", "--yes"]);
        assert!(
            ran.code == 1
                && ran.err.contains("`familiar` would take in 30 people at once, and the policy allows 20"),
            "{}{}",
            ran.out,
            ran.err
        );
        assert!(ran.err.contains("--allow-audience 30"), "{}", ran.err);
        assert_eq!(shop.status()["deployment"], 1);
        shop.fine(&["deploy", "--yes", "--allow-audience", "30"]);
        shop.serve();
        shop.ends_with(30).await;
    });
}

#[test]
fn who_is_there_while_their_events_wait_is_taken_in_by_a_deploy_and_guarded_before() {
    const SIGNED: &str = r#"
journey familiar "Who has signed up" {
  purpose marketing
  enter when any(signed_up ever) including existing
  reenter never
  send email welcome as letter
  exit as done
}
"#;
    on_both(async |database| {
        let mut shop = Shop::open(&database, "", "max audience 20 for marketing", QUICK).await;
        shop.import(30);
        let event = |n: usize| {
            format!(
                "{{\"type\": \"track\", \"userId\": \"u{n}\", \"event\": \"signed_up\", \"properties\": {{\"source\": \"web\"}}}}\n"
            )
        };
        shop.write("events.jsonl", &(0..30).map(event).collect::<String>());
        shop.fine(&["import", "events", "events.jsonl"]);
        shop.write("journeys/more.journey", SIGNED);
        let ran = shop.run(&["deploy", "--yes"]);
        assert!(
            ran.code == 1
                && ran.err.contains(
                    "`familiar` would take in up to 30 people at once, since what came for 30 of them still waits, and the \
                     policy allows 20"
                ),
            "{}{}",
            ran.out,
            ran.err
        );
        shop.fine(&["deploy", "--yes", "--allow-audience", "30"]);
        shop.serve();
        shop.ends_with(30).await;
        let told = shop.fine(&["why", "u7", "familiar"]);
        assert!(told.starts_with("familiar: entered on "), "{told}");
    });
}

#[test]
fn rules_that_cannot_be_kept_are_findings() {
    on_both(async |database| {
        let shop = Shop::open(&database, RECEIPT, "", QUICK).await;
        let policies = shop.read("policies.journey");
        for (rule, part) in [
            ("rate email at 0 per second", "a rate is a whole number of at least 1"),
            ("rate email at 5 per month", "rates are per second, minute, hour or day"),
            ("rate emial at 5 per second", "did you mean `email`?"),
            ("max audience 1.5 for marketing", "an audience is a whole number of at least 1"),
            ("max audience 10 for marketin", "did you mean `marketing`?"),
        ] {
            shop.write("policies.journey", &policies.replace("  consent", &format!("  {rule}\n  consent")));
            let ran = shop.run(&["check"]);
            assert!(ran.code == 1 && ran.out.contains(part), "{rule}: {}{}", ran.out, ran.err);
        }
    });
}

#[test]
fn a_mail_in_doubt_is_listed_and_decided_about() {
    on_both(async |database| {
        let mut shop = Shop::open(&database, "", "", QUICK).await;
        shop.mailbox.follow(|moment| match moment {
            Moment::Dot(_) => Reaction::KeepAndHangUp,
            _ => Reaction::Go,
        });
        shop.sign_up(3);
        shop.serve();
        let state = |state: &str| shop.status()["deliveries"][state].as_u64().unwrap_or(0);
        until("doubt", async || state("unknown") == 3).await;
        shop.mailbox.follow(|_| Reaction::Go);
        let list = shop.fine(&["deliveries", "list", "--format", "json"]);
        let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
        let id = |n: usize| list[n]["id"].as_str().expect("an id").to_owned();
        assert_eq!(
            (list[0]["state"].as_str(), list[0]["journey"].as_str()),
            (Some("unknown"), Some("welcome"))
        );
        let table = shop.fine(&["deliveries", "list"]);
        assert!(
            table.contains(&id(0)) && table.contains("welcome.hello") && table.contains("settle ID"),
            "{table}"
        );
        assert!(shop.fine(&["status"]).contains("in doubt    3 messages"));

        let said = shop.fine(&["deliveries", "settle", &id(0)]);
        assert_eq!(said, format!("{} counts as sent.\n", id(0)));
        let ran = shop.run(&["deliveries", "resend", &id(0), &id(1)]);
        assert!(ran.code == 1 && ran.out.contains(&format!("{} will be sent again.", id(1))), "{}", ran.out);
        assert!(ran.out.contains(&format!("{} is not among those", id(0))), "{}", ran.out);
        shop.ends_with_repeats(4, 3).await;
        assert_eq!(shop.fine(&["deliveries", "resend", "--all"]), "1 message: will be sent again.\n");
        shop.ends_with_repeats(5, 3).await;
        until("an end", async || state("accepted") == 3 && state("unknown") == 0).await;
        assert_eq!(shop.fine(&["deliveries", "list"]), "There are none.\n");
        let contact = list[0]["contact"].as_str().expect("an id");
        assert!(shop.fine(&["contact", "show", contact]).contains("counts as sent: "));
        assert!(shop.refused(&["deliveries", "resend"]).contains("which ones?"));
        assert!(shop.refused(&["deliveries", "settle", "dl_1"]).contains("`dl_1` is no delivery"));
    });
}

#[test]
fn what_would_not_leave_is_not_said_to_be_sent_again() {
    on_both(async |database| {
        let mut shop = Shop::open(&database, "", "", QUICK).await;
        shop.mailbox.follow(|moment| match moment {
            Moment::Rcpt(to) if to.starts_with("u0@") => {
                Reaction::Say("550 5.1.1 nobody of that name".to_owned())
            }
            Moment::Rcpt(_) => Reaction::Say("550 5.7.1 not today".to_owned()),
            _ => Reaction::Go,
        });
        shop.sign_up(3);
        shop.serve();
        until("refusals", async || shop.status()["deliveries"]["refused"] == 3).await;
        until("word of it", async || shop.fine(&["contact", "show", "u0"]).contains("addresses not used"))
            .await;
        let contact = |key: &str| {
            let json = shop.fine(&["contact", "show", key, "--format", "json"]);
            serde_json::from_str::<serde_json::Value>(&json).expect("JSON")
        };
        let id = |key: &str| contact(key)["deliveries"][0]["id"].as_str().expect("an id").to_owned();
        let (gone, refused, quiet) = (id("u0"), id("u1"), id("u2"));
        shop.write("no.csv", "user_id,consent_marketing_email\nu2,no\n");
        shop.fine(&["import", "contacts", "no.csv"]);
        shop.mailbox.follow(|_| Reaction::Go);

        let said = |ran: Ran| {
            // The day on which it came back is that of this run.
            let (before, after) = ran.out.split_once(" on ").expect("a day");
            let (_, after) = after.split_once(".\n").expect("an end");
            assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{}", ran.out);
            format!("{before} on DAY.\n{after}")
        };
        let ways_out = "What bounced or complained stays suppressed, and so does a message to it. Where the person has another address \
                        (`fahrplan import contacts`, or identify), later messages go there.\n";
        let agree =
            "Once they agree (`fahrplan import contacts`, or POST /v1/consents), it can be sent again.\n";
        let bounced = format!(
            "{gone} is not sent again: its address is not used any more: mail to it came back on DAY.\n"
        );
        let ran = shop.run(&["deliveries", "resend", &gone]);
        assert_eq!(said(ran), format!("{bounced}{ways_out}"));
        assert_eq!(contact("u0")["deliveries"][0]["state"], "refused", "nothing was done");
        let ran = shop.run(&["deliveries", "resend", "--all", "--state", "failed"]);
        let unwanted = format!("{quiet} is not sent again: there is no consent to marketing by email.\n");
        let mut lines = [(&gone, &bounced), (&quiet, &unwanted)];
        lines.sort();
        let lines: String = lines.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(said(ran), format!("1 message: will be sent again.\n{lines}{ways_out}{agree}"));
        shop.ends_with(1).await;
        until("an end", async || contact("u1")["deliveries"][0]["state"] == "accepted").await;
        assert_eq!(contact("u1")["deliveries"][0]["id"], refused.as_str());
    });
}
