//! Items that could not be read, text between items, and braces that fit nothing.

use super::excerpt::{first_word, shortened};
use super::gap::{Ends, with_form};
use super::lines::Line;
use super::recover::{is_line, is_rule};
use super::words::Place;
use super::{P, Reader, bounds, part, parts};
use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::lang::ast::{ExprKind, Field, Item, ItemKind, Name, Type, TypeKind};
use fahrplan_grammar::{JourneyParser, Rule};
use pest::Parser;

impl<'s> Reader<'s> {
    /// Tells which list of an item was never closed.
    pub(super) fn tell_unclosed(&mut self, p: &P<'s>, next: Option<&P<'s>>) {
        let open = std::mem::take(&mut self.unclosed);
        let Some(outermost) = open.iter().map(|(at, _)| *at).min() else { return };
        self.lost.push(self.place_of(p));
        let end = bounds(p).1;
        let text = self.text();
        let culprit = unbalanced(text, outermost, end).unwrap_or(outermost);
        let line = text[..culprit].rfind('\n').map_or(0, |at| at + 1);
        let line = line + (text[line..].len() - text[line..].trim_start().len());
        let head = shortened(text[line..culprit].trim());
        let count = open.len();
        let message = match (head.is_empty(), count) {
            (true, _) => "a block is not closed".to_owned(),
            (_, 1) => format!("the block of `{head}` is not closed"),
            (_, n) => format!("{n} blocks are not closed, among them that of `{head}`"),
        };
        let mut finding = Diagnostic::new(Code::E0002, self.place(line.min(culprit), culprit + 1), message)
            .label("opened here");
        finding = match next.filter(|n| !matches!(n.as_rule(), Rule::EOI | Rule::tail)) {
            Some(next) => {
                let start = bounds(next).0;
                let line = text[start..].lines().next().unwrap_or("").trim_end();
                finding
                    .related(self.place(start, start + line.len()), "this begins while it is still open")
                    .help("add `}` where the block ends")
            }
            None => finding.note("the file ends while it is open").help("add `}` where the block ends"),
        };
        self.tell(finding);
    }

    /// An item whose head cannot be read.
    pub(super) fn bad_item(&mut self, p: &P<'s>) -> Item {
        let (start, end) = bounds(p);
        let cut = self.head_end(p, end);
        let text = self.text()[start..cut].trim_end();
        let whole = self.place(start, end);
        self.lost.push(whole);
        match JourneyParser::parse(Rule::one_item, text) {
            Err(error) => {
                let ends = if cut < end { Ends::Block } else { Ends::Line };
                self.explain(start, text, &error, Place::File, ends);
            }
            Ok(_) => {
                let here = self.place(start, start + text.len());
                let finding = match cut < end {
                    true => Diagnostic::new(Code::E0001, here, "this takes no block"),
                    false => {
                        Diagnostic::new(Code::E0001, here.shrink_to_end(), "expected `{` after this line")
                            .label("the block is missing")
                    }
                };
                self.brace_missing = cut >= end;
                self.tell(with_form(finding, first_word(text), Place::File));
            }
        }
        if matches!(first_word(text), "journey" | "test" | "policy") {
            self.read_blocks(p);
        }
        self.unclosed.clear();
        self.error_item(whole)
    }

    /// Reads the blocks in unreadable text only to tell what is wrong in them.
    fn read_blocks(&mut self, p: &P<'s>) {
        for block in p.clone().into_inner().filter(|c| c.as_rule() == Rule::any_block) {
            for line in self.list_lines(&block) {
                self.read_line(&line);
            }
        }
    }

    fn read_line(&mut self, line: &Line<'s>) {
        let mut items = Vec::new();
        let rule = line.p.as_rule();
        let is_listed = matches!(
            rule,
            Rule::race_arm | Rule::race_timeout | Rule::case | Rule::else_case | Rule::variant
        );
        if !is_listed && !is_line(rule) {
            return;
        }
        if is_listed {
            if let Some(tail) = &line.tail {
                self.left_over(&line.p, tail, Place::Unknown);
            }
            self.inner_block(&line.p);
        } else if matches!(rule, Rule::at_line | Rule::given | Rule::expect) || is_rule(rule) {
            if let Some(tail) = &line.tail {
                self.left_over(&line.p, tail, Place::Unknown);
            }
        } else if rule == Rule::bad {
            self.bad_stmt(&line.p, Place::Unknown, &mut Vec::new());
        } else {
            self.journey_line(line, &mut items);
        }
    }

    /// Text between two items that is none.
    pub(super) fn loose(&mut self, p: &P<'s>, items: &mut Vec<Item>) {
        let whole = self.place_of(p);
        self.lost.push(whole);
        let mut told = self.brace_missing;
        let mut lines: Vec<Line<'s>> = Vec::new();
        for c in p.clone().into_inner() {
            match (c.as_rule(), lines.last_mut()) {
                (Rule::tail, Some(line)) => line.tail = Some(c),
                _ => lines.push(Line { p: c, tail: None }),
            }
        }
        let goes_on = lines.iter().any(|l| l.p.as_rule() == Rule::rbrace);
        if goes_on && lines.first().is_some_and(|line| self.is_field(&line.p)) {
            if !told {
                self.fields_go_on(&lines[0].p);
            }
            self.unclosed.clear();
            items.push(self.error_item(whole));
            return;
        }
        for line in &lines {
            let c = &line.p;
            match c.as_rule() {
                Rule::bad => self.loose_text(c, &mut told, goes_on && !items.is_empty()),
                _ => {
                    if c.as_rule() == Rule::purpose && !goes_on {
                        self.bad_purpose(line);
                        told = true;
                        continue;
                    }
                    if !told {
                        told = true;
                        let finding = self.outside(c, goes_on && !items.is_empty(), items);
                        self.tell(finding);
                    }
                    if c.as_rule() != Rule::rbrace {
                        self.read_line(line);
                    }
                }
            }
        }
        self.unclosed.clear();
        self.mark_damaged(items, whole);
        items.push(self.error_item(whole));
    }

    /// Whether a line begins like a field: `name: …`.
    fn is_field(&self, p: &P<'s>) -> bool {
        let text = &self.text()[bounds(p).0..];
        let name = first_word(text);
        !name.is_empty() && text[name.len()..].trim_start().starts_with(':')
    }

    /// Fields behind the brace that ends them.
    fn fields_go_on(&mut self, first: &P<'s>) {
        let start = bounds(first).0;
        let text = self.text();
        let line = text[start..].lines().next().unwrap_or("").trim_end();
        let here = self.place(start, start + line.len());
        let Some(brace) = text[..start].rfind('}') else { return };
        self.tell(
            Diagnostic::new(
                Code::E0001,
                self.place(brace, brace + 1),
                "this `}` ends the fields, but they go on",
            )
            .label("one `}` too many here")
            .related(here, "this stands outside"),
        );
    }

    /// Unreadable text between items: mostly a misspelt head.
    fn loose_text(&mut self, p: &P<'s>, told: &mut bool, inside_journey: bool) {
        let (start, end) = bounds(p);
        let cut = self.head_end(p, end);
        let text = self.text()[start..cut].trim_end();
        let head = first_word(text);
        let is_item = cut < end || super::words::ITEMS.contains(&head) || item_meant(head).is_some();
        let place = if is_item && !inside_journey { Place::File } else { Place::Unknown };
        if inside_journey || Place::of(head).is_none() || !*told {
            *told |= Place::of(head).is_some();
            self.unreadable(p, place);
        }
        let meant = item_meant(head);
        if place == Place::Unknown || matches!(meant, Some("journey" | "test" | "policy")) {
            self.read_blocks(p);
        }
    }

    /// The line `purpose …` of a journey, between items: a refined purpose that does not say what it refines.
    fn bad_purpose(&mut self, line: &Line<'s>) {
        let (start, end) = (bounds(&line.p).0, bounds(line.tail.as_ref().unwrap_or(&line.p)).1);
        let text = &self.text()[start..end];
        if let Err(error) = JourneyParser::parse(Rule::one_item, text) {
            self.explain(start, text, &error, Place::File, Ends::Line);
        }
    }

    /// A statement or a brace outside all items.
    fn outside(&self, p: &P<'s>, goes_on: bool, items: &[Item]) -> Diagnostic {
        let text = self.text();
        let (start, _) = bounds(p);
        let line = text[start..].lines().next().unwrap_or("").trim_end();
        let here = self.place(start, start + line.len());
        if p.as_rule() == Rule::rbrace {
            return Diagnostic::new(Code::E0001, here, "one `}` too many").label("it closes nothing");
        }
        let closing = text[..start].trim_end();
        let earlier = match items.last().map(|i| &i.kind) {
            Some(ItemKind::Journey(j)) => Some(format!("journey {}", j.name.text)),
            Some(ItemKind::Test(t)) => Some(format!("test \"{}\"", t.title.value)),
            _ => None,
        };
        if let (true, Some(earlier)) = (goes_on && closing.ends_with('}'), earlier) {
            let brace = self.place(closing.len() - 1, closing.len());
            return Diagnostic::new(
                Code::E0001,
                brace,
                format!("this `}}` ends `{earlier}`, but its lines go on"),
            )
            .label("one `}` too many here or above")
            .related(here, "this stands outside it");
        }
        let head = first_word(line);
        let belongs = Place::of(head).filter(|b| *b != Place::File).unwrap_or(Place::Block);
        Diagnostic::new(Code::E0001, here, format!("`{head}` stands outside of every journey"))
            .label(format!("it belongs {}", belongs.words()))
    }

    /// Text that is left over after an item.
    pub(super) fn item_tail(&mut self, p: &P<'s>, tail: &P<'s>, item: &mut Item) {
        let (start, tail_start, end) = (bounds(p).0, bounds(tail).0, bounds(tail).1);
        self.lost.push(self.place(start, end));
        let cut = tail
            .clone()
            .into_inner()
            .find(|c| matches!(c.as_rule(), Rule::any_block | Rule::record))
            .map_or(end, |c| c.as_span().start());
        let text = self.text()[start..cut].trim_end();
        let has_braces = parts(p).any(|c| matches!(c.as_rule(), Rule::fields | Rule::props | Rule::lbrace));
        match (has_braces, JourneyParser::parse(Rule::one_item, text)) {
            (false, Err(error)) => self.explain(start, text, &error, Place::File, Ends::Line),
            _ => {
                let line = self.text()[tail_start..].lines().next().unwrap_or("").trim_end();
                let here = self.place(tail_start, (tail_start + line.len()).min(end));
                self.tell(
                    Diagnostic::new(Code::E0007, here, "text is left over after this")
                        .label("left over")
                        .help("begin a new line before it, or leave it out"),
                );
            }
        }
        match &mut item.kind {
            ItemKind::Event(event) => event.fields.extend(self.untyped_fields(tail)),
            ItemKind::Segment(decl) | ItemKind::Score(decl) => decl.expr.kind = ExprKind::Error,
            ItemKind::Journey(journey) => {
                let span = item.span.shrink_to_end();
                journey.items.push(super::lost_statement(span));
            }
            ItemKind::Import(_) | ItemKind::Template { .. } | ItemKind::Purpose { .. } => {
                item.kind = ItemKind::Error
            }
            _ => {}
        }
    }

    /// The fields in unreadable text by name, so that they are not reported as unknown.
    fn untyped_fields(&self, tail: &P<'s>) -> Vec<Field> {
        let Some(record) = part(tail, Rule::record) else { return Vec::new() };
        parts(&record).filter_map(|c| self.untyped_field(&c)).collect()
    }

    /// A field of which only the name is known.
    pub(super) fn untyped_field(&self, p: &P<'s>) -> Option<Field> {
        let name = part(p, Rule::field)?;
        let span = self.span(&name);
        let ty = Type { kind: TypeKind::Error, optional: false, span };
        let name = Name { text: name.as_str().to_owned(), span };
        Some(Field { name, ty, default: None, modifiers: Vec::new(), title: None, span })
    }
}

/// The declaration that a misspelt or a German word was meant to begin.
fn item_meant(head: &str) -> Option<&'static str> {
    let items = super::words::ITEMS;
    let german = super::german::meant(head).iter().copied().find(|ours| items.contains(ours));
    german.or_else(|| did_you_mean(head, items.iter().copied()))
}

/// The opening brace that was probably forgotten to close: the innermost whose block a brace further left closes.
pub(super) fn unbalanced(text: &str, from: usize, to: usize) -> Option<usize> {
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut in_text = false;
    let mut indent = text[..from].rfind('\n').map_or(0, |at| blanks(&text[at + 1..]));
    let mut first_on_line = false;
    let mut chars = text[from..to].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let at = from + at;
        match c {
            '\n' => {
                (in_text, first_on_line) = (false, true);
                indent = blanks(&text[at + 1..]);
                continue;
            }
            '\\' if in_text => {
                chars.next();
            }
            '"' => in_text = !in_text,
            '#' if !in_text => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            '{' if !in_text => open.push((at, indent)),
            '}' if !in_text => {
                let (opened, left) = open.pop()?;
                if first_on_line && indent < left && open.iter().any(|(_, i)| *i == indent) {
                    return Some(opened);
                }
            }
            _ => {}
        }
        first_on_line &= c.is_whitespace();
    }
    // every brace that is there fits: the outermost one that is left was forgotten, if the lines were laid out at all
    open.first().map(|(at, _)| *at)
}

fn blanks(line: &str) -> usize {
    line.chars().take_while(|c| matches!(c, ' ' | '\t')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_that_a_brace_further_left_closes_is_the_one_left_open() {
        let text = "journey a {\n  if x {\n    send email x\n  exit as y\n}\n";
        assert_eq!(unbalanced(text, 10, text.len()), text.find("{\n    send"));
        let text = "journey a {\n  if x {\n    send email \"}\" # }\n  }\n  exit as y\n";
        assert_eq!(unbalanced(text, 10, text.len()), Some(10));
    }
}
