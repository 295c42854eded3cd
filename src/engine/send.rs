//! Steps that ask somebody outside: messages, calls and other work, requests, child journeys. Nothing is sent here: what
//! passes the gate becomes a row for the outbox.

use std::sync::Arc;

use super::budget;
use super::facts::Caused;
use super::policy::{self, Ask, Verdict};
use super::program::{Catalog, Expr, Send, Step, StepIx, StepKind, Word, Work};
use super::run::{Next, Walk, word};
use super::state::{HeldBy, Rest, RestKind};
use super::wait::{self, Due};
use super::world::{Because, Delivery, Fields, Need, NewRequest, NewTask, What};
use crate::id::{DeliveryId, TaskId};
use crate::time::{Calendar, DAY, Timestamp};
use crate::value::{Decimal, Value};

/// An answer that has not come by then counts as failed. The daemon gives up long before; this only keeps an enrollment from
/// resting for ever.
const REQUEST_LIMIT: Calendar = Calendar { months: 0, days: 0, working_days: 0, ms: 7 * DAY };

/// A message that is held already: by what, since when, which channels of an `and` are through, and when the step began.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub by: HeldBy,
    pub since: Timestamp,
    pub done: u32,
    pub armed_at: Timestamp,
}

/// What became of the channels of one send so far.
struct Tried {
    done: u32,
    queued: bool,
    hold: Option<(Timestamp, HeldBy)>,
    skipped: Option<&'static str>,
}

impl Walk<'_, '_, '_> {
    pub(super) fn send(
        &mut self,
        here: StepIx,
        step: &Step,
        send: &Send,
        held: Option<Held>,
    ) -> Result<Next, Need> {
        let began = held.map_or(self.state.clock, |held| held.armed_at);
        if let (None, Some(slot)) = (held, step.slot) {
            self.state.put(slot, Value::Unknown);
        }
        let catalog = self.turn.facts.catalog;
        let transactional = word!("transactional");
        let purpose = policy::purpose_of(catalog, send, &transactional);
        let before = match &send.before {
            None => Timestamp::NEVER,
            Some(moment) => match wait::due(&self.scope(), moment, began)? {
                Due::At(at) | Due::Past(at) => at,
                Due::Missing => {
                    self.turn.facts.odd("the moment of `before` is missing");
                    Timestamp(i64::MIN)
                }
            },
        };
        let mut tried = Tried {
            done: held.map_or(0, |held| held.done),
            queued: step.slot.is_some_and(|slot| self.state.slot(slot).is_known()),
            hold: None,
            skipped: None,
        };
        let mut because = Because::new();
        for (arm, channel) in send.channels.iter().enumerate() {
            let bit = 1 << arm.min(31);
            if tried.done & bit != 0 {
                continue;
            }
            let address = self.address(channel, send.to.as_ref())?;
            let held_by = held.map(|held| (held.by, held.since));
            let ask = Ask { channel, purpose, address: address.as_ref(), held: held_by };
            let verdict = match self.turn.facts.now > before {
                true => Verdict::Skip("late"),
                false => policy::decide(&self.scope(), ask)?,
            };
            let cost = catalog.cost(channel);
            let verdict = match verdict {
                Verdict::Go => budget::afford(&self.scope(), &self.program.journey, cost, held_by)?,
                other => other,
            };
            match verdict {
                Verdict::Go => {
                    self.queue(here, step, send, purpose, arm, before)?;
                    tried.queued = true;
                }
                Verdict::Hold { until, .. } if until > before => {
                    self.skip(here, ask, "late", cost)?;
                    tried.skipped = tried.skipped.or(Some("late"));
                }
                Verdict::Hold { until, by } => {
                    // Of several held channels the first to be free is looked at again first.
                    if tried.hold.is_none_or(|hold| (until, by) < hold) {
                        tried.hold = Some((until, by));
                        because = self.because(ask, by.why(), cost)?;
                    }
                    if send.every { continue } else { break }
                }
                Verdict::Skip(why) => {
                    self.skip(here, ask, why, cost)?;
                    tried.skipped = tried.skipped.or(Some(why));
                }
                Verdict::Unreachable => self.skip(here, ask, "unreachable", cost)?,
                Verdict::Exit(why) => {
                    self.skip(here, ask, why, cost)?;
                    return Ok(Next::End(why.into()));
                }
            }
            tried.done |= bit;
            if tried.queued && !send.every {
                break;
            }
        }
        if let Some((until, by)) = tried.hold {
            return Ok(self.hold(here, (until, by), because, tried.done, held));
        }
        self.sent(here, step, &tried);
        Ok(Next::To(send.next))
    }

    /// The result of a send that is through the gate, one way or another.
    fn sent(&mut self, here: StepIx, step: &Step, tried: &Tried) {
        if let Some(slot) = step.slot {
            let mut fields = Fields::new();
            let round = self.round(here);
            if round > 0 {
                fields.insert(word!("#round"), Value::Number(i64::from(round)));
            }
            match tried.skipped {
                _ if tried.queued => {}
                Some(why) => {
                    fields.insert(word!("skipped"), Value::Bool(true));
                    fields.insert(word!("reason"), Value::text(why));
                }
                None => {
                    fields.insert(word!("unreachable"), Value::Bool(true));
                }
            }
            self.keep_more(slot, fields);
        }
        self.mark_done(step);
    }

    /// The address on that channel, or `None`.
    fn address(&mut self, channel: &Word, to: Option<&Expr>) -> Result<Option<Arc<str>>, Need> {
        let value = match to {
            Some(to) => self.scope().eval(to)?,
            None => {
                let facts = self.turn.facts;
                let attribute =
                    facts.catalog.channels.get(channel).and_then(|channel| channel.address.as_ref());
                attribute.map_or(Value::Unknown, |name| facts.attribute(self.turn.effects, name))
            }
        };
        Ok(match value {
            Value::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        })
    }

    fn queue(
        &mut self,
        here: StepIx,
        step: &Step,
        send: &Send,
        purpose: &Word,
        arm: usize,
        before: Timestamp,
    ) -> Result<(), Need> {
        let scope = self.scope();
        let with = scope.fields(&send.with)?;
        let to = match &send.to {
            Some(to) => scope.eval(to)?.as_text().map(Arc::from),
            None => None,
        };
        let facts = self.turn.facts;
        let channel = &send.channels[arm];
        let id = DeliveryId((self.turn.ids)());
        let round = self.round(here);
        self.turn.effects.deliveries.push(Delivery {
            id,
            enrollment: self.id,
            journey: self.program.journey.clone(),
            step: step.id.clone(),
            round,
            arm: u8::try_from(arm).unwrap_or(u8::MAX),
            channel: channel.clone(),
            template: send.template.clone(),
            purpose: purpose.clone(),
            transactional: policy::is_transactional(facts.catalog, purpose),
            with,
            to,
            before: Some(before).filter(|before| *before != Timestamp::NEVER),
            due_at: self.state.clock,
            wants_outcome: step
                .slot
                .is_some_and(|slot| self.program.tables().heard.get(usize::from(slot)) == Some(&true)),
        });
        if policy::is_capped(facts.catalog, purpose, channel) {
            self.turn.effects.slots.push((facts.now, channel.clone(), purpose.clone(), id));
        }
        let spend = budget::spend(facts.catalog, &self.program.journey, facts.catalog.cost(channel));
        self.turn.effects.spends.extend(spend);
        if let Some(slot) = step.slot {
            self.keep_more(slot, Fields::new());
        }
        let (channel, template) = (channel.clone(), send.template.clone());
        self.note(Some(here), What::Queued { delivery: id, channel, template });
        Ok(())
    }

    /// What a verdict with that reason looked at.
    fn because(&mut self, ask: Ask, why: &str, cost: Decimal) -> Result<Because, Need> {
        match why {
            "budget" => Ok(budget::because(self.turn.facts.catalog, &self.program.journey, cost)),
            why => policy::because(&self.scope(), ask, why),
        }
    }

    fn skip(&mut self, here: StepIx, ask: Ask, why: &'static str, cost: Decimal) -> Result<(), Need> {
        let because = self.because(ask, why, cost)?;
        let channel = ask.channel.clone();
        self.note(Some(here), What::Skipped { why: why.into(), channel, because });
        Ok(())
    }

    /// Rests until the gate may open; then the whole gate is asked again.
    fn hold(
        &mut self,
        here: StepIx,
        (until, by): (Timestamp, HeldBy),
        because: Because,
        done: u32,
        held: Option<Held>,
    ) -> Next {
        let now = self.turn.facts.now;
        let since = held.filter(|held| held.by == by).map_or(now, |held| held.since);
        let why = by.why().into();
        self.note(Some(here), What::Held { until, why, because });
        let armed_at = held.map(|held| held.armed_at);
        self.rest(here, until, Timestamp::NEVER, RestKind::Held { since, by, done });
        if let Some(armed_at) = armed_at {
            self.state.rest.armed_at = armed_at;
        }
        Next::Rest
    }

    /// `call`, `assign` and `ask`. A call passes the gate of the channel `phone`, an `ask` that of the channel of its team; what
    /// it refuses is never done and `expired` at once.
    pub(super) fn work(
        &mut self,
        here: StepIx,
        step: &Step,
        work: &Work,
        held: Option<Held>,
    ) -> Result<Next, Need> {
        let facts = self.turn.facts;
        let gate = gate_of(facts.catalog, work);
        let cost = facts.catalog.cost_of_work(work, gate.as_ref());
        let address = gate.as_ref().map_or(Ok(None), |phone| self.address(phone, None))?;
        let held_by = held.map(|held| (held.by, held.since));
        // Work that passes no gate is told under its team.
        let channel = gate.as_ref().unwrap_or(&work.team);
        let ask = Ask { channel, purpose: &work.purpose, address: address.as_ref(), held: held_by };
        let verdict = match &gate {
            Some(_) => policy::decide(&self.scope(), ask)?,
            None => Verdict::Go,
        };
        let verdict = match verdict {
            Verdict::Go => budget::afford(&self.scope(), &self.program.journey, cost, held_by)?,
            other => other,
        };
        let refused = match verdict {
            Verdict::Go => None,
            Verdict::Hold { until, by } => {
                let because = self.because(ask, by.why(), cost)?;
                return Ok(self.hold(here, (until, by), because, 0, held));
            }
            Verdict::Skip(why) => Some(why),
            Verdict::Unreachable => Some("unreachable"),
            Verdict::Exit(why) => {
                self.skip(here, ask, why, cost)?;
                return Ok(Next::End(why.into()));
            }
        };
        if let Some(why) = refused {
            self.skip(here, ask, why, cost)?;
            return Ok(self.worked(here, step, work.next, word!("expired"), Fields::new()));
        }
        self.turn.effects.spends.extend(budget::spend(facts.catalog, &self.program.journey, cost));
        let with = self.scope().fields(&work.with)?;
        let scope = self.scope();
        let hours = facts.catalog.teams.get(&work.team).and_then(|team| team.hours.as_ref());
        let due_at = hours.map_or(facts.now, |hours| policy::next_opening(&scope, hours, facts.now));
        let expires_at = scope.later(self.state.clock, work.limit);
        let id = TaskId((self.turn.ids)());
        let round = self.round(here);
        self.turn.effects.tasks.push(NewTask {
            id,
            enrollment: self.id,
            journey: self.program.journey.clone(),
            step: step.id.clone(),
            round,
            verb: work.verb.clone(),
            task: work.task.clone(),
            team: work.team.clone(),
            with,
            due_at,
            expires_at,
        });
        if let Some(phone) = gate.filter(|phone| policy::is_capped(facts.catalog, &work.purpose, phone)) {
            let slot = (facts.now, phone, work.purpose.clone(), DeliveryId(id.0));
            self.turn.effects.slots.push(slot);
        }
        self.rest(here, expires_at, Timestamp::NEVER, RestKind::Out);
        Ok(Next::Rest)
    }

    /// Work is done, with its outcome and answers.
    pub(super) fn worked(
        &mut self,
        here: StepIx,
        step: &Step,
        next: StepIx,
        outcome: Word,
        mut answers: Fields,
    ) -> Next {
        if !self.keep_answers(step, &outcome, Some(&answers))
            && let Some(slot) = step.slot
        {
            answers.insert(word!("outcome"), Value::Text(outcome.clone()));
            self.keep(slot, answers);
        }
        self.mark_done(step);
        self.note(Some(here), What::Done { outcome: Some(outcome) });
        Next::To(next)
    }

    pub(super) fn request(
        &mut self,
        here: StepIx,
        step: &Step,
        endpoint: &Word,
        with: &[(Word, Expr)],
    ) -> Result<Next, Need> {
        let with = self.scope().fields(with)?;
        let id = DeliveryId((self.turn.ids)());
        let round = self.round(here);
        self.turn.effects.requests.push(NewRequest {
            id,
            enrollment: self.id,
            journey: self.program.journey.clone(),
            step: step.id.clone(),
            round,
            endpoint: endpoint.clone(),
            with,
            due_at: self.state.clock,
        });
        let limit = self.scope().later(self.state.clock, REQUEST_LIMIT);
        self.rest(here, limit, Timestamp::NEVER, RestKind::Out);
        Ok(Next::Rest)
    }

    pub(super) fn run_journey(
        &mut self,
        here: StepIx,
        step: &Step,
        journey: &Word,
        with: &[(Word, Expr)],
        limit: Option<Calendar>,
    ) -> Result<Next, Need> {
        let arguments = self.scope().fields(with)?;
        let parent = Some((self.id, step.id.clone(), self.round(here)));
        let start = Caused::Start { journey: journey.clone(), arguments, at: self.state.clock, parent };
        self.turn.effects.caused.push_back(start);
        let until = limit.map_or(Timestamp::NEVER, |limit| self.scope().later(self.state.clock, limit));
        self.rest(here, until, Timestamp::NEVER, RestKind::Out);
        Ok(Next::Rest)
    }

    /// What was out came back, or its time is over: the step is done.
    pub(super) fn returned(&mut self, here: StepIx, outcome: Word, fields: Fields) -> Next {
        let program = self.program;
        let Some(step) = program.steps.get(usize::from(here)) else { return Next::End(word!("failed")) };
        match &step.kind {
            StepKind::Work(work) => self.worked(here, step, work.next, outcome, fields),
            StepKind::Request { next, failed, .. } => {
                let went_wrong = &*outcome != "answered";
                if let Some(slot) = step.slot {
                    let mut fields = if went_wrong { Fields::new() } else { fields };
                    fields.insert(word!("failed"), Value::Bool(went_wrong));
                    self.keep(slot, fields);
                }
                self.mark_done(step);
                self.note(Some(here), What::Done { outcome: Some(outcome) });
                Next::To(if went_wrong { *failed } else { *next })
            }
            StepKind::RunJourney { next, .. } => {
                let exit = fields.get("exit").and_then(Value::as_text).map_or(outcome, Word::from);
                if let Some(slot) = step.slot {
                    self.keep(slot, [(word!("exit"), Value::Text(exit.clone()))].into());
                }
                self.mark_done(step);
                self.note(Some(here), What::Done { outcome: Some(exit) });
                Next::To(*next)
            }
            _ => Next::End(word!("failed")),
        }
    }

    /// Puts the enrollment to rest.
    pub(super) fn rest(&mut self, here: StepIx, due_at: Timestamp, recheck_at: Timestamp, kind: RestKind) {
        let round = self.round(here);
        let order = self.turn.effects.next_order();
        self.state.step = here;
        let armed_at = self.state.clock;
        self.state.rest = Rest { armed_at, due_at, recheck_at, round, moved: false, order, kind };
        self.note(Some(here), What::Rests { until: due_at.min(recheck_at) });
    }
}

/// The channel whose gate the work passes: `phone` for a call where it is declared, the channel of its team for an `ask`.
fn gate_of(catalog: &Catalog, work: &Work) -> Option<Word> {
    match &*work.verb {
        "call" => Some(word!("phone")).filter(|phone| catalog.channels.contains_key(phone)),
        "ask" => catalog.task_channels().find(|(_, team)| **team == *work.team).map(|(name, _)| name.clone()),
        _ => None,
    }
}
