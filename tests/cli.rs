//! The command line from outside: whole output and exit codes.

use std::path::Path;
use std::process::{Command, Stdio};

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn fahrplan(dir: &Path, args: &[&str]) -> Ran {
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

pub(crate) fn empty_dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A project that is nothing but a database.
pub(crate) fn project_on(url: &str) -> tempfile::TempDir {
    let dir = empty_dir();
    let toml = format!("[project]\nname = \"test\"\n[database]\nurl = \"{url}\"\n");
    std::fs::write(dir.path().join("fahrplan.toml"), toml).expect("written");
    dir
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
fn shells_complete_what_there_is() {
    let dir = empty_dir();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = fahrplan(dir.path(), &["completions", shell]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert!(ran.out.contains("completions") && ran.out.contains("dry-run"), "{shell}: {}", ran.out);
    }
    assert_eq!(fahrplan(dir.path(), &["completions", "cmd"]).code, 2);
}

#[test]
fn a_file_that_cannot_be_read_is_not_in_canonical_layout_and_the_others_are_looked_at() {
    let dir = empty_dir();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    write("fahrplan.toml", "[project]\nname = \"test\"\n");
    write("a.journey", "journey a {\n  enter on signed_up\n  reenter nevr\n}\n");
    write("b.journey", "event b { id: id }\n");
    write("c.journey", "event   c { id: id }\n");
    let ran = fahrplan(dir.path(), &["fmt", "--check"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.out, "c.journey\n1 of 2 files would change\n1 file cannot be read, so nobody can say\n");
    assert!(ran.err.contains("a.journey:3:11") && ran.err.contains("did you mean `never`?"), "{}", ran.err);
    write("c.journey", "event c { id: id }\n");
    assert_eq!(fahrplan(dir.path(), &["fmt", "--check"]).code, 1);
    assert_eq!(with_input(dir.path(), &["fmt", "--check", "-"], "journey a {\n").code, 1);
}

#[test]
fn a_file_whose_name_is_almost_that_of_a_journey_is_told() {
    let dir = empty_dir();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    write("fahrplan.toml", "[project]\nname = \"test\"\n");
    write("a.journey", "# nothing yet\n");
    for name in ["b.journey.txt", "C.Journey", "d.journey.bak", "e.jorney", "notes.txt", ".f.journey.swp"] {
        write(name, "event b { id: id }\n");
    }
    for command in [&["check"][..], &["fmt", "--check"]] {
        let ran = fahrplan(dir.path(), command);
        let told: Vec<&str> =
            ran.err.lines().filter_map(|line| line.strip_prefix("note: ")?.split(' ').next()).collect();
        assert_eq!(
            (ran.code, told),
            (0, vec!["C.Journey", "b.journey.txt", "d.journey.bak", "e.jorney"]),
            "{}",
            ran.err
        );
    }
    assert_eq!(fahrplan(dir.path(), &["check", "--format", "json"]).err, "");
    let ran = fahrplan(dir.path(), &["check", "b.journey.txt"]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert!(ran.err.contains("b.journey.txt is no file of the project that is read"), "{}", ran.err);
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
    assert!(String::from_utf8_lossy(&before).contains("name = \"shop\"\n"), "it is called like its folder");
    let again = fahrplan(dir.path(), &["init", "shop"]);
    assert_eq!(again.code, 2);
    assert_eq!(
        again.err,
        "error: shop/fahrplan.toml is there already\nhelp: nothing was written; name another directory\n"
    );
    assert_eq!(std::fs::read(dir.path().join("shop/fahrplan.toml")).expect("still there"), before);
}

// ---------------------------------------------------------------- projects

/// A new project, as `init` makes it.
fn project() -> tempfile::TempDir {
    let dir = empty_dir();
    let ran = fahrplan(dir.path(), &["init"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    dir
}

fn write(dir: &Path, file: &str, text: &[u8]) {
    std::fs::write(dir.join(file), text).expect("the directory is writable");
}

fn read(dir: &Path, file: &str) -> String {
    std::fs::read_to_string(dir.join(file)).expect("the file is there")
}

const WELCOME: &str = "journeys/welcome.journey";

#[test]
fn a_new_project_passes_check_fmt_and_test() {
    let dir = project();
    let check = fahrplan(dir.path(), &["check", "--deny", "warnings"]);
    assert_eq!((check.code, check.out.as_str()), (0, "1 journey, 2 templates, 5 tests: no findings\n"));
    let fmt = fahrplan(dir.path(), &["fmt", "--diff"]);
    assert_eq!((fmt.code, fmt.out.as_str()), (0, "3 files in canonical layout\n"));
    let test = fahrplan(dir.path(), &["test", "--coverage"]);
    assert_eq!((test.code, test.err.as_str()), (0, ""), "{}", test.out);
    assert!(test.out.contains("\n5 tests: 5 passed; "), "{}", test.out);
    assert!(test.out.contains("welcome  3 of 3 exits, 4 of 4 branches"), "{}", test.out);
}

#[test]
fn commands_find_the_project_from_below_and_say_when_there_is_none() {
    let dir = project();
    let check = fahrplan(&dir.path().join("journeys"), &["check"]);
    assert_eq!(check.code, 0, "{}", check.err);
    let nowhere = empty_dir();
    let check = fahrplan(nowhere.path(), &["check"]);
    assert_eq!((check.code, check.out.as_str()), (2, ""));
    assert!(check.err.starts_with("error: no fahrplan.toml here or above"), "{}", check.err);
    assert!(check.err.ends_with("help: `fahrplan init` makes a new project\n"), "{}", check.err);
    let check = fahrplan(dir.path(), &["check", "nothing.journey"]);
    assert_eq!((check.code, check.err.as_str()), (2, "error: there is no nothing.journey\n"));
}

#[test]
fn a_mistake_in_fahrplan_toml_is_told_with_its_line() {
    let dir = project();
    let text = read(dir.path(), "fahrplan.toml").replace("locale = ", "locael = ");
    write(dir.path(), "fahrplan.toml", text.as_bytes());
    let check = fahrplan(dir.path(), &["check"]);
    assert_eq!(check.code, 1);
    assert!(
        check.err.contains("error: unknown key `locael` in `[project]`\n --> fahrplan.toml:7:1\n"),
        "{}",
        check.err
    );
    assert!(check.err.contains("= help: did you mean `locale`?\n"), "{}", check.err);
    assert!(check.err.ends_with("error: fahrplan.toml has a mistake\n"), "{}", check.err);
}

#[test]
fn check_tells_every_mistake_and_fails_and_fix_mends_what_needs_no_thought() {
    let dir = project();
    let good = read(dir.path(), WELCOME);
    let bad = good
        .replace("\n  send email first_order", "\n  sned email first_order")
        .replace("14 days", "14 dyas");
    write(dir.path(), WELCOME, bad.as_bytes());
    let check = fahrplan(dir.path(), &["check", "--format", "concise"]);
    assert_eq!(check.code, 1);
    let codes: Vec<&str> = check.out.lines().filter_map(|line| line.split(['[', ']']).nth(1)).collect();
    assert_eq!(codes, ["E0006", "E0001"], "{}", check.out);
    let fixed = fahrplan(dir.path(), &["check", "--fix"]);
    assert_eq!(fixed.code, 0, "{}", fixed.out);
    assert!(fixed.out.contains("mended 2 findings\n"), "{}", fixed.out);
    assert_eq!(read(dir.path(), WELCOME), good);
}

#[test]
fn every_format_of_check_is_what_its_readers_expect() {
    let dir = project();
    let bad = read(dir.path(), WELCOME).replace("14 days", "14 dyas");
    write(dir.path(), WELCOME, bad.as_bytes());
    let run = |format: &str| {
        let ran = fahrplan(dir.path(), &["check", "--format", format]);
        assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{format}");
        ran.out
    };
    let json: Vec<serde_json::Value> =
        run("json").lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    assert_eq!((json.len(), &json[0]["code"], &json[0]["file"]), (1, &"E0001".into(), &WELCOME.into()));
    let sarif: serde_json::Value = serde_json::from_str(&run("sarif")).expect("JSON");
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "E0001");
    assert!(run("github").starts_with("::error "));
    let gitlab: serde_json::Value = serde_json::from_str(&run("gitlab")).expect("JSON");
    assert_eq!(gitlab.as_array().map(Vec::len), Some(1));
    assert!(run("human").contains(&format!("--> {WELCOME}:")));
}

#[test]
fn a_file_in_another_encoding_costs_its_line_and_the_rest_goes_on() {
    let dir = project();
    let text = read(dir.path(), "schema.journey")
        .replace("Somebody opened an account", "Jemand er@ffnete ein Konto");
    let bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'@' { 0xf6 } else { byte }).collect();
    write(dir.path(), "schema.journey", &bytes);
    let bad = read(dir.path(), WELCOME).replace("14 days", "14 dyas");
    write(dir.path(), WELCOME, bad.as_bytes());
    let check = fahrplan(dir.path(), &["check", "--format", "concise"]);
    assert_eq!(check.code, 1);
    let lines: Vec<&str> = check.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", check.out);
    assert!(lines[0].starts_with("schema.journey:") && lines[0].contains("is not UTF-8"), "{}", check.out);
    assert!(lines[1].starts_with(WELCOME), "{}", check.out);
}

#[test]
fn fmt_checks_shows_and_writes_the_canonical_layout() {
    let dir = project();
    let good = read(dir.path(), WELCOME);
    let ugly = good
        .replace("  send email welcome as hello", "     send   email welcome   as hello")
        .replace('\n', "\r\n");
    write(dir.path(), WELCOME, ugly.as_bytes());
    let check = fahrplan(dir.path(), &["fmt", "--check"]);
    assert_eq!(
        (check.code, check.out.as_str()),
        (1, "journeys/welcome.journey\n1 of 3 files would change\n")
    );
    let diff = fahrplan(dir.path(), &["fmt", "--diff", WELCOME]);
    assert_eq!(diff.code, 1);
    assert!(diff.out.contains("\n+  send email welcome as hello\n"), "{}", diff.out);
    assert_eq!(read(dir.path(), WELCOME), ugly, "nothing was written");
    let stdin = with_input(dir.path(), &["fmt", "-"], &ugly);
    assert_eq!((stdin.code, stdin.out.as_str()), (0, good.as_str()));
    let written = fahrplan(dir.path(), &["fmt"]);
    assert_eq!((written.code, written.out.as_str()), (0, "journeys/welcome.journey\n1 of 3 files changed\n"));
    assert_eq!(read(dir.path(), WELCOME), good);
    assert_eq!(fahrplan(dir.path(), &["fmt", "--check"]).code, 0);
}

#[test]
fn a_failing_test_shows_expected_and_happened_on_one_time_line() {
    let dir = project();
    let text = read(dir.path(), WELCOME)
        .replace("expect send email first_order at 09:00", "expect send email first_order at 10:00");
    write(dir.path(), WELCOME, text.as_bytes());
    let ran = fahrplan(dir.path(), &["test"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    assert!(ran.out.contains("5 tests: 4 passed, 1 failed; "), "{}", ran.out);
    let json = fahrplan(dir.path(), &["test", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((&document["passed"], &document["failed"]), (&4.into(), &1.into()));
    let junit = fahrplan(dir.path(), &["test", "--format", "junit"]);
    assert!(
        junit.out.contains("<testsuites name=\"fahrplan\" tests=\"5\" failures=\"1\" errors=\"0\">"),
        "{}",
        junit.out
    );
}

#[test]
fn a_link_that_leads_nowhere_yet_is_refused_with_its_place() {
    let dir = empty_dir();
    assert_eq!(fahrplan(dir.path(), &["init"]).code, 0);
    let file = "templates/welcome/email.en.html.hbs";
    let text = read(dir.path(), file) + "<a href=\"{{links.browser}}\">Read it as a page</a>\n";
    write(dir.path(), file, text.as_bytes());
    let ran = fahrplan(dir.path(), &["check"]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains("E0009") && ran.out.contains("links.browser"), "{}", ran.out);
}
