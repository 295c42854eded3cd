//! What `doctor` finds in a database: nothing in one that is well, and each damage that is done to it.

use std::path::{Path, PathBuf};

use fahrplan::clock::machine_now;
use fahrplan::store::checkup::{self, Finding, Level};
use fahrplan::store::deliveries::{self, Claim, Finished, SendResult};
use fahrplan::store::import::{self, Person};
use fahrplan::store::{Access, Options, Store};
use fahrplan::time::{DAY, MINUTE, Timestamp};

use super::advancing::{feed, open, run_to, script, shop, who};
use super::{Database, on_all};
use crate::engine::build::{fields, text};

/// A shop in which a good deal has happened, and the moment up to which it has.
async fn lived_in(database: &Database) -> (Store, Timestamp) {
    let (catalog, programs) = shop();
    let script = script(7);
    let (start, end) = (script[0].0, script[script.len() - 1].0.plus_ms(DAY));
    let store = open(database, &catalog, &programs.iter().collect::<Vec<_>>(), start).await;
    let people: Vec<Person> = (0..40)
        .map(|n| Person {
            who: who(&format!("import{n}")),
            attributes: fields(&[("email", text(&format!("person{n}@example.org")))]),
            consents: vec![fahrplan::engine::world::ConsentChange {
                purpose: "marketing".into(),
                channel: "email".into(),
                permit: n % 3 > 0,
                at: start,
                source: "import".into(),
                evidence: None,
            }],
        })
        .collect();
    import::contacts(&store, &people, start).await.expect("imported");
    feed(&store, &script, &mut Vec::new()).await;
    run_to(&store, end).await;
    // The script only pretends to send: what it sent is sent now, for good.
    change(&store, "UPDATE deliveries SET state = 'queued' WHERE state = 'accepted' AND settled_at IS NULL")
        .await;
    loop {
        let claim = Claim { owner: 1, limit: 100, now: machine_now(), journey_now: end, lease_ms: MINUTE };
        let claimed = deliveries::claim(&store, claim).await.expect("claimed");
        if claimed.is_empty() {
            break;
        }
        let sent = |one: deliveries::Claimed| Finished::new(&one, SendResult::Accepted { reply: None }, None);
        deliveries::record(&store, claimed.into_iter().map(sent).collect(), end).await.expect("recorded");
    }
    run_to(&store, end).await;
    (store, end)
}

async fn change(store: &Store, sql: &'static str) {
    let mut tx = store.write().await.expect("a transaction");
    let changed = tx.exec(sql, Vec::new()).await.expect(sql);
    assert!(changed > 0, "nothing was changed: {sql}");
    tx.commit().await.expect("committed");
}

/// What is wrong, but for what no test has: templates, data checksums, room on the disk.
async fn wrong(store: &Store, now: Timestamp) -> Vec<Finding> {
    let mut findings = checkup::look(store, now, true).await;
    let is_the_tests = |finding: &Finding| {
        ["templates", "database.room"].contains(&finding.check) || finding.message.contains("data_checksums")
    };
    findings.retain(|finding| finding.level > Level::Fine && !is_the_tests(finding));
    findings
}

/// Damage, where it is found, and what is said of it.
const DAMAGE: [(&str, &str, &str); 14] = [
    (
        "UPDATE contacts SET attributes = '{' WHERE id = (SELECT MIN(id) FROM contacts)",
        "rows",
        "1 row of `contacts`",
    ),
    ("UPDATE events SET fields = 'x' WHERE id = (SELECT MIN(id) FROM events)", "rows", "1 row of `events`"),
    (
        "UPDATE history SET notes = '[[' WHERE id = (SELECT MIN(id) FROM history)",
        "rows",
        "1 row of `history`",
    ),
    (
        "UPDATE timers SET state = timers.program || '' WHERE kind = 0 AND id = (SELECT MAX(id) FROM timers WHERE kind = 0)",
        "rows",
        "1 row of `timers`",
    ),
    ("UPDATE programs SET hash = 'no' WHERE id = 1", "rows", "a program has not the content"),
    (
        "UPDATE deliveries SET purpose = 4711 WHERE id = (SELECT MIN(id) FROM deliveries)",
        "rows",
        "1 row of `deliveries`",
    ),
    (
        "UPDATE consent_states SET permit = 1 - permit WHERE contact = (SELECT MIN(contact) FROM consent_states)",
        "references",
        "of `consent_states` say something else than the ledger",
    ),
    (
        "DELETE FROM consent_states WHERE contact = (SELECT MAX(contact) FROM consent_states)",
        "references",
        "are newer than what holds",
    ),
    (
        "UPDATE identities SET contact = -contact WHERE contact = (SELECT MIN(contact) FROM identities)",
        "references",
        "of `identities` belong to no contact",
    ),
    (
        "DELETE FROM timers WHERE kind = 0 AND id = (SELECT MIN(id) FROM enrollments WHERE ended_at IS NULL)",
        "references",
        "stand still for ever",
    ),
    (
        "UPDATE step_counts SET count = count + 1 WHERE kind = 1 AND program = 1",
        "sum.enrollments",
        "version 1: counted",
    ),
    (
        "DELETE FROM deliveries WHERE id = (SELECT MAX(id) FROM deliveries)",
        "sum.deliveries",
        "are counted as accepted",
    ),
    ("UPDATE workers SET leased_until = leased_until + 3600000", "clock", "comes only in"),
    (
        "INSERT INTO rejected_events (id, rejected_at, source, code, reason, body) VALUES (1, 0, 'http', 'x', 'y', 'z')",
        "rejected",
        "1 items",
    ),
];

#[test]
fn a_database_that_is_well_has_no_findings_and_each_damage_is_one() {
    on_all(async |database| {
        let (store, now) = lived_in(&database).await;
        assert_eq!(wrong(&store, now).await, []);
        for (sql, check, part) in DAMAGE {
            let sql = if sql.contains("|| ''") && store.dialect() == fahrplan::store::Dialect::Postgres {
                "UPDATE timers SET state = 'x' WHERE kind = 0 AND id = (SELECT MAX(id) FROM timers WHERE kind = 0)"
            } else {
                sql
            };
            change(&store, sql).await;
            let found = wrong(&store, now).await;
            let is_it = |finding: &&Finding| finding.check == check && finding.message.contains(part);
            let finding = found.iter().find(is_it).unwrap_or_else(|| panic!("{sql}: {found:#?}"));
            assert!(finding.means.is_some() && finding.help.is_some(), "{finding:?}");
        }
    });
}

#[test]
fn what_waits_while_nobody_works_is_a_finding() {
    on_all(async |database| {
        let (store, now) = lived_in(&database).await;
        let later = now.plus_ms(30 * DAY);
        let late = wrong(&store, later).await;
        assert!(late.iter().any(|finding| finding.check == "backlog"), "{late:?}");
        assert!(late.iter().all(|finding| finding.check != "workers"));
        change(&store, "UPDATE workers SET leased_until = 1").await;
        let late = wrong(&store, later).await;
        assert!(late.iter().any(|finding| finding.check == "workers"), "{late:?}");
    });
}

/// A chance that is the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Whether a damaged file is noticed: it cannot be opened, or `doctor` says more than of a good one.
async fn is_noticed(path: &Path, now: Timestamp) -> bool {
    let options = Options { access: Access::Look, ..Options::default() };
    match Store::open_with(&format!("sqlite:{}", path.display()), options).await {
        Err(_) => true,
        Ok(store) => {
            let found = wrong(&store, now).await;
            store.close().await;
            // Nobody holds a lease: that is so in the good one too.
            found.iter().any(|finding| finding.check != "workers")
        }
    }
}

/// Flips of one bit each; the share that is noticed is what is promised, less a little.
#[test]
fn most_flipped_bits_of_a_file_are_noticed() {
    on_all(async |database| {
        let Some(path) = database.url.strip_prefix("sqlite:").map(PathBuf::from) else { return };
        let (store, now) = lived_in(&database).await;
        // Pages that are full of people: in an empty one there is nothing to damage.
        let consent = |n: i64| fahrplan::engine::world::ConsentChange {
            purpose: "marketing".into(),
            channel: "email".into(),
            permit: n % 3 > 0,
            at: now,
            source: "import".into(),
            evidence: None,
        };
        let people = (0..4_000).map(|n| Person {
            who: who(&format!("more{n}")),
            attributes: fields(&[("email", text(&format!("more{n}@example.org"))), ("plan", text("free"))]),
            consents: vec![consent(n)],
        });
        import::contacts(&store, &people.collect::<Vec<_>>(), now).await.expect("imported");
        store.close().await;
        let good = std::fs::read(&path).expect("read");
        let damaged = path.with_file_name("damaged.db");
        std::fs::write(&damaged, &good).expect("written");
        assert!(!is_noticed(&damaged, now).await, "the good one is well");
        let flips = std::env::var("FAHRPLAN_TEST_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
        let (mut chance, mut noticed) = (Chance(database.buckets.into()), 0);
        for _ in 0..flips {
            let mut bytes = good.clone();
            let place = usize::try_from(chance.below(bytes.len() as u64)).expect("small");
            bytes[place] ^= 1 << chance.below(8);
            for end in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{end}", damaged.display()));
            }
            std::fs::write(&damaged, &bytes).expect("written");
            noticed += u32::from(is_noticed(&damaged, now).await);
        }
        let size = good.len() >> 10;
        println!(
            "{noticed} of {flips} flipped bits were noticed in {size} kB and {} buckets",
            database.buckets
        );
        // Where a bit lies is left to chance, so twenty of them say little: most runs tell about thirteen.
        assert!(noticed * 4 >= flips, "{noticed} of {flips}");
    });
}
