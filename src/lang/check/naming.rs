//! Files of templates by their names: what each is for, and what a name that says nothing was meant to be.

use std::collections::BTreeSet;

use super::findings::finding;
use super::schema::{Noun, Schema};
use crate::diagnostic::{Code, Diagnostic, FileId, Span, suggest};
use crate::engine::program::Word;
use crate::value::Type;

/// Parts of a template as they are written.
pub(super) const PARTS: [&str; 5] = ["subject", "preheader", "html", "text", "txt"];

/// What people call parts.
const COLLOQUIAL: [(&str, &str); 4] =
    [("body", "html"), ("htm", "html"), ("plain", "text"), ("title", "subject")];

/// What the path of a file says: `welcome/email.de.subject.hbs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filed {
    pub(super) name: Word,
    pub(super) channel: Word,
    pub(super) locale: String,
    pub(super) part: &'static str,
}

impl Filed {
    /// Reads a path that is as it should be.
    pub(super) fn read(path: &str) -> Option<Filed> {
        let (name, file) = path.strip_suffix(".hbs")?.split_once('/')?;
        let mut fields = file.split('.');
        let (channel, locale, part) = (fields.next()?, fields.next()?, fields.next()?);
        let part = part_named(part)?;
        let whole = fields.next().is_none() && !name.is_empty() && !channel.is_empty() && !locale.is_empty();
        whole.then(|| Filed { name: name.into(), channel: channel.into(), locale: locale.to_owned(), part })
    }

    /// The name of the file, without the folder.
    pub(super) fn file_name(&self) -> String {
        format!("{}.{}.{}.hbs", self.channel, self.locale, self.part)
    }
}

fn part_named(part: &str) -> Option<&'static str> {
    let part = PARTS.iter().find(|known| **known == part)?;
    Some(if *part == "txt" { "text" } else { part })
}

/// The channels and languages that names of files can speak of.
pub(super) struct Known<'a> {
    channels: Vec<&'a str>,
    /// All languages that a contact may have, or that stand in for one; `None`: any.
    languages: Option<BTreeSet<String>>,
}

impl<'a> Known<'a> {
    pub(super) fn new(schema: &'a Schema) -> Known<'a> {
        let unread = schema.cut_off || !schema.damaged.is_empty();
        let languages = languages(schema).filter(|_| !unread);
        Known { channels: schema.names(Noun::Channel).collect(), languages }
    }

    pub(super) fn has_language(&self, locale: &str) -> bool {
        self.languages.as_ref().is_none_or(|all| all.contains(locale))
    }

    /// A channel that is written almost like one of the schema.
    pub(super) fn is_near_channel(&self, channel: &str) -> bool {
        !self.channels.contains(&channel) && self.channel(channel).is_some()
    }

    fn channel(&self, word: &str) -> Option<&'a str> {
        let lower = word.to_lowercase();
        let same = self.channels.iter().find(|known| known.to_lowercase() == lower).copied();
        same.or_else(|| suggest::did_you_mean(&lower, self.channels.iter().copied()))
    }

    fn language(&self, word: &str) -> Option<String> {
        let word = word.replace('_', "-");
        match &self.languages {
            Some(all) => all.iter().find(|known| known.eq_ignore_ascii_case(&word)).cloned(),
            None => (word.len() == 2 || word.as_bytes().get(2) == Some(&b'-')).then(|| word.to_lowercase()),
        }
    }

    /// What a path was probably meant to be.
    pub(super) fn meant(&self, path: &str) -> Option<Filed> {
        let (name, file) = path.split_once('/')?;
        let mut fields: Vec<&str> = file.split(['.', ' ']).collect();
        // `email_de.html.hbs`
        if let Some((channel, locale)) = fields[0].split_once(['_', '-'])
            && !self.channels.contains(&fields[0])
            && self.language(locale).is_some()
        {
            fields.splice(0..1, [channel, locale]);
        }
        let [channel, locale, part, ..] = fields.as_slice() else { return None };
        let part = part.to_lowercase();
        let colloquial = COLLOQUIAL.iter().find(|(word, _)| *word == part).map(|(_, part)| *part);
        let near = || suggest::did_you_mean(&part, PARTS).and_then(part_named);
        Some(Filed {
            name: name.into(),
            channel: self.channel(channel)?.into(),
            locale: self.language(locale)?,
            part: part_named(&part).or(colloquial).or_else(near)?,
        })
    }

    /// What can stand for the language, for messages.
    pub(super) fn languages(&self) -> String {
        self.languages.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// The languages of `contact.locale`, of the project and of the fallbacks, each with its language without the country.
fn languages(schema: &Schema) -> Option<BTreeSet<String>> {
    let attribute = schema.catalog.attribute("locale")?;
    let Type::OneOf(values) = attribute.ty.required() else { return None };
    let settings = &schema.input.settings;
    let mut all: BTreeSet<String> = values.iter().map(|value| value.to_string()).collect();
    all.insert(settings.locale.clone());
    for (locale, others) in &settings.fallbacks {
        all.insert(locale.clone());
        all.extend(others.iter().cloned());
    }
    let short: Vec<String> =
        all.iter().filter_map(|locale| locale.split_once('-')).map(|(short, _)| short.to_owned()).collect();
    all.extend(short);
    Some(all)
}

/// E0807: a file that no message is made from.
pub(super) fn no_template(file: FileId, path: &str, meant: Option<&Filed>, is_there: bool) -> Diagnostic {
    let own = path.rsplit('/').next().unwrap_or(path);
    let made = finding(
        Code::E0807,
        Span::at(file, 0),
        format!("`{own}` is not the name of a template, so nobody gets it"),
    );
    match meant {
        Some(meant) if is_there => {
            made.help(format!("`{}` is there too: remove one of the two", meant.file_name()))
        }
        Some(meant) => made.help(format!("was `{}` meant?", meant.file_name())),
        None => made.help(
            "name it `NAME/CHANNEL.LOCALE.PART.hbs`, such as `welcome/email.de.subject.hbs`; parts are subject, preheader, html, text",
        ),
    }
}

/// E0802 at the schema: the language that stands in for all others is one that nobody writes.
pub(super) fn no_project_language(schema: &Schema, written: &BTreeSet<&str>) -> Option<Diagnostic> {
    let project = schema.input.settings.locale.as_str();
    let place = schema.attributes.get("locale")?;
    let Type::OneOf(values) = schema.catalog.attribute("locale")?.ty.required() else { return None };
    let chain = crate::lang::template::LocaleChain {
        project: project.to_owned(),
        fallbacks: schema.input.settings.fallbacks.clone(),
    };
    if values.iter().any(|value| &**value == project)
        || written.is_empty()
        || chain.choose(None, |locale| written.contains(locale)).is_some()
    {
        return None;
    }
    let all: Vec<&str> = values.iter().map(|value| &**value).collect();
    let message = format!("the language of the project is `{project}`, and no template is written in it");
    Some(
        finding(Code::E0802, *place, message)
            .label(format!("contacts speak {}", all.join(", ")))
            .help(format!("set `locale` in fahrplan.toml, `[project]`, to one of {}", all.join(", "))),
    )
}
