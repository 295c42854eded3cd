//! Expressions as an author would write them: for explanations, never to be read back.

use super::program::{BinaryOp, Days, EntryHow, Expr, Function, Program, Reach, Word};
use crate::value::Value;

/// The expression in the words of the language; the program says by which event one enters it.
pub fn spell(expr: &Expr, program: Option<&Program>) -> String {
    Speller { program }.expr(expr, 0)
}

/// A value as an author would write it.
pub fn value(value: &Value) -> String {
    match value {
        Value::Unknown => "unknown".to_owned(),
        Value::Text(text) => format!("\"{text}\""),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::List(items) => format!("[{}]", items.iter().map(self::value).collect::<Vec<_>>().join(", ")),
        Value::Record(fields) => {
            let pairs = fields.iter().map(|(name, inner)| format!("{name}: {}", self::value(inner)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => match other.to_json() {
            serde_json::Value::String(text) => text,
            json => json.to_string(),
        },
    }
}

struct Speller<'p> {
    program: Option<&'p Program>,
}

impl Speller<'_> {
    /// In parentheses where what stands around it binds more tightly.
    fn expr(&self, expr: &Expr, around: u8) -> String {
        match expr {
            Expr::Const(constant) => value(constant),
            Expr::Attribute(name) => format!("contact.{name}"),
            Expr::ContactId => "contact.id".to_owned(),
            Expr::Slot(slot) | Expr::MomentOf(slot) => self.slot(*slot),
            Expr::Field(inner, name) => match **inner {
                Expr::Row => name.to_string(),
                Expr::Slot(0) => {
                    self.entry().map_or_else(|| name.to_string(), |event| format!("{event}.{name}"))
                }
                _ => format!("{}.{name}", self.expr(inner, 9)),
            },
            Expr::Row => "it".to_owned(),
            Expr::Consent { purpose, channels } => format!("consent {purpose} on {}", channels.join(" and ")),
            Expr::DayTest { negated, days: named, window, .. } => {
                let not = if *negated { "is not " } else { "is " };
                let between = window.as_ref().map_or(String::new(), |window| {
                    format!(" between {} and {}", self.expr(&window.0, 9), self.expr(&window.1, 9))
                });
                format!("now {not}{}{between}", days(*named))
            }
            Expr::Aggregate(aggregate) => {
                let name = aggregate.function.word();
                let newest = aggregate.newest.map_or(String::new(), |newest| format!(" {newest}"));
                let field = aggregate.field.as_ref().map_or(String::new(), |field| format!(".{field}"));
                let filter = aggregate
                    .filter
                    .as_ref()
                    .map_or(String::new(), |one| format!(" where {}", self.expr(one, 0)));
                let reach = match &aggregate.reach {
                    Reach::Within(span) => format!(" within {span}"),
                    Reach::Since(slot) => format!(" since {}", self.slot(*slot)),
                    Reach::Ever => " ever".to_owned(),
                };
                format!("{name}{newest}({}{field}{filter}{reach})", aggregate.event)
            }
            Expr::Segment(name) | Expr::Score(name) => name.to_string(),
            Expr::Call(function, args) => self.call(*function, args),
            Expr::Not(inner) => format!("not {}", self.expr(inner, 8)),
            Expr::Negate(inner) => format!("-{}", self.expr(inner, 9)),
            Expr::Known(inner) => format!("{} is known", self.expr(inner, 4)),
            Expr::Empty(inner) => format!("{} is empty", self.expr(inner, 4)),
            Expr::Binary(op, left, right) => {
                let (word, binds) = operator(*op);
                let text = format!("{} {word} {}", self.expr(left, binds), self.expr(right, binds + 1));
                if binds < around { format!("({text})") } else { text }
            }
            Expr::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.expr(item, 0)).collect();
                format!("[{}]", items.join(", "))
            }
            Expr::Record(pairs) => {
                let pairs: Vec<String> =
                    pairs.iter().map(|(name, inner)| format!("{name}: {}", self.expr(inner, 0))).collect();
                format!("{{ {} }}", pairs.join(", "))
            }
            Expr::ToDecimal(inner) => self.expr(inner, around),
        }
    }

    /// The event by which one enters, where there is one alone.
    fn entry(&self) -> Option<&Word> {
        let mut names = self.program?.entries.iter().flat_map(|entry| match &entry.how {
            EntryHow::Event(names) | EntryHow::FirstEvent(names) => &names[..],
            _ => &[],
        });
        names.next().filter(|_| names.next().is_none())
    }

    fn slot(&self, slot: u16) -> String {
        let name = |program: &Program| Some(program.slots.get(usize::from(slot))?.name.to_string());
        match slot {
            0 => "entry".to_owned(),
            _ => self.program.and_then(name).unwrap_or_else(|| "it".to_owned()),
        }
    }

    fn call(&self, function: Function, args: &[Expr]) -> String {
        let name = match function {
            Function::Now => return "now".to_owned(),
            Function::Today => "today",
            Function::Year => "year",
            Function::Month => "month",
            Function::Day => "day",
            Function::DaysBetween => "days_between",
            Function::Round => "round",
            Function::Lower => "lower",
            Function::Length => "length",
        };
        let args: Vec<String> = args.iter().map(|arg| self.expr(arg, 0)).collect();
        format!("{name}({})", args.join(", "))
    }
}

/// The operator's word, and how tightly it binds.
fn operator(op: BinaryOp) -> (&'static str, u8) {
    match op {
        BinaryOp::Or => ("or", 1),
        BinaryOp::And => ("and", 2),
        BinaryOp::Lt => ("<", 4),
        BinaryOp::Le => ("<=", 4),
        BinaryOp::Gt => (">", 4),
        BinaryOp::Ge => (">=", 4),
        BinaryOp::Is => ("is", 4),
        BinaryOp::IsNot => ("is not", 4),
        BinaryOp::In => ("in", 4),
        BinaryOp::NotIn => ("not in", 4),
        BinaryOp::Has => ("has", 4),
        BinaryOp::HasAnyOf => ("has any of", 4),
        BinaryOp::HasAllOf => ("has all of", 4),
        BinaryOp::Otherwise => ("otherwise", 5),
        BinaryOp::Add => ("+", 6),
        BinaryOp::Sub => ("-", 6),
        BinaryOp::Mul => ("*", 7),
        BinaryOp::Div => ("/", 7),
    }
}

/// Days of the week by their names.
pub fn days(days: Days) -> String {
    const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    match (days.mask & 0x7f, days.working) {
        (0x1f, true) => "working day".to_owned(),
        (0x1f, false) => "weekday".to_owned(),
        (0x60, _) => "weekend".to_owned(),
        (mask, _) => {
            let named = NAMES.iter().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0);
            named.map(|(_, name)| *name).collect::<Vec<_>>().join(" or ")
        }
    }
}

/// What an expression is made of that has a value of its own and is worth telling: attributes, fields, looks at history.
pub fn leaves<'e>(expr: &'e Expr, found: &mut Vec<&'e Expr>) {
    match expr {
        Expr::Const(_) | Expr::ContactId | Expr::DayTest { .. } | Expr::Row => {}
        Expr::Attribute(_)
        | Expr::Slot(_)
        | Expr::Field(..)
        | Expr::MomentOf(_)
        | Expr::Consent { .. }
        | Expr::Aggregate(_)
        | Expr::Segment(_)
        | Expr::Score(_) => {
            if !found.contains(&expr) {
                found.push(expr);
            }
        }
        Expr::Call(_, args) | Expr::List(args) => args.iter().for_each(|arg| leaves(arg, found)),
        Expr::Not(inner)
        | Expr::Negate(inner)
        | Expr::Known(inner)
        | Expr::Empty(inner)
        | Expr::ToDecimal(inner) => leaves(inner, found),
        Expr::Binary(_, left, right) => {
            leaves(left, found);
            leaves(right, found);
        }
        Expr::Record(pairs) => pairs.iter().for_each(|(_, inner): &(Word, Expr)| leaves(inner, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_spelled_as_it_was_written() {
        let attribute = |name: &str| Expr::Attribute(name.into());
        let field = |name: &str| Expr::Field(Box::new(Expr::Slot(0)), name.into());
        let two = |op, left, right| Expr::Binary(op, Box::new(left), Box::new(right));
        let number = |n| Expr::Const(Value::Number(n));
        let either = two(
            BinaryOp::Or,
            two(BinaryOp::Is, attribute("plan"), Expr::Const(Value::text("pro"))),
            two(BinaryOp::Gt, field("value"), number(3)),
        );
        let both = two(BinaryOp::And, either, Expr::Known(Box::new(attribute("email"))));
        let text = spell(&both, None);
        assert_eq!(text, "(contact.plan is \"pro\" or value > 3) and contact.email is known");
        let mut found = Vec::new();
        leaves(&both, &mut found);
        let names: Vec<String> = found.into_iter().map(|leaf| spell(leaf, None)).collect();
        assert_eq!(names, ["contact.plan", "value", "contact.email"]);
    }
}
