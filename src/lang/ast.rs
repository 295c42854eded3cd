//! The syntax tree: what the author wrote, with a span on every node.
//!
//! It knows nothing of pest and nothing of meaning: names are text, types are words. Statements and expressions that could
//! not be read stand in the tree as `Error`, so that later phases stay silent about them. `PartialEq` compares spans too;
//! The formatter compares trees without their spans.

use crate::diagnostic::Span;
pub use crate::engine::program::{AggregateFn, BinaryOp as Op};
use crate::value::Decimal;

/// A name as written, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// A dotted path such as `contact.plan` or `order.value`; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    pub parts: Vec<Name>,
    pub span: Span,
}

/// A string literal without its quotes and with its escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub value: String,
    pub span: Span,
}

/// One source file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    pub items: Vec<Item>,
    /// Every comment in order of appearance, suppressions (`# allow W0404: why`) and `# TODO:` among them.
    pub comments: Vec<Comment>,
}

/// A comment from `#` to the end of its line.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    /// The text with its `#` or `##`, without trailing blanks.
    pub text: String,
    pub span: Span,
    /// Nothing but blanks stands before it on its line.
    pub own_line: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub kind: ItemKind,
    pub span: Span,
    /// The `##` lines directly above, joined by line ends; shown by hover and `graph`.
    pub doc: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    Import(Text),
    Contact(Vec<Field>),
    Event(EventDecl),
    /// `purpose lapsing under marketing "…"`
    Purpose {
        name: Name,
        parent: Name,
        title: Option<Text>,
    },
    Channel(PropsDecl),
    Segment(ExprDecl),
    Score(ExprDecl),
    Task(PropsDecl),
    Team(PropsDecl),
    Audience(PropsDecl),
    /// `endpoint voucher.issue { … }`
    Endpoint {
        path: Path,
        title: Option<Text>,
        props: Vec<Prop>,
    },
    Survey {
        name: Name,
        title: Option<Text>,
        fields: Vec<Field>,
    },
    Pool {
        name: Name,
        title: Option<Text>,
        fields: Vec<Field>,
    },
    /// `template confirm_optin transactional because "double opt-in"`
    Template {
        name: Path,
        class: Name,
        because: Option<Text>,
    },
    Policy {
        name: Name,
        rules: Vec<Rule>,
    },
    Journey(Box<Journey>),
    Test(Test),
    /// Text that no item rule could read; reported already.
    Error,
}

/// `name: type = default unique pii dedupe "question"`
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: Name,
    pub ty: Type,
    pub default: Option<Expr>,
    pub modifiers: Vec<Name>,
    pub title: Option<Text>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    pub kind: TypeKind,
    /// Written with `?`.
    pub optional: bool,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// `text`, `number`, `email` … as written, with `from a to b` where given.
    Base {
        name: String,
        range: Option<(Number, Number)>,
    },
    /// `one of [a, b]`
    OneOf(Vec<Name>),
    List(Box<Type>),
    Record(Vec<Field>),
    Error,
}

/// A number as written: sign, exact value in ten-thousandths, and whether a decimal point stood in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    pub value: Decimal,
    pub has_point: bool,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct EventDecl {
    pub name: Name,
    pub title: Option<Text>,
    /// Names the event has outside: `from "Order Completed", "order_completed"`.
    pub aliases: Vec<Text>,
    pub keep: Option<Duration>,
    pub late_after: Option<Duration>,
    pub fields: Vec<Field>,
}

/// Channel, task, team, audience: a name and a block of properties.
#[derive(Clone, Debug, PartialEq)]
pub struct PropsDecl {
    pub name: Name,
    pub title: Option<Text>,
    pub props: Vec<Prop>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Prop {
    pub name: Name,
    pub value: PropValue,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PropValue {
    Expr(Expr),
    Fields(Vec<Field>),
    Hours(Hours),
}

/// `monday to friday 09:00 to 18:00 project time`
#[derive(Clone, Debug, PartialEq)]
pub struct Hours {
    pub from_day: (Weekday, Span),
    pub to_day: Option<(Weekday, Span)>,
    pub from: Clock,
    pub to: Clock,
    pub zone: Option<Zone>,
    pub span: Span,
}

/// Segment or score.
#[derive(Clone, Debug, PartialEq)]
pub struct ExprDecl {
    pub name: Name,
    pub title: Option<Text>,
    pub expr: Expr,
}

// ---------------------------------------------------------------- time

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    WorkingDay,
    Week,
    Month,
    Year,
}

/// `1 hour and 30 minutes`; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Duration {
    pub parts: Vec<(Number, Unit)>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
    /// Monday to Friday.
    Weekday,
    /// Saturday and Sunday.
    Weekend,
    /// Monday to Friday but for holidays.
    WorkingDay,
    /// Any day.
    Day,
}

/// `2026-12-24` as written; the checker says whether the date exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    pub year: i16,
    pub month: u8,
    pub day: u8,
    pub span: Span,
}

/// `09:00` or `09:00:30` as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ZoneKind {
    Contact,
    Project,
    Named(Text),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    pub kind: ZoneKind,
    pub span: Span,
}

/// `between 09:00 and 17:00`
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    pub from: TimeOfDay,
    pub to: TimeOfDay,
    pub span: Span,
}

/// A clock time, or an attribute or variable of type `time` in its place.
#[derive(Clone, Debug, PartialEq)]
pub enum TimeOfDay {
    Clock(Clock),
    Path(Path),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

/// What stands after `until` and `before`.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    pub kind: MomentKind,
    pub zone: Option<Zone>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MomentKind {
    /// `tuesday at 10:00`, `weekday between 09:00 and 17:00`, `monday`
    Weekday { day: Weekday, day_span: Span, at: Option<TimeOfDay>, window: Option<Window> },
    /// `2026-12-24T12:00`
    DateTime(Date, Clock),
    /// `2026-12-24 at 10:00`
    Date { date: Date, at: Option<TimeOfDay> },
    /// `10:00`
    Time(Clock),
    /// `30 days before seat.starts_at at 10:00`, `2 hours after offer_mail`, `contact.card_expires`
    Anchor { offset: Option<(Duration, Side)>, anchor: Path, at: Option<TimeOfDay> },
}

// ---------------------------------------------------------------- expressions

#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    Text(String),
    Number(Number),
    Percent(Number),
    Bool(bool),
    Date(Date),
    Time(Clock),
    Moment(Date, Clock),
    Duration(Duration),
    /// `known`, `unknown` or `empty` to the right of `is`.
    Presence(Presence),
    Path(Path),
    List(Vec<Expr>),
    Record(Record),
    /// `consent marketing on email, sms`
    Consent(ConsentOf),
    /// `today is not weekday between 09:00 and 17:00 project time`
    DayTest {
        negated: bool,
        day: Weekday,
        window: Option<Window>,
        zone: Option<Zone>,
    },
    Aggregate(Box<Aggregate>),
    Call {
        function: Name,
        args: Vec<Expr>,
    },
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary {
        op: Op,
        op_span: Span,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Known,
    Unknown,
    Empty,
}

/// `last 3(viewed.sku as v where v.price > 10 within 30 days)`
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    pub function: AggregateFn,
    /// The number in `last 3(…)`.
    pub newest: Option<Number>,
    /// `event` or `event.field`.
    pub of: Path,
    pub name: Option<Name>,
    pub filter: Option<Expr>,
    /// Missing reach is E0415.
    pub reach: Option<Reach>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    Within(Duration),
    /// `since entry`, `since reminder`
    Since(Path),
    Ever,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ConsentOf {
    pub purpose: Name,
    pub channels: Vec<Name>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub pairs: Vec<(Name, Expr)>,
    pub span: Span,
}

// ---------------------------------------------------------------- journeys

#[derive(Clone, Debug, PartialEq)]
pub struct Journey {
    pub name: Name,
    pub title: Option<Text>,
    pub version: Option<Number>,
    pub items: Vec<JourneyItem>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct JourneyItem {
    pub kind: JourneyItemKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum JourneyItemKind {
    Purpose { name: Name, because: Option<Text> },
    Runs { from: Option<Day>, to: Option<Day>, zone: Option<Zone> },
    Enter(Box<Enter>),
    Reenter(Reenter),
    ExitRule { reason: Name, trigger: ExitTrigger },
    Goal(Box<Goal>),
    Lasts(Duration),
    OnDeploy(OnDeploy),
    Handler { event: EventMatch, body: Block },
    Stage { name: Name, body: Block },
    Migrate { version: Number, lines: Vec<MigrateLine> },
    Stmt(Stmt),
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Day {
    pub date: Date,
    pub time: Option<Clock>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Enter {
    pub how: EnterHow,
    pub filter: Option<Expr>,
    /// `for SEGMENT`
    pub audience: Option<Expr>,
    /// `per cart.cart_id`
    pub per: Vec<Path>,
    pub ramp: Option<Ramp>,
    /// `including existing`
    pub including_existing: Option<Span>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum EnterHow {
    On(EventMatch),
    OnFirst(EventMatch),
    OnChange {
        path: Path,
        name: Option<Name>,
    },
    When(Expr),
    While(Expr),
    At {
        date: Date,
        time: Clock,
        zone: Option<Zone>,
    },
    Cron {
        text: Text,
        zone: Option<Zone>,
    },
    EveryWeekday {
        day: Weekday,
        at: TimeOfDay,
        zone: Option<Zone>,
    },
    Anniversary {
        path: Path,
        at: Option<TimeOfDay>,
        zone: Option<Zone>,
    },
    /// `30 days before contact.card_expires at 09:00 contact time`
    Offset {
        offset: Duration,
        side: Side,
        path: Path,
        at: Option<TimeOfDay>,
        zone: Option<Zone>,
    },
    /// `by start with { percent: number }`
    ByStart(Vec<Field>),
    Error,
}

/// `limit 1_000 per day then wait`
#[derive(Clone, Debug, PartialEq)]
pub struct Ramp {
    pub number: Number,
    pub per: Unit,
    /// `wait`, `skip`, or nothing written.
    pub then: Option<Name>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Reenter {
    Never,
    Always,
    Restart,
    WhenFinished,
    AfterEntry(Duration),
    AfterExit(Duration),
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExitTrigger {
    On(EventMatch),
    When(Expr),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    pub name: Name,
    pub event: EventMatch,
    pub within: Option<Duration>,
    pub target: Option<Number>,
    pub then_exit: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDeploy {
    Migrate,
    FinishOld,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MigrateLine {
    pub kind: MigrateKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MigrateKind {
    Moved { from: Name, to: Name },
    RemovedGoTo { step: Name, stage: Name },
    RemovedExit { step: Name, reason: Name },
    KeepTimers,
    Let { name: Name, value: Expr },
    Error,
}

/// `order_placed, order_canceled as change same cart_id where …`; the paths are events or outcomes (`reminder.clicked`).
#[derive(Clone, Debug, PartialEq)]
pub struct EventMatch {
    pub events: Vec<Path>,
    pub name: Option<Name>,
    pub same: Vec<Name>,
    pub filter: Option<Expr>,
    pub span: Span,
}

// ---------------------------------------------------------------- statements

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub stmts: Vec<Stmt>,
    /// From the opening to the closing brace.
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    Send(Box<Send>),
    Ask(Box<Ask>),
    Call(Box<Work>),
    Assign(Box<Work>),
    Request(Box<Request>),
    Take {
        what: Name,
        pool: Name,
        name: Option<Name>,
        otherwise: Option<Block>,
    },
    Record {
        event: Path,
        with: Option<Record>,
    },
    Set {
        path: Path,
        value: Expr,
    },
    Add {
        value: Expr,
        to: Path,
        duration: Option<Duration>,
        until_exit: Option<Span>,
    },
    /// `add contact to lookalike`
    AddContact {
        audience: Name,
    },
    Remove {
        value: Expr,
        from: Path,
    },
    RemoveContact {
        audience: Name,
    },
    Let {
        name: Name,
        value: Expr,
    },
    Grant {
        consent: ConsentOf,
        evidence: Option<Name>,
    },
    Withdraw {
        consent: ConsentOf,
    },
    Wait(Box<Wait>),
    If(Box<If>),
    Switch(Box<Switch>),
    Split {
        name: Name,
        variants: Vec<Variant>,
    },
    Repeat {
        times: Number,
        name: Option<Name>,
        until: Option<Expr>,
        body: Block,
    },
    StartJourney {
        journey: Name,
        with: Option<Record>,
    },
    RunJourney {
        journey: Name,
        with: Option<Record>,
        limit: Option<Duration>,
        name: Option<Name>,
    },
    GoTo(Name),
    Resume,
    Pause {
        purpose: Name,
        how: Pause,
    },
    /// `exit as done`; a bare `exit` has no reason and is reported by the checker (E0301's rule: every exit is named).
    Exit {
        reason: Option<Name>,
    },
    /// Reported by the parser; later phases skip it and say nothing that depends on it.
    Error,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ChannelChoice {
    One(Name),
    /// Each reachable one.
    And(Vec<Name>),
    /// The first on which the contact may and can be reached.
    Else(Vec<Name>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Send {
    pub channels: ChannelChoice,
    pub template: Path,
    pub to: Option<Expr>,
    pub with: Option<Record>,
    pub purpose: Option<Name>,
    pub before: Option<Moment>,
    pub name: Option<Name>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub survey: Path,
    pub channels: ChannelChoice,
    pub with: Option<Record>,
    pub purpose: Option<Name>,
    pub limit: Option<Duration>,
    pub name: Option<Name>,
}

/// `call … by team` and `assign … to team`.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    pub task: Path,
    pub team: Option<Expr>,
    pub with: Option<Record>,
    pub limit: Option<Duration>,
    pub name: Option<Name>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub endpoint: Path,
    pub with: Option<Record>,
    pub name: Option<Name>,
    pub otherwise: Option<Block>,
}

#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it stands in a box wherever it is used")]
pub enum Wait {
    /// `wait 3 days`, `wait 1 hour to 5 hours as p`, `wait 3 days then until …`
    For { duration: Duration, longest: Option<Duration>, then_until: Option<Moment>, name: Option<Name> },
    /// `wait until MOMENT as x { … }`
    Until { moment: Moment, name: Option<Name>, body: Option<Block> },
    /// `wait up to D for events`
    Event { patience: Patience, event: EventMatch, look_back: Option<Duration>, then_until: Option<Moment> },
    /// `wait up to D until condition as x`
    Condition { patience: Patience, condition: Expr, name: Option<Name> },
    /// `wait up to D as x { when … on timeout … }`
    Race { patience: Patience, name: Option<Name>, arms: Vec<Arm>, timeout: Option<Block> },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Patience {
    UpTo(Duration),
    Forever(Span),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    pub when: ArmWhen,
    pub body: Block,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ArmWhen {
    Event(EventMatch),
    Condition { expr: Expr, name: Option<Name> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct If {
    /// The condition and block of `if` and of each `else if`, in order; at least one.
    pub branches: Vec<(Expr, Block)>,
    pub otherwise: Option<Block>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Switch {
    pub subject: Expr,
    pub cases: Vec<Case>,
    pub otherwise: Option<Block>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub values: Vec<Expr>,
    pub body: Block,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    pub name: Name,
    pub share: Number,
    pub body: Block,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Pause {
    For(Duration),
    Until(Moment),
    Forever,
}

// ---------------------------------------------------------------- policies

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub kind: RuleKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    Consent {
        purpose: Name,
        channels: Vec<Name>,
    },
    Quiet {
        from: Clock,
        to: Clock,
        zone: Option<Zone>,
        purpose: Name,
        channels: Vec<Name>,
        then: Then,
    },
    /// `cap email marketing at 3 per 7 days then wait up to 3 days`; `words` are the one or two names after `cap`.
    Cap {
        words: Vec<Name>,
        number: Number,
        window: CapWindow,
        then: Then,
    },
    /// `rate email at 500 per hour`
    Rate {
        words: Vec<Name>,
        number: Number,
        per: Unit,
    },
    MaxAudience {
        number: Number,
        purpose: Name,
    },
    Priority(Vec<Name>),
    Holdout {
        share: Number,
        purpose: Name,
    },
    Error,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CapWindow {
    Rolling(Duration),
    Calendar(Unit),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    Wait(Option<Duration>),
    Skip,
    Exit,
}

// ---------------------------------------------------------------- tests

#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    pub title: Text,
    pub journey: Name,
    pub lines: Vec<TestLine>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TestLine {
    pub kind: TestLineKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TestLineKind {
    Given(Given),
    At { at: TestTime, person: Option<Name>, what: Option<AtWhat> },
    Expect { person: Option<Name>, expect: Expect },
    Error,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// `given contact ada { … }`
    Contact {
        person: Option<Name>,
        record: Record,
    },
    /// `given ada event order_placed { … } at 2026-01-10T12:00`
    Event {
        person: Option<Name>,
        event: Path,
        with: Option<Record>,
        date: Date,
        time: Clock,
    },
    Seed(Number),
    Consent {
        person: Option<Name>,
        consent: ConsentOf,
    },
    Loose,
    Variant {
        split: Name,
        variant: Name,
    },
    RequestFails {
        endpoint: Path,
    },
    RequestReturns {
        endpoint: Path,
        record: Record,
    },
    PoolEmpty {
        pool: Name,
    },
    Pool {
        pool: Name,
        items: Vec<Expr>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum TestTime {
    /// The absolute clock; in project time unless a zone is said.
    Moment(Date, Clock, Option<Zone>),
    /// From the first absolute `at`.
    Plus(Duration),
}

#[derive(Clone, Debug, PartialEq)]
pub enum AtWhat {
    Event {
        event: Path,
        with: Option<Record>,
    },
    Set {
        path: Path,
        value: Expr,
    },
    /// `call winback_call returns voicemail { note: "…" }`; `assign` too.
    WorkReturns {
        task: Path,
        outcome: Name,
        with: Option<Record>,
    },
    AskReturns {
        survey: Path,
        record: Record,
    },
    Start {
        with: Option<Record>,
    },
    Grant(ConsentOf),
    Withdraw(ConsentOf),
    Given(Given),
    Expect(Expect),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    Send {
        channel: Name,
        template: Path,
        to: Option<Expr>,
        with: Option<Record>,
        at: Option<Clock>,
    },
    NoMoreSend,
    /// `expect no send NAME`; `verb` is `send`, `call` or `ask`.
    No {
        verb: Name,
        name: Option<Path>,
    },
    Exit {
        reason: Name,
    },
    Goal {
        name: Name,
    },
    Start {
        journey: Name,
    },
    /// `expect call x`, `assign`, `ask`, `request`, `record`.
    Did {
        verb: Name,
        name: Path,
    },
    WaitingAt {
        step: Name,
    },
    /// `expect contact.tags has "x"`
    Holds(Expr),
}
