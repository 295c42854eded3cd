//! What the rules of the policies make of what a journey sends: a fixed time that lies in quiet hours (W0601), and more messages
//! than a cap ever lets through (E0602).

use super::asking::message_of;
use super::circles::enters;
use super::findings::finding;
use super::graph::{At, START, Turn, What, is_wait};
use super::journey::Journey;
use super::names::channel_names;
use super::visit::{blocks, each_stmt, each_stmt_of};
use crate::diagnostic::{Code, Span};
use crate::engine::program::{Cap, CapWindow, Quiet, Then, Word, ZoneRef};
use crate::lang::ast::{
    self, ChannelChoice, EnterHow, JourneyItemKind, Moment, MomentKind, Patience, Stmt, StmtKind, Wait,
};
use crate::lang::types::{calendar, zone_ref};
use crate::time::{DAY, HOUR, MINUTE, TimeOfDay};

pub(super) fn check(journey: &mut Journey) {
    if journey.names.damaged.is_empty() {
        fixed_times(journey);
        too_many(journey);
    }
}

// ---------------------------------------------------------------- fixed times

/// A clock time at which something is due, and where one is then.
struct Fixed {
    time: TimeOfDay,
    zone: ZoneRef,
    place: Span,
    from: Vec<At>,
}

/// W0601: what is due at that time leaves at another.
fn fixed_times(journey: &mut Journey) {
    for fixed in all_fixed(journey) {
        let met = messages_from(journey, &fixed.from).into_iter().find_map(|(stmt, send)| {
            let purpose = journey.purposes.get(&stmt)?;
            let rules = journey.schema.catalog.policy.quiet.iter().enumerate();
            let (n, quiet) = rules.into_iter().find(|(_, quiet)| {
                quiet.zone == fixed.zone
                    && is_within(quiet, fixed.time)
                    && journey.schema.catalog.lineage(purpose).any(|above| *above == quiet.purpose)
                    && channel_names(&send.channels)
                        .iter()
                        .all(|name| quiet.channels.is_empty() || quiet.channels.contains(&word(name)))
            })?;
            Some((n, quiet.clone(), Span::new(stmt.file, stmt.start, send.template.span.end)))
        });
        let Some((n, quiet, sent)) = met else { continue };
        let (clock, from, to) = (fixed.time, quiet.from, quiet.to);
        let message = match quiet.then {
            Then::Wait(_) => format!("at {clock} nothing leaves: this message goes at {to}"),
            Then::Skip => format!("at {clock} nothing leaves: this message is never sent"),
            Then::Exit => format!("at {clock} nothing leaves: the journey ends here"),
        };
        let mut made = finding(Code::W0601, fixed.place, message)
            .label(format!("quiet from {from} to {to}"))
            .related(sent, "sent then");
        if let Some(rule) = journey.schema.quiet_lines.get(n) {
            made = made.related(*rule, "the rule");
        }
        journey.out.push(made.help(format!("say a time at which it may leave, such as `{to}`")).suggest(
            format!("write `{to}`"),
            fixed.place,
            to.to_string(),
        ));
    }
}

fn word(name: &ast::Name) -> Word {
    name.text.as_str().into()
}

fn is_within(quiet: &Quiet, time: TimeOfDay) -> bool {
    match quiet.from <= quiet.to {
        true => quiet.from <= time && time < quiet.to,
        false => quiet.from <= time || time < quiet.to,
    }
}

/// Clock times of waits and of entries.
fn all_fixed(journey: &Journey) -> Vec<Fixed> {
    let mut all = Vec::new();
    for (at, stmt) in journey.reached_stmts() {
        let StmtKind::Wait(wait) = &stmt.kind else { continue };
        let moment = match &**wait {
            Wait::Until { moment, .. } => Some(moment),
            Wait::For { then_until, .. } | Wait::Event { then_until, .. } => then_until.as_ref(),
            Wait::Condition { .. } | Wait::Race { .. } => None,
        };
        let Some((moment, clock)) = moment.and_then(|moment| Some((moment, clock_of(moment)?))) else {
            continue;
        };
        // Where the moment is past already, nobody waits for the clock.
        let ways = journey.graph.nodes[at].out.iter().filter(|(_, turn)| !matches!(turn, Turn::Past));
        let from = ways.map(|(to, _)| *to).collect();
        all.extend(fixed(clock, moment.zone.as_ref(), from));
    }
    let begin: Vec<At> = journey.graph.nodes[START].out.iter().map(|(to, _)| *to).collect();
    for enter in enters(journey.journey) {
        let (clock, zone) = match &enter.how {
            EnterHow::At { time, zone: Some(zone), .. } => (Some(*time), Some(zone)),
            EnterHow::EveryWeekday { at, zone, .. } => (fixed_clock(Some(at)), zone.as_ref()),
            EnterHow::Anniversary { at, zone, .. } | EnterHow::Offset { at, zone, .. } => {
                (fixed_clock(at.as_ref()), zone.as_ref())
            }
            _ => continue,
        };
        all.extend(clock.and_then(|clock| fixed(clock, zone, begin.clone())));
    }
    all
}

fn fixed(clock: ast::Clock, zone: Option<&ast::Zone>, from: Vec<At>) -> Option<Fixed> {
    let time = TimeOfDay::new(clock.hour, clock.minute, clock.second)?;
    Some(Fixed { time, zone: zone_ref(zone, ZoneRef::Contact), place: clock.span, from })
}

fn fixed_clock(at: Option<&ast::TimeOfDay>) -> Option<ast::Clock> {
    match at {
        Some(ast::TimeOfDay::Clock(clock)) => Some(*clock),
        Some(ast::TimeOfDay::Path(_)) | None => None,
    }
}

fn clock_of(moment: &Moment) -> Option<ast::Clock> {
    match &moment.kind {
        MomentKind::Time(clock) => Some(*clock),
        MomentKind::Weekday { at, .. } | MomentKind::Date { at, .. } | MomentKind::Anchor { at, .. } => {
            fixed_clock(at.as_ref())
        }
        MomentKind::DateTime(..) => None,
    }
}

/// The messages that leave from these places on before anybody waits, with the places of their statements.
fn messages_from<'a>(journey: &Journey<'_, 'a>, from: &[At]) -> Vec<(Span, std::borrow::Cow<'a, ast::Send>)> {
    let mut seen = vec![false; journey.graph.nodes.len()];
    let mut open = from.to_vec();
    let mut found = Vec::new();
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut seen[at], true) {
            continue;
        }
        if let What::Stmt(stmt) = journey.graph.nodes[at].what {
            found.extend(message_of(stmt).map(|send| (stmt.span, send)));
            if is_wait(stmt) || matches!(stmt.kind, StmtKind::Request(_)) {
                continue;
            }
        }
        open.extend(journey.graph.nodes[at].out.iter().map(|(to, _)| *to));
    }
    found.sort_by_key(|(stmt, _)| stmt.start);
    found
}

// ---------------------------------------------------------------- caps

/// A message on a straight way, and when it leaves at the latest after the first.
struct Sent {
    at_ms: i64,
    purpose: Word,
    /// Those on which it surely leaves; none where one of several is chosen.
    channels: Vec<Word>,
    place: Span,
}

/// E0602: everybody who gets there has had as many messages as the cap allows, so this one is never sent.
fn too_many(journey: &mut Journey) {
    let policy = &journey.schema.catalog.policy;
    let slack = if policy.quiet.is_empty() { 0 } else { DAY };
    let caps: Vec<(usize, Cap, i64)> = (policy.caps.iter().enumerate())
        .filter(|(_, cap)| matches!(cap.then, Then::Skip | Then::Exit))
        .filter_map(|(n, cap)| match cap.window {
            CapWindow::Rolling(window) => Some((n, cap.clone(), window.about_ms())),
            // Where a calendar month ends nobody knows here.
            CapWindow::Calendar(_) => None,
        })
        .collect();
    if caps.is_empty() {
        return;
    }
    let mut told: Vec<(Span, usize)> = Vec::new();
    for stretch in stretches(journey) {
        for (n, cap, window) in &caps {
            let counted: Vec<(&Sent, usize)> = stretch
                .iter()
                .filter_map(|sent| Some((sent, slots(journey, cap, sent)?)).filter(|(_, slots)| *slots > 0))
                .collect();
            let over = counted.iter().enumerate().find_map(|(last, (sent, _))| {
                let near = |(first, _): &&(&Sent, usize)| {
                    let apart = sent.at_ms - first.at_ms;
                    apart == 0 || apart + slack < *window
                };
                let before: Vec<&(&Sent, usize)> = counted[..=last].iter().filter(near).collect();
                let taken: usize = before.iter().map(|(_, slots)| slots).sum();
                let first = before.first().map_or(sent.at_ms, |(first, _)| first.at_ms);
                (taken > cap.number as usize).then_some((*sent, taken, sent.at_ms - first))
            });
            let Some((sent, taken, apart)) = over else { continue };
            if told.contains(&(sent.place, *n)) {
                continue;
            }
            told.push((sent.place, *n));
            report(journey, (*n, cap), sent.place, taken, apart);
        }
    }
}

/// How many slots of the cap a message takes.
fn slots(journey: &Journey, cap: &Cap, sent: &Sent) -> Option<usize> {
    let counts = journey.schema.catalog.lineage(&sent.purpose).any(|above| *above == cap.purpose);
    if !counts || journey.schema.is_transactional(&sent.purpose) {
        return None;
    }
    Some(match &cap.channel {
        Some(channel) => usize::from(sent.channels.contains(channel)),
        None => sent.channels.len().max(1),
    })
}

fn report(journey: &mut Journey, (n, cap): (usize, &Cap), place: Span, taken: usize, apart: i64) {
    let CapWindow::Rolling(window) = cap.window else { return };
    let what = match &cap.channel {
        Some(channel) => format!("{channel} of `{}`", cap.purpose),
        None => format!("message of `{}`", cap.purpose),
    };
    let ordinal = match taken {
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        4 => "fourth".to_owned(),
        5 => "fifth".to_owned(),
        more => format!("{more}th"),
    };
    let within = match apart {
        0 => "at once".to_owned(),
        ms => format!("within {}", length(ms)),
    };
    let message =
        format!("this is the {ordinal} {what} {within}, and a cap allows {} per {window}", cap.number);
    let label = match cap.then {
        Then::Exit => "here the journey ends for everybody",
        Then::Skip | Then::Wait(_) => "nobody ever gets it",
    };
    let mut made = finding(Code::E0602, place, message).label(label);
    if let Some(rule) = journey.schema.cap_lines.get(n) {
        made = made.related(*rule, "the cap");
    }
    journey.out.push(made.help(format!(
        "send less, leave more time between, or let the cap hold it: `then wait up to {window}`"
    )));
}

fn length(ms: i64) -> String {
    let words = |n: i64, unit: &str| format!("{n} {unit}{}", if n == 1 { "" } else { "s" });
    match ms {
        ms if ms >= DAY => words((ms + DAY / 2) / DAY, "day"),
        ms if ms >= HOUR => words((ms + HOUR / 2) / HOUR, "hour"),
        ms => words((ms + MINUTE - 1) / MINUTE, "minute"),
    }
}

/// The messages of each stretch of statements that everybody goes through one after the other, in a time that is known.
fn stretches(journey: &Journey) -> Vec<Vec<Sent>> {
    let mut lists: Vec<Vec<&Stmt>> = Vec::new();
    lists.push(
        (journey.journey.items.iter())
            .filter_map(|item| match &item.kind {
                JourneyItemKind::Stmt(stmt) => Some(stmt),
                _ => None,
            })
            .collect(),
    );
    for item in &journey.journey.items {
        if let JourneyItemKind::Stage { body, .. } | JourneyItemKind::Handler { body, .. } = &item.kind {
            lists.push(body.stmts.iter().collect());
        }
    }
    each_stmt_of(journey.journey, &mut |stmt, _| {
        lists.extend(blocks(stmt).into_iter().map(|block| block.stmts.iter().collect::<Vec<_>>()));
    });
    let mut all = Vec::new();
    for list in lists {
        let (mut stretch, mut clock) = (Vec::new(), 0);
        for stmt in list {
            if let Some(send) = message_of(stmt)
                && let Some(purpose) = journey.purposes.get(&stmt.span)
            {
                let channels = match &send.channels {
                    ChannelChoice::One(name) => vec![word(name)],
                    ChannelChoice::And(names) => names.iter().map(word).collect(),
                    ChannelChoice::Else(_) | ChannelChoice::Cheapest(_) | ChannelChoice::Preferred(_) => {
                        Vec::new()
                    }
                };
                let place = Span::new(stmt.span.file, stmt.span.start, send.template.span.end);
                stretch.push(Sent { at_ms: clock, purpose: purpose.clone(), channels, place });
            }
            match pace(stmt) {
                Some(ms) => clock += ms,
                None => {
                    all.push(std::mem::take(&mut stretch));
                    clock = 0;
                }
            }
        }
        all.push(stretch);
    }
    all
}

/// How long somebody is at a statement at most; `None` where that is not known, or where not everybody goes on.
fn pace(stmt: &Stmt) -> Option<i64> {
    match &stmt.kind {
        StmtKind::Send(_)
        | StmtKind::Take { .. }
        | StmtKind::Record { .. }
        | StmtKind::Set { .. }
        | StmtKind::Add { .. }
        | StmtKind::AddContact { .. }
        | StmtKind::Remove { .. }
        | StmtKind::RemoveContact { .. }
        | StmtKind::Let { .. }
        | StmtKind::Grant { .. }
        | StmtKind::StartJourney { .. } => Some(0),
        StmtKind::Ask(ask) => at_most(ask.limit.as_ref()?),
        StmtKind::Call(work) | StmtKind::Assign(work) => at_most(work.limit.as_ref()?),
        StmtKind::Wait(wait) => match &**wait {
            Wait::For { duration, longest, then_until, .. } => {
                Some(at_most(longest.as_ref().unwrap_or(duration))? + to_clock(then_until.as_ref())?)
            }
            Wait::Until { moment, body: None, .. } => to_clock(Some(moment)),
            Wait::Event { patience: Patience::UpTo(limit), then_until, .. } => {
                Some(at_most(limit)? + to_clock(then_until.as_ref())?)
            }
            Wait::Condition { patience: Patience::UpTo(limit), .. } => at_most(limit),
            _ => None,
        },
        // Who is still there behind it has lost no time in it.
        StmtKind::If(_) | StmtKind::Switch(_) | StmtKind::Split { .. } => {
            let mut at_once = true;
            for block in blocks(stmt) {
                each_stmt(block, 1, &mut |inner, _| {
                    at_once &= match &inner.kind {
                        StmtKind::Exit { .. }
                        | StmtKind::If(_)
                        | StmtKind::Switch(_)
                        | StmtKind::Split { .. } => true,
                        _ => pace(inner) == Some(0),
                    };
                });
            }
            at_once.then_some(0)
        }
        StmtKind::Request(_)
        | StmtKind::Withdraw { .. }
        | StmtKind::Repeat { .. }
        | StmtKind::RunJourney { .. }
        | StmtKind::GoTo(_)
        | StmtKind::Resume
        | StmtKind::Pause { .. }
        | StmtKind::Exit { .. }
        | StmtKind::Error => None,
    }
}

/// The longest that a duration takes; days may have an hour more. `None` where holidays decide.
fn at_most(duration: &ast::Duration) -> Option<i64> {
    let span = calendar(duration);
    let days = i64::from(span.months) * 31 + i64::from(span.days);
    (span.working_days == 0)
        .then(|| days.saturating_mul(DAY).saturating_add(span.ms) + if days > 0 { HOUR } else { 0 })
}

/// The longest to a clock time; `None` for other moments.
fn to_clock(moment: Option<&Moment>) -> Option<i64> {
    match moment.map(|moment| &moment.kind) {
        None => Some(0),
        Some(MomentKind::Time(_)) => Some(DAY),
        Some(_) => None,
    }
}
