//! Stable identities of steps.
//!
//! A named step is its name. An unnamed one is the nearest named step before it (in its block, or in one around it), what it does
//! and to what, and a number among equals: `confirm/wait 3 days#2`. So an edit elsewhere changes no identity.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::program::Word;
use crate::lang::ast::Name;

/// Hands out identities within one journey.
pub(super) struct Names {
    /// The nearest named step or stage before the present place.
    anchor: Word,
    counts: BTreeMap<String, u32>,
    taken: BTreeSet<Word>,
}

impl Names {
    pub(super) fn new() -> Names {
        Names { anchor: "entry".into(), counts: BTreeMap::new(), taken: BTreeSet::new() }
    }

    /// A stage, a handler or a named statement begins here.
    pub(super) fn anchor(&mut self, name: &str) {
        self.anchor = name.into();
    }

    /// Where the present block stands, to come back to it behind a block inside.
    pub(super) fn mark(&self) -> Word {
        self.anchor.clone()
    }

    pub(super) fn back(&mut self, mark: Word) {
        self.anchor = mark;
    }

    /// The identity of a step: its name, or its anchor with what it does.
    pub(super) fn id(&mut self, name: Option<&Name>, what: &str) -> Word {
        if let Some(name) = name {
            self.anchor = name.text.as_str().into();
            if self.taken.insert(self.anchor.clone()) {
                return self.anchor.clone();
            }
        }
        self.numbered(format!("{}/{what}", self.anchor))
    }

    /// The identity of a part of a step, such as the test of a loop.
    pub(super) fn part(&mut self, of: &Word, what: &str) -> Word {
        self.numbered(format!("{of}/{what}"))
    }

    fn numbered(&mut self, base: String) -> Word {
        let count = self.counts.entry(base.clone()).or_insert(0);
        *count += 1;
        let id: Word = if *count == 1 { base.into() } else { format!("{base}#{count}").into() };
        self.taken.insert(id.clone());
        id
    }
}
