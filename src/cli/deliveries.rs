//! `fahrplan deliveries`: messages that may have left or were refused, and what to do about them.
//!
//! A message is unknown when its text was handed over and no answer came, or the process died in that moment. Marketing is not sent a
//! second time by itself: it is listed here until somebody decides.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::load::Project;
use super::{
    DeliveriesArgs, DeliveriesCommand, Exit, Failure, ListedState, Outcome, OutputFormat, WhichArgs,
    block_on, open, print, table, world,
};
use crate::clock::machine_now;
use crate::daemon::withdrawn;
use crate::engine::program::Word;
use crate::id::DeliveryId;
use crate::store::deliveries::{self, Decision, Holder, Kind, Listed, SendResult, Shown, Undecided};
use crate::store::{self, Access, Store, journeys, suppressions};
use crate::story;
use crate::time::Timestamp;

/// Runs the command.
pub fn run(args: &DeliveriesArgs) -> Outcome {
    block_on(async {
        let access = match args.command {
            DeliveriesCommand::List { .. } => Access::Look,
            DeliveriesCommand::Resend(_) | DeliveriesCommand::Settle(_) => Access::Existing,
        };
        let store = open(&Project::of(&[])?, access).await?;
        let outcome = match &args.command {
            DeliveriesCommand::List { state, limit, format } => list(&store, *state, *limit, *format).await,
            DeliveriesCommand::Resend(which) => decide(&store, Decision::Resend, which).await,
            DeliveriesCommand::Settle(which) => decide(&store, Decision::Settle, which).await,
        };
        store.close().await;
        outcome
    })
}

fn shown(state: ListedState) -> Shown {
    match state {
        ListedState::Unknown => Shown::Unknown,
        ListedState::Failed => Shown::Failed,
        ListedState::Deferred => Shown::Again,
        ListedState::Queued => Shown::Queued,
        ListedState::Leased => Shown::Leased,
        ListedState::Waiting => Shown::Waiting,
    }
}

async fn list(store: &Store, state: Option<ListedState>, limit: u32, format: OutputFormat) -> Outcome {
    let mut conn = store.read().await.map_err(world)?;
    let states = state.map_or(vec![Shown::Unknown, Shown::Failed], |state| vec![shown(state)]);
    let mut found = Vec::new();
    for state in states {
        let room = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        found.extend(deliveries::list(&mut conn, state, room).await.map_err(world)?);
    }
    drop(conn);
    print(&match format {
        OutputFormat::Human => in_words(&found, limit),
        OutputFormat::Json => {
            let json: Vec<_> = found.iter().map(as_json).collect();
            let text =
                serde_json::to_string_pretty(&json).map_err(|error| Failure::world(error.to_string()))?;
            format!("{text}\n")
        }
    })?;
    Ok(Exit::Fine)
}

fn as_json(listed: &Listed) -> serde_json::Value {
    let Listed { contact, line, holder } = listed;
    let holder = holder.as_ref().map(|holder| {
        json!({
            "worker": holder.worker, "place": holder.place, "gone": holder.is_gone,
            "since": holder.since.map(|at| at.to_string()), "until": holder.until.to_string(),
        })
    });
    json!({
        "id": line.id.to_string(), "contact": contact.to_string(), "journey": line.journey, "step": line.step,
        "channel": line.channel, "template": line.template, "purpose": line.purpose, "state": line.state,
        "due_at": line.due_at.to_string(), "attempts": line.attempts, "maybe_duplicate": line.maybe_duplicate,
        "result": line.result, "holder": holder,
    })
}

fn in_words(found: &[Listed], limit: u32) -> String {
    if found.is_empty() {
        return "There are none.\n".to_owned();
    }
    let row = |listed: &Listed| {
        let Listed { contact, line, holder } = listed;
        let held = holder.as_ref().map(|holder| held_by(holder, line.attempts));
        let why = held.or_else(|| line.result.clone()).unwrap_or_default();
        [
            line.id.to_string(),
            line.state.clone(),
            format!("{}.{}", line.journey, line.step),
            format!("{} on {}", line.template, line.channel),
            contact.to_string(),
            line.due_at.to_string().chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect(),
            why.chars().filter(|c| !c.is_control()).collect(),
        ]
    };
    let rows: Vec<_> = found.iter().map(row).collect();
    let mut text = table(["id", "state", "step", "message", "contact", "due", "why"], &rows);
    if found.iter().any(|listed| listed.line.state == "unknown") {
        text.push_str(
            "\nUnknown ones may have arrived: `fahrplan deliveries resend ID` sends one again, `fahrplan deliveries settle ID` \
             counts it as sent.\n",
        );
    }
    if found.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
        text.push_str("There may be more; --limit shows them.\n");
    }
    text
}

/// Who is sending it, since when if that is known, and what follows if that is nobody any more.
fn held_by(holder: &Holder, attempts: i64) -> String {
    let clock = |at: Timestamp| at.to_string().chars().skip(11).take(8).collect::<String>();
    let Holder { worker, place, since, until, is_gone } = holder;
    let who =
        if place.is_empty() { format!("worker {worker}") } else { format!("worker {worker} ({place})") };
    match since {
        _ if *until <= machine_now() => format!("{who} had it; whoever is there takes it now"),
        _ if *is_gone => {
            format!("{who} had it and is gone; another one takes it by {} at the latest", clock(*until))
        }
        Some(since) => format!("{who} sends it since {}", clock(*since)),
        None => format!("{who} sends it, at try {attempts}"),
    }
}

/// Deliveries about which one transaction decides.
const TOGETHER: usize = 500;

async fn decide(store: &Store, decision: Decision, which: &WhichArgs) -> Outcome {
    let done = match decision {
        Decision::Resend => "will be sent again",
        Decision::Settle => "counts as sent",
    };
    let ids = if which.all {
        let state = which.state.map_or(Shown::Unknown, shown);
        if decision == Decision::Settle && state != Shown::Unknown {
            return Err(Failure::usage("only what may have left can count as sent"));
        }
        // Listed once: one that comes into doubt again meanwhile waits for another word.
        let mut conn = store.read().await.map_err(world)?;
        let found = deliveries::list(&mut conn, state, u32::MAX).await.map_err(world)?;
        found.iter().map(|listed| listed.line.id).collect()
    } else if which.ids.is_empty() {
        return Err(Failure::usage("which ones?")
            .help("write ids as `fahrplan deliveries list` shows them, or --all"));
    } else {
        which.ids.iter().map(|text| read(text)).collect::<Result<Vec<_>, _>>()?
    };
    let decided = decide_all(store, decision, &ids).await?;
    let mut text = String::new();
    if which.all {
        let each = if decided.done.len() == 1 { "message" } else { "messages" };
        text.push_str(&format!("{} {each}: {done}.\n", decided.done.len()));
    } else {
        text.extend(decided.done.iter().map(|id| format!("{id} {done}.\n")));
    }
    text.push_str(&decided.in_words());
    let left: BTreeSet<DeliveryId> = ids.into_iter().filter(|id| !decided.knows(id)).collect();
    for id in left.iter().filter(|_| !which.all) {
        text.push_str(&format!("{id} is not among those about which that can be decided.\n"));
    }
    print(&text)?;
    let is_done = decided.in_vain.is_empty() && (which.all || left.is_empty());
    Ok(if is_done { Exit::Fine } else { Exit::Findings })
}

/// What came of a decision.
#[derive(Default)]
struct Decided {
    done: BTreeSet<DeliveryId>,
    in_vain: BTreeMap<DeliveryId, InVain>,
}

/// Why one is not sent again: it would be cancelled as soon as it was about to leave.
struct InVain {
    reason: Word,
    text: String,
    in_doubt: bool,
}

async fn decide_all(store: &Store, decision: Decision, ids: &[DeliveryId]) -> Result<Decided, Failure> {
    let (now, author) = (machine_now(), super::author());
    let mut all = Decided::default();
    for ids in ids.chunks(TOGETHER) {
        let vain = match decision {
            Decision::Resend => in_vain(store, ids, now).await.map_err(world)?,
            Decision::Settle => BTreeMap::new(),
        };
        let ids: Vec<DeliveryId> = ids.iter().copied().filter(|id| !vain.contains_key(id)).collect();
        all.done.extend(deliveries::decide(store, decision, &ids, &author, now).await.map_err(world)?);
        all.in_vain.extend(vain);
    }
    Ok(all)
}

/// Those that would not leave, as things are now.
async fn in_vain(
    store: &Store,
    ids: &[DeliveryId],
    now: Timestamp,
) -> Result<BTreeMap<DeliveryId, InVain>, store::Error> {
    let mut conn = store.read().await?;
    let catalog = journeys::deployed(&mut conn).await?.catalog.clone();
    let mut all = BTreeMap::new();
    for Undecided { claimed, in_doubt } in deliveries::undecided(&mut conn, ids).await? {
        let delivery = &claimed.delivery;
        let reason = match (claimed.cut_off, claimed.kind) {
            (true, _) => "left".into(),
            (false, Kind::Request) => continue,
            (false, Kind::Message) => match withdrawn(&catalog, &claimed, now) {
                Some(SendResult::Cancelled { reason }) => reason,
                _ => continue,
            },
        };
        let address = claimed.person.as_ref().and_then(|person| person.address.as_deref());
        let text = match (&*reason, address) {
            ("suppressed", Some(address)) => {
                let since = suppressions::of_address(&mut conn, address, &delivery.channel).await?;
                let since = since.map_or_else(String::new, |(why, at)| {
                    format!(": {} on {}", story::suppression(&why), story::moment(&catalog, at))
                });
                format!("its address is not used any more{since}")
            }
            ("consent", _) => format!("there is no consent to {} by {}", delivery.purpose, delivery.channel),
            ("paused", _) => format!("{} rests for this person", delivery.purpose),
            ("late", _) => "it would come too late".to_owned(),
            ("left", _) => "the journey was left".to_owned(),
            ("gone", _) => "the person is not there any more".to_owned(),
            ("unreachable", _) => "there is no address".to_owned(),
            ("moved", _) => "its address is somebody else's by now".to_owned(),
            (other, _) => other.to_owned(),
        };
        all.insert(delivery.id, InVain { reason, text, in_doubt });
    }
    Ok(all)
}

impl Decided {
    fn knows(&self, id: &DeliveryId) -> bool {
        self.done.contains(id) || self.in_vain.contains_key(id)
    }

    /// What was not done, and what there is to do.
    fn in_words(&self) -> String {
        let tame = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
        let mut text: String = self
            .in_vain
            .iter()
            .map(|(id, vain)| format!("{id} is not sent again: {}.\n", tame(&vain.text)))
            .collect();
        let because = |reason: &str| self.in_vain.values().any(|vain| *vain.reason == *reason);
        if because("suppressed") {
            text.push_str(
                "What bounced or complained stays suppressed, and so does a message to it. Where the person has another address \
                 (`fahrplan import contacts`, or identify), later messages go there.\n",
            );
        }
        if because("consent") {
            text.push_str(
                "Once they agree (`fahrplan import contacts`, or POST /v1/consents), it can be sent again.\n",
            );
        }
        if self.in_vain.values().any(|vain| vain.in_doubt) {
            text.push_str(
                "What may have left can be put away: `fahrplan deliveries settle ID` counts it as sent.\n",
            );
        }
        text
    }
}

fn read(text: &str) -> Result<DeliveryId, Failure> {
    text.parse().map_err(|_| {
        Failure::usage(format!("`{text}` is no delivery"))
            .help("an id is `dl_` and 13 letters, as `fahrplan deliveries list` shows it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_who_sends_is_not_said() {
        let now = machine_now();
        let (since, until) = ("2026-05-04T10:00:07Z".parse().expect("a time"), now.plus_ms(60_000));
        let holder =
            Holder { worker: 3, place: "desk:17".to_owned(), since: Some(since), until, is_gone: false };
        assert_eq!(held_by(&holder, 1), "worker 3 (desk:17) sends it since 10:00:07");
        assert_eq!(
            held_by(&Holder { since: None, ..holder.clone() }, 2),
            "worker 3 (desk:17) sends it, at try 2"
        );
        let gone = Holder { is_gone: true, ..holder.clone() };
        let words = held_by(&gone, 1);
        assert!(
            words.starts_with("worker 3 (desk:17) had it and is gone; another one takes it by "),
            "{words}"
        );
        let let_go = Holder { until: now, ..gone };
        assert_eq!(held_by(&let_go, 1), "worker 3 (desk:17) had it; whoever is there takes it now");
    }
}
