//! The helpers of the closed list, in the language of the message, and the three of our own that every value goes
//! through on its way out: `__show` refuses what is missing, `__link`, `__path` and `__query` make it fit a link.

use std::sync::Arc;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, RenderContext, RenderError, RenderErrorReason, ScopedJson,
    no_escape,
};
use jiff::civil::{Date, Time};
use serde_json::Value as Json;

use super::formats::{Digits, Language};
use super::links;
use super::text::{LINK_END, LINK_START};
use crate::lang::template::{DATE_FORMS, Format};
use crate::time::{Timestamp, Zone};

/// The name under which the zone of moments stands in the context.
pub(super) const ZONE: &str = "__zone";

/// What a helper makes of its values: text, or why not.
type Made = Result<String, Problem>;

/// Why a value cannot be written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Problem {
    Missing,
    /// Not what the helper is for, in words that follow the variable's name.
    Unfit(String),
}

/// A registry that knows the closed list and no more, for one language and format.
pub(super) fn registry(locale: &str, format: Format) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    // Missing values are refused by `__show` and the helpers themselves, null among them, which strict mode lets pass.
    registry.set_strict_mode(false);
    registry.set_prevent_indent(true);
    if format == Format::Plain {
        registry.register_escape_fn(no_escape);
    }
    registry.unregister_helper("log");
    let language = Language::of(locale);
    let mut add = |name: &'static str, make: fn(Language, &Values<'_, '_>) -> Made| {
        registry.register_helper(name, Box::new(Made1 { name, language, make }));
    };
    add("__link", |language, values| {
        links::checked(&show(language, values.first())?).map_err(Problem::Unfit)
    });
    add("__path", |language, values| Ok(links::path_encoded(&show(language, values.first())?)));
    add("__query", |language, values| Ok(links::query_encoded(&show(language, values.first())?)));
    add("__show", |language, values| show(language, values.first()));
    add("date", date);
    add("money", money);
    add("number", |language, values| Ok(language.number(&digits(values.first())?.trimmed())));
    add("percent", percent);
    add("plural", plural);
    add("url", |language, values| links::checked(&show(language, values.first())?).map_err(Problem::Unfit));
    registry.register_helper("default", Box::new(Default));
    registry
}

/// A helper that makes text from its values.
struct Made1 {
    name: &'static str,
    language: Language,
    make: fn(Language, &Values<'_, '_>) -> Made,
}

/// The values of one call.
struct Values<'a, 'rc> {
    helper: &'a Helper<'rc>,
    context: &'a Context,
}

impl Values<'_, '_> {
    fn first(&self) -> &Json {
        self.at(0)
    }

    fn at(&self, place: usize) -> &Json {
        self.helper.param(place).map_or(&Json::Null, |param| param.value())
    }

    fn text_at(&self, place: usize) -> Option<&str> {
        self.at(place).as_str()
    }
}

impl HelperDef for Made1 {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        match (self.make)(self.language, &Values { helper, context }) {
            Ok(text) => Ok(ScopedJson::Derived(Json::String(text))),
            Err(problem) => Err(told(self.name, helper, problem)),
        }
    }
}

/// The value, or what stands for it if it is missing or empty.
struct Default;

impl HelperDef for Default {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let value = |place| helper.param(place).map_or(&Json::Null, |param| param.value());
        let is_missing = value(0).is_null() || value(0).as_str() == Some("");
        Ok(ScopedJson::Derived(value(usize::from(is_missing)).clone()))
    }
}

/// A problem on its way through handlebars, to be found again in `RenderError::reason`.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) variable: String,
    pub(super) problem: Problem,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.problem {
            Problem::Missing => write!(f, "`{}` has no value", self.variable),
            Problem::Unfit(why) => write!(f, "`{}` {why}", self.variable),
        }
    }
}

impl std::error::Error for Told {}

fn told(name: &str, helper: &Helper<'_>, problem: Problem) -> RenderError {
    let path = helper.param(0).and_then(|param| param.relative_path().cloned());
    // The guards are given the text of a call, which has no name.
    let guarded = helper.param(1).filter(|_| name.starts_with("__"));
    let source = || guarded.and_then(|param| param.value().as_str()).map(str::to_owned);
    let variable = path.or_else(source).unwrap_or_else(|| name.to_owned());
    RenderErrorReason::NestedError(Box::new(Told { variable, problem })).into()
}

/// Any value as text. Lists and records have none.
fn show(language: Language, value: &Json) -> Made {
    match value {
        Json::Null => Err(Problem::Missing),
        Json::Bool(yes) => Ok(language.yes_no(*yes).to_owned()),
        Json::Number(number) => Ok(number.to_string()),
        // The marks of links in generated text must not come from outside.
        Json::String(text) => Ok(text.replace([LINK_START, LINK_END], "\u{fffd}")),
        Json::Array(_) => Err(Problem::Unfit("is a list; write its elements with `{{#each}}`".to_owned())),
        Json::Object(_) => Err(Problem::Unfit("has fields; write one of them".to_owned())),
    }
}

fn digits(value: &Json) -> Result<Digits, Problem> {
    let text = match value {
        Json::Null => return Err(Problem::Missing),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    Digits::read(&text).ok_or_else(|| Problem::Unfit("is no number".to_owned()))
}

fn money(language: Language, values: &Values<'_, '_>) -> Made {
    let amount = digits(values.first())?;
    let currency =
        values.text_at(1).filter(|code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()));
    let unknown = || Problem::Unfit("needs a currency such as \"EUR\"".to_owned());
    Ok(language.money(&amount, currency.ok_or_else(unknown)?))
}

/// `"10%"` as journeys give it, or a bare number.
fn percent(language: Language, values: &Values<'_, '_>) -> Made {
    let bare = match values.first() {
        Json::String(text) => Json::String(text.trim_end_matches('%').to_owned()),
        other => other.clone(),
    };
    Ok(language.percent(&digits(&bare)?))
}

fn plural(language: Language, values: &Values<'_, '_>) -> Made {
    let form = if digits(values.first())?.is_one() { 1 } else { 2 };
    show(language, values.at(form))
}

/// Dates, times, and moments, which are told in the zone of the message.
fn date(language: Language, values: &Values<'_, '_>) -> Made {
    let unfit = || Problem::Unfit("is no date".to_owned());
    let text = match values.first() {
        Json::Null => return Err(Problem::Missing),
        value => value.as_str().ok_or_else(unfit)?,
    };
    let form = values.text_at(1).unwrap_or(DATE_FORMS[0]);
    let (date, time) = read_moment(text, values.context).ok_or_else(unfit)?;
    match (form, date, time) {
        ("time", _, Some(time)) => Ok(language.time(time)),
        ("time", _, None) => Err(Problem::Unfit("has no time of day".to_owned())),
        (_, Some(date), _) => Ok(language.date(date, form)),
        (_, None, Some(time)) => Ok(language.time(time)),
        (_, None, None) => Err(unfit()),
    }
}

fn read_moment(text: &str, context: &Context) -> Option<(Option<Date>, Option<Time>)> {
    if let Ok(at) = text.parse::<Timestamp>() {
        let zone =
            context.data().get(ZONE).and_then(Json::as_str).and_then(Zone::named).unwrap_or_else(Zone::utc);
        let (date, time) = zone.local(at);
        return Some((Some(date.0), Some(time)));
    }
    if let Ok(date) = text.parse::<Date>() {
        return Some((Some(date), None));
    }
    text.parse::<Time>().ok().map(|time| (None, Some(time)))
}

/// The words of a problem, wherever handlebars has put it.
pub(super) fn told_by(error: &RenderError) -> Option<&Told> {
    match error.reason() {
        RenderErrorReason::NestedError(inner) => inner.downcast_ref::<Told>(),
        _ => None,
    }
}

/// Shared between threads, and between the messages of one language.
pub(super) type Registry = Arc<Handlebars<'static>>;
