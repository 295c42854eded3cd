//! What must be true of every run, whatever befell it.

use std::collections::{BTreeMap, BTreeSet};

use fahrplan::engine::world::What as Noted;
use fahrplan::id::EnrollmentId;
use fahrplan::time::{DAY, HOUR, Zone};

use crate::plan::{Plan, What};
use crate::shop::THEMES;
use crate::state::State;

/// All laws; the first that is broken.
pub(crate) fn hold(plan: &Plan, state: &State) -> Result<(), String> {
    events_are_there_once(plan, state)?;
    steps_are_done_once(state)?;
    enrollments_and_timers_agree(state)?;
    listeners_are_those_of_waits(state)?;
    deliveries_are_owed_once_and_settled(state)?;
    caps_hold(state)?;
    counts_are_sums(state)?;
    journeys_keep_their_rules(plan, state)
}

fn law(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// Whatever a client was told is accepted is in the history of its contact, and nothing is there twice.
fn events_are_there_once(plan: &Plan, state: &State) -> Result<(), String> {
    law(state.inbox == 0, || format!("{} rows are left in the inbox", state.inbox))?;
    let mut found: BTreeMap<(usize, &str, String), usize> = BTreeMap::new();
    for (who, name, number, order) in &state.events {
        let key = order.clone().or(number.map(|number| number.to_string()));
        if let Some(key) = key {
            *found.entry((*who, name, key)).or_default() += 1;
        }
    }
    let mut wanted = BTreeSet::new();
    for item in &plan.items {
        if let What::Event { name, order, .. } = &item.what {
            let key = order.map_or_else(|| item.number.to_string(), |order| format!("o{order}"));
            wanted.insert((item.who, *name, key));
        }
    }
    for key in &wanted {
        let count = found.remove(key).unwrap_or(0);
        law(count == 1, || format!("the event {key:?} is there {count} times"))?;
    }
    law(found.is_empty(), || format!("events that nobody sent: {found:?}"))
}

/// Each step at most once a round; a beginning, an end and a goal at most once for each enrollment.
fn steps_are_done_once(state: &State) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for (who, note) in &state.notes {
        let what = match &note.what {
            Noted::Done { .. } => "done".to_owned(),
            Noted::Entered => "entered".to_owned(),
            Noted::Exited { .. } => "exited".to_owned(),
            Noted::Goal { name } => format!("goal {name}"),
            Noted::Queued { channel, .. } => format!("queued {channel}"),
            _ => continue,
        };
        let journey = note.journey.as_deref().unwrap_or("-");
        let place = (note.enrollment, note.step.clone(), note.round, what);
        law(seen.insert(place.clone()), || format!("contact {who}, {journey}: twice {place:?}"))?;
    }
    Ok(())
}

/// Who is on the way has one timer, and its row knows when that is.
fn enrollments_and_timers_agree(state: &State) -> Result<(), String> {
    for one in &state.enrollments {
        let timers: Vec<_> = state.timers.iter().filter(|t| t.kind == 0 && t.id == one.id).collect();
        let journey = &one.journey;
        law(timers.len() <= 1, || format!("{} of {journey} has {} timers", one.id, timers.len()))?;
        law(one.ended_at.is_some() || timers.len() == 1, || format!("{} of {journey} has no timer", one.id))?;
        if let (Some(timer), true) = (timers.first(), one.tracked) {
            law(timer.wake_at == one.wake_at, || format!("{} of {journey} is not found by its row", one.id))?;
        }
    }
    let known: BTreeSet<EnrollmentId> = state.enrollments.iter().map(|one| one.id).collect();
    for timer in state.timers.iter().filter(|timer| timer.kind == 0) {
        law(known.contains(&timer.id), || format!("a timer of {} that never was", timer.id))?;
    }
    Ok(())
}

/// Nobody listens who is no more, and no wait that is over.
fn listeners_are_those_of_waits(state: &State) -> Result<(), String> {
    for listener in &state.listeners {
        let timer = state.timers.iter().find(|t| t.kind == 0 && t.id == listener.id);
        let name = &listener.name;
        let journey = state.journey(listener.id);
        let Some(timer) = timer else {
            return Err(format!("{} of {journey} is over and listens to `{name}`", listener.id));
        };
        law(!listener.is_wait || listener.wake_at == timer.wake_at, || {
            format!("{} of {journey} listens to `{name}` for a wait that is over", listener.id)
        })?;
    }
    Ok(())
}

/// One delivery for each line that says so, with an identity of its own, and with a result.
fn deliveries_are_owed_once_and_settled(state: &State) -> Result<(), String> {
    let mut identities = BTreeSet::new();
    for one in &state.deliveries {
        let identity = (one.enrollment, one.step.clone(), one.round, one.arm);
        law(identities.insert(identity.clone()), || format!("two deliveries are {identity:?}"))?;
        let settled = matches!(&*one.state, "accepted" | "refused" | "cancelled");
        law(settled, || format!("a delivery of {} is still {}", one.journey, one.state))?;
    }
    let queued = state.notes.iter().filter(|(_, note)| matches!(note.what, Noted::Queued { .. })).count();
    law(queued == state.deliveries.len(), || {
        format!("{queued} deliveries were decided and {} are there", state.deliveries.len())
    })?;
    let mut sums: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for one in &state.deliveries {
        *sums.entry((&one.template, &one.state)).or_default() += 1;
        *sums.entry((&one.template, "made")).or_default() += 1;
    }
    let counted: BTreeMap<(&str, &str), i64> = state
        .settled
        .iter()
        .filter(|s| s.1 != "clicked")
        .map(|(t, s, count)| ((&**t, &**s), *count))
        .collect();
    law(sums == counted, || format!("deliveries are {sums:?} and were counted as {counted:?}"))
}

/// No window has more slots than its cap, and who was not cancelled has one.
fn caps_hold(state: &State) -> Result<(), String> {
    // As the policy of the shop has it; an hour less, since days of a clock change are shorter.
    let caps = [("marketing", 2, 3 * DAY - HOUR), ("reminders", 1, 2 * DAY - HOUR)];
    for (purpose, most, window) in caps {
        for (who, at, ..) in &state.slots {
            let within = state.slots.iter().filter(|slot| {
                slot.0 == *who
                    && (purpose == "marketing" || slot.3 == purpose)
                    && slot.1 <= *at
                    && slot.1.0 > at.0 - window
            });
            let count = within.count();
            law(count <= most, || {
                format!("contact {who} got {count} of {purpose} up to {at}, at most {most}")
            })?;
        }
    }
    for one in state.deliveries.iter().filter(|one| !one.transactional) {
        let slots = state.slots.iter().filter(|slot| slot.4 == one.id).count();
        let wanted = usize::from(one.state != "cancelled");
        law(slots == wanted, || format!("a delivery that is {} has {slots} slots", one.state))?;
    }
    Ok(())
}

/// What is counted is what there is.
fn counts_are_sums(state: &State) -> Result<(), String> {
    let mut sums: BTreeMap<(String, i64, String), i64> = BTreeMap::new();
    for one in &state.enrollments {
        *sums.entry((one.journey.clone(), 1, String::new())).or_default() += 1;
        if one.ended_at.is_some() {
            *sums.entry((one.journey.clone(), 2, one.reason.clone())).or_default() += 1;
        }
    }
    for (_, note) in &state.notes {
        if let (Noted::Goal { name }, Some(journey)) = (&note.what, &note.journey) {
            *sums.entry((journey.to_string(), 3, name.to_string())).or_default() += 1;
        }
    }
    let counted: BTreeMap<_, _> = state
        .counts
        .iter()
        .filter(|(_, kind, _, count)| *kind != 0 && *count != 0)
        .map(|(journey, kind, name, count)| ((journey.clone(), *kind, name.clone()), *count))
        .collect();
    law(sums == counted, || format!("there are {sums:?} and counted are {counted:?}"))?;
    for journey in THEMES.iter().copied().flatten() {
        let rests: i64 = state.counts.iter().filter(|c| c.0 == *journey && c.1 == 0).map(|c| c.3).sum();
        let active = state.enrollments.iter().filter(|e| e.journey == *journey && e.ended_at.is_none());
        let active = i64::try_from(active.count()).expect("few");
        law(rests == active, || format!("{rests} are said to rest in {journey}, and {active} do"))?;
    }
    Ok(())
}

/// What the texts of the journeys promise, apart from how the engine does it.
fn journeys_keep_their_rules(plan: &Plan, state: &State) -> Result<(), String> {
    let berlin = Zone::named("Europe/Berlin").expect("a zone");
    let mut nights = BTreeSet::new();
    let entered = |journey: &'static str| {
        let notes = state.notes.iter().filter(|(_, note)| matches!(note.what, Noted::Entered));
        notes.filter(move |(_, note)| note.journey.as_deref() == Some(journey))
    };
    for (who, note) in entered("nightly") {
        let date = berlin.date(note.at);
        law(nights.insert((*who, date)), || format!("contact {who} had the night of {date:?} twice"))?;
    }
    for who in 0..plan.people {
        let count = entered("welcome").filter(|(w, _)| *w == who).count();
        law(count <= 1, || format!("contact {who} was welcomed {count} times"))?;
    }
    if THEMES[plan.theme].contains(&"loyalty") {
        let orders = state.events.iter().filter(|(_, name, ..)| name == "ordered").count();
        let count = entered("loyalty").count();
        law(count == orders, || format!("{orders} orders began {count} enrollments of loyalty"))?;
        // The last one lasts longer than any run.
        for who in 0..plan.people {
            let ordered = state.events.iter().any(|(w, name, ..)| *w == who && name == "ordered");
            let stays = state.enrollments.iter().filter(|e| e.who == who && e.journey == "loyalty");
            let stays = stays.filter(|e| e.ended_at.is_none()).count();
            law(stays == usize::from(ordered), || format!("contact {who} is {stays} times in loyalty"))?;
        }
    }
    Ok(())
}
