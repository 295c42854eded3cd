//! Expressions: names resolved, types checked, missing values refused; the result is what the engine evaluates.
//!
//! `None` means that a mistake was reported (or is hidden in text that could not be read): whoever gets it stays silent.

use std::collections::HashMap;

use super::conditions::Conditions;
use super::findings::{Findings, finding};
use super::names::Names;
use super::narrow::Facts;
use super::operators::to_decimal;
use super::schema::Schema;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::engine::program::{Expr, Function, SlotKind, Word};
use crate::lang::Typed;
use crate::lang::ast::{self, ExprKind};
use crate::lang::types::{self, noun};
use crate::value::{Type, Value};

/// What an expression may speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Around {
    /// Literals alone: defaults, properties, test data.
    Constant,
    /// The contact and its history: segments, scores, tests.
    Contact,
    Journey,
}

/// The event under test in an aggregate.
pub(super) struct Row {
    pub(super) name: Word,
    pub(super) fields: Option<Vec<crate::value::FieldType>>,
    pub(super) used: bool,
}

/// Elaborates expressions at one place.
pub(super) struct Reader<'c, 'a> {
    pub(super) schema: &'c Schema<'a>,
    pub(super) out: &'c mut Findings,
    pub(super) exprs: &'c mut HashMap<Span, Typed>,
    pub(super) names: &'c mut Names<'a>,
    pub(super) around: Around,
    pub(super) facts: Facts,
    pub(super) rows: Vec<Row>,
    /// The condition is watched: `now()` would never let it rest.
    pub(super) live: bool,
}

impl<'a> Reader<'_, 'a> {
    /// A value of a wanted type, kept under its span.
    pub(super) fn value(&mut self, expr: &ast::Expr, want: &Type) -> Option<Typed> {
        let read = self.wanted(expr, want)?;
        self.exprs.insert(expr.span, read.clone());
        Some(read)
    }

    /// A value of any type, kept under its span.
    pub(super) fn any(&mut self, expr: &ast::Expr) -> Option<Typed> {
        let read = self.expr(expr, None)?;
        self.exprs.insert(expr.span, read.clone());
        Some(read)
    }

    /// Adds what follows from a condition.
    pub(super) fn assume(&mut self, condition: &ast::Expr, holds: bool) {
        let facts = self.conditions(|conditions| conditions.facts_if(condition, holds));
        self.facts.learn_all(&facts);
    }

    pub(super) fn conditions<T>(&self, ask: impl FnOnce(Conditions<'_, 'a>) -> T) -> T {
        let rows: Vec<Word> = self.rows.iter().map(|row| row.name.clone()).collect();
        ask(Conditions { schema: self.schema, names: self.names, rows: &rows, facts: &self.facts, depth: 0 })
    }

    /// Reads an expression where a type is wanted, and says so where it does not fit.
    pub(super) fn wanted(&mut self, expr: &ast::Expr, want: &Type) -> Option<Typed> {
        let read = self.expr(expr, Some(want.required()))?;
        let read = if want.is_optional() { read } else { self.required(read, expr.span)? };
        self.fit(read, want, expr.span)
    }

    pub(super) fn fit(&mut self, read: Typed, want: &Type, span: Span) -> Option<Typed> {
        if !types::fits(&read.ty, want) {
            let message =
                format!("{} is wanted here, but `{}` is {}", noun(want), self.text(span), noun(&read.ty));
            self.out.push(finding(Code::E0103, span, message).label(format!("this is {}", noun(&read.ty))));
            return None;
        }
        Some(match (want.required(), read.ty.required()) {
            (Type::Decimal(_), Type::Number(_)) => to_decimal(read),
            _ => read,
        })
    }

    /// Refuses a value that may be missing.
    pub(super) fn required(&mut self, read: Typed, span: Span) -> Option<Typed> {
        if !read.ty.is_optional() {
            return Some(read);
        }
        let text = self.text(span).to_owned();
        let mut finding = finding(Code::E0105, span, format!("`{text}` may be missing here"))
            .label("may be missing")
            .help(self.guard(&text, &read));
        // A default would be an answer that nobody gave.
        let is_answer = self.slot_of(&read).is_some_and(|(_, kind)| kind == SlotKind::Survey);
        if let Some(default) = default_text(&read.ty).filter(|_| !is_answer) {
            let title = format!("add `otherwise {default}`");
            finding = finding.suggest(title, span, format!("({text} otherwise {default})"));
        }
        self.out.push(finding);
        None
    }

    /// The result of which this is a field: its name, and what kind of thing it came from.
    fn slot_of(&self, read: &Typed) -> Option<(&str, SlotKind)> {
        let Expr::Field(inner, _) = &read.expr else { return None };
        let Expr::Slot(slot) = **inner else { return None };
        let info = self.names.slot(slot);
        Some((&info.name, info.kind))
    }

    pub(super) fn guard(&self, text: &str, read: &Typed) -> String {
        if let Some((name, kind)) = self.slot_of(read) {
            match kind {
                SlotKind::Survey => {
                    return format!("ask first whether there is an answer: `if {name}.answered {{ … }}`");
                }
                SlotKind::Wait => return format!("ask first whether it came: `if {name}.happened {{ … }}`"),
                SlotKind::Request => {
                    return format!(
                        "say what happens when it fails: `… as {name} else {{ exit as … }}`, or ask `{name}.failed`"
                    );
                }
                _ => {}
            }
        }
        match default_text(&read.ty) {
            Some(default) => {
                format!(
                    "ask first with `if {text} is known {{ … }}`, or give a default with `otherwise {default}`"
                )
            }
            None => {
                format!("ask first with `if {text} is known {{ … }}`, or give a default with `otherwise …`")
            }
        }
    }

    /// The source text of a place, on one line and not too long.
    pub(super) fn text(&self, span: Span) -> &str {
        let sources = &self.schema.input.sources;
        sources.slice(sources.trim(sources.first_line(span)))
    }

    /// Reads an expression. `hint` says what is wanted, so that bare words and texts can be understood.
    pub(super) fn expr(&mut self, expr: &ast::Expr, hint: Option<&Type>) -> Option<Typed> {
        let constant = |ty, value| Some(Typed { ty, expr: Expr::Const(value) });
        match &expr.kind {
            ExprKind::Error => None,
            ExprKind::Text(text) => self.text_literal(text, expr.span, hint),
            ExprKind::Number(number) => self.number(number, hint),
            ExprKind::Percent(number) => constant(Type::Percent, Value::Percent(number.value)),
            ExprKind::Bool(value) => constant(Type::YesNo, Value::Bool(*value)),
            ExprKind::Date(date) => constant(Type::Date, Value::Date(self.date(date)?)),
            ExprKind::Time(clock) => constant(Type::Time, Value::Time(self.clock(clock)?)),
            ExprKind::Moment(date, clock) => self.moment_literal(date, clock),
            ExprKind::Duration(duration) => {
                let calendar = self.duration(duration)?;
                constant(Type::Duration, Value::Duration(calendar))
            }
            ExprKind::Presence(_) => self.stray_presence(expr.span),
            ExprKind::Path(path) => self.path(path, hint),
            ExprKind::List(items) => self.list(items, expr.span, hint),
            ExprKind::Record(record) => self.record(record, hint),
            ExprKind::Consent(consent) => self.consent(consent),
            ExprKind::DayTest { negated, day, window, zone } => {
                self.day_test(*negated, *day, window.as_ref(), zone.as_ref())
            }
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, expr.span),
            ExprKind::Call { function, args } => self.call(function, args, expr.span),
            ExprKind::Not(inner) => {
                let inner = self.wanted(inner, &Type::YesNo)?;
                yes_no(Expr::Not(Box::new(inner.expr)))
            }
            ExprKind::Negate(inner) => self.negate(inner, hint),
            ExprKind::Binary { op, op_span, left, right } => {
                self.binary(*op, *op_span, left, right, expr.span, hint)
            }
        }
    }

    pub(super) fn stray_presence(&mut self, span: Span) -> Option<Typed> {
        let word = self.text(span).to_owned();
        self.out.push(
            finding(Code::E0103, span, format!("`{word}` is no value"))
                .label("stands only after `is`")
                .help(format!("write `contact.phone is {word}`, say")),
        );
        None
    }

    // ---------------------------------------------------------------- functions

    pub(super) fn call(&mut self, function: &ast::Name, args: &[ast::Expr], span: Span) -> Option<Typed> {
        const ALL: [&str; 9] =
            ["now", "today", "year", "month", "day", "days_between", "round", "lower", "length"];
        let (function_, wants, ty): (Function, &[&[Type]], Type) = match function.text.as_str() {
            "now" => (Function::Now, &[], Type::Moment),
            "today" => (Function::Today, &[], Type::Date),
            "year" => (Function::Year, &[&[Type::Date, Type::Moment]], Type::Number(None)),
            "month" => (Function::Month, &[&[Type::Date, Type::Moment]], Type::Number(None)),
            "day" => (Function::Day, &[&[Type::Date, Type::Moment]], Type::Number(None)),
            "days_between" => (
                Function::DaysBetween,
                &[&[Type::Date, Type::Moment], &[Type::Date, Type::Moment]],
                Type::Number(None),
            ),
            "round" => (Function::Round, &[&[Type::Decimal(None)]], Type::Number(None)),
            "lower" => (Function::Lower, &[&[Type::Text]], Type::Text),
            "length" => (Function::Length, &[&[Type::Text]], Type::Number(None)),
            _ => {
                self.out.push(super::findings::unknown(Code::E0101, "function", function, ALL));
                args.iter().for_each(|arg| _ = self.expr(arg, None));
                return None;
            }
        };
        if args.len() != wants.len() {
            let count = match wants.len() {
                0 => "nothing".to_owned(),
                1 => "one value".to_owned(),
                n => format!("{n} values"),
            };
            let message = format!("`{}` takes {count} between its parentheses", function.text);
            return self.mismatch(span, message);
        }
        if function_ == Function::Now && self.live {
            self.out.push(
                finding(Code::E0103, span, "`now()` cannot stand in a condition that is watched")
                    .label("changes all the time")
                    .help("use `today()`, or a window such as `within 1 day`"),
            );
            return None;
        }
        let read: Vec<Option<Typed>> =
            args.iter().zip(wants).map(|(arg, wants)| self.argument(arg, function_, wants)).collect();
        let args: Option<Vec<Expr>> = read.into_iter().map(|read| read.map(|read| read.expr)).collect();
        Some(Typed { ty, expr: Expr::Call(function_, args?) })
    }

    pub(super) fn argument(&mut self, arg: &ast::Expr, function: Function, wants: &[Type]) -> Option<Typed> {
        let read = self.expr(arg, wants.first())?;
        let read = self.required(read, arg.span)?;
        let list = function == Function::Length && matches!(read.ty, Type::List(_));
        if list || wants.contains(&read.ty) {
            return Some(read);
        }
        self.fit(read, &wants[0], arg.span)
    }

    pub(super) fn mismatch<T>(&mut self, span: Span, message: String) -> Option<T> {
        self.out.push(finding(Code::E0103, span, message));
        None
    }

    /// Reports what a caller made.
    pub(super) fn report(&mut self, finding: Diagnostic) {
        self.out.push(finding);
    }
}

pub(super) fn yes_no(expr: Expr) -> Option<Typed> {
    Some(Typed { ty: Type::YesNo, expr })
}

/// A default that an author may want for a missing value, where one is plausible.
fn default_text(ty: &Type) -> Option<&'static str> {
    match ty.required() {
        Type::Text => Some("\"\""),
        Type::Number(_) | Type::Decimal(_) => Some("0"),
        Type::YesNo => Some("false"),
        _ => None,
    }
}
