//! How long a journey can take: the longest path, added up over the tree.
//!
//! Each wait counts with its limit, a loop with all its rounds, `until` with the longest time to that day or clock time. Holds by
//! policies do not count. A circle of `go to` counts once: its bound is `lasts` itself.

use std::collections::{BTreeMap, HashMap};

use super::journey::Journey;
use crate::diagnostic::Span;
use crate::lang::ast::{self, Block, JourneyItemKind, MomentKind, Stmt, StmtKind, Weekday};
use crate::lang::types::calendar;
use crate::time::{DAY, HOUR, MINUTE};

/// Longer than any journey; keeps sums in bounds.
const MOST: i64 = 400_000 * DAY;

/// The longest way to a place: how long, and the waits that make it so.
#[derive(Clone, Debug, Default)]
pub(super) struct Longest {
    pub(super) ms: i64,
    pub(super) path: Vec<String>,
    /// When named steps were done on it.
    done: BTreeMap<String, i64>,
}

impl Longest {
    /// The longest path from entry to the end of the journey.
    pub(super) fn of(journey: &Journey) -> Longest {
        let mut walk = Walk {
            journey,
            longest: Longest::begin(),
            stages: BTreeMap::new(),
            rounds: HashMap::new(),
            measuring: false,
        };
        let mut here = Some(Longest::begin());
        for item in &journey.journey.items {
            match &item.kind {
                JourneyItemKind::Stmt(stmt) => here = here.and_then(|here| walk.stmt(stmt, here)),
                JourneyItemKind::Stage { name, body } => {
                    let jumped = walk.stages.remove(name.text.as_str());
                    here = later(here, jumped).and_then(|here| walk.block(body, here));
                }
                _ => {}
            }
        }
        if let Some(here) = here {
            walk.ends(here);
        }
        walk.longest
    }

    fn begin() -> Longest {
        Longest { path: vec!["enter".to_owned()], ..Longest::default() }
    }

    fn plus(mut self, ms: i64, word: String) -> Longest {
        self.ms = self.ms.saturating_add(ms.max(0)).min(MOST);
        if ms > 0 {
            self.path.push(word);
        }
        self
    }

    /// The length in words: `94 days`, `3 hours`.
    pub(super) fn words(&self) -> String {
        match self.ms {
            ms if ms >= 2 * DAY => format!("about {} days", (ms + DAY / 2) / DAY),
            ms if ms >= 2 * HOUR => format!("about {} hours", (ms + HOUR / 2) / HOUR),
            ms => format!("about {} minutes", (ms + MINUTE / 2) / MINUTE),
        }
    }

    /// A duration that is enough.
    pub(super) fn rounded_up(&self) -> String {
        match self.ms {
            ms if ms > DAY => format!("{} days", (ms + DAY - 1) / DAY),
            ms => format!("{} hours", (ms + HOUR - 1) / HOUR),
        }
    }
}

fn later(a: Option<Longest>, b: Option<Longest>) -> Option<Longest> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.ms > a.ms { b } else { a }),
        (a, b) => a.or(b),
    }
}

struct Walk<'w, 'c, 'a> {
    journey: &'w Journey<'c, 'a>,
    /// The longest that has ended.
    longest: Longest,
    /// The longest way by which somebody jumps to a stage that is still to come.
    stages: BTreeMap<String, Longest>,
    /// How long a round of each loop takes; `None` where no way leads through it. Measured once, or loops in loops
    /// would be walked twice as often with each level.
    rounds: HashMap<Span, Option<i64>>,
    /// A round is being measured: ends do not count, and loops inside are not walked for theirs.
    measuring: bool,
}

impl Walk<'_, '_, '_> {
    fn ends(&mut self, here: Longest) {
        if here.ms > self.longest.ms && !self.measuring {
            self.longest = here;
        }
    }

    fn block(&mut self, block: &Block, here: Longest) -> Option<Longest> {
        block.stmts.iter().try_fold(here, |here, stmt| self.stmt(stmt, here))
    }

    /// The longest way behind a statement; `None` where none leads on.
    fn stmt(&mut self, stmt: &Stmt, here: Longest) -> Option<Longest> {
        let behind = match &stmt.kind {
            StmtKind::Exit { .. } | StmtKind::Resume => {
                self.ends(here);
                None
            }
            StmtKind::GoTo(stage) => {
                let known = self.stages.remove(&stage.text);
                if let Some(longest) = later(known, Some(here)) {
                    self.ends(longest.clone());
                    self.stages.insert(stage.text.clone(), longest);
                }
                None
            }
            StmtKind::Wait(wait) => self.wait(stmt, wait, here),
            StmtKind::Ask(ask) => Some(self.limited(stmt, ask.limit.as_ref(), here)),
            StmtKind::Call(work) | StmtKind::Assign(work) => {
                Some(self.limited(stmt, work.limit.as_ref(), here))
            }
            StmtKind::RunJourney { limit, .. } => Some(self.limited(stmt, limit.as_ref(), here)),
            StmtKind::Repeat { times, body, .. } => self.repeat(stmt, times, body, here),
            StmtKind::If(choice) => {
                let mut ends = None;
                for (_, block) in &choice.branches {
                    ends = later(ends, self.block(block, here.clone()));
                }
                let otherwise = match &choice.otherwise {
                    Some(block) => self.block(block, here),
                    None => Some(here),
                };
                later(ends, otherwise)
            }
            StmtKind::Switch(switch) => {
                let mut ends = None;
                for block in switch.cases.iter().map(|case| &case.body).chain(&switch.otherwise) {
                    ends = later(ends, self.block(block, here.clone()));
                }
                ends
            }
            StmtKind::Split { variants, .. } => {
                let mut ends = None;
                for variant in variants {
                    ends = later(ends, self.block(&variant.body, here.clone()));
                }
                ends
            }
            StmtKind::Request(request) => {
                request.otherwise.iter().for_each(|block| _ = self.block(block, here.clone()));
                Some(here)
            }
            StmtKind::Take { otherwise, .. } => {
                otherwise.iter().for_each(|block| _ = self.block(block, here.clone()));
                Some(here)
            }
            _ => Some(here),
        };
        let name = name_of(stmt);
        behind.map(|mut behind| {
            if let Some(name) = name {
                behind.done.insert(name.to_owned(), behind.ms);
            }
            behind
        })
    }

    /// Work that somebody may take his time for.
    fn limited(&self, stmt: &Stmt, limit: Option<&ast::Duration>, here: Longest) -> Longest {
        let Some(limit) = limit.map(calendar) else { return here };
        let word = format!("{} (l. {}, {limit})", self.journey.label(stmt), self.journey.line(stmt.span));
        here.plus(limit.about_ms(), word)
    }

    fn repeat(&mut self, stmt: &Stmt, times: &ast::Number, body: &Block, here: Longest) -> Option<Longest> {
        let rounds = times.value.trunc().clamp(1, 10_000);
        let round = self.round(body);
        let length = round.unwrap_or(0);
        let before = here.clone().plus(length.saturating_mul(rounds - 1), String::new());
        let all = Longest::default().plus(length.saturating_mul(rounds), String::new());
        let word = format!("[{rounds} rounds, {}] (l. {})", all.words(), self.journey.line(stmt.span));
        // What leaves from inside leaves in the last round at the latest.
        if !self.measuring {
            self.block(body, Longest { path: here.path.clone(), ..before });
        }
        round.map(|_| here.plus(length.saturating_mul(rounds), word))
    }

    /// How long one round takes.
    fn round(&mut self, body: &Block) -> Option<i64> {
        if let Some(known) = self.rounds.get(&body.span) {
            return *known;
        }
        let outside = std::mem::replace(&mut self.measuring, true);
        let stages = self.stages.clone();
        let length = self.block(body, Longest::default()).map(|round| round.ms);
        (self.measuring, self.stages) = (outside, stages);
        self.rounds.insert(body.span, length);
        length
    }

    fn wait(&mut self, stmt: &Stmt, wait: &ast::Wait, here: Longest) -> Option<Longest> {
        let line = self.journey.line(stmt.span);
        match wait {
            ast::Wait::For { duration, longest, then_until, .. } => {
                let length = calendar(longest.as_ref().unwrap_or(duration));
                let here = here.plus(length.about_ms(), self.word(stmt, &length.to_string(), line));
                Some(self.until(then_until.as_ref(), here, line))
            }
            ast::Wait::Until { moment, body, .. } => {
                let reached = self.until(Some(moment), here.clone(), line);
                match body {
                    Some(body) => later(self.block(body, reached), Some(here)),
                    None => Some(reached),
                }
            }
            ast::Wait::Event { patience, then_until, .. } => {
                let here = self.patience(stmt, patience, here, line);
                Some(self.until(then_until.as_ref(), here, line))
            }
            ast::Wait::Condition { patience, .. } => Some(self.patience(stmt, patience, here, line)),
            ast::Wait::Race { patience, arms, timeout, .. } => {
                let here = self.patience(stmt, patience, here, line);
                let mut ends = None;
                for arm in arms {
                    ends = later(ends, self.block(&arm.body, here.clone()));
                }
                let timeout = match (timeout, patience) {
                    (Some(block), _) => self.block(block, here),
                    (None, ast::Patience::UpTo(_)) => Some(here),
                    (None, ast::Patience::Forever(_)) => None,
                };
                later(ends, timeout)
            }
        }
    }

    fn word(&self, stmt: &Stmt, length: &str, line: u32) -> String {
        match name_of(stmt) {
            Some(name) => format!("{name} (l. {line}, {length})"),
            None => format!("[{length}] (l. {line})"),
        }
    }

    fn patience(&self, stmt: &Stmt, patience: &ast::Patience, here: Longest, line: u32) -> Longest {
        match patience {
            ast::Patience::UpTo(limit) => {
                let length = calendar(limit);
                here.plus(length.about_ms(), self.word(stmt, &length.to_string(), line))
            }
            ast::Patience::Forever(_) => here,
        }
    }

    fn until(&self, moment: Option<&ast::Moment>, here: Longest, line: u32) -> Longest {
        let Some(moment) = moment else { return here };
        let more = match &moment.kind {
            MomentKind::Weekday { day, .. } => longest_to(*day),
            MomentKind::Time(_) => DAY,
            MomentKind::Anchor { offset: Some((offset, ast::Side::After)), anchor, at } => {
                let from = match anchor.parts.as_slice() {
                    [entry] if entry.text == "entry" => Some(0),
                    [step] => here.done.get(&step.text).copied(),
                    _ => None,
                };
                let clock = if at.is_some() { DAY } else { 0 };
                from.map_or(0, |from| {
                    from.saturating_add(calendar(offset).about_ms().min(MOST)) + clock - here.ms
                })
            }
            MomentKind::Anchor { .. } | MomentKind::DateTime(..) | MomentKind::Date { .. } => 0,
        };
        let text = self.journey.text(moment.span);
        here.plus(more, format!("[until {text}] (l. {line})"))
    }
}

/// The longest time to such a day: over a week-end for a weekday, over the week for a single day.
fn longest_to(day: Weekday) -> i64 {
    match day {
        Weekday::Day => DAY,
        Weekday::Weekday | Weekday::WorkingDay => 3 * DAY,
        Weekday::Weekend => 6 * DAY,
        _ => 7 * DAY,
    }
}

fn name_of(stmt: &Stmt) -> Option<&str> {
    let name = match &stmt.kind {
        StmtKind::Send(send) => &send.name,
        StmtKind::Ask(ask) => &ask.name,
        StmtKind::Call(work) | StmtKind::Assign(work) => &work.name,
        StmtKind::Request(request) => &request.name,
        StmtKind::RunJourney { name, .. } => name,
        StmtKind::Wait(wait) => match &**wait {
            ast::Wait::For { name, .. }
            | ast::Wait::Until { name, .. }
            | ast::Wait::Condition { name, .. }
            | ast::Wait::Race { name, .. } => name,
            ast::Wait::Event { event, .. } => &event.name,
        },
        _ => return None,
    };
    name.as_ref().map(|name| name.text.as_str())
}
