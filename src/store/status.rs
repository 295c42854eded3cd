//! What runs: journeys with their people, deliveries by state, what waits. Exact counts, kept as things happen.

use std::collections::BTreeMap;

use serde::Serialize;

use super::backlog::{self, Backlog};
use super::counts::{self, Counted};
use super::journeys;
use super::{Conn, Result, Store, audience, brakes, budgets, contacts, deliveries, rejected};
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
    /// Accepted messages by channel.
    pub by_channel: BTreeMap<String, i64>,
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

/// A firing that would take in more people than the policy allows, or far more than the one before.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Held {
    pub journey: String,
    /// When it was due; RFC 3339.
    pub at: String,
    pub count: i64,
    pub most: i64,
    /// How many the one before took in, if it is held for that; none: by the policy.
    pub before: Option<i64>,
}

/// One journey, over all its versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Journey {
    pub name: String,
    pub title: Option<String>,
    /// The beginning of the content hash of the version that takes people in; none once retired.
    pub version: Option<String>,
    pub state: State,
    pub active: i64,
    pub entered: i64,
    /// How many rest at each step.
    pub waiting: BTreeMap<String, i64>,
    /// How many left, by reason.
    pub exits: BTreeMap<String, i64>,
    pub goals: BTreeMap<String, i64>,
    /// Of a journey that has one.
    pub budget: Option<Budget>,
    /// Its messages by channel and what came of them; `open`: nothing yet. Requests stand under `request`.
    pub deliveries: BTreeMap<String, BTreeMap<String, i64>>,
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

/// Whether a journey takes people in, and lets its messages leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    #[default]
    Open,
    /// A firing would take in more people than are allowed, and waits for somebody.
    Held,
    /// Nothing of it leaves until somebody resumes it.
    Paused,
    /// It takes nobody in any more.
    Retired,
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
    let mut status = overview(&mut conn, now).await?;
    status.contacts = contacts::count(&mut conn).await?;
    status.rejected = rejected::count(&mut conn).await?;
    for count in deliveries::counts(&mut conn).await? {
        if count.state == "accepted" {
            *status.sent.entry(count.template.to_string()).or_default() += count.count;
            *status.by_channel.entry(count.channel.to_string()).or_default() += count.count;
        }
        match count.state.as_str() {
            "clicked" => status.clicked += count.count,
            _ => *status.deliveries.entry(count.state).or_default() += count.count,
        }
    }
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

/// The journeys with their people, what stops them, and what waits: all but what takes the longer the more there is of it.
pub async fn overview(conn: &mut Conn, now: Timestamp) -> Result<Status> {
    let deployed = journeys::deployed(conn).await?;
    let mut journeys: BTreeMap<String, Journey> = deployed
        .current
        .values()
        .map(|program| (program.journey.to_string(), journey(program, true)))
        .collect();
    for count in counts::all(conn).await? {
        let Some(program) = deployed.program(count.program) else { continue };
        let journey = journeys.entry(program.journey.to_string()).or_insert_with(|| journey(program, false));
        add(journey, count);
    }
    for (name, spent) in budgets::spent(conn, &deployed.catalog, now).await? {
        if let Some(journey) = journeys.get_mut(&*name) {
            journey.budget = deployed.catalog.budgets.get(&name).map(|budget| of(budget, spent));
        }
    }
    for result in deliveries::results(conn).await? {
        if let Some(journey) = journeys.get_mut(&*result.journey) {
            journey
                .deliveries
                .entry(result.channel.to_string())
                .or_default()
                .insert(result.state, result.count);
        }
    }
    let standing = brakes::standing(conn).await?;
    let firings = audience::held(conn).await?;
    for journey in journeys.values_mut() {
        journey.state = state(journey, &standing, &firings);
    }
    Ok(Status {
        deployment: deployed.generation,
        journeys: journeys.into_values().map(settled).collect(),
        held: firings.into_iter().map(held).collect(),
        paused: standing.into_iter().map(paused).collect(),
        backlog: waiting(backlog::backlog(conn, now).await?, now),
        ..Status::default()
    })
}

fn state(journey: &Journey, standing: &[brakes::Paused], firings: &[audience::HeldFiring]) -> State {
    let stops = |paused: &brakes::Paused| match &paused.brake {
        brakes::Brake::All => true,
        brakes::Brake::Journey(name) => **name == *journey.name,
        brakes::Brake::Channel(_) | brakes::Brake::Step { .. } => false,
    };
    if journey.version.is_none() {
        State::Retired
    } else if standing.iter().any(stops) {
        State::Paused
    } else if firings.iter().any(|firing| *firing.journey == *journey.name) {
        State::Held
    } else {
        State::Open
    }
}

fn held(firing: audience::HeldFiring) -> Held {
    let (journey, at) = (firing.journey.to_string(), firing.at.to_string());
    Held { journey, at, count: firing.count, most: firing.most, before: firing.before }
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
