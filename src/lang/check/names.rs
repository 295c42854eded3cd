//! The names of one journey: a slot for each place that may hold a result or an event, in order of appearance.

use std::collections::{BTreeMap, HashMap};

use super::findings::Findings;
use super::schema::Schema;
use crate::diagnostic::Span;
use crate::engine::program::{Slot, SlotIx, SlotKind, Word};
use crate::lang::ast::{self, Name};
use crate::value::{FieldType, Type};

/// What is known of a slot before anything runs.
pub(super) struct SlotInfo<'a> {
    pub(super) name: Word,
    pub(super) kind: SlotKind,
    /// The name where it was written, else the place itself.
    pub(super) span: Span,
    /// The author wrote the name; otherwise the event's own name stands for it.
    pub(super) explicit: bool,
    /// Where alone the name is known: the rule of an exit or goal, the block of an arm.
    pub(super) scope: Option<Span>,
    /// Fields of the event, the arguments, the answers, what a request returns. `None`: not known, stay silent.
    pub(super) fields: Option<Vec<FieldType>>,
    pub(super) form: Form<'a>,
    /// The type of a `let`, once its value is read.
    pub(super) ty: Option<Type>,
    pub(super) used: Vec<Word>,
    pub(super) moment_used: bool,
    /// Something refers to it.
    pub(super) mentioned: bool,
}

/// What fills a slot.
#[derive(Clone)]
pub(super) enum Form<'a> {
    Entry,
    /// Of an exit rule, goal, handler or wait arm.
    Event,
    Let,
    /// Its channels, and the attributes that hold their addresses; none where `to` says another address.
    Message {
        channels: Vec<Word>,
        addresses: Vec<Word>,
    },
    /// `wait 3 days`, `wait until …`
    Timer,
    WaitEvent(&'a ast::EventMatch),
    WaitCondition(&'a ast::Expr),
    Race,
    Task {
        outcomes: Vec<Word>,
    },
    Request {
        leaves: bool,
    },
    Loop,
    Child {
        journey: Word,
        limited: bool,
    },
    /// The result of an `ask`.
    Ask,
    /// The message of an `ask`, which no name leads to.
    Question,
}

/// All slots of a journey, and how names lead to them.
pub(super) struct Names<'a> {
    pub(super) slots: Vec<SlotInfo<'a>>,
    /// Names that the author gave to steps, variables, arms and handlers.
    pub(super) explicit: BTreeMap<Word, SlotIx>,
    /// Place to slot, as [`crate::lang::JourneyInfo::slot_at`].
    pub(super) slot_at: HashMap<Span, SlotIx>,
    pub(super) stages: BTreeMap<Word, Span>,
    pub(super) splits: BTreeMap<Word, Vec<Word>>,
    pub(super) goals: BTreeMap<Word, Span>,
    /// Statements that could not be read.
    pub(super) damaged: Vec<Span>,
    /// The journey has a budget, so that a message may be skipped for it.
    pub(super) has_budget: bool,
}

impl<'a> Names<'a> {
    /// No slots: for segments and tests.
    pub(super) fn empty() -> Self {
        Names {
            slots: Vec::new(),
            explicit: BTreeMap::new(),
            slot_at: HashMap::new(),
            stages: BTreeMap::new(),
            splits: BTreeMap::new(),
            goals: BTreeMap::new(),
            damaged: Vec::new(),
            has_budget: false,
        }
    }

    /// Collects the names of a journey and reports those that stand twice.
    pub(super) fn collect(schema: &Schema<'a>, journey: &'a ast::Journey, out: &mut Findings) -> Self {
        let mut collect = super::collect::Collect { schema, out, names: Names::empty() };
        collect.journey(journey);
        collect.names
    }

    pub(super) fn slot(&self, slot: SlotIx) -> &SlotInfo<'a> {
        &self.slots[usize::from(slot)]
    }

    pub(super) fn slot_mut(&mut self, slot: SlotIx) -> &mut SlotInfo<'a> {
        &mut self.slots[usize::from(slot)]
    }

    /// The slot that a name means at a place: one that is known only there, an own name, or the name of an event that stands
    /// before; of several events the last that has surely come, else the last.
    pub(super) fn find(&self, name: &Name, assigned: impl Fn(SlotIx) -> bool) -> Option<SlotIx> {
        let named = |(_, slot): &(SlotIx, &SlotInfo)| *slot.name == *name.text;
        let local =
            |(_, slot): &(SlotIx, &SlotInfo)| slot.scope.is_some_and(|scope| scope.contains(name.span));
        if let Some((slot, _)) = self.indexed().rev().find(|found| named(found) && local(found)) {
            return Some(slot);
        }
        if let Some(slot) = self.explicit.get(name.text.as_str()) {
            return Some(*slot);
        }
        let before = |(_, slot): &(SlotIx, &SlotInfo)| {
            !slot.explicit && slot.scope.is_none() && slot.span.start <= name.span.start
        };
        let mut events =
            self.indexed().rev().filter(|found| named(found) && before(found)).map(|(slot, _)| slot);
        let last = events.next()?;
        Some(std::iter::once(last).chain(events).find(|slot| assigned(*slot)).unwrap_or(last))
    }

    fn indexed(&self) -> impl DoubleEndedIterator<Item = (SlotIx, &SlotInfo<'a>)> {
        self.slots.iter().enumerate().map(|(n, slot)| (n as SlotIx, slot))
    }

    /// Notes that an expression reads a field of the slot.
    pub(super) fn use_field(&mut self, slot: SlotIx, field: &Word) {
        let info = self.slot_mut(slot);
        info.mentioned = true;
        if !info.used.contains(field) {
            info.used.push(field.clone());
        }
    }

    /// The slots as the engine wants them.
    pub(super) fn for_engine(&self) -> Vec<Slot> {
        let slot = |info: &SlotInfo| Slot {
            name: info.name.clone(),
            kind: info.kind,
            used: info.used.clone(),
            moment_used: info.moment_used,
        };
        self.slots.iter().map(slot).collect()
    }
}

/// The channels of a send in the order written.
pub(super) fn channel_names(choice: &ast::ChannelChoice) -> &[Name] {
    match choice {
        ast::ChannelChoice::One(name) => std::slice::from_ref(name),
        ast::ChannelChoice::And(names)
        | ast::ChannelChoice::Else(names)
        | ast::ChannelChoice::Cheapest(names)
        | ast::ChannelChoice::Preferred(names) => names,
    }
}

/// The fields that the events of a match have in common; `None` when one of them is not known.
pub(super) fn event_fields(schema: &Schema, event: &ast::EventMatch) -> Option<Vec<FieldType>> {
    let lists: Option<Vec<Vec<FieldType>>> = event
        .events
        .iter()
        .map(|path| match path.parts.as_slice() {
            [name] => schema.events.get(name.text.as_str()).cloned(),
            [_, outcome] => Some(schema.message_fields(&outcome.text)),
            _ => None,
        })
        .collect();
    let lists = lists?;
    let lists: Vec<&[FieldType]> = lists.iter().map(Vec::as_slice).collect();
    Some(crate::lang::types::common(&lists))
}

/// The name that an `enter` line gives to what enters, and whether the author wrote it.
pub(super) fn entry_name(enter: &ast::Enter) -> Option<(&Name, bool)> {
    match &enter.how {
        ast::EnterHow::On(event) | ast::EnterHow::OnFirst(event) => {
            match (&event.name, event.events.as_slice()) {
                (Some(name), _) => Some((name, true)),
                (None, [path]) if path.parts.len() == 1 => Some((&path.parts[0], false)),
                (None, _) => None,
            }
        }
        ast::EnterHow::OnChange { name, .. } => name.as_ref().map(|name| (name, true)),
        _ => None,
    }
}

/// The fields that an `enter` line gives; `None` when they are not known.
pub(super) fn entry_fields(schema: &Schema, enter: &ast::Enter) -> Option<Vec<FieldType>> {
    match &enter.how {
        ast::EnterHow::On(event) | ast::EnterHow::OnFirst(event) => event_fields(schema, event),
        ast::EnterHow::OnChange { path, .. } => {
            let ty = match path.parts.as_slice() {
                [contact, name] if contact.text == "contact" => {
                    schema.catalog.attribute(&name.text)?.ty.clone()
                }
                _ => return None,
            };
            let field = |name: &str| FieldType { name: name.into(), ty: ty.clone() };
            Some(vec![field("old"), field("new"), FieldType { name: "at".into(), ty: Type::Moment }])
        }
        ast::EnterHow::ByStart(fields) => Some(super::fields::fields_quietly(fields)),
        ast::EnterHow::Error => None,
        ast::EnterHow::When(_)
        | ast::EnterHow::While(_)
        | ast::EnterHow::At { .. }
        | ast::EnterHow::Cron { .. }
        | ast::EnterHow::EveryWeekday { .. }
        | ast::EnterHow::Anniversary { .. }
        | ast::EnterHow::Offset { .. } => Some(Vec::new()),
    }
}
