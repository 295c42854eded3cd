//! Expressions over one contact and one enrollment, with the call's own changes visible.
//!
//! Evaluation is total. The checker has proved that nothing is missing; what vanished since gives `Unknown`, which spreads
//! (`Unknown and false` is false, everything else with it is `Unknown`), and a condition that is not plainly true counts as
//! false. Arithmetic saturates, an aggregate looks at the newest 1,000 events, and each such oddity is noted.

use std::cmp::Ordering;

use super::aggregate;
use super::facts::{Effects, Facts};
use super::program::{BinaryOp, Days, Expr, Function, Program, SlotIx, SlotKind, Word, ZoneRef};
use super::state::State;
use super::wait;
use super::world::{Event, Fields, Need};
use crate::id;
use crate::time::{Calendar, Date, TimeOfDay, Timestamp, Zone};
use crate::value::{Decimal, Value};

/// The place from which an expression is looked at.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub facts: &'a Facts<'a>,
    pub effects: &'a Effects,
    pub program: Option<&'a Program>,
    pub state: Option<&'a State>,
    /// What is being looked at in that slot instead of what is stored there.
    pub heard: Option<(SlotIx, Heard<'a>)>,
    row: Option<&'a Event>,
    /// The segments and scores that are being looked into: one that contains itself has no value.
    open: Option<&'a Open<'a>>,
}

struct Open<'a> {
    name: &'a Word,
    outer: Option<&'a Open<'a>>,
}

/// An event, or an outcome as if it were one.
#[derive(Clone, Copy)]
pub struct Heard<'a> {
    pub id: i64,
    pub name: &'a Word,
    pub occurred_at: Timestamp,
    pub accepted_at: Timestamp,
    pub fields: &'a Fields,
}

impl<'a> Heard<'a> {
    /// That event.
    pub fn event(event: &'a Event) -> Heard<'a> {
        Heard {
            id: event.id,
            name: &event.name,
            occurred_at: event.occurred_at,
            accepted_at: event.accepted_at,
            fields: &event.fields,
        }
    }

    /// A field; every event has `id` and `at`.
    pub fn field(&self, name: &str) -> Value {
        match (self.fields.get(name), name) {
            (Some(value), _) => value.clone(),
            (None, "id") => Value::Text(id::to_base32(self.id).into()),
            (None, "at") => Value::Moment(self.occurred_at),
            (None, _) => Value::Unknown,
        }
    }

    /// All fields as a record.
    pub fn record(&self) -> Value {
        let mut fields = self.fields.clone();
        for name in ["id", "at"] {
            if !fields.contains_key(name) {
                fields.insert(name.into(), self.field(name));
            }
        }
        Value::Record(fields)
    }
}

impl<'a> Scope<'a> {
    /// The view of an enrollment.
    pub fn of(
        facts: &'a Facts<'a>,
        effects: &'a Effects,
        program: &'a Program,
        state: &'a State,
    ) -> Scope<'a> {
        Scope {
            facts,
            effects,
            program: Some(program),
            state: Some(state),
            heard: None,
            row: None,
            open: None,
        }
    }

    /// The view of the contact alone: segments, entries.
    pub fn contact(facts: &'a Facts<'a>, effects: &'a Effects) -> Scope<'a> {
        Scope { facts, effects, program: None, state: None, heard: None, row: None, open: None }
    }

    /// The same view with an event in a slot.
    #[must_use]
    pub fn hearing(self, slot: Option<SlotIx>, heard: Heard<'a>) -> Scope<'a> {
        Scope { heard: slot.map(|slot| (slot, heard)).or(self.heard), ..self }
    }

    pub(super) fn at_row(self, row: &'a Event) -> Scope<'a> {
        Scope { row: Some(row), ..self }
    }

    /// Whether a condition holds; one with a missing value does not.
    pub fn holds(&self, condition: &Expr) -> Result<bool, Need> {
        Ok(self.eval(condition)? == Value::Bool(true))
    }

    /// The zone that is meant; an unknown name means the project's.
    pub fn zone(&self, zone: &ZoneRef) -> Zone {
        match zone {
            ZoneRef::Contact => self.facts.contact_zone(self.effects),
            ZoneRef::Project => self.facts.project_zone().clone(),
            ZoneRef::Named(name) => Zone::named(name).unwrap_or_else(|| self.facts.project_zone().clone()),
        }
    }

    /// The instant so much later, by the contact's calendar.
    pub fn later(&self, from: Timestamp, by: Calendar) -> Timestamp {
        if by.months == 0 && by.days == 0 && by.working_days == 0 {
            return from.plus_ms(by.ms);
        }
        by.after(from, &self.facts.contact_zone(self.effects), &self.facts.catalog.holidays)
    }

    /// A clock time, if the expression gives one.
    pub fn time(&self, expr: &Expr) -> Result<Option<TimeOfDay>, Need> {
        Ok(match self.eval(expr)? {
            Value::Time(time) => Some(time),
            _ => None,
        })
    }

    /// The value of an expression.
    pub fn eval(&self, expr: &Expr) -> Result<Value, Need> {
        Ok(match expr {
            Expr::Const(value) => value.clone(),
            Expr::Attribute(name) => self.facts.attribute(self.effects, name),
            Expr::ContactId => Value::Text(self.facts.world.contact.to_string().into()),
            Expr::Slot(slot) => self.slot(*slot),
            Expr::Field(inner, name) => self.field(inner, name)?,
            Expr::Row => self.row.map_or(Value::Unknown, |row| Heard::event(row).record()),
            Expr::MomentOf(slot) => {
                self.state.and_then(|state| state.moment(*slot)).map_or(Value::Unknown, Value::Moment)
            }
            Expr::Consent { purpose, channels } => Value::Bool(self.consent(purpose, channels)?),
            Expr::DayTest { negated, days, window, zone } => {
                Value::Bool(self.day_test(*days, window.as_deref(), zone)? != *negated)
            }
            Expr::Aggregate(aggregate) => aggregate::fold(self, aggregate)?,
            Expr::Segment(name) => match self.facts.catalog.segments.get(name) {
                Some(segment) => self.inlined(name, &segment.condition)?,
                None => self.missing(format!("there is no segment {name} any more")),
            },
            Expr::Score(name) => match self.facts.catalog.scores.get(name) {
                Some(score) => self.inlined(name, score)?,
                None => self.missing(format!("there is no score {name} any more")),
            },
            Expr::Call(function, args) => self.call(*function, args)?,
            Expr::Not(inner) => match self.eval(inner)? {
                Value::Bool(b) => Value::Bool(!b),
                _ => Value::Unknown,
            },
            Expr::Negate(inner) => self.negate(self.eval(inner)?),
            Expr::Known(inner) => Value::Bool(self.eval(inner)?.is_known()),
            Expr::Empty(inner) => match self.eval(inner)? {
                Value::List(items) => Value::Bool(items.is_empty()),
                Value::Text(text) => Value::Bool(text.is_empty()),
                Value::Unknown => Value::Unknown,
                _ => Value::Bool(false),
            },
            Expr::Binary(op, left, right) => self.binary(*op, left, right)?,
            Expr::List(items) => {
                Value::List(items.iter().map(|item| self.eval(item)).collect::<Result<_, _>>()?)
            }
            Expr::Record(pairs) => Value::Record(self.fields(pairs)?),
            Expr::ToDecimal(inner) => match self.eval(inner)? {
                Value::Number(n) => Value::Decimal(self.decimal(n)),
                other => other,
            },
        })
    }

    /// Named values, such as those of `with`.
    pub fn fields(&self, pairs: &[(Word, Expr)]) -> Result<Fields, Need> {
        pairs.iter().map(|(name, expr)| Ok((name.clone(), self.eval(expr)?))).collect()
    }

    fn inlined(&self, name: &Word, expr: &Expr) -> Result<Value, Need> {
        let mut outer = self.open;
        while let Some(open) = outer {
            if open.name == name {
                return Ok(self.missing(format!("{name} contains itself")));
            }
            outer = open.outer;
        }
        let open = Open { name, outer: self.open };
        Scope { open: Some(&open), row: None, ..*self }.eval(expr)
    }

    fn missing(&self, why: impl Into<std::sync::Arc<str>>) -> Value {
        self.facts.odd(why);
        Value::Unknown
    }

    fn slot(&self, slot: SlotIx) -> Value {
        match &self.heard {
            Some((at, heard)) if *at == slot => heard.record(),
            _ => self.state.map_or(Value::Unknown, |state| state.slot(slot).clone()),
        }
    }

    fn field(&self, inner: &Expr, name: &Word) -> Result<Value, Need> {
        Ok(match inner {
            Expr::Slot(slot) => match &self.heard {
                Some((at, heard)) if at == slot => heard.field(name),
                _ => self.slot_field(*slot, name),
            },
            Expr::Row => self.row.map_or(Value::Unknown, |row| Heard::event(row).field(name)),
            other => match self.eval(other)? {
                Value::Record(mut fields) => fields.remove(name).unwrap_or_default(),
                _ => Value::Unknown,
            },
        })
    }

    /// A field of what is stored; flags that nothing has set are false.
    fn slot_field(&self, slot: SlotIx, name: &Word) -> Value {
        let stored = self.state.and_then(|state| match state.slot(slot) {
            Value::Record(fields) => fields.get(name).cloned(),
            _ => None,
        });
        let kind =
            self.program.and_then(|program| program.slots.get(usize::from(slot))).map(|slot| slot.kind);
        stored.unwrap_or_else(|| match kind {
            Some(kind) if is_flag(kind, name) => Value::Bool(false),
            _ => Value::Unknown,
        })
    }

    fn consent(&self, purpose: &Word, channels: &[Word]) -> Result<bool, Need> {
        use super::policy::permitted;
        if !channels.is_empty() {
            for channel in channels {
                if !permitted(self.facts, self.effects, purpose, channel)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        for channel in self.facts.catalog.channels.keys() {
            if permitted(self.facts, self.effects, purpose, channel)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn day_test(&self, days: Days, window: Option<&(Expr, Expr)>, zone: &ZoneRef) -> Result<bool, Need> {
        let zone = self.zone(zone);
        let holidays = &self.facts.catalog.holidays;
        let Some((from, to)) = window else {
            return Ok(wait::is_day(days, zone.date(self.facts.now), holidays));
        };
        let (Some(from), Some(to)) = (self.time(from)?, self.time(to)?) else { return Ok(false) };
        Ok(wait::within(days, from, to, self.facts.now, &zone, holidays))
    }

    fn call(&self, function: Function, args: &[Expr]) -> Result<Value, Need> {
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(self.eval(arg)?);
        }
        let zone = || self.facts.contact_zone(self.effects);
        let date = |value: &Value| match value {
            Value::Date(date) => Some(*date),
            Value::Moment(at) => Some(zone().date(*at)),
            _ => None,
        };
        let part = |pick: fn(&Date) -> i64| match values.first().and_then(date) {
            Some(date) => Value::Number(pick(&date)),
            None => Value::Unknown,
        };
        Ok(match function {
            Function::Now => Value::Moment(self.facts.now),
            Function::Today => Value::Date(zone().date(self.facts.now)),
            Function::Year => part(|date| i64::from(date.0.year())),
            Function::Month => part(|date| i64::from(date.0.month())),
            Function::Day => part(|date| i64::from(date.0.day())),
            Function::DaysBetween => match (values.first().and_then(date), values.get(1).and_then(date)) {
                (Some(a), Some(b)) => Value::Number(a.days_until(b)),
                _ => Value::Unknown,
            },
            Function::Round => match values.first() {
                Some(Value::Decimal(d) | Value::Percent(d)) => Value::Number(d.round()),
                Some(Value::Number(n)) => Value::Number(*n),
                _ => Value::Unknown,
            },
            Function::Lower => match values.first() {
                Some(Value::Text(text)) => Value::Text(text.to_lowercase().into()),
                _ => Value::Unknown,
            },
            Function::Length => match values.first() {
                Some(Value::Text(text)) => count(text.chars().count()),
                Some(Value::List(items)) => count(items.len()),
                _ => Value::Unknown,
            },
        })
    }

    fn binary(&self, op: BinaryOp, left: &Expr, right: &Expr) -> Result<Value, Need> {
        let left = self.eval(left)?;
        match (op, &left) {
            (BinaryOp::And, Value::Bool(false)) | (BinaryOp::Or, Value::Bool(true)) => return Ok(left),
            (BinaryOp::Otherwise, left_value) if left_value.is_known() => return Ok(left),
            _ => {}
        }
        let right = self.eval(right)?;
        Ok(match op {
            BinaryOp::Otherwise => right,
            BinaryOp::And | BinaryOp::Or => connect(op, &left, right),
            _ if !left.is_known() || !right.is_known() => Value::Unknown,
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div => self.arithmetic(op, left, right),
            BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => match self.compare(&left, &right) {
                Some(order) => Value::Bool(match op {
                    BinaryOp::Lt => order == Ordering::Less,
                    BinaryOp::Le => order != Ordering::Greater,
                    BinaryOp::Gt => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                }),
                None => Value::Unknown,
            },
            BinaryOp::Is => Value::Bool(same(&left, &right)),
            BinaryOp::IsNot => Value::Bool(!same(&left, &right)),
            BinaryOp::In => Value::Bool(holds_item(&right, &left)),
            BinaryOp::NotIn => Value::Bool(!holds_item(&right, &left)),
            BinaryOp::Has => Value::Bool(holds_item(&left, &right)),
            BinaryOp::HasAnyOf => Value::Bool(items(&right).iter().any(|item| holds_item(&left, item))),
            BinaryOp::HasAllOf => Value::Bool(items(&right).iter().all(|item| holds_item(&left, item))),
        })
    }

    fn compare(&self, left: &Value, right: &Value) -> Option<Ordering> {
        let start = |date: &Date| self.facts.contact_zone(self.effects).start_of(*date);
        Some(match (left, right) {
            (Value::Number(a), Value::Number(b)) => a.cmp(b),
            (Value::Decimal(a) | Value::Percent(a), Value::Decimal(b) | Value::Percent(b)) => a.cmp(b),
            (Value::Number(a), Value::Decimal(b)) => wide(*a).cmp(&i128::from(b.0)),
            (Value::Decimal(a), Value::Number(b)) => i128::from(a.0).cmp(&wide(*b)),
            (Value::Date(a), Value::Date(b)) => a.cmp(b),
            (Value::Time(a), Value::Time(b)) => a.cmp(b),
            (Value::Moment(a), Value::Moment(b)) => a.cmp(b),
            (Value::Date(a), Value::Moment(b)) => start(a).cmp(b),
            (Value::Moment(a), Value::Date(b)) => a.cmp(&start(b)),
            (Value::Duration(a), Value::Duration(b)) => a.about_ms().cmp(&b.about_ms()),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            _ => return None,
        })
    }

    fn arithmetic(&self, op: BinaryOp, left: Value, right: Value) -> Value {
        match (op, left, right) {
            (op, Value::Number(a), Value::Number(b)) => self.numbers(op, a, b),
            (op, Value::Decimal(a), Value::Decimal(b)) => self.decimals(op, a, b),
            (op, Value::Number(a), Value::Decimal(b)) => self.decimals(op, self.decimal(a), b),
            (op, Value::Decimal(a), Value::Number(b)) => self.decimals(op, a, self.decimal(b)),
            (BinaryOp::Add, Value::Date(date), Value::Duration(span)) => Value::Date(self.shift(date, span)),
            (BinaryOp::Sub, Value::Date(date), Value::Duration(span)) => {
                Value::Date(self.shift(date, span.negate()))
            }
            (BinaryOp::Add, Value::Moment(at), Value::Duration(span)) => Value::Moment(self.later(at, span)),
            (BinaryOp::Sub, Value::Moment(at), Value::Duration(span)) => {
                Value::Moment(self.later(at, span.negate()))
            }
            (BinaryOp::Add, Value::Duration(a), Value::Duration(b)) => Value::Duration(sum(a, b)),
            (BinaryOp::Sub, Value::Duration(a), Value::Duration(b)) => Value::Duration(sum(a, b.negate())),
            (BinaryOp::Add, Value::Text(a), Value::Text(b)) => Value::Text(format!("{a}{b}").into()),
            _ => Value::Unknown,
        }
    }

    /// `add 5 to …` for a number; `Unknown` where that makes no sense.
    pub(super) fn sum(&self, a: Value, b: Value) -> Value {
        self.arithmetic(BinaryOp::Add, a, b)
    }

    /// The number without what was added.
    pub(super) fn difference(&self, a: Value, b: Value) -> Value {
        self.arithmetic(BinaryOp::Sub, a, b)
    }

    /// A date moved by a calendar duration; elapsed time counts as whole days.
    fn shift(&self, date: Date, by: Calendar) -> Date {
        wait::shift(date, by, &self.facts.catalog.holidays)
    }

    pub(super) fn numbers(&self, op: BinaryOp, a: i64, b: i64) -> Value {
        let exact = match op {
            BinaryOp::Add => a.checked_add(b),
            BinaryOp::Sub => a.checked_sub(b),
            BinaryOp::Mul => a.checked_mul(b),
            _ if b == 0 => return Value::Unknown,
            _ => a.checked_div(b),
        };
        let negative = match op {
            BinaryOp::Mul | BinaryOp::Div => (a < 0) != (b < 0),
            _ => a < 0,
        };
        Value::Number(exact.unwrap_or_else(|| self.saturated(negative)))
    }

    pub(super) fn decimals(&self, op: BinaryOp, a: Decimal, b: Decimal) -> Value {
        let exact = match op {
            BinaryOp::Add => a.0.checked_add(b.0).map(Decimal),
            BinaryOp::Sub => a.0.checked_sub(b.0).map(Decimal),
            BinaryOp::Mul => a.checked_mul(b),
            _ if b.0 == 0 => return Value::Unknown,
            _ => a.checked_div(b),
        };
        let negative = match op {
            BinaryOp::Mul | BinaryOp::Div => (a.0 < 0) != (b.0 < 0),
            _ => a.0 < 0,
        };
        Value::Decimal(exact.unwrap_or_else(|| Decimal(self.saturated(negative))))
    }

    pub(super) fn decimal(&self, n: i64) -> Decimal {
        match n.checked_mul(Decimal::ONE) {
            Some(exact) => Decimal(exact),
            None => Decimal(self.saturated(n < 0)),
        }
    }

    fn negate(&self, value: Value) -> Value {
        match value {
            Value::Number(n) => Value::Number(n.checked_neg().unwrap_or_else(|| self.saturated(false))),
            Value::Decimal(d) => {
                Value::Decimal(Decimal(d.0.checked_neg().unwrap_or_else(|| self.saturated(false))))
            }
            Value::Duration(span) => Value::Duration(span.negate()),
            _ => Value::Unknown,
        }
    }

    fn saturated(&self, negative: bool) -> i64 {
        self.facts.odd("a number grew too large and was cut to the largest there is");
        if negative { i64::MIN } else { i64::MAX }
    }
}

/// `a and b`, `a or b` where `a` did not decide by itself.
fn connect(op: BinaryOp, left: &Value, right: Value) -> Value {
    let deciding = Value::Bool(op == BinaryOp::Or);
    match right {
        Value::Bool(_) if right == deciding => right,
        Value::Bool(_) if matches!(left, Value::Bool(_)) => right,
        _ => Value::Unknown,
    }
}

/// Whether two known values are equal. Nothing equals a missing value.
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Unknown, _) | (_, Value::Unknown) => false,
        (Value::Number(a), Value::Decimal(b)) | (Value::Decimal(b), Value::Number(a)) => {
            wide(*a) == i128::from(b.0)
        }
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => left == right,
    }
}

fn wide(n: i64) -> i128 {
    i128::from(n) * i128::from(Decimal::ONE)
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::List(items) => items,
        other => std::slice::from_ref(other),
    }
}

fn holds_item(list: &Value, item: &Value) -> bool {
    match list {
        Value::List(items) => items.iter().any(|one| same(one, item)),
        _ => false,
    }
}

fn count(n: usize) -> Value {
    Value::Number(i64::try_from(n).unwrap_or(i64::MAX))
}

fn sum(a: Calendar, b: Calendar) -> Calendar {
    Calendar {
        months: a.months.saturating_add(b.months),
        days: a.days.saturating_add(b.days),
        working_days: a.working_days.saturating_add(b.working_days),
        ms: a.ms.saturating_add(b.ms),
    }
}

/// The outcome of an `ask` whose answers came, and the flag that says so.
pub const ANSWERED: &str = "answered";

/// Outcome words that are yes or no: where nothing was heard, they are no.
fn is_flag(kind: SlotKind, name: &str) -> bool {
    match kind {
        SlotKind::Message => matches!(
            name,
            "sent"
                | "delivered"
                | "opened"
                | "clicked"
                | "bounced"
                | "complained"
                | "replied"
                | "failed"
                | "skipped"
                | "unreachable"
        ),
        SlotKind::Wait => matches!(name, "happened" | "missed" | "late"),
        SlotKind::Request => name == "failed",
        SlotKind::Survey => name == ANSWERED,
        SlotKind::Entry
        | SlotKind::Event
        | SlotKind::Let
        | SlotKind::Task
        | SlotKind::Loop
        | SlotKind::Child => false,
    }
}
