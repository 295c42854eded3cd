//! The checker: names, types, narrowing, definite assignment, flow, consent, templates.
//!
//! Every expression of the tree is elaborated here, once, into an engine expression with its names resolved to slots, and
//! kept under its span. Lowering walks the tree and fetches them; it resolves nothing by itself. A journey with an error
//! is not [`JourneyInfo::sound`] and is not lowered.
//!
//! In the order in which they run:
//! - `declarations`, `fields`, `properties` with `endpoints` and `audiences`, `policy` fill the `schema`; `circles` and `constant` look at what it says
//! - `imports` looks at what files take from each other
//! - `collect` gives each name of a journey its slot (`names`), `graph` draws the ways through it
//! - `entry` reads its head, `facts` carries what is known (`narrow`, `conditions`) along the ways
//! - `steps`, `leaving`, `asking`, `choosing` read each statement, with `expr`, `literals`, `operators`, `paths`, `history`, `moments` for what it says
//! - `flow` with `durations`, `consent`, `sending`, `rules`, `work`, `time`, `validity`, `order`, `split`, `budget` judge the whole; `ways` finds the way that is told
//! - `templates` are scanned once and found by their `naming`, `supply` with `variables` compares them with each send, `scripts` what tasks read with each call; `scenarios` reads tests; `allow` silences

mod allow;
mod asking;
mod audiences;
mod budget;
mod choosing;
mod circles;
mod collect;
mod conditions;
mod consent;
mod constant;
mod cron;
mod declarations;
mod durations;
mod endpoints;
mod entry;
mod expr;
mod facts;
mod fields;
mod findings;
mod flow;
mod graph;
mod history;
mod imports;
mod journey;
mod leaving;
mod literals;
mod moments;
mod names;
mod naming;
mod narrow;
mod operators;
mod order;
mod paths;
mod policy;
mod properties;
mod reasons;
mod rules;
mod scenarios;
mod schema;
mod scripts;
mod sending;
mod split;
mod steps;
mod supply;
mod templates;
mod time;
mod validity;
mod variables;
mod visit;
mod watch;
mod ways;
mod work;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Input, ast};
use crate::diagnostic::{Code, Diagnostic, FileId, Severity, Span};
use crate::engine::program::{Budget, Catalog, Expr, Signal, Slot, SlotIx, Word};
use crate::value::{FieldType, Type};

use declarations::Declarations;
use findings::Findings;
use schema::Schema;
use templates::Templates;

pub use allow::suppress;
pub use choosing::PREFERRED;
pub use findings::{bound, quiet_notes, quiet_tests, tell_names_once};
pub use supply::supplied_to;
pub(in crate::lang) use visit::blocks;
pub use watch::{Surroundings, watch_of};

/// What the checker knows of a project.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The schema and the policies, for the engine.
    pub catalog: Catalog,
    /// Each expression that stands in a statement or a rule, under the span of the expression (`expr.span`), of the path
    /// (`path.span`: anchors of moments, attributes in place of a clock time, `path` of `set`), or of the clause.
    /// Parts of an expression have no entry of their own.
    pub exprs: HashMap<Span, Typed>,
    /// The journeys by name. Of two with one name the first.
    pub journeys: BTreeMap<Word, JourneyInfo>,
}

/// An expression with its type. Numbers have been turned into decimals where the place wants one.
#[derive(Clone, Debug, PartialEq)]
pub struct Typed {
    pub ty: Type,
    pub expr: Expr,
}

/// What the checker knows of one journey.
#[derive(Clone, Debug)]
pub struct JourneyInfo {
    pub name: Word,
    pub file: FileId,
    /// The span of the [`crate::lang::ast::Journey`].
    pub span: Span,
    /// No error was found in it, and none in what it uses: it can be lowered.
    pub sound: bool,
    /// As written; `transactional` where the journey states none (it then sends nothing).
    pub purpose: Word,
    /// The reason of a transactional journey.
    pub because: Option<Arc<str>>,
    /// Slot 0 is the entry; then one for each place that may hold a result or an event, in order of appearance.
    pub slots: Vec<Slot>,
    /// The declared arguments of `enter by start`; empty without one.
    pub arguments: Vec<FieldType>,
    /// Named steps and `let` names.
    pub names: BTreeMap<Word, SlotIx>,
    /// The slot that a place fills: under `stmt.span` for statements (results of send, ask, call, assign, request, run journey,
    /// waits of every form, `let`, `repeat`), under `event.span` for the event of an exit rule, goal, handler or wait arm
    /// (and of `wait … for`, where it is the slot of the wait), under `arm.span` for a race arm with a condition and a name.
    /// Under `survey.span` of an ask stands the slot of its message. Places that nothing can refer to have none.
    pub slot_at: HashMap<Span, SlotIx>,
    /// The events and outcomes of each [`crate::lang::ast::EventMatch`], under the spans of its paths.
    pub signals: HashMap<Span, Signal>,
    /// The purpose of each send, ask, call and assign, under `stmt.span`: `for …`, the template's, or the journey's.
    pub purposes: HashMap<Span, Word>,
    /// Channels on which it sends, calls or asks, in order of appearance.
    pub channels: Vec<Word>,
    /// What it may spend.
    pub budget: Option<Budget>,
    /// All reasons with which an enrollment can end: written ones first, then `expired`, `consent_withdrawn`, …
    pub reasons: Vec<Word>,
}

/// Checks all files. `parsed` are the findings of the parser: what they touch is not sound. The findings are those of the
/// checker alone, in no particular order.
pub fn check(
    files: &[(FileId, ast::File)],
    parsed: &[Diagnostic],
    input: &Input,
) -> (Checked, Vec<Diagnostic>) {
    let mut out = Findings::default();
    let mut exprs = HashMap::new();
    let mut schema = Schema::new(input);
    let errors = parsed.iter().filter(|finding| finding.severity() == Severity::Error);
    schema.parsed = errors.map(|finding| (finding.code, finding.primary.span)).collect();
    let unread = unread_places(files, parsed);
    for (finding, _) in errors_of(parsed).zip(&unread).filter(|(_, place)| place.is_none()) {
        schema.damaged.push(rest_of_item(files, finding.primary.span, input));
    }
    // an unclosed block that nothing follows has no second place
    let ends_open = |finding: &Diagnostic| finding.code == Code::E0002 && finding.related.is_empty();
    schema.cut_off =
        unread_places(files, &parsed.iter().filter(|f| ends_open(f)).cloned().collect::<Vec<_>>())
            .contains(&None);
    let schema = Declarations { schema, out: &mut out, exprs: &mut exprs }.read(files);
    let broken = out.errors() > 0 || unread.iter().any(|place| place.is_none());
    let mut templates = Templates::scan(&schema);
    let mut journeys = BTreeMap::new();
    let (mut sent, mut budgets) = (Vec::new(), BTreeMap::new());
    for (name, signature) in &schema.journeys {
        let mut info = journey::check(&schema, signature.journey, &templates, &mut exprs, &mut out);
        sent.extend(supply::sent(signature.journey));
        info.sound &= !broken && !unread.contains(&Some(signature.journey.span));
        budgets.extend(info.budget.clone().map(|budget| (name.clone(), budget)));
        journeys.insert(name.clone(), info);
    }
    circles::journeys(&schema, &mut out);
    imports::check(files, &input.sources, &mut out);
    consent::uncovered(&schema, &journeys, &mut out);
    supply::declared(&schema, &templates, &sent, &mut out);
    scripts::check(&schema, files, &mut out);
    scenarios::check(&schema, &templates, &journeys, files, &mut exprs, &mut out);
    templates.compare_languages(&sent);
    templates.findings.into_iter().for_each(|finding| out.push(finding));
    let catalog = Catalog { budgets, ..schema.catalog };
    (Checked { catalog, exprs, journeys }, out.list)
}

fn errors_of(parsed: &[Diagnostic]) -> impl Iterator<Item = &Diagnostic> {
    parsed.iter().filter(|finding| finding.severity() == Severity::Error)
}

/// From the line of a mistake to where the next item begins: what is declared there may not have been read.
fn rest_of_item(files: &[(FileId, ast::File)], mistake: Span, input: &Input) -> Span {
    let items = files.iter().filter(|(file, _)| *file == mistake.file).flat_map(|(_, tree)| &tree.items);
    let next = items.map(|item| item.span.start).filter(|start| *start > mistake.start).min();
    let end = next.unwrap_or(input.sources.text(mistake.file).len() as u32);
    let text = input.sources.text(mistake.file);
    let line = text[..mistake.start as usize].rfind('\n').map_or(0, |at| at + 1);
    Span::new(mistake.file, line as u32, end)
}

/// The journeys and tests in which the parser found errors; `None` for an error in a declaration, which touches all.
fn unread_places(files: &[(FileId, ast::File)], parsed: &[Diagnostic]) -> Vec<Option<Span>> {
    let spans = files.iter().flat_map(|(_, tree)| &tree.items).filter_map(|item| match &item.kind {
        ast::ItemKind::Journey(journey) => Some(journey.span),
        ast::ItemKind::Test(test) => Some(test.span.to(item.span)),
        _ => None,
    });
    let spans: Vec<Span> = spans.collect();
    errors_of(parsed)
        .map(|finding| spans.iter().copied().find(|span| span.contains(finding.primary.span)))
        .collect()
}
