//! Commands that look into the database or change it, from outside.

use std::path::Path;

use crate::cli::{Ran, empty_dir, fahrplan};

/// A project with its own SQLite file.
fn project() -> tempfile::TempDir {
    let dir = empty_dir();
    std::fs::write(dir.path().join("fahrplan.toml"), "[project]\nname = \"test\"\n").expect("written");
    dir
}

fn fine(dir: &Path, args: &[&str]) -> String {
    let ran = fahrplan(dir, args);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    ran.out
}

fn refused(dir: &Path, args: &[&str]) -> String {
    let Ran { code, out, err } = fahrplan(dir, args);
    assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
    err
}

#[test]
fn a_key_is_shown_once_listed_without_itself_and_revoked() {
    let dir = project();
    let dir = dir.path();
    let nothing = fine(dir, &["key", "list"]);
    assert_eq!(nothing, "There are no keys. `fahrplan key create --scope ingest` makes one.\n");
    let secret = fine(dir, &["key", "create", "--scope", "ingest", "--scope", "read", "--name", "shop"]);
    let secret = secret.trim_end();
    assert!(secret.starts_with("fp_") && !secret.contains(char::is_whitespace), "{secret}");
    let id = &secret[..11];

    let list = fine(dir, &["key", "list"]);
    let lines: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect())
        .collect();
    assert_eq!(lines[0], ["id", "name", "scopes", "created", "used"]);
    assert_eq!((lines[1][..3].to_vec(), lines[1][4]), (vec![id, "shop", "ingest, read"], "never"));
    let json = fine(dir, &["key", "list", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((json[0]["id"].as_str(), json[0]["good"].as_bool()), (Some(id), Some(true)));
    assert!(!list.contains(secret) && !json.to_string().contains(&secret[12..]));

    assert_eq!(fine(dir, &["key", "revoke", secret]), format!("{id} is refused from now on.\n"));
    assert!(fine(dir, &["key", "list"]).trim_end().ends_with("revoked"));
    let again = refused(dir, &["key", "revoke", id]);
    assert!(again.contains(&format!("there is no key `{id}` that could be revoked")), "{again}");
    assert_eq!(fahrplan(dir, &["key", "create", "--scope", "everything"]).code, 2);
}

#[test]
fn a_database_command_outside_of_a_project_says_so() {
    let dir = empty_dir();
    assert!(refused(dir.path(), &["key", "list"]).contains("no fahrplan.toml here or above"));
}
