//! Things that lead to themselves: segments made of each other, journeys that trigger each other or themselves.

use std::collections::BTreeMap;

use super::findings::{Findings, finding};
use super::schema::{Noun, Schema};
use super::visit::each_stmt_of;
use crate::diagnostic::{Code, Span};
use crate::engine::program::{Expr, Word};
use crate::lang::ast::{self, EnterHow, JourneyItemKind, Reenter, StmtKind};

/// Segments and scores that are made of themselves.
pub(super) fn segments(schema: &Schema, out: &mut Findings) {
    let catalog = &schema.catalog;
    let exprs = || {
        let segments = catalog.segments.iter().map(|(name, segment)| (name, &segment.condition));
        segments.chain(catalog.scores.iter())
    };
    let uses: BTreeMap<&Word, Vec<Word>> = exprs().map(|(name, expr)| (name, used(expr))).collect();
    for name in uses.keys() {
        let Some(circle) = circle_through(name, &|from| uses.get(from).cloned().unwrap_or_default()) else {
            continue;
        };
        if circle.iter().min() != Some(name) {
            continue;
        }
        let place = [Noun::Segment, Noun::Score]
            .iter()
            .find_map(|noun| schema.declared.get(&(*noun, (*name).clone())));
        let Some(place) = place else { continue };
        let message = format!("`{name}` is made of itself: {}", arrows(&circle));
        out.push(finding(Code::E0101, *place, message).label("never gets a value"));
    }
}

/// The names of segments and scores in an expression.
fn used(expr: &Expr) -> Vec<Word> {
    let mut names = Vec::new();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Segment(name) | Expr::Score(name) => names.push(name.clone()),
            Expr::Field(inner, _)
            | Expr::Not(inner)
            | Expr::Negate(inner)
            | Expr::Known(inner)
            | Expr::Empty(inner)
            | Expr::ToDecimal(inner) => open.push(inner),
            Expr::Binary(_, left, right) => open.extend([&**left, &**right]),
            Expr::Call(_, args) | Expr::List(args) => open.extend(args),
            Expr::Record(pairs) => open.extend(pairs.iter().map(|(_, value)| value)),
            Expr::Aggregate(aggregate) => open.extend(&aggregate.filter),
            Expr::Const(_)
            | Expr::Attribute(_)
            | Expr::ContactId
            | Expr::Slot(_)
            | Expr::Row
            | Expr::MomentOf(_)
            | Expr::Consent { .. }
            | Expr::DayTest { .. } => {}
        }
    }
    names
}

/// The shortest way from a name back to itself, beginning with the name.
fn circle_through(start: &Word, next: &dyn Fn(&Word) -> Vec<Word>) -> Option<Vec<Word>> {
    let mut ways: Vec<Vec<Word>> = vec![vec![start.clone()]];
    let mut seen: Vec<Word> = Vec::new();
    let mut at = 0;
    while at < ways.len() {
        let way = ways[at].clone();
        at += 1;
        for to in next(&way[way.len() - 1]) {
            if to == *start {
                return Some(way);
            }
            if !seen.contains(&to) {
                seen.push(to.clone());
                ways.push(way.iter().cloned().chain([to]).collect());
            }
        }
    }
    None
}

fn arrows(circle: &[Word]) -> String {
    let names = circle.iter().chain(circle.first()).map(|name| &**name);
    names.collect::<Vec<_>>().join(" → ")
}

/// A way in which a journey triggers a journey.
struct Trigger {
    to: Word,
    place: Span,
    how: &'static str,
}

/// W0203 and W0204.
pub(super) fn journeys(schema: &Schema, out: &mut Findings) {
    let triggers: BTreeMap<Word, Vec<Trigger>> = schema
        .journeys
        .iter()
        .map(|(name, signature)| (name.clone(), triggers(schema, signature.journey)))
        .collect();
    for (name, all) in &triggers {
        for trigger in all.iter().filter(|trigger| trigger.to == *name) {
            out.push(
                finding(Code::W0203, trigger.place, format!("`{name}` triggers itself {}", trigger.how))
                    .label("starts the journey again")
                    .help("choose another re-entry, or make the condition of `enter` exclude what this does"),
            );
        }
        let others = |from: &Word| {
            let all = triggers.get(from).map_or(&[][..], Vec::as_slice);
            all.iter().filter(|trigger| trigger.to != *from).map(|trigger| trigger.to.clone()).collect()
        };
        let Some(circle) = circle_through(name, &others) else { continue };
        if circle.len() < 2 || circle.iter().min() != Some(name) {
            continue;
        }
        let Some(first) = all.iter().find(|trigger| trigger.to == circle[1]) else { continue };
        let back = triggers[&circle[circle.len() - 1]].iter().find(|trigger| trigger.to == *name);
        let message = format!("journeys trigger each other in a circle: {}", arrows(&circle));
        let mut made = finding(Code::W0204, first.place, message).label(format!("triggers `{}`", first.to));
        if let Some(back) = back {
            made = made.related(back.place, format!("triggers `{name}` again"));
        }
        out.push(made.help("break the circle, or let one of them re-enter `never`"));
    }
}

fn triggers(schema: &Schema, journey: &ast::Journey) -> Vec<Trigger> {
    let mut all = Vec::new();
    each_stmt_of(journey, &mut |stmt, _| {
        let mut add = |to: &Word, how| all.push(Trigger { to: to.clone(), place: stmt.span, how });
        match &stmt.kind {
            StmtKind::StartJourney { journey, .. } | StmtKind::RunJourney { journey, .. } => {
                if let Some((to, _)) = schema.journeys.get_key_value(journey.text.as_str()) {
                    add(to, "by starting it");
                }
            }
            StmtKind::Record { event, .. } => {
                let event = event.joined();
                for (to, signature) in &schema.journeys {
                    let own = signature.journey.name.span == journey.name.span;
                    if enters_on(signature.journey, &event) && (!own || comes_back(journey)) {
                        add(to, "by recording the event on which one enters");
                    }
                }
            }
            StmtKind::Set { path, .. }
            | StmtKind::Add { to: path, .. }
            | StmtKind::Remove { from: path, .. } => {
                let [contact, attribute] = path.parts.as_slice() else { return };
                if contact.text != "contact" || !comes_back(journey) {
                    return;
                }
                if depends_on(schema, journey, &attribute.text)
                    && let Some((to, _)) = schema.journeys.get_key_value(journey.name.text.as_str())
                {
                    add(to, "by changing what its own `enter` looks at");
                }
            }
            _ => {}
        }
    });
    all
}

/// Whether one may enter while inside, so that a trigger from inside counts.
fn comes_back(journey: &ast::Journey) -> bool {
    journey
        .items
        .iter()
        .any(|item| matches!(item.kind, JourneyItemKind::Reenter(Reenter::Always | Reenter::Restart)))
}

fn enters_on(journey: &ast::Journey, event: &str) -> bool {
    enters(journey).any(|enter| match &enter.how {
        EnterHow::On(matched) => matched.events.iter().any(|path| path.joined() == *event),
        _ => false,
    })
}

/// Whether an `enter` of the journey looks at the attribute.
fn depends_on(schema: &Schema, journey: &ast::Journey, attribute: &str) -> bool {
    enters(journey).any(|enter| match &enter.how {
        EnterHow::OnChange { path, .. } => path.parts.get(1).is_some_and(|name| name.text == attribute),
        EnterHow::When(condition) => asks_for(schema, condition, attribute, 0),
        _ => false,
    })
}

fn asks_for(schema: &Schema, condition: &ast::Expr, attribute: &str, depth: usize) -> bool {
    let mut found = false;
    super::visit::each_expr(condition, &mut |expr| {
        let ast::ExprKind::Path(path) = &expr.kind else { return };
        found |= match path.parts.as_slice() {
            [contact, name] => contact.text == "contact" && name.text == attribute,
            [name] if depth < 8 => schema
                .segments
                .get(name.text.as_str())
                .is_some_and(|segment| asks_for(schema, &segment.expr, attribute, depth + 1)),
            _ => false,
        };
    });
    found
}

/// The `enter` lines of a journey.
pub(super) fn enters(journey: &ast::Journey) -> impl Iterator<Item = &ast::Enter> {
    journey.items.iter().filter_map(|item| match &item.kind {
        JourneyItemKind::Enter(enter) => Some(&**enter),
        _ => None,
    })
}
