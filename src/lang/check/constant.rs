//! Conditions that are always true or never: each thing that a condition asks about gets every value that could make a
//! difference, and all combinations are tried.

use std::collections::{BTreeMap, BTreeSet};

use super::conditions::Conditions;
use super::findings::{Findings, finding};
use super::names::Names;
use super::narrow::{Facts, Place};
use super::schema::Schema;
use super::visit::is_damaged;
use crate::diagnostic::Code;
use crate::lang::ast::{AggregateFn, Expr, ExprKind, Op, Presence};
use crate::value::{Decimal, Type};

/// More combinations than this are not tried: nothing is said then.
const LIMIT: usize = 4096;

/// Says that a condition is always true or never, if it is.
pub(super) fn condition<'a>(
    schema: &Schema<'a>,
    names: &Names<'a>,
    facts: &Facts,
    expr: &Expr,
    out: &mut Findings,
) {
    let conditions = Conditions { schema, names, rows: &[], facts, depth: 0 };
    let Some(always) = verdict(conditions, &[expr]) else { return };
    let word = if always { "always true" } else { "never true" };
    out.push(
        finding(Code::W0108, expr.span, format!("this condition is {word}"))
            .label(word)
            .help("look again at what it asks, or leave it out"),
    );
}

/// Whether the conditions together are always true (or never); `None` when they can be both or nobody can tell.
pub(super) fn verdict(conditions: Conditions, all: &[&Expr]) -> Option<bool> {
    if conditions.facts.unsure || all.iter().any(|expr| is_damaged(expr)) {
        return None;
    }
    let mut terms = Terms { conditions, domains: BTreeMap::new() };
    all.iter().for_each(|expr| terms.collect(expr));
    let domains = terms.finish()?;
    let keys: Vec<&String> = domains.keys().collect();
    let mut index = vec![0; keys.len()];
    let (mut some_true, mut some_false) = (false, false);
    loop {
        let values: BTreeMap<&str, &Value> =
            keys.iter().zip(&index).map(|(key, n)| (key.as_str(), &domains[*key][*n])).collect();
        let holds = all.iter().all(|expr| holds(&conditions, expr, &values));
        some_true |= holds;
        some_false |= !holds;
        if some_true && some_false {
            return None;
        }
        if !next(&mut index, &keys, &domains) {
            return Some(some_true);
        }
    }
}

fn next(index: &mut [usize], keys: &[&String], domains: &BTreeMap<String, Vec<Value>>) -> bool {
    for (n, key) in index.iter_mut().zip(keys) {
        *n += 1;
        if *n < domains[*key].len() {
            return true;
        }
        *n = 0;
    }
    false
}

/// What a thing can be, as far as it makes a difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Missing,
    Bool(bool),
    Number(i64),
    Word(String),
}

#[derive(Default)]
struct Domain {
    place: Option<Place>,
    numbers: BTreeSet<i64>,
    words: BTreeSet<String>,
    /// A count: never below zero.
    count: bool,
    presence: bool,
    yes_no: bool,
}

struct Terms<'c, 'a> {
    conditions: Conditions<'c, 'a>,
    domains: BTreeMap<String, Domain>,
}

impl Terms<'_, '_> {
    fn collect(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Not(inner) => self.collect(inner),
            ExprKind::Binary { op: Op::And | Op::Or, left, right, .. } => {
                self.collect(left);
                self.collect(right);
            }
            ExprKind::Bool(_) => {}
            _ => match atom(&self.conditions, expr) {
                Atom::Presence { key, place, .. } => {
                    let domain = self.domains.entry(key).or_default();
                    domain.presence = true;
                    domain.place = Some(place);
                }
                Atom::Compare { key, place, with, count, .. } => {
                    let domain = self.domains.entry(key).or_default();
                    domain.place = domain.place.take().or(place);
                    domain.count |= count;
                    match with {
                        Value::Number(n) => _ = domain.numbers.insert(n),
                        Value::Word(word) => _ = domain.words.insert(word),
                        Value::Bool(_) => domain.yes_no = true,
                        Value::Missing => {}
                    }
                }
                Atom::YesNo { key, place, .. } => {
                    let domain = self.domains.entry(key).or_default();
                    domain.place = domain.place.take().or(place);
                    domain.yes_no = true;
                }
            },
        }
    }

    /// The values of each thing; `None` when there are too many combinations.
    fn finish(self) -> Option<BTreeMap<String, Vec<Value>>> {
        let mut combinations = 1usize;
        let mut all = BTreeMap::new();
        for (key, domain) in self.domains {
            let values = values_of(&self.conditions, &domain);
            combinations = combinations.checked_mul(values.len().max(1))?;
            if combinations > LIMIT || values.is_empty() {
                return None;
            }
            all.insert(key, values);
        }
        Some(all)
    }
}

fn values_of(conditions: &Conditions, domain: &Domain) -> Vec<Value> {
    let mut values = Vec::new();
    let facts = conditions.facts;
    let known = domain.place.as_ref().and_then(|place| facts.presence(place));
    if domain.presence && known != Some(true) {
        values.push(Value::Missing);
    }
    if known == Some(false) {
        return vec![Value::Missing];
    }
    if domain.yes_no {
        match domain.place.as_ref().and_then(|place| facts.truth(place)) {
            Some(value) => values.push(Value::Bool(value)),
            None => values.extend([Value::Bool(false), Value::Bool(true)]),
        }
    } else if !domain.words.is_empty() {
        let possible = domain.place.as_ref().and_then(|place| {
            let all = conditions.possible(place)?;
            Some(match facts.values(place) {
                Some(left) => all.intersection(left).map(|word| word.to_string()).collect::<Vec<_>>(),
                None => all.iter().map(|word| word.to_string()).collect(),
            })
        });
        match possible {
            Some(words) => values.extend(words.into_iter().map(Value::Word)),
            None => {
                values.extend(domain.words.iter().cloned().map(Value::Word));
                values.push(Value::Word("\u{0}something else".to_owned()));
            }
        }
    } else if !domain.numbers.is_empty() {
        let mut near = BTreeSet::new();
        for n in &domain.numbers {
            near.extend([n.saturating_sub(1), *n, n.saturating_add(1)]);
        }
        if domain.count {
            near.insert(0);
            near.retain(|n| *n >= 0);
        }
        if let Some((low, high)) = domain.place.as_ref().and_then(|place| range(conditions, place)) {
            near.retain(|n| (low..=high).contains(n));
        }
        values.extend(near.into_iter().map(Value::Number));
    } else {
        values.push(Value::Word("\u{0}something".to_owned()));
    }
    values
}

/// The declared range of a number, in ten-thousandths.
fn range(conditions: &Conditions, place: &Place) -> Option<(i64, i64)> {
    let Place::Attribute(name) = place else { return None };
    match conditions.schema.catalog.attribute(name)?.ty.required() {
        Type::Number(Some((low, high))) => Some((Decimal::from_int(*low).0, Decimal::from_int(*high).0)),
        Type::Decimal(Some((low, high))) => Some((low.0, high.0)),
        _ => None,
    }
}

enum Atom {
    Presence { key: String, place: Place, known: bool },
    Compare { key: String, place: Option<Place>, op: Op, with: Value, count: bool },
    YesNo { key: String, place: Option<Place>, holds: bool },
}

/// A condition without `and`, `or` and `not`, as a question about one thing.
fn atom(conditions: &Conditions, expr: &Expr) -> Atom {
    let opaque = || Atom::YesNo { key: key(conditions, expr), place: None, holds: true };
    match &expr.kind {
        ExprKind::Path(path) => {
            let place = conditions.place(path);
            // A wait that was missed did not happen: one question, asked two ways.
            match &place {
                Some(Place::Field(slot, field)) if &**field == "missed" => Atom::YesNo {
                    key: key(conditions, expr).replace(".missed", ".happened"),
                    place: Some(Place::Field(*slot, "happened".into())),
                    holds: false,
                },
                _ => Atom::YesNo { key: key(conditions, expr), place, holds: true },
            }
        }
        ExprKind::Aggregate(aggregate) => match aggregate.function {
            AggregateFn::Any | AggregateFn::None => Atom::Compare {
                key: asked(conditions, expr),
                place: None,
                op: if aggregate.function == AggregateFn::Any { Op::Gt } else { Op::Is },
                with: Value::Number(0),
                count: true,
            },
            _ => opaque(),
        },
        ExprKind::Binary { op, left, right, .. } => match (&left.kind, &right.kind) {
            (ExprKind::Path(path), ExprKind::Presence(presence @ (Presence::Known | Presence::Unknown))) => {
                match conditions.place(path).filter(|place| may_be_missing(conditions, place)) {
                    Some(place) => {
                        let known = (*presence == Presence::Known) == (*op == Op::Is);
                        Atom::Presence { key: key(conditions, left), place, known }
                    }
                    None => opaque(),
                }
            }
            _ => comparison(conditions, *op, left, right)
                .or_else(|| comparison(conditions, flipped(*op)?, right, left))
                .unwrap_or_else(opaque),
        },
        _ => opaque(),
    }
}

/// What has always a value by its type is told elsewhere.
fn may_be_missing(conditions: &Conditions, place: &Place) -> bool {
    match place {
        Place::Attribute(name) => {
            conditions.schema.catalog.attribute(name).is_some_and(|a| a.ty.is_optional())
        }
        _ => true,
    }
}

fn flipped(op: Op) -> Option<Op> {
    Some(match op {
        Op::Lt => Op::Gt,
        Op::Le => Op::Ge,
        Op::Gt => Op::Lt,
        Op::Ge => Op::Le,
        Op::Is => Op::Is,
        Op::IsNot => Op::IsNot,
        _ => return None,
    })
}

fn comparison(conditions: &Conditions, op: Op, left: &Expr, right: &Expr) -> Option<Atom> {
    if !matches!(op, Op::Is | Op::IsNot | Op::Lt | Op::Le | Op::Gt | Op::Ge) {
        return None;
    }
    let (place, count) = match &left.kind {
        ExprKind::Path(path) => (conditions.place(path), false),
        ExprKind::Aggregate(aggregate) if aggregate.function == AggregateFn::Count => (None, true),
        _ => return None,
    };
    let with = match &right.kind {
        ExprKind::Number(number) => Value::Number(number.value.0),
        ExprKind::Date(date) => {
            Value::Number(i64::from(date.year) * 10_000 + i64::from(date.month) * 100 + i64::from(date.day))
        }
        ExprKind::Text(text) => Value::Word(text.clone()),
        ExprKind::Bool(value) => Value::Bool(*value),
        ExprKind::Path(word) if word.parts.len() == 1 => {
            let possible = conditions.possible(place.as_ref()?)?;
            Value::Word(possible.get(word.parts[0].text.as_str())?.to_string())
        }
        _ => return None,
    };
    let key = if count { asked(conditions, left) } else { key(conditions, left) };
    Some(Atom::Compare { key, place, op, with, count })
}

fn holds(conditions: &Conditions, expr: &Expr, values: &BTreeMap<&str, &Value>) -> bool {
    match &expr.kind {
        ExprKind::Bool(value) => *value,
        ExprKind::Not(inner) => !holds(conditions, inner, values),
        ExprKind::Binary { op: Op::And, left, right, .. } => {
            holds(conditions, left, values) && holds(conditions, right, values)
        }
        ExprKind::Binary { op: Op::Or, left, right, .. } => {
            holds(conditions, left, values) || holds(conditions, right, values)
        }
        _ => match atom(conditions, expr) {
            Atom::Presence { key, known, .. } => (*values[key.as_str()] != Value::Missing) == known,
            Atom::YesNo { key, holds, .. } => *values[key.as_str()] == Value::Bool(holds),
            Atom::Compare { key, op, with, .. } => {
                let value = values[key.as_str()];
                if *value == Value::Missing {
                    return false;
                }
                match op {
                    Op::Is => *value == with,
                    Op::IsNot => *value != with,
                    Op::Lt => *value < with,
                    Op::Le => *value <= with,
                    Op::Gt => *value > with,
                    _ => *value >= with,
                }
            }
        },
    }
}

/// The text of an expression without white space: equal texts at one place ask the same.
fn key(conditions: &Conditions, expr: &Expr) -> String {
    match &expr.kind {
        // Grants without `on` and texts with blanks keep their words apart well enough for a comparison.
        ExprKind::Consent(consent) => {
            let channels: Vec<&str> = consent.channels.iter().map(|channel| channel.text.as_str()).collect();
            format!("consent {} {}", consent.purpose.text, channels.join(" "))
        }
        _ => squeezed(conditions.schema.input.sources.slice(expr.span)),
    }
}

/// What an aggregate asks, without `count`, `any` or `none`.
fn asked(conditions: &Conditions, expr: &Expr) -> String {
    let text = squeezed(conditions.schema.input.sources.slice(expr.span));
    match text.split_once('(') {
        Some((_, asked)) => format!("({asked}"),
        None => text,
    }
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(").replace(" )", ")")
}
