//! `fahrplan exit`: takes one person out of a journey.
//!
//! Writes into the inbox, as `enroll` does; what the journey had queued is cancelled by the transition itself.

use std::collections::BTreeSet;

use super::load::Project;
use super::{Exit, ExitArgs, Failure, Outcome, block_on, open, print, world};
use crate::clock::machine_now;
use crate::diagnostic::suggest;
use crate::engine::world::Input;
use crate::store::inbox::{Accepted, Incoming, To};
use crate::store::{Access, Store, contacts, enrollments, journeys};
use crate::story;

/// The reason with which somebody ends who is taken out.
const EXITED: &str = "exited";

/// Runs the command.
pub fn run(args: &ExitArgs) -> Outcome {
    block_on(async {
        let store = open(&Project::of(&[])?, Access::Existing).await?;
        let outcome = exit(&store, args).await;
        store.close().await;
        outcome
    })
}

async fn exit(store: &Store, args: &ExitArgs) -> Outcome {
    let mut conn = store.read().await.map_err(world)?;
    let deployed = journeys::deployed(&mut conn).await.map_err(world)?;
    let mut known = deployed.programs().map(|program| &program.journey);
    let Some(journey) = known.find(|known| ***known == args.journey).cloned() else {
        let names: BTreeSet<&str> = deployed.programs().map(|program| &*program.journey).collect();
        let question = suggest::question(&args.journey, names);
        let failure = Failure::usage(format!("there is no journey `{}`{question}", args.journey));
        return Err(failure.help("`fahrplan status` lists them"));
    };
    let contact = contacts::by_key(&mut conn, &args.key).await.map_err(world)?;
    let contact = contact.ok_or_else(|| super::contact::nobody(&args.key))?;
    let all = enrollments::of_contact(&mut conn, contact.id).await.map_err(world)?;
    drop(conn);
    let inside = all.iter().filter(|line| line.journey == journey && line.ended_at.is_none()).count();
    if inside == 0 {
        let was = all.iter().rev().find(|line| line.journey == journey);
        let before = match was.and_then(|line| Some((line.ended_at?, line.reason.as_ref()?))) {
            Some((at, reason)) => {
                format!(": the last time ended on {} as {reason}", story::moment(&deployed.catalog, at))
            }
            None => String::new(),
        };
        let message = format!("{} is not inside `{journey}`{before}", args.key);
        return Err(Failure::findings(message).help("`fahrplan contact show` tells where somebody is"));
    }
    let input = Input::Leave { journey: journey.clone(), reason: EXITED.into() };
    let item = Incoming { to: To::Contact(contact.id), message_id: None, input };
    match store.accept(vec![item], machine_now()).await.map_err(world)?[..] {
        [Accepted::Taken(id)] => {
            let times = if inside == 1 { String::new() } else { format!(", {inside} times inside") };
            print(&format!(
                "{} ({id}) is on the way out of `{journey}`{times}. What is queued from there is cancelled; what has \
                 left has left.\n",
                args.key
            ))?;
            Ok(Exit::Fine)
        }
        _ => Err(super::contact::nobody(&args.key)),
    }
}
