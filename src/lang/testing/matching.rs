//! What happened against what was expected.
//!
//! A line expects something between the `at` line before its own and its own, both included. Everything that happened is used by
//! one line at most. Lines that expect nothing come last, so they do not take what others expect.

use super::script::{Beat, Script};
use crate::diagnostic::Span;
use crate::engine::program::Word;
use crate::engine::world::Fields;
use crate::lang::ast::{self, Expect};
use crate::time::{TimeOfDay, Timestamp, Zone};
use crate::value::{Decimal, FieldType, Type, Value};

/// Something that happened in a play.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) person: usize,
    /// What the contact's clock showed where.
    pub(super) zone: Zone,
    pub(super) journey: Word,
    pub(super) what: What,
    /// The line of the test that did it.
    pub(super) span: Option<Span>,
}

/// See [`Seen`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// A line of the test did something: its text.
    Did(String),
    Entered,
    NotEntered(String),
    Send {
        channel: Word,
        template: Word,
        to: Option<String>,
        with: Fields,
    },
    Held {
        why: String,
        until: Timestamp,
    },
    Skipped {
        why: String,
        channel: String,
    },
    Work {
        verb: Word,
        task: Word,
        with: Fields,
    },
    /// A survey goes out as a message; where a team asks, that is work.
    Ask {
        survey: Word,
        channel: Word,
        with: Fields,
    },
    Request {
        endpoint: Word,
        with: Fields,
        stubbed: bool,
    },
    Record {
        event: Word,
        with: Fields,
        /// How its event is declared.
        fields: Vec<FieldType>,
    },
    Start {
        journey: Word,
        with: Fields,
        /// What it is declared to be started with.
        fields: Vec<FieldType>,
    },
    Exit {
        reason: Word,
    },
    Goal {
        name: Word,
    },
    /// Something went another way than the checker had proved.
    Odd(String),
}

impl What {
    /// What must not happen unexpectedly: it reaches a person or another system.
    pub(super) fn is_visible(&self) -> bool {
        matches!(
            self,
            What::Send { .. } | What::Ask { .. } | What::Work { .. } | What::Request { stubbed: false, .. }
        )
    }

    /// A value that goes along, as an author would write it.
    pub(super) fn shown(&self, name: &str, value: &Value, zone: &Zone) -> String {
        let declared = match self {
            What::Record { fields, .. } | What::Start { fields, .. } => {
                fields.iter().find(|field| *field.name == *name)
            }
            _ => None,
        };
        shown_as(value, declared.map(|field| &field.ty), zone)
    }

    /// The values that go along.
    pub(super) fn with(&self) -> Option<&Fields> {
        match self {
            What::Send { with, .. }
            | What::Ask { with, .. }
            | What::Work { with, .. }
            | What::Request { with, .. }
            | What::Record { with, .. }
            | What::Start { with, .. } => Some(with),
            _ => None,
        }
    }
}

/// What became of one line that expects something.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) span: Span,
    /// The line, in the words of the language.
    pub(super) words: String,
    /// When it had to happen.
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// What met it, as an index into what was seen.
    pub(super) met: Option<usize>,
    pub(super) failure: Option<Failure>,
    /// Where everybody was at its time, for what did not happen.
    pub(super) standing: String,
}

/// Why a line failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It did not happen in time.
    Missing,
    /// It did, but not so: what differs, and the index of what happened.
    Differs(String, usize),
    /// It happened, but outside the span of its line.
    Elsewhere(usize),
    /// It should not have happened.
    Happened(usize),
    /// The condition was not true; the line says what was found.
    Untrue(String),
}

/// Answers of the play at the moment of each beat, for expectations that look at the state.
pub(super) trait Answers {
    /// For the expectation of that number in that beat: whether it held, and what was found instead.
    fn answer(&self, beat: usize, expect: usize) -> Option<&Result<(), String>>;

    /// A condition as it is written.
    fn written(&self, span: Span) -> String;

    /// Where everybody was after that beat.
    fn standing(&self, beat: usize) -> &str;
}

/// Compares a whole play with its script; `seen` is in order.
pub(super) fn compare(
    script: &Script<'_>,
    journey: &Word,
    seen: &[Seen],
    answers: &impl Answers,
    constant: &dyn Fn(&ast::Expr) -> Value,
    zone: &Zone,
) -> (Vec<Verdict>, Vec<usize>) {
    let mut matcher =
        Matcher { journey, seen, used: vec![false; seen.len()], constant, zone, verdicts: Vec::new() };
    let mut from = None;
    for (number, beat) in script.beats.iter().enumerate() {
        matcher.beat((number, beat), from.unwrap_or(beat.at), answers);
        from = Some(beat.at);
    }
    matcher.name_others();
    let unexpected = match script.loose {
        true => Vec::new(),
        false => (0..seen.len()).filter(|n| seen[*n].what.is_visible() && !matcher.used[*n]).collect(),
    };
    let told = |n: &usize| {
        matcher.verdicts.iter().any(|verdict| match &verdict.failure {
            Some(Failure::Differs(_, at) | Failure::Elsewhere(at) | Failure::Happened(at)) => at == n,
            _ => false,
        })
    };
    let unexpected = unexpected.into_iter().filter(|n| !told(n)).collect();
    let mut verdicts = matcher.verdicts;
    verdicts.sort_by_key(|verdict| verdict.span.start);
    (verdicts, unexpected)
}

struct Matcher<'a> {
    journey: &'a Word,
    seen: &'a [Seen],
    used: Vec<bool>,
    constant: &'a dyn Fn(&ast::Expr) -> Value,
    /// The project's, in which authors write moments.
    zone: &'a Zone,
    verdicts: Vec<Verdict>,
}

impl Matcher<'_> {
    fn beat(&mut self, (place, beat): (usize, &Beat<'_>), from: Timestamp, answers: &impl Answers) {
        let forbids = |expect: &Expect| matches!(expect, Expect::No { .. } | Expect::NoMoreSend);
        let ordered = (0..beat.expects.len()).filter(|n| !forbids(beat.expects[*n].what));
        let last = (0..beat.expects.len()).filter(|n| forbids(beat.expects[*n].what));
        for number in ordered.chain(last) {
            let expected = &beat.expects[number];
            let until = match expected.what {
                Expect::NoMoreSend => Timestamp::NEVER,
                _ => beat.at,
            };
            let from = if until == Timestamp::NEVER { beat.at } else { from };
            let (met, failure) = match answers.answer(place, number) {
                Some(Ok(())) => (None, None),
                Some(Err(found)) => (None, Some(Failure::Untrue(found.clone()))),
                None if forbids(expected.what) => {
                    (None, self.forbidden(expected.what, expected.person, from, until))
                }
                None => match self.find(expected.what, expected.person, from, until) {
                    Ok(met) => (Some(met), None),
                    Err(failure) => (None, Some(failure)),
                },
            };
            if let Some(met) = met {
                self.used[met] = true;
            }
            let words = match expected.what {
                Expect::Holds(condition) => answers.written(condition.span),
                Expect::Did { verb, name, with: Some(with) } => {
                    format!("{} {} with {}", verb.text, name.joined(), answers.written(with.span))
                }
                Expect::Start { journey, with: Some(with) } => {
                    format!("start {} with {}", journey.text, answers.written(with.span))
                }
                what => words(what, self.constant, self.zone),
            };
            let (span, standing) = (expected.span, answers.standing(place).to_owned());
            self.verdicts.push(Verdict { span, words, from, to: until, met, failure, standing });
        }
    }

    /// What meets the expectation, or the nearest to it.
    fn find(
        &self,
        expect: &Expect,
        person: Option<usize>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<usize, Failure> {
        let mut near = None;
        for (number, seen) in self.seen.iter().enumerate() {
            let in_time = from <= seen.at && seen.at <= to;
            let whose = person.is_none_or(|person| person == seen.person);
            let fits = same_kind(expect, &seen.what) && self.is_about(&seen.journey, expect);
            if self.used[number] || !in_time || !whose || !fits {
                continue;
            }
            match self.difference(expect, seen) {
                None => return Ok(number),
                Some(difference) => near = near.or(Some(Failure::Differs(difference, number))),
            }
        }
        Err(near.unwrap_or(Failure::Missing))
    }

    /// Exits and goals are those of the journey under test, not of what it starts.
    fn is_about(&self, journey: &Word, expect: &Expect) -> bool {
        journey == self.journey || !matches!(expect, Expect::Exit { .. } | Expect::Goal { .. })
    }

    fn forbidden(
        &self,
        expect: &Expect,
        person: Option<usize>,
        from: Timestamp,
        to: Timestamp,
    ) -> Option<Failure> {
        let is_forbidden = |what: &What| match (expect, what) {
            (Expect::NoMoreSend, What::Send { .. }) => true,
            (Expect::No { verb, name }, what) => {
                let wanted = name.as_ref().map(ast::Path::joined);
                let named = |name: &Word| wanted.as_ref().is_none_or(|wanted| **wanted == **name);
                match what {
                    What::Send { template, .. } => verb.text == "send" && named(template),
                    What::Work { verb: did, task, .. } => verb.text == **did && named(task),
                    What::Ask { survey, .. } => verb.text == "ask" && named(survey),
                    What::Request { endpoint, .. } => verb.text == "request" && named(endpoint),
                    _ => false,
                }
            }
            _ => false,
        };
        let found = self.seen.iter().enumerate().position(|(number, seen)| {
            !self.used[number]
                && from <= seen.at
                && seen.at <= to
                && person.is_none_or(|person| person == seen.person)
                && is_forbidden(&seen.what)
        });
        found.map(Failure::Happened)
    }

    /// What was missing in its span may have happened earlier or later: that is worth telling.
    fn name_others(&mut self) {
        let missing = |verdict: &Verdict| verdict.failure == Some(Failure::Missing);
        for verdict in self.verdicts.iter_mut().filter(|verdict| missing(verdict)) {
            let same = |(number, seen): &(usize, &Seen)| {
                !self.used[*number]
                    && (seen.journey == *self.journey || seen.what.is_visible())
                    && !(verdict.from <= seen.at && seen.at <= verdict.to)
                    && verdict.words.starts_with(&seen.what.head())
            };
            if let Some((number, _)) = self.seen.iter().enumerate().find(same) {
                verdict.failure = Some(Failure::Elsewhere(number));
            }
        }
    }

    /// Why what happened is not what was expected; both are of one kind.
    fn difference(&self, expect: &Expect, seen: &Seen) -> Option<String> {
        match expect {
            Expect::Send { channel, to, with, at, .. } => (self.address(channel, to.as_ref(), seen))
                .or_else(|| self.values(with.as_ref(), seen))
                .or_else(|| clock(*at, seen)),
            Expect::Did { with, .. } | Expect::Start { with, .. } => self.values(with.as_ref(), seen),
            _ => None,
        }
    }

    fn address(&self, channel: &ast::Name, to: Option<&ast::Expr>, seen: &Seen) -> Option<String> {
        let What::Send { channel: by, to: whom, .. } = &seen.what else { return None };
        if *channel.text != **by {
            return Some(format!("it went by {by}"));
        }
        let wanted = (self.constant)(to?);
        let found = whom.clone().map_or(Value::Unknown, |whom| Value::text(&whom));
        (!alike(&wanted, &found)).then(|| format!("it went to {}", shown(&found, self.zone)))
    }

    /// The first written value that is not the one that went along.
    fn values(&self, wanted: Option<&ast::Record>, seen: &Seen) -> Option<String> {
        let found = seen.what.with()?;
        wanted?.pairs.iter().find_map(|(name, value)| {
            let wanted = (self.constant)(value);
            match found.get(name.text.as_str()) {
                Some(found) if alike(&wanted, found) => None,
                Some(found) => {
                    Some(format!("`{0}` was {1}", name.text, seen.what.shown(&name.text, found, self.zone)))
                }
                None => Some(format!("it had no `{}`", name.text)),
            }
        })
    }
}

/// Why the clock of the contact did not show the time that is written.
fn clock(wanted: Option<ast::Clock>, seen: &Seen) -> Option<String> {
    let clock = seen.zone.time(seen.at);
    match wanted.and_then(|at| Some((TimeOfDay::new(at.hour, at.minute, at.second)?, at.second))) {
        Some((wanted, 0)) if wanted.0 / 60 == clock.0 / 60 => None,
        Some((wanted, _)) if wanted == clock => None,
        Some(_) => Some(format!("it was sent at {clock} (the contact's clock)")),
        None => None,
    }
}

/// Whether two are about the same thing, times and values left aside.
fn same_kind(expect: &Expect, what: &What) -> bool {
    match (expect, what) {
        (Expect::Send { template, .. }, What::Send { template: sent, .. }) => template.joined() == **sent,
        (Expect::Exit { reason }, What::Exit { reason: left }) => *reason.text == **left,
        (Expect::Goal { name }, What::Goal { name: reached }) => *name.text == **reached,
        (Expect::Start { journey, .. }, What::Start { journey: started, .. }) => *journey.text == **started,
        (Expect::Did { verb, name, .. }, What::Work { verb: did, task, .. }) => {
            *verb.text == **did && name.joined() == **task
        }
        (Expect::Did { verb, name, .. }, What::Ask { survey, .. }) => {
            verb.text == "ask" && name.joined() == **survey
        }
        (Expect::Did { verb, name, .. }, What::Request { endpoint, .. }) => {
            verb.text == "request" && name.joined() == **endpoint
        }
        (Expect::Did { verb, name, .. }, What::Record { event, .. }) => {
            verb.text == "record" && name.joined() == **event
        }
        _ => false,
    }
}

/// Equal for a test: a number may stand for a decimal, and of a record only the written fields count.
fn alike(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Number(a), Value::Decimal(b)) => Decimal::from_int(*a) == *b,
        (Value::Decimal(a), Value::Number(b)) => *a == Decimal::from_int(*b),
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && std::iter::zip(a, b).all(|(a, b)| alike(a, b))
        }
        (Value::Record(a), Value::Record(b)) => {
            a.iter().all(|(name, wanted)| b.get(name).is_some_and(|found| alike(wanted, found)))
        }
        (a, b) => a == b,
    }
}

// ---------------------------------------------------------------- words

impl What {
    /// As a line of the language would say it, without values.
    pub(super) fn head(&self) -> String {
        match self {
            What::Did(words) => words.clone(),
            What::Entered => "enters".to_owned(),
            What::NotEntered(why) => format!("does not enter: {why}"),
            What::Send { channel, template, .. } => format!("send {channel} {template}"),
            What::Held { why, .. } => format!("held back: {why}"),
            What::Skipped { why, channel } if channel.is_empty() => format!("not sent: {why}"),
            What::Skipped { why, channel } => format!("not sent by {channel}: {why}"),
            What::Work { verb, task, .. } => format!("{verb} {task}"),
            What::Ask { survey, channel, .. } => format!("ask {survey} by {channel}"),
            What::Request { endpoint, .. } => format!("request {endpoint}"),
            What::Record { event, .. } => format!("record {event}"),
            What::Start { journey, .. } => format!("start {journey}"),
            What::Exit { reason } => format!("exit as {reason}"),
            What::Goal { name } => format!("goal {name}"),
            What::Odd(why) => why.clone(),
        }
    }
}

/// The expectation in the words of the language.
fn words(expect: &Expect, constant: &dyn Fn(&ast::Expr) -> Value, zone: &Zone) -> String {
    match expect {
        Expect::Send { channel, template, to, with, at } => {
            let mut words = format!("send {} {}", channel.text, template.joined());
            if let Some(to) = to {
                words += &format!(" to {}", shown(&constant(to), zone));
            }
            if let Some(with) = with {
                let pair = |(name, value): &(ast::Name, ast::Expr)| {
                    format!("{}: {}", name.text, shown(&constant(value), zone))
                };
                let pairs: Vec<String> = with.pairs.iter().map(pair).collect();
                words += &format!(" with {{ {} }}", pairs.join(", "));
            }
            if let Some(at) = at {
                words += &format!(" at {:02}:{:02}", at.hour, at.minute);
            }
            words
        }
        Expect::NoMoreSend => "no more send".to_owned(),
        Expect::No { verb, name: None } => format!("no {}", verb.text),
        Expect::No { verb, name: Some(name) } => format!("no {} {}", verb.text, name.joined()),
        Expect::Exit { reason } => format!("exit as {}", reason.text),
        Expect::Goal { name } => format!("goal {}", name.text),
        Expect::Start { journey, .. } => format!("start {}", journey.text),
        Expect::Did { verb, name, .. } => format!("{} {}", verb.text, name.joined()),
        Expect::WaitingAt { step } => format!("waiting at {}", step.text),
        Expect::Member { audience, is_in } => {
            format!("contact {}in audience {}", if *is_in { "" } else { "not " }, audience.text)
        }
        // The play knows how it is written.
        Expect::Holds(_) => String::new(),
    }
}

/// A value of that type as an author would write it: listed values are bare words.
pub(super) fn shown_as(value: &Value, ty: Option<&Type>, zone: &Zone) -> String {
    match (value, ty.map(Type::required)) {
        (Value::Text(text), Some(Type::OneOf(_))) => text.to_string(),
        (value, _) => shown(value, zone),
    }
}

/// A value as an author would write it: moments in project time, which is that zone.
pub(super) fn shown(value: &Value, zone: &Zone) -> String {
    match value {
        Value::Unknown => "unknown".to_owned(),
        Value::Text(text) => format!("\"{text}\""),
        Value::Moment(at) if *at != Timestamp::NEVER => format!("{}T{}", zone.date(*at), zone.time(*at)),
        Value::List(items) => {
            format!("[{}]", items.iter().map(|item| shown(item, zone)).collect::<Vec<_>>().join(", "))
        }
        Value::Record(fields) => {
            let pairs: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}: {}", shown(value, zone))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => match other.to_json() {
            serde_json::Value::String(text) => text,
            json => json.to_string(),
        },
    }
}
