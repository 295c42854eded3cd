//! Programs and plays for the tests of the engine: journeys written in Rust, and what happened as lines of text.

use std::collections::BTreeMap;
use std::sync::Arc;

use fahrplan::engine::index::Index;
use fahrplan::engine::memory::{Happened, Memory};
use fahrplan::engine::program::*;
use fahrplan::engine::world::{Cause, ConsentChange, Event as Came, Fields, Input, What};
use fahrplan::id::ContactId;
use fahrplan::time::{Calendar, Date, Holidays, TimeOfDay, Timestamp, Zone};
use fahrplan::value::{Decimal, FieldType, Type, Value};

/// Fields that any test reads from any result.
const USED: [&str; 30] = [
    "sent",
    "delivered",
    "opened",
    "clicked",
    "bounced",
    "complained",
    "replied",
    "failed",
    "unreachable",
    "skipped",
    "reason",
    "happened",
    "missed",
    "late",
    "event",
    "outcome",
    "exit",
    "number",
    "cart_id",
    "value",
    "link",
    "old",
    "new",
    "code",
    "note",
    "id",
    "at",
    "case_id",
    "topic",
    "percent",
];

pub(crate) fn days(n: i32) -> Calendar {
    Calendar::days(n)
}

pub(crate) fn months(n: i32) -> Calendar {
    Calendar { months: n, ..Calendar::default() }
}

pub(crate) fn hours(n: i64) -> Calendar {
    Calendar::elapsed(n * 3_600_000)
}

pub(crate) fn minutes(n: i64) -> Calendar {
    Calendar::elapsed(n * 60_000)
}

pub(crate) fn clock(hour: u8, minute: u8) -> TimeOfDay {
    TimeOfDay::new(hour, minute, 0).expect("a clock time")
}

pub(crate) fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

/// A moment by the clocks of Berlin, `2026-03-27T10:00`, or RFC 3339.
pub(crate) fn at(text: &str) -> Timestamp {
    match text.len() {
        16 => {
            let zone = Zone::named("Europe/Berlin").expect("compiled in");
            zone.at(date(&text[..10]), text[11..].parse().expect("a clock time"))
        }
        _ => text.parse().expect("a moment"),
    }
}

pub(crate) fn text(word: &str) -> Value {
    Value::text(word)
}

pub(crate) fn fields(pairs: &[(&str, Value)]) -> Fields {
    pairs.iter().map(|(name, value)| (Word::from(*name), value.clone())).collect()
}

// ---------------------------------------------------------------- expressions

pub(crate) fn val(value: Value) -> Expr {
    Expr::Const(value)
}

pub(crate) fn yes(b: bool) -> Expr {
    Expr::Const(Value::Bool(b))
}

pub(crate) fn attr(name: &str) -> Expr {
    Expr::Attribute(name.into())
}

pub(crate) fn time(hour: u8, minute: u8) -> Expr {
    val(Value::Time(clock(hour, minute)))
}

pub(crate) fn bin(op: BinaryOp, a: Expr, b: Expr) -> Expr {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

pub(crate) fn is(a: Expr, b: Expr) -> Expr {
    bin(BinaryOp::Is, a, b)
}

pub(crate) fn not(a: Expr) -> Expr {
    Expr::Not(Box::new(a))
}

pub(crate) fn aggregate(function: AggregateFn, event: &str, field: Option<&str>, reach: Reach) -> Expr {
    Expr::Aggregate(Box::new(Aggregate {
        function,
        newest: None,
        event: event.into(),
        field: field.map(Word::from),
        filter: None,
        reach,
    }))
}

pub(crate) fn any(event: &str, reach: Reach) -> Expr {
    aggregate(AggregateFn::Any, event, None, reach)
}

pub(crate) fn none(event: &str, reach: Reach) -> Expr {
    aggregate(AggregateFn::None, event, None, reach)
}

/// What the compiler would find; outcomes of own steps are watched as `step.NAME`.
pub(crate) fn watch(catalog: &Catalog, condition: &Expr) -> Watch {
    fahrplan::engine::recheck::watch(catalog, condition)
}

// ---------------------------------------------------------------- the catalog

/// A small shop in Berlin.
pub(crate) fn catalog() -> Catalog {
    let attribute = |name: &str, ty: Type, default: Value| Attribute {
        name: name.into(),
        ty,
        default,
        unique: false,
        pii: false,
    };
    let optional = |name: &str, ty: Type| attribute(name, ty.optional(), Value::Unknown);
    let event = |names: &[(&str, Type)], dedupe: Option<&str>| Event {
        fields: names.iter().map(|(name, ty)| FieldType { name: (*name).into(), ty: ty.clone() }).collect(),
        dedupe: dedupe.map(Word::from),
        aliases: Vec::new(),
        keep: days(400),
        late_after: days(3),
    };
    let channel = |address: &str| Channel {
        address: Some(address.into()),
        class: "message".into(),
        sends: "smtp".into(),
        hours: None,
        abilities: Vec::new(),
    };
    let order = [("order_id", Type::Id), ("cart_id", Type::Id.optional()), ("value", Type::Decimal(None))];
    let cart = [("cart_id", Type::Id), ("value", Type::Decimal(None))];
    Catalog {
        format: FORMAT,
        zone: "Europe/Berlin".into(),
        locale: "de".into(),
        holidays: Holidays([date("2026-12-25")].into()),
        attributes: vec![
            optional("email", Type::Email),
            optional("phone", Type::Phone),
            optional("second_email", Type::Email),
            optional("birthday", Type::Date),
            optional("card_expires", Type::Date),
            attribute("timezone", Type::Timezone, text("Europe/Berlin")),
            attribute("plan", Type::Text, text("free")),
            attribute("vip", Type::YesNo, Value::Bool(false)),
            attribute("tags", Type::List(Type::Text.into()), Value::List(Vec::new())),
            attribute("points", Type::Number(Some((0, 100))), Value::Number(0)),
        ],
        events: [
            ("signed_up", event(&[], None)),
            ("optin", event(&[], None)),
            ("cart", event(&cart, None)),
            ("order", event(&order, Some("order_id"))),
            ("closed", event(&[], None)),
            ("complaint", event(&[("case_id", Type::Id), ("topic", Type::Text.optional())], None)),
        ]
        .into_iter()
        .map(|(name, event)| (Word::from(name), event))
        .collect(),
        purposes: [("lapsing".into(), "marketing".into())].into(),
        channels: [
            ("email".into(), channel("email")),
            ("sms".into(), channel("phone")),
            ("phone".into(), channel("phone")),
        ]
        .into(),
        tasks: BTreeMap::new(),
        teams: [("sales".into(), Team { hours: None })].into(),
        endpoints: BTreeMap::new(),
        segments: BTreeMap::new(),
        scores: BTreeMap::new(),
        transactional_templates: BTreeMap::new(),
        surveys: Default::default(),
        headers: BTreeMap::new(),
        budgets: Default::default(),
        costs: Default::default(),
        task_costs: Default::default(),
        audiences: BTreeMap::new(),
        doubts: Default::default(),
        policy: Policy {
            consent: [("marketing".into(), vec!["email".into(), "sms".into()])].into(),
            ..Policy::default()
        },
    }
}

pub(crate) fn segment(catalog: &mut Catalog, name: &str, condition: Expr) {
    let watch = watch(catalog, &condition);
    catalog.segments.insert(name.into(), Segment { condition, watch });
}

// ---------------------------------------------------------------- programs

type Line = Box<dyn Fn(&dyn Fn(&str) -> StepIx, StepIx) -> StepKind>;

/// A journey in the making. Each step goes on to the next line unless it names a label.
pub(crate) struct J {
    pub(crate) program: Program,
    lines: Vec<(String, Option<SlotIx>, Vec<u16>, Line)>,
    labels: BTreeMap<String, usize>,
    loops: Vec<u16>,
}

impl J {
    /// A transactional journey that one may enter again and again, with the entry in slot 0.
    pub(crate) fn new(name: &str) -> J {
        let program = Program {
            format: FORMAT,
            journey: name.into(),
            title: None,
            version: None,
            purpose: "transactional".into(),
            because: None,
            entries: Vec::new(),
            per: Vec::new(),
            reenter: Reenter::Always,
            runs: None,
            lasts: None,
            exits: Vec::new(),
            goals: Vec::new(),
            handlers: Vec::new(),
            slots: Vec::new(),
            loops: 0,
            steps: Vec::new(),
            reasons: Vec::new(),
            channels: Vec::new(),
            pinned: false,
            index: Index::default(),
        };
        let mut j = J { program, lines: Vec::new(), labels: BTreeMap::new(), loops: Vec::new() };
        j.slot("entry", SlotKind::Entry);
        j
    }

    pub(crate) fn marketing(&mut self) -> &mut J {
        self.program.purpose = "marketing".into();
        self.program.channels = vec!["email".into()];
        self
    }

    pub(crate) fn slot(&mut self, name: &str, kind: SlotKind) -> SlotIx {
        let known = self.program.slots.iter().position(|slot| &*slot.name == name);
        let ix = known.unwrap_or_else(|| {
            let used = USED.iter().map(|word| Word::from(*word)).collect();
            self.program.slots.push(Slot { name: name.into(), kind, used, moment_used: true });
            self.program.slots.len() - 1
        });
        u16::try_from(ix).expect("few slots")
    }

    /// A field of a result that is or will be there.
    pub(crate) fn field(&self, slot: &str, name: &str) -> Expr {
        let ix = self.program.slots.iter().position(|s| &*s.name == slot).expect("declared before");
        Expr::Field(Box::new(Expr::Slot(u16::try_from(ix).expect("few"))), name.into())
    }

    pub(crate) fn enter(&mut self, how: EntryHow) -> &mut J {
        self.program.entries.push(Entry { how, filter: None, audience: None, including_existing: false });
        self
    }

    pub(crate) fn on(&mut self, event: &str) -> &mut J {
        self.enter(EntryHow::Event(vec![event.into()]))
    }

    pub(crate) fn exit_on(&mut self, reason: &str, on: Match) -> &mut J {
        self.program.exits.push(ExitRule { reason: reason.into(), trigger: Trigger::Event(on) });
        self
    }

    pub(crate) fn exit_when(&mut self, reason: &str, catalog: &Catalog, condition: Expr) -> &mut J {
        let watch = watch(catalog, &condition);
        let trigger = Trigger::Condition { condition, watch };
        self.program.exits.push(ExitRule { reason: reason.into(), trigger });
        self
    }

    pub(crate) fn goal(
        &mut self,
        name: &str,
        on: Match,
        within: Option<Calendar>,
        then_exit: bool,
    ) -> &mut J {
        self.program.goals.push(Goal { name: name.into(), on, within, target: None, then_exit });
        self
    }

    pub(crate) fn label(&mut self, name: &str) -> &mut J {
        self.labels.insert(name.into(), self.lines.len());
        self
    }

    pub(crate) fn line(
        &mut self,
        id: &str,
        slot: Option<SlotIx>,
        line: impl Fn(&dyn Fn(&str) -> StepIx, StepIx) -> StepKind + 'static,
    ) -> &mut J {
        self.lines.push((id.into(), slot, self.loops.clone(), Box::new(line)));
        self
    }

    /// A message over the given channels, with a result named like the step.
    pub(crate) fn send_by(
        &mut self,
        id: &str,
        channels: &[&str],
        every: bool,
        edit: fn(&mut Send),
    ) -> &mut J {
        let slot = self.slot(id, SlotKind::Message);
        let mut send = Send {
            channels: channels.iter().map(|channel| Word::from(*channel)).collect(),
            every,
            template: id.into(),
            to: None,
            with: Vec::new(),
            purpose: self.program.purpose.clone(),
            before: None,
            next: 0,
        };
        edit(&mut send);
        self.line(id, Some(slot), move |_, next| StepKind::Send(Box::new(Send { next, ..send.clone() })))
    }

    pub(crate) fn send(&mut self, id: &str) -> &mut J {
        self.send_by(id, &["email"], false, |_| {})
    }

    pub(crate) fn wait(&mut self, id: &str, duration: Calendar) -> &mut J {
        let slot = self.slot(id, SlotKind::Wait);
        self.line(id, Some(slot), move |_, next| StepKind::WaitFor {
            duration,
            longest: None,
            then_until: None,
            next,
        })
    }

    pub(crate) fn wait_then(&mut self, id: &str, duration: Calendar, moment: Moment) -> &mut J {
        let slot = self.slot(id, SlotKind::Wait);
        self.line(id, Some(slot), move |_, next| StepKind::WaitFor {
            duration,
            longest: None,
            then_until: Some(moment.clone()),
            next,
        })
    }

    /// `wait until …`; a past anchor goes on at `past`, or at the next line.
    pub(crate) fn until(&mut self, id: &str, moment: Moment, past: Option<&'static str>) -> &mut J {
        let slot = self.slot(id, SlotKind::Wait);
        self.line(id, Some(slot), move |to, next| StepKind::WaitUntil {
            moment: moment.clone(),
            next,
            past: past.map_or(next, to),
        })
    }

    /// `wait up to … for …` with one arm; both ways lead to the next line.
    pub(crate) fn wait_for(&mut self, id: &str, limit: Calendar, mut on: Match) -> &mut J {
        on.slot = Some(self.slot(id, SlotKind::Wait));
        self.race(id, Some(limit), vec![(Trigger::Event(on), None)], None, |_| {})
    }

    pub(crate) fn race(
        &mut self,
        id: &str,
        limit: Option<Calendar>,
        arms: Vec<(Trigger, Option<&'static str>)>,
        timeout: Option<&'static str>,
        edit: fn(&mut WaitEvent),
    ) -> &mut J {
        let slot = self.slot(id, SlotKind::Wait);
        self.line(id, Some(slot), move |to, next| {
            let arm = |(on, label): &(Trigger, Option<&'static str>)| Arm {
                on: on.clone(),
                next: label.map_or(next, to),
            };
            let mut wait = WaitEvent {
                limit,
                arms: arms.iter().map(arm).collect(),
                timeout: timeout.map_or(next, to),
                look_back: None,
                then_until: None,
            };
            edit(&mut wait);
            StepKind::WaitEvent(Box::new(wait))
        })
    }

    /// To `no` unless the condition holds.
    pub(crate) fn unless(&mut self, condition: Expr, no: &'static str) -> &mut J {
        let id = format!("if {}", self.lines.len());
        self.line(&id, None, move |to, next| StepKind::Branch {
            condition: condition.clone(),
            yes: next,
            no: to(no),
        })
    }

    pub(crate) fn exit(&mut self, reason: &str) -> &mut J {
        let id = format!("exit {} {reason}", self.lines.len());
        let reason: Word = reason.into();
        self.line(&id, None, move |_, _| StepKind::Exit { reason: reason.clone() })
    }

    /// A step that goes nowhere else than to the next line.
    pub(crate) fn plain(&mut self, id: &str, kind: impl Fn(StepIx) -> StepKind + 'static) -> &mut J {
        self.line(id, None, move |_, next| kind(next))
    }

    pub(crate) fn set(&mut self, name: &str, value: Expr) -> &mut J {
        let name: Word = name.into();
        self.plain(&format!("set {name}"), move |next| StepKind::Set {
            attribute: name.clone(),
            value: value.clone(),
            next,
        })
    }

    pub(crate) fn record(&mut self, event: &str, with: &[(&str, Expr)]) -> &mut J {
        let with: Vec<(Word, Expr)> = with.iter().map(|(n, e)| (Word::from(*n), e.clone())).collect();
        let event: Word = event.into();
        self.plain(&format!("record {event}"), move |next| StepKind::Record {
            event: event.clone(),
            with: with.clone(),
            next,
        })
    }

    /// `repeat up to TIMES as NAME { body }`.
    pub(crate) fn repeat(&mut self, name: &'static str, times: u32, body: impl FnOnce(&mut J)) -> &mut J {
        let counter = self.program.loops;
        self.program.loops += 1;
        let slot = self.slot(name, SlotKind::Loop);
        let (test, behind): (&'static str, &'static str) =
            (format!("{name} test").leak(), format!("{name} behind").leak());
        self.line(&format!("{name} start"), None, move |_, next| StepKind::LoopStart { counter, next });
        self.label(test);
        self.line(test, Some(slot), move |to, next| StepKind::LoopNext {
            counter,
            times,
            body: next,
            done: to(behind),
        });
        self.loops.push(counter);
        body(self);
        self.go(test);
        self.loops.pop();
        self.label(behind)
    }

    /// Goes to a label: a branch that is always taken.
    pub(crate) fn go(&mut self, label: &'static str) -> &mut J {
        let id = format!("go {} {label}", self.lines.len());
        self.line(&id, None, move |to, _| StepKind::Branch {
            condition: yes(true),
            yes: to(label),
            no: to(label),
        })
    }

    pub(crate) fn handler(&mut self, on: Match, label: &str) -> &mut J {
        let first = u16::try_from(self.labels[label]).expect("few lines");
        self.program.handlers.push(Handler { on, first });
        self
    }

    pub(crate) fn build(&self) -> Arc<Program> {
        let mut program = self.program.clone();
        let to = |label: &str| {
            let line = self.labels.get(label).unwrap_or_else(|| panic!("no label {label}"));
            u16::try_from(*line).expect("few lines")
        };
        for (number, (id, slot, loops, line)) in (1_u16..).zip(&self.lines) {
            program.steps.push(Step {
                id: id.as_str().into(),
                slot: *slot,
                loops: loops.clone(),
                kind: line(&to, number),
            });
        }
        Arc::new(program)
    }
}

/// Waits for that event.
pub(crate) fn on(event: &str) -> Match {
    Match { signals: vec![Signal::Event(event.into())], same: Vec::new(), filter: None, slot: None }
}

/// Waits for that event with the same field as the entry.
pub(crate) fn on_same(event: &str, field: &str) -> Match {
    Match { same: vec![field.into()], ..on(event) }
}

/// Waits for an outcome of an own step.
pub(crate) fn outcome(slot: SlotIx, outcome: &str) -> Match {
    let signals = vec![Signal::Outcome { slot, outcome: outcome.into() }];
    Match { signals, same: Vec::new(), filter: None, slot: None }
}

pub(crate) fn condition(catalog: &Catalog, condition: Expr) -> Trigger {
    let watch = watch(catalog, &condition);
    Trigger::Condition { condition, watch }
}

pub(crate) fn moment(kind: MomentKind) -> Moment {
    Moment { kind, zone: ZoneRef::Contact }
}

pub(crate) fn anchor(anchor: Expr, offset: Calendar, at: Option<Expr>) -> Moment {
    let follows = match &anchor {
        Expr::Attribute(name) => Some(name.clone()),
        _ => None,
    };
    moment(MomentKind::Anchor { anchor, offset, at, follows })
}

pub(crate) const WEEKDAYS: Days = Days { mask: 0x1f, working: false };

// ---------------------------------------------------------------- plays

pub(crate) const ADA: ContactId = ContactId(1);

/// Journeys, one contact with an e-mail address, and a clock.
pub(crate) struct Play {
    pub(crate) memory: Memory,
    told: usize,
}

impl Play {
    pub(crate) fn new(catalog: Catalog, programs: &[&J], start: &str) -> Play {
        let programs: Vec<Arc<Program>> = programs.iter().map(|j| j.build()).collect();
        let mut memory = Memory::new(catalog, programs, at(start));
        memory.add_contact(ADA, fields(&[("email", text("ada@example.org"))]));
        memory.settle(ADA, Cause::Import);
        Play { memory, told: 0 }
    }

    pub(crate) fn event(&mut self, when: &str, name: &str, pairs: &[(&str, Value)]) -> &mut Play {
        self.memory.event(ADA, name, fields(pairs), at(when));
        self
    }

    /// An event that occurred long before it was accepted.
    pub(crate) fn late_event(&mut self, when: &str, occurred: &str, name: &str) -> &mut Play {
        let event = Came {
            id: 7_000_000_000_000 + self.memory.log().len() as i64,
            name: name.into(),
            occurred_at: at(occurred),
            accepted_at: at(when),
            fields: Fields::new(),
            quiet: false,
        };
        self.input(when, Input::Event(event))
    }

    pub(crate) fn input(&mut self, when: &str, input: Input) -> &mut Play {
        self.memory.input(ADA, &input, at(when));
        self
    }

    pub(crate) fn attributes(&mut self, when: &str, pairs: &[(&str, Value)]) -> &mut Play {
        self.input(when, Input::Attributes { values: fields(pairs), at: at(when) })
    }

    pub(crate) fn consent(&mut self, when: &str, purpose: &str, permit: bool) -> &mut Play {
        self.input(
            when,
            Input::Consent(ConsentChange {
                purpose: purpose.into(),
                channel: "email".into(),
                permit,
                at: at(when),
                source: "api".into(),
                evidence: None,
            }),
        )
    }

    pub(crate) fn outcome(&mut self, when: &str, step: &str, outcome: &str) -> &mut Play {
        self.outcome_with(when, step, outcome, &[])
    }

    pub(crate) fn outcome_with(
        &mut self,
        when: &str,
        step: &str,
        outcome: &str,
        pairs: &[(&str, Value)],
    ) -> &mut Play {
        assert!(self.memory.outcome(ADA, step, outcome, fields(pairs), at(when)), "{step} did nothing yet");
        self
    }

    pub(crate) fn start(&mut self, when: &str, journey: &str, pairs: &[(&str, Value)]) -> &mut Play {
        let (journey, arguments) = (journey.into(), fields(pairs));
        self.input(when, Input::Start { journey, arguments, at: at(when) })
    }

    pub(crate) fn until(&mut self, when: &str) -> &mut Play {
        self.memory.advance_to(at(when));
        self
    }

    /// What happened since the last look, by the clocks of Berlin: entries, sends, skips, holds, goals, exits, work, and what
    /// was odd.
    pub(crate) fn story(&mut self) -> Vec<String> {
        let log = &self.memory.log()[self.told..];
        let zone = Zone::named("Europe/Berlin").expect("compiled in");
        let show = |at: Timestamp| format!("{} {}", &zone.date(at).to_string()[5..], zone.time(at));
        let line = |what: &Happened| match what {
            Happened::Note(note) => match &note.what {
                What::Entered => Some("enter".to_owned()),
                What::NotEntered { why, .. } => Some(format!("not entered: {why}")),
                What::Held { until, why, .. } => Some(format!("held by {why} until {}", show(*until))),
                What::Skipped { why, channel, .. } => Some(format!("skip {channel}: {why}")),
                What::Exited { reason } => Some(format!("exit {reason}")),
                What::Goal { name } => Some(format!("goal {name}")),
                What::Odd { why } => Some(format!("odd: {why}")),
                What::Done { .. } | What::Rests { .. } | What::Queued { .. } | What::Took { .. } => None,
                What::Decided { .. } => None,
            },
            Happened::Send(delivery) => Some(format!("send {} {}", delivery.channel, delivery.template)),
            Happened::Task(task) => Some(format!("{} {} due {}", task.verb, task.task, show(task.due_at))),
            Happened::Request(request) => Some(format!("request {}", request.endpoint)),
            Happened::Withdrawn(_) => Some("withdraw".to_owned()),
            Happened::Record(..) | Happened::Start(..) => None,
        };
        let lines = log.iter().filter_map(|l| line(&l.what).map(|text| format!("{} {text}", show(l.at))));
        let lines = lines.collect();
        self.told = self.memory.log().len();
        lines
    }

    /// The story must be exactly this.
    #[track_caller]
    pub(crate) fn tells(&mut self, expected: &[&str]) -> &mut Play {
        assert_eq!(self.story(), expected);
        self
    }
}

pub(crate) fn decimal(text: &str) -> Value {
    Value::Decimal(text.parse::<Decimal>().expect("a decimal"))
}
