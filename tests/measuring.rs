//! `fahrplan bench` from outside: the figures are there and belong to what was asked for.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::{empty_dir, fahrplan};

/// Processes of our program that know this folder.
fn processes_in(folder: &Path) -> usize {
    let names_it = |line: &[u8]| String::from_utf8_lossy(line).contains(&*folder.to_string_lossy());
    let processes = std::fs::read_dir("/proc").expect("there").filter_map(|entry| entry.ok());
    processes
        .filter(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| names_it(&line)))
        .count()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_measurement_that_is_stopped_leaves_no_daemon_and_no_database() {
    let dir = empty_dir();
    let bench = Command::new(env!("CARGO_BIN_EXE_fahrplan"))
        .args(["bench", "--park", "--contacts", "100"])
        .env_clear()
        .env("TMPDIR", dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut bench = bench.expect("the binary is built before the tests");
    until("a daemon", || processes_in(dir.path()) > 0);
    let told = Command::new("kill").arg(bench.id().to_string()).status();
    assert!(told.expect("kill is there").success());
    assert_eq!(bench.wait().expect("it ends").code(), Some(3));
    assert_eq!(processes_in(dir.path()), 0, "the daemon is still there");
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("there").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn those_who_are_parked_wait_beside_the_workload_and_are_no_part_of_its_figures() {
    let dir = empty_dir();
    let ran = fahrplan(dir.path(), &["bench", "--contacts", "40", "--parked", "250", "--against", "50"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let report: Value = serde_json::from_str(&ran.out).expect("figures are JSON");
    let workloads = report["workloads"].as_array().expect("a list");
    let [only] = workloads.as_slice() else { panic!("J alone, not {workloads:?}") };
    assert_eq!((&only["workload"], &only["transitions"]), (&Value::from("J"), &Value::from(40 * 6)));
    let parked = &only["parked"];
    assert_eq!(parked["contacts"], 250);
    for figure in ["import_seconds", "seconds", "contacts_per_second", "rss_mib", "peak_rss_mib"] {
        assert!(parked[figure].as_f64().is_some_and(|figure| figure > 0.0), "{figure}: {parked}");
    }
    assert!(parked["idle_cpu_percent"].is_number(), "{parked}");
    for ending in ["after_kill", "after_stop"] {
        assert!(parked["ready_ms"][ending].as_u64().is_some_and(|ms| ms > 0), "{ending}: {parked}");
    }
    let against = &only["against"];
    assert_eq!((&against["parked"], &against["transitions"]), (&Value::from(50), &Value::from(40 * 6)));
    let [beside_many, beside_few] =
        [only, against].map(|run| run["transitions_per_second"].as_f64().expect("a number"));
    let ratio = only["ratio_to_against"].as_f64().expect("a number");
    assert!((beside_many / beside_few - ratio).abs() < 0.02, "{beside_many} to {beside_few} is not {ratio}");
    for figure in ["imported", "parked"] {
        let bytes = parked["database_bytes_per_contact"][figure].as_u64().expect("a number");
        assert!((100..20_000).contains(&bytes), "{figure}: {bytes} bytes");
    }
    for (with, number) in [("--parked", "250"), ("--against", "50")] {
        let ran = fahrplan(dir.path(), &["bench", "--park", with, number]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    }
}

#[test]
fn what_comes_in_is_measured_beside_the_bare_insert() {
    let dir = empty_dir();
    for (mode, counted, figures) in [
        (
            "--ingest",
            ("events", 900),
            ["acknowledged_per_second", "taken_per_second", "bare_rows_per_second"],
        ),
        ("--import", ("contacts", 300), ["contacts_per_second", "bare_contacts_per_second", "ratio_to_bare"]),
    ] {
        let ran = fahrplan(dir.path(), &["bench", mode, "--contacts", "300"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let report: Value = serde_json::from_str(&ran.out).expect("figures are JSON");
        let only = &report["workloads"][0];
        assert_eq!(only[counted.0], counted.1, "{only}");
        for figure in figures {
            assert!(only[figure].as_f64().is_some_and(|figure| figure > 0.0), "{figure}: {only}");
        }
    }
    let ran = fahrplan(dir.path(), &["bench", "--ingest", "--import"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
}
