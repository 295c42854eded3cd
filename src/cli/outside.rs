//! What `check` sees of the world outside: requests that would be refused since they lead into a network of our own (W1104), and
//! sources that speak of events which the schema does not have (E0101).

use super::load::Project;
use crate::channels::guard::{Allowed, inside};
use crate::config;
use crate::diagnostic::{Code, Diagnostic, FileId, Span, suggest};
use crate::lang::Compilation;
use crate::lang::ast::ItemKind;

/// Both, in no particular order.
pub fn findings(project: &Project, compiled: &Compilation) -> Vec<Diagnostic> {
    let mut found = endpoints(project, compiled);
    // Where the schema cannot be read, nobody knows what is in it.
    if compiled.diagnostics.iter().all(|finding| finding.severity() != crate::diagnostic::Severity::Error) {
        found.extend(sources(project, compiled));
    }
    found
}

/// What may be asked though it is not public; what says nothing is told by `serve`.
pub(super) fn allowed(project: &Project) -> Vec<Allowed> {
    project.config.requests.allow.iter().filter_map(|text| text.parse().ok()).collect()
}

fn endpoints(project: &Project, compiled: &Compilation) -> Vec<Diagnostic> {
    let allowed = allowed(project);
    let mut found = Vec::new();
    for item in compiled.files.iter().flat_map(|(_, tree)| &tree.items) {
        let ItemKind::Endpoint { path, props, .. } = &item.kind else { continue };
        for (url, span) in props.iter().filter_map(|prop| prop.text("url")) {
            let Some(host) = inside(url, &allowed) else { continue };
            let message = format!(
                "`{}` leads to `{host}`, which is not public: its requests will be refused",
                path.joined()
            );
            found.push(
                Diagnostic::new(Code::W1104, span, message).label("inside a network of our own").help(
                    format!(
                        "if that is meant, name it in {}: `[requests]`, `allow = [\"{host}\"]`",
                        config::FILE
                    ),
                ),
            );
        }
    }
    found
}

/// Each event that a source may tell of is in the schema.
fn sources(project: &Project, compiled: &Compilation) -> Vec<Diagnostic> {
    let Some(file) = project.input.sources.find(config::FILE) else { return Vec::new() };
    let text = project.input.sources.text(file);
    let catalog = &compiled.catalog;
    let mut found = Vec::new();
    for (name, source) in &project.config.sources {
        let own = source.event.as_str();
        let named = (!own.starts_with('/')).then_some(own).filter(|own| !source.events.contains_key(*own));
        for event in source.events.values().map(String::as_str).chain(named) {
            if catalog.event_named(event).is_some() {
                continue;
            }
            let place = place_of(file, text, name, event);
            let made = Diagnostic::new(
                Code::E0101,
                place,
                format!("the source `{name}` tells of `{event}`, which is no event"),
            )
            .label("not declared");
            let near = suggest::did_you_mean(event, catalog.events.keys().map(|name| &**name));
            found.push(match near {
                Some(near) => made.help(format!("did you mean `{near}`?")),
                None if named == Some(event) => made.help(
                    "name an event of the schema, or the place where a body says which it is, such as `event = \"/type\"`",
                ),
                None => made.help("name an event of the schema"),
            });
        }
    }
    found
}

/// Where the file says that of the source.
fn place_of(file: FileId, text: &str, source: &str, said: &str) -> Span {
    let section = text.find(&format!("[sources.{source}")).unwrap_or(0);
    let quoted = format!("\"{said}\"");
    match text[section..].find(&quoted) {
        Some(at) => Span::new(file, (section + at) as u32, (section + at + quoted.len()) as u32),
        None => Span::at(file, section as u32),
    }
}
