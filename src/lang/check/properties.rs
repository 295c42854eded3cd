//! The properties between the braces of channels, tasks and teams; those of `endpoints` and `audiences` have rooms of their own.

use std::collections::HashMap;
use std::sync::Arc;

use super::declarations::Declarations;
use super::fields::fields_of;
use super::findings::{finding, twice, unknown};
use crate::diagnostic::{Code, Span};
use crate::engine::program::{Channel, Hours, Task, Team, Word, ZoneRef};
use crate::lang::ast::{self, ExprKind, Name, Prop, PropValue};
use crate::lang::types::{self, calendar, days, zone_ref};
use crate::time::{Calendar, TimeOfDay, Zone};
use crate::value::{Decimal, FieldType, Type};

const CLASSES: [&str; 3] = ["message", "task", "letter"];
const ABILITIES: [&str; 3] = ["opens", "clicks", "replies"];

/// Reads the properties of one declaration.
pub(super) struct Props<'p, 'c, 'd, 'a> {
    pub(super) all: &'p mut Declarations<'c, 'a>,
    props: &'d [Prop],
}

impl<'p, 'c, 'd, 'a> Props<'p, 'c, 'd, 'a> {
    pub(super) fn new(all: &'p mut Declarations<'c, 'a>, props: &'d [Prop]) -> Self {
        Props { all, props }
    }

    pub(super) fn channel(mut self) -> Channel {
        self.known(&["sends", "address", "class", "team", "cost", "takes", "hours", "abilities"]);
        self.money("cost");
        self.length("takes");
        let class = self.word("class", &CLASSES).unwrap_or_else(|| "message".into());
        let sends = self.text("sends").unwrap_or_else(|| "".into());
        Channel {
            address: self.address(),
            sends: self.asks_by(&class).unwrap_or(sends),
            class,
            hours: self.hours(),
            abilities: self.words("abilities", &ABILITIES),
        }
    }

    /// What a message costs; what is no number is told elsewhere.
    pub(super) fn cost(&self) -> Option<Decimal> {
        let prop = self.find("cost")?;
        Some(match &prop.value {
            PropValue::Expr(ast::Expr { kind: ExprKind::Number(number), .. }) => number.value,
            _ => Decimal(0),
        })
    }

    /// `team inside_sales`: who speaks with people on a channel of class `task`.
    fn asks_by(&mut self, class: &str) -> Option<Arc<str>> {
        let prop = self.find("team")?;
        let team = self.word("team", &[])?;
        if class != "task"
            && self.find("class").is_none_or(|class| {
                !matches!(&class.value, PropValue::Expr(ast::Expr { kind: ExprKind::Error, .. }))
            })
        {
            self.all.out.push(
                finding(Code::E0103, prop.span, format!("a channel of class `{class}` has no team"))
                    .label("only with `class task`")
                    .help("leave it out, or write `class task` where people speak with each other"),
            );
            return None;
        }
        if let Some(sends) = self.find("sends") {
            self.all.out.push(
                finding(Code::E0103, sends.span, "what a team does is not sent anywhere")
                    .label("left over")
                    .related(prop.span, "the team does it")
                    .help("leave `sends` out"),
            );
        }
        Some(Channel::by_team(&team))
    }

    pub(super) fn task(mut self, name: &Name) -> Task {
        self.known(&["script", "outcomes", "answers", "cost", "takes"]);
        self.money("cost");
        self.length("takes");
        let outcomes = self.words("outcomes", &[]);
        let is_empty = |prop: &Prop| matches!(&prop.value, PropValue::Expr(ast::Expr { kind: ExprKind::List(items), .. }) if items.is_empty());
        if outcomes.is_empty() && self.find("outcomes").is_none_or(is_empty) {
            self.all.out.push(
                finding(Code::E0103, name.span, format!("the task `{}` has no outcomes", name.text))
                    .label("nothing can come of it")
                    .help("add `outcomes [done]`, say"),
            );
        }
        Task { script: self.text("script"), outcomes, answers: self.fields("answers") }
    }

    pub(super) fn team(mut self) -> Team {
        self.known(&["hours"]);
        Team { hours: self.hours() }
    }

    /// Reports properties that are unknown or stand twice.
    pub(super) fn known(&mut self, names: &[&str]) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for prop in self.props {
            if !names.contains(&prop.name.text.as_str()) {
                self.all.out.push(unknown(Code::E0101, "property", &prop.name, names.iter().copied()));
            } else if let Some(first) = seen.insert(&prop.name.text, prop.name.span) {
                self.all.out.push(twice("the property", &prop.name, first));
            }
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<&'d Prop> {
        self.props.iter().find(|prop| prop.name.text == name)
    }

    pub(super) fn expr(&mut self, name: &str) -> Option<&'d ast::Expr> {
        let prop = self.find(name)?;
        match &prop.value {
            PropValue::Expr(expr) => Some(expr),
            PropValue::Fields(_) | PropValue::Hours(_) => self.wrong(prop.span, name, "a value"),
        }
    }

    pub(super) fn wrong<T>(&mut self, span: Span, name: &str, what: &str) -> Option<T> {
        self.all
            .out
            .push(finding(Code::E0103, span, format!("`{name}` needs {what}")).label(format!("not {what}")));
        None
    }

    pub(super) fn text(&mut self, name: &str) -> Option<Arc<str>> {
        let expr = self.expr(name)?;
        match &expr.kind {
            ExprKind::Text(text) => Some(text.as_str().into()),
            ExprKind::Error => None,
            _ => self.wrong(expr.span, name, "a text in quotes"),
        }
    }

    /// `address contact.email`
    fn address(&mut self) -> Option<Word> {
        let expr = self.expr("address")?;
        let (word, ty, span) = self.attribute(expr, "address")?;
        if !types::is_textual(&ty) {
            let message = format!("`{word}` is {}, which is no address", types::noun(&ty));
            self.all.out.push(finding(Code::E0103, span, message).label("not an address"));
            return None;
        }
        Some(word)
    }

    /// `contact.email`: its name, its type, and where the name stands.
    pub(super) fn attribute(&mut self, expr: &ast::Expr, prop: &str) -> Option<(Word, Type, Span)> {
        let parts = match &expr.kind {
            ExprKind::Path(path) => path.parts.as_slice(),
            ExprKind::Error => return None,
            _ => &[],
        };
        let name = match parts {
            [contact, name] if contact.text == "contact" => name,
            _ => return self.wrong(expr.span, prop, "an attribute such as `contact.email`"),
        };
        let schema = &self.all.schema;
        if let Some(attribute) = schema.catalog.attribute(&name.text) {
            return Some((attribute.name.clone(), attribute.ty.clone(), name.span));
        }
        if !schema.is_hidden(&name.text) && !schema.attributes.contains_key(name.text.as_str()) {
            let all = schema.catalog.attributes.iter().map(|attribute| &*attribute.name);
            self.all.out.push(unknown(Code::E0101, "attribute", name, all));
        }
        None
    }

    /// A bare word out of a list.
    pub(super) fn word(&mut self, name: &str, all: &[&str]) -> Option<Word> {
        let expr = self.expr(name)?;
        self.listed(expr, name, all)
    }

    /// Bare words in brackets; any when the list of possible ones is empty.
    pub(super) fn words(&mut self, name: &str, all: &[&str]) -> Vec<Word> {
        let Some(expr) = self.expr(name) else { return Vec::new() };
        let ExprKind::List(items) = &expr.kind else {
            self.wrong::<()>(expr.span, name, "a list in brackets");
            return Vec::new();
        };
        let mut words: Vec<Word> = Vec::new();
        for item in items {
            let Some(word) = self.listed(item, name, all) else { continue };
            if words.contains(&word) {
                let message = format!("`{word}` stands twice");
                self.all.out.push(finding(Code::E0102, item.span, message).label("again"));
            } else {
                words.push(word);
            }
        }
        words
    }

    fn listed(&mut self, expr: &ast::Expr, name: &str, all: &[&str]) -> Option<Word> {
        let word = match &expr.kind {
            ExprKind::Path(path) if path.parts.len() == 1 => &path.parts[0],
            ExprKind::Error => return None,
            _ => return self.wrong(expr.span, name, "bare words"),
        };
        if !all.is_empty() && !all.contains(&word.text.as_str()) {
            let near = crate::diagnostic::suggest::did_you_mean(&word.text, all.iter().copied());
            let message = format!("`{}` is not one of the listed values", word.text);
            let made = finding(Code::E0104, word.span, message).label("not in the list");
            self.all.out.push(super::findings::with_near_miss(made, near, all, word.span));
            return None;
        }
        Some(word.text.as_str().into())
    }

    pub(super) fn count(&mut self, name: &str) -> Option<i64> {
        let expr = self.expr(name)?;
        match &expr.kind {
            ExprKind::Number(number)
                if number.value.is_whole() && (0..=50).contains(&number.value.trunc()) =>
            {
                Some(number.value.trunc())
            }
            ExprKind::Error => None,
            _ => self.wrong(expr.span, name, "a whole number from 0 to 50"),
        }
    }

    fn money(&mut self, name: &str) {
        if let Some(expr) = self.expr(name)
            && !matches!(expr.kind, ExprKind::Number(_) | ExprKind::Error)
        {
            self.wrong::<()>(expr.span, name, "a number");
        }
    }

    pub(super) fn length(&mut self, name: &str) -> Option<Calendar> {
        let expr = self.expr(name)?;
        match &expr.kind {
            ExprKind::Duration(duration) => Some(calendar(duration)),
            ExprKind::Error => None,
            _ => self.wrong(expr.span, name, "a duration such as `10 seconds`"),
        }
    }

    pub(super) fn fields(&mut self, name: &str) -> Vec<FieldType> {
        let Some(prop) = self.find(name) else { return Vec::new() };
        match &prop.value {
            PropValue::Fields(fields) => fields_of(self.all.out, fields, true),
            PropValue::Expr(ast::Expr { kind: ExprKind::Error, .. }) => Vec::new(),
            PropValue::Expr(_) | PropValue::Hours(_) => {
                self.wrong::<()>(prop.span, name, "fields in braces");
                Vec::new()
            }
        }
    }

    fn hours(&mut self) -> Option<Hours> {
        let prop = self.find("hours")?;
        let PropValue::Hours(hours) = &prop.value else {
            return match &prop.value {
                PropValue::Expr(ast::Expr { kind: ExprKind::Error, .. }) => None,
                _ => self.wrong(prop.span, "hours", "days and times: `monday to friday 09:00 to 18:00`"),
            };
        };
        let time = |clock: &ast::Clock| TimeOfDay::new(clock.hour, clock.minute, clock.second);
        let (Some(from), Some(to)) = (time(&hours.from), time(&hours.to)) else {
            let bad = if time(&hours.from).is_none() { hours.from.span } else { hours.to.span };
            self.all.out.push(finding(Code::E0113, bad, "no clock shows this").label("from 00:00 to 23:59"));
            return None;
        };
        if let Some(ast::Zone { kind: ast::ZoneKind::Named(name), .. }) = &hours.zone
            && Zone::named(&name.value).is_none()
        {
            let message = format!("there is no time zone `{}`", name.value);
            self.all
                .out
                .push(finding(Code::E0101, name.span, message).label("not in the time zone database"));
        }
        let mut mask = days(hours.from_day.0);
        if let Some((last, _)) = &hours.to_day {
            mask.mask |= between(mask.mask, days(*last).mask);
        }
        Some(Hours { days: mask, from, to, zone: zone_ref(hours.zone.as_ref(), ZoneRef::Contact) })
    }
}

/// All days from the first of one mask to the last of another, over the weekend where need be.
fn between(from: u8, to: u8) -> u8 {
    let (first, last) = (from.trailing_zeros() % 7, 7u32.saturating_sub(to.leading_zeros()));
    let mut mask = 0;
    let mut day = first;
    for _ in 0..7 {
        mask |= 1 << day;
        if day == last {
            break;
        }
        day = (day + 1) % 7;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::between;

    #[test]
    fn days_run_over_the_weekend() {
        assert_eq!(between(0b000_0001, 0b001_0000), 0b001_1111, "monday to friday");
        assert_eq!(between(0b010_0000, 0b000_0001), 0b110_0001, "saturday to monday");
        assert_eq!(between(0b000_0100, 0b000_0100), 0b000_0100, "wednesday alone");
    }
}
