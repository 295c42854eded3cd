//! What a send supplies against what its template uses: E0801 to E0804, E0507, E0502, and languages that are missing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Typed;
use super::asking::{message_of, written_message_of};
use super::findings::{finding, with_near_miss};
use super::journey::Journey;
use super::names::channel_names;
use super::schema::{Noun, Schema};
use super::templates::{Placed, Templates, Variant};
use super::variables::{same_value_once, supplied};
use crate::diagnostic::{Code, Diagnostic, FileId, Span, suggest};
use crate::engine::program::{Channel, Word};
use crate::lang::ast::{ItemKind, Name, Send, Stmt, StmtKind};
use crate::lang::template::LocaleChain;
use crate::value::Type;

/// What stands at `links`.
pub(super) const LINKS: [&str; 4] = ["confirm", "preferences", "survey", "unsubscribe"];

/// Checks every send of the journey. Templates that cannot be read make the journey unsound without another word.
pub(super) fn check(journey: &mut Journey, templates: &Templates) {
    let mut missing: BTreeSet<Word> = BTreeSet::new();
    for (at, stmt) in journey.reached_stmts() {
        let Some(send) = written_message_of(journey.schema, stmt) else { continue };
        let send = &*send;
        let asked = match &stmt.kind {
            StmtKind::Ask(ask) => Some(&**ask),
            _ => None,
        };
        let template = Name { text: send.template.joined(), span: send.template.span };
        // A survey that is not known is told by itself.
        if asked.is_some() && !journey.schema.has(Noun::Survey, &template.text) {
            journey.unsound = true;
            continue;
        }
        let misnamed = templates.misnamed.contains(template.text.as_str());
        journey.unsound |= misnamed;
        let Some(channels) = templates.all.get(template.text.as_str()) else {
            if !misnamed && missing.insert(template.text.as_str().into()) {
                // An `ask` takes the template of its survey, so no other can be meant.
                let others = templates.all.keys().filter(|_| asked.is_none());
                let all: Vec<&str> = others.map(|name| &**name).collect();
                let made = no_template(journey.schema, &template, &channels_of(journey, &template), &all);
                journey.out.push(made);
            }
            continue;
        };
        let mut used: BTreeSet<&str> = BTreeSet::new();
        let mut lacking: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
        let mut readable = true;
        let before = journey.out.list.len();
        for channel in channel_names(&send.channels) {
            let Some(variants) = channels.get(channel.text.as_str()) else {
                let declared = journey.schema.catalog.channels.get(channel.text.as_str());
                // Where nothing can be sent, that is told.
                if declared.is_some_and(|channel| &*channel.class != "task") && !misnamed {
                    let made = no_channel(journey.schema, &template, channel);
                    journey.out.push(made);
                }
                readable = false;
                continue;
            };
            let has: Vec<&str> = variants.keys().map(String::as_str).collect();
            if !misnamed {
                locales(journey, &template, channel, &has, !templates.no_project_language);
            }
            for variant in variants.values() {
                readable &= !variant.damaged;
                used.extend(variant.uses().map(|used| used.path[0].as_str()));
                supplied(journey, at, send, (&channel.text, variant), &mut lacking);
                unsubscribe(journey, stmt, send, &channel.text, variant);
                advertising(journey, stmt, send, variant);
                if let Some(ask) = asked {
                    journey.can_answer(stmt, ask, channel, variant);
                }
            }
        }
        same_value_once(journey, before);
        let given: Vec<&Name> =
            send.with.iter().flat_map(|record| record.pairs.iter().map(|(name, _)| name)).collect();
        let unread = Span::new(stmt.span.file, template.span.end, stmt.span.end);
        if journey.schema.has_mistake(unread) {
            // What could not be read may supply it.
            lacking.clear();
        }
        let mut told: BTreeSet<&str> = BTreeSet::new();
        for (name, places) in lacking {
            let free = given.iter().filter(|given| !used.contains(given.text.as_str()));
            let near = suggest::did_you_mean(name, free.clone().map(|given| given.text.as_str()));
            told.extend(near);
            let in_all = channels.values().all(|variants| {
                variants.len() > 1
                    && variants.values().all(|variant| variant.uses().any(|used| used.path[0] == name))
            });
            match free.clone().find(|given| Some(given.text.as_str()) == near).filter(|_| in_all) {
                Some(given) => misspelled(journey, &template, given, name, places[0]),
                None => not_supplied(journey, stmt, send, name, &places),
            }
        }
        if readable {
            unused(journey, send, &template, &used, &told);
        } else {
            journey.unsound = true;
        }
    }
}

/// Lines of the policies that speak of templates which no send could tell about.
pub(super) fn declared(
    schema: &Schema,
    templates: &Templates,
    sent: &[Sent],
    out: &mut super::findings::Findings,
) {
    let spoken: BTreeSet<&str> = sent.iter().map(|sent| &*sent.template).collect();
    for ((noun, name), span) in &schema.declared {
        if *noun == Noun::Template && !templates.all.contains_key(name) && !spoken.contains(&**name) {
            let all: Vec<&str> = templates.all.keys().map(|name| &**name).collect();
            let near = suggest::did_you_mean(name, all.iter().copied());
            let made = finding(Code::E0801, *span, format!("there is no template `{name}`"))
                .label(format!("no folder `templates/{name}`"));
            out.push(with_near_miss(made, near, &[], *span));
        }
    }
}

/// The files that messages on these channels need, in every language that contacts have.
fn wanted_files(schema: &Schema, template: &str, channels: &[&str]) -> String {
    let locales = languages(schema);
    let locales: Vec<&str> = locales.iter().map(String::as_str).collect();
    files_in(schema, template, channels, &locales)
}

/// The files that messages on these channels need, in these languages.
fn files_in(schema: &Schema, template: &str, channels: &[&str], locales: &[&str]) -> String {
    let (first, others) = locales.split_first().unwrap_or((&"LOCALE", &[]));
    let parts = |channel: &str| {
        let declared = schema.catalog.channels.get(channel);
        let class = declared.map_or("message", |channel| &*channel.class);
        match (channel, class) {
            ("email", _) => ["subject", "html"].as_slice(),
            _ if declared.is_some_and(Channel::is_by_mail) => &["subject", "html"],
            (_, "letter") => &["subject", "text"],
            _ => &["text"],
        }
    };
    let file = |channel: &str, part: &str| format!("`templates/{template}/{channel}.{first}.{part}.hbs`");
    let files =
        channels.iter().flat_map(|channel| parts(channel).iter().map(move |part| file(channel, part)));
    let files = files.collect::<Vec<_>>();
    let files = match files.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => files.concat(),
    };
    match others {
        [] => format!("write {files}"),
        others => format!("write {files}, and the same in {}", others.join(", ")),
    }
}

/// The languages in which a template is written, so that each contact finds its own or one that stands in for it; that of the project
/// first.
fn languages(schema: &Schema) -> Vec<String> {
    let settings = &schema.input.settings;
    let attribute = schema.catalog.attribute("locale");
    let mut all = vec![settings.locale.clone()];
    if let Some(Type::OneOf(values)) = attribute.map(|attribute| attribute.ty.required()) {
        for value in values.iter() {
            let chain = LocaleChain { project: value.to_string(), fallbacks: settings.fallbacks.clone() };
            let is_there = |locale: &str| all.iter().any(|known| known == locale);
            if chain.choose(Some(value), is_there).is_none() {
                all.push(value.to_string());
            }
        }
    }
    all
}

/// The channels on which the journey sends a template.
fn channels_of(journey: &Journey, template: &Name) -> Vec<String> {
    let mut channels: Vec<String> = Vec::new();
    for (_, stmt) in journey.reached_stmts() {
        let Some(send) = written_message_of(journey.schema, stmt) else { continue };
        if send.template.joined() != template.text {
            continue;
        }
        for channel in channel_names(&send.channels) {
            let declared = journey.schema.catalog.channels.get(channel.text.as_str());
            if declared.is_some_and(|channel| &*channel.class != "task") && !channels.contains(&channel.text)
            {
                channels.push(channel.text.clone());
            }
        }
    }
    channels
}

fn no_template(schema: &Schema, template: &Name, channels: &[String], all: &[&str]) -> Diagnostic {
    let near = suggest::did_you_mean(&template.text, all.iter().copied());
    let made = finding(Code::E0801, template.span, format!("there is no template `{}`", template.text))
        .label(format!("no folder `templates/{}`", template.text));
    match near {
        Some(_) => with_near_miss(made, near, &[], template.span),
        None if channels.is_empty() => made.help(wanted_files(schema, &template.text, &["email"])),
        None => {
            let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
            made.help(wanted_files(schema, &template.text, &channels))
        }
    }
}

fn no_channel(schema: &Schema, template: &Name, channel: &Name) -> Diagnostic {
    let message = format!("the template `{}` has nothing for {}", template.text, channel.text);
    finding(Code::E0801, template.span, message)
        .label(format!("no file `templates/{}/{}.…`", template.text, channel.text))
        .help(wanted_files(schema, &template.text, &[&channel.text]))
}

/// Every language that a contact can have finds files: its own, those of a fallback, at last those of the project's
/// language. E0802 where the sender would find none; W0806 where only the last resort is left.
fn locales(journey: &mut Journey, template: &Name, channel: &Name, has: &[&str], with_project: bool) {
    let settings = &journey.schema.input.settings;
    let attribute = journey.schema.catalog.attribute("locale");
    let mut wanted: Vec<&str> = match attribute.map(|attribute| attribute.ty.required()) {
        Some(Type::OneOf(values)) => values.iter().map(|value| &**value).collect(),
        _ => Vec::new(),
    };
    if with_project && !wanted.contains(&settings.locale.as_str()) {
        wanted.push(&settings.locale);
    }
    let chosen = |locale: &str, project: &str| {
        let chain = LocaleChain { project: project.to_owned(), fallbacks: settings.fallbacks.clone() };
        chain.choose(Some(locale), |candidate| has.contains(&candidate)).map(str::to_owned)
    };
    let (mut missing, mut strange) = (Vec::new(), Vec::new());
    let mut instead = String::new();
    for locale in wanted {
        match chosen(locale, &settings.locale) {
            None => missing.push(locale),
            Some(other) if chosen(locale, locale).is_none() => {
                strange.push(locale);
                instead = other;
            }
            Some(_) => {}
        }
    }
    let files = |locales: &[&str]| {
        let other = has.first().unwrap_or(&"en");
        let locale = locales.first().unwrap_or(&"");
        format!(
            "{}; or name a fallback in fahrplan.toml: `[locales]`, `{locale} = [\"{other}\"]`{}",
            files_in(journey.schema, &template.text, &[&channel.text], locales),
            if *locale == settings.locale {
                format!("; `{locale}` is the `locale` of `[project]` there")
            } else {
                String::new()
            }
        )
    };
    let mut made = Vec::new();
    if !missing.is_empty() {
        let list = missing.join(", ");
        let message =
            format!("the template `{}` has no {} in {list}, and no fallback", template.text, channel.text);
        made.push(
            finding(Code::E0802, template.span, message)
                .label(format!("missing: {list}"))
                .help(files(&missing)),
        );
    }
    if !strange.is_empty() {
        let list = strange.join(", ");
        let message = format!(
            "the template `{}` has no {} in {list}: these contacts get it in {instead}",
            template.text, channel.text
        );
        made.push(
            finding(Code::W0806, template.span, message)
                .label(format!("missing: {list}"))
                .help(files(&strange)),
        );
    }
    made.into_iter().for_each(|finding| journey.out.push(finding));
}

// ---------------------------------------------------------------- what is missing, what is left over

/// A name that the send does not supply is told once, at the first place that uses it.
fn not_supplied(journey: &mut Journey, stmt: &Stmt, send: &Send, name: &str, places: &[Span]) {
    let Some(first) = places.first() else { return };
    let given = send.with.iter().flat_map(|record| &record.pairs).map(|(given, _)| given.text.as_str());
    let near = suggest::did_you_mean(name, given);
    let place = Span::new(stmt.span.file, stmt.span.start, send.template.span.end);
    let mut made = finding(Code::E0803, *first, format!("`{name}` is not supplied"))
        .label("not supplied")
        .related(place, "sent here");
    if places.len() > 1 {
        made = made.note(format!("it is used in {} places of this template", places.len()));
    }
    let sources = &journey.schema.input.sources;
    let Some(near) = near else {
        let help = format!("add `with {{ {name}: … }}` to the send, or leave it out of the template");
        journey.out.push(made.help(help));
        return;
    };
    made = made.help(format!("did you mean `{near}`?"));
    if places.iter().all(|place| sources.slice(*place) == name) {
        let all: BTreeSet<&Span> = places.iter().collect();
        for place in all {
            made = made.suggest(format!("write `{near}`"), *place, near);
        }
    }
    journey.out.push(made);
}

/// Every language of the template asks for another name than the send gives: the mistake is in the send.
fn misspelled(journey: &mut Journey, template: &Name, given: &Name, name: &str, place: Span) {
    let message = format!("the template `{}` uses `{name}`, not `{}`", template.text, given.text);
    let made = finding(Code::E0803, given.span, message).label("not used").related(place, "used here");
    journey.out.push(with_near_miss(made, Some(name), &[], given.span));
}

/// W0804: supplied for nothing. A name that has been told as the near miss of another is not told again.
fn unused(journey: &mut Journey, send: &Send, template: &Name, used: &BTreeSet<&str>, told: &BTreeSet<&str>) {
    for (name, _) in send.with.iter().flat_map(|record| &record.pairs) {
        if !used.contains(name.text.as_str()) && !told.contains(name.text.as_str()) {
            let message = format!("the template `{}` does not use `{}`", template.text, name.text);
            let near = suggest::did_you_mean(&name.text, used.iter().copied());
            let made = finding(Code::W0804, name.span, message).label("supplied for nothing");
            journey.out.push(match near {
                Some(near) => made.help(format!("the template uses `{near}`: was that meant?")),
                None => made.help("leave it out, or use it in the template"),
            });
        }
    }
}

// ---------------------------------------------------------------- the way out

/// E0507: whoever gets marketing mail can end it in the mail itself.
fn unsubscribe(journey: &mut Journey, stmt: &Stmt, send: &Send, channel: &str, variant: &Variant) {
    let Some(purpose) = journey.purposes.get(&stmt.span) else { return };
    let mail = journey
        .schema
        .catalog
        .channels
        .get(channel)
        .is_some_and(|declared| channel == "email" || declared.is_by_mail());
    if !mail || variant.damaged || journey.schema.is_transactional(purpose) {
        return;
    }
    let place = Span::new(stmt.span.file, stmt.span.start, send.template.span.end);
    for part in
        variant.parts.iter().filter(|(name, _)| matches!(**name, "html" | "text")).map(|(_, part)| part)
    {
        let leads_out = |used: &Placed| {
            used.path[0] == "links"
                && used.path.get(1).is_some_and(|name| name == "unsubscribe" || name == "preferences")
        };
        // a misspelt link is told by itself, and may be the one
        let misspelt = |used: &Placed| {
            used.path[0] == "links" && used.path.get(1).is_some_and(|name| !LINKS.contains(&name.as_str()))
        };
        if part.uses.iter().any(|used| leads_out(used) || misspelt(used)) {
            continue;
        }
        let text = journey.schema.input.sources.text(part.file);
        let end = text.rfind("</body>").unwrap_or_else(|| text.trim_end().len());
        let message = "this marketing mail has no link to end it";
        let made = finding(Code::E0507, Span::at(part.file, end as u32), message)
            .label("no way out down to here")
            .related(place, "sent here")
            .help("add a link to `{{links.unsubscribe}}`; the law wants it, and so do mail providers");
        journey.out.push(made);
    }
}

/// E0502: what is marked as marketing leaves with consent alone.
fn advertising(journey: &mut Journey, stmt: &Stmt, send: &Send, variant: &Variant) {
    let Some(purpose) = journey.purposes.get(&stmt.span) else { return };
    if !journey.schema.is_transactional(purpose) {
        return;
    }
    let place = Span::new(stmt.span.file, stmt.span.start, send.template.span.end);
    for marked in variant.parts.values().flat_map(|part| &part.marked) {
        let message = "this is marked as marketing, and the message leaves without consent";
        let mut made = finding(Code::E0502, marked.used, message).label("advertising");
        if marked.mark != marked.used {
            made = made.related(marked.mark, "marked here");
        }
        journey.out.push(
            made.related(place, "sent here")
                .help("leave it out here, and send it as a message of its own, `for marketing`"),
        );
    }
}

/// Whether the path names a link that there is not.
pub(super) fn is_no_link(path: &[String]) -> bool {
    path.get(1).is_some_and(|name| !LINKS.contains(&name.as_str()))
}

/// What a journey says of a template when it sends it.
pub(super) struct Sent {
    pub(super) template: Word,
    /// The names that it is given.
    pub(super) with: Vec<Word>,
}

/// All sends of a journey.
pub(super) fn sent(journey: &crate::lang::ast::Journey) -> Vec<Sent> {
    let mut all = Vec::new();
    super::visit::each_stmt_of(journey, &mut |stmt, _| {
        if let Some(send) = message_of(stmt) {
            let with = send.with.iter().flat_map(|record| &record.pairs);
            all.push(Sent {
                template: send.template.joined().into(),
                with: with.map(|(name, _)| name.text.as_str().into()).collect(),
            });
        }
    });
    all
}

/// The values that sends supply to the template, with their types; of two types for one name the first.
pub fn supplied_to(
    files: &[(FileId, crate::lang::ast::File)],
    exprs: &HashMap<Span, Typed>,
    template: &str,
) -> BTreeMap<Word, Type> {
    let mut values = BTreeMap::new();
    for item in files.iter().flat_map(|(_, file)| &file.items) {
        let ItemKind::Journey(journey) = &item.kind else { continue };
        super::visit::each_stmt_of(journey, &mut |stmt, _| {
            let Some(send) = message_of(stmt) else { return };
            let given = send.with.iter().filter(|_| send.template.joined() == template);
            for (name, value) in given.flat_map(|record| &record.pairs) {
                if let Some(typed) = exprs.get(&value.span) {
                    values.entry(name.text.as_str().into()).or_insert_with(|| typed.ty.clone());
                }
            }
        });
    }
    values
}
