//! Audiences: who is in them after whatever happened, and what networks are told.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fahrplan::channels::Channel;
use fahrplan::channels::audience::HEAD;
use fahrplan::channels::email::Email;
use fahrplan::channels::message::read_mailbox;
use fahrplan::clock::{JourneyClock, machine_now};
use fahrplan::daemon::audiences::{Audiences, Made, Teller};
use fahrplan::daemon::{self, Brakes, Composer, Others, Outlet, Rates, Way};
use fahrplan::diagnostic::{Look, Severity, render_all};
use fahrplan::engine::world::{ConsentChange, Event, Input as Incoming_, Suppression};
use fahrplan::id::ContactId;
use fahrplan::intake::Who;
use fahrplan::lang::{self, Input};
use fahrplan::link::LinkKey;
use fahrplan::store::held::Held;
use fahrplan::store::import::{self, Person};
use fahrplan::store::inbox::{Incoming, To};
use fahrplan::store::journeys::{self, Release};
use fahrplan::store::templates::Templates;
use fahrplan::store::{Store, advance_bucket, contacts, exports, members, reconcile};
use fahrplan::time::{DAY, HOUR, Timestamp};

use crate::engine::build::{fields, text};
use crate::mail::sender;
use crate::store::{Database, on_all, who};

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
        let store = database.open().await;
        deploy(&store, SCHEMA, JOURNEY).await;
        let folder = tempfile::tempdir().expect("a folder");
        let outlet = outlet(&folder.path().join("audiences"));
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
        self.teller().make_all().await.expect("made")
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

fn outlet(folder: &Path) -> Outlet {
    let from = read_mailbox("Shop <news@example.org>").expect("an address");
    let composer = Composer {
        link_key: LinkKey::new([7; 32]),
        public_url: "https://shop.example".to_owned(),
        project: "shop".to_owned(),
    };
    let audiences = Audiences { folder: Some(folder.to_owned()), ..Audiences::default() };
    Outlet {
        way: Way::Channel(Channel::Email(Box::new(Email::new(sender("smtp://127.0.0.1:1", |_| {}), from)))),
        composer,
        shelf: daemon::Shelf::default(),
        parallel: 4,
        brakes: Brakes::default(),
        rates: Rates::default(),
        others: Others::default().with_audiences(audiences),
    }
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
        let mut conn = shop.store.read().await.expect("a connection");
        let batch = exports::unfinished(&mut conn).await.expect("read").remove(0);
        drop(conn);
        assert!(batch.is_closed);
        // Killed in the middle of writing: something lies about.
        let rubbish = shop.folder.path().join("audiences").join(format!(".{}.99", batch.name));
        std::fs::create_dir_all(rubbish).expect("made");
        shop.teller().write(&batch).await.expect("written");
        let first = shop.batches();
        assert_eq!(first.len(), 1);
        // Meanwhile somebody leaves and somebody comes.
        shop.event("ada", "bought", "").await;
        shop.import("cyd", &[("email", "cyd@example.org")], &[true]).await;
        shop.event("cyd", "viewed", "s1").await;
        assert!(shop.teller().write(&batch).await.expect("written").was_there);
        std::fs::remove_dir_all(shop.folder.path().join("audiences").join(&batch.name)).expect("removed");
        let made = shop.teller().make_all().await.expect("made");
        assert_eq!((made.len(), made[0].added), (1, 2), "{made:?}");
        assert_eq!(shop.batches(), first);
        let made = shop.run().await;
        assert_eq!((made.len(), made[0].added, made[0].removed), (1, 1, 1), "{made:?}");
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
        let (schema, _) = SCHEMA.split_once("audience viewers").expect("declared there");
        deploy(&shop.store, schema, "journey other {\n  reenter never\n  purpose transactional because \"a test\"\n  enter on bored\n  exit as done\n}").await;
        assert_eq!(shop.run().await[0].removed, 1);
        assert_eq!(shop.told().await, Vec::<String>::new());
    });
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
