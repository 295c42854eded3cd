//! What happened to somebody, and what did not, in sentences that a marketer reads without a manual. Pure: notes, obstacles and
//! what became of deliveries in; words out.
//!
//! Nothing is decided or looked up here. A reason that a note carries (`because`) is told with its inputs; one from the time
//! before notes carried any is told by its name alone.

pub mod standing;
pub mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::explain::{Obstacle, Part};
use crate::engine::program::{Catalog, Program, Step, StepKind, Word, audience_of};
use crate::engine::spell;
use crate::engine::world::{Because, Note, What};
use crate::id::{DeliveryId, EnrollmentId};
use crate::lang::lower::whole;
use crate::time::{Timestamp, Zone};
use crate::value::Value;

/// What a story is told from beside its notes.
pub struct Teller {
    /// The project's: it says what a purpose's parents are, and in which zone moments are told.
    pub catalog: Arc<Catalog>,
    /// Every program ever deployed: a step's id leads to what it sends.
    pub programs: Vec<Arc<Program>>,
    pub deliveries: BTreeMap<DeliveryId, Fate>,
    /// Addresses of the contact that are not used any more, by channel: why, and since when.
    pub suppressed: BTreeMap<Word, (String, Timestamp)>,
}

/// What became of a delivery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fate {
    /// Of a request: whose, at which step, and in which round of a loop.
    pub request: Option<(EnrollmentId, Word, u32)>,
    pub template: String,
    pub channel: String,
    /// `queued leased deferred accepted refused cancelled unknown`.
    pub state: String,
    /// The words of the relay, or why it was cancelled.
    pub result: Option<String>,
    pub due_at: Timestamp,
    pub settled_at: Option<Timestamp>,
    pub clicked_at: Option<Timestamp>,
    pub maybe_duplicate: bool,
    /// The pause that holds it, in words.
    pub paused: Option<String>,
}

/// One thing that happened, told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub at: Timestamp,
    /// A whole clause, without a period at its end.
    pub text: String,
}

impl Teller {
    /// `Tue 4 Mar 2025, 10:00`, in the project's zone.
    pub fn moment(&self, at: Timestamp) -> String {
        moment(&self.catalog, at)
    }

    /// The zone in which it tells moments: the project's.
    pub fn zone(&self) -> Zone {
        zone(&self.catalog)
    }

    /// The notes of one journey, in order; what only repeats another line is left out.
    pub fn tell(&self, notes: &[&Note]) -> Vec<Told> {
        let told = notes.iter().filter_map(|note| Some(Told { at: note.at, text: self.note(note)? }));
        told.collect()
    }

    /// One note; `None` where it says nothing that people ask for.
    pub fn note(&self, note: &Note) -> Option<String> {
        let step = note.step.as_deref().unwrap_or_default();
        let what = || self.what_of(note);
        Some(match &note.what {
            What::Entered => "entered".to_owned(),
            What::NotEntered { why, because } => format!("did not enter: {}", self.turned_away(why, because)),
            What::Done { outcome: None } => match self.membership(note)? {
                (audience, true) => format!("was added to the audience `{audience}`"),
                (audience, false) => format!("was taken out of the audience `{audience}`"),
            },
            What::Done { outcome: Some(outcome) } if self.question(note).is_some() => {
                let survey = self.question(note)?;
                match &**outcome {
                    "answered" => format!("answered `{survey}`"),
                    "unreadable" => format!("the reply to `{survey}` could not be read"),
                    _ => format!("nobody answered `{survey}` in time"),
                }
            }
            What::Done { outcome: Some(outcome) } if **outcome == *"timeout" => {
                format!("{} is over: nothing came in time", what())
            }
            What::Done { outcome: Some(outcome) } => {
                format!("{} ended with `{outcome}`{}", what(), self.why_in_vain(note, outcome))
            }
            What::Rests { until } if *until == Timestamp::NEVER => format!("waits at `{step}`"),
            What::Rests { until } if self.question(note).is_some() => {
                format!(
                    "waits for answers to `{}`, at most until {}",
                    self.question(note)?,
                    self.moment(*until)
                )
            }
            What::Rests { until } => format!("waits at `{step}`, at most until {}", self.moment(*until)),
            What::Held { until, why, because } => {
                format!("{} waits until {}: {}", what(), self.moment(*until), self.gate(why, because, None))
            }
            What::Queued { delivery, channel, template } => match self.deliveries.get(delivery) {
                Some(fate) => self.fate(fate),
                None => format!("`{template}` by {channel} was queued"),
            },
            What::Skipped { why, channel, because } if self.membership(note).is_some() => {
                let (audience, _) = self.membership(note)?;
                let why = self.gate(why, because, Some(channel));
                format!("was not added to the audience `{audience}`: {why}")
            }
            What::Skipped { why, channel, because } => {
                format!("{} by {channel} was not sent: {}", what(), self.gate(why, because, Some(channel)))
            }
            What::Exited { reason } => format!("left as `{reason}`{}", left(reason)),
            What::Goal { name } => format!("reached the goal `{name}`"),
            // Whether a message was sent, or which channel somebody prefers, is no way of the journey.
            What::Took { .. } if *whole(step) != *step => return None,
            What::Took { choice, because } => {
                format!("took `{choice}` at `{step}`{}", self.decided(note, choice, because))
            }
            What::Decided { delivery, decision, by } => {
                let template = self.deliveries.get(delivery).map_or("a message", |fate| &fate.template);
                match &**decision {
                    "settle" => format!("`{template}` counts as sent: {by} decided so"),
                    _ => format!("`{template}` is to be sent again: {by} decided so"),
                }
            }
            What::Odd { why } => format!("something was not as it should be: {why}"),
        })
    }

    /// What decided at a branch, to be put behind which way was taken: the condition, and what it looked at.
    fn decided(&self, note: &Note, choice: &str, because: &Because) -> String {
        let values: Vec<String> =
            because.iter().map(|(name, value)| format!("`{name}` was {}", self.value(value))).collect();
        let values = if values.is_empty() { String::new() } else { format!(": {}", values.join(", ")) };
        match self.condition(note, because) {
            Some((text, true)) if choice == "yes" => format!(": `{text}` held{values}"),
            Some((text, true)) => format!(": `{text}` did not hold{values}"),
            Some((text, false)) => format!(" by `{text}`"),
            None => values,
        }
    }

    /// The condition of the branch at the note's step, or what it chooses by; whether it is a condition. Nothing where versions of the
    /// journey differ in it, and the values do not tell which it was.
    fn condition(&self, note: &Note, because: &Because) -> Option<(String, bool)> {
        let (journey, id) = (note.journey.as_ref()?, note.step.as_ref()?);
        let mut found = None;
        for program in self.programs.iter().filter(|program| program.journey == *journey) {
            for step in program.steps.iter().filter(|step| step.id == *id) {
                let (expr, is_condition) = match &step.kind {
                    StepKind::Branch { condition, .. } => (condition, true),
                    StepKind::Switch { subject, .. } => (subject, false),
                    _ => continue,
                };
                let mut leaves = Vec::new();
                spell::leaves(expr, &mut leaves);
                let names: Vec<String> =
                    leaves.into_iter().map(|leaf| spell::spell(leaf, Some(program))).collect();
                let one = Some((spell::spell(expr, Some(program)), is_condition));
                if !because.iter().all(|(name, _)| names.iter().any(|known| **known == **name)) {
                    continue;
                }
                if found.is_some() && found != one {
                    return None;
                }
                found = one;
            }
        }
        found
    }

    /// Why the request of the note's step was not answered, to be put behind that it was not.
    fn why_in_vain(&self, note: &Note, outcome: &str) -> String {
        let (Some(enrollment), Some(step), true) = (note.enrollment, &note.step, outcome != "answered")
        else {
            return String::new();
        };
        let place = Some((enrollment, step.clone(), note.round));
        let fate = self.deliveries.values().find(|fate| fate.request == place);
        let result = fate.and_then(|fate| fate.result.as_deref());
        result.map_or_else(String::new, |why| format!(": {why}"))
    }

    /// The survey whose answers the note's step waits for.
    fn question(&self, note: &Note) -> Option<Word> {
        let (journey, id) = (note.journey.as_ref()?, note.step.as_ref()?);
        let message = id.strip_suffix("/answer")?;
        let programs = self.programs.iter().filter(|program| program.journey == *journey);
        let step = programs.flat_map(|program| &program.steps).find(|step| *step.id == *message)?;
        match &step.kind {
            StepKind::Send(send) => Some(send.template.clone()),
            _ => None,
        }
    }

    /// The audience that the note's step speaks of, and whether it adds people to it.
    fn membership(&self, note: &Note) -> Option<(&str, bool)> {
        let (journey, id) = (note.journey.as_ref()?, note.step.as_ref()?);
        let programs = self.programs.iter().filter(|program| program.journey == *journey);
        let step = programs.flat_map(|program| &program.steps).find(|step| step.id == *id)?;
        match &step.kind {
            StepKind::Add { attribute, .. } => Some((audience_of(attribute)?, true)),
            StepKind::Remove { attribute, .. } => Some((audience_of(attribute)?, false)),
            _ => None,
        }
    }

    /// What the note's step sends or asks for: `welcome`, the call `winback`.
    fn what_of(&self, note: &Note) -> String {
        let (Some(journey), Some(id)) = (&note.journey, &note.step) else { return "it".to_owned() };
        let programs = self.programs.iter().filter(|program| program.journey == *journey);
        let step: Option<&Step> = programs.flat_map(|program| &program.steps).find(|step| step.id == *id);
        match step.map(|step| &step.kind) {
            Some(StepKind::Send(send)) => format!("`{}`", send.template),
            Some(StepKind::Work(work)) if &*work.verb == "ask" => format!("the survey `{}`", work.task),
            Some(StepKind::Work(work)) => format!("the {} `{}`", work.verb, work.task),
            Some(StepKind::Request { endpoint, .. }) => format!("the request `{endpoint}`"),
            _ => format!("`{}`", id),
        }
    }

    /// Why somebody was turned away at the door.
    fn turned_away(&self, why: &str, because: &Because) -> String {
        let moment = |name: &str| match get(because, name) {
            Some(Value::Moment(at)) => Some(self.moment(*at)),
            _ => None,
        };
        match (why, moment("entered"), moment("left"), moment("free")) {
            ("was in this journey before", Some(entered), ..) => {
                format!("was inside before, from {entered} on, and the journey takes everybody once")
            }
            ("is in this journey", Some(entered), ..) => {
                format!("was inside already, since {entered}, and nobody is inside twice")
            }
            ("was in this journey too lately", Some(entered), left, Some(free)) => {
                let until = left.map_or_else(String::new, |left| format!(" to {left}"));
                format!("was inside from {entered}{until}, and may enter again from {free}")
            }
            ("no consent", ..) => self.no_consent(because),
            _ => why.to_owned(),
        }
    }

    fn no_consent(&self, because: &Because) -> String {
        let purpose = text(because, "purpose").unwrap_or("this purpose").to_owned();
        let channels = because.iter().filter_map(|(channel, row)| match row {
            Value::Record(row) => Some((channel, row)),
            _ => None,
        });
        let told: Vec<String> = channels
            .map(|(channel, row)| match row.get("withdrawn") {
                Some(Value::Moment(at)) => {
                    format!("consent to {purpose} by {channel} was withdrawn on {}", self.moment(*at))
                }
                _ => format!("there never was consent to {purpose} by {channel}"),
            })
            .collect();
        if told.is_empty() { format!("there is no consent to {purpose}") } else { told.join(", and ") }
    }

    /// Why the gate held something back or did not let it pass.
    fn gate(&self, why: &str, because: &Because, channel: Option<&Word>) -> String {
        let moment = |name: &str| match get(because, name) {
            Some(Value::Moment(at)) => Some(self.moment(*at)),
            _ => None,
        };
        let by = channel.map_or_else(String::new, |channel| format!(" by {channel}"));
        match why {
            "consent" => {
                let purpose =
                    text(because, "of").or_else(|| text(because, "purpose")).unwrap_or("this purpose");
                match moment("withdrawn") {
                    Some(at) => format!("consent to {purpose}{by} was withdrawn on {at}"),
                    None => format!("there never was consent to {purpose}{by}"),
                }
            }
            "unreachable" => match text(because, "attribute") {
                Some(attribute) => format!("there is no `{attribute}`"),
                None => "there is no address".to_owned(),
            },
            "suppressed" => match channel.and_then(|channel| self.suppressed.get(channel)) {
                Some((reason, at)) => {
                    format!(
                        "the address is not used any more: {} on {}",
                        suppression(reason),
                        self.moment(*at)
                    )
                }
                None => "the address is not used any more".to_owned(),
            },
            "paused" => match (text(because, "purpose"), moment("until")) {
                (Some(purpose), Some(until)) => format!("{purpose} rests for this person until {until}"),
                _ => "messages of this purpose rest for this person".to_owned(),
            },
            "quiet" => match (get(because, "from"), get(because, "to"), get(because, "open").is_some()) {
                (Some(from), Some(to), false) => {
                    format!("quiet hours from {} to {}", spell::value(from), spell::value(to))
                }
                (Some(from), Some(to), true) => {
                    format!("the channel is open from {} to {}", spell::value(from), spell::value(to))
                }
                _ => "quiet hours".to_owned(),
            },
            "cap" => self.cap(because),
            "late" => "it would have come too late".to_owned(),
            "budget" => budget(because),
            other => other.to_owned(),
        }
    }

    fn cap(&self, because: &Because) -> String {
        let (Some(Value::Number(number)), Some(window)) = (get(because, "number"), get(because, "window"))
        else {
            return "a limit on messages is used up".to_owned();
        };
        let window = match window {
            Value::Text(text) => text.to_string(),
            other => spell::value(other),
        };
        let purpose = text(because, "purpose").unwrap_or("these");
        let by = text(because, "channel").map_or_else(String::new, |channel| format!(" by {channel}"));
        let taken: Vec<String> = match get(because, "taken") {
            Some(Value::List(all)) => all
                .iter()
                .filter_map(|at| match at {
                    Value::Moment(at) => Some(self.moment(*at)),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        let used =
            if taken.is_empty() { String::new() } else { format!(" by those of {}", taken.join(" and ")) };
        format!("the limit of {number} {purpose} messages{by} in {window} is used up{used}")
    }

    /// What became of a delivery.
    pub fn fate(&self, fate: &Fate) -> String {
        let Fate { template, channel, .. } = fate;
        let name = format!("`{template}` by {channel}");
        let settled = fate.settled_at.map_or_else(String::new, |at| format!(" on {}", self.moment(at)));
        let result = fate.result.as_deref().unwrap_or("without a reason");
        match fate.state.as_str() {
            "queued" => match &fate.paused {
                Some(paused) => format!("{name} is queued and does not leave: {paused}"),
                None => format!("{name} is queued, due {}", self.moment(fate.due_at)),
            },
            "waiting" => match &fate.paused {
                Some(paused) => format!("{name} waits for its batch, and does not leave: {paused}"),
                None => format!("{name} waits for the next batch of letters"),
            },
            "batched" => format!("{name} is in a batch of letters that is being made"),
            "leased" => format!("{name} is on its way in this moment"),
            "deferred" => format!("{name} is tried again: {result}"),
            "accepted" => {
                let twice = if fate.maybe_duplicate { ", perhaps more than once" } else { "" };
                let clicked = fate.clicked_at.map_or_else(String::new, |at| {
                    format!(", and a link in it was followed on {}", self.moment(at))
                });
                format!("{name} was sent{settled}{twice}{clicked}")
            }
            "refused" => match self.suppressed.get(channel.as_str()) {
                Some((reason, _)) if reason == "bounce" => format!("{name} bounced{settled}: {result}"),
                _ => format!("{name} was refused{settled}: {result}"),
            },
            "cancelled" => format!("{name} was not sent: {}", self.cancelled(fate)),
            "unknown" => format!("{name} may have been sent, and nobody knows: {result}"),
            other => format!("{name} is {other}"),
        }
    }

    fn cancelled(&self, fate: &Fate) -> String {
        let at = fate.settled_at.map_or_else(String::new, |at| format!(", on {}", self.moment(at)));
        let channel = Word::from(fate.channel.as_str());
        match fate.result.as_deref() {
            Some("left") => format!("the journey was left before it went out{at}"),
            Some("consent") => format!("consent was withdrawn before it went out{at}"),
            Some("paused") => format!("a pause for this person began before it went out{at}"),
            Some("late") => format!("it would have come too late{at}"),
            Some(why) => self.gate(why, &Because::new(), Some(&channel)),
            None => format!("it was cancelled{at}"),
        }
    }

    /// Why a journey was never entered, for one of its entries.
    pub fn obstacle(&self, obstacle: &Obstacle) -> String {
        match obstacle {
            Obstacle::NoEvent { events } => match &events[..] {
                [one] => format!("it begins with the event `{one}`, and none ever came"),
                all => format!("it begins with one of the events {}, and none ever came", quoted(all)),
            },
            Obstacle::TooEarly { event, at, opened } => format!(
                "the newest `{event}` came on {}, and the journey takes people in since {}",
                self.moment(*at),
                self.moment(*opened)
            ),
            Obstacle::Late { event, at, accepted_at } => format!(
                "the newest `{event}` happened on {} and was reported on {}: too late to start anything",
                self.moment(*at),
                self.moment(*accepted_at)
            ),
            Obstacle::NotFirst { event, first } => {
                format!("it begins with the first `{event}`, and that was on {}", self.moment(*first))
            }
            Obstacle::Over { until } => {
                format!("the journey took people in until {}, and not since", self.moment(*until))
            }
            Obstacle::NotYet { from } => format!("the journey takes people in from {} on", self.moment(*from)),
            Obstacle::False { event: Some((event, at)), parts } => {
                format!("`{event}` came on {}, but {}", self.moment(*at), self.parts(parts))
            }
            Obstacle::False { event: None, parts } => self.parts(parts),
            Obstacle::NoDate { attribute } => format!("it begins by the date in `{attribute}`, and there is none"),
            Obstacle::NoChange { attribute } => {
                format!("it begins when `{attribute}` changes, and no change brought them in")
            }
            Obstacle::Scheduled => "it begins by the calendar, and its next time takes them in".to_owned(),
            Obstacle::Holds => {
                "its condition holds now; who it is true for already when a journey is deployed enters only with \
                 `including existing`"
                    .to_owned()
            }
            Obstacle::Unseen => {
                "its condition holds now, and nobody has looked since: `fahrplan serve` does soon after a deploy".to_owned()
            }
            Obstacle::Quiet => {
                "its condition holds now, but what made it so was imported or came too late, which starts nothing; or it was \
                 so before the line that begins the journey was written as it is"
                    .to_owned()
            }
            Obstacle::ByHand => "it begins only by hand (`fahrplan enroll`), over HTTP, or from another journey".to_owned(),
            Obstacle::Nothing { event, at } => format!(
                "`{event}` came on {}, and would bring them in now: it was imported, which starts nothing, or something was \
                 different then",
                self.moment(*at)
            ),
        }
    }

    /// The parts of a condition that do not hold, each with its values.
    fn parts(&self, parts: &[Part]) -> String {
        let told: Vec<String> = parts
            .iter()
            .map(|part| {
                let values: Vec<String> = part
                    .values
                    .iter()
                    .map(|(name, value)| format!("`{name}` is {}", self.value(value)))
                    .collect();
                match values.is_empty() {
                    true => format!("`{}` does not hold", part.text),
                    false => format!("`{}` does not hold: {}", part.text, values.join(", ")),
                }
            })
            .collect();
        told.join("; ")
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::Moment(at) => self.moment(*at),
            other => spell::value(other),
        }
    }
}

/// `Tue 4 Mar 2025, 10:00`, in the project's zone.
pub fn moment(catalog: &Catalog, at: Timestamp) -> String {
    if at == Timestamp::NEVER {
        return "for ever".to_owned();
    }
    let (date, time) = zone(catalog).local(at);
    format!("{}, {:02}:{:02}", date.0.strftime("%a %-d %b %Y"), time.hour(), time.minute())
}

fn zone(catalog: &Catalog) -> Zone {
    Zone::named(&catalog.zone).unwrap_or_else(Zone::utc)
}

/// What ended it, for the endings that no author has written.
fn left(reason: &str) -> &'static str {
    match reason {
        "exited" => ": somebody took them out by hand",
        "consent_withdrawn" => ": the consent was withdrawn",
        "expired" => ": the journey lasts no longer",
        "restarted" => ": it began anew",
        "left_segment" => ": the condition of the entry holds no more",
        _ => "",
    }
}

/// Why an address is not used any more, as a clause.
pub fn suppression(reason: &str) -> &str {
    match reason {
        "bounce" => "mail to it came back",
        "complaint" => "a complaint came",
        "operator" => "somebody blocked it by hand",
        "unsubscribe" => "somebody unsubscribed there",
        other => other,
    }
}

fn quoted(words: &[Word]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn get<'b>(because: &'b Because, name: &str) -> Option<&'b Value> {
    because.iter().find(|(known, _)| **known == *name).map(|(_, value)| value)
}

fn text<'b>(because: &'b Because, name: &str) -> Option<&'b str> {
    get(because, name).and_then(Value::as_text)
}

fn budget(because: &Because) -> String {
    let Some(Value::Decimal(most)) = get(because, "most") else {
        return "the budget of the journey is spent".to_owned();
    };
    let window = text(because, "window").map_or_else(String::new, |window| format!(" per {window}"));
    let cost = match get(because, "cost") {
        Some(Value::Decimal(cost)) => format!(", and this would cost {cost}"),
        _ => String::new(),
    };
    format!("the budget of the journey is spent: {most}{window}{cost}")
}
