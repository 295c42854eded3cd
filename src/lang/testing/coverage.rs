//! Which exits and branches of a journey the tests have reached.

use std::collections::BTreeSet;

use crate::diagnostic::{Code, Diagnostic, Span};
use crate::engine::program::{Signal, StepIx, StepKind, Trigger, WaitEvent, Word};
use crate::lang::ast::{ExitTrigger, Journey, JourneyItemKind};
use crate::lang::lower::{Lowered, whole};
use crate::value::Value;

/// What plays have reached: (journey, step, choice), and (journey, reason).
#[derive(Clone, Debug, Default)]
pub struct Reached {
    pub(super) choices: BTreeSet<(Word, Word, Word)>,
    pub(super) exits: BTreeSet<(Word, Word)>,
}

/// The exits and branches of one journey, and how many were reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    pub journey: Word,
    pub exits: (usize, usize),
    pub branches: (usize, usize),
    /// One finding for each that was not.
    pub findings: Vec<Diagnostic>,
}

/// Compares a journey with what was reached.
pub(super) fn of(journey: &Journey, lowered: &Lowered, reached: &Reached) -> Coverage {
    let program = &lowered.program;
    let name = &program.journey;
    let mut coverage =
        Coverage { journey: name.clone(), exits: (0, 0), branches: (0, 0), findings: Vec::new() };
    for (reason, place) in exits(journey, lowered) {
        coverage.exits.1 += 1;
        if reached.exits.contains(&(name.clone(), reason.clone())) {
            coverage.exits.0 += 1;
        } else {
            let message = format!("no test ends with `exit as {reason}`");
            coverage.findings.push(Diagnostic::new(Code::W1002, place, message));
        }
    }
    for (at, step) in program.steps.iter().enumerate() {
        // What becomes of an `ask` is asked by the author where it matters; what somebody prefers is no way of the journey.
        let is_way =
            matches!(step.kind, StepKind::Branch { .. } | StepKind::Switch { .. } | StepKind::WaitEvent(_));
        if is_way && *whole(&step.id) != *step.id {
            continue;
        }
        for branch in branches(&step.kind, lowered.closed.contains(&step.id)) {
            let is_taken =
                |choice: &Word| reached.choices.contains(&(name.clone(), step.id.clone(), choice.clone()));
            coverage.branches.1 += 1;
            if branch.choices.iter().any(is_taken) || branch.others_of(&step.id, name, reached) {
                coverage.branches.0 += 1;
            } else {
                let place = lowered.places.get(at).copied().unwrap_or_default();
                let message = format!("no test {}", branch.words);
                coverage.findings.push(Diagnostic::new(Code::W1002, place, message));
            }
        }
    }
    coverage.findings.sort_by_key(|finding| finding.primary.span.start);
    coverage
}

/// The written reasons, each with the first place that gives it.
fn exits(journey: &Journey, lowered: &Lowered) -> Vec<(Word, Span)> {
    let mut found: Vec<(Word, Span)> = Vec::new();
    let mut add = |reason: Word, place: Span| {
        if !found.iter().any(|(known, _)| *known == reason) {
            found.push((reason, place));
        }
    };
    for item in &journey.items {
        match &item.kind {
            JourneyItemKind::ExitRule { reason, trigger: ExitTrigger::On(_) | ExitTrigger::When(_) } => {
                add(reason.text.as_str().into(), item.span);
            }
            JourneyItemKind::Goal(goal) if goal.then_exit.is_some() => {
                add(goal.name.text.as_str().into(), item.span);
            }
            _ => {}
        }
    }
    for (step, place) in std::iter::zip(&lowered.program.steps, &lowered.places) {
        if let StepKind::Exit { reason } = &step.kind
            && &**reason != crate::lang::lower::VANISHED
        {
            add(reason.clone(), *place);
        }
    }
    found
}

/// One way on from a step.
struct Branch {
    /// The choices that the engine notes for it.
    choices: Vec<Word>,
    /// Any choice that is not among these, for `else`.
    not: Option<Vec<Word>>,
    words: String,
}

impl Branch {
    fn new(choices: Vec<Word>, words: impl Into<String>) -> Branch {
        Branch { choices, not: None, words: words.into() }
    }

    fn others_of(&self, step: &Word, journey: &Word, reached: &Reached) -> bool {
        let Some(not) = &self.not else { return false };
        reached.choices.iter().any(|(j, s, choice)| j == journey && s == step && !not.contains(choice))
    }
}

fn branches(kind: &StepKind, closed: bool) -> Vec<Branch> {
    match kind {
        StepKind::Branch { yes, no, .. } if yes != no => vec![
            Branch::new(vec!["yes".into()], "has this condition true"),
            Branch::new(vec!["no".into()], "has this condition false"),
        ],
        StepKind::Switch { cases, .. } => switch(cases, closed),
        StepKind::Split { variants, .. } => variants
            .iter()
            .map(|(name, ..)| Branch::new(vec![name.clone()], format!("takes the variant `{name}`")))
            .collect(),
        StepKind::WaitEvent(wait) => race(wait),
        StepKind::WaitUntil { next, past, .. } if next != past => vec![
            Branch {
                choices: Vec::new(),
                not: Some(vec!["late".into()]),
                words: "waits for this moment".into(),
            },
            Branch::new(vec!["late".into()], "comes too late for this moment"),
        ],
        StepKind::Request { next, failed, .. } if next != failed => vec![
            Branch::new(vec!["answered".into()], "has this request answered"),
            Branch {
                choices: Vec::new(),
                not: Some(vec!["answered".into()]),
                words: "has this request fail".into(),
            },
        ],
        _ => Vec::new(),
    }
}

fn switch(cases: &[(Vec<Value>, StepIx)], closed: bool) -> Vec<Branch> {
    let text = |value: &Value| -> Word {
        value.as_text().map_or_else(|| value.to_json().to_string().into(), Word::from)
    };
    let all: Vec<Word> = cases.iter().flat_map(|(values, _)| values).map(text).collect();
    let mut found: Vec<Branch> = cases
        .iter()
        .map(|(values, _)| {
            let choices: Vec<Word> = values.iter().map(text).collect();
            let words = format!("takes the case {}", choices.join(", "));
            Branch::new(choices, words)
        })
        .collect();
    if !closed {
        found.push(Branch {
            choices: Vec::new(),
            not: Some(all),
            words: "takes the `else` of this switch".into(),
        });
    }
    found
}

/// The arms of a wait, where they lead to different places.
fn race(wait: &WaitEvent) -> Vec<Branch> {
    if wait.arms.iter().all(|arm| arm.next == wait.timeout) {
        return Vec::new();
    }
    let mut found: Vec<Branch> = wait
        .arms
        .iter()
        .map(|arm| match &arm.on {
            Trigger::Condition { .. } => {
                Branch::new(vec!["true".into()], "sees the condition of this wait come true")
            }
            Trigger::Event(on) => {
                let choices: Vec<Word> = on.signals.iter().map(signal_name).collect();
                let words = format!("sees {} in this wait", choices.join(", "));
                Branch::new(choices, words)
            }
        })
        .collect();
    if wait.limit.is_some() {
        found.push(Branch::new(vec!["timeout".into()], "waits until this wait times out"));
    }
    found
}

fn signal_name(signal: &Signal) -> Word {
    match signal {
        Signal::Event(name) => name.clone(),
        Signal::Outcome { outcome, .. } => outcome.clone(),
    }
}

impl Coverage {
    /// `3 of 4 exits, 10 of 12 branches`.
    pub fn summary(&self) -> String {
        let part = |(reached, all): (usize, usize), noun: &str| format!("{reached} of {all} {noun}");
        match self.branches.1 {
            0 => part(self.exits, "exits"),
            _ => format!("{}, {}", part(self.exits, "exits"), part(self.branches, "branches")),
        }
    }
}
