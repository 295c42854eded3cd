//! What leaves the house: messages, work for people, requests, recorded events.

use super::findings::{finding, unknown};
use super::journey::Journey;
use super::names::channel_names;
use super::narrow::Facts;
use super::schema::{MESSAGE_EVENTS, Noun, PHONE};
use crate::diagnostic::{Code, Span};
use crate::engine::program::Word;
use crate::lang::ast::{self, ExprKind, Name, Path, Stmt};
use crate::value::{FieldType, Type};

impl<'a> Journey<'_, 'a> {
    pub(super) fn send(&mut self, stmt: &'a Stmt, send: &'a ast::Send, facts: Facts) {
        for channel in channel_names(&send.channels) {
            match self.schema.catalog.channels.get(channel.text.as_str()) {
                Some(declared) => {
                    if &*declared.class == "task" {
                        self.spoken(channel);
                    }
                    self.uses_channel(&channel.text);
                }
                None => self.unknown_channel(channel),
            }
        }
        self.chosen(stmt, send);
        if let Some(to) = &send.to {
            self.address(to, send, facts.clone());
        }
        self.with(send.with.as_ref(), &facts);
        if let Some(before) = &send.before {
            self.reader(facts).moment(before);
        }
        let purpose = self.purpose_of(send);
        if let Some(purpose) = purpose {
            self.purposes.insert(stmt.span, purpose);
        }
    }

    /// A channel on which people speak with each other takes no message.
    fn spoken(&mut self, channel: &Name) {
        let place = self.schema.declared.get(&(Noun::Channel, channel.text.as_str().into())).copied();
        let message = format!("nothing can be sent on `{}`: people speak there", channel.text);
        let made = finding(Code::E0103, channel.span, message)
            .label("of class `task`")
            .help(format!("write `call TASK by TEAM`, or `ask SURVEY by {}`", channel.text));
        self.out.push(match place {
            Some(place) => made.related(place, "declared here"),
            None => made,
        });
    }

    pub(super) fn uses_channel(&mut self, channel: &str) {
        if !self.channels.iter().any(|known| **known == *channel) {
            self.channels.push(channel.into());
        }
    }

    /// `to` is an address of the kind that the channel has.
    pub(super) fn address(&mut self, to: &'a ast::Expr, send: &ast::Send, facts: Facts) {
        let first = channel_names(&send.channels).first().map(|name| name.text.as_str()).unwrap_or_default();
        let address = self.schema.address_of(first).and_then(|name| self.schema.catalog.attribute(name));
        let want = address.map_or(Type::Text, |attribute| attribute.ty.required().clone());
        self.reader(facts).value(to, &want);
    }

    /// The purpose that counts: `for …`, else the template's own, else the journey's.
    pub(super) fn purpose_of(&mut self, send: &ast::Send) -> Option<Word> {
        let template = Word::from(send.template.joined());
        let own_reason = self.schema.catalog.transactional_templates.contains_key(&template);
        match &send.purpose {
            Some(name) if !self.schema.catalog.is_purpose(&name.text) => {
                if !self.schema.is_hidden(&name.text) {
                    self.out.push(unknown(Code::E0101, "purpose", name, self.schema.catalog.purpose_names()));
                }
                None
            }
            Some(name) => Some(name.text.as_str().into()),
            None if own_reason => Some("transactional".into()),
            None => self.purpose.clone(),
        }
    }

    /// Values of a `with`: any type, each name once.
    pub(super) fn with(&mut self, with: Option<&'a ast::Record>, facts: &Facts) {
        let Some(record) = with else { return };
        let mut seen: Vec<(&str, Span)> = Vec::new();
        for (name, value) in &record.pairs {
            match seen.iter().find(|(other, _)| *other == name.text) {
                Some((_, first)) => self.out.push(super::findings::twice("the value", name, *first)),
                None => seen.push((&name.text, name.span)),
            }
            self.reader(facts.clone()).any(value);
        }
    }

    pub(super) fn work(&mut self, stmt: &'a Stmt, work: &'a ast::Work, facts: Facts, call: bool) {
        let verb = if call { "call" } else { "assign" };
        let task = Name { text: work.task.joined(), span: work.task.span };
        if !self.schema.has(Noun::Task, &task.text) && !self.schema.is_hidden(&task.text) {
            let made = unknown(Code::E0101, "task", &task, self.schema.names(Noun::Task));
            self.out.push(match self.schema.has(Noun::Survey, &task.text) {
                true => made.help(format!("`{0}` is a survey: `ask {0} by CHANNEL up to 7 days`", task.text)),
                false => made,
            });
        }
        self.team(stmt.span, &task, work.team.as_ref(), call);
        match &work.limit {
            Some(limit) => self.length(limit),
            None => self.out.push(
                finding(
                    Code::E0509,
                    self.words(stmt.span, 2),
                    format!("this {verb} has no limit: it could lie there for ever"),
                )
                .label("until when?")
                .help("add `up to 5 working days`, say"),
            ),
        }
        self.with(work.with.as_ref(), &facts);
        if call {
            self.uses_channel(PHONE);
        }
        if let Some(purpose) = self.purpose.clone() {
            self.purposes.insert(stmt.span, purpose);
        }
    }

    pub(super) fn team(&mut self, span: Span, task: &Name, team: Option<&ast::Expr>, call: bool) {
        let word = if call { "by" } else { "to" };
        let Some(team) = team else {
            let message = format!("nobody is named who does `{}`", task.text);
            self.out.push(
                finding(Code::E0509, self.words(span, 2), message)
                    .label("by whom?")
                    .help(format!("add `{word} TEAM`")),
            );
            return;
        };
        match &team.kind {
            ExprKind::Path(path) if path.parts.len() == 1 => {
                let name = &path.parts[0];
                if !self.schema.has(Noun::Team, &name.text) && !self.schema.is_hidden(&name.text) {
                    self.out.push(unknown(Code::E0509, "team", name, self.schema.names(Noun::Team)));
                }
            }
            ExprKind::Error => {}
            _ => self.out.push(
                finding(Code::E0509, team.span, "the name of a team is wanted here").label("not a team"),
            ),
        }
    }

    pub(super) fn request(&mut self, request: &'a ast::Request, facts: Facts) {
        let endpoint = Name { text: request.endpoint.joined(), span: request.endpoint.span };
        if !self.schema.has(Noun::Endpoint, &endpoint.text) && !self.schema.is_hidden(&endpoint.text) {
            self.out.push(unknown(Code::E0101, "endpoint", &endpoint, self.schema.names(Noun::Endpoint)));
        }
        self.with(request.with.as_ref(), &facts);
        for (_, value) in request.with.iter().flat_map(|record| &record.pairs) {
            self.personal_data(value, &endpoint.text);
        }
    }

    /// A pool or an audience that a step names.
    pub(super) fn named(&mut self, noun: Noun, name: &Name) {
        if !self.schema.has(noun, &name.text) && !self.schema.is_hidden(&name.text) {
            self.out.push(unknown(Code::E0101, noun.as_str(), name, self.schema.names(noun)));
        }
    }

    /// W0111: what is marked `pii` leaves the house.
    pub(super) fn personal_data(&mut self, value: &'a ast::Expr, endpoint: &str) {
        let mut found = Vec::new();
        super::visit::each_expr(value, &mut |expr| {
            if let ExprKind::Path(path) = &expr.kind
                && let [contact, name] = path.parts.as_slice()
                && contact.text == "contact"
                && self.schema.catalog.attribute(&name.text).is_some_and(|attribute| attribute.pii)
            {
                found.push((name.clone(), path.span));
            }
        });
        for (name, span) in found {
            let message = format!("`{}` is personal data and leaves to `{endpoint}`", name.text);
            let mut made = finding(Code::W0111, span, message).label("goes out here");
            if let Some(declared) = self.schema.attributes.get(name.text.as_str()) {
                made = made.related(*declared, "marked `pii` here");
            }
            self.out.push(made.help("send `contact.id` instead if the other side can look the rest up"));
        }
    }

    pub(super) fn record(&mut self, event: &Path, with: Option<&'a ast::Record>, span: Span, facts: Facts) {
        let name = Name { text: event.joined(), span: event.span };
        if MESSAGE_EVENTS.iter().any(|(own, _)| *own == name.text) {
            let message = format!("`{}` is recorded by the engine alone", name.text);
            self.out.push(finding(Code::E0103, name.span, message).label("not by a journey"));
            return;
        }
        let Some(declared) = self.schema.catalog.events.get(name.text.as_str()) else {
            if !self.schema.is_hidden(&name.text) {
                self.out.push(unknown(Code::E0101, "event", &name, self.schema.names(Noun::Event)));
            }
            return;
        };
        let fields = declared.fields.clone();
        self.pairs(with, &fields, "field", Code::E0110, span, facts);
    }

    /// Pairs against declared fields; what is needed must be there even where nothing is written.
    pub(super) fn pairs(
        &mut self,
        with: Option<&'a ast::Record>,
        fields: &[FieldType],
        what: &str,
        code: Code,
        span: Span,
        facts: Facts,
    ) {
        let empty = ast::Record { pairs: Vec::new(), span: self.words(span, 2) };
        let record = with.unwrap_or(&empty);
        self.reader(facts).pairs(record, fields, what, code, true);
    }
}
