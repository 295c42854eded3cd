//! Files that no editor of ours has written, through the command: always an answer, with the exit code that fits.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::{Ran, empty_dir, fahrplan};

const SCHEMA: &str = "contact { email: email? }\nevent signed_up { source: text }\n";
const JOURNEY: &str = "journey a {\n  enter on signed_up\n  reenter never\n  exit as done\n}\n\
                       test \"in and out\" for a {\n  given contact { email: \"ada@example.org\" }\n  \
                       at 2026-03-02T10:00 event signed_up { source: \"web\" }\n  expect exit as done\n}\n";

/// Checks a project whose journey file has these bytes.
fn check(bytes: &[u8]) -> Ran {
    let dir = empty_dir();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("written");
    write("fahrplan.toml", b"[project]\nname = \"test\"\n");
    write("schema.journey", SCHEMA.as_bytes());
    write("a.journey", bytes);
    run(dir.path())
}

fn run(dir: &Path) -> Ran {
    fahrplan(dir, &["check", "--format", "concise"])
}

#[test]
fn line_ends_and_marks_of_other_systems_are_accepted() {
    assert_eq!(check(JOURNEY.as_bytes()).code, 0);
    let windows = format!("\u{feff}{}", JOURNEY.replace('\n', "\r\n"));
    let ran = check(windows.as_bytes());
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("I0005"), "{}", ran.out);
    let old_mac = check(JOURNEY.replace('\n', "\r").as_bytes());
    assert!(old_mac.code <= 1, "{}{}", old_mac.out, old_mac.err);
}

#[test]
fn what_is_no_text_is_answered() {
    for bytes in
        [&[0_u8; 4096][..], b"journey a {\n  enter on \xff\xfe\n}\n", b"\xff\xfej\0o\0u\0r\0", b"\xc3"]
    {
        let begin = Instant::now();
        let ran = check(bytes);
        assert!(matches!(ran.code, 1 | 2), "{}: {}{}", ran.code, ran.out, ran.err);
        assert!(ran.out.contains("a.journey") || ran.err.contains("a.journey"), "{}{}", ran.out, ran.err);
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(check(b"").code, 0, "an empty file says nothing wrong");
}

#[test]
fn ten_thousand_levels_are_refused_and_forty_read() {
    let nested = |levels: usize, open: &str, close: &str| {
        format!(
            "journey a {{\n  enter on signed_up\n  reenter never\n{}{}  exit as done\n}}\n",
            open.repeat(levels),
            close.repeat(levels)
        )
    };
    for (open, close) in [
        ("if contact.email is known {\n", "}\n"),
        ("repeat up to 2 times {\nwait 1 day\n", "}\n"),
        ("if (", ") { }\n"),
        ("if not ", "contact.email is known { }\n"),
        ("send email x with { a: { ", "} }\n"),
        ("add [", "] to contact.email\n"),
        ("{", "}"),
        ("}", "{"),
    ] {
        let begin = Instant::now();
        let ran = check(nested(10_000, open, close).as_bytes());
        assert_eq!(ran.code, 1, "{open}: {}", ran.err);
        assert!(ran.out.lines().count() <= 210, "{open}: {} findings", ran.out.lines().count());
        assert!(begin.elapsed() < Duration::from_secs(20), "{open} took {:?}", begin.elapsed());
    }
    let fine = check(nested(40, "if contact.email is known {\n", "}\n").as_bytes());
    assert!(!fine.out.contains("E0001"), "{}", fine.out);
}

#[test]
fn a_file_with_ten_thousand_mistakes_tells_the_first_two_hundred() {
    let ran =
        check(format!("journey a {{\n  enter on signed_up\n{}}}\n", "  sned\n".repeat(10_000)).as_bytes());
    assert_eq!(ran.out.lines().filter(|line| line.contains("error[")).count(), 200, "{}", ran.err);
}

#[test]
fn loops_in_loops_are_measured_once_and_no_sum_overflows() {
    let (open, close) = ("repeat up to 9000 times {\nwait 9000000 years\n".repeat(35), "}\n".repeat(35));
    let text = format!(
        "journey a {{\n  enter on signed_up\n  reenter never\n  lasts up to 3 days\n{open}{close}  exit as done\n}}\n"
    );
    let begin = Instant::now();
    let ran = check(text.as_bytes());
    assert!(ran.code == 1 && ran.out.contains("E0403"), "{}{}", ran.out, ran.err);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}
