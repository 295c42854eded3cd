//! Letters: once a day what waits is cut into a batch for each channel of that class, and the batch becomes a folder for a print shop.
//!
//! ```text
//! cut      a transaction a bucket; consent, suppressions, pauses and quiet hours are looked at for the last time; then it is closed
//! write    letters/NAME/addresses.csv and a PDF each, from what was frozen: into a folder beside it, synced, renamed
//! record   `sent`, a bucket at a time
//! ```
//!
//! Killed between any two, the next start goes on with the same batch and makes the same bytes. A letter that cannot be written is
//! refused, and the others go on. Nobody is in two batches, and nobody in none: a letter leaves the queue in the transaction that puts it
//! into one.
//!
//! Where several machines serve one database, one of them holds a batch while it works on it, and its folder is on that machine: give
//! them one that they share.

mod folder;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::folder::Printed;
pub use super::batches::Error;
use super::batches::{HOLD, Halt, LOOK, UNFINISHED, pause_after};
use super::compose::display_name;
use super::deliver::withdrawn;
use super::folder::Put;
use super::{Outlet, Way};
use crate::channels::letter::{Answer, Letter as Paper, LetterError, address_lines};
use crate::clock::{JourneyClock, machine_now};
use crate::engine::program::Catalog;
use crate::id::DeliveryId;
use crate::link::printed_code;
use crate::store::deliveries::{self, Claim, Claimed, Finished, SendResult, Tried};
use crate::store::folders::{self, Of};
use crate::store::letters::{self, Batch, Cut, Letter, Part};
use crate::store::{Store, journeys, settings};
use crate::time::{DAY, Date, TimeOfDay, Timestamp, Zone};

/// Letters of a transaction, of a look at the database, and of a transaction that records.
const CUT: usize = 500;
const READ: usize = 64;
const RECORD: usize = 500;
/// A code can be used for so long.
const CODES_LIVE_MS: i64 = 400 * DAY;
/// The setting that says up to which hour batches were cut.
const HANDLED: &str = "letters_cut";

static HALT: Halt = Halt::new(|| std::env::var("FAHRPLAN_TEST_LETTERS_HALT").ok());

/// Where letters go, and when.
#[derive(Clone, Debug)]
pub struct Letters {
    /// The folder of the batches. `None`: letters count as sent, and none is written.
    pub folder: Option<PathBuf>,
    /// In the zone of the project.
    pub at: TimeOfDay,
}

impl Default for Letters {
    fn default() -> Letters {
        Letters { folder: None, at: crate::config::Letters::default().at }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub name: String,
    /// Where it is; `None` where no letter was written.
    pub folder: Option<PathBuf>,
    pub printed: usize,
    /// Could not be written.
    pub refused: usize,
    /// The folder was there already, with the same bytes.
    pub was_there: bool,
}

/// A batch as it was written and is to be recorded.
pub struct Written {
    pub made: Made,
    finished: Vec<Finished>,
}

/// Makes letters.
pub struct Press<'a> {
    pub store: &'a Store,
    pub clock: &'a JourneyClock,
    pub outlet: &'a Outlet,
}

/// Runs until stopped.
pub(super) async fn run(
    store: Store,
    clock: JourneyClock,
    outlet: Arc<Outlet>,
    stop: CancellationToken,
) -> Result<(), super::Error> {
    folders::release_former(&store, Of::Letters).await?;
    let press = Press { store: &store, clock: &clock, outlet: &outlet };
    let (mut handled, mut looked) = (None, None);
    while !stop.is_cancelled() {
        let pause = match press.round(&mut handled, &mut looked, &stop).await {
            Ok(next) => clock.until(next, LOOK),
            Err(error) => pause_after(error, "letters")?,
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(())
}

/// The moment up to which batches should have been cut, and the next one.
fn hours(now: Timestamp, zone: &Zone, at: TimeOfDay) -> (Timestamp, Timestamp) {
    let today = zone.date(now);
    let on = |date: Date| zone.at(date, at);
    match on(today) {
        past if past <= now => (past, on(today.plus_days(1))),
        coming => (on(today.plus_days(-1)), coming),
    }
}

impl Press<'_> {
    /// Cuts if it is time, and makes what is not done; when it is time again.
    async fn round(
        &self,
        handled: &mut Option<Timestamp>,
        looked: &mut Option<Instant>,
        stop: &CancellationToken,
    ) -> Result<Timestamp, Error> {
        let now = self.clock.now();
        if self.is_paused().await? {
            return Ok(now.plus_ms(LOOK.as_millis() as i64));
        }
        let catalog = journeys::deployed(&mut self.store.read().await?).await?.catalog.clone();
        let zone = Zone::named(&catalog.zone).unwrap_or_else(Zone::utc);
        let (hour, next) = hours(now, &zone, self.outlet.others.letters.at);
        let rehearses = matches!(self.outlet.way, Way::Rehearse);
        // A rehearsal waits for no hour.
        let waits = rehearses
            && catalog.channels.keys().any(|channel| catalog.is_letter(channel))
            && letters::waiting(&mut self.store.read().await?).await? > 0;
        if waits || (!rehearses && self.is_time(handled, hour).await?) {
            self.cut().await?;
            if !rehearses {
                self.note(hour).await?;
            }
            *handled = Some(hour);
            *looked = None;
        }
        if looked.is_none_or(|looked| looked.elapsed() >= UNFINISHED) {
            for made in self.make_all(stop).await? {
                told(&made);
            }
            *looked = Some(Instant::now());
        }
        Ok(next)
    }

    /// Whether the batches of that hour are to be cut. Nothing waits from before the first look ever.
    async fn is_time(&self, handled: &mut Option<Timestamp>, hour: Timestamp) -> Result<bool, Error> {
        if handled.is_some_and(|handled| handled >= hour) {
            return Ok(false);
        }
        let known = settings::get(&mut self.store.read().await?, HANDLED).await?;
        let Some(known) = known.and_then(|text| text.parse().ok().map(Timestamp)) else {
            self.note(hour).await?;
            *handled = Some(hour);
            return Ok(false);
        };
        *handled = Some(known);
        Ok(known < hour)
    }

    async fn note(&self, hour: Timestamp) -> Result<(), Error> {
        let mut tx = self.store.write().await?;
        settings::set(&mut tx, HANDLED, &hour.0.to_string()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether all sending is paused, and letters with it.
    pub async fn is_paused(&self) -> Result<bool, Error> {
        Ok(self.outlet.brakes.now(self.store).await?.all)
    }

    // ------------------------------------------------------------ cutting

    /// Cuts a batch of what is due on each channel of letters. What is paused waits on.
    pub async fn cut(&self) -> Result<(), Error> {
        let deployed = journeys::deployed(&mut self.store.read().await?).await?;
        let standing = self.outlet.brakes.now(self.store).await?;
        for channel in deployed.catalog.channels.keys().filter(|name| deployed.catalog.is_letter(name)) {
            let zone = Zone::named(&deployed.catalog.zone).unwrap_or_else(Zone::utc);
            let now = self.clock.now();
            let claim =
                |owner| Claim { owner, limit: CUT, now: machine_now(), journey_now: now, lease_ms: *HOLD };
            let cut = Cut {
                channel,
                name: &format!("{channel}-{}", zone.date(now)),
                claim: claim(self.store.worker()),
                closed: &standing.closed,
                code: &|letter| self.outlet.composer.link_key.response_code(letter),
                codes_expire_at: machine_now().plus_ms(CODES_LIVE_MS),
                decide: &|catalog, letter| decide(catalog, letter, now),
            };
            let is_whole = self.cut_all(&cut).await?;
            if is_whole {
                letters::close(self.store, channel, self.store.worker(), machine_now()).await?;
                HALT.at("closed").await;
            }
        }
        Ok(())
    }

    /// Cuts bucket by bucket; whether it went through all of them.
    async fn cut_all(&self, cut: &Cut<'_>) -> Result<bool, Error> {
        for bucket in self.store.buckets() {
            loop {
                let now = Cut { claim: Claim { now: machine_now(), ..cut.claim }, ..*cut };
                match letters::cut(self.store, bucket, &now).await? {
                    Part::Nothing => break,
                    Part::Taken { .. } => {}
                    Part::Elsewhere => return Err(Error::Elsewhere),
                }
            }
        }
        Ok(true)
    }

    // ------------------------------------------------------------ making

    /// Makes all batches that are not done.
    pub async fn make_all(&self, stop: &CancellationToken) -> Result<Vec<Made>, Error> {
        let unfinished = letters::unfinished(&mut self.store.read().await?).await?;
        let mut all = Vec::new();
        for batch in unfinished {
            if !self.hold(&batch).await? {
                continue;
            }
            match self.make(&batch, stop).await {
                Ok(made) => all.push(made),
                Err(error) => {
                    folders::let_go(self.store, Of::Letters, batch.id, self.store.worker()).await?;
                    return Err(error);
                }
            }
        }
        Ok(all)
    }

    /// Makes a batch that is ours.
    async fn make(&self, batch: &Batch, stop: &CancellationToken) -> Result<Made, Error> {
        // Whoever began to cut it is gone: what it has is a batch, and the rest comes into the next one.
        if !batch.is_closed {
            letters::close(self.store, &batch.channel, self.store.worker(), machine_now()).await?;
        }
        let written = self.write(batch, stop).await?;
        HALT.at("renamed").await;
        self.record(batch, written).await
    }

    async fn hold(&self, batch: &Batch) -> Result<bool, Error> {
        let now = machine_now();
        let until = now.plus_ms(*HOLD);
        Ok(folders::hold(self.store, Of::Letters, batch.id, self.store.worker(), now, until).await?)
    }

    /// Writes the folder of a closed batch, in place of one that is there and has other bytes.
    pub async fn write(&self, batch: &Batch, stop: &CancellationToken) -> Result<Written, Error> {
        let letters = letters::of_batch(&mut self.store.read().await?, batch.id).await?;
        let mut catalogs = BTreeMap::new();
        let mut printed = Printed::default();
        let mut finished = Vec::with_capacity(letters.len());
        let folder = self.outlet.others.letters.folder.as_deref();
        let mut put = folder.map(|folder| Put::begin(folder, &batch.name)).transpose().map_err(file)?;
        let (mut held, mut refused) = (Instant::now(), 0);
        for part in letters.chunks(READ) {
            if stop.is_cancelled() {
                return Err(Error::Stopped);
            }
            if held.elapsed() > Duration::from_millis(HOLD.unsigned_abs() / 4) {
                held = Instant::now();
                if !self.hold(batch).await? {
                    return Err(Error::Elsewhere);
                }
            }
            let found = letters::as_cut(&mut self.store.read().await?, part, &mut catalogs).await?;
            if found.len() != part.len() {
                return Err(Error::Moving);
            }
            for letter in &found {
                if letter.is_thawed {
                    return Err(Error::Thawed);
                }
                let catalog = &catalogs[&letter.claimed.generation];
                let sheet = match &put {
                    Some(_) => self.sheet(catalog, &letter.claimed).await?.map(Some),
                    None => Ok(None),
                };
                match (&mut put, &sheet) {
                    (Some(put), Ok(Some(sheet))) => printed.add(put, sheet).map_err(file)?,
                    (_, Err(_)) => refused += 1,
                    (_, Ok(_)) => {}
                }
                finished.push(recorded(batch, letter, sheet, printed.count()));
                tokio::task::yield_now().await;
            }
        }
        HALT.at("written").await;
        let mut made = Made {
            name: batch.name.clone(),
            folder: None,
            printed: letters.len() - refused,
            refused,
            was_there: false,
        };
        if let Some(put) = put.filter(|_| printed.count() > 0) {
            let target = put.target().to_owned();
            made.folder = Some(target.clone());
            let end = tokio::task::spawn_blocking(move || printed.end(put));
            let broke = |error| Error::File(target, std::io::Error::other(error));
            made.was_there = end.await.map_err(broke)?.map_err(file)?;
        }
        Ok(Written { made, finished })
    }

    /// Records the letters of a batch whose folder is there.
    pub async fn record(&self, batch: &Batch, written: Written) -> Result<Made, Error> {
        let Written { made, mut finished } = written;
        finished.sort_by_key(|one| (one.bucket, one.id()));
        for part in finished.chunks(RECORD) {
            let recorded = deliveries::record(self.store, part.to_vec(), self.clock.now()).await?;
            let labels = [("channel", batch.channel.to_string()), ("result", "accepted".to_owned())];
            metrics::counter!("fahrplan_deliveries_total", &labels).increment(recorded.taken as u64);
            HALT.at("recording").await;
        }
        if !letters::finish(self.store, batch.id, machine_now()).await? {
            return Err(Error::Moving);
        }
        metrics::counter!("fahrplan_letter_batches_total").increment(1);
        Ok(made)
    }

    /// A letter as it is printed, or why it cannot be.
    async fn sheet(&self, catalog: &Catalog, claimed: &Claimed) -> Result<Result<Sheet, Unprinted>, Error> {
        let delivery = &claimed.delivery;
        let shelf = &self.outlet.shelf;
        let found = shelf.find(self.store, claimed.generation, &delivery.template, &delivery.channel).await?;
        let Some(writing) = found else {
            let why = format!("no template `{}` has been deployed", delivery.template);
            return Ok(Err(Unprinted { why, bad_address: false }));
        };
        let composing = AssertUnwindSafe(|| self.compose(catalog, &writing, claimed));
        Ok(catch_unwind(composing).unwrap_or_else(|_| {
            tracing::error!(delivery = %delivery.id, "a letter panicked; this is a bug");
            Err(Unprinted { why: "the letter could not be made".to_owned(), bad_address: false })
        }))
    }

    fn compose(
        &self,
        catalog: &Catalog,
        writing: &super::shelf::Writing,
        claimed: &Claimed,
    ) -> Result<Sheet, Unprinted> {
        let delivery = &claimed.delivery;
        let composer = &self.outlet.composer;
        let rendered = composer
            .render(catalog, writing, claimed)
            .map_err(|refusal| Unprinted { why: refusal.text, bad_address: refusal.bad_address })?;
        let lines = lines(claimed)?;
        let code = composer.link_key.response_code(delivery.id);
        let (printed, link) = (printed_code(&code), composer.response(&code));
        let channel = catalog.channels.get(&delivery.channel);
        let is_answered =
            channel.is_some_and(|channel| channel.abilities.iter().any(|ability| &**ability == "replies"));
        let brand = |name: &str| writing.brand.get(name).map(String::as_str).filter(|text| !text.is_empty());
        let sender: Vec<&str> = [brand("name"), brand("address")].into_iter().flatten().collect();
        let paper = Paper {
            id: delivery.id,
            sender: &sender.join(", "),
            address: &lines,
            subject: &rendered.subject,
            text: &rendered.text,
            language: &rendered.locale,
            answer: is_answered.then_some(Answer { code: &printed, link: &link }),
        };
        let pdf = paper.write().map_err(Unprinted::from)?;
        Ok(Sheet { id: delivery.id, pdf, lines, code: printed, locale: rendered.locale.clone() })
    }
}

/// A letter that was written.
struct Sheet {
    id: DeliveryId,
    pdf: Vec<u8>,
    lines: Vec<String>,
    code: String,
    locale: String,
}

/// Why a letter was not.
struct Unprinted {
    why: String,
    bad_address: bool,
}

impl From<LetterError> for Unprinted {
    fn from(error: LetterError) -> Unprinted {
        Unprinted { why: error.to_string(), bad_address: error.is_bad_address() }
    }
}

/// The lines of the address.
fn lines(claimed: &Claimed) -> Result<Vec<String>, LetterError> {
    let person = claimed.person.as_ref().ok_or(LetterError::NoAddress)?;
    let address = person.address.as_deref().ok_or(LetterError::NoAddress)?;
    address_lines(display_name(person).as_deref(), address)
}

/// What keeps a letter from being printed, when its batch is cut.
fn decide(catalog: &Catalog, claimed: &Claimed, now: Timestamp) -> Option<SendResult> {
    if claimed.cut_off {
        return Some(SendResult::Cancelled { reason: "left".into() });
    }
    withdrawn(catalog, claimed, now).or_else(|| match lines(claimed) {
        Ok(_) => None,
        Err(error) => Some(refused(claimed, error.into())),
    })
}

fn refused(claimed: &Claimed, Unprinted { why, bad_address }: Unprinted) -> SendResult {
    let address = claimed.person.as_ref().and_then(|person| person.address.clone());
    SendResult::Refused { code: None, text: why, bad_address: address.filter(|_| bad_address) }
}

fn recorded(
    batch: &Batch,
    letter: &Letter,
    sheet: Result<Option<Sheet>, Unprinted>,
    number: usize,
) -> Finished {
    let Letter { claimed, bucket, .. } = letter;
    let id = claimed.delivery.id;
    let address = claimed.person.as_ref().and_then(|person| person.address.clone());
    let (result, tried) = match sheet {
        Ok(None) => (SendResult::Accepted { reply: None }, None),
        Ok(Some(sheet)) => {
            let reply = Some(format!("number {number} of batch {}", batch.name));
            let hash = blake3::hash(&sheet.pdf).to_hex()[..32].to_owned();
            (SendResult::Accepted { reply }, address.map(|address| Tried { address, hash }))
        }
        Err(unprinted) => {
            tracing::warn!(delivery = %id, why = unprinted.why, "a letter cannot be made");
            (refused(claimed, unprinted), None)
        }
    };
    let mut finished = Finished::new(claimed, result, tried);
    finished.bucket = *bucket;
    finished
}

fn told(made: &Made) {
    let folder = made.folder.as_deref().map(Path::display).map(|path| path.to_string());
    tracing::info!(
        batch = made.name,
        letters = made.printed,
        refused = made.refused,
        folder,
        "a batch of letters is ready"
    );
}

fn file((path, error): (PathBuf, std::io::Error)) -> Error {
    Error::File(path, error)
}
