//! Properties: a store that loads only what is asked for does what memory does; the same inputs give the same result; nothing
//! rests without a timer or a listener; no delivery has the identity of another; nothing panics, whatever the program.

use std::collections::BTreeSet;
use std::sync::Arc;

use fahrplan::engine::Programs;
use fahrplan::engine::codec;
use fahrplan::engine::memory::Memory;
use fahrplan::engine::program::*;
use fahrplan::engine::state::RestKind;
use fahrplan::engine::world::{Cause, Changes, Event as Came, Input, Outcome};
use fahrplan::time::Timestamp;
use fahrplan::value::Value;
use proptest::prelude::any;
use proptest::prelude::*;

use super::build::*;
use super::tables::Tables;

/// The rules of a house with everything.
pub(super) fn rules() -> Catalog {
    let mut rules = catalog();
    segment(&mut rules, "sleeping", none("order", Reach::Within(days(20))));
    segment(&mut rules, "paying", is(attr("plan"), val(text("pro"))));
    rules.policy.quiet.push(Quiet {
        from: clock(21, 0),
        to: clock(8, 0),
        zone: ZoneRef::Contact,
        purpose: "marketing".into(),
        channels: Vec::new(),
        then: Then::Wait(None),
    });
    rules.policy.caps.push(Cap {
        channel: Some("email".into()),
        purpose: "marketing".into(),
        number: 2,
        window: CapWindow::Rolling(days(7)),
        then: Then::Wait(Some(days(1))),
    });
    rules
}

/// Journeys that use every kind of step.
fn journeys(rules: &Catalog) -> Vec<Arc<Program>> {
    vec![cart().build(), service(rules).build(), members(rules).build(), care().build(), dates().build()]
}

fn cart() -> J {
    let mut j = J::new("cart");
    j.marketing().on("cart").exit_on("bought", on_same("order", "cart_id"));
    j.goal("recovered", on_same("order", "cart_id"), Some(days(7)), false);
    j.program.reenter = Reenter::AfterExit(days(2));
    j.program.per = vec!["cart_id".into()];
    j.program.lasts = Some(days(12));
    j.repeat("round", 3, |j| {
        j.wait_for("activity", hours(2), on_same("cart", "cart_id"));
    });
    j.send("reminder");
    let reminder = j.slot("reminder", SlotKind::Message);
    let arms = vec![
        (Trigger::Event(on("cart")), Some("back")),
        (Trigger::Event(outcome(reminder, "clicked")), Some("clicked")),
        (condition(&catalog(), is(attr("plan"), val(text("team")))), Some("team")),
    ];
    j.race("look", Some(days(1)), arms, None, |wait| wait.look_back = Some(minutes(5)));
    j.send_by("last_call", &["email", "sms"], false, |send| {
        send.before = Some(anchor(Expr::MomentOf(0), days(4), None));
    });
    j.wait_then(
        "rest",
        days(2),
        moment(MomentKind::Window { days: WEEKDAYS, from: time(9, 0), to: time(17, 0) }),
    );
    j.exit("lost").label("back").exit("back").label("team").exit("team");
    j.label("clicked").record("closed", &[]).wait("think", days(1)).exit("looked").take()
}

trait Done {
    fn take(&mut self) -> J;
}

impl Done for J {
    fn take(&mut self) -> J {
        std::mem::replace(self, J::new("taken"))
    }
}

fn service(rules: &Catalog) -> J {
    let mut j = J::new("service");
    j.on("complaint").exit_when("paying", rules, Expr::Segment("paying".into()));
    j.exit_on("closed", on("closed"));
    j.program.reenter = Reenter::Restart;
    let voucher = j.slot("voucher", SlotKind::Request);
    let talk = j.slot("talk", SlotKind::Task);
    let child = j.slot("care", SlotKind::Child);
    j.plain("pause", |next| StepKind::Pause {
        purpose: "marketing".into(),
        until: PauseUntil::For(days(5)),
        next,
    });
    j.plain("tag", |next| StepKind::Add {
        attribute: "tags".into(),
        value: val(text("in_care")),
        undo: Some(Undo::AtExit),
        next,
    });
    j.plain("spring", |next| StepKind::Add {
        attribute: "tags".into(),
        value: val(text("spring")),
        undo: Some(Undo::After(days(3))),
        next,
    });
    j.line("voucher", Some(voucher), |to, next| StepKind::Request {
        endpoint: "voucher".into(),
        with: vec![("points".into(), attr("points"))],
        next,
        failed: to("paper"),
    });
    j.line("talk", Some(talk), |_, next| {
        StepKind::Work(Box::new(Work {
            verb: "call".into(),
            task: "talk".into(),
            team: "sales".into(),
            with: Vec::new(),
            limit: days(2),
            purpose: "marketing".into(),
            next,
        }))
    });
    j.line("care", Some(child), |_, next| StepKind::RunJourney {
        journey: "care".into(),
        with: Vec::new(),
        limit: Some(days(3)),
        next,
    });
    let paid = aggregate(AggregateFn::Sum, "order", Some("value"), Reach::Within(days(30)));
    j.unless(bin(BinaryOp::Gt, paid, val(decimal("10"))), "paper").set("vip", yes(true)).exit("done");
    j.label("paper").send("paper").wait_for("answer", days(3), on("optin")).exit("paper");
    j.label("handler").send("sorry").wait("calm", hours(30)).line("resume", None, |_, _| StepKind::Resume);
    j.handler(on("cart"), "handler").take()
}

fn members(rules: &Catalog) -> J {
    let sleeping = Expr::Segment("sleeping".into());
    let mut j = J::new("members");
    j.enter(EntryHow::When { watch: watch(rules, &sleeping), condition: sleeping });
    let paying = Expr::Segment("paying".into());
    j.enter(EntryHow::While { watch: watch(rules, &paying), condition: paying });
    j.enter(EntryHow::FirstEvent(vec!["order".into()]));
    j.enter(EntryHow::Change { attribute: "vip".into() });
    j.program.reenter = Reenter::AfterExit(days(4));
    j.goal("bought", on("order"), None, true);
    j.line("split", None, |to, next| StepKind::Split {
        name: "style".into(),
        variants: vec![
            ("a".into(), "30".parse().expect("a share"), next),
            ("b".into(), "70".parse().expect("a share"), to("b")),
        ],
    });
    j.plain("grant", |next| StepKind::Grant {
        purpose: "marketing".into(),
        channels: vec!["email".into()],
        evidence: Some("optin".into()),
        next,
    });
    j.label("b").plain("start", |next| StepKind::StartJourney {
        journey: "care".into(),
        with: Vec::new(),
        next,
    });
    let clicked = super::build::any("message_clicked", Reach::Within(days(2)));
    let arms = vec![
        (condition(rules, clicked), Some("clicked")),
        (condition(rules, none("optin", Reach::Within(days(5)))), None),
    ];
    j.race("quiet", Some(days(6)), arms, None, |wait| {
        wait.then_until = Some(moment(MomentKind::Time(time(7, 30))));
    });
    j.exit("quiet").label("clicked").exit("clicked").take()
}

fn care() -> J {
    let mut j = J::new("care");
    j.enter(EntryHow::Start { arguments: Vec::new() });
    j.program.reenter = Reenter::WhenFinished;
    j.label("again").send_by("both", &["email", "sms"], true, |send| send.purpose = "lapsing".into());
    let clicked = aggregate(AggregateFn::Count, "message_clicked", None, Reach::Since(0));
    j.wait("w", hours(40)).unless(bin(BinaryOp::Ge, clicked, val(Value::Number(1))), "rest").exit("clicked");
    j.label("rest").unless(none("optin", Reach::Since(0)), "withdraw").go("again");
    j.label("withdraw").plain("withdraw", |next| StepKind::Withdraw {
        purpose: "marketing".into(),
        channels: vec!["email".into()],
        next,
    });
    j.program.lasts = Some(days(9));
    j.exit("calm").take()
}

fn dates() -> J {
    let mut j = J::new("dates");
    let zone = || ZoneRef::Contact;
    j.enter(EntryHow::Weekday { days: Days { mask: 1, working: false }, at: clock(9, 0), zone: zone() });
    j.enter(EntryHow::Anniversary { attribute: "birthday".into(), at: clock(9, 0), zone: zone() });
    j.enter(EntryHow::Offset { attribute: "card_expires".into(), offset: days(-3), at: None, zone: zone() });
    j.program.reenter = Reenter::AfterEntry(days(3));
    j.until("card", anchor(attr("card_expires"), days(-1), Some(time(10, 0))), Some("late"));
    j.exit("card").label("late").exit("late").take()
}

// ---------------------------------------------------------------- scripts

#[derive(Clone, Debug)]
enum Op {
    Event(usize, u8),
    Late(usize),
    Attribute(usize, usize),
    Consent(bool),
    Outcome(usize, usize),
    Wait(u32),
}

const EVENTS: [&str; 6] = ["cart", "order", "complaint", "optin", "closed", "signed_up"];
const OUTCOMES: [&str; 6] = ["clicked", "answered", "failed", "reached", "bounced", "cancelled"];

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..EVENTS.len(), 0..3_u8).prop_map(|(event, cart)| Op::Event(event, cart)),
        1 => (0..EVENTS.len()).prop_map(Op::Late),
        2 => (0..7_usize, 0..3_usize).prop_map(|(name, value)| Op::Attribute(name, value)),
        1 => any::<bool>().prop_map(Op::Consent),
        3 => (0..4_usize, 0..OUTCOMES.len()).prop_map(|(which, outcome)| Op::Outcome(which, outcome)),
        4 => (1..6_000_u32).prop_map(Op::Wait),
    ]
}

/// The value of an attribute for a script: `name` and `value` count cases.
pub(super) fn attribute(name: usize, value: usize, now: Timestamp) -> (&'static str, Value) {
    let soon = |days: i64| {
        let zone = fahrplan::time::Zone::named("Europe/Berlin").expect("compiled in");
        Value::Date(zone.date(now.plus_ms(days * 86_400_000)))
    };
    match (name, value) {
        (0, 0) => ("email", Value::Unknown),
        (0, _) => ("email", text("ada@example.org")),
        (1, 0) => ("phone", Value::Unknown),
        (1, _) => ("phone", text("+4930123456")),
        (2, n) => ("plan", text(["free", "pro", "team"][n])),
        (3, n) => ("timezone", text(["Europe/Berlin", "America/New_York", "Asia/Tokyo"][n])),
        (4, n) => ("card_expires", [Value::Unknown, soon(5), soon(-2)][n].clone()),
        (5, n) => ("birthday", [Value::Unknown, soon(1), soon(-400)][n].clone()),
        (_, n) => ("points", Value::Number(n as i64)),
    }
}

/// Runs a script on memory, where everything is loaded, and on tables, which load on demand: both must do the same.
struct Both {
    rules: Catalog,
    programs: Programs,
    memory: Memory,
    tables: Tables,
    now: Timestamp,
    all: Vec<Changes>,
}

impl Both {
    fn new() -> Both {
        let rules = rules();
        let programs = Programs::new(&rules, journeys(&rules), &[]);
        let now = at("2026-05-01T12:00");
        let mut memory = Memory::new(rules.clone(), journeys(&rules), now);
        memory.report(&[]);
        memory.keep_changes();
        let attributes = fields(&[("email", text("ada@example.org"))]);
        memory.add_contact(ADA, attributes.clone());
        memory.add_consent(ADA, "marketing", "email", true);
        let mut tables = Tables::new(attributes, 1 << 40);
        tables.permit("marketing", "email", now);
        let mut both = Both { rules, programs, memory, tables, now, all: Vec::new() };
        both.give(&Input::Settle { cause: Cause::Import });
        both
    }

    fn give(&mut self, input: &Input) {
        self.memory.take_raw(ADA, input);
        let in_memory = self.memory.take_changes();
        let in_tables = self.tables.take(&self.rules, &self.programs, ADA, input, self.now);
        if in_memory != [in_tables.clone()] {
            let (a, b) = (in_memory.iter().flat_map(lines).collect::<Vec<_>>(), lines(&in_tables));
            let differ = |line: &&String| !(a.contains(*line) && b.contains(*line));
            let (a, b): (Vec<_>, Vec<_>) =
                (a.iter().filter(differ).collect(), b.iter().filter(differ).collect());
            panic!("at {} after {input:?}:\nmemory {a:#?}\ntables {b:#?}", self.now);
        }
        self.check(&in_tables);
        self.all.push(in_tables);
    }

    fn check(&self, changes: &Changes) {
        for (enrollment, listens) in self.tables.states() {
            let state = &enrollment.state;
            let out = state.rest.kind == RestKind::Out;
            let live = enrollment.wake_at != Timestamp::NEVER || listens || out || state.suspended.is_some();
            assert!(live, "{} rests for ever: {state:?}", enrollment.program.journey);
            let bytes = codec::encode(state);
            assert_eq!(codec::decode(&bytes).as_ref(), Ok(state));
        }
        for note in &changes.history {
            if let fahrplan::engine::world::What::Odd { why } = &note.what {
                assert!(!why.contains("steps without a rest") && !why.contains("caused more"), "{why}");
            }
        }
    }

    fn run_to(&mut self, to: Timestamp) {
        while let Some((wake_at, id)) = self.tables.timers.first().copied().filter(|(at, _)| *at <= to) {
            self.now = self.now.max(wake_at);
            self.memory.sleep_to(self.now);
            self.give(&Input::Due { id, wake_at });
        }
        self.now = to;
        self.memory.sleep_to(to);
    }

    fn apply(&mut self, op: &Op) {
        let now = self.now;
        let event = |id: i64, name: &str, occurred_at: Timestamp, cart: u8| {
            let cart_id = text(["c1", "c2", "c3"][usize::from(cart) % 3]);
            let pairs = [("cart_id", cart_id), ("order_id", text(&id.to_string())), ("value", decimal("9"))];
            let (name, fields) = (Word::from(name), fields(&pairs));
            Input::Event(Came { id, name, occurred_at, accepted_at: now, fields, quiet: false })
        };
        match op {
            Op::Event(name, cart) => {
                let id = self.new_id();
                self.give(&event(id, EVENTS[*name], now, *cart));
            }
            Op::Late(name) => {
                let id = self.new_id();
                self.give(&event(id, EVENTS[*name], now.plus_ms(-5 * 86_400_000), 0));
            }
            Op::Attribute(name, value) => {
                let (name, value) = attribute(*name, *value, now);
                self.give(&Input::Attributes { values: fields(&[(name, value)]), at: now });
            }
            Op::Consent(permit) => self.give(&Input::Consent(fahrplan::engine::world::ConsentChange {
                purpose: "marketing".into(),
                channel: "email".into(),
                permit: *permit,
                at: now,
                source: "api".into(),
                evidence: None,
            })),
            Op::Outcome(which, outcome) => self.outcome(*which, OUTCOMES[*outcome]),
            Op::Wait(minutes) => self.run_to(now.plus_ms(i64::from(*minutes) * 60_000)),
        }
    }

    /// An id for an event from outside, drawn on both sides.
    fn new_id(&mut self) -> i64 {
        let id = self.tables.new_id();
        self.memory.set_last_id(id);
        id
    }

    /// Something becomes of what was sent or asked for lately.
    fn outcome(&mut self, which: usize, outcome: &str) {
        let mut sent = self.all.iter().rev().flat_map(|changes| {
            let deliveries = changes.deliveries.iter().map(|d| (d.enrollment, d.step.clone(), d.round, true));
            let tasks = changes.tasks.iter().map(|t| (t.enrollment, t.step.clone(), t.round, false));
            let requests = changes.requests.iter().map(|r| (r.enrollment, r.step.clone(), r.round, false));
            deliveries.chain(tasks).chain(requests).collect::<Vec<_>>()
        });
        let Some((enrollment, step, round, message)) = sent.nth(which) else { return };
        let fields = if message { fields(&[("template", text("t"))]) } else { fields(&[]) };
        let (outcome, at) = (outcome.into(), self.now);
        self.give(&Input::Outcome(Outcome { enrollment, step, round, outcome, at, fields }));
    }
}

/// So many cases, or as many as `PROPTEST_CASES` says.
pub(super) fn cases(usual: u32) -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default,
        None => ProptestConfig { cases: usual, ..default },
    }
}

/// Changes line by line, without programs.
fn lines(changes: &Changes) -> Vec<String> {
    let enrollments = changes.enrollments.iter().map(|change| {
        let after = &change.after;
        format!(
            "{} {} wake {:?} was {:?} begins {:?} ends {:?} waits {:?} waited {:?} gone {} {:?}",
            after.program.journey,
            after.id,
            after.wake_at,
            change.woke_at,
            change.begins,
            change.ends,
            change.waits_for,
            change.waited_for,
            change.gone,
            after.state,
        )
    });
    let rest = Changes { enrollments: Vec::new(), ..changes.clone() };
    enrollments.chain(format!("{rest:#?}").lines().map(str::to_owned)).collect()
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn a_store_that_loads_on_demand_does_what_memory_does(script in prop::collection::vec(op(), 1..40)) {
        let run = || {
            let mut both = Both::new();
            for op in &script {
                both.apply(op);
            }
            let end = both.now.plus_ms(60 * 86_400_000);
            both.run_to(end);
            both.all
        };
        let all = run();
        prop_assert_eq!(&all, &run(), "the same inputs gave another result");
        let mut seen = BTreeSet::new();
        for delivery in all.iter().flat_map(|changes| &changes.deliveries) {
            let identity = (delivery.enrollment, delivery.step.clone(), delivery.round, delivery.arm);
            prop_assert!(seen.insert(identity.clone()), "{:?} twice", identity);
        }
    }
}
