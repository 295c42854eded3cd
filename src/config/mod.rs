//! `fahrplan.toml`: one struct, each key documented once; the environment overrides the file.
//!
//! Reading is pure: text and environment come in as arguments, and every mistake comes out with its line. Unknown keys are
//! refused, since a misspelled key that does nothing is worse than one that does not work. Secrets stand in no file of
//! the project: [`Secrets`] finds them in the environment or in a file that `[secrets]` names.
//!
//! - here: the sections and their keys
//! - `shapes`: values that have a shape; `environment`: variables laid over the file
//! - `problem`: mistakes, as they are told
//! - `secrets`, `holidays`: what stands in other files

mod environment;
mod holidays;
mod problem;
mod secrets;
mod shapes;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::environment::Reader;
pub use self::holidays::holidays;
pub use self::problem::Problem;
pub use self::secrets::{NoSecret, Secret, Secrets};
use self::shapes::SecretFiles;
use crate::time::{MINUTE, TimeOfDay};

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
    pub brakes: Brakes,
    /// Programs that call by themselves, each at a door of its own.
    pub sources: BTreeMap<String, Source>,
    pub requests: Requests,
    /// Gateways with ids and reports of their own, by their channels.
    pub gateways: BTreeMap<String, Gateway>,
    pub letters: Letters,
    pub audiences: Audiences,
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
    #[serde(deserialize_with = "shapes::zone")]
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
    #[serde(deserialize_with = "shapes::database_url")]
    pub url: String,
}

/// The doors: HTTP.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port to listen on.
    #[serde(deserialize_with = "shapes::address")]
    pub listen: SocketAddr,
    /// Where links in mails lead: confirm, unsubscribe, click. Without it, the address of `listen`.
    #[serde(deserialize_with = "shapes::public_url")]
    pub public_url: Option<String>,
    /// Items a second that one key may send; 0 is no limit. What is more is answered 429.
    pub per_key: u32,
    /// Requests a second that one address may make without a good key; 0 is no limit.
    pub per_address: u32,
}

/// How mail leaves.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smtp {
    /// `smtp://host:25`, `starttls://host:587` or `smtps://host:465`, with `user:password@` before the host if need be.
    #[serde(deserialize_with = "shapes::smtp_url")]
    pub url: String,
    /// The sender of all mail: `Shop <news@example.org>`. `serve` asks for it as soon as a journey sends mail.
    pub from: Option<String>,
    /// Where answers go, if not to the sender: each mail gets an address of its own there, `reply+…@example.org`, by which an answer is
    /// known for sure. The mail server must take such addresses, as most do.
    #[serde(deserialize_with = "shapes::mailbox")]
    pub reply_to: Option<String>,
    /// Where mail servers report what they cannot deliver, if not to the sender; with an address of its own for each mail too.
    #[serde(deserialize_with = "shapes::bare_address")]
    pub return_path: Option<String>,
    /// How many connections may be open at once.
    #[serde(deserialize_with = "shapes::connections")]
    pub connections: u16,
}

/// What stops sending without the database.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Brakes {
    /// While there is a file of that name, relative to the project, nothing leaves this machine.
    pub file: PathBuf,
}

/// A program that calls by itself, at `POST /v1/sources/NAME`, and signs what it says with HMAC-SHA256. Places in its JSON are
/// pointers such as `/data/customer/id`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(remote = "Source")]
pub struct Source {
    /// `secret:NAME`: what it signs with.
    #[serde(deserialize_with = "shapes::secret")]
    pub secret: String,
    /// The header with the signature, as hex or base64.
    #[serde(default = "shapes::signature_header")]
    pub header: String,
    /// The header that says when it was sent; then `MOMENT.BODY` is signed.
    pub timestamp: Option<String>,
    /// Which event it is: a place, or the name itself.
    pub event: String,
    /// What its names of events mean; others are ignored. Without it they are ours.
    #[serde(default)]
    pub events: BTreeMap<String, String>,
    /// The place of the user id. Of this and the next three, which say who it was, one must be set, and the first that the body has counts.
    #[serde(default, deserialize_with = "shapes::maybe_place")]
    pub user: Option<String>,
    /// The place of an anonymous id.
    #[serde(default, deserialize_with = "shapes::maybe_place")]
    pub anonymous: Option<String>,
    /// The place of an e-mail address.
    #[serde(default, deserialize_with = "shapes::maybe_place")]
    pub email: Option<String>,
    /// The place of a phone number.
    #[serde(default, deserialize_with = "shapes::maybe_place")]
    pub phone: Option<String>,
    /// The place of its own id of what happened, by which a repeat is known.
    #[serde(default, deserialize_with = "shapes::maybe_place")]
    pub id: Option<String>,
    /// The place of the moment at which it happened.
    #[serde(default, deserialize_with = "shapes::maybe_place")]
    pub at: Option<String>,
    /// The place of the object with the fields; the whole without it.
    #[serde(default, deserialize_with = "shapes::maybe_place")]
    pub properties: Option<String>,
    /// Fields that stand elsewhere, each with its place.
    #[serde(default, deserialize_with = "shapes::places")]
    pub fields: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Source, D::Error> {
        // The derived one, and then what no field knows by itself.
        let source = Source::deserialize(deserializer)?;
        match [&source.user, &source.anonymous, &source.email, &source.phone]
            .iter()
            .any(|place| place.is_some())
        {
            true => Ok(source),
            false => Err(serde::de::Error::custom(
                "it is not said where a body says who it was; write one of `user`, `anonymous`, `email` and `phone`, such as `user = \"/customer/id\"`",
            )),
        }
    }
}

/// What the gateway of a channel calls things, `[gateways.CHANNEL]`: its ids, and its reports at `POST /v1/receipts/CHANNEL`. Places in its
/// JSON are pointers such as `/messages/0/id`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// The place of its own id of a message in its answer; `/id` without it.
    #[serde(deserialize_with = "shapes::maybe_place")]
    pub id: Option<String>,
    /// `secret:NAME`: what it signs reports with, by HMAC-SHA256. Without it, reports come with a key that may send events.
    #[serde(deserialize_with = "shapes::maybe_secret")]
    pub secret: Option<String>,
    /// The header with the signature, as hex or base64.
    #[serde(default = "shapes::signature_header")]
    pub header: String,
    /// The header that says when it was sent; then `MOMENT.BODY` is signed.
    pub timestamp: Option<String>,
    /// The place of the list of reports; the whole is one, or a list, without it.
    #[serde(deserialize_with = "shapes::maybe_place")]
    pub reports: Option<String>,
    /// In each report, the place of the id of the message: its own, or ours.
    #[serde(deserialize_with = "shapes::maybe_place")]
    pub message: Option<String>,
    /// The place of what became of it.
    #[serde(deserialize_with = "shapes::maybe_place")]
    pub outcome: Option<String>,
    /// What its outcomes mean: `delivered`, `failed`, `bounced`, `complained` or `replied`; others are ignored. Without it they are ours.
    #[serde(deserialize_with = "shapes::outcomes")]
    pub outcomes: BTreeMap<String, String>,
    /// The place of why it was not delivered.
    #[serde(deserialize_with = "shapes::maybe_place")]
    pub reason: Option<String>,
    /// Of what people answer: the place of the number, of the words, and of its id of the answer.
    #[serde(deserialize_with = "shapes::maybe_place")]
    pub from: Option<String>,
    #[serde(deserialize_with = "shapes::maybe_place")]
    pub text: Option<String>,
    #[serde(deserialize_with = "shapes::maybe_place")]
    pub reply: Option<String>,
}

/// Whom requests may ask.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requests {
    /// Hosts, addresses and networks that are not public and may be asked all the same: `crm.internal:8443`, `10.1.0.0/16`.
    #[serde(deserialize_with = "shapes::list")]
    pub allow: Vec<String>,
}

/// How letters leave: as folders that a print shop takes.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Letters {
    /// The folder in which each batch gets one of its own, relative to the project.
    pub folder: PathBuf,
    /// When the batch of a day is cut, in the project's zone.
    #[serde(deserialize_with = "shapes::time_of_day")]
    pub at: TimeOfDay,
}

impl Default for Letters {
    fn default() -> Self {
        Letters { folder: "letters".into(), at: TimeOfDay::new(16, 0, 0).expect("a time of the day") }
    }
}

/// How audiences leave: as folders that advertising networks take.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audiences {
    /// The folder in which each batch gets one of its own, relative to the project.
    pub folder: PathBuf,
    /// A batch of what has changed every so many minutes.
    pub every_minutes: u32,
}

impl Audiences {
    /// The same in milliseconds; at least a minute.
    pub fn every_ms(&self) -> i64 {
        i64::from(self.every_minutes.max(1)) * MINUTE
    }
}

impl Default for Audiences {
    fn default() -> Self {
        Audiences { folder: "audiences".into(), every_minutes: 60 }
    }
}

impl Default for Brakes {
    fn default() -> Self {
        Brakes { file: "fahrplan.paused".into() }
    }
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
        let listen = SocketAddr::from(([127, 0, 0, 1], 8600));
        Http { listen, public_url: None, per_key: 50_000, per_address: 100 }
    }
}

impl Default for Smtp {
    fn default() -> Self {
        Smtp {
            url: "smtp://127.0.0.1:25".to_owned(),
            from: None,
            reply_to: None,
            return_path: None,
            connections: 4,
        }
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
                None => problems.push(Problem::of_section(name.get_ref(), name.span())),
            }
        }
        let mut reader = Reader::new(sections, environment, problems);
        config.project = reader.section("project");
        config.locales = reader.section("locales");
        config.calendar = reader.section("calendar");
        config.database = reader.section("database");
        config.http = reader.section("http");
        config.smtp = reader.section("smtp");
        config.brakes = reader.section("brakes");
        config.sources = reader.section("sources");
        config.requests = reader.section("requests");
        config.gateways = reader.section("gateways");
        config.letters = reader.section("letters");
        config.audiences = reader.section("audiences");
        config.secrets = reader.section::<SecretFiles>("secrets").0;
        config.brand = reader.section("brand");
        let mut problems = reader.end();
        problems.sort_by_key(|problem| problem.place.as_ref().map_or(usize::MAX, |place| place.start));
        (config, problems)
    }

    /// Where links in mails lead, without a slash at the end.
    pub fn public_url(&self) -> String {
        let own = || format!("http://{}", self.http.listen);
        self.http.public_url.clone().unwrap_or_else(own).trim_end_matches('/').to_owned()
    }

    /// Whether links in mails lead through encryption, or to this machine.
    pub fn links_are_safe(&self) -> bool {
        let url = self.public_url();
        let Some(rest) = url.strip_prefix("http://") else { return true };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

const SECTIONS: [&str; 14] = [
    "project",
    "locales",
    "calendar",
    "database",
    "http",
    "smtp",
    "brakes",
    "sources",
    "requests",
    "gateways",
    "letters",
    "audiences",
    "secrets",
    "brand",
];

#[cfg(test)]
mod tests;
