//! `fahrplan key`: keys for the HTTP interface, shown once and stored hashed.

use std::collections::BTreeSet;

use serde_json::json;

use super::load::Project;
use super::{
    Exit, Expiry, Failure, KeyArgs, KeyCommand, Outcome, OutputFormat, Scope, block_on, open, print,
    progress, table, world,
};
use crate::clock::machine_now;
use crate::store::keys::{self, Key};
use crate::store::{self, Access, Store, journeys};
use crate::time::Timestamp;

/// Runs the command.
pub fn run(args: &KeyArgs) -> Outcome {
    block_on(async {
        let access = match &args.command {
            KeyCommand::Create { .. } => Access::Create,
            KeyCommand::List { .. } => Access::Look,
            KeyCommand::Revoke { .. } => Access::Existing,
        };
        let store = open(&Project::of(&[])?, access).await?;
        let outcome = match &args.command {
            KeyCommand::Create { scopes, name, teams, expires } => {
                create(&store, scopes, name.as_deref(), teams, *expires).await
            }
            KeyCommand::List { format } => list(&store, *format).await,
            KeyCommand::Revoke { id } => revoke(&store, id).await,
        };
        store.close().await;
        outcome
    })
}

/// The key goes to standard output alone, so that a script can take it from there.
async fn create(
    store: &Store,
    scopes: &[Scope],
    name: Option<&str>,
    teams: &[String],
    expires: Option<Expiry>,
) -> Outcome {
    let now = machine_now();
    let expires = expires.map(|expiry| match expiry {
        Expiry::In(ms) => now.plus_ms(ms),
        Expiry::At(at) => at,
    });
    if expires.is_some_and(|at| at <= now) {
        return Err(Failure::usage("a key that has expired already opens nothing"));
    }
    let scopes: BTreeSet<keys::Scope> = scopes.iter().map(|scope| scope.stored()).collect();
    if !teams.is_empty() && !scopes.contains(&keys::Scope::Tasks) {
        return Err(Failure::usage("--team is for keys with the scope `tasks`"));
    }
    must_be_teams(store, teams).await?;
    let (name, teams) = (name.unwrap_or_default(), teams.iter().cloned().collect());
    let (key, secret) = keys::create_for(store, name, teams, scopes, expires, now).await.map_err(world)?;
    progress(&format!(
        "The key {} may {}{}. It is shown this once:",
        key.prefix,
        words(&key),
        of_teams(&key)
    ));
    print(&format!("{secret}\n"))?;
    Ok(Exit::Fine)
}

/// A team that nobody has declared would have no tasks, ever.
async fn must_be_teams(store: &Store, teams: &[String]) -> Result<(), Failure> {
    let deployed = journeys::deployed(&mut store.read().await.map_err(world)?).await.map_err(world)?;
    let declared = &deployed.catalog.teams;
    match teams.iter().find(|team| !declared.contains_key(team.as_str())) {
        None => Ok(()),
        Some(team) => {
            let known: Vec<&str> = declared.keys().map(|team| &**team).collect();
            let failure = Failure::usage(format!("there is no team `{team}`"));
            Err(failure.help(match known.is_empty() {
                true => {
                    "nothing that declares a team is deployed yet; `fahrplan deploy` does that".to_owned()
                }
                false => format!("deployed are: {}", known.join(", ")),
            }))
        }
    }
}

/// ` of inside_sales`, where the key is for some teams alone.
fn of_teams(key: &Key) -> String {
    let teams: Vec<&str> = key.teams.iter().map(String::as_str).collect();
    if teams.is_empty() { String::new() } else { format!(" of {}", teams.join(", ")) }
}

async fn list(store: &Store, format: OutputFormat) -> Outcome {
    let keys = keys::list(&mut store.read().await.map_err(world)?).await.map_err(world)?;
    let now = machine_now();
    match format {
        OutputFormat::Json => {
            let all: Vec<_> = keys.iter().map(|key| as_json(key, now)).collect();
            print(&format!("{:#}\n", json!(all)))?;
        }
        OutputFormat::Human if keys.is_empty() => {
            print("There are no keys. `fahrplan key create --scope ingest` makes one.\n")?;
        }
        OutputFormat::Human => {
            let day = |at: Option<Timestamp>| at.map_or("never".to_owned(), day);
            let row = |key: &Key| {
                let (created, used) = (day(Some(key.created_at)), day(key.used_at));
                let expires = day(key.expires_at);
                [
                    key.prefix.clone(),
                    key.name.clone(),
                    words(key) + &of_teams(key),
                    created,
                    used,
                    expires,
                    state(key, now).to_owned(),
                ]
            };
            let rows: Vec<_> = keys.iter().map(row).collect();
            print(&table(["id", "name", "scopes", "created", "used", "expires", ""], &rows))?;
        }
    }
    Ok(Exit::Fine)
}

async fn revoke(store: &Store, id: &str) -> Outcome {
    // Whoever has only the key itself at hand may give that; its beginning is the id.
    let prefix = id.splitn(3, '_').take(2).collect::<Vec<_>>().join("_");
    if keys::revoke(store, &prefix, machine_now()).await.map_err(world)? {
        print(&format!("{prefix} is refused from now on.\n"))?;
        return Ok(Exit::Fine);
    }
    let failure = Failure::usage(format!("there is no key `{prefix}` that could be revoked"));
    Err(failure.help("`fahrplan key list` shows them"))
}

impl Scope {
    fn stored(self) -> store::keys::Scope {
        match self {
            Scope::Ingest => store::keys::Scope::Ingest,
            Scope::Read => store::keys::Scope::Read,
            Scope::Tasks => store::keys::Scope::Tasks,
            Scope::Deploy => store::keys::Scope::Deploy,
            Scope::Admin => store::keys::Scope::Admin,
        }
    }
}

fn words(key: &Key) -> String {
    key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ")
}

fn state(key: &Key, now: Timestamp) -> &'static str {
    match key.revoked_at {
        Some(_) => "revoked",
        None if !key.is_good(now) => "expired",
        None => "",
    }
}

/// The day of a moment, in UTC.
fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

fn as_json(key: &Key, now: Timestamp) -> serde_json::Value {
    let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "id": key.prefix,
        "name": key.name,
        "scopes": key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
        "teams": key.teams,
        "created_at": key.created_at.to_string(),
        "used_at": moment(key.used_at),
        "expires_at": moment(key.expires_at),
        "revoked_at": moment(key.revoked_at),
        "good": key.is_good(now),
    })
}
