//! `send cheapest of […]` and `send preferred of […]`: what the choice goes by.

use super::findings::finding;
use super::journey::Journey;
use super::names::channel_names;
use super::schema::Noun;
use crate::diagnostic::{Code, Span};
use crate::lang::ast::{ChannelChoice, Name, Send, Stmt};
use crate::lang::types::noun;
use crate::value::Type;

/// The attribute with the channel that a contact prefers.
pub const PREFERRED: &str = "preferred_channel";

impl Journey<'_, '_> {
    /// What the channels of a send are chosen by, and that each stands once.
    pub(super) fn chosen(&mut self, stmt: &Stmt, send: &Send) {
        self.channels_once(channel_names(&send.channels));
        match &send.channels {
            ChannelChoice::Cheapest(names) => self.costs(names),
            ChannelChoice::Preferred(names) => self.preferred(stmt, names),
            ChannelChoice::One(_) | ChannelChoice::And(_) | ChannelChoice::Else(_) => {}
        }
    }

    pub(super) fn channels_once(&mut self, names: &[Name]) {
        for (n, name) in names.iter().enumerate() {
            if let Some(first) = names[..n].iter().find(|first| first.text == name.text) {
                let message = format!("the channel `{}` stands twice", name.text);
                self.out.push(
                    finding(Code::E0102, name.span, message).label("again").related(first.span, "first here"),
                );
            }
        }
    }

    fn costs(&mut self, names: &[Name]) {
        for name in names {
            let declared = self.schema.declared.get(&(Noun::Channel, name.text.as_str().into()));
            let Some(declared) = declared else { continue };
            if !self.schema.catalog.costs.contains_key(name.text.as_str()) {
                let message = format!("nothing says what a message on `{}` costs", name.text);
                self.out.push(
                    finding(Code::E0103, name.span, message)
                        .label("no `cost`")
                        .related(*declared, "declared here")
                        .help(format!(
                            "add `cost 0.05`, say, to `channel {}` in the schema; what is free has `cost 0`",
                            name.text
                        )),
                );
            }
        }
    }

    fn preferred(&mut self, stmt: &Stmt, names: &[Name]) {
        let place: Span = self.words(stmt.span, 3);
        let Some(attribute) = self.schema.catalog.attribute(PREFERRED) else {
            if !self.schema.is_hidden(PREFERRED) && !self.schema.attributes.contains_key(PREFERRED) {
                let words: Vec<&str> = names.iter().map(|name| &*name.text).collect();
                self.out.push(
                    finding(Code::E0101, place, "no attribute says which channel a contact prefers")
                        .label(format!("goes by `contact.{PREFERRED}`"))
                        .help(format!(
                            "add `{PREFERRED}: one of [{}]?` to `contact {{ … }}`, or name the order: `send {} …`",
                            words.join(", "),
                            words.join(" else ")
                        )),
                );
            }
            return;
        };
        let declared = self.schema.attributes.get(PREFERRED).copied();
        let made = match attribute.ty.required() {
            Type::Text => return,
            Type::OneOf(values) if names.iter().any(|name| values.iter().any(|v| **v == *name.text)) => {
                return;
            }
            Type::OneOf(values) => {
                let message =
                    format!("nobody can prefer one of these: `contact.{PREFERRED}` is never one of them");
                finding(Code::E0104, place, message)
                    .label("always as written")
                    .help(format!("possible are {}", values.join(", ")))
            }
            other => {
                let message = format!("`contact.{PREFERRED}` is {} and cannot name a channel", noun(other));
                finding(Code::E0103, place, message)
                    .label("neither a text nor a listed value")
                    .help(format!("declare it as `{PREFERRED}: one of [email, sms]?`, say"))
            }
        };
        self.out.push(match declared {
            Some(declared) => made.related(declared, "declared here"),
            None => made,
        });
    }
}
