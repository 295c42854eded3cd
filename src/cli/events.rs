//! `fahrplan events rejected`: items that could not be read, or of which a part could not, with the reason; trying them again, and throwing
//! them away.

use serde_json::{Value as Json, json};

use super::check::counted;
use super::load::Project;
use super::{
    EventsArgs, EventsCommand, Exit, Failure, ListArgs, Outcome, OutputFormat, block_on, open, print, world,
};
use crate::clock::machine_now;
use crate::engine::program::Catalog;
use crate::engine::world::Fields;
use crate::http::events::to_incoming;
use crate::http::{consents, rejected::as_json};
use crate::intake::{self, Act, Clocks, Item, Who};
use crate::store::inbox::{Accepted, Incoming};
use crate::store::rejected::{self, Junk, Rejected, Replay};
use crate::store::{self, Access, Conn, Store, contacts, journeys};
use crate::time::Timestamp;

/// Items that share a transaction when they are tried again.
const TOGETHER: u32 = 500;

/// Runs the command.
pub fn run(args: &EventsArgs) -> Outcome {
    let EventsCommand::Rejected { list: ListArgs { limit, format }, retry, discard } = &args.command;
    block_on(async {
        let access = if *retry || !discard.is_empty() { Access::Existing } else { Access::Look };
        let store = open(&Project::of(&[])?, access).await?;
        if !discard.is_empty() {
            let outcome = throw_away(&store, discard, *format).await;
            store.close().await;
            return outcome;
        }
        if *retry {
            let tried = again(&store).await?;
            store.close().await;
            print(&match format {
                OutputFormat::Human => tried.in_words(),
                OutputFormat::Json => format!("{:#}\n", tried.as_json()),
            })?;
            return Ok(if tried.still + tried.cannot == 0 { Exit::Fine } else { Exit::Findings });
        }
        let mut conn = store.read().await.map_err(world)?;
        let count = rejected::count(&mut conn).await.map_err(world)?;
        let items = rejected::list(&mut conn, None, *limit).await.map_err(world)?;
        drop(conn);
        store.close().await;
        match format {
            OutputFormat::Human => print(&in_words(&items, count))?,
            OutputFormat::Json => print(&format!("{:#}\n", Json::from_iter(items.iter().map(as_json))))?,
        }
        Ok(Exit::Fine)
    })
}

fn in_words(items: &[Rejected], count: i64) -> String {
    if items.is_empty() {
        return "Nothing was rejected in the last 30 days.\n".to_owned();
    }
    let mut text = String::new();
    for item in items {
        let Rejected { id, rejected_at, source, code, reason, body, .. } = item;
        text.push_str(&format!("{id}  {rejected_at}  {source}  {code}: {reason}\n    {body}\n"));
    }
    if usize::try_from(count).is_ok_and(|count| count > items.len()) {
        text.push_str(&format!("These are the newest {} of {count}; --limit shows more.\n", items.len()));
    }
    text
}

// ---------------------------------------------------------------- never again

async fn throw_away(store: &Store, named: &[String], format: OutputFormat) -> Outcome {
    let junk: Vec<Junk> = named.iter().map(|text| junk(text)).collect();
    let counts = rejected::discard(store, &junk).await.map_err(world)?;
    let count: u64 = counts.iter().sum();
    let unknown: Vec<&String> =
        named.iter().zip(&counts).filter(|(_, count)| **count == 0).map(|(text, _)| text).collect();
    print(&match format {
        OutputFormat::Human => {
            let items = counted(usize::try_from(count).unwrap_or(usize::MAX), "item");
            let unknown = unknown.iter().map(|text| format!("Nothing is listed as `{text}`.\n"));
            format!("{items} thrown away\n{}", unknown.collect::<String>())
        }
        OutputFormat::Json => format!("{:#}\n", json!({ "discarded": count, "unknown": unknown })),
    })?;
    Ok(if unknown.is_empty() { Exit::Fine } else { Exit::Findings })
}

/// What somebody means by a word of the list: ids are the only numbers in it.
fn junk(text: &str) -> Junk {
    text.parse().map_or_else(|_| Junk::All(text.to_owned()), Junk::One)
}

// ---------------------------------------------------------------- once more

/// What became of items that were tried again.
#[derive(Default)]
struct Tried {
    taken: usize,
    /// Sent again by their client meanwhile, and taken then.
    known: usize,
    /// Still not readable.
    still: usize,
    /// Cut, or nothing that was sent to a door.
    cannot: usize,
}

impl Tried {
    fn in_words(&self) -> String {
        let mut parts = Vec::new();
        for (count, what) in [
            (self.taken, "taken"),
            (self.known, "taken before"),
            (self.still, "still cannot be read: `fahrplan events rejected` says why they came there"),
            (self.cannot, "cannot be tried again: they were too long to be kept whole, or came in no door"),
        ] {
            if count > 0 {
                parts.push(format!("{} {what}\n", counted(count, "item")));
            }
        }
        if parts.is_empty() { "There is nothing to try again.\n".to_owned() } else { parts.concat() }
    }

    fn as_json(&self) -> Json {
        json!({ "taken": self.taken, "taken_before": self.known, "still_rejected": self.still, "cannot": self.cannot })
    }
}

/// Tries everything that is kept again, in the order in which it came. A repeat has no effect: each goes in under a message id, its own
/// or that of its row, but for links between people, which have no second effect.
async fn again(store: &Store) -> Result<Tried, Failure> {
    let mut conn = store.read().await.map_err(world)?;
    let deployed = journeys::deployed(&mut conn).await.map_err(world)?;
    if deployed.generation == 0 {
        return Err(Failure::usage("the database has no schema yet").help("run `fahrplan deploy` first"));
    }
    let (mut tried, mut after) = (Tried::default(), 0);
    loop {
        let items = rejected::oldest(&mut conn, after, TOGETHER).await.map_err(world)?;
        let Some(last) = items.last() else { return Ok(tried) };
        after = last.id;
        let now = machine_now();
        let (mut ids, mut incoming) = (Vec::new(), Vec::new());
        for item in &items {
            let Some(replay) = item.replay() else {
                tried.cannot += 1;
                continue;
            };
            match read(&mut conn, &deployed.catalog, item, replay, now).await.map_err(world)? {
                Some(one) => {
                    ids.push(item.id);
                    incoming.push(one);
                }
                None => tried.still += 1,
            }
        }
        let mut done = Vec::with_capacity(ids.len());
        for (id, accepted) in ids.into_iter().zip(store.accept(incoming, now).await.map_err(world)?) {
            match accepted {
                Accepted::Taken(_) => tried.taken += 1,
                Accepted::Repeated => tried.known += 1,
                Accepted::Nobody | Accepted::TwoPeople => {
                    tried.still += 1;
                    continue;
                }
            }
            done.push(id);
        }
        rejected::settle(store, &done, now).await.map_err(world)?;
    }
}

/// What the inbox takes for a kept item; `None` if it is as unreadable as before. It is read as of the moment at which it came.
async fn read(
    conn: &mut Conn,
    catalog: &Catalog,
    kept: &Rejected,
    replay: &Replay,
    now: Timestamp,
) -> Result<Option<Incoming>, store::Error> {
    let Ok(json) = serde_json::from_str::<Json>(&kept.body) else { return Ok(None) };
    let own = format!("rejected {}", kept.id);
    if replay.kind == consents::KIND {
        let read = consents::incoming_of(conn, catalog, &json, kept.rejected_at).await?.ok();
        return Ok(read.map(|one| Incoming { message_id: one.message_id.or(Some(own)), ..one }));
    }
    let kind = Some(replay.kind.as_str()).filter(|kind| !kind.is_empty());
    let clocks = Clocks { sent_at: replay.sent_at, received_at: kept.rejected_at };
    let Ok(read) = intake::read_item(catalog, &json, kind, clocks) else { return Ok(None) };
    if read.rejected.iter().any(|(name, _)| replay.part.as_ref().is_none_or(|part| part == name)) {
        return Ok(None);
    }
    let Item { mut who, message_id, what } = read.item;
    let what = match what {
        Act::Attributes(values) => {
            let values = missing(conn, &who, values, replay).await?;
            // Nor does an address count by which it was known then, and perhaps somebody else is now.
            if who.user_id.is_some() || who.anonymous_id.is_some() {
                who.email = who.email.filter(|_| values.contains_key("email"));
                who.phone = who.phone.filter(|_| values.contains_key("phone"));
            }
            Act::Attributes(values)
        }
        what => what,
    };
    let message_id = match (kept.code == "two-people", replay.part.is_some()) {
        // The id of an alias is taken, and one of its own would be by a try that comes to nothing. A link that is there is made once.
        (true, _) => None,
        // The id of an item of which a part was stored is taken.
        (false, true) => Some(own),
        (false, false) => message_id.or(Some(own)),
    };
    Ok(Some(to_incoming(Item { who, message_id, what }, now)))
}

/// Those attributes that the contact does not have by now: what was said later counts. Of an item in parts, the one that did not fit.
async fn missing(
    conn: &mut Conn,
    who: &Who,
    mut values: Fields,
    replay: &Replay,
) -> Result<Fields, store::Error> {
    if let Some(part) = &replay.part {
        values.retain(|name, _| name == part);
    }
    let keys = [&who.user_id, &who.anonymous_id, &who.email, &who.phone];
    let Some(key) = keys.into_iter().flatten().next() else { return Ok(values) };
    if let Some(contact) = contacts::by_key(conn, key).await? {
        values.retain(|name, _| !contact.attributes.contains_key(name));
    }
    Ok(values)
}
