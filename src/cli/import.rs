//! `fahrplan import contacts|events|consents|codes|returns|replies`: CSV or JSON lines into the database, streaming, idempotent, quiet unless `--live`.
//!
//! A bad row is reported by its line and kept in `FILE.rejected`; the others go in. Contacts come as CSV with a header or as JSON lines
//! of Segment's `identify`; events as JSON lines of `track`. Columns of contacts: `user_id anonymous_id email phone` say who, other
//! columns are attributes, `consent_PURPOSE_CHANNEL` (yes, no) and, with `_at`, `_text`, `_source` and `_evidence` behind it, what is known of
//! it go to the consent ledger. Consents come as CSV too, one a row: who, `purpose channel permit at text source evidence`.

mod codes;
mod columns;
mod consents;
mod lists;
mod replies;
mod report;
mod returns;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use self::columns::{columns, is_json, person, read_map};
use self::consents::{columns_of_consents, consent};
use self::lists::Lists;
use self::report::Report;
use self::rows::{Row, Rows};
use super::load::Project;
use super::{Failure, ImportArgs, ImportWhat, Outcome, block_on, open, progress, world};
use crate::clock::machine_now;
use crate::engine::program::Catalog;
use crate::engine::world::{Fields, Input};
use crate::id::ContactId;
use crate::intake::{self, Act, Clocks, Item};
use crate::store::import::{Imported, Person};
use crate::store::inbox::{Accepted, Incoming, To};
use crate::store::{Access, Store, consents as ledger, identities, journeys};
use crate::time::Timestamp;

/// Rows that share a transaction.
const TOGETHER: usize = 2_000;

/// Runs the command.
pub fn run(args: &ImportArgs) -> Outcome {
    block_on(import(args))
}

async fn import(args: &ImportArgs) -> Outcome {
    let project = Project::of(&[])?;
    if args.what == ImportWhat::Replies {
        let store = open(&project, Access::Existing).await?;
        let done = replies::run(&store, &args.file).await;
        store.close().await;
        return done;
    }
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
        (ImportWhat::Returns, false) => {
            import.returns_csv(reader, &mut report).await?;
        }
        (ImportWhat::Returns, true) => {
            return Err(Failure::usage(
                "letters that came back are listed as CSV, with a column `id` or `code`",
            ));
        }
        (ImportWhat::Replies, _) => {}
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

struct Import<'a> {
    store: &'a Store,
    live: bool,
    now: Timestamp,
}

impl Import<'_> {
    async fn catalog(&self) -> Result<Arc<Catalog>, Failure> {
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
        let (header, mut rows) = Rows::open(file)?;
        if header.is_empty() || header.iter().all(<[u8]>::is_empty) {
            report.note("the file is empty");
            return Ok(());
        }
        let columns = match what {
            ImportWhat::Consents => columns_of_consents(&header, map)?,
            ImportWhat::Contacts
            | ImportWhat::Events
            | ImportWhat::Codes
            | ImportWhat::Returns
            | ImportWhat::Replies => columns(&catalog, &header, map)?,
        };
        report.header = Some(header);
        let mut lists = Lists::new(self);
        while let Some(Row { line, record }) = rows.next(report)? {
            let read = match what {
                ImportWhat::Consents => consent(&catalog, &columns, record, self.now),
                ImportWhat::Contacts
                | ImportWhat::Events
                | ImportWhat::Codes
                | ImportWhat::Returns
                | ImportWhat::Replies => person(&columns, record, self.now),
            };
            match read {
                Ok(person) => lists.push(person, report).await?,
                Err(why) => report.reject_row(line, record, &why)?,
            }
        }
        lists.finish(report).await?;
        self.look_again(report).await
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

    /// Lets contacts come in as through the doors.
    async fn accept_all(&self, mut people: Vec<Person>, report: &mut Report) -> Result<(), Failure> {
        let withdrawn = ledger::drop_known(self.store, &mut people, self.now).await.map_err(world)?;
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
        let (mut lists, mut incoming) = (Lists::new(self), Vec::new());
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
                    lists.push(Person { who, attributes, consents: Vec::new() }, report).await?;
                    for why in parts {
                        report.reject_line(number, trimmed, &why)?;
                    }
                }
                Ok((item, _)) => incoming.push(self.event(item)),
                Err(why) => report.reject_line(number, trimmed, &why)?,
            }
            if incoming.len() >= TOGETHER {
                self.accept(std::mem::take(&mut incoming), report).await?;
            }
        }
        lists.finish(report).await?;
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
