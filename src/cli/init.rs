//! `fahrplan init`: a new project with commented files that passes `check` and `test`.

use std::fs;
use std::path::Path;

use super::load::Project;
use super::{Exit, Failure, InitArgs, Outcome, print};

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        /// The files of a new project: path and text.
        const FILES: &[(&str, &str)] = &[$(($path, include_str!(concat!("init/", $path)))),*];
    };
}

files! {
    "fahrplan.toml",
    "schema.journey",
    "policies.journey",
    "journeys/welcome.journey",
    "templates/welcome/email.en.subject.hbs",
    "templates/welcome/email.en.preheader.hbs",
    "templates/welcome/email.en.html.hbs",
    "templates/first_order/email.en.subject.hbs",
    "templates/first_order/email.en.preheader.hbs",
    "templates/first_order/email.en.html.hbs",
    "templates/_parts/footer.hbs",
}

/// What git leaves alone: the database of `fahrplan.toml`.
const IGNORED: &str = "fahrplan.db*\n";

/// The line of `fahrplan.toml` that gets the name of the directory.
const NAME: &str = "name = \"my project\"";

/// A unit for systemd, with places for what it is about.
const UNIT: &str = include_str!("init/fahrplan.service");

/// Writes the files; nothing that exists is touched.
pub fn run(args: &InitArgs) -> Outcome {
    let dir = &args.dir;
    if args.systemd {
        print(&unit(&Project::of(std::slice::from_ref(dir))?)?)?;
        return Ok(Exit::Fine);
    }
    let all = FILES.iter().map(|(path, _)| path).chain([&".gitignore"]);
    if let Some(path) = all.map(|path| dir.join(path)).find(|path| path.exists() && !is_gitignore(path)) {
        let message = format!("{} is there already", path.display());
        return Err(Failure::usage(message).help("nothing was written; name another directory"));
    }
    let name = name_of(dir);
    for (path, text) in FILES {
        create(
            &dir.join(path),
            &text.replace(NAME, &format!("name = {}", toml::Value::from(name.as_str()))),
        )?;
    }
    if !dir.join(".gitignore").exists() {
        create(&dir.join(".gitignore"), IGNORED)?;
    }
    let mut out = format!("made a project in {}\n\n", dir.display());
    for (path, _) in FILES.iter().filter(|(path, _)| !path.starts_with("templates")) {
        out += &format!("  {path}\n");
    }
    out += "  templates/\n\nNext:\n";
    if dir != Path::new(".") {
        out += &format!("  cd {}\n", dir.display());
    }
    out += "  fahrplan check    find mistakes\n  fahrplan test     run the tests of the journeys\n  \
            $EDITOR journeys/welcome.journey\n";
    print(&out)?;
    Ok(Exit::Fine)
}

/// The unit of a project that exists.
fn unit(project: &Project) -> Result<String, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::world(error.to_string()))?;
    let (program, folder) = (program.display().to_string(), project.root.display().to_string());
    // systemd has its own way with these, and in some places none at all.
    let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+@:".contains(&b));
    if let Some(odd) = [&program, &folder].into_iter().find(|path| !is_plain(path)) {
        return Err(Failure::usage(format!("{odd} cannot stand in a unit of systemd"))
            .help("let the folders have names of letters, digits and . _ - alone"));
    }
    // Home directories are hidden, unless the project is in one.
    let is_in_home =
        ["/home/", "/root/"].iter().any(|home| folder.starts_with(home) || program.starts_with(home));
    let home = if is_in_home { "ProtectHome=read-only" } else { "ProtectHome=yes" };
    let name: String =
        project.config.project.name.chars().filter(|c| !c.is_control() && !"%\\".contains(*c)).collect();
    let unit = UNIT.replace("{program}", &program).replace("{folder}", &folder).replace("{home}", home);
    Ok(unit.replace("{name}", &name))
}

/// A project is called like its directory; where that has no name, as `/`, it is `project`.
fn name_of(dir: &Path) -> String {
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    whole.file_name().map_or_else(|| "project".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// A repository has one before it has a project; it stays as it is.
fn is_gitignore(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == ".gitignore")
}

fn create(path: &Path, text: &str) -> Result<(), Failure> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text))
        .map_err(|error| Failure::world(format!("{} cannot be written: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config;

    #[test]
    fn the_file_of_a_new_project_tells_of_every_key_and_has_no_mistake() {
        let text = FILES[0].1;
        let (_, problems) = config::Config::read(text, &BTreeMap::new());
        assert_eq!(problems, []);
        // Keys that are only shown are comments; without their marks they have to be right too.
        let shown: String = text
            .lines()
            .map(|line| match line.strip_prefix("#") {
                Some(rest) if rest.starts_with('[') || rest.contains(" = ") => rest,
                _ => line,
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let (config, problems) = config::Config::read(&shown, &BTreeMap::new());
        assert_eq!(problems, [], "{shown}");
        assert!(config.calendar.holidays.is_some() && config.calendar.region.is_some());
        assert!(!config.locales.is_empty() && !config.secrets.is_empty());
        assert!(config.smtp.from.is_some() && config.http.public_url.is_some());
    }
}
