//! Walks a journey once and gives every name its slot; names that stand twice are told.

use super::findings::{Findings, twice};
use super::names::{Form, Names, SlotInfo, channel_names, entry_fields, entry_name, event_fields};
use super::schema::{Noun, Schema};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::engine::program::{SlotIx, SlotKind, Word};
use crate::lang::ast::{self, Name};
use crate::value::FieldType;

/// The outcomes of a message that was never sent.
pub(super) const NOT_REACHED: [&str; 2] = ["unreachable", "skipped"];

pub(super) struct Collect<'c, 'a> {
    pub(super) schema: &'c Schema<'a>,
    pub(super) out: &'c mut Findings,
    pub(super) names: Names<'a>,
}

impl<'a> Collect<'_, 'a> {
    pub(super) fn journey(&mut self, journey: &'a ast::Journey) {
        self.entry(journey);
        for item in &journey.items {
            match &item.kind {
                ast::JourneyItemKind::ExitRule { trigger: ast::ExitTrigger::On(event), .. } => {
                    self.rule_event(event)
                }
                ast::JourneyItemKind::Goal(goal) => {
                    self.goal(&goal.name);
                    self.rule_event(&goal.event);
                }
                ast::JourneyItemKind::Handler { event, body } => {
                    self.arm_event(event, body.span);
                    self.block(body);
                }
                ast::JourneyItemKind::Stage { name, body } => {
                    let first = self.names.stages.get(name.text.as_str()).copied();
                    match first {
                        Some(first) => self.out.push(twice("stage", name, first)),
                        None => _ = self.names.stages.insert(name.text.as_str().into(), name.span),
                    }
                    self.block(body);
                }
                ast::JourneyItemKind::Stmt(stmt) => self.stmt(stmt),
                ast::JourneyItemKind::Error => self.names.damaged.push(item.span),
                ast::JourneyItemKind::Budget(_) => self.names.has_budget = true,
                ast::JourneyItemKind::Purpose { .. }
                | ast::JourneyItemKind::Runs { .. }
                | ast::JourneyItemKind::Enter(_)
                | ast::JourneyItemKind::Reenter(_)
                | ast::JourneyItemKind::ExitRule { .. }
                | ast::JourneyItemKind::Lasts(_)
                | ast::JourneyItemKind::OnDeploy(_)
                | ast::JourneyItemKind::Migrate { .. } => {}
            }
        }
    }

    /// Slot 0. Several `enter` lines have in common what all of them give.
    fn entry(&mut self, journey: &'a ast::Journey) {
        let enters = journey.items.iter().filter_map(|item| match &item.kind {
            ast::JourneyItemKind::Enter(enter) => Some(&**enter),
            _ => None,
        });
        let enters: Vec<&ast::Enter> = enters.collect();
        let name = enters.iter().find_map(|enter| entry_name(enter));
        let lists: Option<Vec<Vec<FieldType>>> =
            enters.iter().map(|enter| entry_fields(self.schema, enter)).collect();
        let fields = lists.and_then(|lists| {
            let lists: Vec<&[FieldType]> = lists.iter().map(Vec::as_slice).collect();
            // Lines that disagree are told as E0213; their fields are anybody's guess.
            (!disagree(&lists)).then(|| crate::lang::types::common(&lists))
        });
        let (word, span, explicit) = match name {
            Some((name, explicit)) => (Word::from(name.text.as_str()), name.span, explicit),
            None => ("entry".into(), journey.name.span, true),
        };
        let slot = self.add(word.clone(), SlotKind::Entry, span, explicit, fields, Form::Entry);
        if explicit && name.is_some() {
            self.names.explicit.insert(word, slot);
        }
    }

    fn goal(&mut self, name: &Name) {
        let first = self.names.goals.get(name.text.as_str()).copied();
        match first {
            Some(first) => self.out.push(twice("goal", name, first)),
            None => _ = self.names.goals.insert(name.text.as_str().into(), name.span),
        }
    }

    fn block(&mut self, block: &'a ast::Block) {
        for stmt in &block.stmts {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &'a ast::Stmt) {
        use ast::StmtKind as S;
        match &stmt.kind {
            S::Send(send) => self.send(stmt, send),
            S::Ask(ask) => self.ask(stmt, ask),
            S::Call(work) | S::Assign(work) => self.work(stmt, work),
            S::Request(request) => self.request(stmt, request),
            S::Take { pool, name, otherwise, .. } => {
                // One that says nothing of what lies in it is told by itself.
                let fields =
                    self.schema.pool(&pool.text).filter(|fields| !fields.is_empty()).map(<[_]>::to_vec);
                let form = Form::Request { leaves: otherwise.is_some() };
                self.named(stmt.span, name.as_ref(), SlotKind::Request, fields, form);
                otherwise.iter().for_each(|block| self.block(block));
            }
            S::Let { name, .. } => self.named(stmt.span, Some(name), SlotKind::Let, None, Form::Let),
            S::Wait(wait) => self.wait(stmt.span, wait),
            S::If(if_) => {
                if_.branches.iter().for_each(|(_, block)| self.block(block));
                if_.otherwise.iter().for_each(|block| self.block(block));
            }
            S::Switch(switch) => {
                switch.cases.iter().for_each(|case| self.block(&case.body));
                switch.otherwise.iter().for_each(|block| self.block(block));
            }
            S::Split { name, variants } => {
                let words = variants.iter().map(|variant| Word::from(variant.name.text.as_str())).collect();
                self.names.splits.insert(name.text.as_str().into(), words);
                variants.iter().for_each(|variant| self.block(&variant.body));
            }
            S::Repeat { name, body, .. } => {
                self.named(stmt.span, name.as_ref(), SlotKind::Loop, None, Form::Loop);
                self.block(body);
            }
            S::RunJourney { journey, limit, name, .. } => {
                let form = Form::Child { journey: journey.text.as_str().into(), limited: limit.is_some() };
                self.named(stmt.span, name.as_ref(), SlotKind::Child, None, form);
            }
            S::Error => self.names.damaged.push(stmt.span),
            S::Record { .. }
            | S::Set { .. }
            | S::Add { .. }
            | S::AddContact { .. }
            | S::Remove { .. }
            | S::RemoveContact { .. }
            | S::Grant { .. }
            | S::Withdraw { .. }
            | S::StartJourney { .. }
            | S::GoTo(_)
            | S::Resume
            | S::Pause { .. }
            | S::Exit { .. } => {}
        }
    }

    fn send(&mut self, stmt: &ast::Stmt, send: &'a ast::Send) {
        let channels: Vec<Word> =
            channel_names(&send.channels).iter().map(|c| c.text.as_str().into()).collect();
        let address = |channel: &Word| self.schema.address_of(channel).cloned();
        let addresses = match (&send.to, &send.channels) {
            (Some(_), _) => Vec::new(),
            (None, _) => channels.iter().filter_map(address).collect(),
        };
        let form = Form::Message { channels, addresses };
        self.named(stmt.span, send.name.as_ref(), SlotKind::Message, Some(Vec::new()), form);
    }

    /// Two slots: for the answers, and for what becomes of the message, which decides whether anybody waits for them.
    fn ask(&mut self, stmt: &ast::Stmt, ask: &'a ast::Ask) {
        let survey = ask.survey.joined();
        let declared = self.schema.catalog.surveys.get(survey.as_str());
        let fields = declared.map(|survey| survey.questions.iter().map(|q| q.field.clone()).collect());
        self.named(stmt.span, ask.name.as_ref(), SlotKind::Survey, fields, Form::Ask);
        let name = ask.name.as_ref().map_or(survey.as_str(), |name| &name.text);
        let (word, place) = (format!("{name}/message").into(), ask.survey.span);
        let slot = self.add(word, SlotKind::Message, place, true, None, Form::Question);
        let info = self.names.slot_mut(slot);
        info.used = NOT_REACHED.map(Word::from).to_vec();
        info.mentioned = true;
        self.names.slot_at.insert(place, slot);
    }

    fn work(&mut self, stmt: &ast::Stmt, work: &'a ast::Work) {
        let task = self.schema.catalog.tasks.get(work.task.joined().as_str());
        let (fields, outcomes) = match task {
            Some(task) => {
                let expired = Word::from("expired");
                (Some(task.answers.clone()), task.outcomes.iter().cloned().chain([expired]).collect())
            }
            None => (None, Vec::new()),
        };
        self.named(stmt.span, work.name.as_ref(), SlotKind::Task, fields, Form::Task { outcomes });
    }

    fn request(&mut self, stmt: &ast::Stmt, request: &'a ast::Request) {
        let endpoint = self.schema.catalog.endpoints.get(request.endpoint.joined().as_str());
        let fields = endpoint.map(|endpoint| endpoint.returns.clone());
        let form = Form::Request { leaves: request.otherwise.is_some() };
        self.named(stmt.span, request.name.as_ref(), SlotKind::Request, fields, form);
        request.otherwise.iter().for_each(|block| self.block(block));
    }

    fn wait(&mut self, span: Span, wait: &'a ast::Wait) {
        match wait {
            ast::Wait::For { name, .. } => {
                self.named(span, name.as_ref(), SlotKind::Wait, Some(Vec::new()), Form::Timer)
            }
            ast::Wait::Until { name, body, .. } => {
                self.named(span, name.as_ref(), SlotKind::Wait, Some(Vec::new()), Form::Timer);
                body.iter().for_each(|block| self.block(block));
            }
            ast::Wait::Event { event, .. } => {
                let fields = event_fields(self.schema, event);
                let slot = self.event_slot(event, SlotKind::Wait, fields, Form::WaitEvent(event));
                if let Some(slot) = slot {
                    self.names.slot_at.insert(span, slot);
                    self.names.slot_at.insert(event.span, slot);
                }
            }
            ast::Wait::Condition { name, condition, .. } => {
                let form = Form::WaitCondition(condition);
                self.named(span, name.as_ref(), SlotKind::Wait, Some(Vec::new()), form);
            }
            ast::Wait::Race { name, arms, timeout, .. } => {
                self.named(span, name.as_ref(), SlotKind::Wait, Some(Vec::new()), Form::Race);
                for arm in arms {
                    match &arm.when {
                        ast::ArmWhen::Event(event) => self.arm_event(event, arm.body.span),
                        ast::ArmWhen::Condition { name, .. } => {
                            let form = Form::Event;
                            self.named(arm.span, name.as_ref(), SlotKind::Event, Some(Vec::new()), form);
                        }
                    }
                    self.block(&arm.body);
                }
                timeout.iter().for_each(|block| self.block(block));
            }
        }
    }

    /// The event of an arm or handler: its name can be used in the block.
    fn arm_event(&mut self, event: &'a ast::EventMatch, body: Span) {
        let fields = event_fields(self.schema, event);
        if let Some(slot) = self.event_slot(event, SlotKind::Event, fields, Form::Event) {
            self.names.slot_at.insert(event.span, slot);
            if event.name.is_none() {
                self.names.slot_mut(slot).scope = Some(whole(event).to(body));
            }
        }
    }

    /// The event of an exit rule or goal: its name is known in its own `where` alone.
    fn rule_event(&mut self, event: &'a ast::EventMatch) {
        if event.name.is_none() && event.filter.is_none() {
            return;
        }
        let fields = event_fields(self.schema, event);
        let (word, span, explicit) = match (&event.name, event.events.as_slice()) {
            (Some(name), _) => (Word::from(name.text.as_str()), name.span, true),
            (None, [path]) => (own_name(path).into(), path.span, false),
            (None, _) => ("event".into(), event.span, true),
        };
        if let (Some(name), Some(first)) = (&event.name, self.names.explicit.get(&word)) {
            let first = self.names.slot(*first).span;
            self.out.push(twice("the name", name, first));
        }
        let slot = self.add(word, SlotKind::Event, span, explicit, fields, Form::Event);
        self.names.slot_mut(slot).scope = Some(whole(event));
        self.names.slot_at.insert(event.span, slot);
    }

    /// A slot for an event under its own or a given name; several events without a name have none.
    fn event_slot(
        &mut self,
        event: &'a ast::EventMatch,
        kind: SlotKind,
        fields: Option<Vec<FieldType>>,
        form: Form<'a>,
    ) -> Option<SlotIx> {
        match (&event.name, event.events.as_slice()) {
            (Some(name), _) => Some(self.declare(name, kind, fields, form)),
            (None, [path]) => Some(self.add(own_name(path).into(), kind, path.span, false, fields, form)),
            (None, _) => None,
        }
    }

    fn named(
        &mut self,
        at: Span,
        name: Option<&Name>,
        kind: SlotKind,
        fields: Option<Vec<FieldType>>,
        form: Form<'a>,
    ) {
        if let Some(name) = name {
            let slot = self.declare(name, kind, fields, form);
            self.names.slot_at.insert(at, slot);
        }
    }

    /// A slot under a name of the author's; a name may stand once, and no segment or score may have it.
    fn declare(
        &mut self,
        name: &Name,
        kind: SlotKind,
        fields: Option<Vec<FieldType>>,
        form: Form<'a>,
    ) -> SlotIx {
        let word = Word::from(name.text.as_str());
        let slot = self.add(word.clone(), kind, name.span, true, fields, form);
        if let Some(first) = self.names.explicit.get(&word) {
            let first = self.names.slot(*first).span;
            self.out.push(twice("the name", name, first));
        } else {
            if let Some(finding) = shadows(self.schema, name) {
                self.out.push(finding);
            }
            self.names.explicit.insert(word, slot);
        }
        slot
    }

    fn add(
        &mut self,
        name: Word,
        kind: SlotKind,
        span: Span,
        explicit: bool,
        fields: Option<Vec<FieldType>>,
        form: Form<'a>,
    ) -> SlotIx {
        let slot = SlotIx::try_from(self.names.slots.len()).unwrap_or(SlotIx::MAX);
        self.names.slots.push(SlotInfo {
            name,
            kind,
            span,
            explicit,
            scope: None,
            fields,
            form,
            ty: None,
            used: Vec::new(),
            moment_used: false,
            mentioned: false,
        });
        slot
    }
}

/// A name of a journey that a segment or score has already.
fn shadows(schema: &Schema, name: &Name) -> Option<Diagnostic> {
    let word = Word::from(name.text.as_str());
    [Noun::Segment, Noun::Score].into_iter().find_map(|noun| {
        let first = *schema.declared.get(&(noun, word.clone()))?;
        Some(
            Diagnostic::new(
                Code::E0102,
                name.span,
                format!("`{}` is the name of a {} already", name.text, noun.as_str()),
            )
            .label("hides it")
            .related(first, "declared here")
            .help("give one of them another name"),
        )
    })
}

/// Whether two of the lists have a field of one name with different types.
fn disagree(lists: &[&[FieldType]]) -> bool {
    lists.iter().enumerate().any(|(n, list)| {
        lists[..n].iter().any(|other| {
            list.iter().any(|field| {
                crate::lang::types::field(other, &field.name)
                    .is_some_and(|ty| ty.required() != field.ty.required())
            })
        })
    })
}

/// What an event is called without `as`: its name; for an outcome of a step the name of the step's outcome.
fn own_name(path: &ast::Path) -> &str {
    match path.parts.as_slice() {
        [event] => &event.text,
        parts => &parts[parts.len() - 1].text,
    }
}

/// The match with its `where`.
fn whole(event: &ast::EventMatch) -> Span {
    event.filter.as_ref().map_or(event.span, |filter| event.span.to(filter.span))
}
