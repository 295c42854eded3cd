//! Each row by itself: whether it can be read, and stands where it belongs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{DAMAGED, Finding, rows_of};
use crate::clock::machine_now;
use crate::engine::program::{Catalog, Program};
use crate::id::ContactId;
use crate::store::inbox::Parcel;
use crate::store::journeys::Deployed;
use crate::store::timers::Timer;
use crate::store::{Arg, Conn, Result, Row, bucket_of, fields, history, journeys, memberships, templates};
use crate::time::{DAY, Timestamp};

/// Rows that are read at once.
const PAGE: i64 = 2_000;

/// What was seen on the way that others are compared with.
#[derive(Default)]
pub(super) struct Seen {
    /// Enrollments that rest, by the number of their program.
    pub(super) resting: BTreeMap<i64, i64>,
}

/// What a row is judged by.
struct Facts {
    deployed: Option<Arc<Deployed>>,
    names: BTreeSet<i64>,
    buckets: i64,
    /// No id can have been made later: ids tell the machine's time, whatever the journey clock shows.
    latest: Timestamp,
}

/// A table, and how its rows are judged.
struct Table {
    name: &'static str,
    /// Rows of a bucket after a key, which is the first columns, in its order.
    sql: &'static str,
    keys: usize,
    judge: fn(&Row, i64, &Facts, &mut Seen) -> Result<bool>,
}

/// The tables whose rows hold more than numbers.
const TABLES: [Table; 11] = [
    Table {
        name: "contacts",
        sql: "SELECT id, attributes FROM contacts WHERE bucket = $1 AND id > $2 ORDER BY id LIMIT 2000",
        keys: 1,
        judge: |row, bucket, facts, _| {
            Ok(facts.is_home(row.i64(0)?, bucket) && fields::from_text(row.text(1)?).is_ok())
        },
    },
    Table {
        name: "events",
        sql: "SELECT contact, name, occurred_at, id, fields, accepted_at FROM events WHERE bucket = $1 \
            AND (contact, name, occurred_at, id) > ($2, $3, $4, $5) ORDER BY contact, name, occurred_at, id LIMIT 2000",
        keys: 4,
        judge: |row, bucket, facts, _| {
            let is_named = facts.names.contains(&row.i64(1)?);
            Ok(facts.is_home(row.i64(0)?, bucket) && is_named && fields::from_text(row.text(4)?).is_ok())
        },
    },
    Table {
        name: "inbox",
        sql: "SELECT id, contact, input FROM inbox WHERE bucket = $1 AND id > $2 ORDER BY id LIMIT 2000",
        keys: 1,
        judge: |row, bucket, facts, _| {
            Ok(facts.is_home(row.i64(1)?, bucket) && serde_json::from_str::<Parcel>(row.text(2)?).is_ok())
        },
    },
    Table {
        name: "timers",
        sql: "SELECT wake_at, id, contact, kind, program, state FROM timers WHERE bucket = $1 \
            AND (wake_at, id) > ($2, $3) ORDER BY wake_at, id LIMIT 2000",
        keys: 2,
        judge: judge_timer,
    },
    Table {
        name: "enrollments",
        sql: "SELECT contact, id, journey, program, tracked, entered_at, ended_at, reason FROM enrollments \
            WHERE bucket = $1 AND (contact, id) > ($2, $3) ORDER BY contact, id LIMIT 2000",
        keys: 2,
        judge: |row, bucket, facts, _| {
            let ended = row.opt_i64(6)?.is_some() == row.opt_i64(7)?.is_some();
            let named = facts.names.contains(&row.i64(2)?)
                && row.opt_i64(7)?.is_none_or(|name| facts.names.contains(&name));
            let known = facts
                .deployed
                .as_ref()
                .is_none_or(|deployed| row.i64(3).is_ok_and(|n| deployed.program(n).is_some()));
            Ok(facts.is_home(row.i64(0)?, bucket) && ended && named && known && (0..2).contains(&row.i64(4)?))
        },
    },
    Table {
        name: "consents",
        sql: "SELECT id, contact, purpose, channel, permit, source FROM consents WHERE bucket = $1 AND id > $2 \
            ORDER BY id LIMIT 2000",
        keys: 1,
        judge: |row, bucket, facts, _| {
            let named = facts.names.contains(&row.i64(2)?) && facts.names.contains(&row.i64(3)?);
            Ok(facts.is_home(row.i64(1)?, bucket)
                && named
                && (0..2).contains(&row.i64(4)?)
                && !row.text(5)?.is_empty())
        },
    },
    Table {
        name: "deliveries",
        sql: "SELECT id, contact, journey, step, channel, template, purpose, state, given, frozen, again_at, settled_at \
            FROM deliveries WHERE bucket = $1 AND id > $2 ORDER BY id LIMIT 2000",
        keys: 1,
        judge: judge_delivery,
    },
    Table {
        name: "history",
        sql: "SELECT id, contact, notes FROM history WHERE bucket = $1 AND id > $2 ORDER BY id LIMIT 2000",
        keys: 1,
        judge: |row, bucket, facts, _| {
            Ok(facts.is_home(row.i64(1)?, bucket) && history::is_readable(row.text(2)?))
        },
    },
    Table {
        name: "errands",
        sql: "SELECT contact, id, errand FROM errands WHERE bucket = $1 AND (contact, id) > ($2, $3) \
            ORDER BY contact, id LIMIT 2000",
        keys: 2,
        judge: |row, bucket, facts, _| {
            Ok(facts.is_home(row.i64(0)?, bucket) && memberships::is_readable(row.text(2)?))
        },
    },
    Table {
        name: "audience_members",
        sql: "SELECT audience, contact, enrollment FROM audience_members WHERE bucket = $1 \
            AND (audience, contact, enrollment) > ($2, $3, $4) ORDER BY audience, contact, enrollment LIMIT 2000",
        keys: 3,
        judge: |row, bucket, facts, _| {
            Ok(facts.is_home(row.i64(1)?, bucket) && facts.names.contains(&row.i64(0)?))
        },
    },
    Table {
        name: "answers",
        sql: "SELECT id, contact, survey, journey, step, delivery, task, way, fields FROM answers \
            WHERE bucket = $1 AND id > $2 ORDER BY id LIMIT 2000",
        keys: 1,
        judge: |row, bucket, facts, _| {
            let mut named = true;
            for column in 2..5 {
                named &= facts.names.contains(&row.i64(column)?);
            }
            // It answers a message or a task.
            let of_one = row.opt_i64(5)?.is_some() != row.opt_i64(6)?.is_some();
            Ok(facts.is_home(row.i64(1)?, bucket)
                && named
                && of_one
                && !row.text(7)?.is_empty()
                && fields::from_text(row.text(8)?).is_ok())
        },
    },
];

fn judge_timer(row: &Row, bucket: i64, facts: &Facts, seen: &mut Seen) -> Result<bool> {
    let timer = Timer::read(row)?;
    let home = facts.is_home(timer.contact.0, bucket);
    if !timer.is_enrollment() {
        return Ok(home && (1..3).contains(&row.i64(3)?));
    }
    let Some(deployed) = &facts.deployed else { return Ok(home) };
    let Ok((_, place)) = timer.enrollment(deployed) else { return Ok(false) };
    if place.step.is_some() {
        *seen.resting.entry(row.i64(4)?).or_default() += 1;
    }
    Ok(home)
}

fn judge_delivery(row: &Row, bucket: i64, facts: &Facts, _: &mut Seen) -> Result<bool> {
    let mut named = true;
    for column in 2..7 {
        named &= facts.names.contains(&row.i64(column)?);
    }
    let is_read = fields::from_text(row.text(8)?).is_ok()
        && row.opt_text(9)?.is_none_or(|frozen| fields::from_text(frozen).is_ok());
    let (again, settled) = (row.opt_i64(10)?.is_some(), row.opt_i64(11)?.is_some());
    let state = match row.text(7)? {
        "queued" | "waiting" | "batched" => !again && !settled,
        "leased" | "deferred" => again && !settled,
        "accepted" | "refused" | "cancelled" => !again && settled,
        // States that other releases know.
        state => !state.is_empty() && state.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
    };
    Ok(facts.is_home(row.i64(1)?, bucket) && named && is_read && state)
}

impl Facts {
    async fn load(conn: &mut Conn) -> Result<Facts> {
        let mut names = BTreeSet::new();
        for row in conn.fetch("SELECT id FROM names", Vec::new()).await? {
            names.insert(row.i64(0)?);
        }
        let deployed = journeys::deployed(conn).await.ok();
        Ok(Facts {
            deployed,
            names,
            buckets: conn.core.settings().buckets,
            latest: machine_now().plus_ms(DAY),
        })
    }

    /// Whether the contact has that bucket, and an id that we could have made.
    fn is_home(&self, contact: i64, bucket: i64) -> bool {
        bucket_of(ContactId(contact), self.buckets) == bucket
            && contact > 0
            && contact < crate::id::at(self.latest)
    }
}

/// Reads every row. What is wrong is counted by table, with the first key.
pub(super) async fn look(conn: &mut Conn, seen: &mut Seen) -> Result<Vec<Finding>> {
    let facts = Facts::load(conn).await?;
    let mut findings = deployed(conn).await?;
    if facts.deployed.is_none() {
        findings.push(wrong("what is deployed cannot be read".to_owned()));
    }
    let mut read = 0;
    for table in &TABLES {
        let (mut bad, mut first) = (0, None);
        for bucket in 0..facts.buckets {
            read += walk(conn, table, bucket, &facts, seen, &mut |row| {
                bad += 1;
                first.get_or_insert(row);
            })
            .await?;
        }
        if let Some(first) = first {
            findings.push(wrong(format!(
                "{} of `{}` cannot be right, the first at {first:?}",
                rows_of(bad),
                table.name
            )));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine("rows", format!("{} can be read and are in their place", rows_of(read))));
    }
    Ok(findings)
}

fn wrong(message: String) -> Finding {
    Finding::error("rows", message)
        .means("they were damaged, or written by something else than fahrplan")
        .help(DAMAGED)
}

/// Reads the rows of a bucket; how many there are.
async fn walk(
    conn: &mut Conn,
    table: &Table,
    bucket: i64,
    facts: &Facts,
    seen: &mut Seen,
    bad: &mut impl FnMut(Vec<i64>),
) -> Result<i64> {
    let mut key = vec![i64::MIN; table.keys];
    let mut read = 0;
    loop {
        let args = std::iter::once(bucket).chain(key.iter().copied()).map(Arg::I64).collect();
        let rows = conn.fetch(table.sql, args).await?;
        for row in &rows {
            for (i, part) in key.iter_mut().enumerate() {
                *part = row.i64(i)?;
            }
            // A column of another type than its own is as wrong as a wrong value.
            if !(table.judge)(row, bucket, facts, seen).unwrap_or(false) {
                bad(key.clone());
            }
        }
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        read += count;
        if count < PAGE {
            return Ok(read);
        }
    }
}

/// Whether what is deployed has the content that it is called by.
async fn deployed(conn: &mut Conn) -> Result<Vec<Finding>> {
    let mut bad = Vec::new();
    for row in conn.fetch("SELECT hash, program FROM programs", Vec::new()).await? {
        let is_good = Program::from_bytes(row.blob(1)?)
            .is_ok_and(|program| row.text(0).is_ok_and(|hash| hash == program.hash().to_string()));
        bad.extend((!is_good).then_some("a program"));
    }
    for row in conn.fetch("SELECT hash, catalog FROM catalogs", Vec::new()).await? {
        let is_good = Catalog::from_bytes(row.blob(1)?)
            .is_ok_and(|catalog| row.text(0).is_ok_and(|hash| hash == catalog.hash().to_string()));
        bad.extend((!is_good).then_some("a catalog"));
    }
    for row in conn.fetch("SELECT hash, text FROM texts", Vec::new()).await? {
        let is_good =
            row.text(1).is_ok_and(|text| row.text(0).is_ok_and(|hash| hash == templates::hash(text)));
        bad.extend((!is_good).then_some("the text of a template"));
    }
    Ok(bad.into_iter().map(|what| wrong(format!("{what} has not the content that its hash tells"))).collect())
}
