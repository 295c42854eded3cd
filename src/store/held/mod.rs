//! Everything that is held on one contact, read at once: what `contact show`, `GET /v1/contacts/…` and the page of a person show.

mod lines;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

pub use self::lines::{Line, Part};
use super::contacts::{self, Contact};
use super::identities::Kind;
use super::journeys::Deployed;
use super::permissions::LedgerLine;
use super::replies::Apart;
use super::{
    Conn, Result, brakes, deliveries, enrollments, events, history, journeys, letters, members, permissions,
    pools, replies, suppressions, surveys, tasks,
};
use crate::engine::program::Word;
use crate::engine::world::{Event, Fields, Note};
use crate::id::EnrollmentId;
use crate::story::standing::Standing;
use crate::story::{Fate, Teller};
use crate::time::Timestamp;

/// The most events that are shown, newest first.
const EVENTS: usize = 1_000;

/// All that is held on one contact.
pub struct Held {
    pub contact: Contact,
    pub consents: Vec<LedgerLine>,
    pub enrollments: Vec<enrollments::Line>,
    /// Where the enrollments stand.
    pub places: BTreeMap<EnrollmentId, Place>,
    pub deliveries: Vec<deliveries::Line>,
    pub letters: Vec<letters::Line>,
    pub tasks: Vec<tasks::Task>,
    /// To surveys.
    pub answers: Vec<surveys::Line>,
    /// What came from their addresses and fits no message.
    pub apart: Vec<Apart>,
    /// From pools.
    pub codes: Vec<pools::Taken>,
    /// Audiences of networks that the contact is in.
    pub audiences: Vec<members::Membership>,
    /// Oldest first, as all the others.
    pub events: Vec<Event>,
    /// How many events there are to show, with those that were not read.
    pub event_count: usize,
    pub history: Vec<Note>,
    /// Purposes that rest for this person, and until when.
    pub pauses: Vec<(Word, Timestamp)>,
    /// What limits count at this moment: when, channel, purpose.
    pub slots: Vec<(Timestamp, Word, Word)>,
    /// Tells what happened in words.
    pub teller: Teller,
}

/// Where an enrollment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The beginning of the content hash of the journey's version.
    pub version: String,
    /// Where it rests; nothing once it has ended, or where what was decided is kept no longer.
    pub standing: Option<Standing>,
}

impl Held {
    /// What is held on whom that text means, at that moment of the journey clock.
    pub async fn find(conn: &mut Conn, key: &str, now: Timestamp) -> Result<Option<Held>> {
        match contacts::by_key(conn, key).await? {
            Some(contact) => Held::of(conn, contact, now).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same with the newest events alone, so many of them.
    pub async fn recent(conn: &mut Conn, key: &str, now: Timestamp, events: usize) -> Result<Option<Held>> {
        match contacts::by_key(conn, key).await? {
            Some(contact) => Held::with(conn, contact, now, events.min(EVENTS)).await.map(Some),
            None => Ok(None),
        }
    }

    /// What is held on that contact.
    pub async fn of(conn: &mut Conn, contact: Contact, now: Timestamp) -> Result<Held> {
        Held::with(conn, contact, now, EVENTS).await
    }

    async fn with(conn: &mut Conn, contact: Contact, now: Timestamp, most: usize) -> Result<Held> {
        let id = contact.id;
        let mut events = events::newest(conn, id, most).await?;
        let event_count = match events.len() {
            all if all < most => all,
            _ if most == EVENTS => most,
            _ => events::count(conn, id, EVENTS).await?,
        };
        events.sort_by_key(|event| (event.occurred_at, event.id));
        let mut tasks = tasks::of_contact(conn, id).await?;
        tasks.reverse();
        let deployed = journeys::deployed(conn).await?;
        let catalog = deployed.catalog.clone();
        let bucket = conn.core.bucket_of(id);
        let attributes = BTreeMap::from([(id, &contact.attributes)]);
        let permitted = permissions::load(conn, bucket, &catalog, &attributes, now).await?.remove(&id);
        let mut permitted = permitted.unwrap_or_default();
        permitted.slots.sort();
        permitted.pauses.retain(|_, until| *until > now);
        let deliveries = deliveries::of_contact(conn, id).await?;
        let standing = brakes::standing(conn).await?;
        let mut apart = Vec::new();
        for (kind, value) in &contact.identities {
            if matches!(kind, Kind::Email | Kind::Phone) {
                apart.extend(replies::of_sender(conn, value).await?);
            }
        }
        let fates = deliveries.iter().map(|line| (line.id, fate(line, &standing))).collect();
        let enrollments = enrollments::of_contact(conn, id).await?;
        let history = history::of_contact(conn, id).await?;
        let teller = Teller {
            suppressed: suppressions::of_contact(conn, &catalog, &contact.attributes).await?,
            catalog,
            programs: deployed.programs().map(Arc::clone).collect(),
            deliveries: fates,
        };
        Ok(Held {
            consents: permissions::ledger(conn, id).await?,
            places: places(&deployed, &teller, &enrollments, &history),
            enrollments,
            history,
            letters: letters::of_contact(conn, id).await?,
            answers: surveys::of_contact(conn, id).await?,
            apart,
            codes: pools::of_contact(conn, id).await?,
            audiences: members::of_contact(conn, id).await?,
            pauses: permitted.pauses.into_iter().collect(),
            slots: permitted.slots,
            teller,
            deliveries,
            contact,
            tasks,
            events,
            event_count,
        })
    }

    /// All of it; its shape is an interface.
    pub fn as_json(&self) -> Json {
        let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let identities = self.contact.identities.iter();
        let consent = |line: &LedgerLine| {
            let change = &line.change;
            json!({
                "purpose": change.purpose, "channel": change.channel, "permit": change.permit,
                "at": change.at.to_string(), "source": change.source, "evidence": change.evidence,
            })
        };
        let enrollment = |line: &enrollments::Line| {
            let place = self.places.get(&line.id);
            let standing = place.and_then(|place| place.standing.as_ref());
            json!({
                "version": place.map(|place| &place.version), "step": standing.map(|at| &at.step),
                "since": moment(standing.map(|at| at.since)), "until": moment(standing.and_then(|at| at.until)),
                "waits_for": standing.and_then(|at| at.waits_for.as_deref()),
                "id": line.id.to_string(), "journey": line.journey, "key": line.key,
                "entered_at": line.entered_at.to_string(), "ended_at": moment(line.ended_at),
                "reason": line.reason,
            })
        };
        let delivery = |line: &deliveries::Line| {
            json!({
                "id": line.id.to_string(), "journey": line.journey, "step": line.step,
                "channel": line.channel, "template": line.template, "purpose": line.purpose,
                "state": line.state, "due_at": line.due_at.to_string(), "attempts": line.attempts,
                "maybe_duplicate": line.maybe_duplicate, "result": line.result,
                "settled_at": moment(line.settled_at), "clicked_at": moment(line.clicked_at),
            })
        };
        let task = |task: &tasks::Task| {
            let work = &task.work;
            json!({
                "id": work.id.to_string(), "journey": work.journey, "step": work.step,
                "verb": work.verb, "task": work.task, "team": work.team, "with": plain(&work.with),
                "state": task.state, "outcome": task.outcome,
                "due_at": work.due_at.to_string(), "expires_at": work.expires_at.to_string(),
                "told": task.hand.told.iter().map(tasks::Attempt::as_json).collect::<Vec<_>>(),
            })
        };
        let letter = |letter: &letters::Line| {
            json!({
                "id": letter.delivery.to_string(), "batch": letter.batch, "code": letter.code,
                "answered_at": moment(letter.answered_at),
            })
        };
        let code = |code: &pools::Taken| json!({ "pool": code.pool, "fields": plain(&code.fields), "at": code.at.to_string() });
        let membership = |one: &members::Membership| json!({ "audience": one.audience, "since": one.since.to_string(), "told": one.is_told });
        let event = |event: &Event| {
            json!({
                "name": event.name, "at": event.occurred_at.to_string(),
                "accepted_at": event.accepted_at.to_string(), "fields": plain(&event.fields),
            })
        };
        let note = |note: &Note| {
            json!({
                "at": note.at.to_string(), "enrollment": note.enrollment.map(|id| id.to_string()),
                "journey": note.journey, "step": note.step, "round": note.round,
                "what": note.what, "text": self.teller.note(note),
            })
        };
        json!({
            "id": self.contact.id.to_string(),
            "created_at": self.contact.created_at.to_string(),
            "identities": identities.map(|(kind, value)| json!({ "kind": kind.as_str(), "value": value })).collect::<Vec<_>>(),
            "attributes": plain(&self.contact.attributes),
            "consents": self.consents.iter().map(consent).collect::<Vec<_>>(),
            "pauses": self.pauses.iter().map(|(purpose, until)| json!({ "purpose": purpose, "until": until.to_string() })).collect::<Vec<_>>(),
            "suppressed": self.teller.suppressed.iter().map(|(channel, (reason, at))| json!({ "channel": channel, "reason": reason, "at": at.to_string() })).collect::<Vec<_>>(),
            "slots": self.slots.iter().map(|(at, channel, purpose)| json!({ "at": at.to_string(), "channel": channel, "purpose": purpose })).collect::<Vec<_>>(),
            "enrollments": self.enrollments.iter().map(enrollment).collect::<Vec<_>>(),
            "deliveries": self.deliveries.iter().map(delivery).collect::<Vec<_>>(),
            "letters": self.letters.iter().map(letter).collect::<Vec<_>>(),
            "codes": self.codes.iter().map(code).collect::<Vec<_>>(),
            "tasks": self.tasks.iter().map(task).collect::<Vec<_>>(),
            "audiences": self.audiences.iter().map(membership).collect::<Vec<_>>(),
            "answers": self.answers.iter().map(surveys::Line::as_json).collect::<Vec<_>>(),
            "replies_apart": self.apart.iter().map(Apart::as_json).collect::<Vec<_>>(),
            "events": self.events.iter().map(event).collect::<Vec<_>>(),
            "history": self.history.iter().map(note).collect::<Vec<_>>(),
        })
    }
}

/// Where each enrollment stands.
fn places(
    deployed: &Deployed,
    teller: &Teller,
    enrollments: &[enrollments::Line],
    history: &[Note],
) -> BTreeMap<EnrollmentId, Place> {
    let place = |line: &enrollments::Line| {
        let program = deployed.program(line.program)?;
        let own = || history.iter().filter(|note| note.enrollment == Some(line.id)).collect::<Vec<_>>();
        let standing = if line.ended_at.is_none() { teller.standing(program, &own()) } else { None };
        Some((line.id, Place { version: program.hash().to_string().chars().take(12).collect(), standing }))
    };
    enrollments.iter().filter_map(place).collect()
}

/// What became of a delivery, as a story tells it.
fn fate(line: &deliveries::Line, standing: &[brakes::Paused]) -> Fate {
    let stops = |paused: &&brakes::Paused| match &paused.brake {
        brakes::Brake::All => true,
        brakes::Brake::Channel(channel) => *channel == line.channel,
        brakes::Brake::Journey(journey) => *journey == line.journey,
        brakes::Brake::Step { journey, step } => *journey == line.journey && *step == line.step,
    };
    let request = (line.enrollment, line.step.clone(), line.round);
    Fate {
        request: (line.kind == deliveries::Kind::Request).then_some(request),
        template: line.template.to_string(),
        channel: line.channel.to_string(),
        state: line.state.clone(),
        result: line.result.clone(),
        due_at: line.due_at,
        settled_at: line.settled_at,
        clicked_at: line.clicked_at,
        maybe_duplicate: line.maybe_duplicate,
        paused: standing
            .iter()
            .find(stops)
            .map(|paused| format!("{} is paused by {}", paused.brake, paused.author)),
    }
}

/// Fields as JSON, unknown ones left out.
pub fn plain(fields: &Fields) -> Map<String, Json> {
    let known = fields.iter().filter(|(_, value)| value.is_known());
    known.map(|(name, value)| (name.to_string(), value.to_json())).collect()
}
