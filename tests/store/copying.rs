//! Copies of a database that is in use, and what is known of one that was restored.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fahrplan::clock::machine_now;
use fahrplan::store::copy::{self, NoCopy};
use fahrplan::store::{Store, home};
use tokio_util::sync::CancellationToken;

use super::{Database, on_all};
use crate::cli::{empty_dir, fahrplan, project_on};

/// Puts a backup where it can be opened: a file as it is, a dump into a database of its own.
async fn restore(database: &Database, backup: &Path, name: &str) -> Database {
    if database.url.starts_with("sqlite:") {
        let url = format!("sqlite:{}", backup.display());
        return Database { url, buckets: database.buckets, _directory: None };
    }
    let server = std::env::var("FAHRPLAN_TEST_POSTGRES").expect("it is set");
    super::run(&server, &format!("CREATE DATABASE {name}")).await;
    let at = |url: &str| {
        let (place, options) =
            url.split_once('?').map_or((url, String::new()), |(place, o)| (place, format!("?{o}")));
        let (host, _) = place.rsplit_once('/').expect("a URL names a database");
        format!("{host}/{name}{options}")
    };
    let ran =
        Command::new("pg_restore").arg("--no-owner").arg("--dbname").arg(at(&server)).arg(backup).output();
    let ran = ran.expect("pg_restore is there");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    Database { url: at(&database.url), buckets: database.buckets, _directory: None }
}

async fn drop_database(name: &str) {
    if let Some(server) = std::env::var("FAHRPLAN_TEST_POSTGRES").ok().filter(|server| server != "skip") {
        super::run(&server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
    }
}

/// Writes two rows in each transaction until it is stopped: any moment of the database has as many of one kind as of the other.
async fn write_pairs(store: &Store, stop: &CancellationToken) -> i64 {
    let mut written = 0;
    while !stop.is_cancelled() {
        let mut tx = store.write().await.expect("a transaction");
        for prefix in ["a", "b"] {
            const PUT: &str =
                "INSERT INTO suppressions (address, channel, purpose, reason, at) VALUES ($1, 1, 0, $2, 0)";
            let address = format!("{prefix}{written}");
            tx.exec(PUT, vec![address.into(), prefix.into()]).await.expect("written");
        }
        tx.commit().await.expect("committed");
        written += 1;
    }
    written
}

async fn pairs(store: &Store) -> (i64, i64) {
    const COUNT: &str = "SELECT COUNT(*) FROM suppressions WHERE reason = $1";
    let mut conn = store.read().await.expect("a connection");
    let mut count = async |kind: &str| {
        let rows = conn.fetch(COUNT, vec![kind.into()]).await.expect("counted");
        rows[0].i64(0).expect("a number")
    };
    (count("a").await, count("b").await)
}

#[test]
fn a_copy_is_of_one_moment_while_others_write_and_knows_that_it_is_one() {
    on_all(async |database| {
        let dir = empty_dir();
        let file = dir.path().join("backup");
        let store = database.open().await;
        assert_eq!(home::settle(&store, machine_now()).await.expect("settled"), None);
        let stop = CancellationToken::new();
        let copying = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let copied = copy::make(&database.url, &file, machine_now()).await;
            stop.cancel();
            copied
        };
        let (written, copied) = tokio::join!(write_pairs(&store, &stop), copying);
        let copied = copied.expect("copied");
        assert_eq!(copied.bytes, file.metadata().expect("there").len());
        assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(names(dir.path()), ["backup"]);
        // The original is where it was.
        assert_eq!(home::look(&store, machine_now()).await.expect("looked"), None);

        let name = format!("restored_{}", std::process::id());
        let restored = restore(&database, &file, &name).await;
        let copy = restored.open().await;
        let (a, b) = pairs(&copy).await;
        assert!(a == b && 0 < a && a <= written, "{a} and {b} of {written}");
        assert_eq!(copy.settings(), store.settings());
        let told = home::look(&copy, machine_now()).await.expect("looked").expect("it is a copy");
        assert_eq!(told.copied_at.is_some(), database.url.starts_with("sqlite:"));
        assert_eq!(home::settle(&copy, machine_now()).await.expect("settled"), Some(told));
        assert_eq!(home::settle(&copy, machine_now()).await.expect("settled"), None);
        assert_eq!(home::look(&copy, machine_now()).await.expect("looked"), None);
        copy.close().await;
        drop_database(&name).await;
    });
}

#[test]
fn a_file_that_is_moved_is_at_home_and_one_that_is_copied_is_not() {
    on_all(async |database| {
        let Some(path) = database.url.strip_prefix("sqlite:").map(PathBuf::from) else { return };
        let store = database.open().await;
        assert_eq!(home::settle(&store, machine_now()).await.expect("settled"), None);
        store.close().await;
        let told = async |path: &Path| {
            let store = Store::open(&format!("sqlite:{}", path.display())).await.expect("opened");
            let told = home::look(&store, machine_now()).await.expect("looked");
            store.close().await;
            told
        };
        let (moved, copied) = (path.with_file_name("moved.db"), path.with_file_name("copied.db"));
        std::fs::rename(&path, &moved).expect("moved");
        assert_eq!(told(&moved).await, None);
        std::fs::copy(&moved, &copied).expect("copied");
        // Where the file system does not know when a file was made, nobody can tell.
        if copied.metadata().expect("there").created().is_ok() {
            assert!(told(&copied).await.is_some());
        }
        assert_eq!(told(&moved).await, None);
    });
}

fn names(dir: &Path) -> Vec<String> {
    let files = std::fs::read_dir(dir).expect("read");
    let mut names: Vec<String> =
        files.map(|file| file.expect("read").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_writes_over_nothing_and_leaves_no_half_of_itself() {
    on_all(async |database| {
        let store = database.open().await;
        let mut tx = store.write().await.expect("a transaction");
        const FILL: &str =
            "INSERT INTO suppressions (address, channel, purpose, reason, at) VALUES ($1, $2, 0, $3, 0)";
        for n in 0..500_i64 {
            tx.exec(FILL, vec![n.to_string().into(), n.into(), "x".repeat(9_000).into()])
                .await
                .expect("filled");
        }
        tx.commit().await.expect("committed");
        let dir = project_on(&database.url);
        std::fs::write(dir.path().join("there"), "mine").expect("written");
        let ran = fahrplan(dir.path(), &["backup", "there"]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains("there is there already"), "{}", ran.err);
        assert_eq!(std::fs::read(dir.path().join("there")).expect("there"), b"mine");
        assert!(fahrplan(dir.path(), &["backup", "no/such/folder"]).code == 3);

        // Killed at some moment: it is whole, or not there.
        let (mut whole, mut none) = (0, 0);
        for wait in [0, 2, 5, 10, 20, 40, 80, 160, 400] {
            let file = dir.path().join(format!("killed{wait}"));
            let mut child = Command::new(env!("CARGO_BIN_EXE_fahrplan"))
                .arg("backup")
                .arg(&file)
                .current_dir(dir.path())
                .env_clear()
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the binary is built before the tests");
            tokio::time::sleep(Duration::from_millis(wait)).await;
            child.kill().expect("killed");
            child.wait().expect("gone");
            match file.metadata() {
                Ok(made) => {
                    whole += 1;
                    assert!(made.len() > 10_000, "{wait}: {}", made.len());
                }
                Err(_) => none += 1,
            }
            // What is left of it is in nobody's way.
            if none > 0 && !file.exists() {
                let again = fahrplan(dir.path(), &["backup", &format!("killed{wait}")]);
                assert_eq!((again.code, again.err.as_str()), (0, ""), "{wait}");
                assert!(again.out.contains("sending starts paused"), "{}", again.out);
            }
        }
        assert!(none > 0, "nothing was killed half-way, {whole} were too quick");
        // Killed right after it was done, one may leave the second name of its copy.
        let is_half = |name: &String| {
            name.strip_suffix(".part")
                .map_or(name.contains(".part"), |whole| !dir.path().join(whole).exists())
        };
        assert!(!names(dir.path()).iter().any(is_half), "{:?}", names(dir.path()));
        let again = copy::make(&database.url, &dir.path().join("killed0"), machine_now()).await;
        assert!(matches!(again, Err(NoCopy::Exists)));
    });
}

#[test]
fn a_finished_copy_is_safe_from_what_a_killed_one_left_beside_it() {
    on_all(async |database| {
        database.open().await;
        let dir = project_on(&database.url);
        let at = |name: &str| dir.path().join(name);
        assert_eq!(fahrplan(dir.path(), &["backup", "monday"]).code, 0);
        let monday = std::fs::read(at("monday")).expect("there");
        // Killed before it could take the first name away; and somebody puts the copy in a safe place and wants another one.
        std::fs::hard_link(at("monday"), at("monday.part")).expect("named twice");
        std::fs::rename(at("monday"), at("safe")).expect("renamed");
        let again = fahrplan(dir.path(), &["backup", "monday"]);
        assert_eq!((again.code, again.err.as_str()), (0, ""));
        assert!(std::fs::read(at("safe")).expect("there") == monday, "the copy of before was written over");
        assert!(!at("monday.part").exists());
    });
}

#[test]
fn what_is_not_there_cannot_be_copied() {
    let dir = project_on("sqlite:test.db");
    let ran = fahrplan(dir.path(), &["backup", "copy"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("test.db does not exist yet"), "{}", ran.err);
    assert_eq!(names(dir.path()), ["fahrplan.toml"]);
}
