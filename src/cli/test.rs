//! `fahrplan test`: runs the `test` blocks in virtual time and shows what happened beside what was expected.

use super::load::Project;
use super::{Exit, Outcome, TestArgs, TestFormat, color, print};
use crate::diagnostic::{Look, count, render_all};
use crate::lang::testing::{self, Coverage};

/// Plays the tests of the chosen paths.
pub fn run(args: &TestArgs) -> Outcome {
    let project = Project::of(&args.paths)?;
    let compilation = project.compile();
    let chosen = project.selected(&args.paths)?;
    let sources = &project.input.sources;
    let report = testing::run(&compilation, sources, &|span| chosen.contains(&span.file));
    let coverage = if args.coverage { report.coverage(&compilation) } else { Vec::new() };
    let text = match args.format {
        TestFormat::Human => {
            let mut text = report.human(sources, color());
            if args.coverage {
                let look = Look { color: color(), ..Look::PLAIN };
                let findings: Vec<_> = coverage.iter().flat_map(|one| one.findings.clone()).collect();
                text += &format!("\n{}{}", render_all(sources, &findings, look), table(&coverage));
            }
            let errors = count(&compilation.diagnostics)[0];
            if errors > 0 {
                text += &format!(
                    "the project has {}; `fahrplan check` shows them\n",
                    super::check::counted(errors, "error")
                );
            }
            text
        }
        TestFormat::Json => report.json(sources, &coverage),
        TestFormat::Junit => report.junit(sources),
    };
    print(&text)?;
    Ok(if report.passed() { Exit::Fine } else { Exit::Findings })
}

/// One line a journey: how much of it the tests reach.
fn table(coverage: &[Coverage]) -> String {
    let width = coverage.iter().map(|one| one.journey.len()).max().unwrap_or(0);
    let line = |one: &Coverage| format!("  {:<width$}  {}\n", one.journey, one.summary());
    format!("\nreached by tests:\n{}", coverage.iter().map(line).collect::<String>())
}
