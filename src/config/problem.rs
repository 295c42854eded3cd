//! Mistakes in `fahrplan.toml` and in the environment, as they are told.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::{PREFIX, SECTIONS};
use crate::diagnostic::did_you_mean;

/// Keys that belong to a later release, with what to do until then.
const LATER: [(&str, &str); 5] = [
    ("smtp.dkim", "let the mail server behind `smtp.url` sign"),
    ("environments", "use one `fahrplan.toml` and the environment for what differs"),
    ("lints", "silence a single finding with `# allow CODE: why` on the line above"),
    ("limits", "leave the section out"),
    ("language", "leave the key out"),
];

/// A mistake in `fahrplan.toml` or in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the text, as bytes; `None` for the environment.
    pub place: Option<Range<usize>>,
    pub message: String,
    pub help: Option<String>,
}

impl Problem {
    /// A section that does not exist.
    pub(super) fn of_section(name: &str, place: Range<usize>) -> Problem {
        if let Some(problem) = not_yet(name, Some(place.clone())) {
            return problem;
        }
        let help = match did_you_mean(name, SECTIONS) {
            Some(near) => format!("did you mean `[{near}]`?"),
            None => format!("the sections are {}", SECTIONS.join(", ")),
        };
        Problem { place: Some(place), message: format!("unknown section `{name}`"), help: Some(help) }
    }

    /// What the reader of TOML says, in words that an author understands.
    pub(super) fn reworded(section: &str, error: &toml::de::Error) -> Problem {
        let place = error.span();
        let message = error.message();
        match message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
            Some((key, rest)) => unknown_key(section, key, rest, place),
            None => {
                let message = message.lines().map(str::trim).collect::<Vec<_>>().join(", ");
                Problem { place, message, help: None }
            }
        }
    }

    pub(super) fn of_variable(variable: &str, why: &str, near: Option<&str>) -> Problem {
        let message = match why.strip_prefix("unknown field `") {
            Some(_) => format!("the environment variable `{variable}` names no key"),
            None => format!("the environment variable `{variable}` cannot be used: {why}"),
        };
        let is_unknown = why.starts_with("unknown field");
        let help = near.filter(|_| is_unknown).map(|near| format!("did you mean `{PREFIX}{near}`?"));
        Problem { place: None, message, help }
    }

    /// As shown on a terminal: the line with carets under the place.
    pub fn render(&self, path: &str, text: &str, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let group = Level::ERROR.primary_title(self.message.as_str());
        let snippet = self.place.clone().map(|place| {
            let end = place.end.min(text.len());
            let mark = AnnotationKind::Primary.span(place.start.min(end)..end);
            Snippet::source(text).path(path).annotation(mark)
        });
        let help = self.help.as_deref().map(|help| Level::HELP.message(help));
        let mut group = group.elements(snippet);
        if let Some(help) = help {
            group = group.element(help);
        }
        renderer.render(&[group]) + "\n"
    }
}

/// `expected` is the tail of serde's message, which lists the known keys in backticks.
fn unknown_key(section: &str, key: &str, expected: &str, place: Option<Range<usize>>) -> Problem {
    if let Some(problem) = not_yet(&format!("{section}.{key}"), place.clone()) {
        return problem;
    }
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let help = match did_you_mean(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the keys of `[{section}]` are {}", known.join(", ")),
    };
    Problem { place, message: format!("unknown key `{key}` in `[{section}]`"), help: Some(help) }
}

fn not_yet(name: &str, place: Option<Range<usize>>) -> Option<Problem> {
    let (_, instead) = LATER.iter().find(|(later, _)| *later == name)?;
    let help = Some((*instead).to_owned());
    Some(Problem { place, message: format!("`{name}` is not available yet"), help })
}
