//! Messages and addresses: I0503, W0504, I0505, I0510.

use std::borrow::Cow;

use super::asking::{message_of, written_message_of};
use super::findings::finding;
use super::graph::{At, What, is_wait};
use super::journey::Journey;
use super::names::{Form, channel_names};
use super::narrow::Place;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::engine::eval::ANSWERED;
use crate::engine::program::Word;
use crate::lang::ast::{ChannelChoice, Send, Stmt, StmtKind};

pub(super) fn check(journey: &mut Journey) {
    let messages: Vec<(At, &Stmt, Cow<'_, Send>)> = journey
        .reached_stmts()
        .into_iter()
        .filter_map(|(at, stmt)| Some((at, stmt, written_message_of(journey.schema, stmt)?)))
        .collect();
    let sends: Vec<(At, &Stmt, &Send)> =
        messages.iter().map(|(at, stmt, send)| (*at, *stmt, &**send)).collect();
    addresses(journey, &sends);
    back_to_back(journey, &sends);
    repeated(journey, &sends);
}

fn place(stmt: &Stmt, send: &Send) -> Span {
    Span::new(stmt.span.file, stmt.span.start, send.template.span.end)
}

// ---------------------------------------------------------------- addresses

/// Who has no address gets nothing: told once for each channel of a journey, at the first message.
fn addresses(journey: &mut Journey, sends: &[(At, &Stmt, &Send)]) {
    let mut told: Vec<Word> = Vec::new();
    for (at, stmt, send) in sends {
        let Some(purpose) = journey.purposes.get(&stmt.span) else { continue };
        let transactional = journey.schema.is_transactional(purpose);
        if send.to.is_some() || is_asked(journey, stmt) {
            continue;
        }
        let channels = channel_names(&send.channels);
        let one_of_several = !matches!(send.channels, ChannelChoice::One(_) | ChannelChoice::And(_));
        if transactional && one_of_several && channel_names(&send.channels).len() > 1 {
            continue;
        }
        if one_of_several && !transactional {
            several_ways(journey, *at, stmt, send, &mut told);
            continue;
        }
        for channel in channels {
            let word = Word::from(channel.text.as_str());
            let Some(address) = missing_address(journey, *at, &word) else { continue };
            if told.contains(&word) {
                continue;
            }
            told.push(word);
            let made = if transactional {
                needs_other_channel(journey, stmt, send, &address, &channel.text)
            } else {
                may_be_unreachable(stmt, send, &address, &channel.text)
            };
            journey.out.push(made);
        }
    }
}

/// Of several channels one is enough: only who has none of the addresses gets nothing.
fn several_ways(journey: &mut Journey, at: At, stmt: &Stmt, send: &Send, told: &mut Vec<Word>) {
    let channels: Vec<Word> =
        channel_names(&send.channels).iter().map(|channel| channel.text.as_str().into()).collect();
    let missing: Option<Vec<Word>> =
        channels.iter().map(|channel| missing_address(journey, at, channel)).collect();
    let Some(mut addresses) = missing.filter(|_| !channels.iter().all(|channel| told.contains(channel)))
    else {
        return;
    };
    told.extend(channels);
    addresses.dedup();
    let list: Vec<String> = addresses.iter().map(|address| format!("`contact.{address}`")).collect();
    let all = list.join(" and ");
    let message = match addresses.len() {
        1 => format!("{all} may be missing: who has none gets nothing"),
        _ => format!("{all} may be missing: who has none of them gets nothing"),
    };
    let (label, word) = match stmt.kind {
        StmtKind::Ask(_) => ("`.missed` for some", "ask `.missed` of this result"),
        _ => ("`.unreachable` for some", "ask `.unreachable` of this message"),
    };
    journey.out.push(finding(Code::I0503, place(stmt, send), message).label(label).help(format!(
        "{word}, or guard with `if {} is known {{ … }}`",
        list.join(" is known or ").replace('`', "")
    )));
}

/// The address attribute of the channel, where it may be missing here.
fn missing_address(journey: &Journey, at: At, channel: &Word) -> Option<Word> {
    let address = journey.schema.address_of(channel)?.clone();
    let optional = journey.schema.catalog.attribute(&address)?.ty.is_optional();
    let known = journey.facts_at(at).is_known(&Place::Attribute(address.clone()));
    (optional && !known).then_some(address)
}

/// Whether the journey asks whether this message found its way.
fn is_asked(journey: &Journey, stmt: &Stmt) -> bool {
    let Some(slot) = journey.names.slot_at.get(&stmt.span) else { return false };
    let info = journey.names.slot(*slot);
    if matches!(info.form, Form::Ask) {
        return info.used.iter().any(|field| &**field == ANSWERED);
    }
    matches!(info.form, Form::Message { .. })
        && info.used.iter().any(|field| matches!(&**field, "unreachable" | "skipped" | "sent" | "delivered"))
}

fn may_be_unreachable(stmt: &Stmt, send: &Send, address: &str, channel: &str) -> Diagnostic {
    let message = format!("`contact.{address}` may be missing: who has none gets no {channel}");
    if matches!(stmt.kind, StmtKind::Ask(_)) {
        return finding(Code::I0503, place(stmt, send), message).label("`.missed` for some").help(format!(
            "ask `.missed` of this result, or guard with `if contact.{address} is known {{ … }}`"
        ));
    }
    finding(Code::I0503, place(stmt, send), message).label("`.unreachable` for some").help(format!(
        "ask `.unreachable` of this message, or guard with `if contact.{address} is known {{ … }}`"
    ))
}

fn needs_other_channel(
    journey: &Journey,
    stmt: &Stmt,
    send: &Send,
    address: &str,
    channel: &str,
) -> Diagnostic {
    let message =
        format!("`contact.{address}` may be missing, and nothing says what becomes of those who have none");
    if matches!(stmt.kind, StmtKind::Ask(_)) {
        return finding(Code::I0510, place(stmt, send), message)
            .label("`.missed` for some")
            .help("ask `.missed` of this result, or name another channel with `else`");
    }
    let made = finding(Code::I0510, place(stmt, send), message).label("`.unreachable` for some");
    let other = journey.schema.catalog.channels.iter().find(|(name, other)| {
        &***name != channel && other.address.as_deref() != Some(address) && &*other.class == "letter"
    });
    match (other, &send.channels) {
        (Some((other, _)), ChannelChoice::One(name)) => made
            .help(format!("send it another way then: `send {channel} else {other} …`, or ask `.unreachable`"))
            .suggest(format!("add `else {other}`"), name.span.shrink_to_end(), format!(" else {other}")),
        _ => made.help("ask `.unreachable` of this message, or name another channel with `else`"),
    }
}

// ---------------------------------------------------------------- one after the other

/// Two messages on one channel in the same minute.
fn back_to_back(journey: &mut Journey, sends: &[(At, &Stmt, &Send)]) {
    let mut told: Vec<Span> = Vec::new();
    for (at, stmt, send) in sends.iter().filter(|(_, stmt, _)| !is_wait(stmt)) {
        for next in without_wait(journey, *at) {
            let Some((_, other, second)) = sends.iter().find(|(to, ..)| *to == next) else { continue };
            if other.span == stmt.span || told.contains(&other.span) {
                continue;
            }
            let Some(channel) = shared_channel(send, second) else { continue };
            told.push(other.span);
            let message = format!("a second message on `{channel}` at once, without a wait between");
            journey.out.push(
                finding(Code::W0504, place(other, second), message)
                    .label("right after the other")
                    .related(place(stmt, send), "the first")
                    .help("put both into one message, or a `wait` between them"),
            );
        }
    }
}

/// The sends that follow before anybody waits.
fn without_wait(journey: &Journey, from: At) -> Vec<At> {
    let mut seen = vec![false; journey.graph.nodes.len()];
    let mut open: Vec<At> = journey.graph.nodes[from].out.iter().map(|(to, _)| *to).collect();
    let mut found = Vec::new();
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut seen[at], true) {
            continue;
        }
        match journey.graph.nodes[at].what {
            What::Stmt(stmt) if message_of(stmt).is_some() => {
                found.push(at);
                continue;
            }
            What::Stmt(stmt) if is_wait(stmt) => continue,
            // what could not be read may be a wait
            What::Unread => continue,
            _ => open.extend(journey.graph.nodes[at].out.iter().map(|(to, _)| *to)),
        }
    }
    found.sort_unstable();
    found
}

/// A channel on which both leave; of `else` only the first counts.
fn shared_channel(a: &Send, b: &Send) -> Option<String> {
    let sure = |send: &Send| -> Vec<String> {
        let names = channel_names(&send.channels).iter().map(|name| name.text.clone());
        match &send.channels {
            ChannelChoice::Else(_) => names.take(1).collect(),
            ChannelChoice::Cheapest(all) | ChannelChoice::Preferred(all) => {
                names.filter(|_| all.len() == 1).collect()
            }
            ChannelChoice::One(_) | ChannelChoice::And(_) => names.collect(),
        }
    };
    let others = sure(b);
    sure(a).into_iter().find(|channel| others.contains(channel))
}

/// Two messages with one template on one way.
fn repeated(journey: &mut Journey, sends: &[(At, &Stmt, &Send)]) {
    for (n, (_, stmt, send)) in sends.iter().enumerate() {
        let earlier = sends[..n].iter().find(|(at, first, before)| {
            first.span != stmt.span
                && before.template.joined() == send.template.joined()
                && shared_channel(before, send).is_some()
                && leads(journey, *at, sends[n].0)
        });
        if let Some((_, first, before)) = earlier {
            let message = format!("`{}` can reach one person twice", send.template.joined());
            journey.out.push(
                finding(Code::I0505, place(stmt, send), message)
                    .label("the second time")
                    .related(place(first, before), "the first"),
            );
        }
    }
}

fn leads(journey: &Journey, from: At, to: At) -> bool {
    let mut seen = vec![false; journey.graph.nodes.len()];
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for (next, _) in &journey.graph.nodes[at].out {
            if *next == to {
                return true;
            }
            if !std::mem::replace(&mut seen[*next], true) {
                open.push(*next);
            }
        }
    }
    false
}
