//! `budget 500.00`: what it may be, and whether what the journey does costs anything: W0607.

use super::findings::finding;
use super::journey::Journey;
use super::names::channel_names;
use super::schema::{Noun, PHONE};
use crate::diagnostic::{Code, Span};
use crate::engine::program::{Budget, CalendarUnit, Then};
use crate::lang::ast::{self, BudgetWindow, StmtKind, Unit};
use crate::lang::types::calendar;
use crate::value::Decimal;

/// Something that costs money, or would if anybody said how much.
struct Costing {
    kind: Noun,
    name: String,
    place: Span,
    cost: Option<Decimal>,
}

impl Journey<'_, '_> {
    /// The line in the head of the journey.
    pub(super) fn budget(&mut self, written: &ast::Budget, span: Span) {
        if self.budget.is_some() {
            return;
        }
        let window = match &written.window {
            None => None,
            Some(BudgetWindow::Calendar(unit, place)) => match unit_of(*unit) {
                Some(unit) => Some(unit),
                None => return self.no_window(*place),
            },
            Some(BudgetWindow::Other(place)) => return self.no_window(*place),
        };
        let most = written.most.value;
        if most.0 <= 0 {
            let made = finding(Code::E0113, written.most.span, "a budget of nothing lets nothing leave");
            self.out.push(made.label("nothing").help("say how much the journey may cost: `budget 500.00`"));
            return;
        }
        let then = match &written.then {
            None | Some(ast::Then::Skip) => Then::Skip,
            Some(ast::Then::Exit) => Then::Exit,
            Some(ast::Then::Wait(_)) if window.is_none() => {
                let message = "this budget is one for ever, so there is nothing to wait for";
                let (start, written) = (span, self.schema.input.sources.slice(written.most.span));
                self.out
                    .push(finding(Code::E0103, start, message).label("no new money ever comes").help(format!(
                    "write `budget {written} per calendar month then wait`, or `then skip`, or `then exit`"
                )));
                return;
            }
            Some(ast::Then::Wait(limit)) => Then::Wait(limit.as_ref().map(calendar)),
        };
        self.budget = Some((Budget { most, window, then }, span));
    }

    fn no_window(&mut self, place: Span) {
        let text = self.schema.input.sources.slice(place);
        let units = ["day", "week", "month", "year"];
        let meant = units.iter().find(|unit| text.contains(*unit));
        let made = finding(Code::E0103, place, "budgets are per calendar day, week, month or year")
            .label("not a span of the calendar");
        self.out.push(match meant {
            Some(unit) if text == *unit || text.starts_with("1 ") => {
                let right =
                    if text.starts_with("calendar") { text.to_owned() } else { format!("calendar {unit}") };
                made.help(format!("write `per {right}`")).suggest(format!("write `{right}`"), place, right)
            }
            _ => made.help(
                "write `per calendar month`, say, or nothing for a budget over the life of the journey",
            ),
        });
    }
}

fn unit_of(unit: Unit) -> Option<CalendarUnit> {
    Some(match unit {
        Unit::Day => CalendarUnit::Day,
        Unit::Week => CalendarUnit::Week,
        Unit::Month => CalendarUnit::Month,
        Unit::Year => CalendarUnit::Year,
        Unit::Second | Unit::Minute | Unit::Hour | Unit::WorkingDay => return None,
    })
}

/// What the steps cost against the budget.
pub(super) fn check(journey: &mut Journey) {
    let Some((budget, place)) = journey.budget.clone() else { return };
    if !journey.names.damaged.is_empty() {
        return;
    }
    let all = costing(journey);
    let asks_money = |one: &&Costing| one.cost.is_some_and(|cost| cost.0 > 0);
    let Some(cheapest) = all.iter().filter(asks_money).filter_map(|one| one.cost).min() else {
        let message = "nothing that this journey does costs anything, so its budget is never spent";
        let help = match all.first() {
            Some(one) => format!("add `cost 0.05`, say, to `{}` in the schema", one.declaration()),
            None => "leave it out: it sends nothing, and nobody does anything for it".to_owned(),
        };
        journey.out.push(finding(Code::W0607, place, message).label("counts nothing").help(help));
        return;
    };
    if cheapest > budget.most {
        let message =
            format!("the cheapest step of this journey costs {cheapest}: the budget never suffices");
        journey.out.push(
            finding(Code::W0607, place, message).label("nothing ever leaves").help("was a larger one meant?"),
        );
    }
    let mut told: Vec<String> = Vec::new();
    for one in all.iter().filter(|one| one.cost.is_none()) {
        let declaration = one.declaration();
        if told.contains(&declaration) {
            continue;
        }
        let message = format!("nothing says what `{declaration}` costs, so the budget does not count it");
        let mut made =
            finding(Code::W0607, one.place, message).label("no `cost`").related(place, "the budget");
        if let Some(declared) = journey.schema.declared.get(&(one.kind, one.name.as_str().into())) {
            made = made.related(*declared, "declared here");
        }
        journey.out.push(made.help(format!(
            "add `cost 0.05`, say, to `{declaration}` in the schema; what is free has `cost 0`"
        )));
        told.push(declaration);
    }
}

impl Costing {
    fn declaration(&self) -> String {
        match self.kind {
            Noun::Task => format!("task {}", self.name),
            _ => format!("channel {}", self.name),
        }
    }
}

/// The messages, calls and other work that the journey can come to, with what they cost.
fn costing(journey: &Journey) -> Vec<Costing> {
    let schema = journey.schema;
    let mut all = Vec::new();
    for (_, stmt) in journey.reached_stmts() {
        let channels = match &stmt.kind {
            StmtKind::Send(send) => channel_names(&send.channels),
            StmtKind::Ask(ask) => channel_names(&ask.channels),
            StmtKind::Call(work) | StmtKind::Assign(work) => {
                let name = work.task.joined();
                let is_call = matches!(stmt.kind, StmtKind::Call(_));
                let phone = schema.catalog.costs.get(PHONE).filter(|_| is_call);
                let cost = schema.catalog.task_costs.get(name.as_str()).or(phone).copied();
                all.push(Costing { kind: Noun::Task, name, place: work.task.span, cost });
                continue;
            }
            _ => continue,
        };
        all.extend(channels.iter().map(|channel| Costing {
            kind: Noun::Channel,
            name: channel.text.clone(),
            place: channel.span,
            cost: schema.catalog.costs.get(channel.text.as_str()).copied(),
        }));
    }
    all
}
