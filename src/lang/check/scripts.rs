//! Scripts of tasks: each is there, and what it writes comes with every call or is known of the contact: E0801, E0803,
//! E0807.

use std::collections::BTreeSet;

use super::findings::{Findings, finding, with_near_miss};
use super::schema::Schema;
use crate::diagnostic::{Code, Diagnostic, FileId, Span, suggest};
use crate::lang::ast::{self, ItemKind, StmtKind, Work};
use crate::lang::template::{ScriptValue, script_values};

/// Reads the scripts that tasks name; nothing is said where nobody has looked for them.
pub(super) fn check(schema: &Schema, files: &[(FileId, ast::File)], out: &mut Findings) {
    let Some(scripts) = &schema.input.scripts else { return };
    let mut told = BTreeSet::new();
    for item in files.iter().flat_map(|(_, tree)| &tree.items) {
        let ItemKind::Task(task) = &item.kind else { continue };
        // The script that the task names, and where.
        let Some((name, place)) = task.props.iter().find_map(|prop| prop.text("script")) else { continue };
        let belongs = |path: &str| {
            let locale = path.strip_prefix(name).and_then(|rest| rest.strip_suffix(".md"));
            let is_locale = |rest: &str| rest.strip_prefix('.').is_some_and(|rest| !rest.contains('.'));
            locale.is_some_and(|rest| rest.is_empty() || is_locale(rest))
        };
        let mut own = scripts.iter().filter(|(path, _)| belongs(path)).peekable();
        if own.peek().is_none() {
            let names: BTreeSet<&str> =
                scripts.keys().map(|path| path.split('.').next().unwrap_or_default()).collect();
            let near = suggest::did_you_mean(name, names).map(|near| format!("\"{near}\""));
            let message = format!("the task `{}` has no script: there is no {name}.md", task.name.text);
            let made = finding(Code::E0801, place, message).label("not found");
            out.push(match near {
                Some(_) => with_near_miss(made, near.as_deref(), &[], place),
                None => made.help("write it, in Markdown; or leave `script` out of the task"),
            });
            continue;
        }
        let calls = calls_of(files, &task.name.text);
        for (_, file) in own {
            // Two tasks may share a script, and then it is read for both.
            for made in findings_of(schema, *file, &task.name.text, &calls) {
                if told.insert((made.primary.span, made.message.clone())) {
                    out.push(made);
                }
            }
        }
    }
}

/// Each `call` and `assign` of the task.
fn calls_of<'a>(files: &'a [(FileId, ast::File)], task: &str) -> Vec<(&'a Work, Span)> {
    let mut calls = Vec::new();
    for item in files.iter().flat_map(|(_, tree)| &tree.items) {
        let ItemKind::Journey(journey) = &item.kind else { continue };
        super::visit::each_stmt_of(journey, &mut |stmt, _| match &stmt.kind {
            StmtKind::Call(work) | StmtKind::Assign(work) if work.task.joined() == task => {
                calls.push((&**work, stmt.span));
            }
            _ => {}
        });
    }
    calls
}

fn findings_of(schema: &Schema, file: FileId, task: &str, calls: &[(&Work, Span)]) -> Vec<Diagnostic> {
    let place = |start: usize, end: usize| Span::new(file, start as u32, end as u32);
    match script_values(schema.input.sources.text(file)) {
        Err(wrong) => vec![finding(Code::E0807, place(wrong.start, wrong.end), wrong.message)],
        Ok(values) => {
            let made = values
                .iter()
                .filter_map(|value| unknown_value(schema, value, place(value.start, value.end), task, calls));
            made.collect()
        }
    }
}

/// E0803 for a value that nothing gives.
fn unknown_value(
    schema: &Schema,
    value: &ScriptValue,
    place: Span,
    task: &str,
    calls: &[(&Work, Span)],
) -> Option<Diagnostic> {
    let mut parts = value.name.split('.');
    let (root, rest) = (parts.next().unwrap_or_default(), parts.next());
    let missing = |near: Option<String>, all: &[&str], message: String| {
        with_near_miss(
            finding(Code::E0803, place, message).label("not supplied"),
            near.as_deref(),
            all,
            place,
        )
    };
    match (root, rest) {
        ("contact", Some("id")) => None,
        ("contact", Some(attribute)) => {
            if schema.catalog.attribute(attribute).is_some() || schema.is_hidden(attribute) {
                return None;
            }
            let all = schema.catalog.attributes.iter().map(|attribute| &*attribute.name);
            let near = suggest::did_you_mean(attribute, all).map(|near| format!("contact.{near}"));
            Some(missing(near, &[], format!("contacts have no attribute `{attribute}`")))
        }
        ("brand", Some(text)) => {
            let brand: Vec<&str> = schema.input.settings.brand.iter().map(String::as_str).collect();
            let near = suggest::did_you_mean(text, brand.iter().copied()).map(|near| format!("brand.{near}"));
            let message = format!("there is no `brand.{text}`");
            (!brand.contains(&text)).then(|| missing(near, &brand, message))
        }
        (given, _) => {
            let gives = |work: &Work| {
                let mut pairs = work.with.iter().flat_map(|record| &record.pairs);
                pairs.any(|(name, _)| name.text == given)
            };
            // A call that could not be read may give it.
            let (work, span) =
                calls.iter().find(|(work, span)| !gives(work) && !schema.has_mistake(*span))?;
            let names: Vec<&str> = work
                .with
                .iter()
                .flat_map(|record| &record.pairs)
                .map(|(name, _)| name.text.as_str())
                .collect();
            let near = suggest::did_you_mean(given, names).map(str::to_owned);
            let has_near = near.is_some();
            let made = missing(near, &[], format!("nothing gives `{given}` to every `{task}`"))
                .related(Span::new(span.file, span.start, work.task.span.end), "given nothing of that name");
            Some(match has_near {
                true => made,
                false => made.help(format!(
                    "add `with {{ {given}: … }}` to each call and assignment of the task, or take it from contact.… or brand.…"
                )),
            })
        }
    }
}
