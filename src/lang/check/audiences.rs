//! The properties of audiences: whom a network is told of, by what it knows them, and where the list goes.

use std::sync::Arc;

use super::findings::{finding, unknown};
use super::properties::Props;
use crate::diagnostic::Code;
use crate::engine::program::{Audience, Word, secret_of};
use crate::lang::ast::{ExprKind, Name};
use crate::lang::types;
use crate::value::Type;

impl Props<'_, '_, '_, '_> {
    pub(super) fn audience(mut self, name: &Name) -> Audience {
        self.known(&["consent_to", "consent_on", "matches", "sends"]);
        for (prop, label, help) in [
            (
                "consent_to",
                "to what have they agreed?",
                "add `consent_to marketing`, say: who has not agreed to it stays out",
            ),
            (
                "consent_on",
                "on which channel have they agreed to it?",
                "add `consent_on email`, or a channel of its own for this consent: `channel ads {}`",
            ),
            ("matches", "by what does the network know them?", "add `matches [contact.email]`, say"),
            ("sends", "where do they go?", "add `sends \"file\"`: a file for each batch of changes"),
        ] {
            if self.find(prop).is_none() && !self.all.schema.has_mistake(name.span) {
                let message = format!("the audience `{}` has no `{prop}`", name.text);
                self.all.out.push(finding(Code::E0103, name.span, message).label(label).help(help));
            }
        }
        Audience {
            purpose: self.purpose().unwrap_or_else(|| "".into()),
            channel: self.channel_name().unwrap_or_else(|| "".into()),
            matches: self.matches(),
            sends: self.outlet().unwrap_or_else(|| "".into()),
        }
    }

    /// One that needs consent: an audience hands people to somebody else.
    fn purpose(&mut self) -> Option<Word> {
        let purpose = self.word("consent_to", &[])?;
        let span = self.expr("consent_to")?.span;
        let name = Name { text: purpose.to_string(), span };
        if !self.all.schema.catalog.is_purpose(&purpose) {
            if !self.all.schema.is_hidden(&purpose) {
                let all = self.all.schema.catalog.purpose_names();
                self.all.out.push(unknown(Code::E0101, "purpose", &name, all));
            }
            return None;
        }
        if self.all.schema.is_transactional(&purpose) {
            let message = format!("an audience hands people to somebody else, so `{purpose}` is not enough");
            self.all.out.push(
                finding(Code::E0501, span, message)
                    .label("asks nobody for consent")
                    .help("name a purpose that people agree to, such as `marketing`"),
            );
            return None;
        }
        Some(purpose)
    }

    fn channel_name(&mut self) -> Option<Word> {
        let channel = self.word("consent_on", &[])?;
        if !self.all.schema.channels().contains(&&*channel) && !self.all.schema.is_hidden(&channel) {
            let name = Name { text: channel.to_string(), span: self.expr("consent_on")?.span };
            self.all.out.push(unknown(Code::E0101, "channel", &name, self.all.schema.channels()));
        }
        Some(channel)
    }

    fn matches(&mut self) -> Vec<Word> {
        let Some(expr) = self.expr("matches") else { return Vec::new() };
        let ExprKind::List(items) = &expr.kind else {
            self.wrong::<()>(expr.span, "matches", "attributes in brackets, such as `[contact.email]`");
            return Vec::new();
        };
        let mut words: Vec<Word> = Vec::new();
        for item in items {
            let Some((word, ty, span)) = self.attribute(item, "matches") else { continue };
            if words.contains(&word) {
                let message = format!("`{word}` stands twice");
                self.all.out.push(finding(Code::E0102, span, message).label("again"));
            } else if !matches!(ty.required(), Type::Email | Type::Phone) {
                let message = format!("`{word}` is {}, by which no network knows people", types::noun(&ty));
                self.all.out.push(
                    finding(Code::E0103, span, message)
                        .label("not an e-mail address and not a phone number")
                        .help("attributes of type `email` and `phone` are matched"),
                );
            } else {
                words.push(word);
            }
        }
        words
    }

    /// `file`, or the secret that is the address of a network.
    fn outlet(&mut self) -> Option<Arc<str>> {
        let sends = self.text("sends")?;
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if &*sends != "file"
            && !secret_of(&sends).is_some_and(is_name)
            && let Some(expr) = self.expr("sends")
        {
            // The text is not repeated: it may be the secret.
            self.all.out.push(
                finding(Code::E0103, expr.span, "an audience leaves as files, or by calls to an address that is a secret")
                    .label("neither of the two")
                    .help("write `sends \"file\"`, or `sends \"secret:NAME\"` and set FAHRPLAN_SECRET_NAME to the URL"),
            );
        }
        Some(sends)
    }
}
