//! `fahrplan bench` from outside: the figures are there and belong to what was asked for.

use serde_json::Value;

use crate::cli::{empty_dir, fahrplan};

#[test]
fn those_who_are_parked_wait_beside_the_workload_and_are_no_part_of_its_figures() {
    let dir = empty_dir();
    let ran = fahrplan(dir.path(), &["bench", "--contacts", "40", "--parked", "250"]);
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
    for figure in ["imported", "parked"] {
        let bytes = parked["database_bytes_per_contact"][figure].as_u64().expect("a number");
        assert!((100..20_000).contains(&bytes), "{figure}: {bytes} bytes");
    }
    let ran = fahrplan(dir.path(), &["bench", "--park", "--parked", "250"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
}
