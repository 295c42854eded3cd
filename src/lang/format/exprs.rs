//! Expressions, records, durations and moments as documents.

use super::layout::{Doc, join, text};
use super::printer::Printer;
use crate::diagnostic::Span;
use crate::lang::ast::{
    Aggregate, ConsentOf, Duration, Expr, ExprKind, Moment, MomentKind, Name, Op, Path, Presence, Reach,
    Record, Side, TimeOfDay, Unit, Weekday, Window, Zone, ZoneKind,
};
use crate::lang::parse::strength;

impl Printer<'_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Doc {
        let inner = self.inner_expr(expr);
        if self.in_brackets(expr) {
            return Doc::Group(vec![text("("), Doc::Nest(vec![Doc::Soft, inner]), Doc::Soft, text(")")]);
        }
        inner
    }

    /// Brackets are kept where the author wrote some; the span of an expression takes them in.
    fn in_brackets(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Binary { left, .. } => expr.span.start < left.span.start,
            _ => self.source(expr.span).starts_with('('),
        }
    }

    fn inner_expr(&mut self, expr: &Expr) -> Doc {
        match &expr.kind {
            ExprKind::Text(_) => text(quoted(self.source(expr.span))),
            ExprKind::Number(number) => text(self.source(number.span)),
            ExprKind::Percent(number) => text(self.source(number.span).replace([' ', '\t'], "")),
            ExprKind::Bool(yes) => text(yes.to_string()),
            ExprKind::Date(date) => text(self.source(date.span)),
            ExprKind::Time(clock) => text(self.source(clock.span)),
            ExprKind::Moment(date, clock) => {
                text(format!("{}T{}", self.source(date.span), self.source(clock.span)))
            }
            ExprKind::Duration(duration) => text(self.duration(duration)),
            ExprKind::Presence(presence) => text(match presence {
                Presence::Known => "known",
                Presence::Unknown => "unknown",
                Presence::Empty => "empty",
            }),
            ExprKind::Path(path) => text(self::path(path)),
            ExprKind::List(items) => self.values(expr.span, items),
            ExprKind::Record(record) => self.record(record),
            ExprKind::Consent(consent) => text(consent_of(consent)),
            ExprKind::DayTest { negated, day, window, zone } => {
                let not = if *negated { "not " } else { "" };
                let window = window.as_ref().map_or(String::new(), |w| format!(" {}", self.window(w)));
                text(format!("today is {not}{}{window}{}", weekday(*day), self.zone(zone.as_ref())))
            }
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate),
            ExprKind::Call { function, args } => {
                let args: Vec<Doc> = args.iter().map(|a| self.expr(a)).collect();
                let inner = join(args, &[text(","), Doc::Line]);
                let open = text(format!("{}(", function.text));
                Doc::Group(vec![open, Doc::Nest([vec![Doc::Soft], inner].concat()), Doc::Soft, text(")")])
            }
            ExprKind::Not(inner) => Doc::Group(vec![text("not "), self.expr(inner)]),
            ExprKind::Negate(inner) => Doc::Group(vec![text("-"), self.expr(inner)]),
            ExprKind::Binary { op, left, right, .. } => self.binary(*op, left, right),
            ExprKind::Error => text(self.source(expr.span)),
        }
    }

    /// A row of operators that bind alike breaks before each of them.
    fn binary(&mut self, op: Op, left: &Expr, right: &Expr) -> Doc {
        let mut row = vec![(op, right)];
        let mut first = left;
        while let ExprKind::Binary { op: inner, left, right, .. } = &first.kind {
            if strength(*inner) != strength(op) || self.in_brackets(first) {
                break;
            }
            row.push((*inner, right));
            first = left;
        }
        row.reverse();
        let mut docs = vec![self.expr(first)];
        for (op, right) in row {
            docs.push(Doc::Line);
            docs.push(Doc::Group(vec![text(format!("{} ", operator(op))), self.expr(right)]));
        }
        Doc::Group(docs)
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Doc {
        let newest = aggregate.newest.map_or(String::new(), |n| format!(" {}", self.source(n.span)));
        let mut inner = vec![text(path(&aggregate.of))];
        if let Some(name) = &aggregate.name {
            inner.push(text(format!("as {}", name.text)));
        }
        if let Some(filter) = &aggregate.filter {
            inner.push(Doc::Group(vec![text("where "), Doc::Nest(vec![self.expr(filter)])]));
        }
        match &aggregate.reach {
            Some(Reach::Within(duration)) => inner.push(text(format!("within {}", self.duration(duration)))),
            Some(Reach::Since(anchor)) => inner.push(text(format!("since {}", path(anchor)))),
            Some(Reach::Ever) => inner.push(text("ever")),
            None => {}
        }
        let open = text(format!("{}{newest}(", aggregate.function.word()));
        let inner = join(inner, &[Doc::Line]);
        Doc::Group(vec![open, Doc::Nest([vec![Doc::Soft], inner].concat()), Doc::Soft, text(")")])
    }

    /// A list in square brackets; with a comment among them, each value on a line of its own.
    pub(super) fn values(&mut self, brackets: Span, items: &[Expr]) -> Doc {
        if !self.has_comment(brackets) {
            let items: Vec<Doc> = items.iter().map(|i| self.expr(i)).collect();
            return in_square_brackets(items);
        }
        let mut inside = Vec::new();
        let mut from = brackets.start;
        for (at, item) in items.iter().enumerate() {
            self.comments_between(from, item.span.start, at > 0, &mut inside);
            inside.push(Doc::Hard);
            inside.push(self.expr(item));
            if at + 1 < items.len() {
                inside.push(text(","));
            }
            from = item.span.start;
        }
        self.comments_between(from, brackets.end, !items.is_empty(), &mut inside);
        Doc::Group(vec![text("["), Doc::Nest(inside), Doc::Hard, text("]")])
    }

    pub(super) fn record(&mut self, record: &Record) -> Doc {
        let pairs: Vec<(Span, &Name, &Expr)> = record
            .pairs
            .iter()
            .map(|(name, value)| (from_to(name.span.start, value.span.end), name, value))
            .collect();
        self.in_braces(
            record.span,
            &pairs,
            |pair| pair.0,
            |printer, (_, name, value)| {
                Doc::Group(vec![text(format!("{}: ", name.text)), printer.expr(value)])
            },
        )
    }

    /// Pairs or fields in braces, on one line if they fit and no comment stands among them.
    pub(super) fn in_braces<T>(
        &mut self,
        braces: Span,
        items: &[T],
        span: impl Fn(&T) -> Span,
        mut doc: impl FnMut(&mut Self, &T) -> Doc,
    ) -> Doc {
        let pending = self.pending_before(braces.start);
        let has_comment = pending.is_some() || self.has_comment(braces);
        if items.is_empty() && !has_comment {
            return text("{}");
        }
        let mut inside = Vec::new();
        let mut from = pending.unwrap_or(braces.start);
        for (at, item) in items.iter().enumerate() {
            let place = span(item);
            self.comments_between(from, place.start, at > 0, &mut inside);
            inside.push(if at == 0 { Doc::Line } else { Doc::Comma });
            inside.push(doc(self, item));
            // what stood inside the item and has found no place there comes first behind it
            from = place.start;
        }
        self.comments_between(from, braces.end, !items.is_empty(), &mut inside);
        let last = if has_comment { Doc::Hard } else { Doc::Line };
        Doc::Group(vec![text("{"), Doc::Nest(inside), last, text("}")])
    }

    /// Comments between two pairs: the first may stand behind the one before, the others on lines of their own.
    fn comments_between(&mut self, from: u32, to: u32, behind: bool, docs: &mut Vec<Doc>) {
        for (at, (_, comment, own_line)) in self.take_comments(from_to(from, to)).into_iter().enumerate() {
            if at == 0 && behind && !own_line {
                docs.push(text(format!("  {comment}")));
            } else {
                docs.push(Doc::Hard);
                docs.push(text(comment));
            }
        }
    }

    // ------------------------------------------------------------ time

    pub(super) fn duration(&self, duration: &Duration) -> String {
        let part = |(number, unit): &(crate::lang::ast::Number, Unit)| {
            let number = self.source(number.span);
            let plural = if number == "1" { "" } else { "s" };
            format!("{number} {}{plural}", self::unit(*unit))
        };
        duration.parts.iter().map(part).collect::<Vec<_>>().join(" and ")
    }

    /// The zone with a blank before it, or nothing.
    pub(super) fn zone(&self, zone: Option<&Zone>) -> String {
        match zone.map(|z| &z.kind) {
            None => String::new(),
            Some(ZoneKind::Contact) => " contact time".to_owned(),
            Some(ZoneKind::Project) => " project time".to_owned(),
            Some(ZoneKind::Named(name)) => format!(" in {}", self.source(name.span)),
        }
    }

    pub(super) fn time_of_day(&self, time: &TimeOfDay) -> String {
        match time {
            TimeOfDay::Clock(clock) => self.source(clock.span).to_owned(),
            TimeOfDay::Path(path) => self::path(path),
        }
    }

    /// The time with ` at ` before it, or nothing.
    pub(super) fn at(&self, time: Option<&TimeOfDay>) -> String {
        time.map_or(String::new(), |t| format!(" at {}", self.time_of_day(t)))
    }

    fn window(&self, window: &Window) -> String {
        format!("between {} and {}", self.time_of_day(&window.from), self.time_of_day(&window.to))
    }

    pub(super) fn offset(&self, duration: &Duration, side: Side) -> String {
        let side = if side == Side::Before { "before" } else { "after" };
        format!("{} {side}", self.duration(duration))
    }

    pub(super) fn moment(&self, moment: &Moment) -> String {
        let what = match &moment.kind {
            MomentKind::Weekday { day, at, window, .. } => {
                let window = window.as_ref().map_or(String::new(), |w| format!(" {}", self.window(w)));
                format!("{}{}{window}", weekday(*day), self.at(at.as_ref()))
            }
            MomentKind::DateTime(date, clock) => {
                format!("{}T{}", self.source(date.span), self.source(clock.span))
            }
            MomentKind::Date { date, at } => format!("{}{}", self.source(date.span), self.at(at.as_ref())),
            MomentKind::Time(clock) => self.source(clock.span).to_owned(),
            MomentKind::Anchor { offset, anchor, at } => {
                let offset =
                    offset.as_ref().map_or(String::new(), |(d, side)| format!("{} ", self.offset(d, *side)));
                format!("{offset}{}{}", path(anchor), self.at(at.as_ref()))
            }
        };
        format!("{what}{}", self.zone(moment.zone.as_ref()))
    }
}

/// A list that breaks after its commas.
pub(super) fn in_square_brackets(items: Vec<Doc>) -> Doc {
    if items.is_empty() {
        return text("[]");
    }
    let inner = join(items, &[text(","), Doc::Line]);
    Doc::Group(vec![text("["), Doc::Nest([vec![Doc::Soft], inner].concat()), Doc::Soft, text("]")])
}

/// A text with its quotes, without brackets and comments around it.
fn quoted(source: &str) -> &str {
    match (source.find('"'), source.rfind('"')) {
        (Some(first), Some(last)) if first < last => &source[first..=last],
        _ => source,
    }
}

pub(super) fn path(path: &Path) -> String {
    path.joined()
}

pub(super) fn names(names: &[Name]) -> String {
    names.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(", ")
}

pub(super) fn consent_of(consent: &ConsentOf) -> String {
    let channels =
        if consent.channels.is_empty() { String::new() } else { format!(" on {}", names(&consent.channels)) };
    format!("consent {}{channels}", consent.purpose.text)
}

pub(super) fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "monday",
        Weekday::Tuesday => "tuesday",
        Weekday::Wednesday => "wednesday",
        Weekday::Thursday => "thursday",
        Weekday::Friday => "friday",
        Weekday::Saturday => "saturday",
        Weekday::Sunday => "sunday",
        Weekday::Weekday => "weekday",
        Weekday::Weekend => "weekend",
        Weekday::WorkingDay => "working day",
        Weekday::Day => "day",
    }
}

pub(super) fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Second => "second",
        Unit::Minute => "minute",
        Unit::Hour => "hour",
        Unit::Day => "day",
        Unit::WorkingDay => "working day",
        Unit::Week => "week",
        Unit::Month => "month",
        Unit::Year => "year",
    }
}

fn operator(op: Op) -> &'static str {
    match op {
        Op::Mul => "*",
        Op::Div => "/",
        Op::Add => "+",
        Op::Sub => "-",
        Op::Otherwise => "otherwise",
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Gt => ">",
        Op::Ge => ">=",
        Op::Is => "is",
        Op::IsNot => "is not",
        Op::In => "in",
        Op::NotIn => "not in",
        Op::Has => "has",
        Op::HasAnyOf => "has any of",
        Op::HasAllOf => "has all of",
        Op::And => "and",
        Op::Or => "or",
    }
}

/// The place from the beginning of one to the end of another.
pub(super) fn from_to(start: u32, end: u32) -> Span {
    Span { start, end, ..Span::default() }
}
