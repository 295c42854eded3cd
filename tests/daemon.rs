//! The daemon on a real database and a real mail server, as it runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fahrplan::channels::Channel;
use fahrplan::channels::email::Email;
use fahrplan::channels::mailbox::{Mailbox, MailboxConfig, Moment, Reaction};
use fahrplan::channels::message::read_mailbox;
use fahrplan::channels::smtp::SmtpConfig;
use fahrplan::clock::{JourneyClock, machine_now};
use fahrplan::daemon::{self, Brakes, Composer, Daemon, Others, Outlet, Rates, Way};
use fahrplan::engine::program::Doubt;
use fahrplan::engine::world::{ConsentChange, Delivery, Fields, Suppression};
use fahrplan::id::{DeliveryId, EnrollmentId};
use fahrplan::intake::Who;
use fahrplan::link::LinkKey;
use fahrplan::store::import::{self, Person};
use fahrplan::store::journeys::{self, Release};
use fahrplan::store::templates::Templates;
use fahrplan::store::{Conn, Store, contacts, deliveries, permissions, suppressions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::engine::build::{catalog, fields, text};
use crate::mail::sender;
use crate::store::{Database, on_all};

/// A daemon that sends through one connection to a mailbox.
pub(crate) struct Running {
    pub(crate) store: Store,
    pub(crate) mailbox: Arc<Mailbox>,
    daemon: Served,
}

/// A daemon that runs beside the test.
pub(crate) struct Served {
    pub(crate) doors: SocketAddr,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<Result<(), daemon::Error>>,
}

impl Served {
    /// Starts one on that store, which sends by that way and asks those others.
    pub(crate) async fn start(store: &Store, way: Way, others: Others) -> Served {
        let composer = Composer {
            link_key: LinkKey::new([7; 32]),
            public_url: "https://shop.example".to_owned(),
            project: "shop".to_owned(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let doors = listener.local_addr().expect("an address");
        let daemon = Daemon {
            store: store.clone(),
            clock: JourneyClock::Machine,
            outlet: Arc::new(Outlet {
                way,
                composer,
                shelf: daemon::Shelf::default(),
                parallel: 4,
                brakes: Brakes::default(),
                rates: Rates::default(),
                others,
            }),
            confirm_event: "confirmed".into(),
            sender: "Shop".into(),
            listener,
            pages: None,
            metrics: daemon::metrics(),
            doors: Arc::default(),
        };
        let stop = CancellationToken::new();
        let ended = tokio::spawn(daemon.run(stop.clone()));
        Served { doors, stop, ended }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.ended.await.expect("no panic").expect("it ends as asked");
    }
}

/// Lets the mailbox say that of every recipient.
pub(crate) fn refuse_everybody(mailbox: &Mailbox, reply: &'static str) {
    mailbox.follow(move |moment| match moment {
        Moment::Rcpt(_) => Reaction::Say(reply.to_owned()),
        _ => Reaction::Go,
    });
}

impl Running {
    pub(crate) async fn start(database: &Database, change: impl FnOnce(&mut SmtpConfig)) -> Running {
        let store = database.open().await;
        deploy(&store, "Hello.").await;
        let mailbox = Arc::new(Mailbox::start(MailboxConfig::default()).await.expect("a mailbox"));
        let sender = sender(&mailbox.url(), |config| {
            config.connections = 1;
            change(config);
        });
        let from = read_mailbox("Shop <news@example.org>").expect("an address");
        let way = Way::Channel(Channel::Email(Box::new(Email::new(sender, from))));
        let daemon = Served::start(&store, way, Others::default()).await;
        Running { store, mailbox, daemon }
    }

    /// Queues a mail for each of them, at an address of their own.
    pub(crate) async fn queue(&self, names: &[&str]) {
        for name in names {
            self.import(name, &format!("{name}@example.com"), &[]).await;
        }
        self.queue_hello(names).await;
    }

    pub(crate) async fn import(&self, name: &str, address: &str, consents: &[ConsentChange]) {
        let who = Who { email: Some(address.to_owned()), ..crate::store::who(name) };
        let attributes = fields(&[("email", text(address))]);
        let person = Person { who, attributes, consents: consents.to_vec() };
        import::contacts(&self.store, &[person], machine_now()).await.expect("imported");
    }

    /// Queues a mail for each of them.
    pub(crate) async fn queue_hello(&self, names: &[&str]) {
        let mut tx = self.store.write().await.expect("a transaction");
        for name in names {
            self.insert(&mut tx, name, &self.hello()).await;
        }
        tx.commit().await.expect("committed");
    }

    pub(crate) async fn queue_mail(&self, name: &str, mail: &Delivery) {
        let mut tx = self.store.write().await.expect("a transaction");
        self.insert(&mut tx, name, mail).await;
        tx.commit().await.expect("committed");
    }

    pub(crate) async fn insert(&self, tx: &mut Conn, name: &str, mail: &Delivery) {
        let contact = contacts::by_key(tx, name).await.expect("read").expect("there").id;
        let bucket = fahrplan::store::bucket_of(contact, self.store.settings().buckets);
        deliveries::insert(tx, bucket, &[(contact, mail)]).await.expect("queued");
    }

    /// Lets the time of the next try come for all that are deferred.
    pub(crate) async fn try_again(&self) {
        let mut tx = self.store.write().await.expect("a transaction");
        const NOW: &str = "UPDATE deliveries SET again_at = 1 WHERE state = 'deferred'";
        tx.exec(NOW, Vec::new()).await.expect("the time has come");
        tx.commit().await.expect("committed");
    }

    pub(crate) fn hello(&self) -> Delivery {
        Delivery {
            id: DeliveryId(self.store.new_id()),
            enrollment: EnrollmentId(self.store.new_id()),
            journey: "welcome".into(),
            step: "hello".into(),
            round: 0,
            arm: 0,
            channel: "email".into(),
            template: "hello".into(),
            purpose: "marketing".into(),
            transactional: false,
            with: Fields::new(),
            to: None,
            before: None,
            due_at: machine_now(),
            wants_outcome: false,
        }
    }

    /// What a mail program does with the link in `List-Unsubscribe` of that mail.
    async fn unsubscribe(&self, number: u64) {
        let stored = self.mailbox.message(number).expect("kept");
        let header = stored.letter.header("List-Unsubscribe").expect("marketing can be unsubscribed from");
        let path = header.trim_matches(['<', '>']).strip_prefix("https://shop.example").expect("ours");
        let body = "List-Unsubscribe=One-Click";
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut socket = tokio::net::TcpStream::connect(self.daemon.doors).await.expect("the door is open");
        socket.write_all(request.as_bytes()).await.expect("asked");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("answered");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    /// What the door says there.
    pub(crate) async fn get(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut socket = tokio::net::TcpStream::connect(self.daemon.doors).await.expect("the door is open");
        socket.write_all(request.as_bytes()).await.expect("asked");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("answered");
        answer
    }

    pub(crate) async fn states(&self) -> Vec<String> {
        let mut conn = self.store.read().await.expect("a connection");
        let counts = deliveries::counts(&mut conn).await.expect("counted");
        counts.iter().map(|count| format!("{} {}", count.state, count.count)).collect()
    }

    /// How often somebody said no, by the ledger.
    async fn refusals(&self, name: &str) -> usize {
        let mut conn = self.store.read().await.expect("a connection");
        let contact = contacts::by_key(&mut conn, name).await.expect("read").expect("there").id;
        let ledger = permissions::ledger(&mut conn, contact).await.expect("read");
        ledger.iter().filter(|line| !line.change.permit && &*line.change.source == "unsubscribe").count()
    }

    async fn is_suppressed(&self, address: &str) -> bool {
        let mut conn = self.store.read().await.expect("a connection");
        const FIND: &str = "SELECT reason FROM suppressions WHERE address = $1";
        !conn.fetch(FIND, vec![address.into()]).await.expect("read").is_empty()
    }

    pub(crate) async fn stop(self) {
        self.daemon.stop().await;
    }
}

/// Deploys the one template with that text.
async fn deploy(store: &Store, hello: &str) {
    deploy_files(store, &[("hello/email.de.subject.hbs", "Hello"), ("hello/email.de.text.hbs", hello)]).await;
}

async fn deploy_files(store: &Store, files: &[(&str, &str)]) {
    let mut catalog = catalog();
    catalog.policy.consent.clear();
    let doubts = [("again".into(), Doubt::Retry), ("once".into(), Doubt::Hold)];
    catalog.doubts.insert("welcome".into(), doubts.into());
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    let templates = Templates { files: files.collect(), locale: "de".to_owned(), ..Templates::default() };
    let release = Release { catalog: &catalog, programs: &[], templates: &templates };
    journeys::release(store, release, machine_now()).await.expect("deployed");
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not come to pass");
}

#[test]
fn a_withdrawal_between_claim_and_sending_is_honoured() {
    on_all(async |database| {
        let running = Running::start(&database, |_| {}).await;
        let go = Arc::new(AtomicBool::new(false));
        let open = go.clone();
        // The relay takes its time over the first mail: the others are claimed, and wait for the connection.
        running.mailbox.follow(move |moment| match moment {
            Moment::Dot(_) if !open.load(Ordering::Relaxed) => Reaction::Wait(Duration::from_secs(2)),
            _ => Reaction::Go,
        });
        running.queue(&["ada", "ben", "cleo"]).await;
        until("a claim", async || running.states().await == ["leased 3"]).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut tx = running.store.write().await.expect("a transaction");
        for name in ["ada", "ben", "cleo"] {
            let suppression = Suppression {
                channel: "email".into(),
                address: format!("{name}@example.com").into(),
                reason: "unsubscribed".into(),
                at: machine_now(),
            };
            suppressions::suppress(&mut tx, &[&suppression]).await.expect("suppressed");
        }
        tx.commit().await.expect("committed");
        go.store(true, Ordering::Relaxed);
        until("an end", async || running.states().await == ["accepted 1", "cancelled 2"]).await;
        assert_eq!(running.mailbox.messages().len(), 1);
        running.stop().await;
    });
}

#[test]
fn who_unsubscribes_stops_an_address_whoever_has_it() {
    on_all(async |database| {
        let running = Running::start(&database, |_| {}).await;
        for name in ["ada", "ben"] {
            running.import(name, "Family@Example.com", &[]).await;
        }
        running.queue_hello(&["ada"]).await;
        until("a mail", async || running.states().await == ["accepted 1"]).await;
        running.unsubscribe(1).await;
        // Ben is another contact with the same address, Cleo one that comes later.
        running.import("cleo", "family@example.com", &[]).await;
        running.queue_hello(&["ada", "ben", "cleo"]).await;
        until("an end", async || running.states().await == ["accepted 1", "cancelled 3"]).await;
        // It stands in the ledger of both who had the address.
        for (name, lines) in [("ada", 1), ("ben", 1), ("cleo", 0)] {
            until(name, async || running.refusals(name).await == lines).await;
        }
        // Another purpose is another matter, and who agrees anew gets mail again.
        let again = ConsentChange {
            purpose: "marketing".into(),
            channel: "email".into(),
            permit: true,
            at: machine_now(),
            source: "form".into(),
            evidence: None,
        };
        running.import("cleo", "family@example.com", &[again]).await;
        running.queue_hello(&["ben", "cleo"]).await;
        until("an end", async || running.states().await == ["accepted 2", "cancelled 4"]).await;
        running.stop().await;
    });
}

#[test]
fn an_address_that_is_refused_is_refused_for_everybody_who_has_it() {
    on_all(async |database| {
        let running = Running::start(&database, |_| {}).await;
        refuse_everybody(&running.mailbox, "550 5.1.1 nobody of that name");
        for name in ["ada", "ben"] {
            running.import(name, "gone@example.com", &[]).await;
        }
        running.queue_hello(&["ada"]).await;
        until("a bounce", async || running.states().await == ["refused 1"]).await;
        until("word of it", async || running.is_suppressed("gone@example.com").await).await;
        running.queue_hello(&["ben"]).await;
        until("an end", async || running.states().await == ["cancelled 1", "refused 1"]).await;
        running.stop().await;
    });
}

#[test]
fn a_retry_is_what_was_tried_first_whatever_was_changed_meanwhile() {
    on_all(async |database| {
        let running = Running::start(&database, |_| {}).await;
        deploy(&running.store, "Hello {{contact.plan}} to {{contact.email}}.").await;
        // It arrives, and nobody hears of it.
        running.mailbox.follow(|moment| match moment {
            Moment::Dot(_) => Reaction::KeepAndHangUp,
            _ => Reaction::Go,
        });
        running.import("ada", "ada@example.com", &[]).await;
        running.queue_mail("ada", &Delivery { transactional: true, ..running.hello() }).await;
        until("a doubt", async || running.states().await == ["deferred 1"]).await;
        running.mailbox.follow(|_| Reaction::Go);
        deploy(&running.store, "Good bye {{contact.plan}} to {{contact.email}}.").await;
        let attributes = fields(&[("email", text("new@example.com")), ("plan", text("pro"))]);
        let who = Who { email: Some("new@example.com".to_owned()), ..crate::store::who("ada") };
        let person = Person { who, attributes, consents: Vec::new() };
        import::contacts(&running.store, &[person], machine_now()).await.expect("imported");
        running.try_again().await;
        until("an end", async || running.states().await == ["accepted 1"]).await;
        let messages = running.mailbox.messages();
        assert_eq!(messages.len(), 2);
        assert_eq!((&*messages[0].to, &*messages[1].to), ("ada@example.com", "ada@example.com"));
        assert_eq!(String::from_utf8_lossy(&messages[0].raw), String::from_utf8_lossy(&messages[1].raw));
        assert!(String::from_utf8_lossy(&messages[1].raw).contains("Hello free to ada@example.com."));
        // The next mail is made of what holds now.
        running.queue_hello(&["ada"]).await;
        until("another", async || running.states().await == ["accepted 2"]).await;
        let last = running.mailbox.messages().pop().expect("a mail");
        assert_eq!(last.to, "new@example.com");
        assert!(String::from_utf8_lossy(&last.raw).contains("Good bye pro to new@example.com."));
        running.stop().await;
    });
}

#[test]
fn permission_is_looked_at_before_each_try() {
    on_all(async |database| {
        let running = Running::start(&database, |_| {}).await;
        refuse_everybody(&running.mailbox, "451 4.7.1 come back later");
        running.queue(&["ada", "ben"]).await;
        until("a deferral", async || running.states().await == ["deferred 2"]).await;
        running.mailbox.follow(|_| Reaction::Go);
        let mut tx = running.store.write().await.expect("a transaction");
        let suppression = Suppression {
            channel: "email".into(),
            address: "ada@example.com".into(),
            reason: "complaint".into(),
            at: machine_now(),
        };
        suppressions::suppress(&mut tx, &[&suppression]).await.expect("suppressed");
        tx.commit().await.expect("committed");
        running.try_again().await;
        until("an end", async || running.states().await == ["accepted 1", "cancelled 1"]).await;
        assert_eq!(running.mailbox.messages()[0].to, "ben@example.com");
        running.stop().await;
    });
}

#[test]
fn a_template_that_is_not_deployed_is_waited_for_and_one_that_was_removed_is_still_used() {
    on_all(async |database| {
        let running = Running::start(&database, |_| {}).await;
        let other = [("other/email.de.subject.hbs", "Other"), ("other/email.de.text.hbs", "Other.")];
        running.import("ada", "ada@example.com", &[]).await;
        // A mail that an older version still sends, and one whose template is on its way.
        deploy_files(&running.store, &[]).await;
        let other_mail = Delivery { template: "other".into(), step: "other".into(), ..running.hello() };
        running.queue_mail("ada", &other_mail).await;
        until("waiting", async || running.states().await == ["deferred 1"]).await;
        running.queue_hello(&["ada"]).await;
        until("hello", async || running.states().await == ["accepted 1", "deferred 1"]).await;
        deploy_files(&running.store, &other).await;
        running.try_again().await;
        until("other", async || running.states().await == ["accepted 1", "accepted 1"]).await;
        let subjects: Vec<String> =
            running.mailbox.messages().iter().map(|stored| stored.letter.subject.clone()).collect();
        assert_eq!(subjects, ["Hello", "Other"]);
        running.stop().await;
    });
}

#[test]
fn a_full_disk_is_no_place_to_be_ready_on() {
    on_all(async |database| {
        if database.is_postgres() {
            return;
        }
        let running = Running::start(&database, |_| {}).await;
        until("it is ready", async || running.get("/readyz").await.contains("200 OK")).await;
        // No page more than there are.
        let limit = async |sql: &'static str| {
            let mut tx = running.store.write().await.expect("a transaction");
            tx.fetch(sql, Vec::new()).await.expect("set");
        };
        limit("PRAGMA max_page_count = 1").await;
        let fill = async || {
            let mut tx = running.store.write().await?;
            const FILL: &str = "INSERT INTO settings (key, value) VALUES ('filler', hex(zeroblob(1000000))) \
                ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            tx.exec(FILL, Vec::new()).await?;
            tx.commit().await
        };
        assert!(fill().await.is_err_and(|error| error.is_passing()));
        let answer = running.get("/readyz").await;
        assert!(answer.contains("503") && answer.contains("database-full"), "{answer}");
        limit("PRAGMA max_page_count = 4294967294").await;
        until("it is ready again", async || running.get("/readyz").await.contains("200 OK")).await;
        fill().await.expect("there is room");
        running.stop().await;
    });
}

#[test]
fn a_connection_that_nobody_needs_is_closed() {
    on_all(async |database| {
        let running = Running::start(&database, |smtp| smtp.idle = Duration::from_millis(200)).await;
        running.queue(&["ada"]).await;
        until("a mail", async || running.mailbox.messages().len() == 1).await;
        // EHLO, MAIL, RCPT, DATA, and QUIT without another mail.
        until("goodbye", async || running.mailbox.traffic().commands == 5).await;
        running.stop().await;
    });
}
