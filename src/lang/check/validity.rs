//! Messages that come too late by themselves: W0404. A `before` is compared with the `wait until` of the same moment through
//! which every way to the message leads.

use super::findings::finding;
use super::graph::{At, What};
use super::journey::Journey;
use crate::diagnostic::{Code, Span};
use crate::lang::ast::{Duration, Moment, MomentKind, Send, Side, StmtKind, Wait};
use crate::lang::types::calendar;
use crate::time::DAY;

/// Months and working days are not equally long; nothing is said where that could decide.
const UNEVEN_MS: i64 = 4 * DAY;

pub(super) fn check(journey: &mut Journey) {
    for (at, stmt) in journey.reached_stmts() {
        let StmtKind::Send(send) = &stmt.kind else { continue };
        let Some((anchor, last)) = send.before.as_ref().and_then(about) else { continue };
        let Some((wait, after)) = earlier_wait(journey, at, &anchor) else { continue };
        if after.ms > last.ms.saturating_add(if after.uneven || last.uneven { UNEVEN_MS } else { 0 }) {
            report(journey, Span::new(stmt.span.file, stmt.span.start, send.template.span.end), send, wait);
        }
    }
}

/// How long after its anchor something is; negative: before it.
#[derive(Clone, Copy, Default)]
struct Distance {
    ms: i64,
    uneven: bool,
}

impl Distance {
    fn of(duration: &Duration) -> Distance {
        let span = calendar(duration);
        Distance { ms: span.about_ms(), uneven: span.months != 0 || span.working_days != 0 }
    }

    fn plus(self, other: Distance) -> Distance {
        Distance { ms: self.ms.saturating_add(other.ms), uneven: self.uneven || other.uneven }
    }
}

/// The anchor of a moment without a clock time, and how far from it the moment is.
fn about(moment: &Moment) -> Option<(String, Distance)> {
    let MomentKind::Anchor { offset, anchor, at: None } = &moment.kind else { return None };
    let distance = match offset {
        None => Distance::default(),
        Some((duration, side)) => {
            let distance = Distance::of(duration);
            match side {
                Side::After => distance,
                Side::Before => Distance { ms: -distance.ms, ..distance },
            }
        }
    };
    Some((anchor.joined(), distance))
}

/// Goes back as long as there is one way only, to a wait for that anchor; gives how long after it one is at the message, at least.
fn earlier_wait(journey: &Journey, from: At, anchor: &str) -> Option<(Span, Distance)> {
    let (mut at, mut waited) = (from, Distance::default());
    for _ in 0..journey.graph.nodes.len() {
        at = only_way_to(journey, at)?;
        let What::Stmt(stmt) = journey.graph.nodes[at].what else { continue };
        match &stmt.kind {
            StmtKind::Set { .. } => return None,
            StmtKind::Wait(wait) => match &**wait {
                Wait::For { duration, .. } => waited = waited.plus(Distance::of(duration)),
                Wait::Until { moment, .. } => match about(moment) {
                    Some((own, distance)) if own == anchor => {
                        return Some((moment.span, distance.plus(waited)));
                    }
                    _ => {}
                },
                _ => {}
            },
            _ => {}
        }
    }
    None
}

fn only_way_to(journey: &Journey, to: At) -> Option<At> {
    let nodes = journey.graph.nodes.iter().enumerate();
    let mut before = nodes.filter(|(_, node)| node.out.iter().any(|(next, _)| *next == to)).map(|(at, _)| at);
    before.next().filter(|_| before.next().is_none())
}

fn report(journey: &mut Journey, place: Span, send: &Send, wait: Span) {
    let limit = send.before.as_ref().map_or(place, |before| before.span);
    let sources = &journey.schema.input.sources;
    let message = format!(
        "`{}` never goes: it has to leave before `{}`, and the wait ends later",
        send.template.joined(),
        sources.slice(limit)
    );
    journey.out.push(
        finding(Code::W0404, place, message)
            .label("always too late")
            .related(wait, "waits until then")
            .help("wait until an earlier moment, or leave out the `before`"),
    );
}
