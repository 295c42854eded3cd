//! Sections with the environment laid over them: `FAHRPLAN_SECTION_KEY` is stronger than the file.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::{PREFIX, Problem, SECTIONS};
use crate::diagnostic::did_you_mean;

/// Reads section after section, with the environment laid over it.
pub(super) struct Reader<'a> {
    sections: BTreeMap<&'a str, Spanned<DeValue<'a>>>,
    environment: &'a BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        sections: BTreeMap<&'a str, Spanned<DeValue<'a>>>,
        environment: &'a BTreeMap<String, String>,
        problems: Vec<Problem>,
    ) -> Reader<'a> {
        Reader { sections, environment, problems }
    }

    /// All mistakes, those in the names of variables too.
    pub(super) fn end(self) -> Vec<Problem> {
        let mut problems = self.problems;
        problems.extend(misspelled_variables(self.environment));
        problems
    }

    pub(super) fn section<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        let value =
            self.sections.remove(name).unwrap_or_else(|| Spanned::new(0..0, DeValue::Table(DeTable::new())));
        let plain = toml::Table::deserialize(ValueDeserializer::from(value.clone()));
        let read = match T::deserialize(ValueDeserializer::from(value)) {
            Ok(read) => read,
            Err(error) => {
                self.problems.push(Problem::reworded(name, &error));
                return T::default();
            }
        };
        let overrides = overrides(name, self.environment);
        match plain {
            Ok(table) if !overrides.is_empty() => self.overridden(table, &overrides).unwrap_or(read),
            _ => read,
        }
    }

    /// The section with the variables laid over it, one by one, so that a mistake is told of its variable.
    fn overridden<T: DeserializeOwned>(
        &mut self,
        mut table: toml::Table,
        overrides: &[(&str, String, &str)],
    ) -> Option<T> {
        let mut read = None;
        for (variable, key, text) in overrides {
            let mut error = None;
            let fits = candidates(text).into_iter().find_map(|value| {
                let mut with = table.clone();
                with.insert(key.clone(), value);
                match T::deserialize(toml::Value::Table(with.clone())) {
                    Ok(section) => Some((with, section)),
                    Err(why) => {
                        error.get_or_insert(why);
                        None
                    }
                }
            });
            match fits {
                Some((with, section)) => (table, read) = (with, Some(section)),
                None => {
                    let why = error.map_or(String::new(), |error| error.message().to_owned());
                    let near = nearest(variable.strip_prefix(PREFIX).unwrap_or(variable));
                    self.problems.push(Problem::of_variable(variable, &why, near));
                }
            }
        }
        read
    }
}

/// The variables of a section: name, key, text.
fn overrides<'a>(
    section: &str,
    environment: &'a BTreeMap<String, String>,
) -> Vec<(&'a str, String, &'a str)> {
    // Names of locales have hyphens, which no variable can have; sources have keys below their names.
    if matches!(section, "locales" | "sources" | "gateways") {
        return Vec::new();
    }
    let prefix = format!("{PREFIX}{}_", section.to_uppercase());
    let of_section = |(name, text): (&'a String, &'a String)| {
        let key = name.strip_prefix(&prefix).filter(|key| !key.is_empty())?;
        Some((name.as_str(), key.to_lowercase(), text.as_str()))
    };
    environment.iter().filter_map(of_section).collect()
}

/// What the text of a variable may mean: a number, or a text. Both are tried; the key's type decides.
fn candidates(text: &str) -> Vec<toml::Value> {
    let number = text.parse().map(toml::Value::Integer).ok();
    number.into_iter().chain([toml::Value::String(text.to_owned())]).collect()
}

/// Variables that begin like ours and that are nearly, but not quite, one that we know. What is far from all of ours may
/// belong to somebody else and is left alone.
fn misspelled_variables(environment: &BTreeMap<String, String>) -> Vec<Problem> {
    let ours = environment.keys().filter_map(|name| Some((name, name.strip_prefix(PREFIX)?)));
    let known = |rest: &str| {
        rest == "LOG"
            || rest.starts_with("SECRET_")
            || SECTIONS.iter().any(|section| rest.starts_with(&format!("{}_", section.to_uppercase())))
    };
    let problem = |(name, rest): (&String, &str)| {
        let section = rest.split('_').next().unwrap_or(rest).to_lowercase();
        let of_section = || Some(format!("{}_…", did_you_mean(&section, SECTIONS)?.to_uppercase()));
        let near = nearest(rest).map(str::to_owned).or_else(of_section)?;
        let message = format!("the environment variable `{name}` belongs to no section");
        let help = format!("did you mean `{PREFIX}{near}`?");
        Some(Problem { place: None, message, help: Some(help) })
    };
    ours.filter(|(_, rest)| !known(rest)).filter_map(problem).collect()
}

/// Our variables, without what all begin with; those of `[brand]` and `[secrets]` are named by whoever sets them.
pub(super) const VARIABLES: [&str; 17] = [
    "CALENDAR_HOLIDAYS",
    "CALENDAR_REGION",
    "DATABASE_URL",
    "HTTP_LISTEN",
    "HTTP_PER_ADDRESS",
    "HTTP_PER_KEY",
    "HTTP_PUBLIC_URL",
    "LOG",
    "PROJECT_LOCALE",
    "PROJECT_NAME",
    "PROJECT_ZONE",
    "REQUESTS_ALLOW",
    "SMTP_CONNECTIONS",
    "SMTP_FROM",
    "SMTP_REPLY_TO",
    "SMTP_RETURN_PATH",
    "SMTP_URL",
];

/// The variable that was meant, if one is near.
fn nearest(rest: &str) -> Option<&'static str> {
    did_you_mean(rest, VARIABLES)
}
