//! Questions about a contact's history: `count(order_placed where … within 30 days)`.

use super::expr::{Around, Reader, Row};
use super::findings::{finding, unknown};
use super::schema::Noun;
use crate::diagnostic::{Code, Span};
use crate::engine::program::{Aggregate, AggregateFn, Expr, Reach, Word};
use crate::lang::Typed;
use crate::lang::ast;
use crate::lang::types::{self, calendar, noun};
use crate::time::Calendar;
use crate::value::{FieldType, Type};

impl Reader<'_, '_> {
    /// An aggregate over the events of the contact.
    pub(super) fn aggregate(&mut self, aggregate: &ast::Aggregate, span: Span) -> Option<Typed> {
        let event = self.asked_event(&aggregate.of);
        let fields = event.as_ref().and_then(|event| self.schema.events.get(event).cloned());
        let reach = self.reach(aggregate, event.as_ref(), span);
        let field = match (aggregate.of.parts.get(1), &fields) {
            (Some(field), Some(fields)) => self.asked_field(&aggregate.of, field, fields).map(Some),
            _ => Some(None),
        };
        let newest = self.newest(aggregate);
        let filter = self.filter(aggregate, fields);
        let event = event?;
        let field = field?;
        let ty = self.result(aggregate, field.as_ref(), &event, span)?;
        Some(Typed {
            ty,
            expr: Expr::Aggregate(Box::new(Aggregate {
                function: aggregate.function,
                newest: newest?,
                event,
                field: field.map(|(name, _)| name),
                filter: filter?,
                reach: reach?,
            })),
        })
    }

    fn asked_event(&mut self, of: &ast::Path) -> Option<Word> {
        let name = &of.parts[0];
        if self.schema.has(Noun::Event, &name.text) {
            return Some(name.text.as_str().into());
        }
        if self.is_hidden(&name.text) {
            return None;
        }
        if self.around == Around::Journey && self.names.explicit.contains_key(name.text.as_str()) {
            let message = format!("`{}` is a step of this journey, and history is about events", name.text);
            self.report(finding(Code::E0101, name.span, message).label("not an event").help(format!(
                "ask the step itself, such as `{}.clicked`, or `any(message_clicked …)`",
                name.text
            )));
            return None;
        }
        let all: Vec<&str> = self.schema.names(Noun::Event).collect();
        self.report(unknown(Code::E0101, "event", name, all));
        None
    }

    fn asked_field(
        &mut self,
        of: &ast::Path,
        field: &ast::Name,
        fields: &[FieldType],
    ) -> Option<(Word, Type)> {
        if let Some(deeper) = of.parts.get(2) {
            return self
                .mismatch(deeper.span, "a question about history reaches one field of an event".to_owned());
        }
        match types::field(fields, &field.text) {
            Some(ty) => Some((field.text.as_str().into(), ty.clone())),
            None => {
                if !self.is_hidden(&field.text) {
                    let all: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
                    let near = crate::diagnostic::suggest::did_you_mean(&field.text, all.iter().copied());
                    let message = format!("`{}` has no field `{}`", of.parts[0].text, field.text);
                    let made = finding(Code::E0110, field.span, message).label("no such field");
                    self.report(super::findings::with_near_miss(made, near, &all, field.span));
                }
                None
            }
        }
    }

    fn newest(&mut self, aggregate: &ast::Aggregate) -> Option<Option<u32>> {
        let Some(number) = &aggregate.newest else { return Some(None) };
        if !matches!(aggregate.function, AggregateFn::Last | AggregateFn::First) {
            return self.mismatch(number.span, "a number stands only after `last` and `first`".to_owned());
        }
        match u32::try_from(number.value.trunc()) {
            Ok(n @ 1..=100) if number.value.is_whole() => Some(Some(n)),
            _ => {
                self.report(
                    finding(Code::E0113, number.span, "a whole number from 1 to 100 is possible here")
                        .label("outside its range"),
                );
                None
            }
        }
    }

    /// The filter over the event under test. `None`: there is a mistake in it.
    fn filter(&mut self, aggregate: &ast::Aggregate, fields: Option<Vec<FieldType>>) -> Option<Option<Expr>> {
        if let Some(name) = &aggregate.name {
            self.shadowing_row(name);
        }
        let filter = match &aggregate.filter {
            Some(filter) => {
                let name = aggregate.name.as_ref().unwrap_or(&aggregate.of.parts[0]);
                self.rows.push(Row { name: name.text.as_str().into(), fields, used: false });
                let read = self.wanted(filter, &Type::YesNo);
                let used = self.rows.pop().is_none_or(|row| row.used);
                if let (Some(name), false) = (&aggregate.name, used) {
                    self.report(unused_name(name));
                }
                Some(read?.expr)
            }
            None => {
                if let Some(name) = &aggregate.name {
                    self.report(unused_name(name));
                }
                None
            }
        };
        Some(filter)
    }

    fn shadowing_row(&mut self, name: &ast::Name) {
        let first = self.names.explicit.get(name.text.as_str()).map(|slot| self.names.slot(*slot).span);
        if let Some(first) = first {
            self.report(super::findings::twice("the name", name, first));
        }
    }

    fn reach(&mut self, aggregate: &ast::Aggregate, event: Option<&Word>, span: Span) -> Option<Reach> {
        match &aggregate.reach {
            Some(ast::Reach::Ever) => Some(Reach::Ever),
            Some(ast::Reach::Within(duration)) => {
                let window = self.duration(duration)?;
                if let Some(event) = event {
                    self.beyond_retention(event, window, duration.span);
                }
                Some(Reach::Within(window))
            }
            Some(ast::Reach::Since(path)) => self.since(path),
            None => {
                let asked = self.text(span).to_owned();
                let close = span.end.saturating_sub(1);
                let place = Span::at(span.file, close);
                self.report(
                    finding(Code::E0415, span, format!("`{asked}` does not say how far back it looks"))
                        .label("since when?")
                        .help("add `within 30 days`, `since entry` or `ever`")
                        .suggest("add `ever`", place, " ever"),
                );
                None
            }
        }
    }

    fn since(&mut self, path: &ast::Path) -> Option<Reach> {
        if self.around != Around::Journey {
            let message = format!("`since {}` needs a journey around it", self.text(path.span));
            self.report(
                finding(Code::E0106, path.span, message)
                    .label("nobody has entered anything here")
                    .help("use `within 30 days` or `ever`"),
            );
            return None;
        }
        let read = self.path(path, None)?;
        match read.expr {
            Expr::MomentOf(slot) => Some(Reach::Since(slot)),
            _ => self.mismatch(
                path.span,
                format!("`since` needs `entry` or the name of a step, not {}", noun(&read.ty)),
            ),
        }
    }

    fn beyond_retention(&mut self, event: &Word, window: Calendar, span: Span) {
        let Some(declared) = self.schema.catalog.events.get(event) else { return };
        if window.about_ms() <= declared.keep.about_ms() {
            return;
        }
        let message = format!("`{event}` is kept for {}, but {window} are asked for", declared.keep);
        let mut made = finding(Code::E0412, span, message).label("further back than anything is kept");
        if let Some(place) = self.schema.declared.get(&(Noun::Event, event.clone())) {
            made = made.related(*place, "declared here");
        }
        self.report(made.help(format!("keep the event longer (`keep {window}`), or ask for less")));
    }

    fn result(
        &mut self,
        aggregate: &ast::Aggregate,
        field: Option<&(Word, Type)>,
        event: &Word,
        span: Span,
    ) -> Option<Type> {
        use AggregateFn as F;
        let whole = || {
            let fields = self.schema.events.get(event).cloned().unwrap_or_default();
            Type::Record(fields.into())
        };
        let ty = match (aggregate.function, field) {
            (F::Count, _) => Type::Number(None),
            (F::Any | F::None, None) => Type::YesNo,
            (F::Any | F::None, Some((name, _))) => {
                let word = if aggregate.function == F::Any { "any" } else { "none" };
                let message = format!("`{word}` asks for events, not for their field `{name}`");
                return self.mismatch(aggregate.of.span, message);
            }
            (F::Last | F::First, field) => {
                let one = field.map_or_else(whole, |(_, ty)| ty.clone());
                match aggregate.newest {
                    Some(_) => Type::List(one.required().clone().into()),
                    None => one.optional(),
                }
            }
            (_, None) => {
                let message = format!("`{}` needs a field: `{event}.…`", self.word_of(span));
                return self.mismatch(aggregate.of.span, message);
            }
            (F::Sum, Some((_, ty))) if types::is_numeric(ty) => plain(ty),
            (F::Average, Some((_, ty))) if types::is_numeric(ty) => Type::Decimal(None).optional(),
            (F::Highest | F::Lowest, Some((_, ty))) if types::is_ordered(ty) => plain(ty).optional(),
            (_, Some((name, ty))) => {
                let message =
                    format!("`{}` does not work on `{name}`, which is {}", self.word_of(span), noun(ty));
                return self.mismatch(aggregate.of.span, message);
            }
        };
        Some(ty)
    }

    fn word_of(&self, span: Span) -> String {
        let text = self.text(span);
        text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned()
    }

    /// Consent as a condition.
    pub(super) fn consent(&mut self, consent: &ast::ConsentOf) -> Option<Typed> {
        let (purpose, channels) = self.consent_words(consent)?;
        Some(Typed { ty: Type::YesNo, expr: Expr::Consent { purpose, channels } })
    }

    /// Purpose and channels of a consent, or E0101.
    pub(super) fn consent_words(&mut self, consent: &ast::ConsentOf) -> Option<(Word, Vec<Word>)> {
        let purpose = self.purpose(&consent.purpose);
        let channels: Vec<Option<Word>> =
            consent.channels.iter().map(|channel| self.channel_word(channel)).collect();
        Some((purpose?, channels.into_iter().collect::<Option<_>>()?))
    }

    /// A declared purpose, or E0101.
    pub(super) fn purpose(&mut self, name: &ast::Name) -> Option<Word> {
        if self.schema.catalog.is_purpose(&name.text) {
            return Some(name.text.as_str().into());
        }
        if !self.is_hidden(&name.text) {
            self.report(unknown(Code::E0101, "purpose", name, self.schema.catalog.purpose_names()));
        }
        None
    }

    /// A declared channel or `phone`, or E0101.
    pub(super) fn channel_word(&mut self, name: &ast::Name) -> Option<Word> {
        if self.schema.channels().contains(&name.text.as_str()) {
            return Some(name.text.as_str().into());
        }
        if !self.is_hidden(&name.text) {
            self.report(unknown(Code::E0101, "channel", name, self.schema.channels()));
        }
        None
    }

    /// A duration with units that can be counted so.
    pub(super) fn duration(&mut self, duration: &ast::Duration) -> Option<Calendar> {
        for (number, unit) in &duration.parts {
            let elapsed = matches!(unit, ast::Unit::Second | ast::Unit::Minute | ast::Unit::Hour);
            if !elapsed && !number.value.is_whole() {
                let word = match unit {
                    ast::Unit::Week => "week",
                    ast::Unit::Month => "month",
                    ast::Unit::Year => "year",
                    _ => "day",
                };
                let whole = crate::lang::types::whole_duration(number.value, word);
                let help =
                    whole.filter(|_| *unit != ast::Unit::WorkingDay).map(|whole| format!("write `{whole}`"));
                self.report(
                    finding(Code::E0103, number.span, "days, weeks, months and years are counted whole")
                        .label("not a whole number")
                        .help(help.unwrap_or_else(|| "write whole days".to_owned())),
                );
                return None;
            }
        }
        Some(calendar(duration))
    }
}

/// A name that nothing uses, local to a rule or a question.
pub(super) fn unused_name(name: &ast::Name) -> crate::diagnostic::Diagnostic {
    finding(Code::W0109, name.span, format!("the name `{}` is never used", name.text))
        .label("unused")
        .help("leave `as …` out, or use the name in its `where`")
}

/// A numeric or ordered type without its range.
fn plain(ty: &Type) -> Type {
    match ty.required() {
        Type::Number(_) => Type::Number(None),
        Type::Decimal(_) => Type::Decimal(None),
        other => other.clone(),
    }
}
