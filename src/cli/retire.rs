//! `fahrplan retire`: a journey takes nobody in any more; those inside go on to the end of their version.

use super::load::Project;
use super::{Exit, Failure, Outcome, RetireArgs, block_on, open, print, world};
use crate::clock::machine_now;
use crate::diagnostic::suggest;
use crate::store::journeys::{self, Retired};
use crate::store::{Access, Store};

/// Runs the command.
pub fn run(args: &RetireArgs) -> Outcome {
    block_on(async {
        let project = Project::of(&[])?;
        let store = open(&project, Access::Existing).await?;
        let outcome = retire(&project, &store, &args.journey).await;
        store.close().await;
        outcome
    })
}

async fn retire(project: &Project, store: &Store, journey: &str) -> Outcome {
    let inside = match journeys::retire(store, journey, machine_now()).await.map_err(world)? {
        Retired::Now { inside } => inside,
        Retired::Already => {
            print(&format!("`{journey}` takes nobody in already.\n"))?;
            return Ok(Exit::Fine);
        }
        Retired::Unknown(names) => {
            let question = suggest::question(journey, names.iter().map(|name| &**name));
            let failure = Failure::usage(format!("no journey `{journey}` is deployed{question}"));
            return Err(failure.help("`fahrplan status` lists them"));
        }
    };
    let rest = match inside {
        0 => "Nobody is inside.".to_owned(),
        1 => "One person is inside and goes on to the end.".to_owned(),
        n => format!("{n} people are inside and go on to the end."),
    };
    print(&format!("`{journey}` takes nobody in any more. {rest}\n"))?;
    if project.compile().programs.iter().any(|program| *program.journey == *journey) {
        print("Its file is still there: the next `fahrplan deploy` opens it again, and says so.\n")?;
    }
    Ok(Exit::Fine)
}
