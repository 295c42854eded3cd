//! The floors hold: a file uses its own floor and those below, and nothing pure touches the world.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up. Rooms of one floor may use each other unless listed in [`APART`].
const FLOORS: &[&[&str]] = &[
    &["value", "time", "id"],
    &["diagnostic"],
    &["engine"],
    &["lang"],
    &["clock", "config", "intake", "link", "story"],
    &["store", "channels"],
    &["daemon", "http"],
    &["cli"],
];

/// Rooms that do not know each other though their floors would allow it.
const APART: &[(&str, &str)] =
    &[("store", "channels"), ("channels", "store"), ("http", "channels"), ("http", "daemon")];

/// What no pure room may name.
const WORLD: &[&str] = &[
    "sqlx",
    "rusqlite",
    "tokio",
    "std::fs",
    "std::env",
    "std::net",
    "SystemTime",
    "Instant::now",
    "lettre",
    "axum",
    "reqwest",
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("src is there").map(|entry| entry.expect("readable").path()) {
        if entry.is_dir() {
            rust_files(&entry, found);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            found.push(entry);
        }
    }
}

/// Files of src with their room; `lib.rs` and `main.rs` stand above all.
fn rooms() -> BTreeMap<PathBuf, (String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let room = |path: &Path| {
        let first = path.strip_prefix(&src).expect("below src").components().next().expect("a name");
        first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
    };
    let with_text = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("readable");
        let name = room(&path);
        (path, (name, text))
    };
    files.into_iter().map(with_text).filter(|(_, (room, _))| room != "lib" && room != "main").collect()
}

#[test]
fn every_room_has_a_floor_and_the_map_names_it() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("readable");
    for (path, (room, _)) in rooms() {
        assert!(floor(&room).is_some(), "{} is in no room of tests/house.rs", path.display());
        assert!(
            map.contains(&format!("{room} ")) || map.contains(&format!("`{room}`")),
            "the map in src/lib.rs does not name {room}"
        );
    }
}

#[test]
fn nobody_looks_upwards() {
    let mut wrong = Vec::new();
    for (path, (room, text)) in rooms() {
        for (number, line) in text.lines().enumerate() {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let apart = APART.contains(&(room.as_str(), used.as_str()));
                if apart || floor(&used) > floor(&room) {
                    wrong.push(format!("{}:{}: {room} uses {used}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_do_not_touch_the_world() {
    let lang = floor("lang");
    let mut wrong = Vec::new();
    for (path, (room, text)) in rooms() {
        if floor(&room) > lang {
            continue;
        }
        let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, line) in code {
            for word in WORLD.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{}: {room} names {word}", path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
