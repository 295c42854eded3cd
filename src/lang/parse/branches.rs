//! Branches and loops: `if`, `switch`, `split`, `repeat`.

use super::steps::part_name;
use super::words::Place;
use super::{P, Reader, bounds, part, parts};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::lang::ast::{Block, Case, Expr, ExprKind, If, Name, Number, Op, Stmt, StmtKind, Switch, Variant};
use crate::value::Decimal;
use fahrplan_grammar::Rule;

impl<'s> Reader<'s> {
    pub(super) fn if_step(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let first = (self.inner_expr(p)?, self.inner_block(p)?);
        let mut branches = vec![first];
        for c in parts(p).filter(|c| c.as_rule() == Rule::else_if) {
            if let (Some(condition), Some(body)) = (self.inner_expr(&c), self.inner_block(&c)) {
                branches.push((condition, body));
            }
        }
        Some(StmtKind::If(Box::new(If { branches, otherwise: self.else_in(p) })))
    }

    pub(super) fn switch(&mut self, p: &P<'s>, into: &mut Vec<Stmt>) -> Option<StmtKind> {
        let subject = self.inner_expr(p)?;
        let (mut cases, mut otherwise) = (Vec::new(), None);
        let mut whole = true;
        for line in self.list_lines(p) {
            let c = &line.p;
            whole &= self.list_line(&line, Place::Switch);
            let body = self.inner_block(c);
            match (c.as_rule(), body) {
                (Rule::case, Some(body)) => {
                    let values = parts(c).filter(|e| e.as_rule() == Rule::expr);
                    let values = values.flat_map(|e| self.case_values(&e)).collect();
                    cases.push(Case { values, body, span: self.span(c) });
                }
                (Rule::else_case, Some(body)) => self.once(&mut otherwise, body, c),
                (_, _) => self.blocks_of(c, into),
            }
        }
        if whole {
            return Some(StmtKind::Switch(Box::new(Switch { subject, cases, otherwise })));
        }
        let bodies = cases.into_iter().map(|c| c.body).chain(otherwise).collect();
        self.damaged(p, None, bodies, into)
    }

    /// `case pro or team`: read as `case pro, team`.
    fn case_values(&mut self, p: &P<'s>) -> Vec<Expr> {
        fn alternatives(value: Expr, all: &mut Vec<Expr>) {
            match value.kind {
                ExprKind::Binary { op: Op::Or, left, right, .. } => {
                    alternatives(*left, all);
                    alternatives(*right, all);
                }
                kind => all.push(Expr { kind, span: value.span }),
            }
        }
        let mut all = Vec::new();
        alternatives(self.expr(p), &mut all);
        if all.len() > 1 {
            let place = self.place_of(p);
            let finding = Diagnostic::new(Code::E0001, place, "the values of a case are divided by commas");
            let written = p.as_str().trim().replace(" or ", ", ");
            let title = format!("write `{written}`");
            self.tell_lost(finding.label(title.clone()).suggest(title, place, written));
        }
        all
    }

    pub(super) fn split(&mut self, p: &P<'s>, into: &mut Vec<Stmt>) -> Option<StmtKind> {
        let name = part_name(self, p)?;
        let later = part(p, Rule::later_split);
        if let Some(later) = &later {
            let word = later.as_str().split_whitespace().next().unwrap_or("optimize").to_owned();
            self.later(later, &format!("`split … {word}`"), "give each variant a fixed share, such as `50%`");
        }
        let mut variants = Vec::new();
        let mut whole = true;
        for line in self.list_lines(p) {
            let c = &line.p;
            whole &= self.list_line(&line, Place::Split);
            let body = self.inner_block(c);
            match (c.as_rule(), body, part_name(self, c)) {
                (Rule::variant, Some(body), Some(name)) => {
                    let share = self.share(c, later.is_some());
                    variants.push((name, share, body, self.span(c)));
                }
                _ => self.blocks_of(c, into),
            }
        }
        if whole {
            return Some(StmtKind::Split { name, variants: fill_shares(variants) });
        }
        let bodies = variants.into_iter().map(|v| v.2).collect();
        self.damaged(p, None, bodies, into)
    }

    /// The share of a variant; one without its `%` is read as it was meant.
    fn share(&mut self, p: &P<'s>, may_miss: bool) -> Option<Number> {
        if let Some(percent) = part(p, Rule::percent) {
            return Some(self.number(&percent));
        }
        if let Some(number) = part(p, Rule::number) {
            let place = self.place_of(&number);
            let written = number.as_str();
            let percent = match written.split_once('.') {
                // `0.25` is a part of one
                Some(("0", digits)) if (1..=2).contains(&digits.len()) => {
                    format!("{}%", format!("{digits:0<2}").trim_start_matches('0'))
                }
                _ => format!("{written}%"),
            };
            let finding = Diagnostic::new(
                Code::E0001,
                place,
                format!("the share of a variant is a percentage: `{percent}`"),
            );
            self.tell_lost(match written.contains('.') {
                true => finding.label(format!("write `{percent}`")).suggest(
                    format!("write `{percent}`"),
                    place,
                    percent,
                ),
                false => finding.label("`%` is missing").fix("add `%`", place.shrink_to_end(), "%"),
            });
            let mut share = self.number(&number);
            if written.starts_with("0.") {
                share.value.0 *= 100;
            }
            return Some(share);
        }
        if !may_miss {
            let end = p.clone().into_inner().find(|c| c.as_rule() == Rule::block);
            let head = end.map_or(bounds(p).1, |b| bounds(&b).0);
            let head = bounds(p).0 + self.text()[bounds(p).0..head].trim_end().len();
            let place = self.place(bounds(p).0, head);
            self.tell_lost(
                Diagnostic::new(Code::E0001, place, "this variant has no share")
                    .label("how many get it?")
                    .help("it looks like this: `variant story 50% { … }`"),
            );
        }
        None
    }

    pub(super) fn repeat(&mut self, p: &P<'s>) -> Option<StmtKind> {
        let times = part(p, Rule::number).map(|n| self.number(&n))?;
        let mut until = None;
        for c in parts(p).filter(|c| c.as_rule() == Rule::repeat_until) {
            if let Some(condition) = self.inner_expr(&c) {
                self.once(&mut until, condition, &c);
            }
        }
        let name = self.named_in(p);
        Some(StmtKind::Repeat { times, name, until, body: self.inner_block(p)? })
    }
}

/// Variants without a share get the rest in equal parts, so that no sum is reported as wrong because of them.
fn fill_shares(variants: Vec<(Name, Option<Number>, Block, Span)>) -> Vec<Variant> {
    let given: i64 = variants.iter().filter_map(|v| v.1).fold(0, |sum, n| n.value.0.saturating_add(sum));
    let mut missing = variants.iter().filter(|v| v.1.is_none()).count() as i64;
    let mut rest = (100 * Decimal::ONE - given).max(0);
    let fill = |(name, share, body, span): (Name, Option<Number>, Block, Span)| {
        let share = share.unwrap_or_else(|| {
            let part = rest / missing;
            (rest, missing) = (rest - part, missing - 1);
            Number { value: Decimal(part), has_point: false, span: name.span }
        });
        Variant { name, share, body, span }
    };
    variants.into_iter().map(fill).collect()
}
