//! What all journeys share: the schema and the policies.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Days, Expr, FORMAT, Word, ZoneRef};
use crate::time::{Calendar, Holidays, TimeOfDay};
use crate::value::{Decimal, FieldType, Type, Value};

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
    // What came later stands at the end, so that older bytes can be read: see `hash`.
    pub surveys: BTreeMap<Word, Survey>,
    /// What requests to an endpoint carry beside what all do.
    pub headers: BTreeMap<Word, Vec<Header>>,
    /// What the messages, calls and letters of a journey may cost together.
    pub budgets: BTreeMap<Word, Budget>,
    /// What a message on a channel costs, where the channel says it.
    pub costs: BTreeMap<Word, Decimal>,
    /// What work of a kind costs, where the task says it.
    pub task_costs: BTreeMap<Word, Decimal>,
    pub audiences: BTreeMap<Word, Audience>,
    /// What becomes of messages that may have left, where a step says it: by journey and step.
    pub doubts: BTreeMap<Word, BTreeMap<Word, Doubt>>,
}

/// What becomes of a message of which nobody knows whether it has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Doubt {
    /// It is sent again, with the same identity: at least once.
    Retry,
    /// It is kept until somebody decides: at most once.
    Hold,
}

/// `budget 500.00 per calendar month then skip`, of a journey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    pub most: Decimal,
    /// Calendar day, week, month or year in the project's zone; `None`: over the life of the journey.
    pub window: Option<CalendarUnit>,
    pub then: Then,
}

/// The name in `secret:NAME`, which stands for an address or a key that is in no file of the project.
pub fn secret_of(text: &str) -> Option<&str> {
    text.strip_prefix("secret:")
}

/// A header of the requests to an endpoint: `Authorization: Bearer secret:crm`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub name: Arc<str>,
    /// As written; its last word may name a secret.
    pub value: Arc<str>,
}

impl Header {
    /// What stands before the secret, and `secret:name`, where the value has one.
    pub fn secret(&self) -> Option<(&str, &str)> {
        let at = self.value.rfind("secret:")?;
        let (before, secret) = self.value.split_at(at);
        (before.is_empty() || before.ends_with(' ')).then_some((before, secret))
    }
}

/// People who are handed to an advertising network, by hashes of their addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audience {
    /// Whose consent is asked for, whatever the policies say, and on which channel.
    pub purpose: Word,
    pub channel: Word,
    /// Attributes of types e-mail and phone, by which the network knows people.
    pub matches: Vec<Word>,
    /// `file`, or the secret that is the address to which changes are posted.
    pub sends: Arc<str>,
}

/// What people are asked, and the type of each answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// For those who answer; the name where the author gave none.
    pub title: Arc<str>,
    pub questions: Vec<Question>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    pub field: FieldType,
    /// As it is asked; the name of the field where the author wrote nothing.
    pub text: Arc<str>,
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
    /// `smtp`, the name of a secret, or the team of a channel of class `task`.
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
    /// enrollment's own steps. See [`crate::engine::world::signal`].
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
    // What came later stands at the end, so that older bytes can be read: see `hash`.
    pub rates: Vec<Rate>,
    pub audiences: Vec<MaxAudience>,
}

/// `rate email marketing at 500 per hour`: how many sends may begin in any such time, over all workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    pub channel: Word,
    /// `None`: everything on the channel.
    pub purpose: Option<Word>,
    pub number: u32,
    pub window_ms: i64,
}

/// `max audience 20_000 for marketing`: how many people one firing of an entry may take in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaxAudience {
    pub purpose: Word,
    pub most: u32,
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

/// How the endpoint is called under which the catalog keeps a pool: taking from it is a request that stays in the house. No declared
/// endpoint has a colon in its name.
const POOL: &str = "pool:";

/// The endpoint of a pool.
pub fn pool_endpoint(pool: &str) -> Word {
    format!("{POOL}{pool}").into()
}

/// The pool of an endpoint, if it is one.
pub fn pool_of(endpoint: &str) -> Option<&str> {
    endpoint.strip_prefix(POOL)
}

/// How the attribute is called under which steps speak of an audience. No declared attribute has a colon in its name.
const AUDIENCE: &str = "audience:";

/// The attribute of an audience.
pub fn audience_attribute(audience: &str) -> Word {
    format!("{AUDIENCE}{audience}").into()
}

/// The audience of an attribute, if it is one.
pub fn audience_of(attribute: &str) -> Option<&str> {
    attribute.strip_prefix(AUDIENCE)
}

/// How a channel of class `task` keeps the team that speaks with people on it, in [`Channel::sends`].
const TEAM: &str = "team:";

impl Channel {
    /// What stands in [`Channel::sends`] for work of that team.
    pub fn by_team(team: &str) -> Arc<str> {
        format!("{TEAM}{team}").into()
    }

    /// The team that speaks with people on this channel, if it is one of class `task` that names its team.
    pub fn team(&self) -> Option<&str> {
        self.sends.strip_prefix(TEAM).filter(|_| &*self.class == "task")
    }

    /// Whether what is sent on it leaves as mail.
    pub fn is_by_mail(&self) -> bool {
        &*self.sends == "smtp"
    }

    /// Whether messages on it leave by a gateway, which a secret names.
    pub fn is_by_gateway(&self) -> bool {
        &*self.class == "message" && secret_of(&self.sends).is_some()
    }
}

impl Endpoint {
    /// A pool with these fields.
    pub fn pool(fields: Vec<FieldType>) -> Endpoint {
        Endpoint {
            method: "TAKE".into(),
            url: "".into(),
            timeout: Calendar::default(),
            retries: 0,
            returns: fields,
        }
    }
}

impl Catalog {
    /// What becomes of messages of that step that may have left: as its journey says in its newest version, or else by whether they
    /// are transactional.
    pub fn doubt(&self, journey: &str, step: &str, transactional: bool) -> Doubt {
        let own = self.doubts.get(journey).and_then(|steps| steps.get(step)).copied();
        own.unwrap_or(if transactional { Doubt::Retry } else { Doubt::Hold })
    }

    /// Whether what leaves on that channel is printed.
    pub fn is_letter(&self, channel: &str) -> bool {
        self.channels.get(channel).is_some_and(|channel| &*channel.class == "letter")
    }

    /// The declared pools and their fields.
    pub fn pools(&self) -> impl Iterator<Item = (&str, &[FieldType])> {
        self.endpoints.iter().filter_map(|(name, pool)| Some((pool_of(name)?, pool.returns.as_slice())))
    }

    /// Channels on which a team speaks with people, with the team.
    pub fn task_channels(&self) -> impl Iterator<Item = (&Word, &str)> {
        self.channels.iter().filter_map(|(name, channel)| Some((name, channel.team()?)))
    }

    /// The endpoints outside: what requests are made to.
    pub fn endpoints_outside(&self) -> impl Iterator<Item = (&Word, &Endpoint)> {
        self.endpoints.iter().filter(|(name, _)| pool_of(name).is_none())
    }

    /// By what the channels, the endpoints outside and the networks of audiences are reached, and what they are told: `smtp`, `file`, an
    /// address, or `secret:NAME`.
    pub fn ways_out(&self) -> impl Iterator<Item = &str> {
        let channels = self.channels.values().map(|channel| &*channel.sends);
        let headers = self.headers.values().flatten().filter_map(|header| Some(header.secret()?.1));
        let networks = self.audiences.values().map(|audience| &*audience.sends);
        channels
            .chain(self.endpoints_outside().map(|(_, endpoint)| &*endpoint.url))
            .chain(headers)
            .chain(networks)
    }

    /// Whether it is `marketing`, `transactional` or declared.
    pub fn is_purpose(&self, name: &str) -> bool {
        self.purpose_names().contains(&name)
    }

    /// All purposes, the built-in ones first.
    pub fn purpose_names(&self) -> Vec<&str> {
        ["marketing", "transactional"].into_iter().chain(self.purposes.keys().map(|name| &**name)).collect()
    }

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
            surveys: BTreeMap::new(),
            headers: BTreeMap::new(),
            budgets: BTreeMap::new(),
            costs: BTreeMap::new(),
            task_costs: BTreeMap::new(),
            audiences: BTreeMap::new(),
            doubts: BTreeMap::new(),
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
