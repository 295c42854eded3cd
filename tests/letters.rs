//! Letters: batches for a print shop, what is in their folders, and what comes back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fahrplan::clock::{JourneyClock, machine_now};
use fahrplan::daemon::letters::{Letters, Made, Press};
use fahrplan::daemon::{Others, Outlet};
use fahrplan::diagnostic::{Look, Severity, render_all};
use fahrplan::engine::world::{ConsentChange, Input as Incoming_};
use fahrplan::lang::{self, Input};
use fahrplan::link;
use fahrplan::store::brakes::{self, Brake};
use fahrplan::store::folders::{self, Of};
use fahrplan::store::import::{self, Person};
use fahrplan::store::inbox::{Incoming, To};
use fahrplan::store::journeys::{self, Release};
use fahrplan::store::letters::{self, Answered};
use fahrplan::store::receipts::{self, Said};
use fahrplan::store::templates::Templates;
use fahrplan::store::{Store, advance_bucket, contacts, deliveries, enrollments, reconcile};
use fahrplan::time::{DAY, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::engine::build::{fields, text};
use crate::store::{Database, assert_in_place, on_all, on_both, who};

const SCHEMA: &str = r#"
contact { email: email?, first_name: text?, last_name: text?, address: address? }
channel email { sends "smtp", address contact.email, class message }
channel letter { sends "print_shop", address contact.address, class letter, abilities [replies] }
policy rules { consent marketing on letter }
"#;

const JOURNEY: &str = r#"
journey j "J" {
  purpose marketing
  reenter never
  lasts up to 60 days
  enter by start
  send letter winter as paper
  if paper.unreachable { exit as nowhere }
  wait up to 30 days for paper.replied, paper.bounced, paper.failed
  if paper.replied { exit as answered }
  if paper.bounced { exit as returned }
  if paper.failed { exit as failed }
  exit as silent
}
"#;

const SUBJECT: (&str, &str) =
    ("winter/letter.en.subject.hbs", "Winter for {{default contact.first_name \"you\"}}");
const TEXT: (&str, &str) = (
    "winter/letter.en.text.hbs",
    "Dear reader,\n\n**come back**: {{links.response}}\n\nYour code is {{links.response_code}}.",
);

/// A shop that sends letters, without a daemon: a test takes the steps.
struct Shop {
    store: Store,
    outlet: Outlet,
    clock: JourneyClock,
    folder: tempfile::TempDir,
}

impl Shop {
    async fn open(database: &Database) -> Shop {
        let store = database.open().await;
        deploy(&store, TEXT.1).await;
        let folder = tempfile::tempdir().expect("a folder");
        let outlet = outlet(folder.path());
        Shop { store, outlet, clock: JourneyClock::Machine, folder }
    }

    fn press(&self) -> Press<'_> {
        Press { store: &self.store, clock: &self.clock, outlet: &self.outlet }
    }

    /// Imports somebody with that address, and puts them into the journey.
    async fn send_to(&self, name: &str, address: Option<&str>) {
        let mut attributes = fields(&[("first_name", text(name))]);
        attributes.extend(address.map(|address| ("address".into(), text(address))));
        let consents = vec![consent(true)];
        let person = Person { who: who(name), attributes, consents };
        import::contacts(&self.store, &[person], machine_now()).await.expect("imported");
        let contact = self.contact(name).await;
        let input =
            Incoming_::Start { journey: "j".into(), arguments: Default::default(), at: machine_now() };
        self.accept(contact, input).await;
        self.advance().await;
    }

    async fn contact(&self, name: &str) -> fahrplan::id::ContactId {
        let mut conn = self.store.read().await.expect("a connection");
        contacts::by_key(&mut conn, name).await.expect("read").expect("there").id
    }

    async fn accept(&self, contact: fahrplan::id::ContactId, input: Incoming_) {
        let item = Incoming { to: To::Contact(contact), message_id: None, input };
        self.store.accept(vec![item], machine_now()).await.expect("accepted");
    }

    async fn advance(&self) {
        for _ in 0..4 {
            for bucket in self.store.buckets() {
                advance_bucket(&self.store, bucket, machine_now(), 100).await.expect("advanced");
            }
        }
    }

    /// Cuts and makes what is due.
    async fn run(&self) -> Vec<Made> {
        self.press().cut().await.expect("cut");
        let made = self.press().make_all(&CancellationToken::new()).await.expect("made");
        self.advance().await;
        made
    }

    async fn states(&self) -> Vec<String> {
        let mut conn = self.store.read().await.expect("a connection");
        let found = reconcile::differences(&mut conn).await.expect("read");
        assert_eq!(found, reconcile::Differences::default());
        let counts = deliveries::counts(&mut conn).await.expect("counted");
        counts.iter().map(|count| format!("{} {}", count.state, count.count)).collect()
    }

    /// How somebody left, if they did.
    async fn end(&self, name: &str) -> Option<String> {
        let contact = self.contact(name).await;
        let mut conn = self.store.read().await.expect("a connection");
        let lines = enrollments::of_contact(&mut conn, contact).await.expect("read");
        lines.first().and_then(|line| line.reason.as_ref().map(ToString::to_string))
    }

    /// The files of a batch.
    fn files(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        files(&self.folder.path().join(name))
    }

    fn batches(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("read").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The list of the only batch, without its head.
    fn list(&self) -> Vec<csv::StringRecord> {
        let name = self.batches().pop().expect("a batch");
        let list = &self.files(&name)["addresses.csv"];
        csv::Reader::from_reader(list.as_slice()).records().map(|row| row.expect("a row")).collect()
    }
}

fn outlet(folder: &Path) -> Outlet {
    let letters = Letters { folder: Some(folder.to_owned()), ..Letters::default() };
    crate::mail::outlet(Others::default().with_letters(letters))
}

fn consent(permit: bool) -> ConsentChange {
    ConsentChange {
        purpose: "marketing".into(),
        channel: "letter".into(),
        permit,
        at: machine_now(),
        source: "form".into(),
        evidence: None,
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path: PathBuf = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read(path).expect("read"))
    };
    entries.map(read).collect()
}

async fn deploy(store: &Store, words: &str) {
    let mut input = Input::default();
    input.sources.add("schema.journey".into(), SCHEMA.to_owned());
    input.sources.add("journeys/j.journey".into(), JOURNEY.to_owned());
    for (path, text) in [SUBJECT, (TEXT.0, words)] {
        let file = input.sources.add(format!("templates/{path}"), text.to_owned());
        input.templates.insert(path.to_owned(), file);
    }
    let compiled = lang::compile(&input);
    let wrong = compiled.diagnostics.iter().any(|d| d.severity() == Severity::Error);
    assert!(!wrong, "{}", render_all(&input.sources, &compiled.diagnostics, Look::PLAIN));
    let files = [SUBJECT, (TEXT.0, words)].map(|(path, text)| (path.to_owned(), text.to_owned()));
    let brand = [("name".to_owned(), "Shop & Co".to_owned())];
    let templates = Templates {
        files: files.into_iter().collect(),
        locale: "en".to_owned(),
        brand: brand.into_iter().collect(),
        ..Templates::default()
    };
    let release = Release { catalog: &compiled.catalog, programs: &compiled.programs, templates: &templates };
    journeys::release(store, release, machine_now()).await.expect("deployed");
}

#[test]
fn letters_wait_and_then_lie_in_one_folder_and_are_sent() {
    on_all(async |database| {
        let shop = Shop::open(&database).await;
        for number in 0..20 {
            shop.send_to(&format!("p{number}"), Some(&format!("Weg {number}\n10115 Berlin"))).await;
        }
        assert_eq!(shop.states().await, ["waiting 20"]);
        let mut conn = shop.store.read().await.expect("a connection");
        assert_eq!(deliveries::next(&mut conn).await.expect("read").due_at, None, "no mail is due");
        drop(conn);
        let made = shop.run().await;
        assert_eq!((made.len(), made[0].printed, made[0].refused, made[0].was_there), (1, 20, 0, false));
        assert_eq!(shop.states().await, ["accepted 20"]);
        let files = shop.files(&made[0].name);
        assert_eq!(files.len(), 21, "a file each, and the list");
        let list = shop.list();
        let mut codes = Vec::new();
        for (number, row) in list.iter().enumerate() {
            assert!(
                row[0].starts_with(&format!("{:06}-dl_", number + 1)) && files.contains_key(&row[0]),
                "{row:?}"
            );
            assert!(files[&row[0]].starts_with(b"%PDF"), "{row:?}");
            assert!(
                row[4].starts_with('p') && row[5].starts_with("Weg ") && &row[6] == "10115 Berlin",
                "{row:?}"
            );
            codes.push(row[2].to_owned());
        }
        let mut sorted: Vec<&str> = list.iter().map(|row| row.get(1).expect("an id")).collect();
        sorted.sort_unstable();
        assert!(sorted.iter().zip(&list).all(|(id, row)| *id == &row[1]), "in the order of their ids");
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), 20);
        assert_eq!(shop.run().await, [], "nobody gets two");
        assert_eq!(shop.batches().len(), 1);
    });
}

#[test]
fn killed_between_any_two_steps_it_makes_the_same_bytes() {
    on_all(async |database| {
        let shop = Shop::open(&database).await;
        for name in ["ada", "bob", "cyd"] {
            shop.send_to(name, Some("Weg 1\n10115 Berlin")).await;
        }
        let never = CancellationToken::new();
        shop.press().cut().await.expect("cut");
        assert_eq!(shop.states().await, ["batched 3"]);
        let mut conn = shop.store.read().await.expect("a connection");
        let batch = letters::unfinished(&mut conn).await.expect("read").remove(0);
        drop(conn);
        assert!(batch.is_closed && batch.letters == 3);
        // Killed in the middle of writing: something lies about.
        std::fs::create_dir_all(shop.folder.path().join(format!(".{}.99", batch.name))).expect("made");
        let written = shop.press().write(&batch, &never).await.expect("written");
        let first = shop.files(&batch.name);
        drop(written);
        // Meanwhile all changes that is written about and with.
        deploy(&shop.store, "Quite another text.").await;
        let attributes = fields(&[("first_name", text("Other")), ("address", text("Elsewhere 2\nBonn"))]);
        let person = Person { who: who("ada"), attributes, consents: vec![consent(false)] };
        import::contacts(&shop.store, &[person], machine_now()).await.expect("imported");
        shop.send_to("dan", Some("Weg 2")).await;
        let other = Shop { outlet: outlet(shop.folder.path()), ..Shop::open_again(&shop, &database).await };
        let written = other.press().write(&batch, &never).await.expect("written");
        assert!(written.made.was_there);
        assert_eq!(first, shop.files(&batch.name));
        // Without its folder, it is the same folder again.
        std::fs::remove_dir_all(shop.folder.path().join(&batch.name)).expect("removed");
        let made = other.run().await;
        assert!(made.iter().any(|made| made.name == batch.name && !made.was_there), "{made:?}");
        assert_eq!(first, shop.files(&batch.name));
        // Dan came after the cut, and has a batch of his own.
        assert_eq!((made.len(), made[1].printed), (2, 1), "{made:?}");
        assert_eq!(shop.states().await, ["accepted 4"]);
        // Whoever asks for it once more, later, gets the same.
        std::fs::remove_dir_all(shop.folder.path().join(&batch.name)).expect("removed");
        other.press().write(&batch, &never).await.expect("written");
        assert_eq!(first, shop.files(&batch.name));
        assert_eq!(shop.batches().len(), 2);
        // Where something else has its name, that is kept.
        std::fs::write(shop.folder.path().join(&batch.name).join("addresses.csv"), "spoiled")
            .expect("spoiled");
        other.press().write(&batch, &never).await.expect("written");
        assert_eq!(first, shop.files(&batch.name));
        assert!(shop.batches().iter().any(|name| name.ends_with(".other-1")));
        let left = shop.batches().into_iter().filter(|name| name.starts_with('.')).count();
        assert_eq!(left, 0);
    });
}

impl Shop {
    /// The same database and folder, as another process has them.
    async fn open_again(shop: &Shop, database: &Database) -> Shop {
        let folder = tempfile::tempdir().expect("a folder");
        let store = database.open().await;
        folders::release_former(&store, Of::Letters).await.expect("released");
        if database.is_postgres() {
            let mut tx = store.write().await.expect("a transaction");
            tx.exec("UPDATE letter_batches SET held_until = 0", Vec::new()).await.expect("lapsed");
            tx.commit().await.expect("committed");
        }
        Shop { store, outlet: outlet(shop.folder.path()), clock: JourneyClock::Machine, folder }
    }
}

#[test]
fn whoever_recorded_half_of_a_batch_is_followed_by_one_who_records_the_rest() {
    on_both(async |database| {
        let shop = Shop::open(&database).await;
        for number in 0..10 {
            shop.send_to(&format!("p{number}"), Some("Weg 1\nBonn")).await;
        }
        shop.press().cut().await.expect("cut");
        // Half of them are recorded, and then the process is gone.
        let mut tx = shop.store.write().await.expect("a transaction");
        let half = "UPDATE deliveries SET state = 'accepted', settled_at = 1 WHERE id IN (SELECT id FROM deliveries ORDER BY id LIMIT 5)";
        tx.exec(half, Vec::new()).await.expect("recorded");
        let counted = "INSERT INTO delivery_counts (bucket, journey, channel, template, state, count) \
            SELECT bucket, journey, channel, template, 'accepted', COUNT(*) FROM deliveries WHERE state = 'accepted' \
            GROUP BY bucket, journey, channel, template";
        tx.exec(counted, Vec::new()).await.expect("counted");
        tx.commit().await.expect("committed");
        let made = shop.press().make_all(&CancellationToken::new()).await.expect("made");
        assert_eq!((made.len(), made[0].printed), (1, 10), "all of them are in the folder");
        assert_eq!(shop.states().await, ["accepted 10"]);
        assert_eq!(shop.list().len(), 10);
    });
}

#[test]
fn what_could_not_be_written_waits_for_nobody_once_it_can() {
    on_both(async |database| {
        let shop = Shop::open(&database).await;
        shop.send_to("ada", Some("Weg 1\nBonn")).await;
        // A file stands where the folder has its place.
        let folder = shop.folder.path().join("letters");
        std::fs::write(&folder, "").expect("written");
        let outlet = outlet(&folder);
        let press = Press { store: &shop.store, clock: &shop.clock, outlet: &outlet };
        press.cut().await.expect("cut");
        assert!(press.make_all(&CancellationToken::new()).await.is_err());
        std::fs::remove_file(&folder).expect("removed");
        let second = database.open().await;
        assert_ne!(second.worker(), shop.store.worker());
        let press = Press { store: &second, ..press };
        let made = press.make_all(&CancellationToken::new()).await.expect("made");
        assert_eq!((made.len(), made[0].printed), (1, 1));
        // Names and addresses are not for everybody on the machine.
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        let batch = folder.join(&made[0].name);
        assert_eq!((mode(&folder) & 0o7, mode(&batch) & 0o7), (0, 0));
        assert_eq!(mode(&batch.join("addresses.csv")) & 0o137, 0);
    });
}

#[test]
fn what_withdraws_permission_before_the_cut_keeps_a_letter_back() {
    on_all(async |database| {
        let shop = Shop::open(&database).await;
        for name in ["stays", "withdraws", "moves", "left", "late"] {
            shop.send_to(name, Some("Weg 1\nBonn")).await;
        }
        shop.send_to("nowhere", None).await;
        assert_eq!(shop.end("nowhere").await.as_deref(), Some("nowhere"));
        let withdraws = shop.contact("withdraws").await;
        shop.accept(withdraws, Incoming_::Consent(consent(false))).await;
        let left = shop.contact("left").await;
        let leave = Incoming_::Leave { journey: "j".into(), reason: "exited".into() };
        shop.accept(left, leave).await;
        shop.advance().await;
        let attributes = fields(&[("address", text("Neuer Weg 3\n50667 Köln"))]);
        let person = Person { who: who("moves"), attributes, consents: Vec::new() };
        import::contacts(&shop.store, &[person], machine_now()).await.expect("imported");
        shop.advance().await;
        let made = shop.run().await;
        assert_eq!(made[0].printed, 3, "{made:?}");
        let list = shop.list();
        assert!(list.iter().any(|row| &row[4] == "moves" && &row[5] == "Neuer Weg 3"), "{list:?}");
        assert!(list.iter().all(|row| !["withdraws", "left"].contains(&&row[4])), "{list:?}");
        assert_eq!(shop.states().await, ["accepted 3", "cancelled 2"]);
    });
}

#[test]
fn a_batch_of_nobody_is_none() {
    on_both(async |database| {
        let shop = Shop::open(&database).await;
        assert_eq!(shop.run().await, []);
        shop.send_to("ada", Some("Weg 1\nBonn")).await;
        let ada = shop.contact("ada").await;
        shop.accept(ada, Incoming_::Consent(consent(false))).await;
        shop.advance().await;
        assert_eq!(shop.run().await, []);
        assert_eq!(shop.batches(), [""; 0]);
        assert_eq!(shop.states().await, ["cancelled 1"]);
    });
}

#[test]
fn what_is_paused_waits_for_the_next_batch() {
    on_both(async |database| {
        let shop = Shop::open(&database).await;
        shop.send_to("ada", Some("Weg 1\nBonn")).await;
        let pause = async |on: bool| {
            let mut tx = shop.store.write().await.expect("a transaction");
            let brake = Brake::Channel("letter".into());
            match on {
                true => drop(brakes::pause(&mut tx, &brake, "test", machine_now()).await.expect("paused")),
                false => drop(brakes::resume(&mut tx, &brake).await.expect("resumed")),
            }
            tx.commit().await.expect("committed");
            tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        };
        pause(true).await;
        assert_eq!(shop.run().await, []);
        assert_eq!(shop.states().await, ["waiting 1"]);
        pause(false).await;
        assert_eq!(shop.run().await.len(), 1);
    });
}

#[test]
fn addresses_that_nobody_can_deliver_to_are_refused_and_hostile_ones_are_harmless() {
    on_both(async |database| {
        let shop = Shop::open(&database).await;
        shop.send_to("blank", Some(" \n \u{200b}")).await;
        shop.send_to("long", Some(&"x\n".repeat(12))).await;
        shop.send_to("far", Some("東京都\n1-1")).await;
        shop.send_to("=cmd", Some("=HYPERLINK(\"http://x\",\"y\")\n+49 Weg\n\u{202e}@x\"; rm -rf /")).await;
        shop.send_to("lines", Some("c/o Łukasz Żółć\r\n\r\nDługa 5 m. 3\r\n00-238 Warszawa\r\nPOLEN")).await;
        let made = shop.run().await;
        assert_eq!(made[0].printed, 2, "{made:?}");
        let list = shop.list();
        let hostile = list.iter().find(|row| row[4].contains("cmd")).expect("there");
        assert_eq!(&hostile[4], "'=cmd");
        assert_eq!(
            [&hostile[5], &hostile[6], &hostile[7]],
            ["'=HYPERLINK(\"http://x\",\"y\")", "'+49 Weg", "'@x\"; rm -rf /"]
        );
        let lines = list.iter().find(|row| &row[4] == "lines").expect("there");
        assert_eq!(
            [&lines[5], &lines[6], &lines[7], &lines[8], &lines[9]],
            ["c/o Łukasz Żółć", "Długa 5 m. 3", "00-238 Warszawa", "POLEN", ""]
        );
        for name in ["blank", "long", "far"] {
            assert_eq!(shop.end(name).await.as_deref(), Some("returned"), "{name}");
        }
    });
}

#[test]
fn who_was_merged_after_the_cut_gets_the_letter_that_was_cut() {
    on_all(async |database| {
        let shop = Shop::open(&database).await;
        for number in 0..6 {
            shop.send_to(&format!("p{number}"), Some("Weg 1\nBonn")).await;
        }
        let never = CancellationToken::new();
        shop.press().cut().await.expect("cut");
        let mut conn = shop.store.read().await.expect("a connection");
        let batch = letters::unfinished(&mut conn).await.expect("read").remove(0);
        drop(conn);
        shop.press().write(&batch, &never).await.expect("written");
        let first = shop.files(&batch.name);
        std::fs::remove_dir_all(shop.folder.path().join(&batch.name)).expect("removed");
        let mut tx = shop.store.write().await.expect("a transaction");
        // As a merge does with the rows of a contact.
        let winner = shop.store.new_id();
        let bucket =
            fahrplan::store::bucket_of(fahrplan::id::ContactId(winner), shop.store.settings().buckets);
        const MOVE: &str = "UPDATE deliveries SET contact = $1, bucket = $2";
        tx.exec(MOVE, vec![winner.into(), bucket.into()]).await.expect("moved");
        tx.commit().await.expect("committed");
        let made = shop.run().await;
        assert_eq!((made.len(), made[0].printed), (1, 6));
        assert_eq!(first, shop.files(&batch.name));
        let mut conn = shop.store.read().await.expect("a connection");
        let counts = deliveries::counts(&mut conn).await.expect("counted");
        assert!(counts.iter().all(|count| count.state == "accepted"), "{counts:?}");
    });
}

#[test]
fn a_code_comes_back_once_and_a_returned_letter_marks_its_address() {
    on_all(async |database| {
        let shop = Shop::open(&database).await;
        let before = shop.store.statements();
        for name in ["ada", "bob", "cyd"] {
            shop.send_to(name, Some(&format!("{name}weg 1\nBonn"))).await;
        }
        shop.run().await;
        let list = shop.list();
        let row = |name: &str| list.iter().find(|row| &row[4] == name).expect("a letter").clone();
        let code = link::read_code(&row("ada")[2].to_lowercase()).expect("a code");
        let now = machine_now();
        let answer = async |code: &str| letters::answer(&shop.store, code, now, now).await.expect("answered");
        assert_eq!(answer("AAAAAAAAAAAA").await, Answered::Unknown);
        assert_eq!(answer(&code).await, Answered::Taken);
        assert_eq!(answer(&code).await, Answered::Repeated);
        let cyd = link::read_code(&row("cyd")[2]).expect("a code");
        let old = letters::answer(&shop.store, &cyd, now.plus_ms(401 * DAY), now);
        assert_eq!(old.await.expect("answered"), Answered::Unknown, "codes expire");
        let returned = row("bob")[1].parse().expect("an id");
        receipts::report(&shop.store, returned, Said::Bounced, Some("unknown"), now).await.expect("reported");
        shop.advance().await;
        assert_eq!(shop.end("ada").await.as_deref(), Some("answered"));
        assert_eq!(shop.end("bob").await.as_deref(), Some("returned"));
        assert_eq!(shop.end("cyd").await, None);
        assert_in_place(&shop.store, &before).await;
        // Nothing goes there again: not to bob, nor to whoever lives there.
        let mut conn = shop.store.read().await.expect("a connection");
        let sql = "SELECT COUNT(*) FROM suppressions WHERE address = 'bobweg 1\nbonn'";
        assert_eq!(conn.fetch_number(sql, Vec::new()).await.expect("read"), 1);
        drop(conn);
        shop.send_to("lodger", Some("Bobweg 1\nBonn")).await;
        shop.send_to("bob2", Some("Neuweg 1\nBonn")).await;
        assert_eq!(shop.states().await, ["accepted 3", "waiting 1"]);
    });
}

#[test]
fn what_batches_were_made_of_is_forgotten_after_a_month() {
    on_both(async |database| {
        let shop = Shop::open(&database).await;
        shop.send_to("ada", Some("Weg 1\nBonn")).await;
        shop.run().await;
        let count = async |sql: &'static str| {
            shop.store.read().await.expect("a connection").fetch_number(sql, Vec::new()).await.expect("read")
        };
        letters::forget(&shop.store, machine_now().plus_ms(29 * DAY)).await.expect("forgotten");
        assert_eq!(count("SELECT COUNT(*) FROM deliveries WHERE frozen IS NOT NULL").await, 1);
        letters::forget(&shop.store, machine_now().plus_ms(31 * DAY)).await.expect("forgotten");
        assert_eq!(count("SELECT COUNT(*) FROM deliveries WHERE frozen IS NOT NULL").await, 0);
        assert_eq!(count("SELECT COUNT(*) FROM response_codes").await, 1);
        letters::forget(&shop.store, Timestamp(machine_now().0 + 402 * DAY)).await.expect("forgotten");
        assert_eq!(count("SELECT COUNT(*) FROM response_codes").await, 0);
    });
}
