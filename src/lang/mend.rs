//! Applying fixes until nothing more can be mended, and never one that makes anything worse: after each round the project
//! is compiled again, and a fix whose mistake is still there, or which brings up another, is taken back.
//!
//! Called by `check --fix`; writing files is the caller's.

use std::collections::{BTreeMap, HashSet};

use super::{Compilation, Input, compile_whole};
use crate::diagnostic::{Code, Diagnostic, Edit, FileId, Severity, Sources, Span, apply_fixes, count};

/// How often one call compiles at most. Fixes that harm are found by halving, so this is reached only where a great many do.
const COMPILATIONS: usize = 200;

/// What [`mend`] made.
#[derive(Clone, Debug, Default)]
pub struct Mended {
    /// The new text of every file that changed.
    pub texts: BTreeMap<FileId, String>,
    /// How many findings are mended.
    pub applied: usize,
    /// How many findings have a fix that would have brought up another mistake, or left its own.
    pub held_back: usize,
}

/// Applies the certain fixes in the chosen files.
pub fn mend(input: &Input, is_chosen: &dyn Fn(FileId) -> bool) -> Mended {
    let mut shop = Workshop { input: input.clone(), compiled: 0, refused: HashSet::new() };
    let mut mended = Mended::default();
    let mut before = shop.compile();
    let mut is_new = false;
    loop {
        let findings = before.diagnostics.clone();
        let mendable = |finding: &&Diagnostic| finding.is_mendable() && is_chosen(finding.primary.span.file);
        let all: Vec<&Diagnostic> = findings.iter().filter(mendable).collect();
        let wanted: Vec<&Diagnostic> =
            all.iter().copied().filter(|finding| !shop.refused.contains(&name(finding))).collect();
        if let Some((after, good)) = shop.best(&before, &wanted) {
            (before, is_new) = (after, true);
            mended.applied += good;
        } else if is_new && !shop.refused.is_empty() {
            // what has been mended since may have made room for them
            shop.refused.clear();
            is_new = false;
        } else {
            mended.held_back = all.len();
            break;
        }
    }
    for ((file, _, old), (_, _, new)) in std::iter::zip(input.sources.iter(), shop.input.sources.iter()) {
        if old != new {
            mended.texts.insert(file, new.to_owned());
        }
    }
    mended
}

/// The project as it is so far.
struct Workshop {
    input: Input,
    compiled: usize,
    /// Fixes that did harm, by [`name`].
    refused: HashSet<(FileId, Code, String)>,
}

fn name(finding: &Diagnostic) -> (FileId, Code, String) {
    (finding.primary.span.file, finding.code, finding.message.clone())
}

impl Workshop {
    fn compile(&mut self) -> Compilation {
        self.compiled += 1;
        compile_whole(&self.input)
    }

    /// Applies as many of the fixes as do only good, and says how many those are; none: `None`.
    fn best(&mut self, before: &Compilation, wanted: &[&Diagnostic]) -> Option<(Compilation, usize)> {
        if wanted.is_empty() || self.compiled >= COMPILATIONS {
            return None;
        }
        let fixed = apply_fixes(&self.input.sources, wanted.iter().copied());
        if fixed.applied == wanted.len() {
            let old = self.input.sources.clone();
            self.input.sources = with_texts(&old, &fixed.texts);
            let after = self.compile();
            if does_good(before, wanted, &after) {
                return Some((after, wanted.len()));
            }
            self.input.sources = old;
        }
        if let [one] = wanted {
            self.refused.insert(name(one));
            return None;
        }
        // The places of the second half move by what the first has changed, so it waits for the next round.
        let (first, second) = wanted.split_at(wanted.len() / 2);
        self.best(before, first).or_else(|| self.best(before, second))
    }
}

fn with_texts(sources: &Sources, texts: &BTreeMap<FileId, String>) -> Sources {
    let mut new = Sources::new();
    for (file, path, text) in sources.iter() {
        new.add(path.to_owned(), texts.get(&file).cloned().unwrap_or_else(|| text.to_owned()));
    }
    new
}

/// Whether the fixes have mended what they are for and nothing else has come up, nor a comment gone.
fn does_good(before: &Compilation, fixes: &[&Diagnostic], after: &Compilation) -> bool {
    let edits: Vec<&Edit> =
        fixes.iter().filter_map(|finding| finding.fix.as_ref()).flat_map(|f| &f.edits).collect();
    let is_gone = |finding: &&Diagnostic| {
        let place = moved(finding.primary.span, &edits);
        !after.diagnostics.iter().any(|left| {
            left.code == finding.code
                && place.file == left.primary.span.file
                && place.touches(left.primary.span.start)
        })
    };
    // A mistake that comes up behind another and that the next round mends is no new one.
    let hopeless = |compilation: &Compilation| {
        let is_hopeless = |f: &&Diagnostic| f.severity() == Severity::Error && !f.is_mendable();
        compilation.diagnostics.iter().filter(is_hopeless).count()
    };
    let [errors, warnings, _] = count(&before.diagnostics);
    let [errors_left, warnings_left, _] = count(&after.diagnostics);
    let errors_mended = fixes.iter().filter(|finding| finding.severity() == Severity::Error).count();
    let warnings_mended = fixes.iter().filter(|finding| finding.severity() == Severity::Warning).count();
    // A statement that can be read again may be warned of, which is no new mistake; a mended warning must not cost another.
    let warnings_fall = errors_mended > 0 || warnings_left + warnings_mended <= warnings;
    errors_left <= errors
        && hopeless(after) <= hopeless(before)
        && warnings_fall
        && fixes.iter().all(is_gone)
        && comments(before) == comments(after)
}

fn comments(compilation: &Compilation) -> Vec<&str> {
    compilation
        .files
        .iter()
        .flat_map(|(_, tree)| &tree.comments)
        .map(|comment| comment.text.as_str())
        .collect()
}

/// Where a place is after the edits; what they replace belongs to the place that they touch.
fn moved(span: Span, edits: &[&Edit]) -> Span {
    let shift = |offset: u32, is_end: bool| {
        let mut at = i64::from(offset);
        for edit in edits.iter().filter(|edit| edit.span.file == span.file) {
            if edit.span.end < offset || edit.span.end == offset && (is_end || !edit.span.is_empty()) {
                at += edit.text.len() as i64 - edit.span.len() as i64;
            } else if edit.span.start < offset {
                at += i64::from(edit.span.start) - i64::from(offset);
            }
        }
        at.max(0) as u32
    };
    Span::new(span.file, shift(span.start, false), shift(span.end, true))
}
