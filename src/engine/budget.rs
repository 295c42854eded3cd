//! The budget of a journey: what its messages, calls and letters may cost together, over its life or in each calendar day, week, month
//! or year of the project's zone.
//!
//! Money is counted when something is queued. It belongs to all contacts together, so a call of the engine has a [`Purse`] in its world:
//! what may still be spent from here. Whoever calls fills it, as large as is wanted, and never gives one coin to two.

use super::eval::Scope;
use super::policy::{Verdict, next_unit, unit_words};
use super::program::{Budget, CalendarUnit, Catalog, Then, Word, Work};
use super::run::word;
use super::state::HeldBy;
use super::world::{Because, Need, Spend};
use crate::time::{Date, Timestamp, Zone};
use crate::value::{Decimal, Value};

/// What may be spent of a budget from here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Purse {
    pub left: Decimal,
    /// Spent since it was filled.
    pub spent: Decimal,
    /// There is no more to fill it with.
    pub last: bool,
}

impl Purse {
    /// Takes out what was spent.
    pub(super) fn spend(&mut self, amount: Decimal) {
        self.left = Decimal(self.left.0.saturating_sub(amount.0));
        self.spent = Decimal(self.spent.0.saturating_add(amount.0));
    }
}

impl Budget {
    /// From when on the money counts that is spent at that moment: the beginning of the day, week, month or year; 0 where the budget is
    /// one for the life of the journey.
    pub fn since(&self, now: Timestamp, zone: &Zone) -> Timestamp {
        let Some(unit) = self.window else { return Timestamp(0) };
        let today = zone.date(now);
        let first = |month: i8| Date::new(today.0.year(), u8::try_from(month).unwrap_or(1), 1);
        let begins = match unit {
            CalendarUnit::Day => today,
            CalendarUnit::Week => today.plus_days(1 - i32::from(today.weekday())),
            CalendarUnit::Month => first(today.0.month()).unwrap_or(today),
            CalendarUnit::Year => first(1).unwrap_or(today),
        };
        zone.start_of(begins)
    }

    /// The window as authors write it; nothing for the life of the journey.
    pub fn window_words(&self) -> Option<&'static str> {
        self.window.map(unit_words)
    }
}

impl Catalog {
    /// What a message on that channel costs; nothing where nobody says it.
    pub fn cost(&self, channel: &str) -> Decimal {
        self.costs.get(channel).copied().unwrap_or_default()
    }

    /// What work of that kind costs: as its task says, else as the channel on which one speaks.
    pub fn cost_of_work(&self, work: &Work, channel: Option<&Word>) -> Decimal {
        let own = self.task_costs.get(&work.task).copied();
        own.or_else(|| channel.map(|channel| self.cost(channel))).unwrap_or_default()
    }

    /// When the money of that journey that is spent now began to count.
    pub fn budget_since(&self, journey: &str, now: Timestamp) -> Option<Timestamp> {
        let zone = Zone::named(&self.zone).unwrap_or_else(Zone::utc);
        self.budgets.get(journey).map(|budget| budget.since(now, &zone))
    }
}

/// Whether the budget of the journey lets it spend so much now. `held` is the rule that holds it already, and since when.
pub(super) fn afford(
    scope: &Scope,
    journey: &Word,
    amount: Decimal,
    held: Option<(HeldBy, Timestamp)>,
) -> Result<Verdict, Need> {
    let facts = scope.facts;
    let Some(budget) = facts.catalog.budgets.get(journey).filter(|_| amount.0 > 0) else {
        return Ok(Verdict::Go);
    };
    let own = scope.effects.spends.iter().filter(|spend| spend.journey == *journey);
    let wanted = own.fold(amount, |sum, spend| Decimal(sum.0.saturating_add(spend.amount.0)));
    let need = || Need::Budget { journey: journey.clone(), amount: wanted };
    let purse = facts.world.budgets.get(journey).ok_or_else(need)?;
    if wanted <= purse.left {
        return Ok(Verdict::Go);
    }
    if !purse.last {
        return Err(need());
    }
    let Then::Wait(limit) = budget.then else {
        return Ok(match budget.then {
            Then::Exit => Verdict::Exit("budget"),
            _ => Verdict::Skip("budget"),
        });
    };
    // What one of them costs more than the whole budget has no day to wait for.
    let Some(unit) = budget.window.filter(|_| amount <= budget.most) else {
        return Ok(Verdict::Skip("budget"));
    };
    let next = next_unit(unit, facts.now, facts.project_zone());
    let since = held.filter(|(by, _)| *by == HeldBy::Budget).map_or(facts.now, |(_, since)| since);
    Ok(match limit.map_or(Timestamp::NEVER, |limit| scope.later(since, limit)) {
        end if end <= facts.now => Verdict::Skip("budget"),
        end => Verdict::Hold { until: next.min(end), by: HeldBy::Budget },
    })
}

/// What a refusal looked at.
pub(super) fn because(catalog: &Catalog, journey: &Word, amount: Decimal) -> Because {
    let Some(budget) = catalog.budgets.get(journey) else { return Because::new() };
    let mut because =
        vec![(word!("most"), Value::Decimal(budget.most)), (word!("cost"), Value::Decimal(amount))];
    because.extend(budget.window_words().map(|window| (word!("window"), Value::text(window))));
    because
}

/// What was spent on something, if that is counted.
pub(super) fn spend(catalog: &Catalog, journey: &Word, amount: Decimal) -> Option<Spend> {
    let counted = amount.0 > 0 && catalog.budgets.contains_key(journey);
    counted.then(|| Spend { journey: journey.clone(), amount })
}
