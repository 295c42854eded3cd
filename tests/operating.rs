//! What operators do with the real program: start it under systemd, watch it, stop it, look what is wrong with it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fahrplan::channels::mailbox::{Mailbox, MailboxConfig, Moment, Reaction};
use fahrplan::store::{Store, deliveries};

use crate::cli::{Ran, empty_dir, fahrplan};
use crate::daemon::refuse_everybody;

fn fine(dir: &Path, args: &[&str]) -> String {
    let ran = fahrplan(dir, args);
    assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
    ran.out
}

/// A new project in which nobody sleeps.
fn project(above: &Path) -> PathBuf {
    fine(above, &["init", "shop"]);
    let dir = above.join("shop");
    let policies = std::fs::read_to_string(dir.join("policies.journey")).expect("there");
    let awake: String = policies.split_inclusive('\n').filter(|line| !line.contains("quiet hours")).collect();
    write(&dir, "policies.journey", &awake);
    fine(&dir, &["deploy", "--yes"]);
    dir
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).expect("written");
}

/// Lets so many people sign up, each of whom is owed a mail.
fn sign_up(dir: &Path, people: usize) {
    let mut csv = "user_id,email,first_name,consent_marketing_email\n".to_owned();
    let mut events = String::new();
    for n in 0..people {
        csv += &format!("u{n},kanari{n}@vogel.example,Kanarienvogel{n},yes\n");
        events += &format!(
            r#"{{"type": "track", "userId": "u{n}", "event": "signed_up", "messageId": "m{n}", "properties": {{"source": "web"}}}}"#
        );
        events.push('\n');
    }
    write(dir, "people.csv", &csv);
    write(dir, "events.jsonl", &events);
    fine(dir, &["import", "contacts", "people.csv"]);
    fine(dir, &["import", "events", "events.jsonl", "--live"]);
}

/// `serve`, ended when the test is.
struct Serving {
    child: Child,
    doors: SocketAddr,
}

impl Serving {
    fn start(dir: &Path, relay: &str, more: &[(&str, &str)]) -> Serving {
        // A port that was free a moment ago.
        let doors = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
        let log = File::create(dir.join("log")).expect("a log");
        // Whoever runs these tests may have been started with `nohup`, which is handed down.
        let child = Command::new("env")
            .args(["--default-signal=HUP", env!("CARGO_BIN_EXE_fahrplan"), "serve", "--allow-root"])
            .current_dir(dir)
            .env_clear()
            .env("FAHRPLAN_SMTP_URL", relay)
            .env("FAHRPLAN_HTTP_LISTEN", doors.to_string())
            .envs(more.iter().copied())
            .stderr(log)
            .spawn();
        Serving { child: child.expect("the binary is built before the tests"), doors }
    }

    /// One that has mails to send, and waits so long for what the mail server says to the first.
    async fn in_the_midst_of_a_mail(dir: &Path, mailbox: &Mailbox, takes: Duration) -> Serving {
        sign_up(dir, 5);
        let reached = Arc::new(AtomicBool::new(false));
        let tell = reached.clone();
        mailbox.follow(move |moment| match moment {
            Moment::Dot(_) => {
                tell.store(true, Ordering::Relaxed);
                Reaction::Wait(takes)
            }
            _ => Reaction::Go,
        });
        let serving = Serving::start(dir, &mailbox.url(), &[]);
        until("a mail on its way", async || reached.load(Ordering::Relaxed)).await;
        serving
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Waits for its end; the exit code.
    async fn end(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code();
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the door says to that request, once it is open.
    async fn say(&self, request: &str) -> String {
        for _ in 0..400 {
            let Ok(mut door) = TcpStream::connect(self.doors) else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let mut answer = String::new();
            door.write_all(request.as_bytes()).expect("asked");
            door.read_to_string(&mut answer).expect("answered");
            return answer;
        }
        panic!("the door does not open");
    }

    async fn get(&self, path: &str) -> String {
        self.say(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn mailbox() -> Mailbox {
    Mailbox::start(MailboxConfig::default()).await.expect("a mailbox")
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1_200 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not come to pass");
}

/// How many deliveries are in each state, as words.
async fn states(dir: &Path) -> Vec<(String, i64)> {
    let store = Store::open(&format!("sqlite:{}", dir.join("fahrplan.db").display())).await.expect("opened");
    let counts = deliveries::counts(&mut store.read().await.expect("a connection")).await.expect("counted");
    store.close().await;
    counts.into_iter().map(|count| (count.state, count.count)).collect()
}

fn of(states: &[(String, i64)], state: &str) -> i64 {
    states.iter().filter(|(name, _)| name == state).map(|(_, count)| count).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_finishes_what_is_under_way_and_leaves_the_rest_untouched() {
    let above = empty_dir();
    let dir = project(above.path());
    sign_up(&dir, 120);
    let mailbox = mailbox().await;
    mailbox.follow(|moment| match moment {
        Moment::Dot(_) => Reaction::Wait(Duration::from_millis(400)),
        _ => Reaction::Go,
    });
    for round in 0..3 {
        let before = mailbox.messages().len();
        let mut serving = Serving::start(&dir, &mailbox.url(), &[]);
        until("some mail", async || mailbox.messages().len() > before + 6).await;
        serving.signal("TERM");
        let code = serving.end().await;
        let log = std::fs::read_to_string(dir.join("log")).expect("a log");
        assert_eq!(code, Some(0), "{log}");
        let states = states(&dir).await;
        let arrived = i64::try_from(mailbox.messages().len()).expect("few");
        assert_eq!(
            (of(&states, "accepted"), of(&states, "leased")),
            (arrived, 0),
            "round {round}: {states:?}"
        );
        assert_eq!(of(&states, "queued"), 120 - arrived, "round {round}: {states:?}");
    }
    mailbox.follow(|_| Reaction::Go);
    let mut serving = Serving::start(&dir, &mailbox.url(), &[]);
    until("all mail", async || mailbox.messages().len() >= 120).await;
    serving.signal("TERM");
    assert_eq!(serving.end().await, Some(0));
    let ids: BTreeSet<String> =
        mailbox.messages().iter().filter_map(|m| m.letter.header("Message-ID").map(str::to_owned)).collect();
    assert_eq!((ids.len(), mailbox.messages().len()), (120, 120));
    let examined = fahrplan(&dir, &["doctor", "--format", "json"]).out;
    let examined: serde_json::Value = serde_json::from_str(&examined).expect("JSON");
    let sums: Vec<&serde_json::Value> = examined["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|finding| finding["check"].as_str().is_some_and(|check| check.starts_with("sum.")))
        .collect();
    assert_eq!(sums.len(), 2, "{examined:#}");
    assert!(sums.iter().all(|finding| finding["level"] == "fine"), "{sums:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let above = empty_dir();
    let dir = project(above.path());
    let mailbox = mailbox().await;
    let mut serving = Serving::in_the_midst_of_a_mail(&dir, &mailbox, Duration::from_secs(600)).await;
    serving.signal("TERM");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(serving.child.try_wait().expect("looked").is_none(), "it waits for the answer");
    serving.signal("TERM");
    // The answer is far off, and a stop that gives up waiting for it ends with 0.
    assert_eq!(serving.end().await, Some(3));
    let log = std::fs::read_to_string(dir.join("log")).expect("a log");
    assert!(log.contains("ended at once"), "{log}");
}

/// Whoever closes the terminal stops it, as any other stop; with `nohup` that is nothing to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_its_terminal_is_a_stop_that_drains() {
    let above = empty_dir();
    let dir = project(above.path());
    let mailbox = mailbox().await;
    let mut serving = Serving::in_the_midst_of_a_mail(&dir, &mailbox, Duration::from_secs(1)).await;
    serving.signal("HUP");
    assert_eq!(serving.end().await, Some(0));
    let states = states(&dir).await;
    assert_eq!((of(&states, "leased"), of(&states, "unknown")), (0, 0), "{states:?}");
    assert!(of(&states, "accepted") > 0, "{states:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_started_it_is_told_when_it_is_ready_and_when_it_stops() {
    let above = empty_dir();
    let dir = project(above.path());
    let mailbox = mailbox().await;
    let path = above.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let hear = || {
        let mut words = [0; 200];
        let heard = socket.recv(&mut words).expect("told");
        String::from_utf8_lossy(&words[..heard]).into_owned()
    };
    let mut serving =
        Serving::start(&dir, &mailbox.url(), &[("NOTIFY_SOCKET", path.to_str().expect("a plain path"))]);
    assert!(hear().starts_with("READY=1\n"));
    // What is ready takes calls, without another try.
    assert!(TcpStream::connect(serving.doors).is_ok());
    serving.signal("TERM");
    assert!(hear().starts_with("STOPPING=1\n"));
    assert_eq!(serving.end().await, Some(0));
}

#[test]
fn the_unit_for_systemd_is_right_and_gives_away_little() {
    let above = empty_dir();
    let dir = project(above.path());
    let unit = fine(&dir, &["init", "--systemd"]);
    let root = dir.canonicalize().expect("there");
    for line in [
        format!(
            "ExecStart={} serve --config {}/fahrplan.toml",
            env!("CARGO_BIN_EXE_fahrplan"),
            root.display()
        ),
        format!("ReadWritePaths={}", root.display()),
        "Type=notify".to_owned(),
        "KillSignal=SIGTERM".to_owned(),
        "Description=Fahrplan, customer journeys of shop".to_owned(),
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}\n{unit}");
    }
    assert!(!unit.contains(['{', '}']));
    // It stops a little later than we do by ourselves.
    assert!(unit.contains("\nTimeoutStopSec=40\n"));
    assert_eq!(fahrplan(above.path(), &["init", "--systemd"]).code, 2, "there is no project");
    let file = above.path().join("fahrplan.service");
    std::fs::write(&file, &unit).expect("written");
    let ran = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=30"])
        .arg(&file)
        .output();
    let Ok(ran) = ran else { return println!("systemd-analyze is not here") };
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_say_what_they_are_and_the_documentation_lists_them() {
    let above = empty_dir();
    let dir = project(above.path());
    sign_up(&dir, 3);
    let mailbox = mailbox().await;
    let serving = Serving::start(&dir, &mailbox.url(), &[]);
    until("mail", async || mailbox.messages().len() == 3).await;
    // The results of the last mails are on their way through the inbox when these have arrived.
    let settled =
        ["fahrplan_reconcile_difference", "fahrplan_backlog{kind=\"inbox\"} 0\n", "result=\"accepted\"} 3\n"];
    let mut text = String::new();
    until("the figures", async || {
        text = serving.get("/metrics").await;
        settled.iter().all(|line| text.contains(line))
    })
    .await;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).to_owned()
    };
    for (name, expected) in [
        ("fahrplan_database_up", "1"),
        ("fahrplan_reconcile_difference{what=\"enrollments\"}", "0"),
        ("fahrplan_reconcile_difference{what=\"deliveries\"}", "0"),
        ("fahrplan_backlog{kind=\"inbox\"}", "0"),
        ("fahrplan_lateness_seconds", "0"),
        ("fahrplan_oldest_queued_seconds", "0"),
        ("fahrplan_rejected", "0"),
        ("fahrplan_clock_skew_seconds", "0"),
        ("fahrplan_in_flight", "0"),
        ("fahrplan_deliveries_total{channel=\"email\",result=\"accepted\"}", "3"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert!(value("fahrplan_workers_alive").parse::<u32>().is_ok_and(|alive| alive > 0));
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("there");
    let body = text.split_once("\r\n\r\n").expect("a body").1;
    let names: BTreeSet<&str> = body
        .lines()
        .filter(|line| !line.starts_with('#') && line.contains("fahrplan_"))
        .filter_map(|line| line.split([' ', '{']).next())
        .collect();
    for name in names {
        assert!(body.contains(&format!("# HELP {name} ")), "{name} does not say what it is");
        assert!(readme.contains(&format!("`{name}`")), "the README does not list {name}");
    }
}

/// Nothing that tells who somebody is may stand in a log, at any level.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_tells_who_anybody_is() {
    let above = empty_dir();
    let dir = project(above.path());
    sign_up(&dir, 60);
    let mailbox = mailbox().await;
    // Mail servers like to repeat whom they do not know.
    mailbox.follow(|moment| match moment {
        Moment::Rcpt(to) if to.contains("kanari1") => {
            Reaction::Say(format!("550 5.1.1 <{to}>: nobody of that name"))
        }
        Moment::Rcpt(to) if to.contains("kanari2") => {
            Reaction::Say(format!("451 4.7.1 <{to}>: come back later"))
        }
        Moment::Dot(_) => Reaction::Go,
        _ => Reaction::Go,
    });
    let mut serving = Serving::start(&dir, &mailbox.url(), &[("FAHRPLAN_LOG", "trace")]);
    until("mail", async || mailbox.messages().len() >= 30).await;
    let key = fine(&dir, &["key", "create", "--scope", "ingest"]);
    let post = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            key.trim(),
            body.len()
        )
    };
    for (path, body) in [
        (
            "/v1/identify",
            r#"{"userId": "kanari@vogel.example", "traits": {"email": "kanari90@vogel.example", "first_name": "Kanarienvogel", "phone": "+4915155512345"}}"#,
        ),
        (
            "/v1/identify",
            r#"{"userId": "u3", "traits": {"email": "not an address kanari@@vogel.example", "first_name": ["Kanarienvogel"]}}"#,
        ),
        (
            "/v1/track",
            r#"{"userId": "kanari@vogel.example", "event": "signed_up", "properties": {"source": "Kanarienvogel"}}"#,
        ),
        (
            "/v1/track",
            r#"{"userId": "kanari@vogel.example", "event": "kanari@vogel.example", "properties": {}}"#,
        ),
        ("/v1/alias", r#"{"userId": "kanari5@vogel.example", "previousId": "u5"}"#),
        ("/v1/journeys/welcome/enroll", r#"{"key": "kanari@vogel.example"}"#),
        ("/v1/identify", r#"{"userId": "kanari@vogel.example", "traits": {"#),
    ] {
        serving.say(&post(path, body)).await;
    }
    serving.get("/u/kanari@vogel.example").await;
    let mail = mailbox.message(1).expect("kept");
    let link = mail.letter.header("List-Unsubscribe").expect("marketing can be unsubscribed from").to_owned();
    let path =
        link.trim_matches(['<', '>']).splitn(4, '/').nth(3).map(|rest| format!("/{rest}")).expect("a link");
    serving.get(&path).await;
    serving
        .say(
            &post(&path, "List-Unsubscribe=One-Click")
                .replace("application/json", "application/x-www-form-urlencoded"),
        )
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    serving.signal("TERM");
    assert_eq!(serving.end().await, Some(0));
    let log = std::fs::read_to_string(dir.join("log")).expect("a log");
    assert!(log.contains("serving") && log.contains("stopping"), "{log}");
    for word in ["kanari", "Kanarienvogel", "vogel.example", "15155512345", key.trim()] {
        let told = log.lines().find(|line| line.contains(word));
        assert_eq!(told, None, "`{word}` is in the log");
    }
}

/// The drill of the README.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_copy_is_served_nothing_is_sent_until_somebody_says_so() {
    let above = empty_dir();
    let dir = project(above.path());
    sign_up(&dir, 3);
    let mailbox = mailbox().await;
    refuse_everybody(&mailbox, "451 4.3.0 not now");
    let mut serving = Serving::start(&dir, &mailbox.url(), &[]);
    until("a try", async || of(&states(&dir).await, "deferred") == 3).await;
    serving.signal("TERM");
    assert_eq!(serving.end().await, Some(0));
    // Nobody reads what is said while the daemon stands.
    let late = r#"{"type": "track", "userId": "u0", "event": "signed_up", "messageId": "late", "properties": {"source": "web"}}"#;
    write(&dir, "late.jsonl", late);
    fine(&dir, &["import", "events", "late.jsonl", "--live"]);
    let backup = above.path().join("backup");
    fine(&dir, &["backup", backup.to_str().expect("a plain path")]);

    for file in ["fahrplan.db", "fahrplan.db-wal", "fahrplan.db-shm"] {
        let _ = std::fs::remove_file(dir.join(file));
    }
    std::fs::copy(&backup, dir.join("fahrplan.db")).expect("restored");
    let examined = fahrplan(&dir, &["doctor", "--quick"]).out;
    assert!(
        examined.contains("restored")
            && examined
                .contains("3 messages, 1 inputs that nobody had read, such as events, and 0 timers of it"),
        "{examined}"
    );
    // Meanwhile others sign up, and whoever waited has waited long enough.
    let store = Store::open(&format!("sqlite:{}", dir.join("fahrplan.db").display())).await.expect("opened");
    let mut tx = store.write().await.expect("a transaction");
    tx.exec("UPDATE deliveries SET again_at = 1 WHERE state = 'deferred'", Vec::new()).await.expect("due");
    tx.commit().await.expect("committed");
    store.close().await;
    mailbox.follow(|_| Reaction::Go);
    for _ in 0..2 {
        let mut serving = Serving::start(&dir, &mailbox.url(), &[]);
        until("life", async || serving.get("/readyz").await.contains("ready")).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(mailbox.messages().len(), 0);
        let status = fine(&dir, &["status"]);
        assert!(status.contains("since this database is a copy"), "{status}");
        serving.signal("TERM");
        assert_eq!(serving.end().await, Some(0));
    }
    let serving = Serving::start(&dir, &mailbox.url(), &[]);
    fine(&dir, &["resume"]);
    until("mail", async || mailbox.messages().len() == 3).await;
    drop(serving);
    // Once resumed it is at home here.
    assert!(!fahrplan(&dir, &["doctor", "--quick"]).out.contains("restored"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_tells_what_is_wrong_and_what_to_do() {
    let above = empty_dir();
    let dir = project(above.path());
    let mailbox = mailbox().await;
    let toml = |smtp: &str, public: &str| {
        let text = format!(
            "[project]\nname = \"shop\"\n[http]\npublic_url = \"{public}\"\n[smtp]\nurl = \"{smtp}\"\n\
             from = \"Shop <news@shop.test>\"\n[brand]\nname = \"Shop\"\naddress = \"Beispielstraße 7\"\n"
        );
        write(&dir, "fahrplan.toml", &text);
        std::fs::set_permissions(dir.join("fahrplan.toml"), PermissionsExt::from_mode(0o644)).expect("set");
    };
    let found = |args: &[&str]| {
        let Ran { code, out, err } = fahrplan(&dir, &[&["doctor", "--format", "json"], args].concat());
        let json: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        let list = json["findings"].as_array().expect("a list").clone();
        let worse = list.into_iter().filter(|finding| finding["level"] != "fine");
        // Whoever runs the tests, and the disk they run on, are as they are.
        let ours = worse.filter(|finding| {
            !["config.user", "database.room"].contains(&finding["check"].as_str().unwrap_or_default())
        });
        let lines: Vec<String> = ours
            .map(|finding| {
                assert!(finding["means"].is_string(), "{finding}");
                format!(
                    "{} {}",
                    finding["check"].as_str().unwrap_or_default(),
                    finding["message"].as_str().unwrap_or_default()
                )
            })
            .collect();
        (code, lines)
    };
    toml(&mailbox.url(), "https://mail.shop.test");
    fine(&dir, &["deploy", "--yes"]);
    let (code, lines) = found(&[]);
    assert!(lines.is_empty() && code <= 1, "{lines:#?}");
    assert_eq!(found(&["--quick"]).1, Vec::<String>::new());

    // A folder into which nobody can put anything, whoever he is: one that is there, and one that would have to be made.
    write(
        &dir,
        "schema.journey",
        &(std::fs::read_to_string(dir.join("schema.journey")).expect("there")
            + "\nchannel post {\n  sends \"letter\"\n  address contact.email\n  class letter\n}\n"),
    );
    for (folder, why) in
        [("/proc", "nothing can be put into /proc"), ("/proc/letters", "/proc/letters cannot be made")]
    {
        toml(&mailbox.url(), "https://mail.shop.test");
        let config = std::fs::read_to_string(dir.join("fahrplan.toml")).expect("there");
        write(&dir, "fahrplan.toml", &format!("{config}[letters]\nfolder = \"{folder}\"\n"));
        let (code, lines) = found(&["--quick"]);
        assert!(code == 1 && lines.iter().any(|line| line.contains(why)), "{lines:#?}");
        let told = fahrplan(&dir, &["doctor", "--quick"]).out;
        assert!(told.contains("no letter can be written") && told.contains("`[letters]`"), "{told}");
    }

    let gone = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    toml(&format!("smtp://shop:geheim@{gone}"), "http://mail.shop.test");
    std::fs::set_permissions(dir.join("fahrplan.db"), PermissionsExt::from_mode(0o644)).expect("set");
    let (code, lines) = found(&["--quick"]);
    assert_eq!(code, 1);
    for part in [
        "config.file fahrplan.toml holds a password",
        "fahrplan.db may be read by others than its owner",
        "config.links links in mails lead to http://mail.shop.test, without encryption",
        &format!("relay {gone} takes no mail:"),
    ] {
        assert!(lines.iter().any(|line| line.contains(part)), "{part}: {lines:#?}");
    }
    assert!(lines.iter().all(|line| !line.contains("geheim")), "{lines:#?}");
    let told = fahrplan(&dir, &["doctor", "--quick"]).out;
    assert!(told.contains("means: ") && told.contains("do: `chmod 600 "), "{told}");

    // A file that is no database, and a server that is not there.
    write(&dir, "fahrplan.db", "this is no database at all");
    assert_eq!(found(&[]).0, 3);
    write(&dir, "fahrplan.toml", "[database]\nurl = \"postgres://shop@127.0.0.1:1/shop\"\n");
    let (code, lines) = found(&[]);
    assert_eq!(code, 3);
    assert!(
        lines
            .iter()
            .any(|line| line
                .contains("database the PostgreSQL database `shop` at 127.0.0.1:1 cannot be reached")),
        "{lines:#?}"
    );
}
