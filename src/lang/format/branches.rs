//! The lines between the braces of waits, switches and splits.

use super::layout::{Doc, join, text};
use super::printer::{Element, Printer};
use crate::diagnostic::Span;
use crate::lang::ast::{Arm, ArmWhen, Block, Case, Variant};

pub(super) enum RaceLine<'a> {
    Arm(&'a Arm),
    Timeout(&'a Block, Span),
}

pub(super) enum SwitchLine<'a> {
    Case(&'a Case),
    Else(&'a Block, Span),
}

impl Element for RaceLine<'_> {
    fn span(&self) -> Span {
        match self {
            RaceLine::Arm(arm) => arm.span,
            RaceLine::Timeout(_, span) => *span,
        }
    }

    fn is_error(&self) -> bool {
        false
    }

    fn lists(&self, _: &Printer<'_>) -> Vec<Span> {
        match self {
            RaceLine::Arm(arm) => vec![arm.body.span],
            RaceLine::Timeout(block, _) => vec![block.span],
        }
    }

    fn print(&self, printer: &mut Printer<'_>) {
        match self {
            RaceLine::Arm(arm) => {
                let parts = match &arm.when {
                    ArmWhen::Event(event) => printer.event_match("when", event),
                    ArmWhen::Condition { expr, name } => {
                        let expr = printer.expr(expr);
                        let open = Doc::Group(vec![
                            text("when ("),
                            Doc::Nest(vec![Doc::Soft, expr]),
                            Doc::Soft,
                            text(")"),
                        ]);
                        std::iter::once(open)
                            .chain(name.as_ref().map(|n| text(format!("as {}", n.text))))
                            .collect()
                    }
                };
                printer.head(parts);
                printer.block(&arm.body);
            }
            RaceLine::Timeout(block, _) => {
                printer.write("on timeout ");
                printer.block(block);
            }
        }
    }
}

impl Element for SwitchLine<'_> {
    fn span(&self) -> Span {
        match self {
            SwitchLine::Case(case) => case.span,
            SwitchLine::Else(_, span) => *span,
        }
    }

    fn is_error(&self) -> bool {
        false
    }

    fn lists(&self, _: &Printer<'_>) -> Vec<Span> {
        match self {
            SwitchLine::Case(case) => vec![case.body.span],
            SwitchLine::Else(block, _) => vec![block.span],
        }
    }

    fn print(&self, printer: &mut Printer<'_>) {
        match self {
            SwitchLine::Case(case) => {
                let values: Vec<Doc> = case.values.iter().map(|v| printer.expr(v)).collect();
                let values = join(values, &[text(","), Doc::Line]);
                printer.head(vec![Doc::Group([vec![text("case ")], values].concat())]);
                printer.block(&case.body);
            }
            SwitchLine::Else(block, _) => {
                printer.write("else ");
                printer.block(block);
            }
        }
    }
}

impl Element for Variant {
    fn span(&self) -> Span {
        self.span
    }

    fn is_error(&self) -> bool {
        false
    }

    fn lists(&self, _: &Printer<'_>) -> Vec<Span> {
        vec![self.body.span]
    }

    fn print(&self, printer: &mut Printer<'_>) {
        let share = printer.source(self.share.span).replace([' ', '\t'], "");
        printer.write(&format!("variant {} {share} ", self.name.text));
        printer.block(&self.body);
    }
}
