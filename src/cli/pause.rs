//! `fahrplan pause` and `fahrplan resume`: the durable brake.
//!
//! A pause stops what leaves the house, at every worker, transactional messages too. It loses nothing: deliveries stay queued, and
//! people go on through their journeys, so an event is never missed for it.

use super::load::Project;
use super::{BrakeArgs, BrakeWhat, Exit, Failure, Outcome, author, block_on, open, print, world};
use crate::clock::machine_now;
use crate::diagnostic::suggest;
use crate::engine::program::{StepKind, Word};
use crate::store::audience;
use crate::store::brakes::{self, Brake};
use crate::store::journeys::{self, Deployed};
use crate::store::{Access, Store};

/// Runs `pause`.
pub fn pause(args: &BrakeArgs) -> Outcome {
    with_store(async |project, store| {
        let brake = brake(&store, args).await?.unwrap_or(Brake::All);
        let mut tx = store.write_at_any_time().await.map_err(world)?;
        let is_new = brakes::pause(&mut tx, &brake, &author(), machine_now()).await.map_err(world)?;
        tx.commit().await.map_err(world)?;
        drop(project);
        let already = if is_new { "" } else { " already" };
        print(&format!(
            "{} is paused{already}. Nothing is lost: it waits in the queue until `fahrplan {}`.\n",
            capital(&brake.to_string()),
            resume_words(&brake)
        ))?;
        if brake != Brake::All {
            print("People go on through their journeys meanwhile.\n")?;
        }
        Ok(Exit::Fine)
    })
}

/// Runs `resume`.
pub fn resume(args: &BrakeArgs) -> Outcome {
    with_store(async |project, store| {
        if args.what == Some(BrakeWhat::Audience) {
            return resume_audience(&store, args.name.as_deref()).await;
        }
        let asked = brake(&store, args).await?;
        let standing = brakes::standing(&mut store.read().await.map_err(world)?).await.map_err(world)?;
        let lifted: Vec<Brake> = standing
            .iter()
            .map(|paused| paused.brake.clone())
            .filter(|brake| asked.as_ref().is_none_or(|asked| asked == brake))
            .collect();
        if let (Some(asked), true) = (&asked, lifted.is_empty()) {
            return Err(
                Failure::usage(format!("{asked} is not paused")).help("`fahrplan status` shows what is")
            );
        }
        let mut tx = store.write_at_any_time().await.map_err(world)?;
        for brake in &lifted {
            brakes::resume(&mut tx, brake).await.map_err(world)?;
        }
        tx.commit().await.map_err(world)?;
        let mut text: String =
            lifted.iter().map(|brake| format!("{} goes on.\n", capital(&brake.to_string()))).collect();
        if lifted.is_empty() {
            text.push_str("Nothing is paused.\n");
        }
        for paused in standing.iter().filter(|paused| !lifted.contains(&paused.brake)) {
            text.push_str(&format!("{} stays paused.\n", capital(&paused.brake.to_string())));
        }
        let switch = project.switch();
        if switch.symlink_metadata().is_ok() {
            text.push_str(&format!("Nothing leaves this machine while {} is there.\n", switch.display()));
        }
        print(&text)?;
        Ok(Exit::Fine)
    })
}

/// Lets the held firings of a journey take people in.
async fn resume_audience(store: &Store, journey: Option<&str>) -> Outcome {
    let held = audience::held(&mut store.read().await.map_err(world)?).await.map_err(world)?;
    let mut names: Vec<&str> = held.iter().map(|firing| &*firing.journey).collect();
    names.dedup();
    let help = match names.is_empty() {
        true => "none is held".to_owned(),
        false => format!("held are firings of: {}", names.join(", ")),
    };
    let Some(journey) = journey else {
        return Err(Failure::usage("the firing of which journey?").help(help));
    };
    let released = audience::release(store, journey).await.map_err(world)?;
    if released.is_empty() {
        return Err(Failure::usage(format!("no firing of `{journey}` is held")).help(help));
    }
    let text: String = released
        .iter()
        .map(|firing| format!("`{journey}` of {} takes in {} people now.\n", firing.at, firing.count))
        .collect();
    print(&text)?;
    Ok(Exit::Fine)
}

/// Opens the database; where it cannot be reached, the file that stops sending without it is named.
fn with_store(work: impl AsyncFnOnce(Project, Store) -> Outcome) -> Outcome {
    block_on(async {
        let project = Project::of(&[])?;
        let switch = project.switch();
        let without = |failure: Failure| {
            match failure.exit {
            Exit::World => failure.help(format!(
                "without the database, sending from a machine stops within two seconds of `touch {}` there, and goes on \
                 when the file is removed",
                switch.display()
            )),
            _ => failure,
        }
        };
        let store = open(&project, Access::Existing).await.map_err(without)?;
        let outcome = work(project, store.clone()).await;
        store.close().await;
        outcome.map_err(without)
    })
}

/// What the arguments name; nothing where they name nothing.
async fn brake(store: &Store, args: &BrakeArgs) -> Result<Option<Brake>, Failure> {
    let named = |kind: &str, example: &str| {
        let missing = || {
            Failure::usage(format!("which {kind}?"))
                .help(format!("write its name, such as `{kind} {example}`"))
        };
        args.name.clone().ok_or_else(missing)
    };
    let Some(what) = args.what else { return Ok(None) };
    let deployed = journeys::deployed(&mut store.read().await.map_err(world)?).await.map_err(world)?;
    Ok(Some(match what {
        BrakeWhat::All => match &args.name {
            Some(name) => {
                return Err(Failure::usage(format!("`all` takes no name, and `{name}` is one")));
            }
            None => Brake::All,
        },
        BrakeWhat::Audience => {
            return Err(Failure::usage(
                "`audience` is for `resume`: a policy holds firings, with `max audience`",
            ));
        }
        BrakeWhat::Channel => {
            let name = named("channel", "email")?;
            let known = deployed.catalog.channels.keys().cloned().collect();
            Brake::Channel(find("channel", &name, known)?)
        }
        BrakeWhat::Journey => {
            let name = named("journey", "welcome")?;
            Brake::Journey(find("journey", &name, journeys_of(&deployed))?)
        }
        BrakeWhat::Step => {
            let name = named("step", "welcome.hello")?;
            let (journey, step) = name.split_once('.').ok_or_else(|| {
                Failure::usage(format!("`{name}` is no step"))
                    .help("write JOURNEY.STEP, such as `welcome.hello`")
            })?;
            let journey = find("journey", journey, journeys_of(&deployed))?;
            let step = find("sending step", step, sends_of(&deployed, &journey))?;
            Brake::Step { journey, step }
        }
    }))
}

/// Journeys that take people in, or did: somebody may still be inside.
fn journeys_of(deployed: &Deployed) -> Vec<Word> {
    let mut names: Vec<Word> = deployed.programs().map(|program| program.journey.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The steps of a journey that send or ask for something, in all its versions.
fn sends_of(deployed: &Deployed, journey: &Word) -> Vec<Word> {
    let programs = deployed.programs().filter(|program| program.journey == *journey);
    let steps = programs.flat_map(|program| &program.steps);
    let sends = steps.filter(|step| matches!(step.kind, StepKind::Send(_) | StepKind::Request { .. }));
    let mut names: Vec<Word> = sends.map(|step| step.id.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn find(kind: &str, name: &str, known: Vec<Word>) -> Result<Word, Failure> {
    if let Some(found) = known.iter().find(|known| &***known == name) {
        return Ok(found.clone());
    }
    let question = suggest::question(name, known.iter().map(|known| &**known));
    let failure = Failure::usage(format!("there is no {kind} `{name}`{question}"));
    let names: Vec<&str> = known.iter().map(|known| &**known).collect();
    Err(match names.is_empty() {
        true => failure,
        false => failure.help(format!("there is: {}", names.join(", "))),
    })
}

fn resume_words(brake: &Brake) -> String {
    match brake.words() {
        ("all", _) => "resume".to_owned(),
        (kind, name) => format!("resume {kind} {name}"),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
