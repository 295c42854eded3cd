//! Work that nobody may be there for, and pools in which nothing may be left: W0508, I0311.

use super::circles::enters;
use super::findings::finding;
use super::graph::{At, What, is_wait};
use super::journey::Journey;
use super::visit::{each_expr, each_stmt_of, own_exprs};
use crate::diagnostic::Code;
use crate::engine::program::{Hours, ZoneRef};
use crate::engine::wait::{next_at, within};
use crate::lang::ast::{
    self, EnterHow, ExprKind, Moment, MomentKind, Name, Op, Stmt, StmtKind, TimeOfDay as Clock, Wait,
};
use crate::lang::types::calendar;
use crate::time::{Calendar, Date, HOUR, Holidays, TimeOfDay, Timestamp, Zone};

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

pub(super) fn check(journey: &mut Journey) {
    deadlines(journey);
    takes(journey);
}

// ---------------------------------------------------------------- deadlines

/// When work may be given, and when the team is there next: after the deadline.
struct Missed {
    given: Timestamp,
    opens: Timestamp,
}

/// W0508: the limit of a call or of other work can be over before anybody of the team is there.
fn deadlines(journey: &mut Journey) {
    let before = journey.graph.before();
    for (at, stmt) in journey.reached_stmts() {
        let (StmtKind::Call(work) | StmtKind::Assign(work)) = &stmt.kind else { continue };
        let Some(limit) = &work.limit else { continue };
        let Some(ExprKind::Path(team)) = work.team.as_ref().map(|team| &team.kind) else { continue };
        let [team] = team.parts.as_slice() else { continue };
        let declared = journey.schema.catalog.teams.get(team.text.as_str());
        let Some(hours) = declared.and_then(|team| team.hours.clone()) else { continue };
        let zone = zone_of(journey, &hours);
        let Some(missed) = missed(&hours, calendar(limit), &zone) else { continue };
        if comes_at_a_clock(journey, &before, at) {
            continue;
        }
        let message = format!("this can be over before `{}` is there again", team.text);
        let label = format!(
            "given on {}, it is over before {}",
            moment(&zone, missed.given),
            moment(&zone, missed.opens)
        );
        let longer = in_words(missed.opens.0 - missed.given.0);
        let mut help = match calendar(limit).working_days {
            0 => format!("give it longer than {longer}"),
            days => format!("give it {} working days", days + 1),
        };
        if let Some(window) = window_of(&hours) {
            help += &format!(", or wait for the hours of the team first: `wait until {window}`");
        }
        journey.out.push(finding(Code::W0508, limit.span, message).label(label).help(help));
    }
}

fn zone_of(journey: &Journey, hours: &Hours) -> Zone {
    let name: &str = match &hours.zone {
        ZoneRef::Named(name) => name,
        ZoneRef::Contact | ZoneRef::Project => &journey.schema.catalog.zone,
    };
    Zone::named(name).unwrap_or_else(Zone::utc)
}

/// The worst moment of a week without holidays in which clocks do not change. Of each day the first moment at which the team is
/// not there is the worst: its beginning, or when the team leaves.
fn missed(hours: &Hours, limit: Calendar, zone: &Zone) -> Option<Missed> {
    let holidays = Holidays::default();
    let monday = Date::new(2026, 1, 12)?;
    let moments =
        (0..7).flat_map(|n| [TimeOfDay(0), hours.to].map(|time| zone.at(monday.plus_days(n), time)));
    let mut worst: Option<Missed> = None;
    for given in moments {
        if within(hours.days, hours.from, hours.to, given, zone, &holidays) {
            continue;
        }
        let opens = next_at(hours.days, hours.from, given, zone, &holidays)?;
        let longer = worst.as_ref().is_none_or(|worst| opens.0 - given.0 > worst.opens.0 - worst.given.0);
        if longer && opens >= limit.after(given, zone, &holidays) {
            worst = Some(Missed { given, opens });
        }
    }
    worst
}

/// `Friday 18:00`.
fn moment(zone: &Zone, at: Timestamp) -> String {
    let (date, time) = (zone.date(at), zone.time(at));
    format!("{} {time}", DAYS[usize::from(date.weekday() - 1)])
}

fn in_words(ms: i64) -> String {
    let hours = (ms + HOUR - 1) / HOUR;
    format!("{hours} hour{}", if hours == 1 { "" } else { "s" })
}

/// The hours as a `wait until` says them, where it has a word for the days.
fn window_of(hours: &Hours) -> Option<String> {
    let days = match (hours.days.mask & 0x7f, hours.days.working) {
        (0x1f, false) => "weekday",
        (0x1f | 0, true) => "working day",
        (0x7f | 0, false) => "day",
        (0x60, false) => "weekend",
        _ => return None,
    };
    let zone = match &hours.zone {
        ZoneRef::Contact => "contact time".to_owned(),
        ZoneRef::Project => "project time".to_owned(),
        ZoneRef::Named(name) => format!("in \"{name}\""),
    };
    Some(format!("{days} between {} and {} {zone}", hours.from, hours.to))
}

/// Whether every way to that place comes from a wait for a clock time, or from an entry at one: then the author has said when.
fn comes_at_a_clock(journey: &Journey, before: &[Vec<At>], at: At) -> bool {
    let mut seen = vec![false; before.len()];
    let mut open = before[at].clone();
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut seen[at], true) || !journey.graph.is_reached(at) {
            continue;
        }
        match journey.graph.nodes[at].what {
            What::Start if enters(journey.journey).all(|enter| enters_at_a_clock(&enter.how)) => {}
            What::Start | What::Handler(_) => return false,
            // What could not be read may be such a wait.
            What::Unread => {}
            What::Stmt(stmt) if waits_for_a_clock(stmt) => {}
            What::Stmt(stmt) if is_wait(stmt) => return false,
            _ => open.extend(&before[at]),
        }
    }
    true
}

fn enters_at_a_clock(how: &EnterHow) -> bool {
    match how {
        EnterHow::At { .. } | EnterHow::Cron { .. } | EnterHow::EveryWeekday { .. } | EnterHow::Error => true,
        EnterHow::Anniversary { at, .. } | EnterHow::Offset { at, .. } => at.is_some(),
        EnterHow::On(_)
        | EnterHow::OnFirst(_)
        | EnterHow::OnChange { .. }
        | EnterHow::When(_)
        | EnterHow::While(_)
        | EnterHow::ByStart(_) => false,
    }
}

fn waits_for_a_clock(stmt: &Stmt) -> bool {
    let StmtKind::Wait(wait) = &stmt.kind else { return false };
    match &**wait {
        Wait::Until { moment, .. } => is_clock(moment),
        Wait::For { then_until, .. } | Wait::Event { then_until, .. } => {
            then_until.as_ref().is_some_and(is_clock)
        }
        Wait::Condition { .. } | Wait::Race { .. } => false,
    }
}

fn is_clock(moment: &Moment) -> bool {
    let said = |at: &Option<Clock>| at.is_some();
    match &moment.kind {
        MomentKind::Time(_) | MomentKind::DateTime(..) => true,
        MomentKind::Weekday { at, window, .. } => said(at) || window.is_some(),
        MomentKind::Date { at, .. } | MomentKind::Anchor { at, .. } => said(at),
    }
}

// ---------------------------------------------------------------- pools

/// I0311: one takes from a pool, and nothing says what becomes of those for whom nothing is left.
fn takes(journey: &mut Journey) {
    for (_, stmt) in journey.reached_stmts() {
        let StmtKind::Take { pool, name, otherwise: None, .. } = &stmt.kind else { continue };
        if name.as_ref().is_some_and(|name| is_asked(journey, name)) || !journey.names.damaged.is_empty() {
            continue;
        }
        let message = format!("`{}` may be empty, and nothing says what happens then", pool.text);
        let ask = match name {
            Some(name) => format!("ask `if {}.failed {{ … }}` behind it", name.text),
            None => "give it a name with `as` and ask `.failed` of it".to_owned(),
        };
        journey.out.push(
            finding(Code::I0311, pool.span, message)
                .label("perhaps nothing is left")
                .help(format!("add `else {{ exit as none_left }}`, say, or {ask}")),
        );
    }
}

/// Whether some line asks whether anything was taken: `.failed`, whether a field is known, or what stands in its place.
fn is_asked(journey: &Journey, name: &Name) -> bool {
    let is_of = |expr: &ast::Expr| match &expr.kind {
        ExprKind::Path(path) => path.parts[0].text == name.text,
        _ => false,
    };
    let mut asked = false;
    each_stmt_of(journey.journey, &mut |stmt, _| {
        for expr in own_exprs(stmt) {
            each_expr(expr, &mut |expr| {
                asked |= match &expr.kind {
                    ExprKind::Path(path) => {
                        is_of(expr) && path.parts.get(1).is_some_and(|field| field.text == "failed")
                    }
                    ExprKind::Binary { left, op: Op::Otherwise, .. } => is_of(left),
                    ExprKind::Binary { left, right, .. } => {
                        is_of(left) && matches!(right.kind, ExprKind::Presence(_))
                    }
                    _ => false,
                };
            });
        }
    });
    asked
}
