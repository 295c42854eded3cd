//! The bugs that prove the simulator strong: patches against the present source, see `tests/bugs/run`.

use std::fs;
use std::path::Path;

/// One place of a patch: the file, what stands there, and what stands there then.
struct Place {
    path: String,
    old: String,
    new: String,
}

fn places(patch: &str) -> Vec<Place> {
    let (mut places, mut path) = (Vec::new(), String::new());
    for line in patch.lines() {
        if let Some(name) = line.strip_prefix("+++ b/") {
            path = name.to_owned();
        } else if line.starts_with("@@ ") {
            places.push(Place { path: path.clone(), old: String::new(), new: String::new() });
        } else if line.starts_with("--- ") {
        } else if let Some(place) = places.last_mut() {
            let (sign, text) = line.split_at(line.len().min(1));
            if sign != "+" {
                place.old += &format!("{text}\n");
            }
            if sign != "-" {
                place.new += &format!("{text}\n");
            }
        }
    }
    places
}

#[test]
fn every_patch_finds_its_place_in_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in fs::read_dir(root.join("tests/bugs")).expect("the patches are there") {
        let patch = entry.expect("readable").path();
        if patch.extension().is_none_or(|ending| ending != "patch") {
            continue;
        }
        count += 1;
        let text = fs::read_to_string(&patch).expect("readable");
        let places = places(&text);
        assert!(!places.is_empty(), "{} changes nothing", patch.display());
        for Place { path, old, new } in places {
            let source = fs::read_to_string(root.join(&path)).expect(&path);
            let found = source.matches(&old).count();
            assert_eq!(
                found,
                1,
                "{}: this stands {found} times in {path}; make the patch anew, so that it is the same bug:\n{old}",
                patch.display()
            );
            assert_ne!(old, new, "{} changes nothing in {path}", patch.display());
        }
    }
    assert_eq!(count, 12, "the twelve bugs of the issue");
}
