//! `ask`: who can be asked on which channel, and the message that an `ask` is made of.

use std::borrow::Cow;

use super::findings::{finding, unknown};
use super::journey::Journey;
use super::names::channel_names;
use super::narrow::Facts;
use super::schema::{Noun, PHONE, Schema};
use super::templates::Variant;
use crate::diagnostic::{Code, Span};
use crate::engine::program::Channel;
use crate::lang::ast::{Ask, ChannelChoice, Name, Send, Stmt, StmtKind};

/// The message of a statement: a `send` as it stands, an `ask` as a send of the template that is called like its survey,
/// on all its channels.
pub(super) fn message_of(stmt: &Stmt) -> Option<Cow<'_, Send>> {
    match &stmt.kind {
        StmtKind::Send(send) => Some(Cow::Borrowed(send)),
        StmtKind::Ask(ask) => Some(Cow::Owned(as_send(ask, ask.channels.clone()))),
        _ => None,
    }
}

/// The same on the channels alone on which one can answer a message; `None` where there is none.
pub(super) fn written_message_of<'s>(schema: &Schema, stmt: &'s Stmt) -> Option<Cow<'s, Send>> {
    let StmtKind::Ask(ask) = &stmt.kind else { return message_of(stmt) };
    let written = |name: &&Name| match schema.catalog.channels.get(name.text.as_str()) {
        Some(channel) => &*channel.class == "message",
        None => name.text != PHONE,
    };
    let mut names: Vec<Name> = channel_names(&ask.channels).iter().filter(written).cloned().collect();
    let channels = match (names.len(), &ask.channels) {
        (0, _) => return None,
        (1, _) => ChannelChoice::One(names.remove(0)),
        (_, ChannelChoice::And(_)) => ChannelChoice::And(names),
        _ => ChannelChoice::Else(names),
    };
    Some(Cow::Owned(as_send(ask, channels)))
}

fn as_send(ask: &Ask, channels: ChannelChoice) -> Send {
    Send {
        channels,
        template: ask.survey.clone(),
        to: None,
        with: ask.with.clone(),
        purpose: ask.purpose.clone(),
        before: None,
        doubt: None,
        name: ask.name.clone(),
    }
}

impl<'a> Journey<'_, 'a> {
    pub(super) fn question(&mut self, stmt: &'a Stmt, ask: &'a Ask, facts: Facts) {
        let survey = Name { text: ask.survey.joined(), span: ask.survey.span };
        if !self.schema.has(Noun::Survey, &survey.text) && !self.schema.is_hidden(&survey.text) {
            let made = unknown(Code::E0101, "survey", &survey, self.schema.names(Noun::Survey));
            self.out.push(match self.schema.has(Noun::Task, &survey.text) {
                true => made.help(format!("`{0}` is a task: `call {0} by TEAM up to 2 days`", survey.text)),
                false => made,
            });
        }
        self.channels_of(ask);
        match &ask.limit {
            Some(limit) => self.length(limit),
            None => self.out.push(
                finding(
                    Code::E0509,
                    self.words(stmt.span, 2),
                    "this ask has no limit: whoever never answers waits for ever",
                )
                .label("until when?")
                .help("add `up to 7 days`, say; who has not answered by then is `.missed`"),
            ),
        }
        self.with(ask.with.as_ref(), &facts);
        let purpose = self.purpose_of(&as_send(ask, ask.channels.clone()));
        if let Some(purpose) = purpose {
            self.purposes.insert(stmt.span, purpose);
        }
    }

    /// Channels on which one can answer; somebody who speaks with the contact stands last.
    fn channels_of(&mut self, ask: &Ask) {
        let names = channel_names(&ask.channels);
        self.channels_once(names);
        let at_once = matches!(ask.channels, ChannelChoice::And(_));
        for (n, name) in names.iter().enumerate() {
            let Some(channel) = self.schema.catalog.channels.get(name.text.as_str()) else {
                self.unknown_channel(name);
                continue;
            };
            self.uses_channel(&name.text);
            let made = match &*channel.class {
                "letter" => Some(
                    finding(Code::E0103, name.span, format!("nobody can answer on `{}`", name.text))
                        .label("a letter")
                        .help(
                            "ask on a channel of class `message` or `task`, and write a letter with `send`",
                        ),
                ),
                "task" if at_once => Some(
                    finding(
                        Code::E0103,
                        name.span,
                        format!("on `{}` a team asks, which goes with no other channel at once", name.text),
                    )
                    .label("not with `and`")
                    .help(format!("let the team ask whom nothing else reaches: `… else {}`", name.text)),
                ),
                "task" if n + 1 < names.len() => Some(
                    finding(
                        Code::E0103,
                        name.span,
                        format!("on `{}` a team asks, so nothing comes after it", name.text),
                    )
                    .label("only as the last")
                    .help(format!("put it at the end: `… else {}`", name.text)),
                ),
                "task" if channel.team().is_none() => Some(
                    finding(Code::E0509, name.span, format!("nobody is named who asks on `{}`", name.text))
                        .label("which team?")
                        .help(format!("add `team TEAM` to `channel {}` in the schema", name.text)),
                ),
                _ => None,
            };
            let place = self.schema.declared.get(&(Noun::Channel, name.text.as_str().into()));
            if let Some(made) = made {
                let made = match place {
                    Some(place) => made.related(*place, "declared here"),
                    None => made,
                };
                self.out.push(made);
            }
        }
    }

    pub(super) fn unknown_channel(&mut self, name: &Name) {
        if self.schema.is_hidden(&name.text) {
            return;
        }
        let all: Vec<&str> = self.schema.catalog.channels.keys().map(|name| &**name).collect();
        let made = unknown(Code::E0101, "channel", name, all);
        let is_team = self.schema.has(Noun::Team, &name.text);
        self.out.push(match name.text.as_str() {
            word @ ("cheapest" | "preferred") => {
                made.help(format!("it looks like this: `send {word} of [email, sms] TEMPLATE`"))
            }
            PHONE => made.help("declare it with the team that asks: `channel phone { class task, team TEAM }`"),
            team if is_team => made.help(format!(
                "`{team}` is a team: `ask` names its channel, which is declared as `channel phone {{ class task, team {team} }}`"
            )),
            _ => made,
        });
    }

    /// E0101: a question to which no way of an answer leads: no link to the survey, and replies are not read.
    pub(super) fn can_answer(&mut self, stmt: &Stmt, ask: &Ask, channel: &Name, variant: &Variant) {
        let reads = |channel: &Channel| channel.abilities.iter().any(|ability| &**ability == "replies");
        let declared = self.schema.catalog.channels.get(channel.text.as_str());
        let leads = |path: &[String]| path[0] == "links" && path.get(1).is_some_and(|name| name == "survey");
        // A misspelt link is told by itself, and may be the one.
        let misspelt = |path: &[String]| path[0] == "links" && super::supply::is_no_link(path);
        let answered = variant.uses().any(|used| leads(&used.path) || misspelt(&used.path));
        if variant.damaged || answered || declared.is_none_or(reads) {
            return;
        }
        let survey = ask.survey.joined();
        let message =
            format!("nobody can answer `{survey}` by {}: its template has no link to it", channel.text);
        let place = Span::new(stmt.span.file, stmt.span.start, ask.survey.span.end);
        self.out.push(
            finding(Code::E0101, channel.span, message)
                .label("no way to answer")
                .related(place, "asked here")
                .help(format!(
                    "add `{{{{links.survey}}}}` to the template; if answers come as replies, add `replies` to the abilities of `{}`",
                    channel.text
                )),
        );
    }
}
