//! `fahrplan.toml`: one struct, each key documented once; the environment overrides the file.
//!
//! Reading is pure: text and environment come in as arguments, and every mistake comes out with its line. Unknown keys are
//! refused, since a misspelled key that does nothing is worse than one that does not work. Secrets stand in no file of
//! the project: [`Secrets`] finds them in the environment or in a file that `[secrets]` names.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::diagnostic::did_you_mean;
use crate::time::{Date, Holidays, Zone};

/// The name of the file that makes a directory a project.
pub const FILE: &str = "fahrplan.toml";

/// Every variable of ours begins so.
const PREFIX: &str = "FAHRPLAN_";

/// The whole of `fahrplan.toml`. It has no `Debug`: URLs may carry passwords.
#[derive(Clone, Default)]
pub struct Config {
    pub project: Project,
    /// Fallbacks by locale, `"de-AT" = ["de", "en"]`: the first that has the template.
    pub locales: BTreeMap<String, Vec<String>>,
    pub calendar: Calendar,
    pub database: Database,
    pub http: Http,
    pub smtp: Smtp,
    /// `crm_file = "keys/crm"` answers `"secret:crm"` in the schema; relative to the project.
    pub secrets: BTreeMap<String, PathBuf>,
    /// Free texts about the sender, which templates write as `{{brand.name}}`.
    pub brand: BTreeMap<String, String>,
}

/// What the project is, and where "project time" is told.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Project {
    /// A short name, shown in pages and reports.
    pub name: String,
    /// The IANA zone of "project time", and of a contact whose own is unknown.
    #[serde(deserialize_with = "zone")]
    pub zone: String,
    /// The language of a contact whose own is unknown.
    pub locale: String,
}

/// When people work.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calendar {
    /// A CSV file of holidays with the columns `date,region`, relative to the project.
    pub holidays: Option<PathBuf>,
    /// Only holidays of this region, and those without one; all of them where it is not set.
    pub region: Option<String>,
}

/// Where everything is kept.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `sqlite:fahrplan.db`, relative to the project, or `postgres://user@host/database`.
    #[serde(deserialize_with = "database_url")]
    pub url: String,
}

/// The doors: HTTP.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port to listen on.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Where links in mails lead: confirm, unsubscribe, click. Without it, the address of `listen`.
    #[serde(deserialize_with = "public_url")]
    pub public_url: Option<String>,
}

/// How mail leaves.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smtp {
    /// `smtp://host:25`, `starttls://host:587` or `smtps://host:465`, with `user:password@` before the host if need be.
    #[serde(deserialize_with = "smtp_url")]
    pub url: String,
    /// The sender of all mail: `Shop <news@example.org>`. `serve` asks for it as soon as a journey sends mail.
    pub from: Option<String>,
    /// How many connections may be open at once.
    #[serde(deserialize_with = "connections")]
    pub connections: u16,
}

impl Default for Project {
    fn default() -> Self {
        Project { name: "project".to_owned(), zone: "UTC".to_owned(), locale: "en".to_owned() }
    }
}

impl Default for Database {
    fn default() -> Self {
        Database { url: "sqlite:fahrplan.db".to_owned() }
    }
}

impl Default for Http {
    fn default() -> Self {
        Http { listen: SocketAddr::from(([127, 0, 0, 1], 8600)), public_url: None }
    }
}

impl Default for Smtp {
    fn default() -> Self {
        Smtp { url: "smtp://127.0.0.1:25".to_owned(), from: None, connections: 4 }
    }
}

impl Config {
    /// Reads the text of a `fahrplan.toml` and lays the environment over it. All mistakes are found at once; where there is
    /// one, the default stands in its place.
    pub fn read(text: &str, environment: &BTreeMap<String, String>) -> (Config, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut config = Config::default();
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => return (config, vec![Problem::reworded("", &error)]),
        };
        let mut sections: BTreeMap<&str, Spanned<DeValue<'_>>> = BTreeMap::new();
        for (name, value) in table {
            match SECTIONS.iter().find(|section| **section == name.get_ref().as_ref()) {
                Some(section) => drop(sections.insert(section, value)),
                None => problems.push(unknown_section(name.get_ref(), name.span())),
            }
        }
        let mut reader = Reader { sections, environment, problems };
        config.project = reader.section("project");
        config.locales = reader.section("locales");
        config.calendar = reader.section("calendar");
        config.database = reader.section("database");
        config.http = reader.section("http");
        config.smtp = reader.section("smtp");
        config.secrets = reader.section::<SecretFiles>("secrets").0;
        config.brand = reader.section("brand");
        let mut problems = reader.problems;
        problems.extend(misspelled_variables(environment));
        problems.sort_by_key(|problem| problem.place.as_ref().map_or(usize::MAX, |place| place.start));
        (config, problems)
    }

    /// Where links in mails lead, without a slash at the end.
    pub fn public_url(&self) -> String {
        let own = || format!("http://{}", self.http.listen);
        self.http.public_url.clone().unwrap_or_else(own).trim_end_matches('/').to_owned()
    }
}

const SECTIONS: [&str; 8] =
    ["project", "locales", "calendar", "database", "http", "smtp", "secrets", "brand"];

/// Keys that belong to a later release, with what to do until then.
const LATER: [(&str, &str); 5] = [
    ("smtp.dkim", "let the mail server behind `smtp.url` sign"),
    ("environments", "use one `fahrplan.toml` and the environment for what differs"),
    ("lints", "silence a single finding with `# allow CODE: why` on the line above"),
    ("limits", "leave the section out"),
    ("language", "leave the key out"),
];

struct Reader<'a> {
    sections: BTreeMap<&'a str, Spanned<DeValue<'a>>>,
    environment: &'a BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn section<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        let value =
            self.sections.remove(name).unwrap_or_else(|| Spanned::new(0..0, DeValue::Table(DeTable::new())));
        let plain = toml::Table::deserialize(ValueDeserializer::from(value.clone()));
        let read = match T::deserialize(ValueDeserializer::from(value)) {
            Ok(read) => read,
            Err(error) => {
                self.problems.push(Problem::reworded(name, &error));
                return T::default();
            }
        };
        let overrides = overrides(name, self.environment);
        match plain {
            Ok(table) if !overrides.is_empty() => self.overridden(table, &overrides).unwrap_or(read),
            _ => read,
        }
    }

    /// The section with the variables laid over it, one by one, so that a mistake is told of its variable.
    fn overridden<T: DeserializeOwned>(
        &mut self,
        mut table: toml::Table,
        overrides: &[(&str, String, &str)],
    ) -> Option<T> {
        let mut read = None;
        for (variable, key, text) in overrides {
            let before = table.clone();
            let result = candidates(text).into_iter().map(|value| {
                table.insert(key.clone(), value);
                T::deserialize(toml::Value::Table(table.clone()))
            });
            let (good, bad): (Vec<_>, Vec<_>) = result.partition(Result::is_ok);
            match (good.into_iter().flatten().next(), bad.into_iter().find_map(Result::err)) {
                (Some(value), _) => read = Some(value),
                (None, error) => {
                    table = before;
                    let why = error.map_or(String::new(), |error| error.message().to_owned());
                    self.problems.push(Problem::of_variable(variable, &why));
                }
            }
        }
        read
    }
}

/// The variables of a section: name, key, text.
fn overrides<'a>(
    section: &str,
    environment: &'a BTreeMap<String, String>,
) -> Vec<(&'a str, String, &'a str)> {
    if section == "locales" {
        return Vec::new(); // locale names have hyphens, which no variable can have
    }
    let prefix = format!("{PREFIX}{}_", section.to_uppercase());
    let of_section = |(name, text): (&'a String, &'a String)| {
        let key = name.strip_prefix(&prefix).filter(|key| !key.is_empty())?;
        Some((name.as_str(), key.to_lowercase(), text.as_str()))
    };
    environment.iter().filter_map(of_section).collect()
}

/// What the text of a variable may mean: a number, or a text. Both are tried; the key's type decides.
fn candidates(text: &str) -> Vec<toml::Value> {
    let number = text.parse().map(toml::Value::Integer).ok();
    number.into_iter().chain([toml::Value::String(text.to_owned())]).collect()
}

/// Variables that begin like ours and that are nearly, but not quite, one that we know. What is far from all of ours may
/// belong to somebody else and is left alone.
fn misspelled_variables(environment: &BTreeMap<String, String>) -> Vec<Problem> {
    let ours = environment.keys().filter_map(|name| Some((name, name.strip_prefix(PREFIX)?)));
    let known = |rest: &str| {
        rest == "LOG"
            || rest.starts_with("SECRET_")
            || SECTIONS.iter().any(|section| rest.starts_with(&format!("{}_", section.to_uppercase())))
    };
    let problem = |(name, rest): (&String, &str)| {
        let section = rest.split('_').next().unwrap_or(rest).to_lowercase();
        let near = did_you_mean(&section, SECTIONS)?;
        let message = format!("the environment variable `{name}` belongs to no section");
        let help = format!("did you mean `{PREFIX}{}_…`?", near.to_uppercase());
        Some(Problem { place: None, message, help: Some(help) })
    };
    ours.filter(|(_, rest)| !known(rest)).filter_map(problem).collect()
}

// ---------------------------------------------------------------- values that have a shape

fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match Zone::named(&name) {
        Some(_) => Ok(name),
        None => Err(D::Error::custom(format!("`{name}` is no time zone; write one such as `Europe/Berlin`"))),
    }
}

fn database_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let schemes = ["sqlite:", "postgres://", "postgresql://"];
    url(deserializer, &schemes, "`sqlite:FILE` or `postgres://USER@HOST/DATABASE`")
}

fn smtp_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let schemes = ["smtp://", "starttls://", "smtps://"];
    url(deserializer, &schemes, "`smtp://HOST:25`, `starttls://HOST:587` or `smtps://HOST:465`")
}

fn public_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    url(deserializer, &["http://", "https://"], "an address such as `https://mail.example.org`").map(Some)
}

/// The message does not repeat the text: a URL may carry a password.
fn url<'de, D: Deserializer<'de>>(
    deserializer: D,
    schemes: &[&str],
    expected: &str,
) -> Result<String, D::Error> {
    let url = String::deserialize(deserializer)?;
    match schemes.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) {
        true => Ok(url),
        false => Err(D::Error::custom(format!("this URL cannot be used; write {expected}"))),
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = |_| D::Error::custom(format!("`{text}` is no address and port, such as `127.0.0.1:8600`"));
    text.replace("localhost:", "127.0.0.1:").parse().map_err(wrong)
}

fn connections<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match u16::deserialize(deserializer)? {
        number @ 1..=1_000 => Ok(number),
        number => Err(D::Error::custom(format!("{number} connections are not possible; 1 to 1000 are"))),
    }
}

/// The keys of `[secrets]` end in `_file`; the rest of the key is the name.
#[derive(Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, PathBuf>")]
struct SecretFiles(BTreeMap<String, PathBuf>);

impl TryFrom<BTreeMap<String, PathBuf>> for SecretFiles {
    type Error = String;

    fn try_from(keys: BTreeMap<String, PathBuf>) -> Result<Self, String> {
        let name = |(key, path): (String, PathBuf)| match key.strip_suffix("_file") {
            Some(name) if !name.is_empty() => Ok((name.to_owned(), path)),
            _ => Err(format!(
                "`{key}` would put a secret into a file of the project; write `{key}_file = \"keys/{key}\"`, or set \
                 {PREFIX}SECRET_{} in the environment",
                key.to_uppercase()
            )),
        };
        keys.into_iter().map(name).collect::<Result<_, _>>().map(SecretFiles)
    }
}

// ---------------------------------------------------------------- mistakes

/// A mistake in `fahrplan.toml` or in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the text, as bytes; `None` for the environment.
    pub place: Option<Range<usize>>,
    pub message: String,
    pub help: Option<String>,
}

impl Problem {
    /// What the reader of TOML says, in words that an author understands.
    fn reworded(section: &str, error: &toml::de::Error) -> Problem {
        let place = error.span();
        let message = error.message();
        match message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
            Some((key, rest)) => unknown_key(section, key, rest, place),
            None => {
                let message = message.lines().map(str::trim).collect::<Vec<_>>().join(", ");
                Problem { place, message, help: None }
            }
        }
    }

    fn of_variable(variable: &str, why: &str) -> Problem {
        let message = match why.strip_prefix("unknown field `") {
            Some(_) => format!("the environment variable `{variable}` names no key"),
            None => format!("the environment variable `{variable}` cannot be used: {why}"),
        };
        Problem { place: None, message, help: None }
    }

    /// As shown on a terminal: the line with carets under the place.
    pub fn render(&self, path: &str, text: &str, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let group = Level::ERROR.primary_title(self.message.as_str());
        let snippet = self.place.clone().map(|place| {
            let end = place.end.min(text.len());
            let mark = AnnotationKind::Primary.span(place.start.min(end)..end);
            Snippet::source(text).path(path).annotation(mark)
        });
        let help = self.help.as_deref().map(|help| Level::HELP.message(help));
        let mut group = group.elements(snippet);
        if let Some(help) = help {
            group = group.element(help);
        }
        renderer.render(&[group]) + "\n"
    }
}

fn unknown_section(name: &str, place: Range<usize>) -> Problem {
    if let Some(problem) = not_yet(name, Some(place.clone())) {
        return problem;
    }
    let help = match did_you_mean(name, SECTIONS) {
        Some(near) => format!("did you mean `[{near}]`?"),
        None => format!("the sections are {}", SECTIONS.join(", ")),
    };
    Problem { place: Some(place), message: format!("unknown section `{name}`"), help: Some(help) }
}

/// `expected` is the tail of serde's message, which lists the known keys in backticks.
fn unknown_key(section: &str, key: &str, expected: &str, place: Option<Range<usize>>) -> Problem {
    if let Some(problem) = not_yet(&format!("{section}.{key}"), place.clone()) {
        return problem;
    }
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let help = match did_you_mean(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the keys of `[{section}]` are {}", known.join(", ")),
    };
    Problem { place, message: format!("unknown key `{key}` in `[{section}]`"), help: Some(help) }
}

fn not_yet(name: &str, place: Option<Range<usize>>) -> Option<Problem> {
    let (_, instead) = LATER.iter().find(|(later, _)| *later == name)?;
    let help = Some((*instead).to_owned());
    Some(Problem { place, message: format!("`{name}` is not available yet"), help })
}

// ---------------------------------------------------------------- holidays

/// Reads a CSV of holidays with the columns `date` and `region`; other columns and the order do not matter. With a region, its
/// days and those without one count.
pub fn holidays(text: &str, region: Option<&str>) -> Result<Holidays, Vec<Problem>> {
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let column = |headers: &csv::StringRecord, name: &str| headers.iter().position(|header| header == name);
    let whole =
        |message: String| vec![Problem { place: Some(0..text.find('\n').unwrap_or(0)), message, help: None }];
    let headers = reader.headers().map_err(|error| whole(error.to_string()))?;
    let Some(date_at) = column(headers, "date") else {
        return Err(whole("the first line must name a column `date`, as in `date,region`".to_owned()));
    };
    let region_at = column(headers, "region");
    let (mut days, mut problems) = (Holidays::default(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(|error| whole(error.to_string()))?;
        let cell = record.get(date_at).unwrap_or_default();
        let own = region_at.and_then(|at| record.get(at)).unwrap_or_default();
        let counts = own.is_empty() || region.is_none_or(|region| region == own);
        match cell.parse::<Date>() {
            Ok(date) if counts => drop(days.0.insert(date)),
            Ok(_) => {}
            Err(_) => {
                let start = record.position().map_or(0, |place| place.byte() as usize);
                let message = format!("`{cell}` is no date; write one such as 2026-12-25");
                problems.push(Problem { place: Some(start..start + cell.len()), message, help: None });
            }
        }
    }
    if problems.is_empty() { Ok(days) } else { Err(problems) }
}

// ---------------------------------------------------------------- secrets

/// A secret. It cannot be printed by accident: there is no `Debug` and no `Display`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret itself, for the one place that uses it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Where secrets are found: `FAHRPLAN_SECRET_NAME`, else the file that `[secrets] name_file` names.
#[derive(Clone, Default)]
pub struct Secrets {
    variables: BTreeMap<String, Secret>,
    files: BTreeMap<String, PathBuf>,
}

/// A secret that is named but cannot be had.
#[derive(Debug)]
pub enum NoSecret {
    /// Neither variable nor key exists.
    Missing,
    /// The file that the key names cannot be read.
    Unreadable(PathBuf, std::io::Error),
}

impl Secrets {
    /// The secrets of a project whose files are relative to `root`.
    pub fn new(config: &Config, root: &Path, environment: &BTreeMap<String, String>) -> Secrets {
        let variable = |(name, text): (&String, &String)| {
            let name = name.strip_prefix(PREFIX)?.strip_prefix("SECRET_")?;
            Some((name.to_lowercase(), Secret::new(text.clone())))
        };
        let file = |(name, path): (&String, &PathBuf)| (name.clone(), root.join(path));
        Secrets {
            variables: environment.iter().filter_map(variable).collect(),
            files: config.secrets.iter().map(file).collect(),
        }
    }

    /// The secret of that name. A file is read anew each time, so that it can be exchanged; a line end at its end is no part
    /// of the secret.
    pub fn get(&self, name: &str) -> Result<Secret, NoSecret> {
        if let Some(secret) = self.variables.get(&name.to_lowercase()) {
            return Ok(secret.clone());
        }
        let path = self.files.get(name).ok_or(NoSecret::Missing)?;
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Secret::new(text.trim_end_matches(['\n', '\r']))),
            Err(error) => Err(NoSecret::Unreadable(path.clone(), error)),
        }
    }

    /// A URL or text of the schema: `secret:name` is looked up, everything else is taken as it stands.
    pub fn resolve(&self, text: &str) -> Result<Secret, NoSecret> {
        match text.strip_prefix("secret:") {
            Some(name) => self.get(name),
            None => Ok(Secret::new(text)),
        }
    }
}

impl fmt::Display for NoSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoSecret::Missing => f.write_str("it is neither in the environment nor in `[secrets]`"),
            NoSecret::Unreadable(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn said(text: &str) -> String {
        let (_, problems) = Config::read(text, &BTreeMap::new());
        problems.iter().map(|problem| problem.render(FILE, text, false)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"
            [project]
            name = "shop"
            zone = "Europe/Berlin"
            locale = "de"
            [locales]
            "de-AT" = ["de", "en"]
            [calendar]
            holidays = "holidays.csv"
            region = "DE-BE"
            [database]
            url = "postgres://fahrplan@db/shop"
            [http]
            listen = "0.0.0.0:80"
            public_url = "https://mail.example.org/"
            [smtp]
            url = "starttls://mail:587"
            from = "Shop <news@example.org>"
            connections = 8
            [secrets]
            crm_file = "keys/crm"
            [brand]
            name = "Shop"
        "#;
        let (config, problems) = Config::read(text, &BTreeMap::new());
        assert_eq!(problems, []);
        assert_eq!(config.locales["de-AT"], ["de", "en"]);
        assert_eq!(config.public_url(), "https://mail.example.org");
        assert_eq!((config.smtp.connections, config.http.listen.port()), (8, 80));
        assert_eq!(config.secrets["crm"], PathBuf::from("keys/crm"));
        assert_eq!(config.calendar.region.as_deref(), Some("DE-BE"));
    }

    #[test]
    fn one_mistake_in_each_section_is_told_with_its_line_and_a_way_out() {
        let text = "[project]\nzone = \"Europe/Berln\"\n\n[databse]\nurl = \"sqlite:x.db\"\n\n[smtp]\nconections = 4\n";
        assert_eq!(
            said(text),
            "\
error: `Europe/Berln` is no time zone; write one such as `Europe/Berlin`
 --> fahrplan.toml:2:8
  |
2 | zone = \"Europe/Berln\"
  |        ^^^^^^^^^^^^^^

error: unknown section `databse`
 --> fahrplan.toml:4:2
  |
4 | [databse]
  |  ^^^^^^^
  |
  = help: did you mean `[database]`?

error: unknown key `conections` in `[smtp]`
 --> fahrplan.toml:8:1
  |
8 | conections = 4
  | ^^^^^^^^^^
  |
  = help: did you mean `connections`?
"
        );
    }

    #[test]
    fn what_is_not_built_is_refused_by_its_name() {
        let text = said("[smtp.dkim]\nselector = \"s1\"\n");
        assert!(text.contains("`smtp.dkim` is not available yet"), "{text}");
        assert!(said("[environments.test]\n").contains("`environments` is not available yet"));
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated_and_a_secret_in_the_file_is_refused() {
        let text = "[smtp]\nurl = \"smpt://me:hunter2@mail\"\n";
        let (_, problems) = Config::read(text, &BTreeMap::new());
        assert!(!problems[0].message.contains("hunter2"), "{problems:?}");
        let text = said("[secrets]\ncrm = \"s3cret\"\n");
        assert!(text.contains("write `crm_file = \"keys/crm\"`"), "{text}");
    }

    #[test]
    fn the_environment_is_stronger_than_the_file() {
        let variables = environment(&[
            ("FAHRPLAN_DATABASE_URL", "sqlite:other.db"),
            ("FAHRPLAN_SMTP_CONNECTIONS", "9"),
            ("FAHRPLAN_BRAND_NAME", "7"),
            ("FAHRPLAN_HTTP_LISTEN", "127.0.0.1:1"),
            ("FAHRPLAN_LOG", "json"),
            ("FAHRPLAN_TEST_POSTGRES", "x"),
        ]);
        let (config, problems) = Config::read("[database]\nurl = \"sqlite:a.db\"\n", &variables);
        assert_eq!(problems, []);
        assert_eq!((config.database.url.as_str(), config.smtp.connections), ("sqlite:other.db", 9));
        assert_eq!((config.brand["name"].as_str(), config.http.listen.port()), ("7", 1));
    }

    #[test]
    fn a_variable_that_cannot_be_used_is_told_by_its_name() {
        let variables = environment(&[
            ("FAHRPLAN_DATABSE_URL", "sqlite:x.db"),
            ("FAHRPLAN_HTTP_LISTEN", "8600"),
            ("FAHRPLAN_SMTP_FORM", "x"),
        ]);
        let (_, problems) = Config::read("", &variables);
        let told: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        for name in variables.keys() {
            assert!(told.iter().any(|message| message.contains(name)), "{name}: {told:?}");
        }
    }

    #[test]
    fn broken_toml_has_a_place() {
        let text = said("[project\nname = 1\n");
        assert!(text.contains("fahrplan.toml:1:9"), "{text}");
    }

    #[test]
    fn holidays_of_a_region_are_those_without_one_too() {
        let text = "date,region\n2026-12-25,\n2026-06-04,DE-BY\n2026-03-08,DE-BE\n";
        let berlin = holidays(text, Some("DE-BE")).expect("dates");
        assert_eq!(berlin.0.len(), 2);
        assert_eq!(holidays(text, None).expect("dates").0.len(), 3);
        let wrong = holidays("date,region\n25.12.2026,\n", None).expect_err("no date");
        assert_eq!((wrong.len(), wrong[0].place.clone()), (1, Some(12..22)));
        assert!(holidays("day\n2026-12-25\n", None).is_err());
    }

    #[test]
    fn a_secret_comes_from_the_environment_before_the_file() {
        let (config, _) = Config::read("[secrets]\ncrm_file = \"nowhere\"\n", &BTreeMap::new());
        let variables = environment(&[("FAHRPLAN_SECRET_CRM", "s3cret")]);
        let secrets = Secrets::new(&config, Path::new("/"), &variables);
        assert_eq!(
            secrets.resolve("secret:crm").map(|s| s.reveal().to_owned()).ok(),
            Some("s3cret".to_owned())
        );
        let secrets = Secrets::new(&config, Path::new("/"), &BTreeMap::new());
        assert!(matches!(secrets.get("crm"), Err(NoSecret::Unreadable(..))));
        assert!(matches!(secrets.get("sms"), Err(NoSecret::Missing)));
    }
}
