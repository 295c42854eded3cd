//! Audiences: who is in them after whatever happened, and what networks are told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use fahrplan::channels::audience::{HEAD, PART};
use fahrplan::channels::guard::Guard;
use fahrplan::clock::{JourneyClock, machine_now};
use fahrplan::config::{Config, Secrets};
use fahrplan::daemon::audiences::{Audiences, Error, Made, Teller};
use fahrplan::daemon::{Others, Outlet};
use fahrplan::diagnostic::{Look, Severity, render_all};
use fahrplan::engine::world::{ConsentChange, Event, Input as Incoming_, Suppression};
use fahrplan::id::ContactId;
use fahrplan::intake::Who;
use fahrplan::lang::{self, Input};
use fahrplan::store::folders::{self, Of};
use fahrplan::store::held::Held;
use fahrplan::store::import::{self, Person};
use fahrplan::store::inbox::{Incoming, To};
use fahrplan::store::journeys::{self, Release};
use fahrplan::store::templates::Templates;
use fahrplan::store::{Store, advance_bucket, contacts, exports, members, reconcile};
use fahrplan::time::{DAY, HOUR, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::cli::{fahrplan, project_on};
use crate::engine::build::{fields, text};
use crate::outbound::{All, Seen, server};
use crate::store::{Database, on_all, on_both, who};

const SCHEMA: &str = r#"
contact { email: email? unique, phone: phone?, first_name: text? }
event viewed { sku: text }
event bought
event bored
event closed
channel email { sends "smtp", address contact.email, class message }
channel ads {}
policy rules { consent marketing on email, ads }
audience viewers "Looked, and did not buy" {
  consent_to marketing
  consent_on ads
  matches [contact.email, contact.phone]
  sends "file"
}
"#;

const JOURNEY: &str = r#"
journey looking {
  purpose transactional because "a test"
  enter on viewed as view per view.sku
  reenter when finished
  lasts up to 30 days
  exit as bought on bought
  add contact to viewers
  wait 7 days
  exit as done
}
journey boredom {
  purpose transactional because "a test"
  enter on bored
  reenter always
  remove contact from viewers
  exit as done
}
"#;

const ADA: &str = "cfe00dde46ef942601ffafb9e2825e802858b460e586b8305b344c1eb826357d";
const PHONE: &str = "ac75546db905289f50bd750fd5648fec0719074ce391521b2372abeae9110668";
const PHONE_PLUS: &str = "a909469fabf3f43d0b7b6c42a85a6e7e8ceb36c7a2f0f1b9c15b80dc16384cb7";

/// A shop with an audience, without a daemon: a test takes the steps.
struct Shop {
    store: Store,
    outlet: Outlet,
    clock: JourneyClock,
    folder: tempfile::TempDir,
    now: Timestamp,
}

impl Shop {
    async fn open(database: &Database) -> Shop {
        Shop::open_with(database, SCHEMA, Others::default()).await
    }

    /// One that calls the network at that address.
    async fn calling(database: &Database, url: &str) -> Shop {
        let allowed = vec!["127.0.0.1".parse().expect("an address")];
        Shop::open_with(database, &called(), others(Guard::new(allowed), url)).await
    }

    async fn open_with(database: &Database, schema: &str, others: Others) -> Shop {
        let store = database.open().await;
        deploy(&store, schema, JOURNEY).await;
        let folder = tempfile::tempdir().expect("a folder");
        let outlet = outlet(&folder.path().join("audiences"), others);
        Shop { store, outlet, clock: JourneyClock::Machine, folder, now: machine_now() }
    }

    fn teller(&self) -> Teller<'_> {
        Teller { store: &self.store, clock: &self.clock, outlet: &self.outlet }
    }

    async fn import(&self, name: &str, pairs: &[(&str, &str)], consents: &[bool]) {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, text(value))).collect();
        let consents = consents.iter().map(|permit| consent(*permit, self.now)).collect();
        let person = Person { who: who(name), attributes: fields(&pairs), consents };
        import::contacts(&self.store, &[person], self.now).await.expect("imported");
    }

    async fn contact(&self, name: &str) -> ContactId {
        let mut conn = self.store.read().await.expect("a connection");
        contacts::by_key(&mut conn, name).await.expect("read").expect("there").id
    }

    async fn accept(&self, name: &str, input: Incoming_) {
        let item = Incoming { to: To::Contact(self.contact(name).await), message_id: None, input };
        self.store.accept(vec![item], self.now).await.expect("accepted");
        self.advance().await;
    }

    async fn event(&self, name: &str, event: &str, sku: &str) {
        let fields = if sku.is_empty() { fields(&[]) } else { fields(&[("sku", text(sku))]) };
        let (id, at) = (0, self.now);
        let event = Event { id, name: event.into(), occurred_at: at, accepted_at: at, fields, quiet: false };
        self.accept(name, Incoming_::Event(event)).await;
    }

    async fn consent(&self, name: &str, permit: bool) {
        self.accept(name, Incoming_::Consent(consent(permit, self.now))).await;
    }

    /// So many people, who look.
    async fn crowd(&self, letter: &str, count: usize) {
        let person = |n: usize| {
            let email = text(&format!("{letter}{n}@example.org"));
            let consents = vec![consent(true, self.now)];
            Person { who: who(&format!("{letter}{n}")), attributes: fields(&[("email", email)]), consents }
        };
        let people: Vec<Person> = (0..count).map(person).collect();
        import::contacts(&self.store, &people, self.now).await.expect("imported");
        self.all(letter, count, "viewed").await;
    }

    /// An event of so many people.
    async fn all(&self, letter: &str, count: usize, event: &str) {
        let item = |n: usize| {
            let (id, at) = (0, self.now);
            let fields = if event == "viewed" { fields(&[("sku", text("s1"))]) } else { fields(&[]) };
            let event =
                Event { id, name: event.into(), occurred_at: at, accepted_at: at, fields, quiet: false };
            let to = To::Who(who(&format!("{letter}{n}")));
            Incoming { to, message_id: None, input: Incoming_::Event(event) }
        };
        self.store.accept((0..count).map(item).collect(), self.now).await.expect("accepted");
        self.advance().await;
    }

    async fn advance(&self) {
        for _ in 0..3 {
            for bucket in self.store.buckets() {
                while advance_bucket(&self.store, bucket, self.now, 100).await.expect("advanced").more {}
            }
        }
    }

    /// Cuts and makes what has changed.
    async fn run(&self) -> Vec<Made> {
        self.teller().cut().await.expect("cut");
        self.teller().make_all(&CancellationToken::new()).await.expect("made")
    }

    /// The batches that are not done.
    async fn unfinished(&self) -> Vec<exports::Batch> {
        let mut conn = self.store.read().await.expect("a connection");
        exports::unfinished(&mut conn).await.expect("read")
    }

    /// Deploys the schema without the audience.
    async fn undeclare(&self) {
        let (schema, _) = SCHEMA.split_once("audience viewers").expect("declared there");
        let other = "journey other {\n  reenter never\n  purpose transactional because \"a test\"\n  enter on bored\n  exit as done\n}";
        deploy(&self.store, schema, other).await;
    }

    async fn is_member(&self, name: &str) -> bool {
        let contact = self.contact(name).await;
        let mut conn = self.store.read().await.expect("a connection");
        !members::of_contact(&mut conn, contact).await.expect("read").is_empty()
    }

    async fn told(&self) -> Vec<String> {
        let mut conn = self.store.read().await.expect("a connection");
        exports::all_lines(&mut conn, "viewers").await.expect("read")
    }

    fn read(&self, batch: &str, file: &str) -> Vec<String> {
        let path = self.folder.path().join("audiences").join(batch).join(file);
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "nobody else reads {file}");
        let text = std::fs::read_to_string(path).expect("read");
        let mut lines = text.lines().map(str::to_owned);
        assert_eq!(lines.next().as_deref(), Some(HEAD));
        lines.collect()
    }

    fn batches(&self) -> BTreeMap<String, [Vec<u8>; 2]> {
        let entries = std::fs::read_dir(self.folder.path().join("audiences")).expect("there");
        let read = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let file = |name: &str| std::fs::read(path.join(name)).expect("read");
            (name, [file("add.csv"), file("remove.csv")])
        };
        entries.map(read).collect()
    }
}

fn outlet(folder: &Path, others: Others) -> Outlet {
    let audiences = Audiences { folder: Some(folder.to_owned()), ..Audiences::default() };
    crate::mail::outlet(others.with_audiences(audiences))
}

/// The schema with an audience of which a network is told by calls.
fn called() -> String {
    SCHEMA.replace("sends \"file\"", "sends \"secret:network\"")
}

/// Those whom that guard lets through, and the address of the network.
fn others(guard: Guard, url: &str) -> Others {
    let environment = BTreeMap::from([("FAHRPLAN_SECRET_NETWORK".to_owned(), url.to_owned())]);
    Others::new(guard, Secrets::new(&Config::default(), Path::new("."), &environment))
}

fn consent(permit: bool, at: Timestamp) -> ConsentChange {
    let (source, evidence) = ("form".into(), None);
    ConsentChange { purpose: "marketing".into(), channel: "ads".into(), permit, at, source, evidence }
}

async fn deploy(store: &Store, schema: &str, journeys: &str) {
    let mut input = Input::default();
    input.sources.add("schema.journey".into(), schema.to_owned());
    input.sources.add("journeys/j.journey".into(), journeys.to_owned());
    let compiled = lang::compile(&input);
    let wrong = compiled.diagnostics.iter().any(|d| d.severity() == Severity::Error);
    assert!(!wrong, "{}", render_all(&input.sources, &compiled.diagnostics, Look::PLAIN));
    let templates = Templates::default();
    let release = Release { catalog: &compiled.catalog, programs: &compiled.programs, templates: &templates };
    journeys::release(store, release, machine_now()).await.expect("deployed");
}

#[test]
fn who_comes_and_goes_is_told_to_the_network_by_hashes() {
    on_all(async |database| {
        let shop = Shop::open(&database).await;
        let ada = [("email", " Ada@Example.org"), ("phone", "+49 30 123456")];
        shop.import("ada", &ada, &[true]).await;
        shop.import("bob", &[("email", "bob@example.org")], &[]).await;
        for name in ["ada", "bob"] {
            shop.event(name, "viewed", "s1").await;
        }
        assert!(shop.is_member("ada").await && !shop.is_member("bob").await, "bob has not agreed");
        let made = shop.run().await;
        assert_eq!((made.len(), made[0].added, made[0].removed), (1, 1, 0));
        assert_eq!(shop.read(&made[0].name, "add.csv"), [format!("{ADA},{PHONE},{PHONE_PLUS}")]);
        assert!(shop.read(&made[0].name, "remove.csv").is_empty());
        assert_eq!(shop.run().await, [], "nothing has changed");

        // Another number is one line that goes and one that comes.
        shop.import("ada", &[("phone", "030 123456")], &[]).await;
        let made = shop.run().await;
        assert_eq!(shop.read(&made[0].name, "add.csv"), [format!("{ADA},,")], "a number without a country");
        assert_eq!(shop.read(&made[0].name, "remove.csv"), [format!("{ADA},{PHONE},{PHONE_PLUS}")]);

        shop.event("ada", "bought", "").await;
        assert!(!shop.is_member("ada").await, "buyers leave it");
        let made = shop.run().await;
        assert_eq!((made[0].added, made[0].removed), (0, 1));
        assert_eq!(shop.read(&made[0].name, "remove.csv"), [format!("{ADA},,")]);
        assert_eq!(shop.told().await, Vec::<String>::new());
        let left = shop.folder.path().join("audiences");
        let left = std::fs::read_dir(left).expect("there").count();
        assert_eq!(left, 3, "a folder a batch and nothing beside");
    });
}

#[test]
fn the_reason_stands_in_the_history_and_the_contact_shows_it() {
    on_all(async |database| {
        let shop = Shop::open(&database).await;
        shop.import("ada", &[("email", "ada@example.org")], &[true]).await;
        shop.import("bob", &[("email", "bob@example.org")], &[]).await;
        for name in ["ada", "bob"] {
            shop.event(name, "viewed", "s1").await;
        }
        shop.event("ada", "bored", "").await;
        shop.event("ada", "viewed", "s2").await;
        let told = async |name: &str| {
            let mut conn = shop.store.read().await.expect("a connection");
            Held::find(&mut conn, name, shop.now).await.expect("read").expect("there")
        };
        let held = told("ada").await;
        assert_eq!(held.as_json()["audiences"][0]["audience"], "viewers");
        assert_eq!(held.as_json()["audiences"][0]["told"], false);
        let words: Vec<_> = held.history.iter().filter_map(|note| held.teller.note(note)).collect();
        for wanted in ["was added to the audience `viewers`", "was taken out of the audience `viewers`"] {
            assert!(words.iter().any(|line| line == wanted), "{words:?}");
        }
        let held = told("bob").await;
        let words: Vec<_> = held.history.iter().filter_map(|note| held.teller.note(note)).collect();
        let wanted = "was not added to the audience `viewers`: there never was consent to marketing by ads";
        assert!(words.iter().any(|line| line == wanted), "{words:?}");
    });
}

#[test]
fn consent_that_goes_and_addresses_that_are_suppressed_take_people_out() {
    on_all(async |database| {
        let shop = Shop::open(&database).await;
        for name in ["ada", "bob", "cyd"] {
            shop.import(name, &[("email", &format!("{name}@example.org"))], &[true]).await;
            shop.event(name, "viewed", "s1").await;
        }
        assert_eq!(shop.run().await[0].added, 3);
        shop.consent("ada", false).await;
        assert!(!shop.is_member("ada").await);
        // A quiet import tells no journey; what leaves is looked at all the same.
        let later = Shop { now: shop.now.plus_ms(1_000), ..shop };
        later.import("bob", &[], &[false]).await;
        let suppression = Suppression {
            channel: "email".into(),
            address: "cyd@example.org".into(),
            reason: "complaint".into(),
            at: later.now,
        };
        later.accept("cyd", Incoming_::Suppress(suppression)).await;
        assert!(!later.is_member("cyd").await);
        assert_eq!(later.run().await[0].removed, 3);
        assert!(!later.is_member("bob").await, "who is not handed over is no member");
        assert_eq!(later.told().await, Vec::<String>::new());
        // Who agrees again comes back with the next step that adds people, and nobody before.
        later.consent("ada", true).await;
        assert!(!later.is_member("ada").await);
        later.event("ada", "viewed", "s2").await;
        assert!(later.is_member("ada").await);
        later.event("cyd", "viewed", "s2").await;
        assert!(!later.is_member("cyd").await, "the address is not used any more");
    });
}

#[test]
fn killed_between_any_two_steps_the_batch_has_the_same_bytes() {
    on_all(async |database| {
        let shop = Shop::open(&database).await;
        for name in ["ada", "bob"] {
            shop.import(name, &[("email", &format!("{name}@example.org"))], &[true]).await;
            shop.event(name, "viewed", "s1").await;
        }
        shop.teller().cut().await.expect("cut");
        let batch = shop.unfinished().await.remove(0);
        assert!(batch.is_closed);
        // Killed in the middle of writing: something lies about.
        let rubbish = shop.folder.path().join("audiences").join(format!(".{}.99", batch.name));
        std::fs::create_dir_all(rubbish).expect("made");
        let stop = CancellationToken::new();
        shop.teller().write(&batch, &stop).await.expect("written");
        let first = shop.batches();
        assert_eq!(first.len(), 1);
        // Meanwhile somebody leaves and somebody comes.
        shop.event("ada", "bought", "").await;
        shop.import("cyd", &[("email", "cyd@example.org")], &[true]).await;
        shop.event("cyd", "viewed", "s1").await;
        assert!(shop.teller().write(&batch, &stop).await.expect("written").was_there);
        std::fs::remove_dir_all(shop.folder.path().join("audiences").join(&batch.name)).expect("removed");
        let made = shop.teller().make_all(&CancellationToken::new()).await.expect("made");
        assert_eq!((made.len(), made[0].added), (1, 2), "{made:?}");
        assert_eq!(shop.batches(), first);
        let made = shop.run().await;
        assert_eq!((made.len(), made[0].added, made[0].removed), (1, 1, 1), "{made:?}");
    });
}

#[test]
fn a_crowd_larger_than_a_page_becomes_the_same_files_whenever_they_are_written() {
    // More than are read together, and more than are written together.
    const CROWD: usize = 4_100;
    const NEXT: usize = 1_500;
    on_both(async |database| {
        let shop = Shop::open(&database).await;
        shop.crowd("a", CROWD).await;
        let made = shop.run().await;
        assert_eq!((made.len(), made[0].added, made[0].removed), (1, CROWD, 0));
        let come = shop.read(&made[0].name, "add.csv");
        assert!(come.len() == CROWD && come.is_sorted_by(|a, b| a < b), "each once, by their bytes");
        assert_eq!(come, shop.told().await);
        let bytes = |lines: &[String]| format!("{HEAD}\n{}\n", lines.join("\n")).into_bytes();
        assert_eq!(shop.batches()[&made[0].name], [bytes(&come), format!("{HEAD}\n").into_bytes()]);

        shop.all("a", CROWD, "bought").await;
        shop.crowd("b", NEXT).await;
        shop.teller().cut().await.expect("cut");
        let batch = shop.unfinished().await.remove(0);
        let place = shop.folder.path().join("audiences");
        // Stopped or killed in the middle of it there is nothing that has its name.
        let stop = CancellationToken::new();
        stop.cancel();
        let stopped = shop.teller().write(&batch, &stop).await;
        assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
        let begun = place.join(format!(".{}.99", batch.name));
        std::fs::create_dir(&begun).expect("made");
        std::fs::write(begun.join("remove.csv"), bytes(&come[..1_000])).expect("written");
        assert!(!place.join(&batch.name).exists());

        let stop = CancellationToken::new();
        let made = shop.teller().make_all(&stop).await.expect("made");
        assert_eq!((made.len(), made[0].added, made[0].removed), (1, NEXT, CROWD));
        let first = shop.batches();
        assert_eq!(first.len(), 2, "nothing lies beside them");
        let [added, removed] = &first[&batch.name];
        assert!(*added == bytes(&shop.told().await) && *removed == bytes(&come));
        assert!(shop.teller().again(&batch, &stop).await.expect("written again").was_there);
        std::fs::remove_dir_all(place.join(&batch.name)).expect("removed");
        assert!(!shop.teller().again(&batch, &stop).await.expect("written again").was_there);
        assert!(shop.batches() == first, "the same bytes");
        // One that differs behind its first pages is another one, and is kept.
        let mut other = removed.clone();
        *other.last_mut().expect("a line end") = b' ';
        std::fs::write(place.join(&batch.name).join("remove.csv"), &other).expect("written");
        assert!(!shop.teller().again(&batch, &stop).await.expect("written again").was_there);
        let all = shop.batches();
        assert!(
            all[&batch.name] == first[&batch.name] && all[&format!("{}.other-1", batch.name)][1] == other
        );
    });
}

#[test]
fn what_could_not_be_written_waits_for_nobody_once_it_can() {
    on_both(async |database| {
        let shop = Shop::open(&database).await;
        shop.import("ada", &[("email", "ada@example.org")], &[true]).await;
        shop.event("ada", "viewed", "s1").await;
        // A file stands where the folder has its place.
        let folder = shop.folder.path().join("audiences");
        std::fs::write(&folder, "").expect("written");
        shop.teller().cut().await.expect("cut");
        assert!(shop.teller().make_all(&CancellationToken::new()).await.is_err());
        std::fs::remove_file(&folder).expect("removed");
        let second = database.open().await;
        assert_ne!(second.worker(), shop.store.worker());
        let made = Teller { store: &second, ..shop.teller() }
            .make_all(&CancellationToken::new())
            .await
            .expect("made");
        assert_eq!((made.len(), made[0].added), (1, 1), "{made:?}");
    });
}

#[test]
fn people_who_turn_out_to_be_one_are_one_member() {
    on_all(async |database| {
        let shop = Shop::open(&database).await;
        let cookie = Who { anonymous_id: Some("b1".to_owned()), ..Who::default() };
        let phone = fields(&[("phone", text("+4930123456"))]);
        let consents = vec![consent(true, shop.now)];
        let person = Person { who: cookie.clone(), attributes: phone, consents };
        import::contacts(&shop.store, &[person], shop.now).await.expect("imported");
        shop.import("ada", &[("email", "ada@example.org")], &[true]).await;
        for name in ["b1", "ada"] {
            shop.event(name, "viewed", name).await;
        }
        assert_eq!(shop.run().await[0].added, 2);
        let both = Who { user_id: Some("ada".to_owned()), ..cookie };
        let input = Incoming_::Attributes { values: fields(&[]), at: shop.now };
        let item = Incoming { to: To::Who(both), message_id: None, input };
        shop.store.accept(vec![item], shop.now).await.expect("accepted");
        shop.advance().await;
        assert_eq!(shop.contact("b1").await, shop.contact("ada").await);
        assert!(shop.is_member("ada").await);
        let made = shop.run().await;
        assert_eq!(made.len(), 1);
        assert!(made[0].removed > made[0].added, "two lines become one: {made:?}");
        assert_eq!(shop.told().await.len(), 1);
        // Both places are hers now; with them she leaves.
        shop.event("ada", "bought", "").await;
        assert!(!shop.is_member("ada").await);
    });
}

#[test]
fn an_audience_that_is_not_declared_any_more_is_emptied() {
    on_all(async |database| {
        let shop = Shop::open(&database).await;
        shop.import("ada", &[("email", "ada@example.org")], &[true]).await;
        shop.event("ada", "viewed", "s1").await;
        assert_eq!(shop.run().await[0].added, 1);
        shop.undeclare().await;
        assert_eq!(shop.run().await[0].removed, 1);
        assert_eq!(shop.told().await, Vec::<String>::new());
    });
}

/// A network that takes each key once, and knows whom it was told of: the lines of a file.
#[derive(Clone, Default)]
struct Network(Arc<Mutex<(BTreeMap<String, String>, BTreeSet<String>)>>);

impl Network {
    /// Takes a call; the same key says the same bytes.
    fn take(&self, seen: &Seen) {
        let key = seen.headers["idempotency-key"].to_str().expect("a text").to_owned();
        let (keys, known) = &mut *self.0.lock().expect("whole");
        if let Some(before) = keys.insert(key, seen.body.clone()) {
            assert_eq!(before, seen.body, "one key, other bytes");
            return;
        }
        let said: serde_json::Value = serde_json::from_str(&seen.body).expect("JSON");
        assert_eq!(said["audience"], "viewers");
        let lines = |of: &str| {
            let one = |person: &serde_json::Value| {
                ["email", "phone", "phone_e164"]
                    .map(|hash| person[hash].as_str().unwrap_or_default().to_owned())
                    .join(",")
            };
            said[of].as_array().expect("a list").iter().map(one).collect::<Vec<_>>()
        };
        for line in lines("remove") {
            assert!(known.remove(&line), "removed without having been added");
        }
        for line in lines("add") {
            assert!(known.insert(line), "added twice");
        }
    }

    /// One that answers so, where it is, and what it is asked.
    async fn answering(says: fn(&Network, &Seen) -> Response) -> (Network, SocketAddr, All) {
        let network = Network::default();
        let own = network.clone();
        let answer = move |seen: Seen| {
            let network = own.clone();
            async move { says(&network, &seen) }
        };
        let (at, all) = server(answer).await;
        (network, at, all)
    }

    fn known(&self) -> Vec<String> {
        self.0.lock().expect("whole").1.iter().cloned().collect()
    }
}

#[test]
fn a_network_that_is_called_knows_the_same_however_often_it_fails() {
    on_all(async |database| {
        // Once before it acts, once after it has acted, and then as it should.
        let (network, at, all) = Network::answering(|network, seen| {
            if seen.repeats == 0 {
                return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "86400")]).into_response();
            }
            network.take(seen);
            if seen.repeats == 1 { StatusCode::BAD_GATEWAY } else { StatusCode::NO_CONTENT }.into_response()
        })
        .await;
        let shop = Shop::calling(&database, &format!("http://shop:geheim@{at}/lists")).await;
        let ada = [("email", "Ada@Example.org"), ("phone", "+49 30 123456")];
        shop.import("ada", &ada, &[true]).await;
        shop.event("ada", "viewed", "s1").await;
        assert_eq!(shop.run().await, [], "it was not taken");
        let left = shop.unfinished().await;
        assert_eq!(
            (left.len(), left[0].attempts, left[0].trouble.as_deref()),
            (1, 1, Some("it answered 503"))
        );
        let again_at = left[0].again_at.expect("it is tried again");
        assert!(again_at > machine_now().plus_ms(DAY - HOUR), "it asked for a day: {again_at}");
        // What comes meanwhile waits behind it.
        shop.event("ada", "bought", "").await;
        assert_eq!(shop.run().await, []);
        assert_eq!(shop.unfinished().await.len(), 2);
        assert_eq!(
            network.known(),
            [format!("{ADA},{PHONE},{PHONE_PLUS}")],
            "taken, and the answer was lost"
        );
        // The first is told now, and the second begins: twice in vain, as the first.
        let mut made = Vec::new();
        for _ in 0..3 {
            made.extend(shop.teller().make_all(&CancellationToken::new()).await.expect("made"));
        }
        let told: Vec<_> = made.iter().map(|made| (made.added, made.removed, made.calls)).collect();
        assert_eq!(told, [(1, 0, 1), (0, 1, 1)]);
        assert_eq!((network.known(), shop.told().await), (vec![], vec![]));
        assert_eq!(shop.unfinished().await, []);
        let all = all.lock().expect("whole");
        assert_eq!(all.len(), 6);
        let keys: BTreeSet<&[u8]> =
            all.iter().map(|seen| seen.headers["idempotency-key"].as_bytes()).collect();
        assert_eq!(keys.len(), 2, "a key for each batch");
        assert!(all.iter().all(|seen| seen.headers["authorization"] == "Basic c2hvcDpnZWhlaW0="));
        assert!(
            !std::fs::exists(shop.folder.path().join("audiences")).expect("looked"),
            "no folder beside the calls"
        );
    });
}

#[test]
fn a_batch_in_many_parts_goes_on_where_it_was_and_can_be_told_again() {
    on_both(async |database| {
        // The third part is not taken before somebody has mended something.
        let (network, at, all) = Network::answering(|network, seen| {
            if seen.repeats == 0 && seen.body.contains("\"part\":3,") {
                return StatusCode::UNAUTHORIZED.into_response();
            }
            network.take(seen);
            StatusCode::OK.into_response()
        })
        .await;
        let shop = Shop::calling(&database, &format!("http://{at}/lists")).await;
        let count = 2 * PART + 1;
        shop.crowd("p", count).await;
        assert_eq!(shop.run().await, []);
        let left = shop.unfinished().await.remove(0);
        assert_eq!((left.told, left.attempts), (2, 1));
        assert_eq!(left.trouble.as_deref(), Some("it answered 401: look at the secret that names it"));
        // Another process goes on.
        let second = database.open().await;
        let made = Teller { store: &second, ..shop.teller() }
            .make_all(&CancellationToken::new())
            .await
            .expect("made");
        assert_eq!((made.len(), made[0].added, made[0].calls), (1, count, 1), "{made:?}");
        assert_eq!(network.known(), shop.told().await);
        assert_eq!(all.lock().expect("whole").len(), 4, "what was taken is not repeated");
        let mut conn = shop.store.read().await.expect("a connection");
        let batch = exports::named(&mut conn, &left.name).await.expect("read").expect("there");
        drop(conn);
        // Done is done: nobody who read the list of batches before may begin with it anew.
        let (id, now) = (batch.id, machine_now().plus_ms(HOUR));
        let held =
            folders::hold(&shop.store, Of::Audiences, id, 7, now, now.plus_ms(HOUR)).await.expect("asked");
        assert!(!held, "a batch that is done is held by nobody");
        let made = shop.teller().again(&batch, &CancellationToken::new()).await.expect("told again");
        assert_eq!((made.calls, network.known().len()), (3, count), "each part under its own key");
    });
}

/// What came in the calls of a batch, in their order: each part with those who go and those who come.
fn parts_of(all: &[Seen], batch: &str) -> Vec<(u64, Vec<String>, Vec<String>)> {
    let said = |seen: &Seen| serde_json::from_str::<serde_json::Value>(&seen.body).expect("JSON");
    let hashes = |one: &serde_json::Value| {
        ["email", "phone", "phone_e164"]
            .map(|hash| one[hash].as_str().unwrap_or_default().to_owned())
            .join(",")
    };
    let lines = |list: &serde_json::Value| list.as_array().expect("a list").iter().map(hashes).collect();
    all.iter()
        .map(said)
        .filter(|said| said["batch"] == batch)
        .map(|said| (said["part"].as_u64().expect("a number"), lines(&said["remove"]), lines(&said["add"])))
        .collect()
}

#[test]
fn parts_are_full_and_in_order_and_the_same_when_they_are_told_again() {
    on_all(async |database| {
        let (at, all) = server(async |seen: Seen| {
            let is_late = seen.repeats == 0 && seen.body.contains("\"part\":2,");
            if is_late { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK }.into_response()
        })
        .await;
        let shop = Shop::calling(&database, &format!("http://{at}/lists")).await;
        let come = async |names: &[String], phone: Option<&str>| {
            let person = |name: &String| {
                let mut pairs = Vec::new();
                match phone {
                    Some(phone) => pairs.push(("phone", text(phone))),
                    None => pairs.push(("email", text(&format!("{name}@example.org")))),
                }
                Person { who: who(name), attributes: fields(&pairs), consents: vec![consent(true, shop.now)] }
            };
            let people: Vec<_> = names.iter().map(person).collect();
            import::contacts(&shop.store, &people, shop.now).await.expect("imported");
        };
        let happens = async |names: &[String], event: &str| {
            let item = |name: &String| {
                let (id, at) = (0, shop.now);
                let sku = if event == "viewed" { fields(&[("sku", text("s1"))]) } else { fields(&[]) };
                let event = Event {
                    id,
                    name: event.into(),
                    occurred_at: at,
                    accepted_at: at,
                    fields: sku,
                    quiet: false,
                };
                let to = To::Who(who(name));
                Incoming { to, message_id: None, input: Incoming_::Event(event) }
            };
            shop.store.accept(names.iter().map(item).collect(), shop.now).await.expect("accepted");
            shop.advance().await;
        };
        let names =
            |letter: &str, count: usize| (0..count).map(|n| format!("{letter}{n}")).collect::<Vec<_>>();
        let (first, second) = (names("a", PART - 10), names("b", PART + 20));
        // Several have one number, in several buckets; some of them go while others come.
        let (had, got) = (names("x", 5), names("y", 5));
        come(&first, None).await;
        come(&had, Some("+49 30 123456")).await;
        happens(&first, "viewed").await;
        happens(&had, "viewed").await;
        assert_eq!(shop.run().await.len(), 1, "all of them have room in one call");
        let known: BTreeSet<String> = shop.told().await.into_iter().collect();
        assert_eq!(known.len(), PART - 10 + 1);

        happens(&first, "bought").await;
        happens(&had, "bought").await;
        come(&second, None).await;
        come(&got, Some("+4930123456")).await;
        happens(&second, "viewed").await;
        happens(&got, "viewed").await;
        assert_eq!(shop.run().await, [], "the second part is not taken");
        let made = shop.teller().make_all(&CancellationToken::new()).await.expect("made").remove(0);
        assert_eq!((made.added, made.removed, made.calls), (PART + 21, PART - 10, 2), "{made:?}");
        assert_eq!(made.added + made.removed, 2 * PART + 11);

        let all = all.lock().expect("whole").clone();
        let told = parts_of(&all, &made.name);
        assert_eq!(told.iter().map(|part| part.0).collect::<Vec<_>>(), [1, 2, 2, 3]);
        assert_eq!(told[1], told[2], "the same once more");
        let keys: Vec<_> = all.iter().rev().take(4).map(|seen| &seen.headers["idempotency-key"]).collect();
        assert!(keys[1] == keys[2] && keys[0] != keys[1] && keys[2] != keys[3]);
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        for (number, remove, add) in [&told[0], &told[2], &told[3]] {
            assert_eq!(remove.len() + add.len(), if *number == 3 { 11 } else { PART }, "part {number}");
            assert!(come.is_empty() || remove.is_empty(), "who goes is told first");
            gone.extend(remove.iter().cloned());
            come.extend(add.iter().cloned());
        }
        assert!(
            gone.is_sorted_by(|a, b| a < b) && come.is_sorted_by(|a, b| a < b),
            "each once, by their bytes"
        );
        let phone = format!(",{PHONE},{PHONE_PLUS}");
        assert!(
            known.contains(&phone) && !gone.contains(&phone) && come.contains(&phone),
            "it is there still"
        );
        assert_eq!(known.iter().filter(|line| **line != phone).cloned().collect::<Vec<_>>(), gone);
        assert_eq!(shop.told().await, come);
    });
}

#[test]
fn what_a_network_has_taken_is_taken_whatever_else_it_says() {
    on_both(async |database| {
        let (at, all) = server(async |_| (StatusCode::OK, "x".repeat(3 << 20)).into_response()).await;
        let shop = Shop::calling(&database, &format!("http://{at}/lists")).await;
        shop.import("ada", &[("email", "ada@example.org")], &[true]).await;
        shop.event("ada", "viewed", "s1").await;
        let made = shop.run().await;
        assert_eq!((made.len(), made[0].calls), (1, 1), "{made:?}");
        assert_eq!(all.lock().expect("whole").len(), 1);
    });
}

#[test]
fn whoever_moves_an_audience_to_another_network_is_told_who_stays_in_the_old_one() {
    on_both(async |database| {
        let dir = project_on(database.url());
        let file = |name: &str| dir.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(file(name), text).expect("written");
        let toml = std::fs::read_to_string(file("fahrplan.toml")).expect("read");
        write("fahrplan.toml", &format!("{toml}[secrets]\nnetwork_file = \"network.secret\"\n"));
        write("network.secret", "https://shop:token@network.example/lists");
        std::fs::create_dir(file("journeys")).expect("made");
        write("journeys/j.journey", JOURNEY);
        write("schema.journey", SCHEMA);
        let fine = |args: &[&str]| {
            let ran = fahrplan(dir.path(), args);
            assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}: {}", ran.out);
            ran.out
        };
        fine(&["deploy", "--yes"]);
        let store = database.open().await;
        let folder = tempfile::tempdir().expect("a folder");
        let outlet = outlet(folder.path(), Others::default());
        let shop = Shop { store, outlet, clock: JourneyClock::Machine, folder, now: machine_now() };
        for name in ["ada", "bob"] {
            shop.import(name, &[("email", &format!("{name}@example.org"))], &[true]).await;
        }
        shop.event("ada", "viewed", "s1").await;
        assert_eq!(shop.run().await.len(), 1);
        let list = fine(&["audiences", "list"]);
        assert!(list.starts_with("viewers ") && !list.contains("before"), "{list}");

        // Nobody stays behind where it gets another name.
        let renamed = |text: &str| text.replace("viewers", "lookers");
        let warned = |out: &str| out.contains("warning");
        write("schema.journey", &called());
        let out = fine(&["deploy", "--yes"]);
        let wanted = "warning: `viewers` would be told by `secret:network` and no more by files, and 1 of its people would stay where it \
                      was told so far, also when they withdraw consent; give the audience another name instead, and its next batch under \
                      the old one takes them out there\n";
        assert!(out.contains(wanted), "{out}");
        assert!(!warned(&fine(&["deploy", "--yes"])), "nothing changes any more");
        let list = fine(&["audiences", "list"]);
        let wanted =
            "1 line told by files before stays there, also of people who withdraw: have that list deleted.";
        assert!(list.contains(wanted), "{list}");
        let json: serde_json::Value =
            serde_json::from_str(&fine(&["audiences", "list", "--format", "json"])).expect("JSON");
        let left = &json["audiences"][0]["left_behind"];
        assert_eq!((left["sends"].as_str(), left["lines"].as_i64()), (Some("file"), Some(1)), "{json}");

        write("schema.journey", SCHEMA);
        fine(&["deploy", "--yes"]);
        shop.event("ada", "bought", "").await;
        write("schema.journey", &renamed(&called()));
        write("journeys/j.journey", &renamed(JOURNEY));
        assert!(!warned(&fine(&["deploy", "--yes"])));
        let made = shop.run().await;
        assert_eq!((made.len(), made[0].added, made[0].removed), (1, 0, 1), "{made:?}");
        let list = fine(&["audiences", "list"]);
        assert!(list.starts_with("lookers ") && !list.contains("before"), "{list}");
    });
}

#[test]
fn an_export_is_written_over_another_export_and_over_nothing_else() {
    on_both(async |database| {
        let dir = project_on(database.url());
        let shop = Shop::open(&database).await;
        shop.import("ada", &[("email", "ada@example.org")], &[true]).await;
        shop.event("ada", "viewed", "s1").await;
        shop.run().await;
        let file = |name: &str| dir.path().join(name);
        let export = |name: &str| fahrplan(dir.path(), &["audiences", "export", "viewers", "--to", name]);
        let exports = |name: &str, lines: &str| {
            let ran = export(name);
            assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
            assert_eq!(ran.out, format!("{name}: {lines}\n"));
        };
        let mode = |name: &str| file(name).metadata().expect("there").permissions().mode() & 0o777;
        exports("all.csv", "1 line");
        let whole = format!("{HEAD}\n{ADA},,\n");
        assert_eq!(
            (std::fs::read_to_string(file("all.csv")).expect("read"), mode("all.csv")),
            (whole, 0o600)
        );

        // Every day into the same file, which keeps who may read it; also one that is empty yet, and where a link leads.
        std::fs::set_permissions(file("all.csv"), std::fs::Permissions::from_mode(0o640)).expect("set");
        std::os::unix::fs::symlink("all.csv", file("link.csv")).expect("linked");
        std::fs::write(file("empty.csv"), "").expect("written");
        shop.event("ada", "bought", "").await;
        shop.run().await;
        for name in ["link.csv", "all.csv", "empty.csv"] {
            exports(name, "0 lines");
            assert_eq!(std::fs::read_to_string(file(name)).expect("read"), format!("{HEAD}\n"));
        }
        assert_eq!(mode("all.csv"), 0o640);
        assert!(file("link.csv").symlink_metadata().expect("there").is_symlink());

        // What is somebody's stays as it was, also a list under the same head.
        std::fs::create_dir(file("folder")).expect("made");
        let people = format!("{HEAD}\nada@example.org,+4930123456,+4930123456\n");
        for (name, text) in [("people.csv", people.as_str()), ("notes.txt", "do not lose\n"), ("folder", "")]
        {
            if !text.is_empty() {
                std::fs::write(file(name), text).expect("written");
            }
            let ran = export(name);
            let wanted = format!(
                "error: {name} is there already, and is not of this making\nhelp: nothing was written; name another file\n"
            );
            assert_eq!((ran.code, ran.out.as_str(), ran.err), (2, "", wanted));
            if !text.is_empty() {
                assert_eq!(std::fs::read_to_string(file(name)).expect("read"), text);
            }
        }
        let hidden = dir.path().read_dir().expect("read").filter(|entry| {
            let name = entry.as_ref().expect("an entry").file_name();
            name.to_string_lossy().starts_with('.')
        });
        assert_eq!(hidden.count(), 0, "nothing is left beside");
    });
}

#[test]
fn a_network_inside_is_not_called_and_one_of_yesterday_hears_that_it_is_over() {
    on_both(async |database| {
        let (network, at, all) = Network::answering(|network, seen| {
            network.take(seen);
            StatusCode::OK.into_response()
        })
        .await;
        let url = format!("http://{at}/geheim");
        let shop = Shop::open_with(&database, &called(), others(Guard::default(), &url)).await;
        shop.import("ada", &[("email", "ada@example.org")], &[true]).await;
        shop.event("ada", "viewed", "s1").await;
        assert_eq!(shop.run().await, []);
        let left = shop.unfinished().await.remove(0);
        let trouble = left.trouble.expect("there is some");
        assert!(trouble.contains("not a public one") && !trouble.contains("geheim"), "{trouble}");
        assert!(all.lock().expect("whole").is_empty());
        // With it allowed the same batch is told; and when the audience is not declared any more, its network is told so.
        let allowed = vec!["127.0.0.1".parse().expect("an address")];
        let outlet = outlet(&shop.folder.path().join("audiences"), others(Guard::new(allowed), &url));
        let shop = Shop { outlet, ..shop };
        assert_eq!(shop.teller().make_all(&CancellationToken::new()).await.expect("made").len(), 1);
        assert_eq!(network.known().len(), 1);
        shop.undeclare().await;
        let made = shop.run().await;
        assert_eq!((made.len(), made[0].removed, made[0].calls), (1, 1, 1), "{made:?}");
        assert_eq!(network.known(), Vec::<String>::new());
        // Long after, the newest batch still knows where people were told of.
        exports::forget(&shop.store, machine_now().plus_ms(40 * DAY)).await.expect("forgotten");
        let mut conn = shop.store.read().await.expect("a connection");
        let kept = exports::newest(&mut conn, 10).await.expect("read");
        assert_eq!(kept.iter().map(|batch| &*batch.name).collect::<Vec<_>>(), [&*made[0].name]);
    });
}

#[test]
fn an_audience_names_a_secret_and_no_address() {
    let said = |sends: &str| {
        let mut input = Input::default();
        let schema = SCHEMA.replace("sends \"file\"", &format!("sends \"{sends}\""));
        input.sources.add("schema.journey".into(), schema);
        input.sources.add("journeys/j.journey".into(), JOURNEY.to_owned());
        let compiled = lang::compile(&input);
        render_all(&input.sources, &compiled.diagnostics, Look::PLAIN)
    };
    assert!(!said("secret:network").contains("error"), "{}", said("secret:network"));
    for wrong in ["https://shop:geheim@network.example", "secret:", "secret:a b", "ftp"] {
        let text = said(wrong);
        assert!(text.contains("error[E0103]") && text.contains("set FAHRPLAN_SECRET_NAME"), "{text}");
    }
}

/// What somebody has done, as a child would tell it.
#[derive(Default)]
struct Model {
    agreed: bool,
    /// Products that somebody looks at, until when, and whether that counts for the audience.
    looks: BTreeMap<String, (Timestamp, bool)>,
}

/// The members are those whom a simple story of the same thousand events has inside.
#[test]
fn after_a_thousand_random_events_the_members_are_those_whom_the_journeys_have() {
    on_all(async |database| {
        let mut shop = Shop::open(&database).await;
        let mut model: BTreeMap<String, Model> = BTreeMap::new();
        for n in 0..12 {
            let name = format!("p{n}");
            let agreed = n % 3 != 0;
            let consents = if agreed { vec![true] } else { vec![] };
            shop.import(&name, &[("email", &format!("{name}@example.org"))], &consents).await;
            model.insert(name, Model { agreed, ..Model::default() });
        }
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        let mut batches = 0;
        for turn in 0..1_000 {
            shop.now = shop.now.plus_ms(i64::try_from(random(3)).expect("small") * HOUR + 1);
            for one in model.values_mut() {
                one.looks.retain(|_, (until, _)| *until > shop.now);
            }
            let name = format!("p{}", random(12));
            let one = model.get_mut(&name).expect("known");
            match random(10) {
                0..=4 => {
                    let sku = format!("s{}", random(3));
                    shop.event(&name, "viewed", &sku).await;
                    one.looks.entry(sku).or_insert((shop.now.plus_ms(7 * DAY), one.agreed));
                }
                5 => {
                    shop.event(&name, "bought", "").await;
                    one.looks.clear();
                }
                6 => {
                    shop.event(&name, "bored", "").await;
                    one.looks.values_mut().for_each(|(_, counts)| *counts = false);
                }
                7 | 8 => {
                    shop.consent(&name, true).await;
                    one.agreed = true;
                }
                _ => {
                    shop.consent(&name, false).await;
                    one.agreed = false;
                    one.looks.values_mut().for_each(|(_, counts)| *counts = false);
                }
            }
            if turn % 50 == 49 {
                let wanted: BTreeSet<String> = model
                    .iter()
                    .filter(|(_, one)| one.looks.values().any(|(_, counts)| *counts))
                    .map(|(name, _)| name.clone())
                    .collect();
                let mut found = BTreeSet::new();
                for name in model.keys() {
                    if shop.is_member(name).await {
                        found.insert(name.clone());
                    }
                }
                assert_eq!(found, wanted, "after {} events", turn + 1);
                batches += shop.run().await.len();
                assert_eq!(shop.told().await.len(), wanted.len(), "after {} events", turn + 1);
            }
        }
        assert!(batches > 5, "only {batches} batches told of something");
        // Whoever has only the files knows the same.
        let mut known: BTreeSet<String> = BTreeSet::new();
        let mut conn = shop.store.read().await.expect("a connection");
        let mut order = exports::newest(&mut conn, 1_000).await.expect("read");
        let found = reconcile::differences(&mut conn).await.expect("read");
        assert_eq!(found, reconcile::Differences::default());
        drop(conn);
        order.reverse();
        for batch in order {
            for line in shop.read(&batch.name, "remove.csv") {
                assert!(known.remove(&line), "removed without having been added");
            }
            for line in shop.read(&batch.name, "add.csv") {
                assert!(known.insert(line), "added twice");
            }
        }
        assert_eq!(known.into_iter().collect::<Vec<_>>(), shop.told().await);
    });
}
