//! What a template writes against what it is given: each variable is there, has the fields that are asked of it, is guarded where
//! it may be missing, and is what its place needs. E0803, E0805, E0103.

use std::collections::BTreeMap;

use super::Typed;
use super::findings::{finding, not_yet, with_near_miss};
use super::graph::At;
use super::journey::Journey;
use super::names::Form;
use super::narrow::Place;
use super::supply::LINKS;
use super::templates::{Placed, Variant};
use crate::diagnostic::{Code, Diagnostic, Span, suggest};
use crate::engine::program::Expr;
use crate::lang::ast::Send;
use crate::lang::template::{Wants, near_currency};
use crate::lang::types;
use crate::value::{Type, Value};

/// What stands at `links` in a letter: where it is answered, and the code for it.
const LINKS_OF_LETTERS: [&str; 5] = ["confirm", "preferences", "response", "response_code", "unsubscribe"];

pub(super) fn supplied<'t>(
    journey: &mut Journey,
    at: At,
    send: &Send,
    (channel, variant): (&str, &'t Variant),
    lacking: &mut BTreeMap<&'t str, Vec<Span>>,
) {
    for used in variant.uses() {
        match used.path[0].as_str() {
            "links" if used.path.get(1).is_some_and(|name| name == "browser") => {
                journey.out.push(not_yet(used.span, "`links.browser`, the mail as a page,"));
            }
            "links" if used.path.get(1).is_some_and(|name| name == "survey") => {
                asking(journey, send, used);
                named(journey, used);
            }
            "links" => {
                let is_letter = journey.schema.catalog.is_letter(channel);
                listed(journey, used, "links", if is_letter { &LINKS_OF_LETTERS } else { &LINKS });
                named(journey, used);
            }
            "brand" => {
                let brand: Vec<String> = journey.schema.input.settings.brand.iter().cloned().collect();
                let all: Vec<&str> = brand.iter().map(String::as_str).collect();
                listed(journey, used, "brand", &all);
                named(journey, used);
            }
            "contact" => contact(journey, at, used),
            name => {
                let mut pairs = send.with.iter().flat_map(|record| &record.pairs);
                let given = pairs.find(|(given, _)| given.text == name);
                match given {
                    Some((_, value)) => {
                        if let Some(read) = journey.exprs.get(&value.span).cloned() {
                            let optional = read.ty.is_optional();
                            walk(journey, used, &read.ty, 1, optional, Some(value.span));
                            fixed(journey, used, &read.expr, value.span);
                        }
                    }
                    None => lacking.entry(name).or_default().push(used.span),
                }
            }
        }
    }
}

/// Only a survey has questions to lead to.
fn asking(journey: &mut Journey, send: &Send, used: &Placed) {
    let template = send.template.joined();
    if !journey.schema.catalog.surveys.contains_key(template.as_str()) {
        let message = format!("`links.survey` leads to questions, and `{template}` asks none");
        let made = finding(Code::E0803, used.span, message).label("not supplied");
        journey.out.push(
            made.help(format!("it stands in the template of a survey: declare `survey {template} {{ … }}`")),
        );
    }
}

fn listed(journey: &mut Journey, used: &Placed, root: &str, all: &[&str]) {
    let Some(name) = used.path.get(1) else { return };
    if !all.contains(&name.as_str()) {
        let message = format!("there is no `{root}.{name}`");
        let near = suggest::did_you_mean(name, all.iter().copied());
        let made = finding(Code::E0803, used.span, message).label("not supplied");
        let near = near.map(|near| format!("{root}.{near}"));
        journey.out.push(with_near_miss(made, near.as_deref(), all, used.span));
    }
}

fn contact(journey: &mut Journey, at: At, used: &Placed) {
    let Some(name) = used.path.get(1) else { return group(journey, used) };
    if name == "id" {
        return fits(journey, used, &Type::Id, None);
    }
    let Some(attribute) = journey.schema.catalog.attribute(name) else {
        if !journey.schema.is_hidden(name) {
            let all: Vec<&str> = journey.schema.catalog.attributes.iter().map(|a| &*a.name).collect();
            let near = suggest::did_you_mean(name, all.iter().copied()).map(|near| format!("contact.{near}"));
            let made = finding(Code::E0803, used.span, format!("contacts have no attribute `{name}`"))
                .label("not declared");
            journey.out.push(with_near_miss(made, near.as_deref(), &[], used.span));
        }
        return;
    };
    let known = journey.facts_at(at).is_known(&Place::Attribute(attribute.name.clone()));
    let ty = attribute.ty.clone();
    let optional = ty.is_optional() && !known;
    walk(journey, used, &ty, 2, optional, None);
}

/// Goes down the path through records and lists; a value that may be missing needs a guard on the way.
fn walk(journey: &mut Journey, used: &Placed, ty: &Type, from: usize, optional: bool, given: Option<Span>) {
    let mut ty = ty.clone();
    let mut missing = (optional && used.known < from).then_some(from);
    for (n, part) in used.path.iter().enumerate().skip(from) {
        let inner = match (ty.required(), part.as_str()) {
            (Type::List(element), "[]") => (**element).clone(),
            (Type::List(_), "length") => Type::Number(None),
            (Type::Record(fields), name) => match types::field(fields, name) {
                Some(ty) => ty.clone(),
                None => {
                    let all: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
                    return no_field(journey, used, n, &all);
                }
            },
            (other, name) => {
                let message =
                    format!("`{}` is {} and has no `{name}`", used.path[..n].join("."), types::noun(other));
                journey.out.push(
                    finding(Code::E0803, used.span, message.replace(".[]", "[]")).label("not supplied"),
                );
                return;
            }
        };
        ty = inner;
        if ty.is_optional() && used.known < n + 1 && missing.is_none() {
            missing = Some(n + 1);
        }
    }
    fits(journey, used, &ty, given);
    if let Some(length) = missing {
        let name = used.path[..length].join(".").replace(".[]", "[]");
        let made = finding(Code::E0805, used.span, format!("`{name}` may be missing, and nothing guards it"))
            .label("may be missing");
        let made = match given {
            Some(span) => made.related(span, "supplied here"),
            None => made,
        };
        let written = journey.schema.input.sources.slice(used.span);
        let help = match used.path.len() {
            _ if given.is_some_and(|span| may_fail(journey, span)) => {
                format!(
                    "say in the journey what happens when there is none: `else {{ exit as … }}` behind the `request` or `take`; \
                     or write `{{{{#if {written}}}}}…{{{{/if}}}}` around it"
                )
            }
            n if n == length => {
                format!(
                    "write `{{{{#if {written}}}}}…{{{{/if}}}}` around it, or `{{{{default {written} \"…\"}}}}`"
                )
            }
            _ => format!("put it between `{{{{#if …}}}}` and `{{{{/if}}}}` that ask for `{name}`"),
        };
        journey.out.push(made.help(help));
    }
}

/// Whether the value is of a request or taken from a pool, and nothing says what happens where there is none.
fn may_fail(journey: &Journey, given: Span) -> bool {
    let Some(Typed { expr: Expr::Field(inner, _), .. }) = journey.exprs.get(&given) else { return false };
    let Expr::Slot(slot) = **inner else { return false };
    matches!(journey.names.slot(slot).form, Form::Request { leaves: false })
}

/// `links` and `brand` hold texts.
fn named(journey: &mut Journey, used: &Placed) {
    match used.path.len() {
        1 => group(journey, used),
        _ => fits(journey, used, &Type::Text, None),
    }
}

/// `contact`, `links` and `brand` are no values by themselves.
fn group(journey: &mut Journey, used: &Placed) {
    if used.wants != Wants::Anything {
        let message = format!("{} is wanted here, but `{}` has fields", used.wants.noun(), used.path[0]);
        let help = format!("write one of its fields: `{}.…`", used.path[0]);
        journey.out.push(finding(Code::E0103, used.span, message).label("not a single value").help(help));
    }
}

/// E0103: the value is not what its place needs. The sender would refuse the message.
fn fits(journey: &mut Journey, used: &Placed, ty: &Type, given: Option<Span>) {
    if used.wants.takes(ty) {
        return;
    }
    let name = used.path.join(".").replace(".[]", "[]");
    let is = types::noun(ty);
    let message = format!("{} is wanted here, but `{name}` is {is}", used.wants.noun());
    let made = finding(Code::E0103, used.span, message).label(format!("this is {is}"));
    let made = match given {
        Some(span) => made.related(span, "supplied here"),
        None => made,
    };
    let written = journey.schema.input.sources.slice(used.span);
    journey.out.push(match (used.wants, ty.required()) {
        (Wants::Text, Type::List(_)) => {
            made.help(format!("write its elements: `{{{{#each {written}}}}}…{{{{/each}}}}`"))
        }
        (Wants::Text, _) => made.help(format!("write one of its fields: `{written}.…`")),
        (Wants::Percent, Type::Text) => made.help("supply a percentage, such as `10%` without quotes"),
        (Wants::Number, Type::Text) => made.help("supply a number, such as `10` without quotes"),
        (Wants::Number, Type::Percent) => made.help(format!("write `{{{{percent {written}}}}}`")),
        (Wants::Date, Type::Text) => made.help("supply a date, such as `today() + 14 days` or `2026-12-24`"),
        (Wants::Link, Type::Email) => made.help(format!("write `mailto:{{{{{written}}}}}`")),
        (Wants::Link, Type::Phone) => made.help(format!("write `tel:{{{{{written}}}}}`")),
        _ => made,
    });
}

/// A value of the wrong type is wrong in every language, and told at the first place that uses it.
pub(super) fn same_value_once(journey: &mut Journey, from: usize) {
    let mut kept: Vec<Diagnostic> = Vec::new();
    let sources = &journey.schema.input.sources;
    for finding in journey.out.list.split_off(from) {
        let is_same = |first: &&mut Diagnostic| {
            first.code == Code::E0103 && first.message == finding.message && first.related == finding.related
        };
        let supplied = finding.code == Code::E0103 && !finding.related.is_empty();
        match kept.iter_mut().find(is_same).filter(|_| supplied) {
            Some(first) => {
                let span = finding.primary.span;
                let (line, _) = sources.line_col(span.file, span.start);
                first.notes.push(format!("the same at {}:{line}", sources.path(span.file)));
                first.notes.dedup();
            }
            None => kept.push(finding),
        }
    }
    journey.out.list.append(&mut kept);
}

/// The same for a text that is written in the journey, so that it can be looked at.
fn fixed(journey: &mut Journey, used: &Placed, expr: &Expr, given: Span) {
    let Expr::Const(Value::Text(text)) = expr else { return };
    let looked_at = used.path.len() == 1 && matches!(used.wants, Wants::Link | Wants::Currency);
    if !looked_at || used.wants.takes_text(text) {
        return;
    }
    let message = format!("{} is wanted here, but `{}` is \"{text}\"", used.wants.noun(), used.path[0]);
    let help = match used.wants {
        Wants::Currency => near_currency(text).map(|near| format!("supply `\"{near}\"`")),
        _ => Some("supply a whole link, such as `\"https://example.org/shop\"`".to_owned()),
    };
    let made = finding(Code::E0103, used.span, message).label("used here").related(given, "supplied here");
    journey.out.push(match help {
        Some(help) => made.help(help),
        None => made,
    });
}

fn no_field(journey: &mut Journey, used: &Placed, at: usize, all: &[&str]) {
    let message = format!("`{}` has no `{}`", used.path[..at].join("."), used.path[at]).replace(".[]", "[]");
    let near = suggest::did_you_mean(&used.path[at], all.iter().copied());
    let made = finding(Code::E0803, used.span, message).label("not supplied");
    let place = part_of(journey.schema.input.sources.slice(used.span), used.span, &used.path[at]);
    journey.out.push(match near {
        Some(near) => {
            let made = made.help(format!("did you mean `{near}`?"));
            match place {
                Some(place) => made.suggest(format!("write `{near}`"), place, near),
                None => made,
            }
        }
        None => made.help(format!("possible are {}", types::some_of(all.iter().copied()))),
    });
}

/// Where the one part of a path stands that is called so: the path may be written relative to a list, so that the whole one would be
/// another text.
fn part_of(text: &str, span: Span, name: &str) -> Option<Span> {
    let mut at = 0;
    let mut places = Vec::new();
    for part in text.split(['.', '/']) {
        if part == name {
            let start = span.start + at as u32;
            places.push(Span::new(span.file, start, start + name.len() as u32));
        }
        at += part.len() + 1;
    }
    (places.len() == 1).then(|| places.remove(0))
}
