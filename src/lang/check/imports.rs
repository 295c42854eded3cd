//! `import`: the file is there, and something of it is used.

use super::findings::{Findings, finding};
use super::schema::has_word;
use crate::diagnostic::{Code, FileId, Sources, Span, suggest};
use crate::lang::ast::{File, ItemKind, Text};

pub(super) fn check(files: &[(FileId, File)], sources: &Sources, out: &mut Findings) {
    for (file, tree) in files {
        for item in &tree.items {
            let ItemKind::Import(path) = &item.kind else { continue };
            match imported(files, sources, path) {
                Some(shared) if is_used(shared, *file, item.span, sources) => {}
                Some(_) => out.push(
                    finding(Code::W0109, item.span, format!("nothing of `{}` is used here", path.value))
                        .label("unused")
                        .help("leave the line out")
                        .fix("leave the line out", item.span, ""),
                ),
                None => missing(sources, path, out),
            }
        }
    }
}

/// The file that is meant: its path from the project, from the folder of this file, or the end of it.
fn imported<'f>(files: &'f [(FileId, File)], sources: &Sources, path: &Text) -> Option<&'f File> {
    let own = path.span.file;
    let folder = sources.path(own).rsplit_once('/').map_or("", |(folder, _)| folder);
    let wanted = path.value.trim_start_matches("./");
    let is_meant = |candidate: &str| {
        candidate == wanted
            || candidate.strip_prefix(folder).is_some_and(|rest| rest.trim_start_matches('/') == wanted)
            || candidate.strip_suffix(wanted).is_some_and(|rest| rest.ends_with('/'))
    };
    files.iter().find(|(file, _)| *file != own && is_meant(sources.path(*file))).map(|(_, tree)| tree)
}

/// Whether a file says a name that the other declares. What could not be read may declare anything.
fn is_used(shared: &File, user: FileId, import: Span, sources: &Sources) -> bool {
    let text = sources.text(user);
    let rest = [&text[..import.start as usize], &text[import.end as usize..]];
    let says = |name: &str| rest.iter().any(|text| has_word(text, name));
    shared.items.iter().any(|item| match &item.kind {
        ItemKind::Audience(decl) | ItemKind::Channel(decl) | ItemKind::Task(decl) | ItemKind::Team(decl) => {
            says(&decl.name.text)
        }
        ItemKind::Contact(fields) => fields.iter().any(|field| says(&field.name.text)),
        ItemKind::Endpoint { path, .. } | ItemKind::Template { name: path, .. } => {
            says(sources.slice(path.span))
        }
        ItemKind::Event(event) => says(&event.name.text),
        ItemKind::Journey(journey) => says(&journey.name.text),
        ItemKind::Policy { .. } | ItemKind::Error => true,
        ItemKind::Pool { name, .. } | ItemKind::Purpose { name, .. } | ItemKind::Survey { name, .. } => {
            says(&name.text)
        }
        ItemKind::Score(decl) | ItemKind::Segment(decl) => says(&decl.name.text),
        ItemKind::Import(_) | ItemKind::Test(_) => false,
    })
}

fn missing(sources: &Sources, path: &Text, out: &mut Findings) {
    let own = sources.path(path.span.file);
    let all: Vec<&str> = sources
        .iter()
        .map(|(_, path, _)| path)
        .filter(|path| path.ends_with(".journey") && *path != own)
        .collect();
    let made =
        finding(Code::E0101, path.span, format!("there is no file `{}`", path.value)).label("not found");
    out.push(match suggest::did_you_mean(&path.value, all.iter().copied()) {
        Some(near) => made.help(format!("did you mean `{near}`?")).suggest(
            "name that file",
            path.span,
            format!("\"{near}\""),
        ),
        None => {
            made.help("write its path from the folder of the project, such as `\"shared/loyalty.journey\"`")
        }
    });
}
