//! Rows against each other: what refers to what, and whether what is counted is there. Each is one statement a bucket, or one over all.
//!
//! The sum that must be nothing: whoever entered is inside or has left; whatever was queued waits, was sent, failed, or was dropped with
//! a reason. Nothing else can become of a person or a message.

use std::collections::BTreeMap;

use super::rows::Seen;
use super::{DAMAGED, Finding, rows_of};
use crate::store::sql::args;
use crate::store::{Conn, Result};

/// Something that must not be, and how often it is in a bucket.
struct Stray {
    message: &'static str,
    sql: &'static str,
}

macro_rules! without_contact {
    ($($table:literal),* $(,)?) => {
        &[$(Stray {
            message: concat!("of `", $table, "` belong to no contact"),
            sql: concat!(
                "SELECT COUNT(*) FROM ", $table, " t WHERE t.bucket = $1 AND NOT EXISTS ( \
                SELECT 1 FROM contacts c WHERE c.bucket = $1 AND c.id = t.contact)"
            ),
        }),*]
    };
}

const WITHOUT_CONTACT: &[Stray] = without_contact![
    "answers",
    "cap_slots",
    "consent_states",
    "consents",
    "deliveries",
    "enrollments",
    "errands",
    "events",
    "identities",
    "inbox",
    "listeners",
    "memberships",
    "tasks",
    "timers",
];

/// Kinds of timers: 0 enrollment, 1 standing entry, 2 errand. What never wakes has no timer but for enrollments.
const STRAYS: &[Stray] = &[
    Stray {
        message: "of `timers` wake an enrollment that does not exist",
        sql: "SELECT COUNT(*) FROM timers t WHERE t.bucket = $1 AND t.kind = 0 AND NOT EXISTS ( \
            SELECT 1 FROM enrollments e WHERE e.bucket = $1 AND e.contact = t.contact AND e.id = t.id)",
    },
    Stray {
        message: "of `enrollments` are not over and have no timer: they stand still for ever",
        // Timers have no index by id: both lists are put in order instead.
        sql: "SELECT COUNT(*) FROM ( \
            SELECT e.id FROM enrollments e WHERE e.bucket = $1 AND e.ended_at IS NULL \
            EXCEPT SELECT t.id FROM timers t WHERE t.bucket = $1 AND t.kind = 0) AS still",
    },
    Stray {
        message: "of `enrollments` do not know when they wake",
        sql: "SELECT COUNT(*) FROM enrollments e WHERE e.bucket = $1 AND e.tracked = 1 AND e.ended_at IS NULL \
            AND NOT EXISTS (SELECT 1 FROM timers t WHERE t.bucket = $1 AND t.wake_at = e.wake_at AND t.id = e.id)",
    },
    Stray {
        message: "of `listeners` belong to no enrollment",
        sql: "SELECT COUNT(*) FROM listeners l WHERE l.bucket = $1 AND NOT EXISTS ( \
            SELECT 1 FROM enrollments e WHERE e.bucket = $1 AND e.contact = l.contact AND e.id = l.id)",
    },
    Stray {
        message: "of `timers` wake a standing entry that does not exist",
        sql: "SELECT COUNT(*) FROM timers t WHERE t.bucket = $1 AND t.kind = 1 AND NOT EXISTS ( \
            SELECT 1 FROM memberships m WHERE m.bucket = $1 AND m.contact = t.contact AND m.id = t.id)",
    },
    Stray {
        message: "of `errands` have no timer",
        sql: "SELECT COUNT(*) FROM errands e WHERE e.bucket = $1 AND e.wake_at < 9223372036854775807 AND NOT EXISTS ( \
            SELECT 1 FROM timers t WHERE t.bucket = $1 AND t.wake_at = e.wake_at AND t.id = e.id AND t.kind = 2)",
    },
    Stray {
        message: "of `consent_states` say something else than the ledger",
        sql: "SELECT COUNT(*) FROM consent_states s WHERE s.bucket = $1 AND NOT EXISTS (SELECT 1 FROM consents c \
            WHERE c.bucket = $1 AND c.contact = s.contact AND c.purpose = s.purpose AND c.channel = s.channel \
            AND c.permit = s.permit AND c.at = s.at)",
    },
    Stray {
        message: "of `consents`, the ledger, are newer than what holds",
        sql: "SELECT COUNT(*) FROM consents c WHERE c.bucket = $1 AND NOT EXISTS (SELECT 1 FROM consent_states s \
            WHERE s.bucket = $1 AND s.contact = c.contact AND s.purpose = c.purpose AND s.channel = c.channel \
            AND s.at >= c.at)",
    },
    Stray {
        // A call counts by its task.
        message: "of `cap_slots` belong to no message and no call",
        sql: "SELECT COUNT(*) FROM cap_slots s WHERE s.bucket = $1 AND NOT EXISTS ( \
            SELECT 1 FROM deliveries d WHERE d.bucket = $1 AND d.id = s.delivery) AND NOT EXISTS ( \
            SELECT 1 FROM tasks t WHERE t.bucket = $1 AND t.id = s.delivery)",
    },
];

/// All of them, each with the name of its check.
pub(super) async fn look(conn: &mut Conn, seen: &Seen) -> Vec<(&'static str, Result<Vec<Finding>>)> {
    vec![
        ("references", references(conn).await),
        ("sum.enrollments", enrollments(conn, seen).await),
        ("sum.deliveries", deliveries(conn).await),
    ]
}

async fn references(conn: &mut Conn) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for stray in WITHOUT_CONTACT.iter().chain(STRAYS) {
        let mut count = 0;
        for bucket in 0..conn.core.settings().buckets {
            count += conn.fetch_number(stray.sql, args![bucket]).await?;
        }
        if count > 0 {
            let wrong = Finding::error("references", format!("{} {}", rows_of(count), stray.message));
            findings
                .push(wrong.means("rows that belong together do not fit: damage, or a bug").help(DAMAGED));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine(
            "references",
            "enrollments, timers, listeners, consents and contacts fit together",
        ));
    }
    Ok(findings)
}

/// Who entered is inside or has left; who is inside is counted where they rest.
async fn enrollments(conn: &mut Conn, seen: &Seen) -> Result<Vec<Finding>> {
    // Counted: 0 resting, 1 entered, 2 left.
    const COUNTED: &str = "SELECT program, kind, CAST(SUM(count) AS BIGINT) FROM step_counts WHERE kind < 3 GROUP BY program, kind";
    const ROWS: &str = "SELECT program, COUNT(*), COUNT(ended_at) FROM enrollments GROUP BY program";
    let mut sums: BTreeMap<i64, Sums> = BTreeMap::new();
    for row in conn.fetch(COUNTED, Vec::new()).await? {
        let sums = sums.entry(row.i64(0)?).or_default();
        match row.i64(1)? {
            0 => sums.resting = row.i64(2)?,
            1 => sums.entered = row.i64(2)?,
            _ => sums.left = row.i64(2)?,
        }
    }
    for row in conn.fetch(ROWS, Vec::new()).await? {
        let sums = sums.entry(row.i64(0)?).or_default();
        (sums.rows, sums.ended) = (row.i64(1)?, row.i64(2)?);
    }
    let (mut findings, mut entered, mut inside) = (Vec::new(), 0, 0);
    for (program, sums) in &sums {
        let resting = seen.resting.get(program).copied().unwrap_or(0);
        entered += sums.entered;
        inside += sums.resting;
        if *sums != (Sums { entered: sums.rows, left: sums.ended, resting, ..*sums })
            || sums.entered != sums.left + resting
        {
            let Sums { entered, left, resting: counted, rows, ended } = sums;
            let message = format!(
                "version {program}: counted {entered} entered = {left} left + {counted} inside; there are {rows} enrollments, \
                 {ended} of them over, and {resting} resting"
            );
            findings.push(unequal("sum.enrollments", message));
        }
    }
    if findings.is_empty() {
        let message = format!("{entered} entered = {} left + {inside} inside", entered - inside);
        findings.push(Finding::fine("sum.enrollments", message));
    }
    Ok(findings)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    entered: i64,
    left: i64,
    /// As counted.
    resting: i64,
    rows: i64,
    ended: i64,
}

/// What was queued waits, was sent, failed, or was dropped with a reason.
async fn deliveries(conn: &mut Conn) -> Result<Vec<Finding>> {
    const ROWS: &str = "SELECT state, COUNT(*), COUNT(result) FROM deliveries GROUP BY state";
    let mut counted: BTreeMap<String, i64> = BTreeMap::new();
    for count in crate::store::deliveries::counts(conn).await? {
        *counted.entry(count.state).or_default() += count.count;
    }
    let mut there: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in conn.fetch(ROWS, Vec::new()).await? {
        there.insert(row.text(0)?.to_owned(), (row.i64(1)?, row.i64(2)?));
    }
    let mut findings = Vec::new();
    let states: std::collections::BTreeSet<&String> = counted.keys().chain(there.keys()).collect();
    for state in states.into_iter().filter(|state| !["clicked", "unknown"].contains(&state.as_str())) {
        let (counted, there) =
            (counted.get(state).copied().unwrap_or(0), there.get(state).map_or(0, |(count, _)| *count));
        if counted != there {
            let message = format!("{counted} messages are counted as {state}, and {there} are there");
            findings.push(unequal("sum.deliveries", message));
        }
    }
    let made = crate::store::deliveries::made(conn).await?;
    let rows: i64 = there.values().map(|(count, _)| count).sum();
    if made != rows {
        findings.push(unequal(
            "sum.deliveries",
            format!("{made} messages were queued ever, and {rows} are there"),
        ));
    }
    for state in ["refused", "cancelled"] {
        let without = there.get(state).map_or(0, |(count, with)| count - with);
        if without > 0 {
            findings
                .push(unequal("sum.deliveries", format!("{without} messages are {state} without a reason")));
        }
    }
    if findings.is_empty() {
        let parts: Vec<String> = there.iter().map(|(state, (count, _))| format!("{count} {state}")).collect();
        let all: i64 = there.values().map(|(count, _)| count).sum();
        let parts = if parts.is_empty() { "0".to_owned() } else { parts.join(" + ") };
        findings.push(Finding::fine("sum.deliveries", format!("{all} queued ever = {parts}")));
    }
    Ok(findings)
}

fn unequal(check: &'static str, message: String) -> Finding {
    Finding::error(check, message)
        .means("somebody or something was lost or doubled on the way: damage, or a bug")
        .help("keep a copy (`fahrplan backup`) and report it; `status` may show wrong numbers, people go on")
}
