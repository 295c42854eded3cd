//! What a live condition depends on: the signals after which it is looked at again, and whether time alone may change it.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::program::{Expr, Function, Reach, Slot, Watch, Word};
use crate::engine::world::signal;

/// What the watch of an expression is computed from.
pub struct Surroundings<'a> {
    /// Conditions of segments by name.
    pub segments: &'a BTreeMap<Word, Expr>,
    pub scores: &'a BTreeMap<Word, Expr>,
    /// Child purpose to parent.
    pub purposes: &'a BTreeMap<Word, Word>,
    /// The slots of the journey; empty for the catalog.
    pub slots: &'a [Slot],
}

/// The watch of an expression: segments and scores in it count as what they are made of. Outcomes of own steps appear as
/// `step.NAME`.
pub fn watch_of(expr: &Expr, around: &Surroundings) -> Watch {
    let mut walk = Walk { around, signals: BTreeSet::new(), by_time: false, open: Vec::new() };
    walk.expr(expr);
    Watch { signals: walk.signals.into_iter().collect(), by_time: walk.by_time }
}

struct Walk<'a> {
    around: &'a Surroundings<'a>,
    signals: BTreeSet<Word>,
    by_time: bool,
    /// Segments and scores being walked: a circle among them is reported elsewhere and ends here.
    open: Vec<&'a Word>,
}

impl<'a> Walk<'a> {
    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Const(_) | Expr::ContactId | Expr::Row | Expr::MomentOf(_) => {}
            Expr::Attribute(name) => {
                self.signals.insert(signal::attribute(name));
            }
            Expr::Slot(slot) => {
                if let Some(slot) = self.around.slots.get(usize::from(*slot)) {
                    self.signals.insert(format!("step.{}", slot.name).into());
                }
            }
            Expr::Consent { purpose, .. } => self.consent(purpose),
            Expr::DayTest { window, .. } => {
                self.by_time = true;
                if let Some(window) = window {
                    self.expr(&window.0);
                    self.expr(&window.1);
                }
            }
            Expr::Aggregate(aggregate) => {
                self.signals.insert(aggregate.event.clone());
                self.by_time |= matches!(aggregate.reach, Reach::Within(_));
                aggregate.filter.iter().for_each(|filter| self.expr(filter));
            }
            Expr::Segment(name) => self.named(name, self.around.segments),
            Expr::Score(name) => self.named(name, self.around.scores),
            Expr::Call(function, args) => {
                self.by_time |= matches!(function, Function::Today | Function::Now);
                args.iter().for_each(|arg| self.expr(arg));
            }
            Expr::Field(inner, _)
            | Expr::Not(inner)
            | Expr::Negate(inner)
            | Expr::Known(inner)
            | Expr::Empty(inner)
            | Expr::ToDecimal(inner) => self.expr(inner),
            Expr::Binary(_, left, right) => {
                self.expr(left);
                self.expr(right);
            }
            Expr::List(items) => items.iter().for_each(|item| self.expr(item)),
            Expr::Record(pairs) => pairs.iter().for_each(|(_, value)| self.expr(value)),
        }
    }

    /// A refined purpose has its parent's consent unless the policy gives it a line, so the whole line of parents counts.
    fn consent(&mut self, purpose: &Word) {
        let parents = self.around.purposes;
        for purpose in std::iter::successors(Some(purpose), |p| parents.get(*p)).take(16) {
            self.signals.insert(signal::consent(purpose));
        }
    }

    fn named(&mut self, name: &Word, all: &'a BTreeMap<Word, Expr>) {
        if let Some((name, expr)) = all.get_key_value(name)
            && !self.open.contains(&name)
        {
            self.open.push(name);
            self.expr(expr);
            self.open.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::program::{Aggregate, AggregateFn, BinaryOp};
    use crate::time::Calendar;

    fn words(names: &[&str]) -> Vec<Word> {
        names.iter().map(|name| Word::from(*name)).collect()
    }

    #[test]
    fn a_condition_is_watched_through_segments_and_parent_purposes() {
        let none = Expr::Aggregate(Box::new(Aggregate {
            function: AggregateFn::None,
            newest: None,
            event: "order_placed".into(),
            field: None,
            filter: Some(Expr::Attribute("plan".into())),
            reach: Reach::Within(Calendar::days(180)),
        }));
        let segments = BTreeMap::from([("sleeping".into(), none)]);
        let purposes = BTreeMap::from([("lapsing".into(), "marketing".into())]);
        let around =
            Surroundings { segments: &segments, scores: &BTreeMap::new(), purposes: &purposes, slots: &[] };
        let consent = Expr::Consent { purpose: "lapsing".into(), channels: vec![] };
        let both = |left: &Expr| {
            Expr::Binary(
                BinaryOp::And,
                Box::new(left.clone()),
                Box::new(Expr::Not(Box::new(Expr::Segment("sleeping".into())))),
            )
        };
        let watch = watch_of(&both(&consent), &around);
        assert_eq!(
            watch.signals,
            words(&["consent.lapsing", "consent.marketing", "contact.plan", "order_placed"])
        );
        assert!(watch.by_time);
        let still = watch_of(&consent, &around);
        assert!(!still.by_time);
    }
}
