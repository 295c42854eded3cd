//! The items of all files become the schema: first what they declare, then the segments and scores that use it.

use std::collections::{BTreeMap, HashMap};

use super::expr::{Around, Reader};
use super::fields::{field_type, fields_of, fields_quietly};
use super::findings::{Findings, finding, not_yet, twice, unknown};
use super::names::Names;
use super::narrow::Facts;
use super::properties::Props;
use super::schema::{MESSAGE_EVENTS, Noun, Schema, Signature, with_id_and_at};
use super::watch::{Surroundings, watch_of};
use crate::diagnostic::{Code, FileId, Span};
use crate::engine::program::{Attribute, Endpoint, Event, Question, Segment, Survey, Word, pool_endpoint};
use crate::lang::Typed;
use crate::lang::ast::{self, Field, ItemKind, Name, TypeKind};
use crate::lang::types::{self, calendar};
use crate::time::Calendar;
use crate::value::{FieldType, Type, Value};

/// How long events are kept where nothing is said.
const KEEP: Calendar = Calendar { months: 0, days: 400, working_days: 0, ms: 0 };

/// How late an event may come and still start something.
const LATE: Calendar = Calendar { months: 0, days: 3, working_days: 0, ms: 0 };

/// Reads all declarations.
pub(super) struct Declarations<'c, 'a> {
    pub(super) schema: Schema<'a>,
    pub(super) out: &'c mut Findings,
    pub(super) exprs: &'c mut HashMap<Span, Typed>,
}

impl<'a> Declarations<'_, 'a> {
    /// Everything but the journeys' insides.
    pub(super) fn read(mut self, files: &'a [(FileId, ast::File)]) -> Schema<'a> {
        let items = || files.iter().flat_map(|(file, tree)| tree.items.iter().map(|item| (*file, item)));
        for (_, item) in items() {
            match &item.kind {
                ItemKind::Error => self.schema.damaged.push(item.span),
                ItemKind::Purpose { name, parent, .. } => self.purpose(name, parent),
                _ => {}
            }
        }
        self.purpose_parents(files);
        for (_, item) in items() {
            self.contact(item);
        }
        // Channels name attributes, events name nothing, everything else may name both.
        for (_, item) in items() {
            self.nouns(item);
        }
        self.channel_teams(files);
        for (_, item) in items() {
            self.audience(item);
        }
        self.message_events();
        for (file, item) in items() {
            self.journey(file, item);
        }
        self.message_event_fields();
        for (_, item) in items() {
            if let ItemKind::Policy { name, rules } = &item.kind {
                self.declare(Noun::Policy, name);
                self.policy(rules);
            }
        }
        for (_, item) in items() {
            self.conditions(item);
        }
        self.watches();
        self.schema
    }

    // ---------------------------------------------------------------- names

    /// Declares a name; false when it stands already.
    fn declare(&mut self, noun: Noun, name: &Name) -> bool {
        let key = (noun, Word::from(name.text.as_str()));
        match self.schema.declared.get(&key) {
            Some(first) => {
                let finding = twice(&format!("the {}", noun.as_str()), name, *first);
                self.out.push(finding);
                false
            }
            None => {
                self.schema.declared.insert(key, name.span);
                true
            }
        }
    }

    fn purpose(&mut self, name: &Name, parent: &Name) {
        if matches!(name.text.as_str(), "marketing" | "transactional") {
            self.out.push(
                finding(
                    Code::E0102,
                    name.span,
                    format!("the purpose `{}` is there without being declared", name.text),
                )
                .label("declared by the language"),
            );
        } else if self.declare(Noun::Purpose, name) {
            let parent = parent.text.as_str().into();
            self.schema.catalog.purposes.insert(name.text.as_str().into(), parent);
        }
    }

    /// Parents may stand after their children, so they are looked at when all are known.
    fn purpose_parents(&mut self, files: &[(FileId, ast::File)]) {
        for item in files.iter().flat_map(|(_, tree)| &tree.items) {
            let ItemKind::Purpose { name, parent, .. } = &item.kind else { continue };
            if !self.schema.catalog.is_purpose(&parent.text) {
                if !self.schema.is_hidden(&parent.text) {
                    self.out.push(unknown(
                        Code::E0101,
                        "purpose",
                        parent,
                        self.schema.catalog.purpose_names(),
                    ));
                }
                self.schema.catalog.purposes.remove(name.text.as_str());
                continue;
            }
            let word = Word::from(name.text.as_str());
            let rooted =
                self.schema.catalog.lineage(&word).any(|p| !self.schema.catalog.purposes.contains_key(p));
            if !rooted {
                let message = format!("the purpose `{}` is refined from itself", name.text);
                self.out.push(finding(Code::E0101, parent.span, message).label("goes in a circle"));
                self.schema.catalog.purposes.remove(name.text.as_str());
            }
        }
    }

    // ---------------------------------------------------------------- contact and events

    fn contact(&mut self, item: &ast::Item) {
        let ItemKind::Contact(fields) = &item.kind else { return };
        for field in fields {
            if let Some(first) = self.schema.attributes.get(field.name.text.as_str()) {
                self.out.push(twice("the attribute", &field.name, *first));
                continue;
            }
            self.schema.attributes.insert(field.name.text.as_str().into(), field.name.span);
            if field.name.text == "id" {
                self.out.push(
                    finding(Code::E0102, field.name.span, "every contact has an `id` of its own already")
                        .label("declared by the language")
                        .help("call it `customer_number`, say"),
                );
                continue;
            }
            self.attribute(field);
        }
    }

    fn attribute(&mut self, field: &Field) {
        for modifier in field.modifiers.iter().filter(|modifier| modifier.text == "dedupe") {
            self.out.push(
                finding(Code::E0103, modifier.span, "`dedupe` says which field makes an event unique")
                    .label("not for attributes of the contact"),
            );
        }
        let ty = field_type(self.out, &field.ty);
        let list = matches!(field.ty.kind, ast::TypeKind::List(_));
        if !field.ty.optional && field.default.is_none() && !list && ty.is_some() {
            let message = format!("not everybody has `{}`: it needs `?` or a default", field.name.text);
            let place = field.ty.span.shrink_to_end();
            self.out.push(
                finding(Code::E0114, field.name.span, message)
                    .label("neither optional nor with a default")
                    .help("write `?` behind its type, or `= …`")
                    .suggest("make it optional", place, "?"),
            );
        }
        let Some(ty) = ty else { return };
        let default = match &field.default {
            Some(default) => self.constant(default, &ty),
            None if list => Some(Value::List(Vec::new())),
            None => Some(Value::Unknown),
        };
        let has = |word: &str| field.modifiers.iter().any(|modifier| modifier.text == word);
        self.schema.catalog.attributes.push(Attribute {
            name: field.name.text.as_str().into(),
            ty,
            default: default.unwrap_or_default(),
            unique: has("unique"),
            pii: has("pii"),
        });
    }

    fn constant(&mut self, expr: &ast::Expr, want: &Type) -> Option<Value> {
        let mut names = Names::empty();
        let mut reader = self.reader(&mut names, Around::Constant);
        let read = reader.value(expr, want.required())?;
        super::literals::constant_of(&read.expr)
    }

    fn reader<'r>(&'r mut self, names: &'r mut Names<'a>, around: Around) -> Reader<'r, 'a> {
        Reader {
            schema: &self.schema,
            out: self.out,
            exprs: self.exprs,
            names,
            around,
            facts: Facts::default(),
            rows: Vec::new(),
            live: true,
        }
    }

    fn event(&mut self, event: &ast::EventDecl) {
        let fields = fields_of(self.out, &event.fields, true);
        let is_dedupe = |field: &&Field| field.modifiers.iter().any(|modifier| modifier.text == "dedupe");
        let mut dedupe = event.fields.iter().filter(is_dedupe);
        let first = dedupe.next();
        if let (Some(first), Some(second)) = (first, dedupe.next()) {
            let made = finding(Code::E0102, second.name.span, "one field makes an event unique, not two")
                .label("`dedupe` again")
                .related(first.name.span, "this one is it");
            self.out.push(made);
        }
        let keep = event.keep.as_ref().map_or(KEEP, |keep| self.length(keep));
        let late_after = event.late_after.as_ref().map_or(LATE, |late| self.length(late));
        let name = Word::from(event.name.text.as_str());
        self.schema.events.insert(name.clone(), with_id_and_at(fields.clone()));
        let aliases = event.aliases.iter().map(|alias| alias.value.as_str().into()).collect();
        let dedupe = first.map(|field| Word::from(field.name.text.as_str()));
        self.schema.catalog.events.insert(name, Event { fields, dedupe, aliases, keep, late_after });
        for alias in &event.aliases {
            self.alias(&event.name, alias);
        }
    }

    /// A name outside leads to one event.
    fn alias(&mut self, event: &Name, alias: &ast::Text) {
        let has = |(name, other): &(&Word, &Event)| {
            ***name != *event.text && other.aliases.iter().any(|a| **a == *alias.value)
        };
        let other = self.schema.catalog.events.iter().find(has).map(|(name, _)| name.clone());
        if let Some(other) = other {
            let message = format!("\"{}\" is the name that `{other}` has outside already", alias.value);
            self.out.push(finding(Code::E0102, alias.span, message).label("one name, two events"));
        }
    }

    fn length(&mut self, duration: &ast::Duration) -> Calendar {
        let mut names = Names::empty();
        let mut reader = self.reader(&mut names, Around::Constant);
        reader.duration(duration);
        super::time::working_days(&mut reader, duration);
        calendar(duration)
    }

    /// Events that the engine writes about messages; stored with plain text for names.
    fn message_events(&mut self) {
        let field = |name: &str, ty| FieldType { name: name.into(), ty };
        for (name, _) in MESSAGE_EVENTS {
            let fields = vec![
                field("channel", Type::Text),
                field("template", Type::Text),
                field("journey", Type::Text),
                field("purpose", Type::Text),
                field("link", Type::Text.optional()),
                field("text", Type::Text.optional()),
            ];
            let event = Event { fields, dedupe: None, aliases: Vec::new(), keep: KEEP, late_after: LATE };
            if let Some(place) = self.schema.declared.get(&(Noun::Event, name.into())) {
                let message = format!("the event `{name}` is there without being declared");
                self.out.push(finding(Code::E0102, *place, message).label("declared by the language"));
            }
            self.schema.catalog.events.insert(name.into(), event);
            let place = Span::default();
            self.schema.declared.entry((Noun::Event, name.into())).or_insert(place);
        }
    }

    /// Names in message events are listed values, so that they are written bare and near misses are found.
    fn message_event_fields(&mut self) {
        for (name, outcome) in MESSAGE_EVENTS {
            let fields = self.schema.message_fields(outcome);
            self.schema.events.insert(name.into(), fields);
        }
    }

    // ---------------------------------------------------------------- the other nouns

    fn nouns(&mut self, item: &'a ast::Item) {
        match &item.kind {
            ItemKind::Event(event) => {
                if self.declare(Noun::Event, &event.name) {
                    self.event(event);
                }
            }
            ItemKind::Channel(channel) => {
                if self.declare(Noun::Channel, &channel.name) {
                    let read = Props::new(self, &channel.props).channel();
                    if let Some(cost) = Props::new(self, &channel.props).cost() {
                        self.schema.catalog.costs.insert(channel.name.text.as_str().into(), cost);
                    }
                    self.schema.catalog.channels.insert(channel.name.text.as_str().into(), read);
                }
            }
            ItemKind::Task(task) => {
                if self.declare(Noun::Task, &task.name) {
                    let read = Props::new(self, &task.props).task(&task.name);
                    if let Some(cost) = Props::new(self, &task.props).cost() {
                        self.schema.catalog.task_costs.insert(task.name.text.as_str().into(), cost);
                    }
                    self.schema.catalog.tasks.insert(task.name.text.as_str().into(), read);
                }
            }
            ItemKind::Team(team) => {
                if self.declare(Noun::Team, &team.name) {
                    let read = Props::new(self, &team.props).team();
                    self.schema.catalog.teams.insert(team.name.text.as_str().into(), read);
                }
            }
            ItemKind::Endpoint { path, props, .. } => {
                let name = Name { text: path.joined(), span: path.span };
                if self.declare(Noun::Endpoint, &name) {
                    let headers = Props::new(self, props).headers();
                    if !headers.is_empty() {
                        self.schema.catalog.headers.insert(name.text.as_str().into(), headers);
                    }
                    let read = Props::new(self, props).endpoint(&name);
                    self.schema.catalog.endpoints.insert(name.text.as_str().into(), read);
                }
            }
            ItemKind::Audience(audience) => {
                // Read when all channels are known.
                self.declare(Noun::Audience, &audience.name);
            }
            ItemKind::Survey { name, title, fields } => {
                let is_new = self.declare(Noun::Survey, name);
                self.questions(name, fields);
                let read = survey(name, title.as_ref(), fields, fields_of(self.out, fields, true));
                if is_new {
                    self.schema.catalog.surveys.insert(name.text.as_str().into(), read);
                }
            }
            ItemKind::Pool { name, fields, .. } => {
                let is_new = self.declare(Noun::Pool, name);
                if fields.is_empty() && !self.schema.has_mistake(item.span) {
                    let message = format!("the pool `{}` says nothing of what lies in it", name.text);
                    self.out.push(
                        finding(Code::E0103, name.span, message)
                            .label("no fields")
                            .help(format!("write `pool {} {{ code: text }}`, say", name.text)),
                    );
                }
                let fields = fields_of(self.out, fields, true);
                if is_new {
                    self.schema.catalog.endpoints.insert(pool_endpoint(&name.text), Endpoint::pool(fields));
                }
            }
            ItemKind::Segment(segment) => {
                if self.declare(Noun::Segment, &segment.name) {
                    self.schema.segments.insert(segment.name.text.as_str().into(), segment);
                }
            }
            ItemKind::Score(score) => {
                if let Some(first) =
                    self.schema.declared.get(&(Noun::Segment, score.name.text.as_str().into()))
                {
                    let first = *first;
                    self.out.push(twice("the name", &score.name, first));
                } else if self.declare(Noun::Score, &score.name) {
                    self.schema.scores.insert(score.name.text.as_str().into(), score);
                }
            }
            ItemKind::Template { name, class, because } => self.template(name, class, because.as_ref()),
            ItemKind::Contact(_)
            | ItemKind::Import(_)
            | ItemKind::Purpose { .. }
            | ItemKind::Policy { .. }
            | ItemKind::Journey(_)
            | ItemKind::Test(_)
            | ItemKind::Error => {}
        }
    }

    fn audience(&mut self, item: &'a ast::Item) {
        let ItemKind::Audience(ast::PropsDecl { name, props, .. }) = &item.kind else { return };
        let is_first = self.schema.declared.get(&(Noun::Audience, name.text.as_str().into()));
        if is_first == Some(&name.span) {
            let read = Props::new(self, props).audience(name);
            self.schema.catalog.audiences.insert(name.text.as_str().into(), read);
        }
    }

    /// The teams of channels are declared, and each speaks on one channel, by which it is known.
    fn channel_teams(&mut self, files: &'a [(FileId, ast::File)]) {
        let mut seen: HashMap<&str, (&Name, Span)> = HashMap::new();
        for item in files.iter().flat_map(|(_, tree)| &tree.items) {
            let ItemKind::Channel(channel) = &item.kind else { continue };
            let read = self.schema.catalog.channels.get(channel.name.text.as_str());
            if read.is_none_or(|channel| channel.team().is_none()) {
                continue;
            }
            let team = channel.props.iter().find(|prop| prop.name.text == "team");
            let Some(ast::PropValue::Expr(ast::Expr { kind: ast::ExprKind::Path(path), .. })) =
                team.map(|prop| &prop.value)
            else {
                continue;
            };
            let [team] = path.parts.as_slice() else { continue };
            if !self.schema.has(Noun::Team, &team.text) && !self.schema.is_hidden(&team.text) {
                self.out.push(unknown(Code::E0509, "team", team, self.schema.names(Noun::Team)));
            }
            match seen.get(team.text.as_str()) {
                Some((first, place)) if first.text != channel.name.text => {
                    let message = format!("`{}` speaks on `{}` already", team.text, first.text);
                    let made = finding(Code::E0102, team.span, message)
                        .label("one team, two channels")
                        .related(*place, "on this one")
                        .help("give each channel a team of its own");
                    self.out.push(made);
                }
                Some(_) => {}
                None => _ = seen.insert(&team.text, (&channel.name, team.span)),
            }
        }
    }

    /// A survey asks something, and each question has one value for its answer.
    fn questions(&mut self, name: &Name, fields: &[Field]) {
        if fields.is_empty() && !self.schema.has_mistake(name.span) {
            let message = format!("the survey `{}` asks nothing", name.text);
            self.out.push(finding(Code::E0103, name.span, message).label("no questions").help(format!(
                "add questions: `survey {} {{ score: number from 0 to 10 \"…\" }}`",
                name.text
            )));
        }
        for field in fields.iter().filter(|f| matches!(f.ty.kind, TypeKind::List(_) | TypeKind::Record(_))) {
            let message = format!("`{}` is answered with one value, not with several", field.name.text);
            self.out.push(
                finding(Code::E0103, field.ty.span, message)
                    .label("not a single answer")
                    .help("ask for each by itself: a `yesno` for each choice, say"),
            );
        }
    }

    fn template(&mut self, name: &ast::Path, class: &Name, because: Option<&ast::Text>) {
        let whole = Name { text: name.joined(), span: name.span };
        if !self.declare(Noun::Template, &whole) {
            return;
        }
        if !self.schema.catalog.is_purpose(&class.text) {
            self.out.push(unknown(Code::E0101, "purpose", class, self.schema.catalog.purpose_names()));
            return;
        }
        if !self.schema.is_transactional(&class.text.as_str().into()) {
            let message = format!("only what is transactional stands here, not `{}`", class.text);
            self.out.push(
                finding(Code::E0103, class.span, message)
                    .label("the purpose of a journey or a `for` says this")
                    .help("leave the line out"),
            );
            return;
        }
        match because {
            Some(because) if !because.value.trim().is_empty() => {
                let reason = because.value.as_str().into();
                self.schema.catalog.transactional_templates.insert(whole.text.as_str().into(), reason);
            }
            _ => self.out.push(without_reason(&whole)),
        }
    }

    // ---------------------------------------------------------------- journeys, segments, scores

    fn journey(&mut self, file: FileId, item: &'a ast::Item) {
        let ItemKind::Journey(journey) = &item.kind else { return };
        if !self.declare(Noun::Journey, &journey.name) {
            return;
        }
        let purpose = journey.items.iter().find_map(|item| match &item.kind {
            ast::JourneyItemKind::Purpose { name, .. } => Some(Word::from(name.text.as_str())),
            _ => None,
        });
        let arguments = journey.items.iter().find_map(|item| match &item.kind {
            ast::JourneyItemKind::Enter(enter) => match &enter.how {
                ast::EnterHow::ByStart(fields) => Some(fields_quietly(fields)),
                _ => None,
            },
            _ => None,
        });
        let marketing = purpose.as_ref().is_some_and(|purpose| !self.schema.is_transactional(purpose));
        let reasons = super::reasons::of(journey, marketing);
        let signature = Signature { file, journey, arguments, reasons };
        self.schema.journeys.insert(journey.name.text.as_str().into(), signature);
    }

    fn conditions(&mut self, item: &ast::Item) {
        let mut names = Names::empty();
        match &item.kind {
            ItemKind::Segment(segment) => {
                let read = self.reader(&mut names, Around::Contact).value(&segment.expr, &Type::YesNo);
                super::time::newcomers(&self.schema, &segment.expr, self.out);
                super::constant::condition(&self.schema, &names, &Facts::default(), &segment.expr, self.out);
                let Some(read) = read else { return };
                let condition = read.expr;
                let segment_ = Segment { condition, watch: Default::default() };
                self.schema.catalog.segments.insert(segment.name.text.as_str().into(), segment_);
            }
            ItemKind::Score(score) => {
                let mut reader = self.reader(&mut names, Around::Contact);
                let Some(read) = reader.any(&score.expr) else { return };
                let Some(read) = reader.required(read, score.expr.span) else { return };
                if !types::is_numeric(&read.ty) {
                    let message = format!("a score is a number, not {}", types::noun(&read.ty));
                    self.out.push(finding(Code::E0103, score.expr.span, message).label("not a number"));
                    return;
                }
                self.schema.catalog.scores.insert(score.name.text.as_str().into(), read.expr);
            }
            _ => {}
        }
    }

    /// Segments may use each other in any order, so what they depend on is known when all are read.
    fn watches(&mut self) {
        let conditions: BTreeMap<Word, crate::engine::program::Expr> = self
            .schema
            .catalog
            .segments
            .iter()
            .map(|(name, segment)| (name.clone(), segment.condition.clone()))
            .collect();
        let scores = self.schema.catalog.scores.clone();
        let purposes = self.schema.catalog.purposes.clone();
        let around = Surroundings { segments: &conditions, scores: &scores, purposes: &purposes, slots: &[] };
        for segment in self.schema.catalog.segments.values_mut() {
            segment.watch = watch_of(&segment.condition, &around);
        }
        super::circles::segments(&self.schema, self.out);
    }

    /// A rule of a later release, or a part of one.
    pub(super) fn refuse(&mut self, span: Span, what: &str) {
        self.out.push(not_yet(span, what));
    }
}

/// A transactional template without a reason.
pub(super) fn without_reason(template: &Name) -> crate::diagnostic::Diagnostic {
    let message = format!("`{}` leaves without consent, and nothing says why it may", template.text);
    finding(Code::E0501, template.span, message)
        .label("transactional without a reason")
        .help("add the reason: `because \"…\"`")
}

/// The questions of a survey: of each field that could be read, with the words beside it.
fn survey(name: &Name, title: Option<&ast::Text>, fields: &[ast::Field], read: Vec<FieldType>) -> Survey {
    let asked = |field: &FieldType| {
        let written = fields.iter().find(|written| *written.name.text == *field.name);
        let title = written.and_then(|written| written.title.as_ref());
        title.map_or_else(|| field.name.to_string(), |title| title.value.clone())
    };
    let questions = read.into_iter().map(|field| Question { text: asked(&field).into(), field }).collect();
    Survey {
        title: title.map_or_else(|| name.text.as_str().into(), |title| title.value.as_str().into()),
        questions,
    }
}
