//! The head of a journey: purpose, entries, re-entry, limits, exit rules, goals, handlers.

use super::circles::enters;
use super::conditions::Conditions;
use super::constant::verdict;
use super::cron;
use super::expr::Around;
use super::findings::{finding, not_yet, unknown};
use super::graph::What;
use super::journey::Journey;
use super::narrow::{Fact, Facts, Place};
use crate::diagnostic::{Code, Span};
use crate::engine::program::{Expr, Word};
use crate::lang::ast::{self, Enter, EnterHow, JourneyItemKind as Item, Path, Reenter};
use crate::lang::types::{self, noun};
use crate::value::Type;

impl<'a> Journey<'_, 'a> {
    /// Everything before the first step; leaves in `start` what is known of whoever enters.
    pub(super) fn head(&mut self) {
        self.stated_once();
        let mut start: Option<Facts> = None;
        for item in &self.journey.items {
            match &item.kind {
                Item::Purpose { name, because } => self.purpose(name, because.as_ref()),
                Item::Runs { from, to, zone } => self.runs(from.as_ref(), to.as_ref(), zone.as_ref()),
                Item::Enter(enter) => {
                    let facts = self.enter(enter, item.span);
                    match &mut start {
                        Some(start) => start.meet(&facts),
                        None => start = Some(facts),
                    }
                }
                Item::Reenter(reenter) => self.reenter(reenter),
                Item::Lasts(duration) => self.duration(duration),
                Item::Budget(budget) => self.budget(budget, item.span),
                Item::Error if self.schema.input.sources.slice(item.span).starts_with("enter") => {
                    start = Some(Facts::unsure());
                }
                Item::Migrate { .. } => self.out.push(not_yet(first_line(item.span), "`migrate`")),
                _ => {}
            }
        }
        if let Some(start) = start {
            self.start = start;
        }
        self.missing_parts();
        self.parallel();
        self.entries_agree();
    }

    /// Purpose, re-entry and the like are said once.
    fn stated_once(&mut self) {
        let mut seen: Vec<(&str, Span)> = Vec::new();
        for item in &self.journey.items {
            let what = match &item.kind {
                Item::Purpose { .. } => "purpose",
                Item::Runs { .. } => "runs",
                Item::Reenter(_) => "reenter",
                Item::Lasts(_) => "lasts",
                Item::Budget(_) => "budget",
                Item::OnDeploy(_) => "on deploy",
                _ => continue,
            };
            match seen.iter().find(|(other, _)| *other == what) {
                Some((_, first)) => {
                    let made = finding(Code::E0102, item.span, format!("`{what}` is stated twice"))
                        .label("again")
                        .related(*first, "stated here first")
                        .help("leave one of them out");
                    self.out.push(made);
                }
                None => seen.push((what, item.span)),
            }
        }
    }

    fn purpose(&mut self, name: &ast::Name, because: Option<&ast::Text>) {
        if self.purpose.is_some() {
            return;
        }
        if !self.schema.catalog.is_purpose(&name.text) && !self.schema.is_hidden(&name.text) {
            self.out.push(unknown(Code::E0101, "purpose", name, self.schema.catalog.purpose_names()));
        }
        self.purpose = Some(name.text.as_str().into());
        self.because =
            because.filter(|text| !text.value.trim().is_empty()).map(|text| text.value.as_str().into());
    }

    fn runs(&mut self, from: Option<&ast::Day>, to: Option<&ast::Day>, zone: Option<&ast::Zone>) {
        let facts = Facts::default();
        let mut reader = self.reader(facts);
        reader.zone(zone);
        let mut read = |day: &ast::Day| {
            let date = reader.date(&day.date);
            let time = day.time.as_ref().and_then(|clock| reader.clock(clock));
            date.map(|date| (date, time))
        };
        let (first, last) = (from.and_then(&mut read), to.and_then(&mut read));
        if let (Some(first), Some(last), Some(to)) = (first, last, to)
            && last.0 < first.0
        {
            self.out.push(
                finding(Code::E0113, to.date.span, "this span ends before it begins")
                    .label("before its beginning"),
            );
        }
    }

    fn duration(&mut self, duration: &ast::Duration) {
        let mut reader = self.reader(Facts::default());
        reader.duration(duration);
        super::time::positive(&mut reader, duration);
        super::time::working_days(&mut reader, duration);
    }

    fn reenter(&mut self, reenter: &ast::Reenter) {
        if let Reenter::AfterEntry(duration) | Reenter::AfterExit(duration) = reenter {
            self.duration(duration);
        }
    }

    fn missing_parts(&mut self) {
        let name = &self.journey.name;
        let entered = enters(self.journey).next().is_some();
        if !entered && !self.may_be_hidden("enter") {
            self.out.push(
                finding(Code::E0201, name.span, format!("nobody ever enters `{}`", name.text))
                    .label("has no `enter`")
                    .help("add `enter on …`, `enter when …` or `enter by start`"),
            );
        }
        let reentry = self.journey.items.iter().any(|item| matches!(item.kind, Item::Reenter(_)));
        if !reentry && entered && !self.may_be_hidden("reenter") {
            self.out.push(
                finding(
                    Code::E0210,
                    name.span,
                    format!("`{}` does not say who may enter again, and when", name.text),
                )
                .label("has no `reenter`")
                .help(
                    "choose `reenter never`, `always`, `when finished`, `restart`, \
                         `30 days after entry` or `30 days after exit`",
                ),
            );
        }
    }

    /// W0211: each event starts one more enrollment of the same contact.
    fn parallel(&mut self) {
        let always =
            self.journey.items.iter().find(|item| matches!(item.kind, Item::Reenter(Reenter::Always)));
        let Some(always) = always else { return };
        let on_event =
            enters(self.journey).find(|enter| matches!(enter.how, EnterHow::On(_)) && enter.per.is_empty());
        let Some(enter) = on_event else { return };
        let there = how_span(&enter.how, self.journey);
        self.out.push(
            finding(
                Code::W0211,
                always.span,
                "every such event starts another enrollment of the same contact",
            )
            .label("several at once")
            .related(there, "entered here, without `per`")
            .help("say by `per FIELD` what makes them different, or write `reenter when finished`"),
        );
    }

    /// Several `enter` lines give the same.
    fn entries_agree(&mut self) {
        let all: Vec<&Enter> = enters(self.journey).collect();
        let Some((first, rest)) = all.split_first() else { return };
        for other in rest {
            let (a, b) = (super::names::entry_name(first), super::names::entry_name(other));
            if let (Some((a, true)), Some((b, true))) = (a, b)
                && a.text != b.text
            {
                self.out.push(
                    finding(Code::E0213, b.span, "all `enter` lines of a journey share one name")
                        .label("another name")
                        .related(a.span, "the name so far")
                        .help(format!("write `as {}` here too", a.text))
                        .suggest(format!("write `{}`", a.text), b.span, a.text.clone()),
                );
                continue;
            }
            let fields = |enter| super::names::entry_fields(self.schema, enter);
            let (Some(mine), Some(theirs)) = (fields(first), fields(other)) else { continue };
            let clash = mine.iter().find_map(|field| {
                let ty = types::field(&theirs, &field.name)?;
                (ty.required() != field.ty.required()).then_some((field, ty))
            });
            if let Some((field, ty)) = clash {
                let message = format!("these `enter` lines disagree: what is `{}`?", field.name);
                let (here, there) = (how_span(&other.how, self.journey), how_span(&first.how, self.journey));
                self.out.push(
                    finding(Code::E0213, here, message)
                        .label(format!("{} here", noun(ty)))
                        .related(there, format!("{} here", noun(&field.ty)))
                        .help("give the fields one type, or make two journeys of it"),
                );
            }
        }
    }

    // ---------------------------------------------------------------- enter

    /// One `enter` line. Gives what is known of whoever comes that way.
    fn enter(&mut self, enter: &'a Enter, span: Span) -> Facts {
        let mut start = Facts::default();
        start.learn(&Fact::Assigned(0));
        match &enter.how {
            EnterHow::On(event) | EnterHow::OnFirst(event) => self.enter_on(event, &start),
            EnterHow::OnChange { path, .. } => _ = self.attribute(path, &[]),
            EnterHow::When(condition) | EnterHow::While(condition) => self.segment_condition(condition, true),
            EnterHow::At { date, time, zone } => {
                let mut reader = self.reader(Facts::default());
                reader.date(date);
                reader.clock(time);
                reader.zone(zone.as_ref());
            }
            EnterHow::Cron { text, zone } => self.cron(text, zone.as_ref()),
            EnterHow::EveryWeekday { at, zone, .. } => {
                let mut reader = self.reader(Facts::default());
                reader.time_of_day(at);
                reader.zone(zone.as_ref());
            }
            EnterHow::Anniversary { path, at, zone } => {
                if let Some(word) = self.attribute(path, &[Type::Date, Type::Moment]) {
                    start.learn(&Fact::Known(Place::Attribute(word), true));
                }
                self.at(at.as_ref(), zone.as_ref());
            }
            EnterHow::Offset { offset, path, at, zone, .. } => {
                self.duration(offset);
                if let Some(word) = self.attribute(path, &[Type::Date, Type::Moment]) {
                    start.learn(&Fact::Known(Place::Attribute(word), true));
                }
                self.at(at.as_ref(), zone.as_ref());
            }
            EnterHow::ByStart(fields) => _ = super::fields::fields_of(self.out, fields, false),
            EnterHow::Error => start.unsure = true,
        }
        self.enter_clauses(enter, &start);
        let conditions = conditions_of(enter);
        self.impossible(&conditions, span);
        for condition in conditions {
            if super::visit::is_damaged(condition) {
                start.unsure = true;
                continue;
            }
            let facts = self.ask(&start, |conditions| conditions.facts_if(condition, true));
            start.learn_all(&facts);
        }
        start
    }

    fn ask<T>(&self, facts: &Facts, ask: impl FnOnce(Conditions<'_, 'a>) -> T) -> T {
        ask(Conditions { schema: self.schema, names: &self.names, rows: &[], facts, depth: 0 })
    }

    fn enter_on(&mut self, event: &'a ast::EventMatch, start: &Facts) {
        if let Some(path) = event.events.iter().find(|path| path.parts.len() > 1) {
            let message = "one enters on an event; outcomes belong to messages sent after the entry";
            self.out.push(finding(Code::E0103, path.span, message).label("not an event"));
            return;
        }
        if let Some(same) = event.same.first() {
            let message = "`same` compares with the entering event, which is this one";
            self.out.push(finding(Code::E0103, same.span, message).label("nothing to compare with"));
            return;
        }
        self.event_match(event, start.clone(), false);
    }

    fn enter_clauses(&mut self, enter: &'a Enter, start: &Facts) {
        if let Some(filter) = &enter.filter {
            let mut reader = self.reader(start.clone());
            reader.value(filter, &Type::YesNo);
        }
        if let Some(audience) = &enter.audience {
            self.segment_condition(audience, false);
        }
        for path in &enter.per {
            self.per(path, start);
        }
        if let Some(ramp) = &enter.ramp {
            self.out.push(not_yet(ramp.span, "`limit … per …`"));
        }
        if let Some(span) = enter.including_existing
            && !matches!(enter.how, EnterHow::When(_) | EnterHow::Error)
        {
            let message = "`including existing` belongs to `enter when`: whoever is in when it is deployed";
            self.out.push(finding(Code::E0103, span, message).label("nobody is in before"));
        }
    }

    /// A condition over the contact alone.
    fn segment_condition(&mut self, condition: &'a ast::Expr, live: bool) {
        let mut reader = self.reader(Facts::default());
        reader.around = Around::Contact;
        reader.live = live;
        reader.value(condition, &Type::YesNo);
        super::time::newcomers(self.schema, condition, self.out);
    }

    /// `contact.NAME` of one of these types (any when there are none).
    fn attribute(&mut self, path: &Path, wanted: &[Type]) -> Option<Word> {
        let read = self.reader(Facts::unsure()).path(path, None)?;
        let Expr::Attribute(word) = &read.expr else {
            let message = format!("an attribute of the contact is wanted here, not `{}`", path.joined());
            self.out.push(finding(Code::E0103, path.span, message).label("not an attribute"));
            return None;
        };
        if !wanted.is_empty() && !wanted.contains(read.ty.required()) {
            let message = format!("a date is wanted here, but `{}` is {}", path.joined(), noun(&read.ty));
            self.out
                .push(finding(Code::E0103, path.span, message).label(format!("this is {}", noun(&read.ty))));
            return None;
        }
        Some(word.clone())
    }

    fn at(&mut self, at: Option<&ast::TimeOfDay>, zone: Option<&ast::Zone>) {
        let mut reader = self.reader(Facts::default());
        at.iter().for_each(|at| _ = reader.time_of_day(at));
        reader.zone(zone);
    }

    /// `per cart.cart_id`: a field of what enters, surely there.
    fn per(&mut self, path: &Path, start: &Facts) {
        let mut reader = self.reader(start.clone());
        let Some(read) = reader.path(path, None) else { return };
        let Some(read) = reader.required(read, path.span) else { return };
        let field = match &read.expr {
            Expr::Field(inner, _) => matches!(**inner, Expr::Slot(0)),
            _ => false,
        };
        if !field {
            let message = "`per` needs a field of what enters, such as `per order.order_id`";
            self.out.push(finding(Code::E0103, path.span, message).label("not a field of the entry"));
        }
    }

    fn cron(&mut self, text: &ast::Text, zone: Option<&ast::Zone>) {
        self.reader(Facts::default()).zone(zone);
        match cron::read(&text.value) {
            Err(why) => {
                let message = format!("this cron text cannot be used: {why}");
                self.out.push(
                    finding(Code::E0205, text.span, message)
                        .label("minute hour day month weekday")
                        .help("`\"0 10 1 * *\"` is at 10:00 on the first of each month"),
                );
            }
            Ok(read) => {
                if let Some(day) = read.days.iter().filter(|day| **day >= 29).min() {
                    let message = format!("months without a day {day} are left out");
                    self.out.push(
                        finding(Code::I0414, text.span, message)
                            .label(format!("on day {day} and no other"))
                            .help("choose a day up to 28 to fire every month"),
                    );
                }
            }
        }
        if zone.is_none() {
            let message = "a cron text without a zone: whose clock?";
            self.out.push(
                finding(Code::W0206, text.span, message)
                    .label("no zone")
                    .help("add `project time`, or `contact time` to follow each contact's clock")
                    .fix("add `project time`", text.span.shrink_to_end(), " project time"),
            );
        }
    }

    /// W0202: nobody can fulfil the conditions, or the consent that the purpose needs is excluded.
    fn impossible(&mut self, conditions: &[&'a ast::Expr], span: Span) {
        if conditions.is_empty() {
            return;
        }
        let mut facts = Facts::default();
        facts.learn(&Fact::Assigned(0));
        if self.ask(&facts, |c| verdict(c, conditions)) == Some(false) {
            self.out.push(
                finding(Code::W0202, span, "nobody can ever enter here")
                    .label("these conditions exclude each other")
                    .help("look again at what they ask"),
            );
            return;
        }
        let Some((purpose, channels)) = self.needed_at_entry() else { return };
        let asked: Vec<Fact> = conditions
            .iter()
            .flat_map(|condition| self.ask(&facts, |c| c.facts_if(condition, true)))
            .collect();
        let refused =
            |channel: &Word| asked.contains(&Fact::Consent(purpose.clone(), channel.clone(), false));
        if !channels.iter().all(refused) {
            return;
        }
        let message = format!(
            "nobody can enter here: the purpose needs consent for `{purpose}`, which the condition excludes"
        );
        let mut made = finding(Code::W0202, span, message).label("only people without consent");
        if let Some(line) = self.schema.consent_lines.get(&purpose) {
            made = made.related(*line, "the rule");
        }
        self.out.push(made);
    }

    /// The consent without which nobody enters: its purpose, and the channels of which one is needed.
    fn needed_at_entry(&self) -> Option<(Word, Vec<Word>)> {
        let purpose = self.purpose.as_ref()?;
        let mut channels: Vec<Word> = Vec::new();
        let mut base = None;
        let mut free = false;
        super::visit::each_stmt_of(self.journey, &mut |stmt, _| {
            let Some(send) = super::asking::message_of(stmt) else { return };
            for channel in super::names::channel_names(&send.channels) {
                match self.schema.needed_consent(purpose, &channel.text) {
                    Some(needed) => {
                        base = Some(needed);
                        channels.push(channel.text.as_str().into());
                    }
                    None => free = true,
                }
            }
        });
        if free { None } else { Some((base?, channels)) }
    }

    // ---------------------------------------------------------------- exits, goals, handlers

    /// Rules that hold from entry to exit.
    pub(super) fn rules(&mut self) {
        for item in &self.journey.items {
            match &item.kind {
                Item::ExitRule { trigger, .. } => match trigger {
                    ast::ExitTrigger::On(event) => self.event_match(event, self.start.clone(), false),
                    ast::ExitTrigger::When(condition) => self.condition(condition, self.start.clone(), true),
                },
                Item::Goal(goal) => {
                    self.event_match(&goal.event, self.start.clone(), false);
                    goal.within.iter().for_each(|within| self.duration(within));
                }
                _ => {}
            }
        }
        for at in self.graph.handlers.clone() {
            if let What::Handler(event) = self.graph.nodes[at].what {
                self.event_match(event, self.start.clone(), false);
            }
        }
    }
}

/// All conditions that one must fulfil to enter by this line.
fn conditions_of(enter: &Enter) -> Vec<&ast::Expr> {
    let own = match &enter.how {
        EnterHow::When(condition) | EnterHow::While(condition) => Some(condition),
        EnterHow::On(event) | EnterHow::OnFirst(event) => event.filter.as_ref(),
        _ => None,
    };
    own.into_iter().chain(&enter.filter).chain(&enter.audience).collect()
}

/// The place of an `enter` line.
fn how_span(how: &EnterHow, journey: &ast::Journey) -> Span {
    let is_this = |item: &&ast::JourneyItem| match &item.kind {
        Item::Enter(enter) => std::ptr::eq(&enter.how, how),
        _ => false,
    };
    journey.items.iter().find(is_this).map_or(journey.name.span, |item| item.span)
}

/// The beginning of a long place, so that a refusal does not underline a whole block.
fn first_line(span: Span) -> Span {
    Span::new(span.file, span.start, span.end.min(span.start + 7))
}
