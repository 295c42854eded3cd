//! All templates of a project, scanned once: what each uses, with its parts put in their place.
//!
//! What is wrong with a file itself is found here (E0807, W0806, W0808); what a send must supply is asked in `supply`.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::finding;
use super::naming::{self, Filed, Known};
use super::schema::Schema;
use super::supply::Sent;
use crate::diagnostic::{Code, Diagnostic, FileId, Span, suggest};
use crate::engine::program::Word;
use crate::lang::Input;
use crate::lang::template::{Format, Mistake, Scope, Wants, scan_in};

/// Parts within parts.
const DEEPEST: usize = 16;

/// Mail programs cut longer subjects.
const LONGEST_SUBJECT: usize = 78;

/// A variable at its place, in the template or in one of its parts.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// From the top; `[]` stands for an element of a list.
    pub(super) path: Vec<String>,
    pub(super) span: Span,
    /// How many leading names are known to be there.
    pub(super) known: usize,
    /// What it has to be.
    pub(super) wants: Wants,
}

/// One file of a template.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) file: FileId,
    pub(super) uses: Vec<Placed>,
    blank: bool,
    literal_chars: usize,
    /// The first tag of HTML in a text.
    markup: Option<Span>,
    /// What in it is marked as marketing.
    pub(super) marked: Vec<Marked>,
    /// Its text.
    span: Span,
}

/// A text that says of itself `{{! marketing }}`.
#[derive(Clone, Debug)]
pub(super) struct Marked {
    /// Where it comes in: the tag of a part, or the mark itself in the text of the template.
    pub(super) used: Span,
    pub(super) mark: Span,
}

/// A template on one channel in one language.
#[derive(Clone, Debug, Default)]
pub(super) struct Variant {
    pub(super) parts: BTreeMap<&'static str, Part>,
    /// A file could not be read: nothing is said about what it does not use.
    pub(super) damaged: bool,
}

impl Variant {
    /// Every variable of every part.
    pub(super) fn uses(&self) -> impl Iterator<Item = &Placed> {
        self.parts.values().flat_map(|part| &part.uses)
    }

    /// Whether a message can be made of it.
    fn is_whole(&self, channel: &str) -> bool {
        let has = |part: &str| self.parts.contains_key(part);
        (has("html") || has("text")) && (channel != "email" || has("subject"))
    }
}

/// All templates: by name, channel and locale.
#[derive(Default)]
pub(super) struct Templates {
    pub(super) all: BTreeMap<Word, BTreeMap<Word, BTreeMap<String, Variant>>>,
    /// Templates with a file whose name says nothing: what they lack may be in there.
    pub(super) misnamed: BTreeSet<Word>,
    /// Nothing is written in the language of the project, which has been told.
    pub(super) no_project_language: bool,
    pub(super) findings: Vec<Diagnostic>,
}

impl Templates {
    /// Scans all templates of the input.
    pub(super) fn scan(schema: &Schema) -> Templates {
        let (input, known) = (schema.input, Known::new(schema));
        let mut scanner = Scanner {
            input,
            parts: BTreeMap::new(),
            findings: Vec::new(),
            told: BTreeSet::new(),
            marked: Vec::new(),
        };
        let mut templates = Templates::default();
        for (path, file) in &input.templates {
            if let Some(name) = path.strip_prefix("_parts/").and_then(|name| name.strip_suffix(".hbs")) {
                scanner.parts.insert(name.to_owned(), *file);
            }
        }
        for (path, file) in &input.templates {
            if path.starts_with("_parts/") {
                continue;
            }
            let filed = Filed::read(path).filter(|filed| !known.is_near_channel(&filed.channel));
            let Some(Filed { name, channel, locale, part }) = filed else {
                templates.no_template(input, &known, path, *file);
                continue;
            };
            let (read, damaged) = scanner.part(*file, part, &locale);
            let variants = templates.all.entry(name).or_default().entry(channel).or_default();
            let variant = variants.entry(locale).or_default();
            if let Some(first) = variant.parts.get(part) {
                // `.text.hbs` and `.txt.hbs`
                let message = "this part of the template is there twice";
                let help = format!("remove it, or `{}`", input.sources.path(first.file));
                templates.findings.push(finding(Code::E0807, Span::at(*file, 0), message).help(help));
            }
            variant.parts.insert(part, read);
            variant.damaged |= damaged;
        }
        templates.findings.append(&mut scanner.findings);
        templates.foreign(input, &known);
        templates.tolerate();
        templates.whole();
        let written: BTreeSet<&str> = templates
            .all
            .values()
            .flat_map(BTreeMap::values)
            .flat_map(BTreeMap::keys)
            .map(String::as_str)
            .collect();
        if let Some(finding) = naming::no_project_language(schema, &written) {
            templates.no_project_language = true;
            templates.findings.push(finding);
        }
        templates
    }

    /// Tells of a file that no message is made from. What is neither handlebars nor looks like a template is left alone.
    fn no_template(&mut self, input: &Input, known: &Known, path: &str, file: FileId) {
        let meant = known.meant(path);
        if meant.is_none() && !path.ends_with(".hbs") {
            return;
        }
        if let Some((name, _)) = path.split_once('/') {
            self.misnamed.insert(name.into());
        }
        let is_there = meant.as_ref().is_some_and(|meant| {
            input.templates.contains_key(&format!("{}/{}", meant.name, meant.file_name()))
        });
        self.findings.push(naming::no_template(file, path, meant.as_ref(), is_there));
    }

    /// Takes out texts in a language that no contact has. Whole ones are told together; of others a file is probably
    /// called wrongly.
    fn foreign(&mut self, input: &Input, known: &Known) {
        let mut whole: BTreeMap<String, Vec<FileId>> = BTreeMap::new();
        for (name, channels) in &mut self.all {
            for (channel, variants) in channels.iter_mut() {
                let strange = variants.keys().filter(|locale| !known.has_language(locale)).cloned();
                for locale in strange.collect::<Vec<_>>() {
                    let Some(variant) = variants.remove(&locale) else { continue };
                    let Some((part, first)) = variant.parts.iter().next() else { continue };
                    if variant.is_whole(channel) {
                        whole.entry(locale).or_default().push(first.file);
                        continue;
                    }
                    self.misnamed.insert(name.clone());
                    let message =
                        format!("`{locale}` is no language of `contact.locale`, so nobody gets this text");
                    let lacks = |(_, variant): &(&String, &Variant)| !variant.parts.contains_key(part);
                    let made = finding(Code::E0807, Span::at(first.file, 0), message);
                    self.findings.push(match variants.iter().find(lacks) {
                        Some((other, _)) => made.help(format!("was `{channel}.{other}.{part}.hbs` meant?")),
                        None => made.help(format!("the languages are {}", known.languages())),
                    });
                }
            }
        }
        for (locale, files) in whole {
            let message =
                format!("`{locale}` is no language of `contact.locale`, so nobody gets these texts");
            let help = format!("add `{locale}` to `contact.locale` in the schema, or remove the files");
            let made = finding(Code::W0806, Span::at(files[0], 0), message).help(help);
            let more: Vec<&str> = files[1..].iter().map(|file| input.sources.path(*file)).collect();
            self.findings.push(match more.as_slice() {
                [] => made,
                _ => made.note(format!("the same at {}", crate::lang::types::some_of(more))),
            });
        }
    }

    /// Where a file is called wrongly, what the others lack is no second mistake.
    fn tolerate(&mut self) {
        for name in &self.misnamed {
            let variants = self.all.get_mut(name).into_iter().flat_map(BTreeMap::values_mut);
            variants.flat_map(BTreeMap::values_mut).for_each(|variant| variant.damaged = true);
        }
    }

    /// What is told of templates as a whole.
    fn whole(&mut self) {
        let mut findings = Vec::new();
        for channels in self.all.values() {
            for (channel, variants) in channels {
                for variant in variants.values() {
                    subject(channel, variant, &mut findings);
                }
            }
        }
        self.findings.extend(findings);
    }

    /// Compares the languages of each template. What no send supplies is told by itself.
    pub(super) fn compare_languages(&mut self, sent: &[Sent]) {
        let mut findings = Vec::new();
        for (name, channels) in &self.all {
            let mut sends = sent.iter().filter(|sent| sent.template == *name).peekable();
            let is_sent = sends.peek().is_some();
            let supplied: BTreeSet<&str> =
                sends.flat_map(|sent| sent.with.iter().map(|name| &**name)).collect();
            for variants in channels.values() {
                uneven(name, variants, |variable| !is_sent || supplied.contains(variable), &mut findings);
            }
        }
        self.findings.extend(findings);
    }
}

// ---------------------------------------------------------------- scanning

struct Scanner<'a> {
    input: &'a Input,
    /// `footer`, `footer.de`
    parts: BTreeMap<String, FileId>,
    findings: Vec<Diagnostic>,
    /// A part is read wherever it is used; its mistakes are told once.
    told: BTreeSet<(Span, String)>,
    /// Of the file that is being read.
    marked: Vec<Marked>,
}

impl Scanner<'_> {
    /// Reads a file with its parts.
    fn part(&mut self, file: FileId, part: &str, locale: &str) -> (Part, bool) {
        let before = self.told.len();
        let mut uses = Vec::new();
        let format = Format::of_part(part);
        let mut within = Vec::new();
        self.marked = mark_of(self.input, file).map(|mark| Marked { used: mark, mark }).into_iter().collect();
        let (blank, literal_chars) = self.source(file, locale, format, &Scope::top(), &mut within, &mut uses);
        let damaged = self.told.len() > before || self.told.iter().any(|(span, _)| span.file == file);
        let text = self.input.sources.text(file);
        let span = Span::new(file, 0, text.trim_end().len() as u32);
        let markup = match format {
            Format::Html => None,
            Format::Plain => first_tag(text).map(|(from, to)| Span::new(file, from as u32, to as u32)),
        };
        let marked = std::mem::take(&mut self.marked);
        (Part { file, uses, blank, literal_chars, markup, marked, span }, damaged)
    }

    fn source(
        &mut self,
        file: FileId,
        locale: &str,
        format: Format,
        scope: &Scope,
        within: &mut Vec<String>,
        uses: &mut Vec<Placed>,
    ) -> (bool, usize) {
        let scan = scan_in(self.input.sources.text(file), format, scope);
        let place = |start: usize, end: usize| Span::new(file, start as u32, end as u32);
        for mistake in &scan.mistakes {
            self.mistake(place(mistake.start, mistake.end), mistake);
        }
        uses.extend(scan.uses.iter().map(|used| Placed {
            path: used.path.clone(),
            span: place(used.start, used.end),
            known: used.known,
            wants: used.wants,
        }));
        for part in &scan.parts {
            let span = place(part.start, part.end);
            if within.contains(&part.name) || within.len() >= DEEPEST {
                let message = format!("the part `{}` contains itself", part.name);
                self.tell(finding(Code::E0807, span, message).label("goes in a circle"));
                continue;
            }
            let Some(inner) = self.inner(&part.name, locale) else {
                self.unknown_part(&part.name, span);
                continue;
            };
            self.marked.extend(mark_of(self.input, inner).map(|mark| Marked { used: span, mark }));
            within.push(part.name.clone());
            self.source(inner, locale, format, &part.scope, within, uses);
            within.pop();
        }
        (scan.is_blank(), scan.literal_chars)
    }

    /// A part, in the template's own language where there is such a file, as the sender takes it.
    fn inner(&self, name: &str, locale: &str) -> Option<FileId> {
        let language = locale.split('-').next().unwrap_or(locale);
        let named = |locale: &str| self.parts.get(&format!("{name}.{locale}"));
        named(locale).or_else(|| named(language)).or_else(|| self.parts.get(name)).copied()
    }

    fn mistake(&mut self, span: Span, mistake: &Mistake) {
        let mut made = finding(Code::E0807, span, mistake.message.clone());
        for (start, end) in &mistake.quotes {
            made = made.fix("write straight quotes", Span::new(span.file, *start as u32, *end as u32), "\"");
        }
        if let Some(near) = &mistake.near {
            made = made.suggest(format!("write `{near}`"), span, near);
        }
        self.tell(match &mistake.help {
            Some(help) => made.help(help.clone()),
            None => made,
        });
    }

    fn unknown_part(&mut self, name: &str, span: Span) {
        let near = suggest::did_you_mean(name, self.parts.keys().map(String::as_str)).map(str::to_owned);
        let message = format!("there is no part `templates/_parts/{name}.hbs`");
        let made = finding(Code::E0807, span, message).label("not found");
        self.tell(super::findings::with_near_miss(made, near.as_deref(), &[], span));
    }

    fn tell(&mut self, finding: Diagnostic) {
        if self.told.insert((finding.primary.span, finding.message.clone())) {
            self.findings.push(finding);
        }
    }
}

// ---------------------------------------------------------------- single files

/// The comment `{{! marketing }}` of a file.
fn mark_of(input: &Input, file: FileId) -> Option<Span> {
    let text = input.sources.text(file);
    text.match_indices("{{!").find_map(|(start, _)| {
        let inner = text[start + 3..].split_once("}}")?.0;
        let end = start + 3 + inner.len() + 2;
        let word = inner.trim_matches(|c: char| c == '-' || c.is_whitespace());
        (word == "marketing").then(|| Span::new(file, start as u32, end as u32))
    })
}

/// Where the first tag such as `<b>` begins and ends.
fn first_tag(text: &str) -> Option<(usize, usize)> {
    text.match_indices('<').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let name = rest.strip_prefix('/').unwrap_or(rest);
        let length = rest.find(['<', '>', '\n']).filter(|end| rest[*end..].starts_with('>'))?;
        name.starts_with(|c: char| c.is_ascii_alphabetic()).then_some((at, at + 1 + length + 1))
    })
}

/// W0808, and mails that cannot be sent at all.
fn subject(channel: &str, variant: &Variant, findings: &mut Vec<Diagnostic>) {
    if variant.damaged {
        return;
    }
    let Some(first) = variant.parts.values().next() else { return };
    if !variant.parts.contains_key("html") && !variant.parts.contains_key("text") {
        let message = "this template has neither HTML nor text in this language";
        let help = "add a file `….html.hbs` or `….text.hbs` beside it";
        findings.push(finding(Code::E0807, Span::at(first.file, 0), message).help(help));
    }
    if channel != "email" {
        return;
    }
    for (name, part) in variant.parts.iter().filter(|(name, _)| matches!(**name, "subject" | "preheader")) {
        if let Some(tag) = part.markup {
            let message = format!("the {name} of a mail is text: people would see this tag as it stands");
            findings.push(
                finding(Code::W0808, tag, message)
                    .label("HTML")
                    .help("leave the tag out; HTML belongs into the HTML part"),
            );
        }
    }
    let Some(subject) = variant.parts.get("subject") else {
        let message = "this mail has no subject in this language";
        let help = "add a file `….subject.hbs` beside it";
        findings.push(finding(Code::E0807, Span::at(first.file, 0), message).help(help));
        return;
    };
    if subject.blank {
        let message = "this subject is empty";
        findings.push(
            finding(Code::W0808, Span::at(subject.file, 0), message)
                .label("nothing here")
                .help("say in a few words what the mail is about; mails without a subject end as junk"),
        );
    }
    if subject.literal_chars > LONGEST_SUBJECT {
        let message =
            format!("this subject has {} characters, and mail programs cut them", subject.literal_chars);
        findings.push(
            finding(Code::W0808, subject.span, message)
                .label(format!("at most {LONGEST_SUBJECT}"))
                .help("say it in fewer words"),
        );
    }
    for (name, part) in variant.parts.iter().filter(|(name, _)| matches!(**name, "html" | "text")) {
        if part.blank {
            let what = if *name == "html" { "the HTML part" } else { "the text part" };
            findings.push(
                finding(Code::W0808, Span::at(part.file, 0), format!("{what} of this mail is empty"))
                    .label("nothing here")
                    .help("write it, or remove the file: a text is made from the HTML where none is written"),
            );
        }
    }
}

/// W0806: what one language says, the others say too. Only parts that all of them have are compared, and a language in which a
/// name is misspelled is left out: both are told by themselves.
fn uneven(
    name: &Word,
    variants: &BTreeMap<String, Variant>,
    counts: impl Fn(&str) -> bool,
    findings: &mut Vec<Diagnostic>,
) {
    if variants.values().any(|variant| variant.damaged) {
        return;
    }
    let readable = |variant: &Variant, part: &str| variant.parts.get(part).is_some_and(|part| !part.blank);
    let shared = |part: &&str| variants.values().all(|variant| readable(variant, part));
    let shared: Vec<&str> = naming::PARTS.into_iter().filter(shared).collect();
    let own = |used: &&Placed| !matches!(used.path[0].as_str(), "contact" | "links" | "brand");
    let uses: Vec<(&str, Vec<&Placed>)> = (variants.iter())
        .map(|(locale, variant)| {
            let parts = variant.parts.iter().filter(|(part, _)| shared.contains(*part));
            (locale.as_str(), parts.flat_map(|(_, part)| &part.uses).filter(own).collect())
        })
        .collect();
    let mut first: BTreeMap<&str, Span> = BTreeMap::new();
    for used in uses.iter().flat_map(|(_, uses)| uses) {
        first.entry(&used.path[0]).or_insert(used.span);
    }
    for (variable, span) in first.into_iter().filter(|(variable, _)| counts(variable)) {
        let (has, lacks): (Vec<_>, Vec<_>) =
            uses.iter().partition(|(_, uses)| uses.iter().any(|used| used.path[0] == *variable));
        let misspelled = |uses: &[&Placed]| uses.iter().any(|used| !counts(&used.path[0]));
        let lacks = lacks.into_iter().filter(|(_, uses)| !misspelled(uses));
        let lacks = lacks.map(|(locale, _)| *locale).collect::<Vec<_>>().join(", ");
        if !lacks.is_empty() {
            let has = has.iter().map(|(locale, _)| *locale).collect::<Vec<_>>().join(", ");
            let message = format!("the template `{name}` uses `{variable}` in {has}, but not in {lacks}");
            findings.push(
                finding(Code::W0806, span, message)
                    .label(format!("missing in {lacks}"))
                    .help("use it in every language, or in none"),
            );
        }
    }
}
