//! What is known at each node of a journey: facts carried along the ways and met where ways join.

use super::conditions::Conditions;
use super::graph::{At, Graph, START, Turn, What, is_wait};
use super::names::{Form, Names};
use super::narrow::{Fact, Facts, Place};
use super::schema::{Schema, has_word};
use super::visit::is_damaged;
use crate::diagnostic::did_you_mean;
use crate::engine::program::{SlotIx, Word};
use crate::lang::ast::{self, AggregateFn, ExprKind, Op, Stmt, StmtKind};

/// Carries facts over nodes and turns.
#[derive(Clone, Copy)]
pub(super) struct Carry<'c, 'a> {
    pub(super) schema: &'c Schema<'a>,
    pub(super) names: &'c Names<'a>,
    pub(super) graph: &'c Graph<'a>,
}

impl<'a> Carry<'_, 'a> {
    /// The facts before each node; `None` where no way leads.
    pub(super) fn everywhere(&self, start: &Facts) -> Vec<Option<Facts>> {
        let mut at: Vec<Option<Facts>> = vec![None; self.graph.nodes.len()];
        at[START] = Some(start.clone());
        for root in &self.graph.handlers {
            at[*root] = Some(start.clone());
        }
        let order = self.graph.order();
        // INVARIANT: ends, since each round only takes facts away and there are finitely many.
        let mut changed = true;
        while changed {
            changed = false;
            for node in &order {
                let Some(before) = at[*node].clone() else { continue };
                for (to, turn) in &self.graph.nodes[*node].out {
                    let (after, _) = self.along(*node, *turn, &before);
                    changed |= join(&mut at[*to], after);
                }
            }
        }
        at
    }

    /// The facts behind a turn, and whether anybody can take it at all.
    pub(super) fn along(&self, at: At, turn: Turn<'a>, before: &Facts) -> (Facts, bool) {
        let mut facts = before.clone();
        let node = &self.graph.nodes[at];
        match node.what {
            What::Stmt(stmt) => {
                self.stmt(stmt, &mut facts);
                if is_wait(stmt) {
                    facts.time_passes(|place| self.is_live(place));
                }
            }
            What::Handler(event) => {
                if let Some(slot) = self.slot(event.span) {
                    facts.assign(slot);
                }
                if let Some(filter) = &event.filter {
                    self.learn(&mut facts, filter, true);
                }
            }
            What::Unread => facts.unsure |= may_tell(self.schema.input.sources.slice(node.span)),
            What::Start
            | What::Stage
            | What::Test(_)
            | What::RoundEnd
            | What::ElseEnd
            | What::End
            | What::HandlerEnd => {}
        }
        let possible = self.turn(node.what, turn, &mut facts);
        (facts, possible)
    }

    /// What can change while somebody waits.
    pub(super) fn is_live(&self, place: &Place) -> bool {
        match place {
            Place::Attribute(_) | Place::Segment(_) => true,
            Place::Field(slot, _) => matches!(self.names.slot(*slot).form, Form::Message { .. }),
            Place::Value(_) | Place::Row(..) => false,
        }
    }

    /// What is known of a condition where the facts hold.
    fn conditions<'f>(&self, facts: &'f Facts) -> Conditions<'f, 'a>
    where
        Self: 'f,
    {
        Conditions { schema: self.schema, names: self.names, rows: &[], facts, depth: 0 }
    }

    fn learn(&self, facts: &mut Facts, condition: &ast::Expr, holds: bool) -> bool {
        if is_damaged(condition) {
            facts.unsure = true;
            return true;
        }
        if let Some(text) = self.unread_in(condition) {
            self.may_follow(text, facts);
            return true;
        }
        let new = self.conditions(facts).facts_if(condition, holds);
        facts.learn_all(&new)
    }

    /// The text of an unreadable statement whose result a condition asks for.
    fn unread_in(&self, condition: &ast::Expr) -> Option<&'a str> {
        let mut found = None;
        super::visit::each_expr(condition, &mut |expr| {
            let ExprKind::Path(path) = &expr.kind else { return };
            let [step, _, ..] = path.parts.as_slice() else { return };
            if step.text != "contact" {
                let mut unread = self.names.damaged.iter().map(|span| self.schema.input.sources.slice(*span));
                found = found.or(unread.rfind(|text| has_word(text, &step.text)));
            }
        });
        found
    }

    /// What is known once somebody has asked for the result of an unreadable statement. Of a message that is at most
    /// that there is an address; otherwise nobody knows.
    fn may_follow(&self, text: &str, facts: &mut Facts) {
        if meant(text) != Some("send") {
            facts.unsure = true;
            return;
        }
        for channel in self.schema.catalog.channels.values() {
            if let Some(address) = &channel.address {
                facts.learn(&Fact::Known(Place::Attribute(address.clone()), true));
            }
        }
    }

    fn slot(&self, span: crate::diagnostic::Span) -> Option<SlotIx> {
        self.names.slot_at.get(&span).copied()
    }

    fn stmt(&self, stmt: &Stmt, facts: &mut Facts) {
        if let Some(slot) = self.slot(stmt.span) {
            facts.assign(slot);
        }
        match &stmt.kind {
            StmtKind::Let { value, .. } => {
                if let Some(slot) = self.slot(stmt.span)
                    && self.is_there(value, facts)
                {
                    facts.learn(&Fact::Known(Place::Value(slot), true));
                }
            }
            StmtKind::Set { path, value } => self.set(path, value, facts),
            StmtKind::Grant { consent, .. } => {
                for channel in &consent.channels {
                    let purpose = Word::from(consent.purpose.text.as_str());
                    facts.set_consent(&purpose, &channel.text.as_str().into(), true);
                }
            }
            StmtKind::Withdraw { consent } => {
                for channel in &consent.channels {
                    let purpose = Word::from(consent.purpose.text.as_str());
                    facts.set_consent(&purpose, &channel.text.as_str().into(), false);
                }
            }
            _ => {}
        }
    }

    fn set(&self, path: &ast::Path, value: &ast::Expr, facts: &mut Facts) {
        let [contact, name] = path.parts.as_slice() else { return };
        if contact.text != "contact" {
            return;
        }
        let there = self.is_there(value, facts);
        facts.forget_attribute(&name.text);
        let place = Place::Attribute(name.text.as_str().into());
        if there {
            facts.learn(&Fact::Known(place.clone(), true));
        }
        match &value.kind {
            ExprKind::Bool(value) => _ = facts.learn(&Fact::True(place, *value)),
            ExprKind::Path(word) if word.parts.len() == 1 => {
                let new = self.conditions(facts).listed(path, std::slice::from_ref(&word.parts[0]), true);
                facts.learn_all(&new);
            }
            _ => {}
        }
    }

    /// Whether a value is surely there, as far as can be told without types.
    fn is_there(&self, value: &ast::Expr, facts: &Facts) -> bool {
        match &value.kind {
            ExprKind::Path(path) => {
                let conditions = self.conditions(facts);
                let Some(place) = conditions.place(path) else { return true };
                facts.is_known(&place) || !self.may_be_missing(&place)
            }
            ExprKind::Binary { op: Op::Otherwise, right, .. } => self.is_there(right, facts),
            ExprKind::Binary { op: Op::Div, left, right, .. } => {
                self.is_there(left, facts) && matches!(right.kind, ExprKind::Number(_))
            }
            ExprKind::Binary { left, right, .. } => self.is_there(left, facts) && self.is_there(right, facts),
            ExprKind::Negate(inner) => self.is_there(inner, facts),
            ExprKind::Aggregate(aggregate) => {
                aggregate.newest.is_some()
                    || matches!(
                        aggregate.function,
                        AggregateFn::Count | AggregateFn::Sum | AggregateFn::Any | AggregateFn::None
                    )
            }
            _ => true,
        }
    }

    fn may_be_missing(&self, place: &Place) -> bool {
        match place {
            Place::Attribute(name) => {
                self.schema.catalog.attribute(name).is_some_and(|attribute| attribute.ty.is_optional())
            }
            // A `let` learns at its own place; fields of results are optional unless something says otherwise.
            Place::Value(_) => true,
            Place::Field(slot, field) => {
                let info = self.names.slot(*slot);
                let ty = info.fields.as_ref().and_then(|fields| crate::lang::types::field(fields, field));
                let always = matches!(info.form, Form::Entry | Form::Event | Form::Request { leaves: true });
                !always || ty.is_none_or(|ty| ty.is_optional())
            }
            Place::Row(..) => true,
            Place::Segment(_) => false,
        }
    }

    fn turn(&self, what: What<'a>, turn: Turn<'a>, facts: &mut Facts) -> bool {
        let own = match what {
            What::Stmt(stmt) => self.slot(stmt.span),
            _ => None,
        };
        let outcome = |facts: &mut Facts, field: &str, holds: bool| match own {
            Some(slot) => {
                let new = self.conditions(facts).outcome(slot, &field.into(), holds);
                facts.learn_all(&new)
            }
            None => true,
        };
        match turn {
            Turn::Yes(condition) => self.learn(facts, condition, true),
            Turn::No(condition) => self.learn(facts, condition, false),
            Turn::Case(switch, case) => self.case(switch, &case.values, true, facts),
            Turn::Otherwise(switch) => {
                let values: Vec<ast::Expr> =
                    switch.cases.iter().flat_map(|case| case.values.iter().cloned()).collect();
                self.case(switch, &values, false, facts)
            }
            Turn::Happened => {
                let possible = outcome(facts, "happened", true);
                self.condition_of(what, facts);
                possible
            }
            Turn::Missed => outcome(facts, "happened", false),
            Turn::Answered => outcome(facts, "failed", false),
            Turn::Failed => outcome(facts, "failed", true),
            Turn::Arm(arm) => {
                let possible = outcome(facts, "happened", true);
                self.arm(arm, facts);
                possible
            }
            Turn::Next
            | Turn::Variant(_)
            | Turn::OnTime
            | Turn::Past
            | Turn::Again
            | Turn::Enough
            | Turn::Jump => true,
        }
    }

    /// The condition of `wait forever until …` holds behind it even without a name.
    fn condition_of(&self, what: What<'a>, facts: &mut Facts) {
        if let What::Stmt(Stmt { kind: StmtKind::Wait(wait), .. }) = what
            && let ast::Wait::Condition { condition, .. } = &**wait
        {
            self.learn(facts, condition, true);
        }
    }

    fn arm(&self, arm: &ast::Arm, facts: &mut Facts) {
        match &arm.when {
            ast::ArmWhen::Event(event) => {
                if let Some(slot) = self.slot(event.span) {
                    facts.assign(slot);
                }
                if let Some(filter) = &event.filter {
                    self.learn(facts, filter, true);
                }
            }
            ast::ArmWhen::Condition { expr, .. } => {
                if let Some(slot) = self.slot(arm.span) {
                    facts.assign(slot);
                }
                self.learn(facts, expr, true);
            }
        }
    }

    fn case(&self, switch: &ast::Switch, values: &[ast::Expr], inside: bool, facts: &mut Facts) -> bool {
        let ExprKind::Path(subject) = &switch.subject.kind else { return true };
        let words: Option<Vec<ast::Name>> = values
            .iter()
            .map(|value| match &value.kind {
                ExprKind::Path(word) if word.parts.len() == 1 => Some(word.parts[0].clone()),
                _ => None,
            })
            .collect();
        let Some(words) = words else { return true };
        let new = self.conditions(facts).listed(subject, &words, inside);
        facts.learn_all(&new)
    }
}

fn join(at: &mut Option<Facts>, facts: Facts) -> bool {
    match at {
        Some(known) => {
            let before = known.clone();
            known.meet(&facts);
            *known != before
        }
        None => {
            *at = Some(facts);
            true
        }
    }
}

/// The verb that an unreadable statement was probably meant to begin with.
fn meant(text: &str) -> Option<&str> {
    const VERBS: [&str; 16] = [
        "add", "ask", "assign", "call", "grant", "if", "let", "pause", "record", "remove", "repeat", "send",
        "set", "switch", "wait", "withdraw",
    ];
    let head = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
    if VERBS.contains(&head) { Some(head) } else { did_you_mean(head, VERBS) }
}

/// Whether it may have been one from which something follows about contacts: a condition, a change.
fn may_tell(text: &str) -> bool {
    match meant(text) {
        Some("add" | "ask" | "assign" | "call" | "pause" | "record" | "remove" | "send") => false,
        Some("wait") => text.contains("until") || text.contains('{'),
        _ => true,
    }
}
