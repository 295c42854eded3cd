//! What all journeys see: the declarations of the project, by name, with the places where they stand.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Code, FileId, Span};
use crate::engine::program::{Catalog, Word, pool_endpoint};
use crate::lang::{Input, ast, types};
use crate::value::{FieldType, Type};

/// What a declared name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Noun {
    Audience,
    Channel,
    Endpoint,
    Event,
    Journey,
    Policy,
    Pool,
    Purpose,
    Score,
    Segment,
    Survey,
    Task,
    Team,
    Template,
}

impl Noun {
    /// The word for it in messages.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Noun::Audience => "audience",
            Noun::Channel => "channel",
            Noun::Endpoint => "endpoint",
            Noun::Event => "event",
            Noun::Journey => "journey",
            Noun::Policy => "policy",
            Noun::Pool => "pool",
            Noun::Purpose => "purpose",
            Noun::Score => "score",
            Noun::Segment => "segment",
            Noun::Survey => "survey",
            Noun::Task => "task",
            Noun::Team => "team",
            Noun::Template => "template",
        }
    }
}

/// What other journeys and tests may know of a journey before it is checked.
pub(super) struct Signature<'a> {
    pub(super) file: FileId,
    pub(super) journey: &'a ast::Journey,
    /// What `enter by start` takes; `None` without such an entry.
    pub(super) arguments: Option<Vec<FieldType>>,
    /// Reasons with which it can end.
    pub(super) reasons: Vec<Word>,
}

/// All declarations of a project.
pub(super) struct Schema<'a> {
    pub(super) input: &'a Input,
    /// Complete but for what the journeys bring.
    pub(super) catalog: Catalog,
    pub(super) declared: BTreeMap<(Noun, Word), Span>,
    pub(super) attributes: BTreeMap<Word, Span>,
    /// Fields of each event as expressions see them: with `id` and `at`, and names as listed values.
    pub(super) events: BTreeMap<Word, Vec<FieldType>>,
    pub(super) segments: BTreeMap<Word, &'a ast::ExprDecl>,
    pub(super) scores: BTreeMap<Word, &'a ast::ExprDecl>,
    pub(super) journeys: BTreeMap<Word, Signature<'a>>,
    /// Names of templates that have files.
    pub(super) templates: BTreeSet<Word>,
    /// Where each consent line of the policies stands.
    pub(super) consent_lines: BTreeMap<Word, Span>,
    /// Where each of the quiet hours and of the caps of the policies stands, in their order.
    pub(super) quiet_lines: Vec<Span>,
    pub(super) cap_lines: Vec<Span>,
    /// A consent line names something that is not known: nobody knows what it covers.
    pub(super) consent_unread: bool,
    /// Items that could not be read: what they seem to declare is not called unknown.
    pub(super) damaged: Vec<Span>,
    /// A file ends inside a declaration: nobody knows what else it declared.
    pub(super) cut_off: bool,
    /// What the parser has reported as errors: what stands in the same line may be a consequence.
    pub(super) parsed: Vec<(Code, Span)>,
}

/// Events that the engine writes about messages, with the outcome that each tells.
pub(super) const MESSAGE_EVENTS: [(&str, &str); 7] = [
    ("message_sent", "sent"),
    ("message_delivered", "delivered"),
    ("message_opened", "opened"),
    ("message_clicked", "clicked"),
    ("message_bounced", "bounced"),
    ("message_complained", "complained"),
    ("message_replied", "replied"),
];

/// The channel of telephone work, which needs no declaration.
pub(super) const PHONE: &str = "phone";

impl<'a> Schema<'a> {
    pub(super) fn new(input: &'a Input) -> Self {
        let catalog = Catalog {
            zone: input.settings.zone.as_str().into(),
            locale: input.settings.locale.as_str().into(),
            holidays: input.settings.holidays.clone().unwrap_or_default(),
            ..Catalog::empty()
        };
        let folder = |path: &String| path.split_once('/').map(|(folder, _)| Word::from(folder));
        let templates = input.templates.keys().filter_map(folder).filter(|folder| &**folder != "_parts");
        Schema {
            input,
            catalog,
            declared: BTreeMap::new(),
            attributes: BTreeMap::new(),
            events: BTreeMap::new(),
            segments: BTreeMap::new(),
            scores: BTreeMap::new(),
            journeys: BTreeMap::new(),
            templates: templates.collect(),
            consent_lines: BTreeMap::new(),
            quiet_lines: Vec::new(),
            cap_lines: Vec::new(),
            consent_unread: false,
            damaged: Vec::new(),
            cut_off: false,
            parsed: Vec::new(),
        }
    }

    /// The names declared for a noun, in alphabetical order.
    pub(super) fn names(&self, noun: Noun) -> impl Iterator<Item = &str> {
        self.declared.keys().filter(move |(of, _)| *of == noun).map(|(_, name)| &**name)
    }

    /// Whether a name is declared for a noun, or may be in an item that could not be read.
    pub(super) fn has(&self, noun: Noun, name: &str) -> bool {
        self.declared.contains_key(&(noun, Word::from(name)))
    }

    /// Whether the word stands in an item that could not be read: it may be declared there.
    pub(super) fn is_hidden(&self, word: &str) -> bool {
        self.cut_off || self.damaged.iter().any(|span| has_word(self.input.sources.slice(*span), word))
    }

    /// Whether the parser has found an error in the line of a place.
    pub(super) fn is_beside_mistake(&self, span: Span) -> bool {
        let line = |span: Span| self.input.sources.line_col(span.file, span.start).0;
        self.parsed.iter().any(|(_, error)| error.file == span.file && line(*error) == line(span))
    }

    /// Whether the parser has found an error within the place, or in a line that it begins or ends in.
    pub(super) fn has_mistake(&self, place: Span) -> bool {
        let line = |file, at| self.input.sources.line_col(file, at).0;
        let lines = line(place.file, place.start)..=line(place.file, place.end);
        let within = |error: Span| error.file == place.file && lines.contains(&line(error.file, error.start));
        self.parsed.iter().any(|(_, error)| within(*error))
    }

    /// The purpose itself and all that are refined from it.
    pub(super) fn family(&self, purpose: &str) -> Vec<Word> {
        let all = self.catalog.purpose_names().into_iter().map(Word::from);
        all.filter(|p| self.catalog.lineage(p).any(|above| &**above == purpose)).collect()
    }

    /// Whether messages of that purpose need no consent by nature.
    pub(super) fn is_transactional(&self, purpose: &Word) -> bool {
        self.catalog.lineage(purpose).any(|above| &**above == "transactional")
    }

    /// The purpose whose consent counts for this one: the nearest above it that has a line in the policies.
    pub(super) fn consent_purpose(&self, purpose: &Word) -> Option<Word> {
        self.catalog.lineage(purpose).find(|above| self.catalog.policy.consent.contains_key(*above)).cloned()
    }

    /// The purpose whose consent a message of this purpose needs on the channel, if it needs any.
    pub(super) fn needed_consent(&self, purpose: &Word, channel: &str) -> Option<Word> {
        if self.is_transactional(purpose) {
            return None;
        }
        let base = self.consent_purpose(purpose)?;
        let channels = &self.catalog.policy.consent[&base];
        channels.iter().any(|c| &**c == channel).then_some(base)
    }

    /// Channel names that policies and consents may speak of.
    pub(super) fn channels(&self) -> Vec<&str> {
        let declared = self.catalog.channels.keys().map(|name| &**name);
        let phone = (!self.catalog.channels.contains_key(PHONE)).then_some(PHONE);
        declared.chain(phone).collect()
    }

    /// The fields of a built-in message event, or of the outcome of an own message.
    pub(super) fn message_fields(&self, outcome: &str) -> Vec<FieldType> {
        let field = |name: &str, ty| FieldType { name: name.into(), ty };
        let mut fields = vec![
            field("channel", types::one_of(self.channels())),
            field("template", types::one_of(&self.templates)),
            field("journey", types::one_of(self.journeys.keys())),
            field("purpose", self.purpose_type()),
        ];
        let only = |of: &str| if outcome == of { Type::Text } else { Type::Text.optional() };
        fields.push(field("link", only("clicked")));
        fields.push(field("text", only("replied")));
        with_id_and_at(fields)
    }

    /// The type of a purpose as a value.
    pub(super) fn purpose_type(&self) -> Type {
        types::one_of(self.catalog.purpose_names())
    }

    /// The fields of a pool.
    pub(super) fn pool(&self, name: &str) -> Option<&[FieldType]> {
        self.catalog.endpoints.get(&pool_endpoint(name)).map(|pool| pool.returns.as_slice())
    }

    /// The address attribute of a channel and whether it may be missing.
    pub(super) fn address_of(&self, channel: &str) -> Option<&Word> {
        self.catalog.channels.get(channel)?.address.as_ref()
    }
}

/// Every event has an id and a moment.
pub(super) fn with_id_and_at(mut fields: Vec<FieldType>) -> Vec<FieldType> {
    fields.push(FieldType { name: "id".into(), ty: Type::Id });
    fields.push(FieldType { name: "at".into(), ty: Type::Moment });
    fields
}

/// Whether the text contains the word, not as a part of another.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next())
        })
}
