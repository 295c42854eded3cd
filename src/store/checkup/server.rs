//! The database itself: version, settings, damage, room; clocks; who works on it; what waits. Nothing here reads a large table, but for
//! the look that SQLite takes at itself.

use std::collections::BTreeSet;
use std::path::Path;

use super::{DAMAGED, Finding, Findings};
use crate::clock::machine_now;
use crate::engine::program::{Channel, StepKind, Word};
use crate::store::backlog::{self, Backlog};
use crate::store::dialect::Pools;
use crate::store::sql::args;
use crate::store::templates::{self, Manifest};
use crate::store::{Result, Store, brakes, counts, home, journeys, migrate, rejected, room, skew, workers};
use crate::time::{MINUTE, Timestamp};

/// What waits for longer than this, nobody works on.
const LATE_MS: i64 = MINUTE;
/// A log of SQLite beyond this is not folded into the database.
const LOG_BYTES: u64 = 512 << 20;
/// Less room than this is little, however small the database is.
const ROOM_BYTES: u64 = 1 << 30;

pub(super) async fn look(store: &Store, now: Timestamp, deep: bool, findings: &mut Findings) {
    match &store.core.pools {
        Pools::Sqlite { path, .. } => {
            findings.take("database", sqlite(store, path).await);
            findings.take("database.damage", damage(store, deep).await);
            findings.take("database.room", Ok(free(path).await));
        }
        Pools::Postgres(_) => findings.take("database", postgres(store).await),
    }
    findings.take("clock", clock(store).await);
    let left = left(store, now).await;
    findings.take("workers", at_work(store, left.as_ref().ok()).await);
    findings.take("backlog", waiting(store, now, left).await);
    findings.take("deliveries", doubt(store).await);
    findings.take("paused", paused(store).await);
    findings.take("templates", templates(store).await);
    findings.take("restored", restored(store, now).await);
}

// ---------------------------------------------------------------- SQLite

async fn sqlite(store: &Store, path: &Path) -> Result<Vec<Finding>> {
    let mut conn = store.read().await?;
    let version = conn.fetch_first("SELECT sqlite_version()", Vec::new()).await?;
    let version = version.map_or(Ok(String::new()), |row| row.text(0).map(str::to_owned))?;
    let mode = conn.fetch_first("PRAGMA journal_mode", Vec::new()).await?;
    let mode = mode.map_or(Ok(String::new()), |row| row.text(0).map(str::to_owned))?;
    let synchronous = conn.fetch_number("PRAGMA synchronous", Vec::new()).await?;
    let mut findings = vec![Finding::fine(
        "database",
        format!("{}: SQLite {version}, schema {}, synced at every commit", store.place(), migrate::known()),
    )];
    if mode != "wal" || synchronous < 2 {
        let message = format!("journal_mode is {mode} and synchronous {synchronous}, not wal and 2");
        findings.push(
            Finding::error("database.settings", message)
                .means("what was accepted or sent may be forgotten when the power fails")
                .help("let nothing but fahrplan open the file; it sets both"),
        );
    }
    let bytes = room::bytes_of(&room::log_of(path));
    if bytes > LOG_BYTES {
        findings.push(
            Finding::warning("database.log", format!("the log of writes has {} MB", bytes >> 20))
                .means("somebody reads for very long, so it cannot be folded into the database; each look gets slower")
                .help("find who has the file open (`fuser`), a backup or a tool, and end it"),
        );
    }
    Ok(findings)
}

/// What SQLite finds in its own file.
async fn damage(store: &Store, deep: bool) -> Result<Vec<Finding>> {
    let sql = if deep { "PRAGMA integrity_check(5)" } else { "PRAGMA quick_check(5)" };
    let mut findings = Vec::new();
    for row in store.read().await?.fetch_at_length(sql).await? {
        let line = row.text(0)?;
        if line != "ok" {
            let message = line.lines().next_back().unwrap_or(line).to_owned();
            findings.push(
                Finding::error("database.damage", message)
                    .means("bytes of the file were changed by something else than SQLite")
                    .help(DAMAGED),
            );
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine("database.damage", "SQLite finds no damage in its file"));
    }
    Ok(findings)
}

/// Room on the disk, as `df` tells it.
async fn free(path: &Path) -> Vec<Finding> {
    let Some((all, free)) = room::disk(path).await else {
        return vec![Finding::fine(
            "database.room",
            "nobody can tell how much room there is (`df` is not there)",
        )];
    };
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    let message = format!("{} MB of the disk are free, the database has {} MB", free >> 20, size >> 20);
    if free < (all / 20).max(ROOM_BYTES) || free < size {
        return vec![
            Finding::warning("database.room", message)
                .means("without room nothing is accepted and nothing sent; a backup needs as much again as the database")
                .help("make room, or move the project to a larger disk while nothing runs"),
        ];
    }
    vec![Finding::fine("database.room", message)]
}

// ---------------------------------------------------------------- PostgreSQL

/// Settings that lose what was accepted, or hide damage: the value that is right, and what another means.
const SETTINGS: [(&str, &[&str], &str, &str); 4] = [
    (
        "fsync",
        &["on"],
        "what was accepted is lost when the power fails, and the database with it",
        "set `fsync = on`",
    ),
    ("full_page_writes", &["on"], "a crash may tear pages of the database", "set `full_page_writes = on`"),
    (
        "synchronous_commit",
        &["on", "local", "remote_write", "remote_apply"],
        "what was accepted may be forgotten by a crash of the server, and a mail sent twice",
        "set `synchronous_commit = on`, for this database at least",
    ),
    (
        "data_checksums",
        &["on"],
        "the server does not notice when the disk changes its data",
        "stop the server and run `pg_checksums --enable`",
    ),
];

/// A server older than this is no longer looked after by its makers.
const OLDEST_SERVER: i64 = 140_000;

async fn postgres(store: &Store) -> Result<Vec<Finding>> {
    let mut conn = store.read().await?;
    const ABOUT: &str = "SELECT current_setting('server_version'), CAST(current_setting('server_version_num') AS BIGINT), \
        CAST(pg_database_size(current_database()) AS BIGINT)";
    let Some(about) = conn.fetch_first(ABOUT, Vec::new()).await? else { return Ok(Vec::new()) };
    let (version, number_of, bytes) = (about.text(0)?.to_owned(), about.i64(1)?, about.i64(2)?);
    let message =
        format!("{}: PostgreSQL {version}, schema {}, {} MB", store.place(), migrate::known(), bytes >> 20);
    let mut findings = vec![Finding::fine("database", message)];
    if number_of < OLDEST_SERVER {
        findings.push(
            Finding::warning("database.version", "this PostgreSQL gets no corrections any more")
                .help("move to a newer one"),
        );
    }
    const SETTING: &str = "SELECT setting FROM pg_settings WHERE name = $1";
    for (name, good, means, help) in SETTINGS {
        let Some(row) = conn.fetch_first(SETTING, args![name]).await? else { continue };
        let value = row.text(0)?;
        if !good.contains(&value) {
            let message = format!("`{name}` is {value}");
            let finding = match name {
                "data_checksums" => Finding::warning("database.settings", message),
                _ => Finding::error("database.settings", message),
            };
            findings.push(finding.means(means).help(help));
        }
    }
    const CONNECTIONS: &str = "SELECT COUNT(*), CAST(current_setting('max_connections') AS BIGINT) FROM pg_stat_activity \
        WHERE backend_type = 'client backend'";
    if let Some(row) = conn.fetch_first(CONNECTIONS, Vec::new()).await?
        && row.i64(0)? * 10 > row.i64(1)? * 9
    {
        let message = format!("{} of {} connections are taken", row.i64(0)?, row.i64(1)?);
        findings.push(
            Finding::warning("database.connections", message)
                .means("a worker that gets none accepts nothing")
                .help("raise `max_connections`; each `fahrplan serve` takes up to eleven"),
        );
    }
    const OLDEST: &str = "SELECT CAST(COALESCE(MAX(EXTRACT(EPOCH FROM clock_timestamp() - xact_start)), 0) AS BIGINT) \
        FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let seconds = conn.fetch_number(OLDEST, Vec::new()).await?;
    if seconds > 600 {
        findings.push(
            Finding::warning(
                "database.transactions",
                format!("somebody has had a transaction open for {} minutes", seconds / 60),
            )
            .means("rows that are gone cannot be cleared away meanwhile; everything gets slower")
            .help(
                "`SELECT pid, application_name, query FROM pg_stat_activity ORDER BY xact_start` shows who",
            ),
        );
    }
    Ok(findings)
}

// ---------------------------------------------------------------- time

async fn clock(store: &Store) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut conn = store.read().await?;
    let ahead = skew::measure(&store.core).await?;
    if ahead.abs() > skew::MOST_MS {
        findings.push(unequal_clocks(format!(
            "the clock of this machine is {} the database's",
            skew::in_words(ahead)
        )));
    }
    let now = skew::micros(&mut conn).await? / 1_000;
    for worker in workers::all(&mut conn).await?.iter().filter(|worker| worker.leased_until.0 > now) {
        // Each lease was given by a clock that showed its end less the time that a lease lasts.
        let ahead = worker.leased_until.0 - workers::LEASE_MS - now;
        let (number, place) = (worker.number, &worker.place);
        if worker.ahead_ms.abs() > skew::MOST_MS {
            let wrong = skew::in_words(worker.ahead_ms);
            findings.push(unequal_clocks(format!(
                "the clock of worker {number} ({place}) is {wrong} the database's"
            )));
        } else if ahead > skew::MOST_MS {
            findings.push(unequal_clocks(format!(
                "worker {number} ({place}) has written at a time that comes only in {} s",
                (ahead + 999) / 1_000
            )));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine("clock", "the clocks agree"));
    }
    Ok(findings)
}

fn unequal_clocks(message: String) -> Finding {
    Finding::error("clock", message)
        .means(
            "waits end at the wrong time; on PostgreSQL a worker that is wrong by more than 5 s does nothing until it is right, on SQLite \
             all is done by that clock",
        )
        .help("run a time service (`chronyd`, `systemd-timesyncd`) on every machine; if the clock was set back, wait until it has caught up")
}

// ---------------------------------------------------------------- work

async fn left(store: &Store, now: Timestamp) -> Result<Backlog> {
    backlog::backlog(&mut store.read().await?, now).await
}

async fn at_work(store: &Store, left: Option<&Backlog>) -> Result<Vec<Finding>> {
    let alive = workers::alive(&mut store.read().await?).await?;
    let is_work = left.is_some_and(|left| left.inbox + left.due + left.queued + left.leased > 0);
    if alive == 0 && is_work {
        return Ok(vec![
            Finding::warning("workers", "nobody works on it, and there is work")
                .means("nobody moves on and nothing is sent")
                .help("start `fahrplan serve`"),
        ]);
    }
    Ok(vec![Finding::fine("workers", format!("processes that have it open to work on it: {alive}"))])
}

async fn waiting(store: &Store, now: Timestamp, left: Result<Backlog>) -> Result<Vec<Finding>> {
    let left = left?;
    let mut conn = store.read().await?;
    const OLDEST: &str = "SELECT accepted_at FROM inbox WHERE bucket = $1 ORDER BY id LIMIT 1";
    let mut oldest = now.0;
    for bucket in store.buckets() {
        if let Some(row) = conn.fetch_first(OLDEST, args![bucket]).await? {
            oldest = oldest.min(row.i64(0)?);
        }
    }
    let late = left.next_due.map_or(0, |at| now.0 - at.0).max(now.0 - oldest);
    let message = format!(
        "{} inputs, {} timers and {} messages are due, {} are under way",
        left.inbox, left.due, left.queued, left.leased
    );
    let mut findings = Vec::new();
    if late > LATE_MS {
        findings.push(
            Finding::warning("backlog", format!("{message}; the oldest has waited for {} s", late / 1_000))
                .means("the daemon does not keep up, is paused, or does not run")
                .help("`fahrplan status` shows what waits where; see `workers` above"),
        );
    } else {
        findings.push(Finding::fine("backlog", message));
    }
    let kept = rejected::count(&mut conn).await?;
    if kept > 0 {
        findings.push(
            Finding::warning("rejected", format!("{kept} items, or parts of them, could not be read"))
                .means("what they would have done has not happened")
                .help("`fahrplan events rejected` shows each with its reason"),
        );
    }
    Ok(findings)
}

async fn doubt(store: &Store) -> Result<Vec<Finding>> {
    let mut conn = store.read().await?;
    const AGAIN: &str =
        "SELECT COUNT(*) FROM deliveries WHERE bucket = $1 AND again_at IS NOT NULL AND doubtful > 0";
    const LOST: &str =
        "SELECT COUNT(*) FROM deliveries WHERE bucket = $1 AND again_at <= $2 AND state = 'leased'";
    const UNKNOWN: &str = "SELECT COUNT(*) FROM deliveries WHERE bucket = $1 AND state = 'unknown'";
    let (mut again, mut lost, mut unknown) = (0, 0, 0);
    for bucket in store.buckets() {
        unknown += conn.fetch_number(UNKNOWN, args![bucket]).await?;
        again += conn.fetch_number(AGAIN, args![bucket]).await?;
        lost += conn.fetch_number(LOST, args![bucket, machine_now().plus_ms(-LATE_MS)]).await?;
    }
    let mut findings = Vec::new();
    if unknown > 0 {
        findings.push(
            Finding::warning(
                "deliveries",
                format!("of {unknown} messages nobody knows whether they arrived"),
            )
            .means("their step says that they are not sent again by themselves")
            .help("`fahrplan deliveries list --state unknown` shows them; send again or count as sent"),
        );
    }
    if lost > 0 {
        findings.push(
            Finding::warning(
                "deliveries",
                format!("{lost} messages were taken by a worker that told of no result"),
            )
            .means("it died or hangs; they may have arrived, and are sent again with the same Message-ID")
            .help("the next daemon takes them; `fahrplan serve` if none runs"),
        );
    }
    if findings.is_empty() {
        let message = match again {
            0 => "no message is in doubt".to_owned(),
            n => format!("{n} messages may have arrived, and are tried again with the same Message-ID"),
        };
        findings.push(Finding::fine("deliveries", message));
    }
    Ok(findings)
}

async fn paused(store: &Store) -> Result<Vec<Finding>> {
    let standing = brakes::standing(&mut store.read().await?).await?;
    let finding = |paused: brakes::Paused| {
        let message = format!("{} is paused since {}, by {}", paused.brake, paused.since, paused.author);
        Finding::warning("paused", message)
            .means("nothing of it leaves; it waits, and people go on through their journeys")
            .help("`fahrplan status` shows what waits, `fahrplan resume` lets it go on")
    };
    Ok(standing.into_iter().map(finding).collect())
}

/// Whether every mail that somebody may still get can be written.
async fn templates(store: &Store) -> Result<Vec<Finding>> {
    let mut conn = store.read().await?;
    let deployed = journeys::deployed(&mut conn).await?;
    if deployed.generation == 0 {
        return Ok(vec![
            Finding::warning("templates", "nothing is deployed")
                .means("nobody enters anything")
                .help("`fahrplan deploy`"),
        ]);
    }
    let mut used: BTreeSet<(Word, Word)> = BTreeSet::new();
    let resting = counts::resting(&mut conn).await?.into_iter().filter(|(_, count)| *count > 0);
    let inside = resting.filter_map(|(number, _)| deployed.program(number));
    for step in deployed.current.values().chain(inside).flat_map(|program| &program.steps) {
        let StepKind::Send(send) = &step.kind else { continue };
        let mails =
            |channel: &&Word| deployed.catalog.channels.get(*channel).is_some_and(Channel::is_by_mail);
        used.extend(
            send.channels.iter().filter(mails).map(|channel| (send.template.clone(), channel.clone())),
        );
    }
    let mut findings = Vec::new();
    for (template, channel) in &used {
        let is_there = |manifest: &Manifest| {
            manifest.files.keys().any(|path| path.starts_with(&format!("{template}/{channel}.")))
        };
        let mut found = is_there(&deployed.templates);
        // One that was taken away is still used for those on their way to it.
        if !found
            && let Some(nearest) = templates::nearest_with(&mut conn, template, deployed.generation).await?
        {
            found = is_there(&templates::manifest(&mut conn, nearest).await?);
        }
        if !found {
            findings.push(
                Finding::error("templates", format!("no template `{template}` for {channel} is deployed"))
                    .means("these messages wait, and are given up after five days")
                    .help("add it below `templates/` and run `fahrplan deploy`"),
            );
        }
    }
    if findings.is_empty() {
        let message =
            format!("deploy {}: all {} templates in use are there", deployed.generation, used.len());
        findings.push(Finding::fine("templates", message));
    }
    Ok(findings)
}

async fn restored(store: &Store, now: Timestamp) -> Result<Vec<Finding>> {
    let Some(copy) = home::look(store, now).await? else { return Ok(Vec::new()) };
    let made = copy.copied_at.map_or_else(String::new, |at| format!(", made at {at}"));
    Ok(vec![
        Finding::warning("restored", format!("this is a copy of another database{made}"))
            .means(format!(
                "what was sent since is not in it: {} messages, {} inputs that nobody had read, such as events, and {} timers of it may \
                 happen twice. Sending is paused when it is served",
                copy.unsent, copy.inputs, copy.due
            ))
            .help("see what waits (`fahrplan status`), then `fahrplan resume`"),
    ])
}
