//! What can be seen of a play: messages, work, exits and goals, told as they happen.

use super::matching::{Seen, What};
use super::script::is_asked;
use super::stage::{Stage, Stub};
use crate::diagnostic::Span;
use crate::engine::memory::{Happened, Logged};
use crate::engine::program::{EntryHow, Word};
use crate::engine::world::{self, Delivery, Fields, NewRequest, Note};
use crate::id::{ContactId, EnrollmentId};
use crate::lang::lower::whole;
use crate::time::{Timestamp, Zone};
use crate::value::Value;

impl<'s, 't> Stage<'s, 't> {
    pub(super) fn see(
        &mut self,
        at: Timestamp,
        person: usize,
        journey: Word,
        what: What,
        span: Option<Span>,
    ) {
        let zone = self.zone_of(person);
        self.seen.push(Seen { at, person, zone, journey, what, span });
    }

    pub(super) fn zone_of(&self, person: usize) -> Zone {
        let attribute = self.compilation.catalog.zone_attribute();
        let value = attribute.map(|name| self.memory.attribute(self.contacts[person], name));
        let named = value.as_ref().and_then(Value::as_text).and_then(Zone::named);
        named.unwrap_or_else(|| self.cast.zone.clone())
    }

    /// Writes down what is new in the log, and answers requests until none is open.
    pub(super) fn look(&mut self) {
        loop {
            let new: Vec<Logged> = self.memory.log()[self.read..].to_vec();
            if new.is_empty() {
                return;
            }
            self.read += new.len();
            for logged in &new {
                self.look_at(logged, &new);
            }
            for logged in &new {
                if let Happened::Request(request) = &logged.what {
                    self.answer(logged.contact, request);
                }
            }
        }
    }

    pub(super) fn look_at(&mut self, logged: &Logged, all: &[Logged]) {
        let person = self.contacts.iter().position(|contact| *contact == logged.contact).unwrap_or(0);
        let note = match &logged.what {
            Happened::Note(note) => note,
            Happened::Record(journey, event) => {
                let declared = self.compilation.catalog.events.get(&event.name);
                let fields = declared.map(|declared| declared.fields.clone()).unwrap_or_default();
                let what = What::Record { event: event.name.clone(), with: event.fields.clone(), fields };
                return self.see(logged.at, person, journey.clone(), what, None);
            }
            _ => return,
        };
        let journey = note.journey.clone().unwrap_or_else(|| self.cast.journey.journey.clone());
        let mut choose = |choice: &Word| {
            if let Some(step) = &note.step {
                self.reached.choices.insert((journey.clone(), step.clone(), choice.clone()));
            }
        };
        let mut what = Vec::new();
        match &note.what {
            world::What::Entered if journey == self.cast.journey.journey => what.push(What::Entered),
            world::What::Entered => what.push(self.started(note, &journey, all)),
            world::What::NotEntered { why, .. } => what.push(What::NotEntered(why.to_string())),
            world::What::Queued { delivery, .. } => {
                let sent = all.iter().find_map(|logged| match &logged.what {
                    Happened::Send(sent) if sent.id == *delivery => Some(sent),
                    _ => None,
                });
                let asks = sent.is_some_and(|sent| self.asks(sent));
                // Asked on several channels at once is asked once.
                let first = |other: &&Delivery| sent.is_some_and(|sent| is_one_question(other, sent));
                let is_first = || {
                    let sends = all.iter().filter_map(|logged| match &logged.what {
                        Happened::Send(sent) => Some(&**sent),
                        _ => None,
                    });
                    sends.into_iter().find(first).map(|first| first.id) == sent.map(|sent| sent.id)
                };
                if asks && !is_first() {
                    return;
                }
                what.extend(sent.filter(|_| asks).map(|sent| What::Ask {
                    survey: sent.template.clone(),
                    channel: sent.channel.clone(),
                    with: sent.with.clone(),
                }));
                what.extend(sent.filter(|_| !asks).map(|sent| What::Send {
                    channel: sent.channel.clone(),
                    template: sent.template.clone(),
                    to: sent.to.as_ref().map(|to| to.to_string()),
                    with: sent.with.clone(),
                }));
            }
            world::What::Held { until, why, .. } => {
                what.push(What::Held { why: why.to_string(), until: *until });
            }
            world::What::Skipped { why, channel, .. } => {
                what.push(What::Skipped { why: why.to_string(), channel: channel.to_string() });
            }
            world::What::Exited { reason } => {
                self.reached.exits.insert((journey.clone(), reason.clone()));
                what.push(What::Exit { reason: reason.clone() });
            }
            world::What::Goal { name } => what.push(What::Goal { name: name.clone() }),
            world::What::Took { choice, .. } => choose(choice),
            world::What::Done { outcome } => choose(outcome.as_ref().unwrap_or(&Word::from(""))),
            world::What::Rests { .. } => what.extend(self.put_out(note, all)),
            world::What::Odd { why } => what.push(What::Odd(why.to_string())),
            // Nobody decides about messages in a test: each arrives.
            world::What::Decided { .. } => {}
        }
        for what in what {
            self.see(logged.at, person, journey.clone(), what, None);
        }
    }

    /// Another journey that began, with what it was started with.
    fn started(&self, note: &Note, journey: &Word, all: &[Logged]) -> What {
        let with = all.iter().find_map(|logged| match &logged.what {
            Happened::Start(began, with) if note.enrollment == Some(*began) => Some(with.clone()),
            _ => None,
        });
        let program = self.cast.all.iter().find(|program| program.journey == *journey);
        let mut entries = program.into_iter().flat_map(|program| &program.entries);
        let fields = entries.find_map(|entry| match &entry.how {
            EntryHow::Start { arguments } => Some(arguments.clone()),
            _ => None,
        });
        let (with, fields) = (with.unwrap_or_default(), fields.unwrap_or_default());
        What::Start { journey: journey.clone(), with, fields }
    }

    /// Whether the message is the one of an `ask`.
    fn asks(&self, sent: &Delivery) -> bool {
        let mut programs = self.cast.all.iter();
        programs.any(|program| program.journey == sent.journey && is_asked(program, &sent.step))
    }

    /// The task or request for which an enrollment rests.
    fn put_out(&self, note: &Note, all: &[Logged]) -> Option<What> {
        let is_for = |enrollment: EnrollmentId, step: &Word, round: u32| {
            note.enrollment == Some(enrollment) && note.step.as_ref() == Some(step) && note.round == round
        };
        all.iter().find_map(|logged| match &logged.what {
            Happened::Task(task) if is_for(task.enrollment, &task.step, task.round) => {
                let (verb, name) = (task.verb.clone(), task.task.clone());
                Some(What::Work { verb, task: name, with: task.with.clone() })
            }
            Happened::Request(request) if is_for(request.enrollment, &request.step, request.round) => {
                // A pool is in the house: nobody sees it.
                if request.pool().is_some() {
                    return None;
                }
                let stubbed = self.stubs.contains_key(&*request.endpoint);
                let (endpoint, with) = (request.endpoint.clone(), request.with.clone());
                Some(What::Request { endpoint, with, stubbed })
            }
            _ => None,
        })
    }

    pub(super) fn answer(&mut self, contact: ContactId, request: &NewRequest) {
        let now = self.memory.now();
        let answer = match self.stubs.get_mut(&*request.endpoint) {
            Some(Stub::Holds(left)) => Some(left.pop_front().map_or(Stub::Fails, Stub::Returns)),
            stub => stub.cloned(),
        };
        match answer {
            Some(Stub::Returns(fields)) => {
                self.memory.outcome(contact, &request.step, "answered", fields, now);
            }
            Some(Stub::Fails | Stub::Holds(_)) => {
                self.memory.outcome(contact, &request.step, "failed", Fields::new(), now);
            }
            None => {
                let message = match request.pool() {
                    Some(pool) => format!(
                        "nothing says what `{pool}` holds: add `given pool {pool} [{{ … }}]`, or `given pool {pool} empty`"
                    ),
                    None => format!(
                        "`request {}` has no answer: add `given request {} returns {{ … }}`, or `fails`",
                        request.endpoint, request.endpoint
                    ),
                };
                let problem = (self.script.test.title.span, message);
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
            }
        }
    }
}

fn is_one_question(one: &Delivery, other: &Delivery) -> bool {
    (one.enrollment, &one.step, one.round) == (other.enrollment, &other.step, other.round)
}

/// The identity of a step as people read it: without what it hangs on.
pub(super) fn readable(id: &str) -> &str {
    let id = whole(id);
    id.rsplit('/').next().unwrap_or(id)
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
