//! Literals, lists and records: what a bare text or number means by what is wanted.

use std::collections::HashMap;

use super::expr::Reader;
use super::findings::finding;
use crate::diagnostic::{Code, Span, suggest};
use crate::engine::program::{Expr, Word};
use crate::lang::Typed;
use crate::lang::ast;
use crate::lang::types::{self, noun};
use crate::time::{Date, TimeOfDay};
use crate::value::{Type, Value};

impl Reader<'_, '_> {
    pub(super) fn text_literal(&mut self, text: &str, span: Span, hint: Option<&Type>) -> Option<Typed> {
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
    pub(super) fn quoted_word(&mut self, text: &str, values: &[Word], span: Span) {
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
            Some(near) => {
                let made = made.help(format!("write `{near}`; possible are {list}"));
                let title = format!("write `{near}`");
                if near == text { made.fix(title, span, near) } else { made.suggest(title, span, near) }
            }
            None => made.help(format!("possible are {list}")),
        });
    }

    pub(super) fn number(&mut self, number: &ast::Number, hint: Option<&Type>) -> Option<Typed> {
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

    pub(super) fn out_of_range(&mut self, span: Span, low: &str, high: &str) -> Option<Typed> {
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

    pub(super) fn moment_literal(&mut self, date: &ast::Date, clock: &ast::Clock) -> Option<Typed> {
        let (date, clock) = (self.date(date), self.clock(clock));
        let zone = crate::time::Zone::named(&self.schema.input.settings.zone);
        let at = zone.unwrap_or_else(crate::time::Zone::utc).at(date?, clock?);
        Some(Typed { ty: Type::Moment, expr: Expr::Const(Value::Moment(at)) })
    }

    pub(super) fn list(&mut self, items: &[ast::Expr], span: Span, hint: Option<&Type>) -> Option<Typed> {
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
    pub(super) fn record(&mut self, record: &ast::Record, hint: Option<&Type>) -> Option<Typed> {
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
        let mut meant: Vec<&str> = Vec::new();
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
                    meant.extend(suggest::did_you_mean(&name.text, all.clone()));
                    if !self.is_hidden(&name.text) {
                        self.out.push(super::findings::unknown(code, what, name, all));
                    }
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
            let named = seen.contains_key(&*field.name) || meant.contains(&&*field.name);
            !field.ty.is_optional() && !named && !matches!(field.ty, Type::List(_))
        };
        let missing: Vec<&str> = fields.iter().filter(given).map(|field| &*field.name).collect();
        if complete && !missing.is_empty() && self.schema.has_mistake(record.span) {
            return None;
        }
        if complete && !missing.is_empty() {
            let message =
                format!("{} is missing: {}", what_is_missing(what, missing.len()), missing.join(", "));
            self.out.push(finding(Code::E0103, record.span, message).label("without it"));
            return None;
        }
        pairs
    }
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
