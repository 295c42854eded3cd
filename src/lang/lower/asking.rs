//! `ask` becomes a message, a look whether it found its way, and a wait for what comes back.
//!
//! ```text
//! a              send the survey              the message, or the work where a team alone asks
//! a/reached      nobody reached?              → a/missed, or a/phone
//! a/answer       wait for the answer          → behind; unreadable → a/again
//! a/again        ask once more                where a channel takes replies
//! a/again/…      reached, answer              → behind
//! a/phone        the team asks                → behind
//! a/missed       forgets former answers       → behind
//! ```

use super::flow::{Draft, Flow};
use super::labels::Label;
use super::sending::purpose;
use super::{Source, dotted, word, words};
use crate::diagnostic::Span;
use crate::engine::eval::ANSWERED;
use crate::engine::program::{
    Arm, BinaryOp, Channel, Expr, Match, Send, Signal, SlotIx, StepKind, Trigger, WaitEvent, Word, Work,
};
use crate::lang::ast::{self, ChannelChoice, Stmt};
use crate::lang::types::calendar;
use crate::time::Calendar;
use crate::value::Value;

/// What comes back that cannot be read as an answer.
pub const UNREADABLE: &str = "unreadable";

/// What is asked, of whom and for how long.
struct Question {
    place: Span,
    id: Word,
    /// The slot of the answers, where somebody reads them.
    answers: Option<SlotIx>,
    /// The slot of the message.
    message: SlotIx,
    survey: Word,
    channels: Vec<Word>,
    every: bool,
    with: Vec<(Word, Expr)>,
    purpose: Word,
    limit: Calendar,
}

impl<'a> Flow<'a> {
    pub(super) fn ask(
        &mut self,
        stmt: &'a Stmt,
        ask: &'a ast::Ask,
        here: Label,
        next: Label,
        source: &mut Source<'_>,
    ) {
        let survey = dotted(&ask.survey);
        let id = self.names.id(ask.name.as_ref(), &format!("ask {survey}"));
        let Some(message) = source.slot(ask.survey.span) else {
            source.refuse(stmt.span, "an `ask` of this form");
            return self.labels.join(here, next);
        };
        let channels = match &ask.channels {
            ChannelChoice::One(name) => vec![word(name)],
            ChannelChoice::And(names)
            | ChannelChoice::Else(names)
            | ChannelChoice::Cheapest(names)
            | ChannelChoice::Preferred(names) => words(names),
        };
        let declared = &source.checked.catalog.channels;
        let team = |name: &Word| declared.get(name).and_then(Channel::team).map(Word::from);
        let asks = channels.iter().find_map(team);
        let replies = |name: &Word| {
            declared.get(name).is_some_and(|channel| channel.abilities.iter().any(|one| &**one == "replies"))
        };
        let once_more = channels.iter().any(replies);
        let channels = channels.iter().filter(|name| team(name).is_none()).cloned().collect();
        let question = Question {
            place: stmt.span,
            id,
            answers: source.slot(stmt.span),
            message,
            survey,
            channels,
            every: matches!(ask.channels, ChannelChoice::And(_)),
            with: source.with(ask.with.as_ref()),
            purpose: purpose(stmt.span, source),
            limit: ask.limit.as_ref().map(calendar).unwrap_or_default(),
        };
        if question.channels.is_empty() {
            let id = question.id.clone();
            return match asks {
                Some(team) => self.by_team(&question, team, id, here, next),
                None => self.labels.join(here, next),
            };
        }
        self.by_message(&question, asks, once_more, here, next);
    }

    fn by_message(
        &mut self,
        question: &Question,
        team: Option<Word>,
        once_more: bool,
        here: Label,
        next: Label,
    ) {
        let (missed, again) = (self.labels.open(), once_more.then(|| self.labels.open()));
        let id = question.id.clone();
        self.round(question, id, here, (next, missed), again);
        if let Some(again) = again {
            let id = self.names.part(&question.id, "again");
            // What could not be read twice is no answer; nobody asks a third time.
            self.round(question, id, again, (next, next), Some(next));
        }
        match (team, question.answers) {
            (Some(team), _) => {
                let id = self.names.part(&question.id, "phone");
                self.by_team(question, team, id, missed, next);
            }
            (None, Some(slot)) => {
                let id = self.names.part(&question.id, "missed");
                let draft = Draft { place: question.place, id, slot: Some(slot) };
                let value = Expr::Const(Value::Unknown);
                self.emit(missed, draft, StepKind::Let { slot, value, next });
            }
            (None, None) => self.labels.join(missed, next),
        }
    }

    /// Asks once: the message, whether it was sent, the wait. Goes on at `missed` where nobody was reached.
    fn round(
        &mut self,
        question: &Question,
        id: Word,
        here: Label,
        (next, missed): (Label, Label),
        unreadable: Option<Label>,
    ) {
        let draft = |id: Word, slot: Option<SlotIx>| Draft { place: question.place, id, slot };
        let (reached, waits) = (self.labels.open(), self.labels.open());
        let send = Send {
            channels: question.channels.clone(),
            every: question.every,
            template: question.survey.clone(),
            to: None,
            with: question.with.clone(),
            purpose: question.purpose.clone(),
            before: None,
            next: reached,
        };
        let (test, wait) = (self.names.part(&id, "reached"), self.names.part(&id, "answer"));
        self.emit(here, draft(id, Some(question.message)), StepKind::Send(Box::new(send)));
        let flag = |name: &str| Expr::Field(Box::new(Expr::Slot(question.message)), name.into());
        let condition = Expr::Binary(BinaryOp::Or, Box::new(flag("unreachable")), Box::new(flag("skipped")));
        self.emit(reached, draft(test, None), StepKind::Branch { condition, yes: missed, no: waits });
        let arm = |outcome: &str, next: Label| {
            let signal = Signal::Outcome { slot: question.message, outcome: outcome.into() };
            Arm {
                on: Trigger::Event(Match {
                    signals: vec![signal],
                    same: Vec::new(),
                    filter: None,
                    slot: None,
                }),
                next,
            }
        };
        let arms = std::iter::once(arm(ANSWERED, next)).chain(unreadable.map(|to| arm(UNREADABLE, to)));
        let wait_for = WaitEvent {
            limit: Some(question.limit),
            arms: arms.collect(),
            timeout: next,
            look_back: None,
            then_until: None,
        };
        self.emit(waits, draft(wait, question.answers), StepKind::WaitEvent(Box::new(wait_for)));
    }

    /// Somebody of the team asks.
    fn by_team(&mut self, question: &Question, team: Word, id: Word, here: Label, next: Label) {
        let work = Work {
            verb: "ask".into(),
            task: question.survey.clone(),
            team,
            with: question.with.clone(),
            limit: question.limit,
            purpose: question.purpose.clone(),
            next,
        };
        let draft = Draft { place: question.place, id, slot: question.answers };
        self.emit(here, draft, StepKind::Work(Box::new(work)));
    }
}

/// The identity of the statement that a step belongs to: an `ask` has several, and so has a `send preferred of`.
pub fn whole(id: &str) -> &str {
    let id = ["/answer", "/reached", "/missed", "/phone", "/again", "/preferred"]
        .iter()
        .fold(id, |id, part| id.strip_suffix(part).unwrap_or(id));
    match id.rsplit_once('/') {
        Some((whole, part)) if part.starts_with("by ") => whole,
        _ => id,
    }
}

/// The identity of the wait for what comes back to the message of that step of an `ask`.
pub fn answer_of(message: &str) -> String {
    format!("{message}/answer")
}
