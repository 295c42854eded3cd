//! What is deployed: one catalog, each journey's current program, and the older ones that somebody may still be inside.
//!
//! Programs and catalogs are stored once for each content hash and never change. Each deploy writes one row of `deployments`;
//! every transaction compares the newest, so that a running daemon takes over what another process deployed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

use super::sql::args;
use super::templates::{Manifest, Templates};
use super::{Conn, Error, Result, Store, counts, jobs, names, templates};
use crate::engine::Programs;
use crate::engine::program::{Catalog, Program, Word};
use crate::engine::world::{Cause, Input};
use crate::time::Timestamp;

/// What is deployed, as one generation has it.
#[derive(Debug)]
pub struct Deployed {
    /// Grows with each deploy; 0 before the first.
    pub generation: i64,
    pub catalog: Arc<Catalog>,
    /// The templates, as a list.
    pub templates: Manifest,
    /// The programs that take people in.
    pub current: BTreeMap<Word, Arc<Program>>,
    /// Every program ever deployed, by number: goals count for those who left long ago.
    programs: BTreeMap<i64, Arc<Program>>,
    /// The same as the engine wants them.
    pub engine: Programs,
    /// Numbers by address of the program, which lives as long as this does.
    numbers: HashMap<usize, i64>,
    /// Events of own messages that something reads.
    message_events: BTreeSet<&'static str>,
}

/// The events that outcomes of messages become for all journeys.
const MESSAGE_EVENTS: [(&str, &str); 7] = [
    ("sent", "message_sent"),
    ("delivered", "message_delivered"),
    ("opened", "message_opened"),
    ("clicked", "message_clicked"),
    ("bounced", "message_bounced"),
    ("complained", "message_complained"),
    ("replied", "message_replied"),
];

impl Deployed {
    /// The program of that number.
    pub fn program(&self, number: i64) -> Option<&Arc<Program>> {
        self.programs.get(&number)
    }

    /// Every program ever deployed.
    pub fn programs(&self) -> impl Iterator<Item = &Arc<Program>> {
        self.programs.values()
    }

    /// The number of a program that came from here.
    pub fn number_of(&self, program: &Arc<Program>) -> Option<i64> {
        self.numbers.get(&Arc::as_ptr(program).addr()).copied()
    }

    /// Whether an e-mail address belongs to one contact alone; so it is before the first deploy.
    pub(super) fn has_unique_email(&self) -> bool {
        self.catalog.attribute("email").is_none_or(|email| email.unique)
    }

    /// Whether this program would replace another one of its journey.
    pub fn would_change(&self, program: &Program) -> bool {
        self.current.get(&program.journey).is_some_and(|current| current.hash() != program.hash())
    }

    /// Whether some journey or segment reads the event that this outcome of a message becomes.
    pub fn hears_of(&self, outcome: &str) -> bool {
        MESSAGE_EVENTS.iter().any(|(word, event)| *word == outcome && self.message_events.contains(event))
    }

    fn new(
        generation: i64,
        catalog: Arc<Catalog>,
        current: BTreeMap<Word, i64>,
        programs: BTreeMap<i64, Arc<Program>>,
        templates: Manifest,
    ) -> Deployed {
        let find = |(journey, number): (Word, i64)| Some((journey, programs.get(&number)?.clone()));
        let current: BTreeMap<Word, Arc<Program>> = current.into_iter().filter_map(find).collect();
        let is_older = |program: &&Arc<Program>| !current.values().any(|c| Arc::ptr_eq(c, program));
        let older: Vec<Arc<Program>> = programs.values().filter(is_older).cloned().collect();
        let engine = Programs::new(&catalog, current.values().cloned(), &older);
        let numbers =
            programs.iter().map(|(number, program)| (Arc::as_ptr(program).addr(), *number)).collect();
        let message_events = message_events(&catalog, programs.values());
        Deployed { generation, catalog, templates, current, programs, engine, numbers, message_events }
    }
}

/// Which events of messages are read. Names stand in the canonical bytes as they are, so a look there misses none; one found by
/// accident costs a row in the inbox.
fn message_events<'a>(
    catalog: &Catalog,
    programs: impl Iterator<Item = &'a Arc<Program>>,
) -> BTreeSet<&'static str> {
    let readers = Catalog { events: BTreeMap::new(), ..catalog.clone() };
    let mut texts = vec![readers.to_bytes()];
    texts.extend(programs.map(|program| program.to_bytes()));
    let is_read = |event: &str| {
        texts.iter().any(|text| text.windows(event.len()).any(|window| window == event.as_bytes()))
    };
    MESSAGE_EVENTS.iter().map(|(_, event)| *event).filter(|event| is_read(event)).collect()
}

/// What this process has loaded last.
#[derive(Default)]
pub(super) struct Loaded(RwLock<Option<Arc<Deployed>>>);

const UNPOISONED: &str = "nothing panics while holding it";

/// What is deployed as this connection sees it; loaded again only after a deploy.
pub async fn deployed(conn: &mut Conn) -> Result<Arc<Deployed>> {
    let generation = generation(conn).await?;
    deployed_at(conn, generation).await
}

/// What is deployed, for who knows the newest generation already.
pub(super) async fn deployed_at(conn: &mut Conn, generation: i64) -> Result<Arc<Deployed>> {
    let cached = conn.core.loaded.0.read().expect(UNPOISONED).clone();
    if let Some(cached) = cached.clone().filter(|cached| cached.generation == generation) {
        return Ok(cached);
    }
    // Programs never change, so known ones are kept: enrollments and generations share them.
    let known = cached.map(|cached| cached.programs.clone()).unwrap_or_default();
    let loaded = Arc::new(load(conn, generation, known).await?);
    *conn.core.loaded.0.write().expect(UNPOISONED) = Some(loaded.clone());
    Ok(loaded)
}

/// What this process has read last, without a look at whether there is something newer.
pub(super) fn known(conn: &Conn) -> Option<Arc<Deployed>> {
    conn.core.loaded.0.read().expect(UNPOISONED).clone()
}

/// The schema and the policies as they were deployed then.
pub async fn catalog_of(conn: &mut Conn, generation: i64) -> Result<Catalog> {
    const CATALOG: &str = "SELECT catalogs.catalog FROM deployments \
        JOIN catalogs ON catalogs.id = deployments.catalog WHERE deployments.generation = $1";
    match conn.fetch_first(CATALOG, args![generation]).await? {
        Some(row) => Catalog::from_bytes(row.blob(0)?).map_err(unreadable("catalog")),
        None => Ok(Catalog::empty()),
    }
}

/// Whether the schema says that an e-mail address belongs to one contact alone; so it is before the first deploy.
pub(super) async fn unique_email(conn: &mut Conn) -> Result<bool> {
    Ok(deployed(conn).await?.has_unique_email())
}

/// What is to be deployed.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    pub catalog: &'a Catalog,
    pub programs: &'a [Program],
    pub templates: &'a Templates,
}

/// What a deploy changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deploy {
    pub generation: i64,
    /// Journeys whose program is new or another one.
    pub changed: Vec<Word>,
    /// Journeys that take nobody in any more.
    pub retired: Vec<Word>,
}

/// Why a deploy was refused; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// So many people are inside a version of this journey that would be replaced.
    Inside(Word, i64),
    /// Somebody else deployed since it was looked what would change.
    Moved,
}

/// Deploys a catalog and programs that need no templates.
pub async fn deploy(
    store: &Store,
    catalog: &Catalog,
    programs: &[Program],
    now: Timestamp,
) -> Result<Deploy> {
    release(store, Release { catalog, programs, templates: &Templates::default() }, now).await
}

/// Makes these programs the current ones, and this the catalog; journeys that are not among them are retired. When one of them
/// changed, the standing entries of all contacts are set up anew by a job in each bucket. Whether people may be left behind in
/// older versions is for the caller to decide before; see [`deploy_over`].
pub async fn release(store: &Store, release: Release<'_>, now: Timestamp) -> Result<Deploy> {
    let mut tx = store.write().await?;
    let before = deployed(&mut tx).await?;
    let deploy = write(&mut tx, &before, release, now).await?;
    tx.commit().await?;
    store.wake();
    Ok(deploy)
}

/// What would be deployed after that release.
pub(super) fn preview(before: &Deployed, release: &Release<'_>) -> Deployed {
    let (mut programs, mut current) = (before.programs.clone(), BTreeMap::new());
    for program in release.programs {
        let known = programs.iter().find(|(_, known)| known.hash() == program.hash()).map(|(n, _)| *n);
        let number = known.unwrap_or_else(|| programs.keys().next_back().map_or(1, |last| last + 1));
        programs.entry(number).or_insert_with(|| Arc::new(program.clone()));
        current.insert(program.journey.clone(), number);
    }
    let (catalog, templates) = (Arc::new(release.catalog.clone()), before.templates.clone());
    Deployed::new(before.generation + 1, catalog, current, programs, templates)
}

/// The same, if that generation is still the one deployed and nobody is inside a journey that changes. Nobody advances while it looks
/// and writes, so nobody can enter what is being replaced.
pub async fn deploy_over(
    store: &Store,
    generation: i64,
    release: Release<'_>,
    now: Timestamp,
) -> Result<Result<Deploy, Refused>> {
    let mut tx = store.write().await?;
    tx.lock_all().await?;
    let before = deployed(&mut tx).await?;
    if before.generation != generation {
        return Ok(Err(Refused::Moved));
    }
    let inside = inside(&mut tx, &before).await?;
    for program in release.programs.iter().filter(|program| before.would_change(program)) {
        if let Some(people) = inside.get(&program.journey).filter(|people| **people > 0) {
            return Ok(Err(Refused::Inside(program.journey.clone(), *people)));
        }
    }
    let deploy = write(&mut tx, &before, release, now).await?;
    tx.commit().await?;
    store.wake();
    Ok(Ok(deploy))
}

/// What became of a wish to retire a journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retired {
    /// It takes nobody in from now on; so many are inside.
    Now { inside: i64 },
    /// It took nobody in before.
    Already,
    /// There never was such a journey; those that take people in.
    Unknown(Vec<Word>),
}

/// Lets a journey take nobody in any more, as a deploy without its file does; the catalog and the templates stay. Nobody advances
/// meanwhile, so nobody enters who is not counted.
pub async fn retire(store: &Store, journey: &str, now: Timestamp) -> Result<Retired> {
    let mut tx = store.write().await?;
    tx.lock_all().await?;
    let before = deployed(&mut tx).await?;
    let Some((journey, _)) = before.current.get_key_value(journey) else {
        let is_known = before.programs().any(|program| *program.journey == *journey);
        let names = || Retired::Unknown(before.current.keys().cloned().collect());
        return Ok(if is_known { Retired::Already } else { names() });
    };
    let inside = inside(&mut tx, &before).await?.get(journey).copied().unwrap_or(0);
    point(&mut tx, journey, None, 0, now).await?;
    const AGAIN: &str = "INSERT INTO deployments (generation, catalog, templates, deployed_at) \
        SELECT CAST($1 AS BIGINT), catalog, templates, CAST($2 AS BIGINT) FROM deployments WHERE generation = $3";
    let generation = before.generation + 1;
    tx.exec(AGAIN, args![generation, now, before.generation]).await?;
    settle(&mut tx, generation).await?;
    tx.hint_due().await?;
    tx.commit().await?;
    store.wake();
    Ok(Retired::Now { inside })
}

/// Sets up the standing entries of all contacts anew, by a job in each bucket.
async fn settle(tx: &mut Conn, generation: i64) -> Result<()> {
    let settle = Input::Settle { cause: Cause::Deploy };
    jobs::start(tx, &format!("settle {generation}"), &settle).await?;
    Ok(())
}

async fn write(tx: &mut Conn, before: &Deployed, release: Release<'_>, now: Timestamp) -> Result<Deploy> {
    let Release { catalog, programs, templates } = release;
    let rules_changed = before.generation == 0 || before.catalog.hash() != catalog.hash();
    let mut deploy = Deploy { generation: before.generation + 1, ..Deploy::default() };
    // Made before the job that settles: whoever was there before the journeys opened is in it.
    let opened = tx.core.new_id();
    for program in programs {
        let number = keep_program(tx, program, now).await?;
        let current = before.current.get(&program.journey).and_then(|current| before.number_of(current));
        if current != Some(number) {
            deploy.changed.push(program.journey.clone());
        }
        point(tx, &program.journey, Some(number), opened, now).await?;
    }
    let is_gone = |journey: &&Word| programs.iter().all(|program| program.journey != **journey);
    deploy.retired = before.current.keys().filter(is_gone).cloned().collect();
    for journey in &deploy.retired {
        point(tx, journey, None, opened, now).await?;
    }
    let catalog = keep_catalog(tx, catalog, now).await?;
    let templates = templates::keep(tx, templates, now).await?;
    const DEPLOY: &str =
        "INSERT INTO deployments (generation, catalog, templates, deployed_at) VALUES ($1, $2, $3, $4)";
    tx.exec(DEPLOY, args![deploy.generation, catalog, templates, now]).await?;
    // Other texts concern nobody's place.
    if rules_changed || !deploy.changed.is_empty() || !deploy.retired.is_empty() {
        settle(tx, deploy.generation).await?;
    }
    tx.hint_due().await?;
    Ok(deploy)
}

/// How many are inside each journey, whatever its version.
async fn inside(conn: &mut Conn, deployed: &Deployed) -> Result<BTreeMap<Word, i64>> {
    let mut inside = BTreeMap::new();
    for (program, count) in counts::resting(conn).await? {
        if let Some(program) = deployed.program(program) {
            *inside.entry(program.journey.clone()).or_default() += count;
        }
    }
    Ok(inside)
}

async fn generation(conn: &mut Conn) -> Result<i64> {
    const NEWEST: &str = "SELECT COALESCE(MAX(generation), 0) FROM deployments";
    conn.fetch_number(NEWEST, Vec::new()).await
}

async fn load(
    conn: &mut Conn,
    generation: i64,
    mut programs: BTreeMap<i64, Arc<Program>>,
) -> Result<Deployed> {
    const CURRENT: &str = "SELECT names.name, journeys.program, journeys.opened FROM journeys \
        JOIN names ON names.id = journeys.journey WHERE journeys.program IS NOT NULL";
    let (mut current, mut opened) = (BTreeMap::new(), Vec::new());
    for row in conn.fetch(CURRENT, Vec::new()).await? {
        let journey = Word::from(row.text(0)?);
        opened.extend(row.opt_i64(2)?.map(|id| (journey.clone(), id)));
        current.insert(journey, row.i64(1)?);
    }
    const NEWER: &str = "SELECT id, program FROM programs WHERE id > $1";
    let newest = programs.keys().next_back().copied().unwrap_or(0);
    for row in conn.fetch(NEWER, args![newest]).await? {
        let program = Program::from_bytes(row.blob(1)?).map_err(unreadable("program"))?;
        programs.insert(row.i64(0)?, Arc::new(program));
    }
    const CATALOG: &str = "SELECT catalogs.catalog, deployments.templates FROM deployments \
        JOIN catalogs ON catalogs.id = deployments.catalog ORDER BY deployments.generation DESC LIMIT 1";
    let (catalog, templates) = match conn.fetch_first(CATALOG, Vec::new()).await? {
        Some(row) => {
            let catalog = Catalog::from_bytes(row.blob(0)?).map_err(unreadable("catalog"))?;
            (catalog, templates::read(row.text(1)?)?)
        }
        None => (Catalog::empty(), Manifest::default()),
    };
    let mut deployed = Deployed::new(generation, Arc::new(catalog), current, programs, templates);
    for (journey, id) in opened {
        deployed.engine.open(journey, id);
    }
    Ok(deployed)
}

fn unreadable<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Error {
    move |why| Error::Unreadable { what, why: why.to_string() }
}

async fn keep_program(tx: &mut Conn, program: &Program, now: Timestamp) -> Result<i64> {
    const KEEP: &str = "INSERT INTO programs (id, journey, hash, program, made_at) \
        SELECT COALESCE(MAX(id), 0) + 1, CAST($1 AS BIGINT), $2, $3, CAST($4 AS BIGINT) FROM programs WHERE true \
        ON CONFLICT (hash) DO NOTHING";
    let journey = names::intern(tx, &program.journey).await?;
    let hash = program.hash().to_string();
    tx.exec(KEEP, args![journey, hash.as_str(), program.to_bytes(), now]).await?;
    kept(tx, "SELECT id FROM programs WHERE hash = $1", &hash).await
}

async fn keep_catalog(tx: &mut Conn, catalog: &Catalog, now: Timestamp) -> Result<i64> {
    const KEEP: &str = "INSERT INTO catalogs (id, hash, catalog, made_at) \
        SELECT COALESCE(MAX(id), 0) + 1, $1, $2, CAST($3 AS BIGINT) FROM catalogs WHERE true \
        ON CONFLICT (hash) DO NOTHING";
    let hash = catalog.hash().to_string();
    tx.exec(KEEP, args![hash.as_str(), catalog.to_bytes(), now]).await?;
    kept(tx, "SELECT id FROM catalogs WHERE hash = $1", &hash).await
}

async fn kept(tx: &mut Conn, sql: &'static str, hash: &str) -> Result<i64> {
    let missing = || Error::Unreadable { what: "version", why: format!("{hash} was not kept") };
    tx.fetch_first(sql, args![hash]).await?.ok_or_else(missing)?.i64(0)
}

/// Lets a journey take people into that program, or into none. It opens where it took in nobody before.
async fn point(
    tx: &mut Conn,
    journey: &Word,
    program: Option<i64>,
    opened: i64,
    now: Timestamp,
) -> Result<()> {
    const POINT: &str = "INSERT INTO journeys (journey, program, deployed_at, opened) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (journey) DO UPDATE SET program = excluded.program, deployed_at = excluded.deployed_at, \
        opened = CASE WHEN journeys.program IS NULL THEN excluded.opened ELSE journeys.opened END";
    let journey = names::intern(tx, journey).await?;
    tx.exec(POINT, args![journey, program, now, opened]).await?;
    Ok(())
}
