//! The proof that nobody gets marketing without having agreed: E0501.
//!
//! A marketing journey proves it at its entry, and the send gate asks each time. A marketing message in a transactional
//! journey needs consent on every path that leads to it: by a `grant`, a condition, or the entry. What is transactional
//! needs a reason instead. All of it hangs on the policies, which say where consent is needed: a rule that is missing there
//! would silently open the gate for everybody.

use std::collections::BTreeMap;

use super::JourneyInfo;
use super::asking::{message_of, written_message_of};
use super::findings::{Findings, finding};
use super::graph::At;
use super::journey::Journey;
use super::names::channel_names;
use super::narrow::Facts;
use super::schema::Schema;
use super::ways::Way;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::engine::program::Word;
use crate::lang::ast::{self, ChannelChoice, JourneyItemKind, Send, Stmt, StmtKind};

pub(super) fn check(journey: &mut Journey) {
    without_purpose(journey);
    for (at, stmt) in journey.reached_stmts() {
        let Some(send) = message_of(stmt) else { continue };
        let Some(purpose) = journey.purposes.get(&stmt.span).cloned() else { continue };
        if journey.schema.is_transactional(&purpose) {
            without_reason(journey, &send);
        } else if consent_is_open(journey) {
            prove(journey, at, stmt, &send, &purpose);
        }
    }
}

/// Messages of a purpose on a channel where no rule asks for consent, so that the gate lets everybody through. One finding for
/// all of them, since one line is missing. Letters are left out: in most places they need no consent.
pub(super) fn uncovered(schema: &Schema, journeys: &BTreeMap<Word, JourneyInfo>, out: &mut Findings) {
    if schema.consent_unread || schema.cut_off || !schema.damaged.is_empty() {
        return;
    }
    let mut open: BTreeMap<(Word, Word), Vec<(Span, String)>> = BTreeMap::new();
    for (name, info) in journeys {
        super::visit::each_stmt_of(schema.journeys[name].journey, &mut |stmt, _| {
            let Some(send) = written_message_of(schema, stmt) else { return };
            let Some(purpose) = info.purposes.get(&stmt.span) else { return };
            let is_known = schema.catalog.purpose_names().contains(&&**purpose);
            if schema.is_transactional(purpose) || !is_known {
                return;
            }
            for channel in channel_names(&send.channels) {
                let declared = schema.catalog.channels.get(channel.text.as_str());
                let free = declared.is_none_or(|channel| &*channel.class == "letter");
                if !free && schema.needed_consent(purpose, &channel.text).is_none() {
                    let base = schema.consent_purpose(purpose);
                    let base = base.or_else(|| schema.catalog.lineage(purpose).last().cloned());
                    let place = Span::new(stmt.span.file, stmt.span.start, send.template.span.end);
                    let key = (base.unwrap_or_else(|| purpose.clone()), channel.text.as_str().into());
                    open.entry(key).or_default().push((place, send.template.joined()));
                }
            }
        });
    }
    for ((purpose, channel), mut sends) in open {
        sends.sort();
        out.push(without_rule(schema, &purpose, &channel, &sends));
    }
}

fn without_rule(schema: &Schema, purpose: &str, channel: &str, sends: &[(Span, String)]) -> Diagnostic {
    let (place, template) = &sends[0];
    let rule = format!("consent {purpose} on {channel}");
    let message =
        format!("no rule asks for consent to {purpose} on `{channel}`, so `{template}` goes to everybody");
    let mut made = finding(Code::E0501, *place, message).label("leaves without consent");
    if sends.len() > 1 {
        made = made.note(format!("{} messages leave so", sends.len()));
    }
    let names = |of: &Word| {
        schema.catalog.policy.consent.get(of).is_some_and(|on| on.iter().any(|c| &**c == channel))
    };
    let mistaken = schema.consent_lines.iter().find(|(of, _)| schema.is_transactional(of) && names(of));
    if let Some((of, line)) = mistaken {
        return made
            .related(*line, "asks nobody: transactional messages need no consent")
            .help(format!("was `{rule}` meant instead of `consent {of} on {channel}`?"));
    }
    let otherwise = format!(
        "if it needs no consent, such as a receipt, say so in the policies: `template {template} transactional because \"…\"`, \
         and `for transactional` at the send"
    );
    match schema.consent_lines.get(purpose) {
        Some(line) => made.related(*line, format!("does not name `{channel}`")).help(format!(
            "add `{channel}` to the rule: `{rule}` lets a message go only to who has agreed to it; {otherwise}"
        )),
        None => made.help(format!(
            "add to a policy: `{rule}`, which lets a message go only to who has agreed to it; {otherwise}"
        )),
    }
}

/// Whether nothing at entry asks for consent: the journey is transactional, or its purpose is not known.
fn consent_is_open(journey: &Journey) -> bool {
    journey.purpose.as_ref().is_none_or(|purpose| journey.schema.is_transactional(purpose))
}

/// A journey that reaches people says for what purpose.
fn without_purpose(journey: &mut Journey) {
    if journey.purpose.is_some() || journey.may_be_hidden("purpose") {
        return;
    }
    let mut first: Option<Span> = None;
    super::visit::each_stmt_of(journey.journey, &mut |stmt, _| {
        let open = match message_of(stmt) {
            Some(send) => {
                let template = Word::from(send.template.joined());
                send.purpose.is_none()
                    && !journey.schema.catalog.transactional_templates.contains_key(&template)
            }
            None => matches!(stmt.kind, StmtKind::Call(_) | StmtKind::Assign(_)),
        };
        if open && first.is_none() {
            first = Some(stmt.span);
        }
    });
    let Some(first) = first else { return };
    let name = &journey.journey.name;
    let message = format!("`{}` reaches people, but does not say for what purpose", name.text);
    let place = journey.schema.input.sources.first_line(first);
    journey.out.push(
        finding(Code::E0501, name.span, message)
            .label("has no `purpose`")
            .related(place, "reaches somebody here")
            .help("add `purpose marketing`, which needs consent, or `purpose transactional because \"…\"`"),
    );
}

/// Transactional without a word why.
fn without_reason(journey: &mut Journey, send: &Send) {
    let template = Word::from(send.template.joined());
    let by_template = journey.schema.catalog.transactional_templates.contains_key(&template);
    let by_journey = journey.because.is_some() && !consent_at_entry(journey);
    if by_template || by_journey || journey.schema.is_hidden(&template) {
        return;
    }
    let declared = journey.schema.declared.contains_key(&(super::schema::Noun::Template, template.clone()));
    if declared {
        return;
    }
    let message = format!("`{template}` leaves without consent, and nothing says why it may");
    let help = if consent_at_entry(journey) {
        format!("add to the policies: `template {template} transactional because \"…\"`")
    } else {
        "add the reason to the journey: `purpose transactional because \"…\"`".to_owned()
    };
    journey.out.push(
        finding(Code::E0501, send.template.span, message).label("transactional without a reason").help(help),
    );
}

fn consent_at_entry(journey: &Journey) -> bool {
    journey.purpose.as_ref().is_some_and(|purpose| !journey.schema.is_transactional(purpose))
}

/// Channels of a send with the consent that each needs, if any.
fn needed(journey: &Journey, send: &Send, purpose: &Word) -> Vec<(Word, Option<Word>)> {
    let need = |name: &ast::Name| {
        (Word::from(name.text.as_str()), journey.schema.needed_consent(purpose, &name.text))
    };
    channel_names(&send.channels).iter().map(need).collect()
}

/// Whether the message may leave as far as consent goes: `else` needs one channel that may, `and` all of them.
fn is_covered(send: &Send, channels: &[(Word, Option<Word>)], facts: &Facts) -> bool {
    let may = |(channel, base): &(Word, Option<Word>)| match base {
        Some(base) => facts.consent(base, channel) == Some(true),
        None => true,
    };
    match send.channels {
        ChannelChoice::Else(_) | ChannelChoice::Cheapest(_) | ChannelChoice::Preferred(_) => {
            channels.iter().any(may)
        }
        ChannelChoice::One(_) | ChannelChoice::And(_) => channels.iter().all(may),
    }
}

fn prove(journey: &mut Journey, at: At, stmt: &Stmt, send: &Send, purpose: &Word) {
    let channels = needed(journey, send, purpose);
    if journey.facts_at(at).unsure || is_covered(send, &channels, &journey.facts_at(at)) {
        return;
    }
    let roots: Vec<At> = journey.graph.roots().collect();
    let open = |here: At, facts: &Facts| here == at && !is_covered(send, &channels, facts);
    let Some(way) = roots.into_iter().find_map(|root| journey.way(root, open)) else { return };
    report(journey, stmt, send, purpose, &channels, &way);
}

fn report(
    journey: &mut Journey,
    stmt: &Stmt,
    send: &Send,
    purpose: &Word,
    channels: &[(Word, Option<Word>)],
    way: &Way,
) {
    let place = Span::new(stmt.span.file, stmt.span.start, send.template.span.end);
    let what = if channels.iter().any(|(channel, _)| &**channel == "email") { "mail" } else { "message" };
    let template = send.template.joined();
    let message = format!(
        "`{template}` is a {purpose} {what}, but not everybody who gets here has agreed to {purpose}"
    );
    let mut made = finding(Code::E0501, place, message).label("sent here");
    let base = channels.iter().find_map(|(_, base)| base.clone());
    if let Some(line) = base.as_ref().and_then(|base| journey.schema.consent_lines.get(base)) {
        made = made.related(*line, "the rule");
    }
    let open: Vec<&str> =
        channels.iter().filter(|(_, base)| base.is_some()).map(|(channel, _)| &**channel).collect();
    let consent = format!("consent {} on {}", base.as_deref().unwrap_or(purpose), open.join(", "));
    let told = journey.told(way);
    let help = match evidence(journey, way) {
        Some(event) => format!(
            "ask first: record what the person agreed to with `grant {consent} from {event}`{}, \
             or guard with `if {consent} {{ … }}`",
            place_for_grant(journey, stmt)
        ),
        None => format!(
            "ask first, with a confirmation whose event becomes `grant {consent} from …`, \
             or guard with `if {consent} {{ … }}`"
        ),
    };
    journey.out.push(made.note(format!("path without consent: {told}; nothing grants it")).help(help));
}

/// The last event that the way waits for: what a person may have agreed by.
fn evidence(journey: &Journey, way: &Way) -> Option<String> {
    way.steps.iter().rev().find_map(|(at, _)| match journey.graph.nodes[*at].what {
        super::graph::What::Stmt(Stmt { kind: StmtKind::Wait(wait), .. }) => match &**wait {
            ast::Wait::Event { event, .. } => match event.events.as_slice() {
                [event] if event.parts.len() == 1 => Some(event.joined()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    })
}

/// Behind the item before the one that holds the send.
fn place_for_grant(journey: &Journey, stmt: &Stmt) -> String {
    let mut before = None;
    for item in &journey.journey.items {
        if item.span.contains(stmt.span) {
            break;
        }
        if matches!(item.kind, JourneyItemKind::Stmt(_) | JourneyItemKind::Stage { .. }) {
            before = Some(item.span);
        }
    }
    before.map_or_else(String::new, |span| {
        let (line, _) = journey.schema.input.sources.line_col(span.file, span.end.saturating_sub(1));
        format!(" after line {line}")
    })
}
