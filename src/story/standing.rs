//! Where somebody stands in a journey, and what is waited for: read from what was decided, so that it is found by contact.

use std::collections::BTreeSet;

use super::{Teller, steps};
use crate::engine::program::{Program, StepKind, Word};
use crate::engine::world::{Note, What};
use crate::time::Timestamp;

/// Where somebody stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub step: Word,
    pub since: Timestamp,
    /// When it goes on by itself, if ever.
    pub until: Option<Timestamp>,
    /// What it waits for, as `the call …` or `quiet hours …`; nothing where it only waits for time.
    pub waits_for: Option<String>,
}

impl Teller {
    /// Where an enrollment of that program rests: at the newest rest that is not over. The notes are those of the enrollment, oldest
    /// first; nothing where they are kept no longer.
    pub fn standing(&self, program: &Program, notes: &[&Note]) -> Option<Standing> {
        let mut over = BTreeSet::new();
        for note in notes.iter().rev() {
            let Some(step) = note.step.clone() else { continue };
            match &note.what {
                What::Rests { until } | What::Held { until, .. }
                    if !over.contains(&(&note.step, note.round)) =>
                {
                    let until = Some(*until).filter(|until| *until != Timestamp::NEVER);
                    return Some(Standing {
                        since: note.at,
                        until,
                        waits_for: self.waits_for(program, note),
                        step,
                    });
                }
                What::Done { .. } | What::Queued { .. } | What::Skipped { .. } => {
                    over.insert((&note.step, note.round));
                }
                _ => {}
            }
        }
        None
    }

    fn waits_for(&self, program: &Program, note: &Note) -> Option<String> {
        if let What::Held { why, because, .. } = &note.what {
            return Some(self.gate(why, because, None));
        }
        if let Some(survey) = self.question(note) {
            return Some(format!("answers to `{survey}`"));
        }
        let step = program.steps.iter().find(|step| Some(&step.id) == note.step.as_ref())?;
        Some(match &step.kind {
            StepKind::WaitEvent(wait) if !wait.arms.is_empty() => {
                format!("`{}`", steps::waited_for(program, wait))
            }
            StepKind::Work(_) => format!("the outcome of {}", self.what_of(note)),
            StepKind::Request { .. } => format!("the answer to {}", self.what_of(note)),
            StepKind::RunJourney { journey, .. } => format!("the end of the journey `{journey}`"),
            _ => return None,
        })
    }
}
