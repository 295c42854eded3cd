//! Blocks and statements become steps that know where they go on.

use std::collections::{BTreeMap, BTreeSet};

use super::labels::{Label, Labels, targets};
use super::names::Names;
use super::rules::described;
use super::sending::{lower_send, lower_work, send_words};
use super::{Lowered, Source, dotted, last, word, words};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::engine::program::{
    Arm, Doubt, Expr, Handler, PauseUntil, Program, SlotIx, Step, StepKind, Trigger, Undo, WaitEvent, Word,
    audience_attribute, pool_endpoint,
};
use crate::lang::ast::{
    self, ArmWhen, Block, ChannelChoice, JourneyItemKind, Name, Patience, Stmt, StmtKind, Wait,
};
use crate::lang::types::calendar;
use crate::time::Calendar;
use crate::value::Value;

/// Why an enrollment ends where a value that a `switch` needs has vanished and nothing follows: no path may have a loose end.
pub const VANISHED: &str = "value_missing";

/// The steps of one journey while they are made.
pub(super) struct Flow<'a> {
    steps: Vec<Step>,
    places: Vec<Span>,
    pub(super) labels: Labels,
    pub(super) names: Names,
    stages: Vec<(&'a str, Label)>,
    /// Counters of the loops around the present place.
    around: Vec<u16>,
    pub(super) loops: u16,
    closed: BTreeSet<Word>,
    pub(super) doubts: BTreeMap<Word, Doubt>,
}

/// A step that is about to be made: what stands in the text, its identity and its slot.
pub(super) struct Draft {
    pub(super) place: Span,
    pub(super) id: Word,
    pub(super) slot: Option<SlotIx>,
}

impl<'a> Flow<'a> {
    pub(super) fn new() -> Flow<'a> {
        Flow {
            steps: Vec::new(),
            places: Vec::new(),
            labels: Labels::default(),
            names: Names::new(),
            stages: Vec::new(),
            around: Vec::new(),
            loops: 0,
            closed: BTreeSet::new(),
            doubts: BTreeMap::new(),
        }
    }

    /// The main line first, so that step 0 is its first; then the handlers.
    pub(super) fn journey(&mut self, journey: &'a ast::Journey, source: &mut Source<'_>) -> Vec<Handler> {
        for item in &journey.items {
            if let JourneyItemKind::Stage { name, .. } = &item.kind {
                let label = self.labels.open();
                self.stages.push((&name.text, label));
            }
        }
        let mut here = self.labels.open();
        let mut stage = 0;
        for item in &journey.items {
            match &item.kind {
                JourneyItemKind::Stmt(stmt) => here = self.then(stmt, here, source),
                JourneyItemKind::Stage { name, body } => {
                    let own = self.stages[stage].1;
                    stage += 1;
                    self.labels.join(here, own);
                    self.names.anchor(&name.text);
                    here = self.labels.open();
                    self.block(body, own, here, source);
                }
                _ => {}
            }
        }
        self.end(here, journey.name.span, StepKind::Exit { reason: VANISHED.into() });
        let handlers = journey.items.iter().filter_map(|item| match &item.kind {
            JourneyItemKind::Handler { event, body } => Some((event, body)),
            _ => None,
        });
        handlers.map(|(event, body)| self.handler(event, body, source)).collect()
    }

    fn handler(&mut self, event: &'a ast::EventMatch, body: &'a Block, source: &mut Source<'_>) -> Handler {
        self.names.anchor(&format!("on {}", described(event)));
        let (first, behind) = (self.labels.open(), self.labels.open());
        self.block(body, first, behind, source);
        self.end(behind, event.span, StepKind::Resume);
        Handler { on: source.on(event), first }
    }

    /// A step for what falls off the end. Nothing does in a sound journey but a value that vanished; [`Flow::finish`] drops
    /// it where nothing leads to it.
    fn end(&mut self, here: Label, place: Span, kind: StepKind) {
        let draft = Draft { place, id: self.names.id(None, "end"), slot: None };
        self.emit(here, draft, kind);
    }

    /// The program with its steps: labels become indices, unreachable closing steps go.
    pub(super) fn finish(mut self, mut program: Program, place: Span, source: &mut Source<'_>) -> Lowered {
        if self.labels.overflow || program.goals.len() > 64 {
            source.refuse(place, "a journey of this size");
            return Lowered { program, places: Vec::new(), closed: self.closed, doubts: self.doubts };
        }
        let mut loose = false;
        let mut resolve = |target: &mut u16, labels: &Labels| match labels.step(*target) {
            Some(step) => *target = step,
            None => loose = true,
        };
        for step in &mut self.steps {
            targets(&mut step.kind).into_iter().for_each(|target| resolve(target, &self.labels));
        }
        program.handlers.iter_mut().for_each(|handler| resolve(&mut handler.first, &self.labels));
        if loose {
            let message = "these stages lead only to each other";
            source.findings.push(Diagnostic::new(Code::E0303, place, message));
        }
        program.steps = self.steps;
        let mut lowered = Lowered { program, places: self.places, closed: self.closed, doubts: self.doubts };
        drop_unreached(&mut lowered);
        let program = &mut lowered.program;
        let vanishes = |step: &Step| matches!(&step.kind, StepKind::Exit { reason } if &**reason == VANISHED);
        if program.steps.iter().any(vanishes) && !program.reasons.iter().any(|reason| &**reason == VANISHED) {
            program.reasons.push(VANISHED.into());
        }
        lowered
    }

    pub(super) fn emit(&mut self, here: Label, draft: Draft, kind: StepKind) {
        self.labels.place(here, self.steps.len());
        self.steps.push(Step { id: draft.id, slot: draft.slot, loops: self.around.clone(), kind });
        self.places.push(draft.place);
    }

    /// A block from `here` to `next`; names inside do not anchor what follows it.
    fn block(&mut self, block: &'a Block, here: Label, next: Label, source: &mut Source<'_>) {
        let mark = self.names.mark();
        let mut here = here;
        for stmt in &block.stmts {
            here = self.then(stmt, here, source);
        }
        self.labels.join(here, next);
        self.names.back(mark);
    }

    /// A block inside a statement, which begins at a new label.
    fn inner(&mut self, block: &'a Block, next: Label, source: &mut Source<'_>) -> Label {
        let first = self.labels.open();
        self.block(block, first, next, source);
        first
    }

    /// A statement at `here`; gives the label behind it.
    fn then(&mut self, stmt: &'a Stmt, here: Label, source: &mut Source<'_>) -> Label {
        let next = self.labels.open();
        self.stmt(stmt, here, next, source);
        next
    }

    fn stmt(&mut self, stmt: &'a Stmt, here: Label, next: Label, source: &mut Source<'_>) {
        let place = stmt.span;
        let slot = source.slot(place);
        match &stmt.kind {
            StmtKind::Wait(wait) => self.wait(stmt, wait, here, next, source),
            StmtKind::Ask(ask) => self.ask(stmt, ask, here, next, source),
            StmtKind::Send(send) if matches!(&send.channels, ChannelChoice::Preferred(all) if all.len() > 1) =>
            {
                self.preferred(stmt, send, here, next, source);
            }
            StmtKind::If(choice) => self.choice(stmt, choice, here, next, source),
            StmtKind::Switch(switch) => self.switch(stmt, switch, here, next, source),
            StmtKind::Split { name, variants } => {
                let id = self.names.id(Some(name), "split");
                let at = self.reserve(here, Draft { place, id, slot });
                let lowered = variants.iter().map(|variant| {
                    let first = self.inner(&variant.body, next, source);
                    (word(&variant.name), variant.share.value, first)
                });
                let variants = lowered.collect();
                self.settle(at, StepKind::Split { name: word(name), variants });
            }
            StmtKind::Repeat { .. } => self.repeat(stmt, here, next, source),
            StmtKind::Request(request) => {
                let what = format!("request {}", dotted(&request.endpoint));
                let id = self.names.id(request.name.as_ref(), &what);
                let at = self.reserve(here, Draft { place, id, slot });
                let failed = match &request.otherwise {
                    Some(block) => self.inner(block, next, source),
                    None => next,
                };
                let (endpoint, with) = (dotted(&request.endpoint), source.with(request.with.as_ref()));
                self.settle(at, StepKind::Request { endpoint, with, next, failed });
            }
            StmtKind::Take { pool, name, otherwise, .. } => {
                let id = self.names.id(name.as_ref(), &format!("take {}", pool.text));
                let at = self.reserve(here, Draft { place, id, slot });
                let failed = match otherwise {
                    Some(block) => self.inner(block, next, source),
                    None => next,
                };
                let endpoint = pool_endpoint(&pool.text);
                self.settle(at, StepKind::Request { endpoint, with: Vec::new(), next, failed });
            }
            StmtKind::GoTo(stage) => match self.stages.iter().find(|(name, _)| *name == stage.text) {
                Some((_, label)) => self.labels.join(here, *label),
                None => source.refuse(stage.span, "going there"),
            },
            StmtKind::Error => self.labels.join(here, next),
            _ => match self.plain(stmt, next, source) {
                Some((name, what, kind)) => {
                    let id = self.names.id(name, &what);
                    if let StmtKind::Send(send) = &stmt.kind {
                        self.doubts.extend(send.doubt.map(|doubt| (id.clone(), doubt)));
                    }
                    self.emit(here, Draft { place, id, slot }, kind);
                }
                None => self.labels.join(here, next),
            },
        }
    }

    /// A statement without blocks: its name, what it does for its identity, and its step.
    fn plain(
        &mut self,
        stmt: &'a Stmt,
        next: Label,
        source: &mut Source<'_>,
    ) -> Option<(Option<&'a Name>, String, StepKind)> {
        let lowered = match &stmt.kind {
            StmtKind::Send(send) => {
                let kind = lower_send(stmt.span, send, next, source);
                let what = send_words(send, &kind);
                (send.name.as_ref(), what, StepKind::Send(Box::new(kind)))
            }
            StmtKind::Call(work) => lower_work("call", stmt.span, work, next, source),
            StmtKind::Assign(work) => lower_work("assign", stmt.span, work, next, source),
            StmtKind::Record { event, with } => {
                let (event, with) = (dotted(event), source.with(with.as_ref()));
                (None, format!("record {event}"), StepKind::Record { event, with, next })
            }
            StmtKind::Set { path, value } => {
                let (attribute, value) = (last(path), source.expr(value.span));
                (None, format!("set {attribute}"), StepKind::Set { attribute, value, next })
            }
            StmtKind::Add { value, to, duration, until_exit } => {
                let (attribute, value) = (last(to), source.expr(value.span));
                let for_so_long = duration.as_ref().map(|duration| Undo::After(calendar(duration)));
                let undo = for_so_long.or(until_exit.map(|_| Undo::AtExit));
                (None, format!("add {attribute}"), StepKind::Add { attribute, value, undo, next })
            }
            StmtKind::Remove { value, from } => {
                let (attribute, value) = (last(from), source.expr(value.span));
                (None, format!("remove {attribute}"), StepKind::Remove { attribute, value, next })
            }
            StmtKind::Let { name, value } => {
                let slot = source.slot(stmt.span);
                let value = source.expr(value.span);
                // What nothing reads needs no step.
                (Some(name), "let".to_owned(), StepKind::Let { slot: slot?, value, next })
            }
            StmtKind::Grant { consent, evidence } => {
                let (purpose, channels) = (word(&consent.purpose), words(&consent.channels));
                let evidence = evidence.as_ref().map(word);
                let what = format!("grant {purpose} {}", channels.join(","));
                (None, what, StepKind::Grant { purpose, channels, evidence, next })
            }
            StmtKind::Withdraw { consent } => {
                let (purpose, channels) = (word(&consent.purpose), words(&consent.channels));
                let what = format!("withdraw {purpose} {}", channels.join(","));
                (None, what, StepKind::Withdraw { purpose, channels, next })
            }
            StmtKind::StartJourney { journey, with } => {
                let (journey, with) = (word(journey), source.with(with.as_ref()));
                (None, format!("start {journey}"), StepKind::StartJourney { journey, with, next })
            }
            StmtKind::RunJourney { journey, with, limit, name } => {
                let (journey, with) = (word(journey), source.with(with.as_ref()));
                let limit = limit.as_ref().map(calendar);
                let what = format!("run {journey}");
                (name.as_ref(), what, StepKind::RunJourney { journey, with, limit, next })
            }
            StmtKind::Pause { purpose, how } => {
                let purpose = word(purpose);
                let until = match how {
                    ast::Pause::For(duration) => PauseUntil::For(calendar(duration)),
                    ast::Pause::Until(moment) => PauseUntil::Until(source.moment(moment)),
                    ast::Pause::Forever => PauseUntil::Forever,
                };
                (None, format!("pause {purpose}"), StepKind::Pause { purpose, until, next })
            }
            StmtKind::Resume => (None, "resume".to_owned(), StepKind::Resume),
            StmtKind::Exit { reason } => {
                let reason = reason.as_ref().map(word)?;
                (None, format!("exit {reason}"), StepKind::Exit { reason })
            }
            StmtKind::AddContact { audience } => {
                let what = format!("add contact to {}", audience.text);
                let (attribute, value) = (audience_attribute(&audience.text), Expr::Const(Value::Bool(true)));
                (None, what, StepKind::Add { attribute, value, undo: Some(Undo::AtExit), next })
            }
            StmtKind::RemoveContact { audience } => {
                let what = format!("remove contact from {}", audience.text);
                let (attribute, value) = (audience_attribute(&audience.text), Expr::Const(Value::Bool(true)));
                (None, what, StepKind::Remove { attribute, value, next })
            }
            StmtKind::Ask(_)
            | StmtKind::Error
            | StmtKind::GoTo(_)
            | StmtKind::If(_)
            | StmtKind::Repeat { .. }
            | StmtKind::Request(_)
            | StmtKind::Split { .. }
            | StmtKind::Switch(_)
            | StmtKind::Take { .. }
            | StmtKind::Wait(_) => return None,
        };
        Some(lowered)
    }

    /// A step that stands before its blocks in the program though its targets are known only after them.
    pub(super) fn reserve(&mut self, here: Label, draft: Draft) -> usize {
        self.emit(here, draft, StepKind::Resume);
        self.steps.len() - 1
    }

    /// Says what a reserved step is, once its targets are known.
    pub(super) fn settle(&mut self, at: usize, kind: StepKind) {
        self.steps[at].kind = kind;
    }

    fn choice(
        &mut self,
        stmt: &'a Stmt,
        choice: &'a ast::If,
        here: Label,
        next: Label,
        source: &mut Source<'_>,
    ) {
        let mut here = here;
        let count = choice.branches.len();
        for (number, (condition, block)) in choice.branches.iter().enumerate() {
            let id = self.names.id(None, "if");
            let place = if number == 0 { stmt.span } else { condition.span.to(block.span) };
            let at = self.reserve(here, Draft { place, id, slot: None });
            let yes = self.inner(block, next, source);
            let no = match &choice.otherwise {
                Some(block) if number + 1 == count => self.inner(block, next, source),
                None if number + 1 == count => next,
                _ => {
                    here = self.labels.open();
                    here
                }
            };
            let condition = source.expr(condition.span);
            self.settle(at, StepKind::Branch { condition, yes, no });
        }
    }

    fn switch(
        &mut self,
        stmt: &'a Stmt,
        switch: &'a ast::Switch,
        here: Label,
        next: Label,
        source: &mut Source<'_>,
    ) {
        let id = self.names.id(None, "switch");
        let at = self.reserve(here, Draft { place: stmt.span, id, slot: None });
        let subject = source.expr(switch.subject.span);
        let mut cases = Vec::new();
        for case in &switch.cases {
            let mut values = Vec::new();
            for value in &case.values {
                match source.expr(value.span) {
                    Expr::Const(value) => values.push(value),
                    _ => source.refuse(value.span, "a case that is no constant"),
                }
            }
            cases.push((values, self.inner(&case.body, next, source)));
        }
        let otherwise = match &switch.otherwise {
            Some(block) => self.inner(block, next, source),
            None => {
                self.closed.insert(self.steps[at].id.clone());
                next
            }
        };
        self.settle(at, StepKind::Switch { subject, cases, otherwise });
    }

    /// Start, test, body, and `until` after each round.
    fn repeat(&mut self, stmt: &'a Stmt, here: Label, next: Label, source: &mut Source<'_>) {
        let StmtKind::Repeat { times, name, until, body } = &stmt.kind else { return };
        let (place, slot) = (stmt.span, source.slot(stmt.span));
        let counter = self.loops;
        self.loops = self.loops.saturating_add(1);
        let id = self.names.id(name.as_ref(), "repeat");
        let (test, first, behind) = (self.labels.open(), self.labels.open(), self.labels.open());
        let round = self.names.part(&id, "round");
        self.emit(
            here,
            Draft { place, id: id.clone(), slot: None },
            StepKind::LoopStart { counter, next: test },
        );
        let times = u32::try_from(times.value.trunc()).unwrap_or(0);
        let kind = StepKind::LoopNext { counter, times, body: first, done: next };
        self.emit(test, Draft { place, id: round, slot }, kind);
        self.around.push(counter);
        self.block(body, first, behind, source);
        match until {
            Some(condition) => {
                let id = self.names.part(&id, "until");
                let draft = Draft { place: condition.span, id, slot: None };
                let condition = source.expr(condition.span);
                self.emit(behind, draft, StepKind::Branch { condition, yes: next, no: test });
            }
            None => self.labels.join(behind, test),
        }
        self.around.pop();
    }

    fn wait(&mut self, stmt: &'a Stmt, wait: &'a Wait, here: Label, next: Label, source: &mut Source<'_>) {
        let (place, slot) = (stmt.span, source.slot(stmt.span));
        match wait {
            Wait::For { duration, longest, then_until, name } => {
                let (duration, longest) = (calendar(duration), longest.as_ref().map(calendar));
                let upper = longest.map_or(String::new(), |longest| format!(" to {longest}"));
                let then_until = then_until.as_ref().map(|moment| source.moment(moment));
                let id = self.names.id(name.as_ref(), &format!("wait {duration}{upper}"));
                let kind = StepKind::WaitFor { duration, longest, then_until, next };
                self.emit(here, Draft { place, id, slot }, kind);
            }
            Wait::Until { moment, name, body } => {
                let what = format!("wait until {}", until_words(moment));
                let id = self.names.id(name.as_ref(), &what);
                let at = self.reserve(here, Draft { place, id, slot });
                let moment = source.moment(moment);
                let first = body.as_ref().map_or(next, |body| self.inner(body, next, source));
                self.settle(at, StepKind::WaitUntil { moment, next: first, past: next });
            }
            Wait::Event { patience, event, look_back, then_until } => {
                let what = format!("wait for {}", described(event));
                let id = self.names.id(event.name.as_ref(), &what);
                let kind = WaitEvent {
                    limit: limit(patience),
                    arms: vec![Arm { on: Trigger::Event(source.on(event)), next }],
                    timeout: next,
                    look_back: look_back.as_ref().map(calendar),
                    then_until: then_until.as_ref().map(|moment| source.moment(moment)),
                };
                self.emit(here, Draft { place, id, slot }, StepKind::WaitEvent(Box::new(kind)));
            }
            Wait::Condition { patience, condition, name } => {
                let id = self.names.id(name.as_ref(), "wait until condition");
                let arms = vec![Arm { on: source.condition(condition), next }];
                let kind = bare_wait(patience, arms, next);
                self.emit(here, Draft { place, id, slot }, kind);
            }
            Wait::Race { patience, name, arms, timeout } => {
                let id = self.names.id(name.as_ref(), "wait race");
                let at = self.reserve(here, Draft { place, id, slot });
                let arms = arms.iter().map(|arm| self.arm(arm, next, source)).collect();
                let timeout = timeout.as_ref().map_or(next, |block| self.inner(block, next, source));
                self.settle(at, bare_wait(patience, arms, timeout));
            }
        }
    }

    /// A named condition carries no record and no moment, so its name needs no slot.
    fn arm(&mut self, arm: &'a ast::Arm, next: Label, source: &mut Source<'_>) -> Arm {
        let first = self.inner(&arm.body, next, source);
        let on = match &arm.when {
            ArmWhen::Event(event) => Trigger::Event(source.on(event)),
            ArmWhen::Condition { expr, .. } => source.condition(expr),
        };
        Arm { on, next: first }
    }
}

/// Removes the closing steps that nothing leads to, and keeps all others in their order.
fn drop_unreached(lowered: &mut Lowered) {
    let program = &mut lowered.program;
    let mut reached = vec![false; program.steps.len()];
    let mut open: Vec<u16> = program.handlers.iter().map(|handler| handler.first).chain([0]).collect();
    while let Some(step) = open.pop() {
        let at = usize::from(step);
        if let Some(seen @ false) = reached.get_mut(at) {
            *seen = true;
            open.extend(program.steps[at].kind.targets());
        }
    }
    let is_end = |step: &Step| match &step.kind {
        StepKind::Exit { reason } => &**reason == VANISHED,
        StepKind::Resume => true,
        _ => false,
    };
    let keep: Vec<bool> =
        std::iter::zip(&program.steps, &reached).map(|(step, r)| *r || !is_end(step)).collect();
    let mut moved = Vec::new();
    let mut count = 0;
    for kept in &keep {
        moved.push(count);
        count += u16::from(*kept);
    }
    let mut kept = keep.iter().copied();
    program.steps.retain(|_| kept.next().unwrap_or(true));
    let mut kept = keep.iter().copied();
    lowered.places.retain(|_| kept.next().unwrap_or(true));
    let all = program.steps.iter_mut().flat_map(|step| targets(&mut step.kind));
    for target in all.chain(program.handlers.iter_mut().map(|handler| &mut handler.first)) {
        *target = moved.get(usize::from(*target)).copied().unwrap_or(0);
    }
}

fn bare_wait(patience: &Patience, arms: Vec<Arm>, timeout: Label) -> StepKind {
    let wait = WaitEvent { limit: limit(patience), arms, timeout, look_back: None, then_until: None };
    StepKind::WaitEvent(Box::new(wait))
}

fn limit(patience: &Patience) -> Option<Calendar> {
    match patience {
        Patience::UpTo(duration) => Some(calendar(duration)),
        Patience::Forever(_) => None,
    }
}

/// The words of a moment for an identity: enough to tell two apart, and nothing of layout.
fn until_words(moment: &ast::Moment) -> String {
    let clock = |clock: &ast::Clock| format!("{:02}:{:02}", clock.hour, clock.minute);
    let date = |date: &ast::Date| format!("{}-{:02}-{:02}", date.year, date.month, date.day);
    let at = |at: &Option<ast::TimeOfDay>| match at {
        None => String::new(),
        Some(ast::TimeOfDay::Clock(time)) => format!(" at {}", clock(time)),
        Some(ast::TimeOfDay::Path(path)) => format!(" at {}", dotted(path)),
    };
    match &moment.kind {
        ast::MomentKind::Weekday { day, at: time, .. } => {
            format!("{}{}", format!("{day:?}").to_lowercase(), at(time))
        }
        ast::MomentKind::DateTime(day, time) => format!("{} at {}", date(day), clock(time)),
        ast::MomentKind::Date { date: day, at: time } => format!("{}{}", date(day), at(time)),
        ast::MomentKind::Time(time) => clock(time),
        ast::MomentKind::Anchor { offset, anchor, at: time } => {
            let side = |side: &ast::Side| if *side == ast::Side::Before { "before" } else { "after" };
            let offset = offset.as_ref().map(|(span, s)| format!("{} {} ", calendar(span), side(s)));
            format!("{}{}{}", offset.unwrap_or_default(), dotted(anchor), at(time))
        }
    }
}
