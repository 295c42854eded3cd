//! Steps as lines: what a step does, nearly in the words of the language, and where it leads if not to the next one. For people who
//! look at what is deployed; it is never read back.

use crate::engine::program::{
    Arm, Expr, Match, Moment, MomentKind, PauseUntil, Program, Signal, Step, StepIx, StepKind, Trigger,
    WaitEvent, Word, pool_of,
};
use crate::engine::spell::{days, spell, value};
use crate::time::Calendar;

/// A step in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepLine {
    pub text: String,
    /// The ways that do not go on to the next step: when, and to which.
    pub ways: Vec<(String, StepIx)>,
}

/// What the step of that number does.
pub fn line(program: &Program, number: StepIx) -> Option<StepLine> {
    let step = program.steps.get(usize::from(number))?;
    let mut ways = ways(program, step);
    ways.retain(|(when, to)| !when.is_empty() || Some(*to) != number.checked_add(1));
    Some(StepLine { text: text(program, step), ways })
}

/// A way from one step to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: StepIx,
    pub to: StepIx,
    /// When it is taken; nothing where there is no other.
    pub when: String,
}

/// All ways through the journey, in the order of the steps that they begin at.
pub fn edges(program: &Program) -> Vec<Edge> {
    let steps = (0..=StepIx::MAX).zip(&program.steps);
    let of = |(from, step)| ways(program, step).into_iter().map(move |(when, to)| Edge { from, to, when });
    steps.flat_map(of).collect()
}

/// Where somebody inside goes on when something is heard: on what, and to which step.
pub fn heard_inside(program: &Program) -> Vec<(String, StepIx)> {
    program.handlers.iter().map(|handler| (heard(program, &handler.on), handler.first)).collect()
}

fn text(program: &Program, step: &Step) -> String {
    let spell = |expr: &Expr| spell(expr, Some(program));
    match &step.kind {
        StepKind::Send(send) => {
            format!(
                "send {} {}",
                send.channels.join(if send.every { " and " } else { " else " }),
                send.template
            )
        }
        StepKind::Work(work) => {
            format!("{} {} by {}, up to {}", work.verb, work.task, work.team, work.limit)
        }
        StepKind::Request { endpoint, .. } => match pool_of(endpoint) {
            Some(pool) => format!("take from {pool}"),
            None => format!("request {endpoint}"),
        },
        StepKind::Record { event, .. } => format!("record {event}"),
        StepKind::Set { attribute, value, .. } => format!("set contact.{attribute} to {}", spell(value)),
        StepKind::Add { attribute, value, .. } => format!("add {} to contact.{attribute}", spell(value)),
        StepKind::Remove { attribute, value, .. } => {
            format!("remove {} from contact.{attribute}", spell(value))
        }
        StepKind::Let { slot, value, .. } => format!("let {} = {}", slot_name(program, *slot), spell(value)),
        StepKind::Grant { purpose, channels, .. } => format!("grant {purpose} on {}", channels.join(" and ")),
        StepKind::Withdraw { purpose, channels, .. } => {
            format!("withdraw {purpose} on {}", channels.join(" and "))
        }
        StepKind::WaitFor { duration, longest, then_until, .. } => {
            let longest = longest.map_or_else(String::new, |longest| format!(" to {longest}"));
            format!("wait {duration}{longest}{}", then(program, then_until.as_ref()))
        }
        StepKind::WaitUntil { moment, .. } => format!("wait until {}", self::moment(program, moment)),
        StepKind::WaitEvent(wait) => {
            let limit = wait.limit.map_or_else(|| "forever".to_owned(), |limit| format!("up to {limit}"));
            let heard = waited_for(program, wait);
            let heard = if heard.is_empty() { heard } else { format!(" for {heard}") };
            format!("wait {limit}{heard}{}", then(program, wait.then_until.as_ref()))
        }
        StepKind::Branch { condition, .. } => format!("if {}", spell(condition)),
        StepKind::Switch { subject, .. } => format!("choose by {}", spell(subject)),
        StepKind::Split { name, variants } => {
            let shares: Vec<String> =
                variants.iter().map(|(variant, share, _)| format!("{share} % {variant}")).collect();
            format!("split {name}: {}", shares.join(", "))
        }
        StepKind::LoopStart { .. } => "repeat".to_owned(),
        StepKind::LoopNext { times, .. } => format!("next round, of {times} at most"),
        StepKind::StartJourney { journey, .. } => format!("start journey {journey}"),
        StepKind::RunJourney { journey, limit, .. } => {
            let limit = limit.map_or_else(String::new, |limit| format!(" up to {limit}"));
            format!("run journey {journey}{limit}")
        }
        StepKind::Pause { purpose, until, .. } => match until {
            PauseUntil::For(span) => format!("pause {purpose} for {span}"),
            PauseUntil::Until(moment) => format!("pause {purpose} until {}", self::moment(program, moment)),
            PauseUntil::Forever => format!("pause {purpose} forever"),
        },
        StepKind::Resume => "go on where the journey stood".to_owned(),
        StepKind::Exit { reason } => format!("exit as {reason}"),
    }
}

/// Where a step leads: under which condition, and to which; without one where there is no other.
fn ways(program: &Program, step: &Step) -> Vec<(String, StepIx)> {
    let named = |name: &str, to: StepIx| (name.to_owned(), to);
    match &step.kind {
        StepKind::Send(send) => vec![named("", send.next)],
        StepKind::Work(work) => vec![named("", work.next)],
        StepKind::Request { next, failed, .. } if next == failed => vec![named("", *next)],
        StepKind::Request { next, failed, .. } => vec![named("", *next), named("failed", *failed)],
        StepKind::Record { next, .. }
        | StepKind::Set { next, .. }
        | StepKind::Add { next, .. }
        | StepKind::Remove { next, .. }
        | StepKind::Let { next, .. }
        | StepKind::Grant { next, .. }
        | StepKind::Withdraw { next, .. }
        | StepKind::WaitFor { next, .. }
        | StepKind::StartJourney { next, .. }
        | StepKind::RunJourney { next, .. }
        | StepKind::Pause { next, .. }
        | StepKind::LoopStart { next, .. } => vec![named("", *next)],
        StepKind::WaitUntil { next, past, .. } if next == past => vec![named("", *next)],
        StepKind::WaitUntil { next, past, .. } => vec![named("", *next), named("past already", *past)],
        StepKind::WaitEvent(wait) => {
            let arms = wait.arms.iter().map(|arm| (self::arm(program, arm), arm.next));
            let mut all: Vec<(String, StepIx)> = arms.collect();
            all.push(named("in vain", wait.timeout));
            let first = all[0].1;
            if all.iter().all(|(_, to)| *to == first) { vec![named("", first)] } else { all }
        }
        StepKind::Branch { yes, no, .. } => vec![named("yes", *yes), named("no", *no)],
        StepKind::Switch { cases, otherwise, .. } => {
            let case = |(values, to): &(Vec<crate::value::Value>, StepIx)| {
                (values.iter().map(value).collect::<Vec<_>>().join(", "), *to)
            };
            cases.iter().map(case).chain([named("otherwise", *otherwise)]).collect()
        }
        StepKind::Split { variants, .. } => variants.iter().map(|(name, _, to)| named(name, *to)).collect(),
        StepKind::LoopNext { body, done, .. } => vec![named("again", *body), named("done", *done)],
        StepKind::Resume | StepKind::Exit { .. } => Vec::new(),
    }
}

fn then(program: &Program, moment: Option<&Moment>) -> String {
    moment.map_or_else(String::new, |moment| format!(" then until {}", self::moment(program, moment)))
}

/// What a wait listens to.
pub(super) fn waited_for(program: &Program, wait: &WaitEvent) -> String {
    wait.arms.iter().map(|arm| self::arm(program, arm)).collect::<Vec<_>>().join(" or ")
}

fn arm(program: &Program, arm: &Arm) -> String {
    match &arm.on {
        Trigger::Event(on) => heard(program, on),
        Trigger::Condition { condition, .. } => spell(condition, Some(program)),
    }
}

fn heard(program: &Program, on: &Match) -> String {
    let signal = |signal: &Signal| match signal {
        Signal::Event(name) => name.to_string(),
        Signal::Outcome { slot, outcome } => format!("{}.{outcome}", slot_name(program, *slot)),
    };
    let names: Vec<String> = on.signals.iter().map(signal).collect();
    let filter = on.filter.as_ref();
    let filter = filter.map_or_else(String::new, |filter| format!(" where {}", spell(filter, Some(program))));
    format!("{}{filter}", names.join(" or "))
}

fn slot_name(program: &Program, slot: u16) -> Word {
    program.slots.get(usize::from(slot)).map_or_else(|| "it".into(), |slot| slot.name.clone())
}

fn moment(program: &Program, moment: &Moment) -> String {
    let spell = |expr: &Expr| spell(expr, Some(program));
    let at = |at: &Option<_>| at.as_ref().map_or_else(String::new, |at| format!(" {}", spell(at)));
    match &moment.kind {
        MomentKind::Weekday { days: named, at: time } => format!("{}{}", days(*named), at(time)),
        MomentKind::Window { days: named, from, to } => {
            format!("{} {} to {}", days(*named), spell(from), spell(to))
        }
        MomentKind::Time(time) => spell(time),
        MomentKind::Fixed { date, at: time } => format!("{date}{}", at(time)),
        MomentKind::Anchor { anchor, offset, at: time, .. } => {
            format!("{}{}{}", self::offset(*offset), spell(anchor), at(time))
        }
    }
}

fn offset(offset: Calendar) -> String {
    let is_before = offset.months < 0 || offset.days < 0 || offset.working_days < 0 || offset.ms < 0;
    match (offset == Calendar::default(), is_before) {
        (true, _) => String::new(),
        (false, true) => format!("{} before ", offset.negate()),
        (false, false) => format!("{offset} after "),
    }
}
