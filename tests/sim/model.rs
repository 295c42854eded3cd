//! The same world without faults: the engine's own store in memory, given the same script.

use std::collections::BTreeMap;
use std::sync::Arc;

use fahrplan::engine::memory::{Happened, Memory};
use fahrplan::engine::world::{Cause, Fields, What as Noted};
use fahrplan::engine::{interests, waits_for};
use fahrplan::id::ContactId;
use fahrplan::value::Value;

use crate::plan::Plan;
use crate::shop::{REFUSED, Shop};
use crate::state::{event, moment, story};

/// What a run must come to, as [`crate::state::State::lines`] tells it.
pub(crate) fn lines(plan: &Plan) -> Vec<String> {
    let shop = Shop::get();
    let programs = shop.programs(plan.theme).into_iter().map(Arc::new);
    let mut memory = Memory::new(shop.catalog.clone(), programs, plan.start);
    memory.report_of(REFUSED, &["failed"]);
    for item in &plan.items {
        let contact = id(item.who);
        if memory.world(contact).is_none() {
            memory.advance_to(item.at.plus_ms(-1));
            memory.sleep_to(item.at);
            memory.add_contact(contact, Fields::new());
            memory.settle(contact, Cause::New);
        }
        let input = item.input(memory.new_id(), item.at);
        memory.input(contact, &input, item.at);
    }
    memory.advance_to(plan.end);
    told(plan, &memory)
}

fn id(who: usize) -> ContactId {
    ContactId(i64::try_from(who).expect("few") + 1)
}

fn told(plan: &Plan, memory: &Memory) -> Vec<String> {
    let shop = Shop::get();
    let mut lines = Vec::new();
    let mut counts: BTreeMap<(String, i64, String), i64> = BTreeMap::new();
    let mut reasons = BTreeMap::new();
    for logged in memory.log() {
        let who = usize::try_from(logged.contact.0 - 1).expect("one of ours");
        match &logged.what {
            Happened::Note(note) => {
                let journey = note.journey.as_deref().unwrap_or("-").to_owned();
                let counted = match &note.what {
                    Noted::Entered => Some((1, String::new())),
                    Noted::Exited { reason } => {
                        reasons.insert(note.enrollment, reason.to_string());
                        Some((2, reason.to_string()))
                    }
                    Noted::Goal { name } => Some((3, name.to_string())),
                    _ => None,
                };
                if let Some((kind, name)) = counted {
                    *counts.entry((journey, kind, name)).or_default() += 1;
                }
                lines.push(story(who, note));
            }
            Happened::Send(d) => {
                let state = if &*d.template == REFUSED { "refused" } else { "accepted" };
                let (journey, step, round, arm, template) =
                    (&d.journey, &d.step, d.round, d.arm, &d.template);
                lines.push(format!("delivery {who} {journey} {step} {round} {arm} {template} {state}"));
            }
            Happened::Task(_)
            | Happened::Request(_)
            | Happened::Record(..)
            | Happened::Start(..)
            | Happened::Withdrawn(_) => {}
        }
    }
    for who in 0..plan.people {
        let Some(world) = memory.world(id(who)) else { continue };
        for (journey, past) in &world.past {
            for past in past {
                let reason = reasons.get(&Some(past.id)).cloned().unwrap_or_default();
                lines.push(format!("enrollment {who} {journey} {:?} {} {reason}", past.key, past.entered_at));
            }
        }
        for enrollment in world.enrollments.values() {
            let (program, state) = (&enrollment.program, &enrollment.state);
            let journey = &program.journey;
            lines.push(format!("timer {who} {journey} {}", moment(enrollment.wake_at)));
            for name in interests(&shop.catalog, program) {
                lines.push(format!("listens {who} {journey} {name} false"));
            }
            for name in waits_for(&shop.catalog, program, state) {
                lines.push(format!("listens {who} {journey} {name} true"));
            }
            if !state.ended {
                let step = program.steps[usize::from(state.step)].id.to_string();
                *counts.entry((journey.to_string(), 0, step)).or_default() += 1;
            }
        }
        for standing in world.standing.iter().flat_map(|all| all.values()) {
            if standing.wake_at != fahrplan::time::Timestamp::NEVER {
                lines.push(format!("timer {who} standing {}", moment(standing.wake_at)));
            }
        }
        for (at, channel, purpose) in world.permissions.iter().flat_map(|all| &all.slots) {
            lines.push(format!("slot {who} {at} {channel} {purpose}"));
        }
        for came in world.history.values().flat_map(|history| &history.events) {
            // Reports of messages: the store keeps them only where a journey asks for them.
            if came.name.starts_with("message_") {
                continue;
            }
            let number = match came.fields.get("n") {
                Some(Value::Number(number)) => Some(*number),
                _ => None,
            };
            let order = came.fields.get("order_id").and_then(|id| id.as_text()).map(str::to_owned);
            lines.push(event(who, &came.name, number, &order));
        }
    }
    for ((journey, kind, name), count) in counts {
        lines.push(format!("count {journey} {kind} {name} {count}"));
    }
    lines.sort();
    lines
}

/// What one has and the other has not, for people to read.
pub(crate) fn difference(found: &[String], wanted: &[String]) -> Vec<String> {
    let count = |lines: &[String]| {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        lines.iter().for_each(|line| *counts.entry(line.clone()).or_default() += 1);
        counts
    };
    let (found, wanted) = (count(found), count(wanted));
    let mut different = Vec::new();
    let all: std::collections::BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
    for line in all {
        let (found, wanted) = (found.get(line).unwrap_or(&0), wanted.get(line).unwrap_or(&0));
        if found != wanted {
            different.push(format!("{found} instead of {wanted}: {line}"));
        }
    }
    different
}
