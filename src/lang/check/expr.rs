//! Expressions: names resolved, types checked, missing values refused; the result is what the engine evaluates.
//!
//! `None` means that a mistake was reported (or is hidden in text that could not be read): whoever gets it stays silent.

use std::collections::HashMap;

use super::conditions::Conditions;
use super::findings::{Findings, finding};
use super::names::Names;
use super::narrow::Facts;
use super::schema::Schema;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::engine::program::{BinaryOp, Expr, Function, Word};
use crate::lang::Typed;
use crate::lang::ast::{self, ExprKind, Op, Presence};
use crate::lang::types::{self, noun};
use crate::time::{Date, TimeOfDay};
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

/// Runs the body with what is known if the condition holds (or does not), and forgets it again.
macro_rules! knowing {
    ($reader:ident, $condition:expr, $holds:expr, $body:expr) => {{
        let before = $reader.facts.clone();
        $reader.assume($condition, $holds);
        let result = $body;
        $reader.facts = before;
        result
    }};
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

    fn fit(&mut self, read: Typed, want: &Type, span: Span) -> Option<Typed> {
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
        if let Some(default) = default_text(&read.ty) {
            let title = format!("add `otherwise {default}`");
            finding = finding.fix(title, span, format!("({text} otherwise {default})"));
        }
        self.out.push(finding);
        None
    }

    fn guard(&self, text: &str, read: &Typed) -> String {
        use crate::engine::program::SlotKind;
        if let Expr::Field(inner, _) = &read.expr
            && let Expr::Slot(slot) = **inner
        {
            let info = self.names.slot(slot);
            let name = &info.name;
            match info.kind {
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

    fn stray_presence(&mut self, span: Span) -> Option<Typed> {
        let word = self.text(span).to_owned();
        self.out.push(
            finding(Code::E0103, span, format!("`{word}` is no value"))
                .label("stands only after `is`")
                .help(format!("write `contact.phone is {word}`, say")),
        );
        None
    }

    // ---------------------------------------------------------------- literals

    fn text_literal(&mut self, text: &str, span: Span, hint: Option<&Type>) -> Option<Typed> {
        match hint {
            Some(Type::OneOf(values)) => {
                self.quoted_word(text, values, span);
                None
            }
            Some(
                ty @ (Type::Email | Type::Phone | Type::Id | Type::Locale | Type::Timezone | Type::Address),
            ) => match crate::value::from_text(ty, text) {
                Ok(value) => Some(Typed { ty: ty.clone(), expr: Expr::Const(value) }),
                Err(misfit) => {
                    let message = format!("`\"{text}\"` cannot be used here: {}", misfit.message);
                    self.out.push(finding(Code::E0103, span, message).label(format!("not {}", noun(ty))));
                    None
                }
            },
            _ => Some(Typed { ty: Type::Text, expr: Expr::Const(Value::text(text)) }),
        }
    }

    /// Listed values are always bare.
    fn quoted_word(&mut self, text: &str, values: &[Word], span: Span) {
        let all: Vec<&str> = values.iter().map(|value| &**value).collect();
        let near = if all.contains(&text) {
            Some(text)
        } else {
            crate::diagnostic::suggest::did_you_mean(text, all.iter().copied())
        };
        let made = match all.contains(&text) {
            true => finding(Code::E0104, span, format!("listed values stand without quotes: `{text}`"))
                .label("quoted"),
            false => finding(Code::E0104, span, format!("`\"{text}\"` is not one of the listed values"))
                .label("not in the list"),
        };
        let list = types::some_of(all.iter().copied());
        self.out.push(match near {
            Some(near) => made.help(format!("write `{near}`; possible are {list}")).fix(
                format!("write `{near}`"),
                span,
                near,
            ),
            None => made.help(format!("possible are {list}")),
        });
    }

    fn number(&mut self, number: &ast::Number, hint: Option<&Type>) -> Option<Typed> {
        let value = number.value;
        match hint {
            Some(ty @ Type::Decimal(range)) => {
                if let Some((low, high)) = range
                    && (value < *low || value > *high)
                {
                    return self.out_of_range(number.span, &low.to_string(), &high.to_string());
                }
                Some(Typed { ty: ty.clone(), expr: Expr::Const(Value::Decimal(value)) })
            }
            Some(Type::Number(Some((low, high)))) if !number.has_point => {
                let whole = value.trunc();
                if whole < *low || whole > *high {
                    return self.out_of_range(number.span, &low.to_string(), &high.to_string());
                }
                Some(Typed { ty: Type::Number(None), expr: Expr::Const(Value::Number(whole)) })
            }
            _ if number.has_point => {
                Some(Typed { ty: Type::Decimal(None), expr: Expr::Const(Value::Decimal(value)) })
            }
            _ => Some(Typed { ty: Type::Number(None), expr: Expr::Const(Value::Number(value.trunc())) }),
        }
    }

    fn out_of_range(&mut self, span: Span, low: &str, high: &str) -> Option<Typed> {
        let message = format!("`{}` is outside the range from {low} to {high}", self.text(span));
        self.out.push(finding(Code::E0113, span, message).label("never possible"));
        None
    }

    /// A date that the calendar has.
    pub(super) fn date(&mut self, date: &ast::Date) -> Option<Date> {
        let found = Date::new(date.year, date.month, date.day);
        if found.is_none() {
            let message = format!("there is no {}", self.text(date.span));
            self.out.push(finding(Code::E0113, date.span, message).label("not in the calendar"));
        }
        found
    }

    /// A time that the clock shows.
    pub(super) fn clock(&mut self, clock: &ast::Clock) -> Option<TimeOfDay> {
        let found = TimeOfDay::new(clock.hour, clock.minute, clock.second);
        if found.is_none() {
            let message = format!("no clock shows {}", self.text(clock.span));
            self.out.push(finding(Code::E0113, clock.span, message).label("from 00:00 to 23:59"));
        }
        found
    }

    fn moment_literal(&mut self, date: &ast::Date, clock: &ast::Clock) -> Option<Typed> {
        let (date, clock) = (self.date(date), self.clock(clock));
        let zone = crate::time::Zone::named(&self.schema.input.settings.zone);
        let at = zone.unwrap_or_else(crate::time::Zone::utc).at(date?, clock?);
        Some(Typed { ty: Type::Moment, expr: Expr::Const(Value::Moment(at)) })
    }

    fn list(&mut self, items: &[ast::Expr], span: Span, hint: Option<&Type>) -> Option<Typed> {
        let element = match hint {
            Some(Type::List(element)) => Some((**element).clone()),
            _ => None,
        };
        let mut element = element;
        let mut all = Some(Vec::new());
        for item in items {
            let read = match &element {
                Some(element) => self.wanted(item, element),
                None => self.expr(item, None).and_then(|read| self.required(read, item.span)),
            };
            if let (None, Some(read)) = (&element, &read) {
                element = Some(read.ty.clone());
            }
            match (&mut all, read) {
                (Some(all), Some(read)) => all.push(read.expr),
                _ => all = None,
            }
        }
        let Some(element) = element.or_else(|| all.as_ref().filter(|_| items.is_empty()).map(|_| Type::Text))
        else {
            if all.is_some() {
                self.out.push(finding(Code::E0103, span, "nothing says what this list holds"));
            }
            return None;
        };
        let ty = Type::List(element.into());
        let values: Option<Vec<Value>> = all.as_ref()?.iter().map(constant_of).collect();
        let expr = match values {
            Some(values) => Expr::Const(Value::List(values)),
            None => Expr::List(all?),
        };
        Some(Typed { ty, expr })
    }

    /// A record; with a hint its fields are checked against it.
    fn record(&mut self, record: &ast::Record, hint: Option<&Type>) -> Option<Typed> {
        if let Some(Type::Record(fields)) = hint {
            let fields = fields.clone();
            let pairs = self.pairs(record, &fields, "field", Code::E0110, true)?;
            return Some(Typed { ty: Type::Record(fields), expr: record_expr(pairs) });
        }
        let mut pairs = Some(Vec::new());
        let mut fields = Vec::new();
        for (name, value) in &record.pairs {
            let read = self.expr(value, None);
            match (&mut pairs, read) {
                (Some(pairs), Some(read)) => {
                    fields.push(crate::value::FieldType { name: name.text.as_str().into(), ty: read.ty });
                    pairs.push((Word::from(name.text.as_str()), read.expr));
                }
                _ => pairs = None,
            }
        }
        Some(Typed { ty: Type::Record(fields.into()), expr: record_expr(pairs?) })
    }

    /// Pairs of a record against the fields that it may and must have. The values are not kept under their spans.
    pub(super) fn pairs(
        &mut self,
        record: &ast::Record,
        fields: &[crate::value::FieldType],
        what: &str,
        code: Code,
        complete: bool,
    ) -> Option<Vec<(Word, Expr)>> {
        let mut pairs = Some(Vec::new());
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for (name, value) in &record.pairs {
            if let Some(first) = seen.insert(&name.text, name.span) {
                self.out.push(super::findings::twice(what, name, first));
            }
            let read = match types::field(fields, &name.text) {
                Some(ty) => {
                    let ty = ty.clone();
                    self.value(value, &ty)
                }
                None => {
                    let all = fields.iter().map(|field| &*field.name);
                    self.out.push(super::findings::unknown(code, what, name, all));
                    self.expr(value, None);
                    None
                }
            };
            match (&mut pairs, read) {
                (Some(pairs), Some(read)) => pairs.push((Word::from(name.text.as_str()), read.expr)),
                _ => pairs = None,
            }
        }
        let given = |field: &&crate::value::FieldType| {
            !field.ty.is_optional() && !seen.contains_key(&*field.name) && !matches!(field.ty, Type::List(_))
        };
        let missing: Vec<&str> = fields.iter().filter(given).map(|field| &*field.name).collect();
        if complete && !missing.is_empty() {
            let message =
                format!("{} is missing: {}", what_is_missing(what, missing.len()), missing.join(", "));
            self.out.push(finding(Code::E0103, record.span, message).label("without it"));
            return None;
        }
        pairs
    }

    // ---------------------------------------------------------------- operators

    fn negate(&mut self, inner: &ast::Expr, hint: Option<&Type>) -> Option<Typed> {
        if let ExprKind::Number(number) = &inner.kind {
            let mut number = *number;
            number.value.0 = -number.value.0;
            return self.number(&number, hint);
        }
        let read = self.expr(inner, hint)?;
        let read = self.required(read, inner.span)?;
        match read.ty {
            Type::Number(_) | Type::Decimal(_) => {
                let ty =
                    if matches!(read.ty, Type::Number(_)) { Type::Number(None) } else { Type::Decimal(None) };
                Some(Typed { ty, expr: Expr::Negate(Box::new(read.expr)) })
            }
            ty => self.mismatch(inner.span, format!("`-` needs a number, not {}", noun(&ty))),
        }
    }

    fn binary(
        &mut self,
        op: Op,
        op_span: Span,
        left: &ast::Expr,
        right: &ast::Expr,
        span: Span,
        hint: Option<&Type>,
    ) -> Option<Typed> {
        match op {
            Op::And | Op::Or => {
                let first = self.wanted(left, &Type::YesNo);
                let second = knowing!(self, left, op == Op::And, self.wanted(right, &Type::YesNo));
                let op = if op == Op::And { BinaryOp::And } else { BinaryOp::Or };
                yes_no(Expr::Binary(op, Box::new(first?.expr), Box::new(second?.expr)))
            }
            Op::Otherwise => self.otherwise(left, right, hint),
            Op::Is | Op::IsNot => self.is(op == Op::Is, left, right),
            Op::Lt | Op::Le | Op::Gt | Op::Ge => self.order(op, op_span, left, right),
            Op::In | Op::NotIn => self.membership(op, left, right, span),
            Op::Has | Op::HasAnyOf | Op::HasAllOf => self.has(op, left, right),
            Op::Add | Op::Sub | Op::Mul | Op::Div => self.arithmetic(op, op_span, left, right, hint),
        }
    }

    fn otherwise(&mut self, left: &ast::Expr, right: &ast::Expr, hint: Option<&Type>) -> Option<Typed> {
        let first = self.expr(left, hint)?;
        let want = first.ty.required().clone();
        if !first.ty.is_optional() && self.is_never_missing(left) {
            let message =
                format!("`{}` always has a value, so `otherwise` never counts", self.text(left.span));
            self.out.push(finding(Code::W0108, left.span, message).label("never missing"));
        }
        let second = self.expr(right, Some(&want))?;
        let second_optional = second.ty.is_optional();
        let wide = if types::fits(&second.ty, &want) { want } else { second.ty.required().clone() };
        let first = self.fit(first, &wide, left.span)?;
        let second = self.fit(second, &wide, right.span)?;
        let ty = if second_optional { wide.optional() } else { wide };
        Some(Typed { ty, expr: binary(BinaryOp::Otherwise, first, second) })
    }

    /// By its type, not by what was asked before.
    fn is_never_missing(&mut self, expr: &ast::Expr) -> bool {
        match &expr.kind {
            ExprKind::Path(path) => self.conditions(|conditions| {
                conditions.place(path).is_some_and(|place| self.facts.presence(&place).is_none())
            }),
            _ => matches!(
                expr.kind,
                ExprKind::Text(_)
                    | ExprKind::Number(_)
                    | ExprKind::Bool(_)
                    | ExprKind::Date(_)
                    | ExprKind::Time(_)
            ),
        }
    }

    fn is(&mut self, equal: bool, left: &ast::Expr, right: &ast::Expr) -> Option<Typed> {
        if let ExprKind::Presence(presence) = right.kind {
            return self.presence(equal, left, presence);
        }
        let (first, second) = self.pair(left, right)?;
        let listed = self.purpose_and_its_family(&first, &second);
        if let Some(listed) = listed {
            let op = if equal { BinaryOp::In } else { BinaryOp::NotIn };
            return yes_no(Expr::Binary(op, Box::new(first.expr), Box::new(listed)));
        }
        let op = if equal { BinaryOp::Is } else { BinaryOp::IsNot };
        yes_no(binary(op, first, second))
    }

    /// A message of a refined purpose is one of its parent's too.
    fn purpose_and_its_family(&self, first: &Typed, second: &Typed) -> Option<Expr> {
        let (Expr::Field(_, field), Expr::Const(Value::Text(purpose))) = (&first.expr, &second.expr) else {
            return None;
        };
        if &**field != "purpose" || first.ty != self.schema.purpose_type() {
            return None;
        }
        let family = self.schema.family(purpose);
        (family.len() > 1).then(|| Expr::Const(Value::List(family.into_iter().map(Value::Text).collect())))
    }

    fn presence(&mut self, equal: bool, left: &ast::Expr, presence: Presence) -> Option<Typed> {
        let read = self.expr(left, None)?;
        let asked = match presence {
            Presence::Known | Presence::Unknown => {
                if !read.ty.is_optional() && self.is_never_missing(left) {
                    let holds = (presence == Presence::Known) == equal;
                    let message = format!("`{}` always has a value", self.text(left.span));
                    let label = if holds { "always true" } else { "never true" };
                    self.out.push(finding(Code::W0108, left.span, message).label(label));
                }
                let known = Expr::Known(Box::new(read.expr));
                if presence == Presence::Known { known } else { Expr::Not(Box::new(known)) }
            }
            Presence::Empty => {
                let read = self.required(read, left.span)?;
                if !matches!(read.ty, Type::List(_)) && !types::is_textual(&read.ty) {
                    let message = format!("only lists and texts can be empty, not {}", noun(&read.ty));
                    return self.mismatch(left.span, message);
                }
                Expr::Empty(Box::new(read.expr))
            }
        };
        yes_no(if equal { asked } else { Expr::Not(Box::new(asked)) })
    }

    /// Two sides of a comparison, each a hint for the other; a bare word is understood by its counterpart.
    fn pair(&mut self, left: &ast::Expr, right: &ast::Expr) -> Option<(Typed, Typed)> {
        let (first, second) = if self.is_bare_word(left) && !self.is_bare_word(right) {
            let second = self.expr(right, None);
            let hint = second.as_ref().map(|read| read.ty.required().clone());
            let first = match (&second, hint) {
                (None, _) => None,
                (_, hint) => self.expr(left, hint.as_ref()),
            };
            (first, second)
        } else {
            let first = self.expr(left, None);
            let hint = first.as_ref().map(|read| read.ty.required().clone());
            let second = match (&first, self.is_bare_word(right)) {
                (None, true) => None,
                _ => self.expr(right, hint.as_ref()),
            };
            (first, second)
        };
        let first = first.and_then(|read| self.required(read, left.span));
        let second = second.and_then(|read| self.required(read, right.span));
        let (first, second) = (first?, second?);
        if !types::comparable(&first.ty, &second.ty) {
            return self.incomparable(left, &first.ty, right, &second.ty);
        }
        Some(same_kind(first, second))
    }

    fn incomparable<T>(&mut self, left: &ast::Expr, a: &Type, right: &ast::Expr, b: &Type) -> Option<T> {
        let message = format!(
            "`{}` is {} and `{}` is {}: they cannot be compared",
            self.text(left.span),
            noun(a),
            self.text(right.span),
            noun(b)
        );
        let made = finding(Code::E0103, right.span, message)
            .label(format!("this is {}", noun(b)))
            .related(left.span, format!("this is {}", noun(a)));
        self.out.push(made);
        None
    }

    fn order(&mut self, op: Op, op_span: Span, left: &ast::Expr, right: &ast::Expr) -> Option<Typed> {
        let (first, second) = self.pair(left, right)?;
        if !types::is_ordered(&first.ty) {
            let message = format!("{} is neither more nor less than another", noun(&first.ty));
            self.out.push(finding(Code::E0103, op_span, message).label("needs numbers, dates or times"));
            return None;
        }
        let op = match op {
            Op::Lt => BinaryOp::Lt,
            Op::Le => BinaryOp::Le,
            Op::Gt => BinaryOp::Gt,
            _ => BinaryOp::Ge,
        };
        yes_no(binary(op, first, second))
    }

    fn membership(&mut self, op: Op, left: &ast::Expr, right: &ast::Expr, span: Span) -> Option<Typed> {
        let (element, list) = if self.is_bare_word(left) {
            let list = self.expr(right, None)?;
            let hint = element_of(&list.ty);
            (self.expr(left, hint.as_ref()), Some(list))
        } else {
            let element = self.expr(left, None);
            let hint = element.as_ref().map(|read| Type::List(read.ty.required().clone().into()));
            let list = match (&element, hint) {
                (None, _) => None,
                (_, hint) => self.expr(right, hint.as_ref()),
            };
            (element, list)
        };
        let element = element.and_then(|read| self.required(read, left.span))?;
        let list = list.and_then(|read| self.required(read, right.span))?;
        match element_of(&list.ty) {
            Some(of) if types::comparable(&element.ty, &of) => {
                let op = if op == Op::In { BinaryOp::In } else { BinaryOp::NotIn };
                yes_no(binary(op, element, list))
            }
            Some(of) => self.incomparable(left, &element.ty, right, &of),
            None => self.mismatch(span, format!("`in` needs a list on its right, not {}", noun(&list.ty))),
        }
    }

    fn has(&mut self, op: Op, left: &ast::Expr, right: &ast::Expr) -> Option<Typed> {
        let list = self.expr(left, None)?;
        let list = self.required(list, left.span)?;
        let Some(element) = element_of(&list.ty) else {
            return self
                .mismatch(left.span, format!("`has` needs a list on its left, not {}", noun(&list.ty)));
        };
        let (op, want) = match op {
            Op::Has => (BinaryOp::Has, element),
            Op::HasAnyOf => (BinaryOp::HasAnyOf, Type::List(element.into())),
            _ => (BinaryOp::HasAllOf, Type::List(element.into())),
        };
        let right = self.wanted(right, &want)?;
        yes_no(binary(op, list, right))
    }

    fn arithmetic(
        &mut self,
        op: Op,
        op_span: Span,
        left: &ast::Expr,
        right: &ast::Expr,
        hint: Option<&Type>,
    ) -> Option<Typed> {
        let hint = hint.filter(|ty| matches!(ty, Type::Decimal(None)));
        let first = self.expr(left, hint).and_then(|read| self.required(read, left.span));
        let second = self.expr(right, hint).and_then(|read| self.required(read, right.span));
        let (first, second) = (first?, second?);
        let words = match op {
            Op::Add => (BinaryOp::Add, "+"),
            Op::Sub => (BinaryOp::Sub, "-"),
            Op::Mul => (BinaryOp::Mul, "*"),
            _ => (BinaryOp::Div, "/"),
        };
        let Some(ty) = result_of(words.0, &first.ty, &second.ty) else {
            let message =
                format!("`{}` does not work between {} and {}", words.1, noun(&first.ty), noun(&second.ty));
            let label = if first.ty == Type::Percent || second.ty == Type::Percent {
                "a percentage is not a number here"
            } else {
                "does not fit"
            };
            self.out.push(finding(Code::E0103, op_span, message).label(label));
            return None;
        };
        if words.0 == BinaryOp::Div {
            return self.division(first, second, right.span);
        }
        let (first, second) = match ty {
            Type::Decimal(_) => (to_decimal(first), to_decimal(second)),
            _ => (first, second),
        };
        Some(Typed { ty, expr: binary(words.0, first, second) })
    }

    /// Exact, in decimals; missing when the divisor may be zero.
    fn division(&mut self, first: Typed, second: Typed, divisor: Span) -> Option<Typed> {
        let (first, second) = (to_decimal(first), to_decimal(second));
        let ty = match &second.expr {
            Expr::Const(Value::Decimal(value)) if value.0 == 0 => {
                return self.mismatch(divisor, "nothing can be divided by zero".to_owned());
            }
            Expr::Const(_) => Type::Decimal(None),
            _ => Type::Decimal(None).optional(),
        };
        Some(Typed { ty, expr: binary(BinaryOp::Div, first, second) })
    }

    // ---------------------------------------------------------------- functions

    fn call(&mut self, function: &ast::Name, args: &[ast::Expr], span: Span) -> Option<Typed> {
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

    fn argument(&mut self, arg: &ast::Expr, function: Function, wants: &[Type]) -> Option<Typed> {
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

fn yes_no(expr: Expr) -> Option<Typed> {
    Some(Typed { ty: Type::YesNo, expr })
}

pub(super) fn binary(op: BinaryOp, left: Typed, right: Typed) -> Expr {
    Expr::Binary(op, Box::new(left.expr), Box::new(right.expr))
}

fn what_is_missing(what: &str, count: usize) -> String {
    if count == 1 { format!("a {what}") } else { format!("more than one {what}") }
}

/// The value of a constant expression.
pub(super) fn constant_of(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::Const(value) => Some(value.clone()),
        _ => None,
    }
}

fn record_expr(pairs: Vec<(Word, Expr)>) -> Expr {
    let values: Option<_> =
        pairs.iter().map(|(name, value)| Some((name.clone(), constant_of(value)?))).collect();
    match values {
        Some(values) => Expr::Const(Value::Record(values)),
        None => Expr::Record(pairs),
    }
}

/// A number turned into a decimal; a decimal stays.
pub(super) fn to_decimal(read: Typed) -> Typed {
    let optional = read.ty.is_optional();
    let ty = if optional { Type::Decimal(None).optional() } else { Type::Decimal(None) };
    match (&read.ty.required(), read.expr) {
        (Type::Number(_), Expr::Const(Value::Number(n))) => {
            Typed { ty, expr: Expr::Const(Value::Decimal(crate::value::Decimal::from_int(n))) }
        }
        (Type::Number(_), expr) => Typed { ty, expr: Expr::ToDecimal(Box::new(expr)) },
        (_, expr) => Typed { ty, expr },
    }
}

/// Both as decimals where one is.
fn same_kind(first: Typed, second: Typed) -> (Typed, Typed) {
    match (&first.ty, &second.ty) {
        (Type::Decimal(_), Type::Number(_)) => (first, to_decimal(second)),
        (Type::Number(_), Type::Decimal(_)) => (to_decimal(first), second),
        _ => (first, second),
    }
}

fn element_of(ty: &Type) -> Option<Type> {
    match ty.required() {
        Type::List(element) => Some(element.required().clone()),
        _ => None,
    }
}

/// The type of an operation, if it means anything.
fn result_of(op: BinaryOp, a: &Type, b: &Type) -> Option<Type> {
    use Type::{Date, Decimal, Duration, Moment, Number};
    Some(match (op, a, b) {
        (BinaryOp::Div, a, b) if types::is_numeric(a) && types::is_numeric(b) => Decimal(None),
        (BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul, Number(_), Number(_)) => Number(None),
        (BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul, a, b)
            if types::is_numeric(a) && types::is_numeric(b) =>
        {
            Decimal(None)
        }
        (BinaryOp::Add | BinaryOp::Sub, Date, Duration) | (BinaryOp::Add, Duration, Date) => Date,
        (BinaryOp::Add | BinaryOp::Sub, Moment, Duration) | (BinaryOp::Add, Duration, Moment) => Moment,
        (BinaryOp::Add | BinaryOp::Sub, Duration, Duration) => Duration,
        _ => return None,
    })
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
