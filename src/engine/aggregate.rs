//! `count sum average highest lowest last first any none` over the history of one event name.

use super::eval::{Heard, Scope};
use super::program::{Aggregate, AggregateFn, BinaryOp, Reach, Word};
use super::world::{Event, HISTORY_LIMIT, Need};
use crate::time::{DAY, Timestamp};
use crate::value::{Decimal, Type, Value};

/// How much further back than a calendar window events are asked for: months clamp and days have 23 to 25 hours, so the exact
/// end is decided event by event.
const SLACK: i64 = 4 * DAY;

/// The value of an aggregate over what is loaded and what this call recorded.
pub(super) fn fold(scope: &Scope, aggregate: &Aggregate) -> Result<Value, Need> {
    let mut rows = rows(scope, aggregate)?;
    if let Some(filter) = &aggregate.filter {
        let mut kept = Vec::with_capacity(rows.len());
        for row in rows {
            if scope.at_row(row).holds(filter)? {
                kept.push(row);
            }
        }
        rows = kept;
    }
    let value = |row: &&Event| match &aggregate.field {
        Some(field) => Heard::event(row).field(field),
        None => Heard::event(row).record(),
    };
    if let Some(newest) = aggregate.newest {
        let skip = rows.len().saturating_sub(newest as usize);
        return Ok(Value::List(rows[skip..].iter().rev().map(value).filter(Value::is_known).collect()));
    }
    let mut values = rows.iter().map(value).filter(Value::is_known);
    Ok(match aggregate.function {
        AggregateFn::Count => Value::Number(i64::try_from(rows.len()).unwrap_or(i64::MAX)),
        AggregateFn::Any => Value::Bool(!rows.is_empty()),
        AggregateFn::None => Value::Bool(rows.is_empty()),
        AggregateFn::Last => values.next_back().unwrap_or_default(),
        AggregateFn::First => values.next().unwrap_or_default(),
        AggregateFn::Sum => sum(scope, aggregate, values).0,
        AggregateFn::Average => average(scope, sum(scope, aggregate, values)),
        AggregateFn::Highest => extreme(values, |new, best| new > best),
        AggregateFn::Lowest => extreme(values, |new, best| new < best),
    })
}

/// The first moment of the reach; every event after it is looked at.
pub(super) fn since(scope: &Scope, reach: &Reach) -> Timestamp {
    let (state, now) = (scope.state, scope.facts.now);
    match reach {
        Reach::Ever => Timestamp(i64::MIN),
        Reach::Since(0) => state.map_or(now, |state| state.since),
        Reach::Since(slot) => state.and_then(|state| state.moment(*slot)).unwrap_or(Timestamp::NEVER),
        Reach::Within(window) => {
            let zone = scope.facts.contact_zone(scope.effects);
            let rough = window.before(now, &zone, &scope.facts.catalog.holidays);
            let calendar = window.months != 0 || window.days != 0 || window.working_days != 0;
            if calendar { rough.plus_ms(-SLACK) } else { rough }
        }
    }
}

/// Whether an event lies in the reach: for windows exactly when it has not yet left, so that what a re-check computes and what
/// an evaluation sees can never disagree. One that was accepted has happened, though the clock that stamped it may be a little ahead of
/// ours.
pub(super) fn reaches(scope: &Scope, reach: &Reach, since: Timestamp, event: &Event) -> bool {
    let at = event.occurred_at;
    match reach {
        Reach::Ever => true,
        Reach::Since(_) => at >= since,
        Reach::Within(window) => scope.later(at, *window) > scope.facts.now,
    }
}

/// All events of the name within the reach, oldest first; at most the newest thousand.
pub(super) fn rows<'a>(scope: &Scope<'a>, aggregate: &Aggregate) -> Result<Vec<&'a Event>, Need> {
    let since = since(scope, &aggregate.reach);
    let loaded = scope.facts.history(&aggregate.event, since)?;
    let own = scope.effects.events.iter().filter(|event| event.name == aggregate.event);
    let inside = |event: &&Event| reaches(scope, &aggregate.reach, since, event);
    let mut rows: Vec<&Event> = loaded.events.iter().filter(inside).collect();
    let before = rows.len();
    rows.extend(own.filter(inside));
    if rows.len() > before {
        rows.sort_by_key(|event| (event.occurred_at, event.id));
    }
    if loaded.truncated || rows.len() > HISTORY_LIMIT {
        rows.drain(..rows.len().saturating_sub(HISTORY_LIMIT));
        let name = &aggregate.event;
        scope.facts.odd(format!("only the newest {HISTORY_LIMIT} {name} events were looked at"));
    }
    Ok(rows)
}

/// The sum and how many there were. The sum over nothing is zero of the field's type.
fn sum(scope: &Scope, aggregate: &Aggregate, values: impl Iterator<Item = Value>) -> (Value, i64) {
    let field = |name: &Word| {
        let event = scope.facts.catalog.events.get(&aggregate.event)?;
        event.fields.iter().find(|field| field.name == *name).map(|field| field.ty.required())
    };
    let zero = match aggregate.field.as_ref().and_then(field) {
        Some(Type::Decimal(_)) => Value::Decimal(Decimal::default()),
        _ => Value::Number(0),
    };
    values.fold((zero, 0), |(total, count), value| {
        let total = match (total, value) {
            (Value::Number(a), Value::Number(b)) => scope.numbers(BinaryOp::Add, a, b),
            (Value::Decimal(a), Value::Decimal(b)) => scope.decimals(BinaryOp::Add, a, b),
            (Value::Number(a), Value::Decimal(b)) | (Value::Decimal(b), Value::Number(a)) => {
                scope.decimals(BinaryOp::Add, scope.decimal(a), b)
            }
            (total, _) => total,
        };
        (total, count + 1)
    })
}

/// An average is a decimal, that of whole numbers too.
fn average(scope: &Scope, (total, count): (Value, i64)) -> Value {
    let total = match total {
        Value::Number(total) => scope.decimal(total),
        Value::Decimal(total) => total,
        _ => return Value::Unknown,
    };
    scope.decimals(BinaryOp::Div, total, Decimal::from_int(count))
}

fn extreme(values: impl Iterator<Item = Value>, better: fn(i128, i128) -> bool) -> Value {
    let rank = |value: &Value| match value {
        Value::Number(n) => Some(i128::from(*n) * i128::from(Decimal::ONE)),
        Value::Decimal(d) | Value::Percent(d) => Some(i128::from(d.0)),
        Value::Moment(at) => Some(i128::from(at.0)),
        Value::Date(date) => Some(i128::from(days(*date))),
        Value::Time(time) => Some(i128::from(time.0)),
        Value::Duration(span) => Some(i128::from(span.about_ms())),
        _ => None,
    };
    let mut best: Option<(i128, Value)> = None;
    for value in values {
        if let Some(rank) = rank(&value)
            && best.as_ref().is_none_or(|(so_far, _)| better(rank, *so_far))
        {
            best = Some((rank, value));
        }
    }
    best.map(|(_, value)| value).unwrap_or_default()
}

fn days(date: crate::time::Date) -> i64 {
    crate::time::Date::new(1970, 1, 1).map_or(0, |epoch| epoch.days_until(date))
}
