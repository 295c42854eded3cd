//! Walks over the tree for checks that look for something anywhere in it.

use crate::lang::ast::{self, Expr, ExprKind};

/// Calls the function for the expression and everything inside, outermost first.
pub(super) fn each_expr<'a>(expr: &'a Expr, see: &mut dyn FnMut(&'a Expr)) {
    see(expr);
    match &expr.kind {
        ExprKind::Not(inner) | ExprKind::Negate(inner) => each_expr(inner, see),
        ExprKind::Binary { left, right, .. } => {
            each_expr(left, see);
            each_expr(right, see);
        }
        ExprKind::List(items) => items.iter().for_each(|item| each_expr(item, see)),
        ExprKind::Record(record) => record.pairs.iter().for_each(|(_, value)| each_expr(value, see)),
        ExprKind::Aggregate(aggregate) => aggregate.filter.iter().for_each(|filter| each_expr(filter, see)),
        ExprKind::Call { args, .. } => args.iter().for_each(|arg| each_expr(arg, see)),
        ExprKind::Text(_)
        | ExprKind::Number(_)
        | ExprKind::Percent(_)
        | ExprKind::Bool(_)
        | ExprKind::Date(_)
        | ExprKind::Time(_)
        | ExprKind::Moment(..)
        | ExprKind::Duration(_)
        | ExprKind::Presence(_)
        | ExprKind::Path(_)
        | ExprKind::Consent(_)
        | ExprKind::DayTest { .. }
        | ExprKind::Error => {}
    }
}

/// Whether a part of the expression could not be read.
pub(super) fn is_damaged(expr: &Expr) -> bool {
    let mut damaged = false;
    each_expr(expr, &mut |expr| damaged |= matches!(expr.kind, ExprKind::Error));
    damaged
}

/// The conditions joined by `and`, outermost first; a condition without `and` is the only one.
pub(super) fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Binary { op: ast::Op::And, left, right, .. } => {
            let mut all = conjuncts(left);
            all.extend(conjuncts(right));
            all
        }
        _ => vec![expr],
    }
}

/// The blocks directly inside a statement.
pub(in crate::lang) fn blocks(stmt: &ast::Stmt) -> Vec<&ast::Block> {
    use ast::StmtKind as S;
    match &stmt.kind {
        S::Request(request) => request.otherwise.iter().collect(),
        S::Take { otherwise, .. } => otherwise.iter().collect(),
        S::Wait(wait) => match &**wait {
            ast::Wait::Until { body, .. } => body.iter().collect(),
            ast::Wait::Race { arms, timeout, .. } => {
                arms.iter().map(|arm| &arm.body).chain(timeout).collect()
            }
            ast::Wait::For { .. } | ast::Wait::Event { .. } | ast::Wait::Condition { .. } => Vec::new(),
        },
        S::If(choice) => choice.branches.iter().map(|(_, block)| block).chain(&choice.otherwise).collect(),
        S::Switch(switch) => switch.cases.iter().map(|case| &case.body).chain(&switch.otherwise).collect(),
        S::Split { variants, .. } => variants.iter().map(|variant| &variant.body).collect(),
        S::Repeat { body, .. } => vec![body],
        S::Send(_)
        | S::Ask(_)
        | S::Call(_)
        | S::Assign(_)
        | S::Record { .. }
        | S::Set { .. }
        | S::Add { .. }
        | S::AddContact { .. }
        | S::Remove { .. }
        | S::RemoveContact { .. }
        | S::Let { .. }
        | S::Grant { .. }
        | S::Withdraw { .. }
        | S::StartJourney { .. }
        | S::RunJourney { .. }
        | S::GoTo(_)
        | S::Resume
        | S::Pause { .. }
        | S::Exit { .. }
        | S::Error => Vec::new(),
    }
}

/// Calls the function for each statement of the block and inside, in order of the text, with its depth from 1.
pub(super) fn each_stmt<'a>(block: &'a ast::Block, depth: usize, see: &mut dyn FnMut(&'a ast::Stmt, usize)) {
    for stmt in &block.stmts {
        see(stmt, depth);
        for inner in blocks(stmt) {
            each_stmt(inner, depth + 1, see);
        }
    }
}

/// The same for a whole journey; statements outside of stages and handlers have depth 1.
pub(super) fn each_stmt_of<'a>(journey: &'a ast::Journey, see: &mut dyn FnMut(&'a ast::Stmt, usize)) {
    for item in &journey.items {
        match &item.kind {
            ast::JourneyItemKind::Stmt(stmt) => {
                see(stmt, 1);
                for inner in blocks(stmt) {
                    each_stmt(inner, 2, see);
                }
            }
            ast::JourneyItemKind::Stage { body, .. } | ast::JourneyItemKind::Handler { body, .. } => {
                each_stmt(body, 1, see)
            }
            _ => {}
        }
    }
}

/// The conditions and values that stand in a statement itself, not in its blocks.
pub(super) fn own_exprs(stmt: &ast::Stmt) -> Vec<&Expr> {
    use ast::StmtKind as S;
    fn with(record: &Option<ast::Record>) -> impl Iterator<Item = &Expr> {
        record.iter().flat_map(|record| record.pairs.iter().map(|(_, value)| value))
    }
    match &stmt.kind {
        S::Send(send) => send.to.iter().chain(with(&send.with)).collect(),
        S::Ask(ask) => with(&ask.with).collect(),
        S::Call(work) | S::Assign(work) => with(&work.with).collect(),
        S::Request(request) => with(&request.with).collect(),
        S::Record { with: record, .. }
        | S::StartJourney { with: record, .. }
        | S::RunJourney { with: record, .. } => with(record).collect(),
        S::Set { value, .. } | S::Add { value, .. } | S::Remove { value, .. } | S::Let { value, .. } => {
            vec![value]
        }
        S::Wait(wait) => match &**wait {
            ast::Wait::Event { event, .. } => event.filter.iter().collect(),
            ast::Wait::Condition { condition, .. } => vec![condition],
            ast::Wait::Race { arms, .. } => arms
                .iter()
                .filter_map(|arm| match &arm.when {
                    ast::ArmWhen::Event(event) => event.filter.as_ref(),
                    ast::ArmWhen::Condition { expr, .. } => Some(expr),
                })
                .collect(),
            ast::Wait::For { .. } | ast::Wait::Until { .. } => Vec::new(),
        },
        S::If(choice) => choice.branches.iter().map(|(condition, _)| condition).collect(),
        S::Switch(switch) => vec![&switch.subject],
        S::Repeat { until, .. } => until.iter().collect(),
        S::Take { .. }
        | S::AddContact { .. }
        | S::RemoveContact { .. }
        | S::Grant { .. }
        | S::Withdraw { .. }
        | S::Split { .. }
        | S::GoTo(_)
        | S::Resume
        | S::Pause { .. }
        | S::Exit { .. }
        | S::Error => Vec::new(),
    }
}
