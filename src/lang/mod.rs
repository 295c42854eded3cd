//! The language: text to tree to checked program. Pure.
//!
//! - `ast`: the tree that the parser makes; `parse`: text to tree; `format`: tree to the one layout
//! - `types`: what fits what, durations, the words of the schema as types
//! - `template`: the scanner of templates: variables, helpers, places
//! - `mend`: applies fixes, as long as they do only good
//! - `lower`: checked journeys to programs; `testing`: `test` blocks in virtual time
//! - `check`: names, types, flow, consent, templates; elaborates each expression once
//!
//! [`Input`] is everything one compilation looks at, [`Compilation`] everything it makes.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, FileId, Sources};
use crate::engine::program::{Catalog, Program};
use crate::time::Holidays;

pub mod ast;
pub mod check;
pub mod format;
pub mod lower;
pub mod mend;
pub mod parse;
pub mod template;
pub mod testing;
pub mod types;

pub use check::{Checked, JourneyInfo, Typed};

/// Everything one compilation looks at.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// All texts. Files whose path ends in `.journey` are compiled, schema and policies among them.
    pub sources: Sources,
    /// The templates, by their path below `templates/`: `welcome_story/email.en.subject.hbs`, `_parts/footer.hbs`.
    pub templates: BTreeMap<String, FileId>,
    /// The scripts of tasks, by their path: `calls/winback.de.md`. `None`: nobody has looked for them.
    pub scripts: Option<BTreeMap<String, FileId>>,
    /// The keys of `fahrplan.toml` that change what a file means.
    pub settings: Settings,
}

/// The keys of `fahrplan.toml` that change what a file means.
#[derive(Clone, Debug)]
pub struct Settings {
    /// IANA name of the project's zone.
    pub zone: String,
    /// The locale of a contact whose own is unknown.
    pub locale: String,
    /// Which locales are tried, in order, where a template is missing in one: `de-AT` gives `de`, `en`.
    pub fallbacks: BTreeMap<String, Vec<String>>,
    /// `None`: no list of holidays is named, so working days know weekends only.
    pub holidays: Option<Holidays>,
    /// What templates may write after `brand.`.
    pub brand: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            zone: "UTC".to_owned(),
            locale: "en".to_owned(),
            fallbacks: BTreeMap::new(),
            holidays: None,
            brand: BTreeSet::new(),
        }
    }
}

/// Everything one compilation makes.
#[derive(Clone, Debug)]
pub struct Compilation {
    /// What all journeys share. Complete only where no finding is an error.
    pub catalog: Catalog,
    /// The journeys without an error, in order of their names.
    pub programs: Vec<Program>,
    /// All tests, in order of files and places; those of journeys with errors too.
    pub tests: Vec<ast::Test>,
    /// All findings, in order of their places, suppressed ones left out.
    pub diagnostics: Vec<Diagnostic>,
    /// Names, types and elaborated expressions, for lowering, tests and editors.
    pub checked: Checked,
    /// The trees, in order of files.
    pub files: Vec<(FileId, ast::File)>,
}

/// Reads, checks and lowers all journey files of the input.
pub fn compile(input: &Input) -> Compilation {
    let mut compilation = compile_whole(input);
    check::bound(&mut compilation.diagnostics);
    compilation
}

/// As [`compile`], with every finding, however many there are.
fn compile_whole(input: &Input) -> Compilation {
    let mut files = Vec::new();
    let mut diagnostics = Vec::new();
    for (file, path, text) in input.sources.iter() {
        if path.ends_with(".journey") {
            let (tree, findings) = parse::parse(file, text);
            files.push((file, tree));
            diagnostics.extend(findings);
        }
    }
    let (mut checked, findings) = check::check(&files, &diagnostics, input);
    diagnostics.extend(findings);
    let mut programs = Vec::new();
    let mut tests = Vec::new();
    for item in files.iter().flat_map(|(_, tree)| &tree.items) {
        match &item.kind {
            ast::ItemKind::Journey(journey) => {
                let lowered = lower_sound(journey, &checked);
                match lowered {
                    Some(Ok(lowered)) => {
                        let info = &checked.journeys[journey.name.text.as_str()];
                        diagnostics.extend(lower::twins(journey, info, &lowered, &input.sources));
                        if !lowered.doubts.is_empty() {
                            let journey = lowered.program.journey.clone();
                            checked.catalog.doubts.insert(journey, lowered.doubts);
                        }
                        programs.push(lowered.program);
                    }
                    Some(Err(findings)) => {
                        diagnostics.extend(findings);
                        if let Some(info) = checked.journeys.get_mut(journey.name.text.as_str()) {
                            info.sound = false;
                        }
                    }
                    None => {}
                }
            }
            ast::ItemKind::Test(test) => tests.push(test.clone()),
            _ => {}
        }
    }
    programs.sort_by(|a, b| a.journey.cmp(&b.journey));
    let catalog = checked.catalog.clone();
    let mut compilation = Compilation { catalog, programs, tests, diagnostics, checked, files };
    testing::check(&mut compilation);
    check::suppress(&input.sources, &compilation.files, &mut compilation.diagnostics);
    check::quiet_notes(&input.sources, &mut compilation.diagnostics);
    check::quiet_tests(&compilation.tests, &mut compilation.diagnostics);
    crate::diagnostic::tidy(&mut compilation.diagnostics);
    check::tell_names_once(&input.sources, &mut compilation.diagnostics);
    crate::diagnostic::trust_slips(&input.sources, &mut compilation.diagnostics);
    compilation
}

/// Lowers a journey if it is sound and the first of its name.
fn lower_sound(journey: &ast::Journey, checked: &Checked) -> Option<Result<lower::Lowered, Vec<Diagnostic>>> {
    let info = checked.journeys.get(journey.name.text.as_str())?;
    (info.sound && info.span == journey.span).then(|| lower::lower(journey, checked))
}
