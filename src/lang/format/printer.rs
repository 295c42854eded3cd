//! Lists of lines with their comments, empty lines and unreadable text; what one line looks like is told by the elements.

use super::is_within;
use super::layout::{Doc, INDENT, WIDTH, flat, render, width};
use crate::diagnostic::Span;
use crate::lang::ast::{Block, Comment, File};

/// Prints a tree. `lost` are the places whose text the tree does not hold as it is written.
pub(super) fn print(text: &str, file: &File, lost: &[Span]) -> String {
    let mut printer = Printer {
        text,
        comments: &file.comments,
        done: vec![false; file.comments.len()],
        waiting: 0,
        lost,
        holes: merged(lost.to_vec()),
        out: String::with_capacity(text.len() + text.len() / 8),
        depth: 0,
    };
    let whole = Span { start: 0, end: text.len() as u32, ..Span::default() };
    printer.list(whole, &file.items);
    let mut out = printer.out;
    while out.ends_with(['\n', ' ']) {
        out.pop();
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// Something that stands in a list of lines.
pub(super) trait Element {
    fn span(&self) -> Span;

    /// It stands for text that could not be read.
    fn is_error(&self) -> bool;

    /// The lists in its braces, which are printed by [`Printer::list`] with their own comments.
    fn lists(&self, printer: &Printer<'_>) -> Vec<Span>;

    /// Prints it, from the indented beginning of a line to before its line end.
    fn print(&self, printer: &mut Printer<'_>);

    /// Whether documentation stands directly above it, so that no comment may come between.
    fn has_doc(&self) -> bool {
        false
    }

    /// Whether an empty line stands around it, whatever the author wrote.
    fn stands_apart(&self) -> bool {
        false
    }
}

pub(super) struct Printer<'a> {
    pub(super) text: &'a str,
    comments: &'a [Comment],
    /// Which comments are printed.
    done: Vec<bool>,
    /// All comments before this one are printed.
    waiting: usize,
    lost: &'a [Span],
    /// The same, where they overlap as one.
    holes: Vec<Span>,
    out: String,
    depth: usize,
}

/// What stands in a list: an element, or text that is copied.
enum Entry<'e, E> {
    Whole(&'e E),
    Raw(Span),
}

impl<E: Element> Entry<'_, E> {
    fn span(&self) -> Span {
        match self {
            Entry::Whole(element) => element.span(),
            Entry::Raw(span) => *span,
        }
    }
}

impl<'a> Printer<'a> {
    /// The text of a place as it is written.
    pub(super) fn source(&self, span: Span) -> &'a str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// What stands before an offset.
    pub(super) fn before(&self, offset: u32) -> &'a str {
        self.text.get(..offset as usize).unwrap_or("")
    }

    /// The braces that open after an offset, and all between them: strings and comments are stepped over.
    pub(super) fn braces(&self, from: u32, end: u32) -> Option<Span> {
        let mut in_text = false;
        let mut chars = self.text.get(from as usize..end as usize)?.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if in_text => {
                    chars.next();
                }
                '"' => in_text = !in_text,
                '\n' => in_text = false,
                '#' if !in_text => while chars.next().is_some_and(|(_, c)| c != '\n') {},
                '{' if !in_text => return Some(Span { start: from + at as u32, end, ..Span::default() }),
                _ => {}
            }
        }
        None
    }

    /// Whether a comment stands in a place.
    pub(super) fn has_comment(&self, span: Span) -> bool {
        self.comments_in(span).next().is_some()
    }

    fn comments_in(&self, span: Span) -> impl Iterator<Item = usize> + use<'_, 'a> {
        let first = self.comments.partition_point(|c| c.span.start < span.start);
        (first..self.comments.len()).take_while(move |n| is_within(&self.comments[*n], span))
    }

    /// Takes the comments of a place that are not printed yet, with whether each stands on its own line.
    pub(super) fn take_comments(&mut self, span: Span) -> Vec<(u32, String, bool)> {
        let all: Vec<usize> = self.comments_in(span).filter(|n| !self.done[*n]).collect();
        all.into_iter()
            .map(|n| {
                self.done[n] = true;
                let comment = &self.comments[n];
                (comment.span.start, comment.text.clone(), comment.own_line)
            })
            .collect()
    }

    /// Whether a place holds text that the tree does not.
    pub(super) fn is_lost(&self, span: Span) -> bool {
        let first = self.holes.partition_point(|hole| hole.end <= span.start);
        self.holes.get(first).is_some_and(|hole| hole.start < span.end)
    }

    // ------------------------------------------------------------ lines

    fn indent(&mut self) {
        self.out.extend(std::iter::repeat_n(' ', self.depth * INDENT));
    }

    fn column(&self) -> usize {
        width(&self.out[self.out.rfind('\n').map_or(0, |at| at + 1)..])
    }

    /// Writes on the present line.
    pub(super) fn write(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Lays a document out from the present column.
    pub(super) fn doc(&mut self, doc: &Doc) {
        let rendered = self.rendered(doc);
        self.out.push_str(&rendered);
    }

    /// A document laid out from the present column.
    pub(super) fn rendered(&self, doc: &Doc) -> String {
        render(doc, self.depth * INDENT, self.column())
    }

    /// Whether a document fits on the present line.
    pub(super) fn fits(&self, doc: &Doc) -> bool {
        flat(doc).is_some_and(|line| self.column() + width(&line) <= WIDTH)
    }

    /// A printer for pieces in which no comment stands.
    pub(super) fn without_comments(&self) -> Printer<'a> {
        Printer {
            text: self.text,
            comments: &[],
            done: Vec::new(),
            waiting: 0,
            lost: self.lost,
            holes: Vec::new(),
            out: String::new(),
            depth: 0,
        }
    }

    // ------------------------------------------------------------ lists

    /// Prints the lines of a list between braces, or of a file.
    pub(super) fn list<E: Element>(&mut self, region: Span, elements: &[E]) {
        let mut before: Option<u32> = None;
        let mut apart = false;
        for entry in self.entries(region, elements) {
            let span = entry.span();
            let stands_apart = matches!(&entry, Entry::Whole(e) if e.stands_apart());
            let limit = match &entry {
                Entry::Whole(element) if element.has_doc() => element.span().start,
                Entry::Whole(element) => self.first_list(*element),
                Entry::Raw(span) => span.start,
            };
            if (apart || stands_apart) && before.is_some() {
                self.empty_line();
            }
            apart = stands_apart;
            before = self.comments_above(region.start, limit, before);
            self.gap(before, span.start);
            self.indent();
            match entry {
                Entry::Whole(element) => element.print(self),
                Entry::Raw(span) => self.raw(span),
            }
            before = Some(self.comment_behind(span.end));
            self.out.push('\n');
        }
        self.comments_above(region.start, region.end, before);
    }

    /// Where the comments above an element end: those in its braces stay there.
    fn first_list<E: Element>(&self, element: &E) -> u32 {
        let span = element.span();
        self.braces(span.start, span.end).map_or(span.end, |b| b.start)
    }

    /// The elements of a list and the unreadable text between them, in order.
    fn entries<'e, E: Element>(&self, region: Span, elements: &'e [E]) -> Vec<Entry<'e, E>> {
        let in_region = |span: Span| region.start <= span.start && span.end <= region.end;
        let healthy = |element: &&E| !element.is_error();
        let mut raws: Vec<Span> =
            elements.iter().filter(|e| e.is_error() && in_region(e.span())).map(|e| e.span()).collect();
        let first = self.lost.partition_point(|l| l.start < region.start);
        for lost in self.lost[first..].iter().take_while(|l| l.start <= region.end).filter(|l| in_region(**l))
        {
            let holder = elements.iter().filter(healthy).find(|e| {
                let span = e.span();
                span.start <= lost.start && lost.end <= span.end
            });
            match holder {
                None => raws.push(*lost),
                Some(element)
                    if !element.lists(self).iter().any(|l| l.start < lost.start && lost.end <= l.end) =>
                {
                    raws.push(element.span());
                }
                Some(_) => {}
            }
        }
        // unreadable text that begins in an element and goes on behind it takes the element with it
        let reaches_out =
            |span: Span| raws.iter().any(|r| r.start < span.end && span.start < r.end && r.end > span.end);
        let taken: Vec<Span> = elements.iter().map(Element::span).filter(|s| reaches_out(*s)).collect();
        raws.extend(taken);
        let raws = merged(raws);
        let is_raw =
            |span: Span| raws.iter().any(|r| r.start <= span.start && span.start < r.end.max(r.start + 1));
        let wholes = elements.iter().filter(|e| in_region(e.span()) && !is_raw(e.span())).map(Entry::Whole);
        let mut entries: Vec<Entry<'e, E>> = wholes.collect();
        entries.extend(raws.iter().filter(|r| !r.is_empty()).map(|r| Entry::Raw(*r)));
        entries.sort_by_key(|e| e.span().start);
        entries
    }

    /// Text that is copied as it is; only its first line is moved to the left edge of its list.
    fn raw(&mut self, span: Span) {
        self.take_comments(span);
        let text = self.source(span).trim_end();
        for (n, line) in text.lines().enumerate() {
            if n > 0 {
                self.out.push('\n');
            }
            self.out.push_str(line.trim_end());
        }
    }

    /// Prints the comments before an offset, each on its own line. Returns where in the text the last one ended.
    /// Empty lines count from `from` on: a comment before it has moved.
    fn comments_above(&mut self, from: u32, limit: u32, mut before: Option<u32>) -> Option<u32> {
        let upto = self.comments.partition_point(|c| c.span.start < limit);
        for n in self.waiting..upto {
            if self.done[n] {
                continue;
            }
            let comment = &self.comments[n];
            self.gap(before, comment.span.start);
            self.indent();
            self.out.push_str(&comment.text);
            self.out.push('\n');
            self.done[n] = true;
            if comment.span.start >= from {
                before = Some(before.map_or(comment.span.end, |b| b.max(comment.span.end)));
            }
        }
        self.waiting = self.waiting.max(upto);
        before
    }

    /// A comment behind an offset on the same line goes behind what was printed. Returns where it ended.
    fn comment_behind(&mut self, end: u32) -> u32 {
        let n = self.comments.partition_point(|c| c.span.start < end);
        let Some(comment) = self.comments.get(n).filter(|_| !self.done[n] && !self.has_pending(end)) else {
            return end;
        };
        let between = &self.text[end as usize..comment.span.start as usize];
        if between.contains(['\n', '\r', '{', '}']) {
            return end;
        }
        self.out.push_str("  ");
        self.out.push_str(&comment.text);
        self.done[n] = true;
        comment.span.end
    }

    /// One empty line where the author left one or more.
    fn gap(&mut self, before: Option<u32>, start: u32) {
        let Some(before) = before.filter(|b| *b <= start) else { return };
        let between = &self.text[before as usize..start as usize];
        if between.matches('\n').count() + lone_returns(between) > 1 {
            self.empty_line();
        }
    }

    fn empty_line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    // ------------------------------------------------------------ braces

    /// Prints a list in braces behind what stands on the present line; the closing brace ends the present line.
    pub(super) fn braced<E: Element>(&mut self, region: Span, elements: &[E]) {
        self.out.push('{');
        let inside = Span { start: region.start + 1, end: region.end.max(region.start + 2) - 1, ..region };
        if elements.is_empty() && !self.has_comment(inside) && !self.is_lost(inside) {
            self.out.push('}');
            return;
        }
        self.comment_behind(region.start + 1);
        self.out.push('\n');
        self.depth += 1;
        self.list(inside, elements);
        self.depth -= 1;
        self.indent();
        self.out.push('}');
    }

    /// A block; one short statement may stay on the line of its head.
    pub(super) fn block(&mut self, block: &Block) {
        if let Some(line) = self.block_on_one_line(block) {
            self.out.push_str(&line);
            return;
        }
        self.braced(block.span, &block.stmts);
    }

    fn block_on_one_line(&self, block: &Block) -> Option<String> {
        let [stmt] = block.stmts.as_slice() else { return None };
        let plain = !self.source(block.span).contains(['\n', '\r'])
            && !self.is_lost(block.span)
            && !self.has_comment(block.span)
            && !self.has_pending(block.span.start)
            && !stmt.is_error();
        let doc = plain.then(|| super::steps::simple(self, stmt)).flatten()?;
        let line = format!("{{ {} }}", flat(&doc)?);
        (self.column() + width(&line) <= WIDTH).then_some(line)
    }

    /// Where the first comment before an offset begins that still waits for its place.
    pub(super) fn pending_before(&self, offset: u32) -> Option<u32> {
        let n = self.comments.partition_point(|c| c.span.start < offset);
        let first = (self.waiting..n).find(|n| !self.done[*n])?;
        Some(self.comments[first].span.start)
    }

    /// Whether a comment before an offset still waits for a line of its own.
    fn has_pending(&self, offset: u32) -> bool {
        let n = self.comments.partition_point(|c| c.span.start < offset);
        self.done.get(self.waiting..n).is_some_and(|some| some.iter().any(|done| !done))
    }
}

/// Overlapping places as one.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|s| (s.start, s.end));
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end || span.start == last.start => {
                last.end = last.end.max(span.end)
            }
            _ => merged.push(span),
        }
    }
    merged
}

fn lone_returns(text: &str) -> usize {
    text.bytes().zip(text.bytes().skip(1).chain([0])).filter(|(a, b)| *a == b'\r' && *b != b'\n').count()
}
