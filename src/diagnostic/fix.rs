//! Applying the fixes of findings to the texts they speak of. Writing files is the caller's.

use std::collections::BTreeMap;

use super::{Diagnostic, Edit, FileId, Fix, Sources, suggest};

/// What [`apply_fixes`] made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fixed {
    /// The new text of every file that changed.
    pub texts: BTreeMap<FileId, String>,
    /// How many fixes are in the texts.
    pub applied: usize,
    /// How many were left out because they touch text that another fix changes; check again and they come back.
    pub skipped: usize,
}

/// Applies every fix that does not overlap one before it. A fix goes in as a whole or not at all.
pub fn apply_fixes<'a>(sources: &Sources, findings: impl IntoIterator<Item = &'a Diagnostic>) -> Fixed {
    let mut fixed = Fixed::default();
    let mut taken: Vec<&Edit> = Vec::new();
    for fix in findings.into_iter().filter_map(|d| d.fix.as_ref()) {
        if fits(sources, &taken, fix) {
            taken.extend(&fix.edits);
            fixed.applied += 1;
        } else {
            fixed.skipped += 1;
        }
    }
    taken.sort_by_key(|e| e.span);
    for edits in taken.chunk_by(|a, b| a.span.file == b.span.file) {
        let file = edits[0].span.file;
        fixed.texts.insert(file, rewrite(sources.text(file), edits));
    }
    fixed
}

/// Trusts replacements of a word by one from which a slip of the finger leads to it.
pub fn trust_slips(sources: &Sources, findings: &mut [Diagnostic]) {
    for fix in findings.iter_mut().filter_map(|finding| finding.fix.as_mut()) {
        let is_slip = |edit: &Edit| suggest::is_slip(sources.slice(edit.span), &edit.text);
        fix.certain |= !fix.edits.is_empty() && fix.edits.iter().all(is_slip);
    }
}

fn fits(sources: &Sources, taken: &[&Edit], fix: &Fix) -> bool {
    let lies_in_text = |e: &Edit| {
        let text = sources.text(e.span.file);
        usize::from(e.span.file.0) < sources.len()
            && text.get(e.span.start as usize..e.span.end as usize).is_some()
    };
    let free = |(n, e): (usize, &Edit)| {
        !taken.iter().copied().chain(&fix.edits[..n]).any(|other| overlap(e, other)) && lies_in_text(e)
    };
    !fix.edits.is_empty() && fix.edits.iter().enumerate().all(free)
}

/// Two insertions at one place overlap too: nobody could say which comes first.
fn overlap(a: &Edit, b: &Edit) -> bool {
    let (a, b) = (a.span, b.span);
    a.file == b.file && (a == b || (a.start < b.end && b.start < a.end))
}

/// The edits are sorted and do not overlap.
fn rewrite(text: &str, edits: &[&Edit]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for edit in edits {
        out.push_str(&text[done..edit.span.start as usize]);
        out.push_str(&edit.text);
        done = edit.span.end as usize;
    }
    out.push_str(&text[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, Span};

    type Edits = [(u32, u32, &'static str)];

    fn apply(text: &str, fixes: &[&Edits]) -> (String, usize, usize) {
        let mut sources = Sources::new();
        let file = sources.add("a.journey".into(), text.into());
        let findings: Vec<_> = fixes
            .iter()
            .map(|edits| {
                let finding = Diagnostic::new(Code::E0001, Span::at(file, 0), "x");
                edits.iter().fold(finding, |d, (s, e, new)| d.fix("t", Span::new(file, *s, *e), *new))
            })
            .collect();
        let mut fixed = apply_fixes(&sources, &findings);
        (fixed.texts.remove(&file).unwrap_or_else(|| text.into()), fixed.applied, fixed.skipped)
    }

    #[test]
    fn fixes_replace_insert_and_delete() {
        let cases: [(&[&Edits], &str, usize, usize); 7] = [
            (&[&[(7, 11, "days")]], "wait 2 days now", 1, 0),
            (&[&[(11, 15, "")], &[(0, 0, "# ")]], "# wait 2 dyas", 2, 0),
            (&[&[(7, 11, "days")], &[(5, 8, "3 d")]], "wait 2 days now", 1, 1),
            (&[&[(0, 4, "Wait"), (7, 11, "days")], &[(4, 5, "\t")]], "Wait\t2 days now", 2, 0),
            (&[&[(0, 0, "a")], &[(0, 0, "b")]], "await 2 dyas now", 1, 1),
            (&[&[(0, 4, "w"), (2, 3, "v")]], "wait 2 dyas now", 0, 1),
            (&[&[(0, 99, "x")]], "wait 2 dyas now", 0, 1),
        ];
        for (fixes, expected, applied, skipped) in cases {
            assert_eq!(apply("wait 2 dyas now", fixes), (expected.to_owned(), applied, skipped), "{fixes:?}");
        }
    }

    #[test]
    fn an_insertion_may_stand_at_the_edge_of_a_replacement_but_not_inside() {
        assert_eq!(apply("abc", &[&[(1, 2, "B")], &[(1, 1, "<")], &[(2, 2, ">")]]).0, "a<B>c");
        assert_eq!(apply("abcd", &[&[(1, 3, "B")], &[(2, 2, "<")]]), ("aBd".into(), 1, 1));
    }

    #[test]
    fn an_edit_inside_a_character_or_an_unknown_file_is_refused() {
        assert_eq!(apply("ü", &[&[(1, 2, "x")]]), ("ü".into(), 0, 1));
        let finding = Diagnostic::new(Code::E0001, Span::default(), "x").fix("t", Span::default(), "y");
        assert_eq!(apply_fixes(&Sources::new(), [&finding]), Fixed { skipped: 1, ..Fixed::default() });
    }
}
