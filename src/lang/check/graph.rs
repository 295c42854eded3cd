//! The ways through a journey: a node for each statement and test, an edge for each way on.

use std::collections::BTreeMap;

use crate::diagnostic::Span;
use crate::engine::program::Word;
use crate::lang::ast::{self, JourneyItemKind, Stmt, StmtKind};

/// Index into [`Graph::nodes`].
pub(super) type At = usize;

/// What happens at a node.
#[derive(Clone, Copy)]
pub(super) enum What<'a> {
    /// Where the main line begins.
    Start,
    /// Where a handler begins.
    Handler(&'a ast::EventMatch),
    Stage,
    Stmt(&'a Stmt),
    /// A condition of `if`, `else if` or `until`.
    Test(&'a ast::Expr),
    /// The end of a round of `repeat`.
    RoundEnd,
    /// Text that could not be read: nobody knows where it goes on.
    Unread,
    /// The end of the `else` block of a request or take; nobody should come here.
    ElseEnd,
    /// The end of the journey; nobody should come here.
    End,
    /// The end of a handler; nobody should come here.
    HandlerEnd,
}

/// How a way goes on.
#[derive(Clone, Copy)]
pub(super) enum Turn<'a> {
    Next,
    /// The test holds, or does not.
    Yes(&'a ast::Expr),
    No(&'a ast::Expr),
    Case(&'a ast::Switch, &'a ast::Case),
    Otherwise(&'a ast::Switch),
    Variant(&'a ast::Variant),
    /// The wait ends with its event or condition, or with its limit.
    Happened,
    Missed,
    Arm(&'a ast::Arm),
    /// The request is answered, or has failed for good.
    Answered,
    Failed,
    /// `wait until` with a block: in time, or its moment is past already.
    OnTime,
    Past,
    /// Another round of the loop, or no more rounds.
    Again,
    Enough,
    /// `go to`
    Jump,
}

pub(super) struct Node<'a> {
    pub(super) what: What<'a>,
    pub(super) span: Span,
    pub(super) out: Vec<(At, Turn<'a>)>,
}

pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) stages: BTreeMap<Word, At>,
    /// Where handlers begin.
    pub(super) handlers: Vec<At>,
    /// First statements of stretches to which no way leads, stages among them.
    pub(super) unreachable: Vec<Span>,
    reached: Vec<bool>,
}

/// Where the main line begins.
pub(super) const START: At = 0;

impl<'a> Graph<'a> {
    pub(super) fn new(journey: &'a ast::Journey) -> Self {
        let mut build = Build { nodes: Vec::new(), jumps: Vec::new(), unreachable: Vec::new() };
        build.node(What::Start, journey.name.span, Vec::new());
        let (stages, bodies) = build.main_line(journey);
        let mut handlers = Vec::new();
        for item in &journey.items {
            if let JourneyItemKind::Handler { event, body } = &item.kind {
                let first = build.node(What::Handler(event), event.span, Vec::new());
                let ends = build.block(body, vec![(first, Turn::Next)]);
                build.ends(What::HandlerEnd, closing(body.span), ends);
                handlers.push(first);
            }
        }
        let mut astray = false;
        for (from, stage) in std::mem::take(&mut build.jumps) {
            match stages.get(stage) {
                Some(to) => build.nodes[from].out.push((*to, Turn::Jump)),
                None => astray = true,
            }
        }
        let mut graph = Graph {
            nodes: build.nodes,
            stages,
            handlers,
            unreachable: build.unreachable,
            reached: Vec::new(),
        };
        graph.reach();
        // A `go to` that misses its stage is told by itself; which stage it meant nobody knows.
        if !astray {
            graph.lost_stages(&bodies);
        }
        graph
    }

    /// Whether a way leads there from the beginning of the main line or a handler.
    pub(super) fn is_reached(&self, at: At) -> bool {
        self.reached[at]
    }

    /// The nodes from which a way leads directly to each node.
    pub(super) fn before(&self) -> Vec<Vec<At>> {
        let mut before = vec![Vec::new(); self.nodes.len()];
        for (from, node) in self.nodes.iter().enumerate() {
            for (to, _) in &node.out {
                before[*to].push(from);
            }
        }
        before
    }

    /// All beginnings: of the main line and of the handlers.
    pub(super) fn roots(&self) -> impl Iterator<Item = At> {
        std::iter::once(START).chain(self.handlers.iter().copied())
    }

    /// Reachable nodes in an order in which every node comes after those that surely come before it; then the others.
    pub(super) fn order(&self) -> Vec<At> {
        let mut done = vec![false; self.nodes.len()];
        let mut order = Vec::new();
        let roots: Vec<At> = self.roots().collect();
        for root in roots.into_iter().rev() {
            let mut stack = vec![(root, 0)];
            done[root] = true;
            while let Some((at, next)) = stack.pop() {
                match self.nodes[at].out.get(next) {
                    Some((to, _)) => {
                        stack.push((at, next + 1));
                        if !done[*to] {
                            done[*to] = true;
                            stack.push((*to, 0));
                        }
                    }
                    None => order.push(at),
                }
            }
        }
        order.reverse();
        order.extend((0..self.nodes.len()).filter(|at| !done[*at]));
        order
    }

    fn reach(&mut self) {
        let mut reached = vec![false; self.nodes.len()];
        let mut open: Vec<At> = self.roots().collect();
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                open.extend(self.nodes[at].out.iter().map(|(to, _)| *to));
            }
        }
        self.reached = reached;
    }

    /// Stages to which no way leads but from inside themselves.
    fn lost_stages(&mut self, bodies: &BTreeMap<At, (Span, Span)>) {
        let before = self.before();
        for (at, (name, body)) in bodies {
            let from_outside = before[*at].iter().any(|from| !body.contains(self.nodes[*from].span));
            if !self.reached[*at] && !from_outside {
                self.unreachable.push(*name);
            }
        }
        self.unreachable.sort_unstable();
    }
}

/// The place of a closing brace.
pub(super) fn closing(block: Span) -> Span {
    Span::new(block.file, block.end.saturating_sub(1), block.end)
}

/// Ways that wait for the next node.
type Loose<'a> = Vec<(At, Turn<'a>)>;

struct Build<'a> {
    nodes: Vec<Node<'a>>,
    jumps: Vec<(At, &'a str)>,
    unreachable: Vec<Span>,
}

impl<'a> Build<'a> {
    /// Statements and stages in order of the text. Gives the stages, and for each its name and body.
    fn main_line(&mut self, journey: &'a ast::Journey) -> (BTreeMap<Word, At>, BTreeMap<At, (Span, Span)>) {
        let (mut stages, mut bodies) = (BTreeMap::new(), BTreeMap::new());
        let mut loose: Loose<'a> = vec![(START, Turn::Next)];
        let mut told = false;
        for item in &journey.items {
            match &item.kind {
                JourneyItemKind::Stmt(stmt) => {
                    if loose.is_empty() && !std::mem::replace(&mut told, true) {
                        self.unreachable.push(stmt.span);
                    }
                    loose = self.stmt(stmt, loose);
                }
                JourneyItemKind::Stage { name, body } => {
                    let at = self.node(What::Stage, name.span, loose);
                    stages.entry(Word::from(name.text.as_str())).or_insert(at);
                    bodies.insert(at, (name.span, body.span));
                    loose = self.block(body, vec![(at, Turn::Next)]);
                    told = false;
                }
                _ => {}
            }
        }
        self.ends(What::End, closing(journey.span), loose);
        (stages, bodies)
    }

    fn ends(&mut self, what: What<'a>, span: Span, loose: Loose<'a>) {
        if !loose.is_empty() {
            self.node(what, span, loose);
        }
    }

    fn node(&mut self, what: What<'a>, span: Span, loose: Loose<'a>) -> At {
        let at = self.nodes.len();
        self.nodes.push(Node { what, span, out: Vec::new() });
        for (from, turn) in loose {
            self.nodes[from].out.push((at, turn));
        }
        at
    }

    fn block(&mut self, block: &'a ast::Block, loose: Loose<'a>) -> Loose<'a> {
        let mut loose = loose;
        let begins_lost = loose.is_empty();
        let mut told = begins_lost;
        for stmt in &block.stmts {
            if loose.is_empty() && !std::mem::replace(&mut told, true) {
                self.unreachable.push(stmt.span);
            }
            loose = self.stmt(stmt, loose);
        }
        loose
    }

    fn stmt(&mut self, stmt: &'a Stmt, loose: Loose<'a>) -> Loose<'a> {
        match &stmt.kind {
            StmtKind::If(choice) => self.choice(choice, loose),
            StmtKind::Repeat { body, until, .. } => self.repeat(stmt, body, until.as_ref(), loose),
            StmtKind::Error => {
                let at = self.node(What::Unread, stmt.span, loose);
                vec![(at, Turn::Next)]
            }
            _ => {
                let at = self.node(What::Stmt(stmt), stmt.span, loose);
                self.from(at, stmt)
            }
        }
    }

    /// The ways on from a statement of its own node.
    fn from(&mut self, at: At, stmt: &'a Stmt) -> Loose<'a> {
        let next = vec![(at, Turn::Next)];
        match &stmt.kind {
            StmtKind::Wait(wait) => self.wait(at, wait),
            StmtKind::Request(request) => match &request.otherwise {
                Some(block) => self.otherwise(at, block),
                None => vec![(at, Turn::Answered), (at, Turn::Failed)],
            },
            StmtKind::Take { otherwise, .. } => match otherwise {
                Some(block) => self.otherwise(at, block),
                None => vec![(at, Turn::Answered), (at, Turn::Failed)],
            },
            StmtKind::Switch(switch) => {
                let mut loose = Vec::new();
                for case in &switch.cases {
                    loose.extend(self.block(&case.body, vec![(at, Turn::Case(switch, case))]));
                }
                match &switch.otherwise {
                    Some(block) => loose.extend(self.block(block, vec![(at, Turn::Otherwise(switch))])),
                    // Exhaustive, or reported as E0305.
                    None if switch.cases.is_empty() => loose.push((at, Turn::Otherwise(switch))),
                    None => {}
                }
                loose
            }
            StmtKind::Split { variants, .. } => {
                let mut loose = Vec::new();
                for variant in variants {
                    loose.extend(self.block(&variant.body, vec![(at, Turn::Variant(variant))]));
                }
                if variants.is_empty() { next } else { loose }
            }
            StmtKind::GoTo(stage) => {
                self.jumps.push((at, &stage.text));
                Vec::new()
            }
            StmtKind::Exit { .. } | StmtKind::Resume => Vec::new(),
            _ => next,
        }
    }

    fn otherwise(&mut self, at: At, block: &'a ast::Block) -> Loose<'a> {
        let ends = self.block(block, vec![(at, Turn::Failed)]);
        let mut loose = vec![(at, Turn::Answered)];
        if !ends.is_empty() {
            let end = self.node(What::ElseEnd, closing(block.span), ends);
            loose.push((end, Turn::Next));
        }
        loose
    }

    fn choice(&mut self, choice: &'a ast::If, loose: Loose<'a>) -> Loose<'a> {
        let (mut coming, mut ends) = (loose, Vec::new());
        for (condition, block) in &choice.branches {
            let at = self.node(What::Test(condition), condition.span, coming);
            ends.extend(self.block(block, vec![(at, Turn::Yes(condition))]));
            coming = vec![(at, Turn::No(condition))];
        }
        match &choice.otherwise {
            Some(block) => ends.extend(self.block(block, coming)),
            None => ends.extend(coming),
        }
        ends
    }

    /// The body runs at least once; `until` is asked after each round.
    fn repeat(
        &mut self,
        stmt: &'a Stmt,
        body: &'a ast::Block,
        until: Option<&'a ast::Expr>,
        loose: Loose<'a>,
    ) -> Loose<'a> {
        let head = self.node(What::Stmt(stmt), stmt.span, loose);
        let mut round = self.block(body, vec![(head, Turn::Next)]);
        if round.is_empty() {
            return Vec::new();
        }
        let mut ends = Vec::new();
        if let Some(until) = until {
            let test = self.node(What::Test(until), until.span, round);
            ends.push((test, Turn::Yes(until)));
            round = vec![(test, Turn::No(until))];
        }
        let end = self.node(What::RoundEnd, closing(body.span), round);
        self.nodes[end].out.push((head, Turn::Again));
        ends.push((end, Turn::Enough));
        ends
    }

    fn wait(&mut self, at: At, wait: &'a ast::Wait) -> Loose<'a> {
        match wait {
            ast::Wait::For { .. } | ast::Wait::Until { body: None, .. } => vec![(at, Turn::Next)],
            ast::Wait::Until { body: Some(body), .. } => {
                let mut loose = self.block(body, vec![(at, Turn::OnTime)]);
                loose.push((at, Turn::Past));
                loose
            }
            ast::Wait::Event { patience, .. } | ast::Wait::Condition { patience, .. } => match patience {
                ast::Patience::UpTo(_) => vec![(at, Turn::Happened), (at, Turn::Missed)],
                ast::Patience::Forever(_) => vec![(at, Turn::Happened)],
            },
            ast::Wait::Race { patience, arms, timeout, .. } => {
                let mut loose = Vec::new();
                for arm in arms {
                    loose.extend(self.block(&arm.body, vec![(at, Turn::Arm(arm))]));
                }
                match (timeout, patience) {
                    (Some(block), _) => loose.extend(self.block(block, vec![(at, Turn::Missed)])),
                    (None, ast::Patience::UpTo(_)) => loose.push((at, Turn::Missed)),
                    (None, ast::Patience::Forever(_)) => {}
                }
                loose
            }
        }
    }
}

/// Whether somebody rests at this statement for a time that the journey says, or until something happens.
pub(super) fn is_wait(stmt: &Stmt) -> bool {
    matches!(
        stmt.kind,
        StmtKind::Wait(_)
            | StmtKind::Ask(_)
            | StmtKind::Call(_)
            | StmtKind::Assign(_)
            | StmtKind::RunJourney { .. }
    )
}
