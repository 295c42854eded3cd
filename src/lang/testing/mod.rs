//! Runs `test` blocks in virtual time, on the engine that the daemon runs.
//!
//! A test becomes a `script`; a `stage` (with `watching`, `states`, `values`) plays it with an in-memory world, where mail is sent at once and requests are answered by
//! stubs; `matching` compares what happened with what was expected; `timeline` shows both beside each other; `coverage` tells
//! which exits and branches no test has reached.

mod coverage;
mod matching;
mod output;
mod script;
mod stage;
mod states;
mod timeline;
mod values;
mod watching;

use std::collections::BTreeMap;

use super::ast::{self, ItemKind};
use super::lower::lower;
use super::{Checked, Compilation};
use crate::diagnostic::{Diagnostic, FileId, Severity, Sources, Span};
use crate::engine::program::{Program, StepKind, Word};
use crate::time::{Timestamp, Zone};
use matching::{Seen, Verdict};
use script::Cast;

pub use coverage::{Coverage, Reached};

/// One test that was played.
#[derive(Clone, Debug)]
pub struct Play {
    pub title: String,
    pub journey: Word,
    /// The whole `test` block.
    pub span: Span,
    people: Vec<String>,
    seen: Vec<Seen>,
    verdicts: Vec<Verdict>,
    /// Visible things that no line expects, as indices into what was seen.
    unexpected: Vec<usize>,
    /// Lines that could not be played, with the reason.
    problems: Vec<(Span, String)>,
    project_zone: Zone,
    /// The virtual time that passed.
    pub begins: Timestamp,
    pub ends: Timestamp,
}

/// One row of a time line: what happened, what was expected, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub at: Timestamp,
    /// Whom it concerns, where a test has several people.
    pub person: String,
    /// Empty where nothing happened.
    pub happened: String,
    /// What was expected instead; empty where all is well.
    pub expected: String,
    /// The line of the test that speaks of it.
    pub line: Option<u32>,
    /// The line did it, rather than expect it.
    pub by_test: bool,
    pub ok: bool,
}

/// All tests that were played, and what they have reached.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub plays: Vec<Play>,
    /// Tests that could not be played because their journey, or they themselves, have errors.
    pub skipped: Vec<ast::Test>,
    reached: Reached,
}

impl Play {
    /// Whether everything happened that was expected, and nothing else that anybody would notice.
    pub fn passed(&self) -> bool {
        self.problems.is_empty()
            && self.unexpected.is_empty()
            && self.verdicts.iter().all(|verdict| verdict.failure.is_none())
    }

    /// What went wrong, each at its line of the test.
    pub fn failures(&self) -> Vec<(Span, String)> {
        let zone = self.zone();
        let mut failures = self.problems.clone();
        let failed = self.verdicts.iter().filter(|verdict| verdict.failure.is_some());
        failures.extend(failed.map(|verdict| (verdict.span, verdict.sentence(&self.seen, &zone))));
        failures.extend(self.unexpected.iter().map(|number| {
            let seen = &self.seen[*number];
            let when = timeline::moment_words(&zone, seen.at);
            (self.title_span(), format!("`{}` happened at {when}, and no line expects it", seen.what.head()))
        }));
        failures
    }

    fn title_span(&self) -> Span {
        self.span.shrink_to_start()
    }
}

/// Plays the tests that are chosen, in order of files and places.
pub fn run(compilation: &Compilation, sources: &Sources, chosen: &dyn Fn(Span) -> bool) -> Report {
    let mut report = Report::default();
    let house = House::new(compilation);
    let is_sound = |test: &ast::Test| {
        let errors = compilation.diagnostics.iter().filter(|found| found.severity() == Severity::Error);
        errors.map(|found| found.primary.span).all(|span| !test.span.contains(span))
    };
    for test in compilation.tests.iter().filter(|test| chosen(test.span)) {
        let played = house.cast(test).filter(|_| is_sound(test)).map(|cast| {
            let (script, _) = script::read(test, &cast);
            stage::play(&script, &cast, (compilation, sources), &mut report.reached)
        });
        match played {
            Some(play) => report.plays.push(play),
            None => report.skipped.push(test.clone()),
        }
    }
    report
}

/// Finds tests that can never pass, without playing them. Where the checker has spoken already, it stays silent.
pub fn check(compilation: &mut Compilation) {
    let house = House::new(compilation);
    let told: Vec<Span> = compilation.diagnostics.iter().map(|finding| finding.primary.span).collect();
    let is_new = |finding: &Diagnostic| {
        let span = finding.primary.span;
        !told.iter().any(|told| !told.is_empty() && told.contains(span))
    };
    let mut findings = Vec::new();
    for test in &compilation.tests {
        if let Some(cast) = house.cast(test) {
            findings.extend(script::read(test, &cast).1.into_iter().filter(is_new));
        }
    }
    compilation.diagnostics.extend(findings);
}

impl Report {
    /// Exits and branches of every journey, and which of them no test has reached.
    pub fn coverage(&self, compilation: &Compilation) -> Vec<Coverage> {
        let lowered = |journey: &ast::Journey| lower(journey, &compilation.checked).ok();
        let is_sound = |name: &str| compilation.programs.iter().any(|program| *program.journey == *name);
        journeys(&compilation.files)
            .filter(|(_, journey)| is_sound(&journey.name.text))
            .filter_map(|(_, journey)| Some(coverage::of(journey, &lowered(journey)?, &self.reached)))
            .collect()
    }
}

fn journeys(files: &[(FileId, ast::File)]) -> impl Iterator<Item = (FileId, &ast::Journey)> {
    files.iter().flat_map(|(file, tree)| {
        tree.items.iter().filter_map(move |item| match &item.kind {
            ItemKind::Journey(journey) => Some((*file, &**journey)),
            _ => None,
        })
    })
}

/// All sound journeys of a compilation.
struct House<'a> {
    programs: BTreeMap<Word, &'a Program>,
    checked: &'a Checked,
    zone: Zone,
}

impl<'a> House<'a> {
    fn new(compilation: &'a Compilation) -> House<'a> {
        House {
            programs: compilation.programs.iter().map(|program| (program.journey.clone(), program)).collect(),
            checked: &compilation.checked,
            zone: Zone::named(&compilation.catalog.zone).unwrap_or_else(Zone::utc),
        }
    }

    /// The journey of a test with all that it starts, directly or not; `None` if one of them has errors.
    fn cast(&self, test: &ast::Test) -> Option<Cast<'a>> {
        let journey = *self.programs.get(test.journey.text.as_str())?;
        let mut all: Vec<&Program> = vec![journey];
        let mut next = 0;
        while let Some(program) = all.get(next).copied() {
            next += 1;
            for step in &program.steps {
                if let StepKind::StartJourney { journey, .. } | StepKind::RunJourney { journey, .. } =
                    &step.kind
                    && !all.iter().any(|known| known.journey == *journey)
                {
                    all.push(self.programs.get(journey)?);
                }
            }
        }
        let holidays = &self.checked.catalog.holidays;
        Some(Cast { journey, all, zone: self.zone.clone(), holidays })
    }
}
