//! `fahrplan enroll`: puts one person into a journey that has `enter by start`.
//!
//! Writes into the inbox, as the doors do; a running daemon takes it from there, or the next one.

use serde_json::{Map, Value as Json};

use super::load::Project;
use super::{EnrollArgs, Exit, Failure, Outcome, block_on, open, print, world};
use crate::clock::machine_now;
use crate::diagnostic::suggest;
use crate::engine::world::Input;
use crate::intake;
use crate::store::inbox::{Accepted, Incoming, To};
use crate::store::{Access, Store, contacts, journeys};

/// Runs the command.
pub fn run(args: &EnrollArgs) -> Outcome {
    block_on(async {
        let store = open(&Project::of(&[])?, Access::Existing).await?;
        let outcome = enroll(&store, args).await;
        store.close().await;
        outcome
    })
}

async fn enroll(store: &Store, args: &EnrollArgs) -> Outcome {
    let with = Json::Object(object(args.with.as_deref())?);
    let mut conn = store.read().await.map_err(world)?;
    let deployed = journeys::deployed(&mut conn).await.map_err(world)?;
    let Some(program) = deployed.current.get(args.journey.as_str()) else {
        let names = deployed.current.keys().map(|name| &**name);
        let question = suggest::question(&args.journey, names);
        let failure = Failure::usage(format!("no journey `{}` is deployed{question}", args.journey));
        return Err(failure.help("`fahrplan status` lists them; `fahrplan deploy` adds those of the files"));
    };
    let arguments = intake::read_arguments(program, &with).map_err(|wrong| Failure::usage(wrong.reason))?;
    let contact = contacts::by_key(&mut conn, &args.key).await.map_err(world)?;
    drop(conn);
    let contact = contact.ok_or_else(|| super::contact::nobody(&args.key))?;
    let now = machine_now();
    let input = Input::Start { journey: program.journey.clone(), arguments, at: now };
    let item = Incoming { to: To::Contact(contact.id), message_id: None, input };
    match store.accept(vec![item], now).await.map_err(world)?[..] {
        [Accepted::Taken(id)] => {
            print(&format!("{} ({id}) is on the way into `{}`.\n", args.key, program.journey))?;
            Ok(Exit::Fine)
        }
        _ => Err(super::contact::nobody(&args.key)),
    }
}

/// A JSON object after `--with`, empty where none is given.
pub(super) fn object(with: Option<&str>) -> Result<Map<String, Json>, Failure> {
    let help = "write a JSON object, such as --with '{\"order_id\": \"o1\"}'";
    match serde_json::from_str(with.unwrap_or("{}")) {
        Ok(Json::Object(fields)) => Ok(fields),
        Ok(_) => Err(Failure::usage("the arguments after --with are no JSON object").help(help)),
        Err(error) => {
            Err(Failure::usage(format!("the arguments after --with are no JSON: {error}")).help(help))
        }
    }
}
