//! `fahrplan deploy`: puts the compiled project into the database. A running daemon takes it over by itself.
//!
//! First deploys, and replacing a journey while nobody is inside. Moving people from one version to the next comes with `plan`, so
//! until then a changed journey with people inside is refused, and says how many.

use std::io::IsTerminal as _;

use super::audiences::way;
use super::load::Project;
use super::{DeployArgs, Exit, Failure, Outcome, block_on, open, print, world};
use crate::channels::audience::network;
use crate::channels::gateway::Gateway;
use crate::channels::guard::inside;
use crate::channels::template;
use crate::clock::machine_now;
use crate::config::Secret;
use crate::diagnostic::Severity;
use crate::engine::program::{Program, StepKind, Word, secret_of};
use crate::lang::Compilation;
use crate::store::audience::{self, TooMany};
use crate::store::exports;
use crate::store::journeys::{self, Deployed, Refused, Release};
use crate::store::templates::Templates;
use crate::store::{Access, Store};
use crate::time::Timestamp;

/// Runs the command.
pub fn run(args: &DeployArgs) -> Outcome {
    if args.plan.is_some() || args.pin {
        return Err(Failure::not_available("deploying a plan, or with --pin,"));
    }
    block_on(deploy(args))
}

async fn deploy(args: &DeployArgs) -> Outcome {
    let project = Project::of(&[])?;
    let compiled = compile(&project)?;
    must_leave(&project, &compiled)?;
    let store = open(&project, Access::Create).await?;
    let deployed = journeys::deployed(&mut store.read().await.map_err(world)?).await.map_err(world)?;
    let templates = templates(&project);
    must_compile(&templates)?;
    let changes = changes(&compiled, &deployed, &templates);
    if changes.is_empty() {
        print("Nothing to do: the database has exactly this.\n")?;
        allow(&store, args).await?;
        store.close().await;
        return Ok(Exit::Fine);
    }
    print(&changes.iter().map(|change| format!("{change}\n")).collect::<String>())?;
    print(&moved(&store, &compiled, &deployed).await?)?;
    if !args.yes {
        confirm()?;
    }
    let release = Release { catalog: &compiled.catalog, programs: &compiled.programs, templates: &templates };
    let allowed = args.allow_audience.map_or(0, |most| i64::try_from(most).unwrap_or(i64::MAX));
    if let Some(over) = audience::too_many(&store, &release, allowed, machine_now()).await.map_err(world)? {
        return Err(too_many(&over));
    }
    let done = journeys::deploy_over(&store, deployed.generation, release, machine_now()).await;
    let done = done.map_err(world)?.map_err(refused)?;
    print(&format!("Deployed as number {}.\n", done.generation))?;
    allow(&store, args).await?;
    store.close().await;
    Ok(Exit::Fine)
}

fn too_many(over: &TooMany) -> Failure {
    let TooMany { journey, count, waiting, most } = over;
    let (up_to, but) = match waiting {
        0 => ("", String::new()),
        _ => ("up to ", format!(", since what came for {waiting} of them still waits")),
    };
    let message = format!(
        "nothing was deployed: `{journey}` would take in {up_to}{count} people at once{but}, and the policy allows {most}"
    );
    let meant = format!("if that is meant: `fahrplan deploy --allow-audience {count}`");
    Failure::findings(message).help(match waiting {
        0 => meant,
        _ => format!("wait until `fahrplan status` shows 0 inputs, and the number is exact; {meant}"),
    })
}

/// Warns of audiences that would be told elsewhere: nobody tells the former network who leaves.
async fn moved(store: &Store, compiled: &Compilation, deployed: &Deployed) -> Result<String, Failure> {
    let mut text = String::new();
    for (name, audience) in &compiled.catalog.audiences {
        let Some(before) = deployed.catalog.audiences.get(name).filter(|known| known.sends != audience.sends)
        else {
            continue;
        };
        let people = exports::told_of(&mut store.read().await.map_err(world)?, name).await.map_err(world)?;
        if people > 0 {
            let keep = if secret_of(&before.sends).is_some() { " (keep that secret until then)" } else { "" };
            let (now, before) = (way(&audience.sends), way(&before.sends));
            text.push_str(&format!(
                "warning: `{name}` would be told {now} and no more {before}, and {people} of its people would stay where it was told so far, also \
                 when they withdraw consent; give the audience another name instead, and its next batch under the old one takes them out there{keep}\n"
            ));
        }
    }
    Ok(text)
}

/// Allows firings of so many people, if that is wanted.
async fn allow(store: &Store, args: &DeployArgs) -> Result<(), Failure> {
    let Some(most) = args.allow_audience else { return Ok(()) };
    let released = audience::allow(store, i64::try_from(most).unwrap_or(i64::MAX)).await.map_err(world)?;
    let mut text = format!("One firing may take in up to {most} people, until the next deploy.\n");
    for firing in released {
        text.push_str(&format!(
            "`{}` of {} takes in {} people now.\n",
            firing.journey, firing.at, firing.count
        ));
    }
    print(&text)
}

/// Deploys a project without asking: the demo and the benchmark.
pub(super) async fn deploy_project(store: &Store, project: &Project, now: Timestamp) -> Result<(), Failure> {
    let compiled = compile(project)?;
    let templates = templates(project);
    must_compile(&templates)?;
    let release = Release { catalog: &compiled.catalog, programs: &compiled.programs, templates: &templates };
    journeys::release(store, release, now).await.map_err(world)?;
    Ok(())
}

/// The templates of a project with all that their texts are made of.
pub(super) fn templates(project: &Project) -> Templates {
    let config = &project.config;
    Templates {
        files: project.templates().collect(),
        scripts: project.scripts(),
        locale: config.project.locale.clone(),
        fallbacks: config.locales.clone(),
        brand: config.brand.clone(),
    }
}

/// What is deployed can leave: each channel that is sent on has a way, and each secret that is named can be had.
fn must_leave(project: &Project, compiled: &Compilation) -> Result<(), Failure> {
    let Compilation { catalog, programs, .. } = compiled;
    let sends =
        |kind: &StepKind, name: &Word| matches!(kind, StepKind::Send(send) if send.channels.contains(name));
    let used =
        |name: &Word| programs.iter().flat_map(|program| &program.steps).any(|step| sends(&step.kind, name));
    let secrets = project.secrets();
    let had = |text: &str| {
        let Some(name) = secret_of(text) else { return Ok(Secret::new(text)) };
        let found = secrets.get(name).map_err(|why| why.to_string());
        let found = found.and_then(|secret| match secret.reveal().is_empty() {
            true => Err("it is empty".to_owned()),
            false => Ok(secret),
        });
        found.map_err(|why| {
            let help =
                format!("set FAHRPLAN_SECRET_{}, or `{name}_file` under `[secrets]`", name.to_uppercase());
            Failure::findings(format!("nothing was deployed: the secret `{name}` cannot be had: {why}"))
                .help(help)
        })
    };
    for (name, channel) in catalog.channels.iter().filter(|(name, _)| used(name)) {
        let is_gateway = channel.is_by_gateway();
        if !is_gateway && !catalog.is_letter(name) && !channel.is_by_mail() {
            let message = "nothing was deployed: a journey sends on a channel on which nothing leaves:";
            return Err(Failure::findings(format!("{message} `{name}`")).help(
                "channels send by `\"smtp\"`, or by a gateway: `sends \"secret:NAME\"`; those of class `letter` are printed",
            ));
        }
        let url = had(&channel.sends)?;
        if is_gateway && let Err(why) = Gateway::parse(url.reveal()) {
            let message = "nothing was deployed: the secret that names the gateway of";
            return Err(Failure::findings(format!("{message} `{name}` cannot be used: {why}")).help(
                "a gateway is `https://USER:TOKEN@HOST/PATH` or `twilio://SID:TOKEN@api.twilio.com?from=+49…`",
            ));
        }
    }
    for (name, audience) in
        catalog.audiences.iter().filter(|(_, audience)| secret_of(&audience.sends).is_some())
    {
        if let Err(why) = network(had(&audience.sends)?.reveal()) {
            let message = "nothing was deployed: the secret that names the network of";
            return Err(Failure::findings(format!("{message} `{name}` cannot be used: {why}"))
                .help("it is an address such as `https://USER:TOKEN@HOST/PATH`"));
        }
    }
    for (name, endpoint) in catalog.endpoints_outside() {
        let url = had(&endpoint.url)?;
        if secret_of(&endpoint.url).is_some()
            && inside(url.reveal(), &super::outside::allowed(project)).is_some()
        {
            print(&format!(
                "warning: the secret address of `{name}` is not public, so its requests will be refused; \
                 `[requests] allow` in fahrplan.toml names what may be asked all the same\n"
            ))?;
        }
    }
    catalog.ways_out().try_for_each(|text| had(text).map(drop))
}

/// What is deployed can be written with.
fn must_compile(templates: &Templates) -> Result<(), Failure> {
    let (_, errors) = template::Templates::compile(templates.files.clone(), templates.chain());
    match errors.first() {
        None => Ok(()),
        Some(error) => Err(Failure::findings(format!("templates/{}: {}", error.path, error.message))
            .help("`fahrplan check` lists every finding with its place")),
    }
}

/// The compiled project, if it has no error.
fn compile(project: &Project) -> Result<Compilation, Failure> {
    let compiled = project.compile();
    let errors = |d: &&crate::diagnostic::Diagnostic| d.severity() == Severity::Error;
    let mut findings = compiled.diagnostics.iter().filter(errors);
    let Some(first) = findings.next() else { return Ok(compiled) };
    let place = project.input.sources.path(first.primary.span.file);
    let more = match findings.count() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    Err(Failure::findings(format!(
        "nothing was deployed: {place}: {} {}{more}",
        first.code.as_str(),
        first.message
    ))
    .help("`fahrplan check` shows every finding with its place"))
}

/// What a deploy would do.
enum Change<'a> {
    New(&'a Program),
    /// It was retired, and takes people in again.
    Reopened(&'a Program),
    Changed(&'a Program),
    Retired(&'a Word),
    Rules,
    /// Of a template, or of what all of them share.
    Texts(String),
}

impl std::fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Change::New(program) => write!(f, "+ {}  new", program.journey),
            Change::Reopened(program) => {
                write!(
                    f,
                    "+ {}  opened again: it was retired, and would take people in from now on",
                    program.journey
                )
            }
            Change::Changed(program) => write!(f, "~ {}  changed", program.journey),
            Change::Retired(journey) => {
                write!(f, "- {journey}  retired: nobody enters any more, those inside go on to the end")
            }
            Change::Texts(change) => f.write_str(change),
            Change::Rules => f.write_str("± schema or policies changed; they hold for everybody at once"),
        }
    }
}

fn changes<'a>(compiled: &'a Compilation, deployed: &'a Deployed, templates: &Templates) -> Vec<Change<'a>> {
    let was_here = |program: &Program| deployed.programs().any(|known| known.journey == program.journey);
    let change = |program: &'a Program| match deployed.current.get(&program.journey) {
        None if was_here(program) => Some(Change::Reopened(program)),
        None => Some(Change::New(program)),
        Some(_) if deployed.would_change(program) => Some(Change::Changed(program)),
        Some(_) => None,
    };
    let mut changes: Vec<Change> = compiled.programs.iter().filter_map(change).collect();
    let kept = |journey: &&Word| compiled.programs.iter().any(|program| program.journey == **journey);
    changes.extend(deployed.current.keys().filter(|journey| !kept(journey)).map(Change::Retired));
    let is_first = deployed.generation == 0;
    if (is_first && changes.is_empty()) || (!is_first && deployed.catalog.hash() != compiled.catalog.hash()) {
        changes.push(Change::Rules);
    }
    if is_first && !changes.is_empty() {
        let count = templates.files.len();
        changes.extend((count > 0).then(|| Change::Texts(format!("+ {count} files of templates"))));
    } else {
        changes.extend(deployed.templates.changes(&templates.manifest()).into_iter().map(Change::Texts));
    }
    changes
}

fn refused(why: Refused) -> Failure {
    match why {
        Refused::Inside(journey, count) => Failure::findings(format!(
            "nothing was deployed: {count} {} inside `{journey}`, and moving them to a changed version is not available yet",
            if count == 1 { "person is" } else { "people are" }
        ))
        .help("deploy when they are through (`fahrplan status` shows them), or give the changed journey a new name"),
        Refused::Moved => Failure::findings("nothing was deployed: somebody else deployed in this moment")
            .help("run `fahrplan deploy` again; it shows what would change by now"),
    }
}

fn confirm() -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("nobody can be asked here").help("say --yes if this is what you want"));
    }
    print("Make it so? [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(world)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::usage("nothing was deployed")),
    }
}
