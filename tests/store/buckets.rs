//! Every statement of a busy store names exactly one bucket: so it runs on one shard of a cluster that is distributed by `bucket`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fahrplan::store::Store;

use super::advancing::{open, script};
use super::on_all;
use super::plans::{be_busy, shop_with_pool};

/// What may name none or several, each with the reason; `migrations/README.md` tells what that means for a cluster.
const ALLOWED: [(&str, &str); 13] = [
    (
        "FROM consents WHERE id >= $1 AND id <= $2 ON CONFLICT DO NOTHING",
        "what an import has just written, on SQLite alone, where a range of ids is a walk",
    ),
    (
        "SELECT n.bucket, (SELECT MIN(due_at) FROM deliveries",
        "the heads of the outbox: one round trip for all buckets",
    ),
    (
        "AND deliveries.batch > 0 AND deliveries.state = 'batched')",
        "whether letters of a batch are left: once a batch",
    ),
    (
        "INSERT INTO inbox (bucket, id, contact, accepted_at, input)",
        "what a call brings is for contacts of many buckets",
    ),
    ("INSERT INTO contacts (bucket, id, created_at, attributes)", "contacts that a call brings"),
    ("INSERT INTO seen (bucket, week, hash)", "message ids of a call lie in the buckets of their hashes"),
    ("SELECT n.place FROM n WHERE (SELECT 1 FROM seen WHERE seen.bucket = n.bucket", "the same"),
    (
        "SELECT 1 FROM tasks WHERE tasks.bucket = n.bucket AND state = 'open'",
        "which buckets have open tasks: one round trip for all buckets",
    ),
    (
        "FROM n CROSS JOIN contacts WHERE contacts.bucket = n.bucket",
        "contacts that a call names, or that were merged",
    ),
    (
        "FROM n CROSS JOIN deliveries WHERE deliveries.bucket = n.bucket",
        "where a delivery went when its contact was merged",
    ),
    (
        "FROM n) AS n CROSS JOIN tasks WHERE tasks.bucket = n.bucket",
        "the same for a task: people know its id alone",
    ),
    (
        "SELECT bucket, free FROM budget_shares WHERE journey = $1 AND since = $2 AND free > 0",
        "money that other buckets have not spent, when all of a budget is taken",
    ),
    (
        "UPDATE budget_shares SET free = 0 FROM n WHERE budget_shares.bucket = n.bucket",
        "the same: it is taken back",
    ),
];

/// Distributed by something else, since the outside world finds them by a text.
const OTHERWISE: [&str; 1] = ["identities"];

/// The tables of the migrations: whether each has a bucket.
fn tables() -> BTreeMap<String, bool> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
    let mut tables = BTreeMap::new();
    for file in std::fs::read_dir(folder).expect("there") {
        let text = std::fs::read_to_string(file.expect("read").path()).expect("read");
        for table in text.split("CREATE TABLE ").skip(1) {
            let (name, rest) = table.split_once('(').expect("columns follow");
            let columns = rest.split(");").next().expect("an end");
            let has_bucket = columns.split(',').any(|column| column.trim().starts_with("bucket "));
            let name = name.trim();
            tables.insert(name.to_owned(), has_bucket && !OTHERWISE.contains(&name));
        }
    }
    tables
}

/// Keywords that may follow the name of a table where another name would be its alias.
const KEYWORDS: [&str; 22] = [
    "where",
    "set",
    "cross",
    "join",
    "on",
    "order",
    "limit",
    "group",
    "left",
    "inner",
    "using",
    "returning",
    "for",
    "as",
    "select",
    "values",
    "union",
    "do",
    "with",
    "and",
    "default",
    "having",
];

/// A table that a statement reads or changes.
#[derive(Debug)]
struct Reference {
    table: String,
    /// The name by which the statement speaks of it.
    alias: String,
    /// The brackets in which it stands, from the outside.
    scope: Vec<usize>,
    pinned: bool,
}

/// Words, numbers and signs, each a token.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut open = false;
    for c in sql.chars() {
        let is_word = c.is_ascii_alphanumeric() || c == '_' || c == '$' || c == '?';
        match (is_word, open) {
            (true, true) => tokens.last_mut().expect("one is open").push(c.to_ascii_lowercase()),
            (true, false) => tokens.push(c.to_ascii_lowercase().to_string()),
            (false, _) if c.is_whitespace() => {}
            (false, _) => tokens.push(c.to_string()),
        }
        open = is_word;
    }
    tokens
}

/// The tables with a bucket that a statement names, and whether each is held to one bucket.
fn references(sql: &str, tables: &BTreeMap<String, bool>) -> Vec<Reference> {
    let tokens = tokens(sql);
    let at = |i: usize| tokens.get(i).map_or("", String::as_str);
    let (mut found, mut scope, mut brackets) = (Vec::<Reference>::new(), Vec::new(), 0);
    let mut equalities: Vec<(Option<String>, Vec<usize>, String, Option<String>)> = Vec::new();
    for i in 0..tokens.len() {
        match at(i) {
            "(" => {
                brackets += 1;
                scope.push(brackets);
            }
            ")" => _ = scope.pop(),
            "from" | "join" | "update" | "into" if tables.get(at(i + 1)).copied().unwrap_or(false) => {
                let table = at(i + 1).to_owned();
                let next = if at(i + 2) == "as" { at(i + 3) } else { at(i + 2) };
                let is_alias =
                    next.starts_with(|c: char| c.is_ascii_alphabetic()) && !KEYWORDS.contains(&next);
                let alias = if is_alias { next.to_owned() } else { table.clone() };
                // Rows that are inserted are looked at as they are: see `scattered`.
                let pinned = at(i) == "into";
                found.push(Reference { table, alias, scope: scope.clone(), pinned });
            }
            "bucket" if at(i + 1) == "=" => {
                let own = (i >= 2 && at(i - 1) == ".").then(|| at(i - 2).to_owned());
                let (value, other) = match at(i + 3) {
                    "." if at(i + 4) == "bucket" => (String::new(), Some(at(i + 2).to_owned())),
                    _ => (at(i + 2).to_owned(), None),
                };
                equalities.push((own, scope.clone(), value, other));
            }
            _ => {}
        }
    }
    // Who is equal to one that is held is held too.
    for _ in 0..3 {
        for (own, place, value, other) in &equalities {
            let held = match other {
                Some(other) => found.iter().any(|one| one.alias == *other && one.pinned),
                None => value.starts_with('$') || value.starts_with('?'),
            };
            let is_meant = |one: &Reference| match own {
                Some(own) => one.alias == *own && place.starts_with(&one.scope),
                None => *place == one.scope,
            };
            found.iter_mut().filter(|one| held && is_meant(one)).for_each(|one| one.pinned = true);
        }
    }
    found
}

/// The tables of a statement that are not held to one bucket.
fn loose(sql: &str, tables: &BTreeMap<String, bool>) -> BTreeSet<String> {
    let loose = references(sql, tables).into_iter().filter(|one| !one.pinned);
    loose.map(|one| one.table).collect()
}

#[test]
fn a_statement_that_forgets_its_bucket_is_found() {
    let tables = tables();
    let loose = |sql: &str| loose(sql, &tables).into_iter().collect::<Vec<_>>().join(" ");
    for fine in [
        "SELECT id FROM timers WHERE bucket = $1 AND wake_at <= $2",
        "WITH n(id) AS (SELECT * FROM unnest($1)) DELETE FROM timers WHERE bucket = $2 AND id IN (SELECT n.id FROM n)",
        "SELECT e.id, (SELECT 1 FROM contacts c WHERE c.bucket = e.bucket AND c.id = e.contact) FROM enrollments e \
         WHERE e.bucket = $1",
        "SELECT value FROM settings WHERE key = $1",
        "INSERT INTO history (bucket, id) VALUES ($1, $2)",
    ] {
        assert_eq!(loose(fine), "", "{fine}");
    }
    for (wrong, table) in [
        ("SELECT id FROM timers WHERE wake_at <= $1", "timers"),
        ("SELECT 1 FROM n CROSS JOIN contacts WHERE contacts.bucket = n.bucket", "contacts"),
        ("DELETE FROM inbox WHERE bucket = $1 AND id IN (SELECT id FROM inbox LIMIT 5)", "inbox"),
        ("SELECT 1 FROM deliveries d CROSS JOIN tasks t WHERE d.bucket = $1 AND t.id = d.id", "tasks"),
        (
            "UPDATE contacts SET attributes = $1 WHERE id = $2 OR EXISTS (SELECT 1 FROM events WHERE bucket = $3)",
            "contacts",
        ),
    ] {
        assert_eq!(loose(wrong), table, "{wrong}");
    }
}

#[test]
fn every_table_is_described_for_a_cluster() {
    let readme = include_str!("../../migrations/README.md");
    for (table, has_bucket) in tables() {
        let sql = match has_bucket {
            true => format!("create_distributed_table('{table}', 'bucket'"),
            false => format!("_table('{table}'"),
        };
        assert!(readme.contains(&sql), "migrations/README.md does not say `{sql}…`");
    }
}

#[test]
fn every_statement_of_a_busy_store_names_exactly_one_bucket() {
    on_all(async |database| {
        let (catalog, programs) = shop_with_pool();
        let start = script(7)[0].0;
        let store = open(&database, &catalog, &programs.iter().collect::<Vec<_>>(), start).await;
        let before = store.statements();
        be_busy(&store).await;
        let statements = store.statements().into_iter().filter(|sql| !before.contains(sql) && is_own(sql));
        assert!(statements.count() > 40);
        let wrong = astray(&store, &before);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

/// Whether the product runs it, and not a test.
pub(super) fn is_own(sql: &str) -> bool {
    !sql.contains("UPDATE deliveries SET state = 'queued'")
        && !sql.contains("UPDATE deliveries SET state = 'accepted' WHERE")
}

/// The statements since those before that name no bucket, or several, and may not.
pub(crate) fn astray(store: &Store, before: &[Arc<str>]) -> Vec<String> {
    let tables = tables();
    let may = |sql: &str| !is_own(sql) || ALLOWED.iter().any(|(part, _)| sql.contains(part));
    let mut wrong = Vec::new();
    for sql in store.statements() {
        let loose = loose(&sql, &tables);
        if !before.contains(&sql) && !loose.is_empty() && !may(&sql) {
            wrong.push(format!("{loose:?}: {}", &sql[..sql.len().min(1_000)]));
        }
    }
    let scattered = store.scattered().into_iter().filter(|sql| !may(sql));
    wrong.extend(scattered.map(|sql| format!("rows of several buckets: {sql}")));
    wrong
}
