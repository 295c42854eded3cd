//! `fahrplan check`: compiles the project offline and shows every finding.

use super::load::Project;
use super::{CheckArgs, CheckFormat, Exit, Failure, Outcome, color, print};
use crate::diagnostic::{Diagnostic, Look, Sources, ci, concise, count, json, render_all, sarif, summary};
use crate::lang::Compilation;
use crate::lang::mend::{Mended, mend};

/// Compiles, mends where asked, and prints the findings of the chosen paths.
pub fn run(args: &CheckArgs) -> Outcome {
    let mended = if args.fix { fix(args)? } else { Mended::default() };
    let project = Project::of(&args.paths)?;
    let compilation = project.compile();
    let selected = project.selected(&args.paths)?;
    if args.format == CheckFormat::Human {
        project.tell_near_misses();
    }
    let mut findings = compilation.diagnostics.clone();
    findings.retain(|finding| selected.contains(&finding.primary.span.file));
    let mut text = written(&project.input.sources, &findings, args.format);
    if args.format == CheckFormat::Human {
        if args.fix {
            text += &format!("mended {}\n", counted(mended.applied, "finding"));
            if mended.held_back > 0 {
                let one = mended.held_back == 1;
                text += &format!(
                    "held back {}: with {}, other mistakes would come up; mend what is above first\n",
                    counted(mended.held_back, "correction"),
                    if one { "it" } else { "them" }
                );
            }
        }
        if findings.is_empty() {
            text += &all_well(&project, &compilation);
        }
    }
    print(&text)?;
    let [errors, warnings, _] = count(&findings);
    let failed = errors > 0 || (args.deny.is_some() && warnings > 0);
    Ok(if failed { Exit::Findings } else { Exit::Fine })
}

fn written(sources: &Sources, findings: &[Diagnostic], format: CheckFormat) -> String {
    match format {
        CheckFormat::Human => {
            let look = Look { color: color(), ..Look::PLAIN };
            let text = render_all(sources, findings, look);
            if findings.is_empty() { text } else { format!("{text}\n{}\n", summary(findings)) }
        }
        CheckFormat::Concise => findings.iter().map(|finding| concise(sources, finding) + "\n").collect(),
        CheckFormat::Json => json::lines(sources, findings),
        CheckFormat::Sarif => sarif::log(sources, findings),
        CheckFormat::Github => ci::github(sources, findings),
        CheckFormat::Gitlab => ci::gitlab(sources, findings),
    }
}

/// Mends what is certain in the chosen files and writes them.
fn fix(args: &CheckArgs) -> Result<Mended, Failure> {
    let project = Project::of(&args.paths)?;
    let selected = project.selected(&args.paths)?;
    let readable = |file| selected.contains(&file) && project.is_readable(file);
    let mended = mend(&project.input, &readable);
    for (file, text) in &mended.texts {
        project.write(*file, text)?;
    }
    Ok(mended)
}

fn all_well(project: &Project, compilation: &Compilation) -> String {
    let templates: std::collections::BTreeSet<&str> = (project.input.templates.keys())
        .filter(|path| !path.starts_with('_'))
        .filter_map(|path| path.split('/').next())
        .collect();
    format!(
        "{}, {}, {}: no findings\n",
        counted(compilation.programs.len(), "journey"),
        counted(templates.len(), "template"),
        counted(compilation.tests.len(), "test")
    )
}

/// `1 journey`, `2 journeys`.
pub fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
