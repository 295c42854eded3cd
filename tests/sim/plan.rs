//! What a seed means: who runs, what comes in, when, and what goes wrong.

use fahrplan::engine::world::{ConsentChange, Event, Fields, Input};
use fahrplan::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use fahrplan::value::Value;

use crate::random::Random;
use crate::shop::THEMES;

/// Everything that is decided before the first step.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Time stands until all is done, so that the result can be compared with a world without faults; otherwise time runs, workers lag
    /// behind, and only the laws are checked.
    pub(crate) exact: bool,
    pub(crate) buckets: u16,
    pub(crate) workers: usize,
    pub(crate) processes: usize,
    pub(crate) theme: usize,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// What the machine's clock shows at the start; in a run that is not exact the journey clock is this one.
    pub(crate) machine: Timestamp,
    pub(crate) people: usize,
    /// What comes in, in order of acceptance.
    pub(crate) items: Vec<Item>,
    pub(crate) faults: Faults,
}

/// In percent, at each chance.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) kill: u64,
    pub(crate) fail: u64,
    pub(crate) freeze: u64,
    pub(crate) jump: u64,
    pub(crate) relay: u64,
    pub(crate) repeat: u64,
    /// That others go on first where somebody stands at a point.
    pub(crate) interleave: u64,
}

/// One thing that comes in.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) at: Timestamp,
    pub(crate) who: usize,
    pub(crate) number: i64,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Address,
    Consent { permit: bool },
    Event { name: &'static str, order: Option<i64>, before: i64 },
}

/// Days on which the clocks of Berlin change soon, on which the week of message ids ends, and an ordinary one.
const STARTS: [&str; 5] = [
    "2026-10-23T08:00:00Z",
    "2026-03-27T07:00:00Z",
    "2026-05-06T20:00:00Z",
    "2026-05-04T07:00:00Z",
    "2026-10-24T19:00:00Z",
];

/// Thursday midnight, where the week of message ids begins, an hour before.
const WEEK_ENDS: &str = "2026-05-06T23:00:00Z";

impl Plan {
    pub(crate) fn new(seed: u64) -> Plan {
        let mut random = Random::new(seed);
        let exact = random.chance(60);
        let theme = random.pick(&[0, 0, 0, 1, 1, 1, 2, 2, 3]);
        let workers = random.pick(&[1, 2, 2, 2, 8]);
        let start: Timestamp = random.pick(&STARTS).parse().expect("a moment");
        let horizon = match theme {
            2 => random.between(2, 3) * DAY + 12 * HOUR,
            _ => random.between(1, 5) * DAY,
        };
        let machine = match exact {
            true => WEEK_ENDS.parse::<Timestamp>().expect("a moment").plus_ms(random.between(0, 70) * MINUTE),
            false => start,
        };
        let people = random.pick(&[1, 1, 2, 3]);
        let mut plan = Plan {
            seed,
            exact,
            buckets: random.pick(&[1, 8]),
            workers,
            processes: match workers {
                1 => 1,
                2 => random.pick(&[1, 2]),
                _ => 4,
            },
            theme,
            start,
            end: start.plus_ms(horizon),
            machine,
            people,
            items: Vec::new(),
            faults: Faults::new(&mut random),
        };
        plan.fill(&mut random, horizon);
        plan
    }

    fn fill(&mut self, random: &mut Random, horizon: i64) {
        let mut add = |at: Timestamp, who, what| {
            let number = i64::try_from(self.items.len()).expect("few");
            self.items.push(Item { at, who, number, what });
        };
        for who in 0..self.people {
            add(self.start, who, What::Address);
            add(self.start, who, What::Consent { permit: true });
        }
        let count = random.between(2, 6);
        let mut moments: Vec<i64> = (0..count).map(|_| moment(random, horizon)).collect();
        moments.sort_unstable();
        let mut last = 0;
        for moment in moments {
            // In an exact run two things of one contact never come at once: which of them is first is not ours to say.
            let at = if self.exact { moment.max(last + SECOND) } else { moment };
            last = at;
            let what = event(random, self.theme);
            add(self.start.plus_ms(at), random.below(self.people), what);
        }
    }

    /// The name of a contact outside.
    pub(crate) fn name(who: usize) -> String {
        format!("u{who}")
    }
}

/// Often a whole number of hours after the start, so that things meet.
fn moment(random: &mut Random, horizon: i64) -> i64 {
    let hours = random.pick(&[0, 1, 1, 2, 12, 24, 24, 25, 48, 49, 72, 96]) * HOUR;
    let minutes = if random.chance(30) { random.between(0, 59) * MINUTE } else { 0 };
    (hours + minutes).min(horizon - HOUR) + SECOND * if random.chance(50) { 0 } else { random.between(0, 59) }
}

fn event(random: &mut Random, theme: usize) -> What {
    let words: &[&str] = match theme {
        0 => &["signed_up", "signed_up", "ordered", "ordered", "ordered", "canceled"],
        1 => &["ping", "ping", "ping", "viewed", "viewed", "ordered"],
        2 => &["canceled", "canceled", "viewed", "ping", "signed_up", "ordered"],
        _ => &["signed_up", "ordered", "canceled", "viewed", "ping", "ping"],
    };
    if THEMES[theme].contains(&"news") && random.chance(8) {
        return What::Consent { permit: random.chance(30) };
    }
    let name = random.pick(words);
    let order = (name == "ordered").then(|| random.between(1, 4));
    let before = if random.chance(15) { random.between(0, 90) * MINUTE } else { 0 };
    What::Event { name, order, before }
}

impl Faults {
    fn new(random: &mut Random) -> Faults {
        // Some seeds run without a fault: what fails there is no matter of faults.
        if random.chance(8) {
            return Faults { interleave: 30, ..Faults::default() };
        }
        Faults {
            kill: random.pick(&[0, 2, 4]),
            fail: random.pick(&[0, 3, 8]),
            freeze: random.pick(&[0, 5, 15]),
            jump: random.pick(&[0, 2, 5]),
            relay: random.pick(&[0, 20, 50]),
            repeat: random.pick(&[10, 40]),
            interleave: random.pick(&[10, 40, 75]),
        }
    }
}

impl Item {
    /// The id under which it is sent, as often as that may be.
    pub(crate) fn message_id(&self) -> String {
        format!("m{}", self.number)
    }

    pub(crate) fn input(&self, id: i64, accepted_at: Timestamp) -> Input {
        match &self.what {
            What::Address => Input::Attributes {
                values: [("email".into(), Value::text(&format!("{}@example.org", Plan::name(self.who))))]
                    .into(),
                at: accepted_at,
            },
            What::Consent { permit } => Input::Consent(ConsentChange {
                purpose: "marketing".into(),
                channel: "email".into(),
                permit: *permit,
                at: accepted_at,
                source: "api".into(),
                evidence: None,
            }),
            What::Event { name, order, before } => {
                let mut fields: Fields = [("n".into(), Value::Number(self.number))].into();
                if let Some(order) = order {
                    fields.insert("order_id".into(), Value::text(&format!("o{order}")));
                }
                let occurred_at = accepted_at.plus_ms(-before);
                Input::Event(Event {
                    id,
                    name: (*name).into(),
                    occurred_at,
                    accepted_at,
                    fields,
                    quiet: false,
                })
            }
        }
    }
}
