//! Where in an HTML document a place is: between elements, in an attribute, in a link, or where no value may stand.
//!
//! A small machine over the literal text of a template, fed piece by piece. It need not understand HTML as a browser
//! does; it must never take a dangerous place for a harmless one. What it does not follow ends in a place that refuses
//! values.

use std::mem;

/// Where a value stands, which decides how it is escaped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// Not HTML at all: subject, preheader, text, SMS.
    Plain,
    /// Between elements.
    Text,
    /// Within quotes of an attribute that is no link and no style.
    Attribute,
    /// At the beginning of a link: the value must bring an allowed scheme.
    LinkStart,
    /// Further in a link, before `?` and `#`.
    LinkPath,
    /// In a link behind `?` or `#`: everything special is encoded.
    LinkQuery,
    /// In a style. Only `brand` values, which stand in the project's own file.
    Style,
    /// In a script or an `on…` attribute.
    Script,
    /// In an attribute without quotes.
    Unquoted,
    /// Where a tag's or an attribute's name stands.
    Name,
}

impl Place {
    /// Why no value may stand here, if none may.
    pub(super) fn refusal(self, only_brand: bool) -> Option<&'static str> {
        match self {
            Place::Plain | Place::Text | Place::Attribute => None,
            Place::LinkStart | Place::LinkPath | Place::LinkQuery => None,
            Place::Style if only_brand => None,
            Place::Style => Some("only `brand` values may stand in a style"),
            Place::Script => Some("no value may stand in a script"),
            Place::Unquoted => Some("this value stands in an attribute without quotes"),
            Place::Name => Some("no value may stand for the name of a tag or attribute"),
        }
    }

    pub(super) fn advice(self) -> Option<&'static str> {
        match self {
            Place::Style => Some("choose between two fixed styles with `{{#if}}`"),
            Place::Unquoted => Some("put quotes around it"),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    Text,
    /// `<` seen.
    Open,
    /// In the name of a tag.
    TagName,
    /// Between attributes.
    InTag,
    AttributeName,
    /// `=` seen.
    BeforeValue,
    Quoted(char),
    Unquoted,
    /// `<!` seen, perhaps a comment: how many hyphens.
    Declaration(u8),
    /// In a comment: how many hyphens have just been seen.
    Comment(u8),
    /// Inside `<script>` or `<style>`.
    Raw,
}

/// The machine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Html {
    state: State,
    /// The tag's name, lower-case, with `/` if it closes.
    tag: String,
    attribute: String,
    /// Something stands in the attribute's value already.
    started: bool,
    /// `?` or `#` has been seen in it.
    query: bool,
    /// The last characters of a script or style, to find its end.
    tail: String,
}

/// Stands for all typographic quotes: read as they are meant, and told.
const CURLY: char = '“';

/// Attributes that hold one link.
const LINKS: [&str; 9] =
    ["action", "background", "cite", "data", "formaction", "href", "longdesc", "poster", "src"];

impl Html {
    /// Goes on over `text`; gives the typographic quotes that stand where an attribute wants straight ones.
    pub(super) fn feed(&mut self, text: &str) -> Vec<usize> {
        let mut quotes = Vec::new();
        for (at, c) in text.char_indices() {
            let before = self.state;
            self.step(c);
            let opened = before == State::BeforeValue && self.state == State::Quoted(CURLY);
            let closed = before == State::Quoted(CURLY) && self.state == State::InTag;
            if (opened || closed) && super::is_typographic(c) {
                quotes.push(at);
            }
        }
        quotes
    }

    pub(super) fn value_written(&mut self) {
        if let State::Quoted(_) = self.state {
            self.started = true;
        }
    }

    pub(super) fn place(&self) -> Place {
        match self.state {
            State::Text | State::Comment(_) => Place::Text,
            State::Raw if self.tag == "style" => Place::Style,
            State::Raw => Place::Script,
            State::Quoted(_) => self.place_in_value(),
            State::BeforeValue | State::Unquoted => Place::Unquoted,
            State::Open | State::TagName | State::InTag | State::AttributeName | State::Declaration(_) => {
                Place::Name
            }
        }
    }

    fn place_in_value(&self) -> Place {
        let name = self.attribute.rsplit(':').next().unwrap_or_default();
        if name.starts_with("on") || matches!(name, "srcdoc" | "srcset" | "ping") {
            Place::Script
        } else if name == "style" {
            Place::Style
        } else if !LINKS.contains(&name) {
            Place::Attribute
        } else if self.query {
            Place::LinkQuery
        } else if self.started {
            Place::LinkPath
        } else {
            Place::LinkStart
        }
    }

    /// Whether a document may end here.
    pub(super) fn is_at_rest(&self) -> bool {
        self.state == State::Text
    }

    /// Whether what follows stands in the same place after either.
    pub(super) fn agrees_with(&self, other: &Html) -> bool {
        let in_tag = !matches!(self.state, State::Text | State::Comment(_));
        let in_value = matches!(self.state, State::Quoted(_) | State::Unquoted | State::BeforeValue);
        mem::discriminant(&self.state) == mem::discriminant(&other.state)
            && (!in_tag || self.tag == other.tag)
            && (!in_value || (self.state == other.state && self.attribute == other.attribute))
    }

    /// The more careful of two that agree: a link has begun only if it has in both.
    pub(super) fn joined(&self, other: &Html) -> Html {
        Html { started: self.started && other.started, query: self.query && other.query, ..self.clone() }
    }

    fn step(&mut self, c: char) {
        match self.state {
            State::Text if c == '<' => self.state = State::Open,
            State::Text => {}
            State::Open => self.open(c),
            State::TagName if c.is_whitespace() || matches!(c, '/' | '>') => self.in_tag(c),
            State::TagName => self.tag.extend(c.to_lowercase()),
            State::InTag | State::AttributeName => self.in_tag(c),
            State::BeforeValue => self.before_value(c),
            State::Quoted(quote) if c == quote => self.state = State::InTag,
            State::Quoted(CURLY) if c == '"' || super::is_typographic(c) => self.state = State::InTag,
            State::Quoted(CURLY) if c == '>' => self.in_tag(c),
            State::Quoted(_) => {
                self.started |= !c.is_whitespace();
                self.query |= matches!(c, '?' | '#');
            }
            State::Unquoted if c.is_whitespace() || c == '>' => self.in_tag(c),
            State::Unquoted => {}
            State::Declaration(hyphens) => self.declaration(hyphens, c),
            State::Comment(hyphens) => {
                self.state = match c {
                    '-' => State::Comment((hyphens + 1).min(2)),
                    '>' if hyphens == 2 => State::Text,
                    _ => State::Comment(0),
                };
            }
            State::Raw => self.raw(c),
        }
    }

    fn open(&mut self, c: char) {
        self.tag.clear();
        self.attribute.clear();
        self.state = match c {
            '!' | '?' => State::Declaration(0),
            '/' => {
                self.tag.push('/');
                State::TagName
            }
            _ if c.is_ascii_alphabetic() => {
                self.tag.push(c.to_ascii_lowercase());
                State::TagName
            }
            '<' => State::Open,
            _ => State::Text,
        };
    }

    /// `<!-- … -->` is a comment; `<!doctype …>` and the conditional comments of Outlook, `<!--[if mso]>` and
    /// `<![endif]-->`, end with the next `>`, and what stands between the latter is HTML.
    fn declaration(&mut self, hyphens: u8, c: char) {
        self.state = match (hyphens, c) {
            (_, '>') => State::Text,
            (2, '[') => State::Declaration(3),
            (2, '-') => State::Comment(1),
            (2, _) => State::Comment(0),
            (0 | 1, '-') => State::Declaration(hyphens + 1),
            _ => State::Declaration(3),
        };
    }

    fn in_tag(&mut self, c: char) {
        match c {
            '>' => {
                let is_raw = matches!(self.tag.as_str(), "script" | "style");
                self.state = if is_raw { State::Raw } else { State::Text };
                self.tail.clear();
            }
            '=' if self.state == State::AttributeName || !self.attribute.is_empty() => {
                self.state = State::BeforeValue
            }
            _ if c.is_whitespace() || c == '/' => {
                self.state = State::InTag;
            }
            _ => {
                if self.state != State::AttributeName {
                    self.attribute.clear();
                }
                self.state = State::AttributeName;
                self.attribute.extend(c.to_lowercase());
            }
        }
    }

    fn before_value(&mut self, c: char) {
        (self.started, self.query) = (false, false);
        match c {
            '"' | '\'' => self.state = State::Quoted(c),
            '>' => self.in_tag(c),
            _ if c.is_whitespace() => {}
            _ if super::is_typographic(c) => self.state = State::Quoted(CURLY),
            _ => self.state = State::Unquoted,
        }
    }

    fn raw(&mut self, c: char) {
        self.tail.extend(c.to_lowercase());
        let end = format!("</{}", self.tag);
        if self.tail.ends_with(&end) {
            self.tag.insert(0, '/');
            self.state = State::TagName;
        } else if self.tail.len() > 16 {
            self.tail = self.tail.chars().skip(8).collect();
        }
    }
}
