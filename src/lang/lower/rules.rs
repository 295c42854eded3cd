//! What stands at the head of a journey: entries, re-entry, limits, exits, goals; and matches of events everywhere.

use super::flow::Flow;
use super::moments::{days, signed, zone};
use super::{Source, dotted, last, word, words};
use crate::engine::index::Index;
use crate::engine::program::{
    Entry, EntryHow, ExitRule, FORMAT, Goal, Handler, Match, Program, Reenter, Runs, Signal, Trigger, Word,
    ZoneRef,
};
use crate::lang::ast::{self, EnterHow, JourneyItemKind};
use crate::lang::types::calendar;
use crate::time::{TimeOfDay, Timestamp};

/// The program without its steps.
pub(super) fn program(
    journey: &ast::Journey,
    source: &mut Source<'_>,
    flow: &Flow,
    handlers: Vec<Handler>,
) -> Program {
    let info = source.info;
    let mut program = Program {
        format: FORMAT,
        journey: info.name.clone(),
        title: journey.title.as_ref().map(|title| title.value.as_str().into()),
        version: journey.version.and_then(|version| u32::try_from(version.value.trunc()).ok()),
        purpose: info.purpose.clone(),
        because: info.because.clone(),
        entries: Vec::new(),
        per: Vec::new(),
        reenter: Reenter::Never,
        runs: None,
        lasts: None,
        exits: Vec::new(),
        goals: Vec::new(),
        handlers,
        slots: info.slots.clone(),
        loops: flow.loops,
        steps: Vec::new(),
        reasons: info.reasons.clone(),
        channels: info.channels.clone(),
        pinned: false,
        index: Index::default(),
    };
    for item in &journey.items {
        rule(&item.kind, source, &mut program);
    }
    program
}

fn rule(item: &JourneyItemKind, source: &mut Source<'_>, program: &mut Program) {
    match item {
        JourneyItemKind::Enter(enter) => {
            let entry = source.entry(enter);
            program.entries.push(entry);
            if program.per.is_empty() {
                program.per = enter.per.iter().map(last).collect();
            }
        }
        JourneyItemKind::Reenter(reenter) => program.reenter = lower_reenter(reenter),
        JourneyItemKind::Runs { from, to, zone } => {
            program.runs = Some(source.runs(*from, *to, zone.as_ref()));
        }
        JourneyItemKind::Lasts(duration) => program.lasts = Some(calendar(duration)),
        JourneyItemKind::ExitRule { reason, trigger } => {
            let trigger = match trigger {
                ast::ExitTrigger::On(event) => Trigger::Event(source.on(event)),
                ast::ExitTrigger::When(condition) => source.condition(condition),
            };
            program.exits.push(ExitRule { reason: word(reason), trigger });
        }
        JourneyItemKind::Goal(goal) => program.goals.push(Goal {
            name: word(&goal.name),
            on: source.on(&goal.event),
            within: goal.within.as_ref().map(calendar),
            target: goal.target.map(|target| target.value),
            then_exit: goal.then_exit.is_some(),
        }),
        JourneyItemKind::OnDeploy(how) => program.pinned = *how == ast::OnDeploy::FinishOld,
        // The checker refuses `migrate` by name; the budget lies in the catalog; purpose, handlers, stages and statements are lowered elsewhere.
        JourneyItemKind::Budget(_)
        | JourneyItemKind::Error
        | JourneyItemKind::Handler { .. }
        | JourneyItemKind::Migrate { .. }
        | JourneyItemKind::Purpose { .. }
        | JourneyItemKind::Stage { .. }
        | JourneyItemKind::Stmt(_) => {}
    }
}

fn lower_reenter(reenter: &ast::Reenter) -> Reenter {
    match reenter {
        ast::Reenter::Never => Reenter::Never,
        ast::Reenter::Always => Reenter::Always,
        ast::Reenter::Restart => Reenter::Restart,
        ast::Reenter::WhenFinished => Reenter::WhenFinished,
        ast::Reenter::AfterEntry(duration) => Reenter::AfterEntry(calendar(duration)),
        ast::Reenter::AfterExit(duration) => Reenter::AfterExit(calendar(duration)),
    }
}

impl Source<'_> {
    /// An event that is waited for or listened to.
    pub(super) fn on(&mut self, event: &ast::EventMatch) -> Match {
        Match {
            signals: self.signals(event),
            same: words(&event.same),
            filter: self.optional(event.filter.as_ref()),
            slot: self.slot(event.span),
        }
    }

    /// A live condition with what it depends on.
    pub(super) fn condition(&mut self, condition: &ast::Expr) -> Trigger {
        let condition = self.expr(condition.span);
        let watch = self.watch(&condition);
        Trigger::Condition { condition, watch }
    }

    fn signals(&mut self, event: &ast::EventMatch) -> Vec<Signal> {
        let mut signals = Vec::new();
        for path in &event.events {
            match self.info.signals.get(&path.span) {
                Some(signal) => signals.push(signal.clone()),
                None => self.refuse(path.span, "waiting for this"),
            }
        }
        signals
    }

    /// The events of an entry: no step of its own has run yet, so outcomes cannot start anything.
    fn events(&mut self, event: &ast::EventMatch) -> Vec<Word> {
        let mut names = Vec::new();
        for signal in self.signals(event) {
            match signal {
                Signal::Event(name) => names.push(name),
                Signal::Outcome { .. } => self.refuse(event.span, "entering on an outcome"),
            }
        }
        names
    }

    fn entry(&mut self, enter: &ast::Enter) -> Entry {
        let (how, own) = self.how(&enter.how);
        let filter = enter.filter.as_ref().or(own);
        Entry {
            how,
            filter: self.optional(filter),
            audience: self.optional(enter.audience.as_ref()),
            including_existing: enter.including_existing.is_some(),
        }
    }

    /// How one enters, and the `where` that the parser has left with the event.
    fn how<'t>(&mut self, how: &'t EnterHow) -> (EntryHow, Option<&'t ast::Expr>) {
        let lowered = match how {
            EnterHow::On(event) => return (EntryHow::Event(self.events(event)), event.filter.as_ref()),
            EnterHow::OnFirst(event) => {
                return (EntryHow::FirstEvent(self.events(event)), event.filter.as_ref());
            }
            EnterHow::OnChange { path, .. } => EntryHow::Change { attribute: last(path) },
            EnterHow::When(condition) => {
                let condition = self.expr(condition.span);
                let watch = self.watch(&condition);
                EntryHow::When { condition, watch }
            }
            EnterHow::While(condition) => {
                let condition = self.expr(condition.span);
                let watch = self.watch(&condition);
                EntryHow::While { condition, watch }
            }
            EnterHow::At { date, time, zone: written } => EntryHow::At {
                date: self.date(date),
                time: self.time(time).unwrap_or(TimeOfDay(0)),
                zone: zone(written.as_ref(), ZoneRef::Project),
            },
            EnterHow::Cron { text, zone: written } => EntryHow::Cron {
                text: text.value.as_str().into(),
                zone: zone(written.as_ref(), ZoneRef::Project),
            },
            EnterHow::EveryWeekday { day, at, zone: written } => EntryHow::Weekday {
                days: days(*day),
                at: self.time_of(at),
                zone: zone(written.as_ref(), ZoneRef::Contact),
            },
            EnterHow::Anniversary { path, at, zone: written } => EntryHow::Anniversary {
                attribute: last(path),
                at: at.as_ref().map_or(TimeOfDay(0), |at| self.time_of(at)),
                zone: zone(written.as_ref(), ZoneRef::Contact),
            },
            EnterHow::Offset { offset, side, path, at, zone: written } => EntryHow::Offset {
                attribute: last(path),
                offset: signed(offset, *side),
                at: at.as_ref().map(|at| self.time_of(at)),
                zone: zone(written.as_ref(), ZoneRef::Contact),
            },
            EnterHow::ByStart(_) => EntryHow::Start { arguments: self.info.arguments.clone() },
            EnterHow::Error => EntryHow::Event(Vec::new()),
        };
        (lowered, None)
    }

    fn time_of(&mut self, at: &ast::TimeOfDay) -> TimeOfDay {
        let span = match at {
            ast::TimeOfDay::Clock(clock) => clock.span,
            ast::TimeOfDay::Path(path) => path.span,
        };
        self.constant_time(at, span)
    }

    /// Inclusive in the text; the end is exclusive in the program.
    fn runs(&mut self, from: Option<ast::Day>, to: Option<ast::Day>, written: Option<&ast::Zone>) -> Runs {
        let zone = match written.map(|zone| &zone.kind) {
            None | Some(ast::ZoneKind::Project) => self.project_zone(),
            Some(ast::ZoneKind::Named(name)) => {
                crate::time::Zone::named(&name.value).unwrap_or_else(|| self.project_zone())
            }
            Some(ast::ZoneKind::Contact) => {
                self.refuse(written.map_or(self.info.span, |zone| zone.span), "`runs` in contact time");
                self.project_zone()
            }
        };
        let mut instant = |day: ast::Day, is_end: bool| -> Timestamp {
            let date = self.date(&day.date);
            match day.time.as_ref().and_then(|clock| self.time(clock)) {
                Some(time) => zone.at(date, time).plus_ms(i64::from(is_end)),
                None if is_end => zone.start_of(date.plus_days(1)),
                None => zone.start_of(date),
            }
        };
        let from = from.map(|day| instant(day, false));
        Runs { from, until: to.map(|day| instant(day, true)) }
    }
}

/// The words of an event for an identity: `order_placed,order_canceled`.
pub(super) fn described(event: &ast::EventMatch) -> String {
    event.events.iter().map(|path| dotted(path).to_string()).collect::<Vec<_>>().join(",")
}
