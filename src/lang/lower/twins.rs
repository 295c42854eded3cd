//! Steps that a later plan could not tell apart: W0903. Of two equal ones in a row that have no name, nobody can say after an
//! edit which of them is gone.

use std::collections::BTreeMap;

use super::Lowered;
use crate::diagnostic::{Code, Diagnostic, Sources, Span};
use crate::engine::program::{Step, StepKind};
use crate::lang::ast::{Block, Journey, JourneyItemKind, Stmt, StmtKind, Wait};
use crate::lang::check::{JourneyInfo, blocks};

/// Every pair of such steps, told at the later one.
pub fn twins(journey: &Journey, info: &JourneyInfo, lowered: &Lowered, sources: &Sources) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for list in lists(journey) {
        let mut first: BTreeMap<&str, &Stmt> = BTreeMap::new();
        for stmt in list {
            let Some(id) = unnamed_rest(lowered, stmt.span) else { continue };
            let Some(twin) = first.insert(id, stmt) else { continue };
            let name = (2..)
                .map(|n| format!("wait_{n}"))
                .find(|name| !info.names.contains_key(name.as_str()) && !names.contains(name))
                .unwrap_or_default();
            let place = sources.first_line(stmt.span);
            let message = "two equal steps without a name: a later plan could not tell them apart";
            let made = Diagnostic::new(Code::W0903, place, message)
                .label("which of the two?")
                .related(sources.first_line(twin.span), "the same here")
                .help(format!("give it a name: `as {name}`"));
            found.push(match takes_name_at_end(stmt) {
                true => {
                    made.suggest(format!("add `as {name}`"), stmt.span.shrink_to_end(), format!(" as {name}"))
                }
                false => made,
            });
            names.push(name);
        }
    }
    found
}

/// The identity that a statement without a name would have if it were the only one, where somebody rests at it.
fn unnamed_rest(lowered: &Lowered, place: Span) -> Option<&str> {
    let rests = |step: &Step| {
        matches!(
            step.kind,
            StepKind::WaitFor { .. }
                | StepKind::WaitUntil { .. }
                | StepKind::WaitEvent(_)
                | StepKind::Work(_)
                | StepKind::RunJourney { .. }
        )
    };
    let steps = std::iter::zip(&lowered.places, &lowered.program.steps);
    let id = steps.filter(|(at, step)| **at == place && rests(step)).map(|(_, step)| &*step.id).next()?;
    let own = match id.rsplit_once('#') {
        Some((own, number)) if number.bytes().all(|b| b.is_ascii_digit()) => own,
        _ => id,
    };
    id.contains('/').then_some(own)
}

/// Statements that follow each other: the main line, and each block.
fn lists(journey: &Journey) -> Vec<Vec<&Stmt>> {
    fn inner<'a>(stmts: Vec<&'a Stmt>, all: &mut Vec<Vec<&'a Stmt>>) {
        for stmt in &stmts {
            blocks(stmt).into_iter().for_each(|block| inner(of(block), all));
        }
        all.push(stmts);
    }
    fn of(block: &Block) -> Vec<&Stmt> {
        block.stmts.iter().collect()
    }
    let (mut main, mut all) = (Vec::new(), Vec::new());
    for item in &journey.items {
        match &item.kind {
            JourneyItemKind::Stmt(stmt) => main.push(stmt),
            JourneyItemKind::Stage { body, .. } | JourneyItemKind::Handler { body, .. } => {
                inner(of(body), &mut all);
            }
            _ => {}
        }
    }
    inner(main, &mut all);
    all.sort_by_key(|list| list.first().map(|stmt| stmt.span.start));
    all
}

fn takes_name_at_end(stmt: &Stmt) -> bool {
    match &stmt.kind {
        StmtKind::Wait(wait) => {
            matches!(**wait, Wait::For { .. } | Wait::Until { body: None, .. } | Wait::Condition { .. })
        }
        _ => false,
    }
}
