//! Expressions, literals and words of time. The grammar gives operands and operators in a row; the binding is ours, and
//! it never fails: where an operand is missing, the expression is `Error`.

use fahrplan_grammar::Rule;

use super::{P, Reader, part, parts};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::lang::ast::{
    Aggregate, AggregateFn, Clock, ConsentOf, Date, Day, Duration, Expr, ExprKind, Moment, MomentKind, Name,
    Number, Op, Presence, Reach, Record, Side, TimeOfDay, Unit, Weekday, Window, Zone, ZoneKind,
};
use crate::value::Decimal;

/// Longer rows of operators would make a tree too deep for the phases that walk it.
const MAX_OPERATORS: usize = 250;
/// So would longer rows of `not` and `-`.
const MAX_PREFIXES: usize = 20;

/// An expression in the order in which it is written.
enum Piece {
    Prefix { not: bool, span: Span },
    Operand(Expr),
    Operator(Op, Span),
}

impl<'s> Reader<'s> {
    pub(super) fn expr(&mut self, p: &P<'s>) -> Expr {
        let mut pieces = Vec::new();
        let mut count = 0;
        for child in p.clone().into_inner() {
            let span = self.span(&child);
            match child.as_rule() {
                Rule::k_not => pieces.push(Piece::Prefix { not: true, span }),
                Rule::minus => pieces.push(Piece::Prefix { not: false, span }),
                Rule::wrong_not => {
                    let place = self.place_of(&child);
                    self.tell_lost(
                        Diagnostic::new(Code::E0001, place, "`!` is not an operator")
                            .label("write `not`")
                            .fix("write `not`", place, "not "),
                    );
                    pieces.push(Piece::Prefix { not: true, span });
                }
                Rule::binop => {
                    count += 1;
                    let op = self.operator(&child);
                    pieces.push(Piece::Operator(op, span));
                }
                Rule::path if is_null(child.as_str()) && compares(&pieces).is_some() => {
                    let is_not = compares(&pieces) == Some(Op::IsNot);
                    let place = self.place_of(&child);
                    let written = if is_not { "is known" } else { "is unknown" };
                    self.tell_lost(
                        Diagnostic::new(
                            Code::E0101,
                            place,
                            format!("there is no `{}`: what is missing is `unknown`", child.as_str()),
                        )
                        .label("a word of other languages")
                        .help(format!("write `{written}` for the whole comparison")),
                    );
                    pieces.push(Piece::Operand(Expr { kind: ExprKind::Presence(Presence::Unknown), span }));
                }
                _ => {
                    let operand = self.operand(&child);
                    pieces.push(Piece::Operand(operand));
                }
            }
        }
        let span = self.span(p);
        if count > MAX_OPERATORS || self.too_many_prefixes(&pieces) {
            let place = self.place_of(p);
            self.tell_lost(
                Diagnostic::new(Code::E0001, place, "this expression is too long")
                    .help("give a part of it a name with `segment`, `score` or `let`"),
            );
            return Expr { kind: ExprKind::Error, span };
        }
        let mut pieces = pieces.into_iter().peekable();
        climb(&mut pieces, 0).unwrap_or(Expr { kind: ExprKind::Error, span })
    }

    fn too_many_prefixes(&self, pieces: &[Piece]) -> bool {
        pieces
            .chunk_by(|a, b| matches!((a, b), (Piece::Prefix { .. }, Piece::Prefix { .. })))
            .any(|row| row.len() > MAX_PREFIXES)
    }

    fn operator(&mut self, p: &P<'s>) -> Op {
        let words: Vec<&str> = p.as_str().split_whitespace().collect();
        let (op, wrong) = match words.as_slice() {
            ["*"] => (Op::Mul, None),
            ["/"] => (Op::Div, None),
            ["+"] => (Op::Add, None),
            ["-"] => (Op::Sub, None),
            ["otherwise"] => (Op::Otherwise, None),
            ["<"] => (Op::Lt, None),
            ["<="] => (Op::Le, None),
            [">"] => (Op::Gt, None),
            [">="] => (Op::Ge, None),
            ["is", "not"] => (Op::IsNot, None),
            ["in"] => (Op::In, None),
            ["not", "in"] => (Op::NotIn, None),
            ["has"] => (Op::Has, None),
            ["has", "any", ..] => (Op::HasAnyOf, None),
            ["has", ..] => (Op::HasAllOf, None),
            ["and"] => (Op::And, None),
            ["or"] => (Op::Or, None),
            ["=" | "=="] => (Op::Is, Some("is")),
            ["!=" | "<>"] => (Op::IsNot, Some("is not")),
            ["&&"] => (Op::And, Some("and")),
            ["||"] => (Op::Or, Some("or")),
            ["=>"] => (Op::Ge, Some(">=")),
            ["=<"] => (Op::Le, Some("<=")),
            _ => (Op::Is, None),
        };
        if let Some(right) = wrong {
            let (code, written) =
                (if right.starts_with("is") { Code::E0107 } else { Code::E0001 }, p.as_str());
            let place = self.place_of(p);
            let (before, after) =
                if right.starts_with(char::is_alphabetic) { self.blanks_around(p) } else { ("", "") };
            let message = match code {
                Code::E0107 => format!("`{written}` does not compare"),
                _ => format!("`{written}` is not an operator"),
            };
            self.tell_lost(Diagnostic::new(code, place, message).label(format!("write `{right}`")).fix(
                format!("write `{right}`"),
                place,
                format!("{before}{right}{after}"),
            ));
        }
        op
    }

    /// The blanks that a word needs where a sign stood without them.
    fn blanks_around(&self, p: &P<'s>) -> (&'static str, &'static str) {
        let span = p.as_span();
        let blank = |c: Option<char>| if c.is_none_or(char::is_whitespace) { "" } else { " " };
        (
            blank(self.text()[..span.start()].chars().next_back()),
            blank(self.text()[span.end()..].chars().next()),
        )
    }

    fn operand(&mut self, p: &P<'s>) -> Expr {
        let span = self.span(p);
        let kind = match p.as_rule() {
            Rule::group => {
                // the span of a group takes its brackets in, so that the formatter can tell that there are some
                return part(p, Rule::expr)
                    .map(|inner| Expr { span, ..self.expr(&inner) })
                    .unwrap_or(Expr { kind: ExprKind::Error, span });
            }
            Rule::string => ExprKind::Text(self.string(p).value),
            Rule::number => ExprKind::Number(self.number(p)),
            Rule::percent => ExprKind::Percent(self.number(p)),
            Rule::duration => ExprKind::Duration(self.duration(p)),
            Rule::date => ExprKind::Date(self.date(p)),
            Rule::time => ExprKind::Time(self.clock(p)),
            Rule::datetime => {
                let Day { date, time } = self.day(p);
                time.map_or(ExprKind::Date(date), |time| ExprKind::Moment(date, time))
            }
            Rule::bool => ExprKind::Bool(p.as_str() == "true"),
            Rule::presence => ExprKind::Presence(match p.as_str() {
                "known" => Presence::Known,
                "unknown" => Presence::Unknown,
                _ => Presence::Empty,
            }),
            Rule::list => ExprKind::List(self.list(p)),
            Rule::record => ExprKind::Record(self.record(p)),
            Rule::consent_of => ExprKind::Consent(self.consent_of(p)),
            Rule::day_test => self.day_test(p),
            Rule::aggregate => ExprKind::Aggregate(Box::new(self.aggregate(p))),
            Rule::funcall => self.call(p),
            Rule::path => ExprKind::Path(self.path(p)),
            _ => {
                self.unknown(p);
                ExprKind::Error
            }
        };
        Expr { kind, span }
    }

    pub(super) fn list(&mut self, p: &P<'s>) -> Vec<Expr> {
        self.commas_of(p);
        let mut items = Vec::new();
        for child in parts(p) {
            match child.as_rule() {
                Rule::expr => items.push(self.expr(&child)),
                Rule::record => items.push(self.operand(&child)),
                _ => {}
            }
        }
        items
    }

    fn call(&mut self, p: &P<'s>) -> ExprKind {
        let mut function = None;
        let mut args = Vec::new();
        for child in parts(p) {
            match child.as_rule() {
                Rule::fn_name => function = Some(self.name(&child)),
                Rule::expr => args.push(self.expr(&child)),
                _ => {}
            }
        }
        function.map_or(ExprKind::Error, |function| ExprKind::Call { function, args })
    }

    fn day_test(&mut self, p: &P<'s>) -> ExprKind {
        let mut kind = ExprKind::Error;
        let negated = part(p, Rule::k_not).is_some();
        for child in parts(p) {
            match (child.as_rule(), &mut kind) {
                (Rule::weekday, _) => {
                    kind =
                        ExprKind::DayTest { negated, day: weekday(child.as_str()), window: None, zone: None };
                }
                (Rule::window, ExprKind::DayTest { window, .. }) => *window = Some(self.window(&child)),
                (Rule::zone, ExprKind::DayTest { zone, .. }) => *zone = self.zone(&child),
                _ => {}
            }
        }
        kind
    }

    fn aggregate(&mut self, p: &P<'s>) -> Aggregate {
        let mut made = Aggregate {
            function: AggregateFn::Any,
            newest: None,
            of: crate::lang::ast::Path { parts: Vec::new(), span: self.span(p) },
            name: None,
            filter: None,
            reach: None,
        };
        let mut late = Vec::new();
        for child in parts(p) {
            match child.as_rule() {
                Rule::agg_fn => made.function = aggregate_fn(child.as_str()),
                Rule::number => made.newest = Some(self.number(&child)),
                Rule::n_event => made.of = self.path(&child),
                Rule::named => made.name = self.named(&child),
                Rule::where_ => {
                    if let Some(filter) = self.inner_expr(&child) {
                        self.once(&mut made.filter, filter, &child);
                    }
                }
                Rule::reach => {
                    if let Some(reach) = self.reach(&child) {
                        self.once(&mut made.reach, reach, &child);
                    }
                }
                Rule::late_name => late.push(child),
                _ => {}
            }
        }
        for late in late {
            let after = part(p, Rule::n_event);
            self.late_name(&mut made.name, &late, after.as_ref());
        }
        made
    }

    fn reach(&mut self, p: &P<'s>) -> Option<Reach> {
        let child = p.clone().into_inner().next_back()?;
        Some(match child.as_rule() {
            Rule::duration => Reach::Within(self.duration(&child)),
            Rule::anchor => Reach::Since(self.path(&child)),
            _ => Reach::Ever,
        })
    }

    pub(super) fn consent_of(&mut self, p: &P<'s>) -> ConsentOf {
        let span = self.span(p);
        let mut made = ConsentOf { purpose: Name { text: String::new(), span }, channels: Vec::new(), span };
        for child in parts(p) {
            match child.as_rule() {
                Rule::n_purpose => made.purpose = self.name(&child),
                Rule::n_channel => made.channels.push(self.name(&child)),
                _ => {}
            }
        }
        made
    }

    /// The expression in a clause such as `where …`.
    pub(super) fn inner_expr(&mut self, p: &P<'s>) -> Option<Expr> {
        part(p, Rule::expr).map(|e| self.expr(&e))
    }

    // ------------------------------------------------------------ records

    pub(super) fn record(&mut self, p: &P<'s>) -> Record {
        let mut pairs = Vec::new();
        for (child, readable) in self.pair_list(p, Rule::one_pair) {
            if let Some(pair) = self.pair(&child).filter(|_| readable) {
                pairs.push(pair);
            }
        }
        Record { pairs, span: self.span(p) }
    }

    fn pair(&mut self, p: &P<'s>) -> Option<(Name, Expr)> {
        let name = part(p, Rule::field).map(|f| self.name(&f))?;
        let value = parts(p).find(|c| matches!(c.as_rule(), Rule::expr | Rule::record))?;
        let value = if value.as_rule() == Rule::expr { self.expr(&value) } else { self.operand(&value) };
        Some((name, value))
    }

    // ------------------------------------------------------------ numbers and time

    /// A number, or the number of a share such as `50%`.
    pub(super) fn number(&mut self, p: &P<'_>) -> Number {
        let digits = p.as_str().trim_end_matches('%').trim().replace('_', "");
        let value = digits.parse::<Decimal>().unwrap_or_else(|_| {
            let place = self.place_of(p);
            self.tell_lost(
                Diagnostic::new(
                    Code::E0001,
                    place,
                    format!("`{}` is not a number of the language", p.as_str()),
                )
                .label("too large, or too many places behind the point")
                .help("numbers have at most four places behind the point and stay below 900 trillion"),
            );
            Decimal(0)
        });
        Number { value, has_point: digits.contains('.'), span: self.span(p) }
    }

    pub(super) fn duration(&mut self, p: &P<'_>) -> Duration {
        let mut parts_of = Vec::new();
        let mut number = None;
        for child in parts(p) {
            match (child.as_rule(), number) {
                (Rule::number, _) => number = Some(self.number(&child)),
                (Rule::unit, Some(n)) => parts_of.push((n, unit(child.as_str()))),
                _ => {}
            }
        }
        Duration { parts: parts_of, span: self.span(p) }
    }

    /// The duration in a clause such as `up to 3 days`.
    pub(super) fn inner_duration(&mut self, p: &P<'s>) -> Option<Duration> {
        let child = parts(p).find(|c| matches!(c.as_rule(), Rule::duration | Rule::limit))?;
        if child.as_rule() == Rule::limit { self.inner_duration(&child) } else { Some(self.duration(&child)) }
    }

    pub(super) fn date(&self, p: &P<'_>) -> Date {
        let start = p.as_span().start();
        self.date_in(start, p.as_str())
    }

    fn date_in(&self, start: usize, text: &str) -> Date {
        let mut numbers = text.split('-').map(|n| n.parse::<u16>().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Date {
            year: next() as i16,
            month: next() as u8,
            day: next() as u8,
            span: self.span_between(start, start + text.len()),
        }
    }

    pub(super) fn clock(&self, p: &P<'_>) -> Clock {
        let start = p.as_span().start();
        self.clock_in(start, p.as_str())
    }

    fn clock_in(&self, start: usize, text: &str) -> Clock {
        let mut numbers = text.split(':').map(|n| n.parse::<u8>().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Clock {
            hour: next(),
            minute: next(),
            second: next(),
            span: self.span_between(start, start + text.len()),
        }
    }

    /// A date, with a time where one is written.
    pub(super) fn day(&self, p: &P<'_>) -> Day {
        let (start, text) = (p.as_span().start(), p.as_str());
        let (date, time) = text.split_once('T').map_or((text, None), |(d, t)| (d, Some(t)));
        Day { date: self.date_in(start, date), time: time.map(|t| self.clock_in(start + date.len() + 1, t)) }
    }

    pub(super) fn zone(&mut self, p: &P<'s>) -> Option<Zone> {
        let kind = p.clone().into_inner().find_map(|c| match c.as_rule() {
            Rule::k_contact => Some(ZoneKind::Contact),
            Rule::k_project => Some(ZoneKind::Project),
            Rule::string => Some(ZoneKind::Named(self.string(&c))),
            _ => None,
        })?;
        Some(Zone { kind, span: self.span(p) })
    }

    /// The zone among the children of a statement.
    pub(super) fn zone_in(&mut self, p: &P<'s>) -> Option<Zone> {
        part(p, Rule::zone).and_then(|z| self.zone(&z))
    }

    fn time_of_day(&mut self, p: &P<'s>) -> TimeOfDay {
        match p.as_rule() {
            Rule::time => TimeOfDay::Clock(self.clock(p)),
            _ => TimeOfDay::Path(self.path(p)),
        }
    }

    /// The clock time after `at`, among the children of a statement.
    pub(super) fn at_time(&mut self, p: &P<'s>) -> Option<TimeOfDay> {
        let at = part(p, Rule::at_tod)?;
        let time = parts(&at).next()?;
        Some(self.time_of_day(&time))
    }

    fn window(&mut self, p: &P<'s>) -> Window {
        let times: Vec<TimeOfDay> = parts(p).map(|t| self.time_of_day(&t)).collect();
        let span = self.span(p);
        let midnight = Clock { hour: 0, minute: 0, second: 0, span };
        let mut times = times.into_iter();
        let mut next = || times.next().unwrap_or(TimeOfDay::Clock(midnight));
        Window { from: next(), to: next(), span }
    }

    pub(super) fn offset(&mut self, p: &P<'s>) -> Option<(Duration, Side)> {
        let duration = part(p, Rule::duration).map(|d| self.duration(&d))?;
        let side = if part(p, Rule::k_before).is_some() { Side::Before } else { Side::After };
        Some((duration, side))
    }

    pub(super) fn moment(&mut self, p: &P<'s>) -> Option<Moment> {
        let at = self.at_time(p);
        let offset = part(p, Rule::offset).and_then(|o| self.offset(&o));
        let window = part(p, Rule::window).map(|w| self.window(&w));
        let kind = parts(p).find_map(|c| match c.as_rule() {
            Rule::weekday => Some(MomentKind::Weekday {
                day: weekday(c.as_str()),
                day_span: self.span(&c),
                at: at.clone(),
                window: window.clone(),
            }),
            Rule::datetime => {
                let Day { date, time } = self.day(&c);
                time.map(|time| MomentKind::DateTime(date, time))
            }
            Rule::date => Some(MomentKind::Date { date: self.date(&c), at: at.clone() }),
            Rule::time => Some(MomentKind::Time(self.clock(&c))),
            Rule::anchor => {
                Some(MomentKind::Anchor { offset: offset.clone(), anchor: self.path(&c), at: at.clone() })
            }
            _ => None,
        })?;
        Some(Moment { kind, zone: self.zone_in(p), span: self.span(p) })
    }
}

/// Builds what binds at least as tightly as `least`.
/// What other languages call a value that is missing.
fn is_null(word: &str) -> bool {
    ["null", "nil", "undefined"].iter().any(|null| word.eq_ignore_ascii_case(null))
}

/// The comparison whose right side comes next.
fn compares(pieces: &[Piece]) -> Option<Op> {
    match pieces.last() {
        Some(Piece::Operator(op @ (Op::Is | Op::IsNot), _)) => Some(*op),
        _ => None,
    }
}

fn climb(pieces: &mut std::iter::Peekable<std::vec::IntoIter<Piece>>, least: u8) -> Option<Expr> {
    let mut left = match pieces.next()? {
        Piece::Operand(expr) => expr,
        Piece::Prefix { not, span } => {
            let inner = Box::new(climb(pieces, 8)?);
            let span = span.to(inner.span);
            Expr { kind: if not { ExprKind::Not(inner) } else { ExprKind::Negate(inner) }, span }
        }
        Piece::Operator(..) => return None,
    };
    while let Some(Piece::Operator(op, op_span)) = pieces.peek() {
        let (op, op_span) = (*op, *op_span);
        if strength(op) < least {
            break;
        }
        pieces.next();
        let right = climb(pieces, strength(op) + 1)?;
        let span = left.span.to(right.span);
        let (left_box, right) = (Box::new(left), Box::new(right));
        left = Expr { kind: ExprKind::Binary { op, op_span, left: left_box, right }, span };
    }
    Some(left)
}

/// How tightly an operator binds its operands; the formatter asks too.
pub(in crate::lang) fn strength(op: Op) -> u8 {
    match op {
        Op::Or => 1,
        Op::And => 2,
        Op::Is | Op::IsNot | Op::In | Op::NotIn | Op::Has | Op::HasAnyOf | Op::HasAllOf => 3,
        Op::Lt | Op::Le | Op::Gt | Op::Ge => 4,
        Op::Otherwise => 5,
        Op::Add | Op::Sub => 6,
        Op::Mul | Op::Div => 7,
    }
}

pub(super) fn unit(word: &str) -> Unit {
    match word.trim_end_matches('s') {
        "second" => Unit::Second,
        "minute" => Unit::Minute,
        "hour" => Unit::Hour,
        "day" => Unit::Day,
        "week" => Unit::Week,
        "month" => Unit::Month,
        "year" => Unit::Year,
        _ => Unit::WorkingDay,
    }
}

pub(super) fn weekday(word: &str) -> Weekday {
    match word {
        "monday" => Weekday::Monday,
        "tuesday" => Weekday::Tuesday,
        "wednesday" => Weekday::Wednesday,
        "thursday" => Weekday::Thursday,
        "friday" => Weekday::Friday,
        "saturday" => Weekday::Saturday,
        "sunday" => Weekday::Sunday,
        "weekday" => Weekday::Weekday,
        "weekend" => Weekday::Weekend,
        "day" => Weekday::Day,
        _ => Weekday::WorkingDay,
    }
}

fn aggregate_fn(word: &str) -> AggregateFn {
    match word {
        "count" => AggregateFn::Count,
        "sum" => AggregateFn::Sum,
        "average" => AggregateFn::Average,
        "highest" => AggregateFn::Highest,
        "lowest" => AggregateFn::Lowest,
        "last" => AggregateFn::Last,
        "first" => AggregateFn::First,
        "none" => AggregateFn::None,
        _ => AggregateFn::Any,
    }
}
