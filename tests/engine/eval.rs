//! Expressions: arithmetic that never fails, missing values, questions about history.

use std::collections::BTreeMap;

use fahrplan::engine::Programs;
use fahrplan::engine::eval::Scope;
use fahrplan::engine::facts::{Effects, Facts};
use fahrplan::engine::program::{AggregateFn, BinaryOp::*, *};
use fahrplan::engine::world::{Event as Came, History, World};
use fahrplan::time::{Calendar, Timestamp};
use fahrplan::value::{Decimal, FieldType, Type, Value};

use super::build::*;

const NOW: &str = "2026-03-29T12:00";

fn n(n: i64) -> Expr {
    val(Value::Number(n))
}

fn d(text: &str) -> Expr {
    val(decimal(text))
}

fn unknown() -> Expr {
    attr("birthday")
}

/// The rules with an event that has a whole number.
fn rules() -> Catalog {
    let mut rules = catalog();
    let mut visit = rules.events["closed"].clone();
    visit.fields = vec![FieldType { name: "value".into(), ty: Type::Number(None) }];
    rules.events.insert("visit".into(), visit);
    rules
}

/// The value of an expression for a contact with these events, and what was odd about it.
fn looked_at(expr: &Expr, events: &[(&str, Timestamp, Value)]) -> (Value, usize) {
    let (rules, programs) = (rules(), Programs::default());
    let mut history: BTreeMap<Word, History> = BTreeMap::new();
    for name in rules.events.keys() {
        history.insert(name.clone(), History { since: Timestamp(i64::MIN), ..History::default() });
    }
    for (id, (name, occurred_at, value)) in (1..).zip(events) {
        let (name, fields) = (Word::from(*name), fields(&[("value", value.clone())]));
        let (occurred_at, accepted_at) = (*occurred_at, *occurred_at);
        let event = Came { id, name, occurred_at, accepted_at, fields, quiet: false };
        history.get_mut(&event.name).expect("declared").events.push(event);
    }
    let world = World { contact: ADA, history, ..World::default() };
    let facts = Facts::new(&rules, &programs, &world, at(NOW));
    let effects = Effects::default();
    let value = Scope::contact(&facts, &effects).eval(expr).expect("all is there");
    (value, facts.take_odd().len())
}

#[test]
fn arithmetic_is_exact_saturates_with_a_note_and_never_fails() {
    let (max, min) = (i64::MAX, i64::MIN);
    let big = |n: i64| val(Value::Decimal(Decimal(n)));
    for (op, a, b, value, odd) in [
        (Add, n(2), n(3), Value::Number(5), 0),
        (Add, n(max), n(1), Value::Number(max), 1),
        (Sub, n(min), n(1), Value::Number(min), 1),
        (Mul, n(max), n(-2), Value::Number(min), 1),
        (Div, n(min), n(-1), Value::Number(max), 1),
        (Div, n(1), n(0), Value::Unknown, 0),
        (Add, d("0.10"), d("0.20"), decimal("0.30"), 0),
        (Add, n(1), d("0.50"), decimal("1.50"), 0),
        (Mul, d("19.90"), n(3), decimal("59.70"), 0),
        (Div, d("10"), d("3"), decimal("3.3333"), 0),
        (Div, d("1"), d("0"), Value::Unknown, 0),
        (Mul, big(max), d("2"), Value::Decimal(Decimal(max)), 1),
        (Sub, big(min), d("1"), Value::Decimal(Decimal(min)), 1),
        (Add, n(max), d("1"), Value::Decimal(Decimal(max)), 2),
    ] {
        let expr = bin(op, a, b);
        assert_eq!(looked_at(&expr, &[]), (value, odd), "{expr:?}");
    }
    let negated = Expr::Negate(Box::new(n(min)));
    assert_eq!(looked_at(&negated, &[]), (Value::Number(max), 1));
    let forever = Value::Duration(Calendar { months: min as i32, ms: min, ..Calendar::default() });
    assert!(looked_at(&Expr::Negate(Box::new(val(forever))), &[]).0.is_known());
}

#[test]
fn what_is_missing_equals_nothing_and_decides_nothing() {
    let (yes, no, gone) = (Value::Bool(true), Value::Bool(false), Value::Unknown);
    let maybe = || is(unknown(), n(1));
    for (expr, value) in [
        (maybe(), gone.clone()),
        (is(unknown(), unknown()), gone.clone()),
        (bin(IsNot, unknown(), n(1)), gone.clone()),
        (bin(Lt, unknown(), n(1)), gone.clone()),
        (bin(Add, unknown(), n(1)), gone.clone()),
        (bin(And, maybe(), self::yes(false)), no.clone()),
        (bin(And, self::yes(false), maybe()), no.clone()),
        (bin(And, maybe(), self::yes(true)), gone.clone()),
        (bin(Or, maybe(), self::yes(true)), yes.clone()),
        (bin(Or, maybe(), self::yes(false)), gone.clone()),
        (not(maybe()), gone.clone()),
        (Expr::Known(Box::new(unknown())), no.clone()),
        (bin(Otherwise, unknown(), n(7)), Value::Number(7)),
        (bin(Otherwise, n(1), n(7)), Value::Number(1)),
        (Expr::Empty(Box::new(attr("tags"))), yes),
        (bin(Has, attr("tags"), unknown()), gone),
    ] {
        assert_eq!(looked_at(&expr, &[]).0, value, "{expr:?}");
    }
}

#[test]
fn aggregates_over_nothing_have_their_stated_value() {
    let ask = |function, field| aggregate(function, "visit", field, Reach::Ever);
    let value = Some("value");
    for (function, field, result) in [
        (AggregateFn::Count, None, Value::Number(0)),
        (AggregateFn::Any, None, Value::Bool(false)),
        (AggregateFn::None, None, Value::Bool(true)),
        (AggregateFn::Sum, value, Value::Number(0)),
        (AggregateFn::Average, value, Value::Unknown),
        (AggregateFn::Highest, value, Value::Unknown),
        (AggregateFn::Lowest, value, Value::Unknown),
        (AggregateFn::First, value, Value::Unknown),
        (AggregateFn::Last, value, Value::Unknown),
    ] {
        assert_eq!(looked_at(&ask(function, field), &[]).0, result, "{function:?}");
    }
    let order = aggregate(AggregateFn::Sum, "order", value, Reach::Ever);
    assert_eq!(looked_at(&order, &[]).0, decimal("0"), "of decimals");
}

#[test]
fn aggregates_fold_what_is_known_and_an_average_is_a_decimal() {
    let visit = |day: &str, value: Value| ("visit", at(&format!("2026-03-{day}T10:00")), value);
    let events = [
        visit("01", Value::Number(2)),
        visit("02", Value::Number(7)),
        visit("03", Value::Unknown),
        visit("04", Value::Number(1)),
    ];
    let value = Some("value");
    for (function, field, result) in [
        (AggregateFn::Count, None, Value::Number(4)),
        (AggregateFn::Sum, value, Value::Number(10)),
        (AggregateFn::Average, value, decimal("3.3333")),
        (AggregateFn::Highest, value, Value::Number(7)),
        (AggregateFn::Lowest, value, Value::Number(1)),
        (AggregateFn::First, value, Value::Number(2)),
        (AggregateFn::Last, value, Value::Number(1)),
    ] {
        let expr = aggregate(function, "visit", field, Reach::Ever);
        assert_eq!(looked_at(&expr, &events), (result, 0), "{function:?}");
    }
    let Expr::Aggregate(mut newest) = aggregate(AggregateFn::Last, "visit", value, Reach::Ever) else {
        panic!("an aggregate")
    };
    newest.newest = Some(3);
    let newest = looked_at(&Expr::Aggregate(newest), &events).0;
    assert_eq!(newest, Value::List(vec![Value::Number(1), Value::Number(7)]), "the newest first");
}

#[test]
fn a_window_begins_behind_its_first_moment_and_has_no_end() {
    // Clocks were put forward in the night: a day before is 12:00 yesterday, 24 hours before 11:00.
    for (window, moment, inside) in [
        (days(1), "2026-03-28T12:00", false),
        (days(1), "2026-03-28T12:01", true),
        (hours(24), "2026-03-28T11:00", false),
        (hours(24), "2026-03-28T11:01", true),
        // What happened on 28 February has left the month on 28 March and does not come back by clamping.
        (months(1), "2026-02-28T12:01", false),
        (months(1), "2026-03-01T00:00", true),
        (days(1), NOW, true),
        // Who stamped it has a clock that is ahead of ours: it has happened all the same.
        (days(1), "2026-03-29T12:01", true),
    ] {
        let expr = any("visit", Reach::Within(window));
        let found = looked_at(&expr, &[("visit", at(moment), Value::Number(1))]).0;
        assert_eq!(found, Value::Bool(inside), "{moment} within {window}");
    }
}

#[test]
fn an_aggregate_looks_at_the_newest_thousand_and_says_so() {
    let one = |n: i64| ("visit", at("2026-03-01T10:00").plus_ms(n), Value::Number(n));
    let events: Vec<_> = (0..1_005).map(one).collect();
    let ask = |function, field| looked_at(&aggregate(function, "visit", field, Reach::Ever), &events);
    assert_eq!(ask(AggregateFn::Count, None), (Value::Number(1_000), 1));
    assert_eq!(ask(AggregateFn::Lowest, Some("value")), (Value::Number(5), 1));
}
