//! The fault simulator: seeded runs of the real engine, corridor and outbox on a real database, with a clock of their own.
//!
//! A seed says how many workers and processes there are, what clients send, and what goes wrong: crashes before and after every commit,
//! lost replies of database and relay, frozen workers, jumping clocks, repeated and reordered events. One worker runs at a time, until
//! his next fault point, so a seed runs the same way each time. Afterwards the laws must hold; and where time waited for the
//! workers, everything must be as in the engine's own store in memory, in which nothing ever goes wrong.
//!
//! - `plan`: what a seed means; `shop`: the journeys; `random`: chance
//! - `driver`: who goes on; `gate`: where they stand; `work`: what they do, with the daemon's code; `client`: who sends
//! - `ledger`: what left the house; `state`, `laws`, `model`: what must be true
//! - `place`: databases; `patches`: the bugs that prove it strong
//!
//! ```sh
//! cargo test --test sim                                              # a few seeds
//! FAHRPLAN_SIM_SEEDS=10000 cargo test --release --test sim seeds     # many; A..B for some
//! FAHRPLAN_SIM_TELL=1 FAHRPLAN_SIM_SEEDS=77..78 cargo test --test sim seeds -- --nocapture
//! ```

mod client;
mod clocks;
mod driver;
mod gate;
mod laws;
mod ledger;
mod model;
mod patches;
mod place;
mod plan;
mod random;
mod shop;
mod state;
mod work;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use self::driver::{Broken, Driver};
use self::place::Place;
use self::plan::Plan;
use self::state::State;

/// How long a seed may take on the real clock, of which it takes a fraction of a second: a worker that hangs is found sooner, but a process
/// that starts may wait for ever for somebody who holds on to a transaction.
const STUCK: Duration = Duration::from_secs(60);

/// What a run came to.
struct Ran {
    hash: u64,
    steps: usize,
    sent: usize,
    repeated: usize,
    broken: Option<Broken>,
    told: Vec<String>,
}

/// Runs one seed.
async fn run(seed: u64, place: &mut Place, tell: bool) -> Ran {
    let plan = Plan::new(seed);
    let mut driver = Driver::start(&plan, place, tell).await;
    driver.trace.note(|| format!("{plan:?}"));
    let ran = tokio::time::timeout(STUCK, driver.run()).await;
    let mut broken = ran.unwrap_or_else(|_| Err(driver.stuck("it stands still"))).err();
    if broken.is_none() {
        broken = judge(&plan, &mut driver).await.err().map(|why| driver.broken(why));
    }
    let (hash, steps) = (driver.trace.hash(), driver.step);
    let told = driver.trace.told.take().unwrap_or_default();
    let (sent, repeated) = {
        let ledger = driver.ledger.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        (ledger.sent, ledger.repeated)
    };
    driver.close().await;
    Ran { hash, steps, sent, repeated, broken, told }
}

/// The laws, and the world without faults.
async fn judge(plan: &Plan, driver: &mut Driver<'_>) -> Result<(), String> {
    let state = State::read(&driver.watcher).await.map_err(|error| error.to_string())?;
    let lines = state.lines();
    driver.trace.note(|| lines.join("\n"));
    laws::hold(plan, &state)?;
    if plan.exact {
        let different = model::difference(&lines, &model::lines(plan));
        if !different.is_empty() {
            return Err(format!("it is not as without faults:\n  {}", different.join("\n  ")));
        }
    }
    Ok(())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

/// The seeds that the environment asks for.
fn seeds(default: u64) -> Range<u64> {
    let Ok(text) = std::env::var("FAHRPLAN_SIM_SEEDS") else { return 0..default };
    let number =
        |text: &str| text.trim().parse().expect("FAHRPLAN_SIM_SEEDS is a number, or two with `..` between");
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}

/// Runs seeds on both cores until one fails; how many steps that took.
fn run_all(seeds: Range<u64>, make: impl Fn() -> Place + Sync, again: bool) -> usize {
    let tell = std::env::var_os("FAHRPLAN_SIM_TELL").is_some();
    let (next, steps, mails, repeats) =
        (AtomicU64::new(seeds.start), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failures: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let begun = Instant::now();
    let work = || {
        let mut place = make();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || !failures.lock().expect("whole").is_empty() {
                break;
            }
            let runtime = runtime();
            let ran = catch_unwind(AssertUnwindSafe(|| {
                let ran = runtime.block_on(run(seed, &mut place, tell));
                if again && ran.broken.is_none() {
                    let other = runtime.block_on(run(seed, &mut place, tell));
                    assert_eq!(ran.hash, other.hash, "two runs of a seed differ");
                }
                ran
            }));
            let why = match ran {
                Ok(ran) => {
                    steps.fetch_add(ran.steps as u64, Ordering::Relaxed);
                    mails.fetch_add(ran.sent as u64, Ordering::Relaxed);
                    repeats.fetch_add(ran.repeated as u64, Ordering::Relaxed);
                    ran.told.iter().for_each(|line| println!("{line}"));
                    ran.broken.map(|broken| format!("seed={seed} step={}: {}", broken.step, broken.why))
                }
                Err(_) => Some(format!("seed={seed} step=?: it panicked")),
            };
            if let Some(why) = why {
                failures.lock().expect("whole").push((seed, why));
            }
        }
        runtime().block_on(place.leave());
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (count, seconds) = (seeds.end - seeds.start, begun.elapsed().as_secs_f64());
    let mut failures = failures.into_inner().expect("whole");
    failures.sort();
    if let Some((seed, why)) = failures.first() {
        let end = seed + 1;
        let profile = if cfg!(debug_assertions) { "" } else { " --release" };
        panic!(
            "{why}\nthe same again: FAHRPLAN_SIM_TELL=1 FAHRPLAN_SIM_SEEDS={seed}..{end} cargo test{profile} --test sim seeds -- --nocapture"
        );
    }
    let steps = steps.into_inner();
    println!(
        "{count} seeds, {steps} steps, {} mails, {} repeats in {seconds:.1} s: {:.0} seeds/s",
        mails.into_inner(),
        repeats.into_inner(),
        count as f64 / seconds
    );
    usize::try_from(steps).expect("few")
}

#[test]
fn seeds_hold_the_laws_and_come_to_what_the_model_says() {
    let steps = run_all(seeds(12), Place::files, false);
    assert!(steps > 0, "a run without a step proves nothing");
}

#[test]
fn the_same_seed_runs_the_same_way() {
    let steps = run_all(5_000..5_006, Place::files, true);
    assert!(steps > 0, "a run without a step proves nothing");
}

#[test]
fn postgres_comes_to_the_same() {
    let server = std::env::var("FAHRPLAN_TEST_POSTGRES").expect(
        "FAHRPLAN_TEST_POSTGRES holds the URL of a PostgreSQL database for tests, or `skip` to leave it out",
    );
    if server == "skip" {
        return;
    }
    let seeds = seeds(8);
    let steps = run_all(seeds.start..seeds.end.min(seeds.start + 300), || Place::schemas(&server), false);
    assert!(steps > 0, "a run without a step proves nothing");
}
