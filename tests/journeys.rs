//! The living sample project and what the documents show cannot rot.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use fahrplan::config::Config;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// The fenced blocks of a Markdown file in that language, each with the line where it begins.
fn fenced(markdown: &str, language: &str) -> Vec<(usize, String)> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for (number, line) in markdown.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(word), None) => open = Some((word == language, number + 2, String::new())),
            (Some(_), Some(_)) => {
                blocks.extend(open.take().filter(|(ours, ..)| *ours).map(|(_, at, text)| (at, text)))
            }
            (None, Some((_, _, text))) => text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

#[test]
fn the_configuration_of_the_shop_and_of_the_readme_is_read_without_complaint() {
    let readme = read("README.md");
    let shown = fenced(&readme, "toml");
    assert_eq!(shown.len(), 1);
    for text in [read("journeys/fahrplan.toml"), shown[0].1.clone()] {
        let (config, problems) = Config::read(&text, &BTreeMap::new());
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!((config.project.name.as_str(), config.project.zone.as_str()), ("shop", "Europe/Berlin"));
        assert_eq!(config.locales["de-AT"], ["de", "en"]);
    }
}

#[test]
fn the_samples_are_what_their_script_writes() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("journeys/samples/generate.py");
    let run = Command::new("python3").arg(script).arg("--check").output().expect("tests/run installs Python");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}
