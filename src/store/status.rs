//! What runs: journeys with their people, deliveries by state, what waits. Exact counts, kept as things happen.

use std::collections::BTreeMap;

use serde::Serialize;

use super::backlog::{self, Backlog};
use super::counts::{self, Counted};
use super::journeys;
use super::{Result, Store, audience, brakes, budgets, contacts, deliveries, rejected};
use crate::engine::program::{self, Program};
use crate::time::Timestamp;
use crate::value::Decimal;

/// Everything at a glance; its JSON is an interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Grows with each deploy; 0 before the first.
    pub deployment: i64,
    /// Templates in which the project's folder differs from what is deployed; filled by who knows the folder.
    pub not_deployed: Vec<String>,
    /// What does not leave until somebody resumes it.
    pub paused: Vec<Paused>,
    /// Firings that wait until somebody allows them.
    pub held: Vec<Held>,
    /// The file that stops all sending from this machine, if it is there; filled by who knows the folder.
    pub stopped_by: Option<String>,
    pub contacts: i64,
    pub journeys: Vec<Journey>,
    /// Deliveries by state: queued, leased, deferred, accepted, refused, cancelled, unknown.
    pub deliveries: BTreeMap<String, i64>,
    /// Accepted messages in which a link was followed.
    pub clicked: i64,
    /// Accepted messages by template.
    pub sent: BTreeMap<String, i64>,
    /// Items that could not be read, kept.
    pub rejected: i64,
    pub backlog: Waiting,
}

/// A pause.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Paused {
    /// `all journey channel step`.
    pub what: &'static str,
    /// Of a step, `journey.step`.
    pub name: String,
    /// RFC 3339.
    pub since: String,
    pub by: String,
}

/// A firing that would take in more people than the policy allows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Held {
    pub journey: String,
    /// When it was due; RFC 3339.
    pub at: String,
    pub count: i64,
    pub most: i64,
}

/// One journey, over all its versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Journey {
    pub name: String,
    pub title: Option<String>,
    /// The beginning of the content hash of the version that takes people in; none once retired.
    pub version: Option<String>,
    pub active: i64,
    pub entered: i64,
    /// How many rest at each step.
    pub waiting: BTreeMap<String, i64>,
    /// How many left, by reason.
    pub exits: BTreeMap<String, i64>,
    pub goals: BTreeMap<String, i64>,
    /// Of a journey that has one.
    pub budget: Option<Budget>,
}

/// What a journey may spend and has spent, in decimals.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Budget {
    pub most: String,
    /// In the present window.
    pub spent: String,
    /// In thousandths of `most`.
    pub share: i64,
    /// `calendar month`; none over the life of the journey.
    pub per: Option<&'static str>,
}

/// What is left to do at this moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Waiting {
    pub inbox: i64,
    pub due: i64,
    pub queued: i64,
    pub under_way: i64,
    /// How late the latest due timer is, in milliseconds.
    pub lateness_ms: i64,
    /// RFC 3339; none when nothing ever falls due.
    pub next_due: Option<String>,
}

/// Reads it at that moment of the journey clock.
pub async fn read(store: &Store, now: Timestamp) -> Result<Status> {
    let mut conn = store.read().await?;
    let deployed = journeys::deployed(&mut conn).await?;
    let mut journeys: BTreeMap<String, Journey> = deployed
        .current
        .values()
        .map(|program| (program.journey.to_string(), journey(program, true)))
        .collect();
    for count in counts::all(&mut conn).await? {
        let Some(program) = deployed.program(count.program) else { continue };
        let journey = journeys.entry(program.journey.to_string()).or_insert_with(|| journey(program, false));
        add(journey, count);
    }
    for (name, spent) in budgets::spent(&mut conn, &deployed.catalog, now).await? {
        if let Some(journey) = journeys.get_mut(&*name) {
            journey.budget = deployed.catalog.budgets.get(&name).map(|budget| of(budget, spent));
        }
    }
    let mut status = Status {
        deployment: deployed.generation,
        contacts: contacts::count(&mut conn).await?,
        journeys: journeys.into_values().map(settled).collect(),
        rejected: rejected::count(&mut conn).await?,
        held: audience::held(&mut conn).await?.into_iter().map(held).collect(),
        paused: brakes::standing(&mut conn).await?.into_iter().map(paused).collect(),
        ..Status::default()
    };
    for count in deliveries::counts(&mut conn).await? {
        if count.state == "accepted" {
            *status.sent.entry(count.template.to_string()).or_default() += count.count;
        }
        match count.state.as_str() {
            "clicked" => status.clicked += count.count,
            _ => *status.deliveries.entry(count.state).or_default() += count.count,
        }
    }
    status.backlog = waiting(backlog::backlog(&mut conn, now).await?, now);
    Ok(status)
}

fn of(budget: &program::Budget, spent: Decimal) -> Budget {
    let share = i128::from(spent.0) * 1_000 / i128::from(budget.most.0.max(1));
    Budget {
        most: budget.most.to_string(),
        spent: spent.to_string(),
        share: i64::try_from(share).unwrap_or(i64::MAX),
        per: budget.window_words(),
    }
}

fn held(firing: audience::HeldFiring) -> Held {
    let (journey, at) = (firing.journey.to_string(), firing.at.to_string());
    Held { journey, at, count: firing.count, most: firing.most }
}

fn paused(paused: brakes::Paused) -> Paused {
    let (what, name) = paused.brake.words();
    Paused { what, name, since: paused.since.to_string(), by: paused.author }
}

fn journey(program: &Program, current: bool) -> Journey {
    Journey {
        name: program.journey.to_string(),
        title: program.title.as_ref().map(ToString::to_string),
        version: current.then(|| program.hash().to_string().chars().take(12).collect()),
        ..Journey::default()
    }
}

fn add(journey: &mut Journey, count: counts::Count) {
    match count.what {
        Counted::Entered => journey.entered += count.count,
        Counted::Resting => *journey.waiting.entry(count.name.to_string()).or_default() += count.count,
        Counted::Exited => *journey.exits.entry(count.name.to_string()).or_default() += count.count,
        Counted::Goal => *journey.goals.entry(count.name.to_string()).or_default() += count.count,
    }
}

fn settled(mut journey: Journey) -> Journey {
    journey.waiting.retain(|_, count| *count != 0);
    journey.active = journey.entered - journey.exits.values().sum::<i64>();
    journey
}

fn waiting(backlog: Backlog, now: Timestamp) -> Waiting {
    let late = backlog.next_due.filter(|at| *at < now).map_or(0, |at| now.0 - at.0);
    Waiting {
        inbox: backlog.inbox,
        due: backlog.due,
        queued: backlog.queued,
        under_way: backlog.leased,
        lateness_ms: late,
        next_due: backlog.next_due.map(|at| at.to_string()),
    }
}
