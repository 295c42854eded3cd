//! Templates: from the files of a project to the texts of one message.
//!
//! `compile` reads all files once: parts are put in their place, every value is sent through a guard that fits the
//! place where it stands (`lang::template::Place`), and the plain text is made where none is written. `render` is
//! deterministic: the same template, context and links make the same bytes.
//!
//! Strict: a value that is missing stops the message and names the variable; only `{{#if}}`, `{{#unless}}`,
//! `{{#each}}`, `{{#with}}` and `default` may ask about one that is null, and none may ask about one that nobody
//! supplied. Handlebars' own log helper is gone, and its debug lines hold values: the program's log leaves out
//! `handlebars`.

mod compile;
mod entities;
mod formats;
mod helpers;
mod links;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use handlebars::{Context, RenderErrorReason};
use serde_json::{Map, Value as Json};

use crate::lang::template::LocaleChain;
use helpers::{Problem, Registry, ZONE, told_by};

/// The most that one part of a message may come to.
const LARGEST_OUTPUT: usize = 1024 * 1024;

/// All templates of a project, ready to render. Cheap to clone.
#[derive(Clone)]
pub struct Templates {
    all: Arc<compile::All>,
    chain: Arc<LocaleChain>,
}

/// One template on one channel in one language.
struct Variant {
    /// `welcome/email.de`, for messages and as the beginning of the names in the registries.
    path: String,
    html: Registry,
    plain: Registry,
    /// Which parts there are; a generated text is one.
    parts: Vec<&'static str>,
    text_is_generated: bool,
    /// What conditions ask about and thus must be supplied, if only as null.
    asked: Vec<Vec<String>>,
    hash: Arc<str>,
}

/// Something wrong with a template's file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TemplateError {
    /// Below `templates/`.
    pub path: String,
    /// Where in it, in bytes.
    pub offset: usize,
    /// In one lower-case sentence.
    pub message: String,
}

/// What to render.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The template's name.
    pub template: &'a str,
    /// `email`, `sms`, …
    pub channel: &'a str,
    /// The contact's language, if it is known.
    pub locale: Option<&'a str>,
    /// The `with` values at the top, `contact`, `brand`.
    pub context: &'a Json,
    /// The IANA zone in which moments are told.
    pub zone: &'a str,
    /// What stands at `links` in the context.
    pub links: Links<'a>,
    /// Makes a counted link from a target. `None`: clicks are not counted.
    pub counted: Option<&'a dyn Fn(&str) -> String>,
}

/// The message's own links. What is `None` may not be written by the template.
#[derive(Clone, Copy, Debug, Default)]
pub struct Links<'a> {
    /// Ends mail of this purpose.
    pub unsubscribe: Option<&'a str>,
    /// The page where one chooses what one gets.
    pub preferences: Option<&'a str>,
    /// Confirms an address.
    pub confirm: Option<&'a str>,
    /// The message as a page.
    pub browser: Option<&'a str>,
    /// The questions of a survey, and the form for the answers.
    pub survey: Option<&'a str>,
    /// Where a letter is answered, and the code that says which letter it is.
    pub response: Option<&'a str>,
    pub response_code: Option<&'a str>,
}

impl Links<'_> {
    fn all(&self) -> [(&'static str, Option<&str>); 7] {
        let Links { unsubscribe, preferences, confirm, browser, survey, response, response_code } = *self;
        [
            ("browser", browser),
            ("confirm", confirm),
            ("preferences", preferences),
            ("survey", survey),
            ("response", response),
            ("response_code", response_code),
            ("unsubscribe", unsubscribe),
        ]
    }
}

/// A rendered message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rendered {
    /// On one line; empty where the channel has none.
    pub subject: String,
    /// The line that inboxes show behind the subject; in `html` already.
    pub preheader: String,
    /// The HTML, if the template has any.
    pub html: Option<String>,
    /// The plain text.
    pub text: String,
    /// The language it is in.
    pub locale: String,
    /// Of all sources that went into it; for the delivery's record.
    pub template_hash: Arc<str>,
}

/// Why a message cannot be rendered. Final: trying again changes nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RenderError {
    /// No such template on this channel in any language that would do.
    Unknown {
        /// The template.
        template: String,
        /// The channel.
        channel: String,
    },
    /// A value that the template writes is not there.
    Missing {
        /// The file, without its ending.
        path: String,
        /// The variable as written there.
        variable: String,
    },
    /// A value that is there but cannot be written so.
    Unfit {
        /// The file, without its ending.
        path: String,
        /// The variable as written there.
        variable: String,
        /// In words that follow the variable's name.
        why: String,
    },
    /// More than a message may have.
    TooLarge {
        /// The file, without its ending.
        path: String,
    },
    /// Anything else.
    Failed {
        /// The file, without its ending.
        path: String,
        /// In words.
        message: String,
    },
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RenderError::Unknown { template, channel } => {
                write!(f, "there is no template `{template}` for {channel} in a language that would do")
            }
            RenderError::Missing { path, variable } => {
                write!(f, "`{variable}` has no value, and `{path}` writes it")
            }
            RenderError::Unfit { path, variable, why } => write!(f, "in `{path}`, `{variable}` {why}"),
            RenderError::TooLarge { path } => write!(f, "`{path}` comes to more than {LARGEST_OUTPUT} bytes"),
            RenderError::Failed { path, message } => write!(f, "`{path}` cannot be rendered: {message}"),
        }
    }
}

impl std::error::Error for RenderError {}

impl Templates {
    /// Compiles all files: the path below `templates/` and the text of each. What has a mistake is left out of the
    /// result and named in the list.
    pub fn compile(
        files: impl IntoIterator<Item = (String, String)>,
        chain: LocaleChain,
    ) -> (Templates, Vec<TemplateError>) {
        let (all, errors) = compile::compile(files);
        (Templates { all: Arc::new(all), chain: Arc::new(chain) }, errors)
    }

    /// Whether the template can be rendered on this channel for a contact of this language.
    pub fn has(&self, template: &str, channel: &str, locale: Option<&str>) -> bool {
        self.variant(template, channel, locale).is_some()
    }

    /// Whether the template is there on this channel in any language.
    pub fn has_any(&self, template: &str, channel: &str) -> bool {
        self.all.get(template).is_some_and(|channels| channels.contains_key(channel))
    }

    /// Renders one message.
    pub fn render(&self, request: &Request<'_>) -> Result<Rendered, RenderError> {
        let Request { template, channel, locale, .. } = *request;
        let Some((locale, variant)) = self.variant(template, channel, locale) else {
            return Err(RenderError::Unknown { template: template.to_owned(), channel: channel.to_owned() });
        };
        variant.refuse_unsupplied(request.context)?;
        let context = variant.context(request)?;
        let subject = variant.part("subject", &context)?.unwrap_or_default().trim().to_owned();
        let preheader = variant.part("preheader", &context)?.unwrap_or_default().trim().to_owned();
        let own = request.links.all().map(|(_, link)| link.unwrap_or_default());
        let html = variant.part("html", &context)?.map(|html| {
            let html = with_preheader(html, &preheader);
            match request.counted {
                Some(counted) => links::replaced_in_html(&html, &own, counted),
                None => html,
            }
        });
        let mut text = variant.part("text", &context)?.unwrap_or_default();
        if variant.text_is_generated {
            text = text::tidied(&links::replaced_in_text(&text, &own, request.counted));
        }
        let (locale, template_hash) = (locale.to_owned(), Arc::clone(&variant.hash));
        Ok(Rendered { subject, preheader, html, text, locale, template_hash })
    }

    fn variant<'a>(
        &'a self,
        template: &str,
        channel: &str,
        locale: Option<&'a str>,
    ) -> Option<(&'a str, &'a Variant)> {
        let locales = self.all.get(template)?.get(channel)?;
        let locale = self.chain.choose(locale, |locale| locales.contains_key(locale))?;
        Some((locale, locales.get(locale)?))
    }
}

impl Variant {
    /// A condition about something nobody supplied would quietly be false.
    fn refuse_unsupplied(&self, context: &Json) -> Result<(), RenderError> {
        for path in &self.asked {
            let mut value = context;
            for part in path {
                match value {
                    Json::Object(fields) => match fields.get(part) {
                        Some(inner) => value = inner,
                        None => {
                            return Err(RenderError::Missing {
                                path: self.path.clone(),
                                variable: path.join("."),
                            });
                        }
                    },
                    _ => break,
                }
            }
        }
        Ok(())
    }

    fn context(&self, request: &Request<'_>) -> Result<Context, RenderError> {
        let mut top = request.context.as_object().cloned().unwrap_or_default();
        let link =
            |(name, link): (&str, Option<&str>)| (name.to_owned(), link.map_or(Json::Null, Json::from));
        top.insert(
            "links".to_owned(),
            Json::Object(request.links.all().map(link).into_iter().collect::<Map<_, _>>()),
        );
        top.insert(ZONE.to_owned(), Json::from(request.zone));
        Context::wraps(top).map_err(|error| self.failed(&error))
    }

    fn part(&self, part: &'static str, context: &Context) -> Result<Option<String>, RenderError> {
        if !self.parts.contains(&part) {
            return Ok(None);
        }
        let registry = if part == "html" { &self.html } else { &self.plain };
        let mut out = Bounded(Vec::with_capacity(4096));
        match registry.render_with_context_to_write(&format!("{}.{part}", self.path), context, &mut out) {
            Ok(()) => Ok(Some(String::from_utf8(out.0).expect("handlebars writes text"))),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &handlebars::RenderError) -> RenderError {
        let path = self.path.clone();
        match (told_by(error), error.reason()) {
            (Some(told), _) => {
                let variable = told.variable.clone();
                match &told.problem {
                    Problem::Missing => RenderError::Missing { path, variable },
                    Problem::Unfit(why) => RenderError::Unfit { path, variable, why: why.clone() },
                }
            }
            (None, RenderErrorReason::IOError(_)) => RenderError::TooLarge { path },
            (None, reason) => RenderError::Failed { path, message: reason.to_string() },
        }
    }
}

/// Takes bytes up to the limit.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST_OUTPUT {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts the preheader, hidden, first into the body, followed by blanks that keep inboxes from showing what comes next.
fn with_preheader(html: String, preheader: &str) -> String {
    if preheader.is_empty() {
        return html;
    }
    let hidden = format!(
        "<div style=\"display:none;max-height:0;overflow:hidden;mso-hide:all\">{}{}</div>",
        handlebars::html_escape(preheader),
        "&#847;&zwnj;&nbsp;".repeat(40)
    );
    let place = body_start(&html).unwrap_or(0);
    let (before, after) = html.split_at(place);
    [before, &hidden, after].concat()
}

/// Where the content of `<body …>` begins.
fn body_start(html: &str) -> Option<usize> {
    let bytes = html.as_bytes();
    let start = bytes
        .windows(6)
        .position(|w| w[..5].eq_ignore_ascii_case(b"<body") && !w[5].is_ascii_alphanumeric())?;
    let mut quote = None;
    for (offset, &b) in bytes[start..].iter().enumerate() {
        match (quote, b) {
            (Some(open), _) if b == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(b),
            (None, b'>') => return Some(start + offset + 1),
            (None, _) => {}
        }
    }
    None
}
