//! The clauses of a statement, in the one order and on as many lines as they need.

use super::layout::{Doc, join, text};
use super::printer::Printer;
use crate::lang::ast::{ChannelChoice, Expr, Name, Record};

/// The clauses behind a verb, in their order.
pub(super) struct Clauses {
    parts: Vec<Doc>,
    has_record: bool,
}

impl Clauses {
    pub(super) fn new(head: String) -> Self {
        Clauses { parts: vec![text(head)], has_record: false }
    }

    pub(super) fn push(&mut self, word: &str, what: Option<String>) {
        self.parts.extend(what.map(|w| text(format!("{word} {w}"))));
    }

    pub(super) fn name(&mut self, word: &str, name: Option<&Name>) {
        self.push(word, name.map(|n| n.text.clone()));
    }

    pub(super) fn expr(&mut self, word: &str, expr: Option<&Expr>, printer: &mut Printer<'_>) {
        if let Some(expr) = expr {
            let expr = printer.expr(expr);
            self.parts.push(Doc::Group(vec![text(format!("{word} ")), expr]));
        }
    }

    pub(super) fn record(&mut self, record: Option<&Record>, printer: &mut Printer<'_>) {
        if let Some(record) = record {
            self.has_record |= !record.pairs.is_empty();
            let record = printer.record(record);
            self.parts.push(Doc::Group(vec![text("with "), record]));
        }
    }

    /// Too long a statement breaks in its record, or else before its clauses.
    pub(super) fn doc(self) -> Doc {
        if self.has_record { Doc::Group(join(self.parts, &[text(" ")])) } else { hanging(self.parts) }
    }
}

/// Parts on one line, or each but the first on a line of its own further in.
pub(super) fn hanging(parts: Vec<Doc>) -> Doc {
    Doc::Group(vec![Doc::Nest(vec![Doc::Nest(join(parts, &[Doc::Line]))])])
}

pub(super) fn as_name(name: Option<&Name>) -> String {
    name.map_or(String::new(), |n| format!(" as {}", n.text))
}

pub(super) fn channels(choice: &ChannelChoice) -> String {
    let join =
        |names: &[Name], word: &str| names.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(word);
    match choice {
        ChannelChoice::One(name) => name.text.clone(),
        ChannelChoice::And(names) => join(names, " and "),
        ChannelChoice::Else(names) => join(names, " else "),
        ChannelChoice::Cheapest(names) => format!("cheapest of [{}]", join(names, ", ")),
        ChannelChoice::Preferred(names) => format!("preferred of [{}]", join(names, ", ")),
    }
}
