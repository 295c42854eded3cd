//! Ways through a journey that somebody can really go, and how they are told.
//!
//! A way carries what is known along it, so that `if click.missed` does not follow upon a click. The search is breadth first:
//! the way that is told is a shortest one.

use std::collections::HashSet;

use super::graph::{At, Turn, What};
use super::journey::Journey;
use super::narrow::Facts;
use crate::lang::ast::{self, Stmt, StmtKind};
use crate::lang::types::calendar;

/// More states than this are not looked at.
const LIMIT: usize = 20_000;

/// A node with what is known there, and the state and turn by which one came.
type State<'a> = (At, Facts, Option<(usize, Turn<'a>)>);

/// A way: nodes, each with the turn taken there, and where it ends.
pub(super) struct Way<'a> {
    pub(super) steps: Vec<(At, Turn<'a>)>,
    pub(super) end: At,
}

impl<'a> Journey<'_, 'a> {
    /// A shortest way from a beginning to a place that is looked for. Ways through text that could not be read do not count.
    pub(super) fn way(&self, from: At, arrives: impl Fn(At, &Facts) -> bool) -> Option<Way<'a>> {
        let carry = self.carry();
        let mut states: Vec<State<'a>> = vec![(from, self.start.clone(), None)];
        let mut seen: HashSet<(At, Facts)> = HashSet::new();
        let mut next = 0;
        while next < states.len() && states.len() < LIMIT {
            let (at, facts, _) = states[next].clone();
            if arrives(at, &facts) {
                return Some(back(&states, next));
            }
            if !matches!(self.graph.nodes[at].what, What::Unread) {
                for (to, turn) in &self.graph.nodes[at].out {
                    let (after, possible) = carry.along(at, *turn, &facts);
                    if possible && !after.unsure && seen.insert((*to, after.clone())) {
                        states.push((*to, after, Some((next, *turn))));
                    }
                }
            }
            next += 1;
        }
        None
    }

    /// The way in words: `enter → confirm (l. 10) → click happened → hello_offer`.
    pub(super) fn told(&self, way: &Way<'a>) -> String {
        let mut words: Vec<String> = Vec::new();
        for (n, (at, turn)) in way.steps.iter().enumerate() {
            // Chance explains a loose end, not what was sent on the way.
            let chance =
                matches!(turn, Turn::Variant(_)) && matches!(self.graph.nodes[way.end].what, What::Stmt(_));
            if !chance {
                words.extend(self.stop(*at, *turn, &way.steps[n + 1..]));
            }
        }
        words.push(self.end_of(way.end));
        if words.len() > 14 {
            let left_out = words.len() - 12;
            words.splice(6..6 + left_out, [format!("… ({left_out} more)")]);
        }
        words.join(" → ")
    }

    fn end_of(&self, at: At) -> String {
        match self.graph.nodes[at].what {
            What::Stmt(stmt) => self.label(stmt),
            _ => "the end".to_owned(),
        }
    }

    fn stop(&self, at: At, turn: Turn<'a>, rest: &[(At, Turn<'a>)]) -> Option<String> {
        match (self.graph.nodes[at].what, turn) {
            (What::Start, _) => Some("enter".to_owned()),
            (What::Handler(event), _) => Some(format!("on {}", events(event))),
            (What::Test(condition), Turn::Yes(_) | Turn::No(_)) => {
                self.test(condition, matches!(turn, Turn::Yes(_)))
            }
            (What::RoundEnd, Turn::Again) => Some("[another round]".to_owned()),
            (What::Stmt(stmt), _) => self.statement(stmt, turn, rest),
            _ => None,
        }
    }

    /// A condition, unless it only asks for an outcome that the way tells already.
    fn test(&self, condition: &ast::Expr, holds: bool) -> Option<String> {
        if self.asks_outcome(condition) {
            return None;
        }
        let text: String = self.text(condition.span).chars().take(40).collect();
        Some(if holds { format!("[{text}]") } else { format!("[not: {text}]") })
    }

    fn asks_outcome(&self, condition: &ast::Expr) -> bool {
        match &condition.kind {
            ast::ExprKind::Not(inner) => self.asks_outcome(inner),
            ast::ExprKind::Path(path) => match path.parts.as_slice() {
                [step, outcome] => {
                    matches!(outcome.text.as_str(), "happened" | "missed")
                        && self.names.find(step, |_| true).is_some()
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn statement(&self, stmt: &'a Stmt, turn: Turn<'a>, rest: &[(At, Turn<'a>)]) -> Option<String> {
        let line = self.line(stmt.span);
        match (&stmt.kind, turn) {
            (StmtKind::Wait(wait), _) => Some(self.waited(stmt, wait, turn, rest)),
            (StmtKind::Request(_), Turn::Failed) => Some(format!("[{} fails]", self.label(stmt))),
            (StmtKind::Take { pool, .. }, Turn::Failed) => Some(format!("[{} is empty]", pool.text)),
            (
                StmtKind::Send(_)
                | StmtKind::Ask(_)
                | StmtKind::Call(_)
                | StmtKind::Assign(_)
                | StmtKind::Request(_),
                _,
            )
            | (StmtKind::RunJourney { .. } | StmtKind::Take { .. }, _) => {
                Some(format!("{} (l. {line})", self.label(stmt)))
            }
            (StmtKind::Switch(_), Turn::Case(_, case)) => {
                let values: Vec<&str> = case.values.iter().map(|value| self.text(value.span)).collect();
                Some(format!("[case {}]", values.join(", ")))
            }
            (StmtKind::Switch(_), Turn::Otherwise(_)) => Some("[else]".to_owned()),
            (StmtKind::Split { .. }, Turn::Variant(variant)) => {
                Some(format!("[variant {}]", variant.name.text))
            }
            (StmtKind::GoTo(stage), _) => Some(format!("go to {}", stage.text)),
            _ => None,
        }
    }

    fn waited(&self, stmt: &Stmt, wait: &ast::Wait, turn: Turn<'a>, rest: &[(At, Turn<'a>)]) -> String {
        let line = self.line(stmt.span);
        let named = |name: &str| format!("{name} (l. {line})");
        let asked = |name: &str| self.is_asked_later(name, rest);
        match (wait, turn) {
            (ast::Wait::For { name: Some(name), .. } | ast::Wait::Until { name: Some(name), .. }, _) => {
                named(&name.text)
            }
            (ast::Wait::For { duration, .. }, _) => format!("[{}]", calendar(duration)),
            (ast::Wait::Until { moment, .. }, _) => format!("[until {}]", self.text(moment.span)),
            (ast::Wait::Event { event, patience, .. }, _) => {
                let name = event.name.as_ref().map_or_else(|| events(event), |name| name.text.clone());
                match turn {
                    _ if !asked(&name) => named(&name),
                    Turn::Missed => missed(&name, patience),
                    _ => format!("{name} happened"),
                }
            }
            (ast::Wait::Condition { condition, name, patience }, _) => {
                let what = name
                    .as_ref()
                    .map_or_else(|| self.text(condition.span).to_owned(), |name| name.text.clone());
                match turn {
                    _ if !asked(&what) => named(&what),
                    Turn::Missed => missed(&what, patience),
                    _ => format!("{what} happened"),
                }
            }
            (ast::Wait::Race { patience, .. }, Turn::Missed) => missed("answer", patience),
            (ast::Wait::Race { .. }, Turn::Arm(arm)) => match &arm.when {
                ast::ArmWhen::Event(event) => {
                    let name = event.name.as_ref().map_or_else(|| events(event), |name| name.text.clone());
                    format!("{name} happened")
                }
                ast::ArmWhen::Condition { expr, .. } => format!("[{}]", self.text(expr.span)),
            },
            (ast::Wait::Race { .. }, _) => named("wait"),
        }
    }

    /// Whether a condition further on the way asks for the outcome of a wait.
    fn is_asked_later(&self, name: &str, rest: &[(At, Turn<'a>)]) -> bool {
        rest.iter().any(|(at, _)| match self.graph.nodes[*at].what {
            What::Test(condition) => {
                let mut asked = false;
                super::visit::each_expr(condition, &mut |expr| {
                    if let ast::ExprKind::Path(path) = &expr.kind {
                        asked |= path.parts[0].text == name && path.parts.len() > 1;
                    }
                });
                asked
            }
            _ => false,
        })
    }

    /// What a statement is called in a way.
    pub(super) fn label(&self, stmt: &Stmt) -> String {
        let named =
            |name: &Option<ast::Name>, what: String| name.as_ref().map_or(what, |name| name.text.clone());
        match &stmt.kind {
            StmtKind::Send(send) => named(&send.name, send.template.joined()),
            StmtKind::Ask(ask) => named(&ask.name, ask.survey.joined()),
            StmtKind::Call(work) | StmtKind::Assign(work) => named(&work.name, work.task.joined()),
            StmtKind::Request(request) => named(&request.name, request.endpoint.joined()),
            StmtKind::Take { name, pool, .. } => named(name, format!("take from {}", pool.text)),
            StmtKind::RunJourney { name, journey, .. } => named(name, journey.text.clone()),
            _ => self.text(stmt.span).to_owned(),
        }
    }
}

fn missed(name: &str, patience: &ast::Patience) -> String {
    match patience {
        ast::Patience::UpTo(limit) => format!("[no {name}, {}]", calendar(limit)),
        ast::Patience::Forever(_) => format!("[no {name}]"),
    }
}

fn events(event: &ast::EventMatch) -> String {
    event.events.iter().map(ast::Path::joined).collect::<Vec<_>>().join(" or ")
}

fn back<'a>(states: &[State<'a>], last: usize) -> Way<'a> {
    let mut steps = Vec::new();
    let mut state = last;
    while let Some((before, turn)) = states[state].2 {
        steps.push((states[before].0, turn));
        state = before;
    }
    steps.reverse();
    Way { steps, end: states[last].0 }
}
