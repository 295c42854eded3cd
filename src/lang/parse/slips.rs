//! Slips with one obvious reading, and forms that are not built yet.

use super::excerpt::first_word;
use super::{P, Reader, bounds};
use crate::diagnostic::{Code, Diagnostic};
use crate::lang::ast::Name;

impl<'s> Reader<'s> {
    pub(super) fn reserved_name(&mut self, p: &P<'_>) {
        let word = p.as_str();
        let start = p.as_span().start();
        let line = self.text()[..start].rfind('\n').map_or(0, |at| at + 1);
        let better = better_name(word, &self.text()[line..start]);
        let place = self.place_of(p);
        self.renamed.push(word.to_owned());
        self.tell_lost(
            Diagnostic::new(Code::E0008, place, format!("`{word}` is a word of the language"))
                .label("not a name")
                .help(format!("call it `{better}`, say"))
                .suggest(format!("call it `{better}`"), place, better),
        );
    }

    /// `as name` after `where`: taken as it was meant.
    pub(super) fn late_name(&mut self, slot: &mut Option<Name>, p: &P<'s>, after: Option<&P<'s>>) {
        let Some(name) = self.named(p) else { return };
        if slot.is_some() {
            self.once(slot, name, p);
            return;
        }
        let (start, end) = bounds(p);
        let written = self.text()[start..end].to_owned();
        let gap = self.text()[..start].len() - self.text()[..start].trim_end().len();
        let mut finding = Diagnostic::new(
            Code::E0007,
            self.place(start, end),
            format!("`{written}` stands directly after what it names, before `where`"),
        )
        .label("left over here");
        if let Some(after) = after {
            let at = bounds(after).1;
            finding = finding.fix(format!("move `{written}`"), self.place(start - gap, end), "").fix(
                "",
                self.place(at, at),
                format!(" {written}"),
            );
        }
        self.tell_lost(finding);
        *slot = Some(name);
    }

    /// A form that is not built yet.
    pub(super) fn later(&mut self, p: &P<'s>, form: &str, instead: &str) {
        let (start, end) = bounds(p);
        let line =
            self.text()[start..end].lines().next().unwrap_or("").trim_end().trim_end_matches('{').trim_end();
        let finding = self.later_finding(start, line, form).help(instead.to_owned());
        self.tell(finding);
        let whole = self.place(start, end);
        self.lost.push(whole);
    }

    pub(super) fn later_finding(&self, start: usize, text: &str, form: &str) -> Diagnostic {
        let here = self.place(start, start + text.len());
        Diagnostic::new(Code::E0009, here, format!("{form} is not available yet"))
            .label("planned for a later release")
    }

    pub(super) fn exit_without_reason(&mut self, p: &P<'s>) {
        let place = self.place_of(p);
        self.tell_lost(
            Diagnostic::new(Code::E0001, place.shrink_to_end(), "expected `as` and a reason after `exit`")
                .help("it looks like this: `exit as done`"),
        );
    }
}

/// `exit on order_placed as bought`.
pub(super) fn reason_first(here: crate::diagnostic::Span) -> Diagnostic {
    Diagnostic::new(Code::E0001, here, "the reason of an exit comes first")
        .label("`as REASON` is missing before this")
        .help("write `exit as REASON on EVENT` or `exit as REASON when CONDITION`")
}

/// A free name near a reserved word, by what stands before it.
pub(super) fn better_name(word: &str, before: &str) -> String {
    let first = first_word(before.trim_start());
    let last = before.split_whitespace().next_back().unwrap_or("");
    let kind = match (first, last) {
        (
            _,
            "journey" | "stage" | "split" | "variant" | "event" | "segment" | "channel" | "team" | "task",
        ) => last,
        ("journey" | "stage" | "split" | "variant" | "event" | "segment", _) => first,
        ("go", _) => "stage",
        ("exit", _) => "reached",
        ("send", _) => "mail",
        ("wait", _) => "wait",
        ("let", _) => "value",
        _ => "step",
    };
    format!("{word}_{kind}")
}
