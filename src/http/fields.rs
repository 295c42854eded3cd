//! The fields in which answers are given on the pages behind the log-in: what one of a few things can be is chosen with one touch,
//! the rest is typed.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::pages::Language;
use super::shown::words;
use crate::intake::answers::scale;
use crate::value::{FieldType, Type};

/// A list with more values than that opens when it is touched, and is not spread out.
const SPREAD: usize = 12;

/// The field of an answer, by its type. The name has a prefix, so that no answer can be taken for a field of ours.
pub(super) fn field(
    answer: &FieldType,
    label: &str,
    must: bool,
    given: &BTreeMap<String, String>,
    language: Language,
) -> Markup {
    let name = format!("answer.{}", answer.name);
    let value = given.get(&name).map_or("", String::as_str);
    let needed = must && !answer.ty.is_optional();
    let asked = Asked { name: &name, label, value, needed, language };
    if let Some((low, high)) = scale(&answer.ty) {
        let steps: Vec<String> = (low..=high).map(|step| step.to_string()).collect();
        let steps: Vec<(&str, &str)> = steps.iter().map(|step| (&**step, &**step)).collect();
        return asked.choices("scale", "step", &steps);
    }
    match answer.ty.required() {
        Type::YesNo => {
            let both = [("true", language.pick("ja", "yes")), ("false", language.pick("nein", "no"))];
            asked.choices("choices", "choice", &both)
        }
        Type::OneOf(values) => {
            let shown: Vec<String> = values.iter().map(|one| words(one)).collect();
            let values: Vec<(&str, &str)> =
                values.iter().zip(&shown).map(|(one, shown)| (&**one, &**shown)).collect();
            if values.len() > SPREAD {
                asked.list(&values)
            } else {
                asked.choices("choices", "choice", &values)
            }
        }
        ty => asked.typed(ty),
    }
}

/// What is asked, how, and what was answered before.
struct Asked<'a> {
    name: &'a str,
    label: &'a str,
    value: &'a str,
    needed: bool,
    language: Language,
}

impl Asked<'_> {
    /// One of a few, all in sight. Where no answer is owed, none can be chosen again.
    fn choices(&self, class: &str, each: &str, all: &[(&str, &str)]) -> Markup {
        let Asked { name, value, needed, .. } = *self;
        let nothing = self.language.pick("keine Angabe", "no answer");
        let radio = |key: &str, shown: Markup| {
            html! { label class=(each) {
                input type="radio" name=(name) value=(key) required[needed] checked[value == key];
                (shown)
            } }
        };
        html! { fieldset {
            legend { (self.label) }
            div class=(class) {
                @for (key, shown) in all { (radio(key, html! { span { (shown) } })) }
                @if !needed {
                    @if each == "step" {
                        (radio("", html! { span aria-hidden="true" { "–" } span.heard { (nothing) } }))
                    } @else {
                        (radio("", html! { span.dim { (nothing) } }))
                    }
                }
            }
        } }
    }

    fn list(&self, all: &[(&str, &str)]) -> Markup {
        html! { div.part {
            label.field for=(self.name) { (self.label) }
            select id=(self.name) name=(self.name) required[self.needed] {
                option value="" { "–" }
                @for (key, shown) in all { option value=(key) selected[self.value == *key] { (shown) } }
            }
        } }
    }

    fn typed(&self, ty: &Type) -> Markup {
        let Asked { name, value, needed, .. } = *self;
        let input = |kind: &str, mode: &str| {
            html! { input id=(name) name=(name) type=(kind) inputmode=(mode) value=(value) required[needed]; }
        };
        html! { div.part {
            label.field for=(name) { (self.label) }
            @match ty {
                Type::Number(range) => input id=(name) name=(name) type="number" inputmode="numeric" step="1"
                    min=[range.map(|(low, _)| low)] max=[range.map(|(_, high)| high)] value=(value) required[needed];,
                Type::Decimal(_) => (input("text", "decimal")),
                Type::Date => (input("date", "text")),
                Type::Time => (input("time", "text")),
                Type::Email => (input("email", "email")),
                Type::Phone => (input("tel", "tel")),
                Type::Text => textarea id=(name) name=(name) rows="3" required[needed] { (value) },
                _ => (input("text", "text")),
            }
        } }
    }
}
