//! Live conditions: what they depend on, and the earliest moment at which one can change by time alone.

use super::aggregate;
use super::eval::Scope;
use super::program::{Catalog, Expr, Function, Reach, Watch, Word, ZoneRef};
use super::wait::{self, EVERY_DAY};
use super::world::{Need, signal};
use crate::time::{TimeOfDay, Timestamp};

/// The earliest moment after now at which the condition can change although nothing happens; [`Timestamp::NEVER`] if it cannot.
/// It may be too early, never too late.
pub fn next_change(scope: &Scope, condition: &Expr) -> Result<Timestamp, Need> {
    let mut walk = Walk { scope, earliest: Timestamp::NEVER, open: Vec::new() };
    walk.expr(condition)?;
    Ok(walk.earliest)
}

struct Walk<'s, 'a> {
    scope: &'s Scope<'a>,
    earliest: Timestamp,
    /// Segments and scores being walked; one that contains itself adds nothing new.
    open: Vec<Word>,
}

impl Walk<'_, '_> {
    fn expr(&mut self, expr: &Expr) -> Result<(), Need> {
        let scope = self.scope;
        match expr {
            Expr::Aggregate(aggregate) => {
                if let Reach::Within(window) = &aggregate.reach {
                    let since = aggregate::since(scope, &aggregate.reach);
                    let loaded = scope.facts.history(&aggregate.event, since)?;
                    let own = scope.effects.events.iter().filter(|event| event.name == aggregate.event);
                    for event in loaded.events.iter().chain(own) {
                        self.at(scope.later(event.occurred_at, *window));
                    }
                }
                if let Some(filter) = &aggregate.filter {
                    self.expr(filter)?;
                }
            }
            Expr::DayTest { window, zone, .. } => {
                self.clock(TimeOfDay(0), zone);
                if let Some((from, to)) = window.as_deref() {
                    for edge in [from, to] {
                        if let Some(edge) = scope.time(edge)? {
                            self.clock(edge, zone);
                        }
                    }
                }
            }
            Expr::Call(function, args) => {
                if matches!(function, Function::Today | Function::Now) {
                    self.clock(TimeOfDay(0), &ZoneRef::Contact);
                }
                args.iter().try_for_each(|arg| self.expr(arg))?;
            }
            Expr::Segment(name) => {
                if let Some(segment) = scope.facts.catalog.segments.get(name) {
                    self.named(name, &segment.condition)?;
                }
            }
            Expr::Score(name) => {
                if let Some(score) = scope.facts.catalog.scores.get(name) {
                    self.named(name, score)?;
                }
            }
            other => {
                let mut done = Ok(());
                any_part(other, &mut |part| {
                    done = self.expr(part);
                    done.is_err()
                });
                done?;
            }
        }
        Ok(())
    }

    fn named(&mut self, name: &Word, expr: &Expr) -> Result<(), Need> {
        if !self.open.contains(name) {
            self.open.push(name.clone());
            self.expr(expr)?;
            self.open.pop();
        }
        Ok(())
    }

    fn at(&mut self, moment: Timestamp) {
        if moment > self.scope.facts.now && moment < self.earliest {
            self.earliest = moment;
        }
    }

    /// The next time the clock shows it.
    fn clock(&mut self, time: TimeOfDay, zone: &ZoneRef) {
        let scope = self.scope;
        let from = scope.facts.now.plus_ms(1);
        let holidays = &scope.facts.catalog.holidays;
        if let Some(at) = wait::next_at(EVERY_DAY, time, from, &scope.zone(zone), holidays) {
            self.at(at);
        }
    }
}

/// What a condition over the contact depends on; segments and scores count as what they are made of.
pub fn watch(catalog: &Catalog, condition: &Expr) -> Watch {
    let mut watch = Watch::default();
    collect(catalog, condition, &mut watch, &mut Vec::new());
    watch.signals.sort();
    watch.signals.dedup();
    watch
}

/// `seen` are the segments and scores that were looked into: once is enough.
fn collect<'c>(catalog: &'c Catalog, expr: &'c Expr, watch: &mut Watch, seen: &mut Vec<&'c Word>) {
    match expr {
        Expr::Attribute(name) => watch.signals.push(signal::attribute(name)),
        Expr::Consent { purpose, .. } => {
            watch.signals.extend(catalog.lineage(purpose).map(|purpose| signal::consent(purpose)));
        }
        Expr::DayTest { .. } | Expr::Call(Function::Today | Function::Now, _) => watch.by_time = true,
        Expr::Aggregate(aggregate) => {
            watch.signals.push(aggregate.event.clone());
            watch.by_time |= matches!(aggregate.reach, Reach::Within(_));
        }
        _ => {}
    }
    let inlined = match expr {
        Expr::Segment(name) => catalog.segments.get(name).map(|segment| (name, &segment.condition)),
        Expr::Score(name) => catalog.scores.get(name).map(|score| (name, score)),
        _ => None,
    };
    if let Some((name, inner)) = inlined
        && !seen.contains(&name)
    {
        seen.push(name);
        collect(catalog, inner, watch, seen);
    }
    any_part(expr, &mut |part| {
        collect(catalog, part, watch, seen);
        false
    });
}

/// Whether that signal may change the condition.
pub(super) fn concerns(catalog: &Catalog, condition: &Expr, given: &Watch, signal: &Word) -> bool {
    given.signals.contains(signal)
        || (uses_names(condition) && watch(catalog, condition).signals.contains(signal))
}

/// Segments and scores may mean something else since the program was made.
fn uses_names(expr: &Expr) -> bool {
    matches!(expr, Expr::Segment(_) | Expr::Score(_)) || any_part(expr, &mut uses_names)
}

/// Looks at the expressions directly inside one, until one of them is what is looked for.
fn any_part<'e>(expr: &'e Expr, look: &mut dyn FnMut(&'e Expr) -> bool) -> bool {
    match expr {
        Expr::Const(_)
        | Expr::Attribute(_)
        | Expr::ContactId
        | Expr::Slot(_)
        | Expr::Row
        | Expr::MomentOf(_)
        | Expr::Consent { .. }
        | Expr::Segment(_)
        | Expr::Score(_) => false,
        Expr::Field(inner, _)
        | Expr::Not(inner)
        | Expr::Negate(inner)
        | Expr::Known(inner)
        | Expr::Empty(inner)
        | Expr::ToDecimal(inner) => look(inner),
        Expr::DayTest { window, .. } => window.as_ref().is_some_and(|edges| look(&edges.0) || look(&edges.1)),
        Expr::Aggregate(aggregate) => aggregate.filter.as_ref().is_some_and(look),
        Expr::Call(_, args) | Expr::List(args) => args.iter().any(look),
        Expr::Binary(_, left, right) => look(left) || look(right),
        Expr::Record(pairs) => pairs.iter().any(|(_, value)| look(value)),
    }
}
