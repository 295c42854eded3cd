//! Time and events: waits, clock times, windows, what may have happened before.

use super::circles::enters;
use super::expr::Reader;
use super::findings::{Findings, finding};
use super::journey::Journey;
use super::schema::Schema;
use super::visit::{conjuncts, each_stmt_of};
use crate::diagnostic::{Code, Span};
use crate::engine::program::ZoneRef;
use crate::lang::ast::{
    self, AggregateFn, ExprKind, JourneyItemKind, Moment, MomentKind, Op, Stmt, StmtKind, Unit, Wait,
};
use crate::lang::types::{calendar, zone_ref};
use crate::time::{Date, HOUR, TimeOfDay, Zone};

/// Years in which clock changes are looked for.
const YEARS: std::ops::RangeInclusive<i16> = 2025..=2030;

pub(super) fn check(journey: &mut Journey) {
    forever(journey);
    clock_changes(journey);
    hours_for_days(journey);
}

// ---------------------------------------------------------------- single durations and conditions

/// E0409: nothing is no duration to wait.
pub(super) fn positive(reader: &mut Reader, duration: &ast::Duration) {
    let span = calendar(duration);
    let positive = span.about_ms() > 0 || span.working_days > 0;
    if !positive {
        let message = format!("`{}` is no time at all", reader.text(duration.span));
        reader.report(
            finding(Code::E0409, duration.span, message)
                .label("not longer than nothing")
                .help("leave it out, or say how long"),
        );
    }
}

/// W0413: told at the first place of the project, since one list of holidays mends all.
pub(super) fn working_days(reader: &mut Reader, duration: &ast::Duration) {
    let counted = duration.parts.iter().any(|(_, unit)| *unit == Unit::WorkingDay);
    let told = reader.out.list.iter().any(|finding| finding.code == Code::W0413);
    if counted && !told && reader.schema.input.settings.holidays.is_none() {
        reader.report(
            finding(Code::W0413, duration.span, "working days are counted, but no holidays are listed")
                .label("only Saturday and Sunday are free")
                .help("name a CSV file with the columns `date,region` in fahrplan.toml: `[calendar]`, `holidays = \"holidays.csv\"`"),
        );
    }
}

/// W0416: `none(… within …)` is true for somebody who came yesterday, too.
pub(super) fn newcomers(schema: &Schema, condition: &ast::Expr, out: &mut Findings) {
    let parts = conjuncts(condition);
    if parts.iter().any(|part| excludes_newcomers(schema, part, 0)) {
        return;
    }
    for part in parts {
        let ExprKind::Aggregate(aggregate) = &part.kind else { continue };
        let windowed = matches!(aggregate.reach, Some(ast::Reach::Within(_)));
        let about_messages = aggregate.of.parts[0].text.starts_with("message_");
        if aggregate.function != AggregateFn::None || !windowed || about_messages {
            continue;
        }
        let event = &aggregate.of.parts[0].text;
        let message =
            format!("this is also true for people who never had `{event}`, and for those who came yesterday");
        out.push(
            finding(Code::W0416, part.span, message)
                .label("newcomers too")
                .help(format!("add `any({event} ever) and` if they shall not count")),
        );
    }
}

/// Whether a condition can only be true for somebody whom we have known for a while.
fn excludes_newcomers(schema: &Schema, condition: &ast::Expr, depth: usize) -> bool {
    match &condition.kind {
        ExprKind::Aggregate(aggregate) => aggregate.function == AggregateFn::Any,
        ExprKind::Binary { op: Op::Gt | Op::Ge, left, .. } => matches!(
            &left.kind,
            ExprKind::Aggregate(aggregate) if matches!(aggregate.function, AggregateFn::Count | AggregateFn::Sum)
        ),
        ExprKind::Binary { op: Op::Lt | Op::Le, left, .. } => matches!(left.kind, ExprKind::Path(_)),
        ExprKind::Path(path) if path.parts.len() == 1 && depth < 8 => {
            schema.segments.get(path.parts[0].text.as_str()).is_some_and(|segment| {
                conjuncts(&segment.expr).iter().any(|part| excludes_newcomers(schema, part, depth + 1))
            })
        }
        _ => false,
    }
}

// ---------------------------------------------------------------- waits

pub(super) fn waits<'a>(journey: &Journey<'_, 'a>) -> Vec<(&'a Stmt, &'a Wait)> {
    let mut waits = Vec::new();
    each_stmt_of(journey.journey, &mut |stmt, _| {
        if let StmtKind::Wait(wait) = &stmt.kind {
            waits.push((stmt, &**wait));
        }
    });
    waits
}

fn forever(journey: &mut Journey) {
    for (_, wait) in waits(journey) {
        let (Wait::Event { patience, .. } | Wait::Condition { patience, .. } | Wait::Race { patience, .. }) =
            wait
        else {
            continue;
        };
        if let ast::Patience::Forever(span) = patience {
            journey.out.push(
                finding(Code::W0401, *span, "this wait may never end")
                    .label("no limit")
                    .help("write `up to 30 days`, say, and what happens then"),
            );
        }
    }
}

/// Every moment that a statement or rule names.
fn moments<'a>(journey: &Journey<'_, 'a>) -> Vec<&'a Moment> {
    let mut all = Vec::new();
    each_stmt_of(journey.journey, &mut |stmt, _| match &stmt.kind {
        StmtKind::Send(send) => all.extend(&send.before),
        StmtKind::Pause { how: ast::Pause::Until(moment), .. } => all.push(moment),
        StmtKind::Wait(wait) => match &**wait {
            Wait::For { then_until, .. } | Wait::Event { then_until, .. } => all.extend(then_until),
            Wait::Until { moment, .. } => all.push(moment),
            Wait::Condition { .. } | Wait::Race { .. } => {}
        },
        _ => {}
    });
    all
}

/// W0405: clock times that are skipped or come twice when clocks change.
fn clock_changes(journey: &mut Journey) {
    let mut times: Vec<(TimeOfDay, Span, ZoneRef)> = Vec::new();
    let mut add = |clock: &ast::Clock, zone: &Option<ast::Zone>, usual: ZoneRef| {
        if let Some(time) = TimeOfDay::new(clock.hour, clock.minute, clock.second) {
            times.push((time, clock.span, zone_ref(zone.as_ref(), usual)));
        }
    };
    let clock = |at: &Option<ast::TimeOfDay>| match at {
        Some(ast::TimeOfDay::Clock(clock)) => Some(*clock),
        _ => None,
    };
    for moment in moments(journey) {
        let found = match &moment.kind {
            MomentKind::Weekday { at, .. } | MomentKind::Date { at, .. } | MomentKind::Anchor { at, .. } => {
                clock(at)
            }
            MomentKind::Time(time) => Some(*time),
            MomentKind::DateTime(..) => None,
        };
        if let Some(found) = found {
            add(&found, &moment.zone, ZoneRef::Contact);
        }
    }
    for enter in enters(journey.journey) {
        match &enter.how {
            ast::EnterHow::EveryWeekday { at: ast::TimeOfDay::Clock(clock), zone, .. } => {
                add(clock, zone, ZoneRef::Contact)
            }
            ast::EnterHow::Anniversary { at: Some(ast::TimeOfDay::Clock(clock)), zone, .. }
            | ast::EnterHow::Offset { at: Some(ast::TimeOfDay::Clock(clock)), zone, .. } => {
                add(clock, zone, ZoneRef::Contact)
            }
            _ => {}
        }
    }
    for (time, span, zone) in times {
        let name = match zone {
            ZoneRef::Named(name) => name.to_string(),
            ZoneRef::Contact | ZoneRef::Project => journey.schema.input.settings.zone.clone(),
        };
        let Some(day) = Zone::named(&name).and_then(|zone| irregular_day(&zone, time)) else { continue };
        let message =
            format!("clocks in {name} skip or repeat {time} when they change, for example on {day}");
        journey.out.push(
            finding(Code::W0405, span, message)
                .label("not on every day, not once a day")
                .help("skipped, it means the first instant after; repeated, the earlier one. Choose 04:00, say, to be clear"),
        );
    }
}

fn irregular_day(zone: &Zone, time: TimeOfDay) -> Option<Date> {
    let first = Date::new(*YEARS.start(), 1, 1)?;
    let days = i32::from(YEARS.end() - YEARS.start() + 1) * 366;
    (0..days).map(|n| first.plus_days(n)).find(|date| zone.is_irregular(*date, time))
}

/// W0406: `wait 24 hours`, and then a clock time: a day was meant.
fn hours_for_days(journey: &mut Journey) {
    let look = |stmts: &mut dyn Iterator<Item = &Stmt>| {
        let mut before: Option<&Stmt> = None;
        let mut made = Vec::new();
        for stmt in stmts {
            if let Some((duration, clock)) = day_in_hours(before, stmt) {
                made.push((duration.clone(), clock));
            }
            before = Some(stmt);
        }
        made
    };
    let mut made = Vec::new();
    let mut top = journey.journey.items.iter().filter_map(|item| match &item.kind {
        JourneyItemKind::Stmt(stmt) => Some(stmt),
        _ => None,
    });
    made.extend(look(&mut top));
    for item in &journey.journey.items {
        if let JourneyItemKind::Stage { body, .. } | JourneyItemKind::Handler { body, .. } = &item.kind {
            made.extend(look(&mut body.stmts.iter()));
        }
    }
    each_stmt_of(journey.journey, &mut |stmt, _| {
        for block in super::visit::blocks(stmt) {
            made.extend(look(&mut block.stmts.iter()));
        }
    });
    for (duration, clock) in made {
        let days = calendar(&duration).ms / (24 * HOUR);
        let unit = if days == 1 { "day" } else { "days" };
        let message = format!("{} hours before a clock time: a calendar day is probably meant", days * 24);
        journey.out.push(
            finding(Code::W0406, duration.span, message)
                .label("counts hours, also when clocks change")
                .related(clock, "the clock time")
                .help(format!("write `{days} {unit}`: the same clock time that many days later"))
                .suggest(format!("write `{days} {unit}`"), duration.span, format!("{days} {unit}")),
        );
    }
}

/// `wait 24 hours` with a clock time in it or right behind it.
fn day_in_hours<'s>(before: Option<&'s Stmt>, stmt: &'s Stmt) -> Option<(&'s ast::Duration, Span)> {
    let StmtKind::Wait(wait) = &stmt.kind else { return None };
    if let Wait::For { duration, longest: None, then_until: Some(moment), .. } = &**wait
        && is_whole_days_in_hours(duration)
    {
        return clock_of(moment).map(|clock| (duration, clock));
    }
    let Wait::Until { moment, .. } = &**wait else { return None };
    let StmtKind::Wait(earlier) = &before?.kind else { return None };
    match &**earlier {
        Wait::For { duration, longest: None, then_until: None, .. } if is_whole_days_in_hours(duration) => {
            clock_of(moment).map(|clock| (duration, clock))
        }
        _ => None,
    }
}

fn is_whole_days_in_hours(duration: &ast::Duration) -> bool {
    let span = calendar(duration);
    span.months == 0 && span.days == 0 && span.working_days == 0 && span.ms > 0 && span.ms % (24 * HOUR) == 0
}

fn clock_of(moment: &Moment) -> Option<Span> {
    match &moment.kind {
        MomentKind::Time(clock) => Some(clock.span),
        MomentKind::Weekday { at: Some(ast::TimeOfDay::Clock(clock)), .. } => Some(clock.span),
        MomentKind::Weekday { window: Some(window), .. } => Some(window.span),
        _ => None,
    }
}
