//! Where ways lead: ends, loose ends, places that nobody reaches, circles, and how long it all takes.

use super::durations::Longest;
use super::findings::finding;
use super::graph::{At, START, Turn, What, is_wait};
use super::journey::Journey;
use crate::diagnostic::{Code, Span};
use crate::engine::program::Word;
use crate::lang::ast::{JourneyItemKind, Reenter, StmtKind};
use crate::lang::types::calendar;

/// A journey with more steps, or deeper blocks, is hard to keep in mind.
const MOST_STEPS: usize = 60;
const DEEPEST: usize = 5;

pub(super) fn check(journey: &mut Journey) {
    // Where a brace is missing, nobody knows what ends where.
    let whole = |(code, span): &(Code, Span)| *code == Code::E0002 && journey.journey.span.contains(*span);
    if !journey.schema.parsed.iter().any(whole) {
        loose_ends(journey);
    }
    unreachable(journey);
    circles(journey);
    oversized(journey);
    longest(journey);
}

// ---------------------------------------------------------------- ends

fn loose_ends(journey: &mut Journey) {
    loose_end(journey);
    for first in journey.graph.handlers.clone() {
        handler_end(journey, first);
    }
    let ends: Vec<(At, Span)> = nodes(journey, |what| matches!(what, What::ElseEnd));
    for (end, span) in ends {
        let roots: Vec<At> = journey.graph.roots().collect();
        if roots.into_iter().any(|root| journey.way(root, |at, _| at == end).is_some()) {
            journey.out.push(
                finding(Code::E0310, span, "this `else` does not leave, but what follows needs the answer")
                    .label("goes on from here")
                    .help("end it with `exit as …` or `go to …`"),
            );
        }
    }
}

fn loose_end(journey: &mut Journey) {
    let Some((end, span)) = nodes(journey, |what| matches!(what, What::End)).into_iter().next() else {
        return;
    };
    let mut ways = vec![START];
    ways.extend(journey.graph.handlers.iter().copied());
    let Some(way) = ways.into_iter().find_map(|root| journey.way(root, |at, _| at == end)) else { return };
    let name = journey.name.clone();
    let message = format!("`{name}` does not say how it ends on every path");
    let last = way.steps.iter().rev().find_map(|(at, _)| match journey.graph.nodes[*at].what {
        What::Stmt(stmt) => Some(stmt.span),
        What::Test(condition) => Some(condition.span),
        _ => None,
    });
    let mut made = finding(Code::E0301, span, message).label("some fall off the end here");
    if let Some(last) = last {
        made = made.related(journey.schema.input.sources.first_line(last), "the last that happens to them");
    }
    let told = journey.told(&way);
    journey
        .out
        .push(made.note(format!("path: {told}")).help("add `exit as done` before the closing brace, say"));
}

fn handler_end(journey: &mut Journey, first: At) {
    let ends: Vec<(At, Span)> = nodes(journey, |what| matches!(what, What::HandlerEnd));
    let found = ends.into_iter().find_map(|(end, span)| {
        let way = journey.way(first, |at, _| at == end)?;
        Some((way, span))
    });
    let Some((way, span)) = found else { return };
    let told = journey.told(&way);
    journey.out.push(
        finding(Code::E0307, span, "this handler does not say where it goes on")
            .label("some end here")
            .note(format!("path: {told}"))
            .help("end it with `resume` to go on as before, or with `go to …` or `exit as …`"),
    );
}

fn nodes(journey: &Journey, wanted: impl Fn(&What) -> bool) -> Vec<(At, Span)> {
    let nodes = journey.graph.nodes.iter().enumerate();
    nodes.filter(|(_, node)| wanted(&node.what)).map(|(at, node)| (at, node.span)).collect()
}

fn unreachable(journey: &mut Journey) {
    for span in journey.graph.unreachable.clone() {
        let span = journey.schema.input.sources.first_line(span);
        journey.out.push(
            finding(Code::E0302, span, "nobody ever gets here")
                .label("unreachable")
                .help("everything before it leaves; move it up, or leave it out"),
        );
    }
}

// ---------------------------------------------------------------- circles

/// Circles on which nobody ever waits, and circles of `go to` that nothing ends.
fn circles(journey: &mut Journey) {
    let restless = strongly_connected(journey, |journey, at| !rests(journey, at));
    let mut told: Vec<Span> = Vec::new();
    for circle in &restless {
        let Some(back) = way_back(journey, circle) else { continue };
        let names = stages_of(journey, circle);
        let message = match names.as_slice() {
            [] => "this loop comes round without ever waiting".to_owned(),
            [one] => format!("`{one}` leads back to itself without ever waiting"),
            _ => format!("these stages lead to each other without ever waiting: {}", in_a_circle(&names)),
        };
        journey.out.push(
            finding(Code::E0303, back, message)
                .label("comes round")
                .help("let every way round pass a `wait`"),
        );
        told.push(back);
    }
    let lasts = journey.journey.items.iter().any(|item| matches!(item.kind, JourneyItemKind::Lasts(_)));
    if lasts || journey.may_be_hidden("lasts") {
        return;
    }
    for circle in strongly_connected(journey, |_, _| true) {
        let names = stages_of(journey, &circle);
        let Some(back) = jump_in(journey, &circle) else { continue };
        if !told.contains(&back) {
            let message = match names.as_slice() {
                [one] => format!("`{one}` leads back to itself, and nothing ever ends it"),
                _ => format!(
                    "these stages lead to each other, and nothing ever ends it: {}",
                    in_a_circle(&names)
                ),
            };
            journey.out.push(
                finding(Code::E0304, back, message)
                    .label("comes round without bound")
                    .help("add `lasts up to …` to the journey, or use `repeat up to … times`"),
            );
        }
    }
}

fn rests(journey: &Journey, at: At) -> bool {
    match journey.graph.nodes[at].what {
        What::Stmt(stmt) => {
            is_wait(stmt) || matches!(stmt.kind, StmtKind::Request(_) | StmtKind::Take { .. })
        }
        What::Unread => true,
        _ => false,
    }
}

/// Sets of nodes that lead to each other among the chosen ones, loops to itself included. Each set is in order, and so
/// are the sets. (Kosaraju: an order by when a node is left, then the ways backwards.)
fn strongly_connected(journey: &Journey, chosen: impl Fn(&Journey, At) -> bool) -> Vec<Vec<At>> {
    let nodes = &journey.graph.nodes;
    let inside: Vec<bool> =
        (0..nodes.len()).map(|at| journey.graph.is_reached(at) && chosen(journey, at)).collect();
    let mut left = Vec::new();
    let mut seen = vec![false; nodes.len()];
    for root in (0..nodes.len()).filter(|at| inside[*at]) {
        if std::mem::replace(&mut seen[root], true) {
            continue;
        }
        let mut stack = vec![(root, 0)];
        while let Some((at, next)) = stack.pop() {
            let Some((to, _)) = nodes[at].out.get(next) else {
                left.push(at);
                continue;
            };
            stack.push((at, next + 1));
            if inside[*to] && !std::mem::replace(&mut seen[*to], true) {
                stack.push((*to, 0));
            }
        }
    }
    let before = journey.graph.before();
    let mut done = vec![false; nodes.len()];
    let mut circles = Vec::new();
    for root in left.into_iter().rev() {
        if std::mem::replace(&mut done[root], true) {
            continue;
        }
        let mut circle = vec![root];
        let mut next = 0;
        while let Some(at) = circle.get(next).copied() {
            next += 1;
            for from in before[at].iter().filter(|from| inside[**from]) {
                if !std::mem::replace(&mut done[*from], true) {
                    circle.push(*from);
                }
            }
        }
        if circle.len() > 1 || nodes[root].out.iter().any(|(to, _)| *to == root) {
            circle.sort_unstable();
            circles.push(circle);
        }
    }
    circles.sort();
    circles
}

/// The place that closes the circle: a `go to`, else the `repeat`.
fn way_back(journey: &Journey, circle: &[At]) -> Option<Span> {
    jump_in(journey, circle).or_else(|| {
        circle.iter().find_map(|at| match journey.graph.nodes[*at].what {
            What::Stmt(stmt) if matches!(stmt.kind, StmtKind::Repeat { .. }) => {
                Some(journey.schema.input.sources.first_line(stmt.span))
            }
            _ => None,
        })
    })
}

/// The last `go to` of the circle.
fn jump_in(journey: &Journey, circle: &[At]) -> Option<Span> {
    let jumps = circle.iter().filter(|at| {
        let node = &journey.graph.nodes[**at];
        node.out.iter().any(|(to, turn)| matches!(turn, Turn::Jump) && circle.contains(to))
    });
    jumps.map(|at| journey.graph.nodes[*at].span).max_by_key(|span| span.start)
}

fn stages_of(journey: &Journey, circle: &[At]) -> Vec<Word> {
    let mut stages: Vec<(&At, &Word)> = journey
        .graph
        .stages
        .iter()
        .filter(|(_, at)| circle.contains(at))
        .map(|(name, at)| (at, name))
        .collect();
    stages.sort();
    stages.into_iter().map(|(_, name)| name.clone()).collect()
}

fn in_a_circle(names: &[Word]) -> String {
    names.iter().chain(names.first()).map(|name| &**name).collect::<Vec<_>>().join(" → ")
}

// ---------------------------------------------------------------- size and length

fn oversized(journey: &mut Journey) {
    let (mut steps, mut deepest) = (0, None::<(usize, Span)>);
    super::visit::each_stmt_of(journey.journey, &mut |stmt, depth| {
        steps += 1;
        let depth = depth - 1;
        if depth > DEEPEST && deepest.is_none_or(|(deep, _)| depth > deep) {
            deepest = Some((depth, stmt.span));
        }
    });
    let name = &journey.journey.name;
    let made = match deepest {
        Some((depth, span)) => {
            let place = journey.schema.input.sources.first_line(span);
            let message = format!("`{}` is nested {depth} blocks deep", name.text);
            Some(finding(Code::W0308, place, message).label("the deepest place"))
        }
        None if steps > MOST_STEPS => {
            let message = format!("`{}` has {steps} steps", name.text);
            Some(finding(Code::W0308, name.span, message).label("hard to keep in mind"))
        }
        None => None,
    };
    if let Some(made) = made {
        journey.out.push(made.help("split it into stages, or move a part into a journey of its own"));
    }
}

/// The longest path against `lasts` and against `reenter … after entry`.
fn longest(journey: &mut Journey) {
    if !journey.names.damaged.is_empty() {
        return;
    }
    let longest = Longest::of(journey);
    let lasts = journey.journey.items.iter().find_map(|item| match &item.kind {
        JourneyItemKind::Lasts(duration) => Some(duration),
        _ => None,
    });
    if let Some(lasts) = lasts {
        let limit = calendar(lasts);
        if longest.ms > limit.about_ms() {
            let message = format!("the longest path takes {}, but `lasts` says {limit}", longest.words());
            let place = lasts.span;
            journey.out.push(
                finding(Code::E0403, place, message)
                    .label("ends people on their way")
                    .note(format!("longest path: {}", longest.path.join(" → ")))
                    .help(format!("write `lasts up to {}` or more, or shorten a wait", longest.rounded_up())),
            );
        }
    }
    let reenter = journey.journey.items.iter().find_map(|item| match &item.kind {
        JourneyItemKind::Reenter(Reenter::AfterEntry(duration)) => Some(duration),
        _ => None,
    });
    if let Some(reenter) = reenter {
        let after = calendar(reenter);
        let end = lasts.map_or(longest.ms, |lasts| longest.ms.min(calendar(lasts).about_ms()));
        if end > after.about_ms() {
            let message = format!(
                "one may enter again after {after}, while the longest path takes {}",
                longest.words()
            );
            journey.out.push(
                finding(Code::W0212, reenter.span, message)
                    .label("two at once")
                    .note(format!("longest path: {}", longest.path.join(" → ")))
                    .help("allow it later, or write `reenter … after exit`"),
            );
        }
    }
}
