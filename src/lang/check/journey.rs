//! One journey: its names, its ways, what is known on them, and each statement with it.

use std::collections::HashMap;

use super::JourneyInfo;
use super::expr::{Around, Reader};
use super::facts::Carry;
use super::findings::{Findings, finding, unknown};
use super::graph::{At, Graph, What};
use super::names::{Form, Names};
use super::narrow::{Fact, Facts, Place};
use super::schema::{Noun, Schema};
use super::templates::Templates;
use crate::diagnostic::{Code, Span};
use crate::engine::program::{Budget, Signal, SlotIx, Word};
use crate::lang::Typed;
use crate::lang::ast::{self, JourneyItemKind, Path};
use crate::lang::types;
use crate::value::{FieldType, Type};

/// Outcomes of a message that happen at a moment, so that one can wait for them.
const AWAITED: [&str; 8] =
    ["sent", "delivered", "opened", "clicked", "bounced", "complained", "replied", "failed"];

/// A journey while it is checked.
pub(super) struct Journey<'c, 'a> {
    pub(super) schema: &'c Schema<'a>,
    pub(super) out: &'c mut Findings,
    pub(super) exprs: &'c mut HashMap<Span, Typed>,
    pub(super) journey: &'a ast::Journey,
    pub(super) name: Word,
    pub(super) names: Names<'a>,
    pub(super) graph: Graph<'a>,
    /// What is known before each node; `None` where no way leads.
    pub(super) facts: Vec<Option<Facts>>,
    /// What is known at entry.
    pub(super) start: Facts,
    /// As written.
    pub(super) purpose: Option<Word>,
    pub(super) because: Option<std::sync::Arc<str>>,
    pub(super) signals: HashMap<Span, Signal>,
    pub(super) purposes: HashMap<Span, Word>,
    pub(super) channels: Vec<Word>,
    /// What it may spend, and where that is said.
    pub(super) budget: Option<(Budget, Span)>,
    /// Something that it needs is broken elsewhere.
    pub(super) unsound: bool,
}

/// Checks a journey and says what lowering needs to know of it.
pub(super) fn check<'a>(
    schema: &Schema<'a>,
    journey: &'a ast::Journey,
    templates: &Templates,
    exprs: &mut HashMap<Span, Typed>,
    out: &mut Findings,
) -> JourneyInfo {
    let errors = out.errors();
    let name: Word = journey.name.text.as_str().into();
    let names = Names::collect(schema, journey, out);
    let mut journey = Journey {
        schema,
        out,
        exprs,
        journey,
        name,
        names,
        graph: Graph::new(journey),
        facts: Vec::new(),
        start: Facts::default(),
        purpose: None,
        because: None,
        signals: HashMap::new(),
        purposes: HashMap::new(),
        channels: Vec::new(),
        budget: None,
        unsound: false,
    };
    journey.whole(templates);
    let sound = journey.out.errors() == errors && journey.names.damaged.is_empty() && !journey.unsound;
    journey.info(sound)
}

impl<'a> Journey<'_, 'a> {
    fn whole(&mut self, templates: &Templates) {
        self.start.learn(&Fact::Assigned(0));
        self.head();
        let carry = Carry { schema: self.schema, names: &self.names, graph: &self.graph };
        self.facts = carry.everywhere(&self.start);
        self.rules();
        for at in self.graph.order() {
            self.node(at);
        }
        self.unused();
        super::flow::check(self);
        super::consent::check(self);
        super::sending::check(self);
        super::rules::check(self);
        super::work::check(self);
        super::time::check(self);
        super::validity::check(self);
        super::order::check(self);
        super::split::check(self);
        super::budget::check(self);
        super::supply::check(self, templates);
    }

    fn info(self, sound: bool) -> JourneyInfo {
        let signature = &self.schema.journeys[&self.name];
        JourneyInfo {
            name: self.name.clone(),
            file: signature.file,
            span: self.journey.span,
            sound,
            purpose: self.purpose.unwrap_or_else(|| "transactional".into()),
            because: self.because,
            slots: self.names.for_engine(),
            arguments: signature.arguments.clone().unwrap_or_default(),
            names: self.names.explicit,
            slot_at: self.names.slot_at,
            signals: self.signals,
            purposes: self.purposes,
            channels: self.channels,
            budget: self.budget.map(|(budget, _)| budget),
            reasons: signature.reasons.clone(),
        }
    }

    /// The facts at a node; nothing is said about what is missing where no way leads.
    pub(super) fn facts_at(&self, at: At) -> Facts {
        self.facts.get(at).cloned().flatten().unwrap_or_else(Facts::unsure)
    }

    pub(super) fn carry(&self) -> Carry<'_, 'a> {
        Carry { schema: self.schema, names: &self.names, graph: &self.graph }
    }

    /// Reads expressions where these facts hold.
    pub(super) fn reader(&mut self, facts: Facts) -> Reader<'_, 'a> {
        Reader {
            schema: self.schema,
            out: self.out,
            exprs: self.exprs,
            names: &mut self.names,
            around: Around::Journey,
            facts,
            rows: Vec::new(),
            live: false,
        }
    }

    /// A condition with what is known, and whether it can be both true and false.
    pub(super) fn condition(&mut self, expr: &'a ast::Expr, facts: Facts, live: bool) {
        let mut facts = facts;
        if live {
            facts.time_passes(|place| self.carry().is_live(place));
        }
        let mut reader = self.reader(facts);
        reader.live = live;
        if reader.value(expr, &Type::YesNo).is_some() {
            let facts = reader.facts.clone();
            super::constant::condition(self.schema, &self.names, &facts, expr, self.out);
        }
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, span: Span) -> u32 {
        self.schema.input.sources.line_col(span.file, span.start).0
    }

    /// Whether a word stands in a part of the journey that could not be read.
    pub(super) fn may_be_hidden(&self, word: &str) -> bool {
        let sources = &self.schema.input.sources;
        self.names.damaged.iter().any(|span| super::schema::has_word(sources.slice(*span), word))
    }

    // ---------------------------------------------------------------- events

    /// The events of a match, `same`, and `where` with the event at hand.
    pub(super) fn event_match(&mut self, event: &'a ast::EventMatch, facts: Facts, needs_step: bool) {
        let mut seen: Vec<(String, Span)> = Vec::new();
        for path in &event.events {
            let text = path.joined();
            match seen.iter().find(|(other, _)| *other == text) {
                Some((_, first)) => {
                    let name = ast::Name { text: text.clone(), span: path.span };
                    self.out.push(super::findings::twice("the event", &name, *first));
                }
                None => seen.push((text, path.span)),
            }
            if let Some(signal) = self.signal(path, &facts, needs_step) {
                self.signals.insert(path.span, signal);
            }
        }
        let fields = super::names::event_fields(self.schema, event);
        for field in &event.same {
            self.same(field, fields.as_deref(), event);
        }
        let Some(filter) = &event.filter else { return };
        let mut facts = facts;
        if let Some(slot) = self.names.slot_at.get(&event.span).copied() {
            facts.assign(slot);
            facts.learn(&Fact::True(Place::Field(slot, "happened".into()), true));
        }
        self.condition(filter, facts, false);
    }

    fn signal(&mut self, path: &Path, facts: &Facts, needs_step: bool) -> Option<Signal> {
        match path.parts.as_slice() {
            [event] => {
                if self.schema.has(Noun::Event, &event.text) {
                    return Some(Signal::Event(event.text.as_str().into()));
                }
                if !self.schema.is_hidden(&event.text) {
                    self.unknown_event(event);
                }
                None
            }
            [step, outcome] => {
                let Some(slot) = self.names.find(step, |slot| facts.is_assigned(slot)) else {
                    let reader = self.reader(facts.clone());
                    if !reader.is_hidden(&step.text) {
                        let all: Vec<_> = self.names.explicit.keys().cloned().collect();
                        self.out.push(unknown(Code::E0101, "step", step, all.iter().map(|name| &**name)));
                    }
                    return None;
                };
                self.outcome_signal(slot, path, outcome, facts, needs_step)
            }
            _ => {
                self.out.push(finding(
                    Code::E0101,
                    path.span,
                    "an event, or the outcome of a step, is wanted here",
                ));
                None
            }
        }
    }

    fn unknown_event(&mut self, event: &ast::Name) {
        let is_step = self.names.explicit.contains_key(event.text.as_str());
        if is_step {
            let message = format!("`{}` is a step; an event or an outcome of it is wanted here", event.text);
            self.out.push(
                finding(Code::E0101, event.span, message)
                    .label("not an event")
                    .help(format!("write `{}.clicked`, say", event.text)),
            );
            return;
        }
        let all: Vec<&str> = self.schema.names(Noun::Event).collect();
        let mut made = unknown(Code::E0101, "event", event, all);
        if event.text == "timeout" {
            made = made.help(
                "`on timeout` stands in the braces of a wait: `wait up to 3 days { when EVENT { … } on timeout { … } }`",
            );
        } else if let Some(outcome) = AWAITED.iter().find(|outcome| is_form_of(&event.text, outcome)) {
            made = made.help(format!("a result stands after the name of its step: `STEP.{outcome}`"));
        } else if AWAITED.contains(&event.text.as_str()) {
            made = made.help(format!("a result stands after the name of its step: `STEP.{}`", event.text));
        }
        self.out.push(made);
    }

    fn outcome_signal(
        &mut self,
        slot: SlotIx,
        path: &Path,
        outcome: &ast::Name,
        facts: &Facts,
        needs_step: bool,
    ) -> Option<Signal> {
        let info = self.names.slot(slot);
        let (name, span) = (info.name.clone(), info.span);
        if matches!(info.form, Form::Let) && self.may_be_hidden(&name) {
            return None;
        }
        if matches!(info.form, Form::Ask) {
            let message = format!("`{name}` waits for its answers by itself");
            self.out.push(
                finding(Code::E0101, path.span, message)
                    .label("nothing to wait for")
                    .related(span, "asked here")
                    .help(format!("write `if {name}.answered {{ … }}` behind it")),
            );
            return None;
        }
        if !matches!(info.form, Form::Message { .. }) {
            let message = format!("one can wait for what becomes of a message; `{name}` is none");
            self.out.push(
                finding(Code::E0101, path.span, message).label("not a message").related(span, "made here"),
            );
            return None;
        }
        if !AWAITED.contains(&outcome.text.as_str()) {
            let made = unknown(Code::E0101, "outcome", outcome, AWAITED);
            self.out.push(made);
            return None;
        }
        if needs_step && !facts.is_assigned(slot) {
            let message = format!("`{name}` may not have been sent on every path that leads here");
            self.out.push(
                finding(Code::E0106, path.span, message).label("waited for here").related(span, "sent here"),
            );
            return None;
        }
        if !self.reader(facts.clone()).has_ability(slot, outcome) {
            return None;
        }
        let word = Word::from(outcome.text.as_str());
        self.names.use_field(slot, &word);
        Some(Signal::Outcome { slot, outcome: word })
    }

    /// `same FIELD`: the event and the entering event both have it, and it can be compared.
    fn same(&mut self, field: &ast::Name, fields: Option<&[FieldType]>, event: &ast::EventMatch) {
        let entry = self.names.slot(0);
        let (Some(entry_fields), Some(fields)) = (entry.fields.clone(), fields) else { return };
        let named = event.events.iter().map(Path::joined).collect::<Vec<_>>().join(", ");
        let (here, there) = (types::field(fields, &field.text), types::field(&entry_fields, &field.text));
        let missing = match (here, there) {
            (None, _) => Some((named, fields)),
            (_, None) => Some((format!("what enters (`{}`)", entry.name), entry_fields.as_slice())),
            (Some(a), Some(b)) if !types::comparable(a, b) => {
                let message = format!(
                    "`{}` is {} here and {} where one enters",
                    field.text,
                    types::noun(a),
                    types::noun(b)
                );
                self.out.push(finding(Code::E0103, field.span, message).label("never the same"));
                return;
            }
            _ => None,
        };
        if let Some((what, fields)) = missing {
            let what = if what.starts_with("what ") { what } else { format!("`{what}`") };
            let all: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
            let near = crate::diagnostic::suggest::did_you_mean(&field.text, all.iter().copied());
            let made = finding(Code::E0110, field.span, format!("{what} has no field `{}`", field.text))
                .label("no such field");
            self.out.push(super::findings::with_near_miss(made, near, &all, field.span));
            return;
        }
        self.names.use_field(0, &field.text.as_str().into());
    }

    // ---------------------------------------------------------------- what nothing uses

    fn unused(&mut self) {
        let mut made = Vec::new();
        for item in &self.journey.items {
            let event = match &item.kind {
                JourneyItemKind::ExitRule { trigger: ast::ExitTrigger::On(event), .. } => event,
                JourneyItemKind::Goal(goal) => &goal.event,
                _ => continue,
            };
            if let (Some(name), Some(slot)) = (&event.name, self.names.slot_at.get(&event.span))
                && !self.names.slot(*slot).mentioned
                && !event.filter.as_ref().is_some_and(super::visit::is_damaged)
            {
                made.push(super::history::unused_name(name));
            }
        }
        let damaged = !self.names.damaged.is_empty();
        super::visit::each_stmt_of(self.journey, &mut |stmt, _| {
            let ast::StmtKind::Let { name, .. } = &stmt.kind else { return };
            let slot = self.names.slot_at.get(&stmt.span);
            if slot.is_some_and(|slot| !self.names.slot(*slot).mentioned) && !damaged {
                made.push(
                    finding(Code::W0109, name.span, format!("`{}` is never used", name.text))
                        .label("unused")
                        .help("leave the line out")
                        .suggest("leave the line out", stmt.span, ""),
                );
            }
        });
        made.into_iter().for_each(|finding| self.out.push(finding));
    }

    /// Statement nodes that can be reached, in order of the text.
    pub(super) fn reached_stmts(&self) -> Vec<(At, &'a ast::Stmt)> {
        let stmts = self.graph.nodes.iter().enumerate().filter_map(|(at, node)| match node.what {
            What::Stmt(stmt) if self.graph.is_reached(at) => Some((at, stmt)),
            _ => None,
        });
        let mut stmts: Vec<_> = stmts.collect();
        stmts.sort_by_key(|(_, stmt)| stmt.span.start);
        stmts
    }
}

/// `click`, `opens` or `replying` for `clicked`, `opened` and `replied`.
fn is_form_of(word: &str, outcome: &str) -> bool {
    let stem = |text: &str| {
        let text = ["ied", "ying", "ies", "ed", "ing", "s", "y"]
            .iter()
            .find_map(|end| text.strip_suffix(end))
            .unwrap_or(text);
        text.to_owned()
    };
    word != outcome && outcome.ends_with("ed") && stem(word) == stem(outcome)
}
