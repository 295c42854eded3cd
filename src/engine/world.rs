//! One contact and all that may be looked at: what goes in, what is known, what comes out.
//!
//! [`super::contact::advance`] takes a [`World`] and one [`Input`] and fills [`Changes`]. A fact that is not loaded is asked
//! for: the call returns a [`Need`], the caller loads it for the whole batch in one statement per kind and calls again with the
//! same world. A call that returns a need has changed nothing, neither world nor changes; one that succeeds leaves the world
//! as it is after the input, ready for the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::budget::Purse;
use super::program::{SlotIx, StepIx, Word};
use super::state::State;
use crate::id::{ContactId, DeliveryId, EnrollmentId, TaskId};
use crate::time::Timestamp;
use crate::value::{Decimal, Value};

/// A record of named values.
pub type Fields = BTreeMap<Word, Value>;

/// Names under which enrollments listen: an event name, `contact.NAME`, `consent.PURPOSE`.
pub mod signal {
    use super::Word;

    /// The signal of a change of that attribute.
    pub fn attribute(name: &str) -> Word {
        format!("contact.{name}").into()
    }

    /// Whether the signal is that of a change of that attribute.
    pub fn is_attribute(signal: &str, name: &str) -> bool {
        signal.strip_prefix("contact.") == Some(name)
    }

    /// The signal of a grant or withdrawal for that purpose.
    pub fn consent(purpose: &str) -> Word {
        format!("consent.{purpose}").into()
    }
}

// ---------------------------------------------------------------- inputs

/// Something that happens to one contact. Inputs of one contact are applied one at a time, in the order in which the
/// advancing transaction takes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    Event(Event),
    /// A timer is due: of an enrollment, of a standing entry, or of an errand.
    Due {
        id: EnrollmentId,
        wake_at: Timestamp,
    },
    /// What became of a delivery or a task of an enrollment.
    Outcome(Outcome),
    /// New values of attributes; `Unknown` clears one.
    Attributes {
        values: Fields,
        at: Timestamp,
    },
    /// An attribute is cleared if it still has that value, case and outer spaces apart: an address that went to another contact.
    Forget {
        attribute: Word,
        value: Value,
    },
    Consent(ConsentChange),
    Suppress(Suppression),
    /// `enter by start`, from the API, the command line or a `start journey`.
    Start {
        journey: Word,
        arguments: Fields,
        at: Timestamp,
    },
    /// A scheduled entry (`at`, `every`, `cron`) fires for this contact.
    Fire {
        journey: Word,
        entry: u16,
        at: Timestamp,
    },
    /// Standing entries (memberships, anniversaries, contact-time schedules) are to be set up.
    Settle {
        cause: Cause,
    },
    /// An operator takes the contact out.
    Leave {
        journey: Word,
        reason: Word,
    },
}

/// Why standing entries are set up; it decides who enters by what is true already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The contact is new: what is true has become true.
    New,
    /// It was imported: nobody enters.
    Import,
    /// A journey was deployed: `while` enters who is in, `when` only with `including existing`. So is looked for the first time at
    /// whoever was there when the journey opened, and not before everything was taken that was accepted until then.
    Deploy,
}

/// An event of a contact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The id of the inbox row, or of the event we record ourselves; unique, grows with acceptance.
    pub id: i64,
    pub name: Word,
    /// At the source, clamped to acceptance + 5 minutes.
    pub occurred_at: Timestamp,
    /// By us, on the journey clock.
    pub accepted_at: Timestamp,
    pub fields: Fields,
    /// Import: history only; nothing enters, exits or is waited for.
    pub quiet: bool,
}

/// What became of something an enrollment's step did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub enrollment: EnrollmentId,
    /// The stable identity of the step and its round: a result binds to that step alone.
    pub step: Word,
    pub round: u32,
    /// `sent delivered opened clicked bounced complained replied failed cancelled` of a message, an outcome of a task
    /// (`expired` too), `answered` or `failed` of a request, `exit` of a child journey.
    pub outcome: Word,
    pub at: Timestamp,
    /// `link`, `text`, answers, returned fields; `channel` and `template` for messages.
    pub fields: Fields,
}

/// One row for the consent ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsentChange {
    pub purpose: Word,
    pub channel: Word,
    pub permit: bool,
    pub at: Timestamp,
    /// `journey`, `import`, `api`, `unsubscribe`, `confirm`, `preferences`.
    pub source: Word,
    /// Text id, event, delivery, address of the form: whatever proves it, as JSON text.
    pub evidence: Option<Arc<str>>,
}

/// An address not to use any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suppression {
    pub channel: Word,
    pub address: Arc<str>,
    /// `bounce`, `complaint`, `operator`.
    pub reason: Word,
    pub at: Timestamp,
}

// ---------------------------------------------------------------- what is known

/// What is loaded of one contact.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    pub contact: ContactId,
    /// The id under which the input at hand was accepted; `None`: nobody brought it.
    pub came: Option<i64>,
    /// Attributes that are set; always loaded. Defaults come from the catalog.
    pub attributes: Fields,
    /// Newest events by name, oldest first, loaded back to a moment.
    pub history: BTreeMap<Word, History>,
    /// Consents, suppressions, pauses and cap slots; `None`: not loaded.
    pub permissions: Option<Permissions>,
    /// Enrollments that are loaded: due ones and those asked for.
    pub enrollments: BTreeMap<EnrollmentId, Enrollment>,
    /// Signals whose listening enrollments are all among [`World::enrollments`].
    pub listening: BTreeSet<Word>,
    /// All active enrollments are loaded (as for a contact just created): nobody else listens to anything.
    pub all_enrollments: bool,
    /// Enrollments that were asked for by id and are no more.
    pub gone: BTreeSet<EnrollmentId>,
    /// Journeys whose enrollments of this contact, past ones too, are loaded.
    pub past: BTreeMap<Word, Vec<Past>>,
    /// Standing entries and memberships; `None`: not loaded.
    pub standing: Option<BTreeMap<(Word, u16), Standing>>,
    /// All errands of the contact; `None`: not loaded.
    pub errands: Option<BTreeMap<EnrollmentId, Errand>>,
    /// Events that the contact ever had, as far as asked: for `on first`.
    pub ever: BTreeMap<Word, bool>,
    /// What may be spent of the budgets of journeys. They belong to all contacts together, so that a purse goes from hand to hand.
    pub budgets: BTreeMap<Word, Purse>,
}

/// Events of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// In order of occurrence.
    pub events: Vec<Event>,
    /// Everything that occurred at this moment or after it is here, as far as kept.
    pub since: Timestamp,
    /// More than [`HISTORY_LIMIT`] lay in the window; the oldest are missing.
    pub truncated: bool,
}

/// The most events of one name that an aggregate looks at.
pub const HISTORY_LIMIT: usize = 1_000;

/// What the gate looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Permissions {
    /// Latest state by (purpose, channel): permit or deny, and since when.
    pub consents: BTreeMap<(Word, Word), (bool, Timestamp)>,
    /// Suppressed addresses by channel.
    pub suppressed: BTreeSet<(Word, Arc<str>)>,
    /// `pause PURPOSE`: until when.
    pub pauses: BTreeMap<Word, Timestamp>,
    /// Slots taken within the longest cap window: (when, channel, purpose).
    pub slots: Vec<(Timestamp, Word, Word)>,
}

/// An enrollment with the program it runs on.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrollment {
    pub id: EnrollmentId,
    pub program: Arc<super::program::Program>,
    /// The values of `per`, as JSON text; empty without `per`.
    pub key: Arc<str>,
    pub state: State,
    /// When it is looked at next by itself; [`Timestamp::NEVER`] when only a signal can move it.
    pub wake_at: Timestamp,
}

/// An enrollment as re-entry rules see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    pub id: EnrollmentId,
    pub key: Arc<str>,
    pub entered_at: Timestamp,
    /// `None`: still inside.
    pub ended_at: Option<Timestamp>,
}

/// A standing entry of a contact: `enter when/while`, anniversaries, offsets of a date attribute. One for each (journey, entry).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    pub id: EnrollmentId,
    pub journey: Word,
    pub entry: u16,
    /// For `when` and `while`: whether the condition held when last looked at. For dates and schedules: whether it has fired
    /// and waits for the next time.
    pub member: bool,
    pub wake_at: Timestamp,
}

/// Something small to do later for a contact, apart from any enrollment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errand {
    pub id: EnrollmentId,
    pub wake_at: Timestamp,
    pub what: ErrandKind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ErrandKind {
    /// `add "spring" to contact.tags for 7 days` ends.
    Undo { attribute: Word, value: Value },
}

/// Money of a journey's budget that something queued costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Spend {
    pub journey: Word,
    pub amount: Decimal,
}

/// A fact that is not loaded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Events of that name that occurred at that moment or after it, the newest [`HISTORY_LIMIT`] of them.
    History {
        name: Word,
        since: Timestamp,
    },
    Permissions,
    /// Enrollments that listen to the signal (interests and waiters), ended ones whose goals still count too; then the signal
    /// is put into [`World::listening`].
    Listeners(Word),
    /// One enrollment by id (an outcome came for it); if it is no more, its id is put into [`World::gone`].
    Enrollment(EnrollmentId),
    /// All enrollments that listen to anything or wait for time; then [`World::all_enrollments`] is set.
    AllEnrollments,
    /// Enrollments of that journey, past ones too.
    Past(Word),
    Standing,
    /// All errands.
    Errands,
    /// Whether an event of that name ever happened before.
    Ever(Word),
    /// A [`Purse`] of the budget of that journey with so much in it, or with all that is left.
    Budget {
        journey: Word,
        amount: Decimal,
    },
}

// ---------------------------------------------------------------- what comes out

/// What shall be written, in one transaction, for one contact.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// The attributes after the change, when one changed.
    pub attributes: Option<Fields>,
    /// Events for the history, our own records among them.
    pub events: Vec<Event>,
    /// Enrollments that moved, began or ended; each id once, its last state counts.
    pub enrollments: Vec<EnrollmentChange>,
    pub deliveries: Vec<Delivery>,
    pub tasks: Vec<NewTask>,
    pub requests: Vec<NewRequest>,
    /// Enrollments that ended before the end of their own way: their queued deliveries with a consent purpose that are not yet
    /// leased are cancelled, their open tasks and requests too. Who reaches an `exit` step keeps what was queued on the way.
    pub cancel: Vec<EnrollmentId>,
    /// Their deliveries that go out all the same: what the very input that ended them has queued, as an apology in a handler.
    pub kept: Vec<DeliveryId>,
    pub consents: Vec<ConsentChange>,
    pub suppressions: Vec<Suppression>,
    pub pauses: Vec<(Word, Timestamp)>,
    pub slots: Vec<(Timestamp, Word, Word, DeliveryId)>,
    pub standing: Vec<StandingChange>,
    /// Places in audiences that were taken and given back, in order.
    pub places: Vec<Place>,
    pub errands: Vec<Errand>,
    pub errands_done: Vec<(Timestamp, EnrollmentId)>,
    /// Decisions and transitions, enough to tell why and why not.
    pub history: Vec<Note>,
}

/// What became of one enrollment.
#[derive(Clone, Debug, PartialEq)]
pub struct EnrollmentChange {
    pub after: Enrollment,
    /// The timer that it had before; `None` when it begins here.
    pub woke_at: Option<Timestamp>,
    /// It begins here: the row and its interests are to be inserted.
    pub begins: Option<Begin>,
    /// It ends here, with its reason.
    pub ends: Option<Word>,
    /// Signals that the present wait listens to, beside the interests; they replace the former ones.
    pub waits_for: Vec<Word>,
    /// The signals that the wait before listened to, so that they can be removed by key.
    pub waited_for: Vec<Word>,
    /// Nothing is left to listen to: the timer and all interests can go. An ended enrollment whose goal still counts is kept.
    pub gone: bool,
}

/// A standing entry that is new or changed.
#[derive(Clone, Debug, PartialEq)]
pub struct StandingChange {
    pub after: Standing,
    /// The timer that it had before; `None` when it is new.
    pub woke_at: Option<Timestamp>,
}

/// The beginning of an enrollment.
#[derive(Clone, Debug, PartialEq)]
pub struct Begin {
    pub entered_at: Timestamp,
    /// What it was started with; empty where it entered in another way.
    pub arguments: Fields,
    /// Signals that exits, handlers, goals and live conditions listen to for the whole life.
    pub interests: Vec<Word>,
}

/// A message to be delivered: an outbox row. Its identity is (enrollment, step, round, arm).
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub enrollment: EnrollmentId,
    pub journey: Word,
    pub step: Word,
    pub round: u32,
    pub arm: u8,
    pub channel: Word,
    pub template: Word,
    pub purpose: Word,
    /// Skips consent, cap and pause.
    pub transactional: bool,
    /// The frozen `with` values.
    pub with: Fields,
    /// Another address than the channel's attribute.
    pub to: Option<Arc<str>>,
    /// Useless after this moment.
    pub before: Option<Timestamp>,
    pub due_at: Timestamp,
    /// The enrollment wants to hear of `sent`, `delivered` … of this message.
    pub wants_outcome: bool,
}

/// Work for a person.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    pub id: TaskId,
    pub enrollment: EnrollmentId,
    pub journey: Word,
    pub step: Word,
    pub round: u32,
    /// `call` or `assign`.
    pub verb: Word,
    pub task: Word,
    pub team: Word,
    pub with: Fields,
    pub due_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A request to a declared endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRequest {
    pub id: DeliveryId,
    pub enrollment: EnrollmentId,
    pub journey: Word,
    pub step: Word,
    pub round: u32,
    pub endpoint: Word,
    pub with: Fields,
    pub due_at: Timestamp,
}

impl NewRequest {
    /// The pool from which it takes, if it does not go outside.
    pub fn pool(&self) -> Option<&str> {
        super::program::pool_of(&self.endpoint)
    }
}

/// A place in an audience: an enrollment takes one or gives it back, or all of the contact's are taken away.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub audience: Word,
    /// `None`: every place that the contact has in it.
    pub enrollment: Option<EnrollmentId>,
    pub joins: bool,
    pub at: Timestamp,
}

impl Place {
    /// Does to the places of a contact what it says.
    pub fn apply(&self, places: &mut BTreeSet<(Word, EnrollmentId)>) {
        match (self.enrollment, self.joins) {
            (Some(id), true) => _ = places.insert((self.audience.clone(), id)),
            (Some(id), false) => _ = places.remove(&(self.audience.clone(), id)),
            (None, _) => places.retain(|(audience, _)| *audience != self.audience),
        }
    }
}

/// One line of a contact's history: what was decided, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub at: Timestamp,
    pub enrollment: Option<EnrollmentId>,
    pub journey: Option<Word>,
    /// The step's stable identity and its round, where one is concerned.
    pub step: Option<Word>,
    pub round: u32,
    pub what: What,
}

/// What a decision looked at, by name: the numbers, moments and names that its reason is told with.
pub type Because = Vec<(Word, Value)>;

/// What happened. `why` texts are for people; the rest is for machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    Entered,
    NotEntered {
        why: Arc<str>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        because: Because,
    },
    /// The step was done; a resting step: the rest is over, with the arm or outcome that ended it.
    Done {
        outcome: Option<Word>,
    },
    /// It rests here until then.
    Rests {
        until: Timestamp,
    },
    /// The gate held a message back until then.
    Held {
        until: Timestamp,
        why: Word,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        because: Because,
    },
    /// A message was queued.
    Queued {
        delivery: DeliveryId,
        channel: Word,
        template: Word,
    },
    /// A message was not queued: cap, quiet, consent, suppressed, late, pause, unreachable, and the channel in question.
    Skipped {
        why: Word,
        channel: Word,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        because: Because,
    },
    Exited {
        reason: Word,
    },
    Goal {
        name: Word,
    },
    /// A variant or branch was taken.
    Took {
        choice: Word,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        because: Because,
    },
    /// Somebody decided about a message that may have left or was refused: `resend`, `settle`.
    Decided {
        delivery: DeliveryId,
        decision: Word,
        by: Arc<str>,
    },
    /// Something was not as checked (a value vanished, arithmetic saturated, history truncated), and what was done about it.
    Odd {
        why: Arc<str>,
    },
}

/// Where an enrollment stands, for counts and tests: its resting step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub step: StepIx,
    pub slot: Option<SlotIx>,
}
