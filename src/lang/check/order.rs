//! Events in their order: which one is meant, what comes first, what may have happened before.

use super::circles::enters;
use super::findings::finding;
use super::graph::{At, What, is_wait};
use super::journey::Journey;
use super::time::waits;
use super::visit::{each_expr, each_stmt_of, own_exprs};
use crate::diagnostic::{Code, Span};
use crate::lang::ast::{self, EventMatch, ExprKind, JourneyItemKind, MomentKind, Stmt, StmtKind, Wait};

pub(super) fn check(journey: &mut Journey) {
    uncorrelated(journey);
    shadowed_handlers(journey);
    rare_anniversaries(journey);
    past_anchors(journey);
    waits_for_the_past(journey);
    echoes(journey);
}

// ---------------------------------------------------------------- events

/// Every match of an event but those of `enter`, with where its `same` would stand.
fn matches<'a>(journey: &Journey<'_, 'a>) -> Vec<&'a EventMatch> {
    let mut all = Vec::new();
    for item in &journey.journey.items {
        match &item.kind {
            JourneyItemKind::ExitRule { trigger: ast::ExitTrigger::On(event), .. } => all.push(event),
            JourneyItemKind::Goal(goal) => all.push(&goal.event),
            JourneyItemKind::Handler { event, .. } => all.push(event),
            _ => {}
        }
    }
    each_stmt_of(journey.journey, &mut |stmt, _| {
        let StmtKind::Wait(wait) = &stmt.kind else { return };
        match &**wait {
            Wait::Event { event, .. } => all.push(event),
            Wait::Race { arms, .. } => all.extend(arms.iter().filter_map(|arm| match &arm.when {
                ast::ArmWhen::Event(event) => Some(event),
                ast::ArmWhen::Condition { .. } => None,
            })),
            Wait::For { .. } | Wait::Until { .. } | Wait::Condition { .. } => {}
        }
    });
    all
}

/// W0410: the journey runs once for each cart, but the event may be about another cart.
fn uncorrelated(journey: &mut Journey) {
    let key: Vec<String> = enters(journey.journey)
        .flat_map(|enter| &enter.per)
        .filter_map(|path| path.parts.get(1))
        .map(|field| field.text.clone())
        .collect();
    for event in matches(journey) {
        let fields = super::names::event_fields(journey.schema, event);
        let Some(fields) = fields else { continue };
        let has = |name: &&String| crate::lang::types::field(&fields, name).is_some();
        let Some(field) = key.iter().find(has) else { continue };
        // A field that does not exist is told by itself, and was probably meant to be this one.
        let meant = |same: &ast::Name| {
            same.text == *field || crate::lang::types::field(&fields, &same.text).is_none()
        };
        let said = event.same.iter().any(meant) || speaks_of_entry(journey, event);
        if said || event.filter.as_ref().is_some_and(super::visit::is_damaged) {
            continue;
        }
        let names: Vec<String> = event.events.iter().map(ast::Path::joined).collect();
        let last = event
            .name
            .as_ref()
            .map_or_else(|| event.events.last().map_or(event.span, |path| path.span), |name| name.span);
        let names = names.join("`, `");
        let message = format!("any `{names}` of this contact matches, also one with another `{field}`");
        journey.out.push(
            finding(Code::W0410, event.events.first().map_or(event.span, |path| path.span), message)
                .label("which one?")
                .help(format!("add `same {field}`"))
                .suggest(format!("add `same {field}`"), last.shrink_to_end(), format!(" same {field}")),
        );
    }
}

/// Whether the `where` compares with what entered.
fn speaks_of_entry(journey: &Journey, event: &EventMatch) -> bool {
    let entry = journey.names.slot(0).name.clone();
    let mut speaks = false;
    if let Some(filter) = &event.filter {
        each_expr(filter, &mut |expr| {
            if let ExprKind::Path(path) = &expr.kind {
                speaks |= path.parts[0].text == *entry || path.parts[0].text == "entry";
            }
        });
    }
    speaks
}

/// W0411: exits come before handlers, so a handler for the same event never runs.
fn shadowed_handlers(journey: &mut Journey) {
    let exits: Vec<(&ast::Name, &EventMatch)> = journey
        .journey
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            JourneyItemKind::ExitRule { reason, trigger: ast::ExitTrigger::On(event) } => {
                Some((reason, event))
            }
            _ => None,
        })
        .collect();
    for item in &journey.journey.items {
        let JourneyItemKind::Handler { event, .. } = &item.kind else { continue };
        for path in &event.events {
            let name = path.joined();
            let takes = |exit: &&(&ast::Name, &EventMatch)| {
                exit.1.filter.is_none()
                    && exit.1.events.iter().any(|other| other.joined() == name)
                    && exit.1.same.iter().all(|same| event.same.iter().any(|own| own.text == same.text))
            };
            let Some((reason, exit)) = exits.iter().find(takes) else { continue };
            let message =
                format!("this handler never runs: `{name}` ends the journey as `{}` before", reason.text);
            journey.out.push(
                finding(Code::W0411, path.span, message)
                    .label("comes second")
                    .related(exit.span, "exits come first")
                    .help("the order is: exit, handler, wait, goal"),
            );
        }
    }
}

/// I0414: what happens to those who were born on 29 February.
fn rare_anniversaries(journey: &mut Journey) {
    for enter in enters(journey.journey) {
        let ast::EnterHow::Anniversary { path, .. } = &enter.how else { continue };
        journey.out.push(
            finding(Code::I0414, path.span, "29 February is kept on 28 February in common years")
                .label("a date of every year but one day"),
        );
    }
}

// ---------------------------------------------------------------- anchors and the past

/// W0417: a date that may be over when one gets there, and nobody asks.
fn past_anchors(journey: &mut Journey) {
    for (stmt, wait) in waits(journey) {
        let moment = match wait {
            Wait::Until { moment, body: None, .. } => moment,
            Wait::For { then_until: Some(moment), .. } | Wait::Event { then_until: Some(moment), .. } => {
                moment
            }
            _ => continue,
        };
        let MomentKind::Anchor { anchor, .. } = &moment.kind else { continue };
        let read = journey.exprs.get(&anchor.span);
        let is_value = anchor.parts.len() > 1 && read.is_some_and(|read| read.ty != crate::value::Type::Time);
        let slot = journey.names.slot_at.get(&stmt.span);
        let asked =
            slot.is_some_and(|slot| journey.names.slot(*slot).used.iter().any(|field| &**field == "late"));
        if !is_value || asked {
            continue;
        }
        let text = journey.text(moment.span).to_owned();
        let message = format!("`{text}` may be past already: then this goes on at once");
        journey.out.push(
            finding(Code::W0417, moment.span, message)
                .label("perhaps over")
                .help("put what depends on it in a block, `wait until … as d { … }`, or ask `.late` of a name given with `as`"),
        );
    }
}

/// I0408: a wait looks at the future only; while something else was waited for, the event may have come.
fn waits_for_the_past(journey: &mut Journey) {
    let asked = asked_events(journey);
    let exits: Vec<String> = journey
        .journey
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            JourneyItemKind::ExitRule { trigger: ast::ExitTrigger::On(event), .. } => Some(event),
            JourneyItemKind::Handler { event, .. } => Some(event),
            _ => None,
        })
        .flat_map(|event| event.events.iter().map(ast::Path::joined))
        .collect();
    let before = journey.graph.before();
    for (at, stmt) in journey.reached_stmts() {
        let StmtKind::Wait(wait) = &stmt.kind else { continue };
        let Wait::Event { event, look_back: None, .. } = &**wait else { continue };
        let [path] = event.events.as_slice() else { continue };
        let name = path.joined();
        if asked.contains(&name) || exits.contains(&name) {
            continue;
        }
        let Some(rest) = rest_before(journey, &before, at, path) else { continue };
        let rest = journey.schema.input.sources.first_line(rest);
        let message = format!("`{name}` may have happened before this wait begins; that is not noticed");
        let made = finding(Code::I0408, path.span, message)
            .label("looks forward only")
            .related(rest, "while this went on");
        journey.out.push(made.help(match path.parts.len() {
            1 => format!("ask first: `if any({name} since entry) {{ … }}`, or add `including last 1 day`"),
            _ => format!("ask first: `if {name} {{ … }}`, or add `including last 1 day`"),
        }));
    }
}

/// W0407: what the line before brings about may be here before the wait has begun.
fn echoes(journey: &mut Journey) {
    let before = journey.graph.before();
    for (at, stmt) in journey.reached_stmts() {
        let StmtKind::Wait(wait) = &stmt.kind else { continue };
        let (events, looks_back): (Vec<&EventMatch>, bool) = match &**wait {
            Wait::Event { event, look_back, .. } => (vec![event], look_back.is_some()),
            Wait::Race { arms, .. } => {
                let events = arms.iter().filter_map(|arm| match &arm.when {
                    ast::ArmWhen::Event(event) => Some(event),
                    ast::ArmWhen::Condition { .. } => None,
                });
                (events.collect(), false)
            }
            Wait::For { .. } | Wait::Until { .. } | Wait::Condition { .. } => continue,
        };
        let told = events.iter().filter(|_| !looks_back).find_map(|event| {
            let path = event.events.iter().find(|path| is_from_outside(path))?;
            Some((*event, path, cause(journey, &before, at, &path.joined())?))
        });
        let Some((event, path, cause)) = told else { continue };
        let (name, place) = (path.joined(), journey.schema.input.sources.first_line(cause.span));
        let message = match &cause.kind {
            StmtKind::Record { .. } => {
                format!("`{name}` is recorded before this wait begins, which does not see it")
            }
            _ => format!("`{name}` may be here before this wait begins, and would be missed"),
        };
        let mut made = finding(Code::W0407, path.span, message)
            .label("looks forward only")
            .related(place, "this brings it about");
        made = match &**wait {
            Wait::Event { .. } => made
                .help("look back a little as well: add `including last 10 minutes`")
                .suggest(
                    "add `including last 10 minutes`",
                    event.span.shrink_to_end(),
                    " including last 10 minutes",
                ),
            _ => made.help(format!(
                "ask first: `if any({name} within 10 minutes) {{ … }}`, or put the line before behind the wait"
            )),
        };
        journey.out.push(made);
    }
}

/// An event of the schema, not one of messages and not the outcome of a step.
fn is_from_outside(path: &ast::Path) -> bool {
    matches!(path.parts.as_slice(), [name] if !name.text.starts_with("message_"))
}

/// The request right before a wait, or the `record` of its very event, on some way to it.
fn cause<'a>(journey: &Journey<'_, 'a>, before: &[Vec<At>], at: At, event: &str) -> Option<&'a Stmt> {
    let mut seen = vec![false; before.len()];
    let mut open: Vec<At> = before[at].clone();
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut seen[at], true) || !journey.graph.is_reached(at) {
            continue;
        }
        match journey.graph.nodes[at].what {
            What::Stmt(stmt) => match &stmt.kind {
                StmtKind::Request(_) => return Some(stmt),
                StmtKind::Record { event: recorded, .. } if recorded.joined() == event => return Some(stmt),
                StmtKind::Record { .. }
                | StmtKind::Set { .. }
                | StmtKind::Let { .. }
                | StmtKind::Add { .. }
                | StmtKind::Remove { .. } => open.extend(&before[at]),
                _ => {}
            },
            What::Test(_) => open.extend(&before[at]),
            _ => {}
        }
    }
    None
}

/// Events and outcomes that some condition asks for.
fn asked_events(journey: &Journey) -> Vec<String> {
    let mut asked = Vec::new();
    each_stmt_of(journey.journey, &mut |stmt, _| {
        for expr in own_exprs(stmt) {
            each_expr(expr, &mut |expr| match &expr.kind {
                ExprKind::Aggregate(aggregate) => asked.push(aggregate.of.parts[0].text.clone()),
                ExprKind::Path(path) => asked.push(path.joined()),
                _ => {}
            });
        }
    });
    asked
}

/// The last rest before a wait during which its event could come unnoticed.
fn rest_before(journey: &Journey, before: &[Vec<At>], at: At, path: &ast::Path) -> Option<Span> {
    let name = path.joined();
    let sent = match path.parts.as_slice() {
        [step, _] => journey.names.find(step, |_| true),
        _ => None,
    };
    let mut seen = vec![false; before.len()];
    let mut open: Vec<At> = before[at].clone();
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut seen[at], true) || !journey.graph.is_reached(at) {
            continue;
        }
        if matches!(journey.graph.nodes[at].what, What::Unread) {
            continue;
        }
        if let What::Stmt(stmt) = journey.graph.nodes[at].what {
            if sent.is_some() && journey.names.slot_at.get(&stmt.span).copied() == sent {
                continue;
            }
            if is_wait(stmt) {
                if !listens(stmt, &name) {
                    return Some(stmt.span);
                }
                continue;
            }
        }
        open.extend(&before[at]);
    }
    None
}

/// Whether a wait would have noticed the event.
fn listens(stmt: &Stmt, name: &str) -> bool {
    let StmtKind::Wait(wait) = &stmt.kind else { return false };
    let has = |event: &EventMatch| event.events.iter().any(|path| path.joined() == name);
    match &**wait {
        Wait::Event { event, .. } => has(event),
        Wait::Race { arms, .. } => arms.iter().any(|arm| match &arm.when {
            ast::ArmWhen::Event(event) => has(event),
            ast::ArmWhen::Condition { .. } => false,
        }),
        Wait::For { .. } | Wait::Until { .. } | Wait::Condition { .. } => false,
    }
}
