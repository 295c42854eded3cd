//! What the engine works out once for a program and keeps beside it: which steps can run again, which fields of the entering
//! event are kept, what an enrollment listens to for its whole life.

use std::sync::OnceLock;

use super::program::{Match, MomentKind, Program, Signal, StepIx, StepKind, Trigger, WaitEvent, Word};

/// The lazily computed part of a [`Program`]. It is no part of its content: all are equal, and a copy begins empty.
#[derive(Default)]
pub struct Index(OnceLock<Tables>);

impl Clone for Index {
    fn clone(&self) -> Index {
        Index::default()
    }
}

impl PartialEq for Index {
    fn eq(&self, _: &Index) -> bool {
        true
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index")
    }
}

/// See [`Program::tables`].
#[derive(Debug)]
pub struct Tables {
    /// Steps that `go to` or a handler can reach more than once.
    pub again: Vec<bool>,
    /// Steps of the main line: reached from the first step without a handler.
    pub main: Vec<bool>,
    /// The most rounds of each loop, by its counter.
    pub times: Vec<u32>,
    /// Slots of messages whose results something reads or waits for.
    pub heard: Vec<bool>,
    /// The fields of the entering event that something reads: by name, by `same` or by `per`.
    pub entry_fields: Vec<Word>,
    /// Event names on which exits, handlers and goals listen, and the signals of live exit conditions, without those of the
    /// segments they use.
    pub interests: Vec<Word>,
}

impl Program {
    /// What follows from the program and is looked at often.
    pub fn tables(&self) -> &Tables {
        self.index.0.get_or_init(|| Tables {
            again: again(self),
            main: reach(self, vec![0], &|step| self.steps[step].kind.targets()),
            times: times(self),
            heard: heard(self),
            entry_fields: entry_fields(self),
            interests: interests(self),
        })
    }

    /// All matches of exits, goals, handlers and waits.
    pub fn matches(&self) -> impl Iterator<Item = &Match> {
        let rules = self.exits.iter().map(|exit| &exit.trigger);
        let arms = self.steps.iter().filter_map(|step| match &step.kind {
            StepKind::WaitEvent(wait) => Some(&wait.arms),
            _ => None,
        });
        let triggers = rules.chain(arms.flatten().map(|arm| &arm.on)).filter_map(|trigger| match trigger {
            Trigger::Event(on) => Some(on),
            Trigger::Condition { .. } => None,
        });
        triggers.chain(self.goals.iter().map(|goal| &goal.on)).chain(self.handlers.iter().map(|h| &h.on))
    }
}

impl StepKind {
    /// The attribute whose change re-arms the wait of this step.
    pub fn follows(&self) -> Option<&Word> {
        let moment = match self {
            StepKind::WaitUntil { moment, .. } => Some(moment),
            StepKind::WaitFor { then_until, .. } => then_until.as_ref(),
            StepKind::WaitEvent(wait) => wait.then_until.as_ref(),
            _ => None,
        };
        match &moment?.kind {
            MomentKind::Anchor { follows, .. } => follows.as_ref(),
            _ => None,
        }
    }

    /// Where the step can go on.
    pub fn targets(&self) -> Vec<StepIx> {
        match self {
            StepKind::Send(send) => vec![send.next],
            StepKind::Work(work) => vec![work.next],
            StepKind::Request { next, failed, .. } => vec![*next, *failed],
            StepKind::Record { next, .. }
            | StepKind::Set { next, .. }
            | StepKind::Add { next, .. }
            | StepKind::Remove { next, .. }
            | StepKind::Let { next, .. }
            | StepKind::Grant { next, .. }
            | StepKind::Withdraw { next, .. }
            | StepKind::WaitFor { next, .. }
            | StepKind::LoopStart { next, .. }
            | StepKind::StartJourney { next, .. }
            | StepKind::RunJourney { next, .. }
            | StepKind::Pause { next, .. } => vec![*next],
            StepKind::WaitUntil { next, past, .. } => vec![*next, *past],
            StepKind::WaitEvent(wait) => wait_targets(wait),
            StepKind::Branch { yes, no, .. } => vec![*yes, *no],
            StepKind::Switch { cases, otherwise, .. } => {
                cases.iter().map(|(_, next)| *next).chain([*otherwise]).collect()
            }
            StepKind::Split { variants, .. } => variants.iter().map(|(_, _, next)| *next).collect(),
            StepKind::LoopNext { body, done, .. } => vec![*body, *done],
            StepKind::Resume | StepKind::Exit { .. } => Vec::new(),
        }
    }
}

fn wait_targets(wait: &WaitEvent) -> Vec<StepIx> {
    wait.arms.iter().map(|arm| arm.next).chain([wait.timeout]).collect()
}

/// Steps on a cycle that is no `repeat`, and all that a handler can reach. The edge of a `repeat` from its test into its body
/// is left out: its rounds are counted.
fn again(program: &Program) -> Vec<bool> {
    let edges = |step: usize| match &program.steps[step].kind {
        StepKind::LoopNext { done, .. } => vec![*done],
        kind => kind.targets(),
    };
    let by_handler =
        reach(program, program.handlers.iter().map(|handler| handler.first).collect(), &|step| {
            program.steps[step].kind.targets()
        });
    let on_cycle = |step: usize| reach(program, edges(step), &edges)[step];
    (0..program.steps.len()).map(|step| by_handler[step] || on_cycle(step)).collect()
}

/// Which steps can be reached.
fn reach(program: &Program, from: Vec<StepIx>, edges: &dyn Fn(usize) -> Vec<StepIx>) -> Vec<bool> {
    let mut seen = vec![false; program.steps.len()];
    let mut open = from;
    while let Some(step) = open.pop() {
        if let Some(seen @ false) = seen.get_mut(usize::from(step)) {
            *seen = true;
            open.extend(edges(usize::from(step)));
        }
    }
    seen
}

fn times(program: &Program) -> Vec<u32> {
    let mut all = vec![1; usize::from(program.loops)];
    for step in &program.steps {
        if let StepKind::LoopNext { counter, times, .. } = step.kind
            && let Some(most) = all.get_mut(usize::from(counter))
        {
            *most = times;
        }
    }
    all
}

fn heard(program: &Program) -> Vec<bool> {
    let mut heard: Vec<bool> = program.slots.iter().map(|slot| !slot.used.is_empty()).collect();
    for signal in program.matches().flat_map(|on| &on.signals) {
        if let Signal::Outcome { slot, .. } = signal
            && let Some(heard) = heard.get_mut(usize::from(*slot))
        {
            *heard = true;
        }
    }
    heard
}

fn entry_fields(program: &Program) -> Vec<Word> {
    let used = program.slots.first().map(|slot| slot.used.as_slice()).unwrap_or_default();
    let same = program.matches().flat_map(|on| &on.same);
    sorted(used.iter().chain(same).chain(&program.per).cloned())
}

fn interests(program: &Program) -> Vec<Word> {
    let handlers = program.handlers.iter().map(|handler| &handler.on);
    let goals = program.goals.iter().map(|goal| &goal.on);
    let exits = program.exits.iter().filter_map(|exit| match &exit.trigger {
        Trigger::Event(on) => Some(on),
        Trigger::Condition { .. } => None,
    });
    let events =
        handlers.chain(goals).chain(exits).flat_map(|on| &on.signals).filter_map(|signal| match signal {
            Signal::Event(name) => Some(name),
            Signal::Outcome { .. } => None,
        });
    let watched = program.exits.iter().flat_map(|exit| match &exit.trigger {
        Trigger::Condition { watch, .. } => watch.signals.as_slice(),
        Trigger::Event(_) => &[],
    });
    sorted(events.chain(watched).cloned())
}

fn sorted(words: impl Iterator<Item = Word>) -> Vec<Word> {
    let mut words: Vec<Word> = words.collect();
    words.sort();
    words.dedup();
    words
}
