//! Programs that no compiler would make, states that no transition would leave: nothing panics, everything ends.

use std::sync::Arc;

use fahrplan::engine::facts::{Effects, Facts, Turn};
use fahrplan::engine::memory::Memory;
use fahrplan::engine::program::*;
use fahrplan::engine::state::{HeldBy, Rest, RestKind, State, Suspended};
use fahrplan::engine::world::{Cause, Input, Outcome};
use fahrplan::engine::{Flow, Programs, StepInput, step};
use fahrplan::id::EnrollmentId;
use fahrplan::time::{Calendar, Timestamp};
use fahrplan::value::{Decimal, Value};
use proptest::prelude::any;
use proptest::prelude::*;

use super::build::*;
use super::props::{attribute, cases, rules};

const EVENTS: [&str; 5] = ["cart", "order", "optin", "message_sent", "nothing"];
const SLOTS: u16 = 5;
/// Lines of a log after which a program has shown what it does.
const ENOUGH: usize = 1_000;

fn span() -> impl Strategy<Value = Calendar> {
    let usual = (-2..3_i32, -40..60_i32, -5..10_i32, -100_000_000..100_000_000_i64);
    let any = (any::<i32>(), any::<i32>(), any::<i32>(), any::<i64>());
    let build = |(months, days, working_days, ms)| Calendar { months, days, working_days, ms };
    prop_oneof![9 => usual.prop_map(build), 1 => any.prop_map(build)]
}

fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Unknown),
        prop::sample::select(vec!["", "c1", "pro", "Europe/Berlin", "ada@example.org"]).prop_map(text),
        prop_oneof![-9..9_i64, any::<i64>()].prop_map(Value::Number),
        prop_oneof![-90_000..90_000_i64, any::<i64>()].prop_map(|n| Value::Decimal(Decimal(n))),
        any::<bool>().prop_map(Value::Bool),
        (1..28_u8, 1..13_u8).prop_map(|(day, month)| {
            Value::Date(fahrplan::time::Date::new(2026, month, day).expect("a date"))
        }),
        (0..24_u8, 0..60_u8).prop_map(|(hour, minute)| Value::Time(clock(hour, minute))),
        prop_oneof![1_700_000_000_000..1_800_000_000_000_i64, any::<i64>()]
            .prop_map(|at| Value::Moment(Timestamp(at))),
        span().prop_map(Value::Duration),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|map| Value::Record(map.into_iter().map(|(k, v)| (k.into(), v)).collect())),
        ]
    })
    .boxed()
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = Word> {
    prop::sample::select(words).prop_map(Word::from)
}

fn reach() -> impl Strategy<Value = Reach> {
    prop_oneof![span().prop_map(Reach::Within), (0..SLOTS + 1).prop_map(Reach::Since), Just(Reach::Ever)]
}

fn op() -> impl Strategy<Value = BinaryOp> {
    use BinaryOp::*;
    prop::sample::select(vec![
        Mul, Div, Add, Sub, Otherwise, Lt, Le, Gt, Ge, Is, IsNot, In, NotIn, Has, HasAnyOf, HasAllOf, And, Or,
    ])
}

fn function() -> impl Strategy<Value = Function> {
    use Function::*;
    prop::sample::select(vec![Now, Today, Year, Month, Day, DaysBetween, Round, Lower, Length])
}

fn aggregate_fn() -> impl Strategy<Value = AggregateFn> {
    use AggregateFn::*;
    prop::sample::select(vec![Count, Sum, Average, Highest, Lowest, Last, First, Any, None])
}

fn expr() -> BoxedStrategy<Expr> {
    let leaf = prop_oneof![
        3 => value().prop_map(Expr::Const),
        2 => word(&["email", "plan", "tags", "points", "birthday", "missing"]).prop_map(Expr::Attribute),
        1 => Just(Expr::ContactId),
        2 => (0..SLOTS + 1).prop_map(Expr::Slot),
        1 => Just(Expr::Row),
        1 => (0..SLOTS + 1).prop_map(Expr::MomentOf),
        1 => word(&["sleeping", "paying", "missing", "circle"]).prop_map(Expr::Segment),
        1 => word(&["missing", "round"]).prop_map(Expr::Score),
        1 => word(&["marketing", "lapsing"])
            .prop_map(|purpose| Expr::Consent { purpose, channels: Vec::new() }),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let boxed = inner.clone().prop_map(Box::new).boxed();
        prop_oneof![
            (boxed.clone(), word(&["happened", "cart_id", "value", "reason"]))
                .prop_map(|(of, name)| Expr::Field(of, name)),
            boxed.clone().prop_map(Expr::Not),
            boxed.clone().prop_map(Expr::Negate),
            boxed.clone().prop_map(Expr::Known),
            boxed.clone().prop_map(Expr::Empty),
            boxed.clone().prop_map(Expr::ToDecimal),
            (op(), boxed.clone(), boxed).prop_map(|(op, a, b)| Expr::Binary(op, a, b)),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Expr::List),
            (function(), prop::collection::vec(inner.clone(), 0..3)).prop_map(|(f, a)| Expr::Call(f, a)),
            (
                aggregate_fn(),
                prop::option::of(0..4_u32),
                word(&EVENTS),
                prop::option::of(inner.clone()),
                reach()
            )
                .prop_map(|(function, newest, event, filter, reach)| {
                    let field = Some("value".into());
                    let aggregate = Aggregate { function, newest, event, field, filter, reach };
                    Expr::Aggregate(Box::new(aggregate))
                }),
            (any::<u8>(), any::<bool>(), inner.clone(), inner).prop_map(|(mask, working, from, to)| {
                Expr::DayTest {
                    negated: working,
                    days: Days { mask, working },
                    window: Some(Box::new((from, to))),
                    zone: ZoneRef::Contact,
                }
            }),
        ]
    })
    .boxed()
}

fn some_moment() -> BoxedStrategy<Moment> {
    let day = (any::<u8>(), any::<bool>()).prop_map(|(mask, working)| Days { mask, working });
    let kind = prop_oneof![
        (day.clone(), prop::option::of(expr())).prop_map(|(days, at)| MomentKind::Weekday { days, at }),
        (day, expr(), expr()).prop_map(|(days, from, to)| MomentKind::Window { days, from, to }),
        expr().prop_map(MomentKind::Time),
        prop::option::of(expr()).prop_map(|at| MomentKind::Fixed { date: date("2026-06-01"), at }),
        (expr(), span(), prop::option::of(expr())).prop_map(|(anchor, offset, at)| {
            let follows = match &anchor {
                Expr::Attribute(name) => Some(name.clone()),
                _ => None,
            };
            MomentKind::Anchor { anchor, offset, at, follows }
        }),
    ];
    (kind, word(&["Europe/Berlin", "Nowhere/Land"]))
        .prop_map(|(kind, zone)| {
            let zone = if &*zone == "Europe/Berlin" { ZoneRef::Contact } else { ZoneRef::Named(zone) };
            Moment { kind, zone }
        })
        .boxed()
}

fn some_match() -> BoxedStrategy<Match> {
    let signal = prop_oneof![
        word(&EVENTS).prop_map(Signal::Event),
        (0..SLOTS + 1, word(&["clicked", "sent"]))
            .prop_map(|(slot, outcome)| Signal::Outcome { slot, outcome }),
    ];
    (
        prop::collection::vec(signal, 1..3),
        prop::collection::vec(word(&["cart_id"]), 0..2),
        prop::option::of(expr()),
        prop::option::of(0..SLOTS + 1),
    )
        .prop_map(|(signals, same, filter, slot)| Match { signals, same, filter, slot })
        .boxed()
}

fn trigger() -> BoxedStrategy<Trigger> {
    prop_oneof![some_match().prop_map(Trigger::Event), expr().prop_map(|e| condition(&rules(), e)),].boxed()
}

/// Targets go beyond the program now and then.
fn target() -> impl Strategy<Value = StepIx> {
    0..13_u16
}

fn kind() -> BoxedStrategy<StepKind> {
    let pairs = || prop::collection::vec((word(&["a", "value"]), expr()), 0..2);
    let attribute = || word(&["email", "plan", "tags", "points", "missing"]);
    let flow = prop_oneof![
        (expr(), target(), target()).prop_map(|(condition, yes, no)| StepKind::Branch { condition, yes, no }),
        (expr(), value(), target(), target()).prop_map(|(subject, case, next, otherwise)| StepKind::Switch {
            subject,
            cases: vec![(vec![case], next)],
            otherwise,
        }),
        (any::<i64>(), target(), target()).prop_map(|(share, a, b)| StepKind::Split {
            name: "split".into(),
            variants: vec![("a".into(), Decimal(share), a), ("b".into(), Decimal(500_000), b)],
        }),
        (0..3_u16, target()).prop_map(|(counter, next)| StepKind::LoopStart { counter, next }),
        (0..3_u16, 0..4_u32, target(), target())
            .prop_map(|(counter, times, body, done)| StepKind::LoopNext { counter, times, body, done }),
        Just(StepKind::Resume),
        word(&["done", "lost"]).prop_map(|reason| StepKind::Exit { reason }),
    ];
    let acts = prop_oneof![
        (attribute(), expr(), target()).prop_map(|(attribute, value, next)| StepKind::Set {
            attribute,
            value,
            next
        }),
        (attribute(), expr(), span(), 0..3_u8, target()).prop_map(|(attribute, value, span, undo, next)| {
            let undo = [None, Some(Undo::After(span)), Some(Undo::AtExit)][usize::from(undo)].clone();
            StepKind::Add { attribute, value, undo, next }
        }),
        (attribute(), expr(), target()).prop_map(|(attribute, value, next)| StepKind::Remove {
            attribute,
            value,
            next
        }),
        (0..SLOTS + 1, expr(), target()).prop_map(|(slot, value, next)| StepKind::Let { slot, value, next }),
        (word(&EVENTS), pairs(), target()).prop_map(|(event, with, next)| StepKind::Record {
            event,
            with,
            next
        }),
        (word(&["marketing", "lapsing"]), any::<bool>(), target()).prop_map(|(purpose, permit, next)| {
            let channels = Vec::new();
            match permit {
                true => StepKind::Grant { purpose, channels, evidence: Some("optin".into()), next },
                false => StepKind::Withdraw { purpose, channels, next },
            }
        }),
        (span(), prop::option::of(some_moment()), target()).prop_map(|(span, until, next)| StepKind::Pause {
            purpose: "marketing".into(),
            until: until.map_or(PauseUntil::For(span), PauseUntil::Until),
            next,
        }),
        (word(&["fuzz", "gone"]), target()).prop_map(|(journey, next)| StepKind::StartJourney {
            journey,
            with: Vec::new(),
            next
        }),
    ];
    let rests = prop_oneof![
        (
            word(&["marketing", "transactional"]),
            any::<bool>(),
            prop::option::of(some_moment()),
            pairs(),
            target()
        )
            .prop_map(|(purpose, every, before, with, next)| {
                let channels = vec!["email".into(), "sms".into(), "pigeon".into()];
                let (template, to) = ("t".into(), None);
                StepKind::Send(Box::new(Send { channels, every, template, to, with, purpose, before, next }))
            }),
        (word(&["call", "assign", "ask"]), span(), target()).prop_map(|(verb, limit, next)| {
            let (task, team, purpose) = ("talk".into(), "sales".into(), "marketing".into());
            StepKind::Work(Box::new(Work { verb, task, team, with: Vec::new(), limit, purpose, next }))
        }),
        (target(), target()).prop_map(|(next, failed)| StepKind::Request {
            endpoint: "e".into(),
            with: Vec::new(),
            next,
            failed,
        }),
        (span(), prop::option::of(span()), prop::option::of(some_moment()), target()).prop_map(
            |(duration, longest, then_until, next)| StepKind::WaitFor { duration, longest, then_until, next }
        ),
        (some_moment(), target(), target()).prop_map(|(moment, next, past)| StepKind::WaitUntil {
            moment,
            next,
            past
        }),
        (
            prop::option::of(span()),
            prop::collection::vec((trigger(), target()), 0..3),
            target(),
            prop::option::of(span()),
            prop::option::of(some_moment())
        )
            .prop_map(|(limit, arms, timeout, look_back, then_until)| {
                let arms = arms.into_iter().map(|(on, next)| Arm { on, next }).collect();
                StepKind::WaitEvent(Box::new(WaitEvent { limit, arms, timeout, look_back, then_until }))
            }),
        (word(&["fuzz", "gone"]), prop::option::of(span()), target()).prop_map(|(journey, limit, next)| {
            StepKind::RunJourney { journey, with: Vec::new(), limit, next }
        }),
    ];
    prop_oneof![2 => flow.boxed(), 2 => acts.boxed(), 3 => rests.boxed()].boxed()
}

fn reenter() -> impl Strategy<Value = Reenter> {
    prop_oneof![
        Just(Reenter::Always),
        Just(Reenter::Never),
        Just(Reenter::Restart),
        Just(Reenter::WhenFinished),
        span().prop_map(Reenter::AfterEntry),
        span().prop_map(Reenter::AfterExit),
    ]
}

fn entry() -> BoxedStrategy<Entry> {
    let watched = || expr().prop_map(|condition| (watch(&rules(), &condition), condition));
    let how = prop_oneof![
        3 => Just(EntryHow::Event(vec!["cart".into()])),
        1 => Just(EntryHow::Event(vec!["message_sent".into()])),
        1 => Just(EntryHow::FirstEvent(vec!["order".into()])),
        1 => Just(EntryHow::Change { attribute: "plan".into() }),
        2 => watched().prop_map(|(watch, condition)| EntryHow::When { condition, watch }),
        2 => watched().prop_map(|(watch, condition)| EntryHow::While { condition, watch }),
        1 => Just(EntryHow::Start { arguments: Vec::new() }),
        1 => span().prop_map(|offset| EntryHow::Offset {
            attribute: "birthday".into(),
            offset,
            at: None,
            zone: ZoneRef::Contact,
        }),
    ];
    (how, prop::option::weighted(0.2, expr()))
        .prop_map(|(how, filter)| Entry { how, filter, audience: None, including_existing: true })
        .boxed()
}

prop_compose! {
    fn program()(
        entries in prop::collection::vec(entry(), 1..4),
        reenter in reenter(),
        lasts in prop::option::of(span()),
        exits in prop::collection::vec(trigger(), 0..2),
        goals in prop::collection::vec((some_match(), prop::option::of(span()), any::<bool>()), 0..2),
        handlers in prop::collection::vec((some_match(), target()), 0..2),
        steps in prop::collection::vec((kind(), prop::option::of(0..SLOTS + 1), prop::collection::vec(0..3_u16, 0..2)), 0..12),
        purpose in word(&["marketing", "transactional"]),
        kinds in prop::collection::vec(0..9_usize, SLOTS as usize),
    ) -> Program {
        let mut j = J::new("fuzz");
        j.program.slots.clear();
        use SlotKind::*;
        for (number, kind) in kinds.into_iter().enumerate() {
            j.slot(&format!("s{number}"), [Entry, Event, Let, Message, Wait, Task, Request, Child, Survey][kind]);
        }
        let reason = |n: usize| Word::from(format!("exit {n}"));
        Program {
            entries,
            reenter,
            lasts,
            purpose,
            loops: 2,
            channels: vec!["email".into()],
            exits: exits.into_iter().enumerate().map(|(n, trigger)| ExitRule { reason: reason(n), trigger }).collect(),
            goals: goals
                .into_iter()
                .map(|(on, within, then_exit)| Goal { name: "goal".into(), on, within, target: None, then_exit })
                .collect(),
            handlers: handlers.into_iter().map(|(on, first)| Handler { on, first }).collect(),
            steps: steps
                .into_iter()
                .enumerate()
                .map(|(n, (kind, slot, loops))| Step { id: format!("step {n}").into(), slot, loops, kind })
                .collect(),
            ..(*j.build()).clone()
        }
    }
}

prop_compose! {
    fn rest()(
        armed_at in any::<i32>(),
        due_at in prop_oneof![Just(i64::MAX), 1_777_000_000_000..1_778_000_000_000_i64, any::<i64>()],
        recheck_at in prop_oneof![Just(i64::MAX), any::<i64>()],
        kind in prop_oneof![
            Just(RestKind::Waiting),
            target().prop_map(|next| RestKind::ThenUntil { next }),
            any::<u32>().prop_map(|done| RestKind::Held { since: Timestamp(0), by: HeldBy::Cap, done }),
            Just(RestKind::Out),
        ],
        round in 0..3_u32,
        moved in any::<bool>(),
    ) -> Rest {
        let (due_at, recheck_at) = (Timestamp(due_at), Timestamp(recheck_at));
        Rest { armed_at: Timestamp(i64::from(armed_at)), due_at, recheck_at, round, moved, order: 0, kind }
    }
}

prop_compose! {
    fn state()(
        here in target(),
        times in (any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>()),
        rest in rest(),
        slots in prop::collection::vec(value(), 0..6),
        moments in prop::collection::vec(any::<i64>().prop_map(Timestamp), 0..6),
        loops in prop::collection::vec(any::<u32>(), 0..3),
        jumps in any::<u32>(),
        goals in any::<u64>(),
        suspended in prop::option::of((target(), rest(), prop::option::of(target()))),
        queue in prop::collection::vec((0..3_u16, value()), 0..3),
        undo in prop::collection::vec((word(&["tags", "points", "missing"]), value()), 0..3),
        ended in any::<bool>(),
    ) -> State {
        let (a, b, c, d) = times;
        State {
            step: here,
            entered_at: Timestamp(a),
            since: Timestamp(b),
            clock: Timestamp(c),
            rest,
            recheck_at: Timestamp(d),
            slots,
            moments,
            loops,
            jumps,
            goals,
            suspended: suspended.map(|(step, rest, decided)| {
                Box::new(Suspended { step, clock: Timestamp(c), rest, decided })
            }),
            queue,
            undo,
            ended,
            parent: None,
            stays: fahrplan::engine::state::Stays::While(3),
        }
    }
}

/// The rules with a segment that contains itself.
fn circular() -> Catalog {
    let mut rules = rules();
    segment(&mut rules, "circle", not(Expr::Segment("circle".into())));
    rules.scores.insert("round".into(), Expr::Score("round".into()));
    rules
}

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn no_program_makes_the_engine_panic_or_run_for_ever(
        program in program(),
        script in prop::collection::vec((0..7_u8, 0..3_usize, 0..4_000_i64), 1..15),
    ) {
        let mut memory = Memory::new(circular(), [Arc::new(program)], at("2026-05-01T12:00"));
        memory.add_contact(ADA, fields(&[("email", text("ada@example.org"))]));
        // A journey that enters on its own messages multiplies: a few inputs are enough to see that it ends.
        if script.len() > 4 {
            memory.report(&[]);
        }
        memory.settle(ADA, Cause::Deploy);
        let mut now = at("2026-05-01T12:00");
        for (what, n, minutes) in script {
            // One that enters itself by its own messages becomes twice as many again and again: it ends, but nobody waits for that.
            if memory.log().len() > ENOUGH {
                break;
            }
            now = now.plus_ms(minutes * 60_000);
            // Few timers at a time: a journey that enters itself again and again would fill the log.
            for _ in 0..50 {
                match memory.next_wake().filter(|next| *next <= now && memory.log().len() <= ENOUGH) {
                    Some(next) => memory.advance_to(next),
                    None => break,
                }
            }
            match what {
                0..=2 => drop(memory.event(ADA, EVENTS[n], fields(&[("cart_id", text("c1"))]), now)),
                3 | 4 => {
                    let (name, value) = attribute(usize::from(what) + n, n, now);
                    memory.take_raw(ADA, &Input::Attributes { values: fields(&[(name, value)]), at: now });
                }
                5 => memory.take_raw(ADA, &Input::Start { journey: "fuzz".into(), arguments: fields(&[]), at: now }),
                _ => {
                    let step = format!("step {n}");
                    memory.outcome(ADA, &step, "clicked", fields(&[]), now);
                }
            }
        }
    }

    #[test]
    fn no_state_makes_a_transition_panic(program in program(), state in state(), which in 0..4_u8, n in 0..12_usize) {
        let rules = circular();
        let programs = Programs::new(&rules, [], &[]);
        let now = at("2026-05-04T12:00");
        let mut world = fahrplan::engine::world::World { contact: ADA, ..Default::default() };
        world.permissions = Some(Default::default());
        world.errands = Some(Default::default());
        let id = EnrollmentId(9);
        let outcome = Outcome {
            enrollment: id,
            step: format!("step {n}").into(),
            round: 0,
            outcome: "clicked".into(),
            at: now,
            fields: fields(&[]),
        };
        let signal: Word = "contact.email".into();
        loop {
            let facts = Facts::new(&rules, &programs, &world, now);
            let (mut effects, mut last) = (Effects::default(), 100);
            let mut ids = || {
                last += 1;
                last
            };
            let mut state = state.clone();
            let mut turn = Turn { facts: &facts, effects: &mut effects, ids: &mut ids };
            let input = match which {
                0 => StepInput::Due,
                1 => StepInput::Outcome { outcome: &outcome, order: 1, at: now },
                2 => StepInput::Changed { signal: &signal, at: now },
                _ => StepInput::Moved { at: now },
            };
            match step(&program, id, &mut state, input, &mut turn) {
                Ok(flow) => {
                    let over = matches!(flow, Flow::Ended { .. });
                    prop_assert!(state.ended || !over);
                    break;
                }
                Err(fahrplan::engine::world::Need::History { name, since }) => {
                    let all = fahrplan::engine::world::History { since, ..Default::default() };
                    world.history.insert(name, all);
                }
                Err(need) => panic!("{need:?} is there already"),
            }
        }
    }
}
