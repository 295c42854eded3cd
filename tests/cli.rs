//! The command line from outside: whole output and exit codes.

use std::path::Path;
use std::process::{Command, Stdio};

/// What a command did.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn fahrplan(dir: &Path, args: &[&str]) -> Ran {
    with_input(dir, args, "")
}

fn with_input(dir: &Path, args: &[&str], input: &str) -> Ran {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_fahrplan"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary is built before the tests");
    let written = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let done = child.wait_with_output().expect("it ends");
    written.expect("it reads its input");
    let text = |bytes| String::from_utf8(bytes).expect("all output is UTF-8");
    Ran { code: done.status.code().unwrap_or(-1), out: text(done.stdout), err: text(done.stderr) }
}

fn empty_dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

#[test]
fn used_wrongly_is_2_and_says_what_was_meant() {
    let dir = empty_dir();
    let ran = fahrplan(dir.path(), &["chekc"]);
    let expected = "error: there is no command `chekc`, did you mean `check`?\nhelp: `fahrplan help` lists all commands\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (2, "", expected));
    let ran = fahrplan(dir.path(), &["simulate", "--contacts", "9"]);
    assert_eq!((ran.code, ran.err.as_str()), (2, "error: `simulate` is not available yet\n"));
    assert_eq!(fahrplan(dir.path(), &[]).code, 2);
    assert_eq!(fahrplan(dir.path(), &["check", "--format", "xml"]).code, 2);
    let help = fahrplan(dir.path(), &["--help"]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("Exit codes: 0 fine, 1 findings"), "{}", help.out);
}

#[test]
fn explain_knows_codes_and_names_and_offers_the_near_miss() {
    let dir = empty_dir();
    let by_code = fahrplan(dir.path(), &["explain", "e0501"]);
    assert_eq!(by_code.code, 0);
    assert!(by_code.out.starts_with("E0501 "), "{}", by_code.out);
    let name = by_code.out.split([' ', ':']).nth(1).expect("the name follows the code");
    assert_eq!(fahrplan(dir.path(), &["explain", name]).out, by_code.out);
    let wrong = fahrplan(dir.path(), &["explain", "W0501"]);
    assert_eq!(
        (wrong.code, wrong.err.as_str()),
        (2, "error: there is no code `W0501`, did you mean `E0501`?\n")
    );
    let group = fahrplan(dir.path(), &["explain", "E022"]);
    assert_eq!(group.code, 2);
}

#[test]
fn init_writes_a_project_and_touches_nothing_that_is_there() {
    let dir = empty_dir();
    let ran = fahrplan(dir.path(), &["init", "shop"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("cd shop\n") && ran.out.contains("journeys/welcome.journey"), "{}", ran.out);
    let before = std::fs::read(dir.path().join("shop/fahrplan.toml")).expect("written");
    let again = fahrplan(dir.path(), &["init", "shop"]);
    assert_eq!(again.code, 2);
    assert_eq!(
        again.err,
        "error: shop/fahrplan.toml is there already\nhelp: nothing was written; name another directory\n"
    );
    assert_eq!(std::fs::read(dir.path().join("shop/fahrplan.toml")).expect("still there"), before);
}
