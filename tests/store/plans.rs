//! The plans of all statements that a busy store runs: what runs for each contact finds its rows by a key.

use std::sync::Arc;

use fahrplan::clock::machine_now;
use fahrplan::daemon::retention::Retention;
use fahrplan::engine::program::{Audience, Budget, Catalog, StepKind, Then, Undo, audience_attribute};
use fahrplan::engine::world::{ConsentChange, Input, NewTask};
use fahrplan::id::{ContactId, EnrollmentId, TaskId};
use fahrplan::store::deliveries::{self, Claim, Closed, Finished, Kept, SendResult};
use fahrplan::store::tasks::{self, Now, Report};
use fahrplan::store::{Dialect, Store, advance_bucket, brakes, exports, history, letters, members, pools};
use fahrplan::time::{DAY, MINUTE, Timestamp};
use fahrplan::value::{Decimal, Value};

use super::advancing::{accept, event, feed, open, run_to, script, shop};
use super::codes::{codes, taking, with_pool};
use super::on_all;
use crate::engine::build::{J, hours, text, val};

/// Tables that stay small, and lists that a statement brings along.
const SMALL: [&str; 23] = [
    "n",
    "audience_batches",
    "closed",
    "brakes",
    "budget_shares",
    "budgets",
    "rates",
    "due",
    "CONSTANT",
    "buckets",
    "catalogs",
    "deployments",
    "journeys",
    "letter_batches",
    "names",
    "pools",
    "programs",
    "rejected_events",
    "replies",
    "schema_versions",
    "seen_log",
    "settings",
    "workers",
];

/// What may read a whole bucket: it happens rarely (see its documentation), or a bucket is one row.
const RARE: [&str; 4] = [
    "kind = 0 AND contact IN (SELECT n.contact FROM n)",
    "SELECT bucket FROM buckets WHERE bucket = $1",
    "SELECT audience FROM audience_members WHERE bucket = $1 UNION",
    "SELECT m.contact FROM audience_members m WHERE m.bucket = $1 AND m.audience = $2",
];

/// The shop with a pool of codes, which somebody takes one from, and with a budget for three mails of its welcome.
pub(super) fn shop_with_pool() -> (Catalog, Vec<J>) {
    let (mut catalog, mut programs) = shop();
    catalog.costs.insert("email".into(), Decimal(10));
    let budget = Budget { most: Decimal(30), window: None, then: Then::Skip };
    catalog.budgets.insert("welcome".into(), budget);
    programs.push(taking("closed"));
    let (mut catalog, audience) = (with_pool(catalog), "viewers");
    let declared = Audience {
        purpose: "marketing".into(),
        channel: "email".into(),
        matches: vec!["email".into()],
        sends: "file".into(),
    };
    catalog.audiences.insert(audience.into(), declared);
    let (attribute, value) = (audience_attribute(audience), val(Value::Bool(true)));
    let mut looking = J::new("looking");
    let (of, yes) = (attribute.clone(), value.clone());
    looking.on("closed").plain("add", move |next| StepKind::Add {
        attribute: of.clone(),
        value: yes.clone(),
        undo: Some(Undo::AtExit),
        next,
    });
    looking.wait("rest", hours(3)).exit("done");
    let mut bored = J::new("bored");
    bored.on("complaint").plain("remove", move |next| StepKind::Remove {
        attribute: attribute.clone(),
        value: value.clone(),
        next,
    });
    bored.exit("done");
    programs.extend([looking, bored]);
    (catalog, programs)
}

/// Everything that a running daemon does, once.
pub(super) async fn be_busy(store: &Store) {
    let start = script(7)[0].0;
    let script = &script(7)[..60];
    let end = script.last().expect("not empty").0.plus_ms(2 * DAY);
    let new = pools::fill(store, "vouchers", &codes(3)).await.expect("filled");
    assert_eq!(new, [true; 3]);
    feed(store, script, &mut Vec::new()).await;
    run_to(store, end).await;
    for bucket in store.buckets() {
        advance_bucket(store, bucket, end, 100).await.expect("advanced");
    }
    look_on(store, end).await;
    let mut conn = store.read().await.expect("a connection");
    let left = pools::left(&mut conn, "vouchers", end).await.expect("counted");
    assert!(left < 3, "since {start} nobody took a code");
    drop(conn);
    let mut tx = store.write().await.expect("a transaction");
    tx.exec("UPDATE deliveries SET state = 'queued'", Vec::new()).await.expect("queued again");
    tx.commit().await.expect("committed");
    let claim = Claim { owner: 1, limit: 100, now: machine_now(), journey_now: end, lease_ms: MINUTE };
    let mut closed = Closed::default();
    let mut conn = store.read().await.expect("a connection");
    let nobody = Kept { channel: Some(&"email".into()), journey: Some(&"welcome".into()), ..Kept::default() };
    closed.close(&mut conn, nobody).await.expect("closed");
    brakes::standing(&mut conn).await.expect("read");
    drop(conn);
    let few = Claim { limit: 1, ..claim };
    deliveries::claim_open(store, few, &closed).await.expect("claimed");
    let claimed = deliveries::claim(store, claim).await.expect("claimed");
    assert!(!claimed.is_empty(), "since {start} nothing was sent");
    let sent = |one: deliveries::Claimed| Finished::new(&one, SendResult::Accepted { reply: None }, None);
    let contact = claimed[0].contact;
    let finished = claimed.into_iter().map(sent).collect();
    deliveries::record(store, finished, end).await.expect("recorded");
    let mut conn = store.read().await.expect("a connection");
    pools::of_contact(&mut conn, contact).await.expect("read");
    letters::of_contact(&mut conn, contact).await.expect("read");
    members::of_contact(&mut conn, contact).await.expect("read");
    drop(conn);
    hand_over(store, end).await;
    work(store, contact, end).await;
    Retention::default().work(store, end).await.expect("forgotten");
    // What it only does where it has found something.
    for bucket in store.buckets() {
        let mut tx = store.write().await.expect("a transaction");
        history::forget(&mut tx, bucket, 0, 10).await.expect("forgotten");
    }
}

/// Somebody agrees to be in the audience, and comes into it; another is taken out.
async fn look_on(store: &Store, at: Timestamp) {
    let consent = ConsentChange {
        purpose: "marketing".into(),
        channel: "email".into(),
        permit: true,
        at,
        source: "api".into(),
        evidence: None,
    };
    accept(store, "looker", Input::Consent(consent), at).await;
    accept(store, "looker", event("closed", at, &[]), at).await;
    accept(store, "bored", event("complaint", at, &[("case_id", text("c"))]), at).await;
    for bucket in store.buckets() {
        while advance_bucket(store, bucket, at, 100).await.expect("advanced").more {}
    }
}

/// A network is told who is in its audience.
async fn hand_over(store: &Store, at: Timestamp) {
    let cut = exports::Cut {
        owner: 1,
        now: machine_now(),
        held_until: machine_now().plus_ms(MINUTE),
        at,
        name: &|audience| audience.to_owned(),
        lines: &|_, _, attributes| vec![format!("{attributes:?}")],
    };
    for bucket in store.buckets() {
        assert!(exports::cut(store, bucket, &cut).await.expect("cut"));
    }
    let mut conn = store.read().await.expect("a connection");
    let batch = exports::newest(&mut conn, 1).await.expect("read").pop().expect("somebody was inside");
    assert!(batch.added > 0);
    exports::measure(&mut conn, batch.id, 0).await.expect("read");
    drop(conn);
    exports::close(store, 1, machine_now()).await.expect("closed");
    exports::finish(store, batch.id, machine_now()).await.expect("finished");
}

/// Somebody calls, in vain and not.
async fn work(store: &Store, contact: ContactId, at: Timestamp) {
    let task = |id: i64| NewTask {
        id: TaskId(id),
        enrollment: EnrollmentId(store.new_id()),
        journey: "welcome".into(),
        step: "talk".into(),
        round: 1,
        verb: "call".into(),
        task: "call".into(),
        team: "sales".into(),
        with: Default::default(),
        due_at: at,
        expires_at: at.plus_ms(DAY),
    };
    let (one, two) = (task(store.new_id()), task(store.new_id()));
    let bucket = fahrplan::store::bucket_of(contact, store.settings().buckets);
    let mut tx = store.write().await.expect("a transaction");
    tasks::insert(&mut tx, bucket, &[(contact, &one), (contact, &two)]).await.expect("there");
    tx.commit().await.expect("committed");
    let now = Now::at(at);
    let mut conn = store.read().await.expect("a connection");
    for team in [None, Some("sales")] {
        assert!(!tasks::queue(&mut conn, team, "Ana", now, 9).await.expect("listed").is_empty());
    }
    drop(conn);
    tasks::take(store, one.id, "Ana", now).await.expect("written").expect("taken");
    let mut conn = store.read().await.expect("a connection");
    let held = tasks::in_hand(&mut conn, "Ana", now).await.expect("listed");
    tasks::people(&mut conn, &held).await.expect("found");
    drop(conn);
    tasks::release(store, one.id, "Ana", now).await.expect("written").expect("given back");
    let until = at.plus_ms(MINUTE);
    tasks::postpone(store, one.id, "Ana", until, None, now).await.expect("written").expect("put off");
    let report = Report { who: "Ana", outcome: "reached", answers: &Default::default(), note: None };
    tasks::outcome(store, one.id, report, now).await.expect("written").expect("told");
    assert!(tasks::expire(store, at.plus_ms(DAY)).await.expect("expired") > 0);
}

/// Indexes that hold unfinished deliveries alone: all of a bucket in one of them are few.
const UNFINISHED: [&str; 2] = ["using deliveries_again ", "using deliveries_queued "];

/// The lines of a plan that read a whole table, or a whole bucket of it.
async fn scans(store: &Store, sql: &str) -> Vec<String> {
    let lines = super::explain(store, sql).await;
    let is_scan = |line: &&String| {
        let line = line.trim().trim_start_matches("->").trim();
        let table = match store.dialect() {
            Dialect::Sqlite => line.strip_prefix("SCAN "),
            // Sequential scans are switched off: what is left of them has no index to use.
            Dialect::Postgres => line.strip_prefix("Seq Scan on "),
        };
        // `16 CONSTANT ROWS`, `4-ROW VALUES CLAUSE`: a list.
        let is_big = |name: &str| !SMALL.contains(&name) && !name.starts_with(|c: char| c.is_ascii_digit());
        table.and_then(|rest| rest.split_whitespace().next()).is_some_and(is_big) || is_whole_bucket(line)
    };
    // The first row of a bucket is found by its bucket alone, and so is the row of the bucket itself. Of deliveries most are long
    // finished, so the first one that is not has to be found by its state.
    let finds_first = sql.contains("LIMIT") || sql.contains("MIN(");
    let among_finished = store.dialect() == Dialect::Postgres && sql.contains("FROM deliveries");
    // The first of what has to be sorted is found last.
    let sorts =
        lines.iter().any(|line| line.contains("TEMP B-TREE FOR ORDER BY") || line.contains("Sort Key"));
    let few = (finds_first && !among_finished && !sorts) || sql.contains("FROM buckets WHERE");
    let is_short = |place: usize| {
        few || place
            .checked_sub(1)
            .is_some_and(|above| UNFINISHED.iter().any(|index| lines[above].contains(index)))
    };
    let scans = lines.iter().enumerate().filter(|(_, line)| is_scan(line));
    let long = scans.filter(|(place, line)| !is_whole_bucket(line.trim()) || !is_short(*place));
    long.map(|(_, line)| line.clone()).collect()
}

/// Whether a line says that rows are found by their bucket alone.
fn is_whole_bucket(line: &str) -> bool {
    let condition = line.strip_prefix("Index Cond: (").and_then(|rest| rest.strip_suffix(')'));
    let alone =
        condition.is_some_and(|condition| condition.starts_with("bucket = ") && !condition.contains("AND"));
    alone || (line.starts_with("SEARCH ") && line.ends_with("(bucket=?)"))
}

/// On small tables PostgreSQL rightly reads everything: so there have to be many rows before plans are looked at.
const GROW: [&str; 12] = [
    "INSERT INTO contacts SELECT g % 8, -g, 0, NULL, '{}' FROM generate_series(1, 40000) g",
    "INSERT INTO identities SELECT 1, 'x' || g, 0, g % 8, -g FROM generate_series(1, 40000) g",
    "INSERT INTO timers SELECT g % 8, 9000000000000000000 + g, -g, -g, 0, 1, '' FROM generate_series(1, 40000) g",
    "INSERT INTO listeners SELECT g % 8, -g, 1, -g, 0, 0 FROM generate_series(1, 40000) g",
    "INSERT INTO enrollments SELECT g % 8, -g, -g, 1, 1, '', 0, 0, 0, NULL, NULL FROM generate_series(1, 40000) g",
    "INSERT INTO memberships SELECT g % 8, -g, 1, 0, -g, 0, 0 FROM generate_series(1, 40000) g",
    "INSERT INTO events SELECT g % 8, -g, 1, 0, -g, 0, 'd' || g, '{}' FROM generate_series(1, 40000) g",
    "INSERT INTO consent_states SELECT g % 8, -g, 1, 1, 1, 0 FROM generate_series(1, 40000) g",
    "INSERT INTO contact_pauses SELECT g % 8, -g, 1, 0 FROM generate_series(1, 40000) g",
    "INSERT INTO cap_slots SELECT g % 8, -g, 0, -g, 1, 1 FROM generate_series(1, 40000) g",
    "INSERT INTO errands SELECT g % 8, -g, -g, 0, '{}' FROM generate_series(1, 40000) g",
    "INSERT INTO suppressions SELECT 'a' || g, 1, 0, '', 0 FROM generate_series(1, 40000) g",
];
const GROW_MORE: [&str; 8] = [
    "INSERT INTO codes SELECT 'p' || g % 8, -g, 'h' || g, '{}', g, CASE g % 2 WHEN 0 THEN -g END, NULL, NULL \
        FROM generate_series(1, 40000) g",
    "INSERT INTO seen SELECT g % 8, 0, CAST(CAST(g AS TEXT) AS BYTEA) FROM generate_series(1, 40000) g",
    "INSERT INTO deliveries SELECT g % 8, -g, -g, -g, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, '{}', NULL, NULL, 0, 'accepted', \
        NULL, 0, 0, 0, NULL, 0, NULL, 0, NULL FROM generate_series(1, 40000) g",
    "INSERT INTO tasks SELECT g % 8, -g, -g, -g, 1, 1, 0, 1, 1, 1, '{}', 0, 0, 'open', NULL, NULL, NULL \
        FROM generate_series(1, 40000) g",
    "INSERT INTO history SELECT g % 8, -g, -g, 0, '[]' FROM generate_series(1, 40000) g",
    "INSERT INTO audience_members SELECT g % 8, 1 + g % 5, -g, -g, 0 FROM generate_series(1, 40000) g",
    "INSERT INTO audience_told SELECT g % 8, 1 + g % 5, -g, 'l' || g FROM generate_series(1, 40000) g",
    "ANALYZE",
];

async fn grow(store: &Store) {
    let mut tx = store.write().await.expect("a transaction");
    for sql in GROW.into_iter().chain(GROW_MORE) {
        tx.exec(sql, Vec::new()).await.expect(sql);
    }
    tx.commit().await.expect("committed");
}

/// The statements of a busy store on large tables.
async fn statements(store: &Store) -> Vec<Arc<str>> {
    let before = store.statements();
    be_busy(store).await;
    let mut statements = store.statements();
    statements.retain(|sql| !before.contains(sql) && !sql.contains("UPDATE deliveries SET state = 'queued'"));
    statements.retain(|sql| !sql.contains("UPDATE deliveries SET state = 'accepted' WHERE"));
    statements.retain(|sql| !RARE.iter().any(|rare| sql.contains(rare)));
    if store.dialect() == Dialect::Postgres {
        grow(store).await;
    }
    assert!(statements.len() > 40, "only {} statements", statements.len());
    statements
}

/// Those that read too much, with the lines of their plans that do.
pub(crate) async fn wrong(store: &Store, statements: &[Arc<str>]) -> Vec<String> {
    let mut wrong = Vec::new();
    for sql in statements {
        let found = scans(store, sql).await;
        if !found.is_empty() {
            wrong.push(format!("{sql}\n    {}", found.join("\n    ")));
        }
    }
    wrong
}

#[test]
fn no_statement_of_a_busy_store_reads_a_whole_table() {
    on_all(async |database| {
        let (catalog, programs) = shop_with_pool();
        let start = script(7)[0].0;
        let store = open(&database, &catalog, &programs.iter().collect::<Vec<_>>(), start).await;
        let statements = statements(&store).await;
        let wrong = wrong(&store, &statements).await;
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), statements.len(), wrong.join("\n"));
    });
}

/// Indexes without which a statement of a busy store reads a whole bucket.
const NEEDED: [(&str, &str); 6] = [
    ("DROP INDEX deliveries_queued", "state = 'queued'"),
    ("DROP INDEX deliveries_again", "again_at"),
    ("DROP INDEX deliveries_of_contact", "deliveries.contact = n.contact"),
    ("DROP INDEX tasks_of_contact", "tasks.contact = n.contact"),
    ("DROP INDEX tasks_queue", "AND expires_at <= $3 RETURNING contact, id, attempts"),
    ("DROP INDEX tasks_taken", "state = 'open' AND taken_by ="),
];

#[test]
fn an_index_that_is_missing_is_found_by_the_plans() {
    on_all(async |database| {
        let (catalog, programs) = shop_with_pool();
        let start = script(7)[0].0;
        let store = open(&database, &catalog, &programs.iter().collect::<Vec<_>>(), start).await;
        if store.dialect() == Dialect::Sqlite {
            return;
        }
        let statements = statements(&store).await;
        for (drop, part) in NEEDED {
            let mut tx = store.write().await.expect("a transaction");
            tx.exec(drop, Vec::new()).await.expect(drop);
            tx.commit().await.expect("committed");
            let wrong = wrong(&store, &statements).await;
            println!("{drop}:\n{}", wrong.join("\n"));
            assert!(wrong.iter().any(|sql| sql.contains(part)), "{drop} is not noticed");
        }
    });
}
