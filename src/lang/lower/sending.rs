//! Messages and work for people become steps.

use super::flow::{Draft, Flow};
use super::labels::Label;
use super::{Source, dotted, word, words};
use crate::diagnostic::Span;
use crate::engine::program::{Expr, Send, StepKind, Word, Work};
use crate::lang::ast::{self, ChannelChoice, Name, Stmt};
use crate::lang::check::PREFERRED;
use crate::lang::types::calendar;
use crate::value::Value;

impl<'a> Flow<'a> {
    /// A look at the stated preference, and a send for each channel that can be preferred; the one as written bears the name.
    pub(super) fn preferred(
        &mut self,
        stmt: &'a Stmt,
        send: &'a ast::Send,
        here: Label,
        next: Label,
        source: &mut Source<'_>,
    ) {
        let (place, slot) = (stmt.span, source.slot(stmt.span));
        let written = lower_send(place, send, next, source);
        let id = self.names.id(send.name.as_ref(), &send_words(send, &written));
        let choice = self.names.part(&id, "preferred");
        let at = self.reserve(here, Draft { place, id: choice, slot: None });
        let mut cases = Vec::new();
        for channel in &written.channels[1..] {
            let (label, id) = (self.labels.open(), self.names.part(&id, &format!("by {channel}")));
            self.doubts.extend(send.doubt.map(|doubt| (id.clone(), doubt)));
            let others = written.channels.iter().filter(|other| *other != channel);
            let channels = std::iter::once(channel).chain(others).cloned().collect();
            let first = Send { channels, ..written.clone() };
            self.emit(label, Draft { place, id, slot }, StepKind::Send(Box::new(first)));
            cases.push((vec![Value::Text(channel.clone())], label));
        }
        let otherwise = self.labels.open();
        self.doubts.extend(send.doubt.map(|doubt| (id.clone(), doubt)));
        self.emit(otherwise, Draft { place, id, slot }, StepKind::Send(Box::new(written)));
        let subject = Expr::Attribute(PREFERRED.into());
        self.settle(at, StepKind::Switch { subject, cases, otherwise });
    }
}

/// What a send does, for its identity: the channels as written, whatever they cost.
pub(super) fn send_words(send: &ast::Send, kind: &Send) -> String {
    let how = match &send.channels {
        ChannelChoice::Cheapest(names) => format!("cheapest of {}", words(names).join(",")),
        ChannelChoice::Preferred(names) => format!("preferred of {}", words(names).join(",")),
        _ => kind.channels.join(","),
    };
    format!("send {how} {}", kind.template)
}

pub(super) fn lower_send(place: Span, send: &ast::Send, next: Label, source: &mut Source<'_>) -> Send {
    let (channels, every) = match &send.channels {
        ChannelChoice::One(name) => (vec![word(name)], false),
        ChannelChoice::And(names) => (words(names), true),
        ChannelChoice::Else(names) | ChannelChoice::Preferred(names) => (words(names), false),
        ChannelChoice::Cheapest(names) => (source.cheapest_first(words(names)), false),
    };
    Send {
        channels,
        every,
        template: dotted(&send.template),
        to: source.optional(send.to.as_ref()),
        with: source.with(send.with.as_ref()),
        purpose: purpose(place, source),
        before: send.before.as_ref().map(|moment| source.moment(moment)),
        next,
    }
}

pub(super) fn lower_work<'a>(
    verb: &str,
    place: Span,
    work: &'a ast::Work,
    next: Label,
    source: &mut Source<'_>,
) -> (Option<&'a Name>, String, StepKind) {
    let team = match work.team.as_ref().map(|team| &team.kind) {
        Some(ast::ExprKind::Path(path)) => dotted(path),
        _ => {
            source.refuse(place, "work without a team");
            Word::default()
        }
    };
    let kind = Work {
        verb: verb.into(),
        task: dotted(&work.task),
        team,
        with: source.with(work.with.as_ref()),
        limit: work.limit.as_ref().map(calendar).unwrap_or_default(),
        purpose: purpose(place, source),
        next,
    };
    (work.name.as_ref(), format!("{verb} {}", kind.task), StepKind::Work(Box::new(kind)))
}

pub(super) fn purpose(place: Span, source: &Source<'_>) -> Word {
    source.info.purposes.get(&place).unwrap_or(&source.info.purpose).clone()
}
