//! A test block as a script: who is there, what is given, and beat by beat what happens and what is expected.
//!
//! What can never pass is found here, before anything runs (E1003): time that goes back, and what the journey never does. Names
//! that are declared nowhere are the checker's.

use std::collections::BTreeSet;

use crate::diagnostic::{Code, Diagnostic, Span, suggest};
use crate::engine::program::{Program, StepKind, Word};
use crate::lang::ast::{self, AtWhat, Expect, Given, Name, TestLineKind, TestTime};
use crate::lang::lower::answer_of;
use crate::lang::types::calendar;
use crate::time::{Date, Holidays, TimeOfDay, Timestamp, Zone};

/// One test, ready to run.
pub(super) struct Script<'t> {
    pub(super) test: &'t ast::Test,
    /// At least one; the unnamed person has an empty name.
    pub(super) people: Vec<Person<'t>>,
    /// What is given before the clock is first set.
    pub(super) given: Vec<&'t Given>,
    pub(super) beats: Vec<Beat<'t>>,
    pub(super) loose: bool,
    /// Some line expects no more sends, so the play goes on until all enrollments have ended.
    pub(super) to_the_end: bool,
}

/// Somebody in a test.
pub(super) struct Person<'t> {
    pub(super) name: &'t str,
    pub(super) record: Option<&'t ast::Record>,
}

/// One `at` line with the bare `expect` lines below it.
pub(super) struct Beat<'t> {
    pub(super) at: Timestamp,
    pub(super) span: Span,
    pub(super) actions: Vec<Action<'t>>,
    pub(super) expects: Vec<Expected<'t>>,
}

/// What a line does to the world.
pub(super) struct Action<'t> {
    pub(super) span: Span,
    pub(super) person: usize,
    pub(super) what: Doing<'t>,
}

/// See [`Action`].
#[derive(Clone, Copy)]
pub(super) enum Doing<'t> {
    /// An event, an attribute, consent, a start, the outcome of work.
    What(&'t AtWhat),
    /// `given` in the middle of a test.
    Given(&'t Given),
}

/// What a line expects, and of whom.
pub(super) struct Expected<'t> {
    pub(super) span: Span,
    /// `None`: of anybody.
    pub(super) person: Option<usize>,
    pub(super) what: &'t Expect,
}

/// What a test may speak of: its journey, and the journeys that it starts.
pub(super) struct Cast<'p> {
    pub(super) journey: &'p Program,
    pub(super) all: Vec<&'p Program>,
    pub(super) zone: Zone,
    pub(super) holidays: &'p Holidays,
}

/// Reads a test. The findings are mistakes with which it can never pass; the script is there all the same.
pub(super) fn read<'t>(test: &'t ast::Test, cast: &Cast<'_>) -> (Script<'t>, Vec<Diagnostic>) {
    let mut reader = Reader {
        cast,
        script: Script {
            test,
            people: Vec::new(),
            given: Vec::new(),
            beats: Vec::new(),
            loose: false,
            to_the_end: false,
        },
        zero: None,
        findings: Vec::new(),
    };
    reader.people();
    for line in &test.lines {
        reader.line(line);
    }
    (reader.script, reader.findings)
}

struct Reader<'t, 'c> {
    cast: &'c Cast<'c>,
    script: Script<'t>,
    /// The first absolute `at`.
    zero: Option<(Timestamp, Span)>,
    findings: Vec<Diagnostic>,
}

impl<'t> Reader<'t, '_> {
    fn people(&mut self) {
        for line in &self.script.test.lines {
            if let TestLineKind::Given(Given::Contact { person, record }) = &line.kind {
                let name = person.as_ref().map_or("", |name| name.text.as_str());
                if self.script.people.iter().any(|known| known.name == name) {
                    let place = person.as_ref().map_or(record.span, |name| name.span);
                    let who = if name.is_empty() { "the contact".to_owned() } else { format!("`{name}`") };
                    self.never(place, format!("{who} is given twice"));
                } else {
                    self.script.people.push(Person { name, record: Some(record) });
                }
            }
        }
        if self.script.people.is_empty() {
            self.script.people.push(Person { name: "", record: None });
        }
    }

    fn never(&mut self, span: Span, message: String) {
        self.findings.push(Diagnostic::new(Code::E1003, span, message));
    }

    fn unknown(&mut self, span: Span, message: String, word: &str, known: &BTreeSet<String>) {
        let mut finding = Diagnostic::new(Code::E1003, span, message);
        let names = known.iter().map(String::as_str);
        if let Some(near) = suggest::did_you_mean(word, names.clone()) {
            finding = finding.help(format!("did you mean `{near}`?")).suggest(
                format!("write `{near}`"),
                span,
                near.to_owned(),
            );
        } else if !known.is_empty() && known.len() <= 12 {
            finding = finding.help(format!("there are {}", names.collect::<Vec<_>>().join(", ")));
        }
        self.findings.push(finding);
    }

    fn line(&mut self, line: &'t ast::TestLine) {
        match &line.kind {
            TestLineKind::Given(given) => self.given(given, line.span),
            TestLineKind::At { at, person, what } => self.at(at, person.as_ref(), what.as_ref(), line.span),
            TestLineKind::Expect { person, expect } => {
                let person = self.expected_of(expect, person.as_ref(), line.span);
                self.expect(expect, person, line.span);
            }
            TestLineKind::Error => {}
        }
    }

    fn given(&mut self, given: &'t Given, span: Span) {
        match given {
            Given::Contact { .. } => {}
            Given::Loose => self.script.loose = true,
            Given::Variant { .. } => self.script.given.push(given),
            Given::Consent { person: Some(name), .. } | Given::Event { person: Some(name), .. }
                if self.person(name).is_none() => {}
            _ => {
                if let Given::Consent { person: None, .. } | Given::Event { person: None, .. } = given {
                    self.someone(None, span);
                }
                match self.script.beats.last_mut() {
                    Some(beat) => beat.actions.push(Action { span, person: 0, what: Doing::Given(given) }),
                    None => self.script.given.push(given),
                }
            }
        }
    }

    /// Whom a line speaks of: the one with the name, the one without one, or the only one. Among several with names nobody
    /// is meant by none.
    fn someone(&mut self, person: Option<&Name>, span: Span) -> Option<usize> {
        if let Some(name) = person {
            return self.person(name);
        }
        let people = &self.script.people;
        let unnamed = people.iter().position(|person| person.name.is_empty());
        if unnamed.is_none() && people.len() > 1 {
            let names: Vec<&str> = people.iter().map(|person| person.name).collect();
            let message = format!("this test has {}, and this line does not say who is meant", and(&names));
            let help = format!(
                "write the name: `at … {0} event …`, `given {0} consent …`, `expect {0} contact.… is …`",
                names[0]
            );
            self.findings.push(Diagnostic::new(Code::E1003, span, message).label("of whom?").help(help));
        }
        Some(unnamed.unwrap_or(0))
    }

    /// What happened may be expected of anybody; how somebody is, of one.
    fn expected_of(&mut self, expect: &Expect, person: Option<&Name>, span: Span) -> Option<usize> {
        match expect {
            Expect::Holds(_) | Expect::Member { .. } => self.someone(person, span),
            _ => person.and_then(|name| self.person(name)),
        }
    }

    fn at(&mut self, at: &'t TestTime, person: Option<&'t Name>, what: Option<&'t AtWhat>, span: Span) {
        let Some(at) = self.moment(at, span) else { return };
        if let Some(before) = self.script.beats.last()
            && at < before.at
        {
            let finding = Diagnostic::new(Code::E1003, span, "time goes back in this test")
                .related(before.span, "this is later already")
                .help("put the lines in the order of time");
            self.findings.push(finding);
            return;
        }
        let person = match what {
            None | Some(AtWhat::Given(_)) => None,
            Some(AtWhat::Expect(expect)) => self.expected_of(expect, person, span),
            Some(_) => self.someone(person, span),
        };
        self.script.beats.push(Beat { at, span, actions: Vec::new(), expects: Vec::new() });
        match what {
            None => {}
            Some(AtWhat::Expect(expect)) => self.expect(expect, person, span),
            Some(AtWhat::Given(given)) => self.given(given, span),
            Some(what) => {
                if let Some(person) = person
                    && let Some(beat) = self.script.beats.last_mut()
                {
                    beat.actions.push(Action { span, person, what: Doing::What(what) });
                }
            }
        }
    }

    fn moment(&mut self, at: &TestTime, span: Span) -> Option<Timestamp> {
        match at {
            TestTime::Moment(date, clock, zone) => {
                let zone = match zone.as_ref().map(|zone| &zone.kind) {
                    Some(ast::ZoneKind::Named(name)) => Zone::named(&name.value),
                    _ => None,
                };
                let at = instant(date, clock, zone.as_ref().unwrap_or(&self.cast.zone));
                match at {
                    Some(at) => {
                        self.zero.get_or_insert((at, span));
                    }
                    None => self.never(span, "this moment does not exist".to_owned()),
                }
                at
            }
            TestTime::Plus(duration) => match self.zero {
                Some((zero, _)) => Some(calendar(duration).after(zero, &self.cast.zone, self.cast.holidays)),
                None => {
                    let finding =
                        Diagnostic::new(Code::E1003, span, "nothing sets the clock before this line")
                            .help("begin with a moment, such as `at 2026-03-27T10:00`");
                    self.findings.push(finding);
                    None
                }
            },
        }
    }

    fn person(&self, name: &Name) -> Option<usize> {
        self.script.people.iter().position(|person| person.name == name.text)
    }

    fn expect(&mut self, expect: &'t Expect, person: Option<usize>, span: Span) {
        self.can_be(expect);
        if matches!(expect, Expect::NoMoreSend) {
            self.script.to_the_end = true;
        }
        match self.script.beats.last_mut() {
            Some(beat) => beat.expects.push(Expected { span, person, what: expect }),
            None => {
                let finding = Diagnostic::new(Code::E1003, span, "nothing has happened yet at this line")
                    .help("set the clock first: `at 2026-03-27T10:00`");
                self.findings.push(finding);
            }
        }
    }

    /// Whether anything in the journeys can do what is expected.
    fn can_be(&mut self, expect: &Expect) {
        let journey = self.cast.journey.journey.clone();
        let (phrase, word, span, known): (_, _, _, BTreeSet<String>) = match expect {
            Expect::Send { channel, template, .. } => return self.can_send(channel, template),
            Expect::Start { journey, .. } => {
                let started = self.steps().filter_map(|kind| match kind {
                    StepKind::StartJourney { journey, .. } | StepKind::RunJourney { journey, .. } => {
                        Some(journey.to_string())
                    }
                    _ => None,
                });
                ("never starts", journey.text.clone(), journey.span, started.collect())
            }
            Expect::Did { verb, name, .. } => {
                let phrase = match verb.text.as_str() {
                    "call" => "never calls",
                    "assign" => "never assigns",
                    "ask" => "never asks",
                    "request" => "never requests",
                    "record" => "never records",
                    _ => return,
                };
                let mut done: BTreeSet<String> =
                    self.steps().filter_map(|kind| did(kind, &verb.text)).collect();
                if verb.text == "ask" {
                    done.extend(self.asks().map(|survey| survey.to_string()));
                }
                (phrase, name.joined(), name.span, done)
            }
            // Names of exits, goals and steps are known: the checker has seen to it.
            Expect::Exit { .. }
            | Expect::Goal { .. }
            | Expect::Holds(_)
            | Expect::Member { .. }
            | Expect::No { .. }
            | Expect::NoMoreSend
            | Expect::WaitingAt { .. } => return,
        };
        if !known.contains(&word) {
            self.unknown(span, format!("`{journey}` {phrase} `{word}`"), &word, &known);
        }
    }

    fn can_send(&mut self, channel: &Name, template: &ast::Path) {
        let journey = self.cast.journey.journey.clone();
        let name = template.joined();
        let programs = self.cast.all.iter();
        let steps = programs.flat_map(|program| program.steps.iter().map(move |step| (*program, step)));
        let sends = steps.filter_map(|(program, step)| match &step.kind {
            StepKind::Send(send) if !is_asked(program, &step.id) => {
                Some((send.template.clone(), send.channels.clone()))
            }
            _ => None,
        });
        let sends: Vec<(Word, Vec<Word>)> = sends.collect();
        if sends.iter().all(|(template, _)| **template != *name) && self.asks().any(|asked| **asked == *name)
        {
            let finding = Diagnostic::new(
                Code::E1003,
                template.span,
                format!("`{journey}` asks `{name}` and does not send it"),
            );
            return self.findings.push(finding.help(format!("write `expect ask {name}`")));
        }
        let of_template: Vec<&Vec<Word>> =
            sends.iter().filter(|(template, _)| **template == *name).map(|(_, channels)| channels).collect();
        if of_template.is_empty() {
            let known = sends.iter().map(|(template, _)| template.to_string()).collect();
            self.unknown(template.span, format!("`{journey}` never sends `{name}`"), &name, &known);
        } else if !of_template.iter().any(|channels| channels.iter().any(|c| **c == *channel.text)) {
            let known =
                of_template.iter().flat_map(|channels| channels.iter().map(|c| c.to_string())).collect();
            let message = format!("`{journey}` never sends `{name}` by {}", channel.text);
            self.unknown(channel.span, message, &channel.text, &known);
        }
    }

    /// The surveys that leave as messages of an `ask`.
    fn asks(&self) -> impl Iterator<Item = &Word> {
        let programs = self.cast.all.iter();
        let steps = programs.flat_map(|program| program.steps.iter().map(move |step| (*program, step)));
        steps.filter_map(|(program, step)| match &step.kind {
            StepKind::Send(send) if is_asked(program, &step.id) => Some(&send.template),
            _ => None,
        })
    }

    fn steps(&self) -> impl Iterator<Item = &StepKind> {
        self.cast.all.iter().flat_map(|program| &program.steps).map(|step| &step.kind)
    }
}

/// `ada, bo and cy`.
fn and(names: &[&str]) -> String {
    match names {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        names => names.concat(),
    }
}

fn did(kind: &StepKind, verb: &str) -> Option<String> {
    match kind {
        StepKind::Work(work) if *work.verb == *verb => Some(work.task.to_string()),
        StepKind::Request { endpoint, .. } if verb == "request" => Some(endpoint.to_string()),
        StepKind::Record { event, .. } if verb == "record" => Some(event.to_string()),
        _ => None,
    }
}

/// Whether the message of that step is the one of an `ask`.
pub(super) fn is_asked(program: &Program, step: &str) -> bool {
    let wait = answer_of(step);
    program.steps.iter().any(|step| *step.id == *wait)
}

/// The instant of a date and a clock time in a zone.
pub(super) fn instant(date: &ast::Date, clock: &ast::Clock, zone: &Zone) -> Option<Timestamp> {
    let date = Date::new(date.year, date.month, date.day)?;
    Some(zone.at(date, TimeOfDay::new(clock.hour, clock.minute, clock.second)?))
}
