//! `fahrplan send-test`: one real message of a template to one address, marked as a test: a mail, a text, or a letter as a file.
//!
//! Written from the files as they lie there and handed over by the same code as every other message. It belongs to no contact
//! and no journey: nothing is asked for consent or caps, nothing is written down, and links to our own pages lead nowhere.

mod others;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;

use self::others::By;
use super::load::Project;
use super::{Exit, Failure, Outcome, SendTestArgs, block_on, open, print, serve, world};
use crate::channels::email::Email;
use crate::channels::message::read_address;
use crate::channels::smtp::SendResult;
use crate::channels::template::{Links, RenderError, Rendered, Request, Templates};
use crate::channels::{Channel, Outgoing};
use crate::clock::machine_now;
use crate::diagnostic::suggest;
use crate::engine::policy;
use crate::engine::program::{StepKind, Word};
use crate::id::{DeliveryId, Ids};
use crate::intake::samples::sample;
use crate::lang::{Compilation, check};
use crate::store::contacts::{self, Contact};
use crate::store::{Access, Store};
use crate::value::{Type, Value, from_json};

/// Before the subject.
const MARK: &str = "[Test] ";
/// Where the code of an answer would stand.
const TEST_CODE: &str = "TEST-TEST-TEST";

/// How long the relay or the gateway may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Samples that are exchanged for others because the template cannot write them.
const EXCHANGES: usize = 64;

/// Runs the command.
pub fn run(args: &SendTestArgs) -> Outcome {
    block_on(send(args))
}

async fn send(args: &SendTestArgs) -> Outcome {
    let project = Project::of(&[])?;
    let switch = project.switch();
    if switch.symlink_metadata().is_ok() {
        let message = format!("nothing leaves this machine while {} is there", switch.display());
        return Err(Failure::usage(message).help("remove it if sending may go on"));
    }
    let compiled = project.compile();
    let templates = compile(&project, &args.template)?;
    let channels = channels(&project, &compiled, &templates, args)?;
    let contact = match &args.contact {
        Some(key) => Some(find(&project, key).await?),
        None => None,
    };
    let mut text = Text::of(&project, &compiled, args, contact.as_ref())?;
    for (name, by) in channels {
        let mut rendered = text.render(&templates, &args.template, &name)?;
        let channel = &compiled.catalog.channels[&name];
        match by {
            By::Mail => {
                let sender = serve::smtp(&project.config)?;
                let way = Channel::Email(Box::new(Email::new(sender, serve::sender_of(&project.config)?)));
                rendered.subject = format!("{MARK}{}", rendered.subject);
                let outcome = hand_over(&way, &project, &compiled, args, &rendered).await;
                way.close().await;
                outcome?;
            }
            By::Text(_) => drop(others::text(&project, (&name, channel), args, &rendered).await?),
            By::Letter => drop(others::letter(&project, channel, args, &rendered, &text)?),
        }
    }
    Ok(Exit::Fine)
}

/// The templates of the project as they lie there; only a mistake in what this one is made of matters.
fn compile(project: &Project, template: &str) -> Result<Templates, Failure> {
    let all = super::deploy::templates(project);
    let (templates, errors) = Templates::compile(all.files.clone(), all.chain());
    let concerns = |path: &str| path.starts_with("_parts/") || path.split('/').next() == Some(template);
    match errors.iter().find(|error| concerns(&error.path)) {
        None => Ok(templates),
        Some(error) => Err(Failure::findings(format!("templates/{}: {}", error.path, error.message))
            .help("`fahrplan check` lists every finding with its place")),
    }
}

/// The channels of the template that such an address belongs to.
fn channels(
    project: &Project,
    compiled: &Compilation,
    templates: &Templates,
    args: &SendTestArgs,
) -> Result<Vec<(Word, By)>, Failure> {
    let (template, address) = (&*args.template, &*args.address);
    let all = compiled.catalog.channels.iter().filter(|(name, _)| templates.has_any(template, name));
    let (mut ways, mut nowhere) = (Vec::new(), None);
    for (name, channel) in all {
        match By::of(&compiled.catalog, name, channel) {
            Some(by) => ways.push((name.clone(), by)),
            None => nowhere = Some(name),
        }
    }
    if ways.is_empty() {
        if let Some(name) = nowhere {
            return Err(Failure::not_available(&format!("a test message on {name}")));
        }
        let folders = project.input.templates.keys().filter_map(|path| Some(path.split_once('/')?.0));
        let names: BTreeSet<&str> = folders.filter(|folder| !folder.starts_with('_')).collect();
        let question = suggest::question(template, names);
        let failure = Failure::usage(format!("there is no template `{template}`{question}"));
        return Err(failure.help("give the name of a folder below `templates/`"));
    }
    let fitting: Vec<_> = ways.iter().filter(|(_, by)| by.takes(address)).cloned().collect();
    if !fitting.is_empty() {
        return Ok(fitting);
    }
    if let (true, Err(error)) = (ways.iter().all(|(_, by)| *by == By::Mail), read_address(address)) {
        return Err(Failure::usage(format!("`{address}`: {error}")));
    }
    let wants: Vec<String> = ways.iter().map(|(name, by)| format!("on {name}, {}", by.wants())).collect();
    Err(Failure::usage(format!("nothing of `{template}` goes to `{address}`"))
        .help(format!("it takes {}", wants.join("; "))))
}

async fn find(project: &Project, key: &str) -> Result<Contact, Failure> {
    let store: Store = open(project, Access::Look).await?;
    let found = contacts::by_key(&mut store.read().await.map_err(world)?, key).await.map_err(world);
    store.close().await;
    found?.ok_or_else(|| super::contact::nobody(key))
}

async fn hand_over(
    way: &Channel,
    project: &Project,
    compiled: &Compilation,
    args: &SendTestArgs,
    rendered: &Rendered,
) -> Outcome {
    let now = machine_now();
    let purpose = purpose(compiled, &args.template);
    let nowhere = format!("{}/u/test", project.config.public_url());
    let outgoing = Outgoing {
        delivery: DeliveryId(Ids::new(0).next(now)),
        address: &args.address,
        name: None,
        date: now,
        purpose: purpose.as_deref().unwrap_or(policy::TRANSACTIONAL),
        unsubscribe: purpose.is_some().then_some(nowhere.as_str()),
        feedback_id: None,
        rendered,
    };
    let prepared = way.prepare(&outgoing).map_err(|error| Failure::findings(error.to_string()))?;
    let bytes = prepared.marked_as_test();
    match way.send(&bytes, Instant::now() + PATIENCE).await {
        SendResult::Accepted { reply } => {
            print(&format!(
                "Sent to {}, in {}: \"{}\". The mail server says: {reply}\n",
                args.address, rendered.locale, rendered.subject
            ))?;
            Ok(Exit::Fine)
        }
        SendResult::Refused { code, text, .. } => {
            Err(Failure::world(format!("the mail server refused it: {code} {text}")))
        }
        SendResult::Deferred { phase, reason, .. } => {
            Err(Failure::world(format!("it was not handed over ({phase}): {reason}")))
        }
        SendResult::Unknown { reason } => {
            Err(Failure::world(format!("it may have left, and the mail server has not said so: {reason}")))
        }
    }
}

/// The purpose under which some journey sends it; nothing where it is transactional, or no journey sends it.
fn purpose(compiled: &Compilation, template: &str) -> Option<Word> {
    let transactional: Word = policy::TRANSACTIONAL.into();
    let steps = compiled.programs.iter().flat_map(|program| &program.steps);
    let send = steps
        .filter_map(|step| match &step.kind {
            StepKind::Send(send) => Some(send),
            _ => None,
        })
        .find(|send| *send.template == *template)?;
    let purpose = policy::purpose_of(&compiled.catalog, send, &transactional);
    (!policy::is_transactional(&compiled.catalog, purpose)).then(|| purpose.clone())
}

/// What the message is written with.
struct Text {
    context: Map<String, Json>,
    locale: String,
    zone: String,
    /// Where own links lead: nowhere.
    nowhere: String,
    /// Of the contact that it is written with: texts of its attributes, and the name.
    own: BTreeMap<Word, String>,
    name: Option<String>,
}

impl Text {
    fn of(
        project: &Project,
        compiled: &Compilation,
        args: &SendTestArgs,
        contact: Option<&Contact>,
    ) -> Result<Text, Failure> {
        let catalog = &compiled.catalog;
        let types = check::supplied_to(&compiled.files, &compiled.checked.exprs, &args.template);
        let mut context: Map<String, Json> =
            types.iter().map(|(name, ty)| (name.to_string(), sample(name, ty).to_json())).collect();
        context.extend(given(args.with.as_deref(), &types)?);
        let mut person: Map<String, Json> = Map::new();
        for attribute in &catalog.attributes {
            let own = contact.and_then(|contact| contact.attributes.get(&attribute.name));
            let value = match (own.filter(|value| value.is_known()), contact) {
                (Some(value), _) => value.to_json(),
                (None, None) if !attribute.default.is_known() => {
                    sample(&attribute.name, &attribute.ty).to_json()
                }
                (None, _) => attribute.default.to_json(),
            };
            person.insert(attribute.name.to_string(), value);
        }
        let word = |ty: Type, default: &Word| {
            let attribute = catalog.attributes.iter().find(|attribute| *attribute.ty.required() == ty);
            let own = contact.and_then(|contact| contact.attributes.get(&attribute?.name));
            own.and_then(Value::as_text).unwrap_or(default).to_owned()
        };
        let locale = word(Type::Locale, &catalog.locale);
        let zone = word(Type::Timezone, &catalog.zone);
        if contact.is_none() {
            let is = |ty: &Type| catalog.attributes.iter().find(|attribute| *attribute.ty.required() == *ty);
            for (ty, value) in [(Type::Locale, &locale), (Type::Timezone, &zone)] {
                if let Some(attribute) = is(&ty) {
                    person.insert(attribute.name.to_string(), json!(value));
                }
            }
        }
        let id = contact.map_or_else(|| "ct_0000000000000".to_owned(), |contact| contact.id.to_string());
        person.insert("id".to_owned(), Json::String(id));
        let brand = project.config.brand.iter().map(|(name, text)| (name.clone(), json!(text)));
        context.insert("contact".to_owned(), Json::Object(person));
        context.insert("brand".to_owned(), Json::Object(brand.collect()));
        let attributes = contact.map(|contact| &contact.attributes);
        let texts = attributes.into_iter().flatten();
        let own: BTreeMap<Word, String> =
            texts.filter_map(|(name, value)| Some((name.clone(), value.as_text()?.to_owned()))).collect();
        let names: Vec<&str> = ["first_name", "last_name"]
            .iter()
            .filter_map(|name| own.get(*name))
            .map(String::as_str)
            .collect();
        let name = if names.is_empty() { own.get("name").cloned() } else { Some(names.join(" ")) };
        Ok(Text { context, locale, zone, nowhere: project.config.public_url(), own, name })
    }

    /// The texts on that channel. A sample that the template cannot write there becomes a link: only that is particular.
    fn render(&mut self, templates: &Templates, template: &str, channel: &str) -> Result<Rendered, Failure> {
        let [unsubscribe, confirm, survey, response] =
            ["u", "c", "s", "a"].map(|page| format!("{}/{page}/test", self.nowhere));
        let mut exchanged = 0;
        loop {
            let context = Json::Object(self.context.clone());
            let made = templates.render(&Request {
                template,
                channel,
                locale: Some(&self.locale),
                context: &context,
                zone: &self.zone,
                links: Links {
                    unsubscribe: Some(&unsubscribe),
                    preferences: Some(&unsubscribe),
                    confirm: Some(&confirm),
                    browser: None,
                    survey: Some(&survey),
                    response: Some(&response),
                    response_code: Some(TEST_CODE),
                },
                counted: None,
            });
            match made {
                Ok(rendered) => return Ok(rendered),
                Err(RenderError::Unfit { variable, .. })
                    if exchanged < EXCHANGES && become_link(&mut self.context, &variable) =>
                {
                    exchanged += 1;
                }
                Err(error) => {
                    let help = "give values with --with '{\"name\": …}', or a contact with --contact";
                    return Err(Failure::findings(error.to_string()).help(help));
                }
            }
        }
    }
}

/// Puts a link in the place of a sample text; not of what somebody gave.
fn become_link(context: &mut Map<String, Json>, variable: &str) -> bool {
    let mut parts = variable.split('.');
    let mut value = parts.next().and_then(|first| context.get_mut(first));
    for part in parts {
        value = value.and_then(|value| value.get_mut(part));
    }
    match value {
        Some(Json::String(text)) if text.starts_with('[') => {
            *text = format!("https://example.com/{}", text.trim_matches(['[', ']']));
            true
        }
        _ => false,
    }
}

/// The values of `--with`, each of its type where a journey tells one.
fn given(with: Option<&str>, types: &BTreeMap<Word, Type>) -> Result<Map<String, Json>, Failure> {
    let mut values = super::enroll::object(with)?;
    for (name, value) in &mut values {
        let Some(ty) = types.get(name.as_str()) else {
            if types.is_empty() {
                continue;
            }
            let question = suggest::question(name, types.keys().map(|name| &**name));
            let failure = Failure::usage(format!("no journey supplies `{name}` to this template{question}"));
            let names: Vec<&str> = types.keys().map(|name| &**name).collect();
            return Err(failure.help(format!("it is given: {}", names.join(", "))));
        };
        let read = from_json(ty, value).map_err(|misfit| {
            let place = if misfit.path.is_empty() { name.clone() } else { format!("{name}.{}", misfit.path) };
            Failure::usage(format!("`{place}` of --with: {}", misfit.message))
        })?;
        *value = read.to_json();
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_becomes_a_link_and_what_was_given_stays() {
        let mut context = Map::from_iter([
            ("link".to_owned(), json!("[link]")),
            ("own".to_owned(), json!("nonsense")),
            ("contact".to_owned(), json!({ "page": "[page]" })),
        ]);
        assert!(become_link(&mut context, "link") && become_link(&mut context, "contact.page"));
        assert!(!become_link(&mut context, "own") && !become_link(&mut context, "nothing"));
        assert_eq!(
            (&context["link"], &context["contact"]["page"]),
            (&json!("https://example.com/link"), &json!("https://example.com/page"))
        );
    }
}
