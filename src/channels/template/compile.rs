//! From files to registries: paths are read, parts put in their place, values sent through their guards.

use std::collections::BTreeMap;
use std::sync::Arc;

use handlebars::Handlebars;

use super::helpers::registry;
use super::{TemplateError, Variant, text};
use crate::lang::template::{Format, Output, Place, Role, Scan, Scope, scan, scan_in};

/// What one source may grow to when its parts are put in.
const LARGEST_SOURCE: usize = 1024 * 1024;
/// Parts within parts.
const DEEPEST: usize = 16;
/// The parts of a template; `txt` is what channels without markup call their text.
const PARTS: [(&str, &str); 5] =
    [("html", "html"), ("preheader", "preheader"), ("subject", "subject"), ("text", "text"), ("txt", "text")];

/// Template, channel, locale.
pub(super) type All = BTreeMap<String, BTreeMap<String, BTreeMap<String, Variant>>>;

/// A file of a template: its path, and its text.
type File = (String, String);

/// Compiles everything; see `Templates::compile`.
pub(super) fn compile(files: impl IntoIterator<Item = File>) -> (All, Vec<TemplateError>) {
    let mut compiler = Compiler::default();
    let mut variants: BTreeMap<(String, String, String), BTreeMap<&'static str, File>> = BTreeMap::new();
    for (path, source) in files {
        match read_path(&path) {
            Some(PathOf::Part(name)) => drop(compiler.parts.insert(name, (path, source))),
            Some(PathOf::Template { name, channel, locale, part }) => {
                variants.entry((name, channel, locale)).or_default().insert(part, (path, source));
            }
            None => compiler.error(
                &path,
                0,
                "this is no template; it must be `name/channel.locale.part.hbs` or `_parts/name.hbs`",
            ),
        }
    }
    let mut sources: BTreeMap<String, Registries> = BTreeMap::new();
    let mut ready = Vec::new();
    for ((name, channel, locale), files) in variants {
        let registries = sources.entry(locale.clone()).or_insert_with(|| Registries::of(&locale));
        let path = format!("{name}/{channel}.{locale}");
        if let Some(compiled) = compiler.variant(&path, &channel, &locale, &files, registries) {
            ready.push((name, channel, locale, compiled));
        }
    }
    let shared: BTreeMap<String, (Arc<Handlebars<'static>>, Arc<Handlebars<'static>>)> =
        sources.into_iter().map(|(locale, r)| (locale, (Arc::new(r.html), Arc::new(r.plain)))).collect();
    let mut all = All::new();
    for (name, channel, locale, Compiled { path, parts, text_is_generated, asked, hash }) in ready {
        let (html, plain) = shared[&locale].clone();
        let variant = Variant { path, html, plain, parts, text_is_generated, asked, hash };
        all.entry(name).or_default().entry(channel).or_default().insert(locale, variant);
    }
    (all, compiler.errors)
}

enum PathOf {
    Part(String),
    Template { name: String, channel: String, locale: String, part: &'static str },
}

/// `_parts/footer.hbs`, `_parts/footer.de.hbs` or `welcome/email.de.html.hbs`.
fn read_path(path: &str) -> Option<PathOf> {
    let (name, file) = path.strip_suffix(".hbs")?.split_once('/')?;
    if name == "_parts" {
        return (!file.is_empty() && !file.contains('/')).then(|| PathOf::Part(file.to_owned()));
    }
    let mut fields = file.split('.');
    let (channel, locale, part) = (fields.next()?, fields.next()?, fields.next()?);
    let part = PARTS.iter().find(|(written, _)| *written == part)?.1;
    let is_whole = fields.next().is_none() && !channel.is_empty() && !locale.is_empty() && !name.is_empty();
    is_whole.then(|| PathOf::Template {
        name: name.to_owned(),
        channel: channel.to_owned(),
        locale: locale.to_owned(),
        part,
    })
}

/// The registries of one language while they are filled.
struct Registries {
    html: Handlebars<'static>,
    plain: Handlebars<'static>,
}

impl Registries {
    fn of(locale: &str) -> Registries {
        Registries { html: registry(locale, Format::Html), plain: registry(locale, Format::Plain) }
    }
}

struct Compiled {
    path: String,
    parts: Vec<&'static str>,
    text_is_generated: bool,
    asked: Vec<Vec<String>>,
    hash: Arc<str>,
}

#[derive(Default)]
struct Compiler {
    /// By name, with the locale behind it where the file has one: `footer`, `footer.de`.
    parts: BTreeMap<String, File>,
    errors: Vec<TemplateError>,
}

impl Compiler {
    fn error(&mut self, path: &str, offset: usize, message: impl Into<String>) {
        let error = TemplateError { path: path.to_owned(), offset, message: message.into() };
        // A part is read wherever it is used; its mistakes are told once.
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// Compiles one language of a template on one channel. `None`: there are errors, and they have been told.
    fn variant(
        &mut self,
        path: &str,
        channel: &str,
        locale: &str,
        files: &BTreeMap<&'static str, File>,
        registries: &mut Registries,
    ) -> Option<Compiled> {
        let first = &files.values().next()?.0;
        let before = self.errors.len();
        if !files.contains_key("html") && !files.contains_key("text") {
            self.error(first, 0, "this template has neither HTML nor text in this language");
        }
        if channel == "email" && !files.contains_key("subject") {
            self.error(first, 0, "this mail has no subject in this language");
        }
        let mut hasher = blake3::Hasher::new();
        let mut compiled = Compiled {
            path: path.to_owned(),
            parts: Vec::new(),
            text_is_generated: false,
            asked: Vec::new(),
            hash: Arc::from(""),
        };
        for (&part, (file, source)) in files {
            let mut whole =
                self.inlined(file, source, locale, Format::of_part(part), &Scope::top(), &mut Vec::new());
            hasher
                .update(part.as_bytes())
                .update(&(whole.len() as u64).to_le_bytes())
                .update(whole.as_bytes());
            if matches!(part, "subject" | "preheader") {
                whole = on_one_line(&whole);
            }
            let Some(guarded) = self.guarded(&mut compiled, part, &whole) else { continue };
            self.register(&mut compiled, registries, part, file, &guarded);
            if part == "html" && !files.contains_key("text") {
                compiled.text_is_generated = true;
                let tags = scan(&guarded, Format::Html).tags;
                self.register(&mut compiled, registries, "text", file, &text::from_html(&guarded, &tags));
            }
        }
        compiled.asked.sort();
        compiled.asked.dedup();
        compiled.hash = Arc::from(&hasher.finalize().to_hex()[..32]);
        (self.errors.len() == before).then_some(compiled)
    }

    /// The source with its parts in their places; mistakes are told at the file in which they stand.
    fn inlined(
        &mut self,
        path: &str,
        source: &str,
        locale: &str,
        format: Format,
        scope: &Scope,
        within: &mut Vec<String>,
    ) -> String {
        let scan = scan_in(source, format, scope);
        for mistake in &scan.mistakes {
            self.error(path, mistake.start, &mistake.message);
        }
        let mut whole = String::with_capacity(source.len());
        let mut at = 0;
        for part in &scan.parts {
            whole.push_str(&source[at..part.tag_start]);
            at = part.tag_end;
            if within.contains(&part.name) {
                self.error(path, part.start, format!("the part `{}` would contain itself", part.name));
                continue;
            }
            let Some((part_path, part_source)) = self.part(&part.name, locale).cloned() else {
                self.error(path, part.start, format!("there is no part `_parts/{}.hbs`", part.name));
                continue;
            };
            within.push(part.name.clone());
            let inner = match within.len() <= DEEPEST {
                true => self.inlined(&part_path, &part_source, locale, format, &part.scope, within),
                false => String::new(),
            };
            within.pop();
            if whole.len() + inner.len() > LARGEST_SOURCE {
                self.error(path, part.start, "with its parts, this template grows too large");
                return whole;
            }
            whole.push_str(&inner);
        }
        whole.push_str(&source[at..]);
        whole
    }

    /// A part, in the template's own language where there is such a file.
    fn part(&self, name: &str, locale: &str) -> Option<&File> {
        let language = locale.split('-').next().unwrap_or(locale);
        let named = |locale: &str| self.parts.get(&format!("{name}.{locale}"));
        named(locale).or_else(|| named(language)).or_else(|| self.parts.get(name))
    }

    /// The source with every value sent through its guard, unless it has mistakes, which have been told.
    fn guarded(&self, compiled: &mut Compiled, part: &str, source: &str) -> Option<String> {
        let scan = scan(source, Format::of_part(part));
        for used in &scan.uses {
            let asks =
                matches!(used.role, Role::Condition | Role::Each | Role::With | Role::Argument("default", 0));
            if asks
                && !used.path.iter().any(|part| part == "[]")
                && used.path.first().is_some_and(|p| p != "links")
            {
                compiled.asked.push(used.path.clone());
            }
        }
        scan.mistakes.is_empty().then(|| guarded(source, &scan))
    }

    fn register(
        &mut self,
        compiled: &mut Compiled,
        registries: &mut Registries,
        part: &'static str,
        file: &str,
        source: &str,
    ) {
        let registry = if part == "html" { &mut registries.html } else { &mut registries.plain };
        match registry.register_template_string(&format!("{}.{part}", compiled.path), source) {
            Ok(()) => compiled.parts.push(part),
            Err(_) if part == "text" && compiled.text_is_generated => {
                self.error(file, 0, "no text can be made from this HTML, since a block begins or ends in what is hidden; write a text part");
            }
            Err(error) => self.error(file, 0, format!("handlebars does not read this: {}", error.reason())),
        }
    }
}

/// The source with every value sent through the guard of its place.
fn guarded(source: &str, scan: &Scan) -> String {
    let mut out = String::with_capacity(source.len() + 12 * scan.outputs.len());
    let mut at = 0;
    for Output { start, end, is_call, place } in &scan.outputs {
        let guard = match place {
            Place::LinkStart => "__link",
            Place::LinkPath => "__path",
            Place::LinkQuery => "__query",
            Place::Plain | Place::Text | Place::Attribute | Place::Style => "__show",
            Place::Script | Place::Unquoted | Place::Name => unreachable!("the scanner has refused it"),
        };
        let value = &source[*start..*end];
        out.push_str(&source[at..*start]);
        match is_call {
            false => out.extend([guard, " ", value]),
            // A call has no name of its own: its text is handed on, for the message if it has no value.
            true => out.extend([guard, " (", value, ") \"", &value.replace('"', "\\\""), "\""]),
        }
        at = *end;
    }
    out.push_str(&source[at..]);
    out
}

/// A source whose own line breaks are blanks; those within values stay, to be refused where they matter.
fn on_one_line(source: &str) -> String {
    let source = source.trim();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    let tags = scan(source, Format::Plain).tags;
    for (start, end) in tags.into_iter().chain([(source.len(), source.len())]) {
        for (place, line) in source[at..start].split(['\r', '\n']).enumerate() {
            if place == 0 {
                out.push_str(line);
            } else if !line.trim_start().is_empty() || start < source.len() {
                out.truncate(out.trim_end().len());
                out.push(' ');
                out.push_str(line.trim_start());
            }
        }
        out.push_str(&source[start..end]);
        at = end;
    }
    out
}
