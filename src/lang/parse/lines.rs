//! Lists of lines, and the traces that an unreadable line leaves in the tree.

use super::words::Place;
use super::{P, Reader, bounds, part};
use crate::lang::ast::{Block, Expr, ExprKind, If, Name, Stmt, StmtKind};
use fahrplan_grammar::Rule;

/// One entry of a list: what was read, and the text left over after it.
pub(super) struct Line<'s> {
    pub(super) p: P<'s>,
    pub(super) tail: Option<P<'s>>,
}

impl<'s> Reader<'s> {
    /// The lines between the braces of a node, each with what is left over after it.
    pub(super) fn list_lines(&mut self, p: &P<'s>) -> Vec<Line<'s>> {
        let mut lines: Vec<Line<'s>> = Vec::new();
        let mut open = None;
        for child in p.clone().into_inner() {
            match (child.as_rule(), open) {
                (Rule::lbrace, None) => open = Some(child.as_span().start()),
                (_, None) => {}
                (Rule::rbrace, _) => break,
                (Rule::unclosed, Some(at)) => self.unclosed.push((at, child.as_span().start())),
                (Rule::tail, _) => {
                    if let Some(line) = lines.last_mut() {
                        line.tail = Some(child);
                    }
                }
                _ => lines.push(Line { p: child, tail: None }),
            }
        }
        lines
    }

    pub(super) fn block(&mut self, p: &P<'s>) -> Block {
        self.block_at(p, Place::Block)
    }

    fn block_at(&mut self, p: &P<'s>, place: Place) -> Block {
        let start = part(p, Rule::lbrace).map_or(p.as_span().start(), |b| b.as_span().start());
        let span = self.span_between(start, bounds(p).1);
        let mut stmts = Vec::new();
        for line in self.list_lines(p) {
            self.stmt_line(&line, place, &mut stmts);
        }
        Block { stmts, span }
    }

    /// The block in a clause such as `else { … }`.
    pub(super) fn inner_block(&mut self, p: &P<'s>) -> Option<Block> {
        part(p, Rule::block).map(|b| self.block(&b))
    }

    /// One line of a block: a statement, or what is left of one.
    pub(super) fn stmt_line(&mut self, line: &Line<'s>, place: Place, into: &mut Vec<Stmt>) {
        match (&line.tail, line.p.as_rule()) {
            (_, Rule::bad) => self.bad_stmt(&line.p, place, into),
            (Some(tail), _) => {
                self.left_over(&line.p, tail, place);
                let holds_blocks = line.p.clone().into_inner().flatten().any(|c| c.as_rule() == Rule::block);
                if holds_blocks {
                    self.stmt(&line.p, into);
                } else {
                    self.leave_traces(&line.p, Some(tail), into);
                }
                self.blocks_of(tail, into);
            }
            (None, _) => self.stmt(&line.p, into),
        }
    }

    /// Text that is no statement: told, and its traces left.
    pub(super) fn bad_stmt(&mut self, p: &P<'s>, place: Place, into: &mut Vec<Stmt>) {
        self.unreadable(p, place);
        self.leave_traces(p, None, into);
        self.blocks_of(p, into);
    }

    /// An `Error` for the statement, and a `let` without a value for each name that its text seems to give.
    fn leave_traces(&mut self, p: &P<'s>, tail: Option<&P<'s>>, into: &mut Vec<Stmt>) {
        let (start, end) = (bounds(p).0, bounds(tail.unwrap_or(p)).1);
        let span = self.span_between(start, end);
        into.push(Stmt { kind: StmtKind::Error, span });
        let head = tail.map_or(end, |tail| self.head_end(tail, end)).min(self.head_end(p, end));
        for (text, at) in names_in(&self.text()[start..head]) {
            let span = self.span_between(start + at, start + at + text.len());
            let name = Name { text: text.to_owned(), span };
            into.push(Stmt {
                kind: StmtKind::Let { name, value: Expr { kind: ExprKind::Error, span } },
                span,
            });
        }
        // `as miss you` is probably called `miss_you` elsewhere
        if let Some((text, at)) = two_words_in(&self.text()[start..head]) {
            let span = self.span_between(start + at, start + at);
            let name = Name { text, span };
            let value = Expr { kind: ExprKind::Error, span };
            into.push(Stmt { kind: StmtKind::Let { name, value }, span });
        }
    }

    /// Where the first block of an unreadable statement begins.
    pub(super) fn head_end(&self, p: &P<'s>, end: usize) -> usize {
        let block = p
            .clone()
            .into_inner()
            .find(|c| matches!(c.as_rule(), Rule::any_block | Rule::block | Rule::lbrace | Rule::race));
        block.map_or(end, |b| b.as_span().start())
    }

    /// The blocks in unreadable text, each as an `if` without a condition.
    pub(super) fn blocks_of(&mut self, p: &P<'s>, into: &mut Vec<Stmt>) {
        for child in p.clone().into_inner().filter(|c| c.as_rule() == Rule::any_block) {
            let body = self.any_block(&child);
            into.push(unconditional(body));
        }
    }

    /// A block of which nobody knows what it belongs to: its statements, and those in the arms and cases in it.
    fn any_block(&mut self, p: &P<'s>) -> Block {
        let (start, end) = bounds(p);
        let span = self.span_between(start, end);
        let mut stmts = Vec::new();
        for line in self.list_lines(p) {
            match line.p.as_rule() {
                Rule::bad => self.bad_stmt(&line.p, Place::Unknown, &mut stmts),
                rule if is_stmt(rule) => self.stmt_line(&line, Place::Unknown, &mut stmts),
                _ => {
                    if let Some(tail) = &line.tail {
                        self.left_over(&line.p, tail, Place::Unknown);
                    }
                    let blocks: Vec<P<'s>> =
                        line.p.clone().into_inner().filter(|c| c.as_rule() == Rule::block).collect();
                    for block in blocks {
                        let body = self.block(&block);
                        stmts.push(unconditional(body));
                    }
                }
            }
        }
        Block { stmts, span }
    }

    /// Tells what is wrong with a line of arms, cases or variants. False where the list is not whole without it.
    pub(super) fn list_line(&mut self, line: &Line<'s>, place: Place) -> bool {
        match (&line.tail, line.p.as_rule()) {
            (_, Rule::bad) => {
                self.unreadable(&line.p, place);
                false
            }
            (Some(tail), _) => {
                self.left_over(&line.p, tail, place);
                true
            }
            _ => true,
        }
    }

    /// A statement whose list misses lines leaves its traces: an `Error`, its name, and each block for itself.
    pub(super) fn damaged(
        &mut self,
        p: &P<'s>,
        name: Option<Name>,
        bodies: Vec<Block>,
        into: &mut Vec<Stmt>,
    ) -> Option<StmtKind> {
        let span = self.span(p);
        if let Some(name) = name {
            let value = Expr { kind: ExprKind::Error, span: name.span };
            into.push(Stmt { span: name.span, kind: StmtKind::Let { name, value } });
        }
        into.extend(bodies.into_iter().map(unconditional));
        into.push(Stmt { kind: StmtKind::Error, span });
        None
    }
}

fn unconditional(body: Block) -> Stmt {
    let span = body.span;
    let condition = Expr { kind: ExprKind::Error, span: span.shrink_to_start() };
    Stmt { kind: StmtKind::If(Box::new(If { branches: vec![(condition, body)], otherwise: None })), span }
}

/// Whether a node is a statement.
pub(super) fn is_stmt(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::send
            | Rule::ask
            | Rule::call
            | Rule::assign
            | Rule::request
            | Rule::take
            | Rule::record_
            | Rule::grant
            | Rule::withdraw
            | Rule::set
            | Rule::add
            | Rule::remove
            | Rule::let_
            | Rule::wait
            | Rule::if_
            | Rule::switch
            | Rule::split
            | Rule::repeat
            | Rule::start
            | Rule::run
            | Rule::goto
            | Rule::resume
            | Rule::pause
            | Rule::exit
            | Rule::for_each
    )
}

/// The names that an unreadable statement would have given: the word after `as`, and after `let` at its beginning.
fn names_in(head: &str) -> Vec<(&str, usize)> {
    let mut names = Vec::new();
    if head.starts_with("exit") {
        return names;
    }
    let mut gives = head.starts_with("let ");
    let mut in_text = false;
    for (at, word) in words_of(head) {
        if word == "\"" {
            in_text = !in_text;
        } else if !in_text {
            if gives && word != "let" && word.starts_with(|c: char| c.is_ascii_alphabetic()) {
                names.push((word, at));
            }
            gives = word == "as" || (word == "let" && at == 0);
        }
    }
    names
}

/// The two words after `as`, if there are two, joined.
fn two_words_in(head: &str) -> Option<(String, usize)> {
    let is_name =
        |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic()) && !super::words::is_reserved(word);
    let words: Vec<(usize, &str)> = words_of(head).collect();
    words.windows(3).find_map(|three| match three {
        [(_, "as"), (at, first), (_, second)] if is_name(first) && is_name(second) => {
            Some((format!("{first}_{second}"), *at))
        }
        _ => None,
    })
}

/// Words and signs with their places.
fn words_of(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let rest = rest.trim_start();
        let start = text.len() - rest.len();
        let first = rest.chars().next()?;
        let length =
            if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        at = start + length;
        Some((start, &text[start..at]))
    })
}
