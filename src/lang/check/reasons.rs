//! The reasons with which an enrollment of a journey can end.

use super::visit::each_stmt_of;
use crate::engine::program::Word;
use crate::lang::ast::{self, EnterHow, JourneyItemKind, Reenter, StmtKind};

/// Written ones in order of appearance, then those that the rules of the journey bring, then those that end anything.
pub(super) fn of(journey: &ast::Journey, marketing: bool) -> Vec<Word> {
    let mut reasons: Vec<Word> = Vec::new();
    let mut add = |word: &str| {
        if !reasons.iter().any(|reason| **reason == *word) {
            reasons.push(word.into());
        }
    };
    for item in &journey.items {
        match &item.kind {
            JourneyItemKind::ExitRule { reason, .. } => add(&reason.text),
            JourneyItemKind::Goal(goal) if goal.then_exit.is_some() => add(&goal.name.text),
            _ => {}
        }
    }
    each_stmt_of(journey, &mut |stmt, _| {
        if let StmtKind::Exit { reason: Some(reason) } = &stmt.kind {
            add(&reason.text);
        }
    });
    for item in &journey.items {
        match &item.kind {
            JourneyItemKind::Lasts(_) => add("expired"),
            JourneyItemKind::Budget(budget) if budget.then == Some(ast::Then::Exit) => add("budget"),
            JourneyItemKind::Reenter(Reenter::Restart) => add("restarted"),
            JourneyItemKind::Enter(enter) if matches!(enter.how, EnterHow::While(_)) => add("left_segment"),
            _ => {}
        }
    }
    if marketing {
        add("consent_withdrawn");
    }
    add("merged");
    add("erased");
    reasons
}
