//! What the compiler makes and the engine runs: a [`Program`] for each journey, and one [`Catalog`] of what all journeys share.
//!
//! Both are plain data: serialized with fixed field order and no floats, hashed into a version, stored once for each content
//! hash and never changed. Source places are no part of them, so comments and layout never make a new version.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::index::Index;
use crate::time::{Calendar, Date, Holidays, TimeOfDay, Timestamp};
use crate::value::{Decimal, FieldType, Type, Value};

/// A name that authors gave: of a journey, event, attribute, channel, template, purpose.
pub type Word = Arc<str>;

/// Index into [`Program::steps`].
pub type StepIx = u16;

/// Index into [`Program::slots`]: where the entering event, results of named steps and `let` values live. Slot 0 is the entry.
pub type SlotIx = u16;

/// The format of stored programs; an engine refuses what it does not know.
pub const FORMAT: u16 = 1;

// ---------------------------------------------------------------- the catalog

/// What all journeys share: the schema and the policies. The newest deployed catalog holds for every version at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    pub format: u16,
    /// IANA name of the project's zone.
    pub zone: Word,
    pub locale: Word,
    pub holidays: Holidays,
    /// The contact's attributes in order of declaration.
    pub attributes: Vec<Attribute>,
    pub events: BTreeMap<Word, Event>,
    /// Child purpose to parent, such as lapsing under marketing. `marketing` and `transactional` have no parent.
    pub purposes: BTreeMap<Word, Word>,
    pub channels: BTreeMap<Word, Channel>,
    pub tasks: BTreeMap<Word, Task>,
    pub teams: BTreeMap<Word, Team>,
    pub endpoints: BTreeMap<Word, Endpoint>,
    /// Segments by name; conditions over the contact alone.
    pub segments: BTreeMap<Word, Segment>,
    pub scores: BTreeMap<Word, Expr>,
    /// Templates that are transactional whatever the journey, with the reason.
    pub transactional_templates: BTreeMap<Word, Arc<str>>,
    pub policy: Policy,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribute {
    pub name: Word,
    pub ty: Type,
    /// The value where none was set; `Unknown` for optional ones, an empty list for lists.
    pub default: Value,
    pub unique: bool,
    pub pii: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub fields: Vec<FieldType>,
    /// The field whose value makes an event unique for a contact for as long as the event is kept.
    pub dedupe: Option<Word>,
    /// Names it has outside.
    pub aliases: Vec<Arc<str>>,
    pub keep: Calendar,
    pub late_after: Calendar,
}

/// What a channel is for the gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// The attribute that holds the address; `None` for channels without one.
    pub address: Option<Word>,
    /// `message`, `task` or `letter` as written.
    pub class: Word,
    /// `smtp`, or the name of a secret.
    pub sends: Arc<str>,
    pub hours: Option<Hours>,
    /// What the channel can report: opens, clicks, replies.
    pub abilities: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hours {
    pub days: Days,
    pub from: TimeOfDay,
    pub to: TimeOfDay,
    pub zone: ZoneRef,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub script: Option<Arc<str>>,
    pub outcomes: Vec<Word>,
    pub answers: Vec<FieldType>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Team {
    pub hours: Option<Hours>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    pub method: Arc<str>,
    /// A URL or the name of a secret, `secret:name`.
    pub url: Arc<str>,
    pub timeout: Calendar,
    pub retries: i64,
    pub returns: Vec<FieldType>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    pub condition: Expr,
    pub watch: Watch,
}

/// What a live condition depends on: computed by the compiler, so that nothing ever scans.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// Signals whose arrival may change the condition: event names, `contact.NAME`, `consent.PURPOSE`, and outcomes of the
    /// enrollment's own steps. See [`super::world::signal`].
    pub signals: Vec<Word>,
    /// It has a window (`within 30 days`) or asks for the day, so time alone may change it; the engine computes when.
    pub by_time: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Channels of each purpose that need consent.
    pub consent: BTreeMap<Word, Vec<Word>>,
    pub quiet: Vec<Quiet>,
    pub caps: Vec<Cap>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quiet {
    pub from: TimeOfDay,
    pub to: TimeOfDay,
    pub zone: ZoneRef,
    pub purpose: Word,
    /// Empty: every channel.
    pub channels: Vec<Word>,
    pub then: Then,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cap {
    /// `None`: over all channels.
    pub channel: Option<Word>,
    pub purpose: Word,
    pub number: u32,
    pub window: CapWindow,
    pub then: Then,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CapWindow {
    Rolling(Calendar),
    /// Calendar day, week (from Monday), month or year in the contact's zone.
    Calendar(CalendarUnit),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CalendarUnit {
    Day,
    Week,
    Month,
    Year,
}

/// What happens when a rule holds a message back; the strictest wins: exit, skip, wait.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Then {
    /// Wait until the rule lets it through, at most so long (then skip).
    Wait(Option<Calendar>),
    Skip,
    Exit,
}

// ---------------------------------------------------------------- the program

/// One compiled journey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    pub format: u16,
    pub journey: Word,
    pub title: Option<Arc<str>>,
    /// The number written after `version`, if any.
    pub version: Option<u32>,
    pub purpose: Word,
    /// The reason of a transactional journey.
    pub because: Option<Arc<str>>,
    pub entries: Vec<Entry>,
    /// The fields of the entry that make the instance key; empty: one enrollment a contact.
    pub per: Vec<Word>,
    pub reenter: Reenter,
    pub runs: Option<Runs>,
    pub lasts: Option<Calendar>,
    pub exits: Vec<ExitRule>,
    pub goals: Vec<Goal>,
    pub handlers: Vec<Handler>,
    pub slots: Vec<Slot>,
    /// How many loops there are; each has a counter in the state.
    pub loops: u16,
    /// Step 0 is where an enrollment begins.
    pub steps: Vec<Step>,
    /// All reasons with which an enrollment can end, for reports and coverage: written ones and `expired`, … where possible.
    pub reasons: Vec<Word>,
    /// Channels on which the journey sends; with the purpose they decide consent at entry.
    pub channels: Vec<Word>,
    /// `on deploy finish old`.
    pub pinned: bool,
    /// Computed from the rest when first asked for, never stored; begin with `Index::default()`.
    #[serde(skip)]
    pub index: Index,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    pub name: Word,
    pub kind: SlotKind,
    /// Fields that some expression reads; the engine stores no others.
    pub used: Vec<Word>,
    /// Some expression uses the step's name as a moment, or as the start of a reach.
    pub moment_used: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotKind {
    /// The entering event, change or arguments.
    Entry,
    /// An event named inside an exit rule, goal, handler or wait arm.
    Event,
    Let,
    Message,
    Wait,
    Task,
    Request,
    Loop,
    Child,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub how: EntryHow,
    /// `where`, over the entering event (slot 0) and the contact.
    pub filter: Option<Expr>,
    /// `for SEGMENT`, evaluated when the entry fires.
    pub audience: Option<Expr>,
    pub including_existing: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EntryHow {
    Event(Vec<Word>),
    FirstEvent(Vec<Word>),
    Change {
        attribute: Word,
    },
    When {
        condition: Expr,
        watch: Watch,
    },
    While {
        condition: Expr,
        watch: Watch,
    },
    At {
        date: Date,
        time: TimeOfDay,
        zone: ZoneRef,
    },
    Weekday {
        days: Days,
        at: TimeOfDay,
        zone: ZoneRef,
    },
    Anniversary {
        attribute: Word,
        at: TimeOfDay,
        zone: ZoneRef,
    },
    /// Before the date or moment in the attribute when the offset is negative.
    Offset {
        attribute: Word,
        offset: Calendar,
        at: Option<TimeOfDay>,
        zone: ZoneRef,
    },
    /// Five POSIX fields, checked by the compiler.
    Cron {
        text: Arc<str>,
        zone: ZoneRef,
    },
    Start {
        arguments: Vec<FieldType>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reenter {
    Never,
    Always,
    Restart,
    WhenFinished,
    AfterEntry(Calendar),
    AfterExit(Calendar),
}

/// The inclusive span in which the journey takes people in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Runs {
    pub from: Option<Timestamp>,
    /// Exclusive: the first instant at which nobody enters any more.
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExitRule {
    pub reason: Word,
    pub trigger: Trigger,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Trigger {
    Event(Match),
    Condition { condition: Expr, watch: Watch },
}

/// An event that is waited for or listened to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Match {
    /// Any of these signals: event names, or outcomes of own steps such as `reminder.clicked`.
    pub signals: Vec<Signal>,
    /// `same cart_id`: equal to the entering event's field; a missing field never matches.
    pub same: Vec<Word>,
    /// `where`, with the event in its slot.
    pub filter: Option<Expr>,
    /// Where the event is put while the filter runs, and kept where an expression needs it later.
    pub slot: Option<SlotIx>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Signal {
    Event(Word),
    /// An outcome (`clicked`, `sent`, …) of the message or task in that slot, of this enrollment.
    Outcome {
        slot: SlotIx,
        outcome: Word,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    pub name: Word,
    pub on: Match,
    pub within: Option<Calendar>,
    pub target: Option<Decimal>,
    pub then_exit: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handler {
    pub on: Match,
    pub first: StepIx,
}

/// One step: its identity, stable over versions, and what it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Stable identity (section 4.2 of the language): the name, or nearest named step + kind + operand + ordinal.
    pub id: Word,
    /// The slot of its result, where an expression or a moment needs one.
    pub slot: Option<SlotIx>,
    /// The counters of the loops around it, outermost first; they make its round. A `LoopNext` with a slot writes the number of
    /// the round into it.
    pub loops: Vec<u16>,
    pub kind: StepKind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StepKind {
    Send(Box<Send>),
    Work(Box<Work>),
    Request {
        endpoint: Word,
        with: Vec<(Word, Expr)>,
        next: StepIx,
        failed: StepIx,
    },
    Record {
        event: Word,
        with: Vec<(Word, Expr)>,
        next: StepIx,
    },
    /// `set`: a value that is missing is not set, and noted.
    Set {
        attribute: Word,
        value: Expr,
        next: StepIx,
    },
    /// To a list (appends what is not in it yet) or a number (adds).
    Add {
        attribute: Word,
        value: Expr,
        undo: Option<Undo>,
        next: StepIx,
    },
    Remove {
        attribute: Word,
        value: Expr,
        next: StepIx,
    },
    Let {
        slot: SlotIx,
        value: Expr,
        next: StepIx,
    },
    /// Evidence is the name of a result or of an event (the latest since entry).
    Grant {
        purpose: Word,
        channels: Vec<Word>,
        evidence: Option<Word>,
        next: StepIx,
    },
    Withdraw {
        purpose: Word,
        channels: Vec<Word>,
        next: StepIx,
    },
    /// `wait 3 days`, `wait 1 hour to 5 hours`, `wait 3 days then until …`; `longest` makes it random, stable per enrollment.
    WaitFor {
        duration: Calendar,
        longest: Option<Calendar>,
        then_until: Option<Moment>,
        next: StepIx,
    },
    /// `past` is where a past anchor goes on: behind the block, or `next` (with `.late`).
    WaitUntil {
        moment: Moment,
        next: StepIx,
        past: StepIx,
    },
    WaitEvent(Box<WaitEvent>),
    Branch {
        condition: Expr,
        yes: StepIx,
        no: StepIx,
    },
    Switch {
        subject: Expr,
        cases: Vec<(Vec<Value>, StepIx)>,
        otherwise: StepIx,
    },
    /// Shares in ten-thousandths of a percent summing to 100 %; the choice is a hash of (contact, split name).
    Split {
        name: Word,
        variants: Vec<(Word, Decimal, StepIx)>,
    },
    /// Counter `counter` starts at zero.
    LoopStart {
        counter: u16,
        next: StepIx,
    },
    /// Tested before each round: counts up and goes to `body`, or to `done` after `times` rounds. `until` is tested after each
    /// round by a Branch.
    LoopNext {
        counter: u16,
        times: u32,
        body: StepIx,
        done: StepIx,
    },
    StartJourney {
        journey: Word,
        with: Vec<(Word, Expr)>,
        next: StepIx,
    },
    RunJourney {
        journey: Word,
        with: Vec<(Word, Expr)>,
        limit: Option<Calendar>,
        next: StepIx,
    },
    Pause {
        purpose: Word,
        until: PauseUntil,
        next: StepIx,
    },
    /// Ends a handler: back to where the main line stood.
    Resume,
    Exit {
        reason: Word,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Send {
    /// In the order written.
    pub channels: Vec<Word>,
    /// `and`: each reachable one; otherwise the first on which the contact may and can be reached.
    pub every: bool,
    pub template: Word,
    pub to: Option<Expr>,
    pub with: Vec<(Word, Expr)>,
    pub purpose: Word,
    pub before: Option<Moment>,
    pub next: StepIx,
}

/// `call` and `assign`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// `call` or `assign`.
    pub verb: Word,
    pub task: Word,
    pub team: Word,
    pub with: Vec<(Word, Expr)>,
    pub limit: Calendar,
    pub purpose: Word,
    pub next: StepIx,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Undo {
    After(Calendar),
    AtExit,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PauseUntil {
    For(Calendar),
    Until(Moment),
    Forever,
}

/// `wait up to … for/until`, and the race.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitEvent {
    /// `None`: `wait forever`.
    pub limit: Option<Calendar>,
    pub arms: Vec<Arm>,
    pub timeout: StepIx,
    /// `including last 10 minutes`.
    pub look_back: Option<Calendar>,
    /// `then until …`, after an arm or the time-out.
    pub then_until: Option<Moment>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    pub on: Trigger,
    pub next: StepIx,
}

// ---------------------------------------------------------------- moments

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days {
    /// Bit 0 is Monday.
    pub mask: u8,
    /// Holidays do not count.
    pub working: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZoneRef {
    Contact,
    Project,
    Named(Word),
}

/// What stands after `until` and `before`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    pub kind: MomentKind,
    pub zone: ZoneRef,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MomentKind {
    /// Now or later; without a clock time, that of the beginning of the wait.
    Weekday { days: Days, at: Option<Expr> },
    /// Inside the window it is satisfied, otherwise its next opening. Includes `from`, excludes `to`; may cross midnight.
    Window { days: Days, from: Expr, to: Expr },
    /// The next time the clock shows it; satisfied at exactly that time.
    Time(Expr),
    /// An instant or a date (then the clock time, or the start of the day).
    Fixed { date: Date, at: Option<Expr> },
    /// The value of `anchor` (a moment or a date), moved by the offset, at the clock time if one is given. `follows` names the
    /// attribute whose change re-arms the wait.
    Anchor { anchor: Expr, offset: Calendar, at: Option<Expr>, follows: Option<Word> },
}

// ---------------------------------------------------------------- expressions

/// A typed expression; the checker has proved that it cannot go wrong but by a value that vanished since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Expr {
    Const(Value),
    /// An attribute of the contact, its default where unset.
    Attribute(Word),
    /// `contact.id` as text.
    ContactId,
    /// What is in a slot: the value of a `let`, the record of an event or result.
    Slot(SlotIx),
    /// A field of a record; missing gives `Unknown`. Results have the fields of section 2.2 of the language (`happened`, …).
    Field(Box<Expr>, Word),
    /// The event under test inside an aggregate's `where`.
    Row,
    /// When the step in that slot was done, slot 0: entry.
    MomentOf(SlotIx),
    Consent {
        purpose: Word,
        channels: Vec<Word>,
    },
    DayTest {
        negated: bool,
        days: Days,
        window: Option<Box<(Expr, Expr)>>,
        zone: ZoneRef,
    },
    Aggregate(Box<Aggregate>),
    /// Segments and scores are inlined by name, so that a change of one reaches conditions at once.
    Segment(Word),
    Score(Word),
    Call(Function, Vec<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    /// `x is known`
    Known(Box<Expr>),
    /// `x is empty`
    Empty(Box<Expr>),
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    Record(Vec<(Word, Expr)>),
    /// A number where a decimal is wanted.
    ToDecimal(Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BinaryOp {
    Mul,
    Div,
    Add,
    Sub,
    Otherwise,
    Lt,
    Le,
    Gt,
    Ge,
    Is,
    IsNot,
    In,
    NotIn,
    Has,
    HasAnyOf,
    HasAllOf,
    And,
    Or,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    Now,
    Today,
    Year,
    Month,
    Day,
    DaysBetween,
    Round,
    Lower,
    Length,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    pub function: AggregateFn,
    /// `last 3(…)`
    pub newest: Option<u32>,
    pub event: Word,
    pub field: Option<Word>,
    /// Over [`Expr::Row`].
    pub filter: Option<Expr>,
    pub reach: Reach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AggregateFn {
    Count,
    Sum,
    Average,
    Highest,
    Lowest,
    Last,
    First,
    Any,
    None,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reach {
    Within(Calendar),
    Since(SlotIx),
    Ever,
}

impl Catalog {
    /// A schema that declares nothing, in UTC.
    pub fn empty() -> Catalog {
        Catalog {
            format: FORMAT,
            zone: "UTC".into(),
            locale: "en".into(),
            holidays: Holidays::default(),
            attributes: Vec::new(),
            events: BTreeMap::new(),
            purposes: BTreeMap::new(),
            channels: BTreeMap::new(),
            tasks: BTreeMap::new(),
            teams: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            segments: BTreeMap::new(),
            scores: BTreeMap::new(),
            transactional_templates: BTreeMap::new(),
            policy: Policy::default(),
        }
    }

    /// The purpose itself and those above it, nearest first.
    pub fn lineage<'a>(&'a self, purpose: &'a Word) -> impl Iterator<Item = &'a Word> {
        std::iter::successors(Some(purpose), |p| self.purposes.get(*p)).take(16)
    }

    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| &*attribute.name == name)
    }

    /// The event that has that name here or outside.
    pub fn event_named(&self, name: &str) -> Option<(&Word, &Event)> {
        let by_alias =
            || self.events.iter().find(|(_, event)| event.aliases.iter().any(|alias| &**alias == name));
        self.events.get_key_value(name).or_else(by_alias)
    }
}
