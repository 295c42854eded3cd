//! The only reader of project files: finds `fahrplan.toml` upwards, reads everything that belongs to the project, and hands
//! it to the compiler as one [`Input`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use super::Failure;
use super::put::replace;
use crate::config::{self, Config, Problem, Secrets};
use crate::diagnostic::{Code, Diagnostic, FileId, Group, Sources, Span, suggest, tidy};
use crate::lang::{self, Compilation, Input, Settings};
use crate::time::Holidays;

/// A file of a project is text that somebody wrote; what is larger was put there by mistake.
const LARGEST: u64 = 16 << 20;

/// Spans count files in 16 bits.
const MOST_FILES: usize = 60_000;

/// Whoever has put more of them there knows.
const MOST_TOLD: usize = 20;

/// A project as it lies on the disk.
pub struct Project {
    /// The directory of `fahrplan.toml`.
    pub root: PathBuf,
    pub config: Config,
    /// The variables of the process, as read once.
    pub environment: BTreeMap<String, String>,
    pub input: Input,
    /// What could not be read as text.
    unreadable: Vec<Diagnostic>,
    /// Files that are not read and look as if they should be.
    near_misses: Vec<PathBuf>,
}

impl Project {
    /// The project that the paths lie in; the current directory's where there are none.
    pub fn of(paths: &[PathBuf]) -> Result<Project, Failure> {
        let here = [PathBuf::from(".")];
        let paths = if paths.is_empty() { &here[..] } else { paths };
        let mut roots = BTreeSet::new();
        for path in paths {
            roots.insert(root_of(path)?);
        }
        let mut roots = roots.into_iter();
        match (roots.next(), roots.next()) {
            (Some(root), None) => Project::at(root),
            (Some(one), Some(other)) => Err(Failure::usage(format!(
                "the paths belong to two projects, {} and {}",
                one.display(),
                other.display()
            ))),
            (None, _) => Err(Failure::usage("no path is given")),
        }
    }

    /// The project whose `fahrplan.toml` that is; its directory is the project.
    pub fn of_config(file: &Path) -> Result<Project, Failure> {
        match file.file_name() {
            Some(name) if name == config::FILE && file.parent() == Some(Path::new("")) => Project::of(&[]),
            Some(name) if name == config::FILE && file.is_file() => {
                Project::at(canonical(file.parent().unwrap_or(Path::new(".")))?)
            }
            _ => Err(Failure::usage(format!("{} is no {}", file.display(), config::FILE))),
        }
    }

    /// Where the database is: a SQLite file is relative to the project.
    pub fn database_url(&self) -> String {
        let url = &self.config.database.url;
        match url.strip_prefix("sqlite:") {
            Some(path) => format!("sqlite:{}", self.root.join(path.trim_start_matches("//")).display()),
            None => url.clone(),
        }
    }

    /// The file that stops all sending from this machine while it is there.
    pub fn switch(&self) -> PathBuf {
        self.root.join(&self.config.brakes.file)
    }

    /// The folder of the batches of letters.
    pub fn letters(&self) -> PathBuf {
        self.root.join(&self.config.letters.folder)
    }

    /// The folder of the batches of audiences.
    pub fn audiences(&self) -> PathBuf {
        self.root.join(&self.config.audiences.folder)
    }

    /// The templates: path below `templates/`, text.
    pub fn templates(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let text = |file: FileId| self.input.sources.text(file).to_owned();
        let templates = self.input.templates.iter().filter(|(path, _)| path.ends_with(".hbs"));
        templates.map(move |(path, file)| (path.clone(), text(*file)))
    }

    /// The scripts of tasks: path such as `calls/winback.md`, text.
    pub fn scripts(&self) -> BTreeMap<String, String> {
        let text = |file: FileId| self.input.sources.text(file).to_owned();
        let scripts = self.input.scripts.iter().flatten();
        scripts.map(|(path, file)| (path.clone(), text(*file))).collect()
    }

    /// Reads the project in that directory.
    pub fn at(root: PathBuf) -> Result<Project, Failure> {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
            .collect();
        let config = read_config(&root, &environment)?;
        let holidays = read_holidays(&root, &config)?;
        let settings = Settings {
            zone: config.project.zone.clone(),
            locale: config.project.locale.clone(),
            fallbacks: config.locales.clone(),
            holidays,
            brand: config.brand.keys().cloned().collect(),
        };
        let mut input = Input { settings, scripts: Some(BTreeMap::new()), ..Input::default() };
        let mut unreadable = Vec::new();
        let (paths, near_misses) = files(&root)?;
        for path in paths {
            let (text, mut findings) = read_text(&root, &path, FileId(input.sources.len() as u16))?;
            let shown = shown(&path);
            let file = input.sources.add(shown.clone(), text);
            unreadable.append(&mut findings);
            if let Some(template) = shown.strip_prefix("templates/") {
                input.templates.insert(template.to_owned(), file);
            } else if let Some(scripts) = input.scripts.as_mut().filter(|_| is_script(Path::new(&shown))) {
                scripts.insert(shown, file);
            }
        }
        // Findings about it have their place in it.
        if let Ok(text) = fs::read_to_string(root.join(config::FILE)) {
            input.sources.add(config::FILE.to_owned(), text);
        }
        Ok(Project { root, config, environment, input, unreadable, near_misses })
    }

    /// Compiles the project; what could not be read as text is among the findings.
    pub fn compile(&self) -> Compilation {
        let mut compilation = lang::compile(&self.input);
        let sources = &self.input.sources;
        let line = |span: Span| (span.file, sources.line_col(span.file, span.start).0);
        let broken: BTreeSet<_> = self.unreadable.iter().map(|finding| line(finding.primary.span)).collect();
        // A byte that is no text makes the statement around it unreadable; that is the same mistake.
        let is_echo = |finding: &Diagnostic| {
            finding.code.group() == Group::Text && broken.contains(&line(finding.primary.span))
        };
        compilation.diagnostics.retain(|finding| !is_echo(finding));
        compilation.diagnostics.extend(self.unreadable.iter().cloned());
        let outside = super::outside::findings(self, &compilation);
        compilation.diagnostics.extend(outside);
        tidy(&mut compilation.diagnostics);
        compilation
    }

    /// The files among or below the paths; all of them where there are none.
    pub fn selected(&self, paths: &[PathBuf]) -> Result<BTreeSet<FileId>, Failure> {
        let all = self.input.sources.iter().map(|(file, path, _)| (file, path));
        if paths.is_empty() {
            return Ok(all.map(|(file, _)| file).collect());
        }
        let mut wanted = Vec::new();
        for path in paths {
            let full = canonical(path)?;
            let own = full.strip_prefix(&self.root).map(shown).unwrap_or_default();
            if full.is_file() && own != config::FILE && self.input.sources.find(&own).is_none() {
                let message = format!("{} is no file of the project that is read", path.display());
                return Err(Failure::usage(message).help(NAMES));
            }
            wanted.push(full.strip_prefix(&self.root).map(Path::to_path_buf).unwrap_or_default());
        }
        let is_wanted = |path: &str| wanted.iter().any(|wanted| Path::new(path).starts_with(wanted));
        Ok(all.filter(|(_, path)| is_wanted(path)).map(|(file, _)| file).collect())
    }

    /// Tells, for people, which files are left out though they look like journeys.
    pub fn tell_near_misses(&self) {
        tell_near_misses(&self.near_misses);
    }

    /// Whether every byte of the file is in its text, so that writing it back loses nothing.
    pub fn is_readable(&self, file: FileId) -> bool {
        self.unreadable.iter().all(|finding| finding.primary.span.file != file)
    }

    /// Writes the new text of a file of the project.
    pub fn write(&self, file: FileId, text: &str) -> Result<(), Failure> {
        write(&self.root.join(self.input.sources.path(file)), text)
    }

    /// Where its secrets are found.
    pub fn secrets(&self) -> Secrets {
        Secrets::new(&self.config, &self.root, &self.environment)
    }

    /// Compiles, and refuses a project with errors: for all commands that run journeys.
    pub fn sound(&self) -> Result<Compilation, Failure> {
        let compilation = self.compile();
        match crate::diagnostic::count(&compilation.diagnostics)[0] {
            0 => Ok(compilation),
            1 => Err(Failure::findings("the project has an error").help("`fahrplan check` shows it")),
            n => {
                Err(Failure::findings(format!("the project has {n} errors"))
                    .help("`fahrplan check` shows them"))
            }
        }
    }
}

/// The texts of a project with no project around them: for `fmt` of single files and standard input.
pub fn read_alone(path: &Path) -> Result<(Sources, FileId, Vec<Diagnostic>), Failure> {
    let mut sources = Sources::new();
    let (text, findings) = read_text(Path::new(""), path, FileId(0))?;
    let file = sources.add(shown(path), text);
    Ok((sources, file, findings))
}

/// What the name of a file has to be like.
const NAMES: &str = "the name of a journey file ends in `.journey`, that of a template in `.hbs`";

fn tell_near_misses(paths: &[PathBuf]) {
    let mut err = anstream::stderr().lock();
    for path in paths {
        let _ =
            writeln!(err, "note: {} is not read: the name of a journey file ends in `.journey`", shown(path));
    }
}

/// All journey files below the paths, or the paths themselves; in order, each once. Tells of files that only look like some.
pub fn journey_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = BTreeSet::new();
    for path in paths {
        if path.is_dir() {
            let (files, near_misses) = files(path)?;
            tell_near_misses(&near_misses);
            let below = files.into_iter().filter(|file| is_journey(file));
            found.extend(below.map(|file| if path == Path::new(".") { file } else { path.join(file) }));
        } else {
            found.insert(path.clone());
        }
    }
    Ok(found.into_iter().collect())
}

/// Replaces a file as a whole: a crash leaves the old text or the new one.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let broken =
        |error: std::io::Error| Failure::world(format!("{} cannot be written: {error}", path.display()));
    let target = fs::canonicalize(path).map_err(broken)?;
    let mode = fs::metadata(&target).map_err(broken)?.permissions().mode();
    replace(&target, mode, text.as_bytes()).map_err(broken)
}

fn root_of(path: &Path) -> Result<PathBuf, Failure> {
    let full = canonical(path)?;
    let is_project = |dir: &&Path| dir.join(config::FILE).is_file();
    full.ancestors().find(is_project).map(Path::to_path_buf).ok_or_else(|| {
        let message = format!("no {} here or above ({})", config::FILE, full.display());
        Failure::usage(message).help("`fahrplan init` makes a new project")
    })
}

fn canonical(path: &Path) -> Result<PathBuf, Failure> {
    fs::canonicalize(path).map_err(|error| {
        let message = format!("{} cannot be opened: {error}", path.display());
        if error.kind() == std::io::ErrorKind::NotFound {
            Failure::usage(format!("there is no {}", path.display()))
        } else {
            Failure::world(message)
        }
    })
}

fn read_config(root: &Path, environment: &BTreeMap<String, String>) -> Result<Config, Failure> {
    let path = root.join(config::FILE);
    let text = fs::read_to_string(&path)
        .map_err(|error| Failure::world(format!("{} cannot be read: {error}", path.display())))?;
    let (config, problems) = Config::read(&text, environment);
    if problems.is_empty() { Ok(config) } else { Err(mistakes(config::FILE, &text, &problems)) }
}

fn read_holidays(root: &Path, config: &Config) -> Result<Option<Holidays>, Failure> {
    let Some(name) = &config.calendar.holidays else { return Ok(None) };
    let text = fs::read_to_string(root.join(name)).map_err(|error| {
        Failure::usage(format!("`calendar.holidays`: {} cannot be read: {error}", name.display()))
    })?;
    let read = config::holidays(&text, config.calendar.region.as_deref());
    read.map(Some).map_err(|problems| mistakes(&shown(name), &text, &problems))
}

/// Prints the mistakes of a file that is no journey, and says how many there are.
fn mistakes(path: &str, text: &str, problems: &[Problem]) -> Failure {
    let mut err = anstream::stderr().lock();
    for problem in problems {
        let _ = writeln!(err, "{}", problem.render(path, text, true));
    }
    let count =
        if problems.len() == 1 { "a mistake".to_owned() } else { format!("{} mistakes", problems.len()) };
    Failure::findings(format!("{path} has {count}"))
}

// ---------------------------------------------------------------- files

fn is_journey(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "journey")
}

fn is_template(path: &Path) -> bool {
    path.starts_with("templates") && path.extension().is_some_and(|extension| extension == "hbs")
}

/// Whether it is what somebody reads who calls: `calls/winback.de.md`.
fn is_script(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let is_markdown = path.extension().is_some_and(|extension| extension == "md");
    !hidden && is_markdown && path.parent() == Some(Path::new("calls"))
}

/// Whether it seems to be meant for a template, so that `check` can say why it is none: `email.de.html` without `.hbs`.
fn is_stray(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let says_part = |field: &str| matches!(field, "html" | "preheader" | "subject" | "text" | "txt");
    path.starts_with("templates") && !name.starts_with('.') && name.split('.').skip(2).any(says_part)
}

/// Whether it was probably meant for a journey: `welcome.journey.txt`, `Welcome.Journey`, `welcome.jorney`. What editors
/// leave behind is no mistake.
fn is_near_miss(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let left_behind = name.starts_with(['.', '#', '~']) || name.ends_with('~') || name.ends_with(".new");
    let last = name.rsplit_once('.').map_or("", |(_, last)| last);
    !left_behind
        && !is_journey(path)
        && (name.split('.').skip(1).any(|part| part == "journey") || suggest::is_slip(last, "journey"))
}

/// The files of a project, relative to it: schema and policies first, then journeys, then templates, each in order; and
/// those that are no part of it but look like journeys.
fn files(root: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Failure> {
    let (mut found, mut near_misses) = (Vec::new(), Vec::new());
    walk(root, Path::new(""), &mut found, &mut near_misses)?;
    near_misses.sort();
    let rank = |path: &Path| match shown(path).as_str() {
        "schema.journey" => 0,
        "policies.journey" => 1,
        _ if is_journey(path) => 2,
        _ if is_script(path) => 4,
        _ => 3,
    };
    found.sort_by(|a, b| (rank(a), a).cmp(&(rank(b), b)));
    Ok((found, near_misses))
}

/// Hidden directories, build output and projects inside the project are no part of it.
fn walk(
    root: &Path,
    below: &Path,
    found: &mut Vec<PathBuf>,
    near_misses: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    let dir = root.join(below);
    let broken = |error: std::io::Error| Failure::world(format!("{} cannot be read: {error}", dir.display()));
    for entry in fs::read_dir(&dir).map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let name = entry.file_name();
        let path = below.join(&name);
        let kind = entry.file_type().map_err(broken)?;
        if kind.is_dir() {
            let skipped =
                name.to_string_lossy().starts_with('.') || name == "target" || name == "node_modules";
            if !skipped && !root.join(&path).join(config::FILE).is_file() {
                walk(root, &path, found, near_misses)?;
            }
        } else if (is_journey(&path) || is_template(&path) || is_script(&path) || is_stray(&path))
            && root.join(&path).is_file()
        {
            found.push(path);
        } else if is_near_miss(&path) && near_misses.len() < MOST_TOLD {
            near_misses.push(path);
        }
        if found.len() > MOST_FILES {
            return Err(Failure::usage(format!("a project has at most {MOST_FILES} files")));
        }
    }
    Ok(())
}

/// The path as messages show it: with `/` on every system.
fn shown(path: &Path) -> String {
    let parts = path.components().map(|part| match part {
        Component::RootDir => String::new(),
        part => part.as_os_str().to_string_lossy().into_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

fn read_text(root: &Path, path: &Path, file: FileId) -> Result<(String, Vec<Diagnostic>), Failure> {
    let full = root.join(path);
    let broken = |error: std::io::Error| {
        let message = format!("{} cannot be read: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::NotFound => Failure::usage(format!("there is no {}", path.display())),
            _ => Failure::world(message),
        }
    };
    if fs::metadata(&full).map_err(broken)?.len() > LARGEST {
        let message = format!("this file is larger than {} MiB and was not read", LARGEST >> 20);
        return Ok((String::new(), vec![Diagnostic::new(Code::E0001, Span::at(file, 0), message)]));
    }
    Ok(as_text(file, fs::read(&full).map_err(broken)?))
}

/// The bytes as text. What is no UTF-8 becomes a stand-in, so that the rest can still be checked, and a finding.
fn as_text(file: FileId, bytes: Vec<u8>) -> (String, Vec<Diagnostic>) {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let finding = Diagnostic::new(Code::E0001, Span::at(file, 0), "this file is UTF-16, not UTF-8")
            .help("save it with the encoding UTF-8");
        return (String::new(), vec![finding]);
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return (text, Vec::new()),
        Err(error) => error.into_bytes(),
    };
    let (mut text, mut findings, mut lines) = (String::new(), Vec::new(), BTreeSet::new());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if let Some(&byte) = chunk.invalid().first() {
            let start = text.len() as u32;
            text.push('\u{fffd}');
            if lines.insert(text.matches('\n').count()) && findings.len() < 20 {
                findings.push(not_utf8(Span::new(file, start, text.len() as u32), byte));
            }
        }
    }
    (text, findings)
}

fn not_utf8(span: Span, byte: u8) -> Diagnostic {
    // What Western editors wrote before UTF-8; 0x80 to 0x9f hold the typographic characters of Windows.
    let guess = match byte {
        0x80..=0x9f => Some("Windows-1252"),
        0xa0..=0xff => Some("Latin-1 or Windows-1252"),
        _ => None,
    };
    let help = match guess {
        Some(encoding) => {
            format!("the file seems to be saved as {encoding}; save it with the encoding UTF-8")
        }
        None => "save the file with the encoding UTF-8".to_owned(),
    };
    Diagnostic::new(Code::E0001, span, "this line is not UTF-8 text")
        .label(format!("the byte {byte:#04x} means no character"))
        .help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_costs_its_line_and_nothing_else() {
        let (text, findings) = as_text(FileId(3), b"a\nGr\xfc\xdfe \xfc\nb\n\xff".to_vec());
        assert_eq!(text, "a\nGr\u{fffd}\u{fffd}e \u{fffd}\nb\n\u{fffd}");
        let starts: Vec<_> = findings.iter().map(|finding| finding.primary.span.start).collect();
        assert_eq!(starts, [4, 18], "one for each line");
        assert!(findings[0].help.as_deref().unwrap_or("").contains("Latin-1"));
        assert_eq!(as_text(FileId(0), "grün".into()).1, []);
        assert_eq!(as_text(FileId(0), b"\xff\xfea\0".to_vec()).1.len(), 1);
    }

    #[test]
    fn paths_are_shown_with_slashes() {
        assert_eq!(shown(Path::new("journeys").join("a.journey").as_path()), "journeys/a.journey");
        assert_eq!(shown(Path::new("/tmp/a")), "/tmp/a");
    }
}
