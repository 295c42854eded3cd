//! `fahrplan import contacts|events|consents|codes`: CSV or JSON lines into the database, streaming, idempotent, quiet unless `--live`.
//!
//! A bad row is reported by its line and kept in `FILE.rejected`; the others go in. Contacts come as CSV with a header or as JSON lines
//! of Segment's `identify`; events as JSON lines of `track`. Columns of contacts: `user_id anonymous_id email phone` say who, other
//! columns are attributes, `consent_PURPOSE_CHANNEL` (yes, no) and, with `_at`, `_text`, `_source` and `_evidence` behind it, what is known of
//! it go to the consent ledger. Consents come as CSV too, one a row: who, `purpose channel permit at text source evidence`.

mod codes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::ByteRecord;
use serde::Deserialize;
use serde_json::Value as Json;

use super::check::counted;
use super::load::Project;
use super::{Exit, Failure, ImportArgs, ImportWhat, Outcome, block_on, open, print, progress, world};
use crate::clock::machine_now;
use crate::engine::program::{Catalog, Word};
use crate::engine::world::{ConsentChange, Fields, Input};
use crate::id::ContactId;
use crate::intake::{self, Act, Clocks, Item, Who, check_attribute};
use crate::store::import::{self as quiet, Imported, Person};
use crate::store::inbox::{Accepted, Incoming, To};
use crate::store::{Access, Dialect, Store, consents, identities, journeys};
use crate::time::Timestamp;
use crate::value::{self, Type, Value};

/// Rows that share a transaction.
const TOGETHER: usize = 2_000;
/// Contacts that share one on PostgreSQL, where nobody waits for it.
const MANY_TOGETHER: usize = 5_000;
/// Rejected rows that are told one by one; all are kept.
const TOLD: usize = 50;

/// Runs the command.
pub fn run(args: &ImportArgs) -> Outcome {
    block_on(import(args))
}

async fn import(args: &ImportArgs) -> Outcome {
    let project = Project::of(&[])?;
    let file = File::open(&args.file)
        .map_err(|error| Failure::usage(format!("{}: {error}", args.file.display())))?;
    let map = args.map.as_deref().map(read_map).transpose()?.unwrap_or_default();
    let store = open(&project, Access::Existing).await?;
    let mut report = Report::new(&args.file);
    let reader = BufReader::with_capacity(1 << 20, file);
    let import = Import { store: &store, live: args.live, now: machine_now() };
    match (args.what, is_json(&args.file)) {
        (ImportWhat::Contacts | ImportWhat::Consents, false) => {
            import.csv(args.what, reader, &map, &mut report).await?
        }
        (ImportWhat::Codes, false) => {
            let left = import.codes_csv(reader, args.pool.as_deref(), &mut report).await?;
            report.note(&left);
        }
        (ImportWhat::Codes, true) => {
            return Err(Failure::usage("codes come as CSV, a column for each field of the pool"));
        }
        (ImportWhat::Contacts | ImportWhat::Events, true) => import.items(reader, &mut report).await?,
        (ImportWhat::Consents, true) => {
            return Err(Failure::usage("consents come as CSV, one a row")
                .help("name the file .csv; its columns are user_id, purpose, channel, permit, at, text, source, evidence"));
        }
        (ImportWhat::Events, false) => {
            return Err(Failure::usage("events come as JSON lines, one `track` item a line")
                .help("name the file .jsonl; the shape is that of `POST /v1/track`"));
        }
    }
    store.close().await;
    report.finish()
}

/// Contacts from CSV, quietly: for the demo and the benchmark, whose rows are known to be good.
pub(super) async fn contacts_from(store: &Store, csv: impl Read, now: Timestamp) -> Result<(), Failure> {
    let mut report = Report::new(Path::new("built-in"));
    Import { store, live: false, now }.csv(ImportWhat::Contacts, csv, &BTreeMap::new(), &mut report).await?;
    report.must_be_clean()
}

/// Events of the past, quietly: for the demo.
pub(super) async fn events_from(store: &Store, items: &[Json], now: Timestamp) -> Result<(), Failure> {
    let mut report = Report::new(Path::new("built-in"));
    let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
    Import { store, live: false, now }.items(lines.as_bytes(), &mut report).await?;
    report.must_be_clean()
}

/// A list of contacts that is being written.
type Writing = Option<tokio::task::JoinHandle<crate::store::Result<Imported>>>;

struct Import<'a> {
    store: &'a Store,
    live: bool,
    now: Timestamp,
}

impl Import<'_> {
    async fn catalog(&self) -> Result<std::sync::Arc<Catalog>, Failure> {
        let deployed =
            journeys::deployed(&mut self.store.read().await.map_err(world)?).await.map_err(world)?;
        match deployed.generation {
            0 => Err(Failure::usage("the database has no schema yet").help("run `fahrplan deploy` first")),
            _ => Ok(deployed.catalog.clone()),
        }
    }

    async fn csv(
        &self,
        what: ImportWhat,
        file: impl Read,
        map: &BTreeMap<String, String>,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let catalog = self.catalog().await?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let header = reader
            .byte_headers()
            .map_err(|error| Failure::usage(format!("the header cannot be read: {error}")))?
            .clone();
        if header.is_empty() || header.iter().all(<[u8]>::is_empty) {
            report.note("the file is empty");
            return Ok(());
        }
        let columns = match what {
            ImportWhat::Consents => columns_of_consents(&header, map)?,
            ImportWhat::Contacts | ImportWhat::Events | ImportWhat::Codes => columns(&catalog, &header, map)?,
        };
        report.header = Some(header);
        let together = match self.store.dialect() {
            Dialect::Sqlite => TOGETHER,
            Dialect::Postgres => MANY_TOGETHER,
        };
        let (mut people, mut record) = (Vec::with_capacity(together), ByteRecord::new());
        let mut writing = None;
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {}
                Err(error) => {
                    report.reject_row(
                        error.position().map_or(0, csv::Position::line),
                        &record,
                        &error.to_string(),
                    )?;
                    continue;
                }
            }
            let line = record.position().map_or(0, csv::Position::line);
            let read = match what {
                ImportWhat::Consents => consent(&catalog, &columns, &record, self.now),
                ImportWhat::Contacts | ImportWhat::Events | ImportWhat::Codes => {
                    person(&columns, &record, self.now)
                }
            };
            match read {
                Ok(person) => people.push(person),
                Err(why) => report.reject_row(line, &record, &why)?,
            }
            if people.len() >= together {
                self.written(writing.take(), report).await?;
                writing = self.write(std::mem::take(&mut people), report).await?;
            }
        }
        self.written(writing, report).await?;
        self.take(people, report).await?;
        self.look_again(report).await
    }

    /// Begins to write, so that the next rows are read meanwhile; one at a time, since later rows win.
    async fn write(&self, people: Vec<Person>, report: &mut Report) -> Result<Writing, Failure> {
        if self.live {
            self.take(people, report).await?;
            return Ok(None);
        }
        let (store, now) = (self.store.clone(), self.now);
        Ok(Some(tokio::spawn(async move { quiet::contacts(&store, &people, now).await })))
    }

    async fn written(&self, writing: Writing, report: &mut Report) -> Result<(), Failure> {
        if let Some(writing) = writing {
            report.add(writing.await.map_err(world)?.map_err(world)?);
        }
        Ok(())
    }

    /// Who lost an address in one part of the file may have got another one in the next.
    async fn look_again(&self, report: &mut Report) -> Result<(), Failure> {
        let mut conn = self.store.read().await.map_err(world)?;
        for contact in std::mem::take(&mut report.imported.bereft) {
            let called = identities::of_contact(&mut conn, contact).await.map_err(world)?;
            if called.iter().all(|(kind, _)| *kind != identities::Kind::Email) {
                report.imported.bereft.insert(contact);
            }
        }
        Ok(())
    }

    async fn take(&self, people: Vec<Person>, report: &mut Report) -> Result<(), Failure> {
        if people.is_empty() {
            return Ok(());
        }
        if !self.live {
            report.add(quiet::contacts(self.store, &people, self.now).await.map_err(world)?);
            return Ok(());
        }
        let mut people = people;
        let withdrawn = consents::drop_known(self.store, &mut people, self.now).await.map_err(world)?;
        let incoming = people.into_iter().flat_map(|person| {
            let to = To::Who(person.who);
            let attributes = Input::Attributes { values: person.attributes, at: self.now };
            let consents = person.consents.into_iter().map(Input::Consent);
            let incoming = move |input| Incoming { to: to.clone(), message_id: None, input };
            std::iter::once(attributes).chain(consents).map(incoming).collect::<Vec<_>>()
        });
        let mark = self.store.new_id();
        let accepted = self.store.accept(incoming.collect(), self.now).await.map_err(world)?;
        let (new, known) = self.reached(mark, &accepted);
        report.add(Imported { new, known, withdrawn, ..Imported::default() });
        Ok(())
    }

    /// How many contacts were created since the mark, and how many were there before, among those who got something.
    fn reached(&self, mark: i64, accepted: &[Accepted]) -> (usize, usize) {
        let contact = |one: &Accepted| match one {
            Accepted::Taken(contact) => Some(*contact),
            Accepted::Repeated | Accepted::Nobody | Accepted::TwoPeople => None,
        };
        let all: BTreeSet<ContactId> = accepted.iter().filter_map(contact).collect();
        let new = all.iter().filter(|contact| self.store.made_since(mark, contact.0)).count();
        (new, all.len() - new)
    }

    /// JSON lines of `identify` and `track`.
    async fn items(&self, file: impl BufRead, report: &mut Report) -> Result<(), Failure> {
        let catalog = self.catalog().await?;
        let (mut people, mut incoming) = (Vec::new(), Vec::new());
        for (line, number) in file.split(b'\n').zip(1..) {
            let line = line.map_err(world)?;
            let trimmed = line.trim_ascii();
            if trimmed.is_empty() {
                continue;
            }
            match self.item(&catalog, trimmed) {
                Ok((Item { who, what: what @ (Act::Attributes(_) | Act::Nothing), .. }, parts)) => {
                    let attributes =
                        if let Act::Attributes(attributes) = what { attributes } else { Fields::new() };
                    people.push(Person { who, attributes, consents: Vec::new() });
                    for why in parts {
                        report.reject_line(number, trimmed, &why)?;
                    }
                }
                Ok((item, _)) => incoming.push(self.event(item)),
                Err(why) => report.reject_line(number, trimmed, &why)?,
            }
            if people.len() >= TOGETHER {
                self.take(std::mem::take(&mut people), report).await?;
            }
            if incoming.len() >= TOGETHER {
                self.accept(std::mem::take(&mut incoming), report).await?;
            }
        }
        self.take(people, report).await?;
        self.look_again(report).await?;
        self.accept(incoming, report).await
    }

    fn item(&self, catalog: &Catalog, line: &[u8]) -> Result<(Item, Vec<String>), String> {
        let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?;
        let json: Json =
            serde_json::from_str(text).map_err(|error| format!("the line is no JSON: {error}"))?;
        let clocks = Clocks { sent_at: None, received_at: self.now };
        let read = intake::read_item(catalog, &json, None, clocks).map_err(|rejected| rejected.reason)?;
        Ok((read.item, read.rejected.into_iter().map(|(_, rejected)| rejected.reason).collect()))
    }

    fn event(&self, item: Item) -> Incoming {
        let mut incoming = crate::http::events::to_incoming(item, self.now);
        if let Input::Event(event) = &mut incoming.input {
            event.quiet = !self.live;
        }
        incoming
    }

    async fn accept(&self, incoming: Vec<Incoming>, report: &mut Report) -> Result<(), Failure> {
        if incoming.is_empty() {
            return Ok(());
        }
        let mark = self.store.new_id();
        let accepted = self.store.accept(incoming, self.now).await.map_err(world)?;
        report.imported.new += self.reached(mark, &accepted).0;
        for accepted in accepted {
            match accepted {
                Accepted::Taken(_) => report.taken += 1,
                Accepted::Repeated => report.repeated += 1,
                Accepted::Nobody => report.note("an item names nobody"),
                Accepted::TwoPeople => report.imported.two_people += 1,
            }
        }
        progress(&format!("{} items", report.taken));
        Ok(())
    }
}

// ---------------------------------------------------------------- columns

/// What a column of the file means.
enum Column {
    UserId,
    AnonymousId,
    Attribute(Word, Type),
    Consent(Word, Word),
    ConsentAt(Word, Word),
    /// What proves a consent: `text`, `source`, `evidence`.
    Proof(Word, Word, Proof),
    /// A column of a file of consents.
    OfConsent(&'static str),
    /// Not for us; told once.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Proof {
    Text,
    Source,
    Evidence,
}

/// What stands behind the name of a column with a consent.
const BEHIND: [(&str, Option<Proof>); 4] = [
    ("_at", None),
    ("_text", Some(Proof::Text)),
    ("_source", Some(Proof::Source)),
    ("_evidence", Some(Proof::Evidence)),
];

/// The columns of a file of consents.
const OF_CONSENTS: [&str; 7] = ["purpose", "channel", "permit", "at", "text", "source", "evidence"];

fn columns_of_consents(
    header: &ByteRecord,
    map: &BTreeMap<String, String>,
) -> Result<Vec<(String, Column)>, Failure> {
    let mut columns = Vec::new();
    for name in header {
        let name = spelled(name, map)?;
        let column = match name.as_str() {
            "user_id" => Column::UserId,
            "anonymous_id" => Column::AnonymousId,
            "email" => Column::Attribute("email".into(), Type::Email),
            "phone" => Column::Attribute("phone".into(), Type::Phone),
            name => OF_CONSENTS
                .iter()
                .find(|known| **known == name)
                .map_or(Column::Other, |name| Column::OfConsent(name)),
        };
        columns.push((name, column));
    }
    let has = |wanted: &str| columns.iter().any(|(name, _)| name == wanted);
    if !["user_id", "anonymous_id", "email", "phone"].into_iter().any(has) {
        return Err(Failure::usage("no column says who it is")
            .help("name one `user_id`, `anonymous_id`, `email` or `phone`, or use --map"));
    }
    if let Some(missing) = ["purpose", "channel", "permit"].into_iter().find(|name| !has(name)) {
        return Err(Failure::usage(format!("the column `{missing}` is missing")).help(format!(
            "a file of consents has {}; `at` and what follows may be left out",
            OF_CONSENTS.join(", ")
        )));
    }
    tell_what_is_left_out(&columns, "no column of a consent")?;
    Ok(columns)
}

/// One consent of a file of consents.
fn consent(
    catalog: &Catalog,
    columns: &[(String, Column)],
    record: &ByteRecord,
    now: Timestamp,
) -> Result<Person, String> {
    let mut said: BTreeMap<&str, &str> = BTreeMap::new();
    if record.len() == columns.len() {
        for ((name, column), cell) in columns.iter().zip(record) {
            if let Column::OfConsent(field) = column {
                let cell = std::str::from_utf8(cell)
                    .map_err(|_| format!("`{name}` is not UTF-8; save the file as UTF-8"))?;
                said.insert(field, cell.trim());
            }
        }
    }
    let mut person = person(columns, record, now)?;
    let get = |name: &str| said.get(name).copied().filter(|text| !text.is_empty());
    let word = |name: &str| get(name).map(Word::from).ok_or_else(|| format!("`{name}` is empty"));
    let (purpose, channel) = (word("purpose")?, word("channel")?);
    if !catalog.is_purpose(&purpose) {
        return Err(format!(
            "`purpose`: there is no `{purpose}`; there are {}",
            catalog.purpose_names().join(", ")
        ));
    }
    if !catalog.channels.contains_key(&channel) {
        return Err(format!("`channel`: there is no `{channel}`"));
    }
    let permit = permit("permit", get("permit").unwrap_or_default())?;
    let at = get("at").map_or(Ok(now), |text| moment("at", text, now))?;
    let evidence = proof(get("text"), get("source"), get("evidence"))?;
    person.consents = vec![ConsentChange { purpose, channel, permit, at, source: "import".into(), evidence }];
    Ok(person)
}

fn permit(name: &str, text: &str) -> Result<bool, String> {
    match value::from_text(&Type::YesNo, text) {
        Ok(Value::Bool(permit)) => Ok(permit),
        _ => Err(format!("`{name}`: expected yes or no, found \"{text}\"")),
    }
}

fn moment(name: &str, text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let at: Timestamp =
        text.parse().map_err(|_| format!("`{name}`: expected a moment such as 2026-12-24T10:00:00Z"))?;
    // The newest decision holds, so one of tomorrow would outlast a withdrawal of today.
    match at > now.plus_ms(intake::CLOCK_SKEW) {
        true => Err(format!("`{name}`: {text} lies in the future")),
        false => Ok(at),
    }
}

fn proof(
    text: Option<&str>,
    source: Option<&str>,
    evidence: Option<&str>,
) -> Result<Option<Arc<str>>, String> {
    // JSON stays JSON; anything else is the text that it is.
    let more = evidence.map(|text| serde_json::from_str(text).unwrap_or_else(|_| Json::from(text)));
    intake::evidence(text, source, more.as_ref()).map_err(|why| why.reason)
}

fn columns(
    catalog: &Catalog,
    header: &ByteRecord,
    map: &BTreeMap<String, String>,
) -> Result<Vec<(String, Column)>, Failure> {
    let mut columns = Vec::new();
    for name in header {
        let name = spelled(name, map)?;
        let column = column(catalog, &name);
        if let Column::Consent(purpose, _) | Column::ConsentAt(purpose, _) | Column::Proof(purpose, ..) =
            &column
            && !catalog.is_purpose(purpose)
        {
            // A consent that is filed under a misspelled purpose would be lost without a word.
            return Err(Failure::usage(format!("the column `{name}` names no purpose: `{purpose}`"))
                .help(format!("there are {}", catalog.purpose_names().join(", "))));
        }
        columns.push((name, column));
    }
    let says_who = |column: &Column| match column {
        Column::UserId | Column::AnonymousId => true,
        Column::Attribute(name, _) => &**name == "email" || &**name == "phone",
        _ => false,
    };
    if !columns.iter().any(|(_, column)| says_who(column)) {
        return Err(Failure::usage("no column says who it is")
            .help("name one `user_id`, `anonymous_id`, `email` or `phone`, or use --map"));
    }
    tell_what_is_left_out(&columns, "the schema has no such attribute")?;
    Ok(columns)
}

/// A name of the header, as we call it.
fn spelled(name: &[u8], map: &BTreeMap<String, String>) -> Result<String, Failure> {
    let name = std::str::from_utf8(name).map_err(|_| Failure::usage("the header is not UTF-8"))?;
    let name = name.trim_start_matches('\u{feff}').trim();
    Ok(map.get(name).map_or(name, String::as_str).to_owned())
}

fn tell_what_is_left_out(columns: &[(String, Column)], why: &str) -> Result<(), Failure> {
    let unknown: Vec<&str> = columns
        .iter()
        .filter(|(_, column)| matches!(column, Column::Other))
        .map(|(name, _)| name.as_str())
        .collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => print(&format!("left out, since {why}: {}\n", unknown.join(", "))),
    }
}

fn column(catalog: &Catalog, name: &str) -> Column {
    if let Some(attribute) = catalog.attribute(name) {
        return Column::Attribute(attribute.name.clone(), attribute.ty.clone());
    }
    match name {
        "user_id" => Column::UserId,
        "anonymous_id" => Column::AnonymousId,
        _ => name
            .strip_prefix("consent_")
            .and_then(|rest| column_of_consent(catalog, rest))
            .unwrap_or(Column::Other),
    }
}

fn column_of_consent(catalog: &Catalog, rest: &str) -> Option<Column> {
    let pair = |rest: &str| {
        let (purpose, channel) = rest.rsplit_once('_')?;
        catalog.channels.contains_key(channel).then(|| (Word::from(purpose), Word::from(channel)))
    };
    let behind = BEHIND.iter().find_map(|(end, proof)| Some((pair(rest.strip_suffix(end)?)?, *proof)));
    match behind {
        Some(((purpose, channel), None)) => Some(Column::ConsentAt(purpose, channel)),
        Some(((purpose, channel), Some(proof))) => Some(Column::Proof(purpose, channel, proof)),
        None => pair(rest).map(|(purpose, channel)| Column::Consent(purpose, channel)),
    }
}

fn person(columns: &[(String, Column)], record: &ByteRecord, now: Timestamp) -> Result<Person, String> {
    if record.len() != columns.len() {
        return Err(format!("{} fields where the header has {}", record.len(), columns.len()));
    }
    let (mut who, mut attributes) = (Who::default(), Fields::new());
    let (mut permits, mut times, mut proofs) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for ((name, column), cell) in columns.iter().zip(record) {
        let cell = std::str::from_utf8(cell)
            .map_err(|_| format!("`{name}` is not UTF-8; save the file as UTF-8"))?;
        let text = cell.trim();
        if text.is_empty() {
            continue;
        }
        match column {
            Column::UserId => who.user_id = Some(key(name, text)?),
            Column::AnonymousId => who.anonymous_id = Some(key(name, text)?),
            Column::Attribute(attribute, ty) => {
                let value =
                    value::from_text(ty, text).map_err(|misfit| format!("`{name}`: {}", misfit.message))?;
                check_attribute(&value).map_err(|why| format!("`{name}` {why}"))?;
                attributes.insert(attribute.clone(), value);
            }
            Column::Consent(purpose, channel) => {
                permits.push((purpose.clone(), channel.clone(), permit(name, text)?));
            }
            Column::ConsentAt(purpose, channel) => {
                times.insert((purpose.clone(), channel.clone()), moment(name, text, now)?);
            }
            Column::Proof(purpose, channel, proof) => {
                proofs.insert((purpose.clone(), channel.clone(), *proof), text);
            }
            Column::Other | Column::OfConsent(_) => {}
        }
    }
    who.email = attributes.get("email").and_then(Value::as_text).map(str::to_owned);
    who.phone = attributes.get("phone").and_then(Value::as_text).map(str::to_owned);
    if who == Who::default() {
        return Err("the row does not say who it is".to_owned());
    }
    let mut consents = Vec::with_capacity(permits.len());
    for (purpose, channel, permit) in permits {
        let at = times.get(&(purpose.clone(), channel.clone())).copied().unwrap_or(now);
        let said = |of| proofs.get(&(purpose.clone(), channel.clone(), of)).copied();
        let evidence = proof(said(Proof::Text), said(Proof::Source), said(Proof::Evidence))?;
        consents.push(ConsentChange { purpose, channel, permit, at, source: "import".into(), evidence });
    }
    Ok(Person { who, attributes, consents })
}

fn key(name: &str, text: &str) -> Result<String, String> {
    match text.len() <= 256 && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{name}` is longer than 256 bytes or contains control characters")),
    }
}

/// `[columns]` of a map: the file's name of a column to ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Map {
    columns: BTreeMap<String, String>,
}

fn read_map(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let map: Map = toml::from_str(&text).map_err(|error| {
        Failure::usage(format!("{}: {}", path.display(), error.message()))
            .help("write [columns] and lines such as \"E-Mail\" = \"email\"")
    })?;
    Ok(map.columns)
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|e| {
        e.eq_ignore_ascii_case("jsonl") || e.eq_ignore_ascii_case("json") || e.eq_ignore_ascii_case("ndjson")
    })
}

// ---------------------------------------------------------------- report

/// What became of the rows.
struct Report {
    rejects: PathBuf,
    out: Option<BufWriter<File>>,
    header: Option<ByteRecord>,
    imported: Imported,
    taken: usize,
    codes: usize,
    repeated: usize,
    rejected: usize,
    told: Vec<String>,
}

impl Report {
    fn new(file: &Path) -> Report {
        let mut rejects = file.as_os_str().to_owned();
        rejects.push(".rejected");
        let rejects = PathBuf::from(rejects);
        let imported = Imported::default();
        Report {
            rejects,
            out: None,
            header: None,
            imported,
            taken: 0,
            codes: 0,
            repeated: 0,
            rejected: 0,
            told: Vec::new(),
        }
    }

    fn add(&mut self, imported: Imported) {
        self.imported.new += imported.new;
        self.imported.known += imported.known;
        self.imported.bereft.extend(imported.bereft);
        self.imported.left_out += imported.left_out;
        self.imported.withdrawn += imported.withdrawn;
        self.imported.two_people += imported.two_people;
        progress(&format!("{} contacts", self.imported.new + self.imported.known));
    }

    fn note(&mut self, text: &str) {
        self.told.push(text.to_owned());
    }

    fn reject_row(&mut self, line: u64, record: &ByteRecord, why: &str) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(&mut bytes);
        writer.write_byte_record(record).and_then(|()| Ok(writer.flush()?)).map_err(world)?;
        drop(writer);
        self.reject(line, &bytes, why)
    }

    fn reject_line(&mut self, line: u64, bytes: &[u8], why: &str) -> Result<(), Failure> {
        self.reject(line, &[bytes, b"\n"].concat(), why)
    }

    fn reject(&mut self, line: u64, bytes: &[u8], why: &str) -> Result<(), Failure> {
        self.rejected += 1;
        if self.rejected <= TOLD {
            self.told.push(format!("line {line}: {why}"));
        }
        if self.out.is_none() {
            // Rows of people: for the eyes of whoever imports them.
            let mut options = File::options();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            let file = options
                .open(&self.rejects)
                .map_err(|error| world(format!("{}: {error}", self.rejects.display())))?;
            let mut out = BufWriter::new(file);
            if let Some(header) = &self.header {
                let mut writer = csv::Writer::from_writer(&mut out);
                writer.write_byte_record(header).map_err(world)?;
                writer.flush().map_err(world)?;
            }
            self.out = Some(out);
        }
        let out = self.out.as_mut().expect("opened above");
        out.write_all(bytes).map_err(world)
    }

    fn must_be_clean(self) -> Result<(), Failure> {
        match self.told.first() {
            None => Ok(()),
            Some(told) => Err(Failure::world(format!("the built-in data does not fit: {told}"))),
        }
    }

    fn finish(mut self) -> Outcome {
        if let Some(out) = &mut self.out {
            out.flush().map_err(world)?;
        }
        let mut text = String::new();
        for told in &self.told {
            text.push_str(&format!("{told}\n"));
        }
        if self.rejected > TOLD {
            text.push_str(&format!("… and {} more\n", self.rejected - TOLD));
        }
        let bereft = &self.imported.bereft;
        for contact in bereft.iter().take(TOLD) {
            text.push_str(&format!(
                "{contact} has no e-mail address any more: another contact was named with it\n"
            ));
        }
        if bereft.len() > TOLD {
            text.push_str(&format!("… and {} more\n", bereft.len() - TOLD));
        }
        if self.imported.left_out > 0 {
            text.push_str(&format!(
                "{} e-mail addresses were left out: they belong to contacts with a user id, and their rows have none\n",
                self.imported.left_out
            ));
        }
        if self.imported.two_people > 0 {
            text.push_str(&format!(
                "{} left out: they say that two people are one, who both have a user id\n",
                counted(self.imported.two_people, "alias")
            ));
        }
        let mut parts = Vec::new();
        for (count, what) in [
            (self.imported.new, "new contact"),
            (self.imported.known, "known contact"),
            (self.taken, "event"),
            (self.codes, "new code"),
        ] {
            if count > 0 {
                parts.push(counted(count, what));
            }
        }
        for (count, what) in [(self.repeated, "seen before"), (self.rejected, "rejected")] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        text.push_str(&if parts.is_empty() { "nothing to import".to_owned() } else { parts.join(", ") });
        if self.rejected > 0 {
            text.push_str(&format!("; the rejected rows stand in {}", self.rejects.display()));
        }
        text.push('\n');
        if self.imported.withdrawn > 0 {
            text.push_str(&format!(
                "{} without a date left out: these people have withdrawn, and the file does not say that they agreed again since; a column \
                 consent_…_at would\n",
                counted(self.imported.withdrawn, "consent"),
            ));
        }
        print(&text)?;
        Ok(if self.rejected > 0 { Exit::Findings } else { Exit::Fine })
    }
}
