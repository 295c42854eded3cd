//! Names and paths in expressions: what a root stands for, and the fields behind it.

use super::expr::{Around, Reader};
use super::findings::{finding, unknown};
use super::names::Form;
use super::narrow::Place;
use super::schema::Noun;
use crate::diagnostic::{Code, suggest};
use crate::engine::eval::ANSWERED;
use crate::engine::program::{Expr, SlotIx, SlotKind, Word};
use crate::lang::Typed;
use crate::lang::ast::{Name, Path};
use crate::lang::types::{self, noun};
use crate::value::{FieldType, Type, Value};

/// Outcomes of messages, each yes or no.
const MESSAGE: [&str; 10] = [
    "sent",
    "delivered",
    "opened",
    "clicked",
    "bounced",
    "complained",
    "replied",
    "failed",
    "unreachable",
    "skipped",
];

/// Why a message was not sent.
const SKIPPED: [&str; 7] = ["cap", "quiet", "consent", "suppressed", "late", "holdout", "paused"];

/// Words for times that people use, and how they are written here.
const TIMES: [(&str, &str); 6] = [
    ("midnight", "00:00"),
    ("noon", "12:00"),
    ("now", "now()"),
    ("today", "today()"),
    ("tomorrow", "wait 1 day` or `wait 1 day then until 09:00"),
    ("yesterday", "today() - 1 day"),
];

/// What the first part of a path stands for.
enum Root {
    Contact,
    Slot(SlotIx),
    /// `entry` as written.
    Entry,
    Row(usize),
    Segment(Word),
    Score(Word),
}

impl Reader<'_, '_> {
    /// A path or a bare word.
    pub(super) fn path(&mut self, path: &Path, hint: Option<&Type>) -> Option<Typed> {
        let first = &path.parts[0];
        let root = self.root(first);
        if let ([word], Some(Type::OneOf(values))) = (path.parts.as_slice(), hint)
            && let Some(value) = values.iter().find(|value| ***value == *word.text)
        {
            if root.is_some() && !matches!(root, Some(Root::Contact)) {
                self.report(
                    finding(
                        Code::E0121,
                        word.span,
                        format!("`{}` is a listed value and a name too", word.text),
                    )
                    .label("which of them?")
                    .help("give the variable, step or segment another name"),
                );
                return None;
            }
            return Some(Typed { ty: types::one_of([value]), expr: Expr::Const(Value::Text(value.clone())) });
        }
        match root {
            Some(root) => self.rooted(root, path),
            None => self.no_such_root(path, hint),
        }
    }

    /// Whether an expression is one word that names nothing: it can only be a listed value.
    pub(super) fn is_bare_word(&self, expr: &crate::lang::ast::Expr) -> bool {
        match &expr.kind {
            crate::lang::ast::ExprKind::Path(path) => {
                path.parts.len() == 1 && self.root(&path.parts[0]).is_none()
            }
            _ => false,
        }
    }

    fn root(&self, name: &Name) -> Option<Root> {
        if self.around == Around::Constant {
            return None;
        }
        if let Some(row) = self.rows.iter().rposition(|row| *row.name == *name.text) {
            return Some(Root::Row(row));
        }
        if name.text == "contact" {
            return Some(Root::Contact);
        }
        if self.around == Around::Journey {
            if name.text == "entry" {
                return Some(Root::Entry);
            }
            if let Some(slot) = self.names.find(name, |slot| self.facts.is_assigned(slot)) {
                return Some(Root::Slot(slot));
            }
        }
        let word = Word::from(name.text.as_str());
        if self.schema.has(Noun::Segment, &name.text) {
            return Some(Root::Segment(word));
        }
        self.schema.has(Noun::Score, &name.text).then_some(Root::Score(word))
    }

    fn no_such_root(&mut self, path: &Path, hint: Option<&Type>) -> Option<Typed> {
        let name = &path.parts[0];
        if self.is_hidden(&name.text) || self.schema.is_beside_mistake(name.span) {
            return None;
        }
        if self.around == Around::Constant {
            let word = self.text(path.span).to_owned();
            return self.mismatch(path.span, format!("only a fixed value can stand here, not `{word}`"));
        }
        if let (Some(Type::OneOf(values)), 1) = (hint, path.parts.len()) {
            let all: Vec<&str> = values.iter().map(|value| &**value).collect();
            let near = suggest::did_you_mean(&name.text, all.iter().copied());
            let message = format!("`{}` is not one of the listed values", name.text);
            let made = finding(Code::E0104, name.span, message).label("not in the list");
            self.report(super::findings::with_near_miss(made, near, &all, name.span));
            return None;
        }
        if self.schema.has(Noun::Event, &name.text) {
            let message = format!("nothing here is called `{}`: it is an event", name.text);
            self.report(
                finding(Code::E0101, name.span, message)
                    .label("no event at hand")
                    .help(format!("ask the history, for example `any({} within 30 days)`", name.text)),
            );
            return None;
        }
        if self.schema.catalog.attribute(&name.text).is_some() && path.parts.len() == 1 {
            let message = format!("nothing here is called `{}`", name.text);
            let title = format!("write `contact.{}`", name.text);
            self.report(
                finding(Code::E0101, name.span, message)
                    .label("an attribute of the contact")
                    .help(title.clone())
                    .fix(title, name.span, format!("contact.{}", name.text)),
            );
            return None;
        }
        if let ([field], [one]) = (path.parts.as_slice(), self.holders(&name.text).as_slice()) {
            let whole = format!("{one}.{}", field.text);
            let made = finding(Code::E0101, name.span, format!("nothing here is called `{}`", name.text));
            let made = made.label(format!("a field of `{one}`")).help(format!("write `{whole}`"));
            self.report(made.suggest(format!("write `{whole}`"), name.span, whole));
            return None;
        }
        let mut all: Vec<&str> = vec!["contact"];
        if self.around == Around::Journey {
            all.extend(self.names.slots.iter().map(|slot| &*slot.name));
        }
        all.extend(self.rows.iter().map(|row| &*row.name));
        all.extend(self.schema.names(Noun::Segment));
        all.extend(self.schema.names(Noun::Score));
        let near = suggest::did_you_mean(&name.text, all.iter().copied());
        let made = finding(Code::E0101, name.span, format!("nothing here is called `{}`", name.text))
            .label("not declared");
        let made = super::findings::with_near_miss(made, near, &[], name.span);
        let made = match (&made.help, TIMES.iter().find(|(word, _)| *word == name.text)) {
            (Some(_), _) => made,
            (None, Some((_, ours))) => made.help(format!("write `{ours}`")),
            (None, None) => made.help(match name.text.as_str() {
                "happened" | "missed" | "late" | "clicked" | "opened" | "sent" | "failed" | "skipped" => {
                    format!("a result stands after the name of its step: `STEP.{}`", name.text)
                }
 "yes" | "ja" | "wahr" => "write `true`".to_owned(),
                "no" | "nein" | "falsch" => "write `false`".to_owned(),
                "monday" | "tuesday" | "wednesday" | "thursday" | "friday" | "saturday" | "sunday" | "weekday"
                | "weekend" => format!("days are asked by `today is {}`", name.text),
                word => {
                    let text = if word.contains(char::is_uppercase) {
                        format!("if a text is meant, write `\"{word}\"`; ")
                    } else {
                        String::new()
                    };
                    format!("{text}attributes are written `contact.…`; other names come from `as` and `let`, and from the schema")
                }
            }),
        };
        self.report(made);
        None
    }

    /// The names whose fields one of that name is among.
    fn holders(&self, field: &str) -> Vec<Word> {
        let has = |fields: &Option<Vec<crate::value::FieldType>>| {
            fields.iter().flatten().any(|one| &*one.name == field)
        };
        let rows = self.rows.iter().filter(|row| has(&row.fields)).map(|row| row.name.clone());
        let in_scope = |number: usize| {
            self.around == Around::Journey
                && SlotIx::try_from(number).is_ok_and(|slot| self.facts.is_assigned(slot))
        };
        let slots = self.names.slots.iter().enumerate();
        let slots = slots.filter(|(number, slot)| has(&slot.fields) && in_scope(*number));
        let mut all: Vec<Word> = rows.chain(slots.map(|(_, slot)| slot.name.clone())).collect();
        all.dedup();
        all
    }

    /// Whether the word stands in text that could not be read, so that it may be declared there.
    pub(super) fn is_hidden(&self, word: &str) -> bool {
        let sources = &self.schema.input.sources;
        self.schema.is_hidden(word)
            || self.names.damaged.iter().any(|span| super::schema::has_word(sources.slice(*span), word))
    }

    fn rooted(&mut self, root: Root, path: &Path) -> Option<Typed> {
        let name = &path.parts[0];
        match root {
            Root::Contact => self.contact(path),
            Root::Entry => self.slot(0, path),
            Root::Slot(slot) => self.slot(slot, path),
            Root::Row(row) => self.row(row, path),
            Root::Segment(word) => {
                self.whole(path, "a segment")?;
                Some(Typed { ty: Type::YesNo, expr: Expr::Segment(word) })
            }
            Root::Score(word) => {
                self.whole(path, "a score")?;
                let ty =
                    self.exprs.get(&self.schema.scores.get(&word)?.expr.span).map(|read| read.ty.clone());
                let ty = ty.unwrap_or(Type::Number(None));
                let _ = name;
                Some(Typed { ty, expr: Expr::Score(word) })
            }
        }
    }

    fn whole(&mut self, path: &Path, what: &str) -> Option<()> {
        match path.parts.get(1) {
            None => Some(()),
            Some(field) => {
                let message = format!("`{}` is {what} and has no `{}`", path.parts[0].text, field.text);
                self.report(finding(Code::E0101, field.span, message).label("nothing behind the dot"));
                None
            }
        }
    }

    fn contact(&mut self, path: &Path) -> Option<Typed> {
        let Some(field) = path.parts.get(1) else {
            return self
                .mismatch(path.span, "`contact` is the person; name one of its attributes".to_owned());
        };
        if field.text == "id" && self.schema.catalog.attribute("id").is_none() {
            return self.deeper(Typed { ty: Type::Id, expr: Expr::ContactId }, path, 2);
        }
        let Some(attribute) = self.schema.catalog.attribute(&field.text) else {
            if !self.is_hidden(&field.text) {
                let all = self.schema.catalog.attributes.iter().map(|attribute| &*attribute.name);
                let made = unknown(Code::E0101, "attribute", field, all);
                self.report(match field.text.as_str() {
                    "consent" | "consents" => {
                        made.help("consent is no attribute; ask for it with `consent marketing on email`")
                    }
                    _ => made,
                });
            }
            return None;
        };
        let place = Place::Attribute(attribute.name.clone());
        let read = Typed { ty: attribute.ty.clone(), expr: Expr::Attribute(attribute.name.clone()) };
        let read = self.narrowed(read, &place);
        self.deeper(read, path, 2)
    }

    fn row(&mut self, row: usize, path: &Path) -> Option<Typed> {
        self.rows[row].used = true;
        if row + 1 < self.rows.len() {
            self.report(super::findings::not_yet(path.span, "a question about history inside another"));
            return None;
        }
        let fields = self.rows[row].fields.clone()?;
        let name = self.rows[row].name.clone();
        let Some(field) = path.parts.get(1) else {
            return Some(Typed { ty: Type::Record(fields.into()), expr: Expr::Row });
        };
        let ty = self.event_field(&name, &fields, field)?;
        let word = Word::from(field.text.as_str());
        let read = Typed { ty, expr: Expr::Field(Box::new(Expr::Row), word.clone()) };
        let read = self.narrowed(read, &Place::Row(name, word));
        self.deeper(read, path, 2)
    }

    /// A field of an event, or E0110.
    fn event_field(&mut self, event: &str, fields: &[FieldType], field: &Name) -> Option<Type> {
        if let Some(ty) = types::field(fields, &field.text) {
            return Some(ty.clone());
        }
        if self.is_hidden(&field.text) {
            return None;
        }
        let all: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
        let near = suggest::did_you_mean(&field.text, all.iter().copied());
        let made = finding(Code::E0110, field.span, format!("`{event}` has no field `{}`", field.text))
            .label("no such field");
        self.report(super::findings::with_near_miss(made, near, &all, field.span));
        None
    }

    /// Without `?` where it is known to be there.
    fn narrowed(&self, read: Typed, place: &Place) -> Typed {
        match read.ty {
            Type::Optional(inner) if self.facts.is_known(place) => {
                Typed { ty: (*inner).clone(), expr: read.expr }
            }
            ty => Typed { ty, expr: read.expr },
        }
    }

    /// Fields of a record inside.
    fn deeper(&mut self, read: Typed, path: &Path, from: usize) -> Option<Typed> {
        let mut read = read;
        for field in path.parts.iter().skip(from) {
            let span = path.span;
            read = self.required(read, span)?;
            let Type::Record(fields) = &read.ty else {
                let message = format!("{} has no `{}`", noun(&read.ty), field.text);
                return self.mismatch(field.span, message);
            };
            let fields = fields.clone();
            let ty = self.event_field("the record", &fields, field)?;
            read = Typed { ty, expr: Expr::Field(Box::new(read.expr), field.text.as_str().into()) };
        }
        Some(read)
    }

    // ---------------------------------------------------------------- slots

    fn slot(&mut self, slot: SlotIx, path: &Path) -> Option<Typed> {
        self.names.slot_mut(slot).mentioned = true;
        let Some(field) = path.parts.get(1) else { return self.bare(slot, path) };
        self.ran(slot, path)?;
        let word = Word::from(field.text.as_str());
        let ty = self.slot_field(slot, field)?;
        if let (Form::Ask, "missed") = (&self.names.slot(slot).form, field.text.as_str()) {
            self.names.use_field(slot, &ANSWERED.into());
            let answered = Expr::Field(Box::new(Expr::Slot(slot)), ANSWERED.into());
            return self.deeper(Typed { ty, expr: Expr::Not(Box::new(answered)) }, path, 2);
        }
        self.names.use_field(slot, &word);
        let read = Typed { ty, expr: Expr::Field(Box::new(Expr::Slot(slot)), word.clone()) };
        let read = self.narrowed(read, &Place::Field(slot, word));
        self.deeper(read, path, 2)
    }

    /// Refuses what may not have run.
    fn ran(&mut self, slot: SlotIx, path: &Path) -> Option<()> {
        if self.facts.is_assigned(slot) {
            return Some(());
        }
        let info = self.names.slot(slot);
        let (name, kind, span) = (info.name.clone(), info.kind, info.span);
        let what = match kind {
            SlotKind::Let => "has no value yet on some path that leads here",
            SlotKind::Event => "is known in its own block alone",
            _ => "may not have run on every path that leads here",
        };
        let made = finding(Code::E0106, path.span, format!("`{name}` {what}"))
            .label("used here")
            .related(span, "gets its result here");
        let made = match kind {
            SlotKind::Event => made.help("use it inside the block, or keep what you need with `set`"),
            _ if self.live => {
                made.help(format!("write `on {name}.…` instead of `when`, which waits for the step"))
            }
            _ => {
                made.help("move this into the branch that has the result, or let every path pass there first")
            }
        };
        self.report(made);
        None
    }

    /// A name alone: the value of a `let`, the record of an event, else the moment when the step was done.
    fn bare(&mut self, slot: SlotIx, path: &Path) -> Option<Typed> {
        self.ran(slot, path)?;
        let info = self.names.slot(slot);
        match (&info.form, info.kind) {
            (Form::Let, _) => {
                let read = Typed { ty: info.ty.clone()?, expr: Expr::Slot(slot) };
                Some(self.narrowed(read, &Place::Value(slot)))
            }
            (Form::Event, _) => {
                let fields = info.fields.clone()?;
                for field in &fields {
                    self.names.use_field(slot, &field.name);
                }
                Some(Typed { ty: Type::Record(fields.into()), expr: Expr::Slot(slot) })
            }
            _ => {
                self.names.slot_mut(slot).moment_used = true;
                Some(Typed { ty: Type::Moment, expr: Expr::MomentOf(slot) })
            }
        }
    }

    /// The type of a field of a result (section 2.2 of the language).
    fn slot_field(&mut self, slot: SlotIx, field: &Name) -> Option<Type> {
        let info = self.names.slot(slot);
        let name = info.name.clone();
        let form = info.form.clone();
        let fields = info.fields.clone();
        let place = |word: &str| Place::Field(slot, word.into());
        let truth = |word: &str| self.facts.truth(&place(word));
        match form {
            Form::Entry | Form::Event => self.event_field(&name, &fields?, field),
            Form::WaitEvent(event) => match field.text.as_str() {
                "happened" | "missed" | "late" => Some(Type::YesNo),
                "event" => Some(self.event_names(event).optional()),
                _ => {
                    let came = self.facts.unsure || truth("happened") == Some(true);
                    let near = suggest::did_you_mean(&field.text, ["happened", "missed", "late", "event"]);
                    if near.is_some() && types::field(fields.as_ref()?, &field.text).is_none() {
                        let all = ["happened", "missed", "late", "event"];
                        return self.outcome(&name, field, &all, |_| Type::YesNo);
                    }
                    let ty = self.event_field(&name, &fields?, field)?;
                    Some(if came { ty } else { ty.optional() })
                }
            },
            Form::WaitCondition(_) | Form::Race => {
                self.outcome(&name, field, &["happened", "missed", "late"], |_| Type::YesNo)
            }
            Form::Timer => self.outcome(&name, field, &["late"], |_| Type::YesNo),
            Form::Loop => self.outcome(&name, field, &["number"], |_| Type::Number(None)),
            Form::Message { .. } => {
                let all: Vec<&str> = MESSAGE.into_iter().chain(["reason"]).collect();
                let skipped = self.facts.unsure || truth("skipped") == Some(true);
                let budget = self.names.has_budget.then_some("budget");
                let reasons: Vec<&str> = SKIPPED.into_iter().chain(budget).collect();
                self.outcome(&name, field, &all, |word| match word {
                    "reason" if skipped => types::one_of(reasons.iter().copied()),
                    "reason" => types::one_of(reasons.iter().copied()).optional(),
                    _ => Type::YesNo,
                })
                .and_then(|ty| self.has_ability(slot, field).then_some(ty))
            }
            Form::Task { outcomes } => {
                let answers = fields?;
                let done = match self.facts.values(&place("outcome")) {
                    Some(left) => !left.contains("expired"),
                    None => false,
                };
                if field.text == "outcome" {
                    return Some(types::one_of(&outcomes));
                }
                let all: Vec<&str> =
                    ["outcome"].into_iter().chain(answers.iter().map(|answer| &*answer.name)).collect();
                self.outcome(&name, field, &all, |word| {
                    let ty = types::field(&answers, word).cloned().unwrap_or(Type::Text);
                    if done { ty } else { ty.optional() }
                })
            }
            Form::Request { leaves } => {
                let returns = fields?;
                let answered = leaves || self.facts.unsure || truth("failed") == Some(false);
                let all: Vec<&str> = returns.iter().map(|field| &*field.name).chain(["failed"]).collect();
                self.outcome(&name, field, &all, |word| match types::field(&returns, word) {
                    None => Type::YesNo,
                    Some(ty) if answered => ty.clone(),
                    Some(ty) => ty.clone().optional(),
                })
            }
            Form::Child { journey, limited } => {
                let reasons =
                    self.schema.journeys.get(&journey).map(|journey| types::one_of(&journey.reasons))?;
                let ended = !limited || truth("happened") == Some(true);
                self.outcome(&name, field, &["exit", "happened", "missed"], |word| match word {
                    "exit" if ended => reasons.clone(),
                    "exit" => reasons.clone().optional(),
                    _ => Type::YesNo,
                })
            }
            Form::Let => {
                let ty = self.names.slot(slot).ty.clone()?;
                let Type::Record(fields) = &ty else {
                    return self.mismatch(
                        field.span,
                        format!("`{name}` is {} and has no `{}`", noun(&ty), field.text),
                    );
                };
                let fields = fields.clone();
                self.event_field(&name, &fields, field)
            }
            Form::Ask => {
                let answers = fields?;
                let answered = self.facts.unsure || truth(ANSWERED) == Some(true);
                let all: Vec<&str> =
                    [ANSWERED, "missed"].into_iter().chain(answers.iter().map(|f| &*f.name)).collect();
                self.outcome(&name, field, &all, |word| match types::field(&answers, word) {
                    None => Type::YesNo,
                    Some(ty) if answered => ty.clone(),
                    Some(ty) => ty.clone().optional(),
                })
            }
            Form::Question => None,
        }
    }

    fn event_names(&self, event: &crate::lang::ast::EventMatch) -> Type {
        types::one_of(event.events.iter().map(Path::joined))
    }

    /// A field of a step's result, or E0101 with what the step has.
    fn outcome(&mut self, name: &str, field: &Name, all: &[&str], ty: impl Fn(&str) -> Type) -> Option<Type> {
        if all.contains(&field.text.as_str()) {
            return Some(ty(&field.text));
        }
        if self.is_hidden(&field.text) {
            return None;
        }
        let near = suggest::did_you_mean(&field.text, all.iter().copied());
        let message = format!("the result `{name}` has no `{}`", field.text);
        let made = finding(Code::E0101, field.span, message).label("not a part of this result");
        let made = super::findings::with_near_miss(made, near, &[], field.span);
        let made = match made.help {
            None => made.help(format!("it has {}", all.join(", "))),
            Some(_) => made,
        };
        self.report(made);
        None
    }

    /// Whether one of the message's channels can report the outcome; E0101 where none can.
    pub(super) fn has_ability(&mut self, slot: SlotIx, outcome: &Name) -> bool {
        let ability = match outcome.text.as_str() {
            "opened" => "opens",
            "clicked" => "clicks",
            "replied" => "replies",
            _ => return true,
        };
        let Form::Message { channels, .. } = &self.names.slot(slot).form else { return true };
        let known: Vec<_> = channels
            .iter()
            .filter_map(|name| Some((name, self.schema.catalog.channels.get(name)?)))
            .collect();
        if known.len() < channels.len()
            || known.iter().any(|(_, channel)| channel.abilities.iter().any(|a| **a == *ability))
        {
            return true;
        }
        let names: Vec<&str> = known.iter().map(|(name, _)| &***name).collect();
        let message = format!("the channel `{}` does not report `{}`", names.join("`, `"), outcome.text);
        self.report(
            finding(Code::E0101, outcome.span, message)
                .label("never known")
                .help(format!("add `{ability}` to its `abilities` in the schema if it can")),
        );
        false
    }
}
