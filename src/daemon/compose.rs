//! From a leased delivery to the bytes of a mail: values, links, template, message. Deterministic: a retry makes the same bytes.

use serde_json::{Map, Value as Json};

use super::shelf::Writing;
use crate::channels::template::{Links, Rendered, Request};
use crate::channels::{Channel, Outgoing, Prepared};
use crate::engine::program::Catalog;
use crate::link::{Kind, Link, LinkKey, printed_code};
use crate::store::deliveries::{Claimed, Person};
use crate::time::{DAY, Timestamp};

/// Links in a mail are good for so long after it fell due.
const LINKS_LIVE_MS: i64 = 400 * DAY;

/// What composing needs beside the delivery itself.
pub struct Composer {
    pub link_key: LinkKey,
    /// Where links lead, without a slash at the end.
    pub public_url: String,
    /// The project's name, in `Feedback-ID`.
    pub project: String,
}

struct OwnLinks {
    unsubscribe: String,
    confirm: String,
    /// Of a message that asks one.
    survey: Option<String>,
    response: Option<String>,
    response_code: Option<String>,
}

/// Why a message cannot be made; trying again would not help.
pub struct Refusal {
    pub text: String,
    /// The address is at fault.
    pub bad_address: bool,
}

impl Refusal {
    fn new(error: impl std::fmt::Display) -> Refusal {
        Refusal { text: error.to_string(), bad_address: false }
    }
}

impl Composer {
    /// The message as that channel hands it over.
    pub fn compose(
        &self,
        channel_out: &Channel,
        catalog: &Catalog,
        writing: &Writing,
        claimed: &Claimed,
    ) -> Result<Prepared, Refusal> {
        let delivery = &claimed.delivery;
        let nobody = || Refusal { text: "there is no address".to_owned(), bad_address: false };
        let person = claimed.person.as_ref().ok_or_else(nobody)?;
        let address = person.address.as_ref().ok_or_else(nobody)?;
        let links = self.links(catalog, claimed);
        let rendered = self.render_with(catalog, writing, claimed, person, &links)?;
        let name = display_name(person);
        let outgoing = Outgoing {
            delivery: delivery.id,
            address,
            name: name.as_deref(),
            date: delivery.due_at,
            purpose: &delivery.purpose,
            unsubscribe: (!delivery.transactional).then_some(links.unsubscribe.as_str()),
            feedback_id: Some([&delivery.template, &delivery.journey, &delivery.channel, &self.project]),
            rendered: &rendered,
        };
        channel_out
            .prepare(&outgoing)
            .map_err(|error| Refusal { bad_address: error.is_bad_address(), text: error.to_string() })
    }

    /// The texts of the message alone, for channels that need no more.
    pub fn render(
        &self,
        catalog: &Catalog,
        writing: &Writing,
        claimed: &Claimed,
    ) -> Result<Rendered, Refusal> {
        let nobody = || Refusal { text: "there is no address".to_owned(), bad_address: false };
        let person = claimed.person.as_ref().ok_or_else(nobody)?;
        self.render_with(catalog, writing, claimed, person, &self.links(catalog, claimed))
    }

    fn render_with(
        &self,
        catalog: &Catalog,
        writing: &Writing,
        claimed: &Claimed,
        person: &Person,
        links: &OwnLinks,
    ) -> Result<Rendered, Refusal> {
        let delivery = &claimed.delivery;
        let context = context(catalog, writing, claimed, person);
        let click = |target: &str| {
            let kind = Kind::Click { target: target.to_owned() };
            format!("{}/r/{}", self.public_url, self.token(claimed, kind))
        };
        let channel = catalog.channels.get(&delivery.channel);
        let counts_clicks =
            channel.is_some_and(|channel| channel.abilities.iter().any(|ability| &**ability == "clicks"));
        let request = Request {
            template: &delivery.template,
            channel: &delivery.channel,
            locale: Some(&person.locale(catalog)),
            context: &context,
            zone: &person.zone(catalog),
            links: Links {
                unsubscribe: Some(&links.unsubscribe),
                preferences: Some(&links.unsubscribe),
                confirm: Some(&links.confirm),
                browser: None,
                survey: links.survey.as_deref(),
                response: links.response.as_deref(),
                response_code: links.response_code.as_deref(),
            },
            // A confirmation mail is free of tracking (case law on double opt-in).
            counted: (counts_clicks && !delivery.transactional).then_some(&click),
        };
        writing.templates.render(&request).map_err(Refusal::new)
    }

    /// Where a letter is answered.
    pub(super) fn response(&self, code: &str) -> String {
        format!("{}/a/{code}", self.public_url)
    }

    fn links(&self, catalog: &Catalog, claimed: &Claimed) -> OwnLinks {
        let delivery = &claimed.delivery;
        let code = catalog.is_letter(&delivery.channel).then(|| self.link_key.response_code(delivery.id));
        let purpose = delivery.purpose.to_string();
        let unsubscribe =
            self.token(claimed, Kind::Unsubscribe { purpose, channel: delivery.channel.to_string() });
        OwnLinks {
            unsubscribe: format!("{}/u/{unsubscribe}", self.public_url),
            confirm: format!("{}/c/{}", self.public_url, self.token(claimed, Kind::Confirm)),
            survey: catalog
                .surveys
                .contains_key(&delivery.template)
                .then(|| format!("{}/s/{}", self.public_url, self.token(claimed, Kind::Survey))),
            response: code.as_deref().map(|code| self.response(code)),
            response_code: code.as_deref().map(printed_code),
        }
    }

    fn token(&self, claimed: &Claimed, kind: Kind) -> String {
        let expires_at = claimed.first_tried_at.plus_ms(LINKS_LIVE_MS);
        // By the day, so that a retry makes the same link.
        let expires_at = Timestamp(expires_at.0.div_euclid(DAY) * DAY);
        let bucket = u16::try_from(claimed.bucket).unwrap_or(0);
        self.link_key.sign(&Link {
            kind,
            bucket,
            contact: claimed.contact,
            delivery: claimed.delivery.id,
            expires_at,
        })
    }
}

fn context(catalog: &Catalog, writing: &Writing, claimed: &Claimed, person: &Person) -> Json {
    let mut context: Map<String, Json> =
        claimed.delivery.with.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect();
    let attribute = |name: &str| person.attribute(catalog, name).to_json();
    let mut contact: Map<String, Json> =
        catalog.attributes.iter().map(|a| (a.name.to_string(), attribute(&a.name))).collect();
    contact.insert("id".to_owned(), Json::String(claimed.contact.to_string()));
    let brand = writing.brand.iter().map(|(name, text)| (name.clone(), Json::String(text.clone()))).collect();
    context.insert("contact".to_owned(), Json::Object(contact));
    context.insert("brand".to_owned(), Json::Object(brand));
    Json::Object(context)
}

/// The name for the `To` header, if the contact has attributes that look like one. One that carries a line break is left out: no
/// name is worth a smuggled header.
pub(super) fn display_name(person: &Person) -> Option<String> {
    let part = |name: &str| person.attributes.get(name).and_then(|value| value.as_text()).map(str::to_owned);
    let parts: Vec<String> = ["first_name", "last_name"].into_iter().filter_map(part).collect();
    let name = if parts.is_empty() { part("name")? } else { parts.join(" ") };
    (!name.is_empty() && name.len() <= 200 && !name.chars().any(char::is_control)).then_some(name)
}
