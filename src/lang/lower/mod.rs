//! Lowering: a checked journey becomes an [`engine::program::Program`](crate::engine::program::Program).
//!
//! The checker has resolved every name and elaborated every expression; this room only turns blocks into steps that know where
//! they go on. Order of steps is order of the text, so step 0 is where an enrollment begins. Identities of steps are made in
//! `names`, so that they survive edits elsewhere; places in the text stay in a table beside the program, so that
//! comments and layout never change its hash.
//!
//! - `flow`: blocks and statements to steps, `asking` the steps of an `ask`; `labels`: where steps go on
//! - `rules`: entries, exits, goals, matches; `moments`: what stands after `until` and `before`
//! - `names`: stable identities; `twins` finds steps that they cannot tell apart for long

mod asking;
mod flow;
mod labels;
mod moments;
mod names;
mod rules;
mod sending;
mod twins;

use std::collections::{BTreeMap, BTreeSet};

use super::ast;
use super::check::{Checked, JourneyInfo, Surroundings, watch_of};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::engine::program::{Doubt, Expr, Program, SlotIx, Watch, Word};
use crate::time::Zone;
use crate::value::Value;
use flow::Flow;

pub use asking::{UNREADABLE, answer_of, whole};
pub use flow::VANISHED;
pub use twins::twins;

/// A program with the places of its steps.
#[derive(Clone, Debug)]
pub struct Lowered {
    pub program: Program,
    /// What the author wrote for each step; as many as there are steps.
    pub places: Vec<Span>,
    /// Identities of the switches whose cases cover everything, so that nothing but a vanished value goes past them.
    pub closed: BTreeSet<Word>,
    /// What becomes of messages that may have left, of the steps that say it.
    pub doubts: BTreeMap<Word, Doubt>,
}

/// Lowers a journey that the checker has found sound. What it finds it cannot express is told by name.
pub fn lower(journey: &ast::Journey, checked: &Checked) -> Result<Lowered, Vec<Diagnostic>> {
    let name: Word = journey.name.text.as_str().into();
    let Some(info) = checked.journeys.get(&name) else { return Err(Vec::new()) };
    let mut source = Source::new(info, checked);
    let mut flow = Flow::new();
    let handlers = flow.journey(journey, &mut source);
    let program = rules::program(journey, &mut source, &flow, handlers);
    let finished = flow.finish(program, journey.name.span, &mut source);
    if source.findings.is_empty() { Ok(finished) } else { Err(source.findings) }
}

/// What the checker knows, as lowering asks for it. What is missing becomes a finding, never a panic and never silence.
struct Source<'a> {
    info: &'a JourneyInfo,
    checked: &'a Checked,
    /// Conditions of segments by name, for watches.
    segments: BTreeMap<Word, Expr>,
    findings: Vec<Diagnostic>,
}

impl<'a> Source<'a> {
    fn new(info: &'a JourneyInfo, checked: &'a Checked) -> Self {
        let condition = |(name, segment): (&Word, &crate::engine::program::Segment)| {
            (name.clone(), segment.condition.clone())
        };
        let segments = checked.catalog.segments.iter().map(condition).collect();
        Source { info, checked, segments, findings: Vec::new() }
    }

    fn refuse(&mut self, span: Span, what: &str) {
        let message = format!("{what} is not available yet");
        self.findings.push(Diagnostic::new(Code::E0009, span, message));
    }

    /// The elaborated expression at that place.
    fn expr(&mut self, span: Span) -> Expr {
        match self.checked.exprs.get(&span) {
            Some(typed) => typed.expr.clone(),
            None => {
                self.refuse(span, "this form");
                Expr::Const(Value::Unknown)
            }
        }
    }

    fn optional(&mut self, expr: Option<&ast::Expr>) -> Option<Expr> {
        expr.map(|expr| self.expr(expr.span))
    }

    /// The pairs of `with { … }`.
    fn with(&mut self, record: Option<&ast::Record>) -> Vec<(Word, Expr)> {
        let pairs = record.map(|record| record.pairs.as_slice()).unwrap_or_default();
        pairs.iter().map(|(name, value)| (word(name), self.expr(value.span))).collect()
    }

    /// The channels by what a message costs; of those that cost the same as written.
    fn cheapest_first(&self, mut channels: Vec<Word>) -> Vec<Word> {
        channels.sort_by_key(|channel| self.checked.catalog.costs.get(channel).copied());
        channels
    }

    fn slot(&self, span: Span) -> Option<SlotIx> {
        self.info.slot_at.get(&span).copied()
    }

    fn watch(&self, condition: &Expr) -> Watch {
        let around = Surroundings {
            segments: &self.segments,
            scores: &self.checked.catalog.scores,
            purposes: &self.checked.catalog.purposes,
            slots: &self.info.slots,
        };
        watch_of(condition, &around)
    }

    fn project_zone(&self) -> Zone {
        Zone::named(&self.checked.catalog.zone).unwrap_or_else(Zone::utc)
    }
}

fn word(name: &ast::Name) -> Word {
    name.text.as_str().into()
}

/// The name of an attribute in `contact.NAME`, of a field in `cart.cart_id`, of an endpoint with its dots.
fn last(path: &ast::Path) -> Word {
    path.parts.last().map(word).unwrap_or_default()
}

fn dotted(path: &ast::Path) -> Word {
    path.joined().into()
}

fn words(names: &[ast::Name]) -> Vec<Word> {
    names.iter().map(word).collect()
}
