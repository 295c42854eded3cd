//! Test messages other than mail: a text by the gateway of its channel, and a letter as a file.

use std::path::Path;
use std::time::Duration;

use super::{Failure, MARK, Outcome, PATIENCE, Project, Rendered, SendTestArgs, TEST_CODE, Text};
use crate::channels::gateway::{Gateway, Handed, Message, e164};
use crate::channels::letter::{Answer, Letter, address_lines, is_letter};
use crate::channels::message::read_address;
use crate::cli::put::put;
use crate::cli::{Exit, print, serve};
use crate::clock::machine_now;
use crate::engine::program::{Catalog, Channel, Word};
use crate::id::{DeliveryId, Ids};
use crate::value::Type;

/// How a channel is tried, by what it is given for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Mail,
    /// A gateway; whether it takes phone numbers.
    Text(bool),
    /// The name of a file.
    Letter,
}

impl By {
    /// How messages on that channel leave; nothing where none does.
    pub(super) fn of(catalog: &Catalog, name: &Word, channel: &Channel) -> Option<By> {
        if catalog.is_letter(name) {
            return Some(By::Letter);
        }
        let address = channel.address.as_ref().and_then(|name| catalog.attribute(name));
        let is_phone = address.is_some_and(|attribute| *attribute.ty.required() == Type::Phone);
        if channel.is_by_mail() {
            return Some(By::Mail);
        }
        channel.is_by_gateway().then_some(By::Text(is_phone))
    }

    /// Whether that can be an address of it.
    pub(super) fn takes(self, address: &str) -> bool {
        let is_file = address.ends_with(".pdf");
        match self {
            By::Mail => !is_file && read_address(address).is_ok(),
            By::Text(true) => e164(address).is_some(),
            By::Text(false) => !is_file && read_address(address).is_err(),
            By::Letter => is_file,
        }
    }

    /// What it takes, for people.
    pub(super) fn wants(self) -> &'static str {
        match self {
            By::Mail => "an e-mail address",
            By::Text(true) => "a phone number with its country, such as +4930123456",
            By::Text(false) => "an address of its gateway",
            By::Letter => "the name of a file, such as test.pdf",
        }
    }
}

/// Hands a text to the gateway of its channel.
pub(super) async fn text(
    project: &Project,
    (name, channel): (&Word, &Channel),
    args: &SendTestArgs,
    rendered: &Rendered,
) -> Outcome {
    let others = serve::others(&project.config, project.secrets())?;
    let url = others.secrets.resolve(&channel.sends);
    let url = url.map_err(|why| {
        Failure::usage(format!("the secret that names the gateway of `{name}` cannot be had: {why}"))
    })?;
    let gateway = Gateway::parse(url.reveal()).map_err(|why| {
        Failure::usage(format!("the secret that names the gateway of `{name}` cannot be used: {why}"))
    })?;
    let to = e164(&args.address).unwrap_or_else(|| args.address.clone());
    let text = format!("{MARK}{}", rendered.text.trim());
    let receipts = format!("{}/v1/receipts", project.config.public_url());
    let delivery = DeliveryId(Ids::new(0).next(machine_now()));
    let message = Message { delivery, channel: name, to: &to, text: &text, receipts: &receipts };
    let place = project.config.gateways.get(&**name).and_then(|gateway| gateway.id.as_deref());
    let answer = others.guard.ask(gateway.call(&message, PATIENCE)).await;
    match gateway.read_at(answer, place) {
        Handed::Accepted { id } => {
            let id = id.map_or_else(String::new, |id| format!(" The gateway calls it {id}."));
            print(&format!("Sent to {to} by {name}, in {}: \"{text}\".{id}\n", rendered.locale))?;
            Ok(Exit::Fine)
        }
        Handed::Refused { code, text, .. } => {
            let code = code.map_or_else(String::new, |code| format!(" {code}"));
            Err(Failure::world(format!("the gateway refused it:{code} {text}")))
        }
        Handed::Deferred { reason, wait } => {
            let wait = wait.map_or_else(String::new, |wait: Duration| {
                format!("; it asks to wait for {} seconds", wait.as_secs())
            });
            Err(Failure::world(format!("it was not handed over: {reason}{wait}")))
        }
        Handed::Unknown { reason } => {
            Err(Failure::world(format!("it may have left, and the gateway has not said so: {reason}")))
        }
    }
}

/// Writes a letter into a file.
pub(super) fn letter(
    project: &Project,
    channel: &Channel,
    args: &SendTestArgs,
    rendered: &Rendered,
    text: &Text,
) -> Outcome {
    let brand =
        |name: &str| project.config.brand.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let sender: Vec<&str> = [brand("name"), brand("address")].into_iter().flatten().collect();
    let own = channel.address.as_deref().and_then(|name| text.own.get(name));
    let address = match own {
        Some(address) => address_lines(text.name.as_deref(), address),
        None => address_lines(Some("Ada Example"), "1 Example Street\n10115 Berlin"),
    };
    let address = address.map_err(|error| Failure::findings(error.to_string()))?;
    let link = format!("{}/a/test", project.config.public_url());
    let is_answered = channel.abilities.iter().any(|ability| &**ability == "replies");
    let letter = Letter {
        id: DeliveryId(Ids::new(0).next(machine_now())),
        sender: &sender.join(", "),
        address: &address,
        subject: &format!("{MARK}{}", rendered.subject),
        text: &rendered.text,
        language: &rendered.locale,
        answer: is_answered.then_some(Answer { code: TEST_CODE, link: &link }),
    };
    let pdf = letter.write().map_err(|error| Failure::findings(error.to_string()))?;
    let path = Path::new(&args.address);
    put(path, 0o640, &pdf, is_letter)?;
    print(&format!(
        "{} is a letter as the print shop gets it, in {}: \"{}\".\n",
        path.display(),
        rendered.locale,
        letter.subject
    ))?;
    Ok(Exit::Fine)
}
