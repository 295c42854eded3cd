//! Splits, branches and goals: E0701, W0704, W0705, W0706, W0306.

use std::collections::BinaryHeap;

use super::findings::finding;
use super::graph::{At, START, What};
use super::journey::Journey;
use crate::diagnostic::{Code, Span};
use crate::lang::ast::{self, Block, ExitTrigger, JourneyItemKind, Stmt, StmtKind, Variant};
use crate::lang::types::calendar;
use crate::time::Calendar;
use crate::value::Decimal;

pub(super) fn check(journey: &mut Journey) {
    let mut stmts: Vec<&Stmt> = Vec::new();
    super::visit::each_stmt_of(journey.journey, &mut |stmt, _| stmts.push(stmt));
    for stmt in stmts {
        match &stmt.kind {
            StmtKind::Split { name, variants } => split(journey, name, variants),
            StmtKind::If(choice) => equal_branches(journey, choice),
            _ => {}
        }
    }
    goals(journey);
    never_used(journey);
}

// ---------------------------------------------------------------- splits

fn split(journey: &mut Journey, name: &ast::Name, variants: &[Variant]) {
    let mut seen: Vec<(&str, Span)> = Vec::new();
    for variant in variants {
        match seen.iter().find(|(other, _)| *other == variant.name.text) {
            Some((_, first)) => {
                journey.out.push(super::findings::twice("the variant", &variant.name, *first))
            }
            None => seen.push((&variant.name.text, variant.name.span)),
        }
    }
    shares(journey, name, variants);
    for (n, variant) in variants.iter().enumerate() {
        let same = variants[..n].iter().find(|other| same_steps(journey, &other.body, &variant.body));
        if let Some(first) = same {
            let message = format!("`{}` and `{}` do the same", first.name.text, variant.name.text);
            journey.out.push(
                finding(Code::W0706, variant.name.span, message)
                    .label("nothing is compared")
                    .related(first.name.span, "the same steps")
                    .help("let them differ, or leave the split out"),
            );
        }
    }
}

fn shares(journey: &mut Journey, name: &ast::Name, variants: &[Variant]) {
    let hundred = Decimal::from_int(100);
    let sum = Decimal(variants.iter().map(|variant| variant.share.value.0).sum());
    let Some(last) = variants.last() else {
        if !journey.may_be_hidden("variant") {
            let message = format!("`{}` has no variants", name.text);
            journey.out.push(finding(Code::E0701, name.span, message).label("nothing to choose from"));
        }
        return;
    };
    if let Some(zero) = variants.iter().find(|variant| variant.share.value.0 <= 0) {
        let message = format!("the share of `{}` is nothing", zero.name.text);
        journey.out.push(finding(Code::E0701, zero.share.span, message).label("nobody gets here"));
        return;
    }
    if sum == hundred || journey.names.damaged.iter().any(|span| span.file == name.span.file) {
        return;
    }
    let terms: Vec<String> = variants.iter().map(|variant| variant.share.value.to_string()).collect();
    let message = format!("the shares of `{}` do not make 100%: {} = {sum}", name.text, terms.join(" + "));
    let made = finding(Code::E0701, last.share.span, message).label("the last share");
    let rest = Decimal(last.share.value.0 + hundred.0 - sum.0);
    journey.out.push(if rest.0 > 0 {
        made.help(format!("write `{rest}%` here")).suggest(
            format!("give the rest to `{}`", last.name.text),
            last.share.span,
            share_text(journey, last, rest),
        )
    } else {
        made.help("lower the other shares")
    });
}

/// The span of a share may or may not hold its `%`.
fn share_text(journey: &Journey, variant: &Variant, share: Decimal) -> String {
    let text = journey.schema.input.sources.slice(variant.share.span);
    if text.ends_with('%') { format!("{share}%") } else { share.to_string() }
}

fn equal_branches(journey: &mut Journey, choice: &ast::If) {
    let Some(otherwise) = &choice.otherwise else { return };
    let [(condition, block)] = choice.branches.as_slice() else { return };
    if same_steps(journey, block, otherwise) {
        journey.out.push(
            finding(Code::W0306, condition.span, "both branches do the same")
                .label("makes no difference")
                .help("keep one of them without the `if`, or let them differ"),
        );
    }
}

/// Whether two blocks say the same but for white space, comments and the names of steps. Empty ones say nothing.
fn same_steps(journey: &Journey, a: &Block, b: &Block) -> bool {
    !a.stmts.is_empty() && words(journey, a) == words(journey, b)
}

fn words(journey: &Journey, block: &Block) -> Vec<String> {
    let text = journey.schema.input.sources.slice(block.span);
    let mut words: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = without_comment(line);
        let mut parts = line.split_whitespace();
        while let Some(word) = parts.next() {
            if word == "as" && words.last().is_some_and(|before| before != "exit") {
                parts.next();
            } else {
                words.push(word.to_owned());
            }
        }
    }
    words
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => return &line[..at],
            _ => {}
        }
    }
    line
}

// ---------------------------------------------------------------- goals and exits

/// A goal that counts a message which is sent only after its time is over.
fn goals(journey: &mut Journey) {
    let goals: Vec<&ast::Goal> = journey
        .journey
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            JourneyItemKind::Goal(goal) => Some(&**goal),
            _ => None,
        })
        .collect();
    for goal in goals {
        let Some(within) = &goal.within else { continue };
        let limit = calendar(within);
        let earliest = goal.event.events.iter().map(|path| match path.parts.as_slice() {
            [step, _] => {
                let slot = journey.names.find(step, |_| true)?;
                let sent = journey
                    .reached_stmts()
                    .into_iter()
                    .find(|(_, stmt)| journey.names.slot_at.get(&stmt.span) == Some(&slot))?;
                earliest(journey, sent.0).map(|ms| (ms, sent.1.span))
            }
            _ => None,
        });
        let earliest: Option<Vec<(i64, Span)>> = earliest.collect();
        let Some((ms, sent)) = earliest.and_then(|all| all.into_iter().min()) else { continue };
        if ms >= limit.about_ms() {
            let message = format!(
                "the goal `{}` ends after {limit}, but what it counts is sent after {} at the earliest",
                goal.name.text,
                rounded(ms)
            );
            let sent = journey.schema.input.sources.first_line(sent);
            journey.out.push(
                finding(Code::W0704, within.span, message)
                    .label("over before it can be reached")
                    .related(sent, "sent here")
                    .help("give it more time, or count something earlier"),
            );
        }
    }
}

fn rounded(ms: i64) -> Calendar {
    let day = crate::time::DAY;
    if ms % day == 0 {
        Calendar::days((ms / day).try_into().unwrap_or(i32::MAX))
    } else {
        Calendar::elapsed(ms)
    }
}

/// The least time from entry to a node.
fn earliest(journey: &Journey, to: At) -> Option<i64> {
    let mut best = vec![i64::MAX; journey.graph.nodes.len()];
    let mut open = BinaryHeap::from([(std::cmp::Reverse(0), START)]);
    while let Some((std::cmp::Reverse(ms), at)) = open.pop() {
        if at == to {
            return Some(ms);
        }
        if ms >= best[at] {
            continue;
        }
        best[at] = ms;
        for (next, turn) in &journey.graph.nodes[at].out {
            let waited = least_wait(journey, at, matches!(turn, super::graph::Turn::Missed));
            open.push((std::cmp::Reverse(ms.saturating_add(waited)), *next));
        }
    }
    None
}

fn least_wait(journey: &Journey, at: At, missed: bool) -> i64 {
    let What::Stmt(Stmt { kind: StmtKind::Wait(wait), .. }) = journey.graph.nodes[at].what else { return 0 };
    match &**wait {
        ast::Wait::For { duration, .. } => calendar(duration).about_ms(),
        ast::Wait::Event { patience: ast::Patience::UpTo(limit), .. }
        | ast::Wait::Condition { patience: ast::Patience::UpTo(limit), .. }
        | ast::Wait::Race { patience: ast::Patience::UpTo(limit), .. }
            if missed =>
        {
            calendar(limit).about_ms()
        }
        _ => 0,
    }
}

/// An exit rule behind another that takes everybody: its reason never appears.
fn never_used(journey: &mut Journey) {
    let mut taken: Vec<(String, &ast::Name)> = Vec::new();
    for item in &journey.journey.items {
        let JourneyItemKind::ExitRule { reason, trigger: ExitTrigger::On(event) } = &item.kind else {
            continue;
        };
        let all: Vec<String> = event.events.iter().map(ast::Path::joined).collect();
        let hidden = all.iter().all(|name| taken.iter().any(|(other, _)| other == name));
        if hidden && let Some((name, first)) = taken.iter().find(|(other, _)| all.contains(other)) {
            let message =
                format!("nobody ever leaves as `{}`: the rule before takes every `{name}`", reason.text);
            journey.out.push(
                finding(Code::W0705, reason.span, message)
                    .label("never used")
                    .related(first.span, "taken here")
                    .help("leave one of them out, or give the first a `where`"),
            );
        }
        if event.filter.is_none() && event.same.is_empty() {
            taken.extend(all.into_iter().map(|name| (name, reason)));
        }
    }
}
