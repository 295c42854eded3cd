//! Operators: two sides that are hints for each other, and a result that means something.

use super::expr::{Reader, yes_no};
use super::findings::finding;

use crate::diagnostic::{Code, Span};
use crate::engine::program::Expr;
use crate::lang::Typed;
use crate::lang::ast::{self, ExprKind, Op, Presence};
use crate::lang::types::{self, noun};
use crate::value::{Type, Value};

/// Runs the body with what is known if the condition holds (or does not), and forgets it again.
macro_rules! knowing {
    ($reader:ident, $condition:expr, $holds:expr, $body:expr) => {{
        let before = $reader.facts.clone();
        $reader.assume($condition, $holds);
        let result = $body;
        $reader.facts = before;
        result
    }};
}

impl Reader<'_, '_> {
    pub(super) fn negate(&mut self, inner: &ast::Expr, hint: Option<&Type>) -> Option<Typed> {
        if let ExprKind::Number(number) = &inner.kind {
            let mut number = *number;
            number.value.0 = -number.value.0;
            return self.number(&number, hint);
        }
        let read = self.expr(inner, hint)?;
        let read = self.required(read, inner.span)?;
        match read.ty {
            Type::Number(_) | Type::Decimal(_) => {
                let ty =
                    if matches!(read.ty, Type::Number(_)) { Type::Number(None) } else { Type::Decimal(None) };
                Some(Typed { ty, expr: Expr::Negate(Box::new(read.expr)) })
            }
            ty => self.mismatch(inner.span, format!("`-` needs a number, not {}", noun(&ty))),
        }
    }

    pub(super) fn binary(
        &mut self,
        op: Op,
        op_span: Span,
        left: &ast::Expr,
        right: &ast::Expr,
        span: Span,
        hint: Option<&Type>,
    ) -> Option<Typed> {
        match op {
            Op::And | Op::Or => {
                let first = self.wanted(left, &Type::YesNo);
                let second = knowing!(self, left, op == Op::And, self.wanted(right, &Type::YesNo));
                yes_no(Expr::Binary(op, Box::new(first?.expr), Box::new(second?.expr)))
            }
            Op::Otherwise => self.otherwise(left, right, hint),
            Op::Is | Op::IsNot => self.is(op == Op::Is, left, right),
            Op::Lt | Op::Le | Op::Gt | Op::Ge => self.order(op, op_span, left, right),
            Op::In | Op::NotIn => self.membership(op, left, right, span),
            Op::Has | Op::HasAnyOf | Op::HasAllOf => self.has(op, left, right),
            Op::Add | Op::Sub | Op::Mul | Op::Div => self.arithmetic(op, op_span, left, right, hint),
        }
    }

    pub(super) fn otherwise(
        &mut self,
        left: &ast::Expr,
        right: &ast::Expr,
        hint: Option<&Type>,
    ) -> Option<Typed> {
        let first = self.expr(left, hint)?;
        let want = first.ty.required().clone();
        if !first.ty.is_optional() && self.is_never_missing(left) {
            let message =
                format!("`{}` always has a value, so `otherwise` never counts", self.text(left.span));
            self.out.push(finding(Code::W0108, left.span, message).label("never missing"));
        }
        let second = self.expr(right, Some(&want))?;
        let second_optional = second.ty.is_optional();
        let wide = if types::fits(&second.ty, &want) { want } else { second.ty.required().clone() };
        let first = self.fit(first, &wide, left.span)?;
        let second = self.fit(second, &wide, right.span)?;
        let ty = if second_optional { wide.optional() } else { wide };
        Some(Typed { ty, expr: binary(Op::Otherwise, first, second) })
    }

    /// By its type, not by what was asked before.
    pub(super) fn is_never_missing(&mut self, expr: &ast::Expr) -> bool {
        match &expr.kind {
            ExprKind::Path(path) => self.conditions(|conditions| {
                let facts = &self.facts;
                conditions.place(path).is_some_and(|place| !facts.unsure && facts.presence(&place).is_none())
            }),
            _ => matches!(
                expr.kind,
                ExprKind::Text(_)
                    | ExprKind::Number(_)
                    | ExprKind::Bool(_)
                    | ExprKind::Date(_)
                    | ExprKind::Time(_)
            ),
        }
    }

    pub(super) fn is(&mut self, equal: bool, left: &ast::Expr, right: &ast::Expr) -> Option<Typed> {
        if let ExprKind::Presence(presence) = right.kind {
            return self.presence(equal, left, presence);
        }
        let (first, second) = self.pair(left, right)?;
        let listed = self.purpose_and_its_family(&first, &second);
        if let Some(listed) = listed {
            let op = if equal { Op::In } else { Op::NotIn };
            return yes_no(Expr::Binary(op, Box::new(first.expr), Box::new(listed)));
        }
        let op = if equal { Op::Is } else { Op::IsNot };
        yes_no(binary(op, first, second))
    }

    /// A message of a refined purpose is one of its parent's too.
    pub(super) fn purpose_and_its_family(&self, first: &Typed, second: &Typed) -> Option<Expr> {
        let (Expr::Field(_, field), Expr::Const(Value::Text(purpose))) = (&first.expr, &second.expr) else {
            return None;
        };
        if &**field != "purpose" || first.ty != self.schema.purpose_type() {
            return None;
        }
        let family = self.schema.family(purpose);
        (family.len() > 1).then(|| Expr::Const(Value::List(family.into_iter().map(Value::Text).collect())))
    }

    pub(super) fn presence(&mut self, equal: bool, left: &ast::Expr, presence: Presence) -> Option<Typed> {
        let read = self.expr(left, None)?;
        let asked = match presence {
            Presence::Known | Presence::Unknown => {
                if !read.ty.is_optional() && self.is_never_missing(left) {
                    let holds = (presence == Presence::Known) == equal;
                    let message = format!("`{}` always has a value", self.text(left.span));
                    let label = if holds { "always true" } else { "never true" };
                    self.out.push(finding(Code::W0108, left.span, message).label(label));
                }
                let known = Expr::Known(Box::new(read.expr));
                if presence == Presence::Known { known } else { Expr::Not(Box::new(known)) }
            }
            Presence::Empty => {
                let read = self.required(read, left.span)?;
                if !matches!(read.ty, Type::List(_)) && !types::is_textual(&read.ty) {
                    let message = format!("only lists and texts can be empty, not {}", noun(&read.ty));
                    return self.mismatch(left.span, message);
                }
                Expr::Empty(Box::new(read.expr))
            }
        };
        yes_no(if equal { asked } else { Expr::Not(Box::new(asked)) })
    }

    /// Two sides of a comparison, each a hint for the other; a bare word is understood by its counterpart.
    pub(super) fn pair(&mut self, left: &ast::Expr, right: &ast::Expr) -> Option<(Typed, Typed)> {
        let (first, second) = if self.is_bare_word(left) && !self.is_bare_word(right) {
            let second = self.expr(right, None);
            let hint = second.as_ref().map(|read| read.ty.required().clone());
            let first = match (&second, hint) {
                (None, _) => None,
                (_, hint) => self.expr(left, hint.as_ref()),
            };
            (first, second)
        } else {
            let first = self.expr(left, None);
            let hint = first.as_ref().map(|read| read.ty.required().clone());
            let second = match (&first, self.is_bare_word(right)) {
                (None, true) => None,
                _ => self.expr(right, hint.as_ref()),
            };
            (first, second)
        };
        let first = first.and_then(|read| self.required(read, left.span));
        let second = second.and_then(|read| self.required(read, right.span));
        let (first, second) = (first?, second?);
        if !types::comparable(&first.ty, &second.ty) {
            return self.incomparable(left, &first.ty, right, &second.ty);
        }
        Some(same_kind(first, second))
    }

    pub(super) fn incomparable<T>(
        &mut self,
        left: &ast::Expr,
        a: &Type,
        right: &ast::Expr,
        b: &Type,
    ) -> Option<T> {
        let message = format!(
            "`{}` is {} and `{}` is {}: they cannot be compared",
            self.text(left.span),
            noun(a),
            self.text(right.span),
            noun(b)
        );
        let made = finding(Code::E0103, right.span, message)
            .label(format!("this is {}", noun(b)))
            .related(left.span, format!("this is {}", noun(a)));
        self.out.push(made);
        None
    }

    pub(super) fn order(
        &mut self,
        op: Op,
        op_span: Span,
        left: &ast::Expr,
        right: &ast::Expr,
    ) -> Option<Typed> {
        let (first, second) = self.pair(left, right)?;
        if !types::is_ordered(&first.ty) {
            let message = format!("{} is neither more nor less than another", noun(&first.ty));
            self.out.push(finding(Code::E0103, op_span, message).label("needs numbers, dates or times"));
            return None;
        }
        yes_no(binary(op, first, second))
    }

    pub(super) fn membership(
        &mut self,
        op: Op,
        left: &ast::Expr,
        right: &ast::Expr,
        span: Span,
    ) -> Option<Typed> {
        let (element, list) = if self.is_bare_word(left) {
            let list = self.expr(right, None)?;
            let hint = element_of(&list.ty);
            (self.expr(left, hint.as_ref()), Some(list))
        } else {
            let element = self.expr(left, None);
            let hint = element.as_ref().map(|read| Type::List(read.ty.required().clone().into()));
            let list = match (&element, hint) {
                (None, _) => None,
                (_, hint) => self.expr(right, hint.as_ref()),
            };
            (element, list)
        };
        let element = element.and_then(|read| self.required(read, left.span))?;
        let list = list.and_then(|read| self.required(read, right.span))?;
        match element_of(&list.ty) {
            Some(of) if types::comparable(&element.ty, &of) => yes_no(binary(op, element, list)),
            Some(of) => self.incomparable(left, &element.ty, right, &of),
            None => self.mismatch(span, format!("`in` needs a list on its right, not {}", noun(&list.ty))),
        }
    }

    pub(super) fn has(&mut self, op: Op, left: &ast::Expr, right: &ast::Expr) -> Option<Typed> {
        let list = self.expr(left, None)?;
        let list = self.required(list, left.span)?;
        let Some(element) = element_of(&list.ty) else {
            return self
                .mismatch(left.span, format!("`has` needs a list on its left, not {}", noun(&list.ty)));
        };
        let want = if op == Op::Has { element } else { Type::List(element.into()) };
        let right = self.wanted(right, &want)?;
        yes_no(binary(op, list, right))
    }

    pub(super) fn arithmetic(
        &mut self,
        op: Op,
        op_span: Span,
        left: &ast::Expr,
        right: &ast::Expr,
        hint: Option<&Type>,
    ) -> Option<Typed> {
        let hint = hint.filter(|ty| matches!(ty, Type::Decimal(None)));
        let first = self.expr(left, hint).and_then(|read| self.required(read, left.span));
        let second = self.expr(right, hint).and_then(|read| self.required(read, right.span));
        let (first, second) = (first?, second?);
        let sign = match op {
            Op::Add => "+",
            Op::Sub => "-",
            Op::Mul => "*",
            _ => "/",
        };
        let Some(ty) = result_of(op, &first.ty, &second.ty) else {
            let message =
                format!("`{}` does not work between {} and {}", sign, noun(&first.ty), noun(&second.ty));
            let label = if first.ty == Type::Percent || second.ty == Type::Percent {
                "a percentage is not a number here"
            } else {
                "does not fit"
            };
            self.out.push(finding(Code::E0103, op_span, message).label(label));
            return None;
        };
        if op == Op::Div {
            return self.division(first, second, right.span);
        }
        let (first, second) = match ty {
            Type::Decimal(_) => (to_decimal(first), to_decimal(second)),
            _ => (first, second),
        };
        Some(Typed { ty, expr: binary(op, first, second) })
    }

    /// Exact, in decimals; missing when the divisor may be zero.
    pub(super) fn division(&mut self, first: Typed, second: Typed, divisor: Span) -> Option<Typed> {
        let (first, second) = (to_decimal(first), to_decimal(second));
        let ty = match &second.expr {
            Expr::Const(Value::Decimal(value)) if value.0 == 0 => {
                return self.mismatch(divisor, "nothing can be divided by zero".to_owned());
            }
            Expr::Const(_) => Type::Decimal(None),
            _ => Type::Decimal(None).optional(),
        };
        Some(Typed { ty, expr: binary(Op::Div, first, second) })
    }
}

fn binary(op: Op, left: Typed, right: Typed) -> Expr {
    Expr::Binary(op, Box::new(left.expr), Box::new(right.expr))
}

/// A number turned into a decimal; a decimal stays.
pub(super) fn to_decimal(read: Typed) -> Typed {
    let optional = read.ty.is_optional();
    let ty = if optional { Type::Decimal(None).optional() } else { Type::Decimal(None) };
    match (&read.ty.required(), read.expr) {
        (Type::Number(_), Expr::Const(Value::Number(n))) => {
            Typed { ty, expr: Expr::Const(Value::Decimal(crate::value::Decimal::from_int(n))) }
        }
        (Type::Number(_), expr) => Typed { ty, expr: Expr::ToDecimal(Box::new(expr)) },
        (_, expr) => Typed { ty, expr },
    }
}

/// Both as decimals where one is.
fn same_kind(first: Typed, second: Typed) -> (Typed, Typed) {
    match (&first.ty, &second.ty) {
        (Type::Decimal(_), Type::Number(_)) => (first, to_decimal(second)),
        (Type::Number(_), Type::Decimal(_)) => (to_decimal(first), second),
        _ => (first, second),
    }
}

fn element_of(ty: &Type) -> Option<Type> {
    match ty.required() {
        Type::List(element) => Some(element.required().clone()),
        _ => None,
    }
}

/// The type of an operation, if it means anything.
fn result_of(op: Op, a: &Type, b: &Type) -> Option<Type> {
    use Type::{Date, Decimal, Duration, Moment, Number};
    Some(match (op, a, b) {
        (Op::Div, a, b) if types::is_numeric(a) && types::is_numeric(b) => Decimal(None),
        (Op::Add | Op::Sub | Op::Mul, Number(_), Number(_)) => Number(None),
        (Op::Add | Op::Sub | Op::Mul, a, b) if types::is_numeric(a) && types::is_numeric(b) => Decimal(None),
        (Op::Add | Op::Sub, Date, Duration) | (Op::Add, Duration, Date) => Date,
        (Op::Add | Op::Sub, Moment, Duration) | (Op::Add, Duration, Moment) => Moment,
        (Op::Add | Op::Sub, Duration, Duration) => Duration,
        _ => return None,
    })
}
