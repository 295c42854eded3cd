//! Where steps go on: labels that are handed out before the step behind them is known, and filled in at the end.

use crate::engine::program::{Arm, StepIx, StepKind};

/// A place in the program that something goes on at. While steps are made, their [`StepIx`] fields hold label numbers.
pub(super) type Label = StepIx;

#[derive(Clone, Copy)]
enum Target {
    Open,
    Step(StepIx),
    Same(Label),
}

/// The labels of one program.
#[derive(Default)]
pub(super) struct Labels {
    targets: Vec<Target>,
    /// There were more than a program can number.
    pub(super) overflow: bool,
}

impl Labels {
    /// A label whose step is not known yet.
    pub(super) fn open(&mut self) -> Label {
        let label = StepIx::try_from(self.targets.len()).unwrap_or_else(|_| {
            self.overflow = true;
            StepIx::MAX
        });
        if !self.overflow {
            self.targets.push(Target::Open);
        }
        label
    }

    /// The label stands before that step.
    pub(super) fn place(&mut self, label: Label, step: usize) {
        match StepIx::try_from(step) {
            Ok(step) => self.set(label, Target::Step(step)),
            Err(_) => self.overflow = true,
        }
    }

    /// The label means the same place as the other.
    pub(super) fn join(&mut self, label: Label, other: Label) {
        self.set(label, Target::Same(other));
    }

    fn set(&mut self, label: Label, target: Target) {
        if let Some(slot) = self.targets.get_mut(usize::from(label)) {
            *slot = target;
        }
    }

    /// The step behind a label; `None` where nothing was ever placed, or where labels only lead to each other.
    pub(super) fn step(&self, label: Label) -> Option<StepIx> {
        let mut label = label;
        for _ in 0..=self.targets.len() {
            match self.targets.get(usize::from(label))? {
                Target::Open => return None,
                Target::Step(step) => return Some(*step),
                Target::Same(other) => label = *other,
            }
        }
        None
    }
}

/// Every place at which a step goes on, to be rewritten.
pub(super) fn targets(kind: &mut StepKind) -> Vec<&mut StepIx> {
    match kind {
        StepKind::Send(send) => vec![&mut send.next],
        StepKind::Work(work) => vec![&mut work.next],
        StepKind::Request { next, failed, .. } => vec![next, failed],
        StepKind::Add { next, .. }
        | StepKind::Grant { next, .. }
        | StepKind::Let { next, .. }
        | StepKind::LoopStart { next, .. }
        | StepKind::Pause { next, .. }
        | StepKind::Record { next, .. }
        | StepKind::Remove { next, .. }
        | StepKind::RunJourney { next, .. }
        | StepKind::Set { next, .. }
        | StepKind::StartJourney { next, .. }
        | StepKind::WaitFor { next, .. }
        | StepKind::Withdraw { next, .. } => vec![next],
        StepKind::WaitUntil { next, past, .. } => vec![next, past],
        StepKind::WaitEvent(wait) => {
            let arms = wait.arms.iter_mut().map(|Arm { next, .. }| next);
            arms.chain([&mut wait.timeout]).collect()
        }
        StepKind::Branch { yes, no, .. } => vec![yes, no],
        StepKind::Switch { cases, otherwise, .. } => {
            cases.iter_mut().map(|(_, next)| next).chain([otherwise]).collect()
        }
        StepKind::Split { variants, .. } => variants.iter_mut().map(|(.., next)| next).collect(),
        StepKind::LoopNext { body, done, .. } => vec![body, done],
        StepKind::Exit { .. } | StepKind::Resume => Vec::new(),
    }
}
