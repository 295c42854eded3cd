//! All programs that are deployed, and who may care about what: built once for each deploy, read by every call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::program::{
    Catalog, Entry, EntryHow, Expr, Program, Signal, StepKind, Trigger, Watch, Word, ZoneRef,
};
use super::recheck;
use super::world::signal;

/// The deployed programs with the indexes by which an input finds the entries it may fire.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    current: BTreeMap<Word, Arc<Program>>,
    /// Entries by the event that may fire them.
    events: BTreeMap<Word, Vec<(Word, u16)>>,
    /// `on change of` by attribute.
    changes: BTreeMap<Word, Vec<(Word, u16)>>,
    /// Standing entries by the signals that concern them.
    watches: BTreeMap<Word, Vec<(Word, u16)>>,
    /// All standing entries.
    standing: Vec<(Word, u16)>,
    /// Signals to which enrollments of any version may listen.
    heard: BTreeSet<Word>,
    /// Events for which some entry asks whether it is the first.
    firsts: BTreeSet<Word>,
    /// When the journeys with memberships began to take people in, as an id that was made then: contacts and inputs with smaller ones
    /// were there before. Of a journey that is not here, nobody was.
    opened: BTreeMap<Word, i64>,
    /// Variants that tests and previews prescribe, by split.
    forced: BTreeMap<Word, Word>,
}

impl Programs {
    /// The current program of each journey. `older` are versions on which somebody still runs.
    pub fn new(
        catalog: &Catalog,
        current: impl IntoIterator<Item = Arc<Program>>,
        older: &[Arc<Program>],
    ) -> Programs {
        let mut programs = Programs::default();
        for program in current {
            programs.add_entries(catalog, &program);
            programs.add_heard(catalog, &program);
            programs.current.insert(program.journey.clone(), program);
        }
        for program in older {
            programs.add_heard(catalog, program);
        }
        programs
    }

    /// The program on which new enrollments of that journey run.
    pub fn get(&self, journey: &str) -> Option<&Arc<Program>> {
        self.current.get(journey)
    }

    /// The current programs in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Program>> {
        self.current.values()
    }

    /// Whether an enrollment of any version may listen to the signal.
    pub fn hears(&self, signal: &str) -> bool {
        self.heard.contains(signal)
    }

    /// Whether an event of that name may start or move anybody: otherwise it need only be written to the history.
    pub fn concerns(&self, event: &str) -> bool {
        self.hears(event) || self.events.contains_key(event) || self.watches.contains_key(event)
    }

    /// Whether some entry asks for the first event of that name.
    pub fn asks_first(&self, event: &str) -> bool {
        self.firsts.contains(event)
    }

    /// That journey takes people in since that id was made.
    pub fn open(&mut self, journey: Word, id: i64) {
        if self.get(&journey).is_some_and(|program| program.entries.iter().any(Entry::is_membership)) {
            self.opened.insert(journey, id);
        }
    }

    /// Whether what has that id was there before the journey opened.
    pub(super) fn precedes(&self, id: i64, journey: &str) -> bool {
        self.opened.get(journey).is_some_and(|opened| id < *opened)
    }

    /// Whether some journey opened after what has that id.
    pub fn opened_after(&self, id: i64) -> bool {
        self.opened.values().any(|opened| id < *opened)
    }

    /// From now on that split gives that variant to everybody.
    pub fn force_variant(&mut self, split: Word, variant: Word) {
        self.forced.insert(split, variant);
    }

    pub(super) fn forced(&self, split: &str) -> Option<&Word> {
        self.forced.get(split)
    }

    pub(super) fn on_event(&self, event: &str) -> &[(Word, u16)] {
        self.events.get(event).map_or(&[], Vec::as_slice)
    }

    pub(super) fn on_change(&self, attribute: &str) -> &[(Word, u16)] {
        self.changes.get(attribute).map_or(&[], Vec::as_slice)
    }

    pub(super) fn watching(&self, signal: &str) -> &[(Word, u16)] {
        self.watches.get(signal).map_or(&[], Vec::as_slice)
    }

    pub(super) fn standing(&self) -> &[(Word, u16)] {
        &self.standing
    }

    /// The program and entry of that number.
    pub(super) fn entry(&self, key: &(Word, u16)) -> Option<(&Arc<Program>, &Entry)> {
        let program = self.current.get(&key.0)?;
        Some((program, program.entries.get(usize::from(key.1))?))
    }

    fn add_entries(&mut self, catalog: &Catalog, program: &Program) {
        for (number, entry) in (0_u16..).zip(&program.entries) {
            let key = (program.journey.clone(), number);
            let mut watch = |signal: Word| self.watches.entry(signal).or_default().push(key.clone());
            match &entry.how {
                EntryHow::Event(names) | EntryHow::FirstEvent(names) => {
                    for name in names {
                        self.events.entry(name.clone()).or_default().push(key.clone());
                    }
                    if matches!(entry.how, EntryHow::FirstEvent(_)) {
                        self.firsts.extend(names.iter().cloned());
                    }
                }
                EntryHow::Change { attribute } => {
                    self.changes.entry(attribute.clone()).or_default().push(key.clone());
                }
                EntryHow::When { condition, watch: given } | EntryHow::While { condition, watch: given } => {
                    signals(catalog, condition, given).into_iter().for_each(&mut watch);
                }
                EntryHow::Anniversary { attribute, .. } | EntryHow::Offset { attribute, .. } => {
                    watch(signal::attribute(attribute));
                }
                EntryHow::At { .. }
                | EntryHow::Weekday { .. }
                | EntryHow::Cron { .. }
                | EntryHow::Start { .. } => {}
            }
            if is_standing(&entry.how) {
                self.standing.push(key);
            }
        }
    }

    fn add_heard(&mut self, catalog: &Catalog, program: &Program) {
        let events = program.matches().flat_map(|on| &on.signals).filter_map(|signal| match signal {
            Signal::Event(name) => Some(name.clone()),
            Signal::Outcome { .. } => None,
        });
        self.heard.extend(events);
        for exit in &program.exits {
            if let Trigger::Condition { condition, watch } = &exit.trigger {
                self.heard.extend(signals(catalog, condition, watch));
            }
        }
        for step in &program.steps {
            match &step.kind {
                StepKind::WaitEvent(wait) => {
                    for arm in &wait.arms {
                        if let Trigger::Condition { condition, watch } = &arm.on {
                            self.heard.extend(signals(catalog, condition, watch));
                        }
                    }
                }
                kind => self.heard.extend(kind.follows().map(|attribute| signal::attribute(attribute))),
            }
        }
    }
}

/// The signals of a live condition: those that the compiler found, and those of the segments as they are now.
pub(super) fn signals(catalog: &Catalog, condition: &Expr, watch: &Watch) -> BTreeSet<Word> {
    let mut all = recheck::watch(catalog, condition).signals;
    all.extend(watch.signals.iter().cloned());
    all.into_iter().collect()
}

/// Whether the entry has its own row and timer for each contact: memberships, dates of the contact, and clock times in the
/// contact's zone. Schedules in one zone for all are fired by the daemon for everybody at once.
pub fn is_standing(how: &EntryHow) -> bool {
    match how {
        EntryHow::When { .. } | EntryHow::While { .. } => true,
        EntryHow::Anniversary { .. } | EntryHow::Offset { .. } => true,
        EntryHow::At { zone, .. } | EntryHow::Weekday { zone, .. } | EntryHow::Cron { zone, .. } => {
            *zone == ZoneRef::Contact
        }
        EntryHow::Event(_) | EntryHow::FirstEvent(_) | EntryHow::Change { .. } | EntryHow::Start { .. } => {
            false
        }
    }
}
