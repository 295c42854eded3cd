//! Records, fields and properties between braces of which a part could not be read.

use super::gap::Ends;
use super::words::Place;
use super::{P, Reader, bounds, part};
use crate::diagnostic::{Code, Diagnostic};
use fahrplan_grammar::{JourneyParser, Rule};
use pest::Parser;

impl<'s> Reader<'s> {
    /// The pairs of a record, the fields of a declaration, or its properties: each with whether all of it was read.
    /// `entry` reads one of them alone.
    pub(super) fn pair_list(&mut self, p: &P<'s>, entry: Rule) -> Vec<(P<'s>, bool)> {
        let children: Vec<P<'s>> = p.clone().into_inner().collect();
        let open = part(p, Rule::lbrace).map_or(p.as_span().start(), |b| b.as_span().start());
        let unclosed =
            children.iter().find(|c| c.as_rule() == Rule::missing_brace).map(|c| c.as_span().start());
        if let Some(at) = unclosed {
            self.unclosed_pairs(open, at);
        }
        let quiet = unclosed.is_some();
        let mut pairs: Vec<(P<'s>, bool)> = Vec::new();
        for (at, c) in children.iter().enumerate() {
            match c.as_rule() {
                Rule::pair | Rule::fdecl | Rule::prop => {
                    let tail = children.get(at + 1).filter(|next| next.as_rule() == Rule::pair_tail);
                    if let Some(tail) = tail.filter(|_| !quiet) {
                        self.unreadable_pair(c, bounds(tail).1, entry);
                    }
                    pairs.push((c.clone(), tail.is_none()));
                }
                Rule::field_next | Rule::prop_next => {
                    let before = children[..at].last().map_or((open, open), bounds);
                    self.comma_missing(before, c.as_span().start(), (open, bounds(p).1));
                }
                Rule::bad_pair if !quiet => self.unreadable_pair(c, bounds(c).1, entry),
                Rule::stray_comma if !quiet => {
                    // commas have no place in the tree, so the whole list stays as it is
                    let (place, list) = (self.place_of(c), self.place(open, bounds(p).1));
                    self.lost.push(list);
                    self.tell(
                        Diagnostic::new(Code::E0001, place, "one comma too many")
                            .label("nothing stands before it")
                            .fix("take it out", place, ""),
                    );
                }
                _ => {}
            }
        }
        pairs
    }

    /// Two values of a row stand side by side. Commas have no place in the tree, so the whole row stays as it is.
    fn comma_missing(&mut self, (start, end): (usize, usize), next: usize, row: (usize, usize)) {
        let after = super::excerpt::tail_of(&self.text()[start..end]).to_owned();
        let next = super::excerpt::token(self.text()[next..].trim_start());
        let finding = Diagnostic::new(
            Code::E0001,
            self.place(end, end),
            format!("a comma is missing between `{after}` and `{next}`"),
        )
        .label("missing here")
        .fix("add the comma", self.place(end, end), ",");
        self.lost.push(self.place(row.0, row.1));
        self.tell(finding);
    }

    /// The missing commas of a list in brackets.
    pub(super) fn commas_of(&mut self, p: &P<'s>) {
        let children: Vec<P<'s>> = p.clone().into_inner().collect();
        for (before, c) in children.iter().zip(children.iter().skip(1)) {
            if c.as_rule() == Rule::no_comma {
                self.comma_missing(bounds(before), c.as_span().start(), bounds(p));
            }
        }
    }

    fn unreadable_pair(&mut self, p: &P<'s>, end: usize, entry: Rule) {
        let start = bounds(p).0;
        let text = self.text()[start..end].trim_end();
        self.lost.push(self.place(start, end));
        match JourneyParser::parse(entry, text) {
            Err(error) => self.explain(start, text, &error, Place::Unknown, Ends::Pair),
            Ok(_) => {
                let here = self.place(start, end);
                self.tell(Diagnostic::new(Code::E0001, here, "this cannot stand between these braces"));
            }
        }
    }

    /// A record or list of fields that a line interrupts which cannot be part of it.
    fn unclosed_pairs(&mut self, open: usize, at: usize) {
        let text = self.text();
        let next = at + (text[at..].len() - text[at..].trim_start().len());
        if next >= text.len() {
            self.unclosed.push((open, at));
            return;
        }
        let here = self.place(open, open + 1);
        self.lost.push(self.place(open, open + text[open..at].trim_end().len()));
        let line = text[next..].lines().next().unwrap_or("").trim_end();
        self.tell(
            Diagnostic::new(Code::E0002, here, "this `{` is not closed")
                .label("opened here")
                .related(self.place(next, next + line.len()), "this line cannot stand inside it")
                .help("add `}` at the end of the fields"),
        );
    }
}
